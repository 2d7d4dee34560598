//! What the lab and the app on a phone say to each other: one JSON object a line, when the app is a process of its own.
//!
//! For whoever writes such an app: `tests/scenarios/PHONES.md`. Its examples are read by a test here.

use hookswitch::{
    StoppedCall,
    machine::{
        AppState, CallAction, Choice, Decision, Failure, RingRecord, Silence, StopReason, Verdict,
        ring::Identity,
        view::{Link, PresenceState, SessionHealth, SessionState},
    },
    wire::{
        Availability, CallId, CallPush, CannotRing, CodeBy, DeviceId, Effective, Platform, SessionId, SignInKind,
        Snapshot, UnixMillis,
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

/// A line of the lab's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    /// Used once.
    pub(crate) id: u64,
    #[serde(flatten)]
    pub(crate) ask: Ask,
}

/// What the lab asks of an app.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// Once, and first. Answered with [`Opened`].
    Open(Open),
    /// Answered with the address for the system browser.
    BeginLogin {
        redirect_uri: String,
    },
    FinishLogin {
        redirect: String,
    },
    CancelLogin,
    SignOut,
    SignOutEverywhere,
    /// Answered with what was done, a list of texts.
    Repair,
    SetAvailability {
        #[serde(with = "availability")]
        to: Availability,
    },
    /// A number as somebody typed it; `None`: off.
    SetForwarding {
        #[serde(deserialize_with = "stated")]
        to: Option<String>,
        /// When it ends by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<UnixMillis>,
    },
    SendCode {
        to: String,
        by: CodeBy,
    },
    VerifyNumber {
        to: String,
        code: String,
    },
    EndSession {
        session: SessionId,
    },
    Answer {
        call_id: CallId,
    },
    Decline {
        call_id: CallId,
    },
    HangUp {
        call_id: CallId,
    },
    /// Answered with [`Decided`].
    Decide {
        push: CallPush,
        must_report: bool,
    },
    SetPushToken {
        #[serde(deserialize_with = "stated")]
        token: Option<String>,
    },
    Foreground,
    Background,
    Unlocked,
    Network {
        up: bool,
    },
    Clock(Clocks),
    /// Answered once all is in the vault.
    Saved,
    /// Answered with a list of [`Entry`].
    RingLog,
    /// Answered with a text.
    Transcript,
}

impl Ask {
    /// As the line says it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::BeginLogin { .. } => "begin_login",
            Self::FinishLogin { .. } => "finish_login",
            Self::CancelLogin => "cancel_login",
            Self::SignOut => "sign_out",
            Self::SignOutEverywhere => "sign_out_everywhere",
            Self::Repair => "repair",
            Self::SetAvailability { .. } => "set_availability",
            Self::SetForwarding { .. } => "set_forwarding",
            Self::SendCode { .. } => "send_code",
            Self::VerifyNumber { .. } => "verify_number",
            Self::EndSession { .. } => "end_session",
            Self::Answer { .. } => "answer",
            Self::Decline { .. } => "decline",
            Self::HangUp { .. } => "hang_up",
            Self::Decide { .. } => "decide",
            Self::SetPushToken { .. } => "set_push_token",
            Self::Foreground => "foreground",
            Self::Background => "background",
            Self::Unlocked => "unlocked",
            Self::Network { .. } => "network",
            Self::Clock(_) => "clock",
            Self::Saved => "saved",
            Self::RingLog => "ring_log",
            Self::Transcript => "transcript",
        }
    }
}

/// What phone to be, and where its cable and its clocks are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Open {
    #[serde(flatten)]
    pub(crate) config: AppConfig,
    /// An HTTP forward proxy on loopback.
    pub(crate) proxy: String,
    pub(crate) clock: Clocks,
}

