//! How far a session is: what is known of who is signed in.

use hookswitch_wire::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::{
    backoff::Backoff,
    effect::{ApiCall, SignOutScope},
    error::Failure,
    event::Outcome,
    issuer_profile::IssuerProfile,
    kept::{AgentProfile, PendingLogin, ReauthReason, Refusals, SignedOutWhy, TokenSet},
    names::{CommandId, SecretRef},
    running::Purpose,
    sentences::{NOT_LOADED, SIGN_IN_FIRST},
    time::{Mono, Timestamp},
};

/// The session. Each state has one obvious reaction of the app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "session", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub(crate) enum Session {
    /// The vault is being read.
    Loading,
    /// The key cannot be read before the first unlock.
    Locked,
    SignedOut {
        why: SignedOutWhy,
    },
    SigningIn {
        pending: PendingLogin,
        stage: LoginStage,
        /// Where a cancelled login goes back to.
        before: BeforeLogin,
    },
    SignedIn(Box<SignedIn>),
    ReauthRequired {
        agent: AgentProfile,
        reason: ReauthReason,
        /// What the issuer said of it, for the agent.
        #[serde(default)]
        said: Option<String>,
    },
    SigningOut {
        of: SignOutScope,
        /// Refresh tokens that must be revoked, until the vault has them.
        #[serde(default)]
        held: Vec<SecretRef>,
    },
}

impl Session {
    /// What comes of a request that needs a session, and there is none; or it is not known yet who is signed in.
    pub(crate) fn refuses_requests(&self) -> Outcome {
        match self {
            Self::Loading | Self::Locked => Outcome::NotSent { cause: "the vault was not read yet".into() },
            Self::SignedOut { .. }
            | Self::SigningIn { .. }
            | Self::SignedIn(_)
            | Self::ReauthRequired { .. }
            | Self::SigningOut { .. } => Outcome::Unauthenticated,
        }
    }

    /// Why the server cannot be asked for anything; `None`: somebody is signed in.
    pub(crate) fn not_signed_in(&self) -> Option<Failure> {
        match self {
            Self::SignedIn(_) => None,
            Self::ReauthRequired { reason, .. } => Some(Failure::reauthenticate(reason.explain())),
            Self::SignedOut { .. } | Self::SigningIn { .. } | Self::SigningOut { .. } => {
                Some(Failure::reauthenticate(SIGN_IN_FIRST))
            }
            Self::Loading | Self::Locked => Some(Failure::storage(NOT_LOADED)),
        }
    }
}

/// How far a login has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub(crate) enum LoginStage {
    /// The issuer is asked where its login page is; then the login is kept in the vault.
    Preparing {
        /// The command that is answered with the address of the page.
        to: CommandId,
    },
    /// The person is in the browser, or has minimised it.
    Browser,
    /// The browser came back; the code is exchanged and the tokens are stored.
    Exchanging {
        /// The command that is answered at the end.
        to: CommandId,
    },
    /// The tokens are there and are being stored.
    Storing {
        /// The command that is answered at the end.
        to: CommandId,
        /// The agent, as the ID token describes them.
        agent: AgentProfile,
        /// Generation 1 of this sign-in.
        tokens: TokenSet,
    },
}

/// What a cancelled login goes back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "before", rename_all = "snake_case")]
pub(crate) enum BeforeLogin {
    SignedOut {
        why: SignedOutWhy,
    },
    ReauthRequired {
        agent: AgentProfile,
        reason: ReauthReason,
        #[serde(default)]
        said: Option<String>,
    },
    /// A session that the issuer does not renew, and has not ended: it goes on with the tokens that it has.
    SignedIn {
        session: Box<SignedIn>,
    },
}

impl BeforeLogin {
    /// Who was signed in.
    pub(crate) const fn agent(&self) -> Option<&AgentProfile> {
        match self {
            Self::SignedOut { .. } => None,
            Self::ReauthRequired { agent, .. } => Some(agent),
            Self::SignedIn { session } => Some(&session.agent),
        }
    }
}

impl From<BeforeLogin> for Session {
    fn from(before: BeforeLogin) -> Self {
        match before {
            BeforeLogin::SignedOut { why } => Self::SignedOut { why },
            BeforeLogin::ReauthRequired { agent, reason, said } => Self::ReauthRequired { agent, reason, said },
            BeforeLogin::SignedIn { session } => Self::SignedIn(session),
        }
    }
}

