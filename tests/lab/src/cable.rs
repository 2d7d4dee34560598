//! A phone's network, with a cable that can be pulled: everything behind it is real.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use hookswitch::ports::{Http, HttpFault, HttpRequest, HttpResponse};
use tokio::sync::{mpsc, watch};

/// A request that a phone has sent, without its secrets: method, path, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) request: String,
    pub(crate) result: String,
}

/// What a cable lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    Everything,
    /// Nothing for a moment; what comes waits. While clocks are being moved, nobody hears from another time.
    Later,
    /// Nothing: it is pulled, and what is under way breaks off.
    Nothing,
}

/// A phone's network.
#[derive(Clone)]
pub(crate) struct Cable {
    network: Arc<dyn Http>,
    passing: Arc<watch::Sender<Passing>>,
    log: mpsc::UnboundedSender<Sent>,
    /// The next answer to a refresh finds nobody: the app is killed before it comes.
    trap: Arc<AtomicBool>,
    caught: mpsc::UnboundedSender<()>,
}

impl Cable {
    /// Who hears `caught` kills the app: its refresh was answered, and the answer stays on the way.
    pub(crate) fn new(
        network: Arc<dyn Http>,
        log: mpsc::UnboundedSender<Sent>,
        caught: mpsc::UnboundedSender<()>,
    ) -> Self {
        let passing = Arc::new(watch::Sender::new(Passing::Everything));
        Self { network, passing, log, trap: Arc::default(), caught }
    }

    /// Sets the trap in the next refresh, or takes it away.
    pub(crate) fn set_trap(&self, set: bool) {
        self.trap.store(set, Ordering::Relaxed);
    }

    /// Whether the trap is set.
    pub(crate) fn has_trap(&self) -> bool {
        self.trap.load(Ordering::Relaxed)
    }

    pub(crate) fn is_up(&self) -> bool {
        *self.passing.borrow() != Passing::Nothing
    }

    /// Pulls or plugs the cable. What is under way breaks off.
    pub(crate) fn plug(&self, up: bool) {
        self.passing.send_replace(if up { Passing::Everything } else { Passing::Nothing });
    }

    /// Holds back what comes, or lets it go on. Changes nothing about a cable that is pulled.
    pub(crate) fn hold(&self, held: bool) {
        let (before, after) =
            if held { (Passing::Everything, Passing::Later) } else { (Passing::Later, Passing::Everything) };
        self.passing.send_if_modified(|passing| {
            let changes = *passing == before;
            if changes {
                *passing = after;
            }
            changes
        });
    }
}

/// In the form of a refresh (RFC 6749, section 6).
const REFRESH: &[u8] = b"grant_type=refresh_token";
const PULLED: &str = "the cable is pulled";

fn pulled() -> HttpFault {
    HttpFault::NoAnswer(PULLED.into())
}

/// Does it, unless the cable is pulled meanwhile; what is there by then waits as long as it is held.
async fn unless_pulled<T>(
    passing: &mut watch::Receiver<Passing>,
    work: impl Future<Output = T>,
) -> Result<T, HttpFault> {
    let done = tokio::select! {
        biased;
        _ = passing.wait_for(|passing| *passing == Passing::Nothing) => return Err(pulled()),
        done = work => done,
    };
    when_let(passing).await?;
    Ok(done)
}

/// Waits as long as the cable is held.
async fn when_let(passing: &mut watch::Receiver<Passing>) -> Result<(), HttpFault> {
    match passing.wait_for(|passing| *passing != Passing::Later).await.map(|passing| *passing) {
        Ok(Passing::Everything | Passing::Later) => Ok(()),
        // The sender is gone with the phone.
        Ok(Passing::Nothing) | Err(_) => Err(pulled()),
    }
}

