//! HTTP by reqwest, over rustls with ring.
//!
//! # A live connection when it counts
//!
//! A phone that goes from Wi-Fi to LTE, or whose NAT forgets it, keeps connections that swallow what is sent: nothing says that they
//! are dead, and a request on one waits for its whole deadline while a new connection would answer at once. So:
//! - a request that may be sent twice ([`Delivery::Raced`]) and is not answered in [`RACE_AFTER`] is sent on a new connection as
//!   well, and the first answer counts (as RFC 8305 does with addresses). When the new one was quicker, it takes the old one's
//!   place, and what hangs on the old one, the presence stream above all, ends at once and is opened anew;
//! - a request that may not (a refresh token, a code) gets a connection of its own ([`Delivery::Alone`]): there is one an hour;
//! - after a change of network all begin anew ([`Http::network_changed`]).

use std::{
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    future::{Either, select},
    stream::{self, BoxStream},
};
use hookswitch_machine::Failure;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use url::Url;

use crate::ports::{Delivery, Http, HttpFault, HttpRequest, HttpResponse};

/// A server that has not answered by then is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that has not sent its headers by then hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// A connection on which no answer came by then may be dead. Longer than an answer takes on a bad line, so that a good one is
/// seldom doubted; short enough for a person with a call.
const RACE_AFTER: Duration = Duration::from_millis(1_500);
/// After a race that the new connection won, none is run for so long: a server that is slow to everybody must not be asked twice
/// by everybody.
const RACE_PAUSE: Duration = Duration::from_secs(30);

/// The real network: reqwest over rustls, HTTP/2 where the server speaks it, no redirects, no cookies.
///
/// Made when it is first needed: a push that finds the phone in the know is decided before that.
#[derive(Debug)]
pub struct Network {
    proxy: Option<reqwest::Proxy>,
    /// HTTP/2 without TLS: for tests, whose servers have no certificate.
    #[cfg(test)]
    http2_only: bool,
    lines: Mutex<Lines>,
    /// Counts the sets of connections; whoever hangs on an older one is told.
    generation: watch::Sender<u64>,
}

/// Sets of connections.
#[derive(Debug, Default)]
struct Lines {
    /// What requests go out on.
    main: Option<reqwest::Client>,
    /// What raced requests go out on as well; takes the place of `main` when it wins, and is left when it loses.
    spare: Option<reqwest::Client>,
    /// Keeps no connection.
    alone: Option<reqwest::Client>,
    /// No race until then.
    calm_until: Option<Instant>,
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Network {
    /// Opens no connection, and prepares none. (Android: `rustls-platform-verifier` must be initialised with the application context
    /// before the first request; else requests fail as [`HttpFault::NotSent`], with that cause.)
    pub fn new() -> Self {
        Self::with(None)
    }

    /// As [`Self::new`], through an HTTP forward proxy (RFC 9110, section 3.7): the one that the platform's settings name, as
    /// `http://host:port`. Everything goes through it; `https` by `CONNECT` (section 9.3.6), so that the proxy sees no more than
    /// the server's name.
    ///
    /// # Errors
    /// [`Failure::Internal`] for an address that is not `http` or `https`, or that carries a user or a password: it would be kept,
    /// and shown in errors, as an address and not as a secret.
    pub fn through(proxy: &str) -> Result<Self, Failure> {
        let unusable = |why| Failure::internal(format!("The proxy's address {why}."));
        let proxy = Url::parse(proxy).map_err(|_| unusable("is not an address"))?;
        if !matches!(proxy.scheme(), "http" | "https") || !proxy.has_host() {
            return Err(unusable("must be http or https"));
        }
        if !proxy.username().is_empty() || proxy.password().is_some() {
            return Err(unusable("must carry no user and no password"));
        }
        Ok(Self::with(Some(reqwest::Proxy::all(proxy).map_err(|_| unusable("cannot be used"))?)))
    }

    fn with(proxy: Option<reqwest::Proxy>) -> Self {
        // Fails when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            proxy,
            #[cfg(test)]
            http2_only: false,
            lines: Mutex::default(),
            generation: watch::Sender::new(0),
        }
    }

