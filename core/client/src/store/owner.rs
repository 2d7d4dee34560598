//! Who holds a lease, and whether they still live.
//!
//! A lease that outlives its holder blocks the next one until its deadline. The platforms say enough to do better: at any
//! time there is at most one process of each kind on a device (one app, one notification service), so a holder of the same
//! name in another process is dead. Within a process, instances of the core are told apart by a register of those that
//! live. A holder of another name may be asleep; its lease is honoured to the end.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::secrets::random_secret;

/// The instances of this process that live.
static LIVING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn living() -> MutexGuard<'static, BTreeSet<String>> {
    // A set that somebody panicked over is still a set.
    LIVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One instance of the core, as leases name it.
#[derive(Debug)]
pub(super) struct Owner {
    name: String,
    process: String,
    pid: u32,
    instance: String,
}

impl Owner {
    /// An instance in this process, which is the one that `process` names.
    pub(super) fn new(process: &str) -> Result<Self, getrandom::Error> {
        let instance = random_secret()?;
        living().insert(instance.clone());
        let pid = std::process::id();
        Ok(Self { name: format!("{instance} {pid} {process}"), process: process.to_owned(), pid, instance })
    }

    /// What it writes into the leases that it takes.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the holder of that name is surely gone, or is this one itself.
    pub(super) fn may_take_over_from(&self, holder: &str) -> bool {
        let mut parts = holder.splitn(3, ' ');
        let (Some(instance), Some(pid), Some(process)) = (parts.next(), parts.next(), parts.next()) else {
            // Not written by this version: honoured.
            return false;
        };
        if instance == self.instance {
            return true;
        }
        process == self.process && (pid.parse() != Ok(self.pid) || !living().contains(instance))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        living().remove(&self.instance);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_and_oneself_are_taken_over() {
        let app = Owner::new("app").unwrap();
        assert!(app.may_take_over_from(app.name()));
        let another_instance = Owner::new("app").unwrap();
        assert!(!app.may_take_over_from(another_instance.name()));
        let name = another_instance.name().to_owned();
        drop(another_instance);
        assert!(app.may_take_over_from(&name), "an instance that was dropped");
        let pid = std::process::id();
        assert!(app.may_take_over_from(&format!("x {} app", pid + 1)), "an app that was killed");
        assert!(!app.may_take_over_from(&format!("x {} extension", pid + 1)), "it may be asleep");
        assert!(!app.may_take_over_from("something else"));
    }
}
