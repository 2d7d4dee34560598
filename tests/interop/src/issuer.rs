//! What any issuer is asked by the tests themselves, around the core.

use serde_json::Value;

use crate::report::{ErrorMessage, ensure, text};

/// An issuer's endpoints.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    http: reqwest::Client,
    pub(crate) name: String,
    metadata: Value,
}

/// An answer: its status and its JSON, if it is any.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) async fn read(answer: reqwest::Response) -> Result<Self, ErrorMessage> {
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(text)?;
        Ok(Self { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    /// Fails unless the token endpoint said that the grant is not valid.
    pub(crate) fn is_invalid_grant(&self) -> Result<(), ErrorMessage> {
        let right = self.status == 400 && self.body.get("error").is_some_and(|error| error == "invalid_grant");
        ensure(right, || format!("not invalid_grant but {self:?}"))
    }
}

impl Issuer {
    /// The issuer of this name, as soon as it answers.
    pub(crate) async fn find(http: &reqwest::Client, name: &str) -> Option<Self> {
        let answer = http.get(format!("{name}/.well-known/openid-configuration")).send().await.ok()?;
        let answer = Answer::read(answer).await.ok().filter(|answer| answer.status == 200)?;
        Some(Self { http: http.clone(), name: name.to_owned(), metadata: answer.body })
    }

    /// An address in the metadata.
    pub(crate) fn endpoint(&self, name: &str) -> Result<&str, ErrorMessage> {
        self.metadata.get(name).and_then(Value::as_str).ok_or_else(|| format!("the metadata has no {name}"))
    }

    /// Uses a refresh token, as a thief would.
    pub(crate) async fn refresh(&self, client_id: &str, refresh_token: &str) -> Result<Answer, ErrorMessage> {
        let form = [("grant_type", "refresh_token"), ("client_id", client_id), ("refresh_token", refresh_token)];
        self.token(&form, None).await
    }

    /// Asks the token endpoint, with a proof of possession (RFC 9449) or without.
    pub(crate) async fn token(&self, form: &[(&str, &str)], proof: Option<&str>) -> Result<Answer, ErrorMessage> {
        let mut request = self.http.post(self.endpoint("token_endpoint")?).form(form);
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        Answer::read(request.send().await.map_err(text)?).await
    }

    /// What the issuer says about the owner of an access token: whether it takes the token.
    pub(crate) async fn userinfo(&self, access_token: &str) -> Result<Answer, ErrorMessage> {
        let request = self.http.get(self.endpoint("userinfo_endpoint")?).bearer_auth(access_token);
        Answer::read(request.send().await.map_err(text)?).await
    }

    /// The keys that it signs with.
    pub(crate) async fn keys(&self) -> Result<jsonwebtoken::jwk::JwkSet, ErrorMessage> {
        let answer = self.http.get(self.endpoint("jwks_uri")?).send().await.map_err(text)?;
        serde_json::from_value(Answer::read(answer).await?.body).map_err(text)
    }
}
