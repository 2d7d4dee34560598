//! What the vault promises. Two handles on one folder stand for two processes.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for the one thing it waits for")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use hookswitch_machine::{
    Mono, Timestamp,
    ring::{Registration, Routing},
};
use hookswitch_wire::{Effective, Version};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{super::schema, *};

// ---- a device ------------------------------------------------------------------------------------------------------

/// A device: a folder, a clock and a key store, which any number of processes share.
struct Device {
    folder: TempDir,
    mono: Arc<AtomicU64>,
    keys: Arc<Keys>,
}

struct HandClock(Arc<AtomicU64>);

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp { wall: UnixMillis(0), mono: self.0.load(Ordering::Relaxed) }
    }

    async fn sleep_until(&self, _: Mono) {
        std::future::pending().await
    }
}

/// A key store that may say no. It "wraps" by a mask, so that what it wrapped before an invalidation stays useless.
#[derive(Default)]
struct Keys(Mutex<(u8, Option<KeyFault>)>);

impl Keys {
    fn say(&self, fault: Option<KeyFault>) {
        self.0.lock().unwrap().1 = fault;
    }

    fn invalidate(&self) {
        self.0.lock().unwrap().0 += 1;
    }
}

impl KeyProvider for Keys {
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, KeyFault> {
        let (mask, fault) = self.0.lock().unwrap().clone();
        match fault {
            Some(fault) => Err(fault),
            None => Ok([&[mask], key].concat().iter().map(|byte| byte ^ 0x5a).collect()),
        }
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        let (mask, fault) = self.0.lock().unwrap().clone();
        let open: Vec<u8> = wrapped.iter().map(|byte| byte ^ 0x5a).collect();
        match fault {
            Some(fault) => Err(fault),
            None if open.first() == Some(&mask) => Ok(open[1..].to_vec().into()),
            None => Err(KeyFault::Invalidated),
        }
    }
}

impl Device {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), mono: Arc::new(AtomicU64::new(1_000)), keys: Arc::default() }
    }

    fn process(&self, name: &str) -> Process {
        self.try_process(name).unwrap()
    }

    fn try_process(&self, name: &str) -> Result<Process, Fault> {
        let secrets = Arc::new(Secrets::default());
        let keys = Arc::clone(&self.keys) as Arc<dyn KeyProvider>;
        let clock = Arc::new(HandClock(Arc::clone(&self.mono)));
        let vault = Vault::open(self.folder.path(), name, keys, clock, Arc::clone(&secrets))?;
        Ok(Process { vault, secrets })
    }

    fn pass(&self, millis: u64) {
        self.mono.fetch_add(millis, Ordering::Relaxed);
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("vault.sqlite")
    }

    /// Whoever has the file in hand.
    fn sql(&self, sql: &str) {
        Connection::open(self.file()).unwrap().execute_batch(sql).unwrap();
    }
}

/// A process: a vault, and names for secrets that mean nothing elsewhere.
struct Process {
    vault: Vault,
    secrets: Arc<Secrets>,
}

fn agent(name: &str) -> AgentProfile {
    AgentProfile { account: name.into(), email: Some(format!("{name}@acme.example")), name: None }
}

impl Process {
    fn tokens(&self, sign_in: u64, generation: Generation, what: &str) -> TokenSet {
        TokenSet {
            sign_in: SignInId(sign_in),
            generation,
            access: self.secrets.name(&format!("access-{what}")),
            refresh: self.secrets.name(&format!("refresh-{what}")),
            expires_at: UnixMillis(42),
            session_ends: None,
        }
    }

    fn signs_in(&mut self, who: &str, sign_in: u64) {
        let tokens = self.tokens(sign_in, 1, &format!("{sign_in}-1"));
        assert_eq!(self.vault.run(&Transaction::SignIn { agent: agent(who), tokens }), Outcome::Done);
    }

    /// The session is sealed as by a version that did not note which one is the newest.
    fn forgets_to_note_it(&mut self) {
        let (session, generation) = self.vault.session().unwrap().unwrap();
        let session = SealedSession { is_noted: false, ..session };
        let account = session.agent.account.as_str();
        let row = self.vault.seal(Place { table: "session", row: "tokens", account, generation }, &session).unwrap();
        self.vault.db.execute("UPDATE session SET tokens = ?1", [row]).unwrap();
    }

    fn signs_out(&mut self) -> Outcome {
        self.vault.run(&Transaction::SignOut { of: SignOutScope::CurrentSession, held: vec![] })
    }

    fn is_ended(&mut self, sign_in: u64, why: SignedOutWhy) -> Outcome {
        let of = SignOutScope::Ended { sign_in: SignInId(sign_in), why };
        self.vault.run(&Transaction::SignOut { of, held: vec![] })
    }

    /// The tokens that wait to be revoked.
    fn queue(&mut self) -> Vec<String> {
        let ids = self.contents().revocations;
        ids.iter().map(|id| self.vault.revocation(*id).unwrap().expose_secret().to_owned()).collect()
    }

    fn begins(&mut self, sign_in: u64, generation: Generation) -> Outcome {
        self.vault.run(&Transaction::BeginRefresh { sign_in: SignInId(sign_in), generation })
    }

    fn finishes(&mut self, sign_in: u64, generation: Generation) -> Outcome {
        let tokens = self.tokens(sign_in, generation, &format!("{sign_in}-{generation}"));
        self.vault.run(&Transaction::FinishRefresh { tokens })
    }

    fn loads(&mut self) -> Loaded {
        match self.vault.run(&Transaction::Load) {
            Outcome::Loaded { loaded } => *loaded,
            other => panic!("{other:?}"),
        }
    }

    fn contents(&mut self) -> Contents {
        match self.loads() {
            Loaded::Contents(contents) => contents,
            other => panic!("{other:?}"),
        }
    }

    fn secret(&self, name: SecretRef) -> String {
        self.secrets.get(name).unwrap().expose_secret().to_owned()
    }

