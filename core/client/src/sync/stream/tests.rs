//! What a stream comes to, however its bytes arrive.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use hookswitch_wire::{SignedOutReason, UnixMillis, stream::Heartbeat};
use proptest::prelude::*;

use super::*;
use crate::ports::{HttpFault, HttpResponse};

/// A server that says one thing, in pieces.
#[derive(Clone)]
struct Server {
    status: u16,
    media_type: &'static str,
    pieces: Vec<Result<Bytes, HttpFault>>,
}

#[async_trait]
impl Http for Server {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse, HttpFault> {
        if self.status == 0 {
            return Err(HttpFault::NotSent("no route to host".into()));
        }
        let response = http::Response::builder().status(self.status).header("content-type", self.media_type);
        let (head, ()) = response.body(()).unwrap().into_parts();
        Ok(HttpResponse { head, body: stream::iter(self.pieces.clone()).boxed() })
    }
}

const STREAM: &str = "text/event-stream";

fn says(status: u16, media_type: &'static str, body: impl AsRef<[u8]>) -> Server {
    Server { status, media_type, pieces: vec![Ok(Bytes::copy_from_slice(body.as_ref()))] }
}

impl Server {
    /// The news, and how it ended.
    async fn heard(&self) -> (Vec<StreamNews>, Outcome) {
        let mut news = Vec::new();
        read(self, HttpRequest::default(), |heard| news.push(heard)).await;
        let Some(StreamNews::Closed { outcome }) = news.pop() else { panic!("the last news is the end") };
        assert!(!news.iter().any(|news| matches!(news, StreamNews::Closed { .. })), "the end comes once");
        (news, outcome)
    }
}

const STATE: &str = concat!(
    r#"{"version":{"epoch":1,"rev":7},"agent":{"account":"alice","email":"a@x.example","name":"Alice \u{1f4de} Ménard","#,
    r#""role":"agent"},"presence":{"availability":{"kind":"available"},"forwarding":{"on":false},"call_leases":[],"#,
    r#""effective":"available"},"calls":[],"devices":[],"at":1}"#
);

/// Each kind of event, one that only a newer app knows, and what proxies and servers put between them.
fn body(end: &str) -> String {
    let state = STATE.replace("\\u{1f4de}", "\u{1f4de}");
    [
        ": connected",
        "",
        "retry: 3000",
        "event: state",
        "id: 1-7",
        &format!("data: {state}"),
        "",
        "event: heartbeat",
        r#"data: {"at":2}"#,
        "",
        "event: news_of_tomorrow",
        "data: whatever",
        "",
        ":",
        "",
        "event: heartbeat",
        r#"data: {"at":"#,
        "data: 3}",
        "",
        "event: signed_out",
        r#"data: {"reason":"revoked"}"#,
        "",
        "event: heartbeat",
    ]
    .iter()
    .flat_map(|line| [*line, end])
    .collect()
}

fn heartbeat(at: i64) -> StreamNews {
    StreamNews::Event { event: StreamEvent::Heartbeat(Heartbeat { at: UnixMillis(at) }) }
}

#[tokio::test]
async fn each_event_is_told_in_order_whatever_ends_its_lines() {
    for end in ["\n", "\r\n", "\r"] {
        for mark in ["", "\u{feff}"] {
            let (news, outcome) = says(200, STREAM, format!("{mark}{}", body(end))).heard().await;
            let [first, StreamNews::Event { event: StreamEvent::State(state) }, second, third, fourth] = &news[..]
            else {
                panic!("{end:?} {mark:?}: {news:?}")
            };
            assert_eq!(first, &StreamNews::Retry { millis: 3_000 });
            assert_eq!(state.agent.name, "Alice \u{1f4de} Ménard");
            assert_eq!((second, third), (&heartbeat(2), &heartbeat(3)));
            let StreamNews::Event { event: StreamEvent::SignedOut(signed_out) } = fourth else { panic!("{fourth:?}") };
            assert_eq!(signed_out.reason, SignedOutReason::Revoked);
            assert_eq!(outcome, Outcome::Unreachable { cause: "the stream ended".into() });
        }
    }
}

#[tokio::test]
async fn an_event_is_told_as_soon_as_it_is_whole() {
    let mut pieces =
        vec![Ok(Bytes::from("event: heartbeat\ndata: {\"at\":2}\n\nevent: heartbeat\ndata: {\"at\":3}\n"))];
    pieces.push(Err(HttpFault::NoAnswer("the cable was cut".into())));
    let (news, outcome) = Server { pieces, ..says(200, STREAM, "") }.heard().await;
    assert_eq!(news, [heartbeat(2)], "and half an event is none");
    assert_eq!(outcome, Outcome::Unreachable { cause: "the cable was cut".into() });
}

