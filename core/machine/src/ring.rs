//! The ring rule: whether this phone rings for a call.
//!
//! [`decide`] is the rule itself: read it from top to bottom. It is total, pure and offline; it takes [`Facts`], which the
//! rest of this crate gathers from the state, and a push, and gives a [`Verdict`]. Three principles order it:
//!
//! 1. **Forwarding on, the mobile app is silent.** Whoever knows the newer state, push or phone, is believed.
//! 2. **Unknown means ring.** A missed customer call is worse than one that rings twice. What is unknown is verified
//!    with the server within [`VERIFY_WITHIN`].
//! 3. **Silence always has a [`Silence`] reason**, kept with its inputs in the [`RingLog`].
//!
//! What a platform must do about a verdict is data as well: [`CallAction`]; docs/ringing.md has each platform's rules and
//! their sources.

use std::collections::VecDeque;

use hookswitch_wire::{AccountId, CallId, CallPush, Effective, Platform, PushKind, UnixMillis, Version};
use serde::{Deserialize, Serialize};

/// A ring on facts that the server has not confirmed is verified within this time, in milliseconds.
pub const VERIFY_WITHIN: u64 = 2_000;

/// How long a call that is over is remembered, so that a late push for it stays silent, in milliseconds.
pub const TOMBSTONE_LIFE: u64 = 10 * 60 * 1_000;

/// Rings, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The phone rings, at once.
    Ring {
        /// Until this moment of the server's clock, unless something stops it before.
        until: UnixMillis,
        /// Whether the server must confirm it within [`VERIFY_WITHIN`], because the push is all that is known.
        verify: bool,
    },
    /// The phone keeps silent.
    Silence {
        /// The rule that keeps it silent.
        reason: Silence,
    },
}

/// Why a phone keeps silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// Calls go to an external number.
    ForwardingActive,
    /// The agent takes no calls now.
    NotAvailable,
    /// The agent is on another call.
    InAnotherCall,
    /// Somebody or something else answered.
    AnsweredElsewhere,
    /// The call is over.
    CallEnded,
    /// The push came after the call had stopped ringing.
    Expired,
    /// This phone rings for it already, or is in it.
    Duplicate,
    /// Nobody is signed in on this phone.
    SignedOut,
    /// The call is for somebody else than the agent who is signed in.
    OtherAccount,
    /// The server does not count this phone among the agent's devices any more.
    DeviceNotRegistered,
    /// The agent must sign in again: nobody could answer here.
    SignInNeeded,
}

impl Silence {
    /// Every reason there is, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::ForwardingActive,
        Self::NotAvailable,
        Self::InAnotherCall,
        Self::AnsweredElsewhere,
        Self::CallEnded,
        Self::Expired,
        Self::Duplicate,
        Self::SignedOut,
        Self::OtherAccount,
        Self::DeviceNotRegistered,
        Self::SignInNeeded,
    ];
}

/// Who is signed in on this phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Identity {
    /// This agent, also while a new sign-in is needed: [`Facts::can_answer`].
    SignedIn {
        /// The agent, by the issuer's `sub`.
        account: AccountId,
    },
    /// Nobody is signed in.
    SignedOut,
    /// The vault cannot be read yet (before the first unlock) and nothing was remembered outside of it.
    Unknown,
}

/// Whether the server counts this phone among the agent's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// The newest state lists it.
    Registered,
    /// The newest state does not list it, though it was registered before.
    NotRegistered,
    /// No state has said so yet.
    Unknown,
}

/// What a state of the server says about routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// The version of the state that says so.
    pub version: Version,
    /// Whether calls go to an external number.
    pub forwarding_on: bool,
    /// The agent's effective state.
    pub effective: Effective,
}

/// What this phone knows of the call that a push is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKnowledge {
    /// Nothing, or that it rings somewhere.
    Open,
    /// It rings on this phone, or this phone is in it.
    Here,
    /// It was answered elsewhere.
    AnsweredElsewhere,
    /// It is over: nobody can take it any more.
    Ended,
}

/// Everything that the rule looks at, apart from the push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Who is signed in on this phone.
    pub identity: Identity,
    /// Whether the server counts this phone among the agent's devices.
    pub registration: Registration,
    /// The newest routing that this phone knows.
    pub routing: Option<Routing>,
    /// What it knows of this call.
    pub call: CallKnowledge,
    /// Whether this phone has another call, ringing or running.
    pub busy: bool,
    /// Whether an answer of this phone could reach the server: not while the agent must sign in again.
    #[serde(default = "yes")]
    pub can_answer: bool,
    /// The server's time, if the server has said it to this process. A clock that nobody vouches for silences no call.
    pub server_now: Option<UnixMillis>,
}

/// Of decisions that were recorded before there was a doubt.
const fn yes() -> bool {
    true
}

