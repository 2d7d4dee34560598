//! One agent's record: the aggregate, and the numbers that clients compare. Pure: no I/O, no clock, no database.
//!
//! [`Record::change`] is the only place that raises `rev`; [`carry_out`] is what becomes of a command that may have been
//! sent before or does not know the current state. The service does both on rows of its database, [`crate::PresenceModel`]
//! on values in memory.

use crate::clock::Millis;
use hookswitch_wire::UnixMillis;
use hookswitch_wire::{CallPush, SignIn, Snapshot, TraceId, Version};

use crate::{
    aggregate::{Aggregate, Command, Context, ForwardingTimes, Push, Refusal},
    store::Answer,
};

/// An agent as the server keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) rev: u64,
    pub(crate) aggregate: Aggregate,
    /// What apps were shown last.
    pub(crate) snapshot: Snapshot,
}

/// What a change depends on besides the record.
#[derive(Clone, Debug)]
pub(crate) struct Circumstances {
    pub(crate) epoch: u64,
    pub(crate) now: Millis,
    /// The agent's sessions that live, oldest first.
    pub(crate) sessions: Vec<SignIn>,
    pub(crate) old_server: bool,
    pub(crate) times: ForwardingTimes,
    /// The trace of the request that is carried out; it goes out with the state that the request makes.
    pub(crate) trace: Option<TraceId>,
}

/// What raises `rev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// What apps see another way.
    Seen,
    /// A choice of the agent, made on top of a version: also one for what is so already, or an older one that comes late
    /// would still be on top of the newest version, and win.
    Chosen,
}

impl Record {
    /// Lets time pass and applies `change`; raises `rev` when apps see a difference, and at each [`Change::Chosen`]. After a
    /// refusal the record is half changed: drop it.
    pub(crate) fn change(
        &mut self,
        around: Circumstances,
        kind: Change,
        change: impl FnOnce(&mut Aggregate, Context) -> Result<Vec<Push>, Refusal>,
        is_shared: impl FnOnce(&Aggregate) -> bool,
    ) -> Result<Vec<Push>, Refusal> {
        let Circumstances { epoch, now, sessions, old_server, times, trace } = around;
        let next_rev = self.rev.saturating_add(1);
        let context = Context { now: UnixMillis(now), next_rev, old_server, times };
        self.aggregate.signed_in = !sessions.is_empty();
        self.aggregate.sessions = sessions;
        let mut pushes = self.aggregate.settle(context);
        pushes.extend(change(&mut self.aggregate, context)?);
        self.aggregate.shared = is_shared(&self.aggregate);

        let shown = &self.snapshot;
        let same_time = self.aggregate.snapshot(shown.version, UnixMillis(now));
        // `at` and `trace` say when and by what a snapshot was made, so they are no difference.
        let unchanged = shown.version == Version::new(epoch, self.rev)
            && *shown == Snapshot { at: shown.at, trace: shown.trace, ..same_time };
        if !unchanged || kind == Change::Chosen {
            self.rev = next_rev;
            self.snapshot =
                Snapshot { trace, ..self.aggregate.snapshot(Version::new(epoch, next_rev), UnixMillis(now)) };
        }
        Ok(pushes)
    }

    /// What a push says, made from the state that it was decided on.
    pub(crate) fn payload(&self, push: &Push) -> CallPush {
        CallPush {
            kind: push.kind,
            call_id: push.call.call_id.clone(),
            account: self.aggregate.agent.account.clone(),
            expires_at: push.call.expires_at,
            routing: self.snapshot.version,
            forwarding_on: self.aggregate.forwarding.is_on(),
            from: push.call.from.clone(),
            from_name: push.call.from_name.clone(),
        }
    }
}

/// A command as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) key: &'a str,
    /// A hash of method, path and body: the same key with another one is refused.
    pub(crate) fingerprint: &'a str,
    pub(crate) if_match: Option<Version>,
    pub(crate) command: Command,
    pub(crate) answer: AnswerWith,
}

/// What a command is answered with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AnswerWith {
    Snapshot,
    Nothing,
}

/// Why a command was not carried out, or not now.
#[derive(Debug)]
pub(crate) enum Denied {
    /// The idempotency key named another command before.
    KeyReused,
    /// The command did not know the current state.
    Stale(Box<Snapshot>),
}

/// Where commands are carried out: all of one order happens, or nothing.
pub(crate) trait Desk {
    type Error: From<Denied>;

    /// The answer that was given under this key.
    fn given(&mut self, key: &str) -> Result<Option<Answer>, Self::Error>;
    fn keep(&mut self, key: &str, answer: &Answer) -> Result<(), Self::Error>;
    /// Lets time pass; what apps see then.
    fn current(&mut self) -> Result<Snapshot, Self::Error>;
    /// Changes the agent; what apps see then, as a value and as JSON.
    fn apply(&mut self, command: Command, kind: Change) -> Result<(Version, String), Self::Error>;
}

/// What became of a command.
#[derive(Debug)]
pub(crate) enum CommandOutcome {
    /// It was carried out, now or before.
    Done(Answer),
    /// It was not, and never will be: see [`Version::NEVER`].
    Withdrawn(Box<Snapshot>),
}

/// What is kept under the key of a command that was withdrawn.
const WITHDRAWN: u16 = 412;

/// Carries out a command once, however often it is sent.
pub(crate) fn carry_out<D: Desk>(desk: &mut D, order: Order<'_>) -> Result<CommandOutcome, D::Error> {
    let Order { key, fingerprint, if_match, command, answer } = order;
    if let Some(given) = desk.given(key)? {
        if given.fingerprint != fingerprint {
            return Err(Denied::KeyReused.into());
        }
        return if given.status == WITHDRAWN {
            Ok(CommandOutcome::Withdrawn(Box::new(desk.current()?)))
        } else {
            Ok(CommandOutcome::Done(given))
        };
    }
    let fingerprint = fingerprint.to_owned();
    let mut kind = Change::Seen;
    if let Some(version) = if_match {
        kind = Change::Chosen;
        let current = desk.current()?;
        if version == Version::NEVER {
            desk.keep(key, &Answer { fingerprint, status: WITHDRAWN, etag: None, body: String::new() })?;
            return Ok(CommandOutcome::Withdrawn(Box::new(current)));
        }
        if current.version != version {
            return Err(Denied::Stale(Box::new(current)).into());
        }
    }
    let (version, json) = desk.apply(command, kind)?;
    let answer = match answer {
        AnswerWith::Snapshot => Answer { fingerprint, status: 200, etag: Some(version.etag()), body: json },
        AnswerWith::Nothing => Answer { fingerprint, status: 204, etag: None, body: String::new() },
    };
    desk.keep(key, &answer)?;
    Ok(CommandOutcome::Done(answer))
}
