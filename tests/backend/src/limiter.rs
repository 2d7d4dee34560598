//! How often somebody may fail. In memory: a restart forgives.

use std::collections::{HashMap, VecDeque};

use crate::clock::Millis;

/// Failures in a sliding window.
#[derive(Debug)]
pub(crate) struct Limiter {
    most: usize,
    window: i64,
    failures: HashMap<String, VecDeque<Millis>>,
}

impl Limiter {
    /// At most `most` failures in `window` milliseconds.
    pub(crate) fn new(most: usize, window: i64) -> Self {
        Self { most, window, failures: HashMap::new() }
    }

    /// `Err(ms)`: no more tries until that much later.
    pub(crate) fn check(&mut self, key: &str, now: Millis) -> Result<(), i64> {
        let Some(failures) = self.failures.get_mut(key) else { return Ok(()) };
        let since = now.saturating_sub(self.window);
        // A clock that was set back leaves failures in the future: they do not count.
        failures.retain(|at| *at > since && *at <= now);
        if failures.len() < self.most {
            return Ok(());
        }
        let oldest = failures.front().copied().unwrap_or(now);
        Err(oldest.saturating_add(self.window).saturating_sub(now).max(1))
    }

    /// Somebody failed.
    pub(crate) fn failed(&mut self, key: &str, now: Millis) {
        // Keys come from outside: drop those that have run out before they fill the memory.
        if self.failures.len() >= 10_000 {
            let since = now.saturating_sub(self.window);
            self.failures.retain(|_, at| at.back().is_some_and(|last| *last > since));
        }
        self.failures.entry(key.to_owned()).or_default().push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eleventh_try_has_to_wait_and_only_for_its_own_key() {
        let mut limiter = Limiter::new(10, 900_000);
        for n in 0..10 {
            assert_eq!(limiter.check("a", 1_000 + n), Ok(()));
            limiter.failed("a", 1_000 + n);
        }
        assert_eq!(limiter.check("a", 2_000), Err(899_000));
        assert_eq!(limiter.check("b", 2_000), Ok(()));
        assert_eq!(limiter.check("a", 901_001), Ok(()));
    }
}
