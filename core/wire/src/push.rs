//! What a push carries about a call.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use serde_json::Value;

use crate::{AccountId, CallId, PhoneNumber, UnixMillis, Version, lenient};

/// The payload of a call push, the same on APNs (VoIP) and FCM (data message).
///
/// Every field that the ring rule needs is here, because a phone may be started by this push and have nothing else. Whatever else
/// can or cannot be read: a push that names a call is one, and what it does not say is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallPush {
    /// Start ringing, or stop.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub kind: PushKind,
    /// The call, by the name that the server gave it; the same in each push about it.
    #[serde(deserialize_with = "name_of_a_call")]
    pub call_id: CallId,
    /// Whose call: a push may outlive a sign-out. Empty: the push does not say.
    #[serde(default = "nobody", deserialize_with = "account")]
    pub account: AccountId,
    /// After this the call has stopped ringing; [`UnixMillis::UNTOLD`]: the push does not say.
    #[serde(default = "UnixMillis::untold", deserialize_with = "UnixMillis::or_untold")]
    pub expires_at: UnixMillis,
    /// The version of the agent's state from which the server decided to push; [`Version::NEVER`]: it
    /// does not say, and may know more than any state.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub routing: Version,
    /// Whether forwarding was on at that version. A server that follows the rule never says `true` with
    /// [`PushKind::Incoming`]; an old one does, and the app keeps silent.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub forwarding_on: bool,
    /// Who calls; `None` when withheld.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub from: Option<PhoneNumber>,
    /// Who calls, for display.
    #[serde(default, deserialize_with = "lenient::name_if_any")]
    pub from_name: Option<String>,
}

/// What a push asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushKind {
    /// The call rings: the phone decides whether it rings, too.
    Incoming,
    /// The call was answered on another device: stop ringing.
    AnsweredElsewhere,
    /// The call was hung up, declined or not answered in time: stop ringing.
    Ended,
    /// Something that this version has no word for, or that cannot be read: it rings, unless the call is known, and the server is
    /// asked.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Why a push says nothing about a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCall(&'static str);

impl fmt::Display for NoCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for NoCall {}

impl CallPush {
    /// Reads a payload. All that it must have is a name of the call: what else cannot be read is not known.
    ///
    /// # Errors
    /// When it is no JSON object, or names no call.
    pub fn read(payload: &str) -> Result<Self, NoCall> {
        let payload: Value = serde_json::from_str(payload).map_err(|_| NoCall("it is not JSON"))?;
        lenient::read(payload).ok_or(NoCall("it names no call"))
    }
}

fn name_of_a_call<'de, D: Deserializer<'de>>(from: D) -> Result<CallId, D::Error> {
    let name = CallId::deserialize(from)?;
    if name.as_str().is_empty() { Err(D::Error::custom("a call without a name")) } else { Ok(name) }
}

const fn nobody() -> AccountId {
    AccountId(String::new())
}

fn account<'de, D: Deserializer<'de>>(from: D) -> Result<AccountId, D::Error> {
    Ok(lenient::read(Value::deserialize(from)?).unwrap_or_else(nobody))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_that_names_a_call_is_read_whatever_else_it_says() {
        let bare = CallPush {
            kind: PushKind::Unknown,
            call_id: CallId::from("c"),
            account: nobody(),
            expires_at: UnixMillis::UNTOLD,
            routing: Version::NEVER,
            forwarding_on: false,
            from: None,
            from_name: None,
        };
        for payload in [
            r#"{"call_id":"c"}"#,
            r#"{"call_id":"b","call_id":"c","aps":{}}"#,
            r#"{"call_id":"c","kind":null,"account":null,"expires_at":null,"routing":null,"forwarding_on":null,"from":null}"#,
            r#"{"call_id":"c","kind":7,"account":8,"expires_at":"soon","routing":"1-2","forwarding_on":"no","from_name":[]}"#,
            r#"{"call_id":"c","kind":{"kind":"incoming"},"routing":{"epoch":1},"aps":{"alert":"x"},"of":{"tomorrow":[]}}"#,
        ] {
            assert_eq!(CallPush::read(payload), Ok(bare.clone()), "{payload}");
        }
        for payload in
            ["", "{", "[]", "null", r#""c""#, "{}", r#"{"call_id":null}"#, r#"{"call_id":""}"#, r#"{"call_id":{}}"#]
        {
            assert!(CallPush::read(payload).is_err(), "{payload}");
        }
    }

    #[test]
    fn what_can_be_read_of_a_broken_push_counts() {
        let stop = CallPush::read(r#"{"call_id":"c","kind":"ended","expires_at":"soon","account":"a"}"#).unwrap();
        assert_eq!((stop.kind, stop.account.as_str()), (PushKind::Ended, "a"));
    }
}
