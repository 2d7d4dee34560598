//! Faults on order: what goes wrong, where, and how often. The table is pure; `http::faults` carries out.
//!
//! | fault | the request is carried out | the client gets |
//! |---|---|---|
//! | `before_commit` | no | a connection that closes without a byte |
//! | `500`, `429` | no | a problem; with `429` a `Retry-After` |
//! | `captive_portal` | no | 200 and a web page, as in a hotel |
//! | `after_commit` | yes | a connection that closes without a byte |
//! | `truncated_body` | yes | the head and half of the body, then the connection closes |
//! | `slow_drip` | yes | the answer, a byte at a time |
//! | `delay` | yes | the answer, late |
//! | `wrong_content_type` | yes | the answer as `text/html` |
//! | `malformed_json` | yes | the answer with JSON that ends in the middle |

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Where a fault can be placed. Wide points contain narrow ones; nothing reaches the operator's own door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// Every request to any path.
    Any,
    /// The issuer's metadata and keys.
    Metadata,
    /// `POST /token`, whatever it asks for.
    Token,
    /// `POST /token` with a code.
    CodeExchange,
    /// `POST /token` with a refresh token.
    Refresh,
    /// `POST /revoke`.
    Revocation,
    /// `GET /v1/me/state`.
    State,
    /// `GET /v1/me/stream`.
    Stream,
    /// Everything below `/v1/me/` that is no `GET`.
    Commands,
    /// `PUT /v1/me/availability`.
    Availability,
    /// `PUT /v1/me/forwarding`.
    Forwarding,
    /// `PUT` and `DELETE /v1/me/devices/…`.
    Devices,
    /// `POST /v1/me/calls/…`.
    Calls,
    /// `POST /v1/me/sign-out-everywhere`.
    SignOutEverywhere,
}

impl Point {
    fn covers(self, request: &Where<'_>) -> bool {
        let Where { is_get, path, grant_type } = *request;
        let token = path == "/token";
        match self {
            Self::Any => !path.starts_with("/operator/"),
            Self::Metadata => path.starts_with("/.well-known/") || path == "/jwks",
            Self::Token => token,
            Self::CodeExchange => token && grant_type == Some("authorization_code"),
            Self::Refresh => token && grant_type == Some("refresh_token"),
            Self::Revocation => path == "/revoke",
            Self::State => path == "/v1/me/state",
            Self::Stream => path == "/v1/me/stream",
            Self::Commands => path.starts_with("/v1/me/") && !is_get,
            Self::Availability => path == "/v1/me/availability",
            Self::Forwarding => path == "/v1/me/forwarding",
            Self::Devices => path.starts_with("/v1/me/devices/"),
            Self::Calls => path.starts_with("/v1/me/calls/"),
            Self::SignOutEverywhere => path == "/v1/me/sign-out-everywhere",
        }
    }
}

/// A request, as far as a point can tell it from others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Where<'a> {
    pub(crate) is_get: bool,
    pub(crate) path: &'a str,
    /// What a request of the token endpoint asks for; `None`: it is another request.
    pub(crate) grant_type: Option<&'a str>,
}

/// What goes wrong: see the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// The connection closes before anything happens.
    BeforeCommit,
    /// The request is carried out, and the connection closes before the answer.
    AfterCommit,
    /// The connection closes in the middle of the answer. An answer without a body is lost as a whole.
    TruncatedBody,
    /// The body comes a byte at a time.
    SlowDrip {
        /// Milliseconds between two bytes.
        #[serde(default = "drip")]
        every_ms: u64,
    },
    /// The answer comes late.
    Delay {
        /// How long the answer is held back, in milliseconds.
        ms: u64,
    },
    /// Somebody on the way answers 200 with a web page.
    CaptivePortal,
    /// The answer is right but says that it is a web page.
    WrongContentType,
    /// The server fails.
    #[serde(rename = "500")]
    ServerError,
    /// The server asks to come again later.
    #[serde(rename = "429")]
    TooManyRequests {
        /// `Retry-After`, in seconds.
        #[serde(default = "soon")]
        retry_after_s: u64,
    },
    /// The JSON of the answer ends in the middle; the HTTP around it is whole.
    MalformedJson,
}

const fn drip() -> u64 {
    50
}

const fn soon() -> u64 {
    1
}

/// A fault to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultPlan {
    /// Which requests it meets.
    pub point: Point,
    /// What goes wrong there.
    #[serde(flatten)]
    pub fault: Fault,
    /// For how many requests; `None`: until it is cleared.
    #[serde(default)]
    pub times: Option<u64>,
}

impl FaultPlan {
    /// This fault for every request at that point until it is cleared.
    pub const fn new(point: Point, fault: Fault) -> Self {
        Self { point, fault, times: None }
    }

    /// Only for so many requests.
    #[must_use]
    pub const fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }
}

/// A plan and how far it got. It stays until it is cleared, used up or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// Its number: to clear it by.
    pub id: u64,
    /// The fault, as it was ordered.
    #[serde(flatten)]
    pub plan: FaultPlan,
    /// How many requests it has met.
    pub applied: u64,
}

impl FaultReport {
    fn is_used_up(&self) -> bool {
        self.plan.times.is_some_and(|times| self.applied >= times)
    }
}

/// The plans while the backend runs.
#[derive(Default)]
pub(crate) struct Faults {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    plans: Vec<FaultReport>,
}

