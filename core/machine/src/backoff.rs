//! Waiting between attempts: exponential with full jitter.

use serde::{Deserialize, Serialize};

use crate::time::Mono;

/// Bounds of the wait, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The first wait is shorter than this.
    pub first: u64,
    /// No wait is longer than this, but for what a server asks for.
    pub most: u64,
}

/// For whatever talks to the server.
pub const NETWORK: Bounds = Bounds { first: 500, most: 30_000 };

/// How many attempts have failed in a row, and when the next one is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    attempt: u32,
    until: Option<Mono>,
}

impl Backoff {
    /// An attempt failed: waits a random time below a bound that doubles, or as long as the server asked.
    pub fn fail(&mut self, bounds: Bounds, now: Mono, random: &mut Random, retry_after: Option<u64>) -> Mono {
        let ceiling = bounds.first.saturating_mul(1_u64 << self.attempt.min(16)).min(bounds.most);
        self.attempt = self.attempt.saturating_add(1);
        // Full jitter, but never a busy loop: at least a tenth of the first bound. Spread from there on, not cut off there:
        // of all who lose a node, a tenth would come back in the same millisecond.
        let least = bounds.first / 10;
        let wait = least.saturating_add(random.below(ceiling.saturating_sub(least)));
        let until = now.saturating_add(retry_after.map_or(wait, |asked| asked.saturating_add(wait)));
        self.until = Some(until);
        until
    }

    /// An attempt succeeded: the next failure starts with a short wait again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// The next attempt comes at this moment instead.
    pub(crate) fn retry_at(&mut self, at: Mono) {
        self.until = Some(at);
    }

    /// Something changed (network, foreground): try now, but go on counting.
    pub(crate) fn retry_now(&mut self) {
        self.until = None;
    }

    /// How long it is until then, in milliseconds.
    pub(crate) fn left(&self, now: Mono) -> u64 {
        self.until.map_or(0, |until| until.saturating_sub(now))
    }

    /// Whether an attempt may be made.
    pub(crate) fn is_over(&self, now: Mono) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    pub(crate) const fn has_failed(&self) -> bool {
        self.attempt > 0
    }
}

/// SplitMix64: deterministic, so that a transcript replays. For jitter and for names, never for a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Random(u64);

impl Random {
    /// The same seed, the same numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_its_bound_and_never_nothing(seed: u64, failures in 1_u32..200) {
            let (mut backoff, mut random) = (Backoff::default(), Random::new(seed));
            for _ in 0..failures {
                let until = backoff.fail(NETWORK, 1_000, &mut random, None);
                prop_assert!((1_050..=31_000).contains(&until));
            }
        }

        #[test]
        fn a_server_that_asks_for_time_gets_it(seed: u64, asked in 0_u64..100_000) {
            let (mut backoff, mut random) = (Backoff::default(), Random::new(seed));
            prop_assert!(backoff.fail(NETWORK, 0, &mut random, Some(asked)) >= asked);
            prop_assert!(!backoff.is_over(asked));
        }
    }
}
