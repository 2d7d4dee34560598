//! Logout tokens: how one issuer tells who relies on it that a session is over (OpenID Connect Back-Channel Logout 1.0).
//! Pure; `service::logouts` sends them and `http::logout` receives them.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::{Host, Url};

use crate::{secret, store::Leaver};

/// The type of the token (section 2.4): nothing else is taken for one.
pub(crate) const TYPE: &str = "logout+jwt";
/// The member of `events` that makes a token a logout token (section 2.4).
pub(crate) const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Life of a token of ours in seconds; section 4 advises two minutes at most.
const LIFE: i64 = 120;
/// How long a token may live that we accept: for so long each is remembered.
const LONGEST_LIFE: i64 = 3_600;
/// How far ahead of ours the issuer's clock may be, in seconds.
const SKEW: i64 = 60;

/// Somebody who wants to know when sessions end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutClient {
    /// The `aud` of the logout tokens.
    pub client_id: String,
    /// Where they are posted to: https, or loopback.
    pub backchannel_logout_uri: String,
}

impl LogoutClient {
    /// Section 2.2: an absolute URI without a fragment. Plain http only where nobody can listen.
    pub(crate) fn is_valid(&self) -> bool {
        let Ok(uri) = Url::parse(&self.backchannel_logout_uri) else { return false };
        let loopback = match uri.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(_)) | None => false,
        };
        let safe = uri.scheme() == "https" || (uri.scheme() == "http" && loopback);
        safe && uri.fragment().is_none() && !self.client_id.is_empty()
    }
}

/// What a logout token of ours says.
pub(crate) fn claims(iss: &str, aud: &str, sub: &str, sid: &str, now: i64) -> Result<Value, getrandom::Error> {
    let iat = now / 1_000;
    Ok(json!({
        "iss": iss,
        "aud": aud,
        "iat": iat,
        "exp": iat.saturating_add(LIFE),
        "jti": secret::random()?,
        "sub": sub,
        "sid": sid,
        "events": { EVENT: {} },
    }))
}

/// Why a logout token is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untrusted {
    #[error("it is not a logout token")]
    Type,
    #[error("it is signed with a key that the issuer does not name")]
    Key,
    #[error("it is not signed as it should be, or comes from or goes to somebody else")]
    Signature(#[from] jsonwebtoken::errors::Error),
    #[error("its claim {0} is missing or wrong")]
    Claim(&'static str),
}

/// A logout token that is believed, if it did not come before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Believed {
    pub(crate) leaver: Leaver,
    pub(crate) jti: String,
    /// In seconds.
    pub(crate) exp: i64,
}

/// The name of the key that a token says it is signed with. Cheap, so it comes before anybody is asked for keys.
pub(crate) fn key_id(token: &str) -> Result<String, Untrusted> {
    let header = jsonwebtoken::decode_header(token)?;
    let is_logout = header.typ.as_deref().is_some_and(|typ| {
        let typ = typ.to_ascii_lowercase();
        // RFC 7515, section 4.1.9: `application/` may be left out.
        typ.strip_prefix("application/").unwrap_or(&typ) == TYPE
    });
    if !is_logout {
        return Err(Untrusted::Type);
    }
    header.kid.ok_or(Untrusted::Key)
}

