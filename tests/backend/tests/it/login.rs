use hookswitch_backend::DEMO_PASSWORD;

use super::support::*;

#[tokio::test]
async fn a_wrong_password_and_an_unknown_email_look_the_same() {
    let backend = backend().await;
    let mut bodies = Vec::new();
    for email in [ALICE, "nobody@acme.example", SAM, ""] {
        let mut browser = Browser::new(&backend);
        let page = browser.open(&authorize_url(&[])).await;
        let page = browser.sign_in(&page, email, "wrong").await;
        assert_eq!(page.status, 401);
        assert!(page.body.contains("E-mail or password is wrong."));
        bodies.push(page.body.len() - page.body.matches(email).count() * email.len() * usize::from(!email.is_empty()));
    }
    assert_eq!(bodies[0], bodies[1], "the pages differ only in the e-mail");
}

#[tokio::test]
async fn after_a_wrong_password_the_right_one_works_on_the_same_page() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.open(&authorize_url(&[])).await;
    let page = browser.sign_in(&page, ALICE, "wrong").await;
    let page = browser.sign_in(&page, " Alice@ACME.example ", DEMO_PASSWORD).await;
    assert!(returned(&page).contains_key("code"));
}

#[tokio::test]
async fn who_signs_in_with_google_only_has_no_password_here() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.open("/app/web").await;
    for password in [DEMO_PASSWORD, ""] {
        assert_eq!(browser.sign_in(&page, SAM, password).await.status, 401);
    }
}

#[tokio::test]
async fn the_eleventh_wrong_password_in_fifteen_minutes_has_to_wait() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.open("/app/web").await;
    for _ in 0..10 {
        assert_eq!(browser.sign_in(&page, ALICE, "wrong").await.status, 401);
    }
    let page = browser.sign_in(&page, ALICE, DEMO_PASSWORD).await;
    assert_eq!(page.status, 429);
    let wait: i64 = page.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=900).contains(&wait));
    backend.operator().clock().jump(wait * 1_000);
    let page = browser.open("/app/web").await;
    assert_eq!(browser.sign_in(&page, ALICE, DEMO_PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_login_page_expires_after_ten_minutes() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.open(&authorize_url(&[])).await;
    backend.operator().clock().jump(10 * 60_000);
    let late = browser.sign_in(&page, ALICE, DEMO_PASSWORD).await;
    assert_eq!(late.status, 410);
    assert!(late.body.contains("authorize?response_type"), "it offers a new start");
    assert_eq!(browser.get(&page.url).await.status, 410);
}

#[tokio::test]
async fn a_login_page_works_once() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.open(&authorize_url(&[])).await;
    returned(&browser.sign_in(&page, ALICE, DEMO_PASSWORD).await);
    assert_eq!(browser.sign_in(&page, ALICE, DEMO_PASSWORD).await.status, 410);
    assert_eq!(browser.get(&page.url).await.status, 410);
}

#[tokio::test]
async fn a_login_page_works_only_in_the_browser_that_began_it() {
    let backend = backend().await;
    let (mut victim, mut attacker) = (Browser::new(&backend), Browser::new(&backend));
    let page = attacker.open(&authorize_url(&[])).await;
    assert_eq!(victim.get(&page.url).await.status, 403);
    assert_eq!(victim.sign_in(&page, ALICE, DEMO_PASSWORD).await.status, 403);
    // A login of the victim's own makes the stranger's no better.
    victim.open(&authorize_url(&[])).await;
    assert_eq!(victim.sign_in(&page, ALICE, DEMO_PASSWORD).await.status, 403);
}

/// Asks for several pages before any answer has set a cookie, as a browser that restores its windows does; then takes
/// the answers' cookies in their order.
async fn open_at_once(browser: &mut Browser, paths: &[&str]) -> Vec<Page> {
    let requests: Vec<_> = paths.iter().map(|path| browser.request(reqwest::Method::GET, path)).collect();
    let mut redirects = Vec::new();
    for request in requests {
        redirects.push(browser.send(request).await);
    }
    let mut pages = Vec::new();
    for redirect in redirects {
        pages.push(browser.follow(redirect).await);
    }
    pages
}

