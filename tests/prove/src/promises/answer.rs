//! `answer`: whoever answers has the call, alone, or the caller is told; and nobody counts as in a call that nobody has.
//!
//! Each play of [`crate::simulation`] is about a call or two: several phones and the desktop answer, decline and hang up while
//! requests and answers are lost, doubled, late or refused with 503 before and after they were carried out, connections are
//! half open, tokens expire, phones sleep, and processes die at any step. The server is the backend's own aggregate. See
//! `simulation::calls` for what must hold.

use super::Promise;
use crate::{
    process::text,
    report::{ErrorMessage, Report, Size},
    simulation::{Plan, Played, play_many},
};

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let total = size.pick(500, 10_000);
    let work = move || play_many(Promise::Answer, size, total, Plan::answers);
    let Played { plays, tally, failed, short, .. } = tokio::task::spawn_blocking(work).await.map_err(text)??;
    let figure = format!(
        "{plays} plays: {} calls, {} answers, {} deaths; in a call that nobody has: {} ms at most, {:.0} s when the network \
         kept the phone from saying it, {:.0} s after a death; {failed} against the rule",
        tally.calls,
        tally.answers,
        tally.deaths,
        tally.in_no_call,
        tally.in_no_call_excused as f64 / 1_000.0,
        tally.in_no_call_dead as f64 / 1_000.0
    );
    Ok(Report::new(Promise::Answer, size, figure, short))
}
