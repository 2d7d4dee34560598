//! Sends what is in the push outbox.
//!
//! A push is marked as out in one transaction, sent without any, and marked by its outcome in another: a backend that dies
//! in between finds it marked as out and knows that it may have left. What is sent, when and whether again is decided in
//! `push::delivery`.

use std::sync::Arc;

use crate::clock::Millis;
use futures_util::{StreamExt, stream::FuturesUnordered};
use hookswitch_wire::{CallId, CallState, Platform, Surface, UnixMillis};
use secrecy::{ExposeSecret, SecretString};

use super::{Service, ServiceError, Unit};
use crate::{
    aggregate::{Aggregate, Command},
    push::{CallNow, DeviceNow, Facts, Outcome, PushGateway, PushMessage, Stage, StartNow},
    record::Change,
    store::PushDue,
};

/// How many pushes are out at a time.
const MOST: usize = 256;
/// The wait in milliseconds after the outbox could not be read.
const READ_AGAIN: i64 = 1_000;
/// How often the outbox is read when nobody says that there is something, in milliseconds; only where nodes share it.
const LOOK_EVERY: i64 = 1_000;

impl Service {
    fn gateway(&self, platform: Platform) -> &dyn PushGateway {
        let configured = match platform {
            Platform::Ios => &self.config.push.ios,
            Platform::Android => &self.config.push.android,
        };
        match configured {
            Some(gateway) => gateway.as_ref(),
            None => &*self.recorded,
        }
    }

    /// An earlier run stopped while these were out.
    fn recover_pushes(&self) -> Result<(), ServiceError> {
        self.write(|unit| {
            for mut delivery in unit.tx.pushes_out()? {
                delivery.interrupted(unit.now);
                unit.tx.save_delivery(&delivery)?;
            }
            Ok(())
        })
    }

    /// Marks what is due now as out, and says when something is due next.
    fn take_pushes(&self, most: usize) -> Result<(Vec<PushMessage>, Option<Millis>), ServiceError> {
        if self.store.is_shared() {
            return self.take_a_push(most);
        }
        self.write(|unit| {
            let mut messages = Vec::new();
            for due in unit.tx.pushes_due(unit.now, most)? {
                messages.extend(unit.take_push(due)?);
            }
            Ok((messages, unit.tx.next_push()?))
        })
    }

    /// The same among several nodes. One at a time, so that no two nodes wait for each other's agents; and soon again,
    /// because another node may take pushes and die.
    fn take_a_push(&self, most: usize) -> Result<(Vec<PushMessage>, Option<Millis>), ServiceError> {
        self.recover_pushes()?;
        self.write(|unit| {
            let due = unit.tx.pushes_due(unit.now, most.min(1))?;
            let again = if due.is_empty() { unit.now.saturating_add(LOOK_EVERY) } else { unit.now };
            let mut messages = Vec::new();
            for due in due {
                messages.extend(unit.take_push(due)?);
            }
            // What is due already is with another node.
            let next = unit.tx.next_push()?.filter(|at| *at > unit.now);
            Ok((messages, Some(next.map_or(again, |at| at.min(again)))))
        })
    }

    /// What a try came to.
    fn push_came_back(&self, push: &PushMessage, outcome: &Outcome) -> Result<(), ServiceError> {
        let (seq, device) = (push.seq, &push.device);
        self.metrics.push(outcome, push.deliver_by.saturating_sub(self.now()));
        match outcome {
            Outcome::Accepted => {}
            Outcome::TokenGone { .. } => tracing::info!(seq, %device, "a push token is stale"),
            Outcome::Retry { why, .. } | Outcome::Unanswered { why } => {
                tracing::info!(seq, %device, why, "a push waits")
            }
            Outcome::Rejected { why } => tracing::error!(seq, %device, why, "a push was rejected"),
        }
        self.write(|unit| {
            if let Some(mut delivery) = unit.tx.delivery(seq)? {
                delivery.came_back(outcome, unit.now);
                unit.tx.save_delivery(&delivery)?;
            }
            if let Outcome::TokenGone { since } = outcome {
                let (device, push_token) = (device.clone(), push.token.expose_secret().to_owned());
                let command = Command::TokenGone { device, push_token, since: since.map(UnixMillis) };
                unit.apply(&push.payload.account, command, Change::Seen)?;
            }
            Ok(())
        })
    }
}

