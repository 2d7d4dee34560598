//! The lab: backend, two phones with the real core, browser surfaces; with a page to play with, and scenarios headless.
//!
//! | module | what it does |
//! |---|---|
//! | [`scenario`] | reads and plays scenario files |
//! | [`server`] | the page and its API |
//! | [`browser`] | a browser without a screen |
//! | `world` | everything that there is in a lab |
//! | [`nodes`] | the backend behind it, as one node or two |
//! | `phone` | a phone: an app and what surrounds it |
//! | `app` | the app on a phone: the real core in this process, or in one of its own |
//! | `cable`, `clock` | a phone's network and time, to be tampered with |
//! | `timeline`, `calls` | what happened, and of which call |
//! | `words` | values in words for people |
//! | [`top`] | the lab on a terminal |

mod app;
pub mod browser;
mod cable;
mod calls;
mod clock;
pub mod nodes;
mod phone;
pub mod scenario;
pub mod server;
mod timeline;
pub mod top;
mod words;
mod world;

pub use app::{child::Program, serve::serve as serve_phone};
pub use world::Surroundings;
