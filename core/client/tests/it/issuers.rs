//! Odd and hostile issuers: what each of them says, and the end that it must come to. docs/issuers.md has every line of these tables.

use hookswitch::machine::{ReauthReason, SignedOutWhy, view::SessionState};
use serde_json::{Value, json};

use crate::bench::{self, BenchPhone, EXPIRY, ISSUER, Page, begun, claims, id_token, soon, token};

/// What a sign-in comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    SignedIn,
    /// The browser is not opened.
    NotBegun,
    /// The redirect is refused, and the sign-in goes on waiting for the right one.
    Waits,
    /// It is over, and nobody is signed in.
    Refused,
}

/// A sign-in at an issuer that says one thing in another way.
struct SignIn {
    name: &'static str,
    end: End,
    metadata: fn(&mut Value),
    redirect: fn(String) -> String,
    claims: fn(&mut Value),
    answer: fn(&mut Value),
}

const USUAL: SignIn = SignIn {
    name: "",
    end: End::SignedIn,
    metadata: |_| (),
    redirect: |redirect| redirect,
    claims: |_| (),
    answer: |_| (),
};

fn without(name: &'static str) -> impl Fn(&mut Value) {
    move |from| drop(from.as_object_mut().unwrap().remove(name))
}

/// The names of the relying-party tests of the OpenID Foundation where there is one: `oidcc-client-test-...` without that.
fn sign_ins() -> Vec<SignIn> {
    use End::{NotBegun, Refused, SignedIn, Waits};
    let metadata = |name: &'static str, end: End, metadata: fn(&mut Value)| SignIn { name, end, metadata, ..USUAL };
    let redirect =
        |name: &'static str, end: End, redirect: fn(String) -> String| SignIn { name, end, redirect, ..USUAL };
    let claims = |name: &'static str, end: End, claims: fn(&mut Value)| SignIn { name, end, claims, ..USUAL };
    let answer = |name: &'static str, end: End, answer: fn(&mut Value)| SignIn { name, end, answer, ..USUAL };
    vec![
        SignIn { name: "discovery-openid-config", ..USUAL },
        metadata("discovery-issuer-mismatch", NotBegun, |m| m["issuer"] = json!("https://evil.example")),
        metadata("no list of PKCE methods", SignedIn, |m| without("code_challenge_methods_supported")(m)),
        metadata("plain PKCE only", NotBegun, |m| m["code_challenge_methods_supported"] = json!(["plain"])),
        metadata("login page by script", NotBegun, |m| m["authorization_endpoint"] = json!("javascript:alert(1)")),
        metadata("token endpoint without TLS", NotBegun, |m| m["token_endpoint"] = json!("http://id.example/token")),
        metadata("login page of nobody", NotBegun, |m| without("authorization_endpoint")(m)),
        redirect("redirect of another issuer (RFC 9207)", Waits, |r| r.replace(ISSUER, "https://evil.example")),
        redirect("redirect without iss", Waits, |r| r.replace(&format!("&iss={ISSUER}"), "")),
        redirect("redirect with another state", Waits, |r| r.replace("state=", "state=x")),
        redirect("redirect with two codes", Waits, |r| format!("{r}&code=other")),
        redirect("redirect to another app", Waits, |r| r.replace("dev.hookswitch", "dev.evil")),
        redirect("redirect that the agent declined", Refused, |r| r.replace("code=code", "error=access_denied")),
        claims("invalid-iss", Refused, |c| c["iss"] = json!("https://evil.example")),
        claims("missing-sub", Refused, |c| without("sub")(c)),
        claims("invalid-aud", Refused, |c| c["aud"] = json!("another")),
        claims("missing-aud", Refused, |c| without("aud")(c)),
        claims("missing-iat", Refused, |c| without("iat")(c)),
        claims("nonce-invalid", Refused, |c| c["nonce"] = json!("another")),
        claims("nonce that is missing", Refused, |c| without("nonce")(c)),
        claims("audience of two without azp", Refused, |c| c["aud"] = json!(["app", "another"])),
        claims("audience of two, asked by this app", SignedIn, |c| {
            c["aud"] = json!(["app", "another"]);
            c["azp"] = json!("app");
        }),
        claims("azp of another app", Refused, |c| c["azp"] = json!("another")),
        SignIn { name: "idtoken-sig-none", ..USUAL },
        answer("invalid-sig-rs256", SignedIn, |a| {
            a["id_token"] = json!(format!("{}y", a["id_token"].as_str().unwrap()))
        }),
        answer("no ID token", Refused, |a| without("id_token")(a)),
        answer("ID token that is encrypted", Refused, |a| a["id_token"] = json!("e30.e30.e30.e30.e30")),
        answer("no refresh token", Refused, |a| without("refresh_token")(a)),
        answer("token type in capitals", SignedIn, |a| a["token_type"] = json!("BEARER")),
        answer("token type that binds", Waits, |a| a["token_type"] = json!("DPoP")),
        answer("life as text", SignedIn, |a| a["expires_in"] = json!("3600")),
        answer("life as a fraction", SignedIn, |a| a["expires_in"] = json!(3600.5)),
        answer("life of nothing", SignedIn, |a| a["expires_in"] = Value::Null),
        answer("scopes as a list", SignedIn, |a| a["scope"] = json!(["openid"])),
    ]
}

