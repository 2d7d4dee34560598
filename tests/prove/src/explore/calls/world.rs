//! The phones, the server and what is on its way between them, with what must hold after each thing that happens.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use hookswitch::{
    machine::{
        AgentProfile, ApiCall, Command, CommandId, Contents, EffectId, Entry, Event, Knowledge, Loaded, Outcome,
        Output, Request, SecretRef, SignInId, State, StoredSession, StreamNews, Timer, Timestamp, TokenSet,
        Transaction, Work,
        ring::{Registration, Routing},
        step,
    },
    wire::{CallPush, Effective, StreamEvent, UnixMillis, stream::Heartbeat},
};

use super::{
    super::Broken,
    ACCOUNT, Act, Budget, Town,
    knows::{Knows, Shown},
    server::{Holder, Line, Pushes, Server, name_of, place_of},
    setup,
};

/// The life of an access token, in milliseconds: nobody needs another one here.
const LIFE: i64 = 3_600_000;
/// Nobody waits longer than this for something to happen, in milliseconds.
const SOON: u64 = 120_000;
/// `Date` has whole seconds.
const SECOND: u64 = 1_000;

/// A request that is out.
#[derive(Clone, Debug)]
pub(super) struct Open {
    effect: EffectId,
    call: ApiCall,
    /// What the server said, and when, on its way back.
    pub(super) answer: Option<(Outcome, u64)>,
}

#[derive(Clone)]
pub(super) struct Phone {
    pub(super) running: bool,
    pub(super) state: State,
    pub(super) timers: BTreeMap<Timer, u64>,
    pub(super) open: Vec<Open>,
    /// The vault is being read.
    pub(super) loading: Option<EffectId>,
    /// The stream, and which state was sent on it last.
    pub(super) stream: Option<(EffectId, u64)>,
    pub(super) next_command: u64,
    /// Commands without a reply.
    pub(super) waiting: Vec<CommandId>,
    pub(super) knows: Knows,
    /// What it shows: as the state says.
    pub(super) shown: Shown,
    /// What outlives the process, and what that was before the last step changed it.
    pub(super) vault: Arc<Contents>,
    pub(super) before: Option<Arc<Contents>>,
    /// Pushes on their way.
    pub(super) pushes: Vec<CallPush>,
}

#[derive(Clone)]
pub(in super::super) struct World {
    pub(super) now: u64,
    pub(super) phones: Vec<Arc<Phone>>,
    pub(super) server: Server,
    pub(super) left: Budget,
    /// The steps of the last act, if they are recorded.
    pub(super) entries: Vec<(usize, Entry)>,
    pub(super) records: bool,
}

fn vault(server: &Server, now: u64, me: usize) -> Contents {
    let agent = AgentProfile { account: ACCOUNT.into(), email: None, name: None };
    let tokens = TokenSet {
        sign_in: SignInId(1),
        generation: 1,
        access: SecretRef(1_001),
        refresh: SecretRef(2_001),
        expires_at: UnixMillis(now as i64 + LIFE),
        session_ends: None,
    };
    let snapshot = server.snapshot(now, me);
    let routing = Routing { version: snapshot.version, forwarding_on: false, effective: Effective::Available };
    let knowledge = Knowledge {
        account: Some(ACCOUNT.into()),
        routing: Some(routing),
        registration: Registration::Registered,
        calls: Vec::new(),
        refusals: Default::default(),
    };
    Contents {
        session: Some(StoredSession { agent, tokens, snapshot: Some(Box::new(snapshot)), unsettled: false }),
        server_offset: Some(0),
        knowledge: Some(knowledge),
        push_token: Some(SecretRef(3_001)),
        ..Contents::default()
    }
}

impl Phone {
    fn new(me: usize, vault: Arc<Contents>) -> Self {
        Self {
            running: false,
            state: State::new(setup(me)),
            timers: BTreeMap::new(),
            open: Vec::new(),
            loading: None,
            stream: None,
            next_command: 1,
            waiting: Vec::new(),
            knows: Knows::default(),
            shown: Shown::default(),
            vault,
            before: None,
            pushes: Vec::new(),
        }
    }

    /// The process ends; what is on its way to the phone is on its way still.
    fn dies(&mut self, me: usize) {
        let pushes = std::mem::take(&mut self.pushes);
        *self = Self { pushes, ..Self::new(me, Arc::clone(&self.vault)) };
    }

    fn due(&self, now: u64) -> Option<Timer> {
        let due = self.timers.iter().filter(|(_, at)| **at <= now);
        due.min_by_key(|(_, at)| **at).map(|(timer, _)| timer.clone())
    }

