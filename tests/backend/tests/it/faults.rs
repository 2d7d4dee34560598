//! Faults on order: each does to the request and to the answer what its name says, and no more often than it was told.

use std::time::{Duration, Instant};

use hookswitch_backend::{Backend, Config, Fault, FaultPlan, FaultReport, Point};
use hookswitch_wire::{Problem, StreamEvent, TokenAnswer};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::support::*;

/// What a client can tell of an answer.
#[derive(Debug)]
enum Got {
    /// Not even a head.
    Nothing,
    /// A head, and a body that broke off.
    Half(u16),
    Whole {
        status: u16,
        media_type: String,
        body: String,
    },
}

async fn send(request: RequestBuilder) -> Got {
    let Ok(response) = soon(request.send()).await else { return Got::Nothing };
    let status = response.status().as_u16();
    let media_type = response.headers().get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
    match soon(response.bytes()).await {
        Err(_) => Got::Half(status),
        Ok(body) => Got::Whole { status, media_type, body: String::from_utf8_lossy(&body).into_owned() },
    }
}

fn whole(got: Got) -> (u16, String, String) {
    match got {
        Got::Whole { status, media_type, body } => (status, media_type, body),
        Got::Nothing | Got::Half(_) => panic!("{got:?}"),
    }
}

fn refreshing(backend: &Backend, token: &str) -> RequestBuilder {
    let request = Browser::new(backend).request(Method::POST, "/token");
    form(request, &[("grant_type", "refresh_token"), ("client_id", "hookswitch-mobile"), ("refresh_token", token)])
}

fn forwarding(phone: &PhoneClient, etag: &str, key: &str) -> RequestBuilder {
    let body = json!({ "number": "+33612345678" });
    phone.put("/v1/me/forwarding", &body).header("idempotency-key", key).header("if-match", etag)
}

/// Faults that keep the server from seeing the request, and those that only spoil its answer.
const BEFORE: [Fault; 4] =
    [Fault::BeforeCommit, Fault::ServerError, Fault::TooManyRequests { retry_after_s: 7 }, Fault::CaptivePortal];
const AFTER: [Fault; 6] = [
    Fault::AfterCommit,
    Fault::TruncatedBody,
    Fault::SlowDrip { every_ms: 0 },
    Fault::Delay { ms: 1 },
    Fault::WrongContentType,
    Fault::MalformedJson,
];

#[tokio::test]
async fn a_fault_before_the_commit_leaves_the_refresh_token_as_it_was() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let token = phone.tokens.refresh_token.clone().unwrap();
    for fault in BEFORE {
        backend.operator().inject(FaultPlan::new(Point::Refresh, fault).times(1));
        let got = send(refreshing(&backend, &token)).await;
        assert!(!matches!(&got, Got::Whole { body, .. } if body.contains("access_token")), "{fault:?} {got:?}");
        let family = backend.operator().refresh_record(ALICE).unwrap().families.remove(0);
        assert_eq!((family.generation, family.granted, family.refused), (0, 0, 0), "{fault:?}");
    }
    let family = backend.operator().refresh_record(ALICE).unwrap().families.remove(0);
    assert_eq!(family.received, BEFORE.len() as u64, "each of them reached the server all the same");
    assert_eq!(refresh(&backend, &token).await.status(), 200);
}

#[tokio::test]
async fn a_fault_after_the_commit_spoils_the_answer_only() {
    for fault in AFTER {
        let backend = backend().await;
        let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
        let token = phone.tokens.refresh_token.clone().unwrap();
        backend.operator().inject(FaultPlan::new(Point::Token, fault).times(1));
        let got = send(refreshing(&backend, &token)).await;
        let family = backend.operator().refresh_record(ALICE).unwrap().families.remove(0);
        assert_eq!((family.received, family.generation, family.granted), (1, 1, 1), "{fault:?}");
        let parsed = match &got {
            Got::Whole { body, .. } => serde_json::from_str::<TokenAnswer>(body).ok(),
            Got::Nothing | Got::Half(_) => None,
        };
        let readable = matches!(fault, Fault::SlowDrip { .. } | Fault::Delay { .. } | Fault::WrongContentType);
        assert_eq!(parsed.is_some(), readable, "{fault:?} {got:?}");
        match fault {
            Fault::AfterCommit => assert!(matches!(got, Got::Nothing), "{got:?}"),
            Fault::TruncatedBody => assert!(matches!(got, Got::Half(200)), "{got:?}"),
            Fault::WrongContentType => assert!(whole(got).1.starts_with("text/html")),
            Fault::MalformedJson => assert_eq!(whole(got).1, "application/json"),
            Fault::SlowDrip { .. } | Fault::Delay { .. } => assert_eq!(whole(got).0, 200),
            Fault::BeforeCommit | Fault::ServerError | Fault::TooManyRequests { .. } | Fault::CaptivePortal => {}
        }
    }
}

