//! One clock for everything: what is stored, what expires, what is said in `Date`.
//!
//! It is the system's clock plus an offset, and [`Clock::jump`] moves the offset: whoever sleeps looks again. So a test of
//! a 45 s lease takes no 45 s, and the lab can show tomorrow morning.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

/// Unix time in milliseconds, as databases count it; [`hookswitch_wire::UnixMillis`] to apps.
pub(crate) type Millis = i64;

/// A clock that can be moved. Clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    offset: Arc<watch::Sender<i64>>,
}

impl Clock {
    /// The system's clock, until somebody moves it.
    pub fn system() -> Self {
        Self { offset: Arc::new(watch::Sender::new(0)) }
    }

    /// What time it is.
    pub fn now(&self) -> Millis {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let system = i64::try_from(system.as_millis()).unwrap_or(i64::MAX);
        system.saturating_add(*self.offset.borrow())
    }

    /// Moves the clock by so many milliseconds, forward or back.
    pub fn jump(&self, ms: i64) {
        self.offset.send_modify(|offset| *offset = offset.saturating_add(ms));
    }

    /// Returns once the clock shows `at` or later, however it gets there.
    pub async fn sleep_until(&self, at: Millis) {
        let mut moved = self.offset.subscribe();
        loop {
            let wait = at.saturating_sub(self.now());
            let Ok(wait) = u64::try_from(wait) else { return };
            if wait == 0 {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(wait)) => {}
                // The sender lives as long as `self`: this never errs.
                _ = moved.changed() => {}
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

/// A duration on this clock.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_sleeps_wakes_when_the_clock_jumps_past() {
        let clock = Clock::system();
        let (sleeper, at) = (clock.clone(), clock.now() + 3_600_000);
        let sleeping = tokio::spawn(async move { sleeper.sleep_until(at).await });
        clock.jump(1_000);
        clock.jump(3_600_000);
        sleeping.await.unwrap();
    }
}
