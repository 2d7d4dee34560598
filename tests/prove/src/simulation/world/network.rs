//! The network: what is lost, late or doubled on the way, by the luck of each packet.

use hookswitch::{
    machine::{EffectId, Event, Outcome, Request, StreamNews},
    wire::StreamEvent,
};

use super::{ANSWER_TIMEOUT, DEAF, Fate, Happening, RACED_AFTER, SOON, To, World, words::name};
use crate::simulation::server::Reader;

impl World<'_> {
    /// The luck of one packet: it does not depend on what happens elsewhere, so that a shorter plan has the same.
    fn luck(&self, who: usize, packet: u64) -> fastrand::Rng {
        let mixed = self.plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((who as u64) << 48) ^ packet;
        fastrand::Rng::with_seed(mixed)
    }

    pub(super) fn phones_luck(&mut self, phone: usize) -> fastrand::Rng {
        let packet = self.phones.get_mut(phone).map_or(0, |phone| {
            phone.packets += 1;
            phone.packets
        });
        self.luck(phone, packet)
    }

    pub(super) fn chance(&self, luck: &mut fastrand::Rng, of_a_thousand: u64) -> bool {
        !self.healed && luck.u64(0..1_000) < of_a_thousand
    }

    pub(super) fn latency(&self, luck: &mut fastrand::Rng, slow: u64) -> u64 {
        if self.healed { luck.u64(5..50) } else { 5 + luck.u64(0..=self.plan.jitter) + luck.u64(0..=slow) }
    }

    pub(super) fn send(&mut self, to: To, id: EffectId, request: Request) {
        let (index, now) = (to.0, self.now);
        let mut luck = self.phones_luck(index);
        let lost = self.chance(&mut luck, self.plan.lost);
        let answer_lost = self.chance(&mut luck, self.plan.lost);
        let twice = self.chance(&mut luck, self.plan.twice);
        let late = self.chance(&mut luck, self.plan.late).then(|| luck.u64(5_000..40_000));
        let Some(phone) = self.phone(to) else { return };
        phone.open.insert(id, false);
        let stale = std::mem::take(&mut phone.half_open);
        let (slow, cut_off, network) = (phone.slow, phone.partitioned, phone.network);
        if let Request::Api { call, .. } = &request {
            phone.sends(call);
        }
        self.tell(|| format!("phone-{}: sends {}", index + 1, name(&request)));
        let gives_up = |outcome| Happening::Event(to, Event::Completed { effect: id, server_time: None, outcome });
        if !network {
            if let Some(phone) = self.phone(to) {
                phone.excused_until = phone.excused_until.max(now + SOON);
            }
            return self.at(now + 1, gives_up(never_left()));
        }
        // A broken connection is noticed soon, a silent one late.
        let patience = if luck.bool() { luck.u64(50..2_000) } else { ANSWER_TIMEOUT };
        self.at(now + ANSWER_TIMEOUT, gives_up(cut()));
        let trouble = lost || cut_off || stale || answer_lost || late.is_some();
        if trouble && let Some(phone) = self.phone(to) {
            phone.excused_until = phone.excused_until.max(now + DEAF);
        }
        if lost || cut_off {
            return self.at(now + patience, gives_up(cut()));
        }
        // On a connection that is dead nothing arrives: the shell races a new one after a moment.
        let raced = if stale { RACED_AFTER } else { 0 };
        let there = self.latency(&mut luck, slow) + late.unwrap_or(0) + raced;
        let back = self.latency(&mut luck, slow);
        if twice {
            // A proxy repeats what it takes for safe to repeat.
            let again = there + luck.u64(1..10_000);
            let fate = Fate { there: again, back, answer_lost: true };
            self.at(now + again, Happening::Arrives(to, id, request.clone(), fate));
        }
        self.at(now + there, Happening::Arrives(to, id, request, Fate { there, back, answer_lost }));
        if answer_lost {
            self.at(now + there + patience, gives_up(cut()));
        }
    }

    pub(super) fn closes(&mut self, to: To, effect: EffectId, after: u64, outcome: Outcome) {
        let event = Event::Stream { effect, news: StreamNews::Closed { outcome } };
        self.at(self.now + after, Happening::Event(to, event));
    }

    pub(super) fn send_on(&mut self, id: u64, event: StreamEvent) {
        let Some(reader) = self.server.streams.get(&id).map(|stream| stream.reader) else { return };
        let (mut luck, slow, buffering) = match reader {
            Reader::Phone { phone, .. } => {
                let luck = self.phones_luck(phone);
                let (slow, cut_off, buffering) = self
                    .phones
                    .get(phone)
                    .map_or((0, true, false), |phone| (phone.slow, phone.partitioned, phone.buffering));
                if let Some(stream) = self.server.streams.get_mut(&id)
                    && (stream.dead || cut_off)
                {
                    stream.dead = true;
                    return;
                }
                (luck, slow, buffering)
            }
            Reader::Browser { browser, .. } => {
                let packet = self.browsers.get_mut(browser).map_or(0, |browser| {
                    browser.packets += 1;
                    browser.packets
                });
                (self.luck(100 + browser, packet), 0, false)
            }
        };
        if self.chance(&mut luck, self.plan.lost) {
            // The connection breaks; half the time the client is told.
            if let Some(stream) = self.server.streams.get_mut(&id) {
                stream.dead = true;
            }
            match reader {
                Reader::Phone { phone, life, effect } if luck.bool() => self.closes((phone, life), effect, 200, cut()),
                Reader::Phone { .. } => {}
                Reader::Browser { browser, connection } => {
                    self.at(self.now + 200, Happening::BrowserHears(browser, connection, None));
                }
            }
            return;
        }
        let latency = self.latency(&mut luck, slow);
        let Some(stream) = self.server.streams.get_mut(&id) else { return };
        stream.held.push(event);
        // A proxy lets go when it has collected enough.
        if buffering && stream.held.len() < 8 {
            return;
        }
        stream.arrives = stream.arrives.max(self.now + latency);
        let (at, events) = (stream.arrives, std::mem::take(&mut stream.held));
        for event in events {
            let happening = match reader {
                Reader::Phone { phone, life, effect } => {
                    Happening::Event((phone, life), Event::Stream { effect, news: StreamNews::Event { event } })
                }
                Reader::Browser { browser, connection } => Happening::BrowserHears(browser, connection, Some(event)),
            };
            self.at(at, happening);
        }
    }
}

/// The request may have arrived.
pub(super) fn cut() -> Outcome {
    Outcome::Unreachable { cause: "simulated".into() }
}

/// The phone had no network.
pub(super) fn never_left() -> Outcome {
    Outcome::NotSent { cause: "simulated".into() }
}
