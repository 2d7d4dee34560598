use hookswitch_backend::{Backend, Config, Database};
use hookswitch_wire::{Snapshot, Version};
use reqwest::Method;
use serde_json::json;

use super::support::*;

#[tokio::test]
async fn a_restart_on_the_same_file_keeps_everything() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::File(folder.path().join("backend.db"));
    let first = backend_with(Config { database: database.clone(), ..config() }).await;
    let address = first.base_url().strip_prefix("http://").unwrap().parse().unwrap();
    let phone = PhoneClient::ready(&first, ALICE, "iphone").await;
    let mut browser = Browser::new(&first);
    browser.enter("/app/web", ALICE).await;
    phone.set_availability(json!({ "kind": "unavailable", "reason": "in_training" }), "tap").await;
    let before = phone.state().await;
    let jwks = browser.get("/jwks").await.body;
    first.stop().await;

    let second = Backend::start(Config { database, address, ..config() }).await.unwrap();
    assert_eq!(phone.state().await, before);
    assert!(browser.signed_in("web").await);
    assert_eq!(browser.get("/jwks").await.body, jwks);
    // The answer to a command that was lost in the restart.
    let again = phone
        .put("/v1/me/availability", &json!({ "availability": { "kind": "unavailable", "reason": "in_training" } }))
        .header("idempotency-key", "tap")
        .header("if-match", Version::default().etag());
    let answer: Snapshot = read(again.send().await.unwrap()).await;
    assert_eq!(answer.version, before.version);
    assert_eq!(refresh(&second, phone.tokens.refresh_token.as_deref().unwrap()).await.status(), 200);
}

#[tokio::test]
async fn no_token_no_cookie_and_no_password_is_in_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backend.db");
    let backend = backend_with(Config { database: Database::File(path.clone()), ..config() }).await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let rotated: hookswitch_wire::TokenAnswer =
        read(refresh(&backend, phone.tokens.refresh_token.as_deref().unwrap()).await).await;
    let code = code(&backend, ALICE).await;
    let mut browser = Browser::new(&backend);
    let page = browser.enter("/app/web", ALICE).await;
    let csrf = browser.session("web").await["csrf"].as_str().unwrap().to_owned();
    phone.command(Method::PUT, "/v1/me/forwarding", &json!({ "number": null }), "1").await;

    let mut secrets = vec![
        ("password", hookswitch_backend::DEMO_PASSWORD.to_owned()),
        ("access token", phone.tokens.access_token.clone()),
        ("refresh token", phone.tokens.refresh_token.clone().unwrap()),
        ("new access token", rotated.access_token),
        ("new refresh token", rotated.refresh_token.unwrap()),
        ("code", code),
        ("csrf", csrf),
    ];
    secrets.extend(browser.cookies.values().map(|value| ("cookie", value.clone())));
    assert_eq!(page.status, 200);
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(ALICE), "the database was looked at");
    for (what, secret) in secrets {
        assert!(!text.contains(&secret), "{what}");
    }
}

#[tokio::test]
async fn a_restored_server_is_in_a_new_epoch_and_says_so_to_all() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut events = phone.stream().await;
    let before = events.state(|_| true).await;
    backend.operator().restore_from_backup().unwrap();
    let after = events.state(|snapshot| snapshot.version.epoch > before.version.epoch).await;
    assert_eq!(after.version, Version::new(before.version.epoch + 1, 1));
    assert!(after.version.rev < before.version.rev, "revs fall back");
    let poll = phone.get(&format!("/v1/me/state?after={}&wait=30", before.version));
    let polled: Snapshot = read(soon(poll.send()).await.unwrap()).await;
    assert_eq!(polled.version, after.version);
}

#[tokio::test]
async fn streams_end_when_the_backend_stops() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let mut events = phone.stream().await;
    events.state(|_| true).await;
    soon(backend.stop()).await;
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn the_log_of_requests_holds_no_query() {
    let backend = backend().await;
    let mut log = backend.operator().requests();
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    phone.state().await;
    let mut seen = Vec::new();
    while let Ok(request) = log.try_recv() {
        assert!(!request.path.contains('?') && !request.path.contains("tx="));
        seen.push(request);
    }
    assert!(seen.iter().any(|r| r.path == "/token" && r.status == 200));
    assert!(seen.iter().any(|r| r.path == "/v1/me/state" && r.who == "phone iphone"));
}
