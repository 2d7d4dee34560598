//! The events of `GET /v1/me/stream` (server-sent events).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Snapshot, UnixMillis, lenient};

/// One event of the stream. (Its serde form is that of transcripts; on the wire it is [`StreamEvent::name`] and
/// [`StreamEvent::data`].)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamEvent {
    /// `event: state`, `id: epoch-rev`, data a [`Snapshot`]. The first event of every stream, then one a change.
    State(Box<Snapshot>),
    /// `event: heartbeat`, data `{"at": ms}`, every 15 s.
    Heartbeat(Heartbeat),
    /// `event: signed_out`, data `{"reason": …}`: this session is over; the stream ends.
    SignedOut(SignedOut),
}

/// Says that the stream lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// What the server's clock said when it sent this.
    pub at: UnixMillis,
}

/// Says that the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOut {
    /// Why, to be shown to the agent.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub reason: SignedOutReason,
}

/// Who or what ended a session from afar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedOutReason {
    /// The agent signed this device out from another one.
    SignedOutElsewhere,
    /// An administrator ended the session.
    Revoked,
    /// The agent's account was closed: nobody can sign in to it any more.
    AccountClosed,
    /// A reason that this version has no word for: the session is over all the same.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What arrived is not an event of this stream.
#[derive(Debug)]
pub enum StreamEventError {
    /// An event name that this version does not know: to be skipped.
    UnknownEvent(String),
    /// The data is not what the event's name promises.
    Malformed {
        /// The event's name, as it came.
        event: String,
        /// The position of the mistake and its kind; never the data.
        complaint: String,
    },
}

impl fmt::Display for StreamEventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEvent(event) => write!(f, "unknown stream event {event:?}"),
            Self::Malformed { event, complaint } => write!(f, "malformed stream event {event:?}: {complaint}"),
        }
    }
}

impl std::error::Error for StreamEventError {}

impl StreamEvent {
    /// The event's name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::State(_) => "state",
            Self::Heartbeat(_) => "heartbeat",
            Self::SignedOut(_) => "signed_out",
        }
    }

    /// Reads an event by its name and data.
    ///
    /// # Errors
    /// [`StreamEventError::UnknownEvent`] for a name of a newer server, [`StreamEventError::Malformed`] for data that are not
    /// what the name promises.
    pub fn parse(name: &str, data: &str) -> Result<Self, StreamEventError> {
        fn decode<T: serde::de::DeserializeOwned>(name: &str, data: &str) -> Result<T, StreamEventError> {
            serde_json::from_str(data).map_err(|error| StreamEventError::Malformed {
                event: name.to_owned(),
                complaint: format!("{:?} at line {} column {}", error.classify(), error.line(), error.column()),
            })
        }
        match name {
            "state" => decode(name, data).map(|snapshot| Self::State(Box::new(snapshot))),
            "heartbeat" => decode(name, data).map(Self::Heartbeat),
            "signed_out" => decode(name, data).map(Self::SignedOut),
            other => Err(StreamEventError::UnknownEvent(other.to_owned())),
        }
    }

    /// The event's data on the wire.
    ///
    /// # Errors
    /// None in practice: all parts of an event can be written as JSON.
    pub fn data(&self) -> serde_json::Result<String> {
        match self {
            Self::State(snapshot) => serde_json::to_string(snapshot),
            Self::Heartbeat(heartbeat) => serde_json::to_string(heartbeat),
            Self::SignedOut(signed_out) => serde_json::to_string(signed_out),
        }
    }
}
