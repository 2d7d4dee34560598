//! What the page's buttons do.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::future::try_join_all;
use hookswitch::{
    machine::{Failure, view::SessionState},
    wire::{Availability, CallId, PhoneNumber, Problem, problem::PROBLEM_JSON},
};
use hookswitch_backend::LegNews;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Lab, story};
use crate::{
    browser::{Browser, Credentials, Page},
    phone::{LabPhone, loopback_redirect},
    timeline::Kind,
    world::World,
};

/// Switches of the bench.
#[derive(Default)]
pub(crate) struct Switches {
    old_server: AtomicBool,
}

impl Switches {
    pub(super) fn old_server(&self) -> bool {
        self.old_server.load(Ordering::Relaxed)
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
        .route("/lab/demo", post(demo))
        .route("/lab/windows", post(windows))
        .route("/lab/reset", post(reset))
        .route("/lab/story", post(begin_story))
        .route("/lab/story/{order}", post(order))
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
    KillInRefresh,
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
struct SetTrap {
    set: bool,
}

#[derive(Deserialize)]
struct SetForeground {
    foreground: bool,
}

async fn phone_action(State(lab): State<Arc<Lab>>, Path((key, action)): Path<(String, String)>, sent: Body) -> Done {
    let scene = lab.scene();
    let world = &scene.world;
    let phone =
        world.phone(&key).ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("There is no phone “{key}”.")))?;
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
            world.expire_token(phone, &email)?;
        }
        PhoneAction::KillInRefresh => phone.set_trap(parse::<SetTrap>(sent)?.set),
        PhoneAction::Foreground => phone.set_foreground(parse::<SetForeground>(sent)?.foreground).await?,
    }
    world.timeline.touch();
    Ok(StatusCode::NO_CONTENT)
}

