use hookswitch_backend::{Backend, CallReport, Config, Database, GivenBack, LegNews, RingOutcome};
use hookswitch_wire::{CallState, CannotRing, DeviceId, Effective, PushKind, Snapshot, Surface};
use reqwest::Method;
use serde_json::json;

use super::support::*;

fn call(backend: &Backend) -> CallReport {
    let from = Some("+33612345678".parse().unwrap());
    backend.operator().incoming_call(ALICE, from, Some("Bob".to_owned())).unwrap()
}

fn pushes(backend: &Backend) -> Vec<(String, PushKind)> {
    let outbox = backend.operator().outbox_since(0).unwrap();
    outbox.into_iter().map(|entry| (entry.device.0, entry.payload.kind)).collect()
}

fn pushed(device: &str, kind: PushKind) -> (String, PushKind) {
    (device.to_owned(), kind)
}

async fn on_call(phone: &PhoneClient, call: &CallReport, verb: &str, key: &str) -> reqwest::Response {
    let body = json!({ "device": phone.device });
    phone.command(Method::POST, &format!("/v1/me/calls/{}/{verb}", call.call.call_id), &body, key).await
}

#[tokio::test]
async fn a_call_rings_on_every_phone_and_stops_on_all_when_one_answers() {
    let backend = backend().await;
    let iphone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let android = PhoneClient::ready(&backend, ALICE, "android").await;
    let mut live = backend.operator().pushes();
    let report = call(&backend);
    assert!(report.devices.iter().all(|ring| ring.outcome == RingOutcome::Pushed));
    let first = live.recv().await.unwrap();
    assert_eq!((first.seq, first.push_token.as_str()), (1, "push-iphone"));
    assert!(!first.payload.forwarding_on);
    let state = iphone.state().await;
    assert_eq!(first.payload.routing, state.version, "the state in which the call rings");
    assert_eq!(state.calls.iter().map(|call| &call.call_id).collect::<Vec<_>>(), [&first.payload.call_id]);
    assert_eq!(first.payload.expires_at, report.call.started_at + 30_000);

    let answered: Snapshot = read(on_call(&iphone, &report, "answer", "1").await).await;
    let by = Surface::Mobile { device: DeviceId::from("iphone") };
    assert_eq!(answered.calls[0].state, CallState::Answered { by });
    assert_eq!(answered.presence.effective, Effective::InCall);
    assert_eq!(answered.devices[0].cannot_ring, Some(CannotRing::InAnotherCall));
    use PushKind::{AnsweredElsewhere, Incoming};
    assert_eq!(
        pushes(&backend),
        [pushed("iphone", Incoming), pushed("android", Incoming), pushed("android", AnsweredElsewhere)]
    );
    let late = problem(on_call(&android, &report, "answer", "2").await).await;
    assert_eq!((late.status, late.code.as_str()), (409, "call_taken"));
    assert_eq!(on_call(&iphone, &report, "answer", "3").await.status(), 200, "the same phone again");
}

#[tokio::test]
async fn while_calls_are_forwarded_no_phone_is_pushed() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let on: Snapshot = read(phone.forward(Some("+33612345678"), "1").await).await;
    assert_eq!(on.devices[0].cannot_ring, Some(CannotRing::ForwardingActive));
    let report = call(&backend);
    assert_eq!(report.forwarded_to.as_ref().unwrap().as_str(), "+33612345678");
    assert_eq!(report.devices[0].outcome, RingOutcome::NotPushed(CannotRing::ForwardingActive));
    assert_eq!(report.call.state, CallState::Offered);
    assert!(pushes(&backend).is_empty());
    backend.operator().leg(&report.call.call_id, LegNews::Busy).unwrap();
    phone.forward(None, "2").await;
    assert_eq!(call(&backend).devices[0].outcome, RingOutcome::Pushed);
}

#[tokio::test]
async fn no_second_customer_is_sent_to_a_number_that_is_taken() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    phone.forward(Some("+33612345678"), "1").await;
    assert!(call(&backend).forwarded_to.is_some());
    let second = call(&backend);
    assert_eq!((second.forwarded_to, second.given_back), (None, Some(GivenBack::OneAtATime)));
}

