#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing")]

use hookswitch_wire::{Availability, Chosen, StreamEvent, Surface, UnavailableReason, UnixMillis, Version};

use super::{
    stream::{DEAD_AFTER, FIRST_WORD, HEARTBEAT, POLL_FOR, POLL_PACE},
    taps::{REBASES, TAP_LIFE},
};
use crate::{
    test_phone::*,
    view::{Link, SessionHealth},
    *,
};

const BREAK: Availability = Availability::Unavailable { reason: UnavailableReason::OnABreak };
const NUMBER: &str = "+33612345678";

fn confirmed(phone: &TestPhone) -> Version {
    phone.snapshot().version
}

fn pending(phone: &TestPhone) -> usize {
    phone.view().presence.unwrap().pending.len()
}

fn superseded(phone: &TestPhone) -> Option<Choice> {
    phone.view().presence.unwrap().superseded.map(|superseded| superseded.choice)
}

/// Key and base of the taps that were sent.
fn attempts(phone: &TestPhone) -> Vec<(String, u64)> {
    phone
        .requests()
        .into_iter()
        .filter_map(|request| match request {
            Request::Api {
                call: ApiCall::SetAvailability { key, base, .. } | ApiCall::SetForwarding { key, base, .. },
                ..
            } => Some((key.clone(), base.rev)),
            _ => None,
        })
        .collect()
}

// ---- state -----------------------------------------------------------------------------------------------------

#[test]
fn an_older_state_is_never_applied() {
    let mut phone = TestPhone::signed_in();
    phone.hears(state(5));
    for older in [state(4), state(5), forwarding(3)] {
        phone.hears(older);
        assert_eq!(phone.snapshot(), *state(5));
    }
    phone.hears(forwarding(6));
    assert_eq!(phone.view().presence.unwrap().banner.unwrap().number.as_str(), NUMBER);
}

#[test]
fn a_restored_server_is_newer_than_all_that_was_before() {
    let mut phone = TestPhone::signed_in();
    phone.hears(state(1_000));
    phone.hears(state_with(1, |state| state.version = Version::new(2, 1)));
    assert_eq!(confirmed(&phone), Version::new(2, 1));
    phone.hears(state(1_001));
    assert_eq!(confirmed(&phone), Version::new(2, 1));
}

#[test]
fn somebody_elses_state_is_not_shown_and_sets_no_clock() {
    let mut phone = TestPhone::signed_in();
    phone.hears(state_with(9, |state| {
        state.agent.account = "bob".into();
        state.at = UnixMillis(0);
    }));
    assert_eq!(confirmed(&phone).rev, 1);
    assert_eq!(phone.state.clock.trusted(phone.now), Some(phone.now.wall));
}

#[test]
fn an_old_state_does_not_turn_the_clock_back() {
    let mut phone = TestPhone::signed_in();
    phone.hears(state(5));
    phone.advance(10_000);
    phone.hears(state(4));
    assert_eq!(phone.state.clock.trusted(phone.now), Some(phone.now.wall));
}

#[test]
fn a_captive_portals_clock_is_not_the_servers() {
    let mut phone = TestPhone::signed_in();
    phone.taps(BREAK);
    let effect = *phone.open.keys().next().unwrap();
    phone.event(Event::Completed { effect, server_time: Some(UnixMillis(0)), outcome: captive_portal() });
    assert_eq!(phone.state.clock.trusted(phone.now), Some(phone.now.wall));
}

#[test]
fn a_state_is_remembered_for_the_next_process_one_save_at_a_time() {
    let mut phone = TestPhone::signed_in();
    phone.holds_storage = true;
    for rev in 2..9 {
        phone.hears(state(rev));
    }
    assert_eq!(phone.stored(|t| matches!(t, Transaction::Remember { .. })), 1);
    phone.forget_history();
    phone.release_storage();
    assert_eq!(phone.stored(|t| matches!(t, Transaction::Remember { .. })), 1, "the newest, once");
    assert_eq!(phone.knowledge().unwrap().version(), Some(Version::new(1, 8)));
}

#[test]
fn the_next_process_shows_the_last_state_at_once() {
    let mut contents = TestPhone::contents_of_alice();
    contents.session.as_mut().unwrap().snapshot = Some(forwarding(7));
    let mut phone = TestPhone::new(contents);
    phone.event(Event::Started { seed: 1 });
    assert_eq!(confirmed(&phone).rev, 7);
    phone.event(Event::Foreground);
    assert!(phone.history.work.iter().any(
        |effect| matches!(effect, Work::OpenStream { after: Some(version), .. } if *version == Version::new(1, 7))
    ));
}

// ---- taps ------------------------------------------------------------------------------------------------------

#[test]
fn a_tap_is_pending_until_the_server_has_confirmed_it() {
    let mut phone = TestPhone::signed_in();
    let id = phone.taps(BREAK);
    assert_eq!(pending(&phone), 1);
    assert_eq!(phone.snapshot().presence.availability, Availability::Available);
    assert_eq!(attempts(&phone)[0].1, 1, "If-Match");
    phone.hears(state(1));
    assert_eq!(pending(&phone), 1);
    phone.answer(tap, is_state(state_with(2, |state| state.presence.availability = BREAK)));
    assert_eq!(phone.reply_to(id), &Ok(Reply::Done));
    assert_eq!(pending(&phone), 0);
    assert_eq!(phone.snapshot().presence.availability, BREAK);
    assert!(!phone.timers.keys().any(|timer| matches!(timer, Timer::TapExpiry { .. })));
}

