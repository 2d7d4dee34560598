//! The bodies of the requests that change something.

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use crate::{Availability, DeviceId, PhoneNumber, Platform, UnixMillis};

/// Names the command, so that a repeated request changes nothing and gets the first answer again.
pub const HEADER_IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Must equal the `csrf` value of the page when a request is authorised by a cookie.
pub const HEADER_CSRF: &str = "x-csrf-token";

/// `PUT /v1/me/availability`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAvailability {
    /// What the agent asks for. A word that the server does not know is refused, and not guessed at.
    #[serde(deserialize_with = "can_be_set")]
    pub availability: Availability,
}

fn can_be_set<'de, D: Deserializer<'de>>(from: D) -> Result<Availability, D::Error> {
    let availability = Availability::deserialize(from)?;
    if availability.can_be_set() { Ok(availability) } else { Err(D::Error::custom("not an availability")) }
}

/// `PUT /v1/me/forwarding`: a number turns forwarding on, `null` turns it off.
///
/// The number is text here: the server answers a bad one with a problem that names the field, not with a parse error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetForwarding {
    /// The number that calls go to from now on, in E.164 form; `None` turns forwarding off.
    pub number: Option<String>,
    /// When forwarding ends by itself, by the server's clock; `None`: when somebody turns it off. Only with a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixMillis>,
}

/// Where calls should go, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardTo {
    /// The external number that calls go to.
    pub number: PhoneNumber,
    /// When that ends by itself, by the server's clock; `None`: when somebody turns it off.
    #[serde(default)]
    pub until: Option<UnixMillis>,
}

impl From<Option<&ForwardTo>> for SetForwarding {
    /// `None`: calls go to the agent's apps.
    fn from(to: Option<&ForwardTo>) -> Self {
        Self { number: to.map(|to| to.number.as_str().to_owned()), until: to.and_then(|to| to.until) }
    }
}

/// `POST /v1/me/forwarding/code`: the server sends a code to the number, to see whether the agent can read it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendCode {
    /// The number that is to be verified, in E.164 form.
    pub number: String,
    /// How the code gets there.
    pub by: CodeBy,
}

/// How a code gets to a phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeBy {
    /// As a text message.
    Sms,
    /// In a call, read out by a voice: for a number without text messages.
    Call,
}

/// `POST /v1/me/forwarding/verification`: the agent has read the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyNumber {
    /// The number that the code was sent to, in E.164 form.
    pub number: String,
    /// The code that the agent read: six digits; spaces are dropped. Good for 10 minutes.
    pub code: String,
}

/// `PUT /v1/me/devices/{id}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterDevice {
    /// For display: "Alice's iPhone".
    pub name: String,
    /// Which push service it hears from.
    pub platform: Platform,
    /// The version of the app, for display and support.
    pub app_version: String,
    /// The address that the push service gave; `None` while it has given none.
    pub push_token: Option<String>,
    /// What the phone lets the app do when a call comes.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// The phone's own number, where the platform tells it: the server then knows when calls are forwarded to this very
    /// phone. Text, because a phone may know it in any form; what is no number counts as none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line_number: Option<String>,
}

/// What a phone lets the app do when a call comes, as far as the app has said. It does not decide who is pushed: a phone that
/// may not show a call can still make itself heard, and a missed customer is worse. It is there to be shown to the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Capabilities {
    /// Whether the channel of incoming calls may be heard. Android: `NotificationManager.areNotificationsEnabled`, and the
    /// importance of the `NotificationChannel`. `None`: not told, or the platform knows no such thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_notifications: Option<bool>,
    /// Whether a call may take the locked screen. Android 14: `NotificationManager.canUseFullScreenIntent`. `None`: not told, or
    /// the platform knows no such thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_screen_intent: Option<bool>,
}

/// `POST /v1/me/calls/{id}/answer`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerCall {
    /// The device that answers; browser surfaces leave it out and are known by their session.
    #[serde(default)]
    pub device: Option<DeviceId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_asks_for_is_exact() {
        let parse = serde_json::from_str::<SetAvailability>;
        assert!(parse(r#"{"availability":{"kind":"unavailable","reason":"on_a_break"}}"#).is_ok());
        for unknown in [
            r#"{"availability":{"kind":"tomorrow"}}"#,
            r#"{"availability":{"kind":"unknown"}}"#,
            r#"{"availability":{"kind":"unavailable","reason":"tomorrow"}}"#,
            r#"{"availability":{"kind":"unavailable"}}"#,
            r#"{"availability":null}"#,
        ] {
            assert!(parse(unknown).is_err(), "{unknown}");
        }
    }
}
