//! HTTP: the router, what every answer carries, and who is asking.

mod api;
mod app;
mod assets;
mod authorize;
pub(crate) mod body;
mod caller;
pub(crate) mod cookies;
mod faults;
mod login;
mod logout;
mod operator;
pub(crate) mod pages;
mod problem;
mod sso;
mod stream;
mod token;
mod well_known;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::{ConnectInfo, DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, post, put},
};

use hookswitch_wire::{HEADER_TRACEPARENT, TraceId};
use tracing::Instrument;

use crate::{
    operator::RequestLog,
    service::{Service, ServiceError, TRACE},
    store::StoreError,
};

pub(crate) use assets::asset;
pub(crate) use login::MOST_COOKIES as MOST_LOGIN_COOKIES;
pub(crate) use logout::logout_uri;
pub(crate) use problem::ApiError;
pub(crate) use sso::CLIENT as UPSTREAM_CLIENT;
pub(crate) use token::{OauthError, form as oauth_form, no_store};

/// No request of ours is bigger.
pub(crate) const BODY_LIMIT: usize = 64 * 1_024;

/// What handlers share.
pub(crate) type Shared = Arc<Service>;

/// All paths.
pub(crate) fn router(service: Shared) -> Router {
    let api = Router::new()
        .route("/v1/me/state", get(api::state))
        .route("/v1/me/stream", get(stream::stream))
        .route("/v1/me/availability", put(api::set_availability))
        .route("/v1/me/forwarding", put(api::set_forwarding))
        .route("/v1/me/forwarding/code", post(api::send_code))
        .route("/v1/me/forwarding/verification", post(api::verify_number))
        .route("/v1/me/devices/{device_id}", put(api::register).delete(api::unregister))
        .route("/v1/me/sessions/{session_id}", delete(api::sign_out_session))
        .route("/v1/me/calls/{call_id}/answer", post(api::answer))
        .route("/v1/me/calls/{call_id}/decline", post(api::decline))
        .route("/v1/me/calls/{call_id}/hang-up", post(api::hang_up))
        .route("/v1/me/calls/{call_id}/lease", post(api::lease))
        .route("/v1/me/sign-out-everywhere", post(api::sign_out_everywhere));
    let issuer = Router::new()
        .route("/.well-known/openid-configuration", get(token::metadata))
        .route("/.well-known/oauth-authorization-server", get(token::metadata))
        .route("/.well-known/assetlinks.json", get(well_known::android))
        .route("/.well-known/apple-app-site-association", get(well_known::apple))
        .route("/jwks", get(token::jwks))
        .route("/backchannel-logout/{provider}", post(logout::receive))
        .route("/authorize", get(authorize::get).post(authorize::post))
        .route("/token", post(token::token))
        .route("/revoke", post(token::revoke))
        .route("/login", get(login::page).post(login::password))
        .route("/login/totp", get(login::totp_page).post(login::totp))
        .route("/login/{provider}", get(sso::start))
        .route("/login/{provider}/callback", get(sso::callback));
    let pages = Router::new()
        .route("/", get(app::root))
        .route("/get-the-app", get(app::get_the_app))
        .route("/app/{surface}", get(app::surface))
        .route("/app/cti/{host}", get(app::cti))
        .route("/app/session", get(app::session))
        .route("/app/sign-out", post(app::sign_out))
        .route("/assets/{file}", get(assets::asset));
    let mut all = api.merge(issuer).merge(pages);
    if service.config.operator_key.is_some() {
        all = all.merge(operator::router());
    }
    all.fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&service), faults::inject))
        .layer(middleware::from_fn_with_state(Arc::clone(&service), every_answer))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(service)
}

/// Whose request it turned out to be, for the log: a kind of surface, never a secret.
#[derive(Clone, Default)]
pub(crate) struct Label(Arc<Mutex<String>>);

impl Label {
    pub(crate) fn set(&self, label: &str) {
        label.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn take(&self) -> String {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `Date` by our clock, headers that every answer carries, and a line in the log.
async fn every_answer(State(service): State<Shared>, mut request: Request, next: Next) -> Response {
    let label = Label::default();
    request.extensions_mut().insert(label.clone());
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let header = request.headers().get(HEADER_TRACEPARENT).and_then(|value| value.to_str().ok());
    let trace = header.and_then(TraceId::of_traceparent);
    let began = Instant::now();
    service.counters.request();
    let span = tracing::info_span!("request", %method, route = route.as_ref().map(MatchedPath::as_str), ?trace);
    let mut response = TRACE.scope(trace, next.run(request).instrument(span.clone())).await;
    let at = service.now();
    let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(at).unwrap_or_default());
    let headers = response.headers_mut();
    if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(date)) {
        headers.insert(header::DATE, date);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if service.base_url.starts_with("https:") {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    let lost = response.extensions().get::<faults::Lost>().is_some();
    let status = if lost { 0 } else { response.status().as_u16() };
    tracing::debug!(parent: &span, status, "answered");
    service.metrics.answered(&method, route.as_ref().map(MatchedPath::as_str), status, began.elapsed());
    service.log(RequestLog { at, method, path, status, who: label.take() });
    response
}

/// Ends a handler with this answer, typically a page that says why. Boxed, because every `Result` carries it.
pub(crate) struct Stop(Box<Response>);

impl From<Response> for Stop {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        error.into_response().into()
    }
}

impl From<ServiceError> for Stop {
    fn from(error: ServiceError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        ApiError::from(error).into()
    }
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// The network address of whoever asks.
pub(crate) fn address(ConnectInfo(address): &ConnectInfo<SocketAddr>) -> String {
    address.ip().to_string()
}

/// A header, if it is there and is text.
pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Sends a browser elsewhere.
pub(crate) fn redirect(status: axum::http::StatusCode, to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(location) => (status, [(header::LOCATION, location)]).into_response(),
        Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
