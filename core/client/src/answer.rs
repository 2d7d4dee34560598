//! From an HTTP answer to an outcome of the machine: pure functions of status, headers and body.
//!
//! The one question that matters here: did *our server* answer? A captive portal says 200 with a page, a proxy says 502,
//! a train's Wi-Fi breaks off in the middle. None of that is our server's word, and none of it may end a session.

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hookswitch_machine::Outcome;
use hookswitch_wire::{Problem, ServerMetadata, Snapshot, UnixMillis};
use http::{header, response::Parts};
use serde::de::DeserializeOwned;

use crate::ports::{Http, HttpFault, HttpRequest};

/// The most bytes that the body of an OAuth answer may have.
pub(crate) const SMALL_BODY: usize = 64 * 1024;
/// The most bytes that the body of an answer of the API, or one event of the stream, may have.
pub(crate) const BODY: usize = 1024 * 1024;

/// A body that takes longer drips, and is no answer.
const BODY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);

/// What a request came to.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What the answer's `Date` says, when our server sent it.
    pub(crate) server_time: Option<UnixMillis>,
    pub(crate) outcome: Outcome,
}

impl Answer {
    pub(crate) const fn without_time(outcome: Outcome) -> Self {
        Self { server_time: None, outcome }
    }

    /// An outcome with the time of the answer that it comes from, when it was the server that answered: the clock of a
    /// portal, or of a gateway that says 502, is not the server's.
    pub(crate) fn of(outcome: Outcome, head: Option<&Parts>) -> Self {
        let from_elsewhere = matches!(
            outcome,
            Outcome::Unintelligible { .. }
                | Outcome::NotSent { .. }
                | Outcome::Unreachable { .. }
                | Outcome::Unavailable { .. }
        );
        Self { server_time: head.filter(|_| !from_elsewhere).and_then(server_time), outcome }
    }
}

/// Sends a request, reads the whole answer and judges it; what says that the server cannot now is judged here.
pub(crate) async fn exchange(
    http: &dyn Http,
    request: HttpRequest,
    most: usize,
    judge: impl FnOnce(&Parts, &[u8]) -> Outcome,
) -> Answer {
    let response = match http.send(request).await {
        Ok(response) => response,
        Err(fault) => return Answer::without_time(fault.into()),
    };
    let head = response.head;
    let outcome = match (unavailable(&head), read_body(response.body, most).await) {
        (Some(unavailable), _) => unavailable,
        (None, Ok(body)) => judge(&head, &body),
        (None, Err(fault)) => fault.into(),
    };
    Answer::of(outcome, Some(&head))
}

/// Reads a body to its end.
///
/// # Errors
/// When it breaks off, drips, or is longer than `most`.
pub(crate) async fn read_body(
    mut body: impl Stream<Item = Result<Bytes, HttpFault>> + Unpin,
    most: usize,
) -> Result<Vec<u8>, HttpFault> {
    let whole = async {
        let mut all = Vec::new();
        while let Some(piece) = body.next().await {
            let piece = piece?;
            if all.len() + piece.len() > most {
                return Err(HttpFault::NoAnswer(format!("the answer is longer than {most} bytes")));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    };
    tokio::time::timeout(BODY_TIMEOUT, whole)
        .await
        .map_err(|_| HttpFault::NoAnswer("the answer did not end in time".into()))?
}

/// Whether the server says that it cannot now (RFC 9110, section 15; RFC 6585; RFC 8470).
pub(crate) fn unavailable(head: &Parts) -> Option<Outcome> {
    let status = head.status.as_u16();
    (matches!(status, 408 | 425 | 429) || head.status.is_server_error())
        .then(|| Outcome::Unavailable { status, retry_after: retry_after(head) })
}

/// `Retry-After` in milliseconds (RFC 9110, section 10.2.3), at most an hour.
fn retry_after(head: &Parts) -> Option<u64> {
    const MOST: u64 = 60 * 60;
    let value = head.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = match value.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = millis(httpdate::parse_http_date(value).ok()?);
            u64::try_from(at.since(server_time(head)?)).ok()? / 1_000
        }
    };
    Some(seconds.min(MOST) * 1_000)
}

