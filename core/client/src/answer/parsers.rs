//! Every parser of what comes from outside, as one function of bytes: any bytes are a value or a clear error, in bounded
//! time and space, and never a panic.
//!
//! Held here against the files of `tests/corpus/<parser>/` and against random bytes, on stable Rust. What a file should come
//! to is its name's first word: `good-` or `bad-`. A file for the parsers of HTTP answers begins with a line of its own,
//! status and media type: `400 application/json`. (What comes out of the vault's file is outside data, too: its corpus, `row`,
//! is read by the tests of the vault.)
//!
//! To let `cargo-fuzz` (nightly) call the same functions, in three steps:
//! 1. `cargo fuzz init` in `core/client`; give its package a `[workspace]` of its own.
//! 2. Here and for `mod answer` in `lib.rs`: `#[cfg(any(test, fuzzing))] pub mod` in place of `#[cfg(test)] mod`, and
//!    `unexpected_cfgs = { level = "warn", check-cfg = ["cfg(fuzzing)"] }` in the lints. (`cargo fuzz` sets that cfg.)
//! 3. The target: `fuzz_target!(|bytes: &[u8]| { let _ = hookswitch::answer::parsers::parse_stream(bytes); });`, and
//!    `cargo +nightly fuzz run stream core/client/tests/corpus/stream`.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use hookswitch_machine::{Outcome, StreamNews};
use hookswitch_wire::CallPush;
use secrecy::SecretString;

use super::{BODY, SMALL_BODY};
use crate::{
    auth::{
        id_token, login,
        token::{self, Asking, TokenRequest},
    },
    ports::{Http, HttpFault, HttpRequest, HttpResponse},
    secrets::Secrets,
    sync::stream as presence,
};

const APP: Asking<'static> = Asking { client_id: "app", resources: &[] };

/// What a parser says: what it read, printed, or why it could not.
type Parsed = Result<String, String>;

/// A parser and the folder of its corpus.
type Parser = (&'static str, fn(&[u8]) -> Parsed);

/// All of them.
pub(crate) const ALL: [Parser; 8] = [
    ("redirect", parse_redirect),
    ("token", parse_token),
    ("id_token", parse_id_token),
    ("revocation", parse_revocation),
    ("discovery", parse_discovery),
    ("api", parse_api),
    ("stream", parse_stream),
    ("push", parse_push),
];

/// The address that a browser came back to.
pub(crate) fn parse_redirect(bytes: &[u8]) -> Parsed {
    let text = std::str::from_utf8(bytes).map_err(|_| "not text".to_owned())?;
    login::parse_redirect(text, &Secrets::default()).map(|redirect| format!("{redirect:?}")).map_err(|f| f.to_string())
}

/// An answer of the token endpoint.
pub(crate) fn parse_token(bytes: &[u8]) -> Parsed {
    let request = TokenRequest::Refresh { refresh: SecretString::from("r") };
    let here = Arc::new(Said::file(bytes));
    judged(now(token::request(here, "https://id.example/t".into(), APP, request, Arc::default())).outcome)
}

/// The ID token in such an answer.
pub(crate) fn parse_id_token(bytes: &[u8]) -> Parsed {
    let text = std::str::from_utf8(bytes).map_err(|_| "not text".to_owned())?;
    let claims = id_token::claims(text, &Secrets::default());
    claims.map(|claims| format!("{claims:?}")).ok_or_else(|| "no ID token".to_owned())
}

/// An answer of the revocation endpoint.
pub(crate) fn parse_revocation(bytes: &[u8]) -> Parsed {
    let token = SecretString::from("r");
    judged(now(token::revoke(&Said::file(bytes), "https://id.example/r", "app", &token)).outcome)
}

/// The issuer's metadata.
pub(crate) fn parse_discovery(bytes: &[u8]) -> Parsed {
    judged(now(super::exchange(&Said::file(bytes), HttpRequest::default(), SMALL_BODY, super::metadata)).outcome)
}

/// A state or a problem.
pub(crate) fn parse_api(bytes: &[u8]) -> Parsed {
    judged(now(super::exchange(&Said::file(bytes), HttpRequest::default(), BODY, super::api)).outcome)
}

/// The body of a presence stream. Read whole and again in pieces, which must come to the same.
pub(crate) fn parse_stream(bytes: &[u8]) -> Parsed {
    let read = |pieces: Vec<Bytes>| {
        let here = Said { status: 200, media_type: "text/event-stream".into(), pieces };
        let mut news = Vec::new();
        now(presence::read(&here, HttpRequest::default(), |heard| news.push(heard)));
        news
    };
    let whole = read(vec![Bytes::copy_from_slice(bytes)]);
    let size = 1 + bytes.len() % 5;
    assert_eq!(read(bytes.chunks(size).map(Bytes::copy_from_slice).collect()), whole, "in pieces of {size}");
    let complaint = whole.iter().find_map(|news| match news {
        StreamNews::Malformed { complaint } => Some(complaint.clone()),
        StreamNews::Closed { outcome: Outcome::Unreachable { cause } } if cause != "the stream ended" => {
            Some(cause.clone())
        }
        StreamNews::Event { .. } | StreamNews::Retry { .. } | StreamNews::Closed { .. } => None,
    });
    complaint.map_or_else(|| Ok(format!("{whole:?}")), Err)
}

/// The payload of a push.
pub(crate) fn parse_push(bytes: &[u8]) -> Parsed {
    let complaint = |error: serde_json::Error| format!("{:?} error at column {}", error.classify(), error.column());
    serde_json::from_slice::<CallPush>(bytes).map(|push| format!("{push:?}")).map_err(complaint)
}

#[allow(clippy::wildcard_enum_match_arm, reason = "whatever else it is, it was understood")]
fn judged(outcome: Outcome) -> Parsed {
    match outcome {
        Outcome::Unintelligible { cause, .. } | Outcome::NotSent { cause } | Outcome::Unreachable { cause } => {
            Err(cause)
        }
        Outcome::Unavailable { status, .. } => Err(format!("not now: {status}")),
        read => Ok(format!("{read:?}")),
    }
}

/// What waits for nothing is done at once. In a runtime, since bodies have a timeout.
fn now<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    }
    RUNTIME.with(|runtime| {
        let _in_the_runtime = runtime.enter();
        future.now_or_never().unwrap()
    })
}

