//! The floors of the core's two crates. A room uses only the floors below its own, and on its own floor no room that uses it in
//! turn; so each can be read with nothing in mind but what is below. One floor of each crate may go in a circle: in the machine
//! the rooms of behaviour, which are one `impl Step` in several files; in the client those that speak to servers, since reading an
//! answer takes what was asked, and asking takes the ways in which answers fail.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Item, UseTree, visit::Visit};

use crate::sources::{Module, modules, only, read};

/// A crate whose rooms have floors. A room is a file or a folder.
struct Layered {
    src: &'static str,
    /// From the ground up. Rooms that are not there are passed over.
    floors: &'static [(&'static str, &'static [&'static str])],
    circle: &'static str,
}

const CRATES: [Layered; 2] = [
    Layered {
        src: "core/machine/src",
        floors: &[
            // The values that it is about are words, too: all above it may name them.
            ("the rule", &["ring", "issuer_profile"]),
            (
                "words",
                &["names", "time", "backoff", "error", "timer", "kept", "choice", "sentences", "event", "effect"],
            ),
            ("checks", &["redirect", "claims", "metadata"]),
            ("state", &["state", "running", "step"]),
            ("behaviour", &["session", "presence", "calls", "device", "account", "lifecycle", "revocation"]),
            ("face", &["lib", "view", "transcript"]),
        ],
        circle: "behaviour",
    },
    Layered {
        src: "core/client/src",
        floors: &[
            ("outside", &["ports", "config", "secrets", "transcript"]),
            ("servers", &["answer", "auth", "sync"]),
            ("storage and network", &["store", "http"]),
            ("work", &["shared_machine", "driver"]),
            ("face", &["lib"]),
        ],
        circle: "servers",
    },
];

impl Layered {
    /// The floor of a room.
    fn floor(&self, room: &str) -> usize {
        let at = self.floors.iter().position(|(_, rooms)| rooms.contains(&room));
        at.unwrap_or_else(|| {
            panic!("{} has a room \"{room}\" that is on no floor: give it its place in CRATES", self.src)
        })
    }
}

fn room(place: &[String]) -> String {
    place.first().map_or_else(|| "lib".to_owned(), Clone::clone)
}

/// What a file names of its own crate, as paths from the crate's top.
struct Named<'a> {
    place: &'a [String],
    found: BTreeSet<Vec<String>>,
}

impl Named<'_> {
    fn path(&mut self, path: &[String]) {
        // From here to the crate's top.
        let mut base: Vec<String> = match path.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.place.to_vec(),
            // In lib.rs a module's name is enough.
            Some(_) if self.place.is_empty() => {
                self.found.insert(path.to_vec());
                return;
            }
            _ => return,
        };
        let mut rest = path;
        while let Some((first, others)) = rest.split_first() {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => drop(base.pop()),
                _ => break,
            }
            rest = others;
        }
        base.extend(rest.iter().cloned());
        self.found.insert(base);
    }

    fn tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            UseTree::Name(name) => self.path(&with(&name.ident)),
            UseTree::Rename(name) => self.path(&with(&name.ident)),
            UseTree::Glob(_) => self.path(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Named<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        // What lib.rs hands on is not used by it.
        if self.place.is_empty() && matches!(item.vis, syn::Visibility::Public(_)) {
            return;
        }
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 {
            self.path(&names);
        }
        syn::visit::visit_path(self, path);
    }
}

