//! A phone in this process, with a wall clock that can be set and a cable that can be pulled.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures_util::StreamExt;
use hookswitch::{
    Hookswitch,
    http::Network,
    machine::{Failure, Mono, Timestamp, view::SessionState},
    ports::{Clock, Http, HttpFault, HttpRequest, HttpResponse, Ports},
    store::KeyFile,
    wire::Platform,
};
use tokio::task::AbortHandle;

use crate::{
    child::{REDIRECT, config},
    process::text,
    report::ErrorMessage,
    shared_clock::SharedClock,
    test_backend::TestBackend,
};

/// The shared clock, with a wall clock that somebody has set wrong.
pub(crate) struct WrongClock {
    right: SharedClock,
    skew: AtomicI64,
}

impl WrongClock {
    pub(crate) fn set(&self, skew: i64) {
        self.skew.store(skew, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        let Timestamp { wall, mono } = self.right.now();
        Timestamp { wall: wall + self.skew.load(Ordering::Relaxed), mono }
    }

    async fn sleep_until(&self, at: Mono) {
        self.right.sleep_until(at).await;
    }
}

/// A network that can be there or not, near or far. What is under way goes on.
pub(crate) struct Cable {
    network: Network,
    /// Wherever a request is to go, it goes here.
    leads_to: Option<SocketAddr>,
    pulled: AtomicBool,
    /// One way, in milliseconds.
    far: AtomicU64,
    /// Plays a proxy that collects a stream before it passes it on.
    buffers: AtomicBool,
}

impl Cable {
    pub(crate) fn open(leads_to: Option<SocketAddr>) -> Result<Self, ErrorMessage> {
        Ok(Self {
            network: Network::new(),
            leads_to,
            pulled: AtomicBool::new(false),
            far: AtomicU64::new(0),
            buffers: AtomicBool::new(false),
        })
    }

    /// From now on requests, and the pieces of their answers, take this long.
    pub(crate) fn stretch(&self, one_way: Duration) {
        self.far.store(u64::try_from(one_way.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    async fn way(far: u64) {
        if far > 0 {
            tokio::time::sleep(Duration::from_millis(far)).await;
        }
    }

    pub(crate) fn pull(&self, pulled: bool) {
        self.pulled.store(pulled, Ordering::Relaxed);
    }
}

#[async_trait]
impl Http for Cable {
    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        if self.pulled.load(Ordering::Relaxed) {
            return Err(HttpFault::NotSent("no route to host".into()));
        }
        if let Some(node) = self.leads_to {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            *request.uri_mut() =
                format!("http://{node}{path}").parse().map_err(|error| HttpFault::NotSent(format!("{error}")))?;
        }
        let is_stream = request.uri().path() == "/v1/me/stream";
        let far = self.far.load(Ordering::Relaxed);
        Self::way(far).await;
        let mut response = self.network.send(request).await?;
        if far > 0 {
            let late = move |piece| async move {
                Self::way(far).await;
                piece
            };
            response.body = response.body.then(late).boxed();
        }
        if is_stream && self.buffers.load(Ordering::Relaxed) {
            // It is open, and nothing of it arrives.
            response.body = futures_util::stream::pending().boxed();
        }
        Ok(response)
    }
}

pub(crate) struct Local {
    pub(crate) core: Arc<Hookswitch>,
    pub(crate) clock: Arc<WrongClock>,
    pub(crate) cable: Arc<Cable>,
    /// Sessions that were seen and are none.
    seen: Arc<Mutex<Vec<String>>>,
    watcher: Option<AbortHandle>,
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
    }
}

impl Local {
    /// A phone on `folder`; whoever was signed in there is.
    pub(crate) async fn open(backend: &TestBackend, folder: &Path) -> Result<Self, ErrorMessage> {
        Self::at(backend, folder, None).await
    }

    /// The same, and all that it asks goes to one of the nodes.
    pub(crate) async fn at(
        backend: &TestBackend,
        folder: &Path,
        node: Option<SocketAddr>,
    ) -> Result<Self, ErrorMessage> {
        let right = SharedClock::open(&backend.clock_file()).map_err(text)?;
        let clock = Arc::new(WrongClock { right, skew: AtomicI64::new(0) });
        let cable = Arc::new(Cable::open(node)?);
        let config = config(backend.base(), folder, "app", Platform::Android);
        let ports = Ports {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            keys: Arc::new(KeyFile::new(folder.join("key"))),
            http: Arc::clone(&cable) as Arc<dyn Http>,
        };
        let core = Arc::new(Hookswitch::open(config, ports).await.map_err(text)?);
        Ok(Self { core, clock, cable, seen: Arc::default(), watcher: None })
    }

    pub(crate) async fn sign_in(&self, backend: &TestBackend) -> Result<(), ErrorMessage> {
        let login = self.core.begin_login(None, REDIRECT).await.map_err(text)?;
        let redirect = backend.walk(login.as_str()).await?;
        self.core.finish_login(&redirect).await.map_err(text)
    }

    /// From now on, any session but a signed-in one is remembered.
    pub(crate) fn must_stay_signed_in(&mut self) {
        let (mut views, seen) = (self.core.watch(), Arc::clone(&self.seen));
        let watcher = tokio::spawn(async move {
            loop {
                let session = views.borrow_and_update().session.clone();
                if !matches!(session, SessionState::SignedIn { .. }) {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{session:?}"));
                }
                if views.changed().await.is_err() {
                    return;
                }
            }
        });
        self.watcher = Some(watcher.abort_handle());
    }

    /// Whether it was signed in all the time.
    pub(crate) fn stayed_signed_in(&self) -> Result<(), ErrorMessage> {
        match self.seen.lock().unwrap_or_else(PoisonError::into_inner).first() {
            None => Ok(()),
            Some(session) => Err(format!("it was {session}")),
        }
    }

    /// A valid access token.
    pub(crate) async fn token(&self) -> Result<(), Failure> {
        self.core.access_token().await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use hookswitch::{machine::view::Link, wire::Availability};

    use super::*;

    #[tokio::test]
    async fn behind_a_proxy_that_buffers_a_phone_shows_what_is_all_the_same() {
        let backend = TestBackend::open().await.unwrap();
        let phone = Local::open(&backend, &backend.folder("phone")).await.unwrap();
        phone.sign_in(&backend).await.unwrap();
        let other = Local::open(&backend, &backend.folder("other")).await.unwrap();
        other.sign_in(&backend).await.unwrap();
        other.core.foreground();

        phone.cable.buffers.store(true, Ordering::Relaxed);
        phone.core.foreground();
        backend.jump(hookswitch::machine::presence::FIRST_WORD).unwrap();
        let mut views = phone.core.watch();
        let work = async {
            views.wait_for(|view| view.link == Link::Live).await.unwrap();
            for choice in [Availability::Automatic, Availability::Available, Availability::Automatic] {
                other.core.set_availability(choice).await.unwrap();
                let shows = |view: &hookswitch::machine::AppState| {
                    view.presence.as_ref().is_some_and(|it| it.availability == choice)
                };
                views.wait_for(shows).await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), work).await.expect("it hears nothing");
    }
}
