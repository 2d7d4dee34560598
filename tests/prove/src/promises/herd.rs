//! `herd`: a node dies, and all whose streams it held come to the other one.
//!
//! Real nodes, each a process, on one PostgreSQL, and woken by NATS where it is installed. All streams are on one node, which
//! is killed once all have heard a heartbeat: until then, not every stream was told how many there are. A client here is the
//! least that behaves as an app does: a connection, and the machine's own rule of when to try again. What is counted is what a network would see: attempts to connect.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hookswitch::{
    machine::backoff::{Backoff, NETWORK, Random},
    wire::{Role, TokenAnswer, Version},
};
use hookswitch_backend::{AgentSeed, Backend, Config, Database, PasswordCost};
use lab::browser::{Browser, Credentials, Method, Page};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
};

use super::Promise;
use crate::{
    child::REDIRECT,
    process::text,
    report::{ErrorMessage, Progress, Report, Size},
    services::{self, Node},
};

const GOAL: f64 = 2.0;
/// Attempts are counted by so many milliseconds.
const BIN: u64 = 50;
/// Streams that are opened at a time before anything happens.
const AT_A_TIME: usize = 200;
/// Nothing takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(240);
/// The pair of RFC 7636, appendix B: nobody is to be kept out here.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let wanted = size.pick(400, 10_000);
    let streams = wanted.min(files().saturating_sub(500));
    let agents = size.pick(20, 100);
    let mut short = Vec::new();
    if streams < wanted {
        short.push(format!("only {streams} streams: a process may open no more files"));
    }
    let mut progress = Progress::new(Promise::Herd, 2 * streams);

    let (_postgres, database) = services::postgres().await?;
    let nats = services::nats().await?;
    let bus = nats.as_ref().map(|(_, url)| url.as_str());
    // Signs agents in and calls them; holds no stream.
    let judge = services::backend(Config {
        database: Database::Postgres(database.clone().into()),
        bus: bus.map(str::to_owned),
        password_cost: PasswordCost { memory_kib: 64, passes: 1 },
        ..Config::default()
    })
    .await?;
    let node = Node::new(&database, bus, judge.base_url());
    let (mut dies, stays) = (node.start().await?, node.start().await?);
    let mut tokens = Vec::new();
    for agent in 0..agents {
        tokens.push(Arc::<str>::from(sign_in(&judge, &email(agent)).await?));
    }

    let empty = dies.memory();
    let (order, orders) = watch::channel(None);
    let herd = Arc::new(Herd::new(streams, [dies.address, stays.address]));
    let mut clients = JoinSet::new();
    for (number, token) in tokens.iter().cycle().take(streams).enumerate() {
        let seed = size.luck(number).u64(..);
        clients.spawn(client(Arc::clone(&herd), number, Arc::clone(token), seed, orders.clone()));
        if number % AT_A_TIME == AT_A_TIME - 1 {
            herd.until(|herd| herd.live() + AT_A_TIME / 2 > number, "streams do not open").await?;
        }
        progress.at(herd.live());
    }
    herd.until(|herd| herd.live() == streams, "streams do not open").await?;
    herd.full.store(true, Ordering::Relaxed);
    herd.until(|herd| herd.beats.load(Ordering::Relaxed) == streams, "not all hear a heartbeat").await?;
    let full = dies.memory();

    let cpu = stays.cpu();
    let died = Instant::now();
    order.send_replace(Some(died));
    dies.kill().await?;
    herd.until(|herd| herd.turned() == streams && herd.live() == streams, "not all come back").await?;
    let back = died.elapsed();
    let cpu = stays.cpu().zip(cpu).map(|(after, before)| after - before);
    progress.at(2 * streams);

    // What happens from now on reaches all of them.
    let began = Instant::now();
    let mut newest = Vec::new();
    for agent in 0..agents {
        judge.operator().incoming_call(&email(agent), None, None).map_err(text)?;
        newest.push(judge.operator().snapshot(&email(agent)).map_err(text)?.version);
    }
    herd.until(|herd| herd.show(&newest), "not all show the newest state").await?;
    let converged = began.elapsed();
    clients.shutdown().await;

    let rate = Rate::of(&herd.attempts());
    if rate.times() > GOAL {
        short.push(format!("the peak is {:.2} times the mean", rate.times()));
    }
    let per = |what: Option<f64>, unit: &str| what.map_or("unknown".to_owned(), |what| format!("{what:.1} {unit}"));
    let memory = full.zip(empty).map(|(full, empty)| full.saturating_sub(empty) as f64 / streams as f64);
    let figure = format!(
        "{streams} streams of {agents} agents, all on the node that died: {rate}; all back after {:.1} s; a call to each \
         agent shown by all after {:.2} s; {} a connection, {} of CPU a reconnect{}",
        back.as_secs_f64(),
        converged.as_secs_f64(),
        per(memory, "KiB"),
        per(cpu.map(|cpu| cpu * 1_000.0 / streams as f64), "ms"),
        if bus.is_some() { "" } else { "; without NATS" },
    );
    Ok(Report::new(Promise::Herd, size, figure, short))
}

