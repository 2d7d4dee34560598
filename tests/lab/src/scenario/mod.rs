//! Scenarios: JSON files that a person can read aloud and that all languages run verbatim.
//!
//! | module | what it does |
//! |---|---|
//! | [`schema`] | what a scenario may say; documented in `tests/scenarios/README.md` |
//! | [`parse`] | from text to steps, with the line of each |
//! | [`play`] | plays the steps in a world of its own |

mod parse;
mod play;
mod schema;

pub use parse::{BadScenario, parse};
pub use play::{Outcome, Time, play};
pub(crate) use play::{Player, caption, describe_leg, describe_report};
pub use schema::Scenario;
pub(crate) use schema::Step;