#[tokio::test]
async fn a_1_pressed_at_the_number_puts_the_agent_into_the_call_until_the_leg_is_over() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    phone.forward(Some("+33612345678"), "1").await;
    let report = call(&backend);
    let operator = backend.operator();
    let shown = async || {
        let state = phone.state().await;
        (state.calls[0].state.clone(), state.presence.effective, state.calls[0].forwarded_to.is_some())
    };
    assert_eq!(shown().await, (CallState::Offered, Effective::Available, true));
    for news in [LegNews::PickedUp, LegNews::Pressed1, LegNews::Pressed1] {
        operator.leg(&report.call.call_id, news).unwrap();
    }
    let spoken = CallState::Answered { by: Surface::Forwarded };
    assert_eq!(shown().await, (spoken.clone(), Effective::InCall, true));
    operator.clock().jump(600_000);
    assert_eq!(shown().await, (spoken, Effective::InCall, true), "the server renews the lease while the leg stands");
    for news in [LegNews::HungUp, LegNews::HungUp] {
        operator.leg(&report.call.call_id, news).unwrap();
    }
    assert_eq!(shown().await, (CallState::Ended, Effective::AfterCallWork, true));
    assert!(pushes(&backend).is_empty(), "no phone has heard of it");
}

#[tokio::test]
async fn an_offer_ends_at_its_time_although_the_backend_was_down() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::File(folder.path().join("backend.db"));
    let first = backend_with(Config { database: database.clone(), ..config() }).await;
    let phone = PhoneClient::ready(&first, ALICE, "iphone").await;
    phone.forward(Some("+33612345678"), "1").await;
    let report = call(&first);
    first.stop().await;
    let clock = hookswitch_backend::Clock::system();
    clock.jump(20_000);
    let second = backend_with(Config { database, clock, ..config() }).await;
    let report = second.operator().call_report(&report.call.call_id).unwrap();
    assert_eq!((report.call.state, report.given_back), (CallState::Ended, Some(GivenBack::Unanswered)));
}

#[tokio::test]
async fn an_old_server_pushes_although_calls_are_forwarded_and_says_so() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    phone.forward(Some("+33612345678"), "1").await;
    backend.operator().set_old_server(true);
    assert_eq!(call(&backend).devices[0].outcome, RingOutcome::Pushed);
    let outbox = backend.operator().outbox_since(0).unwrap();
    assert_eq!(outbox.len(), 1);
    assert!(outbox[0].payload.forwarding_on);
}

#[tokio::test]
async fn turning_forwarding_on_stops_what_rings() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let report = call(&backend);
    let on: Snapshot = read(phone.forward(Some("+33612345678"), "1").await).await;
    assert_eq!(on.calls[0].state, CallState::Offered);
    assert_eq!(pushes(&backend), [pushed("iphone", PushKind::Incoming), pushed("iphone", PushKind::Ended)]);
    let ended = backend.operator().outbox_since(1).unwrap();
    assert!(ended[0].payload.forwarding_on && ended[0].payload.routing == on.version);
    assert_eq!(problem(on_call(&phone, &report, "answer", "2").await).await.code, "call_taken");
    let report = backend.operator().call_report(&report.call.call_id).unwrap();
    assert_eq!(report.forwarded_to.unwrap().as_str(), "+33612345678");
}

#[tokio::test]
async fn a_call_that_nobody_answers_stops_by_itself_and_is_shown_for_a_minute() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut events = phone.stream().await;
    let report = call(&backend);
    events.state(|snapshot| snapshot.calls.iter().any(|call| call.state == CallState::Ringing)).await;
    backend.operator().clock().jump(30_000);
    events.state(|snapshot| snapshot.calls.iter().any(|call| call.state == CallState::Ended)).await;
    assert_eq!(pushes(&backend), [pushed("iphone", PushKind::Incoming), pushed("iphone", PushKind::Ended)]);
    assert_eq!(problem(on_call(&phone, &report, "answer", "1").await).await.code, "call_taken");
    assert_eq!(on_call(&phone, &report, "decline", "2").await.status(), 200, "over is over");
    backend.operator().clock().jump(60_000);
    events.state(|snapshot| snapshot.calls.is_empty()).await;
}

#[tokio::test]
async fn a_declined_call_stops_on_the_other_phones() {
    let backend = backend().await;
    let iphone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let _android = PhoneClient::ready(&backend, ALICE, "android").await;
    let report = call(&backend);
    let declined: Snapshot = read(on_call(&iphone, &report, "decline", "1").await).await;
    assert_eq!(declined.calls[0].state, CallState::Ended);
    assert_eq!(declined.presence.effective, Effective::Available);
    assert_eq!(pushes(&backend)[2..], [pushed("android", PushKind::Ended)]);
}

