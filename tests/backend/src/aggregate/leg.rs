//! A call at the number that calls are forwarded to: offered, confirmed by the key 1, spoken, or given back to the queue.
//!
//! Whoever picks up has the call only when they press 1: a voicemail box picks up too, and would swallow the customer. So do
//! FreeSWITCH (`group_confirm_key`), Asterisk's `Dial` (option `U`), Twilio (`url` of `<Number>` with a `<Gather>`) and Google Voice; that
//! one final answer decides who has a call, and the rest are cancelled, is RFC 3261, section 16.7.

use std::time::Duration;

use hookswitch_wire::{CallId, CallLease, CallState, Effective, LeaseKind, PhoneNumber, PushKind, Surface, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{Aggregate, Context, DeviceRing, LEASE, Push, RING, Refusal, RingOutcome, TrackedCall};
use crate::rings::cannot_ring;

/// How long before a lease's end the server renews it for a leg that stands, in milliseconds.
const RENEW_AHEAD: i64 = 15_000;

/// How long a call is offered at the number that it is forwarded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardingTimes {
    /// How long the number rings. By default 20 s: most voicemail boxes pick up later than that.
    pub ring: Duration,
    /// How long whoever picked up has to press 1. By default 10 s: the announcement is heard twice in that time.
    pub press: Duration,
}

impl Default for ForwardingTimes {
    fn default() -> Self {
        Self { ring: Duration::from_secs(20), press: Duration::from_secs(10) }
    }
}

impl ForwardingTimes {
    pub(crate) fn ring_ms(self) -> i64 {
        i64::try_from(self.ring.as_millis()).unwrap_or(i64::MAX)
    }

    fn press_ms(self) -> i64 {
        i64::try_from(self.press.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The call to the number, as far as the carrier has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Leg {
    /// Nobody has picked up.
    Rings,
    /// Somebody or something has, and 1 was not pressed.
    PickedUp,
    /// 1 was pressed, and the leg stands.
    Talks,
    /// The carrier knows no such leg any more, and has not said how it ended.
    Gone,
}

/// What the carrier says of the call to the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegNews {
    /// Somebody picked up, or a voicemail box did.
    PickedUp,
    /// The key 1 was pressed.
    #[serde(rename = "pressed_1")]
    Pressed1,
    /// The person there refused.
    Declined,
    /// The line is busy.
    Busy,
    /// The carrier gave up ringing.
    Unanswered,
    /// Whoever was there has hung up.
    HungUp,
    /// The leg is gone without a word: the server finds out when it would renew its lease.
    Gone,
}

/// Why a call went back to the queue, for another agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenBack {
    /// The agent, or who was at the number, refused it.
    Declined,
    /// The number was busy.
    Busy,
    /// Nobody picked up in time.
    Unanswered,
    /// Something picked up and did not press 1 in time, as a voicemail box would.
    NotConfirmed,
    /// Another call was at the number, or the agent in one: one at a time.
    OneAtATime,
    /// Forwarding ended while it was offered, and no app of the agent could ring for it.
    ForwardingOff,
}

impl GivenBack {
    /// The reason in a few words, after "back in the queue:".
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Declined => "it was declined",
            Self::Busy => "the number is busy",
            Self::Unanswered => "nobody picked up",
            Self::NotConfirmed => "nobody pressed 1",
            Self::OneAtATime => "the agent has another call",
            Self::ForwardingOff => "forwarding is off, and no app can ring",
        }
    }
}

impl TrackedCall {
    /// Whether the call is at the number: offered or spoken.
    fn is_at_the_number(&self) -> bool {
        matches!(self.call.state, CallState::Offered | CallState::Answered { by: Surface::Forwarded })
    }
}

impl Aggregate {
    /// Takes what the carrier says. Said again it changes nothing; that a leg is over is never refused.
    pub(super) fn leg(&mut self, call_id: &CallId, news: LegNews, context: Context) -> Result<Vec<Push>, Refusal> {
        let now = context.now;
        match (&self.tracked(call_id)?.call.state, news) {
            (CallState::Offered, LegNews::PickedUp) => {
                if let Some(tracked) = self.tracked_mut(call_id)
                    && tracked.leg == Some(Leg::Rings)
                {
                    tracked.leg = Some(Leg::PickedUp);
                    tracked.call.expires_at = now + context.times.press_ms();
                }
                Ok(Vec::new())
            }
            (CallState::Offered, LegNews::Pressed1) => {
                if let Some(tracked) = self.tracked_mut(call_id) {
                    tracked.leg = Some(Leg::Talks);
                }
                Ok(self.taken_by(call_id, Surface::Forwarded, now))
            }
            (CallState::Offered, LegNews::Declined | LegNews::HungUp) => {
                Ok(self.give_back(call_id, GivenBack::Declined, now))
            }
            (CallState::Offered, LegNews::Busy) => Ok(self.give_back(call_id, GivenBack::Busy, now)),
            (CallState::Offered, LegNews::Unanswered | LegNews::Gone) => {
                Ok(self.give_back(call_id, GivenBack::Unanswered, now))
            }
            (CallState::Answered { by: Surface::Forwarded }, LegNews::HungUp) => self.hang_up(call_id, None, now),
            (CallState::Answered { by: Surface::Forwarded }, LegNews::Gone) => {
                if let Some(tracked) = self.tracked_mut(call_id) {
                    tracked.leg = Some(Leg::Gone);
                }
                Ok(Vec::new())
            }
            // Late news of the time before.
            (CallState::Answered { by: Surface::Forwarded }, LegNews::PickedUp | LegNews::Pressed1) => Ok(Vec::new()),
            (_, LegNews::PickedUp | LegNews::Pressed1) => Err(Refusal::CallTaken),
            (_, LegNews::Declined | LegNews::Busy | LegNews::Unanswered | LegNews::HungUp | LegNews::Gone) => {
                Ok(Vec::new())
            }
        }
    }

