//! What a push carries about a call.

use serde::{Deserialize, Serialize};

use crate::{AccountId, CallId, PhoneNumber, UnixMillis, Version};

/// The payload of a call push, the same on APNs (VoIP) and FCM (data message).
///
/// Every field that the ring rule needs is here, because a phone may be started by this push and have nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallPush {
    /// Start ringing, or stop.
    pub kind: PushKind,
    /// Which call.
    pub call_id: CallId,
    /// Whose call: a push may outlive a sign-out.
    pub account: AccountId,
    /// After this the call has stopped ringing.
    pub expires_at: UnixMillis,
    /// The version of the agent's state from which the server decided to push.
    pub routing: Version,
    /// Whether forwarding was on at that version. A server that follows the rule never says `true` with
    /// [`PushKind::Incoming`]; an old one does, and the app keeps silent.
    pub forwarding_on: bool,
    /// Who calls; `None` when withheld.
    #[serde(default)]
    pub from: Option<PhoneNumber>,
    /// Who calls, for display.
    #[serde(default)]
    pub from_name: Option<String>,
}

/// What a push asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushKind {
    /// A call begins to ring.
    Incoming,
    /// It was answered on another device.
    AnsweredElsewhere,
    /// It is over.
    Ended,
}
