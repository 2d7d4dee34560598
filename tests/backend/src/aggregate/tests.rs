use hookswitch_wire::UnixMillis;
use hookswitch_wire::{AccountId, Capabilities, Role, UnavailableReason};
use proptest::prelude::*;

use super::*;

const NOW: UnixMillis = UnixMillis(1_000_000_000_000);

fn agent() -> Aggregate {
    let agent = Agent {
        account: AccountId::from("a"),
        email: "alice@acme.example".to_owned(),
        name: "Alice".to_owned(),
        role: Role::Agent,
    };
    Aggregate { signed_in: true, ..Aggregate::new(agent, WorkingHours::office("UTC")) }
}

fn context(now: UnixMillis) -> Context {
    Context { now, next_rev: 2, old_server: false, times: ForwardingTimes::default() }
}

fn lease(kind: LeaseKind, expires_at: UnixMillis) -> CallLease {
    CallLease { call_id: CallId::from("c"), kind, expires_at }
}

#[test]
fn the_effective_status_follows_from_everything_in_this_order() {
    // A Sunday: no working hours.
    let sunday = 1_000_000_000_000 - 1_000_000_000_000 % 86_400_000;
    assert!(!WorkingHours::office("UTC").contain(UnixMillis(sunday + 12 * 3_600_000)));
    let away = Availability::Unavailable { reason: UnavailableReason::Other };
    let number: PhoneNumber = "+33612345678".parse().unwrap();
    let (call, work) = (Some(LeaseKind::InCall), Some(LeaseKind::AfterCallWork));
    let table = [
        // signed in, forwarded, lease, availability, effective
        (false, false, None, Availability::Available, Effective::Offline),
        (false, false, call, Availability::Available, Effective::Offline),
        (false, true, None, Availability::Available, Effective::Available),
        (false, true, None, away, Effective::DoNotDisturb),
        (true, false, None, Availability::Available, Effective::Available),
        (true, false, None, away, Effective::DoNotDisturb),
        (true, false, None, Availability::Automatic, Effective::DoNotDisturb),
        (true, false, call, Availability::Available, Effective::InCall),
        (true, false, call, away, Effective::InCall),
        (true, false, work, Availability::Available, Effective::AfterCallWork),
        (true, false, work, away, Effective::AfterCallWork),
        (true, true, call, Availability::Available, Effective::InCall),
        (true, true, None, Availability::Available, Effective::Available),
    ];
    let noon = sunday + 12 * 3_600_000;
    for (signed_in, forwarded, leased, availability, effective) in table {
        let aggregate = Aggregate {
            signed_in,
            forwarding: Forwarding { number: forwarded.then(|| number.clone()), rev: 1, ..Forwarding::default() },
            leases: leased.map(|kind| lease(kind, UnixMillis(noon + 1))).into_iter().collect(),
            availability,
            ..agent()
        };
        assert_eq!(
            aggregate.effective(UnixMillis(noon)),
            effective,
            "{signed_in} {forwarded} {leased:?} {availability:?}"
        );
    }
}

#[test]
fn a_lease_that_ran_out_counts_no_more_even_before_it_is_cleared() {
    let aggregate = Aggregate { leases: vec![lease(LeaseKind::InCall, NOW)], ..agent() };
    assert_eq!(aggregate.effective(NOW - 1), Effective::InCall);
    assert_eq!(aggregate.effective(NOW), Effective::Available);
}

#[test]
fn forwarding_ends_at_its_instant_and_not_before() {
    let mut aggregate = agent();
    let to = ForwardTo { number: "+33612345678".parse().unwrap(), until: Some(NOW + 1_000) };
    aggregate.apply(Command::SetForwarding { to: Some(to), by: None }, context(NOW)).unwrap();
    assert_eq!(aggregate.next_change(NOW), Some(NOW + 1_000));
    aggregate.settle(context(NOW + 999));
    assert_eq!(aggregate.forwarding.until, Some(NOW + 1_000));
    aggregate.settle(Context { next_rev: 3, ..context(NOW + 1_000) });
    assert_eq!(aggregate.forwarding, Forwarding { rev: 3, ..Forwarding::default() });
}

const NEWS: [LegNews; 7] = [
    LegNews::PickedUp,
    LegNews::Pressed1,
    LegNews::Declined,
    LegNews::Busy,
    LegNews::Unanswered,
    LegNews::HungUp,
    LegNews::Gone,
];

