//! A backend with one agent, whose clock the phones share, and a browser in which the agent is signed in.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use hookswitch::{machine::view::SessionState, wire::Role};
use hookswitch_backend::{AgentSeed, Backend, Clock, Config, Database, FamilyReport, Operator, PasswordCost};
use lab::browser::{Browser, Credentials, Method, Page};

use crate::{
    child::Do,
    process::{Process, Unanswered, text},
    report::ErrorMessage,
    services,
    shared_clock::SharedClock,
};

/// The life of an access token here, in milliseconds.
pub(crate) const TOKEN_LIFE: u64 = 15 * 60 * 1_000;
/// How long the previous refresh token is good for, in milliseconds.
pub(crate) const LEEWAY: u64 = 60 * 1_000;

const EMAIL: &str = "agent@acme.example";

/// What a measurement runs against.
pub(crate) struct TestBackend {
    backend: Backend,
    /// On the same database, if it is one for several.
    second: Option<Backend>,
    pub(crate) operator: Operator,
    pub(crate) clock: Clock,
    shared: SharedClock,
    browser: Browser,
    credentials: Credentials,
    folder: tempfile::TempDir,
    /// Phones reach the backend through this proxy.
    pub(crate) wiretap: Option<SocketAddr>,
}

impl TestBackend {
    pub(crate) async fn open() -> Result<Self, ErrorMessage> {
        Self::with(Backend::start).await
    }

    /// On PostgreSQL, and the bus if there is one, as two nodes: [`Self::nodes`].
    pub(crate) async fn of_two_nodes(database: &str, bus: Option<&str>) -> Result<Self, ErrorMessage> {
        let mut made = Self::with(|config| {
            let (database, bus) = (Database::Postgres(database.to_owned().into()), bus.map(str::to_owned));
            services::backend(Config { database, bus, ..config })
        })
        .await?;
        made.second = Some(made.backend.start_beside().await.map_err(text)?);
        Ok(made)
    }

    async fn with<E: std::fmt::Display>(
        start: impl AsyncFnOnce(Config) -> Result<Backend, E>,
    ) -> Result<Self, ErrorMessage> {
        let folder = tempfile::Builder::new().prefix("prove-").tempdir().map_err(text)?;
        let clock = Clock::system();
        let backend = start(Config {
            clock: clock.clone(),
            password_cost: PasswordCost { memory_kib: 64, passes: 1 },
            access_token_life: Duration::from_millis(TOKEN_LIFE),
            // No measurement is so long that an unused token runs out.
            refresh_token_life: Duration::from_secs(100 * 365 * 24 * 3_600),
            ..Config::default()
        })
        .await
        .map_err(text)?;
        let operator = backend.operator();
        let seed = AgentSeed::new(EMAIL, "An Agent", Role::Agent);
        let credentials =
            Credentials { email: EMAIL.into(), password: seed.password.clone(), method: Method::Password, code: None };
        operator.add_agent(seed).await.map_err(text)?;
        let browser = Browser::new(backend.base_url(), backend.upstream_url())?;
        let shared = SharedClock::open(&folder.path().join("clock")).map_err(text)?;
        Ok(Self { backend, second: None, operator, clock, shared, browser, credentials, folder, wiretap: None })
    }

    pub(crate) fn base(&self) -> &str {
        self.backend.base_url()
    }

    /// Where the nodes listen.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = SocketAddr> + Clone {
        std::iter::once(&self.backend).chain(&self.second).map(Backend::address)
    }

    pub(crate) fn clock_file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// A folder for a phone.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn email(&self) -> &'static str {
        EMAIL
    }

    /// Moves the clock of the backend and of all phones ahead.
    pub(crate) fn jump(&self, millis: u64) -> Result<(), ErrorMessage> {
        self.clock.jump(i64::try_from(millis).map_err(text)?);
        self.shared.jump(millis).map_err(text)
    }

    /// Walks the login page in the browser, which soon knows the agent; gives the address that leads back to the app.
    pub(crate) async fn walk(&self, login: &str) -> Result<String, ErrorMessage> {
        let page = self.browser.sign_in(login, &self.credentials).await?;
        let Page::App { redirect } = page else {
            return Err(page.complaint().unwrap_or_else(|| format!("the browser stands on {}", page.name())));
        };
        Ok(redirect)
    }

    /// Signs a phone in.
    pub(crate) async fn sign_in(&self, phone: &Process) -> Result<(), ErrorMessage> {
        let login = phone.ask(Do::Begin).await.map_err(Unanswered::text)?;
        let redirect = self.walk(login.as_str().unwrap_or_default()).await?;
        phone.ask(Do::Finish { redirect }).await.map_err(Unanswered::text)?;
        Ok(())
    }

    /// A phone that is signed in.
    pub(crate) async fn phone(&self, name: &str) -> Result<Process, ErrorMessage> {
        let phone = Process::start(self, &self.folder(name), "app", None)?;
        phone.opened().await.map_err(Unanswered::text)?;
        self.sign_in(&phone).await?;
        Ok(phone)
    }

    /// What the backend recorded of all families of tokens.
    pub(crate) fn families(&self) -> Result<Vec<FamilyReport>, ErrorMessage> {
        self.operator.refresh_record(EMAIL).map(|record| record.families).map_err(text)
    }

    /// Refreshes that were answered `invalid_grant`, whosever.
    pub(crate) fn refusals(&self) -> Result<u64, ErrorMessage> {
        let record = self.operator.refresh_record(EMAIL).map_err(text)?;
        Ok(record.families.iter().map(|family| family.refused).sum::<u64>() + record.unknown.len() as u64)
    }

    /// The phones' sessions that live.
    pub(crate) fn live_phones(&self) -> Result<usize, ErrorMessage> {
        let sessions = self.operator.sessions(EMAIL).map_err(text)?;
        Ok(sessions.iter().filter(|session| session.kind == "mobile").count())
    }
}

pub(crate) fn is_signed_in(session: &SessionState) -> bool {
    matches!(session, SessionState::SignedIn { .. })
}
