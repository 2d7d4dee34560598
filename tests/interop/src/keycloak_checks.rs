//! What a phone may rely on when Keycloak is the issuer.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hookswitch::{
    SignInOptions,
    machine::{
        Failure, IssuerProfile, ReauthReason,
        view::{Link, SessionState},
    },
};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::{
    browser::{Browser, Page},
    dpop,
    issuer::Issuer,
    keycloak::{Keycloak, MOBILE, PASSWORD, claims},
    listener::Listener,
    phone::{App, InteropPhone, LOOPBACK, REDIRECT, forge},
    report::{ErrorMessage, Report, ensure, text},
    stand_in::StandIn,
};

/// Everything around the phones.
struct World {
    keycloak: Keycloak,
    listener: Listener,
    api: StandIn,
}

impl World {
    fn app(&self, client_id: &str) -> App {
        App {
            issuer: self.keycloak.issuer.name.clone(),
            client_id: client_id.to_owned(),
            profile: IssuerProfile::Keycloak,
            server: self.api.address.clone(),
            sign_in: SignInOptions::default(),
        }
    }

    async fn phone(&self) -> Result<InteropPhone, ErrorMessage> {
        InteropPhone::new(&self.app(MOBILE)).await
    }

    /// A phone on which somebody is signed in by password.
    async fn phone_of(&self, username: &str) -> Result<InteropPhone, ErrorMessage> {
        let phone = self.phone().await?;
        phone.sign_in(&Browser::new()?, by_password(username)).await?;
        Ok(phone)
    }

    fn issuer(&self) -> &Issuer {
        &self.keycloak.issuer
    }
}

fn by_password(username: &str) -> impl AsyncFnOnce(&Browser, Page) -> Result<Page, ErrorMessage> {
    async move |browser: &Browser, page: Page| {
        browser.fill_in(&page, &[("username", username), ("password", PASSWORD)]).await
    }
}

/// Starts everything, and checks.
pub(crate) async fn run(home: &Path, log: PathBuf, report: &mut Report) -> Result<(), ErrorMessage> {
    let listener = Listener::start().await?;
    let keycloak = Keycloak::start(home, log, &listener.address).await?;
    let api = StandIn::start(keycloak.issuer.clone()).await?;
    let world = World { keycloak, listener, api };
    let w = &world;

    report.check("a password signs in, with PKCE, nonce and `iss`", password(w)).await;
    report.check("the login page has the hinted name filled in", hint(w)).await;
    report.check("the browser may come back to a loopback address of any port", loopback(w)).await;
    report.check("a wrong password is Keycloak's to complain about, and the sign-in waits", wrong_password(w)).await;
    report.check("a one-time code is asked for and signs in", second_factor(w)).await;
    report.check("a brokered OpenID provider signs in (\"Google\")", google(w)).await;
    report.check("a brokered SAML provider with signed messages signs in (\"SSO\")", saml(w)).await;
    report.check("whoever declines has cancelled, and may begin again", declined(w)).await;
    report
        .check("a redirect with another state, or another or no `iss`, is refused and the sign-in waits", forged(w))
        .await;
    report.check("a code of somebody else's sign-in is worth nothing", injected(w)).await;
    report.check("an app killed in the browser goes on where it was", killed_in_browser(w)).await;

    report.check("tokens rotate refresh by refresh, and a restart loses none", rotation(w)).await;
    report.check("one expiry is one refresh, however many wait", single_flight(w)).await;
    report.check("a refresh token used twice ends the session, and a new sign-in mends it", reuse(w)).await;
    report.check("a lost answer to a refresh ends in a new sign-in where no reuse is allowed", lost_answer(w, 0)).await;
    report.check("a lost answer to a refresh costs nothing where one reuse is allowed", lost_answer(w, 1)).await;
    report.check("offline is no sign-out", offline(w)).await;
    report.check("a realm that is switched off ends no session", realm_off(w)).await;
    report.check("a client that must prove possession is refused plainly at sign-in", dpop_at_sign_in(w)).await;
    report.check("a missing DPoP proof does not read as a revoked session", dpop_later(w)).await;
    report
        .check("a missing proof for a bound token, in Keycloak's words for a dead one, ends no session", dpop_words(w))
        .await;

    report.check("an API that is busy is no matter for the session", busy_api(w)).await;
    report.check("an API that trusts Keycloak's tokens goes live, and registers the phone", live_api(w)).await;

    report.check("signing out revokes at the server", sign_out(w)).await;
    report.check("signing out offline holds at once, and revokes when the network is back", sign_out_offline(w)).await;
    report.check("signing one phone out leaves the agent's other phone alone", other_phone(w)).await;
    report.check("a session that an administrator ends wants a new sign-in", admin_ends(w)).await;
    report.check("the API's 401 is enough to find out that the session has ended", ended_and_live(w)).await;
    report.check("an account that is disabled wants a new sign-in", disabled(w)).await;
    report.check("everybody's tokens can be called back (not-before)", not_before(w)).await;
    report
        .check("the end of a session is told over the back channel: logout+jwt, sub, sid, event", back_channel(w))
        .await;
    Ok(())
}

