//! Ring decisions and calls, as an app carries them out.

use hookswitch::machine::{CoreAction, CoreStop, Decision, RingEntry, Silence, Verdict, view::CallView};

/// What the call UI must do, before the push handler returns. See [`CoreAction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum CallAction {
    /// iOS: report the call to CallKit; it rings.
    ReportIncomingCall,
    /// iOS: report a call under a fresh UUID and end it at once as answered elsewhere.
    ReportThenEnd,
    /// Android: add the call to Telecom; it rings.
    AddCall,
    /// No call is added, nothing is shown.
    Nothing,
}

/// Why a phone is silent. See [`Silence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum SilenceReason {
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
    /// The call is for another agent.
    OtherAccount,
    /// The agent's devices do not include this phone any more.
    DeviceNotRegistered,
}

impl From<Silence> for SilenceReason {
    fn from(reason: Silence) -> Self {
        match reason {
            Silence::ForwardingActive => Self::ForwardingActive,
            Silence::NotAvailable => Self::NotAvailable,
            Silence::InAnotherCall => Self::InAnotherCall,
            Silence::AnsweredElsewhere => Self::AnsweredElsewhere,
            Silence::CallEnded => Self::CallEnded,
            Silence::Expired => Self::Expired,
            Silence::Duplicate => Self::Duplicate,
            Silence::SignedOut => Self::SignedOut,
            Silence::OtherAccount => Self::OtherAccount,
            Silence::DeviceNotRegistered => Self::DeviceNotRegistered,
        }
    }
}

/// Why a ring ended. CallKit's `CXCallEndedReason` beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum StopReason {
    /// The agent answered on this phone: the call screen knows.
    AnsweredHere,
    /// The agent declined on this phone: the call screen knows.
    DeclinedHere,
    /// For a reason that would have kept it silent. `AnsweredElsewhere`: `.answeredElsewhere`; `Expired`: `.unanswered`; any other:
    /// `.remoteEnded`.
    Silenced {
        /// Which.
        reason: SilenceReason,
    },
}

impl From<CoreStop> for StopReason {
    fn from(why: CoreStop) -> Self {
        match why {
            CoreStop::AnsweredHere => Self::AnsweredHere,
            Stopped::DeclinedHere => Self::DeclinedHere,
            CoreStop::Because { reason } => Self::Silenced { reason: reason.into() },
        }
    }
}

/// A decision on a call push.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct RingDecision {
    /// Which call.
    pub call_id: String,
    /// What to do.
    pub action: CallAction,
    /// Why the phone is silent; `None`: it rings.
    pub silence: Option<SilenceReason>,
    /// Who calls; `None` when withheld.
    pub from: Option<String>,
    /// Who calls, for display.
    pub from_name: Option<String>,
    /// When the ring ends by itself, in Unix milliseconds by the server's clock.
    pub expires_at: i64,
    /// When it was decided, by the best guess of the server's clock.
    pub at: i64,
    /// Inputs, rule and result, for a person.
    pub explanation: String,
}

impl From<Decision> for RingDecision {
    fn from(decision: Decision) -> Self {
        let explanation = decision.explain();
        let Decision { push, verdict, action, at, facts: _ } = decision;
        Self {
            call_id: push.call_id.to_string(),
            action: match action {
                CoreAction::ReportIncomingCall => CallAction::ReportIncomingCall,
                CoreAction::ReportThenEnd => CallAction::ReportThenEnd,
                CoreAction::AddCall => CallAction::AddCall,
                CoreAction::Nothing => CallAction::Nothing,
            },
            silence: match verdict {
                Verdict::Ring { .. } => None,
                Verdict::Silence { reason } => Some(reason.into()),
            },
            from: push.from.map(|number| number.as_str().to_owned()),
            from_name: push.from_name,
            expires_at: push.expires_at,
            at,
            explanation,
        }
    }
}

/// A line of the ring log.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum RingLogEntry {
    /// A push was decided on.
    Decided {
        /// How.
        decision: RingDecision,
    },
    /// A ring ended.
    CoreStop {
        /// Which call.
        call_id: String,
        /// Why.
        why: StopReason,
        /// When, by the best guess of the server's clock.
        at: i64,
    },
}

impl From<RingEntry> for RingLogEntry {
    fn from(entry: RingEntry) -> Self {
        match entry {
            RingEntry::Decided(decision) => Self::Decided { decision: (*decision).into() },
            RingEntry::Stopped { call_id, why, at } => {
                Self::Stopped { call_id: call_id.to_string(), why: why.into(), at }
            }
        }
    }
}

/// A call on this phone.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Call {
    /// Which.
    pub call_id: String,
    /// Who calls; `None` when withheld.
    pub from: Option<String>,
    /// Who calls, for display.
    pub from_name: Option<String>,
    /// Since when this phone has it, by the best guess of the server's clock.
    pub since: i64,
}

impl From<CallView> for Call {
    fn from(call: CallView) -> Self {
        let CallView { call_id, from, from_name, since, expires_at: _ } = call;
        Self { call_id: call_id.to_string(), from: from.map(|number| number.as_str().to_owned()), from_name, since }
    }
}