#[tokio::test]
async fn a_caller_who_hangs_up_stops_the_ringing() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let report = call(&backend);
    backend.operator().hang_up(&report.call.call_id).unwrap();
    assert_eq!(pushes(&backend)[1..], [pushed("iphone", PushKind::Ended)]);
    let snapshot = phone.state().await;
    assert_eq!(snapshot.calls[0].state, CallState::Ended);
    assert_eq!(snapshot.presence.effective, Effective::Available, "nobody talked: no work after it");
}

#[tokio::test]
async fn after_a_call_comes_its_work_and_then_the_next_call() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut events = phone.stream().await;
    let report = call(&backend);
    on_call(&phone, &report, "answer", "1").await;
    let over: Snapshot = read(on_call(&phone, &report, "hang-up", "2").await).await;
    assert_eq!(over.presence.effective, Effective::AfterCallWork);
    assert_eq!(over.devices[0].cannot_ring, Some(CannotRing::NotAvailable));
    let meanwhile = call(&backend);
    assert_eq!(meanwhile.agent_was, Some(Effective::AfterCallWork));
    assert_eq!(phone.state().await.version, over.version, "the apps never hear of it");
    backend.operator().clock().jump(30_000);
    events
        .state(|snapshot| snapshot.version > over.version && snapshot.presence.effective == Effective::Available)
        .await;
    assert_eq!(call(&backend).devices[0].outcome, RingOutcome::Pushed);
}

#[tokio::test]
async fn nobody_is_stuck_in_a_call_that_its_app_lost() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut events = phone.stream().await;
    let report = call(&backend);
    on_call(&phone, &report, "answer", "1").await;
    for (n, _) in (0..3).enumerate() {
        backend.operator().clock().jump(40_000);
        let renewed = on_call(&phone, &report, "lease", &format!("lease-{n}")).await;
        assert_eq!(renewed.status(), 200);
    }
    assert_eq!(phone.state().await.presence.effective, Effective::InCall);
    backend.operator().clock().jump(45_000);
    let clear = events
        .state(|snapshot| {
            snapshot.presence.call_leases.is_empty() && snapshot.calls.iter().any(|call| call.state == CallState::Ended)
        })
        .await;
    assert_eq!(clear.presence.effective, Effective::Available);
    assert_eq!(problem(on_call(&phone, &report, "lease", "late").await).await.code, "call_taken");
}

#[tokio::test]
async fn a_browser_answers_too() {
    let backend = backend().await;
    let _phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut browser = Browser::new(&backend);
    browser.enter("/app/cti/hubspot", ALICE).await;
    let csrf = browser.session("cti-hubspot").await["csrf"].as_str().unwrap().to_owned();
    let report = call(&backend);
    let request = browser
        .request(Method::POST, &format!("/v1/me/calls/{}/answer?surface=cti-hubspot", report.call.call_id))
        .header("x-csrf-token", csrf)
        .header("idempotency-key", "1");
    let answered: Snapshot = read(request.send().await.unwrap()).await;
    assert_eq!(answered.calls[0].state, CallState::Answered { by: Surface::Cti { host: "hubspot".to_owned() } });
    assert_eq!(pushes(&backend)[1..], [pushed("iphone", PushKind::AnsweredElsewhere)]);
}

#[tokio::test]
async fn a_phone_without_a_push_token_is_not_pushed_and_a_call_that_never_was_is_not_found() {
    let backend = backend().await;
    let mut phone = PhoneClient::sign_in(&backend, ALICE).await;
    phone.register("iphone", None).await;
    assert_eq!(call(&backend).devices[0].outcome, RingOutcome::NotPushed(CannotRing::NoPushToken));
    for verb in ["answer", "decline", "hang-up", "lease"] {
        let path = format!("/v1/me/calls/nothing/{verb}");
        let answer = phone.command(Method::POST, &path, &json!({}), &format!("k-{verb}")).await;
        assert_eq!(problem(answer).await.code, "not_found", "{verb}");
    }
}

#[tokio::test]
async fn a_phone_that_signed_out_rings_no_more() {
    let backend = backend().await;
    let iphone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let _android = PhoneClient::ready(&backend, ALICE, "android").await;
    revoke(&backend, iphone.tokens.refresh_token.as_deref().unwrap()).await;
    call(&backend);
    assert_eq!(pushes(&backend), [pushed("android", PushKind::Incoming)]);
}
