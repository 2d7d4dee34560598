//! What apps see: the Kotlin and Swift layers. Of the generated code below them they may see the core's own model, which is
//! written once and handed through, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use syn::Item;

use crate::sources::{files, modules, only, read};

/// The types that the core itself defines. Whatever else is generated (`Core`, the ports, converters) is machinery.
fn model() -> BTreeSet<String> {
    modules("core/machine/src")
        .into_iter()
        .chain(modules("core/wire/src"))
        .flat_map(|module| module.code.items)
        .filter_map(|item| {
            if let Item::Enum(syn::ItemEnum { ident, .. }) | Item::Struct(syn::ItemStruct { ident, .. }) = item {
                Some(ident.to_string())
            } else if let Item::Macro(item) = item
                && item.mac.path.is_ident("id")
            {
                // `id! { /// What it names. Name }`
                item.mac.tokens.to_string().split_whitespace().last().map(str::to_owned)
            } else {
                None
            }
        })
        .collect()
}

/// The names that follow a prefix in a text.
fn names_after<'a>(text: &'a str, prefix: &str) -> impl Iterator<Item = &'a str> {
    text.split(prefix).skip(1).map(|rest| {
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    })
}

/// What is generated from the bindings alone, and meant: plain values without a twin in the core.
const MEANT: [&str; 2] = ["LogLevel", "Moment"];

/// What is declared by hand in a folder of Kotlin: its types, and the classes that hold its files' functions.
fn written_by_hand(folder: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files(folder, &["kt"]) {
        for keyword in ["class ", "interface ", "object "] {
            names.extend(names_after(&read(&file), keyword).map(str::to_owned));
        }
        let stem = file.rsplit('/').next().and_then(|name| name.strip_suffix(".kt"));
        names.extend(stem.map(|stem| format!("{stem}Kt")));
    }
    names
}

fn leaks(snapshot: &str, prefix: &str, by_hand: &BTreeSet<String>) -> BTreeMap<String, String> {
    let model = model();
    let text = read(snapshot);
    // Kotlin calls a private constructor from a companion through a synthetic one.
    let lines = text.lines().filter(|line| !line.contains(" synthetic "));
    lines
        .flat_map(|line| names_after(line, prefix).map(move |name| (name, line)))
        .filter(|(name, _)| !model.contains(*name) && !by_hand.contains(*name) && !MEANT.contains(name))
        .map(|(name, line)| (format!("{prefix}{name}"), format!("in {snapshot}: {}", line.trim())))
        .collect()
}

#[test]
fn no_machinery_is_in_the_public_api_of_kotlin() {
    let by_hand = written_by_hand("bindings/kotlin/src/main");
    let found = leaks("bindings/kotlin/hookswitch.api", "dev/hookswitch/", &by_hand);
    only(
        &[],
        &found,
        "The Kotlin API has what is written there by hand, and the core's model, and nothing else of the generated code",
    );
}

#[test]
fn no_machinery_is_in_the_public_api_of_swift() {
    let mut found = leaks("bindings/swift/api.swiftinterface", "HookswitchGenerated.", &BTreeSet::new());
    found.extend(leaks("bindings/swift/api.swiftinterface", "HookswitchFFI.", &BTreeSet::new()));
    only(&[], &found, "The Swift API shows nothing of the generated code but the core's model");
}

/// What only generated code, and the layer above it, name.
const KOTLIN_MACHINERY: [&str; 5] =
    ["CoreConfig", "FfiConverter", "UniffiLib", "import dev.hookswitch.Core\n", "dev.hookswitch.Core("];

#[test]
fn nobody_goes_past_the_kotlin_and_swift_layers() {
    let mut found = BTreeMap::new();
    // What is generated for Kotlin is in the layer's own package, where `internal` hides it from other modules; the tests here, and what is
    // compiled together with it, could name it all the same.
    let kotlin =
        files("android", &["kt"]).into_iter().flat_map(|file| KOTLIN_MACHINERY.map(|below| (file.clone(), below)));
    let swift = files("ios", &["swift"]).into_iter().flat_map(|file| {
        // The packages' own descriptions name what they are made of.
        let code = !file.contains("/Package");
        [(file.clone(), "import HookswitchGenerated"), (file, "import HookswitchFFI")].into_iter().filter(move |_| code)
    });
    for (file, below) in kotlin.chain(swift) {
        if read(&file).contains(below) {
            found.insert(file, below.trim().to_owned());
        }
    }
    only(&[], &found, "The platform's libraries and apps use the Kotlin and Swift layers, not what is below them");
}

#[test]
fn names_are_found_wherever_they_stand() {
    let line = "fun f (Ldev/x/Core;ILdev/x/Availability$Automatic;)V";
    assert_eq!(names_after(line, "dev/x/").collect::<Vec<_>>(), ["Core", "Availability"]);
}
