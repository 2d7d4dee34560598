//! How an app in a process of its own reaches the phone's cable: an HTTP forward proxy (RFC 9110, section 3.7), on loopback and
//! to the lab's server only.

use std::{io, sync::Arc};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use futures_util::{TryStreamExt, stream};
use hookswitch::ports::{Http, HttpRequest, HttpResponse};
use tokio::{net::TcpListener, task::JoinSet};

use crate::cable::Cable;

/// Longer than anything that the core sends.
const LONGEST_BODY: usize = 1024 * 1024;

/// The proxy of one phone.
pub(crate) struct Proxy {
    address: String,
    /// Serves; ends with this value.
    _server: JoinSet<()>,
}

struct Way {
    cable: Cable,
    /// Scheme, host and port of the server.
    origin: String,
}

impl Proxy {
    pub(crate) async fn start(cable: Cable, origin: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = format!("http://{}", listener.local_addr()?);
        let way = Arc::new(Way { cable, origin: origin.trim_end_matches('/').to_owned() });
        let router = Router::new().fallback(forward).with_state(way);
        let mut server = JoinSet::new();
        server.spawn(async move {
            // Events are small, and must not wait for each other (RFC 9293, section 3.7.4).
            let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
            // Ends with the lab; a connection that fails is the phone's to notice.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, _server: server })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

/// RFC 9110, section 7.6.1: for this connection, not for the next.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    const PROXY_CONNECTION: &str = "proxy-connection";
    headers.remove(PROXY_CONNECTION);
    for name in [
        header::CONNECTION,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
}

async fn forward(State(way): State<Arc<Way>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let origin = head.uri.scheme_str().zip(head.uri.authority()).map(|(scheme, host)| format!("{scheme}://{host}"));
    if origin.as_ref() != Some(&way.origin) {
        return (StatusCode::FORBIDDEN, "This way leads to the lab's server only.").into_response();
    }
    let Ok(body) = to_bytes(body, LONGEST_BODY).await else { return broken_off() };
    let mut onward = HttpRequest::new(body);
    *onward.method_mut() = head.method;
    *onward.uri_mut() = head.uri;
    *onward.headers_mut() = head.headers;
    drop_hop_by_hop(onward.headers_mut());
    match way.cable.send(onward).await {
        Ok(HttpResponse { head, body }) => {
            let mut answer = Response::from_parts(head, Body::from_stream(body.map_err(io::Error::other)));
            drop_hop_by_hop(answer.headers_mut());
            answer
        }
        Err(_) => broken_off(),
    }
}

/// A body that fails before its first byte: the connection closes, and no head has been sent.
fn broken_off() -> Response {
    let cut = io::Error::from(io::ErrorKind::ConnectionAborted);
    Response::new(Body::from_stream(stream::once(std::future::ready(Err::<Bytes, _>(cut)))))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use futures_util::StreamExt;
    use hookswitch::{http::Network, ports::HttpFault};
    use tokio::sync::mpsc;

    use super::*;

    const ORIGIN: &str = "http://127.0.0.1:9";

    /// A server that answers with whatever the test sends, piece by piece, and tells what it was asked.
    struct Server {
        asked: mpsc::UnboundedSender<HttpRequest>,
        pieces: Mutex<Option<mpsc::UnboundedReceiver<Bytes>>>,
    }

    #[async_trait]
    impl Http for Server {
        async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
            self.asked.send(request).unwrap();
            let pieces = self.pieces.lock().unwrap().take().unwrap();
            let head = Response::builder().status(207).header("x-kept", "1").header("connection", "x-dropped");
            let (head, ()) = head.body(()).unwrap().into_parts();
            let body = stream::unfold(pieces, |mut pieces| async { Some((Ok(pieces.recv().await?), pieces)) });
            Ok(HttpResponse { head, body: body.boxed() })
        }
    }

    struct Bench {
        cable: Cable,
        asked: mpsc::UnboundedReceiver<HttpRequest>,
        pieces: mpsc::UnboundedSender<Bytes>,
        phone: Network,
        _proxy: Proxy,
    }

    async fn bench() -> Bench {
        let (tell, asked) = mpsc::unbounded_channel();
        let (pieces, from) = mpsc::unbounded_channel();
        let server = Server { asked: tell, pieces: Mutex::new(Some(from)) };
        let cable = Cable::new(Arc::new(server), mpsc::unbounded_channel().0, mpsc::unbounded_channel().0);
        let proxy = Proxy::start(cable.clone(), ORIGIN).await.unwrap();
        let phone = Network::through(proxy.address()).unwrap();
        Bench { cable, asked, pieces, phone, _proxy: proxy }
    }

    fn request(path: &str, body: &'static str) -> HttpRequest {
        let request = axum::http::Request::post(format!("{ORIGIN}{path}"));
        request.header("authorization", "Bearer x").header("te", "trailers").body(body.into()).unwrap()
    }

    #[tokio::test]
    async fn a_request_and_its_answer_pass_without_what_is_hop_by_hop() {
        let mut bench = bench().await;
        bench.pieces.send("first".into()).unwrap();
        let mut answer = bench.phone.send(request("/v1/calls?a=b", "body")).await.unwrap();
        assert_eq!(answer.head.status.as_u16(), 207);
        assert!(answer.head.headers.contains_key("x-kept") && !answer.head.headers.contains_key("connection"));
        assert_eq!(answer.body.next().await.unwrap().unwrap(), "first");
        let asked = bench.asked.recv().await.unwrap();
        assert_eq!(asked.method(), "POST");
        assert_eq!(asked.uri().to_string(), format!("{ORIGIN}/v1/calls?a=b"));
        assert_eq!(asked.body(), "body");
        assert!(asked.headers().contains_key("authorization") && !asked.headers().contains_key("te"));
        bench.pieces.send("second".into()).unwrap();
        assert_eq!(answer.body.next().await.unwrap().unwrap(), "second", "a stream is not kept back");
    }

    #[tokio::test]
    async fn a_pulled_cable_is_a_broken_connection_and_no_answer() {
        let bench = bench().await;
        bench.pieces.send("first".into()).unwrap();
        let mut answer = bench.phone.send(request("/v1/me/stream", "")).await.unwrap();
        assert!(answer.body.next().await.unwrap().is_ok());
        bench.cable.plug(false);
        assert!(answer.body.next().await.unwrap().is_err(), "a stream breaks off");
        assert!(bench.phone.send(request("/v1/me/state", "")).await.is_err());
    }

    #[tokio::test]
    async fn a_phone_that_hangs_up_ends_the_exchange_at_the_server() {
        let bench = bench().await;
        bench.pieces.send("first".into()).unwrap();
        let answer = bench.phone.send(request("/v1/me/stream", "")).await.unwrap();
        drop(answer);
        bench.pieces.closed().await;
    }

    #[tokio::test]
    async fn the_way_leads_to_the_server_only() {
        let mut bench = bench().await;
        let elsewhere = axum::http::Request::get("http://127.0.0.1:10/v1/me/state").body(Bytes::new()).unwrap();
        assert_eq!(bench.phone.send(elsewhere).await.unwrap().head.status, StatusCode::FORBIDDEN);
        assert!(bench.asked.try_recv().is_err());
    }
}
