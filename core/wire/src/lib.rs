//! What client and server say to each other, written once.
//!
//! | module | what it holds |
//! |---|---|
//! | [`id`] | the names of agents, devices and calls |
//! | [`version`] | `(epoch, rev)`, the one ordering of states |
//! | [`presence`] | the aggregate: availability, forwarding, call leases, effective state |
//! | [`snapshot`] | everything an app of an agent shows, in one value |
//! | [`push`] | what a push carries about a call |
//! | [`stream`] | the events of `GET /v1/me/stream` |
//! | [`command`] | the bodies of the requests that change something |
//! | [`oauth`] | server metadata and token answers (RFC 8414, RFC 6749) |
//! | [`time`] | moments of the server's clock |
//! | [`trace`] | which request led to which state (W3C Trace Context) |
//! | [`problem`] | errors of the API (RFC 9457) |
//!
//! The rules of the protocol (headers, status codes, what is retried) are in `CONTRACT.md` beside this crate.
//!
//! What a server says may grow: unknown fields are ignored, and each word that this version does not know has a meaning, the one
//! called `Unknown` or nothing, which silences no call. What an app asks for is exact: a server refuses an unknown word.

pub mod command;
pub mod id;
mod lenient;
pub mod oauth;
pub mod presence;
pub mod problem;
pub mod push;
pub mod snapshot;
pub mod stream;
pub mod time;
pub mod trace;
pub mod version;

pub use command::{
    AnswerCall, Capabilities, CodeBy, ForwardTo, HEADER_CSRF, HEADER_IDEMPOTENCY_KEY, RegisterDevice, SendCode,
    SetAvailability, SetForwarding, VerifyNumber,
};
pub use id::{AccountId, CallId, DeviceId, SessionId};
pub use lenient::clean;
pub use oauth::{ServerMetadata, TokenAnswer, TokenError};
pub use presence::{
    Availability, CallLease, Chosen, Effective, Forwarding, InvalidNumber, LeaseKind, PhoneNumber, Presence,
    UnavailableReason,
};
pub use problem::Problem;
pub use push::{CallPush, PushKind};
pub use snapshot::{
    Agent, Call, CallState, CannotRing, Device, Notice, Platform, Role, SignIn, SignInKind, Snapshot, Surface,
};
pub use stream::{SignedOutReason, StreamEvent, StreamEventError};
pub use time::UnixMillis;
pub use trace::{HEADER_TRACEPARENT, TraceId};
pub use version::Version;
