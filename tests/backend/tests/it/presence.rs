use hookswitch_backend::AgentSeed;
use hookswitch_wire::UnixMillis;
use hookswitch_wire::{Effective, Notice, Role, SignedOutReason, Snapshot, StreamEvent, stream::SignedOut};
use reqwest::Method;
use serde_json::json;

use super::support::*;

#[tokio::test]
async fn a_change_on_one_device_is_on_all_others() {
    let backend = backend().await;
    let iphone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let android = PhoneClient::ready(&backend, ALICE, "android").await;
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ALICE).await;
    let (mut one, mut other) = (iphone.stream().await, android.stream().await);
    let changed = iphone.set_availability(json!({ "kind": "unavailable", "reason": "on_a_break" }), "1").await;
    assert_eq!(changed.presence.effective, Effective::DoNotDisturb);
    for events in [&mut one, &mut other] {
        assert_eq!(events.state(|snapshot| snapshot.version >= changed.version).await, changed);
    }
    let page = browser.get("/v1/me/state?surface=web").await;
    assert_eq!(page.headers["etag"].to_str().unwrap(), changed.version.etag());
    assert_eq!(serde_json::from_str::<Snapshot>(&page.body).unwrap(), changed);
}

#[tokio::test]
async fn a_quiet_stream_beats_every_fifteen_seconds() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let mut events = phone.stream().await;
    assert!(matches!(events.next().await, Some(StreamEvent::State(_))), "the state comes first");
    for _ in 0..3 {
        let before = backend.operator().clock().now();
        backend.operator().clock().jump(15_000);
        match events.next().await {
            Some(StreamEvent::Heartbeat(beat)) => assert!(beat.at >= UnixMillis(before + 15_000)),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_agent_is_offline_until_the_first_and_after_the_last_session() {
    let backend = backend().await;
    let operator = backend.operator();
    assert_eq!(operator.snapshot(ALICE).unwrap().presence.effective, Effective::Offline);
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    assert_eq!(operator.snapshot(ALICE).unwrap().presence.effective, Effective::Available);
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ALICE).await;
    revoke(&backend, phone.tokens.refresh_token.as_deref().unwrap()).await;
    assert_eq!(operator.snapshot(ALICE).unwrap().presence.effective, Effective::Available);
    browser.sign_out("web").await;
    assert_eq!(operator.snapshot(ALICE).unwrap().presence.effective, Effective::Offline);
}

#[tokio::test]
async fn calls_are_still_forwarded_for_who_is_signed_in_nowhere() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    phone.forward(Some("+33612345678"), "1").await;
    backend.operator().revoke_sessions(ALICE, SignedOutReason::Revoked).unwrap();
    assert_eq!(backend.operator().snapshot(ALICE).unwrap().presence.effective, Effective::Available);
    let report = backend.operator().incoming_call(ALICE, None, None).unwrap();
    assert_eq!(report.forwarded_to.unwrap().as_str(), "+33612345678");
}

#[tokio::test]
async fn automatic_availability_follows_the_agents_working_day_by_itself() {
    let backend = backend().await;
    let mut seed = AgentSeed::new("noor@acme.example", "Noor", Role::Agent);
    seed.time_zone = "Asia/Kolkata".to_owned();
    backend.operator().add_agent(seed).await.unwrap();
    let clock = backend.operator().clock();
    // 2100-01-04 is a Monday; 03:20 UTC is 08:50 in Kolkata.
    let monday: jiff::Timestamp = "2100-01-04T03:20:00Z".parse().unwrap();
    clock.jump(monday.as_millisecond() - clock.now());
    let phone = PhoneClient::sign_in(&backend, "noor@acme.example").await;
    let mut events = phone.stream().await;
    let early = phone.set_availability(json!({ "kind": "automatic" }), "1").await;
    assert_eq!(early.presence.effective, Effective::DoNotDisturb);
    clock.jump(10 * 60_000);
    let morning = events
        .state(|snapshot| snapshot.version > early.version && snapshot.presence.effective == Effective::Available)
        .await;
    clock.jump(9 * 3_600_000);
    events
        .state(|snapshot| snapshot.version > morning.version && snapshot.presence.effective == Effective::DoNotDisturb)
        .await;
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session_and_says_why() {
    let backend = backend().await;
    let (iphone, android) = (PhoneClient::sign_in(&backend, ALICE).await, PhoneClient::sign_in(&backend, ALICE).await);
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ALICE).await;
    browser.enter("/app/desktop", ALICE).await;
    let other = PhoneClient::sign_in(&backend, ADAM).await;
    let mut events = android.stream().await;
    events.state(|_| true).await;
    let answer = iphone.command(Method::POST, "/v1/me/sign-out-everywhere", &json!(null), "1").await;
    assert_eq!(answer.status(), 204);
    let reason = SignedOutReason::SignedOutElsewhere;
    assert_eq!(events.next().await, Some(StreamEvent::SignedOut(SignedOut { reason })));
    assert_eq!(events.next().await, None);
    for phone in [&iphone, &android] {
        assert_eq!(phone.get("/v1/me/state").send().await.unwrap().status(), 401);
    }
    assert!(!browser.signed_in("web").await && !browser.signed_in("desktop").await);
    other.state().await;
}

