//! The token endpoint (RFC 6749, sections 4.1.3 and 6) and the revocation endpoint (RFC 7009).

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hookswitch_machine::{Grant, Outcome, is_secure_address};
use oauth2::{
    AccessToken, AuthorizationCode, Client, ClientId, EndpointNotSet, HttpResponse, PkceCodeVerifier, RedirectUrl,
    RefreshToken, RequestTokenError, Scope, StandardErrorResponse, StandardRevocableToken, TokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
        BasicTokenType,
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    answer::{self, Answer},
    auth::id_token,
    ports::{Delivery, Http, HttpFault},
    secrets::Secrets,
};

/// A grant (RFC 6749, section 5.1; OpenID Connect Core, section 3.1.3.3), and what issuers add to it. Only the tokens are read
/// strictly: an answer that is thrown away for the form of a number may have replaced the refresh token.
#[derive(Serialize, Deserialize)]
struct Tokens {
    access_token: AccessToken,
    #[serde(deserialize_with = "oauth2::helpers::deserialize_untagged_enum_case_insensitive")]
    token_type: BasicTokenType,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
    #[serde(default)]
    refresh_token: Option<RefreshToken>,
    #[serde(default)]
    id_token: Option<String>,
    /// The life of the refresh token, which no standard has: so at Keycloak, and under the other name at Okta's and others' gateways.
    #[serde(default, alias = "refresh_token_expires_in", deserialize_with = "seconds")]
    refresh_expires_in: Option<u64>,
}

/// A time as servers write it: a number, a fraction, a number as text. What is none is not told.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    let text = value.as_str().map(str::trim);
    let whole = value.as_u64().or_else(|| text?.parse().ok());
    let fraction = || value.as_f64().or_else(|| text?.parse().ok());
    Ok(whole.or_else(|| Duration::try_from_secs_f64(fraction()?).ok().map(|time| time.as_secs())))
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(redacted)")
    }
}

impl TokenResponse for Tokens {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(Duration::from_secs)
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        None
    }
}

type Issuer<HasTokenUrl> = Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    HasTokenUrl,
>;

/// Why nothing was sent: checked each time, wherever the address has been meanwhile.
const NOT_SECURE: &str = "the sign-in server's address is not https";

/// What a token request may be.
pub(crate) enum TokenRequest {
    /// The code of a redirect, for the first tokens of a sign-in (RFC 6749, section 4.1.3; RFC 7636, section 4.5).
    Code { code: SecretString, verifier: SecretString, redirect_uri: String },
    /// A refresh token, for the next tokens (RFC 6749, section 6).
    Refresh { refresh: SecretString },
}

impl TokenRequest {
    fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::Code { code, verifier, redirect_uri: _ } => vec![code.clone(), verifier.clone()],
            Self::Refresh { refresh } => vec![refresh.clone()],
        }
    }
}

/// Who asks, and for what.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    /// RFC 6749, section 2.2.
    pub(crate) client_id: &'a str,
    /// The APIs that the access token is for (RFC 8707, section 2.2).
    pub(crate) resources: &'a [String],
}

/// Asks the token endpoint, and says what came of it.
pub(crate) async fn request(
    http: Arc<dyn Http>,
    endpoint: String,
    client: Asking<'_>,
    request: TokenRequest,
    secrets: Arc<Secrets>,
) -> Answer {
    let unusable = |cause: &str| Answer::without_time(Outcome::NotSent { cause: cause.to_owned() });
    if !is_secure_address(&endpoint) {
        return unusable(NOT_SECURE);
    }
    let Ok(endpoint) = TokenUrl::new(endpoint) else { return unusable("the token endpoint is no address") };
    let issuer = Issuer::<EndpointNotSet>::new(ClientId::new(client.client_id.to_owned())).set_token_uri(endpoint);
    // What oauth2 does not hand on: status, `Date` and `Retry-After`.
    let seen = Arc::new(Mutex::new(None::<http::response::Parts>));
    let transport = {
        let (http, seen) = (http, Arc::clone(&seen));
        move |request: oauth2::HttpRequest| -> BoxFuture<'static, Result<HttpResponse, HttpFault>> {
            let (http, seen) = (Arc::clone(&http), Arc::clone(&seen));
            Box::pin(async move {
                let (head, body) = request.into_parts();
                let response = http.send(http::Request::from_parts(head, Bytes::from(body))).await?;
                // Before the body, which may break off: "not now" counts all the same.
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(response.head.clone());
                let body = answer::read_body(response.body, answer::SMALL_BODY).await?;
                Ok(http::Response::from_parts(response.head, body))
            })
        }
    };
    let sent = request.secrets();
    let result = match request {
        TokenRequest::Code { code, verifier, redirect_uri } => {
            let Ok(redirect_uri) = RedirectUrl::new(redirect_uri) else {
                return unusable("the redirect URI is no address");
            };
            let mut request = issuer
                .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
                .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()))
                .set_redirect_uri(std::borrow::Cow::Owned(redirect_uri));
            for resource in client.resources {
                request = request.add_extra_param("resource", resource);
            }
            let exchange: BoxFuture<'_, TokenResult> = Box::pin(request.request_async(&transport));
            exchange.await
        }
        TokenRequest::Refresh { refresh } => {
            let refresh = RefreshToken::new(refresh.expose_secret().to_owned());
            let mut request = issuer.exchange_refresh_token(&refresh);
            for resource in client.resources {
                request = request.add_extra_param("resource", resource);
            }
            let exchange: BoxFuture<'_, TokenResult> = Box::pin(request.request_async(&transport));
            exchange.await
        }
    };
    let head = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    judge(result, head.as_ref(), &secrets, &sent)
}

