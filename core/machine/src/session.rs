//! The session: login, the life of tokens, sign-out.
//!
//! Three principles: **offline is never a logout** (only a proven rejection of the newest refresh token ends a session);
//! **one refresh an expiry** (lease and intent in the vault before the request, generation after it); **a sign-out is
//! local first** (it holds at once and offline; the issuer hears of it when it can).

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use hookswitch_wire::{AccountId, ServerMetadata, SignedOutReason, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::{
    backoff::{Backoff, NETWORK},
    effect::{ApiCall, Generation, Reply, Request, SignOutScope, Transaction},
    error::Failure,
    event::{Claims, CommandId, Contents, Grant, Loaded, Outcome, Redirect, SecretRef, StoredSession},
    issuer_profile::{IssuerProfile, Refusal},
    presence::PresenceSync,
    ring::{Silence, StopReason},
    state::{Purpose, SentCall, Step, Timer},
    time::{Mono, Timestamp},
};

/// A login that has not come back after this time is over, in milliseconds.
pub const LOGIN_LIFE: u64 = 15 * 60 * 1_000;

/// How wrong two processes of a device may be about the server's clock, in milliseconds: its `Date` has whole seconds, and
/// the network is slow. Tokens that were stored are trusted that much less.
const CLOCK_DOUBT: i64 = 5_000;

/// The life of an access token whose answer does not tell it, in seconds.
const LIFE_WHEN_UNTOLD: u64 = 300;

/// Who signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentProfile {
    /// The `sub` of the issuer.
    pub account: AccountId,
    /// For display.
    pub email: Option<String>,
    /// For display.
    pub name: Option<String>,
}

/// Names a sign-in. Random, so that of two processes that share a vault neither takes the tokens of another sign-in for a
/// generation of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignInId(pub u64);

/// One generation of tokens, by the names of its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSet {
    /// The sign-in that they descend from.
    pub sign_in: SignInId,
    /// Which.
    pub generation: Generation,
    /// Goes with requests.
    pub access: SecretRef,
    /// Buys the next generation.
    pub refresh: SecretRef,
    /// When the access token expires, by the server's clock.
    pub expires_at: UnixMillis,
}

impl TokenSet {
    /// Whether these, from the vault, make `mine` a thing of the past.
    fn supersedes(&self, mine: &Self) -> bool {
        self.sign_in != mine.sign_in || self.generation > mine.generation
    }
}

/// A login that waits for its browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingLogin {
    /// Where the browser should come back to.
    pub redirect_uri: String,
    /// Must come back.
    pub state: SecretRef,
    /// Must be in the ID token.
    pub nonce: SecretRef,
    /// Proves that we asked.
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
    fn is_expired(&self, now: Timestamp) -> bool {
        match self.began_mono {
            Some(began) => now.mono.saturating_sub(began) >= LOGIN_LIFE,
            // A clock that was set back since makes a negative age: nothing can be said, so it is over.
            None => u64::try_from(now.wall.since(self.began_at)).map_or(true, |age| age >= LOGIN_LIFE),
        }
    }
}

/// How far a login has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum LoginStage {
    /// The issuer is asked where its login page is; then the login is kept in the vault.
    Preparing {
        /// Gets the address of the page.
        to: CommandId,
    },
    /// The person is in the browser, or has minimised it.
    Browser,
    /// The browser came back; the code is exchanged and the tokens are stored.
    Exchanging {
        /// Gets the result.
        to: CommandId,
    },
    /// The tokens are there and are being stored.
    Storing {
        /// Gets the result.
        to: CommandId,
        /// Who.
        agent: AgentProfile,
        /// The tokens.
        tokens: TokenSet,
    },
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
    /// The device's key is gone, and with it what it sealed.
    KeyLost,
    /// What was stored could not be read.
    StorageCorrupt,
}

impl SignedOutWhy {
    /// One sentence for the agent; `None` when there is nothing to explain.
    pub const fn explain(self) -> Option<&'static str> {
        match self {
            Self::Never | Self::Asked => None,
            Self::SignedOutElsewhere => Some("You signed this phone out from another device."),
            Self::Revoked => Some("An administrator ended your session. Sign in again."),
            Self::AccountClosed => Some("This account was closed. Ask your administrator."),
            Self::KeyLost => Some("This phone's secure key was reset. Sign in again."),
            Self::StorageCorrupt => Some("The stored sign-in could not be read. Sign in again."),
        }
    }
}

impl From<SignedOutReason> for SignedOutWhy {
    fn from(reason: SignedOutReason) -> Self {
        match reason {
            SignedOutReason::SignedOutElsewhere => Self::SignedOutElsewhere,
            SignedOutReason::Revoked => Self::Revoked,
            SignedOutReason::AccountClosed => Self::AccountClosed,
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
}

impl ReauthReason {
    /// One sentence for the agent.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::RotationLost => {
                "The connection broke off while your session was being renewed. Sign in again to go on."
            }
            Self::Revoked => "Your session was ended. Sign in again to go on.",
            Self::Expired => "Your session has expired. Sign in again to go on.",
        }
    }
}

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
    },
    SigningOut {
        of: SignOutScope,
    },
}

