//! Presence: the server's state, the agent's taps, and the stream that keeps them together.
//!
//! The phone shows what the server says and nothing else. A tap is shown as *pending*, apart from what is confirmed, until
//! the server's answer has it. A tap of the last [`TAP_LIFE`] is applied on top of whatever the server has by then; an
//! older one is dropped and shown as superseded: an availability that somebody chose an hour ago, before a tunnel, must
//! not overwrite what they chose on another device since. One whose answer was lost may have been applied: it stays
//! pending and is *withdrawn* ([`Version::NEVER`]), and the server's answer to that says which of the two it was.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use hookswitch_wire::{Availability, Chosen, ForwardTo, Snapshot, StreamEvent, UnixMillis, Version, problem::code};
use serde::{Deserialize, Serialize};

use crate::{
    backoff::{Backoff, NETWORK},
    effect::{ApiCall, Effect, EffectId, Reply},
    error::Failure,
    event::{CommandId, Outcome, SecretRef, StreamNews},
    session::{RepairStage, Session},
    state::{Lifecycle, Purpose, Step, Timer},
    time::Mono,
};

/// A tap older than this is not applied any more, in milliseconds.
pub const TAP_LIFE: u64 = 10_000;
/// So often a tap is sent again on top of another state before it is given up.
const REBASES: u32 = 8;
/// The server sends a heartbeat this often, in milliseconds.
pub const HEARTBEAT: u64 = 15_000;
/// A stream that was silent for two and a half heartbeats is dead, in milliseconds.
pub const DEAD_AFTER: u64 = HEARTBEAT * 5 / 2;
/// A stream says its first word at once. One that has not by then is held back on its way, or there is no way, in
/// milliseconds. Shorter than the shell waits for an answer, which is as good a sign.
pub const FIRST_WORD: u64 = HEARTBEAT;
/// Where streams are held back (a proxy that buffers), the state is asked for instead: a question waits this long for
/// news, in seconds...
pub const POLL: u64 = 15;
/// ...the next one is at least so many milliseconds after it...
const POLL_PACE: u64 = 250;
/// ...and after this time a stream is tried again, in milliseconds.
pub const POLL_FOR: u64 = 10 * 60 * 1_000;
/// A stream that has lived this long is stable: the next failure starts with a short wait again, in milliseconds.
pub const STABLE_AFTER: u64 = 30_000;
/// The stream goes on this long after the app has left the foreground, in milliseconds.
pub const BACKGROUND_GRACE: u64 = 20_000;

/// What the phone knows of the agent's presence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PresenceSync {
    /// The newest state of the server.
    pub(crate) confirmed: Option<Box<Snapshot>>,
    pub(crate) taps: Taps,
    pub(crate) superseded: Option<SupersededChoice>,
    pub(crate) link: StreamLink,
    pub(crate) backoff: Backoff,
    /// What was shown before a repair dropped it: nothing older comes back, until the server is asked anew.
    #[serde(default)]
    pub(crate) floor: Option<Version>,
    /// The last stream was refused with 401 before it said anything: a second time is no accident.
    pub(crate) refused: bool,
    /// The last stream fell silent, and none has beaten since.
    #[serde(default)]
    pub(crate) silent: bool,
    /// Until then there is no stream: the state is asked for.
    #[serde(default)]
    pub(crate) poll_until: Option<Mono>,
    /// How long the server wants to be left alone by this stream's phone should the stream be lost, in milliseconds.
    #[serde(default)]
    pub(crate) retry: Option<u64>,
    /// What is or was waited for last is the turn that the server gave, after the loss of a stream. Nothing has failed since.
    #[serde(default)]
    pub(crate) in_turn: bool,
}

impl PresenceSync {
    /// Drops what the server will say again.
    pub(crate) fn drop_cache(&mut self) {
        self.floor = self.version().max(self.floor);
        self.confirmed = None;
        self.superseded = None;
        self.backoff.reset();
    }