#[test]
fn a_young_tap_is_applied_on_top_of_what_the_server_has_by_then() {
    let mut phone = TestPhone::signed_in();
    let id = phone.taps(BREAK);
    phone.answer(tap, stale(state(4)));
    assert_eq!(confirmed(&phone).rev, 4);
    assert!(!phone.has_reply(id));
    let attempts = attempts(&phone);
    assert_eq!(attempts[1].1, 4);
    assert_ne!(attempts[0].0, attempts[1].0, "another request: another key");
    phone.answer(tap, is_state(state(5)));
    assert_eq!(phone.reply_to(id), &Ok(Reply::Done));
}

#[test]
fn an_old_tap_gives_way_to_what_the_server_has_by_then() {
    let mut phone = TestPhone::signed_in();
    let id = phone.taps(BREAK);
    phone.advance(TAP_LIFE);
    assert!(!phone.has_reply(id), "one under way is decided by its answer");
    phone.answer(tap, stale(state(4)));
    assert!(matches!(phone.failure_of(id), Failure::Cancelled { .. }));
    assert_eq!(superseded(&phone), Some(Choice::Availability { availability: BREAK }));
    assert_eq!(attempts(&phone).len(), 1);
}

#[test]
fn an_old_tap_says_which_device_was_newer_and_when() {
    let mut phone = TestPhone::signed_in();
    phone.taps(BREAK);
    phone.advance(TAP_LIFE);
    let chosen = Chosen { by: Surface::Desktop, at: phone.now.wall - 2_000 };
    phone.answer(tap, stale(state_with(4, |state| state.presence.chosen = Some(chosen.clone()))));
    let superseded = phone.view().presence.unwrap().superseded.unwrap();
    assert_eq!((superseded.by, superseded.why.as_str()), (Some("Desktop".to_owned()), "Superseded by Desktop."));
    assert_eq!(superseded.chosen_at, Some(chosen.at));

    // What was chosen before the tap has not superseded it.
    let mut phone = TestPhone::signed_in();
    let chosen = Chosen { by: Surface::Desktop, at: phone.now.wall - 2_000 };
    phone.taps(BREAK);
    phone.advance(TAP_LIFE);
    phone.answer(tap, stale(state_with(4, |state| state.presence.chosen = Some(chosen))));
    assert_eq!(phone.view().presence.unwrap().superseded.unwrap().by, None);
}

/// The agent's tap is a minute younger than the choice on the desktop. A node whose clock is ten minutes behind said otherwise.
#[test]
fn a_clock_in_doubt_makes_no_choice_of_before_a_newer_one() {
    let mut phone = TestPhone::signed_in();
    let chosen = Chosen { by: Surface::Desktop, at: phone.now.wall - 60_000 };
    phone.state.clock.hear(phone.now.wall - 600_000, Some(20), phone.now);
    let id = phone.taps(BREAK);
    let newer = state_with(4, |state| state.presence.chosen = Some(chosen));
    phone.answer(tap, stale(newer.clone()));
    assert_eq!(attempts(&phone).last().map(|attempt| attempt.1), Some(4), "on top of it");
    phone.advance(TAP_LIFE);
    phone.answer(tap, stale(state_with(5, |state| state.presence.chosen = newer.presence.chosen.clone())));
    assert!(matches!(phone.failure_of(id), Failure::Cancelled { .. }));
    assert_eq!(phone.view().presence.unwrap().superseded.unwrap().by, None, "nobody knows who was later");
}

/// A tap made without a network, three seconds ago, and what `by` chose so long after it, in milliseconds.
fn tapped_offline(by: Surface, later: i64) -> (TestPhone, CommandId, Box<hookswitch_wire::Snapshot>) {
    let mut phone = TestPhone::signed_in();
    phone.event(Event::NetworkDown);
    let chosen = Chosen { by, at: phone.now.wall + later };
    let id = phone.taps(BREAK);
    phone.advance(3_000);
    (phone, id, state_with(4, |state| state.presence.chosen = Some(chosen)))
}

#[test]
fn a_young_tap_gives_way_to_what_was_chosen_elsewhere_after_it() {
    let (mut phone, id, newer) = tapped_offline(Surface::Desktop, 2_000);
    phone.event(Event::NetworkUp);
    phone.answer(tap, stale(newer));
    assert_eq!(attempts(&phone).len(), 1, "not sent again");
    assert!(matches!(phone.failure_of(id), Failure::Cancelled { .. }));
    let superseded = phone.view().presence.unwrap().superseded.unwrap();
    assert_eq!((superseded.by, superseded.why.as_str()), (Some("Desktop".to_owned()), "Superseded by Desktop."));
}

