//! `prove`: measures each promise of the table of docs/promises.md, and prints the table.
//!
//! | module | what it does |
//! |---|---|
//! | [`promises`] | the promises, a file each |
//! | [`report`] | what a measurement says, and the table |
//! | [`backend`] | a backend with an agent, and a browser that signs in |
//! | [`process`] | a phone in a process of its own: started, asked, stopped and killed |
//! | [`child`] | the other end: what such a process runs |
//! | [`stage`] | how far a process has come; the points at which it kills itself |
//! | [`shared_clock`] | one time for the backend and all processes, which can be moved |
//! | [`local`] | a phone in this process, for what needs no kill |
//! | [`wake`] | a process that a push starts, and that tells its times |
//! | [`through`] | programs in other languages that time their calls |
//! | [`services`] | PostgreSQL, NATS and nodes of the backend, each a process |
//! | [`explore`] | everything that can happen in a small world, one state after the other |
//! | [`simulation`] | many phones and a server in virtual time, for what needs no process at all |
//!
//! Everything random comes from one seed, which is printed: `prove kill --seed N` does the same again.

mod child;
mod explore;
mod local;
mod process;
mod promises;
mod report;
mod services;
mod shared_clock;
mod simulation;
mod stage;
mod test_backend;
mod through;
mod wake;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use promises::Promise;
use report::{Report, Size, Verdict};
use through::Through;

/// As in the shipped library: memory is wiped when it is freed, so that no buffer of HTTP or JSON outlives its secrets.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

/// Measures the promises that Hookswitch makes. Ends with 0 only when all that were named hold; when none was named, all that
/// can be measured on this machine.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    hidden: Option<Hidden>,

    /// Which promises; all of them when none is named.
    promises: Vec<Promise>,

    /// The sizes of the table, instead of quick ones.
    #[arg(long)]
    full: bool,

    /// Does what an earlier run did.
    #[arg(long)]
    seed: Option<u64>,

    /// `latency` also times calls through this program of another language; may be repeated.
    #[arg(long, value_name = "LANGUAGE=COMMAND")]
    through: Vec<Through>,

    /// Prints JSON, a line for each promise, instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Hidden {
    /// A phone: reads what to do from its input.
    #[command(hide = true)]
    Phone(child::Arguments),
    /// An app that a push starts.
    #[command(hide = true)]
    Wake(wake::Arguments),
    /// A node of the backend: runs until its input ends.
    #[command(hide = true)]
    Node(services::Node),
}

fn main() -> ExitCode {
    let began = wake::now();
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("no runtime: {error}")),
    };
    match arguments.hidden {
        Some(Hidden::Phone(phone)) => runtime.block_on(child::run(phone)),
        Some(Hidden::Wake(push)) => runtime.block_on(wake::run(began, push)),
        Some(Hidden::Node(node)) => match runtime.block_on(node.run()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(trouble) => complain(&trouble),
        },
        None => runtime.block_on(prove(arguments)),
    }
}

fn complain(what: &str) -> ExitCode {
    eprintln!("prove: {what}");
    ExitCode::FAILURE
}

async fn prove(arguments: Arguments) -> ExitCode {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let named = !arguments.promises.is_empty();
    let wanted = if named { arguments.promises } else { Promise::ALL.to_vec() };
    if !arguments.through.is_empty() && !wanted.contains(&Promise::Latency) {
        return complain("--through is for latency, which is not asked for");
    }
    let mut reports: Vec<Report> = Vec::new();
    for promise in wanted {
        if let Some(lack) = promise.lacks().filter(|_| !named) {
            let report = Report::not_measured(promise, seed, lack);
            eprintln!("{}: {}", promise.name(), report.sentence());
            reports.push(report);
            continue;
        }
        let size = Size { full: arguments.full, seed };
        eprintln!("{}: measuring, seed {seed}", promise.name());
        let report = match tokio::time::timeout(size.deadline(), promise.measure(size, &arguments.through)).await {
            Ok(Ok(report)) => report,
            Ok(Err(trouble)) => Report::broken(promise, seed, &trouble),
            Err(_) => Report::broken(promise, seed, &format!("it hangs: no end after {:?}", size.deadline())),
        };
        eprintln!("{}: {}", promise.name(), report.sentence());
        reports.push(report);
    }
    if arguments.json {
        for report in &reports {
            println!("{}", report.json());
        }
    } else {
        print!("{}", report::table(&reports));
    }
    let count = |verdict| reports.iter().filter(|report| report.verdict == verdict).count();
    let failed = count(Verdict::FellShort);
    let not_measured = match count(Verdict::NotMeasured) {
        0 => String::new(),
        promises => format!(", {promises} not measured"),
    };
    eprintln!("{} passed, {failed} failed{not_measured}", count(Verdict::Held));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
