//! The reference backend: small enough to read, real enough to be a contract and a load target.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use hookswitch_backend::{AgentSeed, Backend, Config};
//!
//! let backend = Backend::start(Config::default()).await?;
//! for seed in AgentSeed::demo() {
//!     backend.operator().add_agent(seed).await?;
//! }
//! println!("{}", backend.base_url());
//! # Ok(()) }
//! ```
//!
//! | where | what |
//! |---|---|
//! | `aggregate` | everything about one agent and all that can happen to it; pure |
//! | `record` | when `rev` rises, what a repeated command gets, what is stale; pure |
//! | `model` | aggregate and record as a server of one agent in memory, for simulations |
//! | `rings`, `rotation`, `shared_login`, `hours`, `limiter`, `logout` | one rule each; pure |
//! | `service` | the unit of work, sessions, tokens, the ticker: who is told of what, and when |
//! | `store` | SQLite or PostgreSQL; the only place with SQL |
//! | `http` | the API, the issuer, the login pages, the surfaces, the operator's door |
//! | `upstream` | the issuer behind "Continue with Google" and SSO |
//! | `push` | Apple's and Google's push services, behind one port |
//! | `carrier` | the telephone network: who would read or hear a code |
//! | `faults` | what goes wrong on order: where, what, how often |
//! | `refreshes` | what became of each refresh: a record to prove things by |
//! | `metrics` | what operators watch: Prometheus text, on a listener of its own |
//! | `operator` | what the lab and tests may do from outside |
//! | `identity`, `secret` | passwords, codes, keys, tokens |
//! | `clock` | the one clock, which can be moved |
//!
//! The contract is `CONTRACT.md` of the wire crate. What it leaves open is decided here:
//! - A call that rings while forwarding is turned on, or comes while it is on, is `offered` at the number: the apps are told
//!   that it ended. Where a call goes that nobody takes there, the operator's report says.
//! - A call comes to an agent who takes none: the operator's report says so, and the apps never hear of it.
//! - A call whose app stops renewing its lease is over when the lease is. Who says "available" (or "automatic") ends the
//!   work after a call.
//! - Only answers that changed something are kept under their idempotency key, and `If-Match` is no part of what makes two
//!   requests the same: a tap that met 412 is rebased under its old key.
//! - Limits to guessing are kept by each node for itself, and forgotten when it stops.
//! - A device that registers under a new session ends the old one: nobody holds its tokens any more.

mod aggregate;
mod carrier;
mod clock;
mod config;
mod faults;
mod hours;
mod http;
mod identity;
mod limiter;
mod logout;
mod metrics;
mod model;
mod operator;
mod push;
mod record;
mod refreshes;
mod rings;
mod rotation;
mod secret;
mod service;
mod shared_login;
mod store;
mod upstream;

use std::{future::IntoFuture, net::SocketAddr, sync::Arc, time::Duration};

use axum::serve::ListenerExt;
use tokio::{net::TcpListener, task::JoinHandle};

pub use aggregate::{Command, DeviceRing, ForwardingTimes, GivenBack, LegNews, Refusal, RingOutcome};
pub use carrier::CarrierMessage;
pub use clock::Clock;
pub use config::{AndroidApp, Config, Database, PasswordCost};
pub use faults::{Fault, FaultPlan, FaultReport, Point};
pub use hours::WorkingHours;
pub use logout::LogoutClient;
pub use model::{PresenceModel, Said};
pub use operator::{
    AgentSeed, CallReport, Counts, DEMO_PASSWORD, DeliveryReport, Operator, OutboxEntry, RequestLog, SessionReport,
};
pub use push::{
    Apns, ApnsConfig, DeliveryEnd, Fcm, FcmConfig, GatewayError, Gateways, Outcome, PushGateway, PushMessage,
};
pub use refreshes::{FamilyReport, RefreshRecord, RefusedRefresh};
pub use rotation::RotationProfile;
pub use secret::stored as token_fingerprint;
pub use service::ServiceError;
pub use store::StoreError;

use http::pages::Pages;
use identity::Keys;
use service::{Others, Parts, Service};
use store::Store;

/// A backend that runs. Dropping it stops it, too, without waiting.
pub struct Backend {
    service: Arc<Service>,
    address: SocketAddr,
    metrics_url: Option<String>,
    tasks: Vec<JoinHandle<()>>,
}

