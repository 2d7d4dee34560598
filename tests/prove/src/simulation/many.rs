//! Plays many plans, on all cores of the machine, and tells the story of the first that fails.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use super::{Broken, Plan, Tally, play, shrink, transcript};
use crate::{
    promises::Promise,
    report::{ErrorMessage, Progress, Size},
};

/// Lines of a transcript that are shown: its end.
const LINES: usize = 40;

/// What came of it.
#[derive(Default)]
pub(crate) struct Played {
    pub(crate) plays: usize,
    pub(crate) a_minute: f64,
    pub(crate) tally: Tally,
    /// How many failed.
    pub(crate) failed: usize,
    /// What does not hold in those.
    pub(crate) broken: Vec<Broken>,
    /// What the first one that failed, shortened, is about.
    pub(crate) short: Vec<String>,
}

/// Plays so many plans, each with a seed of its own.
pub(crate) fn play_many(
    promise: Promise,
    size: Size,
    total: usize,
    plan: fn(u64) -> Plan,
) -> Result<Played, ErrorMessage> {
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut tally, mut failed, mut plays) = (Tally::default(), Vec::new(), 0_usize);
        loop {
            let round = next.fetch_add(1, Ordering::Relaxed);
            if round >= total || failed.len() > 2 {
                return (tally, failed, plays);
            }
            let seed = size.seed.wrapping_mul(1_000_003).wrapping_add(round as u64);
            plays += 1;
            match play(&plan(seed)) {
                Ok(one) => tally += one,
                Err(broken) => failed.push((seed, broken)),
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut progress = Progress::new(promise, total);
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            progress.at(next.load(Ordering::Relaxed).min(total));
        }
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let (mut played, mut failed) = (Played::default(), Vec::new());
    for result in results {
        let (tally, seeds, plays) = result.map_err(|_| "the simulation panicked".to_owned())?;
        played.tally += tally;
        played.plays += plays;
        failed.extend(seeds);
    }
    played.a_minute = played.plays as f64 / began.elapsed().as_secs_f64() * 60.0;
    failed.sort_unstable();
    played.failed = failed.len();
    played.short = failed.first().map(|(seed, _)| tell(plan(*seed))).into_iter().collect();
    played.broken = failed.into_iter().map(|(_, broken)| broken).collect();
    Ok(played)
}

/// Prints the story of a failure, shortened; what it is about.
fn tell(plan: Plan) -> String {
    let seed = plan.seed;
    let plan = shrink(plan);
    let broken = play(&plan).err().unwrap_or_default();
    let Plan { phones, lost, twice, late, jitter, acts, .. } = &plan;
    eprintln!("interleaving {seed}, shortened to {} acts on {phones} phones:", acts.len());
    eprintln!("(of 1,000 packets {lost} are lost, {twice} come twice, {late} late; jitter {jitter} ms)");
    let story = transcript(&plan);
    for line in story.iter().skip(story.len().saturating_sub(LINES)) {
        eprintln!("  {line}");
    }
    format!("interleaving {seed}: {broken}")
}
