//! A story of `tests/scenarios`, played on the page: step by step, on the phones and windows that one sees.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    scenario::{Player, Scenario, Step, caption, parse},
    world::World,
};

/// After something was done, so that one sees what comes of it.
const LOOK: Duration = Duration::from_millis(1_400);
/// After something was seen.
const NOD: Duration = Duration::from_millis(500);
/// All steps may be played.
const ALL: usize = usize::MAX;

/// A story that can be chosen.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Title {
    name: String,
    title: String,
}

/// What the page shows of a story.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StoryView {
    name: String,
    title: String,
    story: Option<String>,
    steps: Vec<StepView>,
    /// How many steps were played.
    played: usize,
    /// The steps follow each other by themselves.
    plays: bool,
    /// What went wrong at the step after those that were played.
    trouble: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct StepView {
    caption: String,
    /// Whether something is seen here, and not done.
    sees: bool,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    played: usize,
    trouble: Option<String>,
}

/// A story under way. Dropping it ends it.
pub(crate) struct Story {
    about: StoryView,
    /// So many steps may be played.
    limit: watch::Sender<usize>,
    progress: watch::Receiver<Progress>,
    _player: JoinSet<()>,
}

/// Where the stories are: beside the lab's own sources.
fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios"))
}

/// All stories, by name. None where the sources are not.
pub(super) fn titles() -> Vec<Title> {
    let files = std::fs::read_dir(folder()).into_iter().flatten().flatten().map(|entry| entry.path());
    let stories = files.filter(|file| file.extension().is_some_and(|ending| ending == "json")).filter_map(|file| {
        let scenario = read(file.file_stem()?.to_str()?).ok()?;
        Some(Title { name: scenario.name, title: scenario.title })
    });
    let mut titles: Vec<Title> = stories.collect();
    titles.sort_by(|a, b| a.name.cmp(&b.name));
    titles
}

/// The story of this name.
pub(super) fn read(name: &str) -> Result<Scenario, String> {
    // A name is no path.
    if !name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
        return Err(format!("There is no story “{name}”."));
    }
    let text = std::fs::read_to_string(folder().join(name).with_extension("json"));
    let text = text.map_err(|_| format!("There is no story “{name}”."))?;
    parse(name, &text).map_err(|bad| bad.to_string())
}

impl Story {
    /// Begins at the first step: goes on by itself, or waits for [`Story::step`].
    pub(super) fn begin(scenario: Scenario, world: &Arc<World>, plays: bool) -> Self {
        let steps = scenario
            .steps
            .iter()
            .map(|located| StepView { caption: caption(&located.step), sees: matches!(located.step, Step::Expect(_)) });
        let about = StoryView {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            story: scenario.story.clone(),
            steps: steps.collect(),
            played: 0,
            plays,
            trouble: None,
        };
        let (limit, limits) = watch::channel(if plays { ALL } else { 0 });
        let (told, progress) = watch::channel(Progress::default());
        let mut player = JoinSet::new();
        player.spawn(run(scenario, Arc::clone(world), limits, told));
        Self { about, limit, progress, _player: player }
    }

    /// The steps follow each other, or the one that is under way is the last for now.
    pub(super) fn play(&self, plays: bool) {
        let played = self.progress.borrow().played;
        self.limit.send_replace(if plays { ALL } else { played });
    }

    /// One step more, and no further.
    pub(super) fn step(&self) {
        let played = self.progress.borrow().played;
        self.limit.send_replace(played + 1);
    }

    pub(super) fn view(&self) -> StoryView {
        let Progress { played, trouble } = self.progress.borrow().clone();
        let over = trouble.is_some() || played == self.about.steps.len();
        StoryView { played, trouble, plays: *self.limit.borrow() == ALL && !over, ..self.about.clone() }
    }
}

async fn run(scenario: Scenario, world: Arc<World>, mut limits: watch::Receiver<usize>, told: watch::Sender<Progress>) {
    let timeline = Arc::clone(&world.timeline);
    let mut player = Player::within(&scenario.name, world);
    for (index, located) in scenario.steps.iter().enumerate() {
        if limits.wait_for(|limit| *limit > index).await.is_err() {
            return;
        }
        let trouble = player.step(&located.step).await.err();
        let failed = trouble.is_some();
        told.send_replace(Progress { played: if failed { index } else { index + 1 }, trouble });
        timeline.touch();
        if failed {
            return;
        }
        let pause = if let Step::Do(_) = located.step { LOOK } else { NOD };
        // Whoever steps does not wait.
        let _ = tokio::time::timeout(pause, limits.wait_for(|limit| *limit != ALL)).await;
    }
}
