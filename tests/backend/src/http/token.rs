//! The issuer's machine-readable half: metadata, keys, tokens, revocation.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hookswitch_wire::{TokenAnswer, TokenError};
use serde_json::{Value, json};

use super::{
    ApiError, Shared, address,
    authorize::MOBILE,
    body::{Fields, bytes, is_media_type},
};
use crate::{
    identity::IdClaims,
    service::{CodeExchange, Grant, GrantError, ServiceError},
};

/// Life of an ID token in seconds.
const ID_TOKEN_LIFE: i64 = 10 * 60;

/// RFC 8414, OpenID Connect Discovery 1.0.
pub(super) async fn metadata(State(service): State<Shared>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", service.base_url);
    Json(json!({
        "issuer": service.base_url,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "revocation_endpoint": at("/revoke"),
        "jwks_uri": at("/jwks"),
        "authorization_response_iss_parameter_supported": true,
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "claims_supported": ["iss", "aud", "sub", "sid", "nonce", "email", "email_verified", "name", "iat", "exp"],
        "prompt_values_supported": ["none", "login"],
    }))
}

pub(super) async fn jwks(State(service): State<Shared>) -> Response {
    Json(service.keys.public()).into_response()
}

/// A refusal as RFC 6749 section 5.2 says it.
pub(crate) struct OauthError {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl OauthError {
    pub(crate) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new("invalid_request", description)
    }
}

impl From<GrantError> for OauthError {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::InvalidGrant(why) => Self::new("invalid_grant", why),
            GrantError::Service(error) => error.into(),
        }
    }
}

impl From<ServiceError> for OauthError {
    fn from(error: ServiceError) -> Self {
        tracing::error!(%error, "the issuer failed");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, error: "server_error", description: "try again".to_owned() }
    }
}

impl IntoResponse for OauthError {
    fn into_response(self) -> Response {
        let body = TokenError { error: self.error.to_owned(), error_description: Some(self.description) };
        (self.status, no_store(), Json(body)).into_response()
    }
}

/// RFC 6749, section 5.1.
pub(crate) fn no_store() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers
}

pub(super) fn too_large() -> OauthError {
    OauthError::invalid_request("the body is too large").with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

/// The form of an OAuth endpoint.
pub(crate) async fn form(request: Request) -> Result<Fields, OauthError> {
    let (parts, body) = request.into_parts();
    let bytes = bytes(body).await.map_err(|_: ApiError| too_large())?;
    if !is_media_type(&parts.headers, "application/x-www-form-urlencoded") {
        return Err(OauthError::invalid_request("send application/x-www-form-urlencoded"));
    }
    Fields::parse(&bytes).map_err(|_| OauthError::invalid_request("a parameter comes twice"))
}

fn required<'f>(fields: &'f Fields, name: &str) -> Result<&'f str, OauthError> {
    fields.get(name).ok_or_else(|| OauthError::invalid_request(format!("{name} is missing")))
}

fn known_client(fields: &Fields) -> Result<&str, OauthError> {
    match required(fields, "client_id")? {
        MOBILE => Ok(MOBILE),
        _ => Err(OauthError::new("invalid_client", "unknown client").with_status(StatusCode::UNAUTHORIZED)),
    }
}

/// `POST /token`
pub(super) async fn token(
    State(service): State<Shared>,
    peer: ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, OauthError> {
    let fields = form(request).await?;
    let grant = match required(&fields, "grant_type")? {
        "authorization_code" => {
            let exchange = CodeExchange {
                client: known_client(&fields)?,
                code: required(&fields, "code")?,
                redirect_uri: required(&fields, "redirect_uri")?,
                verifier: required(&fields, "code_verifier")?,
                address: &address(&peer),
            };
            service.exchange(&exchange)
        }
        "refresh_token" => {
            known_client(&fields)?;
            let token = required(&fields, "refresh_token")?;
            service.refresh(token, &address(&peer))
        }
        _ => return Err(OauthError::new("unsupported_grant_type", "authorization_code and refresh_token are")),
    };
    let grant = grant.inspect_err(|error| {
        if matches!(error, GrantError::InvalidGrant(_)) {
            service.counters.invalid_grant();
        }
    })?;
    let answer = answer(&service, grant)?;
    Ok((no_store(), Json(answer)).into_response())
}

fn answer(service: &Shared, grant: Grant) -> Result<TokenAnswer, OauthError> {
    let Grant { account, access, refresh, request, session } = grant;
    let scope = request.as_ref().map(|request| request.scope.clone());
    let id_token = match request {
        None => None,
        Some(request) => {
            let agent = service
                .write(|unit| unit.tx.agent(&account).map_err(ServiceError::from))?
                .ok_or(ServiceError::NoSuchAgent)?
                .aggregate
                .agent;
            let iat = service.now() / 1_000;
            let claims = IdClaims {
                iss: service.base_url.clone(),
                aud: request.client,
                sub: account.0,
                nonce: request.nonce,
                sid: Some(session),
                email: agent.email,
                email_verified: true,
                name: agent.name,
                iat,
                exp: iat + ID_TOKEN_LIFE,
            };
            Some(service.keys.sign(&claims)?)
        }
    };
    Ok(TokenAnswer {
        access_token: access,
        token_type: "Bearer".to_owned(),
        expires_in: Some(service.config.access_token_life.as_secs()),
        refresh_token: refresh,
        id_token,
        scope,
    })
}

/// `POST /revoke` (RFC 7009): what is no token of ours is revoked already.
pub(super) async fn revoke(State(service): State<Shared>, request: Request) -> Result<Response, OauthError> {
    let fields = form(request).await?;
    let token = required(&fields, "token")?;
    known_client(&fields)?;
    service.revoke(token)?;
    Ok((StatusCode::OK, no_store()).into_response())
}
