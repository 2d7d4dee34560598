//! No file of the core is longer than a person can keep in mind.

use std::collections::BTreeMap;

use crate::sources::{modules, only, read};

/// Lines of a file, without its tests.
const MOST: usize = 600;

/// Up to the tests, which are last.
fn lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        matches!(pair, ["#[cfg(test)]", next] if next.starts_with("mod ") || next.starts_with("pub(crate) mod "))
    });
    tests.unwrap_or(lines.len())
}

#[test]
fn no_file_of_the_core_is_too_long() {
    let modules = modules("core/machine/src").into_iter().chain(modules("core/client/src"));
    let found: BTreeMap<String, String> = modules
        .map(|module| (lines(&read(&module.file)), module.file))
        .filter(|(lines, _)| *lines > MOST)
        .map(|(lines, file)| (file, format!("{lines} lines")))
        .collect();
    only(&[], &found, &format!("A file of the core has at most {MOST} lines without its tests"));
}