    /// Whose session is stored, and which refresh token.
    fn stored(&mut self) -> Option<(String, Generation, String)> {
        let session = self.contents().session?;
        let refresh = self.secret(session.tokens.refresh);
        Some((session.agent.account.as_str().to_owned(), session.tokens.generation, refresh))
    }
}

fn stored(who: &str, generation: Generation, what: &str) -> Option<(String, Generation, String)> {
    Some((who.to_owned(), generation, format!("refresh-{what}")))
}

fn pending(process: &Process) -> PendingLogin {
    let name = |what: &str| process.secrets.name(what);
    PendingLogin {
        redirect_uri: "dev.hookswitch.agent:/callback".into(),
        state: name("the-state"),
        nonce: name("the-nonce"),
        verifier: name("the-verifier"),
        hint: Some("alice@acme.example".into()),
        began_at: UnixMillis(7),
        began_mono: Some(9),
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

fn knowledge(account: &str, rev: u64, forwarding_on: bool) -> Knowledge {
    let routing = Routing { version: Version::new(1, rev), forwarding_on, effective: Effective::Available };
    Knowledge {
        account: Some(account.into()),
        routing: Some(routing),
        registration: Registration::Registered,
        calls: vec![],
        refusals: hookswitch_machine::Refusals::default(),
    }
}

// ---- sessions ------------------------------------------------------------------------------------------------------

#[test]
fn what_is_kept_is_there_in_the_next_process() {
    let device = Device::new();
    let mut app = device.process("app");
    assert_eq!(app.contents(), Contents::default());
    app.vault.run(&Transaction::SavePending { pending: pending(&app), metadata: metadata() });
    drop(app);

    let mut app = device.process("app");
    let contents = app.contents();
    let kept = contents.pending.unwrap();
    assert_eq!((kept.began_at, kept.began_mono), (UnixMillis(7), None), "the monotonic clock means nothing here");
    assert_eq!(
        [kept.state, kept.nonce, kept.verifier].map(|name| app.secret(name)),
        ["the-state", "the-nonce", "the-verifier"]
    );
    assert_eq!(contents.metadata, Some(metadata()));

    app.signs_in("alice", 1);
    let push_token = Some(app.secrets.name("push"));
    app.vault.run(&Transaction::SavePushToken { token: push_token });
    let remember = Transaction::Remember {
        knowledge: knowledge("alice", 3, true),
        snapshot: None,
        server_offset: Some(-5),
        anew: false,
    };
    app.vault.run(&remember);
    let mut extension = device.process("extension");
    assert_eq!(extension.stored(), stored("alice", 1, "1-1"));
    let contents = extension.contents();
    assert_eq!(contents.pending, None, "a sign-in forgets the pending login");
    assert_eq!(contents.knowledge, Some(knowledge("alice", 3, true)));
    assert_eq!((contents.server_offset, contents.quarantined), (Some(-5), 0));
    assert_eq!(extension.secret(contents.push_token.unwrap()), "push");
    assert_eq!(extension.vault.install_id(), app.vault.install_id());
}

#[test]
fn the_newest_routing_counts_whichever_process_heard_it() {
    let device = Device::new();
    let (mut app, mut extension) = (device.process("app"), device.process("extension"));
    let remember = |process: &mut Process, knowledge| {
        process.vault.run(&Transaction::Remember { knowledge, snapshot: None, server_offset: None, anew: false })
    };
    remember(&mut app, knowledge("alice", 5, true));
    remember(&mut extension, knowledge("alice", 4, false));
    assert_eq!(app.contents().knowledge, Some(knowledge("alice", 5, true)));
    remember(&mut extension, knowledge("alice", 6, false));
    assert_eq!(app.contents().knowledge, Some(knowledge("alice", 6, false)));
    remember(&mut extension, knowledge("bob", 1, true));
    assert_eq!(app.contents().knowledge, Some(knowledge("bob", 1, true)), "another agent begins anew");
}

#[test]
fn after_a_sign_out_no_other_process_brings_the_knowledge_back() {
    let device = Device::new();
    let (mut app, mut extension) = (device.process("app"), device.process("extension"));
    app.signs_in("alice", 1);
    let remember = |process: &mut Process, knowledge| {
        process.vault.run(&Transaction::Remember { knowledge, snapshot: None, server_offset: None, anew: false })
    };
    remember(&mut extension, knowledge("alice", 5, true));
    app.signs_out();
    let nobody = Knowledge { account: None, ..knowledge("alice", 5, true) };
    remember(&mut app, nobody.clone());
    assert_eq!(remember(&mut extension, knowledge("alice", 6, false)), Outcome::Done);
    assert_eq!(app.contents().knowledge, Some(nobody.clone()));

    app.signs_in("bob", 2);
    remember(&mut app, knowledge("bob", 1, false));
    remember(&mut extension, knowledge("alice", 7, true));
    remember(&mut extension, nobody);
    assert_eq!(app.contents().knowledge, Some(knowledge("bob", 1, false)), "nor does it take another agent's away");
}

// ---- refresh -------------------------------------------------------------------------------------------------------

#[test]
fn one_process_at_a_time_refreshes_and_the_others_use_what_it_got() {
    let device = Device::new();
    let (mut app, mut extension) = (device.process("app"), device.process("extension"));
    app.signs_in("alice", 1);
    assert_eq!(app.begins(1, 1), Outcome::Done);
    assert_eq!(extension.begins(1, 1), Outcome::RefreshLeaseHeld { for_millis: REFRESH_LEASE });
    device.pass(10_000);
    assert_eq!(extension.begins(1, 1), Outcome::RefreshLeaseHeld { for_millis: REFRESH_LEASE - 10_000 });
    assert_eq!(app.finishes(1, 2), Outcome::Done);
    let Outcome::NewerTokens { tokens } = extension.begins(1, 1) else { panic!("not superseded") };
    assert_eq!((tokens.generation, extension.secret(tokens.refresh).as_str()), (2, "refresh-1-2"));
    assert_eq!(extension.begins(1, 2), Outcome::Done, "the lease ended with the refresh");
}

#[test]
fn a_lease_ends_by_its_deadline_by_a_reboot_and_by_being_given_back() {
    let device = Device::new();
    let (mut app, mut extension) = (device.process("app"), device.process("extension"));
    app.signs_in("alice", 1);
    app.begins(1, 1);
    device.pass(REFRESH_LEASE);
    assert_eq!(extension.begins(1, 1), Outcome::Done, "deadline");
    device.mono.store(5, Ordering::Relaxed);
    assert_eq!(app.begins(1, 1), Outcome::Done, "reboot: more is left than a lease lasts");
    assert!(matches!(extension.begins(1, 1), Outcome::RefreshLeaseHeld { .. }));
    app.vault.run(&Transaction::AbandonRefresh { unsent: false });
    assert_eq!(extension.begins(1, 1), Outcome::Done, "given back");
    app.vault.run(&Transaction::AbandonRefresh { unsent: false });
    assert!(matches!(app.begins(1, 1), Outcome::RefreshLeaseHeld { .. }), "nobody gives back what another holds");
}

#[test]
fn who_asks_for_the_newest_generation_is_told_that_another_is_about_to_replace_it() {
    let device = Device::new();
    let (mut app, mut extension) = (device.process("app"), device.process("extension"));
    app.signs_in("alice", 1);
    app.begins(1, 1);
    assert!(matches!(app.vault.run(&Transaction::Reread), Outcome::Reread { .. }), "one's own lease is no news");
    assert_eq!(extension.vault.run(&Transaction::Reread), Outcome::RefreshLeaseHeld { for_millis: REFRESH_LEASE });
    device.pass(REFRESH_LEASE);
    assert!(matches!(extension.vault.run(&Transaction::Reread), Outcome::Reread { .. }));
    app.signs_out();
    assert_eq!(extension.vault.run(&Transaction::Reread), Outcome::Reread { tokens: None });
}

#[test]
fn the_lease_of_a_dead_process_is_taken_over_at_once_and_its_intent_is_told() {
    let device = Device::new();
    let mut app = device.process("app");
    app.signs_in("alice", 1);
    assert!(!app.contents().session.unwrap().unsettled);
    app.begins(1, 1);
    drop(app);
    let mut extension = device.process("extension");
    assert!(matches!(extension.begins(1, 1), Outcome::RefreshLeaseHeld { .. }), "the app may be asleep");
    let mut app = device.process("app");
    assert!(app.contents().session.unwrap().unsettled);
    assert_eq!(app.begins(1, 1), Outcome::Done);
    assert_eq!(app.finishes(1, 2), Outcome::Done);
    assert!(!app.contents().session.unwrap().unsettled);
}

#[test]
fn the_intent_outlives_a_refresh_that_came_to_nothing() {
    let device = Device::new();
    let mut app = device.process("app");
    app.signs_in("alice", 1);
    app.begins(1, 1);
    app.vault.run(&Transaction::AbandonRefresh { unsent: false });
    drop(app);
    assert!(device.process("app").contents().session.unwrap().unsettled, "the answer may have been lost");
}

/// A phone that was offline and was killed has no refresh token in doubt.
#[test]
fn the_intent_of_a_refresh_that_never_left_is_taken_back_and_no_other() {
    for (earlier_is_in_doubt, unsent) in [(false, true), (true, true), (false, false)] {
        let device = Device::new();
        let mut app = device.process("app");
        app.signs_in("alice", 1);
        if earlier_is_in_doubt {
            app.begins(1, 1);
            app.vault.run(&Transaction::AbandonRefresh { unsent: false });
        }
        app.begins(1, 1);
        app.vault.run(&Transaction::AbandonRefresh { unsent });
        drop(app);
        let unsettled = device.process("app").contents().session.unwrap().unsettled;
        assert_eq!(unsettled, earlier_is_in_doubt || !unsent, "{earlier_is_in_doubt}, {unsent}");
    }
}

#[test]
fn who_wakes_up_after_another_has_refreshed_overwrites_nothing() {
    let device = Device::new();
    let (mut app, mut extension) = (device.process("app"), device.process("extension"));
    app.signs_in("alice", 1);
    app.begins(1, 1);
    device.pass(REFRESH_LEASE);
    extension.begins(1, 1);
    extension.finishes(1, 2);
    let late = app.tokens(1, 2, "late");
    let Outcome::NewerTokens { tokens } = app.vault.run(&Transaction::FinishRefresh { tokens: late }) else { panic!() };
    assert_eq!(app.secret(tokens.refresh), "refresh-1-2");
    assert_eq!(extension.stored(), stored("alice", 1 + 1, "1-2"));
}

#[test]
fn a_refresh_of_an_old_session_never_touches_a_new_sign_in() {
    let device = Device::new();
    let (mut app, mut extension) = (device.process("app"), device.process("extension"));
    app.signs_in("alice", 1);
    app.begins(1, 1);
    extension.signs_out();
    extension.signs_in("bob", 2);
    assert!(matches!(app.finishes(1, 9), Outcome::NewerTokens { .. }));
    assert!(matches!(app.begins(1, 9), Outcome::NewerTokens { .. }));
    app.is_ended(1, SignedOutWhy::Revoked);
    assert_eq!(extension.stored(), stored("bob", 1, "2-1"));
}

// ---- sign-out ------------------------------------------------------------------------------------------------------

#[test]
fn a_sign_out_queues_the_refresh_token_until_it_is_revoked() {
    let device = Device::new();
    let mut app = device.process("app");
    app.signs_in("alice", 1);
    app.vault.run(&Transaction::SavePending { pending: pending(&app), metadata: metadata() });
    app.signs_out();
    assert!(matches!(app.begins(1, 1), Outcome::Reread { tokens: None }));
    app.signs_in("alice", 2);
    app.signs_out();
    drop(app);

    let mut app = device.process("app");
    let contents = app.contents();
    assert_eq!((contents.session, contents.pending), (None, None));
    assert_eq!(app.queue(), ["refresh-1-1", "refresh-2-1"]);
    for revocation in contents.revocations {
        app.vault.run(&Transaction::Revoked { revocation });
        assert!(app.vault.revocation(revocation).is_none());
    }
    assert_eq!(app.contents().revocations, []);
}

#[test]
fn tokens_that_the_vault_did_not_take_are_revoked_too() {
    let device = Device::new();
    let mut app = device.process("app");
    app.signs_in("alice", 1);
    let held = ["refresh-1-1", "refresh-1-2"].map(|token| app.secrets.name(token)).to_vec();
    app.vault.run(&Transaction::SignOut { of: SignOutScope::CurrentSession, held });
    let late = app.secrets.name("refresh-1-3");
    app.vault.run(&Transaction::TakeBack { refresh: late });
    assert_eq!(app.queue(), ["refresh-1-1", "refresh-1-2", "refresh-1-3"]);
}

#[test]
fn a_session_that_the_server_ended_is_forgotten_and_its_token_is_revoked_where_it_came_from() {
    let device = Device::new();
    let mut app = device.process("app");
    app.signs_in("alice", 1);
    // The server need not be the issuer, whose tokens would live on.
    app.is_ended(1, SignedOutWhy::Revoked);
    let contents = app.contents();
    assert_eq!(contents.session, None);
    assert_eq!(app.queue(), ["refresh-1-1"]);
    app.signs_in("bob", 2);
    app.is_ended(1, SignedOutWhy::Revoked);
    assert_eq!(app.queue(), ["refresh-1-1"], "nothing of a newer sign-in");
}

// ---- keys ----------------------------------------------------------------------------------------------------------

#[test]
fn before_the_first_unlock_the_ring_rule_has_its_knowledge_and_nothing_is_lost() {
    let device = Device::new();
    let mut app = device.process("app");
    app.signs_in("alice", 1);
    let remember = |rev| Transaction::Remember {
        knowledge: knowledge("alice", rev, true),
        snapshot: None,
        server_offset: None,
        anew: false,
    };
    app.vault.run(&remember(3));
    drop(app);
    device.keys.say(Some(KeyFault::Unavailable));
    let mut app = device.process("app");
    assert_eq!(app.loads(), Loaded::KeyUnavailable { knowledge: Some(knowledge("alice", 3, true)) });
    assert_eq!(app.vault.run(&remember(4)), Outcome::Done, "a push before the unlock is remembered");
    assert!(matches!(app.begins(1, 1), Outcome::StorageFailed { .. }));
    device.keys.say(None);
    assert_eq!(app.stored(), stored("alice", 1, "1-1"));
}

/// A server that was restored without a new epoch silenced the phone anew at each start.
#[test]
fn what_a_repair_heard_takes_the_place_of_a_newer_version_and_nothing_else_does() {
    for anew in [false, true] {
        let device = Device::new();
        let mut app = device.process("app");
        app.signs_in("alice", 1);
        let remember = |rev, on, anew| Transaction::Remember {
            knowledge: knowledge("alice", rev, on),
            snapshot: None,
            server_offset: None,
            anew,
        };
        app.vault.run(&remember(9, true, false));
        app.vault.run(&remember(3, false, anew));
        let Loaded::Contents(contents) = device.process("app").loads() else { panic!() };
        let routing = contents.knowledge.unwrap().routing.unwrap();
        assert_eq!(routing.forwarding_on, !anew, "anew: {anew}");
    }
}

#[test]
fn a_key_store_that_fails_for_now_loses_nothing() {
    let device = Device::new();
    let mut app = device.process("app");
    app.signs_in("alice", 1);
    app.vault.run(&Transaction::Remember {
        knowledge: knowledge("alice", 3, true),
        snapshot: None,
        server_offset: None,
        anew: false,
    });
    drop(app);
    let mut app = device.process("app");
    device.keys.say(Some(KeyFault::Failed("busy".into())));
    assert_eq!(app.loads(), Loaded::KeyFailed { knowledge: Some(knowledge("alice", 3, true)), cause: "busy".into() });
    device.keys.say(None);
    assert_eq!(app.stored(), stored("alice", 1, "1-1"));
}

#[test]
fn a_key_that_is_gone_for_good_ends_the_session_once_and_the_next_sign_in_works() {
    let device = Device::new();
    let mut app = device.process("app");
    app.signs_in("alice", 1);
    drop(app);
    device.keys.invalidate();
    let mut app = device.process("app");
    assert_eq!(app.loads(), Loaded::KeyInvalidated);
    assert_eq!(app.contents(), Contents::default());
    app.signs_in("alice", 2);
    drop(app);
    assert_eq!(device.process("app").stored(), stored("alice", 1, "2-1"));
}

#[test]
fn a_process_that_still_has_the_old_key_in_memory_notices_that_another_one_began_anew() {
    let device = Device::new();
    let (mut app, mut extension) = (device.process("app"), device.process("extension"));
    extension.signs_in("alice", 1);
    device.keys.invalidate();
    assert_eq!(app.loads(), Loaded::KeyInvalidated);
    app.signs_in("alice", 2);
    assert!(matches!(extension.begins(1, 1), Outcome::NewerTokens { .. }));
    assert_eq!(extension.finishes(2, 2), Outcome::Done);
    assert_eq!(app.stored(), stored("alice", 2, "2-2"));
}

#[test]
fn why_the_server_ended_a_session_is_kept_until_the_next_sign_in() {
    let device = Device::new();
    let mut app = device.process("app");
    app.signs_in("alice", 1);
    assert_eq!(app.contents().signed_out, None);
    app.is_ended(1, SignedOutWhy::Revoked);
    // Another process finds the session gone, and does not know why.
    let mut extension = device.process("extension");
    let Outcome::Loaded { loaded } = extension.is_ended(1, SignedOutWhy::Asked) else { panic!() };
    assert!(matches!(*loaded, Loaded::Contents(Contents { signed_out: Some(SignedOutWhy::Revoked), .. })));
    assert_eq!(device.process("app").contents().signed_out, Some(SignedOutWhy::Revoked));
    app.signs_in("alice", 2);
    assert_eq!(app.contents().signed_out, None);
    app.is_ended(1, SignedOutWhy::Revoked);
    assert_eq!(app.contents().signed_out, None, "an older session's end says nothing of this one");
    app.signs_out();
    assert_eq!(app.contents().signed_out, None, "the agent knows");
}

// ---- damage --------------------------------------------------------------------------------------------------------

#[test]
fn a_damaged_value_is_put_aside_and_the_others_are_kept() {
    for (table, what) in [("session", "tokens"), ("sealed", "value")] {
        let device = Device::new();
        let mut app = device.process("app");
        app.signs_in("alice", 1);
        let push_token = Some(app.secrets.name("push"));
        app.vault.run(&Transaction::SavePushToken { token: push_token });
        drop(app);
        device.sql(&format!("UPDATE {table} SET {what} = substr({what}, 1, length({what}) - 1) || x'00'"));
        let mut app = device.process("app");
        let contents = app.contents();
        assert_eq!(contents.quarantined, 1, "{table}");
        assert_eq!(
            (contents.session.is_none(), contents.push_token.is_none()),
            (table == "session", table == "sealed")
        );
        assert_eq!(app.contents().quarantined, 0, "told once");
        app.signs_in("bob", 2);
        assert_eq!(app.stored(), stored("bob", 1, "2-1"));
    }
}

#[test]
fn sealed_values_do_not_open_in_another_place_generation_or_sign_in() {
    for swap in [
        "UPDATE session SET tokens = (SELECT value FROM sealed WHERE name = 'pending')",
        "UPDATE sealed SET value = (SELECT tokens FROM session) WHERE name = 'pending'",
        "UPDATE sealed SET value = (SELECT value FROM sealed WHERE name = 'pending') WHERE name = 'metadata'",
        "UPDATE session SET generation = 2",
        "UPDATE session SET account = 'bob'",
        "UPDATE session SET sign_in = 7",
    ] {
        let device = Device::new();
        let mut app = device.process("app");
        app.signs_in("alice", 1);
        app.vault.run(&Transaction::SavePending { pending: pending(&app), metadata: metadata() });
        device.sql(swap);
        assert_eq!(device.process("app").contents().quarantined, 1, "{swap}");
    }
}

#[test]
fn a_session_row_of_before_does_not_open_again() {
    let older = "CREATE TABLE backup AS SELECT * FROM session";
    let back = "INSERT OR REPLACE INTO session SELECT * FROM backup";
    type Story = fn(&mut Process);
    let stories: [(&str, Story); 4] = [
        ("refreshed", |app| {
            app.begins(1, 1);
            app.finishes(1, 2);
        }),
        ("signed out", |app| drop(app.signs_out())),
        ("signed in anew", |app| app.signs_in("alice", 2)),
        ("ended by the server", |app| drop(app.is_ended(1, SignedOutWhy::Revoked))),
    ];
    for (what, story) in stories {
        let device = Device::new();
        let mut app = device.process("app");
        app.signs_in("alice", 1);
        device.sql(older);
        story(&mut app);
        device.sql(back);
        drop(app);
        let mut app = device.process("app");
        let contents = app.contents();
        assert_eq!((contents.session, contents.quarantined), (None, 1), "{what}");
        app.signs_in("alice", 3);
        assert_eq!(app.stored(), stored("alice", 1, "3-1"), "{what}");
    }
}

/// Whatever is in the vault, the app starts, a session that opens can be refreshed, and the agent can sign in.
fn goes_on(device: &Device) -> Contents {
    let mut app = device.process("app");
    let contents = app.contents();
    if contents.session.is_some() {
        let begun = app.begins(1, 1);
        assert!(matches!(begun, Outcome::Done | Outcome::RefreshLeaseHeld { .. }), "{begun:?}");
    }
    app.signs_in("bob", 2);
    assert_eq!(app.begins(2, 1), Outcome::Done);
    assert_eq!(app.finishes(2, 2), Outcome::Done);
    assert_eq!(app.stored(), stored("bob", 2, "2-2"));
    contents
}

/// A device on which everything is in the vault that can be.
fn full_device() -> Device {
    let device = Device::new();
    let mut app = device.process("app");
    app.signs_in("alice", 1);
    app.begins(1, 1);
    app.vault.run(&Transaction::SavePending { pending: pending(&app), metadata: metadata() });
    let push_token = Some(app.secrets.name("push"));
    app.vault.run(&Transaction::SavePushToken { token: push_token });
    let (knowledge, server_offset) = (knowledge("alice", 1, true), Some(7));
    app.vault.run(&Transaction::Remember { knowledge, snapshot: None, server_offset, anew: false });
    device
}

#[test]
fn a_cell_that_is_not_what_it_should_be_is_no_obstacle() {
    for (table, column) in [
        ("session", "account"),
        ("session", "sign_in"),
        ("session", "generation"),
        ("session", "tokens"),
        ("sealed", "value"),
        ("knowledge", "value"),
        ("refresh", "owner"),
        ("refresh", "lease_until"),
        ("refresh", "intent"),
        ("fact", "value"),
    ] {
        // The names of facts tell them apart, so that each is damaged alone.
        let rows: &[&str] = match table {
            "fact" => &["name = 'install_id'", "name = 'server_offset'"],
            _ => &["true"],
        };
        for rows in rows {
            for value in ["''", "'text'", "x''", "x'00ff'", "-1", "9223372036854775807", "1.5"] {
                let device = full_device();
                device.sql(&format!("UPDATE {table} SET {column} = {value} WHERE {rows}"));
                goes_on(&device);
            }
        }
    }
}

/// Who can write into the file, but has no key, must not be able to say where the refresh token goes.
#[test]
fn endpoints_that_somebody_wrote_into_the_vault_are_not_believed() {
    let evil = r#"{"issuer":"https://id.example","authorization_endpoint":"https://evil.example/a","token_endpoint":"https://evil.example/t"}"#;
    for sql in [
        format!("INSERT OR REPLACE INTO fact VALUES ('metadata', CAST('{evil}' AS BLOB))"),
        format!("INSERT OR REPLACE INTO sealed VALUES ('metadata', CAST('{evil}' AS BLOB))"),
        "INSERT OR REPLACE INTO sealed SELECT 'metadata', value FROM sealed WHERE name = 'pending'".to_owned(),
    ] {
        let device = full_device();
        device.sql(&sql);
        let Loaded::Contents(contents) = device.process("app").loads() else { panic!("{sql}: it does not load") };
        let token_endpoint = contents.metadata.map(|metadata| metadata.token_endpoint);
        assert!(token_endpoint.is_none_or(|address| address == "https://id.example/token"), "{sql}");
        assert!(contents.session.is_some(), "{sql}: still signed in");
        goes_on(&device);
    }
}

#[test]
fn a_wrapped_key_that_is_damaged_is_a_key_that_is_lost() {
    for value in ["''", "'text'", "x''", "x'00ff'", "-1", "1.5"] {
        let device = full_device();
        device.sql(&format!("UPDATE fact SET value = {value} WHERE name = 'wrapped_key'"));
        assert_eq!(device.process("app").loads(), Loaded::KeyInvalidated, "{value}");
        goes_on(&device);
    }
}

// ---- rows of other versions ----------------------------------------------------------------------------------------

/// Puts JSON where the vault keeps it, sealed as the vault seals it: by a version of the app that thinks otherwise.
fn put(device: &Device, place: &str, value: &[u8]) {
    let mut app = device.process("app");
    app.vault.key.unlock(&app.vault.db).unwrap();
    let sealer = app.vault.key.sealer(&app.vault.db).unwrap();
    let db = &app.vault.db;
    match place {
        "session" => {
            let place = Place { table: "session", row: "tokens", account: "alice", generation: 1 };
            let row = sealer.seal(place, value).unwrap();
            db.execute("UPDATE session SET tokens = ?1", [row]).unwrap();
        }
        "pending" | "snapshot" | "push_token" | "metadata" => {
            let row = sealer.seal(Place { table: "sealed", row: place, account: "", generation: 0 }, value).unwrap();
            db.execute("INSERT OR REPLACE INTO sealed VALUES (?1, ?2)", params![place, row]).unwrap();
        }
        "knowledge" => {
            db.execute("UPDATE knowledge SET value = ?1", [value]).unwrap();
        }
        "server_offset" => {
            db.execute("UPDATE fact SET value = ?2 WHERE name = ?1", params![place, value]).unwrap();
        }
        other => panic!("{other}: there is no such place"),
    }
}

/// Whether the vault makes something of what is in that place.
fn is_read(contents: &Contents, place: &str) -> bool {
    let session = contents.session.as_ref();
    match place {
        "session" => session.is_some(),
        "snapshot" => session.is_some_and(|session| session.snapshot.is_some()),
        "pending" => contents.pending.is_some(),
        "push_token" => contents.push_token.is_some(),
        "knowledge" => contents.knowledge.is_some(),
        "metadata" => contents.metadata.is_some(),
        "server_offset" => contents.server_offset.is_some(),
        other => panic!("{other}: there is no such place"),
    }
}

const PLACES: [&str; 7] = ["session", "pending", "snapshot", "push_token", "knowledge", "metadata", "server_offset"];

/// As in the other corpora; the first line of a file is its place.
#[test]
fn every_row_of_the_corpus_is_what_its_name_says_and_no_obstacle() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/row");
    let mut seen = std::collections::BTreeSet::new();
    for file in fs::read_dir(corpus).unwrap() {
        let file = file.unwrap().path();
        let bytes = fs::read(&file).unwrap();
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let place = std::str::from_utf8(&bytes[..end]).unwrap();
        let device = full_device();
        put(&device, place, &bytes[end + 1..]);
        let contents = goes_on(&device);
        let is_good = file.file_name().unwrap().to_str().unwrap().starts_with("good-");
        assert_eq!(is_read(&contents, place), is_good, "{}", file.display());
        let is_sealed = ["session", "pending", "snapshot", "push_token", "metadata"].contains(&place);
        assert_eq!(contents.quarantined, u32::from(is_sealed && !is_good), "{}", file.display());
        seen.insert((place.to_owned(), is_good));
    }
    assert_eq!(seen.len(), 2 * PLACES.len(), "good and bad ones of each place: {seen:?}");
}

fn any_row() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "null",
        "-1",
        "1e999",
        "18446744073709551616",
        "\\ud800",
        "true",
        "\"agent\":",
        "\"account\":\"alice\"",
        "\"access\":\"a\"",
        "\"refresh\":\"r\"",
        "\"expires_at\":",
        "\"state\":",
        "\"verifier\":",
        "\"routing\":",
        "\"calls\":",
        "\"issuer\":",
        "\"version\":",
        "\u{feff}",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(word, 0..30).prop_map(|words| words.concat().into_bytes()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_place_are_no_obstacle(place in prop::sample::select(PLACES.to_vec()), value in any_row()) {
        let device = full_device();
        put(&device, place, &value);
        goes_on(&device);
    }
}

#[test]
fn a_token_in_the_queue_that_does_not_open_is_no_obstacle() {
    let device = Device::new();
    let mut app = device.process("app");
    app.signs_in("alice", 1);
    app.signs_out();
    device.sql("UPDATE revocation SET token = x'00'");
    let [revocation] = app.contents().revocations[..] else { panic!() };
    assert!(app.vault.revocation(revocation).is_none());
}

#[test]
fn a_file_that_is_no_vault_is_put_aside_and_a_new_one_is_made() {
    for damage in ["no database", "truncated", "a page of noise"] {
        let device = Device::new();
        let mut app = device.process("app");
        app.signs_in("alice", 1);
        let install_id = app.vault.install_id();
        drop(app);
        let whole = fs::read(device.file()).unwrap();
        let damaged = match damage {
            "no database" => b"this is not a database, whatever its name says".to_vec(),
            "truncated" => whole[..whole.len() / 2].to_vec(),
            _ => whole.iter().enumerate().map(|(at, byte)| if at > 4_200 { byte ^ 0x55 } else { *byte }).collect(),
        };
        fs::write(device.file(), damaged).unwrap();
        let mut app = device.process("app");
        let contents = app.contents();
        assert_eq!((contents.session, contents.quarantined), (None, 1), "{damage}");
        assert_ne!(app.vault.install_id(), install_id, "{damage}: what was sealed before is of no use");
        assert!(device.folder.path().join("vault.damaged.sqlite").exists());
        app.signs_in("alice", 2);
        drop(app);
        assert_eq!(device.process("app").stored(), stored("alice", 1, "2-1"), "{damage}");
    }
}

#[test]
fn a_vault_of_a_newer_app_is_left_alone() {
    let device = Device::new();
    device.process("app").signs_in("alice", 1);
    device.sql("PRAGMA user_version = 99");
    let before = fs::read(device.file()).unwrap();
    let fault = device.try_process("app").err().unwrap();
    assert!(fault.to_string().contains("newer version"), "{fault}");
    assert_eq!(fs::read(device.file()).unwrap(), before);
}

#[test]
fn a_session_of_each_earlier_version_survives_the_update() {
    // What each version added, taken back; the last one first.
    const BACK: [&str; 3] = [
        "DROP TABLE newest",
        "INSERT INTO fact VALUES ('metadata', x'7b7d')",
        "ALTER TABLE session DROP COLUMN sign_in",
    ];
    assert_eq!(BACK.len() + 1, schema::VERSIONS, "a new version wants a line here");
    for version in 1..=schema::VERSIONS {
        let device = Device::new();
        // A sign-in of before there were names for them.
        let mut app = device.process("app");
        app.signs_in("alice", 0);
        if version < 4 {
            app.forgets_to_note_it();
        }
        drop(app);
        for step in BACK.iter().take(schema::VERSIONS - version) {
            device.sql(step);
        }
        device.sql(&format!("PRAGMA user_version = {version}"));
        let mut app = device.process("app");
        assert_eq!(app.stored(), stored("alice", 1, "0-1"), "version {version}");
        assert_eq!(app.begins(0, 1), Outcome::Done);
        assert_eq!(app.finishes(0, 2), Outcome::Done);
        drop(app);
        assert_eq!(device.process("app").stored(), stored("alice", 2, "0-2"), "version {version}");
    }
}

#[test]
fn storage_that_cannot_be_written_is_a_clear_error() {
    let device = Device::new();
    fs::write(device.folder.path().join("not a folder"), "").unwrap();
    let secrets = Arc::new(Secrets::default());
    let clock = Arc::new(HandClock(Arc::default()));
    let keys = Arc::new(Keys::default());
    let folder = device.folder.path().join("not a folder");
    assert!(matches!(Vault::open(&folder, "app", keys, clock, secrets), Err(Fault::Io(_))));
}

// ---- secrets -------------------------------------------------------------------------------------------------------

#[test]
fn no_secret_is_in_the_clear_in_any_file() {
    let device = Device::new();
    let mut app = device.process("app");
    app.vault.run(&Transaction::SavePending { pending: pending(&app), metadata: metadata() });
    app.signs_in("alice", 1);
    for generation in 1..20 {
        app.begins(1, generation);
        app.finishes(1, generation + 1);
    }
    let push_token = Some(app.secrets.name("the-push-token"));
    app.vault.run(&Transaction::SavePushToken { token: push_token });
    app.signs_out();
    app.signs_in("alice", 2);
    let mut searched = 0;
    for entry in fs::read_dir(device.folder.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        searched += bytes.len();
        // Long enough not to come about by chance: the account stands in the clear, and next to it random bytes.
        for secret in [
            "access-",
            "refresh-1",
            "refresh-2",
            "the-state",
            "the-nonce",
            "the-verifier",
            "the-push-token",
            "alice@acme",
        ] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in the clear");
        }
    }
    assert!(searched > 50_000, "database and write-ahead log were searched");
}

