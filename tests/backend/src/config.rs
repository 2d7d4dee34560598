//! How a backend is set up.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use secrecy::SecretString;

use crate::{Clock, ForwardingTimes, Gateways, LogoutClient, RotationProfile};

/// How a backend is set up. The default is what the lab and the tests want: all in memory, on a free port of loopback.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where apps and browsers come; port 0 takes a free one.
    pub address: SocketAddr,
    /// Where the built-in upstream issuer ("Google", "Acme SSO") listens.
    pub upstream_address: SocketAddr,
    /// Where `GET /metrics` is, apart from everything that apps and browsers reach; `None`: nowhere. It asks for no
    /// password: an address that only the operators' network reaches.
    pub metrics: Option<SocketAddr>,
    /// The address under which people know this server, when a TLS proxy stands in front of it. `https://` makes cookies
    /// `Secure` with the `__Host-` prefix.
    pub public_url: Option<String>,
    /// Where everything is kept.
    pub database: Database,
    /// What wakes the other nodes that share [`Database::Postgres`]: `nats://HOST:PORT`. Without it, or while it is away, they
    /// look once a second.
    pub bus: Option<String>,
    /// Where the upstream issuer is that all nodes share; `None`: this one's own.
    pub upstream_url: Option<String>,
    /// What time it is.
    pub clock: Clock,
    /// Origins that may show our pages in a frame: a CRM with a widget, the lab's page.
    pub framers: Vec<String>,
    /// Life of an access token.
    pub access_token_life: Duration,
    /// Life of a refresh token that is not used.
    pub refresh_token_life: Duration,
    /// Life of a browser or desktop session that is not used.
    pub browser_session_life: Duration,
    /// What happens to a refresh token that is used twice.
    pub refresh: RotationProfile,
    /// The Android apps that https addresses of this server open.
    pub android_apps: Vec<AndroidApp>,
    /// The iPhone apps that https addresses of this server open: `TEAM.BUNDLE`.
    pub apple_apps: Vec<String>,
    /// Who is told when a session ends (OpenID Connect Back-Channel Logout 1.0).
    pub logout_clients: Vec<LogoutClient>,
    /// Whether calls are forwarded only to numbers that the agent has shown to be reachable at.
    pub verify_forwarding: bool,
    /// How long a call is offered at the number that it is forwarded to.
    pub forwarding_times: ForwardingTimes,
    /// The services that carry pushes.
    pub push: Gateways,
    /// How much work a password is.
    pub password_cost: PasswordCost,
    /// Opens `/operator/*` to who sends it as a bearer token; `None`: closed.
    pub operator_key: Option<SecretString>,
}

impl Default for Config {
    fn default() -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            address: loopback,
            upstream_address: loopback,
            metrics: None,
            public_url: None,
            database: Database::Memory,
            bus: None,
            upstream_url: None,
            clock: Clock::system(),
            framers: Vec::new(),
            access_token_life: Duration::from_secs(15 * 60),
            refresh_token_life: Duration::from_secs(90 * 24 * 3_600),
            browser_session_life: Duration::from_secs(30 * 24 * 3_600),
            refresh: RotationProfile::default(),
            android_apps: Vec::new(),
            apple_apps: Vec::new(),
            logout_clients: Vec::new(),
            verify_forwarding: false,
            forwarding_times: ForwardingTimes::default(),
            push: Gateways::default(),
            password_cost: PasswordCost::default(),
            operator_key: None,
        }
    }
}

/// An Android app, as Android itself knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AndroidApp {
    /// The name of its package.
    pub package: String,
    /// The SHA-256 of the certificate that it is signed with: 32 pairs of hexadecimal digits, with colons between them.
    pub certificate: String,
}

impl FromStr for AndroidApp {
    type Err = &'static str;

    /// `PACKAGE=CERTIFICATE`, as `apksigner verify --print-certs` and the store's console write the certificate.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (package, certificate) = text.split_once('=').ok_or("PACKAGE=CERTIFICATE is wanted")?;
        let digits: String = certificate.chars().filter(|digit| *digit != ':').collect();
        if package.is_empty() || digits.len() != 64 || !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
            return Err("the certificate is the SHA-256 of the one that signs the app: 64 hexadecimal digits");
        }
        let pairs: Vec<String> =
            digits.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_uppercase()).collect();
        Ok(Self { package: package.to_owned(), certificate: pairs.join(":") })
    }
}

/// Where a backend keeps everything.
#[derive(Clone, Debug)]
pub enum Database {
    /// Nowhere: gone with the backend.
    Memory,
    /// In an SQLite file. It holds no token and no password, but the key of the ID tokens and the TOTP secrets.
    File(PathBuf),
    /// In a PostgreSQL that several nodes share: `postgres://USER:PASSWORD@HOST:PORT/NAME`. It holds what the file would.
    Postgres(SecretString),
}

/// The cost of an argon2id hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory that one hash takes, in KiB (Argon2's m).
    pub memory_kib: u32,
    /// Passes over that memory (Argon2's t).
    pub passes: u32,
}

impl Default for PasswordCost {
    /// What OWASP asks for at least: 7 MiB, five passes.
    fn default() -> Self {
        Self { memory_kib: 7 * 1_024, passes: 5 }
    }
}
