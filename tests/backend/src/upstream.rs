//! The built-in upstream issuer: "Google" and "Acme SSO" are two tenants of it, on a port of its own. It stands for the
//! identity providers of the world, so it shares nothing with our issuer but the database it happens to live in.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::clock::Millis;
use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, RawQuery, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hookswitch_wire::TokenAnswer;
use minijinja::context;
use serde_json::json;

use crate::{
    http::{
        MOST_LOGIN_COOKIES, OauthError, Shared, UPSTREAM_CLIENT, address, asset,
        body::{Fields, Form},
        cookies, no_store, oauth_form,
        pages::Forms,
        redirect,
    },
    identity::{IdClaims, is_password},
    secret,
    service::{Service, ServiceError},
};

/// An identity provider.
pub(crate) struct Tenant {
    /// Its name in addresses, after `/sso/`.
    pub(crate) name: &'static str,
    /// Its name on the sign-in page.
    pub(crate) title: &'static str,
}

/// "Continue with Google".
pub(crate) const GOOGLE: Tenant = Tenant { name: "google", title: "Google" };
/// The SSO of a company.
pub(crate) const ACME: Tenant = Tenant { name: "acme", title: "Acme SSO" };

const LOGIN_LIFE: i64 = 10 * 60_000;
const CODE_LIFE: i64 = 60_000;

/// What the upstream issuer remembers while people sign in.
struct Upstream {
    service: Shared,
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    logins: HashMap<String, Login>,
    codes: HashMap<String, Code>,
}

struct Login {
    tenant: &'static Tenant,
    redirect_uri: String,
    state: String,
    nonce: String,
    challenge: String,
    expires_at: Millis,
}

struct Code {
    login: Login,
    email: String,
    expires_at: Millis,
}

impl Upstream {
    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.service.now();
        under_way.logins.retain(|_, login| login.expires_at > now);
        under_way.codes.retain(|_, code| code.expires_at > now);
        under_way
    }

    fn issuer(&self, tenant: &Tenant) -> String {
        issuer(&self.service, tenant)
    }

    fn refuse(&self, text: &str) -> Response {
        self.service.pages.message(StatusCode::BAD_REQUEST, "This sign-in cannot go on", text, None)
    }
}

/// The tenant's issuer identifier (RFC 8414): an address of this very server.
pub(crate) fn issuer(service: &Service, tenant: &Tenant) -> String {
    format!("{}/{}", service.upstream_url, tenant.name)
}

/// How an issuer names a person.
pub(crate) fn subject(issuer: &str, email: &str) -> String {
    secret::derived("upstream sub", &[issuer, email])
}

pub(crate) fn tenant(name: &str) -> Option<&'static Tenant> {
    [&GOOGLE, &ACME].into_iter().find(|tenant| tenant.name == name)
}

type Here = State<Arc<Upstream>>;

/// All paths of the upstream issuer.
pub(crate) fn router(service: Shared) -> Router {
    let upstream = Arc::new(Upstream { service, under_way: Mutex::default() });
    Router::new()
        .route("/{tenant}/.well-known/openid-configuration", get(metadata))
        .route("/{tenant}/jwks", get(jwks))
        .route("/{tenant}/authorize", get(authorize))
        .route("/{tenant}/login", get(page).post(password))
        .route("/{tenant}/token", post(token))
        .route("/assets/{file}", get(asset))
        .with_state(upstream)
}

async fn metadata(State(upstream): Here, Path(name): Path<String>) -> Response {
    let Some(tenant) = tenant(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let issuer = upstream.issuer(tenant);
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "authorization_response_iss_parameter_supported": true,
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["authorization_code"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
    }))
    .into_response()
}

async fn jwks(State(upstream): Here) -> Response {
    Json(upstream.service.upstream_keys.public()).into_response()
}

