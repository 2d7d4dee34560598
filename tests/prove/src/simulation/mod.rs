//! A deterministic simulation: real cores and the backend's real presence logic on a network that does its worst.
//!
//! Time is a number and nothing waits, so that thousands of interleavings fit in a minute; luck is a seed, so that each can
//! be had again.
//!
//! | module | what it is |
//! |---|---|
//! | [`plan`] | an interleaving: what people, phones, servers and the network do, and when |
//! | [`world`] | everything that happens, in the order of its time |
//! | [`phone`] | a real core with a driver and a vault of the simulation |
//! | [`server`] | the backend's presence model with its streams and tokens, and a record of what it did |
//! | [`claims`] | what must hold after each step, and in the end |
//! | [`idle`] | what a phone costs that nobody touches |
//! | [`shrink`] | makes a plan that fails as short as it can |
//! | [`many`] | plays many plans, and tells the story of the first that fails |

mod claims;
mod idle;
mod many;
mod phone;
mod plan;
mod server;
mod shrink;
mod world;

pub(crate) use idle::{Hour, idle_hours};
pub(crate) use many::{Played, play_many};
pub(crate) use plan::Plan;
use shrink::shrink;
use world::{Tally, play, transcript};

/// What does not hold, for a person.
pub(crate) type Broken = String;
