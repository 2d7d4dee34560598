//! What holds for any sequence of events, and what keeps the crate pure.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for the one thing it waits for")]

use std::{collections::BTreeSet, fs, path::Path};

use hookswitch_wire::{
    Availability, CallId, CallPush, CallState, CodeBy, PushKind, SignedOutReason, Snapshot, StreamEvent,
    UnavailableReason, UnixMillis, Version,
};
use proptest::prelude::*;

use crate::{state::session::Session, test_phone::*, view::SessionState, *};

// ---- any sequence of events ------------------------------------------------------------------------------------

/// One thing that happens. What depends on the state (which request is answered) is chosen when it happens.
#[derive(Clone, Debug)]
enum Happening {
    Event(Event),
    Command(Command),
    /// One of the open requests is answered, often as it should be.
    Answer {
        which: usize,
        fittingly: bool,
        outcome: Outcome,
    },
    Stream(StreamNews),
    Advance(u64),
    Sleep(u64),
    WallClock(i64),
    StorageFails(bool),
    StorageHolds(bool),
    RefreshLeaseHeld(u64),
    AnotherProcessRefreshed,
    AnotherProcessSignedOut,
}

/// States of the server, few enough to meet each other again.
fn any_state() -> impl Strategy<Value = Box<Snapshot>> {
    let call = prop::option::of((0_usize..3, 0_usize..4));
    (1_u64..3, 0_u64..12, any::<bool>(), any::<bool>(), any::<bool>(), call).prop_map(
        |(epoch, rev, on, listed, mine, call)| {
            let mut snapshot = if on { forwarding(rev) } else { state(rev) };
            snapshot.version = Version::new(epoch, rev);
            if !listed {
                snapshot.devices.clear();
            }
            if !mine && rev == 0 {
                snapshot.agent.account = "bob".into();
            }
            if let Some((call, state)) = call {
                let state = [CallState::Ringing, CallState::Ended, here(), elsewhere()][state].clone();
                snapshot.calls = with_call(rev, CALLS[call], state).calls;
            }
            snapshot
        },
    )
}

const CALLS: [&str; 3] = ["c1", "c2", "c3"];

fn any_call() -> impl Strategy<Value = CallId> {
    (0_usize..3).prop_map(|call| CALLS[call].into())
}

