use std::time::Duration;

use hookswitch_backend::{Config, RotationProfile};
use hookswitch_wire::{SignedOutReason, StreamEvent, TokenAnswer, stream::SignedOut};
use serde_json::Value;

use super::support::*;

#[tokio::test]
async fn a_phone_signs_in_with_code_and_pkce() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.open(&authorize_url(&[("login_hint", Some(ALICE))])).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains(ALICE), "the hint fills in the field");
    let csp = page.headers["content-security-policy"].to_str().unwrap();
    assert!(csp.contains("frame-ancestors 'none'") && csp.contains("form-action 'self' http://127.0.0.1:9"), "{csp}");
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["x-content-type-options"], "nosniff");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");

    let page = browser.sign_in(&page, ALICE, hookswitch_backend::DEMO_PASSWORD).await;
    let back = returned(&page);
    assert_eq!(back["state"], "the state");
    assert_eq!(back["iss"], backend.base_url());
    assert!(browser.cookie("hookswitch_browser").is_none(), "a phone's login makes no session of the browser");

    let answer = exchange(&backend, &back["code"], VERIFIER).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let tokens: TokenAnswer = read(answer).await;
    assert_eq!((tokens.token_type.as_str(), tokens.expires_in), ("Bearer", Some(900)));

    let id_token = tokens.id_token.unwrap();
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&browser.get("/jwks").await.body).unwrap();
    let kid = jsonwebtoken::decode_header(&id_token).unwrap().kid.unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(keys.find(&kid).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&["hookswitch-mobile"]);
    validation.set_issuer(&[backend.base_url()]);
    let claims: Value = jsonwebtoken::decode(&id_token, &key, &validation).unwrap().claims;
    assert_eq!(claims["nonce"], "the nonce");
    assert_eq!(claims["email"], ALICE);
    assert_eq!(claims["sub"], backend.operator().account(ALICE).unwrap().as_str());
}

#[tokio::test]
async fn the_metadata_names_the_issuer_that_was_asked() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        let metadata: hookswitch_wire::ServerMetadata = serde_json::from_str(&browser.get(path).await.body).unwrap();
        assert_eq!(metadata.issuer, backend.base_url());
        assert!(metadata.authorization_response_iss_parameter_supported);
        assert_eq!(metadata.code_challenge_methods_supported, Some(vec!["S256".to_owned()]));
    }
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_registered() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    for change in [
        ("redirect_uri", Some("https://evil.example/callback")),
        ("redirect_uri", Some("http://127.0.0.1:9/elsewhere")),
        ("redirect_uri", None),
        ("client_id", Some("another")),
        ("client_id", None),
    ] {
        let page = browser.get(&authorize_url(&[change])).await;
        assert_eq!((page.status, page.location.as_deref()), (400, None), "{change:?}");
    }
    let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example", authorize_url(&[]));
    assert_eq!(browser.get(&twice).await.status, 400);
}

#[tokio::test]
async fn a_bad_request_goes_back_to_the_app_and_says_who_answers() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    for (change, error) in [
        (("code_challenge", None), "invalid_request"),
        (("code_challenge", Some("short")), "invalid_request"),
        (("code_challenge_method", None), "invalid_request"),
        (("code_challenge_method", Some("plain")), "invalid_request"),
        (("response_type", Some("token")), "unsupported_response_type"),
        (("response_type", None), "invalid_request"),
        (("scope", Some("email")), "invalid_scope"),
        (("prompt", Some("none")), "login_required"),
    ] {
        let back = returned(&browser.get(&authorize_url(&[change])).await);
        assert_eq!(back["error"], error, "{change:?}");
        assert_eq!(back["state"], "the state");
        assert_eq!(back["iss"], backend.base_url());
    }
}

#[tokio::test]
async fn a_code_needs_its_verifier_its_client_and_its_redirect() {
    let backend = backend().await;
    let code = code(&backend, ALICE).await;
    let other = "a".repeat(43);
    assert_eq!(oauth_error(exchange(&backend, &code, &other).await).await, "invalid_grant");
    let mut fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "hookswitch-mobile"),
        ("code", code.as_str()),
        ("redirect_uri", "http://127.0.0.1:10/callback"),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(oauth_error(token(&backend, &fields).await).await, "invalid_grant");
    fields[3].1 = REDIRECT;
    fields[1].1 = "another";
    assert_eq!(oauth_error(token(&backend, &fields).await).await, "invalid_client");
    fields[1].1 = "hookswitch-mobile";
    assert_eq!(token(&backend, &fields).await.status(), 200, "wrong guesses did not use the code up");
}