#[tokio::test]
async fn a_command_is_carried_out_or_not_as_the_fault_says() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    for (faults, forwarded) in [(&BEFORE[..], false), (&AFTER[..], true)] {
        for fault in faults {
            phone.forward(None, &format!("off-{fault:?}").replace(' ', "")).await;
            let etag = phone.state().await.version.etag();
            backend.operator().inject(FaultPlan::new(Point::Forwarding, *fault).times(1));
            let key = format!("on-{fault:?}").replace(' ', "");
            let first = send(forwarding(&phone, &etag, &key)).await;
            assert_eq!(phone.state().await.presence.forwarding.is_on(), forwarded, "{fault:?} {first:?}");
            // Sent again under its key: it happens once, whatever the first time came to.
            let (status, _, _) = whole(send(forwarding(&phone, &etag, &key)).await);
            assert_eq!(status, 200, "{fault:?}");
            assert!(phone.state().await.presence.forwarding.is_on());
        }
    }
}

#[tokio::test]
async fn every_fault_works_at_every_point_that_answers_with_a_body() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let browser = Browser::new(&backend);
    let requests = || {
        [
            (Point::State, phone.get("/v1/me/state")),
            (Point::Metadata, browser.request(Method::GET, "/.well-known/openid-configuration")),
            (Point::Metadata, browser.request(Method::GET, "/jwks")),
            (Point::Any, phone.get("/v1/me/state")),
        ]
    };
    for fault in BEFORE.into_iter().chain(AFTER) {
        for (point, request) in requests() {
            backend.operator().inject(FaultPlan::new(point, fault).times(1));
            let response = soon(request.try_clone().unwrap().send()).await;
            let retry_after = response.ok().and_then(|response| {
                let value = response.headers().get("retry-after")?;
                Some(value.to_str().unwrap().to_owned())
            });
            assert_eq!(
                retry_after.as_deref(),
                matches!(fault, Fault::TooManyRequests { .. }).then_some("7"),
                "{fault:?} {point:?}"
            );
            backend.operator().inject(FaultPlan::new(point, fault).times(1));
            let got = send(request).await;
            match fault {
                Fault::BeforeCommit | Fault::AfterCommit => assert!(matches!(got, Got::Nothing), "{point:?} {got:?}"),
                Fault::TruncatedBody => assert!(matches!(got, Got::Half(200)), "{point:?} {got:?}"),
                Fault::SlowDrip { .. } | Fault::Delay { .. } => {
                    let (status, _, body) = whole(got);
                    assert!(status == 200 && serde_json::from_str::<Value>(&body).is_ok());
                }
                Fault::CaptivePortal => {
                    let (status, media_type, body) = whole(got);
                    assert_eq!((status, &media_type[..9]), (200, "text/html"));
                    assert!(body.contains("<html"));
                }
                Fault::WrongContentType => {
                    let (status, media_type, body) = whole(got);
                    assert_eq!((status, &media_type[..9]), (200, "text/html"));
                    assert!(serde_json::from_str::<Value>(&body).is_ok());
                }
                Fault::ServerError | Fault::TooManyRequests { .. } => {
                    let (status, media_type, body) = whole(got);
                    let problem: Problem = serde_json::from_str(&body).unwrap();
                    assert_eq!((problem.status, media_type.as_str()), (status, "application/problem+json"));
                    assert_eq!(status, if fault == Fault::ServerError { 500 } else { 429 });
                }
                Fault::MalformedJson => {
                    let (status, media_type, body) = whole(got);
                    assert_eq!((status, media_type.as_str()), (200, "application/json"));
                    assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_revocation_is_lost_or_done_as_the_fault_says() {
    let backend = backend().await;
    let table = BEFORE.into_iter().map(|fault| (fault, true)).chain(AFTER.into_iter().map(|fault| (fault, false)));
    for (fault, lives) in table {
        let phone = PhoneClient::sign_in(&backend, ALICE).await;
        let token = phone.tokens.refresh_token.clone().unwrap();
        backend.operator().inject(FaultPlan::new(Point::Revocation, fault).times(1));
        let request = Browser::new(&backend).request(Method::POST, "/revoke");
        send(form(request, &[("client_id", "hookswitch-mobile"), ("token", &token)])).await;
        let status = phone.get("/v1/me/state").send().await.unwrap().status();
        assert_eq!(status.is_success(), lives, "{fault:?}");
        assert_eq!(revoke(&backend, &token).await.status(), 200, "{fault:?}");
        assert_eq!(phone.get("/v1/me/state").send().await.unwrap().status(), 401, "{fault:?}");
    }
}

#[tokio::test]
async fn a_stream_breaks_drips_or_talks_nonsense() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let inject = |fault| backend.operator().inject(FaultPlan::new(Point::Stream, fault).times(1));
    for fault in [Fault::BeforeCommit, Fault::AfterCommit] {
        inject(fault);
        assert!(matches!(send(phone.get("/v1/me/stream")).await, Got::Nothing), "{fault:?}");
    }
    inject(Fault::TruncatedBody);
    assert!(matches!(send(phone.get("/v1/me/stream")).await, Got::Half(200)));
    inject(Fault::MalformedJson);
    let (status, media_type, body) = whole(send(phone.get("/v1/me/stream")).await);
    assert_eq!((status, media_type.as_str()), (200, "text/event-stream"));
    assert!(StreamEvent::parse("state", body.lines().last().unwrap().trim_start_matches("data: ")).is_err(), "{body}");
    inject(Fault::SlowDrip { every_ms: 0 });
    let mut events = phone.stream().await;
    events.state(|_| true).await;
    backend.operator().clock().jump(15_000);
    assert!(matches!(events.next().await, Some(StreamEvent::Heartbeat(_))), "slow, but whole");
}

#[tokio::test]
async fn a_slow_answer_takes_its_time_for_each_byte() {
    let backend = backend().await;
    let browser = Browser::new(&backend);
    let quick = whole(send(browser.request(Method::GET, "/jwks")).await).2;
    backend.operator().inject(FaultPlan::new(Point::Metadata, Fault::SlowDrip { every_ms: 2 }).times(1));
    let begun = Instant::now();
    let slow = whole(send(browser.request(Method::GET, "/jwks")).await).2;
    assert_eq!(slow, quick);
    assert!(begun.elapsed() >= Duration::from_millis(2) * u32::try_from(quick.len()).unwrap());
}

#[tokio::test]
async fn a_fault_meets_as_many_requests_as_it_was_told_and_the_rest_pass() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let operator = backend.operator();
    let twice = operator.inject(FaultPlan::new(Point::State, Fault::ServerError).times(2));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(phone.get("/v1/me/state").send().await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [500, 500, 200, 200]);
    let ever = operator.inject(FaultPlan::new(Point::State, Fault::ServerError));
    for _ in 0..20 {
        assert_eq!(phone.get("/v1/me/state").send().await.unwrap().status(), 500);
    }
    let applied: Vec<(u64, u64)> = operator.faults().iter().map(|report| (report.id, report.applied)).collect();
    assert_eq!(applied, [(twice, 2), (ever, 20)]);
    assert_eq!(operator.clear_fault(ever).unwrap().applied, 20);
    assert_eq!(phone.get("/v1/me/state").send().await.unwrap().status(), 200);
    let cleared: Vec<u64> = operator.clear_faults().iter().map(|report| report.id).collect();
    assert_eq!(cleared, [twice]);
}

#[tokio::test]
async fn a_lost_answer_is_in_the_log_as_no_answer() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let mut log = backend.operator().requests();
    backend.operator().inject(FaultPlan::new(Point::State, Fault::AfterCommit).times(1));
    send(phone.get("/v1/me/state")).await;
    let line = log.recv().await.unwrap();
    assert_eq!((line.path.as_str(), line.status), ("/v1/me/state", 0));
}

#[tokio::test]
async fn the_operator_orders_and_clears_faults_over_http() {
    const KEY: &str = "the key of the operator";
    let backend = backend_with(Config { operator_key: Some(KEY.into()), ..config() }).await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let browser = Browser::new(&backend);
    let operator = |method: Method, path: &str| browser.request(method, path).bearer_auth(KEY);
    let order = |body: Value| {
        let request = operator(Method::POST, "/operator/faults").header("content-type", "application/json");
        request.body(body.to_string()).send()
    };
    let ordered: Value =
        read(order(json!({ "point": "any", "fault": "429", "retry_after_s": 9, "times": 1 })).await.unwrap()).await;
    let portal: Value = read(order(json!({ "point": "state", "fault": "captive_portal" })).await.unwrap()).await;
    for bad in [json!({ "point": "nowhere", "fault": "500" }), json!({ "point": "any", "fault": "x" }), json!({})] {
        assert_eq!(problem(order(bad.clone()).await.unwrap()).await.status, 400, "{bad}");
    }
    let limited = phone.get("/v1/me/state").send().await.unwrap();
    assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().unwrap()), (429, "9"));
    assert_eq!(whole(send(phone.get("/v1/me/state")).await).0, 200);
    let listed = operator(Method::GET, "/operator/faults").send().await.unwrap();
    let listed: Value = read(listed).await;
    assert_eq!(
        listed,
        json!([
            { "id": ordered["id"], "point": "any", "fault": "429", "retry_after_s": 9, "times": 1, "applied": 1 },
            { "id": portal["id"], "point": "state", "fault": "captive_portal", "times": null, "applied": 1 },
        ])
    );
    let path = format!("/operator/faults/{}", portal["id"]);
    let cleared: FaultReport = read(operator(Method::DELETE, &path).send().await.unwrap()).await;
    assert_eq!(cleared.plan.fault, Fault::CaptivePortal);
    assert_eq!(problem(operator(Method::DELETE, &path).send().await.unwrap()).await.status, 404);
    let cleared: Vec<FaultReport> = read(operator(Method::DELETE, "/operator/faults").send().await.unwrap()).await;
    assert_eq!(cleared.len(), 1);
    phone.state().await;
    for (method, path) in [(Method::GET, "/operator/faults"), (Method::DELETE, "/operator/faults")] {
        assert_eq!(problem(browser.request(method, path).send().await.unwrap()).await.status, 401);
    }
}
