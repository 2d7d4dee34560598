use hookswitch_wire::{Effective, Platform, PushKind, Version};
use proptest::prelude::*;

use super::*;
use crate::{
    AgentProfile,
    test_phone::{EPOCH, push as a_push},
};

// ---- every combination -----------------------------------------------------------------------------------------

const KINDS: [PushKind; 4] = [PushKind::Incoming, PushKind::AnsweredElsewhere, PushKind::Ended, PushKind::Unknown];
const EFFECTIVE: [Effective; 6] = [
    Effective::Offline,
    Effective::DoNotDisturb,
    Effective::Available,
    Effective::InCall,
    Effective::AfterCallWork,
    Effective::Unknown,
];
const CALLS: [CallKnowledge; 4] =
    [CallKnowledge::Open, CallKnowledge::Here, CallKnowledge::AnsweredElsewhere, CallKnowledge::Ended];
const REGISTRATIONS: [Registration; 3] = [Registration::Registered, Registration::NotRegistered, Registration::Unknown];

/// The push is made from revision 5.
fn push() -> CallPush {
    a_push("call", 5)
}

fn signed_in(account: &str) -> Identity {
    Identity::SignedIn { account: account.into() }
}

fn identities() -> [Identity; 4] {
    [signed_in("alice"), signed_in("bob"), Identity::SignedOut, Identity::Unknown]
}

/// Nothing known, and everything that the phone may know at an older, the same and a newer revision or epoch.
fn routings() -> Vec<Option<Routing>> {
    let mut all = vec![None];
    for version in [Version::new(0, 9), Version::new(1, 4), Version::new(1, 5), Version::new(1, 6), Version::new(2, 0)]
    {
        for forwarding_on in [false, true] {
            all.extend(EFFECTIVE.map(|effective| Some(Routing { version, forwarding_on, effective })));
        }
    }
    all
}

