//! Whether a redirect belongs to the login that waits.

use crate::{event::Redirect, kept::PendingLogin, names::SecretRef, time::Timestamp};

/// Why a redirect is not the one that a login waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RedirectFault {
    /// Not ours, or not this login's: somebody else's page. The login goes on waiting.
    Foreign(&'static str),
    /// It came when the login was over ([`LOGIN_LIFE`](crate::LOGIN_LIFE)).
    Expired,
    /// The issuer says no.
    Denied {
        /// Its word for programs.
        error: String,
        /// Its words for people.
        said: Option<String>,
    },
}

/// Checks a redirect against the login that waits: exact redirect URI, `state`, `iss` (RFC 9207), no parameter twice,
/// within the login's life (RFC 6749, section 4.1.2; RFC 9700, section 2.1).
pub(crate) fn check_redirect(
    pending: &PendingLogin,
    redirect: &Redirect,
    issuer: &str,
    iss_required: bool,
    now: Timestamp,
) -> Result<SecretRef, RedirectFault> {
    if redirect.target != pending.redirect_uri {
        return Err(RedirectFault::Foreign("it came to another address than the one that was asked for"));
    }
    if redirect.repeated {
        return Err(RedirectFault::Foreign("it has a parameter twice"));
    }
    if redirect.state != Some(pending.state) {
        return Err(RedirectFault::Foreign("its state is not the one of this sign-in"));
    }
    match &redirect.iss {
        Some(iss) if iss != issuer => return Err(RedirectFault::Foreign("it comes from another issuer")),
        None if iss_required => return Err(RedirectFault::Foreign("it does not say which issuer it comes from")),
        Some(_) | None => {}
    }
    if pending.is_expired(now) {
        return Err(RedirectFault::Expired);
    }
    match (&redirect.error, redirect.code) {
        (Some(error), _) => {
            Err(RedirectFault::Denied { error: error.clone(), said: redirect.error_description.clone() })
        }
        (None, Some(code)) => Ok(code),
        (None, None) => Err(RedirectFault::Foreign("it has no code")),
    }
}

/// Redirect URIs match exactly, but for the port of a loopback address (RFC 8252, section 7.3).
pub(crate) fn loopback_or_equal(registered: &str, asked: &str) -> bool {
    if registered == asked {
        return true;
    }
    let parts = |uri: &str| {
        let rest = uri.strip_prefix("http://127.0.0.1")?;
        let rest = rest.strip_prefix(':').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        rest.starts_with('/').then(|| rest.to_owned())
    };
    parts(registered).is_some_and(|registered| parts(asked) == Some(registered))
}
