//! The clocks of a phone in the lab: the lab's time, and a wall clock that a person may set as they like.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use hookswitch::{
    machine::{Mono, Timestamp},
    ports::Clock,
};

use crate::app::protocol::Clocks;

/// The clocks of one phone.
#[derive(Clone, Debug)]
pub(crate) struct PhoneClock {
    lab: hookswitch_backend::Clock,
    /// The lab's time at which the monotonic clocks of all phones began.
    began: i64,
    skew: Arc<AtomicI64>,
}

impl PhoneClock {
    pub(crate) fn new(lab: hookswitch_backend::Clock, began: i64) -> Self {
        Self { lab, began, skew: Arc::default() }
    }

    /// The clocks of a phone in a process of its own, which is told the time.
    pub(crate) fn told(clocks: Clocks) -> Self {
        let lab = hookswitch_backend::Clock::system();
        let began = lab.now().saturating_sub(i64::try_from(clocks.mono).unwrap_or(i64::MAX));
        let clock = Self::new(lab, began);
        clock.show(clocks);
        clock
    }

    /// Sets the wall clock so far ahead of the lab's time. The monotonic clock takes no notice.
    pub(crate) fn set_skew(&self, ms: i64) {
        self.skew.store(ms, Ordering::Relaxed);
    }

    /// What the clocks will show once the lab's time has been moved by so much.
    pub(crate) fn after(&self, ms: i64) -> Clocks {
        let at = self.lab.now().saturating_add(ms);
        Clocks { wall: at.saturating_add(self.skew()), mono: u64::try_from(at.saturating_sub(self.began)).unwrap_or(0) }
    }

    /// Makes the clocks show this, and go on from there: for a phone that is told the time. The monotonic clock never goes
    /// back.
    pub(crate) fn show(&self, clocks: Clocks) {
        let forward = clocks.mono.saturating_sub(self.now().mono);
        self.lab.jump(i64::try_from(forward).unwrap_or(i64::MAX));
        self.set_skew(clocks.wall.saturating_sub(self.lab.now()));
    }

    pub(crate) fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Clock for PhoneClock {
    fn now(&self) -> Timestamp {
        let now = self.lab.now();
        let mono = u64::try_from(now.saturating_sub(self.began)).unwrap_or(0);
        Timestamp { wall: now.saturating_add(self.skew()), mono }
    }

    async fn sleep_until(&self, at: Mono) {
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        self.lab.sleep_until(self.began.saturating_add(at)).await;
    }
}
