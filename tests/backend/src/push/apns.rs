//! Apple's push service.
//!
//! Sources, all in Apple's documentation of User Notifications and PushKit: "Sending notification requests to APNs" (path,
//! headers), "Establishing a token-based connection to APNs" (the JWT, and that it lives between 20 and 60 minutes),
//! "Handling notification responses from APNs" (reasons, the timestamp of a 410), "Responding to VoIP Notifications from
//! PushKit" (what a VoIP push obliges the app to).
//!
//! - A call is a push of the type `voip` with priority 10 to the topic `BUNDLE.voip`; the payload holds the [`CallPush`]
//!   as it is, and an empty `aps`.
//! - `apns-expiration` is the second in which the call stops ringing at the latest, rounded down: APNs keeps no push that
//!   would ring for nobody.
//! - `apns-collapse-id` is the call: of a start and its stop that a phone missed, APNs keeps one. An id of more than 64
//!   bytes is not allowed, and then left out.
//! - Apple says to wait 15 minutes after a 5xx. No call waits so long: the outbox asks again while it rings.
//!
//! [`CallPush`]: hookswitch_wire::CallPush

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Millis;
use async_trait::async_trait;
use hookswitch_wire::PushKind;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{
    Client, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use super::{GatewayError, Outcome, PushGateway, PushMessage, address, client, json, retry_after, unanswered};
use crate::{Clock, clock::millis};

/// A provider token is replaced at this age: before an hour is over, and not more often than every 20 minutes.
const REPLACE_AFTER: Duration = Duration::from_secs(45 * 60);
/// APNs complains (`TooManyProviderTokenUpdates`) when tokens change more often.
const YOUNGEST: Duration = Duration::from_secs(20 * 60);
/// The longest `apns-collapse-id` in bytes.
const LONGEST_COLLAPSE_ID: usize = 64;

/// How the backend is known to Apple.
#[derive(Clone, Debug)]
pub struct ApnsConfig {
    /// [`ApnsConfig::PRODUCTION`] or [`ApnsConfig::SANDBOX`].
    pub address: String,
    /// The app; the topic is this with `.voip`.
    pub bundle_id: String,
    /// Ten characters: the `iss` of the provider token.
    pub team_id: String,
    /// Ten characters: the `kid` of the provider token.
    pub key_id: String,
    /// The content of the `.p8` file.
    pub key: SecretString,
}

impl ApnsConfig {
    /// For apps from the App Store and TestFlight.
    pub const PRODUCTION: &'static str = "https://api.push.apple.com";
    /// For apps from Xcode: their tokens work nowhere else.
    pub const SANDBOX: &'static str = "https://api.sandbox.push.apple.com";
}

/// Sends to Apple's push service, over one HTTP/2 connection that is kept.
pub struct Apns {
    client: Client,
    address: Url,
    topic: String,
    team_id: String,
    key_id: String,
    key: EncodingKey,
    clock: Clock,
    token: Mutex<Option<ProviderToken>>,
}

#[derive(Clone)]
struct ProviderToken {
    jwt: SecretString,
    issued_at: Millis,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
}

/// The body of a refusal.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    reason: String,
    /// Milliseconds since 1970; only with 410.
    #[serde(default)]
    timestamp: Option<Millis>,
}

