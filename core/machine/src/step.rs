//! One step under way, and the one place that starts effects.

use crate::{
    effect::{ApiCall, Effects, Output, Reply, Request, Transaction, Work},
    error::Failure,
    names::{CommandId, EffectId, SecretRef},
    running::{InFlight, Purpose, SentCall},
    state::{State, presence::TapRequest, session::Session},
    time::{Mono, Timestamp},
    timer::Timer,
};

/// One step under way: the state, the time, and the effects so far.
pub(crate) struct Step<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) now: Timestamp,
    pub(crate) effects: Effects,
    /// Somebody waits for this step, and the platform said last that there is no network: it is tried all the same.
    pub(crate) tries: bool,
}

impl Step<'_> {
    fn start(&mut self, purpose: Purpose, api: Option<SentCall>) -> EffectId {
        let id = self.fresh_id();
        self.state.in_flight.insert(id, InFlight { purpose, api, began: self.now.mono });
        id
    }

    /// An id for an effect whose owner keeps it (the stream).
    pub(crate) fn fresh_id(&mut self) -> EffectId {
        let id = EffectId(self.state.next_effect);
        self.state.next_effect += 1;
        id
    }

    pub(crate) fn send(&mut self, request: Request, purpose: Purpose) {
        let id = self.start(purpose, None);
        self.effects.work.push(Work::Send { id, request });
    }

    pub(crate) fn send_api(&mut self, call: ApiCall, access: SecretRef, retried: bool, purpose: Purpose) {
        if let Purpose::Tap { tap } = &purpose
            && let Some(tap) = self.state.presence.taps.slot(*tap)
        {
            tap.request = TapRequest::Out;
        }
        let id = self.start(purpose, Some(SentCall { call: call.clone(), access, retried }));
        self.effects.work.push(Work::Send { id, request: Request::Api { access, call } });
    }

    pub(crate) fn store(&mut self, transaction: Transaction, purpose: Purpose) {
        let id = self.start(purpose, None);
        self.effects.work.push(Work::Store { id, transaction });
    }

    pub(crate) fn set_timer(&mut self, timer: Timer, at: Mono) {
        self.state.timers.insert(timer.clone(), at);
        self.effects.work.push(Work::SetTimer { timer, at });
    }

    pub(crate) fn cancel_timer(&mut self, timer: Timer) {
        if self.state.timers.remove(&timer).is_some() {
            self.effects.work.push(Work::CancelTimer { timer });
        }
    }

    pub(crate) fn reply(&mut self, to: CommandId, reply: Result<Reply, Failure>) {
        self.effects.output.push(Output::Reply { to, reply });
    }

    pub(crate) fn fail(&mut self, to: CommandId, failure: Failure) {
        self.reply(to, Err(failure));
    }

    /// A name for a command that no other command of this or any installation has.
    pub(crate) fn idempotency_key(&mut self) -> String {
        let count = self.state.next_key;
        self.state.next_key += 1;
        let salt = self.state.random.next();
        format!("{}-{salt:016x}-{count}", self.state.setup.device)
    }

    pub(crate) fn is_in_flight(&self, wanted: impl Fn(&Purpose) -> bool) -> bool {
        self.state.in_flight.values().any(|running| wanted(&running.purpose))
    }

    /// Lets some effects be overtaken: their results are ignored; and drops requests of that kind that still wait for a token.
    pub(crate) fn forget(&mut self, unwanted: impl Fn(&Purpose) -> bool) {
        self.state.in_flight.retain(|_, running| !unwanted(&running.purpose));
        if let Session::SignedIn(session) = &mut self.state.session {
            session.parked.retain(|parked| !unwanted(&parked.purpose));
        }
    }

    /// The moment that is so many milliseconds away.
    pub(crate) const fn after(&self, millis: u64) -> Mono {
        self.now.mono.saturating_add(millis)
    }
}
