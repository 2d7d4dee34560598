#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing")]

use crate::{test_phone::*, *};

fn unlisted(rev: u64) -> Box<hookswitch_wire::Snapshot> {
    state_with(rev, |state| state.devices.clear())
}

#[test]
fn a_phone_registers_once_and_again_when_its_push_token_changes() {
    let mut phone = TestPhone::signed_in();
    phone.command(Command::SetPushToken { token: Some(SecretRef(5)) });
    assert_eq!(phone.stored(|t| matches!(t, Transaction::SavePushToken { token: Some(SecretRef(5)) })), 1);
    phone.answer(register, is_state(state(2)));
    phone.command(Command::SetPushToken { token: Some(SecretRef(5)) });
    assert_eq!(phone.sent(register), 1);
}

#[test]
fn a_token_that_changes_while_the_phone_registers_is_registered_next() {
    let mut phone = TestPhone::signed_in();
    phone.command(Command::SetPushToken { token: Some(SecretRef(5)) });
    phone.command(Command::SetPushToken { token: Some(SecretRef(6)) });
    assert_eq!(phone.sent(register), 1);
    phone.answer(register, is_state(state(2)));
    assert_eq!(phone.sent(register), 2);
}

#[test]
fn a_registration_that_fails_is_tried_again() {
    for outcome in [unreachable(), unavailable(503), refused(500, "internal"), captive_portal()] {
        let mut phone = TestPhone::signed_in();
        phone.command(Command::SetPushToken { token: Some(SecretRef(5)) });
        phone.answer(register, outcome);
        assert!(phone.timers.contains_key(&Timer::Register));
        phone.advance(500);
        assert_eq!(phone.sent(register), 2);
    }
}

#[test]
fn a_phone_that_somebody_removed_from_the_list_registers_anew_and_is_silent_until_then() {
    let mut phone = TestPhone::signed_in();
    phone.hears(unlisted(2));
    assert_eq!(phone.sent(register), 1);
    let silent = Verdict::Silence { reason: Silence::DeviceNotRegistered };
    assert_eq!(phone.gets(push("c1", 2)), silent);
    phone.answer(register, is_state(state(3)));
    assert!(matches!(phone.gets(push("c2", 3)), Verdict::Ring { .. }));
}

#[test]
fn a_phone_that_was_never_listed_is_not_silenced_by_that() {
    let mut phone = TestPhone::woken();
    phone.event(Event::Foreground);
    phone.hears(unlisted(2));
    assert!(matches!(phone.gets(push("c1", 2)), Verdict::Ring { .. }));
}

#[test]
fn a_server_that_registers_and_lists_nobody_is_not_asked_in_a_circle() {
    let mut phone = TestPhone::signed_in();
    phone.hears(unlisted(2));
    let mut rev = 3;
    for _ in 0..50 {
        if phone.open.values().any(register) {
            phone.answer(register, is_state(unlisted(rev)));
            rev += 1;
        }
    }
    assert_eq!(phone.sent(register), 1);
    phone.advance(20_000);
    assert!(phone.sent(register) > 1, "but it is asked again");
}

#[test]
fn a_registration_that_waits_for_an_access_token_is_made_with_the_newest_push_token() {
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    phone.event(Event::Foreground);
    phone.command(Command::SetPushToken { token: Some(SecretRef(5)) });
    phone.command(Command::SetPushToken { token: Some(SecretRef(6)) });
    phone.answer(refresh, granted(2));
    let tokens: Vec<_> = phone
        .requests()
        .into_iter()
        .filter_map(|request| match request {
            Request::Api { call: ApiCall::RegisterDevice { push_token, .. }, .. } => *push_token,
            _ => None,
        })
        .collect();
    assert_eq!(tokens, [SecretRef(6)]);
}

#[test]
fn the_push_token_of_an_earlier_process_is_registered_and_not_stored_anew() {
    for told in [None, Some(SecretRef(1))] {
        let contents = Contents { push_token: Some(SecretRef(1)), ..TestPhone::contents_of_alice() };
        let mut phone = TestPhone::loading(Loaded::Contents(contents));
        if told.is_some() {
            phone.command(Command::SetPushToken { token: told });
        }
        phone.forget_history();
        phone.release_storage();
        phone.event(Event::Foreground);
        let registers = |request: &&Request| {
            let call = match request {
                Request::Api { call, .. } => call.secret(),
                _ => None,
            };
            call == Some(SecretRef(1))
        };
        assert_eq!(phone.requests().iter().filter(|request| registers(request)).count(), 1);
        assert_eq!(phone.stored(|transaction| matches!(transaction, Transaction::SavePushToken { .. })), 0);
    }
}

fn pruned(rev: u64) -> Box<hookswitch_wire::Snapshot> {
    state_with(rev, |state| {
        for device in &mut state.devices {
            device.cannot_ring = Some(hookswitch_wire::CannotRing::NoPushToken);
        }
    })
}

/// A phone whose push token the server has.
fn with_a_push_token() -> TestPhone {
    let mut phone = TestPhone::signed_in();
    phone.command(Command::SetPushToken { token: Some(SecretRef(5)) });
    phone.answer(register, is_state(state(2)));
    phone.forget_history();
    phone
}

#[test]
fn a_push_token_that_the_server_has_dropped_is_given_again() {
    let mut phone = with_a_push_token();
    phone.hears(pruned(3));
    phone.advance(500);
    assert_eq!(phone.sent(register), 1);
    phone.answer(register, is_state(state(4)));
    phone.hears(pruned(5));
    phone.advance(1_000);
    assert_eq!(phone.sent(register), 2, "and again when it is dropped again");
}

#[test]
fn a_server_that_will_not_have_a_push_token_is_given_it_once() {
    let mut phone = with_a_push_token();
    phone.hears(pruned(3));
    phone.advance(500);
    phone.answer(register, is_state(pruned(4)));
    for rev in 5..50 {
        phone.hears(pruned(rev));
        phone.advance(1_000);
    }
    assert_eq!(phone.sent(register), 1);
    phone.command(Command::SetPushToken { token: Some(SecretRef(6)) });
    phone.advance(30_500);
    assert_eq!(phone.sent(register), 2, "another one is another matter");
}

#[test]
fn two_phones_that_hold_one_push_token_do_not_take_it_from_each_other_without_pause() {
    let mut phone = with_a_push_token();
    let mut rev = 3;
    for _ in 0..60 {
        phone.hears(pruned(rev));
        phone.advance(1_000);
        if phone.open.values().any(register) {
            rev += 1;
            phone.answer(register, is_state(state(rev)));
        }
        rev += 1;
    }
    assert!(phone.sent(register) < 15, "{} in a minute", phone.sent(register));
}
