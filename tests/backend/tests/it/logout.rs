//! Sign-outs that travel between issuers (OpenID Connect Back-Channel Logout 1.0), and "sign out everywhere".

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hookswitch_backend::{Backend, Config, DEMO_PASSWORD, Database, LogoutClient};
use hookswitch_wire::{SignedOutReason, StreamEvent, TokenAnswer, stream::SignedOut};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::support::*;

const TYPE: &str = "logout+jwt";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A service that relies on us and wants to hear of sign-outs.
struct Listener {
    client: LogoutClient,
    answer: Arc<AtomicU16>,
    heard: UnboundedReceiver<String>,
}

type Ear = (UnboundedSender<String>, Arc<AtomicU16>);

async fn hear(State((ear, answer)): State<Ear>, body: String) -> StatusCode {
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    assert_eq!(fields.len(), 1);
    assert_eq!(fields[0].0, "logout_token");
    ear.send(fields[0].1.clone()).unwrap();
    StatusCode::from_u16(answer.load(Ordering::Relaxed)).unwrap()
}

impl Listener {
    async fn start(client_id: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backchannel_logout_uri = format!("http://{}/logout", listener.local_addr().unwrap());
        let (ear, heard) = unbounded_channel();
        let answer = Arc::new(AtomicU16::new(200));
        let router = Router::new().route("/logout", post(hear)).with_state((ear, Arc::clone(&answer)));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let client = LogoutClient { client_id: client_id.to_owned(), backchannel_logout_uri };
        Self { client, answer, heard }
    }

    async fn token(&mut self) -> String {
        soon(self.heard.recv()).await.unwrap()
    }

    /// The claims of the next token, once everything about it is checked.
    async fn claims(&mut self, backend: &Backend) -> Value {
        let token = self.token().await;
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!(header.typ.as_deref(), Some(TYPE));
        let jwks = Browser::new(backend).get("/jwks").await.body;
        let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&jwks).unwrap();
        let key = jsonwebtoken::DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
        validation.set_audience(&[&self.client.client_id]);
        validation.set_issuer(&[backend.base_url()]);
        validation.validate_exp = false;
        let claims: Value = jsonwebtoken::decode(&token, &key, &validation).unwrap().claims;
        assert_eq!(claims["events"], json!({ EVENT: {} }));
        assert!(claims.get("nonce").is_none() && claims["jti"].as_str().is_some_and(|jti| jti.len() >= 22));
        let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert!(iat <= backend.operator().clock().now() / 1_000 && exp - iat == 120);
        claims
    }

    fn heard_nothing(&mut self) {
        assert!(self.heard.try_recv().is_err());
    }
}

