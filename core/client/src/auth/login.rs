//! The address of the login page, and the redirect that comes back (RFC 6749, section 4.1; RFC 7636; RFC 8252).

use bytes::Bytes;
use hookswitch_machine::{Failure, Outcome, PendingLogin, Redirect, is_secure_address};
use hookswitch_wire::TokenError;
use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, basic::BasicClient,
};
use secrecy::ExposeSecret;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    answer::{self, Answer},
    config::{Config, SignInOptions},
    ports::Http,
    secrets::Secrets,
};

/// The address to open in the system browser.
pub(crate) fn authorization_url(
    endpoint: &str,
    config: &Config,
    pending: &PendingLogin,
    secrets: &Secrets,
) -> Result<Url, Failure> {
    let SignInOptions { scopes, resources, prompt, ui_locales, extra } = &config.sign_in;
    let gone = || Failure::internal("The sign-in is not known any more. Start it again.");
    let bad = |what: &str| Failure::internal(format!("The sign-in server's {what} is not an address."));
    if !is_secure_address(endpoint) {
        return Err(Failure::internal("The sign-in server's login page is not https, and is not opened."));
    }
    let state = secrets.get(pending.state).ok_or_else(gone)?;
    let nonce = secrets.get(pending.nonce).ok_or_else(gone)?;
    let verifier = PkceCodeVerifier::new(secrets.get(pending.verifier).ok_or_else(gone)?.expose_secret().to_owned());
    let client = BasicClient::new(ClientId::new(config.client_id.clone()))
        .set_auth_uri(AuthUrl::new(endpoint.to_owned()).map_err(|_| bad("login page"))?)
        .set_redirect_uri(RedirectUrl::new(pending.redirect_uri.clone()).map_err(|_| bad("redirect"))?);
    let mut request = client
        .authorize_url(|| CsrfToken::new(state.expose_secret().to_owned()))
        .add_scopes(scopes.iter().map(|scope| Scope::new(scope.clone())))
        .add_extra_param("nonce", nonce.expose_secret())
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
    for (name, value) in [("login_hint", &pending.hint), ("prompt", prompt), ("ui_locales", ui_locales)] {
        if let Some(value) = value {
            request = request.add_extra_param(name, value);
        }
    }
    for resource in resources {
        request = request.add_extra_param("resource", resource);
    }
    for (name, value) in extra {
        request = request.add_extra_param(name, value);
    }
    Ok(request.url().0)
}

/// Leaves the parameters of a sign-in with the issuer, ahead of the browser (RFC 9126, section 2): there nobody can read or change
/// them on their way.
pub(crate) async fn push(
    http: &dyn Http,
    endpoint: &str,
    authorization_endpoint: &str,
    config: &Config,
    pending: &PendingLogin,
    secrets: &Secrets,
) -> Answer {
    let unusable = |cause: &str| Answer::without_time(Outcome::NotSent { cause: cause.to_owned() });
    if !is_secure_address(endpoint) {
        return unusable("the sign-in server's address is not https");
    }
    let Ok(page) = authorization_url(authorization_endpoint, config, pending, secrets) else {
        return unusable("the login page has no address");
    };
    let form = page.query().unwrap_or_default().to_owned();
    let request = http::Request::post(endpoint)
        .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(http::header::ACCEPT, "application/json");
    let Ok(request) = request.body(Bytes::from(form)) else { return unusable("the request cannot be written") };
    answer::exchange(http, request, answer::SMALL_BODY, |head, body| {
        let pushed = serde_json::from_slice::<Pushed>(body).ok().filter(|_| head.status.is_success());
        match (pushed, serde_json::from_slice::<TokenError>(body)) {
            // (Those who answer with 200 in place of 201 mean the same.)
            (Some(Pushed { request_uri }), _) => Outcome::LoginPushed { request_uri },
            (None, Ok(refusal)) if head.status.is_client_error() && !answer::is_page(head) => Outcome::OAuthError {
                error: answer::excerpt(&refusal.error),
                description: refusal.error_description.as_deref().map(answer::excerpt),
            },
            (None, Ok(_) | Err(_)) => answer::unintelligible(head, "not an answer to a pushed sign-in".into()),
        }
    })
    .await
}

/// RFC 9126, section 2.2.
#[derive(serde::Deserialize)]
struct Pushed {
    request_uri: String,
}

/// The address to open in the system browser when the issuer has the parameters already (RFC 9126, section 4).
pub(crate) fn pushed_url(endpoint: &str, client_id: &str, request_uri: &str) -> Result<Url, Failure> {
    let parameters = [("client_id", client_id), ("request_uri", request_uri)];
    page_with(endpoint, &parameters)
        .ok_or_else(|| Failure::internal("The sign-in server's login page is not https, and is not opened."))
}

