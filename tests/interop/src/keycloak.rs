//! Keycloak: started with three realms, and an administrator's hand in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    issuer::{Answer, Issuer},
    report::{ErrorMessage, ensure, text},
    server::{Server, free_port},
};

/// The realms: that of the phones, and the two that it brokers to.
const REALMS: [(&str, &str); 3] = [
    ("hookswitch", include_str!("../realms/hookswitch.json")),
    ("google-like", include_str!("../realms/google-like.json")),
    ("acme-saml", include_str!("../realms/acme-saml.json")),
];
/// The password of everybody in the realms.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// The secret of Tom's second factor: Keycloak takes the text as it is.
const TOTP_SECRET: &str = "the secret of toms second factor";
/// The phone app.
pub(crate) const MOBILE: &str = "hookswitch-mobile";

const ADMIN: &str = "interop";

/// A Keycloak that runs.
pub(crate) struct Keycloak {
    _server: Server,
    http: reqwest::Client,
    base: String,
    admin_password: String,
    /// The realm of the phones.
    pub(crate) issuer: Issuer,
}

impl Keycloak {
    /// Starts the distribution in `home` from nothing; logout tokens go to `listener`.
    pub(crate) async fn start(home: &Path, log: PathBuf, listener: &str) -> Result<Self, ErrorMessage> {
        let (port, management) = (free_port()?, free_port()?);
        let base = format!("http://127.0.0.1:{port}");
        let data = home.join("data");
        // A realm that is there already would not be imported.
        match fs::remove_dir_all(&data) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(text(error)),
            Ok(()) | Err(_) => {}
        }
        let import = data.join("import");
        fs::create_dir_all(&import).map_err(text)?;
        let broker_secret = random()?;
        for (name, realm) in REALMS {
            let realm = realm
                .replace("@BASE@", &base)
                .replace("@LISTENER@", listener)
                .replace("@BROKER_SECRET@", &broker_secret);
            fs::write(import.join(format!("{name}-realm.json")), realm).map_err(text)?;
        }
        let admin_password = random()?;
        let arguments = [
            "bin/kc.sh".to_owned(),
            "start-dev".to_owned(),
            "--http-host=127.0.0.1".to_owned(),
            format!("--http-port={port}"),
            format!("--http-management-port={management}"),
            "--import-realm".to_owned(),
        ];
        let environment = [
            ("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN),
            ("KC_BOOTSTRAP_ADMIN_PASSWORD", admin_password.as_str()),
            // It runs for half a minute: what the best compiler costs would never come back.
            ("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1"),
        ];
        let mut server = Server::start("Keycloak", home, "bash", arguments, &environment, log)?;
        let http = reqwest::Client::builder().no_proxy().build().map_err(text)?;
        let mut found = None;
        let name = format!("{base}/realms/hookswitch");
        server
            .until_ready(async || {
                found = Issuer::find(&http, &name).await;
                found.is_some()
            })
            .await?;
        let issuer = found.ok_or("Keycloak is ready and then is not")?;
        Ok(Self { _server: server, http, base, admin_password, issuer })
    }

    /// Tom's code of this moment.
    pub(crate) fn totp() -> String {
        let secret = totp_rs::Secret::new(TOTP_SECRET.as_bytes().into());
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        totp_rs::Builder::new().with_secret(secret).build_noncompliant().generate(since).to_string()
    }

    /// A request of an administrator; `path` is below the realm of the phones.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, ErrorMessage> {
        // Lives for a minute, so each request asks for one of its own.
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", ADMIN),
            ("password", &self.admin_password),
        ];
        let token = format!("{}/realms/master/protocol/openid-connect/token", self.base);
        let token = Answer::read(self.http.post(token).form(&form).send().await.map_err(text)?).await?;
        let token = token.body.get("access_token").and_then(Value::as_str).ok_or("the administrator got no token")?;
        let address = format!("{}/admin/realms/hookswitch{path}", self.base);
        let mut request = self.http.request(method.clone(), address).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = Answer::read(request.send().await.map_err(text)?).await?;
        ensure((200..300).contains(&answer.status), || format!("{method} {path} as administrator: {answer:?}"))?;
        Ok(answer.body)
    }

    /// The administrator changes something of the realm.
    pub(crate) async fn change_realm(&self, change: Value) -> Result<(), ErrorMessage> {
        self.admin(Method::PUT, "", Some(change)).await.map(|_| ())
    }

    /// The administrator lets a client in only with sender-constrained tokens, or with any again.
    pub(crate) async fn require_dpop(&self, client_id: &str, required: bool) -> Result<(), ErrorMessage> {
        let found = self.admin(Method::GET, &format!("/clients?clientId={client_id}"), None).await?;
        let mut client = found.get(0).cloned().ok_or("no such client")?;
        let id = client.get("id").and_then(Value::as_str).ok_or("a client without an id")?.to_owned();
        if let Some(attributes) = client.get_mut("attributes").and_then(Value::as_object_mut) {
            attributes.insert("dpop.bound.access.tokens".into(), json!(required.to_string()));
        }
        self.admin(Method::PUT, &format!("/clients/{id}"), Some(client)).await.map(|_| ())
    }

    /// The administrator's name for an account.
    pub(crate) async fn user_id(&self, username: &str) -> Result<String, ErrorMessage> {
        let found = self.admin(Method::GET, &format!("/users?exact=true&username={username}"), None).await?;
        let id = found.get(0).and_then(|user| user.get("id")).and_then(Value::as_str);
        id.map(str::to_owned).ok_or_else(|| format!("no user {username}"))
    }

    /// The administrator ends one session.
    pub(crate) async fn end_session(&self, sid: &str) -> Result<(), ErrorMessage> {
        let online = self.admin(Method::DELETE, &format!("/sessions/{sid}"), None).await;
        let offline = self.admin(Method::DELETE, &format!("/sessions/{sid}?isOffline=true"), None).await;
        online.or(offline).map(|_| ())
    }
}

/// The claims of a token, unchecked.
pub(crate) fn claims(token: &str) -> Result<Value, ErrorMessage> {
    let payload = token.split('.').nth(1).ok_or("not a JWT")?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).map_err(text)?).map_err(text)
}

/// Text that nobody can guess.
fn random() -> Result<String, ErrorMessage> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(text)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