// ---- signing in ----------------------------------------------------------------------------------------------------

async fn password(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone().await?;
    let agent = phone.sign_in(&Browser::new()?, by_password("alice")).await?;
    ensure(agent.email.as_deref() == Some("alice@acme.example"), || format!("{agent:?}"))?;
    ensure(agent.name.as_deref() == Some("Alice Martin"), || format!("{agent:?}"))?;
    let told = w.issuer().userinfo(&phone.token().await.map_err(text)?).await?;
    let sub = told.body.get("sub").and_then(Value::as_str);
    ensure(sub == Some(agent.account.as_str()), || format!("Keycloak knows the token as {told:?}"))
}

async fn hint(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone().await?;
    let login = phone.core.begin_login(Some("alice@acme.example".into()), LOOPBACK).await.map_err(text)?;
    let page = Browser::new()?.open(login.as_str()).await?;
    let filled = page.value_of("username");
    ensure(filled.as_deref() == Some("alice@acme.example"), || format!("it says {filled:?}"))
}

async fn loopback(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone().await?;
    let login = phone.core.begin_login(None, "http://127.0.0.1:51234/callback").await.map_err(text)?;
    let browser = Browser::new()?;
    let page = by_password("alice")(&browser, browser.open(login.as_str()).await?).await?;
    phone.core.finish_login(page.redirect()?).await.map_err(text)?;
    phone.signed_in().map(|_| ())
}

async fn wrong_password(w: &World) -> Result<(), ErrorMessage> {
    let (phone, browser) = (w.phone().await?, Browser::new()?);
    let page = browser.open(&phone.begin().await?).await?;
    let page = browser.fill_in(&page, &[("username", "alice"), ("password", "not it")]).await?;
    let complaint = page.complaint().ok_or("Keycloak does not complain")?;
    ensure(complaint.contains("Invalid username or password"), || format!("it complains: {complaint}"))?;
    phone.waits_for_the_browser()?;
    let page = by_password("alice")(&browser, page).await?;
    phone.core.finish_login(page.redirect()?).await.map_err(text)?;
    phone.signed_in().map(|_| ())
}

async fn second_factor(w: &World) -> Result<(), ErrorMessage> {
    let (phone, browser) = (w.phone().await?, Browser::new()?);
    let page = browser.open(&phone.begin().await?).await?;
    let page = by_password("tom")(&browser, page).await?;
    ensure(page.asks_for("otp"), || "no code is asked for".into())?;
    let page = browser.fill_in(&page, &[("otp", "000000")]).await?;
    ensure(page.complaint().is_some() && page.asks_for("otp"), || "a wrong code is no complaint".into())?;
    phone.waits_for_the_browser()?;
    let page = browser.fill_in(&page, &[("otp", &Keycloak::totp())]).await?;
    phone.core.finish_login(page.redirect()?).await.map_err(text)?;
    let agent = phone.signed_in()?;
    ensure(agent.email.as_deref() == Some("tom@acme.example"), || format!("{agent:?}"))
}