fn any_push() -> impl Strategy<Value = CallPush> {
    (0_usize..5, any_call(), 0_u64..12, any::<bool>(), any::<bool>(), 0_i64..3).prop_map(
        |(kind, call_id, rev, forwarding_on, mine, minutes)| CallPush {
            kind: [PushKind::AnsweredElsewhere, PushKind::Ended].get(kind).copied().unwrap_or(PushKind::Incoming),
            call_id,
            account: if mine || rev > 2 { "alice" } else { "bob" }.into(),
            expires_at: EPOCH + minutes * 60_000,
            forwarding_on,
            ..push("", rev)
        },
    )
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    let text = Just("call +33 6 12 34 56 78 or alice@example.com".to_owned());
    let cause = text.clone();
    prop_oneof![
        Just(Outcome::Done),
        Just(unreachable()),
        Just(not_sent()),
        Just(captive_portal()),
        cause.prop_map(|cause| Outcome::Unreachable { cause }),
        prop::option::of(0_u64..90_000).prop_map(|retry_after| Outcome::Unavailable { status: 503, retry_after }),
        Just(Outcome::Unauthenticated),
        Just(refused(404, "not_found")),
        text.prop_map(|detail| Outcome::Refused {
            status: 409,
            code: "call_taken".into(),
            detail: Some(detail),
            current: None
        }),
        any_state().prop_map(stale),
        any_state().prop_map(is_state),
        any_state().prop_map(is_state),
        Just(Outcome::Metadata { metadata: metadata() }),
        (2_u64..9).prop_map(granted),
        Just(login_granted(claims())),
        Just(login_granted(Claims { sub: "bob".into(), ..claims() })),
        Just(oauth_error("invalid_grant")),
        Just(oauth_error("server_error")),
        Just(Outcome::Loaded { loaded: Box::new(Loaded::Contents(TestPhone::contents_of_alice())) }),
        Just(Outcome::NewerTokens { tokens: tokens(4) }),
        Just(Outcome::RefreshLeaseHeld { for_millis: 3_000 }),
        Just(Outcome::Reread { tokens: None }),
        Just(Outcome::StorageFailed { cause: "disk".into() }),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    let begin = (101_u64..104).prop_map(|state| Command::BeginLogin {
        hint: Some("alice@example.com".into()),
        redirect_uri: REDIRECT.into(),
        state: SecretRef(state),
        nonce: NONCE,
        verifier: VERIFIER,
    });
    prop_oneof![
        3 => begin,
        3 => (101_u64..104).prop_map(|state| Command::FinishLogin {
            redirect: Redirect { state: Some(SecretRef(state)), ..redirect() }
        }),
        1 => Just(Command::CancelLogin),
        3 => Just(Command::AccessToken),
        1 => Just(Command::SignOut),
        1 => Just(Command::Repair),
        1 => Just(Command::SignOutEverywhere),
        3 => (0_usize..5).prop_map(|reason| Command::SetAvailability {
            availability: Availability::Unavailable { reason: UnavailableReason::ALL[reason] }
        }),
        2 => any::<bool>().prop_map(|on| Command::SetForwarding { to: on.then(forward_to) }),
        1 => prop::option::of(0_u64..3).prop_map(|token| Command::SetPushToken { token: token.map(SecretRef) }),
        1 => Just(Command::SendCode { number: forward_to().number, by: CodeBy::Call }),
        1 => Just(Command::VerifyNumber { number: forward_to().number, code: SecretRef(105) }),
        1 => Just(Command::EndSession { session: "elsewhere".into() }),
        1 => any::<bool>().prop_map(|known| Command::SetDeviceFacts {
            facts: DeviceFacts { line_number: known.then(|| forward_to().number), ..DeviceFacts::default() }
        }),
        2 => any_call().prop_map(|call_id| Command::Answer { call_id }),
        1 => any_call().prop_map(|call_id| Command::Decline { call_id }),
        1 => any_call().prop_map(|call_id| Command::HangUp { call_id }),
    ]
}

fn any_news() -> impl Strategy<Value = StreamNews> {
    let signed_out = hookswitch_wire::stream::SignedOut { reason: SignedOutReason::Revoked };
    prop_oneof![
        6 => any_state().prop_map(|state| StreamNews::Event { event: StreamEvent::State(state) }),
        1 => Just(StreamNews::Event { event: StreamEvent::SignedOut(signed_out) }),
        1 => (0_u64..100_000).prop_map(|millis| StreamNews::Retry { millis }),
        1 => Just(StreamNews::Malformed { complaint: "what?".into() }),
        2 => any_outcome().prop_map(|outcome| StreamNews::Closed { outcome }),
    ]
}

fn any_timer() -> impl Strategy<Value = Timer> {
    prop_oneof![
        Just(Timer::Refresh),
        Just(Timer::SaveTokens),
        Just(Timer::Heartbeat),
        Just(Timer::BackgroundGrace),
        Just(Timer::TapExpiry { tap: ChoiceKind::Availability }),
        any_call().prop_map(|call_id| Timer::RingUntil { call_id }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => any::<u64>().prop_map(|seed| Event::Started { seed }),
        3 => Just(Event::Foreground),
        2 => Just(Event::Background),
        2 => Just(Event::NetworkUp),
        2 => Just(Event::NetworkDown),
        1 => Just(Event::Unlocked),
        8 => (any_push(), any::<bool>()).prop_map(|(push, must_report)| Event::Push { push, must_report }),
        // Strays: results of effects and timers that nobody waits for.
        1 => (0_u64..40, any_news())
            .prop_map(|(effect, news)| Event::Stream { effect: EffectId(effect + 1_000_000), news }),
        1 => (0_u64..40, any_outcome()).prop_map(|(effect, outcome)| Event::Completed {
            effect: EffectId(effect + 1_000_000), server_time: Some(EPOCH), outcome
        }),
        1 => any_timer().prop_map(|timer| Event::Timer { timer }),
    ]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => any_event().prop_map(Happening::Event),
        6 => any_command().prop_map(Happening::Command),
        12 => (0_usize..4, any::<bool>(), any_outcome())
            .prop_map(|(which, fittingly, outcome)| Happening::Answer { which, fittingly, outcome }),
        4 => any_news().prop_map(Happening::Stream),
        6 => (0_u64..30_000).prop_map(Happening::Advance),
        1 => (0_u64..3 * HOUR).prop_map(Happening::Sleep),
        1 => (-10_i64..10).prop_map(|years| Happening::WallClock(years * 365 * 24 * 3_600_000)),
        1 => any::<bool>().prop_map(Happening::StorageFails),
        2 => any::<bool>().prop_map(Happening::StorageHolds),
        1 => (0_u64..9_000).prop_map(Happening::RefreshLeaseHeld),
        1 => Just(Happening::AnotherProcessRefreshed),
        1 => Just(Happening::AnotherProcessSignedOut),
    ]
}

/// What a server that works would say.
fn fitting(phone: &TestPhone, request: &Request) -> Outcome {
    let rev = phone.state.presence.version().map_or(1, |version| version.rev + 1);
    match request {
        Request::Discover => Outcome::Metadata { metadata: metadata() },
        Request::PushLogin { .. } => Outcome::LoginPushed { request_uri: "urn:x".into() },
        Request::ExchangeCode { .. } => login_granted(claims()),
        Request::Refresh { refresh, .. } => granted((refresh.0 % 1_000).saturating_add(1)),
        Request::Revoke { .. } => Outcome::Done,
        Request::Api { .. } => is_state(state(rev)),
    }
}

fn happens(phone: &mut TestPhone, happening: Happening) {
    match happening {
        Happening::Event(event) => phone.event(event),
        Happening::Command(command) => {
            phone.command(command);
        }
        Happening::Answer { which, fittingly, outcome } => {
            let Some((effect, request)) = phone.open.iter().nth(which).map(|(id, request)| (*id, request.clone()))
            else {
                return;
            };
            let outcome = if fittingly { fitting(phone, &request) } else { outcome };
            phone.open.remove(&effect);
            phone.event(Event::Completed { effect, server_time: None, outcome });
        }
        Happening::Stream(news) => {
            if phone.stream.is_some() {
                phone.news(news);
            }
        }
        Happening::Advance(millis) => phone.advance(millis),
        Happening::Sleep(millis) => phone.pass(millis),
        Happening::WallClock(jump) => phone.now.wall += jump,
        Happening::StorageFails(fails) => phone.storage_fails = fails,
        Happening::StorageHolds(true) => phone.holds_storage = true,
        Happening::StorageHolds(false) => phone.release_storage(),
        Happening::RefreshLeaseHeld(for_millis) => phone.leases.push_back(Outcome::RefreshLeaseHeld { for_millis }),
        Happening::AnotherProcessRefreshed => phone.elsewhere = Some(tokens(50)),
        Happening::AnotherProcessSignedOut => phone.leases.push_back(Outcome::Reread { tokens: None }),
    }
}

/// Everything under way comes to its end, and time passes.
fn comes_to_rest(phone: &mut TestPhone) {
    phone.storage_fails = false;
    phone.leases.clear();
    phone.release_storage();
    for _ in 0..12 {
        while !phone.open.is_empty() {
            phone.answer(whatever, unreachable());
        }
        phone.advance(10_000);
    }
    while !phone.open.is_empty() {
        phone.answer(whatever, unreachable());
    }
}

fn a_story() -> impl Strategy<Value = (usize, Vec<Happening>)> {
    (0_usize..4, prop::collection::vec(any_happening(), 1..80))
}

fn begin(at: usize) -> TestPhone {
    match at {
        0 => TestPhone::signed_out(),
        1 => TestPhone::woken(),
        2 => TestPhone::loading(Loaded::Contents(TestPhone::contents_of_alice())),
        _ => TestPhone::signed_in(),
    }
}

fn play(at: usize, story: Vec<Happening>, mut visit: impl FnMut(&State, &mut TestPhone)) -> TestPhone {
    let mut phone = begin(at);
    for happening in story {
        let before = phone.state.clone();
        happens(&mut phone, happening);
        visit(&before, &mut phone);
    }
    phone
}

/// For each call: how often it began to ring, and how often it stopped, in the right order.
fn rings_and_stops(phone: &TestPhone) -> BTreeSet<CallId> {
    let mut ringing = BTreeSet::new();
    for effect in &phone.history.output {
        match effect {
            Output::Decided { decision } if decision.rings() => {
                assert!(ringing.insert(decision.push.call_id.clone()), "rings twice: {:?}", decision.push);
            }
            Output::StopRinging { call_id, .. } => {
                ringing.remove(call_id);
            }
            _ => {}
        }
    }
    ringing
}

/// Enough for a change in the making. tests/run asks for more with `PROPTEST_CASES`.
fn cases() -> ProptestConfig {
    let config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { ProptestConfig { cases: 64, ..config } }
}

proptest! {
    #![proptest_config(cases())]

    /// [`TestPhone`] watches each step: no panic, fresh effect ids, one refresh at a time, one reply a command, no token of
    /// an ended session in any request, timers as the shell knows them.
    #[test]
    fn each_command_gets_its_reply_and_each_ring_its_end((at, story) in a_story()) {
        let mut phone = play(at, story, |_, _| {});
        comes_to_rest(&mut phone);
        let unanswered: Vec<_> = phone.commands.iter().filter(|id| !phone.has_reply(**id)).collect();
        prop_assert!(unanswered.is_empty(), "{unanswered:?}: {:#?}", phone.state);
        prop_assert_eq!(rings_and_stops(&phone), BTreeSet::new());
        prop_assert_eq!(phone.ringing(), Vec::<String>::new());
        let drawn = drawn();
        let other = phone.transitions.iter().find(|(from, to)| !drawn.contains(&((*from).into(), (*to).into())));
        prop_assert_eq!(other, None, "README.md does not draw it");
    }

    #[test]
    fn the_confirmed_version_never_falls((at, story) in a_story()) {
        play(at, story, |before, phone| {
            // `None` in between: a repair, a sign-out, a sign-in.
            if let (Some(before), Some(after)) = (before.presence.version(), phone.state.presence.version()) {
                let begun_anew = phone.entries.iter().rev().take(12).any(|entry| matches!(
                    entry.event, Event::Command { command: Command::Repair | Command::SignOut, .. } | Event::Timer { .. }
                ));
                assert!(after >= before || begun_anew, "{before:?} {after:?}");
            }
        });
    }

    #[test]
    fn what_is_settled_stays_settled((at, story) in a_story()) {
        play(at, story, |_, phone| {
            // Unless time has passed since the last event.
            if phone.entries.last().is_none_or(|entry| entry.now != phone.now) {
                return;
            }
            let mut state = phone.state.clone();
            let nothing = Event::Completed { effect: EffectId(u64::MAX), server_time: None, outcome: Outcome::Done };
            let effects = step(&mut state, nothing, phone.now);
            assert_eq!(effects, Effects::default());
            assert_eq!(state, phone.state);
        });
    }

    #[test]
    fn the_same_events_have_the_same_effects((at, story) in a_story()) {
        let phone = play(at, story, |_, _| {});
        let mut again = State::new(setup());
        for entry in &phone.entries {
            prop_assert_eq!(&step(&mut again, entry.event.clone(), entry.now), &entry.effects);
        }
        prop_assert_eq!(again, phone.state);
    }

    #[test]
    fn state_events_and_effects_survive_json((at, story) in a_story()) {
        let phone = play(at, story, |_, phone| {
            let text = serde_json::to_string(&phone.state).unwrap();
            assert_eq!(serde_json::from_str::<State>(&text).unwrap(), phone.state);
        });
        for entry in &phone.entries {
            let text = serde_json::to_string(entry).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Entry>(&text).unwrap(), entry);
        }
        let view = phone.view();
        let text = serde_json::to_string(&view).unwrap();
        prop_assert_eq!(serde_json::from_str::<AppState>(&text).unwrap(), view);
    }

    #[test]
    fn any_story_can_be_recorded_without_personal_data_and_replayed((at, story) in a_story()) {
        let phone = play(at, story, |_, _| {});
        let mut recorder = Recorder::default();
        let mut transcript = recorder.start(&setup(), None).unwrap();
        for entry in &phone.entries {
            transcript.push('\n');
            transcript.push_str(&recorder.entry(entry).unwrap());
        }
        for personal in ["Alice Martin", "alice@example.com", "Alice's iPhone", "33612345678", "33 6 12 34", "14155550123", "A Customer"] {
            prop_assert!(!transcript.contains(personal), "{personal}");
        }
        let replayed = transcript::replay(&transcript);
        prop_assert!(replayed.is_ok(), "{}", replayed.unwrap_err());
    }

    /// Extreme clocks: nothing overflows.
    #[test]
    fn any_time_is_welcome(wall: i64, mono: u64, (at, story) in a_story()) {
        let phone = play(at, story, |_, _| {});
        let mut state = phone.state.clone();
        for entry in phone.entries {
            step(&mut state, entry.event, Timestamp { wall: UnixMillis(wall), mono });
            let _ = state.view(Timestamp { wall: UnixMillis(wall), mono });
        }
    }
}

