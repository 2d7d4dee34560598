//! The machine is pure: what it does depends on its arguments alone, so whatever a phone did can be done again from a transcript.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};

use crate::sources::{modules, only};

/// Of the standard library, what looks at the world, changes it, or keeps something outside of the state.
const WORLD: [&str; 13] =
    ["cell", "env", "fs", "hash", "io", "net", "os", "path", "process", "rc", "sync", "thread", "time"];
/// Plain values, although their module is of the world: an address is a number until somebody connects to it.
const VALUES: [&str; 3] = ["IpAddr", "Ipv4Addr", "Ipv6Addr"];
/// Others' crates are named in `crates`; these are named here too, for a message that says why.
const FOREIGN: [&str; 7] = ["tokio", "futures_util", "rand", "fastrand", "getrandom", "uniffi", "libc"];
const MACROS: [&str; 7] = ["print", "println", "eprint", "eprintln", "dbg", "thread_local", "include_str"];
/// Their order differs from run to run.
const UNORDERED: [&str; 3] = ["HashMap", "HashSet", "RandomState"];

#[derive(Default)]
struct Impure(Vec<String>);

impl Impure {
    fn path(&mut self, path: &[String]) {
        let first = path.first().map_or("", String::as_str);
        let second = path.get(1).map_or("", String::as_str);
        let is_value = path.len() == 3 && path.last().is_some_and(|last| VALUES.contains(&last.as_str()));
        let is_world = matches!(first, "std" | "core" | "alloc") && WORLD.contains(&second) && !is_value;
        if is_world || FOREIGN.contains(&first) {
            self.0.push(path.join("::"));
        }
        if let Some(name) = path.iter().find(|name| UNORDERED.contains(&name.as_str())) {
            self.0.push(name.clone());
        }
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.path(&with(&name.ident)),
            // Under another name the world would not be seen any more.
            syn::UseTree::Rename(name) if before.is_empty() => {
                self.0.push(format!("{} as {}", name.ident, name.rename))
            }
            syn::UseTree::Rename(name) => self.path(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.path(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }
}

impl<'ast> Visit<'ast> for Impure {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.path(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        if let Some(name) = item.path.segments.last().map(|segment| segment.ident.to_string())
            && MACROS.contains(&name.as_str())
        {
            self.0.push(format!("{name}!"));
        }
        visit::visit_macro(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.asyncness.is_some() {
            self.0.push(format!("async fn {}", signature.ident));
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {
        self.0.push("an async block".into());
    }

    fn visit_expr_unsafe(&mut self, _: &'ast syn::ExprUnsafe) {
        self.0.push("an unsafe block".into());
    }

    fn visit_item_foreign_mod(&mut self, _: &'ast syn::ItemForeignMod) {
        self.0.push("an extern block".into());
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.0.push(format!("static {}: whatever is remembered is in the state", item.ident));
    }
}

#[test]
fn the_machine_is_pure() {
    let mut found = BTreeMap::new();
    for module in modules("core/machine/src").into_iter().chain(modules("core/wire/src")) {
        let mut impure = Impure::default();
        impure.visit_file(&module.code);
        if !impure.0.is_empty() {
            found.insert(module.file, impure.0.join(", "));
        }
    }
    only(&[], &found, "The machine has no clock, randomness, I/O, thread, async, unsafe or global state");
}
