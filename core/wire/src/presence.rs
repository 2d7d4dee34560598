//! The aggregate that the server owns, one an agent.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{CallId, DeviceId, Surface, UnixMillis, lenient};

/// An agent's availability: one fact, owned by the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// What the agent asked for.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub availability: Availability,
    /// Whether calls go to an external number instead of the agent's apps. A place that this version cannot call is none: the
    /// apps ring, because a missed call is worse than a doubled one.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub forwarding: Forwarding,
    /// Calls that keep the agent busy right now, each with an end of its own, so that nobody stays "in call" for ever.
    #[serde(default, deserialize_with = "lenient::entries")]
    pub call_leases: Vec<CallLease>,
    /// Who asked for this availability; `None` when nobody has yet, or it is not known where.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub chosen: Option<Chosen>,
    /// What colleagues and routing see: computed by the server from all of the above.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub effective: Effective,
}

impl Presence {
    /// The number that a call would go to now. Forwarding takes the place of the apps, so it takes calls only when they
    /// would: an agent who is not available gets none, wherever calls are forwarded to.
    pub fn forwards_to(&self) -> Option<&PhoneNumber> {
        match self.effective {
            // In doubt a call goes there, as in doubt a phone rings.
            Effective::Available | Effective::Unknown => self.forwarding.number.as_ref(),
            Effective::Offline | Effective::DoNotDisturb | Effective::InCall | Effective::AfterCallWork => None,
        }
    }
}

/// Where and when the agent chose something: an availability, or where calls go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The place where the choice was made.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub by: Surface,
    /// When the server carried it out.
    pub at: UnixMillis,
}

/// What the agent asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Availability {
    /// Calls may come at any hour.
    Available,
    /// Calls do not come, neither to the apps nor to a number that they are forwarded to.
    Unavailable {
        /// Shown to colleagues and counted in reports.
        #[serde(default, deserialize_with = "lenient::or_default")]
        reason: UnavailableReason,
    },
    /// Available in the agent's working hours, in the agent's time zone.
    Automatic,
    /// Something that a newer app asked for, and that this version has no word for: shown as that, and never sent.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Availability {
    /// Whether it can be asked for: a word that is not understood is shown and not repeated.
    pub const fn can_be_set(self) -> bool {
        match self {
            Self::Available | Self::Automatic => true,
            Self::Unavailable { reason } => !matches!(reason, UnavailableReason::Unknown),
            Self::Unknown => false,
        }
    }
}

/// Why an agent takes no calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnavailableReason {
    /// A reason that is none of the others, or none that the agent wants to tell.
    Other,
    /// Work without calls: letters, records, bookkeeping.
    BackOffice,
    /// Being trained, or training somebody.
    InTraining,
    /// A short break.
    OnABreak,
    /// The lunch break.
    OutForLunch,
    /// A reason that this version has no word for: shown as unavailable, and never sent.
    #[default]
    #[serde(other)]
    Unknown,
}

impl UnavailableReason {
    /// Every reason that can be chosen, in the order in which an app lists them.
    pub const ALL: [Self; 5] = [Self::Other, Self::BackOffice, Self::InTraining, Self::OnABreak, Self::OutForLunch];
}

/// What colleagues and routing see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effective {
    /// Signed in nowhere while forwarding is off: no call could reach the agent. (With forwarding on, an agent who is signed in
    /// nowhere is [`Effective::Available`] all the same.)
    Offline,
    /// Reachable, and not to be called: by choice, or outside of working hours.
    DoNotDisturb,
    /// The next call may be offered to the agent.
    Available,
    /// On a call that was answered: no other call is offered meanwhile.
    InCall,
    /// After a call, with its follow-up work: no call is offered until the time for it is over or the agent says to be ready.
    AfterCallWork,
    /// A state that this version has no word for. It silences no call: the server knows whom it pushes.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A claim on the agent's attention that ends by itself unless it is renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallLease {
    /// The call that makes the claim.
    pub call_id: CallId,
    /// In the call, or in the work after it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub kind: LeaseKind,
    /// When the claim ends unless it is renewed, by the server's clock.
    pub expires_at: UnixMillis,
}