#[async_trait]
impl Http for Cable {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let name = format!("{} {}", request.method(), request.uri().path());
        let refreshes = request.body().windows(REFRESH.len()).any(|part| part == REFRESH);
        let mut passing = self.passing.subscribe();
        let answer = match when_let(&mut passing).await {
            Ok(()) => unless_pulled(&mut passing, self.network.send(request)).await.flatten(),
            // It was before anything left.
            Err(_) => Err(HttpFault::NotSent(PULLED.into())),
        };
        let result = match &answer {
            Ok(answer) => answer.head.status.as_u16().to_string(),
            Err(fault) => fault.to_string(),
        };
        // Nobody may be listening to the log any more.
        let _ = self.log.send(Sent { request: name, result });
        if refreshes && answer.is_ok() && self.trap.swap(false, Ordering::Relaxed) {
            // The kill ends this wait, as it ends everything of the app.
            let _ = self.caught.send(());
            return std::future::pending().await;
        }
        let HttpResponse { head, body } = answer?;
        let body = stream::unfold(Some((body, passing)), |state| async {
            let (mut body, mut passing) = state?;
            match unless_pulled(&mut passing, body.next()).await {
                Ok(piece) => Some((piece?, Some((body, passing)))),
                Err(pulled) => Some((Err(pulled), None)),
            }
        });
        Ok(HttpResponse { head, body: body.boxed() })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future};
    use hookswitch::ports::HttpRequest;

    use super::*;

    /// Answers at once, with a body of two pieces and no end.
    struct Server;

    #[async_trait]
    impl Http for Server {
        async fn send(&self, _: HttpRequest) -> Result<HttpResponse, HttpFault> {
            let (head, ()) = axum::http::Response::new(()).into_parts();
            let pieces = stream::iter([Ok("one".into()), Ok("two".into())]);
            Ok(HttpResponse { head, body: pieces.chain(stream::pending()).boxed() })
        }
    }

    fn cable() -> Cable {
        Cable::new(Arc::new(Server), mpsc::unbounded_channel().0, mpsc::unbounded_channel().0)
    }

    fn request() -> HttpRequest {
        HttpRequest::new("".into())
    }

    #[tokio::test]
    async fn a_cable_that_is_pulled_breaks_off_what_is_under_way_and_takes_nothing() {
        let cable = cable();
        let mut body = cable.send(request()).await.unwrap().body;
        assert_eq!(body.next().await, Some(Ok("one".into())));
        cable.plug(false);
        assert_eq!(body.next().await, Some(Err(pulled())));
        assert_eq!(body.next().await, None);
        assert_eq!(cable.send(request()).await.err(), Some(HttpFault::NotSent(PULLED.into())));
        cable.hold(true);
        assert!(!cable.is_up(), "holding plugs nothing in");
        cable.hold(false);
        assert!(!cable.is_up());
    }

    #[tokio::test]
    async fn a_cable_that_is_held_passes_nothing_until_it_is_let_go() {
        let cable = cable();
        let mut body = cable.send(request()).await.unwrap().body;
        cable.hold(true);
        let mut asked = cable.send(request());
        assert!((&mut asked).now_or_never().is_none());
        assert!(body.next().now_or_never().is_none());
        cable.hold(false);
        let (asked, _) = future::join(asked, body.next()).await;
        assert!(asked.is_ok());
    }

    #[tokio::test]
    async fn the_trap_is_for_the_next_refresh_alone() {
        let (caught, mut heard) = mpsc::unbounded_channel();
        let cable = Cable::new(Arc::new(Server), mpsc::unbounded_channel().0, caught);
        cable.set_trap(true);
        assert!(cable.send(request()).await.is_ok(), "this is no refresh");
        let mut refresh = cable.send(HttpRequest::new("grant_type=refresh_token&refresh_token=r".into()));
        assert!((&mut refresh).now_or_never().is_none());
        assert_eq!(heard.try_recv(), Ok(()));
        assert!(!cable.has_trap());
        assert!(cable.send(HttpRequest::new("grant_type=refresh_token".into())).await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_at_a_held_cable_hears_that_it_was_pulled() {
        let cable = cable();
        cable.hold(true);
        let asked = cable.send(request());
        cable.plug(false);
        assert_eq!(asked.await.err(), Some(HttpFault::NotSent(PULLED.into())), "nothing has left");
    }
}
