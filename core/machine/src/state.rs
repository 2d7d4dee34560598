//! What the machine remembers between events, and the one place that starts effects.

use std::collections::{BTreeMap, BTreeSet};

use hookswitch_wire::{CallId, DeviceId, Platform, ServerMetadata};
use serde::{Deserialize, Serialize};

use crate::{
    backoff::{Backoff, Random},
    calls::Calls,
    device::{DeviceFacts, DeviceState},
    effect::{ApiCall, Effect, EffectId, Generation, Reply, Request, RevocationId, Transaction},
    error::Failure,
    event::{CommandId, SecretRef},
    issuer_profile::IssuerProfile,
    presence::{ChoiceKind, PresenceSync},
    session::{LoginStage, Session},
    time::{Mono, ServerClock, Timestamp},
};

/// What is fixed for the life of an installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// The authorization server, exactly as its metadata names it.
    pub issuer: String,
    /// RFC 6749, section 2.2.
    pub client_id: String,
    /// The registered redirect URIs, best first.
    pub redirect_uris: Vec<String>,
    /// This installation.
    pub device: DeviceId,
    /// Decides what a ring decision means for the call UI.
    pub platform: Platform,
    /// What kind of issuer it is.
    #[serde(default)]
    pub profile: IssuerProfile,
}

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
        /// Which.
        call_id: CallId,
    },
    /// The lease of a running call must be renewed.
    RenewCallLease {
        /// Which.
        call_id: CallId,
    },
}

/// What a running effect is for: whoever drops the purpose drops the result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "snake_case")]
pub(crate) enum Purpose {
    Load,
    Discover,
    DiscoverAgain,
    SavePending,
    DropPending,
    Exchange,
    SignIn,
    TakeRefreshLease,
    Refresh,
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
    Decline {
        to: CommandId,
    },
    HangUp {
        to: CommandId,
        call_id: CallId,
    },
    RenewCallLease {
        call_id: CallId,
    },
}

impl Purpose {
    /// Whether the effect, or what comes of it, must reach the vault.
    const fn saves(&self) -> bool {
        match self {
            Self::SavePending
            | Self::DropPending
            | Self::Exchange
            | Self::TakeRefreshLease
            | Self::Refresh
            | Self::SignIn
            | Self::SaveTokens { .. }
            | Self::SignOut { .. }
            | Self::Revoked
            | Self::Remember
            | Self::SavePushToken => true,
            Self::Load
            | Self::Discover
            | Self::DiscoverAgain
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
            Self::SignOut { to } => *to,
            Self::Answer { to, .. }
            | Self::Decline { to }
            | Self::HangUp { to, .. }
            | Self::Ask { to }
            | Self::SignOutEverywhere { to } => Some(*to),
            Self::Load
            | Self::Discover
            | Self::DiscoverAgain
            | Self::SavePending
            | Self::DropPending
            | Self::Exchange
            | Self::SignIn
            | Self::TakeRefreshLease
            | Self::Refresh
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
            | Self::DropPending
            | Self::Exchange
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

/// Where the app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// In front of the person.
    Foreground,
    /// Just left: traffic goes on for 20 s, in case the person comes back.
    Leaving,
    /// In the background: no stream, no timer, no request but for a call.
    Background,
}

/// The whole state. Plain, comparable, printable; holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub(crate) setup: Setup,
    pub(crate) random: Random,
    pub(crate) next_effect: u64,
    pub(crate) next_key: u64,
    /// As a list, since the keys of a JSON object are text.
    #[serde(with = "pairs")]
    pub(crate) in_flight: BTreeMap<EffectId, InFlight>,
    #[serde(with = "pairs")]
    pub(crate) timers: BTreeMap<Timer, Mono>,
    pub(crate) clock: ServerClock,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) network_up: bool,
    pub(crate) metadata: Option<ServerMetadata>,
    pub(crate) session: Session,
    pub(crate) presence: PresenceSync,
    pub(crate) calls: Calls,
    pub(crate) device: DeviceState,
    pub(crate) revocations: Vec<RevocationId>,
    pub(crate) revoke_backoff: Backoff,
    /// Something that must outlive the process has changed.
    pub(crate) unremembered: bool,
}

impl State {
    /// An app that has just been started and has read nothing yet.
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            random: Random::new(0),
            next_effect: 1,
            next_key: 1,
            in_flight: BTreeMap::new(),
            timers: BTreeMap::new(),
            clock: ServerClock::default(),
            lifecycle: Lifecycle::Background,
            network_up: true,
            metadata: None,
            session: Session::Loading,
            presence: PresenceSync::default(),
            calls: Calls::default(),
            device: DeviceState::default(),
            revocations: Vec::new(),
            revoke_backoff: Backoff::default(),
            unremembered: false,
        }
    }
}