/// What a [`CallLease`] claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseKind {
    /// The agent is in the call. Renewed by the app that has it; a call that nobody renews is over.
    InCall,
    /// The agent does the work that the call left, such as notes. Never renewed.
    AfterCallWork,
    /// A claim that this version has no word for; the agent's [`Effective`] state says what it means.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Forward-to-device: all calls of the agent go to one external phone number.
///
/// On the wire `{"on": bool, "number": string|null, "rev": number, "until": ms|absent, "own_device": string|absent, "chosen":
/// {"by", "at"}|absent}`; here "on without a number" cannot be said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ForwardingOnTheWire", into = "ForwardingOnTheWire")]
pub struct Forwarding {
    /// Where calls go; `None` when forwarding is off.
    pub number: Option<PhoneNumber>,
    /// The `rev` of the aggregate at which forwarding changed last.
    pub rev: u64,
    /// When the server turns forwarding off by itself; `None`: it does not, or forwarding is off.
    pub until: Option<UnixMillis>,
    /// The device of the agent whose own number this is, as far as the server knows: a call that is forwarded rings there all
    /// the same, as an ordinary one. Worth a warning.
    pub own_device: Option<DeviceId>,
    /// Where and when it was turned on or off; `None` when nobody ever did, or it came to its end by itself.
    pub chosen: Option<Chosen>,
}

impl Forwarding {
    /// Whether calls go to an external number.
    pub const fn is_on(&self) -> bool {
        self.number.is_some()
    }
}

#[derive(Serialize, Deserialize)]
struct ForwardingOnTheWire {
    on: bool,
    #[serde(default, deserialize_with = "lenient::or_default")]
    number: Option<PhoneNumber>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    rev: u64,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    until: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    own_device: Option<DeviceId>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    chosen: Option<Chosen>,
}

impl TryFrom<ForwardingOnTheWire> for Forwarding {
    type Error = &'static str;

    fn try_from(wire: ForwardingOnTheWire) -> Result<Self, Self::Error> {
        let ForwardingOnTheWire { on, number, rev, until, own_device, chosen } = wire;
        match (on, number) {
            (true, None) => Err("forwarding is on without a number"),
            (true, number) => Ok(Self { number, rev, until, own_device, chosen }),
            // A server may remember the last number for the next time; it is not where calls go.
            (false, _) => Ok(Self { rev, chosen, ..Self::default() }),
        }
    }
}

impl From<Forwarding> for ForwardingOnTheWire {
    fn from(forwarding: Forwarding) -> Self {
        let Forwarding { number, rev, until, own_device, chosen } = forwarding;
        Self { on: number.is_some(), number, rev, until, own_device, chosen }
    }
}

/// A phone number in the form of ITU-T E.164: `+`, a country code that does not start with 0, at most 15 digits.
///
/// Only the form is checked here; whether the number exists in its country is the server's question.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// The number with its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number with its middle hidden, for logs: `+33•••••789`.
    pub fn redacted(&self) -> String {
        let keep_front = 3.min(self.0.len());
        let keep_back = 3.min(self.0.len().saturating_sub(keep_front));
        let hidden = self.0.len() - keep_front - keep_back;
        let front = self.0.get(..keep_front).unwrap_or_default();
        let back = self.0.get(self.0.len() - keep_back..).unwrap_or_default();
        format!("{front}{}{back}", "•".repeat(hidden))
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Redacted: `Debug` ends up in logs.
impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// Why a text is not an E.164 number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidNumber {
    /// It has no `+` in front.
    NoCountryCode,
    /// It has something in it that is neither a digit nor a mark that people write between digits.
    NotDigits,
    /// No country has that many digits, or that few.
    Length,
    /// It has a `(0)` that may or may not be dialled.
    Zero,
}