#[tokio::test]
async fn pages_that_open_at_the_same_moment_all_lead_to_a_sign_in() {
    let backend = backend().await;
    let paths = ["/app/web", "/app/dashboard", "/app/cti/zendesk", "/app/desktop", &authorize_url(&[])];
    for chosen in 0..paths.len() {
        let mut browser = Browser::new(&backend);
        let pages = open_at_once(&mut browser, &paths).await;
        for (page, path) in pages.iter().zip(paths) {
            assert_eq!((page.status, page.body.contains("login-page")), (200, true), "{path}");
        }
        let entered = browser.sign_in(&pages[chosen], ADAM, DEMO_PASSWORD).await;
        assert!(entered.status == 200 || entered.location.is_some_and(|to| to.starts_with(REDIRECT)), "{chosen}");
    }
}

#[tokio::test]
async fn the_login_cookie_of_a_browser_is_shared_by_its_logins() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    browser.open("/app/web").await;
    let first = browser.cookie("hookswitch_login");
    for _ in 0..30 {
        browser.open("/app/dashboard").await;
        browser.open(&authorize_url(&[])).await;
        assert_eq!(browser.cookie("hookswitch_login"), first);
    }
    assert_eq!(browser.cookies.len(), 21, "and few others are added");
}

#[tokio::test]
async fn a_window_that_set_out_without_a_cookie_and_answers_late_undoes_no_other() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let late = browser.request(reqwest::Method::GET, "/app/dashboard");
    browser.get("/app/web").await;
    let meanwhile = browser.get("/app/cti/zendesk").await;
    let late = browser.send(late).await;
    for redirect in [meanwhile, late] {
        let page = browser.follow(redirect).await;
        assert_eq!((page.status, page.body.contains("login-page")), (200, true), "{}", page.url);
    }
}

#[tokio::test]
async fn windows_that_waited_for_a_sign_in_go_on_by_themselves_after_it() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let pages = open_at_once(&mut browser, &["/app/web", "/app/cti/hubspot", "/app/desktop"]).await;
    browser.sign_in(&pages[0], ADAM, DEMO_PASSWORD).await;
    let widget = browser.open(&pages[1].url).await;
    assert!(widget.status == 200 && widget.url.ends_with("/app/cti/hubspot"), "{}", widget.url);
    let desktop = browser.open(&pages[2].url).await;
    assert!(desktop.body.contains("login-page"), "the desktop signs in on its own");
    assert_eq!(backend.operator().sessions(ADAM).unwrap().len(), 1);
}

#[tokio::test]
async fn a_sign_in_of_another_browser_offers_one_of_our_own() {
    let backend = backend().await;
    for start in ["/app/cti/zendesk", &authorize_url(&[("login_hint", Some(ALICE))])] {
        let (mut victim, mut attacker) = (Browser::new(&backend), Browser::new(&backend));
        let theirs = attacker.open(start).await;
        let refused = victim.get(&theirs.url).await;
        assert_eq!(refused.status, 403);
        assert!(refused.body.contains("Start again"), "{}", refused.body);
        let ours = victim.open(&refused.action()).await;
        assert!(ours.status == 200 && ours.url != theirs.url, "{}", ours.url);
        victim.sign_in(&ours, ALICE, DEMO_PASSWORD).await;
        // What the victim did is of no use to who sent the link.
        assert!(!attacker.signed_in("web").await);
        assert_eq!(victim.get(&theirs.url).await.status, 403);
    }
}

#[tokio::test]
async fn every_page_that_stops_a_sign_in_leads_on() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let used = browser.open("/app/cti/zendesk").await;
    browser.sign_in(&used, ALICE, DEMO_PASSWORD).await;
    let unused = browser.open("/app/desktop").await;
    let forged = browser.post(&unused.url, &[("csrf", "forged")]).await;
    backend.operator().clock().jump(10 * 60_000);
    let stops = [
        (410, browser.get(&used.url).await),
        (410, browser.get(&unused.url).await),
        (403, forged),
        (400, browser.get("/login?tx=nothing").await),
        (400, browser.get("/login/google/callback?state=forged&code=x").await),
    ];
    for (status, stop) in stops {
        assert_eq!(stop.status, status, "{}", stop.body);
        let next = browser.open(&stop.action()).await;
        assert_eq!(next.status, 200, "{}", next.url);
    }
}

