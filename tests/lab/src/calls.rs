//! What the lab remembers of each call: the backend tells only how a call is now.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hookswitch::wire::CallId;

use crate::timeline::Line;

/// Calls that are remembered.
const KEPT: usize = 20;

/// A call, as it came and as it went on. What is in it is written once, and does not change with what comes later.
#[derive(Clone)]
pub(crate) struct Remembered {
    pub(crate) call_id: CallId,
    /// Whom it is for, by e-mail.
    pub(crate) to: String,
    /// The browser and desktop pages that were open for that agent when it came.
    pub(crate) listening: Vec<String>,
    /// Where it was answered.
    pub(crate) answered_at: Option<String>,
    /// How it ended: who declined, who hung up.
    pub(crate) end: Option<String>,
    /// All that the time line says of it, oldest first.
    pub(crate) story: Vec<Line>,
}

/// The calls of a world, newest first.
#[derive(Default)]
pub(crate) struct Calls {
    known: Mutex<VecDeque<Remembered>>,
}

impl Calls {
    fn known(&self) -> MutexGuard<'_, VecDeque<Remembered>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A push may be told of before the call that it is about.
    fn of<T>(&self, call: &CallId, change: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut known = self.known();
        if let Some(it) = known.iter_mut().find(|it| it.call_id == *call) {
            return change(it);
        }
        let mut it = Remembered {
            call_id: call.clone(),
            to: String::new(),
            listening: Vec::new(),
            answered_at: None,
            end: None,
            story: Vec::new(),
        };
        let changed = change(&mut it);
        known.truncate(KEPT - 1);
        known.push_front(it);
        changed
    }

    pub(crate) fn came(&self, call: &CallId, to: &str, listening: Vec<String>) {
        self.of(call, |it| {
            to.clone_into(&mut it.to);
            it.listening = listening;
        });
    }

    pub(crate) fn tell(&self, call: &CallId, line: Line) {
        self.of(call, |it| it.story.push(line));
    }

    /// Whether this is news.
    pub(crate) fn answered(&self, call: &CallId, place: &str) -> bool {
        self.of(call, |it| it.answered_at.is_none().then(|| it.answered_at = Some(place.to_owned()))).is_some()
    }

    /// Whether this is news.
    pub(crate) fn ended(&self, call: &CallId, how: &str) -> bool {
        self.of(call, |it| it.end.is_none().then(|| it.end = Some(how.to_owned()))).is_some()
    }

    pub(crate) fn all(&self) -> Vec<Remembered> {
        self.known().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_first_is_kept_and_the_oldest_calls_go() {
        let calls = Calls::default();
        let call = |n: usize| CallId(format!("call-{n}"));
        assert!(calls.answered(&call(0), "web") && !calls.answered(&call(0), "iphone"));
        assert!(calls.ended(&call(0), "the caller hung up") && !calls.ended(&call(0), "declined"));
        calls.came(&call(0), "adam@acme.example", vec!["web".into()]);
        let known = calls.all();
        assert_eq!(known[0].answered_at.as_deref(), Some("web"));
        assert_eq!((known.len(), known[0].to.as_str()), (1, "adam@acme.example"));
        (1..=KEPT).for_each(|n| calls.came(&call(n), "adam@acme.example", Vec::new()));
        let known = calls.all();
        assert_eq!((known.len(), known[0].call_id.clone()), (KEPT, call(KEPT)));
        assert!(known.iter().all(|it| it.call_id != call(0)));
    }
}
