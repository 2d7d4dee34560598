//! The house: the one thing that all handlers share, and the one way to change anything.
//!
//! [`House::write`] is a unit of work: one transaction, and what follows from it (new snapshots to those who watch) is
//! announced after the commit and in its order; pushes are in the outbox then, and `pushes` sends them. Every change of an agent goes through
//! [`Unit::agent`], which lets time pass, applies the change, and raises `rev` exactly when the snapshot differs.

mod bus;
mod issue;
mod logouts;
mod numbers;
mod pushes;
mod sessions;
mod ticker;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use hookswitch_wire::{AccountId, CallPush, SignedOutReason, Snapshot, UnixMillis, Version};
use tokio::sync::Notify;

use crate::{
    aggregate::{Aggregate, Command, Context, Push, Refusal},
    carrier::Carrier,
    clock::Clock,
    config::Config,
    faults::Faults,
    http::pages::Pages,
    identity::Keys,
    limiter::Limiter,
    logout::LogoutClient,
    operator::{Counters, OutboxEntry, RequestLog},
    push::Recorded,
    refreshes::Refreshes,
    rotation::RotationProfile,
    shared_login::{self, Seen, is_shared},
    store::{AgentRow, Answer, SessionKind, SessionRow, Store, StoreError, Tx},
};

pub(crate) use bus::{Bus, Published};
pub(crate) use issue::{CodeExchange, Grant, GrantError};
pub(crate) use logouts::run as run_logouts;
pub(crate) use numbers::NotVerified;
pub(crate) use pushes::run as run_pushes;
pub(crate) use ticker::run as run_ticker;

/// Why a unit of work came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HouseError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gave no random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// There is no such agent.
    #[error("there is no such agent")]
    NoSuchAgent,
    /// The agent has no such session.
    #[error("there is no such session")]
    NoSuchSession,
    /// The command makes no sense now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The command did not know the current state.
    #[error("the state is another by now")]
    Stale(Box<Snapshot>),
    /// The idempotency key named another command before.
    #[error("the idempotency key was used for another command")]
    KeyReused,
    /// A field that only the operator fills in is wrong.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// A key could not be made, or a password not be hashed.
    #[error("cryptography failed: {0}")]
    Crypto(String),
}

/// What all handlers share.
pub(crate) struct House {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    /// The issuer, and where all pages are.
    pub(crate) base_url: String,
    pub(crate) upstream_url: String,
    pub(crate) pages: Pages,
    pub(crate) keys: Keys,
    pub(crate) upstream_keys: Keys,
    /// To the upstream issuer.
    pub(crate) client: reqwest::Client,
    pub(crate) bus: Bus,
    pub(crate) counters: Counters,
    pub(crate) refreshes: Refreshes,
    pub(crate) faults: Faults,
    pub(crate) old_server: AtomicBool,
    /// What is compared with when there is no such agent, so that the time tells nothing.
    pub(crate) no_password: String,
    store: Store,
    passwords: Mutex<Limiter>,
    codes: Mutex<Limiter>,
    pub(crate) carrier: Carrier,
    rotation: Mutex<RotationProfile>,
    logout_clients: Mutex<Vec<LogoutClient>>,
    /// Logout tokens wait to be sent.
    logouts_due: Notify,
    /// Pushes wait to be sent.
    pushes_due: Notify,
    /// Takes the pushes for which no service is configured.
    pub(crate) recorded: Recorded,
    deadlines: ticker::Deadlines,
}

/// What a house is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) base_url: String,
    pub(crate) upstream_url: String,
    pub(crate) pages: Pages,
    pub(crate) client: reqwest::Client,
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) upstream_keys: Keys,
    pub(crate) no_password: String,
}

