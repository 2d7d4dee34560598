//! Proofs of possession (RFC 9449).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use serde_json::json;

use crate::report::{ErrorMessage, text};

/// A proof by a new key for one request (section 4.2).
pub(crate) fn proof(method: &str, address: &str) -> Result<String, ErrorMessage> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(text)?;
    let key = SigningKey::from_slice(&secret).map_err(text)?;
    let point = key.verifying_key().to_encoded_point(false);
    let coordinate = |bytes: Option<&p256::FieldBytes>| bytes.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
    let header = json!({
        "typ": "dpop+jwt",
        "alg": "ES256",
        "jwk": { "kty": "EC", "crv": "P-256", "x": coordinate(point.x()), "y": coordinate(point.y()) },
    });
    let mut jti = [0; 16];
    getrandom::fill(&mut jti).map_err(text)?;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().map_err(text)?.as_secs();
    let claims = json!({ "jti": URL_SAFE_NO_PAD.encode(jti), "htm": method, "htu": address, "iat": now });
    let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature: Signature = key.sign(signed.as_bytes());
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes())))
}
