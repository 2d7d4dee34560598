//! Failures, named by what the app should do next.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a command failed. The variant says what to do; `why` says what happened, for a person and for the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// Show the sign-in page.
    Reauthenticate {
        /// One or two sentences for a person, and for the log.
        why: String,
    },
    /// Say that there is no connection, and try again when there is one. The session is safe.
    Offline {
        /// One or two sentences for a person, and for the log.
        why: String,
    },
    /// Show `why`: the server or a rule refuses this, and would again.
    Forbidden {
        /// What happened and what to do.
        why: String,
    },
    /// The device's storage or key store fails: offer `repair`, then free space or a restart of the device.
    Storage {
        /// One or two sentences for a person, and for the log.
        why: String,
    },
    /// Nothing to do: a newer command, a sign-out or the person put an end to it.
    Cancelled {
        /// One or two sentences for a person, and for the log.
        why: String,
    },
    /// A fault of ours or of the server's: offer to send a transcript.
    Internal {
        /// One or two sentences for a person, and for the log.
        why: String,
    },
}

macro_rules! constructors {
    ($($name:ident $variant:ident),*) => {
        impl Failure {
            $(#[doc = concat!("[`Failure::", stringify!($variant), "`]")]
            pub fn $name(why: impl Into<String>) -> Self {
                Self::$variant { why: why.into() }
            })*

            /// What happened and what to do, in a sentence for the person.
            pub fn why(&self) -> &str {
                match self {
                    $(Self::$variant { why } => why,)*
                }
            }
        }
    };
}

constructors!(reauthenticate Reauthenticate, offline Offline, forbidden Forbidden, storage Storage, cancelled Cancelled, internal Internal);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why())
    }
}

impl std::error::Error for Failure {}
