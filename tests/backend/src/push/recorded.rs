//! The gateway of laboratories and tests: whoever listens delivers.

use async_trait::async_trait;
use secrecy::ExposeSecret;
use tokio::sync::broadcast;

use super::{Outcome, PushGateway, PushMessage};
use crate::{Clock, operator::OutboxEntry};

/// Hands pushes to whoever listens in this process, in their order, and takes each.
pub(crate) struct Recorded {
    listeners: broadcast::Sender<OutboxEntry>,
    clock: Clock,
}

impl Recorded {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { listeners: broadcast::Sender::new(1_024), clock }
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<OutboxEntry> {
        self.listeners.subscribe()
    }
}

#[async_trait]
impl PushGateway for Recorded {
    async fn send(&self, push: &PushMessage) -> Outcome {
        // Fails when nobody listens, which is fine.
        let _ = self.listeners.send(OutboxEntry {
            seq: push.seq,
            at: self.clock.now(),
            device: push.device.clone(),
            platform: push.platform,
            push_token: push.token.expose_secret().to_owned(),
            payload: push.payload.clone(),
        });
        Outcome::Accepted
    }
}