impl Unit<'_> {
    /// A push whose time has come: to be sent, or over.
    fn take_push(&mut self, due: PushDue) -> Result<Option<PushMessage>, ServiceError> {
        let PushDue { mut delivery, entry } = due;
        let account = &entry.payload.account;
        // Its calls may have stopped ringing, its forwarding may have ended.
        self.agent(account, |_, _| Ok(Vec::new()))?;
        let aggregate = self.tx.agent(account)?.ok_or(ServiceError::NoSuchAgent)?.aggregate;
        let device = aggregate.devices.iter().find(|device| device.id == entry.device);
        let start = self.tx.start_of(account, &entry.payload.call_id, &entry.device)?;
        let facts = Facts {
            now: self.now,
            call: call_now(&aggregate, &entry.payload.call_id),
            forwarding_on: aggregate.forwarding.is_on(),
            says_forwarded: entry.payload.forwarding_on,
            device: match device {
                Some(device) if device.push_token.is_some() => DeviceNow::Reachable,
                Some(_) => DeviceNow::NoToken,
                None => DeviceNow::Unregistered,
            },
            start: StartNow::of(start.as_ref()),
        };
        let message = match delivery.decide(facts) {
            Ok(()) => {
                delivery.leave();
                let token = device.and_then(|device| device.push_token.clone()).unwrap_or(entry.push_token);
                Some(PushMessage {
                    seq: delivery.seq,
                    device: entry.device,
                    platform: entry.platform,
                    token: SecretString::from(token),
                    payload: entry.payload,
                    deliver_by: delivery.deliver_by,
                })
            }
            Err(end) => {
                delivery.stage = Stage::Done(end);
                None
            }
        };
        self.tx.save_delivery(&delivery)?;
        Ok(message)
    }
}

fn call_now(aggregate: &Aggregate, call: &CallId) -> CallNow {
    match aggregate.tracked(call).map(|tracked| &tracked.call.state) {
        Ok(CallState::Ringing) => CallNow::Rings,
        Ok(CallState::Offered | CallState::Answered { by: Surface::Forwarded }) => CallNow::Forwarded,
        Ok(CallState::Answered { .. } | CallState::Ended | CallState::Unknown) | Err(_) => CallNow::Over,
    }
}

/// Sends pushes until the backend stops. Those that are out then are sent again by the next run, if they still matter.
pub(crate) async fn run(service: &Arc<Service>) {
    let mut stopping = service.bus.stopping();
    if let Err(error) = service.recover_pushes() {
        // Where nodes share the outbox, it is done again with each look.
        tracing::error!(%error, "the pushes of an earlier run could not be read");
    }
    // In the order in which they were decided on: a gateway that takes them at once keeps it.
    let mut out = FuturesUnordered::new();
    loop {
        let (messages, next) = service.take_pushes(MOST.saturating_sub(out.len())).unwrap_or_else(|error| {
            tracing::error!(%error, "the push outbox could not be read");
            (Vec::new(), Some(service.now().saturating_add(READ_AGAIN)))
        });
        out.extend(messages.into_iter().map(|push| async {
            let outcome = service.gateway(push.platform).send(&push).await;
            (push, outcome)
        }));
        let full = out.len() >= MOST;
        let due = async {
            match next {
                Some(at) if !full => service.clock.sleep_until(at).await,
                Some(_) | None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((push, outcome)) = out.next(), if !out.is_empty() => came_back(service, &push, &outcome),
            () = service.pushes_due.notified() => {}
            () = due => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

fn came_back(service: &Service, push: &PushMessage, outcome: &Outcome) {
    if let Err(error) = service.push_came_back(push, outcome) {
        tracing::error!(%error, "the outcome of a push could not be kept");
    }
}
