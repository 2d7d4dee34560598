//! The address of the login page, and the redirect that comes back (RFC 6749, section 4.1; RFC 7636; RFC 8252).

use hookswitch_machine::{Failure, PendingLogin, Redirect, is_secure_address};
use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, basic::BasicClient,
};
use secrecy::ExposeSecret;
use url::Url;
use zeroize::Zeroizing;

use crate::secrets::Secrets;

const SCOPES: [&str; 4] = ["openid", "email", "profile", "offline_access"];

/// The address to open in the system browser.
pub(crate) fn authorization_url(
    endpoint: &str,
    client_id: &str,
    pending: &PendingLogin,
    secrets: &Secrets,
) -> Result<Url, Failure> {
    let gone = || Failure::internal("The sign-in is not known any more. Start it again.");
    let bad = |what: &str| Failure::internal(format!("The sign-in server's {what} is not an address."));
    if !is_secure_address(endpoint) {
        return Err(Failure::internal("The sign-in server's login page is not https, and is not opened."));
    }
    let state = secrets.get(pending.state).ok_or_else(gone)?;
    let nonce = secrets.get(pending.nonce).ok_or_else(gone)?;
    let verifier = PkceCodeVerifier::new(secrets.get(pending.verifier).ok_or_else(gone)?.expose_secret().to_owned());
    let client = BasicClient::new(ClientId::new(client_id.to_owned()))
        .set_auth_uri(AuthUrl::new(endpoint.to_owned()).map_err(|_| bad("login page"))?)
        .set_redirect_uri(RedirectUrl::new(pending.redirect_uri.clone()).map_err(|_| bad("redirect"))?);
    let mut request = client
        .authorize_url(|| CsrfToken::new(state.expose_secret().to_owned()))
        .add_scopes(SCOPES.map(|scope| Scope::new(scope.to_owned())))
        .add_extra_param("nonce", nonce.expose_secret())
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
    if let Some(hint) = &pending.hint {
        request = request.add_extra_param("login_hint", hint);
    }
    Ok(request.url().0)
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
    let mut redirect = Redirect { target, state: None, code: None, iss: None, error: None, repeated: false };
    for (name, value) in url.query_pairs() {
        let taken = match name.as_ref() {
            "state" => state.replace(Zeroizing::new(value.into_owned())).is_some(),
            "code" => code.replace(Zeroizing::new(value.into_owned())).is_some(),
            "iss" => redirect.iss.replace(value.into_owned()).is_some(),
            "error" => redirect.error.replace(value.chars().take(64).collect()).is_some(),
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

    #[test]
    fn the_login_page_is_asked_with_pkce_state_nonce_and_hint() {
        let secrets = Secrets::default();
        let url = authorization_url("https://id.example/authorize", "app", &pending(&secrets), &secrets).unwrap();
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
            assert!(authorization_url(page, "app", &pending(&secrets), &secrets).is_err(), "{page}");
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
