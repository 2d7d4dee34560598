//! Every public declaration of the Kotlin and Swift layers has documentation directly above it.
//!
//! A scan, not a compiler: it goes by the layout that ktlint and swift-format hold (a declaration starts its own line). Excepted
//! are constants of enums, `override`s, companions without a name, and what a protocol demands in an extension that says so:
//! they mean what is documented elsewhere.

use std::collections::BTreeMap;

use crate::sources::{files, only, read};

/// "file: declaration", for now: these files are being rewritten.
const UNDOCUMENTED: [&str; 0] = [];

/// What a pair of braces holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// A type's members, and others may use them.
    Public,
    /// The members of a public Swift protocol, which are public without a word; or of a Kotlin type.
    Protocol,
    /// A type's members, for those only who may use the type; or those of an extension that fulfils a protocol.
    Hidden,
    /// A body: what is declared there is nobody else's.
    Body,
}

struct Language {
    /// Whether a declaration without a word about it is public.
    open: bool,
    hiding: &'static [&'static str],
    showing: &'static [&'static str],
    types: &'static [&'static str],
    members: &'static [&'static str],
    modifiers: &'static [&'static str],
}

const KOTLIN: Language = Language {
    open: true,
    hiding: &["private", "internal"],
    showing: &["public", "protected"],
    types: &["class", "interface", "object"],
    members: &["fun", "val", "var", "typealias", "constructor"],
    modifiers: &[
        "abstract",
        "annotation",
        "companion",
        "const",
        "data",
        "enum",
        "external",
        "final",
        "infix",
        "inline",
        "inner",
        "lateinit",
        "open",
        "operator",
        "override",
        "sealed",
        "suspend",
        "tailrec",
        "value",
    ],
};

const SWIFT: Language = Language {
    open: false,
    hiding: &["private", "fileprivate", "internal", "package"],
    showing: &["public", "open"],
    types: &["class", "struct", "enum", "protocol", "actor", "extension"],
    members: &["func", "var", "let", "init", "typealias", "subscript", "associatedtype"],
    modifiers: &[
        "convenience",
        "dynamic",
        "final",
        "indirect",
        "isolated",
        "lazy",
        "mutating",
        "nonisolated",
        "override",
        "required",
        "static",
        "unowned",
        "weak",
    ],
};

/// The line without texts and comments; `inside` says whether a comment goes on.
fn code(line: &str, inside: &mut bool) -> String {
    let mut code = String::new();
    let mut letters = line.chars().peekable();
    let mut quoted = false;
    while let Some(letter) = letters.next() {
        let next = letters.peek().copied();
        match (letter, next) {
            ('*', Some('/')) if *inside => {
                *inside = false;
                letters.next();
            }
            _ if *inside => {}
            ('\\', Some(_)) if quoted => drop(letters.next()),
            ('"', _) => quoted = !quoted,
            _ if quoted => {}
            ('/', Some('/')) => break,
            ('/', Some('*')) => {
                *inside = true;
                letters.next();
            }
            _ => code.push(letter),
        }
    }
    code
}

struct Declared<'a> {
    is_type: bool,
    /// `protocol` and `extension` are not as other types.
    keyword: &'a str,
    is_public: bool,
    is_excepted: bool,
}

/// What a line declares, if it starts a declaration.
fn declared<'a>(line: &'a str, language: &Language, scope: Scope) -> Option<Declared<'a>> {
    let (mut said, mut is_excepted, mut companion) = (None, false, false);
    for word in line.split_whitespace() {
        let name = word.split(['(', '<', ':', '?', '{']).next().unwrap_or(word);
        // `public private(set) var`, `nonisolated(unsafe)`: what is in brackets is about a part.
        let is_about_a_part = word.starts_with("private(set)") || word.starts_with("internal(set)");
        if word.starts_with('@') || is_about_a_part {
            continue;
        }
        if language.hiding.contains(&name) {
            said = Some(false);
        } else if language.showing.contains(&name) {
            said = Some(true);
        } else if language.types.contains(&name) || language.members.contains(&name) {
            // Swift: `static func ==`, and `class func`.
            let is_type = language.types.contains(&name);
            let nameless = companion && line.trim_end().ends_with("companion object {");
            let is_public = match scope {
                Scope::Public => said.unwrap_or(language.open),
                Scope::Protocol => said.unwrap_or(true),
                Scope::Hidden | Scope::Body => false,
            };
            let is_excepted = is_excepted || nameless || name == "extension";
            return Some(Declared { is_type, keyword: name, is_public, is_excepted });
        } else if language.modifiers.contains(&name) {
            is_excepted |= name == "override";
            companion |= name == "companion";
        } else {
            return None;
        }
    }
    None
}

