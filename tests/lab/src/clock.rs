//! The clocks of a phone in the lab: the lab's time, and a wall clock that a person may set as they like.

use hookswitch::wire::UnixMillis;
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
        Clocks {
            wall: UnixMillis(at.saturating_add(self.skew())),
            mono: u64::try_from(at.saturating_sub(self.began)).unwrap_or(0),
        }
    }

    /// Makes the clocks show this, and go on from there: for a phone that is told the time. The monotonic clock never goes
    /// back.
    pub(crate) fn show(&self, clocks: Clocks) {
        let forward = clocks.mono.saturating_sub(self.now().mono);
        self.lab.jump(i64::try_from(forward).unwrap_or(i64::MAX));
        self.set_skew(clocks.wall.0.saturating_sub(self.lab.now()));
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
        Timestamp { wall: UnixMillis(now.saturating_add(self.skew())), mono }
    }

    async fn sleep_until(&self, at: Mono) {
        let at = i64::try_from(at).unwrap_or(i64::MAX);
        self.lab.sleep_until(self.began.saturating_add(at)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_told_the_time_go_on_and_only_the_wall_goes_back() {
        let clock = PhoneClock::told(Clocks { wall: UnixMillis(1_000_000), mono: 5_000 });
        let began = clock.now();
        assert!((1_000_000..1_010_000).contains(&began.wall.0), "{began:?}");
        assert!((5_000..15_000).contains(&began.mono), "{began:?}");
        clock.show(Clocks { wall: UnixMillis(2_000_000), mono: 1_005_000 });
        let forward = clock.now();
        assert!((2_000_000..2_010_000).contains(&forward.wall.0), "{forward:?}");
        assert!((1_005_000..1_015_000).contains(&forward.mono), "{forward:?}");
        clock.show(Clocks { wall: UnixMillis(7), mono: 9_000 });
        let back = clock.now();
        assert!((7..10_007).contains(&back.wall.0), "{back:?}");
        assert!(back.mono >= forward.mono, "{back:?}");
    }

    #[tokio::test]
    async fn who_sleeps_looks_again_when_the_phone_is_told_the_time() {
        let clock = PhoneClock::told(Clocks { wall: UnixMillis(0), mono: 0 });
        let sleeper = clock.clone();
        let sleeping = tokio::spawn(async move { sleeper.sleep_until(3_600_000).await });
        clock.show(Clocks { wall: UnixMillis(3_600_000), mono: 3_600_000 });
        sleeping.await.unwrap();
    }

    #[test]
    fn a_phone_elsewhere_is_told_what_one_here_will_see() {
        let lab = hookswitch_backend::Clock::system();
        let here = PhoneClock::new(lab.clone(), lab.now() - 1_000);
        here.set_skew(-86_400_000);
        let told = here.after(60_000);
        lab.jump(60_000);
        let seen = here.now();
        assert!((0..10_000).contains(&seen.wall.since(told.wall)), "{told:?} {seen:?}");
        assert!((0..10_000).contains(&(seen.mono - told.mono)), "{told:?} {seen:?}");
    }
}
