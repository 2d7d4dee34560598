use hookswitch_backend::{Backend, Config, DEMO_PASSWORD};
use hookswitch_wire::Effective;
use reqwest::Method;
use serde_json::json;

use super::support::*;

const BROWSER_SURFACES: [&str; 5] = ["web", "dashboard", "cti-zendesk", "cti-salesforce", "cti-hubspot"];

#[tokio::test]
async fn one_sign_in_opens_all_surfaces_of_a_browser_but_not_the_desktop() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.enter("/app/cti/zendesk", ADAM).await;
    assert!(page.url.ends_with("/app/cti/zendesk"));
    assert!(page.body.contains("data-surface=\"cti-zendesk\""));
    for path in ["/app/web", "/app/dashboard", "/app/cti/salesforce", "/app/cti/hubspot"] {
        let page = browser.open(path).await;
        assert!(page.status == 200 && page.url.ends_with(path), "{path}: {}", page.url);
    }
    for surface in BROWSER_SURFACES {
        assert!(browser.signed_in(surface).await, "{surface}");
    }
    assert!(!browser.signed_in("desktop").await);
    assert!(browser.open("/app/desktop").await.url.contains("/login?tx="));
}

#[tokio::test]
async fn signing_out_of_one_browser_surface_signs_out_of_all_and_of_nothing_else() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ADAM).await;
    browser.enter("/app/desktop", ADAM).await;
    let mut elsewhere = Browser::new(&backend);
    elsewhere.enter("/app/web", ADAM).await;
    let phone = PhoneClient::sign_in(&backend, ADAM).await;

    assert_eq!(browser.sign_out("cti-hubspot").await.status, 204);
    for surface in BROWSER_SURFACES {
        assert!(!browser.signed_in(surface).await, "{surface}");
    }
    assert!(browser.signed_in("desktop").await);
    assert!(elsewhere.signed_in("web").await);
    phone.state().await;

    assert_eq!(browser.sign_out("desktop").await.status, 204);
    assert!(!browser.signed_in("desktop").await);
    assert!(elsewhere.signed_in("web").await);
    phone.state().await;
}

#[tokio::test]
async fn signing_out_of_the_desktop_leaves_the_browser() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ADAM).await;
    browser.enter("/app/desktop", ADAM).await;
    browser.sign_out("desktop").await;
    assert!(browser.signed_in("web").await);
}

#[tokio::test]
async fn a_cookie_that_was_copied_is_worth_nothing_after_signing_out() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ADAM).await;
    let mut thief = Browser::new(&backend);
    thief.cookies = browser.cookies.clone();
    assert!(thief.signed_in("web").await);
    browser.sign_out("web").await;
    assert!(!thief.signed_in("web").await);
}

#[tokio::test]
async fn signing_in_again_takes_a_new_cookie() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.open("/app/web").await;
    let second = browser.open("/app/web").await;
    browser.sign_in(&page, ADAM, DEMO_PASSWORD).await;
    let before = browser.cookie("hookswitch_browser").unwrap();
    browser.sign_in(&second, ADAM, DEMO_PASSWORD).await;
    assert_ne!(browser.cookie("hookswitch_browser").unwrap(), before);
    assert_eq!(backend.operator().sessions(ADAM).unwrap().len(), 1);
}

#[tokio::test]
async fn signing_out_needs_the_csrf_token_of_the_page() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ADAM).await;
    for request in [
        browser.request(Method::POST, "/app/sign-out?surface=web"),
        browser.request(Method::POST, "/app/sign-out?surface=web").header("x-csrf-token", "forged"),
    ] {
        assert_eq!(problem(request.send().await.unwrap()).await.code, "csrf");
    }
    assert!(browser.signed_in("web").await);
}

