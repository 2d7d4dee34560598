//! Taps: pending until the server has them, dropped when they are too old, withdrawn when they are in doubt.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use hookswitch_wire::{Chosen, Surface, Version, problem::code};

use crate::{
    choice::{Choice, ChoiceKind, SupersededChoice},
    effect::{ApiCall, Reply},
    error::Failure,
    event::Outcome,
    names::CommandId,
    running::Purpose,
    state::presence::{Applied, Tap, TapRequest},
    step::Step,
    timer::Timer,
};

/// A tap older than this is not applied any more, in milliseconds.
pub const TAP_LIFE: u64 = 10_000;

/// A server's time is known to the second (`Date`), in milliseconds: of two choices that are closer, nobody knows which was
/// the later.
const CLOCK_DOUBT: i64 = 1_000;

/// So often a tap is sent again on top of another state before it is given up.
pub(super) const REBASES: u32 = 8;

impl Step<'_> {
    pub(crate) fn tap(&mut self, to: CommandId, choice: Choice) {
        if let Some(failure) = self.state.session.not_signed_in() {
            return self.fail(to, failure);
        }
        if matches!(&choice, Choice::Availability { availability } if !availability.can_be_set()) {
            return self.fail(to, Failure::forbidden("This app has no word for that, so it cannot ask for it."));
        }
        let kind = choice.kind();
        let tap = Tap {
            choice,
            to: Some(to),
            at: self.now.mono,
            request: TapRequest::Due,
            applied: Applied::No,
            rebased: 0,
            attempt: None,
        };
        if let Some(older) = self.state.presence.taps.slot(kind).replace(tap) {
            // Its request may still arrive; the newer one is sent after it and wins.
            self.forget(|purpose| *purpose == Purpose::Tap { tap: kind });
            if let Some(to) = older.to {
                self.fail(to, Failure::cancelled("A newer choice replaces this one."));
            }
        }
        self.state.presence.superseded = None;
        let at = self.after(TAP_LIFE);
        self.set_timer(Timer::TapExpiry { tap: kind }, at);
    }

    /// Sends the taps that wait, as soon as there is a state to base them on.
    pub(crate) fn send_taps(&mut self) {
        // A stream waits for its turn, an agent does not: whoever taps now is one, and not a herd.
        let presence = &self.state.presence;
        let reachable = self.state.network_up && (presence.in_turn || presence.backoff.is_over(self.now.mono));
        let Some(newest) = self.state.presence.version().filter(|_| reachable) else { return };
        for kind in [ChoiceKind::Availability, ChoiceKind::Forwarding] {
            if self.is_too_late(&Purpose::Tap { tap: kind }) {
                // The phone slept through the timer: no tap is applied hours later.
                self.tap_expired(kind);
            }
            let due = |tap: &Tap| tap.request == TapRequest::Due && tap.attempt.is_none();
            if self.state.presence.taps.slot(kind).as_ref().is_some_and(due) && self.is_outdone(kind) {
                // The newer state came before the tap could leave: on top of it the server would take it.
                self.give_way(kind);
            }
            // Nobody waits for a tap that is withdrawn: it can wait for the foreground.
            let active = self.is_active();
            let Some((choice, attempt, applied)) = self
                .state
                .presence
                .taps
                .slot(kind)
                .as_ref()
                .filter(|tap| tap.request == TapRequest::Due && (active || tap.applied != Applied::Withdrawn))
                .map(|tap| (tap.choice.clone(), tap.attempt.clone(), tap.applied))
            else {
                continue;
            };
            let (key, base) = attempt.unwrap_or_else(|| (self.idempotency_key(), newest));
            let base = if applied == Applied::Withdrawn { Version::NEVER } else { base };
            if let Some(tap) = self.state.presence.taps.slot(kind) {
                tap.request = TapRequest::AwaitsToken;
                tap.attempt = Some((key.clone(), base));
            }
            let call = match choice {
                Choice::Availability { availability } => ApiCall::SetAvailability { key, base, availability },
                Choice::Forwarding { to } => ApiCall::SetForwarding { key, base, to },
            };
            self.call_api(call, Purpose::Tap { tap: kind });
        }
    }

    pub(crate) fn tap_answered(&mut self, kind: ChoiceKind, outcome: Outcome) {
        let now = self.now.mono;
        let Some(tap) = self.state.presence.taps.slot(kind) else { return };
        let young = now.saturating_sub(tap.at) < TAP_LIFE;
        let was_out = std::mem::replace(&mut tap.request, TapRequest::Due) == TapRequest::Out;
        let applied = tap.applied;
        match outcome {
            Outcome::State { snapshot } => {
                let to = tap.to;
                self.drop_tap(kind);
                self.apply_snapshot(snapshot);
                if let Some(to) = to {
                    self.reply(to, Ok(Reply::Done));
                }
            }
            Outcome::Refused { code, current, .. } if code == code::STALE && applied == Applied::Withdrawn => {
                if let Some(snapshot) = current {
                    self.apply_snapshot(snapshot);
                }
                self.supersede_offline(kind);
            }
            // The server is at another state. A tap of just now is the agent's last word: on top of that state, then.
            Outcome::Refused { code, current, .. } if code == code::STALE => {
                // What may still be on its way is on top of a state that never comes again.
                tap.attempt = None;
                tap.applied = Applied::No;
                tap.rebased += 1;
                let rebased = tap.rebased;
                if let Some(snapshot) = current {
                    self.apply_snapshot(snapshot);
                }
                // A server that is at another state each time, or is always behind, is not asked for ever.
                if !young || rebased > REBASES || self.is_outdone(kind) {
                    self.give_way(kind);
                }
            }
            // No answer: the very same request is repeated while the tap is young. What was out and is not known never to have
            // left is in doubt.
            Outcome::NotSent { .. }
            | Outcome::Unreachable { .. }
            | Outcome::Unavailable { .. }
            | Outcome::Unintelligible { .. } => {
                if applied == Applied::No && was_out && !matches!(outcome, Outcome::NotSent { .. }) {
                    tap.applied = Applied::InDoubt;
                }
                if young || applied == Applied::Withdrawn {
                    self.link_failed(&outcome);
                } else {
                    self.give_up(kind);
                }
            }
            // A token that is refused says nothing of what an earlier request, with a better one, came to.
            Outcome::Refused { status: 401, .. } if applied == Applied::Withdrawn => self.link_failed(&outcome),
            Outcome::Refused { status: 401, .. } if applied == Applied::InDoubt => self.give_up(kind),
            _ if applied == Applied::Withdrawn => self.supersede_offline(kind),
            other => {
                let to = tap.to;
                let failure = other.failure();
                self.drop_tap(kind);
                if let Some(to) = to {
                    self.fail(to, failure);
                }
            }
        }
    }

    pub(crate) fn tap_expired(&mut self, kind: ChoiceKind) {
        // One that is under way is decided by its answer; one that waits for a token is not under way.
        let purpose = Purpose::Tap { tap: kind };
        if !self.is_in_flight(|running| *running == purpose) {
            self.forget(|running| *running == purpose);
            self.give_up(kind);
        }
    }

    /// The server has refused to look at the request: it was not carried out.
    pub(crate) fn tap_was_not_looked_at(&mut self, purpose: &Purpose) {
        if let Purpose::Tap { tap: kind } = purpose
            && let Some(tap) = self.state.presence.taps.slot(*kind)
        {
            tap.request = TapRequest::AwaitsToken;
        }
    }

    /// Whether this is for a tap that is too old to be applied.
    pub(crate) fn is_too_late(&mut self, purpose: &Purpose) -> bool {
        let Purpose::Tap { tap: kind } = purpose else { return false };
        let now = self.now.mono;
        self.state.presence.taps.slot(*kind).as_ref().is_some_and(|tap| {
            // One that is withdrawn is asked to be undone, which is never too late.
            tap.applied != Applied::Withdrawn && now.saturating_sub(tap.at) >= TAP_LIFE
        })
    }

    /// A tap is too old to be applied. One that may have been applied is withdrawn; until the server has said which it
    /// was, it is pending.
    fn give_up(&mut self, kind: ChoiceKind) {
        let Some(tap) = self.state.presence.taps.slot(kind) else { return };
        if tap.applied == Applied::No {
            return self.supersede_offline(kind);
        }
        tap.applied = Applied::Withdrawn;
        tap.request = TapRequest::Due;
        if let Some(to) = tap.to.take() {
            let why = "The connection broke off. It is settled when the connection is back whether this was applied.";
            self.fail(to, Failure::offline(why));
        }
    }

    /// Something newer was chosen elsewhere: it holds, and whoever tapped is told.
    fn give_way(&mut self, kind: ChoiceKind) {
        let why = match self.chosen_since(kind) {
            Some(chosen) => format!("Superseded by {}.", chosen.by.title()),
            None => "Something newer was chosen on another device.".to_owned(),
        };
        self.supersede(kind, &why, Failure::cancelled(format!("Not applied: {why}")));
    }

    /// Whether another device certainly chose after the tap was made, however late the tap arrives. In doubt the tap is
    /// the agent's last word: it is the one that waits on a screen.
    fn is_outdone(&mut self, kind: ChoiceKind) -> bool {
        let me = Surface::Mobile { device: self.state.setup.device.clone() };
        let Some(now) = self.state.clock.trusted(self.now) else { return false };
        let Some(tap) = self.state.presence.taps.slot(kind).as_ref() else { return false };
        let age = i64::try_from(self.now.mono.saturating_sub(tap.at)).unwrap_or(i64::MAX);
        // A choice of this phone is an older tap that arrived late.
        self.chosen_since(kind).is_some_and(|chosen| chosen.by != me && chosen.at >= now - age + CLOCK_DOUBT)
    }

    fn supersede_offline(&mut self, kind: ChoiceKind) {
        let why = "There was no connection when you chose it.";
        self.supersede(kind, why, Failure::offline(format!("Not applied: {why}")));
    }

    fn supersede(&mut self, kind: ChoiceKind, why: &str, failure: Failure) {
        let at = self.state.clock.guess(self.now);
        let by = self.chosen_since(kind);
        if let Some(tap) = self.drop_tap(kind) {
            if let Some(to) = tap.to {
                self.fail(to, failure);
            }
            let chosen_at = by.as_ref().map(|chosen| chosen.at);
            let by = by.map(|chosen| chosen.by.title().to_owned());
            self.state.presence.superseded =
                Some(SupersededChoice { choice: tap.choice, why: why.to_owned(), at, by, chosen_at });
        }
    }

    /// What was chosen of the same kind elsewhere after the tap, if anything was.
    fn chosen_since(&mut self, kind: ChoiceKind) -> Option<Chosen> {
        let now = self.state.clock.guess(self.now);
        let tap = self.state.presence.taps.slot(kind).as_ref()?;
        let age = i64::try_from(self.now.mono.saturating_sub(tap.at)).unwrap_or(i64::MAX);
        let presence = &self.state.presence.confirmed.as_ref()?.presence;
        let chosen = match kind {
            ChoiceKind::Availability => presence.chosen.as_ref()?,
            ChoiceKind::Forwarding => presence.forwarding.chosen.as_ref()?,
        };
        (chosen.at >= now - age).then(|| chosen.clone())
    }

    fn drop_tap(&mut self, kind: ChoiceKind) -> Option<Tap> {
        self.cancel_timer(Timer::TapExpiry { tap: kind });
        self.state.presence.taps.slot(kind).take()
    }
}
