//! A server of one agent with one or two phones: what core/wire/CONTRACT.md says of calls, pushes and forwarding, and no more.

use std::fmt::Debug;

use hookswitch::{
    machine::{ApiCall, Outcome},
    wire::{
        Agent, Availability, Call, CallId, CallPush, CallState, Capabilities, Device, Effective, Forwarding, Platform,
        Presence, PushKind, Role, Snapshot, Surface, UnixMillis, Version, problem::code,
    },
};

use super::{ACCOUNT, device};

/// So long a call rings, in milliseconds.
const RING: u64 = 30_000;

/// So long the server believes that a phone is in a call without hearing of it, in milliseconds.
const LEASE: u64 = 45_000;

/// Servers differ, within the contract and of old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As the contract says.
    Today,
    /// It pushes while calls are forwarded, and leaves the rule to the phones.
    Old,
    /// It stamps a push with the state before the call was in it, and drops calls from its state as they end.
    Hasty,
}

/// Who has a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Phone(usize),
    Desktop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Rings,
    /// It is offered at the number to which calls are forwarded.
    Offered,
    Answered(Holder),
    Ended,
}

/// A call, as the server sees it.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub(super) line: Line,
    /// It rings, or is offered, until then.
    pub(super) expires_at: u64,
    /// A phone that has it keeps it until then.
    lease_until: u64,
    /// The phones that were pushed to: each is, once.
    pushed: Vec<usize>,
    /// Those of them that were not told of its end.
    ringing: Vec<usize>,
}

/// An answer that is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    phone: usize,
    key: String,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    kind: Kind,
    phones: usize,
    pub(super) rev: u64,
    pub(super) forwarding: bool,
    pub(super) calls: Vec<Tracked>,
    /// The answers of what was carried out and may come again: whose, and by key.
    kept: Vec<Kept>,
}

