//! The requests of the API, as `CONTRACT.md` of the wire crate has them.

use bytes::Bytes;
use hookswitch_machine::ApiCall;
use hookswitch_wire::{
    AnswerCall, DeviceId, HEADER_IDEMPOTENCY_KEY, HEADER_TRACEPARENT, RegisterDevice, SendCode, SetAvailability,
    SetForwarding, TraceId, VerifyNumber, Version,
};
use http::{Method, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::Url;

use crate::{
    config::DeviceDescription,
    ports::{Delivery, HttpRequest},
};

/// A request of the API before it is authorised.
pub(crate) struct Draft {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    key: Option<String>,
    base: Option<Version>,
    body: Option<Vec<u8>>,
    delivery: Delivery,
}

/// What `call` asks for. `secret` is the one behind the name that it carries ([`ApiCall::secret`]).
pub(crate) fn draft(
    call: &ApiCall,
    device: &DeviceId,
    description: &DeviceDescription,
    secret: Option<&SecretString>,
) -> serde_json::Result<Draft> {
    let path = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let post = |key: &str, parts: &[&str]| Draft {
        method: Method::POST,
        path: path(&[&["v1", "me"], parts].concat()),
        query: Vec::new(),
        key: Some(key.to_owned()),
        base: None,
        body: None,
        delivery: Delivery::Raced,
    };
    let state = |query| Draft {
        method: Method::GET,
        path: path(&["v1", "me", "state"]),
        query,
        key: None,
        base: None,
        body: None,
        delivery: Delivery::Raced,
    };
    fn json(body: &impl Serialize) -> serde_json::Result<Option<Vec<u8>>> {
        serde_json::to_vec(body).map(Some)
    }
    Ok(match call {
        ApiCall::FetchState => state(Vec::new()),
        ApiCall::AwaitState { after, wait } => {
            Draft { delivery: Delivery::Waits, ..state(vec![("after", after.to_string()), ("wait", wait.to_string())]) }
        }
        ApiCall::SetAvailability { key, base, availability } => Draft {
            method: Method::PUT,
            path: path(&["v1", "me", "availability"]),
            query: Vec::new(),
            key: Some(key.clone()),
            base: Some(*base),
            delivery: Delivery::Raced,
            body: json(&SetAvailability { availability: *availability })?,
        },
        ApiCall::SetForwarding { key, base, to } => Draft {
            method: Method::PUT,
            path: path(&["v1", "me", "forwarding"]),
            query: Vec::new(),
            key: Some(key.clone()),
            base: Some(*base),
            delivery: Delivery::Raced,
            body: json(&SetForwarding::from(to.as_ref()))?,
        },
        ApiCall::RegisterDevice { key, push_token: _, facts } => Draft {
            method: Method::PUT,
            path: path(&["v1", "me", "devices", device.as_str()]),
            query: Vec::new(),
            key: Some(key.clone()),
            base: None,
            delivery: Delivery::Raced,
            body: json(&RegisterDevice {
                name: description.name.clone(),
                platform: description.platform,
                app_version: description.app_version.clone(),
                push_token: secret.map(|token| token.expose_secret().to_owned()),
                capabilities: facts.capabilities,
                line_number: facts.line_number.as_ref().map(|number| number.as_str().to_owned()),
            })?,
        },
        ApiCall::Answer { key, call_id } => {
            let body = json(&AnswerCall { device: Some(device.clone()) })?;
            Draft { body, ..post(key, &["calls", call_id.as_str(), "answer"]) }
        }
        ApiCall::Decline { key, call_id } => post(key, &["calls", call_id.as_str(), "decline"]),
        ApiCall::HangUp { key, call_id } => post(key, &["calls", call_id.as_str(), "hang-up"]),
        ApiCall::RenewCallLease { key, call_id } => post(key, &["calls", call_id.as_str(), "lease"]),
        ApiCall::SignOutEverywhere { key } => post(key, &["sign-out-everywhere"]),
        ApiCall::SendCode { key, number, by } => {
            let body = json(&SendCode { number: number.as_str().to_owned(), by: *by })?;
            Draft { body, ..post(key, &["forwarding", "code"]) }
        }
        ApiCall::VerifyNumber { key, number, code: _ } => {
            let code = secret.map(|code| code.expose_secret().to_owned()).unwrap_or_default();
            let body = json(&VerifyNumber { number: number.as_str().to_owned(), code })?;
            Draft { body, ..post(key, &["forwarding", "verification"]) }
        }
        ApiCall::EndSession { key, session } => {
            Draft { method: Method::DELETE, ..post(key, &["sessions", session.as_str()]) }
        }
    })
}

impl Draft {
    /// The request, authorised. It has a trace of its own, which the log names, here and wherever it leads.
    pub(crate) fn authorised(self, server: &Url, access: &SecretString) -> Result<HttpRequest, http::Error> {
        let trace = new_trace();
        let id = trace.map(|(id, _)| id);
        // The path's first words: those after it name calls and devices.
        let what = self.path.iter().skip(2).take(1).map(String::as_str).collect::<String>();
        tracing::debug!(target: "hookswitch::http", method = %self.method, what, trace = ?id, "asks the server");
        let segments: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let mut address = endpoint(server, &segments);
        if !self.query.is_empty() {
            address.query_pairs_mut().extend_pairs(&self.query);
        }
        let mut request = http::Request::builder()
            .method(self.method)
            .uri(address.as_str())
            .header(header::AUTHORIZATION, bearer(access)?)
            .header(header::ACCEPT, "application/json")
            .extension(self.delivery);
        if let Some(key) = self.key {
            request = request.header(HEADER_IDEMPOTENCY_KEY, key);
        }
        if let Some(parent) = trace.and_then(|(trace, span)| trace.traceparent(span)) {
            request = request.header(HEADER_TRACEPARENT, parent);
        }
        if let Some(base) = self.base {
            request = request.header(header::IF_MATCH, base.etag());
        }
        match self.body {
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Bytes::from(body)),
            None => request.body(Bytes::new()),
        }
    }
}

