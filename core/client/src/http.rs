//! HTTP by reqwest, over rustls with ring.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use hookswitch_machine::Failure;
use url::Url;

use crate::ports::{Http, HttpFault, HttpRequest, HttpResponse};

/// A server that has not answered by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that has not sent its headers by then hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// The real network: reqwest over rustls, HTTP/2 where the server speaks it, no redirects, no cookies.
#[derive(Clone, Debug)]
pub struct Network {
    client: reqwest::Client,
}

impl Network {
    /// Prepares the network; opens no connection.
    ///
    /// # Errors
    /// [`Failure::Internal`] when the platform's certificate store cannot be used. (Android: initialise `rustls-platform-verifier` with the
    /// application context first.)
    pub fn new() -> Result<Self, Failure> {
        Self::with(None)
    }

    /// As [`Self::new`], through an HTTP forward proxy (RFC 9110, section 3.7): the one that the platform's settings name, as
    /// `http://host:port`. Everything goes through it; `https` by `CONNECT` (section 9.3.6), so that the proxy sees no more than
    /// the server's name.
    ///
    /// # Errors
    /// As [`Self::new`]; and for an address that is not `http` or `https`, or that carries a user or a password: it would be
    /// kept, and shown in errors, as an address and not as a secret.
    pub fn through(proxy: &str) -> Result<Self, Failure> {
        let unusable = |why| Failure::internal(format!("The proxy's address {why}."));
        let proxy = Url::parse(proxy).map_err(|_| unusable("is not an address"))?;
        if !matches!(proxy.scheme(), "http" | "https") || !proxy.has_host() {
            return Err(unusable("must be http or https"));
        }
        if !proxy.username().is_empty() || proxy.password().is_some() {
            return Err(unusable("must carry no user and no password"));
        }
        Self::with(Some(reqwest::Proxy::all(proxy).map_err(|_| unusable("cannot be used"))?))
    }

    fn with(proxy: Option<reqwest::Proxy>) -> Result<Self, Failure> {
        // Fails when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .http2_keep_alive_while_idle(false)
            .referer(false)
            .user_agent(concat!("hookswitch/", env!("CARGO_PKG_VERSION")));
        match proxy {
            Some(proxy) => client.proxy(proxy),
            None => client,
        }
        .build()
        .map(|client| Self { client })
        .map_err(|error| Failure::internal(format!("The network cannot be prepared: {}", describe(&error))))
    }
}

#[async_trait]
impl Http for Network {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let request = reqwest::Request::try_from(request).map_err(|error| HttpFault::NotSent(describe(&error)))?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.client.execute(request))
            .await
            .map_err(|_| HttpFault::NoAnswer("the server did not answer in time".into()))?
            .map_err(|error| {
                // No connection, so no byte of the request. (Names that do not resolve and handshakes that fail are such.)
                let fault = if error.is_connect() { HttpFault::NotSent } else { HttpFault::NoAnswer };
                fault(describe(&error))
            })?;
        let (head, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        let body = http_body_stream(body);
        Ok(HttpResponse { head, body })
    }
}

fn http_body_stream(body: reqwest::Body) -> futures_util::stream::BoxStream<'static, Result<Bytes, HttpFault>> {
    // `Body` is a stream of frames only through a response.
    reqwest::Response::from(http::Response::new(body))
        .bytes_stream()
        .map_err(|error| HttpFault::NoAnswer(describe(&error)))
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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_proxy_gets_every_request_also_one_to_this_device() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let network = Network::through(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let proxy = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 1024];
            let length = connection.read(&mut head).await.unwrap();
            connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            String::from_utf8_lossy(&head[..length]).into_owned()
        });
        // Nothing listens there.
        let request = http::Request::get("http://127.0.0.1:1/v1/me/state").body(Bytes::new()).unwrap();
        let answer = network.send(request).await.unwrap();
        assert_eq!(answer.head.status, http::StatusCode::NO_CONTENT);
        let head = proxy.await.unwrap();
        assert!(head.starts_with("GET http://127.0.0.1:1/v1/me/state HTTP/1.1\r\n"), "{head}");
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_told_apart_from_what_is_not_answered() {
        let network = Network::new().unwrap();
        let ask = |address: String| network.send(http::Request::get(address).body(Bytes::new()).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 1024]).await.unwrap();
            // Read, and then hung up; from now on nobody listens.
        });
        let silent = ask(address.clone()).await.err();
        assert!(matches!(silent, Some(HttpFault::NoAnswer(_))), "{silent:?}");
        server.await.unwrap();
        let nobody = ask(address).await.err();
        assert!(matches!(nobody, Some(HttpFault::NotSent(_))), "{nobody:?}");
    }

    #[test]
    fn a_proxy_with_a_password_is_refused_and_its_address_is_not_repeated() {
        for bad in
            ["http://alice:hunter2@proxy.example:3128", "http://hunter2@proxy.example", "socks5://hunter2", "hunter2"]
        {
            let refused = Network::through(bad).unwrap_err();
            assert!(matches!(refused, Failure::Internal { .. }));
            assert!(!refused.why().contains("hunter2"), "{refused}");
        }
        assert!(Network::through("http://proxy.example:3128").is_ok());
        assert!(Network::through("https://proxy.example").is_ok());
    }
}