#[test]
fn forwarding_that_was_tapped_offline_gives_way_to_what_was_chosen_elsewhere_after_it_and_to_nothing_else() {
    for (later, gives_way) in [(2_000, true), (500, false), (-500, false)] {
        let mut phone = TestPhone::signed_in();
        phone.event(Event::NetworkDown);
        let chosen = Chosen { by: Surface::Desktop, at: phone.now.wall + later };
        let id = phone.command(Command::SetForwarding { to: Some(forward_to()) });
        phone.advance(3_000);
        phone.event(Event::NetworkUp);
        phone.answer(tap, stale(state_with(4, |state| state.presence.forwarding.chosen = Some(chosen))));
        if gives_way {
            assert_eq!(attempts(&phone).len(), 1, "not sent again");
            assert!(matches!(phone.failure_of(id), Failure::Cancelled { .. }));
            let superseded = phone.view().presence.unwrap().superseded.unwrap();
            assert_eq!(
                (superseded.by.as_deref(), superseded.why.as_str()),
                (Some("Desktop"), "Superseded by Desktop.")
            );
        } else {
            assert_eq!(attempts(&phone).last().map(|attempt| attempt.1), Some(4), "on top of it");
        }
    }
}

#[test]
fn a_young_tap_is_the_last_word_over_what_was_chosen_before_it_or_in_doubt() {
    let me = || Surface::Mobile { device: "phone-1".into() };
    for (by, later) in [(Surface::Desktop, -500), (Surface::Desktop, 500), (me(), 2_000)] {
        let (mut phone, id, newer) = tapped_offline(by, later);
        phone.event(Event::NetworkUp);
        phone.answer(tap, stale(newer));
        assert_eq!(attempts(&phone).last().map(|attempt| attempt.1), Some(4), "on top of it");
        phone.answer(tap, is_state(state(5)));
        assert_eq!(phone.reply_to(id), &Ok(Reply::Done));
    }
}

#[test]
fn a_tap_that_waits_for_its_turn_gives_way_to_newer_news_that_come_first() {
    let (mut phone, id, newer) = tapped_offline(Surface::Desktop, 2_000);
    phone.forget_history();
    phone.state.presence.confirmed = Some(newer);
    phone.event(Event::NetworkUp);
    assert_eq!(attempts(&phone).len(), 0, "it is not sent at all");
    assert!(matches!(phone.failure_of(id), Failure::Cancelled { .. }));
}

#[test]
fn a_server_that_is_always_at_another_state_is_not_asked_for_ever() {
    for newer in [true, false] {
        let mut phone = TestPhone::signed_in();
        let id = phone.taps(BREAK);
        let mut rev = 1;
        while phone.open.values().any(tap) {
            rev += u64::from(newer);
            phone.answer(tap, stale(state(rev)));
        }
        assert!(matches!(phone.failure_of(id), Failure::Cancelled { .. }));
        assert_eq!(attempts(&phone).len(), 1 + REBASES as usize);
        assert!(superseded(&phone).is_some());
    }
}

#[test]
fn a_tap_in_doubt_is_repeated_as_the_very_same_request() {
    for outcome in [not_sent(), unreachable(), unavailable(502), captive_portal()] {
        let mut phone = TestPhone::signed_in();
        let id = phone.taps(BREAK);
        phone.answer(tap, outcome);
        phone.advance(600);
        let attempts = attempts(&phone);
        assert_eq!(attempts.len(), 2);
        assert_eq!(attempts[0], attempts[1], "key and base, so that the server knows it again");
        phone.answer(tap, is_state(state(2)));
        assert_eq!(phone.reply_to(id), &Ok(Reply::Done));
    }
}

/// A tap of ten seconds ago; the request was out when the connection broke off.
fn in_doubt() -> (TestPhone, CommandId) {
    let mut phone = TestPhone::signed_in();
    let id = phone.taps(BREAK);
    phone.advance(TAP_LIFE);
    phone.answer(tap, unreachable());
    assert!(matches!(phone.failure_of(id), Failure::Offline { why } if !why.contains("Not applied")));
    assert_eq!((pending(&phone), superseded(&phone)), (1, None), "nobody knows yet");
    let attempts = attempts(&phone);
    assert_eq!(attempts[1], (attempts[0].0.clone(), 0), "withdrawn under the same key");
    (phone, id)
}

#[test]
fn a_tap_that_never_left_is_not_in_doubt() {
    let mut phone = TestPhone::signed_in();
    let id = phone.taps(BREAK);
    phone.advance(TAP_LIFE);
    phone.answer(tap, not_sent());
    assert!(matches!(phone.failure_of(id), Failure::Offline { why } if why.contains("Not applied")));
    assert_eq!((pending(&phone), superseded(&phone)), (0, Some(Choice::Availability { availability: BREAK })));
    assert_eq!(attempts(&phone).len(), 1, "there is nothing to withdraw");
}

#[test]
fn a_tap_that_may_have_been_applied_is_called_neither_before_the_server_has_said() {
    let (mut phone, _) = in_doubt();
    phone.answer(tap, is_state(state_with(2, |state| state.presence.availability = BREAK)));
    assert_eq!((pending(&phone), superseded(&phone)), (0, None), "it was");
    assert_eq!(phone.snapshot().presence.availability, BREAK);

    let (mut phone, _) = in_doubt();
    phone.answer(tap, stale(state(2)));
    assert_eq!(pending(&phone), 0);
    assert_eq!(superseded(&phone), Some(Choice::Availability { availability: BREAK }), "it was not, and never will be");
}

