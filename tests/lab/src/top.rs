//! `lab top`: the lab on a terminal, live.
//!
//! | module | what it does |
//! |---|---|
//! | [`feed`] | hears the lab: its stream of views, again and again when it is lost |
//! | [`model`] | what is known, and how old it is; pure |
//! | [`picture`] | draws it; pure |
//!
//! On something that is no terminal it prints one picture and ends.

mod feed;
mod model;
mod picture;

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{self, Event, KeyCode, KeyModifiers},
};
use tokio::sync::mpsc;
use url::Url;

use self::model::{Model, News};

/// Where nobody looks, there is one picture of this size.
const PLAIN: (u16, u16) = (120, 40);
/// Ages are drawn anew.
const TICK: Duration = Duration::from_millis(500);

/// An address as somebody types it: `http://` may be left out.
///
/// # Errors
/// When it is none.
pub fn address(typed: &str) -> Result<Url, String> {
    let whole = if typed.contains("://") { typed.to_owned() } else { format!("http://{typed}") };
    Url::parse(&whole).map_err(|error| error.to_string())
}

/// Shows the lab at `origin` until somebody presses `q`, Esc or Ctrl-C.
///
/// # Errors
/// When the terminal cannot be used, or nobody looks and there is no lab.
pub async fn top(origin: Url) -> Result<(), String> {
    let mut model = Model::new(origin.as_str().trim_end_matches('/'));
    let mut news = feed::begin(origin);
    if !io::stdout().is_terminal() {
        let first = news.recv().await.ok_or("nothing is heard of the lab")?;
        if let News::Lost(why) = &first {
            return Err(format!("no lab answers there: {why}"));
        }
        model.take(first, Instant::now());
        print!("{}", plain(&model)?);
        return Ok(());
    }
    // Restores the terminal when this panics, too.
    let mut terminal = ratatui::try_init().map_err(|error| error.to_string())?;
    let ended = live(&mut terminal, &mut model, &mut news).await;
    ratatui::restore();
    ended.map_err(|error| error.to_string())
}

async fn live(
    terminal: &mut ratatui::DefaultTerminal,
    model: &mut Model,
    news: &mut mpsc::Receiver<News>,
) -> io::Result<()> {
    let mut keys = keys();
    let mut tick = tokio::time::interval(TICK);
    loop {
        terminal.draw(|frame| picture::draw(model, Instant::now(), frame.area(), frame.buffer_mut()))?;
        tokio::select! {
            Some(heard) = news.recv() => model.take(heard, Instant::now()),
            key = keys.recv() => match key {
                Some(Key::Redraw) => {}
                Some(Key::Quit) | None => return Ok(()),
            },
            _ = tick.tick() => {}
        }
    }
}

enum Key {
    Quit,
    /// The window has another size.
    Redraw,
}

/// Reading keys blocks: a thread of its own, which the end of the process ends.
fn keys() -> mpsc::Receiver<Key> {
    let (pressed, keys) = mpsc::channel(8);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if meaning(&event).is_some_and(|key| pressed.blocking_send(key).is_err()) {
                break;
            }
        }
    });
    keys
}

fn meaning(event: &Event) -> Option<Key> {
    if matches!(event, Event::Resize(..)) {
        return Some(Key::Redraw);
    }
    let key = event.as_key_press_event()?;
    let ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    (ctrl_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)).then_some(Key::Quit)
}

/// The picture as text, without the spaces at the ends of lines.
fn plain(model: &Model) -> Result<String, String> {
    let mut terminal = Terminal::new(TestBackend::new(PLAIN.0, PLAIN.1)).map_err(|error| error.to_string())?;
    let drawn = terminal
        .draw(|frame| picture::draw(model, Instant::now(), frame.area(), frame.buffer_mut()))
        .map_err(|error| error.to_string())?;
    Ok(picture::text(drawn.buffer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_good_with_its_scheme_and_without() {
        for typed in ["http://127.0.0.1:4711", "127.0.0.1:4711", "http://127.0.0.1:4711/"] {
            assert_eq!(address(typed).unwrap().as_str(), "http://127.0.0.1:4711/", "{typed}");
        }
        assert_eq!(address("localhost:4711").unwrap().as_str(), "http://localhost:4711/");
        assert_eq!(address("[::1]:4711").unwrap().as_str(), "http://[::1]:4711/");
        assert!(address("").is_err());
    }
}