/// The public declarations of a source that say nothing about themselves.
fn undocumented(text: &str, language: &Language) -> Vec<String> {
    let mut found = Vec::new();
    // What the next brace opens, while a declaration's head goes on over several lines.
    let mut opens: Option<Scope> = None;
    let mut scopes = vec![Scope::Public];
    let (mut round, mut inside, mut documented, mut is_type) = (0_i32, false, false, false);
    for line in text.lines() {
        let trimmed = line.trim();
        let was_inside = inside;
        let code = code(line, &mut inside);
        let code = code.trim();
        if code.is_empty() {
            let starts = trimmed.starts_with("/**") || trimmed.starts_with("///");
            // The lines of a comment belong to its start; an empty line parts it from what follows.
            documented = starts || (documented && was_inside);
            continue;
        }
        let scope = scopes.last().copied().unwrap_or(Scope::Body);
        // Kotlin's primary constructor belongs to the class that is being declared.
        let is_primary = is_type && opens.is_some() && code.starts_with("constructor");
        let head = (round == 0 && !is_primary).then(|| declared(code, language, scope)).flatten();
        if let Some(head) = head {
            // A generated type that gets its place in the module brings its documentation, from the core.
            let is_handed_on = head.keyword == "typealias" && code.contains("= HookswitchGenerated.");
            if head.is_public && !head.is_excepted && !documented && !is_handed_on {
                found.push(code.trim_end_matches(['{', ' ']).to_owned());
            }
            is_type = head.is_type;
            let fulfils = head.keyword == "extension" && code.contains(':');
            let hidden = !head.is_public && head.keyword != "extension";
            opens = Some(match head {
                _ if !head.is_type => Scope::Body,
                _ if scope == Scope::Body || fulfils || hidden => Scope::Hidden,
                _ if head.keyword == "protocol" => Scope::Protocol,
                _ => Scope::Public,
            });
        }
        // An annotation on a line of its own stands between a declaration and its documentation.
        documented = documented && code.starts_with('@') && declared(code, language, scope).is_none();
        for letter in code.chars() {
            match letter {
                '(' | '[' => round += 1,
                ')' | ']' => round -= 1,
                '{' if round == 0 => scopes.push(opens.take().unwrap_or(Scope::Body)),
                '{' => scopes.push(Scope::Body),
                '}' => drop(scopes.pop()),
                _ => {}
            }
        }
    }
    found
}

/// The properties of Kotlin's primary constructors that others see, and about which neither a comment directly above nor an
/// `@property` of their class says anything.
fn undocumented_properties(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut comment, mut inside, mut is_open) = (String::new(), false, false);
    // The words of the class that is being declared, until its head ends.
    let mut class: Option<String> = None;
    let mut round = 0_i32;
    for line in text.lines().map(str::trim) {
        if inside || line.starts_with("/**") {
            if !inside {
                comment.clear();
            }
            comment.push_str(line);
            comment.push('\n');
            inside = !line.contains("*/");
            continue;
        }
        // Annotations stand between a comment and what it is about.
        if line.is_empty() || line.starts_with('@') || line.starts_with("//") {
            continue;
        }
        let words: Vec<&str> = line.split([' ', '(']).collect();
        if class.is_none() && words.contains(&"class") {
            is_open = !words.iter().any(|word| KOTLIN.hiding.contains(word)) && !words.contains(&"enum");
            class = Some(std::mem::take(&mut comment));
            round = 0;
        }
        if let Some(said) = &class {
            for part in line.split([',', '(']).map(str::trim) {
                let hidden = KOTLIN.hiding.iter().any(|word| part.starts_with(word));
                let name = part
                    .split_once("val ")
                    .or_else(|| part.split_once("var "))
                    .and_then(|(before, rest)| {
                        before.chars().all(|letter| letter.is_lowercase() || letter == ' ').then_some(rest)
                    })
                    .and_then(|rest| rest.split_once(':'))
                    .map(|(name, _)| name.trim());
                if let Some(name) = name
                    && is_open
                    && !hidden
                    && !part.starts_with("override")
                    && comment.is_empty()
                    && !said.lines().any(|line| line.contains(&format!("@property {name} ")))
                {
                    found.push(name.to_owned());
                }
            }
            for letter in line.chars() {
                round += i32::from(letter == '(') - i32::from(letter == ')');
            }
            // The head ends with its bracket, or has none.
            if round == 0 && (line.contains(')') || line.ends_with('{')) {
                class = None;
            }
        }
        comment.clear();
    }
    found
}

