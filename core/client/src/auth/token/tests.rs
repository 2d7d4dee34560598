//! What an answer of the token endpoint means. The one thing that must never happen: that a portal, a proxy or a broken
//! line is taken for the server's word that a session is over.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for the one thing it waits for")]

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use hookswitch_wire::UnixMillis;
use proptest::prelude::*;

use super::*;
use crate::ports::{HttpRequest, HttpResponse};

/// A token endpoint that says one thing, and keeps what it was asked.
struct Endpoint {
    status: u16,
    headers: Vec<(&'static str, String)>,
    pieces: Vec<Result<Bytes, HttpFault>>,
    /// What happens in place of an answer.
    fault: Option<HttpFault>,
    asked: Mutex<Vec<HttpRequest>>,
}

#[async_trait]
impl Http for Endpoint {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        self.asked.lock().unwrap().push(request);
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let mut response = http::Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        let (head, ()) = response.body(()).unwrap().into_parts();
        Ok(HttpResponse { head, body: stream::iter(self.pieces.clone()).boxed() })
    }
}

const APP: Asking<'static> = Asking { client_id: "app", resources: &[] };
const JSON: &str = "application/json";
const GRANT: &str = r#"{"access_token":"a","token_type":"Bearer","expires_in":300,"refresh_token":"r"}"#;
const REJECTED: &str = r#"{"error":"invalid_grant","error_description":"Token is not active"}"#;

fn endpoint(status: u16, media_type: &str, body: impl Into<Bytes>) -> Endpoint {
    Endpoint {
        status,
        headers: vec![("content-type", media_type.to_owned())],
        pieces: vec![Ok(body.into())],
        fault: None,
        asked: Mutex::default(),
    }
}

impl Endpoint {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    async fn answers(self) -> (Answer, Arc<Secrets>, Vec<HttpRequest>) {
        let secrets = Arc::new(Secrets::default());
        let here = Arc::new(self);
        let refresh = TokenRequest::Refresh { refresh: SecretString::from("the-refresh-token") };
        let address = "https://id.example/token".to_owned();
        let answer = request(Arc::clone(&here) as _, address, APP, refresh, Arc::clone(&secrets)).await;
        let asked = std::mem::take(&mut *here.asked.lock().unwrap());
        (answer, secrets, asked)
    }

    async fn comes_to(self) -> Outcome {
        self.answers().await.0.outcome
    }
}

fn form(request: &HttpRequest) -> std::collections::BTreeMap<String, String> {
    url::form_urlencoded::parse(request.body()).into_owned().collect()
}

/// Whatever it is, it is not the server's word on a token.
fn decides_nothing(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::NotSent { .. }
            | Outcome::Unreachable { .. }
            | Outcome::Unintelligible { .. }
            | Outcome::Unavailable { .. }
    )
}

// ---- granted -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_grant_is_read_and_its_secrets_are_named() {
    let (answer, secrets, _) = endpoint(200, JSON, GRANT).with("date", "Mon, 23 Nov 2026 12:00:00 GMT").answers().await;
    let Outcome::Granted { grant } = answer.outcome else { panic!("{answer:?}") };
    assert_eq!(secrets.get(grant.access).unwrap().expose_secret(), "a");
    assert_eq!(secrets.get(grant.refresh.unwrap()).unwrap().expose_secret(), "r");
    assert_eq!((grant.expires_in, grant.session_life, grant.claims), (Some(300), None, None));
    assert_eq!(answer.server_time, Some(UnixMillis(1_795_435_200_000)));
}

