//! Carries out the faults of [`crate::faults`] on the way in and on the way out.

use std::{io, time::Duration};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use hookswitch_wire::problem::code;

use super::{
    ApiError, Shared, Stop,
    body::{Fields, bytes, is_media_type},
    text,
    token::too_large,
};
use crate::faults::{Fault, Where};

/// Marks an answer that the client never gets.
#[derive(Clone, Copy)]
pub(super) struct Lost;

/// The most of an answer that is held to be spoilt; none of ours is bigger.
const MOST: usize = 16 * 1_024 * 1_024;

/// Lets a request meet the fault that is ordered for it.
pub(super) async fn inject(State(service): State<Shared>, request: Request, next: Next) -> Result<Response, Stop> {
    let is_token = request.method() == Method::POST && request.uri().path() == "/token";
    let (request, grant_type) = if is_token { read_token_request(&service, request).await? } else { (request, None) };
    let spot = Where {
        is_get: request.method() == Method::GET,
        path: request.uri().path(),
        grant_type: grant_type.as_deref(),
    };
    match service.faults.meet(&spot) {
        None => Ok(next.run(request).await),
        Some(fault) => Ok(meet(fault, request, next).await),
    }
}

/// Counts a request of the token endpoint, before anything can happen to it.
async fn read_token_request(service: &Shared, request: Request) -> Result<(Request, Option<String>), Stop> {
    service.counters.token();
    let (parts, body) = request.into_parts();
    let bytes = bytes(body).await.map_err(|_: ApiError| too_large().into_response())?;
    let is_form = is_media_type(&parts.headers, "application/x-www-form-urlencoded");
    let fields = Fields::parse(&bytes).ok().filter(|_| is_form);
    let grant_type = fields.as_ref().and_then(|fields| fields.get("grant_type")).map(str::to_owned);
    if grant_type.as_deref() == Some("refresh_token")
        && let Some(token) = fields.as_ref().and_then(|fields| fields.get("refresh_token"))
    {
        service.refresh_came(token)?;
    }
    Ok((Request::from_parts(parts, Body::from(bytes)), grant_type))
}

async fn meet(fault: Fault, request: Request, next: Next) -> Response {
    match fault {
        Fault::BeforeCommit => cut(),
        Fault::AfterCommit => {
            next.run(request).await;
            cut()
        }
        Fault::TruncatedBody => truncated(next.run(request).await).await,
        Fault::SlowDrip { every_ms } => dripping(next.run(request).await, Duration::from_millis(every_ms)),
        Fault::Delay { ms } => {
            let answer = next.run(request).await;
            tokio::time::sleep(Duration::from_millis(ms)).await;
            answer
        }
        Fault::CaptivePortal => captive_portal(),
        Fault::WrongContentType => {
            let mut answer = next.run(request).await;
            answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            answer
        }
        Fault::ServerError => {
            let title = "Internal error";
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, title, "A fault on order.").into_response()
        }
        Fault::TooManyRequests { retry_after_s } => {
            let (status, title) = (StatusCode::TOO_MANY_REQUESTS, "Too many requests");
            let mut answer = ApiError::new(status, code::RATE_LIMITED, title, "A fault on order.").into_response();
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
            answer
        }
        Fault::MalformedJson => malformed(next.run(request).await).await,
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "a fault on order")
}

/// A body that fails before its first byte: the server closes the connection without having sent the head.
fn cut() -> Response {
    let body = Body::from_stream(stream::once(async { Err::<Bytes, _>(broken()) }));
    let mut answer = Response::new(body);
    answer.extensions_mut().insert(Lost);
    answer
}

/// Says how long the body would have been, as the answer does when nothing goes wrong.
fn keep_length(headers: &mut HeaderMap, body: &Body) {
    if let Some(length) = body.size_hint().exact() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

async fn truncated(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    keep_length(&mut parts.headers, &body);
    let Some(Ok(first)) = body.into_data_stream().next().await else { return cut() };
    let half = first.slice(..first.len() / 2);
    let body = stream::unfold(Some(half), |left| async move {
        match left {
            Some(half) if !half.is_empty() => Some((Ok(half), Some(Bytes::new()))),
            Some(_) => {
                // A body that waits is a body whose beginning is sent.
                tokio::task::yield_now().await;
                Some((Err(broken()), None))
            }
            None => None,
        }
    });
    Response::from_parts(parts, Body::from_stream(body))
}

fn dripping(answer: Response, every: Duration) -> Response {
    struct Drip {
        rest: BodyDataStream,
        now: Bytes,
        every: Duration,
    }
    let (mut parts, body) = answer.into_parts();
    keep_length(&mut parts.headers, &body);
    let drip = Drip { rest: body.into_data_stream(), now: Bytes::new(), every };
    let body = stream::unfold(drip, |mut drip| async move {
        while drip.now.is_empty() {
            match drip.rest.next().await? {
                Ok(bytes) => drip.now = bytes,
                Err(error) => return Some((Err(error), drip)),
            }
        }
        if drip.every.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(drip.every).await;
        }
        let byte = drip.now.split_to(1);
        Some((Ok(byte), drip))
    });
    Response::from_parts(parts, Body::from_stream(body))
}

fn captive_portal() -> Response {
    let page =
        "<!doctype html><html lang=\"en\"><title>Guest Wi-Fi</title><h1>Welcome</h1><form><button>Connect</button>";
    Html(page).into_response()
}

async fn malformed(answer: Response) -> Response {
    let is_stream = text(answer.headers(), "content-type").is_some_and(|given| given.starts_with("text/event-stream"));
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    if is_stream {
        return Response::from_parts(parts, Body::from("event: state\nid: 1-1\ndata: {\n\n"));
    }
    let whole = axum::body::to_bytes(body, MOST).await.unwrap_or_default();
    if whole.is_empty() {
        // There was no JSON to spoil: some that nobody asked for.
        parts.status = StatusCode::OK;
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Response::from_parts(parts, Body::from("{"));
    }
    let half = whole.slice(..whole.len().div_ceil(2));
    Response::from_parts(parts, Body::from(half))
}
