//! A browser without a screen: follows redirects, keeps cookies, fills in forms. For scenarios; the page has a real one.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use hookswitch::wire::{
    Agent, AnswerCall, Availability, CallId, HEADER_CSRF, HEADER_IDEMPOTENCY_KEY, Problem, SetAvailability,
    SetForwarding, Snapshot, UnixMillis,
};
use reqwest::{
    Response, StatusCode,
    cookie::{CookieStore, Jar},
    header,
};
use serde::{Deserialize, Serialize};
use url::Url;

/// How to sign in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// E-mail and password on our own page.
    #[default]
    Password,
    /// "Continue with Google".
    Google,
    /// "Continue with SSO".
    Sso,
}

/// Who signs in, and with what.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The account's e-mail address.
    pub email: String,
    /// The account's password, or the one at the upstream issuer.
    pub password: String,
    /// How the agent signs in: by password, at Google or at the tenant.
    pub method: Method,
    /// What to type when a second factor is asked for.
    pub code: Option<String>,
}

/// Where the browser stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// Asks for e-mail and password; with a complaint, if any.
    SignIn {
        /// What it complains about.
        complaint: Option<String>,
    },
    /// Asks for a TOTP code.
    SecondFactor {
        /// What it complains about.
        complaint: Option<String>,
    },
    /// The upstream issuer's sign-in page.
    Upstream {
        /// What it complains about.
        complaint: Option<String>,
    },
    /// "Get the app": the Dashboard is not for this role.
    GetTheApp,
    /// A surface of the product.
    Surface {
        /// The path of the page where it stopped.
        path: String,
    },
    /// Anything else: a message.
    Message {
        /// The HTTP status of the answer.
        status: u16,
        /// The page's headline.
        text: String,
    },
    /// Outside of the browser: an app's redirect URI.
    App {
        /// The whole address that leads back to the app.
        redirect: String,
    },
}

impl Page {
    /// One word for it, as scenarios say it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SignIn { .. } => "sign_in",
            Self::SecondFactor { .. } => "second_factor",
            Self::Upstream { .. } => "upstream",
            Self::GetTheApp => "get_the_app",
            Self::Surface { .. } => "surface",
            Self::Message { .. } => "message",
            Self::App { .. } => "app",
        }
    }

    /// What the page complains about.
    pub fn complaint(&self) -> Option<String> {
        match self {
            Self::SignIn { complaint } | Self::SecondFactor { complaint } | Self::Upstream { complaint } => {
                complaint.clone()
            }
            Self::Message { status, text } => Some(format!("{status}: {text}")),
            Self::GetTheApp => Some("the Dashboard is not for this role; the phone app is offered".into()),
            Self::Surface { .. } | Self::App { .. } => None,
        }
    }
}

/// What went wrong, as a sentence for a person.
pub type ErrorMessage = String;

/// What `/app/session` says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SessionInfo {
    pub(crate) signed_in: bool,
    pub(crate) agent: Option<Agent>,
    pub(crate) csrf: Option<String>,
}

/// A browser with its cookies.
pub struct Browser {
    client: reqwest::Client,
    cookies: Arc<Jar>,
    base: Url,
    upstream: Url,
}

/// A loaded page: where it is and what is on it.
pub(crate) struct Loaded {
    url: Url,
    status: StatusCode,
    html: String,
}

impl Browser {
    /// A browser without cookies, at these addresses of the backend and of the upstream issuer.
    ///
    /// # Errors
    /// When an address is none.
    pub fn new(base: &str, upstream: &str) -> Result<Self, ErrorMessage> {
        let cookies = Arc::new(Jar::default());
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .cookie_provider(Arc::clone(&cookies))
            .no_proxy()
            .build()
            .map_err(|error| error.to_string())?;
        let parse = |address: &str| Url::parse(address).map_err(|error| format!("{address}: {error}"));
        Ok(Self { client, cookies, base: parse(base)?, upstream: parse(upstream)? })
    }

    /// Opens an address of the backend and goes where it leads.
    ///
    /// # Errors
    /// When the backend does not answer, or leads nowhere.
    pub async fn open(&self, address: &str) -> Result<Page, ErrorMessage> {
        let landed = self.load(address).await?;
        Ok(self.page_of(&landed))
    }

    /// Opens an address and signs in where asked to, until the browser stands elsewhere or a page complains.
    ///
    /// # Errors
    /// When the backend does not answer, or its pages cannot be filled in.
    pub async fn sign_in(&self, address: &str, who: &Credentials) -> Result<Page, ErrorMessage> {
        let landed = self.load(address).await?;
        self.continue_sign_in(landed, who).await
    }

    /// Opens an address and leaves the page as it is.
    pub(crate) async fn load(&self, address: &str) -> Result<Loaded, ErrorMessage> {
        let url = self.base.join(address).map_err(|error| error.to_string())?;
        self.get(url).await
    }

