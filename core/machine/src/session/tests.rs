#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one thing")]

use hookswitch_wire::{Availability, ServerMetadata, SignedOutReason};
use proptest::prelude::*;

use crate::{
    effect::{LONGEST_REQUEST, REFRESH_LEASE},
    test_phone::*,
    view::{Link, SessionHealth, SessionState},
    *,
};

/// The browser is open.
fn in_browser() -> TestPhone {
    let mut phone = TestPhone::signed_out();
    phone.begins_login();
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    phone
}

/// In the background, with a token of long ago.
fn expired() -> TestPhone {
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    phone
}

fn is_signing_in(phone: &TestPhone) -> bool {
    matches!(phone.view().session, SessionState::SigningIn { .. })
}

// ---- login -----------------------------------------------------------------------------------------------------

#[test]
fn a_login_goes_from_the_button_to_the_first_state() {
    let mut phone = TestPhone::signed_out();
    let begun = phone.begins_login();
    assert!(!phone.has_reply(begun));
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    let Ok(Reply::Login { authorization_endpoint, pending, .. }) = phone.reply_to(begun) else { panic!() };
    assert_eq!(authorization_endpoint, "https://id.example.com/authorize");
    assert_eq!((pending.state, pending.nonce, pending.verifier), (STATE, NONCE, VERIFIER));
    assert_eq!(phone.kept_login().as_ref(), Some(pending), "kept before the browser opens");

    let finished = phone.comes_back_with(redirect());
    assert_eq!(phone.view().session, SessionState::SigningIn { completing: true });
    assert!(matches!(
        phone.requests().last(),
        Some(Request::ExchangeCode { code: CODE, verifier: VERIFIER, redirect_uri, .. }) if redirect_uri == REDIRECT
    ));
    phone.answer(exchange, login_granted(claims()));
    assert_eq!(phone.reply_to(finished), &Ok(Reply::Done));
    assert!(phone.is_signed_in());
    assert_eq!(phone.stored(|t| matches!(t, Transaction::SignIn { .. })), 1);
    assert_eq!(phone.stored(|t| matches!(t, Transaction::DropPending)), 0, "forgotten in the same transaction");
    assert!(phone.stream.is_some());
    phone.answer(register, is_state(state(1)));
    phone.hears(state(1));
    assert_eq!(phone.view().link, Link::Live);
}

#[test]
fn a_redirect_that_is_not_ours_is_refused_and_the_login_goes_on() {
    let forged: Vec<(&str, Redirect)> = vec![
        ("state", Redirect { state: Some(SecretRef(1)), ..redirect() }),
        ("state", Redirect { state: None, ..redirect() }),
        ("another issuer", Redirect { iss: Some("https://evil.example".into()), ..redirect() }),
        ("which issuer", Redirect { iss: None, ..redirect() }),
        ("another address", Redirect { target: format!("{REDIRECT}/"), ..redirect() }),
        (
            "another address",
            Redirect { target: "https://app.hookswitch.dev.evil.example/callback".into(), ..redirect() },
        ),
        ("parameter twice", Redirect { repeated: true, ..redirect() }),
        ("no code", Redirect { code: None, ..redirect() }),
        ("state", Redirect { state: None, error: Some("access_denied".into()), ..redirect() }),
    ];
    for (fault, forged) in forged {
        let mut phone = in_browser();
        let refused = phone.comes_back_with(forged);
        let Failure::Forbidden { why } = phone.failure_of(refused) else { panic!("{fault}") };
        assert!(why.contains(fault), "{fault}: {why}");
        assert_eq!(phone.sent(exchange), 0, "{fault}");
        let real = phone.comes_back_with(redirect());
        phone.answer(exchange, login_granted(claims()));
        assert_eq!(phone.reply_to(real), &Ok(Reply::Done), "{fault}: the real login goes on");
    }
}

#[test]
fn an_issuer_that_sends_no_iss_is_accepted_only_if_it_says_so() {
    let mut phone = TestPhone::signed_out();
    phone.begins_login();
    let metadata = ServerMetadata { authorization_response_iss_parameter_supported: false, ..metadata() };
    phone.answer(discover, Outcome::Metadata { metadata });
    phone.comes_back_with(Redirect { iss: None, ..redirect() });
    assert_eq!(phone.sent(exchange), 1);
}

/// Entra ID and Cognito publish no list, and take S256 all the same; a server that does not know PKCE passes over it
/// (RFC 7636, section 5).
#[test]
fn an_issuer_that_does_not_list_its_pkce_methods_is_sent_s256_all_the_same() {
    let mut phone = TestPhone::signed_out();
    let begun = phone.begins_login();
    let metadata = ServerMetadata { code_challenge_methods_supported: None, ..metadata() };
    phone.answer(discover, Outcome::Metadata { metadata });
    assert!(matches!(phone.reply_to(begun), Ok(Reply::Login { .. })));
}

/// RFC 9126. Whoever offers it is asked that way; only who requires it is not asked in the other way, too.
#[test]
fn a_sign_in_is_pushed_where_the_issuer_takes_it() {
    let pushes = |require_pushed_authorization_requests| ServerMetadata {
        pushed_authorization_request_endpoint: Some("https://id.example.com/par".into()),
        require_pushed_authorization_requests,
        ..metadata()
    };
    for required in [false, true] {
        let begins = || {
            let mut phone = TestPhone::signed_out();
            let begun = phone.begins_login();
            phone.answer(discover, Outcome::Metadata { metadata: pushes(required) });
            assert!(!phone.has_reply(begun));
            assert!(phone.kept_login().is_some(), "kept before anything leaves");
            (phone, begun)
        };
        let (mut phone, begun) = begins();
        phone.answer(push_login, Outcome::LoginPushed { request_uri: "urn:x".into() });
        let Ok(Reply::Login { request_uri, .. }) = phone.reply_to(begun) else { panic!("{required}") };
        assert_eq!(request_uri.as_deref(), Some("urn:x"));
        phone.comes_back_with(redirect());
        assert_eq!(phone.sent(exchange), 1);

        for failed in [oauth_error("invalid_request"), unreachable(), unavailable(503), captive_portal()] {
            let (mut phone, begun) = begins();
            phone.answer(push_login, failed.clone());
            match phone.reply_to(begun) {
                Ok(Reply::Login { request_uri: None, .. }) => assert!(!required, "{failed:?}"),
                Err(_) => assert!(required && !is_signing_in(&phone), "{failed:?}"),
                other => panic!("{other:?}"),
            }
        }

        let (mut phone, begun) = begins();
        phone.command(Command::CancelLogin);
        assert!(phone.reply_to(begun).is_err());
        phone.answer(push_login, Outcome::LoginPushed { request_uri: "urn:x".into() });
        assert!(!is_signing_in(&phone), "too late");
    }
}

#[test]
fn the_page_that_ends_the_issuers_own_session_is_known_if_it_is_safe_to_open() {
    for (page, safe) in [
        (None, false),
        (Some("https://id.example.com/logout"), true),
        (Some("javascript:alert(1)"), false),
        (Some("http://id.example.com/logout"), false),
    ] {
        let metadata = ServerMetadata { end_session_endpoint: page.map(str::to_owned), ..metadata() };
        let contents = Contents { metadata: Some(metadata), ..TestPhone::contents_of_alice() };
        let mut phone = TestPhone::new(contents).started();
        phone.command(Command::SignOut);
        assert_eq!(phone.state.sign_out_page(), page.filter(|_| safe));
    }
}

#[test]
fn what_the_issuer_says_of_a_sign_in_that_it_refuses_reaches_the_agent() {
    let mut phone = in_browser();
    let finished = phone.comes_back_with(redirect());
    let description = Some("The code\n is \u{202e}spent.".to_owned());
    phone.answer(exchange, Outcome::OAuthError { error: "invalid_grant".into(), description });
    let Failure::Forbidden { why } = phone.failure_of(finished) else { panic!() };
    assert!(why.contains("invalid_grant: The code is spent."), "{why}");
}

#[test]
fn metadata_that_lies_or_lacks_pkce_ends_the_login_before_the_browser() {
    let bad = [
        ServerMetadata { issuer: "https://id.example.com/".into(), ..metadata() },
        ServerMetadata { issuer: "https://evil.example".into(), ..metadata() },
        ServerMetadata { code_challenge_methods_supported: Some(vec!["plain".into()]), ..metadata() },
        ServerMetadata { code_challenge_methods_supported: Some(vec![]), ..metadata() },
        ServerMetadata { authorization_endpoint: "javascript:alert(1)//https://id.example.com".into(), ..metadata() },
        ServerMetadata { authorization_endpoint: "intent://id.example.com/#Intent;end".into(), ..metadata() },
        ServerMetadata { token_endpoint: "http://id.example.com/token".into(), ..metadata() },
        ServerMetadata { token_endpoint: "http://127.0.0.1@evil.example/token".into(), ..metadata() },
        ServerMetadata { revocation_endpoint: Some("http://id.example.com/revoke".into()), ..metadata() },
        ServerMetadata {
            pushed_authorization_request_endpoint: Some("http://id.example.com/par".into()),
            ..metadata()
        },
    ];
    for metadata in bad {
        let mut phone = TestPhone::signed_out();
        let begun = phone.begins_login();
        phone.answer(discover, Outcome::Metadata { metadata: metadata.clone() });
        assert!(matches!(phone.failure_of(begun), Failure::Internal { .. }), "{metadata:?}");
        assert_eq!(phone.kept_login(), None);
        assert!(matches!(phone.view().session, SessionState::SignedOut { .. }));
    }
}

#[test]
fn an_id_token_that_is_not_for_this_login_is_refused() {
    let bad = [
        Claims { nonce: Some(SecretRef(1)), ..claims() },
        Claims { nonce: None, ..claims() },
        Claims { iss: "https://evil.example".into(), ..claims() },
        Claims { aud: vec!["another-app".into()], ..claims() },
        Claims { aud: vec!["hookswitch-mobile".into(), "another-app".into()], ..claims() },
        Claims { azp: Some("another-app".into()), ..claims() },
    ];
    for claims in bad {
        let mut phone = in_browser();
        let finished = phone.comes_back_with(redirect());
        phone.answer(exchange, login_granted(claims.clone()));
        assert!(matches!(phone.failure_of(finished), Failure::Forbidden { .. }), "{claims:?}");
        assert!(matches!(phone.view().session, SessionState::SignedOut { .. }));
        assert_eq!(phone.stored(|t| matches!(t, Transaction::SignIn { .. })), 0);
    }
}

#[test]
fn an_id_token_for_several_is_good_where_it_was_issued_to_this_app() {
    let mut phone = in_browser();
    phone.comes_back_with(redirect());
    let aud = vec!["hookswitch-mobile".into(), "another-app".into()];
    phone.answer(exchange, login_granted(Claims { aud, azp: Some("hookswitch-mobile".into()), ..claims() }));
    assert!(phone.is_signed_in());
}