/// What `Date` says (RFC 9110, section 6.6.1).
fn server_time(head: &Parts) -> Option<UnixMillis> {
    let date = head.headers.get(header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok().map(millis)
}

fn millis(time: std::time::SystemTime) -> UnixMillis {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Judges an answer of the API.
pub(crate) fn api(head: &Parts, body: &[u8]) -> Outcome {
    match head.status.as_u16() {
        204 => Outcome::Done,
        200..=299 => parse::<Snapshot>(head, body, &["application/json"], |snapshot| Outcome::State {
            snapshot: Box::new(snapshot),
        }),
        // A proxy may ask for a sign-in of its own, but then it does not speak problem+json.
        401 => parse::<Problem>(head, body, &["application/problem+json"], |_| Outcome::Unauthenticated),
        status => parse::<Problem>(head, body, &["application/problem+json"], |problem| Outcome::Refused {
            status,
            code: excerpt(&problem.code),
            detail: Some(excerpt(&problem.detail.unwrap_or(problem.title))),
            current: problem.current,
        }),
    }
}

/// Judges the issuer's metadata.
pub(crate) fn metadata(head: &Parts, body: &[u8]) -> Outcome {
    if head.status == http::StatusCode::OK {
        parse::<ServerMetadata>(head, body, &["application/json"], |metadata| Outcome::Metadata { metadata })
    } else {
        unintelligible(head, "not the issuer's metadata".into())
    }
}

/// As much of somebody else's text as a person or a log should have to take.
pub(crate) fn excerpt(text: &str) -> String {
    hookswitch_wire::clean(text, 300)
}

/// The media type without its parameters; empty when there is none.
pub(crate) fn essence(head: &Parts) -> String {
    let media_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the answer says that it is JSON, or does not say what it is.
pub(crate) fn may_be_json(head: &Parts) -> bool {
    !head.headers.contains_key(header::CONTENT_TYPE) || essence(head) == "application/json"
}

/// Whether the answer is a page for a person, as portals have them.
pub(crate) fn is_page(head: &Parts) -> bool {
    matches!(essence(head).as_str(), "text/html" | "application/xhtml+xml")
}

/// An answer that is none.
pub(crate) fn unintelligible(head: &Parts, cause: String) -> Outcome {
    Outcome::Unintelligible { status: head.status.as_u16(), cause, page: is_page(head) }
}

fn parse<T: DeserializeOwned>(head: &Parts, body: &[u8], types: &[&str], then: impl FnOnce(T) -> Outcome) -> Outcome {
    let essence = essence(head);
    if !types.contains(&essence.as_str()) {
        return unintelligible(head, format!("the answer is {:?}", excerpt(&essence)));
    }
    // The position and the kind of the mistake; never the data.
    serde_json::from_slice(body).map_or_else(
        |error| {
            let (kind, line, column) = (error.classify(), error.line(), error.column());
            unintelligible(head, format!("{kind:?} error at line {line} column {column}"))
        },
        then,
    )
}

#[cfg(test)]
pub(crate) mod parsers;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(status: u16, headers: &[(&str, &str)]) -> Parts {
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_captive_portal_is_not_our_server() {
        let page = b"<html>Welcome to Train Wi-Fi";
        for status in [200, 301, 302, 401, 403, 404, 511] {
            let head = head(status, &[("content-type", "text/html")]);
            let outcome = unavailable(&head).unwrap_or_else(|| api(&head, page));
            assert!(
                matches!(outcome, Outcome::Unintelligible { .. } | Outcome::Unavailable { .. }),
                "{status} gives {outcome:?}"
            );
        }
    }

    #[test]
    fn only_a_problem_of_our_server_says_that_the_token_is_not_valid() {
        let problem = br#"{"type":"about:blank","title":"No","status":401,"code":"unauthenticated"}"#;
        let ours = head(401, &[("content-type", "application/problem+json")]);
        assert_eq!(api(&ours, problem), Outcome::Unauthenticated);
        let proxy = head(401, &[("content-type", "application/json")]);
        assert!(matches!(api(&proxy, problem), Outcome::Unintelligible { .. }));
    }

    #[test]
    fn the_server_may_ask_for_time_in_seconds_or_by_date() {
        let seconds = head(503, &[("retry-after", "7")]);
        assert_eq!(unavailable(&seconds), Some(Outcome::Unavailable { status: 503, retry_after: Some(7_000) }));
        let date =
            head(429, &[("date", "Mon, 23 Nov 2026 12:00:00 GMT"), ("retry-after", "Mon, 23 Nov 2026 12:00:09 GMT")]);
        assert_eq!(unavailable(&date), Some(Outcome::Unavailable { status: 429, retry_after: Some(9_000) }));
        let nonsense = head(503, &[("retry-after", "soon")]);
        assert_eq!(unavailable(&nonsense), Some(Outcome::Unavailable { status: 503, retry_after: None }));
        let for_ever = head(503, &[("retry-after", "99999999999")]);
        assert_eq!(unavailable(&for_ever), Some(Outcome::Unavailable { status: 503, retry_after: Some(3_600_000) }));
    }

    #[tokio::test]
    async fn a_huge_body_is_refused_before_it_is_read() {
        let endless = futures_util::stream::repeat(Ok(Bytes::from_static(&[b' '; 1_000])));
        assert!(read_body(endless, 10_000).await.is_err());
    }

    proptest! {
        #[test]
        fn any_answer_has_an_outcome(status in 100_u16..600, body: Vec<u8>, json: bool) {
            let media_type = if json { "application/json" } else { "application/problem+json" };
            let head = head(status, &[("content-type", media_type)]);
            let _ = api(&head, &body);
            let _ = metadata(&head, &body);
        }
    }
}
