//! Everything that the page draws, as one value: the page keeps nothing of its own.

use futures_util::future::join_all;
use hookswitch::{
    machine::{
        Choice, SupersededChoice,
        view::{Link, PhoneCall, PresenceState, RingDecision, RingLogEntry, SessionHealth, SessionState},
    },
    wire::{Availability, Call, CallState, CannotRing, Effective, PhoneNumber, Platform, Role, UnavailableReason},
};
use hookswitch_backend::{AgentSeed, CallReport, GivenBack, RingOutcome};
use serde::Serialize;

use super::{
    Lab,
    actions::signed_in_as,
    story::{Story, StoryView, Title},
};
use crate::{calls::Remembered, phone::LabPhone, timeline::Line, words::words, world::World};

#[derive(Serialize)]
pub(super) struct View {
    /// Counts up with each reset.
    scene: u64,
    base: String,
    upstream: String,
    /// Counts the sign-ins of the browsers without a screen.
    windows: u64,
    now: i64,
    time_offset_ms: i64,
    accounts: Vec<AccountView>,
    switches: SwitchesView,
    stories: Vec<Title>,
    story: Option<StoryView>,
    phones: Vec<PhoneView>,
    calls: Vec<CallRow>,
    timeline: Vec<Line>,
}

#[derive(Serialize)]
struct AccountView {
    email: String,
    password: String,
    name: String,
    role: Role,
    /// Where the password is asked for, when it is not Hookswitch itself.
    sign_in_with: Option<&'static str>,
    totp_code: Option<String>,
    is_signed_in: bool,
    state: Option<StateView>,
}

/// The state that every screen of an agent is to show.
#[derive(Serialize)]
struct StateView {
    version: String,
    /// Since when it is that, in the lab's time.
    at: i64,
}

#[derive(Serialize)]
struct SwitchesView {
    old_server: bool,
}

#[derive(Serialize)]
struct PhoneView {
    key: &'static str,
    name: &'static str,
    platform: Platform,
    power: &'static str,
    network: &'static str,
    foreground: bool,
    clock_offset_ms: i64,
    session: SessionRow,
    presence: Option<PresenceRow>,
    banner: Option<BannerRow>,
    ringing: Option<RingingRow>,
    call: Option<RingingRow>,
    decisions: Vec<DecisionRow>,
    login_url: Option<String>,
    /// It will be killed in its next refresh.
    kill_in_refresh: bool,
}

#[derive(Default, Serialize)]
struct SessionRow {
    state: &'static str,
    status: Option<SessionHealth>,
    reason: Option<String>,
    email: Option<String>,
    name: Option<String>,
    access_token_expires_at: Option<i64>,
}

#[derive(Serialize)]
struct PresenceRow {
    version: String,
    effective: Effective,
    availability: Availability,
    pending: Option<PendingRow>,
    superseded: Option<TextRow>,
    forwarding: ForwardingRow,
    /// What the agent should be told.
    notices: Vec<String>,
    /// Since when this phone shows this version, in the lab's time.
    shown_since: Option<i64>,
    link: Link,
    as_of: i64,
}

#[derive(Serialize)]
struct PendingRow {
    what: &'static str,
    text: String,
}

#[derive(Serialize)]
struct TextRow {
    text: String,
}

#[derive(Serialize)]
struct ForwardingRow {
    on: bool,
    number: Option<PhoneNumber>,
}

#[derive(Serialize)]
struct BannerRow {
    text: String,
    number: PhoneNumber,
}

#[derive(Serialize)]
struct RingingRow {
    call_id: String,
    from: Option<PhoneNumber>,
    from_name: Option<String>,
    since: i64,
    expires_at: Option<i64>,
}

#[derive(Serialize)]
struct DecisionRow {
    call_id: String,
    at: i64,
    verdict: &'static str,
    rule: String,
    explanation: String,
    inputs: Vec<(String, String)>,
    platform: String,
}

