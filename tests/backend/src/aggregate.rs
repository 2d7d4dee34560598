//! Everything about one agent, and all that can happen to it. Pure: no I/O, no clock, no database.
//!
//! [`Aggregate::settle`] lets time pass, [`Aggregate::apply`] carries out a command, [`Aggregate::snapshot`] is what apps
//! see. The effective status is computed in one place: [`Aggregate::effective`].

mod device;
mod leg;

use hookswitch_wire::{
    Agent, Availability, Call, CallId, CallLease, CallState, CannotRing, Chosen, Device, DeviceId, Effective,
    ForwardTo, Forwarding, LeaseKind, Notice, PhoneNumber, Platform, Presence, PushKind, RegisterDevice, SignIn,
    Snapshot, Surface, UnixMillis, Version,
};
use serde::{Deserialize, Serialize};

pub use self::leg::{ForwardingTimes, GivenBack, LegNews};
pub(crate) use self::{device::TrackedDevice, leg::Leg};
use crate::{hours::WorkingHours, rings::cannot_ring};

/// How long a call rings.
pub(crate) const RING: i64 = 30_000;
/// How long an app keeps the agent in a call without renewing.
pub(crate) const LEASE: i64 = 45_000;
/// How long the work after a call takes.
pub(crate) const AFTER_CALL: i64 = 30_000;
/// How long an ended call stays in the snapshot.
pub(crate) const KEEP_ENDED: i64 = 60_000;
/// How many calls are remembered for reports.
const REMEMBER: usize = 50;

/// One agent, as the server keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Aggregate {
    pub(crate) agent: Agent,
    pub(crate) hours: WorkingHours,
    pub(crate) availability: Availability,
    #[serde(default)]
    pub(crate) chosen: Option<Chosen>,
    pub(crate) forwarding: Forwarding,
    pub(crate) leases: Vec<CallLease>,
    pub(crate) calls: Vec<TrackedCall>,
    pub(crate) devices: Vec<TrackedDevice>,
    /// Whether any session of the agent lives.
    pub(crate) signed_in: bool,
    /// Those that do.
    #[serde(default)]
    pub(crate) sessions: Vec<SignIn>,
    /// Whether several people seem to use this login.
    pub(crate) shared: bool,
}

/// A call, and who was told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrackedCall {
    pub(crate) call: Call,
    /// Whether the apps were offered the call at all.
    pub(crate) offered: bool,
    /// What was decided for each device when the call came.
    pub(crate) rings: Vec<DeviceRing>,
    /// Devices that were pushed the call and not yet its end.
    pub(crate) ringing: Vec<DeviceId>,
    /// The call to the number that it went to, while there is one.
    #[serde(default)]
    pub(crate) leg: Option<Leg>,
    /// What the agent was when the call was not offered.
    pub(crate) agent_was: Option<Effective>,
    /// Why the queue has it again.
    #[serde(default)]
    pub(crate) given_back: Option<GivenBack>,
    pub(crate) ended_at: Option<UnixMillis>,
}

/// What was decided for a device when a call came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRing {
    /// The device that was or was not told.
    pub device: DeviceId,
    /// What people call it, as it registered.
    pub name: String,
    /// Whether it was told.
    pub outcome: RingOutcome,
}

/// Whether a device was told of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RingOutcome {
    /// A push is in the outbox.
    Pushed,
    /// None is, and why.
    NotPushed(CannotRing),
}

