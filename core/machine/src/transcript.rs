//! Recording what happened, and doing it again.
//!
//! A transcript is a file of JSON lines: the first is the [`Start`], each other an [`Entry`] of one step. It holds no
//! secret, because the heart holds none; phone numbers, names and e-mail addresses are replaced by stable stand-ins, so
//! that a transcript from somebody's phone can be sent to support and still replays.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Effect, Event, Setup, State, Timestamp, step};

/// The first line of a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The format.
    pub transcript: u32,
    /// The installation.
    pub setup: Setup,
    /// The state before the first entry; `None`: that of a process that has just started.
    #[serde(default)]
    pub state: Option<Box<State>>,
}

/// The format that this version writes.
pub const FORMAT: u32 = 1;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub now: Timestamp,
    /// What happened.
    pub event: Event,
    /// What was to be done.
    pub effects: Vec<Effect>,
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
        self.stand_ins.replace_in(&mut value, None);
        serde_json::to_string(&value)
    }
}

/// Stable replacements for personal data.
#[derive(Debug, Default)]
struct StandIns {
    known: HashMap<String, String>,
}

impl StandIns {
    fn replace_in(&mut self, value: &mut Value, key: Option<&str>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields.iter_mut() {
                    self.replace_in(value, Some(key));
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.replace_in(item, key);
                }
            }
            Value::String(text) => {
                let kind = match key {
                    Some("from" | "number") => "number",
                    Some("email" | "hint") => "email",
                    Some("name" | "from_name") => "name",
                    Some(_) | None => return,
                };
                *text = self.stand_in(kind, text);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn stand_in(&mut self, kind: &str, text: &str) -> String {
        let count = self.known.len();
        let known = self.known.entry(format!("{kind} {text}"));
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
