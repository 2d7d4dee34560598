//! A stand-in for the API, since these servers only issue tokens. It is busy, or it keeps to `core/wire/CONTRACT.md` as far
//! as a phone at rest needs it and lets in whom the issuer knows.

use hookswitch::wire::UnixMillis;
use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response, Sse, sse},
    routing::{get, put},
};
use futures_util::{StreamExt, stream};
use hookswitch::wire::{
    Agent, Availability, Effective, Forwarding, Presence, Problem, RegisterDevice, Role, Snapshot, StreamEvent,
    Version, problem, stream::Heartbeat,
};
use tokio::net::TcpListener;

use crate::{
    issuer::Issuer,
    report::{ErrorMessage, text},
};

/// The stand-in.
pub(crate) struct StandIn {
    /// Where it is.
    pub(crate) address: String,
    state: Arc<StandInState>,
}

struct StandInState {
    issuer: Issuer,
    busy: AtomicBool,
    /// Devices, and whose they are.
    registered: Mutex<Vec<(String, String)>>,
}

impl StandIn {
    /// Starts one, busy.
    pub(crate) async fn start(issuer: Issuer) -> Result<Self, ErrorMessage> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(text)?;
        let address = format!("http://{}", socket.local_addr().map_err(text)?);
        let shared = Arc::new(StandInState { issuer, busy: AtomicBool::new(true), registered: Mutex::default() });
        let app = Router::new()
            .route("/v1/me/state", get(state))
            .route("/v1/me/stream", get(events))
            .route("/v1/me/devices/{device}", put(register))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(socket, app).await });
        Ok(Self { address, state: shared })
    }

    /// Busy: 503 to everybody.
    pub(crate) fn be_busy(&self, busy: bool) {
        self.state.busy.store(busy, Ordering::SeqCst);
    }

    /// The e-mail address of the agent who registered this device.
    pub(crate) fn owner_of(&self, device: &str) -> Option<String> {
        let registered = self.state.registered.lock().unwrap_or_else(PoisonError::into_inner);
        registered.iter().find(|(id, _)| id == device).map(|(_, owner)| owner.clone())
    }
}

impl StandInState {
    /// The state of whoever asks, or why they get none.
    async fn snapshot(&self, headers: &HeaderMap) -> Result<Snapshot, Response> {
        if self.busy.load(Ordering::SeqCst) {
            return Err(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let told = match bearer {
            Some(token) => self.issuer.userinfo(token).await.ok().filter(|answer| answer.status == 200),
            None => None,
        };
        let told = told.ok_or_else(unauthenticated)?.body;
        let claim = |name: &str| told.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let at = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis();
        Ok(Snapshot {
            version: Version::new(1, 1),
            agent: Agent {
                account: claim("sub").as_str().into(),
                email: claim("email"),
                name: claim("name"),
                role: Role::Agent,
            },
            presence: Presence {
                availability: Availability::Available,
                forwarding: Forwarding::default(),
                call_leases: Vec::new(),
                chosen: None,
                effective: Effective::Available,
            },
            calls: Vec::new(),
            devices: Vec::new(),
            sessions: Vec::new(),
            notices: Vec::new(),
            at: UnixMillis(i64::try_from(at).unwrap_or(i64::MAX)),
            trace: None,
        })
    }
}

fn unauthenticated() -> Response {
    let problem = Problem {
        kind: "about:blank".into(),
        title: "Not signed in".into(),
        status: 401,
        code: problem::code::UNAUTHENTICATED.into(),
        detail: None,
        field: None,
        current: None,
    };
    let mut answer = (StatusCode::UNAUTHORIZED, Json(problem)).into_response();
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(problem::PROBLEM_JSON));
    answer
}

async fn state(State(state): State<Arc<StandInState>>, headers: HeaderMap) -> Result<Json<Snapshot>, Response> {
    state.snapshot(&headers).await.map(Json)
}

async fn events(State(state): State<Arc<StandInState>>, headers: HeaderMap) -> Result<Response, Response> {
    let snapshot = state.snapshot(&headers).await?;
    let at = snapshot.at;
    let first = event(&StreamEvent::State(Box::new(snapshot)));
    let beats = stream::unfold((), move |()| async move {
        tokio::time::sleep(Duration::from_secs(15)).await;
        Some((event(&StreamEvent::Heartbeat(Heartbeat { at })), ()))
    });
    Ok(Sse::new(stream::once(async { first }).chain(beats)).into_response())
}

fn event(event: &StreamEvent) -> Result<sse::Event, ErrorMessage> {
    Ok(sse::Event::default().event(event.name()).id("1-1").data(event.data().map_err(text)?))
}

async fn register(
    State(state): State<Arc<StandInState>>,
    Path(device): Path<String>,
    headers: HeaderMap,
    Json(_): Json<RegisterDevice>,
) -> Result<Json<Snapshot>, Response> {
    let snapshot = state.snapshot(&headers).await?;
    let owner = snapshot.agent.email.clone();
    state.registered.lock().unwrap_or_else(PoisonError::into_inner).push((device, owner));
    Ok(Json(snapshot))
}