/// Section 2.6, all of it; that no token comes twice is up to who has a memory. `now` in seconds.
pub(crate) fn verify(token: &str, keys: &JwkSet, iss: &str, aud: &str, now: i64) -> Result<Believed, Untrusted> {
    let key = keys.find(&key_id(token)?).ok_or(Untrusted::Key)?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[iss]);
    validation.set_audience(&[aud]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    // By our clock, below: it may have been moved.
    validation.validate_exp = false;
    let claims: Map<String, Value> = jsonwebtoken::decode(token, &DecodingKey::from_jwk(key)?, &validation)?.claims;

    let number = |name: &'static str| claims.get(name).and_then(Value::as_i64).ok_or(Untrusted::Claim(name));
    let (iat, exp) = (number("iat")?, number("exp")?);
    if iat > now.saturating_add(SKEW) {
        return Err(Untrusted::Claim("iat"));
    }
    if exp <= now || exp.saturating_sub(iat) > LONGEST_LIFE {
        return Err(Untrusted::Claim("exp"));
    }
    // An ID token has a nonce, a logout token never: so neither passes for the other.
    if claims.contains_key("nonce") {
        return Err(Untrusted::Claim("nonce"));
    }
    if !claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
        return Err(Untrusted::Claim("events"));
    }
    let name = |name: &'static str| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(Untrusted::Claim(name)),
    };
    let leaver = Leaver { iss: iss.to_owned(), sub: name("sub")?, sid: name("sid")? };
    if leaver.sub.is_none() && leaver.sid.is_none() {
        return Err(Untrusted::Claim("sub"));
    }
    let jti = name("jti")?.ok_or(Untrusted::Claim("jti"))?;
    Ok(Believed { leaver, jti, exp })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Keys;

    const ISS: &str = "https://upstream.example";
    const NOW: i64 = 1_000_000;

    fn keys() -> Keys {
        Keys::from_pkcs8(&Keys::generate().unwrap()).unwrap()
    }

    fn good() -> Value {
        claims(ISS, "us", "person", "session", NOW * 1_000).unwrap()
    }

    fn check(keys: &Keys, typ: &str, claims: &Value) -> Result<Believed, Untrusted> {
        verify(&keys.sign_as(typ, claims).unwrap(), keys.public(), ISS, "us", NOW)
    }

    #[test]
    fn our_own_token_is_one_that_we_would_believe() {
        let keys = keys();
        let believed = check(&keys, TYPE, &good()).unwrap();
        assert_eq!(believed.leaver.sub.as_deref(), Some("person"));
        assert_eq!(believed.leaver.sid.as_deref(), Some("session"));
        assert_eq!(believed.exp, NOW + 120);
        assert!(check(&keys, "application/logout+jwt", &good()).is_ok());
    }

    #[test]
    fn a_token_is_believed_only_when_everything_fits() {
        let keys = keys();
        let spoils: [(&str, Value); 22] = [
            ("iss", json!("https://another.example")),
            ("iss", Value::Null),
            ("aud", json!("another")),
            ("aud", json!([])),
            ("iat", json!(NOW + 61)),
            ("iat", json!("now")),
            ("iat", Value::Null),
            ("exp", json!(NOW)),
            ("exp", json!(NOW + 3_601)),
            ("exp", Value::Null),
            ("nonce", json!("n")),
            ("nonce", json!(null)),
            ("events", json!({})),
            ("events", json!({ "another": {} })),
            ("events", json!({ EVENT: true })),
            ("events", json!([EVENT])),
            ("events", json!(EVENT)),
            ("sub", json!(7)),
            ("sub", json!("")),
            ("sid", json!({})),
            ("jti", json!("")),
            ("jti", json!(7)),
        ];
        for (name, value) in spoils {
            let mut claims = good();
            claims[name] = value.clone();
            assert!(check(&keys, TYPE, &claims).is_err(), "{name} {value}");
        }
        for missing in ["iss", "aud", "iat", "exp", "events", "jti"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(missing);
            assert!(check(&keys, TYPE, &claims).is_err(), "{missing}");
        }
        let mut nobody = good();
        nobody.as_object_mut().unwrap().retain(|name, _| name != "sub" && name != "sid");
        assert!(check(&keys, TYPE, &nobody).is_err());
        for typ in ["JWT", "at+jwt", ""] {
            assert!(check(&keys, typ, &good()).is_err(), "{typ}");
        }
        let strangers = self::keys().sign_as(TYPE, &good()).unwrap();
        assert!(verify(&strangers, keys.public(), ISS, "us", NOW).is_err());
    }

    #[test]
    fn a_token_names_a_person_a_session_or_both() {
        let keys = keys();
        for missing in ["sub", "sid"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(missing);
            claims["aud"] = json!(["another", "us"]);
            assert!(check(&keys, TYPE, &claims).is_ok(), "{missing}");
        }
    }

    #[test]
    fn a_token_without_a_signature_is_no_token() {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let keys = keys();
        let signed = keys.sign_as(TYPE, &good()).unwrap();
        let (header, rest) = signed.split_once('.').unwrap();
        let payload = rest.split('.').next().unwrap();
        let mut parsed: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        for alg in ["none", "None", "HS256", "RS256"] {
            parsed["alg"] = json!(alg);
            let header = URL_SAFE_NO_PAD.encode(parsed.to_string());
            for signature in ["", "AAAA"] {
                let token = format!("{header}.{payload}.{signature}");
                assert!(verify(&token, keys.public(), ISS, "us", NOW).is_err(), "{alg}");
            }
        }
        for odd in ["", ".", "..", "a.b.c", payload] {
            assert!(verify(odd, keys.public(), ISS, "us", NOW).is_err(), "{odd}");
        }
    }

    #[test]
    fn tokens_go_out_over_https_or_not_at_all() {
        let table = [
            ("https://crm.example/logout", true),
            ("http://127.0.0.1:4711/logout", true),
            ("http://[::1]:4711/logout", true),
            ("http://crm.example/logout", false),
            ("http://localhost/logout", false),
            ("https://crm.example/logout#x", false),
            ("ftp://127.0.0.1/", false),
            ("/logout", false),
            ("", false),
        ];
        for (uri, valid) in table {
            let client = LogoutClient { client_id: "crm".to_owned(), backchannel_logout_uri: uri.to_owned() };
            assert_eq!(client.is_valid(), valid, "{uri}");
        }
    }
}
