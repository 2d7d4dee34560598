//! The device's clocks, as a foreign trait: for tests and simulators. An app on a device leaves it out.

use std::{sync::Arc, time::Duration};

use hookswitch::{
    machine::{Mono, Timestamp},
    ports::Clock as CoreClock,
    wire::UnixMillis,
};
use tokio::sync::Notify;

/// What the clocks show.
#[derive(Clone, Copy, Debug, uniffi::Record)]
pub struct Moment {
    /// Unix time in milliseconds; may jump.
    pub wall: i64,
    /// Milliseconds of a clock that never goes back and counts while the device sleeps.
    pub mono: u64,
}

/// The device's clocks. Called from any thread; must not block.
#[uniffi::export(with_foreign)]
pub trait Clock: Send + Sync {
    /// What they show now.
    fn now(&self) -> Moment;
}

/// A clock of the other side. Nothing tells when it moves, so whoever sets it says so: [`crate::Core::clock_changed`].
pub(crate) struct ForeignClock {
    clock: Arc<dyn Clock>,
    changed: Arc<Notify>,
}

impl ForeignClock {
    pub(crate) fn new(clock: Arc<dyn Clock>, changed: Arc<Notify>) -> Self {
        Self { clock, changed }
    }
}

#[async_trait::async_trait]
impl CoreClock for ForeignClock {
    fn now(&self) -> Timestamp {
        let Moment { wall, mono } = self.clock.now();
        Timestamp { wall: UnixMillis(wall), mono }
    }

    async fn sleep_until(&self, at: Mono) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before the look at the clock: a change in between is not missed.
            changed.as_mut().enable();
            let left = at.saturating_sub(self.clock.now().mono);
            if left == 0 {
                return;
            }
            // Either way the clock is looked at again.
            let _ = tokio::time::timeout(Duration::from_millis(left), changed).await;
        }
    }
}
