//! A mobile device of an agent, as the server keeps it.

use hookswitch_wire::{Call, Capabilities, DeviceId, PhoneNumber, Platform, PushKind, UnixMillis};
use serde::{Deserialize, Serialize};

use super::Push;

/// A registered device and what only the server knows of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrackedDevice {
    pub(crate) id: DeviceId,
    pub(crate) name: String,
    pub(crate) platform: Platform,
    pub(crate) app_version: String,
    pub(crate) push_token: Option<String>,
    /// When the app said so last.
    #[serde(default)]
    pub(crate) token_at: UnixMillis,
    #[serde(default)]
    pub(crate) capabilities: Capabilities,
    /// Its own number, if the platform told it.
    #[serde(default)]
    pub(crate) line_number: Option<PhoneNumber>,
    /// The session that registered it and that it ends with.
    pub(crate) session: String,
    pub(crate) last_seen: UnixMillis,
}

impl TrackedDevice {
    /// What tells the device of a call.
    pub(super) fn push(&self, push_token: &str, kind: PushKind, call: &Call) -> Push {
        Push {
            device: self.id.clone(),
            platform: self.platform,
            push_token: push_token.to_owned(),
            kind,
            call: call.clone(),
        }
    }
}