fn payload(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_client_is_told_of_each_session_that_ends_by_its_name() {
    let backend = backend().await;
    let mut crm = Listener::start("crm").await;
    backend.operator().register_logout_client(crm.client.clone()).unwrap();
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let id_token = payload(phone.tokens.id_token.as_deref().unwrap());
    revoke(&backend, phone.tokens.refresh_token.as_deref().unwrap()).await;
    let claims = crm.claims(&backend).await;
    assert_eq!((&claims["sub"], &claims["sid"]), (&id_token["sub"], &id_token["sid"]));
    assert_eq!(claims["aud"], "crm");
    crm.heard_nothing();
}

#[tokio::test]
async fn signing_out_everywhere_is_told_to_all_streams_and_all_clients() {
    let mut crm = Listener::start("crm").await;
    let mut desk = Listener::start("desk").await;
    let logout_clients = vec![crm.client.clone(), desk.client.clone()];
    let backend = backend_with(Config { logout_clients, ..config() }).await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ALICE).await;
    browser.enter("/app/desktop", ALICE).await;
    let mut streams = vec![phone.stream().await];
    for surface in ["web", "cti-zendesk", "desktop"] {
        let request = browser.request(Method::GET, &format!("/v1/me/stream?surface={surface}"));
        streams.push(Events::of(soon(request.send()).await.unwrap()));
    }
    for events in &mut streams {
        events.state(|_| true).await;
    }
    let mut expected: Vec<String> =
        backend.operator().sessions(ALICE).unwrap().into_iter().map(|session| session.id).collect();
    assert_eq!(expected.len(), 3);
    let other = PhoneClient::sign_in(&backend, ADAM).await;

    // From a page, with its CSRF token; without it, nothing happens.
    let everywhere = |csrf: &str| {
        browser
            .request(Method::POST, "/v1/me/sign-out-everywhere?surface=desktop")
            .header("idempotency-key", "all")
            .header("x-csrf-token", csrf)
            .send()
    };
    assert_eq!(problem(everywhere("forged").await.unwrap()).await.code, "csrf");
    phone.state().await;
    let mut asking = Browser::new(&backend);
    asking.cookies = browser.cookies.clone();
    let csrf = asking.session("desktop").await["csrf"].as_str().unwrap().to_owned();
    assert_eq!(everywhere(&csrf).await.unwrap().status(), 204);
    assert_eq!(problem(everywhere(&csrf).await.unwrap()).await.status, 401, "repeated");

    let reason = SignedOutReason::SignedOutElsewhere;
    for events in &mut streams {
        let last = loop {
            match events.next().await {
                Some(StreamEvent::State(_)) => {}
                other => break other,
            }
        };
        assert_eq!(last, Some(StreamEvent::SignedOut(SignedOut { reason })));
        assert_eq!(events.next().await, None);
    }
    expected.sort();
    for listener in [&mut crm, &mut desk] {
        let mut told = Vec::new();
        for _ in 0..3 {
            told.push(listener.claims(&backend).await["sid"].as_str().unwrap().to_owned());
        }
        told.sort();
        assert_eq!(told, expected);
        listener.heard_nothing();
    }
    assert_eq!(
        oauth_error(refresh(&backend, phone.tokens.refresh_token.as_deref().unwrap()).await).await,
        "invalid_grant"
    );
    assert!(backend.operator().snapshot(ALICE).unwrap().devices.is_empty(), "no device gets a push any more");
    other.state().await;
}

#[tokio::test]
async fn who_cannot_be_reached_is_told_again_and_who_refuses_is_not() {
    let backend = backend().await;
    let (mut down, mut sulky) = (Listener::start("down").await, Listener::start("sulky").await);
    down.answer.store(503, Ordering::Relaxed);
    sulky.answer.store(400, Ordering::Relaxed);
    for listener in [&down, &sulky] {
        backend.operator().register_logout_client(listener.client.clone()).unwrap();
    }
    PhoneClient::sign_in(&backend, ALICE).await;
    backend.operator().revoke_sessions(ALICE, SignedOutReason::Revoked).unwrap();
    sulky.claims(&backend).await;
    let first = down.claims(&backend).await;
    backend.operator().clock().jump(1_000);
    let second = down.claims(&backend).await;
    assert_eq!(first["sid"], second["sid"]);
    assert_ne!(first["jti"], second["jti"], "no replay, but a token of its own");
    down.answer.store(204, Ordering::Relaxed);
    backend.operator().clock().jump(2_000);
    down.claims(&backend).await;
    // Another sign-out is heard next: nothing of the first is repeated to either.
    backend.operator().clock().jump(3_600_000);
    PhoneClient::sign_in(&backend, ADAM).await;
    backend.operator().revoke_sessions(ADAM, SignedOutReason::Revoked).unwrap();
    let adam = backend.operator().account(ADAM).unwrap();
    for listener in [&mut down, &mut sulky] {
        assert_eq!(listener.claims(&backend).await["sub"], adam.as_str());
        listener.heard_nothing();
    }
}

#[tokio::test]
async fn a_sign_out_that_was_not_told_yet_is_told_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::File(folder.path().join("backend.db"));
    let mut crm = Listener::start("crm").await;
    crm.answer.store(503, Ordering::Relaxed);
    let logout_clients = vec![crm.client.clone()];
    let first = backend_with(Config { database: database.clone(), logout_clients, ..config() }).await;
    PhoneClient::sign_in(&first, ALICE).await;
    first.operator().revoke_sessions(ALICE, SignedOutReason::Revoked).unwrap();
    let lost = crm.claims(&first).await;
    first.stop().await;
    crm.answer.store(200, Ordering::Relaxed);
    let second = Backend::start(Config { database, ..config() }).await.unwrap();

    let told = crm.claims(&second).await;
    assert_eq!(told["sid"], lost["sid"]);
}