#[test]
fn an_expired_id_token_is_refused_by_the_servers_clock_and_never_by_the_phones() {
    let login = |server_time| {
        let mut phone = in_browser();
        phone.now.wall += 10 * 365 * 24 * 3_600_000;
        phone.comes_back_with(redirect());
        let effect = *phone.open.keys().next().unwrap();
        phone.open.clear();
        phone.event(Event::Completed { effect, server_time, outcome: login_granted(claims()) });
        phone.is_signed_in()
    };
    assert!(login(None), "a clock that nobody vouches for");
    assert!(login(Some(EPOCH)));
    assert!(!login(Some(EPOCH + 25 * 3_600_000)));
    assert!(!login(Some(EPOCH + -3_600_000)), "one of the future is nobody's");
}

#[test]
fn a_grant_without_id_token_or_refresh_token_is_no_login() {
    for grant in [
        grant(SecretRef(1), Some(SecretRef(2)), None),
        Grant { claims: Some(claims()), ..grant(SecretRef(1), None, None) },
    ] {
        let mut phone = in_browser();
        let finished = phone.comes_back_with(redirect());
        phone.answer(exchange, Outcome::Granted { grant });
        assert!(phone.reply_to(finished).is_err());
        assert!(!phone.is_signed_in());
    }
}

#[test]
fn a_login_that_took_too_long_is_over() {
    let mut phone = in_browser();
    phone.advance(LOGIN_LIFE - 1);
    assert!(is_signing_in(&phone));
    phone.advance(1);
    let late = phone.comes_back_with(redirect());
    assert!(matches!(phone.failure_of(late), Failure::Forbidden { .. }));
    assert_eq!(phone.sent(exchange), 0);
    assert!(matches!(phone.view().session, SessionState::SignedOut { .. }));
}

#[test]
fn setting_the_clock_does_not_end_a_login() {
    for years in [-10, 10] {
        let mut phone = in_browser();
        phone.now.wall += years * 365 * 24 * 3_600_000;
        phone.comes_back_with(redirect());
        assert_eq!(phone.sent(exchange), 1);
    }
}

#[test]
fn a_denial_is_a_cancel_and_another_error_is_told() {
    let mut phone = in_browser();
    let denied = phone.comes_back_with(Redirect { code: None, error: Some("access_denied".into()), ..redirect() });
    assert!(matches!(phone.failure_of(denied), Failure::Cancelled { .. }));
    assert!(matches!(phone.view().session, SessionState::SignedOut { .. }));
    assert_eq!(phone.stored(|t| matches!(t, Transaction::DropPending)), 1);

    let mut phone = in_browser();
    let failed = phone.comes_back_with(Redirect { error: Some("server_error".into()), ..redirect() });
    assert!(phone.failure_of(failed).why().contains("server_error"));
}

#[test]
fn a_redirect_works_once() {
    let mut phone = in_browser();
    phone.comes_back_with(redirect());
    let twice = phone.comes_back_with(redirect());
    assert!(matches!(phone.failure_of(twice), Failure::Forbidden { .. }));
    phone.answer(exchange, login_granted(claims()));
    let replayed = phone.comes_back_with(redirect());
    assert!(matches!(phone.failure_of(replayed), Failure::Forbidden { .. }));
    assert_eq!(phone.sent(exchange), 1);
    assert!(phone.is_signed_in());
}

#[test]
fn of_two_logins_the_newer_wins() {
    let mut phone = TestPhone::signed_out();
    let older = phone.begins_login_with(SecretRef(11));
    let newer = phone.begins_login_with(SecretRef(12));
    assert!(matches!(phone.failure_of(older), Failure::Cancelled { .. }));
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    assert!(!phone.has_reply(newer), "the older one's answer is superseded");
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    assert!(phone.reply_to(newer).is_ok());

    let refused = phone.comes_back_with(Redirect { state: Some(SecretRef(11)), ..redirect() });
    assert!(phone.reply_to(refused).is_err());
    let finished = phone.comes_back_with(Redirect { state: Some(SecretRef(12)), ..redirect() });
    phone.answer(exchange, login_granted(claims()));
    assert!(phone.reply_to(finished).is_ok());
}

#[test]
fn a_newer_login_supersedes_one_that_is_being_exchanged() {
    let mut phone = in_browser();
    let older = phone.comes_back_with(redirect());
    phone.begins_login_with(SecretRef(12));
    assert!(matches!(phone.failure_of(older), Failure::Cancelled { .. }));
    phone.answer(exchange, login_granted(claims()));
    assert!(!phone.is_signed_in());
}

#[test]
fn an_app_killed_in_the_browser_goes_on_where_it_was() {
    let pending = in_browser().kept_login();
    for (late, accepted) in [(0, true), (LOGIN_LIFE - 1, true), (LOGIN_LIFE, false)] {
        let contents = Contents { pending: pending.clone(), metadata: Some(metadata()), ..Contents::default() };
        let mut phone = TestPhone::new(contents);
        phone.now = Timestamp { wall: EPOCH + i64::try_from(late).unwrap(), mono: 5 };
        phone.event(Event::Started { seed: 1 });
        assert_eq!(is_signing_in(&phone), accepted, "{late}");
        let finished = phone.comes_back_with(redirect());
        if accepted {
            phone.answer(exchange, login_granted(claims()));
            assert!(phone.reply_to(finished).is_ok());
        } else {
            assert!(phone.reply_to(finished).is_err());
        }
    }
}

#[test]
fn an_app_killed_while_it_signs_in_again_goes_on_where_it_was() {
    let mut contents = TestPhone::contents_of_alice();
    contents.pending = in_browser().kept_login();
    let mut phone = TestPhone::new(contents);
    phone.event(Event::Started { seed: 1 });
    assert!(is_signing_in(&phone));
    let finished = phone.comes_back_with(redirect());
    phone.answer(exchange, login_granted(claims()));
    assert!(phone.reply_to(finished).is_ok());
}

#[test]
fn an_exchange_without_an_answer_may_be_tried_again() {
    for outcome in [unreachable(), unavailable(503), captive_portal()] {
        let mut phone = in_browser();
        let first = phone.comes_back_with(redirect());
        phone.answer(exchange, outcome);
        assert!(matches!(phone.failure_of(first), Failure::Offline { .. }));
        let second = phone.comes_back_with(redirect());
        phone.answer(exchange, login_granted(claims()));
        assert!(phone.reply_to(second).is_ok());
    }
    let mut phone = in_browser();
    let first = phone.comes_back_with(redirect());
    phone.answer(exchange, oauth_error("invalid_grant"));
    assert!(phone.reply_to(first).is_err());
    assert!(!is_signing_in(&phone));
}

#[test]
fn a_minimised_browser_is_not_a_cancel_and_a_cancel_is() {
    let mut phone = in_browser();
    phone.event(Event::Foreground);
    phone.event(Event::Background);
    phone.advance(60_000);
    phone.event(Event::Foreground);
    assert!(is_signing_in(&phone));
    let cancelled = phone.command(Command::CancelLogin);
    assert_eq!(phone.reply_to(cancelled), &Ok(Reply::Done));
    assert!(matches!(phone.view().session, SessionState::SignedOut { .. }));
}

#[test]
fn a_login_can_be_cancelled_at_any_stage_and_everybody_hears_of_it() {
    let mut phone = TestPhone::signed_out();
    let begun = phone.begins_login();
    let cancelled = phone.command(Command::CancelLogin);
    assert!(phone.has_reply(begun) && phone.has_reply(cancelled));
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    assert!(matches!(phone.view().session, SessionState::SignedOut { .. }));

    let mut phone = in_browser();
    let finished = phone.comes_back_with(redirect());
    phone.command(Command::CancelLogin);
    assert!(phone.has_reply(finished));
    phone.answer(exchange, login_granted(claims()));
    assert!(!phone.is_signed_in());
}

#[test]
fn a_login_whose_vault_fails_is_degraded_and_saved_later() {
    let mut phone = in_browser();
    let finished = phone.comes_back_with(redirect());
    phone.storage_fails = true;
    phone.answer(exchange, login_granted(claims()));
    assert_eq!(phone.reply_to(finished), &Ok(Reply::Done));
    assert_eq!(phone.health(), SessionHealth::Degraded);
    phone.storage_fails = false;
    phone.forget_history();
    phone.advance(5_000);
    assert_eq!(phone.stored(|t| matches!(t, Transaction::SignIn { .. })), 1);
    assert_ne!(phone.health(), SessionHealth::Degraded);
}

#[test]
fn redirect_addresses_are_the_registered_ones_or_a_loopback_port_of_one() {
    for (asked, fine) in [
        (REDIRECT, true),
        ("http://127.0.0.1:4711/callback", true),
        ("http://127.0.0.1/callback", true),
        ("http://127.0.0.1:4711/other", false),
        ("http://127.0.0.1.evil.example/callback", false),
        ("http://127.0.0.1:4711@evil.example/callback", false),
        ("http://localhost:4711/callback", false),
        ("https://app.hookswitch.dev/callback?x", false),
    ] {
        let mut phone = TestPhone::signed_out();
        let redirect_uri = asked.to_owned();
        phone.command(Command::BeginLogin { hint: None, redirect_uri, state: STATE, nonce: NONCE, verifier: VERIFIER });
        assert_eq!(phone.sent(discover) == 1, fine, "{asked}");
    }
}

#[test]
fn nobody_signs_in_over_somebody() {
    let mut phone = TestPhone::signed_in();
    let begun = phone.begins_login();
    assert!(matches!(phone.failure_of(begun), Failure::Forbidden { .. }));
    assert!(phone.is_signed_in());
}

// ---- start -----------------------------------------------------------------------------------------------------

#[test]
fn each_state_of_the_vault_has_its_recovery() {
    let mut phone = TestPhone::loading(Loaded::KeyUnavailable { knowledge: None });
    assert_eq!(phone.view().session, SessionState::Loading);
    phone.release_storage();
    assert_eq!(phone.view().session, SessionState::Locked);
    phone.contents = Loaded::Contents(TestPhone::contents_of_alice());
    phone.event(Event::Unlocked);
    assert!(phone.is_signed_in());

    let mut phone = TestPhone::loading(Loaded::KeyInvalidated);
    phone.release_storage();
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::KeyLost));

    let mut phone = TestPhone::loading(Loaded::Contents(Contents { quarantined: 1, ..Contents::default() }));
    phone.release_storage();
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::StorageCorrupt));

    let mut phone = TestPhone::loading(Loaded::Contents(TestPhone::contents_of_alice()));
    phone.storage_fails = true;
    phone.release_storage();
    assert_eq!(phone.view().session, SessionState::Locked, "nothing is decided, nothing is lost");
    phone.storage_fails = false;
    phone.event(Event::Foreground);
    assert!(phone.is_signed_in(), "whoever looks at the app has unlocked the phone");
}

#[test]
fn the_vault_is_read_once_however_often_the_phone_is_unlocked() {
    let mut phone = TestPhone::loading(Loaded::Contents(TestPhone::contents_of_alice()));
    for event in [Event::Unlocked, Event::Foreground, Event::Unlocked, Event::Started { seed: 2 }] {
        phone.event(event);
    }
    let repair = phone.command(Command::Repair);
    assert!(phone.has_reply(repair));
    assert_eq!(phone.stored(|t| matches!(t, Transaction::Load)), 1);
    phone.release_storage();
    phone.forget_history();
    phone.event(Event::Unlocked);
    phone.event(Event::Started { seed: 3 });
    assert_eq!(phone.stored(|t| matches!(t, Transaction::Load)), 0);
    assert!(phone.is_signed_in());
}

