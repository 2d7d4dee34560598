//! Presence: the server's state, the agent's taps, and the stream that keeps them together.
//!
//! The phone shows what the server says and nothing else. A tap is shown as *pending*, apart from what is confirmed, until
//! the server's answer has it. A tap of the last [`TAP_LIFE`] is applied on top of whatever the server has by then, unless
//! that was chosen elsewhere after the tap was made: of two, the later one wins, not the one that arrives later. An
//! older one is dropped and shown as superseded: an availability that somebody chose an hour ago, before a tunnel, must
//! not overwrite what they chose on another device since. One whose answer was lost may have been applied: it stays
//! pending and is *withdrawn* ([`Version::NEVER`](hookswitch_wire::Version::NEVER)), and the server's answer to that says which of the two it was.
//!
//! | module | what is decided there |
//! |---|---|
//! | `sync` | which state is newer, and what follows from it |
//! | `taps` | when a tap is sent, repeated, withdrawn or given up |
//! | `stream` | when the stream is open, dead, tried again, or replaced by questions |

mod stream;
mod sync;
mod taps;

pub use stream::{DEAD_AFTER, FIRST_WORD, HEARTBEAT, POLL, POLL_FOR, STABLE_AFTER};
pub use taps::TAP_LIFE;

#[cfg(test)]
mod tests;