/// What the app says to its core about itself. The issuer's profile is "unknown".
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AppConfig {
    pub(crate) issuer: String,
    pub(crate) server: String,
    pub(crate) client_id: String,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) device_name: String,
    pub(crate) platform: Platform,
    pub(crate) app_version: String,
    pub(crate) folder: std::path::PathBuf,
    pub(crate) process: String,
}

/// What a phone's clocks show at this moment; they go on from there. In milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clocks {
    /// Unix time, or whatever somebody set it to.
    pub(crate) wall: UnixMillis,
    /// Counts while the device sleeps, and never goes back.
    pub(crate) mono: u64,
}

/// The answer to [`Ask::Open`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// The core's name for this installation.
    pub(crate) device: DeviceId,
}

// ---- what the app says -----------------------------------------------------------------------------------------

/// A line of the app's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    /// To the question with this number; a failure has one of the six names of [`Failure`].
    Answer { id: u64, answer: Result<Value, Failure> },
    /// What the app would show, whenever that changes.
    Shown(Box<Shown>),
    /// A call must stop ringing.
    Stopped(StopsRinging),
}

impl Said {
    /// Reads a line.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Failed {
            id: u64,
            failure: String,
            why: String,
        }
        #[derive(Deserialize)]
        struct Answered {
            id: u64,
            ok: Value,
        }
        let mut value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
        let unasked = |name: &str, value: &mut Value| value.get_mut(name).map(Value::take);
        if let Some(shown) = unasked("shown", &mut value) {
            return Ok(Self::Shown(serde_json::from_value(shown).map_err(|error| format!("shown: {error}"))?));
        }
        if let Some(stopped) = unasked("stopped", &mut value) {
            return Ok(Self::Stopped(serde_json::from_value(stopped).map_err(|error| format!("stopped: {error}"))?));
        }
        if value.get("failure").is_some() {
            let Failed { id, failure, why } =
                serde_json::from_value(value).map_err(|error| format!("failure: {error}"))?;
            let failure = match failure.as_str() {
                "Reauthenticate" => Failure::Reauthenticate { why },
                "Offline" => Failure::Offline { why },
                "Forbidden" => Failure::Forbidden { why },
                "Storage" => Failure::Storage { why },
                "Cancelled" => Failure::Cancelled { why },
                "Internal" => Failure::Internal { why },
                other => return Err(format!("failure: no name of a failure: {other:?}")),
            };
            return Ok(Self::Answer { id, answer: Err(failure) });
        }
        let Answered { id, ok } = serde_json::from_value(value)
            .map_err(|error| format!("neither shown, stopped, failure nor an answer: {error}"))?;
        Ok(Self::Answer { id, answer: Ok(ok) })
    }

    /// As a line, without its end.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Answer { id, answer: Ok(ok) } => json!({"id": id, "ok": ok}),
            Self::Answer { id, answer: Err(failure) } => {
                let name = match failure {
                    Failure::Reauthenticate { .. } => "Reauthenticate",
                    Failure::Offline { .. } => "Offline",
                    Failure::Forbidden { .. } => "Forbidden",
                    Failure::Storage { .. } => "Storage",
                    Failure::Cancelled { .. } => "Cancelled",
                    Failure::Internal { .. } => "Internal",
                };
                json!({"id": id, "failure": name, "why": failure.why()})
            }
            Self::Shown(shown) => json!({"shown": shown}),
            Self::Stopped(stopped) => json!({"stopped": stopped}),
        }
        .to_string()
    }
}

/// What an app shows, as far as scenarios look at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) session: SessionShown,
    #[serde(deserialize_with = "stated")]
    pub(crate) presence: Option<PresenceShown>,
    pub(crate) link: Link,
    /// Calls that ring on this phone.
    pub(crate) ringing: Vec<CallId>,
    /// The call that this phone is in, or is answering.
    #[serde(deserialize_with = "stated")]
    pub(crate) in_call: Option<CallId>,
}