/// What lib.rs hands on under its own name: name -> room.
fn handed_on(lib: &Module) -> BTreeMap<String, String> {
    fn leaves(before: Option<&str>, tree: &UseTree, into: &mut BTreeMap<String, String>) {
        match (tree, before) {
            (UseTree::Path(path), None) => leaves(Some(&path.ident.to_string()), &path.tree, into),
            (UseTree::Path(path), before) => leaves(before, &path.tree, into),
            (UseTree::Name(name), Some(room)) => drop(into.insert(name.ident.to_string(), room.to_owned())),
            (UseTree::Rename(name), Some(room)) => drop(into.insert(name.rename.to_string(), room.to_owned())),
            (UseTree::Group(group), before) => group.items.iter().for_each(|tree| leaves(before, tree, into)),
            (UseTree::Name(_) | UseTree::Rename(_), None) | (UseTree::Glob(_), _) => {}
        }
    }
    let mut names = BTreeMap::new();
    for item in &lib.code.items {
        if let Item::Use(item) = item {
            leaves(None, &item.tree, &mut names);
        }
    }
    names
}

/// Which room names which, and by what.
fn uses(krate: &Layered) -> BTreeMap<(String, String), BTreeSet<String>> {
    let modules = modules(krate.src);
    let lib = modules.iter().find(|module| module.place.is_empty()).unwrap();
    let handed_on = handed_on(lib);
    let rooms: BTreeSet<String> = modules.iter().map(|module| room(&module.place)).collect();
    let mut uses: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for module in &modules {
        let from = room(&module.place);
        let mut named = Named { place: &module.place, found: BTreeSet::new() };
        named.visit_file(&module.code);
        for path in named.found {
            let Some(first) = path.first() else { continue };
            let to = match handed_on.get(first) {
                _ if rooms.contains(first) => first.clone(),
                Some(room) if rooms.contains(room) => room.clone(),
                // Another crate's, or a name of lib.rs's own.
                _ if module.place.is_empty() => continue,
                Some(_) => continue,
                None => "lib".to_owned(),
            };
            if from != to {
                uses.entry((from.clone(), to)).or_default().insert(path.join("::"));
            }
        }
    }
    uses
}

#[test]
fn every_room_has_its_floor_and_none_is_named_twice() {
    for krate in &CRATES {
        let all: Vec<&str> = krate.floors.iter().flat_map(|(_, rooms)| rooms.iter().copied()).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for module in modules(krate.src) {
            krate.floor(&room(&module.place));
        }
    }
}

#[test]
fn the_page_at_the_head_of_a_crate_names_every_room() {
    for krate in &CRATES {
        let lib = format!("{}/lib.rs", krate.src);
        let text = read(&lib);
        let page: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        for module in modules(krate.src) {
            let room = room(&module.place);
            assert!(room == "lib" || page.contains(&format!("`{room}`")), "{lib} does not name {room}");
        }
    }
}

#[test]
fn a_room_uses_only_the_floors_below() {
    for krate in &CRATES {
        let found = uses(krate)
            .into_iter()
            .filter(|((from, to), _)| krate.floor(to) > krate.floor(from))
            .map(|((from, to), by)| {
                (format!("{from} -> {to}"), format!("by {}", by.into_iter().collect::<Vec<_>>().join(", ")))
            })
            .collect();
        only(&[], &found, &format!("A room of {} uses only the floors below its own", krate.src));
    }
}

#[test]
fn only_one_floor_of_a_crate_goes_in_a_circle() {
    for krate in &CRATES {
        let uses = uses(krate);
        let mut found = BTreeMap::new();
        for (name, rooms) in krate.floors.iter().filter(|(name, _)| *name != krate.circle) {
            // Whoever uses nobody who is left, goes; a circle is what stays.
            let mut left: BTreeSet<&str> = rooms.iter().copied().collect();
            loop {
                let stays = |room: &str| left.iter().any(|to| uses.contains_key(&(room.to_owned(), (*to).to_owned())));
                let next: BTreeSet<&str> = left.iter().copied().filter(|room| stays(room)).collect();
                if next.len() == left.len() {
                    break;
                }
                left = next;
            }
            found
                .extend(left.iter().map(|room| ((*room).to_owned(), format!("on the floor of {name}, with {left:?}"))));
        }
        only(&[], &found, &format!("Only the rooms of \"{}\" go in a circle in {}", krate.circle, krate.src));
    }
}