/// What can happen to an agent.
#[derive(Clone, Debug)]
pub enum Command {
    /// The availability picker.
    SetAvailability {
        /// What the agent chose.
        availability: Availability,
        /// Where it was chosen, if that is known.
        by: Option<Surface>,
    },
    /// The forwarding switch.
    SetForwarding {
        /// Where calls go from now on; `None`: to the apps again.
        to: Option<ForwardTo>,
        /// Where it was chosen, if that is known.
        by: Option<Surface>,
    },
    /// A phone says that it is there.
    Register {
        /// The name that it gave itself; one that is known is renewed.
        id: DeviceId,
        /// What it says of itself.
        device: RegisterDevice,
        /// The session that asks.
        session: String,
    },
    /// A phone is taken off the list.
    Unregister(DeviceId),
    /// The push service knows this token no more.
    TokenGone {
        /// The phone that it was an address of.
        device: DeviceId,
        /// The token that was refused; a newer one of the phone stays.
        push_token: String,
        /// The moment from which it was dead, if the push service says; a token that was registered later stays.
        since: Option<UnixMillis>,
    },
    /// A session ended: its device goes with it.
    SessionEnded(String),
    /// Somebody calls.
    Incoming {
        /// The call, by the name that its pushes give it.
        call_id: CallId,
        /// The caller's number, as the network gives it; nothing when it is withheld.
        from: Option<PhoneNumber>,
        /// Who calls, for display.
        from_name: Option<String>,
    },
    /// The agent answers.
    Answer {
        /// The call, by the name that its pushes give it.
        call_id: CallId,
        /// The app that answers: only it goes on, the others stop ringing.
        by: Surface,
    },
    /// The agent declines.
    Decline {
        /// The call, by the name that its pushes give it.
        call_id: CallId,
        /// On which phone, if on one.
        by: Option<DeviceId>,
    },
    /// Somebody hangs up.
    HangUp {
        /// The call, by the name that its pushes give it.
        call_id: CallId,
        /// On which phone, if on one.
        by: Option<DeviceId>,
    },
    /// A phone is still in the call.
    Renew(CallId),
    /// The carrier says something of the call to the number that a call was forwarded to.
    Leg {
        /// The call, by the name that its pushes give it.
        call_id: CallId,
        /// What the carrier reports of the call's leg to the number.
        news: LegNews,
    },
}

/// What the command depends on besides the agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    pub(crate) now: UnixMillis,
    /// The `rev` that the agent will have if this changes anything.
    pub(crate) next_rev: u64,
    /// Plays a server that does not know the ring rule: it pushes although calls are forwarded.
    pub(crate) old_server: bool,
    pub(crate) times: ForwardingTimes,
}

/// A push that is to be sent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Push {
    pub(crate) device: DeviceId,
    pub(crate) platform: Platform,
    pub(crate) push_token: String,
    pub(crate) kind: PushKind,
    pub(crate) call: Call,
}

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The agent has no such call.
    #[error("there is no such call")]
    NoSuchCall,
    /// The agent has no such device.
    #[error("there is no such device")]
    NoSuchDevice,
    /// The call was answered by somebody else or is over.
    #[error("the call was answered elsewhere or is over")]
    CallTaken,
    /// Forwarding would end before it began.
    #[error("forwarding cannot end in the past")]
    EndsInThePast,
}

impl Aggregate {
    pub(crate) fn new(agent: Agent, hours: WorkingHours) -> Self {
        Self {
            agent,
            hours,
            availability: Availability::Available,
            chosen: None,
            forwarding: Forwarding::default(),
            leases: Vec::new(),
            calls: Vec::new(),
            devices: Vec::new(),
            signed_in: false,
            sessions: Vec::new(),
            shared: false,
        }
    }

    /// What colleagues and routing see. The only place that decides it.
    pub(crate) fn effective(&self, now: UnixMillis) -> Effective {
        let busy = |kind| self.leases.iter().any(|lease| lease.kind == kind && lease.expires_at > now);
        if !self.signed_in && !self.forwarding.is_on() {
            return Effective::Offline;
        }
        if busy(LeaseKind::InCall) {
            return Effective::InCall;
        }
        if busy(LeaseKind::AfterCallWork) {
            return Effective::AfterCallWork;
        }
        match self.availability {
            Availability::Available => Effective::Available,
            Availability::Unavailable { .. } | Availability::Unknown => Effective::DoNotDisturb,
            Availability::Automatic if self.hours.contain(now) => Effective::Available,
            Availability::Automatic => Effective::DoNotDisturb,
        }
    }

    /// Lets time pass until now: calls stop ringing, leases run out, forwarding comes to its end.
    pub(crate) fn settle(&mut self, context: Context) -> Vec<Push> {
        let now = context.now;
        self.renew_for_legs(now);
        self.leases.retain(|lease| lease.expires_at > now);
        let over: Vec<CallId> = self
            .calls
            .iter()
            .filter(|tracked| match &tracked.call.state {
                CallState::Ringing | CallState::Offered => tracked.call.expires_at <= now,
                // An app that stopped renewing its lease has lost the call, and so has a number whose leg is gone.
                CallState::Answered { .. } => self.lease_of(&tracked.call.call_id).is_none(),
                CallState::Ended | CallState::Unknown => false,
            })
            .map(|tracked| tracked.call.call_id.clone())
            .collect();
        let mut pushes: Vec<Push> = over.iter().flat_map(|call_id| self.run_out(call_id, now)).collect();
        if self.forwarding.until.is_some_and(|until| until <= now) {
            self.forwarding = Forwarding { rev: context.next_rev, ..Forwarding::default() };
            pushes.extend(self.back_to_the_apps(now));
        }
        let surplus = self.calls.len().saturating_sub(REMEMBER);
        self.calls.drain(..surplus);
        pushes
    }