#[test]
fn a_push_token_that_came_before_the_vault_was_read_is_the_one_that_counts() {
    let contents = Contents { push_token: Some(SecretRef(1)), ..TestPhone::contents_of_alice() };
    let mut phone = TestPhone::loading(Loaded::Contents(contents));
    phone.event(Event::Foreground);
    phone.command(Command::SetPushToken { token: Some(SecretRef(2)) });
    phone.release_storage();
    assert!(phone.requests().iter().any(|request| matches!(
        request,
        Request::Api { call: ApiCall::RegisterDevice { push_token: Some(SecretRef(2)), .. }, .. }
    )));
}

// ---- refresh ---------------------------------------------------------------------------------------------------

#[test]
fn a_valid_token_is_a_memory_read() {
    let mut phone = TestPhone::signed_in();
    let token = phone.command(Command::AccessToken);
    assert_eq!(phone.reply_to(token), &Ok(Reply::Token { access: SecretRef(1_001) }));
    assert_eq!((phone.history.work.len(), phone.history.output.len()), (0, 1));
}

#[test]
fn one_expiry_is_one_post_however_many_wait() {
    let mut phone = expired();
    let waiting: Vec<CommandId> = (0..64).map(|_| phone.command(Command::AccessToken)).collect();
    assert_eq!(phone.sent(refresh), 1);
    phone.answer(refresh, granted(2));
    for id in waiting {
        assert_eq!(phone.reply_to(id), &Ok(Reply::Token { access: SecretRef(1_002) }));
    }
    assert_eq!(phone.sent(refresh), 1);
    assert_eq!(phone.stored(|t| matches!(t, Transaction::FinishRefresh { tokens } if tokens.generation == 2)), 1);
}

#[test]
fn the_intent_is_written_before_the_request_and_the_tokens_are_before_anything_else() {
    let mut phone = expired();
    phone.holds_storage = true;
    phone.command(Command::AccessToken);
    assert_eq!(phone.sent(refresh), 0, "not before the intent is on disk");
    phone.release_storage();
    assert_eq!(phone.sent(refresh), 1);
    phone.forget_history();
    phone.answer(refresh, granted(2));
    assert!(matches!(
        phone.history.work.first(),
        Some(Work::Store { transaction: Transaction::FinishRefresh { .. }, .. })
    ));
}

#[test]
fn a_refresh_comes_ahead_of_the_expiry_in_the_foreground_and_not_at_all_in_the_background() {
    let mut phone = TestPhone::signed_in();
    while phone.sent(refresh) == 0 {
        phone.advance(15_000);
        phone.hears_heartbeat();
    }
    let at = phone.now.wall.since(EPOCH);
    assert!((3_000_000..3_570_000).contains(&at), "{at}");

    let mut phone = TestPhone::in_background();
    phone.advance(24 * HOUR);
    assert_eq!(phone.requests(), Vec::<&Request>::new());
}

#[test]
fn requests_wait_for_the_token_and_none_is_lost() {
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    phone.event(Event::Foreground);
    let tap_id = phone.taps(Availability::Automatic);
    assert_eq!(phone.sent(tap), 0);
    assert_eq!(phone.sent(refresh), 1);
    phone.answer(refresh, granted(2));
    assert!(phone.stream.is_some());
    phone.answer(tap, is_state(state(2)));
    assert_eq!(phone.reply_to(tap_id), &Ok(Reply::Done));
}

#[test]
fn a_401_is_answered_by_one_refresh_and_one_repetition() {
    let mut phone = TestPhone::signed_in();
    let id = phone.taps(Availability::Automatic);
    phone.answer(tap, Outcome::Unauthenticated);
    phone.answer(refresh, granted(2));
    let requests = phone.requests();
    let (Request::Api { call: first, .. }, Request::Api { access, call: second }) =
        (requests.first().unwrap(), requests.last().unwrap())
    else {
        panic!("{requests:?}")
    };
    assert_eq!(first, second, "the very same request");
    assert_eq!(*access, SecretRef(1_002));
    phone.answer(tap, Outcome::Unauthenticated);
    assert!(matches!(phone.failure_of(id), Failure::Forbidden { .. }));
    assert_eq!(phone.sent(tap), 2);
    assert!(phone.is_signed_in());
}

#[test]
fn a_401_for_an_older_token_needs_no_refresh() {
    let mut phone = TestPhone::signed_in();
    phone.taps(Availability::Automatic);
    phone.command(Command::SetForwarding { to: None });
    phone.answer(tap, Outcome::Unauthenticated);
    phone.answer(refresh, granted(2));
    phone.answer(tap, Outcome::Unauthenticated);
    assert_eq!(phone.sent(refresh), 1);
    assert_eq!(phone.sent(tap), 4);
}

#[test]
fn a_server_that_refuses_every_token_makes_no_storm() {
    let mut phone = TestPhone::signed_in();
    for _ in 0..40 {
        if phone.stream.is_some() {
            phone.stream_closes(Outcome::Unauthenticated);
        }
        while phone.open.values().any(refresh) {
            phone.answer(refresh, granted(2));
        }
    }
    assert!(phone.sent(refresh) <= 3, "{}", phone.sent(refresh));
    assert!(phone.is_signed_in());
}

#[test]
fn a_server_whose_tokens_live_no_time_at_all_makes_no_storm() {
    let mut phone = TestPhone::signed_in();
    phone.pass(2 * HOUR);
    phone.hears_heartbeat();
    for _ in 0..20 {
        if phone.open.values().any(refresh) {
            let grant = grant(SecretRef(1_002), None, Some(0));
            phone.answer(refresh, Outcome::Granted { grant });
        }
    }
    assert_eq!(phone.sent(refresh), 1);
}

fn offline_outcomes() -> Vec<Outcome> {
    let unavailable = [408, 425, 429, 500, 502, 503, 504].map(unavailable);
    let mut outcomes = vec![
        not_sent(),
        unreachable(),
        captive_portal(),
        Outcome::Unintelligible { status: 400, cause: "".into(), page: false },
    ];
    outcomes.extend(unavailable);
    outcomes.extend([oauth_error("temporarily_unavailable"), oauth_error("invalid_request")]);
    outcomes
}

#[test]
fn offline_is_never_a_logout() {
    for outcome in offline_outcomes() {
        // Refreshing, with somebody who waits.
        let mut phone = expired();
        let waiting = phone.command(Command::AccessToken);
        phone.answer(refresh, outcome.clone());
        assert!(phone.is_signed_in(), "{outcome:?}");
        assert!(phone.reply_to(waiting).is_err());
        assert!(!matches!(phone.failure_of(waiting), Failure::Reauthenticate { .. }), "{outcome:?}");
        assert_eq!(phone.health(), SessionHealth::Offline);
        phone.pass(31_000);
        let again = phone.command(Command::AccessToken);
        phone.answer(refresh, granted(2));
        assert!(phone.reply_to(again).is_ok(), "{outcome:?}");

        // The stream, a tap, a registration, a repair.
        let mut phone = TestPhone::signed_in();
        phone.stream_closes(outcome.clone());
        phone.taps(Availability::Automatic);
        phone.command(Command::SetPushToken { token: Some(SecretRef(9)) });
        phone.command(Command::Repair);
        for _ in 0..20 {
            while !phone.open.is_empty() {
                phone.answer(whatever, outcome.clone());
            }
            if phone.stream.is_some() {
                phone.stream_closes(outcome.clone());
            }
            phone.advance(10_000);
        }
        assert!(phone.is_signed_in(), "{outcome:?}");
        assert_eq!(phone.replies.len(), phone.commands.len());
    }
}

#[test]
fn a_failed_refresh_is_tried_again_and_brings_the_link_back() {
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    phone.event(Event::Foreground);
    for _ in 0..3 {
        phone.answer(refresh, unavailable(503));
        assert_eq!(phone.stream, None);
        phone.advance(31_000);
    }
    phone.answer(refresh, granted(2));
    assert!(phone.stream.is_some());
    phone.hears(state(1));
    assert_eq!(phone.health(), SessionHealth::Fresh);
}

#[test]
fn the_foreground_and_the_network_end_the_wait_for_a_refresh() {
    for event in [Event::Foreground, Event::NetworkUp] {
        let mut phone = TestPhone::in_background();
        phone.pass(2 * HOUR);
        phone.event(Event::Foreground);
        phone.answer(refresh, Outcome::Unavailable { status: 503, retry_after: Some(600_000) });
        phone.advance(30_000);
        assert_eq!(phone.sent(refresh), 1);
        phone.event(event);
        assert_eq!(phone.sent(refresh), 2);
    }
}

#[test]
fn a_rejected_token_is_a_logout_only_if_nobody_has_a_newer_one() {
    let mut phone = expired();
    let waiting = phone.command(Command::AccessToken);
    phone.elsewhere = Some(TokenSet { expires_at: EPOCH + 9 * 3_600_000, ..tokens(2) });
    phone.answer(refresh, oauth_error("invalid_grant"));
    assert_eq!(phone.reply_to(waiting), &Ok(Reply::Token { access: SecretRef(1_002) }));
    assert!(phone.is_signed_in());

    let mut phone = expired();
    let waiting = phone.command(Command::AccessToken);
    phone.answer(refresh, oauth_error("invalid_grant"));
    assert!(matches!(phone.failure_of(waiting), Failure::Reauthenticate { .. }));
    let SessionState::ReauthRequired { agent, .. } = phone.view().session else { panic!() };
    assert_eq!(agent, alice());
    let again = phone.command(Command::AccessToken);
    assert!(matches!(phone.failure_of(again), Failure::Reauthenticate { .. }));
}

#[test]
fn a_missing_dpop_proof_says_nothing_about_the_token() {
    let mut phone = expired();
    phone.command(Command::AccessToken);
    let description = Some("DPoP proof is missing".into());
    phone.answer(refresh, Outcome::OAuthError { error: "invalid_grant".into(), description });
    assert!(phone.is_signed_in());
    assert_eq!(phone.stored(|t| matches!(t, Transaction::Reread)), 0);
}

#[test]
fn a_rejection_while_the_vault_fails_proves_nothing() {
    let mut phone = expired();
    phone.command(Command::AccessToken);
    phone.storage_fails = true;
    phone.answer(refresh, oauth_error("invalid_grant"));
    assert!(phone.is_signed_in());
}

#[test]
fn a_lease_of_another_process_is_waited_for() {
    let mut phone = expired();
    phone
        .leases
        .extend([Outcome::RefreshLeaseHeld { for_millis: 8_000 }, Outcome::RefreshLeaseHeld { for_millis: 7_750 }]);
    let waiting = phone.command(Command::AccessToken);
    let also = phone.command(Command::AccessToken);
    assert_eq!(phone.stored(|t| matches!(t, Transaction::BeginRefresh { .. })), 1, "no busy loop");
    assert_eq!(phone.health(), SessionHealth::Refreshing);
    phone.advance(250);
    assert!(!phone.has_reply(waiting));
    phone
        .leases
        .push_back(Outcome::NewerTokens { tokens: TokenSet { expires_at: EPOCH + 9 * 3_600_000, ..tokens(2) } });
    phone.advance(250);
    for id in [waiting, also] {
        assert_eq!(phone.reply_to(id), &Ok(Reply::Token { access: SecretRef(1_002) }));
    }
    assert_eq!(phone.sent(refresh), 0, "the other one did it");
    assert_eq!(phone.timers.keys().collect::<Vec<_>>(), Vec::<&Timer>::new());
}

