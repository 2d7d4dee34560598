//! `explore`: everything that can happen in a small world, to a stated depth, over the real machine: see [`crate::explore`].

use super::Promise;
use crate::{
    explore::{Explored, explore_calls, explore_sessions},
    process::text,
    report::{ErrorMessage, Report, Size},
};

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    // The last level is the largest by far: it is begun when there are no more states than this.
    let (depth, most) = (size.pick(5, 12), 100_000);
    let work = move || {
        let sessions = explore_sessions(depth, 2, most)?;
        let calls = explore_calls(depth, most)?;
        Ok::<_, ErrorMessage>([sessions, calls])
    };
    let models = tokio::task::spawn_blocking(work).await.map_err(text)??;
    for rule in models.iter().filter_map(|worlds| worlds.first()).flat_map(|world| world.rules) {
        eprintln!("explore: {rule}");
    }
    let figures = models.iter().flatten().map(|Explored { name, rules, states, steps, depth, complete, broken: _ }| {
        let end = if *complete { " (all there are)" } else { "" };
        format!("{name}: {states} states by {steps} acts, {depth} deep{end}, {} rules", rules.len())
    });
    let figure = figures.collect::<Vec<_>>().join("; ");
    let short = models.into_iter().flatten().filter_map(|explored| explored.broken).collect();
    Ok(Report::new(Promise::Explore, size, figure, short))
}
