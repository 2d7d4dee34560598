//! What must hold after each step, and in the end.

use std::collections::BTreeMap;

use hookswitch::{
    machine::{CallAction, CallKnowledge, ChoiceKind, Decision, Failure, Silence, StopReason, Verdict, view::Link},
    wire::{CallId, CallState, Effective, PushKind, Snapshot, UnixMillis, Version},
};

use super::{
    Broken,
    phone::{Ringing, SimulatedPhone, Tapped},
    server::clock,
    world::World,
};

/// Dates have whole seconds, and answers take their time: a phone may be so wrong about the server's clock, in milliseconds.
const CLOCK_DOUBT: i64 = 2_500;

/// How long a phone rings at most when nobody tells it the end, in milliseconds.
const LONGEST_RING: u64 = 90_000;

/// What may be wrong with a ring, as a failure begins.
pub(crate) const MISSED: &str = "missed";
pub(crate) const DOUBLED: &str = "doubled";
pub(crate) const LATE: &str = "late";
pub(crate) const WRONGLY_SILENT: &str = "wrongly silent";

/// Whoever knows the newer state, push or phone, is believed: while it forwards calls the phone is silent; and a phone that
/// is silent has a reason that is true.
pub(super) fn ring_decision(
    phone: &SimulatedPhone,
    decision: &Decision,
    history: &BTreeMap<Version, Snapshot>,
    now: UnixMillis,
) -> Result<(), Broken> {
    let Decision { push, facts, verdict, action, .. } = decision;
    let here = || format!("{}, push of {} at {}", phone.device, push.call_id, push.routing);
    let believed = facts.routing.map(|routing| routing.version);
    if believed < phone.knows().filter(|known| *known > Version::default()) {
        return Err(format!("{}: it goes by {believed:?} and knows {:?}", here(), phone.knows()));
    }
    let newest = believed.unwrap_or_default().max(push.routing);
    // A push that does not say what it was made from may know more than any state: it alone is believed.
    let says_nothing = push.routing == Version::NEVER;
    let truth = history.get(&newest);
    if truth.is_none() && !says_nothing {
        return Err(format!("{}: there never was {newest}", here()));
    }
    let forwards = || match truth {
        Some(truth) if !says_nothing => truth.presence.forwarding.is_on(),
        Some(_) | None => push.forwarding_on,
    };
    let phone_is_up_to_date = !says_nothing && believed.is_some_and(|version| version >= push.routing);
    let effective = |wanted: &[Effective]| {
        phone_is_up_to_date && truth.is_some_and(|truth| wanted.contains(&truth.presence.effective))
    };
    // Perhaps in a state that came after the push, and that a restore has undone since.
    let is_over = || {
        let later = history.range(push.routing..);
        later.into_iter().any(|(_, state)| {
            let call = state.calls.iter().find(|call| call.call_id == push.call_id);
            call.is_none_or(|call| call.state != CallState::Ringing)
        })
    };
    let holds = match *verdict {
        Verdict::Ring { .. } => matches!(push.kind, PushKind::Incoming | PushKind::Unknown) && !forwards(),
        Verdict::Silence { reason } => match reason {
            Silence::ForwardingActive => forwards(),
            Silence::NotAvailable => effective(&[Effective::DoNotDisturb, Effective::AfterCallWork]),
            Silence::InAnotherCall => facts.busy || effective(&[Effective::InCall]),
            Silence::AnsweredElsewhere | Silence::CallEnded => {
                push.kind != PushKind::Incoming || phone.stopped.contains(&push.call_id) || is_over()
            }
            Silence::Expired => now + CLOCK_DOUBT >= push.expires_at || phone.has_no_right_clock(),
            Silence::Duplicate => facts.call == CallKnowledge::Here,
            Silence::DeviceNotRegistered => {
                let lists = |truth: &Snapshot| truth.devices.iter().any(|device| device.id == phone.device);
                phone_is_up_to_date && !truth.is_some_and(lists)
            }
            // One agent, who is signed in all the time.
            Silence::SignedOut | Silence::OtherAccount | Silence::SignInNeeded => false,
        },
    };
    if !holds {
        let class = match verdict {
            Verdict::Ring { .. } => "against the newest state",
            Verdict::Silence { .. } => WRONGLY_SILENT,
        };
        return Err(format!("{class}: {}: {verdict:?}, the newest that is known is {newest}", here()));
    }
    if matches!(verdict, Verdict::Ring { .. }) {
        let knew = phone.rings.contains_key(&push.call_id) || phone.remembers_the_end_of(&push.call_id);
        if knew {
            return Err(format!("{DOUBLED}: {}", here()));
        }
        if now > push.expires_at + CLOCK_DOUBT && phone.clock_is_right && !phone.clock_is_wrong {
            return Err(format!("{LATE}: {}: it was over at {:?}, and it is {now:?}", here(), push.expires_at));
        }
    }
    let wanted = match verdict {
        Verdict::Ring { .. } => CallAction::ReportIncomingCall,
        Verdict::Silence { .. } => CallAction::ReportThenEnd,
    };
    if *action != wanted {
        return Err(format!("{}: {action:?} for {verdict:?}", here()));
    }
    Ok(())
}

