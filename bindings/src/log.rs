//! The log of the core, for the app's own log: `Log`, `os_log`, a crash reporter's breadcrumbs.
//!
//! What is below the level is dropped before it is put into words. What other libraries log is dropped altogether: it is not
//! ours to vouch for. No line has a secret, a phone number, a name or an e-mail address.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use tracing::{Event, Level, Subscriber, field::Field, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt},
    registry::Registry,
};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// Something is broken.
    Error,
    /// Something went wrong, and was dealt with.
    Warn,
    /// What happens in the ordinary course of things, for those who look into a fault.
    Info,
    /// The steps in between, for whoever looks for a fault.
    Debug,
}

/// What a sink threw. Nobody is told.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum LogLinesError {
    /// The foreign function threw.
    #[error("{why}")]
    Failed {
        /// What it threw, in words.
        why: String,
    },
}

impl From<uniffi::UnexpectedUniFFICallbackError> for LogLinesError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { why: error.reason }
    }
}

/// Takes the lines of the log, one at a time, on a thread of the library's. (An app implements its language's own `LogSink`, which throws
/// nothing; so this has another name.)
#[uniffi::export(with_foreign)]
pub trait LogLines: Send + Sync {
    /// A line.
    ///
    /// # Errors
    /// Whatever it throws is dropped.
    fn log(&self, level: LogLevel, target: String, message: String) -> Result<(), LogLinesError>;
}

struct Line {
    level: LogLevel,
    target: &'static str,
    message: String,
}

/// Where lines go; the newest sink takes them all.
static SINK: Mutex<Option<Arc<dyn LogLines>>> = Mutex::new(None);
static STARTED: OnceLock<bool> = OnceLock::new();
/// Lines that wait for a sink that takes its time; those beyond are dropped.
const WAITING: usize = 1_024;

/// Sends the core's log to `sink` from now on; a later sink takes the place of an earlier one, the level of the first call
/// stays. Gives `false` when the process logs elsewhere already (it has a `tracing` subscriber of its own).
#[uniffi::export]
pub fn start_logging(level: LogLevel, sink: Arc<dyn LogLines>) -> bool {
    *SINK.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
    *STARTED.get_or_init(|| {
        let filter = match level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        };
        let (lines, taken) = sync_channel(WAITING);
        let ours = Targets::new().with_target("hookswitch", filter);
        let subscriber = Registry::default().with(Forward { lines }.with_filter(ours));
        let writer = std::thread::Builder::new().name("hookswitch-log".into()).spawn(move || write(&taken));
        writer.is_ok() && tracing::subscriber::set_global_default(subscriber).is_ok()
    })
}

fn write(lines: &Receiver<Line>) {
    while let Ok(Line { level, target, message }) = lines.recv() {
        let sink = SINK.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sink) = sink {
            let _ = sink.log(level, target.to_owned(), message);
        }
    }
}

struct Forward {
    lines: SyncSender<Line>,
}

impl<S: Subscriber> Layer<S> for Forward {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            Level::DEBUG | Level::TRACE => LogLevel::Debug,
        };
        let mut message = String::new();
        event.record(&mut |field: &Field, value: &dyn std::fmt::Debug| {
            let _ = match field.name() {
                "message" => write!(message, "{value:?}"),
                name => write!(message, " {name}={value:?}"),
            };
        });
        // Nobody waits for a log.
        let _ = self.lines.try_send(Line { level, target: metadata.target(), message });
    }
}