    /// When [`Aggregate::settle`] or the clock changes the snapshot next.
    pub(crate) fn next_change(&self, now: UnixMillis) -> Option<UnixMillis> {
        let leases = self.leases.iter().map(|lease| self.lease_changes(lease));
        let calls =
            self.calls.iter().filter(|tracked| tracked.offered).filter_map(|tracked| match tracked.call.state {
                CallState::Ringing | CallState::Offered => Some(tracked.call.expires_at),
                CallState::Answered { .. } | CallState::Unknown => None,
                CallState::Ended => tracked.ended_at.map(|at| at + KEEP_ENDED),
            });
        let edge = match self.availability {
            Availability::Automatic => self.hours.next_edge(now),
            Availability::Available | Availability::Unavailable { .. } | Availability::Unknown => None,
        };
        leases.chain(calls).chain(edge).chain(self.forwarding.until).filter(|at| *at > now).min()
    }

    /// Carries out a command, in a state that was settled at `context.now`.
    pub(crate) fn apply(&mut self, command: Command, context: Context) -> Result<Vec<Push>, Refusal> {
        let now = context.now;
        match command {
            Command::SetAvailability { availability, by } => {
                self.availability = availability;
                self.chosen = by.map(|by| Chosen { by, at: now });
                // Who says "available" has finished the work after the call.
                if !matches!(availability, Availability::Unavailable { .. }) {
                    self.leases.retain(|lease| lease.kind != LeaseKind::AfterCallWork);
                }
                Ok(Vec::new())
            }
            Command::SetForwarding { to: Some(ForwardTo { until: Some(until), .. }), .. } if until <= now => {
                Err(Refusal::EndsInThePast)
            }
            Command::SetForwarding { to, by } => Ok(self.set_forwarding(to, by, context)),
            Command::Register { id, device, session } => {
                let RegisterDevice { name, platform, app_version, push_token, capabilities, line_number } = device;
                // A token is where one app is reached: a phone that was set up anew is no second phone.
                for other in &mut self.devices {
                    if other.platform == platform && other.push_token == push_token {
                        other.push_token = None;
                    }
                }
                let device = TrackedDevice {
                    id,
                    name,
                    platform,
                    app_version,
                    push_token,
                    token_at: now,
                    capabilities,
                    // A phone may know it in a form that only its network understands: better none than a wrong one.
                    line_number: line_number.and_then(|number| number.parse().ok()),
                    session,
                    last_seen: now,
                };
                match self.devices.iter_mut().find(|known| known.id == device.id) {
                    Some(known) => *known = device,
                    None => self.devices.push(device),
                }
                Ok(Vec::new())
            }
            Command::Unregister(id) => {
                let before = self.devices.len();
                self.devices.retain(|device| device.id != id);
                if self.devices.len() == before { Err(Refusal::NoSuchDevice) } else { Ok(Vec::new()) }
            }
            Command::TokenGone { device, push_token, since } => {
                // By now the app may have another token, or the same one anew.
                let stale = |known: &&mut TrackedDevice| {
                    known.id == device
                        && known.push_token.as_ref() == Some(&push_token)
                        && since.is_none_or(|since| known.token_at <= since)
                };
                if let Some(known) = self.devices.iter_mut().find(stale) {
                    known.push_token = None;
                }
                Ok(Vec::new())
            }
            Command::SessionEnded(session) => {
                self.devices.retain(|device| device.session != session);
                Ok(Vec::new())
            }
            // A call comes once, however often it is said.
            Command::Incoming { call_id, .. } if self.tracked(&call_id).is_ok() => Ok(Vec::new()),
            Command::Incoming { call_id, from, from_name } => {
                let call = Call {
                    call_id,
                    from,
                    from_name,
                    state: CallState::Ringing,
                    started_at: now,
                    expires_at: now + RING,
                    forwarded_to: None,
                };
                Ok(self.incoming(call, context))
            }
            Command::Answer { call_id, by } => self.answer(&call_id, by, now),
            Command::Decline { call_id, by } => match self.tracked(&call_id)?.call.state {
                CallState::Ringing => Ok(self.end(&call_id, by.as_ref(), now)),
                CallState::Offered => Ok(self.give_back(&call_id, GivenBack::Declined, now)),
                CallState::Answered { .. } => Err(Refusal::CallTaken),
                CallState::Ended | CallState::Unknown => Ok(Vec::new()),
            },
            Command::HangUp { call_id, by } => self.hang_up(&call_id, by.as_ref(), now),
            Command::Renew(call_id) => {
                self.tracked(&call_id)?;
                let lease = self
                    .leases
                    .iter_mut()
                    .find(|lease| lease.call_id == call_id && lease.kind == LeaseKind::InCall)
                    .ok_or(Refusal::CallTaken)?;
                lease.expires_at = now + LEASE;
                Ok(Vec::new())
            }
            Command::Leg { call_id, news } => self.leg(&call_id, news, context),
        }
    }

