//! What a phone may rely on when the issuer is `oidc-provider`.

use std::path::{Path, PathBuf};

use hookswitch::{
    SignInOptions,
    machine::{Failure, IssuerProfile, ReauthReason, view::SessionState},
};
use serde_json::Value;

use crate::{
    browser::{Browser, Page},
    phone::{App, InteropPhone, forge},
    provider::Provider,
    report::{ErrorMessage, Report, ensure, text},
};

const MOBILE: &str = "hookswitch-mobile";
/// Left to the default: refresh tokens for `prompt=consent` only.
const STRICT: &str = "hookswitch-strict";

async fn phone(provider: &Provider, client_id: &str) -> Result<InteropPhone, ErrorMessage> {
    phone_that_asks(provider, client_id, SignInOptions::default()).await
}

async fn phone_that_asks(p: &Provider, client_id: &str, sign_in: SignInOptions) -> Result<InteropPhone, ErrorMessage> {
    // It only issues tokens; nobody goes to the API here.
    let issuer = p.issuer.name.clone();
    let profile = IssuerProfile::Unknown;
    InteropPhone::new(&App { server: issuer.clone(), issuer, client_id: client_id.to_owned(), profile, sign_in }).await
}

/// Signs in, and agrees.
async fn agree(browser: &Browser, page: Page) -> Result<Page, ErrorMessage> {
    let page = browser.fill_in(&page, &[("login", "alice"), ("password", "any")]).await?;
    browser.fill_in(&page, &[("prompt", "consent")]).await
}

async fn phone_of_alice(provider: &Provider) -> Result<InteropPhone, ErrorMessage> {
    let phone = phone(provider, MOBILE).await?;
    phone.sign_in(&Browser::new()?, agree).await?;
    Ok(phone)
}

/// Starts it, and checks.
pub(crate) async fn run(folder: &Path, log: PathBuf, report: &mut Report) -> Result<(), ErrorMessage> {
    let provider = Provider::start(folder, log).await?;
    let p = &provider;
    report.check("a password signs in, with PKCE, nonce and `iss`", password(p)).await;
    report
        .check("a redirect with another state, or another or no `iss`, is refused and the sign-in waits", forged(p))
        .await;
    report.check("a sign-in is pushed ahead of the browser, whose address then says nothing", pushed(p)).await;
    report.check("whoever leaves the page declines nothing, and a newer sign-in wins", newer_wins(p)).await;
    report.check("tokens rotate refresh by refresh, and a restart loses none", rotation(p)).await;
    report.check("a refresh token used twice ends the session, and a new sign-in mends it", reuse(p)).await;
    report.check("signing out revokes at the server", sign_out(p)).await;
    report.check("a session that an administrator ends wants a new sign-in", admin_ends(p)).await;
    report.check("an issuer that gives no refresh token is refused plainly", no_refresh_token(p)).await;
    report.check("an issuer that wants `prompt=consent` for it can be asked that way", prompt_consent(p)).await;
    Ok(())
}

async fn password(p: &Provider) -> Result<(), ErrorMessage> {
    let phone = phone_of_alice(p).await?;
    let agent = phone.signed_in()?;
    ensure(agent.account.as_str() == "alice", || format!("{agent:?}"))?;
    let told = p.issuer.userinfo(&phone.token().await.map_err(text)?).await?;
    let email = told.body.get("email").and_then(Value::as_str);
    ensure(email == Some("alice@acme.example"), || format!("the token is known as {told:?}"))
}

async fn pushed(p: &Provider) -> Result<(), ErrorMessage> {
    p.issuer.endpoint("pushed_authorization_request_endpoint")?;
    let address = phone(p, MOBILE).await?.begin().await?;
    let url = url::Url::parse(&address).map_err(text)?;
    let mut names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    names.sort();
    ensure(names == ["client_id", "request_uri"], || address)
}

async fn forged(p: &Provider) -> Result<(), ErrorMessage> {
    let (phone, browser) = (phone(p, MOBILE).await?, Browser::new()?);
    let page = agree(&browser, browser.open(&phone.begin().await?).await?).await?;
    let redirect = page.redirect()?;
    let evil = format!("{}x", p.issuer.name);
    for (name, value) in [("state", Some("another")), ("state", None), ("iss", Some(evil.as_str())), ("iss", None)] {
        let refused = phone.core.finish_login(&forge(redirect, name, value)?).await;
        ensure(matches!(refused, Err(Failure::Forbidden { .. })), || format!("{name} {value:?}: {refused:?}"))?;
        phone.waits_for_the_browser()?;
    }
    phone.core.finish_login(redirect).await.map_err(text)?;
    phone.signed_in().map(|_| ())
}

