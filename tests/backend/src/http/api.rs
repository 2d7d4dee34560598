//! State and commands.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use hookswitch_wire::{
    AnswerCall, CallId, DeviceId, ForwardTo, HEADER_IDEMPOTENCY_KEY, PhoneNumber, RegisterDevice, SendCode,
    SetAvailability, SetForwarding, SignedOutReason, VerifyNumber, Version,
};

use super::{
    ApiError, Shared,
    body::{Fields, bytes, json},
    caller::Caller,
    text,
};
use crate::{
    aggregate::Command,
    record::{AnswerWith, CommandOutcome, Order},
    secret,
    service::{Named, NotVerified, Published, ServiceError},
    store::Answer,
};

/// The longest wait of a long poll.
const LONGEST_WAIT: u64 = 30;

/// `GET /v1/me/state`: at once, or as soon as there is news.
pub(super) async fn state(
    State(service): State<Shared>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes())
        .map_err(|_| ApiError::malformed("A query parameter comes twice."))?;
    let Some(after) = query.get("after") else { return Ok(snapshot(&*service.current(&caller.account)?)) };
    let after: Version = after.parse().map_err(|error| ApiError::malformed(format!("{error}")).field("after"))?;
    let wait = match query.get("wait") {
        None => 0,
        Some(wait) => wait
            .parse::<u64>()
            .map_err(|_| ApiError::malformed("`wait` is a number of seconds.").field("wait"))?
            .min(LONGEST_WAIT),
    };
    let deadline = tokio::time::sleep(Duration::from_secs(wait));
    tokio::pin!(deadline);
    let mut news = service.bus.watch(&caller.account);
    let mut stopping = service.bus.stopping();
    loop {
        news.mark_unchanged();
        if service.session_ended(&caller.session)?.is_some() {
            return Err(ApiError::unauthenticated());
        }
        let published = service.current(&caller.account)?;
        let version = published.snapshot.version;
        if version > after || version.epoch != after.epoch {
            return Ok(snapshot(&published));
        }
        tokio::select! {
            _ = news.changed() => {}
            () = &mut deadline => return Ok(StatusCode::NO_CONTENT.into_response()),
            _ = stopping.wait_for(|stop| *stop) => return Ok(StatusCode::NO_CONTENT.into_response()),
        }
    }
}

fn snapshot(published: &Published) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    with_etag((headers, published.json.to_string()).into_response(), Some(&published.snapshot.version.etag()))
}