#[tokio::test]
async fn an_agent_who_opens_the_dashboard_is_sent_to_the_app() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.enter("/app/dashboard", ALICE).await;
    assert!(page.url.ends_with("/get-the-app"), "{}", page.url);
    assert!(page.body.contains("Alice Martin"));
    let page = browser.get("/app/dashboard").await;
    assert_eq!((page.status, page.location.as_deref()), (302, Some("/get-the-app")));
    assert_eq!(browser.get("/v1/me/state?surface=dashboard").await.status, 403);
    assert!(browser.signed_in("web").await);
}

#[tokio::test]
async fn an_admin_without_an_authenticator_app_needs_no_code() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.enter("/app/dashboard", ADAM).await;
    assert!(page.url.ends_with("/app/dashboard"));
    assert_eq!(browser.session("dashboard").await["second_factor"], "none");
}

#[tokio::test]
async fn a_browser_commands_with_its_cookie_and_csrf_token() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ADAM).await;
    let csrf = browser.session("web").await["csrf"].as_str().unwrap().to_owned();
    let version = backend.operator().snapshot(ADAM).unwrap().version;
    let command = |browser: &Browser, csrf: Option<&str>| {
        let body = json!({ "availability": { "kind": "unavailable", "reason": "out_for_lunch" } });
        let request = browser
            .request(Method::PUT, "/v1/me/availability?surface=cti-zendesk")
            .header("content-type", "application/json")
            .header("idempotency-key", "1")
            .header("if-match", version.etag())
            .body(body.to_string());
        match csrf {
            Some(csrf) => request.header("x-csrf-token", csrf),
            None => request,
        }
    };
    for bad in [None, Some("forged"), Some("")] {
        assert_eq!(problem(command(&browser, bad).send().await.unwrap()).await.code, "csrf");
    }
    assert_eq!(command(&browser, Some(&csrf)).send().await.unwrap().status(), 200);
    assert_eq!(backend.operator().snapshot(ADAM).unwrap().presence.effective, Effective::DoNotDisturb);
    let without = browser.get("/v1/me/state").await;
    assert_eq!(without.status, 401, "without a surface, no cookie is looked at");
}

#[tokio::test]
async fn a_session_that_lies_unused_expires() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ADAM).await;
    backend.operator().clock().jump(29 * 86_400_000);
    assert!(browser.signed_in("web").await, "and each use prolongs it");
    backend.operator().clock().jump(29 * 86_400_000);
    assert!(browser.signed_in("web").await);
    backend.operator().clock().jump(30 * 86_400_000);
    assert_eq!(backend.operator().snapshot(ADAM).unwrap().presence.effective, Effective::Offline);
    assert!(!browser.signed_in("web").await);
}

#[tokio::test]
async fn only_those_may_frame_our_pages_who_were_named() {
    let framers = vec!["https://crm.example".to_owned(), "http://127.0.0.1:4000".to_owned()];
    let backend = backend_with(Config { framers, ..config() }).await;
    let mut browser = Browser::new(&backend);
    let page = browser.enter("/app/cti/zendesk", ADAM).await;
    let csp = page.headers["content-security-policy"].to_str().unwrap();
    assert!(csp.contains("frame-ancestors https://crm.example http://127.0.0.1:4000;"), "{csp}");
}

#[tokio::test]
async fn behind_https_cookies_are_secure_and_the_issuer_is_the_public_address() {
    let public_url = Some("https://hookswitch.example".to_owned());
    let backend = Backend::start(Config { public_url, ..config() }).await.unwrap();
    assert_eq!(backend.base_url(), "https://hookswitch.example");
}

#[tokio::test]
async fn assets_are_served_by_name_and_nothing_else_is() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    for (file, media_type) in [
        ("app.css", "text/css"),
        ("login.css", "text/css"),
        ("login.js", "text/javascript"),
        ("surface.js", "text/javascript"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let page = browser.get(&format!("/assets/{file}")).await;
        assert_eq!(page.status, 200);
        assert!(page.headers["content-type"].to_str().unwrap().starts_with(media_type));
    }
    for path in
        ["/assets/../Cargo.toml", "/assets/%2e%2e%2fCargo.toml", "/assets/x", "/app/nowhere", "/app/cti/x", "/x"]
    {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
}
