//! The pages that a session opens: Workspace, Dashboard, widgets, desktop.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use hookswitch_wire::{HEADER_CSRF, SignedOutReason};
use minijinja::context;
use serde_json::json;

use super::{
    ApiError, Shared, address,
    body::Fields,
    caller::{Place, by_cookie, csrf_token, session_cookie},
    cookies,
    login::{self, Begin, may_open_dashboard},
    pages::Forms,
    redirect, text,
};
use crate::{
    secret,
    service::ServiceError,
    store::{AgentRow, LoginStep, Purpose, SessionRow},
};

/// `GET /`
pub(super) async fn root() -> Response {
    redirect(StatusCode::FOUND, Place::Web.path())
}

/// `GET /app/{web,dashboard,desktop}`
pub(super) async fn surface(
    State(service): State<Shared>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    open(&service, &headers, &address(&peer), &name)
}

/// `GET /app/cti/{zendesk,salesforce,hubspot}`
pub(super) async fn cti(
    State(service): State<Shared>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Path(host): Path<String>,
) -> Result<Response, ApiError> {
    open(&service, &headers, &address(&peer), &format!("cti-{host}"))
}

fn agent(service: &Shared, session: &SessionRow) -> Result<AgentRow, ApiError> {
    Ok(service.write(|unit| unit.tx.agent(&session.account))?.ok_or(ServiceError::NoSuchAgent)?)
}

fn open(service: &Shared, headers: &HeaderMap, address: &str, name: &str) -> Result<Response, ApiError> {
    // `/app/cti-zendesk` is no address; its page is `/app/cti/zendesk`.
    let Some(place) = Place::parse(name) else {
        let text = "There is no page at this address.";
        return Ok(service.pages.message(StatusCode::NOT_FOUND, "Nothing here", text, None));
    };
    let purpose = || Purpose::Page {
        group: place.group(),
        path: place.path().to_owned(),
        label: place.title().to_owned(),
        second_factor: place == Place::Dashboard,
    };
    let Some((session, cookie)) = by_cookie(service, headers, place.group(), address)? else {
        let begin = Begin { purpose: purpose(), step: LoginStep::Password, account: None, session: None };
        return login::begin(service, headers, begin);
    };
    if place == Place::Dashboard {
        let agent = agent(service, &session)?;
        if !may_open_dashboard(&agent) {
            return Ok(redirect(StatusCode::FOUND, "/get-the-app"));
        }
        if agent.totp_secret.is_some() && !session.second_factor {
            let begin = Begin {
                purpose: purpose(),
                step: LoginStep::Totp,
                account: Some(session.account),
                session: Some(session.id),
            };
            return login::begin(service, headers, begin);
        }
    }
    let with = context! { surface => place.name(), title => place.title(), csrf => csrf_token(&cookie) };
    Ok(service.pages.page(StatusCode::OK, "surface.html", &Forms::Here, with))
}

/// `GET /get-the-app`
pub(super) async fn get_the_app(
    State(service): State<Shared>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Some((session, _)) = by_cookie(&service, &headers, Place::Web.group(), &address(&peer))? else {
        return Ok(redirect(StatusCode::FOUND, Place::Web.path()));
    };
    let agent = agent(&service, &session)?;
    let with = context! { name => agent.aggregate.agent.name, email => agent.email };
    Ok(service.pages.page(StatusCode::OK, "get_the_app.html", &Forms::Here, with))
}

fn place(query: Option<&str>) -> Result<Place, ApiError> {
    Fields::parse(query.unwrap_or_default().as_bytes())
        .ok()
        .and_then(|fields| fields.get("surface").and_then(Place::parse))
        .ok_or_else(|| ApiError::malformed("`surface` names one of our pages.").field("surface"))
}

/// `GET /app/session`: what a page has to know of its session.
pub(super) async fn session(
    State(service): State<Shared>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let place = place(query.as_deref())?;
    let Some((session, cookie)) = by_cookie(&service, &headers, place.group(), &address(&peer))? else {
        let nobody =
            json!({ "signed_in": false, "agent": null, "session": null, "csrf": null, "second_factor": "none" });
        return Ok(Json(nobody).into_response());
    };
    let agent = agent(&service, &session)?;
    let second_factor = match (&agent.totp_secret, session.second_factor) {
        (None, _) => "none",
        (Some(_), true) => "done",
        (Some(_), false) => "needed",
    };
    let somebody = json!({
        "signed_in": true,
        "agent": agent.aggregate.agent,
        "session": session.id,
        "csrf": csrf_token(&cookie),
        "second_factor": second_factor,
    });
    Ok(Json(somebody).into_response())
}

/// `POST /app/sign-out`: ends the session that this page shares, and no other.
pub(super) async fn sign_out(
    State(service): State<Shared>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let place = place(query.as_deref())?;
    let (session, cookie) =
        by_cookie(&service, &headers, place.group(), &address(&peer))?.ok_or_else(ApiError::unauthenticated)?;
    if !secret::same(text(&headers, HEADER_CSRF).unwrap_or_default(), &csrf_token(&cookie)) {
        return Err(ApiError::csrf());
    }
    service.write(|unit| unit.end_session(&session.id, SignedOutReason::SignedOutElsewhere))?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().extend(cookies::set(&service.base_url, session_cookie(place.group()), "", 0));
    Ok(response)
}
