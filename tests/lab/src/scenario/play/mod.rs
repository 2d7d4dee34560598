//! Plays a scenario in a world of its own, and writes what happened so that a person can read it.
//!
//! | module | what it does |
//! |---|---|
//! | [`act`] | a step that somebody does |
//! | [`expect`] | a step that somebody sees: what must come to hold |
//! | [`describe`] | steps in words, for the transcript |

mod act;
mod describe;
mod expect;

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use hookswitch::wire::{CallId, SignIn, SignInKind};

pub(crate) use self::describe::{caption, describe_leg, describe_report};
use self::describe::{describe_action, describe_expectation};
use super::schema::{Places, Scenario, Step};
use crate::{
    browser::{Browser, Loaded, Page},
    phone::{LabPhone, Seen},
    world::{Setup, Surroundings, World},
};

/// How a wait passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// All clocks are moved.
    Virtual,
    /// The steps wait as long as they say: for somebody who watches.
    Real,
}

/// How a scenario ended.
pub struct Outcome {
    /// Whether all expectations held.
    pub held: bool,
    /// What happened, for a person.
    pub transcript: String,
}

/// An expectation must hold within this time: real work is done on loopback meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays a scenario.
pub async fn play(scenario: &Scenario, time: Time, surroundings: &Surroundings) -> Outcome {
    let mut transcript = format!("# {}\n", scenario.title);
    if let Some(story) = &scenario.story {
        let _ = writeln!(transcript, "  {story}");
    }
    let started = Instant::now();
    let held = match Player::new(&scenario.name, time, surroundings.clone()).await {
        Ok(mut player) => {
            let held = player.play(scenario, &mut transcript).await;
            player.world.end().await;
            held
        }
        Err(trouble) => {
            let _ = writeln!(transcript, "  the world could not be built: {trouble}");
            false
        }
    };
    let verdict = if held { "held" } else { "FAILED" };
    let _ =
        writeln!(transcript, "{verdict}: {}: {} ({} ms)", scenario.name, scenario.title, started.elapsed().as_millis());
    Outcome { held, transcript }
}

pub(crate) struct Player {
    world: Arc<World>,
    time: Time,
    calls: HashMap<String, CallId>,
    /// Where the browser stands, by surface.
    pages: HashMap<String, Page>,
    /// The sign-in pages that were minimised, by phone.
    minimised: HashMap<String, (Browser, Loaded)>,
    seen: u64,
    /// What the story is called, for files that are kept of it.
    name: String,
    /// Keeps the phones' folders until the end, when the world is its own.
    _folder: Option<tempfile::TempDir>,
}

type Result<T = (), E = String> = std::result::Result<T, E>;

