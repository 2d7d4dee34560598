//! Programs in other languages that time their calls of the core: `bindings/kotlin` and `bindings/swift` have one each,
//! `LatencyMain`.

use std::{fmt::Write, process::Stdio, str::FromStr, time::Duration};

use serde::Deserialize;
use tokio::process::Command;

use crate::{
    process::text,
    report::{ErrorMessage, percentiles},
};

/// A virtual machine starts, and compiles what it runs.
const PATIENCE: Duration = Duration::from_secs(300);

/// A language, and the program that calls the core by way of it.
#[derive(Clone, Debug)]
pub(crate) struct Through {
    language: String,
    command: String,
    arguments: Vec<String>,
}

impl FromStr for Through {
    type Err = &'static str;

    /// `LANGUAGE=COMMAND`; the arguments of the command have spaces between them, and none inside.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (language, program) = text.split_once('=').ok_or("LANGUAGE=COMMAND is needed")?;
        let mut words = program.split_whitespace().map(str::to_owned);
        let command = words.next().ok_or("a command is needed")?;
        Ok(Self { language: language.to_owned(), command, arguments: words.collect() })
    }
}

/// What a program prints, as a line of JSON: for each kind of call how long each of them took, in nanoseconds.
#[derive(Deserialize)]
struct Line {
    /// A call that does nothing: the way there and back.
    nothing: Vec<u64>,
    /// The access token, which is there.
    token: Vec<u64>,
    /// What to show.
    snapshot: Vec<u64>,
    /// The decision on a push that keeps silent.
    decide: Vec<u64>,
}

/// Median and 99th percentile, in microseconds.
type Micros = (f64, f64);

/// What a language takes.
pub(crate) struct Times {
    language: String,
    nothing: Micros,
    pub(crate) token: Micros,
    snapshot: Micros,
    decide: Micros,
}

impl Through {
    pub(crate) fn language(&self) -> &str {
        &self.language
    }

    /// Runs the program, which signs in at a backend with the demo accounts and makes so many calls of each kind.
    pub(crate) async fn time(&self, backend: &str, rounds: usize) -> Result<Times, ErrorMessage> {
        let Self { language, command, arguments } = self;
        let mut process = Command::new(command);
        process.args(arguments).arg(backend).arg(rounds.to_string());
        process.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        let output = tokio::time::timeout(PATIENCE, process.output())
            .await
            .map_err(|_| format!("{language}: no end after {PATIENCE:?}"))?
            .map_err(|error| format!("{language}: {command}: {error}"))?;
        if !output.status.success() {
            return Err(format!("{language}: it ended with {}", output.status));
        }
        let line: Line =
            serde_json::from_slice(&output.stdout).map_err(|error| format!("{language}: {}", text(error)))?;
        let micros = |call: &str, nanos: Vec<u64>| {
            if nanos.len() != rounds {
                return Err(format!("{language}: {} times of {call} instead of {rounds}", nanos.len()));
            }
            let (median, p99, _) = percentiles(nanos.into_iter().map(|nanos| nanos as f64 / 1e3).collect());
            Ok((median, p99))
        };
        Ok(Times {
            language: language.clone(),
            nothing: micros("nothing", line.nothing)?,
            token: micros("token", line.token)?,
            snapshot: micros("snapshot", line.snapshot)?,
            decide: micros("decide", line.decide)?,
        })
    }
}

impl Times {
    /// For the figure.
    pub(crate) fn sentence(&self) -> String {
        let Self { language, nothing, token, snapshot, decide } = self;
        let mut sentence = format!("through {language}: nothing {:.1} µs (p99 {:.1})", nothing.0, nothing.1);
        for (call, (median, p99)) in [("token", token), ("snapshot", snapshot), ("decision", decide)] {
            let _ = write!(sentence, ", {call} {median:.1} ({p99:.1})");
        }
        sentence
    }
}