impl Faults {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn order(&self, plan: FaultPlan) -> u64 {
        let mut table = self.table();
        table.last_id += 1;
        let id = table.last_id;
        table.plans.push(FaultReport { id, plan, applied: 0 });
        id
    }

    /// The fault that this request meets, if any: of several, the one that was ordered first and is not used up.
    pub(crate) fn meet(&self, request: &Where<'_>) -> Option<Fault> {
        let mut table = self.table();
        let met = table.plans.iter_mut().find(|report| !report.is_used_up() && report.plan.point.covers(request))?;
        met.applied += 1;
        Some(met.plan.fault)
    }

    pub(crate) fn reports(&self) -> Vec<FaultReport> {
        self.table().plans.clone()
    }

    pub(crate) fn clear(&self, id: u64) -> Option<FaultReport> {
        let mut table = self.table();
        let at = table.plans.iter().position(|report| report.id == id)?;
        Some(table.plans.remove(at))
    }

    pub(crate) fn clear_all(&self) -> Vec<FaultReport> {
        std::mem::take(&mut self.table().plans)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str) -> Where<'_> {
        Where { is_get: false, path, grant_type: None }
    }

    #[test]
    fn plans_are_met_in_their_order_and_as_often_as_they_say() {
        let faults = Faults::default();
        faults.order(FaultPlan::new(Point::Revocation, Fault::ServerError).times(1));
        faults.order(FaultPlan::new(Point::Token, Fault::BeforeCommit).times(2));
        let last = faults.order(FaultPlan::new(Point::Any, Fault::CaptivePortal));
        assert_eq!(faults.meet(&at("/token")), Some(Fault::BeforeCommit));
        assert_eq!(faults.meet(&at("/token")), Some(Fault::BeforeCommit));
        assert_eq!(faults.meet(&at("/token")), Some(Fault::CaptivePortal));
        assert_eq!(faults.meet(&at("/revoke")), Some(Fault::ServerError));
        assert_eq!(faults.meet(&at("/revoke")), Some(Fault::CaptivePortal));
        assert_eq!(faults.meet(&at("/operator/faults")), None, "who ordered it can always clear it");
        let applied: Vec<u64> = faults.reports().iter().map(|report| report.applied).collect();
        assert_eq!(applied, [1, 2, 2]);
        assert_eq!(faults.clear(last).unwrap().applied, 2);
        assert_eq!(faults.clear(last), None);
        assert_eq!(faults.meet(&at("/token")), None);
        assert_eq!(faults.clear_all().len(), 2);
        assert_eq!(faults.reports(), []);
    }

    #[test]
    fn a_point_covers_its_requests_and_no_others() {
        let requests = [
            (true, "/.well-known/openid-configuration", None, vec![Point::Metadata]),
            (true, "/jwks", None, vec![Point::Metadata]),
            (false, "/token", Some("refresh_token"), vec![Point::Token, Point::Refresh]),
            (false, "/token", Some("authorization_code"), vec![Point::Token, Point::CodeExchange]),
            (false, "/token", None, vec![Point::Token]),
            (false, "/revoke", None, vec![Point::Revocation]),
            (true, "/v1/me/state", None, vec![Point::State]),
            (true, "/v1/me/stream", None, vec![Point::Stream]),
            (false, "/v1/me/availability", None, vec![Point::Commands, Point::Availability]),
            (false, "/v1/me/forwarding", None, vec![Point::Commands, Point::Forwarding]),
            (false, "/v1/me/devices/d", None, vec![Point::Commands, Point::Devices]),
            (false, "/v1/me/calls/c/answer", None, vec![Point::Commands, Point::Calls]),
            (false, "/v1/me/sign-out-everywhere", None, vec![Point::Commands, Point::SignOutEverywhere]),
            (true, "/app/web", None, vec![]),
        ];
        let all = [
            Point::Metadata,
            Point::Token,
            Point::CodeExchange,
            Point::Refresh,
            Point::Revocation,
            Point::State,
            Point::Stream,
            Point::Commands,
            Point::Availability,
            Point::Forwarding,
            Point::Devices,
            Point::Calls,
            Point::SignOutEverywhere,
        ];
        for (is_get, path, grant_type, points) in requests {
            let request = Where { is_get, path, grant_type };
            let covering: Vec<Point> = all.into_iter().filter(|point| point.covers(&request)).collect();
            assert_eq!(covering, points, "{path}");
            assert!(Point::Any.covers(&request));
        }
    }

    #[test]
    fn a_plan_is_ordered_in_json() {
        let plans = [
            (r#"{"point":"refresh","fault":"after_commit","times":3}"#, {
                FaultPlan::new(Point::Refresh, Fault::AfterCommit).times(3)
            }),
            (
                r#"{"point":"state","fault":"429","retry_after_s":7}"#,
                FaultPlan::new(Point::State, Fault::TooManyRequests { retry_after_s: 7 }),
            ),
            (r#"{"point":"any","fault":"500","times":null}"#, FaultPlan::new(Point::Any, Fault::ServerError)),
            (
                r#"{"point":"stream","fault":"slow_drip"}"#,
                FaultPlan::new(Point::Stream, Fault::SlowDrip { every_ms: 50 }),
            ),
        ];
        for (json, plan) in plans {
            assert_eq!(serde_json::from_str::<FaultPlan>(json).unwrap(), plan, "{json}");
            let report = FaultReport { id: 1, plan, applied: 2 };
            let again = serde_json::to_string(&report).unwrap();
            assert_eq!(serde_json::from_str::<FaultReport>(&again).unwrap(), report, "{again}");
        }
    }
}
