//! What the core needs from outside: time, keys and HTTP. Each is a small trait with the real thing beside it.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use hookswitch_machine::{Mono, Outcome, Timestamp};
use hookswitch_wire::UnixMillis;
use zeroize::Zeroizing;

/// What the core needs from outside.
#[derive(Clone)]
pub struct Ports {
    /// What time it is, and when some time has passed.
    pub clock: Arc<dyn Clock>,
    /// The platform's key store, which wraps the key of the vault.
    pub keys: Arc<dyn KeyProvider>,
    /// The network, by which server and issuer are asked.
    pub http: Arc<dyn Http>,
}

/// The device's clocks. Called from any thread, and [`Clock::now`] under a lock: it must not wait, nor call into the core.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    /// What both clocks say now, in milliseconds.
    fn now(&self) -> Timestamp;

    /// Returns when the monotonic clock has reached `at`. May be dropped at any time.
    async fn sleep_until(&self, at: Mono);
}

/// The clocks of the device.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// Counts while the device sleeps: on Linux and Android that is `CLOCK_BOOTTIME`, on Apple's systems `CLOCK_MONOTONIC`.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MONOTONIC: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const MONOTONIC: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let millis = |id| {
            let time = rustix::time::clock_gettime(id);
            time.tv_sec.saturating_mul(1_000).saturating_add(time.tv_nsec / 1_000_000)
        };
        Timestamp {
            wall: UnixMillis(millis(rustix::time::ClockId::Realtime)),
            mono: u64::try_from(millis(MONOTONIC)).unwrap_or(0),
        }
    }

    async fn sleep_until(&self, at: Mono) {
        // A timer of the runtime stands still while the device sleeps, so it may come late; the loop keeps it from coming
        // early.
        loop {
            let left = at.saturating_sub(self.now().mono);
            if left == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(left)).await;
        }
    }
}

/// The platform's key store: wraps the vault's data key. Called on the vault's thread, never under a lock; may block.
///
/// Android: a key of the Android Keystore. iOS: a key of the Keychain, accessible after the first unlock, this device only.
pub trait KeyProvider: Send + Sync + 'static {
    /// Wraps a data key so that only this device can unwrap it; makes the key that wraps when there is none.
    ///
    /// # Errors
    /// [`KeyFault::Unavailable`] before the first unlock, [`KeyFault::Failed`] for everything else.
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, KeyFault>;

    /// The data key that [`Self::wrap`] has wrapped.
    ///
    /// # Errors
    /// [`KeyFault::Unavailable`] before the first unlock; [`KeyFault::Invalidated`] when it can never be unwrapped again, and only
    /// then: the core begins with an empty vault, and the agent has to sign in; [`KeyFault::Failed`] for everything else.
    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFault>;
}

/// Why a key cannot be had. The difference matters: one passes, one is for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// Not now: the device was not unlocked since it started. Nothing is lost.
    Unavailable,
    /// Never again: the screen lock was removed, the app restored to another device. What was sealed is lost.
    Invalidated,
    /// The key store fails in another way; it may work next time.
    Failed(String),
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable => f.write_str("the key cannot be read before the first unlock"),
            Self::Invalidated => f.write_str("the key is gone for good"),
            Self::Failed(why) => write!(f, "the key store fails: {why}"),
        }
    }
}

impl std::error::Error for KeyFault {}

/// A request. Headers with secrets are marked sensitive, so that `Debug` does not show them.
pub type HttpRequest = http::Request<Bytes>;

/// An answer, its body still to come.
pub struct HttpResponse {
    /// Status and headers, which have come already.
    pub head: http::response::Parts,
    /// The body, piece by piece; a fault is its last piece.
    pub body: BoxStream<'static, Result<Bytes, HttpFault>>,
}

/// Why there is no answer. The text is for logs; it has no address and no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpFault {
    /// The request never left: no connection was made. The server has done nothing. Said only when that is certain, since a
    /// refresh token counts as unused then.
    NotSent(String),
    /// The request may have arrived, and no answer came, or not the whole of it. Says nothing about what the server did.
    NoAnswer(String),
}

impl HttpFault {
    /// What is known of a request that was sent twice, to no avail: it never left only if neither did.
    pub(crate) fn or(self, other: Self) -> Self {
        if matches!(self, Self::NoAnswer(_)) { self } else { other }
    }
}

/// How a request may be sent. An extension of the request; an implementation of [`Http`] may pass over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Once, and on a connection that cannot have died unseen: what must not come twice, such as a refresh token.
    #[default]
    Alone,
    /// Twice if need be: it changes nothing, or has an `Idempotency-Key`.
    Raced,
    /// Once; that no answer comes for a while means nothing, since the server waits for news.
    Waits,
}

impl fmt::Display for HttpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(cause) | Self::NoAnswer(cause) => f.write_str(cause),
        }
    }
}

impl From<HttpFault> for Outcome {
    fn from(fault: HttpFault) -> Self {
        match fault {
            HttpFault::NotSent(cause) => Self::NotSent { cause },
            HttpFault::NoAnswer(cause) => Self::Unreachable { cause },
        }
    }
}

impl std::error::Error for HttpFault {}

/// The network. Follows no redirects, keeps no cookies.
#[async_trait]
pub trait Http: Send + Sync + 'static {
    /// Sends a request. Dropping the future or the body ends the exchange.
    ///
    /// # Errors
    /// When no answer came: [`HttpFault::NotSent`] only when the request cannot have left.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault>;

    /// All connections are left: the device is in another network, where they may be dead without a word; or the agent has signed out,
    /// and they may remember tokens.
    fn network_changed(&self) {}
}
