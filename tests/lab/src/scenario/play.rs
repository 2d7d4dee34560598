//! Plays a scenario in a world of its own, and writes what happened so that a person can read it.

use hookswitch::wire::UnixMillis;
use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use hookswitch::{
    machine::{
        Silence,
        view::{AppState, PresenceState, RingLogEntry, SessionHealth, SessionState},
    },
    wire::{Availability, CallId, CannotRing, Effective, PhoneNumber, SessionId, SignIn, SignInKind, Snapshot},
};

use hookswitch_backend::{FaultPlan, RingOutcome};

use super::schema::{Action, Code, Decider, Expectation, Places, Scenario, SessionIs, Step};
use crate::{
    browser::{Browser, Credentials, Loaded, Page},
    phone::{APP_REDIRECT, Phone, Seen},
    timeline::Kind,
    world::{Setup, Surroundings, World},
};

/// How a wait passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// All clocks are moved.
    Virtual,
    /// Somebody waits.
    Real,
}

/// How a scenario ended.
pub struct Outcome {
    /// Whether all expectations held.
    pub held: bool,
    /// What happened, for a person.
    pub transcript: String,
}

/// An expectation must hold within this time: real work is done on loopback meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays a scenario.
pub async fn play(scenario: &Scenario, time: Time, surroundings: &Surroundings) -> Outcome {
    let mut transcript = format!("# {}\n", scenario.title);
    if let Some(story) = &scenario.story {
        let _ = writeln!(transcript, "  {story}");
    }
    let started = Instant::now();
    let held = match Player::new(time, surroundings.clone()).await {
        Ok(mut player) => {
            let held = player.play(scenario, &mut transcript).await;
            player.world.end().await;
            held
        }
        Err(trouble) => {
            let _ = writeln!(transcript, "  the world could not be built: {trouble}");
            false
        }
    };
    let verdict = if held { "held" } else { "FAILED" };
    let _ = writeln!(transcript, "{verdict}: {} ({} ms)", scenario.title, started.elapsed().as_millis());
    Outcome { held, transcript }
}

struct Player {
    world: Arc<World>,
    time: Time,
    calls: HashMap<String, CallId>,
    /// Where the browser stands, by surface.
    pages: HashMap<String, Page>,
    /// The sign-in pages that were minimised, by phone.
    minimised: HashMap<String, (Browser, Loaded)>,
    seen: u64,
    /// Keeps the phones' folders until the end.
    _folder: tempfile::TempDir,
}

type Result<T = (), E = String> = std::result::Result<T, E>;

