//! The presence stream: server-sent events, read until they end.

use futures_util::StreamExt;
use hookswitch_machine::{Outcome, StreamNews};
use hookswitch_wire::{StreamEvent, StreamEventError};

use crate::{
    answer,
    ports::{Http, HttpRequest},
    sync::frames::{Frame, Frames, TooLong},
};

/// An event that is longer is not one of ours.
pub(crate) const LONGEST_EVENT: usize = answer::BODY;

/// Reads the stream and tells its news until it is over; the last news is [`StreamNews::Closed`].
pub(crate) async fn read(http: &dyn Http, request: HttpRequest, mut tell: impl FnMut(StreamNews)) {
    let outcome = read_until_closed(http, request, &mut tell).await;
    tell(StreamNews::Closed { outcome });
}

async fn read_until_closed(http: &dyn Http, request: HttpRequest, tell: &mut impl FnMut(StreamNews)) -> Outcome {
    let response = match http.send(request).await {
        Ok(response) => response,
        Err(fault) => return fault.into(),
    };
    let head = response.head;
    if let Some(unavailable) = answer::unavailable(&head) {
        return unavailable;
    }
    let is_stream = answer::essence(&head) == "text/event-stream";
    if !head.status.is_success() || !is_stream {
        return match answer::read_body(response.body, answer::BODY).await {
            // What would be a good answer to another question is none to this one.
            Ok(_) if head.status.is_success() => answer::unintelligible(&head, "not an event stream".into()),
            Ok(body) => answer::api(&head, &body),
            Err(fault) => fault.into(),
        };
    }

    let mut frames = Frames::new(LONGEST_EVENT);
    let mut body = response.body;
    while let Some(piece) = body.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(fault) => return fault.into(),
        };
        let taken = frames.take(&piece, |frame| {
            if let Some(news) = news(frame) {
                tell(news);
            }
        });
        if taken == Err(TooLong) {
            return Outcome::Unreachable { cause: format!("an event is longer than {LONGEST_EVENT} bytes") };
        }
    }
    Outcome::Unreachable { cause: "the stream ended".into() }
}

/// What a frame means; nothing when only a newer app would know.
fn news(frame: Frame) -> Option<StreamNews> {
    let complaint = match frame {
        Frame::Event { name, data } => match StreamEvent::parse(&name, &data) {
            Ok(event) => {
                if let StreamEvent::State(state) = &event {
                    let trace = state.trace;
                    tracing::debug!(target: "hookswitch::stream", version = %state.version, ?trace, "a state came");
                }
                return Some(StreamNews::Event { event });
            }
            Err(StreamEventError::UnknownEvent(_)) => return None,
            Err(error @ StreamEventError::Malformed { .. }) => error.to_string(),
        },
        Frame::Retry(millis) => return Some(StreamNews::Retry { millis }),
        Frame::NotText => "not UTF-8".to_owned(),
    };
    Some(StreamNews::Malformed { complaint })
}

#[cfg(test)]
mod tests;
