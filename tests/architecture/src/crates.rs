//! Who may depend on whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

use crate::sources::root;

/// Each crate of the workspace, and those of its siblings that it may use. Downwards only:
/// bindings -> client -> machine -> wire; and whoever tests uses the client as any customer does.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("hookswitch-wire", &[]),
    ("hookswitch-machine", &["hookswitch-wire"]),
    ("hookswitch", &["hookswitch-machine", "hookswitch-wire"]),
    ("hookswitch-ffi", &["hookswitch"]),
    ("hookswitch-bindgen", &[]),
    ("hookswitch-backend", &["hookswitch-wire", "pages"]),
    ("pages", &[]),
    ("lab", &["hookswitch", "hookswitch-backend", "pages"]),
    ("prove", &["hookswitch", "hookswitch-backend", "lab"]),
    ("interop", &["hookswitch", "pages"]),
    ("probe", &["hookswitch"]),
    ("architecture", &[]),
];

/// All that these crates may use of others'.
const MAY_USE_OF_OTHERS: [(&str, &[&str]); 2] =
    [("hookswitch-wire", &["serde", "serde_json"]), ("hookswitch-machine", &["serde", "serde_json"])];

/// The direct dependencies of the workspace's crates; those of tests and build scripts apart.
fn dependencies() -> BTreeMap<String, Dependencies> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let mut all = Dependencies::default();
            for dependency in package["dependencies"].as_array().unwrap() {
                let of = if dependency["kind"].is_null() { &mut all.normal } else { &mut all.other };
                of.insert(text(&dependency["name"]));
            }
            (text(&package["name"]), all)
        })
        .collect()
}

#[derive(Default)]
struct Dependencies {
    normal: BTreeSet<String>,
    other: BTreeSet<String>,
}

#[test]
fn dependencies_point_one_way() {
    let found = dependencies();
    let allowed = BTreeMap::from(MAY_USE);
    let members: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(members, allowed.keys().copied().collect(), "every crate of the workspace has its line in MAY_USE");
    for (name, uses) in &found {
        for used in uses.normal.union(&uses.other).filter(|used| members.contains(used.as_str())) {
            assert!(allowed[name.as_str()].contains(&used.as_str()), "{name} may not use {used}");
        }
    }
}

#[test]
fn the_machine_and_the_contract_need_nothing_but_serde() {
    let found = dependencies();
    for (name, others) in MAY_USE_OF_OTHERS {
        for used in found[name].normal.iter().filter(|used| !found.contains_key(*used)) {
            assert!(others.contains(&used.as_str()), "{name} may not use {used}: it is pure");
        }
    }
}
