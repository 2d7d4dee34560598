//! What the lab and the app on a phone say to each other: one JSON object a line, when the app is a process of its own.
//!
//! What the app shows, decides and logs are the core's own types, in their serde form. For whoever writes such an app:
//! `tests/scenarios/PHONES.md`. Its examples are read by a test here.

use hookswitch::{
    machine::{AppState, Failure, view::StoppedCall},
    wire::{Availability, CallId, CallPush, CodeBy, DeviceId, Platform, SessionId, UnixMillis},
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// A line of the lab's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    /// The number that its answer repeats; each is used once.
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
    /// Answered with a [`hookswitch::machine::view::RingDecision`].
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
    /// Answered with a list of [`hookswitch::machine::view::RingLogEntry`].
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
    /// To the question with this number.
    Answer { id: u64, answer: Result<Value, Failure> },
    /// What the app would show, whenever that changes.
    Shown(Box<AppState>),
    /// A call must stop ringing.
    Stopped(StoppedCall),
}

#[derive(Serialize, Deserialize)]
struct Failed {
    id: u64,
    #[serde(flatten)]
    failure: Failure,
}

impl Said {
    /// Reads a line.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Answered {
            id: u64,
            ok: Value,
        }
        let mut value: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
        let unasked = |name: &str, value: &mut Value| value.get_mut(name).map(Value::take);
        if let Some(shown) = unasked("shown", &mut value) {
            return whole(&shown).map(|shown| Self::Shown(Box::new(shown))).map_err(|error| format!("shown: {error}"));
        }
        if let Some(stopped) = unasked("stopped", &mut value) {
            return whole(&stopped).map(Self::Stopped).map_err(|error| format!("stopped: {error}"));
        }
        if value.get("failure").is_some() {
            let Failed { id, failure } = serde_json::from_value(value).map_err(|error| format!("failure: {error}"))?;
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
            Self::Answer { id, answer: Err(failure) } => json!(Failed { id: *id, failure: failure.clone() }),
            Self::Shown(shown) => json!({"shown": shown}),
            Self::Stopped(stopped) => json!({"stopped": stopped}),
        }
        .to_string()
    }
}

/// Reads a value that says everything: a field that somebody forgot would read as `null` otherwise.
fn whole<T: Serialize + DeserializeOwned>(said: &Value) -> Result<T, String> {
    fn lacks(said: &Value, whole: &Value) -> Option<String> {
        match (said, whole) {
            (Value::Object(said), Value::Object(whole)) => whole
                .iter()
                .find_map(|(name, value)| said.get(name).map_or(Some(name.clone()), |said| lacks(said, value))),
            (Value::Array(said), Value::Array(whole)) => {
                said.iter().zip(whole).find_map(|(said, whole)| lacks(said, whole))
            }
            _ => None,
        }
    }
    let value: T = T::deserialize(said).map_err(|error| error.to_string())?;
    let again = serde_json::to_value(&value).map_err(|error| error.to_string())?;
    lacks(said, &again).map_or(Ok(value), |field| Err(format!("missing field `{field}`")))
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
            Availability::Unknown => serializer.serialize_str("unknown"),
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
                    .ok()
                    .filter(|reason| *reason != UnavailableReason::Unknown)
                    .ok_or_else(|| {
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use hookswitch::machine::{
        CallAction, Silence,
        view::{RingDecision, RingLogEntry, SessionState},
    };

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
    fn read_answer(ask: &Ask, ok: &Value) -> Result<Value, String> {
        fn again<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, String> {
            serde_json::to_value(whole::<T>(value)?).map_err(|error| error.to_string())
        }
        match ask {
            Ask::Open(_) => again::<Opened>(ok),
            Ask::Decide { .. } => again::<RingDecision>(ok),
            Ask::RingLog => again::<Vec<RingLogEntry>>(ok),
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
                let again = read_answer(ask, &ok).unwrap_or_else(|error| panic!("{line}: {error}"));
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
        assert_eq!(shown(|example| &example["shown"]["session"]["kind"]), variants::<SessionState>("kind"));
    }

    #[test]
    fn the_page_has_a_word_for_every_value() {
        let silences = Silence::ALL.map(|reason| serde_json::to_value(reason).unwrap());
        let actions =
            [CallAction::ReportIncomingCall, CallAction::ReportThenEnd, CallAction::AddCall, CallAction::Nothing]
                .map(|action| serde_json::to_value(action).unwrap());
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
            (r#"{"id": 1, "failure": "offline"}"#, "missing field `why`"),
            (r#"{"id": 1, "failure": "Offline", "why": "x"}"#, "Offline"),
            (r#"{"shown": {"session": {"kind": "asleep"}}}"#, "asleep"),
            (
                r#"{"shown": {"session": {"kind": "loading"}, "link": "off", "calls": {"ringing": [], "in_call": null}}}"#,
                "`presence`",
            ),
            (
                r#"{"shown": {"session": {"kind": "loading"}, "presence": null, "link": "off", "calls": {"ringing": []}}}"#,
                "`in_call`",
            ),
            (r#"{"stopped": {"call_id": "1", "why": {"kind": "bored"}}}"#, "bored"),
        ] {
            let complaint = Said::parse(line).unwrap_err();
            assert!(complaint.contains(word), "{line}: {complaint}");
        }
    }
}