/// As whom somebody is signed in on a phone, by e-mail.
pub(super) fn signed_in_as(phone: &LabPhone) -> Option<String> {
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

fn conflict(trouble: String) -> Refusal {
    Refusal(StatusCode::CONFLICT, trouble)
}

#[derive(Deserialize)]
struct IncomingCall {
    /// Whom it is for, by e-mail.
    to: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    from_name: Option<String>,
}

/// Somebody calls an agent.
async fn incoming_call(State(lab): State<Arc<Lab>>, sent: Body) -> Done {
    let IncomingCall { to, from, from_name } = parse(body(sent)?)?;
    let from = from.filter(|from| !from.trim().is_empty()).map(|from| from.parse::<PhoneNumber>()).transpose();
    let from = from.map_err(|error| Refusal(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let from_name = from_name.filter(|name| !name.trim().is_empty());
    lab.scene().world.incoming_call(&to, from, from_name).map_err(conflict)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct LegSays {
    is: LegNews,
}

/// Somebody at the number that a call was forwarded to does something, or the line there does.
async fn leg(State(lab): State<Arc<Lab>>, Path(call): Path<String>, sent: Body) -> Done {
    let LegSays { is } = parse(body(sent)?)?;
    lab.scene().world.leg(&CallId(call), is).map_err(conflict)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn hang_up(State(lab): State<Arc<Lab>>, Path(call): Path<String>) -> Done {
    lab.scene().world.caller_hangs_up(&CallId(call)).map_err(conflict)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct SetSwitches {
    old_server: bool,
}

async fn switches(State(lab): State<Arc<Lab>>, sent: Body) -> Done {
    let SetSwitches { old_server } = parse(body(sent)?)?;
    let scene = lab.scene();
    scene.world.operator.set_old_server(old_server);
    scene.switches.old_server.store(old_server, Ordering::Relaxed);
    let text =
        if old_server { "plays an old one that pushes although calls are forwarded" } else { "knows the ring rule" };
    scene.world.timeline.add("server", Kind::Fault, text);
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct AdvanceTime {
    advance_ms: u32,
}

async fn time(State(lab): State<Arc<Lab>>, sent: Body) -> Done {
    let advance_ms = i64::from(parse::<AdvanceTime>(body(sent)?)?.advance_ms);
    lab.scene().world.advance(advance_ms).await?;
    Ok(StatusCode::NO_CONTENT)
}

// ---- the demo, stories -----------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Demo {
    /// Who signs in, by e-mail.
    who: String,
}

/// Signs one person in on both phones, in the browser and on the desktop, and makes them available.
async fn demo(State(lab): State<Arc<Lab>>, sent: Body) -> Done {
    let Demo { who } = parse(body(sent)?)?;
    let scene = lab.scene();
    let world = &scene.world;
    let credentials = world.credentials(&who).map_err(conflict)?;
    let phones = try_join_all(world.phones.iter().map(|phone| {
        let redirect = loopback_redirect(&lab.origin, phone.key);
        sign_in_phone(world, phone, redirect, &credentials)
    }));
    let desks = async {
        for (browser, path) in [(&world.browser, "/app/web"), (&world.desktop, "/app/desktop")] {
            sign_in_desk(browser, path, &credentials).await?;
        }
        world.browser.set_availability("web", Availability::Available).await
    };
    let (phones, desks) = tokio::join!(phones, desks);
    world.windows_changed();
    phones.and(desks).map_err(conflict)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sign_in_phone(
    world: &World,
    phone: &Arc<LabPhone>,
    redirect: String,
    who: &Credentials,
) -> Result<(), String> {
    let text = |failure: Failure| failure.to_string();
    phone.start(true).await.map_err(text)?;
    if signed_in_as(phone).as_ref() == Some(&who.email) {
        return Ok(());
    }
    let url = phone.begin_login(&redirect).await.map_err(text)?;
    let page = world.phone_browser()?.sign_in(&url, who).await?;
    let Page::App { redirect } = page else {
        return Err(page.complaint().unwrap_or_else(|| format!("the sign-in ended at the page “{}”", page.name())));
    };
    phone.finish_login(&redirect).await.map_err(text)
}

async fn sign_in_desk(browser: &Browser, path: &str, who: &Credentials) -> Result<(), String> {
    let page = browser.sign_in(path, who).await?;
    page.complaint().map_or(Ok(()), Err)
}

/// Hands the sessions of the browsers without a screen to the one that shows the page: the same host, and a browser does
/// not tell ports apart.
async fn windows(State(lab): State<Arc<Lab>>) -> Response {
    let scene = lab.scene();
    let mut response = StatusCode::NO_CONTENT.into_response();
    for pair in [scene.world.browser.sessions(), scene.world.desktop.sessions()].concat() {
        let Ok(cookie) = HeaderValue::from_str(&format!("{pair}; Path=/; HttpOnly; SameSite=Lax")) else { continue };
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Everything anew: nobody is signed in.
async fn reset(State(lab): State<Arc<Lab>>) -> Done {
    lab.begin(None).await.map_err(conflict)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct BeginStory {
    name: String,
    /// Goes on by itself.
    plays: bool,
}

/// A story begins, in a world of its own.
async fn begin_story(State(lab): State<Arc<Lab>>, sent: Body) -> Done {
    let BeginStory { name, plays } = parse(body(sent)?)?;
    let scenario = story::read(&name).map_err(|trouble| Refusal(StatusCode::NOT_FOUND, trouble))?;
    lab.begin(Some((scenario, plays))).await.map_err(conflict)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Play,
    Pause,
    Step,
}

async fn order(State(lab): State<Arc<Lab>>, Path(order): Path<String>) -> Done {
    let order: Order = parse(order.into())?;
    let scene = lab.scene();
    let story = scene.story.as_ref().ok_or_else(|| conflict("No story is played.".into()))?;
    match order {
        Order::Play => story.play(true),
        Order::Pause => story.play(false),
        Order::Step => story.step(),
    }
    scene.world.timeline.touch();
    Ok(StatusCode::NO_CONTENT)
}
