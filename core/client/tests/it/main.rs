//! The session through the public API: a real vault in a folder of its own; time and network are the test's.
//!
//! | module | what it promises |
//! |---|---|
//! | [`bench`] | (the clock, the network and the sign-in page that tests hold in their hands) |
//! | [`issuers`] | what odd and hostile issuers say ends as docs/issuers.md has it |
//! | [`login`] | a sign-in survives the death of the process at every point, and takes one redirect only |
//! | [`single_flight`] | one refresh an expiry, whoever asks, leaves or sleeps |
//! | [`storage`] | storage that fails costs no session, and the app is told |

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test"
)]

mod bench;
mod issuers;
mod login;
mod single_flight;
mod storage;
