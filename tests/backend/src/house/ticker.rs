//! Makes time pass for agents about whom nobody asks: leases run out, the working day ends, and all are told.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use hookswitch_wire::{AccountId, UnixMillis};
use tokio::sync::Notify;

use super::House;

/// When the snapshot of which agent changes by itself.
#[derive(Default)]
pub(super) struct Deadlines {
    inner: Mutex<Inner>,
    sooner: Notify,
}

#[derive(Default)]
struct Inner {
    by_account: HashMap<AccountId, UnixMillis>,
    by_time: BTreeSet<(UnixMillis, AccountId)>,
}

impl Deadlines {
    pub(super) fn set(&self, account: &AccountId, at: Option<UnixMillis>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = inner.by_account.remove(account) {
            inner.by_time.remove(&(old, account.clone()));
        }
        if let Some(at) = at {
            inner.by_account.insert(account.clone(), at);
            inner.by_time.insert((at, account.clone()));
        }
        drop(inner);
        self.sooner.notify_one();
    }

    pub(super) fn passed(&self, account: &AccountId, now: UnixMillis) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.by_account.get(account).is_some_and(|at| *at <= now)
    }

    fn first(&self) -> Option<(UnixMillis, AccountId)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).by_time.first().cloned()
    }
}

/// Runs until the backend stops.
pub(crate) async fn run(house: &House) {
    let mut stopping = house.bus.stopping();
    loop {
        let work = async {
            match house.deadlines.first() {
                None => house.deadlines.sooner.notified().await,
                Some((at, account)) => tokio::select! {
                    () = house.clock.sleep_until(at) => tick(house, &account),
                    () = house.deadlines.sooner.notified() => {}
                },
            }
        };
        tokio::select! {
            () = work => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

fn tick(house: &House, account: &AccountId) {
    if let Err(error) = house.write(|unit| unit.agent(account, |_, _| Ok(Vec::new()))) {
        tracing::error!(%account, %error, "time could not pass for an agent");
        // Not again and again: the next change of the agent sets it anew.
        house.deadlines.set(account, None);
    }
}