impl House {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { config, base_url, upstream_url, pages, client, store, keys, upstream_keys, no_password } = parts;
        Self {
            clock: config.clock.clone(),
            rotation: Mutex::new(config.refresh),
            logout_clients: Mutex::default(),
            logouts_due: Notify::new(),
            pushes_due: Notify::new(),
            recorded: Recorded::new(config.clock.clone()),
            config,
            base_url,
            upstream_url,
            pages,
            keys,
            upstream_keys,
            client,
            bus: Bus::default(),
            counters: Counters::default(),
            refreshes: Refreshes::default(),
            faults: Faults::default(),
            old_server: AtomicBool::new(false),
            no_password,
            store,
            passwords: Mutex::new(Limiter::new(10, 15 * 60_000)),
            codes: Mutex::new(Limiter::new(numbers::CODES, numbers::CODES_WINDOW)),
            carrier: Carrier::default(),
            deadlines: ticker::Deadlines::default(),
        }
    }

    /// Failures to sign in.
    pub(crate) fn failures(&self) -> MutexGuard<'_, Limiter> {
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Codes that were sent to forwarding numbers.
    fn codes(&self) -> MutexGuard<'_, Limiter> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to refresh tokens from now on.
    pub(crate) fn rotation(&self) -> RotationProfile {
        *self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_rotation(&self, profile: RotationProfile) {
        *self.rotation.lock().unwrap_or_else(PoisonError::into_inner) = profile;
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// One unit of work. An error undoes it and announces nothing.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.store.lock();
        let mut unit = Unit {
            tx: Tx::begin(&mut connection)?,
            house: self,
            now: self.now(),
            changed: HashMap::new(),
            ended: Vec::new(),
            pushes: false,
            logouts: false,
        };
        let result = work(&mut unit)?;
        let Unit { tx, changed, ended, pushes, logouts, .. } = unit;
        tx.commit()?;
        // Still under the lock: announcements keep the order of the commits.
        for (account, (published, deadline)) in changed {
            self.deadlines.set(&account, deadline);
            self.bus.publish(&account, published);
        }
        for account in ended {
            self.bus.poke(&account);
        }
        if pushes {
            self.pushes_due.notify_one();
        }
        if logouts {
            self.logouts_due.notify_one();
        }
        Ok(result)
    }

    /// The state of an agent now. Reads nothing but memory unless time has changed it.
    pub(crate) fn current(&self, account: &AccountId) -> Result<Arc<Published>, HouseError> {
        let now = self.now();
        match self.bus.published(account) {
            Some(published) if !self.deadlines.passed(account, now) => Ok(published),
            _ => self.write(|unit| unit.agent(account, |_, _| Ok(Vec::new()))),
        }
    }

    /// Carries out a command once, however often it is sent.
    pub(crate) fn command(&self, order: Order<'_>) -> Result<Answer, HouseError> {
        let Order { named, if_match, command, answer } = order;
        let Named { account, key, fingerprint } = named;
        self.write(|unit| {
            if let Some(given) = unit.answered(named)? {
                return Ok(given);
            }
            if let Some(version) = if_match {
                let current = unit.agent(account, |_, _| Ok(Vec::new()))?;
                if current.snapshot.version != version {
                    return Err(HouseError::Stale(Box::new(current.snapshot.clone())));
                }
            }
            let published = unit.apply(account, command)?;
            let answer = match answer {
                AnswerWith::Snapshot => Answer {
                    fingerprint: fingerprint.to_owned(),
                    status: 200,
                    etag: Some(published.snapshot.version.etag()),
                    body: published.json.to_string(),
                },
                AnswerWith::Nothing => {
                    Answer { fingerprint: fingerprint.to_owned(), status: 204, etag: None, body: String::new() }
                }
            };
            unit.tx.insert_answer(account, key, &answer, unit.now)?;
            Ok(answer)
        })
    }

    pub(crate) fn log(&self, request: RequestLog) {
        self.bus.log(request);
    }
}

/// A request, by what makes two of them the same.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) key: &'a str,
    /// Of method, path and body.
    pub(crate) fingerprint: &'a str,
}

/// A command as it came over the wire.
pub(crate) struct Order<'a> {
    pub(crate) named: Named<'a>,
    pub(crate) if_match: Option<Version>,
    pub(crate) command: Command,
    pub(crate) answer: AnswerWith,
}

/// What a command is answered with.
#[derive(Clone, Copy)]
pub(crate) enum AnswerWith {
    Snapshot,
    Nothing,
}

/// One transaction and what is to be announced after it.
pub(crate) struct Unit<'h> {
    pub(crate) tx: Tx<'h>,
    pub(crate) now: UnixMillis,
    house: &'h House,
    changed: HashMap<AccountId, (Arc<Published>, Option<UnixMillis>)>,
    ended: Vec<AccountId>,
    pushes: bool,
    logouts: bool,
}

