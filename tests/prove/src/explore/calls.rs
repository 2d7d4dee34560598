//! One agent's calls: one or two phones, pushes in any order and twice, states, stops, forwarding that comes and goes,
//! phones that sleep, die and are started by a push, and answers that are lost.
//!
//! | module | what it is |
//! |---|---|
//! | [`server`] | what the contract says a server does |
//! | [`world`] | phones over the real machine, and what is on its way between them and the server |
//! | [`knows`] | what a phone has been told, and what follows from that: the rule once more, from the outside |
//!
//! A phone sleeps whenever its timers are due and do not go off: they may, or not, at any time after.

mod knows;
mod server;
mod world;

use hookswitch::{
    machine::{IssuerProfile, Setup},
    wire::{DeviceId, Platform},
};
use server::{Kind, Line};
use world::{Phone, World};

use super::{
    Broken, Explored,
    canon::{ERA, canonical_with, fingerprint},
    explored,
    search::{Bounds, Model},
    tell::Story,
};
use crate::report::ErrorMessage;

const ACCOUNT: &str = "alice";

/// What holds in every state, and where.
const RULES: [&str; 9] = [
    // `Knows::judge`, at each push.
    "what is unknown rings: silence has a reason that this phone was told, and that is so",
    "a phone that was told that calls are forwarded does not ring, and stops",
    "a call that stopped does not ring again on a phone that was told why",
    "while a phone rings it asks the server, once it knows for whom",
    // `Knows::judge_shown` and `Knows::judge_stop`, after each step.
    "no ring and no call is shown when the phone was told that it is over, or when its time is",
    "no ring stops and no call is dropped without a reason that the phone was told",
    "what sounds is shown, each push is decided on once, each command has one reply",
    // `World::one_has_it` and `World::reaches`.
    "no two devices have one call, no agent is in two, and nobody ends what another one has",
    // `World::is_settled`, at the end of the kind path.
    "in the end nothing rings, and who the server believes to be in a call is in it",
];

/// One thing that happens. Phones and calls by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Somebody calls the agent.
    Call,
    /// Forwarding is turned on or off, in a browser.
    Forward(bool),
    CallerHangsUp(usize),
    DesktopAnswers(usize),
    /// That one of the pushes on their way arrives; a process that is dead is started by it.
    Push(usize, usize),
    /// It will come once more.
    PushAndAgain(usize, usize),
    /// That request reaches the server.
    Reach(usize, usize),
    /// Its answer arrives.
    Hear(usize, usize),
    /// The phone gives up waiting for it, whether or not it has reached the server.
    Lose(usize, usize),
    /// The vault has been read.
    Load(usize),
    /// The stream brings the newest state.
    News(usize),
    PickUp(usize, usize),
    Decline(usize, usize),
    HangUp(usize, usize),
    /// The process is killed.
    Kill(usize),
    /// The process is killed before its vault has stored what the last step asked for.
    KillUnsaved(usize),
    /// A timer that is due goes off.
    GoOff(usize),
    /// Time goes on to the next moment at which something is due.
    Wait,
}

/// What may still happen, so often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    calls: usize,
    forwards: usize,
    /// Of caller and desktop.
    others: usize,
    duplicates: usize,
    faults: usize,
}

impl Budget {
    const fn spend(&mut self, act: Act) {
        match act {
            Act::Call => self.calls -= 1,
            Act::Forward(_) => self.forwards -= 1,
            Act::CallerHangsUp(_) | Act::DesktopAnswers(_) => self.others -= 1,
            Act::PushAndAgain(..) => self.duplicates -= 1,
            Act::Lose(..) | Act::Kill(_) | Act::KillUnsaved(_) => self.faults -= 1,
            Act::Push(..)
            | Act::Reach(..)
            | Act::Hear(..)
            | Act::Load(_)
            | Act::News(_)
            | Act::PickUp(..)
            | Act::Decline(..)
            | Act::HangUp(..)
            | Act::GoOff(_)
            | Act::Wait => {}
        }
    }
}

/// Who lives here, and what may happen.
pub(super) struct Town {
    name: &'static str,
    phones: usize,
    /// The apps are in front, with a stream each; else only pushes wake them.
    in_front: bool,
    server: Kind,
    budget: Budget,
}

const fn town(name: &'static str, phones: usize, in_front: bool, server: Kind, calls: usize) -> Town {
    Town { name, phones, in_front, server, budget: Budget { calls, forwards: 2, others: 1, duplicates: 1, faults: 2 } }
}

const TOWNS: [Town; 6] = [
    town("calls, one phone", 1, false, Kind::Today, 1),
    town("calls, one phone, two calls", 1, false, Kind::Today, 2),
    town("calls, one phone, an old server", 1, false, Kind::Old, 1),
    town("calls, one phone, a hasty server", 1, false, Kind::Hasty, 1),
    town("calls, one phone in front, two calls", 1, true, Kind::Today, 2),
    town("calls, two phones", 2, false, Kind::Today, 1),
];

/// Enough for a kind path: each turn answers whatever is open.
const KIND_TURNS: usize = 400;
/// So long a kind path takes: all that rings or hangs by a lease has come to its end by then, in milliseconds.
const KIND_TIME: u64 = 150_000;

fn device(phone: usize) -> DeviceId {
    DeviceId(format!("phone-{}", phone + 1))
}

fn setup(phone: usize) -> Setup {
    Setup {
        issuer: "https://id.example.com".into(),
        client_id: "hookswitch-mobile".into(),
        redirect_uris: Vec::new(),
        device: device(phone),
        platform: Platform::Ios,
        profile: IssuerProfile::Unknown,
        session_life: None,
    }
}

