//! Against servers that speak as Apple's and Google's do: HTTP/2 without TLS, on loopback.

use hookswitch_wire::UnixMillis;
use std::{
    collections::VecDeque,
    sync::{Mutex, OnceLock},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, Version as HttpVersion},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hookswitch_wire::{AccountId, CallId, PushKind, Version};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rsa::{pkcs8::EncodePrivateKey, traits::PublicKeyParts};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use super::*;
use crate::{Clock, identity::Keys};

/// A request as a push service got it.
#[derive(Clone, Debug)]
struct Seen {
    version: HttpVersion,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn token(&self) -> String {
        self.header("authorization").unwrap().split_once(' ').unwrap().1.to_owned()
    }
}

#[derive(Default)]
struct Book {
    seen: Vec<Seen>,
    answers: VecDeque<Response>,
    grants: VecDeque<Response>,
    granted: usize,
}

/// Apple or Google: says what it was told to say, else that all is well.
struct Service {
    url: String,
    book: Arc<Mutex<Book>>,
    _tasks: JoinSet<()>,
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let book = Arc::new(Mutex::new(Book::default()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&book));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, book, _tasks: tasks }
    }

    fn seen(&self) -> Vec<Seen> {
        self.book.lock().unwrap().seen.clone()
    }

    /// What the next push is answered.
    fn say(&self, status: u16, headers: &[(&'static str, String)], body: &Value) {
        self.book.lock().unwrap().answers.push_back(response(status, headers, body));
    }

    /// What the next request for an access token is answered.
    fn grant(&self, status: u16, body: &Value) {
        self.book.lock().unwrap().grants.push_back(response(status, &[], body));
    }
}

fn response(status: u16, headers: &[(&'static str, String)], body: &Value) -> Response {
    let mut response = (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

async fn answer(State(book): State<Arc<Mutex<Book>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 8_192).await.unwrap();
    let path = parts.uri.path().to_owned();
    let mut book = book.lock().unwrap();
    let asks = path == "/token";
    book.seen.push(Seen { version: parts.version, path, headers: parts.headers, body });
    if asks {
        book.granted += 1;
        let fine = json!({ "access_token": format!("access-{}", book.granted), "expires_in": 3_599 });
        return book.grants.pop_front().unwrap_or_else(|| response(200, &[], &fine));
    }
    book.answers.pop_front().unwrap_or_else(|| response(200, &[], &json!({})))
}

fn pem(der: &[u8]) -> SecretString {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")).into()
}

fn push(clock: &Clock, platform: Platform, kind: PushKind) -> PushMessage {
    let deliver_by = clock.now() + 30_000;
    PushMessage {
        seq: 7,
        device: DeviceId::from("a phone"),
        platform,
        token: "push/token?".to_owned().into(),
        payload: CallPush {
            kind,
            call_id: CallId::from("call-1"),
            account: AccountId::from("agent-1"),
            expires_at: UnixMillis(deliver_by),
            routing: Version::new(1, 4),
            forwarding_on: false,
            from: Some("+33612345678".parse().unwrap()),
            from_name: Some("Bob".to_owned()),
        },
        deliver_by,
    }
}

const MINUTE: i64 = 60_000;

mod apple {
    use super::*;

    fn apns(service: &Service, clock: &Clock) -> (Apns, Keys) {
        apns_at(&service.url, clock)
    }

    fn apns_at(url: &str, clock: &Clock) -> (Apns, Keys) {
        let der = Keys::generate().unwrap();
        let config = ApnsConfig {
            address: url.to_owned(),
            bundle_id: "dev.hookswitch.agent".to_owned(),
            team_id: "TEAM456789".to_owned(),
            key_id: "KEY4567890".to_owned(),
            key: pem(&der),
        };
        (Apns::new(config, clock.clone()).unwrap(), Keys::from_pkcs8(&der).unwrap())
    }

    #[tokio::test]
    async fn a_call_goes_out_as_a_voip_push_that_ends_with_its_ringing() {
        let (service, clock) = (Service::start().await, Clock::system());
        let (apns, keys) = apns(&service, &clock);
        let push = push(&clock, Platform::Ios, PushKind::Incoming);
        assert_eq!(apns.send(&push).await, Outcome::Accepted);
        let seen = &service.seen()[0];
        assert_eq!(seen.version, HttpVersion::HTTP_2);
        assert_eq!(seen.path, "/3/device/push%2Ftoken%3F", "whatever a token holds, it is one segment");
        assert_eq!(seen.header("apns-push-type"), Some("voip"));
        assert_eq!(seen.header("apns-topic"), Some("dev.hookswitch.agent.voip"));
        assert_eq!(seen.header("apns-priority"), Some("10"));
        assert_eq!(seen.header("apns-collapse-id"), Some("call-1"));
        let expiration: i64 = seen.header("apns-expiration").unwrap().parse().unwrap();
        assert_eq!(expiration, push.deliver_by / 1_000, "whole seconds, and never later");
        let body = seen.json();
        assert_eq!(body["aps"], json!({}));
        assert_eq!(serde_json::from_value::<CallPush>(body).unwrap(), push.payload, "what phones read");

        let jwk = &keys.public().keys[0];
        let mut validation = Validation::new(Algorithm::ES256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let token =
            jsonwebtoken::decode::<Value>(&seen.token(), &DecodingKey::from_jwk(jwk).unwrap(), &validation).unwrap();
        assert_eq!(token.header.kid.as_deref(), Some("KEY4567890"));
        assert_eq!(token.claims["iss"], "TEAM456789");
        assert!((clock.now() / 1_000 - token.claims["iat"].as_i64().unwrap()).abs() <= 5);
    }

    #[tokio::test]
    async fn a_second_try_has_the_id_of_the_first_and_another_push_has_another() {
        let (service, clock) = (Service::start().await, Clock::system());
        let (apns, _) = apns(&service, &clock);
        let start = push(&clock, Platform::Ios, PushKind::Incoming);
        let stop = PushMessage { seq: 8, ..push(&clock, Platform::Ios, PushKind::Ended) };
        for push in [&start, &start, &stop] {
            apns.send(push).await;
        }
        let ids: Vec<String> = service.seen().iter().map(|seen| seen.header("apns-id").unwrap().to_owned()).collect();
        assert_eq!(ids[0], ids[1]);
        assert_ne!(ids[0], ids[2]);
        for id in ids {
            let parts: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
            assert!(id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-')), "{id}");
        }
    }

    #[tokio::test]
    async fn what_apns_would_refuse_is_left_out() {
        let (service, clock) = (Service::start().await, Clock::system());
        let (apns, _) = apns(&service, &clock);
        let mut long = push(&clock, Platform::Ios, PushKind::Incoming);
        long.payload.call_id = CallId("c".repeat(65));
        long.deliver_by = clock.now();
        assert_eq!(apns.send(&long).await, Outcome::Accepted);
        let seen = &service.seen()[0];
        assert_eq!(seen.header("apns-collapse-id"), None);
        assert_eq!(seen.header("apns-expiration"), Some("0"), "now or never");
    }

    #[tokio::test]
    async fn the_provider_token_lives_between_20_and_60_minutes() {
        let (service, clock) = (Service::start().await, Clock::system());
        let (apns, _) = apns(&service, &clock);
        let push = push(&clock, Platform::Ios, PushKind::Incoming);
        for minutes in [0, 21, 23, 2, 21] {
            clock.jump(minutes * MINUTE);
            assert_eq!(apns.send(&push).await, Outcome::Accepted);
        }
        let tokens: Vec<String> = service.seen().iter().map(Seen::token).collect();
        assert!(tokens[0] == tokens[1] && tokens[1] == tokens[2], "44 minutes old");
        assert!(tokens[2] != tokens[3], "46 minutes old");
        assert!(tokens[3] == tokens[4]);

        let expired = json!({ "reason": "ExpiredProviderToken" });
        service.say(403, &[], &expired);
        assert!(matches!(apns.send(&push).await, Outcome::Retry { .. }));
        apns.send(&push).await;
        let token = |n: usize| service.seen()[n].token();
        assert!(token(5) == tokens[4] && token(6) != tokens[4], "21 minutes old: may be replaced");
        service.say(403, &[], &expired);
        assert!(matches!(apns.send(&push).await, Outcome::Retry { .. }));
        // A token of the same second would be the same token.
        clock.jump(5_000);
        apns.send(&push).await;
        assert_eq!(token(8), token(6), "too young: APNs would complain of too many");
    }

    #[tokio::test]
    async fn each_answer_of_apns_has_its_outcome() {
        let (service, clock) = (Service::start().await, Clock::system());
        let (apns, _) = apns(&service, &clock);
        let push = push(&clock, Platform::Ios, PushKind::Incoming);
        let retry = |why: &str, after| Outcome::Retry { after, why: why.to_owned() };
        let rejected = |why: &str| Outcome::Rejected { why: why.to_owned() };
        let gone = |since| Outcome::TokenGone { since };
        let at = |reason: &str| json!({ "reason": reason, "timestamp": 1_700_000_000_123_i64 });
        let table = [
            (400, json!({ "reason": "BadDeviceToken" }), gone(None)),
            (410, at("Unregistered"), gone(Some(1_700_000_000_123))),
            (410, at("ExpiredToken"), gone(Some(1_700_000_000_123))),
            (400, json!({ "reason": "DeviceTokenNotForTopic" }), rejected("APNs said 400 DeviceTokenNotForTopic")),
            (400, json!({ "reason": "IdleTimeout" }), retry("APNs said 400 IdleTimeout", None)),
            (403, json!({ "reason": "InvalidProviderToken" }), rejected("APNs said 403 InvalidProviderToken")),
            (413, json!({ "reason": "PayloadTooLarge" }), rejected("APNs said 413 PayloadTooLarge")),
            (429, json!({ "reason": "TooManyRequests" }), retry("APNs said 429 TooManyRequests", None)),
            (500, json!({ "reason": "InternalServerError" }), retry("APNs said 500 InternalServerError", None)),
            (503, json!({ "reason": "Shutdown" }), retry("APNs said 503 Shutdown", None)),
            (502, json!("a proxy"), retry("APNs said 502 ", None)),
            (302, json!({}), rejected("APNs said 302 ")),
        ];
        for (status, body, outcome) in table {
            service.say(status, &[], &body);
            assert_eq!(apns.send(&push).await, outcome, "{status} {body}");
        }
        service.say(429, &[("retry-after", "3".to_owned())], &json!({ "reason": "TooManyRequests" }));
        let wait = Some(Duration::from_secs(3));
        assert_eq!(apns.send(&push).await, retry("APNs said 429 TooManyRequests", wait));
    }

    #[tokio::test]
    async fn a_push_without_an_answer_may_have_left_and_one_without_a_connection_has_not() {
        let clock = Clock::system();
        let push = push(&clock, Platform::Ios, PushKind::Incoming);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut closing = JoinSet::new();
        closing.spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            // It reads what comes, and hangs up.
            tokio::io::AsyncReadExt::read(&mut connection, &mut [0; 1_024]).await.unwrap();
        });
        let (apns, _) = apns_at(&url, &clock);
        let outcome = apns.send(&push).await;
        assert!(matches!(outcome, Outcome::Unanswered { .. }), "{outcome:?}");
        closing.join_next().await.unwrap().unwrap();
        let outcome = apns.send(&push).await;
        assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    }
}

mod google {
    use super::*;

    fn rsa_key() -> &'static rsa::RsaPrivateKey {
        static KEY: OnceLock<rsa::RsaPrivateKey> = OnceLock::new();
        KEY.get_or_init(|| rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2_048).unwrap())
    }

    fn fcm(service: &Service, clock: &Clock) -> Fcm {
        let key = pem(rsa_key().to_pkcs8_der().unwrap().as_bytes());
        let account = json!({
            "type": "service_account",
            "project_id": "hookswitch-demo",
            "private_key_id": "key-1",
            "private_key": key.expose_secret(),
            "client_email": "push@hookswitch-demo.example",
            "token_uri": format!("{}/token", service.url),
        });
        let config = FcmConfig { address: service.url.clone(), service_account: account.to_string().into() };
        Fcm::new(&config, clock.clone()).unwrap()
    }

    fn said(service: &Service, path: &str) -> Vec<Seen> {
        service.seen().into_iter().filter(|seen| seen.path == path).collect()
    }

    const SEND: &str = "/v1/projects/hookswitch-demo/messages:send";

    #[tokio::test]
    async fn a_call_goes_out_as_a_data_message_that_ends_with_its_ringing() {
        let (service, clock) = (Service::start().await, Clock::system());
        let fcm = fcm(&service, &clock);
        let mut push = push(&clock, Platform::Android, PushKind::Incoming);
        push.deliver_by = clock.now() + 12_999;
        assert_eq!(fcm.send(&push).await, Outcome::Accepted);
        let seen = &said(&service, SEND)[0];
        assert_eq!(seen.header("authorization"), Some("Bearer access-1"));
        let body = seen.json();
        let message = &body["message"];
        assert_eq!(message["token"], "push/token?");
        assert_eq!(message["android"], json!({ "priority": "HIGH", "ttl": "12s", "collapse_key": "call-1" }));
        assert!(message["notification"].is_null() && message["android"]["notification"].is_null());
        let data = message["data"].as_object().unwrap();
        assert_eq!(data.keys().collect::<Vec<_>>(), ["call"], "no reserved key");
        let call: CallPush = serde_json::from_str(data["call"].as_str().unwrap()).unwrap();
        assert_eq!(call, push.payload);

        let form = &said(&service, "/token")[0].body;
        let fields: std::collections::HashMap<_, _> = url::form_urlencoded::parse(form).into_owned().collect();
        assert_eq!(fields["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let key = rsa_key();
        let encode =
            |number: &rsa::BigUint| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(number.to_bytes_be());
        let key = DecodingKey::from_rsa_components(&encode(key.n()), &encode(key.e())).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[format!("{}/token", service.url)]);
        let token = jsonwebtoken::decode::<Value>(&fields["assertion"], &key, &validation).unwrap();
        assert_eq!(token.header.kid.as_deref(), Some("key-1"));
        assert_eq!(token.claims["iss"], "push@hookswitch-demo.example");
        assert_eq!(token.claims["scope"], "https://www.googleapis.com/auth/firebase.messaging");
        assert_eq!(token.claims["exp"].as_i64().unwrap() - token.claims["iat"].as_i64().unwrap(), 3_600);
    }

    #[tokio::test]
    async fn one_access_token_does_for_all_pushes_until_a_minute_before_its_end() {
        let (service, clock) = (Service::start().await, Clock::system());
        let fcm = fcm(&service, &clock);
        let push = push(&clock, Platform::Android, PushKind::Incoming);
        let outcomes = futures_util::future::join_all((0..20).map(|_| fcm.send(&push))).await;
        assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Accepted));
        assert_eq!(said(&service, "/token").len(), 1, "however many wait for it");
        clock.jump(58 * MINUTE);
        fcm.send(&push).await;
        assert_eq!(said(&service, "/token").len(), 1);
        clock.jump(MINUTE);
        fcm.send(&push).await;
        assert_eq!(said(&service, "/token").len(), 2);
        assert_eq!(said(&service, SEND).last().unwrap().token(), "access-2");
    }

    #[tokio::test]
    async fn an_access_token_that_google_forgot_is_not_used_again() {
        let (service, clock) = (Service::start().await, Clock::system());
        let fcm = fcm(&service, &clock);
        let push = push(&clock, Platform::Android, PushKind::Incoming);
        service.say(401, &[], &json!({ "error": { "status": "UNAUTHENTICATED" } }));
        assert!(matches!(fcm.send(&push).await, Outcome::Retry { .. }));
        assert_eq!(fcm.send(&push).await, Outcome::Accepted);
        let tokens: Vec<String> = said(&service, SEND).iter().map(Seen::token).collect();
        assert_eq!(tokens, ["access-1", "access-2"]);
    }

    #[tokio::test]
    async fn without_an_access_token_nothing_leaves_and_the_next_push_asks_again() {
        let (service, clock) = (Service::start().await, Clock::system());
        let fcm = fcm(&service, &clock);
        let push = push(&clock, Platform::Android, PushKind::Incoming);
        service.grant(503, &json!({}));
        assert!(matches!(fcm.send(&push).await, Outcome::Retry { .. }));
        service.grant(400, &json!({ "error": "invalid_grant" }));
        assert!(matches!(fcm.send(&push).await, Outcome::Rejected { .. }));
        service.grant(200, &json!({ "token_type": "Bearer" }));
        assert!(matches!(fcm.send(&push).await, Outcome::Rejected { .. }), "a grant without a token");
        assert_eq!(said(&service, SEND).len(), 0);
        assert_eq!(fcm.send(&push).await, Outcome::Accepted);
    }

    #[tokio::test]
    async fn each_answer_of_fcm_has_its_outcome() {
        let (service, clock) = (Service::start().await, Clock::system());
        let fcm = fcm(&service, &clock);
        let push = push(&clock, Platform::Android, PushKind::Incoming);
        let kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
        let says = |status: &str, code: &str| {
            json!({ "error": { "status": status, "details": [
                { "@type": "type.googleapis.com/google.rpc.Help" },
                { "@type": kind, "errorCode": code },
            ] } })
        };
        let retry = |why: &str| Outcome::Retry { after: None, why: why.to_owned() };
        let rejected = |why: &str| Outcome::Rejected { why: why.to_owned() };
        let table = [
            (404, says("NOT_FOUND", "UNREGISTERED"), Outcome::TokenGone { since: None }),
            (404, json!({ "error": { "status": "NOT_FOUND" } }), rejected("FCM said 404 NOT_FOUND")),
            (403, says("PERMISSION_DENIED", "SENDER_ID_MISMATCH"), rejected("FCM said 403 SENDER_ID_MISMATCH")),
            (400, says("INVALID_ARGUMENT", "INVALID_ARGUMENT"), rejected("FCM said 400 INVALID_ARGUMENT")),
            (429, says("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), retry("FCM said 429 QUOTA_EXCEEDED")),
            (500, says("INTERNAL", "INTERNAL"), retry("FCM said 500 INTERNAL")),
            (503, says("UNAVAILABLE", "UNAVAILABLE"), retry("FCM said 503 UNAVAILABLE")),
            (502, json!("a proxy"), retry("FCM said 502 ")),
        ];
        for (status, body, outcome) in table {
            service.say(status, &[], &body);
            assert_eq!(fcm.send(&push).await, outcome, "{status} {body}");
        }
        let in_a_minute = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(clock.now()).unwrap() + 60_000);
        let forms = [("7".to_owned(), 7..=7), (httpdate::fmt_http_date(in_a_minute), 50..=60)];
        for (value, seconds) in forms {
            service.say(429, &[("retry-after", value)], &says("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"));
            let outcome = fcm.send(&push).await;
            let Outcome::Retry { after: Some(after), .. } = outcome else { panic!("{outcome:?}") };
            assert!(seconds.contains(&after.as_secs()), "{after:?}");
        }
    }
}

#[test]
fn push_tokens_go_over_https_or_stay_on_this_machine() {
    let table = [
        (ApnsConfig::PRODUCTION, true),
        (ApnsConfig::SANDBOX, true),
        (FcmConfig::PRODUCTION, true),
        ("http://127.0.0.1:4711", true),
        ("http://[::1]:4711", true),
        ("http://localhost:4711", false),
        ("http://push.example", false),
        ("mailto:push@example", false),
        ("", false),
    ];
    for (text, safe) in table {
        assert_eq!(address(text).is_ok(), safe, "{text}");
    }
}

#[test]
fn a_push_in_a_log_shows_no_token() {
    let push = push(&Clock::system(), Platform::Ios, PushKind::Incoming);
    assert!(!format!("{push:?}").contains("push/token"));
}