impl State {
    /// What is fixed for the life of this installation.
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Whether all that must outlive the process is in the vault.
    pub fn is_saved(&self) -> bool {
        let open = match &self.session {
            Session::SignedIn(session) => session.unsaved || session.waits_to_settle(),
            Session::SigningOut { .. } => true,
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SigningIn { .. }
            | Session::ReauthRequired { .. } => false,
        };
        !open && !self.unremembered && !self.in_flight.values().any(|running| running.purpose.saves())
    }

    /// The names of the secrets that the state refers to. The shell keeps these, those that effects under way need
    /// ([`Effect::secrets`]) and those that are on their way into the state ([`crate::Event::secrets`]); it wipes all
    /// others.
    pub fn secrets(&self) -> BTreeSet<SecretRef> {
        let mut names: BTreeSet<SecretRef> = self.device.push_token.into_iter().collect();
        match &self.session {
            Session::SigningIn { pending, stage, .. } => {
                names.extend([pending.state, pending.nonce, pending.verifier]);
                if let LoginStage::Storing { tokens, .. } = stage {
                    names.extend([tokens.access, tokens.refresh]);
                }
            }
            Session::SignedIn(session) => {
                names.extend([session.tokens.access, session.tokens.refresh]);
                names.extend(session.parked.iter().filter_map(|parked| parked.call.secret()));
            }
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::ReauthRequired { .. }
            | Session::SigningOut { .. } => {}
        }
        let sent = self.in_flight.values().filter_map(|running| running.api.as_ref());
        for SentCall { call, access, retried: _ } in sent {
            names.insert(*access);
            names.extend(call.secret());
        }
        names
    }
}

/// One step under way: the state, the time, and the effects so far.
pub(crate) struct Step<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) now: Timestamp,
    pub(crate) effects: Vec<Effect>,
}

impl Step<'_> {
    fn start(&mut self, purpose: Purpose, api: Option<SentCall>) -> EffectId {
        let id = self.fresh_id();
        self.state.in_flight.insert(id, InFlight { purpose, api, began: self.now.mono });
        id
    }

    /// An id for an effect whose owner keeps it (the stream).
    pub(crate) fn fresh_id(&mut self) -> EffectId {
        let id = EffectId(self.state.next_effect);
        self.state.next_effect += 1;
        id
    }

    pub(crate) fn send(&mut self, request: Request, purpose: Purpose) {
        let id = self.start(purpose, None);
        self.effects.push(Effect::Send { id, request });
    }

    pub(crate) fn send_api(&mut self, call: ApiCall, access: SecretRef, retried: bool, purpose: Purpose) {
        if let Purpose::Tap { tap } = &purpose {
            self.tap_is_out(*tap);
        }
        let id = self.start(purpose, Some(SentCall { call: call.clone(), access, retried }));
        self.effects.push(Effect::Send { id, request: Request::Api { access, call } });
    }

    pub(crate) fn store(&mut self, transaction: Transaction, purpose: Purpose) {
        let id = self.start(purpose, None);
        self.effects.push(Effect::Store { id, transaction });
    }

    pub(crate) fn set_timer(&mut self, timer: Timer, at: Mono) {
        self.state.timers.insert(timer.clone(), at);
        self.effects.push(Effect::SetTimer { timer, at });
    }

    pub(crate) fn cancel_timer(&mut self, timer: Timer) {
        if self.state.timers.remove(&timer).is_some() {
            self.effects.push(Effect::CancelTimer { timer });
        }
    }

    pub(crate) fn reply(&mut self, to: CommandId, reply: Result<Reply, Failure>) {
        self.effects.push(Effect::Reply { to, reply });
    }

    pub(crate) fn fail(&mut self, to: CommandId, failure: Failure) {
        self.reply(to, Err(failure));
    }

    /// A name for a command that no other command of this or any installation has.
    pub(crate) fn idempotency_key(&mut self) -> String {
        let count = self.state.next_key;
        self.state.next_key += 1;
        let salt = self.state.random.next();
        format!("{}-{salt:016x}-{count}", self.state.setup.device)
    }

    pub(crate) fn is_in_flight(&self, wanted: impl Fn(&Purpose) -> bool) -> bool {
        self.state.in_flight.values().any(|running| wanted(&running.purpose))
    }

    /// Makes the results of some effects superseded, and drops requests of that kind that still wait for a token.
    pub(crate) fn forget(&mut self, unwanted: impl Fn(&Purpose) -> bool) {
        self.state.in_flight.retain(|_, running| !unwanted(&running.purpose));
        if let Session::SignedIn(session) = &mut self.state.session {
            session.parked.retain(|parked| !unwanted(&parked.purpose));
        }
    }

    /// The moment that is so many milliseconds away.
    pub(crate) const fn after(&self, millis: u64) -> Mono {
        self.now.mono.saturating_add(millis)
    }
}

/// Maps whose keys are not text, as lists of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Vec::<(K, V)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}