// ---- any sequence --------------------------------------------------------------------------------------------------

/// What one of the processes does.
#[derive(Clone, Debug)]
enum Act {
    SignIn {
        who: bool,
    },
    Begin,
    Finish,
    Abandon,
    SignOut,
    Ended,
    Reread,
    /// The process is killed and started again.
    Restart,
    Pass(u64),
}

/// What a process believes.
#[derive(Clone, Copy, Debug, Default)]
struct Mind {
    session: Option<(u64, Generation)>,
    /// It was told that it may refresh, and has not said how that ended.
    holds: bool,
}

/// Who may refresh.
#[derive(Clone, Copy, Debug)]
struct Lease {
    holder: usize,
    /// Which start of that process took it. A later one may take it over, but gives up only what is its own.
    start: usize,
    until: u64,
}

/// The vault as it should be.
#[derive(Debug, Default)]
struct Model {
    /// Sign-in and generation.
    session: Option<(u64, Generation)>,
    lease: Option<Lease>,
    intent: Option<Generation>,
    /// How often each process was started again.
    starts: [usize; 3],
    revocations: usize,
    sign_ins: u64,
    now: u64,
}

impl Model {
    /// What the vault should answer to a process that wants to refresh.
    fn begin(&mut self, me: usize, (sign_in, generation): (u64, Generation)) -> &'static str {
        match self.session {
            None => "gone",
            Some((stored, newest)) if stored != sign_in || newest > generation => "superseded",
            Some(_) if self.is_held_by_another(me) => "held",
            Some(_) => {
                self.lease = Some(Lease { holder: me, start: self.starts[me], until: self.now + REFRESH_LEASE });
                self.intent = Some(generation);
                "done"
            }
        }
    }

    fn is_held_by_another(&self, me: usize) -> bool {
        self.lease.is_some_and(|lease| lease.holder != me && lease.until > self.now)
    }

    fn finish(&mut self, (sign_in, generation): (u64, Generation)) -> &'static str {
        match self.session {
            None => "gone",
            Some((stored, newest)) if stored != sign_in || newest >= generation => "superseded",
            Some(_) => {
                self.session = Some((sign_in, generation));
                (self.lease, self.intent) = (None, None);
                "done"
            }
        }
    }

    fn forget(&mut self) {
        (self.session, self.lease, self.intent) = (None, None, None);
    }
}

