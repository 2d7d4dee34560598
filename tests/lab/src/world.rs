//! The world of the lab: the backend, two phones, a browser and a desktop app; and everything that may happen to them.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::{join_all, try_join_all};
use hookswitch::{http::Network, machine::Failure, ports::Http, wire::Platform};
use hookswitch_backend::{AgentSeed, Clock, Operator};

use crate::{
    app::child::Program,
    browser::Browser,
    clock::PhoneClock,
    nodes::{Nodes, Shared},
    phone::LabPhone,
    timeline::{Kind, Timeline},
};

/// How a world is set up.
#[derive(Default)]
pub(crate) struct Setup {
    /// Who works here; empty: the demo accounts.
    pub(crate) agents: Vec<AgentSeed>,
    /// Origins that may show the backend's pages in a frame.
    pub(crate) framers: Vec<String>,
    /// Work a password is; the lab's are not worth protecting, but the interactive one takes the real cost.
    pub(crate) cheap_passwords: bool,
    /// The servers and programs that this world uses and does not own.
    pub(crate) surroundings: Surroundings,
}

/// What of a world is not in this process; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// What two nodes of the backend share; `None`: there is one node.
    pub shared: Option<Shared>,
    /// The phones' apps are processes of it; `None`: they run in this one.
    pub phone_program: Option<Program>,
}

/// The world of the lab.
pub(crate) struct World {
    pub(crate) operator: Operator,
    pub(crate) clock: Clock,
    pub(crate) base: String,
    upstream: String,
    pub(crate) phones: Vec<Arc<LabPhone>>,
    /// All browser surfaces share one browser, and so one session.
    pub(crate) browser: Browser,
    /// The desktop app has cookies of its own.
    pub(crate) desktop: Browser,
    pub(crate) timeline: Arc<Timeline>,
    pub(crate) agents: Vec<AgentSeed>,
    /// `None` at the end.
    nodes: Mutex<Option<Nodes>>,
}

impl World {
    /// Builds the world; each phone has a folder under `folder`.
    pub(crate) async fn start(folder: &Path, setup: Setup) -> Result<Arc<Self>, String> {
        let clock = Clock::system();
        let mut config = hookswitch_backend::Config {
            clock: clock.clone(),
            framers: setup.framers,
            ..hookswitch_backend::Config::default()
        };
        if setup.cheap_passwords {
            config.password_cost = hookswitch_backend::PasswordCost { memory_kib: 64, passes: 1 };
        }
        let Surroundings { shared, phone_program } = setup.surroundings;
        let nodes = Nodes::start(config, shared).await?;
        let backend = &nodes.first;
        let operator = backend.operator();
        let agents = if setup.agents.is_empty() { AgentSeed::demo() } else { setup.agents };
        for agent in &agents {
            operator.add_agent(agent.clone()).await.map_err(|error| format!("{}: {error}", agent.email))?;
        }
        let base = backend.base_url().to_owned();
        let timeline = Arc::new(Timeline::new(clock.clone()));
        let network: Arc<dyn Http> = Arc::new(Network::new());
        let began = clock.now() - 1_000;
        let mut phones = Vec::new();
        for model in [("iphone", "iPhone", Platform::Ios), ("android", "Android phone", Platform::Android)] {
            let clock = PhoneClock::new(clock.clone(), began);
            let (network, timeline) = (Arc::clone(&network), Arc::clone(&timeline));
            phones.push(LabPhone::new(model, folder, &base, clock, network, timeline, phone_program.clone()).await?);
        }
        let browser = || Browser::new(&base, backend.upstream_url());
        let world = Arc::new(Self {
            operator,
            clock,
            phones,
            browser: browser()?,
            desktop: browser()?,
            base: base.clone(),
            upstream: backend.upstream_url().to_owned(),
            timeline,
            agents,
            nodes: Mutex::new(Some(nodes)),
        });
        tokio::spawn(deliver_pushes(Arc::downgrade(&world), world.operator.pushes()));
        tokio::spawn(note_requests(Arc::clone(&world.timeline), world.operator.requests()));
        try_join_all(world.phones.iter().map(|phone| phone.start(true)))
            .await
            .map_err(|failure| failure.to_string())?;
        Ok(world)
    }