/// A refusal: its status, and its word.
type Refusal = (u16, &'static str);

/// Pushes, each with the phone that it goes to.
pub(super) type Pushes = Vec<(usize, CallPush)>;

pub(super) fn name_of(call: usize) -> CallId {
    CallId(format!("call-{}", call + 1))
}

/// The place of a call in the server's list.
pub(super) fn place_of(call_id: &CallId) -> usize {
    call_id.0.strip_prefix("call-").and_then(|number| number.parse::<usize>().ok()).map_or(usize::MAX, |n| n - 1)
}

impl Server {
    pub(super) const fn new(kind: Kind, phones: usize) -> Self {
        Self { kind, phones, rev: 1, forwarding: false, calls: Vec::new(), kept: Vec::new() }
    }

    /// What decides what happens next, apart from what is kept; `mirrored`: as if each phone were the other one.
    pub(super) fn shape(&self, mirrored: bool) -> impl Debug {
        let mut calls = self.calls.clone();
        let other = |phone: usize| if mirrored { 1 - phone } else { phone };
        for tracked in &mut calls {
            for phone in tracked.pushed.iter_mut().chain(&mut tracked.ringing) {
                *phone = other(*phone);
            }
            tracked.pushed.sort_unstable();
            tracked.ringing.sort_unstable();
            if let Line::Answered(Holder::Phone(phone)) = &mut tracked.line {
                *phone = other(*phone);
            }
        }
        (self.rev, self.forwarding, calls)
    }

    /// What is kept for a phone.
    pub(super) fn kept_for(&self, phone: usize) -> impl Debug {
        self.kept.iter().filter(|kept| kept.phone == phone).map(|kept| (&kept.key, &kept.outcome)).collect::<Vec<_>>()
    }

    pub(super) fn line(&self, call: usize) -> Option<Line> {
        self.calls.get(call).map(|tracked| tracked.line)
    }

    pub(super) fn is_in_call(&self) -> bool {
        self.calls.iter().any(|tracked| matches!(tracked.line, Line::Answered(_)))
    }

    /// When time alone changes something.
    pub(super) fn next_change(&self) -> Option<u64> {
        let change = |tracked: &Tracked| match tracked.line {
            Line::Rings | Line::Offered => Some(tracked.expires_at),
            Line::Answered(Holder::Phone(_)) => Some(tracked.lease_until),
            Line::Answered(Holder::Desktop) | Line::Ended => None,
        };
        self.calls.iter().filter_map(change).min()
    }

    /// The agent's state, for a phone: which finds itself first in the list.
    pub(super) fn snapshot(&self, now: u64, me: usize) -> Snapshot {
        let at = |millis: u64| UnixMillis(millis as i64);
        let forwarding = Forwarding {
            number: if self.forwarding { "+33612345678".parse().ok() } else { None },
            rev: self.rev,
            ..Forwarding::default()
        };
        let call = |(place, tracked): (usize, &Tracked)| Call {
            call_id: name_of(place),
            from: None,
            from_name: None,
            state: match tracked.line {
                Line::Rings => CallState::Ringing,
                Line::Offered => CallState::Offered,
                Line::Answered(Holder::Phone(phone)) => {
                    CallState::Answered { by: Surface::Mobile { device: device(phone) } }
                }
                Line::Answered(Holder::Desktop) => CallState::Answered { by: Surface::Desktop },
                Line::Ended => CallState::Ended,
            },
            started_at: UnixMillis(0),
            expires_at: at(tracked.expires_at),
            forwarded_to: None,
        };
        let shown = |(_, tracked): &(usize, &Tracked)| self.kind != Kind::Hasty || tracked.line != Line::Ended;
        Snapshot {
            version: Version::new(1, self.rev),
            agent: Agent { account: ACCOUNT.into(), email: String::new(), name: String::new(), role: Role::Agent },
            presence: Presence {
                availability: Availability::Available,
                forwarding,
                call_leases: Vec::new(),
                chosen: None,
                effective: if self.is_in_call() { Effective::InCall } else { Effective::Available },
            },
            calls: self.calls.iter().enumerate().filter(shown).map(call).collect(),
            devices: std::iter::once(me)
                .chain((0..self.phones).filter(|phone| *phone != me))
                .map(|phone| Device {
                    id: device(phone),
                    name: String::new(),
                    platform: Some(Platform::Ios),
                    app_version: String::new(),
                    capabilities: Capabilities::default(),
                    cannot_ring: None,
                    last_seen: UnixMillis(0),
                })
                .collect(),
            sessions: Vec::new(),
            notices: Vec::new(),
            at: at(now),
            trace: None,
        }
    }

    fn push(&self, call: usize, kind: PushKind, routing: u64) -> CallPush {
        CallPush {
            kind,
            call_id: name_of(call),
            account: ACCOUNT.into(),
            expires_at: UnixMillis(self.calls.get(call).map_or(0, |tracked| tracked.expires_at) as i64),
            routing: Version::new(1, routing),
            forwarding_on: self.forwarding,
            from: None,
            from_name: None,
        }
    }

    /// Rings a call on all phones that have not heard of it.
    fn ring(&mut self, call: usize, routing: u64) -> Pushes {
        let push = self.push(call, PushKind::Incoming, routing);
        let Some(tracked) = self.calls.get_mut(call) else { return Vec::new() };
        let new: Vec<usize> = (0..self.phones).filter(|phone| !tracked.pushed.contains(phone)).collect();
        tracked.pushed.extend(&new);
        tracked.ringing.extend(&new);
        new.into_iter().map(|phone| (phone, push.clone())).collect()
    }

    /// Stops a call on all phones that ring but one.
    fn stop(&mut self, call: usize, kind: PushKind, except: Option<usize>) -> Pushes {
        let push = self.push(call, kind, self.rev);
        let Some(tracked) = self.calls.get_mut(call) else { return Vec::new() };
        let told = std::mem::take(&mut tracked.ringing);
        if kind == PushKind::AnsweredElsewhere {
            // Only the phone that answered still has to hear of the end.
            tracked.ringing = told.iter().copied().filter(|phone| Some(*phone) == except).collect();
        }
        told.into_iter().filter(|phone| Some(*phone) != except).map(|phone| (phone, push.clone())).collect()
    }

    fn becomes(&mut self, call: usize, line: Line, until: u64) {
        if let Some(tracked) = self.calls.get_mut(call) {
            tracked.line = line;
            match line {
                Line::Rings | Line::Offered => tracked.expires_at = until,
                Line::Answered(_) => tracked.lease_until = until,
                Line::Ended => {}
            }
        }
    }

    /// Somebody calls.
    pub(super) fn incoming(&mut self, now: u64) -> Pushes {
        let call = self.calls.len();
        let before = self.rev;
        self.rev += 1;
        let busy = self.is_in_call();
        let line = match (busy, self.forwarding) {
            (true, _) => Line::Ended,
            (false, true) => Line::Offered,
            (false, false) => Line::Rings,
        };
        let expires_at = now + RING;
        self.calls.push(Tracked { line, expires_at, lease_until: 0, pushed: Vec::new(), ringing: Vec::new() });
        let pushes = !busy && (line == Line::Rings || self.kind == Kind::Old);
        let routing = if self.kind == Kind::Hasty { before } else { self.rev };
        if pushes { self.ring(call, routing) } else { Vec::new() }
    }

    pub(super) fn forward(&mut self, on: bool, now: u64) -> Pushes {
        self.rev += 1;
        self.forwarding = on;
        let mut pushes = Vec::new();
        for call in 0..self.calls.len() {
            match (self.line(call), on) {
                (Some(Line::Rings), true) => {
                    pushes.extend(self.stop(call, PushKind::Ended, None));
                    self.becomes(call, Line::Offered, now + RING);
                }
                (Some(Line::Offered), false) if self.is_in_call() => self.becomes(call, Line::Ended, now),
                (Some(Line::Offered), false) => {
                    self.becomes(call, Line::Rings, now + RING);
                    pushes.extend(self.ring(call, self.rev));
                }
                (Some(Line::Rings | Line::Offered | Line::Answered(_) | Line::Ended) | None, _) => {}
            }
        }
        pushes
    }

    /// The call ends, for all but the phone that ended it.
    pub(super) fn end(&mut self, call: usize, by: Option<usize>) -> Pushes {
        self.rev += 1;
        let pushes = self.stop(call, PushKind::Ended, by);
        self.becomes(call, Line::Ended, 0);
        pushes
    }

    /// Somebody takes a call that rings; nobody is in two.
    pub(super) fn take(&mut self, call: usize, by: Holder, now: u64) -> Result<Pushes, Refusal> {
        match self.line(call) {
            None => Err((404, code::NOT_FOUND)),
            Some(Line::Answered(holder)) if holder == by => Ok(Vec::new()),
            Some(Line::Rings) if !self.is_in_call() => {
                self.rev += 1;
                let phone = if let Holder::Phone(phone) = by { Some(phone) } else { None };
                let pushes = self.stop(call, PushKind::AnsweredElsewhere, phone);
                self.becomes(call, Line::Answered(by), now + LEASE);
                Ok(pushes)
            }
            Some(Line::Rings | Line::Offered | Line::Answered(_) | Line::Ended) => Err((409, code::CALL_TAKEN)),
        }
    }

    /// Lets time pass until now.
    pub(super) fn settle(&mut self, now: u64) -> Pushes {
        let mut pushes = Vec::new();
        for call in 0..self.calls.len() {
            let over = self.calls.get(call).is_some_and(|tracked| match tracked.line {
                Line::Rings | Line::Offered => tracked.expires_at <= now,
                Line::Answered(Holder::Phone(_)) => tracked.lease_until <= now,
                Line::Answered(Holder::Desktop) | Line::Ended => false,
            });
            if over {
                pushes.extend(self.end(call, None));
            }
        }
        pushes
    }

    /// A request of a phone.
    pub(super) fn request(&mut self, phone: usize, call: &ApiCall, now: u64) -> (Outcome, Pushes) {
        if let Some(kept) = self.kept.iter().find(|kept| Some(&kept.key) == key(call)) {
            return (kept.outcome.clone(), Vec::new());
        }
        let done = match call {
            ApiCall::Answer { call_id, .. } => self.take(place_of(call_id), Holder::Phone(phone), now),
            ApiCall::Decline { call_id, .. } => self.decline(place_of(call_id), phone),
            ApiCall::HangUp { call_id, .. } => Ok(self.hang_up(place_of(call_id), phone)),
            ApiCall::RenewCallLease { call_id, .. } => self.renew(place_of(call_id), phone, now),
            ApiCall::FetchState
            | ApiCall::AwaitState { .. }
            | ApiCall::SetAvailability { .. }
            | ApiCall::SetForwarding { .. }
            | ApiCall::SendCode { .. }
            | ApiCall::VerifyNumber { .. }
            | ApiCall::EndSession { .. }
            | ApiCall::RegisterDevice { .. }
            | ApiCall::SignOutEverywhere { .. } => Ok(Vec::new()),
        };
        match done {
            Ok(pushes) => {
                let outcome = Outcome::State { snapshot: Box::new(self.snapshot(now, phone)) };
                if let Some(key) = key(call) {
                    self.kept.push(Kept { phone, key: key.clone(), outcome: outcome.clone() });
                }
                (outcome, pushes)
            }
            Err((status, code)) => {
                (Outcome::Refused { status, code: code.into(), detail: None, current: None }, Vec::new())
            }
        }
    }

    /// The phone has heard the answer, or died: the command does not come again.
    pub(super) fn forget(&mut self, call: &ApiCall) {
        self.kept.retain(|kept| Some(&kept.key) != key(call));
    }

    fn decline(&mut self, call: usize, by: usize) -> Result<Pushes, Refusal> {
        match self.line(call) {
            Some(Line::Rings | Line::Offered) => Ok(self.end(call, Some(by))),
            Some(Line::Ended) => Ok(Vec::new()),
            Some(Line::Answered(_)) | None => Err((409, code::CALL_TAKEN)),
        }
    }

    /// A phone leaves a call; what somebody else has goes on.
    fn hang_up(&mut self, call: usize, by: usize) -> Pushes {
        match self.line(call) {
            Some(Line::Rings) => self.end(call, Some(by)),
            Some(Line::Answered(holder)) if holder == Holder::Phone(by) => self.end(call, Some(by)),
            Some(Line::Answered(_) | Line::Offered | Line::Ended) | None => Vec::new(),
        }
    }

    fn renew(&mut self, call: usize, by: usize, now: u64) -> Result<Pushes, Refusal> {
        if self.line(call) == Some(Line::Answered(Holder::Phone(by))) {
            self.becomes(call, Line::Answered(Holder::Phone(by)), now + LEASE);
            return Ok(Vec::new());
        }
        Err((409, code::CALL_TAKEN))
    }
}

/// The name under which a command is carried out once.
const fn key(call: &ApiCall) -> Option<&String> {
    match call {
        ApiCall::Answer { key, .. }
        | ApiCall::Decline { key, .. }
        | ApiCall::HangUp { key, .. }
        | ApiCall::RenewCallLease { key, .. } => Some(key),
        ApiCall::FetchState
        | ApiCall::AwaitState { .. }
        | ApiCall::SetAvailability { .. }
        | ApiCall::SetForwarding { .. }
        | ApiCall::SendCode { .. }
        | ApiCall::VerifyNumber { .. }
        | ApiCall::EndSession { .. }
        | ApiCall::RegisterDevice { .. }
        | ApiCall::SignOutEverywhere { .. } => None,
    }
}
