//! Errors of the API.

use serde::{Deserialize, Serialize};

use crate::{Snapshot, lenient};

/// The media type of a [`Problem`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error of the API (RFC 9457). Apps decide by `status` and `code`; people read `title` and `detail`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `about:blank`, or the address of a page about this kind of problem.
    #[serde(rename = "type", default, deserialize_with = "lenient::or_default")]
    pub kind: String,
    /// What happened, in a few words.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub title: String,
    /// The status of the HTTP answer, said again in the body.
    pub status: u16,
    /// Stable, for programs: see [`code`].
    pub code: String,
    /// What happened and what to do, for a person.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub detail: Option<String>,
    /// Which field of the request is wrong.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub field: Option<String>,
    /// With `412`: the state that the command did not know.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub current: Option<Box<Snapshot>>,
}

/// The values of [`Problem::code`].
pub mod code {
    /// 400: the body is not what the endpoint takes.
    pub const MALFORMED: &str = "malformed";
    /// 401: no token, or one that is not valid any more.
    pub const UNAUTHENTICATED: &str = "unauthenticated";
    /// 403: who asks is signed in, and not allowed to do this.
    pub const FORBIDDEN: &str = "forbidden";
    /// 403: the CSRF token is missing or wrong.
    pub const CSRF: &str = "csrf";
    /// 404: what the path names is not there, or not this agent's.
    pub const NOT_FOUND: &str = "not_found";
    /// 409: the call was answered by somebody else or is over.
    pub const CALL_TAKEN: &str = "call_taken";
    /// 412: `If-Match` names an older state; [`super::Problem::current`] has the newest.
    pub const STALE: &str = "stale";
    /// 422: not an E.164 number.
    pub const INVALID_NUMBER: &str = "invalid_number";
    /// 422: nobody has shown yet that the agent can be reached at this number; a code can be sent there.
    pub const NUMBER_NOT_VERIFIED: &str = "number_not_verified";
    /// 422: not the code that was sent, or not any more.
    pub const WRONG_CODE: &str = "wrong_code";
    /// 422: the end of the forwarding is not in the future.
    pub const INVALID_UNTIL: &str = "invalid_until";
    /// 422: the idempotency key was used for another command.
    pub const KEY_REUSED: &str = "key_reused";
    /// 428: `If-Match` or `Idempotency-Key` is missing.
    pub const PRECONDITION_REQUIRED: &str = "precondition_required";
    /// 429: too many requests; `Retry-After` says when to come again.
    pub const RATE_LIMITED: &str = "rate_limited";
    /// 500: the server failed in a way that is its own fault; the same request may succeed later.
    pub const INTERNAL: &str = "internal";
}