    /// Whether attempts to reach the server fail.
    pub(crate) const fn fails(&self) -> bool {
        self.backoff.has_failed() && !self.in_turn
    }

    pub(crate) fn version(&self) -> Option<Version> {
        self.confirmed.as_ref().map(|snapshot| snapshot.version)
    }
}

/// What a tap is about; there is at most one pending of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceKind {
    /// The availability picker.
    Availability,
    /// The forwarding switch.
    Forwarding,
}

/// What a tap asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Choice {
    /// This availability.
    Availability {
        /// Which.
        availability: Availability,
    },
    /// Calls to this number, or to the apps.
    Forwarding {
        /// Which; `None`: to the apps.
        to: Option<ForwardTo>,
    },
}

impl Choice {
    /// What it is about.
    pub const fn kind(&self) -> ChoiceKind {
        match self {
            Self::Availability { .. } => ChoiceKind::Availability,
            Self::Forwarding { .. } => ChoiceKind::Forwarding,
        }
    }
}

/// A tap that the server has not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tap {
    pub(crate) choice: Choice,
    /// Waits for the end of it; `None` when it was told that the end is not known yet.
    pub(crate) to: Option<CommandId>,
    pub(crate) at: Mono,
    pub(crate) sent: bool,
    /// The request is out, and not only waiting for a token.
    pub(crate) out: bool,
    /// A request that was out had no answer: it may have been carried out.
    pub(crate) in_doubt: bool,
    /// Too old and in doubt: asked to be undone rather than done.
    pub(crate) withdrawn: bool,
    /// How often it was sent on top of another state.
    pub(crate) rebased: u32,
    /// What was sent last; kept while the answer is in doubt, so that a repetition is known as one.
    pub(crate) attempt: Option<(String, Version)>,
}

/// The pending taps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taps {
    availability: Option<Tap>,
    forwarding: Option<Tap>,
}

impl Taps {
    fn slot(&mut self, kind: ChoiceKind) -> &mut Option<Tap> {
        match kind {
            ChoiceKind::Availability => &mut self.availability,
            ChoiceKind::Forwarding => &mut self.forwarding,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tap> {
        self.availability.iter().chain(&self.forwarding)
    }

    pub(crate) fn take_all(&mut self) -> Vec<Tap> {
        self.availability.take().into_iter().chain(self.forwarding.take()).collect()
    }
}

/// A tap that was not applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupersededChoice {
    /// What was asked for.
    pub choice: Choice,
    /// When it was given up, by the best guess of the server's clock.
    pub at: UnixMillis,
    /// What happened, for the agent.
    pub why: String,
    /// Where something newer was chosen, for display: "Desktop". Nothing when nothing was, or nobody knows.
    pub by: Option<String>,
    /// When that was, by the server's clock.
    pub chosen_at: Option<UnixMillis>,
}

/// The presence stream, as the phone sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "link", rename_all = "snake_case")]
pub(crate) enum StreamLink {
    /// Closed: signed out, in the background, no network, or waiting to try again.
    #[default]
    Down,
    /// Waits for a fresh token, then opens.
    WantsToken,
    /// Opened, nothing heard yet.
    Opening { stream: EffectId, access: SecretRef },
    /// Heard of within the last two and a half heartbeats.
    Live { stream: EffectId, access: SecretRef },
    /// No stream: the state is asked for, with questions that wait for news.
    Polling { began: Mono, heard: bool },
}

impl StreamLink {
    const fn stream(self) -> Option<(EffectId, SecretRef)> {
        match self {
            Self::Opening { stream, access } | Self::Live { stream, access } => Some((stream, access)),
            Self::Down | Self::WantsToken | Self::Polling { .. } => None,
        }
    }
}

impl Step<'_> {
    // ---- taps --------------------------------------------------------------------------------------------------

