//! Hears the lab.

use std::time::Duration;

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use url::Url;

use super::model::News;

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(1);

/// Begins to listen. Ends when nobody receives any more.
pub(super) fn begin(origin: Url) -> mpsc::Receiver<News> {
    // reqwest wants one even for loopback. Fails when one is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (told, news) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            let why = listen(&origin, &told).await;
            if told.send(News::Lost(why)).await.is_err() {
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
    });
    news
}

/// Tells of one connection; gives why it ended.
async fn listen(origin: &Url, told: &mpsc::Sender<News>) -> String {
    let address = match origin.join("/lab/stream") {
        Ok(address) => address,
        Err(error) => return error.to_string(),
    };
    let answer = match reqwest::get(address).await.and_then(reqwest::Response::error_for_status) {
        Ok(answer) => answer,
        Err(error) => return cause(&error),
    };
    let mut events = answer.bytes_stream().eventsource();
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => return error.to_string(),
        };
        if event.event != "view" {
            continue;
        }
        match serde_json::from_str(&event.data) {
            Ok(view) => {
                if told.send(News::View(Box::new(view))).await.is_err() {
                    return String::new();
                }
            }
            Err(error) => return format!("this is no lab, or another version of it: {error}"),
        }
    }
    "the lab has ended".to_owned()
}

/// The last of the causes says most: "Connection refused".
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