#[derive(Serialize)]
struct CallRow {
    call_id: String,
    /// Whom it is for: by e-mail, and by name.
    to: String,
    to_name: String,
    from: Option<PhoneNumber>,
    from_name: Option<String>,
    state: &'static str,
    answered_by: Option<String>,
    /// How it ended: who declined, who hung up.
    end: Option<String>,
    /// What the agent was, who was not offered the call.
    agent_was: Option<String>,
    /// The number that it went to.
    forwarded_to: Option<PhoneNumber>,
    /// Why the queue has it again.
    given_back: Option<&'static str>,
    at: i64,
    devices: Vec<DeviceRow>,
    story: Vec<Line>,
}

/// What a device did when the call came; later decisions change nothing about it.
#[derive(Serialize)]
struct DeviceRow {
    key: String,
    outcome: &'static str,
    reason: Option<String>,
    /// The phone's first decision, when it was asked.
    decision: Option<DecisionRow>,
}

pub(super) async fn view(lab: &Lab) -> View {
    let scene = lab.scene();
    let world = &scene.world;
    let logs = join_all(world.phones.iter().map(|phone| phone.ring_log())).await;
    let phones: Vec<(&LabPhone, Vec<RingLogEntry>)> =
        world.phones.iter().zip(logs).map(|(phone, log)| (&**phone, log)).collect();
    View {
        scene: scene.number,
        base: world.base.clone(),
        upstream: world.upstream().to_owned(),
        windows: world.windows(),
        now: world.clock.now(),
        time_offset_ms: world.moved(),
        stories: lab.titles.clone(),
        story: scene.story.as_ref().map(Story::view),
        accounts: world
            .agents
            .iter()
            .filter_map(|agent| {
                Some(AccountView {
                    email: agent.email.clone(),
                    password: agent.password.clone(),
                    name: agent.name.clone(),
                    role: agent.role,
                    sign_in_with: match agent {
                        AgentSeed { password_login: true, .. } => None,
                        AgentSeed { google: true, .. } => Some("Google"),
                        AgentSeed { .. } => Some("SSO"),
                    },
                    totp_code: match agent.totp_secret {
                        Some(_) => Some(world.operator.totp_code(&agent.email)?),
                        None => None,
                    },
                    is_signed_in: is_signed_in(world, &agent.email),
                    state: world
                        .operator
                        .snapshot(&agent.email)
                        .ok()
                        .map(|snapshot| StateView { version: snapshot.version.to_string(), at: snapshot.at.0 }),
                })
            })
            .collect(),
        switches: SwitchesView { old_server: scene.switches.old_server() },
        calls: calls(world, &phones),
        phones: phones.into_iter().map(|(phone, log)| phone_view(phone, log)).collect(),
        timeline: world.timeline.after(0),
    }
}

/// Whether the agent is signed in anywhere.
fn is_signed_in(world: &World, email: &str) -> bool {
    let on_a_phone = world.phones.iter().any(|phone| signed_in_as(phone).as_deref() == Some(email));
    on_a_phone || world.operator.listening(email).is_ok_and(|pages| !pages.is_empty())
}

