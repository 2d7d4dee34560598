//! The life of calls on this phone: what rings, what runs, what is over and must not ring again.
//!
//! The rule itself is in [`crate::ring`]; here its facts are gathered and its verdicts are remembered.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use hookswitch_wire::{CallId, CallPush, CallState, Effective, PushKind, Snapshot, Surface, UnixMillis};

use crate::{
    effect::{ApiCall, Output, Reply},
    event::Outcome,
    kept::{Knowledge, Refusals},
    ring::{
        CallAction, CallKnowledge, Decision, Facts, Identity, RingRecord, Routing, Silence, StopReason, TOMBSTONE_LIFE,
        Verdict, decide,
    },
    running::Purpose,
    state::State,
    state::calls::{HeardCall, Phase},
    state::session::Session,
    step::Step,
    time::{Mono, Timestamp},
    timer::Timer,
};

/// The lease of a running call is renewed this often, in milliseconds; it runs for three times as long.
const LEASE_RENEWAL: u64 = 15_000;

/// A ring whose end nobody told, in milliseconds.
const LONGEST_RING: u64 = 90_000;

impl State {
    /// What is known that bears on a push.
    pub(crate) fn facts(&self, push: &CallPush, now: Timestamp) -> Facts {
        let remembered = self.calls.remembered.as_ref();
        let identity = match &self.session {
            Session::SignedIn(session) => Identity::SignedIn { account: session.agent.account.clone() },
            Session::ReauthRequired { agent, .. } => Identity::SignedIn { account: agent.account.clone() },
            Session::SigningIn { before, .. } => match before.agent() {
                Some(agent) => Identity::SignedIn { account: agent.account.clone() },
                None => Identity::SignedOut,
            },
            Session::SignedOut { .. } | Session::SigningOut { .. } => Identity::SignedOut,
            Session::Loading | Session::Locked => match remembered {
                Some(Knowledge { account: Some(account), .. }) => Identity::SignedIn { account: account.clone() },
                Some(Knowledge { account: None, .. }) => Identity::SignedOut,
                None => Identity::Unknown,
            },
        };
        let call = match self.calls.heard.get(&push.call_id).map(|call| call.phase) {
            Some(Phase::Ringing | Phase::Answering | Phase::InCall) => CallKnowledge::Here,
            Some(Phase::Over { how, .. }) => how,
            None => self.said_of(push),
        };
        Facts {
            identity,
            registration: self.device.seen,
            routing: self.routing(),
            call,
            can_answer: self.can_answer(now),
            busy: self.calls.heard.iter().any(|(id, call)| *id != push.call_id && call.phase.is_busy()),
            server_now: self.clock.earliest(now),
        }
    }

    /// What the server's state says of the call of a push, if it is not older than that.
    fn said_of(&self, push: &CallPush) -> CallKnowledge {
        let confirmed = self.presence.confirmed.as_deref().filter(|snapshot| snapshot.version >= push.routing);
        let call = confirmed.and_then(|snapshot| snapshot.calls.iter().find(|call| call.call_id == push.call_id));
        let me = Surface::Mobile { device: self.setup.device.clone() };
        match call.map(|call| &call.state) {
            // The process that answered has died: whoever rings for it again has it again.
            Some(CallState::Answered { by }) if *by == me => CallKnowledge::Open,
            Some(CallState::Answered { .. }) => CallKnowledge::AnsweredElsewhere,
            Some(CallState::Ended) => CallKnowledge::Ended,
            Some(CallState::Ringing | CallState::Offered | CallState::Unknown) | None => CallKnowledge::Open,
        }
    }

    /// Whether an answer could reach the server. Who must sign in again, and is perhaps about to, has no token to answer with.
    pub(crate) fn can_answer(&self, now: Timestamp) -> bool {
        match &self.session {
            Session::SignedIn(session) => !session.refusals.asks || session.has_fresh_token(now),
            Session::SigningIn { before, .. } => before.agent().is_none(),
            Session::ReauthRequired { .. } => false,
            Session::Loading | Session::Locked | Session::SignedOut { .. } | Session::SigningOut { .. } => true,
        }
    }

    /// The newest routing that is known, from this process or an earlier one.
    fn routing(&self) -> Option<Routing> {
        let confirmed = self.presence.confirmed.as_deref().map(routing_of);
        let remembered = self.calls.remembered.as_ref().and_then(|knowledge| knowledge.routing);
        confirmed.into_iter().chain(remembered).max_by_key(|routing| routing.version)
    }

