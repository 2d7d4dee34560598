//! What the machine wants done. The shell carries it out and reports by the effect's id.

use hookswitch_wire::{
    Availability, CallId, CodeBy, ForwardTo, PhoneNumber, ServerMetadata, SessionId, Snapshot, Version,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::Failure,
    event::DeviceFacts,
    kept::{AgentProfile, Knowledge, PendingLogin, SignedOutWhy, TokenSet},
    names::{CommandId, EffectId, Generation, RevocationId, SecretRef, SignInId},
    ring::{Decision, StopReason},
    time::Mono,
    timer::Timer,
};

/// How long a refresh lease runs, in milliseconds: longer than any token request, and shorter than servers allow the second try of a
/// refresh whose answer was lost. Then it ends by itself.
pub const REFRESH_LEASE: u64 = 45_000;

/// How long a token request can be out at most, in milliseconds: the shell waits 20 s for the head of an answer and 20 s for the rest.
/// Whoever takes the lease over sends the same refresh token again, so the request must have come to its end by then.
pub const LONGEST_REQUEST: u64 = 40_000;

/// What comes of a step, by who carries it out. Each list is in order; between the two there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// For the driver: it happens after the step, and most of it has an end that is reported.
    pub work: Vec<Work>,
    /// For those who wait: it is handed to them at once, and has no end.
    pub output: Vec<Output>,
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "work", rename_all = "snake_case")]
pub enum Work {
    /// Send a request; its end is an [`crate::Event::Completed`].
    Send {
        /// Its end is reported under this name.
        id: EffectId,
        /// What is asked, and of whom.
        request: Request,
    },
    /// Change or read the vault, in one transaction; its end is an [`crate::Event::Completed`]. Transactions happen in
    /// the order of their effects.
    Store {
        /// Its end is reported under this name.
        id: EffectId,
        /// All of it, or nothing.
        transaction: Transaction,
    },
    /// Open the presence stream; its news are [`crate::Event::Stream`].
    OpenStream {
        /// Its end is reported under this name.
        id: EffectId,
        /// The access token that authorises it.
        access: SecretRef,
        /// The newest state that is known (`Last-Event-ID`).
        after: Option<Version>,
    },
    /// Close the stream that was opened by this effect.
    CloseStream {
        /// The stream, as [`Work::OpenStream`] named it.
        id: EffectId,
    },
    /// Say [`crate::Event::Timer`] at this moment; replaces a timer of the same name.
    SetTimer {
        /// The timer, by what it is for.
        timer: Timer,
        /// The moment, by the monotonic clock.
        at: Mono,
    },
    /// A timer that was set is not waited for any more.
    CancelTimer {
        /// The timer, by what it is for.
        timer: Timer,
    },
}

impl Work {
    /// The name under which its end is reported; `None` for what has no end to report.
    pub const fn id(&self) -> Option<EffectId> {
        match self {
            Self::Send { id, .. } | Self::Store { id, .. } | Self::OpenStream { id, .. } => Some(*id),
            Self::CloseStream { .. } | Self::SetTimer { .. } | Self::CancelTimer { .. } => None,
        }
    }

    /// The secrets that whoever carries it out needs, until it has come to its end.
    pub fn secrets(&self) -> Vec<SecretRef> {
        match self {
            Self::Send { request, .. } => match request {
                Request::ExchangeCode { code, verifier, .. } => vec![*code, *verifier],
                Request::Refresh { refresh, .. } => vec![*refresh],
                Request::PushLogin { pending, .. } => pending.secrets().to_vec(),
                Request::Api { access, call } => std::iter::once(*access).chain(call.secret()).collect(),
                Request::Discover | Request::Revoke { .. } => vec![],
            },
            Self::Store { transaction, .. } => match transaction {
                Transaction::SavePending { pending, .. } => pending.secrets().to_vec(),
                Transaction::SignIn { tokens, .. } | Transaction::FinishRefresh { tokens } => tokens.secrets().to_vec(),
                Transaction::SavePushToken { token } => token.iter().copied().collect(),
                Transaction::SignOut { held, .. } => held.clone(),
                Transaction::TakeBack { refresh } => vec![*refresh],
                Transaction::Load
                | Transaction::DropPending
                | Transaction::SaveMetadata { .. }
                | Transaction::BeginRefresh { .. }
                | Transaction::AbandonRefresh { .. }
                | Transaction::Reread
                | Transaction::Revoked { .. }
                | Transaction::Remember { .. } => vec![],
            },
            Self::OpenStream { access, .. } => vec![*access],
            Self::CloseStream { .. } | Self::SetTimer { .. } | Self::CancelTimer { .. } => vec![],
        }
    }
}