    /// The time of a call is over: nobody answered it, or the lease of whoever had it ran out.
    pub(super) fn run_out(&mut self, call_id: &CallId, now: UnixMillis) -> Vec<Push> {
        let Ok(tracked) = self.tracked(call_id) else { return Vec::new() };
        match (&tracked.call.state, tracked.leg) {
            (CallState::Offered, Some(Leg::PickedUp)) => self.give_back(call_id, GivenBack::NotConfirmed, now),
            (CallState::Offered, _) => self.give_back(call_id, GivenBack::Unanswered, now),
            _ => self.end(call_id, None, now),
        }
    }

    /// The call is over for this agent, and the queue has it again.
    pub(super) fn give_back(&mut self, call_id: &CallId, why: GivenBack, now: UnixMillis) -> Vec<Push> {
        let pushes = self.end(call_id, None, now);
        if let Some(tracked) = self.tracked_mut(call_id) {
            tracked.given_back = Some(why);
        }
        pushes
    }

    /// Whether a call is offered or spoken at the number: the next goes to somebody else.
    pub(super) fn number_is_taken(&self) -> bool {
        self.calls.iter().any(TrackedCall::is_at_the_number)
    }

    fn agent_is_taken(&self) -> bool {
        self.number_is_taken() || self.leases.iter().any(|lease| lease.kind == LeaseKind::InCall)
    }

    /// Forwarding was turned on: of what rings in the apps, the first goes to the number.
    pub(super) fn forward_what_rings(&mut self, number: &PhoneNumber, context: Context) -> Vec<Push> {
        let mut pushes = Vec::new();
        for call_id in self.in_state(&CallState::Ringing) {
            if self.agent_is_taken() {
                pushes.extend(self.give_back(&call_id, GivenBack::OneAtATime, context.now));
                continue;
            }
            pushes.extend(self.stop(&call_id, PushKind::Ended, None));
            if let Some(tracked) = self.tracked_mut(&call_id) {
                tracked.call.state = CallState::Offered;
                tracked.call.expires_at = context.now + context.times.ring_ms();
                tracked.call.forwarded_to = Some(number.clone());
                tracked.leg = Some(Leg::Rings);
                tracked.ringing.clear();
            }
        }
        pushes
    }

    /// Forwarding is off: what is offered at the number rings in the apps instead. What is spoken there stays.
    pub(super) fn back_to_the_apps(&mut self, now: UnixMillis) -> Vec<Push> {
        let effective = self.effective(now);
        let mut pushes = Vec::new();
        for call_id in self.in_state(&CallState::Offered) {
            if effective != Effective::Available {
                pushes.extend(self.give_back(&call_id, GivenBack::ForwardingOff, now));
                continue;
            }
            let Some(tracked) = self.calls.iter_mut().find(|tracked| tracked.call.call_id == call_id) else { continue };
            tracked.call.state = CallState::Ringing;
            tracked.call.expires_at = now + RING;
            tracked.call.forwarded_to = None;
            tracked.leg = None;
            for device in &self.devices {
                let known = tracked.rings.iter_mut().find(|ring| ring.device == device.id);
                // A device that was told of the call, and of its end, takes it for over.
                if known.as_ref().is_some_and(|ring| ring.outcome == RingOutcome::Pushed) {
                    continue;
                }
                let reason = cannot_ring(false, effective, device.push_token.is_some());
                let (None, Some(push_token)) = (reason, &device.push_token) else { continue };
                tracked.ringing.push(device.id.clone());
                pushes.push(device.push(push_token, PushKind::Incoming, &tracked.call));
                match known {
                    Some(ring) => ring.outcome = RingOutcome::Pushed,
                    None => tracked.rings.push(DeviceRing {
                        device: device.id.clone(),
                        name: device.name.clone(),
                        outcome: RingOutcome::Pushed,
                    }),
                }
            }
        }
        pushes
    }

    /// Renews the lease of a call whose leg stands, by what the server itself knows of the leg.
    pub(super) fn renew_for_legs(&mut self, now: UnixMillis) {
        let Self { leases, calls, .. } = self;
        for lease in leases.iter_mut().filter(|lease| lease.expires_at <= now + RENEW_AHEAD) {
            if calls.iter().any(|tracked| stands(tracked, lease)) {
                lease.expires_at = now + LEASE;
            }
        }
    }

    /// When a lease changes by itself: it runs out, or the server renews it.
    pub(super) fn lease_changes(&self, lease: &CallLease) -> UnixMillis {
        let renewed = self.calls.iter().any(|tracked| stands(tracked, lease));
        if renewed { lease.expires_at - RENEW_AHEAD } else { lease.expires_at }
    }

    pub(super) fn lease_of(&self, call_id: &CallId) -> Option<&CallLease> {
        self.leases.iter().find(|lease| lease.call_id == *call_id && lease.kind == LeaseKind::InCall)
    }

    fn in_state(&self, state: &CallState) -> Vec<CallId> {
        let calls = self.calls.iter().filter(|tracked| tracked.call.state == *state);
        calls.map(|tracked| tracked.call.call_id.clone()).collect()
    }
}

/// Whether the lease is that of a call whose leg stands.
fn stands(tracked: &TrackedCall, lease: &CallLease) -> bool {
    lease.kind == LeaseKind::InCall && tracked.call.call_id == lease.call_id && tracked.leg == Some(Leg::Talks)
}
