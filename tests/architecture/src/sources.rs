//! The sources that the rules are about, read from the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Item, visit_mut::VisitMut};

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A file of the repository, by its path from the top.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder with one of these extensions, by their paths from the top, in order. What
/// tools put there (`build`, hidden folders) is passed over.
pub(crate) fn files(folder: &str, extensions: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for path in entries.map(|entry| entry.unwrap().path()) {
            let is_made_by_a_tool =
                path.file_name().is_some_and(|name| name == "build" || name.as_encoded_bytes().starts_with(b"."));
            if path.is_dir() {
                folders.extend((!is_made_by_a_tool).then_some(path));
            } else if path.extension().is_some_and(|end| extensions.iter().any(|wanted| end == *wanted)) {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A file of a crate, without what is there for tests only.
pub(crate) struct Module {
    /// From the top of the repository.
    pub(crate) file: String,
    /// Its place in the crate: `["session", "tokens"]`; `[]` for lib.rs.
    pub(crate) place: Vec<String>,
    pub(crate) code: syn::File,
}

/// The modules of a library, by following `mod` from its lib.rs: what only tests see is not among them.
pub(crate) fn modules(src: &str) -> Vec<Module> {
    let mut found = Vec::new();
    let mut todo = vec![(format!("{src}/lib.rs"), Vec::<String>::new())];
    while let Some((file, place)) = todo.pop() {
        let mut code = syn::parse_file(&read(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        WithoutTests.visit_file_mut(&mut code);
        for item in &code.items {
            if let Item::Mod(module) = item
                && module.content.is_none()
            {
                let place: Vec<String> = place.iter().cloned().chain([module.ident.to_string()]).collect();
                let path = format!("{src}/{}", place.join("/"));
                let flat = format!("{path}.rs");
                let file = if root().join(&flat).exists() { flat } else { format!("{path}/mod.rs") };
                todo.push((file, place));
            }
        }
        found.push(Module { file, place, code });
    }
    found.sort_by(|a, b| a.place.cmp(&b.place));
    found
}

struct WithoutTests;

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test")))
    })
}

#[allow(clippy::wildcard_enum_match_arm, reason = "syn's items may become more; those that matter here are named")]
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl VisitMut for WithoutTests {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        file.items.retain(|item| !is_for_tests(attributes(item)));
        syn::visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_impl_mut(&mut self, item: &mut syn::ItemImpl) {
        item.items.retain(|item| !matches!(item, syn::ImplItem::Fn(function) if is_for_tests(&function.attrs)));
        syn::visit_mut::visit_item_impl_mut(self, item);
    }
}

/// Fails for what breaks a rule and is not on the rule's list of exceptions, and for exceptions that nothing needs any more.
#[track_caller]
pub(crate) fn only(exceptions: &[&str], found: &BTreeMap<String, String>, rule: &str) {
    let exceptions: BTreeSet<&str> = exceptions.iter().copied().collect();
    let new = found.iter().filter(|(what, _)| !exceptions.contains(what.as_str()));
    let new: Vec<String> = new.map(|(what, why)| format!("  {what}: {why}")).collect();
    let stale: Vec<String> =
        exceptions.iter().filter(|what| !found.contains_key(**what)).map(|what| format!("  {what}")).collect();
    let mut message = String::new();
    if !new.is_empty() {
        message += &format!("\n{rule}. Broken by:\n{}", new.join("\n"));
    }
    if !stale.is_empty() {
        message += &format!("\nExceptions that nothing needs any more, to be deleted:\n{}", stale.join("\n"));
    }
    assert!(message.is_empty(), "{message}");
}
