//! What comes to the server, and what it tells everybody.

use hookswitch::{
    machine::{ApiCall, EffectId, Event, Grant, Outcome, Request, SecretRef, StreamNews},
    wire::StreamEvent,
};

use super::{
    Fate, Happening, To, World,
    network::cut,
    words::{describe_outcome, name_of_call},
};
use crate::simulation::{
    Broken,
    phone::{date, metadata},
    server::{HEARTBEAT, Pushes, Reader, Stream, Waiting, clock},
};

impl World<'_> {
    /// A question that waited gets its answer.
    pub(super) fn answer_waiting(&mut self, waiting: u64, outcome: Outcome) {
        let Some(Waiting { phone, life, effect, back, .. }) = self.server.waiting.remove(&waiting) else { return };
        if self.phones.get(phone).is_some_and(|phone| phone.life == life && !phone.partitioned) {
            let event = Event::Completed { effect, server_time: date(self.now), outcome };
            self.at(self.now + back, Happening::Event((phone, life), event));
        }
    }

    pub(super) fn arrives(&mut self, to: To, effect: EffectId, request: Request, fate: Fate) -> Result<(), Broken> {
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
                (
                    Outcome::Granted { grant: Grant { access, refresh, expires_in, session_life: None, claims: None } },
                    Vec::new(),
                )
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
            Request::PushLogin { .. } | Request::ExchangeCode { .. } | Request::Revoke { .. } => {
                (Outcome::Done, Vec::new())
            }
        };
        self.announce(pushes);
        let still_there = self.phones.get(index).is_some_and(|phone| phone.life == life && !phone.partitioned);
        if still_there && !fate.answer_lost {
            let event = Event::Completed { effect, server_time: date(now), outcome };
            self.at(now + fate.back, Happening::Event(to, event));
        }
        Ok(())
    }

    pub(super) fn stream_arrives(&mut self, to: To, effect: EffectId, access: SecretRef) -> Result<(), Broken> {
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
    pub(super) fn announce(&mut self, mut pushes: Pushes) {
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

    pub(super) fn browser_connects(&mut self, browser: usize, connection: u32) -> Result<(), Broken> {
        if let Some(known) = self.browsers.get_mut(browser) {
            known.connection = connection;
        }
        self.opens(Reader::Browser { browser, connection });
        Ok(())
    }

    pub(super) fn browser_hears(
        &mut self,
        index: usize,
        connection: u32,
        event: Option<StreamEvent>,
    ) -> Result<(), Broken> {
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

    pub(super) fn break_all_streams(&mut self) {
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
}