/// A push is decided on once, at once; nothing else makes a decision.
pub(super) fn reported_once(was_push: bool, decisions: usize) -> Result<(), Broken> {
    if decisions == usize::from(was_push) {
        return Ok(());
    }
    Err(format!("{decisions} decisions on {}", if was_push { "a push" } else { "no push" }))
}

/// A ring that goes on has nothing against it in what the phone shows, and does not go on for ever.
pub(super) fn while_it_rings(
    phone: &SimulatedPhone,
    history: &BTreeMap<Version, Snapshot>,
    now: u64,
) -> Result<(), Broken> {
    for (call_id, Ringing { routing, shown, since, expires_at }) in &phone.rings {
        let here = || format!("{LATE}: {} goes on ringing for {call_id}", phone.device);
        let newest = phone.newest;
        let state = history.get(&newest);
        let newer = newest >= *routing && (*routing != Version::NEVER || newest > *shown);
        if newer && state.is_some_and(|state| state.presence.forwarding.is_on()) {
            return Err(format!("{} while it shows {newest}, which forwards", here()));
        }
        let call = state.and_then(|state| state.calls.iter().find(|call| call.call_id == *call_id));
        let lives = call.is_some_and(|call| matches!(call.state, CallState::Ringing | CallState::Unknown));
        if newest > *routing && newest > *shown && state.is_some() && !lives {
            return Err(format!("{} while it shows {newest}, in which it is over", here()));
        }
        if now > since + LONGEST_RING {
            return Err(format!("{} for {} s", here(), (now - since) / 1_000));
        }
        let knows_the_time = phone.clock_is_right && !phone.clock_is_wrong;
        if knows_the_time && clock(now) > *expires_at + CLOCK_DOUBT {
            return Err(format!("{} after its end, {} s", here(), clock(now).since(*expires_at) / 1_000));
        }
    }
    Ok(())
}

/// A ring that stops has a reason that is true: else a customer is missed.
pub(super) fn stops_for_a_reason(
    phone: &SimulatedPhone,
    call_id: &CallId,
    why: StopReason,
    history: &BTreeMap<Version, Snapshot>,
    now: u64,
) -> Result<(), Broken> {
    let reason = match why {
        StopReason::AnsweredHere | StopReason::DeclinedHere => return Ok(()),
        StopReason::Silenced { reason } => reason,
    };
    let Some(ring) = phone.rings.get(call_id) else { return Ok(()) };
    let over = |state: &Snapshot| {
        let call = state.calls.iter().find(|call| call.call_id == *call_id);
        call.is_none_or(|call| call.state != CallState::Ringing)
    };
    let since_it_came = || history.range(ring.routing..).map(|(_, state)| state);
    let holds = match reason {
        Silence::ForwardingActive => since_it_came().any(|state| state.presence.forwarding.is_on()),
        Silence::InAnotherCall => since_it_came().any(|state| state.presence.effective == Effective::InCall),
        Silence::NotAvailable => {
            let away = |state: &Snapshot| {
                matches!(state.presence.effective, Effective::DoNotDisturb | Effective::AfterCallWork)
            };
            since_it_came().any(away)
        }
        Silence::AnsweredElsewhere | Silence::CallEnded => since_it_came().any(over),
        Silence::Expired => {
            clock(now) + CLOCK_DOUBT >= ring.expires_at
                || now >= ring.since + LONGEST_RING
                || phone.has_no_right_clock()
        }
        Silence::DeviceNotRegistered => {
            since_it_came().any(|state| !state.devices.iter().any(|device| device.id == phone.device))
        }
        Silence::Duplicate | Silence::SignedOut | Silence::OtherAccount | Silence::SignInNeeded => false,
    };
    if holds { Ok(()) } else { Err(format!("{MISSED}: {} stops ringing for {call_id}: {reason:?}", phone.device)) }
}