#[test]
fn nobody_is_signed_in_until_the_vault_says_so() {
    assert_eq!(State::new(setup()).view(Timestamp { wall: UnixMillis(0), mono: 0 }).session, SessionState::Loading);
}

// ---- the drawing of the session --------------------------------------------------------------------------------

/// The transitions that README.md draws.
fn drawn() -> BTreeSet<(String, String)> {
    let readme = read("README.md");
    let drawing = readme.split("```mermaid").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    drawing
        .lines()
        .filter_map(|line| line.split_once("-->"))
        .map(|(from, to)| (from.trim().to_owned(), to.split(':').next().unwrap_or_default().trim().to_owned()))
        .filter(|(from, _)| from != "[*]")
        .collect()
}

/// Whatever a vault may hold.
fn vaults() -> Vec<Outcome> {
    let login = PendingLogin {
        redirect_uri: REDIRECT.into(),
        state: STATE,
        nonce: NONCE,
        verifier: VERIFIER,
        hint: None,
        began_at: EPOCH + 7_200_000,
        began_mono: None,
    };
    let alice = TestPhone::contents_of_alice;
    [
        Loaded::KeyUnavailable { knowledge: None },
        Loaded::KeyInvalidated,
        Loaded::Contents(Contents::default()),
        Loaded::Contents(alice()),
        Loaded::Contents(Contents { session: None, pending: Some(login.clone()), ..alice() }),
        Loaded::Contents(Contents { pending: Some(login), ..alice() }),
    ]
    .map(|loaded| Outcome::Loaded { loaded: Box::new(loaded) })
    .into()
}

