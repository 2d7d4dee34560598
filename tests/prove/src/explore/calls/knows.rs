//! What a phone has been told, by whomever: what it must act on, and all that may keep it silent.

use std::collections::BTreeMap;

use hookswitch::{
    machine::{Contents, Decision, Loaded, Outcome, Silence, StopReason, Verdict},
    wire::{CallPush, CallState, Effective, PushKind, Snapshot, Surface},
};

use super::{
    super::Broken,
    device,
    server::{name_of, place_of},
};

/// A ring whose end nobody told ends by itself, in milliseconds.
const LONGEST_RING: u64 = 90_000;

/// The newest that it was told of where calls go.
#[derive(Clone, Copy, Debug)]
struct Routing {
    rev: u64,
    forwarding: bool,
    in_call: bool,
}

/// What it was told of a call.
#[derive(Clone, Debug, Default)]
struct Told {
    /// It is over for this phone.
    over: bool,
    /// Since when it has rung here, the state that its push was made from, and when it stops ringing.
    rings: Option<Ring>,
}

#[derive(Clone, Copy, Debug)]
struct Ring {
    since: u64,
    rev: u64,
    expires_at: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Knows {
    routing: Option<Routing>,
    calls: BTreeMap<usize, Told>,
    /// How much earlier than it is it may take it to be, in milliseconds; nothing before an answer.
    doubt: Option<u64>,
}

/// What a phone shows of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) ringing: Vec<usize>,
    /// The call that it is in or answers, and whether the server has yet to confirm it.
    pub(super) in_call: Option<(usize, bool)>,
}

impl Shown {
    pub(super) fn has(&self, call: usize) -> bool {
        self.ringing.contains(&call) || self.is_in(call)
    }

    pub(super) fn is_in(&self, call: usize) -> bool {
        self.in_call.is_some_and(|(it, _)| it == call)
    }
}

impl Knows {
    fn of(&mut self, call: usize) -> &mut Told {
        self.calls.entry(call).or_default()
    }

    fn is_over(&self, call: usize) -> bool {
        self.calls.get(&call).is_some_and(|told| told.over)
    }

    /// The agent has left it, or the server has refused it.
    pub(super) fn ends(&mut self, call: usize) {
        self.of(call).over = true;
    }

    pub(super) fn hears_the_time(&mut self, doubt: u64) {
        self.doubt = Some(self.doubt.map_or(doubt, |before| before.min(doubt)));
    }

    pub(super) fn hears_push(&mut self, push: &CallPush, shown: &Shown) {
        let call = place_of(&push.call_id);
        match push.kind {
            PushKind::Ended => self.ends(call),
            // Somebody was quicker, or that somebody is this phone: the answer to its own request says which.
            PushKind::AnsweredElsewhere if !shown.is_in(call) => self.ends(call),
            PushKind::AnsweredElsewhere | PushKind::Incoming | PushKind::Unknown => {}
        }
    }

    /// A state of the server; `anew` when this process was told it, and not one before it.
    pub(super) fn hears_state(&mut self, me: usize, snapshot: &Snapshot, anew: bool) {
        let rev = snapshot.version.rev;
        if self.routing.is_some_and(|known| rev < known.rev) {
            return;
        }
        let in_call = snapshot.presence.effective == Effective::InCall;
        self.routing = Some(Routing { rev, forwarding: snapshot.presence.forwarding.is_on(), in_call });
        let mine = CallState::Answered { by: Surface::Mobile { device: device(me) } };
        for call in &snapshot.calls {
            let told = self.of(place_of(&call.call_id));
            match &call.state {
                CallState::Ended => told.over = true,
                CallState::Answered { .. } => told.over |= call.state != mine,
                CallState::Ringing | CallState::Offered | CallState::Unknown => {}
            }
            if let Some(ring) = &mut told.rings {
                ring.expires_at = ring.expires_at.max(call.expires_at.0 as u64);
            }
        }
        for (call, told) in &mut self.calls {
            let is_listed = snapshot.calls.iter().any(|listed| listed.call_id == name_of(*call));
            told.over |= anew && !is_listed && told.rings.is_some_and(|ring| rev > ring.rev);
        }
    }

    fn hears_vault(&mut self, me: usize, contents: &Contents) {
        if let Some(knowledge) = &contents.knowledge {
            for (call_id, ..) in &knowledge.calls {
                self.ends(place_of(call_id));
            }
            self.routing = knowledge.routing.map(|routing| Routing {
                rev: routing.version.rev,
                forwarding: routing.forwarding_on,
                in_call: routing.effective == Effective::InCall,
            });
        }
        if let Some(snapshot) = contents.session.as_ref().and_then(|session| session.snapshot.as_deref()) {
            self.hears_state(me, snapshot, false);
        }
    }

    pub(super) fn hears_outcome(&mut self, me: usize, outcome: &Outcome, shown: &Shown) {
        match outcome {
            Outcome::State { snapshot } => self.hears_state(me, snapshot, true),
            Outcome::Loaded { loaded } => {
                // An agent who has answered meanwhile hears it from the server.
                let answered = shown.in_call.map(|(call, _)| (call, self.of(call).clone()));
                if let Loaded::Contents(contents) = &**loaded {
                    self.hears_vault(me, contents);
                }
                self.calls.extend(answered);
            }
            Outcome::Done
            | Outcome::NotSent { .. }
            | Outcome::Unreachable { .. }
            | Outcome::Unintelligible { .. }
            | Outcome::Unavailable { .. }
            | Outcome::Unauthenticated
            | Outcome::Refused { .. }
            | Outcome::Metadata { .. }
            | Outcome::LoginPushed { .. }
            | Outcome::Granted { .. }
            | Outcome::OAuthError { .. }
            | Outcome::NewerTokens { .. }
            | Outcome::RefreshLeaseHeld { .. }
            | Outcome::Reread { .. }
            | Outcome::StorageFailed { .. } => {}
        }
    }

