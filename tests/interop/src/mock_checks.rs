//! What a phone may rely on when the issuer is `mock-oauth2-server`: its redirects do not say who they are from, it lists next to
//! nothing, and its refreshes bring ID tokens.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use hookswitch::{
    SignInOptions,
    machine::{IssuerProfile, ReauthReason},
};

use crate::{
    browser::{Browser, Page},
    mock::Mock,
    phone::{App, InteropPhone, Sent},
    report::{ErrorMessage, Report, ensure, text},
};

const APP: &str = "hookswitch-mobile";

/// Longer than its access tokens live.
const LATER: Duration = Duration::from_secs(4_000);

async fn sign_in(browser: &Browser, page: Page) -> Result<Page, ErrorMessage> {
    let claims = r#"{"email":"alice@acme.example"}"#;
    browser.fill_in(&page, &[("username", "alice"), ("claims", claims)]).await
}

async fn phone_of_alice(mock: &Mock) -> Result<InteropPhone, ErrorMessage> {
    // It only issues tokens; nobody goes to the API here.
    let app = App {
        issuer: mock.issuer.name.clone(),
        server: mock.issuer.name.clone(),
        client_id: APP.to_owned(),
        profile: IssuerProfile::Unknown,
        sign_in: SignInOptions::default(),
    };
    let phone = InteropPhone::new(&app).await?;
    phone.sign_in(&Browser::new()?, sign_in).await?;
    Ok(phone)
}

async fn next_token(phone: &InteropPhone) -> Result<String, ErrorMessage> {
    phone.clock.jump(LATER);
    phone.token().await.map_err(text)
}

/// Starts it, and checks.
pub(crate) async fn run(folder: &Path, log: PathBuf, report: &mut Report) -> Result<(), ErrorMessage> {
    let mock = Mock::start(folder, log).await?;
    let m = &mock;
    report.check("who redirects without `iss`, and does not promise it, signs in", without_iss(m)).await;
    report.check("tokens rotate, with an ID token of the same agent each time", rotation(m)).await;
    report
        .check("a refresh token that was used is worth nothing to a thief, and costs the agent nothing", used(m))
        .await;
    report.check("a refresh token that a thief was first to use ends the session", stolen(m)).await;
    report.check("signing out revokes at the server, and its page for that is known", sign_out(m)).await;
    Ok(())
}

async fn without_iss(m: &Mock) -> Result<(), ErrorMessage> {
    let agent = phone_of_alice(m).await?.signed_in()?;
    let right = agent.account.as_str() == "alice" && agent.email.as_deref() == Some("alice@acme.example");
    ensure(right, || format!("{agent:?}"))
}

async fn rotation(m: &Mock) -> Result<(), ErrorMessage> {
    let phone = phone_of_alice(m).await?;
    let first = next_token(&phone).await?;
    let phone = phone.restart().await?;
    let second = next_token(&phone).await?;
    ensure(first != second, || "an access token came twice".into())?;
    let refreshes = phone.line.refreshes();
    let says_who = |sent: &Sent| sent.answer.as_ref().is_some_and(|answer| answer.body.get("id_token").is_some());
    ensure(refreshes.len() == 2 && refreshes.iter().all(says_who), || format!("{} refreshes", refreshes.len()))
}

async fn used(m: &Mock) -> Result<(), ErrorMessage> {
    let phone = phone_of_alice(m).await?;
    next_token(&phone).await?;
    m.issuer.refresh(APP, &phone.used_up()?).await?.is_invalid_grant()?;
    next_token(&phone).await.map(|_| ())
}

async fn stolen(m: &Mock) -> Result<(), ErrorMessage> {
    let phone = phone_of_alice(m).await?;
    next_token(&phone).await?;
    let newest = phone.line.refreshes().pop().and_then(|sent| sent.answer).map(|answer| answer.body);
    let newest = newest.and_then(|body| body.get("refresh_token")?.as_str().map(str::to_owned));
    let taken = m.issuer.refresh(APP, &newest.ok_or("no refresh token came")?).await?;
    ensure(taken.status == 200, || format!("{taken:?}"))?;
    phone.clock.jump(LATER);
    phone.is_over("unknown refresh_token", &[ReauthReason::Revoked]).await
}

async fn sign_out(m: &Mock) -> Result<(), ErrorMessage> {
    let phone = phone_of_alice(m).await?;
    next_token(&phone).await?;
    phone.core.sign_out().await.map_err(text)?;
    let token = phone.revoked().await?;
    ensure(token != phone.used_up()?, || "it revoked a token that was used up".into())?;
    m.issuer.refresh(APP, &token).await?.is_invalid_grant()?;
    let page = phone.core.sign_out_page(None).ok_or("no page ends the session in the browser")?;
    ensure(page.path() == "/acme/endsession", || page.to_string())
}
