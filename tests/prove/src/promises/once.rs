//! `once`: one expiry costs one request, however many tasks of however many processes ask for a token.
//!
//! Four processes share a folder, each in a role of its own. All clocks jump past the expiry; then all tasks of all
//! processes ask at once. The backend's own record counts the requests.

use std::collections::BTreeSet;

use super::Promise;
use crate::{
    child::Do,
    process::{Process, Unanswered},
    report::{ErrorMessage, Progress, Report, Size},
    test_backend::{TOKEN_LIFE, TestBackend},
};

const PROCESSES: usize = 4;
const TASKS: usize = 64;

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let rounds = size.pick(25, 1_000);
    let backend = TestBackend::open().await?;
    let first = backend.phone("phone").await?;
    let mut processes = vec![first];
    for n in 1..PROCESSES {
        let process = Process::start(&backend, &backend.folder("phone"), &format!("extension-{n}"), None)?;
        process.opened().await.map_err(Unanswered::text)?;
        processes.push(process);
    }
    let mut short = Vec::new();
    let mut progress = Progress::new(Promise::Once, rounds);
    let mut posts = 0;
    for round in 0..rounds {
        let before = received(&backend)?;
        backend.jump(TOKEN_LIFE)?;
        let mut waiting = Vec::new();
        for process in &processes {
            waiting.push(process.send(Do::Tokens { count: TASKS }).await.map_err(Unanswered::text)?);
        }
        let mut tokens = BTreeSet::new();
        for answer in waiting {
            match answer.await {
                Ok(answer) => tokens.extend(answer.as_array().into_iter().flatten().map(ToString::to_string)),
                Err(error) => short.push(format!("round {round}: {}", error.text())),
            }
        }
        let cost = received(&backend)? - before;
        posts += cost;
        if cost != 1 {
            short.push(format!("round {round}: {cost} requests ({})", kept(&processes, round).await));
        }
        if tokens.len() != 1 {
            short.push(format!("round {round}: {} different tokens", tokens.len()));
        }
        progress.at(round);
    }
    let refusals = backend.refusals()?;
    if refusals > 0 {
        short.push(format!("{refusals} invalid_grant"));
    }
    let figure =
        format!("{rounds} expiries x {PROCESSES} processes x {TASKS} tasks: {posts} POSTs, {refusals} invalid_grant");
    Ok(Report::new(Promise::Once, size, figure, short))
}

/// Where the transcripts of a round are for whoever looks into it.
async fn kept(processes: &[Process], round: usize) -> String {
    let mut names = Vec::new();
    for process in processes {
        names.push(process.keep_transcript(round).await);
    }
    names.join(" ")
}

fn received(backend: &TestBackend) -> Result<u64, ErrorMessage> {
    Ok(backend.families()?.iter().map(|family| family.received).sum())
}
