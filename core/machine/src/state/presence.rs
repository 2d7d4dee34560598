//! What is known of the agent's presence, and of the way to the server.

use hookswitch_wire::{Snapshot, Version};
use serde::{Deserialize, Serialize};

use crate::{
    backoff::Backoff,
    choice::{Choice, ChoiceKind, SupersededChoice},
    names::{CommandId, EffectId, SecretRef},
    time::Mono,
};

/// What the phone knows of the agent's presence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PresenceSync {
    /// The newest state of the server.
    pub(crate) confirmed: Option<Box<Snapshot>>,
    pub(crate) taps: Taps,
    pub(crate) superseded: Option<SupersededChoice>,
    pub(crate) link: StreamLink,
    pub(crate) backoff: Backoff,
    /// What was shown before a repair dropped it: nothing older comes back, until the server is asked anew.
    #[serde(default)]
    pub(crate) floor: Option<Version>,
    /// The last stream was refused with 401 before it said anything: a second time is no accident.
    pub(crate) refused: bool,
    /// The last stream fell silent, and none has beaten since.
    #[serde(default)]
    pub(crate) silent: bool,
    /// Until then there is no stream: the state is asked for.
    #[serde(default)]
    pub(crate) poll_until: Option<Mono>,
    /// How long the server wants to be left alone by this stream's phone should the stream be lost, in milliseconds.
    #[serde(default)]
    pub(crate) retry: Option<u64>,
    /// What is or was waited for last is the turn that the server gave, after the loss of a stream. Nothing has failed since.
    #[serde(default)]
    pub(crate) in_turn: bool,
}

impl PresenceSync {
    /// Drops what the server will say again.
    pub(crate) fn drop_cache(&mut self) {
        self.floor = self.version().max(self.floor);
        self.confirmed = None;
        self.superseded = None;
        self.backoff.reset();
    }

    /// Whether attempts to reach the server fail.
    pub(crate) const fn fails(&self) -> bool {
        self.backoff.has_failed() && !self.in_turn
    }

    pub(crate) fn version(&self) -> Option<Version> {
        self.confirmed.as_ref().map(|snapshot| snapshot.version)
    }
}

/// A tap that the server has not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tap {
    pub(crate) choice: Choice,
    /// Waits for the end of it; `None` when it was told that the end is not known yet.
    pub(crate) to: Option<CommandId>,
    pub(crate) at: Mono,
    pub(crate) request: TapRequest,
    pub(crate) applied: Applied,
    /// How often it was sent on top of another state.
    pub(crate) rebased: u32,
    /// What was sent last; kept while the answer is in doubt, so that a repetition is known as one.
    pub(crate) attempt: Option<(String, Version)>,
}

/// Where the request of a tap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TapRequest {
    /// There is none: it is sent as soon as it may be.
    Due,
    /// It waits for a fresh access token.
    AwaitsToken,
    /// It is on its way to the server, or its answer is on the way back.
    Out,
}

/// Whether the server has applied a tap, as far as this phone can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Applied {
    /// The choice is not in the server's state.
    No,
    /// A request that was out had no answer: it may have.
    InDoubt,
    /// It may have, and the tap is too old by now: the server is asked to undo it rather than to do it.
    Withdrawn,
}

/// The pending taps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taps {
    availability: Option<Tap>,
    forwarding: Option<Tap>,
}

impl Taps {
    pub(crate) fn slot(&mut self, kind: ChoiceKind) -> &mut Option<Tap> {
        match kind {
            ChoiceKind::Availability => &mut self.availability,
            ChoiceKind::Forwarding => &mut self.forwarding,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tap> {
        self.availability.iter().chain(&self.forwarding)
    }

    pub(crate) fn take_all(&mut self) -> Vec<Tap> {
        self.availability.take().into_iter().chain(self.forwarding.take()).collect()
    }
}

/// The presence stream, as the phone sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "link", rename_all = "snake_case")]
pub(crate) enum StreamLink {
    /// Closed: signed out, in the background, no network, or waiting to try again.
    #[default]
    Down,
    /// Waits for a fresh token, then opens.
    WantsToken,
    /// Opened, nothing heard yet.
    Opening { stream: EffectId, access: SecretRef },
    /// Heard of within the last two and a half heartbeats.
    Live { stream: EffectId, access: SecretRef },
    /// No stream: the state is asked for, with questions that wait for news.
    Polling { began: Mono, heard: bool },
}

impl StreamLink {
    pub(crate) const fn stream(self) -> Option<(EffectId, SecretRef)> {
        match self {
            Self::Opening { stream, access } | Self::Live { stream, access } => Some((stream, access)),
            Self::Down | Self::WantsToken | Self::Polling { .. } => None,
        }
    }
}