impl Apns {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`GatewayError`], when the key is no ES256 key in PKCS #8 or the address is not safe.
    pub fn new(config: ApnsConfig, clock: Clock) -> Result<Self, GatewayError> {
        let ApnsConfig { address: to, bundle_id, team_id, key_id, key } = config;
        Ok(Self {
            // APNs speaks nothing else.
            client: client().http2_prior_knowledge().build()?,
            address: address(&to)?,
            topic: format!("{bundle_id}.voip"),
            team_id,
            key_id,
            key: EncodingKey::from_ec_pem(key.expose_secret().as_bytes())?,
            clock,
            token: Mutex::default(),
        })
    }

    /// The token to send with: the same for 45 minutes.
    fn provider_token(&self, now: Millis) -> Result<SecretString, jsonwebtoken::errors::Error> {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |token: &&ProviderToken| (0..millis(REPLACE_AFTER)).contains(&now.saturating_sub(token.issued_at));
        if let Some(token) = kept.as_ref().filter(fresh) {
            return Ok(token.jwt.clone());
        }
        let header = Header { kid: Some(self.key_id.clone()), typ: None, ..Header::new(Algorithm::ES256) };
        let claims = Claims { iss: &self.team_id, iat: now.div_euclid(1_000) };
        let jwt = SecretString::from(jsonwebtoken::encode(&header, &claims, &self.key)?);
        *kept = Some(ProviderToken { jwt: jwt.clone(), issued_at: now });
        Ok(jwt)
    }

    /// APNs says that the token is too old: the next try makes another, unless this one is young and our clock is wrong.
    fn expired(&self, now: Millis) {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_some_and(|token| now.saturating_sub(token.issued_at) >= millis(YOUNGEST)) {
            *kept = None;
        }
    }

    fn request(&self, push: &PushMessage, now: Millis) -> Result<reqwest::RequestBuilder, String> {
        let mut url = self.address.clone();
        url.path_segments_mut()
            .map_err(|()| "no path can be added to the address of APNs".to_owned())?
            .pop_if_empty()
            .extend(["3", "device", push.token.expose_secret()]);
        let token = self.provider_token(now).map_err(|error| format!("no provider token: {error}"))?;
        let mut request = self
            .client
            .post(url)
            .header(AUTHORIZATION, format!("bearer {}", token.expose_secret()))
            .header(CONTENT_TYPE, "application/json")
            .header("apns-push-type", "voip")
            .header("apns-topic", &self.topic)
            .header("apns-priority", "10")
            .header("apns-expiration", expiration(push.deliver_by, now).to_string())
            .header("apns-id", apns_id(push));
        let call = push.payload.call_id.as_str();
        if (1..=LONGEST_COLLAPSE_ID).contains(&call.len()) && call.bytes().all(|b| b.is_ascii_graphic()) {
            request = request.header("apns-collapse-id", call);
        }
        let mut body = serde_json::to_value(&push.payload).map_err(|error| error.to_string())?;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("aps".to_owned(), json!({}));
        }
        Ok(request.body(body.to_string()))
    }
}

/// In seconds since 1970; 0, which is "now or never", when no whole second is left.
fn expiration(deliver_by: Millis, now: Millis) -> i64 {
    let second = deliver_by.div_euclid(1_000);
    if second > now.div_euclid(1_000) { second } else { 0 }
}

/// A UUID of version 8 (RFC 9562, section 5.8) from what a push is: a second try has the same.
fn apns_id(push: &PushMessage) -> String {
    let kind = match push.payload.kind {
        PushKind::Incoming => "incoming",
        PushKind::AnsweredElsewhere => "answered_elsewhere",
        PushKind::Ended => "ended",
        PushKind::Unknown => "unknown",
    };
    let name = format!("{} {} {kind} {}", push.payload.call_id, push.device, push.seq);
    let hex: String = Sha256::digest(name).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!("{}-{}-8{}-a{}-{}", part(0..8), part(8..12), part(13..16), part(17..20), part(20..32))
}

#[async_trait]
impl PushGateway for Apns {
    async fn send(&self, push: &PushMessage) -> Outcome {
        let now = self.clock.now();
        let request = match self.request(push, now) {
            Ok(request) => request,
            Err(why) => return Outcome::Rejected { why },
        };
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return unanswered(&error),
        };
        let status = response.status();
        if status == StatusCode::OK {
            return Outcome::Accepted;
        }
        let after = retry_after(response.headers(), now);
        let Refusal { reason, timestamp } = json(response).await;
        let why = format!("APNs said {} {reason}", status.as_u16());
        match (status.as_u16(), reason.as_str()) {
            (400, "BadDeviceToken") => Outcome::TokenGone { since: None },
            // `Unregistered`, `ExpiredToken`.
            (410, _) => Outcome::TokenGone { since: timestamp },
            (403, "ExpiredProviderToken") => {
                self.expired(now);
                Outcome::Retry { after, why }
            }
            (400, "IdleTimeout") | (408 | 429 | 500..=599, _) => Outcome::Retry { after, why },
            // `DeviceTokenNotForTopic` among them: with a wrong bundle id that is all tokens, so it makes none stale.
            (_, _) => Outcome::Rejected { why },
        }
    }
}