    pub(super) fn has_due(&self, now: u64) -> bool {
        self.timers.values().any(|at| *at <= now)
    }
}

impl World {
    /// All phones have started, and know the server's first state.
    pub(super) fn new(town: &Town, now: u64, records: bool) -> Result<Self, Broken> {
        let server = Server::new(town.server, town.phones);
        let phone = |me| Arc::new(Phone::new(me, Arc::new(vault(&server, now, me))));
        let phones = (0..town.phones).map(phone).collect();
        let mut world = Self { now, phones, server, left: town.budget, entries: Vec::new(), records };
        for me in 0..town.phones {
            world.starts(me)?;
            world.loads(me)?;
            if town.in_front {
                world.event(me, Event::Foreground)?;
                world.news(me)?;
            }
        }
        Ok(world)
    }

    const fn timestamp(&self) -> Timestamp {
        Timestamp { wall: UnixMillis(self.now as i64), mono: self.now }
    }

    pub(super) fn at(&self, me: usize) -> Option<&Phone> {
        self.phones.get(me).map(|phone| &**phone)
    }

    fn phone(&mut self, me: usize) -> Option<&mut Phone> {
        self.phones.get_mut(me).map(Arc::make_mut)
    }

    pub(super) fn shown(&self, me: usize) -> Shown {
        self.at(me).map(|phone| phone.shown.clone()).unwrap_or_default()
    }

    fn send(&mut self, pushes: Pushes) {
        for (me, push) in pushes {
            if let Some(phone) = self.phone(me) {
                phone.pushes.push(push);
            }
        }
    }

