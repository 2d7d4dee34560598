//! "Continue with Google" and SSO: here this issuer is itself a client of an upstream issuer, by the book of OpenID
//! Connect: discovery, code, PKCE, state, nonce, `iss`, and an ID token whose signature is checked.
//!
//! Nonce and verifier are made from the state and the browser's login cookie, so neither is stored.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use hookswitch_wire::{ServerMetadata, TokenAnswer};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};

use super::{
    Shared, Stop, address,
    body::Fields,
    login::{self, Ticket, bound, new_start},
    redirect,
};
use crate::{
    identity::IdClaims,
    secret,
    service::ServiceError,
    store::{LoginStep, UpstreamSession},
    upstream::{self, Tenant},
};

/// Who we are at the upstream issuer.
pub(crate) const CLIENT: &str = "hookswitch";

/// An upstream issuer.
#[derive(Clone, Copy)]
pub(super) enum Provider {
    Google,
    Sso,
}

impl Provider {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "google" => Some(Self::Google),
            "sso" => Some(Self::Sso),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Sso => "sso",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Google => upstream::GOOGLE.title,
            Self::Sso => upstream::ACME.title,
        }
    }

    const fn tenant(self) -> &'static Tenant {
        match self {
            Self::Google => &upstream::GOOGLE,
            Self::Sso => &upstream::ACME,
        }
    }

    /// The other way round.
    pub(super) fn of(tenant: &Tenant) -> Self {
        if tenant.name == upstream::ACME.name { Self::Sso } else { Self::Google }
    }

    pub(super) fn issuer(self, service: &Shared) -> String {
        upstream::issuer(service, self.tenant())
    }

    fn redirect_uri(self, service: &Shared) -> String {
        format!("{}/login/{}/callback", service.base_url, self.name())
    }
}