#[test]
fn a_tap_is_withdrawn_until_the_server_answers_but_not_in_the_background() {
    let (mut phone, _) = in_doubt();
    phone.answer(tap, unavailable(503));
    phone.advance(60_000);
    assert!(phone.open.values().any(tap), "asked again");
    phone.answer(tap, refused(401, "unauthenticated"));
    phone.event(Event::Background);
    phone.advance(BACKGROUND_GRACE);
    while phone.open.values().any(tap) {
        phone.answer(tap, unreachable());
    }
    phone.forget_history();
    phone.advance(HOUR);
    assert_eq!(attempts(&phone), []);
    assert_eq!(pending(&phone), 1);
    phone.pass(HOUR);
    phone.event(Event::Foreground);
    phone.answer(refresh, granted(2));
    phone.answer(tap, stale(state(9)));
    assert_eq!(superseded(&phone), Some(Choice::Availability { availability: BREAK }));
}

#[test]
fn a_newer_tap_takes_the_place_of_one_in_doubt() {
    let (mut phone, older) = in_doubt();
    let newer = phone.taps(Availability::Automatic);
    let reply = phone.reply_to(older).clone();
    phone.answer(tap, is_state(state(2)));
    assert!(!phone.has_reply(newer), "that was the older one's answer");
    phone.answer(tap, is_state(state(3)));
    assert_eq!(phone.reply_to(newer), &Ok(Reply::Done));
    assert_eq!(phone.reply_to(older), &reply, "one reply a command");
}

// The simulation: an answer of before the repair came after it.
#[test]
fn what_was_asked_before_a_repair_brings_nothing_older_back_after_it() {
    let mut phone = TestPhone::signed_in();
    phone.hears(state(4));
    phone.taps(BREAK);
    phone.hears(state(6));
    let repair = phone.command(Command::Repair);
    assert_eq!(phone.view().presence, None);
    phone.answer(tap, is_state(state(5)));
    assert_eq!(phone.view().presence, None, "6 was shown");
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    phone.answer(refresh, granted(2));
    phone.answer(register, is_state(state(5)));
    assert_eq!(phone.view().presence, None);
    let anew = |phone: &TestPhone| phone.stored(|t| matches!(t, Transaction::Remember { anew: true, .. }));
    assert_eq!(anew(&phone), 0, "nothing was heard yet");
    // A server that has lost its memory is believed when it is asked by a repair.
    phone.answer(fetch, is_state(state(3)));
    assert_eq!(confirmed(&phone).rev, 3);
    assert!(phone.reply_to(repair).is_ok());
    assert_eq!(anew(&phone), 1, "what the vault keeps is of no use");
    phone.hears(state(4));
    assert_eq!(anew(&phone), 1, "once");
}

// Interleaving 6008629 of the simulation.
#[test]
fn a_repair_does_not_forget_that_calls_are_forwarded() {
    let mut phone = TestPhone::signed_in();
    phone.hears(forwarding(5));
    phone.command(Command::Repair);
    assert_eq!(phone.gets(push("c", 4)), Verdict::Silence { reason: Silence::ForwardingActive });
    assert!(matches!(phone.gets(push("d", 6)), Verdict::Ring { .. }), "a newer push is believed");
}

#[test]
fn a_tap_without_a_network_is_dropped_after_ten_seconds_and_never_sent() {
    let mut phone = TestPhone::signed_in();
    phone.event(Event::NetworkDown);
    let id = phone.taps(BREAK);
    phone.advance(TAP_LIFE - 1);
    assert_eq!(pending(&phone), 1);
    phone.advance(1);
    assert!(matches!(phone.failure_of(id), Failure::Offline { .. }));
    assert_eq!(superseded(&phone), Some(Choice::Availability { availability: BREAK }));
    phone.event(Event::NetworkUp);
    phone.advance(60_000);
    assert_eq!(attempts(&phone), []);

    let id = phone.taps(Availability::Automatic);
    assert_eq!(superseded(&phone), None, "a new choice ends the notice");
    assert!(!phone.has_reply(id));
}

#[test]
fn a_tap_without_a_network_is_sent_if_the_network_comes_back_in_time() {
    let mut phone = TestPhone::signed_in();
    phone.event(Event::NetworkDown);
    let id = phone.taps(BREAK);
    phone.advance(TAP_LIFE - 1);
    phone.event(Event::NetworkUp);
    phone.answer(tap, is_state(state(2)));
    assert_eq!(phone.reply_to(id), &Ok(Reply::Done));
}

#[test]
fn a_phone_that_slept_through_the_ten_seconds_does_not_send_the_tap_when_it_wakes_up() {
    let mut phone = TestPhone::signed_in();
    phone.event(Event::NetworkDown);
    let id = phone.taps(BREAK);
    phone.pass(3 * HOUR);
    phone.event(Event::NetworkUp);
    assert!(matches!(phone.failure_of(id), Failure::Offline { .. }));
    assert_eq!(attempts(&phone), []);
}

