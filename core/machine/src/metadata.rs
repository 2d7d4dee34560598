//! Whether an issuer's metadata may be believed.

use hookswitch_wire::ServerMetadata;

/// Checks an issuer's metadata (RFC 8414, section 3.3; RFC 7636): a mix-up starts with a document that lies.
pub(crate) fn check_metadata(metadata: &ServerMetadata, issuer: &str) -> Result<(), &'static str> {
    if metadata.issuer != issuer {
        return Err("the sign-in server calls itself by another name than the one that was asked");
    }
    if !metadata.code_challenge_methods_supported.iter().any(|method| method == "S256") {
        return Err("the sign-in server does not support PKCE with S256");
    }
    Ok(())
}
