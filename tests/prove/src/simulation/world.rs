//! Everything that happens, in the order of its time.

use std::{collections::BTreeMap, ops::AddAssign};

use hookswitch::{
    machine::{
        ApiCall, Choice, Command as Ask, CommandId, EffectId, Event, Grant, Outcome, Output, Request, SecretRef,
        Silence, StreamNews, Timer, Timestamp, Transaction, Verdict, Work, step, view::SessionState,
    },
    wire::{CallId, CallPush, ForwardTo, Snapshot, StreamEvent, Surface, Version, stream::Heartbeat},
};
use hookswitch_backend::{Command, Said};

use super::{
    Broken, claims,
    phone::{Phone, date, metadata},
    plan::{Act, Plan, number},
    server::{HEARTBEAT, Pushes, Reader, Server, Stream, Waiting, choose, clock, forward},
};

/// A client gives up a request after this time, in milliseconds.
const ANSWER_TIMEOUT: u64 = 20_000;
/// By then everybody has to agree: a dead stream is noticed after 37.5 s, and the longest backoff is 30 s.
const QUIET: u64 = 150_000;
/// Pushes come late and twice, but not later than this.
const RACE_ENDS: u64 = 9_000;
/// A process that a push starts is asked so often whether it has read the vault, in milliseconds.
const A_MOMENT: u64 = 5;
/// How many browser-like clients there are.
const BROWSERS: usize = 2;

/// What was done in one interleaving.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: usize,
    pub(crate) commands: usize,
    /// Pushes that rang, that did not, and those of them that did not because calls were forwarded.
    pub(crate) rings: usize,
    pub(crate) silences: usize,
    pub(crate) forwarded: usize,
    /// Processes that a push has started.
    pub(crate) cold_starts: usize,
    pub(crate) requests: usize,
    pub(crate) heartbeats: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self { steps, commands, rings, silences, forwarded, cold_starts, requests, heartbeats } = other;
        self.steps += steps;
        self.commands += commands;
        self.rings += rings;
        self.silences += silences;
        self.forwarded += forwarded;
        self.cold_starts += cold_starts;
        self.requests += requests;
        self.heartbeats += heartbeats;
    }
}

/// Plays an interleaving to its end.
pub(crate) fn play(plan: &Plan) -> Result<Tally, Broken> {
    World::new(plan, false).run().map_err(|(broken, _)| broken)
}

/// Plays it and tells what happened.
pub(crate) fn transcript(plan: &Plan) -> Vec<String> {
    match World::new(plan, true).run() {
        Ok(_) => Vec::new(),
        Err((_, story)) => story,
    }
}

/// All that happens, whether or not it fails.
#[cfg(test)]
pub(super) fn story(plan: &Plan) -> Vec<String> {
    let mut world = World::new(plan, true);
    let _ = world.run_to_the_end();
    world.story.unwrap_or_default()
}

/// Whom something happens to: nothing reaches a process that is dead.
type To = (usize, u32);

enum Happening<'p> {
    Act(&'p Act),
    Starts(usize),
    Event(To, Event),
    Timer(To, Timer, u64),
    Stored(To, EffectId, Transaction),
    /// A request is at the server.
    Arrives(To, EffectId, Request, Fate),
    StreamArrives(To, EffectId, SecretRef),
    BrowserConnects(usize, u32),
    BrowserHears(usize, u32, Option<StreamEvent>),
    Beat(u64),
    /// Time alone changes the state.
    Tick,
    Push(usize, CallPush),
    /// A question has waited long enough.
    NoNews(u64),
    Heals,
}

/// What becomes of a packet.
#[derive(Clone, Copy)]
struct Fate {
    there: u64,
    back: u64,
    answer_lost: bool,
}

/// A browser-like client: shows what is newer than what it shows.
#[derive(Default)]
pub(crate) struct Browser {
    pub(crate) shown: Option<Snapshot>,
    connection: u32,
    packets: u64,
}