#[test]
fn a_lease_whose_holder_died_is_taken_over() {
    let mut phone = expired();
    phone.leases.push_back(Outcome::RefreshLeaseHeld { for_millis: 100 });
    let waiting = phone.command(Command::AccessToken);
    phone.advance(100);
    phone.answer(refresh, granted(2));
    assert!(phone.reply_to(waiting).is_ok());
}

#[test]
fn a_sleeper_that_wakes_up_after_another_has_refreshed_neither_overwrites_nor_signs_out() {
    let mut phone = expired();
    let waiting = phone.command(Command::AccessToken);
    phone.pass(HOUR);
    phone.holds_storage = true;
    phone.answer(refresh, granted(2));
    let (effect, transaction) = phone.held.pop_first().unwrap();
    assert!(matches!(transaction, Transaction::FinishRefresh { .. }));
    let newer = TokenSet { expires_at: EPOCH + 9 * 3_600_000, ..tokens(5) };
    phone.event(Event::Completed { effect, server_time: None, outcome: Outcome::NewerTokens { tokens: newer } });
    assert!(phone.has_reply(waiting));
    let token = phone.command(Command::AccessToken);
    assert_eq!(phone.reply_to(token), &Ok(Reply::Token { access: SecretRef(1_005) }));
}

#[test]
fn a_refresh_that_a_kill_interrupted_is_done_again_at_the_start_even_in_the_background() {
    for unsettled in [false, true] {
        let mut contents = TestPhone::contents_of_alice();
        contents.session = contents.session.map(|session| StoredSession { unsettled, ..session });
        let mut phone = TestPhone::new(contents).started();
        assert_eq!(phone.sent(refresh), usize::from(unsettled));
        assert_eq!(phone.state.is_saved(), !unsettled, "the app is kept awake until it is settled");
        if unsettled {
            phone.answer(refresh, granted(2));
            assert!(phone.state.is_saved());
        }
    }
}

#[test]
fn a_refresh_that_a_kill_interrupted_waits_for_the_lease_of_the_dead_even_in_the_background() {
    let mut contents = TestPhone::contents_of_alice();
    contents.session = contents.session.map(|session| StoredSession { unsettled: true, ..session });
    let mut phone = TestPhone::new(contents);
    phone.leases.extend(vec![Outcome::RefreshLeaseHeld { for_millis: 45_000 }; 3]);
    let mut phone = phone.started();
    for _ in 0..3 {
        assert_eq!(phone.sent(refresh), 0);
        assert!(!phone.state.is_saved(), "the app is kept awake until it is settled");
        phone.advance(250);
    }
    phone.answer(refresh, granted(2));
    assert!(phone.state.is_saved());
    assert_eq!(phone.timers.keys().collect::<Vec<_>>(), Vec::<&Timer>::new());
}

#[test]
fn an_interrupted_refresh_that_finds_no_network_is_done_again_with_the_first_sign_of_life() {
    let mut contents = TestPhone::contents_of_alice();
    contents.session = contents.session.map(|session| StoredSession { unsettled: true, ..session });
    let mut phone = TestPhone::new(contents).started();
    phone.answer(refresh, unreachable());
    assert!(phone.is_signed_in());
    let token = phone.command(Command::AccessToken);
    assert!(phone.reply_to(token).is_ok(), "the access token is still good");
    phone.event(Event::Foreground);
    assert_eq!(phone.sent(refresh), 2);
}

#[test]
fn tokens_of_another_process_that_are_used_up_when_they_are_found_are_not_handed_out() {
    let mut phone = expired();
    let stale = TokenSet { expires_at: EPOCH, ..tokens(5) };
    phone.leases.push_back(Outcome::NewerTokens { tokens: stale });
    let waiting = phone.command(Command::AccessToken);
    assert!(!phone.has_reply(waiting));
    phone.answer(refresh, granted(6));
    assert_eq!(phone.reply_to(waiting), &Ok(Reply::Token { access: SecretRef(1_006) }));
}

#[test]
fn a_save_that_finds_newer_tokens_ends_the_refresh_that_was_begun_meanwhile() {
    for used_up in [false, true] {
        let mut phone = expired();
        let first = phone.command(Command::AccessToken);
        phone.holds_storage = true;
        phone.answer(refresh, granted(2));
        assert!(phone.has_reply(first));
        phone.pass(2 * HOUR);
        let second = phone.command(Command::AccessToken);
        let transactions: Vec<EffectId> = phone.held.keys().copied().collect();
        let [saving, leasing] = transactions[..] else { panic!("{:?}", phone.held) };
        phone.held.clear();
        phone.holds_storage = false;
        let expires_at = if used_up { EPOCH } else { EPOCH + 9 * HOUR as i64 };
        let newer = TokenSet { expires_at, ..tokens(2) };
        phone.event(Event::Completed {
            effect: saving,
            server_time: None,
            outcome: Outcome::NewerTokens { tokens: newer },
        });
        phone.event(Event::Completed { effect: leasing, server_time: None, outcome: Outcome::Done });
        assert_eq!(phone.sent(refresh), 1 + usize::from(used_up));
        assert_eq!(phone.has_reply(second), !used_up);
        assert_eq!(phone.stored(|t| matches!(t, Transaction::AbandonRefresh { .. })), 1, "the lease goes back");
    }
}

#[test]
fn the_agent_is_told_why_a_new_sign_in_is_needed() {
    let expired_token =
        || Outcome::OAuthError { error: "invalid_grant".into(), description: Some("it has expired".into()) };
    for (before, refusal, why) in [
        (None, oauth_error("invalid_grant"), ReauthReason::Revoked),
        (Some(not_sent()), oauth_error("invalid_grant"), ReauthReason::Revoked),
        (Some(unreachable()), oauth_error("invalid_grant"), ReauthReason::RotationLost),
        (None, expired_token(), ReauthReason::Expired),
        (Some(not_sent()), expired_token(), ReauthReason::Expired),
        (Some(unreachable()), expired_token(), ReauthReason::Expired),
    ] {
        let mut phone = expired();
        phone.command(Command::AccessToken);
        if let Some(outcome) = before {
            phone.answer(refresh, outcome);
            phone.pass(31_000);
            phone.command(Command::AccessToken);
        }
        phone.answer(refresh, refusal);
        let SessionState::ReauthRequired { reason, .. } = phone.view().session else { panic!("{:?}", phone.view()) };
        assert_eq!(reason, why);
    }
}

#[test]
fn a_refresh_that_came_to_nothing_gives_its_lease_back_and_says_whether_the_token_left() {
    for (outcome, unsent) in
        [(oauth_error("invalid_grant"), false), (unreachable(), false), (captive_portal(), false), (not_sent(), true)]
    {
        let mut phone = expired();
        phone.command(Command::AccessToken);
        phone.answer(refresh, outcome.clone());
        let given_back = |t: &Transaction| matches!(t, Transaction::AbandonRefresh { unsent: told } if *told == unsent);
        assert_eq!(phone.stored(given_back), 1, "{outcome:?}");
    }
}

#[test]
fn a_refresh_that_never_left_is_no_reason_for_haste() {
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    let id = phone.command(Command::AccessToken);
    phone.answer(refresh, not_sent());
    assert!(matches!(phone.failure_of(id), Failure::Offline { .. }));
    phone.forget_history();
    phone.advance(HOUR);
    assert_eq!(phone.requests(), Vec::<&Request>::new(), "in the background nobody waits for it");
    assert!(phone.state.is_saved());
    assert!(phone.is_signed_in());
}

#[test]
fn a_request_that_never_left_does_not_hide_that_an_earlier_one_did() {
    let mut phone = expired();
    for outcome in [unreachable(), not_sent()] {
        phone.command(Command::AccessToken);
        phone.answer(refresh, outcome);
        phone.pass(31_000);
    }
    phone.command(Command::AccessToken);
    phone.answer(refresh, oauth_error("invalid_grant"));
    let SessionState::ReauthRequired { reason, .. } = phone.view().session else { panic!("{:?}", phone.view()) };
    assert_eq!(reason, ReauthReason::RotationLost);
}

#[test]
fn a_refresh_whose_answer_was_lost_is_repeated_while_the_issuer_takes_it_for_a_retry_in_the_background_too() {
    let mut phone = TestPhone::in_background();
    phone.pass(2 * HOUR);
    phone.command(Command::AccessToken);
    for attempt in 1..4 {
        assert_eq!(phone.sent(refresh), attempt);
        phone.answer(refresh, unreachable());
        phone.advance(2_500);
    }
    phone.answer(refresh, granted(2));
    phone.forget_history();
    phone.advance(600_000);
    assert_eq!(phone.requests(), Vec::<&Request>::new(), "then there is no reason any more");
}

#[test]
fn a_sign_in_by_another_process_takes_the_place_of_the_session_and_is_never_overwritten() {
    let bobs =
        |generation| TokenSet { sign_in: SignInId(99), expires_at: EPOCH + 9 * HOUR as i64, ..tokens(generation) };
    let bob = AgentProfile { account: "bob".into(), ..alice() };
    // Found when the lease is asked for, when the new tokens are saved, when the old ones are refused.
    for found in ["lease", "save", "refusal"] {
        let mut phone = expired();
        let stored = StoredSession { agent: bob.clone(), tokens: bobs(1), snapshot: None, unsettled: false };
        phone.contents = Loaded::Contents(Contents { session: Some(stored), ..TestPhone::contents_of_alice() });
        if found == "lease" {
            phone.leases.push_back(Outcome::NewerTokens { tokens: bobs(1) });
        }
        let waiting = phone.command(Command::AccessToken);
        match found {
            "save" => {
                phone.holds_storage = true;
                phone.answer(refresh, granted(2));
                let (effect, _) = phone.held.pop_first().unwrap();
                phone.holds_storage = false;
                phone.event(Event::Completed {
                    effect,
                    server_time: None,
                    outcome: Outcome::NewerTokens { tokens: bobs(1) },
                });
            }
            "refusal" => {
                phone.elsewhere = Some(bobs(1));
                phone.answer(refresh, oauth_error("invalid_grant"));
            }
            _ => {}
        }
        assert!(phone.has_reply(waiting), "{found}");
        let SessionState::SignedIn { agent, .. } = phone.view().session else { panic!("{found}: {:?}", phone.view()) };
        assert_eq!(agent, bob, "{found}");
        let token = phone.command(Command::AccessToken);
        assert_eq!(phone.reply_to(token), &Ok(Reply::Token { access: SecretRef(1_001) }), "{found}");
        assert_eq!(phone.stored(|t| matches!(t, Transaction::SignOut { .. })), 0, "{found}");
    }
}

#[test]
fn another_process_that_has_signed_out_is_followed() {
    let mut phone = expired();
    phone.leases.push_back(Outcome::Reread { tokens: None });
    let waiting = phone.command(Command::AccessToken);
    assert!(matches!(phone.failure_of(waiting), Failure::Reauthenticate { .. }));
    assert!(!phone.is_signed_in());
}

