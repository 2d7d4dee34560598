//! Keeping up with the server.
//!
//! | module | what it does |
//! |---|---|
//! | [`request`] | the requests of the API |
//! | [`stream`] | the presence stream |
//! | [`frames`] | the framing of server-sent events |
//!
//! When to connect, when to give up and what a tap becomes is decided in the machine (`hookswitch_machine::presence`).

pub(crate) mod frames;
pub(crate) mod request;
pub(crate) mod stream;