/// Why the upstream issuer's word was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Distrust {
    #[error("it could not be reached")]
    Unreachable(#[from] reqwest::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer is not what was agreed")]
    Malformed(#[from] serde_json::Error),
    #[error("it is not who it should be")]
    Issuer,
    #[error("its ID token is not signed as it should be")]
    Signature(#[from] jsonwebtoken::errors::Error),
    #[error("its ID token is of another time or another sign-in")]
    Claims,
    #[error("it has not verified the e-mail address")]
    Unverified,
}

pub(super) async fn get<T: serde::de::DeserializeOwned>(service: &Shared, url: &str) -> Result<T, Distrust> {
    let response = service.client.get(url).send().await?;
    if !response.status().is_success() {
        return Err(Distrust::Status(response.status()));
    }
    Ok(serde_json::from_slice(&response.bytes().await?)?)
}

pub(super) async fn discover(service: &Shared, provider: Provider) -> Result<ServerMetadata, Distrust> {
    let issuer = provider.issuer(service);
    let metadata: ServerMetadata = get(service, &format!("{issuer}/.well-known/openid-configuration")).await?;
    if metadata.issuer == issuer { Ok(metadata) } else { Err(Distrust::Issuer) }
}

fn nonce(state: &str, binding: &str) -> String {
    secret::derived("nonce", &[state, binding])
}

fn verifier(state: &str, binding: &str) -> String {
    secret::derived("verifier", &[state, binding])
}

/// `GET /login/{google,sso}?tx=`: off to the upstream issuer.
pub(super) async fn start(
    State(service): State<Shared>,
    headers: HeaderMap,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Stop> {
    let provider = provider(&service, &name)?;
    let ticket = Ticket::find(&service, &headers, query.as_deref(), LoginStep::Password)?;
    let metadata = discover(&service, provider).await.map_err(|why| distrusted(&service, provider, &ticket, &why))?;
    let state = secret::random().map_err(ServiceError::from)?;
    service.write(|unit| unit.tx.set_login_upstream(&ticket.hash, Some(&secret::stored(&state))))?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", CLIENT)
        .append_pair("redirect_uri", &provider.redirect_uri(&service))
        .append_pair("scope", "openid email profile")
        .append_pair("state", &state)
        .append_pair("nonce", &nonce(&state, &ticket.binding))
        .append_pair("code_challenge", &secret::stored(&verifier(&state, &ticket.binding)))
        .append_pair("code_challenge_method", "S256");
    Ok(redirect(StatusCode::FOUND, &format!("{}?{}", metadata.authorization_endpoint, query.finish())))
}

/// `GET /login/{google,sso}/callback`: back from the upstream issuer.
pub(super) async fn callback(
    State(service): State<Shared>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Stop> {
    let provider = provider(&service, &name)?;
    let fields = Fields::parse(query.unwrap_or_default().as_bytes()).map_err(|_| forged(&service))?;
    let state = fields.get("state").ok_or_else(|| forged(&service))?;
    let (hash, row) = service
        .write(|unit| {
            let found = unit.tx.login_by_upstream(&secret::stored(state))?;
            // A state works once, whatever comes of it.
            if let Some((hash, _)) = &found {
                unit.tx.set_login_upstream(hash, None)?;
            }
            Ok::<_, ServiceError>(found)
        })?
        .ok_or_else(|| forged(&service))?;
    let binding = bound(&service, &headers, &hash, &row)?;
    let ticket = Ticket { tx: String::new(), hash, binding, row };
    ticket.usable(&service, LoginStep::Password)?;
    if fields.get("iss") != Some(provider.issuer(&service).as_str()) {
        return Err(forged(&service));
    }
    if fields.get("error").is_some() {
        let text = "Nothing was changed. Go back and sign in another way, or try again.";
        let action = new_start(&ticket.row.purpose);
        let action = Some((action.as_str(), "Start again"));
        return Err(service.pages.message(StatusCode::OK, "You did not sign in", text, action).into());
    }
    let code = fields.get("code").ok_or_else(|| forged(&service))?;
    let claims = exchange(&service, provider, code, state, &ticket.binding)
        .await
        .map_err(|why| distrusted(&service, provider, &ticket, &why))?;
    let agent = service.write(|unit| unit.tx.agent_by_email(&claims.email))?;
    let agent = agent.filter(|agent| match provider {
        Provider::Google => agent.google,
        Provider::Sso => agent.sso,
    });
    let Some(agent) = agent else {
        let text = format!(
            "{} says that you are {}. No Hookswitch account signs in like that: ask your administrator.",
            provider.title(),
            claims.email
        );
        let action = new_start(&ticket.row.purpose);
        let action = Some((action.as_str(), "Sign in another way"));
        return Err(service.pages.message(StatusCode::FORBIDDEN, "No account for you here", &text, action).into());
    };
    let vouched = UpstreamSession { iss: claims.iss, sub: claims.sub, sid: claims.sid };
    Ok(login::finish(&service, &headers, &ticket, &agent, &address(&peer), Some(&vouched))?)
}

/// Exchanges the code and believes the ID token only after every check.
async fn exchange(
    service: &Shared,
    provider: Provider,
    code: &str,
    state: &str,
    binding: &str,
) -> Result<IdClaims, Distrust> {
    let metadata = discover(service, provider).await?;
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "authorization_code")
        .append_pair("client_id", CLIENT)
        .append_pair("code", code)
        .append_pair("redirect_uri", &provider.redirect_uri(service))
        .append_pair("code_verifier", &verifier(state, binding))
        .finish();
    let request = service
        .client
        .post(&metadata.token_endpoint)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let response = request.send().await?;
    if !response.status().is_success() {
        return Err(Distrust::Status(response.status()));
    }
    let answer: TokenAnswer = serde_json::from_slice(&response.bytes().await?)?;
    let id_token = answer.id_token.ok_or(Distrust::Claims)?;
    let keys: JwkSet = get(service, &metadata.jwks_uri.ok_or(Distrust::Issuer)?).await?;
    verify(&id_token, &keys, &metadata.issuer, &nonce(state, binding), service.now())
}

/// OpenID Connect Core, section 3.1.3.7.
fn verify(id_token: &str, keys: &JwkSet, issuer: &str, nonce: &str, now: i64) -> Result<IdClaims, Distrust> {
    let header = jsonwebtoken::decode_header(id_token)?;
    let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or(Distrust::Claims)?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[CLIENT]);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // By our clock, below: it may have been moved.
    validation.validate_exp = false;
    let claims: IdClaims = jsonwebtoken::decode(id_token, &DecodingKey::from_jwk(key)?, &validation)?.claims;
    let now = now / 1_000;
    let timely = claims.exp > now && claims.iat <= now + 60;
    if !timely || !secret::same(claims.nonce.as_deref().unwrap_or_default(), nonce) {
        return Err(Distrust::Claims);
    }
    if claims.email_verified { Ok(claims) } else { Err(Distrust::Unverified) }
}

fn provider(service: &Shared, name: &str) -> Result<Provider, Stop> {
    let text = "There is no page at this address.";
    Provider::parse(name).ok_or_else(|| service.pages.message(StatusCode::NOT_FOUND, "Nothing here", text, None).into())
}

fn forged(service: &Shared) -> Stop {
    let text = "The answer does not belong to a sign-in that you began here. Go back and sign in again.";
    let action = Some(("/", "Start again"));
    service.pages.message(StatusCode::BAD_REQUEST, "That sign-in is not ours", text, action).into()
}

fn distrusted(service: &Shared, provider: Provider, ticket: &Ticket, why: &Distrust) -> Stop {
    tracing::warn!(provider = provider.name(), %why, "an upstream sign-in failed");
    let text = format!("{} did not confirm who you are: {why}. Try again, or sign in another way.", provider.title());
    let action = new_start(&ticket.row.purpose);
    let action = Some((action.as_str(), "Start again"));
    service.pages.message(StatusCode::BAD_GATEWAY, "That did not work", &text, action).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Keys;

    const ISSUER: &str = "http://127.0.0.1:1/google";

    fn claims() -> IdClaims {
        IdClaims {
            iss: ISSUER.to_owned(),
            aud: CLIENT.to_owned(),
            sub: "1".to_owned(),
            nonce: Some("n".to_owned()),
            sid: None,
            email: "alice@acme.example".to_owned(),
            email_verified: true,
            name: "Alice".to_owned(),
            iat: 1_000,
            exp: 1_300,
        }
    }

    #[test]
    fn an_id_token_is_believed_only_when_everything_fits() {
        let keys = Keys::from_pkcs8(&Keys::generate().unwrap()).unwrap();
        let strangers = Keys::from_pkcs8(&Keys::generate().unwrap()).unwrap();
        let check = |signed_by: &Keys, claims: IdClaims, now: i64| {
            verify(&signed_by.sign(&claims).unwrap(), keys.public(), ISSUER, "n", now).is_ok()
        };
        assert!(check(&keys, claims(), 1_000_000));
        assert!(!check(&strangers, claims(), 1_000_000));
        assert!(!check(&keys, claims(), 1_300_000));
        assert!(!check(&keys, claims(), 900_000));
        let wrong: [fn(&mut IdClaims); 5] = [
            |c| c.iss = "http://127.0.0.1:1/acme".to_owned(),
            |c| c.aud = "another".to_owned(),
            |c| c.nonce = Some("m".to_owned()),
            |c| c.nonce = None,
            |c| c.email_verified = false,
        ];
        for (n, spoil) in wrong.into_iter().enumerate() {
            let mut claims = claims();
            spoil(&mut claims);
            assert!(!check(&keys, claims, 1_000_000), "{n}");
        }
    }
}