/// The ring rule: whether the call of a push rings here, by what is known now.
pub fn decide(facts: &Facts, push: &CallPush) -> Verdict {
    let silence = |reason| Verdict::Silence { reason };

    // Is it for somebody else than whoever holds this phone? (An empty account: the push does not say.) Then it is no stop of a call
    // that rings here, either.
    if let Identity::SignedIn { account } = &facts.identity
        && *account != push.account
        && !push.account.as_str().is_empty()
    {
        return silence(Silence::OtherAccount);
    }

    // A push may be a stop.
    match push.kind {
        // In doubt it is a start.
        PushKind::Incoming | PushKind::Unknown => {}
        PushKind::AnsweredElsewhere => return silence(Silence::AnsweredElsewhere),
        PushKind::Ended => return silence(Silence::CallEnded),
    }

    if facts.identity == Identity::SignedOut {
        return silence(Silence::SignedOut);
    }

    if facts.call == CallKnowledge::Here {
        return silence(Silence::Duplicate);
    }

    // Whoever knows the newer state is believed: the phone when it has seen the state that the push was made from.
    // A push that does not say what it was made from may be newer than anything.
    let known = facts.routing.filter(|routing| push.routing != Version::NEVER && routing.version >= push.routing);

    // The rule that this product is for. It comes before what has become of the call, since a forwarded call is soon
    // answered: the agent should read why this phone was silent, not what happened later.
    if known.map_or(push.forwarding_on, |routing| routing.forwarding_on) {
        return silence(Silence::ForwardingActive);
    }

    // Is it still a call?
    match facts.call {
        CallKnowledge::AnsweredElsewhere => return silence(Silence::AnsweredElsewhere),
        CallKnowledge::Ended => return silence(Silence::CallEnded),
        CallKnowledge::Open | CallKnowledge::Here => {}
    }
    if facts.server_now.is_some_and(|now| now >= push.expires_at) {
        return silence(Silence::Expired);
    }

    if !facts.can_answer {
        return silence(Silence::SignInNeeded);
    }

    if facts.busy {
        return silence(Silence::InAnotherCall);
    }

    if let Some(routing) = known {
        if facts.registration == Registration::NotRegistered {
            return silence(Silence::DeviceNotRegistered);
        }
        match routing.effective {
            Effective::InCall => return silence(Silence::InAnotherCall),
            Effective::DoNotDisturb | Effective::AfterCallWork => return silence(Silence::NotAvailable),
            // "Offline" cannot be the state of an agent whose phone this is: the server will say so, not we.
            // Nor does a word that this version does not know silence anything.
            Effective::Available | Effective::Offline | Effective::Unknown => {}
        }
    }

    let understood = match push.kind {
        PushKind::Incoming | PushKind::AnsweredElsewhere | PushKind::Ended => {
            known.is_none_or(|routing| routing.effective != Effective::Unknown)
        }
        PushKind::Unknown => false,
    };
    Verdict::Ring { until: push.expires_at, verify: known.is_none() || !understood }
}

/// What the app must do about a verdict on its platform. The shells carry it out without thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallAction {
    /// iOS: report the call to CallKit under the call's own UUID; it rings.
    /// (`CXProvider.reportNewIncomingCall`, from within the PushKit callback.)
    ReportIncomingCall,
    /// iOS: report a call to CallKit under a *fresh* UUID and end it at once with `CXCallEndedReason.answeredElsewhere`.
    /// An app that takes a VoIP push and reports no call is terminated, and soon gets no pushes
    /// (`PKPushRegistryDelegate`); the fresh UUID keeps a call that rings already from being ended.
    ReportThenEnd,
    /// Android: add the call to Telecom (`TelecomManager.addNewIncomingCall`), and ring. Telecom does not ring calls of a
    /// self-managed app (AOSP: `Ringer`, `isSelfManaged`): when it says `Connection.onShowIncomingCallUi`, the shell does.
    AddCall,
    /// Nothing: no call is added, nothing is shown.
    Nothing,
}

impl CallAction {
    /// What `platform` must do. `must_report` is what PushKit says of the push; where it says nothing, `true`.
    pub const fn of(verdict: Verdict, platform: Platform, must_report: bool) -> Self {
        match (platform, verdict) {
            (Platform::Ios, Verdict::Ring { .. }) => Self::ReportIncomingCall,
            (Platform::Ios, Verdict::Silence { .. }) if must_report => Self::ReportThenEnd,
            (Platform::Ios, Verdict::Silence { .. }) => Self::Nothing,
            (Platform::Android, Verdict::Ring { .. }) => Self::AddCall,
            (Platform::Android, Verdict::Silence { .. }) => Self::Nothing,
        }
    }
}

/// One decision with all that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The push that was decided about, as it was read.
    pub push: CallPush,
    /// What this phone knew when it decided: all that the rule looks at.
    pub facts: Facts,
    /// What the rule said, and why.
    pub verdict: Verdict,
    /// What the platform must do.
    pub action: CallAction,
    /// When, by the best guess of the server's clock.
    pub at: UnixMillis,
}

impl Decision {
    /// Whether the phone makes a sound.
    pub const fn rings(&self) -> bool {
        matches!(self.verdict, Verdict::Ring { .. })
    }
}

/// Why a phone that rang does not ring any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StopReason {
    /// For one of the reasons that would have kept it silent.
    Silenced {
        /// The reason that would have kept it silent.
        reason: Silence,
    },
    /// The agent answered on this phone.
    AnsweredHere,
    /// The agent declined on this phone.
    DeclinedHere,
}

/// One line of the ring log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RingRecord {
    /// A push was decided on.
    Decided(Box<Decision>),
    /// A call that rang here rings no more.
    Stopped {
        /// The call, by the name that its push gave it.
        call_id: CallId,
        /// Why it rings no more.
        why: StopReason,
        /// When, by the best guess of the server's clock.
        at: UnixMillis,
    },
}

/// The last decisions, for support.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingLog {
    entries: VecDeque<RingRecord>,
}

impl RingLog {
    /// How many entries are kept.
    pub const KEPT: usize = 200;

    /// Adds an entry; the oldest one beyond [`Self::KEPT`] goes.
    pub fn push(&mut self, entry: RingRecord) {
        if self.entries.len() == Self::KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// Who called is forgotten; what was decided, and why, is not.
    pub(crate) fn forget_callers(&mut self) {
        for entry in &mut self.entries {
            match entry {
                RingRecord::Decided(decision) => {
                    decision.push.from = None;
                    decision.push.from_name = None;
                }
                RingRecord::Stopped { .. } => {}
            }
        }
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &RingRecord> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests;
