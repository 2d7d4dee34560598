//! Google's push service: Firebase Cloud Messaging, HTTP v1.
//!
//! Sources, all in Firebase's documentation: "REST Resource: projects.messages" (the message, `AndroidConfig`), "ErrorCode" and
//! "FCM error codes" (the refusals), "Authorize send requests" (the service account), "Understanding message delivery" and
//! "Set and manage Android message priority" (what becomes of high priority that is not used), "Collapsible messages"; and
//! Google's "Using OAuth 2.0 for Server to Server Applications" (the grant, RFC 7523).
//!
//! - A call is a data message and nothing else: with a `notification` in it, Android would show it without asking the app,
//!   and the ring rule would never run.
//! - `data` has one key, `call`, with the [`CallPush`] as JSON: values are text, and `from` is a reserved key.
//! - `priority: HIGH` wakes a phone that dozes. Android demotes an app whose high-priority messages show nothing: one more
//!   reason why no push is sent while calls are forwarded.
//! - `ttl` is what is left of the ringing, in whole seconds; `0s` is now or never.
//! - `collapse_key` is the call: of a start and its stop that a phone missed, FCM keeps the stop. FCM keeps four keys a
//!   phone, which is more calls than one phone rings for.
//!
//! [`CallPush`]: hookswitch_wire::CallPush

use std::sync::{Mutex, PoisonError};

use crate::clock::Millis;
use async_trait::async_trait;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{
    Client,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

use super::{GatewayError, Outcome, PushGateway, PushMessage, address, client, json, retry_after, unanswered};
use crate::Clock;

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Life of an assertion in seconds; Google takes no longer one.
const ASSERTION_LIFE: i64 = 3_600;
/// An access token is replaced so long before its end, in milliseconds.
const MARGIN: i64 = 60_000;

/// How the backend is known to Google.
#[derive(Clone, Debug)]
pub struct FcmConfig {
    /// [`FcmConfig::PRODUCTION`].
    pub address: String,
    /// The content of the service account's JSON file.
    pub service_account: SecretString,
}

impl FcmConfig {
    /// There is one for all.
    pub const PRODUCTION: &'static str = "https://fcm.googleapis.com";
}

/// What is used of a service account's file.
#[derive(Deserialize)]
struct ServiceAccount {
    project_id: String,
    private_key_id: String,
    private_key: SecretString,
    client_email: String,
    token_uri: String,
}

/// Sends to Firebase Cloud Messaging, with an access token that is renewed in time.
pub struct Fcm {
    client: Client,
    send_to: Url,
    grants: Grants,
    clock: Clock,
    token: Mutex<Option<Pending>>,
}

/// The access token that is there or on its way: however many pushes wait for it, one request gets it.
type Pending = Shared<BoxFuture<'static, Result<AccessToken, Outcome>>>;

#[derive(Clone)]
struct AccessToken {
    token: SecretString,
    replace_at: Millis,
}

/// Gets access tokens.
#[derive(Clone)]
struct Grants {
    client: Client,
    token_uri: Url,
    client_email: String,
    key_id: String,
    key: EncodingKey,
    clock: Clock,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Default, Deserialize)]
struct Grant {
    #[serde(default)]
    access_token: SecretString,
    /// How long the token lasts, in seconds.
    #[serde(default)]
    expires_in: i64,
}

/// `google.rpc.Status`.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

/// Of the kinds of detail, only `FcmError` has an `errorCode`.
#[derive(Default, Deserialize)]
struct Detail {
    #[serde(default, rename = "errorCode")]
    error_code: Option<String>,
}

impl Fcm {
    /// Nothing is sent yet, and no access token is asked for.
    ///
    /// # Errors
    /// [`GatewayError`], when the account cannot be read or an address is not safe.
    pub fn new(config: &FcmConfig, clock: Clock) -> Result<Self, GatewayError> {
        let account: ServiceAccount = serde_json::from_str(config.service_account.expose_secret())?;
        let client = client().build()?;
        let mut send_to = address(&config.address)?;
        send_to.path_segments_mut().map_err(|()| GatewayError::Address)?.pop_if_empty().extend([
            "v1",
            "projects",
            &account.project_id,
            "messages:send",
        ]);
        let grants = Grants {
            client: client.clone(),
            token_uri: address(&account.token_uri)?,
            client_email: account.client_email,
            key_id: account.private_key_id,
            key: EncodingKey::from_rsa_pem(account.private_key.expose_secret().as_bytes())?,
            clock: clock.clone(),
        };
        Ok(Self { client, send_to, grants, clock, token: Mutex::default() })
    }