#[test]
fn a_tap_that_waits_for_a_token_is_dropped_after_ten_seconds_too() {
    // The timer goes off while the refresh is under way.
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    let id = phone.taps(BREAK);
    assert_eq!(phone.sent(refresh), 1);
    phone.advance(TAP_LIFE);
    assert!(matches!(phone.failure_of(id), Failure::Offline { .. }));
    phone.answer(refresh, granted(2));
    assert_eq!(attempts(&phone), []);

    // The phone sleeps through it.
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    let id = phone.taps(BREAK);
    phone.pass(3 * HOUR);
    phone.answer(refresh, granted(2));
    assert!(matches!(phone.failure_of(id), Failure::Offline { .. }));
    assert_eq!(attempts(&phone), []);

    // It was refused with 401, hours ago.
    let mut phone = TestPhone::signed_in();
    let id = phone.taps(BREAK);
    phone.pass(3 * HOUR);
    phone.answer(tap, Outcome::Unauthenticated);
    assert!(matches!(phone.failure_of(id), Failure::Offline { .. }));
    assert_eq!(attempts(&phone).len(), 1);
}

#[test]
fn a_newer_tap_replaces_an_older_one() {
    let mut phone = TestPhone::signed_in();
    let older = phone.taps(BREAK);
    let newer = phone.taps(Availability::Automatic);
    assert!(matches!(phone.failure_of(older), Failure::Cancelled { .. }));
    phone.answer(tap, is_state(state(2)));
    assert!(!phone.has_reply(newer), "that was the older one's answer");
    phone.answer(tap, stale(state(2)));
    phone.answer(tap, is_state(state(3)));
    assert_eq!(phone.reply_to(newer), &Ok(Reply::Done));
    assert_eq!(confirmed(&phone).rev, 3);
}

#[test]
fn an_older_tap_that_waits_for_a_token_is_not_sent_after_a_newer_one() {
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    phone.taps(BREAK);
    let newer = phone.taps(Availability::Automatic);
    phone.answer(refresh, granted(2));
    assert_eq!(attempts(&phone).len(), 1);
    phone.answer(tap, is_state(state(2)));
    assert_eq!(phone.reply_to(newer), &Ok(Reply::Done));
}

#[test]
fn availability_and_forwarding_are_two_taps() {
    let mut phone = TestPhone::signed_in();
    let availability = phone.taps(BREAK);
    let forward = phone.command(Command::SetForwarding { to: Some(forward_to()) });
    assert_eq!(pending(&phone), 2);
    phone.answer(tap, is_state(state(2)));
    phone.answer(tap, stale(state(2)));
    phone.answer(tap, is_state(forwarding(3)));
    assert!(phone.reply_to(availability).is_ok() && phone.reply_to(forward).is_ok());
}

#[test]
fn a_number_that_the_server_refuses_is_told_and_not_repeated() {
    let mut phone = TestPhone::signed_in();
    let id = phone.command(Command::SetForwarding { to: Some(forward_to()) });
    let detail = Some("This number cannot be called.".to_owned());
    phone.answer(tap, Outcome::Refused { status: 422, code: "invalid_number".into(), detail, current: None });
    assert_eq!(phone.failure_of(id), &Failure::forbidden("This number cannot be called."));
    phone.advance(20_000);
    assert_eq!(attempts(&phone).len(), 1);
}

#[test]
fn a_tap_before_the_first_state_waits_for_it_or_expires() {
    let mut phone = TestPhone::woken();
    phone.event(Event::Foreground);
    let id = phone.taps(BREAK);
    assert_eq!(attempts(&phone), []);
    phone.hears(state(3));
    assert_eq!(attempts(&phone).len(), 1);
    phone.answer(tap, is_state(state(4)));
    assert_eq!(phone.reply_to(id), &Ok(Reply::Done));

    let mut phone = TestPhone::woken();
    let id = phone.taps(BREAK);
    phone.advance(TAP_LIFE);
    assert!(matches!(phone.failure_of(id), Failure::Offline { .. }));
    assert_eq!(phone.timers.len(), 0);
}

// ---- the stream ------------------------------------------------------------------------------------------------

#[test]
fn a_stream_that_is_silent_for_two_and_a_half_heartbeats_is_dead() {
    let mut phone = TestPhone::signed_in();
    for _ in 0..10 {
        phone.advance(HEARTBEAT);
        phone.hears_heartbeat();
    }
    phone.advance(37_499);
    assert_eq!(phone.view().link, Link::Live);
    phone.advance(1);
    assert_ne!(phone.view().link, Link::Live);
    assert_eq!(phone.health(), SessionHealth::Offline);
    phone.advance(500);
    phone.hears(state(1));
    assert_eq!(phone.view().link, Link::Live);
    assert_eq!(phone.health(), SessionHealth::Fresh, "at once, not when the stream is stable");
}

#[test]
fn a_stream_that_never_says_anything_is_dead_too() {
    let mut phone = TestPhone::woken();
    phone.event(Event::Foreground);
    phone.forget_history();
    phone.advance(DEAD_AFTER);
    assert!(phone.history.work.iter().any(|effect| matches!(effect, Work::CloseStream { .. })));
}

#[test]
fn a_stream_that_says_nonsense_is_opened_anew() {
    let mut phone = TestPhone::signed_in();
    let (before, _) = phone.stream.unwrap();
    phone.news(StreamNews::Malformed { complaint: "data".into() });
    assert_eq!(phone.stream, None);
    phone.advance(500);
    assert!(phone.stream.unwrap().0 > before);
}