/// A server that says one thing.
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) media_type: String,
    pub(crate) pieces: Vec<Bytes>,
}

impl Said {
    fn file(bytes: &[u8]) -> Self {
        let first_line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let told = std::str::from_utf8(first_line).ok().and_then(|line| line.split_once(' '));
        let told = told.and_then(|(status, media_type)| Some((status.parse().ok()?, media_type.to_owned())));
        match told.filter(|(status, _)| (100..1_000).contains(status)) {
            Some((status, media_type)) => {
                let body = bytes.get(first_line.len() + 1..).unwrap_or_default();
                Self { status, media_type, pieces: vec![Bytes::copy_from_slice(body)] }
            }
            None => {
                Self { status: 200, media_type: "application/json".into(), pieces: vec![Bytes::copy_from_slice(bytes)] }
            }
        }
    }
}

#[async_trait]
impl Http for Said {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let response = http::Response::builder().status(self.status).header("content-type", &self.media_type).body(());
        let (head, ()) = response.map_err(|error| HttpFault::NotSent(error.to_string()))?.into_parts();
        Ok(HttpResponse { head, body: stream::iter(self.pieces.clone()).map(Ok).boxed() })
    }
}

mod tests {
    use std::{fs, path::Path};

    use proptest::prelude::*;

    use super::*;

    /// Nothing of a body may be in an error: errors are logged.
    const CANARY: &str = "CANARY";

    fn holds(name: &str, parse: fn(&[u8]) -> Parsed, bytes: &[u8]) -> Parsed {
        let parsed = parse(bytes);
        if let Err(error) = &parsed {
            assert!(!error.trim().is_empty(), "{name}: an error says what is wrong");
            assert!(error.chars().count() <= 400, "{name}: an error is a line, not the body");
            assert!(!error.contains(CANARY), "{name}: {error}");
        }
        parsed
    }

