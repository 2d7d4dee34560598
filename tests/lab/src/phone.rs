//! The lab's phone: an app with its own vault in its own folder, and what surrounds it: a cable, a clock, a push
//! service, a call UI, a system browser.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use hookswitch::{
    Hookswitch,
    machine::{
        AppState, CallAction, Failure, StopReason, Verdict,
        view::{Link, RingDecision, RingLogEntry, SessionState, StoppedCall},
    },
    ports::Http,
    wire::{Availability, CallId, CallPush, CodeBy, DeviceId, Platform, PushKind, SessionId, UnixMillis},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    app::{
        App, News,
        child::{Child, Program},
        here::Here,
        protocol::{AppConfig, Ask, Open},
        proxy::Proxy,
    },
    cable::{Cable, Sent},
    clock::PhoneClock,
    timeline::{Kind, Timeline},
    words::words,
};

/// The redirect URI of phones whose system browser is in the lab's page (RFC 8252, section 7.3).
pub(crate) fn loopback_redirect(lab: &str, key: &str) -> String {
    format!("{lab}/phones/{key}/callback")
}

/// The redirect URI of phones without a screen (RFC 8252, section 7.1).
pub(crate) const APP_REDIRECT: &str = "dev.hookswitch.agent:/callback";

/// One of the lab's phones; its app may run or not, here or as a process of its own.
pub(crate) struct LabPhone {
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) platform: Platform,
    pub(crate) cable: Cable,
    pub(crate) clock: PhoneClock,
    folder: PathBuf,
    issuer: String,
    timeline: Arc<Timeline>,
    runs: Runs,
    /// A person and a push may start the app at once; whoever is second finds it running.
    starting: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
    foreground: AtomicBool,
}

/// Where a phone's app runs.
enum Runs {
    InThisProcess,
    /// Each start is a new process of this program.
    As {
        program: Program,
        proxy: Proxy,
    },
}

#[derive(Default)]
struct Inner {
    app: Option<Running>,
    device: Option<DeviceId>,
    /// What the push service keeps.
    waiting: Vec<CallPush>,
    /// It is slow: it keeps everything.
    held: bool,
    /// The system browser is open at this address. It is another app: a kill of this one leaves it alone.
    login_url: Option<String>,
    /// What the app shows, by its version, and since when.
    shown_since: Option<(String, i64)>,
    /// Decisions of processes that are gone: a bench remembers more than a phone.
    past: Vec<RingLogEntry>,
    /// What the call UI was told: by the answers to pushes, and by the rings that must stop.
    decided: Vec<RingDecision>,
    stopped: Vec<StoppedCall>,
    /// What no phone does, and this one did.
    broken: Option<String>,
}

struct Running {
    app: Arc<App>,
    /// Goes with this value: whoever waits for an answer then waits no longer, and lets the app go, too.
    alive: watch::Sender<()>,
    /// Hears the app; ends with this value.
    _listener: JoinSet<()>,
}

/// What a phone shows, and all that it has decided.
pub(crate) struct Seen {
    pub(crate) shown: AppState,
    /// The phone's ring log, oldest first.
    pub(crate) log: Vec<RingLogEntry>,
    /// Calls that the call UI was told to stop.
    pub(crate) stopped: Vec<StoppedCall>,
}