#[tokio::test]
async fn what_is_no_event_of_ours_is_told_without_its_data() {
    let broken = [
        &b"event: state\ndata: {\"CANARY\":1}\n\n"[..],
        b"event: state\ndata: CANARY\n\n",
        b"event: state\ndata:\n\n",
        b"event: heartbeat\ndata: {\"at\":\"CANARY\"}\n\n",
        b"event: heartbeat\ndata: {\"at\":99999999999999999999}\n\n",
        b"event: state\ndata: \xff CANARY\n\n",
    ];
    for bytes in broken {
        let after = [bytes, b"event: heartbeat\ndata: {\"at\":2}\n\n"].concat();
        let (news, _) = says(200, STREAM, after).heard().await;
        let [StreamNews::Malformed { complaint }, next] = &news[..] else { panic!("{news:?}") };
        assert!(!complaint.is_empty() && !complaint.contains("CANARY"), "{complaint}");
        assert_eq!(next, &heartbeat(2));
    }
}

#[tokio::test]
async fn a_sign_out_for_a_reason_of_tomorrow_is_a_sign_out() {
    let (news, _) = says(200, STREAM, b"event: signed_out\ndata: {\"reason\":\"CANARY\"}\n\n").heard().await;
    assert!(matches!(&news[..], [StreamNews::Event { event: StreamEvent::SignedOut(_) }]), "{news:?}");
    assert!(!format!("{news:?}").contains("CANARY"));
}

#[tokio::test]
async fn a_page_or_a_state_in_place_of_a_stream_is_none() {
    for (status, media_type, body) in [
        (200, "text/html", "<html>Welcome to Train Wi-Fi"),
        (200, "application/json", STATE),
        (200, "text/event-stream-of-another-kind", "event: heartbeat\ndata: {\"at\":2}\n\n"),
        (204, "", ""),
        (302, "text/html", ""),
        (401, "text/html", ""),
        (404, STREAM, "event: heartbeat\ndata: {\"at\":2}\n\n"),
    ] {
        let (news, outcome) = says(status, media_type, body).heard().await;
        assert_eq!(news, [], "{status} {media_type}");
        assert!(matches!(outcome, Outcome::Unintelligible { .. }), "{status} {media_type}: {outcome:?}");
    }
    let (news, _) = says(200, "Text/Event-Stream; charset=UTF-8", body("\n")).heard().await;
    assert_eq!(news.len(), 5, "a media type may be written otherwise");
}

#[tokio::test]
async fn a_refusal_is_one_only_in_the_words_of_our_server() {
    let problem = r#"{"type":"about:blank","title":"No","status":401,"code":"unauthenticated"}"#;
    let (_, outcome) = says(401, "application/problem+json", problem).heard().await;
    assert_eq!(outcome, Outcome::Unauthenticated);
    for status in [408, 425, 429, 500, 503] {
        let (_, outcome) = says(status, "application/problem+json", problem).heard().await;
        assert_eq!(outcome, Outcome::Unavailable { status, retry_after: None });
    }
    let (_, outcome) = says(0, "", "").heard().await;
    assert_eq!(outcome, Outcome::NotSent { cause: "no route to host".into() });
}

#[tokio::test]
async fn an_event_without_end_ends_the_stream() {
    let line = Bytes::from(vec![b'x'; 64 * 1024]);
    let mut pieces = vec![Ok(Bytes::from("event: heartbeat\ndata: {\"at\":2}\n\ndata: "))];
    // Were it read to its end, this test would not end.
    pieces.extend(std::iter::repeat_n(Ok(line), 1 + LONGEST_EVENT / (64 * 1024)));
    let (news, outcome) = Server { pieces, ..says(200, STREAM, "") }.heard().await;
    assert_eq!(news, [heartbeat(2)]);
    assert!(matches!(outcome, Outcome::Unreachable { .. }), "{outcome:?}");
}

#[tokio::test]
async fn many_events_in_one_piece_are_not_one_long_event() {
    let beat = "event: heartbeat\ndata: {\"at\":2}\n\n";
    let count = 2 * LONGEST_EVENT / beat.len();
    let (news, _) = says(200, STREAM, beat.repeat(count)).heard().await;
    assert_eq!(news.len(), count);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_events_come_out_however_the_bytes_are_cut(
        end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")],
        mark: bool,
        spoilt in prop::option::of((0_usize..800, any::<u8>())),
        mut cuts in prop::collection::vec(0_usize..800, 0..40),
    ) {
        let mut bytes = format!("{}{}", if mark { "\u{feff}" } else { "" }, body(end)).into_bytes();
        if let Some((at, byte)) = spoilt {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let mut begun = 0;
        let pieces = cuts.into_iter().map(|end| {
            let end = end.min(bytes.len());
            let piece = Bytes::copy_from_slice(&bytes[begun..end]);
            begun = end;
            Ok(piece)
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let cut = Server { pieces: pieces.collect(), ..says(200, STREAM, "") };
        prop_assert_eq!(runtime.block_on(cut.heard()), runtime.block_on(says(200, STREAM, &bytes).heard()));
    }
}
