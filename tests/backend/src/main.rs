//! `hookswitch-backend`: the reference backend as a program.

use std::{error::Error, net::SocketAddr, path::PathBuf};

use clap::Parser;
use hookswitch_backend::{AgentSeed, Backend, Config, DEMO_PASSWORD, Database, HouseError};
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
    /// The address under which people know this server, behind a TLS proxy.
    #[arg(long)]
    public_url: Option<String>,
    /// Keep everything in this SQLite file; without it, in memory.
    #[arg(long)]
    database: Option<PathBuf>,
    /// Make the demo accounts.
    #[arg(long)]
    demo: bool,
    /// Open /operator/* to whoever sends the content of this file as a bearer token.
    #[arg(long)]
    operator_key: Option<PathBuf>,
    /// An origin that may show our pages in a frame; may be repeated.
    #[arg(long = "framer")]
    framers: Vec<String>,
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
    let config = Config {
        address: arguments.listen,
        upstream_address: arguments.upstream,
        public_url: arguments.public_url,
        database: arguments.database.map_or(Database::Memory, Database::File),
        framers: arguments.framers,
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
                Ok(_) | Err(HouseError::Invalid("email")) => {}
                Err(error) => return Err(error.into()),
            }
        }
        eprintln!("demo accounts: {}; password: {DEMO_PASSWORD}", emails.join(", "));
    }
    tokio::signal::ctrl_c().await?;
    backend.stop().await;
    Ok(())
}
