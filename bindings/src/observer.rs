//! Tells the other side what changes.

use std::sync::Arc;

use hookswitch::{
    Hookswitch,
    machine::{AppState, view::StoppedCall},
};
use tokio::{
    runtime::Handle,
    sync::{
        broadcast::{self, error::RecvError},
        mpsc, oneshot, watch,
    },
    task::AbortHandle,
};

/// What an observer threw. It is logged, and changes nothing.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum ObserverError {
    /// The foreign function threw.
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
    /// What to show now. The first call comes before [`crate::Core::open`] returns. What a command changed is told before its answer; an
    /// access token and the device's facts, of which nothing is shown, do not wait for that.
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

/// Tells an observer what changes, in order and one call at a time, until it is dropped.
pub(crate) struct Telling {
    caught_up: mpsc::UnboundedSender<oneshot::Sender<()>>,
    task: AbortHandle,
}

impl Telling {
    /// Tells what to show now, before it returns, and from then on each change.
    pub(crate) fn begin(core: &Hookswitch, observer: Arc<dyn Observer>, threads: &Handle) -> Self {
        let (stops, mut states) = (core.stops(), core.watch());
        let first = states.borrow_and_update().clone();
        threads.block_on(tell(&observer, move |observer| observer.changed(first)));
        let (caught_up, asked) = mpsc::unbounded_channel();
        Self { caught_up, task: threads.spawn(observe(states, stops, asked, observer)).abort_handle() }
    }

    /// Returns when the observer was told all that has happened so far. An observer that itself waits for a command waits for ever here:
    /// it is told one thing at a time, and this is what the command waits for ([`Observer`]).
    pub(crate) async fn catch_up(&self) {
        let (done, told) = oneshot::channel();
        // It is gone when the core was closed meanwhile: then nobody is told any more.
        if self.caught_up.send(done).is_ok() {
            let _ = told.await;
        }
    }

    /// Tells nothing more, but for a call that is under way.
    pub(crate) fn end(&self) {
        self.task.abort();
    }
}

async fn observe(
    mut states: watch::Receiver<AppState>,
    mut stops: broadcast::Receiver<StoppedCall>,
    mut asked: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    observer: Arc<dyn Observer>,
) {
    loop {
        tokio::select! {
            // A ring that must stop is urgent; and whoever asks whether all was told waits for what was there before.
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
            Some(done) = asked.recv() => {
                // Whoever asked may have gone.
                let _ = done.send(());
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
