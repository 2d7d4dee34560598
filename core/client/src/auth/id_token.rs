//! The claims of an ID token (OpenID Connect Core, section 2).
//!
//! The token came straight from the token endpoint over TLS, which authenticates the issuer in place of the signature
//! (section 3.1.3.7, step 6). The claims are checked by the machine.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hookswitch_machine::Claims;
use serde::Deserialize;

use crate::secrets::Secrets;

#[derive(Deserialize)]
struct Payload {
    iss: String,
    aud: Audience,
    sub: String,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
    iat: i64,
    exp: i64,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

/// A string or an array of strings (RFC 7519, section 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The claims; `None` when the text is no JWT or lacks one that OpenID Connect requires.
pub(crate) fn claims(token: &str, secrets: &Secrets) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload: Payload = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let aud = match payload.aud {
        Audience::One(aud) => vec![aud],
        Audience::Many(aud) => aud,
    };
    let nonce = payload.nonce.map(|nonce| secrets.name(&nonce));
    Some(Claims {
        iss: payload.iss,
        aud,
        sub: payload.sub,
        azp: payload.azp,
        nonce,
        iat: payload.iat,
        exp: payload.exp,
        email: payload.email,
        name: payload.name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn the_claims_are_read_and_the_nonce_is_named() {
        let secrets = Secrets::default();
        let nonce = secrets.name("n");
        let read =
            claims(&token(r#"{"iss":"i","aud":["a","b"],"sub":"s","nonce":"n","iat":6,"exp":7}"#), &secrets).unwrap();
        assert_eq!((read.iss.as_str(), read.sub.as_str(), read.nonce, read.exp), ("i", "s", Some(nonce), 7));
        assert_eq!(read.aud, ["a", "b"]);
    }

    #[test]
    fn what_is_no_id_token_has_no_claims() {
        let secrets = Secrets::default();
        for bad in ["", "a.b", "a.b.c", "e30.e30.e30.e30", &token("{}"), &token(r#"{"iss":1}"#), &token("[]")] {
            assert!(claims(bad, &secrets).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_id_token_or_none(text: String, payload: String) {
            let _ = claims(&text, &Secrets::default());
            let _ = claims(&token(&payload), &Secrets::default());
        }
    }
}
