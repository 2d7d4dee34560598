//! What is wrong on purpose or by accident, on the way in: refused in words, and nothing is lost.

use hookswitch_backend::{Backend, Config, DEMO_PASSWORD};
use reqwest::{Method, Response};
use serde_json::json;

use super::{nodes::Running, support::*};

const KEY: &str = "the key of the operator";

/// Endpoints of the operator that take JSON.
const OPERATOR: [&str; 9] = [
    "/operator/agents",
    "/operator/calls",
    "/operator/old-server",
    "/operator/expire-access-tokens",
    "/operator/revoke-sessions",
    "/operator/clock",
    "/operator/faults",
    "/operator/logout-clients",
    "/operator/upstream/sign-out",
];

async fn with_operator() -> Running {
    backend_with(Config { operator_key: Some(KEY.into()), ..config() }).await
}

async fn operator(backend: &Backend, path: &str, media_type: &str, body: impl Into<reqwest::Body>) -> Response {
    let browser = Browser::new(backend);
    let request = browser.request(Method::POST, path).bearer_auth(KEY).header("content-type", media_type);
    soon(request.body(body).send()).await.unwrap()
}

#[tokio::test]
async fn the_operator_too_is_told_what_is_wrong_with_a_body() {
    let backend = with_operator().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let before = phone.state().await;
    for path in OPERATOR {
        for body in ["", "{", "null", "[]", "{\"email\":7}", "{} {}", "\u{0}"] {
            let refused = problem(operator(&backend, path, "application/json", body).await).await;
            assert_eq!((refused.status, refused.code.as_str()), (400, "malformed"), "{path} {body}");
        }
        let refused = problem(operator(&backend, path, "text/plain", "{}").await).await;
        assert_eq!(refused.status, 415, "{path}");
        let refused = problem(operator(&backend, path, "application/json", "a".repeat(70_000)).await).await;
        assert_eq!(refused.status, 413, "{path}");
    }
    assert_eq!(phone.state().await, before, "nothing has changed");
}

#[tokio::test]
async fn the_operators_door_opens_to_the_key_only() {
    let backend = with_operator().await;
    let browser = Browser::new(&backend);
    for path in OPERATOR {
        for key in ["", "another key of some operator", &KEY[1..]] {
            let request =
                browser.request(Method::POST, path).bearer_auth(key).header("content-type", "application/json");
            assert_eq!(problem(request.body("{}").send().await.unwrap()).await.status, 401, "{path} {key}");
        }
    }
    let closed = backend_with(config()).await;
    assert_eq!(problem(operator(&closed, OPERATOR[0], "application/json", "{}").await).await.status, 404);
}

