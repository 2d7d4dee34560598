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
