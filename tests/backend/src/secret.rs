//! Secrets that we make, and how they are kept: only their SHA-256 is stored, so a copy of the database opens nothing.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// 256 random bits as 43 characters that need no escaping anywhere.
pub(crate) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Six random digits, for a person to type.
pub(crate) fn digits() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)?;
    // 2^64 is no multiple of a million, but the lean towards some codes is too small to matter.
    Ok(format!("{:06}", u64::from_le_bytes(bytes) % 1_000_000))
}

/// A short random name, for what is no secret.
pub(crate) fn name(prefix: &str) -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 12];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// What is stored of a secret: its SHA-256 in base64url without padding. A plain hash will do: the secrets are too long to
/// guess. The record of refreshes names tokens by it.
pub fn stored(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_bytes()))
}

/// A value that only those can make who know all the `parts`; `purpose` keeps one use apart from another.
pub(crate) fn derived(purpose: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(&purpose).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

/// Whether two secrets are the same; the time it takes says nothing.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Whether `verifier` is what `challenge` was made from (RFC 7636, S256).
pub(crate) fn pkce_holds(verifier: &str, challenge: &str) -> bool {
    let well_formed = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'));
    well_formed && same(&stored(verifier), challenge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pkce_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(pkce_holds(verifier, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        assert!(!pkce_holds(verifier, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN"));
        assert!(!pkce_holds("short", &stored("short")));
    }

    #[test]
    fn what_is_derived_depends_on_every_part_and_its_borders() {
        assert_ne!(derived("csrf", &["ab", "c"]), derived("csrf", &["a", "bc"]));
        assert_ne!(derived("csrf", &["a"]), derived("nonce", &["a"]));
    }
}
