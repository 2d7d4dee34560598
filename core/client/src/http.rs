//! HTTP by reqwest, over rustls with ring.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use hookswitch_machine::Failure;

use crate::ports::{Http, HttpFault, HttpRequest, HttpResponse};

/// A server that has not answered by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that has not sent its headers by then hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The real network.
#[derive(Clone, Debug)]
pub struct Network {
    client: reqwest::Client,
}

impl Network {
    /// Prepares the network; opens no connection.
    ///
    /// # Errors
    /// When the platform's certificate store cannot be used. (Android: initialise `rustls-platform-verifier` with the
    /// application context first.)
    pub fn new() -> Result<Self, Failure> {
        // Fails when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .http2_keep_alive_while_idle(false)
            .referer(false)
            .user_agent(concat!("hookswitch/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(|client| Self { client })
            .map_err(|error| Failure::internal(format!("The network cannot be prepared: {}", describe(&error))))
    }
}

#[async_trait]
impl Http for Network {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let request = reqwest::Request::try_from(request).map_err(|error| HttpFault(describe(&error)))?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.client.execute(request))
            .await
            .map_err(|_| HttpFault("the server did not answer in time".into()))?
            .map_err(|error| HttpFault(describe(&error)))?;
        let (head, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        let body = http_body_stream(body);
        Ok(HttpResponse { head, body })
    }
}

fn http_body_stream(body: reqwest::Body) -> futures_util::stream::BoxStream<'static, Result<Bytes, HttpFault>> {
    // `Body` is a stream of frames only through a response.
    reqwest::Response::from(http::Response::new(body))
        .bytes_stream()
        .map_err(|error| HttpFault(describe(&error)))
        .boxed()
}

/// An error with its causes and without its address, which may carry what must not be logged.
fn describe(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "cannot connect"
    } else if error.is_body() || error.is_decode() {
        "the answer broke off"
    } else {
        "the request failed"
    }
    .to_owned();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
