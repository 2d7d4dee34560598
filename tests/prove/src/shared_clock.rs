//! One time for the backend and for the phones in other processes: the system's clocks and an offset in a file, so that
//! all of them jump at the same moment.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, time::Duration};

use async_trait::async_trait;
use hookswitch::{
    machine::{Mono, Timestamp},
    ports::{Clock, SystemClock},
};

/// Reads the offset at each look at the clock.
pub(crate) struct SharedClock {
    offset: File,
}

impl SharedClock {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let offset = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Self { offset })
    }

    fn offset(&self) -> u64 {
        let mut bytes = [0; 8];
        // An empty file: nobody has moved it yet.
        match self.offset.read_exact_at(&mut bytes, 0) {
            Ok(()) => u64::from_le_bytes(bytes),
            Err(_) => 0,
        }
    }

    /// Moves all who share the file ahead.
    pub(crate) fn jump(&self, millis: u64) -> io::Result<()> {
        self.offset.write_all_at(&(self.offset() + millis).to_le_bytes(), 0)
    }
}

#[async_trait]
impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now();
        let offset = self.offset();
        Timestamp { wall: now.wall + i64::try_from(offset).unwrap_or(i64::MAX), mono: now.mono.saturating_add(offset) }
    }

    async fn sleep_until(&self, at: Mono) {
        loop {
            let left = at.saturating_sub(self.now().mono);
            if left == 0 {
                return;
            }
            // A file cannot wake anybody.
            tokio::time::sleep(Duration::from_millis(left.min(4))).await;
        }
    }
}