#[tokio::test]
async fn logout_tokens_go_only_where_nobody_can_listen() {
    let backend = backend().await;
    for bad in ["http://crm.example/logout", "crm.example", "https://crm.example/#x"] {
        let client = LogoutClient { client_id: "crm".to_owned(), backchannel_logout_uri: bad.to_owned() };
        assert!(backend.operator().register_logout_client(client.clone()).is_err(), "{bad}");
        let config = Config { logout_clients: vec![client], ..config() };
        assert!(Backend::start(config).await.is_err(), "{bad}");
    }
    assert_eq!(backend.operator().logout_clients(), []);
}

async fn through(browser: &mut Browser, start: &str, provider: &str, email: &str) -> Page {
    let page = browser.open(start).await;
    let tx = page.url.split("tx=").nth(1).unwrap().to_owned();
    let page = browser.open(&format!("/login/{provider}?tx={tx}")).await;
    let fields =
        [("csrf", &*page.hidden("csrf")), ("tx", &*page.hidden("tx")), ("email", email), ("password", DEMO_PASSWORD)];
    let page = browser.post(&page.url, &fields).await;
    browser.follow(page).await
}

async fn phone_through(backend: &Backend, provider: &str, email: &str) -> PhoneClient {
    let mut browser = Browser::new(backend);
    let page = through(&mut browser, &authorize_url(&[]), provider, email).await;
    let answer = exchange(backend, &returned(&page)["code"], VERIFIER).await;
    PhoneClient::with(backend, read::<TokenAnswer>(answer).await)
}

#[tokio::test]
async fn who_signs_out_upstream_is_signed_out_of_all_that_came_of_it_and_of_nothing_else() {
    let backend = backend().await;
    let mut crm = Listener::start("crm").await;
    backend.operator().register_logout_client(crm.client.clone()).unwrap();
    let google = phone_through(&backend, "google", ALICE).await;
    let mut events = google.stream().await;
    events.state(|_| true).await;
    let sso = phone_through(&backend, "sso", ALICE).await;
    let password = PhoneClient::sign_in(&backend, ALICE).await;
    let sam = phone_through(&backend, "google", SAM).await;
    let mut browser = Browser::new(&backend);
    through(&mut browser, "/app/web", "google", ALICE).await;
    assert!(browser.signed_in("web").await);

    assert_eq!(backend.operator().sign_out_upstream("google", ALICE).unwrap(), 2);
    let last = loop {
        match events.next().await {
            Some(StreamEvent::State(_)) => {}
            other => break other,
        }
    };
    let reason = SignedOutReason::SignedOutElsewhere;
    assert_eq!(last, Some(StreamEvent::SignedOut(SignedOut { reason })));
    // Who relies on us hears of both, so both are over.
    crm.claims(&backend).await;
    crm.claims(&backend).await;
    assert!(!browser.signed_in("web").await);
    assert_eq!(google.get("/v1/me/state").send().await.unwrap().status(), 401);
    for phone in [&sso, &password, &sam] {
        phone.state().await;
    }
    assert_eq!(backend.operator().sign_out_upstream("google", ALICE).unwrap(), 0, "nobody is left there");
    assert!(backend.operator().sign_out_upstream("nowhere", ALICE).is_err());
}

async fn send(backend: &Backend, provider: &str, token: &str) -> Response {
    let request = Browser::new(backend).request(Method::POST, &format!("/backchannel-logout/{provider}"));
    soon(form(request, &[("logout_token", token)]).send()).await.unwrap()
}

