//! `mirror`: how soon a choice on one phone is shown by all others.
//!
//! Real cores, the real backend, real connections. A bare server, which does nothing but pass a number on as a server-sent
//! event, is measured in the same rounds with the same HTTP client and the same number of listeners: what a choice takes
//! beyond that is ours.

use std::{
    convert::Infallible,
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
    http::Network,
    machine::view::LinkView,
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
    house::House,
    local::Local,
    process::text,
    report::{Progress, Report, Size, Trouble, percentiles},
};

/// One chooses, the others show it.
const PHONES: usize = 5;
/// Rounds that are not counted: connections are opened, code is read from disk.
const WARM_UP: usize = 20;
const GOAL: f64 = 1.5;
/// Nothing takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What somebody has shown or heard, and when.
type Heard<T> = mpsc::UnboundedReceiver<(T, Instant)>;

pub(super) async fn measure(size: Size) -> Result<Report, Trouble> {
    let rounds = size.pick(300, 3_000);
    let mut progress = Progress::new(Promise::Mirror, rounds);
    let mut phones = Phones::open().await?;
    let mut bare = Bare::open().await?;
    let (mut mirrored, mut passed_on) = (Vec::new(), Vec::new());
    for round in 0..rounds + WARM_UP {
        let (ours, theirs) = (phones.round(round).await?, bare.round(round as u64).await?);
        if round >= WARM_UP {
            mirrored.extend(ours);
            passed_on.extend(theirs);
        }
        progress.at(round);
    }
    let (ours, theirs) = (percentiles(mirrored), percentiles(passed_on));
    let ratio = ours.1 / theirs.1;
    // The quick size runs beside other work, which a 99th percentile is made of.
    let (judged, by) = if size.full { (ratio, "p99") } else { (ours.0 / theirs.0, "p50") };
    let short =
        if judged > GOAL { vec![format!("{by} is {judged:.2} times that of the bare round trip")] } else { vec![] };
    let figure = format!(
        "{rounds} choices, {} other phones, one node: p50 {:.2} ms, p99 {:.2} ms; bare: {:.2} ms, {:.2} ms; p50 x {:.2}, p99 x {ratio:.2}",
        PHONES - 1,
        ours.0,
        ours.1,
        theirs.0,
        theirs.1,
        ours.0 / theirs.0
    );
    Ok(Report::new(Promise::Mirror, size, figure, short))
}

/// Milliseconds from `began` until each of `all` has said what is waited for.
async fn until_all<T>(
    heard: &mut Heard<T>,
    all: usize,
    began: Instant,
    is_it: impl Fn(&T) -> bool,
) -> Result<Vec<f64>, Trouble> {
    let mut took = Vec::with_capacity(all);
    let work = async {
        while took.len() < all {
            let (what, at) = heard.recv().await.ok_or("whoever listens is gone")?;
            if is_it(&what) {
                took.push(at.duration_since(began).as_secs_f64() * 1_000.0);
            }
        }
        Ok::<_, Trouble>(())
    };
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| "not everybody hears of it")??;
    Ok(took)
}

struct Phones {
    phones: Vec<Local>,
    shown: Heard<(usize, Availability)>,
    _watchers: JoinSet<()>,
    _house: House,
}

impl Phones {
    async fn open() -> Result<Self, Trouble> {
        let house = House::open().await?;
        let (mut phones, mut watchers) = (Vec::new(), JoinSet::new());
        let (says, shown) = mpsc::unbounded_channel();
        for index in 0..PHONES {
            let phone = Local::open(&house, &house.folder(&format!("phone-{index}"))).await?;
            phone.sign_in(&house).await?;
            phone.core.foreground();
            let mut views = phone.core.watch();
            views.wait_for(|view| view.link == LinkView::Live).await.map_err(text)?;
            let says = says.clone();
            watchers.spawn(async move {
                let mut last = None;
                while views.changed().await.is_ok() {
                    let shows = {
                        let view = views.borrow_and_update();
                        view.presence.as_ref().map(|presence| presence.confirmed.presence.availability)
                    };
                    if let Some(shows) = shows.filter(|shows| last.replace(*shows) != Some(*shows)) {
                        let _ = says.send(((index, shows), Instant::now()));
                    }
                }
            });
            phones.push(phone);
        }
        Ok(Self { phones, shown, _watchers: watchers, _house: house })
    }

    async fn round(&mut self, round: usize) -> Result<Vec<f64>, Trouble> {
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
    network: Network,
    address: String,
    heard: Heard<u64>,
    _tasks: JoinSet<()>,
}

impl Bare {
    async fn open() -> Result<Self, Trouble> {
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
            let network = Network::new().map_err(text)?;
            let request = HttpRequest::new(bytes::Bytes::new());
            let answer = network.send(to(request, &format!("{address}/hear"))?).await.map_err(text)?;
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
        Ok(Self { network: Network::new().map_err(text)?, address, heard, _tasks: tasks })
    }

    async fn round(&mut self, round: u64) -> Result<Vec<f64>, Trouble> {
        let mut request = HttpRequest::new(round.to_string().into());
        *request.method_mut() = http::Method::POST;
        let request = to(request, &format!("{}/say", self.address))?;
        let began = Instant::now();
        let (answer, took) = tokio::join!(
            self.network.send(request),
            until_all(&mut self.heard, PHONES - 1, began, |number| *number == round)
        );
        let mut body = answer.map_err(text)?.body;
        while body.next().await.is_some() {}
        took
    }
}

fn to(mut request: HttpRequest, address: &str) -> Result<HttpRequest, Trouble> {
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
