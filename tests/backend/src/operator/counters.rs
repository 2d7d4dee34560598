//! How much was asked of the backend, counted while it runs.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hookswitch_wire::AccountId;
use serde::{Deserialize, Serialize};

/// What was asked of the backend, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests in all.
    pub requests: u64,
    /// `POST /token`.
    pub token_posts: u64,
    /// ...of which asked for a refresh.
    pub refresh_posts: u64,
    /// ...and those that were answered `invalid_grant`.
    pub invalid_grants: u64,
    /// Streams that were opened.
    pub streams: u64,
}

/// Counts while the backend runs.
#[derive(Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    token_posts: AtomicU64,
    refresh_posts: AtomicU64,
    invalid_grants: AtomicU64,
    streams: AtomicU64,
    refreshes: Mutex<HashMap<AccountId, u64>>,
}

impl Counters {
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn token(&self) {
        self.token_posts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refresh(&self) {
        self.refresh_posts.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn invalid_grant(&self) {
        self.invalid_grants.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stream(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
    }

    /// A refresh token of this account came, good or not.
    pub(crate) fn refreshed(&self, account: &AccountId) {
        let mut refreshes = self.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
        *refreshes.entry(account.clone()).or_default() += 1;
    }

    pub(super) fn refreshes(&self, account: &AccountId) -> u64 {
        self.refreshes.lock().unwrap_or_else(PoisonError::into_inner).get(account).copied().unwrap_or_default()
    }

    pub(super) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            requests: read(&self.requests),
            token_posts: read(&self.token_posts),
            refresh_posts: read(&self.refresh_posts),
            invalid_grants: read(&self.invalid_grants),
            streams: read(&self.streams),
        }
    }
}
