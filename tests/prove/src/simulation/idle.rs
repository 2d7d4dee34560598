//! What a phone costs that nobody touches.

use hookswitch::wire::{Availability, UnavailableReason};

use super::{
    Broken,
    plan::{Act, Kind, Plan},
    world::{Tally, World},
};

const HOUR: u64 = 3_600_000;
/// The app has just left the foreground: traffic goes on in case the person comes back.
const GRACE: u64 = 20_000;

/// What an hour cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hour {
    /// Requests that were sent and streams that were opened.
    pub(crate) requests: u32,
    pub(crate) heartbeats: u32,
    /// Anything that made the core think: a timer, an answer, a word of the stream.
    pub(crate) wake_ups: u32,
    /// Timers that are set at the beginning of it.
    pub(crate) timers: u32,
}

impl Hour {
    pub(crate) fn worst(self, other: Self) -> Self {
        Self {
            requests: self.requests.max(other.requests),
            heartbeats: self.heartbeats.max(other.heartbeats),
            wake_ups: self.wake_ups.max(other.wake_ups),
            timers: self.timers.max(other.timers),
        }
    }

    fn between(before: Tally, after: Tally, timers: usize) -> Self {
        let count = |after: usize, before: usize| u32::try_from(after.saturating_sub(before)).unwrap_or(u32::MAX);
        Self {
            requests: count(after.requests, before.requests),
            heartbeats: count(after.heartbeats, before.heartbeats),
            wake_ups: count(after.steps, before.steps),
            timers: count(timers, 0),
        }
    }
}

/// An hour in the foreground and one in the background.
pub(crate) fn idle_hours(seed: u64) -> Result<[Hour; 2], Broken> {
    let mut luck = fastrand::Rng::with_seed(seed);
    // A minute for the start; a busy colleague's browser in the hour of the background; the network is good from there on.
    let start = 60_000 + luck.u64(0..60_000);
    let background = start + HOUR + GRACE + 1_000;
    let reason = UnavailableReason::OutForLunch;
    let away = Act::BrowserChooses { availability: Availability::Unavailable { reason } };
    let times = (0..5).map(|_| luck.u64(background..background + HOUR));
    // The last one keeps the end of the plan out of the hour.
    let mut acts: Vec<(u64, Act)> = times.chain([background + HOUR]).map(|at| (at, away.clone())).collect();
    acts.sort_by_key(|(at, _)| *at);
    let plan = Plan {
        seed,
        phones: 1,
        lost: 0,
        twice: 0,
        late: 0,
        jitter: 40,
        token_life: 3_600_000,
        kind: Kind::Agreement,
        failing: 0,
        nodes: vec![0],
        tomorrow: false,
        acts,
    };
    let mut world = World::new(&plan, false);
    world.begin();
    world.play_until(start)?;
    let before = world.tally;
    let timers = |world: &World<'_>| world.phones.first().map_or(0, |phone| phone.timers.len());
    let set = timers(&world);
    world.play_until(start + HOUR)?;
    let front = Hour::between(before, world.tally, set);
    world.lifecycle(0, false)?;
    world.play_until(background)?;
    let (before, set) = (world.tally, timers(&world));
    world.play_until(background + HOUR - 1)?;
    Ok([front, Hour::between(before, world.tally, set)])
}