/// What the app, or its call UI, is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "output", rename_all = "snake_case")]
pub enum Output {
    /// Answer a command of the app.
    Reply {
        /// The command that is answered.
        to: CommandId,
        /// What came of the command.
        reply: Result<Reply, Failure>,
    },
    /// A push was decided on: the call UI carries out [`Decision::action`].
    Decided {
        /// The decision with its reasons.
        decision: Box<Decision>,
    },
    /// A call that rings must stop.
    StopRinging {
        /// The call, by the name that the server gave it.
        call_id: CallId,
        /// What the call log should say of it.
        why: StopReason,
    },
}

/// A request to the issuer or the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// The issuer's metadata (RFC 8414).
    Discover,
    /// The parameters of a sign-in, ahead of the browser (RFC 9126).
    PushLogin {
        /// As the issuer's metadata names it.
        endpoint: String,
        /// As the issuer's metadata names it: the address of the page has the parameters.
        authorization_endpoint: String,
        /// State, nonce, verifier, redirect URI, hint.
        pending: PendingLogin,
    },
    /// Code for tokens (RFC 6749, section 4.1.3; RFC 7636).
    ExchangeCode {
        /// As the issuer's metadata names it.
        token_endpoint: String,
        /// The authorization code of the redirect (RFC 6749, section 4.1.2).
        code: SecretRef,
        /// Proves that this app began the login (RFC 7636).
        verifier: SecretRef,
        /// As in the authorization request.
        redirect_uri: String,
    },
    /// Refresh token for tokens (RFC 6749, section 6).
    Refresh {
        /// As the issuer's metadata names it.
        token_endpoint: String,
        /// The one of the current generation.
        refresh: SecretRef,
        /// The end of the lease: what has not left by then must not leave, since another process may have begun.
        until: Mono,
    },
    /// Revoke a refresh token (RFC 7009). The queue in the vault has it.
    Revoke {
        /// As the issuer's metadata names it.
        revocation_endpoint: String,
        /// Its place in the queue.
        revocation: RevocationId,
    },
    /// A request of the API, with the access token that authorises it.
    Api {
        /// The access token that authorises it.
        access: SecretRef,
        /// Method, path and body, as the contract of the wire crate has them.
        call: ApiCall,
    },
}

