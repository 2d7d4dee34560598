//! `POST /backchannel-logout/{google,sso}`: an issuer that we rely on says that a session is over.

use axum::{
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jsonwebtoken::jwk::JwkSet;

use super::{
    OauthError, Shared, no_store, oauth_form,
    sso::{CLIENT, Distrust, Provider, discover, get},
};
use crate::{
    logout::{Untrusted, key_id, verify},
    service::Service,
    upstream::Tenant,
};

/// Where the upstream issuer posts its logout tokens.
pub(crate) fn logout_uri(service: &Service, tenant: &Tenant) -> String {
    format!("{}/backchannel-logout/{}", service.base_url, Provider::of(tenant).name())
}

impl From<Untrusted> for OauthError {
    /// OpenID Connect Back-Channel Logout 1.0, section 2.8: 400 and `invalid_request`.
    fn from(why: Untrusted) -> Self {
        Self::invalid_request(why.to_string())
    }
}

impl From<Distrust> for OauthError {
    /// Without its keys nothing can be said about its tokens: it may try again.
    fn from(why: Distrust) -> Self {
        tracing::warn!(%why, "an upstream issuer gave no keys");
        Self::new("temporarily_unavailable", "the keys of the issuer could not be read")
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
    }
}

async fn keys(service: &Shared, provider: Provider) -> Result<JwkSet, Distrust> {
    let metadata = discover(service, provider).await?;
    get(service, &metadata.jwks_uri.ok_or(Distrust::Issuer)?).await
}

pub(super) async fn receive(
    State(service): State<Shared>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, OauthError> {
    let unknown = || OauthError::invalid_request("there is no such issuer").with_status(StatusCode::NOT_FOUND);
    let provider = Provider::parse(&name).ok_or_else(unknown)?;
    let fields = oauth_form(request).await?;
    let token = fields.get("logout_token").ok_or_else(|| OauthError::invalid_request("logout_token is missing"))?;
    // What is no logout token at all costs the issuer no request.
    key_id(token)?;
    let keys = keys(&service, provider).await?;
    let believed = verify(token, &keys, &provider.issuer(&service), CLIENT, service.now() / 1_000)?;
    if service.signed_out_upstream(&believed)? {
        // Also when nobody was signed in that way: then it is done, too (section 2.7).
        Ok((StatusCode::OK, no_store()).into_response())
    } else {
        Err(OauthError::invalid_request("the token came before"))
    }
}
