//! The backend's presence model with its streams and tokens, and a record of what it did.

use std::collections::BTreeMap;

use hookswitch::{
    machine::{ApiCall, EffectId, Outcome, SecretRef},
    wire::{
        Availability, CallPush, DeviceId, ForwardTo, PhoneNumber, Platform, RegisterDevice, Snapshot, Surface,
        UnixMillis, Version, problem::code,
    },
};
use hookswitch_backend::{Command, PresenceModel, Refusal, Said};

/// The server's clock at the start.
pub(crate) const EPOCH: UnixMillis = UnixMillis(1_700_000_000_000);
pub(crate) const HEARTBEAT: u64 = 15_000;

/// Who reads a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reader {
    Phone {
        phone: usize,
        life: u32,
        effect: EffectId,
    },
    /// A browser-like client, in its nth connection.
    Browser {
        browser: usize,
        connection: u32,
    },
}

/// One open stream.
pub(crate) struct Stream {
    pub(crate) reader: Reader,
    /// What was sent last.
    pub(crate) sent: Option<Version>,
    /// Nothing arrives before what was sent before it.
    pub(crate) arrives: u64,
    /// What a proxy holds back.
    pub(crate) held: Vec<hookswitch::wire::StreamEvent>,
    /// Nothing comes through any more, and the server does not know.
    pub(crate) dead: bool,
}

/// A question that waits for news.
pub(crate) struct Waiting {
    pub(crate) phone: usize,
    pub(crate) life: u32,
    pub(crate) effect: EffectId,
    pub(crate) after: Version,
    /// How long the answer takes.
    pub(crate) back: u64,
}

pub(crate) struct Server {
    pub(crate) model: PresenceModel,
    backup: (PresenceModel, usize),
    /// Every state that there ever was.
    pub(crate) history: BTreeMap<Version, Snapshot>,
    /// The keys of the commands that were carried out and that no restore has undone, in order.
    pub(crate) applied: Vec<String>,
    /// The keys of all that ever were.
    pub(crate) ever_applied: Vec<String>,
    pub(crate) streams: BTreeMap<u64, Stream>,
    pub(crate) next_stream: u64,
    /// Questions that wait for news.
    pub(crate) waiting: BTreeMap<u64, Waiting>,
    tokens: BTreeMap<SecretRef, UnixMillis>,
    next_secret: u64,
    pub(crate) changed_at: u64,
}

pub(crate) type Pushes = Vec<(DeviceId, CallPush)>;

pub(crate) fn clock(now: u64) -> UnixMillis {
    EPOCH + i64::try_from(now).unwrap_or(i64::MAX)
}

impl Server {
    pub(crate) fn new() -> Self {
        let mut model = PresenceModel::new("alice".into(), EPOCH);
        let first = model.at(EPOCH).0.clone();
        Self {
            backup: (model.clone(), 0),
            history: BTreeMap::from([(first.version, first)]),
            model,
            applied: Vec::new(),
            ever_applied: Vec::new(),
            streams: BTreeMap::new(),
            next_stream: 0,
            waiting: BTreeMap::new(),
            tokens: BTreeMap::new(),
            next_secret: 1_000,
            changed_at: 0,
        }
    }

    pub(crate) fn secret(&mut self) -> SecretRef {
        self.next_secret += 1;
        SecretRef(self.next_secret)
    }

    pub(crate) fn token(&mut self, now: u64, life: i64) -> (SecretRef, UnixMillis) {
        let (token, expires_at) = (self.secret(), clock(now) + life);
        self.tokens.insert(token, expires_at);
        (token, expires_at)
    }

    pub(crate) fn accepts(&self, token: SecretRef, now: u64) -> bool {
        self.tokens.get(&token).is_some_and(|expires_at| clock(now) < *expires_at)
    }

    pub(crate) fn tokens_expire(&mut self) {
        self.tokens.clear();
    }

    /// What apps see now.
    pub(crate) fn current(&mut self, now: u64) -> (Snapshot, Pushes) {
        let (snapshot, pushes) = self.model.at(clock(now));
        let snapshot = snapshot.clone();
        if self.history.insert(snapshot.version, snapshot.clone()).is_none() {
            self.changed_at = now;
        }
        (snapshot, pushes)
    }

