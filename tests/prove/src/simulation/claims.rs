//! What must hold after each step, and in the end.

use std::collections::BTreeMap;

use hookswitch::{
    machine::{CallAction, CallKnowledge, ChoiceKind, Decision, Failure, Silence, Verdict, view::Link},
    wire::{CallState, Effective, PushKind, Snapshot, UnixMillis, Version},
};

use super::{
    Broken,
    phone::{SimulatedPhone, Tapped},
    world::World,
};

/// Dates have whole seconds, and answers take their time: a phone may be so wrong about the server's clock, in milliseconds.
const CLOCK_DOUBT: i64 = 2_500;

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
    let Some(truth) = history.get(&newest) else { return Err(format!("{}: there never was {newest}", here())) };
    let phone_is_up_to_date = believed.is_some_and(|version| version >= push.routing);
    let effective = |wanted: &[Effective]| phone_is_up_to_date && wanted.contains(&truth.presence.effective);
    // Perhaps in a state that came after the push, and that a restore has undone since.
    let is_over = || {
        let later = history.range(push.routing..);
        later.into_iter().any(|(_, state)| {
            let call = state.calls.iter().find(|call| call.call_id == push.call_id);
            call.is_none_or(|call| call.state != CallState::Ringing)
        })
    };
    let holds = match *verdict {
        Verdict::Ring { .. } => push.kind == PushKind::Incoming && !truth.presence.forwarding.is_on(),
        Verdict::Silence { reason } => match reason {
            Silence::ForwardingActive => truth.presence.forwarding.is_on(),
            Silence::NotAvailable => effective(&[Effective::DoNotDisturb, Effective::AfterCallWork]),
            Silence::InAnotherCall => facts.busy || effective(&[Effective::InCall]),
            Silence::AnsweredElsewhere | Silence::CallEnded => {
                push.kind != PushKind::Incoming || phone.stopped.contains(&push.call_id) || is_over()
            }
            Silence::Expired => now + CLOCK_DOUBT >= push.expires_at,
            Silence::Duplicate => facts.call == CallKnowledge::Here,
            Silence::DeviceNotRegistered => {
                phone_is_up_to_date && !truth.devices.iter().any(|device| device.id == phone.device)
            }
            // One agent, who is signed in all the time.
            Silence::SignedOut | Silence::OtherAccount | Silence::SignInNeeded => false,
        },
    };
    if !holds {
        return Err(format!("{}: {verdict:?} is wrong, the newest that is known is {newest}", here()));
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

/// A ring that goes on has nothing against it in what the phone shows.
pub(super) fn while_it_rings(phone: &SimulatedPhone, history: &BTreeMap<Version, Snapshot>) -> Result<(), Broken> {
    for (call_id, routing) in &phone.rings {
        let forwards = |version| history.get(version).is_some_and(|snapshot| snapshot.presence.forwarding.is_on());
        if phone.newest >= *routing && forwards(&phone.newest) {
            return Err(format!("{} goes on ringing for {call_id} while it shows {}", phone.device, phone.newest));
        }
    }
    Ok(())
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