/// What the vault may answer; it may always fail.
fn vault_answers(phone: &TestPhone, transaction: &Transaction) -> Vec<Outcome> {
    let of_another_sign_in = TokenSet { sign_in: SignInId(2), ..tokens(4) };
    let newer = [tokens(4), of_another_sign_in].map(|tokens| Outcome::NewerTokens { tokens });
    let reread = |tokens| Outcome::Reread { tokens };
    let mut answers = match transaction {
        Transaction::Load => vaults(),
        Transaction::BeginRefresh { .. } => {
            let held = Outcome::RefreshLeaseHeld { for_millis: 100 };
            [vec![Outcome::Done, held, reread(None)], newer.into()].concat()
        }
        Transaction::FinishRefresh { .. } => [vec![Outcome::Done, reread(None)], newer.into()].concat(),
        Transaction::Reread => {
            let mine = match &phone.state.session {
                Session::SignedIn(session) => Some(session.tokens.clone()),
                _ => None,
            };
            vec![reread(mine), reread(Some(tokens(9))), reread(None)]
        }
        Transaction::SignOut { .. } | Transaction::TakeBack { .. } => vec![vaults().swap_remove(2)],
        _ => vec![Outcome::Done],
    };
    answers.push(Outcome::StorageFailed { cause: "disk full".into() });
    answers
}

