//! What happens to the machine: commands of the app, events of the platform, results of effects.

use hookswitch_wire::{
    Availability, CallId, CallPush, Capabilities, CodeBy, ForwardTo, PhoneNumber, ServerMetadata, SessionId, Snapshot,
    StreamEvent, UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::{
    kept::{Contents, Loaded, PendingLogin, TokenSet},
    names::{CommandId, EffectId, SecretRef},
    timer::Timer,
};

/// Everything that can happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The process has started. `seed` feeds jitter and command keys, never a secret.
    Started {
        /// Fresh random bits from the system: all chance in the machine comes of them.
        seed: u64,
    },
    /// The app asks for something; each command gets exactly one reply.
    Command {
        /// Where the reply goes.
        id: CommandId,
        /// The request of the app.
        command: Command,
    },
    /// The app comes to the foreground.
    Foreground,
    /// The app goes to the background.
    Background,
    /// The device has a network.
    NetworkUp,
    /// The device has no network.
    NetworkDown,
    /// The device was unlocked for the first time since it started: keys can be read now.
    Unlocked,
    /// A push about a call. The decision is among the effects of this very step.
    Push {
        /// The payload, as the platform delivered it.
        push: CallPush,
        /// iOS: what PushKit says about reporting; `true` where it says nothing.
        must_report: bool,
    },
    /// An effect came to its end.
    Completed {
        /// The work that has ended.
        effect: EffectId,
        /// The server's `Date`, when it sent one.
        server_time: Option<UnixMillis>,
        /// How it ended.
        outcome: Outcome,
    },
    /// News of the presence stream.
    Stream {
        /// Which stream: news of one that was closed since is ignored.
        effect: EffectId,
        /// One piece of it, in the order of the stream.
        news: StreamNews,
    },
    /// A timer that an effect set has run out.
    Timer {
        /// The timer, by what it is for.
        timer: Timer,
    },
}

impl Event {
    /// The work whose end it reports, if any.
    pub const fn ends(&self) -> Option<EffectId> {
        match self {
            Self::Completed { effect, .. } | Self::Stream { effect, news: StreamNews::Closed { .. } } => Some(*effect),
            Self::Started { .. }
            | Self::Command { .. }
            | Self::Foreground
            | Self::Background
            | Self::NetworkUp
            | Self::NetworkDown
            | Self::Unlocked
            | Self::Push { .. }
            | Self::Stream {
                news: StreamNews::Event { .. } | StreamNews::Retry { .. } | StreamNews::Malformed { .. },
                ..
            }
            | Self::Timer { .. } => None,
        }
    }

    /// The secrets that it brings into the state.
    pub fn secrets(&self) -> Vec<SecretRef> {
        match self {
            Self::Command { command, .. } => match command {
                Command::BeginLogin { state, nonce, verifier, .. } => vec![*state, *nonce, *verifier],
                Command::FinishLogin { redirect } => redirect.state.into_iter().chain(redirect.code).collect(),
                Command::SetPushToken { token } => token.iter().copied().collect(),
                Command::VerifyNumber { code, .. } => vec![*code],
                Command::CancelLogin
                | Command::AccessToken
                | Command::SignOut
                | Command::SignOutEverywhere
                | Command::Repair
                | Command::SetAvailability { .. }
                | Command::SetForwarding { .. }
                | Command::SendCode { .. }
                | Command::EndSession { .. }
                | Command::SetDeviceFacts { .. }
                | Command::Answer { .. }
                | Command::Decline { .. }
                | Command::HangUp { .. } => vec![],
            },
            Self::Completed { outcome, .. } | Self::Stream { news: StreamNews::Closed { outcome }, .. } => {
                outcome.secrets()
            }
            Self::Started { .. }
            | Self::Foreground
            | Self::Background
            | Self::NetworkUp
            | Self::NetworkDown
            | Self::Unlocked
            | Self::Push { .. }
            | Self::Stream {
                news: StreamNews::Event { .. } | StreamNews::Retry { .. } | StreamNews::Malformed { .. },
                ..
            }
            | Self::Timer { .. } => vec![],
        }
    }
}

