//! Words for people about states, decisions and outcomes. (What one command refuses, supersedes or repairs is explained where it does so.)

use hookswitch_wire::{Call, CallState, PhoneNumber, Surface, clean};

use crate::{
    error::Failure,
    event::Outcome,
    kept::{ReauthReason, SignedOutWhy},
    ring::{CallAction, Decision, Silence, StopReason, Verdict},
};

pub(crate) const NOT_LOADED: &str = "The app is still starting.";

/// What calls do while the agent is asked to sign in again.
pub(crate) const NO_CALLS: &str = "Until then this phone does not ring.";

pub(crate) const SIGN_IN_FIRST: &str = "Nobody is signed in on this phone.";

/// How long nobody is asked, since the last attempt came to nothing or the server wants to be left alone.
pub(crate) fn try_again_in(millis: u64) -> String {
    let seconds = millis.div_ceil(1_000);
    let (number, unit) = if seconds <= 180 { (seconds, "s") } else { (seconds.div_ceil(60), "minutes") };
    format!("The server cannot be asked right now. You stay signed in; it is tried again in {number} {unit}.")
}

/// What an agent is told of a call at the number that calls are forwarded to; `None` when it is not there.
pub(crate) fn at_the_number(call: &Call) -> Option<String> {
    let number = call.forwarded_to.as_ref().map_or("the external number", PhoneNumber::as_str);
    let from = call.from_name.as_deref().or(call.from.as_ref().map(PhoneNumber::as_str)).unwrap_or("A caller");
    match &call.state {
        CallState::Offered => {
            Some(format!("{from} is being offered at {number}. Whoever picks up there presses 1 to take the call."))
        }
        CallState::Answered { by: Surface::Forwarded } => Some(format!("{from} is on the line at {number}.")),
        CallState::Ringing | CallState::Answered { .. } | CallState::Ended | CallState::Unknown => None,
    }
}

/// What an issuer says with a refusal: its word for programs, and in its own words, if it has any.
pub(crate) fn refusal(error: &str, description: Option<&str>) -> String {
    match description.map(cut).filter(|said| !said.is_empty()) {
        Some(said) => format!("{error}: {said}"),
        None => error.to_owned(),
    }
}

/// As much of a server's text as goes into a sentence.
fn cut(said: &str) -> String {
    clean(said, 160)
}

impl SignedOutWhy {
    /// One sentence for the agent; `None` when there is nothing to explain.
    pub const fn explain(self) -> Option<&'static str> {
        match self {
            Self::Never | Self::Asked => None,
            Self::SignedOutElsewhere => Some("You signed this phone out from another device."),
            Self::Revoked => Some("An administrator ended your session. Sign in again."),
            Self::Ended => Some("Your session was ended. Sign in again."),
            Self::AccountClosed => Some("This account was closed. Ask your administrator."),
            Self::KeyLost => Some("This phone's secure key was reset. Sign in again."),
            Self::StorageCorrupt => Some("The stored sign-in could not be read. Sign in again."),
        }
    }
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
            Self::Refused => "The sign-in server does not renew your session. Sign in again to go on.",
        }
    }

    /// The same, and what the issuer said of it, if anything.
    pub(crate) fn explain_with(self, said: Option<&str>) -> String {
        match said {
            Some(said) => format!("{} (The sign-in server says: {})", self.explain(), cut(said)),
            None => self.explain().to_owned(),
        }
    }
}

impl Silence {
    /// One sentence for a person.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::ForwardingActive => {
                "Silent: calls are forwarded to an external number, so the mobile app does not ring."
            }
            Self::NotAvailable => "Silent: the agent takes no calls now.",
            Self::InAnotherCall => "Silent: the agent is on another call.",
            Self::AnsweredElsewhere => "Silent: the call was answered elsewhere.",
            Self::CallEnded => "Silent: the call is over.",
            Self::Expired => "Silent: the push came after the call had stopped ringing.",
            Self::Duplicate => "Silent: this phone has this call already.",
            Self::SignedOut => "Silent: nobody is signed in on this phone.",
            Self::OtherAccount => "Silent: the call is for another agent than the one signed in on this phone.",
            Self::DeviceNotRegistered => "Silent: the agent's devices do not include this phone any more.",
            Self::SignInNeeded => "Silent: the agent must sign in again before this phone can take calls.",
        }
    }
}

impl StopReason {
    /// One sentence for a person.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::AnsweredHere => "Answered on this phone.",
            Self::DeclinedHere => "Declined on this phone.",
            Self::Silenced { reason } => match reason {
                Silence::ForwardingActive => "Calls were forwarded to an external number meanwhile.",
                Silence::NotAvailable => "The agent took no calls any more.",
                Silence::InAnotherCall => "The agent is on another call.",
                Silence::AnsweredElsewhere => "Answered on another device.",
                Silence::CallEnded | Silence::Duplicate => "The call was over.",
                Silence::Expired => "Nobody answered in time.",
                Silence::SignedOut | Silence::OtherAccount | Silence::DeviceNotRegistered | Silence::SignInNeeded => {
                    "The agent was signed out on this phone."
                }
            },
        }
    }
}

impl CallAction {
    /// One sentence for a person.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::ReportIncomingCall => "Reported to CallKit: rings.",
            Self::ReportThenEnd => "Reported to CallKit and ended at once as answered elsewhere: no sound.",
            Self::AddCall => "Added to Telecom; the app rings by its own notification.",
            Self::Nothing => "Not shown: no call is added.",
        }
    }
}

impl Decision {
    /// One sentence for a person.
    pub fn explain(&self) -> String {
        match self.verdict {
            Verdict::Silence { reason } => reason.explain().to_owned(),
            Verdict::Ring { verify: false, .. } => {
                "Rings: the newest state says that the agent takes calls on this phone.".to_owned()
            }
            Verdict::Ring { verify: true, .. } => {
                "Rings: the push knows more than this phone; the server is asked to confirm.".to_owned()
            }
        }
    }
}

impl Outcome {
    /// What an outcome that is not the wanted one means for whoever asked.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::NotSent { .. } | Self::Unreachable { .. } => {
                Failure::offline("There is no connection to the server. You stay signed in; it is tried again.")
            }
            Self::Unintelligible { page: true, .. } => Failure::offline(
                "The network answers in place of the server. Does this Wi-Fi want a sign-in of its own?",
            ),
            Self::Unintelligible { page: false, .. } => {
                Failure::offline("The server's answer cannot be understood. You stay signed in; it is tried again.")
            }
            Self::Unavailable { status, .. } => {
                Failure::offline(format!("The server cannot answer right now ({status}). It is tried again."))
            }
            Self::Unauthenticated => Failure::reauthenticate(SIGN_IN_FIRST),
            Self::Refused { detail, code, .. } => {
                Failure::forbidden(detail.clone().unwrap_or_else(|| format!("The server refuses this ({code}).")))
            }
            Self::StorageFailed { cause } => Failure::storage(format!("This phone's storage fails: {cause}")),
            Self::OAuthError { error, description } => {
                let said = refusal(error, description.as_deref());
                Failure::internal(format!("The sign-in server refuses the request ({said})."))
            }
            Self::Done
            | Self::State { .. }
            | Self::Metadata { .. }
            | Self::LoginPushed { .. }
            | Self::Granted { .. }
            | Self::Loaded { .. }
            | Self::NewerTokens { .. }
            | Self::RefreshLeaseHeld { .. }
            | Self::Reread { .. } => Failure::internal("An answer came that belongs to another question."),
        }
    }
}
