//! The promises: a name, a goal, and how it is measured.
//!
//! | module | promise |
//! |---|---|
//! | [`kill`] | killed at any moment, the session survives |
//! | [`once`] | one expiry, one request, however many ask |
//! | [`suspend`] | who sleeps with the lease in hand wakes up without harm |
//! | [`network`] | no fault of a network signs anybody out |
//! | [`clock`] | no clock signs anybody out, or makes a storm |
//! | [`canary`] | no secret is where it should not be |
//! | [`logout`] | signed out means signed out, at once |
//! | [`latency`] | a push that starts the app is decided on in a moment; other languages have the token at once |
//! | [`converge`] | no two apps disagree once the network is quiet, and nothing acknowledged is lost |
//! | [`mirror`] | what is chosen on one phone is shown by all others, nearly as soon as a bare event could be |
//! | [`battery`] | an idle phone is left alone |
//! | [`herd`] | who loses a node comes back, and not all at once |
//! | [`answer`] | whoever answers has the call, alone, or the caller is told |
//! | [`ring`] | silent while calls are forwarded, and else not |
//! | [`explore`] | nothing that can happen in a small world breaks a rule |
//! | [`size`] | small, on disk and in memory |

mod answer;
mod battery;
mod canary;
mod clock;
mod converge;
mod explore;
mod herd;
mod kill;
mod latency;
mod logout;
mod mirror;
mod network;
mod once;
mod ring;
mod size;
mod suspend;

use clap::ValueEnum;

use crate::{
    report::{ErrorMessage, Report, Size as Rounds},
    services,
    through::Through,
};

/// A promise that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Promise {
    Kill,
    Once,
    Suspend,
    Network,
    Clock,
    Canary,
    Logout,
    Latency,
    Converge,
    Mirror,
    Battery,
    Ring,
    Answer,
    Explore,
    Herd,
    Size,
}

impl Promise {
    pub(crate) const ALL: &[Self] = &[
        Self::Kill,
        Self::Once,
        Self::Suspend,
        Self::Network,
        Self::Clock,
        Self::Canary,
        Self::Logout,
        Self::Latency,
        Self::Converge,
        Self::Mirror,
        Self::Battery,
        Self::Ring,
        Self::Answer,
        Self::Explore,
        Self::Herd,
        Self::Size,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Once => "once",
            Self::Suspend => "suspend",
            Self::Network => "network",
            Self::Clock => "clock",
            Self::Canary => "canary",
            Self::Logout => "logout",
            Self::Latency => "latency",
            Self::Converge => "converge",
            Self::Mirror => "mirror",
            Self::Battery => "battery",
            Self::Ring => "ring",
            Self::Answer => "answer",
            Self::Explore => "explore",
            Self::Herd => "herd",
            Self::Size => "size",
        }
    }

    pub(crate) const fn goal(self) -> &'static str {
        match self {
            Self::Kill => {
                "killed anywhere (SIGKILL at 1,000 seeded points of login, refresh, save and sign-out): recovers, no sign-out"
            }
            Self::Once => "one expiry, 64 tasks x 4 processes, 1,000 times: exactly 1 POST each, 0 invalid_grant",
            Self::Suspend => {
                "lease holder stopped (SIGSTOP), woken after another refreshed: 0 false sign-outs in 10,000"
            }
            Self::Network => "every network fault in every session state: still signed in",
            Self::Clock => "clock +-10 years, jumps: works, no storm of refreshes",
            Self::Canary => "secrets in logs, database, WAL, temporary files, memory after sign-out: 0",
            Self::Logout => "offline: locked within 100 ms; from afar: no ring after 2 s",
            Self::Latency => {
                "cold: from the start of the process to the ring decision, p99: 20 ms; cached token across a binding (--through), p99: 50 µs"
            }
            Self::Converge => {
                "5 devices x 10,000 interleavings (loss, duplication, reordering, partition): all equal at the end, 0 rev regressions"
            }
            Self::Mirror => "mirror latency, device to device: p99 <= 1.5 x a bare SSE round trip",
            Self::Battery => "background after 20 s: 0 requests, 0 timers; foreground: <= 4 heartbeats a minute",
            Self::Herd => "10,000 clients lose a node: peak reconnect rate <= 2 x mean; all converge",
            Self::Ring => {
                "100,000 races of forwarding and calls, with clocks, keys, networks and servers at fault: missed, doubled, late, wrongly silent: 0 each where a newer fact was known; each iOS push reported once"
            }
            Self::Answer => {
                "10,000 plays through every fault and kill point: one device has the call or the caller is told; in a call that nobody has: <= 2 s, or one lease when the phone died"
            }
            Self::Explore => {
                "two processes on one vault (4 kinds of issuer); one or two phones with calls (3 kinds of server); 2 faults: everything that can happen in 5 acts (--full: 7 and more): no rule broken, a way out of each state"
            }
            Self::Size => "the library as it ships: within its budget; an idle core: <= 1 MiB",
        }
    }

    /// What this machine lacks to measure it.
    pub(crate) fn lacks(self) -> Option<&'static str> {
        match self {
            Self::Herd => services::lack(),
            Self::Kill
            | Self::Once
            | Self::Suspend
            | Self::Network
            | Self::Clock
            | Self::Canary
            | Self::Logout
            | Self::Latency
            | Self::Converge
            | Self::Mirror
            | Self::Battery
            | Self::Ring
            | Self::Answer
            | Self::Explore
            | Self::Size => None,
        }
    }

    pub(crate) async fn measure(self, rounds: Rounds, through: &[Through]) -> Result<Report, ErrorMessage> {
        match self {
            Self::Kill => kill::measure(rounds).await,
            Self::Once => once::measure(rounds).await,
            Self::Suspend => suspend::measure(rounds).await,
            Self::Network => network::measure(rounds).await,
            Self::Clock => clock::measure(rounds).await,
            Self::Canary => canary::measure(rounds).await,
            Self::Logout => logout::measure(rounds).await,
            Self::Latency => latency::measure(rounds, through).await,
            Self::Converge => converge::measure(rounds).await,
            Self::Mirror => mirror::measure(rounds).await,
            Self::Battery => battery::measure(rounds).await,
            Self::Ring => ring::measure(rounds).await,
            Self::Answer => answer::measure(rounds).await,
            Self::Explore => explore::measure(rounds).await,
            Self::Herd => herd::measure(rounds).await,
            Self::Size => size::measure(rounds).await,
        }
    }
}
