//! The stream that brings the state, and the questions that take its place where streams are held back.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use hookswitch_wire::{StreamEvent, Version};

use crate::{
    backoff::NETWORK,
    effect::{ApiCall, Work},
    event::{Outcome, StreamNews},
    names::EffectId,
    running::Purpose,
    state::presence::StreamLink,
    state::session::Session,
    step::Step,
    time::Mono,
    timer::Timer,
};

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
pub(super) const POLL_PACE: u64 = 250;

/// ...and after this time a stream is tried again, in milliseconds.
pub const POLL_FOR: u64 = 10 * 60 * 1_000;

/// A stream that has lived this long is stable: the next failure starts with a short wait again, in milliseconds.
pub const STABLE_AFTER: u64 = 30_000;

impl Step<'_> {
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
                    self.effects.work.push(Work::OpenStream { id: stream, access, after });
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
            self.effects.work.push(Work::CloseStream { id });
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
                let cause = "malformed event".into();
                self.link_failed(&Outcome::Unintelligible { status: 200, cause, page: false });
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
    pub(super) fn link_failed(&mut self, outcome: &Outcome) {
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
}
