//! What several nodes promise when one of them, or what they rely on, goes away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hookswitch_backend::{AgentSeed, Backend, Config, Database};
use hookswitch_wire::{Role, Snapshot, StreamEvent, TokenAnswer, UnavailableReason, Version};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{services::*, support::*};

const AGENTS: usize = 6;

/// A command that was acknowledged.
struct Acknowledged {
    key: String,
    body: Value,
    version: Version,
}

/// A client that knows two nodes, never gives up on a command, and remembers each that was acknowledged.
struct Stubborn {
    client: Client,
    nodes: [String; 2],
    turn: usize,
    name: String,
    tokens: TokenAnswer,
    known: Version,
    acknowledged: Vec<Acknowledged>,
    refreshed: u64,
    failures: u64,
}

impl Stubborn {
    /// An answer that decides something; who gets none, or a 5xx, asks the other node.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        of: impl Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> (StatusCode, String) {
        loop {
            let node = &self.nodes[self.turn % 2];
            self.turn += 1;
            let request = of(self.client.request(method.clone(), format!("{node}{path}")));
            if let Ok(answer) = request.send().await {
                let status = answer.status();
                if let (false, Ok(text)) = (status.is_server_error(), answer.text().await) {
                    return (status, text);
                }
            }
            self.failures += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn choose(&mut self, number: usize) {
        let reason = UnavailableReason::ALL[number % UnavailableReason::ALL.len()];
        let body = json!({ "availability": { "kind": "unavailable", "reason": reason } });
        let key = format!("{}-{number}", self.name);
        loop {
            let (token, text, known) = (self.tokens.access_token.clone(), body.to_string(), self.known.etag());
            let answer = self.ask(Method::PUT, "/v1/me/availability", |request| {
                request
                    .bearer_auth(&token)
                    .header("content-type", "application/json")
                    .header("idempotency-key", &key)
                    .header("if-match", &known)
                    .body(text.clone())
            });
            match answer.await {
                (StatusCode::OK, text) => {
                    let version = serde_json::from_str::<Snapshot>(&text).unwrap().version;
                    self.known = version;
                    self.acknowledged.push(Acknowledged { key, body, version });
                    return;
                }
                (StatusCode::PRECONDITION_FAILED, _) => {
                    let token = self.tokens.access_token.clone();
                    let (_, text) = self.ask(Method::GET, "/v1/me/state", |request| request.bearer_auth(&token)).await;
                    self.known = serde_json::from_str::<Snapshot>(&text).unwrap().version;
                }
                (status, text) => panic!("{status}: {text}"),
            }
        }
    }

    async fn refresh(&mut self) {
        let token = self.tokens.refresh_token.clone().unwrap();
        let fields =
            [("grant_type", "refresh_token"), ("client_id", "hookswitch-mobile"), ("refresh_token", token.as_str())];
        let (status, text) = self.ask(Method::POST, "/token", |request| form(request, &fields)).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let fresh: TokenAnswer = serde_json::from_str(&text).unwrap();
        self.tokens = TokenAnswer { refresh_token: fresh.refresh_token.clone().or(Some(token)), ..fresh };
        self.refreshed += 1;
    }

    async fn work(mut self, over: Arc<AtomicBool>) -> Self {
        for number in 0.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            self.choose(number).await;
            if number % 10 == 9 {
                self.refresh().await;
            }
        }
        self
    }
}

fn url(node: &Service) -> String {
    format!("http://{}", node.address())
}

