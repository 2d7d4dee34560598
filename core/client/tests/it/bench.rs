//! The clock, the network and the sign-in page, in the hands of a test. Nothing here sleeps: time passes when the test says
//! so, and a token request waits for the test's answer. What never comes fails the test.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{FutureExt, StreamExt, stream};
use hookswitch::{
    Config, DeviceDescription, Hookswitch, SignInOptions,
    machine::{
        Failure, IssuerProfile, Mono, Timestamp,
        view::{SessionHealth, SessionState},
    },
    ports::{self, Http, HttpFault, HttpRequest, HttpResponse, Ports},
    store::KeyFile,
    wire::{Platform, UnixMillis},
};
use rusqlite::Connection;
use secrecy::ExposeSecret;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use url::Url;

pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const REDIRECT: &str = "dev.hookswitch.agent:/callback";
pub(crate) const MINUTE: u64 = 60_000;
/// Longer than any access token of the tests lives, in milliseconds.
pub(crate) const EXPIRY: u64 = 3_600_000;

/// Whatever a test waits for comes at once, or is never to come.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.unwrap_or_else(|_| panic!("it never came"))
}

/// Makes a future begin what it does, without waiting for its end.
pub(crate) fn begun<F: Future>(future: F) -> std::pin::Pin<Box<F>> {
    let mut future = Box::pin(future);
    assert!((&mut future).now_or_never().is_none(), "it should have something to wait for");
    future
}

// ---- time ------------------------------------------------------------------------------------------------------------

/// A clock that stands still until it is moved.
pub(crate) struct Clock {
    now: watch::Sender<Timestamp>,
    /// How many wait for which moment.
    sleepers: Mutex<BTreeMap<Mono, usize>>,
    slept: Notify,
}

impl Clock {
    fn new() -> Self {
        let now = watch::Sender::new(Timestamp { wall: UnixMillis(1_700_000_000_000), mono: 1_000_000 });
        Self { now, sleepers: Mutex::default(), slept: Notify::new() }
    }

    pub(crate) fn advance(&self, millis: u64) {
        self.now.send_modify(|now| {
            now.mono += millis;
            now.wall += i64::try_from(millis).unwrap();
        });
    }

    /// Sets the wall clock, which people can do.
    pub(crate) fn set_wall(&self, millis: i64) {
        self.now.send_modify(|now| now.wall = UnixMillis(millis));
    }

    /// Waits until somebody sleeps for at most so many milliseconds, and lets just as much time pass as wakes the first one.
    pub(crate) async fn wake_within(&self, most: u64) {
        soon(async {
            loop {
                let slept = self.slept.notified();
                let next = self.sleepers.lock().unwrap().keys().next().copied();
                let now = self.now.borrow().mono;
                match next.and_then(|at| at.checked_sub(now)).filter(|left| (1..=most).contains(left)) {
                    Some(left) => return self.advance(left),
                    None => slept.await,
                }
            }
        })
        .await;
    }

    /// As often as somebody sleeps for so short a time, until the future comes to its end.
    pub(crate) async fn wake_while<T>(&self, most: u64, future: impl Future<Output = T>) -> T {
        tokio::select! {
            done = soon(future) => done,
            () = async { loop { self.wake_within(most).await } } => panic!("unreachable: it has no end"),
        }
    }
}

/// Somebody sleeps, until this goes.
struct Asleep<'a>(&'a Clock, Mono);

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        let mut sleepers = self.0.sleepers.lock().unwrap();
        let count = sleepers.get_mut(&self.1).unwrap();
        *count -= 1;
        if *count == 0 {
            sleepers.remove(&self.1);
        }
        // Another one is the first now, perhaps.
        self.0.slept.notify_one();
    }
}

#[async_trait]
impl ports::Clock for Clock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep_until(&self, at: Mono) {
        *self.sleepers.lock().unwrap().entry(at).or_default() += 1;
        let _asleep = Asleep(self, at);
        self.slept.notify_one();
        let _ = self.now.subscribe().wait_for(|now| now.mono >= at).await;
    }
}

// ---- network ---------------------------------------------------------------------------------------------------------

/// The issuer answers for its metadata at once; token requests go to the test. The API never answers.
struct Network {
    posts: mpsc::UnboundedSender<Post>,
    metadata: Mutex<serde_json::Value>,
    count: AtomicUsize,
    /// How often all connections were given up.
    begun_anew: AtomicUsize,
}

