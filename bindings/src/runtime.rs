//! The threads that carry the work: one tokio runtime for all cores of the process, made with the first and ended with the
//! last.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use hookswitch::machine::Failure;
use tokio::runtime::{Handle, Runtime};

static RUNTIME: Mutex<Weak<SharedRuntime>> = Mutex::new(Weak::new());

/// Ends with whoever holds it last.
pub(crate) struct SharedRuntime {
    pub(crate) handle: Handle,
    runtime: Option<Runtime>,
}

impl Drop for SharedRuntime {
    fn drop(&mut self) {
        // Without waiting: this may be a thread of the runtime itself.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The runtime of this process.
pub(crate) fn shared() -> Result<Arc<SharedRuntime>, Failure> {
    let mut known = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = known.upgrade() {
        return Ok(runtime);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("hookswitch")
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("No threads: {error}")))?;
    let runtime = Arc::new(SharedRuntime { handle: runtime.handle().clone(), runtime: Some(runtime) });
    *known = Arc::downgrade(&runtime);
    Ok(runtime)
}
