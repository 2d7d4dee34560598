//! What became of each refresh: the record by which a prover tells whether each expiry cost exactly one request, and which
//! token a refusal was for. Kept in memory: it counts from the start of the backend.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::clock::Millis;
use hookswitch_wire::{DeviceId, SignedOutReason};
use serde::{Deserialize, Serialize};

/// How many refusals and generations are remembered of a family; all are counted.
const REMEMBER: usize = 1_000;

/// All refreshes of an agent's phones, and those of tokens that nobody knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshRecord {
    /// A family of tokens is all that came of one sign-in of one phone; oldest first, ended ones included.
    pub families: Vec<FamilyReport>,
    /// Refusals of tokens that were never ours, whoever sent them: the newest.
    pub unknown: Vec<RefusedRefresh>,
}

/// One family of refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyReport {
    /// The name of its session; no secret.
    pub session: String,
    /// The device that the session registered.
    pub device: Option<DeviceId>,
    /// Whether the session lives: neither ended nor run out.
    pub live: bool,
    /// Why the session was ended.
    pub ended: Option<SignedOutReason>,
    /// The newest generation: 0 at the sign-in, one more with each rotation.
    pub generation: u64,
    /// Fingerprints of the tokens of the newest generation: one, and one more a retry within the leeway.
    pub current: Vec<String>,
    /// Refreshes that reached the server, whether or not a fault let it see or answer them.
    pub received: u64,
    /// The same by the generation of the token that came. Only the newest thousand generations.
    pub received_by_generation: BTreeMap<u64, u64>,
    /// Refreshes that were granted, retries included. The answer may have been lost on its way.
    pub granted: u64,
    /// Grants to a token that was used before, within the leeway.
    pub retried: u64,
    /// Refreshes that were answered `invalid_grant`.
    pub refused: u64,
    /// What was refused: the newest thousand.
    pub refusals: Vec<RefusedRefresh>,
}

/// An `invalid_grant`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRefresh {
    /// When it came in.
    pub at: Millis,
    /// The fingerprint of the token that came: see [`token_fingerprint`](crate::token_fingerprint).
    pub token: String,
    /// Its generation; `None`: nobody knows it.
    pub generation: Option<u64>,
    /// The `error_description` of the answer.
    pub why: String,
}

/// What became of one refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Granted,
    Retried,
    Refused(&'static str),
}

/// A refresh token that came and is one of ours.
#[derive(Clone, Debug)]
pub(crate) struct Presented {
    pub(crate) session: String,
    pub(crate) generation: u64,
}

/// What is counted of one family.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) received: u64,
    pub(crate) by_generation: BTreeMap<u64, u64>,
    pub(crate) granted: u64,
    pub(crate) retried: u64,
    pub(crate) refused: u64,
    pub(crate) refusals: VecDeque<RefusedRefresh>,
}

impl Tally {
    fn refuse(&mut self, refusal: RefusedRefresh) {
        self.refused += 1;
        if self.refusals.len() >= REMEMBER {
            self.refusals.pop_front();
        }
        self.refusals.push_back(refusal);
    }
}

/// The record while the backend runs.
#[derive(Default)]
pub(crate) struct Refreshes {
    /// By session; `None`: tokens that nobody knows.
    tallies: Mutex<HashMap<Option<String>, Tally>>,
}

impl Refreshes {
    fn tallies(&self) -> MutexGuard<'_, HashMap<Option<String>, Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A refresh token of ours came.
    pub(crate) fn received(&self, presented: &Presented) {
        let mut tallies = self.tallies();
        let tally = tallies.entry(Some(presented.session.clone())).or_default();
        tally.received += 1;
        *tally.by_generation.entry(presented.generation).or_default() += 1;
        if tally.by_generation.len() > REMEMBER {
            tally.by_generation.pop_first();
        }
    }

    /// What became of it. `token` is its fingerprint.
    pub(crate) fn decided(&self, presented: Option<&Presented>, token: &str, outcome: Outcome, at: Millis) {
        let mut tallies = self.tallies();
        let tally = tallies.entry(presented.map(|presented| presented.session.clone())).or_default();
        match outcome {
            Outcome::Granted => tally.granted += 1,
            Outcome::Retried => {
                tally.granted += 1;
                tally.retried += 1;
            }
            Outcome::Refused(why) => tally.refuse(RefusedRefresh {
                at,
                token: token.to_owned(),
                generation: presented.map(|presented| presented.generation),
                why: why.to_owned(),
            }),
        }
    }

    /// What was counted of a session; `None`: of tokens that nobody knows.
    pub(crate) fn tally(&self, session: Option<&str>) -> Tally {
        self.tallies().get(&session.map(str::to_owned)).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_counted_is_not() {
        let refreshes = Refreshes::default();
        let more = REMEMBER as u64 + 5;
        for generation in 0..more {
            let presented = Presented { session: "s".to_owned(), generation };
            refreshes.received(&presented);
            refreshes.decided(Some(&presented), "t", Outcome::Refused("no"), 1);
            refreshes.decided(None, "t", Outcome::Refused("no"), 1);
        }
        for tally in [refreshes.tally(Some("s")), refreshes.tally(None)] {
            assert_eq!((tally.refused, tally.refusals.len()), (more, REMEMBER));
        }
        let tally = refreshes.tally(Some("s"));
        assert_eq!((tally.received, tally.by_generation.len()), (more, REMEMBER));
        assert!(!tally.by_generation.contains_key(&4) && tally.by_generation.contains_key(&5));
    }
}
