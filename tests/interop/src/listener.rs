//! Somebody who relies on the issuer and wants to hear of sign-outs (OpenID Connect Back-Channel Logout 1.0).

use std::{net::Ipv4Addr, time::Duration};

use axum::{Form, Router, extract::State, http::StatusCode, routing::post};
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc},
};

use crate::{
    issuer::Issuer,
    report::{ErrorMessage, ensure, text},
};

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Takes logout tokens.
pub(crate) struct Listener {
    /// Where they are posted to.
    pub(crate) address: String,
    came: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Listener {
    pub(crate) async fn start() -> Result<Self, ErrorMessage> {
        let (tell, came) = mpsc::unbounded_channel();
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(text)?;
        let address = format!("http://{}/logout", socket.local_addr().map_err(text)?);
        let app = Router::new().route("/logout", post(take)).with_state(tell);
        tokio::spawn(async move { axum::serve(socket, app).await });
        Ok(Self { address, came: Mutex::new(came) })
    }

    /// The claims of the token for this session, as section 2.6 has them checked: signature by a key of the issuer, type,
    /// issuer, audience, times, event, no nonce.
    pub(crate) async fn heard_of(&self, issuer: &Issuer, client_id: &str, sid: &str) -> Result<Value, ErrorMessage> {
        let mut came = self.came.lock().await;
        let keys = issuer.keys().await?;
        loop {
            let token = tokio::time::timeout(Duration::from_secs(10), came.recv()).await;
            let token = token.map_err(|_| "no logout token came")?.ok_or("the listener is gone")?;
            let header = jsonwebtoken::decode_header(&token).map_err(text)?;
            ensure(header.typ.as_deref() == Some("logout+jwt"), || format!("its type is {:?}", header.typ))?;
            let key = header.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or("the issuer has no such key")?;
            let mut validation = Validation::new(header.alg);
            validation.set_issuer(&[&issuer.name]);
            validation.set_audience(&[client_id]);
            validation.set_required_spec_claims(&["iss", "aud", "exp"]);
            let key = DecodingKey::from_jwk(key).map_err(text)?;
            let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation).map_err(text)?.claims;
            // Those of the checks before may still come.
            if claims.get("sid").is_some_and(|said| said == sid) {
                let event = claims.get("events").and_then(|events| events.get(EVENT));
                ensure(event.is_some_and(Value::is_object), || format!("no logout event in {claims}"))?;
                ensure(claims.get("nonce").is_none(), || "it has a nonce, as an ID token has".into())?;
                for claim in ["iat", "jti"] {
                    ensure(claims.get(claim).is_some(), || format!("it has no {claim}"))?;
                }
                return Ok(claims);
            }
        }
    }
}

async fn take(
    State(tell): State<mpsc::UnboundedSender<String>>,
    Form(form): Form<Vec<(String, String)>>,
) -> StatusCode {
    let token = form.into_iter().find(|(name, _)| name == "logout_token");
    match token.map(|(_, token)| tell.send(token)) {
        Some(Ok(())) => StatusCode::OK,
        Some(Err(_)) | None => StatusCode::BAD_REQUEST,
    }
}
