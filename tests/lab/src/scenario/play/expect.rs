//! A step that somebody sees: what must come to hold.

use std::time::Instant;

use hookswitch::{
    machine::{
        Silence,
        view::{AppState, PresenceState, RingLogEntry, SessionHealth, SessionState},
    },
    wire::{Availability, CallId, CallState, CannotRing, Effective, Snapshot, Surface},
};
use hookswitch_backend::RingOutcome;

use super::{PATIENCE, Player, Result, text};
use crate::{
    phone::{LabPhone, Seen},
    scenario::schema::{CallIs, Decider, Expectation, Places, SessionIs},
    words::words,
};

impl Player {
    pub(super) async fn expect(&self, expectation: &Expectation) -> Result {
        match expectation {
            Expectation::Session { on, is, says } => {
                for place in on.iter() {
                    self.expect_session(place, *is, says.as_deref()).await?;
                }
                Ok(())
            }
            Expectation::Page { on, is } => match self.pages.get(on) {
                Some(page) if page.name() == is => Ok(()),
                Some(page) => Err(format!("{on} shows {}", page.name())),
                None => Err(format!("nothing was opened on {on}")),
            },
            Expectation::Availability { on, is } => {
                self.expect_state(on, |state| {
                    let seen = state.availability;
                    (seen == *is).then_some(()).ok_or_else(|| words(&seen))
                })
                .await
            }
            Expectation::Effective { on, is } => {
                self.expect_state(on, |state| {
                    let seen = state.effective;
                    (seen == *is).then_some(()).ok_or_else(|| words(&seen))
                })
                .await
            }
            Expectation::Forwarding { on, is } => {
                self.expect_state(on, |state| {
                    let seen = &state.forwarding;
                    (seen == is).then_some(()).ok_or_else(|| or_nothing(seen.as_ref()))
                })
                .await
            }
            Expectation::Banner { on, is } => {
                self.each_phone(on, |phone, seen| {
                    let banner =
                        seen.shown.presence.and_then(|presence| presence.banner).map(|it| it.number.to_string());
                    (banner == *is).then_some(()).ok_or_else(|| format!("{} shows {}", phone.key, or_nothing(banner)))
                })
                .await
            }
            Expectation::Rings { on, call } => {
                let id = self.call(call)?;
                self.each_phone(on, |phone, seen| {
                    let rings = rings(&seen.shown, &id);
                    let why = || format!("{} does not ring: {}", phone.key, self.why(phone, &seen.log, &id));
                    rings.then_some(()).ok_or_else(why)
                })
                .await
            }
            Expectation::Silent { on, call, because, decided_by } => {
                let id = self.call(call)?;
                self.each_phone(on, |phone, Seen { shown, log, .. }| {
                    if rings(&shown, &id) {
                        return Err(format!("{} rings", phone.key));
                    }
                    let by_phone = last_silence(&log, &id) == Some(*because);
                    let by_server = self.not_pushed(phone, &id) == Some(*because);
                    let held = match decided_by {
                        Some(Decider::Phone) => by_phone,
                        Some(Decider::Server) => by_server,
                        None => by_phone || by_server,
                    };
                    held.then_some(()).ok_or_else(|| format!("{}: {}", phone.key, self.why(phone, &log, &id)))
                })
                .await
            }
            Expectation::PushWaits { on, call } => {
                let id = self.call(call)?;
                self.each_phone(on, |phone, _| {
                    phone.has_waiting(&id).then_some(()).ok_or_else(|| format!("no push waits for {}", phone.key))
                })
                .await
            }
            Expectation::Ignored { on, call, because } => {
                let id = self.call(call)?;
                self.each_phone(on, |phone, Seen { log, .. }| {
                    let held = last_silence(&log, &id) == Some(*because);
                    held.then_some(()).ok_or_else(|| format!("{}: {}", phone.key, self.why(phone, &log, &id)))
                })
                .await
            }
            Expectation::Stopped { on, call, because } => {
                let id = self.call(call)?;
                self.each_phone(on, |phone, Seen { shown, log, stopped }| {
                    if rings(&shown, &id) {
                        return Err(format!("{} still rings", phone.key));
                    }
                    let logged = log.iter().rev().find_map(|entry| match entry {
                        RingLogEntry::Stopped { call_id, why, .. } if *call_id == id => Some(*why),
                        RingLogEntry::Stopped { .. } | RingLogEntry::Decided { .. } => None,
                    });
                    // The call UI stops when it is told, not when the log says so.
                    let told = stopped.iter().rev().find(|stopped| stopped.call_id == id).map(|stopped| stopped.why);
                    let held = logged == Some(*because) && told == logged;
                    let why = || {
                        let (logged, told) = (logged.map(|why| words(&why)), told.map(|why| words(&why)));
                        let (logged, told) = (or_nothing(logged), or_nothing(told));
                        format!("{}: its log says {logged}, its call UI was told {told}", phone.key)
                    };
                    held.then_some(()).ok_or_else(why)
                })
                .await
            }
            Expectation::InCall { on, call } => {
                let id = self.call(call)?;
                self.each_phone(&Places::One(on.clone()), |phone, seen| {
                    let in_call = seen.shown.calls.in_call.map(|call| call.call_id);
                    let held = in_call.as_ref() == Some(&id);
                    held.then_some(()).ok_or_else(|| format!("{} is in {}", phone.key, or_nothing(in_call)))
                })
                .await
            }
            Expectation::Call { call, is, back } => {
                let id = self.call(call)?;
                let deadline = Instant::now() + PATIENCE;
                loop {
                    let report = self.world.operator.call_report(&id).ok_or("the server knows no such call")?;
                    let seen = call_is(&report.call.state);
                    if (seen, report.given_back) == (Some(*is), *back) {
                        return Ok(());
                    }
                    let back = report.given_back.map(|why| why.explain());
                    let trouble = format!("it is {}, given back: {}", words(&seen), or_nothing(back));
                    self.patience(deadline, trouble).await?;
                }
            }
            Expectation::Told { on, says } => {
                self.each_phone(on, |phone, seen| {
                    let notices = seen.shown.presence.map(|presence| presence.notices).unwrap_or_default();
                    let held = match says {
                        Some(says) => notices.iter().any(|notice| notice.contains(says.as_str())),
                        None => notices.is_empty(),
                    };
                    held.then_some(()).ok_or_else(|| format!("{} says “{}”", phone.key, notices.join(" ")))
                })
                .await
            }
            Expectation::Superseded { on, says } => {
                self.each_phone(&Places::One(on.clone()), |phone, seen| {
                    let told = seen.shown.presence.and_then(|presence| presence.superseded).map(|it| it.why);
                    let held = told.as_deref().is_some_and(|told| told.contains(says.as_str()));
                    held.then_some(()).ok_or_else(|| format!("{} says {}", phone.key, or_nothing(told)))
                })
                .await
            }
            Expectation::Refreshes { who, exactly } => {
                let seen = self.world.operator.refresh_count(who).map_err(text)?;
                (seen == *exactly).then_some(()).ok_or_else(|| format!("{seen} refreshes were asked for"))
            }
            Expectation::SignedInAt { on, are } => {
                self.each_phone(on, |phone, seen| {
                    let presence = seen.shown.presence.ok_or_else(|| format!("{} knows no state", phone.key))?;
                    let places: Vec<String> = presence.sign_ins.iter().map(|it| self.place_of(it)).collect();
                    (places == *are).then_some(()).ok_or_else(|| format!("{} shows {}", phone.key, places.join(", ")))
                })
                .await
            }
            Expectation::Link { on, is } => {
                self.each_phone(on, |phone, Seen { shown: AppState { link, .. }, .. }| {
                    (link == *is).then_some(()).ok_or_else(|| format!("{} is {}", phone.key, words(&link)))
                })
                .await
            }
        }
    }