/// The session. Messages are the core's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum SessionShown {
    Loading,
    Locked,
    SignedOut {
        #[serde(deserialize_with = "stated")]
        message: Option<String>,
    },
    SigningIn {
        /// The browser has come back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        completing: bool,
    },
    SignedIn {
        status: SessionHealth,
        #[serde(deserialize_with = "stated")]
        name: Option<String>,
        #[serde(deserialize_with = "stated")]
        email: Option<String>,
    },
    ReauthRequired {
        message: String,
        #[serde(deserialize_with = "stated")]
        email: Option<String>,
    },
    SigningOut,
}

/// The agent's presence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PresenceShown {
    #[serde(flatten)]
    pub(crate) state: StateShown,
    /// The number in the banner.
    #[serde(deserialize_with = "stated")]
    pub(crate) banner: Option<String>,
    /// What the agent chose and the server has not confirmed.
    pub(crate) pending: Vec<ChoiceKind>,
    /// What the agent is told of a choice that was not applied.
    #[serde(deserialize_with = "stated")]
    pub(crate) superseded: Option<String>,
    /// The agent's phones.
    pub(crate) devices: Vec<DeviceShown>,
    /// Where the agent is signed in, oldest first.
    pub(crate) signed_in_at: Vec<SessionOnList>,
}

/// What phones and browsers show alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StateShown {
    pub(crate) version: String,
    #[serde(with = "availability")]
    pub(crate) availability: Availability,
    pub(crate) effective: Effective,
    #[serde(deserialize_with = "stated")]
    pub(crate) forwarding: Option<String>,
}

/// What a choice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChoiceKind {
    Availability,
    Forwarding,
}

/// One of the agent's phones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceShown {
    pub(crate) id: DeviceId,
    /// Why no call is pushed to it.
    #[serde(deserialize_with = "stated")]
    pub(crate) cannot_ring: Option<CannotRing>,
}

/// A place where the agent is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionOnList {
    pub(crate) session: SessionId,
    pub(crate) kind: SignInKind,
    /// Which of the phones.
    #[serde(deserialize_with = "stated")]
    pub(crate) device: Option<DeviceId>,
}

/// A call must stop ringing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StopsRinging {
    pub(crate) call_id: CallId,
    pub(crate) because: StoppedBecause,
}

/// A decision on a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Decided {
    /// Why the phone is silent; `None`: it rings.
    #[serde(deserialize_with = "stated")]
    pub(crate) because: Option<Silence>,
    /// What the call UI must do.
    #[serde(flatten)]
    pub(crate) action: CallAction,
    /// One sentence for a person.
    pub(crate) explanation: String,
}

impl Decided {
    /// What the call UI of such a phone must do about it. (In the lab every push must be reported.)
    pub(crate) const fn action_on(&self, platform: Platform) -> CallAction {
        let verdict = match self.because {
            None => Verdict::Ring { until: UnixMillis(0), verify: false },
            Some(reason) => Verdict::Silence { reason },
        };
        CallAction::of(verdict, platform, true)
    }
}

/// A line of the ring log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Entry {
    Decided {
        call_id: CallId,
        at: UnixMillis,
        #[serde(flatten)]
        decided: Decided,
        /// What the rule looked at, in the order in which it looks; for the lab's page.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        inputs: Vec<(String, String)>,
    },
    Stopped {
        call_id: CallId,
        at: UnixMillis,
        because: StoppedBecause,
    },
}

/// Why a phone stopped ringing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoppedBecause {
    AnsweredHere,
    DeclinedHere,
    Silence(Silence),
}

impl StoppedBecause {
    /// Half a sentence for a person.
    pub(crate) fn explain(self) -> &'static str {
        match self {
            Self::AnsweredHere => "it was answered here.",
            Self::DeclinedHere => "it was declined here.",
            Self::Silence(reason) => reason.explain().trim_start_matches("Silent: "),
        }
    }
}