fn with_etag(mut response: Response, etag: Option<&str>) -> Response {
    if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// A request that changes something, before its body is understood.
pub(super) struct Request {
    method: Method,
    path: String,
    headers: HeaderMap,
    bytes: axum::body::Bytes,
}

impl<S: Send + Sync> axum::extract::FromRequest<S> for Request {
    type Rejection = ApiError;

    async fn from_request(request: axum::extract::Request<Body>, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let path = Uri::path(&parts.uri).to_owned();
        Ok(Self { method: parts.method, path, headers: parts.headers, bytes: bytes(body).await? })
    }
}

impl Request {
    fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, ApiError> {
        json(&self.headers, &self.bytes)
    }

    fn key(&self) -> Result<&str, ApiError> {
        let Some(value) = self.headers.get(HEADER_IDEMPOTENCY_KEY) else {
            return Err(ApiError::precondition(HEADER_IDEMPOTENCY_KEY));
        };
        let key = value.to_str().unwrap_or_default();
        let well_formed = (1..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
        if well_formed {
            Ok(key)
        } else {
            let detail = "Idempotency-Key has 1 to 128 visible ASCII characters.";
            Err(ApiError::malformed(detail).field(HEADER_IDEMPOTENCY_KEY))
        }
    }

    fn if_match(&self) -> Result<Version, ApiError> {
        let name = header::IF_MATCH.as_str();
        let value = text(&self.headers, name).ok_or_else(|| ApiError::precondition(name))?;
        value.parse().map_err(|error| ApiError::malformed(format!("{error}")).field(name))
    }

    /// What makes two requests the same command. `If-Match` is no part of it: a tap is rebased under its old key.
    fn fingerprint(&self) -> String {
        let body = String::from_utf8_lossy(&self.bytes);
        secret::derived("fingerprint", &[self.method.as_str(), &self.path, &body])
    }

    fn carry_out(
        &self,
        service: &Shared,
        caller: &Caller,
        if_match: Option<Version>,
        command: Command,
        answer: AnswerWith,
    ) -> Result<Response, ApiError> {
        let fingerprint = self.fingerprint();
        let (key, fingerprint) = (self.key()?, fingerprint.as_str());
        let order = Order { key, fingerprint, if_match, command, answer };
        let Answer { status, etag, body, .. } = match service.command(&caller.account, order)? {
            CommandOutcome::Done(answer) => answer,
            CommandOutcome::Withdrawn(current) => return Err(ServiceError::Stale(current).into()),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        if status == StatusCode::NO_CONTENT {
            return Ok(status.into_response());
        }
        let headers = [(header::CONTENT_TYPE, "application/json")];
        Ok(with_etag((status, headers, body).into_response(), etag.as_deref()))
    }
}

/// `PUT /v1/me/availability`
pub(super) async fn set_availability(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    request.key()?;
    let version = request.if_match()?;
    let SetAvailability { availability } = request.json()?;
    let by = caller.place_of_choice(&service)?;
    let command = Command::SetAvailability { availability, by };
    request.carry_out(&service, &caller, Some(version), command, AnswerWith::Snapshot)
}

/// `PUT /v1/me/forwarding`
pub(super) async fn set_forwarding(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    request.key()?;
    let version = request.if_match()?;
    let SetForwarding { number, until } = request.json()?;
    let to = match (number, until) {
        (Some(number), until) => {
            let number = callable(&number)?;
            if !service.may_forward_to(&caller.account, &number)? {
                return Err(ApiError::number_not_verified());
            }
            Some(ForwardTo { number, until })
        }
        (None, None) => None,
        (None, Some(_)) => return Err(ApiError::malformed("Only forwarding that is on has an end.").field("until")),
    };
    let by = caller.place_of_choice(&service)?;
    let command = Command::SetForwarding { to, by };
    request.carry_out(&service, &caller, Some(version), command, AnswerWith::Snapshot)
}

/// `POST /v1/me/forwarding/code`
pub(super) async fn send_code(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    let key = request.key()?;
    let SendCode { number, by } = request.json()?;
    let number = callable(&number)?;
    let fingerprint = request.fingerprint();
    let named = Named { account: &caller.account, key, fingerprint: &fingerprint };
    verified(service.send_code(named, &number, by)?)
}

/// `POST /v1/me/forwarding/verification`. Needs no memory of its key: once verified, always verified.
pub(super) async fn verify_number(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<Response, ApiError> {
    request.key()?;
    let VerifyNumber { number, code } = request.json()?;
    let number = callable(&number)?;
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    verified(service.verify_number(&caller.account, &number, &code)?)
}

fn verified(result: Result<(), NotVerified>) -> Result<Response, ApiError> {
    match result {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(NotVerified::WrongCode) => Err(ApiError::wrong_code()),
        Err(NotVerified::TooMany(wait)) => {
            let mut response = ApiError::too_many_codes().into_response();
            let seconds = wait.saturating_add(999) / 1_000;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            Ok(response)
        }
    }
}

/// A number in E.164 form that exists by its country's plan.
fn callable(text: &str) -> Result<PhoneNumber, ApiError> {
    let number: PhoneNumber = text.parse().map_err(|error| ApiError::invalid_number(&format!("{error}")))?;
    let exists = phonenumber::parse(None, number.as_str()).is_ok_and(|parsed| phonenumber::is_valid(&parsed));
    if exists { Ok(number) } else { Err(ApiError::invalid_number("No country has such a number.")) }
}

/// Names that apps make: short and visible.
fn name(text: String, what: &str) -> Result<String, ApiError> {
    let well_formed = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    let detail = || format!("`{what}` has 1 to 128 visible ASCII characters.");
    if well_formed { Ok(text) } else { Err(ApiError::malformed(detail()).field(what)) }
}

/// `PUT /v1/me/devices/{device_id}`
pub(super) async fn register(
    State(service): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    request.key()?;
    let device: RegisterDevice = request.json()?;
    if caller.place.is_some() {
        return Err(ApiError::forbidden("Only a phone registers itself."));
    }
    let id = DeviceId(name(id, "device_id")?);
    if device.name.chars().count() > 200 || device.app_version.len() > 100 {
        return Err(ApiError::malformed("The name or the version is too long.").field("name"));
    }
    let command = Command::Register { id, device, session: caller.session.clone() };
    request.carry_out(&service, &caller, None, command, AnswerWith::Snapshot)
}

/// `DELETE /v1/me/devices/{device_id}`
pub(super) async fn unregister(
    State(service): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let command = Command::Unregister(DeviceId(name(id, "device_id")?));
    request.carry_out(&service, &caller, None, command, AnswerWith::Nothing)
}

/// `POST /v1/me/calls/{call_id}/answer`
pub(super) async fn answer(
    State(service): State<Shared>,
    caller: Caller,
    Path(call_id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    request.key()?;
    // "Browser surfaces leave it out" may well mean the whole body.
    let AnswerCall { device } = if request.bytes.is_empty() { AnswerCall { device: None } } else { request.json()? };
    let by = caller.surface(&service, device)?;
    let command = Command::Answer { call_id: CallId(call_id), by };
    request.carry_out(&service, &caller, None, command, AnswerWith::Snapshot)
}

/// `POST /v1/me/calls/{call_id}/decline`
pub(super) async fn decline(
    State(service): State<Shared>,
    caller: Caller,
    Path(call_id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let command = Command::Decline { call_id: CallId(call_id), by: caller.device(&service)? };
    request.carry_out(&service, &caller, None, command, AnswerWith::Snapshot)
}

/// `POST /v1/me/calls/{call_id}/hang-up`
pub(super) async fn hang_up(
    State(service): State<Shared>,
    caller: Caller,
    Path(call_id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let command = Command::HangUp { call_id: CallId(call_id), by: caller.device(&service)? };
    request.carry_out(&service, &caller, None, command, AnswerWith::Snapshot)
}

/// `POST /v1/me/calls/{call_id}/lease`
pub(super) async fn lease(
    State(service): State<Shared>,
    caller: Caller,
    Path(call_id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    request.carry_out(&service, &caller, None, Command::Renew(CallId(call_id)), AnswerWith::Snapshot)
}

/// `DELETE /v1/me/sessions/{session_id}`: signs another device out, or this one. Needs no memory of its key.
pub(super) async fn sign_out_session(
    State(service): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    request.key()?;
    service.sign_out_session(&caller.account, &id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/me/sign-out-everywhere`. Needs no memory of its key: the second time, nobody is signed in.
pub(super) async fn sign_out_everywhere(
    State(service): State<Shared>,
    caller: Caller,
    request: Request,
) -> Result<StatusCode, ApiError> {
    request.key()?;
    service.write(|unit| unit.end_all_sessions(&caller.account, SignedOutReason::SignedOutElsewhere))?;
    Ok(StatusCode::NO_CONTENT)
}
