//! The service: the state that all handlers share, and the one way to change anything.
//!
//! [`Service::write`] is a unit of work: one transaction, and what follows from it (new snapshots to those who watch) is
//! announced after the commit and in its order; pushes are in the outbox then, and `pushes` sends them. Every change of an agent goes through
//! [`Unit::agent`], which lets time pass, applies the change, and raises `rev` exactly when the snapshot differs.

mod bus;
mod issue;
mod listeners;
mod logouts;
mod numbers;
mod others;
mod pushes;
mod sessions;
mod ticker;

use hookswitch_wire::UnixMillis;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use crate::clock::Millis;
use hookswitch_wire::{AccountId, SignedOutReason, Snapshot, TraceId, Version};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{Notify, broadcast},
};

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
    metrics::Metrics,
    operator::{Counters, OutboxEntry, RequestLog},
    push::Recorded,
    record::{Change, Circumstances, CommandOutcome, Denied, Desk, Order, Record, carry_out},
    refreshes::Refreshes,
    rotation::RotationProfile,
    shared_login::{self, Seen, is_shared},
    store::{AgentRow, Answer, SessionKind, SessionRow, Store, StoreError, Tx},
};

pub(crate) use bus::{Bus, Published};
pub(crate) use issue::{CodeExchange, Grant, GrantError};
pub(crate) use listeners::{Listeners, Listening};
pub(crate) use logouts::run as run_logouts;
pub(crate) use numbers::NotVerified;
pub(crate) use others::{Others, run as run_others};
pub(crate) use pushes::run as run_pushes;
pub(crate) use ticker::run as run_ticker;

/// Why a unit of work came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
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
pub(crate) struct Service {
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
    pub(crate) counters: Arc<Counters>,
    pub(crate) metrics: Metrics,
    pub(crate) listeners: Listeners,
    pub(crate) refreshes: Arc<Refreshes>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) old_server: Arc<AtomicBool>,
    /// Whether calls are forwarded to a number only once somebody has read a code there.
    pub(crate) verify_forwarding: Arc<AtomicBool>,
    /// What is compared with when there is no such agent, so that the time tells nothing.
    pub(crate) no_password: String,
    store: Store,
    passwords: Arc<Mutex<Limiter>>,
    codes: Arc<Mutex<Limiter>>,
    pub(crate) carrier: Arc<Carrier>,
    rotation: Arc<Mutex<RotationProfile>>,
    logout_clients: Arc<Mutex<Vec<LogoutClient>>>,
    /// Logout tokens wait to be sent.
    logouts_due: Notify,
    /// Pushes wait to be sent.
    pushes_due: Notify,
    /// Takes the pushes for which no service is configured.
    pub(crate) recorded: Arc<Recorded>,
    deadlines: ticker::Deadlines,
    others: Others,
}

/// What [`Service::new`] is given: settings, addresses, keys and the store.
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
    pub(crate) others: Others,
}

