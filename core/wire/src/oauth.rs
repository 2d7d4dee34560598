//! Server metadata and token answers.

use serde::{Deserialize, Serialize};

/// Authorization server metadata (RFC 8414; OpenID Connect Discovery 1.0): what the apps use of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerMetadata {
    /// Must be identical to the issuer that was asked (RFC 8414, section 3.3).
    pub issuer: String,
    /// The login page's address, which the system browser opens (RFC 6749, section 3.1).
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens are exchanged for tokens (RFC 6749, section 3.2).
    pub token_endpoint: String,
    /// Where tokens are revoked (RFC 7009); `None` when the issuer revokes none, and a sign-out stays on the phone.
    #[serde(default)]
    pub revocation_endpoint: Option<String>,
    /// Where the parameters of a sign-in can be left ahead of the browser (RFC 9126); `None` when the issuer takes none.
    #[serde(default)]
    pub pushed_authorization_request_endpoint: Option<String>,
    /// Whether they must be (RFC 9126, section 5).
    #[serde(default)]
    pub require_pushed_authorization_requests: bool,
    /// The page that ends the issuer's own session in the browser (OpenID Connect RP-Initiated Logout 1.0); `None` when it has none.
    #[serde(default)]
    pub end_session_endpoint: Option<String>,
    /// Where the keys are that sign ID tokens (RFC 7517). The apps do not need them: they get ID tokens from the issuer itself.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Whether redirects carry `iss` (RFC 9207): then one without it is refused.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    /// The methods of PKCE that the issuer takes (RFC 7636, RFC 8414); `None` when it does not say, as Entra ID and Cognito. The
    /// apps sign in by `S256`, and not at an issuer that says that it does not take it.
    #[serde(default)]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// The grants that the token endpoint takes, by their names in RFC 6749 and its extensions; empty when it does not say.
    #[serde(default)]
    pub grant_types_supported: Vec<String>,
}

/// A granted token request (RFC 6749, section 5.1). Holds secrets: no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The access token: goes with each request of the API, as `Authorization: Bearer`.
    pub access_token: String,
    /// How the access token is used, without regard to case: `Bearer` (RFC 6750) or `DPoP` (RFC 9449).
    pub token_type: String,
    /// How long the access token is good, in seconds from the answer; `None` when the issuer does not say.
    #[serde(default)]
    pub expires_in: Option<u64>,
    /// The refresh token to use next; `None` when the one that was sent stays good.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// Who signed in, as a signed JWT (OpenID Connect Core, section 2); `None` where it was not asked for.
    #[serde(default)]
    pub id_token: Option<String>,
    /// The scopes that were granted, with spaces in between; `None` when they are those that were asked for.
    #[serde(default)]
    pub scope: Option<String>,
}

/// A refused token request (RFC 6749, section 5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenError {
    /// The kind of refusal, for programs: `invalid_grant` and its like.
    pub error: String,
    /// What is wrong, for a developer. May quote what was sent: never to be logged unseen.
    #[serde(default)]
    pub error_description: Option<String>,
}