/// Goes by a link of Keycloak's page to another realm, and signs in there.
fn through(link: &str, username: &str) -> impl AsyncFnOnce(&Browser, Page) -> Result<Page, ErrorMessage> {
    async move |browser: &Browser, page: Page| {
        let upstream = browser.follow(&page, link).await?;
        by_password(username)(browser, upstream).await
    }
}

async fn google(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone().await?;
    let agent = phone.sign_in(&Browser::new()?, through("social-google", "grace")).await?;
    ensure(agent.email.as_deref() == Some("grace@mail.example"), || format!("{agent:?}"))?;
    phone.next_token().await.map(|_| ()).map_err(text)
}

async fn saml(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone().await?;
    let agent = phone.sign_in(&Browser::new()?, through("social-saml", "sam")).await?;
    ensure(agent.email.as_deref() == Some("sam@acme.example"), || format!("{agent:?}"))?;
    ensure(agent.name.as_deref() == Some("Sam Saml"), || format!("{agent:?}"))?;
    phone.next_token().await.map(|_| ()).map_err(text)
}

async fn declined(w: &World) -> Result<(), ErrorMessage> {
    let (phone, browser) = (InteropPhone::new(&w.app("hookswitch-consent")).await?, Browser::new()?);
    let page = browser.open(&phone.begin().await?).await?;
    let page = by_password("alice")(&browser, page).await?;
    let page = browser.press(&page, "cancel").await?;
    let ended = phone.core.finish_login(page.redirect()?).await;
    ensure(matches!(ended, Err(Failure::Cancelled { .. })), || format!("{ended:?} for {:?}", page.redirect()))?;
    ensure(matches!(phone.session(), SessionState::SignedOut { .. }), || format!("{:?}", phone.session()))?;
    let page = browser.open(&phone.begin().await?).await?;
    let page = by_password("alice")(&browser, page).await?;
    let page = browser.press(&page, "accept").await?;
    phone.core.finish_login(page.redirect()?).await.map_err(text)?;
    phone.signed_in().map(|_| ())
}

async fn forged(w: &World) -> Result<(), ErrorMessage> {
    let (phone, browser) = (w.phone().await?, Browser::new()?);
    let page = browser.open(&phone.begin().await?).await?;
    let page = by_password("alice")(&browser, page).await?;
    let redirect = page.redirect()?;
    let evil = format!("{}x", w.issuer().name);
    for forged in [
        forge(redirect, "state", Some("another"))?,
        forge(redirect, "state", None)?,
        forge(redirect, "iss", Some(&evil))?,
        forge(redirect, "iss", None)?,
        forge(redirect, "code", None)?,
        format!("{redirect}&code=another"),
        redirect.replacen(":/callback", ":/elsewhere", 1),
    ] {
        let refused = phone.core.finish_login(&forged).await;
        ensure(matches!(refused, Err(Failure::Forbidden { .. })), || format!("{forged} gives {refused:?}"))?;
        phone.waits_for_the_browser()?;
    }
    phone.core.finish_login(redirect).await.map_err(text)?;
    phone.signed_in().map(|_| ())
}

async fn injected(w: &World) -> Result<(), ErrorMessage> {
    let (mallory, victim, browser) = (w.phone().await?, w.phone().await?, Browser::new()?);
    let page = browser.open(&mallory.begin().await?).await?;
    let page = by_password("dora")(&browser, page).await?;
    let stolen = Url::parse(page.redirect()?).map_err(text)?;
    let stolen = stolen.query_pairs().find(|(name, _)| name == "code").ok_or("no code")?.1.into_owned();

    let browser = Browser::new()?;
    let page = browser.open(&victim.begin().await?).await?;
    let page = by_password("alice")(&browser, page).await?;
    // Right in all but the code: Keycloak misses the verifier that belongs to it.
    let refused = victim.core.finish_login(&forge(page.redirect()?, "code", Some(&stolen))?).await;
    ensure(matches!(refused, Err(Failure::Forbidden { .. })), || format!("{refused:?}"))?;
    ensure(matches!(victim.session(), SessionState::SignedOut { .. }), || format!("{:?}", victim.session()))
}

