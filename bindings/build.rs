//! Writes the exports of the core's own types, so that a concept is written once: in the core.
//!
//! UniFFI exports a type of another crate by `#[uniffi::remote(Record)]` or `#[uniffi::remote(Enum)]` above a copy of its
//! definition. The copies are made here, from the sources of `core/machine` and `core/wire`: of [`ROOTS`], and of all types that
//! their fields name. What travels as one plain value is declared in `src/model.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::Path,
};

use quote::ToTokens;
use syn::{Attribute, Fields, Item, Type, Visibility, punctuated::Punctuated, visit::Visit};

/// What methods of the exported object take and give. (All types that these name come along.)
const ROOTS: [&str; 6] = ["AppState", "StoppedCall", "RingDecision", "RingLogEntry", "CodeBy", "IssuerProfile"];
/// Thrown.
const ERROR: &str = "Failure";
const SOURCES: [&str; 2] = ["../core/machine/src", "../core/wire/src"];

/// Android's loader reads packed relocations since API 23; the linker of the NDK (lld) packs them when it is told to.
const PACKED: &str = "-Wl,--pack-dyn-relocs=android";

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "android") {
        println!("cargo::rustc-cdylib-link-arg={PACKED}");
    }
    let mut defined = BTreeMap::new();
    for folder in SOURCES {
        println!("cargo::rerun-if-changed={folder}");
        collect(Path::new(folder), &mut defined)?;
    }
    let mut exports = String::new();
    let mut todo: Vec<String> = ROOTS.into_iter().chain([ERROR]).map(str::to_owned).collect();
    let mut done = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if !done.insert(name.clone()) {
            continue;
        }
        match defined.get(&name).map(Vec::as_slice) {
            // A plain value, or a type of the standard library.
            None | Some([Item::Struct(syn::ItemStruct { fields: Fields::Unnamed(_), .. })])
                if !ROOTS.contains(&&*name) => {}
            Some([item]) => {
                let kind = if name == ERROR { "Error" } else { kind(item) };
                let mut names = Names(Vec::new());
                names.visit_item(item);
                todo.extend(names.0);
                exports += &format!("#[::uniffi::remote({kind})]\n{}\n\n", bare(item.clone()).to_token_stream());
            }
            None => return Err(format!("nobody defines {name}").into()),
            Some(_) => return Err(format!("{name} is defined more than once").into()),
        }
    }
    fs::write(Path::new(&std::env::var("OUT_DIR")?).join("model.rs"), exports)?;
    Ok(())
}

/// The public structs and enums of a folder's files, by name.
fn collect(folder: &Path, into: &mut BTreeMap<String, Vec<Item>>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for item in syn::parse_file(&fs::read_to_string(&path)?)?.items {
                let (name, visibility) = if let Item::Struct(it) = &item {
                    (it.ident.to_string(), &it.vis)
                } else if let Item::Enum(it) = &item {
                    (it.ident.to_string(), &it.vis)
                } else {
                    continue;
                };
                if matches!(visibility, Visibility::Public(_)) {
                    into.entry(name).or_default().push(item);
                }
            }
        }
    }
    Ok(())
}

const fn kind(item: &Item) -> &'static str {
    if matches!(item, Item::Enum(_)) { "Enum" } else { "Record" }
}

/// The definition with its documentation, and without what it derives. Fields of records that may be empty are by default, so that a
/// test or a preview says only what it is about, and goes on compiling when apps are shown one more thing.
fn bare(item: Item) -> Item {
    struct Bare;
    impl syn::visit_mut::VisitMut for Bare {
        fn visit_attributes_mut(&mut self, attributes: &mut Vec<Attribute>) {
            attributes.retain(|attribute| attribute.path().is_ident("doc"));
        }
    }
    let mut item = item;
    syn::visit_mut::VisitMut::visit_item_mut(&mut Bare, &mut item);
    if let Item::Struct(record) = &mut item {
        for field in &mut record.fields {
            if let Some(empty) = empty(&field.ty) {
                field.attrs.push(syn::parse_quote!(#[uniffi(default = #empty)]));
            }
        }
    }
    item
}

/// What a field of a type is when there is nothing to say.
fn empty(ty: &Type) -> Option<syn::Expr> {
    let Type::Path(path) = ty else { return None };
    match path.path.segments.last()?.ident.to_string().as_str() {
        "Option" => Some(syn::parse_quote!(None)),
        "Vec" => Some(syn::parse_quote!([])),
        "String" => Some(syn::parse_quote!("")),
        "bool" => Some(syn::parse_quote!(false)),
        _ => None,
    }
}

/// The types that a definition names.
struct Names(Vec<String>);

impl Visit<'_> for Names {
    fn visit_type(&mut self, ty: &Type) {
        if let Type::Path(path) = ty {
            let segments: &Punctuated<_, _> = &path.path.segments;
            self.0.extend(segments.last().map(|segment| segment.ident.to_string()));
        }
        syn::visit::visit_type(self, ty);
    }
}
