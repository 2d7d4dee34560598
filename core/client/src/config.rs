//! What the app says about itself and its server.

use std::{path::PathBuf, time::Duration};

use hookswitch_machine::{Failure, IssuerProfile, is_secure_address};
use hookswitch_wire::Platform;
use url::Url;

/// What the app says about itself and its server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The authorization server, exactly as its metadata names it. `https`, or `http` on loopback.
    pub issuer: String,
    /// Where the API is. `https`, or `http` on loopback.
    pub server: String,
    /// The name under which the issuer knows the app (RFC 6749, section 2.2): a public client's, no secret.
    pub client_id: String,
    /// The registered redirect URIs, best first: a claimed https link, then a private-use scheme (RFC 8252, section 7).
    pub redirect_uris: Vec<String>,
    /// What kind of issuer it is: how soon a refresh whose answer was lost must be repeated, and what its refusals mean.
    pub profile: IssuerProfile,
    /// What a sign-in asks the issuer for.
    pub sign_in: SignInOptions,
    /// How long after a sign-in the issuer ends the session whatever happens, where its policy is known: the agent is told three days
    /// before ([`machine::view::SessionHealth::Ending`](crate::machine::view::SessionHealth::Ending)). `None`: what the issuer says
    /// counts, if it says anything.
    pub session_life: Option<Duration>,
    /// What this phone is called and what it is.
    pub device: DeviceDescription,
    /// A folder of the app's own, not backed up. iOS: shared with the notification extension; protection class "until
    /// first user authentication", or a push before the first unlock finds nothing.
    pub folder: PathBuf,
    /// The kind of process that this is: "app", "notification". Processes that share the folder and may run at the same
    /// time must have different names. A process that finds its own name on a lease knows that its predecessor was
    /// killed, and need not wait for the lease to end; that is right only where the platform runs one process of each
    /// kind, as iOS and Android do.
    pub process: String,
}

/// What a sign-in asks the issuer for. Issuers differ, and some refuse what others need: docs/issuers.md.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInOptions {
    /// RFC 6749, section 3.3, in order. `openid` must be among them; `offline_access` is what most issuers give a refresh token for,
    /// and Amazon Cognito refuses it.
    pub scopes: Vec<String>,
    /// The APIs that the access token is for (RFC 8707), as absolute addresses. Said again to the token endpoint.
    pub resources: Vec<String>,
    /// What the page asks of the person in any case (OpenID Connect Core, section 3.1.2.1): `login` on a phone that several people
    /// share, `consent` where an issuer gives refresh tokens for nothing less, `select_account`.
    pub prompt: Option<String>,
    /// The languages of the page, best first (OpenID Connect Core, section 3.1.2.1): `fr-CA fr en`.
    pub ui_locales: Option<String>,
    /// What one issuer has and no standard: `audience` (Auth0), `kc_idp_hint` (Keycloak), `domain_hint` (Entra ID), `identity_provider`
    /// (Amazon Cognito). None of the parameters that protect a sign-in.
    pub extra: Vec<(String, String)>,
}

impl Default for SignInOptions {
    fn default() -> Self {
        Self {
            scopes: ["openid", "email", "profile", "offline_access"].map(str::to_owned).into(),
            resources: Vec::new(),
            prompt: None,
            ui_locales: None,
            extra: Vec::new(),
        }
    }
}

/// What the core says itself in the address of the login page, or what would say it another way (RFC 9101, RFC 9126): never from the
/// configuration.
const RESERVED: [&str; 18] = [
    "client_id",
    "response_type",
    "response_mode",
    "redirect_uri",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "scope",
    "resource",
    "prompt",
    "ui_locales",
    "login_hint",
    "request",
    "request_uri",
    "max_age",
    "client_secret",
    "registration",
];

impl SignInOptions {
    fn checked(&self) -> Result<(), Failure> {
        let wrong = |what: String| Err(Failure::internal(format!("The sign-in options are wrong: {what}.")));
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return wrong("without the scope openid nobody knows who has signed in".into());
        }
        // RFC 6749, appendix A.4.
        let is_scope = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if let Some(scope) = self.scopes.iter().find(|scope| scope.is_empty() || !scope.bytes().all(is_scope)) {
            return wrong(format!("{scope:?} is no scope"));
        }
        // RFC 8707, section 2.
        let is_resource = |address: &String| Url::parse(address).is_ok_and(|url| url.fragment().is_none());
        if let Some(resource) = self.resources.iter().find(|address| !is_resource(address)) {
            return wrong(format!("{resource:?} is no absolute address without a fragment"));
        }
        match self.extra.iter().find(|(name, _)| name.is_empty() || RESERVED.contains(&name.as_str())) {
            Some((name, _)) => wrong(format!("{name:?} is not for the configuration to say")),
            None => Ok(()),
        }
    }
}

/// What this phone is called and what it is.
#[derive(Clone, Debug)]
pub struct DeviceDescription {
    /// For display: "Alice's iPhone".
    pub name: String,
    /// Decides what a ring decision means for the call UI.
    pub platform: Platform,
    /// The version of the app, for display and support.
    pub app_version: String,
}

impl Config {
    /// The server's address, once both addresses are known to be safe and the sign-in can be asked for.
    pub(crate) fn checked(&self) -> Result<Url, Failure> {
        secure(&self.issuer, "issuer")?;
        self.sign_in.checked()?;
        secure(&self.server, "server")
    }
}

/// Tokens travel to these addresses.
fn secure(address: &str, what: &str) -> Result<Url, Failure> {
    let url = Url::parse(address).map_err(|_| Failure::internal(format!("The {what}'s address is not an address.")))?;
    if is_secure_address(address) {
        Ok(url)
    } else {
        Err(Failure::internal(format!("The {what}'s address must be https.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_protects_a_sign_in_is_not_for_the_configuration_to_say() {
        let usual = SignInOptions::default();
        let extra = |name: &str| SignInOptions { extra: vec![(name.into(), "x".into())], ..usual.clone() };
        let scopes = |scopes: &[&str]| SignInOptions {
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            ..usual.clone()
        };
        let resource = |address: &str| SignInOptions { resources: vec![address.into()], ..usual.clone() };
        for good in [
            usual.clone(),
            extra("audience"),
            extra("kc_idp_hint"),
            scopes(&["openid", "calls:answer"]),
            resource("https://calls.example/v1"),
        ] {
            assert!(good.checked().is_ok(), "{good:?}");
        }
        for bad in [
            extra("redirect_uri"),
            extra("state"),
            extra("request_uri"),
            extra("code_challenge_method"),
            extra(""),
            scopes(&[]),
            scopes(&["profile"]),
            scopes(&["openid", "two words"]),
            scopes(&["openid", ""]),
            resource("calls"),
            resource("https://calls.example/#v1"),
        ] {
            assert!(bad.checked().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tokens_travel_over_tls_or_stay_on_the_device() {
        for good in ["https://id.example", "http://127.0.0.1:8080", "http://[::1]:1"] {
            assert!(secure(good, "issuer").is_ok(), "{good}");
        }
        for bad in ["http://id.example", "http://localhost.example", "ftp://id.example", "id.example", ""] {
            assert!(secure(bad, "issuer").is_err(), "{bad}");
        }
    }
}
