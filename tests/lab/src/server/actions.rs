//! What the page's buttons do.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use hookswitch::{
    machine::{Failure, view::SessionState},
    wire::{Availability, CallId, PhoneNumber, Problem, problem::PROBLEM_JSON},
};
use hookswitch_backend::LegNews;
use serde::{Deserialize, de::DeserializeOwned};

use super::Lab;
use crate::{
    phone::{LabPhone, loopback_redirect},
    scenario::{describe_leg, describe_report},
    timeline::Kind,
};

/// Switches of the bench.
#[derive(Default)]
pub(crate) struct Switches {
    old_server: AtomicBool,
    time_offset: AtomicI64,
}

impl Switches {
    pub(super) fn old_server(&self) -> bool {
        self.old_server.load(Ordering::Relaxed)
    }

    pub(super) fn time_offset(&self) -> i64 {
        self.time_offset.load(Ordering::Relaxed)
    }
}

/// The routes of all buttons.
pub(super) fn routes() -> Router<Arc<Lab>> {
    Router::new()
        .route("/lab/phones/{key}/{action}", post(phone_action))
        .route("/lab/calls", post(incoming_call))
        .route("/lab/calls/{call}/hang-up", post(hang_up))
        .route("/lab/calls/{call}/leg", post(leg))
        .route("/lab/switches", post(switches))
        .route("/lab/time", post(time))
}

/// Why a button did nothing.
struct Refusal(StatusCode, String);

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self(StatusCode::CONFLICT, failure.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, detail) = self;
        let problem = Problem {
            kind: "about:blank".into(),
            title: "The lab cannot do this now".into(),
            status: status.as_u16(),
            code: "lab".into(),
            detail: Some(detail),
            field: None,
            current: None,
        };
        (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], Json(problem)).into_response()
    }
}

type Done = Result<StatusCode, Refusal>;
type Body = Result<Json<serde_json::Value>, JsonRejection>;

fn parse<T: DeserializeOwned>(body: serde_json::Value) -> Result<T, Refusal> {
    serde_json::from_value(body).map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))
}

fn body(body: Body) -> Result<serde_json::Value, Refusal> {
    body.map(|Json(body)| body).map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.body_text()))
}

/// A button under a phone or on its screen.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PhoneAction {
    SignIn,
    CancelSignIn,
    SignOut,
    Repair,
    Availability,
    Forwarding,
    Answer,
    Decline,
    HangUp,
    Network,
    Power,
    Clock,
    ExpireToken,
    Foreground,
}

#[derive(Deserialize)]
struct SetAvailability {
    availability: Availability,
}

#[derive(Deserialize)]
struct SetForwarding {
    number: Option<String>,
}

#[derive(Deserialize)]
struct OfCall {
    call_id: CallId,
}

#[derive(Deserialize)]
struct Network {
    up: bool,
}

