//! Forwarding: where to, until when, and whether the agent can be reached there.

use hookswitch_backend::{Backend, Config, Database, RingOutcome};
use hookswitch_wire::UnixMillis;
use hookswitch_wire::{CannotRing, CodeBy, DeviceId, Effective, Snapshot};
use reqwest::Method;
use serde_json::{Value, json};

use super::{nodes::Running, support::*};

const NUMBER: &str = "+33612345678";
const OTHER: &str = "+33623456789";

async fn forward(phone: &PhoneClient, body: &Value, key: &str) -> reqwest::Response {
    phone.command(Method::PUT, "/v1/me/forwarding", body, key).await
}

async fn post(phone: &PhoneClient, what: &str, body: &Value, key: &str) -> reqwest::Response {
    phone.command(Method::POST, &format!("/v1/me/forwarding/{what}"), body, key).await
}

#[tokio::test]
async fn forwarding_with_an_end_ends_by_itself_and_the_phones_ring_again() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut events = phone.stream().await;
    let until = backend.operator().clock().now() + 3_600_000;
    let on: Snapshot = read(forward(&phone, &json!({ "number": NUMBER, "until": until }), "on").await).await;
    assert_eq!(on.presence.forwarding.until, Some(UnixMillis(until)));
    assert_eq!(on.presence.forwards_to().unwrap().as_str(), NUMBER);
    // Nobody asks: the server does it.
    backend.operator().clock().jump(3_600_000);
    let off = events.state(|snapshot| snapshot.version > on.version).await;
    assert!(!off.presence.forwarding.is_on() && off.presence.forwarding.rev == off.version.rev);
    assert_eq!(off.presence.forwarding.until, None);
    assert_eq!(off.devices[0].cannot_ring, None);
    let call = backend.operator().incoming_call(ALICE, None, None).unwrap();
    assert_eq!(call.devices[0].outcome, RingOutcome::Pushed);
}

#[tokio::test]
async fn an_end_can_be_moved_and_taken_away() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let now = backend.operator().clock().now();
    let set = async |until: Option<i64>, key: &str| -> Snapshot {
        read(forward(&phone, &json!({ "number": NUMBER, "until": until }), key).await).await
    };
    let first = set(Some(now + 60_000), "1").await;
    let moved = set(Some(now + 120_000), "2").await;
    assert!(moved.presence.forwarding.rev > first.presence.forwarding.rev);
    backend.operator().clock().jump(60_000);
    assert!(phone.state().await.presence.forwarding.is_on());
    let open = set(None, "3").await;
    assert_eq!(open.presence.forwarding.until, None);
    backend.operator().clock().jump(86_400_000);
    assert!(backend.operator().snapshot(ALICE).unwrap().presence.forwarding.is_on());
}

#[tokio::test]
async fn an_end_that_is_over_or_of_nothing_is_refused() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let now = backend.operator().clock().now();
    let late = problem(forward(&phone, &json!({ "number": NUMBER, "until": now }), "1").await).await;
    assert_eq!((late.status, late.code.as_str(), late.field.as_deref()), (422, "invalid_until", Some("until")));
    let nothing = problem(forward(&phone, &json!({ "number": null, "until": now + 60_000 }), "1").await).await;
    assert_eq!((nothing.status, nothing.code.as_str()), (400, "malformed"));
    assert!(!phone.state().await.presence.forwarding.is_on());
    // A repetition is answered as the first time, even when the end is over by then.
    let body = json!({ "number": NUMBER, "until": now + 60_000 });
    let on: Snapshot = read(forward(&phone, &body, "2").await).await;
    backend.operator().clock().jump(61_000);
    let again: Snapshot = read(forward(&phone, &body, "2").await).await;
    assert_eq!(again.version, on.version);
    assert!(!phone.state().await.presence.forwarding.is_on());
}

#[tokio::test]
async fn an_end_is_kept_while_the_backend_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::File(folder.path().join("backend.db"));
    let first = backend_with(Config { database: database.clone(), ..config() }).await;
    let phone = PhoneClient::ready(&first, ALICE, "iphone").await;
    let until = first.operator().clock().now() + 60_000;
    forward(&phone, &json!({ "number": NUMBER, "until": until }), "on").await;
    first.stop().await;
    let clock = hookswitch_backend::Clock::system();
    clock.jump(60_000);
    let second = backend_with(Config { database, clock, ..config() }).await;
    assert!(!second.operator().snapshot(ALICE).unwrap().presence.forwarding.is_on());
}

