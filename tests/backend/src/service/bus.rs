//! Who is told of what, within this process. Nothing here is needed after a restart.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use hookswitch_wire::{AccountId, Snapshot, Version};
use tokio::sync::{broadcast, watch};

use crate::operator::RequestLog;

/// A snapshot, and its JSON once for all that get it.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) snapshot: Snapshot,
    pub(crate) json: Arc<str>,
    /// For the mirror latency.
    pub(crate) made: Instant,
}

impl Published {
    pub(crate) fn new(snapshot: Snapshot) -> serde_json::Result<Self> {
        let json = serde_json::to_string(&snapshot)?.into();
        Ok(Self { snapshot, json, made: Instant::now() })
    }

    /// From the JSON that was made of it.
    pub(crate) fn read(json: &str) -> serde_json::Result<Self> {
        Ok(Self { snapshot: serde_json::from_str(json)?, json: json.into(), made: Instant::now() })
    }
}

/// Wakes all that wait for an agent. The value is the newest state; a poke wakes without a new one.
type Watch = watch::Sender<Option<Arc<Published>>>;

/// The in-process bus.
pub(crate) struct Bus {
    agents: Mutex<HashMap<AccountId, Watch>>,
    requests: broadcast::Sender<RequestLog>,
    stopping: watch::Sender<bool>,
}

impl Bus {
    /// `requests` hear of every request.
    pub(crate) fn new(requests: broadcast::Sender<RequestLog>) -> Self {
        Self { agents: Mutex::default(), requests, stopping: watch::Sender::new(false) }
    }

    /// Who else may log requests.
    pub(crate) fn request_log(&self) -> broadcast::Sender<RequestLog> {
        self.requests.clone()
    }

    fn agent<T>(&self, account: &AccountId, with: impl FnOnce(&Watch) -> T) -> T {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = agents.get(account) {
            return with(watch);
        }
        with(agents.entry(account.clone()).or_insert_with(|| Watch::new(None)))
    }

    pub(crate) fn publish(&self, account: &AccountId, published: Arc<Published>) {
        self.agent(account, |watch| {
            watch.send_if_modified(|held| {
                // What was read before a newer one was published comes too late.
                if held.as_ref().is_some_and(|old| old.snapshot.version > published.snapshot.version) {
                    return false;
                }
                // A read publishes what all have already: that wakes nobody.
                let news = held.as_ref().is_none_or(|old| old.snapshot.version != published.snapshot.version);
                *held = Some(published);
                news
            });
        });
    }

    /// Something about the agent's sessions changed: look again.
    pub(crate) fn poke(&self, account: &AccountId) {
        self.agent(account, |watch| watch.send_modify(|_| {}));
    }

    pub(crate) fn published(&self, account: &AccountId) -> Option<Arc<Published>> {
        self.agent(account, |watch| watch.borrow().clone())
    }

    pub(crate) fn watch(&self, account: &AccountId) -> watch::Receiver<Option<Arc<Published>>> {
        self.agent(account, Watch::subscribe)
    }

    /// Whether anybody here waits for an agent.
    pub(crate) fn is_watched(&self, account: &AccountId) -> bool {
        let agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        agents.get(account).is_some_and(|watch| watch.receiver_count() > 0)
    }

    /// The agents whom somebody here waits for, and what was published last of each.
    pub(crate) fn watched(&self) -> HashMap<AccountId, Option<Version>> {
        let agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        agents
            .iter()
            .filter(|(_, watch)| watch.receiver_count() > 0)
            .map(|(account, watch)| {
                (account.clone(), watch.borrow().as_ref().map(|published| published.snapshot.version))
            })
            .collect()
    }

    pub(crate) fn log(&self, request: RequestLog) {
        // Fails when nobody listens, which is fine.
        let _ = self.requests.send(request);
    }

    pub(crate) fn requests(&self) -> broadcast::Receiver<RequestLog> {
        self.requests.subscribe()
    }

    /// The backend stops: streams end, listeners close.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}