#[tokio::test]
async fn a_form_without_its_csrf_token_does_nothing() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.open("/app/web").await;
    let other = browser.open("/app/web").await;
    for csrf in ["", "forged", &other.hidden("csrf")] {
        let refused = browser.post(&page.url, &[("csrf", csrf), ("email", ALICE), ("password", DEMO_PASSWORD)]).await;
        assert_eq!(refused.status, 403);
    }
    let no_form = browser.request(reqwest::Method::POST, &page.url).body("csrf=x");
    assert_eq!(browser.send(no_form).await.status, 403);
    assert!(!browser.signed_in("web").await);
    assert_eq!(browser.sign_in(&page, ALICE, DEMO_PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_login_that_nobody_began_is_no_login() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    for path in ["/login", "/login?tx=", "/login?tx=x", "/login?tx=x&tx=y", "/login/totp?tx=x", "/login/google?tx=x"] {
        assert_eq!(browser.get(path).await.status, 400, "{path}");
    }
    assert_eq!(browser.post("/login?tx=x", &[]).await.status, 400);
}

#[tokio::test]
async fn what_a_person_types_is_shown_as_text() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.open(&authorize_url(&[("login_hint", Some("\"><script>alert(1)</script>"))])).await;
    assert!(!page.body.contains("<script>alert"), "{}", page.body);
}

#[tokio::test]
async fn the_dashboard_asks_for_a_code_once_a_session() {
    let backend = backend().await;
    let operator = backend.operator();
    let mut browser = Browser::new(&backend);
    let page = browser.enter("/app/dashboard", OLIVIA).await;
    assert!(page.url.contains("/login/totp"), "{}", page.url);
    assert_eq!(browser.session("dashboard").await["second_factor"], "needed");
    assert_eq!(browser.get("/v1/me/state?surface=dashboard").await.status, 403);
    assert_eq!(browser.get("/v1/me/state?surface=web").await.status, 200);

    let code = operator.totp_code(OLIVIA).unwrap();
    let csrf = page.hidden("csrf");
    let wrong = if code == "000000" { "000001" } else { "000000" };
    for bad in [wrong, "", "12345", "abcdef"] {
        let refused = browser.post(&page.url, &[("csrf", &csrf), ("code", bad)]).await;
        assert_eq!(refused.status, 401, "{bad}");
    }
    let entered = browser.post(&page.url, &[("csrf", &csrf), ("code", &code)]).await;
    let entered = browser.follow(entered).await;
    assert!(entered.url.ends_with("/app/dashboard"), "{}", entered.url);
    assert_eq!(entered.status, 200);
    assert_eq!(browser.session("dashboard").await["second_factor"], "done");
    assert!(browser.open("/app/dashboard").await.url.ends_with("/app/dashboard"), "not again in this session");
    let replayed = browser.post(&page.url, &[("csrf", &csrf), ("code", &code)]).await;
    assert_eq!(replayed.status, 410);

    // The same code in another browser was used.
    let mut other = Browser::new(&backend);
    let page = other.enter("/app/dashboard", OLIVIA).await;
    let fields = [("csrf", page.hidden("csrf")), ("code", code)];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(other.post(&page.url, &fields).await.status, 401);
    operator.clock().jump(60_000);
    let fields = [("csrf", page.hidden("csrf")), ("code", operator.totp_code(OLIVIA).unwrap())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(other.post(&page.url, &fields).await.status, 303);
}

#[tokio::test]
async fn the_eleventh_wrong_code_has_to_wait() {
    let backend = backend().await;
    let mut browser = Browser::new(&backend);
    let page = browser.enter("/app/dashboard", OLIVIA).await;
    let csrf = page.hidden("csrf");
    for _ in 0..10 {
        assert_eq!(browser.post(&page.url, &[("csrf", &csrf), ("code", "x")]).await.status, 401);
    }
    let code = backend.operator().totp_code(OLIVIA).unwrap();
    let refused = browser.post(&page.url, &[("csrf", &csrf), ("code", &code)]).await;
    assert_eq!(refused.status, 429);
    assert!(refused.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn sign_ins_leave_a_trail_without_secrets() {
    let backend = backend().await;
    PhoneClient::sign_in(&backend, ALICE).await;
    let trail: Vec<String> = backend.operator().audit_log(ALICE).unwrap().into_iter().map(|(_, event)| event).collect();
    assert_eq!(trail, ["session started"]);
}
