//! `mirror`: how soon a choice on one phone is shown by all others.
//!
//! Real cores, the real backend, real connections. A bare server, which does nothing but pass a number on as a server-sent
//! event, is measured in the same rounds with the same HTTP client and the same number of listeners: what a choice takes
//! beyond that is ours.
//!
//! Both are measured twice. Far: each way takes [`FAR`], as on a good mobile network; that is what an agent sees, and what
//! is held against the goal. Near: on loopback, where a bare event takes a tenth of a millisecond, and a choice that is
//! authorised, committed to a database and read into five state machines takes a multiple of that; the figure is shown,
//! because it is all ours.
//!
//! Far, the phones are on two nodes in turns: a choice is committed to PostgreSQL and told by NATS (or found by looking, where
//! there is none). Near, and where there is no PostgreSQL, on one.

use std::{
    convert::Infallible,
    fmt,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    response::sse::{Event, Sse},
    routing::{get, post},
};
use futures_util::{Stream, StreamExt, stream};
use hookswitch::{
    machine::view::Link,
    ports::{Http, HttpRequest},
    wire::{Availability, UnavailableReason},
};
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc},
    task::JoinSet,
};

use super::Promise;
use crate::{
    local::{Cable, Local},
    process::text,
    report::{ErrorMessage, Progress, Report, Size, percentiles},
    services,
    test_backend::TestBackend,
};

/// One chooses, the others show it.
const PHONES: usize = 5;
/// Rounds that are not counted: connections are opened, code is read from disk.
const WARM_UP: usize = 20;
const GOAL: f64 = 1.5;
/// From a phone to the server, or back.
const FAR: Duration = Duration::from_millis(10);
/// Nothing takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What somebody has shown or heard, and when.
type Heard<T> = mpsc::UnboundedReceiver<(T, Instant)>;

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let rounds = size.pick(100, 1_500);
    let mut progress = Progress::new(Promise::Mirror, 2 * rounds);
    let mut phones = Phones::open(TestBackend::open().await?).await?;
    let mut bare = Bare::open(Duration::ZERO).await?;
    let near = Compared::over(rounds, &mut phones, &mut bare, |round| progress.at(round)).await?;
    let (mut services, mut nodes) = (None, "one node".to_owned());
    if services::lack().is_none() {
        let ((postgres, database), nats) = (services::postgres().await?, services::nats().await?);
        let bus = nats.as_ref().map(|(_, url)| url.as_str());
        phones = Phones::open(TestBackend::of_two_nodes(&database, bus).await?).await?;
        nodes = format!("two nodes on PostgreSQL{}", if bus.is_some() { " and NATS" } else { "" });
        services = Some((postgres, nats));
    }
    phones.stretch(FAR).await?;
    let mut bare = Bare::open(FAR).await?;
    let far = Compared::over(rounds, &mut phones, &mut bare, |round| progress.at(rounds + round)).await?;
    drop(phones);
    drop(services);
    // The quick size runs beside other work, which a 99th percentile is made of.
    let ((ours, theirs), by) = if size.full { (far.p99, "p99") } else { (far.p50, "p50") };
    let times = ours / theirs;
    let short =
        if times > GOAL { vec![format!("{by} is {times:.2} times that of the bare round trip")] } else { vec![] };
    let figure = format!(
        "{rounds} choices, {} other phones; {nodes}, {} ms each way: {far}; one node, on loopback: {near}",
        PHONES - 1,
        FAR.as_millis()
    );
    Ok(Report::new(Promise::Mirror, size, figure, short))
}

/// Milliseconds: ours, and those of the bare server.
struct Compared {
    p50: (f64, f64),
    p99: (f64, f64),
}

impl Compared {
    async fn over(
        rounds: usize,
        phones: &mut Phones,
        bare: &mut Bare,
        mut progress: impl FnMut(usize),
    ) -> Result<Self, ErrorMessage> {
        let (mut mirrored, mut passed_on) = (Vec::new(), Vec::new());
        for round in 0..rounds + WARM_UP {
            let (ours, theirs) = (phones.round().await?, bare.round().await?);
            if round >= WARM_UP {
                mirrored.extend(ours);
                passed_on.extend(theirs);
            }
            progress(round.min(rounds));
        }
        let (ours, theirs) = (percentiles(mirrored), percentiles(passed_on));
        Ok(Self { p50: (ours.0, theirs.0), p99: (ours.1, theirs.1) })
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99 } = self;
        write!(
            f,
            "p50 {:.2} ms, p99 {:.2} ms; bare {:.2}, {:.2} (x {:.2}, x {:.2})",
            p50.0,
            p99.0,
            p50.1,
            p99.1,
            p50.0 / p50.1,
            p99.0 / p99.1
        )
    }
}

/// Milliseconds from `began` until each of `all` has said what is waited for.
async fn until_all<T>(
    heard: &mut Heard<T>,
    all: usize,
    began: Instant,
    is_it: impl Fn(&T) -> bool,
) -> Result<Vec<f64>, ErrorMessage> {
    let mut took = Vec::with_capacity(all);
    let work = async {
        while took.len() < all {
            let (what, at) = heard.recv().await.ok_or("whoever listens is gone")?;
            if is_it(&what) {
                took.push(at.duration_since(began).as_secs_f64() * 1_000.0);
            }
        }
        Ok::<_, ErrorMessage>(())
    };
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| "not everybody hears of it")??;
    Ok(took)
}

