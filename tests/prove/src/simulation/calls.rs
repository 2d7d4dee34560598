//! What must hold of calls: at most one device has one, and nobody counts as in a call that nobody has.

use hookswitch::wire::{CallId, CallState, LeaseKind, Surface};

use super::{Broken, server::clock, world::World};

/// So soon the server knows what the phone knows, in milliseconds, when nothing keeps the phone from saying it...
const TOLD_WITHIN: u64 = 2_000;
/// ...and so soon when a phone has died with it: the lease of its call. (And what was on its way to the server then.)
const LEASE: u64 = 45_000;
/// The longest that a request may be on its way, in milliseconds.
const ON_THE_WAY: u64 = 52_000;

/// No two devices have a call that the server has given to one of them.
pub(super) fn one_device_has_it(world: &World<'_>, index: usize) -> Result<(), Broken> {
    let Some(phone) = world.phones.get(index) else { return Ok(()) };
    let Some((call_id, false)) = &phone.in_call else { return Ok(()) };
    let others = world.phones.iter().filter(|other| other.device != phone.device);
    for other in others {
        if matches!(&other.in_call, Some((theirs, false)) if theirs == call_id) {
            return Err(format!("{} and {} are both in {call_id}", phone.device, other.device));
        }
    }
    Ok(())
}

/// The server counts the agent as in a call of a phone that is in none.
pub(super) fn nobody_is_in_a_call_that_nobody_has(world: &mut World<'_>) -> Result<(), Broken> {
    let now = world.now;
    let mut held_by_nobody: Vec<(CallId, usize)> = Vec::new();
    if let Some((_, state)) = world.server.history.last_key_value() {
        let live =
            |lease: &&hookswitch::wire::CallLease| lease.kind == LeaseKind::InCall && lease.expires_at > clock(now);
        for lease in state.presence.call_leases.iter().filter(live) {
            let call = state.calls.iter().find(|call| call.call_id == lease.call_id);
            let Some(CallState::Answered { by: Surface::Mobile { device } }) = call.map(|call| &call.state) else {
                continue;
            };
            let holder = world.phones.iter().position(|phone| phone.device == *device);
            let Some((index, phone)) = holder.and_then(|index| Some((index, world.phones.get(index)?))) else {
                return Err(format!("{device}, which nobody has, is in {}", lease.call_id));
            };
            if phone.in_call.as_ref().is_none_or(|(has, _)| *has != lease.call_id) {
                held_by_nobody.push((lease.call_id.clone(), index));
            }
        }
    }
    world.in_no_call_since.retain(|call_id, _| held_by_nobody.iter().any(|(held, _)| held == call_id));
    for (call_id, index) in held_by_nobody {
        let since = *world.in_no_call_since.entry(call_id.clone()).or_insert(now);
        let Some(phone) = world.phones.get(index) else { continue };
        let for_long = now - since;
        let died = !phone.running || phone.answered.get(&call_id).is_some_and(|life| *life != phone.life);
        let cannot_say = !phone.network || phone.partitioned || phone.asleep_until > now;
        let (bound, measured) = if died {
            world.tally.in_no_call_dead = world.tally.in_no_call_dead.max(for_long);
            (LEASE + ON_THE_WAY, for_long)
        } else if cannot_say || now < phone.excused_until || phone.slow > 0 {
            world.tally.in_no_call_excused = world.tally.in_no_call_excused.max(for_long);
            (LEASE + ON_THE_WAY, for_long)
        } else {
            let measured = now - since.max(phone.excused_until);
            world.tally.in_no_call = world.tally.in_no_call.max(measured);
            (TOLD_WITHIN, measured)
        };
        if measured > bound {
            let device = &phone.device;
            return Err(format!("the agent has been in {call_id} for {measured} ms, and {device} is not"));
        }
    }
    Ok(())
}

/// Everything has come to rest: the server and the phones say the same of each call, and whoever asked was told.
pub(super) fn in_the_end(world: &World<'_>) -> Result<(), Broken> {
    let Some((_, state)) = world.server.history.last_key_value() else { return Ok(()) };
    for phone in &world.phones {
        let device = &phone.device;
        let view = phone.state.view(phone.now(world.now));
        if let Some(call) = view.calls.ringing.first() {
            return Err(format!("{device} rings for {} in the end", call.call_id));
        }
        if let Some(call) = &view.calls.in_call {
            let said = state.calls.iter().find(|said| said.call_id == call.call_id).map(|said| &said.state);
            let mine = CallState::Answered { by: Surface::Mobile { device: device.clone() } };
            if call.connecting || said != Some(&mine) {
                return Err(format!("{device} is in {} in the end, and the server says {said:?}", call.call_id));
            }
        }
        for asked in phone.asked.values() {
            let call_id = &asked.call_id;
            let mine = CallState::Answered { by: Surface::Mobile { device: device.clone() } };
            let was_mine = || {
                let states = world.server.history.values().flat_map(|state| &state.calls);
                states.into_iter().any(|call| call.call_id == *call_id && call.state == mine)
            };
            match &asked.reply {
                None if asked.life == phone.life => {
                    return Err(format!("{device}: nobody told what became of {call_id}"));
                }
                Some(Ok(())) if asked.is_answer && !was_mine() => {
                    return Err(format!("{device} was told that it has {call_id}, and never had it"));
                }
                None | Some(_) => {}
            }
        }
    }
    for call in &state.calls {
        let CallState::Answered { by: Surface::Mobile { device } } = &call.state else { continue };
        let holder = world.phones.iter().find(|phone| phone.device == *device);
        let has_it = holder.and_then(|phone| phone.in_call.as_ref()).is_some_and(|(has, _)| *has == call.call_id);
        if !has_it {
            return Err(format!("the caller of {} waits on {device} in the end, which does not have it", call.call_id));
        }
    }
    Ok(())
}