/// What the app asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Start a login; the reply is what the address of the login page is made of.
    BeginLogin {
        /// An e-mail address to fill in.
        hint: Option<String>,
        /// Which of the registered redirect URIs.
        redirect_uri: String,
        /// RFC 6749, section 10.12.
        state: SecretRef,
        /// OpenID Connect Core, section 3.1.2.1.
        nonce: SecretRef,
        /// Proves at the token endpoint that this app began the login (RFC 7636, section 4.1).
        verifier: SecretRef,
    },
    /// The browser came back.
    FinishLogin {
        /// Where it landed, taken apart.
        redirect: Redirect,
    },
    /// The person closed the login for good. (A minimised browser is not a cancel.)
    CancelLogin,
    /// A valid access token.
    AccessToken,
    /// End the session on this device.
    SignOut,
    /// End all sessions of the agent, on all devices.
    SignOutEverywhere,
    /// Reset token and cache without losing the sign-in.
    Repair,
    /// A tap on the availability picker.
    SetAvailability {
        /// What the agent has picked.
        availability: Availability,
    },
    /// Turn forwarding on or off.
    SetForwarding {
        /// Where calls go; `None` turns it off.
        to: Option<ForwardTo>,
    },
    /// Have a code sent to a number, to show that the agent can be reached there.
    SendCode {
        /// The number, in E.164 form.
        number: PhoneNumber,
        /// By text message, or read aloud in a call.
        by: CodeBy,
    },
    /// The agent has read the code.
    VerifyNumber {
        /// Which number it was sent to.
        number: PhoneNumber,
        /// What the call or the message said.
        code: SecretRef,
    },
    /// End a session of the agent, wherever it is.
    EndSession {
        /// The session, by the name that the state lists it under.
        session: SessionId,
    },
    /// What the phone lets the app do, and its own number.
    SetDeviceFacts {
        /// All of it; it takes the place of what was said before.
        facts: DeviceFacts,
    },
    /// The push service gave an address.
    SetPushToken {
        /// `None` when the service took it back.
        token: Option<SecretRef>,
    },
    /// The agent answers on this phone.
    Answer {
        /// The call, by the name that the server gave it.
        call_id: CallId,
    },
    /// The agent declines on this phone.
    Decline {
        /// The call, by the name that the server gave it.
        call_id: CallId,
    },
    /// The agent hangs up.
    HangUp {
        /// The call, by the name that the server gave it.
        call_id: CallId,
    },
}

/// What a phone says of itself, besides what never changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// What it lets the app do when a call comes.
    pub capabilities: Capabilities,
    /// Its own number, where the platform tells it.
    pub line_number: Option<PhoneNumber>,
}

/// A redirect, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// Scheme, authority and path: must be the redirect URI of the pending login, exactly.
    pub target: String,
    /// RFC 6749, section 4.1.2.
    pub state: Option<SecretRef>,
    /// RFC 6749, section 4.1.2.
    pub code: Option<SecretRef>,
    /// The issuer that it comes from, where the redirect says so (RFC 9207).
    pub iss: Option<String>,
    /// RFC 6749, section 4.1.2.1.
    pub error: Option<String>,
    /// What it is, in the issuer's words. Anybody can write it into an address: it is shown as somebody's words, if at all.
    #[serde(default)]
    pub error_description: Option<String>,
    /// Whether a parameter came twice, which RFC 6749, section 3.1 forbids.
    pub repeated: bool,
}

