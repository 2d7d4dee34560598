//! A browser, a phone, and a backend to point them at.

use std::{collections::HashMap, pin::Pin, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures_util::{Stream, StreamExt};
use hookswitch_backend::{AgentSeed, Backend, Config, DEMO_PASSWORD, PasswordCost, ServiceError};
use hookswitch_wire::{Problem, Snapshot, StreamEvent, TokenAnswer};
use reqwest::{Client, Method, RequestBuilder, Response, redirect::Policy};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{contract, nodes, nodes::Running};

pub(crate) const ALICE: &str = "alice@acme.example";
pub(crate) const OLIVIA: &str = "olivia@acme.example";
pub(crate) const ADAM: &str = "adam@acme.example";
pub(crate) const SAM: &str = "sam@acme.example";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:9/callback";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// Nothing in these tests takes longer unless it hangs.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it takes too long")
}

/// What the tests want: passwords that cost little.
pub(crate) fn config() -> Config {
    Config { password_cost: PasswordCost { memory_kib: 8, passes: 1 }, ..Config::default() }
}

/// A backend with the demo accounts.
pub(crate) async fn backend() -> Running {
    backend_with(config()).await
}

/// One node that keeps all to itself; or two on a database of PostgreSQL, if there is one: see `nodes`.
pub(crate) async fn backend_with(config: Config) -> Running {
    let running = Running::start(config).await;
    contract::watch(&running);
    for seed in AgentSeed::demo() {
        match running.operator().add_agent(seed).await {
            // There since an earlier start on the same file.
            Ok(_) | Err(ServiceError::Invalid("email")) => {}
            Err(error) => panic!("{error}"),
        }
    }
    running
}

fn client() -> Client {
    nodes::spread(Client::builder()).redirect(Policy::none()).no_proxy().build().unwrap()
}

/// A page as a browser got it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Page {
    /// The value of a hidden field.
    pub(crate) fn hidden(&self, name: &str) -> String {
        let mut fields = pages::forms(&self.body).into_iter().flat_map(|form| form.fields);
        let field = fields.find(|(field, _)| field == name);
        field.unwrap_or_else(|| panic!("no {name} in {}", self.body)).1
    }

    /// Where the one button of a message leads.
    pub(crate) fn action(&self) -> String {
        let action = pages::link_with_test_id(&self.body, "message-action");
        action.unwrap_or_else(|| panic!("no way on: {}", self.body))
    }
}

/// A browser: it keeps cookies and goes only where it is told.
pub(crate) struct Browser {
    client: Client,
    pub(crate) base: String,
    pub(crate) cookies: HashMap<String, String>,
}

impl Browser {
    pub(crate) fn new(backend: &Backend) -> Self {
        Self { client: client(), base: backend.base_url().to_owned(), cookies: HashMap::new() }
    }

    /// The value of a cookie, whichever port its name says.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let port = self.base.rsplit_once(':')?.1;
        self.cookies.get(&format!("{port}-{name}")).cloned()
    }

    fn absolute(&self, url: &str) -> String {
        if url.starts_with('/') { format!("{}{url}", self.base) } else { url.to_owned() }
    }

    pub(crate) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.client.request(method, self.absolute(url));
        if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) }
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Page {
        let response = soon(request.send()).await.unwrap();
        for line in response.headers().get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = response.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        Page {
            url: response.url().to_string(),
            status: response.status().as_u16(),
            location,
            headers: response.headers().clone(),
            body: soon(response.text()).await.unwrap(),
        }
    }

    pub(crate) async fn get(&mut self, url: &str) -> Page {
        self.send(self.request(Method::GET, url)).await
    }

    pub(crate) async fn post(&mut self, url: &str, fields: &[(&str, &str)]) -> Page {
        self.send(form(self.request(Method::POST, url), fields)).await
    }

    /// Follows redirects as long as they stay on this machine's servers.
    pub(crate) async fn follow(&mut self, mut page: Page) -> Page {
        while let Some(to) = page.location.clone() {
            if to.starts_with(REDIRECT) || !(to.starts_with('/') || to.starts_with("http://127.0.0.1")) {
                break;
            }
            let to = if to.starts_with('/') {
                url::Url::parse(&page.url).unwrap().join(&to).unwrap().to_string()
            } else {
                to
            };
            page = self.get(&to).await;
        }
        page
    }

    pub(crate) async fn open(&mut self, url: &str) -> Page {
        let page = self.get(url).await;
        self.follow(page).await
    }

    /// Fills in the login page that is open.
    pub(crate) async fn sign_in(&mut self, page: &Page, email: &str, password: &str) -> Page {
        let fields = [("csrf", &*page.hidden("csrf")), ("email", email), ("password", password)];
        let page = self.post(&page.url, &fields).await;
        self.follow(page).await
    }

    /// Opens a surface and signs in.
    pub(crate) async fn enter(&mut self, path: &str, email: &str) -> Page {
        let page = self.open(path).await;
        self.sign_in(&page, email, DEMO_PASSWORD).await
    }

    pub(crate) async fn session(&mut self, surface: &str) -> Value {
        let page = self.get(&format!("/app/session?surface={surface}")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        serde_json::from_str(&page.body).unwrap()
    }

    pub(crate) async fn signed_in(&mut self, surface: &str) -> bool {
        self.session(surface).await["signed_in"].as_bool().unwrap()
    }

    pub(crate) async fn sign_out(&mut self, surface: &str) -> Page {
        let csrf = self.session(surface).await["csrf"].as_str().unwrap().to_owned();
        let request = self.request(Method::POST, &format!("/app/sign-out?surface={surface}"));
        self.send(request.header("x-csrf-token", csrf)).await
    }
}

