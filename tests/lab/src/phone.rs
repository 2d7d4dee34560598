//! A phone on the bench: a real core with its own vault in its own folder, and what surrounds it: a cable, a clock, a push
//! service, a call UI, a system browser.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use hookswitch::{
    Config, DeviceDescription, Hookswitch,
    machine::{
        Decision, Failure, IssuerProfile, RingEntry, Stopped, View,
        view::{LinkView, SessionView},
    },
    ports::{Http, Ports},
    store::KeyFile,
    wire::{CallId, CallPush, DeviceId, Platform, PushKind},
};
use tokio::{
    sync::{broadcast, mpsc},
    task::AbortHandle,
};

use crate::{
    cable::{Cable, Sent},
    clock::PhoneClock,
    timeline::{Kind, Timeline},
};

/// The redirect URI of phones whose system browser is in the lab's page (RFC 8252, section 7.3).
pub(crate) fn loopback_redirect(lab: &str, key: &str) -> String {
    format!("{lab}/phones/{key}/callback")
}

/// The redirect URI of phones without a screen (RFC 8252, section 7.1).
pub(crate) const APP_REDIRECT: &str = "dev.hookswitch.agent:/callback";

/// A phone.
pub(crate) struct Phone {
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) platform: Platform,
    pub(crate) cable: Cable,
    pub(crate) clock: PhoneClock,
    folder: PathBuf,
    issuer: String,
    timeline: Arc<Timeline>,
    inner: Mutex<Inner>,
    foreground: AtomicBool,
    tasks: Mutex<Vec<AbortHandle>>,
}

#[derive(Default)]
struct Inner {
    core: Option<Arc<Hookswitch>>,
    device: Option<DeviceId>,
    /// What the push service keeps.
    waiting: Vec<CallPush>,
    /// It is slow: it keeps everything.
    held: bool,
    /// The system browser is open at this address.
    login_url: Option<String>,
    /// Decisions of processes that are gone: a bench remembers more than a phone.
    past: Vec<RingEntry>,
}