#[tokio::test]
async fn a_grant_may_leave_out_the_refresh_token_and_the_life() {
    let outcome = endpoint(200, JSON, r#"{"access_token":"a","token_type":"bearer"}"#).comes_to().await;
    let Outcome::Granted { grant } = outcome else { panic!("{outcome:?}") };
    assert_eq!((grant.refresh, grant.expires_in), (None, None));
}

#[tokio::test]
async fn the_life_of_a_session_is_read_under_either_name() {
    for name in ["refresh_expires_in", "refresh_token_expires_in"] {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer","{name}":"86400"}}"#);
        let Outcome::Granted { grant } = endpoint(200, JSON, body).comes_to().await else { panic!("{name}") };
        assert_eq!(grant.session_life, Some(86_400), "{name}");
    }
}

#[tokio::test]
async fn an_id_token_comes_with_its_claims_and_a_broken_one_with_none() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = URL_SAFE_NO_PAD.encode(r#"{"iss":"i","aud":"app","sub":"alice","iat":6,"exp":7}"#);
    for (id_token, sub) in [(format!("e30.{payload}.c2ln"), Some("alice")), ("no.jwt".to_owned(), None)] {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer","id_token":"{id_token}"}}"#);
        let Outcome::Granted { grant } = endpoint(200, JSON, body).comes_to().await else { panic!() };
        assert_eq!(grant.claims.as_ref().map(|claims| claims.sub.as_str()), sub);
    }
}

#[tokio::test]
async fn an_answer_in_pieces_is_one_answer() {
    let pieces = GRANT.as_bytes().chunks(7).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let outcome = Endpoint { pieces, ..endpoint(200, JSON, "") }.comes_to().await;
    assert!(matches!(outcome, Outcome::Granted { .. }), "{outcome:?}");
}

#[tokio::test]
async fn an_empty_refresh_token_is_none_and_a_life_is_what_the_answer_says() {
    for (more, life) in [
        (r#","refresh_token":"""#, None),
        (r#","refresh_token":null,"expires_in":null"#, None),
        (r#","expires_in":0"#, Some(0)),
        (r#","expires_in":18446744073709551615"#, Some(u64::MAX)),
        // Whatever it is, the tokens are good: the issuer may have replaced the old ones for them.
        (r#","expires_in":"3600""#, Some(3_600)),
        (r#","expires_in":" 3600.0 ""#, Some(3_600)),
        (r#","expires_in":299.5"#, Some(299)),
        (r#","expires_in":18446744073709551616"#, None),
        (r#","expires_in":-1"#, None),
        (r#","expires_in":"soon""#, None),
        (r#","expires_in":[3600]"#, None),
        (r#","id_token":null,"scope":null"#, None),
        (r#","scope":["openid"]"#, None),
        (r#","refresh_expires_in":"soon""#, None),
    ] {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer"{more}}}"#);
        let Outcome::Granted { grant } = endpoint(200, JSON, body).comes_to().await else { panic!("{more}") };
        assert_eq!((grant.refresh, grant.expires_in), (None, life), "{more}");
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_used_is_no_grant() {
    for body in [
        // RFC 6749, section 7.1: a client must not use a type that it does not understand.
        r#"{"access_token":"a","token_type":"mac","expires_in":300}"#,
        r#"{"access_token":"a","token_type":"DPoP","expires_in":300}"#,
        r#"{"access_token":"a","token_type":"N_A","expires_in":300}"#,
        // Appendix A.12: visible characters, and at least one.
        r#"{"access_token":"","token_type":"Bearer","expires_in":300}"#,
        r#"{"access_token":"a\r\nX-Evil: 1","token_type":"Bearer","expires_in":300}"#,
        r#"{"access_token":"ä","token_type":"Bearer","expires_in":300}"#,
    ] {
        let outcome = endpoint(200, JSON, body).comes_to().await;
        assert!(matches!(outcome, Outcome::Unintelligible { status: 200, .. }), "{body}: {outcome:?}");
    }
}

#[tokio::test]
async fn json_is_json_however_its_type_is_written() {
    for media_type in ["Application/JSON; charset=UTF-8", "application/json;charset=utf-8"] {
        let granted = endpoint(200, media_type, GRANT).comes_to().await;
        assert!(matches!(granted, Outcome::Granted { .. }), "{media_type}: {granted:?}");
        let refused = endpoint(400, media_type, REJECTED).comes_to().await;
        assert!(matches!(refused, Outcome::OAuthError { .. }), "{media_type}: {refused:?}");
    }
}

// ---- refused -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_refusal_is_told_with_its_description() {
    for status in [400, 401, 403] {
        let outcome = endpoint(status, JSON, REJECTED).comes_to().await;
        let description = Some("Token is not active".to_owned());
        assert_eq!(outcome, Outcome::OAuthError { error: "invalid_grant".into(), description });
    }
    let missing_proof = r#"{"error":"invalid_grant","error_description":"DPoP proof is missing"}"#;
    let Outcome::OAuthError { error, description } = endpoint(400, JSON, missing_proof).comes_to().await else {
        panic!()
    };
    assert_eq!((error.as_str(), description.as_deref()), ("invalid_grant", Some("DPoP proof is missing")));
    let of_another_kind = r#"{"error":"interaction_required","error_codes":[50076],"claims":"{}"}"#;
    let Outcome::OAuthError { error, description } = endpoint(400, JSON, of_another_kind).comes_to().await else {
        panic!()
    };
    assert_eq!((error.as_str(), description), ("interaction_required", None), "an error that no RFC names");
}

#[tokio::test]
async fn an_oauth_error_with_a_status_of_another_kind_decides_nothing() {
    for status in [201, 301, 302, 404, 407, 410, 418, 451, 500, 502, 503] {
        let outcome = endpoint(status, JSON, REJECTED).comes_to().await;
        assert!(decides_nothing(&outcome), "{status}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_refusal_that_comes_as_a_page_is_not_the_issuers() {
    let portal = r#"{"error":"login_required","error_description":"Welcome to Train Wi-Fi"}"#;
    for status in [400, 401, 403] {
        for media_type in ["text/html", "application/xhtml+xml; charset=utf-8"] {
            for body in [portal, "<html>invalid_grant</html>", "invalid_grant"] {
                let outcome = endpoint(status, media_type, body).comes_to().await;
                assert!(decides_nothing(&outcome), "{status} {media_type:?}: {outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_dead_grant_is_one_although_the_issuer_calls_its_json_a_page() {
    for status in [400, 401] {
        let outcome = endpoint(status, "text/html; charset=UTF-8", REJECTED).comes_to().await;
        let description = Some("Token is not active".to_owned());
        assert_eq!(outcome, Outcome::OAuthError { error: "invalid_grant".into(), description });
    }
}

#[tokio::test]
async fn json_that_is_not_ours_is_not_taken_for_a_wifi_that_wants_a_sign_in() {
    for (media_type, body, page) in [
        (JSON, r#"{"message":"forbidden"}"#, false),
        (JSON, "{}", false),
        ("text/html", r#"{"message":"Welcome to Train Wi-Fi"}"#, true),
        ("text/html", "<html>", true),
    ] {
        for status in [200, 400, 403] {
            let outcome = endpoint(status, media_type, body).comes_to().await;
            let Outcome::Unintelligible { page: told, .. } = outcome else { panic!("{body}: {outcome:?}") };
            assert_eq!(told, page, "{status} {body}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_one_under_whatever_name_its_json_comes() {
    for media_type in ["text/plain", "text/json", "application/problem+json", "application/octet-stream"] {
        let outcome = endpoint(400, media_type, REJECTED).comes_to().await;
        assert!(matches!(outcome, Outcome::OAuthError { .. }), "{media_type:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_issuer_that_quotes_what_it_was_sent_puts_no_secret_into_a_log() {
    let long = "x".repeat(10_000);
    let refusal = r#"{"error":"no-SENT","error_description":"unknown token SENT; LONG"}"#.replace("LONG", &long);
    let refreshed = endpoint(400, JSON, refusal.replace("SENT", "the-refresh-token")).comes_to().await;
    let revoked = endpoint(400, JSON, refusal.replace("SENT", "the&token"));
    let revoked = revoke(&revoked, "https://id.example/revoke", "app", &SecretString::from("the&token")).await.outcome;
    for (outcome, secret) in [(refreshed, "the-refresh-token"), (revoked, "the&token")] {
        let shown = format!("{outcome:?}");
        assert!(shown.contains("unknown token") && !shown.contains(secret), "{shown}");
        assert!(shown.len() < 1_000, "{} characters", shown.len());
    }
}

// ---- neither -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_portal_is_not_the_issuer() {
    let page = "<html><title>Welcome to Train Wi-Fi</title>";
    for status in [200, 301, 302, 307, 401, 403, 404, 511] {
        let (answer, ..) =
            endpoint(status, "text/html", page).with("date", "Mon, 23 Nov 2026 12:00:00 GMT").answers().await;
        assert!(decides_nothing(&answer.outcome), "{status}: {answer:?}");
    }
    let outcome = endpoint(200, "text/html", GRANT).comes_to().await;
    assert!(decides_nothing(&outcome), "even when it looks like a grant: {outcome:?}");
}

#[tokio::test]
async fn a_body_that_is_no_answer_decides_nothing() {
    let broken: Vec<Bytes> = vec![
        Bytes::new(),
        GRANT[..GRANT.len() / 2].into(),
        REJECTED[..REJECTED.len() - 1].into(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        r#"{"access_token":7,"token_type":"Bearer"}"#.into(),
        r#"{"access_token":"a"}"#.into(),
        r#"{"error":["invalid_grant"]}"#.into(),
        Bytes::from_static(b"{\"error\":\"invalid_grant\xff\"}"),
        format!("{}1{}", "[".repeat(50_000), "]".repeat(10)).into(),
    ];
    for body in broken {
        for status in [200, 400] {
            let outcome = endpoint(status, JSON, body.clone()).comes_to().await;
            assert!(decides_nothing(&outcome), "{status} {body:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_huge_body_is_not_read() {
    let piece = Bytes::from(vec![b' '; 8 * 1024]);
    let mut pieces = vec![Ok(piece); 64];
    pieces.push(Ok(REJECTED.into()));
    let outcome = Endpoint { pieces, ..endpoint(400, JSON, "") }.comes_to().await;
    assert!(matches!(outcome, Outcome::Unreachable { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_request_that_never_left_is_told_apart_from_an_answer_that_never_came() {
    for (fault, expected) in [
        (HttpFault::NotSent("refused".into()), Outcome::NotSent { cause: "refused".into() }),
        (HttpFault::NoAnswer("cut".into()), Outcome::Unreachable { cause: "cut".into() }),
    ] {
        let here = Endpoint { fault: Some(fault), ..endpoint(200, JSON, GRANT) };
        assert_eq!(here.comes_to().await, expected);
    }
    let nowhere = request(
        Arc::new(endpoint(200, JSON, GRANT)),
        "no address".into(),
        APP,
        TokenRequest::Refresh { refresh: SecretString::from("r") },
        Arc::default(),
    );
    assert!(matches!(nowhere.await.outcome, Outcome::NotSent { .. }));
}

#[tokio::test]
async fn an_answer_that_breaks_off_decides_nothing() {
    for status in [200, 400] {
        let pieces = vec![Ok(Bytes::from(REJECTED)), Err(HttpFault::NoAnswer("cut".into()))];
        let outcome = Endpoint { pieces, ..endpoint(status, JSON, "") }.comes_to().await;
        assert_eq!(outcome, Outcome::Unreachable { cause: "cut".into() });
    }
}

#[tokio::test]
async fn a_server_that_cannot_now_is_heard_with_the_time_that_it_asks_for() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        // Whatever its body says.
        for body in [REJECTED, GRANT, "<html>"] {
            let outcome = endpoint(status, JSON, body).with("retry-after", "7").comes_to().await;
            assert_eq!(outcome, Outcome::Unavailable { status, retry_after: Some(7_000) });
        }
    }
}

#[tokio::test]
async fn the_time_that_a_server_asks_for_is_heard_by_date_too_and_when_the_body_breaks_off() {
    for (asked, expected) in [
        ("0", Some(0)),
        ("Mon, 23 Nov 2026 12:00:09 GMT", Some(9_000)),
        ("Mon, 23 Nov 2026 11:00:00 GMT", None),
        ("86400", Some(3_600_000)),
        ("99999999999999999999999", None),
        ("-1", None),
        ("soon", None),
    ] {
        let pieces = vec![Ok(Bytes::from("{")), Err(HttpFault::NoAnswer("cut".into()))];
        let here = Endpoint { pieces, ..endpoint(429, JSON, "") };
        let outcome = here.with("date", "Mon, 23 Nov 2026 12:00:00 GMT").with("retry-after", asked).comes_to().await;
        assert_eq!(outcome, Outcome::Unavailable { status: 429, retry_after: expected }, "{asked}");
    }
}

#[tokio::test]
async fn an_answer_may_be_as_long_as_the_limit_and_no_longer() {
    let padded = |length: usize| format!("{GRANT}{}", " ".repeat(length - GRANT.len()));
    let just = endpoint(200, JSON, padded(answer::SMALL_BODY)).comes_to().await;
    assert!(matches!(just, Outcome::Granted { .. }), "{just:?}");
    let over = endpoint(200, JSON, padded(answer::SMALL_BODY + 1)).comes_to().await;
    assert!(matches!(over, Outcome::Unreachable { .. }), "{over:?}");
}

#[tokio::test]
async fn the_clock_of_whoever_is_not_the_issuer_is_not_believed() {
    let date = "Mon, 23 Nov 2026 12:00:00 GMT";
    for (status, media_type, body) in [(200, "text/html", "<html>"), (502, "text/html", ""), (404, JSON, REJECTED)] {
        let (answer, ..) = endpoint(status, media_type, body).with("date", date).answers().await;
        assert_eq!(answer.server_time, None, "{status}");
    }
    let (answer, ..) = endpoint(400, JSON, REJECTED).with("date", date).answers().await;
    assert_eq!(answer.server_time, Some(UnixMillis(1_795_435_200_000)));
}

// ---- what is sent --------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_refresh_is_sent_as_the_rfc_has_it() {
    let (_, _, asked) = endpoint(200, JSON, GRANT).answers().await;
    let [request] = &asked[..] else { panic!("{} requests", asked.len()) };
    assert_eq!((request.method().as_str(), request.uri().to_string()), ("POST", "https://id.example/token".into()));
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    let form = form(request);
    assert_eq!(form["grant_type"], "refresh_token");
    assert_eq!(form["refresh_token"], "the-refresh-token");
    assert_eq!(form["client_id"], "app");
    assert_eq!(form.len(), 3);
    let envelope = format!("{} {:?}", request.uri(), request.headers());
    assert!(!envelope.contains("the-refresh-token"), "{envelope}");
}

#[tokio::test]
async fn a_code_is_sent_with_its_verifier_and_the_very_redirect() {
    let here = Arc::new(endpoint(200, JSON, GRANT));
    let code = TokenRequest::Code {
        code: SecretString::from("c"),
        verifier: SecretString::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        redirect_uri: "dev.hookswitch.agent:/callback".into(),
    };
    let address = "https://id.example/token".to_owned();
    request(Arc::clone(&here) as _, address, APP, code, Arc::default()).await;
    let asked = here.asked.lock().unwrap();
    let form = form(&asked[0]);
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["code"], "c");
    assert_eq!(form["code_verifier"], "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(form["redirect_uri"], "dev.hookswitch.agent:/callback");
    assert_eq!(form["client_id"], "app");
    assert_eq!(form.len(), 5);
    let envelope = format!("{} {:?}", asked[0].uri(), asked[0].headers());
    assert!(!envelope.contains("dBjftJeZ4CVP") && !envelope.contains("authorization"), "{envelope}");
}

#[tokio::test]
async fn the_token_endpoint_is_told_which_apis_the_token_is_for() {
    let resources = ["https://a.example/".to_owned(), "https://b.example/".to_owned()];
    let here = Arc::new(endpoint(200, JSON, GRANT));
    let address = "https://id.example/token".to_owned();
    let refresh = TokenRequest::Refresh { refresh: SecretString::from("r") };
    let asking = Asking { client_id: "app", resources: &resources };
    request(Arc::clone(&here) as _, address, asking, refresh, Arc::default()).await;
    let asked = here.asked.lock().unwrap();
    let said: Vec<_> = url::form_urlencoded::parse(asked[0].body()).filter(|(name, _)| name == "resource").collect();
    assert_eq!(said.len(), 2, "{said:?}");
}

#[tokio::test]
async fn a_revocation_is_sent_as_the_rfc_has_it() {
    let here = endpoint(200, "", "");
    revoke(&here, "https://id.example/revoke", "app", &SecretString::from("the token&x=y")).await;
    let asked = here.asked.into_inner().unwrap();
    assert_eq!((asked[0].method().as_str(), asked[0].uri().to_string()), ("POST", "https://id.example/revoke".into()));
    assert_eq!(asked[0].headers()["content-type"], "application/x-www-form-urlencoded");
    let form = form(&asked[0]);
    assert_eq!((form["token"].as_str(), form["token_type_hint"].as_str()), ("the token&x=y", "refresh_token"));
    assert_eq!((form["client_id"].as_str(), form.len()), ("app", 3));
}

#[tokio::test]
async fn an_endpoint_that_is_no_address_is_asked_nothing() {
    let here = Arc::new(endpoint(200, JSON, GRANT));
    let refresh = TokenRequest::Refresh { refresh: SecretString::from("r") };
    let answer = request(Arc::clone(&here) as _, "nowhere".into(), APP, refresh, Arc::default()).await;
    assert!(decides_nothing(&answer.outcome), "{answer:?}");
    assert!(here.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_is_revoked_by_any_success_and_by_a_refusal_but_not_by_a_portal() {
    let revokes = async |here: Endpoint| {
        revoke(&here, "https://id.example/revoke", "app", &SecretString::from("t")).await.outcome
    };
    assert_eq!(revokes(endpoint(200, "", "")).await, Outcome::Done);
    let refused = r#"{"error":"unsupported_token_type"}"#;
    assert!(matches!(revokes(endpoint(400, JSON, refused)).await, Outcome::OAuthError { .. }));
    for here in [
        endpoint(503, JSON, refused),
        endpoint(302, "text/html", "<html>"),
        endpoint(200, "text/html", "<html>Welcome to Train Wi-Fi"),
        endpoint(400, "text/html", "<html>"),
    ] {
        let status = here.status;
        let outcome = revokes(here).await;
        assert!(decides_nothing(&outcome), "{status}: {outcome:?}");
    }
}

// ---- anything ------------------------------------------------------------------------------------------------------

proptest! {
    /// Any status, type and bytes have an outcome; and it is a refusal only when the issuer says so in its own words.
    #[test]
    fn any_answer_of_the_token_endpoint_has_an_outcome(
        status in 200_u16..600,
        json in any::<bool>(),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "[\\[\\]{}\":,a-z0-9_ ]{0,300}".prop_map(String::into_bytes),
            (0..REJECTED.len()).prop_map(|end| REJECTED.as_bytes()[..end].to_vec()),
            (0..GRANT.len()).prop_map(|end| GRANT.as_bytes()[..end].to_vec()),
        ],
    ) {
        let media_type = if json { JSON } else { "text/html" };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let outcome = runtime.block_on(endpoint(status, media_type, body.clone()).comes_to());
        match outcome {
            Outcome::OAuthError { .. } => {
                prop_assert!(matches!(status, 400 | 401 | 403));
                prop_assert!(json || body == REJECTED.as_bytes());
                prop_assert!(serde_json::from_slice::<hookswitch_wire::TokenError>(&body).is_ok());
            }
            Outcome::Granted { .. } => prop_assert!(json && status == 200),
            other => prop_assert!(decides_nothing(&other), "{:?}", other),
        }
    }
}

#[tokio::test]
async fn no_token_leaves_for_an_address_that_is_not_https() {
    for address in ["http://id.example/token", "http://127.0.0.1@evil.example/token", "javascript:0", ""] {
        let here = Arc::new(endpoint(200, JSON, GRANT));
        let request = TokenRequest::Refresh { refresh: SecretString::from("r") };
        let answer = super::request(here.clone(), address.into(), APP, request, Arc::default()).await;
        assert!(matches!(answer.outcome, Outcome::NotSent { .. }), "{address}: {:?}", answer.outcome);
        let answer = revoke(&*here, address, "app", &SecretString::from("r")).await;
        assert!(matches!(answer.outcome, Outcome::NotSent { .. }), "{address}: {:?}", answer.outcome);
        assert!(here.asked.lock().unwrap().is_empty(), "{address}");
    }
}