    /// Forwarding changes; a call that rings in the apps goes to the number with all that come after it.
    fn set_forwarding(&mut self, to: Option<ForwardTo>, by: Option<Surface>, context: Context) -> Vec<Push> {
        let (number, until) = to.map_or((None, None), |to| (Some(to.number), to.until));
        let chosen = by.map(|by| Chosen { by, at: context.now });
        if self.forwarding.number == number && self.forwarding.until == until {
            self.forwarding.chosen = chosen;
            return Vec::new();
        }
        let rev = context.next_rev;
        self.forwarding = Forwarding { number: number.clone(), rev, until, own_device: None, chosen };
        match number {
            Some(number) => self.forward_what_rings(&number, context),
            None => self.back_to_the_apps(context.now),
        }
    }

    fn incoming(&mut self, mut call: Call, context: Context) -> Vec<Push> {
        let effective = self.effective(context.now);
        let forwarded = self.forwarding.is_on();
        let taken = forwarded && self.number_is_taken();
        let offered = effective == Effective::Available && !taken;
        let mut tracked = TrackedCall {
            rings: Vec::new(),
            ringing: Vec::new(),
            offered,
            leg: (offered && forwarded).then_some(Leg::Rings),
            agent_was: (!offered).then_some(effective),
            given_back: taken.then_some(GivenBack::OneAtATime),
            ended_at: (!offered).then_some(context.now),
            call: call.clone(),
        };
        let mut pushes = Vec::new();
        for device in &self.devices {
            // The old server decides as if nothing were forwarded, and does not know that a number takes one call at a time.
            let reason = cannot_ring(forwarded && !context.old_server, effective, device.push_token.is_some());
            let outcome = match (reason, &device.push_token) {
                (None, Some(push_token)) => {
                    tracked.ringing.push(device.id.clone());
                    pushes.push(device.push(push_token, PushKind::Incoming, &call));
                    RingOutcome::Pushed
                }
                (None, None) => RingOutcome::NotPushed(CannotRing::NoPushToken),
                (Some(reason), _) => RingOutcome::NotPushed(reason),
            };
            tracked.rings.push(DeviceRing { device: device.id.clone(), name: device.name.clone(), outcome });
        }
        if !offered {
            call.state = CallState::Ended;
        } else if forwarded {
            call.state = CallState::Offered;
            call.expires_at = context.now + context.times.ring_ms();
            call.forwarded_to = self.forwarding.number.clone();
        }
        tracked.call = call;
        self.calls.push(tracked);
        pushes
    }

    fn answer(&mut self, call_id: &CallId, by: Surface, now: UnixMillis) -> Result<Vec<Push>, Refusal> {
        match &self.tracked(call_id)?.call.state {
            CallState::Ringing => {}
            CallState::Answered { by: taken_by } if *taken_by == by => return Ok(Vec::new()),
            CallState::Offered | CallState::Answered { .. } | CallState::Ended | CallState::Unknown => {
                return Err(Refusal::CallTaken);
            }
        }
        Ok(self.taken_by(call_id, by, now))
    }

    /// Somebody has the call, and the agent is in it for as long as the lease is renewed.
    fn taken_by(&mut self, call_id: &CallId, by: Surface, now: UnixMillis) -> Vec<Push> {
        let answering = match &by {
            Surface::Mobile { device } => Some(device.clone()),
            Surface::Web
            | Surface::Desktop
            | Surface::Dashboard
            | Surface::Cti { .. }
            | Surface::Forwarded
            | Surface::Unknown => None,
        };
        let pushes = self.stop(call_id, PushKind::AnsweredElsewhere, answering.as_ref());
        if let Some(tracked) = self.tracked_mut(call_id) {
            // Only the device that answered still has to hear of the end.
            tracked.ringing.retain(|device| Some(device) == answering.as_ref());
            tracked.call.state = CallState::Answered { by };
        }
        self.leases.retain(|lease| lease.kind != LeaseKind::AfterCallWork);
        self.leases.push(CallLease { call_id: call_id.clone(), kind: LeaseKind::InCall, expires_at: now + LEASE });
        pushes
    }

