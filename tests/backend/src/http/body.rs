//! Bodies: JSON and forms, with our own words when they are not what they should be.

use std::collections::HashMap;

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use hookswitch_wire::problem::code;
use serde::de::DeserializeOwned;

use super::{ApiError, BODY_LIMIT, text};

/// Reads a body of at most 64 KiB.
pub(crate) async fn bytes(body: Body) -> Result<Bytes, ApiError> {
    // The two ways to fail are a body that is too large and a client that went away; the latter reads no answer.
    axum::body::to_bytes(body, BODY_LIMIT).await.map_err(|_| ApiError::too_large())
}

/// Whether a request says that its body is of this media type.
pub(crate) fn is_media_type(headers: &HeaderMap, wanted: &str) -> bool {
    text(headers, header::CONTENT_TYPE.as_str())
        .and_then(|given| given.split(';').next())
        .is_some_and(|given| given.trim().eq_ignore_ascii_case(wanted))
}

/// Reads JSON. The complaint names the place, never the data.
pub(crate) fn json<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, ApiError> {
    if !is_media_type(headers, "application/json") {
        let status = axum::http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let detail = "Send Content-Type: application/json.";
        return Err(ApiError::new(status, code::MALFORMED, "The body is not JSON", detail));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "is not what this endpoint takes",
            serde_json::error::Category::Io
            | serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof => "is not JSON",
        };
        ApiError::malformed(format!("The body {what}: line {}, column {}.", error.line(), error.column()))
    })
}

/// A JSON body, for handlers that need nothing else of it.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        json(&parts.headers, &bytes(body).await?).map(Self)
    }
}

/// The fields of a form or a query. Each at most once (RFC 6749, section 3.1).
pub(crate) struct Fields(HashMap<String, String>);

/// A field came twice.
#[derive(Debug)]
pub(crate) struct Repeated;

impl Fields {
    pub(crate) fn parse(encoded: &[u8]) -> Result<Self, Repeated> {
        let mut fields = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(encoded) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Repeated);
            }
        }
        Ok(Self(fields))
    }

    /// A field that is there and not empty: an empty one counts as left out (RFC 6749, section 3.1).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

/// A posted form. Anything else is an empty form, which every handler refuses in its own words.
pub(crate) struct Form(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = bytes(body).await?;
        let is_form = is_media_type(&parts.headers, "application/x-www-form-urlencoded");
        let encoded: &[u8] = if is_form { &bytes } else { b"" };
        Fields::parse(encoded).map(Self).map_err(|Repeated| ApiError::malformed("A field comes twice."))
    }
}
