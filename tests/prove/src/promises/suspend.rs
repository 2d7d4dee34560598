//! `suspend`: a process that is stopped with the lease in hand wakes up after another has refreshed, and does no harm.
//!
//! iOS suspends an app in the middle of anything. Two processes share a folder. One is told to refresh and is stopped
//! (SIGSTOP) at a random moment; all clocks jump past the end of its lease; the other one refreshes; the first one is woken
//! (SIGCONT) with its old knowledge and perhaps an old answer in its socket. Both must end with one and the same valid
//! token, and nobody signed out.

use std::time::Duration;

use hookswitch::machine::Failure;
use rustix::process::Signal;

use super::Promise;
use crate::{
    child::Do,
    house::{House, TOKEN_LIFE, is_signed_in},
    process::{Process, Unanswered, text},
    report::{Progress, Report, Size, Trouble},
};

/// Longer than any lease lasts, and shorter than the backend's leeway for a lost answer, in milliseconds.
const PAST_THE_LEASE: u64 = 50_000;
/// A refresh takes about so long, in microseconds: moments are taken from it.
const A_REFRESH: u64 = 5_000;
/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn measure(size: Size) -> Result<Report, Trouble> {
    let rounds = size.pick(60, 10_000);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..workers {
        tasks.spawn(work(size, worker, workers, rounds));
    }
    let (mut short, mut in_hand) = (Vec::new(), 0);
    while let Some(result) = tasks.join_next().await {
        let (fell_short, held) = result.map_err(text)??;
        short.extend(fell_short);
        in_hand += held;
    }
    let figure = format!("{rounds} suspensions, {in_hand} with the request out: {} false sign-outs", short.len());
    Ok(Report::new(Promise::Suspend, size, figure, short))
}

async fn work(size: Size, worker: usize, workers: usize, rounds: usize) -> Result<(Vec<String>, usize), Trouble> {
    let house = House::open().await?;
    let app = house.phone("phone").await?;
    let extension = Process::start(&house, &house.folder("phone"), "extension", None)?;
    extension.opened().await.map_err(Unanswered::text)?;
    let mut progress = Progress::new(Promise::Suspend, rounds);
    let (mut short, mut in_hand) = (Vec::new(), 0);
    for round in (worker..rounds).step_by(workers) {
        match suspend(&house, &app, &extension, size.luck(round)).await {
            Ok(held) => in_hand += usize::from(held),
            Err(trouble) => {
                let kept = [app.keep_transcript(round).await, extension.keep_transcript(round).await].join(" ");
                short.push(format!("round {round}: {trouble} ({kept})"));
                // What follows would only repeat it.
                if short.len() > 3 {
                    break;
                }
            }
        }
        if worker == 0 {
            progress.at(round);
        }
    }
    Ok((short, in_hand))
}

async fn suspend(house: &House, app: &Process, extension: &Process, mut luck: fastrand::Rng) -> Result<bool, Trouble> {
    let refusals = house.refusals()?;
    house.jump(TOKEN_LIFE)?;
    // Either may be the one that falls asleep.
    let (sleeper, other) = if luck.bool() { (app, extension) } else { (extension, app) };
    let told = sleeper.stages().len();
    let sleeping = sleeper.send(Do::Tokens { count: 1 }).await.map_err(Unanswered::text)?;
    if luck.bool() {
        // The request is out, or about to be.
        sleeper.reaches("send /token", told).await;
        tokio::time::sleep(Duration::from_micros(luck.u64(..1_000))).await;
    } else {
        tokio::time::sleep(Duration::from_micros(luck.u64(..A_REFRESH))).await;
    }
    sleeper.signal(Signal::STOP)?;
    // What it said before has to arrive.
    tokio::time::sleep(Duration::from_micros(500)).await;
    let in_hand = {
        let stages = sleeper.stages();
        let since = stages.get(told..).unwrap_or_default();
        since.iter().any(|stage| stage == "send /token") && !since.iter().any(|stage| stage == "read /token")
    };
    let refreshing = other.send(Do::Tokens { count: 1 }).await.map_err(Unanswered::text)?;
    house.jump(PAST_THE_LEASE)?;
    let refreshed = tokio::time::timeout(PATIENCE, refreshing).await;
    sleeper.signal(Signal::CONT)?;
    match refreshed.map_err(|_| "the other process did not take over")? {
        // The sleeper may hold the lock of the vault's file: then the other one can only say that storage fails for now.
        Ok(_) | Err(Unanswered::Failed(Failure::Storage { .. })) => {}
        Err(error) => return Err(error.text()),
    }
    let woken = tokio::time::timeout(PATIENCE, sleeping).await.map_err(|_| "the sleeper did not answer")?;
    woken.map_err(Unanswered::text)?;

    for process in [app, extension] {
        if !is_signed_in(&process.session().await.map_err(Unanswered::text)?) {
            return Err("signed out".into());
        }
    }
    // The next expiry shows whether both still hold the newest generation.
    house.jump(TOKEN_LIFE)?;
    let tokens = (app.token().await.map_err(Unanswered::text)?, extension.token().await.map_err(Unanswered::text)?);
    if tokens.0 != tokens.1 {
        return Err("two tokens are in use".into());
    }
    let refused = house.refusals()? - refusals;
    if refused > 0 {
        return Err(format!("{refused} invalid_grant"));
    }
    Ok(in_hand)
}