impl Player {
    async fn new(time: Time, surroundings: Surroundings) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let setup = Setup { cheap_passwords: true, surroundings, ..Setup::default() };
        let world = World::start(folder.path(), setup).await?;
        Ok(Self {
            world,
            time,
            calls: HashMap::new(),
            pages: HashMap::new(),
            minimised: HashMap::new(),
            seen: 0,
            _folder: folder,
        })
    }

    async fn play(&mut self, scenario: &Scenario, transcript: &mut String) -> bool {
        for located in &scenario.steps {
            let result = match &located.step {
                Step::Do(action) => {
                    let _ = writeln!(transcript, "\n> {}", describe_action(action));
                    self.act(action).await
                }
                Step::Expect(expectation) => self.expect(expectation).await,
            };
            let result = self.nobody_broke().and(result);
            self.tell_what_happened(transcript);
            match (&located.step, result) {
                (Step::Do(_), Ok(())) => {}
                (Step::Expect(expectation), Ok(())) => {
                    let _ = writeln!(transcript, "  ✓ {}", describe_expectation(expectation));
                }
                (step, Err(trouble)) => {
                    let what = match step {
                        Step::Do(_) => "this could not be done".to_owned(),
                        Step::Expect(expectation) => describe_expectation(expectation),
                    };
                    let _ = writeln!(transcript, "  ✗ line {}: {what}\n    {trouble}", located.line);
                    self.keep_machine_transcripts(transcript).await;
                    return false;
                }
            }
        }
        true
    }

    /// The phones' own transcripts replay what they did; kept where a developer finds them.
    async fn keep_machine_transcripts(&self, transcript: &mut String) {
        for phone in &self.world.phones {
            let Ok(text) = phone.transcript().await else { continue };
            let path = std::env::temp_dir().join(format!("hookswitch-{}-{}.jsonl", phone.key, std::process::id()));
            if std::fs::write(&path, text).is_ok() {
                let _ = writeln!(transcript, "    transcript of {}: {}", phone.key, path.display());
            }
        }
    }

    fn tell_what_happened(&mut self, transcript: &mut String) {
        for line in self.world.timeline.after(self.seen) {
            self.seen = line.n;
            let _ = writeln!(transcript, "  {:<10} {:<8} {}", line.who, line.kind.name(), line.text);
        }
    }

    // ---- doing -------------------------------------------------------------------------------------------------

    async fn act(&mut self, action: &Action) -> Result {
        match action {
            Action::SignIn { on, who, password, with, code, fails } => {
                let result = self.sign_in(on, who, password.as_deref(), *with, code).await;
                as_expected(result, fails.as_deref())
            }
            Action::BeginSignIn { on } => {
                let url = self.phone(on)?.begin_login(APP_REDIRECT).await.map_err(text)?;
                let browser = self.world.phone_browser()?;
                let page = browser.load(&url).await?;
                self.minimised.insert(on.clone(), (browser, page));
                Ok(())
            }
            Action::FinishSignIn { on, who, fails } => {
                let (browser, page) = self.minimised.remove(on).ok_or("no sign-in was begun there")?;
                let page = browser.continue_sign_in(page, &self.credentials(who, None)?).await?;
                as_expected(self.back_to_app(on, page).await, fails.as_deref())
            }
            Action::OpenRedirect { on, address, fails } => {
                as_expected(self.phone(on)?.finish_login(address).await.map_err(text), fails.as_deref())
            }
            Action::Open { on } => {
                let (browser, _, path) = self.world.surface(on).ok_or_else(|| unknown(on))?;
                let page = browser.open(path).await?;
                self.world.timeline.add(on, Kind::Event, format!("the page shows: {}", page.name()));
                self.pages.insert(on.clone(), page);
                Ok(())
            }
            Action::SignOut { on } => match self.world.surface(on) {
                Some((browser, surface, _)) => browser.sign_out(surface).await,
                None => self.phone(on)?.sign_out().await.map_err(text),
            },
            Action::SignOutEverywhere { on, fails } => {
                as_expected(self.phone(on)?.sign_out_everywhere().await.map_err(text), fails.as_deref())
            }
            Action::Availability { on, to, fails } => {
                let result = match self.world.surface(on) {
                    Some((browser, surface, _)) => browser.set_availability(surface, *to).await,
                    None => self.phone(on)?.set_availability(*to).await.map_err(text),
                };
                as_expected(result, fails.as_deref())
            }
            Action::Tap { on, to } => {
                let (phone, to) = (Arc::clone(self.phone(on)?), *to);
                tokio::spawn(async move { phone.set_availability(to).await });
                self.each_phone(&Places::One(on.clone()), |_, seen| {
                    let presence = seen.shown.presence.ok_or("no state is known")?;
                    let taken = !presence.pending.is_empty() || presence.superseded.is_some();
                    taken.then_some(()).ok_or_else(|| "the tap is not pending".into())
                })
                .await
            }
            Action::Forward { on, to, for_seconds, fails } => {
                let until = for_seconds.map(|seconds| UnixMillis(self.world.clock.now()) + i64::from(seconds) * 1_000);
                let result = match self.world.surface(on) {
                    Some((browser, surface, _)) => browser.set_forwarding(surface, to.clone(), until).await,
                    None => self.phone(on)?.set_forwarding(to.clone(), until).await.map_err(text),
                };
                as_expected(result, fails.as_deref())
            }
            Action::VerifyNumbers { is } => {
                self.world.operator.set_verify_forwarding(*is);
                Ok(())
            }
            Action::SendCode { on, to, by, fails } => {
                as_expected(self.phone(on)?.send_code(to.clone(), *by).await.map_err(text), fails.as_deref())
            }
            Action::EnterCode { on, to, code, fails } => {
                let number: PhoneNumber = to.parse().map_err(text)?;
                let code = match code {
                    Code::Given(code) => code.clone(),
                    Code::Current => self.code_at(&number)?,
                };
                let entered = self.phone(on)?.verify_number(number.to_string(), code).await;
                as_expected(entered.map_err(text), fails.as_deref())
            }
            Action::EndSession { on, of, fails } => {
                let session = self.session_of(on, of)?;
                as_expected(self.phone(on)?.end_session(session).await.map_err(text), fails.as_deref())
            }
            Action::RemoveDevice { device, who } => {
                let device = self.phone(device)?.device().ok_or("that phone was never started")?;
                self.world.operator.remove_device(who, device).map_err(text)
            }
            Action::IncomingCall { call, who, from, name } => {
                let from = from.as_deref().map(str::parse::<PhoneNumber>).transpose().map_err(text)?;
                let report = self.world.operator.incoming_call(who, from, name.clone()).map_err(text)?;
                self.world.timeline.add("server", Kind::Event, describe_report(&report));
                self.calls.insert(call.clone(), report.call.call_id);
                Ok(())
            }
            Action::Answer { on, call, fails } => {
                let id = self.call(call)?;
                let result = match self.world.surface(on) {
                    Some((browser, surface, _)) => browser.answer(surface, &id).await,
                    None => self.phone(on)?.answer(id).await.map_err(text),
                };
                as_expected(result, fails.as_deref())
            }
            Action::Decline { on, call } => self.phone(on)?.decline(self.call(call)?).await.map_err(text),
            Action::HangUp { on, call } => {
                let id = self.call(call)?;
                match (on.as_str(), self.world.surface(on)) {
                    ("caller", _) => self.world.operator.hang_up(&id).map_err(text),
                    (_, Some((browser, surface, _))) => browser.hang_up(surface, &id).await,
                    (_, None) => self.phone(on)?.hang_up(id).await.map_err(text),
                }
            }
            Action::PushAgain { on, call } => {
                let id = self.call(call)?;
                let phone = self.phone(on)?;
                let sent = self.world.operator.outbox_since(0).map_err(text)?;
                let push = sent
                    .into_iter()
                    .find(|entry| entry.payload.call_id == id && Some(&entry.device) == phone.device().as_ref())
                    .ok_or("no push was sent for this call")?;
                phone.deliver(push.payload).await.map_err(text)
            }
            Action::HoldPushes { on, is } => self.phone(on)?.hold_pushes(*is).await.map_err(text),
            Action::Network { on, up } => self.phone(on)?.set_network(*up).await.map_err(text),
            Action::Kill { on } => {
                // At a quiet moment: what a kill in the middle of something does is `prove kill`'s question.
                let phone = self.phone(on)?;
                phone.saved().await.map_err(text)?;
                phone.kill().await;
                Ok(())
            }
            Action::Start { on } => self.phone(on)?.start(true).await.map_err(text),
            Action::Foreground { on } => self.phone(on)?.set_foreground(true).await.map_err(text),
            Action::Background { on } => self.phone(on)?.set_foreground(false).await.map_err(text),
            Action::Clock { on, ahead_seconds } => {
                self.phone(on)?.set_clock(ahead_seconds.saturating_mul(1_000)).await.map_err(text)
            }
            Action::Wait { seconds } => match self.time {
                Time::Virtual => self.world.advance(i64::from(*seconds) * 1_000).await.map_err(text),
                Time::Real => {
                    tokio::time::sleep(Duration::from_secs(u64::from(*seconds))).await;
                    Ok(())
                }
            },
            Action::ExpireToken { on, who } => self.world.expire_token(self.phone(on)?, who).map_err(text),
            Action::Repair { on } => self.phone(on)?.repair().await.map_err(text),
            Action::Revoke { who, reason } => self.world.operator.revoke_sessions(who, *reason).map_err(text),
            Action::OldServer { is } => {
                self.world.operator.set_old_server(*is);
                Ok(())
            }
            Action::RestoreBackup {} => self.world.operator.restore_from_backup().map_err(text),
            Action::NoFaults {} => {
                self.world.operator.clear_faults();
                Ok(())
            }
            Action::Fault { at, is, times } => {
                self.world.operator.inject(FaultPlan::new(*at, (*is).into()).times(*times));
                Ok(())
            }
        }
    }

    async fn sign_in(
        &mut self,
        on: &str,
        who: &str,
        password: Option<&str>,
        with: crate::browser::Method,
        code: &Code,
    ) -> Result {
        let mut credentials = self.credentials(who, password)?;
        credentials.method = with;
        if let Code::Given(code) = code {
            credentials.code = Some(code.clone());
        }
        let Some((browser, surface, path)) = self.world.surface(on) else {
            let url = self.phone(on)?.begin_login(APP_REDIRECT).await.map_err(text)?;
            return self.finish_sign_in(on, &url, &credentials).await;
        };
        let page = browser.sign_in(path, &credentials).await?;
        let complaint = page.complaint();
        self.world.timeline.add(on, Kind::Event, format!("the page shows: {}", page.name()));
        self.pages.insert(on.to_owned(), page);
        if let Some(complaint) = complaint {
            return Err(complaint);
        }
        let session = browser.session(surface).await?;
        if session.signed_in { Ok(()) } else { Err("the page asks to sign in".into()) }
    }

    /// Walks a phone's sign-in page, in a browser of its own, and brings the redirect back to the app.
    async fn finish_sign_in(&self, on: &str, url: &str, who: &Credentials) -> Result {
        let page = self.world.phone_browser()?.sign_in(url, who).await?;
        self.back_to_app(on, page).await
    }

    async fn back_to_app(&self, on: &str, page: Page) -> Result {
        let Page::App { redirect } = page else {
            return Err(page.complaint().unwrap_or_else(|| format!("the browser stands on {}", page.name())));
        };
        self.phone(on)?.finish_login(&redirect).await.map_err(text)?;
        self.registered(on).await
    }

    /// Signed in means that calls can reach the phone: the server lists it with its push token.
    async fn registered(&self, on: &str) -> Result {
        let places = Places::One(on.to_owned());
        self.each_phone(&places, |phone, seen| {
            let presence = seen.shown.presence.ok_or_else(|| format!("{} knows no state", phone.key))?;
            let listed = presence.devices.iter().find(|device| Some(&device.id) == phone.device().as_ref());
            let reachable = listed.is_some_and(|device| device.cannot_ring != Some(CannotRing::NoPushToken));
            reachable.then_some(()).ok_or_else(|| format!("{} is not registered", phone.key))
        })
        .await
    }

    fn credentials(&self, who: &str, password: Option<&str>) -> Result<Credentials> {
        let agent =
            self.world.agents.iter().find(|agent| agent.email == who).ok_or_else(|| format!("nobody is {who}"))?;
        Ok(Credentials {
            email: who.to_owned(),
            password: password.unwrap_or(&agent.password).to_owned(),
            method: crate::browser::Method::Password,
            code: self.world.operator.totp_code(who),
        })
    }

    fn phone(&self, key: &str) -> Result<&Arc<Phone>> {
        self.world.phone(key).ok_or_else(|| unknown(key))
    }

    fn call(&self, name: &str) -> Result<CallId> {
        self.calls.get(name).cloned().ok_or_else(|| format!("there was no call {name:?}"))
    }

    // ---- seeing ------------------------------------------------------------------------------------------------

    async fn expect(&self, expectation: &Expectation) -> Result {
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
                    (seen == *is).then_some(()).ok_or_else(|| format!("{seen:?}"))
                })
                .await
            }
            Expectation::Effective { on, is } => {
                self.expect_state(on, |state| {
                    let seen = state.effective;
                    (seen == *is).then_some(()).ok_or_else(|| format!("{seen:?}"))
                })
                .await
            }
            Expectation::Forwarding { on, is } => {
                self.expect_state(on, |state| {
                    let seen = &state.forwarding;
                    (seen == is).then_some(()).ok_or_else(|| format!("{seen:?}"))
                })
                .await
            }
            Expectation::Banner { on, is } => {
                self.each_phone(on, |phone, seen| {
                    let banner =
                        seen.shown.presence.and_then(|presence| presence.banner).map(|it| it.number.to_string());
                    (banner == *is).then_some(()).ok_or_else(|| format!("{} shows {banner:?}", phone.key))
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
                    let why = || format!("{}: its log says {logged:?}, its call UI was told {told:?}", phone.key);
                    held.then_some(()).ok_or_else(why)
                })
                .await
            }
            Expectation::InCall { on, call } => {
                let id = self.call(call)?;
                self.each_phone(&Places::One(on.clone()), |phone, seen| {
                    let in_call = seen.shown.calls.in_call.map(|call| call.call_id);
                    let held = in_call.as_ref() == Some(&id);
                    held.then_some(()).ok_or_else(|| format!("{} is in {in_call:?}", phone.key))
                })
                .await
            }
            Expectation::Superseded { on, says } => {
                self.each_phone(&Places::One(on.clone()), |phone, seen| {
                    let told = seen.shown.presence.and_then(|presence| presence.superseded).map(|it| it.why);
                    let held = told.as_deref().is_some_and(|told| told.contains(says.as_str()));
                    held.then_some(()).ok_or_else(|| format!("{} says {told:?}", phone.key))
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
                    (places == *are).then_some(()).ok_or_else(|| format!("{} shows {places:?}", phone.key))
                })
                .await
            }
            Expectation::Link { on, is } => {
                self.each_phone(on, |phone, Seen { shown: AppState { link, .. }, .. }| {
                    (link == *is).then_some(()).ok_or_else(|| format!("{} is {link:?}", phone.key))
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
            if held && said { Ok(()) } else { Err(format!("{}: {session:?}", phone.key)) }
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

    /// Waits until each of these phones shows it.
    async fn each_phone(&self, on: &Places, check: impl Fn(&Phone, Seen) -> Result) -> Result {
        for place in on.iter() {
            let phone = self.phone(place)?;
            let deadline = Instant::now() + PATIENCE;
            loop {
                let checked = phone.seen().await.map_err(text).and_then(|seen| check(phone, seen));
                match checked {
                    Ok(()) => break,
                    Err(trouble) => self.patience(deadline, trouble).await?,
                }
            }
        }
        Ok(())
    }

    /// A phone that does what no phone does proves nothing.
    fn nobody_broke(&self) -> Result {
        let broken = self.world.phones.iter().find_map(|phone| Some(format!("{}: {}", phone.key, phone.broken()?)));
        broken.map_or(Ok(()), Err)
    }

    /// Waits for the next change in the world, or gives up with the last trouble.
    async fn patience(&self, deadline: Instant, trouble: String) -> Result {
        self.nobody_broke()?;
        let left = deadline.checked_duration_since(Instant::now()).ok_or(trouble)?;
        let mut changes = self.world.timeline.changes();
        // Not every change of the server has a line of its own.
        let look_again = left.min(Duration::from_millis(20));
        let _ = tokio::time::timeout(look_again, changes.changed()).await;
        Ok(())
    }

    /// What somebody at this number has read or heard last.
    fn code_at(&self, number: &PhoneNumber) -> Result<String> {
        let messages = self.world.operator.carrier_messages();
        let last = messages.into_iter().rev().find(|message| message.to == *number).ok_or("no code was sent there")?;
        Ok(last.text.chars().filter(char::is_ascii_digit).collect())
    }

    /// The place of a session: a phone, `browser` or `desktop`.
    fn place_of(&self, session: &SignIn) -> String {
        match session.kind {
            SignInKind::Browser => "browser".into(),
            SignInKind::Desktop => "desktop".into(),
            SignInKind::Mobile => {
                let phone = self.world.phones.iter().find(|phone| phone.device() == session.device);
                phone.map_or_else(|| "a phone".into(), |phone| phone.key.to_owned())
            }
        }
    }

    fn session_of(&self, on: &str, place: &str) -> Result<SessionId> {
        let presence = self.phone(on)?.shown().and_then(|shown| shown.presence).ok_or("no state is known")?;
        let found = presence.sign_ins.into_iter().find(|it| self.place_of(it) == place);
        found.map(|it| it.id).ok_or_else(|| format!("{on} shows no session on {place}"))
    }

    fn not_pushed(&self, phone: &Phone, call: &CallId) -> Option<Silence> {
        let report = self.world.operator.call_report(call)?;
        let device = phone.device()?;
        let ring = report.devices.iter().find(|ring| ring.device == device)?;
        match ring.outcome {
            RingOutcome::Pushed => None,
            RingOutcome::NotPushed(why) => Some(match why {
                CannotRing::ForwardingActive => Silence::ForwardingActive,
                CannotRing::NotAvailable => Silence::NotAvailable,
                CannotRing::InAnotherCall => Silence::InAnotherCall,
                CannotRing::NoPushToken => Silence::DeviceNotRegistered,
            }),
        }
    }

    fn why(&self, phone: &Phone, log: &[RingLogEntry], call: &CallId) -> String {
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

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn unknown(place: &str) -> String {
    format!("{place:?} is no place: web, dashboard, zendesk, salesforce, hubspot, desktop, iphone or android")
}

/// A step that must fail, must fail for the reason that it names.
fn as_expected(result: Result, fails: Option<&str>) -> Result {
    match (result, fails) {
        (Ok(()), None) => Ok(()),
        (Err(trouble), None) => Err(trouble),
        (Ok(()), Some(wanted)) => Err(format!("it worked, and should have failed with {wanted:?}")),
        (Err(trouble), Some(wanted)) if trouble.to_lowercase().contains(&wanted.to_lowercase()) => Ok(()),
        (Err(trouble), Some(wanted)) => Err(format!("it failed with {trouble:?} and not with {wanted:?}")),
    }
}

fn describe_report(report: &hookswitch_backend::CallReport) -> String {
    let from = report.call.from_name.clone().or_else(|| report.call.from.as_ref().map(PhoneNumber::to_string));
    let from = from.unwrap_or_else(|| "a withheld number".into());
    match (&report.forwarded_to, report.agent_was) {
        (Some(number), _) => format!("a call from {from} goes to {number}"),
        (None, Some(effective)) => format!("a call from {from}; the agent takes none: {effective:?}"),
        (None, None) => format!("a call from {from} rings"),
    }
}

fn describe_action(action: &Action) -> String {
    match action {
        Action::SignIn { on, who, with, fails, .. } => {
            let how = match with {
                crate::browser::Method::Password => "a password",
                crate::browser::Method::Google => "Google",
                crate::browser::Method::Sso => "SSO",
            };
            let fails = if fails.is_some() { "tries to sign in" } else { "signs in" };
            format!("{who} {fails} on {on} with {how}")
        }
        Action::BeginSignIn { on } => format!("a sign-in begins on {on}, and the browser is minimised"),
        Action::FinishSignIn { on, who, .. } => format!("{who} comes back to the sign-in page on {on}"),
        Action::OpenRedirect { on, address, .. } => format!("somebody opens {address} on {on}"),
        Action::Open { on } => format!("{on} is opened"),
        Action::SignOut { on } => format!("sign-out on {on}"),
        Action::SignOutEverywhere { on, .. } => format!("on {on}: sign out everywhere"),
        Action::Availability { on, to, .. } => format!("on {on}: {}", describe_availability(*to)),
        Action::Tap { on, to } => format!("on {on}, without waiting: {}", describe_availability(*to)),
        Action::Forward { on, to: Some(number), for_seconds: Some(seconds), .. } => {
            format!("on {on}: calls shall go to {number} for {seconds} s")
        }
        Action::Forward { on, to: Some(number), .. } => format!("on {on}: calls shall go to {number}"),
        Action::VerifyNumbers { is: true } => "numbers are to be verified".into(),
        Action::VerifyNumbers { is: false } => "any number will do".into(),
        Action::SendCode { on, to, .. } => format!("on {on}: a code, please, to {to}"),
        Action::EnterCode { on, to, .. } => format!("on {on}: the code that was read at {to}"),
        Action::EndSession { on, of, .. } => format!("on {on}: sign out on {of}"),
        Action::RemoveDevice { device, .. } => format!("an administrator takes {device} off the list"),
        Action::Forward { on, to: None, .. } => format!("on {on}: forwarding off"),
        Action::IncomingCall { call, who, .. } => format!("call {call} for {who}"),
        Action::Answer { on, call, .. } => format!("{on} answers call {call}"),
        Action::Decline { on, call } => format!("{on} declines call {call}"),
        Action::HangUp { on, call } => format!("{on} hangs up call {call}"),
        Action::PushAgain { on, call } => format!("the push of call {call} comes to {on} again"),
        Action::HoldPushes { on, is: true } => format!("the push service keeps what comes for {on}"),
        Action::HoldPushes { on, is: false } => format!("the push service delivers to {on} again"),
        Action::Network { on, up: true } => format!("{on} has a network again"),
        Action::Network { on, up: false } => format!("{on} loses its network"),
        Action::Kill { on } => format!("the app on {on} is killed"),
        Action::Start { on } => format!("the app on {on} is started"),
        Action::Foreground { on } => format!("the app on {on} comes to the foreground"),
        Action::Background { on } => format!("the app on {on} goes to the background"),
        Action::Clock { on, ahead_seconds } => format!("the clock of {on} is set {ahead_seconds} s ahead"),
        Action::Wait { seconds } => format!("{seconds} s pass"),
        Action::ExpireToken { on, .. } => format!("the access token of {on} expires"),
        Action::Repair { on } => format!("repair on {on}"),
        Action::Revoke { who, reason } => format!("an administrator ends the sessions of {who}: {reason:?}"),
        Action::OldServer { is: true } => "the server is an old one that pushes although calls are forwarded".into(),
        Action::OldServer { is: false } => "the server knows the ring rule again".into(),
        Action::RestoreBackup {} => "the server is restored from a backup".into(),
        Action::NoFaults {} => "all faults are mended".into(),
        Action::Fault { at, is, times } => format!("the next {times} at {at:?} will go wrong: {is:?}"),
    }
}

fn describe_availability(availability: Availability) -> String {
    use hookswitch::wire::{Availability, UnavailableReason};
    match availability {
        Availability::Available => "available",
        Availability::Automatic => "automatic",
        Availability::Unavailable { reason } => match reason {
            UnavailableReason::Other => "unavailable",
            UnavailableReason::BackOffice => "doing back office",
            UnavailableReason::InTraining => "in training",
            UnavailableReason::OnABreak => "on a break",
            UnavailableReason::OutForLunch => "out for lunch",
        },
    }
    .into()
}

fn describe_expectation(expectation: &Expectation) -> String {
    match expectation {
        Expectation::Session { on, is, .. } => format!("{on}: {is:?}"),
        Expectation::Page { on, is } => format!("{on} shows the page {is}"),
        Expectation::Availability { on, is } => format!("{on}: {}", describe_availability(*is)),
        Expectation::Effective { on, is } => format!("{on}: {is:?}"),
        Expectation::Forwarding { on, is: Some(number) } => format!("{on}: calls go to {number}"),
        Expectation::Forwarding { on, is: None } => format!("{on}: forwarding is off"),
        Expectation::Banner { on, is: Some(number) } => format!("{on}: a banner says that calls go to {number}"),
        Expectation::Banner { on, is: None } => format!("{on}: no banner"),
        Expectation::Rings { on, call } => format!("{on}: rings for call {call}"),
        Expectation::Silent { on, call, because, .. } => format!("{on}: silent for call {call}, {because:?}"),
        Expectation::PushWaits { on, call } => format!("{on}: the push of call {call} waits at the push service"),
        Expectation::Ignored { on, call, because } => format!("{on}: a push of call {call} is ignored, {because:?}"),
        Expectation::SignedInAt { on, are } => format!("{on}: signed in on {}", are.join(", ")),
        Expectation::Stopped { on, call, because } => {
            format!("{on}: does not ring for call {call} any more, {because:?}")
        }
        Expectation::InCall { on, call } => format!("{on}: in call {call}"),
        Expectation::Superseded { on, says } => format!("{on} says that a choice was not applied: {says}"),
        Expectation::Refreshes { exactly, .. } => format!("exactly {exactly} refreshes"),
        Expectation::Link { on, is } => format!("{on}: hears the server: {is:?}"),
    }
}
