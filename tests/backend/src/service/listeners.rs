//! Which pages hear of an agent's calls at this moment: those with an open stream. A session alone rings nowhere.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hookswitch_wire::AccountId;

/// The pages that listen, in the order in which they began.
#[derive(Clone, Default)]
pub(crate) struct Listeners {
    open: Arc<Mutex<HashMap<AccountId, Vec<&'static str>>>>,
}

/// A page listens as long as this lives.
pub(crate) struct Listening {
    listeners: Listeners,
    account: AccountId,
    place: &'static str,
}

impl Listeners {
    fn open(&self) -> MutexGuard<'_, HashMap<AccountId, Vec<&'static str>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This page listens from now on.
    pub(crate) fn begin(&self, account: &AccountId, place: &'static str) -> Listening {
        self.open().entry(account.clone()).or_default().push(place);
        Listening { listeners: self.clone(), account: account.clone(), place }
    }

    /// The pages of an agent, each named once.
    pub(crate) fn of(&self, account: &AccountId) -> Vec<&'static str> {
        let mut places = Vec::new();
        for place in self.open().get(account).into_iter().flatten() {
            if !places.contains(place) {
                places.push(*place);
            }
        }
        places
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut open = self.listeners.open();
        let Some(places) = open.get_mut(&self.account) else { return };
        if let Some(index) = places.iter().position(|place| *place == self.place) {
            places.remove(index);
        }
        if places.is_empty() {
            open.remove(&self.account);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_listens_as_long_as_its_stream_is_open_and_is_named_once() {
        let listeners = Listeners::default();
        let (alice, bob) = (AccountId("alice".into()), AccountId("bob".into()));
        let web = listeners.begin(&alice, "web");
        let other_tab = listeners.begin(&alice, "web");
        let desktop = listeners.begin(&alice, "desktop");
        assert_eq!(listeners.of(&alice), ["web", "desktop"]);
        assert!(listeners.of(&bob).is_empty());
        drop(web);
        assert_eq!(listeners.of(&alice), ["web", "desktop"]);
        drop(other_tab);
        assert_eq!(listeners.of(&alice), ["desktop"]);
        drop(desktop);
        assert!(listeners.open().is_empty());
    }
}
