//! `clock`: a phone's wall clock is years off, jumps, and is set right again; the phone works, and refreshes no more often
//! than it must.
//!
//! Each round is a day in the life of a phone in the foreground whose wall clock is set anew again and again.

use super::Promise;
use crate::{
    local::Local,
    process::text,
    report::{ErrorMessage, Progress, Report, Size},
    test_backend::{TOKEN_LIFE, TestBackend},
};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
const STEP: u64 = 5 * MINUTE;
const YEAR: i64 = 365 * 24 * 3_600_000;
/// A refresh comes up to an eighth ahead of its time (jitter), and each jump of a clock may cost one.
const MOST: u64 = DAY / (TOKEN_LIFE * 3 / 4);

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let rounds = size.pick(4, 40);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..workers {
        tasks.spawn(async move {
            let mut progress = Progress::new(Promise::Clock, rounds);
            let (mut short, mut most) = (Vec::new(), 0);
            for round in (worker..rounds).step_by(workers) {
                match a_day(size.luck(round)).await {
                    Ok(refreshes) => most = most.max(refreshes),
                    Err(trouble) => short.push(format!("round {round}: {trouble}")),
                }
                if worker == 0 {
                    progress.at(round);
                }
            }
            (short, most)
        });
    }
    let (mut short, mut most) = (Vec::new(), 0);
    while let Some(result) = tasks.join_next().await {
        let (fell_short, refreshes) = result.map_err(text)?;
        short.extend(fell_short);
        most = most.max(refreshes);
    }
    let figure =
        format!("{rounds} days with wrong clocks: at most {most} refreshes a day (tokens of 15 min; limit {MOST})");
    Ok(Report::new(Promise::Clock, size, figure, short))
}

async fn a_day(mut luck: fastrand::Rng) -> Result<u64, ErrorMessage> {
    let backend = TestBackend::open().await?;
    let mut phone = Local::open(&backend, &backend.folder("phone")).await?;
    phone.clock.set(skew(&mut luck));
    phone.sign_in(&backend).await.map_err(|trouble| format!("it cannot sign in: {trouble}"))?;
    phone.must_stay_signed_in();
    phone.core.foreground();
    for step in 0..DAY / STEP {
        if luck.u32(..6) == 0 {
            phone.clock.set(skew(&mut luck));
        }
        backend.jump(STEP)?;
        phone.token().await.map_err(|failure| format!("step {step}: no token: {failure:?}"))?;
    }
    phone.stayed_signed_in()?;
    // After a restart with a wrong clock and no network, it is signed in as well.
    phone.core.saved().await;
    drop(phone);
    let mut phone = Local::open(&backend, &backend.folder("phone")).await?;
    phone.clock.set(skew(&mut luck));
    phone.must_stay_signed_in();
    phone.token().await.map_err(|failure| format!("after a restart: {failure:?}"))?;
    phone.stayed_signed_in()?;
    let refreshes = backend.families()?.iter().map(|family| family.received).sum();
    if refreshes > MOST {
        return Err(format!("{refreshes} refreshes in a day"));
    }
    Ok(refreshes)
}

/// How wrong a clock is: by years, by a time zone, or a little.
fn skew(luck: &mut fastrand::Rng) -> i64 {
    match luck.u32(..5) {
        0 => 0,
        1 => luck.i64(-10 * YEAR..=10 * YEAR),
        2 => *luck.choice([-10 * YEAR, 10 * YEAR].iter()).unwrap_or(&0),
        3 => luck.i64(-14..=14) * 3_600_000,
        _ => luck.i64(-90_000..=90_000),
    }
}