    /// What the next process should know.
    pub(crate) fn knowledge(&self, now: Timestamp) -> Knowledge {
        let account = match &self.session {
            Session::SignedIn(session) => Some(session.agent.account.clone()),
            Session::ReauthRequired { agent, .. } => Some(agent.account.clone()),
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SigningIn { .. }
            | Session::SigningOut { .. } => None,
        };
        let server_now = self.clock.guess(now);
        let calls = self.calls.heard.iter().map(|(id, call)| match call.phase {
            // A process that dies while it rings leaves a call that the next one may ring for again.
            Phase::Ringing | Phase::Answering | Phase::InCall => (id.clone(), CallKnowledge::Open, server_now),
            Phase::Over { how, until } => {
                let left = i64::try_from(until.saturating_sub(now.mono)).unwrap_or(i64::MAX);
                (id.clone(), how, server_now + left)
            }
        });
        Knowledge {
            account,
            routing: self.routing(),
            registration: self.device.seen,
            calls: calls.filter(|(_, how, _)| *how != CallKnowledge::Open).collect(),
            refusals: match &self.session {
                Session::SignedIn(session) => session.refusals,
                Session::Loading
                | Session::Locked
                | Session::SignedOut { .. }
                | Session::SigningIn { .. }
                | Session::ReauthRequired { .. }
                | Session::SigningOut { .. } => Refusals::default(),
            },
        }
    }
}

fn routing_of(snapshot: &Snapshot) -> Routing {
    Routing {
        version: snapshot.version,
        forwarding_on: snapshot.presence.forwarding.is_on(),
        effective: snapshot.presence.effective,
    }
}

/// Forwarding that is turned on stops a call that rings already: say so, whichever news of it is quicker.
const fn why_stopped(stop: &CallPush, otherwise: Silence) -> Silence {
    if stop.forwarding_on { Silence::ForwardingActive } else { otherwise }
}