impl Serialize for StoppedBecause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AnsweredHere => serializer.serialize_str("answered_here"),
            Self::DeclinedHere => serializer.serialize_str("declined_here"),
            Self::Silence(reason) => reason.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for StoppedBecause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "answered_here" => Self::AnsweredHere,
            "declined_here" => Self::DeclinedHere,
            other => Self::Silence(Silence::deserialize(de::value::StrDeserializer::<D::Error>::new(other))?),
        })
    }
}

/// A value or `null`. Without this, a field that somebody forgot would read as `null`.
pub(crate) fn stated<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// An availability as one word: `available`, `automatic`, or one of the reasons.
pub(crate) mod availability {
    use hookswitch::wire::{Availability, UnavailableReason};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(availability: &Availability, serializer: S) -> Result<S::Ok, S::Error> {
        match availability {
            Availability::Available => serializer.serialize_str("available"),
            Availability::Automatic => serializer.serialize_str("automatic"),
            Availability::Unavailable { reason } => reason.serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Availability, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "available" => Availability::Available,
            "automatic" => Availability::Automatic,
            reason => {
                let reason = UnavailableReason::deserialize(de::value::StrDeserializer::<D::Error>::new(reason))
                    .map_err(|_| {
                        de::Error::custom(format!(
                            "{reason:?} is no availability: available, automatic, other, back_office, in_training, \
                             on_a_break or out_for_lunch"
                        ))
                    })?;
                Availability::Unavailable { reason }
            }
        })
    }
}

// ---- from the core's values ------------------------------------------------------------------------------------

impl From<AppState> for Shown {
    fn from(view: AppState) -> Self {
        let session = match view.session {
            SessionState::Loading => SessionShown::Loading,
            SessionState::Locked => SessionShown::Locked,
            SessionState::SignedOut { why } => SessionShown::SignedOut { message: why.explain().map(str::to_owned) },
            SessionState::SigningIn { completing } => SessionShown::SigningIn { completing },
            SessionState::SignedIn { agent, status, token_expires_at: _ } => {
                SessionShown::SignedIn { status, name: agent.name, email: agent.email }
            }
            SessionState::ReauthRequired { agent, reason } => {
                SessionShown::ReauthRequired { message: reason.explain().to_owned(), email: agent.email }
            }
            SessionState::SigningOut => SessionShown::SigningOut,
        };
        Self {
            session,
            presence: view.presence.map(PresenceShown::from),
            link: view.link,
            ringing: view.ringing.into_iter().map(|call| call.call_id).collect(),
            in_call: view.in_call.map(|call| call.call_id),
        }
    }
}

impl From<PresenceState> for PresenceShown {
    fn from(presence: PresenceState) -> Self {
        let choice = |choice: &Choice| match choice {
            Choice::Availability { .. } => ChoiceKind::Availability,
            Choice::Forwarding { .. } => ChoiceKind::Forwarding,
        };
        let devices = &presence.confirmed.devices;
        Self {
            state: StateShown::from(&*presence.confirmed),
            banner: presence.banner.map(|banner| banner.number.to_string()),
            pending: presence.pending.iter().map(choice).collect(),
            superseded: presence.superseded.map(|superseded| superseded.why),
            devices: devices
                .iter()
                .map(|device| DeviceShown { id: device.id.clone(), cannot_ring: device.cannot_ring })
                .collect(),
            signed_in_at: presence
                .confirmed
                .sessions
                .iter()
                .map(|it| SessionOnList { session: it.id.clone(), kind: it.kind, device: it.device.clone() })
                .collect(),
        }
    }
}

impl From<&Snapshot> for StateShown {
    fn from(state: &Snapshot) -> Self {
        let presence = &state.presence;
        Self {
            version: state.version.to_string(),
            availability: presence.availability,
            effective: presence.effective,
            forwarding: presence.forwarding.number.as_ref().map(ToString::to_string),
        }
    }
}

