//! The calls that this phone has heard of.

use std::collections::BTreeMap;

use hookswitch_wire::{CallId, CallPush, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::{
    backoff::Backoff,
    effect::ApiCall,
    kept::Knowledge,
    ring::{CallKnowledge, RingLog},
    running::Purpose,
    time::Mono,
};

/// Calls that this phone has heard of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) heard: BTreeMap<CallId, HeardCall>,
    /// What an earlier process knew: used until the server has spoken to this one.
    pub(crate) remembered: Option<Knowledge>,
    pub(crate) log: RingLog,
}

/// A call that this phone has heard of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeardCall {
    pub(crate) phase: Phase,
    /// The push that it rang for; `None` for one that never rang here.
    pub(crate) push: Option<CallPush>,
    /// Since when this process has it, by the best guess of the server's clock; 0 when only an earlier one had it.
    pub(crate) since: UnixMillis,
    /// Until then it rings at most, whatever anybody's clock says.
    #[serde(default)]
    pub(crate) rings_until: Mono,
    /// What the server has not confirmed of what the agent did here.
    #[serde(default)]
    pub(crate) untold: Option<Untold>,
}

impl HeardCall {
    /// An earlier process knew that it is over.
    pub(crate) const fn of_an_earlier_process(how: CallKnowledge, until: Mono) -> Self {
        Self { phase: Phase::Over { how, until }, push: None, since: UnixMillis(0), rings_until: 0, untold: None }
    }

    pub(crate) fn is_of_an_earlier_process(&self) -> bool {
        self.since == UnixMillis(0)
    }
}

/// What the agent did to a call, until the server has confirmed it: repeated under its key, so that it happens once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Untold {
    pub(crate) call: ApiCall,
    pub(crate) backoff: Backoff,
    /// Until then it is repeated.
    pub(crate) until: Mono,
    /// What it is for, while it waits to be repeated; nothing while the request is out.
    pub(crate) waits: Option<Purpose>,
}

/// Where a call is in its life on this phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub(crate) enum Phase {
    Ringing,
    /// The agent has answered; the server has not said whether it is ours.
    Answering,
    InCall,
    /// Over for this phone: a tombstone, until then.
    Over {
        how: CallKnowledge,
        until: Mono,
    },
}

impl Phase {
    pub(crate) const fn is_busy(self) -> bool {
        match self {
            Self::Ringing | Self::Answering | Self::InCall => true,
            Self::Over { .. } => false,
        }
    }
}