async fn signs_in(case: &SignIn) -> End {
    let mut phone = BenchPhone::new();
    phone.change_metadata(case.metadata);
    let core = phone.start().await;
    let Ok(address) = soon(core.begin_login(None, bench::REDIRECT)).await else { return End::NotBegun };
    let page = Page::of(&address);
    let redirect = (case.redirect)(page.redirect("code"));
    let finish = core.finish_login(&redirect);
    let mut finish = std::pin::pin!(finish);
    let ended = tokio::select! {
        ended = &mut finish => ended,
        post = phone.post() => {
            let mut told = claims(&page);
            (case.claims)(&mut told);
            let mut answer = bench::tokens(1);
            answer["id_token"] = json!(id_token(&told));
            (case.answer)(&mut answer);
            post.answers(200, &answer);
            soon(finish).await
        }
    };
    match core.state().session {
        SessionState::SignedIn { .. } if ended.is_ok() => End::SignedIn,
        SessionState::SigningIn { completing: false } if ended.is_err() => End::Waits,
        SessionState::SignedOut { why: SignedOutWhy::Never, .. } if ended.is_err() => End::Refused,
        other => panic!("{}: {ended:?} and {other:?}", case.name),
    }
}

#[tokio::test]
async fn a_sign_in_at_an_odd_or_hostile_issuer_ends_as_it_must() {
    for case in sign_ins() {
        assert_eq!(signs_in(&case).await, case.end, "{}", case.name);
    }
}

/// What becomes of a session by one answer to a refresh.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Becomes {
    Renewed,
    /// The session stays, and it is tried again.
    Stays,
    /// The agent is asked to sign in again.
    Over(ReauthReason),
}

