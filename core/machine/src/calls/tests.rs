#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing")]

use hookswitch_wire::{CallPush, CallState, Effective, PushKind, Surface, UnixMillis, Version};

use crate::{
    calls::{LEASE_RENEWAL, LONGEST_RING},
    ring::{Registration, Routing, TOMBSTONE_LIFE},
    test_phone::*,
    view::CallsState,
    *,
};

fn because(reason: Silence) -> StopReason {
    StopReason::Silenced { reason }
}

#[track_caller]
fn rings(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Ring { .. })
}

fn silent(reason: Silence) -> Verdict {
    Verdict::Silence { reason }
}

/// A phone that rings for the call c1, which the server's state of revision 2 has.
fn ringing() -> TestPhone {
    let mut phone = TestPhone::signed_in();
    phone.hears(with_call(2, "c1", CallState::Ringing));
    assert!(rings(phone.gets(push("c1", 2))));
    assert_eq!(phone.ringing(), ["c1"]);
    phone.forget_history();
    phone
}

fn answering() -> (TestPhone, CommandId) {
    let mut phone = ringing();
    let answer = phone.command(Command::Answer { call_id: "c1".into() });
    (phone, answer)
}

/// The key of the only answer that was sent.
fn sent_key(phone: &TestPhone) -> String {
    let keys: Vec<&String> = phone
        .requests()
        .into_iter()
        .filter_map(|request| match request {
            Request::Api { call: ApiCall::Answer { key, .. }, .. } => Some(key),
            _ => None,
        })
        .collect();
    assert_eq!(keys.len(), 1);
    keys[0].clone()
}

fn in_call() -> TestPhone {
    let (mut phone, _) = answering();
    phone.answer(answer_call, is_state(with_call(3, "c1", here())));
    phone.forget_history();
    phone
}

#[test]
fn a_state_as_old_as_the_push_that_lacks_its_call_stops_no_ring() {
    // A server that stamps its pushes before it adds the call.
    let mut phone = TestPhone::signed_in();
    assert!(rings(phone.gets(push("c1", 2))));
    phone.hears(state(2));
    assert_eq!(phone.ringing(), ["c1"], "it may be older than the call");
    phone.hears(with_call(3, "c1", CallState::Ringing));
    assert_eq!(phone.ringing(), ["c1"]);
    phone.hears(state(4));
    assert_eq!(phone.stops(), [("c1".to_owned(), because(Silence::CallEnded))], "a newer one says that it is over");
}

#[test]
fn a_stop_that_comes_before_its_start_keeps_the_phone_silent() {
    for (kind, reason) in
        [(PushKind::AnsweredElsewhere, Silence::AnsweredElsewhere), (PushKind::Ended, Silence::CallEnded)]
    {
        let mut phone = TestPhone::in_background();
        assert_eq!(phone.gets(stop("c1", kind)), silent(reason));
        assert_eq!(phone.gets(push("c1", 2)), silent(reason));
        assert_eq!(phone.stops(), []);
        assert_eq!(phone.requests(), Vec::<&Request>::new());
    }
}

#[test]
fn a_stop_stops_the_ringing_at_once() {
    for (kind, reason) in
        [(PushKind::AnsweredElsewhere, Silence::AnsweredElsewhere), (PushKind::Ended, Silence::CallEnded)]
    {
        let mut phone = ringing();
        phone.gets(stop("c1", kind));
        assert_eq!(phone.stops(), [("c1".into(), because(reason))]);
        assert_eq!(phone.ringing(), Vec::<String>::new());
        assert_eq!(phone.gets(push("c1", 9)), silent(reason), "and it does not ring again");
    }
}

#[test]
fn a_duplicate_rings_once() {
    let mut phone = ringing();
    assert_eq!(phone.gets(push("c1", 2)), silent(Silence::Duplicate));
    assert_eq!(phone.stops(), []);
    assert_eq!(phone.ringing(), ["c1"]);
}

#[test]
fn a_second_call_does_not_ring_while_the_first_does_or_runs() {
    for mut phone in [ringing(), answering().0, in_call()] {
        assert_eq!(phone.gets(push("c2", 9)), silent(Silence::InAnotherCall));
    }
}

#[test]
fn a_call_that_is_over_does_not_keep_the_next_one_silent() {
    let mut phone = ringing();
    phone.gets(stop("c1", PushKind::Ended));
    assert!(rings(phone.gets(push("c2", 2))));
    phone.gets(stop("c2", PushKind::AnsweredElsewhere));
    assert!(rings(phone.gets(push("c3", 2))));
    assert_eq!(phone.ringing(), ["c3"]);
}

#[test]
fn a_push_is_held_against_what_the_state_says_of_that_very_call() {
    for (said, reason) in [(elsewhere(), Silence::AnsweredElsewhere), (CallState::Ended, Silence::CallEnded)] {
        for (call, made_from, wanted) in
            [("c1", 2, Some(reason)), ("c1", 3, Some(reason)), ("c1", 4, None), ("c2", 3, None)]
        {
            let mut phone = TestPhone::signed_in();
            phone.hears(with_call(3, "c1", said.clone()));
            let verdict = phone.gets(push(call, made_from));
            match wanted {
                Some(reason) => assert_eq!(verdict, silent(reason), "{call} at {made_from}"),
                None => assert!(rings(verdict), "{call} at {made_from}: {verdict:?}"),
            }
        }
    }
}

#[test]
fn a_state_that_says_answered_elsewhere_or_ended_stops_the_ringing() {
    let told = [
        (with_call(3, "c1", elsewhere()), Silence::AnsweredElsewhere),
        (with_call(3, "c1", CallState::Ended), Silence::CallEnded),
        (state(3), Silence::CallEnded),
        (forwarding(3), Silence::ForwardingActive),
    ];
    for (snapshot, reason) in told {
        let mut phone = ringing();
        phone.hears(snapshot);
        assert_eq!(phone.stops(), [("c1".into(), because(reason))]);
        assert_eq!(phone.timers.keys().filter(|t| matches!(t, Timer::RingUntil { .. })).count(), 0);
    }
}