impl Player {
    async fn new(name: &str, time: Time, surroundings: Surroundings) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let setup = Setup { cheap_passwords: true, surroundings, ..Setup::default() };
        let world = World::start(folder.path(), setup).await?;
        Ok(Self { time, _folder: Some(folder), ..Self::within(name, world) })
    }

    /// Plays in a world that somebody looks at.
    pub(crate) fn within(name: &str, world: Arc<World>) -> Self {
        Self {
            world,
            time: Time::Virtual,
            calls: HashMap::new(),
            pages: HashMap::new(),
            minimised: HashMap::new(),
            seen: 0,
            name: name.to_owned(),
            _folder: None,
        }
    }

    /// Does a step, or sees that it holds.
    pub(crate) async fn step(&mut self, step: &Step) -> Result {
        let result = match step {
            Step::Do(action) => self.act(action).await,
            Step::Expect(expectation) => self.expect(expectation).await,
        };
        self.nobody_broke().and(result)
    }

    async fn play(&mut self, scenario: &Scenario, transcript: &mut String) -> bool {
        for located in &scenario.steps {
            if let Step::Do(action) = &located.step {
                let _ = writeln!(transcript, "\n> {}", describe_action(action));
            }
            let result = self.step(&located.step).await;
            self.tell_what_happened(transcript);
            match (&located.step, result) {
                (Step::Do(_), Ok(())) => {}
                (Step::Expect(expectation), Ok(())) => {
                    let _ = writeln!(transcript, "  ✓ {}", describe_expectation(expectation));
                }
                (step, Err(trouble)) => {
                    let what = match step {
                        Step::Do(_) => "this could not be done".to_owned(),
                        Step::Expect(expectation) => describe_expectation(expectation),
                    };
                    let _ = writeln!(transcript, "  ✗ line {}: {what}\n    {trouble}", located.line);
                    self.keep_machine_transcripts(transcript).await;
                    return false;
                }
            }
        }
        true
    }

    /// The phones' own transcripts replay what they did; kept where a developer finds them.
    async fn keep_machine_transcripts(&self, transcript: &mut String) {
        for phone in &self.world.phones {
            let Ok(text) = phone.transcript().await else { continue };
            let path = std::env::temp_dir().join(format!(
                "hookswitch-{}-{}-{}.jsonl",
                self.name,
                phone.key,
                std::process::id()
            ));
            if std::fs::write(&path, text).is_ok() {
                let _ = writeln!(transcript, "    transcript of {}: {}", phone.key, path.display());
            }
        }
    }

    fn tell_what_happened(&mut self, transcript: &mut String) {
        for line in self.world.timeline.after(self.seen) {
            self.seen = line.n;
            let _ = writeln!(transcript, "  {:<10} {:<8} {}", line.who, line.kind.name(), line.text);
        }
    }

    fn phone(&self, key: &str) -> Result<&Arc<LabPhone>> {
        self.world.phone(key).ok_or_else(|| unknown(key))
    }

    fn call(&self, name: &str) -> Result<CallId> {
        self.calls.get(name).cloned().ok_or_else(|| format!("there was no call {name:?}"))
    }

    /// Waits until each of these phones shows it.
    async fn each_phone(&self, on: &Places, check: impl Fn(&LabPhone, Seen) -> Result) -> Result {
        for place in on.iter() {
            let phone = self.phone(place)?;
            let deadline = Instant::now() + PATIENCE;
            loop {
                let checked = phone.seen().await.map_err(text).and_then(|seen| check(phone, seen));
                match checked {
                    Ok(()) => break,
                    Err(trouble) => self.patience(deadline, trouble).await?,
                }
            }
        }
        Ok(())
    }

    /// A phone that does what no phone does proves nothing.
    fn nobody_broke(&self) -> Result {
        let broken = self.world.phones.iter().find_map(|phone| Some(format!("{}: {}", phone.key, phone.broken()?)));
        broken.map_or(Ok(()), Err)
    }

    /// Waits for the next change in the world, or gives up with the last trouble.
    async fn patience(&self, deadline: Instant, trouble: String) -> Result {
        self.nobody_broke()?;
        let left = deadline.checked_duration_since(Instant::now()).ok_or(trouble)?;
        let mut changes = self.world.timeline.changes();
        // Not every change of the server has a line of its own.
        let look_again = left.min(Duration::from_millis(20));
        let _ = tokio::time::timeout(look_again, changes.changed()).await;
        Ok(())
    }

    /// The place of a session: a phone, `browser` or `desktop`.
    fn place_of(&self, session: &SignIn) -> String {
        match session.kind {
            SignInKind::Browser => "browser".into(),
            SignInKind::Desktop => "desktop".into(),
            SignInKind::Unknown => "unknown".into(),
            SignInKind::Mobile => {
                let phone = self.world.phones.iter().find(|phone| phone.device() == session.device);
                phone.map_or_else(|| "a phone".into(), |phone| phone.key.to_owned())
            }
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn unknown(place: &str) -> String {
    format!("{place:?} is no place: web, dashboard, zendesk, salesforce, hubspot, desktop, iphone or android")
}
