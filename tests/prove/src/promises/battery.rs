//! `battery`: what an idle hour costs, in the foreground and in the background.
//!
//! In virtual time, with real cores: each wake-up of a core and each request counts. What happens on the server meanwhile
//! (choices in a browser, tokens that expire) must wake no phone that is in the background.

use super::Promise;
use crate::{
    process::text,
    report::{ErrorMessage, Report, Size},
    simulation::{self, Hour},
};

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    tokio::task::spawn_blocking(move || idle(size)).await.map_err(text)?
}

fn idle(size: Size) -> Result<Report, ErrorMessage> {
    let rounds = size.pick(100, 2_000);
    let (mut front, mut back, mut short) = (Hour::default(), Hour::default(), Vec::new());
    for round in 0..rounds {
        let seed = size.seed.wrapping_mul(1_000_003).wrapping_add(round as u64);
        let [one, other] = simulation::idle_hours(seed)?;
        // Four a minute; one more falls into an hour whose first was a little late.
        if one.heartbeats > 4 * 60 + 1 {
            short.push(format!("phone {seed}: {} heartbeats in an hour of the foreground", one.heartbeats));
        }
        if other != Hour::default() {
            short.push(format!("phone {seed}: in the background {other:?}"));
        }
        front = front.worst(one);
        back = back.worst(other);
    }
    let figure = format!(
        "{rounds} phones, the worst: an hour in the foreground {} requests, {} heartbeats ({:.1} a minute), {} wake-ups; \
         in the background {} requests, {} timers, {} wake-ups",
        front.requests,
        front.heartbeats,
        f64::from(front.heartbeats) / 60.0,
        front.wake_ups,
        back.requests,
        back.timers,
        back.wake_ups
    );
    Ok(Report::new(Promise::Battery, size, figure, short))
}
