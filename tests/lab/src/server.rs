//! The lab's page and its API, on loopback only.
//!
//! | module | what it does |
//! |---|---|
//! | [`view`] | everything that the page draws, as one value |
//! | [`actions`] | what the page's buttons do |
//! | [`story`] | a story of `tests/scenarios`, step by step |

mod actions;
mod story;
mod view;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response, Sse, sse},
    routing::get,
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::{net::TcpListener, sync::watch};

use self::story::Story;
use crate::{
    scenario::Scenario,
    world::{Setup, World},
};

/// What a running lab is.
pub(crate) struct Lab {
    /// Where the page is.
    origin: String,
    /// Each scene has a folder in it.
    folder: PathBuf,
    scene: Mutex<Arc<Scene>>,
    /// Two at once would build two worlds.
    changing: tokio::sync::Mutex<()>,
    /// Counts the scenes.
    changed: watch::Sender<u64>,
    titles: Vec<story::Title>,
}

/// What is on the page: a world, and what is played in it. A reset makes another.
pub(crate) struct Scene {
    number: u64,
    world: Arc<World>,
    switches: actions::Switches,
    story: Option<Story>,
}

impl Lab {
    pub(crate) fn scene(&self) -> Arc<Scene> {
        Arc::clone(&self.scene.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends what is on the page, and begins anew: with a story, or with nothing.
    async fn begin(&self, play: Option<(Scenario, bool)>) -> Result<(), String> {
        let _alone = self.changing.lock().await;
        let old = self.scene();
        let number = old.number + 1;
        let world = build(&self.folder, number, &self.origin, play.is_some()).await?;
        let story = play.map(|(scenario, plays)| Story::begin(scenario, &world, plays));
        let new = Arc::new(Scene { number, world, switches: actions::Switches::default(), story });
        *self.scene.lock().unwrap_or_else(PoisonError::into_inner) = new;
        self.changed.send_replace(number);
        old.world.end().await;
        Ok(())
    }
}

/// A world whose pages the lab may frame.
async fn build(folder: &Path, number: u64, origin: &str, cheap_passwords: bool) -> Result<Arc<World>, String> {
    let setup = Setup { framers: vec![origin.to_owned()], cheap_passwords, ..Setup::default() };
    World::start(&folder.join(number.to_string()), setup).await
}

/// A lab that serves its page.
pub struct Server {
    origin: String,
    listener: TcpListener,
    /// Another loopback address that was asked for: it leads to the page.
    elsewhere: Option<TcpListener>,
    lab: Arc<Lab>,
}

impl Server {
    /// Builds the world and takes the address; phones keep their vaults under `folder`.
    ///
    /// The page itself is always on 127.0.0.1, where the backend is: a browser keeps cookies from pages that another host's page
    /// frames, and cannot be told that an IPv6 address may frame one (CSP has no word for it).
    ///
    /// # Errors
    /// Says what could not be started.
    pub async fn start(address: SocketAddr, folder: &Path) -> Result<Self, String> {
        if !address.ip().is_loopback() {
            return Err("the lab has no password: it listens on loopback only".into());
        }
        let (listener, elsewhere) = listen(address).await.map_err(|error| format!("{address}: {error}"))?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        let origin = format!("http://127.0.0.1:{port}");
        let world = build(folder, 0, &origin, false).await?;
        let scene = Arc::new(Scene { number: 0, world, switches: actions::Switches::default(), story: None });
        let lab = Arc::new(Lab {
            origin: origin.clone(),
            folder: folder.to_owned(),
            scene: Mutex::new(scene),
            changing: tokio::sync::Mutex::default(),
            changed: watch::Sender::new(0),
            titles: story::titles(),
        });
        Ok(Self { origin, listener, elsewhere, lab })
    }

    /// Where the page is.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where the backend is: for phones that are not on the page.
    pub fn backend(&self) -> String {
        self.lab.scene().world.base.clone()
    }

    /// Serves until `stop` is done.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let router = Router::new()
            .route("/", get(|| async { Html(include_str!("../page/index.html")) }))
            .route("/assets/{file}", get(asset))
            .route("/lab/view", get(view_once))
            .route("/lab/stream", get(view_stream))
            .route("/phones/{key}/callback", get(callback))
            .merge(actions::routes())
            .with_state(self.lab);
        let origin = self.origin;
        let elsewhere = async {
            match self.elsewhere {
                Some(listener) => {
                    let to_the_page = move || async move { Redirect::temporary(&origin) };
                    axum::serve(listener, Router::new().fallback(to_the_page)).await
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            served = axum::serve(self.listener, router) => served,
            served = elsewhere => served,
            () = stop => Ok(()),
        }
    }
}

/// Listens on 127.0.0.1, and on the address that was asked for when it is another, on the same port.
async fn listen(address: SocketAddr) -> std::io::Result<(TcpListener, Option<TcpListener>)> {
    let page = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    if address.ip() == Ipv4Addr::LOCALHOST {
        return Ok((page(address.port()).await?, None));
    }
    let mut tries = 0..10;
    loop {
        let asked = TcpListener::bind(address).await?;
        match page(asked.local_addr()?.port()).await {
            Ok(listener) => return Ok((listener, Some(asked))),
            // A port that is free there may be taken here.
            Err(_) if address.port() == 0 && tries.next().is_some() => {}
            Err(error) => return Err(error),
        }
    }
}

async fn asset(axum::extract::Path(file): axum::extract::Path<String>) -> Response {
    let (media_type, body) = match file.as_str() {
        "lab.css" => ("text/css; charset=utf-8", include_str!("../page/lab.css")),
        "lab.js" => ("text/javascript; charset=utf-8", include_str!("../page/lab.js")),
        "calls.js" => ("text/javascript; charset=utf-8", include_str!("../page/calls.js")),
        "icon.svg" => ("image/svg+xml", include_str!("../page/icon.svg")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

async fn view_once(State(lab): State<Arc<Lab>>) -> axum::Json<view::View> {
    axum::Json(view::view(&lab).await)
}

/// The view, whenever something has changed: whole each time, and at most so often as somebody can see.
async fn view_stream(
    State(lab): State<Arc<Lab>>,
) -> ([(HeaderName, &'static str); 1], Sse<impl Stream<Item = Result<sse::Event, axum::Error>>>) {
    /// Changes come in bursts.
    const BURST: Duration = Duration::from_millis(25);
    /// Some things change with time alone: how old a state is, a token's expiry.
    const TICK: Duration = Duration::from_secs(2);
    let scenes = lab.changed.subscribe();
    let changes = lab.scene().world.timeline.changes();
    let views = stream::unfold((lab, scenes, changes, true), |(lab, mut scenes, mut changes, first)| async move {
        if !first {
            tokio::select! {
                _ = scenes.changed() => changes = lab.scene().world.timeline.changes(),
                _ = changes.changed() => {}
                () = tokio::time::sleep(TICK) => {}
            }
            tokio::time::sleep(BURST).await;
        }
        changes.mark_unchanged();
        let event = sse::Event::default().event("view").json_data(view::view(&lab).await);
        Some((event, (lab, scenes, changes, false)))
    });
    ([(header::CACHE_CONTROL, "no-store")], Sse::new(views))
}

#[derive(Deserialize)]
struct Landing {
    #[serde(default)]
    error: Option<String>,
}

/// Where a phone's system browser lands (RFC 8252, section 7.3): the whole address goes to the app.
async fn callback(
    State(lab): State<Arc<Lab>>,
    axum::extract::Path(key): axum::extract::Path<String>,
    Query(landing): Query<Landing>,
    uri: axum::http::Uri,
) -> Response {
    let scene = lab.scene();
    let Some(phone) = scene.world.phone(&key) else { return StatusCode::NOT_FOUND.into_response() };
    let redirect = format!("{}{}", lab.origin, uri.path_and_query().map(ToString::to_string).unwrap_or_default());
    let (title, text) = match phone.finish_login(&redirect).await {
        Ok(()) => ("Signed in".to_owned(), "You can go back to the app.".to_owned()),
        Err(failure) => ("The sign-in did not work".to_owned(), failure.to_string()),
    };
    if landing.error.is_some() {
        phone.close_browser();
    }
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{0}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;margin:3rem 1.25rem;text-align:center}}</style>\
         <main><h1>{0}</h1><p role=\"status\">{1}</p></main></html>",
        escape(&title),
        escape(&text),
    );
    Html(page).into_response()
}