#[tokio::test]
async fn who_is_signed_out_by_an_administrator_hears_that() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    for reason in [SignedOutReason::AccountClosed] {
        let mut events = phone.stream().await;
        events.state(|_| true).await;
        backend.operator().revoke_sessions(ALICE, reason).unwrap();
        assert_eq!(events.next().await, Some(StreamEvent::SignedOut(SignedOut { reason })));
    }
}

#[tokio::test]
async fn three_phones_of_a_kind_on_one_login_are_noticed() {
    let backend = backend().await;
    for device in ["one", "two", "three"] {
        assert!(backend.operator().snapshot(ALICE).unwrap().notices.is_empty(), "{device}");
        PhoneClient::ready(&backend, ALICE, device).await;
    }
    assert_eq!(backend.operator().snapshot(ALICE).unwrap().notices, [Notice::SharedLogin]);
}

#[tokio::test]
async fn three_places_at_once_are_noticed_and_forgotten_by_themselves() {
    let backend = backend().await;
    let mut phones = Vec::new();
    for n in 2..5_u8 {
        let mut phone = PhoneClient::sign_in(&backend, ALICE).await;
        phone.move_to([127, 0, 0, n]);
        phones.push(phone);
    }
    let mut events = phones[0].stream().await;
    assert_eq!(events.state(|_| true).await.notices, []);
    for phone in &phones {
        phone.state().await;
    }
    events.state(|snapshot| snapshot.notices == [Notice::SharedLogin]).await;
    let audit = backend.operator().audit_log(ALICE).unwrap();
    assert_eq!(audit.iter().filter(|(_, event)| event.contains("several people")).count(), 1);
    // Two of the three are heard of no more.
    backend.operator().clock().jump(10 * 60_000 + 1);
    events.state(|snapshot| snapshot.notices.is_empty()).await;
}

#[tokio::test]
async fn many_windows_and_two_phones_are_one_person() {
    let backend = backend().await;
    for path in ["/app/web", "/app/desktop"] {
        for _ in 0..3 {
            Browser::new(&backend).enter(path, ALICE).await;
        }
    }
    PhoneClient::ready(&backend, ALICE, "one").await;
    PhoneClient::ready(&backend, ALICE, "two").await;
    assert_eq!(backend.operator().snapshot(ALICE).unwrap().notices, []);
}

#[tokio::test]
async fn a_device_that_signs_in_anew_leaves_its_old_session_behind() {
    let backend = backend().await;
    let old = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut new = PhoneClient::sign_in(&backend, ALICE).await;
    let body = json!({ "name": "iphone", "platform": "ios", "app_version": "2", "push_token": "p" });
    let answer = new.command(Method::PUT, "/v1/me/devices/iphone", &body, "anew").await;
    assert_eq!(answer.status(), 200);
    new.device = "iphone".to_owned();
    assert_eq!(old.get("/v1/me/state").send().await.unwrap().status(), 401);
    let snapshot = new.state().await;
    assert_eq!((snapshot.devices.len(), snapshot.devices[0].app_version.as_str()), (1, "2"));
    assert_eq!(backend.operator().sessions(ALICE).unwrap().len(), 1);
}