impl fmt::Display for InvalidNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCountryCode => {
                "a phone number starts with + and its country code, in place of 0 or 00, for example +33612345678"
            }
            Self::NotDigits => "a phone number has only the digits 0 to 9 after its +, for example +33612345678",
            Self::Length => "a phone number has 7 to 15 digits after its +, for example +33612345678",
            Self::Zero => "write the number as it is dialled from abroad, with or without its 0 but not with (0)",
        })
    }
}

impl std::error::Error for InvalidNumber {}

impl FromStr for PhoneNumber {
    type Err = InvalidNumber;

    /// Takes the number as people write it: spaces, dots, dashes and brackets are dropped, and so is the `(0)` after a country
    /// code, which nobody dials from abroad.
    fn from_str(text: &str) -> Result<Self, InvalidNumber> {
        let compact: String =
            text.chars().filter(|c| !matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '.' | '-' | '/')).collect();
        let number = match compact.split_once("(0)") {
            None => compact,
            Some((code, rest)) if has_trunk_zero(code) && !rest.contains("(0)") => format!("{code}{rest}"),
            Some(_) => return Err(InvalidNumber::Zero),
        };
        let number: String = number.chars().filter(|c| !matches!(c, '(' | ')')).collect();
        let digits = number.strip_prefix('+').ok_or(InvalidNumber::NoCountryCode)?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            Err(InvalidNumber::NotDigits)
        } else if digits.starts_with('0') {
            Err(InvalidNumber::NoCountryCode)
        } else if !(7..=15).contains(&digits.len()) {
            Err(InvalidNumber::Length)
        } else {
            Ok(Self(number))
        }
    }
}

/// Whether a `(0)` after this means "not from abroad". In some countries the zero is a digit of the number.
fn has_trunk_zero(code: &str) -> bool {
    const ZERO_IS_DIALLED: [&str; 5] = ["39", "225", "241", "242", "378"];
    let code = code.strip_prefix('+').unwrap_or_default();
    (1..=3).contains(&code.len()) && !ZERO_IS_DIALLED.contains(&code)
}

impl TryFrom<String> for PhoneNumber {
    type Error = InvalidNumber;

    fn try_from(text: String) -> Result<Self, InvalidNumber> {
        text.parse()
    }
}