#[tokio::test]
async fn a_code_lives_a_minute() {
    let backend = backend().await;
    let code = code(&backend, ALICE).await;
    backend.operator().clock().jump(60_000);
    assert_eq!(oauth_error(exchange(&backend, &code, VERIFIER).await).await, "invalid_grant");
}

#[tokio::test]
async fn a_code_that_is_used_twice_takes_its_tokens_with_it() {
    let backend = backend().await;
    let code = code(&backend, ALICE).await;
    let tokens: TokenAnswer = read(exchange(&backend, &code, VERIFIER).await).await;
    assert_eq!(oauth_error(exchange(&backend, &code, VERIFIER).await).await, "invalid_grant");
    assert_eq!(oauth_error(refresh(&backend, &tokens.refresh_token.unwrap()).await).await, "invalid_grant");
    assert!(backend.operator().sessions(ALICE).unwrap().is_empty());
}

#[tokio::test]
async fn the_token_endpoint_refuses_what_is_malformed() {
    let backend = backend().await;
    let table: &[(&[(&str, &str)], &str)] = &[
        (&[], "invalid_request"),
        (&[("grant_type", "")], "invalid_request"),
        (&[("grant_type", "password"), ("client_id", "hookswitch-mobile")], "unsupported_grant_type"),
        (&[("grant_type", "authorization_code")], "invalid_request"),
        (&[("grant_type", "authorization_code"), ("client_id", "hookswitch-mobile")], "invalid_request"),
        (&[("grant_type", "refresh_token"), ("client_id", "hookswitch-mobile")], "invalid_request"),
        (&[("grant_type", "refresh_token"), ("refresh_token", "x")], "invalid_request"),
        (&[("grant_type", "refresh_token"), ("grant_type", "refresh_token")], "invalid_request"),
        (
            &[("grant_type", "refresh_token"), ("client_id", "hookswitch-mobile"), ("refresh_token", "x")],
            "invalid_grant",
        ),
    ];
    for (fields, error) in table {
        assert_eq!(oauth_error(token(&backend, fields).await).await, *error, "{fields:?}");
    }
    let json = reqwest::Client::new()
        .post(format!("{}/token", backend.base_url()))
        .header("content-type", "application/json")
        .body(r#"{"grant_type":"refresh_token"}"#);
    assert_eq!(oauth_error(json.send().await.unwrap()).await, "invalid_request");
    let big = reqwest::Client::new().post(format!("{}/token", backend.base_url())).body("a".repeat(70_000));
    assert_eq!(big.send().await.unwrap().status(), 413);
}

#[tokio::test]
async fn an_access_token_expires_and_a_refresh_brings_a_new_one() {
    let backend = backend().await;
    let mut phone = PhoneClient::sign_in(&backend, ALICE).await;
    backend.operator().clock().jump(15 * 60_000);
    let refused = problem(phone.get("/v1/me/state").send().await.unwrap()).await;
    assert_eq!((refused.status, refused.code.as_str()), (401, "unauthenticated"));
    let old = phone.tokens.refresh_token.take().unwrap();
    phone.tokens = read(refresh(&backend, &old).await).await;
    phone.state().await;
    assert_ne!(phone.tokens.refresh_token, Some(old));
    assert_eq!(backend.operator().refresh_count(ALICE).unwrap(), 1);
    assert_eq!(backend.operator().counts().refresh_posts, 1);

    backend.operator().expire_access_tokens(ALICE, None).unwrap();
    assert_eq!(phone.get("/v1/me/state").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn with_overlap_a_lost_answer_is_asked_for_again() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let first = phone.tokens.refresh_token.unwrap();
    let lost: TokenAnswer = read(refresh(&backend, &first).await).await;
    backend.operator().clock().jump(59_000);
    let second: TokenAnswer = read(refresh(&backend, &first).await).await;
    // Both successors are of the newest generation. Using one ends the overlap...
    let third: TokenAnswer = read(refresh(&backend, &second.refresh_token.unwrap()).await).await;
    drop(lost);
    // ...so the first token is stolen goods now, and the session ends.
    assert_eq!(oauth_error(refresh(&backend, &first).await).await, "invalid_grant");
    assert_eq!(oauth_error(refresh(&backend, &third.refresh_token.unwrap()).await).await, "invalid_grant");
    assert_eq!(backend.operator().counts().invalid_grants, 2);
}

#[tokio::test]
async fn with_overlap_a_retry_after_the_leeway_ends_the_session() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let first = phone.tokens.refresh_token.unwrap();
    let next: TokenAnswer = read(refresh(&backend, &first).await).await;
    backend.operator().clock().jump(61_000);
    assert_eq!(oauth_error(refresh(&backend, &first).await).await, "invalid_grant");
    assert_eq!(oauth_error(refresh(&backend, &next.refresh_token.unwrap()).await).await, "invalid_grant");
}

#[tokio::test]
async fn with_kill_family_any_reuse_ends_the_session() {
    let backend = backend_with(Config { refresh: RotationProfile::KillFamily, ..config() }).await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut events = phone.stream().await;
    events.state(|_| true).await;
    let first = phone.tokens.refresh_token.clone().unwrap();
    let next: TokenAnswer = read(refresh(&backend, &first).await).await;
    assert_eq!(oauth_error(refresh(&backend, &first).await).await, "invalid_grant");
    assert_eq!(oauth_error(refresh(&backend, &next.refresh_token.unwrap()).await).await, "invalid_grant");
    let said = events.next().await;
    assert_eq!(said, Some(StreamEvent::SignedOut(SignedOut { reason: SignedOutReason::Revoked })));
    assert_eq!(events.next().await, None);
    assert!(backend.operator().snapshot(ALICE).unwrap().devices.is_empty());
}

#[tokio::test]
async fn a_refresh_token_that_lies_unused_expires() {
    let backend = backend_with(Config { refresh_token_life: Duration::from_secs(3_600), ..config() }).await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    backend.operator().clock().jump(3_600_000);
    assert_eq!(oauth_error(refresh(&backend, &phone.tokens.refresh_token.unwrap()).await).await, "invalid_grant");
}

#[tokio::test]
async fn revoking_the_refresh_token_ends_the_session_and_the_device() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let mut events = phone.stream().await;
    events.state(|snapshot| snapshot.devices.len() == 1).await;
    let token = phone.tokens.refresh_token.clone().unwrap();
    assert_eq!(revoke(&backend, &token).await.status(), 200);
    let last = events.next().await;
    assert!(matches!(last, Some(StreamEvent::SignedOut(_))), "{last:?}");
    assert_eq!(events.next().await, None);
    assert_eq!(phone.get("/v1/me/state").send().await.unwrap().status(), 401);
    assert!(backend.operator().snapshot(ALICE).unwrap().devices.is_empty());
    assert_eq!(revoke(&backend, &token).await.status(), 200, "again is fine");
    assert_eq!(revoke(&backend, "no token").await.status(), 200, "and so is nonsense");
}

#[tokio::test]
async fn revoking_an_access_token_leaves_the_session() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    assert_eq!(revoke(&backend, &phone.tokens.access_token).await.status(), 200);
    assert_eq!(phone.get("/v1/me/state").send().await.unwrap().status(), 401);
    assert_eq!(refresh(&backend, &phone.tokens.refresh_token.unwrap()).await.status(), 200);
}

#[tokio::test]
async fn the_date_of_an_answer_is_that_of_the_moved_clock() {
    let backend = backend().await;
    backend.operator().clock().jump(10 * 365 * 86_400_000);
    let page = Browser::new(&backend).get("/jwks").await;
    let date = httpdate::parse_http_date(page.headers["date"].to_str().unwrap()).unwrap();
    let ahead = date.duration_since(std::time::SystemTime::now()).unwrap();
    assert!(ahead > Duration::from_secs(9 * 365 * 86_400));
}