type Refresh = (&'static str, Becomes, u16, &'static str, &'static str);

const JSON: &str = "application/json";

/// Name, end, status, media type, body.
const REFRESHES: &[Refresh] = &[
    ("dead token by the book", OVER, 400, JSON, r#"{"error":"invalid_grant"}"#),
    ("dead token with 401", OVER, 401, JSON, r#"{"error":"invalid_grant"}"#),
    ("dead token called a page", OVER, 400, "text/html", r#"{"error":"invalid_grant"}"#),
    ("dead token as plain text", OVER, 400, "text/plain", r#"{"error":"invalid_grant"}"#),
    (
        "expired token, said so",
        EXPIRED,
        400,
        JSON,
        r#"{"error":"invalid_grant","error_description":"Token has expired"}"#,
    ),
    (
        "expired at Dex",
        EXPIRED,
        400,
        JSON,
        r#"{"error":"invalid_request","error_description":"Refresh token expired."}"#,
    ),
    ("used at Hydra", OVER, 401, JSON, r#"{"error":"token_inactive","error_description":"Token is inactive"}"#),
    ("wants the person", ASKED, 400, JSON, r#"{"error":"interaction_required"}"#),
    ("wants consent", ASKED, 400, JSON, r#"{"error":"consent_required"}"#),
    ("does not know the app", ASKED, 401, JSON, r#"{"error":"invalid_client"}"#),
    (
        "wants a proof of possession",
        Becomes::Stays,
        400,
        JSON,
        r#"{"error":"invalid_grant","error_description":"DPoP proof is missing"}"#,
    ),
    ("refuses without a reason, once", Becomes::Stays, 400, JSON, r#"{"error":"invalid_request"}"#),
    ("cannot now", Becomes::Stays, 503, JSON, r#"{"error":"invalid_grant"}"#),
    ("asks for patience", Becomes::Stays, 429, JSON, r#"{"error":"slow_down"}"#),
    ("dead token with 404", Becomes::Stays, 404, JSON, r#"{"error":"invalid_grant"}"#),
    ("portal", Becomes::Stays, 200, "text/html", "<html>Welcome"),
    ("portal that speaks JSON", Becomes::Stays, 200, JSON, r#"{"message":"sign in to the Wi-Fi"}"#),
    ("portal with a word for it", Becomes::Stays, 401, "text/html", r#"{"error":"login_required"}"#),
    ("half an answer", Becomes::Stays, 200, JSON, r#"{"access_token":"access-2","#),
    (
        "new tokens by the book",
        Becomes::Renewed,
        200,
        JSON,
        r#"{"access_token":"access-2","token_type":"Bearer","expires_in":3600}"#,
    ),
    ("new tokens without a life", Becomes::Renewed, 200, JSON, r#"{"access_token":"access-2","token_type":"bearer"}"#),
    (
        "life of a second",
        Becomes::Renewed,
        200,
        JSON,
        r#"{"access_token":"access-2","token_type":"Bearer","expires_in":1}"#,
    ),
    (
        "empty refresh token",
        Becomes::Renewed,
        200,
        JSON,
        r#"{"access_token":"access-2","token_type":"Bearer","refresh_token":""}"#,
    ),
    ("access token that is none", Becomes::Stays, 200, JSON, r#"{"access_token":"","token_type":"Bearer"}"#),
];

const OVER: Becomes = Becomes::Over(ReauthReason::Revoked);
const EXPIRED: Becomes = Becomes::Over(ReauthReason::Expired);
const ASKED: Becomes = Becomes::Over(ReauthReason::Refused);

#[tokio::test]
async fn a_session_outlives_all_but_its_issuers_word() {
    for (name, end, status, media_type, body) in REFRESHES {
        let mut phone = BenchPhone::new();
        let core = phone.start().await;
        phone.sign_in(&core).await;
        phone.clock.advance(EXPIRY);
        let waits = begun(token(&core));
        phone.post().await.says(*status, media_type, body);
        let told = waits.await;
        let became = match core.state().session {
            SessionState::SignedIn { .. } if told.as_deref() == Ok("access-2") => Becomes::Renewed,
            SessionState::SignedIn { .. } => Becomes::Stays,
            SessionState::ReauthRequired { reason, .. } => Becomes::Over(reason),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(became, *end, "{name}: {told:?}");
    }
}

#[tokio::test]
async fn tokens_of_another_agent_are_not_used() {
    let mut phone = BenchPhone::new();
    let core = phone.start().await;
    phone.sign_in(&core).await;
    phone.clock.advance(EXPIRY);
    let waits = begun(token(&core));
    let mut answer = bench::tokens(2);
    answer["id_token"] = json!(id_token(&json!({"iss": ISSUER, "aud": "app", "sub": "bob", "iat": 1, "exp": 2})));
    phone.post().await.answers(200, &answer);
    assert!(waits.await.is_err());
}

#[test]
fn the_documentation_has_every_line() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/issuers.md");
    let page = std::fs::read_to_string(page).unwrap();
    let cases = sign_ins();
    let names = cases.iter().map(|case| case.name).chain(REFRESHES.iter().map(|case| case.0));
    let missing: Vec<_> = names.filter(|name| !page.contains(&format!("| {name} |"))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