pub(crate) fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// The address that an app opens to sign in.
pub(crate) fn authorize_url(changes: &[(&str, Option<&str>)]) -> String {
    let challenge = challenge(VERIFIER);
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", "hookswitch-mobile"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid"),
        ("state", "the state"),
        ("nonce", "the nonce"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.extend(value.map(|value| (*name, value)));
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("/authorize?{query}")
}

/// The parameters of the way back to the app.
pub(crate) fn returned(page: &Page) -> HashMap<String, String> {
    let to = page.location.as_ref().unwrap_or_else(|| panic!("no redirect: {} {}", page.status, page.body));
    assert!(to.starts_with(REDIRECT), "{to}");
    url::Url::parse(to).unwrap().query_pairs().into_owned().collect()
}

/// A code for a phone.
pub(crate) async fn code(backend: &Backend, email: &str) -> String {
    let mut browser = Browser::new(backend);
    let page = browser.open(&authorize_url(&[])).await;
    let page = browser.sign_in(&page, email, DEMO_PASSWORD).await;
    returned(&page).remove("code").unwrap()
}

pub(crate) async fn token(backend: &Backend, fields: &[(&str, &str)]) -> Response {
    let request = client().post(format!("{}/token", backend.base_url()));
    soon(form(request, fields).send()).await.unwrap()
}

pub(crate) async fn exchange(backend: &Backend, code: &str, verifier: &str) -> Response {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "hookswitch-mobile"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", verifier),
    ];
    token(backend, &fields).await
}

pub(crate) async fn refresh(backend: &Backend, refresh_token: &str) -> Response {
    let fields =
        [("grant_type", "refresh_token"), ("client_id", "hookswitch-mobile"), ("refresh_token", refresh_token)];
    token(backend, &fields).await
}

pub(crate) async fn revoke(backend: &Backend, token: &str) -> Response {
    let request = client().post(format!("{}/revoke", backend.base_url()));
    soon(form(request, &[("client_id", "hookswitch-mobile"), ("token", token)]).send()).await.unwrap()
}

/// `{"error": …}` of the token endpoint.
pub(crate) async fn oauth_error(response: Response) -> String {
    assert!(response.status().is_client_error(), "{}", response.status());
    assert_eq!(response.headers()["cache-control"], "no-store");
    let error: Value = read(response).await;
    error["error"].as_str().unwrap().to_owned()
}

pub(crate) async fn read<T: serde::de::DeserializeOwned>(response: Response) -> T {
    let (path, status) = (response.url().path().to_owned(), response.status().as_u16());
    let media_type = response.headers().get("content-type").map_or(String::new(), |it| it.to_str().unwrap().to_owned());
    let bytes = soon(response.bytes()).await.unwrap();
    contract::described(&path, status, &media_type, &bytes);
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)))
}