    async fn expect_session(&self, place: &str, is: SessionIs, says: Option<&str>) -> Result {
        if let Some((browser, surface, _)) = self.world.surface(place) {
            let session = browser.session(surface).await?;
            return match (is, session.signed_in) {
                (SessionIs::SignedIn, true) | (SessionIs::SignedOut, false) => Ok(()),
                (_, signed_in) => Err(format!(
                    "{place}: signed in is {signed_in}{}",
                    session.agent.map(|agent| format!(" as {}", agent.email)).unwrap_or_default()
                )),
            };
        }
        self.each_phone(&Places::One(place.to_owned()), |phone, Seen { shown: AppState { session, .. }, .. }| {
            let (held, told) = match (&session, is) {
                (SessionState::SignedIn { health: SessionHealth::Offline, .. }, SessionIs::Offline)
                | (SessionState::SigningIn { .. }, SessionIs::SigningIn) => (true, None),
                (SessionState::SignedIn { .. }, SessionIs::SignedIn) => (true, None),
                (SessionState::SignedOut { message, .. }, SessionIs::SignedOut) => (true, message.as_deref()),
                (SessionState::ReauthRequired { message, .. }, SessionIs::ReauthRequired) => {
                    (true, Some(message.as_str()))
                }
                _ => (false, None),
            };
            let said = says.is_none_or(|says| told.is_some_and(|told| told.contains(says)));
            if held && said { Ok(()) } else { Err(format!("{}: {}", phone.key, words(&session))) }
        })
        .await
    }