/// A trace, and the request's name in it; `None` when the platform has no random numbers, which the start would have met.
fn new_trace() -> Option<(TraceId, [u8; 8])> {
    let (mut trace, mut span) = ([0; 16], [0; 8]);
    getrandom::fill(&mut trace).and_then(|()| getrandom::fill(&mut span)).ok()?;
    Some((TraceId::new(trace)?, span))
}

/// The request that opens the presence stream.
pub(crate) fn open_stream(
    server: &Url,
    access: &SecretString,
    after: Option<Version>,
) -> Result<HttpRequest, http::Error> {
    let mut request = http::Request::get(endpoint(server, &["v1", "me", "stream"]).as_str())
        .header(header::AUTHORIZATION, bearer(access)?)
        .header(header::ACCEPT, "text/event-stream")
        .header(header::CACHE_CONTROL, "no-store")
        .extension(Delivery::Raced);
    if let Some(after) = after {
        request = request.header("last-event-id", after.to_string());
    }
    request.body(Bytes::new())
}

fn bearer(access: &SecretString) -> Result<http::HeaderValue, http::Error> {
    let mut value = http::HeaderValue::try_from(format!("Bearer {}", access.expose_secret()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// An address of the server; names that stand in it are escaped.
fn endpoint(server: &Url, segments: &[&str]) -> Url {
    let mut url = server.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookswitch_wire::{CallId, Platform};

    fn description() -> DeviceDescription {
        DeviceDescription { name: "Alice's iPhone".into(), platform: Platform::Ios, app_version: "1".into() }
    }

    #[test]
    fn a_call_id_cannot_leave_its_place_in_the_path() {
        let call = ApiCall::Decline { key: "k".into(), call_id: CallId("../../me?x=#/y".into()) };
        let draft = draft(&call, &"device".into(), &description(), None).unwrap();
        let server = Url::parse("https://api.example/base").unwrap();
        let request = draft.authorised(&server, &SecretString::from("t")).unwrap();
        assert_eq!(request.uri(), "https://api.example/base/v1/me/calls/..%2F..%2Fme%3Fx=%23%2Fy/decline");
    }

    #[test]
    fn a_question_that_waits_says_what_is_known_and_for_how_long() {
        let call = ApiCall::AwaitState { after: Version::new(1, 42), wait: 15 };
        let draft = draft(&call, &"device".into(), &description(), None).unwrap();
        let server = Url::parse("https://api.example").unwrap();
        let request = draft.authorised(&server, &SecretString::from("t")).unwrap();
        assert_eq!(request.uri(), "https://api.example/v1/me/state?after=1-42&wait=15");
    }

    #[test]
    fn debug_of_a_request_hides_the_token() {
        let server = Url::parse("https://api.example").unwrap();
        let request = open_stream(&server, &SecretString::from("CANARY"), Some(Version::new(1, 2))).unwrap();
        assert!(!format!("{request:?}").contains("CANARY"));
        assert_eq!(request.headers()["last-event-id"], "1-2");
    }

    #[test]
    fn a_token_that_is_no_header_is_an_error() {
        let server = Url::parse("https://api.example").unwrap();
        assert!(open_stream(&server, &SecretString::from("a\r\nb"), None).is_err());
    }
}
