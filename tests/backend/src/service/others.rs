//! The other nodes on the same database: what one changes, the others show.
//!
//! The database is the truth. A message says which agent changed and nothing else, so one that is lost, late or doubled
//! does no harm: whoever has streams of that agent reads the database. Once a second each node asks it for the revs of the
//! agents that it has streams of; that is how long a change takes when messages are lost, or nothing carries them.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, ConnectOptions, Subscriber, connection::State};
use futures_util::StreamExt;
use hookswitch_wire::{AccountId, Version};
use tokio::sync::mpsc;

use super::{Service, ServiceError};
use crate::secret;

/// How often the database is looked at.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many messages wait while the bus is slow or away. More are dropped: the others look anyway.
const WAITING: usize = 1_024;

/// Whom this node tells of its changes.
pub(crate) struct Others {
    changed: mpsc::Sender<AccountId>,
}

/// What is to be told.
pub(crate) struct News(mpsc::Receiver<AccountId>);

impl Others {
    pub(crate) fn new() -> (Self, News) {
        let (changed, news) = mpsc::channel(WAITING);
        (Self { changed }, News(news))
    }

    /// Never waits.
    pub(super) fn tell(&self, account: &AccountId) {
        // Full, or nobody is there: see above.
        let _ = self.changed.try_send(account.clone());
    }
}

/// The bus, once it is there.
struct Bus {
    client: Client,
    subject: String,
    messages: Subscriber,
}

impl Bus {
    /// Returns without a connection, too: it is made, and made again, in the background.
    async fn open(url: &str, subject: String) -> Option<Self> {
        let options = ConnectOptions::new().retry_on_initial_connect().no_echo();
        let client = options.connect(url).await.map_err(|error| tracing::error!(%error, "no bus")).ok()?;
        let messages =
            client.subscribe(subject.clone()).await.map_err(|error| tracing::error!(%error, "no bus")).ok()?;
        Some(Self { client, subject, messages })
    }

    /// While the bus is away, nobody is told: they look anyway. So it never waits for long.
    async fn tell(&self, account: AccountId) {
        if self.client.connection_state() == State::Connected {
            let _ = self.client.publish(self.subject.clone(), account.0.into()).await;
        }
    }
}

enum Next {
    Tell(AccountId),
    Hear(AccountId),
    LookAround,
}

async fn heard(bus: &mut Option<Bus>) -> AccountId {
    if let Some(open) = bus {
        if let Some(message) = open.messages.next().await {
            return AccountId(String::from_utf8_lossy(&message.payload).into_owned());
        }
        *bus = None;
    }
    std::future::pending().await
}

impl Service {
    /// What nodes on one database call each other by.
    fn subject(&self) -> Result<String, ServiceError> {
        let fresh = secret::name("hookswitch.")?;
        let subject = self.write(|unit| Ok::<_, ServiceError>(unit.tx.lasting_meta("bus", fresh.as_bytes())?))?;
        Ok(String::from_utf8_lossy(&subject).into_owned())
    }

    /// Another node changed something of an agent.
    fn hear(&self, account: &AccountId) -> Result<(), ServiceError> {
        if self.bus.is_watched(account) {
            self.look(account)?;
            // A session may have ended, and no app sees a difference.
            self.bus.poke(account);
        }
        Ok(())
    }

    /// Finds what no message told of.
    fn look_around(&self) -> Result<(), ServiceError> {
        let watched = self.bus.watched();
        if watched.is_empty() {
            return Ok(());
        }
        let accounts = watched.keys().map(|account| account.0.clone()).collect();
        let (epoch, revs) = self.write(|unit| Ok::<_, ServiceError>((unit.tx.epoch()?, unit.tx.revs_of(accounts)?)))?;
        for (account, rev) in revs {
            if watched.get(&account).copied().flatten() != Some(Version::new(epoch, rev)) {
                self.hear(&account)?;
            }
        }
        Ok(())
    }
}

/// Tells and hears until the backend stops.
pub(crate) async fn run(service: &Arc<Service>, News(mut news): News) {
    let mut stopping = service.bus.stopping();
    let subject = service.subject().map_err(|error| tracing::error!(%error, "no bus")).ok();
    let mut bus = match service.config.bus.as_ref().zip(subject) {
        Some((url, subject)) => Bus::open(url, subject).await,
        None => None,
    };
    let mut beat = tokio::time::interval(LOOK_EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            Some(account) = news.recv() => Next::Tell(account),
            account = heard(&mut bus) => Next::Hear(account),
            _ = beat.tick() => Next::LookAround,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let done = match next {
            Next::Tell(account) => {
                if let Some(bus) = &bus {
                    bus.tell(account).await;
                }
                Ok(())
            }
            Next::Hear(account) => service.hear(&account),
            Next::LookAround => service.look_around(),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "what other nodes do cannot be seen");
        }
    }
}
