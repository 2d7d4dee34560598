//! What an agent chooses by a tap: availability, and where calls go.

use hookswitch_wire::{Availability, ForwardTo, UnixMillis};
use serde::{Deserialize, Serialize};

/// What a tap is about; there is at most one pending of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceKind {
    /// The availability picker.
    Availability,
    /// The forwarding switch.
    Forwarding,
}

/// What a tap asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Choice {
    /// Whether calls come to the agent, and if not, why.
    Availability {
        /// The availability that was picked.
        availability: Availability,
    },
    /// Calls to this number, or to the apps.
    Forwarding {
        /// The number that calls go to; `None`: they ring in the apps.
        to: Option<ForwardTo>,
    },
}

impl Choice {
    /// What it is about.
    pub const fn kind(&self) -> ChoiceKind {
        match self {
            Self::Availability { .. } => ChoiceKind::Availability,
            Self::Forwarding { .. } => ChoiceKind::Forwarding,
        }
    }
}

/// A tap that was not applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupersededChoice {
    /// What was asked for.
    pub choice: Choice,
    /// When it was given up, by the best guess of the server's clock.
    pub at: UnixMillis,
    /// What happened, for the agent.
    pub why: String,
    /// Where something newer was chosen, for display: "Desktop". Nothing when nothing was, or nobody knows.
    pub by: Option<String>,
    /// When that was, by the server's clock.
    pub chosen_at: Option<UnixMillis>,
}