async fn newer_wins(p: &Provider) -> Result<(), ErrorMessage> {
    let (phone, left) = (phone(p, MOBILE).await?, Browser::new()?);
    let older = left.open(&phone.begin().await?).await?;
    phone.waits_for_the_browser()?;
    let browser = Browser::new()?;
    let newer = agree(&browser, browser.open(&phone.begin().await?).await?).await?;
    let older = agree(&left, older).await?;
    let refused = phone.core.finish_login(older.redirect()?).await;
    ensure(matches!(refused, Err(Failure::Forbidden { .. })), || format!("the older one: {refused:?}"))?;
    phone.core.finish_login(newer.redirect()?).await.map_err(text)?;
    phone.signed_in().map(|_| ())
}

async fn rotation(p: &Provider) -> Result<(), ErrorMessage> {
    let phone = phone_of_alice(p).await?;
    let first = phone.token().await.map_err(text)?;
    let second = phone.next_token().await.map_err(text)?;
    let phone = phone.restart().await?;
    let third = phone.next_token().await.map_err(text)?;
    ensure(first != second && second != third, || "an access token came twice".into())?;
    let refreshes = phone.line.refreshes();
    let used: Vec<_> = refreshes.iter().filter_map(|sent| sent.get("refresh_token")).collect();
    let [one, two] = used.as_slice() else { return Err(format!("{} refreshes instead of two", used.len())) };
    ensure(one != two, || "the refresh token did not rotate".into())
}

async fn reuse(p: &Provider) -> Result<(), ErrorMessage> {
    let phone = phone_of_alice(p).await?;
    phone.next_token().await.map_err(text)?;
    p.issuer.refresh(MOBILE, &phone.used_up()?).await?.is_invalid_grant()?;
    phone.is_over("", &[ReauthReason::Revoked]).await?;
    phone.sign_in(&Browser::new()?, agree).await?;
    phone.next_token().await.map(|_| ()).map_err(text)
}

async fn sign_out(p: &Provider) -> Result<(), ErrorMessage> {
    let phone = phone_of_alice(p).await?;
    let access = phone.next_token().await.map_err(text)?;
    phone.core.sign_out().await.map_err(text)?;
    let token = phone.revoked().await?;
    ensure(token != phone.used_up()?, || "it revoked a token that was used up".into())?;
    p.issuer.refresh(MOBILE, &token).await?.is_invalid_grant()?;
    let told = p.issuer.userinfo(&access).await?;
    ensure(told.status == 401, || format!("the access token is still good: {told:?}"))
}

async fn admin_ends(p: &Provider) -> Result<(), ErrorMessage> {
    let phone = phone_of_alice(p).await?;
    p.end_all().await?;
    phone.token().await.map_err(|failure| format!("the token at hand: {failure}"))?;
    phone.is_over("", &[ReauthReason::Revoked]).await
}

async fn no_refresh_token(p: &Provider) -> Result<(), ErrorMessage> {
    let (phone, browser) = (phone(p, STRICT).await?, Browser::new()?);
    let page = agree(&browser, browser.open(&phone.begin().await?).await?).await?;
    let refused = phone.core.finish_login(page.redirect()?).await;
    let Err(Failure::Internal { why }) = &refused else { return Err(format!("{refused:?}")) };
    ensure(why.contains("refresh token"), || why.clone())?;
    ensure(matches!(phone.session(), SessionState::SignedOut { .. }), || format!("{:?}", phone.session()))
}

async fn prompt_consent(p: &Provider) -> Result<(), ErrorMessage> {
    let sign_in = SignInOptions { prompt: Some("consent".into()), ..SignInOptions::default() };
    let (phone, browser) = (phone_that_asks(p, STRICT, sign_in).await?, Browser::new()?);
    let page = agree(&browser, browser.open(&phone.begin().await?).await?).await?;
    phone.core.finish_login(page.redirect()?).await.map_err(text)?;
    phone.next_token().await.map(|_| ()).map_err(text)
}
