//! The push outbox, with a push service that answers as the test says and a clock that the test moves.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use hookswitch_backend::{
    Backend, Clock, Config, Database, DeliveryEnd, DeliveryReport, Gateways, Outcome, PushGateway, PushMessage,
};
use hookswitch_wire::{CallId, CannotRing, PushKind};
use secrecy::ExposeSecret;
use tokio::sync::{oneshot, watch};

use super::{nodes::Running, support::*};

/// What a try meets.
enum Reply {
    Says(Outcome),
    /// When the test says so; never, when it forgets.
    Waits(oneshot::Receiver<Outcome>),
}

/// A try as the service saw it.
#[derive(Clone, Debug, PartialEq)]
struct Try {
    device: String,
    token: String,
    kind: PushKind,
    /// What was left of the time in which it matters.
    left_ms: i64,
}

/// A push service that takes everything unless it was told otherwise.
struct Service {
    clock: Clock,
    replies: Mutex<VecDeque<Reply>>,
    tries: watch::Sender<Vec<Try>>,
}

#[async_trait::async_trait]
impl PushGateway for Service {
    async fn send(&self, push: &PushMessage) -> Outcome {
        let reply = self.replies.lock().unwrap().pop_front();
        let seen = Try {
            device: push.device.0.clone(),
            token: push.token.expose_secret().to_owned(),
            kind: push.payload.kind,
            left_ms: push.deliver_by - self.clock.now(),
        };
        self.tries.send_modify(|tries| tries.push(seen));
        match reply {
            None => Outcome::Accepted,
            Some(Reply::Says(outcome)) => outcome,
            Some(Reply::Waits(until)) => match until.await {
                Ok(outcome) => outcome,
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl Service {
    fn new(clock: &Clock) -> Arc<Self> {
        let (replies, tries) = (Mutex::default(), watch::Sender::default());
        Arc::new(Self { clock: clock.clone(), replies, tries })
    }

    fn says(&self, outcome: Outcome) {
        self.replies.lock().unwrap().push_back(Reply::Says(outcome));
    }

    /// The next try hangs until the test answers it.
    fn hangs(&self) -> oneshot::Sender<Outcome> {
        let (answer, until) = oneshot::channel();
        self.replies.lock().unwrap().push_back(Reply::Waits(until));
        answer
    }

    /// All tries, as soon as there are so many.
    async fn tries(&self, n: usize) -> Vec<Try> {
        let mut tries = self.tries.subscribe();
        soon(tries.wait_for(|tries| tries.len() >= n)).await.unwrap().clone()
    }

    async fn kinds(&self, n: usize) -> Vec<PushKind> {
        self.tries(n).await.into_iter().map(|seen| seen.kind).collect()
    }
}

fn refused() -> Outcome {
    Outcome::Retry { after: None, why: "not now".to_owned() }
}

fn unanswered() -> Outcome {
    Outcome::Unanswered { why: "silence".to_owned() }
}

async fn start(database: Database) -> (Running, Arc<Service>) {
    let clock = Clock::system();
    let service = Service::new(&clock);
    let gateway: Arc<dyn PushGateway> = service.clone();
    let push = Gateways { ios: Some(Arc::clone(&gateway)), android: Some(gateway) };
    (backend_with(Config { clock, push, database, ..config() }).await, service)
}

fn call(backend: &Backend) -> CallId {
    backend.operator().incoming_call(ALICE, None, None).unwrap().call.call_id
}

/// What the outbox knows, as soon as it knows this.
async fn until(backend: &Backend, known: impl Fn(&[DeliveryReport]) -> bool) -> Vec<DeliveryReport> {
    soon(async {
        loop {
            let reports = backend.operator().deliveries_since(0).unwrap();
            if known(&reports) {
                return reports;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// What became of the pushes, as soon as all have ended.
async fn ends(backend: &Backend) -> Vec<(PushKind, DeliveryEnd)> {
    let reports = until(backend, |reports| reports.iter().all(|report| report.end.is_some())).await;
    reports.into_iter().filter_map(|report| report.end.map(|end| (report.kind, end))).collect()
}

/// Waits until a push waits for its second try.
async fn back(backend: &Backend) {
    until(backend, |reports| reports.iter().any(|report| report.tries == 1 && report.end.is_none() && !report.is_out))
        .await;
}

#[tokio::test]
async fn a_call_is_tried_again_while_it_rings_and_never_after() {
    let (backend, service) = start(Database::Memory).await;
    let _phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    for _ in 0..20 {
        service.says(refused());
    }
    call(&backend);
    for n in 1.. {
        let tried = |start: &DeliveryReport| start.end.is_some() || (start.tries == n && !start.is_out);
        if until(&backend, |reports| tried(&reports[0])).await[0].end.is_some() {
            break;
        }
        // No wait is longer.
        backend.operator().clock().jump(8_000);
    }
    let ends = ends(&backend).await;
    assert_eq!(ends[0], (PushKind::Incoming, DeliveryEnd::Expired));
    let tries = service.tries(0).await;
    assert!((3..=8).contains(&tries.len()), "{tries:?}");
    assert!(tries.iter().all(|seen| seen.kind == PushKind::Incoming && seen.left_ms > 0), "{tries:?}");
}

#[tokio::test]
async fn a_call_that_was_refused_once_rings_on_the_second_try() {
    let (backend, service) = start(Database::Memory).await;
    let _phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    service.says(refused());
    call(&backend);
    back(&backend).await;
    backend.operator().clock().jump(500);
    assert_eq!(service.tries(2).await.len(), 2);
    assert_eq!(ends(&backend).await, [(PushKind::Incoming, DeliveryEnd::Sent)]);
}

#[tokio::test]
async fn a_service_that_asks_for_time_gets_it() {
    let (backend, service) = start(Database::Memory).await;
    let _phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    service.says(Outcome::Retry { after: Some(Duration::from_secs(20)), why: "busy".to_owned() });
    call(&backend);
    back(&backend).await;
    backend.operator().clock().jump(20_000);
    let tries = service.tries(2).await;
    assert!(tries[1].left_ms <= 10_000, "{tries:?}");
}

#[tokio::test]
async fn a_start_that_never_left_is_not_sent_after_the_call_and_needs_no_stop() {
    let (backend, service) = start(Database::Memory).await;
    let _phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    service.says(refused());
    let call = call(&backend);
    back(&backend).await;
    backend.operator().hang_up(&call).unwrap();
    backend.operator().clock().jump(1_000);
    let expected = [(PushKind::Incoming, DeliveryEnd::Superseded), (PushKind::Ended, DeliveryEnd::NeverStarted)];
    assert_eq!(ends(&backend).await, expected);
    assert_eq!(service.kinds(0).await, [PushKind::Incoming]);
}

#[tokio::test]
async fn a_start_that_may_have_left_is_stopped_and_not_sent_again() {
    let (backend, service) = start(Database::Memory).await;
    let _phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    service.says(unanswered());
    let call = call(&backend);
    back(&backend).await;
    backend.operator().hang_up(&call).unwrap();
    assert_eq!(service.kinds(2).await, [PushKind::Incoming, PushKind::Ended]);
    backend.operator().clock().jump(1_000);
    let expected = [(PushKind::Incoming, DeliveryEnd::Superseded), (PushKind::Ended, DeliveryEnd::Sent)];
    assert_eq!(ends(&backend).await, expected);
    assert_eq!(service.tries(0).await.len(), 2);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_start_that_hangs() {
    let (backend, service) = start(Database::Memory).await;
    let _phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let answer = service.hangs();
    let call = call(&backend);
    service.tries(1).await;
    backend.operator().hang_up(&call).unwrap();
    assert_eq!(service.kinds(2).await, [PushKind::Incoming, PushKind::Ended]);
    answer.send(refused()).unwrap();
    until(&backend, |reports| !reports[0].is_out).await;
    backend.operator().clock().jump(1_000);
    assert_eq!(ends(&backend).await[0], (PushKind::Incoming, DeliveryEnd::Superseded), "the call is over");
    assert_eq!(service.tries(0).await.len(), 2);
}

#[tokio::test]
async fn one_hanging_push_holds_no_other_up() {
    let (backend, service) = start(Database::Memory).await;
    let _iphone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let _android = PhoneClient::ready(&backend, ALICE, "android").await;
    let _answer = service.hangs();
    call(&backend);
    let devices: Vec<String> = service.tries(2).await.into_iter().map(|seen| seen.device).collect();
    assert_eq!(devices, ["iphone", "android"]);
}

#[tokio::test]
async fn forwarding_that_is_turned_on_holds_back_what_waits() {
    let (backend, service) = start(Database::Memory).await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    service.says(refused());
    call(&backend);
    back(&backend).await;
    assert_eq!(phone.forward(Some("+33612345678"), "on").await.status(), 200);
    backend.operator().clock().jump(1_000);
    let expected = [(PushKind::Incoming, DeliveryEnd::Withheld), (PushKind::Ended, DeliveryEnd::NeverStarted)];
    assert_eq!(ends(&backend).await, expected);
    assert_eq!(service.tries(0).await.len(), 1, "none while calls are forwarded");
}

#[tokio::test]
async fn an_old_server_pushes_through_the_outbox_too() {
    let (backend, service) = start(Database::Memory).await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    phone.forward(Some("+33612345678"), "on").await;
    backend.operator().set_old_server(true);
    call(&backend);
    assert_eq!(service.kinds(1).await, [PushKind::Incoming]);
}

#[tokio::test]
async fn a_token_that_the_service_knows_no_more_is_forgotten_and_the_agent_sees_it() {
    let (backend, service) = start(Database::Memory).await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut events = phone.stream().await;
    service.says(Outcome::TokenGone { since: None });
    call(&backend);
    let pruned = events.state(|snapshot| snapshot.devices[0].cannot_ring == Some(CannotRing::NoPushToken)).await;
    assert_eq!(ends(&backend).await, [(PushKind::Incoming, DeliveryEnd::TokenGone)]);
    assert_eq!(backend.operator().snapshot(ALICE).unwrap().version, pruned.version);
}

#[tokio::test]
async fn a_token_that_was_told_anew_survives_the_verdict_on_the_old_one() {
    let (backend, service) = start(Database::Memory).await;
    let mut phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let answer = service.hangs();
    call(&backend);
    service.tries(1).await;
    // While the push is out, the app gets another token.
    phone.register_as("iphone", Some("another"), "again").await;
    answer.send(Outcome::TokenGone { since: None }).unwrap();
    assert_eq!(ends(&backend).await, [(PushKind::Incoming, DeliveryEnd::TokenGone)]);
    assert_eq!(phone.state().await.devices[0].cannot_ring, None);
    // And this is a verdict on a time before the app told the same token again.
    let registered_at = phone.state().await.devices[0].last_seen;
    service.says(Outcome::TokenGone { since: Some((registered_at - 1).0) });
    call(&backend);
    assert_eq!(service.tries(2).await[1].token, "another");
    assert_eq!(ends(&backend).await.len(), 2);
    assert_eq!(phone.state().await.devices[0].cannot_ring, None);
    service.says(Outcome::TokenGone { since: Some(registered_at.0) });
    call(&backend);
    assert_eq!(ends(&backend).await.len(), 3);
    assert_eq!(phone.state().await.devices[0].cannot_ring, Some(CannotRing::NoPushToken));
}

#[tokio::test]
async fn a_push_that_waits_goes_to_the_token_of_the_moment() {
    let (backend, service) = start(Database::Memory).await;
    let mut phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    service.says(refused());
    call(&backend);
    back(&backend).await;
    phone.register_as("iphone", Some("another"), "again").await;
    backend.operator().clock().jump(500);
    let tokens: Vec<String> = service.tries(2).await.into_iter().map(|seen| seen.token).collect();
    assert_eq!(tokens, ["push-iphone", "another"]);
}

#[tokio::test]
async fn a_phone_that_signs_out_gets_nothing_that_waits() {
    let (backend, service) = start(Database::Memory).await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    service.says(refused());
    call(&backend);
    back(&backend).await;
    revoke(&backend, phone.tokens.refresh_token.as_deref().unwrap()).await;
    backend.operator().clock().jump(500);
    assert_eq!(ends(&backend).await, [(PushKind::Incoming, DeliveryEnd::TokenGone)]);
    assert_eq!(service.tries(0).await.len(), 1);
}

#[tokio::test]
async fn a_push_token_belongs_to_one_device() {
    let (backend, service) = start(Database::Memory).await;
    let mut before = PhoneClient::sign_in(&backend, ALICE).await;
    before.register_as("iphone", Some("the token"), "1").await;
    let mut after = PhoneClient::sign_in(&backend, ALICE).await;
    let snapshot = after.register_as("iphone-set-up-anew", Some("the token"), "2").await;
    let unreachable: Vec<_> = snapshot.devices.iter().map(|device| device.cannot_ring).collect();
    assert_eq!(unreachable, [Some(CannotRing::NoPushToken), None]);
    call(&backend);
    ends(&backend).await;
    assert_eq!(service.tries(0).await.len(), 1, "one phone rings once");
}

#[tokio::test]
async fn a_restart_sends_what_waited_and_what_was_out() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::File(folder.path().join("backend.db"));
    let (first, service) = start(database.clone()).await;
    let _waits = PhoneClient::ready(&first, ALICE, "waits").await;
    let _hangs = PhoneClient::ready(&first, ALICE, "hangs").await;
    service.says(refused());
    let _answer = service.hangs();
    let call = call(&first);
    service.tries(2).await;
    back(&first).await;
    first.stop().await;

    // The clock of the second is the system's: time went by.
    let (second, service) = start(database).await;
    let mut devices: Vec<String> = service.tries(2).await.into_iter().map(|seen| seen.device).collect();
    devices.sort();
    assert_eq!(devices, ["hangs", "waits"]);
    assert_eq!(ends(&second).await, [(PushKind::Incoming, DeliveryEnd::Sent); 2]);
    second.operator().hang_up(&call).unwrap();
    assert_eq!(service.kinds(4).await[2..], [PushKind::Ended; 2]);
}

#[tokio::test]
async fn a_restart_stops_what_was_out_when_the_call_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::File(folder.path().join("backend.db"));
    let (first, service) = start(database.clone()).await;
    let _phone = PhoneClient::ready(&first, ALICE, "iphone").await;
    let (_start, _stop) = (service.hangs(), service.hangs());
    let call = call(&first);
    service.tries(1).await;
    first.operator().hang_up(&call).unwrap();
    service.tries(2).await;
    first.stop().await;

    let (second, service) = start(database).await;
    let expected = [(PushKind::Incoming, DeliveryEnd::Superseded), (PushKind::Ended, DeliveryEnd::Sent)];
    assert_eq!(ends(&second).await, expected);
    assert_eq!(service.kinds(1).await, [PushKind::Ended], "the start may have left, so the stop has to");
}