impl Service {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { config, base_url, upstream_url, pages, client, store, keys, upstream_keys, no_password, others } =
            parts;
        Self {
            clock: config.clock.clone(),
            verify_forwarding: Arc::new(AtomicBool::new(config.verify_forwarding)),
            rotation: Arc::new(Mutex::new(config.refresh)),
            logout_clients: Arc::default(),
            logouts_due: Notify::new(),
            pushes_due: Notify::new(),
            recorded: Arc::new(Recorded::new(config.clock.clone())),
            config,
            base_url,
            upstream_url,
            pages,
            keys,
            upstream_keys,
            client,
            bus: Bus::new(broadcast::Sender::new(1_024)),
            counters: Arc::default(),
            metrics: Metrics::default(),
            listeners: Listeners::default(),
            refreshes: Arc::default(),
            faults: Arc::default(),
            old_server: Arc::default(),
            no_password,
            store,
            passwords: Arc::new(Mutex::new(Limiter::new(10, 15 * 60_000))),
            codes: Arc::new(Mutex::new(Limiter::new(numbers::CODES, numbers::CODES_WINDOW))),
            carrier: Arc::default(),
            deadlines: ticker::Deadlines::default(),
            others,
        }
    }

    /// Has one operator with a node in the same process: what they count, record and set is the same. Whoever else is a
    /// node of its own process has these for itself.
    pub(crate) fn beside(self, first: &Self) -> Self {
        Self {
            rotation: Arc::clone(&first.rotation),
            logout_clients: Arc::clone(&first.logout_clients),
            recorded: Arc::clone(&first.recorded),
            bus: Bus::new(first.bus.request_log()),
            counters: Arc::clone(&first.counters),
            listeners: first.listeners.clone(),
            refreshes: Arc::clone(&first.refreshes),
            faults: Arc::clone(&first.faults),
            old_server: Arc::clone(&first.old_server),
            verify_forwarding: Arc::clone(&first.verify_forwarding),
            passwords: Arc::clone(&first.passwords),
            codes: Arc::clone(&first.codes),
            carrier: Arc::clone(&first.carrier),
            ..self
        }
    }

    /// Whether there may be other nodes on the same database.
    pub(crate) fn is_shared(&self) -> bool {
        self.store.is_shared()
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

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Time went by while nobody ran. Where several nodes share the agents, one of them finds those that are due.
    pub(crate) fn catch_up(&self) -> Result<(), ServiceError> {
        if self.store.is_shared() {
            return Ok(());
        }
        self.write(|unit| {
            for account in unit.tx.accounts()? {
                unit.agent(&account, |_, _| Ok(Vec::new()))?;
            }
            Ok(())
        })
    }

    /// One unit of work. An error undoes it and announces nothing.
    pub(crate) fn write<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Unit<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let began = Instant::now();
        let result =
            if self.store.is_shared() { off_the_workers(|| self.write_now(work)) } else { self.write_now(work) };
        self.metrics.wrote(began.elapsed());
        result
    }

    /// One statement that only reads.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let read = || work(&self.store.connect()?.read()?);
        let began = Instant::now();
        let result = if self.store.is_shared() { off_the_workers(read) } else { read() };
        self.metrics.read(began.elapsed());
        result
    }

    fn write_now<T, E: From<StoreError>>(&self, work: impl FnOnce(&mut Unit<'_>) -> Result<T, E>) -> Result<T, E> {
        let mut connection = self.store.connect()?;
        let mut unit = Unit {
            tx: connection.begin()?,
            service: self,
            now: self.now(),
            changed: HashMap::new(),
            ended: Vec::new(),
            pushes: false,
            logouts: false,
        };
        let result = work(&mut unit)?;
        let Unit { tx, changed, ended, pushes, logouts, .. } = unit;
        tx.commit()?;
        // SQLite is still locked: announcements keep the order of the commits. With several nodes, the newest version wins.
        for (account, (published, deadline)) in changed {
            self.others.tell(&account);
            self.deadlines.set(&account, deadline);
            self.bus.publish(&account, published);
        }
        for account in ended {
            self.others.tell(&account);
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

    /// The state of an agent now. Reads nothing but memory unless time has changed it, or another node may have.
    pub(crate) fn current(&self, account: &AccountId) -> Result<Arc<Published>, ServiceError> {
        let now = self.now();
        if self.store.is_shared() {
            return self.look(account);
        }
        match self.bus.published(account) {
            Some(published) if !self.deadlines.passed(account, now) => Ok(published),
            _ => self.write(|unit| unit.agent(account, |_, _| Ok(Vec::new()))),
        }
    }

    /// What is in the database, and is news here if another node changed it.
    fn look(&self, account: &AccountId) -> Result<Arc<Published>, ServiceError> {
        let shown = self.read(|tx| tx.shown(account))?.ok_or(ServiceError::NoSuchAgent)?;
        if shown.due_at.is_some_and(|at| at <= self.now()) {
            return self.write(|unit| unit.agent(account, |_, _| Ok(Vec::new())));
        }
        let published = match self.bus.published(account) {
            Some(known) if *known.json == *shown.json => return Ok(known),
            Some(_) | None => Arc::new(Published::read(&shown.json).map_err(StoreError::from)?),
        };
        self.deadlines.set(account, shown.due_at);
        self.bus.publish(account, Arc::clone(&published));
        Ok(published)
    }

    /// Carries out a command once, however often it is sent.
    pub(crate) fn command(&self, account: &AccountId, order: Order<'_>) -> Result<CommandOutcome, ServiceError> {
        self.write(|unit| {
            // The same command may be on another node at this moment.
            unit.tx.lock_agent(account)?;
            carry_out(&mut AgentsDesk { unit, account }, order)
        })
    }

    pub(crate) fn log(&self, request: RequestLog) {
        self.bus.log(request);
    }
}

/// A transaction over a network holds nobody up but its caller, as far as the runtime has other threads.
fn off_the_workers<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        Ok(_) | Err(_) => work(),
    }
}

/// A request, by what makes two of them the same.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) key: &'a str,
    /// A hash of method, path and body: the same key with another one is refused.
    pub(crate) fingerprint: &'a str,
}

/// Carries out the commands of one agent within a unit of work.
struct AgentsDesk<'u, 'h, 'a> {
    unit: &'u mut Unit<'h>,
    account: &'a AccountId,
}

impl From<Denied> for ServiceError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::KeyReused => Self::KeyReused,
            Denied::Stale(current) => Self::Stale(current),
        }
    }
}

impl Desk for AgentsDesk<'_, '_, '_> {
    type Error = ServiceError;

    fn given(&mut self, key: &str) -> Result<Option<Answer>, ServiceError> {
        Ok(self.unit.tx.answer(self.account, key, self.unit.now)?)
    }

    fn keep(&mut self, key: &str, answer: &Answer) -> Result<(), ServiceError> {
        Ok(self.unit.tx.insert_answer(self.account, key, answer, self.unit.now)?)
    }

    fn current(&mut self) -> Result<Snapshot, ServiceError> {
        let published = self.unit.agent(self.account, |_, _| Ok(Vec::new()))?;
        Ok(published.snapshot.clone())
    }

    fn apply(&mut self, command: Command, kind: Change) -> Result<(Version, String), ServiceError> {
        let published = self.unit.apply(self.account, command, kind)?;
        Ok((published.snapshot.version, published.json.to_string()))
    }
}

