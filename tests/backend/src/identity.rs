//! What people and servers prove themselves with: passwords, one-time codes, signed ID tokens.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use jsonwebtoken::{
    Algorithm as JwsAlgorithm, EncodingKey, Header,
    jwk::{Jwk, JwkSet},
};
use p256::{SecretKey, pkcs8::EncodePrivateKey};
use serde::{Deserialize, Serialize};

use crate::{config::PasswordCost, secret, service::ServiceError};

fn crypto(error: impl std::fmt::Display) -> ServiceError {
    ServiceError::Crypto(error.to_string())
}

/// Hashes a password (argon2id). Takes tens of milliseconds: not on an async thread.
pub(crate) fn hash_password(password: &str, cost: PasswordCost) -> Result<String, ServiceError> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(crypto)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Ok(argon2.hash_password(password.as_bytes()).map_err(crypto)?.to_string())
}

/// Whether this is the password of that hash. Takes tens of milliseconds: not on an async thread.
pub(crate) fn is_password(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// The one-time codes of a secret (RFC 6238: SHA-1, six digits, 30 s).
fn totp(secret: &[u8]) -> totp_rs::Totp {
    totp_rs::Builder::new().with_secret(totp_rs::Secret::new(secret.into())).build_noncompliant()
}

fn seconds(now: i64) -> u64 {
    u64::try_from(now / 1_000).unwrap_or_default()
}

/// The code that is valid now.
pub(crate) fn totp_code(secret: &[u8], now: i64) -> String {
    totp(secret).generate(seconds(now)).to_string()
}

/// The time step of a code that is valid now, give or take one step.
pub(crate) fn totp_step(secret: &[u8], code: &str, now: i64) -> Option<u64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let six_digits = code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit());
    if six_digits { totp(secret).check(&code, seconds(now)) } else { None }
}

/// The key that an issuer signs ID tokens with.
pub(crate) struct Keys {
    kid: String,
    key: EncodingKey,
    set: JwkSet,
}

impl Keys {
    /// A new key, as PKCS #8.
    pub(crate) fn generate() -> Result<Vec<u8>, ServiceError> {
        let mut bytes = [0_u8; 32];
        loop {
            getrandom::fill(&mut bytes)?;
            // All but one in 2^32 tries is a valid scalar.
            if let Ok(key) = SecretKey::from_slice(&bytes) {
                return Ok(key.to_pkcs8_der().map_err(crypto)?.as_bytes().to_vec());
            }
        }
    }

    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, ServiceError> {
        let key = EncodingKey::from_ec_der(der);
        let mut jwk = Jwk::from_encoding_key(&key, JwsAlgorithm::ES256).map_err(crypto)?;
        let public = serde_json::to_string(&jwk.algorithm).map_err(crypto)?;
        let kid = secret::derived("kid", &[&public]);
        jwk.common.key_id = Some(kid.clone());
        Ok(Self { kid, key, set: JwkSet { keys: vec![jwk] } })
    }

    /// What everybody may verify with.
    pub(crate) fn public(&self) -> &JwkSet {
        &self.set
    }

    pub(crate) fn sign(&self, claims: &IdClaims) -> Result<String, ServiceError> {
        self.sign_as("JWT", claims)
    }

    /// Signs a token of another type.
    pub(crate) fn sign_as(&self, typ: &str, claims: &impl Serialize) -> Result<String, ServiceError> {
        let header =
            Header { typ: Some(typ.to_owned()), kid: Some(self.kid.clone()), ..Header::new(JwsAlgorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(crypto)
    }
}

/// What an ID token says (OpenID Connect Core, section 2). Times are seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct IdClaims {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    /// The session at the issuer (OpenID Connect Back-Channel Logout 1.0, section 2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sid: Option<String>,
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) email_verified: bool,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_again_and_no_other() {
        let hash = hash_password("correct horse", PasswordCost::default()).unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(is_password("correct horse", &hash));
        assert!(!is_password("correct horsf", &hash));
        assert!(!is_password("correct horse", "no hash"));
    }

    #[test]
    fn a_code_is_good_for_its_step_and_its_neighbours() {
        let secret = b"12345678901234567890";
        let code = totp_code(secret, 59_000);
        // RFC 6238, appendix B: 94287082, of which six digits.
        assert_eq!(code, "287082");
        assert_eq!(totp_step(secret, "287 082", 59_000), Some(1));
        assert_eq!(totp_step(secret, &code, 89_000), Some(1));
        assert_eq!(totp_step(secret, &code, 120_000), None);
        for bad in ["", "287083", "28708", "2870822", "abcdef", "２８７０８２"] {
            assert_eq!(totp_step(secret, bad, 59_000), None, "{bad}");
        }
    }
}