#[test]
fn news_of_a_stream_that_was_closed_are_ignored() {
    let mut phone = TestPhone::signed_in();
    let (old, _) = phone.stream.unwrap();
    phone.event(Event::NetworkDown);
    phone.event(Event::Stream { effect: old, news: StreamNews::Event { event: StreamEvent::State(state(9)) } });
    assert_eq!(confirmed(&phone).rev, 1);
}

#[test]
fn the_wait_between_attempts_grows_to_thirty_seconds_and_is_reset_by_a_stable_stream() {
    let mut phone = TestPhone::signed_in();
    let mut waits = vec![];
    for _ in 0..30 {
        phone.stream_closes(unreachable());
        let from = phone.now.mono;
        let until = phone.timers[&Timer::Reconnect];
        waits.push(until - from);
        phone.advance(until - from);
        assert!(phone.stream.is_some());
    }
    assert!(waits[0] < 500 && waits.iter().all(|wait| (50..30_000).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > 10_000), "{waits:?}");
    phone.hears(state(2));
    phone.advance(HEARTBEAT);
    phone.hears_heartbeat();
    phone.advance(HEARTBEAT);
    phone.stream_closes(unreachable());
    assert!(phone.timers[&Timer::Reconnect] - phone.now.mono < 500);
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    let mut phone = TestPhone::signed_in();
    phone.stream_closes(Outcome::Unavailable { status: 503, retry_after: Some(120_000) });
    phone.advance(119_999);
    assert_eq!(phone.stream, None);
    phone.forget_history();
    phone.advance(31_000);
    assert!(phone.history.work.iter().any(|effect| matches!(effect, Work::OpenStream { .. })));
}

// ---- all lose a node at once -----------------------------------------------------------------------------------

/// Its node had asked for ten seconds.
fn lost_its_node() -> TestPhone {
    let mut phone = TestPhone::signed_in();
    phone.news(StreamNews::Retry { millis: 2_000 });
    phone.hears(state(2));
    phone.news(StreamNews::Retry { millis: 10_000 });
    phone.stream_closes(unreachable());
    phone
}

#[test]
fn who_loses_a_node_comes_back_in_the_turn_that_it_gave_and_nothing_has_failed_meanwhile() {
    let mut phone = lost_its_node();
    phone.advance(9_999);
    assert_eq!(phone.stream, None);
    assert_eq!((phone.view().link, phone.health()), (Link::Connecting, SessionHealth::Fresh));
    phone.advance(501);
    assert!(phone.stream.is_some());
    assert_eq!((phone.view().link, phone.health()), (Link::Connecting, SessionHealth::Fresh));
    // The other node does not know it, so it is no turn any more.
    phone.stream_closes(unreachable());
    assert_eq!((phone.view().link, phone.health()), (Link::Offline, SessionHealth::Offline));
    assert!(phone.timers[&Timer::Reconnect] - phone.now.mono < 1_000);
}

#[test]
fn an_agent_who_taps_does_not_wait_for_the_turn_of_the_stream() {
    let mut phone = lost_its_node();
    let id = phone.taps(BREAK);
    phone.answer(tap, is_state(state(3)));
    assert_eq!(phone.reply_to(id), &Ok(Reply::Done));
    phone.taps(BREAK);
    phone.answer(tap, unreachable());
    assert_eq!(phone.view().link, Link::Offline, "now something has failed");
    assert!(phone.timers[&Timer::Reconnect] - phone.now.mono < 1_000, "and its own wait begins");
}

#[test]
fn a_network_that_comes_up_and_an_app_that_comes_to_the_front_wait_for_no_turn() {
    for event in [Event::NetworkUp, Event::Foreground] {
        let mut phone = lost_its_node();
        phone.event(event);
        assert!(phone.stream.is_some());
    }
}

#[test]
fn no_turn_is_later_than_the_longest_wait() {
    let mut phone = TestPhone::signed_in();
    phone.news(StreamNews::Retry { millis: u64::MAX });
    phone.stream_closes(unreachable());
    phone.advance(30_500);
    assert!(phone.stream.is_some());
}

// ---- a proxy that holds streams back ---------------------------------------------------------------------------

fn poll(request: &Request) -> bool {
    matches!(request, Request::Api { call: ApiCall::AwaitState { .. }, .. })
}

/// The state that a question is out for news after.
fn asked_after(phone: &TestPhone) -> Option<u64> {
    phone.open.values().find_map(|request| match request {
        Request::Api { call: ApiCall::AwaitState { after, .. }, .. } => Some(after.rev),
        _ => None,
    })
}

/// Requests get through, streams do not.
fn behind_a_proxy() -> TestPhone {
    let mut phone = TestPhone::woken();
    phone.event(Event::Foreground);
    phone.answer(register, is_state(state(1)));
    phone.advance(FIRST_WORD);
    assert_eq!((phone.stream, asked_after(&phone)), (None, Some(1)));
    phone.answer(poll, is_state(state(2)));
    assert_eq!(phone.view().link, Link::Live);
    phone
}