/// A request to the token endpoint. Dropping it breaks the connection.
pub(crate) struct Post {
    form: HashMap<String, String>,
    answer: oneshot::Sender<HttpResponse>,
}

impl Post {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }

    /// Answers a refresh with `access-N` and `refresh-N`.
    pub(crate) fn grants(self, generation: u32) {
        assert_eq!(self.field("grant_type"), "refresh_token");
        self.answers(200, &tokens(generation));
    }

    /// Answers a code with the first tokens, for the person who saw that page.
    pub(crate) fn signs_in(self, page: &Page) {
        assert_eq!(self.field("grant_type"), "authorization_code");
        let mut answer = tokens(1);
        answer["id_token"] = json!(id_token(&claims(page)));
        self.answers(200, &answer);
    }

    pub(crate) fn refuses(self, error: &str) {
        self.answers(400, &json!({"error": error}));
    }

    pub(crate) fn answers(self, status: u16, body: &serde_json::Value) {
        self.says(status, "application/json", &body.to_string());
    }

    /// Answers whatever a server may say.
    pub(crate) fn says(self, status: u16, media_type: &str, body: &str) {
        // Whoever asked may have been killed.
        let _ = self.answer.send(response(status, media_type, body));
    }
}

/// What an ID token says of the person who saw that page.
pub(crate) fn claims(page: &Page) -> serde_json::Value {
    json!({"iss": ISSUER, "aud": "app", "sub": "alice", "nonce": page.nonce, "iat": 1, "exp": 9_999_999_999_i64})
}

pub(crate) fn id_token(claims: &serde_json::Value) -> String {
    format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

pub(crate) fn tokens(generation: u32) -> serde_json::Value {
    json!({
        "access_token": format!("access-{generation}"),
        "refresh_token": format!("refresh-{generation}"),
        "token_type": "Bearer",
        "expires_in": EXPIRY / 1_000,
    })
}

fn response(status: u16, media_type: &str, body: &str) -> HttpResponse {
    let response = http::Response::builder().status(status).header("content-type", media_type).body(()).unwrap();
    let body = bytes::Bytes::from(body.to_owned());
    HttpResponse { head: response.into_parts().0, body: stream::iter([Ok(body)]).boxed() }
}

#[async_trait]
impl Http for Network {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        match request.uri().path() {
            "/.well-known/openid-configuration" => {
                Ok(response(200, "application/json", &self.metadata.lock().unwrap().to_string()))
            }
            "/token" => {
                self.count.fetch_add(1, Ordering::SeqCst);
                let form = url::form_urlencoded::parse(request.body()).into_owned().collect();
                let (answer, answered) = oneshot::channel();
                let _ = self.posts.send(Post { form, answer });
                answered.await.map_err(|_| HttpFault::NoAnswer("the connection broke".into()))
            }
            _ => std::future::pending().await,
        }
    }

    fn network_changed(&self) {
        self.begun_anew.fetch_add(1, Ordering::SeqCst);
    }
}

// ---- the sign-in page ------------------------------------------------------------------------------------------------

/// What the page was asked with.
pub(crate) struct Page {
    state: String,
    nonce: String,
    challenge: String,
}

impl Page {
    pub(crate) fn of(url: &Url) -> Self {
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        let [state, nonce, challenge] = ["state", "nonce", "code_challenge"].map(|name| query[name].clone());
        Self { state, nonce, challenge }
    }

    /// Where the browser comes back to with this code.
    pub(crate) fn redirect(&self, code: &str) -> String {
        format!("{REDIRECT}?code={code}&state={}&iss={ISSUER}", self.state)
    }

    /// Whether the request for tokens comes from whoever asked for this page (RFC 7636).
    pub(crate) fn belongs_to(&self, post: &Post) -> bool {
        let challenge = oauth2::PkceCodeChallenge::from_code_verifier_sha256(&oauth2::PkceCodeVerifier::new(
            post.field("code_verifier").to_owned(),
        ));
        challenge.as_str() == self.challenge && post.field("redirect_uri") == REDIRECT
    }
}

// ---- the phone -------------------------------------------------------------------------------------------------------