fn every_combination(mut visit: impl FnMut(&Facts, &CallPush)) -> usize {
    let mut count = 0;
    let mut times = vec![None];
    times.extend([-1, 0, 1].map(|off| Some(push().expires_at + off)));
    for kind in KINDS {
        for forwarding_on in [false, true] {
            let push = CallPush { kind, forwarding_on, ..push() };
            for identity in identities() {
                for registration in REGISTRATIONS {
                    for routing in routings() {
                        for call in CALLS {
                            for busy in [false, true] {
                                for (server_now, can_answer) in times.iter().flat_map(|at| [(*at, true), (*at, false)])
                                {
                                    let identity = identity.clone();
                                    let facts =
                                        Facts { identity, registration, routing, call, busy, can_answer, server_now };
                                    visit(&facts, &push);
                                    count += 1;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    count
}

/// What the newest that anybody knows says: the phone when it is at least as new as the push, else the push.
fn newest_says_forwarding(facts: &Facts, push: &CallPush) -> bool {
    match facts.routing {
        Some(_) if !phone_is_up_to_date(facts, push) => push.forwarding_on,
        Some(routing) => routing.forwarding_on,
        None => push.forwarding_on,
    }
}

fn phone_is_up_to_date(facts: &Facts, push: &CallPush) -> bool {
    push.routing != Version::NEVER && facts.routing.is_some_and(|routing| routing.version >= push.routing)
}

fn effective_is(facts: &Facts, push: &CallPush, wanted: &[Effective]) -> bool {
    phone_is_up_to_date(facts, push) && facts.routing.is_some_and(|routing| wanted.contains(&routing.effective))
}

/// The phone is behind, or somebody used a word that this version does not know.
fn in_doubt(facts: &Facts, push: &CallPush) -> bool {
    !phone_is_up_to_date(facts, push)
        || push.kind == PushKind::Unknown
        || effective_is(facts, push, &[Effective::Unknown])
}

type Rule = (Silence, fn(&Facts, &CallPush) -> bool);

/// The rules of the product, each by itself, the strongest first.
const RULES: &[Rule] = &[
    (Silence::OtherAccount, |facts, _| facts.identity == signed_in("bob")),
    (Silence::AnsweredElsewhere, |_, push| push.kind == PushKind::AnsweredElsewhere),
    (Silence::CallEnded, |_, push| push.kind == PushKind::Ended),
    (Silence::SignedOut, |facts, _| facts.identity == Identity::SignedOut),
    (Silence::Duplicate, |facts, _| facts.call == CallKnowledge::Here),
    (Silence::ForwardingActive, newest_says_forwarding),
    (Silence::AnsweredElsewhere, |facts, _| facts.call == CallKnowledge::AnsweredElsewhere),
    (Silence::CallEnded, |facts, _| facts.call == CallKnowledge::Ended),
    (Silence::Expired, |facts, push| facts.server_now >= Some(push.expires_at)),
    (Silence::SignInNeeded, |facts, _| !facts.can_answer),
    (Silence::InAnotherCall, |facts, _| facts.busy),
    (Silence::DeviceNotRegistered, |facts, push| {
        phone_is_up_to_date(facts, push) && facts.registration == Registration::NotRegistered
    }),
    (Silence::InAnotherCall, |facts, push| effective_is(facts, push, &[Effective::InCall])),
    (Silence::NotAvailable, |facts, push| {
        effective_is(facts, push, &[Effective::DoNotDisturb, Effective::AfterCallWork])
    }),
];

fn oracle(facts: &Facts, push: &CallPush) -> Verdict {
    match RULES.iter().find(|(_, applies)| applies(facts, push)) {
        Some((reason, _)) => Verdict::Silence { reason: *reason },
        None => Verdict::Ring { until: push.expires_at, verify: in_doubt(facts, push) },
    }
}

#[test]
fn the_rule_is_the_products_rules_for_every_combination_of_facts() {
    let count = every_combination(|facts, push| {
        assert_eq!(decide(facts, push), oracle(facts, push), "{facts:?} {push:?}");
    });
    assert_eq!(count, 4 * 2 * 4 * 3 * 61 * 4 * 2 * 4 * 2);
}

#[test]
fn a_phone_is_never_silent_for_a_reason_that_its_facts_do_not_support() {
    every_combination(|facts, push| {
        if let Verdict::Silence { reason } = decide(facts, push) {
            let supported = RULES.iter().any(|(rule, applies)| *rule == reason && applies(facts, push));
            assert!(supported, "{reason:?}: {facts:?} {push:?}");
        }
    });
}

#[test]
fn a_phone_never_rings_when_the_newest_state_says_that_calls_are_forwarded() {
    every_combination(|facts, push| {
        let rings = matches!(decide(facts, push), Verdict::Ring { .. });
        assert!(!(rings && newest_says_forwarding(facts, push)), "{facts:?} {push:?}");
    });
}

#[test]
fn a_phone_that_knows_nothing_rings_and_asks() {
    assert_eq!(decide(&unknown(), &push()), Verdict::Ring { until: push().expires_at, verify: true });
}

#[test]
fn any_platform_does_one_thing_about_any_decision() {
    every_combination(|facts, push| {
        let verdict = decide(facts, push);
        let rings = matches!(verdict, Verdict::Ring { .. });
        let must = CallAction::of(verdict, Platform::Ios, true);
        let may = CallAction::of(verdict, Platform::Ios, false);
        let android = CallAction::of(verdict, Platform::Android, true);
        assert_eq!(android, CallAction::of(verdict, Platform::Android, false));
        if rings {
            assert_eq!(must, CallAction::ReportIncomingCall);
            assert_eq!(may, CallAction::ReportIncomingCall);
            assert_eq!(android, CallAction::AddCall);
        } else {
            assert_eq!(must, CallAction::ReportThenEnd, "reported, or iOS ends the app");
            assert_eq!(may, CallAction::Nothing);
            assert_eq!(android, CallAction::Nothing, "never added, so never heard");
        }
    });
}

#[test]
fn whoever_asks_is_told_what_the_platform_did() {
    for (action, word) in [
        (CallAction::ReportIncomingCall, "CallKit: rings"),
        (CallAction::ReportThenEnd, "no sound"),
        (CallAction::AddCall, "the app rings"),
        (CallAction::Nothing, "no call is added"),
    ] {
        assert!(action.explain().contains(word), "{}", action.explain());
    }
}

// ---- each reason by its smallest example -----------------------------------------------------------------------

/// The phone knows nothing at all.
fn unknown() -> Facts {
    Facts {
        identity: Identity::Unknown,
        registration: Registration::Unknown,
        routing: None,
        call: CallKnowledge::Open,
        busy: false,
        can_answer: true,
        server_now: None,
    }
}

/// The phone has seen the state that the push was made from.
fn up_to_date(forwarding_on: bool, effective: Effective) -> Facts {
    Facts { routing: Some(Routing { version: Version::new(1, 5), forwarding_on, effective }), ..unknown() }
}

#[track_caller]
fn is_silent(facts: &Facts, push: &CallPush, reason: Silence) {
    assert_eq!(decide(facts, push), Verdict::Silence { reason });
}

#[test]
fn silent_because_forwarding_is_on_by_the_push() {
    is_silent(&unknown(), &CallPush { forwarding_on: true, ..push() }, Silence::ForwardingActive);
}

#[test]
fn silent_because_forwarding_is_on_by_the_phone() {
    is_silent(&up_to_date(true, Effective::Available), &push(), Silence::ForwardingActive);
}

#[test]
fn rings_because_the_push_knows_that_forwarding_was_turned_off() {
    let older = Routing { version: Version::new(1, 4), forwarding_on: true, effective: Effective::Available };
    let facts = Facts { routing: Some(older), ..unknown() };
    assert_eq!(decide(&facts, &push()), Verdict::Ring { until: push().expires_at, verify: true });
}

#[test]
fn rings_because_the_phone_knows_that_forwarding_was_turned_off() {
    let push = CallPush { forwarding_on: true, ..push() };
    let verdict = decide(&up_to_date(false, Effective::Available), &push);
    assert_eq!(verdict, Verdict::Ring { until: push.expires_at, verify: false });
}

#[test]
fn silent_because_the_agent_takes_no_calls() {
    is_silent(&up_to_date(false, Effective::DoNotDisturb), &push(), Silence::NotAvailable);
    is_silent(&up_to_date(false, Effective::AfterCallWork), &push(), Silence::NotAvailable);
}

#[test]
fn silent_because_this_phone_has_another_call() {
    is_silent(&Facts { busy: true, ..unknown() }, &push(), Silence::InAnotherCall);
}

#[test]
fn silent_because_another_device_has_another_call() {
    is_silent(&up_to_date(false, Effective::InCall), &push(), Silence::InAnotherCall);
}

#[test]
fn silent_because_it_was_answered_elsewhere() {
    is_silent(&Facts { call: CallKnowledge::AnsweredElsewhere, ..unknown() }, &push(), Silence::AnsweredElsewhere);
    is_silent(&unknown(), &CallPush { kind: PushKind::AnsweredElsewhere, ..push() }, Silence::AnsweredElsewhere);
}

#[test]
fn silent_because_the_call_is_over() {
    is_silent(&Facts { call: CallKnowledge::Ended, ..unknown() }, &push(), Silence::CallEnded);
    is_silent(&unknown(), &CallPush { kind: PushKind::Ended, ..push() }, Silence::CallEnded);
}

#[test]
fn silent_because_the_push_came_too_late() {
    is_silent(&Facts { server_now: Some(push().expires_at), ..unknown() }, &push(), Silence::Expired);
}

#[test]
fn silent_because_this_phone_has_this_call() {
    is_silent(&Facts { call: CallKnowledge::Here, ..unknown() }, &push(), Silence::Duplicate);
}

#[test]
fn silent_because_nobody_is_signed_in() {
    is_silent(&Facts { identity: Identity::SignedOut, ..unknown() }, &push(), Silence::SignedOut);
}

#[test]
fn silent_because_the_call_is_for_somebody_else() {
    is_silent(&Facts { identity: signed_in("bob"), ..unknown() }, &push(), Silence::OtherAccount);
}

#[test]
fn silent_because_the_server_does_not_count_this_phone_any_more() {
    let facts = Facts { registration: Registration::NotRegistered, ..up_to_date(false, Effective::Available) };
    is_silent(&facts, &push(), Silence::DeviceNotRegistered);
}

#[test]
fn silent_because_nobody_could_answer_here_before_a_new_sign_in() {
    let facts = Facts { identity: signed_in("alice"), can_answer: false, ..unknown() };
    is_silent(&facts, &push(), Silence::SignInNeeded);
    is_silent(&facts, &CallPush { forwarding_on: true, ..push() }, Silence::ForwardingActive);
}

#[test]
fn every_reason_is_reachable_and_says_why() {
    let mut reached = std::collections::BTreeSet::new();
    every_combination(|facts, push| {
        let verdict = decide(facts, push);
        if let Verdict::Silence { reason } = verdict {
            reached.insert(reason);
        }
        let action = CallAction::of(verdict, Platform::Ios, true);
        assert!(!action.explain().is_empty());
    });
    assert_eq!(reached, Silence::ALL.into_iter().collect());
    for reason in Silence::ALL {
        assert!(reason.explain().starts_with("Silent: "), "{reason:?}");
    }
}

#[test]
fn a_decision_explains_itself() {
    let explain = |facts: Facts, push: CallPush| {
        let verdict = decide(&facts, &push);
        let action = CallAction::of(verdict, Platform::Ios, true);
        let decision = Decision { push, facts, verdict, action, at: EPOCH };
        (decision.rings(), decision.explain())
    };
    assert_eq!(
        explain(unknown(), CallPush { forwarding_on: true, ..push() }),
        (false, "Silent: calls are forwarded to an external number, so the mobile app does not ring.".to_owned())
    );
    let (rings, why) = explain(unknown(), push());
    assert!(rings && why.contains("asked to confirm"), "{why}");
    let (rings, why) = explain(up_to_date(false, Effective::Available), push());
    assert!(rings && why.contains("newest state"), "{why}");
}

// ---- properties over all versions ------------------------------------------------------------------------------

fn any_facts() -> impl Strategy<Value = Facts> {
    let routing = prop::option::of((0_u64..3, 0_u64..9, any::<bool>(), 0_usize..5)).prop_map(|routing| {
        routing.map(|(epoch, rev, forwarding_on, effective)| Routing {
            version: Version::new(epoch, rev),
            forwarding_on,
            effective: EFFECTIVE[effective],
        })
    });
    let now = prop::option::of((0..60_000_i64).prop_map(|later| EPOCH + later));
    (0_usize..4, 0_usize..3, routing, 0_usize..4, any::<(bool, bool)>(), now).prop_map(
        |(identity, registration, routing, call, (busy, can_answer), server_now)| Facts {
            identity: identities()[identity].clone(),
            registration: REGISTRATIONS[registration],
            routing,
            call: CALLS[call],
            busy,
            can_answer,
            server_now,
        },
    )
}

fn any_push() -> impl Strategy<Value = CallPush> {
    (0_u64..3, 0_u64..9, any::<bool>(), 0_usize..5).prop_map(|(epoch, rev, forwarding_on, kind)| CallPush {
        kind: KINDS.get(kind).copied().unwrap_or(PushKind::Incoming),
        routing: Version::new(epoch, rev),
        forwarding_on,
        ..push()
    })
}

proptest! {
    /// Once the phone is believed, learning a newer version with the same content changes nothing: it never goes back to
    /// the opinion of the push.
    #[test]
    fn a_phone_that_is_believed_stays_believed(facts in any_facts(), push in any_push(), ahead in 1_u64..5) {
        // (Of a push that does not say what it was made from, nobody knows who is ahead.)
        prop_assume!(push.routing != Version::NEVER);
        let Some(routing) = facts.routing.filter(|routing| routing.version >= push.routing) else { return Ok(()) };
        let version = Version::new(routing.version.epoch, routing.version.rev + ahead);
        let newer = Facts { routing: Some(Routing { version, ..routing }), ..facts.clone() };
        let contrary = CallPush { forwarding_on: !push.forwarding_on, ..push.clone() };
        prop_assert_eq!(decide(&newer, &push), decide(&facts, &push));
        prop_assert_eq!(decide(&newer, &contrary), decide(&facts, &push), "the push has no say any more");
    }

    /// A phone that is behind has no opinion about routing: the push decides as if the phone knew nothing.
    #[test]
    fn a_phone_that_is_behind_has_no_say(facts in any_facts(), push in any_push()) {
        let Some(routing) = facts.routing.filter(|routing| routing.version < push.routing) else { return Ok(()) };
        prop_assert!(routing.version < push.routing);
        let ignorant = Facts { routing: None, ..facts.clone() };
        prop_assert_eq!(decide(&facts, &push), decide(&ignorant, &push));
    }

    #[test]
    fn a_ring_ends_with_the_call_and_is_verified_unless_the_phone_is_up_to_date(facts in any_facts(), push in any_push()) {
        prop_assert_eq!(decide(&facts, &push), oracle(&facts, &push));
        if let Verdict::Ring { until, verify } = decide(&facts, &push) {
            prop_assert_eq!(until, push.expires_at);
            prop_assert_eq!(verify, in_doubt(&facts, &push));
            prop_assert!(facts.server_now.is_none_or(|now| now < until));
        }
    }
}

// ---- the log ---------------------------------------------------------------------------------------------------

#[test]
fn the_log_keeps_the_last_two_hundred() {
    let mut log = RingLog::default();
    let entry = |at| RingRecord::Stopped { call_id: "c".into(), why: StopReason::AnsweredHere, at };
    (0..250).for_each(|at| log.push(entry(UnixMillis(at))));
    assert_eq!(log.entries().count(), RingLog::KEPT);
    assert_eq!(log.entries().next(), Some(&entry(UnixMillis(50))));
    assert_eq!(log.entries().next_back(), Some(&entry(UnixMillis(249))));
}

#[test]
fn an_agent_is_called_by_the_best_name_there_is() {
    let nameless = AgentProfile { account: "a".into(), email: None, name: None };
    let with_email = AgentProfile { email: Some("e".into()), ..nameless.clone() };
    let with_name = AgentProfile { name: Some("n".into()), ..with_email.clone() };
    assert_eq!([&nameless, &with_email, &with_name].map(String::from), ["a", "e", "n"]);
}