pub(crate) async fn problem(response: Response) -> Problem {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{status}");
    let problem: Problem = read(response).await;
    assert_eq!(problem.status, status);
    problem
}

/// A signed-in phone as far as the backend sees it: what it sends over HTTP, without a core.
pub(crate) struct PhoneClient {
    client: Client,
    base: String,
    pub(crate) device: String,
    pub(crate) tokens: TokenAnswer,
}

impl PhoneClient {
    pub(crate) async fn sign_in(backend: &Backend, email: &str) -> Self {
        let answer = exchange(backend, &code(backend, email).await, VERIFIER).await;
        assert_eq!(answer.status(), 200);
        Self::with(backend, read(answer).await)
    }

    pub(crate) fn with(backend: &Backend, tokens: TokenAnswer) -> Self {
        Self { client: client(), base: backend.base_url().to_owned(), device: String::new(), tokens }
    }

    /// Speaks from another address of this machine from now on.
    pub(crate) fn move_to(&mut self, address: [u8; 4]) {
        let address = std::net::IpAddr::from(address);
        let client = nodes::spread(Client::builder()).redirect(Policy::none()).no_proxy().local_address(address);
        self.client = client.build().unwrap();
    }

    /// Signs in and registers.
    pub(crate) async fn ready(backend: &Backend, email: &str, device: &str) -> Self {
        let mut phone = Self::sign_in(backend, email).await;
        phone.register(device, Some(&format!("push-{device}"))).await;
        phone
    }

    pub(crate) async fn register(&mut self, device: &str, push_token: Option<&str>) -> Snapshot {
        self.register_as(device, push_token, &format!("register {device}").replace(' ', "-")).await
    }

    pub(crate) async fn register_as(&mut self, device: &str, push_token: Option<&str>, key: &str) -> Snapshot {
        self.device = device.to_owned();
        let body = json!({ "name": device, "platform": "ios", "app_version": "1", "push_token": push_token });
        read(self.put(&format!("/v1/me/devices/{device}"), &body).header("idempotency-key", key).send().await.unwrap())
            .await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.tokens.access_token)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::PUT, path).header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) async fn state(&self) -> Snapshot {
        read(soon(self.get("/v1/me/state").send()).await.unwrap()).await
    }

    /// A command at the version that is current.
    pub(crate) async fn command(&self, method: Method, path: &str, body: &Value, key: &str) -> Response {
        let version = self.state().await.version;
        let request = self
            .request(method, path)
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .header("if-match", version.etag())
            .body(body.to_string());
        soon(request.send()).await.unwrap()
    }

    pub(crate) async fn set_availability(&self, availability: Value, key: &str) -> Snapshot {
        let body = json!({ "availability": availability });
        read(self.command(Method::PUT, "/v1/me/availability", &body, key).await).await
    }

    pub(crate) async fn forward(&self, number: Option<&str>, key: &str) -> Response {
        self.command(Method::PUT, "/v1/me/forwarding", &json!({ "number": number }), key).await
    }

    pub(crate) async fn stream(&self) -> Events {
        Events::of(soon(self.get("/v1/me/stream").send()).await.unwrap())
    }
}

type Raw = Pin<Box<dyn Stream<Item = Result<Event, EventStreamError<reqwest::Error>>>>>;

/// An open stream.
pub(crate) struct Events {
    inner: Raw,
}

impl Events {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { inner: Box::pin(response.bytes_stream().eventsource()) }
    }

    /// The next event; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<StreamEvent> {
        let event = soon(self.inner.next()).await?.unwrap();
        contract::described_event(&event.event, &event.data);
        let parsed = StreamEvent::parse(&event.event, &event.data).unwrap();
        if let StreamEvent::State(snapshot) = &parsed {
            assert_eq!(event.id, snapshot.version.to_string());
        }
        Some(parsed)
    }

    /// The next state that fits; heartbeats and older states pass by.
    pub(crate) async fn state(&mut self, fits: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let search = async {
            loop {
                match self.next().await.expect("the stream goes on") {
                    StreamEvent::State(snapshot) if fits(&snapshot) => return *snapshot,
                    StreamEvent::State(_) | StreamEvent::Heartbeat(_) => {}
                    StreamEvent::SignedOut(reason) => panic!("signed out: {reason:?}"),
                }
            }
        };
        soon(search).await
    }
}