    pub(crate) fn tap(&mut self, to: CommandId, choice: Choice) {
        if let Some(failure) = self.state.session.not_signed_in() {
            return self.fail(to, failure);
        }
        let kind = choice.kind();
        let tap = Tap {
            choice,
            to: Some(to),
            at: self.now.mono,
            sent: false,
            out: false,
            in_doubt: false,
            withdrawn: false,
            rebased: 0,
            attempt: None,
        };
        if let Some(older) = self.state.presence.taps.slot(kind).replace(tap) {
            // Its request may still arrive; the newer one is sent after it and wins.
            self.forget(|purpose| *purpose == Purpose::Tap { tap: kind });
            if let Some(to) = older.to {
                self.fail(to, Failure::cancelled("A newer choice replaces this one."));
            }
        }
        self.state.presence.superseded = None;
        let at = self.after(TAP_LIFE);
        self.set_timer(Timer::TapExpiry { tap: kind }, at);
    }

    /// Sends the taps that wait, as soon as there is a state to base them on.
    pub(crate) fn send_taps(&mut self) {
        // A stream waits for its turn, an agent does not: whoever taps now is one, and not a herd.
        let presence = &self.state.presence;
        let reachable = self.state.network_up && (presence.in_turn || presence.backoff.is_over(self.now.mono));
        let Some(newest) = self.state.presence.version().filter(|_| reachable) else { return };
        for kind in [ChoiceKind::Availability, ChoiceKind::Forwarding] {
            if self.is_too_late(&Purpose::Tap { tap: kind }) {
                // The phone slept through the timer: no tap is applied hours later.
                self.tap_expired(kind);
            }
            // Nobody waits for a tap that is withdrawn: it can wait for the foreground.
            let active = self.is_active();
            let Some((choice, attempt, withdrawn)) = self
                .state
                .presence
                .taps
                .slot(kind)
                .as_ref()
                .filter(|tap| !tap.sent && (active || !tap.withdrawn))
                .map(|tap| (tap.choice.clone(), tap.attempt.clone(), tap.withdrawn))
            else {
                continue;
            };
            let (key, base) = attempt.unwrap_or_else(|| (self.idempotency_key(), newest));
            let base = if withdrawn { Version::NEVER } else { base };
            if let Some(tap) = self.state.presence.taps.slot(kind) {
                tap.sent = true;
                tap.attempt = Some((key.clone(), base));
            }
            let call = match choice {
                Choice::Availability { availability } => ApiCall::SetAvailability { key, base, availability },
                Choice::Forwarding { to } => ApiCall::SetForwarding { key, base, to },
            };
            self.call_api(call, Purpose::Tap { tap: kind });
        }
    }

    pub(crate) fn tap_answered(&mut self, kind: ChoiceKind, outcome: Outcome) {
        let now = self.now.mono;
        let Some(tap) = self.state.presence.taps.slot(kind) else { return };
        let young = now.saturating_sub(tap.at) < TAP_LIFE;
        let was_out = std::mem::take(&mut tap.out);
        tap.sent = false;
        match outcome {
            Outcome::State { snapshot } => {
                let to = tap.to;
                self.drop_tap(kind);
                self.apply_snapshot(snapshot);
                if let Some(to) = to {
                    self.reply(to, Ok(Reply::Done));
                }
            }
            Outcome::Refused { code, current, .. } if code == code::STALE && tap.withdrawn => {
                if let Some(snapshot) = current {
                    self.apply_snapshot(snapshot);
                }
                self.supersede_offline(kind);
            }
            // The server is at another state. A tap of just now is the agent's last word: on top of that state, then.
            Outcome::Refused { code, current, .. } if code == code::STALE => {
                // What may still be on its way is on top of a state that never comes again.
                tap.attempt = None;
                tap.in_doubt = false;
                tap.rebased += 1;
                let rebased = tap.rebased;
                if let Some(snapshot) = current {
                    self.apply_snapshot(snapshot);
                }
                // A server that is at another state each time, or is always behind, is not asked for ever.
                if !young || rebased > REBASES {
                    let why = match self.chosen_since(kind) {
                        Some(chosen) => format!("Superseded by {}.", chosen.by.title()),
                        None => "Something newer was chosen on another device.".to_owned(),
                    };
                    self.supersede(kind, &why, Failure::cancelled(format!("Not applied: {why}")));
                }
            }
            // No answer: in doubt, so the very same request is repeated while the tap is young.
            Outcome::Unreachable { .. } | Outcome::Unavailable { .. } | Outcome::Unintelligible { .. } => {
                tap.in_doubt |= was_out;
                if young || tap.withdrawn {
                    self.link_failed(&outcome);
                } else {
                    self.give_up(kind);
                }
            }
            // A token that is refused says nothing of what an earlier request, with a better one, came to.
            Outcome::Refused { status: 401, .. } if tap.withdrawn => self.link_failed(&outcome),
            Outcome::Refused { status: 401, .. } if tap.in_doubt => self.give_up(kind),
            _ if tap.withdrawn => self.supersede_offline(kind),
            other => {
                let to = tap.to;
                let failure = self.failure_of(&other);
                self.drop_tap(kind);
                if let Some(to) = to {
                    self.fail(to, failure);
                }
            }
        }
    }