    /// A set of connections, none of them open.
    fn client(&self, keeps_connections: bool) -> Result<reqwest::Client, HttpFault> {
        let mut client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .http2_keep_alive_while_idle(false)
            .referer(false)
            .user_agent(concat!("hookswitch/", env!("CARGO_PKG_VERSION")));
        if !keeps_connections {
            client = client.pool_max_idle_per_host(0);
        }
        if let Some(proxy) = &self.proxy {
            client = client.proxy(proxy.clone());
        }
        #[cfg(test)]
        if self.http2_only {
            client = client.http2_prior_knowledge();
        }
        client
            .build()
            .map_err(|error| HttpFault::NotSent(format!("the network cannot be prepared: {}", describe(&error))))
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One set of connections, made at its first use; and its generation.
    fn line(
        &self,
        keeps_connections: bool,
        which: fn(&mut Lines) -> &mut Option<reqwest::Client>,
    ) -> Result<(reqwest::Client, u64), HttpFault> {
        let mut lines = self.lines();
        let slot = which(&mut lines);
        let client = match slot {
            Some(client) => client.clone(),
            None => slot.insert(self.client(keeps_connections)?).clone(),
        };
        Ok((client, *self.generation.borrow()))
    }

    /// Whether a connection that says nothing may be doubted now.
    fn may_race(&self) -> bool {
        self.lines().calm_until.is_none_or(|until| until <= Instant::now())
    }

    /// The connections of before were the quicker ones after all. Those that nobody uses may be dead by the next race.
    fn stays(&self, generation: u64) {
        let mut lines = self.lines();
        if *self.generation.borrow() == generation {
            lines.spare = None;
        }
    }

    /// The new connections have answered and those of `generation` have not: they take their place.
    fn takes_over(&self, generation: u64, winner: reqwest::Client) {
        let mut lines = self.lines();
        self.generation.send_if_modified(|now| {
            // Of several races on the same connections, the first one that is won decides.
            let first = *now == generation;
            if first {
                (lines.main, lines.spare) = (Some(winner), None);
                lines.calm_until = Some(Instant::now() + RACE_PAUSE);
                *now += 1;
            }
            first
        });
    }

    async fn race(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let (main, generation) = self.line(true, |lines| &mut lines.main)?;
        let mut first = pin!(self.exchange(main, generation, request.clone()));
        if let Ok(answer) = timeout(RACE_AFTER, &mut first).await {
            return answer;
        }
        if !self.may_race() {
            return first.await;
        }
        tracing::debug!(target: "hookswitch::http", "no answer yet: asks on a new connection as well");
        // The first one is out: that another cannot be made says nothing of it.
        let Ok((spare, _)) = self.line(true, |lines| &mut lines.spare) else { return first.await };
        // What it brings hangs on the connections that are the main ones from then on.
        let second = pin!(self.exchange(spare.clone(), generation + 1, request));
        match select(first, second).await {
            Either::Left((Ok(answer), _)) => {
                self.stays(generation);
                Ok(answer)
            }
            Either::Right((Ok(answer), _)) => {
                self.takes_over(generation, spare);
                Ok(answer)
            }
            Either::Left((Err(fault), second)) => {
                second.await.inspect(|_| self.takes_over(generation, spare)).map_err(|other| fault.or(other))
            }
            Either::Right((Err(fault), first)) => first.await.map_err(|other| fault.or(other)),
        }
    }

    async fn exchange(
        &self,
        client: reqwest::Client,
        generation: u64,
        request: HttpRequest,
    ) -> Result<HttpResponse, HttpFault> {
        let request = reqwest::Request::try_from(request).map_err(|error| HttpFault::NotSent(describe(&error)))?;
        let answer = timeout(ANSWER_TIMEOUT, client.execute(request))
            .await
            .map_err(|_| HttpFault::NoAnswer("the server did not answer in time".into()))?
            .map_err(|error| {
                // No connection, so no byte of the request. (Names that do not resolve and handshakes that fail are such.)
                let fault = if error.is_connect() { HttpFault::NotSent } else { HttpFault::NoAnswer };
                fault(describe(&error))
            })?;
        let (head, body) = http::Response::<reqwest::Body>::from(answer).into_parts();
        Ok(HttpResponse { head, body: self.body(body, generation) })
    }

    /// The body, until its end or the end of the connections that it comes on.
    fn body(&self, body: reqwest::Body, generation: u64) -> BoxStream<'static, Result<Bytes, HttpFault>> {
        let mut newest = self.generation.subscribe();
        let dead = async move {
            if newest.wait_for(|newest| *newest > generation).await.is_err() {
                // Nobody is left who would know of newer connections.
                std::future::pending::<()>().await;
            }
        };
        // `Body` is a stream of frames only through a response.
        let pieces = reqwest::Response::from(http::Response::new(body)).bytes_stream();
        let going = Some((pieces.boxed(), dead.boxed()));
        stream::unfold(going, |going| async {
            let (mut pieces, mut dead) = going?;
            tokio::select! {
                biased;
                piece = pieces.next() => match piece? {
                    Ok(piece) => Some((Ok(piece), Some((pieces, dead)))),
                    Err(error) => Some((Err(HttpFault::NoAnswer(describe(&error))), None)),
                },
                () = &mut dead => {
                    let fault = HttpFault::NoAnswer("a newer connection answers, and this one does not".into());
                    Some((Err(fault), None))
                }
            }
        })
        .boxed()
    }
}