/// How many files this process and its children may open: as many as are allowed without asking.
fn files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files).unwrap_or(usize::MAX)
}

fn email(agent: usize) -> String {
    format!("agent-{agent}@acme.example")
}

/// An access token of a new agent's phone.
async fn sign_in(judge: &Backend, email: &str) -> Result<String, ErrorMessage> {
    let seed = AgentSeed::new(email, "An Agent", Role::Agent);
    let credentials =
        Credentials { email: email.into(), password: seed.password.clone(), method: Method::Password, code: None };
    judge.operator().add_agent(seed).await.map_err(text)?;
    let base = judge.base_url();
    let login = format!(
        "{base}/authorize?response_type=code&client_id=hookswitch-mobile&redirect_uri={REDIRECT}&scope=openid&state=s\
         &nonce=n&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    let page = Browser::new(base, judge.upstream_url())?.sign_in(&login, &credentials).await?;
    let Page::App { redirect } = page else { return Err(format!("the browser stands on {}", page.name())) };
    let code = redirect.split(['?', '&']).find_map(|field| field.strip_prefix("code=")).ok_or("no code")?;
    let form = format!(
        "grant_type=authorization_code&client_id=hookswitch-mobile&code={code}&redirect_uri={REDIRECT}\
         &code_verifier={VERIFIER}"
    );
    let mut connection = TcpStream::connect(judge.address()).await.map_err(text)?;
    let request = format!(
        "POST /token HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    connection.write_all(request.as_bytes()).await.map_err(text)?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.map_err(text)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).ok_or("no answer")?;
    let tokens: TokenAnswer = serde_json::from_str(body).map_err(|error| format!("{error}: {answer}"))?;
    Ok(tokens.access_token)
}

/// All clients.
struct Herd {
    /// The one that dies, and the one that stays.
    nodes: [SocketAddr; 2],
    /// What each shows; `None`: it has no stream.
    shown: Vec<Mutex<Option<Version>>>,
    live: AtomicUsize,
    /// All streams are open.
    full: AtomicBool,
    /// Those that have heard a heartbeat since then.
    beats: AtomicUsize,
    /// Those that lost a stream.
    turned: AtomicUsize,
    /// Milliseconds after the death.
    attempts: Mutex<Vec<u64>>,
}

impl Herd {
    fn new(streams: usize, nodes: [SocketAddr; 2]) -> Self {
        Self {
            nodes,
            shown: (0..streams).map(|_| Mutex::default()).collect(),
            live: AtomicUsize::new(0),
            full: AtomicBool::new(false),
            beats: AtomicUsize::new(0),
            turned: AtomicUsize::new(0),
            attempts: Mutex::default(),
        }
    }

    fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    fn turned(&self) -> usize {
        self.turned.load(Ordering::Relaxed)
    }

    fn attempts(&self) -> Vec<u64> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, number: usize, version: Option<Version>) {
        let Some(shown) = self.shown.get(number) else { return };
        let before = std::mem::replace(&mut *shown.lock().unwrap_or_else(PoisonError::into_inner), version);
        match (before, version) {
            (None, Some(_)) => self.live.fetch_add(1, Ordering::Relaxed),
            (Some(_), None) => self.live.fetch_sub(1, Ordering::Relaxed),
            (None, None) | (Some(_), Some(_)) => 0,
        };
    }

    fn show(&self, newest: &[Version]) -> bool {
        self.shown.iter().zip(newest.iter().cycle()).all(|(shown, newest)| {
            shown.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|shown| shown >= *newest)
        })
    }

    async fn until(&self, so: impl Fn(&Self) -> bool, else_: &str) -> Result<(), ErrorMessage> {
        let work = async {
            while !so(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, work).await.map_err(|_| format!("{else_}: {} are open", self.live()))
    }
}

/// One app with one stream, until it is stopped.
async fn client(herd: Arc<Herd>, number: usize, token: Arc<str>, seed: u64, died: watch::Receiver<Option<Instant>>) {
    let (mut backoff, mut random) = (Backoff::default(), Random::new(seed));
    loop {
        let death = *died.borrow();
        if let Some(death) = death {
            let at = u64::try_from(death.elapsed().as_millis()).unwrap_or(u64::MAX);
            herd.attempts.lock().unwrap_or_else(PoisonError::into_inner).push(at);
        }
        // Whoever spreads connections knows which node lives.
        let [dies, stays] = herd.nodes;
        let node = if death.is_some() { stays } else { dies };
        let mut retry = None;
        let _ = watch_stream(&herd, number, node, &token, &mut retry).await;
        if herd.shown.get(number).is_some_and(|shown| shown.lock().is_ok_and(|shown| shown.is_some())) {
            // It had lived for long when the node died.
            herd.set(number, None);
            herd.turned.fetch_add(1, Ordering::Relaxed);
            backoff.reset();
        }
        let wait = backoff.fail(NETWORK, 0, &mut random, retry);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

/// Returns when the stream ends; `retry` is then what the node asked for, in milliseconds.
async fn watch_stream(
    herd: &Herd,
    number: usize,
    node: SocketAddr,
    token: &str,
    retry: &mut Option<u64>,
) -> std::io::Result<()> {
    let mut connection = BufReader::with_capacity(2_048, TcpStream::connect(node).await?);
    let request = format!("GET /v1/me/stream HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
    connection.get_mut().write_all(request.as_bytes()).await?;
    let (mut line, mut counted) = (String::new(), false);
    while connection.read_line(&mut line).await? > 0 {
        if let Some(Ok(version)) = line.strip_prefix("id: ").map(|id| id.trim().parse::<Version>()) {
            herd.set(number, Some(version));
        } else if let Some(Ok(millis)) = line.strip_prefix("retry: ").map(|millis| millis.trim().parse()) {
            *retry = Some(millis);
        } else if line.trim() == "event: heartbeat" && herd.full.load(Ordering::Relaxed) && !counted {
            counted = true;
            herd.beats.fetch_add(1, Ordering::Relaxed);
        }
        line.clear();
    }
    Ok(())
}

/// Attempts by time.
struct Rate {
    attempts: usize,
    /// Attempts a second.
    peak: f64,
    mean: f64,
    /// From the first attempt to the last, in milliseconds.
    took: u64,
}

impl Rate {
    fn of(attempts: &[u64]) -> Self {
        let first = attempts.iter().min().copied().unwrap_or_default();
        let last = attempts.iter().max().copied().unwrap_or_default();
        let mut bins = vec![0_u32; usize::try_from((last - first) / BIN + 1).unwrap_or(1)];
        for at in attempts {
            if let Some(bin) = usize::try_from((at - first) / BIN).ok().and_then(|bin| bins.get_mut(bin)) {
                *bin += 1;
            }
        }
        let a_second = 1_000.0 / BIN as f64;
        let peak = bins.iter().max().copied().unwrap_or_default();
        Self {
            attempts: attempts.len(),
            peak: f64::from(peak) * a_second,
            mean: attempts.len() as f64 / bins.len() as f64 * a_second,
            took: last - first,
        }
    }

    fn times(&self) -> f64 {
        self.peak / self.mean
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} attempts within {} ms, peak {:.0}/s, mean {:.0}/s (x {:.2})",
            self.attempts,
            self.took,
            self.peak,
            self.mean,
            self.times()
        )
    }
}
