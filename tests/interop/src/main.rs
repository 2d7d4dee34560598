//! The real core against sign-in servers that others wrote: Keycloak, npm's `oidc-provider`, and `mock-oauth2-server`.
//!
//! `tests/run --only interop` fetches them and runs this. Each line of the output is a promise, kept or not.

mod browser;
mod dpop;
mod issuer;
mod keycloak;
mod keycloak_checks;
mod listener;
mod mock;
mod mock_checks;
mod phone;
mod provider;
mod provider_checks;
mod report;
mod server;
mod stand_in;

use std::{
    fs::{self, File},
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicU32, Ordering},
};

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use report::{ErrorMessage, Report, ensure, text};

/// Runs the real core against sign-in servers that others wrote.
#[derive(Parser)]
struct Options {
    /// A Keycloak distribution, unpacked.
    #[arg(long)]
    keycloak: Option<PathBuf>,
    /// The folder of server.mjs, with its packages.
    #[arg(long)]
    oidc_provider: Option<PathBuf>,
    /// The folder of mock-oauth2-server's jars.
    #[arg(long)]
    mock: Option<PathBuf>,
    /// Where the servers' logs go.
    #[arg(long, default_value = "target/interop")]
    logs: PathBuf,
    /// Only promises with this text in them.
    #[arg(long)]
    only: Option<String>,
}

static PANICS: AtomicU32 = AtomicU32::new(0);

#[tokio::main]
async fn main() -> ExitCode {
    // A panic in a task of the core ends nothing here, so it is counted.
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        print(panic);
    }));
    let mut report = Report::new(Options::parse().only);
    let ended = tokio::select! {
        ended = run(Options::parse(), &mut report) => ended,
        () = stopped() => Err("stopped".into()),
    };
    if let Err(trouble) = &ended {
        println!("not ok - {trouble}");
    }
    let all_kept = report.end(ended.is_err());
    if all_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns when somebody wants this to stop.
async fn stopped() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        }
        _ => std::future::pending().await,
    }
}

async fn run(options: Options, report: &mut Report) -> Result<(), ErrorMessage> {
    // Also chooses the cryptography that reqwest uses.
    let _ = hookswitch::http::Network::new();
    fs::create_dir_all(&options.logs).map_err(text)?;
    let logs = options.logs.canonicalize().map_err(text)?;
    // One at a time: Keycloak's folder holds its data.
    let turn = File::create(logs.join("lock")).map_err(text)?;
    if turn.try_lock().is_err() {
        println!("# another run is going on; waiting for it");
        turn.lock().map_err(text)?;
    }
    if let Some(folder) = &options.oidc_provider {
        report.about("oidc-provider");
        provider_checks::run(folder, logs.join("oidc-provider.log"), report).await?;
    }
    if let Some(folder) = &options.mock {
        report.about("mock-oauth2-server");
        mock_checks::run(folder, logs.join("mock-oauth2-server.log"), report).await?;
    }
    if let Some(home) = &options.keycloak {
        report.about("Keycloak");
        keycloak_checks::run(home, logs.join("keycloak.log"), report).await?;
    }
    report.about("all");
    let panics = PANICS.load(Ordering::SeqCst);
    report.check("nothing in the core panicked", async { ensure(panics == 0, || format!("{panics} panics")) }).await;
    Ok(())
}
