//! What a measurement says.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::promises::Promise;

/// What stopped a measurement, for a person.
pub(crate) type ErrorMessage = String;

/// How much to do, and with which luck.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) full: bool,
    pub(crate) seed: u64,
}

impl Size {
    /// One of two sizes.
    pub(crate) const fn pick(self, quick: usize, full: usize) -> usize {
        if self.full { full } else { quick }
    }

    /// Whatever takes longer hangs.
    pub(crate) const fn deadline(self) -> Duration {
        Duration::from_secs(if self.full { 3 * 3_600 } else { 900 })
    }

    /// The luck of one of many rounds: a round can be done again without those before it.
    pub(crate) fn luck(self, round: usize) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed.wrapping_mul(1_000_003).wrapping_add(round as u64))
    }
}

/// What a measurement comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Held,
    FellShort,
    /// This machine lacks what it takes.
    NotMeasured,
}

/// What was measured of a promise.
pub(crate) struct Report {
    promise: Promise,
    seed: u64,
    figure: String,
    /// What fell short, a line each.
    short: Vec<String>,
    pub(crate) verdict: Verdict,
}

impl Report {
    /// The promise holds when nothing fell short.
    pub(crate) fn new(promise: Promise, size: Size, figure: String, short: Vec<String>) -> Self {
        let verdict = if short.is_empty() { Verdict::Held } else { Verdict::FellShort };
        Self { promise, seed: size.seed, figure, verdict, short }
    }

    pub(crate) fn broken(promise: Promise, seed: u64, trouble: &str) -> Self {
        let verdict = Verdict::FellShort;
        Self { promise, seed, figure: "not measured".into(), short: vec![trouble.to_owned()], verdict }
    }

    /// Neither held nor broken.
    pub(crate) fn not_measured(promise: Promise, seed: u64, lack: &str) -> Self {
        Self { promise, seed, figure: lack.to_owned(), short: Vec::new(), verdict: Verdict::NotMeasured }
    }

    /// For the log: figure and what fell short.
    pub(crate) fn sentence(&self) -> String {
        let mut text = match self.verdict {
            Verdict::Held => format!("held: {}", self.figure),
            Verdict::FellShort => format!("FELL SHORT: {}", self.figure),
            Verdict::NotMeasured => format!("NOT MEASURED: {}", self.figure),
        };
        for line in self.short.iter().take(10) {
            let _ = write!(text, "\n    {line}");
        }
        if self.short.len() > 10 {
            let _ = write!(text, "\n    and {} more", self.short.len() - 10);
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let Self { promise, seed, figure, short, verdict } = self;
        let held = match verdict {
            Verdict::Held => Some(true),
            Verdict::FellShort => Some(false),
            Verdict::NotMeasured => None,
        };
        json!({ "promise": promise.name(), "goal": promise.goal(), "figure": figure, "seed": seed, "held": held, "short": short })
            .to_string()
    }
}

/// The table as the README shows it.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut text = "| promise | goal | measured | seed | held |\n|---|---|---|---|---|\n".to_owned();
    for Report { promise, seed, figure, verdict, .. } in reports {
        let held = match verdict {
            Verdict::Held => "yes",
            Verdict::FellShort => "**no**",
            Verdict::NotMeasured => "not measured",
        };
        let _ = writeln!(text, "| `{}` | {} | {figure} | {seed} | {held} |", promise.name(), promise.goal());
    }
    text
}

/// Says how far a long measurement is, now and then.
pub(crate) struct Progress {
    name: &'static str,
    total: usize,
    began: Instant,
    said: Instant,
}

impl Progress {
    pub(crate) fn new(promise: Promise, total: usize) -> Self {
        let now = Instant::now();
        Self { name: promise.name(), total, began: now, said: now }
    }

    pub(crate) fn at(&mut self, done: usize) {
        if self.said.elapsed().as_secs() >= 5 {
            self.said = Instant::now();
            eprintln!("{}: {done} of {} after {} s", self.name, self.total, self.began.elapsed().as_secs());
        }
    }
}

/// The middle and the end of many durations, in milliseconds.
pub(crate) fn percentiles(mut millis: Vec<f64>) -> (f64, f64, f64) {
    millis.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let index = ((millis.len().saturating_sub(1)) as f64 * part).round() as usize;
        millis.get(index).copied().unwrap_or_default()
    };
    (at(0.5), at(0.99), at(1.0))
}