/// Its one client is our issuer.
async fn authorize(
    State(upstream): Here,
    headers: HeaderMap,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes()).ok();
    let (Some(tenant), Some(fields)) = (tenant(&name), fields) else { return upstream.refuse("It is malformed.") };
    let redirect_uri = fields.text("redirect_uri");
    let ours = ["google", "sso"].map(|name| format!("{}/login/{name}/callback", upstream.service.base_url));
    let known = fields.get("client_id") == Some(UPSTREAM_CLIENT) && ours.iter().any(|uri| uri == redirect_uri);
    let proper = fields.get("response_type") == Some("code")
        && fields.get("code_challenge_method") == Some("S256")
        && ["state", "nonce", "code_challenge"].iter().all(|name| fields.get(name).is_some());
    let (true, true, Ok(tx), Ok(fresh)) = (known, proper, secret::random(), secret::random()) else {
        return upstream.refuse("The service that sent you here is not known, or asked for something odd.");
    };
    let known = cookies::read(&headers, "", cookies::UPSTREAM).filter(|binding| binding.len() == 43);
    let binding = known.map_or(fresh, str::to_owned);
    let login = Login {
        tenant,
        redirect_uri: redirect_uri.to_owned(),
        state: fields.text("state").to_owned(),
        nonce: fields.text("nonce").to_owned(),
        challenge: fields.text("code_challenge").to_owned(),
        expires_at: upstream.service.now() + LOGIN_LIFE,
    };
    upstream.under_way().logins.insert(key(&tx, &binding), login);
    let mut response = redirect(StatusCode::FOUND, &format!("/{}/login?tx={tx}", tenant.name));
    response.headers_mut().extend(cookies::set("", cookies::UPSTREAM, &binding, 3_600));
    if cookies::logins(&headers, "", cookies::UPSTREAM) < MOST_LOGIN_COOKIES {
        let own = cookies::of_login(cookies::UPSTREAM, &secret::stored(&tx));
        response.headers_mut().extend(cookies::set("", &own, &binding, LOGIN_LIFE / 1_000));
    }
    response
}

/// The cookie that binds this login to its browser, as far as that can be told without the login.
fn binding<'h>(headers: &'h HeaderMap, tx: &str) -> &'h str {
    let own = cookies::of_login(cookies::UPSTREAM, &secret::stored(tx));
    let own = cookies::read(headers, "", &own);
    own.or_else(|| cookies::read(headers, "", cookies::UPSTREAM)).unwrap_or_default()
}

/// A login is found only together with the cookie of the browser that began it.
fn key(tx: &str, binding: &str) -> String {
    secret::derived("upstream login", &[tx, binding])
}

fn csrf(tx: &str, binding: &str) -> String {
    secret::derived("upstream csrf", &[tx, binding])
}

fn show(upstream: &Upstream, status: StatusCode, tenant: &Tenant, tx: &str, binding: &str, email: &str) -> Response {
    let error = match status {
        StatusCode::UNAUTHORIZED => Some("E-mail or password is wrong."),
        StatusCode::TOO_MANY_REQUESTS => Some("Too many attempts. Wait a few minutes, then try again."),
        _ => None,
    };
    let with = context! { provider => tenant.title, csrf => csrf(tx, binding), tx, email, error };
    upstream.service.pages.page(status, "upstream_login.html", &Forms::Anywhere, with)
}

async fn page(
    State(upstream): Here,
    headers: HeaderMap,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes()).ok();
    let (Some(tenant), Some(fields)) = (tenant(&name), fields) else { return upstream.refuse("It is malformed.") };
    let tx = fields.text("tx");
    let binding = binding(&headers, tx);
    if !upstream.under_way().logins.contains_key(&key(tx, binding)) {
        return upstream.refuse("It has expired, or it was begun in another browser.");
    }
    show(&upstream, StatusCode::OK, tenant, tx, binding, "")
}

