//! What an issuer's metadata mean for the apps: pure functions of the document.
//!
//! The core's own rules are in `core/machine/src/metadata.rs`, and are fewer: it refuses what is dangerous. Here is what is worth
//! knowing before an agent meets it.

use hookswitch::machine::{IssuerProfile, is_secure_address};
use serde_json::Value;
use url::Url;

/// How much something matters, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// Agents cannot sign in.
    Fails,
    /// It works, and somebody must know or do something.
    Mind,
    /// As it should be.
    Works,
}

impl Weight {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Fails => "FAILS",
            Self::Mind => "mind",
            Self::Works => "works",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) weight: Weight,
    pub(crate) what: String,
}

fn finding(weight: Weight, what: impl Into<String>) -> Finding {
    Finding { weight, what: what.into() }
}

fn text<'a>(metadata: &'a Value, name: &str) -> Option<&'a str> {
    metadata.get(name).and_then(Value::as_str)
}

fn is_true(metadata: &Value, name: &str) -> bool {
    metadata.get(name).and_then(Value::as_bool).unwrap_or_default()
}

/// Whether a list has a word; `None`: there is no list.
fn lists(metadata: &Value, name: &str, word: &str) -> Option<bool> {
    let list = metadata.get(name)?.as_array()?;
    Some(list.iter().any(|entry| entry.as_str() == Some(word)))
}

/// Judges an issuer's metadata (RFC 8414; OpenID Connect Discovery 1.0), asked under this name.
pub(crate) fn judge(metadata: &Value, issuer: &str) -> Vec<Finding> {
    let mut all = vec![name(metadata, issuer)];
    all.extend(["authorization_endpoint", "token_endpoint"].map(|endpoint| match text(metadata, endpoint) {
        None => finding(Weight::Fails, format!("it names no {endpoint}")),
        Some(address) => secure(endpoint, address),
    }));
    all.extend([pkce(metadata), response(metadata), public_clients(metadata), refresh_tokens(metadata)]);
    all.extend([
        offline_access(metadata),
        revocation(metadata),
        iss(metadata),
        pushed(metadata),
        end_session(metadata),
    ]);
    all.extend(unusual(metadata));
    all
}

fn name(metadata: &Value, issuer: &str) -> Finding {
    match text(metadata, "issuer") {
        Some(named) if named == issuer => finding(Weight::Works, "it calls itself by the name that it was asked under"),
        // A template: https://login.microsoftonline.com/common calls itself so.
        Some(named) if named.contains('{') => finding(
            Weight::Fails,
            format!("it calls itself {named:?}, a name for many: configure the address of one tenant"),
        ),
        Some(named) => finding(
            Weight::Fails,
            format!("it calls itself {named:?}: configure exactly that, to the last slash (RFC 8414, section 3.3)"),
        ),
        None => finding(Weight::Fails, "it does not say its name"),
    }
}

fn secure(what: &str, address: &str) -> Finding {
    if is_secure_address(address) {
        finding(Weight::Works, format!("{what} is https, or on this device"))
    } else {
        finding(Weight::Fails, format!("{what} is {address:?}: not https, so nothing is sent there"))
    }
}

fn pkce(metadata: &Value) -> Finding {
    match lists(metadata, "code_challenge_methods_supported", "S256") {
        Some(true) => finding(Weight::Works, "PKCE with S256"),
        Some(false) => finding(Weight::Fails, "it lists its methods of PKCE, and S256 is not among them"),
        None => finding(
            Weight::Mind,
            "it does not list its methods of PKCE: S256 is sent all the same; make sure that it is checked, by a wrong code_verifier",
        ),
    }
}

fn response(metadata: &Value) -> Finding {
    if lists(metadata, "response_types_supported", "code") == Some(false) {
        return finding(Weight::Fails, "it gives no code (response_types_supported)");
    }
    if lists(metadata, "response_modes_supported", "query") == Some(false) {
        return finding(Weight::Fails, "it does not come back with a query (response_modes_supported)");
    }
    finding(Weight::Works, "authorization code in the query of the redirect")
}

