//! `GET /v1/me/stream`: the whole state, each time it changes.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::stream;
use hookswitch_wire::{
    AccountId, StreamEvent, UnixMillis, Version,
    stream::{Heartbeat, SignedOut},
};
use tokio::sync::watch;

use super::{ApiError, Shared, caller::Caller};
use crate::{
    house::{HouseError, Published},
    metrics::OpenStream,
};

/// How often a quiet stream says that it lives.
const HEARTBEAT: i64 = 15_000;

/// One open stream.
struct Open {
    house: Shared,
    account: AccountId,
    session: String,
    news: watch::Receiver<Option<Arc<Published>>>,
    stopping: watch::Receiver<bool>,
    /// What was sent last.
    sent: Option<Version>,
    beat_at: UnixMillis,
    over: bool,
    _counted: OpenStream,
}

pub(super) async fn stream(State(house): State<Shared>, caller: Caller) -> Result<Response, ApiError> {
    house.counters.stream();
    let open = Open {
        account: caller.account.clone(),
        session: caller.session,
        news: house.bus.watch(&caller.account),
        stopping: house.bus.stopping(),
        sent: None,
        beat_at: house.now() + HEARTBEAT,
        over: false,
        _counted: house.metrics.stream(),
        house,
    };
    let events = stream::unfold(open, |mut open| async move {
        let event = open.next().await?;
        Some((Ok::<_, Infallible>(event), open))
    });
    // Proxies that buffer would hold events back.
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Sse::new(events)).into_response())
}

impl Open {
    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        match self.wait().await {
            Ok(event) => event,
            Err(error) => {
                // The client connects again and is told, if it lasts.
                tracing::error!(account = %self.account, %error, "a stream broke");
                None
            }
        }
    }

    async fn wait(&mut self) -> Result<Option<Event>, HouseError> {
        loop {
            self.news.mark_unchanged();
            if let Some(reason) = self.house.session_ended(&self.session)? {
                self.over = true;
                return Ok(event(&StreamEvent::SignedOut(SignedOut { reason })));
            }
            let published = self.house.current(&self.account)?;
            let version = published.snapshot.version;
            if self.sent != Some(version) {
                let first = self.sent.replace(version).is_none();
                self.house.metrics.state_sent((!first).then(|| published.made.elapsed()));
                let data: &str = &published.json;
                return Ok(Some(Event::default().event("state").id(version.to_string()).data(data)));
            }
            let now = self.house.now();
            if now >= self.beat_at {
                // However far the clock jumped, one beat is enough.
                self.beat_at = now + HEARTBEAT;
                return Ok(event(&StreamEvent::Heartbeat(Heartbeat { at: now })));
            }
            tokio::select! {
                _ = self.news.changed() => {}
                () = self.house.clock.sleep_until(self.beat_at) => {}
                _ = self.stopping.wait_for(|stop| *stop) => return Ok(None),
            }
        }
    }
}

fn event(event: &StreamEvent) -> Option<Event> {
    let data = event.data().ok()?;
    Some(Event::default().event(event.name()).data(data))
}
