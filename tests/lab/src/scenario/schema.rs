//! What a scenario may say. Each type here is a shape of JSON; unknown fields are mistakes.

use std::fmt;

use hookswitch::{
    machine::{Silence, StopReason},
    wire::{Availability, CodeBy, Effective, SignedOutReason},
};
use hookswitch_backend::{Fault, GivenBack, LegNews, Point};
use serde::{Deserialize, Deserializer, de::value::StrDeserializer};

use crate::{
    app::protocol::{availability, stated},
    browser::Method,
};

/// A story that a person can read aloud, and that is played step by step.
#[derive(Debug)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub title: String,
    /// Why it matters, for whoever reads the transcript.
    pub story: Option<String>,
    /// What happens and what must be seen, in order.
    pub(crate) steps: Vec<Located>,
}

/// A step and the line of the file that it starts on.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) line: usize,
    pub(crate) step: Step,
}

/// A step: something is done, or something must be seen.
#[derive(Debug)]
pub(crate) enum Step {
    Do(Action),
    Expect(Expectation),
}

/// One place or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Places {
    One(String),
    Many(Vec<String>),
}

impl Places {
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, String> {
        match self {
            Self::One(place) => std::slice::from_ref(place).iter(),
            Self::Many(places) => places.iter(),
        }
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, place) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{place}")?;
        }
        Ok(())
    }
}

/// Something that is done.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Action {
    /// Somebody signs in on a surface or a phone.
    SignIn {
        on: String,
        #[serde(rename = "as", default = "alice")]
        who: String,
        #[serde(default)]
        password: Option<String>,
        #[serde(default)]
        with: Method,
        #[serde(default)]
        code: Code,
        #[serde(default)]
        fails: Option<String>,
    },
    /// A sign-in is begun and the browser minimised.
    BeginSignIn {
        on: String,
    },
    /// The browser that was minimised is used after all.
    FinishSignIn {
        on: String,
        #[serde(rename = "as", default = "alice")]
        who: String,
        #[serde(default)]
        fails: Option<String>,
    },
    /// A redirect that the phone did not ask for.
    OpenRedirect {
        on: String,
        address: String,
        #[serde(default)]
        fails: Option<String>,
    },
    /// A page is opened in the browser, without signing in.
    Open {
        on: String,
    },
    SignOut {
        on: String,
    },
    /// All sessions of the agent end, on all devices.
    SignOutEverywhere {
        on: String,
        #[serde(default)]
        fails: Option<String>,
    },
    Availability {
        on: String,
        #[serde(deserialize_with = "availability::deserialize")]
        to: Availability,
        #[serde(default)]
        fails: Option<String>,
    },
    /// Forwarding to a number; `null` turns it off.
    Forward {
        on: String,
        #[serde(deserialize_with = "stated")]
        to: Option<String>,
        /// When it ends by itself, from now.
        #[serde(default)]
        for_seconds: Option<u32>,
        #[serde(default)]
        fails: Option<String>,
    },
    /// From now on the server wants to know that the agent can be reached at a number.
    VerifyNumbers {
        is: bool,
    },
    /// A code is sent to a number.
    SendCode {
        on: String,
        to: String,
        #[serde(default = "sms")]
        by: CodeBy,
        #[serde(default)]
        fails: Option<String>,
    },
    /// The code is read there, and typed on the phone.
    EnterCode {
        on: String,
        to: String,
        #[serde(default)]
        code: Code,
        #[serde(default)]
        fails: Option<String>,
    },
    /// One session of the agent is ended from a phone.
    EndSession {
        on: String,
        of: String,
        #[serde(default)]
        fails: Option<String>,
    },
    /// An administrator takes a phone off an agent's list of devices.
    RemoveDevice {
        device: String,
        #[serde(rename = "as", default = "alice")]
        who: String,
    },
    /// A tap that nobody waits for.
    Tap {
        on: String,
        #[serde(deserialize_with = "availability::deserialize")]
        to: Availability,
    },
    IncomingCall {
        call: String,
        #[serde(rename = "as", default = "alice")]
        who: String,
        #[serde(default)]
        from: Option<String>,
        #[serde(default)]
        name: Option<String>,
    },
    Answer {
        on: String,
        call: String,
        #[serde(default)]
        fails: Option<String>,
    },
    Decline {
        on: String,
        call: String,
    },
    HangUp {
        on: String,
        call: String,
    },
    /// What happens at the number that a call was forwarded to.
    AtTheNumber {
        call: String,
        is: LegNews,
        #[serde(default)]
        fails: Option<String>,
    },
    /// The push of a call comes once more.
    PushAgain {
        on: String,
        call: String,
    },
    /// The push service is slow: it keeps what comes for this phone (`true`), or delivers all that it has kept.
    HoldPushes {
        on: String,
        is: bool,
    },
    Network {
        on: String,
        up: bool,
    },
    Kill {
        on: String,
    },
    Start {
        on: String,
    },
    Foreground {
        on: String,
    },
    Background {
        on: String,
    },
    /// The phone's wall clock is set, relative to the right time.
    Clock {
        on: String,
        ahead_seconds: i64,
    },
    Wait {
        seconds: u32,
    },
    /// The server forgets the phone's access token.
    ExpireToken {
        on: String,
        #[serde(rename = "as", default = "alice")]
        who: String,
    },
    Repair {
        on: String,
    },
    /// An administrator ends all sessions of an agent.
    Revoke {
        #[serde(rename = "as", default = "alice")]
        who: String,
        reason: SignedOutReason,
    },
    /// The server plays one that does not know the ring rule.
    OldServer {
        is: bool,
    },
    /// The server comes back from a backup: a new epoch.
    RestoreBackup {},
    /// Something goes wrong with the next requests of a kind.
    Fault {
        at: Point,
        is: FaultName,
        #[serde(default = "once")]
        times: u64,
    },
    /// All faults are mended.
    NoFaults {},
}

