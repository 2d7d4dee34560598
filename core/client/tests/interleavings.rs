//! The single flight under every interleaving that a scheduler can think of.
//!
//! The real machine behind a lock, as in `shared_machine.rs`; threads that ask for a token, and threads that carry out effects, all of
//! them under shuttle, which chooses who runs next at each step and prints the schedule of a failure. Two machines share one
//! vault, as two processes do. Whatever the order: one refresh, everybody gets its token, nobody waits for ever.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test"
)]

use std::collections::BTreeMap;

use hookswitch::machine::{
    AgentProfile, Command, CommandId, Contents, Event, Grant, IssuerProfile, Loaded, Outcome, Output, Reply, Request,
    SecretRef, Setup, SignInId, State, StoredSession, Timestamp, TokenSet, Transaction, Work, step,
};
use hookswitch::wire::{Platform, ServerMetadata, UnixMillis};
use shuttle::{
    sync::{Arc, Condvar, Mutex},
    thread,
};

/// The tokens in the vault have run out.
const NOW: Timestamp = Timestamp { wall: UnixMillis(1_000_000), mono: 1_000_000 };
const SIGN_IN: SignInId = SignInId(1);

fn tokens(generation: u64) -> TokenSet {
    // The first generation is used up, the next one is good for an hour.
    let expires_at = if generation == 1 { UnixMillis(0) } else { NOW.wall + 3_600_000 };
    TokenSet {
        sign_in: SIGN_IN,
        generation,
        access: SecretRef(generation),
        refresh: SecretRef(100 + generation),
        expires_at,
        session_ends: None,
    }
}

fn metadata() -> ServerMetadata {
    serde_json::from_value(serde_json::json!({
        "issuer": "https://id.example",
        "authorization_endpoint": "https://id.example/authorize",
        "token_endpoint": "https://id.example/token",
        "revocation_endpoint": "https://id.example/revoke",
        "jwks_uri": "https://id.example/jwks",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true
    }))
    .unwrap()
}

/// What two processes share: the vault's lease and tokens, and the issuer's count of requests.
struct Shared {
    newest: u64,
    /// Which process refreshes.
    lease: Option<usize>,
    posts: usize,
}

/// A process: the machine behind its lock, and who waits for replies.
struct Process {
    me: usize,
    guarded: Mutex<Guarded>,
    replied: Condvar,
    shared: Arc<Mutex<Shared>>,
}

struct Guarded {
    state: State,
    /// Stands still but for timers that run out.
    now: Timestamp,
    replies: BTreeMap<CommandId, Result<Reply, hookswitch::machine::Failure>>,
    under_way: usize,
}

impl Process {
    fn new(me: usize, shared: &Arc<Mutex<Shared>>) -> Arc<Self> {
        let setup = Setup {
            issuer: "https://id.example".into(),
            client_id: "app".into(),
            redirect_uris: vec![],
            device: format!("device-{me}").as_str().into(),
            platform: Platform::Android,
            profile: IssuerProfile::Unknown,
            session_life: None,
        };
        let mut state = State::new(setup);
        let effects = step(&mut state, Event::Started { seed: 1 }, NOW);
        let [Work::Store { id, transaction: Transaction::Load }] = effects.work[..] else { panic!("{effects:?}") };
        let agent = AgentProfile { account: "alice".into(), email: None, name: None };
        let session = Some(StoredSession { agent, tokens: tokens(1), snapshot: None, unsettled: false });
        let contents = Contents { session, metadata: Some(metadata()), server_offset: Some(0), ..Contents::default() };
        let loaded = Box::new(Loaded::Contents(contents));
        let outcome = Outcome::Loaded { loaded };
        step(&mut state, Event::Completed { effect: id, server_time: None, outcome }, NOW);
        let guarded = Guarded { state, now: NOW, replies: BTreeMap::new(), under_way: 0 };
        Arc::new(Self { me, guarded: Mutex::new(guarded), replied: Condvar::new(), shared: Arc::clone(shared) })
    }

