//! The time line: what happened, in the order in which the lab saw it. Holds no secret.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use hookswitch::wire::CallId;
use serde::Serialize;
use tokio::sync::watch;

use crate::calls::Calls;

/// Lines that are kept.
const KEPT: usize = 300;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Something that a person or a server did.
    Event,
    /// A request and its answer.
    Request,
    /// A ring decision.
    Decision,
    /// A push.
    Push,
    /// What a phone shows or does of itself.
    Phone,
    /// Something that the bench broke on purpose.
    Fault,
}

impl Kind {
    /// As a transcript shows it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Request => "request",
            Self::Decision => "decision",
            Self::Push => "push",
            Self::Phone => "phone",
            Self::Fault => "fault",
        }
    }
}

/// One line of the time line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    /// Counts from 1.
    pub(crate) n: u64,
    /// The lab's time.
    pub(crate) at: i64,
    /// The device, surface or server where it happened.
    pub(crate) who: String,
    /// What kind of thing.
    pub(crate) kind: Kind,
    /// What, for a person.
    pub(crate) text: String,
    /// Of which call.
    pub(crate) call: Option<CallId>,
    /// The version of the state that a screen shows from now on.
    pub(crate) version: Option<String>,
}

/// The time line. Also tells whoever draws the lab that something has changed.
pub(crate) struct Timeline {
    clock: hookswitch_backend::Clock,
    lines: Mutex<(u64, VecDeque<Line>)>,
    pub(crate) calls: Calls,
    changed: watch::Sender<u64>,
}

impl Timeline {
    pub(crate) fn new(clock: hookswitch_backend::Clock) -> Self {
        Self { clock, lines: Mutex::default(), calls: Calls::default(), changed: watch::Sender::new(0) }
    }

    /// Adds a line.
    pub(crate) fn add(&self, who: &str, kind: Kind, text: impl Into<String>) {
        self.line(who, kind, text.into(), None, None);
        self.touch();
    }

    /// Adds a line: a screen shows this version of the state.
    pub(crate) fn shows(&self, who: &str, text: impl Into<String>, version: String) {
        self.line(who, Kind::Phone, text.into(), None, Some(version));
        self.touch();
    }

    /// Adds a line that is part of the story of a call.
    pub(crate) fn about(&self, call: &CallId, who: &str, kind: Kind, text: impl Into<String>) {
        let line = self.line(who, kind, text.into(), Some(call.clone()), None);
        self.calls.tell(call, line);
        self.touch();
    }

    fn line(&self, who: &str, kind: Kind, text: String, call: Option<CallId>, version: Option<String>) -> Line {
        let at = self.clock.now();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.0 += 1;
        let line = Line { n: lines.0, at, who: who.to_owned(), kind, text, call, version };
        if lines.1.len() == KEPT {
            lines.1.pop_front();
        }
        lines.1.push_back(line.clone());
        line
    }

    /// The lab's time.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Something has changed that has no line.
    pub(crate) fn touch(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// Counts up with each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The lines after number `n`, oldest first.
    pub(crate) fn after(&self, n: u64) -> Vec<Line> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.1.iter().filter(|line| line.n > n).cloned().collect()
    }
}
