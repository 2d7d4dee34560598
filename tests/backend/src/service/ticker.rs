//! Makes time pass for agents about whom nobody asks: leases run out, the working day ends, and all are told.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use crate::clock::Millis;
use hookswitch_wire::AccountId;
use tokio::{sync::Notify, time::MissedTickBehavior};

use super::{Service, ServiceError, Unit, others::LOOK_EVERY};

/// How many overdue agents are seen to before anything else.
const AT_A_TIME: usize = 100;

/// When the snapshot of which agent changes by itself.
#[derive(Default)]
pub(super) struct Deadlines {
    inner: Mutex<Inner>,
    sooner: Notify,
}

#[derive(Default)]
struct Inner {
    by_account: HashMap<AccountId, Millis>,
    by_time: BTreeSet<(Millis, AccountId)>,
}

impl Deadlines {
    pub(super) fn set(&self, account: &AccountId, at: Option<Millis>) {
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

    pub(super) fn passed(&self, account: &AccountId, now: Millis) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.by_account.get(account).is_some_and(|at| *at <= now)
    }

    fn first(&self) -> Option<(Millis, AccountId)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).by_time.first().cloned()
    }
}

/// Runs until the backend stops.
///
/// Each node wakes for the agents that it knows. Where several share the agents, each also looks for those who are overdue:
/// the node that knew them may be gone. Two nodes may wake for one agent; the second finds that nothing is left to do.
pub(crate) async fn run(service: &Service) {
    let mut beat = tokio::time::interval(LOOK_EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = service.bus.stopping();
    loop {
        let work = async {
            match service.deadlines.first() {
                None => service.deadlines.sooner.notified().await,
                Some((at, account)) => tokio::select! {
                    () = service.clock.sleep_until(at) => tick(service, &account),
                    () = service.deadlines.sooner.notified() => {}
                },
            }
        };
        tokio::select! {
            () = work => {}
            _ = beat.tick(), if service.store.is_shared() => catch_up(service),
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

fn catch_up(service: &Service) {
    let one = |unit: &mut Unit<'_>| {
        let Some(account) = unit.tx.overdue(unit.now)? else { return Ok::<_, ServiceError>(false) };
        if let Err(error) = unit.agent(&account, |_, _| Ok(Vec::new())) {
            tracing::error!(%account, %error, "time could not pass for an agent");
            unit.tx.set_due(&account, None)?;
        }
        Ok(true)
    };
    // In turns with other work.
    for _ in 0..AT_A_TIME {
        match service.write(one) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::warn!(%error, "nobody knows whom time has changed"),
        }
    }
}

fn tick(service: &Service, account: &AccountId) {
    if let Err(error) = service.write(|unit| unit.agent(account, |_, _| Ok(Vec::new()))) {
        tracing::error!(%account, %error, "time could not pass for an agent");
        // Not again and again: the next change of the agent sets it anew.
        service.deadlines.set(account, None);
    }
}
