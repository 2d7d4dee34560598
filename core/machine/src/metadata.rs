//! Whether an issuer's metadata may be believed, and whether an address may be sent a secret.

use hookswitch_wire::ServerMetadata;

/// Checks an issuer's metadata (RFC 8414, section 3.3; RFC 7636; RFC 9700, section 2.1.1): a mix-up starts with a document that
/// lies. An issuer that does not say how it takes PKCE is sent S256 all the same: many do not, and one that does not know it
/// passes over it.
pub(crate) fn check_metadata(metadata: &ServerMetadata, issuer: &str) -> Result<(), &'static str> {
    if metadata.issuer != issuer {
        return Err("the sign-in server calls itself by another name than the one that was asked");
    }
    if metadata.code_challenge_methods_supported.as_ref().is_some_and(|methods| !methods.iter().any(|m| m == "S256")) {
        return Err("the sign-in server does not support PKCE with S256");
    }
    let endpoints = [&metadata.authorization_endpoint, &metadata.token_endpoint];
    let others = metadata.revocation_endpoint.iter().chain(&metadata.pushed_authorization_request_endpoint);
    if !endpoints.into_iter().chain(others).all(|address| is_secure_address(address)) {
        return Err("the sign-in server names an address that is not https");
    }
    Ok(())
}

/// Whether secrets may travel to an address: over TLS, or not beyond this device (RFC 6749, section 3.1 and 3.2; RFC 8252,
/// section 8.3). That is `https`, or `http` on an address of loopback; a name such as `localhost` can be anybody's.
///
/// Stricter than a URL may be: no user in front of the host, no backslash, no blank, so that no two readers disagree about who is
/// meant.
#[must_use]
pub fn is_secure_address(address: &str) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if address.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) || authority.contains('@') {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(ipv6) => ipv6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" => !host.is_empty(),
        "http" => host.parse().is_ok_and(|ip: core::net::IpAddr| ip.is_loopback()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_travel_over_tls_or_stay_on_the_device() {
        for good in [
            "https://id.example",
            "HTTPS://id.example:8443/realms/a?b#c",
            "https://[2001:db8::1]:1/token",
            "http://127.0.0.1:8080",
            "http://127.1.2.3/token",
            "http://[::1]:1",
        ] {
            assert!(is_secure_address(good), "{good}");
        }
        for bad in [
            "",
            "id.example",
            "https://",
            "https:///token",
            "https:id.example",
            "http://id.example",
            "http://localhost",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1@evil.example",
            "http://[::1]@evil.example",
            "http://[::ffff:203.0.113.9]",
            "http://evil.example\\@127.0.0.1",
            "https://id.example\\@evil.example",
            "https://id.example @evil.example",
            "ftp://id.example",
            "javascript://id.example/%0aalert(1)",
            "data:text/html,https://id.example",
        ] {
            assert!(!is_secure_address(bad), "{bad}");
        }
    }
}
