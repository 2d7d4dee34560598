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
//! | [`tomorrow`] | what a newer server says: words, fields and callers that these phones do not know |
//! | [`claims`] | what must hold after each step, and in the end |
//! | [`calls`] | what must hold of calls: nobody is in one that nobody has |
//! | [`idle`] | what a phone costs that nobody touches |
//! | [`shrink`] | makes a plan that fails as short as it can |
//! | [`many`] | plays many plans, and tells the story of the first that fails |

mod calls;
mod claims;
mod idle;
mod many;
mod phone;
mod plan;
mod server;
mod shrink;
mod tomorrow;
mod world;

pub(crate) use claims::{DOUBLED, LATE, MISSED, WRONGLY_SILENT};
pub(crate) use idle::{Hour, idle_hours};
pub(crate) use many::{Played, play_many};
pub(crate) use plan::Plan;
use shrink::shrink;
use world::{Tally, play, transcript};

/// What does not hold, for a person.
pub(crate) type Broken = String;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_interleavings_agree_in_the_end() {
        for seed in 0..100 {
            let plan = Plan::new(seed);
            play(&plan).unwrap_or_else(|broken| panic!("{seed}: {broken}\n{}", transcript(&shrink(plan)).join("\n")));
        }
    }

    #[test]
    fn a_seed_does_the_same_again() {
        for seed in 0..20 {
            let plays = [(); 2].map(|()| world::story(&Plan::new(seed)));
            assert!(plays[0].len() > 10);
            assert_eq!(plays[0], plays[1], "{seed}");
        }
    }

    #[test]
    fn an_idle_phone_in_the_background_is_left_alone() {
        for seed in 0..20 {
            let [front, back] = idle_hours(seed).unwrap();
            assert_eq!(back, Hour::default());
            assert!((230..=241).contains(&front.heartbeats), "{front:?}");
        }
    }
}