    pub(crate) fn command(&mut self, key: &str, base: Option<Version>, command: Command, now: u64) -> (Said, Pushes) {
        // The debug form says what the command is: more than a fingerprint has to.
        let fingerprint = format!("{command:?}");
        let (said, pushes) = self.model.command(key, &fingerprint, base, command, clock(now));
        if let Said::State { again: false, .. } = &said {
            self.applied.push(key.to_owned());
            self.ever_applied.push(key.to_owned());
        }
        (said, pushes)
    }

    /// A request of a phone.
    pub(crate) fn call(&mut self, device: &DeviceId, call: ApiCall, now: u64) -> (Outcome, Pushes) {
        let mobile = || Surface::Mobile { device: device.clone() };
        let by = Some(device.clone());
        let (key, base, command) = match call {
            // One that waits is answered when there is news: see the world.
            ApiCall::FetchState | ApiCall::AwaitState { .. } => {
                let (snapshot, pushes) = self.current(now);
                return (Outcome::State { snapshot: Box::new(snapshot) }, pushes);
            }
            ApiCall::SetAvailability { key, base, availability } => (key, Some(base), choose(availability, mobile())),
            ApiCall::SetForwarding { key, base, to } => {
                (key, Some(base), Command::SetForwarding { to, by: Some(mobile()) })
            }
            ApiCall::RegisterDevice { key, push_token: _, facts } => (
                key,
                None,
                Command::Register {
                    id: device.clone(),
                    device: RegisterDevice {
                        name: device.to_string(),
                        platform: Platform::Ios,
                        app_version: "1".into(),
                        push_token: Some(format!("token of {device}")),
                        capabilities: facts.capabilities,
                        line_number: None,
                    },
                    session: device.to_string(),
                },
            ),
            ApiCall::Answer { key, call_id } => (key, None, Command::Answer { call_id, by: mobile() }),
            ApiCall::Decline { key, call_id } => (key, None, Command::Decline { call_id, by }),
            ApiCall::HangUp { key, call_id } => (key, None, Command::HangUp { call_id, by }),
            ApiCall::RenewCallLease { key, call_id } => (key, None, Command::Renew(call_id)),
            // Nobody signs out here, or asks whose a number is.
            ApiCall::SignOutEverywhere { .. }
            | ApiCall::EndSession { .. }
            | ApiCall::SendCode { .. }
            | ApiCall::VerifyNumber { .. } => return (Outcome::Done, Vec::new()),
        };
        let (said, pushes) = self.command(&key, base, command, now);
        (outcome(said), pushes)
    }

    pub(crate) fn back_up(&mut self) {
        self.backup = (self.model.clone(), self.applied.len());
    }

    pub(crate) fn restore(&mut self, now: u64) -> Pushes {
        let (model, applied) = self.backup.clone();
        self.applied.truncate(applied);
        self.model.restore(model, clock(now))
    }
}

pub(crate) const fn choose(availability: Availability, by: Surface) -> Command {
    Command::SetAvailability { availability, by: Some(by) }
}

pub(crate) fn forward(number: Option<PhoneNumber>) -> Command {
    Command::SetForwarding { to: number.map(|number| ForwardTo { number, until: None }), by: None }
}

fn outcome(said: Said) -> Outcome {
    let refused = |status, code: &str, current| Outcome::Refused { status, code: code.into(), detail: None, current };
    match said {
        Said::State { snapshot, again: _ } => Outcome::State { snapshot },
        Said::Stale(current) => refused(412, code::STALE, Some(current)),
        Said::KeyReused => refused(422, code::KEY_REUSED, None),
        Said::Refused(Refusal::CallTaken) => refused(409, code::CALL_TAKEN, None),
        Said::Refused(Refusal::NoSuchCall | Refusal::NoSuchDevice) => refused(404, code::NOT_FOUND, None),
        Said::Refused(Refusal::EndsInThePast) => refused(422, code::INVALID_UNTIL, None),
        Said::Broken(cause) => Outcome::Unintelligible { status: 200, cause, page: false },
    }
}
