//! What the vault keeps from one process to the next.

use hookswitch_wire::{AccountId, Agent, CallId, ServerMetadata, SignedOutReason, Snapshot, UnixMillis, Version};
use serde::{Deserialize, Serialize};

use crate::{
    names::{Generation, RevocationId, SecretRef, SignInId},
    ring::{CallKnowledge, Registration, Routing},
    time::{Mono, Timestamp},
};

/// A login that has not come back after this time is over, in milliseconds.
pub const LOGIN_LIFE: u64 = 15 * 60 * 1_000;

/// Who signed in, as the ID token says; kept with the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentProfile {
    /// The `sub` of the issuer.
    pub account: AccountId,
    /// For display only: nothing is decided by it.
    pub email: Option<String>,
    /// For display only: nothing is decided by it.
    pub name: Option<String>,
}

/// What is known of the agent from a snapshot or an ID token.
impl From<&Agent> for AgentProfile {
    fn from(agent: &Agent) -> Self {
        Self { account: agent.account.clone(), email: Some(agent.email.clone()), name: Some(agent.name.clone()) }
    }
}

/// One generation of tokens, by the names of its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSet {
    /// The sign-in that they descend from.
    pub sign_in: SignInId,
    /// Counts the rotations since the sign-in: higher than that of every set before it.
    pub generation: Generation,
    /// The access token: authorises requests until it expires.
    pub access: SecretRef,
    /// The refresh token: buys the next generation, as a rule once.
    pub refresh: SecretRef,
    /// When the access token expires, by the server's clock.
    pub expires_at: UnixMillis,
    /// When the session ends, where that is known.
    #[serde(default)]
    pub session_ends: Option<SessionEnd>,
}

/// When a session ends if nobody signs in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// By the server's clock.
    pub at: UnixMillis,
    /// Whether no refresh moves it: then the agent is told days before. Many issuers tell an end that each refresh moves on.
    pub is_fixed: bool,
}

/// How long before the end of a session the agent is told, in milliseconds: three days, so that a weekend is no surprise.
const NOTICE: i64 = 3 * 24 * 60 * 60 * 1_000;

/// A refresh that moves the end by less has not moved it, in milliseconds: clocks are that wrong.
const MOVED: i64 = 60_000;

impl SessionEnd {
    /// The end as of a refresh that tells one, or none.
    pub(crate) fn after_refresh(before: Option<Self>, told: Option<UnixMillis>) -> Option<Self> {
        match (before, told) {
            (before, None) => before.filter(|before| before.is_fixed),
            (None, Some(at)) => Some(Self { at, is_fixed: false }),
            (Some(before), Some(at)) => Some(Self { at, is_fixed: at.since(before.at) < MOVED }),
        }
    }

    /// Whether it is time to tell the agent.
    pub(crate) fn is_near(&self, now: UnixMillis) -> bool {
        self.is_fixed && self.at.since(now) <= NOTICE
    }
}

impl TokenSet {
    /// The names of its secrets.
    pub(crate) const fn secrets(&self) -> [SecretRef; 2] {
        [self.access, self.refresh]
    }

    /// Whether these, from the vault, make `mine` a thing of the past.
    pub(crate) fn replaces(&self, mine: &Self) -> bool {
        self.sign_in != mine.sign_in || self.generation > mine.generation
    }
}

/// A login that waits for its browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingLogin {
    /// Where the browser should come back to.
    pub redirect_uri: String,
    /// Comes back in the redirect, or it is not this login's (RFC 6749, section 10.12).
    pub state: SecretRef,
    /// Must be in the ID token.
    pub nonce: SecretRef,
    /// Proves that this app began the login (RFC 7636).
    pub verifier: SecretRef,
    /// An e-mail address to fill in.
    pub hint: Option<String>,
    /// When it began, by the wall clock.
    pub began_at: UnixMillis,
    /// When it began, by the monotonic clock; `None` when an earlier process began it.
    #[serde(default)]
    pub began_mono: Option<Mono>,
}

impl PendingLogin {
    /// The names of its secrets.
    pub(crate) const fn secrets(&self) -> [SecretRef; 3] {
        [self.state, self.nonce, self.verifier]
    }

    /// Whether it has been waiting for longer than [`LOGIN_LIFE`].
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        match self.began_mono {
            Some(began) => now.mono.saturating_sub(began) >= LOGIN_LIFE,
            // A clock that was set back since makes a negative age: nothing can be said, so it is over.
            None => u64::try_from(now.wall.since(self.began_at)).map_or(true, |age| age >= LOGIN_LIFE),
        }
    }
}

