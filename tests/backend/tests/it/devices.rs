//! Where an agent is signed in, and what the server knows of their phones.

use hookswitch_backend::Backend;
use hookswitch_wire::{Capabilities, DeviceId, SignIn, SignInKind, SignedOutReason, Snapshot, StreamEvent};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::*;

fn of_kind(snapshot: &Snapshot, kind: SignInKind) -> SignIn {
    let mut found = snapshot.sessions.iter().filter(|session| session.kind == kind);
    let session = found.next().unwrap_or_else(|| panic!("no {kind:?} in {:?}", snapshot.sessions));
    assert!(found.next().is_none(), "one {kind:?}");
    session.clone()
}

async fn end(phone: &PhoneClient, session: &str) -> reqwest::Response {
    let request = phone.request(Method::DELETE, &format!("/v1/me/sessions/{session}"));
    soon(request.header("idempotency-key", "end").send()).await.unwrap()
}

async fn everywhere(backend: &Backend) -> (PhoneClient, Browser, Browser) {
    let phone = PhoneClient::ready(backend, ALICE, "iphone").await;
    let (mut browser, mut desktop) = (Browser::new(backend), Browser::new(backend));
    browser.enter("/app/web", ALICE).await;
    desktop.enter("/app/desktop", ALICE).await;
    (phone, browser, desktop)
}

#[tokio::test]
async fn an_agent_sees_where_they_are_signed_in_and_which_of_these_is_this() {
    let backend = backend().await;
    let (phone, mut browser, mut desktop) = everywhere(&backend).await;
    let snapshot = phone.state().await;
    let kinds: Vec<SignInKind> = snapshot.sessions.iter().map(|session| session.kind).collect();
    assert_eq!(kinds, [SignInKind::Mobile, SignInKind::Browser, SignInKind::Desktop], "oldest first");
    assert_eq!(snapshot.sessions[0].device, Some(DeviceId::from("iphone")));
    assert_eq!(snapshot.sessions[1].device, None);
    let now = backend.operator().clock().now();
    assert!(snapshot.sessions.iter().all(|session| (now - 60_000..=now).contains(&session.signed_in_at.0)));
    let here = browser.session("web").await;
    assert_eq!(here["session"], of_kind(&snapshot, SignInKind::Browser).id.as_str());
    let here = desktop.session("desktop").await;
    assert_eq!(here["session"], of_kind(&snapshot, SignInKind::Desktop).id.as_str());
    assert_eq!(Browser::new(&backend).session("web").await["session"], Value::Null);
}

#[tokio::test]
async fn a_sign_in_anywhere_is_seen_everywhere_at_once() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut events = phone.stream().await;
    events.state(|snapshot| snapshot.sessions.len() == 1).await;
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ALICE).await;
    events.state(|snapshot| snapshot.sessions.len() == 2).await;
    browser.sign_out("web").await;
    events.state(|snapshot| snapshot.sessions.len() == 1).await;
}

#[tokio::test]
async fn a_phone_signs_a_browser_out() {
    let backend = backend().await;
    let (phone, mut browser, mut desktop) = everywhere(&backend).await;
    let session = of_kind(&phone.state().await, SignInKind::Browser).id;
    assert_eq!(end(&phone, session.as_str()).await.status(), 204);
    assert!(!browser.signed_in("web").await);
    assert!(desktop.signed_in("desktop").await, "that one and no other");
    assert_eq!(phone.state().await.sessions.len(), 2);
    assert_eq!(end(&phone, session.as_str()).await.status(), 204, "over is over");
}

#[tokio::test]
async fn a_browser_signs_a_phone_out_and_it_rings_no_more() {
    let backend = backend().await;
    let (phone, mut browser, _) = everywhere(&backend).await;
    let mut events = phone.stream().await;
    let snapshot = events.state(|_| true).await;
    let session = of_kind(&snapshot, SignInKind::Mobile).id;
    let path = format!("/v1/me/sessions/{session}?surface=web");
    let forged = browser.request(Method::DELETE, &path).header("idempotency-key", "1");
    assert_eq!(browser.send(forged).await.status, 403, "no CSRF token");
    let csrf = browser.session("web").await["csrf"].as_str().unwrap().to_owned();
    let request = browser.request(Method::DELETE, &path).header("idempotency-key", "1").header("x-csrf-token", csrf);
    assert_eq!(browser.send(request).await.status, 204);
    let last = soon(async {
        let mut last = None;
        while let Some(event) = events.next().await {
            last = Some(event);
        }
        last
    })
    .await;
    match last {
        Some(StreamEvent::SignedOut(said)) => assert_eq!(said.reason, SignedOutReason::SignedOutElsewhere),
        other => panic!("{other:?}"),
    }
    assert_eq!(phone.get("/v1/me/state").send().await.unwrap().status(), 401);
    let refused = refresh(&backend, phone.tokens.refresh_token.as_deref().unwrap()).await;
    assert_eq!(oauth_error(refused).await, "invalid_grant");
    let report = backend.operator().incoming_call(ALICE, None, None).unwrap();
    assert!(report.devices.is_empty());
}

#[tokio::test]
async fn nobody_ends_the_session_of_somebody_else() {
    let backend = backend().await;
    let (alice, olivia) = (PhoneClient::sign_in(&backend, ALICE).await, PhoneClient::sign_in(&backend, OLIVIA).await);
    let session = alice.state().await.sessions[0].id.clone();
    assert_eq!(problem(end(&olivia, session.as_str()).await).await.code, "not_found");
    assert_eq!(problem(end(&olivia, "nothing").await).await.code, "not_found");
    let without_key = olivia.request(Method::DELETE, &format!("/v1/me/sessions/{session}")).send().await.unwrap();
    assert_eq!(problem(without_key).await.code, "precondition_required");
    assert_eq!(alice.get("/v1/me/state").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn what_a_phone_may_show_is_seen_and_keeps_no_call_from_it() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let body = json!({
        "name": "Alice's phone",
        "platform": "android",
        "app_version": "2.1",
        "push_token": "token",
        "capabilities": { "call_notifications": false, "full_screen_intent": true, "of_a_newer_app": 1 },
    });
    let request = phone.put("/v1/me/devices/android", &body).header("idempotency-key", "1");
    let snapshot: Snapshot = read(request.send().await.unwrap()).await;
    let capabilities = Capabilities { call_notifications: Some(false), full_screen_intent: Some(true) };
    assert_eq!(snapshot.devices[0].capabilities, capabilities);
    assert_eq!(snapshot.devices[0].cannot_ring, None);
}