/// News of the presence stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "one at a time, and the large one is the last of its stream")]
pub enum StreamNews {
    /// A message of the stream, understood.
    Event {
        /// A state, a heartbeat, or the end of the session.
        event: StreamEvent,
    },
    /// Should this stream be lost, the server wants to be left alone for so long (the framing's `retry`): it spreads those
    /// who lose a node with all others.
    Retry {
        /// How long to wait before the stream is opened again, in milliseconds.
        millis: u64,
    },
    /// Something that is not an event of this stream: the stream is not what it should be.
    Malformed {
        /// The complaint, without the data.
        complaint: String,
    },
    /// The stream is over, or never opened.
    Closed {
        /// The fault that ended it, or the refusal.
        outcome: Outcome,
    },
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// A request was granted or a store transaction committed, and there is nothing more to say.
    Done,
    /// The server has done nothing with the request. It never left this device (no connection was made, what it needs is gone, or its
    /// time was over), or all that came of it was that its access token is not valid, and its time was over before the next one came.
    NotSent {
        /// For logs; without addresses and secrets.
        cause: String,
    },
    /// No answer: timed out, cut. Says nothing about what the server did.
    Unreachable {
        /// For logs; without addresses and secrets.
        cause: String,
    },
    /// An answer that is none: a captive portal's page, a truncated body, JSON of another shape.
    Unintelligible {
        /// The HTTP status that it answered with.
        status: u16,
        /// For logs; never the body.
        cause: String,
        /// Whether it says that it is a page for a person, as those of captive portals are.
        #[serde(default)]
        page: bool,
    },
    /// The server cannot now: 408, 425, 429, 5xx.
    Unavailable {
        /// The HTTP status that it answered with.
        status: u16,
        /// How long it asks to be left alone (`Retry-After`), in milliseconds; `None` when it does not say.
        retry_after: Option<u64>,
    },
    /// 401: the access token is not valid.
    Unauthenticated,
    /// Any other refusal of the API.
    Refused {
        /// The HTTP status that it answered with.
        status: u16,
        /// The problem's kind, for programs: one of [`hookswitch_wire::problem::code`], or a newer one.
        code: String,
        /// What is wrong, in the server's words, for a person; `None` when it does not say.
        detail: Option<String>,
        /// With 412: the newest state.
        current: Option<Box<Snapshot>>,
    },
    /// The server answers with the agent's whole state.
    State {
        /// The whole state; never a difference.
        snapshot: Box<Snapshot>,
    },
    /// The issuer's metadata.
    Metadata {
        /// Not yet checked: the document may lie.
        metadata: ServerMetadata,
    },
    /// The issuer has taken the parameters of a sign-in (RFC 9126, section 2.2).
    LoginPushed {
        /// What the login page is asked for in their place: good once, and for a minute or so.
        request_uri: String,
    },
    /// The token endpoint granted.
    Granted {
        /// The tokens, by name.
        grant: Grant,
    },
    /// The token endpoint refused (RFC 6749, section 5.2).
    OAuthError {
        /// `invalid_grant` and its like.
        error: String,
        /// For logs; without addresses and secrets.
        description: Option<String>,
    },
    /// What the vault holds.
    Loaded {
        /// All that the vault keeps, or why it cannot be opened.
        loaded: Box<Loaded>,
    },
    /// Another process has a newer generation of tokens.
    NewerTokens {
        /// The newest that the vault has.
        tokens: TokenSet,
    },
    /// Another process refreshes now.
    RefreshLeaseHeld {
        /// Milliseconds until its lease ends.
        for_millis: u64,
    },
    /// The vault says what it holds now (an answer to a re-read); `None` when the session is gone.
    Reread {
        /// The newest that the vault has.
        tokens: Option<TokenSet>,
    },
    /// The vault could not do it.
    StorageFailed {
        /// For logs; without addresses and secrets.
        cause: String,
    },
}