    #[test]
    fn every_file_of_the_corpus_is_what_its_name_says() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
        for (name, parse) in ALL {
            let files: Vec<_> = fs::read_dir(corpus.join(name)).unwrap().map(|file| file.unwrap().path()).collect();
            for file in &files {
                let parsed = holds(name, parse, &fs::read(file).unwrap());
                let is_good = file.file_name().unwrap().to_str().unwrap().starts_with("good-");
                assert_eq!(parsed.is_ok(), is_good, "{}: {parsed:?}", file.display());
            }
            assert!(files.len() >= 8, "{name}: the corpus is where it should be");
        }
    }

    #[test]
    fn a_file_of_the_corpus_that_is_cut_or_spoilt_anywhere_is_read_or_refused() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
        for (name, parse) in ALL {
            for file in fs::read_dir(corpus.join(name)).unwrap() {
                let whole = fs::read(file.unwrap().path()).unwrap();
                // The long ones at fewer places.
                for end in (0..whole.len()).step_by(1 + whole.len() / 40) {
                    let _ = holds(name, parse, &whole[..end]);
                    for spoilt in [0x00, 0x22, 0x7b, 0x80, 0xff] {
                        let mut bytes = whole.clone();
                        bytes[end] = spoilt;
                        let _ = holds(name, parse, &bytes);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_longer_than_any_answer_is_an_error() {
        let grant = r#"{"access_token":"a","token_type":"Bearer"}"#;
        let metadata = r#"{"issuer":"i","authorization_endpoint":"a","token_endpoint":"t"}"#;
        let problem = r#"{"type":"about:blank","title":"No","status":404,"code":"not_found"}"#;
        let padded = |text: &str, length: usize| format!("{text}{}", " ".repeat(length)).into_bytes();
        for (parse, text, most) in [
            (parse_token as fn(&[u8]) -> Parsed, grant.to_owned(), SMALL_BODY),
            (parse_discovery, metadata.to_owned(), SMALL_BODY),
            (parse_api, format!("404 application/problem+json\n{problem}"), BODY),
            (parse_stream, "event: heartbeat\ndata: {\"at\":1}\n\n: ".to_owned(), presence::LONGEST_EVENT),
            (parse_redirect, "app:/callback?code=c&state=s#".to_owned(), 16 * 1024),
        ] {
            assert!(parse(&padded(&text, 0)).is_ok(), "{text}");
            let refused = holds("long", parse, &padded(&text, most + 1));
            assert!(refused.is_err(), "{text}");
        }
    }

    #[test]
    fn json_as_deep_as_a_well_is_an_error_and_not_the_end_of_the_stack() {
        for depth in [127, 128, 129, 10_000, 60_000] {
            for text in [
                format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
                "{\"a\":".repeat(depth.min(12_000)),
                format!(r#"{{"issuer":{}1{}}}"#, "[".repeat(depth / 2), "]".repeat(depth / 2)),
            ] {
                for (name, parse) in ALL {
                    let _ = holds(name, parse, text.as_bytes());
                    let event = format!("event: state\ndata: {text}\n\n");
                    let _ = holds(name, parse, event.as_bytes());
                }
            }
        }
    }

    /// Bytes that look like something, up to a point.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let word = prop_oneof![
            Just("{"),
            Just("}"),
            Just("["),
            Just("]"),
            Just(":"),
            Just(","),
            Just("\""),
            Just("\n"),
            Just("\r\n"),
            Just("null"),
            Just("-1"),
            Just("1e999"),
            Just("18446744073709551616"),
            Just("\\ud800"),
            Just("\\u0000"),
            Just("\"access_token\":"),
            Just("\"token_type\":\"Bearer\""),
            Just("\"error\":"),
            Just("\"version\":"),
            Just("\"expires_in\":"),
            Just("\"issuer\":"),
            Just("\"call_id\":"),
            Just("\"kind\":\"incoming\""),
            Just("event: state\n"),
            Just("event: signed_out\n"),
            Just("data: "),
            Just("id: 1-1\n"),
            Just("\n\n"),
            Just("dev.hookswitch.agent:/callback?"),
            Just("code=c"),
            Just("&state=%ff%"),
            Just("&&iss=#?"),
            Just("400 application/json\n"),
            Just("401 application/problem+json\n"),
            Just("\u{feff}"),
            Just("CANARY"),
        ];
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            prop::collection::vec(word, 0..40).prop_map(|words| words.concat().into_bytes()),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_value_or_a_clear_error(bytes in bytes()) {
            for (name, parse) in ALL {
                if let Err(error) = parse(&bytes) {
                    prop_assert!(!error.is_empty() && error.chars().count() <= 400, "{}: {}", name, error);
                }
            }
        }
    }
}