    /// One step of a phone with its checks, and whatever its vault says to it.
    fn event(&mut self, me: usize, event: Event) -> Result<(), Broken> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            events.extend(self.one_step(me, event).map_err(|broken| format!("phone {}: {broken}", me + 1))?);
        }
        Ok(())
    }

    fn one_step(&mut self, me: usize, event: Event) -> Result<Vec<Event>, Broken> {
        let (now, at, before) = (self.now, self.timestamp(), self.shown(me));
        let Some(phone) = self.phone(me) else { return Ok(Vec::new()) };
        match &event {
            Event::Push { push, .. } => phone.knows.hears_push(push, &before),
            Event::Completed { outcome, .. } => phone.knows.hears_outcome(me, outcome, &before),
            Event::Stream { news: StreamNews::Event { event: StreamEvent::State(snapshot) }, .. } => {
                phone.knows.hears_state(me, snapshot, true);
            }
            Event::Started { .. }
            | Event::Command { .. }
            | Event::Foreground
            | Event::Background
            | Event::NetworkUp
            | Event::NetworkDown
            | Event::Unlocked
            | Event::Stream { .. }
            | Event::Timer { .. } => {}
        }
        let is_push = matches!(&event, Event::Push { .. });
        let has_loaded = matches!(&event, Event::Completed { outcome: Outcome::Loaded { .. }, .. });
        let recorded = self.records.then(|| event.clone());
        let Some(phone) = self.phone(me) else { return Ok(Vec::new()) };
        let effects = step(&mut phone.state, event, at);
        let calls = phone.state.view(at).calls;
        let after = Shown {
            ringing: calls.ringing.iter().map(|call| place_of(&call.call_id)).collect(),
            in_call: calls.in_call.map(|call| (place_of(&call.call_id), call.connecting)),
        };
        phone.shown = after.clone();
        if let Some(event) = recorded {
            self.entries.push((me, Entry { now: at, event, effects: effects.clone() }));
        }

        let asks = effects
            .work
            .iter()
            .any(|work| matches!(work, Work::Send { request: Request::Api { call: ApiCall::FetchState, .. }, .. }));
        let Some(phone) = self.phone(me) else { return Ok(Vec::new()) };
        let (mut decisions, mut rings, mut stops) = (0, Vec::new(), Vec::new());
        for output in effects.output {
            match output {
                Output::Decided { decision } => {
                    decisions += 1;
                    phone.knows.judge(&decision, &before, &after, now)?;
                    if decision.rings() {
                        rings.push(place_of(&decision.push.call_id));
                        if phone.loading.is_none() && !asks {
                            return Err("it rings, and does not ask the server".into());
                        }
                    }
                }
                Output::StopRinging { call_id, why } => {
                    stops.push(place_of(&call_id));
                    phone.knows.judge_stop(place_of(&call_id), why, now)?;
                }
                Output::Reply { to, .. } => {
                    let waiting = phone.waiting.len();
                    phone.waiting.retain(|waits| *waits != to);
                    if phone.waiting.len() == waiting {
                        return Err(format!("it replies twice to {to:?}"));
                    }
                }
            }
        }
        if decisions != usize::from(is_push) {
            return Err(format!("{decisions} decisions in a step"));
        }
        if has_loaded && !after.ringing.is_empty() && !asks {
            return Err("it rings, knows who is signed in by now, and does not ask the server".into());
        }
        // What makes a sound is what is shown.
        for call in 0..self.server.calls.len() {
            let sounds = (before.ringing.contains(&call) || rings.contains(&call)) && !stops.contains(&call);
            if sounds != after.ringing.contains(&call) {
                return Err(format!("call {} is shown as it does not sound: {after:?}", call + 1));
            }
        }
        if let Some(phone) = self.phone(me) {
            phone.knows.judge_shown(&before, &after, now)?;
        }
        Ok(effects.work.into_iter().filter_map(|work| self.carry_out(me, work)).collect())
    }

    /// Carries out work; what the vault says to it at once.
    fn carry_out(&mut self, me: usize, work: Work) -> Option<Event> {
        let now = self.now;
        let phone = self.phones.get_mut(me).map(Arc::make_mut)?;
        let done = |effect, outcome| Some(Event::Completed { effect, server_time: None, outcome });
        match work {
            Work::Store { id, transaction: Transaction::Load } => phone.loading = Some(id),
            Work::Store { id, transaction } => {
                if let Transaction::Remember { knowledge, snapshot, server_offset, anew: _ } = transaction {
                    let before = Arc::clone(&phone.vault);
                    let vault = Arc::make_mut(&mut phone.vault);
                    vault.knowledge = Some(knowledge);
                    vault.server_offset = server_offset;
                    if let Some(session) = &mut vault.session {
                        session.snapshot = snapshot;
                    }
                    phone.before.get_or_insert(before);
                }
                return done(id, Outcome::Done);
            }
            // What is not about calls is answered at once.
            Work::Send { id, request: Request::Api { call: ApiCall::RegisterDevice { .. }, .. } } => {
                phone.knows.hears_the_time(SECOND);
                let server_time = Some(UnixMillis((now / SECOND * SECOND) as i64));
                let outcome = Outcome::State { snapshot: Box::new(self.server.snapshot(now, me)) };
                return Some(Event::Completed { effect: id, server_time, outcome });
            }
            Work::Send { id, request: Request::Api { call, .. } } => {
                phone.open.push(Open { effect: id, call, answer: None });
            }
            Work::Send { id, .. } => return done(id, Outcome::NotSent { cause: "no issuer".into() }),
            Work::OpenStream { id, .. } => phone.stream = Some((id, 0)),
            Work::CloseStream { .. } => phone.stream = None,
            Work::SetTimer { timer, at } => {
                phone.timers.insert(timer, at);
            }
            Work::CancelTimer { timer } => {
                phone.timers.remove(&timer);
            }
        }
        None
    }

    fn starts(&mut self, me: usize) -> Result<(), Broken> {
        if let Some(phone) = self.phone(me) {
            phone.running = true;
        }
        self.event(me, Event::Started { seed: 7 })
    }

    fn loads(&mut self, me: usize) -> Result<(), Broken> {
        let Some(phone) = self.phone(me) else { return Ok(()) };
        let Some(effect) = phone.loading.take() else { return Ok(()) };
        let outcome = Outcome::Loaded { loaded: Box::new(Loaded::Contents((*phone.vault).clone())) };
        self.event(me, Event::Completed { effect, server_time: None, outcome })
    }

    /// The stream brings the newest state.
    fn news(&mut self, me: usize) -> Result<(), Broken> {
        let (rev, snapshot) = (self.server.rev, self.server.snapshot(self.now, me));
        let Some((effect, sent)) = self.phone(me).and_then(|phone| phone.stream.as_mut()) else { return Ok(()) };
        *sent = rev;
        let (effect, event) = (*effect, StreamEvent::State(Box::new(snapshot)));
        self.event(me, Event::Stream { effect, news: StreamNews::Event { event } })
    }

    /// A stream that lives does not fall silent.
    fn streams_beat(&mut self) -> Result<(), Broken> {
        let at = UnixMillis(self.now as i64);
        for me in 0..self.phones.len() {
            let Some(phone) = self.at(me).filter(|phone| phone.timers.get(&Timer::Heartbeat) <= Some(&self.now)) else {
                continue;
            };
            let Some((effect, _)) = phone.stream else { continue };
            let event = StreamEvent::Heartbeat(Heartbeat { at });
            self.event(me, Event::Stream { effect, news: StreamNews::Event { event } })?;
        }
        Ok(())
    }

    fn command(&mut self, me: usize, command: Command) -> Result<(), Broken> {
        let Some(phone) = self.phone(me) else { return Ok(()) };
        let id = CommandId(phone.next_command);
        phone.next_command += 1;
        phone.waiting.push(id);
        self.event(me, Event::Command { id, command })
    }

    fn push_comes(&mut self, me: usize, which: usize, stays: bool) -> Result<(), Broken> {
        let Some(phone) = self.phone(me).filter(|phone| which < phone.pushes.len()) else { return Ok(()) };
        let push = phone.pushes.remove(which);
        if stays {
            phone.pushes.push(push.clone());
        }
        if !phone.running {
            self.starts(me)?;
        }
        self.event(me, Event::Push { push, must_report: true })
    }

    fn reaches(&mut self, me: usize, which: usize) -> Result<(), Broken> {
        let now = self.now;
        let Some(call) = self.at(me).and_then(|phone| phone.open.get(which)).map(|open| open.call.clone()) else {
            return Ok(());
        };
        let spoken: Vec<Option<Line>> = self.others_talk(me);
        let (outcome, pushes) = self.server.request(me, &call, now);
        self.send(pushes);
        if self.others_talk(me) != spoken {
            return Err(format!("phone {} has ended a call that somebody else has", me + 1));
        }
        if let Some(open) = self.phone(me).and_then(|phone| phone.open.get_mut(which)) {
            open.answer = Some((outcome, now));
        }
        Ok(())
    }

    /// The calls that others than this phone are in.
    fn others_talk(&self, me: usize) -> Vec<Option<Line>> {
        let others = |line: &Line| matches!(line, Line::Answered(holder) if *holder != Holder::Phone(me));
        (0..self.server.calls.len()).map(|call| self.server.line(call).filter(others)).collect()
    }

    /// A request comes to its end, with its answer or with none.
    fn hears(&mut self, me: usize, which: usize, lost: Option<Outcome>) -> Result<(), Broken> {
        let (now, shown) = (self.now, self.shown(me));
        let Some(phone) = self.phone(me).filter(|phone| which < phone.open.len()) else { return Ok(()) };
        let Open { effect, call, answer } = phone.open.remove(which);
        let (outcome, server_time) = match (lost, answer) {
            (Some(lost), _) => (lost, None),
            (None, Some((outcome, at))) => {
                phone.knows.hears_the_time(now - at + SECOND);
                // The server has refused it: this phone does not have that call.
                if let (
                    Outcome::Refused { .. },
                    ApiCall::Answer { call_id, .. } | ApiCall::RenewCallLease { call_id, .. },
                ) = (&outcome, &call)
                    && shown.is_in(place_of(call_id))
                {
                    phone.knows.ends(place_of(call_id));
                }
                self.server.forget(&call);
                (outcome, Some(UnixMillis((at / SECOND * SECOND) as i64)))
            }
            (None, None) => return Ok(()),
        };
        self.event(me, Event::Completed { effect, server_time, outcome })
    }

    fn leaves(&mut self, me: usize, call: usize) {
        if let Some(phone) = self.phone(me) {
            phone.knows.ends(call);
        }
    }

    fn kill(&mut self, me: usize, saved: bool) {
        let Some(phone) = self.phone(me) else { return };
        if !saved && let Some(before) = phone.before.take() {
            phone.vault = before;
        }
        let open = std::mem::take(&mut phone.open);
        phone.dies(me);
        for open in open {
            self.server.forget(&open.call);
        }
    }

    /// Lets it happen, and says what does not hold afterwards.
    pub(super) fn apply(&mut self, act: Act) -> Result<(), Broken> {
        let now = self.now;
        self.left.spend(act);
        for phone in &mut self.phones {
            if phone.before.is_some() && !matches!(act, Act::KillUnsaved(_)) {
                Arc::make_mut(phone).before = None;
            }
        }
        let unreachable = || Some(Outcome::Unreachable { cause: "timed out".into() });
        match act {
            Act::Call => {
                let pushes = self.server.incoming(now);
                self.send(pushes);
            }
            Act::Forward(on) => {
                let pushes = self.server.forward(on, now);
                self.send(pushes);
            }
            Act::CallerHangsUp(call) => {
                let pushes = self.server.end(call, None);
                self.send(pushes);
            }
            Act::DesktopAnswers(call) => {
                let pushes = self.server.take(call, Holder::Desktop, now).unwrap_or_default();
                self.send(pushes);
            }
            Act::Push(me, which) => self.push_comes(me, which, false)?,
            Act::PushAndAgain(me, which) => self.push_comes(me, which, true)?,
            Act::Reach(me, which) => self.reaches(me, which)?,
            Act::Hear(me, which) => self.hears(me, which, None)?,
            Act::Lose(me, which) => self.hears(me, which, unreachable())?,
            Act::Load(me) => self.loads(me)?,
            Act::News(me) => self.news(me)?,
            Act::PickUp(me, call) => self.command(me, Command::Answer { call_id: name_of(call) })?,
            Act::Decline(me, call) => {
                self.leaves(me, call);
                self.command(me, Command::Decline { call_id: name_of(call) })?;
            }
            Act::HangUp(me, call) => {
                self.leaves(me, call);
                self.command(me, Command::HangUp { call_id: name_of(call) })?;
            }
            Act::Kill(me) => self.kill(me, true),
            Act::KillUnsaved(me) => self.kill(me, false),
            Act::GoOff(me) => {
                if let Some(timer) = self.at(me).and_then(|phone| phone.due(now)) {
                    if let Some(phone) = self.phone(me) {
                        phone.timers.remove(&timer);
                    }
                    self.event(me, Event::Timer { timer })?;
                }
            }
            Act::Wait => {
                if let Some(next) = self.next_moment() {
                    self.now = next;
                    let pushes = self.server.settle(next);
                    self.send(pushes);
                    self.streams_beat()?;
                }
            }
        }
        self.one_has_it()
    }

    /// The next moment at which something is due.
    pub(super) fn next_moment(&self) -> Option<u64> {
        let timers = self.phones.iter().filter(|phone| phone.running).flat_map(|phone| phone.timers.values().copied());
        let soon = self.now + 1..=self.now + SOON;
        timers.chain(self.server.next_change()).filter(|at| soon.contains(at)).min()
    }

    /// Exactly one device has a call that was answered; and whoever shows that the server gave it a call was given it.
    fn one_has_it(&self) -> Result<(), Broken> {
        let mut has: BTreeMap<usize, usize> = BTreeMap::new();
        for (me, phone) in self.phones.iter().enumerate().filter(|(_, phone)| phone.running) {
            let Some((call, false)) = self.shown(me).in_call else { continue };
            if let Some(other) = has.insert(call, me) {
                return Err(format!("phones {} and {} both have call {}", other + 1, me + 1, call + 1));
            }
            match self.server.line(call) {
                Some(Line::Answered(Holder::Phone(holder))) if holder == me => {}
                // It has not heard of the end yet.
                Some(Line::Ended) => {}
                line => {
                    return Err(format!(
                        "phone {} shows call {} as its own: {line:?} {:?}",
                        me + 1,
                        call + 1,
                        phone.waiting
                    ));
                }
            }
        }
        Ok(())
    }

    /// What must be true when all was said and everybody has heard it.
    pub(super) fn is_settled(&self) -> Result<(), Broken> {
        for (me, phone) in self.phones.iter().enumerate() {
            let shown = self.shown(me);
            if !shown.ringing.is_empty() {
                return Err(format!("phone {} rings for ever: {shown:?}", me + 1));
            }
            if !phone.waiting.is_empty() {
                return Err(format!("phone {} has left {:?} without a reply", me + 1, phone.waiting));
            }
            for call in 0..self.server.calls.len() {
                let given = self.server.line(call) == Some(Line::Answered(Holder::Phone(me)));
                if given != shown.is_in(call) {
                    return Err(format!(
                        "phone {}, call {}: {shown:?}, {:?}",
                        me + 1,
                        call + 1,
                        self.server.line(call)
                    ));
                }
            }
        }
        Ok(())
    }

    /// What happens when everything goes well, or nothing is left to happen at this moment.
    pub(super) fn kind_act(&self) -> Option<Act> {
        for (me, phone) in self.phones.iter().enumerate() {
            if !phone.pushes.is_empty() {
                return Some(Act::Push(me, 0));
            }
            if !phone.running {
                continue;
            }
            if phone.loading.is_some() {
                return Some(Act::Load(me));
            }
            if let Some(open) = phone.open.first() {
                return Some(if open.answer.is_some() { Act::Hear(me, 0) } else { Act::Reach(me, 0) });
            }
            if phone.stream.is_some_and(|(_, sent)| sent < self.server.rev) {
                return Some(Act::News(me));
            }
            if phone.has_due(self.now) {
                return Some(Act::GoOff(me));
            }
        }
        None
    }
}