impl Session {
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

/// What a cancelled login goes back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "before", rename_all = "snake_case")]
pub(crate) enum BeforeLogin {
    SignedOut { why: SignedOutWhy },
    ReauthRequired { agent: AgentProfile, reason: ReauthReason },
}

impl From<BeforeLogin> for Session {
    fn from(before: BeforeLogin) -> Self {
        match before {
            BeforeLogin::SignedOut { why } => Self::SignedOut { why },
            BeforeLogin::ReauthRequired { agent, reason } => Self::ReauthRequired { agent, reason },
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
    pub(crate) backoff: Backoff,
    /// Since when nobody knows whether the issuer has replaced the refresh token: a refresh was sent, and no answer came
    /// that says so.
    pub(crate) unsettled: Option<Mono>,
    /// Rotated tokens are in memory only.
    pub(crate) unsaved: bool,
    /// Wait for a fresh token.
    pub(crate) waiters: Vec<CommandId>,
    /// Requests that wait for a fresh token.
    pub(crate) parked: Vec<Parked>,
    /// A repair that waits for its steps.
    pub(crate) repair: Option<Repair>,
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

impl SignedIn {
    pub(crate) fn has_fresh_token(&self, now: Timestamp) -> bool {
        now.mono < self.fresh_until
    }

    /// Whether the sign-in itself could not be stored. (Its later generations are not asked for before it was.)
    const fn is_unknown_to_vault(&self) -> bool {
        self.unsaved && self.tokens.generation == 1
    }

    /// How soon the issuer should see the refresh token again, in milliseconds, while there is still a point in haste: nobody
    /// knows whether it was replaced.
    pub(crate) fn hurry(&self, profile: IssuerProfile, now: Mono) -> Option<u64> {
        let since = self.unsettled?;
        profile.hurry().filter(|hurry| now.saturating_sub(since) < *hurry)
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

/// Why a redirect is not the one that a login waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RedirectFault {
    /// Not ours, or not this login's: somebody else's page. The login goes on waiting.
    Foreign(&'static str),
    /// Too late.
    Expired,
    /// The issuer says no.
    Denied(String),
}

/// Checks a redirect against the login that waits: exact redirect URI, `state`, `iss` (RFC 9207), no parameter twice,
/// within the login's life (RFC 6749, section 4.1.2; RFC 9700, section 2.1).
pub(crate) fn check_redirect(
    pending: &PendingLogin,
    redirect: &Redirect,
    issuer: &str,
    iss_required: bool,
    now: Timestamp,
) -> Result<SecretRef, RedirectFault> {
    if redirect.target != pending.redirect_uri {
        return Err(RedirectFault::Foreign("it came to another address than the one that was asked for"));
    }
    if redirect.repeated {
        return Err(RedirectFault::Foreign("it has a parameter twice"));
    }
    if redirect.state != Some(pending.state) {
        return Err(RedirectFault::Foreign("its state is not the one of this sign-in"));
    }
    match &redirect.iss {
        Some(iss) if iss != issuer => return Err(RedirectFault::Foreign("it comes from another issuer")),
        None if iss_required => return Err(RedirectFault::Foreign("it does not say which issuer it comes from")),
        Some(_) | None => {}
    }
    if pending.is_expired(now) {
        return Err(RedirectFault::Expired);
    }
    match (&redirect.error, redirect.code) {
        (Some(error), _) => Err(RedirectFault::Denied(error.clone())),
        (None, Some(code)) => Ok(code),
        (None, None) => Err(RedirectFault::Foreign("it has no code")),
    }
}

/// Checks an ID token's claims (OpenID Connect Core, section 3.1.3.7). Its expiry is judged by the server's clock only: a
/// phone whose clock is years off can sign in all the same.
pub(crate) fn check_claims(
    claims: &Claims,
    nonce: SecretRef,
    issuer: &str,
    client_id: &str,
    server_now: Option<UnixMillis>,
) -> Result<AgentProfile, &'static str> {
    const LEEWAY: i64 = 5 * 60 * 1_000;
    if claims.iss != issuer {
        return Err("the ID token comes from another issuer");
    }
    if !claims.aud.iter().any(|aud| aud == client_id) {
        return Err("the ID token is for another app");
    }
    if claims.nonce != Some(nonce) {
        return Err("the ID token belongs to another sign-in");
    }
    if server_now.is_some_and(|now| UnixMillis(claims.exp.saturating_mul(1_000)) + LEEWAY < now) {
        return Err("the ID token has expired");
    }
    Ok(AgentProfile { account: AccountId(claims.sub.clone()), email: claims.email.clone(), name: claims.name.clone() })
}

/// Checks an issuer's metadata (RFC 8414, section 3.3; RFC 7636): a mix-up starts with a document that lies.
pub(crate) fn check_metadata(metadata: &ServerMetadata, issuer: &str) -> Result<(), &'static str> {
    if metadata.issuer != issuer {
        return Err("the sign-in server calls itself by another name than the one that was asked");
    }
    if !metadata.code_challenge_methods_supported.iter().any(|method| method == "S256") {
        return Err("the sign-in server does not support PKCE with S256");
    }
    Ok(())
}

/// The life of an access token in milliseconds. A server that says "none at all" must not make a storm of refreshes.
fn life_of(expires_in: Option<u64>) -> u64 {
    expires_in.unwrap_or(LIFE_WHEN_UNTOLD).max(1).saturating_mul(1_000)
}

const NOT_LOADED: &str = "The app is still starting.";
const SIGN_IN_FIRST: &str = "Nobody is signed in on this phone.";

impl Step<'_> {
    // ---- start -------------------------------------------------------------------------------------------------

    pub(crate) fn load_if_needed(&mut self) {
        let wanted = matches!(self.state.session, Session::Loading | Session::Locked);
        if wanted && !self.is_in_flight(|purpose| *purpose == Purpose::Load) {
            self.store(Transaction::Load, Purpose::Load);
        }
    }

    pub(crate) fn loaded(&mut self, outcome: Outcome) {
        if !matches!(self.state.session, Session::Loading | Session::Locked) {
            return;
        }
        match outcome {
            Outcome::Loaded { loaded } => match *loaded {
                Loaded::KeyUnavailable { knowledge } => {
                    self.state.session = Session::Locked;
                    self.recall(knowledge);
                }
                Loaded::KeyInvalidated => {
                    self.state.session = Session::SignedOut { why: SignedOutWhy::KeyLost };
                }
                Loaded::Contents(contents) => self.open_with(contents),
            },
            // Storage that fails now may work after an unlock or a restart; nothing is decided, nothing is lost.
            _ => self.state.session = Session::Locked,
        }
        self.judge_again();
    }

    fn open_with(&mut self, contents: Contents) {
        let Contents {
            session,
            pending,
            metadata,
            revocations,
            server_offset,
            knowledge,
            signed_out,
            push_token,
            quarantined,
        } = contents;
        self.state.metadata = metadata;
        if self.state.clock.trusted(self.now).is_none() {
            self.state.clock = crate::time::ServerClock::remembered(server_offset);
        }
        self.state.revocations = revocations;
        self.recall_push_token(push_token);
        let why =
            if quarantined > 0 { SignedOutWhy::StorageCorrupt } else { signed_out.unwrap_or(SignedOutWhy::Never) };
        let pending = pending.map(|pending| PendingLogin { began_mono: None, ..pending });
        let pending = match pending {
            Some(pending) if pending.is_expired(self.now) => {
                self.store(Transaction::DropPending, Purpose::DropPending);
                None
            }
            pending => pending,
        };
        let stage = LoginStage::Browser;
        match (session, pending) {
            // A login can only have begun because this session had come to its end.
            (Some(StoredSession { agent, .. }), Some(pending)) => {
                self.recall(knowledge);
                let before = BeforeLogin::ReauthRequired { agent, reason: ReauthReason::Revoked };
                self.state.session = Session::SigningIn { pending, stage, before };
            }
            (Some(stored), None) => {
                self.recall(knowledge);
                self.state.presence.confirmed = stored.snapshot;
                self.enter(stored.agent, stored.tokens);
                if stored.unsettled {
                    self.settle_refresh();
                }
            }
            (None, Some(pending)) => {
                let before = BeforeLogin::SignedOut { why };
                self.state.session = Session::SigningIn { pending, stage, before };
            }
            (None, None) => self.state.session = Session::SignedOut { why },
        }
    }

    fn enter(&mut self, agent: AgentProfile, tokens: TokenSet) {
        let (fresh_until, refresh_at) = self.token_times(self.stored_life(&tokens).unwrap_or(0));
        self.state.session = Session::SignedIn(Box::new(SignedIn {
            agent,
            tokens,
            fresh_until,
            refresh_at,
            refresh: Refresh::Idle,
            backoff: Backoff::default(),
            unsettled: None,
            unsaved: false,
            waiters: Vec::new(),
            parked: Vec::new(),
            repair: None,
        }));
    }

    /// An earlier process was killed in the middle of a refresh: it is done again at once with the same refresh token,
    /// while the server still takes it for a retry, however long the access token would be good for.
    fn settle_refresh(&mut self) {
        let now = self.now.mono;
        if let Session::SignedIn(session) = &mut self.state.session {
            session.refresh_at = now;
            session.unsettled = Some(now);
        }
        self.refresh_if_possible();
    }

    /// How much longer tokens from the vault are good, in milliseconds; `None`: no longer.
    fn stored_life(&self, tokens: &TokenSet) -> Option<u64> {
        let left = tokens.expires_at.since(self.state.clock.guess(self.now));
        u64::try_from(left.saturating_sub(CLOCK_DOUBT)).ok().filter(|left| *left > 0)
    }

    /// Until when a token of this life is used, and when it is replaced: ahead of its end, at a random moment, so that
    /// the phones of a whole office do not come at once.
    fn token_times(&mut self, life_millis: u64) -> (Mono, Mono) {
        // A clock that is years off must not make a token that lives for years.
        let life = life_millis.min(24 * 60 * 60 * 1_000);
        let margin = (life / 10).min(30_000);
        let fresh = life.saturating_sub(margin);
        let ahead = fresh.saturating_sub(self.state.random.below(fresh / 8 + 1));
        (self.now.mono.saturating_add(fresh), self.now.mono.saturating_add(ahead))
    }

    // ---- login -------------------------------------------------------------------------------------------------

    pub(crate) fn begin_login(&mut self, to: CommandId, pending: PendingLogin) {
        if !self.state.setup.redirect_uris.iter().any(|uri| loopback_or_equal(uri, &pending.redirect_uri)) {
            return self.fail(to, Failure::internal("The redirect address is not one that this app has registered."));
        }
        let before = match std::mem::replace(&mut self.state.session, Session::Loading) {
            Session::SignedOut { why } => BeforeLogin::SignedOut { why },
            Session::ReauthRequired { agent, reason } => BeforeLogin::ReauthRequired { agent, reason },
            // The newer login wins; the older one's redirect will be refused by its state.
            Session::SigningIn { stage, before, pending: older } => match stage {
                LoginStage::Storing { .. } => {
                    self.state.session = Session::SigningIn { stage, before, pending: older };
                    return self.fail(to, Failure::cancelled("Another sign-in is just being completed."));
                }
                LoginStage::Preparing { to: older } | LoginStage::Exchanging { to: older } => {
                    self.fail(older, Failure::cancelled("A newer sign-in has begun."));
                    self.forget(|purpose| {
                        matches!(purpose, Purpose::Discover | Purpose::SavePending | Purpose::Exchange)
                    });
                    before
                }
                LoginStage::Browser => before,
            },
            session @ (Session::Loading | Session::Locked) => {
                self.state.session = session;
                return self.fail(to, Failure::storage(NOT_LOADED));
            }
            session @ Session::SignedIn(_) => {
                self.state.session = session;
                return self.fail(to, Failure::forbidden("Somebody is signed in on this phone. Sign out first."));
            }
            session @ Session::SigningOut { .. } => {
                self.state.session = session;
                return self.fail(to, Failure::cancelled("The phone is just signing out."));
            }
        };
        self.state.session = Session::SigningIn { pending, stage: LoginStage::Preparing { to }, before };
        // Asked each time: a login needs the network anyway, and endpoints move.
        self.send(Request::Discover, Purpose::Discover);
    }

    pub(crate) fn discovered(&mut self, outcome: Outcome) {
        let Session::SigningIn { pending, stage: LoginStage::Preparing { .. }, .. } = &self.state.session else {
            return;
        };
        let pending = pending.clone();
        match outcome {
            Outcome::Metadata { metadata } => match check_metadata(&metadata, &self.state.setup.issuer) {
                Ok(()) => {
                    self.state.metadata = Some(metadata.clone());
                    self.store(Transaction::SavePending { pending, metadata }, Purpose::SavePending);
                }
                Err(fault) => self.end_login(Failure::internal(format!("Signing in is not possible: {fault}."))),
            },
            other => {
                let failure = self.failure_of(&other);
                self.end_login(failure);
            }
        }
    }

    pub(crate) fn discovered_again(&mut self, outcome: Outcome) {
        let waits =
            matches!(&self.state.session, Session::SignedIn(session) if session.refresh == Refresh::Discovering);
        match outcome {
            Outcome::Metadata { metadata } if check_metadata(&metadata, &self.state.setup.issuer).is_ok() => {
                self.state.metadata = Some(metadata);
                if waits {
                    self.refresh_lease_answered(Outcome::Done);
                }
            }
            outcome => {
                if waits {
                    self.abandon_refresh(&outcome);
                }
                if !self.state.revocations.is_empty() {
                    self.revoke_later();
                }
            }
        }
    }

    pub(crate) fn pending_saved(&mut self, outcome: &Outcome) {
        let Session::SigningIn { pending, stage, .. } = &mut self.state.session else { return };
        let LoginStage::Preparing { to } = *stage else { return };
        match (outcome, &self.state.metadata) {
            (Outcome::Done, Some(metadata)) => {
                *stage = LoginStage::Browser;
                let reply = Reply::Login {
                    authorization_endpoint: metadata.authorization_endpoint.clone(),
                    pending: pending.clone(),
                };
                self.reply(to, Ok(reply));
            }
            (outcome, _) => {
                let failure = self.failure_of(outcome);
                self.end_login(failure);
            }
        }
    }

    pub(crate) fn finish_login(&mut self, to: CommandId, redirect: &Redirect) {
        let stale = "This sign-in page is not valid any more. Start the sign-in again.";
        let Session::SigningIn { pending, stage: stage @ LoginStage::Browser, .. } = &mut self.state.session else {
            return self.fail(to, Failure::forbidden(stale));
        };
        let Some(metadata) = &self.state.metadata else {
            return self.fail(to, Failure::forbidden(stale));
        };
        let iss_required = metadata.authorization_response_iss_parameter_supported;
        match check_redirect(pending, redirect, &self.state.setup.issuer, iss_required, self.now) {
            Ok(code) => {
                *stage = LoginStage::Exchanging { to };
                let (verifier, redirect_uri) = (pending.verifier, pending.redirect_uri.clone());
                let token_endpoint = metadata.token_endpoint.clone();
                self.send(Request::ExchangeCode { token_endpoint, code, verifier, redirect_uri }, Purpose::Exchange);
            }
            Err(RedirectFault::Foreign(fault)) => {
                self.fail(to, Failure::forbidden(format!("This redirect was refused: {fault}. The sign-in goes on.")));
            }
            Err(RedirectFault::Expired) => {
                self.fail(to, Failure::forbidden(stale));
                self.back_to_before();
            }
            Err(RedirectFault::Denied(error)) => {
                let failure = if error == "access_denied" {
                    Failure::cancelled("The sign-in was cancelled.")
                } else {
                    Failure::forbidden(format!("The sign-in server refused: {error}."))
                };
                self.fail(to, failure);
                self.back_to_before();
            }
        }
    }

    pub(crate) fn exchanged(&mut self, outcome: Outcome) {
        let Session::SigningIn { pending, stage, .. } = &mut self.state.session else { return };
        let LoginStage::Exchanging { to } = *stage else { return };
        match outcome {
            Outcome::Granted { grant: Grant { access, refresh, expires_in, claims } } => {
                let server_now = self.state.clock.guess(self.now);
                let trusted = self.state.clock.trusted(self.now);
                let setup = &self.state.setup;
                let checked = claims
                    .as_ref()
                    .ok_or("the answer has no ID token")
                    .and_then(|claims| check_claims(claims, pending.nonce, &setup.issuer, &setup.client_id, trusted));
                match (checked, refresh) {
                    (Ok(agent), Some(refresh)) => {
                        let life = life_of(expires_in);
                        // As large as a number in JSON may be.
                        let sign_in = SignInId(self.state.random.next() >> 11);
                        let tokens = TokenSet {
                            sign_in,
                            generation: 1,
                            access,
                            refresh,
                            expires_at: server_now + i64::try_from(life).unwrap_or(i64::MAX),
                        };
                        *stage = LoginStage::Storing { to, agent: agent.clone(), tokens: tokens.clone() };
                        self.store(Transaction::SignIn { agent, tokens }, Purpose::SignIn);
                    }
                    (Ok(_), None) => {
                        self.end_login(Failure::internal("The sign-in server gave no refresh token."));
                    }
                    (Err(fault), _) => {
                        self.end_login(Failure::forbidden(format!("The sign-in was refused: {fault}.")));
                    }
                }
            }
            Outcome::OAuthError { error, .. } => {
                let why = format!("The sign-in could not be completed ({error}). Start it again.");
                self.end_login(Failure::forbidden(why));
            }
            // No answer: the code may still be good, so the same redirect may be tried again.
            other => {
                *stage = LoginStage::Browser;
                let failure = self.failure_of(&other);
                self.fail(to, failure);
            }
        }
    }

    pub(crate) fn signed_in(&mut self, outcome: &Outcome) {
        let Session::SigningIn { stage: LoginStage::Storing { to, agent, tokens }, before, .. } = &self.state.session
        else {
            return;
        };
        let (to, agent, tokens) = (*to, agent.clone(), tokens.clone());
        let saved = matches!(outcome, Outcome::Done);
        if !matches!(before, BeforeLogin::ReauthRequired { agent: before, .. } if before.account == agent.account) {
            self.stop_all_calls(StopReason::Silenced { reason: Silence::OtherAccount });
        }
        self.state.presence = PresenceSync::default();
        self.state.calls.remembered = None;
        self.state.device.forget_registration();
        self.enter(agent, tokens);
        if !saved {
            // Signed in for as long as the process lives; the save is tried again.
            self.tokens_unsaved();
        }
        self.state.unremembered = true;
        self.judge_again();
        self.reply(to, Ok(Reply::Done));
    }

    pub(crate) fn cancel_login(&mut self, to: CommandId) {
        match &self.state.session {
            Session::SigningIn { stage: LoginStage::Storing { .. }, .. } => {
                self.fail(to, Failure::forbidden("The sign-in is complete; sign out instead."));
            }
            Session::SigningIn { .. } => {
                self.end_login(Failure::cancelled("The sign-in was cancelled."));
                self.reply(to, Ok(Reply::Done));
            }
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SignedIn(_)
            | Session::ReauthRequired { .. }
            | Session::SigningOut { .. } => self.reply(to, Ok(Reply::Done)),
        }
    }

    /// The login is over; whoever waits for it hears why.
    fn end_login(&mut self, failure: Failure) {
        if let Session::SigningIn { stage, .. } = &self.state.session {
            match stage {
                LoginStage::Preparing { to } | LoginStage::Exchanging { to } | LoginStage::Storing { to, .. } => {
                    let to = *to;
                    self.fail(to, failure);
                }
                LoginStage::Browser => {}
            }
        }
        self.back_to_before();
    }

    fn back_to_before(&mut self) {
        self.forget(|purpose| matches!(purpose, Purpose::Discover | Purpose::SavePending | Purpose::Exchange));
        self.state.session = match std::mem::replace(&mut self.state.session, Session::Loading) {
            Session::SigningIn { before, .. } => {
                self.store(Transaction::DropPending, Purpose::DropPending);
                before.into()
            }
            other => other,
        };
    }

    // ---- tokens ------------------------------------------------------------------------------------------------

    pub(crate) fn access_token(&mut self, to: CommandId) {
        let now = self.now;
        match &mut self.state.session {
            Session::SignedIn(session) if session.has_fresh_token(now) => {
                let access = session.tokens.access;
                self.reply(to, Ok(Reply::Token { access }));
            }
            Session::SignedIn(session) => {
                session.waiters.push(to);
                session.backoff.retry_now();
                self.refresh_if_possible();
            }
            session => {
                if let Some(failure) = session.not_signed_in() {
                    self.fail(to, failure);
                }
            }
        }
    }

    /// Sends a request of the API, now or as soon as there is a fresh token.
    pub(crate) fn call_api(&mut self, call: ApiCall, purpose: Purpose) {
        self.call_api_again(call, purpose, false);
    }

    fn call_api_again(&mut self, call: ApiCall, purpose: Purpose, retried: bool) {
        let now = self.now;
        let Session::SignedIn(session) = &mut self.state.session else {
            return self.finish(purpose, Outcome::Unauthenticated);
        };
        if session.has_fresh_token(now) {
            let access = session.tokens.access;
            self.send_api(call, access, retried, purpose);
        } else {
            session.parked.push(Parked { call, purpose, retried });
            self.refresh_if_possible();
        }
    }

    /// 401: the token is not valid, whatever its clock says. Once, with the next one, the request is repeated.
    pub(crate) fn token_refused(&mut self, sent: SentCall, purpose: Purpose) {
        self.token_is_stale(sent.access);
        self.tap_was_not_looked_at(&purpose);
        if sent.retried {
            let detail = Some("The server refuses this phone's access.".to_owned());
            let outcome = Outcome::Refused { status: 401, code: "unauthenticated".into(), detail, current: None };
            return self.finish(purpose, outcome);
        }
        if self.is_too_late(&purpose) {
            return self.finish(purpose, Outcome::Unreachable { cause: "too late".into() });
        }
        self.call_api_again(sent.call, purpose, true);
    }

    pub(crate) fn token_is_stale(&mut self, access: SecretRef) {
        if let Session::SignedIn(session) = &mut self.state.session
            && session.tokens.access == access
        {
            session.fresh_until = self.now.mono;
            session.refresh_at = self.now.mono;
        }
    }

    /// Starts a refresh unless one runs, or a failed one asks for patience: then whoever waits is told so.
    pub(crate) fn refresh_if_possible(&mut self) {
        let (now, network_up) = (self.now, self.state.network_up);
        let Session::SignedIn(session) = &mut self.state.session else { return };
        if session.refresh != Refresh::Idle {
            return;
        }
        if !network_up {
            return self.refresh_came_to_nothing(&Outcome::Unreachable { cause: "no network".into() });
        }
        if !session.backoff.is_over(now.mono) {
            return self.fail_waiting(&Outcome::Unreachable { cause: "waiting to try again".into() });
        }
        session.refresh = Refresh::Leasing;
        let (sign_in, generation) = (session.tokens.sign_in, session.tokens.generation);
        // The vault must know this generation before it can lease the next one.
        self.store_again();
        self.store(Transaction::BeginRefresh { sign_in, generation }, Purpose::TakeRefreshLease);
    }

    pub(crate) fn refresh_lease_answered(&mut self, outcome: Outcome) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        match outcome {
            Outcome::Done => match &self.state.metadata {
                Some(metadata) => {
                    session.refresh = Refresh::Posting;
                    let request = Request::Refresh {
                        token_endpoint: metadata.token_endpoint.clone(),
                        refresh: session.tokens.refresh,
                    };
                    self.send(request, Purpose::Refresh);
                }
                // Kept with the session, so this is a vault of an older version: ask first.
                None => {
                    session.refresh = Refresh::Discovering;
                    if !self.is_in_flight(|purpose| *purpose == Purpose::DiscoverAgain) {
                        self.send(Request::Discover, Purpose::DiscoverAgain);
                    }
                }
            },
            // This sign-in was never stored: that the vault knows nobody, or somebody from before, is no news.
            Outcome::NewerTokens { .. } | Outcome::Reread { .. } if session.is_unknown_to_vault() => {
                let cause = "the sign-in could not be saved".into();
                self.refresh_came_to_nothing(&Outcome::StorageFailed { cause });
            }
            Outcome::NewerTokens { tokens } | Outcome::Reread { tokens: Some(tokens) } => {
                session.refresh = Refresh::Idle;
                self.adopt_stored(tokens);
            }
            // Another process of this installation has signed out.
            Outcome::Reread { tokens: None } => self.signed_out_remotely(SignedOutWhy::Asked),
            Outcome::RefreshLeaseHeld { for_millis } => {
                session.refresh = Refresh::LeaseHeldElsewhere;
                // Its holder will be done in a moment, or never: look again soon, and take over at the end of its lease.
                let at = self.after(for_millis.clamp(50, 250));
                self.set_timer(Timer::Refresh, at);
            }
            other => self.refresh_came_to_nothing(&other),
        }
    }

    /// It is time to ask for the lease again.
    pub(crate) fn lease_may_be_free(&mut self) {
        if let Session::SignedIn(session) = &mut self.state.session
            && session.refresh == Refresh::LeaseHeldElsewhere
        {
            session.refresh = Refresh::Idle;
        }
    }

    pub(crate) fn refreshed(&mut self, outcome: Outcome) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        let generation = session.tokens.generation;
        match outcome {
            Outcome::Granted { grant: Grant { access, refresh, expires_in, claims: _ } } => {
                let life = life_of(expires_in);
                let server_now = self.state.clock.guess(self.now);
                let tokens = TokenSet {
                    sign_in: session.tokens.sign_in,
                    generation: generation.saturating_add(1),
                    access,
                    refresh: refresh.unwrap_or(session.tokens.refresh),
                    expires_at: server_now + i64::try_from(life).unwrap_or(i64::MAX),
                };
                let generation = tokens.generation;
                // First of all: what is not stored is lost when the process dies. It gives the lease back, too.
                session.refresh = Refresh::Idle;
                self.store(Transaction::FinishRefresh { tokens: tokens.clone() }, Purpose::SaveTokens { generation });
                self.adopt(tokens, life);
            }
            Outcome::OAuthError { error, description } => {
                let lost = session.unsettled.is_some();
                let reason = match self.state.setup.profile.judge(&error, description.as_deref()) {
                    Refusal::Expired => ReauthReason::Expired,
                    Refusal::Invalid if lost => ReauthReason::RotationLost,
                    Refusal::Invalid => ReauthReason::Revoked,
                    Refusal::SaysNothing => return self.abandon_refresh(&Outcome::OAuthError { error, description }),
                };
                session.refresh = Refresh::Rereading { reason };
                self.store(Transaction::Reread, Purpose::Reread);
            }
            other => {
                session.unsettled.get_or_insert(self.now.mono);
                self.abandon_refresh(&other);
            }
        }
    }