/// Why nobody is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedOutWhy {
    /// Nobody ever signed in, or the app was installed again.
    Never,
    /// The agent signed out here.
    Asked,
    /// The agent signed this device out from another one.
    SignedOutElsewhere,
    /// An administrator ended the session.
    Revoked,
    /// The account is closed.
    AccountClosed,
    /// The server ended the session, for a reason that this version has no word for.
    Ended,
    /// The device's key is gone, and with it what it sealed.
    KeyLost,
    /// What was stored could not be read.
    StorageCorrupt,
}

impl From<SignedOutReason> for SignedOutWhy {
    fn from(reason: SignedOutReason) -> Self {
        match reason {
            SignedOutReason::SignedOutElsewhere => Self::SignedOutElsewhere,
            SignedOutReason::Revoked => Self::Revoked,
            SignedOutReason::AccountClosed => Self::AccountClosed,
            SignedOutReason::Unknown => Self::Ended,
        }
    }
}

/// Why a session needs a new sign-in although the agent did not sign out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReauthReason {
    /// The issuer has replaced the refresh token, its answer was lost, and it takes no second try.
    RotationLost,
    /// The issuer rejects the newest refresh token.
    Revoked,
    /// The refresh token has run out.
    Expired,
    /// The issuer wants the agent to sign in again, or has refused for hours without saying that the session is over: then its
    /// tokens are kept, and tried until somebody signs in.
    Refused,
}

/// Refusals of a refresh that do not say what has become of the refresh token: since the last grant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// When the first one came, by the server's clock; `None` while nobody vouches for that.
    pub since: Option<UnixMillis>,
    /// How many there were.
    pub times: u32,
    /// Whether the agent is asked to sign in again.
    pub asks: bool,
}

/// What the vault holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "loaded", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "it is read once a process")]
pub enum Loaded {
    /// The device was not unlocked since it started: the key cannot be read yet. Nothing is lost.
    KeyUnavailable {
        /// Readable without the key.
        knowledge: Option<Knowledge>,
    },
    /// The key store fails in a way that nobody knows; it may work next time. Nothing is lost.
    KeyFailed {
        /// Readable without the key.
        knowledge: Option<Knowledge>,
        /// What the key store said, for logs.
        cause: String,
    },
    /// The key is gone for good (screen lock removed, restored to another device): what it sealed is lost.
    KeyInvalidated,
    /// The vault could be read.
    Contents(Contents),
}

/// What the vault holds when it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The sign-in that was stored last; `None` when nobody is signed in.
    pub session: Option<StoredSession>,
    /// A login that waits for its browser.
    pub pending: Option<PendingLogin>,
    /// The issuer's metadata as of the last login.
    pub metadata: Option<ServerMetadata>,
    /// Refresh tokens that wait to be revoked.
    pub revocations: Vec<RevocationId>,
    /// `server - wall` as last seen.
    pub server_offset: Option<i64>,
    /// What the ring rule remembers.
    pub knowledge: Option<Knowledge>,
    /// Why nobody is signed in, when the server has ended the last session.
    #[serde(default)]
    pub signed_out: Option<SignedOutWhy>,
    /// The address that the push service gave.
    pub push_token: Option<SecretRef>,
    /// Rows that could not be opened and were put aside.
    pub quarantined: u32,
}

/// A session as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSession {
    /// The account, and what is shown of it.
    pub agent: AgentProfile,
    /// The newest tokens that were stored.
    pub tokens: TokenSet,
    /// The newest snapshot that was seen, for display while offline.
    pub snapshot: Option<Box<Snapshot>>,
    /// A refresh of these tokens was begun, and nobody knows how it ended: the process was killed. The server may have
    /// replaced them already, and knows them for a short while only.
    #[serde(default)]
    pub unsettled: bool,
}

/// What the ring rule remembers across processes. Kept unsealed, since a push may come before the first unlock; so it
/// has no name, no number and no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knowledge {
    /// Who is signed in; `None` after a sign-out.
    pub account: Option<AccountId>,
    /// The newest that was known of where calls go; `None` when nothing was.
    pub routing: Option<Routing>,
    /// Whether the newest state lists this device.
    pub registration: Registration,
    /// Calls that this phone has heard of, and until when (server's clock) that matters.
    pub calls: Vec<(CallId, CallKnowledge, UnixMillis)>,
    /// What the issuer has refused without a reason since the last grant.
    #[serde(default)]
    pub refusals: Refusals,
}

impl Knowledge {
    /// The version that it stands for.
    pub fn version(&self) -> Option<Version> {
        self.routing.map(|routing| routing.version)
    }
}