async fn killed_in_browser(w: &World) -> Result<(), ErrorMessage> {
    let (phone, browser) = (w.phone().await?, Browser::new()?);
    let page = browser.open(&phone.begin().await?).await?;
    let phone = phone.restart().await?;
    phone.waits_for_the_browser()?;
    let page = by_password("alice")(&browser, page).await?;
    phone.core.finish_login(page.redirect()?).await.map_err(text)?;
    phone.signed_in().map(|_| ())
}

// ---- tokens --------------------------------------------------------------------------------------------------------

async fn rotation(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    let first = phone.token().await.map_err(text)?;
    let second = phone.next_token().await.map_err(text)?;
    let phone = phone.restart().await?;
    let third = phone.next_token().await.map_err(text)?;
    ensure(first != second && second != third, || "an access token came twice".into())?;
    let refreshes = phone.line.refreshes();
    let used: Vec<_> = refreshes.iter().filter_map(|sent| sent.get("refresh_token")).collect();
    let [one, two] = used.as_slice() else { return Err(format!("{} refreshes instead of two", used.len())) };
    ensure(one != two, || "the refresh token did not rotate".into())?;
    let told = w.issuer().userinfo(&third).await?;
    ensure(told.status == 200, || format!("the newest access token: {told:?}"))
}

async fn single_flight(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    phone.clock.jump(Duration::from_secs(120));
    let tokens = futures_util::future::join_all((0..32).map(|_| phone.token())).await;
    let tokens: Vec<String> = tokens.into_iter().collect::<Result<_, _>>().map_err(text)?;
    ensure(tokens.windows(2).all(|pair| pair.first() == pair.last()), || "they got different tokens".into())?;
    let refreshes = phone.line.refreshes().len();
    ensure(refreshes == 1, || format!("{refreshes} refreshes"))
}

async fn reuse(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    phone.next_token().await.map_err(text)?;
    w.issuer().refresh(MOBILE, &phone.used_up()?).await?.is_invalid_grant()?;
    // The thief has been found out, and so has the family.
    phone.is_over("Session doesn't have required client", &[ReauthReason::Revoked]).await?;
    let phone = phone.restart().await?;
    // By then nobody remembers whether the last refresh had an answer.
    let either = [ReauthReason::Revoked, ReauthReason::RotationLost];
    phone
        .is_over("Session doesn't have required client", &either)
        .await
        .map_err(|trouble| format!("after a restart: {trouble}"))?;
    phone.sign_in(&Browser::new()?, by_password("alice")).await?;
    phone.next_token().await.map(|_| ()).map_err(text)
}

/// `reuses`: how often the realm lets a refresh token be used again.
async fn lost_answer(w: &World, reuses: u32) -> Result<(), ErrorMessage> {
    w.keycloak.change_realm(json!({ "refreshTokenMaxReuse": reuses })).await?;
    let outcome = async {
        let phone = w.phone_of("alice").await?;
        phone.line.lose_next_answer();
        let lost = phone.next_token().await;
        ensure(matches!(lost, Err(Failure::Offline { .. })), || format!("an answer that got lost: {lost:?}"))?;
        phone.signed_in()?;
        if reuses == 0 {
            return phone.is_over("Maximum allowed refresh token reuse exceeded", &[ReauthReason::RotationLost]).await;
        }
        phone.next_token().await.map_err(text)?;
        phone.next_token().await.map(|_| ()).map_err(text)
    };
    let outcome = outcome.await;
    w.keycloak.change_realm(json!({ "refreshTokenMaxReuse": 0 })).await?;
    outcome
}

async fn offline(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    phone.line.pull(true);
    for _ in 0..3 {
        let refused = phone.next_token().await;
        ensure(matches!(refused, Err(Failure::Offline { .. })), || format!("{refused:?}"))?;
        phone.signed_in()?;
    }
    let phone = phone.restart().await?;
    phone.signed_in()?;
    phone.line.pull(false);
    phone.next_token().await.map(|_| ()).map_err(text)
}

async fn realm_off(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    w.keycloak.change_realm(json!({ "enabled": false })).await?;
    let lives = phone.is_refused_and_lives("Realm not enabled").await;
    w.keycloak.change_realm(json!({ "enabled": true })).await?;
    lives?;
    phone.next_token().await.map(|_| ()).map_err(text)
}