fn public_clients(metadata: &Value) -> Finding {
    match lists(metadata, "token_endpoint_auth_methods_supported", "none") {
        Some(true) => finding(Weight::Works, "public clients: the app needs no secret"),
        // RFC 8414, section 2: without a list it is client_secret_basic. Entra ID, Okta and Cognito leave it out and take them.
        Some(false) | None => finding(
            Weight::Mind,
            "it does not say that it takes public clients (\"none\"): register the app as native, without a secret, and see that it is taken",
        ),
    }
}

fn refresh_tokens(metadata: &Value) -> Finding {
    match lists(metadata, "grant_types_supported", "refresh_token") {
        Some(true) => finding(Weight::Works, "refresh tokens"),
        Some(false) | None => finding(
            Weight::Mind,
            "it does not say that it gives refresh tokens: without one a sign-in is refused, since it would last for minutes",
        ),
    }
}

fn offline_access(metadata: &Value) -> Finding {
    match lists(metadata, "scopes_supported", "offline_access") {
        Some(true) => finding(Weight::Works, "the scope offline_access"),
        Some(false) => finding(
            Weight::Mind,
            "it does not list the scope offline_access, and may refuse a sign-in that asks for it: configure the scopes without it",
        ),
        None => finding(
            Weight::Mind,
            "it does not list its scopes: offline_access is asked for unless configured otherwise",
        ),
    }
}

fn revocation(metadata: &Value) -> Finding {
    match text(metadata, "revocation_endpoint") {
        Some(address) => secure("revocation_endpoint", address),
        None => finding(
            Weight::Mind,
            "it revokes no tokens: a sign-out forgets them on the phone, and the issuer takes them until they expire",
        ),
    }
}

fn iss(metadata: &Value) -> Finding {
    if is_true(metadata, "authorization_response_iss_parameter_supported") {
        finding(Weight::Works, "redirects say who they are from (RFC 9207), and are refused if they do not")
    } else {
        finding(
            Weight::Mind,
            "redirects do not say who they are from (RFC 9207): give each issuer of the app a redirect address of its own",
        )
    }
}

fn pushed(metadata: &Value) -> Finding {
    match text(metadata, "pushed_authorization_request_endpoint") {
        Some(address) if is_secure_address(address) => {
            finding(Weight::Works, "sign-ins are pushed ahead of the browser (RFC 9126)")
        }
        Some(address) => secure("pushed_authorization_request_endpoint", address),
        None if is_true(metadata, "require_pushed_authorization_requests") => {
            finding(Weight::Fails, "it wants sign-ins pushed ahead, and does not say where")
        }
        None => finding(Weight::Works, "sign-ins go by the browser's address alone"),
    }
}

fn end_session(metadata: &Value) -> Finding {
    match text(metadata, "end_session_endpoint") {
        Some(address) if is_secure_address(address) => {
            finding(Weight::Works, "a page that ends its session in the browser")
        }
        Some(_) | None => finding(
            Weight::Mind,
            "it has no page that ends its session in the browser: on a phone that several people share, use prompt=login or an ephemeral browser",
        ),
    }
}

fn unusual(metadata: &Value) -> Vec<Finding> {
    let mut all = Vec::new();
    if is_true(metadata, "require_signed_request_object") {
        all.push(finding(Weight::Fails, "it takes signed requests only (RFC 9101), which the apps do not make"));
    }
    if lists(metadata, "subject_types_supported", "public") == Some(false) {
        all.push(finding(
            Weight::Mind,
            "each client knows an agent by another `sub` (pairwise): the API must know them by the app's",
        ));
    }
    if is_true(metadata, "tls_client_certificate_bound_access_tokens") {
        all.push(finding(
            Weight::Mind,
            "it can bind tokens to certificates (RFC 8705), which the apps have not: leave that off",
        ));
    }
    all
}