impl LabPhone {
    /// `key` names the phone in scenarios and its folder in `folder`; `program`: its app is such a process.
    pub(crate) async fn new(
        (key, name, platform): (&'static str, &'static str, Platform),
        folder: &Path,
        issuer: &str,
        clock: PhoneClock,
        network: Arc<dyn Http>,
        timeline: Arc<Timeline>,
        program: Option<Program>,
    ) -> Result<Arc<Self>, String> {
        let (log, sent) = mpsc::unbounded_channel();
        let (trap, caught) = mpsc::unbounded_channel();
        let cable = Cable::new(network, log, trap);
        let runs = match program {
            Some(program) => {
                let proxy = Proxy::start(cable.clone(), issuer).await.map_err(|error| error.to_string())?;
                Runs::As { program, proxy }
            }
            None => Runs::InThisProcess,
        };
        let phone = Arc::new(Self {
            key,
            name,
            platform,
            cable,
            clock,
            folder: folder.join(key),
            issuer: issuer.to_owned(),
            timeline: Arc::clone(&timeline),
            runs,
            starting: tokio::sync::Mutex::default(),
            inner: Mutex::default(),
            foreground: AtomicBool::new(true),
        });
        tokio::spawn(note_requests(key, sent, timeline));
        tokio::spawn(kill_when_caught(Arc::downgrade(&phone), caught));
        Ok(phone)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The app, while it runs.
    fn app(&self) -> Result<Arc<App>, Failure> {
        let app = self.inner().app.as_ref().map(|running| Arc::clone(&running.app));
        app.ok_or_else(|| self.is_off())
    }

    async fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, Failure> {
        let (app, mut alive) = {
            let inner = self.inner();
            let running = inner.app.as_ref().ok_or_else(|| self.is_off())?;
            (Arc::clone(&running.app), running.alive.subscribe())
        };
        tokio::select! {
            biased;
            answer = app.ask(ask) => answer,
            _ = alive.changed() => Err(Failure::cancelled(format!("The app on {} was killed.", self.name))),
        }
    }

    fn is_off(&self) -> Failure {
        Failure::cancelled(format!("The app on {} does not run.", self.name))
    }

    /// The core itself, while the app runs in this process. For the lab's page.
    pub(crate) fn core(&self) -> Option<Arc<Hookswitch>> {
        self.app().ok()?.core().cloned()
    }

    pub(crate) fn is_on(&self) -> bool {
        self.inner().app.is_some()
    }

    pub(crate) fn is_foreground(&self) -> bool {
        self.foreground.load(Ordering::Relaxed)
    }

    pub(crate) fn device(&self) -> Option<DeviceId> {
        self.inner().device.clone()
    }

    pub(crate) fn login_url(&self) -> Option<String> {
        self.inner().login_url.clone()
    }

    /// Since when the app shows what it shows, in the lab's time; `None`: it shows no such version.
    pub(crate) fn shown_since(&self, version: &str) -> Option<i64> {
        self.inner().shown_since.as_ref().filter(|(shown, _)| shown == version).map(|(_, since)| *since)
    }

    /// Kills the app in its next refresh, when the server has answered and before the answer is heard; or does not.
    pub(crate) fn set_trap(&self, set: bool) {
        self.cable.set_trap(set);
        self.note(Kind::Fault, if set { "will be killed in its next refresh" } else { "will not be killed after all" });
    }

    /// What this phone did that no phone does: its process ended, or contradicted itself.
    pub(crate) fn broken(&self) -> Option<String> {
        self.inner().broken.clone()
    }

    fn is_broken(&self, how: impl Into<String>) {
        let how = how.into();
        self.note(Kind::Fault, how.clone());
        self.inner().broken.get_or_insert(how);
    }

    /// What the app's observer was told last.
    pub(crate) fn shown(&self) -> Option<AppState> {
        self.app().ok()?.shown()
    }

    /// All decisions on this bench, oldest first.
    pub(crate) async fn ring_log(&self) -> Vec<RingLogEntry> {
        let past = self.inner().past.clone();
        let now: Vec<RingLogEntry> = self.ask(Ask::RingLog).await.unwrap_or_default();
        [past, now].concat()
    }

    /// What the app shows, and all that it has decided.
    pub(crate) async fn seen(&self) -> Result<Seen, Failure> {
        let app = self.app()?;
        let (past, decided) = {
            let inner = self.inner();
            (inner.past.clone(), inner.decided.clone())
        };
        // An answer comes after what the observer was told before it.
        let log = [past, app.ask(Ask::RingLog).await?].concat();
        let shown = app.shown().ok_or_else(|| Failure::internal("The app has not said what it shows."))?;
        let is_logged = |decided: &RingDecision| {
            log.iter().any(|entry| match entry {
                // Who called is forgotten with the session.
                RingLogEntry::Decided { decision, .. } => {
                    let known = RingDecision { from: None, from_name: None, ..decided.clone() };
                    decision == decided || *decision == known
                }
                RingLogEntry::Stopped { .. } => false,
            })
        };
        if let Some(RingDecision { call_id, explanation, .. }) = decided.iter().find(|decided| !is_logged(decided)) {
            self.is_broken(format!("the ring log has no such decision on call {call_id}: {explanation}"));
        }
        Ok(Seen { shown, log, stopped: self.inner().stopped.clone() })
    }

    // ---- the process -------------------------------------------------------------------------------------------

    /// Starts the app's process: because somebody taps it, or because a push came.
    pub(crate) async fn start(self: &Arc<Self>, foreground: bool) -> Result<(), Failure> {
        let _alone = self.starting.lock().await;
        if self.is_on() {
            return Ok(());
        }
        let (news, told) = mpsc::unbounded_channel();
        let opened = match &self.runs {
            Runs::InThisProcess => {
                let cable = Arc::new(self.cable.clone());
                Here::open(self.config(), self.clock.clone(), cable, news).await.map(App::Here)
            }
            Runs::As { program, proxy } => {
                let proxy = proxy.address().to_owned();
                let open = Open { config: self.config(), proxy, clock: self.clock.after(0) };
                Child::open(program, open, news).await.map(App::Child)
            }
        };
        let app = Arc::new(opened.inspect_err(|failure| self.is_broken(format!("the app did not open: {failure}")))?);
        let device = app.device().clone();
        let mut listener = JoinSet::new();
        listener.spawn(listen(Arc::downgrade(self), told));
        {
            let mut inner = self.inner();
            inner.device = Some(device.clone());
            inner.app = Some(Running { app: Arc::clone(&app), alive: watch::Sender::new(()), _listener: listener });
        }
        self.foreground.store(foreground, Ordering::Relaxed);
        app.ask::<()>(Ask::Network { up: self.cable.is_up() }).await?;
        let token = format!("push-token-of-{}-{device}", self.key);
        app.ask::<()>(Ask::SetPushToken { token: Some(token) }).await?;
        if foreground {
            app.ask::<()>(Ask::Foreground).await?;
        }
        self.note(Kind::Event, if foreground { "the app was started" } else { "the app was started by a push" });
        Ok(())
    }

    fn config(&self) -> AppConfig {
        AppConfig {
            issuer: self.issuer.clone(),
            server: self.issuer.clone(),
            client_id: "hookswitch-mobile".into(),
            redirect_uris: vec![APP_REDIRECT.into(), format!("http://127.0.0.1/phones/{}/callback", self.key)],
            device_name: self.name.to_owned(),
            platform: self.platform,
            app_version: env!("CARGO_PKG_VERSION").into(),
            folder: self.folder.clone(),
            process: "app".into(),
        }
    }

    /// Kills the process: nothing is asked, nothing is saved.
    pub(crate) async fn kill(&self) {
        // Read by the bench, not said by the phone.
        let log: Vec<RingLogEntry> = self.ask(Ask::RingLog).await.unwrap_or_default();
        let running = {
            let mut inner = self.inner();
            inner.past.extend(log);
            inner.app.take()
        };
        if let Some(running) = running {
            running.app.kill().await;
        }
        self.note(Kind::Fault, "the app was killed");
    }

    fn note_changes(&self, before: Option<&AppState>, now: &AppState) {
        let session = describe_session(&now.session);
        if before.is_none_or(|before| describe_session(&before.session) != session) {
            self.note(Kind::Phone, session);
        }
        if before.is_none_or(|before| before.link != now.link) && now.link != Link::Off {
            self.note(Kind::Phone, format!("hears the server: {}", words(&now.link)));
        }
        let state = |shown: &AppState| {
            let state = shown.presence.as_ref()?;
            let forwarded = if state.forwarding.is_some() { ", calls forwarded" } else { "" };
            Some((state.version.clone(), format!("shows “{}{forwarded}”", words(&state.effective))))
        };
        if let Some((version, shows)) = state(now) {
            let last = before.and_then(state);
            if last.as_ref().is_none_or(|(last, _)| *last != version) {
                self.inner().shown_since = Some((version.clone(), self.timeline.now()));
                let still = if last.is_some_and(|(_, last)| last == shows) { "still " } else { "" };
                self.timeline.shows(self.key, format!("{still}{shows}"), version);
            }
        }
        self.timeline.touch();
    }

    // ---- what a person does in the app -------------------------------------------------------------------------

    /// Opens the system browser at the issuer's page.
    pub(crate) async fn begin_login(&self, redirect_uri: &str) -> Result<String, Failure> {
        let url: String = self.ask(Ask::BeginLogin { redirect_uri: redirect_uri.to_owned() }).await?;
        self.inner().login_url = Some(url.clone());
        self.note(Kind::Event, "the system browser opens the sign-in page");
        Ok(url)
    }

    /// The system browser came back to the app.
    pub(crate) async fn finish_login(self: &Arc<Self>, redirect: &str) -> Result<(), Failure> {
        // The redirect starts an app that was killed meanwhile.
        self.start(true).await?;
        let finished = self.ask(Ask::FinishLogin { redirect: redirect.to_owned() }).await;
        match &finished {
            Ok(()) => self.close_browser(),
            Err(failure) => self.note(Kind::Event, format!("the sign-in did not work: {failure}")),
        }
        finished
    }

    pub(crate) async fn cancel_login(&self) -> Result<(), Failure> {
        self.ask(Ask::CancelLogin).await
    }

    pub(crate) fn close_browser(&self) {
        self.inner().login_url = None;
        self.timeline.touch();
    }

    pub(crate) async fn sign_out(&self) -> Result<(), Failure> {
        self.ask(Ask::SignOut).await
    }

    pub(crate) async fn sign_out_everywhere(&self) -> Result<(), Failure> {
        self.ask(Ask::SignOutEverywhere).await
    }

    pub(crate) async fn repair(&self) -> Result<(), Failure> {
        let steps: Vec<String> = self.ask(Ask::Repair).await?;
        for step in steps {
            self.note(Kind::Event, step);
        }
        Ok(())
    }

    pub(crate) async fn set_availability(&self, to: Availability) -> Result<(), Failure> {
        self.ask(Ask::SetAvailability { to }).await
    }

    /// To a number as somebody typed it, until then; `None`: off.
    pub(crate) async fn set_forwarding(&self, to: Option<String>, until: Option<UnixMillis>) -> Result<(), Failure> {
        self.ask(Ask::SetForwarding { to, until }).await
    }

    pub(crate) async fn send_code(&self, to: String, by: CodeBy) -> Result<(), Failure> {
        self.ask(Ask::SendCode { to, by }).await
    }

    pub(crate) async fn verify_number(&self, to: String, code: String) -> Result<(), Failure> {
        self.ask(Ask::VerifyNumber { to, code }).await
    }

    pub(crate) async fn end_session(&self, session: SessionId) -> Result<(), Failure> {
        self.ask(Ask::EndSession { session }).await
    }

    pub(crate) async fn answer(&self, call_id: CallId) -> Result<(), Failure> {
        self.ask(Ask::Answer { call_id }).await
    }

    pub(crate) async fn decline(&self, call_id: CallId) -> Result<(), Failure> {
        self.ask(Ask::Decline { call_id }).await
    }

    pub(crate) async fn hang_up(&self, call_id: CallId) -> Result<(), Failure> {
        self.ask(Ask::HangUp { call_id }).await
    }

    // ---- what surrounds it -------------------------------------------------------------------------------------

    pub(crate) async fn set_network(self: &Arc<Self>, up: bool) -> Result<(), Failure> {
        self.cable.plug(up);
        self.note(Kind::Fault, if up { "the network is back" } else { "the network is cut" });
        if let Ok(app) = self.app() {
            app.ask::<()>(Ask::Network { up }).await?;
        }
        self.deliver_waiting().await
    }

    /// A slow push service keeps everything; one that is not slow any more delivers it.
    pub(crate) async fn hold_pushes(self: &Arc<Self>, held: bool) -> Result<(), Failure> {
        self.inner().held = held;
        self.note(Kind::Fault, if held { "the push service is slow" } else { "the push service catches up" });
        self.deliver_waiting().await
    }

    async fn deliver_waiting(self: &Arc<Self>) -> Result<(), Failure> {
        if !self.takes_pushes() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.inner().waiting);
        for push in waiting {
            self.deliver(push).await?;
        }
        Ok(())
    }

