//! What is known of this phone's registration.

use serde::{Deserialize, Serialize};

use crate::{backoff::Backoff, event::DeviceFacts, names::SecretRef, ring::Registration};

/// What is known of this phone's registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceState {
    pub(crate) push_token: Option<SecretRef>,
    /// Whether the app has said in this process what the push token is: then it knows better than the vault.
    pub(crate) told: bool,
    /// What the phone says of itself.
    #[serde(default)]
    pub(crate) facts: DeviceFacts,
    /// What was registered last in this process.
    pub(crate) registered: Option<Registered>,
    /// What the newest state says.
    pub(crate) seen: Registration,
    pub(crate) backoff: Backoff,
    /// The server has dropped the push token and was given it again; it has not said since that it has it.
    #[serde(default)]
    pub(crate) given_again: bool,
}

impl Default for DeviceState {
    fn default() -> Self {
        Self {
            push_token: None,
            told: false,
            facts: DeviceFacts::default(),
            registered: None,
            seen: Registration::Unknown,
            backoff: Backoff::default(),
            given_again: false,
        }
    }
}

impl DeviceState {
    pub(crate) fn forget_registration(&mut self) {
        self.registered = None;
        self.seen = Registration::Unknown;
        self.given_again = false;
        self.backoff.reset();
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.registered
            .as_ref()
            .is_some_and(|registered| registered.token == self.push_token && registered.facts == self.facts)
    }
}

/// What was registered. (Not an `Option<Option<_>>`: in JSON the two `None` are one.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Registered {
    pub(crate) token: Option<SecretRef>,
    #[serde(default)]
    pub(crate) facts: DeviceFacts,
}
