//! What is said in two places is said alike.

use crate::sources::read;

/// The value of `name = "value"` in a TOML file.
fn value<'a>(toml: &'a str, name: &str) -> &'a str {
    let line = toml.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {name}")).trim().trim_matches('"')
}

#[test]
fn the_toolchain_is_the_one_that_the_crates_ask_for() {
    let (workspace, toolchain) = (read("Cargo.toml"), read("rust-toolchain.toml"));
    let wanted = value(&workspace, "rust-version");
    let pinned = value(&toolchain, "channel");
    assert!(pinned.strip_prefix(wanted).is_some_and(|patch| patch.starts_with('.')), "{wanted} and {pinned}");
    assert!(read("README.md").contains(&format!("Rust {wanted}")), "the README asks for another Rust than {wanted}");
}