#[test]
fn where_streams_are_held_back_the_state_is_asked_for() {
    let mut phone = behind_a_proxy();
    for rev in 2..20 {
        phone.advance(POLL_PACE);
        assert_eq!(asked_after(&phone), Some(rev));
        phone.answer(poll, is_state(state(rev + 1)));
        assert_eq!(confirmed(&phone).rev, rev + 1);
    }
    phone.advance(POLL_PACE);
    phone.answer(poll, Outcome::Done);
    assert_eq!(phone.view().link, Link::Live, "no news is an answer");
    phone.advance(POLL_PACE);
    assert_eq!(asked_after(&phone), Some(20));
}

#[test]
fn a_server_that_answers_every_question_at_once_is_not_asked_without_pause() {
    let mut phone = behind_a_proxy();
    phone.forget_history();
    for _ in 0..10_000 / POLL_PACE {
        phone.advance(POLL_PACE);
        phone.answer(poll, is_state(state(2)));
    }
    assert!(phone.sent(poll) as u64 <= 10_000 / POLL_PACE + 1);
}

#[test]
fn a_stream_that_falls_silent_twice_is_held_back_once_may_be_chance() {
    let mut phone = TestPhone::signed_in();
    phone.advance(DEAD_AFTER);
    phone.advance(500);
    assert!(phone.stream.is_some());
    phone.hears(state(2));
    phone.advance(DEAD_AFTER);
    assert_eq!(asked_after(&phone), Some(2));

    let mut phone = TestPhone::signed_in();
    phone.advance(DEAD_AFTER);
    phone.advance(500);
    phone.hears(state(2));
    phone.hears_heartbeat();
    phone.advance(DEAD_AFTER + 500);
    assert_eq!(asked_after(&phone), None);
}

#[test]
fn a_question_without_an_answer_says_that_there_is_no_way_at_all() {
    let mut phone = behind_a_proxy();
    phone.advance(POLL_PACE);
    phone.answer(poll, unreachable());
    assert_eq!(phone.view().link, Link::Offline);
    phone.advance(500);
    assert!(phone.stream.is_some(), "the next attempt is a stream again");
    phone.hears(state(3));
    assert_eq!(phone.view().link, Link::Live);
}

#[test]
fn the_stream_is_tried_again_after_a_while_and_on_another_network() {
    let mut phone = behind_a_proxy();
    phone.advance(POLL_FOR);
    phone.answer(poll, Outcome::Done);
    assert!(phone.stream.is_some());
    phone.hears(state(3));
    assert_eq!(asked_after(&phone), None);

    let mut phone = behind_a_proxy();
    phone.advance(POLL_PACE);
    phone.event(Event::NetworkUp);
    assert!(phone.stream.is_some());
    phone.answer(poll, is_state(state(9)));
    assert_eq!(confirmed(&phone).rev, 2, "the answer to a question that was given up");
}

#[test]
fn in_the_background_nothing_is_asked() {
    let mut phone = behind_a_proxy();
    phone.advance(POLL_PACE);
    phone.event(Event::Background);
    phone.advance(BACKGROUND_GRACE);
    phone.forget_history();
    phone.answer(poll, is_state(state(3)));
    phone.advance(HOUR);
    assert_eq!((phone.sent(whatever), phone.timers.len()), (0, 0));
}

#[test]
fn a_network_that_comes_back_and_the_foreground_reconnect_at_once() {
    for event in [Event::NetworkUp, Event::Foreground] {
        let mut phone = TestPhone::signed_in();
        phone.stream_closes(Outcome::Unavailable { status: 503, retry_after: Some(120_000) });
        assert_eq!(phone.stream, None);
        phone.event(event);
        assert!(phone.stream.is_some());
    }
    let mut phone = TestPhone::signed_in();
    phone.event(Event::NetworkDown);
    assert_eq!((phone.stream, phone.view().link), (None, Link::Offline));
    phone.event(Event::NetworkUp);
    assert!(phone.stream.is_some());
}

/// The platform said that the network is gone, and never took it back.
#[test]
fn a_network_that_is_said_to_be_gone_is_tried_when_it_counts() {
    let mut phone = TestPhone::in_background();
    phone.event(Event::NetworkDown);
    phone.event(Event::Foreground);
    assert!(phone.stream.is_some(), "somebody looks at the phone");

    let mut phone = TestPhone::signed_in();
    phone.event(Event::NetworkDown);
    let id = phone.taps(BREAK);
    phone.answer_with_time(fetch, is_state(state(1)));
    assert!(phone.stream.is_some());
    phone.answer(tap, is_state(state(2)));
    assert_eq!(phone.reply_to(id), &Ok(Reply::Done));

    // Also with a token that has to be renewed first.
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    phone.event(Event::NetworkDown);
    phone.command(Command::AccessToken);
    assert_eq!(phone.sent(refresh), 1);
}

#[test]
fn any_answer_is_proof_of_a_network() {
    for (outcome, proof) in
        [(is_state(state(2)), true), (unavailable(503), true), (unreachable(), false), (not_sent(), false)]
    {
        let mut phone = TestPhone::signed_in();
        phone.taps(BREAK);
        phone.event(Event::NetworkDown);
        assert_eq!(phone.stream, None);
        if proof {
            phone.answer_with_time(tap, outcome.clone());
        } else {
            phone.answer(tap, outcome.clone());
        }
        phone.advance(500);
        assert_eq!(phone.stream.is_some(), proof, "{outcome:?}");
    }
}