    /// Whether calls are forwarded, and whether the agent is in a call, by what is newest: push or state.
    fn newest(&self, rev: u64, by_push: bool) -> (bool, bool) {
        let known = self.routing.filter(|known| known.rev >= rev);
        known.map_or((by_push, false), |known| (known.forwarding, known.in_call))
    }

    /// The rule, once more and from the outside: a push was decided on.
    pub(super) fn judge(&mut self, decision: &Decision, before: &Shown, after: &Shown, now: u64) -> Result<(), Broken> {
        let push = &decision.push;
        let (call, rev) = (place_of(&push.call_id), push.routing.rev);
        let expires_at = push.expires_at.0 as u64;
        let wrong = |why: &str| Err(format!("{:?} for call {}: {why}", decision.verdict, call + 1));
        let reason = match decision.verdict {
            Verdict::Ring { .. } => None,
            Verdict::Silence { reason } => Some(reason),
        };
        match push.kind {
            PushKind::Incoming | PushKind::Unknown => {}
            PushKind::AnsweredElsewhere | PushKind::Ended if reason.is_none() => return wrong("it is a stop"),
            PushKind::AnsweredElsewhere | PushKind::Ended => return Ok(()),
        }
        let (forwarding, in_call) = self.newest(rev, push.forwarding_on);
        let is_here = before.has(call) && after.has(call);
        let other = after.ringing.iter().any(|it| *it != call) || after.in_call.is_some_and(|(it, _)| it != call);
        match reason {
            Some(Silence::Duplicate) if !is_here => wrong("this phone does not show it"),
            Some(Silence::ForwardingActive) if !forwarding => wrong("calls are not forwarded"),
            Some(Silence::AnsweredElsewhere | Silence::CallEnded) if !self.is_over(call) => wrong("nobody said so"),
            Some(Silence::Expired) if now < expires_at => wrong("it is not"),
            Some(Silence::InAnotherCall) if !other && !in_call => wrong("there is none"),
            Some(
                Silence::NotAvailable
                | Silence::SignedOut
                | Silence::OtherAccount
                | Silence::DeviceNotRegistered
                | Silence::SignInNeeded,
            ) => wrong("it is not so"),
            Some(
                Silence::Duplicate
                | Silence::ForwardingActive
                | Silence::AnsweredElsewhere
                | Silence::CallEnded
                | Silence::Expired
                | Silence::InAnotherCall,
            ) => Ok(()),
            None if is_here => wrong("it rings or runs here already"),
            None if forwarding => wrong("calls are forwarded, and this phone was told"),
            None if self.is_over(call) => wrong("it is over, and this phone was told"),
            None if other => wrong("this phone has another call"),
            None => {
                self.of(call).rings = Some(Ring { since: now, rev, expires_at });
                Ok(())
            }
        }
    }

    /// A call that rang, or was being answered, was stopped.
    pub(super) fn judge_stop(&mut self, call: usize, why: StopReason, now: u64) -> Result<(), Broken> {
        let ring = self.calls.get(&call).and_then(|told| told.rings);
        let (forwarding, in_call) = self.newest(ring.map_or(0, |ring| ring.rev), false);
        let too_long = ring.is_some_and(|ring| now >= ring.since + LONGEST_RING || now >= ring.expires_at);
        let is_right = match why {
            StopReason::AnsweredHere => return Ok(()),
            StopReason::DeclinedHere => true,
            StopReason::Silenced { reason } => match reason {
                // The stop of a call that is forwarded says so itself.
                Silence::ForwardingActive => forwarding || self.is_over(call),
                Silence::InAnotherCall => in_call,
                Silence::AnsweredElsewhere | Silence::CallEnded => self.is_over(call) || too_long,
                Silence::Expired => too_long,
                Silence::NotAvailable
                | Silence::Duplicate
                | Silence::SignedOut
                | Silence::OtherAccount
                | Silence::DeviceNotRegistered
                | Silence::SignInNeeded => false,
            },
        };
        if !is_right {
            return Err(format!("call {} was stopped ({why:?}), and it was not so", call + 1));
        }
        self.ends(call);
        Ok(())
    }

    /// What it shows fits what it was told.
    pub(super) fn judge_shown(&self, before: &Shown, after: &Shown, now: u64) -> Result<(), Broken> {
        for call in &after.ringing {
            let wrong = |why: &str| Err(format!("call {} rings: {why}", call + 1));
            let Some(ring) = self.calls.get(call).and_then(|told| told.rings) else {
                return wrong("no push said so");
            };
            if self.is_over(*call) {
                return wrong("it is over, and this phone was told");
            }
            if self.newest(ring.rev, false).0 {
                return wrong("calls are forwarded, and this phone was told");
            }
            let longest = ring.since + LONGEST_RING;
            let until = self.doubt.map_or(longest, |doubt| longest.min(ring.expires_at + doubt));
            if now >= until {
                return wrong("its time is over");
            }
        }
        if let Some((call, _)) = after.in_call
            && self.is_over(call)
        {
            return Err(format!("call {} is shown as running: it is over, and this phone was told", call + 1));
        }
        if let Some((call, connecting)) = before.in_call
            && !after.is_in(call)
            && !self.is_over(call)
        {
            return Err(format!("call {} was dropped (connecting: {connecting}), and nobody said so", call + 1));
        }
        Ok(())
    }
}