#[tokio::test]
async fn an_app_is_sent_back_exactly_where_it_registered_and_to_any_port_of_loopback() {
    let backend = backend().await;
    for good in
        ["http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "http://127.0.0.1/callback", REDIRECT]
    {
        let mut browser = Browser::new(&backend);
        let page = browser.open(&authorize_url(&[("redirect_uri", Some(good))])).await;
        let csrf = page.hidden("csrf");
        let fields = [("csrf", &*csrf), ("email", ALICE), ("password", DEMO_PASSWORD)];
        let to = browser.post(&page.url, &fields).await.location.unwrap();
        assert!(to.starts_with(&format!("{good}?code=")), "{to}");
    }
    let mut browser = Browser::new(&backend);
    for bad in [
        "http://127.0.0.1:1/callback/",
        "http://127.0.0.1:1/callback?a=b",
        "http://127.0.0.1:1/Callback",
        "http://127.0.0.1:65536/callback",
        "http://localhost:1/callback",
        "http://[::1]:1/callback",
        "https://127.0.0.1:1/callback",
        "https://app.hookswitch.dev:443/callback",
        "https://app.hookswitch.dev/callback#fragment",
        "dev.hookswitch.agent:/callback/more",
        "DEV.hookswitch.agent:/callback",
        "//127.0.0.1/callback",
    ] {
        let page = browser.get(&authorize_url(&[("redirect_uri", Some(bad))])).await;
        assert_eq!((page.status, page.location), (400, None), "{bad}");
    }
}

#[tokio::test]
async fn the_revocation_endpoint_refuses_what_is_malformed_and_revokes_nothing() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let good = phone.tokens.refresh_token.clone().unwrap();
    let browser = Browser::new(&backend);
    let post = || browser.request(Method::POST, "/revoke");
    let table: [(&[(&str, &str)], &str); 4] = [
        (&[], "invalid_request"),
        (&[("token", &good)], "invalid_request"),
        (&[("token", &good), ("client_id", "another")], "invalid_client"),
        (&[("token", &good), ("token", &good), ("client_id", "hookswitch-mobile")], "invalid_request"),
    ];
    for (fields, error) in table {
        assert_eq!(oauth_error(form(post(), fields).send().await.unwrap()).await, error, "{error}");
    }
    let as_json = json!({ "token": good, "client_id": "hookswitch-mobile" }).to_string();
    let as_json = post().header("content-type", "application/json").body(as_json);
    assert_eq!(oauth_error(as_json.send().await.unwrap()).await, "invalid_request");
    assert_eq!(post().body("a".repeat(70_000)).send().await.unwrap().status(), 413);
    phone.state().await;
    assert_eq!(refresh(&backend, &good).await.status(), 200, "the session lives on");
}

#[tokio::test]
async fn a_huge_form_is_refused_and_the_page_still_works() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.open("/app/web").await;
    let huge = "a".repeat(70_000);
    for path in [&*page.url, "/authorize"] {
        let refused = browser.post(path, &[("csrf", &page.hidden("csrf")), ("email", &huge)]).await;
        assert_eq!(refused.status, 413, "{path}");
    }
    assert_eq!(browser.sign_in(&page, ALICE, DEMO_PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_page_for_the_second_factor_expires_and_works_once() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.enter("/app/dashboard", OLIVIA).await;
    let csrf = page.hidden("csrf");
    backend.operator().clock().jump(10 * 60_000);
    let code = backend.operator().totp_code(OLIVIA).unwrap();
    let late = browser.post(&page.url, &[("csrf", &csrf), ("code", &code)]).await;
    assert_eq!(late.status, 410);
    assert_eq!(browser.session("dashboard").await["second_factor"], "needed");

    let page = browser.open(&late.action()).await;
    let csrf = page.hidden("csrf");
    let forged = browser.post(&page.url, &[("csrf", "forged"), ("code", &code)]).await;
    assert_eq!(forged.status, 403);
    assert_eq!(browser.post(&page.url, &[("csrf", &csrf), ("code", &code)]).await.status, 303);
    let replayed = browser.post(&page.url, &[("csrf", &csrf), ("code", &code)]).await;
    assert_eq!(replayed.status, 410);
    assert!(browser.open(&replayed.action()).await.url.ends_with("/app/dashboard"));
}

#[tokio::test]
async fn an_answer_from_upstream_that_comes_late_signs_nobody_in() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.open("/app/web").await;
    let tx = page.url.split("tx=").nth(1).unwrap().to_owned();
    let upstream = browser.open(&format!("/login/google?tx={tx}")).await;
    let fields = [
        ("csrf", &*upstream.hidden("csrf")),
        ("tx", &*upstream.hidden("tx")),
        ("email", ALICE),
        ("password", DEMO_PASSWORD),
    ];
    let back = browser.post(&upstream.url, &fields).await.location.unwrap();
    backend.operator().clock().jump(10 * 60_000);
    let late = browser.get(&back).await;
    assert_eq!(late.status, 410);
    assert!(!browser.signed_in("web").await);
    assert!(browser.open(&late.action()).await.body.contains("login-page"));
}
