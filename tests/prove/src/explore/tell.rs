//! A counterexample, for a person to read and for a machine to do again.

use std::fmt::Write;

use hookswitch::machine::{Entry, Event, Recorder, Setup};

use super::{Broken, search::Model};
use crate::report::ErrorMessage;

/// What happened, one act after the other, and the steps of which process it led to.
pub(super) struct Story {
    /// The installations, one a process.
    setups: Vec<Setup>,
    lines: Vec<(String, Vec<(usize, Entry)>)>,
}

impl Story {
    /// Does the acts once more, from a start that records; `entries` are the steps that the last one led to.
    pub(super) fn of<M: Model>(
        model: &M,
        setups: Vec<Setup>,
        start: Result<M::World, Broken>,
        acts: &[M::Act],
        entries: impl Fn(&M::World) -> Vec<(usize, Entry)>,
    ) -> Self {
        let mut lines = Vec::new();
        if let Ok(mut world) = start {
            lines.push(("Start".to_owned(), entries(&world)));
            for act in acts {
                let result = model.act(&mut world, act);
                lines.push((format!("{act:?}"), entries(&world)));
                if result.is_err() {
                    break;
                }
            }
        }
        Self { setups, lines }
    }

    /// A transcript for each life of each process, with whose it is.
    fn transcripts(&self) -> serde_json::Result<Vec<(usize, String)>> {
        let mut lives: Vec<(usize, Recorder, String)> = Vec::new();
        for (who, entry) in self.lines.iter().flat_map(|(_, entries)| entries) {
            if matches!(entry.event, Event::Started { .. }) {
                let Some(setup) = self.setups.get(*who) else { continue };
                let mut recorder = Recorder::default();
                let start = recorder.start(setup, None)? + "\n";
                lives.push((*who, recorder, start));
            }
            if let Some((_, recorder, lines)) = lives.iter_mut().rev().find(|(whose, ..)| whose == who) {
                lines.push_str(&recorder.entry(entry)?);
                lines.push('\n');
            }
        }
        Ok(lives.into_iter().map(|(who, _, lines)| (who, lines)).collect())
    }
}

/// Prints the acts, and writes them to a file, with the transcripts beside them; says where.
pub(super) fn tell(name: &str, story: &Story, why: &str) -> Result<String, ErrorMessage> {
    let trouble = |error: &dyn std::fmt::Display| format!("the story cannot be written: {error}");
    let folder = std::path::PathBuf::from(format!("target/explore/{}", name.replace([',', ' '], "-")));
    std::fs::create_dir_all(&folder).map_err(|error| trouble(&error))?;
    let mut text = format!("{name}: {why}\n");
    for (number, (act, _)) in story.lines.iter().enumerate() {
        let _ = writeln!(text, "{number:>3}. {act}");
    }
    eprint!("{text}");
    std::fs::write(folder.join("story.txt"), &text).map_err(|error| trouble(&error))?;
    for (life, (who, lines)) in story.transcripts().map_err(|error| trouble(&error))?.into_iter().enumerate() {
        let file = folder.join(format!("life-{}-of-{}.jsonl", life + 1, who + 1));
        std::fs::write(file, lines).map_err(|error| trouble(&error))?;
    }
    let acts = story.lines.len().saturating_sub(1);
    Ok(format!("{name}, after {acts} acts: {why} ({})", folder.display()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use hookswitch::machine::transcript::replay;

    /// A story of that many acts, each another one of those that may happen; its transcripts replay.
    pub(in super::super) fn replays<M: Model>(
        model: &M,
        setups: Vec<Setup>,
        start: Result<M::World, Broken>,
        acts: usize,
        entries: impl Fn(&M::World) -> Vec<(usize, Entry)>,
    ) {
        let (mut world, mut done) = (model.start().unwrap(), Vec::new());
        for number in 0..acts {
            let possible = model.acts(&world);
            let Some(act) = possible.get((number * 5 + 3) % possible.len().max(1)).cloned() else { break };
            model.act(&mut world, &act).unwrap();
            done.push(act);
        }
        let story = Story::of(model, setups, start, &done, entries);
        assert_eq!(story.lines.len(), done.len() + 1);
        let transcripts = story.transcripts().unwrap();
        assert!(transcripts.iter().any(|(_, transcript)| transcript.lines().count() > 2));
        for (who, transcript) in transcripts {
            replay(&transcript).unwrap_or_else(|divergence| panic!("{who}: {divergence:?}\n{transcript}"));
        }
    }
}