/// The address that ends the issuer's session in the browser (OpenID Connect RP-Initiated Logout 1.0, section 2).
pub(crate) fn sign_out_url(endpoint: &str, client_id: &str, return_to: Option<&str>) -> Option<Url> {
    let back = return_to.map(|address| ("post_logout_redirect_uri", address));
    let parameters: Vec<_> = [("client_id", client_id)].into_iter().chain(back).collect();
    page_with(endpoint, &parameters)
}

fn page_with(endpoint: &str, parameters: &[(&str, &str)]) -> Option<Url> {
    let mut page = Url::parse(endpoint).ok().filter(|_| is_secure_address(endpoint))?;
    page.query_pairs_mut().extend_pairs(parameters);
    Some(page)
}

/// Takes a redirect apart. What it must be is the machine's question.
///
/// # Errors
/// When it is not an address at all, or longer than any redirect of an issuer.
pub(crate) fn parse_redirect(address: &str, secrets: &Secrets) -> Result<Redirect, Failure> {
    const LONGEST: usize = 16 * 1024;
    let refused = || Failure::forbidden("This is not the address of a finished sign-in.");
    if address.len() > LONGEST {
        return Err(refused());
    }
    let url = Url::parse(address).map_err(|_| refused())?;
    let target = address.split(['?', '#']).next().unwrap_or_default().to_owned();
    let (mut state, mut code) = (None, None);
    let mut redirect =
        Redirect { target, state: None, code: None, iss: None, error: None, error_description: None, repeated: false };
    for (name, value) in url.query_pairs() {
        let taken = match name.as_ref() {
            "state" => state.replace(Zeroizing::new(value.into_owned())).is_some(),
            "code" => code.replace(Zeroizing::new(value.into_owned())).is_some(),
            "iss" => redirect.iss.replace(value.into_owned()).is_some(),
            "error" => redirect.error.replace(value.chars().take(64).collect()).is_some(),
            "error_description" => redirect.error_description.replace(answer::excerpt(&value)).is_some(),
            _ => false,
        };
        redirect.repeated |= taken;
    }
    // Named at the end: a name that is not handed on would never be forgotten.
    redirect.state = state.map(|state| secrets.name(&state));
    redirect.code = code.map(|code| secrets.name(&code));
    Ok(redirect)
}

#[cfg(test)]
mod tests {
    use hookswitch_wire::UnixMillis;

    use super::*;
    use proptest::prelude::*;