    /// A step, from any thread; its effects are carried out by threads of their own, but for transactions, whose order is
    /// the order of the steps.
    fn apply(self: &Arc<Self>, event: Event) {
        let mut completions = Vec::new();
        {
            let mut guarded = self.guarded.lock().unwrap();
            let now = guarded.now;
            let effects = step(&mut guarded.state, event, now);
            for output in effects.output {
                let Output::Reply { to, reply } = output else { panic!("{output:?}") };
                assert!(guarded.replies.insert(to, reply).is_none(), "two replies to {to:?}");
                self.replied.notify_all();
            }
            for work in effects.work {
                match work {
                    Work::Store { id, transaction } => {
                        let outcome = self.vault(&transaction);
                        completions.push(Event::Completed { effect: id, server_time: None, outcome });
                    }
                    Work::Send { id, request } => {
                        let outcome = match request {
                            Request::Refresh { refresh, .. } => self.issuer(refresh),
                            other => panic!("{other:?}"),
                        };
                        completions.push(Event::Completed { effect: id, server_time: None, outcome });
                    }
                    Work::SetTimer { timer, at } => {
                        guarded.now.mono = guarded.now.mono.max(at);
                        completions.push(Event::Timer { timer });
                    }
                    Work::CancelTimer { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
            guarded.under_way += completions.len();
        }
        for event in completions {
            let process = Arc::clone(self);
            thread::spawn(move || {
                thread::yield_now();
                process.apply(event);
                process.guarded.lock().unwrap().under_way -= 1;
                process.replied.notify_all();
            });
        }
    }

    fn vault(&self, transaction: &Transaction) -> Outcome {
        let mut shared = self.shared.lock().unwrap();
        match transaction {
            Transaction::BeginRefresh { generation, .. } if shared.newest > *generation => {
                Outcome::NewerTokens { tokens: tokens(shared.newest) }
            }
            Transaction::BeginRefresh { .. } => match shared.lease {
                Some(holder) if holder != self.me => Outcome::RefreshLeaseHeld { for_millis: 45_000 },
                Some(_) | None => {
                    shared.lease = Some(self.me);
                    Outcome::Done
                }
            },
            Transaction::FinishRefresh { tokens: new } => {
                if shared.newest >= new.generation {
                    return Outcome::NewerTokens { tokens: tokens(shared.newest) };
                }
                shared.newest = new.generation;
                shared.lease = None;
                Outcome::Done
            }
            Transaction::AbandonRefresh { .. } => {
                shared.lease = shared.lease.filter(|holder| *holder != self.me);
                Outcome::Done
            }
            Transaction::Remember { .. } => Outcome::Done,
            other => panic!("{other:?}"),
        }
    }

    fn issuer(&self, refresh: SecretRef) -> Outcome {
        let mut shared = self.shared.lock().unwrap();
        shared.posts += 1;
        let TokenSet { access, refresh: next, .. } = tokens(refresh.0 - 100 + 1);
        Outcome::Granted {
            grant: Grant { access, refresh: Some(next), expires_in: Some(3_600), session_life: None, claims: None },
        }
    }

    fn token(self: &Arc<Self>, n: u64) -> SecretRef {
        let id = CommandId(n);
        self.apply(Event::Command { id, command: Command::AccessToken });
        let mut guarded = self.guarded.lock().unwrap();
        loop {
            match guarded.replies.get(&id) {
                Some(Ok(Reply::Token { access })) => return *access,
                Some(other) => panic!("{other:?}"),
                None => guarded = self.replied.wait(guarded).unwrap(),
            }
        }
    }

    fn comes_to_rest(&self) {
        let mut guarded = self.guarded.lock().unwrap();
        while guarded.under_way > 0 {
            guarded = self.replied.wait(guarded).unwrap();
        }
    }
}

fn one_expiry(processes: usize, tasks: u64) {
    let shared = Arc::new(Mutex::new(Shared { newest: 1, lease: None, posts: 0 }));
    let processes: Vec<_> = (0..processes).map(|me| Process::new(me, &shared)).collect();
    let mut asking = Vec::new();
    for process in &processes {
        for n in 0..tasks {
            let process = Arc::clone(process);
            asking.push(thread::spawn(move || process.token(n)));
        }
    }
    for asked in asking {
        assert_eq!(asked.join().unwrap(), SecretRef(2));
    }
    for process in &processes {
        process.comes_to_rest();
    }
    let shared = shared.lock().unwrap();
    assert_eq!((shared.posts, shared.newest, shared.lease), (1, 2, None));
}

#[test]
fn many_tasks_that_find_the_token_expired_cost_one_refresh_in_any_interleaving() {
    shuttle::check_random(|| one_expiry(1, 4), 2_000);
}

#[test]
fn two_processes_that_find_the_token_expired_cost_one_refresh_in_any_interleaving() {
    shuttle::check_random(|| one_expiry(2, 2), 2_000);
    // Probabilistic concurrency testing: finds what takes few, ill-placed switches.
    shuttle::check_pct(|| one_expiry(2, 2), 1_000, 3);
}
