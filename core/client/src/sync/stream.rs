//! The presence stream: server-sent events, read until they end.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::{StreamExt, TryStreamExt};
use hookswitch_machine::{Outcome, StreamNews};
use hookswitch_wire::{StreamEvent, StreamEventError};
use http::header;

use crate::{
    answer,
    ports::{Http, HttpFault, HttpRequest},
};

/// An event that is longer is not one of ours.
const LONGEST_EVENT: usize = answer::BODY;

/// Reads the stream and tells its news until it is over; the last news is [`StreamNews::Closed`].
pub(crate) async fn read(http: &dyn Http, request: HttpRequest, mut tell: impl FnMut(StreamNews)) {
    let outcome = read_until_closed(http, request, &mut tell).await;
    tell(StreamNews::Closed { outcome });
}

async fn read_until_closed(http: &dyn Http, request: HttpRequest, tell: &mut impl FnMut(StreamNews)) -> Outcome {
    let response = match http.send(request).await {
        Ok(response) => response,
        Err(HttpFault(cause)) => return Outcome::Unreachable { cause },
    };
    let head = response.head;
    if let Some(unavailable) = answer::unavailable(&head) {
        return unavailable;
    }
    let is_stream = head
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"));
    if !head.status.is_success() || !is_stream {
        return match answer::read_body(response.body, answer::BODY).await {
            // What would be a good answer to another question is none to this one.
            Ok(_) if head.status.is_success() => {
                Outcome::Unintelligible { status: head.status.as_u16(), cause: "not an event stream".into() }
            }
            Ok(body) => answer::api(&head, &body),
            Err(HttpFault(cause)) => Outcome::Unreachable { cause },
        };
    }

    let unread = Arc::new(AtomicUsize::new(0));
    let counted = {
        let unread = Arc::clone(&unread);
        response.body.map(move |piece| {
            let piece = piece?;
            if unread.fetch_add(piece.len(), Ordering::Relaxed) + piece.len() > LONGEST_EVENT {
                return Err(HttpFault(format!("an event is longer than {LONGEST_EVENT} bytes")));
            }
            Ok(piece)
        })
    };
    let mut events = counted.eventsource().into_stream();
    while let Some(event) = events.next().await {
        unread.store(0, Ordering::Relaxed);
        let news = match event {
            Ok(event) => match StreamEvent::parse(&event.event, &event.data) {
                Ok(event) => StreamNews::Event { event },
                // A newer server may have more to say.
                Err(StreamEventError::UnknownEvent(_)) => continue,
                Err(error @ StreamEventError::Malformed { .. }) => {
                    StreamNews::Malformed { complaint: error.to_string() }
                }
            },
            Err(EventStreamError::Transport(HttpFault(cause))) => return Outcome::Unreachable { cause },
            Err(EventStreamError::Utf8(_)) => StreamNews::Malformed { complaint: "not UTF-8".into() },
            Err(EventStreamError::Parser(_)) => StreamNews::Malformed { complaint: "not server-sent events".into() },
        };
        tell(news);
    }
    Outcome::Unreachable { cause: "the stream ended".into() }
}