const fn once() -> u64 {
    1
}

const fn sms() -> CodeBy {
    CodeBy::Sms
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultName {
    /// The connection closes before the server does anything.
    BeforeCommit,
    /// The server does it, and the connection closes before the answer.
    AfterCommit,
    /// A web page answers in place of the server.
    CaptivePortal,
    /// The JSON of the answer ends in the middle.
    MalformedJson,
    /// The server answers 500.
    ServerError,
}

impl From<FaultName> for Fault {
    fn from(name: FaultName) -> Self {
        match name {
            FaultName::BeforeCommit => Self::BeforeCommit,
            FaultName::AfterCommit => Self::AfterCommit,
            FaultName::CaptivePortal => Self::CaptivePortal,
            FaultName::MalformedJson => Self::MalformedJson,
            FaultName::ServerError => Self::ServerError,
        }
    }
}

/// What is typed when a second factor is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Code {
    /// What the authenticator shows.
    #[default]
    Current,
    /// These digits.
    Given(String),
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(if text == "current" { Self::Current } else { Self::Given(text) })
    }
}

/// Something that must be seen, within a few seconds.
#[derive(Debug, Deserialize)]
#[serde(tag = "expect", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Expectation {
    /// Whether somebody is signed in.
    Session {
        on: Places,
        is: SessionIs,
        /// For phones: what the agent is told.
        #[serde(default)]
        says: Option<String>,
    },
    /// Which page the browser stands on.
    Page {
        on: String,
        is: String,
    },
    Availability {
        on: Places,
        #[serde(deserialize_with = "availability::deserialize")]
        is: Availability,
    },
    Effective {
        on: Places,
        is: Effective,
    },
    /// Forwarding to this number; `null`: off.
    Forwarding {
        on: Places,
        #[serde(deserialize_with = "stated")]
        is: Option<String>,
    },
    /// A phone says that calls go elsewhere; `null`: it does not.
    Banner {
        on: Places,
        #[serde(deserialize_with = "stated")]
        is: Option<String>,
    },
    /// The phone makes a sound.
    Rings {
        on: Places,
        call: String,
    },
    /// The phone is silent for this call, because of the server (no push) or of its own decision.
    Silent {
        on: Places,
        call: String,
        because: Silence,
        /// `server`: no push was sent; `phone`: the phone decided on a push.
        #[serde(default)]
        decided_by: Option<Decider>,
    },
    /// A push of the call is at the push service and not yet on the phone.
    PushWaits {
        on: Places,
        call: String,
    },
    /// The phone has decided on the newest push of the call to be silent, whether it rings for it or not.
    Ignored {
        on: Places,
        call: String,
        because: Silence,
    },
    /// The phone rang and does not any more.
    Stopped {
        on: Places,
        call: String,
        #[serde(deserialize_with = "stop_reason")]
        because: StopReason,
    },
    InCall {
        on: String,
        call: String,
    },
    /// Where the server has the call.
    Call {
        call: String,
        is: CallIs,
        /// Why the queue has it again; left out: it does not.
        #[serde(default)]
        back: Option<GivenBack>,
    },
    /// What the agent is told on a phone, beside all else.
    Told {
        on: Places,
        #[serde(deserialize_with = "stated")]
        says: Option<String>,
    },
    /// A tap that was not applied, and what the agent is told.
    Superseded {
        on: String,
        says: String,
    },
    /// How often the agent's phones have asked for fresh tokens since the scenario began.
    Refreshes {
        #[serde(rename = "as", default = "alice")]
        who: String,
        exactly: u64,
    },
    /// Where the agent is signed in, as a phone shows it.
    SignedInAt {
        on: Places,
        are: Vec<String>,
    },
    /// How the phone hears the server.
    Link {
        on: Places,
        is: hookswitch::machine::view::Link,
    },
}

/// Why a ring ended, as one word: `answered_here`, `declined_here`, or a reason for silence.
fn stop_reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StopReason, D::Error> {
    Ok(match String::deserialize(deserializer)?.as_str() {
        "answered_here" => StopReason::AnsweredHere,
        "declined_here" => StopReason::DeclinedHere,
        reason => StopReason::Silenced { reason: Silence::deserialize(StrDeserializer::<D::Error>::new(reason))? },
    })
}

/// Who kept a phone silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decider {
    Server,
    Phone,
}

/// Where the server has a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CallIs {
    /// The agent's apps are told to ring.
    Ringing,
    /// At the number, and 1 was not pressed.
    Offered,
    /// At the number, and 1 was pressed.
    AtTheNumber,
    /// The agent has answered it in an app.
    Answered,
    /// Over for this agent.
    Ended,
}

/// Whether somebody is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionIs {
    SignedIn,
    SignedOut,
    SigningIn,
    ReauthRequired,
    /// Signed in, and the server cannot be reached.
    Offline,
}

fn alice() -> String {
    "alice@acme.example".into()
}