    fn hang_up(&mut self, call_id: &CallId, by: Option<&DeviceId>, now: UnixMillis) -> Result<Vec<Push>, Refusal> {
        let talked = self.lease_of(call_id).is_some();
        match self.tracked(call_id)?.call.state {
            CallState::Ringing | CallState::Offered | CallState::Answered { .. } => {}
            CallState::Ended | CallState::Unknown => return Ok(Vec::new()),
        }
        let pushes = self.end(call_id, by, now);
        if talked {
            self.leases.push(CallLease {
                call_id: call_id.clone(),
                kind: LeaseKind::AfterCallWork,
                expires_at: now + AFTER_CALL,
            });
        }
        Ok(pushes)
    }

    /// The call is over; who was told of it is told, except the device that ended it.
    fn end(&mut self, call_id: &CallId, by: Option<&DeviceId>, now: UnixMillis) -> Vec<Push> {
        let pushes = self.stop(call_id, PushKind::Ended, by);
        self.leases.retain(|lease| lease.call_id != *call_id);
        if let Some(tracked) = self.tracked_mut(call_id) {
            tracked.call.state = CallState::Ended;
            tracked.ended_at = Some(now);
            tracked.leg = None;
            tracked.ringing.clear();
        }
        pushes
    }

    /// The pushes that stop the ringing of a call on every device but `except`.
    fn stop(&self, call_id: &CallId, kind: PushKind, except: Option<&DeviceId>) -> Vec<Push> {
        let Ok(tracked) = self.tracked(call_id) else { return Vec::new() };
        let told = |device: &&TrackedDevice| tracked.ringing.contains(&device.id) && Some(&device.id) != except;
        let push = |device: &TrackedDevice| Some(device.push(device.push_token.as_ref()?, kind, &tracked.call));
        self.devices.iter().filter(told).filter_map(push).collect()
    }

    pub(crate) fn tracked(&self, call_id: &CallId) -> Result<&TrackedCall, Refusal> {
        self.calls.iter().find(|tracked| tracked.call.call_id == *call_id).ok_or(Refusal::NoSuchCall)
    }

    fn tracked_mut(&mut self, call_id: &CallId) -> Option<&mut TrackedCall> {
        self.calls.iter_mut().find(|tracked| tracked.call.call_id == *call_id)
    }

    /// The device that a session registered.
    pub(crate) fn device_of(&self, session: &str) -> Option<&TrackedDevice> {
        self.devices.iter().find(|device| device.session == session)
    }

    /// The device that calls are forwarded to, as far as devices have told their numbers.
    fn own_device(&self) -> Option<DeviceId> {
        let number = self.forwarding.number.as_ref()?;
        let own = self.devices.iter().find(|device| device.line_number.as_ref() == Some(number))?;
        Some(own.id.clone())
    }

    /// What apps see of the agent at this version: the one answer to every command and question.
    pub(crate) fn snapshot(&self, version: Version, now: UnixMillis) -> Snapshot {
        let effective = self.effective(now);
        let shown = |tracked: &&TrackedCall| tracked.offered && tracked.ended_at.is_none_or(|at| now < at + KEEP_ENDED);
        Snapshot {
            version,
            agent: self.agent.clone(),
            presence: Presence {
                availability: self.availability,
                forwarding: Forwarding { own_device: self.own_device(), ..self.forwarding.clone() },
                call_leases: self.leases.clone(),
                chosen: self.chosen.clone(),
                effective,
            },
            calls: self.calls.iter().filter(shown).map(|tracked| tracked.call.clone()).collect(),
            devices: self
                .devices
                .iter()
                .map(|device| Device {
                    id: device.id.clone(),
                    name: device.name.clone(),
                    platform: Some(device.platform),
                    app_version: device.app_version.clone(),
                    capabilities: device.capabilities,
                    cannot_ring: cannot_ring(self.forwarding.is_on(), effective, device.push_token.is_some()),
                    last_seen: device.last_seen,
                })
                .collect(),
            sessions: self
                .sessions
                .iter()
                .map(|session| SignIn {
                    device: self.device_of(session.id.as_str()).map(|device| device.id.clone()),
                    ..session.clone()
                })
                .collect(),
            notices: if self.shared { vec![Notice::SharedLogin] } else { Vec::new() },
            at: now,
            trace: None,
        }
    }
}

#[cfg(test)]
mod tests;