    /// Whether the push service keeps a push of this call.
    pub(crate) fn has_waiting(&self, call: &CallId) -> bool {
        self.inner().waiting.iter().any(|push| push.call_id == *call)
    }

    fn takes_pushes(&self) -> bool {
        self.cable.is_up() && !self.inner().held
    }

    pub(crate) async fn set_foreground(&self, foreground: bool) -> Result<(), Failure> {
        self.foreground.store(foreground, Ordering::Relaxed);
        if let Ok(app) = self.app() {
            app.ask::<()>(if foreground { Ask::Foreground } else { Ask::Background }).await?;
        }
        self.note(
            Kind::Event,
            if foreground { "the app comes to the foreground" } else { "the app goes to the background" },
        );
        Ok(())
    }

    /// Somebody sets the wall clock.
    pub(crate) async fn set_clock(&self, ahead_ms: i64) -> Result<(), Failure> {
        self.clock.set_skew(ahead_ms);
        self.note(Kind::Fault, format!("somebody sets the clock {} s ahead", ahead_ms / 1_000));
        self.tell_time(0).await
    }

    /// The lab's time has been moved, or is about to be moved by so much.
    pub(crate) async fn tell_time(&self, ahead_ms: i64) -> Result<(), Failure> {
        match self.app() {
            Ok(app) => app.clocks_moved(self.clock.after(ahead_ms)).await,
            Err(_) => Ok(()),
        }
    }

