//! Recording what happened, and doing it again.
//!
//! A transcript is a file of JSON lines: the first is the [`Start`], each other an [`Entry`] of one step. It holds no
//! secret, because the machine holds none; phone numbers, names and e-mail addresses are replaced by stable stand-ins, so
//! that a transcript from somebody's phone can be sent to support and still replays.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Effects, Event, Setup, State, Timestamp, step};

/// The first line of a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The number of the format; a reader refuses one that it does not know.
    pub transcript: u32,
    /// What does not change while the process lives: the configuration and the name of the installation.
    pub setup: Setup,
    /// The state before the first entry; `None`: that of a process that has just started.
    #[serde(default)]
    pub state: Option<Box<State>>,
}

/// The format that this version writes.
pub const FORMAT: u32 = 2;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The time that the step was told.
    pub now: Timestamp,
    /// The event that was taken in.
    pub event: Event,
    /// What was to be done.
    pub effects: Effects,
}

/// Writes a transcript, with personal data replaced.
#[derive(Debug, Default)]
pub struct Recorder {
    stand_ins: StandIns,
}

impl Recorder {
    /// The first line.
    pub fn start(&mut self, setup: &Setup, state: Option<&State>) -> serde_json::Result<String> {
        let start = Start { transcript: FORMAT, setup: setup.clone(), state: state.cloned().map(Box::new) };
        self.line(&start)
    }

    /// A line for a step.
    pub fn entry(&mut self, entry: &Entry) -> serde_json::Result<String> {
        self.line(entry)
    }

    fn line(&mut self, what: &impl Serialize) -> serde_json::Result<String> {
        let mut value = serde_json::to_value(what)?;
        self.stand_ins.texts.clear();
        self.stand_ins.learn(&value, None);
        self.stand_ins.learn_texts(&value, None);
        self.stand_ins.replace_in(&mut value, None);
        serde_json::to_string(&value)
    }
}

/// What a field holds, by its name.
enum Holds {
    Person(&'static str),
    /// Text from outside, which may quote anything.
    Text,
    /// Our own text, which may quote a text from outside.
    Quotes,
    Other,
}

fn holds(key: Option<&str>) -> Holds {
    match key {
        Some("number" | "line_number" | "from" | "forwarded_to") => Holds::Person("number"),
        Some("email" | "hint") => Holds::Person("email"),
        Some("name" | "from_name") => Holds::Person("name"),
        Some("cause" | "code" | "complaint" | "description" | "detail" | "error") => Holds::Text,
        Some("why" | "steps") => Holds::Quotes,
        Some(_) | None => Holds::Other,
    }
}

/// Stable replacements for personal data.
#[derive(Debug, Default)]
struct StandIns {
    /// By kind and value.
    known: BTreeMap<(&'static str, String), String>,
    /// Texts of the present line that had to be changed.
    texts: BTreeMap<String, String>,
}

/// Calls `visit` with each text of a value and the name of its field.
fn walk(value: &Value, key: Option<&str>, visit: &mut impl FnMut(Option<&str>, &str)) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| walk(value, Some(key), visit)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, key, visit)),
        Value::String(text) => visit(key, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl StandIns {
    fn learn(&mut self, value: &Value, key: Option<&str>) {
        walk(value, key, &mut |key, text| {
            if let Holds::Person(kind) = holds(key) {
                self.stand_in(kind, text);
            }
        });
    }

    fn learn_texts(&mut self, value: &Value, key: Option<&str>) {
        walk(value, key, &mut |key, text| {
            if matches!(holds(key), Holds::Text) {
                let clean = self.scrub(text);
                if clean != text {
                    self.texts.insert(text.to_owned(), clean);
                }
            }
        });
    }

    fn replace_in(&mut self, value: &mut Value, key: Option<&str>) {
        match value {
            Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| self.replace_in(value, Some(key))),
            Value::Array(items) => items.iter_mut().for_each(|item| self.replace_in(item, key)),
            Value::String(text) => match holds(key) {
                Holds::Person(kind) => *text = self.stand_in(kind, text),
                // The same in an event and wherever an effect quotes it: so the transcript still replays.
                Holds::Text | Holds::Quotes => {
                    for (original, clean) in &self.texts {
                        *text = text.replace(original, clean);
                    }
                }
                Holds::Other => {}
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A text without what is known of persons, and without what looks like a number or an address.
    fn scrub(&mut self, text: &str) -> String {
        let mut clean = text.to_owned();
        for ((_, value), stand_in) in self.known.iter().filter(|((_, value), _)| value.chars().count() > 2) {
            clean = clean.replace(value, stand_in);
        }
        let words: Vec<String> = clean.split(' ').map(|word| self.scrub_word(word)).collect();
        self.scrub_numbers(&words.join(" "))
    }

    fn scrub_word(&mut self, word: &str) -> String {
        let address = word.trim_matches(|c: char| !c.is_alphanumeric());
        if address.contains('@') && !address.ends_with("@example.invalid") {
            let stand_in = self.stand_in("email", address);
            word.replace(address, &stand_in)
        } else {
            word.to_owned()
        }
    }

    fn scrub_numbers(&mut self, text: &str) -> String {
        let mut parts = text.split('+');
        let mut clean = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !(c.is_ascii_digit() || " .-()/".contains(c))).unwrap_or(part.len());
            let (run, rest) = part.split_at(end);
            let number = run.trim_end_matches(|c: char| !c.is_ascii_digit());
            let digits: String = number.chars().filter(char::is_ascii_digit).collect();
            if digits.len() >= 7 && !digits.starts_with("999") {
                clean.push_str(&self.stand_in("number", &format!("+{digits}")));
                clean.push_str(run.get(number.len()..).unwrap_or_default());
                clean.push_str(rest);
            } else {
                clean.push('+');
                clean.push_str(part);
            }
        }
        clean
    }

    fn stand_in(&mut self, kind: &'static str, text: &str) -> String {
        let count = self.known.len();
        let known = self.known.entry((kind, text.to_owned()));
        known
            .or_insert_with(|| match kind {
                // A country code that is not assigned, so that nobody is called by mistake.
                "number" => format!("+999{count:07}"),
                "email" => format!("person{count}@example.invalid"),
                _ => format!("Person {count}"),
            })
            .clone()
    }
}

/// A transcript that does not replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for Divergence {}

/// Does again what a transcript tells, and gives the state at its end.
///
/// # Errors
/// Names the first line that cannot be read, or whose effects are other than they were.
pub fn replay(transcript: &str) -> Result<State, Divergence> {
    let mut lines =
        transcript.lines().enumerate().map(|(index, text)| (index + 1, text)).filter(|(_, l)| !l.trim().is_empty());
    let (line, first) = lines.next().ok_or(Divergence { line: 1, what: "the transcript is empty".into() })?;
    let start: Start = serde_json::from_str(first)
        .map_err(|error| Divergence { line, what: format!("not the start of a transcript: {error}") })?;
    if start.transcript != FORMAT {
        return Err(Divergence { line, what: format!("format {} is not known", start.transcript) });
    }
    let mut state = start.state.map_or_else(|| State::new(start.setup), |state| *state);
    for (line, text) in lines {
        let entry: Entry =
            serde_json::from_str(text).map_err(|error| Divergence { line, what: format!("not a step: {error}") })?;
        let effects = step(&mut state, entry.event, entry.now);
        if effects != entry.effects {
            let what = format!("other effects than recorded\n recorded: {:?}\n now:      {effects:?}", entry.effects);
            return Err(Divergence { line, what });
        }
    }
    Ok(state)
}

#[cfg(test)]
mod tests;