/// An agent who forwards, to whom these calls have come.
fn forwarded(calls: &[&str]) -> Aggregate {
    let mut aggregate = agent();
    let to = ForwardTo { number: "+33612345678".parse().unwrap(), until: None };
    aggregate.apply(Command::SetForwarding { to: Some(to), by: None }, context(NOW)).unwrap();
    for call in calls {
        let command = Command::Incoming { call_id: CallId::from(*call), from: None, from_name: None };
        aggregate.apply(command, context(NOW)).unwrap();
    }
    aggregate
}

fn says(aggregate: &mut Aggregate, news: LegNews, now: UnixMillis) -> Result<Vec<Push>, Refusal> {
    aggregate.settle(context(now));
    aggregate.apply(Command::Leg { call_id: CallId::from("c"), news }, context(now))
}

/// Where the call is, and why it went back if it did.
fn fate(aggregate: &Aggregate) -> (CallState, Option<GivenBack>) {
    let tracked = aggregate.tracked(&CallId::from("c")).unwrap();
    (tracked.call.state.clone(), tracked.given_back)
}

const SPOKEN: CallState = CallState::Answered { by: Surface::Forwarded };

#[test]
fn a_forwarded_call_goes_back_to_the_queue_unless_1_is_pressed_in_time() {
    use LegNews::{Busy, Declined, Gone, HungUp, PickedUp, Pressed1, Unanswered};
    let table: [(&[LegNews], i64, _, _); 10] = [
        (&[], 19_999, CallState::Offered, None),
        (&[], 20_000, CallState::Ended, Some(GivenBack::Unanswered)),
        (&[PickedUp], 9_999, CallState::Offered, None),
        (&[PickedUp, PickedUp], 10_000, CallState::Ended, Some(GivenBack::NotConfirmed)),
        (&[Declined], 0, CallState::Ended, Some(GivenBack::Declined)),
        (&[PickedUp, HungUp], 0, CallState::Ended, Some(GivenBack::Declined)),
        (&[Busy, Busy], 0, CallState::Ended, Some(GivenBack::Busy)),
        (&[Unanswered], 0, CallState::Ended, Some(GivenBack::Unanswered)),
        (&[Gone], 0, CallState::Ended, Some(GivenBack::Unanswered)),
        (&[PickedUp, Pressed1, Pressed1, Busy], 0, SPOKEN, None),
    ];
    for (news, passes, state, back) in table {
        let mut aggregate = forwarded(&["c"]);
        for news in news {
            says(&mut aggregate, *news, NOW).unwrap();
        }
        aggregate.settle(context(NOW + passes));
        assert_eq!(fate(&aggregate), (state, back), "{news:?} {passes}");
    }
}

#[test]
fn a_1_that_is_pressed_too_late_has_no_call() {
    let mut aggregate = forwarded(&["c"]);
    assert_eq!(says(&mut aggregate, LegNews::Pressed1, NOW + 20_000), Err(Refusal::CallTaken));
    assert_eq!(fate(&aggregate), (CallState::Ended, Some(GivenBack::Unanswered)));
    assert_eq!(says(&mut aggregate, LegNews::HungUp, NOW + 20_000), Ok(Vec::new()));
}

#[test]
fn the_agent_is_in_a_forwarded_call_exactly_while_its_leg_stands() {
    let mut aggregate = forwarded(&["c"]);
    says(&mut aggregate, LegNews::Pressed1, NOW).unwrap();
    // An hour, each time when something changes and not oftener.
    let mut now = NOW;
    let mut renewals = 0;
    while now < NOW + 3_600_000 {
        assert_eq!((aggregate.effective(now), fate(&aggregate).0), (Effective::InCall, SPOKEN));
        now = aggregate.next_change(now).unwrap();
        aggregate.settle(context(now));
        renewals += 1;
    }
    assert_eq!(renewals, 120);
    // A server that was away meanwhile.
    now += 86_400_000;
    aggregate.settle(context(now));
    assert_eq!(aggregate.effective(now), Effective::InCall);
    let mut hung_up = aggregate.clone();
    says(&mut hung_up, LegNews::HungUp, now).unwrap();
    assert_eq!((hung_up.effective(now), fate(&hung_up).0), (Effective::AfterCallWork, CallState::Ended));
    says(&mut aggregate, LegNews::Gone, now).unwrap();
    aggregate.settle(context(now + LEASE));
    assert_eq!((aggregate.effective(now + LEASE), fate(&aggregate).0), (Effective::Available, CallState::Ended));
}

