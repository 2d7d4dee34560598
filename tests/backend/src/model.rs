//! The presence of one agent without network, database or clock: the backend's own rules, for simulations.

use std::collections::BTreeMap;

use hookswitch_wire::{AccountId, Agent, CallPush, DeviceId, Role, Snapshot, UnixMillis, Version};

use crate::{
    aggregate::{Aggregate, Command, Refusal},
    hours::WorkingHours,
    record::{AnswerWith, Circumstances, Denied, Desk, Order, Record, carry_out},
    store::Answer,
};

/// A server of one agent, who is signed in all the time. A clone is a backup.
#[derive(Clone, Debug)]
pub struct PresenceModel {
    epoch: u64,
    record: Record,
    answers: BTreeMap<String, Answer>,
    old_server: bool,
}

/// What a command came to.
#[derive(Clone, Debug)]
pub enum Said {
    /// 200, with the state; `again` when the command had been carried out before.
    State {
        /// What apps see.
        snapshot: Box<Snapshot>,
        /// A repetition: nothing was changed.
        again: bool,
    },
    /// 412, with the newest state.
    Stale(Box<Snapshot>),
    /// 422: the key was used for another command.
    KeyReused,
    /// The command makes no sense now.
    Refused(Refusal),
    /// Something that cannot be: an answer that was kept does not parse.
    Broken(String),
}

impl PresenceModel {
    /// A server that has just come to know the agent.
    pub fn new(account: AccountId, now: UnixMillis) -> Self {
        let agent =
            Agent { email: format!("{account}@acme.example"), name: account.to_string(), account, role: Role::Agent };
        let aggregate = Aggregate::new(agent, WorkingHours::office("UTC"));
        let snapshot = aggregate.snapshot(Version::new(1, 1), now);
        let record = Record { rev: 1, aggregate, snapshot };
        Self { epoch: 1, record, answers: BTreeMap::new(), old_server: false }
    }

    /// Plays a server that does not know the ring rule.
    pub fn set_old_server(&mut self, old: bool) {
        self.old_server = old;
    }

    /// Lets time pass; what apps see then, and what is pushed.
    pub fn at(&mut self, now: UnixMillis) -> (&Snapshot, Vec<(DeviceId, CallPush)>) {
        // Time alone is never refused.
        let pushes = self.change(now, None).unwrap_or_default();
        (&self.record.snapshot, pushes)
    }

    /// When time alone changes something.
    pub fn next_change(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.record.aggregate.next_change(now)
    }

    /// Whether the command of this key was carried out.
    pub fn has_answered(&self, key: &str) -> bool {
        self.answers.contains_key(key)
    }

    /// A command, as `PUT` and `POST` bring it. `fingerprint` is what makes two requests the same command.
    pub fn command(
        &mut self,
        key: &str,
        fingerprint: &str,
        if_match: Option<Version>,
        command: Command,
        now: UnixMillis,
    ) -> (Said, Vec<(DeviceId, CallPush)>) {
        let again = self.has_answered(key);
        let before = self.clone();
        let mut desk = InMemory { model: self, now, pushes: Vec::new() };
        let order = Order { key, fingerprint, if_match, command, answer: AnswerWith::Snapshot };
        let said = carry_out(&mut desk, order);
        let pushes = desk.pushes;
        match said {
            Ok(answer) => match serde_json::from_str(&answer.body) {
                Ok(snapshot) => (Said::State { snapshot: Box::new(snapshot), again }, pushes),
                Err(error) => (Said::Broken(error.to_string()), pushes),
            },
            Err(said) => {
                // As a transaction does: an error leaves no trace.
                *self = before;
                (said, Vec::new())
            }
        }
    }

    /// The server comes back from `backup`: what happened since is gone, and a new epoch begins.
    pub fn restore(&mut self, backup: Self, now: UnixMillis) -> Vec<(DeviceId, CallPush)> {
        let epoch = self.epoch.saturating_add(1);
        *self = Self { epoch, ..backup };
        self.record.rev = 0;
        let first = 1;
        self.record.aggregate.forwarding.rev = self.record.aggregate.forwarding.rev.min(first);
        self.change(now, None).unwrap_or_default()
    }

    fn change(&mut self, now: UnixMillis, command: Option<Command>) -> Result<Vec<(DeviceId, CallPush)>, Refusal> {
        let around = Circumstances { epoch: self.epoch, now, signed_in: true, old_server: self.old_server };
        let mut record = self.record.clone();
        let pushes = record.change(
            around,
            |aggregate, context| command.map_or_else(|| Ok(Vec::new()), |command| aggregate.apply(command, context)),
            |_| false,
        )?;
        let pushes = pushes.iter().map(|push| (push.device.clone(), record.payload(push))).collect();
        self.record = record;
        Ok(pushes)
    }
}

struct InMemory<'m> {
    model: &'m mut PresenceModel,
    now: UnixMillis,
    pushes: Vec<(DeviceId, CallPush)>,
}

impl From<Denied> for Said {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::KeyReused => Self::KeyReused,
            Denied::Stale(current) => Self::Stale(current),
        }
    }
}

impl Desk for InMemory<'_> {
    type Error = Said;

    fn given(&mut self, key: &str) -> Result<Option<Answer>, Said> {
        Ok(self.model.answers.get(key).cloned())
    }

    fn keep(&mut self, key: &str, answer: &Answer) -> Result<(), Said> {
        self.model.answers.insert(key.to_owned(), answer.clone());
        Ok(())
    }

    fn current(&mut self) -> Result<Snapshot, Said> {
        self.pushes.extend(self.model.change(self.now, None).map_err(Said::Refused)?);
        Ok(self.model.record.snapshot.clone())
    }

    fn apply(&mut self, command: Command) -> Result<(Version, String), Said> {
        self.pushes.extend(self.model.change(self.now, Some(command)).map_err(Said::Refused)?);
        let snapshot = &self.model.record.snapshot;
        let json = serde_json::to_string(snapshot).map_err(|error| Said::Broken(error.to_string()))?;
        Ok((snapshot.version, json))
    }
}