impl From<StopReason> for StoppedBecause {
    fn from(why: StopReason) -> Self {
        match why {
            StopReason::AnsweredHere => Self::AnsweredHere,
            StopReason::DeclinedHere => Self::DeclinedHere,
            StopReason::Silenced { reason } => Self::Silence(reason),
        }
    }
}

impl From<StoppedCall> for StopsRinging {
    fn from(stop: StoppedCall) -> Self {
        Self { call_id: stop.call_id, because: stop.why.into() }
    }
}

impl From<&Decision> for Decided {
    fn from(decision: &Decision) -> Self {
        let because = match decision.verdict {
            Verdict::Ring { .. } => None,
            Verdict::Silence { reason } => Some(reason),
        };
        Self { because, action: decision.action, explanation: decision.explain() }
    }
}

impl From<RingRecord> for Entry {
    fn from(entry: RingRecord) -> Self {
        match entry {
            RingRecord::Decided(decision) => Self::Decided {
                call_id: decision.push.call_id.clone(),
                at: decision.at,
                decided: Decided::from(&*decision),
                inputs: inputs(&decision),
            },
            RingRecord::Stopped { call_id, why, at } => Self::Stopped { call_id, at, because: why.into() },
        }
    }
}

fn inputs(decision: &Decision) -> Vec<(String, String)> {
    let Decision { push, facts, .. } = decision;
    let on = |on: bool| if on { "on" } else { "off" };
    let identity = match &facts.identity {
        Identity::SignedIn { account } if *account == push.account => "signed in, it is this agent's call".to_owned(),
        Identity::SignedIn { .. } => "signed in as somebody else".to_owned(),
        Identity::SignedOut => "nobody is signed in".to_owned(),
        Identity::Unknown => "not known yet".to_owned(),
    };
    let knows = facts.routing.map_or("nothing".to_owned(), |routing| {
        format!("forwarding {} at {}", on(routing.forwarding_on), routing.version)
    });
    let newer = match facts.routing {
        Some(routing) if routing.version >= push.routing => "the phone knows the newer state",
        Some(_) | None => "the push knows the newer state",
    };
    let server_time = facts.server_now.map_or("not heard yet".to_owned(), |now| {
        let left = push.expires_at.since(now) / 1_000;
        if left > 0 { format!("{left} s left to ring") } else { format!("{} s too late", -left) }
    });
    [
        ("agent", identity),
        ("call", format!("{:?}", facts.call).to_lowercase()),
        ("push says", format!("forwarding {} at {}", on(push.forwarding_on), push.routing)),
        ("phone knows", knows),
        ("believed", newer.to_owned()),
        ("other call", if facts.busy { "yes" } else { "no" }.to_owned()),
        ("server time", server_time),
    ]
    .map(|(label, value)| (label.to_owned(), value))
    .into()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const PAGE: &str = include_str!("../../../scenarios/PHONES.md");

    fn examples() -> impl Iterator<Item = &'static str> {
        PAGE.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("json\n")).flat_map(str::lines)
    }

    fn json(line: &str) -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// What serde knows of a type's variants.
    fn variants<T: for<'de> Deserialize<'de>>(tag: &str) -> BTreeSet<String> {
        let error = serde_json::from_value::<T>(json!({tag: "nothing"})).err().unwrap().to_string();
        let names = error.split("expected one of").nth(1).unwrap();
        names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// As the lab reads the answer to such a question, and writes it again.
    fn read_answer(ask: &Ask, ok: Value) -> serde_json::Result<Value> {
        fn again<T: for<'de> Deserialize<'de> + Serialize>(value: Value) -> serde_json::Result<Value> {
            serde_json::to_value(serde_json::from_value::<T>(value)?)
        }
        match ask {
            Ask::Open(_) => again::<Opened>(ok),
            Ask::Decide { .. } => again::<Decided>(ok),
            Ask::RingLog => again::<Vec<Entry>>(ok),
            Ask::Repair => again::<Vec<String>>(ok),
            Ask::BeginLogin { .. } | Ask::Transcript => again::<String>(ok),
            Ask::FinishLogin { .. }
            | Ask::CancelLogin
            | Ask::SignOut
            | Ask::SignOutEverywhere
            | Ask::SetAvailability { .. }
            | Ask::SetForwarding { .. }
            | Ask::SendCode { .. }
            | Ask::VerifyNumber { .. }
            | Ask::EndSession { .. }
            | Ask::Answer { .. }
            | Ask::Decline { .. }
            | Ask::HangUp { .. }
            | Ask::SetPushToken { .. }
            | Ask::Foreground
            | Ask::Background
            | Ask::Unlocked
            | Ask::Network { .. }
            | Ask::Clock(_)
            | Ask::Saved => again::<()>(ok),
        }
    }

    #[test]
    fn every_example_of_the_page_is_read_and_written_as_it_stands_there() {
        let mut asked: BTreeMap<u64, Ask> = BTreeMap::new();
        for line in examples() {
            let example = json(line);
            if example.get("do").is_some() {
                let question: Question = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
                assert_eq!(json(&serde_json::to_string(&question).unwrap()), example, "{line}");
                assert_eq!(example["do"], question.ask.name());
                asked.insert(question.id, question.ask);
                continue;
            }
            let said = Said::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(json(&said.line()), example, "{line}");
            if let Said::Answer { id, answer: Ok(ok) } = said {
                let ask = asked.get(&id).unwrap_or_else(|| panic!("{line}: no question with this number"));
                let again = read_answer(ask, ok.clone()).unwrap_or_else(|error| panic!("{line}: {error}"));
                assert_eq!(again, ok, "{line}");
            }
        }
    }

    #[test]
    fn the_page_has_an_example_of_every_question_and_of_every_session() {
        let shown = |field: fn(&Value) -> &Value| -> BTreeSet<String> {
            examples().filter_map(|line| field(&json(line)).as_str().map(str::to_owned)).collect()
        };
        assert_eq!(shown(|example| &example["do"]), variants::<Ask>("do"));
        assert_eq!(shown(|example| &example["shown"]["session"]["is"]), variants::<SessionShown>("is"));
    }

    #[test]
    fn the_page_has_a_word_for_every_value() {
        let silences = Silence::ALL.map(|reason| serde_json::to_value(reason).unwrap());
        let actions =
            [CallAction::ReportIncomingCall, CallAction::ReportThenEnd, CallAction::AddCall, CallAction::Nothing]
                .map(|action| serde_json::to_value(action).unwrap()["action"].take());
        for word in silences.iter().chain(&actions) {
            assert!(PAGE.contains(&format!("`{}`", word.as_str().unwrap())), "{word}");
        }
    }

    #[test]
    fn a_line_that_lacks_something_is_named_by_what_it_lacks() {
        for (line, word) in [
            ("hello", "no JSON"),
            ("[]", "neither"),
            ("7", "neither"),
            ("{}", "missing field `id`"),
            (r#"{"id": 1}"#, "missing field `ok`"),
            (r#"{"ok": null}"#, "missing field `id`"),
            (r#"{"id": 1, "failure": "Offline"}"#, "missing field `why`"),
            (r#"{"id": 1, "failure": "offline", "why": "x"}"#, "offline"),
            (r#"{"shown": {"session": {"is": "asleep"}}}"#, "asleep"),
            (
                r#"{"shown": {"session": {"is": "loading"}, "link": "off", "ringing": [], "in_call": null}}"#,
                "`presence`",
            ),
            (
                r#"{"shown": {"session": {"is": "loading"}, "presence": null, "link": "off", "ringing": []}}"#,
                "`in_call`",
            ),
            (r#"{"stopped": {"call_id": "1", "because": "bored"}}"#, "bored"),
        ] {
            let complaint = Said::parse(line).unwrap_err();
            assert!(complaint.contains(word), "{line}: {complaint}");
        }
    }
}
