//! A phone with the real core: its clock can jump, its cable can be pulled, and its words to the issuer are remembered.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hookswitch::{
    Config, DeviceDescription, Hookswitch, SignInOptions,
    http::Network,
    machine::{AgentProfile, AppState, Failure, IssuerProfile, Mono, ReauthReason, Timestamp, view::SessionState},
    ports::{Clock, Http, HttpFault, HttpRequest, HttpResponse, Ports, SystemClock},
    store::KeyFile,
    wire::Platform,
};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::{
    browser::{Browser, Page},
    issuer::Answer,
    report::{ErrorMessage, ensure, text},
};

/// The app's own scheme.
pub(crate) const REDIRECT: &str = "dev.hookswitch.agent:/callback";
/// A loopback address, of any port.
pub(crate) const LOOPBACK: &str = "http://127.0.0.1/callback";

/// The system's clocks, and how far they have jumped.
#[derive(Default)]
pub(crate) struct JumpingClock {
    ahead: AtomicU64,
    jumped: Notify,
}

impl JumpingClock {
    /// As if the phone had slept.
    pub(crate) fn jump(&self, by: Duration) {
        self.ahead.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
        self.jumped.notify_waiters();
    }
}

#[async_trait]
impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        let (now, ahead) = (SystemClock.now(), self.ahead.load(Ordering::SeqCst));
        Timestamp { wall: now.wall + i64::try_from(ahead).unwrap_or(i64::MAX), mono: now.mono.saturating_add(ahead) }
    }

    async fn sleep_until(&self, at: Mono) {
        loop {
            let jumped = self.jumped.notified();
            let left = at.saturating_sub(self.now().mono);
            if left == 0 {
                return;
            }
            let _ = tokio::time::timeout(Duration::from_millis(left), jumped).await;
        }
    }
}

/// A form that the phone sent, and the answer that came.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    fields: Vec<(String, String)>,
    pub(crate) answer: Option<Answer>,
}

impl Sent {
    /// A field of the form.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// `status error: description`, when it was refused.
    pub(crate) fn refusal(&self) -> Option<String> {
        let answer = self.answer.as_ref().filter(|answer| answer.status >= 400)?;
        let say = |name| answer.body.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        Some(format!("{} {}: {}", answer.status, say("error"), say("error_description")))
    }
}

/// The real network; the cable can be pulled, and an answer can get lost. Remembers forms, which only the issuer gets.
pub(crate) struct Line {
    network: Network,
    pulled: AtomicBool,
    loses: AtomicBool,
    instead: Mutex<Option<Answer>>,
    sent: Mutex<Vec<Sent>>,
}

impl Line {
    fn sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pulls or plugs the cable.
    pub(crate) fn pull(&self, pulled: bool) {
        self.pulled.store(pulled, Ordering::SeqCst);
    }

    /// The issuer hears the next form; its answer gets lost.
    pub(crate) fn lose_next_answer(&self) {
        self.loses.store(true, Ordering::SeqCst);
    }

    /// The next form gets this answer, which the issuer gave to somebody else.
    pub(crate) fn answer_next(&self, answer: Answer) {
        *self.instead.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }

    /// Refreshes, oldest first.
    pub(crate) fn refreshes(&self) -> Vec<Sent> {
        self.sent().iter().filter(|sent| sent.get("grant_type") == Some("refresh_token")).cloned().collect()
    }

    /// Revocations, oldest first.
    pub(crate) fn revocations(&self) -> Vec<Sent> {
        self.sent().iter().filter(|sent| sent.get("token").is_some()).cloned().collect()
    }
}