impl From<PhoneNumber> for String {
    fn from(number: PhoneNumber) -> Self {
        number.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forwarding_on_always_has_a_number() {
        let parse = serde_json::from_str::<Forwarding>;
        assert!(parse(r#"{"on":true,"number":null,"rev":1}"#).is_err());
        assert!(parse(r#"{"on":true,"number":"0612345678","rev":1}"#).is_err());
        assert!(parse(r#"{"on":true,"number":"+33612345678","rev":1}"#).unwrap().is_on());
        assert!(!parse(r#"{"on":false,"number":"+33612345678","rev":1}"#).unwrap().is_on());
    }

    #[test]
    fn what_forwarding_learned_to_say_is_left_out_when_there_is_nothing_to_say() {
        let text = |forwarding: &Forwarding| serde_json::to_string(forwarding).unwrap();
        let number: PhoneNumber = "+33612345678".parse().unwrap();
        let plain = Forwarding { number: Some(number), rev: 3, ..Forwarding::default() };
        assert_eq!(text(&plain), r#"{"on":true,"number":"+33612345678","rev":3}"#);
        let full = Forwarding { until: Some(UnixMillis(7)), own_device: Some(DeviceId::from("phone")), ..plain };
        assert_eq!(text(&full), r#"{"on":true,"number":"+33612345678","rev":3,"until":7,"own_device":"phone"}"#);
        assert_eq!(serde_json::from_str::<Forwarding>(&text(&full)).unwrap(), full);
        let off = r#"{"on":false,"number":null,"rev":4,"until":7,"own_device":"phone"}"#;
        let off = serde_json::from_str::<Forwarding>(off).unwrap();
        assert_eq!(off, Forwarding { rev: 4, ..Forwarding::default() }, "off has no end");
    }

    #[test]
    fn calls_go_to_the_number_only_while_the_agent_takes_calls() {
        let number: PhoneNumber = "+33612345678".parse().unwrap();
        for (effective, takes_calls) in [
            (Effective::Available, true),
            (Effective::Offline, false),
            (Effective::DoNotDisturb, false),
            (Effective::InCall, false),
            (Effective::AfterCallWork, false),
        ] {
            let presence = |number: Option<&PhoneNumber>| Presence {
                availability: Availability::Available,
                chosen: None,
                forwarding: Forwarding { number: number.cloned(), ..Forwarding::default() },
                call_leases: Vec::new(),
                effective,
            };
            assert_eq!(presence(Some(&number)).forwards_to(), takes_calls.then_some(&number), "{effective:?}");
            assert_eq!(presence(None).forwards_to(), None, "{effective:?}");
        }
    }

    #[test]
    fn a_number_is_taken_as_people_write_it_and_only_then() {
        assert_eq!("+33 6 12.34-56 78".parse::<PhoneNumber>().unwrap().as_str(), "+33612345678");
        for bad in
            ["", "+", "0612345678", "+0612345678", "+33612a45678", "+1234567890123456", "33612345678", "+٣٣٦١٢٣٤٥٦٧٨"]
        {
            assert!(bad.parse::<PhoneNumber>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_zero_that_nobody_dials_from_abroad_is_no_part_of_the_number() {
        for text in ["+33 (0)6 12 34 56 78", "+33(0)612345678", "+33 (0) 6 12 34 56 78", "+33-(0)6/12.34.56.78"] {
            assert_eq!(text.parse::<PhoneNumber>().map(String::from), Ok("+33612345678".to_owned()), "{text}");
        }
        assert_eq!("+1 (415) 555-0123".parse::<PhoneNumber>().map(String::from), Ok("+14155550123".to_owned()));
        // In Italy it is dialled; in the middle of a number nobody knows what it is.
        for text in ["+39 (0)6 1234 5678", "+33 6 12 (0) 34 56 78", "+33 (0)6 12 (0) 34 56", "(0)6 12 34 56 78"] {
            assert_eq!(text.parse::<PhoneNumber>(), Err(InvalidNumber::Zero), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_with_a_reason_that_helps() {
        for (text, why) in [
            ("0033 6 12 34 56 78", InvalidNumber::NoCountryCode),
            ("06 12 34 56 78", InvalidNumber::NoCountryCode),
            ("+0612345678", InvalidNumber::NoCountryCode),
            ("", InvalidNumber::NoCountryCode),
            ("+１４１５５５５０１２３", InvalidNumber::NotDigits),
            ("+1 800 FLOWERS", InvalidNumber::NotDigits),
            ("+33 6 12 34 56 78 ext. 9", InvalidNumber::NotDigits),
            ("+33 6", InvalidNumber::Length),
            ("+1234567890123456", InvalidNumber::Length),
        ] {
            assert_eq!(text.parse::<PhoneNumber>(), Err(why), "{text}");
        }
    }

    #[test]
    fn debug_hides_the_middle_of_a_number() {
        let number: PhoneNumber = "+33612345678".parse().unwrap();
        assert_eq!(format!("{number:?}"), "+33••••••678");
    }

    proptest! {
        #[test]
        fn a_number_survives_its_text(digits in "[1-9][0-9]{6,14}") {
            let number: PhoneNumber = format!("+{digits}").parse().unwrap();
            prop_assert_eq!(number.to_string().parse(), Ok(number));
        }

        #[test]
        fn any_text_is_a_number_or_an_error(text: String) {
            let _ = text.parse::<PhoneNumber>();
        }
    }
}
