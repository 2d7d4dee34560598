//! Tells the other side what changes.

use std::sync::Arc;

use hookswitch::machine::{AppState, view::StoppedCall};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    watch,
};

/// What an observer threw. It is logged, and changes nothing.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum ObserverError {
    /// It threw.
    #[error("the observer failed: {why}")]
    Failed {
        /// For the log.
        why: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for ObserverError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { why: error.reason }
    }
}

/// Who wants to know of changes. Called on a thread of the library's, one call at a time and never under a lock, so it may
/// call the core; while it takes its time, the changes in between are left out, but for the last.
#[uniffi::export(with_foreign)]
pub trait Observer: Send + Sync {
    /// What to show now. The first call is soon after the start.
    ///
    /// # Errors
    /// Whatever it throws is logged.
    fn changed(&self, state: AppState) -> Result<(), ObserverError>;

    /// A call that rings on this phone must stop.
    ///
    /// # Errors
    /// Whatever it throws is logged.
    fn stop_ringing(&self, call: StoppedCall) -> Result<(), ObserverError>;
}

/// Ends with the core.
pub(crate) async fn observe(
    mut states: watch::Receiver<AppState>,
    mut stops: broadcast::Receiver<StoppedCall>,
    observer: Arc<dyn Observer>,
) {
    states.mark_changed();
    loop {
        tokio::select! {
            // A ring that must stop is urgent.
            biased;
            stop = stops.recv() => match stop {
                Ok(call) => tell(&observer, move |observer| observer.stop_ringing(call)).await,
                // Whatever is not among the state's ringing calls has stopped.
                Err(RecvError::Lagged(_)) => states.mark_changed(),
                Err(RecvError::Closed) => return,
            },
            changed = states.changed() => {
                if changed.is_err() {
                    return;
                }
                let state = states.borrow_and_update().clone();
                tell(&observer, move |observer| observer.changed(state)).await;
            }
        }
    }
}

/// Foreign code may take its time: it gets a thread that may.
async fn tell(
    observer: &Arc<dyn Observer>,
    what: impl FnOnce(&dyn Observer) -> Result<(), ObserverError> + Send + 'static,
) {
    let observer = Arc::clone(observer);
    match tokio::task::spawn_blocking(move || what(&*observer)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "an observer threw"),
        Err(error) => tracing::warn!(%error, "an observer could not be told"),
    }
}
