//! `converge`: phones, browsers and the server agree in the end, whatever the network, people and servers do.
//!
//! Each interleaving is one play of [`crate::simulation`], with a seed of its own. One that fails is made as short as it can
//! be and told.

use super::Promise;
use crate::{
    process::text,
    report::{ErrorMessage, Report, Size},
    simulation::{Plan, Played, play_many},
};

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let total = size.pick(2_000, 10_000);
    let work = move || play_many(Promise::Converge, size, total, Plan::new);
    let Played { plays, a_minute, tally, failed, short, .. } =
        tokio::task::spawn_blocking(work).await.map_err(text)??;
    let figure = format!(
        "{plays} interleavings ({a_minute:.0} a minute): {} steps, {} taps, {} ring decisions; {failed} disagree",
        tally.steps,
        tally.commands,
        tally.rings + tally.silences
    );
    Ok(Report::new(Promise::Converge, size, figure, short))
}