fn name_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::NewerTokens { .. } => "superseded",
        Outcome::RefreshLeaseHeld { .. } => "held",
        Outcome::Reread { tokens: None } => "gone",
        other => panic!("{other:?}"),
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => any::<bool>().prop_map(|who| Act::SignIn { who }),
        6 => Just(Act::Begin),
        5 => Just(Act::Finish),
        1 => Just(Act::Abandon),
        1 => Just(Act::SignOut),
        1 => Just(Act::Ended),
        3 => Just(Act::Reread),
        2 => Just(Act::Restart),
        2 => (0..2 * REFRESH_LEASE).prop_map(Act::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Three processes on one vault do anything in any order; the vault answers as the model says, and holds what it says.
    #[test]
    fn the_vault_does_what_a_model_of_it_does(story in prop::collection::vec((0_usize..3, act()), 1..60)) {
        let device = Device::new();
        let names = ["app", "extension", "widget"];
        let mut processes: Vec<Process> = names.iter().map(|name| device.process(name)).collect();
        let mut minds = [Mind::default(); 3];
        let mut model = Model::default();
        for (me, act) in story {
            let process = &mut processes[me];
            match act {
                Act::SignIn { who } => {
                    model.sign_ins += 1;
                    process.signs_in(if who { "alice" } else { "bob" }, model.sign_ins);
                    model.forget();
                    model.session = Some((model.sign_ins, 1));
                    minds[me] = Mind { session: model.session, holds: false };
                }
                Act::Begin => {
                    if let Some(mine) = minds[me].session {
                        let outcome = process.begins(mine.0, mine.1);
                        prop_assert_eq!(name_of(&outcome), model.begin(me, mine));
                        minds[me].holds = outcome == Outcome::Done;
                    }
                }
                Act::Finish => {
                    if let (Some((sign_in, generation)), true) = (minds[me].session, minds[me].holds) {
                        let outcome = process.finishes(sign_in, generation + 1);
                        prop_assert_eq!(name_of(&outcome), model.finish((sign_in, generation + 1)));
                        minds[me].holds = false;
                        if outcome == Outcome::Done {
                            minds[me].session = Some((sign_in, generation + 1));
                        }
                    }
                }
                Act::Abandon => {
                    process.vault.run(&Transaction::AbandonRefresh { unsent: false });
                    model.lease = model.lease.filter(|lease| (lease.holder, lease.start) != (me, model.starts[me]));
                    minds[me].holds = false;
                }
                Act::SignOut => {
                    process.signs_out();
                    model.revocations += usize::from(model.session.is_some());
                    model.forget();
                    minds[me] = Mind::default();
                }
                Act::Ended => {
                    if let Some((sign_in, _)) = minds[me].session {
                        process.is_ended(sign_in, SignedOutWhy::Revoked);
                        if model.session.is_none_or(|(stored, _)| stored == sign_in) {
                            model.revocations += usize::from(model.session.is_some());
                            model.forget();
                        }
                        minds[me] = Mind::default();
                    }
                }
                Act::Reread => {
                    let outcome = process.vault.run(&Transaction::Reread);
                    let held = matches!(outcome, Outcome::RefreshLeaseHeld { .. });
                    prop_assert_eq!(held, model.session.is_some() && model.is_held_by_another(me));
                    if let Outcome::Reread { tokens } = outcome {
                        minds[me].session = tokens.map(|tokens| (tokens.sign_in.0, tokens.generation));
                        minds[me].holds = false;
                        prop_assert_eq!(minds[me].session, model.session);
                    }
                }
                Act::Restart => {
                    processes[me] = device.process(names[me]);
                    model.starts[me] += 1;
                    // Its lease is its successor's; for the others, it may be asleep.
                    let contents = processes[me].contents();
                    let session = contents.session.as_ref();
                    minds[me] = Mind {
                        session: session.map(|session| (session.tokens.sign_in.0, session.tokens.generation)),
                        holds: false,
                    };
                    prop_assert_eq!(minds[me].session, model.session);
                    let unsettled = session.is_some_and(|session| session.unsettled);
                    prop_assert_eq!(unsettled, model.session.is_some_and(|(_, newest)| model.intent == Some(newest)));
                    prop_assert_eq!((contents.revocations.len(), contents.quarantined), (model.revocations, 0));
                }
                Act::Pass(millis) => {
                    device.pass(millis);
                    model.now += millis;
                }
            }
            if let Some((sign_in, generation)) = model.session {
                let stored = processes[0].stored().map(|(_, _, refresh)| refresh);
                prop_assert_eq!(stored, Some(format!("refresh-{sign_in}-{generation}")));
            }
        }
    }
}
