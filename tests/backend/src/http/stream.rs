//! `GET /v1/me/stream`: the whole state, each time it changes.

use hookswitch_wire::UnixMillis;
use std::{convert::Infallible, sync::Arc, time::Duration};

use crate::clock::Millis;
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
    AccountId, StreamEvent, Version,
    stream::{Heartbeat, SignedOut},
};
use tokio::sync::watch;

use super::{ApiError, Shared, caller::Caller};
use crate::{
    metrics::OpenStream,
    service::{Listening, Published, ServiceError},
};

/// How often a quiet stream says that it lives.
const HEARTBEAT: i64 = 15_000;
/// Should this node be lost with all its streams, so many are to come to the others in a second. Fewer than they can take:
/// they have clients of their own.
const BACK_A_SECOND: u64 = 1_000;
/// Apps wait up to so many milliseconds anyway. Those of a small node need no turns.
const FIRST_WAIT: u64 = 500;
/// Nobody has to wait longer, in milliseconds; a node has fewer streams than come back in this time.
const LONGEST: u64 = 30_000;

/// One open stream.
struct Open {
    service: Shared,
    account: AccountId,
    session: String,
    news: watch::Receiver<Option<Arc<Published>>>,
    stopping: watch::Receiver<bool>,
    /// What was sent last.
    sent: Option<Version>,
    beat_at: Millis,
    /// A client was given a turn, and keeps it until it is given another.
    has_turn: bool,
    over: bool,
    counted: OpenStream,
    /// `None`: a phone, which is called by pushes.
    _listens: Option<Listening>,
}

pub(super) async fn stream(State(service): State<Shared>, caller: Caller) -> Result<Response, ApiError> {
    service.counters.stream();
    let open = Open {
        _listens: caller.place.map(|place| service.listeners.begin(&caller.account, place.name())),
        account: caller.account.clone(),
        session: caller.session,
        news: service.bus.watch(&caller.account),
        stopping: service.bus.stopping(),
        sent: None,
        beat_at: service.now() + HEARTBEAT,
        has_turn: false,
        over: false,
        counted: service.metrics.stream(),
        service,
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

    async fn wait(&mut self) -> Result<Option<Event>, ServiceError> {
        loop {
            self.news.mark_unchanged();
            if let Some(reason) = self.service.session_ended(&self.session)? {
                self.over = true;
                return Ok(event(&StreamEvent::SignedOut(SignedOut { reason })));
            }
            let published = self.service.current(&self.account)?;
            let version = published.snapshot.version;
            if self.sent != Some(version) {
                let first = self.sent.replace(version).is_none();
                self.service.metrics.state_sent((!first).then(|| published.made.elapsed()));
                let data: &str = &published.json;
                let event = Event::default().event("state").id(version.to_string()).data(data);
                return Ok(Some(if first { self.with_turn(event) } else { event }));
            }
            let now = self.service.now();
            if now >= self.beat_at {
                // However far the clock jumped, one beat is enough.
                self.beat_at = now + HEARTBEAT;
                let beat = event(&StreamEvent::Heartbeat(Heartbeat { at: UnixMillis(now) }));
                return Ok(beat.map(|beat| self.with_turn(beat)));
            }
            tokio::select! {
                _ = self.news.changed() => {}
                () = self.service.clock.sleep_until(self.beat_at) => {}
                _ = self.stopping.wait_for(|stop| *stop) => return Ok(None),
            }
        }
    }

    /// Says when the client is to come back should the stream be lost: each of those on this node at another time, whether it
    /// is an app or a browser. Repeated with each heartbeat, since their number changes.
    fn with_turn(&mut self, event: Event) -> Event {
        let window = window(self.counted.streams());
        if window == 0 && !self.has_turn {
            return event;
        }
        self.has_turn = window > 0;
        // Without luck: in the middle.
        let luck = getrandom::u64().unwrap_or(window / 2).checked_rem(window).unwrap_or_default();
        event.retry(Duration::from_millis(FIRST_WAIT.saturating_add(luck)))
    }
}

/// For how many milliseconds those streams come back, after the first wait; 0: all of them may come when they like.
fn window(streams: u64) -> u64 {
    (streams.saturating_mul(1_000) / BACK_A_SECOND).saturating_sub(FIRST_WAIT).min(LONGEST - FIRST_WAIT)
}

fn event(event: &StreamEvent) -> Option<Event> {
    let data = event.data().ok()?;
    Some(Event::default().event(event.name()).data(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_of_a_node_come_back_at_the_rate_that_others_can_take() {
        for (streams, millis) in [(0, 0), (1, 0), (500, 0), (501, 1), (10_000, 9_500), (1_000_000, 29_500)] {
            assert_eq!(window(streams), millis, "{streams}");
        }
    }
}