/// What may happen to a phone next: each command, each event of the platform, each end of what is under way.
fn whatever_may_happen(phone: &TestPhone) -> Vec<Event> {
    let id = CommandId(phone.commands.len() as u64 + 1);
    let begin = Command::BeginLogin {
        hint: None,
        redirect_uri: REDIRECT.into(),
        state: STATE,
        nonce: NONCE,
        verifier: VERIFIER,
    };
    let commands = [
        begin,
        Command::FinishLogin { redirect: redirect() },
        Command::FinishLogin { redirect: Redirect { error: Some("access_denied".into()), code: None, ..redirect() } },
        Command::CancelLogin,
        Command::AccessToken,
        Command::SignOut,
        Command::SignOutEverywhere,
        Command::Repair,
    ];
    let mut events: Vec<Event> = commands.map(|command| Event::Command { id, command }).into();
    events.extend([Event::Foreground, Event::Background, Event::Unlocked, Event::NetworkUp, Event::NetworkDown]);
    let completed = |effect, outcome| Event::Completed { effect, server_time: None, outcome };
    for (effect, request) in &phone.open {
        let rejected = [
            oauth_error("invalid_grant"),
            oauth_error("unauthorized_client"),
            Outcome::Unauthenticated,
            unreachable(),
            not_sent(),
        ];
        let outcomes = std::iter::once(fitting(phone, request)).chain(rejected);
        events.extend(outcomes.map(|outcome| completed(*effect, outcome)));
    }
    // The vault answers in order.
    if let Some((effect, transaction)) = phone.held.first_key_value() {
        events.extend(vault_answers(phone, transaction).into_iter().map(|outcome| completed(*effect, outcome)));
    }
    if let Some((effect, _)) = phone.stream {
        let signed_out = hookswitch_wire::stream::SignedOut { reason: SignedOutReason::Revoked };
        events.push(Event::Stream { effect, news: StreamNews::Event { event: StreamEvent::SignedOut(signed_out) } });
    }
    events
}