#[test]
fn rotated_tokens_that_cannot_be_saved_are_used_and_saved_later() {
    let mut phone = TestPhone::signed_in();
    phone.taps(Availability::Automatic);
    phone.answer(tap, Outcome::Unauthenticated);
    phone.storage_fails = true;
    phone.answer(refresh, granted(2));
    assert_eq!(phone.health(), SessionHealth::Degraded);
    let token = phone.command(Command::AccessToken);
    assert_eq!(phone.reply_to(token), &Ok(Reply::Token { access: SecretRef(1_002) }));
    phone.advance(12_000);
    assert_eq!(phone.health(), SessionHealth::Degraded);
    phone.storage_fails = false;
    phone.advance(5_000);
    assert_eq!(phone.health(), SessionHealth::Fresh);
    phone.forget_history();
    phone.advance(12_000);
    assert_eq!(phone.stored(|t| matches!(t, Transaction::FinishRefresh { .. })), 0, "saved once is enough");
}

#[test]
fn an_older_save_that_succeeds_late_does_not_vouch_for_the_newest_tokens() {
    let mut phone = TestPhone::signed_in();
    phone.storage_fails = true;
    phone.taps(Availability::Automatic);
    phone.storage_fails = false;
    phone.answer(tap, Outcome::Unauthenticated);
    phone.storage_fails = true;
    phone.answer(refresh, granted(2));
    assert_eq!(phone.health(), SessionHealth::Degraded);
    phone.tokens_saved_by_an_older_generation();
    assert_eq!(phone.health(), SessionHealth::Degraded);
}

impl TestPhone {
    fn tokens_saved_by_an_older_generation(&mut self) {
        let now = self.now;
        let mut step = Step { state: &mut self.state, now, effects: Effects::default(), tries: false };
        step.tokens_saved(1, Outcome::Done);
    }
}

#[test]
fn what_is_unsaved_goes_into_the_vault_before_the_next_lease_is_asked_for() {
    let mut phone = in_browser();
    phone.comes_back_with(redirect());
    phone.storage_fails = true;
    phone.answer(exchange, login_granted(claims()));
    phone.storage_fails = false;
    phone.forget_history();
    phone.answer(register, Outcome::Unauthenticated);
    let stores: Vec<_> = phone
        .history
        .work
        .iter()
        .filter_map(|effect| match effect {
            Work::Store { transaction, .. } => Some(transaction.clone()),
            _ => None,
        })
        .collect();
    assert!(matches!(stores[..2], [Transaction::SignIn { .. }, Transaction::BeginRefresh { .. }]), "{stores:?}");
}

/// With a full disk, the vault says truly that it knows nobody; the app took that for a sign-out by another process.
#[test]
fn a_sign_in_that_could_not_be_stored_is_not_ended_by_a_vault_that_knows_nothing_of_it() {
    let older = TokenSet { sign_in: SignInId(77), ..tokens(5) };
    for answer in [Outcome::Reread { tokens: None }, Outcome::NewerTokens { tokens: older }] {
        let mut phone = in_browser();
        phone.comes_back_with(redirect());
        phone.storage_fails = true;
        phone.answer(exchange, login_granted(claims()));
        phone.pass(2 * HOUR);
        // Reads work, writes do not.
        phone.holds_storage = true;
        let waiting = phone.command(Command::AccessToken);
        for (id, transaction) in std::mem::take(&mut phone.held) {
            let outcome = match transaction {
                Transaction::BeginRefresh { .. } => answer.clone(),
                _ => Outcome::StorageFailed { cause: "disk full".into() },
            };
            phone.event(Event::Completed { effect: id, server_time: None, outcome });
        }
        assert!(matches!(phone.failure_of(waiting), Failure::Storage { .. }));
        assert_eq!(phone.health(), SessionHealth::Degraded);
        phone.storage_fails = false;
        phone.release_storage();
        phone.pass(31_000);
        let waiting = phone.command(Command::AccessToken);
        phone.answer(refresh, granted(2));
        assert!(phone.reply_to(waiting).is_ok());
        assert_eq!(phone.health(), SessionHealth::Fresh);
    }
}

#[test]
fn tokens_that_storage_refused_are_revoked_by_a_sign_out_all_the_same() {
    let mut phone = expired();
    phone.command(Command::AccessToken);
    phone.storage_fails = true;
    phone.answer(refresh, granted(2));
    phone.event(Event::Foreground);
    phone.command(Command::SignOut);
    assert!(
        phone.state.secrets().contains(&SecretRef(2_002)),
        "until storage works, this phone remembers what to revoke"
    );
    phone.advance(7_000);
    phone.storage_fails = false;
    phone.forget_history();
    phone.advance(5_000);
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Asked));
    assert_eq!(phone.stored(|t| format!("{t:?}").contains("SecretRef(2002)")), 1);
    assert!(phone.state.secrets().is_empty(), "{:?}", phone.state.secrets());
}

#[test]
fn tokens_that_come_after_a_sign_out_are_revoked() {
    let mut phone = expired();
    phone.command(Command::AccessToken);
    phone.command(Command::SignOut);
    phone.forget_history();
    phone.answer(refresh, granted(2));
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Asked));
    assert_eq!(phone.stored(|t| format!("{t:?}").contains("SecretRef(2002)")), 1);
    assert!(phone.state.secrets().is_empty(), "{:?}", phone.state.secrets());
}

#[test]
fn tokens_of_a_sign_in_that_was_given_up_are_revoked() {
    type Leave = fn(&mut TestPhone);
    let ways: [(&str, Leave); 2] = [
        ("cancelled", |phone| {
            phone.command(Command::CancelLogin);
        }),
        ("signed out", |phone| {
            phone.command(Command::SignOut);
        }),
    ];
    for (how, leave) in ways {
        let mut phone = in_browser();
        phone.comes_back_with(redirect());
        leave(&mut phone);
        phone.forget_history();
        phone.answer(exchange, login_granted(claims()));
        assert!(matches!(phone.view().session, SessionState::SignedOut { .. }), "{how}");
        assert_eq!(phone.stored(|t| format!("{t:?}").contains("SecretRef(2001)")), 1, "{how}");
        assert!(phone.state.secrets().is_empty(), "{how}: {:?}", phone.state.secrets());
    }
    // A newer sign-in takes its place. Once that is complete, nothing is revoked any more: at some issuers that would end it, too.
    for complete in [false, true] {
        let mut phone = in_browser();
        phone.comes_back_with(redirect());
        phone.begins_login();
        phone.answer(discover, Outcome::Metadata { metadata: metadata() });
        let (late, _) = phone.open.pop_first().unwrap();
        if complete {
            phone.comes_back_with(redirect());
            phone.answer(exchange, login_granted(claims()));
            assert!(phone.is_signed_in());
        }
        phone.forget_history();
        phone.event(Event::Completed { effect: late, server_time: None, outcome: granted(7) });
        let taken_back = phone.stored(|t| format!("{t:?}").contains("SecretRef(2007)"));
        assert_eq!(taken_back, usize::from(!complete));
    }
}

#[test]
fn the_id_token_of_a_refresh_is_of_the_same_agent_issuer_and_app_or_the_tokens_are_not_used() {
    type Change = fn(&mut Claims);
    let foreign: [(&str, Change); 3] = [
        ("another agent", |claims| claims.sub = "bob".into()),
        ("another issuer", |claims| claims.iss = "https://evil.example.com".into()),
        ("another app", |claims| claims.aud = vec!["another".into()]),
    ];
    for (what, change) in foreign {
        let mut phone = expired();
        let waiting = phone.command(Command::AccessToken);
        let mut told = claims();
        change(&mut told);
        phone.answer(refresh, granted_with(told));
        assert!(phone.reply_to(waiting).is_err(), "{what}");
        assert!(phone.is_signed_in(), "{what}: no sign-out for it");
        assert!(!phone.state.secrets().contains(&SecretRef(1_002)), "{what}: its token is kept");
        assert_eq!(phone.stored(|t| matches!(t, Transaction::FinishRefresh { .. })), 0, "{what}");
    }
    // A refresh has no nonce of its own, and may be years after the sign-in (OpenID Connect Core, section 12.2).
    let mut phone = expired();
    let waiting = phone.command(Command::AccessToken);
    phone.answer(refresh, granted_with(Claims { nonce: None, iat: 1, exp: 2, ..claims() }));
    assert!(phone.reply_to(waiting).is_ok());
}