/// Judges what the token endpoint says of a refresh token that never was.
pub(crate) fn judge_refusal(status: u16, media_type: &str, body: Option<&Value>) -> Finding {
    let Some(error) = body.and_then(|body| text(body, "error")) else {
        return finding(
            Weight::Mind,
            format!(
                "a dead refresh token gives {status} {media_type:?} without an OAuth error: agents stay \"offline\" with it"
            ),
        );
    };
    let page = matches!(media_type, "text/html" | "application/xhtml+xml");
    match error {
        "invalid_grant" if matches!(status, 400 | 401 | 403) => finding(
            Weight::Works,
            format!("a dead refresh token gives {status} invalid_grant, and the agent is asked to sign in"),
        ),
        "invalid_client" | "unauthorized_client" => finding(
            Weight::Fails,
            format!("the issuer does not know the app, or not as a public client: {status} {error}"),
        ),
        _ if page || !matches!(status, 400 | 401 | 403) => finding(
            Weight::Mind,
            format!("a dead refresh token gives {status} {error} as {media_type:?}: not taken for the issuer's word"),
        ),
        _ => finding(
            Weight::Mind,
            format!(
                "a token that never was gives {status} {error}: should a dead one give the same, the agent is asked to sign in at once if the \
                 core knows the word (docs/issuers.md), and after four hours if not"
            ),
        ),
    }
}

/// Which profile fits, by where the issuer is.
pub(crate) fn profile(issuer: &str) -> IssuerProfile {
    let url = Url::parse(issuer).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let is_at = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
    if is_at("login.microsoftonline.com") || is_at("ciamlogin.com") {
        IssuerProfile::Entra
    } else if is_at("okta.com") || is_at("oktapreview.com") {
        IssuerProfile::Okta
    } else if is_at("auth0.com") {
        IssuerProfile::Auth0
    } else if host.starts_with("cognito-idp.") && is_at("amazonaws.com") {
        IssuerProfile::Cognito
    } else if url.as_ref().is_some_and(|url| url.path().contains("/realms/")) {
        IssuerProfile::Keycloak
    } else {
        IssuerProfile::Unknown
    }
}