    pub(crate) fn tap_expired(&mut self, kind: ChoiceKind) {
        // One that is under way is decided by its answer; one that waits for a token is not under way.
        let purpose = Purpose::Tap { tap: kind };
        if !self.is_in_flight(|running| *running == purpose) {
            self.forget(|running| *running == purpose);
            self.give_up(kind);
        }
    }

    /// The request of a tap goes out.
    pub(crate) fn tap_is_out(&mut self, kind: ChoiceKind) {
        if let Some(tap) = self.state.presence.taps.slot(kind) {
            tap.out = true;
        }
    }

    /// The server has refused to look at the request: it was not carried out.
    pub(crate) fn tap_was_not_looked_at(&mut self, purpose: &Purpose) {
        if let Purpose::Tap { tap: kind } = purpose
            && let Some(tap) = self.state.presence.taps.slot(*kind)
        {
            tap.out = false;
        }
    }

    /// Whether this is for a tap that is too old to be applied.
    pub(crate) fn is_too_late(&mut self, purpose: &Purpose) -> bool {
        let Purpose::Tap { tap: kind } = purpose else { return false };
        let now = self.now.mono;
        self.state.presence.taps.slot(*kind).as_ref().is_some_and(|tap| {
            // One that is withdrawn is asked to be undone, which is never too late.
            !tap.withdrawn && now.saturating_sub(tap.at) >= TAP_LIFE
        })
    }

    /// A tap is too old to be applied. One that may have been applied is withdrawn; until the server has said which it
    /// was, it is pending.
    fn give_up(&mut self, kind: ChoiceKind) {
        let Some(tap) = self.state.presence.taps.slot(kind) else { return };
        if !tap.in_doubt {
            return self.supersede_offline(kind);
        }
        tap.withdrawn = true;
        tap.sent = false;
        if let Some(to) = tap.to.take() {
            let why = "The connection broke off. It is settled when the connection is back whether this was applied.";
            self.fail(to, Failure::offline(why));
        }
    }

    fn supersede_offline(&mut self, kind: ChoiceKind) {
        let why = "There was no connection when you chose it.";
        self.supersede(kind, why, Failure::offline(format!("Not applied: {why}")));
    }

    fn supersede(&mut self, kind: ChoiceKind, why: &str, failure: Failure) {
        let at = self.state.clock.guess(self.now);
        let by = self.chosen_since(kind);
        if let Some(tap) = self.drop_tap(kind) {
            if let Some(to) = tap.to {
                self.fail(to, failure);
            }
            let chosen_at = by.as_ref().map(|chosen| chosen.at);
            let by = by.map(|chosen| chosen.by.title().to_owned());
            self.state.presence.superseded =
                Some(SupersededChoice { choice: tap.choice, why: why.to_owned(), at, by, chosen_at });
        }
    }