#[async_trait]
impl Http for Network {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        match request.extensions().get::<Delivery>().copied().unwrap_or_default() {
            Delivery::Raced => self.race(request).await,
            Delivery::Waits => {
                let (client, generation) = self.line(true, |lines| &mut lines.main)?;
                self.exchange(client, generation, request).await
            }
            Delivery::Alone => {
                let (client, _) = self.line(false, |lines| &mut lines.alone)?;
                // No newer connections end it.
                self.exchange(client, u64::MAX, request).await
            }
        }
    }

    fn network_changed(&self) {
        let mut lines = self.lines();
        *lines = Lines::default();
        self.generation.send_modify(|generation| *generation += 1);
    }
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
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// A server whose first connection answers so often and then swallows all that comes, as one does whose NAT has forgotten it.
    /// Every later one answers. Counts the connections.
    async fn half_open(http2: bool, answers: usize) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let answers = if counted.fetch_add(1, Ordering::Relaxed) == 0 { answers } else { usize::MAX };
                tokio::spawn(async move {
                    if http2 {
                        answer_http2(connection, answers).await
                    } else {
                        answer_http1(connection, answers).await
                    }
                    std::future::pending::<()>().await
                });
            }
        });
        (address, connections)
    }

    async fn answer_http1(mut connection: TcpStream, answers: usize) {
        for _ in 0..answers {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match connection.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            // A stream goes on after its first piece.
            let answer: &[u8] = if head.starts_with(b"GET /stream") {
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nstate\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
            };
            connection.write_all(answer).await.unwrap();
        }
        std::future::pending::<()>().await
    }

    async fn answer_http2(connection: TcpStream, answers: usize) {
        let mut connection = h2::server::handshake(connection).await.unwrap();
        let mut streams = Vec::new();
        for _ in 0..answers {
            let Some(Ok((request, mut respond))) = connection.accept().await else { return };
            let is_stream = request.uri().path() == "/stream";
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(if is_stream { b"state" } else { b"ok" }), !is_stream).unwrap();
            streams.push(body);
            // Lets it out.
            let _ = timeout(Duration::from_millis(50), std::future::poll_fn(|cx| connection.poll_closed(cx))).await;
        }
        std::future::pending::<()>().await
    }

    fn get(address: &str, delivery: Delivery) -> HttpRequest {
        http::Request::get(address).extension(delivery).body(Bytes::new()).unwrap()
    }

    async fn whole(answer: Result<HttpResponse, HttpFault>) -> Vec<Result<Bytes, HttpFault>> {
        answer.unwrap().body.collect().await
    }

    #[tokio::test]
    async fn a_connection_that_died_without_a_word_costs_a_moment() {
        for http2 in [false, true] {
            let (address, connections) = half_open(http2, 1).await;
            let network = Network { http2_only: http2, ..Network::new() };
            for (asked, connected) in [(1, 1), (2, 2), (3, 2)] {
                let answer = network.send(get(&address, Delivery::Raced)).await;
                assert_eq!(whole(answer).await, [Ok(Bytes::from_static(b"ok"))], "http2: {http2}, request {asked}");
                assert_eq!(connections.load(Ordering::Relaxed), connected, "http2: {http2}, request {asked}");
            }
        }
    }

    #[tokio::test]
    async fn a_connection_that_lost_a_race_is_not_kept_for_the_next_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut first = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
            let (_, mut respond) = first.accept().await.unwrap().unwrap();
            // It is slow: a second one is asked as well. That one never answers.
            let mut second = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
            let _asked = second.accept().await.unwrap().unwrap();
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"ok"), true).unwrap();
            let _ = timeout(Duration::from_millis(50), std::future::poll_fn(|cx| first.poll_closed(cx))).await;
            // From now on the first one is as silent. The third is good.
            answer_http2(listener.accept().await.unwrap().0, usize::MAX).await;
        });
        let network = Network { http2_only: true, ..Network::new() };
        for request in 1..=2 {
            let answer = network.send(get(&address, Delivery::Raced)).await;
            assert_eq!(whole(answer).await, [Ok(Bytes::from_static(b"ok"))], "request {request}");
        }
    }

    #[tokio::test]
    async fn what_hangs_on_a_connection_that_died_ends_when_another_answers() {
        let (address, _) = half_open(true, 1).await;
        let network = Network { http2_only: true, ..Network::new() };
        let mut stream = network.send(get(&format!("{address}/stream"), Delivery::Raced)).await.unwrap().body;
        assert_eq!(stream.next().await, Some(Ok(Bytes::from_static(b"state"))));
        assert!(network.send(get(&address, Delivery::Raced)).await.is_ok());
        assert!(matches!(stream.next().await, Some(Err(HttpFault::NoAnswer(_)))), "and is opened anew");
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn what_must_not_come_twice_gets_a_connection_of_its_own() {
        let (address, connections) = half_open(false, usize::MAX).await;
        let network = Network::new();
        for n in 1..=3 {
            assert!(network.send(get(&address, Delivery::Alone)).await.is_ok());
            assert_eq!(connections.load(Ordering::Relaxed), n);
        }
    }

    #[tokio::test]
    async fn in_another_network_all_connections_begin_anew() {
        let (address, connections) = half_open(false, usize::MAX).await;
        let network = Network::new();
        assert!(network.send(get(&address, Delivery::Raced)).await.is_ok());
        let mut stream = network.send(get(&format!("{address}/stream"), Delivery::Raced)).await.unwrap().body;
        assert_eq!(stream.next().await, Some(Ok(Bytes::from_static(b"state"))));
        network.network_changed();
        assert!(matches!(stream.next().await, Some(Err(HttpFault::NoAnswer(_)))));
        assert!(network.send(get(&address, Delivery::Waits)).await.is_ok());
        assert_eq!(connections.load(Ordering::Relaxed), 2);
    }

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
        let network = Network::new();
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
