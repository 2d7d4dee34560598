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

    /// Sets the wall clock so far ahead of the lab's time. The monotonic clock takes no notice.
    pub(crate) fn set_skew(&self, ms: i64) {
        self.skew.store(ms, Ordering::Relaxed);
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