#[test]
fn every_property_of_a_kotlin_constructor_is_documented() {
    let mut found = BTreeMap::new();
    for file in
        ["bindings/kotlin/src/main", "android/hookswitch/src/main"].into_iter().flat_map(|at| files(at, &["kt"]))
    {
        for property in undocumented_properties(&read(&file)) {
            found.insert(format!("{}: {property}", file.rsplit('/').next().unwrap_or(&file)), format!("in {file}"));
        }
    }
    only(
        &[],
        &found,
        "Every public property of a Kotlin constructor has an `@property` in its class, or a comment above",
    );
}

#[test]
fn kotlin_constructors_are_read_as_they_are_meant() {
    let text = r#"
        /**
         * Said.
         *
         * @property told What it is.
         */
        public data class A
        @JvmOverloads
        constructor(
            val told: String,
            val bare: Int = f(1, 2),
            private val hidden: Int,
            /** Said here. */
            val here: Int,
        )
        internal class B(val unseen: Int)
        class C(plain: Int, val second: String) : D(plain)
        class E {
            val body: Int = 1
        }
    "#;
    assert_eq!(undocumented_properties(text), ["bare", "second"]);
}

#[test]
fn every_public_declaration_of_kotlin_and_swift_is_documented() {
    let kotlin =
        ["bindings/kotlin/src/main", "android/hookswitch/src/main"].into_iter().flat_map(|at| files(at, &["kt"]));
    let swift = ["bindings/swift/Sources/Hookswitch", "ios/Sources"].into_iter().flat_map(|at| files(at, &["swift"]));
    let mut found = BTreeMap::new();
    for (file, language) in kotlin.map(|file| (file, &KOTLIN)).chain(swift.map(|file| (file, &SWIFT))) {
        let name = file.rsplit('/').next().unwrap_or(&file).to_owned();
        for declaration in undocumented(&read(&file), language) {
            found.insert(format!("{name}: {declaration}"), format!("in {file}"));
        }
    }
    only(
        &UNDOCUMENTED,
        &found,
        "Every public declaration of the Kotlin and Swift layers has documentation directly above it",
    );
}

#[test]
fn kotlin_is_read_as_it_is_meant() {
    let text = r#"
        /** Said. */
        @Suppress("a { that counts for nothing")
        public class A internal constructor(
            val inside: String,
        ) {
            val bare = 1
            private val hidden = 2
            /** Said. */
            fun body() {
                val local = 3
                object : B { override fun inner() {} }
            }
            override fun overridden() = 4

            /** Said, but of nothing. */

            fun apart() = 5
            companion object {
                const val DEEP = 6
            }
        }
        internal class C { fun f() = 7 }
        enum class D { ONE, TWO }
    "#;
    assert_eq!(
        undocumented(text, &KOTLIN),
        ["val bare = 1", "fun apart() = 5", "const val DEEP = 6", "enum class D { ONE, TWO }"]
    );
}

#[test]
fn swift_is_read_as_it_is_meant() {
    let text = r#"
        /// Said.
        public struct A: Sendable {
            public let bare: Int
            let hidden: Int
            /// Said.
            public init(a: Int) { let local = a }
            public enum B { case one }
        }
        /// Said.
        public protocol P: Sendable {
            func demanded() throws
        }
        extension A: P {
            public func demanded() {}
        }
        extension A {
            public static func more() {}
        }
        struct D { public let unseen = 1 }
    "#;
    assert_eq!(
        undocumented(text, &SWIFT),
        [
            "public let bare: Int",
            "public enum B { case one }",
            "func demanded() throws",
            "public static func more() {}"
        ]
    );
}
