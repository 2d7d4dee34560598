//! What happened lately, for a bug report. Written out, and stripped of personal data, only when somebody asks.

use std::sync::Arc;

use hookswitch_machine::{Entry, Recorder, State};

/// Steps of a segment.
const SEGMENT: usize = 2_000;

/// The last steps: the segment that grows, and the one before it, so that a report is never nearly empty.
#[derive(Clone)]
pub(crate) struct Transcript {
    past: Option<Segment>,
    now: Segment,
}

/// Steps one after another, and the state before them: what a replay starts from.
#[derive(Clone)]
struct Segment {
    before: Arc<State>,
    entries: Vec<Arc<Entry>>,
}

impl Segment {
    fn new(state: &State) -> Self {
        Self { before: Arc::new(state.clone()), entries: Vec::new() }
    }
}

impl Transcript {
    pub(crate) fn new(state: &State) -> Self {
        Self { past: None, now: Segment::new(state) }
    }

    pub(crate) fn record(&mut self, entry: Entry, after: &State) {
        self.now.entries.push(Arc::new(entry));
        if self.now.entries.len() >= SEGMENT {
            self.past = Some(std::mem::replace(&mut self.now, Segment::new(after)));
        }
    }

    /// As JSON lines, which [`hookswitch_machine::transcript::replay`] does again.
    pub(crate) fn text(&self) -> String {
        let mut recorder = Recorder::default();
        let first = self.past.as_ref().unwrap_or(&self.now);
        let start = recorder.start(first.before.setup(), Some(&first.before));
        let entries = self.past.iter().chain(std::iter::once(&self.now)).flat_map(|segment| &segment.entries);
        let lines: Vec<_> = entries.map(|entry| recorder.entry(entry)).collect();
        // A line that cannot be written is left out; the replay will name the place.
        std::iter::once(start).chain(lines).flatten().collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use hookswitch_machine::{Event, IssuerProfile, Setup, Timestamp, step, transcript::replay};
    use hookswitch_wire::{Platform, UnixMillis};

    use super::*;

    fn setup() -> Setup {
        Setup {
            issuer: "https://id.example".into(),
            client_id: "hookswitch-mobile".into(),
            redirect_uris: vec![],
            device: "phone".into(),
            platform: Platform::Ios,
            profile: IssuerProfile::Unknown,
            session_life: None,
        }
    }

    #[test]
    fn a_report_has_the_last_two_thousand_steps_whenever_it_is_asked_for_and_replays() {
        let mut state = State::new(setup());
        let mut transcript = Transcript::new(&state);
        for count in 1..=2 * SEGMENT + 10 {
            let now = Timestamp { wall: UnixMillis(0), mono: count as u64 };
            let event = if count % 2 == 0 { Event::NetworkUp } else { Event::NetworkDown };
            let effects = step(&mut state, event.clone(), now);
            transcript.record(Entry { now, event, effects }, &state);
            // Right before a segment is full, right after, and in between.
            if count % (SEGMENT / 2) <= 1 {
                let text = transcript.text();
                let steps = text.lines().count() - 1;
                assert!(steps >= count.min(SEGMENT), "{steps} of {count}");
                replay(&text).unwrap_or_else(|difference| panic!("after {count} steps: {difference}"));
            }
        }
    }
}
