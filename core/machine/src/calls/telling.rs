//! What the agent does to a call, and how the server is told: until it has heard it, under one key, so that it happens once.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use hookswitch_wire::{CallId, problem::code};

use crate::{
    backoff::{Backoff, Bounds},
    effect::{ApiCall, Reply},
    error::Failure,
    event::Outcome,
    names::CommandId,
    ring::{CallKnowledge, Silence, StopReason},
    running::Purpose,
    state::calls::{HeardCall, Phase, Untold},
    step::Step,
    time::Mono,
    timer::Timer,
};

/// How soon the server is told again what it did not hear, in milliseconds: somebody waits on the line.
const CALLS: Bounds = Bounds { first: 300, most: 3_000 };

/// So long the server is told that the agent has hung up or declined, in milliseconds: after that the lease of the call has
/// ended by itself, and its ring too.
const TELL_FOR: u64 = 60_000;

/// Nobody knows whether the server has heard it; or it has not looked at it, for want of a token that it takes: there will be
/// another.
const fn was_not_heard(outcome: &Outcome) -> bool {
    outcome.says_nothing() || matches!(outcome, Outcome::Refused { status: 401, .. })
}

impl Step<'_> {
    pub(crate) fn answer(&mut self, to: CommandId, call_id: &CallId) {
        if self.phase_of(call_id) != Some(Phase::Ringing) {
            return self.fail(to, Failure::forbidden("This call does not ring on this phone any more."));
        }
        let until = self.state.calls.heard.get(call_id).map_or(self.now.mono, |call| self.ring_ends(call));
        if let Some(call) = self.state.calls.heard.get_mut(call_id) {
            call.phase = Phase::Answering;
        }
        self.stop_ringing(call_id, StopReason::AnsweredHere);
        let key = self.idempotency_key();
        let call = ApiCall::Answer { key, call_id: call_id.clone() };
        self.tell(call_id, call, until, Purpose::Answer { to, call_id: call_id.clone() });
    }

    pub(crate) fn answered(&mut self, to: CommandId, call_id: &CallId, outcome: Outcome) {
        // Hung up meanwhile: what is told now is that.
        let is_due = self.tells(call_id, |call| matches!(call, ApiCall::Answer { .. }));
        if is_due && was_not_heard(&outcome) && self.phase_of(call_id) == Some(Phase::Answering) {
            let purpose = Purpose::Answer { to, call_id: call_id.clone() };
            if self.tell_later(call_id, purpose) {
                return;
            }
            // The caller may hear this phone, for all that anybody knows: nobody stays in a call that nobody has.
            self.call_over(call_id, CallKnowledge::Ended, Silence::CallEnded);
            self.fail(to, outcome.failure());
            return self.tell_of_hang_up(None, call_id);
        }
        if is_due {
            self.is_told(call_id);
        }
        match outcome {
            Outcome::State { snapshot } => {
                self.apply_snapshot(snapshot);
                self.in_call(call_id);
                if self.has_answered(call_id) {
                    self.reply(to, Ok(Reply::Done));
                } else {
                    self.fail(to, Failure::cancelled("The call is over."));
                }
            }
            // The stream was quicker and has said that the call is ours: what became of its answer does not matter any more.
            other
                if self.phase_of(call_id) == Some(Phase::InCall)
                    && (was_not_heard(&other) || !matches!(other, Outcome::Refused { .. })) =>
            {
                self.reply(to, Ok(Reply::Done));
            }
            other => {
                let taken = matches!(&other, Outcome::Refused { code, .. } if code == code::CALL_TAKEN);
                let (how, why) = if taken {
                    (CallKnowledge::AnsweredElsewhere, Silence::AnsweredElsewhere)
                } else {
                    (CallKnowledge::Ended, Silence::CallEnded)
                };
                let failure = other.failure();
                // Already over when the agent has hung up meanwhile.
                if self.has_answered(call_id) {
                    self.call_over(call_id, how, why);
                }
                self.fail(to, failure);
            }
        }
    }

    pub(crate) fn decline(&mut self, to: CommandId, call_id: &CallId) {
        if self.phase_of(call_id) != Some(Phase::Ringing) {
            return self.fail(to, Failure::forbidden("This call does not ring on this phone any more."));
        }
        self.end_call(call_id, CallKnowledge::Ended, StopReason::DeclinedHere);
        let key = self.idempotency_key();
        let until = self.after(TELL_FOR);
        let call = ApiCall::Decline { key, call_id: call_id.clone() };
        self.tell(call_id, call, until, Purpose::Decline { to: Some(to), call_id: call_id.clone() });
    }

    pub(crate) fn hang_up(&mut self, to: CommandId, call_id: &CallId) {
        match self.phase_of(call_id) {
            Some(Phase::InCall | Phase::Answering) => {
                self.call_over(call_id, CallKnowledge::Ended, Silence::CallEnded);
                self.tell_of_hang_up(Some(to), call_id);
            }
            Some(Phase::Ringing | Phase::Over { .. }) | None => {
                self.fail(to, Failure::forbidden("This phone is not in this call."));
            }
        }
    }

    pub(super) fn tell_of_hang_up(&mut self, to: Option<CommandId>, call_id: &CallId) {
        let key = self.idempotency_key();
        let until = self.after(TELL_FOR);
        let call = ApiCall::HangUp { key, call_id: call_id.clone() };
        self.tell(call_id, call, until, Purpose::HangUp { to, call_id: call_id.clone() });
    }

    pub(crate) fn told_of_decline(&mut self, to: Option<CommandId>, call_id: &CallId, outcome: Outcome) {
        let again = Purpose::Decline { to: None, call_id: call_id.clone() };
        self.told_the_server(to, call_id, outcome, again);
    }

    pub(crate) fn told_of_hang_up(&mut self, to: Option<CommandId>, call_id: &CallId, outcome: Outcome) {
        let again = Purpose::HangUp { to: None, call_id: call_id.clone() };
        self.told_the_server(to, call_id, outcome, again);
    }

    /// A decline or a hang-up came to its end: on this phone the call is over whatever the server says. Whoever asked hears
    /// how it went; the server hears of it all the same.
    fn told_the_server(&mut self, to: Option<CommandId>, call_id: &CallId, outcome: Outcome, again: Purpose) {
        if !was_not_heard(&outcome) || !self.tell_later(call_id, again) {
            self.is_told(call_id);
        }
        let reply = match outcome {
            Outcome::State { snapshot } => {
                self.apply_snapshot(snapshot);
                Ok(Reply::Done)
            }
            other => Err(other.failure()),
        };
        if let Some(to) = to {
            self.reply(to, reply);
        }
    }

    fn tells(&self, call_id: &CallId, what: impl Fn(&ApiCall) -> bool) -> bool {
        let untold = self.state.calls.heard.get(call_id).and_then(|call| call.untold.as_ref());
        untold.is_some_and(|untold| what(&untold.call))
    }

    fn phase_of(&self, call_id: &CallId) -> Option<Phase> {
        self.state.calls.heard.get(call_id).map(|call| call.phase)
    }

    /// Tells the server, and keeps what it is told until it has heard it.
    fn tell(&mut self, call_id: &CallId, call: ApiCall, until: Mono, purpose: Purpose) {
        // What was to be told before is out of date: a hang-up follows an answer.
        self.is_told(call_id);
        if let Some(heard) = self.state.calls.heard.get_mut(call_id) {
            heard.untold = Some(Untold { call: call.clone(), backoff: Backoff::default(), until, waits: None });
        }
        self.call_api(call, purpose);
    }

    /// Nothing is left to be told; whoever waits for it to be repeated is told so.
    pub(super) fn is_told(&mut self, call_id: &CallId) {
        self.cancel_timer(Timer::TellAgain { call_id: call_id.clone() });
        let untold = self.state.calls.heard.get_mut(call_id).and_then(|call| call.untold.take());
        if let Some(to) = untold.and_then(|untold| untold.waits).and_then(|purpose| purpose.replies_to()) {
            self.fail(to, Failure::cancelled("The call is over."));
        }
    }

    /// No answer came: the very same is said again in a moment. `false` when there is no point any more.
    fn tell_later(&mut self, call_id: &CallId, purpose: Purpose) -> bool {
        let now = self.now.mono;
        let Some(untold) = self.state.calls.heard.get_mut(call_id).and_then(|call| call.untold.as_mut()) else {
            return false;
        };
        if now >= untold.until {
            return false;
        }
        let at = untold.backoff.fail(CALLS, now, &mut self.state.random, None).min(untold.until);
        untold.waits = Some(purpose);
        self.set_timer(Timer::TellAgain { call_id: call_id.clone() }, at);
        true
    }

    /// The time to say it again has come.
    pub(crate) fn tell_again(&mut self, call_id: &CallId) {
        let Some(untold) = self.state.calls.heard.get_mut(call_id).and_then(|call| call.untold.as_mut()) else {
            return;
        };
        let call = untold.call.clone();
        if let Some(purpose) = untold.waits.take() {
            // Somebody waits on the line.
            self.tries = true;
            self.call_api(call, purpose);
        }
    }

    /// There may be a network again: what waits is said at once.
    pub(crate) fn tell_all_again(&mut self) {
        let waiting = |call: &HeardCall| call.untold.as_ref().is_some_and(|untold| untold.waits.is_some());
        let calls: Vec<CallId> =
            self.state.calls.heard.iter().filter(|(_, call)| waiting(call)).map(|(id, _)| id.clone()).collect();
        for call_id in calls {
            self.cancel_timer(Timer::TellAgain { call_id: call_id.clone() });
            self.tell_again(&call_id);
        }
    }
}
