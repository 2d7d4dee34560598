//! `ring`: while calls are forwarded the phone is silent, and else it rings, whatever races with what.
//!
//! Each race is one play of [`crate::simulation`], short and crowded: forwarding is turned on and off from several places
//! while calls come, pushes are late, doubled and out of order, streams break, processes die and are started by a push,
//! clocks are set, servers are old or restored. And the world outside of a laboratory: nodes whose clocks are off by minutes,
//! phones that sleep for a quarter of an hour while their timers stand still, connections that are half open, answers that
//! are lost, callers without a number, words of tomorrow, a network that is said to be down and is not, and key stores that
//! fail. Each decision is held against all that the server ever said, see
//! `simulation::claims`.

use super::Promise;
use crate::{
    process::text,
    report::{ErrorMessage, Report, Size},
    simulation::{DOUBLED, LATE, MISSED, Plan, Played, WRONGLY_SILENT, play_many},
};

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let total = size.pick(5_000, 100_000);
    let work = move || play_many(Promise::Ring, size, total, Plan::race);
    let Played { plays, tally, failed, broken, short, .. } =
        tokio::task::spawn_blocking(work).await.map_err(text)??;
    let of = |class: &str| broken.iter().filter(|broken| broken.starts_with(class)).count();
    let figure = format!(
        "{plays} races: {} pushes rang, {} were silent ({} because of forwarding), {} cold starts; {} missed, {} doubled, \
         {} late, {} wrongly silent, {failed} against any rule; from a push to its sound {:.1} ms, {} ms at most",
        tally.rings,
        tally.silences,
        tally.forwarded,
        tally.cold_starts,
        of(MISSED),
        of(DOUBLED),
        of(LATE),
        of(WRONGLY_SILENT),
        tally.until_sound as f64 / tally.sounds.max(1) as f64,
        tally.latest_sound
    );
    Ok(Report::new(Promise::Ring, size, figure, short))
}
