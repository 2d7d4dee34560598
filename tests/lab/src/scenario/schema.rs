//! What a scenario may say. Each type here is a shape of JSON; unknown fields are mistakes.

use std::fmt;

use hookswitch::{
    machine::{Silence, StopReason},
    wire::{Availability, CodeBy, Effective, SignedOutReason},
};
use hookswitch_backend::{AgentSeed, Fault, GivenBack, LegNews, Point};
use serde::{Deserialize, Deserializer, Serialize, de::value::StrDeserializer};

use crate::{
    app::protocol::{availability, stated},
    browser::Method,
};

/// A story that a person can read aloud, and that is played step by step.
#[derive(Debug)]
pub struct Scenario {
    /// What its file is called, without the ending.
    pub name: String,
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
        #[serde(deserialize_with = "place")]
        on: String,
        #[serde(rename = "as", default = "alice", deserialize_with = "person")]
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
        #[serde(deserialize_with = "phone")]
        on: String,
    },
    /// The browser that was minimised is used after all.
    FinishSignIn {
        #[serde(deserialize_with = "phone")]
        on: String,
        #[serde(rename = "as", default = "alice", deserialize_with = "person")]
        who: String,
        #[serde(default)]
        fails: Option<String>,
    },
    /// A redirect that the phone did not ask for.
    OpenRedirect {
        #[serde(deserialize_with = "phone")]
        on: String,
        address: String,
        #[serde(default)]
        fails: Option<String>,
    },
    /// A page is opened in the browser, without signing in.
    Open {
        #[serde(deserialize_with = "place")]
        on: String,
    },
    SignOut {
        #[serde(deserialize_with = "place")]
        on: String,
    },
    /// All sessions of the agent end, on all devices.
    SignOutEverywhere {
        #[serde(deserialize_with = "phone")]
        on: String,
        #[serde(default)]
        fails: Option<String>,
    },
    Availability {
        #[serde(deserialize_with = "place")]
        on: String,
        #[serde(deserialize_with = "availability::deserialize")]
        to: Availability,
        #[serde(default)]
        fails: Option<String>,
    },
    /// Forwarding to a number; `null` turns it off.
    Forward {
        #[serde(deserialize_with = "place")]
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
        #[serde(deserialize_with = "phone")]
        on: String,
        to: String,
        #[serde(default = "sms")]
        by: CodeBy,
        #[serde(default)]
        fails: Option<String>,
    },
    /// The code is read there, and typed on the phone.
    EnterCode {
        #[serde(deserialize_with = "phone")]
        on: String,
        to: String,
        #[serde(default)]
        code: Code,
        #[serde(default)]
        fails: Option<String>,
    },
    /// One session of the agent is ended from a phone.
    EndSession {
        #[serde(deserialize_with = "phone")]
        on: String,
        /// A phone, or `browser` or `desktop`.
        of: String,
        #[serde(default)]
        fails: Option<String>,
    },
    /// An administrator takes a phone off an agent's list of devices.
    RemoveDevice {
        #[serde(deserialize_with = "phone")]
        device: String,
        #[serde(rename = "as", default = "alice", deserialize_with = "person")]
        who: String,
    },
    /// A tap that nobody waits for.
    Tap {
        #[serde(deserialize_with = "phone")]
        on: String,
        #[serde(deserialize_with = "availability::deserialize")]
        to: Availability,
    },
    IncomingCall {
        call: String,
        #[serde(rename = "as", default = "alice", deserialize_with = "person")]
        who: String,
        #[serde(default)]
        from: Option<String>,
        #[serde(default)]
        name: Option<String>,
    },
    Answer {
        #[serde(deserialize_with = "place")]
        on: String,
        call: String,
        #[serde(default)]
        fails: Option<String>,
    },
    Decline {
        #[serde(deserialize_with = "phone")]
        on: String,
        call: String,
    },
    HangUp {
        #[serde(deserialize_with = "party")]
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
        #[serde(deserialize_with = "phone")]
        on: String,
        call: String,
    },
    /// The push service is slow: it keeps what comes for this phone (`true`), or delivers all that it has kept.
    HoldPushes {
        #[serde(deserialize_with = "phone")]
        on: String,
        is: bool,
    },
    Network {
        #[serde(deserialize_with = "phone")]
        on: String,
        up: bool,
    },
    Kill {
        #[serde(deserialize_with = "phone")]
        on: String,
    },
    Start {
        #[serde(deserialize_with = "phone")]
        on: String,
    },
    Foreground {
        #[serde(deserialize_with = "phone")]
        on: String,
    },
    Background {
        #[serde(deserialize_with = "phone")]
        on: String,
    },
    /// The phone's wall clock is set, relative to the right time.
    Clock {
        #[serde(deserialize_with = "phone")]
        on: String,
        ahead_seconds: i64,
    },
    Wait {
        seconds: u32,
    },
    /// The server forgets the phone's access token.
    ExpireToken {
        #[serde(deserialize_with = "phone")]
        on: String,
        #[serde(rename = "as", default = "alice", deserialize_with = "person")]
        who: String,
    },
    Repair {
        #[serde(deserialize_with = "phone")]
        on: String,
    },
    /// An administrator ends all sessions of an agent.
    Revoke {
        #[serde(rename = "as", default = "alice", deserialize_with = "person")]
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
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
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
        #[serde(deserialize_with = "places")]
        on: Places,
        is: SessionIs,
        /// For phones: what the agent is told.
        #[serde(default)]
        says: Option<String>,
    },
    /// Which page the browser stands on.
    Page {
        #[serde(deserialize_with = "place")]
        on: String,
        is: String,
    },
    Availability {
        #[serde(deserialize_with = "places")]
        on: Places,
        #[serde(deserialize_with = "availability::deserialize")]
        is: Availability,
    },
    Effective {
        #[serde(deserialize_with = "places")]
        on: Places,
        is: Effective,
    },
    /// Forwarding to this number; `null`: off.
    Forwarding {
        #[serde(deserialize_with = "places")]
        on: Places,
        #[serde(deserialize_with = "stated")]
        is: Option<String>,
    },
    /// A phone says that calls go elsewhere; `null`: it does not.
    Banner {
        #[serde(deserialize_with = "phones")]
        on: Places,
        #[serde(deserialize_with = "stated")]
        is: Option<String>,
    },
    /// The phone makes a sound.
    Rings {
        #[serde(deserialize_with = "phones")]
        on: Places,
        call: String,
    },
    /// The phone is silent for this call, because of the server (no push) or of its own decision.
    Silent {
        #[serde(deserialize_with = "phones")]
        on: Places,
        call: String,
        because: Silence,
        /// `server`: no push was sent; `phone`: the phone decided on a push.
        #[serde(default)]
        decided_by: Option<Decider>,
    },
    /// A push of the call is at the push service and not yet on the phone.
    PushWaits {
        #[serde(deserialize_with = "phones")]
        on: Places,
        call: String,
    },
    /// The phone has decided on the newest push of the call to be silent, whether it rings for it or not.
    Ignored {
        #[serde(deserialize_with = "phones")]
        on: Places,
        call: String,
        because: Silence,
    },
    /// The phone rang and does not any more.
    Stopped {
        #[serde(deserialize_with = "phones")]
        on: Places,
        call: String,
        #[serde(deserialize_with = "stop_reason")]
        because: StopReason,
    },
    InCall {
        #[serde(deserialize_with = "phone")]
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
        #[serde(deserialize_with = "phones")]
        on: Places,
        #[serde(deserialize_with = "stated")]
        says: Option<String>,
    },
    /// A tap that was not applied, and what the agent is told.
    Superseded {
        #[serde(deserialize_with = "phone")]
        on: String,
        says: String,
    },
    /// How often the agent's phones have asked for fresh tokens since the scenario began.
    Refreshes {
        #[serde(rename = "as", default = "alice", deserialize_with = "person")]
        who: String,
        exactly: u64,
    },
    /// Where the agent is signed in, as a phone shows it.
    SignedInAt {
        #[serde(deserialize_with = "phones")]
        on: Places,
        are: Vec<String>,
    },
    /// How the phone hears the server.
    Link {
        #[serde(deserialize_with = "phones")]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

const PHONES: &[&str] = &["iphone", "android"];
const PAGES: &[&str] = &["web", "dashboard", "zendesk", "salesforce", "hubspot", "desktop"];
const CALLER: &[&str] = &["caller"];

/// A name that is one of these, or a mistake that says which there are.
fn one_of<E: serde::de::Error>(name: String, known: &[&[&str]]) -> Result<String, E> {
    if known.iter().any(|names| names.contains(&name.as_str())) {
        return Ok(name);
    }
    Err(E::custom(format!("“{name}” is none of these: {}", known.concat().join(", "))))
}

fn phone<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    one_of(String::deserialize(from)?, &[PHONES])
}

fn place<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    one_of(String::deserialize(from)?, &[PHONES, PAGES])
}

/// Who can hang up.
fn party<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    one_of(String::deserialize(from)?, &[PHONES, PAGES, CALLER])
}

fn phones<'de, D: Deserializer<'de>>(from: D) -> Result<Places, D::Error> {
    all_of(Places::deserialize(from)?, &[PHONES])
}

fn places<'de, D: Deserializer<'de>>(from: D) -> Result<Places, D::Error> {
    all_of(Places::deserialize(from)?, &[PHONES, PAGES])
}

fn all_of<E: serde::de::Error>(places: Places, known: &[&[&str]]) -> Result<Places, E> {
    places.iter().try_for_each(|place| one_of(place.clone(), known).map(drop))?;
    Ok(places)
}

fn person<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let everybody: Vec<String> = AgentSeed::demo().into_iter().map(|agent| agent.email).collect();
    if everybody.contains(&name) {
        return Ok(name);
    }
    Err(serde::de::Error::custom(format!("“{name}” is none of the demo accounts: {}", everybody.join(", "))))
}