tokio::task_local! {
    /// The trace of the request that is being answered.
    pub(crate) static TRACE: Option<TraceId>;
}

/// One transaction and what is to be announced after it.
pub(crate) struct Unit<'h> {
    pub(crate) tx: Tx<'h>,
    pub(crate) now: Millis,
    service: &'h Service,
    changed: HashMap<AccountId, (Arc<Published>, Option<Millis>)>,
    ended: Vec<AccountId>,
    pushes: bool,
    logouts: bool,
}

impl Unit<'_> {
    pub(crate) fn service(&self) -> &Service {
        self.service
    }

    /// What this request was answered before.
    fn answered(&self, named: Named<'_>) -> Result<Option<Answer>, ServiceError> {
        match self.tx.answer(named.account, named.key, self.now)? {
            Some(given) if given.fingerprint != named.fingerprint => Err(ServiceError::KeyReused),
            given => Ok(given),
        }
    }

    /// Lets time pass for an agent and applies `change`; the result is what apps see then.
    pub(crate) fn agent(
        &mut self,
        account: &AccountId,
        change: impl FnOnce(&mut Aggregate, Context) -> Result<Vec<Push>, Refusal>,
    ) -> Result<Arc<Published>, ServiceError> {
        self.change_agent(account, Change::Seen, change)
    }

    fn change_agent(
        &mut self,
        account: &AccountId,
        kind: Change,
        change: impl FnOnce(&mut Aggregate, Context) -> Result<Vec<Push>, Refusal>,
    ) -> Result<Arc<Published>, ServiceError> {
        let row = self.tx.agent_to_change(account)?.ok_or(ServiceError::NoSuchAgent)?;
        let AgentRow { rev, aggregate, snapshot, .. } = row;
        let mut record = Record { rev, aggregate, snapshot };
        let before = record.clone();
        let sessions = self.tx.live_sessions(account, self.now)?;
        let seen = |aggregate: &Aggregate| -> Vec<Seen> {
            sessions
                .iter()
                .filter(|session| session.kind != SessionKind::Cookie(crate::store::Group::Browser))
                .map(|session| Seen {
                    platform: aggregate.device_of(&session.id).map(|device| device.platform),
                    address: session.address.clone(),
                    at: UnixMillis(session.last_seen),
                })
                .collect()
        };
        let around = Circumstances {
            epoch: self.tx.epoch()?,
            now: self.now,
            sessions: sessions.iter().map(SessionRow::sign_in).collect(),
            old_server: self.service.old_server.load(Ordering::Relaxed),
            times: self.service.config.forwarding_times,
            trace: TRACE.try_with(|trace| *trace).ok().flatten(),
        };
        let pushes =
            record.change(around, kind, change, |aggregate| is_shared(&seen(aggregate), UnixMillis(self.now)))?;
        if record.aggregate.shared && !before.aggregate.shared {
            self.tx.audit("several people seem to use this login", Some(account), "", self.now)?;
        }
        let published = Published::new(record.snapshot.clone()).map_err(StoreError::from)?;
        if record != before {
            self.tx.save_agent(&record.aggregate, record.rev, &published.json)?;
        }
        for push in pushes {
            let payload = record.payload(&push);
            let Push { device, platform, push_token, .. } = push;
            let mut entry = OutboxEntry { seq: 0, at: self.now, device, platform, push_token, payload };
            self.tx.insert_push(&mut entry)?;
            self.pushes = true;
        }
        let published = Arc::new(published);
        let sessions_end = sessions.iter().map(|session| UnixMillis(session.expires_at)).min();
        let aggregate = &record.aggregate;
        let seems_shared_until = shared_login::next_change(&seen(aggregate), UnixMillis(self.now));
        let deadline = aggregate
            .next_change(UnixMillis(self.now))
            .into_iter()
            .chain(sessions_end)
            .chain(seems_shared_until)
            .min()
            .map(|at| at.0);
        self.tx.set_due(account, deadline)?;
        self.changed.insert(account.clone(), (Arc::clone(&published), deadline));
        Ok(published)
    }

    /// Carries out a command on an agent.
    pub(crate) fn apply(
        &mut self,
        account: &AccountId,
        command: Command,
        kind: Change,
    ) -> Result<Arc<Published>, ServiceError> {
        // A device that signs in anew leaves its old session behind: nobody holds its tokens any more.
        if let Command::Register { id, session, .. } = &command {
            let row = self.tx.agent_to_change(account)?.ok_or(ServiceError::NoSuchAgent)?;
            let known = row.aggregate.devices.into_iter().find(|device| device.id == *id);
            if let Some(left_behind) = known.filter(|device| device.session != *session) {
                self.end_session(&left_behind.session, SignedOutReason::SignedOutElsewhere)?;
            }
        }
        self.change_agent(account, kind, |aggregate, context| aggregate.apply(command, context))
    }
}
