//! What operators watch, in the text format of Prometheus (OpenMetrics 1.0), on a listener of its own.
//!
//! No label names an agent, a session, a device or a call: the number of series is bounded, and nothing here is personal.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit::Seconds},
};

use crate::{push, refreshes, service::Service};

/// Methods that become labels; whoever asks may invent others.
const METHODS: [&str; 6] = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS"];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    method: &'static str,
    /// The pattern, never the path: a path holds ids.
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Unit {
    unit: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

type Histograms = Family<Route, Histogram, fn() -> Histogram>;

/// From 0.1 ms to 3.3 s.
fn latency() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 2.0, 16))
}

/// All that is counted since the start.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    request_duration: Histograms,
    streams_open: Gauge,
    states_sent: Counter,
    mirror_latency: Histogram,
    store_duration: Family<Unit, Histogram, fn() -> Histogram>,
    push_attempts: Family<Outcome, Counter>,
    push_time_left: Histogram,
    refreshes: Family<Outcome, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut it = Self {
            registry: Registry::with_prefix("hookswitch"),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(latency),
            streams_open: Gauge::default(),
            states_sent: Counter::default(),
            mirror_latency: latency(),
            store_duration: Family::new_with_constructor(latency),
            push_attempts: Family::default(),
            push_time_left: Histogram::new([0.0, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 45.0, 60.0]),
            refreshes: Family::default(),
        };
        let registry = &mut it.registry;
        registry.register("requests", "Answers; status 0: lost by a fault on order", it.requests.clone());
        registry.register_with_unit(
            "request_duration",
            "From a request to the head of its answer",
            Seconds,
            it.request_duration.clone(),
        );
        registry.register("streams_open", "Streams of events that are open", it.streams_open.clone());
        registry.register("states_sent", "States written to streams", it.states_sent.clone());
        registry.register_with_unit(
            "mirror_latency",
            "From a change to its write to a stream that was open",
            Seconds,
            it.mirror_latency.clone(),
        );
        registry.register_with_unit(
            "store_duration",
            "From asking the database to its last word",
            Seconds,
            it.store_duration.clone(),
        );
        registry.register_with_unit(
            "push_time_left",
            "How long a call would still ring when a service took its push",
            Seconds,
            it.push_time_left.clone(),
        );
        registry.register("push_attempts", "What tries to send a push came to", it.push_attempts.clone());
        registry.register("refreshes", "What became of refresh tokens that came", it.refreshes.clone());
        it
    }
}

impl Metrics {
    /// An answer is on its way. `route` is the pattern that matched; `None`: nothing did.
    pub(crate) fn answered(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let route = route.unwrap_or("none").to_owned();
        self.request_duration.get_or_create(&Route { method, route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Answered { method, route, status }).inc();
    }

    /// A stream is open until the value is dropped.
    pub(crate) fn stream(&self) -> OpenStream {
        self.streams_open.inc();
        OpenStream(self.streams_open.clone())
    }

    /// A state goes to a stream. `after`: how long ago it changed; `None` for the first of a stream, which may be old.
    pub(crate) fn state_sent(&self, after: Option<Duration>) {
        self.states_sent.inc();
        if let Some(after) = after {
            self.mirror_latency.observe(after.as_secs_f64());
        }
    }

    /// A unit of work that writes, waits for locks and connections included.
    pub(crate) fn wrote(&self, took: Duration) {
        self.store_duration.get_or_create(&Unit { unit: "write" }).observe(took.as_secs_f64());
    }

    pub(crate) fn read(&self, took: Duration) {
        self.store_duration.get_or_create(&Unit { unit: "read" }).observe(took.as_secs_f64());
    }

    /// A try to send a push. `left`: until nobody needs it any more, in milliseconds.
    pub(crate) fn push(&self, outcome: &push::Outcome, left: i64) {
        let outcome = match outcome {
            push::Outcome::Accepted => {
                self.push_time_left.observe(left as f64 / 1_000.0);
                "accepted"
            }
            push::Outcome::TokenGone { .. } => "token_gone",
            push::Outcome::Retry { .. } => "retry",
            push::Outcome::Unanswered { .. } => "unanswered",
            push::Outcome::Rejected { .. } => "rejected",
        };
        self.push_attempts.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn refresh(&self, outcome: refreshes::Outcome) {
        let outcome = match outcome {
            refreshes::Outcome::Granted => "granted",
            refreshes::Outcome::Retried => "retried",
            refreshes::Outcome::Refused(_) => "refused",
        };
        self.refreshes.get_or_create(&Outcome { outcome }).inc();
    }
}

/// Counts a stream as open as long as it lives.
pub(crate) struct OpenStream(Gauge);

impl OpenStream {
    /// How many there are on this node.
    pub(crate) fn streams(&self) -> u64 {
        u64::try_from(self.0.get()).unwrap_or_default()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// `GET /metrics`, and nothing else.
pub(crate) fn router(service: Arc<Service>) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(service)
}

async fn metrics(State(service): State<Arc<Service>>) -> Response {
    let mut body = String::new();
    match text::encode(&mut body, &service.metrics.registry) {
        Ok(()) => {
            let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, media_type)], body).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
