//! `ring`: while calls are forwarded the phone is silent, and else it rings, whatever races with what.
//!
//! Each race is one play of [`crate::simulation`], short and crowded: forwarding is turned on and off from several places
//! while calls come, pushes are late, doubled and out of order, streams break, processes die and are started by a push,
//! clocks are set, servers are old or restored. Each decision is held against all that the server ever said, see
//! `simulation::claims`.

use super::Promise;
use crate::{
    process::text,
    report::{ErrorMessage, Report, Size},
    simulation::{Plan, Played, play_many},
};

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let total = size.pick(5_000, 100_000);
    let work = move || play_many(Promise::Ring, size, total, Plan::race);
    let Played { plays, tally, failed, short, .. } = tokio::task::spawn_blocking(work).await.map_err(text)??;
    let figure = format!(
        "{plays} races: {} pushes rang, {} were silent ({} because of forwarding), {} cold starts; {failed} against the rule",
        tally.rings, tally.silences, tally.forwarded, tally.cold_starts
    );
    Ok(Report::new(Promise::Ring, size, figure, short))
}