impl Step<'_> {
    /// Takes over what an earlier process knew.
    pub(crate) fn recall(&mut self, knowledge: Option<Knowledge>) {
        let Some(knowledge) = knowledge else { return };
        self.state.device.seen = knowledge.registration;
        let until = self.after(TOMBSTONE_LIFE);
        for (id, how, _) in &knowledge.calls {
            match self.state.calls.heard.get(id).map(|call| call.phase) {
                // It began to ring before the vault said that it is over.
                Some(Phase::Ringing) => match how {
                    CallKnowledge::AnsweredElsewhere => self.call_over(id, *how, Silence::AnsweredElsewhere),
                    CallKnowledge::Ended => self.call_over(id, *how, Silence::CallEnded),
                    // Only what is over is kept.
                    CallKnowledge::Open | CallKnowledge::Here => {}
                },
                Some(Phase::Answering | Phase::InCall | Phase::Over { .. }) => {}
                None => {
                    self.state.calls.heard.insert(id.clone(), HeardCall::of_an_earlier_process(*how, until));
                }
            }
        }
        self.state.calls.remembered = Some(knowledge);
    }

    /// The vault has been read: what rang before it was, is judged again by what it says, and verified.
    pub(crate) fn judge_again(&mut self) {
        let ringing: Vec<CallPush> = self
            .state
            .calls
            .heard
            .values()
            .filter(|call| call.phase == Phase::Ringing)
            .filter_map(|call| call.push.clone())
            .collect();
        for push in ringing {
            let facts = Facts { call: self.state.said_of(&push), ..self.state.facts(&push, self.now) };
            match decide(&facts, &push) {
                Verdict::Silence { reason } => self.call_over(&push.call_id, CallKnowledge::Ended, reason),
                Verdict::Ring { .. } => self.verify(),
            }
        }
    }

    /// Asks the server what it says now. (A question that is out already may be answered with older news.)
    pub(crate) fn verify(&mut self) {
        if matches!(self.state.session, Session::SignedIn(_)) {
            self.call_api(ApiCall::FetchState, Purpose::Fetch);
        }
    }

    pub(crate) fn push(&mut self, mut push: CallPush, must_report: bool) {
        // It came by a network, whatever the platform said last.
        self.state.network_up = true;
        // Timers stand still while a phone sleeps: what rang before it is no other call any more.
        self.end_rings_that_are_over();
        if push.expires_at == UnixMillis::UNTOLD {
            push.expires_at = self.state.clock.guess(self.now) + i64::try_from(LONGEST_RING).unwrap_or(i64::MAX);
        }
        let facts = self.state.facts(&push, self.now);
        let verdict = decide(&facts, &push);
        let action = CallAction::of(verdict, self.state.setup.platform, must_report);
        let at = self.state.clock.guess(self.now);
        let decision = Box::new(Decision { push, facts, verdict, action, at });
        self.state.calls.log.push(RingRecord::Decided(decision.clone()));
        self.effects.output.push(Output::Decided { decision: decision.clone() });
        self.bury_old_calls();

        let is_here = decision.facts.call == CallKnowledge::Here;
        let push = decision.push;
        match verdict {
            Verdict::Ring { .. } => {
                let call_id = push.call_id.clone();
                let rings_until = self.after(LONGEST_RING);
                let call = HeardCall { phase: Phase::Ringing, push: Some(push), since: at, rings_until, untold: None };
                let ends = self.ring_ends(&call);
                self.set_timer(Timer::RingUntil { call_id: call_id.clone() }, ends);
                self.state.calls.heard.insert(call_id, call);
                // Once, also when the phone believes to know: what it knows may be a moment old, and a customer waits.
                self.verify();
            }
            // Another agent's call may have the same name.
            Verdict::Silence { reason: Silence::OtherAccount } => {}
            Verdict::Silence { .. } => match push.kind {
                PushKind::Incoming => {}
                // Something has become of a call that this phone has: the server knows what.
                PushKind::Unknown if is_here => self.verify(),
                PushKind::Unknown => {}
                // Answered here: if somebody else was faster, the answer to our own request says so.
                PushKind::AnsweredElsewhere if self.has_answered(&push.call_id) => {}
                // A stop, perhaps before its start: the tombstone is what keeps the late start silent.
                PushKind::AnsweredElsewhere => {
                    let reason = why_stopped(&push, Silence::AnsweredElsewhere);
                    self.call_over(&push.call_id, CallKnowledge::AnsweredElsewhere, reason);
                }
                PushKind::Ended => {
                    let reason = why_stopped(&push, Silence::CallEnded);
                    self.call_over(&push.call_id, CallKnowledge::Ended, reason);
                }
            },
        }
    }

    fn has_answered(&self, call_id: &CallId) -> bool {
        self.state.calls.heard.get(call_id).is_some_and(|call| matches!(call.phase, Phase::Answering | Phase::InCall))
    }

    /// The call is over for this phone; if it rings it stops.
    fn call_over(&mut self, call_id: &CallId, how: CallKnowledge, reason: Silence) {
        self.end_call(call_id, how, StopReason::Silenced { reason });
    }

    fn end_call(&mut self, call_id: &CallId, how: CallKnowledge, why: StopReason) {
        let until = self.after(TOMBSTONE_LIFE);
        let since = self.state.clock.guess(self.now);
        let phase = Phase::Over { how, until };
        let call = self.state.calls.heard.entry(call_id.clone()).or_insert(HeardCall {
            phase,
            push: None,
            since,
            rings_until: 0,
            untold: None,
        });
        let before = std::mem::replace(&mut call.phase, Phase::Over { how, until });
        self.state.unremembered = true;
        match before {
            Phase::Ringing | Phase::Answering => self.stop_ringing(call_id, why),
            Phase::InCall | Phase::Over { .. } => {}
        }
        self.cancel_timer(Timer::RenewCallLease { call_id: call_id.clone() });
        if before == Phase::Answering {
            self.is_told(call_id);
        }
    }

    fn stop_ringing(&mut self, call_id: &CallId, why: StopReason) {
        self.cancel_timer(Timer::RingUntil { call_id: call_id.clone() });
        let at = self.state.clock.guess(self.now);
        self.state.calls.log.push(RingRecord::Stopped { call_id: call_id.clone(), why, at });
        self.effects.output.push(Output::StopRinging { call_id: call_id.clone(), why });
    }

    pub(crate) fn stop_all_calls(&mut self, why: StopReason) {
        for id in self.state.calls.heard.keys().cloned().collect::<Vec<_>>() {
            self.is_told(&id);
        }
        for id in self.state.calls.heard.keys().cloned().collect::<Vec<_>>() {
            if self.state.calls.heard.get(&id).is_some_and(|call| call.phase.is_busy()) {
                self.end_call(&id, CallKnowledge::Ended, why);
            }
        }
    }

    /// Rings whose time has passed end, whether their timer went off or slept; and as soon as the server's time is known, a
    /// ring ends with its call.
    pub(crate) fn end_rings_that_are_over(&mut self) {
        let rings = self.state.calls.heard.iter().filter(|(_, call)| call.phase == Phase::Ringing);
        for (call_id, ends) in rings.map(|(id, call)| (id.clone(), self.ring_ends(call))).collect::<Vec<_>>() {
            let timer = Timer::RingUntil { call_id: call_id.clone() };
            if self.now.mono >= ends {
                self.call_over(&call_id, CallKnowledge::Ended, Silence::Expired);
            } else if self.state.timers.get(&timer).is_none_or(|until| ends < *until) {
                // Its timer went off too soon, by a clock that is doubted now; or it would go off too late.
                self.set_timer(timer, ends);
            }
        }
    }

    /// When a ring ends by itself: with its call, as soon as the server's time is known beyond doubt.
    pub(super) fn ring_ends(&self, call: &HeardCall) -> Mono {
        let server_now = self.state.clock.earliest(self.now);
        let left = server_now.zip(call.push.as_ref()).map(|(now, push)| push.expires_at.since(now));
        left.map_or(call.rings_until, |left| self.after(u64::try_from(left).unwrap_or(0)).min(call.rings_until))
    }

    /// A newer state is known: what does it say of the calls on this phone?
    pub(crate) fn calls_seen(&mut self) {
        let Some(snapshot) = self.state.presence.confirmed.clone() else { return };
        let outdated = |knowledge: &Knowledge| knowledge.version().is_none_or(|known| known <= snapshot.version);
        if self.state.calls.remembered.as_ref().is_some_and(outdated) {
            self.state.calls.remembered = None;
        }
        let me = Surface::Mobile { device: self.state.setup.device.clone() };
        let forwarding_on = snapshot.presence.forwarding.is_on();
        for id in self.state.calls.heard.keys().cloned().collect::<Vec<_>>() {
            let Some(call) = self.state.calls.heard.get(&id) else { continue };
            let phase = call.phase;
            // What the push was made from is newer than an older state: that says nothing about it, and rules nothing out.
            let newer = call.push.as_ref().is_none_or(|push| snapshot.version >= push.routing);
            // A server may stamp the push before it adds the call: only a newer state that lacks it has seen it go.
            let knew_it = call.push.as_ref().is_none_or(|push| snapshot.version > push.routing);
            let said = snapshot.calls.iter().find(|call| call.call_id == id);
            if let Some(said) = said.filter(|said| said.expires_at != UnixMillis::UNTOLD) {
                self.ring_ends_at(&id, said.expires_at);
            }
            let said = said.map(|call| &call.state);
            match (phase, said) {
                (Phase::Over { .. }, _) => {}
                (Phase::Ringing | Phase::Answering | Phase::InCall, Some(CallState::Answered { by })) if *by == me => {
                    self.in_call(&id);
                }
                // The rule holds for a call that rings already, too.
                (Phase::Ringing, _) if forwarding_on && newer => {
                    self.call_over(&id, CallKnowledge::Ended, Silence::ForwardingActive);
                }
                (Phase::Ringing | Phase::Answering | Phase::InCall, Some(CallState::Answered { .. })) => {
                    self.call_over(&id, CallKnowledge::AnsweredElsewhere, Silence::AnsweredElsewhere);
                }
                (Phase::Ringing | Phase::Answering | Phase::InCall, Some(CallState::Ended)) => {
                    self.call_over(&id, CallKnowledge::Ended, Silence::CallEnded);
                }
                (Phase::Ringing | Phase::Answering | Phase::InCall, None) if knew_it => {
                    self.call_over(&id, CallKnowledge::Ended, Silence::CallEnded);
                }
                (Phase::Ringing, Some(CallState::Ringing))
                    if newer && snapshot.presence.effective == Effective::InCall =>
                {
                    self.call_over(&id, CallKnowledge::Ended, Silence::InAnotherCall);
                }
                // (A state of the call that this version does not know is not its end.)
                (
                    Phase::Ringing | Phase::Answering | Phase::InCall,
                    Some(CallState::Ringing | CallState::Offered | CallState::Unknown) | None,
                ) => {}
            }
        }
        self.take_back_calls_of_a_dead_process();
    }

    /// The server has said when the call stops ringing. When that is later than was thought, the ring may go on by as much, though
    /// for no longer than any.
    fn ring_ends_at(&mut self, call_id: &CallId, expires_at: UnixMillis) {
        let longest = self.after(LONGEST_RING);
        let Some(call) = self.state.calls.heard.get_mut(call_id) else { return };
        let Some(push) = &mut call.push else { return };
        let later = u64::try_from(expires_at.since(push.expires_at)).unwrap_or(0);
        push.expires_at = expires_at;
        call.rings_until = call.rings_until.saturating_add(later).min(longest).max(call.rings_until);
    }

    /// The server counts this phone as in a call of which this process knows nothing: the process that answered has died, and a
    /// customer listens to nobody. The app in front says so. (In the background this may be another process beside it.)
    pub(crate) fn take_back_calls_of_a_dead_process(&mut self) {
        if !self.is_active() {
            return;
        }
        let me = CallState::Answered { by: Surface::Mobile { device: self.state.setup.device.clone() } };
        let calls = self.state.presence.confirmed.iter().flat_map(|snapshot| &snapshot.calls);
        let calls = calls.filter(|call| call.state == me).map(|call| call.call_id.clone());
        for call_id in calls.collect::<Vec<_>>() {
            let since = self.state.clock.guess(self.now);
            match self.state.calls.heard.get_mut(&call_id) {
                None => {}
                Some(call) if call.is_of_an_earlier_process() => call.since = since,
                Some(_) => continue,
            }
            self.call_over(&call_id, CallKnowledge::Ended, Silence::CallEnded);
            self.tell_of_hang_up(None, &call_id);
        }
    }

    fn in_call(&mut self, call_id: &CallId) {
        let Some(call) = self.state.calls.heard.get_mut(call_id) else { return };
        match call.phase {
            Phase::Ringing => {
                call.phase = Phase::InCall;
                self.stop_ringing(call_id, StopReason::AnsweredHere);
            }
            Phase::Answering => call.phase = Phase::InCall,
            // Hung up while the answer was on its way: over is over.
            Phase::InCall | Phase::Over { .. } => return,
        }
        // The server's state was quicker than its answer, which may have been lost.
        let untold = self.state.calls.heard.get_mut(call_id).and_then(|call| call.untold.take());
        if let Some(to) = untold.and_then(|untold| untold.waits).and_then(|purpose| purpose.replies_to()) {
            self.cancel_timer(Timer::TellAgain { call_id: call_id.clone() });
            self.reply(to, Ok(Reply::Done));
        }
        let at = self.after(LEASE_RENEWAL);
        self.set_timer(Timer::RenewCallLease { call_id: call_id.clone() }, at);
    }

    fn bury_old_calls(&mut self) {
        let now = self.now.mono;
        self.state.calls.heard.retain(|_, call| match call.phase {
            Phase::Over { until, .. } => now < until,
            Phase::Ringing | Phase::Answering | Phase::InCall => true,
        });
    }

    pub(crate) fn renew_call_lease(&mut self, call_id: CallId) {
        if self.state.calls.heard.get(&call_id).is_some_and(|call| call.phase == Phase::InCall) {
            let at = self.after(LEASE_RENEWAL);
            self.set_timer(Timer::RenewCallLease { call_id: call_id.clone() }, at);
            let key = self.idempotency_key();
            // Somebody speaks with a customer.
            self.tries = true;
            self.call_api(
                ApiCall::RenewCallLease { key, call_id: call_id.clone() },
                Purpose::RenewCallLease { call_id },
            );
        }
    }

    pub(crate) fn call_lease_renewed(&mut self, call_id: &CallId, outcome: Outcome) {
        match outcome {
            Outcome::State { snapshot } => self.apply_snapshot(snapshot),
            // The server knows no such call any more: nobody stays "in call" for ever.
            Outcome::Refused { status: 404 | 409 | 410, .. } if self.has_answered(call_id) => {
                self.call_over(call_id, CallKnowledge::Ended, Silence::CallEnded);
            }
            // One that could not be renewed is renewed by the next one, or ends: that is what leases are for.
            _ => {}
        }
    }
}

mod telling;
#[cfg(test)]
mod tests;
