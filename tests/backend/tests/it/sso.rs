use hookswitch_backend::DEMO_PASSWORD;

use super::support::*;

/// From our login page to the upstream's.
async fn to_upstream(browser: &mut Browser, start: &str, provider: &str) -> Page {
    let page = browser.open(start).await;
    let tx = page.url.split("tx=").nth(1).unwrap().to_owned();
    browser.open(&format!("/login/{provider}?tx={tx}")).await
}

async fn sign_in_upstream(browser: &mut Browser, page: &Page, email: &str, password: &str) -> Page {
    let fields =
        [("csrf", &*page.hidden("csrf")), ("tx", &*page.hidden("tx")), ("email", email), ("password", password)];
    browser.post(&page.url, &fields).await
}

#[tokio::test]
async fn google_signs_a_phone_in_from_end_to_end() {
    let backend = backend().await;
    for (provider, title) in [("google", "Google"), ("sso", "Acme SSO")] {
        let mut browser = Browser::new(&backend);
        let page = to_upstream(&mut browser, &authorize_url(&[]), provider).await;
        assert!(page.url.starts_with(backend.upstream_url()), "another server: {}", page.url);
        assert!(page.body.contains(title));
        let wrong = sign_in_upstream(&mut browser, &page, SAM, "wrong").await;
        assert_eq!(wrong.status, 401);
        let page = sign_in_upstream(&mut browser, &page, SAM, DEMO_PASSWORD).await;
        let page = browser.follow(page).await;
        let back = returned(&page);
        assert_eq!(back["iss"], backend.base_url(), "the app hears of our issuer only");
        assert_eq!(exchange(&backend, &back["code"], VERIFIER).await.status(), 200);
    }
}

#[tokio::test]
async fn sso_opens_the_dashboard() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = to_upstream(&mut browser, "/app/dashboard", "sso").await;
    let page = sign_in_upstream(&mut browser, &page, SAM, DEMO_PASSWORD).await;
    let page = browser.follow(page).await;
    assert!(page.url.ends_with("/app/dashboard"), "{}", page.url);
    assert_eq!(browser.session("dashboard").await["agent"]["role"], "supervisor");
}

#[tokio::test]
async fn somebody_whom_hookswitch_does_not_know_is_told_so() {
    let backend = backend().await;
    backend.operator().add_upstream_user("google", "stranger@gmail.example", "a password").await.unwrap();
    let mut browser = Browser::new(&backend);
    let page = to_upstream(&mut browser, "/app/web", "google").await;
    let page = sign_in_upstream(&mut browser, &page, "stranger@gmail.example", "a password").await;
    let page = browser.follow(page).await;
    assert_eq!(page.status, 403);
    assert!(page.body.contains("stranger@gmail.example"));
    assert!(!browser.signed_in("web").await);
}

#[tokio::test]
async fn an_address_that_upstream_did_not_verify_opens_nothing() {
    let backend = backend().await;
    let mut seed = hookswitch_backend::AgentSeed::new("eve@acme.example", "Eve", hookswitch_wire::Role::Owner);
    seed.google = true;
    seed.email_verified = false;
    backend.operator().add_agent(seed).await.unwrap();
    let mut browser = Browser::new(&backend);
    let page = to_upstream(&mut browser, "/app/web", "google").await;
    let page = sign_in_upstream(&mut browser, &page, "eve@acme.example", DEMO_PASSWORD).await;
    assert_eq!(browser.follow(page).await.status, 502);
    assert!(!browser.signed_in("web").await);
}

#[tokio::test]
async fn an_account_without_google_is_not_opened_by_google() {
    let backend = backend().await;
    backend.operator().add_upstream_user("google", ADAM, "a password").await.unwrap();
    let mut browser = Browser::new(&backend);
    let page = to_upstream(&mut browser, "/app/web", "google").await;
    let page = sign_in_upstream(&mut browser, &page, ADAM, "a password").await;
    assert_eq!(browser.follow(page).await.status, 403);
}

#[tokio::test]
async fn an_answer_from_upstream_works_once_here_and_unchanged() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    for spoil in ["state=", "iss=", "code="] {
        let page = to_upstream(&mut browser, "/app/web", "google").await;
        let back = sign_in_upstream(&mut browser, &page, SAM, DEMO_PASSWORD).await.location.unwrap();
        let (before, after) = back.split_once(spoil).unwrap();
        let spoilt = format!("{before}{spoil}x{after}");
        let status = browser.get(&spoilt).await.status;
        assert!([400, 502].contains(&status), "{spoil} {status}");
        assert!(!browser.signed_in("web").await, "{spoil}");
    }
    let page = to_upstream(&mut browser, "/app/web", "google").await;
    let back = sign_in_upstream(&mut browser, &page, SAM, DEMO_PASSWORD).await.location.unwrap();
    // Google's answer at the door of the SSO: a mix-up.
    let mixed_up = back.replace("/login/google/", "/login/sso/");
    assert_eq!(browser.get(&mixed_up).await.status, 400);
    assert_eq!(browser.get(&back).await.status, 400, "the state was used up");

    let page = to_upstream(&mut browser, "/app/web", "google").await;
    let back = sign_in_upstream(&mut browser, &page, SAM, DEMO_PASSWORD).await.location.unwrap();
    assert_eq!(browser.get(&back).await.status, 303);
    assert_eq!(browser.get(&back).await.status, 400, "replayed");
}

#[tokio::test]
async fn an_answer_from_upstream_is_no_use_in_another_browser() {
    let backend = backend().await;
    let (mut attacker, mut victim) = (Browser::new(&backend), Browser::new(&backend));
    let page = to_upstream(&mut attacker, "/app/web", "google").await;
    let back = sign_in_upstream(&mut attacker, &page, SAM, DEMO_PASSWORD).await.location.unwrap();
    victim.open("/app/web").await;
    assert_eq!(victim.get(&back).await.status, 403);
    assert!(!victim.signed_in("web").await);
}

#[tokio::test]
async fn upstream_sends_people_to_our_issuer_only() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let start = format!(
        "{}/google/authorize?response_type=code&client_id=hookswitch&state=s&nonce=n&code_challenge=c\
         &code_challenge_method=S256&redirect_uri=https%3A%2F%2Fevil.example",
        backend.upstream_url()
    );
    let page = browser.get(&start).await;
    assert_eq!((page.status, page.location), (400, None));
}