async fn dpop_at_sign_in(w: &World) -> Result<(), ErrorMessage> {
    let (phone, browser) = (InteropPhone::new(&w.app("hookswitch-dpop")).await?, Browser::new()?);
    let page = browser.open(&phone.begin().await?).await?;
    let page = by_password("alice")(&browser, page).await?;
    let refused = phone.core.finish_login(page.redirect()?).await;
    let Err(Failure::Forbidden { why }) = refused else { return Err(format!("{refused:?}")) };
    ensure(why.contains("could not be completed"), || why.clone())?;
    ensure(matches!(phone.session(), SessionState::SignedOut { .. }), || format!("{:?}", phone.session()))
}

async fn dpop_later(w: &World) -> Result<(), ErrorMessage> {
    let client = "hookswitch-fickle";
    let phone = InteropPhone::new(&w.app(client)).await?;
    phone.sign_in(&Browser::new()?, by_password("alice")).await?;
    w.keycloak.require_dpop(client, true).await?;
    let lives = phone.is_refused_and_lives("DPoP proof is missing").await;
    w.keycloak.require_dpop(client, false).await?;
    lives?;
    // The refresh token was not used up by that.
    phone.next_token().await.map(|_| ()).map_err(text)
}

/// The core has no key to bind tokens to, so the test signs in by itself, with a proof; and refreshes without one.
async fn dpop_words(w: &World) -> Result<(), ErrorMessage> {
    // The example of RFC 7636, appendix B.
    let (verifier, challenge) =
        ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    // Not one that must prove possession, but one whose tokens are bound all the same.
    let client = "hookswitch-fickle";
    let mut login = Url::parse(w.issuer().endpoint("authorization_endpoint")?).map_err(text)?;
    login.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("scope", "openid"),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ]);
    let browser = Browser::new()?;
    let page = by_password("alice")(&browser, browser.open(login.as_str()).await?).await?;
    let redirect = Url::parse(page.redirect()?).map_err(text)?;
    let code = redirect.query_pairs().find(|(name, _)| name == "code").ok_or("no code")?.1.into_owned();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("code", &code),
        ("code_verifier", verifier),
    ];
    let token_endpoint = w.issuer().endpoint("token_endpoint")?;
    let granted = w.issuer().token(&form, Some(&dpop::proof("POST", token_endpoint)?)).await?;
    let kind = granted.body.get("token_type").and_then(Value::as_str);
    ensure(kind == Some("DPoP"), || format!("not bound to the key: {} {kind:?}", granted.status))?;
    let refresh = granted.body.get("refresh_token").and_then(Value::as_str).ok_or("no refresh token")?;
    let refused = w.issuer().refresh(client, refresh).await?;
    refused.is_invalid_grant()?;
    // The core hears that very answer.
    let phone = w.phone_of("alice").await?;
    phone.line.answer_next(refused);
    phone.is_refused_and_lives("DPoP proof is missing").await?;
    phone.next_token().await.map(|_| ()).map_err(text)
}

// ---- the API -------------------------------------------------------------------------------------------------------

async fn busy_api(w: &World) -> Result<(), ErrorMessage> {
    w.api.be_busy(true);
    let phone = w.phone_of("alice").await?;
    phone.core.foreground();
    phone.until("offline", |view| view.link == Link::Offline).await?;
    phone.signed_in()?;
    let told = w.issuer().userinfo(&phone.next_token().await.map_err(text)?).await?;
    ensure(told.status == 200, || format!("{told:?}"))?;
    phone.signed_in().map(|_| ())
}

async fn live_api(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    w.api.be_busy(false);
    phone.core.foreground();
    phone.until("live", |view| view.link == Link::Live && view.presence.is_some()).await?;
    let steps = phone.core.repair().await;
    let owner = w.api.owner_of(phone.core.device().as_str());
    w.api.be_busy(true);
    steps.map_err(|failure| format!("the repair: {failure}"))?;
    ensure(owner.as_deref() == Some("alice@acme.example"), || format!("the phone belongs to {owner:?}"))
}