/// The network has been quiet for long: everybody agrees, and nothing was lost.
pub(super) fn in_the_end(world: &World<'_>, current: &Snapshot) -> Result<(), Broken> {
    for phone in &world.phones {
        let device = &phone.device;
        let view = phone.state.view(phone.now(world.now));
        let Some(presence) = view.presence else { return Err(format!("{device} shows nothing in the end")) };
        let shown = phone.state.snapshot();
        if shown != Some(current) {
            let shown = shown.map(|snapshot| snapshot.version.to_string()).unwrap_or_default();
            return Err(format!("{device} shows {shown} in the end, the server is at {}", current.version));
        }
        if view.link != Link::Live {
            return Err(format!("{device} hears nothing in the end: {:?}", view.link));
        }
        if !presence.pending.is_empty() {
            return Err(format!("{device} still shows {:?} as pending", presence.pending));
        }
        for tap in &phone.taps {
            tap_is_settled(world, phone, tap)?;
        }
        in_order(world, phone)?;
    }
    for (index, browser) in world.browsers.iter().enumerate() {
        if browser.shown.as_ref() != Some(current) {
            return Err(format!("browser {index} does not show {} in the end", current.version));
        }
    }
    Ok(())
}

/// Acknowledged: carried out. Shown as not applied: not carried out. One of the two, and nothing happens twice.
fn tap_is_settled(world: &World<'_>, phone: &SimulatedPhone, tap: &Tapped) -> Result<(), Broken> {
    let (device, choice) = (&phone.device, &tap.choice);
    let ever = world.server.ever_applied.iter().any(|key| tap.keys.contains(key));
    // What a restore has undone may be called undone.
    let standing = world.server.applied.iter().filter(|key| tap.keys.contains(key)).count();
    if standing > 1 {
        return Err(format!("{device}: {choice:?} was carried out {standing} times"));
    }
    let told = tap.reply.as_ref().is_some_and(|reply| reply.as_ref().is_err_and(|failure| !is_open(failure)));
    let reported = tap.superseded || (told && !tap.replaced);
    if reported && standing > 0 {
        return Err(format!("{device}: {choice:?} was carried out, and reported as not applied: {:?}", tap.reply));
    }
    match &tap.reply {
        Some(Ok(())) if !ever => Err(format!("{device}: {choice:?} was acknowledged, and never carried out")),
        Some(Ok(())) => Ok(()),
        Some(Err(_)) | None if tap.replaced || tap.died => Ok(()),
        Some(Err(failure)) if !ever && !reported => {
            Err(format!("{device}: {choice:?} was not carried out, and nobody said so: {failure:?}"))
        }
        Some(Err(_)) => Ok(()),
        None => Err(format!("{device}: {choice:?} has no answer")),
    }
}

/// The phone has said that it does not know yet.
fn is_open(failure: &Failure) -> bool {
    matches!(failure, Failure::Offline { why, .. } if why.contains("It is settled when"))
}

/// Of two taps on one phone the later one is not overwritten by the earlier one.
fn in_order(world: &World<'_>, phone: &SimulatedPhone) -> Result<(), Broken> {
    for kind in [ChoiceKind::Availability, ChoiceKind::Forwarding] {
        let taps: Vec<&Tapped> = phone.taps.iter().filter(|tap| tap.is_about(kind)).collect();
        let nth = |key: &String| taps.iter().position(|tap| tap.keys.contains(key));
        let order: Vec<usize> = world.server.applied.iter().filter_map(nth).collect();
        if !order.is_sorted() {
            return Err(format!("{}: taps were carried out in another order: {order:?}", phone.device));
        }
    }
    Ok(())
}
