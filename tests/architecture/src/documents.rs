//! What the documents at the root name exists.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{files, only, read, root};

const DOCUMENTS: [&str; 5] = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"];

/// The texts in backticks of some Markdown, without its blocks of code.
fn in_backticks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Whether it is meant as a path from the top: it has a slash, and nothing that paths here do not have.
fn is_a_path(text: &str) -> bool {
    text.contains('/') && text.chars().all(|letter| letter.is_alphanumeric() || "/._-".contains(letter))
}

/// The items of the numbered lists, each with the lines that go on with it.
fn items(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let is_numbered = line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        if is_numbered {
            found.push(line.to_owned());
            open = true;
        } else if open && line.starts_with("   ") {
            if let Some(last) = found.last_mut() {
                last.push(' ');
                last.push_str(line.trim());
            }
        } else {
            open = false;
        }
    }
    found
}

/// The sources at a path: a file, or all of a folder's; the file beside a folder is of the same room.
fn sources(path: &str) -> String {
    let at = root().join(path);
    let mut all = Vec::new();
    if at.is_dir() {
        all = files(path, &["rs", "kt", "swift"]);
        let beside = format!("{}.rs", path.trim_end_matches('/'));
        all.extend(root().join(&beside).exists().then_some(beside));
    } else if at.exists() {
        all.push(path.to_owned());
    }
    all.iter().map(|file| read(file)).collect()
}

/// All pages that are written for people.
fn pages() -> Vec<String> {
    let below = ["docs", "core", "bindings", "tests/scenarios", "tests/backend", "tests/lab", "tests/prove"];
    let below = below.into_iter().flat_map(|folder| files(folder, &["md"]));
    DOCUMENTS.into_iter().map(str::to_owned).chain(below.filter(|file| !file.contains("node_modules"))).collect()
}

#[test]
fn every_path_in_backticks_exists() {
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"] {
        let missing: Vec<String> = in_backticks(&read(document))
            .into_iter()
            .filter(|text| is_a_path(text) && !root().join(text).exists())
            .collect();
        assert!(missing.is_empty(), "{document} names what is not there: {missing:?}");
    }
}

#[test]
fn every_function_of_a_walk_is_in_a_file_that_the_step_names() {
    let mut found = BTreeMap::new();
    let text = read("ARCHITECTURE.md");
    let steps: Vec<String> = items(&text).into_iter().filter(|item| item.contains('`')).collect();
    assert!(steps.len() >= 20, "three walks have more steps than {}", steps.len());
    for step in &steps {
        let named = in_backticks(step);
        let code: String = named.iter().filter(|text| is_a_path(text)).map(|path| sources(path)).collect();
        assert!(!code.is_empty(), "a step names no file: {step}");
        for function in named.iter().filter_map(|text| text.strip_suffix("()")) {
            let is_there = ["fn", "fun", "func"].iter().any(|keyword| {
                code.match_indices(&format!("{keyword} {function}"))
                    .any(|(at, word)| code.get(at + word.len()..).is_some_and(|rest| rest.starts_with(['(', '<'])))
            });
            if !is_there {
                found.insert(format!("{function}()"), format!("in none of the files of: {step}"));
            }
        }
    }
    only(&[], &found, "Every function of a walk is in a file that the step names");
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let mut missing = BTreeSet::new();
    for page in pages() {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        for target in read(&page).split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(to, _)| to) {
            let path = target.split('#').next().unwrap_or(target);
            if !path.is_empty() && !path.contains("://") && !root().join(folder).join(path).exists() {
                missing.insert(format!("{page}: {target}"));
            }
        }
    }
    assert!(missing.is_empty(), "links that lead nowhere: {missing:?}");
}

/// A drawing is not checked by reading the pages: what it names in a fixed-width font is a path, too.
#[test]
fn every_path_that_a_drawing_names_exists() {
    let mut missing = BTreeSet::new();
    for drawing in files("docs", &["svg"]) {
        let texts = read(&drawing);
        let texts = texts.split("<text").skip(1).filter_map(|rest| rest.split_once("</text>")).map(|(text, _)| text);
        for word in
            texts.flat_map(|text| text.split(|letter: char| letter.is_whitespace() || "<>\"(),:".contains(letter)))
        {
            let top = ["core/", "bindings/", "android/", "ios/", "tests/", "docs/"];
            if top.iter().any(|top| word.starts_with(top)) && !root().join(word).exists() {
                missing.insert(format!("{drawing}: {word}"));
            }
        }
    }
    assert!(missing.is_empty(), "drawings name what is not there: {missing:?}");
}

#[test]
fn the_readme_leads_to_the_other_documents() {
    let readme = read("README.md");
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"] {
        assert!(readme.contains(&format!("]({document})")), "the README has no link to {document}");
    }
}