pub(crate) struct World<'p> {
    plan: &'p Plan,
    pub(crate) now: u64,
    queue: BTreeMap<(u64, u64), Happening<'p>>,
    next: u64,
    pub(crate) server: Server,
    pub(crate) phones: Vec<Phone>,
    pub(crate) browsers: Vec<Browser>,
    healed: bool,
    ticks_at: Option<u64>,
    pub(crate) tally: Tally,
    next_key: u64,
    calls: Vec<CallId>,
    story: Option<Vec<String>>,
}

impl<'p> World<'p> {
    pub(super) fn new(plan: &'p Plan, tells: bool) -> Self {
        let mut server = Server::new();
        let phones = (0..plan.phones).map(|index| Phone::new(index, &mut server, plan.token_life)).collect();
        Self {
            plan,
            now: 0,
            queue: BTreeMap::new(),
            next: 0,
            server,
            phones,
            browsers: (0..BROWSERS).map(|_| Browser::default()).collect(),
            healed: false,
            ticks_at: None,
            tally: Tally::default(),
            next_key: 0,
            calls: Vec::new(),
            story: tells.then(Vec::new),
        }
    }

    fn run(mut self) -> Result<Tally, (Broken, Vec<String>)> {
        match self.run_to_the_end() {
            Ok(()) => Ok(self.tally),
            Err(broken) => {
                self.tell(|| format!("=> {broken}"));
                Err((broken, self.story.unwrap_or_default()))
            }
        }
    }

    pub(super) fn begin(&mut self) {
        for index in 0..self.phones.len() {
            self.at(0, Happening::Starts(index));
        }
        for browser in 0..self.browsers.len() {
            self.at(0, Happening::BrowserConnects(browser, 0));
        }
        for (at, act) in &self.plan.acts {
            self.at(*at, Happening::Act(act));
        }
        let end = self.plan.end();
        self.at(end, Happening::Heals);
    }

    fn run_to_the_end(&mut self) -> Result<(), Broken> {
        self.begin();
        let end = self.plan.end();
        if self.plan.is_race {
            // What is on its way arrives.
            return self.play_until(end + RACE_ENDS);
        }
        self.play_until(end + QUIET)?;
        // A state that has just changed is still on its way.
        for _ in 0..20 {
            if self.now.saturating_sub(self.server.changed_at) > 2_000 {
                break;
            }
            self.play_until(self.now + 1_000)?;
        }
        let (current, _) = self.server.current(self.now);
        claims::in_the_end(self, &current)
    }