    /// The access token that is kept, or the way to the next.
    fn pending(&self, now: Millis) -> Pending {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let good = |pending: &&Pending| match pending.peek() {
            None => true,
            Some(Ok(token)) => now < token.replace_at,
            Some(Err(_)) => false,
        };
        if let Some(pending) = kept.as_ref().filter(good) {
            return pending.clone();
        }
        let grants = self.grants.clone();
        let pending = async move { grants.ask(now).await }.boxed().shared();
        *kept = Some(pending.clone());
        pending
    }

    /// FCM does not know this token any more.
    fn forget(&self, refused: &SecretString) {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |token: &AccessToken| token.token.expose_secret() == refused.expose_secret();
        if kept.as_ref().and_then(Pending::peek).is_some_and(|got| got.as_ref().is_ok_and(is_it)) {
            *kept = None;
        }
    }

    fn message(push: &PushMessage, now: Millis) -> Result<String, serde_json::Error> {
        let seconds = push.deliver_by.saturating_sub(now).max(0) / 1_000;
        let message = json!({
            "message": {
                "token": push.token.expose_secret(),
                "data": { "call": serde_json::to_string(&push.payload)? },
                "android": {
                    "priority": "HIGH",
                    "ttl": format!("{seconds}s"),
                    "collapse_key": push.payload.call_id,
                },
            },
        });
        Ok(message.to_string())
    }
}

impl Grants {
    async fn ask(&self, now: Millis) -> Result<AccessToken, Outcome> {
        let iat = now.div_euclid(1_000);
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::RS256) };
        let claims = Assertion {
            iss: &self.client_email,
            scope: SCOPE,
            aud: self.token_uri.as_str(),
            iat,
            exp: iat.saturating_add(ASSERTION_LIFE),
        };
        let assertion = jsonwebtoken::encode(&header, &claims, &self.key)
            .map_err(|error| Outcome::Rejected { why: format!("no assertion: {error}") })?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT)
            .append_pair("assertion", &assertion)
            .finish();
        let request = self.client.post(self.token_uri.clone());
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
        let later = |after, why: &str| Outcome::Retry { after, why: why.to_owned() };
        // Whatever becomes of this request, the push has not left.
        let response = request.send().await.map_err(|_| later(None, "Google's token endpoint does not answer"))?;
        let (status, after) = (response.status(), retry_after(response.headers(), self.clock.now()));
        if status.is_server_error() || matches!(status.as_u16(), 408 | 429) {
            return Err(later(after, "Google's token endpoint is not available"));
        }
        let Grant { access_token, expires_in } = json(response).await;
        if !status.is_success() || access_token.expose_secret().is_empty() {
            let why = format!("Google's token endpoint said {}: is the service account right?", status.as_u16());
            return Err(Outcome::Rejected { why });
        }
        let replace_at = now.saturating_add(expires_in.saturating_mul(1_000)).saturating_sub(MARGIN);
        Ok(AccessToken { token: access_token, replace_at })
    }
}

#[async_trait]
impl PushGateway for Fcm {
    async fn send(&self, push: &PushMessage) -> Outcome {
        let access = match self.pending(self.clock.now()).await {
            Ok(access) => access.token,
            Err(outcome) => return outcome,
        };
        let now = self.clock.now();
        let body = match Self::message(push, now) {
            Ok(body) => body,
            Err(error) => return Outcome::Rejected { why: error.to_string() },
        };
        let request = self
            .client
            .post(self.send_to.clone())
            .header(AUTHORIZATION, format!("Bearer {}", access.expose_secret()))
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return unanswered(&error),
        };
        let status = response.status();
        if status.is_success() {
            return Outcome::Accepted;
        }
        let after = retry_after(response.headers(), now);
        let Refusal { error: Status { status: canonical, details } } = json(response).await;
        let code = details.into_iter().find_map(|detail| detail.error_code).unwrap_or(canonical);
        let why = format!("FCM said {} {code}", status.as_u16());
        match (status.as_u16(), code.as_str()) {
            (404, "UNREGISTERED") => Outcome::TokenGone { since: None },
            (401, _) => {
                self.forget(&access);
                Outcome::Retry { after, why }
            }
            // `QUOTA_EXCEEDED`, `INTERNAL`, `UNAVAILABLE`.
            (408 | 429 | 500..=599, _) => Outcome::Retry { after, why },
            // `INVALID_ARGUMENT`, `SENDER_ID_MISMATCH`: with a wrong service account that is all tokens, so it makes none stale.
            (_, _) => Outcome::Rejected { why },
        }
    }
}