async fn password(
    State(upstream): Here,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Path(name): Path<String>,
    Form(fields): Form,
) -> Response {
    let Some(tenant) = tenant(&name) else { return upstream.refuse("It is malformed.") };
    let (tx, email) = (fields.text("tx"), fields.text("email").trim().to_lowercase());
    let binding = binding(&headers, tx);
    if !secret::same(fields.text("csrf"), &csrf(tx, binding)) {
        return upstream.refuse("The form did not come from this page.");
    }
    let (service, now) = (&upstream.service, upstream.service.now());
    let limit = format!("{} {email} {}", tenant.name, address(&peer));
    if service.failures().check(&limit, now).is_err() {
        return show(&upstream, StatusCode::TOO_MANY_REQUESTS, tenant, tx, binding, &email);
    }
    let Ok(user) = service.write(|unit| unit.tx.upstream_user(tenant.name, &email)) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let hash = user.as_ref().map_or(&service.no_password, |user| &user.password).clone();
    let given = fields.text("password").to_owned();
    let matches = tokio::task::spawn_blocking(move || is_password(&given, &hash)).await.unwrap_or(false);
    if !matches || user.is_none() {
        service.failures().failed(&limit, now);
        return show(&upstream, StatusCode::UNAUTHORIZED, tenant, tx, binding, &email);
    }
    let Ok(code) = secret::random() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut under_way = upstream.under_way();
    let Some(login) = under_way.logins.remove(&key(tx, binding)) else {
        return upstream.refuse("It has expired, or it was used before.");
    };
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("code", &code)
        .append_pair("state", &login.state)
        .append_pair("iss", &upstream.issuer(login.tenant))
        .finish();
    let to = format!("{}?{query}", login.redirect_uri);
    under_way.codes.insert(secret::stored(&code), Code { login, email, expires_at: now + CODE_LIFE });
    redirect(StatusCode::SEE_OTHER, &to)
}

async fn token(State(upstream): Here, Path(name): Path<String>, request: Request) -> Result<Response, OauthError> {
    let fields = oauth_form(request).await?;
    let code = upstream
        .under_way()
        .codes
        .remove(&secret::stored(fields.text("code")))
        .ok_or_else(|| OauthError::new("invalid_grant", "unknown code"))?;
    let Code { login, email, .. } = code;
    let fits = fields.get("grant_type") == Some("authorization_code")
        && fields.get("client_id") == Some(UPSTREAM_CLIENT)
        && fields.get("redirect_uri") == Some(login.redirect_uri.as_str())
        && login.tenant.name == name
        && secret::pkce_holds(fields.text("code_verifier"), &login.challenge);
    if !fits {
        return Err(OauthError::new("invalid_grant", "the code belongs to another request"));
    }
    let service = &upstream.service;
    let user = service
        .write(|unit| Ok::<_, ServiceError>(unit.tx.upstream_user(login.tenant.name, &email)?))?
        .ok_or_else(|| OauthError::new("invalid_grant", "the user is gone"))?;
    let sid = secret::name("upstream-").map_err(ServiceError::from)?;
    service.write(|unit| {
        Ok::<_, ServiceError>(unit.tx.insert_upstream_sign_in(login.tenant.name, &user.email, &sid)?)
    })?;
    let iat = service.now() / 1_000;
    let issuer = upstream.issuer(login.tenant);
    let claims = IdClaims {
        sub: subject(&issuer, &user.email),
        iss: issuer,
        aud: UPSTREAM_CLIENT.to_owned(),
        nonce: Some(login.nonce),
        sid: Some(sid),
        email: user.email,
        email_verified: user.email_verified,
        name: user.name,
        iat,
        exp: iat + 300,
    };
    let answer = TokenAnswer {
        access_token: secret::random().map_err(ServiceError::from)?,
        token_type: "Bearer".to_owned(),
        expires_in: Some(300),
        refresh_token: None,
        id_token: Some(service.upstream_keys.sign(&claims)?),
        scope: None,
    };
    Ok((no_store(), Json(answer)).into_response())
}