/// What Google would say, were it to end this session.
fn said(backend: &Backend, changes: &Value) -> Value {
    let now = backend.operator().clock().now() / 1_000;
    let mut claims = json!({
        "iss": format!("{}/google", backend.upstream_url()),
        "aud": "hookswitch",
        "iat": now,
        "exp": now + 120,
        "jti": format!("jti {}", changes),
        "events": { EVENT: {} },
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// The subject by which Google knows somebody, out of a logout token for them that goes astray.
async fn google_subject(backend: &Backend, email: &str) -> String {
    let mut browser = Browser::new(backend);
    let page = browser.open("/app/web").await;
    let tx = page.url.split("tx=").nth(1).unwrap().to_owned();
    let start = browser.get(&format!("/login/google?tx={tx}")).await.location.unwrap();
    // The same issuer, asked by us directly with a verifier of our own.
    let mut url = url::Url::parse(&start).unwrap();
    let changed: Vec<(String, String)> = url
        .query_pairs()
        .into_owned()
        .map(|(name, value)| if name == "code_challenge" { (name, challenge(VERIFIER)) } else { (name, value) })
        .collect();
    url.query_pairs_mut().clear().extend_pairs(changed);
    let page = browser.open(url.as_str()).await;
    let fields =
        [("csrf", &*page.hidden("csrf")), ("tx", &*page.hidden("tx")), ("email", email), ("password", DEMO_PASSWORD)];
    let back = browser.post(&page.url, &fields).await.location.unwrap();
    let back = url::Url::parse(&back).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let request = browser.request(Method::POST, &format!("{}/google/token", backend.upstream_url()));
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "hookswitch"),
        ("code", &*code),
        ("redirect_uri", &*format!("{}/login/google/callback", backend.base_url())),
        ("code_verifier", VERIFIER),
    ];
    let answer: TokenAnswer = read(form(request, &fields).send().await.unwrap()).await;
    payload(&answer.id_token.unwrap())["sub"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_logout_token_that_is_forged_expired_or_something_else_signs_nobody_out() {
    let backend = backend().await;
    let operator = backend.operator();
    let phone = phone_through(&backend, "google", ALICE).await;
    let sub = google_subject(&backend, ALICE).await;
    let sign = |typ: &str, changes: Value| operator.sign_as_upstream(typ, &said(&backend, &changes)).unwrap();
    let now = operator.clock().now() / 1_000;
    let good = sign(TYPE, json!({ "sub": sub }));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let unsigned = |alg: &str| {
        let header = json!({ "alg": alg, "typ": TYPE, "kid": jsonwebtoken::decode_header(&good).unwrap().kid });
        let body = head.split_once('.').unwrap().1;
        format!("{}.{body}.", URL_SAFE_NO_PAD.encode(header.to_string()))
    };
    let other_body = sign(TYPE, json!({ "sub": "somebody" }));
    let other_body = other_body.rsplit_once('.').unwrap().0;
    let bad = [
        ("another signature", format!("{other_body}.{signature}")),
        ("no signature", format!("{head}.")),
        ("alg none", unsigned("none")),
        ("alg HS256", unsigned("HS256")),
        ("expired", sign(TYPE, json!({ "sub": sub, "iat": now - 200, "exp": now - 80 }))),
        ("of tomorrow", sign(TYPE, json!({ "sub": sub, "iat": now + 86_400, "exp": now + 86_520 }))),
        ("a nonce", sign(TYPE, json!({ "sub": sub, "nonce": "n" }))),
        ("no event", sign(TYPE, json!({ "sub": sub, "events": {} }))),
        ("nobody", sign(TYPE, json!({}))),
        ("another audience", sign(TYPE, json!({ "sub": sub, "aud": "another" }))),
        ("our own issuer", sign(TYPE, json!({ "sub": sub, "iss": backend.base_url() }))),
        ("another tenant", sign(TYPE, json!({ "sub": sub, "iss": format!("{}/acme", backend.upstream_url()) }))),
        ("no name", sign(TYPE, json!({ "sub": sub, "jti": "" }))),
        ("an ID token", sign("JWT", json!({ "sub": sub }))),
        ("no token", "no.token.atall".to_owned()),
        ("an ID token of ours", phone.tokens.id_token.clone().unwrap()),
    ];
    for (what, token) in bad {
        assert_eq!(oauth_error(send(&backend, "google", &token).await).await, "invalid_request", "{what}");
        phone.state().await;
    }
    // Google's word at the door of the SSO.
    assert_eq!(oauth_error(send(&backend, "sso", &good).await).await, "invalid_request");
    assert_eq!(send(&backend, "nobody", &good).await.status(), 404);
    let browser = Browser::new(&backend);
    let path = "/backchannel-logout/google";
    let as_json = browser.request(Method::POST, path).header("content-type", "application/json");
    let as_json = as_json.body(json!({ "logout_token": good }).to_string());
    assert_eq!(oauth_error(as_json.send().await.unwrap()).await, "invalid_request");
    let twice = form(browser.request(Method::POST, path), &[("logout_token", &good), ("logout_token", &good)]);
    assert_eq!(oauth_error(twice.send().await.unwrap()).await, "invalid_request");
    assert_eq!(browser.request(Method::POST, path).body("a".repeat(70_000)).send().await.unwrap().status(), 413);
    phone.state().await;

    let accepted = send(&backend, "google", &good).await;
    assert_eq!((accepted.status().as_u16(), accepted.headers()["cache-control"].to_str().unwrap()), (200, "no-store"));
    assert_eq!(phone.get("/v1/me/state").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_logout_token_works_once() {
    let backend = backend().await;
    let sub = google_subject(&backend, ALICE).await;
    let token = backend.operator().sign_as_upstream(TYPE, &said(&backend, &json!({ "sub": sub }))).unwrap();
    assert_eq!(send(&backend, "google", &token).await.status(), 200, "nobody was signed in: that is done, too");
    let phone = phone_through(&backend, "google", ALICE).await;
    assert_eq!(oauth_error(send(&backend, "google", &token).await).await, "invalid_request");
    phone.state().await;
    backend.operator().clock().jump(119_000);
    assert_eq!(oauth_error(send(&backend, "google", &token).await).await, "invalid_request");
    backend.operator().clock().jump(2_000);
    assert_eq!(oauth_error(send(&backend, "google", &token).await).await, "invalid_request", "expired by now");
    phone.state().await;
}

#[tokio::test]
async fn a_logout_token_for_one_session_leaves_the_persons_others() {
    let backend = backend().await;
    let operator = backend.operator();
    let sub = google_subject(&backend, ALICE).await;
    let phone = phone_through(&backend, "google", ALICE).await;
    for (n, changes) in
        [json!({ "sid": "another" }), json!({ "sub": sub, "sid": "another" }), json!({ "sub": "another" })]
            .into_iter()
            .enumerate()
    {
        let token = operator.sign_as_upstream(TYPE, &said(&backend, &changes)).unwrap();
        assert_eq!(send(&backend, "google", &token).await.status(), 200, "{n}");
        phone.state().await;
    }
}

#[tokio::test]
async fn a_code_that_waits_is_worth_nothing_after_a_sign_out_upstream() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = through(&mut browser, &authorize_url(&[]), "google", ALICE).await;
    let sub = google_subject(&backend, ALICE).await;
    let token = backend.operator().sign_as_upstream(TYPE, &said(&backend, &json!({ "sub": sub }))).unwrap();
    assert_eq!(send(&backend, "google", &token).await.status(), 200);
    assert_eq!(oauth_error(exchange(&backend, &returned(&page)["code"], VERIFIER).await).await, "invalid_grant");
    // Other people's codes, and those of a password, are as good as before.
    assert_eq!(exchange(&backend, &code(&backend, ALICE).await, VERIFIER).await.status(), 200);
}

#[tokio::test]
async fn the_operator_registers_clients_and_signs_people_out_upstream_over_http() {
    const KEY: &str = "the key of the operator";
    let backend = backend_with(Config { operator_key: Some(KEY.into()), ..config() }).await;
    let mut crm = Listener::start("crm").await;
    let browser = Browser::new(&backend);
    let operator = |path: &str, body: Value| {
        let request = browser.request(Method::POST, path).bearer_auth(KEY).header("content-type", "application/json");
        request.body(body.to_string()).send()
    };
    let path = "/operator/logout-clients";
    let bad = json!({ "client_id": "crm", "backchannel_logout_uri": "http://crm.example" });
    assert_eq!(problem(operator(path, bad).await.unwrap()).await.field.as_deref(), Some("backchannel_logout_uri"));
    let client = serde_json::to_value(&crm.client).unwrap();
    for _ in 0..2 {
        assert_eq!(operator(path, client.clone()).await.unwrap().status(), 204);
    }
    let listed = browser.request(Method::GET, path).bearer_auth(KEY).send().await.unwrap();
    assert_eq!(read::<Value>(listed).await, json!([client]));
    phone_through(&backend, "google", SAM).await;
    let path = "/operator/upstream/sign-out";
    let answer = operator(path, json!({ "tenant": "google", "email": SAM })).await.unwrap();
    assert_eq!(read::<Value>(answer).await, json!({ "sessions": 1 }));
    crm.claims(&backend).await;
    let unknown = operator(path, json!({ "tenant": "x", "email": SAM })).await.unwrap();
    assert_eq!(problem(unknown).await.field.as_deref(), Some("tenant"));
}
