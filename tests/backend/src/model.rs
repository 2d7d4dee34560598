//! The presence of one agent without network, database or clock: the backend's own rules, for simulations.

use std::collections::BTreeMap;

use hookswitch_wire::{AccountId, Agent, CallPush, DeviceId, Role, SignIn, SignInKind, Snapshot, UnixMillis, Version};

use crate::{
    aggregate::{Aggregate, Command, ForwardingTimes, Refusal},
    hours::WorkingHours,
    record::{AnswerWith, Change, Circumstances, CommandOutcome, Denied, Desk, Order, Record, carry_out},
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
        /// The state that the answer carries.
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
        let pushes = self.change(now, Change::Seen, None).unwrap_or_default();
        (&self.record.snapshot, pushes)
    }

    /// When time alone changes something.
    pub fn next_change(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.record.aggregate.next_change(now)
    }

    /// Whether the command of this key was carried out or withdrawn.
    fn has_answered(&self, key: &str) -> bool {
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
            Ok(CommandOutcome::Withdrawn(current)) => (Said::Stale(current), pushes),
            Ok(CommandOutcome::Done(answer)) => match serde_json::from_str(&answer.body) {
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
        self.change(now, Change::Seen, None).unwrap_or_default()
    }

    fn change(
        &mut self,
        now: UnixMillis,
        kind: Change,
        command: Option<Command>,
    ) -> Result<Vec<(DeviceId, CallPush)>, Refusal> {
        let signed_in =
            SignIn { id: "model".into(), kind: SignInKind::Mobile, device: None, signed_in_at: UnixMillis(0) };
        let (sessions, trace) = (vec![signed_in], None);
        let (old_server, times) = (self.old_server, ForwardingTimes::default());
        let around = Circumstances { epoch: self.epoch, now: now.0, sessions, old_server, times, trace };
        let mut record = self.record.clone();
        let pushes = record.change(
            around,
            kind,
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
        self.pushes.extend(self.model.change(self.now, Change::Seen, None).map_err(Said::Refused)?);
        Ok(self.model.record.snapshot.clone())
    }

    fn apply(&mut self, command: Command, kind: Change) -> Result<(Version, String), Said> {
        self.pushes.extend(self.model.change(self.now, kind, Some(command)).map_err(Said::Refused)?);
        let snapshot = &self.model.record.snapshot;
        let json = serde_json::to_string(snapshot).map_err(|error| Said::Broken(error.to_string()))?;
        Ok((snapshot.version, json))
    }
}

#[cfg(test)]
mod tests {
    use hookswitch_wire::Availability;

    use super::*;

    fn put(model: &mut PresenceModel, key: &str, base: Version, availability: Availability) -> Said {
        model
            .command(
                key,
                &format!("{availability:?}"),
                Some(base),
                Command::SetAvailability { availability, by: None },
                UnixMillis(1),
            )
            .0
    }

    // The simulation: of two taps the later one asked for what was so already, and the earlier one came late.
    #[test]
    fn a_choice_that_changes_nothing_still_outdates_what_was_chosen_before_it() {
        let mut model = PresenceModel::new("a".into(), UnixMillis(0));
        let base = model.at(UnixMillis(1)).0.version;
        let Said::State { snapshot, again: false } = put(&mut model, "later", base, Availability::Available) else {
            panic!("refused");
        };
        assert!(snapshot.version > base);
        assert!(matches!(put(&mut model, "earlier", base, Availability::Automatic), Said::Stale(_)));
        assert_eq!(model.at(UnixMillis(1)).0.presence.availability, Availability::Available);
    }

    #[test]
    fn a_command_that_is_withdrawn_was_carried_out_or_never_will_be() {
        let mut model = PresenceModel::new("a".into(), UnixMillis(0));
        let base = model.at(UnixMillis(1)).0.version;
        assert!(matches!(put(&mut model, "k", base, Availability::Automatic), Said::State { again: false, .. }));
        assert!(matches!(
            put(&mut model, "k", Version::NEVER, Availability::Automatic),
            Said::State { again: true, .. }
        ));

        let base = model.at(UnixMillis(1)).0.version;
        assert!(matches!(put(&mut model, "l", Version::NEVER, Availability::Available), Said::Stale(_)));
        assert!(matches!(put(&mut model, "l", base, Availability::Available), Said::Stale(_)), "still on its way");
        assert_eq!(model.at(UnixMillis(1)).0.presence.availability, Availability::Automatic);
        assert!(matches!(put(&mut model, "l", base, Availability::Automatic), Said::KeyReused));
    }

    #[test]
    fn a_restored_server_is_of_a_new_epoch_and_knows_no_command_since_the_backup() {
        let mut model = PresenceModel::new("a".into(), UnixMillis(0));
        let (backup, base) = (model.clone(), model.at(UnixMillis(1)).0.version);
        put(&mut model, "k", base, Availability::Automatic);
        model.restore(backup, UnixMillis(2));
        let restored = model.at(UnixMillis(2)).0.clone();
        assert_eq!(restored.version.epoch, 2);
        assert_eq!(restored.presence.availability, Availability::Available);
        assert!(matches!(put(&mut model, "k", base, Availability::Automatic), Said::Stale(_)));
    }
}