#[test]
fn a_call_that_is_offered_at_the_number_is_not_over_and_the_agent_is_told_where_it_is() {
    let mut phone = ringing();
    let offered = |rev, call: CallState| {
        let mut snapshot = with_call(rev, "c1", call);
        let call = snapshot.calls.first_mut().unwrap();
        (call.from_name, call.forwarded_to) = (Some("Grace".into()), Some("+33612345678".parse().unwrap()));
        snapshot
    };
    let notices = |phone: &TestPhone| phone.view().presence.unwrap().notices;
    phone.hears(offered(3, CallState::Offered));
    assert_eq!(phone.ringing(), ["c1"], "only forwarding itself silences");
    let told = "Grace is being offered at +33612345678. Whoever picks up there presses 1 to take the call.";
    assert_eq!(notices(&phone), [told]);
    phone.hears(offered(4, CallState::Answered { by: Surface::Forwarded }));
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::AnsweredElsewhere))]);
    assert_eq!(notices(&phone), ["Grace is on the line at +33612345678."]);
    phone.hears(offered(5, CallState::Ended));
    assert!(notices(&phone).is_empty());
}

#[test]
fn a_call_on_another_device_stops_the_ringing_here() {
    let mut phone = ringing();
    let mut busy = with_call(3, "c1", CallState::Ringing);
    busy.presence.effective = Effective::InCall;
    phone.hears(busy);
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::InAnotherCall))]);
}

#[test]
fn turning_forwarding_on_stops_a_call_that_rings_and_leaves_one_that_runs() {
    let mut phone = in_call();
    let mut forwarded = forwarding(4);
    forwarded.calls = with_call(4, "c1", here()).calls;
    phone.hears(forwarded);
    assert!(phone.view().calls.in_call.is_some());

    let mut phone = ringing();
    let mut forwarded = forwarding(3);
    forwarded.calls = with_call(3, "c1", CallState::Ringing).calls;
    phone.hears(forwarded);
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::ForwardingActive))]);
}

#[test]
fn a_state_older_than_the_push_stops_nothing() {
    // The phone has no state; the first one it gets comes from a node that is behind.
    let mut phone = TestPhone::woken();
    assert!(rings(phone.gets(push("c1", 9))));
    phone.answer(fetch, is_state(forwarding(8)));
    assert_eq!(phone.stops(), []);
    phone.event(Event::Foreground);
    phone.hears(forwarding(10));
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::ForwardingActive))]);
}

#[test]
fn what_only_the_push_knows_is_verified_at_once_even_in_the_background() {
    let mut phone = TestPhone::in_background();
    assert_eq!(phone.gets(push("c1", 2)), Verdict::Ring { until: EPOCH + 30_000, verify: true });
    assert_eq!(phone.sent(fetch), 1);
    phone.answer(fetch, is_state(forwarding(3)));
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::ForwardingActive))]);
}

#[test]
fn what_cannot_be_verified_rings_on() {
    for outcome in [unreachable(), unavailable(503), captive_portal()] {
        let mut phone = TestPhone::in_background();
        phone.gets(push("c1", 2));
        phone.answer(fetch, outcome);
        assert_eq!(phone.ringing(), ["c1"]);
    }
}

#[test]
fn a_ring_that_nobody_stops_ends_with_the_call() {
    let mut phone = TestPhone::in_background();
    phone.gets(push("c1", 2));
    phone.answer(fetch, unreachable());
    let left = u64::try_from((EPOCH + 30_000).since(phone.now.wall)).unwrap_or(0);
    phone.advance(left - 1);
    assert_eq!(phone.ringing(), ["c1"]);
    phone.advance(1);
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::Expired))]);
    assert_eq!(phone.timers.len(), 0);
}

#[test]
fn a_late_push_is_silent_by_the_servers_clock_and_not_by_the_phones() {
    let mut phone = TestPhone::signed_in();
    phone.now.wall += 10 * 365 * 24 * 3_600_000;
    assert!(rings(phone.gets(push("c1", 1))));
    let mut phone = TestPhone::in_background();
    phone.pass(30_000);
    phone.now.wall = UnixMillis(0);
    assert_eq!(phone.gets(push("c1", 1)), silent(Silence::Expired));
}

#[test]
fn a_phone_without_the_servers_clock_does_not_ring_for_ever() {
    let mut phone = TestPhone::woken();
    phone.now.wall += 10 * 365 * 24 * 3_600_000;
    assert!(rings(phone.gets(push("c1", 1))));
    phone.advance(super::LONGEST_RING);
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::Expired))]);
}

// ---- what the agent does ---------------------------------------------------------------------------------------

#[test]
fn an_answer_is_told_to_the_server_and_leased_as_long_as_the_call_runs() {
    let (mut phone, answer) = answering();
    assert_eq!(phone.stops(), [("c1".into(), StopReason::AnsweredHere)]);
    assert!(!phone.has_reply(answer));
    phone.answer(answer_call, is_state(with_call(3, "c1", here())));
    assert_eq!(phone.reply_to(answer), &Ok(Reply::Done));
    assert_eq!(phone.view().calls.in_call.unwrap().from_name.as_deref(), Some("A Customer"));
    phone.forget_history();
    for rev in 4..8 {
        phone.advance(LEASE_RENEWAL);
        phone.answer(lease, is_state(with_call(rev, "c1", here())));
        if phone.stream.is_some() {
            phone.hears_heartbeat();
        }
    }
    assert_eq!(phone.sent(lease), 4);
    let over = phone.command(Command::HangUp { call_id: "c1".into() });
    phone.answer(hang_up_call, is_state(state(9)));
    assert_eq!(phone.reply_to(over), &Ok(Reply::Done));
    phone.forget_history();
    phone.advance(LEASE_RENEWAL * 2);
    assert_eq!(phone.sent(lease), 0);
    assert_eq!(phone.view().calls.in_call, None);
}