fn granted_with(claims: Claims) -> Outcome {
    match granted(2) {
        Outcome::Granted { grant } => Outcome::Granted { grant: Grant { claims: Some(claims), ..grant } },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_vault_that_lost_the_metadata_asks_for_it_and_then_refreshes() {
    let contents = Contents { metadata: None, ..TestPhone::contents_of_alice() };
    let mut phone = TestPhone::new(contents);
    phone.event(Event::Started { seed: 1 });
    phone.pass(2 * HOUR);
    let waiting = phone.command(Command::AccessToken);
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    phone.answer(refresh, granted(2));
    assert!(phone.reply_to(waiting).is_ok());

    let contents = Contents { metadata: None, ..TestPhone::contents_of_alice() };
    let mut phone = TestPhone::new(contents);
    phone.event(Event::Started { seed: 1 });
    phone.pass(2 * HOUR);
    let waiting = phone.command(Command::AccessToken);
    phone.answer(
        discover,
        Outcome::Metadata { metadata: ServerMetadata { issuer: "https://evil.example".into(), ..metadata() } },
    );
    assert!(phone.reply_to(waiting).is_err());
    assert!(phone.is_signed_in());
    assert_eq!(phone.sent(refresh), 0);
}

#[test]
fn endpoints_that_have_moved_are_asked_for_again_and_kept() {
    for status in [301, 308, 404, 405, 410] {
        let mut phone = TestPhone::signed_in();
        phone.pass(2 * HOUR);
        let waiting = phone.command(Command::AccessToken);
        phone.answer(refresh, Outcome::Unintelligible { status, cause: "a page".into(), page: true });
        assert!(phone.reply_to(waiting).is_err(), "{status}");
        phone.pass(HOUR / 30);
        let waiting = phone.command(Command::AccessToken);
        let moved = ServerMetadata { token_endpoint: "https://id.example.com/new/token".into(), ..metadata() };
        phone.answer(discover, Outcome::Metadata { metadata: moved.clone() });
        let asks = |request: &&Request| matches!(request, Request::Refresh { token_endpoint, .. } if *token_endpoint == moved.token_endpoint);
        assert_eq!(phone.requests().iter().filter(|request| asks(request)).count(), 1, "{status}");
        let kept =
            |stored: &Transaction| matches!(stored, Transaction::SaveMetadata { metadata } if *metadata == moved);
        assert_eq!(phone.stored(kept), 1, "{status}");
        phone.answer(refresh, granted(2));
        assert!(phone.reply_to(waiting).is_ok(), "{status}");
    }
}

#[test]
fn an_issuer_that_does_not_tell_its_endpoints_is_asked_at_the_old_ones() {
    let mut phone = TestPhone::signed_in();
    phone.pass(2 * HOUR);
    phone.command(Command::AccessToken);
    phone.answer(refresh, Outcome::Unintelligible { status: 404, cause: "a page".into(), page: true });
    phone.pass(HOUR / 30);
    let waiting = phone.command(Command::AccessToken);
    phone.answer(discover, unavailable(503));
    phone.answer(refresh, granted(2));
    assert!(phone.reply_to(waiting).is_ok());
}

#[test]
fn a_repair_asks_for_the_endpoints_again() {
    let mut phone = TestPhone::signed_in();
    phone.command(Command::Repair);
    assert_eq!(phone.sent(discover), 1);
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    assert_eq!(phone.sent(refresh), 1);
}

#[test]
fn a_clock_that_is_years_off_neither_signs_out_nor_storms() {
    for years in [-10, 10] {
        let mut phone = TestPhone::signed_in();
        phone.now.wall += years * 365 * 24 * 3_600_000;
        for _ in 0..20 {
            phone.advance(15_000);
            phone.now.wall -= years * 365 * 24 * 3_600_000;
            phone.hears_heartbeat();
            phone.now.wall += years * 365 * 24 * 3_600_000;
        }
        assert_eq!(phone.sent(refresh), 0);

        // And a cold start with such a clock: at most one refresh.
        let mut phone = TestPhone::new(TestPhone::contents_of_alice());
        phone.now.wall += years * 365 * 24 * 3_600_000;
        phone.event(Event::Started { seed: 1 });
        phone.event(Event::Foreground);
        while phone.open.values().any(refresh) {
            phone.answer(refresh, granted(2));
        }
        phone.advance(10_000);
        assert!(phone.sent(refresh) <= 1);
        assert!(phone.is_signed_in());
    }
}

#[test]
fn a_refresh_does_not_leave_after_the_end_of_its_lease() {
    let mut phone = expired();
    phone.command(Command::AccessToken);
    phone.answer(refresh, Outcome::Unintelligible { status: 404, cause: "a page".into(), page: true });
    phone.pass(31_000);
    // It has the lease, asks where the endpoint is, and falls asleep.
    let waiting = phone.command(Command::AccessToken);
    phone.pass(HOUR);
    let newer = TokenSet { expires_at: EPOCH + 9 * HOUR as i64, ..tokens(2) };
    phone.leases.push_back(Outcome::NewerTokens { tokens: newer });
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    assert_eq!(phone.sent(refresh), 1, "another process has done it meanwhile");
    assert_eq!(phone.reply_to(waiting), &Ok(Reply::Token { access: SecretRef(1_002) }));
}

#[test]
fn a_refresh_whose_answer_may_come_after_the_end_of_its_lease_takes_a_new_one_first() {
    let mut phone = expired();
    phone.holds_storage = true;
    phone.command(Command::AccessToken);
    // Asleep until nearly the end of it.
    phone.pass(REFRESH_LEASE - 1);
    phone.release_storage();
    assert_eq!(phone.stored(|t| matches!(t, Transaction::BeginRefresh { .. })), 2);
    let until = phone.requests().into_iter().find_map(|request| match request {
        Request::Refresh { until, .. } => Some(*until),
        _ => None,
    });
    assert!(until.is_some_and(|until| until <= phone.now.mono + REFRESH_LEASE - LONGEST_REQUEST), "{until:?}");
}

#[test]
fn a_refusal_while_another_process_refreshes_is_no_sign_out() {
    let mut phone = expired();
    let waiting = phone.command(Command::AccessToken);
    phone.pass(60_000);
    phone.holds_storage = true;
    phone.answer(refresh, oauth_error("invalid_grant"));
    let (effect, transaction) = phone.held.pop_first().unwrap();
    assert_eq!(transaction, Transaction::Reread);
    let outcome = Outcome::RefreshLeaseHeld { for_millis: 40_000 };
    phone.event(Event::Completed { effect, server_time: None, outcome });
    assert!(phone.is_signed_in() && !phone.has_reply(waiting));
    let newer = TokenSet { expires_at: EPOCH + 9 * HOUR as i64, ..tokens(2) };
    phone.leases.push_back(Outcome::NewerTokens { tokens: newer });
    phone.release_storage();
    phone.advance(250);
    assert_eq!(phone.reply_to(waiting), &Ok(Reply::Token { access: SecretRef(1_002) }));
}

// ---- refusals --------------------------------------------------------------------------------------------------

fn refused_with(error: &str, description: Option<&str>) -> Outcome {
    Outcome::OAuthError { error: error.into(), description: description.map(str::to_owned) }
}

/// In the foreground with a token of long ago, while the issuer refuses every refresh with a word that nobody knows.
fn refused_for(hours: u64, with_time: bool) -> TestPhone {
    let mut phone = expired();
    phone.event(Event::Foreground);
    refuses_for(&mut phone, hours, with_time);
    phone
}

fn refuses_for(phone: &mut TestPhone, hours: u64, with_time: bool) {
    for _ in 0..hours * 60 {
        while phone.open.values().any(refresh) {
            let outcome = refused_with("server_says_no", Some("Ask the administrator."));
            if with_time {
                phone.answer_with_time(refresh, outcome);
            } else {
                phone.answer(refresh, outcome);
            }
        }
        phone.advance(60_000);
    }
}

fn asks_to_sign_in(phone: &TestPhone) -> Option<String> {
    match phone.view().session {
        SessionState::ReauthRequired { agent, message, .. } => {
            assert_eq!(agent, alice());
            Some(message)
        }
        _ => None,
    }
}

#[test]
fn a_dead_refresh_token_under_other_words_asks_for_a_new_sign_in() {
    for (error, description) in [
        ("invalid_request", Some("Refresh token expired.")),
        (
            "invalid_request",
            Some("clientID app refresh token (ID 7) is invalid or has already been claimed by another client."),
        ),
        ("interaction_required", None),
        ("login_required", None),
        ("consent_required", None),
        ("token_inactive", None),
        ("invalid_client", None),
        ("unauthorized_client", None),
    ] {
        let mut phone = expired();
        let waiting = phone.command(Command::AccessToken);
        phone.answer(refresh, refused_with(error, description));
        assert!(matches!(phone.failure_of(waiting), Failure::Reauthenticate { .. }), "{error} {description:?}");
        let message = asks_to_sign_in(&phone).unwrap_or_else(|| panic!("{error}: {:?}", phone.view()));
        assert!(description.is_none_or(|said| message.contains(said)), "{message}");
        phone.begins_login();
        phone.answer(discover, Outcome::Metadata { metadata: metadata() });
        phone.comes_back_with(redirect());
        phone.answer(exchange, login_granted(claims()));
        assert!(phone.is_signed_in(), "{error} {description:?}");
    }
}

#[test]
fn a_refusal_without_a_reason_that_lasts_asks_for_a_new_sign_in_and_the_old_tokens_are_tried_until_then() {
    assert!(refused_for(3, true).is_signed_in());
    assert!(refused_for(12, false).is_signed_in(), "nobody vouches for the clock");
    let mut phone = refused_for(5, true);
    assert!(phone.sent(refresh) < 100, "{} in five hours", phone.sent(refresh));
    let message = asks_to_sign_in(&phone).unwrap_or_else(|| panic!("{:?}", phone.view()));
    assert!(message.contains("Ask the administrator."), "{message}");
    let token = phone.command(Command::AccessToken);
    while phone.open.values().any(refresh) {
        phone.answer(refresh, refused_with("server_says_no", None));
    }
    assert!(matches!(phone.failure_of(token), Failure::Reauthenticate { .. }));
    phone.advance(HOUR);
    phone.answer(refresh, granted(2));
    assert!(phone.is_signed_in(), "never a false sign-out");
    let token = phone.command(Command::AccessToken);
    assert_eq!(phone.reply_to(token), &Ok(Reply::Token { access: SecretRef(1_002) }));
}

#[test]
fn a_night_between_two_refusals_proves_nothing() {
    let mut phone = expired();
    for _ in 0..2 {
        phone.command(Command::AccessToken);
        phone.answer_with_time(refresh, refused_with("server_says_no", None));
        phone.pass(9 * HOUR);
    }
    assert!(phone.is_signed_in());
}

#[test]
fn refusals_are_remembered_by_the_next_process() {
    let phone = refused_for(3, true);
    let contents = Contents { knowledge: phone.knowledge(), ..TestPhone::contents_of_alice() };
    let mut next = TestPhone::new(contents);
    next.now = phone.now;
    let mut next = next.started();
    next.event(Event::Foreground);
    refuses_for(&mut next, 2, true);
    assert!(asks_to_sign_in(&next).is_some(), "{:?}", next.view());
}

#[test]
fn who_is_refused_may_sign_in_at_once_and_a_login_that_is_given_up_costs_nothing() {
    let mut phone = refused_for(5, true);
    let begun = phone.begins_login();
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    assert!(phone.reply_to(begun).is_ok(), "{:?}", phone.reply_to(begun));
    phone.command(Command::CancelLogin);
    assert!(asks_to_sign_in(&phone).is_some());
    phone.advance(HOUR);
    phone.answer(refresh, granted(2));
    assert!(phone.is_signed_in());

    let mut phone = refused_for(5, true);
    phone.begins_login();
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    let finished = phone.comes_back_with(redirect());
    phone.answer(exchange, login_granted(claims()));
    assert!(phone.reply_to(finished).is_ok());
    assert_eq!(phone.health(), SessionHealth::Fresh);

    let mut phone = refused_for(5, true);
    phone.begins_login();
    phone.command(Command::SignOut);
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Asked));
}

#[test]
fn a_repair_works_while_the_issuer_refuses() {
    let mut phone = refused_for(5, true);
    let repair = phone.command(Command::Repair);
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    phone.answer(refresh, granted(2));
    phone.answer(register, is_state(state(1)));
    phone.answer(fetch, is_state(state(2)));
    assert!(phone.reply_to(repair).is_ok());
    assert!(phone.is_signed_in());
}

#[test]
fn a_login_of_an_earlier_process_that_is_given_up_leaves_the_tokens_that_it_was_to_replace() {
    let mut contents = TestPhone::contents_of_alice();
    contents.pending = in_browser().kept_login();
    let mut phone = TestPhone::new(contents).started();
    phone.command(Command::CancelLogin);
    phone.pass(2 * HOUR);
    let token = phone.command(Command::AccessToken);
    phone.answer(refresh, granted(2));
    assert!(phone.reply_to(token).is_ok());
}

// ---- storms ----------------------------------------------------------------------------------------------------

#[test]
fn a_server_that_wants_to_be_left_alone_is_left_alone_by_those_who_wait_for_a_token_too() {
    let mut phone = expired();
    phone.event(Event::Foreground);
    phone.answer(refresh, Outcome::Unavailable { status: 429, retry_after: Some(120_000) });
    for _ in 0..40 {
        let token = phone.command(Command::AccessToken);
        let Failure::Offline { why } = phone.failure_of(token) else { panic!("{:?}", phone.reply_to(token)) };
        assert!(why.contains("tried again in ") && why.ends_with(" s."), "{why}");
        phone.advance(1_000);
    }
    assert_eq!(phone.sent(refresh), 1);
    phone.advance(120_000);
    phone.answer(refresh, granted(2));
    let token = phone.command(Command::AccessToken);
    assert!(phone.reply_to(token).is_ok());
}

