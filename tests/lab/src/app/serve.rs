//! `lab phone`: an app in a process of its own, over the core's Rust interface. It keeps the protocol honest, and is the
//! shortest description of what such a program does.

use std::{
    future::poll_fn,
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
};

use hookswitch::{
    http::Network,
    machine::{AppState, Failure},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::mpsc,
    task::JoinSet,
};

use super::{
    News,
    here::Here,
    protocol::{Ask, Open, Opened, Question, Said},
};
use crate::clock::PhoneClock;

/// Speaks the lines of `tests/scenarios/PHONES.md` on standard input and output, until the input ends.
///
/// # Errors
/// Says which line could not be read, or why nothing could be read or written.
pub async fn serve() -> Result<(), String> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut next = async || -> Result<Option<Question>, String> {
        let Some(line) = lines.next_line().await.map_err(|error| error.to_string())? else { return Ok(None) };
        serde_json::from_str(&line).map(Some).map_err(|error| format!("{line}: {error}"))
    };
    let voice = Arc::new(Voice::default());
    let Some(Question { id, ask: Ask::Open(open) }) = next().await? else {
        return Err("the first question is \"open\"".into());
    };
    let (news, mut told) = mpsc::unbounded_channel();
    let app = match start(open, news).await {
        Ok(app) => Arc::new(app),
        Err(failure) => return voice.say(&Said::Answer { id, answer: Err(failure) }),
    };
    voice.catch_up(&app)?;
    let opened = serde_json::to_value(Opened { device: app.device().clone() }).map_err(|error| error.to_string())?;
    voice.say(&Said::Answer { id, answer: Ok(opened) })?;
    // What is under way ends with the input.
    let mut work = JoinSet::new();
    loop {
        let question = tokio::select! {
            question = next() => question?,
            Some(news) = told.recv() => {
                match news {
                    News::Shown(_) => voice.catch_up(&app)?,
                    News::Stopped(stopped) => voice.say(&Said::Stopped(stopped))?,
                    News::Ended(_) => {}
                }
                continue;
            }
            Some(done) = work.join_next(), if !work.is_empty() => {
                done.map_err(|error| error.to_string())??;
                continue;
            }
        };
        let Some(Question { id, ask }) = question else { return Ok(()) };
        let (app, voice) = (Arc::clone(&app), Arc::clone(&voice));
        let mut answering = Box::pin(async move {
            let answer = app.perform(ask).await;
            voice.catch_up(&app)?;
            voice.say(&Said::Answer { id, answer })
        });
        // Begun in the order in which they come, whatever the runtime's threads do later.
        match poll_fn(|context| Poll::Ready(answering.as_mut().poll(context))).await {
            Poll::Ready(said) => said?,
            Poll::Pending => drop(work.spawn(answering)),
        }
    }
}

async fn start(open: Open, news: mpsc::UnboundedSender<News>) -> Result<Here, Failure> {
    let Open { config, proxy, clock } = open;
    let network = Network::through(&proxy)?;
    Here::open(config, PhoneClock::told(clock), Arc::new(network), news).await
}

/// Standard output.
#[derive(Default)]
struct Voice {
    last_shown: Mutex<Option<AppState>>,
}

impl Voice {
    fn say(&self, said: &Said) -> Result<(), String> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", said.line()).and_then(|()| out.flush()).map_err(|error| error.to_string())
    }

    /// Says what is shown, unless that was said already.
    fn catch_up(&self, app: &Here) -> Result<(), String> {
        let mut last = self.last_shown.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = app.shown();
        if last.as_ref() == Some(&shown) {
            return Ok(());
        }
        *last = Some(shown.clone());
        self.say(&Said::Shown(Box::new(shown)))
    }
}