impl Unit<'_> {
    pub(crate) fn house(&self) -> &House {
        self.house
    }

    /// What this request was answered before.
    fn answered(&self, named: Named<'_>) -> Result<Option<Answer>, HouseError> {
        match self.tx.answer(named.account, named.key, self.now)? {
            Some(given) if given.fingerprint != named.fingerprint => Err(HouseError::KeyReused),
            given => Ok(given),
        }
    }

    /// Lets time pass for an agent and applies `change`; the result is what apps see then.
    pub(crate) fn agent(
        &mut self,
        account: &AccountId,
        change: impl FnOnce(&mut Aggregate, Context) -> Result<Vec<Push>, Refusal>,
    ) -> Result<Arc<Published>, HouseError> {
        let row = self.tx.agent(account)?.ok_or(HouseError::NoSuchAgent)?;
        let AgentRow { rev, mut aggregate, snapshot: shown, .. } = row;
        let before = aggregate.clone();
        let next_rev = rev.saturating_add(1);
        let context = Context { now: self.now, next_rev, old_server: self.house.old_server.load(Ordering::Relaxed) };

        let sessions = self.tx.live_sessions(account, self.now)?;
        aggregate.signed_in = !sessions.is_empty();
        aggregate.sessions = sessions.iter().map(SessionRow::sign_in).collect();
        let mut pushes = aggregate.settle(context);
        pushes.extend(change(&mut aggregate, context)?);
        let seen: Vec<Seen> = sessions
            .iter()
            .filter(|session| session.kind != SessionKind::Cookie(crate::store::Group::Browser))
            .map(|session| Seen {
                platform: aggregate.device_of(&session.id).map(|device| device.platform),
                address: session.address.clone(),
                at: session.last_seen,
            })
            .collect();
        aggregate.shared = is_shared(&seen, self.now);
        if aggregate.shared && !before.shared {
            self.tx.audit("several people seem to use this login", Some(account), "", self.now)?;
        }

        let epoch = self.tx.epoch()?;
        let same_time = aggregate.snapshot(shown.version, self.now);
        // `at` says when a snapshot was made, so it is no difference.
        let unchanged = shown.version == Version::new(epoch, rev) && shown == Snapshot { at: shown.at, ..same_time };
        let (rev, snapshot) = if unchanged {
            (rev, shown)
        } else {
            (next_rev, aggregate.snapshot(Version::new(epoch, next_rev), self.now))
        };
        let published = Published::new(snapshot).map_err(StoreError::from)?;
        if !unchanged || aggregate != before {
            self.tx.save_agent(&aggregate, rev, &published.json)?;
        }
        for push in pushes {
            let mut entry = outbox_entry(push, &aggregate, published.snapshot.version, self.now);
            self.tx.insert_push(&mut entry)?;
            self.pushes = true;
        }
        let published = Arc::new(published);
        let sessions_end = sessions.iter().map(|session| session.expires_at).min();
        let seems_shared_until = shared_login::next_change(&seen, self.now);
        let deadline = aggregate.next_change(self.now).into_iter().chain(sessions_end).chain(seems_shared_until).min();
        self.changed.insert(account.clone(), (Arc::clone(&published), deadline));
        Ok(published)
    }

    /// Carries out a command on an agent.
    pub(crate) fn apply(&mut self, account: &AccountId, command: Command) -> Result<Arc<Published>, HouseError> {
        // A device that signs in anew leaves its old session behind: nobody holds its tokens any more.
        if let Command::Register { id, session, .. } = &command {
            let row = self.tx.agent(account)?.ok_or(HouseError::NoSuchAgent)?;
            let known = row.aggregate.devices.into_iter().find(|device| device.id == *id);
            if let Some(left_behind) = known.filter(|device| device.session != *session) {
                self.end_session(&left_behind.session, SignedOutReason::SignedOutElsewhere)?;
            }
        }
        self.agent(account, |aggregate, context| aggregate.apply(command, context))
    }
}

fn outbox_entry(push: Push, aggregate: &Aggregate, routing: Version, at: UnixMillis) -> OutboxEntry {
    OutboxEntry {
        seq: 0,
        at,
        device: push.device,
        platform: push.platform,
        push_token: push.push_token,
        payload: CallPush {
            kind: push.kind,
            call_id: push.call.call_id,
            account: aggregate.agent.account.clone(),
            expires_at: push.call.expires_at,
            routing,
            forwarding_on: aggregate.forwarding.is_on(),
            from: push.call.from,
            from_name: push.call.from_name,
        },
    }
}