/// What two phones have in common that go on alike, as far as their sessions go.
fn likeness(phone: &TestPhone) -> String {
    fn kind<T>(value: &T) -> String {
        format!("{:?}", std::mem::discriminant(value))
    }
    let session = match &phone.state.session {
        Session::SigningIn { stage, before, .. } => format!("signing in {} {}", kind(stage), kind(before)),
        Session::SignedIn(session) => format!(
            "signed in {} {} {} {} {}",
            kind(&session.refresh),
            session.refusals.asks,
            session.unsaved,
            session.has_fresh_token(phone.now),
            session.repair.is_some()
        ),
        other => kind(other),
    };
    let open: BTreeSet<String> = phone.open.values().map(kind).collect();
    let held: Vec<String> = phone.held.values().take(2).map(kind).collect();
    format!("{session} {open:?} {held:?} {}", phone.stream.is_some())
}

#[test]
fn the_drawing_of_the_session_has_what_the_machine_does_and_nothing_else() {
    let mut start = TestPhone::loading(Loaded::KeyUnavailable { knowledge: None });
    // The tokens in the vault are used up by then, so that a refresh is never far.
    start.pass(2 * HOUR);
    let mut known = BTreeSet::from([likeness(&start)]);
    let mut walked = BTreeSet::new();
    let mut todo = std::collections::VecDeque::from([start]);
    while let Some(phone) = todo.pop_front() {
        for event in whatever_may_happen(&phone) {
            let mut next = phone.clone();
            if let Event::Completed { effect, .. } = &event {
                next.open.remove(effect);
                next.held.remove(effect);
            }
            next.event(event);
            walked.extend(next.transitions.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())));
            next.entries.clear();
            next.forget_history();
            if known.insert(likeness(&next)) {
                todo.push_back(next);
            }
        }
    }
    assert_eq!(walked, drawn());
}

