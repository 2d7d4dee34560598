//! `hookswitch-backend`: the reference backend as a program.
//!
//! ```text
//! hookswitch-backend --demo                                  one process, all in memory
//! hookswitch-backend --database backend.db                   one process, all in a file
//! hookswitch-backend --database postgres://... --bus nats://... --public-url https://...
//!                                                            one of several nodes behind a proxy
//! ```

use std::{error::Error, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Parser;
use hookswitch_backend::{
    AgentSeed, AndroidApp, Apns, ApnsConfig, Backend, Clock, Config, DEMO_PASSWORD, Database, Fcm, FcmConfig,
    ForwardingTimes, Gateways, ServiceError,
};
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

/// The reference backend of Hookswitch.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the built-in "Google" and "Acme SSO" listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    upstream: SocketAddr,
    /// Serve metrics at this address, at /metrics; without it, nowhere.
    #[arg(long)]
    metrics: Option<SocketAddr>,
    /// The address under which people know this server, behind a TLS proxy.
    #[arg(long)]
    public_url: Option<String>,
    /// Keep everything in this SQLite file, or in the PostgreSQL at this postgres:// address, which several nodes may
    /// share; without it, in memory.
    #[arg(long)]
    database: Option<String>,
    /// The NATS server by which nodes on one PostgreSQL wake each other (nats://HOST:PORT); without it they look once a
    /// second.
    #[arg(long)]
    bus: Option<String>,
    /// The built-in "Google" and "Acme SSO" of another node, which all nodes share.
    #[arg(long)]
    upstream_url: Option<String>,
    /// Make the demo accounts.
    #[arg(long)]
    demo: bool,
    /// Open /operator/* to whoever sends the content of this file as a bearer token.
    #[arg(long)]
    operator_key: Option<PathBuf>,
    /// An origin that may show our pages in a frame; may be repeated.
    #[arg(long = "framer")]
    framers: Vec<String>,
    /// Forward calls only to numbers that were verified by a code; the codes are at /operator/carrier.
    #[arg(long)]
    verify_forwarding: bool,
    /// How many seconds a number rings that a call is forwarded to.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=120))]
    forwarding_ring_seconds: u64,
    /// How many seconds whoever picks up there has to press 1.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
    forwarding_press_seconds: u64,
    /// An Android app that https addresses of this server open, and the SHA-256 of its certificate: PACKAGE=AB:CD:...; may be
    /// repeated.
    #[arg(long = "android-app")]
    android_apps: Vec<AndroidApp>,
    /// An iPhone app that https addresses of this server open: TEAM.BUNDLE; may be repeated.
    #[arg(long = "apple-app")]
    apple_apps: Vec<String>,
    /// Send pushes to iPhones with this key of Apple's (a .p8 file).
    #[arg(long, requires_all = ["apns_key_id", "apns_team_id", "apns_bundle_id"])]
    apns_key: Option<PathBuf>,
    /// The ten characters that name the key.
    #[arg(long, default_value = "", hide_default_value = true)]
    apns_key_id: String,
    /// The ten characters that name the team.
    #[arg(long, default_value = "", hide_default_value = true)]
    apns_team_id: String,
    /// The app, without `.voip`.
    #[arg(long, default_value = "", hide_default_value = true)]
    apns_bundle_id: String,
    /// For apps from Xcode instead of the App Store.
    #[arg(long)]
    apns_sandbox: bool,
    /// Send pushes to Android phones with this service account of Google's (a JSON file).
    #[arg(long)]
    fcm_service_account: Option<PathBuf>,
}

impl Arguments {
    fn gateways(&self, clock: &Clock) -> Result<Gateways, Box<dyn Error>> {
        let mut gateways = Gateways::default();
        if let Some(key) = &self.apns_key {
            let address = if self.apns_sandbox { ApnsConfig::SANDBOX } else { ApnsConfig::PRODUCTION };
            let config = ApnsConfig {
                address: address.to_owned(),
                bundle_id: self.apns_bundle_id.clone(),
                team_id: self.apns_team_id.clone(),
                key_id: self.apns_key_id.clone(),
                key: std::fs::read_to_string(key)?.into(),
            };
            gateways.ios = Some(Arc::new(Apns::new(config, clock.clone())?));
        }
        if let Some(account) = &self.fcm_service_account {
            let service_account = std::fs::read_to_string(account)?.into();
            let config = FcmConfig { address: FcmConfig::PRODUCTION.to_owned(), service_account };
            gateways.android = Some(Arc::new(Fcm::new(&config, clock.clone())?));
        }
        Ok(gateways)
    }
}

fn database(named: String) -> Database {
    if named.starts_with("postgres://") || named.starts_with("postgresql://") {
        Database::Postgres(named.into())
    } else {
        Database::File(PathBuf::from(named))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let operator_key = match &arguments.operator_key {
        None => None,
        Some(path) => {
            let key = std::fs::read_to_string(path)?.trim().to_owned();
            if key.len() < 16 {
                return Err("the operator key has to have 16 characters at least".into());
            }
            Some(SecretString::from(key))
        }
    };
    let clock = Clock::system();
    let config = Config {
        verify_forwarding: arguments.verify_forwarding,
        forwarding_times: ForwardingTimes {
            ring: Duration::from_secs(arguments.forwarding_ring_seconds),
            press: Duration::from_secs(arguments.forwarding_press_seconds),
        },
        push: arguments.gateways(&clock)?,
        clock,
        address: arguments.listen,
        upstream_address: arguments.upstream,
        metrics: arguments.metrics,
        public_url: arguments.public_url,
        database: arguments.database.map_or(Database::Memory, database),
        bus: arguments.bus,
        upstream_url: arguments.upstream_url,
        framers: arguments.framers,
        android_apps: arguments.android_apps,
        apple_apps: arguments.apple_apps,
        operator_key,
        ..Config::default()
    };
    let backend = Backend::start(config).await?;
    println!("{}", backend.base_url());
    if arguments.demo {
        let seeds = AgentSeed::demo();
        let emails: Vec<String> = seeds.iter().map(|seed| seed.email.clone()).collect();
        for seed in seeds {
            match backend.operator().add_agent(seed).await {
                // There since an earlier start.
                Ok(_) | Err(ServiceError::Invalid("email")) => {}
                Err(error) => return Err(error.into()),
            }
        }
        eprintln!("demo accounts: {}; password: {DEMO_PASSWORD}", emails.join(", "));
    }
    tokio::signal::ctrl_c().await?;
    backend.stop().await;
    Ok(())
}
