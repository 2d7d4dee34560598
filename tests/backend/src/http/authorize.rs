//! `/authorize`: checks what the app asks for, then hands over to the login pages.

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use url::{Host, Url};

use super::{
    Shared,
    body::{Fields, Form},
    login::{self, Begin},
    redirect,
};
use crate::store::{CodeRequest, LoginStep, Purpose};

/// The one client: all phones.
pub(crate) const MOBILE: &str = "hookswitch-mobile";

/// Matched exactly, but for the port of a loopback address.
const REDIRECTS: [&str; 5] = [
    "https://app.hookswitch.dev/callback",
    "dev.hookswitch.agent:/callback",
    "http://127.0.0.1/callback",
    "http://127.0.0.1/phones/iphone/callback",
    "http://127.0.0.1/phones/android/callback",
];

/// Whether an app may be sent there.
pub(crate) fn is_registered(redirect_uri: &str) -> bool {
    if REDIRECTS.contains(&redirect_uri) {
        return true;
    }
    let Ok(mut url) = Url::parse(redirect_uri) else { return false };
    let loopback = url.scheme() == "http" && url.host() == Some(Host::Ipv4(std::net::Ipv4Addr::LOCALHOST));
    // What the parser tidied up is not what was registered: only a port may differ.
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let untouched = url.as_str() == redirect_uri && redirect_uri.starts_with(&format!("http://127.0.0.1{port}/"));
    loopback && untouched && url.set_port(None).is_ok() && REDIRECTS.contains(&url.as_str())
}

pub(super) async fn get(State(service): State<Shared>, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    match Fields::parse(query.unwrap_or_default().as_bytes()) {
        Ok(fields) => authorize(&service, &headers, &fields),
        Err(_) => refused(&service, "A parameter comes twice."),
    }
}

pub(super) async fn post(State(service): State<Shared>, headers: HeaderMap, Form(fields): Form) -> Response {
    authorize(&service, &headers, &fields)
}

/// Client or redirect URI are not known, so nobody is sent anywhere (RFC 6749, section 4.1.2.1).
fn refused(service: &Shared, why: &str) -> Response {
    let text = format!("An app asked to sign you in, in a way that is not safe. {why}");
    service.pages.message(StatusCode::BAD_REQUEST, "This sign-in cannot go on", &text, None)
}

fn authorize(service: &Shared, headers: &HeaderMap, fields: &Fields) -> Response {
    if fields.get("client_id") != Some(MOBILE) {
        return refused(service, "The app is not known.");
    }
    let Some(redirect_uri) = fields.get("redirect_uri").filter(|uri| is_registered(uri)) else {
        return refused(service, "The address to return to is not one of the app's.");
    };
    let request = CodeRequest {
        client: MOBILE.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        challenge: fields.text("code_challenge").to_owned(),
        state: fields.get("state").map(str::to_owned),
        nonce: fields.get("nonce").map(str::to_owned),
        scope: fields.get("scope").unwrap_or("openid").to_owned(),
        hint: fields.text("login_hint").to_owned(),
    };
    if let Err((error, description)) = acceptable(fields) {
        let answer = [("error", error), ("error_description", description)];
        return redirect(StatusCode::SEE_OTHER, &back(service, &request, &answer));
    }
    let begin = Begin { purpose: Purpose::App(request), step: LoginStep::Password, account: None, session: None };
    login::begin(service, headers, begin).unwrap_or_else(IntoResponse::into_response)
}

fn acceptable(fields: &Fields) -> Result<(), (&'static str, &'static str)> {
    match fields.get("response_type") {
        Some("code") => {}
        None => return Err(("invalid_request", "response_type is missing")),
        Some(_) => return Err(("unsupported_response_type", "only code is supported")),
    }
    let challenge = fields.text("code_challenge");
    let is_hash =
        challenge.len() == 43 && challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    // Without a method it would be `plain` (RFC 7636, section 4.3).
    if fields.get("code_challenge_method") != Some("S256") || !is_hash {
        return Err(("invalid_request", "PKCE with code_challenge_method S256 is required"));
    }
    if !fields.get("scope").unwrap_or("openid").split(' ').any(|scope| scope == "openid") {
        return Err(("invalid_scope", "openid is required"));
    }
    if fields.get("request").is_some() || fields.get("request_uri").is_some() {
        return Err(("request_not_supported", "request objects are not supported"));
    }
    if fields.get("prompt") == Some("none") {
        // A phone's login reads no session of the browser.
        return Err(("login_required", "the agent has to sign in"));
    }
    Ok(())
}

/// The way back to the app. Always says who answers (RFC 9207).
pub(super) fn back(service: &Shared, request: &CodeRequest, answer: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(answer);
    if let Some(state) = &request.state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", &service.base_url);
    format!("{}?{}", request.redirect_uri, query.finish())
}

/// The request again, for a new start.
pub(super) fn again(request: &CodeRequest) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &request.client)
        .append_pair("redirect_uri", &request.redirect_uri)
        .append_pair("code_challenge", &request.challenge)
        .append_pair("code_challenge_method", "S256")
        .append_pair("scope", &request.scope);
    let optional = [("state", &request.state), ("nonce", &request.nonce)];
    for (name, value) in optional.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        query.append_pair(name, value);
    }
    if !request.hint.is_empty() {
        query.append_pair("login_hint", &request.hint);
    }
    format!("/authorize?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_sent_only_where_it_registered() {
        let good = [
            "https://app.hookswitch.dev/callback",
            "dev.hookswitch.agent:/callback",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:4711/callback",
            "http://127.0.0.1:4711/phones/iphone/callback",
            "http://127.0.0.1:4711/phones/android/callback",
        ];
        for uri in good {
            assert!(is_registered(uri), "{uri}");
        }
        let bad = [
            "",
            "https://app.hookswitch.dev/callback/",
            "https://app.hookswitch.dev/callback?x=1",
            "https://app.hookswitch.dev:8443/callback",
            "https://app.hookswitch.dev.evil.example/callback",
            "https://user@app.hookswitch.dev/callback",
            "http://app.hookswitch.dev/callback",
            "dev.hookswitch.agent:/callback2",
            "dev.hookswitch.agent://callback",
            "http://127.0.0.1:4711/callback#x",
            "http://127.0.0.1:4711/callback?x",
            "http://127.0.0.1:4711/a/../callback",
            "http://127.0.0.1@evil.example/callback",
            "http://evil.example:4711/callback",
            "http://localhost:4711/callback",
            "http://127.1:4711/callback",
            "http://127.0.0.2:4711/callback",
            "https://127.0.0.1:4711/callback",
            "javascript:alert(1)",
        ];
        for uri in bad {
            assert!(!is_registered(uri), "{uri}");
        }
    }
}