/// A node in this process, to sign agents in and to judge by.
async fn judge(database: &str, bus: Option<&str>) -> Backend {
    let database = Database::Postgres(database.to_owned().into());
    Backend::start(Config { database, bus: bus.map(str::to_owned), ..config() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and NATS: tests/run --only scale"]
async fn nothing_acknowledged_is_lost_when_a_node_the_bus_or_the_database_goes_away() {
    let (mut postgres, database) = start_postgres().await;
    let (mut nats, bus) = start_nats().await;
    let judge = judge(&database, Some(&bus)).await;
    let mut first = start_node(&database, Some(&bus), judge.base_url()).await;
    let second = start_node(&database, Some(&bus), judge.base_url()).await;
    let nodes = [url(&first), url(&second)];
    let over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    let mut before = Vec::new();
    for number in 0..AGENTS {
        let email = format!("agent-{number}@acme.example");
        judge.operator().add_agent(AgentSeed::new(&email, "An Agent", Role::Agent)).await.unwrap();
        let phone = PhoneClient::ready(&judge, &email, &format!("phone-{number}")).await;
        let known = phone.state().await.version;
        before.push(known);
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(8)).build().unwrap();
        let stubborn = Stubborn {
            client,
            nodes: nodes.clone(),
            turn: number,
            name: email,
            tokens: phone.tokens,
            known,
            acknowledged: Vec::new(),
            refreshed: 0,
            failures: 0,
        };
        clients.spawn(stubborn.work(Arc::clone(&over)));
    }
    // What is under load for a while is not waiting: there is nothing to wait for.
    let a_while = || tokio::time::sleep(Duration::from_secs(2));
    a_while().await;
    first.kill("KILL");
    a_while().await;
    first.start().await;
    a_while().await;
    nats.kill("KILL");
    a_while().await;
    nats.start().await;
    postgres.kill("INT");
    a_while().await;
    postgres.start().await;
    a_while().await;
    // As in a power cut: what is not in its log is gone.
    postgres.kill("QUIT");
    postgres.start().await;
    a_while().await;
    over.store(true, Ordering::Relaxed);
    let (mut acknowledged, mut refreshed, mut failures) = (0, 0, 0);
    while let Some(client) = clients.join_next().await {
        let mut client = client.unwrap();
        let (token, last) = (client.tokens.access_token.clone(), client.acknowledged.len());
        assert!(last > 10, "{} was under load", client.name);
        let number: usize = client.name["agent-".len()..][..1].parse().unwrap();
        // Each once: every choice is one rev, so there are as many as acknowledgements, and in their order.
        let revs = client.known.rev - before[number].rev;
        assert_eq!(revs, last as u64, "{}", client.name);
        assert!(client.acknowledged.is_sorted_by(|a, b| a.version < b.version));
        let (_, text) = client.ask(Method::GET, "/v1/me/state", |request| request.bearer_auth(&token)).await;
        let state: Snapshot = serde_json::from_str(&text).unwrap();
        assert_eq!(state.version, client.known);
        let shown = serde_json::to_value(state.presence.availability).unwrap();
        assert_eq!(shown, client.acknowledged[last - 1].body["availability"]);
        // And each is remembered: sent again, it is answered as it was.
        for Acknowledged { key, body, version } in std::mem::take(&mut client.acknowledged) {
            let (status, text) = client
                .ask(Method::PUT, "/v1/me/availability", |request| {
                    request
                        .bearer_auth(&token)
                        .header("content-type", "application/json")
                        .header("idempotency-key", &key)
                        .header("if-match", Version::default().etag())
                        .body(body.to_string())
                })
                .await;
            assert_eq!((status, serde_json::from_str::<Snapshot>(&text).unwrap().version), (StatusCode::OK, version));
        }
        (acknowledged, refreshed, failures) =
            (acknowledged + last, refreshed + client.refreshed, failures + client.failures);
    }
    assert!(failures > 0, "something went away");
    println!("{acknowledged} commands and {refreshed} refreshes acknowledged, {failures} requests failed, 0 lost");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and NATS: tests/run --only scale"]
async fn a_change_on_one_node_is_seen_on_the_other_soon_with_the_bus_and_within_seconds_without() {
    let (_postgres, database) = start_postgres().await;
    let (mut nats, bus) = start_nats().await;
    let judge = judge(&database, Some(&bus)).await;
    let node = start_node(&database, Some(&bus), judge.base_url()).await;
    judge.operator().add_agent(AgentSeed::new(ALICE, "Alice", Role::Agent)).await.unwrap();
    let phone = PhoneClient::ready(&judge, ALICE, "iphone").await;
    let stream = Client::builder().no_proxy().build().unwrap().get(format!("{}/v1/me/stream", url(&node)));
    let mut events = Events::of(stream.bearer_auth(&phone.tokens.access_token).send().await.unwrap());
    let mut worst = Vec::new();
    for (with, rounds) in [("with", 100), ("without", 10)] {
        if with == "without" {
            nats.kill("KILL");
        }
        let mut took = Vec::new();
        for round in 0..rounds {
            let reason = UnavailableReason::ALL[round % UnavailableReason::ALL.len()];
            let choice = json!({ "kind": "unavailable", "reason": reason });
            let chosen = phone.set_availability(choice, &format!("{with}-{round}")).await.version;
            let began = Instant::now();
            events.state(|snapshot| snapshot.version >= chosen).await;
            took.push(began.elapsed());
        }
        took.sort();
        println!("{with} the bus: p50 {:?}, most {:?}", took[rounds / 2], took[rounds - 1]);
        worst.push((took[rounds / 2], took[rounds - 1]));
    }
    // Ten times what it takes on a quiet machine.
    assert!(worst[0].0 < Duration::from_millis(200), "{worst:?}");
    assert!(worst[1].1 < Duration::from_secs(5), "{worst:?}");
    // A session that ends on one node ends its streams on the other.
    assert_eq!(revoke(&judge, phone.tokens.refresh_token.as_deref().unwrap()).await.status(), 200);
    loop {
        match events.next().await {
            Some(StreamEvent::SignedOut(_)) => break,
            Some(StreamEvent::State(_) | StreamEvent::Heartbeat(_)) => {}
            None => panic!("it did not say why"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and NATS: tests/run --only scale"]
async fn what_comes_to_both_nodes_at_once_happens_once() {
    let (_postgres, database) = start_postgres().await;
    let judge = judge(&database, None).await;
    let node = start_node(&database, None, judge.base_url()).await;
    judge.operator().add_agent(AgentSeed::new(ALICE, "Alice", Role::Agent)).await.unwrap();
    let phone = PhoneClient::ready(&judge, ALICE, "iphone").await;
    let nodes = [judge.base_url().to_owned(), url(&node)];
    let client = Client::builder().no_proxy().build().unwrap();
    let (token, mut known) = (phone.tokens.access_token.clone(), phone.state().await.version);
    for round in 0..100 {
        let reason = UnavailableReason::ALL[round % UnavailableReason::ALL.len()];
        let body = json!({ "availability": { "kind": "unavailable", "reason": reason } }).to_string();
        let same = |base: &str| {
            let request = client.put(format!("{base}/v1/me/availability")).bearer_auth(&token);
            request
                .header("content-type", "application/json")
                .header("idempotency-key", format!("both-{round}"))
                .header("if-match", known.etag())
                .body(body.clone())
                .send()
        };
        let (one, other) = tokio::join!(same(&nodes[0]), same(&nodes[1]));
        let (one, other): (Snapshot, Snapshot) = (read(one.unwrap()).await, read(other.unwrap()).await);
        assert_eq!((one.version.rev, one.version), (known.rev + 1, other.version), "round {round}");
        known = one.version;
    }
    // Two choices on top of one version: one of them is told.
    for round in 0..100 {
        let choice = |base: &str, who: &str| {
            let request = client.put(format!("{base}/v1/me/availability")).bearer_auth(&token);
            request
                .header("content-type", "application/json")
                .header("idempotency-key", format!("{who}-{round}"))
                .header("if-match", known.etag())
                .body(r#"{"availability":{"kind":"available"}}"#)
                .send()
        };
        let (one, other) = tokio::join!(choice(&nodes[0], "one"), choice(&nodes[1], "other"));
        let mut statuses = [one.unwrap().status().as_u16(), other.unwrap().status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412], "round {round}");
        known = phone.state().await.version;
    }
    // A code that is exchanged twice is stolen, on whichever nodes: the session that came of it is over.
    for round in 0..20 {
        let code = code(&judge, ALICE).await;
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", "hookswitch-mobile"),
            ("code", &code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
        ];
        let exchange = |base: &str| form(client.post(format!("{base}/token")), &fields).send();
        let (one, other) = tokio::join!(exchange(&nodes[0]), exchange(&nodes[1]));
        let mut statuses = [one.unwrap().status().as_u16(), other.unwrap().status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 400], "round {round}");
    }
}