/// A request of the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum ApiCall {
    /// `GET /v1/me/state`
    FetchState,
    /// `GET /v1/me/state?after=…&wait=…`: answered as soon as there is news, or with nothing after `wait`.
    AwaitState {
        /// The newest state that is known.
        after: Version,
        /// How long the server may wait for something newer, in seconds.
        wait: u64,
    },
    /// `PUT /v1/me/availability`
    SetAvailability {
        /// Idempotency key: the server carries out one command of this name, however often it comes.
        key: String,
        /// The version that the agent saw: the request's `If-Match`.
        base: Version,
        /// What the agent has picked.
        availability: Availability,
    },
    /// `PUT /v1/me/forwarding`
    SetForwarding {
        /// Idempotency key: the server carries out one command of this name, however often it comes.
        key: String,
        /// The version that the agent saw: the request's `If-Match`.
        base: Version,
        /// The number that calls go to from now on; `None` turns forwarding off.
        to: Option<ForwardTo>,
    },
    /// `POST /v1/me/forwarding/code`
    SendCode {
        /// Idempotency key: the server carries out one command of this name, however often it comes.
        key: String,
        /// The number, in E.164 form.
        number: PhoneNumber,
        /// By text message, or read aloud in a call.
        by: CodeBy,
    },
    /// `POST /v1/me/forwarding/verification`
    VerifyNumber {
        /// Idempotency key: the server carries out one command of this name, however often it comes.
        key: String,
        /// The number, in E.164 form.
        number: PhoneNumber,
        /// What was read there.
        code: SecretRef,
    },
    /// `DELETE /v1/me/sessions/{id}`
    EndSession {
        /// Idempotency key: the server carries out one command of this name, however often it comes.
        key: String,
        /// The session, by the name that the state lists it under.
        session: SessionId,
    },
    /// `PUT /v1/me/devices/{id}`
    RegisterDevice {
        /// Idempotency key: the server carries out one command of this name, however often it comes.
        key: String,
        /// The push service's address.
        push_token: Option<SecretRef>,
        /// What the phone says of itself.
        #[serde(default)]
        facts: DeviceFacts,
    },
    /// `POST /v1/me/calls/{id}/answer`
    Answer {
        /// Idempotency key: the server carries out one command of this name, however often it comes.
        key: String,
        /// The call, by the name that the server gave it.
        call_id: CallId,
    },
    /// `POST /v1/me/calls/{id}/decline`
    Decline {
        /// Idempotency key: the server carries out one command of this name, however often it comes.
        key: String,
        /// The call, by the name that the server gave it.
        call_id: CallId,
    },
    /// `POST /v1/me/calls/{id}/hang-up`
    HangUp {
        /// Idempotency key: the server carries out one command of this name, however often it comes.
        key: String,
        /// The call, by the name that the server gave it.
        call_id: CallId,
    },
    /// `POST /v1/me/sign-out-everywhere`
    SignOutEverywhere {
        /// Idempotency key: the server carries out one command of this name, however often it comes.
        key: String,
    },
    /// `POST /v1/me/calls/{id}/lease`
    RenewCallLease {
        /// Idempotency key: the server carries out one command of this name, however often it comes.
        key: String,
        /// The call, by the name that the server gave it.
        call_id: CallId,
    },
}

impl ApiCall {
    /// The secret that its body says.
    pub const fn secret(&self) -> Option<SecretRef> {
        match self {
            Self::RegisterDevice { push_token, .. } => *push_token,
            Self::VerifyNumber { code, .. } => Some(*code),
            Self::FetchState
            | Self::AwaitState { .. }
            | Self::SetAvailability { .. }
            | Self::SetForwarding { .. }
            | Self::SendCode { .. }
            | Self::EndSession { .. }
            | Self::Answer { .. }
            | Self::Decline { .. }
            | Self::HangUp { .. }
            | Self::SignOutEverywhere { .. }
            | Self::RenewCallLease { .. } => None,
        }
    }
}