#[async_trait]
impl Http for Line {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        if self.pulled.load(Ordering::SeqCst) {
            return Err(HttpFault::NotSent("no route to host".into()));
        }
        let form = "application/x-www-form-urlencoded";
        let is_form = request.headers().get(http::header::CONTENT_TYPE).is_some_and(|value| value == form);
        if !is_form {
            return self.network.send(request).await;
        }
        let fields = url::form_urlencoded::parse(request.body()).into_owned().collect();
        let at = {
            let mut sent = self.sent();
            sent.push(Sent { fields, answer: None });
            sent.len() - 1
        };
        let instead = self.instead.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(answer) = instead {
            let body = Bytes::from(answer.body.to_string());
            let head = http::Response::builder().status(answer.status);
            let head = head.header(http::header::CONTENT_TYPE, "application/json").body(());
            let (head, ()) = head.map_err(|error| HttpFault::NoAnswer(error.to_string()))?.into_parts();
            if let Some(sent) = self.sent().get_mut(at) {
                sent.answer = Some(answer);
            }
            return Ok(HttpResponse { head, body: stream::once(async { Ok(body) }).boxed() });
        }
        let HttpResponse { head, body } = self.network.send(request).await?;
        let whole: Vec<Bytes> = body.try_collect().await?;
        let whole = whole.concat();
        if let Some(sent) = self.sent().get_mut(at) {
            let body = serde_json::from_slice(&whole).unwrap_or_default();
            sent.answer = Some(Answer { status: head.status.as_u16(), body });
        }
        if self.loses.swap(false, Ordering::SeqCst) {
            return Err(HttpFault::NoAnswer("the connection was reset".into()));
        }
        Ok(HttpResponse { head, body: stream::once(async { Ok(Bytes::from(whole)) }).boxed() })
    }
}

/// Whose app it is.
#[derive(Clone, Debug)]
pub(crate) struct App {
    /// As its metadata names it.
    pub(crate) issuer: String,
    /// As it is registered there.
    pub(crate) client_id: String,
    /// What kind of issuer it is.
    pub(crate) profile: IssuerProfile,
    /// What its sign-ins ask for.
    pub(crate) sign_in: SignInOptions,
    /// The API.
    pub(crate) server: String,
}

/// A phone that keeps its vault over restarts and whose line to the servers can be cut, heard and forged.
pub(crate) struct InteropPhone {
    pub(crate) core: Arc<Hookswitch>,
    pub(crate) clock: Arc<JumpingClock>,
    pub(crate) line: Arc<Line>,
    app: App,
    folder: TempDir,
}

impl InteropPhone {
    /// A phone out of the box.
    pub(crate) async fn new(app: &App) -> Result<Self, ErrorMessage> {
        let line = Line {
            network: Network::new(),
            pulled: AtomicBool::new(false),
            loses: AtomicBool::new(false),
            instead: Mutex::default(),
            sent: Mutex::default(),
        };
        let folder = tempfile::tempdir().map_err(text)?;
        Self::start(app.clone(), folder, Arc::default(), Arc::new(line)).await
    }

    async fn start(app: App, folder: TempDir, clock: Arc<JumpingClock>, line: Arc<Line>) -> Result<Self, ErrorMessage> {
        let config = Config {
            issuer: app.issuer.clone(),
            server: app.server.clone(),
            client_id: app.client_id.clone(),
            redirect_uris: vec![REDIRECT.into(), LOOPBACK.into()],
            device: DeviceDescription { name: "interop".into(), platform: Platform::Android, app_version: "1".into() },
            folder: folder.path().join("vault"),
            profile: app.profile,
            sign_in: app.sign_in.clone(),
            session_life: None,
            process: "app".into(),
        };
        let ports = Ports {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            keys: Arc::new(KeyFile::new(folder.path().join("key"))),
            http: Arc::clone(&line) as Arc<dyn Http>,
        };
        let core = Arc::new(Hookswitch::open(config, ports).await.map_err(text)?);
        Ok(Self { core, clock, line, app, folder })
    }

    /// The app is suspended in peace, killed, and started again.
    pub(crate) async fn restart(self) -> Result<Self, ErrorMessage> {
        let Self { core, clock, line, app, folder } = self;
        core.saved().await;
        drop(core);
        Self::start(app, folder, clock, line).await
    }

    /// The address of the login page.
    pub(crate) async fn begin(&self) -> Result<String, ErrorMessage> {
        self.core.begin_login(None, REDIRECT).await.map(String::from).map_err(text)
    }

    /// Signs in: `walk` goes through the pages from the first one to the app.
    pub(crate) async fn sign_in(
        &self,
        browser: &Browser,
        walk: impl AsyncFnOnce(&Browser, Page) -> Result<Page, ErrorMessage>,
    ) -> Result<AgentProfile, ErrorMessage> {
        let page = browser.open(&self.begin().await?).await?;
        let page = walk(browser, page).await?;
        self.core.finish_login(page.redirect()?).await.map_err(text)?;
        self.signed_in()
    }