#[test]
fn an_answer_that_came_too_late_says_so() {
    let (mut phone, answer) = answering();
    let detail = Some("The call was answered on another device.".to_owned());
    phone.answer(answer_call, Outcome::Refused { status: 409, code: "call_taken".into(), detail, current: None });
    assert_eq!(phone.failure_of(answer).why(), "The call was answered on another device.");
    assert_eq!(phone.stops().last(), Some(&("c1".into(), because(Silence::AnsweredElsewhere))));
    assert_eq!(phone.view().calls.in_call, None);
    assert_eq!(phone.gets(push("c1", 3)), silent(Silence::AnsweredElsewhere));
}

#[test]
fn a_lost_answer_is_given_again_under_its_key_and_the_call_is_ours() {
    for outcome in [unreachable(), unavailable(503), not_sent()] {
        let (mut phone, answer) = answering();
        let key = sent_key(&phone);
        phone.answer(answer_call, outcome);
        assert!(!phone.has_reply(answer), "the screen says that it connects");
        assert_eq!(phone.view().calls.in_call.map(|call| (call.call_id, call.connecting)), Some(("c1".into(), true)));
        phone.forget_history();
        phone.advance(3_000);
        assert_eq!(sent_key(&phone), key);
        phone.answer(answer_call, is_state(with_call(3, "c1", here())));
        assert_eq!(phone.reply_to(answer), &Ok(Reply::Done));
    }
}

#[test]
fn a_call_that_the_stream_has_confirmed_survives_the_loss_of_its_answer() {
    for outcome in [unreachable(), unavailable(503), Outcome::Unauthenticated, refused(401, "unauthenticated")] {
        let (mut phone, answer) = answering();
        phone.hears(with_call(3, "c1", here()));
        phone.answer(answer_call, outcome.clone());
        phone.advance(60_000);
        assert_eq!(
            phone.view().calls.in_call.map(|call| (call.call_id, call.connecting)),
            Some(("c1".into(), false)),
            "{outcome:?}"
        );
        if outcome != Outcome::Unauthenticated {
            assert_eq!(phone.reply_to(answer), &Ok(Reply::Done));
        }
    }
}

#[test]
fn an_answer_that_nobody_confirmed_by_the_calls_end_is_taken_back_and_the_server_is_told() {
    let (mut phone, answer) = answering();
    for _ in 0..200 {
        if phone.has_reply(answer) {
            break;
        }
        if phone.sent(answer_call) > 0 {
            phone.answer(answer_call, unreachable());
        }
        phone.forget_history();
        phone.advance(1_000);
    }
    assert!(matches!(phone.failure_of(answer), Failure::Offline { .. }));
    assert_eq!(phone.view().calls.in_call, None);
    phone.answer(hang_up_call, unreachable());
    phone.forget_history();
    phone.advance(3_000);
    assert_eq!(phone.sent(hang_up_call), 1, "until the server has heard it");
}

#[test]
fn an_answer_that_comes_to_nothing_after_the_hang_up_does_not_end_the_telling_of_it() {
    for outcome in [unreachable(), refused(404, "not_found"), is_state(with_call(3, "c1", here()))] {
        let (mut phone, _) = answering();
        phone.command(Command::HangUp { call_id: "c1".into() });
        phone.answer(answer_call, outcome.clone());
        phone.answer(hang_up_call, unreachable());
        phone.forget_history();
        phone.advance(3_000);
        assert_eq!(phone.sent(hang_up_call), 1, "{outcome:?}");
    }
}

/// The server has not looked at it: its token is refused, and so soon after the last one the issuer is not asked for another.
#[test]
fn what_a_server_refuses_with_401_was_not_told() {
    let phone_of_two_refusals = |mut phone: TestPhone| {
        phone.answer(api, Outcome::Unauthenticated);
        phone.answer(refresh, granted(2));
        phone.answer(api, Outcome::Unauthenticated);
        phone.forget_history();
        phone.advance(3_000);
        phone
    };
    let (mut phone, answer) = answering();
    phone.answer(fetch, is_state(with_call(2, "c1", CallState::Ringing)));
    let mut phone = phone_of_two_refusals(phone);
    assert!(!phone.has_reply(answer));
    phone.answer(answer_call, is_state(with_call(3, "c1", here())));
    assert_eq!(phone.reply_to(answer), &Ok(Reply::Done));

    let mut phone = in_call();
    phone.open.clear();
    phone.command(Command::HangUp { call_id: "c1".into() });
    let phone = phone_of_two_refusals(phone);
    assert_eq!(phone.sent(hang_up_call), 1);
}

/// The first answer was of a node whose clock is ahead; the next ones tell.
#[test]
fn a_ring_goes_on_when_the_clock_that_would_end_it_is_doubted() {
    let mut phone = TestPhone::woken();
    phone.state.clock.hear(EPOCH + 22_000, Some(20), phone.now);
    assert!(rings(phone.gets(push("c1", 2))));
    phone.answer_with_time(fetch, is_state(with_call(2, "c1", CallState::Ringing)));
    // (A `Date` has whole seconds.)
    phone.advance(28_999);
    assert_eq!(phone.ringing(), ["c1"]);
    phone.advance(1_001);
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::Expired))]);
}

