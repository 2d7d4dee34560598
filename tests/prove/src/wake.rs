//! A process that a push starts: opens the core on a folder, decides on the push, says when it was how far, and ends.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::Args;
use hookswitch::{
    Hookswitch,
    http::Network,
    machine::{Failure, Verdict, view::SessionState},
    ports::{Ports, SystemClock},
    store::KeyFile,
    wire::{CallPush, Platform},
};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::child::config;

/// What to wake up to.
#[derive(Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    folder: PathBuf,
    #[arg(long)]
    issuer: String,
    /// The push, as JSON.
    #[arg(long)]
    push: String,
}

/// How far it was when, in nanoseconds of [`now`]; and what came out.
#[derive(Serialize, Deserialize)]
pub(crate) struct Woken {
    /// `main` runs.
    pub(crate) main: i64,
    /// The ports are there: the network's client and the key file.
    pub(crate) ports: i64,
    /// The vault is read; the state can be shown.
    pub(crate) open: i64,
    /// The push is decided on.
    pub(crate) decided: i64,
    pub(crate) session: SessionState,
    pub(crate) verdict: Verdict,
}

/// Nanoseconds of a clock that all processes share.
pub(crate) fn now() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

pub(crate) async fn run(main: i64, arguments: Arguments) -> ExitCode {
    match wake(main, &arguments).await {
        Ok(woken) => {
            println!("{}", serde_json::json!(woken));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure:?}");
            ExitCode::FAILURE
        }
    }
}

async fn wake(main: i64, Arguments { folder, issuer, push }: &Arguments) -> Result<Woken, Failure> {
    let push: CallPush = serde_json::from_str(push).map_err(|error| Failure::internal(error.to_string()))?;
    let keys = Arc::new(KeyFile::new(folder.join("key")));
    let ports = Ports { clock: Arc::new(SystemClock), keys, http: Arc::new(Network::new()) };
    let ready = now();
    let core = Hookswitch::open(config(issuer, folder, "app", Platform::Ios), ports).await?;
    let open = now();
    let verdict = core.decide(push, true).verdict;
    let decided = now();
    Ok(Woken { main, ports: ready, open, decided, session: core.state().session, verdict })
}