    pub(super) fn play_until(&mut self, end: u64) -> Result<(), Broken> {
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if at > end {
                break;
            }
            let happening = entry.remove();
            self.now = at;
            self.happens(happening)?;
        }
        self.now = end;
        Ok(())
    }

    fn at(&mut self, at: u64, happening: Happening<'p>) {
        self.next += 1;
        self.queue.insert((at.max(self.now), self.next), happening);
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let line = format!("{:>7.3} s  {}", self.now as f64 / 1_000.0, line());
            story.push(line);
        }
    }

    // ---- luck --------------------------------------------------------------------------------------------------

    /// The luck of one packet: it does not depend on what happens elsewhere, so that a shorter plan has the same.
    fn luck(&self, who: usize, packet: u64) -> fastrand::Rng {
        let mixed = self.plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((who as u64) << 48) ^ packet;
        fastrand::Rng::with_seed(mixed)
    }

    fn phones_luck(&mut self, phone: usize) -> fastrand::Rng {
        let packet = self.phones.get_mut(phone).map_or(0, |phone| {
            phone.packets += 1;
            phone.packets
        });
        self.luck(phone, packet)
    }

    fn chance(&self, luck: &mut fastrand::Rng, of_a_thousand: u64) -> bool {
        !self.healed && luck.u64(0..1_000) < of_a_thousand
    }

    fn latency(&self, luck: &mut fastrand::Rng, slow: u64) -> u64 {
        if self.healed { luck.u64(5..50) } else { 5 + luck.u64(0..=self.plan.jitter) + luck.u64(0..=slow) }
    }

    // ---- what happens ------------------------------------------------------------------------------------------

    fn happens(&mut self, happening: Happening<'p>) -> Result<(), Broken> {
        match happening {
            Happening::Act(act) => self.act(act),
            Happening::Starts(index) => self.starts(index),
            Happening::Event(to, event) => self.unless_asleep(to, Happening::Event(to, event)),
            Happening::Timer(to, timer, at) => self.unless_asleep(to, Happening::Timer(to, timer, at)),
            Happening::Stored(to, effect, transaction) => {
                let Some(phone) = self.phone(to) else { return Ok(()) };
                let outcome = phone.vault(transaction);
                self.step(to, Event::Completed { effect, server_time: None, outcome })
            }
            Happening::Arrives(to, effect, request, fate) => self.arrives(to, effect, request, fate),
            Happening::StreamArrives(to, effect, access) => self.stream_arrives(to, effect, access),
            Happening::BrowserConnects(browser, connection) => self.browser_connects(browser, connection),
            Happening::BrowserHears(browser, connection, event) => self.browser_hears(browser, connection, event),
            Happening::Beat(stream) => {
                if self.server.streams.get(&stream).is_some_and(|stream| !stream.dead) {
                    self.send_on(stream, StreamEvent::Heartbeat(Heartbeat { at: clock(self.now) }));
                    self.at(self.now + HEARTBEAT, Happening::Beat(stream));
                }
                Ok(())
            }
            Happening::Tick => {
                self.announce(Vec::new());
                Ok(())
            }
            Happening::Push(phone, push) => {
                let now = self.now;
                let Some(Phone { running, life, asleep_until, state, .. }) = self.phones.get_mut(phone) else {
                    return Ok(());
                };
                *asleep_until = 0;
                let life = *life;
                // An app decides when its core is open, which is when the vault was read.
                if !*running || state.view(Timestamp { wall: clock(now), mono: now }).session == SessionState::Loading {
                    let cold = !*running;
                    self.at(now + A_MOMENT, Happening::Push(phone, push));
                    self.tally.cold_starts += usize::from(cold);
                    return if cold { self.starts(phone) } else { Ok(()) };
                }
                self.step((phone, life), Event::Push { push, must_report: true })
            }
            Happening::NoNews(waiting) => {
                self.answer_waiting(waiting, Outcome::Done);
                Ok(())
            }
            Happening::Heals => self.heals(),
        }
    }

    /// A question that waited gets its answer.
    fn answer_waiting(&mut self, waiting: u64, outcome: Outcome) {
        let Some(Waiting { phone, life, effect, back, .. }) = self.server.waiting.remove(&waiting) else { return };
        if self.phones.get(phone).is_some_and(|phone| phone.life == life && !phone.partitioned) {
            let event = Event::Completed { effect, server_time: date(self.now), outcome };
            self.at(self.now + back, Happening::Event((phone, life), event));
        }
    }

    fn phone(&mut self, (index, life): To) -> Option<&mut Phone> {
        self.phones.get_mut(index).filter(|phone| phone.life == life && phone.running)
    }

    fn unless_asleep(&mut self, to: To, happening: Happening<'p>) -> Result<(), Broken> {
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
                if let Event::Completed { effect, .. } = &event
                    && phone.open.remove(effect).is_none()
                {
                    return Ok(());
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

    fn starts(&mut self, index: usize) -> Result<(), Broken> {
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
    fn step(&mut self, to: To, event: Event) -> Result<(), Broken> {
        let now = self.now;
        let Some(phone) = self.phone(to) else { return Ok(()) };
        let at = phone.now(now);
        let beats =
            matches!(&event, Event::Stream { news: StreamNews::Event { event: StreamEvent::Heartbeat(_) }, .. });
        let is_push = matches!(&event, Event::Push { .. });
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
        self.phones.get(to.0).map_or(Ok(()), |phone| claims::while_it_rings(phone, &self.server.history))
    }

    /// What a phone shows now, after a step.
    fn shows(&mut self, (index, _): To) -> Result<(), Broken> {
        let Some(phone) = self.phones.get_mut(index) else { return Ok(()) };
        let view = phone.state.view(phone.now(self.now));
        let Some(presence) = &view.presence else { return Ok(()) };
        if let Some(superseded) = &presence.superseded
            && let Some(tap) = phone.newest_tap(superseded.choice.kind())
        {
            tap.superseded = true;
        }
        let version = presence.confirmed.version;
        if version == phone.newest {
            return Ok(());
        }
        let before = phone.newest;
        phone.newest = version.max(before);
        let device = phone.device.clone();
        self.tell(|| {
            let snapshot = &presence.confirmed;
            format!("{device}: shows {version}, {}", describe(snapshot))
        });
        if version < before {
            return Err(format!("{device} shows {version} after it has shown {before}"));
        }
        match self.server.history.get(&version) {
            Some(snapshot) if *snapshot == *presence.confirmed => Ok(()),
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
                if !phone.network {
                    self.closes(to, id, 1, never_left());
                } else if lost || cut_off {
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
                    && tap.reply.replace(reply).is_some()
                {
                    return Err(format!("{device}: a second reply to {:?}", tap.choice));
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
                if matches!(decision.verdict, Verdict::Ring { .. }) {
                    phone.rings.insert(decision.push.call_id.clone(), decision.push.routing);
                }
            }
            Output::StopRinging { call_id, why } => {
                self.tell(|| format!("phone-{}: stops ringing for {call_id}: {why:?}", index + 1));
                if let Some(phone) = self.phone(to) {
                    phone.rings.remove(&call_id);
                    phone.stopped.insert(call_id);
                }
            }
        }
        Ok(())
    }

    // ---- requests ----------------------------------------------------------------------------------------------

    fn send(&mut self, to: To, id: EffectId, request: Request) {
        let (index, now) = (to.0, self.now);
        let mut luck = self.phones_luck(index);
        let lost = self.chance(&mut luck, self.plan.lost);
        let answer_lost = self.chance(&mut luck, self.plan.lost);
        let twice = self.chance(&mut luck, self.plan.twice);
        let late = self.chance(&mut luck, self.plan.late).then(|| luck.u64(5_000..40_000));
        let Some(phone) = self.phone(to) else { return };
        phone.open.insert(id, ());
        let (slow, cut_off, network) = (phone.slow, phone.partitioned, phone.network);
        if let Request::Api { call, .. } = &request {
            phone.sends(call);
        }
        self.tell(|| format!("phone-{}: sends {}", index + 1, name(&request)));
        let gives_up = |outcome| Happening::Event(to, Event::Completed { effect: id, server_time: None, outcome });
        if !network {
            return self.at(now + 1, gives_up(never_left()));
        }
        // A broken connection is noticed soon, a silent one late.
        let patience = if luck.bool() { luck.u64(50..2_000) } else { ANSWER_TIMEOUT };
        self.at(now + ANSWER_TIMEOUT, gives_up(cut()));
        if lost || cut_off {
            return self.at(now + patience, gives_up(cut()));
        }
        let there = self.latency(&mut luck, slow) + late.unwrap_or(0);
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

    fn arrives(&mut self, to: To, effect: EffectId, request: Request, fate: Fate) -> Result<(), Broken> {
        let (index, life) = to;
        let Some(phone) = self.phones.get(index) else { return Ok(()) };
        let device = phone.device.clone();
        // Cut off on the way; what was delayed for long has left the phone's network before.
        if phone.partitioned && fate.there < 5_000 {
            return Ok(());
        }
        let now = self.now;
        self.announce(Vec::new());
        let (outcome, pushes) = match request {
            Request::Discover => (Outcome::Metadata { metadata: metadata() }, Vec::new()),
            Request::Refresh { .. } => {
                let (access, _) = self.server.token(now, self.plan.token_life);
                let refresh = Some(self.server.secret());
                let expires_in = u64::try_from(self.plan.token_life / 1_000).ok();
                (Outcome::Granted { grant: Grant { access, refresh, expires_in, claims: None } }, Vec::new())
            }
            Request::Api { access, call: _ } if !self.server.accepts(access, now) => {
                (Outcome::Unauthenticated, Vec::new())
            }
            Request::Api { call: ApiCall::AwaitState { after, wait }, .. }
                if !fate.answer_lost && self.server.current(now).0.version <= after =>
            {
                self.server.next_stream += 1;
                let id = self.server.next_stream;
                let waiting = Waiting { phone: index, life, effect, after, back: fate.back };
                self.server.waiting.insert(id, waiting);
                self.at(now + wait * 1_000, Happening::NoNews(id));
                return Ok(());
            }
            Request::Api { call, .. } => {
                let what = name_of_call(&call);
                let (outcome, pushes) = self.server.call(&device, call, now);
                self.tell(|| format!("  server: {what} of {device}: {}", describe_outcome(&outcome)));
                (outcome, pushes)
            }
            Request::ExchangeCode { .. } | Request::Revoke { .. } => (Outcome::Done, Vec::new()),
        };
        self.announce(pushes);
        let still_there = self.phones.get(index).is_some_and(|phone| phone.life == life && !phone.partitioned);
        if still_there && !fate.answer_lost {
            let event = Event::Completed { effect, server_time: date(now), outcome };
            self.at(now + fate.back, Happening::Event(to, event));
        }
        Ok(())
    }

    // ---- streams -----------------------------------------------------------------------------------------------

    fn closes(&mut self, to: To, effect: EffectId, after: u64, outcome: Outcome) {
        let event = Event::Stream { effect, news: StreamNews::Closed { outcome } };
        self.at(self.now + after, Happening::Event(to, event));
    }

    fn stream_arrives(&mut self, to: To, effect: EffectId, access: SecretRef) -> Result<(), Broken> {
        let (phone, life) = to;
        if self.phone(to).is_none_or(|phone| phone.partitioned) {
            return Ok(());
        }
        if !self.server.accepts(access, self.now) {
            let event = Event::Stream { effect, news: StreamNews::Closed { outcome: Outcome::Unauthenticated } };
            self.at(self.now + 20, Happening::Event(to, event));
            return Ok(());
        }
        self.opens(Reader::Phone { phone, life, effect });
        Ok(())
    }

    fn opens(&mut self, reader: Reader) {
        self.server.next_stream += 1;
        let id = self.server.next_stream;
        let stream = Stream { reader, sent: None, arrives: self.now, held: Vec::new(), dead: false };
        self.server.streams.insert(id, stream);
        self.at(self.now + HEARTBEAT, Happening::Beat(id));
        self.announce(Vec::new());
    }

    /// Tells all streams what they were not told, and sends the pushes.
    fn announce(&mut self, mut pushes: Pushes) {
        let (current, more) = self.server.current(self.now);
        pushes.extend(more);
        let behind: Vec<u64> = self
            .server
            .streams
            .iter()
            .filter(|(_, stream)| stream.sent != Some(current.version))
            .map(|(id, _)| *id)
            .collect();
        for id in behind {
            if let Some(stream) = self.server.streams.get_mut(&id) {
                stream.sent = Some(current.version);
            }
            self.send_on(id, StreamEvent::State(Box::new(current.clone())));
        }
        let news = |(id, waiting): (&u64, &Waiting)| (waiting.after < current.version).then_some(*id);
        for id in self.server.waiting.iter().filter_map(news).collect::<Vec<u64>>() {
            self.answer_waiting(id, Outcome::State { snapshot: Box::new(current.clone()) });
        }
        for (device, push) in pushes {
            let Some(index) = self.phones.iter().position(|phone| phone.device == device) else { continue };
            let mut luck = self.phones_luck(index);
            let at = self.now + luck.u64(20..3_000);
            if self.chance(&mut luck, self.plan.twice) {
                self.at(at + luck.u64(0..5_000), Happening::Push(index, push.clone()));
            }
            self.at(at, Happening::Push(index, push));
        }
        if let Some(at) = self.server.model.next_change(clock(self.now)) {
            let at = u64::try_from(at.since(clock(0))).unwrap_or(0);
            if self.ticks_at.is_none_or(|ticks_at| at < ticks_at || ticks_at <= self.now) {
                self.ticks_at = Some(at);
                self.at(at, Happening::Tick);
            }
        }
    }

    fn send_on(&mut self, id: u64, event: StreamEvent) {
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

    fn browser_connects(&mut self, browser: usize, connection: u32) -> Result<(), Broken> {
        if let Some(known) = self.browsers.get_mut(browser) {
            known.connection = connection;
        }
        self.opens(Reader::Browser { browser, connection });
        Ok(())
    }

    fn browser_hears(&mut self, index: usize, connection: u32, event: Option<StreamEvent>) -> Result<(), Broken> {
        let Some(browser) = self.browsers.get_mut(index).filter(|known| known.connection == connection) else {
            return Ok(());
        };
        match event {
            Some(StreamEvent::State(snapshot)) => {
                if browser.shown.as_ref().is_none_or(|shown| snapshot.version > shown.version) {
                    browser.shown = Some(*snapshot);
                }
            }
            Some(StreamEvent::Heartbeat(_) | StreamEvent::SignedOut(_)) => {}
            None => {
                browser.connection += 1;
                let again = browser.connection;
                self.at(self.now + 1_000, Happening::BrowserConnects(index, again));
            }
        }
        Ok(())
    }

    // ---- what people, phones and servers do --------------------------------------------------------------------

    fn ask(&mut self, index: usize, ask: Ask, choice: Option<Choice>) -> Result<(), Broken> {
        let Some(phone) = self.phones.get_mut(index).filter(|phone| phone.running) else { return Ok(()) };
        let id = CommandId(phone.next_command);
        phone.next_command += 1;
        if let Some(choice) = choice {
            self.tally.commands += 1;
            phone.taps(choice, id);
        }
        let to = (index, phone.life);
        self.step(to, Event::Command { id, command: ask })
    }

    fn tells(&mut self, index: usize, event: Event) -> Result<(), Broken> {
        let Some(life) = self.phones.get(index).filter(|phone| phone.running).map(|phone| phone.life) else {
            return Ok(());
        };
        self.step((index, life), event)
    }

    fn browser_does(&mut self, command: Command) {
        self.next_key += 1;
        let key = format!("browser-{}", self.next_key);
        let (current, pushes) = self.server.current(self.now);
        self.announce(pushes);
        let (said, pushes) = self.server.command(&key, Some(current.version), command, self.now);
        self.tell(|| match &said {
            Said::State { snapshot, .. } => format!("  server: now {}, {}", snapshot.version, describe(snapshot)),
            Said::Stale(_) | Said::KeyReused | Said::Refused(_) | Said::Broken(_) => format!("  server: {said:?}"),
        });
        self.announce(pushes);
    }

    fn act(&mut self, act: &Act) -> Result<(), Broken> {
        self.tell(|| format!("* {act:?}"));
        match *act {
            Act::Choose { phone, availability } => {
                let choice = Choice::Availability { availability };
                self.ask(phone, Ask::SetAvailability { availability }, Some(choice))
            }
            Act::Forward { phone, on } => {
                let to = number().filter(|_| on).map(|number| ForwardTo { number, until: None });
                self.ask(phone, Ask::SetForwarding { to: to.clone() }, Some(Choice::Forwarding { to }))
            }
            Act::BrowserChooses { availability } => {
                self.browser_does(choose(availability, Surface::Desktop));
                Ok(())
            }
            Act::BrowserForwards { on } => {
                self.browser_does(forward(number().filter(|_| on)));
                Ok(())
            }
            Act::Call => {
                let call_id = CallId(format!("call-{}", self.calls.len() + 1));
                self.calls.push(call_id.clone());
                self.browser_does(Command::Incoming { call_id, from: None, from_name: None });
                Ok(())
            }
            Act::CustomerHangsUp => {
                if let Some(call_id) = self.calls.last().cloned() {
                    self.browser_does(Command::HangUp { call_id, by: None });
                }
                Ok(())
            }
            Act::PickUp { phone: index } => {
                let now = self.now;
                let ringing = self
                    .phones
                    .get(index)
                    .and_then(|phone| phone.state.view(phone.now(now)).ringing.into_iter().next());
                ringing.map_or(Ok(()), |call| self.ask(index, Ask::Answer { call_id: call.call_id }, None))
            }
            Act::HangUp { phone: index } => {
                let now = self.now;
                let in_call = self.phones.get(index).and_then(|phone| phone.state.view(phone.now(now)).in_call);
                in_call.map_or(Ok(()), |call| self.ask(index, Ask::HangUp { call_id: call.call_id }, None))
            }
            Act::Background { phone } => self.lifecycle(phone, false),
            Act::Foreground { phone } => self.lifecycle(phone, true),
            Act::NetworkDown { phone } => self.network(phone, false),
            Act::NetworkUp { phone } => self.network(phone, true),
            Act::Partition { phone } => {
                self.change(phone, |phone| phone.partitioned = true);
                Ok(())
            }
            Act::Heal { phone } => {
                self.change(phone, |phone| phone.partitioned = false);
                Ok(())
            }
            Act::Buffering { phone, on } => {
                self.change(phone, |phone| phone.buffering = on);
                Ok(())
            }
            Act::Slow { phone, by } => {
                self.change(phone, |phone| phone.slow = by);
                Ok(())
            }
            Act::Sleep { phone, millis } => {
                let until = self.now + millis;
                self.change(phone, |phone| phone.asleep_until = until);
                Ok(())
            }
            Act::Kill { phone: index } => {
                self.change(index, Phone::dies);
                self.server
                    .streams
                    .retain(|_, stream| !matches!(stream.reader, Reader::Phone { phone, .. } if phone == index));
                let wait = self.phones_luck(index).u64(100..3_000);
                self.at(self.now + wait, Happening::Starts(index));
                Ok(())
            }
            Act::Repair { phone } => self.ask(phone, Ask::Repair, None),
            Act::SetClock { phone, skew } => {
                self.change(phone, |phone| phone.skew = skew);
                Ok(())
            }
            Act::ServerRestarts => {
                self.break_all_streams();
                Ok(())
            }
            Act::Backup => {
                self.server.back_up();
                Ok(())
            }
            Act::Restore => {
                self.break_all_streams();
                let pushes = self.server.restore(self.now);
                self.announce(pushes);
                Ok(())
            }
            Act::TokensExpire => {
                self.server.tokens_expire();
                Ok(())
            }
            Act::OldServer { on } => {
                self.server.model.set_old_server(on);
                Ok(())
            }
        }
    }

    fn change(&mut self, index: usize, change: impl FnOnce(&mut Phone)) {
        if let Some(phone) = self.phones.get_mut(index) {
            change(phone);
        }
    }

    pub(super) fn lifecycle(&mut self, index: usize, foreground: bool) -> Result<(), Broken> {
        self.change(index, |phone| phone.foreground = foreground);
        self.tells(index, if foreground { Event::Foreground } else { Event::Background })
    }

    fn network(&mut self, index: usize, up: bool) -> Result<(), Broken> {
        self.change(index, |phone| phone.network = up);
        self.tells(index, if up { Event::NetworkUp } else { Event::NetworkDown })
    }

    fn break_all_streams(&mut self) {
        // Their clients give up by themselves.
        self.server.waiting.clear();
        for (_, stream) in std::mem::take(&mut self.server.streams) {
            match stream.reader {
                Reader::Phone { phone, life, effect } => {
                    if self.phones.get(phone).is_some_and(|phone| !phone.partitioned) {
                        self.closes((phone, life), effect, 20, cut());
                    }
                }
                Reader::Browser { browser, connection } => {
                    self.at(self.now + 20, Happening::BrowserHears(browser, connection, None));
                }
            }
        }
    }

    /// From now on the network is good, and everybody looks at their phone.
    fn heals(&mut self) -> Result<(), Broken> {
        self.tell(|| "* the network heals, all phones are in front".to_owned());
        self.healed = true;
        for index in 0..self.phones.len() {
            let down = self.phones.get(index).is_some_and(|phone| !phone.network);
            let away = self.phones.get(index).is_some_and(|phone| !phone.foreground);
            self.change(index, |phone| {
                // A proxy that holds streams back stays.
                (phone.partitioned, phone.slow, phone.asleep_until) = (false, 0, 0);
                (phone.network, phone.foreground) = (true, true);
            });
            if down {
                self.tells(index, Event::NetworkUp)?;
            }
            if away {
                self.tells(index, Event::Foreground)?;
            }
        }
        Ok(())
    }
}

fn name(request: &Request) -> String {
    match request {
        Request::Discover => "the question for the issuer's metadata".into(),
        Request::ExchangeCode { .. } => "a code".into(),
        Request::Refresh { .. } => "a refresh".into(),
        Request::Revoke { .. } => "a revocation".into(),
        Request::Api { call, .. } => name_of_call(call),
    }
}

fn name_of_call(call: &ApiCall) -> String {
    match call {
        ApiCall::FetchState => "the question for the state".into(),
        ApiCall::AwaitState { after, .. } => format!("the question for what is newer than {after}"),
        ApiCall::SetAvailability { base, availability, .. } => format!("{availability:?} on top of {base}"),
        ApiCall::SetForwarding { base, to, .. } => {
            format!("forwarding {} on top of {base}", if to.is_some() { "on" } else { "off" })
        }
        ApiCall::RegisterDevice { .. } => "its registration".into(),
        ApiCall::SendCode { .. } => "the question for a code".into(),
        ApiCall::VerifyNumber { .. } => "a code".into(),
        ApiCall::EndSession { session, .. } => format!("the end of session {session}"),
        ApiCall::Answer { call_id, .. } => format!("an answer to {call_id}"),
        ApiCall::Decline { call_id, .. } => format!("no to {call_id}"),
        ApiCall::HangUp { call_id, .. } => format!("the end of {call_id}"),
        ApiCall::RenewCallLease { call_id, .. } => format!("a renewal for {call_id}"),
        ApiCall::SignOutEverywhere { .. } => "the end of all sessions".into(),
    }
}

fn describe(snapshot: &Snapshot) -> String {
    let presence = &snapshot.presence;
    let forwarding = if presence.forwarding.is_on() { ", forwarding on" } else { "" };
    format!("{:?}{forwarding}", presence.availability)
}

/// The request may have arrived.
fn cut() -> Outcome {
    Outcome::Unreachable { cause: "simulated".into() }
}

/// The phone had no network.
fn never_left() -> Outcome {
    Outcome::NotSent { cause: "simulated".into() }
}

fn describe_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::State { snapshot } => format!("{}, {}", snapshot.version, describe(snapshot)),
        Outcome::Refused { status, code, current, .. } => {
            let current = current.as_ref().map_or(Version::default(), |current| current.version);
            format!("{status} {code}, is at {current}")
        }
        Outcome::Done
        | Outcome::NotSent { .. }
        | Outcome::Unreachable { .. }
        | Outcome::Unintelligible { .. }
        | Outcome::Unavailable { .. }
        | Outcome::Unauthenticated
        | Outcome::Metadata { .. }
        | Outcome::Granted { .. }
        | Outcome::OAuthError { .. }
        | Outcome::Loaded { .. }
        | Outcome::NewerTokens { .. }
        | Outcome::RefreshLeaseHeld { .. }
        | Outcome::Reread { .. }
        | Outcome::StorageFailed { .. } => format!("{outcome:?}"),
    }
}