impl Outcome {
    /// Whether nobody knows what the server made of the request, or it never got there: the same may be asked again.
    pub(crate) const fn says_nothing(&self) -> bool {
        match self {
            Self::NotSent { .. }
            | Self::Unreachable { .. }
            | Self::Unintelligible { .. }
            | Self::Unavailable { .. } => true,
            Self::Done
            | Self::Unauthenticated
            | Self::Refused { .. }
            | Self::State { .. }
            | Self::Metadata { .. }
            | Self::LoginPushed { .. }
            | Self::Granted { .. }
            | Self::OAuthError { .. }
            | Self::Loaded { .. }
            | Self::NewerTokens { .. }
            | Self::RefreshLeaseHeld { .. }
            | Self::Reread { .. }
            | Self::StorageFailed { .. } => false,
        }
    }

    /// Whether the endpoint seems to be somewhere else, or gone (RFC 9110, sections 15.4, 15.5.5, 15.5.6 and 15.5.11).
    pub(crate) const fn says_not_here(&self) -> bool {
        matches!(self, Self::Unintelligible { status: 300..=399 | 404 | 405 | 410, .. })
    }

    /// How long the server asks to be left alone, in milliseconds.
    pub(crate) const fn retry_after(&self) -> Option<u64> {
        if let Self::Unavailable { retry_after, .. } = self { *retry_after } else { None }
    }

    /// The secrets that it brings into the state.
    pub(crate) fn secrets(&self) -> Vec<SecretRef> {
        match self {
            Self::Granted { grant: Grant { access, refresh, claims, expires_in: _, session_life: _ } } => {
                let nonce = claims.as_ref().and_then(|claims| claims.nonce);
                [Some(*access), *refresh, nonce].into_iter().flatten().collect()
            }
            Self::Loaded { loaded } => match &**loaded {
                Loaded::Contents(Contents { session, pending, push_token, .. }) => {
                    let tokens = session.iter().flat_map(|session| session.tokens.secrets());
                    let pending = pending.iter().flat_map(PendingLogin::secrets);
                    tokens.chain(pending).chain(*push_token).collect()
                }
                Loaded::KeyUnavailable { .. } | Loaded::KeyFailed { .. } | Loaded::KeyInvalidated => vec![],
            },
            Self::NewerTokens { tokens } | Self::Reread { tokens: Some(tokens) } => tokens.secrets().to_vec(),
            Self::Done
            | Self::NotSent { .. }
            | Self::Unreachable { .. }
            | Self::Unintelligible { .. }
            | Self::Unavailable { .. }
            | Self::Unauthenticated
            | Self::Refused { .. }
            | Self::State { .. }
            | Self::Metadata { .. }
            | Self::LoginPushed { .. }
            | Self::OAuthError { .. }
            | Self::RefreshLeaseHeld { .. }
            | Self::Reread { tokens: None }
            | Self::StorageFailed { .. } => vec![],
        }
    }
}

/// What a token request gave. The secrets stay with the shell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The access token: authorises requests until it expires.
    pub access: SecretRef,
    /// `None`: the old one stays valid.
    pub refresh: Option<SecretRef>,
    /// Life of the access token in seconds.
    pub expires_in: Option<u64>,
    /// Life of the session in seconds, where the issuer tells it: with or without a refresh.
    #[serde(default)]
    pub session_life: Option<u64>,
    /// What the ID token says.
    pub claims: Option<Claims>,
}

/// What an ID token says (OpenID Connect Core, section 2).
///
/// It came straight from the token endpoint over TLS, so the issuer is known without its signature (section 3.1.3.7, 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who signed it.
    pub iss: String,
    /// The apps that it is for.
    pub aud: Vec<String>,
    /// Who signed in.
    pub sub: String,
    /// The app that it was issued to, where that is said: necessary where it is for several.
    #[serde(default)]
    pub azp: Option<String>,
    /// Ties it to the login that asked.
    pub nonce: Option<SecretRef>,
    /// When it was issued, in seconds since 1970 by the issuer's clock.
    #[serde(default)]
    pub iat: i64,
    /// When it ends, in seconds since 1970 by the issuer's clock.
    pub exp: i64,
    /// For display only: nothing is decided by it.
    pub email: Option<String>,
    /// For display only: nothing is decided by it.
    pub name: Option<String>,
}
