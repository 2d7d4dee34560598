//! What effects under way are for.

use hookswitch_wire::CallId;
use serde::{Deserialize, Serialize};

use crate::{
    choice::ChoiceKind,
    effect::ApiCall,
    event::DeviceFacts,
    names::{CommandId, Generation, RevocationId, SecretRef},
    time::Mono,
};

/// What a running effect is for: whoever drops the purpose drops the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub(crate) enum Purpose {
    Load,
    Discover,
    DiscoverAgain,
    SavePending,
    PushLogin,
    DropPending,
    SaveMetadata,
    Exchange,
    SignIn,
    TakeRefreshLease,
    Refresh,
    /// Tokens were asked for, and nobody wants them any more.
    TakeBack,
    TakenBack,
    SaveTokens {
        generation: Generation,
    },
    Reread,
    AbandonRefresh,
    SignOut {
        to: Option<CommandId>,
    },
    SignOutEverywhere {
        to: CommandId,
    },
    /// A request of the agent that changes nothing here.
    Ask {
        to: CommandId,
    },
    Revoke {
        revocation: RevocationId,
    },
    Revoked,
    Remember,
    SavePushToken,
    Register {
        token: Option<SecretRef>,
        facts: DeviceFacts,
    },
    Fetch,
    Poll,
    Tap {
        tap: ChoiceKind,
    },
    Answer {
        to: CommandId,
        call_id: CallId,
    },
    /// `to` is nobody once the command was told that the server does not know yet.
    Decline {
        to: Option<CommandId>,
        call_id: CallId,
    },
    /// As for [`Self::Decline`].
    HangUp {
        to: Option<CommandId>,
        call_id: CallId,
    },
    RenewCallLease {
        call_id: CallId,
    },
}

impl Purpose {
    /// Whether it is a step of a sign-in before its tokens are there.
    pub(crate) const fn prepares_login(&self) -> bool {
        matches!(self, Self::Discover | Self::SavePending | Self::PushLogin | Self::Exchange)
    }

    /// Whether the effect, or what comes of it, must reach the vault.
    pub(crate) const fn saves(&self) -> bool {
        match self {
            Self::SavePending
            | Self::DropPending
            | Self::SaveMetadata
            | Self::Exchange
            | Self::TakeRefreshLease
            | Self::Refresh
            | Self::TakeBack
            | Self::TakenBack
            | Self::SignIn
            | Self::SaveTokens { .. }
            | Self::SignOut { .. }
            | Self::Revoked
            | Self::Remember
            | Self::SavePushToken => true,
            Self::Load
            | Self::Discover
            | Self::DiscoverAgain
            | Self::PushLogin
            | Self::Reread
            | Self::AbandonRefresh
            | Self::Revoke { .. }
            | Self::Register { .. }
            | Self::Fetch
            | Self::Poll
            | Self::Tap { .. }
            | Self::Answer { .. }
            | Self::Decline { .. }
            | Self::HangUp { .. }
            | Self::SignOutEverywhere { .. }
            | Self::Ask { .. }
            | Self::RenewCallLease { .. } => false,
        }
    }

    /// The command that waits for this effect and nothing else.
    pub(crate) const fn replies_to(&self) -> Option<CommandId> {
        match self {
            Self::SignOut { to } | Self::Decline { to, .. } | Self::HangUp { to, .. } => *to,
            Self::Answer { to, .. } | Self::Ask { to } | Self::SignOutEverywhere { to } => Some(*to),
            Self::Load
            | Self::Discover
            | Self::DiscoverAgain
            | Self::SavePending
            | Self::PushLogin
            | Self::DropPending
            | Self::SaveMetadata
            | Self::Exchange
            | Self::SignIn
            | Self::TakeRefreshLease
            | Self::Refresh
            | Self::TakeBack
            | Self::TakenBack
            | Self::SaveTokens { .. }
            | Self::Reread
            | Self::AbandonRefresh
            | Self::Revoke { .. }
            | Self::Revoked
            | Self::Remember
            | Self::SavePushToken
            | Self::Register { .. }
            | Self::Fetch
            | Self::Poll
            | Self::Tap { .. }
            | Self::RenewCallLease { .. } => None,
        }
    }

    /// Whether a sign-out makes the effect pointless.
    pub(crate) const fn belongs_to_session(&self) -> bool {
        match self {
            Self::Load
            | Self::Discover
            | Self::DiscoverAgain
            | Self::SavePending
            | Self::PushLogin
            | Self::DropPending
            | Self::SaveMetadata
            | Self::Exchange
            | Self::TakeBack
            | Self::TakenBack
            | Self::SignOut { .. }
            | Self::Revoke { .. }
            | Self::Revoked
            | Self::SavePushToken
            | Self::AbandonRefresh => false,
            Self::SignIn
            | Self::TakeRefreshLease
            | Self::Refresh
            | Self::SaveTokens { .. }
            | Self::Reread
            | Self::Remember
            | Self::Register { .. }
            | Self::Fetch
            | Self::Poll
            | Self::Tap { .. }
            | Self::Answer { .. }
            | Self::Decline { .. }
            | Self::HangUp { .. }
            | Self::SignOutEverywhere { .. }
            | Self::Ask { .. }
            | Self::RenewCallLease { .. } => true,
        }
    }
}

/// An effect that has not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InFlight {
    pub(crate) purpose: Purpose,
    pub(crate) began: Mono,
    /// For a request of the API: what to repeat with a fresh token after a 401.
    pub(crate) api: Option<SentCall>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SentCall {
    pub(crate) call: ApiCall,
    pub(crate) access: SecretRef,
    pub(crate) retried: bool,
}