    fn pending(secrets: &Secrets) -> PendingLogin {
        PendingLogin {
            redirect_uri: "dev.hookswitch.agent:/callback".into(),
            state: secrets.name("the-state"),
            nonce: secrets.name("the-nonce"),
            verifier: secrets.name("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            hint: Some("alice@acme.example".into()),
            began_at: UnixMillis(0),
            began_mono: None,
        }
    }

    fn config() -> Config {
        Config {
            issuer: "https://id.example".into(),
            server: "https://api.example".into(),
            client_id: "app".into(),
            redirect_uris: vec![],
            profile: hookswitch_machine::IssuerProfile::Unknown,
            sign_in: SignInOptions::default(),
            session_life: None,
            device: crate::DeviceDescription {
                name: "phone".into(),
                platform: hookswitch_wire::Platform::Ios,
                app_version: "1".into(),
            },
            folder: "nowhere".into(),
            process: "app".into(),
        }
    }

    fn query(url: &Url) -> Vec<(String, String)> {
        url.query_pairs().into_owned().collect()
    }

    #[test]
    fn the_configuration_says_what_a_sign_in_asks_for() {
        let secrets = Secrets::default();
        let page = "https://id.example/authorize?tenant=acme";
        let sign_in = SignInOptions {
            scopes: vec!["openid".into(), "calls".into()],
            resources: vec!["https://a.example/".into(), "https://b.example/".into()],
            prompt: Some("login".into()),
            ui_locales: Some("fr-CA fr".into()),
            extra: vec![("kc_idp_hint".into(), "saml".into())],
        };
        let url = authorization_url(page, &Config { sign_in, ..config() }, &pending(&secrets), &secrets).unwrap();
        let said = query(&url);
        for (name, value) in [
            ("tenant", "acme"),
            ("scope", "openid calls"),
            ("resource", "https://a.example/"),
            ("resource", "https://b.example/"),
            ("prompt", "login"),
            ("ui_locales", "fr-CA fr"),
            ("kc_idp_hint", "saml"),
        ] {
            assert!(said.contains(&(name.into(), value.into())), "{name}={value}: {said:?}");
        }
        let usual = query(&authorization_url(page, &config(), &pending(&secrets), &secrets).unwrap());
        assert!(usual.contains(&("scope".into(), "openid email profile offline_access".into())), "{usual:?}");
    }

    #[tokio::test]
    async fn a_sign_in_is_pushed_as_it_would_have_been_opened() {
        use crate::answer::parsers::Said;
        let page = "https://id.example/authorize";
        let secrets = Secrets::default();
        let answers = async |status: u16, media_type: &str, body: &str| {
            let pieces = vec![Bytes::copy_from_slice(body.as_bytes())];
            let here = Said { status, media_type: media_type.into(), pieces };
            push(&here, "https://id.example/par", page, &config(), &pending(&secrets), &secrets).await.outcome
        };
        let taken = r#"{"request_uri":"urn:ietf:params:oauth:request_uri:6esc","expires_in":60}"#;
        let request_uri = "urn:ietf:params:oauth:request_uri:6esc".to_owned();
        assert_eq!(answers(201, "application/json", taken).await, Outcome::LoginPushed { request_uri });
        let refused = r#"{"error":"invalid_request"}"#;
        assert!(matches!(answers(400, "application/json", refused).await, Outcome::OAuthError { .. }));
        for (status, media_type, body) in [(404, "text/html", "<html>"), (400, "text/html", refused), (201, "", "{}")] {
            let outcome = answers(status, media_type, body).await;
            assert!(matches!(outcome, Outcome::Unintelligible { .. }), "{status}: {outcome:?}");
        }
        assert!(matches!(answers(503, "", "").await, Outcome::Unavailable { .. }));
        let here = Said { status: 201, media_type: "application/json".into(), pieces: vec![] };
        let answer = push(&here, "http://id.example/par", page, &config(), &pending(&secrets), &secrets).await;
        assert!(matches!(answer.outcome, Outcome::NotSent { .. }), "{answer:?}");

        let url = pushed_url("https://id.example/authorize?tenant=acme", "app", "urn:a b").unwrap();
        assert_eq!(url.as_str(), "https://id.example/authorize?tenant=acme&client_id=app&request_uri=urn%3Aa+b");
        assert!(pushed_url("javascript:0", "app", "urn:a").is_err());
    }

    #[test]
    fn the_issuers_own_session_is_ended_on_its_page() {
        let url = sign_out_url("https://id.example/logout", "app", Some("dev.hookswitch.agent:/out")).unwrap();
        assert_eq!(
            query(&url),
            [("client_id", "app"), ("post_logout_redirect_uri", "dev.hookswitch.agent:/out")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert!(sign_out_url("http://id.example/logout", "app", None).is_none());
    }

    #[test]
    fn the_login_page_is_asked_with_pkce_state_nonce_and_hint() {
        let secrets = Secrets::default();
        let url = authorization_url("https://id.example/authorize", &config(), &pending(&secrets), &secrets).unwrap();
        let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
        // The example of RFC 7636, appendix B.
        assert_eq!(query["code_challenge"], "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["state"], "the-state");
        assert_eq!(query["nonce"], "the-nonce");
        assert_eq!(query["login_hint"], "alice@acme.example");
        assert_eq!(query["redirect_uri"], "dev.hookswitch.agent:/callback");
        assert!(!url.as_str().contains("dBjftJeZ4CVP"), "the verifier must stay at home");
    }

    #[test]
    fn a_login_page_that_is_not_https_is_not_opened() {
        let secrets = Secrets::default();
        for page in ["javascript:alert(1)", "http://id.example/authorize", "intent://id.example#Intent;end", ""] {
            assert!(authorization_url(page, &config(), &pending(&secrets), &secrets).is_err(), "{page}");
        }
    }

    #[test]
    fn a_redirect_is_taken_apart_with_its_secrets_named() {
        let secrets = Secrets::default();
        let state = secrets.name("s");
        let redirect =
            parse_redirect("dev.hookswitch.agent:/callback?code=c&state=s&iss=https%3A%2F%2Fid", &secrets).unwrap();
        assert_eq!(redirect.target, "dev.hookswitch.agent:/callback");
        assert_eq!(redirect.state, Some(state));
        assert_eq!(redirect.iss.as_deref(), Some("https://id"));
        assert!(redirect.code.is_some() && redirect.error.is_none() && !redirect.repeated);
        assert!(parse_redirect("dev.hookswitch.agent:/callback?state=s&state=t", &secrets).unwrap().repeated);
    }

    #[test]
    fn what_the_issuer_says_with_a_refusal_is_read_and_cleaned() {
        let redirect = "app:/cb?state=s&error=server_error&error_description=Out%20of%0A%E2%80%AE%20order";
        let redirect = parse_redirect(redirect, &Secrets::default()).unwrap();
        assert_eq!(redirect.error.as_deref(), Some("server_error"));
        assert_eq!(redirect.error_description.as_deref(), Some("Out of order"));
    }

    #[test]
    fn a_redirect_leaves_nothing_behind_that_it_does_not_hand_on() {
        let secrets = Secrets::default();
        let before = secrets.name("before");
        let many = "app:/callback?code=0".to_owned() + &(1..1_000).map(|n| format!("&code={n}")).collect::<String>();
        let redirect = parse_redirect(&many, &secrets).unwrap();
        assert!(redirect.repeated);
        assert_eq!(redirect.code, Some(hookswitch_machine::SecretRef(before.0 + 1)), "of a thousand, one was named");
    }

    proptest! {
        #[test]
        fn any_text_is_a_redirect_or_an_error(text: String) {
            let _ = parse_redirect(&text, &Secrets::default());
        }
    }
}