/// A phone: what outlives a process of the app, and what surrounds it.
pub(crate) struct BenchPhone {
    folder: TempDir,
    pub(crate) clock: Arc<Clock>,
    network: Arc<Network>,
    posts: mpsc::UnboundedReceiver<Post>,
}

impl BenchPhone {
    pub(crate) fn new() -> Self {
        let (sender, posts) = mpsc::unbounded_channel();
        let metadata = json!({
            "issuer": ISSUER,
            "authorization_endpoint": format!("{ISSUER}/authorize"),
            "token_endpoint": format!("{ISSUER}/token"),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        let network = Arc::new(Network {
            posts: sender,
            metadata: Mutex::new(metadata),
            count: AtomicUsize::new(0),
            begun_anew: AtomicUsize::new(0),
        });
        Self { folder: TempDir::new().unwrap(), clock: Arc::new(Clock::new()), network, posts }
    }

    /// Starts the app.
    pub(crate) async fn start(&self) -> Hookswitch {
        self.start_as("app").await
    }

    /// Starts a process of this kind.
    pub(crate) async fn start_as(&self, process: &str) -> Hookswitch {
        let config = Config {
            issuer: ISSUER.into(),
            server: "https://api.example".into(),
            client_id: "app".into(),
            redirect_uris: vec![REDIRECT.into()],
            profile: IssuerProfile::Unknown,
            sign_in: SignInOptions::default(),
            session_life: None,
            device: DeviceDescription {
                name: "Alice's phone".into(),
                platform: Platform::Android,
                app_version: "1".into(),
            },
            folder: self.folder.path().into(),
            process: process.into(),
        };
        let ports = Ports {
            clock: Arc::clone(&self.clock) as Arc<dyn ports::Clock>,
            keys: Arc::new(KeyFile::new(self.folder.path().join("key"))),
            http: Arc::clone(&self.network) as Arc<dyn Http>,
        };
        soon(Hookswitch::open(config, ports)).await.unwrap()
    }

    /// The next token request.
    pub(crate) async fn post(&mut self) -> Post {
        soon(self.posts.recv()).await.unwrap()
    }

    /// How many token requests there were.
    pub(crate) fn posts(&self) -> usize {
        self.network.count.load(Ordering::SeqCst)
    }

    /// Changes what the issuer says of itself.
    pub(crate) fn change_metadata(&self, change: impl FnOnce(&mut serde_json::Value)) {
        change(&mut self.network.metadata.lock().unwrap());
    }

    /// How often all connections were given up.
    pub(crate) fn begun_anew(&self) -> usize {
        self.network.begun_anew.load(Ordering::SeqCst)
    }

    /// Signs in; the first token request.
    pub(crate) async fn sign_in(&mut self, core: &Hookswitch) {
        let page = begin_login(core).await;
        let redirect = page.redirect("code");
        let finish = begun(core.finish_login(&redirect));
        self.post().await.signs_in(&page);
        soon(finish).await.unwrap();
        soon(core.saved()).await;
    }

    /// The disk takes no tokens any more; all else it takes.
    pub(crate) fn fill_disk(&self) {
        self.sql("CREATE TRIGGER full BEFORE INSERT ON session BEGIN SELECT RAISE(ABORT, 'the disk is full'); END");
    }

    pub(crate) fn free_disk(&self) {
        self.sql("DROP TRIGGER full");
    }

    fn sql(&self, text: &str) {
        Connection::open(self.folder.path().join("vault.sqlite")).unwrap().execute_batch(text).unwrap();
    }
}

pub(crate) async fn begin_login(core: &Hookswitch) -> Page {
    Page::of(&soon(core.begin_login(None, REDIRECT)).await.unwrap())
}

pub(crate) async fn token(core: &Hookswitch) -> Result<String, Failure> {
    soon(core.access_token()).await.map(|token| token.expose_secret().to_owned())
}

/// How well somebody is signed in; `None` when nobody is.
pub(crate) fn health(core: &Hookswitch) -> Option<SessionHealth> {
    match core.state().session {
        SessionState::SignedIn { health, .. } => Some(health),
        _ => None,
    }
}

pub(crate) async fn shows(core: &Hookswitch, wanted: impl Fn(&SessionState) -> bool) {
    soon(core.watch().wait_for(|view| wanted(&view.session))).await.unwrap();
}