// ---- the end of a session ------------------------------------------------------------------------------------------

async fn sign_out(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    let access = phone.next_token().await.map_err(text)?;
    phone.core.sign_out().await.map_err(text)?;
    let token = phone.revoked().await?;
    ensure(token != phone.used_up()?, || "it revoked a token that was used up".into())?;
    w.issuer().refresh(MOBILE, &token).await?.is_invalid_grant()?;
    let told = w.issuer().userinfo(&access).await?;
    ensure(told.status == 401, || format!("the access token is still good: {told:?}"))?;
    phone.sign_in(&Browser::new()?, by_password("alice")).await.map(|_| ())
}

async fn sign_out_offline(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    let access = phone.token().await.map_err(text)?;
    phone.line.pull(true);
    let began = Instant::now();
    phone.core.sign_out().await.map_err(text)?;
    let took = began.elapsed();
    ensure(matches!(phone.session(), SessionState::SignedOut { .. }), || format!("{:?}", phone.session()))?;
    ensure(took < Duration::from_millis(500), || format!("it took {} ms", took.as_millis()))?;
    let told = w.issuer().userinfo(&access).await?;
    ensure(told.status == 200, || format!("Keycloak cannot know yet: {told:?}"))?;
    // Not forgotten by a restart, either.
    let phone = phone.restart().await?;
    phone.line.pull(false);
    phone.core.foreground();
    phone.clock.jump(Duration::from_secs(3_600));
    let token = phone.revoked().await?;
    w.issuer().refresh(MOBILE, &token).await?.is_invalid_grant()
}

async fn other_phone(w: &World) -> Result<(), ErrorMessage> {
    let (one, other) = (w.phone_of("alice").await?, w.phone_of("alice").await?);
    one.core.sign_out().await.map_err(text)?;
    one.revoked().await?;
    other.next_token().await.map(|_| ()).map_err(text)
}

/// The `sid` of a phone's session at Keycloak.
async fn sid(phone: &InteropPhone) -> Result<String, ErrorMessage> {
    let claims = claims(&phone.token().await.map_err(text)?)?;
    claims.get("sid").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| format!("no sid in {claims}"))
}

async fn admin_ends(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    w.keycloak.end_session(&sid(&phone).await?).await?;
    phone.is_over("Offline user session not found", &[ReauthReason::Revoked]).await?;
    phone.sign_in(&Browser::new()?, by_password("alice")).await.map(|_| ())
}

async fn ended_and_live(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    w.api.be_busy(false);
    w.keycloak.end_session(&sid(&phone).await?).await?;
    // The access token looks good for a minute; nobody asks for another one.
    phone.core.foreground();
    let ended = phone.until("over", |view| matches!(view.session, SessionState::ReauthRequired { .. })).await;
    w.api.be_busy(true);
    ended
}

async fn disabled(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("dora").await?;
    let id = w.keycloak.user_id("dora").await?;
    w.keycloak.admin(Method::PUT, &format!("/users/{id}"), Some(json!({ "enabled": false }))).await?;
    let over = phone.is_over("User disabled", &[ReauthReason::Revoked]).await;
    w.keycloak.admin(Method::PUT, &format!("/users/{id}"), Some(json!({ "enabled": true }))).await?;
    over
}

async fn not_before(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    let soon = std::time::SystemTime::UNIX_EPOCH.elapsed().map_err(text)?.as_secs() + 1;
    w.keycloak.change_realm(json!({ "notBefore": soon })).await?;
    let over = phone.is_over("Stale token", &[ReauthReason::Revoked]).await;
    w.keycloak.change_realm(json!({ "notBefore": 0 })).await?;
    over
}

async fn back_channel(w: &World) -> Result<(), ErrorMessage> {
    let phone = w.phone_of("alice").await?;
    let (agent, sid) = (phone.signed_in()?, sid(&phone).await?);
    w.keycloak.end_session(&sid).await?;
    let told = w.listener.heard_of(w.issuer(), MOBILE, &sid).await?;
    let sub = told.get("sub").and_then(Value::as_str);
    ensure(sub == Some(agent.account.as_str()), || format!("it is about {sub:?}"))
}