#[test]
fn an_agent_may_hang_up_while_the_phone_connects() {
    let (mut phone, answer) = answering();
    phone.answer(answer_call, unreachable());
    let hang_up = phone.command(Command::HangUp { call_id: "c1".into() });
    assert!(matches!(phone.failure_of(answer), Failure::Cancelled { .. }));
    assert_eq!(phone.view().calls.in_call, None);
    phone.forget_history();
    phone.advance(5_000);
    assert_eq!(phone.sent(answer_call), 0, "the answer is out of date");
    let _ = hang_up;
}

#[test]
fn a_ring_whose_timer_slept_does_not_silence_the_next_call() {
    let mut phone = ringing();
    // The phone sleeps: its timers stand still, and the stop is lost.
    phone.now.mono += 600_000;
    let next = CallPush { expires_at: EPOCH + 630_000, ..push("c2", 2) };
    assert!(rings(phone.gets(next)));
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::Expired))]);
}

#[test]
fn while_a_phone_rings_it_asks_once_also_when_it_believes_to_know() {
    let mut phone = TestPhone::signed_in();
    phone.hears(with_call(2, "c1", CallState::Ringing));
    phone.forget_history();
    assert_eq!(phone.gets(push("c1", 2)), Verdict::Ring { until: EPOCH + 30_000, verify: false });
    assert_eq!(phone.sent(fetch), 1);
}

#[test]
fn a_push_is_proof_of_a_network_whatever_the_platform_said_last() {
    let mut phone = TestPhone::signed_in();
    phone.event(Event::NetworkDown);
    phone.forget_history();
    assert!(rings(phone.gets(push("c1", 2))));
    assert_eq!(phone.sent(fetch), 1);
    phone.command(Command::Answer { call_id: "c1".into() });
    assert_eq!(phone.sent(answer_call), 1);
}

#[test]
fn a_call_tries_a_network_that_is_said_to_be_gone_also_with_a_token_that_is_stale() {
    let mut phone = in_call();
    phone.event(Event::NetworkDown);
    phone.pass(2 * HOUR);
    phone.advance(LEASE_RENEWAL);
    assert_eq!(phone.sent(refresh), 1, "else the server gives the call up");

    let (mut phone, _) = answering();
    phone.answer(answer_call, unreachable());
    phone.event(Event::NetworkDown);
    phone.pass(2 * HOUR);
    phone.forget_history();
    phone.advance(3_000);
    assert_eq!(phone.sent(refresh), 1);
}

#[test]
fn a_ring_ends_with_its_call_as_soon_as_the_servers_time_is_known() {
    let mut phone = TestPhone::in_background();
    assert!(rings(phone.gets(push("c1", 2))));
    // The answer to the question: the call has ten seconds left.
    let mut state = with_call(2, "c1", CallState::Ringing);
    state.calls[0].expires_at = EPOCH + 10_000;
    phone.answer(fetch, is_state(state));
    phone.advance(15_000);
    assert_eq!(phone.ringing(), Vec::<String>::new());
}

/// A state in which the call rings until so long after the beginning, in milliseconds.
fn rings_until(rev: u64, millis: i64) -> Box<hookswitch_wire::Snapshot> {
    let mut state = with_call(rev, "c1", CallState::Ringing);
    state.calls[0].expires_at = EPOCH + millis;
    state
}

#[test]
fn a_ring_goes_on_when_the_server_moves_its_end() {
    let mut phone = ringing();
    phone.event(Event::Background);
    phone.advance(10_000);
    phone.hears(rings_until(3, 45_000));
    phone.advance(34_999);
    assert_eq!(phone.ringing(), ["c1"]);
    phone.advance(2);
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::Expired))]);

    // And back.
    let mut phone = ringing();
    phone.hears(rings_until(3, 45_000));
    phone.hears(rings_until(4, 20_000));
    phone.advance(20_001);
    assert_eq!(phone.ringing(), Vec::<String>::new());
}

#[test]
fn no_ring_goes_on_for_longer_than_any_because_a_server_said_so_once() {
    let mut phone = ringing();
    phone.event(Event::Background);
    phone.hears(rings_until(3, 10 * 3_600_000));
    phone.advance(LONGEST_RING - 1);
    assert_eq!(phone.ringing(), ["c1"]);
    phone.advance(1);
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::Expired))]);
}

#[test]
fn hanging_up_while_the_answer_is_on_its_way_is_final() {
    let (mut phone, answer) = answering();
    phone.command(Command::HangUp { call_id: "c1".into() });
    phone.answer(answer_call, is_state(with_call(3, "c1", here())));
    assert!(matches!(phone.failure_of(answer), Failure::Cancelled { .. }));
    assert_eq!(phone.view().calls.in_call, None);
    phone.forget_history();
    phone.advance(LEASE_RENEWAL * 3);
    assert_eq!(phone.sent(lease), 0, "nobody stays in call for ever");
}

#[test]
fn an_answer_granted_for_a_call_that_is_over_by_then_is_no_call() {
    let (mut phone, answer) = answering();
    phone.answer(answer_call, is_state(with_call(3, "c1", CallState::Ended)));
    assert!(phone.reply_to(answer).is_err());
    assert_eq!(phone.view().calls.in_call, None);
}

#[test]
fn the_stop_push_that_our_own_answer_causes_does_not_end_our_call() {
    let (mut phone, _) = answering();
    phone.gets(stop("c1", PushKind::AnsweredElsewhere));
    assert!(phone.view().calls.in_call.is_some());
    let mut phone = in_call();
    phone.gets(stop("c1", PushKind::AnsweredElsewhere));
    assert!(phone.view().calls.in_call.is_some());
    phone.gets(stop("c1", PushKind::Ended));
    assert_eq!(phone.view().calls.in_call, None, "but an end is an end");
}

