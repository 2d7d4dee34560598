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

/// A phone's network.
#[derive(Clone)]
pub(crate) struct Cable {
    network: Arc<dyn Http>,
    plugged: Arc<watch::Sender<bool>>,
    log: mpsc::UnboundedSender<Sent>,
}

impl Cable {
    pub(crate) fn new(network: Arc<dyn Http>, log: mpsc::UnboundedSender<Sent>) -> Self {
        Self { network, plugged: Arc::new(watch::Sender::new(true)), log }
    }

    pub(crate) fn is_up(&self) -> bool {
        *self.plugged.borrow()
    }

    /// Pulls or plugs the cable. What is under way breaks off.
    pub(crate) fn plug(&self, up: bool) {
        self.plugged.send_replace(up);
    }
}

fn pulled() -> HttpFault {
    HttpFault("the cable is pulled".into())
}

#[async_trait]
impl Http for Cable {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let name = format!("{} {}", request.method(), request.uri().path());
        let mut plugged = self.plugged.subscribe();
        let answer = tokio::select! {
            biased;
            _ = plugged.wait_for(|up| !*up) => Err(pulled()),
            answer = self.network.send(request) => answer,
        };
        let result = match &answer {
            Ok(answer) => answer.head.status.as_u16().to_string(),
            Err(fault) => fault.to_string(),
        };
        // Nobody may be listening to the log any more.
        let _ = self.log.send(Sent { request: name, result });
        let HttpResponse { head, body } = answer?;
        let body = stream::unfold(Some((body, plugged)), |state| async {
            let (mut body, mut plugged) = state?;
            let piece = tokio::select! {
                biased;
                _ = plugged.wait_for(|up| !*up) => return Some((Err(pulled()), None)),
                piece = body.next() => piece?,
            };
            Some((piece, Some((body, plugged))))
        });
        Ok(HttpResponse { head, body: body.boxed() })
    }
}
