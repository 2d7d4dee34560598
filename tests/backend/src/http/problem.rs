//! Errors of the API, as RFC 9457 wants them.

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hookswitch_wire::{
    Problem, Snapshot,
    problem::{PROBLEM_JSON, code},
};

use super::Shared;
use crate::{aggregate::Refusal, service::ServiceError, store::StoreError};

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct ApiError {
    problem: Box<Problem>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, title: &str, detail: impl Into<String>) -> Self {
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: title.to_owned(),
            status: status.as_u16(),
            code: code.to_owned(),
            detail: Some(detail.into()),
            field: None,
            current: None,
        };
        Self { problem: Box::new(problem) }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::MALFORMED, "The request is malformed", detail)
    }

    pub(crate) fn field(mut self, field: &str) -> Self {
        self.problem.field = Some(field.to_owned());
        self
    }

    pub(crate) fn unauthenticated() -> Self {
        let detail = "Sign in, or refresh the access token.";
        Self::new(StatusCode::UNAUTHORIZED, code::UNAUTHENTICATED, "Not signed in", detail)
    }

    pub(crate) fn forbidden(detail: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, code::FORBIDDEN, "Not allowed", detail)
    }

    pub(crate) fn csrf() -> Self {
        let detail = "X-CSRF-Token must be the csrf value of GET /app/session.";
        Self::new(StatusCode::FORBIDDEN, code::CSRF, "The CSRF token is missing or wrong", detail)
    }

    pub(crate) fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code::NOT_FOUND, "Not found", detail)
    }

    pub(crate) fn precondition(header: &str) -> Self {
        let detail = format!("This request needs the header {header}.");
        Self::new(StatusCode::PRECONDITION_REQUIRED, code::PRECONDITION_REQUIRED, "A header is missing", detail)
            .field(header)
    }

    pub(crate) fn invalid_number(detail: &str) -> Self {
        let title = "Not a phone number that can be called";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::INVALID_NUMBER, title, detail).field("number")
    }

    pub(crate) fn number_not_verified() -> Self {
        let detail = "Nobody has shown yet that you can be reached at this number: have a code sent there first.";
        let title = "The number is not verified";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::NUMBER_NOT_VERIFIED, title, detail).field("number")
    }

    pub(crate) fn wrong_code() -> Self {
        let detail = "It is not the code that was sent last, or it is no longer good: have another one sent.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::WRONG_CODE, "The code is wrong", detail).field("code")
    }

    pub(crate) fn too_many_codes() -> Self {
        let detail = "Too many codes were sent; wait a while.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, code::RATE_LIMITED, "Too many codes", detail)
    }

    pub(crate) fn too_large() -> Self {
        let detail = "The body is larger than 64 KiB.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code::MALFORMED, "The request is too large", detail)
    }

    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        let detail = "The server failed; try again.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, "Internal error", detail)
    }

    fn stale(current: Box<Snapshot>) -> Self {
        let detail = "If-Match names an older state; `current` has the newest.";
        let mut error = Self::new(StatusCode::PRECONDITION_FAILED, code::STALE, "The state has changed", detail);
        error.problem.current = Some(current);
        error
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::NoSuchAgent => Self::not_found("There is no such agent."),
            ServiceError::NoSuchSession => Self::not_found("There is no such session."),
            ServiceError::Refused(Refusal::NoSuchCall) => Self::not_found("There is no such call."),
            ServiceError::Refused(Refusal::NoSuchDevice) => Self::not_found("There is no such device."),
            ServiceError::Refused(Refusal::CallTaken) => {
                let detail = "It was answered elsewhere, or it is over.";
                Self::new(StatusCode::CONFLICT, code::CALL_TAKEN, "The call is gone", detail)
            }
            ServiceError::Refused(Refusal::EndsInThePast) => {
                let detail = "Forwarding ends at a time that is over, by the server's clock.";
                let title = "The end is not in the future";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::INVALID_UNTIL, title, detail).field("until")
            }
            ServiceError::Stale(current) => Self::stale(current),
            ServiceError::KeyReused => {
                let detail = "Idempotency-Key named another command before; take a new one.";
                let title = "The idempotency key was used before";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code::KEY_REUSED, title, detail).field("idempotency-key")
            }
            ServiceError::Invalid(field) => Self::malformed(format!("invalid {field}")).field(field),
            error @ (ServiceError::Store(_) | ServiceError::Random(_) | ServiceError::Crypto(_)) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let etag = self.problem.current.as_ref().map(|snapshot| snapshot.version.etag());
        let mut response = (status, Json(self.problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
        }
        if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
            headers.insert(header::ETAG, etag);
        }
        response
    }
}

/// Programs get a problem, people a page.
fn wants_problem(path: &str) -> bool {
    [
        "/v1/",
        "/operator/",
        "/token",
        "/revoke",
        "/backchannel-logout/",
        "/jwks",
        "/.well-known/",
        "/app/session",
        "/app/sign-out",
    ]
    .iter()
    .any(|prefix| path.starts_with(prefix))
}

pub(super) async fn not_found(State(service): State<Shared>, request: Request) -> Response {
    if wants_problem(request.uri().path()) {
        return ApiError::not_found("There is nothing at this address.").into_response();
    }
    service.pages.message(StatusCode::NOT_FOUND, "Nothing here", "There is no page at this address.", None)
}

pub(super) async fn method_not_allowed(State(service): State<Shared>, request: Request) -> Response {
    if wants_problem(request.uri().path()) {
        let detail = format!("{} does not work here.", request.method());
        return ApiError::new(StatusCode::METHOD_NOT_ALLOWED, code::MALFORMED, "Method not allowed", detail)
            .into_response();
    }
    let title = "That does not work here";
    service.pages.message(StatusCode::METHOD_NOT_ALLOWED, title, "Go back and try another way.", None)
}