#[test]
fn one_call_at_a_time_is_at_the_number() {
    let mut aggregate = forwarded(&["c", "second"]);
    let second = aggregate.tracked(&CallId::from("second")).unwrap();
    assert_eq!((second.given_back, &second.call.forwarded_to), (Some(GivenBack::OneAtATime), &None));
    says(&mut aggregate, LegNews::Declined, NOW).unwrap();
    let third = Command::Incoming { call_id: CallId::from("third"), from: None, from_name: None };
    aggregate.apply(third, context(NOW)).unwrap();
    assert_eq!(aggregate.tracked(&CallId::from("third")).unwrap().call.state, CallState::Offered);
}

#[test]
fn of_what_rings_when_forwarding_is_turned_on_one_call_goes_to_the_number() {
    let mut aggregate = agent();
    for call in ["c", "second"] {
        let command = Command::Incoming { call_id: CallId::from(call), from: None, from_name: None };
        aggregate.apply(command, context(NOW)).unwrap();
    }
    let to = ForwardTo { number: "+33612345678".parse().unwrap(), until: None };
    aggregate.apply(Command::SetForwarding { to: Some(to), by: None }, context(NOW)).unwrap();
    assert_eq!(fate(&aggregate), (CallState::Offered, None));
    let second = aggregate.tracked(&CallId::from("second")).unwrap();
    assert_eq!((&second.call.state, second.given_back), (&CallState::Ended, Some(GivenBack::OneAtATime)));
}

#[test]
fn forwarding_that_ends_in_the_middle_brings_what_is_offered_to_the_apps_and_leaves_what_is_spoken() {
    let off = Command::SetForwarding { to: None, by: None };
    let mut offered = forwarded(&["c"]);
    let mut spoken = offered.clone();
    offered.apply(off.clone(), context(NOW + 1_000)).unwrap();
    assert_eq!(fate(&offered), (CallState::Ringing, None));
    assert_eq!(offered.next_change(NOW + 1_000), Some(NOW + 1_000 + RING));
    assert_eq!(says(&mut offered, LegNews::Pressed1, NOW + 2_000), Err(Refusal::CallTaken), "it rings elsewhere");
    says(&mut spoken, LegNews::Pressed1, NOW).unwrap();
    spoken.apply(off.clone(), context(NOW)).unwrap();
    assert_eq!((fate(&spoken), spoken.effective(NOW)), ((SPOKEN, None), Effective::InCall));
    let mut nobody = Aggregate { signed_in: false, ..forwarded(&["c"]) };
    nobody.apply(off, context(NOW)).unwrap();
    assert_eq!(fate(&nobody), (CallState::Ended, Some(GivenBack::ForwardingOff)));
}

#[test]
fn a_call_that_an_older_server_forwarded_is_over() {
    let mut aggregate = forwarded(&["c"]);
    let call = aggregate.calls.first_mut().unwrap();
    (call.call.state, call.leg) = (SPOKEN, None);
    aggregate.settle(context(NOW));
    assert_eq!(fate(&aggregate).0, CallState::Ended);
}

/// A step of a random history: a command, and how much time passes before it.
fn step() -> impl Strategy<Value = (Command, i64)> {
    let call = (0..4_u8).prop_map(|n| CallId(format!("call-{n}")));
    let device = (0..3_u8).prop_map(|n| DeviceId(format!("device-{n}")));
    let availability = prop_oneof![
        Just(Availability::Available),
        Just(Availability::Automatic),
        Just(Availability::Unavailable { reason: UnavailableReason::OnABreak }),
    ];
    let register = (device.clone(), prop::option::of(Just("token".to_owned()))).prop_map(|(id, push_token)| {
        let session = format!("session of {id}");
        let device = RegisterDevice {
            name: id.0.clone(),
            platform: Platform::Ios,
            app_version: "1".to_owned(),
            push_token,
            capabilities: Capabilities::default(),
            line_number: None,
        };
        Command::Register { id, device, session }
    });
    let command = prop_oneof![
        availability.prop_map(|availability| Command::SetAvailability { availability, by: None }),
        prop::option::of(prop::option::of(1..90_000_i64)).prop_map(|on| {
            let number = "+33612345678".parse().unwrap();
            // From the beginning of the history: some are over by then.
            let to = on.map(|until| ForwardTo { number, until: until.map(|ms| NOW + ms) });
            Command::SetForwarding { to, by: None }
        }),
        register,
        device.clone().prop_map(Command::Unregister),
        device.clone().prop_map(|id| Command::SessionEnded(format!("session of {id}"))),
        call.clone().prop_map(|call_id| Command::Incoming { call_id, from: None, from_name: None }),
        (call.clone(), device.clone())
            .prop_map(|(call_id, device)| Command::Answer { call_id, by: Surface::Mobile { device } }),
        call.clone().prop_map(|call_id| Command::Answer { call_id, by: Surface::Web }),
        (call.clone(), prop::option::of(device.clone())).prop_map(|(call_id, by)| Command::Decline { call_id, by }),
        (call.clone(), prop::option::of(device)).prop_map(|(call_id, by)| Command::HangUp { call_id, by }),
        call.clone().prop_map(Command::Renew),
        (call, prop::sample::select(NEWS.to_vec())).prop_map(|(call_id, news)| Command::Leg { call_id, news }),
    ];
    (command, prop_oneof![0..5_000_i64, Just(30_000), Just(45_000), Just(60_000)])
}