impl Town {
    fn acts_of(&self, world: &World, me: usize, acts: &mut Vec<Act>) {
        let Some(phone) = world.at(me) else { return };
        let Budget { duplicates, faults, .. } = world.left;
        for (which, push) in phone.pushes.iter().enumerate() {
            // Of two that are the same it does not matter which one comes.
            if phone.pushes.iter().take(which).any(|earlier| earlier == push) {
                continue;
            }
            acts.push(Act::Push(me, which));
            if duplicates > 0 {
                acts.push(Act::PushAndAgain(me, which));
            }
        }
        if !phone.running {
            return;
        }
        if phone.loading.is_some() {
            acts.push(Act::Load(me));
        }
        for (which, open) in phone.open.iter().enumerate() {
            acts.push(if open.answer.is_some() { Act::Hear(me, which) } else { Act::Reach(me, which) });
            if faults > 0 {
                acts.push(Act::Lose(me, which));
            }
        }
        if phone.stream.is_some_and(|(_, sent)| sent < world.server.rev) {
            acts.push(Act::News(me));
        }
        let shown = world.shown(me);
        for call in shown.ringing {
            acts.extend([Act::PickUp(me, call), Act::Decline(me, call)]);
        }
        if let Some((call, _)) = shown.in_call {
            acts.push(Act::HangUp(me, call));
        }
        if faults > 0 {
            acts.push(Act::Kill(me));
            if phone.before.is_some() {
                acts.push(Act::KillUnsaved(me));
            }
        }
        if phone.has_due(world.now) {
            acts.push(Act::GoOff(me));
        }
    }
}

impl Model for Town {
    type World = World;
    type Act = Act;

    fn start(&self) -> Result<World, Broken> {
        World::new(self, ERA, false)
    }

    fn acts(&self, world: &World) -> Vec<Act> {
        let mut acts = Vec::new();
        let Budget { calls, forwards, others, .. } = world.left;
        if calls > 0 {
            acts.push(Act::Call);
        }
        if forwards > 0 {
            acts.push(Act::Forward(!world.server.forwarding));
        }
        for call in 0..world.server.calls.len() {
            let line = world.server.line(call);
            if others > 0 && line != Some(Line::Ended) {
                acts.push(Act::CallerHangsUp(call));
            }
            if others > 0 && line == Some(Line::Rings) && !world.server.is_in_call() {
                acts.push(Act::DesktopAnswers(call));
            }
        }
        for me in 0..self.phones {
            self.acts_of(world, me, &mut acts);
        }
        if world.next_moment().is_some() {
            acts.push(Act::Wait);
        }
        acts
    }

    fn act(&self, world: &mut World, act: &Act) -> Result<(), Broken> {
        world.entries.clear();
        world.apply(*act)
    }

    fn rests(&self, world: &World) -> bool {
        world.kind_act().is_none() && world.next_moment().is_none()
    }

    fn kind_path(&self, world: &World) -> Result<(), Broken> {
        let mut world = world.clone();
        let end = world.now + KIND_TIME;
        for _ in 0..KIND_TURNS {
            world.entries.clear();
            let act = match world.kind_act() {
                Some(act) => act,
                None if world.now < end && world.next_moment().is_some() => Act::Wait,
                None => return world.is_settled().map_err(|broken| format!("at the end of the kind path: {broken}")),
            };
            world.apply(act).map_err(|broken| format!("on the kind path, {act:?}: {broken}"))?;
        }
        Err(format!("no end within {KIND_TURNS} kind turns"))
    }

    fn fingerprint(&self, world: &World) -> u128 {
        let World { now, phones, server, left, entries: _, records: _ } = world;
        let texts: Vec<String> = phones
            .iter()
            .enumerate()
            .map(|(me, phone)| {
                let Phone {
                    running,
                    state,
                    timers: _,
                    open,
                    loading,
                    stream,
                    next_command: _,
                    waiting,
                    knows,
                    shown: _,
                    vault,
                    before,
                    pushes,
                } = &**phone;
                let process = (running, state, open, loading, stream, waiting, knows);
                let kept = (&vault.knowledge, vault.session.as_ref().map(|session| &session.snapshot), before);
                let (mine, other) = (device(me).0, device(1 - me).0);
                let names = [(mine.as_str(), "me"), (other.as_str(), "you")];
                canonical_with(&(process, kept, pushes, server.kept_for(me)), *now, &names)
            })
            .collect();
        let shared = |mirrored: bool| canonical_with(&(server.shape(mirrored), left), *now, &[]);
        match texts.as_slice() {
            [one, other] if other < one => fingerprint(&[&shared(true), other, one]),
            texts => {
                let mut all = vec![shared(false)];
                all.extend_from_slice(texts);
                fingerprint(&all.iter().map(String::as_str).collect::<Vec<_>>())
            }
        }
    }
}

/// Searches, in each town.
pub(crate) fn explore_calls(depth: usize, states: usize) -> Result<Vec<Explored>, ErrorMessage> {
    let search = |town: &Town| {
        explored(town.name, &RULES, town, Bounds { depth, states }, |acts| {
            let start = World::new(town, ERA, true);
            Story::of(town, (0..town.phones).map(setup).collect(), start, acts, |world| world.entries.clone())
        })
    };
    TOWNS.iter().map(search).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_of_calls_replays() {
        for town in &TOWNS {
            let setups = (0..town.phones).map(setup).collect();
            super::super::tell::tests::replays(town, setups, World::new(town, ERA, true), 9, |world| {
                world.entries.clone()
            });
        }
    }
}