    /// All that the app knows is stored.
    pub(crate) async fn saved(&self) -> Result<(), Failure> {
        self.ask(Ask::Saved).await
    }

    pub(crate) async fn transcript(&self) -> Result<String, Failure> {
        self.ask(Ask::Transcript).await
    }

    /// A push arrives, or waits at the push service; an app that does not run is started by it.
    pub(crate) async fn deliver(self: &Arc<Self>, push: CallPush) -> Result<(), Failure> {
        if !self.takes_pushes() {
            let text = format!("{} waits at the push service", describe(&push));
            self.timeline.about(&push.call_id, self.key, Kind::Push, text);
            self.inner().waiting.push(push);
            return Ok(());
        }
        self.start(false).await?;
        let (kind, what, call) = (push.kind, describe(&push), push.call_id.clone());
        let decided: RingDecision = self.ask(Ask::Decide { push, must_report: true }).await?;
        match kind {
            PushKind::Incoming | PushKind::Unknown => {
                let text = format!("{} {}", decided.explanation, decided.action.explain());
                self.timeline.about(&call, self.key, Kind::Decision, text);
            }
            PushKind::AnsweredElsewhere | PushKind::Ended => {
                self.timeline.about(&call, self.key, Kind::Push, what);
            }
        }
        if decided.action != action_on(self.platform, &decided) {
            let (platform, action) = (words(&self.platform), decided.action.explain());
            self.is_broken(format!("not what must be done here, as {platform}: {action}"));
        }
        self.inner().decided.push(decided);
        Ok(())
    }

