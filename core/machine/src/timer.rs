//! What the machine waits for.

use hookswitch_wire::CallId;
use serde::{Deserialize, Serialize};

use crate::choice::ChoiceKind;

/// A timer, by what it is for. Setting one again moves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "timer", rename_all = "snake_case")]
pub enum Timer {
    /// The access token is about to expire, or a failed refresh may be tried again.
    Refresh,
    /// What storage refused (rotated tokens, a sign-out) is stored again.
    SaveTokens,
    /// The stream was silent for too long.
    Heartbeat,
    /// The stream may be opened again.
    Reconnect,
    /// The stream has lived long enough to be called stable.
    Stable,
    /// A tap is too old to be applied.
    TapExpiry {
        /// Which of the pending taps.
        tap: ChoiceKind,
    },
    /// The registration may be tried again.
    Register,
    /// The queue of revocations may be tried again.
    Revoke,
    /// The app has been in the background long enough to stop all traffic.
    BackgroundGrace,
    /// A call has stopped ringing because nobody answered.
    RingUntil {
        /// The call, by the name that the server gave it.
        call_id: CallId,
    },
    /// What the server was to be told of a call, and was not, may be told again.
    TellAgain {
        /// The call, by the name that the server gave it.
        call_id: CallId,
    },
    /// The lease of a running call must be renewed.
    RenewCallLease {
        /// The call, by the name that the server gave it.
        call_id: CallId,
    },
}