/// `log`: oldest first.
fn phone_view(phone: &LabPhone, log: Vec<RingLogEntry>) -> PhoneView {
    let seen = phone.core().map(|core| core.state());
    let decisions = log.into_iter().rev().filter_map(decision_row).take(20).collect();
    let (session, presence, banner, ringing, call) = match seen {
        Some(seen) => {
            let banner = seen.presence.as_ref().and_then(|presence| presence.banner.as_ref()).map(|banner| BannerRow {
                text: format!("Calls go to {}. This phone stays silent.", banner.number),
                number: banner.number.clone(),
            });
            let presence = seen.presence.as_ref().map(|presence| PresenceRow {
                shown_since: phone.shown_since(&presence.version),
                ..presence_row(presence, seen.link)
            });
            (
                session_row(&seen.session),
                presence,
                banner,
                seen.calls.ringing.first().map(ringing_row),
                seen.calls.in_call.as_ref().map(ringing_row),
            )
        }
        None => (SessionRow { state: "signed_out", ..SessionRow::default() }, None, None, None, None),
    };
    PhoneView {
        key: phone.key,
        name: phone.name,
        platform: phone.platform,
        power: if phone.is_on() { "on" } else { "off" },
        network: if phone.cable.is_up() { "up" } else { "down" },
        foreground: phone.is_foreground(),
        clock_offset_ms: phone.clock.skew(),
        session,
        presence,
        banner,
        ringing,
        call,
        decisions,
        login_url: phone.login_url(),
        kill_in_refresh: phone.cable.has_trap(),
    }
}

fn session_row(session: &SessionState) -> SessionRow {
    let bare = |state| SessionRow { state, ..SessionRow::default() };
    match session {
        SessionState::Loading => bare("loading"),
        SessionState::Locked => bare("locked"),
        SessionState::SignedOut { message, .. } => SessionRow { reason: message.clone(), ..bare("signed_out") },
        SessionState::SigningIn { .. } => bare("signing_in"),
        SessionState::SignedIn { agent, health, token_expires_at } => SessionRow {
            status: Some(*health),
            email: agent.email.clone(),
            name: agent.name.clone(),
            access_token_expires_at: Some(token_expires_at.0),
            ..bare("signed_in")
        },
        SessionState::ReauthRequired { agent, message, .. } => SessionRow {
            reason: Some(message.clone()),
            email: agent.email.clone(),
            name: agent.name.clone(),
            ..bare("reauth_required")
        },
        SessionState::SigningOut => bare("signing_out"),
    }
}

fn presence_row(presence: &PresenceState, link: Link) -> PresenceRow {
    PresenceRow {
        version: presence.version.clone(),
        effective: presence.effective,
        availability: presence.availability,
        pending: presence.pending.first().map(|choice| PendingRow {
            what: match choice {
                Choice::Availability { .. } => "availability",
                Choice::Forwarding { .. } => "forwarding",
            },
            text: describe_choice(choice),
        }),
        superseded: presence.superseded.as_ref().map(|SupersededChoice { choice, why, .. }| TextRow {
            text: format!("“{}” was not applied. {why}", describe_choice(choice)),
        }),
        forwarding: ForwardingRow {
            on: presence.forwarding.is_some(),
            number: presence.forwarding.as_ref().map(|to| to.number.clone()),
        },
        notices: presence.notices.clone(),
        shown_since: None,
        link,
        as_of: presence.as_of.0,
    }
}

fn describe_choice(choice: &Choice) -> String {
    match choice {
        Choice::Availability { availability } => match availability {
            Availability::Available => "Available".into(),
            Availability::Automatic => "Automatic".into(),
            Availability::Unknown => "Unknown".into(),
            Availability::Unavailable { reason } => match reason {
                UnavailableReason::Other => "Unavailable",
                UnavailableReason::BackOffice => "Back office",
                UnavailableReason::InTraining => "In training",
                UnavailableReason::OnABreak => "On a break",
                UnavailableReason::OutForLunch => "Out for lunch",
                UnavailableReason::Unknown => "Unavailable",
            }
            .into(),
        },
        Choice::Forwarding { to: Some(to) } => format!("Forward to {}", to.number),
        Choice::Forwarding { to: None } => "Forwarding off".into(),
    }
}

fn ringing_row(call: &PhoneCall) -> RingingRow {
    RingingRow {
        call_id: call.call_id.to_string(),
        from: call.from.clone(),
        from_name: call.from_name.clone(),
        since: call.since.0,
        expires_at: call.expires_at.map(|at| at.0),
    }
}