#[test]
fn a_server_that_says_401_to_everything_costs_a_refresh_a_minute_and_then_less() {
    let mut phone = TestPhone::signed_in();
    let (mut minutes, mut generation) = (vec![], 1);
    for _ in 0..60 {
        let before = phone.sent(refresh);
        for _ in 0..12 {
            phone.taps(Availability::Automatic);
            while !phone.open.is_empty() {
                if phone.open.values().any(refresh) {
                    generation += 1;
                    let TokenSet { access, .. } = tokens(generation);
                    let grant = grant(access, None, Some(36_000));
                    phone.answer(refresh, Outcome::Granted { grant });
                } else {
                    phone.answer(whatever, Outcome::Unauthenticated);
                }
            }
            if phone.stream.is_some() {
                phone.stream_closes(Outcome::Unauthenticated);
            }
            phone.advance(5_000);
        }
        minutes.push(phone.sent(refresh) - before);
    }
    assert!(minutes.iter().all(|refreshes| *refreshes <= 2), "{minutes:?}");
    assert!(minutes.iter().sum::<usize>() <= 8, "{minutes:?}");
    assert!(phone.is_signed_in());
}

#[test]
fn a_server_of_which_a_node_says_401_costs_a_refresh_a_minute() {
    let mut phone = TestPhone::signed_in();
    let mut generation = 1;
    for round in 0..600 {
        phone.taps(if round % 2 == 0 { Availability::Automatic } else { Availability::Available });
        let mut outcomes = [Outcome::Unauthenticated, is_state(state(round + 2))].into_iter().cycle();
        while !phone.open.is_empty() {
            if phone.open.values().any(refresh) {
                generation += 1;
                phone.answer(refresh, granted(generation));
            } else {
                phone.answer(whatever, outcomes.next().unwrap());
            }
        }
        phone.advance(1_000);
    }
    assert!(phone.sent(refresh) <= 12, "{} in ten minutes", phone.sent(refresh));
}

#[test]
fn a_token_that_lives_for_no_time_makes_no_storm() {
    for expires_in in [0, 1] {
        let mut phone = TestPhone::signed_in();
        phone.taps(Availability::Automatic);
        phone.answer(tap, Outcome::Unauthenticated);
        let mut generation = 1;
        for _ in 0..600 {
            while phone.open.values().any(refresh) {
                generation += 1;
                let TokenSet { access, .. } = tokens(generation);
                let grant = grant(access, None, Some(expires_in));
                phone.answer(refresh, Outcome::Granted { grant });
            }
            phone.advance(1_000);
        }
        assert!(phone.sent(refresh) <= 15, "{expires_in}: {} in ten minutes", phone.sent(refresh));
    }
}

const DAY: u64 = 24 * HOUR;

/// Refreshes, and is told that the session lives for so long from then on.
fn refreshes_for(phone: &mut TestPhone, generation: Generation, session_life: u64) {
    phone.command(Command::AccessToken);
    let TokenSet { access, refresh: next, .. } = tokens(generation);
    let grant = Grant { session_life: Some(session_life / 1_000), ..grant(access, Some(next), Some(3_600)) };
    phone.answer(refresh, Outcome::Granted { grant });
}

#[test]
fn the_agent_is_told_days_before_a_session_ends_for_good_and_may_sign_in_again() {
    let mut phone = expired();
    refreshes_for(&mut phone, 2, 5 * DAY);
    assert_eq!(phone.health(), SessionHealth::Fresh, "nobody knows yet whether that is the end");
    phone.pass(3 * DAY);
    refreshes_for(&mut phone, 3, 2 * DAY);
    assert_eq!(phone.health(), SessionHealth::Ending);

    // Without a sign-out; and whoever thinks better of it goes on.
    let begun = phone.begins_login();
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    assert!(matches!(phone.reply_to(begun), Ok(Reply::Login { .. })));
    phone.command(Command::CancelLogin);
    assert_eq!(phone.health(), SessionHealth::Ending);
    phone.begins_login();
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    phone.comes_back_with(redirect());
    let now = phone.now.wall.0 / 1_000;
    phone.answer(exchange, login_granted(Claims { iat: now, exp: now + 300, ..claims() }));
    assert_eq!(phone.health(), SessionHealth::Fresh);
}

#[test]
fn an_end_that_each_refresh_moves_is_none_to_tell_of() {
    let mut phone = expired();
    for generation in 2..6 {
        refreshes_for(&mut phone, generation, HOUR / 2);
        assert_eq!(phone.health(), SessionHealth::Fresh);
        phone.pass(2 * HOUR);
    }
    // Zero is what Keycloak says of sessions that do not end.
    for generation in 6..9 {
        refreshes_for(&mut phone, generation, 0);
        assert_eq!(phone.health(), SessionHealth::Fresh);
        phone.pass(2 * HOUR);
    }
}

#[test]
fn an_end_that_the_app_knows_of_is_told_whatever_the_issuer_says() {
    let mut phone = TestPhone::signed_out();
    phone.state.setup.session_life = Some(5 * DAY);
    phone.begins_login();
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    phone.comes_back_with(redirect());
    phone.answer(exchange, login_granted(claims()));
    assert_eq!(phone.health(), SessionHealth::Fresh);
    phone.event(Event::Background);
    phone.pass(3 * DAY);
    refreshes_for(&mut phone, 2, 30 * DAY);
    assert_eq!(phone.health(), SessionHealth::Ending);
}

#[test]
fn a_phone_that_cannot_answer_does_not_ring_and_says_so() {
    // The session is over: nothing that the agent tapped could reach the server.
    let mut phone = expired();
    phone.command(Command::AccessToken);
    phone.answer(refresh, oauth_error("invalid_grant"));
    assert!(!matches!(phone.gets(push("c1", 9)), crate::Verdict::Ring { .. }));
    let SessionState::ReauthRequired { message, .. } = phone.view().session else { panic!() };
    assert!(message.contains("does not ring"), "{message}");

    // The same while the agent is in the browser, who may not come back.
    phone.begins_login();
    assert!(!matches!(phone.gets(push("c2", 9)), crate::Verdict::Ring { .. }));
}

// ---- sign-out --------------------------------------------------------------------------------------------------

#[test]
fn a_sign_out_holds_at_once_and_offline() {
    let mut phone = TestPhone::signed_in();
    phone.gets(push("c1", 2));
    phone.event(Event::NetworkDown);
    let tapped = phone.taps(Availability::Automatic);
    phone.holds_storage = true;
    phone.forget_history();
    let signed_out = phone.command(Command::SignOut);
    assert_eq!(phone.view().session, SessionState::SigningOut);
    assert_eq!(phone.view().presence, None);
    assert_eq!(phone.stops().len(), 1);
    assert!(matches!(phone.failure_of(tapped), Failure::Cancelled { .. }));
    let token = phone.command(Command::AccessToken);
    assert!(matches!(phone.failure_of(token), Failure::Reauthenticate { .. }));
    assert_eq!(phone.gets(push("c2", 3)), crate::Verdict::Silence { reason: Silence::SignedOut });
    phone.event(Event::NetworkDown);
    phone.release_storage();
    assert_eq!(phone.reply_to(signed_out), &Ok(Reply::Done));
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Asked));
    assert_eq!(phone.knowledge().unwrap().account, None);
    assert_eq!(phone.requests(), Vec::<&Request>::new());
}

#[test]
fn a_revocation_is_tried_until_it_is_done() {
    let mut phone = TestPhone::signed_in();
    phone.event(Event::NetworkDown);
    phone.command(Command::SignOut);
    assert_eq!(phone.sent(revoke), 0);
    phone.event(Event::NetworkUp);
    for outcome in [unreachable(), unavailable(503), captive_portal()] {
        phone.answer(revoke, outcome);
        phone.advance(31_000);
    }
    phone.answer(revoke, Outcome::Done);
    assert_eq!(phone.stored(|t| matches!(t, Transaction::Revoked { .. })), 1);
    phone.advance(HOUR);
    assert_eq!(phone.sent(revoke), 4);

    // By the next process, if need be: even one that has to ask where.
    let contents = Contents { revocations: vec![RevocationId(7)], ..Contents::default() };
    let mut phone = TestPhone::new(contents);
    phone.event(Event::Foreground);
    phone.event(Event::Started { seed: 1 });
    phone.answer(discover, unreachable());
    phone.advance(31_000);
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    assert_eq!(phone.sent(revoke), 1);
}

#[test]
fn a_sign_out_that_the_vault_refuses_is_stored_again() {
    let mut phone = TestPhone::signed_in();
    phone.storage_fails = true;
    let signed_out = phone.command(Command::SignOut);
    assert!(matches!(phone.failure_of(signed_out), Failure::Storage { .. }));
    assert!(!phone.is_signed_in());
    phone.advance(7_000);
    phone.storage_fails = false;
    phone.advance(5_000);
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Asked));
    assert_eq!(phone.sent(revoke), 1);
    assert!(!phone.timers.contains_key(&Timer::SaveTokens));
}

#[test]
fn a_remote_sign_out_stops_the_ringing_and_revokes_what_it_drops() {
    for reason in [SignedOutReason::Revoked, SignedOutReason::SignedOutElsewhere, SignedOutReason::AccountClosed] {
        let mut phone = TestPhone::signed_in();
        phone.gets(push("c1", 1));
        phone.is_signed_out_remotely(reason);
        assert_eq!(phone.view().session, SessionState::signed_out(reason.into()));
        assert!(SignedOutWhy::from(reason).explain().is_some());
        assert_eq!(phone.stops(), [("c1".into(), StopReason::Silenced { reason: Silence::SignedOut })]);
        assert_eq!(phone.stored(|t| matches!(t, Transaction::SignOut { of: SignOutScope::Ended { .. }, .. })), 1);
        phone.answer(revoke, Outcome::Done);
        phone.advance(HOUR);
        assert_eq!(phone.sent(revoke), 1);
        assert_eq!(phone.timers.len(), 0);
    }
}

#[test]
fn why_the_server_ended_the_session_is_told_after_a_restart_and_to_other_processes() {
    let ended = Contents { signed_out: Some(SignedOutWhy::Revoked), ..Contents::default() };
    let mut phone = TestPhone::new(ended);
    phone.event(Event::Started { seed: 1 });
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Revoked));
    // A login that was given up goes back to it.
    phone.begins_login();
    phone.command(Command::CancelLogin);
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Revoked));

    let mut phone = expired();
    phone.leases.push_back(Outcome::Reread { tokens: None });
    phone.holds_storage = true;
    phone.command(Command::AccessToken);
    for _ in 0..2 {
        let Some((id, transaction)) = phone.held.pop_first() else { break };
        let contents = Contents { signed_out: Some(SignedOutWhy::Revoked), ..Contents::default() };
        let outcome = match transaction {
            Transaction::BeginRefresh { .. } => Outcome::Reread { tokens: None },
            Transaction::SignOut { .. } => Outcome::Loaded { loaded: Box::new(Loaded::Contents(contents)) },
            other => panic!("{other:?}"),
        };
        phone.event(Event::Completed { effect: id, server_time: None, outcome });
    }
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Revoked));
}