#[test]
fn a_decline_stops_the_ringing_at_once_and_is_told_to_the_server() {
    let mut phone = ringing();
    let declined = phone.command(Command::Decline { call_id: "c1".into() });
    assert_eq!(phone.stops(), [("c1".into(), StopReason::DeclinedHere)]);
    phone.answer(decline_call, unreachable());
    assert!(matches!(phone.failure_of(declined), Failure::Offline { .. }));
    phone.advance(3_000);
    assert_eq!(phone.sent(decline_call), 2, "until the server has heard it");
    assert_eq!(phone.gets(push("c1", 3)), silent(Silence::CallEnded));
}

#[test]
fn a_call_that_does_not_ring_here_can_be_neither_answered_nor_declined_nor_hung_up() {
    for command in [
        Command::Answer { call_id: "c9".into() },
        Command::Decline { call_id: "c9".into() },
        Command::HangUp { call_id: "c9".into() },
    ] {
        let mut phone = ringing();
        let id = phone.command(command);
        assert!(matches!(phone.failure_of(id), Failure::Forbidden { .. }));
        assert_eq!(phone.requests(), Vec::<&Request>::new());
    }
    let mut phone = ringing();
    let id = phone.command(Command::HangUp { call_id: "c1".into() });
    assert!(phone.reply_to(id).is_err(), "it rings; it is not in call");
}

#[test]
fn a_lease_that_the_server_does_not_know_any_more_ends_the_call() {
    let mut phone = in_call();
    phone.advance(LEASE_RENEWAL);
    phone.answer(lease, unreachable());
    assert!(phone.view().calls.in_call.is_some(), "one that fails is renewed by the next one");
    phone.advance(LEASE_RENEWAL);
    phone.answer(lease, refused(404, "not_found"));
    assert_eq!(phone.view().calls.in_call, None);
}

#[test]
fn the_answer_to_a_lease_is_news_and_a_call_that_was_hung_up_meanwhile_ends_once() {
    let mut phone = in_call();
    phone.advance(LEASE_RENEWAL);
    phone.answer(lease, is_state(with_call(41, "c1", here())));
    assert_eq!(phone.snapshot().version.rev, 41);

    phone.advance(LEASE_RENEWAL);
    phone.command(Command::HangUp { call_id: "c1".into() });
    phone.forget_history();
    phone.answer(lease, refused(404, "not_found"));
    assert_eq!(phone.stored(|transaction| matches!(transaction, Transaction::Remember { .. })), 0);
}

#[test]
fn an_answer_that_is_refused_for_another_reason_ends_the_call_without_saying_who_has_it() {
    let (mut phone, answer) = answering();
    phone.answer(answer_call, refused(403, "forbidden"));
    assert!(matches!(phone.failure_of(answer), Failure::Forbidden { .. }));
    assert_eq!(phone.gets(push("c1", 3)), silent(Silence::CallEnded));
}

#[test]
fn a_call_that_runs_is_leased_in_the_background_and_nothing_else_happens_there() {
    let mut phone = in_call();
    phone.event(Event::Background);
    for rev in 10..16 {
        phone.advance(LEASE_RENEWAL);
        while phone.open.values().any(lease) {
            phone.answer(lease, is_state(with_call(rev, "c1", here())));
        }
        if phone.stream.is_some() {
            phone.hears_heartbeat();
        }
    }
    assert!(phone.sent(lease) >= 5);
    assert_eq!(phone.timers.keys().collect::<Vec<_>>(), [&Timer::RenewCallLease { call_id: "c1".into() }]);
    assert_eq!(phone.sent(api), phone.sent(lease));
}

// ---- a phone that a push has started ---------------------------------------------------------------------------

fn knowledge(forwarding_on: bool, calls: &[(&str, CallKnowledge)]) -> Knowledge {
    let version = Version::new(1, 5);
    Knowledge {
        account: Some("alice".into()),
        routing: Some(Routing { version, forwarding_on, effective: Effective::Available }),
        registration: Registration::Registered,
        calls: calls.iter().map(|(id, how)| ((*id).into(), *how, EPOCH + 60_000)).collect(),
        refusals: crate::Refusals::default(),
    }
}

fn before_first_unlock(knowledge: Option<Knowledge>) -> TestPhone {
    let mut phone = TestPhone::loading(Loaded::KeyUnavailable { knowledge });
    phone.release_storage();
    phone
}

#[test]
fn a_key_store_that_fails_silences_and_rings_by_what_is_readable_without_it() {
    for forwarding_on in [true, false] {
        let knowledge = Some(knowledge(forwarding_on, &[]));
        let mut phone = TestPhone::loading(Loaded::KeyFailed { knowledge, cause: "busy".into() });
        phone.release_storage();
        let verdict = phone.gets(push("c1", 4));
        assert_eq!(verdict == silent(Silence::ForwardingActive), forwarding_on);
        assert_eq!(rings(verdict), !forwarding_on);
    }
}

#[test]
fn a_locked_phone_decides_by_what_is_readable_without_the_key() {
    let mut phone = before_first_unlock(Some(knowledge(true, &[])));
    assert_eq!(phone.gets(push("c1", 5)), silent(Silence::ForwardingActive));
    assert!(rings(phone.gets(push("c2", 6))), "the push is newer");

    let mut phone = before_first_unlock(Some(knowledge(false, &[("c1", CallKnowledge::Ended)])));
    assert_eq!(phone.gets(push("c1", 5)), silent(Silence::CallEnded));
    assert_eq!(phone.gets(CallPush { account: "bob".into(), ..push("c2", 5) }), silent(Silence::OtherAccount));

    let mut phone = before_first_unlock(Some(Knowledge { account: None, ..knowledge(false, &[]) }));
    assert_eq!(phone.gets(push("c1", 5)), silent(Silence::SignedOut));

    let mut phone = before_first_unlock(None);
    assert!(rings(phone.gets(push("c1", 5))), "unknown means ring");
}