    pub(crate) fn phone(&self, key: &str) -> Option<&Arc<LabPhone>> {
        self.phones.iter().find(|phone| phone.key == key)
    }

    /// The browser of a surface, and how the backend calls the surface.
    pub(crate) fn surface<'a>(&'a self, name: &'a str) -> Option<(&'a Browser, &'static str, &'static str)> {
        Some(match name {
            "web" => (&self.browser, "web", "/app/web"),
            "dashboard" => (&self.browser, "dashboard", "/app/dashboard"),
            "zendesk" => (&self.browser, "cti-zendesk", "/app/cti/zendesk"),
            "salesforce" => (&self.browser, "cti-salesforce", "/app/cti/salesforce"),
            "hubspot" => (&self.browser, "cti-hubspot", "/app/cti/hubspot"),
            "desktop" => (&self.desktop, "desktop", "/app/desktop"),
            _ => return None,
        })
    }

    /// The system browser of a phone: nobody is signed in there.
    pub(crate) fn phone_browser(&self) -> Result<Browser, String> {
        Browser::new(&self.base, &self.upstream)
    }

    /// Moves time forward for everybody. A phone in a process of its own is told, and until it has answered nobody hears
    /// from anybody, so that no two times meet.
    pub(crate) async fn advance(&self, ms: i64) -> Result<(), Failure> {
        self.timeline.add("lab", Kind::Event, format!("{} s pass", ms / 1_000));
        let hold = |held| self.phones.iter().for_each(|phone| phone.cable.hold(held));
        hold(true);
        let told = try_join_all(self.phones.iter().map(|phone| phone.tell_time(ms))).await;
        self.clock.jump(ms);
        hold(false);
        self.timeline.touch();
        told.map(drop)
    }

    /// Ends everything that runs outside of this process, and what may be waiting for something there.
    pub(crate) async fn end(&self) {
        join_all(self.phones.iter().map(|phone| phone.kill())).await;
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(nodes) = nodes {
            nodes.stop().await;
        }
    }

    /// Expires the access token of a phone, at the server only: the phone finds out by a 401.
    pub(crate) fn expire_token(&self, phone: &LabPhone, email: &str) -> Result<(), Failure> {
        phone.note(Kind::Fault, "the server forgets this phone's access token");
        self.operator
            .expire_access_tokens(email, phone.device().as_ref())
            .map_err(|error| Failure::internal(error.to_string()))
    }
}

/// Carries pushes to phones, as APNs and FCM would.
async fn deliver_pushes(
    world: std::sync::Weak<World>,
    mut pushes: tokio::sync::broadcast::Receiver<hookswitch_backend::OutboxEntry>,
) {
    while let Ok(entry) = pushes.recv().await {
        let Some(world) = world.upgrade() else { return };
        let Some(phone) = world.phones.iter().find(|phone| phone.device().as_ref() == Some(&entry.device)) else {
            continue;
        };
        let what = match entry.payload.kind {
            hookswitch::wire::PushKind::Incoming => "pushes a call to",
            hookswitch::wire::PushKind::AnsweredElsewhere => "tells of an answer elsewhere",
            hookswitch::wire::PushKind::Ended => "tells of the end of a call",
            hookswitch::wire::PushKind::Unknown => "pushes a word of tomorrow to",
        };
        world.timeline.add("server", Kind::Push, format!("{what} {}", phone.name));
        if let Err(failure) = phone.deliver(entry.payload).await {
            phone.note(Kind::Fault, format!("a push could not be delivered: {failure}"));
        }
    }
}

async fn note_requests(
    timeline: Arc<Timeline>,
    mut requests: tokio::sync::broadcast::Receiver<hookswitch_backend::RequestLog>,
) {
    while let Ok(request) = requests.recv().await {
        // Phones tell of their requests themselves: what they sent, not what arrived.
        let browser =
            matches!(request.who.as_str(), "web" | "dashboard" | "desktop") || request.who.starts_with("cti-");
        if browser && request.method != "GET" {
            let who = request.who.trim_start_matches("cti-");
            timeline.add(who, Kind::Request, format!("{} {} → {}", request.method, request.path, request.status));
        }
    }
}