    /// The availability that was chosen elsewhere after the tap, if any.
    fn chosen_since(&mut self, kind: ChoiceKind) -> Option<Chosen> {
        let now = self.state.clock.guess(self.now);
        let tap = self.state.presence.taps.slot(kind).as_ref()?;
        let age = i64::try_from(self.now.mono.saturating_sub(tap.at)).unwrap_or(i64::MAX);
        let chosen = self.state.presence.confirmed.as_ref()?.presence.chosen.as_ref()?;
        (kind == ChoiceKind::Availability && chosen.at >= now - age).then(|| chosen.clone())
    }

    fn drop_tap(&mut self, kind: ChoiceKind) -> Option<Tap> {
        self.cancel_timer(Timer::TapExpiry { tap: kind });
        self.state.presence.taps.slot(kind).take()
    }

    // ---- state -------------------------------------------------------------------------------------------------

    /// Applies a state if it is newer than the one that is known.
    pub(crate) fn apply_snapshot(&mut self, snapshot: Box<Snapshot>) {
        let known = self.state.presence.version();
        let least = known.max(self.state.presence.floor);
        let Session::SignedIn(session) = &mut self.state.session else { return };
        if snapshot.agent.account != session.agent.account || least.is_some_and(|least| snapshot.version < least) {
            // Not our agent's state, a server's fault that must not show somebody else's calls; or one of long ago.
            return;
        }
        self.state.clock.hear(snapshot.at, None, self.now);
        if known == Some(snapshot.version) {
            return;
        }
        session.agent = (&snapshot.agent).into();
        self.state.presence.confirmed = Some(snapshot);
        self.state.presence.floor = None;
        self.state.unremembered = true;
        self.device_seen();
        self.calls_seen();
    }

