//! Why a call failed, named by what the app does next.

use hookswitch::machine::Failure;

/// Why a call failed, named by what the app should do next. `why` is for a person and for the log.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum CoreError {
    /// Show the sign-in page.
    #[error("{why}")]
    Reauthenticate {
        /// What happened.
        why: String,
    },
    /// Say that there is no connection. The session is safe.
    #[error("{why}")]
    Offline {
        /// What happened.
        why: String,
    },
    /// Show `why`: it would be refused again.
    #[error("{why}")]
    Forbidden {
        /// What happened and what to do.
        why: String,
    },
    /// The device's storage or key store fails.
    #[error("{why}")]
    Storage {
        /// What happened.
        why: String,
    },
    /// Nothing to do.
    #[error("{why}")]
    Cancelled {
        /// What happened.
        why: String,
    },
    /// A fault of ours or of the server's: offer to send a transcript.
    #[error("{why}")]
    Internal {
        /// What happened.
        why: String,
    },
}

impl From<Failure> for CoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Reauthenticate { why } => Self::Reauthenticate { why },
            Failure::Offline { why } => Self::Offline { why },
            Failure::Forbidden { why } => Self::Forbidden { why },
            Failure::Storage { why } => Self::Storage { why },
            Failure::Cancelled { why } => Self::Cancelled { why },
            Failure::Internal { why } => Self::Internal { why },
        }
    }
}