/// A transaction of the vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "transaction", rename_all = "snake_case")]
pub enum Transaction {
    /// Read all that is kept, at the start of the process.
    Load,
    /// Keep a login that waits for its browser; replaces an older one.
    SavePending {
        /// The login, with the names of its secrets.
        pending: PendingLogin,
        /// The issuer's metadata, so that a new process can finish the login.
        metadata: ServerMetadata,
    },
    /// Forget the login that waits.
    DropPending,
    /// Keep the issuer's metadata: its endpoints have moved.
    SaveMetadata {
        /// As the issuer published it, checked.
        metadata: ServerMetadata,
    },
    /// Sign in: keep the tokens and forget the pending login, both or neither.
    SignIn {
        /// The agent, as the ID token describes them.
        agent: AgentProfile,
        /// The tokens of generation 1.
        tokens: TokenSet,
    },
    /// Before a refresh: take the lease and write down the intent. Answers: done, newer tokens, or the lease is
    /// held by another process.
    BeginRefresh {
        /// The sign-in whose tokens they are.
        sign_in: SignInId,
        /// The generation to be replaced.
        generation: Generation,
    },
    /// After a refresh: keep the new tokens, clear intent and lease. Answers: done, or newer tokens.
    FinishRefresh {
        /// The new tokens, one generation above those that they replace.
        tokens: TokenSet,
    },
    /// A refresh came to nothing: let the lease go, if it is held.
    AbandonRefresh {
        /// The refresh token never left: the intent that this refresh wrote is taken back. Any other stays until a refresh succeeds.
        unsent: bool,
    },
    /// What generation is current? Answers: re-read, or lease held, when another process is about to replace it.
    Reread,
    /// Sign out: forget session, snapshot and routing. Answers: what the vault holds then.
    SignOut {
        /// Whether it is the session of here and now, or one that the server has ended.
        of: SignOutScope,
        /// Refresh tokens that the vault may not have: they are revoked as well as the one that it has.
        #[serde(default)]
        held: Vec<SecretRef>,
    },
    /// Nobody wants these tokens: they came after the sign-out, or for a sign-in that was given up. Answers: what the vault holds.
    TakeBack {
        /// Goes into the queue of revocations.
        refresh: SecretRef,
    },
    /// A revocation is done.
    Revoked {
        /// Its place in the queue.
        revocation: RevocationId,
    },
    /// Keep what the ring rule should remember, and the snapshot for display.
    Remember {
        /// Kept unsealed, for pushes before the first unlock.
        knowledge: Knowledge,
        /// Shown at the next start, until the server is heard.
        snapshot: Option<Box<Snapshot>>,
        /// `server - wall`, in milliseconds.
        server_offset: Option<i64>,
        /// A repair has asked the server: what it said takes the place of what is kept, although that may be of a newer version.
        /// Otherwise the newer version stays, since another process may have kept it.
        #[serde(default)]
        anew: bool,
    },
    /// Keep the push service's address.
    SavePushToken {
        /// The address; `None` forgets it.
        token: Option<SecretRef>,
    },
}

/// Which session is signed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sign_out", rename_all = "snake_case")]
pub enum SignOutScope {
    /// Whoever is signed in on this phone, since the agent asked for it. The refresh token goes into the queue of
    /// revocations.
    CurrentSession,
    /// A session that the server has ended, which need not be the issuer: its refresh token is revoked there. A newer sign-in
    /// stays.
    Ended {
        /// The sign-in that has ended; another one stays.
        sign_in: SignInId,
        /// Why. Kept, for the agent may look at the phone much later.
        why: SignedOutWhy,
    },
}

impl SignOutScope {
    /// What to tell the agent.
    pub(crate) const fn why(self) -> SignedOutWhy {
        match self {
            Self::CurrentSession => SignedOutWhy::Asked,
            Self::Ended { why, .. } => why,
        }
    }
}

/// The answer to a command that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// It is done, and there is nothing more to say.
    Done,
    /// What the address of the login page is made of.
    Login {
        /// As the issuer's metadata names it.
        authorization_endpoint: String,
        /// State, nonce, verifier, redirect URI, hint.
        pending: PendingLogin,
        /// What stands for all of that, where the issuer has it already (RFC 9126).
        #[serde(default)]
        request_uri: Option<String>,
    },
    /// A valid access token.
    Token {
        /// The name of the token.
        access: SecretRef,
    },
    /// What the repair did, in order, for a person.
    Repaired {
        /// One line a step.
        steps: Vec<String>,
    },
}

impl Reply {
    /// The secrets that whoever asked gets to know by it.
    pub fn secrets(&self) -> Vec<SecretRef> {
        match self {
            Self::Token { access } => vec![*access],
            Self::Login { pending, .. } => pending.secrets().to_vec(),
            Self::Done | Self::Repaired { .. } => vec![],
        }
    }
}
