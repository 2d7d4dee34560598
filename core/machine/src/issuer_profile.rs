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
    /// The agent must sign in again, for whatever reason.
    SignInAgain,
    /// The app is not one that the issuer knows, or that it gives tokens to. Perhaps only now: a server that was set up anew.
    NotThisApp,
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

    /// What a refusal says of the refresh token. `invalid_grant` is the word for a dead one (RFC 6749, section 5.2), though not every
    /// one says so, and some issuers have others.
    pub(crate) fn judge(self, error: &str, description: Option<&str>) -> Refusal {
        let description = description.unwrap_or_default().to_ascii_lowercase();
        match error {
            "invalid_grant" => self.judge_grant(&description),
            // Dex has these descriptions for a dead token, and the same word for requests that are wrong in other ways:
            // https://github.com/dexidp/dex/blob/01105ace/server/refreshhandlers.go
            "invalid_request" if description == "refresh token expired." => Refusal::Expired,
            "invalid_request" if description.contains("is invalid or has already been claimed") => Refusal::Invalid,
            // Hydra, for a token that was used before: https://github.com/ory/hydra/issues/3004
            "token_inactive" => Refusal::Invalid,
            // OpenID Connect Core, section 3.1.2.6; Entra ID has them at the token endpoint as well:
            // https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
            "interaction_required" | "login_required" | "consent_required" | "account_selection_required" => {
                Refusal::SignInAgain
            }
            "invalid_client" | "unauthorized_client" => Refusal::NotThisApp,
            _ => Refusal::SaysNothing,
        }
    }

    fn judge_grant(self, description: &str) -> Refusal {
        let words: Vec<&str> = description.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let says = |any: &[&str]| words.iter().any(|word| any.contains(word));
        // A missing or stale proof of possession is a fault of the request (Keycloak words it as an invalid grant; RFC
        // 9449, section 5 has `invalid_dpop_proof` and `use_dpop_nonce` for it).
        if says(&["dpop"]) {
            return Refusal::SaysNothing;
        }
        let expired = match self {
            // https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
            Self::Entra => says(&["aadsts700082", "aadsts70008", "aadsts700084"]),
            // Where it is one reason among several ("invalid, expired, revoked, ...", as Hydra, Okta and Ping have it), it is
            // none; nor where it is a consequence ("expired due to it being revoked").
            Self::Unknown | Self::Okta | Self::Auth0 | Self::Keycloak | Self::Cognito | Self::Fapi2 => {
                says(&["expired"]) && !says(&["or", "invalid", "revoked", "used", "claimed", "unknown"])
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
    fn words_that_are_not_about_the_token_say_nothing_of_it() {
        let others = [
            "invalid_request",
            "unsupported_grant_type",
            "invalid_scope",
            "temporarily_unavailable",
            "server_error",
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
        use IssuerProfile::{Auth0, Cognito, Entra, Keycloak, Okta, Unknown};
        let table = [
            (Keycloak, "DPoP proof is missing", Refusal::SaysNothing),
            (Unknown, "DPoP proof is missing", Refusal::SaysNothing),
            (Keycloak, "Maximum allowed refresh token reuse exceeded", Refusal::Invalid),
            (Keycloak, "Session not active", Refusal::Invalid),
            (Keycloak, "Token is not active", Refusal::Invalid),
            (Okta, "The refresh token is invalid or expired.", Refusal::Invalid),
            (Unknown, HYDRA, Refusal::Invalid),
            (Unknown, "Token has been expired or revoked.", Refusal::Invalid),
            (Unknown, "unknown, invalid, or expired refresh token", Refusal::Invalid),
            (Cognito, "Refresh Token has expired", Refusal::Expired),
            (Cognito, "Refresh Token has been revoked", Refusal::Invalid),
            (Auth0, "Unknown or invalid refresh token.", Refusal::Invalid),
            (Entra, "AADSTS700082: The refresh token has expired due to inactivity.", Refusal::Expired),
            (Entra, "AADSTS50173: The provided grant has expired due to it being revoked.", Refusal::Invalid),
            (Unknown, "the token has expired", Refusal::Expired),
        ];
        for (profile, description, refusal) in table {
            assert_eq!(profile.judge("invalid_grant", Some(description)), refusal, "{profile:?}: {description}");
        }
    }

    /// RFC 6749's own words, in which Hydra and django-oauth-toolkit (oauthlib) give every reason at once:
    /// https://github.com/ory/fosite/blob/master/errors.go
    const HYDRA: &str = "The provided authorization grant (e.g., authorization code, resource owner credentials) or \
        refresh token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, \
        or was issued to another client.";

    #[test]
    fn a_dead_token_under_other_words() {
        let claimed = "clientID app refresh token (ID 7) is invalid or has already been claimed by another client.";
        for profile in ALL {
            for (error, description, refusal) in [
                ("invalid_request", Some("Refresh token expired."), Refusal::Expired),
                ("invalid_request", Some(claimed), Refusal::Invalid),
                ("invalid_request", Some("No refresh token is found in request."), Refusal::SaysNothing),
                ("token_inactive", None, Refusal::Invalid),
                ("interaction_required", Some("AADSTS50076: use multi-factor authentication"), Refusal::SignInAgain),
                ("login_required", None, Refusal::SignInAgain),
                ("consent_required", Some("the consent has expired"), Refusal::SignInAgain),
                ("invalid_client", None, Refusal::NotThisApp),
                ("unauthorized_client", Some("it has expired"), Refusal::NotThisApp),
            ] {
                assert_eq!(profile.judge(error, description), refusal, "{profile:?} {error} {description:?}");
            }
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
