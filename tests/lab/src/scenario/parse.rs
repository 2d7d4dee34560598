//! From text to steps. A mistake is named with its line.

use std::fmt;

use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};

use super::schema::{Action, Expectation, Located, Scenario, Step};

/// A file that is no scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadScenario {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for BadScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for BadScenario {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outline<'a> {
    title: String,
    #[serde(default)]
    story: Option<String>,
    #[serde(borrow)]
    steps: Vec<&'a RawValue>,
}

/// Reads the scenario of a file of this name.
///
/// # Errors
/// Names the line of the first mistake: of the JSON, or of a step that is not known or lacks something.
pub fn parse(name: &str, text: &str) -> Result<Scenario, BadScenario> {
    let outline: Outline<'_> = serde_json::from_str(text).map_err(|error| BadScenario {
        line: error.line().max(1),
        what: match error.classify() {
            Category::Eof => "the file ends in the middle".into(),
            Category::Syntax | Category::Data | Category::Io => error.to_string(),
        },
    })?;
    if outline.steps.is_empty() {
        return Err(BadScenario { line: 1, what: "a scenario without steps shows nothing".into() });
    }
    let steps = outline.steps.into_iter().map(|raw| {
        let before = (raw.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let line = 1 + text.get(..before).unwrap_or_default().matches('\n').count();
        parse_step(raw.get()).map(|step| Located { line, step }).map_err(|what| BadScenario { line, what })
    });
    let name = name.to_owned();
    Ok(Scenario { name, title: outline.title, story: outline.story, steps: steps.collect::<Result<_, _>>()? })
}

fn parse_step(text: &str) -> Result<Step, String> {
    /// Which kind of step it is, and nothing else.
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "do")]
        action: Option<serde::de::IgnoredAny>,
        expect: Option<serde::de::IgnoredAny>,
    }
    // Positions within the step would only confuse.
    let complaint = |error: serde_json::Error| {
        let text = error.to_string();
        text.split(" at line ").next().unwrap_or_default().to_owned()
    };
    let kind: Kind = serde_json::from_str(text).map_err(complaint)?;
    match (kind.action, kind.expect) {
        (Some(_), None) => serde_json::from_str::<Action>(text).map(Step::Do).map_err(complaint),
        (None, Some(_)) => serde_json::from_str::<Expectation>(text).map(Step::Expect).map_err(complaint),
        (Some(_), Some(_)) => Err("a step either does something or expects something, not both".into()),
        (None, None) => Err("a step says what it does (\"do\") or what it expects (\"expect\")".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> BadScenario {
        parse("a_story", text).unwrap_err()
    }

    #[test]
    fn an_unknown_step_is_named_with_its_line() {
        let bad = mistake(
            "{\n \"title\": \"t\",\n \"steps\": [\n  {\"do\": \"wait\", \"seconds\": 1},\n  {\"do\": \"dance\"}\n ]\n}",
        );
        assert_eq!(bad.line, 5);
        assert!(bad.what.contains("dance"), "{bad}");
    }

    #[test]
    fn a_mistake_in_a_step_is_named_with_its_line() {
        for (step, word) in [
            (r#"{"do": "wait"}"#, "seconds"),
            (r#"{"do": "wait", "seconds": 1, "minutes": 2}"#, "minutes"),
            (r#"{"do": "wait", "seconds": "long"}"#, "invalid type"),
            (r#"{"do": "availability", "on": "web", "to": "asleep"}"#, "asleep"),
            (r#"{"do": "wait", "seconds": 1, "expect": "rings"}"#, "both"),
            (r#"{"do": "forward", "on": "web"}"#, "missing field `to`"),
            (r#"{"expect": "banner", "on": "iphone"}"#, "missing field `is`"),
            (r#"{"do": "kill", "on": "web"}"#, "“web” is none of these: iphone, android"),
            (r#"{"do": "open", "on": "fridge"}"#, "“fridge” is none of these: iphone, android, web, dashboard"),
            (r#"{"do": "hang_up", "on": "queue", "call": "c"}"#, "caller"),
            (r#"{"expect": "rings", "on": ["iphone", "nokia"], "call": "c"}"#, "“nokia” is none of these"),
            (r#"{"do": "sign_in", "on": "web", "as": "bob@acme.example"}"#, "alice@acme.example, olivia@"),
            (r#"{}"#, "do"),
            (r#"7"#, "invalid type"),
        ] {
            let bad = mistake(&format!("{{\"title\": \"t\",\n\"steps\": [\n\n{step}]}}"));
            assert_eq!(bad.line, 4, "{step}");
            assert!(bad.what.contains(word), "{step}: {bad}");
        }
    }

    #[test]
    fn malformed_json_is_named_with_its_line() {
        assert_eq!(mistake("{\n\"title\": \"t\",\n\"steps\": [}").line, 3);
        assert_eq!(mistake("{\n\"title\": \"t\",\n").what, "the file ends in the middle");
        assert_eq!(mistake("").line, 1);
        assert!(mistake("{\"title\": \"t\", \"steps\": []}").what.contains("without steps"));
        assert!(mistake("{\"title\": \"t\",\n \"stepps\": []}").what.contains("stepps"));
    }
}
