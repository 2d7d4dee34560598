//! `suspend`: a process that is stopped with the lease in hand wakes up after another has refreshed, and does no harm.
//!
//! iOS suspends an app in the middle of anything. Two processes share a folder. One is told to refresh and is stopped
//! (SIGSTOP) at a random moment; all clocks jump past the end of its lease; the other one refreshes; the first one is woken
//! (SIGCONT) with its old knowledge and perhaps an old answer in its socket. Both must end with one and the same valid
//! token, and nobody signed out.

use std::{pin::pin, time::Duration};

use hookswitch::machine::Failure;
use rustix::process::Signal;

use super::Promise;
use crate::{
    child::Do,
    process::{Process, Unanswered, text},
    report::{ErrorMessage, Progress, Report, Size},
    test_backend::{TOKEN_LIFE, TestBackend, is_signed_in},
};

/// Longer than any lease lasts, and shorter than the backend's leeway for a lost answer, in milliseconds.
const PAST_THE_LEASE: u64 = 50_000;
/// A refresh takes about so long, in microseconds: moments are taken from it.
const A_REFRESH: u64 = 5_000;
/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
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

async fn work(size: Size, worker: usize, workers: usize, rounds: usize) -> Result<(Vec<String>, usize), ErrorMessage> {
    let backend = TestBackend::open().await?;
    let app = backend.phone("phone").await?;
    let extension = Process::start(&backend, &backend.folder("phone"), "extension", None)?;
    extension.opened().await.map_err(Unanswered::text)?;
    let mut progress = Progress::new(Promise::Suspend, rounds);
    let (mut short, mut in_hand) = (Vec::new(), 0);
    for round in (worker..rounds).step_by(workers) {
        match suspend(&backend, &app, &extension, size.luck(round)).await {
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

async fn suspend(
    backend: &TestBackend,
    app: &Process,
    extension: &Process,
    mut luck: fastrand::Rng,
) -> Result<bool, ErrorMessage> {
    let refusals = backend.refusals()?;
    backend.jump(TOKEN_LIFE)?;
    // Either may be the one that falls asleep.
    let (sleeper, other) = if luck.bool() { (app, extension) } else { (extension, app) };
    let told = sleeper.stages().len();
    let mut sleeping = pin!(sleeper.send(Do::Tokens { count: 1 }).await.map_err(Unanswered::text)?);
    let mut answered = None;
    if luck.bool() {
        // The request is out, or about to be; or the other one was faster, and there will be none.
        tokio::select! {
            () = sleeper.reaches("send /token", told) => {}
            answer = &mut sleeping => answered = Some(answer),
            () = tokio::time::sleep(PATIENCE) => return Err("it sends no request and does not answer".into()),
        }
        tokio::time::sleep(Duration::from_micros(luck.u64(..1_000))).await;
    } else {
        tokio::time::sleep(Duration::from_micros(luck.u64(..A_REFRESH))).await;
    }
    let asleep = Asleep::new(sleeper)?;
    // What it said before has to arrive.
    tokio::time::sleep(Duration::from_micros(500)).await;
    let in_hand = {
        let stages = sleeper.stages();
        let since = stages.get(told..).unwrap_or_default();
        since.iter().any(|stage| stage == "send /token") && !since.iter().any(|stage| stage == "read /token")
    };
    let mut refreshing = pin!(other.send(Do::Tokens { count: 1 }).await.map_err(Unanswered::text)?);
    backend.jump(PAST_THE_LEASE)?;
    // Who fell asleep with the lock of the vault's file in hand keeps the other one waiting: mostly it wakes up before the
    // other one has given up, sometimes after.
    let sleep = if luck.u32(..20) == 0 { PATIENCE } else { Duration::from_millis(luck.u64(50..700)) };
    let refreshed = tokio::time::timeout(sleep, &mut refreshing).await;
    drop(asleep);
    let refreshed = match refreshed {
        Ok(refreshed) => refreshed,
        Err(_) => {
            tokio::time::timeout(PATIENCE, refreshing).await.map_err(|_| "the other process did not take over")?
        }
    };
    match refreshed {
        // Only while the vault's file is locked: storage fails for now.
        Ok(_) | Err(Unanswered::Failed(Failure::Storage { .. })) => {}
        Err(error) => return Err(error.text()),
    }
    let woken = match answered {
        Some(woken) => woken,
        None => tokio::time::timeout(PATIENCE, sleeping).await.map_err(|_| "the sleeper did not answer")?,
    };
    woken.map_err(Unanswered::text)?;

    for process in [app, extension] {
        // The answer comes before the save, which has the issuer's leeway and not a quarter of an hour.
        ask(process, Do::Saved).await?;
        if !is_signed_in(&serde_json::from_value(ask(process, Do::Session).await?).map_err(text)?) {
            return Err("signed out".into());
        }
    }
    // The next expiry shows whether both still hold the newest generation.
    backend.jump(TOKEN_LIFE)?;
    let tokens = [ask(app, Do::Tokens { count: 1 }).await?, ask(extension, Do::Tokens { count: 1 }).await?];
    if tokens[0] != tokens[1] {
        return Err("two tokens are in use".into());
    }
    let refused = backend.refusals()? - refusals;
    if refused > 0 {
        return Err(format!("{refused} invalid_grant"));
    }
    Ok(in_hand)
}

async fn ask(process: &Process, what: Do) -> Result<serde_json::Value, ErrorMessage> {
    let answer = tokio::time::timeout(PATIENCE, process.ask(what)).await;
    answer.map_err(|_| "it hangs")?.map_err(Unanswered::text)
}

/// A process that is stopped; it goes on when this is dropped, whatever happened meanwhile.
struct Asleep<'a>(&'a Process);

impl<'a> Asleep<'a> {
    fn new(process: &'a Process) -> Result<Self, ErrorMessage> {
        process.signal(Signal::STOP)?;
        Ok(Self(process))
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        // It fails only for a process that is gone, which the next question to it will tell.
        let _ = self.0.signal(Signal::CONT);
    }
}
