//! What was checked: one line a promise.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt;

/// What went wrong, for a person.
pub(crate) type ErrorMessage = String;

/// Any error as an [`ErrorMessage`].
pub(crate) fn text(error: impl std::fmt::Display) -> ErrorMessage {
    error.to_string()
}

/// Fails with a sentence unless something holds.
pub(crate) fn ensure(holds: bool, otherwise: impl FnOnce() -> ErrorMessage) -> Result<(), ErrorMessage> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// A check that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// Counts and prints.
pub(crate) struct Report {
    group: &'static str,
    wanted: Option<String>,
    passed: u32,
    failed: u32,
}

impl Report {
    /// `wanted`: only promises with this text in them.
    pub(crate) const fn new(wanted: Option<String>) -> Self {
        Self { group: "", wanted, passed: 0, failed: 0 }
    }

    /// Whom the promises that follow are about.
    pub(crate) const fn about(&mut self, group: &'static str) {
        self.group = group;
    }

    /// Runs a check. Neither its error nor its panic nor its silence ends the others.
    pub(crate) async fn check(&mut self, promise: &str, check: impl Future<Output = Result<(), ErrorMessage>>) {
        let promise = format!("{}: {promise}", self.group);
        if self.wanted.as_ref().is_some_and(|wanted| !promise.contains(wanted)) {
            return;
        }
        let began = Instant::now();
        let outcome = match tokio::time::timeout(PATIENCE, AssertUnwindSafe(check).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err("it panicked".to_owned()),
            Err(_) => Err(format!("nothing came of it within {} s", PATIENCE.as_secs())),
        };
        let took = began.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok - {promise} ({took:.1} s)");
            }
            Err(trouble) => {
                self.failed += 1;
                println!("not ok - {promise} ({took:.1} s)\n#   {}", trouble.replace('\n', "\n#   "));
            }
        }
    }

    /// Prints the counts, and says whether nothing failed. `broke`: the rest could not be checked, which counts as one.
    pub(crate) fn end(&self, broke: bool) -> bool {
        let failed = self.failed + u32::from(broke);
        println!("{} passed, {failed} failed", self.passed);
        failed == 0 && self.passed > 0
    }
}