// ---- the crate stays pure --------------------------------------------------------------------------------------

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names in `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split([' ', '.', '=']).next())
        .filter(|n| !n.is_empty())
        .map(String::from)
        .collect()
}

/// What the crate is built with, by its manifest, that of the wire types, and the lock file.
fn dependency_tree() -> BTreeSet<String> {
    let lock = read("../../Cargo.lock");
    let mut todo = dependencies(&read("Cargo.toml"));
    todo.extend(dependencies(&read("../wire/Cargo.toml")));
    let mut tree = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if !tree.insert(name.clone()) || name.starts_with("hookswitch") {
            continue;
        }
        let package = lock.split("[[package]]").find(|package| package.contains(&format!("name = \"{name}\"\n")));
        let package = package.unwrap_or_else(|| panic!("{name} is not in Cargo.lock"));
        let list = package.split("dependencies = [").nth(1).unwrap_or_default();
        let list = list.split(']').next().unwrap_or_default();
        todo.extend(list.split('"').skip(1).step_by(2).filter_map(|dep| dep.split(' ').next()).map(String::from));
    }
    tree
}

#[test]
fn the_machine_depends_on_nothing_that_waits_draws_or_stores() {
    let tree = dependency_tree();
    assert!(tree.contains("serde_json") && tree.contains("hookswitch-wire") && tree.len() < 20, "{tree:?}");
    for impure in [
        "tokio",
        "async-std",
        "futures-util",
        "reqwest",
        "hyper",
        "rusqlite",
        "rand",
        "rand_core",
        "getrandom",
        "uniffi",
        "libc",
        "mio",
        "socket2",
        "chrono",
        "time",
        "jiff",
        "tracing",
        "log",
    ] {
        assert!(!tree.contains(impure), "{impure} in {tree:?}");
    }
}

#[test]
fn the_machine_reads_no_clock_and_does_no_io() {
    let mut files = 0;
    let mut todo = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if ["tests.rs", "test_phone.rs"].iter().any(|test| path.ends_with(test)) {
            continue;
        }
        files += 1;
        let source = fs::read_to_string(&path).unwrap();
        for (number, line) in source.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for impure in [
                "SystemTime",
                "Instant",
                "std::fs",
                "std::net",
                "std::thread",
                "std::io",
                "std::env",
                "std::process",
                "std::sync",
                "async ",
                ".await",
                "unsafe ",
                "static mut",
                "thread_local",
                "HashMap",
                "HashSet",
                "println!",
            ] {
                assert!(!code.contains(impure), "{impure} at {}:{}", path.display(), number + 1);
            }
        }
    }
    assert!(files > 30, "{files}");
}