#[test]
fn a_stop_for_another_agent_stops_no_call_of_this_one_and_buries_none() {
    let mut phone = ringing();
    for kind in [PushKind::Ended, PushKind::AnsweredElsewhere] {
        assert_eq!(
            phone.gets(CallPush { kind, account: "bob".into(), ..push("c1", 2) }),
            silent(Silence::OtherAccount)
        );
        phone.gets(CallPush { kind, account: "bob".into(), ..push("c2", 2) });
    }
    assert_eq!((phone.ringing(), phone.stops()), (vec!["c1".to_owned()], vec![]));
    phone.gets(CallPush { kind: PushKind::Ended, account: "".into(), ..push("c1", 2) });
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::CallEnded))], "one that names nobody may be ours");
    assert!(rings(phone.gets(push("c2", 2))));
}

#[test]
fn a_call_that_rang_before_the_vault_was_read_is_judged_again_and_verified() {
    let alice = |knowledge| Contents { knowledge: Some(knowledge), ..TestPhone::contents_of_alice() };
    let late = |contents: Contents| {
        let mut phone = TestPhone::loading(Loaded::Contents(contents));
        assert!(rings(phone.gets(push("c1", 5))));
        phone.release_storage();
        phone
    };
    let stopped = |phone: TestPhone| phone.stops().last().map(|(_, why)| *why);
    assert_eq!(stopped(late(alice(knowledge(true, &[])))), Some(because(Silence::ForwardingActive)));
    let ended = late(alice(knowledge(false, &[("c1", CallKnowledge::Ended)])));
    assert_eq!(stopped(ended), Some(because(Silence::CallEnded)));
    let taken = late(alice(knowledge(false, &[("c1", CallKnowledge::AnsweredElsewhere)])));
    assert_eq!(stopped(taken), Some(because(Silence::AnsweredElsewhere)));
    assert_eq!(stopped(late(Contents::default())), Some(because(Silence::SignedOut)));
    let mut somebody_else = TestPhone::contents_of_alice();
    somebody_else.session.as_mut().unwrap().agent.account = "bob".into();
    assert_eq!(stopped(late(somebody_else)), Some(because(Silence::OtherAccount)));

    let mut phone = late(TestPhone::contents_of_alice());
    assert_eq!(phone.ringing(), ["c1"]);
    assert_eq!(phone.sent(fetch), 1);
    phone.answer(fetch, is_state(forwarding(6)));
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::ForwardingActive))]);
}

#[test]
fn a_call_that_rang_before_the_vault_was_read_is_over_if_the_state_in_it_says_so() {
    let ended = (CallState::Ended, Some(Silence::CallEnded));
    // By an earlier process of this phone: this one has it again when it is answered again.
    for (said, reason) in [ended, (elsewhere(), Some(Silence::AnsweredElsewhere)), (here(), None)] {
        let mut contents = TestPhone::contents_of_alice();
        contents.session.as_mut().unwrap().snapshot = Some(with_call(5, "c1", said));
        let mut phone = TestPhone::loading(Loaded::Contents(contents.clone()));
        assert!(rings(phone.gets(push("c1", 5))));
        phone.release_storage();
        let stops: Vec<_> = reason.map(|reason| ("c1".to_owned(), because(reason))).into_iter().collect();
        assert_eq!(phone.stops(), stops);
        // And a push that comes later is judged alike.
        let mut phone = TestPhone::new(contents).started();
        assert_eq!(rings(phone.gets(push("c1", 5))), reason.is_none());
    }
}

#[test]
fn a_call_that_rang_before_the_vault_was_read_is_asked_about_also_when_the_vault_believes_to_know() {
    let contents = Contents { knowledge: Some(knowledge(false, &[])), ..TestPhone::contents_of_alice() };
    let mut phone = TestPhone::loading(Loaded::Contents(contents));
    assert!(rings(phone.gets(push("c1", 5))));
    phone.release_storage();
    assert_eq!((phone.ringing(), phone.sent(fetch)), (vec!["c1".to_owned()], 1));
}

#[test]
fn what_an_agent_does_before_the_vault_was_read_is_told_when_it_is() {
    let told: [fn(&Request) -> bool; 2] = [answer_call, decline_call];
    let does = [Command::Answer { call_id: "c1".into() }, Command::Decline { call_id: "c1".into() }];
    for (command, told) in does.into_iter().zip(told) {
        let alice = Contents { knowledge: Some(knowledge(false, &[])), ..TestPhone::contents_of_alice() };
        for locked in [false, true] {
            let contents = Loaded::Contents(alice.clone());
            let mut phone = if locked { before_first_unlock(None) } else { TestPhone::loading(contents.clone()) };
            assert!(rings(phone.gets(push("c1", 6))));
            let id = phone.command(command.clone());
            let connects = phone.view().calls.in_call.is_some_and(|call| call.connecting);
            assert_eq!(connects, matches!(command, Command::Answer { .. }), "{command:?}, locked: {locked}");
            phone.contents = contents;
            phone.release_storage();
            phone.event(Event::Unlocked);
            assert_eq!(phone.sent(told), 1, "{command:?}, locked: {locked}");
            phone.answer(told, is_state(with_call(7, "c1", if connects { here() } else { CallState::Ended })));
            assert!(phone.has_reply(id));
        }
    }
}

#[test]
fn who_answers_before_the_vault_was_read_and_is_not_signed_in_hears_it() {
    let mut phone = TestPhone::loading(Loaded::Contents(Contents::default()));
    assert!(rings(phone.gets(push("c1", 6))));
    let id = phone.command(Command::Answer { call_id: "c1".into() });
    phone.release_storage();
    assert!(phone.reply_to(id).is_err());
    assert_eq!(phone.view().calls, CallsState::default());
}