    /// Who is signed in.
    pub(crate) fn signed_in(&self) -> Result<AgentProfile, ErrorMessage> {
        let session = self.session();
        let SessionState::SignedIn { agent, .. } = session else {
            return Err(format!("nobody is signed in: {session:?}"));
        };
        Ok(agent)
    }

    /// The session's view.
    pub(crate) fn session(&self) -> SessionState {
        self.core.state().session
    }

    /// Fails unless a login waits for its browser.
    pub(crate) fn waits_for_the_browser(&self) -> Result<(), ErrorMessage> {
        let session = self.session();
        let waits = matches!(session, SessionState::SigningIn { completing: false });
        ensure(waits, || format!("the sign-in does not wait: {session:?}"))
    }

    /// Returns once the view is such, within ten seconds.
    pub(crate) async fn until(&self, what: &str, mut is: impl FnMut(&AppState) -> bool) -> Result<(), ErrorMessage> {
        let mut views = self.core.watch();
        match tokio::time::timeout(Duration::from_secs(10), views.wait_for(|view| is(view))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err("the core is closed".into()),
            Err(_) => Err(format!("{what}: not within 10 s; it is {:?}", self.core.state())),
        }
    }

    /// A valid access token, as it goes over the wire.
    pub(crate) async fn token(&self) -> Result<String, Failure> {
        self.core.access_token().await.map(|token: SecretString| token.expose_secret().to_owned())
    }

    /// A new access token: the clock jumps past the life of the old one.
    pub(crate) async fn next_token(&self) -> Result<String, Failure> {
        self.clock.jump(Duration::from_secs(120));
        self.token().await
    }

    /// The refresh token that was used last: a used-up one, once its refresh is done.
    pub(crate) fn used_up(&self) -> Result<String, ErrorMessage> {
        let refreshes = self.line.refreshes();
        let token = refreshes.last().and_then(|sent| sent.get("refresh_token")).map(str::to_owned);
        token.ok_or_else(|| "it has not refreshed yet".to_owned())
    }

    /// How the issuer refused the last refresh; empty when it did not.
    pub(crate) fn refusal(&self) -> String {
        self.line.refreshes().last().and_then(Sent::refusal).unwrap_or_default()
    }

    /// Fails unless whoever asks for the next token hears that a new sign-in is needed, because the issuer refused the
    /// last refresh with these words, which mean one of these.
    pub(crate) async fn is_over(&self, words: &str, why: &[ReauthReason]) -> Result<(), ErrorMessage> {
        let refused = self.next_token().await;
        let told = self.refusal();
        ensure(matches!(refused, Err(Failure::Reauthenticate { .. })), || format!("{refused:?} after {told:?}"))?;
        ensure(told.starts_with("400 invalid_grant") && told.contains(words), || {
            format!("it was refused as {told:?}")
        })?;
        let session = self.session();
        let is_right = matches!(session, SessionState::ReauthRequired { reason, .. } if why.contains(&reason));
        ensure(is_right, || format!("it should want a new sign-in ({why:?}), and is {session:?}"))
    }

    /// Fails unless the issuer refuses the next refresh with these words, and the session lives on all the same.
    pub(crate) async fn is_refused_and_lives(&self, words: &str) -> Result<(), ErrorMessage> {
        let refused = self.next_token().await;
        let told = self.refusal();
        ensure(told.contains(words), || format!("it was refused as {told:?}: {refused:?}"))?;
        ensure(!matches!(refused, Ok(_) | Err(Failure::Reauthenticate { .. })), || format!("{refused:?}"))?;
        self.signed_in().map(|_| ())
    }

    /// Waits until the issuer has revoked something for this phone, and gives back what.
    pub(crate) async fn revoked(&self) -> Result<String, ErrorMessage> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            if let Some(sent) = self
                .line
                .revocations()
                .into_iter()
                .find(|sent| sent.answer.as_ref().is_some_and(|answer| answer.status == 200))
            {
                return sent.get("token").map(str::to_owned).ok_or_else(|| "it revoked nothing".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("nothing was revoked within 10 s".into())
    }
}

/// The redirect with a parameter changed, or left out.
pub(crate) fn forge(redirect: &str, name: &str, value: Option<&str>) -> Result<String, ErrorMessage> {
    let mut url = url::Url::parse(redirect).map_err(text)?;
    let mut all: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    all.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    url.query_pairs_mut().clear().extend_pairs(all);
    Ok(url.into())
}