fn decision_row(entry: RingLogEntry) -> Option<DecisionRow> {
    let RingLogEntry::Decided { decision, inputs } = entry else { return None };
    let RingDecision { call_id, at, silence, action, explanation, .. } = decision;
    let inputs = inputs.into_iter().map(|input| (input.what, input.value)).collect();
    let (verdict, rule) = match silence {
        None => ("ring", "none".to_owned()),
        Some(reason) => (
            "silence",
            serde_json::to_value(reason).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default(),
        ),
    };
    let platform = action.explain().to_owned();
    Some(DecisionRow { call_id: call_id.to_string(), at: at.0, verdict, rule, explanation, inputs, platform })
}

/// The calls that are remembered, newest first.
fn calls(world: &World, phones: &[(&LabPhone, Vec<RingLogEntry>)]) -> Vec<CallRow> {
    let row = |known: Remembered| Some(call_row(world, phones, world.operator.call_report(&known.call_id)?, known));
    world.timeline.calls.all().into_iter().filter_map(row).collect()
}

fn call_row(
    world: &World,
    phones: &[(&LabPhone, Vec<RingLogEntry>)],
    report: CallReport,
    known: Remembered,
) -> CallRow {
    let Call { call_id, from, from_name, state, started_at, .. } = report.call;
    let mut devices: Vec<DeviceRow> = Vec::new();
    for (phone, log) in phones {
        let Some(device) = phone.device() else { continue };
        let Some(ring) = report.devices.iter().find(|ring| ring.device == device) else { continue };
        let first = log.iter().find(|entry| match entry {
            RingLogEntry::Decided { decision, .. } => decision.call_id == call_id,
            RingLogEntry::Stopped { .. } => false,
        });
        let decision = first.cloned().and_then(decision_row);
        let (outcome, reason) = match (ring.outcome, &decision) {
            (_, Some(decision)) if decision.verdict == "ring" => ("rings", None),
            (_, Some(decision)) => ("silent", Some(decision.rule.clone())),
            (RingOutcome::NotPushed(why), None) => (
                "not_pushed",
                Some(match why {
                    CannotRing::ForwardingActive => "forwarding_active".to_owned(),
                    CannotRing::NotAvailable => "not_available".to_owned(),
                    CannotRing::InAnotherCall => "in_another_call".to_owned(),
                    CannotRing::NoPushToken => "no_push_token".to_owned(),
                    CannotRing::Unknown => "unknown".to_owned(),
                }),
            ),
            (RingOutcome::Pushed, None) => ("silent", Some("offline".to_owned())),
        };
        devices.push(DeviceRow { key: phone.key.to_owned(), outcome, reason, decision });
    }
    let rings = |key: String, reason| DeviceRow { key, outcome: "rings", reason, decision: None };
    match &report.forwarded_to {
        Some(number) => {
            let reason = report.given_back.map_or_else(|| number.to_string(), |why| why.explain().to_owned());
            devices.push(rings("forwarded".into(), Some(reason)));
        }
        None if report.agent_was.is_none() => devices.extend(known.listening.into_iter().map(|key| rings(key, None))),
        None => {}
    }
    let (state, answered_by) = match &state {
        CallState::Ringing => ("ringing", None),
        CallState::Offered => ("offered", None),
        CallState::Answered { by } => ("answered", Some(world.place(by))),
        CallState::Ended => ("ended", None),
        CallState::Unknown => ("unknown", None),
    };
    let to_name = world.agents.iter().find(|agent| agent.email == known.to).map(|agent| agent.name.clone());
    CallRow {
        call_id: call_id.to_string(),
        to_name: to_name.unwrap_or_default(),
        to: known.to,
        from,
        from_name,
        state,
        answered_by: answered_by.or(known.answered_at),
        end: known.end,
        agent_was: report.agent_was.map(|effective| words(&effective)),
        forwarded_to: report.forwarded_to,
        given_back: report.given_back.map(GivenBack::explain),
        at: started_at.0,
        devices,
        story: known.story,
    }
}