    /// Signs in from a page that is open already.
    pub(crate) async fn continue_sign_in(&self, mut landed: Loaded, who: &Credentials) -> Result<Page, ErrorMessage> {
        // Own page, upstream page, second factor: never more than a few.
        for _ in 0..6 {
            let page = self.page_of(&landed);
            landed = match &page {
                Page::SignIn { complaint: None } => match who.method {
                    Method::Password => {
                        let fields = [("email", who.email.as_str()), ("password", &who.password)];
                        self.submit(&landed, &fields).await?
                    }
                    Method::Google => self.follow_link(&landed, "/login/google").await?,
                    Method::Sso => self.follow_link(&landed, "/login/sso").await?,
                },
                Page::Upstream { complaint: None } => {
                    let fields = [("email", who.email.as_str()), ("password", &who.password)];
                    self.submit(&landed, &fields).await?
                }
                Page::SecondFactor { complaint: None } => match &who.code {
                    Some(code) => self.submit(&landed, &[("code", code)]).await?,
                    None => return Ok(page),
                },
                Page::SignIn { .. }
                | Page::SecondFactor { .. }
                | Page::Upstream { .. }
                | Page::GetTheApp
                | Page::Surface { .. }
                | Page::Message { .. }
                | Page::App { .. } => return Ok(page),
            };
        }
        Err("the sign-in pages go round in circles".into())
    }

    /// The cookies that hold its sessions, each as `name=value`. Secrets.
    pub(crate) fn sessions(&self) -> Vec<String> {
        let all = self.cookies.cookies(&self.base);
        let all = all.as_ref().and_then(|all| all.to_str().ok()).unwrap_or_default();
        let of_session = |pair: &&str| pair.contains("hookswitch_browser=") || pair.contains("hookswitch_desktop=");
        all.split("; ").filter(of_session).map(str::to_owned).collect()
    }

    /// Who is signed in on a surface.
    pub(crate) async fn session(&self, surface: &str) -> Result<SessionInfo, ErrorMessage> {
        let url = self.api("/app/session", surface)?;
        let answer = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        answer.json().await.map_err(|error| error.to_string())
    }

    /// The state that a surface shows; `None` when nobody is signed in there.
    pub(crate) async fn state(&self, surface: &str) -> Result<Option<Snapshot>, ErrorMessage> {
        let url = self.api("/v1/me/state", surface)?;
        let answer = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        if answer.status() == StatusCode::UNAUTHORIZED || answer.status() == StatusCode::FORBIDDEN {
            return Ok(None);
        }
        read(answer).await.map(Some)
    }

    pub(crate) async fn sign_out(&self, surface: &str) -> Result<(), ErrorMessage> {
        let csrf = self.csrf(surface).await?;
        let url = self.api("/app/sign-out", surface)?;
        let answer = self.client.post(url).header(HEADER_CSRF, csrf).send().await.map_err(|error| error.to_string())?;
        if answer.status().is_success() || answer.status().is_redirection() {
            Ok(())
        } else {
            Err(format!("sign-out was answered with {}", answer.status()))
        }
    }

    pub(crate) async fn set_availability(&self, surface: &str, availability: Availability) -> Result<(), ErrorMessage> {
        self.command(surface, "/v1/me/availability", &SetAvailability { availability }).await
    }

    pub(crate) async fn set_forwarding(
        &self,
        surface: &str,
        number: Option<String>,
        until: Option<UnixMillis>,
    ) -> Result<(), ErrorMessage> {
        self.command(surface, "/v1/me/forwarding", &SetForwarding { number, until }).await
    }

    pub(crate) async fn answer(&self, surface: &str, call: &CallId) -> Result<(), ErrorMessage> {
        let body = AnswerCall { device: None };
        self.post(surface, &format!("/v1/me/calls/{call}/answer"), &body).await
    }

    pub(crate) async fn hang_up(&self, surface: &str, call: &CallId) -> Result<(), ErrorMessage> {
        self.post(surface, &format!("/v1/me/calls/{call}/hang-up"), &serde_json::json!({})).await
    }

    /// A command on top of the newest state; as the pages do, once more when there is a newer one by then.
    async fn command(&self, surface: &str, path: &str, body: &impl Serialize) -> Result<(), ErrorMessage> {
        let csrf = self.csrf(surface).await?;
        let mut tries = 0..5;
        loop {
            let state = self.state(surface).await?.ok_or("nobody is signed in there")?;
            let request = self
                .client
                .put(self.api(path, surface)?)
                .header(HEADER_CSRF, &csrf)
                .header(HEADER_IDEMPOTENCY_KEY, Self::key())
                .header(header::IF_MATCH, state.version.etag())
                .json(body);
            let answer = request.send().await.map_err(|error| error.to_string())?;
            if answer.status() != StatusCode::PRECONDITION_FAILED || tries.next().is_none() {
                return read::<Snapshot>(answer).await.map(|_| ());
            }
        }
    }