#[test]
fn signing_out_everywhere_ends_this_session_too_whether_stream_or_answer_is_quicker() {
    for stream_is_quicker in [false, true] {
        let mut phone = TestPhone::signed_in();
        phone.gets(push("c1", 1));
        let asked = phone.command(Command::SignOutEverywhere);
        if stream_is_quicker {
            phone.is_signed_out_remotely(SignedOutReason::SignedOutElsewhere);
        } else {
            phone.answer(everywhere, Outcome::Done);
        }
        assert_eq!(phone.reply_to(asked), &Ok(Reply::Done));
        assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Asked));
        assert_eq!(phone.stops(), [("c1".into(), StopReason::Silenced { reason: Silence::SignedOut })]);
        assert_eq!(phone.stored(|t| matches!(t, Transaction::SignOut { of: SignOutScope::Ended { .. }, .. })), 1);
        // The issuer need not be the server that was asked.
        phone.answer(revoke, Outcome::Done);
        phone.advance(HOUR);
        assert_eq!(phone.sent(revoke), 1);
    }
}

#[test]
fn signing_out_everywhere_offline_changes_nothing_and_says_so() {
    let mut phone = TestPhone::signed_in();
    let asked = phone.command(Command::SignOutEverywhere);
    let again = phone.command(Command::SignOutEverywhere);
    assert!(matches!(phone.failure_of(again), Failure::Cancelled { .. }));
    phone.answer(everywhere, unreachable());
    assert!(matches!(phone.failure_of(asked), Failure::Offline { .. }));
    assert!(phone.is_signed_in());
    // An administrator's word is not taken for an answer.
    let asked = phone.command(Command::SignOutEverywhere);
    phone.is_signed_out_remotely(SignedOutReason::Revoked);
    assert!(matches!(phone.failure_of(asked), Failure::Reauthenticate { .. }));
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Revoked));
    let asked = phone.command(Command::SignOutEverywhere);
    assert!(matches!(phone.failure_of(asked), Failure::Reauthenticate { .. }));
}

#[test]
fn whatever_is_under_way_at_a_sign_out_is_answered_and_its_result_is_ignored() {
    let mut phone = TestPhone::signed_in();
    phone.gets(push("c1", 1));
    let commands = [
        phone.command(Command::Answer { call_id: "c1".into() }),
        phone.command(Command::Repair),
        phone.command(Command::AccessToken),
        phone.taps(Availability::Automatic),
        phone.command(Command::SetForwarding { to: None }),
        phone.command(Command::HangUp { call_id: "c1".into() }),
        phone.command(Command::SignOutEverywhere),
    ];
    phone.command(Command::SignOut);
    for id in commands {
        assert!(matches!(phone.failure_of(id), Failure::Cancelled { .. }));
    }
    while !phone.open.is_empty() {
        let outcome = if phone.open.values().next().is_some_and(refresh) { granted(2) } else { is_state(state(5)) };
        phone.answer(whatever, outcome);
    }
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Asked));
    assert_eq!(phone.view().presence, None);
    assert_eq!(phone.view().calls.in_call, None);
}

#[test]
fn a_sign_out_while_the_login_is_being_stored_follows_it_into_the_vault() {
    let mut phone = in_browser();
    let finished = phone.comes_back_with(redirect());
    phone.holds_storage = true;
    phone.answer(exchange, login_granted(claims()));
    let signed_out = phone.command(Command::SignOut);
    assert!(phone.reply_to(finished).is_err());
    let order: Vec<_> = phone.held.values().cloned().collect();
    assert!(
        matches!(
            order[..],
            [Transaction::SignIn { .. }, Transaction::SignOut { of: SignOutScope::CurrentSession, .. }]
        ),
        "{order:?}"
    );
    phone.release_storage();
    assert_eq!(phone.reply_to(signed_out), &Ok(Reply::Done));
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Asked));
    assert_eq!(phone.sent(revoke), 1);
}

#[test]
fn a_sign_out_during_a_new_sign_in_ends_the_old_session_too() {
    let mut phone = expired();
    phone.command(Command::AccessToken);
    phone.answer(refresh, oauth_error("invalid_grant"));
    let begun = phone.begins_login();
    let signed_out = phone.command(Command::SignOut);
    assert!(phone.reply_to(begun).is_err());
    assert_eq!(phone.reply_to(signed_out), &Ok(Reply::Done));
    assert_eq!(phone.view().session, SessionState::signed_out(SignedOutWhy::Asked));
}

#[test]
fn commands_are_answered_in_every_state_of_nobody() {
    for phone in [TestPhone::loading(Loaded::KeyInvalidated), TestPhone::signed_out(), in_browser()] {
        let mut phone = phone;
        for command in [
            Command::AccessToken,
            Command::Repair,
            Command::SetAvailability { availability: Availability::Available },
            Command::SetForwarding { to: None },
            Command::Answer { call_id: "c".into() },
            Command::Decline { call_id: "c".into() },
            Command::HangUp { call_id: "c".into() },
            Command::SetPushToken { token: None },
            Command::CancelLogin,
            Command::SignOut,
        ] {
            let id = phone.command(command);
            assert!(phone.has_reply(id));
        }
    }
}

// ---- repair ----------------------------------------------------------------------------------------------------

#[test]
fn a_repair_resets_token_and_cache_and_keeps_the_sign_in() {
    let mut phone = TestPhone::signed_in();
    let repair = phone.command(Command::Repair);
    assert_eq!(phone.view().presence, None, "the cache is dropped");
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    phone.answer(refresh, granted(2));
    assert_eq!(phone.sent(register), 1);
    phone.answer(register, is_state(state(1)));
    phone.answer(fetch, is_state(state(2)));
    let Ok(Reply::Repaired { steps }) = phone.reply_to(repair) else { panic!() };
    assert_eq!(steps.len(), 4);
    assert!(phone.is_signed_in());
    assert!(phone.stream.is_some());
    assert_eq!(phone.snapshot().version.rev, 2);
    assert_eq!((phone.sent(refresh), phone.sent(register), phone.sent(fetch)), (1, 1, 1));
}

#[test]
fn a_repair_without_a_network_says_so_and_loses_nothing() {
    let mut phone = TestPhone::signed_in();
    phone.event(Event::NetworkDown);
    let repair = phone.command(Command::Repair);
    // The platform's word is not believed when somebody waits.
    phone.answer(discover, not_sent());
    phone.answer(refresh, not_sent());
    assert!(matches!(phone.failure_of(repair), Failure::Offline { .. }));
    phone.event(Event::NetworkUp);
    phone.answer(refresh, granted(2));
    phone.answer(register, is_state(state(2)));
    phone.hears(state(2));
    assert_eq!(phone.health(), SessionHealth::Fresh);
}

#[test]
fn a_repair_takes_the_refresh_that_is_under_way() {
    let mut phone = expired();
    phone.command(Command::AccessToken);
    let repair = phone.command(Command::Repair);
    phone.answer(refresh, granted(2));
    phone.answer(register, is_state(state(2)));
    phone.answer(fetch, is_state(state(3)));
    assert!(phone.reply_to(repair).is_ok());
    assert_eq!(phone.sent(refresh), 1);
}

#[test]
fn a_repair_waits_for_the_lease_of_another_process_even_in_the_background() {
    let mut phone = TestPhone::in_background();
    phone.leases.push_back(Outcome::RefreshLeaseHeld { for_millis: 100 });
    let repair = phone.command(Command::Repair);
    phone.advance(100);
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    phone.answer(refresh, granted(2));
    phone.answer(register, is_state(state(2)));
    phone.answer(fetch, is_state(state(3)));
    assert!(phone.reply_to(repair).is_ok());
}

#[test]
fn of_two_repairs_the_newer_reports() {
    let mut phone = TestPhone::signed_in();
    let older = phone.command(Command::Repair);
    let newer = phone.command(Command::Repair);
    assert!(matches!(phone.failure_of(older), Failure::Cancelled { .. }));
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    phone.answer(refresh, granted(2));
    phone.answer(register, unavailable(503));
    assert!(matches!(phone.failure_of(newer), Failure::Offline { .. }));
}

proptest! {
    /// Whatever the network does, and in whatever order, the agent stays signed in and everybody is answered.
    #[test]
    fn no_sequence_of_network_faults_signs_anybody_out(faults in prop::collection::vec((0_usize..16, 0_u64..40_000), 1..60)) {
        let mut phone = TestPhone::signed_in();
        let outcomes = offline_outcomes();
        for (what, wait) in faults {
            match what {
                13 => { phone.command(Command::AccessToken); }
                14 => phone.event(Event::NetworkDown),
                15 => phone.event(Event::NetworkUp),
                _ => {}
            }
            let outcome = outcomes[what % outcomes.len()].clone();
            if phone.open.is_empty() && phone.stream.is_some() {
                phone.stream_closes(outcome.clone());
            }
            while !phone.open.is_empty() {
                phone.answer(whatever, outcome.clone());
            }
            phone.advance(wait);
            prop_assert!(phone.is_signed_in());
        }
        while !phone.open.is_empty() {
            phone.answer(whatever, unreachable());
        }
        prop_assert_eq!(phone.replies.len(), phone.commands.len());
    }
}

#[test]
fn a_phone_is_saved_when_the_vault_has_all_and_not_before() {
    let mut phone = TestPhone::signed_in();
    assert!(phone.state.is_saved());
    phone.holds_storage = true;
    phone.hears(crate::test_phone::state(2));
    assert!(!phone.state.is_saved());
    phone.release_storage();
    assert!(phone.state.is_saved());

    phone.taps(Availability::Automatic);
    phone.answer(tap, Outcome::Unauthenticated);
    phone.storage_fails = true;
    phone.answer(refresh, granted(2));
    assert!(!phone.state.is_saved(), "tokens in memory only");
    phone.command(Command::SignOut);
    assert!(!phone.state.is_saved(), "a sign-out that the vault has not heard of");
    phone.storage_fails = false;
    phone.advance(5_000);
    assert!(phone.state.is_saved());
}

#[test]
fn no_secret_that_the_state_refers_to_is_dropped() {
    let mut phone = in_browser();
    assert!([STATE, NONCE, VERIFIER].iter().all(|secret| phone.state.secrets().contains(secret)));
    phone.comes_back_with(redirect());
    phone.answer(exchange, login_granted(claims()));
    phone.command(Command::SetPushToken { token: Some(SecretRef(9)) });
    let secrets = phone.state.secrets();
    assert!([SecretRef(1_001), SecretRef(2_001), SecretRef(9)].iter().all(|secret| secrets.contains(secret)));
    phone.command(Command::SignOut);
    assert!(!phone.state.secrets().contains(&SecretRef(1_001)));
}

#[test]
fn who_called_goes_with_the_session_and_why_the_phone_rang_stays() {
    let mut phone = TestPhone::signed_in();
    phone.gets(push("c1", 1));
    phone.command(Command::SignOut);
    assert_eq!(phone.state.calls.log.entries().count(), 2, "the decision, and the end of the ring");
    let state = serde_json::to_string(&phone.state).unwrap();
    assert!(!state.contains("A Customer") && !state.contains("4155550123"), "{state}");
}