#[derive(Deserialize)]
struct Power {
    action: PowerAction,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PowerAction {
    Kill,
    Start,
}

#[derive(Deserialize)]
struct SetClock {
    offset_ms: i64,
}

#[derive(Deserialize)]
struct SetForeground {
    foreground: bool,
}

async fn phone_action(State(lab): State<Arc<Lab>>, Path((key, action)): Path<(String, String)>, sent: Body) -> Done {
    let phone =
        lab.world.phone(&key).ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("There is no phone {key:?}.")))?;
    let action: PhoneAction = parse(action.into())?;
    let sent = body(sent)?;
    match action {
        PhoneAction::SignIn => {
            phone.begin_login(&loopback_redirect(&lab.origin, phone.key)).await?;
        }
        PhoneAction::CancelSignIn => {
            phone.cancel_login().await?;
            phone.close_browser();
        }
        PhoneAction::SignOut => phone.sign_out().await?,
        PhoneAction::Repair => phone.repair().await?,
        PhoneAction::Availability => {
            let SetAvailability { availability } = parse(sent)?;
            phone.set_availability(availability).await?;
        }
        PhoneAction::Forwarding => {
            let SetForwarding { number } = parse(sent)?;
            let number = number.map(|number| number.parse::<PhoneNumber>()).transpose();
            let number = number.map_err(|error| Refusal(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
            phone.set_forwarding(number.map(|number| number.to_string()), None).await?;
        }
        PhoneAction::Answer => phone.answer(parse::<OfCall>(sent)?.call_id).await?,
        PhoneAction::Decline => phone.decline(parse::<OfCall>(sent)?.call_id).await?,
        PhoneAction::HangUp => phone.hang_up(parse::<OfCall>(sent)?.call_id).await?,
        PhoneAction::Network => phone.set_network(parse::<Network>(sent)?.up).await?,
        PhoneAction::Power => match parse::<Power>(sent)?.action {
            PowerAction::Kill => phone.kill().await,
            PowerAction::Start => phone.start(true).await?,
        },
        PhoneAction::Clock => {
            let SetClock { offset_ms } = parse(sent)?;
            phone.set_clock(offset_ms).await?;
        }
        PhoneAction::ExpireToken => {
            let email =
                signed_in_as(phone).ok_or_else(|| Refusal(StatusCode::CONFLICT, "Nobody is signed in.".into()))?;
            lab.world.expire_token(phone, &email)?;
        }
        PhoneAction::Foreground => phone.set_foreground(parse::<SetForeground>(sent)?.foreground).await?,
    }
    lab.world.timeline.touch();
    Ok(StatusCode::NO_CONTENT)
}

fn signed_in_as(phone: &LabPhone) -> Option<String> {
    match phone.shown()?.session {
        SessionState::SignedIn { agent, .. } => agent.email,
        SessionState::Loading
        | SessionState::Locked
        | SessionState::SignedOut { .. }
        | SessionState::SigningIn { .. }
        | SessionState::ReauthRequired { .. }
        | SessionState::SigningOut => None,
    }
}

#[derive(Deserialize)]
struct IncomingCall {
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    from_name: Option<String>,
}

/// Somebody calls the agent of the phones; when nobody is signed in there, the first demo account.
async fn incoming_call(State(lab): State<Arc<Lab>>, sent: Body) -> Done {
    let IncomingCall { from, from_name } = parse(body(sent)?)?;
    let from = from.filter(|from| !from.trim().is_empty()).map(|from| from.parse::<PhoneNumber>()).transpose();
    let from = from.map_err(|error| Refusal(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let who = lab.world.phones.iter().find_map(|phone| signed_in_as(phone));
    let who = who.or_else(|| lab.world.agents.first().map(|agent| agent.email.clone())).unwrap_or_default();
    let report = lab
        .world
        .operator
        .incoming_call(&who, from, from_name.filter(|name| !name.trim().is_empty()))
        .map_err(|error| Refusal(StatusCode::CONFLICT, error.to_string()))?;
    lab.world.timeline.add("server", Kind::Event, format!("for {who}: {}", describe_report(&report)));
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct LegSays {
    is: LegNews,
}

/// Somebody at the number that a call was forwarded to does something, or the line there does.
async fn leg(State(lab): State<Arc<Lab>>, Path(call): Path<String>, sent: Body) -> Done {
    let LegSays { is } = parse(body(sent)?)?;
    let report = lab.world.operator.leg(&CallId(call), is);
    let report = report.map_err(|error| Refusal(StatusCode::CONFLICT, error.to_string()))?;
    let text = format!("the number {}: {}", describe_leg(is), describe_report(&report));
    lab.world.timeline.add("server", Kind::Event, text);
    Ok(StatusCode::NO_CONTENT)
}

async fn hang_up(State(lab): State<Arc<Lab>>, Path(call): Path<String>) -> Done {
    lab.world.operator.hang_up(&CallId(call)).map_err(|error| Refusal(StatusCode::CONFLICT, error.to_string()))?;
    lab.world.timeline.add("server", Kind::Event, "the caller hangs up");
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct SetSwitches {
    old_server: bool,
}

async fn switches(State(lab): State<Arc<Lab>>, sent: Body) -> Done {
    let SetSwitches { old_server } = parse(body(sent)?)?;
    lab.world.operator.set_old_server(old_server);
    lab.actions.old_server.store(old_server, Ordering::Relaxed);
    let text =
        if old_server { "plays an old one that pushes although calls are forwarded" } else { "knows the ring rule" };
    lab.world.timeline.add("server", Kind::Fault, text);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct AdvanceTime {
    advance_ms: u32,
}

async fn time(State(lab): State<Arc<Lab>>, sent: Body) -> Done {
    let advance_ms = i64::from(parse::<AdvanceTime>(body(sent)?)?.advance_ms);
    lab.actions.time_offset.fetch_add(advance_ms, Ordering::Relaxed);
    lab.world.advance(advance_ms).await?;
    Ok(StatusCode::NO_CONTENT)
}