proptest! {
    #[test]
    fn whatever_happens_the_promises_hold(history in prop::collection::vec(step(), 1..60)) {
        let mut aggregate = agent();
        let mut now = NOW;
        let mut told: Vec<(CallId, DeviceId)> = Vec::new();
        let mut seen = Vec::new();
        for (command, passes) in history {
            now += passes;
            let mut pushes = aggregate.settle(context(now));
            // A call has one name; the operator never gives it twice.
            if let Command::Incoming { call_id, .. } = &command {
                if seen.contains(call_id) { continue; }
                seen.push(call_id.clone());
            }
            pushes.extend(aggregate.apply(command.clone(), context(now)).unwrap_or_default());
            for push in pushes {
                let name = (push.call.call_id.clone(), push.device.clone());
                match push.kind {
                    PushKind::Incoming => {
                        prop_assert!(!aggregate.forwarding.is_on(), "pushed although forwarded");
                        prop_assert!(!told.contains(&name), "pushed twice");
                        told.push(name);
                    }
                    PushKind::Unknown => prop_assert!(false, "pushed a word that there is not"),
                    PushKind::AnsweredElsewhere | PushKind::Ended => {
                        prop_assert!(told.contains(&name), "told the end of what it never heard of");
                        told.retain(|known| *known != name);
                    }
                }
            }
            // Time that has passed leaves nothing behind.
            prop_assert!(aggregate.forwarding.until.is_none_or(|until| until > now && aggregate.forwarding.is_on()));
            prop_assert!(aggregate.leases.iter().all(|lease| lease.expires_at > now));
            for tracked in &aggregate.calls {
                if tracked.call.state == CallState::Ringing {
                    prop_assert!(tracked.call.expires_at > now && !aggregate.forwarding.is_on());
                }
            }
            let at_number = |tracked: &&TrackedCall| tracked.call.state == CallState::Offered || tracked.call.state == SPOKEN;
            prop_assert!(aggregate.calls.iter().filter(at_number).count() <= 1, "two calls at the number");
            for tracked in aggregate.calls.iter().filter(at_number) {
                let offered = tracked.call.state == CallState::Offered;
                prop_assert!(!offered || aggregate.forwarding.is_on() && tracked.call.expires_at > now);
                prop_assert_eq!(aggregate.lease_of(&tracked.call.call_id).is_some(), !offered);
                prop_assert!(tracked.leg.is_some() && tracked.call.forwarded_to.is_some());
            }
            if aggregate.effective(now) == Effective::InCall {
                prop_assert!(aggregate.next_change(now).is_some_and(|at| at <= now + LEASE), "stuck in a call");
            }
            let snapshot = aggregate.snapshot(Version::new(1, 1), now);
            if aggregate.forwarding.is_on() {
                prop_assert!(snapshot.devices.iter().all(|device| !device.can_ring()));
            }
            // It can be kept.
            let kept: Aggregate = serde_json::from_str(&serde_json::to_string(&aggregate).unwrap()).unwrap();
            prop_assert_eq!(kept, aggregate.clone());
        }
    }

    #[test]
    fn until_the_next_change_nothing_changes(history in prop::collection::vec(step(), 1..20)) {
        let mut aggregate = agent();
        let mut now = NOW;
        for (command, passes) in history {
            now += passes;
            aggregate.settle(context(now));
            let _ = aggregate.apply(command, context(now));
        }
        let next = aggregate.next_change(now).unwrap_or(now + 100_000);
        let before = aggregate.snapshot(Version::new(1, 1), now);
        let mut later = aggregate.clone();
        later.settle(context(next - 1));
        let after = later.snapshot(Version::new(1, 1), next - 1);
        prop_assert_eq!(Snapshot { at: before.at, ..after }, before);
    }
}