#[test]
fn the_next_process_knows_what_this_one_knew() {
    let next_of = |phone: &TestPhone| {
        let contents = Contents { knowledge: phone.knowledge(), ..TestPhone::contents_of_alice() };
        let mut next = TestPhone::new(contents);
        next.event(Event::Started { seed: 2 });
        next
    };
    let mut phone = ringing();
    phone.gets(stop("c1", PushKind::Ended));
    assert_eq!(next_of(&phone).gets(push("c1", 2)), silent(Silence::CallEnded));

    phone.hears(forwarding(4));
    let mut next = next_of(&phone);
    assert_eq!(next.gets(push("c2", 4)), silent(Silence::ForwardingActive));
    next.gets(stop("c3", PushKind::Ended));
    let mut third = next_of(&next);
    assert_eq!(third.gets(push("c2", 4)), silent(Silence::ForwardingActive), "and passes it on");
}

#[test]
fn the_next_process_knows_which_calls_are_over() {
    let mut phone = ringing();
    phone.gets(stop("c1", PushKind::Ended));
    let contents = Contents { knowledge: phone.knowledge(), ..TestPhone::contents_of_alice() };
    let mut next = TestPhone::new(contents);
    next.event(Event::Started { seed: 2 });
    assert_eq!(next.gets(push("c1", 2)), silent(Silence::CallEnded));
}

#[test]
fn what_a_phone_remembers_outweighs_an_older_answer_of_a_node_that_is_behind() {
    let contents = Contents { knowledge: Some(knowledge(true, &[])), ..TestPhone::contents_of_alice() };
    let mut phone = TestPhone::new(contents);
    phone.event(Event::Started { seed: 2 });
    phone.event(Event::Foreground);
    phone.hears(state(3));
    assert_eq!(phone.gets(push("c1", 4)), silent(Silence::ForwardingActive));
    phone.hears(state(6));
    assert!(rings(phone.gets(push("c2", 6))));
}

/// A process that died in a call left the agent in it: the next one says that nobody is there.
#[test]
fn a_process_that_comes_after_a_death_takes_back_the_call_that_died_with_it() {
    let stored = |rev| {
        let mut contents = TestPhone::contents_of_alice();
        contents.session.as_mut().unwrap().snapshot = Some(with_call(rev, "c1", here()));
        contents
    };
    let over = Contents {
        knowledge: Some(knowledge(false, &[("c1", CallKnowledge::Ended)])),
        ..TestPhone::contents_of_alice()
    };
    // What the vault says may be old: the server's word counts.
    for contents in [TestPhone::contents_of_alice(), stored(8), stored(9), over] {
        let mut phone = TestPhone::new(contents).started();
        phone.event(Event::Foreground);
        assert_eq!(phone.sent(hang_up_call), 0);
        phone.hears(with_call(9, "c1", here()));
        assert_eq!(phone.sent(hang_up_call), 1);
        assert_eq!(phone.view().calls.in_call, None);
        phone.hears(with_call(10, "c1", here()));
        assert_eq!(phone.sent(hang_up_call), 1, "once");
        phone.answer(hang_up_call, unreachable());
        phone.advance(3_000);
        assert_eq!(phone.sent(hang_up_call), 2, "until the server has heard it");
        phone.answer(hang_up_call, is_state(with_call(11, "c1", here())));
        phone.hears(with_call(12, "c1", here()));
        assert_eq!(phone.sent(hang_up_call), 2, "a server that does not listen is not asked for ever");
    }
}

#[test]
fn a_process_in_the_background_takes_back_no_call_that_another_may_have() {
    let mut phone = TestPhone::woken();
    phone.gets(push("c2", 9));
    phone.answer(fetch, is_state(with_call(9, "c1", here())));
    assert_eq!(phone.sent(hang_up_call), 0);
    phone.event(Event::Foreground);
    phone.hears(with_call(9, "c1", here()));
    assert_eq!(phone.sent(hang_up_call), 1, "the app itself knows");
}

#[test]
fn a_tombstone_is_buried_in_time() {
    let mut phone = TestPhone::in_background();
    phone.gets(stop("c1", PushKind::Ended));
    phone.advance(TOMBSTONE_LIFE - 1);
    phone.gets(stop("c2", PushKind::Ended));
    assert_eq!(phone.state.calls.heard.len(), 2);
    phone.advance(1);
    phone.gets(stop("c3", PushKind::Ended));
    assert_eq!(phone.state.calls.heard.len(), 2);
    assert_eq!(TOMBSTONE_LIFE, 600_000, "longer than a push may be late, shorter than a day's calls pile up");
}

#[test]
fn a_call_that_was_answered_here_cannot_be_answered_again() {
    let (mut phone, _) = answering();
    let again = phone.command(Command::Answer { call_id: "c1".into() });
    assert!(matches!(phone.failure_of(again), Failure::Forbidden { .. }));
    assert_eq!(phone.sent(answer_call), 1);
}

// ---- the agent who must sign in again --------------------------------------------------------------------------

#[test]
fn a_session_that_needs_a_new_sign_in_is_silent_until_it_is_there() {
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    phone.command(Command::AccessToken);
    phone.answer(refresh, oauth_error("invalid_grant"));
    let later = |call| CallPush { expires_at: EPOCH + 3 * 3_600_000, ..push(call, 2) };
    assert_eq!(phone.gets(later("c1")), Verdict::Silence { reason: Silence::SignInNeeded });
    phone.begins_login();
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    assert_eq!(phone.gets(later("c2")), Verdict::Silence { reason: Silence::SignInNeeded }, "who may not come back");
    phone.comes_back_with(redirect());
    phone.answer(exchange, login_granted(claims()));
    assert!(rings(phone.gets(later("c3"))));
}

