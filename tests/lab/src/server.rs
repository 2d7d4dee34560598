//! The lab's page and its API, on loopback only.
//!
//! | module | what it does |
//! |---|---|
//! | [`view`] | everything that the page draws, as one value |
//! | [`actions`] | what the page's buttons do |

mod actions;
mod view;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse, Response, Sse, sse},
    routing::get,
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::world::{Setup, World};

/// What a running lab is.
pub(crate) struct Lab {
    pub(crate) world: Arc<World>,
    /// Where the page is.
    pub(crate) origin: String,
    pub(crate) actions: actions::Switches,
}

/// A lab that serves its page.
pub struct Server {
    origin: String,
    listener: TcpListener,
    lab: Arc<Lab>,
}

impl Server {
    /// Builds the world and takes the address; phones keep their vaults under `folder`.
    ///
    /// # Errors
    /// Says what could not be started.
    pub async fn start(address: SocketAddr, folder: &Path) -> Result<Self, String> {
        if !address.ip().is_loopback() {
            return Err("the lab has no password: it listens on loopback only".into());
        }
        let listener = TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}"))?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        let origin = format!("http://127.0.0.1:{port}");
        let setup = Setup { framers: vec![origin.clone()], ..Setup::default() };
        let world = World::start(folder, setup).await?;
        let lab = Arc::new(Lab { world, origin: origin.clone(), actions: actions::Switches::default() });
        Ok(Self { origin, listener, lab })
    }

    /// Where the page is.
    pub fn origin(&self) -> &str {
        &self.origin
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
        tokio::select! {
            served = axum::serve(self.listener, router) => served,
            () = stop => Ok(()),
        }
    }
}

async fn asset(axum::extract::Path(file): axum::extract::Path<String>) -> Response {
    let (media_type, body) = match file.as_str() {
        "lab.css" => ("text/css; charset=utf-8", include_str!("../page/lab.css")),
        "lab.js" => ("text/javascript; charset=utf-8", include_str!("../page/lab.js")),
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
    let changes = lab.world.timeline.changes();
    let views = stream::unfold((lab, changes, true), |(lab, mut changes, first)| async move {
        if !first {
            if let Ok(Err(_)) = tokio::time::timeout(TICK, changes.changed()).await {
                return None;
            }
            tokio::time::sleep(BURST).await;
        }
        changes.mark_unchanged();
        let event = sse::Event::default().event("view").json_data(view::view(&lab).await);
        Some((event, (lab, changes, false)))
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
    let Some(phone) = lab.world.phone(&key) else { return StatusCode::NOT_FOUND.into_response() };
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
         <h1>{0}</h1><p role=\"status\">{1}</p>\
         <script>window.parent.postMessage({{hookswitch:\"login-finished\",phone:{2}}},\"*\")</script></html>",
        escape(&title),
        escape(&text),
        serde_json::Value::from(phone.key),
    );
    Html(page).into_response()
}
