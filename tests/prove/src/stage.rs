//! How far a process has come, told on its output; and the point at which it kills itself.
//!
//! Stages are where the core meets the world: a key is wrapped, a request is sent, its answer has begun, its body was
//! read. What lies between them (transactions of the vault, above all) is reached by going on for some microseconds.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::StreamExt;
use hookswitch::ports::{Http, HttpFault, HttpRequest, HttpResponse, KeyFault, KeyProvider};
use secrecy::zeroize::Zeroizing;

/// Where a process kills itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KillPoint {
    /// The name of a stage.
    pub(crate) stage: String,
    /// Which time that stage is reached, from 1.
    pub(crate) nth: u32,
    /// How long it goes on after that, in microseconds.
    pub(crate) micros: u64,
}

impl fmt::Display for KillPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}+{}", self.stage, self.nth, self.micros)
    }
}

impl FromStr for KillPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("not STAGE#NTH+MICROSECONDS: {text}");
        let (stage, rest) = text.rsplit_once('#').ok_or_else(wrong)?;
        let (nth, micros) = rest.split_once('+').ok_or_else(wrong)?;
        let number = |_| wrong();
        Ok(Self { stage: stage.to_owned(), nth: nth.parse().map_err(number)?, micros: micros.parse().map_err(number)? })
    }
}

/// Tells the stages of this process.
pub(crate) struct Stages {
    kill: Option<KillPoint>,
    reached: AtomicU32,
}

impl Stages {
    pub(crate) fn new(kill: Option<KillPoint>) -> Arc<Self> {
        Arc::new(Self { kill, reached: AtomicU32::new(0) })
    }

    pub(crate) fn reached(&self, stage: &str) {
        println!("{}", serde_json::json!({ "stage": stage }));
        let Some(point) = &self.kill else { return };
        if point.stage != stage || self.reached.fetch_add(1, Ordering::Relaxed) + 1 != point.nth {
            return;
        }
        if point.micros == 0 {
            die();
        }
        let at = Instant::now() + Duration::from_micros(point.micros);
        std::thread::spawn(move || {
            while Instant::now() < at {
                std::hint::spin_loop();
            }
            die();
        });
    }
}

fn die() {
    // SIGKILL to itself cannot fail.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

/// A network that tells its stages.
pub(crate) struct StagedHttp<H> {
    pub(crate) inner: H,
    pub(crate) stages: Arc<Stages>,
}

#[async_trait]
impl<H: Http> Http for StagedHttp<H> {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpFault> {
        let path = request.uri().path().to_owned();
        self.stages.reached(&format!("send {path}"));
        let HttpResponse { head, body } = self.inner.send(request).await?;
        self.stages.reached(&format!("answer {path}"));
        let stages = Arc::clone(&self.stages);
        let end = futures_util::stream::once(async move {
            stages.reached(&format!("read {path}"));
            None
        });
        let body = body.map(Some).chain(end).filter_map(std::future::ready);
        Ok(HttpResponse { head, body: body.boxed() })
    }
}

/// A key store that tells its stages.
pub(crate) struct StagedKeys<K> {
    pub(crate) inner: K,
    pub(crate) stages: Arc<Stages>,
}

impl<K: KeyProvider> KeyProvider for StagedKeys<K> {
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, KeyFault> {
        self.stages.reached("wrap");
        self.inner.wrap(key)
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        self.stages.reached("unwrap");
        self.inner.unwrap(wrapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_point_is_read_as_it_is_written() {
        let point = KillPoint { stage: "send /a#b".into(), nth: 2, micros: 150 };
        assert_eq!(point.to_string().parse(), Ok(point));
        assert!("send".parse::<KillPoint>().is_err());
        assert!("send#x+1".parse::<KillPoint>().is_err());
    }
}
