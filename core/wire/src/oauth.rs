//! Server metadata and token answers.

use serde::{Deserialize, Serialize};

/// Authorization server metadata (RFC 8414; OpenID Connect Discovery 1.0): what the apps use of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerMetadata {
    /// Must be identical to the issuer that was asked (RFC 8414, section 3.3).
    pub issuer: String,
    /// Where the browser goes.
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens go.
    pub token_endpoint: String,
    /// Where tokens are revoked (RFC 7009).
    #[serde(default)]
    pub revocation_endpoint: Option<String>,
    /// The keys of ID tokens.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// Whether redirects carry `iss` (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    /// Must name `S256` (RFC 7636).
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
    /// What the token endpoint takes.
    #[serde(default)]
    pub grant_types_supported: Vec<String>,
}

/// A granted token request (RFC 6749, section 5.1). Holds secrets: no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// Goes with each request of the API.
    pub access_token: String,
    /// `Bearer` or `DPoP`.
    pub token_type: String,
    /// Life of the access token in seconds.
    #[serde(default)]
    pub expires_in: Option<u64>,
    /// Absent when the server keeps the old one valid.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// OpenID Connect: who signed in.
    #[serde(default)]
    pub id_token: Option<String>,
    /// What was granted.
    #[serde(default)]
    pub scope: Option<String>,
}

/// A refused token request (RFC 6749, section 5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenError {
    /// `invalid_grant` and its like.
    pub error: String,
    /// For a developer.
    #[serde(default)]
    pub error_description: Option<String>,
}
