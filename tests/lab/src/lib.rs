//! The lab: backend, two phones with the real core, browser surfaces; with a page to play with, and scenarios headless.
//!
//! | module | what it does |
//! |---|---|
//! | [`scenario`] | reads and plays scenario files |
//! | [`server`] | the page and its API |
//! | [`browser`] | a browser without a screen |
//! | `world` | everything that there is in a lab |
//! | [`nodes`] | the backend behind it, as one node or two |
//! | `phone` | a phone: a real core and what surrounds it |
//! | `cable`, `clock` | a phone's network and time, to be tampered with |
//! | `timeline` | what happened |

pub mod browser;
mod cable;
mod clock;
pub mod nodes;
mod phone;
pub mod scenario;
pub mod server;
mod timeline;
mod world;