/// A session with tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SignedIn {
    pub(crate) agent: AgentProfile,
    pub(crate) tokens: TokenSet,
    /// The access token is used until then.
    pub(crate) fresh_until: Mono,
    /// In the foreground a refresh starts then.
    pub(crate) refresh_at: Mono,
    pub(crate) refresh: Refresh,
    /// The refresh that is under way may be sent until then: its answer comes before its lease can end.
    #[serde(default)]
    pub(crate) send_until: Mono,
    pub(crate) backoff: Backoff,
    /// Since when nobody knows whether the issuer has replaced the refresh token: a refresh was sent, and no answer came
    /// that says so.
    pub(crate) unsettled: Option<Mono>,
    /// What refusals of the API have cost.
    #[serde(default)]
    pub(crate) distrust: Distrust,
    /// What the issuer has refused without a reason since the last grant.
    #[serde(default)]
    pub(crate) refusals: Refusals,
    /// What it said with the last one, for the agent.
    #[serde(default)]
    pub(crate) said: Option<String>,
    /// Rotated tokens are in memory only.
    pub(crate) unsaved: bool,
    /// Commands that wait for a fresh token.
    pub(crate) waiters: Vec<CommandId>,
    /// Requests that wait for a fresh token.
    pub(crate) parked: Vec<Parked>,
    /// A repair that waits for its steps.
    pub(crate) repair: Option<Repair>,
}

/// Refreshes that nothing but a 401 of the API was the reason for. An API that says 401 to everything would otherwise cost the
/// issuer a refresh for each request of each phone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Distrust {
    last: Option<Mono>,
    /// How many there were since the API took a token.
    times: u32,
}

impl Distrust {
    /// At most one a minute; and if none helps, one in two minutes, in four, ..., an hour.
    pub(crate) fn allows(&self, now: Mono) -> bool {
        let wait = (60_000_u64 << self.times.saturating_sub(1).min(10)).min(60 * 60_000);
        self.last.is_none_or(|last| now.saturating_sub(last) >= wait)
    }

    pub(crate) const fn renews(&mut self, now: Mono) {
        self.last = Some(now);
        self.times = self.times.saturating_add(1);
    }

    pub(crate) const fn forgives(&mut self) {
        self.times = 0;
    }
}

impl SignedIn {
    /// Whether it ends within days, and no refresh changes that: the agent may sign in again meanwhile.
    pub(crate) fn ends_soon(&self, server_now: UnixMillis) -> bool {
        self.tokens.session_ends.is_some_and(|end| end.is_near(server_now))
    }

    pub(crate) fn has_fresh_token(&self, now: Timestamp) -> bool {
        now.mono < self.fresh_until
    }

    /// Whether the sign-in itself could not be stored. (Its later generations are not asked for before it was.)
    pub(crate) const fn is_unknown_to_vault(&self) -> bool {
        self.unsaved && self.tokens.generation == 1
    }

    /// The time within which the issuer takes a second use of the refresh token for a retry, in milliseconds, while it runs:
    /// nobody knows whether the token was replaced. `None` when that is known, or when the time is over.
    pub(crate) fn retry_window(&self, profile: IssuerProfile, now: Mono) -> Option<u64> {
        let since = self.unsettled?;
        profile.retry_window().filter(|window| now.saturating_sub(since) < *window)
    }

    /// Whether another process holds the lease of a refresh that may have replaced the refresh token. Should it have died,
    /// this process is the only one that can still settle that in time.
    pub(crate) fn waits_to_settle(&self) -> bool {
        self.unsettled.is_some() && self.refresh == Refresh::LeaseHeldElsewhere
    }

    /// Whether anything waits for the next token.
    pub(crate) fn somebody_waits(&self) -> bool {
        let repairs = self.repair.as_ref().is_some_and(|repair| repair.stage == RepairStage::Refreshing);
        repairs || !self.waiters.is_empty() || !self.parked.is_empty()
    }
}

/// How far a refresh has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refresh {
    Idle,
    /// Lease and intent are being written.
    Leasing,
    /// Another process holds the lease.
    LeaseHeldElsewhere,
    /// The lease is taken, and the issuer is asked where its token endpoint is.
    Discovering,
    /// The request is out.
    Posting,
    /// It was refused; is there a newer generation?
    Rereading {
        reason: ReauthReason,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parked {
    pub(crate) call: ApiCall,
    pub(crate) purpose: Purpose,
    pub(crate) retried: bool,
}

/// A repair under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Repair {
    pub(crate) to: CommandId,
    pub(crate) steps: Vec<String>,
    pub(crate) stage: RepairStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RepairStage {
    Refreshing,
    Registering,
    Fetching,
}
