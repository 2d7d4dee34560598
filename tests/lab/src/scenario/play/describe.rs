//! Steps in words, for the transcript.

use hookswitch::wire::{CallState, PhoneNumber, Surface};
use hookswitch_backend::{CallReport, LegNews};

use crate::{
    browser::Method,
    scenario::schema::{Action, Expectation, Step},
    words::words,
};

/// A step in words.
pub(crate) fn caption(step: &Step) -> String {
    match step {
        Step::Do(action) => describe_action(action),
        Step::Expect(expectation) => describe_expectation(expectation),
    }
}

pub(crate) fn describe_report(report: &CallReport) -> String {
    let from = report.call.from_name.clone().or_else(|| report.call.from.as_ref().map(PhoneNumber::to_string));
    let from = from.unwrap_or_else(|| "a withheld number".into());
    let number = report.forwarded_to.as_ref().map_or("a number", PhoneNumber::as_str);
    match (&report.call.state, report.given_back, report.agent_was) {
        (_, Some(why), _) => format!("a call from {from} is back in the queue: {}", why.explain()),
        (_, None, Some(effective)) => format!("a call from {from}; the agent takes none: {}", words(&effective)),
        (CallState::Offered, None, None) => format!("a call from {from} is offered at {number}"),
        (CallState::Answered { by: Surface::Forwarded }, None, None) => {
            format!("a call from {from} is spoken at {number}")
        }
        (CallState::Ringing, None, None) => format!("a call from {from} rings"),
        (CallState::Answered { .. } | CallState::Unknown, None, None) => format!("a call from {from} runs"),
        (CallState::Ended, None, None) => format!("a call from {from} is over"),
    }
}

/// What the carrier says of the call to the number.
pub(crate) fn describe_leg(news: LegNews) -> &'static str {
    match news {
        LegNews::PickedUp => "picks up",
        LegNews::Pressed1 => "presses 1",
        LegNews::Declined => "declines",
        LegNews::Busy => "is busy",
        LegNews::Unanswered => "does not answer",
        LegNews::HungUp => "hangs up",
        LegNews::Gone => "is gone without a word",
    }
}

pub(super) fn describe_action(action: &Action) -> String {
    match action {
        Action::SignIn { on, who, with, fails, .. } => {
            let how = match with {
                Method::Password => "a password",
                Method::Google => "Google",
                Method::Sso => "SSO",
            };
            let fails = if fails.is_some() { "tries to sign in" } else { "signs in" };
            format!("{who} {fails} on {on} with {how}")
        }
        Action::BeginSignIn { on } => format!("a sign-in begins on {on}, and the browser is minimised"),
        Action::FinishSignIn { on, who, .. } => format!("{who} comes back to the sign-in page on {on}"),
        Action::OpenRedirect { on, address, .. } => format!("somebody opens {address} on {on}"),
        Action::Open { on } => format!("{on} is opened"),
        Action::SignOut { on } => format!("sign-out on {on}"),
        Action::SignOutEverywhere { on, .. } => format!("on {on}: sign out everywhere"),
        Action::Availability { on, to, .. } => format!("on {on}: {}", words(to)),
        Action::Tap { on, to } => format!("on {on}, without waiting: {}", words(to)),
        Action::Forward { on, to: Some(number), for_seconds: Some(seconds), .. } => {
            format!("on {on}: calls shall go to {number} for {seconds} s")
        }
        Action::Forward { on, to: Some(number), .. } => format!("on {on}: calls shall go to {number}"),
        Action::VerifyNumbers { is: true } => "numbers are to be verified".into(),
        Action::VerifyNumbers { is: false } => "any number will do".into(),
        Action::SendCode { on, to, .. } => format!("on {on}: a code, please, to {to}"),
        Action::EnterCode { on, to, .. } => format!("on {on}: the code that was read at {to}"),
        Action::EndSession { on, of, .. } => format!("on {on}: sign out on {of}"),
        Action::RemoveDevice { device, .. } => format!("an administrator takes {device} off the list"),
        Action::Forward { on, to: None, .. } => format!("on {on}: forwarding off"),
        Action::IncomingCall { call, who, .. } => format!("call {call} for {who}"),
        Action::Answer { on, call, .. } => format!("{on} answers call {call}"),
        Action::Decline { on, call } => format!("{on} declines call {call}"),
        Action::HangUp { on, call } => format!("{on} hangs up call {call}"),
        Action::PushAgain { on, call } => format!("the push of call {call} comes to {on} again"),
        Action::HoldPushes { on, is: true } => format!("the push service keeps what comes for {on}"),
        Action::HoldPushes { on, is: false } => format!("the push service delivers to {on} again"),
        Action::Network { on, up: true } => format!("{on} has a network again"),
        Action::Network { on, up: false } => format!("{on} loses its network"),
        Action::AtTheNumber { call, is, .. } => format!("the number of call {call} {}", describe_leg(*is)),
        Action::Kill { on } => format!("the app on {on} is killed"),
        Action::Start { on } => format!("the app on {on} is started"),
        Action::Foreground { on } => format!("the app on {on} comes to the foreground"),
        Action::Background { on } => format!("the app on {on} goes to the background"),
        Action::Clock { on, ahead_seconds } => format!("the clock of {on} is set {ahead_seconds} s ahead"),
        Action::Wait { seconds } => format!("{seconds} s pass"),
        Action::ExpireToken { on, .. } => format!("the access token of {on} expires"),
        Action::Repair { on } => format!("repair on {on}"),
        Action::Revoke { who, reason } => format!("an administrator ends the sessions of {who}: {}", words(reason)),
        Action::OldServer { is: true } => "the server is an old one that pushes although calls are forwarded".into(),
        Action::OldServer { is: false } => "the server knows the ring rule again".into(),
        Action::RestoreBackup {} => "the server is restored from a backup".into(),
        Action::NoFaults {} => "all faults are mended".into(),
        Action::Fault { at, is, times } => {
            format!("the next {times} at “{}” will go wrong: {}", words(at), words(is))
        }
    }
}

