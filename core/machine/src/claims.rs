//! Whether an ID token belongs to the login that waits.

use hookswitch_wire::{AccountId, UnixMillis};

use crate::{event::Claims, kept::AgentProfile, names::SecretRef};

/// Checks an ID token's claims (OpenID Connect Core, section 3.1.3.7). Its expiry is judged by the server's clock only: a
/// phone whose clock is years off can sign in all the same.
pub(crate) fn check_claims(
    claims: &Claims,
    nonce: SecretRef,
    issuer: &str,
    client_id: &str,
    server_now: Option<UnixMillis>,
) -> Result<AgentProfile, &'static str> {
    const LEEWAY: i64 = 5 * 60 * 1_000;
    if claims.iss != issuer {
        return Err("the ID token comes from another issuer");
    }
    // For others as well (steps 3 to 5) only where it says that this app asked for it.
    let others_too = claims.aud.iter().any(|aud| aud != client_id);
    let asked_here = claims.azp.as_ref().map_or(!others_too, |azp| azp == client_id);
    if !claims.aud.iter().any(|aud| aud == client_id) || !asked_here {
        return Err("the ID token is for another app");
    }
    if claims.nonce != Some(nonce) {
        return Err("the ID token belongs to another sign-in");
    }
    if server_now.is_some_and(|now| UnixMillis(claims.exp.saturating_mul(1_000)) + LEEWAY < now) {
        return Err("the ID token has expired");
    }
    if server_now.is_some_and(|now| now + LEEWAY < UnixMillis(claims.iat.saturating_mul(1_000))) {
        return Err("the ID token is of a time to come");
    }
    Ok(AgentProfile { account: AccountId(claims.sub.clone()), email: claims.email.clone(), name: claims.name.clone() })
}

/// Checks the ID token that came with a refresh (OpenID Connect Core, section 12.2): it has no nonce, and its times say nothing,
/// but it is of the same issuer, agent and app as the sign-in's.
pub(crate) fn check_renewed_claims(
    claims: &Claims,
    agent: &AgentProfile,
    issuer: &str,
    client_id: &str,
) -> Result<(), &'static str> {
    if claims.iss != issuer {
        return Err("the new ID token comes from another issuer");
    }
    if claims.sub != agent.account.as_str() {
        return Err("the new ID token is of somebody else");
    }
    if !claims.aud.iter().any(|aud| aud == client_id) {
        return Err("the new ID token is for another app");
    }
    Ok(())
}
