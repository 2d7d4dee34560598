//! Pushes on their way to phones: who carries them, and what became of each.
//!
//! | where | what |
//! |---|---|
//! | here | the port: one push to one device, and every way in which that can end |
//! | `apns` | Apple's service, over HTTP/2 |
//! | `fcm` | Google's service, version 1 |
//! | `recorded` | no service: whoever listens delivers, as the lab does |
//! | `delivery` | when a push is sent, again or not at all; pure |
//!
//! Gateways know no retries, no forwarding and no agents: they say what happened once.

mod apns;
mod delivery;
mod fcm;
mod recorded;

use std::{fmt, sync::Arc, time::Duration};

use crate::clock::Millis;
use async_trait::async_trait;
use hookswitch_wire::{CallPush, DeviceId, Platform};
use reqwest::{
    Response,
    header::{HeaderMap, RETRY_AFTER},
};
use secrecy::SecretString;
use url::Url;

pub use apns::{Apns, ApnsConfig};
pub use delivery::DeliveryEnd;
pub(crate) use delivery::{CallNow, Delivery, DeviceNow, Facts, Stage, StartNow};
pub use fcm::{Fcm, FcmConfig};
pub(crate) use recorded::Recorded;

/// How long a service may take to answer. A call rings for 30 s: who has not answered by then is asked again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often an idle HTTP/2 connection is asked whether it lives: the first call after a quiet night must not find out.
const PING: Duration = Duration::from_secs(60);

/// One push for one device.
#[derive(Clone, Debug)]
pub struct PushMessage {
    /// Its number in the outbox: the same when it is tried again.
    pub seq: u64,
    /// The device that it goes to.
    pub device: DeviceId,
    /// The service that carries it: APNs for iOS, FCM for Android.
    pub platform: Platform,
    /// The address that the service gave to the device.
    pub token: SecretString,
    /// What the phone is told, as it travels.
    pub payload: CallPush,
    /// By the server's clock: after this nobody needs it any more, so no service should keep it for longer.
    pub deliver_by: Millis,
}

/// What became of one try. Every answer of a service is one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service took it.
    Accepted,
    /// The service took nothing and never will for this token: the app is gone, or has another token by now.
    TokenGone {
        /// Since when; a token that was registered later is another matter. `None`: the service does not say.
        since: Option<Millis>,
    },
    /// The service took nothing; later it may.
    Retry {
        /// How long it wants to be left alone.
        after: Option<Duration>,
        /// For a person; never a token.
        why: String,
    },
    /// No answer came: the push may be on its way.
    Unanswered {
        /// For a person; never a token.
        why: String,
    },
    /// The service took nothing and never will: somebody has to change something.
    Rejected {
        /// For a person; never a token.
        why: String,
    },
}

/// A service that carries pushes.
///
/// Dropping the future gives the push up: it may have left. Nothing is kept but connections and the service's own
/// credentials; calls may run at the same time, in any number.
#[async_trait]
pub trait PushGateway: Send + Sync {
    /// Tries once to send a push. Takes 10 s at most.
    async fn send(&self, push: &PushMessage) -> Outcome;
}

/// A gateway for each platform. `None`: pushes are recorded, and who listens to
/// [`Operator::pushes`](crate::Operator::pushes) delivers them.
#[derive(Clone, Default)]
pub struct Gateways {
    /// For [`Platform::Ios`].
    pub ios: Option<Arc<dyn PushGateway>>,
    /// For [`Platform::Android`].
    pub android: Option<Arc<dyn PushGateway>>,
}

impl fmt::Debug for Gateways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |gateway: &Option<_>| if gateway.is_some() { "a service" } else { "recorded" };
        f.debug_struct("Gateways").field("ios", &name(&self.ios)).field("android", &name(&self.android)).finish()
    }
}

/// Why a gateway could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Tokens go over https, or to this machine.
    #[error("the address of a push service is https, or loopback")]
    Address,
    /// The signing key is not one.
    #[error("the signing key cannot be read: {0}")]
    Key(#[from] jsonwebtoken::errors::Error),
    /// The service account is not one.
    #[error("the service account cannot be read: {0}")]
    Account(#[from] serde_json::Error),
    /// There is no TLS.
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// An address that a push token may be sent to.
fn address(text: &str) -> Result<Url, GatewayError> {
    let url = Url::parse(text).map_err(|_| GatewayError::Address)?;
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(_)) | None => false,
    };
    let safe = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    if safe && !url.cannot_be_a_base() { Ok(url) } else { Err(GatewayError::Address) }
}

fn client() -> reqwest::ClientBuilder {
    // Already installed: fine, the first one wins.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PATIENCE)
        .http2_keep_alive_while_idle(true)
}

/// What a request without an answer means: before there was a connection, nothing left.
fn unanswered(error: &reqwest::Error) -> Outcome {
    // The address of a request to Apple holds the device's token.
    if error.is_connect() || error.is_builder() {
        Outcome::Retry { after: None, why: "the push service cannot be reached".to_owned() }
    } else if error.is_timeout() {
        Outcome::Unanswered { why: "the push service did not answer in time".to_owned() }
    } else {
        Outcome::Unanswered { why: "the connection to the push service broke".to_owned() }
    }
}

/// `Retry-After` in either form (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Millis) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(u64::try_from(now).ok()?);
    Some(at.saturating_sub(now))
}

/// The JSON of an answer; an answer that is none is an empty object, and its status says enough.
async fn json<T: serde::de::DeserializeOwned + Default>(response: Response) -> T {
    let bytes = response.bytes().await.unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
