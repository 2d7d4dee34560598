//! The token endpoint (RFC 6749, sections 4.1.3 and 6) and the revocation endpoint (RFC 7009).

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hookswitch_machine::{Grant, Outcome};
use oauth2::{
    AuthorizationCode, Client, ClientId, EndpointNotSet, ExtraTokenFields, HttpResponse, PkceCodeVerifier, RedirectUrl,
    RefreshToken, RequestTokenError, StandardErrorResponse, StandardRevocableToken, StandardTokenResponse,
    TokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
        BasicTokenType,
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    answer::{self, Answer},
    auth::id_token,
    ports::{Http, HttpFault},
    secrets::Secrets,
};

/// What OpenID Connect adds to a token answer.
#[derive(Serialize, Deserialize)]
struct OpenIdFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

impl ExtraTokenFields for OpenIdFields {}

impl fmt::Debug for OpenIdFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenIdFields(redacted)")
    }
}

type Tokens = StandardTokenResponse<OpenIdFields, BasicTokenType>;
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

/// What a token request may be.
pub(crate) enum TokenRequest {
    /// Code for tokens.
    Code { code: SecretString, verifier: SecretString, redirect_uri: String },
    /// Refresh token for tokens.
    Refresh { refresh: SecretString },
}

/// Asks the token endpoint, and says what came of it.
pub(crate) async fn request(
    http: Arc<dyn Http>,
    endpoint: String,
    client_id: String,
    request: TokenRequest,
    secrets: Arc<Secrets>,
) -> Answer {
    let unusable = |cause: &str| Answer::without_time(Outcome::Unintelligible { status: 0, cause: cause.to_owned() });
    let Ok(endpoint) = TokenUrl::new(endpoint) else { return unusable("the token endpoint is no address") };
    let issuer = Issuer::<EndpointNotSet>::new(ClientId::new(client_id)).set_token_uri(endpoint);
    // What oauth2 does not hand on: status, `Date` and `Retry-After`.
    let seen = Arc::new(Mutex::new(None::<http::response::Parts>));
    let transport = {
        let (http, seen) = (http, Arc::clone(&seen));
        move |request: oauth2::HttpRequest| -> BoxFuture<'static, Result<HttpResponse, HttpFault>> {
            let (http, seen) = (Arc::clone(&http), Arc::clone(&seen));
            Box::pin(async move {
                let (head, body) = request.into_parts();
                let response = http.send(http::Request::from_parts(head, Bytes::from(body))).await?;
                let (head, body) = (response.head, answer::read_body(response.body, answer::SMALL_BODY).await?);
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(head.clone());
                Ok(http::Response::from_parts(head, body))
            })
        }
    };
    let result = match request {
        TokenRequest::Code { code, verifier, redirect_uri } => {
            let Ok(redirect_uri) = RedirectUrl::new(redirect_uri) else {
                return unusable("the redirect URI is no address");
            };
            let exchange: BoxFuture<'_, TokenResult> = Box::pin(
                issuer
                    .exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()))
                    .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()))
                    .set_redirect_uri(std::borrow::Cow::Owned(redirect_uri))
                    .request_async(&transport),
            );
            exchange.await
        }
        TokenRequest::Refresh { refresh } => {
            let refresh = RefreshToken::new(refresh.expose_secret().to_owned());
            let exchange: BoxFuture<'_, TokenResult> =
                Box::pin(issuer.exchange_refresh_token(&refresh).request_async(&transport));
            exchange.await
        }
    };
    let head = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    judge(result, head.as_ref(), &secrets)
}

type TokenResult = Result<Tokens, RequestTokenError<HttpFault, StandardErrorResponse<BasicErrorResponseType>>>;

/// Only a well-formed OAuth error with a status of its kind is a refusal; a portal's page, a proxy's 502 and a broken body
/// are the network's doing.
fn judge(result: TokenResult, head: Option<&http::response::Parts>, secrets: &Secrets) -> Answer {
    let status = head.map_or(0, |head| head.status.as_u16());
    let unintelligible = |cause: &str| Outcome::Unintelligible { status, cause: cause.to_owned() };
    let outcome = match (head.and_then(answer::unavailable), result) {
        (Some(unavailable), _) => unavailable,
        (None, Ok(tokens)) => Outcome::Granted { grant: grant(&tokens, secrets) },
        (None, Err(RequestTokenError::ServerResponse(refusal))) if matches!(status, 400 | 401 | 403) => {
            Outcome::OAuthError {
                error: refusal.error().as_ref().to_owned(),
                description: refusal.error_description().cloned(),
            }
        }
        (None, Err(RequestTokenError::ServerResponse(_))) => {
            unintelligible("an OAuth error with a status of another kind")
        }
        (None, Err(RequestTokenError::Request(fault))) => Outcome::Unreachable { cause: fault.0 },
        (None, Err(RequestTokenError::Parse(_, _))) => unintelligible("not a token answer"),
        (None, Err(RequestTokenError::Other(_))) => unintelligible("not an OAuth answer"),
    };
    Answer { server_time: head.and_then(answer::server_time), outcome }
}

fn grant(tokens: &Tokens, secrets: &Secrets) -> Grant {
    Grant {
        access: secrets.name(tokens.access_token().secret()),
        refresh: tokens.refresh_token().map(|token| secrets.name(token.secret())),
        expires_in: tokens.expires_in().map(|life| life.as_secs()),
        claims: tokens.extra_fields().id_token.as_deref().and_then(|token| id_token::claims(token, secrets)),
    }
}

/// Revokes a refresh token (RFC 7009). By hand, since the `oauth2` crate takes no loopback endpoint here.
pub(crate) async fn revoke(http: &dyn Http, endpoint: &str, client_id: &str, token: &SecretString) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token.expose_secret())
        .append_pair("token_type_hint", "refresh_token")
        .append_pair("client_id", client_id)
        .finish();
    let request = http::Request::post(endpoint)
        .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(body));
    let Ok(request) = request else {
        return Answer::without_time(Outcome::Done);
    };
    answer::exchange(http, request, answer::SMALL_BODY, |head, body| {
        if head.status.is_success() {
            return Outcome::Done;
        }
        match serde_json::from_slice::<hookswitch_wire::TokenError>(body) {
            Ok(refusal) if head.status.is_client_error() => {
                Outcome::OAuthError { error: refusal.error, description: refusal.error_description }
            }
            Ok(_) | Err(_) => {
                Outcome::Unintelligible { status: head.status.as_u16(), cause: "not an OAuth answer".into() }
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests;
