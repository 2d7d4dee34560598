//! A phone's network, with a cable that can be pulled: everything behind it is real.

use std::sync::Arc;

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
}

impl Cable {
    pub(crate) fn new(network: Arc<dyn Http>, log: mpsc::UnboundedSender<Sent>) -> Self {
        Self { network, passing: Arc::new(watch::Sender::new(Passing::Everything)), log }
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

fn pulled() -> HttpFault {
    HttpFault("the cable is pulled".into())
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
    // The sender lives as long as a phone: this never errs.
    let _ = passing.wait_for(|passing| *passing != Passing::Later).await;
    Ok(done)
}

#[async_trait]
impl Http for Cable {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let name = format!("{} {}", request.method(), request.uri().path());
        let mut passing = self.passing.subscribe();
        // What it finds, `unless_pulled` finds again.
        let _ = passing.wait_for(|passing| *passing != Passing::Later).await;
        let answer = unless_pulled(&mut passing, self.network.send(request)).await.flatten();
        let result = match &answer {
            Ok(answer) => answer.head.status.as_u16().to_string(),
            Err(fault) => fault.to_string(),
        };
        // Nobody may be listening to the log any more.
        let _ = self.log.send(Sent { request: name, result });
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