    pub(crate) fn fetched(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::State { snapshot } => {
                // The repair has forgotten all questions of before it: what the server says to this one is what is.
                if self.repairs(RepairStage::Fetching) {
                    self.state.presence.floor = None;
                    self.state.calls.remembered = None;
                }
                self.apply_snapshot(snapshot);
                self.repair_progress(RepairStage::Fetching, Ok("The state was read anew."));
            }
            other => {
                let failure = self.failure_of(&other);
                self.repair_progress(RepairStage::Fetching, Err(failure));
            }
        }
    }

    // ---- stream ------------------------------------------------------------------------------------------------

    /// Whether traffic is allowed at all.
    pub(crate) const fn is_active(&self) -> bool {
        match self.state.lifecycle {
            Lifecycle::Foreground | Lifecycle::Leaving => true,
            Lifecycle::Background => false,
        }
    }

    /// Opens the stream when it should be open and is not.
    pub(crate) fn open_stream_if_wanted(&mut self) {
        let wanted = self.is_active() && self.state.network_up;
        let now = self.now;
        let Session::SignedIn(session) = &self.state.session else { return };
        match self.state.presence.link {
            StreamLink::Opening { .. } | StreamLink::Live { .. } | StreamLink::Polling { .. } if !wanted => {
                self.close_stream()
            }
            StreamLink::Polling { began, heard } => self.poll_again(began, heard),
            StreamLink::Down | StreamLink::WantsToken
                if wanted && self.polls() && self.state.presence.backoff.is_over(now.mono) =>
            {
                self.poll(false);
            }
            StreamLink::Down | StreamLink::WantsToken if wanted && self.state.presence.backoff.is_over(now.mono) => {
                if session.has_fresh_token(now) {
                    let access = session.tokens.access;
                    let after = self.state.presence.version();
                    let stream = self.fresh_id();
                    self.state.presence.link = StreamLink::Opening { stream, access };
                    self.state.presence.retry = None;
                    self.effects.push(Effect::OpenStream { id: stream, access, after });
                    let at = self.after(FIRST_WORD);
                    self.set_timer(Timer::Heartbeat, at);
                } else if self.state.presence.link == StreamLink::Down {
                    self.state.presence.link = StreamLink::WantsToken;
                    self.refresh_if_possible();
                }
            }
            StreamLink::WantsToken if !wanted => self.state.presence.link = StreamLink::Down,
            StreamLink::Down | StreamLink::WantsToken | StreamLink::Opening { .. } | StreamLink::Live { .. } => {}
        }
    }

    pub(crate) fn close_stream(&mut self) {
        if let Some((id, _)) = self.state.presence.link.stream() {
            self.effects.push(Effect::CloseStream { id });
        }
        self.forget(|purpose| *purpose == Purpose::Poll);
        self.state.presence.link = StreamLink::Down;
        self.cancel_timer(Timer::Heartbeat);
        self.cancel_timer(Timer::Stable);
        self.cancel_timer(Timer::Reconnect);
    }

    pub(crate) fn stream_news(&mut self, effect: EffectId, news: StreamNews) {
        let Some((stream, access)) = self.state.presence.link.stream().filter(|(stream, _)| *stream == effect) else {
            return;
        };
        match news {
            StreamNews::Event { event } => {
                if matches!(self.state.presence.link, StreamLink::Opening { .. }) {
                    self.state.presence.link = StreamLink::Live { stream, access };
                    self.state.presence.refused = false;
                    let at = self.after(STABLE_AFTER);
                    self.set_timer(Timer::Stable, at);
                }
                let at = self.after(DEAD_AFTER);
                self.set_timer(Timer::Heartbeat, at);
                match event {
                    StreamEvent::State(snapshot) => self.apply_snapshot(snapshot),
                    StreamEvent::Heartbeat(heartbeat) => {
                        self.state.presence.silent = false;
                        self.state.clock.hear(heartbeat.at, None, self.now);
                    }
                    StreamEvent::SignedOut(signed_out) => self.signed_out_remotely(signed_out.reason.into()),
                }
            }
            StreamNews::Retry { millis } => self.state.presence.retry = Some(millis.min(NETWORK.most)),
            StreamNews::Malformed { .. } => {
                self.link_failed(&Outcome::Unintelligible { status: 200, cause: "malformed event".into() });
            }
            StreamNews::Closed { outcome: Outcome::Unauthenticated } => {
                if std::mem::replace(&mut self.state.presence.refused, true) {
                    // The token before this one was refused as well: another one alone will not help.
                    self.link_failed(&Outcome::Unauthenticated);
                } else {
                    self.close_stream();
                }
                self.token_is_stale(access);
            }
            StreamNews::Closed { outcome: Outcome::Unreachable { .. } } if self.state.presence.retry.is_some() => {
                self.reopen_after(self.state.presence.retry);
                self.state.presence.in_turn = true;
            }
            StreamNews::Closed { outcome } => self.link_failed(&outcome),
        }
    }

    pub(crate) fn stream_is_silent(&mut self) {
        let never_spoke = matches!(self.state.presence.link, StreamLink::Opening { .. });
        let again = std::mem::replace(&mut self.state.presence.silent, true);
        if never_spoke || again {
            // Is there no way to the server, or does something on the way hold streams back? A question that ends will tell.
            self.close_stream();
            self.state.presence.poll_until = Some(self.after(POLL_FOR));
        } else {
            self.link_failed(&Outcome::Unreachable { cause: "no heartbeat".into() });
        }
    }

    // ---- questions in place of the stream ----------------------------------------------------------------------

    fn polls(&self) -> bool {
        self.state.presence.poll_until.is_some_and(|until| self.now.mono < until)
    }

    fn poll(&mut self, heard: bool) {
        self.state.presence.link = StreamLink::Polling { began: self.now.mono, heard };
        let after = self.state.presence.version().unwrap_or(Version::NEVER);
        self.call_api(ApiCall::AwaitState { after, wait: POLL }, Purpose::Poll);
    }

    fn poll_again(&mut self, began: Mono, heard: bool) {
        let parked = match &self.state.session {
            Session::SignedIn(session) => session.parked.iter().any(|parked| parked.purpose == Purpose::Poll),
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SigningIn { .. }
            | Session::ReauthRequired { .. }
            | Session::SigningOut { .. } => false,
        };
        if parked || self.is_in_flight(|purpose| *purpose == Purpose::Poll) {
            return;
        }
        let due = began.saturating_add(POLL_PACE);
        if !self.polls() {
            self.state.presence.poll_until = None;
            self.close_stream();
            self.open_stream_if_wanted();
        } else if self.now.mono >= due {
            self.poll(heard);
        } else if !self.state.timers.contains_key(&Timer::Reconnect) {
            self.set_timer(Timer::Reconnect, due);
        }
    }

    pub(crate) fn polled(&mut self, outcome: Outcome) {
        let StreamLink::Polling { began, .. } = self.state.presence.link else { return };
        match outcome {
            Outcome::State { snapshot } => self.apply_snapshot(snapshot),
            // Nothing new.
            Outcome::Done => {}
            // It was not the stream's fault: the next attempt is a stream again.
            other => {
                self.state.presence.poll_until = None;
                return self.link_failed(&other);
            }
        }
        self.state.presence.link = StreamLink::Polling { began, heard: true };
        self.state.presence.backoff.reset();
    }

    pub(crate) fn stream_is_stable(&mut self) {
        self.state.presence.backoff.reset();
    }

    /// The server was not reached: wait, then try again.
    pub(crate) fn link_failed(&mut self, outcome: &Outcome) {
        self.reopen_after(outcome.retry_after());
    }

    /// Waits a while, after what the server asked for, and then opens a stream again.
    fn reopen_after(&mut self, retry_after: Option<u64>) {
        self.close_stream();
        self.state.presence.in_turn = false;
        let at = self.state.presence.backoff.fail(NETWORK, self.now.mono, &mut self.state.random, retry_after);
        if self.is_active() && self.state.network_up {
            self.set_timer(Timer::Reconnect, at);
        }
    }

    // ---- lifecycle and network ---------------------------------------------------------------------------------

    pub(crate) fn foreground(&mut self) {
        self.state.lifecycle = Lifecycle::Foreground;
        self.cancel_timer(Timer::BackgroundGrace);
        // Whoever looks at the app has unlocked the phone.
        if self.state.session == Session::Locked {
            self.load_if_needed();
        }
        self.store_again();
        self.retry_all_now();
    }

    pub(crate) fn background(&mut self) {
        if self.state.lifecycle == Lifecycle::Foreground {
            self.state.lifecycle = Lifecycle::Leaving;
            let at = self.after(BACKGROUND_GRACE);
            self.set_timer(Timer::BackgroundGrace, at);
        }
    }

    pub(crate) fn background_grace_over(&mut self) {
        if self.state.lifecycle != Lifecycle::Leaving {
            return;
        }
        self.state.lifecycle = Lifecycle::Background;
        self.close_stream();
        // The last chance for what storage refused.
        self.store_again();
        for timer in [Timer::SaveTokens, Timer::Register, Timer::Revoke] {
            self.cancel_timer(timer);
        }
        // A timer that somebody waits for stays: another process holds the lease, and will not hold it for long.
        if !matches!(&self.state.session, Session::SignedIn(session) if session.somebody_waits()) {
            self.cancel_timer(Timer::Refresh);
            self.lease_may_be_free();
        }
    }

    pub(crate) fn network(&mut self, up: bool) {
        self.state.network_up = up;
        // Another network has other proxies.
        self.state.presence.poll_until = None;
        self.state.presence.silent = false;
        if matches!(self.state.presence.link, StreamLink::Polling { .. }) {
            self.close_stream();
        }
        if up {
            self.retry_all_now();
        } else {
            self.close_stream();
        }
    }

    /// Something changed for the better: whatever waits tries at once.
    fn retry_all_now(&mut self) {
        self.state.presence.backoff.retry_now();
        self.state.device.backoff.retry_now();
        self.state.revoke_backoff.retry_now();
        if let Session::SignedIn(session) = &mut self.state.session {
            session.backoff.retry_now();
            self.cancel_timer(Timer::Refresh);
            self.lease_may_be_free();
        }
    }
}

#[cfg(test)]
mod tests;