#[test]
fn a_call_that_rings_when_the_session_ends_stops_and_says_why() {
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    let later = CallPush { expires_at: EPOCH + 3 * 3_600_000, ..push("c1", 2) };
    assert!(rings(phone.gets(later)), "nobody knows yet that it cannot be answered");
    phone.answer(refresh, oauth_error("invalid_grant"));
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::SignInNeeded))]);
}

#[test]
fn a_session_that_ends_while_an_answer_is_on_its_way_ends_the_call_and_answers_the_agent() {
    let (mut phone, answer) = answering();
    phone.is_signed_out_remotely(hookswitch_wire::SignedOutReason::Revoked);
    assert!(matches!(phone.failure_of(answer), Failure::Reauthenticate { .. }));
    assert_eq!(phone.stops().last(), Some(&("c1".into(), because(Silence::SignedOut))));
    assert_eq!(phone.view().calls.in_call, None);
    phone.answer(answer_call, is_state(with_call(9, "c1", here())));
    assert_eq!(phone.view().calls.in_call, None);
}

#[test]
fn every_push_is_decided_exactly_once_and_logged() {
    let mut phone = ringing();
    for _ in 0..3 {
        phone.gets(push("c1", 2));
    }
    phone.gets(stop("c1", PushKind::Ended));
    let decided = phone.history.output.iter().filter(|effect| matches!(effect, Output::Decided { .. })).count();
    assert_eq!(decided, 4);
    assert_eq!(phone.state.ring_log().entries().count(), 6, "five decisions and a stop");
}

#[test]
fn a_newer_state_that_says_it_rings_lets_it_ring() {
    let mut phone = TestPhone::signed_in();
    phone.hears(state(2));
    phone.gets(push("c1", 2));
    phone.hears(with_call(3, "c1", CallState::Ringing));
    assert_eq!(phone.ringing(), ["c1"]);
    let mut in_call = with_call(4, "c1", CallState::Ringing);
    in_call.presence.effective = Effective::InCall;
    phone.hears(in_call);
    assert_eq!(phone.stops(), [("c1".to_owned(), StopReason::Silenced { reason: Silence::InAnotherCall })]);
}

// ---- words that this version does not know -----------------------------------------------------------------------

#[test]
fn a_push_that_says_nothing_but_the_call_rings_and_the_server_is_asked() {
    let bare = CallPush::read(r#"{"call_id":"c1"}"#).unwrap();
    let mut phone = TestPhone::signed_in();
    phone.hears(state(2));
    phone.forget_history();
    assert!(matches!(phone.gets(bare.clone()), Verdict::Ring { verify: true, .. }));
    assert_eq!(phone.sent(fetch), 1);
    phone.answer(fetch, is_state(state(3)));
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::CallEnded))], "the server knows no such call");
    assert_eq!(phone.gets(bare), silent(Silence::CallEnded));
}

#[test]
fn a_push_without_an_end_rings_as_long_as_any() {
    let mut phone = TestPhone::signed_in();
    let mut push = push("c1", 2);
    push.expires_at = UnixMillis::UNTOLD;
    let Verdict::Ring { until, .. } = phone.gets(push) else { panic!("silent") };
    assert!(until < UnixMillis::UNTOLD, "an app can calculate with it");
    phone.advance(LONGEST_RING);
    assert_eq!(phone.stops(), [("c1".into(), because(Silence::Expired))]);
}

#[test]
fn a_push_that_does_not_say_whose_call_it_is_rings_for_whoever_is_signed_in_and_for_nobody_else() {
    let nameless = CallPush { account: "".into(), ..push("c1", 2) };
    assert!(rings(TestPhone::signed_in().gets(nameless.clone())));
    assert_eq!(TestPhone::signed_out().gets(nameless), silent(Silence::SignedOut));
}

#[test]
fn a_kind_of_push_of_tomorrow_rings_for_a_new_call_and_asks_about_one_that_is_here() {
    let kind = PushKind::Unknown;
    let mut phone = TestPhone::signed_in();
    phone.hears(state(2));
    assert!(matches!(phone.gets(CallPush { kind, ..push("c1", 2) }), Verdict::Ring { verify: true, .. }));
    let mut phone = ringing();
    assert_eq!(phone.gets(CallPush { kind, ..push("c1", 2) }), silent(Silence::Duplicate));
    assert_eq!(phone.sent(fetch), 1);
    assert_eq!(phone.ringing(), ["c1"]);
}

#[test]
fn a_state_of_tomorrow_silences_nothing() {
    let mut phone = TestPhone::signed_in();
    phone.hears(state_with(3, |state| state.presence.effective = Effective::Unknown));
    assert!(matches!(phone.gets(push("c1", 2)), Verdict::Ring { verify: true, .. }));
    let mut phone = ringing();
    phone.hears(with_call(3, "c1", CallState::Unknown));
    assert_eq!(phone.ringing(), ["c1"], "what a call has become is not its end, as far as this phone knows");
}

#[test]
fn an_end_of_a_session_for_a_reason_of_tomorrow_is_an_end() {
    let mut phone = TestPhone::signed_in();
    phone.is_signed_out_remotely(hookswitch_wire::SignedOutReason::Unknown);
    assert!(!phone.is_signed_in());
}

#[test]
fn a_word_that_this_app_does_not_know_is_shown_and_never_sent() {
    let mut phone = TestPhone::signed_in();
    let availability = hookswitch_wire::Availability::Unknown;
    phone.hears(state_with(3, |state| state.presence.availability = availability));
    assert_eq!(phone.view().presence.unwrap().availability, availability);
    let tap = phone.taps(availability);
    assert!(matches!(phone.failure_of(tap), Failure::Forbidden { .. }));
    assert_eq!(phone.sent(whatever), 0);
}
