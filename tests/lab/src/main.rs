//! `lab`: the whole story on one page. `lab top ADDRESS`: on a terminal. `lab run FILE…`: scenarios, headless.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};
use lab::{
    Program, Surroundings,
    nodes::Shared,
    scenario::{self, Time},
    server::Server,
};
use url::Url;

/// Backend, two phones with the real core, and browser surfaces, on one page.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Where the page is served; loopback only. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Opens no browser.
    #[arg(long)]
    no_browser: bool,

    /// Says how a phone that is not on the page joins: an emulator, a simulator, a device.
    #[arg(long)]
    phone: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Plays scenarios without a page and prints what happened. Ends with 0 only when all expectations hold.
    Run {
        /// The scenario files to play, in this order.
        #[arg(required = true)]
        files: Vec<PathBuf>,

        /// How a wait passes.
        #[arg(long, value_enum, default_value_t = TimeArgument::Virtual)]
        time: TimeArgument,

        /// Plays on two nodes that share this PostgreSQL (postgres://...), on which there is nobody else; one scenario a
        /// database.
        #[arg(long)]
        database: Option<String>,

        /// The NATS server by which they wake each other.
        #[arg(long, requires = "database")]
        bus: Option<String>,

        /// Prints the transcript of scenarios that hold, too.
        #[arg(long, short)]
        verbose: bool,

        /// Each app on a phone is a process of this: a command and its arguments, with spaces between. See
        /// tests/scenarios/PHONES.md.
        #[arg(long)]
        phone_program: Option<Program>,
    },
    /// Shows a lab that is open on this terminal, live: sessions, streams, states and how long they take, ring decisions.
    /// `q` ends it; the lab goes on. Where there is no terminal, prints one picture.
    Top {
        /// The lab's address, as it was printed when it was opened: http://127.0.0.1:PORT, or without the http://.
        #[arg(value_parser = lab::top::address)]
        at: Url,
    },
    /// Such a process, over the core's Rust interface.
    #[command(hide = true)]
    Phone,
}

#[derive(Clone, Copy, ValueEnum)]
enum TimeArgument {
    /// All clocks are moved.
    Virtual,
    /// The steps wait as long as they say: for somebody who watches.
    Real,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("no runtime: {error}")),
    };
    let code = runtime.block_on(async {
        match arguments.command {
            Some(Command::Run { files, time, database, bus, verbose, phone_program }) => {
                let surroundings =
                    Surroundings { shared: database.map(|database| Shared { database, bus }), phone_program };
                run(&files, time, verbose, &surroundings).await
            }
            Some(Command::Top { at }) => match lab::top::top(at).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(trouble) => complain(&trouble),
            },
            Some(Command::Phone) => match lab::serve_phone().await {
                Ok(()) => ExitCode::SUCCESS,
                Err(trouble) => complain(&trouble),
            },
            None => serve(arguments.listen, arguments.no_browser, arguments.phone).await,
        }
    });
    // `phone` may still wait for a line; nothing that is still running is wanted.
    runtime.shutdown_background();
    code
}

fn complain(what: &str) -> ExitCode {
    eprintln!("lab: {what}");
    ExitCode::FAILURE
}

async fn serve(listen: SocketAddr, no_browser: bool, phone: bool) -> ExitCode {
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => return complain(&format!("no folder for the phones: {error}")),
    };
    println!("Starting a backend, two phones with the real core, and the page that shows them...");
    let server = match Server::start(listen, folder.path()).await {
        Ok(server) => server,
        Err(error) => return complain(&error),
    };
    println!("The lab is open at {}", server.origin());
    if phone {
        println!("{}", how_a_phone_joins(&server.backend()));
    }
    println!("Stop it with Ctrl-C.");
    if !no_browser && has_display() {
        // Without one the address above is enough.
        let _ = open::that_detached(server.origin());
    }
    let stop = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    match server.serve(stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string()),
    }
}

/// For apps that are no part of the lab.
fn how_a_phone_joins(backend: &str) -> String {
    let port = backend.rsplit(':').next().unwrap_or_default();
    format!(
        "A phone that is not on the page joins at the backend, {backend}, until the page is reset or plays a story.
  Android, device or emulator: adb reverse tcp:{port} tcp:{port}
                               and a debug build of android/agent with this address as its server (android/README.md)
  iOS simulator:               a debug build of ios/agent with this address as its server
It signs in as one of the demo accounts. What it asks for is in the time line, as \"another phone\"."
    )
}

/// On Linux somebody may be at the other end of an SSH session, where no browser can open.
fn has_display() -> bool {
    !cfg!(target_os = "linux") || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some())
}

/// What a story is called: its file, without the ending.
fn name(file: &Path) -> String {
    file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

async fn run(files: &[PathBuf], time: TimeArgument, verbose: bool, surroundings: &Surroundings) -> ExitCode {
    let time = match time {
        TimeArgument::Virtual => Time::Virtual,
        TimeArgument::Real => Time::Real,
    };
    let (mut held, mut failed) = (0, 0);
    for file in files {
        let scenario = match std::fs::read_to_string(file).map_err(|error| error.to_string()) {
            Ok(text) => scenario::parse(&name(file), &text).map_err(|bad| bad.to_string()),
            Err(error) => Err(error),
        };
        match scenario {
            Ok(scenario) => {
                let outcome = scenario::play(&scenario, time, surroundings).await;
                if outcome.held {
                    held += 1;
                } else {
                    failed += 1;
                }
                if verbose || files.len() == 1 || !outcome.held {
                    println!("{}", outcome.transcript);
                } else if let Some(verdict) = outcome.transcript.lines().last() {
                    println!("{verdict}");
                }
            }
            Err(what) => {
                failed += 1;
                println!("FAILED: {}: {what}", file.display());
            }
        }
    }
    println!("{held} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