type TokenResult = Result<Tokens, RequestTokenError<HttpFault, StandardErrorResponse<BasicErrorResponseType>>>;

/// Only a well-formed OAuth error with status and media type of its kind (RFC 6749, section 5.2) is a refusal; a portal's
/// page, a proxy's 502 and a broken body are the network's doing.
fn judge(
    result: TokenResult,
    head: Option<&http::response::Parts>,
    secrets: &Secrets,
    sent: &[SecretString],
) -> Answer {
    let status = head.map_or(0, |head| head.status.as_u16());
    let page = head.is_some_and(answer::is_page);
    let unintelligible = |cause: &str| Outcome::Unintelligible { status, cause: cause.to_owned(), page };
    let outcome = match (head.and_then(answer::unavailable), result) {
        (Some(unavailable), _) => unavailable,
        (None, Ok(tokens)) => match grant(&tokens, secrets) {
            Ok(grant) => Outcome::Granted { grant },
            Err(cause) => unintelligible(cause),
        },
        // (Not all say "application/json", and some forget to say anything but what their language says for them, "text/html".
        // A portal may speak JSON as well, but has no word for a dead grant.)
        (None, Err(RequestTokenError::ServerResponse(refusal)))
            if page && *refusal.error() != BasicErrorResponseType::InvalidGrant =>
        {
            unintelligible("an OAuth error with a media type of another kind")
        }
        (None, Err(RequestTokenError::ServerResponse(refusal))) if matches!(status, 400 | 401 | 403) => {
            refused(refusal.error().as_ref(), refusal.error_description().map(String::as_str), sent)
        }
        (None, Err(RequestTokenError::ServerResponse(_))) => {
            unintelligible("an OAuth error with a status of another kind")
        }
        (None, Err(RequestTokenError::Request(fault))) => fault.into(),
        (None, Err(RequestTokenError::Parse(_, _))) => unintelligible("not a token answer"),
        (None, Err(RequestTokenError::Other(_))) => unintelligible("not an OAuth answer"),
    };
    Answer::of(outcome, head)
}

/// A refusal goes into logs and transcripts: an issuer that quotes what it was sent must not carry secrets there.
fn refused(error: &str, description: Option<&str>, sent: &[SecretString]) -> Outcome {
    let told = |text: &str| {
        let secrets = sent.iter().map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty());
        answer::excerpt(&secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "\u{2026}")))
    };
    Outcome::OAuthError { error: told(error), description: description.map(told) }
}

/// The secrets of an answer by their names.
///
/// # Errors
/// When the access token is not one that could be used (RFC 6749, section 7.1 and appendix A.12).
fn grant(tokens: &Tokens, secrets: &Secrets) -> Result<Grant, &'static str> {
    if *tokens.token_type() != BasicTokenType::Bearer {
        return Err("a token of a type that this app does not speak");
    }
    let access = tokens.access_token().secret();
    if access.is_empty() || !access.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err("an access token that cannot be sent");
    }
    // An empty one is none: the old one stays.
    let refresh = tokens.refresh_token().map(|token| token.secret()).filter(|token| !token.is_empty());
    Ok(Grant {
        access: secrets.name(access),
        refresh: refresh.map(|token| secrets.name(token)),
        expires_in: tokens.expires_in,
        session_life: tokens.refresh_expires_in,
        claims: tokens.id_token.as_deref().and_then(|token| id_token::claims(token, secrets)),
    })
}

/// Revokes a refresh token (RFC 7009). By hand, since the `oauth2` crate takes no loopback endpoint here.
pub(crate) async fn revoke(http: &dyn Http, endpoint: &str, client_id: &str, token: &SecretString) -> Answer {
    if !is_secure_address(endpoint) {
        return Answer::without_time(Outcome::NotSent { cause: NOT_SECURE.to_owned() });
    }
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token.expose_secret())
        .append_pair("token_type_hint", "refresh_token")
        .append_pair("client_id", client_id)
        .finish();
    let request = http::Request::post(endpoint)
        .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        // A token that is revoked twice is revoked (RFC 7009, section 2.2).
        .extension(Delivery::Raced)
        .body(Bytes::from(body));
    let Ok(request) = request else {
        return Answer::without_time(Outcome::Done);
    };
    answer::exchange(http, request, answer::SMALL_BODY, |head, body| {
        let unintelligible = |cause: &str| answer::unintelligible(head, cause.to_owned());
        if head.status.is_success() {
            // The body means nothing (section 2.2); but a page is what a captive portal shows.
            let is_page = !body.is_empty() && answer::is_page(head);
            return if is_page { unintelligible("a page") } else { Outcome::Done };
        }
        match serde_json::from_slice::<hookswitch_wire::TokenError>(body) {
            Ok(refusal) if head.status.is_client_error() && answer::may_be_json(head) => {
                refused(&refusal.error, refusal.error_description.as_deref(), std::slice::from_ref(token))
            }
            Ok(_) | Err(_) => unintelligible("not an OAuth answer"),
        }
    })
    .await
}

#[cfg(test)]
mod tests;