/// Why a backend did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
    /// The database does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Keys or passwords could not be made.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A page does not compile.
    #[error("a page does not compile: {0}")]
    Page(#[from] minijinja::Error),
    /// The client to the upstream issuer could not be made.
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

impl Backend {
    /// Starts a backend; it answers when this returns.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_as(config, None).await
    }

    /// Starts another node of this backend in the same process. It has an address, streams, workers and connections of its
    /// own, and shares [`Database::Postgres`] with the first as a node elsewhere does. What an operator counts, records and
    /// sets is the same for both. People come to [`Config::public_url`], behind which somebody spreads them.
    pub async fn start_beside(&self) -> Result<Self, StartError> {
        let first = &self.service;
        let upstream_url = Some(first.upstream_url.clone());
        let (address, public_url) = (SocketAddr::from(([127, 0, 0, 1], 0)), Some(first.base_url.clone()));
        let metrics = first.config.metrics.map(|first| SocketAddr::new(first.ip(), 0));
        let config = Config { address, metrics, public_url, upstream_url, ..first.config.clone() };
        Self::start_as(config, Some(first)).await
    }

    async fn start_as(config: Config, first: Option<&Service>) -> Result<Self, StartError> {
        let listener = TcpListener::bind(config.address).await?;
        let upstream_listener = TcpListener::bind(config.upstream_address).await?;
        let metrics_listener = match config.metrics {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let metrics_url = match &metrics_listener {
            Some(listener) => Some(format!("http://{}/metrics", listener.local_addr()?)),
            None => None,
        };
        let base_url = match &config.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", listener.local_addr()?),
        };
        let upstream_url = match &config.upstream_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", upstream_listener.local_addr()?),
        };
        let address = listener.local_addr()?;
        let (others, news) = Others::new();
        let database = config.database.clone();
        let store = tokio::task::spawn_blocking(move || Store::open(&database))
            .await
            .map_err(|error| StoreError::Thread(std::io::Error::other(error)))??;
        // Already installed: fine, the first one wins.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        let cost = config.password_cost;
        let no_password = tokio::task::spawn_blocking(move || identity::hash_password("", cost))
            .await
            .map_err(|error| ServiceError::Crypto(error.to_string()))??;
        let service = Service::new(Parts {
            base_url,
            upstream_url,
            pages: Pages::new(&config.framers)?,
            client,
            keys: Keys::from_pkcs8(&lasting_key(&store, "key")?)?,
            upstream_keys: Keys::from_pkcs8(&lasting_key(&store, "upstream key")?)?,
            no_password,
            store,
            config,
            others,
        });
        let service = Arc::new(match first {
            Some(first) => service.beside(first),
            None => service,
        });
        for client in service.config.logout_clients.clone() {
            service.register_logout_client(client)?;
        }
        service.catch_up()?;
        let [ticker, postman, pusher, listener_to_others] = std::array::from_fn(|_| Arc::clone(&service));
        let mut tasks = vec![
            serve(&service, listener, http::router(Arc::clone(&service))),
            serve(&service, upstream_listener, upstream::router(Arc::clone(&service))),
            tokio::spawn(async move { service::run_ticker(&ticker).await }),
            tokio::spawn(async move { service::run_logouts(&postman).await }),
            tokio::spawn(async move { service::run_pushes(&pusher).await }),
        ];
        if service.is_shared() {
            tasks.push(tokio::spawn(async move { service::run_others(&listener_to_others, news).await }));
        }
        if let Some(listener) = metrics_listener {
            tasks.push(serve(&service, listener, metrics::router(Arc::clone(&service))));
        }
        Ok(Self { service, address, metrics_url, tasks })
    }

    /// Where apps and browsers come, and the issuer: `http://127.0.0.1:PORT`.
    pub fn base_url(&self) -> &str {
        &self.service.base_url
    }

    /// Where this node listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the upstream issuer listens.
    pub fn upstream_url(&self) -> &str {
        &self.service.upstream_url
    }

    /// Where metrics are, if [`Config::metrics`] asked for them.
    pub fn metrics_url(&self) -> Option<&str> {
        self.metrics_url.as_deref()
    }

    /// What whoever runs it may do: calls, faults, clocks, records.
    pub fn operator(&self) -> Operator {
        Operator::new(Arc::clone(&self.service))
    }

    /// Ends all streams, finishes what is being answered, and stops.
    pub async fn stop(mut self) {
        self.service.bus.stop();
        let tasks = std::mem::take(&mut self.tasks);
        let patience = tokio::time::sleep(Duration::from_secs(2));
        tokio::pin!(patience);
        for mut task in tasks {
            tokio::select! {
                _ = &mut task => {}
                () = &mut patience => task.abort(),
            }
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.service.bus.stop();
    }
}

/// A key that outlives restarts.
fn lasting_key(store: &Store, name: &str) -> Result<Vec<u8>, ServiceError> {
    let mut connection = store.connect()?;
    let tx = connection.begin()?;
    if let Some(key) = tx.meta(name)? {
        return Ok(key);
    }
    let key = tx.lasting_meta(name, &Keys::generate()?)?;
    tx.commit()?;
    Ok(key)
}

fn serve(service: &Arc<Service>, listener: TcpListener, router: axum::Router) -> JoinHandle<()> {
    let mut stopping = service.bus.stopping();
    // Small answers must not wait for a full packet.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service)
        .with_graceful_shutdown(async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        })
        .into_future();
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the server stopped");
        }
    })
}