struct Phones {
    phones: Vec<Local>,
    rounds: usize,
    shown: Heard<(usize, Availability)>,
    _watchers: JoinSet<()>,
    _backend: TestBackend,
}

impl Phones {
    async fn open(backend: TestBackend) -> Result<Self, ErrorMessage> {
        let (mut phones, mut watchers) = (Vec::new(), JoinSet::new());
        let (says, shown) = mpsc::unbounded_channel();
        for (index, node) in (0..PHONES).zip(backend.nodes().cycle()) {
            let phone = Local::at(&backend, &backend.folder(&format!("phone-{index}")), Some(node)).await?;
            phone.sign_in(&backend).await?;
            phone.core.foreground();
            let mut views = phone.core.watch();
            views.wait_for(|view| view.link == Link::Live).await.map_err(text)?;
            let says = says.clone();
            watchers.spawn(async move {
                let mut last = None;
                while views.changed().await.is_ok() {
                    let shows = {
                        let view = views.borrow_and_update();
                        view.presence.as_ref().map(|presence| presence.availability)
                    };
                    if let Some(shows) = shows.filter(|shows| last.replace(*shows) != Some(*shows)) {
                        let _ = says.send(((index, shows), Instant::now()));
                    }
                }
            });
            phones.push(phone);
        }
        Ok(Self { phones, rounds: 0, shown, _watchers: watchers, _backend: backend })
    }

    /// Streams that are open stay as they are until they open anew.
    async fn stretch(&self, one_way: Duration) -> Result<(), ErrorMessage> {
        for phone in &self.phones {
            phone.cable.stretch(one_way);
            let mut views = phone.core.watch();
            phone.core.network(false);
            views.wait_for(|view| view.link != Link::Live).await.map_err(text)?;
            phone.core.network(true);
            views.wait_for(|view| view.link == Link::Live).await.map_err(text)?;
        }
        Ok(())
    }

    async fn round(&mut self) -> Result<Vec<f64>, ErrorMessage> {
        let round = self.rounds;
        self.rounds += 1;
        let chooser = round % PHONES;
        let reason = UnavailableReason::ALL.get(round % UnavailableReason::ALL.len()).copied();
        let choice = reason.map_or(Availability::Available, |reason| Availability::Unavailable { reason });
        let phone = self.phones.get(chooser).ok_or("no such phone")?;
        let began = Instant::now();
        let (chosen, took) = tokio::join!(
            phone.core.set_availability(choice),
            until_all(&mut self.shown, PHONES - 1, began, |(index, shows)| { *index != chooser && *shows == choice })
        );
        chosen.map_err(text)?;
        took
    }
}

/// A server that passes numbers on, and its listeners.
struct Bare {
    cable: Cable,
    address: String,
    rounds: u64,
    heard: Heard<u64>,
    _tasks: JoinSet<()>,
}

impl Bare {
    async fn open(one_way: Duration) -> Result<Self, ErrorMessage> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(text)?;
        let address = format!("http://{}", listener.local_addr().map_err(text)?);
        let router = Router::new()
            .route("/say", post(say))
            .route("/hear", get(hear))
            .with_state(broadcast::Sender::<String>::new(64));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _ =
                axum::serve(axum::serve::ListenerExt::tap_io(listener, |io| drop(io.set_nodelay(true))), router).await;
        });
        let (says, heard) = mpsc::unbounded_channel();
        for _ in 1..PHONES {
            let cable = Cable::open(None)?;
            cable.stretch(one_way);
            let request = HttpRequest::new(bytes::Bytes::new());
            let answer = cable.send(to(request, &format!("{address}/hear"))?).await.map_err(text)?;
            let says = says.clone();
            tasks.spawn(async move {
                let mut body = answer.body;
                while let Some(Ok(piece)) = body.next().await {
                    let number = std::str::from_utf8(&piece).ok().and_then(|text| text.trim().strip_prefix("data: "));
                    if let Some(Ok(number)) = number.map(str::parse) {
                        let _ = says.send((number, Instant::now()));
                    }
                }
            });
        }
        let cable = Cable::open(None)?;
        cable.stretch(one_way);
        Ok(Self { cable, address, rounds: 0, heard, _tasks: tasks })
    }

    async fn round(&mut self) -> Result<Vec<f64>, ErrorMessage> {
        let round = self.rounds;
        self.rounds += 1;
        let mut request = HttpRequest::new(round.to_string().into());
        *request.method_mut() = http::Method::POST;
        let request = to(request, &format!("{}/say", self.address))?;
        let began = Instant::now();
        let (answer, took) = tokio::join!(
            self.cable.send(request),
            until_all(&mut self.heard, PHONES - 1, began, |number| *number == round)
        );
        let mut body = answer.map_err(text)?.body;
        while body.next().await.is_some() {}
        took
    }
}

fn to(mut request: HttpRequest, address: &str) -> Result<HttpRequest, ErrorMessage> {
    *request.uri_mut() = address.parse().map_err(text)?;
    Ok(request)
}

async fn say(State(all): State<broadcast::Sender<String>>, number: String) {
    let _ = all.send(number);
}

async fn hear(State(all): State<broadcast::Sender<String>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold(all.subscribe(), |mut numbers| async move {
        let number = numbers.recv().await.ok()?;
        Some((Ok(Event::default().data(number)), numbers))
    }))
}
