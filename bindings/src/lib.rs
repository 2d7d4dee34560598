//! The core behind UniFFI: what the Kotlin and Swift layers call. No app sees it.
//!
//! | module | what it exports |
//! |---|---|
//! | [`core`] | [`Core`], the object: session, presence, calls, platform events |
//! | [`config`] | [`CoreConfig`] |
//! | [`model`] | the core's own types: what apps show, ring decisions, failures |
//! | [`keys`], [`observer`], [`log`], [`clock`] | the foreign traits: key store, changes, log lines, and clocks for tests |
//! | `runtime` | the threads |
//! | `android` | on Android only: the certificate verifier's context |
//!
//! Threads: the library owns one tokio runtime of two threads, from the first core of the process to its last. Asynchronous
//! methods may be awaited on any thread and abandoned at any time (Swift does not drop a Rust future when its task is
//! cancelled): the work goes on in the runtime. Foreign traits are called on threads of the library's, with no lock held;
//! they are synchronous, since foreign asynchronous traits do not compile in Swift 6 mode.
//!
//! A panic does not cross: UniFFI makes an exception of it.

#[cfg(target_os = "android")]
pub mod android;
pub mod clock;
pub mod config;
pub mod core;
pub mod keys;
pub mod log;
pub mod model;
pub mod observer;
#[cfg(feature = "inject-panic")]
pub mod panic;
mod runtime;

pub use self::{config::CoreConfig, core::Core};

/// Memory is wiped when it is freed: secrets pass through buffers of HTTP, TLS and JSON that are not ours to wipe. What
/// remains in a core dump after the sign-out is measured by `prove canary`.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

uniffi::setup_scaffolding!("hookswitch");