    /// A state that a surface or a phone shows.
    async fn expect_state(&self, on: &Places, check: impl Fn(&StateShown) -> Result) -> Result {
        for place in on.iter() {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let state = match self.world.surface(place) {
                    Some((browser, surface, _)) => browser.state(surface).await?.as_ref().map(StateShown::from),
                    None => {
                        let seen = self.phone(place)?.seen().await.map_err(text)?;
                        seen.shown.presence.as_ref().map(StateShown::from)
                    }
                };
                let trouble = match state {
                    Some(state) => match check(&state) {
                        Ok(()) => break,
                        Err(seen) => format!("{place} shows {seen} at {}", state.version),
                    },
                    None => format!("{place} shows no state"),
                };
                self.patience(deadline, trouble).await?;
            }
        }
        Ok(())
    }

    fn not_pushed(&self, phone: &LabPhone, call: &CallId) -> Option<Silence> {
        let report = self.world.operator.call_report(call)?;
        let device = phone.device()?;
        let ring = report.devices.iter().find(|ring| ring.device == device)?;
        match ring.outcome {
            RingOutcome::Pushed => None,
            RingOutcome::NotPushed(why) => Some(match why {
                CannotRing::ForwardingActive => Silence::ForwardingActive,
                CannotRing::NotAvailable => Silence::NotAvailable,
                CannotRing::InAnotherCall => Silence::InAnotherCall,
                CannotRing::NoPushToken | CannotRing::Unknown => Silence::DeviceNotRegistered,
            }),
        }
    }

    fn why(&self, phone: &LabPhone, log: &[RingLogEntry], call: &CallId) -> String {
        let phone_says = last_silence(log, call).map_or("it decided nothing", Silence::explain);
        match self.not_pushed(phone, call) {
            Some(why) => format!("the server did not push: {}", why.explain()),
            None => format!("the server pushed; {phone_says}"),
        }
    }
}

/// Why a phone last decided to be silent for a call that began.
fn last_silence(log: &[RingLogEntry], call: &CallId) -> Option<Silence> {
    log.iter().rev().find_map(|entry| match entry {
        RingLogEntry::Decided { decision, .. } if decision.call_id == *call => decision.silence,
        RingLogEntry::Decided { .. } | RingLogEntry::Stopped { .. } => None,
    })
}

fn or_nothing(text: Option<impl std::fmt::Display>) -> String {
    text.map_or_else(|| "nothing".to_owned(), |text| text.to_string())
}

/// Where a call is, by the server's word for it.
fn call_is(state: &CallState) -> Option<CallIs> {
    match state {
        CallState::Ringing => Some(CallIs::Ringing),
        CallState::Offered => Some(CallIs::Offered),
        CallState::Answered { by: Surface::Forwarded } => Some(CallIs::AtTheNumber),
        CallState::Answered { .. } => Some(CallIs::Answered),
        CallState::Ended => Some(CallIs::Ended),
        CallState::Unknown => None,
    }
}

fn rings(shown: &AppState, call: &CallId) -> bool {
    shown.calls.ringing.iter().any(|ringing| ringing.call_id == *call)
}

/// What phones and browsers show alike.
struct StateShown {
    version: String,
    availability: Availability,
    effective: Effective,
    forwarding: Option<String>,
}

impl From<&Snapshot> for StateShown {
    fn from(state: &Snapshot) -> Self {
        let presence = &state.presence;
        Self {
            version: state.version.to_string(),
            availability: presence.availability,
            effective: presence.effective,
            forwarding: presence.forwarding.number.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&PresenceState> for StateShown {
    fn from(presence: &PresenceState) -> Self {
        Self {
            version: presence.version.clone(),
            availability: presence.availability,
            effective: presence.effective,
            forwarding: presence.forwarding.as_ref().map(|to| to.number.to_string()),
        }
    }
}