pub(super) fn describe_expectation(expectation: &Expectation) -> String {
    match expectation {
        Expectation::Session { on, is, .. } => format!("{on}: {}", words(is)),
        Expectation::Page { on, is } => format!("{on} shows the page “{}”", is.replace('_', " ")),
        Expectation::Availability { on, is } => format!("{on}: {}", words(is)),
        Expectation::Effective { on, is } => format!("{on}: {}", words(is)),
        Expectation::Forwarding { on, is: Some(number) } => format!("{on}: calls go to {number}"),
        Expectation::Forwarding { on, is: None } => format!("{on}: forwarding is off"),
        Expectation::Banner { on, is: Some(number) } => format!("{on}: a banner says that calls go to {number}"),
        Expectation::Banner { on, is: None } => format!("{on}: no banner"),
        Expectation::Rings { on, call } => format!("{on}: rings for call {call}"),
        Expectation::Silent { on, call, because, .. } => {
            format!("{on}: silent for call {call}, {}", words(because))
        }
        Expectation::PushWaits { on, call } => format!("{on}: the push of call {call} waits at the push service"),
        Expectation::Ignored { on, call, because } => {
            format!("{on}: a push of call {call} is ignored, {}", words(because))
        }
        Expectation::SignedInAt { on, are } => format!("{on}: signed in on {}", are.join(", ")),
        Expectation::Stopped { on, call, because } => {
            format!("{on}: does not ring for call {call} any more, {}", words(because))
        }
        Expectation::Call { call, is, back: None } => format!("call {call} is {}", words(is)),
        Expectation::Call { call, is, back: Some(why) } => {
            format!("call {call} is {}, and back in the queue: {}", words(is), why.explain())
        }
        Expectation::Told { on, says: Some(says) } => format!("{on}: the agent is told: {says}"),
        Expectation::Told { on, says: None } => format!("{on}: the agent is told nothing"),
        Expectation::InCall { on, call } => format!("{on}: in call {call}"),
        Expectation::Superseded { on, says } => format!("{on} says that a choice was not applied: {says}"),
        Expectation::Refreshes { exactly, .. } => format!("exactly {exactly} refreshes"),
        Expectation::Link { on, is } => format!("{on}: hears the server: {}", words(is)),
    }
}