    /// The lease goes back, so that another process need not wait for its end.
    fn abandon_refresh(&mut self, outcome: &Outcome) {
        self.store(Transaction::AbandonRefresh, Purpose::AbandonRefresh);
        self.refresh_came_to_nothing(outcome);
    }

    /// The refresh token was rejected. If another process has rotated it meanwhile, that is why, and all is well.
    pub(crate) fn reread(&mut self, outcome: Outcome) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        match outcome {
            // The lease was given back by whoever stored them.
            Outcome::Reread { tokens: Some(tokens) } if tokens.supersedes(&session.tokens) => {
                session.refresh = Refresh::Idle;
                self.adopt_stored(tokens);
            }
            Outcome::Reread { tokens: Some(_) } => {
                let agent = session.agent.clone();
                let Refresh::Rereading { reason } = session.refresh else { return };
                self.leave_session(&Failure::reauthenticate(reason.explain()), Silence::SignedOut);
                self.state.session = Session::ReauthRequired { agent, reason };
            }
            Outcome::Reread { tokens: None } => self.signed_out_remotely(SignedOutWhy::Asked),
            other => self.abandon_refresh(&other),
        }
    }

    pub(crate) fn tokens_saved(&mut self, generation: Generation, outcome: Outcome) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        match outcome {
            // An older generation that was saved late says nothing about the newest.
            Outcome::Done if generation < session.tokens.generation => {}
            Outcome::Done => {
                session.unsaved = false;
                self.cancel_timer(Timer::SaveTokens);
            }
            Outcome::NewerTokens { tokens }
                if tokens.generation >= session.tokens.generation || tokens.sign_in != session.tokens.sign_in =>
            {
                session.unsaved = false;
                self.cancel_timer(Timer::SaveTokens);
                self.adopt_stored(tokens);
            }
            Outcome::Reread { tokens: None } => self.signed_out_remotely(SignedOutWhy::Asked),
            _ => self.tokens_unsaved(),
        }
    }

    fn tokens_unsaved(&mut self) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        session.unsaved = true;
        self.store_later();
    }

    fn store_later(&mut self) {
        if self.is_active() {
            let at = self.after(5_000);
            self.set_timer(Timer::SaveTokens, at);
        }
    }

    /// Stores what storage refused before, if anything.
    pub(crate) fn store_again(&mut self) {
        if self.is_in_flight(|purpose| matches!(purpose, Purpose::SaveTokens { .. } | Purpose::SignOut { .. })) {
            return;
        }
        match &self.state.session {
            Session::SignedIn(session) if session.unsaved => self.save_tokens_again(),
            Session::SigningOut { of, .. } => {
                self.store(Transaction::SignOut { of: *of }, Purpose::SignOut { to: None });
            }
            Session::SignedIn(_)
            | Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SigningIn { .. }
            | Session::ReauthRequired { .. } => {}
        }
    }

    fn save_tokens_again(&mut self) {
        let Session::SignedIn(session) = &self.state.session else { return };
        let generation = session.tokens.generation;
        let (tokens, agent) = (session.tokens.clone(), session.agent.clone());
        let transaction = if session.is_unknown_to_vault() {
            Transaction::SignIn { agent, tokens }
        } else {
            Transaction::FinishRefresh { tokens }
        };
        self.store(transaction, Purpose::SaveTokens { generation });
    }

    /// Tokens that another process of this installation has stored.
    fn adopt_stored(&mut self, tokens: TokenSet) {
        let Session::SignedIn(session) = &self.state.session else { return };
        if tokens.sign_in != session.tokens.sign_in {
            return self.replaced();
        }
        match self.stored_life(&tokens) {
            Some(left) => self.adopt(tokens, left),
            // They were stored long ago and are used up: whoever waits gets the next ones.
            None => {
                self.supersede_refresh();
                let now = self.now.mono;
                let Session::SignedIn(session) = &mut self.state.session else { return };
                session.tokens = tokens;
                session.fresh_until = now;
                session.refresh_at = now;
                if session.somebody_waits() {
                    self.refresh_if_possible();
                }
            }
        }
    }

    /// Another process of this installation has signed out and in again: this one leaves its session and reads the other.
    fn replaced(&mut self) {
        let why = "Another sign-in has taken the place of this one.";
        self.leave_session(&Failure::cancelled(why), Silence::OtherAccount);
        self.state.session = Session::Loading;
        self.load_if_needed();
    }

    /// Newer tokens are there, and not by the refresh that is under way, if any: what comes of that one is of no use, and
    /// its lease goes back.
    fn supersede_refresh(&mut self) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        if std::mem::replace(&mut session.refresh, Refresh::Idle) != Refresh::Idle {
            self.forget(|purpose| matches!(purpose, Purpose::TakeRefreshLease | Purpose::Refresh | Purpose::Reread));
            self.store(Transaction::AbandonRefresh, Purpose::AbandonRefresh);
        }
    }

    fn adopt(&mut self, tokens: TokenSet, life_millis: u64) {
        self.supersede_refresh();
        let (fresh_until, refresh_at) = self.token_times(life_millis);
        let Session::SignedIn(session) = &mut self.state.session else { return };
        let access = tokens.access;
        session.tokens = tokens;
        session.fresh_until = fresh_until;
        session.refresh_at = refresh_at;
        session.unsettled = None;
        session.backoff.reset();
        let waiters = std::mem::take(&mut session.waiters);
        let parked = std::mem::take(&mut session.parked);
        self.cancel_timer(Timer::Refresh);
        for to in waiters {
            self.reply(to, Ok(Reply::Token { access }));
        }
        for Parked { call, purpose, retried } in parked {
            if self.is_too_late(&purpose) {
                self.finish(purpose, Outcome::Unreachable { cause: "too late".into() });
            } else {
                self.send_api(call, access, retried, purpose);
            }
        }
        self.repair_progress(RepairStage::Refreshing, Ok("A fresh access token was fetched."));
    }

    /// No answer, or none that decides anything: the session stays, and the refresh is tried again.
    fn refresh_came_to_nothing(&mut self, outcome: &Outcome) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        session.refresh = Refresh::Idle;
        let retry_after = outcome.retry_after();
        let now = self.now.mono;
        let at = session.backoff.fail(NETWORK, now, &mut self.state.random, retry_after);
        // While the issuer would still take it for a retry, the next attempt comes soon, in the background too: what is
        // lost otherwise is the session.
        let hurry = session.hurry(self.state.setup.profile, now).filter(|_| retry_after.is_none());
        let soon = hurry.map(|hurry| now.saturating_add(hurry / 4));
        let at = soon.map_or(at, |soon| at.min(soon));
        if soon.is_some() {
            session.backoff.retry_at(at);
            session.refresh_at = now;
        }
        if (self.is_active() || soon.is_some()) && self.state.network_up {
            self.set_timer(Timer::Refresh, at);
        }
        self.fail_waiting(outcome);
        if let Outcome::OAuthError { error, .. } = outcome {
            self.repair_progress(RepairStage::Refreshing, Err(Failure::internal(format!("refused: {error}"))));
        } else {
            let failure = self.failure_of(outcome);
            self.repair_progress(RepairStage::Refreshing, Err(failure));
        }
    }

    fn fail_waiting(&mut self, outcome: &Outcome) {
        let failure = self.failure_of(outcome);
        let Session::SignedIn(session) = &mut self.state.session else { return };
        let waiters = std::mem::take(&mut session.waiters);
        let parked = std::mem::take(&mut session.parked);
        for to in waiters {
            self.fail(to, failure.clone());
        }
        for Parked { purpose, .. } in parked {
            self.finish(purpose, outcome.clone());
        }
    }

    // ---- sign-out ----------------------------------------------------------------------------------------------

    pub(crate) fn sign_out(&mut self, to: CommandId) {
        match &self.state.session {
            Session::SignedIn(_) | Session::ReauthRequired { .. } => {
                // What storage refused before: the newest token is the one to be revoked.
                self.store_again();
                self.leave_session(&Failure::cancelled("The agent signed out."), Silence::SignedOut);
                let of = SignOutScope::CurrentSession;
                self.state.session = Session::SigningOut { of };
                self.store(Transaction::SignOut { of }, Purpose::SignOut { to: Some(to) });
            }
            // The tokens are on their way into the vault: the sign-out follows them there.
            Session::SigningIn { stage: LoginStage::Storing { to: login, .. }, .. } => {
                let login = *login;
                self.fail(login, Failure::cancelled("The agent signed out."));
                self.forget(|purpose| *purpose == Purpose::SignIn);
                self.leave_session(&Failure::cancelled("The agent signed out."), Silence::SignedOut);
                let of = SignOutScope::CurrentSession;
                self.state.session = Session::SigningOut { of };
                self.store(Transaction::SignOut { of }, Purpose::SignOut { to: Some(to) });
            }
            Session::SigningIn { .. } => {
                self.end_login(Failure::cancelled("The sign-in was cancelled."));
                // What the login was to replace is signed out.
                self.sign_out(to);
            }
            Session::SignedOut { .. } => self.reply(to, Ok(Reply::Done)),
            Session::SigningOut { .. } => {
                self.fail(to, Failure::cancelled("The phone is just signing out."));
            }
            Session::Loading | Session::Locked => self.fail(to, Failure::storage(NOT_LOADED)),
        }
    }

    pub(crate) fn sign_out_everywhere(&mut self, to: CommandId) {
        let is_one = |purpose: &Purpose| matches!(purpose, Purpose::SignOutEverywhere { .. });
        match &self.state.session {
            Session::SignedIn(session)
                if self.is_in_flight(is_one) || session.parked.iter().any(|parked| is_one(&parked.purpose)) =>
            {
                self.fail(to, Failure::cancelled("You are just being signed out everywhere."));
            }
            session => match session.not_signed_in() {
                Some(failure) => self.fail(to, failure),
                None => {
                    let key = self.idempotency_key();
                    self.call_api(ApiCall::SignOutEverywhere { key }, Purpose::SignOutEverywhere { to });
                }
            },
        }
    }

    pub(crate) fn signed_out_everywhere(&mut self, to: CommandId, outcome: &Outcome) {
        match outcome {
            Outcome::Done => self.session_ended(SignedOutWhy::Asked, Some(to)),
            other => {
                let failure = self.failure_of(other);
                self.fail(to, failure);
            }
        }
    }

    /// The server ended the session. If this phone has just asked for that, the stream was quicker than the answer.
    pub(crate) fn signed_out_remotely(&mut self, why: SignedOutWhy) {
        let asked = self.state.in_flight.iter().find_map(|(id, running)| match running.purpose {
            Purpose::SignOutEverywhere { to } => Some((*id, to)),
            _ => None,
        });
        match asked.filter(|_| why == SignedOutWhy::SignedOutElsewhere) {
            Some((id, to)) => {
                self.state.in_flight.remove(&id);
                self.session_ended(SignedOutWhy::Asked, Some(to));
            }
            None => self.session_ended(why, None),
        }
    }

    /// The session is no more: nothing is left to revoke.
    fn session_ended(&mut self, why: SignedOutWhy, to: Option<CommandId>) {
        let of = match &self.state.session {
            Session::SignedIn(session) => SignOutScope::Ended { sign_in: session.tokens.sign_in, why },
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SigningIn { .. }
            | Session::ReauthRequired { .. }
            | Session::SigningOut { .. } => return,
        };
        self.leave_session(&Failure::reauthenticate(why.explain().unwrap_or(SIGN_IN_FIRST)), Silence::SignedOut);
        self.state.session = Session::SigningOut { of };
        self.store(Transaction::SignOut { of }, Purpose::SignOut { to });
    }

    pub(crate) fn sign_out_stored(&mut self, to: Option<CommandId>, outcome: Outcome) {
        match outcome {
            Outcome::Loaded { loaded } => {
                let mut stored = None;
                if let Loaded::Contents(contents) = *loaded {
                    self.state.revocations = contents.revocations;
                    stored = contents.signed_out;
                }
                if let Session::SigningOut { of } = self.state.session {
                    // Whoever was quicker, in another process, may know more of it.
                    let why = stored.unwrap_or_else(|| of.why());
                    self.state.session = Session::SignedOut { why };
                }
                self.cancel_timer(Timer::SaveTokens);
                if let Some(to) = to {
                    self.reply(to, Ok(Reply::Done));
                }
            }
            other => {
                // The phone is locked all the same; the vault must hear of it before the next start.
                self.store_later();
                let failure = self.failure_of(&other);
                if let Some(to) = to {
                    self.fail(to, failure);
                }
            }
        }
    }

    /// Everything that belongs to the session stops, now.
    fn leave_session(&mut self, failure: &Failure, silence: Silence) {
        self.stop_all_calls(StopReason::Silenced { reason: silence });
        self.close_stream();
        let taps = self.state.presence.taps.take_all();
        for to in taps.into_iter().filter_map(|tap| tap.to) {
            self.fail(to, failure.clone());
        }
        let waiting: Vec<CommandId> =
            self.state.in_flight.values().filter_map(|running| running.purpose.replies_to()).collect();
        for to in waiting {
            self.fail(to, failure.clone());
        }
        if let Session::SignedIn(session) = &mut self.state.session {
            let waiters = std::mem::take(&mut session.waiters);
            let parked = std::mem::take(&mut session.parked);
            let repair = session.repair.take();
            for to in waiters.into_iter().chain(repair.map(|repair| repair.to)) {
                self.fail(to, failure.clone());
            }
            for to in parked.into_iter().filter_map(|parked| parked.purpose.replies_to()) {
                self.fail(to, failure.clone());
            }
        }
        self.forget(Purpose::belongs_to_session);
        self.state.presence = PresenceSync::default();
        self.state.calls.remembered = None;
        self.state.device.forget_registration();
        for timer in self.state.timers.keys().cloned().collect::<Vec<_>>() {
            if !matches!(timer, Timer::Revoke | Timer::BackgroundGrace) {
                self.cancel_timer(timer);
            }
        }
        self.state.unremembered = true;
    }

    // ---- repair ------------------------------------------------------------------------------------------------

    pub(crate) fn repair(&mut self, to: CommandId) {
        if matches!(self.state.session, Session::Loading | Session::Locked) {
            // Keys are read again: perhaps the phone is unlocked by now.
            self.load_if_needed();
        }
        if let Some(failure) = self.state.session.not_signed_in() {
            return self.fail(to, failure);
        }
        let Session::SignedIn(session) = &mut self.state.session else { return };
        if let Some(older) = session.repair.take() {
            self.fail(older.to, Failure::cancelled("A newer repair has begun."));
        }
        let Session::SignedIn(session) = &mut self.state.session else { return };
        session.fresh_until = self.now.mono;
        session.backoff.reset();
        session.repair = Some(Repair {
            to,
            steps: vec!["The cached state was dropped.".to_owned()],
            stage: RepairStage::Refreshing,
        });
        self.close_stream();
        self.forget(|purpose| *purpose == Purpose::Fetch);
        // The ring rule goes by what was known until the server is heard again: a late push must not ring meanwhile.
        self.state.calls.remembered = Some(self.state.knowledge(self.now));
        self.state.presence.drop_cache();
        self.state.device.forget_registration();
        self.state.unremembered = true;
        self.refresh_if_possible();
    }

    pub(crate) fn repairs(&self, stage: RepairStage) -> bool {
        match &self.state.session {
            Session::SignedIn(session) => session.repair.as_ref().is_some_and(|repair| repair.stage == stage),
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SigningIn { .. }
            | Session::ReauthRequired { .. }
            | Session::SigningOut { .. } => false,
        }
    }

    /// A step of a repair has ended.
    pub(crate) fn repair_progress(&mut self, stage: RepairStage, result: Result<&str, Failure>) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        let Some(repair) = session.repair.as_mut().filter(|repair| repair.stage == stage) else { return };
        match result {
            Ok(step) => repair.steps.push(step.to_owned()),
            Err(failure) => {
                let to = repair.to;
                session.repair = None;
                return self.fail(to, failure);
            }
        }
        match stage {
            RepairStage::Refreshing => {
                repair.stage = RepairStage::Registering;
                self.register();
            }
            RepairStage::Registering => {
                repair.stage = RepairStage::Fetching;
                self.call_api(ApiCall::FetchState, Purpose::Fetch);
            }
            RepairStage::Fetching => {
                if let Some(repair) = session.repair.take() {
                    self.reply(repair.to, Ok(Reply::Repaired { steps: repair.steps }));
                }
            }
        }
    }

    /// What an outcome that is not the wanted one means for whoever asked.
    pub(crate) fn failure_of(&self, outcome: &Outcome) -> Failure {
        match outcome {
            Outcome::Unreachable { .. } => {
                Failure::offline("There is no connection to the server. You stay signed in; it is tried again.")
            }
            Outcome::Unintelligible { .. } => Failure::offline(
                "The network answers in place of the server. Does this Wi-Fi want a sign-in of its own?",
            ),
            Outcome::Unavailable { status, .. } => {
                Failure::offline(format!("The server cannot answer right now ({status}). It is tried again."))
            }
            Outcome::Unauthenticated => Failure::reauthenticate(SIGN_IN_FIRST),
            Outcome::Refused { detail, code, .. } => {
                Failure::forbidden(detail.clone().unwrap_or_else(|| format!("The server refuses this ({code}).")))
            }
            Outcome::StorageFailed { cause } => Failure::storage(format!("This phone's storage fails: {cause}")),
            Outcome::OAuthError { error, .. } => {
                Failure::internal(format!("The sign-in server refuses the request ({error})."))
            }
            Outcome::Done
            | Outcome::State { .. }
            | Outcome::Metadata { .. }
            | Outcome::Granted { .. }
            | Outcome::Loaded { .. }
            | Outcome::NewerTokens { .. }
            | Outcome::RefreshLeaseHeld { .. }
            | Outcome::Reread { .. } => Failure::internal("An answer came that belongs to another question."),
        }
    }
}

/// Redirect URIs match exactly, but for the port of a loopback address (RFC 8252, section 7.3).
fn loopback_or_equal(registered: &str, asked: &str) -> bool {
    if registered == asked {
        return true;
    }
    let parts = |uri: &str| {
        let rest = uri.strip_prefix("http://127.0.0.1")?;
        let rest = rest.strip_prefix(':').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        rest.starts_with('/').then(|| rest.to_owned())
    };
    parts(registered).is_some_and(|registered| parts(asked) == Some(registered))
}

#[cfg(test)]
mod tests;
