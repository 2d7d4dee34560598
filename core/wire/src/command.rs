//! The bodies of the requests that change something.

use serde::{Deserialize, Serialize};

use crate::{Availability, DeviceId, PhoneNumber, Platform};

/// Names the command, so that a repeated request changes nothing and gets the first answer again.
pub const HEADER_IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Must equal the `csrf` value of the page when a request is authorised by a cookie.
pub const HEADER_CSRF: &str = "x-csrf-token";

/// `PUT /v1/me/availability`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAvailability {
    /// What the agent asks for.
    pub availability: Availability,
}

/// `PUT /v1/me/forwarding`: a number turns forwarding on, `null` turns it off.
///
/// The number is text here: the server answers a bad one with a problem that names the field, not with a parse error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetForwarding {
    /// Where calls should go.
    pub number: Option<String>,
}

impl SetForwarding {
    /// Calls go to `number`.
    pub fn on(number: &PhoneNumber) -> Self {
        Self { number: Some(number.as_str().to_owned()) }
    }

    /// Calls go to the agent's apps.
    pub const fn off() -> Self {
        Self { number: None }
    }
}

/// `PUT /v1/me/devices/{id}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterDevice {
    /// For display: "Alice's iPhone".
    pub name: String,
    /// Which push service it hears from.
    pub platform: Platform,
    /// The app's version.
    pub app_version: String,
    /// The address that the push service gave; `None` while it has given none.
    pub push_token: Option<String>,
}

/// `POST /v1/me/calls/{id}/answer`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerCall {
    /// The device that answers; browser surfaces leave it out and are known by their session.
    #[serde(default)]
    pub device: Option<DeviceId>,
}
