//! The phones: real cores, their steps with what must hold after each, and their effects.

use std::collections::BTreeMap;

use hookswitch::{
    machine::{Event, Output, Silence, StreamNews, Verdict, Work, step},
    wire::{CallId, Snapshot, StreamEvent, UnixMillis, Version},
};

use super::{
    ANSWER_TIMEOUT, Happening, To, World,
    network::{cut, never_left},
    words::describe,
};
use crate::simulation::{
    Broken, calls, claims,
    phone::{Ringing, SimulatedPhone},
    server::{Reader, clock},
};

/// An answer that is older than this, or of a clock that is off by more, says nothing of the time, in milliseconds.
const CLOCK_IS_RIGHT: i64 = 2_500;

impl<'p> World<'p> {
    pub(super) fn phone(&mut self, (index, life): To) -> Option<&mut SimulatedPhone> {
        self.phones.get_mut(index).filter(|phone| phone.life == life && phone.running)
    }

    pub(super) fn unless_asleep(&mut self, to: To, happening: Happening<'p>) -> Result<(), Broken> {
        let now = self.now;
        let Some(phone) = self.phone(to) else { return Ok(()) };
        let awake_at = phone.asleep_until;
        if awake_at > now {
            self.at(awake_at, happening);
            return Ok(());
        }
        match happening {
            Happening::Timer(to, timer, at) => {
                if phone.timers.get(&timer) != Some(&at) {
                    return Ok(());
                }
                phone.timers.remove(&timer);
                self.step(to, Event::Timer { timer })
            }
            Happening::Event(to, event) => {
                // One answer a request: a timeout that comes after it is none.
                if let Event::Completed { effect, server_time, .. } = &event {
                    // An answer on a connection that was cut off is none either.
                    if phone.open.get(effect).is_none_or(|cut_off| *cut_off && server_time.is_some()) {
                        return Ok(());
                    }
                    phone.open.remove(effect);
                }
                self.step(to, event)
            }
            Happening::Act(_)
            | Happening::Starts(_)
            | Happening::Stored(..)
            | Happening::Arrives(..)
            | Happening::StreamArrives(..)
            | Happening::BrowserConnects(..)
            | Happening::BrowserHears(..)
            | Happening::Beat(_)
            | Happening::Tick
            | Happening::Push(..)
            | Happening::NoNews(_)
            | Happening::Heals => Ok(()),
        }
    }

    pub(super) fn starts(&mut self, index: usize) -> Result<(), Broken> {
        // A push may have started it before.
        let Some(phone) = self.phones.get_mut(index).filter(|phone| !phone.running) else { return Ok(()) };
        phone.running = true;
        let (to, network, foreground) = ((index, phone.life), phone.network, phone.foreground);
        let seed = self.phones_luck(index).u64(..);
        self.tell(|| format!("phone-{}: the app starts", index + 1));
        self.step(to, Event::Started { seed })?;
        if !network {
            self.step(to, Event::NetworkDown)?;
        }
        if foreground { self.step(to, Event::Foreground) } else { Ok(()) }
    }

    /// One step of a real core, its checks, and its effects.
    pub(super) fn step(&mut self, to: To, event: Event) -> Result<(), Broken> {
        let now = self.now;
        let Some(phone) = self.phone(to) else { return Ok(()) };
        let at = phone.now(now);
        let beats =
            matches!(&event, Event::Stream { news: StreamNews::Event { event: StreamEvent::Heartbeat(_) }, .. });
        let is_push = matches!(&event, Event::Push { .. });
        if let Event::Completed { server_time: Some(said), .. } = &event {
            let is_right = (said.since(clock(now))).abs() < CLOCK_IS_RIGHT;
            phone.clock_is_right |= is_right;
            phone.clock_is_wrong |= !is_right;
        }
        let effects = step(&mut phone.state, event, at);
        let decisions = effects.output.iter().filter(|output| matches!(output, Output::Decided { .. })).count();
        claims::reported_once(is_push, decisions)?;
        self.tally.steps += 1;
        self.tally.heartbeats += usize::from(beats);
        self.shows(to)?;
        for output in effects.output {
            self.hears(to, output)?;
        }
        for work in effects.work {
            self.carry_out(to, work);
        }
        if let Some(phone) = self.phones.get_mut(to.0) {
            claims::while_it_rings(phone, &self.server.history, now)?;
            if let Some(left) = &mut phone.dies_after {
                *left = left.saturating_sub(1);
                if *left == 0 && phone.running {
                    self.kills(to.0);
                }
            }
        }
        calls::one_device_has_it(self, to.0)
    }

    /// What a phone shows now, after a step.
    fn shows(&mut self, (index, _): To) -> Result<(), Broken> {
        let Some(phone) = self.phones.get_mut(index) else { return Ok(()) };
        let view = phone.state.view(phone.now(self.now));
        phone.in_call = view.calls.in_call.map(|call| (call.call_id, call.connecting));
        let Some(presence) = &view.presence else { return Ok(()) };
        if let Some(superseded) = &presence.superseded
            && let Some(tap) = phone.newest_tap(superseded.choice.kind())
        {
            tap.superseded = true;
        }
        let Some(shown) = phone.state.snapshot().cloned() else { return Ok(()) };
        let version = shown.version;
        if version == phone.newest {
            return Ok(());
        }
        let before = phone.newest;
        phone.newest = version.max(before);
        let device = phone.device.clone();
        self.tell(|| format!("{device}: shows {version}, {}", describe(&shown)));
        if version < before {
            return Err(format!("{device} shows {version} after it has shown {before}"));
        }
        match self.server.history.get(&version) {
            Some(snapshot) if *snapshot == shown => Ok(()),
            Some(_) => Err(format!("{device} shows {version} otherwise than the server made it")),
            None => Err(format!("{device} shows {version}, which the server never made")),
        }
    }

