//! `converge`: phones, browsers and the server agree in the end, whatever the network, people and servers do.
//!
//! Each interleaving is one play of [`crate::simulation`], with a seed of its own. One that fails is made as short as it can
//! be and told.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use super::Promise;
use crate::{
    process::text,
    report::{Progress, Report, Size, Trouble},
    simulation::{self, Plan, Tally},
};

/// Lines of a transcript that are shown: its end.
const LINES: usize = 40;

pub(super) async fn measure(size: Size) -> Result<Report, Trouble> {
    tokio::task::spawn_blocking(move || play_all(size)).await.map_err(text)?
}

fn play_all(size: Size) -> Result<Report, Trouble> {
    let total = size.pick(2_000, 10_000);
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let work = || {
        let (mut tally, mut failed, mut played) = (Tally::default(), Vec::new(), 0_usize);
        loop {
            let round = next.fetch_add(1, Ordering::Relaxed);
            if round >= total || failed.len() > 2 {
                return (tally, failed, played);
            }
            let seed = size.seed.wrapping_mul(1_000_003).wrapping_add(round as u64);
            played += 1;
            match simulation::play(&Plan::new(seed)) {
                Ok(one) => {
                    tally.steps += one.steps;
                    tally.commands += one.commands;
                    tally.decisions += one.decisions;
                }
                Err(_) => failed.push(seed),
            }
        }
    };
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        let mut progress = Progress::new(Promise::Converge, total);
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::sleep(std::time::Duration::from_millis(50));
            progress.at(next.load(Ordering::Relaxed).min(total));
        }
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let (mut sum, mut failed, mut played) = (Tally::default(), Vec::new(), 0);
    for result in results {
        let (tally, seeds, plays) = result.map_err(|_| "the simulation panicked".to_owned())?;
        sum.steps += tally.steps;
        sum.commands += tally.commands;
        sum.decisions += tally.decisions;
        failed.extend(seeds);
        played += plays;
    }
    failed.sort_unstable();
    let a_minute = played as f64 / began.elapsed().as_secs_f64() * 60.0;
    let short = failed.iter().take(1).map(|seed| tell(*seed)).collect();
    let figure = format!(
        "{played} interleavings ({a_minute:.0} a minute): {} steps, {} taps, {} ring decisions; {} disagree",
        sum.steps,
        sum.commands,
        sum.decisions,
        failed.len()
    );
    Ok(Report::new(Promise::Converge, size, figure, short))
}

/// Prints the story of a failure, shortened; what it is about.
fn tell(seed: u64) -> String {
    let plan = simulation::shrink(Plan::new(seed));
    let broken = simulation::play(&plan).err().unwrap_or_default();
    let Plan { phones, lost, twice, late, jitter, acts, .. } = &plan;
    eprintln!("interleaving {seed}, shortened to {} acts on {phones} phones:", acts.len());
    eprintln!("(of 1,000 packets {lost} are lost, {twice} come twice, {late} late; jitter {jitter} ms)");
    let story = simulation::transcript(&plan);
    for line in story.iter().skip(story.len().saturating_sub(LINES)) {
        eprintln!("  {line}");
    }
    format!("interleaving {seed}: {broken}")
}