#[test]
fn on_another_network_the_stream_is_opened_anew_at_once() {
    let mut phone = TestPhone::signed_in();
    let of_before = phone.stream;
    phone.event(Event::NetworkUp);
    assert_eq!(phone.stream, of_before, "the first time it says how things are, and not that they have changed");
    phone.event(Event::NetworkUp);
    assert!(phone.stream.is_some() && phone.stream != of_before, "the old one may be dead without a word");
}

#[test]
fn a_stream_refused_with_401_is_opened_with_the_next_token() {
    let mut phone = TestPhone::signed_in();
    phone.stream_closes(Outcome::Unauthenticated);
    assert_eq!(phone.stream, None);
    phone.answer(refresh, granted(2));
    assert_eq!(phone.stream.map(|(_, access)| access), Some(SecretRef(1_002)));
    assert!(!phone.timers.contains_key(&Timer::Reconnect), "without a wait");
}

// ---- lifecycle -------------------------------------------------------------------------------------------------

#[test]
fn the_background_closes_the_stream_after_twenty_seconds_and_then_nothing_happens_at_all() {
    let mut phone = TestPhone::signed_in();
    phone.event(Event::Background);
    phone.advance(BACKGROUND_GRACE - 1);
    assert!(phone.stream.is_some());
    phone.advance(1);
    assert_eq!((phone.stream, phone.view().link), (None, Link::Background));
    assert_eq!(phone.timers.len(), 0);
    phone.forget_history();
    phone.advance(48 * HOUR);
    for event in [Event::NetworkDown, Event::NetworkUp, Event::Background, Event::Unlocked] {
        phone.event(event);
    }
    assert_eq!(phone.history, Effects::default());
}

#[test]
fn nothing_happens_in_the_background_whatever_was_going_on_before() {
    type Before = fn(&mut TestPhone);
    let before: [Before; 9] = [
        |phone| phone.stream_closes(unavailable(503)),
        |phone| phone.stream_closes(Outcome::Unauthenticated),
        |phone| {
            phone.stream_closes(Outcome::Unauthenticated);
            phone.answer(refresh, unavailable(503));
        },
        |phone| {
            phone.leases.extend(vec![Outcome::RefreshLeaseHeld { for_millis: 60_000 }; 500]);
            phone.stream_closes(Outcome::Unauthenticated);
        },
        |phone| {
            phone.command(Command::SetPushToken { token: Some(SecretRef(3)) });
            phone.answer(register, unavailable(503));
        },
        |phone| {
            phone.taps(BREAK);
            phone.answer(tap, Outcome::Unauthenticated);
            phone.storage_fails = true;
            phone.answer(refresh, granted(2));
        },
        |phone| {
            phone.command(Command::SignOut);
            phone.answer(revoke, unavailable(503));
        },
        |phone| {
            phone.storage_fails = true;
            phone.command(Command::SignOut);
        },
        |phone| {
            phone.taps(BREAK);
        },
    ];
    for (case, before) in before.into_iter().enumerate() {
        let mut phone = TestPhone::signed_in();
        before(&mut phone);
        phone.event(Event::Background);
        // What is under way comes to its end, badly.
        for _ in 0..40 {
            while !phone.open.is_empty() {
                phone.answer(whatever, unavailable(503));
            }
            phone.advance(1_000);
        }
        assert_eq!(phone.timers.keys().collect::<Vec<_>>(), Vec::<&Timer>::new(), "case {case}");
        phone.forget_history();
        phone.advance(HOUR);
        assert_eq!(phone.history, Effects::default(), "case {case}");
        assert_eq!(phone.replies.len(), phone.commands.len(), "case {case}");
        phone.storage_fails = false;
        phone.leases.clear();
        phone.event(Event::Foreground);
        assert!(phone.history != Effects::default(), "case {case}: and it comes back");
    }
}

#[test]
fn the_foreground_resumes_with_one_request() {
    let mut phone = TestPhone::in_background();
    phone.pass(600_000);
    phone.event(Event::Foreground);
    assert!(phone.stream.is_some());
    assert_eq!(phone.sent(whatever), 0, "the stream is the one");
}

#[test]
fn who_comes_back_within_twenty_seconds_has_missed_nothing() {
    let mut phone = TestPhone::signed_in();
    let stream = phone.stream;
    phone.event(Event::Background);
    phone.advance(BACKGROUND_GRACE - 1);
    phone.event(Event::Foreground);
    phone.hears_heartbeat();
    phone.advance(BACKGROUND_GRACE);
    assert_eq!(phone.stream, stream);
}

#[test]
fn who_comes_back_to_a_stream_that_may_be_dead_asks_once() {
    let mut phone = TestPhone::signed_in();
    phone.event(Event::Background);
    phone.advance(BACKGROUND_GRACE - 1);
    phone.forget_history();
    phone.event(Event::Foreground);
    assert_eq!(phone.sent(fetch), 1);
    phone.event(Event::Foreground);
    assert_eq!(phone.sent(fetch), 1, "one question is out");
    phone.answer(fetch, is_state(forwarding(2)));
    assert!(phone.view().presence.unwrap().banner.is_some());
}