    pub(crate) fn note(&self, kind: Kind, text: impl Into<String>) {
        self.timeline.add(self.key, kind, text);
    }
}

/// Hears what the app says unasked, and writes it into the time line.
async fn listen(phone: Weak<LabPhone>, mut told: mpsc::UnboundedReceiver<News>) {
    let mut last = None;
    while let Some(news) = told.recv().await {
        let Some(phone) = phone.upgrade() else { return };
        match news {
            News::Shown(shown) => {
                phone.note_changes(last.as_deref(), &shown);
                last = Some(shown);
            }
            News::Stopped(stopped) => {
                let text = format!("stops ringing: {}", why_it_stopped(stopped.why));
                let call = stopped.call_id.clone();
                phone.inner().stopped.push(stopped);
                phone.timeline.about(&call, phone.key, Kind::Decision, text);
            }
            News::Ended(why) => phone.is_broken(format!("the app's process is gone: {why}")),
        }
    }
}

fn describe(push: &CallPush) -> String {
    let what = match push.kind {
        PushKind::Incoming => "a call push",
        PushKind::AnsweredElsewhere => "a push says that the call was answered elsewhere",
        PushKind::Ended => "a push says that the call is over",
        PushKind::Unknown => "a push says something new of a call",
    };
    format!("{what}{}", if push.forwarding_on { ", and that calls are forwarded" } else { "" })
}

/// What the call UI of such a phone must do about a decision. (In the lab every push must be reported.)
const fn action_on(platform: Platform, decided: &RingDecision) -> CallAction {
    let verdict = match decided.silence {
        None => Verdict::Ring { until: decided.expires_at, verify: false },
        Some(reason) => Verdict::Silence { reason },
    };
    CallAction::of(verdict, platform, true)
}

fn why_it_stopped(why: StopReason) -> &'static str {
    match why {
        StopReason::AnsweredHere => "it was answered here.",
        StopReason::DeclinedHere => "it was declined here.",
        StopReason::Silenced { reason } => reason.explain().trim_start_matches("Silent: "),
    }
}

async fn kill_when_caught(phone: Weak<LabPhone>, mut caught: mpsc::UnboundedReceiver<()>) {
    while caught.recv().await.is_some() {
        let Some(phone) = phone.upgrade() else { return };
        phone.kill().await;
        phone.note(Kind::Fault, "that was in the middle of a refresh: the new tokens never came");
    }
}

async fn note_requests(key: &'static str, mut sent: mpsc::UnboundedReceiver<Sent>, timeline: Arc<Timeline>) {
    while let Some(Sent { request, result }) = sent.recv().await {
        timeline.add(key, Kind::Request, format!("{request} → {result}"));
    }
}

fn describe_session(session: &SessionState) -> String {
    match session {
        SessionState::Loading => "reads its vault".into(),
        SessionState::Locked => "cannot read its key before the first unlock".into(),
        SessionState::SignedOut { message, .. } => message.as_deref().unwrap_or("nobody is signed in").into(),
        SessionState::SigningIn { completing: false } => "waits for the browser".into(),
        SessionState::SigningIn { completing: true } => "completes the sign-in".into(),
        SessionState::SignedIn { health, .. } => format!("signed in, {}", words(health)),
        SessionState::ReauthRequired { message, .. } => message.clone(),
        SessionState::SigningOut => "signs out".into(),
    }
}