    fn carry_out(&mut self, to: To, work: Work) {
        let (index, now) = (to.0, self.now);
        self.tally.requests += usize::from(matches!(work, Work::Send { .. } | Work::OpenStream { .. }));
        match work {
            Work::Send { id, request } => self.send(to, id, request),
            Work::Store { id, transaction } => {
                let wait = self.phones_luck(index).u64(0..20);
                let Some(phone) = self.phone(to) else { return };
                phone.vault_free = phone.vault_free.max(now + wait);
                let at = phone.vault_free;
                self.at(at, Happening::Stored(to, id, transaction));
            }
            Work::OpenStream { id, access, after } => {
                self.tell(|| {
                    let after = after.map_or("nothing".to_owned(), |version| version.to_string());
                    format!("phone-{}: opens a stream, knows {after}", index + 1)
                });
                let mut luck = self.phones_luck(index);
                let lost = self.chance(&mut luck, self.plan.lost);
                let Some(phone) = self.phone(to) else { return };
                let (slow, cut_off) = (phone.slow, phone.partitioned);
                let stale = std::mem::take(&mut phone.half_open);
                if !phone.network {
                    self.closes(to, id, 1, never_left());
                } else if lost || cut_off || stale {
                    self.closes(to, id, ANSWER_TIMEOUT, cut());
                } else {
                    let at = now + self.latency(&mut luck, slow);
                    self.at(at, Happening::StreamArrives(to, id, access));
                }
            }
            Work::CloseStream { id } => {
                let reader = Reader::Phone { phone: index, life: to.1, effect: id };
                self.server.streams.retain(|_, stream| stream.reader != reader);
            }
            Work::SetTimer { timer, at } => {
                let Some(phone) = self.phone(to) else { return };
                phone.timers.insert(timer.clone(), at);
                // The monotonic clock of a phone is a second ahead.
                self.at(at.saturating_sub(1_000), Happening::Timer(to, timer, at));
            }
            Work::CancelTimer { timer } => {
                if let Some(phone) = self.phone(to) {
                    phone.timers.remove(&timer);
                }
            }
        }
    }

    /// What the app and its call UI are told.
    fn hears(&mut self, to: To, output: Output) -> Result<(), Broken> {
        let index = to.0;
        match output {
            Output::Reply { to: command, reply } => {
                let reply = reply.map(|_| ());
                self.tell(|| match &reply {
                    Ok(()) => format!("phone-{}: done", index + 1),
                    Err(failure) => format!("phone-{}: fails: {failure:?}", index + 1),
                });
                let Some(phone) = self.phone(to) else { return Ok(()) };
                let device = phone.device.clone();
                if let Some(tap) = phone.taps.iter_mut().rev().find(|tap| tap.id == command)
                    && tap.reply.replace(reply.clone()).is_some()
                {
                    return Err(format!("{device}: a second reply to {:?}", tap.choice));
                }
                if let Some(asked) = phone.asked.get_mut(&command)
                    && asked.reply.replace(reply).is_some()
                {
                    return Err(format!("{device}: a second reply about {}", asked.call_id));
                }
            }
            Output::Decided { decision } => {
                match decision.verdict {
                    Verdict::Ring { .. } => self.tally.rings += 1,
                    Verdict::Silence { reason } => {
                        self.tally.silences += 1;
                        self.tally.forwarded += usize::from(reason == Silence::ForwardingActive);
                    }
                }
                self.tell(|| {
                    let push = &decision.push;
                    format!("phone-{}: push of {} at {}: {:?}", index + 1, push.call_id, push.routing, decision.verdict)
                });
                let history = &self.server.history;
                let Some(phone) = self.phones.get_mut(index) else { return Ok(()) };
                claims::ring_decision(phone, &decision, history, clock(self.now))?;
                let call_id = &decision.push.call_id;
                let pushed = phone.pushed.remove(call_id);
                if matches!(decision.verdict, Verdict::Ring { .. }) {
                    if let Some(pushed) = pushed {
                        let wait = self.now.saturating_sub(pushed);
                        self.tally.sounds += 1;
                        self.tally.until_sound += wait;
                        self.tally.latest_sound = self.tally.latest_sound.max(wait);
                    }
                    let expires_at = expires_at(history, call_id).unwrap_or(decision.push.expires_at);
                    let (routing, shown, since) = (decision.push.routing, phone.has_heard(), self.now);
                    phone.rings.insert(call_id.clone(), Ringing { routing, shown, since, expires_at });
                }
            }
            Output::StopRinging { call_id, why } => {
                self.tell(|| format!("phone-{}: stops ringing for {call_id}: {why:?}", index + 1));
                let (now, history) = (self.now, &self.server.history);
                if let Some(phone) = self.phones.get_mut(index) {
                    claims::stops_for_a_reason(phone, &call_id, why, history, now)?;
                    phone.rings.remove(&call_id);
                    phone.stopped.insert(call_id);
                }
            }
        }
        Ok(())
    }
}

/// By the server's true clock.
fn expires_at(history: &BTreeMap<Version, Snapshot>, call_id: &CallId) -> Option<UnixMillis> {
    let calls = history.values().rev().flat_map(|state| &state.calls);
    calls.filter(|call| call.call_id == *call_id).map(|call| call.expires_at).next()
}
