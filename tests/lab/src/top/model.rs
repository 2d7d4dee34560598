//! What is known of the lab, and since when.

use std::{collections::BTreeMap, time::Instant};

use serde::Deserialize;
use serde_json::Value;

/// What the feed tells.
#[derive(Debug)]
pub(super) enum News {
    /// The lab as it is now.
    View(Box<View>),
    /// Nothing is heard any more, and why; it is tried again.
    Lost(String),
}

/// How fresh the picture is.
#[derive(Debug)]
pub(super) enum Link {
    /// Nothing was heard yet.
    Connecting,
    Live,
    Lost(String),
}

pub(super) struct Model {
    pub(super) origin: String,
    pub(super) link: Link,
    /// The last view, and when it came.
    pub(super) view: Option<(Box<View>, Instant)>,
}

impl Model {
    pub(super) fn new(origin: &str) -> Self {
        Self { origin: origin.to_owned(), link: Link::Connecting, view: None }
    }

    pub(super) fn take(&mut self, news: News, now: Instant) {
        match news {
            News::View(view) => {
                self.link = Link::Live;
                self.view = Some((view, now));
            }
            News::Lost(why) => self.link = Link::Lost(why),
        }
    }
}

/// `GET /lab/view`, as far as it is shown here.
#[derive(Debug, Deserialize)]
pub(super) struct View {
    pub(super) now: i64,
    pub(super) phones: Vec<PhoneRow>,
    pub(super) calls: Vec<Call>,
    pub(super) timeline: Vec<Line>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PhoneRow {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) power: String,
    pub(super) network: String,
    pub(super) foreground: bool,
    pub(super) session: Session,
    pub(super) presence: Option<Presence>,
    pub(super) ringing: Option<Ringing>,
    pub(super) call: Option<Ringing>,
    pub(super) decisions: Vec<Decision>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Session {
    pub(super) state: String,
    pub(super) status: Option<String>,
    pub(super) email: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Presence {
    pub(super) version: String,
    pub(super) effective: String,
    pub(super) availability: Value,
    pub(super) forwarding: Forwarding,
    pub(super) link: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Forwarding {
    pub(super) number: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ringing {
    pub(super) from: Option<String>,
    pub(super) from_name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Decision {
    pub(super) at: i64,
    pub(super) verdict: String,
    pub(super) rule: String,
    pub(super) platform: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Call {
    pub(super) from: Option<String>,
    pub(super) state: String,
    pub(super) at: i64,
    pub(super) devices: Vec<Device>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Device {
    pub(super) key: String,
    pub(super) outcome: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) at: i64,
    pub(super) who: String,
    pub(super) text: String,
    #[serde(default)]
    pub(super) version: Option<String>,
}

/// A state on its way over the screens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spread {
    pub(super) version: String,
    /// Who showed it first; the one that chose it, if it is a choice.
    pub(super) first: String,
    /// Who showed it last.
    pub(super) last: String,
    /// By how many screens it was shown.
    pub(super) screens: usize,
    /// From the first to the last, in milliseconds.
    pub(super) millis: i64,
}

/// The last states that were shown, newest first: the lines of the timeline that say a version.
pub(super) fn spreads(timeline: &[Line]) -> Vec<Spread> {
    let mut versions: BTreeMap<(u64, u64), Vec<&Line>> = BTreeMap::new();
    for line in timeline {
        let version = line.version.as_deref().and_then(|version| version.split_once('-'));
        if let Some((Ok(epoch), Ok(rev))) = version.map(|(epoch, rev)| (epoch.parse(), rev.parse())) {
            versions.entry((epoch, rev)).or_default().push(line);
        }
    }
    let spread = |((epoch, rev), mut lines): ((u64, u64), Vec<&Line>)| {
        lines.sort_by_key(|line| line.at);
        let (first, last) = (lines.first()?, lines.last()?);
        Some(Spread {
            version: format!("{epoch}-{rev}"),
            first: first.who.clone(),
            last: last.who.clone(),
            screens: lines.len(),
            millis: last.at - first.at,
        })
    };
    versions.into_iter().rev().filter_map(spread).collect()
}