impl Phone {
    /// `key` names the phone in scenarios and its folder in `folder`.
    pub(crate) fn new(
        (key, name, platform): (&'static str, &'static str, Platform),
        folder: &Path,
        issuer: &str,
        clock: PhoneClock,
        network: Arc<dyn Http>,
        timeline: Arc<Timeline>,
    ) -> Arc<Self> {
        let (log, sent) = mpsc::unbounded_channel();
        let phone = Arc::new(Self {
            key,
            name,
            platform,
            cable: Cable::new(network, log),
            clock,
            folder: folder.join(key),
            issuer: issuer.to_owned(),
            timeline: Arc::clone(&timeline),
            inner: Mutex::default(),
            foreground: AtomicBool::new(true),
            tasks: Mutex::default(),
        });
        tokio::spawn(note_requests(key, sent, timeline));
        phone
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The core, while the app runs.
    pub(crate) fn core(&self) -> Result<Arc<Hookswitch>, Failure> {
        let core = self.inner().core.clone();
        core.ok_or_else(|| Failure::cancelled(format!("The app on {} does not run.", self.name)))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.inner().core.is_some()
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

    pub(crate) fn view(&self) -> Option<View> {
        let core = self.inner().core.clone();
        core.map(|core| core.view())
    }

    /// All decisions on this bench, oldest first.
    pub(crate) fn ring_log(&self) -> Vec<RingEntry> {
        let (mut log, core) = {
            let inner = self.inner();
            (inner.past.clone(), inner.core.clone())
        };
        if let Some(core) = core {
            log.extend(core.ring_log());
        }
        log
    }

    // ---- the process -------------------------------------------------------------------------------------------

    /// Starts the app's process: because somebody taps it, or because a push came.
    pub(crate) async fn start(&self, foreground: bool) -> Result<Arc<Hookswitch>, Failure> {
        if let Ok(core) = self.core() {
            return Ok(core);
        }
        let config = Config {
            issuer: self.issuer.clone(),
            server: self.issuer.clone(),
            client_id: "hookswitch-mobile".into(),
            redirect_uris: vec![APP_REDIRECT.into(), format!("http://127.0.0.1/phones/{}/callback", self.key)],
            profile: IssuerProfile::Unknown,
            device: DeviceDescription {
                name: self.name.to_owned(),
                platform: self.platform,
                app_version: env!("CARGO_PKG_VERSION").into(),
            },
            folder: self.folder.clone(),
            process: "app".into(),
        };
        let ports = Ports {
            clock: Arc::new(self.clock.clone()),
            keys: Arc::new(KeyFile::new(self.folder.join("platform-key"))),
            http: Arc::new(self.cable.clone()),
        };
        let core = Arc::new(Hookswitch::open(config, ports).await?);
        self.watch(&core);
        {
            let mut inner = self.inner();
            inner.device = Some(core.device());
            inner.core = Some(Arc::clone(&core));
        }
        self.foreground.store(foreground, Ordering::Relaxed);
        core.network(self.cable.is_up());
        let token = format!("push-token-of-{}-{}", self.key, core.device()).into();
        core.set_push_token(Some(&token)).await?;
        if foreground {
            core.foreground();
        }
        self.note(Kind::Event, if foreground { "the app was started" } else { "the app was started by a push" });
        Ok(core)
    }

    /// Kills the process: nothing is asked, nothing is saved.
    pub(crate) fn kill(&self) {
        let log = self.core().map(|core| core.ring_log()).unwrap_or_default();
        {
            let mut inner = self.inner();
            inner.past.extend(log);
            inner.core = None;
            inner.login_url = None;
        }
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
        self.note(Kind::Fault, "the app was killed");
    }

    fn watch(&self, core: &Arc<Hookswitch>) {
        let views = tokio::spawn(note_changes(self.key, core.watch(), Arc::clone(&self.timeline))).abort_handle();
        let stops = tokio::spawn(note_stops(self.key, core.stops(), Arc::clone(&self.timeline))).abort_handle();
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).extend([views, stops]);
    }

    // ---- what surrounds it -------------------------------------------------------------------------------------

    pub(crate) async fn set_network(&self, up: bool) -> Result<(), Failure> {
        self.cable.plug(up);
        self.note(Kind::Fault, if up { "the network is back" } else { "the network is cut" });
        if let Ok(core) = self.core() {
            core.network(up);
        }
        self.deliver_waiting().await
    }

    /// A slow push service keeps everything; one that is not slow any more delivers it.
    pub(crate) async fn hold_pushes(&self, held: bool) -> Result<(), Failure> {
        self.inner().held = held;
        self.note(Kind::Fault, if held { "the push service is slow" } else { "the push service catches up" });
        self.deliver_waiting().await
    }

    async fn deliver_waiting(&self) -> Result<(), Failure> {
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

    pub(crate) fn set_foreground(&self, foreground: bool) {
        self.foreground.store(foreground, Ordering::Relaxed);
        if let Ok(core) = self.core() {
            if foreground {
                core.foreground();
            } else {
                core.background();
            }
        }
        self.note(
            Kind::Event,
            if foreground { "the app comes to the foreground" } else { "the app goes to the background" },
        );
    }

    /// A push arrives, or waits at the push service; an app that does not run is started by it.
    pub(crate) async fn deliver(&self, push: CallPush) -> Result<Option<Decision>, Failure> {
        if !self.takes_pushes() {
            self.note(Kind::Push, format!("{} waits at the push service", describe(&push)));
            self.inner().waiting.push(push);
            return Ok(None);
        }
        let core = self.start(false).await?;
        let kind = push.kind;
        let decision = core.decide(push, true);
        match kind {
            PushKind::Incoming => {
                let text = format!("{} {}", decision.explain(), decision.action.explain());
                self.note(Kind::Decision, text);
            }
            PushKind::AnsweredElsewhere | PushKind::Ended => self.note(Kind::Push, describe(&decision.push)),
        }
        Ok(Some(decision))
    }

    /// Opens the system browser at the issuer's page.
    pub(crate) async fn begin_login(&self, redirect_uri: &str) -> Result<String, Failure> {
        let url = self.core()?.begin_login(None, redirect_uri).await?.to_string();
        self.inner().login_url = Some(url.clone());
        self.note(Kind::Event, "the system browser opens the sign-in page");
        Ok(url)
    }

    /// The system browser came back to the app.
    pub(crate) async fn finish_login(&self, redirect: &str) -> Result<(), Failure> {
        let finished = self.core()?.finish_login(redirect).await;
        match &finished {
            Ok(()) => self.close_browser(),
            Err(failure) => self.note(Kind::Event, format!("the sign-in did not work: {failure}")),
        }
        finished
    }

    pub(crate) fn close_browser(&self) {
        self.inner().login_url = None;
        self.timeline.touch();
    }

    pub(crate) fn note(&self, kind: Kind, text: impl Into<String>) {
        self.timeline.add(self.key, kind, text);
    }
}

fn describe(push: &CallPush) -> String {
    let what = match push.kind {
        PushKind::Incoming => "a call push",
        PushKind::AnsweredElsewhere => "a push says that the call was answered elsewhere",
        PushKind::Ended => "a push says that the call is over",
    };
    format!("{what} (state {}, forwarding {})", push.routing, if push.forwarding_on { "on" } else { "off" })
}

async fn note_requests(key: &'static str, mut sent: mpsc::UnboundedReceiver<Sent>, timeline: Arc<Timeline>) {
    while let Some(Sent { request, result }) = sent.recv().await {
        timeline.add(key, Kind::Request, format!("{request} → {result}"));
    }
}

async fn note_stops(
    key: &'static str,
    mut stops: broadcast::Receiver<hookswitch::StopRinging>,
    timeline: Arc<Timeline>,
) {
    loop {
        let stop = match stops.recv().await {
            Ok(stop) => stop,
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let why = match stop.why {
            Stopped::Because { reason } => reason.explain().trim_start_matches("Silent: ").to_owned(),
            Stopped::AnsweredHere => "it was answered here.".into(),
            Stopped::DeclinedHere => "it was declined here.".into(),
        };
        timeline.add(key, Kind::Decision, format!("stops ringing: {why}"));
    }
}

async fn note_changes(key: &'static str, mut views: tokio::sync::watch::Receiver<View>, timeline: Arc<Timeline>) {
    let mut last = None;
    loop {
        let view = views.borrow_and_update().clone();
        let session = describe_session(&view);
        let link = view.link;
        let presence = view.presence.as_ref().map(|presence| {
            let confirmed = &presence.confirmed;
            format!("shows {:?} at {}", confirmed.presence.effective, confirmed.version)
        });
        let now = (session, link, presence);
        let before = last.replace(now.clone());
        let before = before.as_ref();
        if before.is_none_or(|before| before.0 != now.0) {
            timeline.add(key, Kind::Effect, now.0.clone());
        }
        if before.is_none_or(|before| before.1 != now.1) && now.1 != LinkView::Off {
            timeline.add(key, Kind::Effect, format!("hears the server: {:?}", now.1).to_lowercase());
        }
        if before.is_none_or(|before| before.2 != now.2)
            && let Some(presence) = now.2
        {
            timeline.add(key, Kind::Effect, presence);
        }
        timeline.touch();
        if views.changed().await.is_err() {
            return;
        }
    }
}

fn describe_session(view: &View) -> String {
    match &view.session {
        SessionView::Loading => "reads its vault".into(),
        SessionView::Locked => "cannot read its key before the first unlock".into(),
        SessionView::SignedOut { why } => why.explain().unwrap_or("nobody is signed in").into(),
        SessionView::SigningIn { completing: false } => "waits for the browser".into(),
        SessionView::SigningIn { completing: true } => "completes the sign-in".into(),
        SessionView::SignedIn { status, .. } => format!("signed in, {status:?}").to_lowercase(),
        SessionView::ReauthRequired { reason, .. } => reason.explain().into(),
        SessionView::SigningOut => "signs out".into(),
    }
}