/// What to configure.
pub(crate) fn settings(metadata: &Value, issuer: &str) -> Vec<String> {
    let profile = profile(issuer);
    let mut all = vec![format!("issuer = {issuer:?}"), format!("profile = {profile:?}")];
    if lists(metadata, "scopes_supported", "offline_access") == Some(false) {
        all.push("scopes = openid email profile".to_owned());
    }
    if profile == IssuerProfile::Auth0 {
        all.push("extra: audience = the API's identifier, else the access token is opaque".to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://id.example";

    fn good() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://id.example/authorize",
            "token_endpoint": "https://id.example/token",
            "revocation_endpoint": "https://id.example/revoke",
            "end_session_endpoint": "https://id.example/logout",
            "pushed_authorization_request_endpoint": "https://id.example/par",
            "code_challenge_methods_supported": ["plain", "S256"],
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "scopes_supported": ["openid", "offline_access"],
            "authorization_response_iss_parameter_supported": true,
            "subject_types_supported": ["public"],
        })
    }

    fn worst(metadata: &Value) -> (Weight, String) {
        let findings = judge(metadata, ISSUER);
        let worst = findings.iter().map(|finding| finding.weight).min().unwrap();
        let words = findings.iter().filter(|finding| finding.weight == worst).map(|finding| finding.what.as_str());
        (worst, words.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn an_issuer_that_has_it_all_works() {
        assert_eq!(worst(&good()).0, Weight::Works);
    }

    #[test]
    fn each_thing_that_is_missing_or_wrong_is_said() {
        let table = [
            ("issuer", json!("https://id.example/"), Weight::Fails, "last slash"),
            ("issuer", json!("https://id.example/{tenantid}/v2.0"), Weight::Fails, "one tenant"),
            ("issuer", Value::Null, Weight::Fails, "its name"),
            ("authorization_endpoint", json!("http://id.example/a"), Weight::Fails, "not https"),
            ("token_endpoint", Value::Null, Weight::Fails, "no token_endpoint"),
            ("code_challenge_methods_supported", json!(["plain"]), Weight::Fails, "S256"),
            ("code_challenge_methods_supported", Value::Null, Weight::Mind, "all the same"),
            ("response_types_supported", json!(["id_token"]), Weight::Fails, "no code"),
            ("response_modes_supported", json!(["form_post"]), Weight::Fails, "query"),
            ("grant_types_supported", json!(["authorization_code"]), Weight::Mind, "refresh tokens"),
            ("token_endpoint_auth_methods_supported", json!(["client_secret_basic"]), Weight::Mind, "public clients"),
            ("scopes_supported", json!(["openid"]), Weight::Mind, "without it"),
            ("revocation_endpoint", Value::Null, Weight::Mind, "until they expire"),
            ("revocation_endpoint", json!("ftp://id.example"), Weight::Fails, "not https"),
            ("end_session_endpoint", Value::Null, Weight::Mind, "prompt=login"),
            ("pushed_authorization_request_endpoint", json!("http://id.example/par"), Weight::Fails, "not https"),
            ("authorization_response_iss_parameter_supported", json!(false), Weight::Mind, "RFC 9207"),
            ("require_signed_request_object", json!(true), Weight::Fails, "signed"),
            ("subject_types_supported", json!(["pairwise"]), Weight::Mind, "pairwise"),
        ];
        for (name, value, weight, word) in table {
            let mut metadata = good();
            if value.is_null() {
                metadata.as_object_mut().unwrap().remove(name);
            } else {
                metadata[name] = value;
            }
            let (found, words) = worst(&metadata);
            assert_eq!(found, weight, "{name}: {words}");
            assert!(words.contains(word), "{name}: {words}");
        }
    }

    #[test]
    fn any_document_is_judged() {
        for odd in [json!(null), json!([]), json!({"issuer": 7, "code_challenge_methods_supported": "S256"})] {
            assert_eq!(worst(&odd).0, Weight::Fails, "{odd}");
        }
    }

    #[test]
    fn what_a_dead_token_looks_like() {
        let error = |error: &str| Some(json!({ "error": error }));
        for (status, media_type, body, weight) in [
            (400, "application/json", error("invalid_grant"), Weight::Works),
            (400, "text/html", error("invalid_grant"), Weight::Works),
            (400, "application/json", error("invalid_request"), Weight::Mind),
            (401, "application/json", error("invalid_client"), Weight::Fails),
            (500, "application/json", error("invalid_grant"), Weight::Mind),
            (400, "text/html", error("login_required"), Weight::Mind),
            (400, "text/html", None, Weight::Mind),
        ] {
            let found = judge_refusal(status, media_type, body.as_ref());
            assert_eq!(found.weight, weight, "{status} {media_type}: {found:?}");
        }
    }

    #[test]
    fn the_profile_is_known_by_the_issuers_place() {
        for (issuer, expected) in [
            ("https://login.microsoftonline.com/7f0/v2.0", IssuerProfile::Entra),
            ("https://acme.okta.com/oauth2/default", IssuerProfile::Okta),
            ("https://acme.eu.auth0.com/", IssuerProfile::Auth0),
            ("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x", IssuerProfile::Cognito),
            ("https://id.acme.example/realms/calls", IssuerProfile::Keycloak),
            ("https://notokta.com", IssuerProfile::Unknown),
            (ISSUER, IssuerProfile::Unknown),
        ] {
            assert_eq!(profile(issuer), expected, "{issuer}");
        }
    }
}