    async fn post(&self, surface: &str, path: &str, body: &impl Serialize) -> Result<(), ErrorMessage> {
        let csrf = self.csrf(surface).await?;
        let request = self
            .client
            .post(self.api(path, surface)?)
            .header(HEADER_CSRF, csrf)
            .header(HEADER_IDEMPOTENCY_KEY, Self::key())
            .json(body);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        read::<Snapshot>(answer).await.map(|_| ())
    }

    /// A name that no other command has.
    fn key() -> String {
        static COMMANDS: AtomicU64 = AtomicU64::new(1);
        format!("browser-{}", COMMANDS.fetch_add(1, Ordering::Relaxed))
    }

    async fn csrf(&self, surface: &str) -> Result<String, ErrorMessage> {
        self.session(surface).await?.csrf.ok_or_else(|| "nobody is signed in there".to_owned())
    }

    fn api(&self, path: &str, surface: &str) -> Result<Url, ErrorMessage> {
        let mut url = self.base.join(path).map_err(|error| error.to_string())?;
        url.query_pairs_mut().append_pair("surface", surface);
        Ok(url)
    }

    async fn get(&self, url: Url) -> Result<Loaded, ErrorMessage> {
        let answer = self.client.get(url.clone()).send().await.map_err(|error| error.to_string())?;
        self.land(url, answer).await
    }

    /// Follows redirects within the backend and the upstream issuer; any other address is an app's.
    async fn land(&self, mut url: Url, mut answer: Response) -> Result<Loaded, ErrorMessage> {
        for _ in 0..20 {
            if !answer.status().is_redirection() {
                let status = answer.status();
                let html = answer.text().await.map_err(|error| error.to_string())?;
                return Ok(Loaded { url, status, html });
            }
            let location = answer
                .headers()
                .get(header::LOCATION)
                .and_then(|location| location.to_str().ok())
                .ok_or("a redirect without a location")?;
            let next = url.join(location).map_err(|error| format!("a redirect to {location}: {error}"))?;
            if next.origin() != self.base.origin() && next.origin() != self.upstream.origin() {
                return Ok(Loaded { url: next, status: StatusCode::FOUND, html: String::new() });
            }
            answer = self.client.get(next.clone()).send().await.map_err(|error| error.to_string())?;
            url = next;
        }
        Err("the redirects go round in circles".into())
    }

    async fn submit(&self, page: &Loaded, fields: &[(&str, &str)]) -> Result<Loaded, ErrorMessage> {
        let form = pages::forms(&page.html).into_iter().next().ok_or("the page has no form")?;
        let url = if form.action.is_empty() { Ok(page.url.clone()) } else { page.url.join(&form.action) };
        let url = url.map_err(|error| error.to_string())?;
        let mut all = form.fields;
        all.retain(|(name, _)| !fields.iter().any(|(filled, _)| filled == name));
        all.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let answer = self
            .client
            .post(url.clone())
            .header(header::ORIGIN, url.origin().ascii_serialization())
            .form(&all)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        self.land(url, answer).await
    }

    async fn follow_link(&self, page: &Loaded, path: &str) -> Result<Loaded, ErrorMessage> {
        let href = pages::link_to(&page.html, path).ok_or_else(|| format!("the page has no link to {path}"))?;
        let url = page.url.join(&href).map_err(|error| error.to_string())?;
        self.get(url).await
    }

    fn page_of(&self, loaded: &Loaded) -> Page {
        if loaded.url.origin() != self.base.origin() && loaded.url.origin() != self.upstream.origin() {
            return Page::App { redirect: loaded.url.to_string() };
        }
        let complaint = pages::alert(&loaded.html);
        let parts = pages::test_ids(&loaded.html);
        let has = |marker: &str| parts.iter().any(|part| part == marker);
        if has("login-page") {
            Page::SignIn { complaint }
        } else if has("totp-page") {
            Page::SecondFactor { complaint }
        } else if has("upstream-page") {
            Page::Upstream { complaint }
        } else if has("get-the-app-page") {
            Page::GetTheApp
        } else if has("surface") {
            Page::Surface { path: loaded.url.path().to_owned() }
        } else {
            let text = pages::headline(&loaded.html).unwrap_or_else(|| "a page without a title".into());
            Page::Message { status: loaded.status.as_u16(), text }
        }
    }
}

async fn read<T: serde::de::DeserializeOwned>(answer: Response) -> Result<T, ErrorMessage> {
    let status = answer.status();
    let body = answer.bytes().await.map_err(|error| error.to_string())?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| error.to_string());
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) => Err(problem.detail.unwrap_or(problem.title)),
        Err(_) => Err(format!("the server answered {status}")),
    }
}