#[tokio::test]
async fn calls_are_forwarded_only_while_the_agent_takes_calls() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    phone.forward(Some(NUMBER), "on").await;
    let away = phone.set_availability(json!({ "kind": "unavailable", "reason": "on_a_break" }), "away").await;
    assert_eq!(away.presence.effective, Effective::DoNotDisturb);
    assert_eq!(away.presence.forwards_to(), None);
    let call = backend.operator().incoming_call(ALICE, None, None).unwrap();
    assert_eq!((call.forwarded_to, call.agent_was), (None, Some(Effective::DoNotDisturb)));
    let back = phone.set_availability(json!({ "kind": "available" }), "back").await;
    assert_eq!(back.presence.forwards_to().unwrap().as_str(), NUMBER);
    let call = backend.operator().incoming_call(ALICE, None, None).unwrap();
    assert_eq!(call.forwarded_to.unwrap().as_str(), NUMBER);
}

#[tokio::test]
async fn forwarding_to_a_phone_of_ones_own_is_named() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let register = async |line_number: Option<&str>, key: &str| -> Snapshot {
        let body = json!({
            "name": "Alice's phone", "platform": "android", "app_version": "1", "push_token": "token",
            "line_number": line_number,
        });
        read(phone.put("/v1/me/devices/android", &body).header("idempotency-key", key).send().await.unwrap()).await
    };
    let own = |snapshot: &Snapshot| snapshot.presence.forwarding.own_device.clone();
    register(Some("+33 6 12 34 56 78"), "1").await;
    let on: Snapshot = read(phone.forward(Some(NUMBER), "on").await).await;
    assert_eq!(own(&on), Some(DeviceId::from("android")));
    assert_eq!(on.devices[0].cannot_ring, Some(CannotRing::ForwardingActive), "a warning, and no exception");
    let elsewhere: Snapshot = read(phone.forward(Some(OTHER), "other").await).await;
    assert_eq!(own(&elsewhere), None);
    // What a phone knows of its number may be no number at all.
    for (n, odd) in [Some("0612345678"), Some(""), None].into_iter().enumerate() {
        register(odd, &format!("odd-{n}")).await;
        let on: Snapshot = read(phone.forward(Some(NUMBER), &format!("on-{n}")).await).await;
        assert_eq!(own(&on), None, "{odd:?}");
        phone.forward(None, &format!("off-{n}")).await;
    }
}

async fn careful() -> (Running, PhoneClient) {
    let backend = backend_with(Config { verify_forwarding: true, ..config() }).await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    (backend, phone)
}

/// The digits of the last message.
fn code(backend: &Backend) -> String {
    let message = backend.operator().carrier_messages().pop().unwrap();
    message.text.chars().filter(char::is_ascii_digit).collect()
}

