//! Everything that happens, in the order of its time.
//!
//! | module | what it does |
//! |---|---|
//! | here | the queue: what happens when, and to whom |
//! | [`cores`] | the phones: steps of real cores, what must hold after each, and their effects |
//! | [`network`] | what is lost, late or doubled on the way |
//! | [`server_side`] | what comes to the server, and what it tells everybody |
//! | [`acts`] | what people, phones and servers do |
//! | [`words`] | all of it in words |

mod acts;
mod cores;
mod network;
mod server_side;
mod words;

use std::{collections::BTreeMap, ops::AddAssign};

use hookswitch::{
    machine::{EffectId, Event, Outcome, Request, SecretRef, Timer, Timestamp, Transaction, view::SessionState},
    wire::{CallId, CallPush, Snapshot, StreamEvent, stream::Heartbeat},
};

use super::{
    Broken, calls, claims,
    phone::SimulatedPhone,
    plan::{Act, Kind, Plan},
    server::{HEARTBEAT, Server, clock},
};

/// A client gives up a request after this time, in milliseconds.
const ANSWER_TIMEOUT: u64 = 20_000;

/// By then everybody has to agree: a dead stream is noticed after 37.5 s, and the longest backoff is 30 s.
const QUIET: u64 = 150_000;

/// Pushes come late and twice, but not later than this.
const RACE_ENDS: u64 = 9_000;

/// A process that a push starts is asked so often whether it has read the vault, in milliseconds.
const A_MOMENT: u64 = 5;

/// A request without an answer is raced on a new connection after this time, in milliseconds.
const RACED_AFTER: u64 = 1_500;

/// What was not heard is said again after this time at most, in milliseconds.
const SOON: u64 = 3_000 + 500;

/// A request that vanishes is given up and said again by then.
const DEAF: u64 = ANSWER_TIMEOUT + SOON;

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
    /// Answers that an agent gave, and calls that came.
    pub(crate) answers: usize,
    pub(crate) calls: usize,
    /// Processes that died.
    pub(crate) deaths: usize,
    /// From a push to the sound of it in milliseconds: how many, all together, and the longest.
    pub(crate) sounds: usize,
    pub(crate) until_sound: u64,
    pub(crate) latest_sound: u64,
    /// For so long, in milliseconds, an agent counted as in a call at most: after the phone knew better and could say so;
    /// whatever came between; and after the phone had died.
    pub(crate) in_no_call: u64,
    pub(crate) in_no_call_excused: u64,
    pub(crate) in_no_call_dead: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self {
            steps,
            commands,
            rings,
            silences,
            forwarded,
            cold_starts,
            requests,
            heartbeats,
            answers,
            calls,
            deaths,
            sounds,
            until_sound,
            latest_sound,
            in_no_call,
            in_no_call_excused,
            in_no_call_dead,
        } = other;
        self.answers += answers;
        self.calls += calls;
        self.deaths += deaths;
        self.sounds += sounds;
        self.until_sound += until_sound;
        self.latest_sound = self.latest_sound.max(latest_sound);
        self.in_no_call = self.in_no_call.max(in_no_call);
        self.in_no_call_excused = self.in_no_call_excused.max(in_no_call_excused);
        self.in_no_call_dead = self.in_no_call_dead.max(in_no_call_dead);
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
    pub(crate) phones: Vec<SimulatedPhone>,
    pub(crate) browsers: Vec<Browser>,
    healed: bool,
    ticks_at: Option<u64>,
    pub(crate) tally: Tally,
    next_key: u64,
    calls: Vec<CallId>,
    /// Since when an agent counts as in a call that nobody has.
    pub(crate) in_no_call_since: BTreeMap<CallId, u64>,
    story: Option<Vec<String>>,
}

impl<'p> World<'p> {
    pub(super) fn new(plan: &'p Plan, tells: bool) -> Self {
        let mut server = Server::new(plan.tomorrow);
        let phones = (0..plan.phones).map(|index| SimulatedPhone::new(index, &mut server, plan.token_life)).collect();
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
            in_no_call_since: BTreeMap::new(),
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
        match self.plan.kind {
            // What is on its way arrives.
            Kind::Race => return self.play_until(end + RACE_ENDS),
            Kind::Answers => {
                self.play_until(end + QUIET)?;
                return calls::in_the_end(self);
            }
            Kind::Agreement => self.play_until(end + QUIET)?,
        }
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
            if self.plan.kind == Kind::Answers {
                calls::nobody_is_in_a_call_that_nobody_has(self)?;
            }
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
                    let skew = self.server.streams.get(&stream).map_or(0, |stream| stream.skew);
                    self.send_on(stream, StreamEvent::Heartbeat(Heartbeat { at: clock(self.now) + skew }));
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
                let Some(SimulatedPhone { running, life, asleep_until, state, pushed, .. }) =
                    self.phones.get_mut(phone)
                else {
                    return Ok(());
                };
                pushed.entry(push.call_id.clone()).or_insert(now);
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
}
