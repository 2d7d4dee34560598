//! What issuers do with a refresh token that is used twice, and what their refusals mean.
//!
//! After a refresh whose answer was lost, nobody knows whether the server has replaced the token. The one way on is to use
//! it again; whether that is a retry or a theft is the server's view, and for most it depends on how soon it comes:
//!
//! | profile | a second use of the token | source |
//! |---|---|---|
//! | `unknown` | may end the session at any time | RFC 9700, section 4.14.2 leaves it to the server |
//! | `entra` | any time: old tokens stay good | <https://learn.microsoft.com/en-us/entra/identity-platform/refresh-tokens> |
//! | `okta` | within the grace period, 0 to 60 s by the administrator's choice, 30 s if none was made | <https://developer.okta.com/docs/guides/refresh-tokens/main/> |
//! | `auth0` | within the overlap period, which is off unless configured; only the previous token | <https://auth0.com/docs/secure/tokens/refresh-tokens/configure-refresh-token-rotation> |
//! | `keycloak` | any time while "Revoke Refresh Token" is off (the default); with it and a reuse count of 0, never (measured on 26.7.3) | <https://www.keycloak.org/docs/latest/server_admin/#_timeouts> |
//! | `cognito` | any time without rotation (the default); with it, within the retry grace period of 0 to 60 s | <https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_RefreshTokenRotationType.html> |
//! | `fapi2` | any time: tokens are bound to a key and are not rotated | <https://openid.net/specs/fapi-security-profile-2_0-final.html>, section 5.3.2.1 |
//!
//! Where the administrator decides, the profile assumes the stricter choice: to retry soon where there is no need costs a
//! request, to be late costs a session.

use serde::{Deserialize, Serialize};

/// The kind of issuer: what it does with a refresh token that is used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuerProfile {
    /// Nothing is known of it: all care is taken.
    #[default]
    Unknown,
    /// Microsoft Entra ID.
    Entra,
    /// Okta.
    Okta,
    /// Auth0.
    Auth0,
    /// Keycloak.
    Keycloak,
    /// Amazon Cognito.
    Cognito,
    /// Any issuer that follows the FAPI 2.0 security profile.
    Fapi2,
}

/// What a refusal of the token endpoint (RFC 6749, section 5.2) says about the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It has run out.
    Expired,
    /// It is not valid: revoked, or used before.
    Invalid,
    /// Nothing: the request was wrong in another way, or the server cannot now.
    SaysNothing,
}

impl IssuerProfile {
    /// How long after a refresh whose answer was lost a second use of the token passes for a retry, in milliseconds; `None`:
    /// at any time.
    pub(crate) const fn retry_window(self) -> Option<u64> {
        match self {
            Self::Entra | Self::Fapi2 => None,
            Self::Okta => Some(30_000),
            Self::Unknown | Self::Cognito => Some(10_000),
            // A strict setup takes any second use for a theft; a lax one takes it at any time. Waiting helps neither.
            Self::Auth0 | Self::Keycloak => Some(2_000),
        }
    }

    /// What a refusal says. Only `invalid_grant` can prove that a refresh token is dead, and not every one does.
    pub(crate) fn judge(self, error: &str, description: Option<&str>) -> Refusal {
        if error != "invalid_grant" {
            return Refusal::SaysNothing;
        }
        let description = description.unwrap_or_default().to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| description.contains(words));
        // A missing or stale proof of possession is a fault of the request (Keycloak words it as an invalid grant; RFC
        // 9449, section 5 has `invalid_dpop_proof` and `use_dpop_nonce` for it).
        if says(&["dpop"]) {
            return Refusal::SaysNothing;
        }
        let expired = match self {
            // https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
            Self::Entra => says(&["aadsts700082", "aadsts70008", "aadsts700084"]),
            Self::Unknown | Self::Okta | Self::Auth0 | Self::Keycloak | Self::Cognito | Self::Fapi2 => {
                says(&["expired"])
            }
        };
        if expired { Refusal::Expired } else { Refusal::Invalid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [IssuerProfile; 7] = [
        IssuerProfile::Unknown,
        IssuerProfile::Entra,
        IssuerProfile::Okta,
        IssuerProfile::Auth0,
        IssuerProfile::Keycloak,
        IssuerProfile::Cognito,
        IssuerProfile::Fapi2,
    ];

    #[test]
    fn only_an_invalid_grant_can_prove_that_a_token_is_dead() {
        let others = [
            "invalid_request",
            "invalid_client",
            "unauthorized_client",
            "unsupported_grant_type",
            "invalid_scope",
            "temporarily_unavailable",
            "server_error",
            "interaction_required",
            "slow_down",
            "use_dpop_nonce",
            "invalid_dpop_proof",
            "",
            "INVALID_GRANT",
        ];
        for profile in ALL {
            for error in others {
                assert_eq!(profile.judge(error, Some("expired")), Refusal::SaysNothing, "{profile:?} {error}");
            }
            assert_eq!(profile.judge("invalid_grant", None), Refusal::Invalid, "{profile:?}");
        }
    }

    #[test]
    fn what_the_issuers_say() {
        use IssuerProfile::{Auth0, Entra, Keycloak, Okta, Unknown};
        let table = [
            (Keycloak, "DPoP proof is missing", Refusal::SaysNothing),
            (Unknown, "DPoP proof is missing", Refusal::SaysNothing),
            (Keycloak, "Maximum allowed refresh token reuse exceeded", Refusal::Invalid),
            (Keycloak, "Session not active", Refusal::Invalid),
            (Keycloak, "Token is not active", Refusal::Invalid),
            (Okta, "The refresh token is invalid or expired.", Refusal::Expired),
            (Auth0, "Unknown or invalid refresh token.", Refusal::Invalid),
            (Entra, "AADSTS700082: The refresh token has expired due to inactivity.", Refusal::Expired),
            (Entra, "AADSTS50173: The provided grant has expired due to it being revoked.", Refusal::Invalid),
            (Unknown, "the token has expired", Refusal::Expired),
        ];
        for (profile, description, refusal) in table {
            assert_eq!(profile.judge("invalid_grant", Some(description)), refusal, "{profile:?}: {description}");
        }
    }

    #[test]
    fn who_rotates_is_asked_again_soon() {
        for profile in ALL {
            let rotates = !matches!(profile, IssuerProfile::Entra | IssuerProfile::Fapi2);
            assert_eq!(profile.retry_window().is_some(), rotates, "{profile:?}");
            assert!(
                profile.retry_window().is_none_or(|window| window <= 60_000),
                "{profile:?}: no grace period is longer"
            );
        }
    }

    #[test]
    fn a_profile_is_chosen_by_its_name() {
        for profile in ALL {
            let name = serde_json::to_string(&profile).unwrap();
            assert_eq!(serde_json::from_str::<IssuerProfile>(&name).unwrap(), profile);
        }
    }
}