/// A code that is not this one.
fn other_than(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

async fn send(phone: &PhoneClient, number: &str, by: &str, key: &str) -> reqwest::Response {
    post(phone, "code", &json!({ "number": number, "by": by }), key).await
}

async fn verify(phone: &PhoneClient, number: &str, code: &str, key: &str) -> reqwest::Response {
    post(phone, "verification", &json!({ "number": number, "code": code }), key).await
}

#[tokio::test]
async fn a_number_is_verified_once_and_then_calls_go_there() {
    let (backend, phone) = careful().await;
    let refused = problem(phone.forward(Some(NUMBER), "on").await).await;
    let what = (refused.status, refused.code.as_str(), refused.field.as_deref());
    assert_eq!(what, (422, "number_not_verified", Some("number")));
    assert!(!phone.state().await.presence.forwarding.is_on());
    assert_eq!(send(&phone, "+33 6 12 34 56 78", "sms", "send").await.status(), 204);
    let message = backend.operator().carrier_messages().pop().unwrap();
    assert_eq!((message.to.as_str(), message.by), (NUMBER, CodeBy::Sms));
    let code = code(&backend);
    assert_eq!(code.len(), 6, "{}", message.text);
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    assert_eq!(verify(&phone, NUMBER, &spaced, "verify").await.status(), 204);
    // The refused command, under its key.
    let on: Snapshot = read(phone.forward(Some(NUMBER), "on").await).await;
    assert!(on.presence.forwarding.is_on());
    phone.forward(None, "off").await;
    assert_eq!(phone.forward(Some(NUMBER), "on-again").await.status(), 200, "once is enough");
    assert_eq!(problem(phone.forward(Some(OTHER), "other").await).await.code, "number_not_verified");
}

#[tokio::test]
async fn a_number_that_one_agent_verified_is_none_that_another_did() {
    let (backend, alice) = careful().await;
    send(&alice, NUMBER, "sms", "send").await;
    verify(&alice, NUMBER, &code(&backend), "verify").await;
    let olivia = PhoneClient::ready(&backend, OLIVIA, "hers").await;
    assert_eq!(problem(olivia.forward(Some(NUMBER), "on").await).await.code, "number_not_verified");
    assert_eq!(problem(verify(&olivia, NUMBER, &code(&backend), "v").await).await.code, "wrong_code");
}

#[tokio::test]
async fn a_code_can_be_heard() {
    let (backend, phone) = careful().await;
    send(&phone, NUMBER, "call", "send").await;
    let message = backend.operator().carrier_messages().pop().unwrap();
    assert_eq!(message.by, CodeBy::Call);
    assert!(message.text.contains(", "), "digit by digit: {}", message.text);
    assert_eq!(verify(&phone, NUMBER, &code(&backend), "verify").await.status(), 204);
}

#[tokio::test]
async fn a_request_for_a_code_that_is_repeated_sends_one() {
    let (backend, phone) = careful().await;
    for _ in 0..3 {
        assert_eq!(send(&phone, NUMBER, "sms", "send").await.status(), 204);
    }
    assert_eq!(backend.operator().carrier_messages().len(), 1);
    assert_eq!(problem(send(&phone, OTHER, "sms", "send").await).await.code, "key_reused");
}

#[tokio::test]
async fn a_code_is_good_for_five_tries_ten_minutes_and_until_the_next() {
    let (backend, phone) = careful().await;
    send(&phone, NUMBER, "sms", "1").await;
    let first = code(&backend);
    for n in 0..5 {
        let refused = problem(verify(&phone, NUMBER, &other_than(&first), &format!("wrong-{n}")).await).await;
        assert_eq!((refused.status, refused.code.as_str()), (422, "wrong_code"));
    }
    assert_eq!(problem(verify(&phone, NUMBER, &first, "right").await).await.code, "wrong_code", "five were enough");
    send(&phone, NUMBER, "sms", "2").await;
    let second = code(&backend);
    backend.operator().clock().jump(600_000);
    assert_eq!(problem(verify(&phone, NUMBER, &second, "late").await).await.code, "wrong_code");
    send(&phone, NUMBER, "sms", "3").await;
    let third = code(&backend);
    send(&phone, NUMBER, "sms", "4").await;
    let fourth = code(&backend);
    if third != fourth {
        assert_eq!(problem(verify(&phone, NUMBER, &third, "old").await).await.code, "wrong_code");
    }
    assert_eq!(problem(verify(&phone, OTHER, &fourth, "not-there").await).await.code, "wrong_code");
    assert_eq!(verify(&phone, NUMBER, &fourth, "new").await.status(), 204);
}

#[tokio::test]
async fn nobody_is_flooded_with_codes() {
    let (backend, alice) = careful().await;
    for n in 0..5 {
        assert_eq!(send(&alice, NUMBER, "sms", &format!("{n}")).await.status(), 204);
    }
    let refused = send(&alice, OTHER, "sms", "6").await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=900).contains(&wait));
    assert_eq!(problem(refused).await.code, "rate_limited");
    let olivia = PhoneClient::ready(&backend, OLIVIA, "hers").await;
    assert_eq!(send(&olivia, NUMBER, "sms", "1").await.status(), 429, "the number has had enough from all together");
    assert_eq!(send(&olivia, OTHER, "sms", "2").await.status(), 204);
    assert_eq!(backend.operator().carrier_messages().len(), 6);
    backend.operator().clock().jump(900_000);
    let alice = PhoneClient::sign_in(&backend, ALICE).await;
    assert_eq!(send(&alice, NUMBER, "sms", "7").await.status(), 204);
}

#[tokio::test]
async fn a_code_goes_only_where_a_call_could_and_in_a_way_that_exists() {
    let (backend, phone) = careful().await;
    assert_eq!(problem(send(&phone, "+999123", "sms", "1").await).await.code, "invalid_number");
    assert_eq!(problem(send(&phone, NUMBER, "pigeon", "2").await).await.code, "malformed");
    assert!(backend.operator().carrier_messages().is_empty());
}
