//! Not sampled but exhaustive: everything that can happen in a small world, to a stated depth, over the real `step()`.
//!
//! | module | what it is |
//! |---|---|
//! | [`session`] | two processes on one vault, an issuer, and what can go wrong between them |
//! | [`calls`] | one or two phones, a server, calls, pushes and forwarding |
//! | [`search`](mod@search) | breadth first, on all cores |
//! | [`canon`] | when two states are one |
//! | [`tell`] | a counterexample, for a person and as transcripts that replay |
//!
//! A model says what may happen next ([`search::Model::acts`]), lets it happen, and says what does not hold afterwards: that
//! is looked at in every state. And from each state at the end of the search, and each in which nothing is under way, it
//! follows the kind path: nothing fails any more, whatever is out arrives, timers go off. At its end all must be well.

mod calls;
mod canon;
mod search;
mod session;
mod tell;

pub(crate) use calls::explore_calls;
pub(crate) use session::explore_sessions;

use search::{Bounds, Model, Searched, search};
use tell::Story;

use crate::report::ErrorMessage;

/// What does not hold, for a person.
type Broken = String;

/// What a search came to.
pub(crate) struct Explored {
    /// What was searched.
    pub(crate) name: &'static str,
    /// What was held against each state, or each step to it.
    pub(crate) rules: &'static [&'static str],
    pub(crate) states: usize,
    pub(crate) steps: usize,
    pub(crate) depth: usize,
    /// Nothing was left to look at.
    pub(crate) complete: bool,
    /// What does not hold, and where its story is.
    pub(crate) broken: Option<String>,
}

/// Searches a model, and tells what it finds.
fn explored<M: Model>(
    name: &'static str,
    rules: &'static [&'static str],
    model: &M,
    bounds: Bounds,
    story: impl Fn(&[M::Act]) -> Story,
) -> Result<Explored, ErrorMessage> {
    let Searched { states, steps, depth, complete, broken } = search(model, bounds)?;
    let broken = broken.map(|(acts, why)| tell::tell(name, &story(&acts), &why)).transpose()?;
    Ok(Explored { name, rules, states, steps, depth, complete, broken })
}
