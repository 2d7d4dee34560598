//! The pure heart of Hookswitch: every decision of the phone, as one state machine.
//!
//! [`step`] takes the state, an event and the time, and gives effects. It does no I/O, reads no clock, draws no random
//! numbers and knows no thread; so whatever a phone did can be done again from its [`transcript`].
//!
//! | module | what is decided there |
//! |---|---|
//! | [`session`] | login and its checks, the life of tokens, sign-out, repair |
//! | [`issuer_profile`] | what issuers do with a token that is used twice, and what their refusals mean |
//! | [`presence`] | the server's state, the agent's taps, the stream |
//! | [`ring`] | **the ring rule**, what a platform must do about it, the ring log |
//! | `calls` | the life of calls on this phone: the facts for the rule |
//! | `device` | this phone's registration |
//! | `account` | where else the agent is signed in, and whose a number is |
//! | [`state`] | what is remembered between events; timers and effects under way |
//! | [`event`], [`effect`] | what goes in, what comes out |
//! | `carried` | which secrets an event brings and an effect needs |
//! | [`view`] | what an app shows of the state |
//! | [`time`], `backoff` | two clocks; waiting between attempts |
//! | [`error`] | failures, named by what the app should do next |
//! | [`transcript`] | recording and replaying |
//!
//! How an event becomes effects:
//!
//! 1. the flat match in [`step`] hands it to one function of one module;
//! 2. a result finds its [`state::Timer`] or running effect by id; one that was superseded finds nothing and is dropped;
//! 3. `settle` starts whatever the new state lacks (a stream, a registration, a refresh, a revocation, a save), so that
//!    no handler has to think of it.

mod account;
pub mod backoff;
mod calls;
mod carried;
mod device;
pub mod effect;
pub mod error;
pub mod event;
pub mod issuer_profile;
pub mod presence;
pub mod ring;
pub mod session;
pub mod state;
pub mod time;
pub mod transcript;
pub mod view;

pub use device::DeviceFacts;
pub use effect::{ApiCall, Effect, EffectId, Generation, Reply, Request, RevocationId, SignOutScope, Transaction};
pub use error::Failure;
pub use event::{
    Claims, Command, CommandId, Contents, Event, Grant, Knowledge, Loaded, Outcome, Redirect, SecretRef, StoredSession,
    StreamNews,
};
pub use issuer_profile::IssuerProfile;
pub use presence::{Choice, ChoiceKind, SupersededChoice};
pub use ring::{CallAction, CallKnowledge, Decision, Facts, RingLog, RingRecord, Silence, StopReason, Verdict, decide};
pub use session::{AgentProfile, PendingLogin, ReauthReason, SignInId, SignedOutWhy, TokenSet};
pub use state::{Lifecycle, Setup, State, Timer};
pub use time::{Mono, ServerClock, Timestamp};
pub use transcript::{Entry, Recorder};
pub use view::AppState;

use backoff::{NETWORK, Random};
use device::Registered;
use hookswitch_wire::UnixMillis;
use session::{Refresh, Session};
use state::{InFlight, Purpose, Step};

/// Takes an event into the state and says what must be done.
///
/// Total: any event is welcome in any state. Deterministic: same state, event and time, same result.
pub fn step(state: &mut State, event: Event, now: Timestamp) -> Vec<Effect> {
    let mut step = Step { state, now, effects: Vec::new() };
    match event {
        Event::Started { seed } => {
            step.state.random = Random::new(seed);
            step.load_if_needed();
        }
        Event::Command { id, command } => step.command(id, command),
        Event::Foreground => step.foreground(),
        Event::Background => step.background(),
        Event::NetworkUp => step.network(true),
        Event::NetworkDown => step.network(false),
        Event::Unlocked => step.load_if_needed(),
        Event::Push { push, must_report } => step.push(push, must_report),
        Event::Completed { effect, server_time, outcome } => step.completed(effect, server_time, outcome),
        Event::Stream { effect, news } => step.stream_news(effect, news),
        Event::Timer { timer } => step.timer(timer),
    }
    step.settle();
    step.effects
}

impl Step<'_> {
    fn command(&mut self, id: CommandId, command: Command) {
        match command {
            Command::BeginLogin { hint, redirect_uri, state, nonce, verifier } => {
                let began_at = self.now.wall;
                let began_mono = Some(self.now.mono);
                let pending = PendingLogin { redirect_uri, state, nonce, verifier, hint, began_at, began_mono };
                self.begin_login(id, pending);
            }
            Command::FinishLogin { redirect } => self.finish_login(id, &redirect),
            Command::CancelLogin => self.cancel_login(id),
            Command::AccessToken => self.access_token(id),
            Command::SignOut => self.sign_out(id),
            Command::SignOutEverywhere => self.sign_out_everywhere(id),
            Command::Repair => self.repair(id),
            Command::SetAvailability { availability } => self.tap(id, Choice::Availability { availability }),
            Command::SetForwarding { to } => self.tap(id, Choice::Forwarding { to }),
            Command::SendCode { number, by } => self.send_code(id, number, by),
            Command::VerifyNumber { number, code } => self.verify_number(id, number, code),
            Command::EndSession { session } => self.end_session(id, session),
            Command::SetDeviceFacts { facts } => {
                self.state.device.facts = facts;
                self.reply(id, Ok(Reply::Done));
            }
            Command::SetPushToken { token } => {
                self.set_push_token(token);
                self.reply(id, Ok(Reply::Done));
            }
            Command::Answer { call_id } => self.answer(id, call_id),
            Command::Decline { call_id } => self.decline(id, call_id),
            Command::HangUp { call_id } => self.hang_up(id, call_id),
        }
    }

    fn completed(&mut self, effect: EffectId, server_time: Option<UnixMillis>, outcome: Outcome) {
        let running = self.state.in_flight.remove(&effect);
        // What answers in place of the server (a captive portal) has a clock of its own.
        if let Some(server_time) = server_time.filter(|_| !matches!(outcome, Outcome::Unintelligible { .. })) {
            let within = running.as_ref().map(|running| self.now.mono.saturating_sub(running.began));
            self.state.clock.hear(server_time, within, self.now);
        }
        let Some(InFlight { purpose, api, began: _ }) = running else { return };
        match (api, outcome) {
            (Some(sent), Outcome::Unauthenticated) => self.token_refused(sent, purpose),
            (_, outcome) => self.finish(purpose, outcome),
        }
    }

    /// Hands the end of an effect to whoever started it.
    fn finish(&mut self, purpose: Purpose, outcome: Outcome) {
        match purpose {
            Purpose::Load => self.loaded(outcome),
            Purpose::Discover => self.discovered(outcome),
            Purpose::DiscoverAgain => self.discovered_again(outcome),
            Purpose::SavePending => self.pending_saved(&outcome),
            Purpose::Exchange => self.exchanged(outcome),
            Purpose::SignIn => self.signed_in(&outcome),
            Purpose::TakeRefreshLease => self.refresh_lease_answered(outcome),
            Purpose::Refresh => self.refreshed(outcome),
            Purpose::SaveTokens { generation } => self.tokens_saved(generation, outcome),
            Purpose::Reread => self.reread(outcome),
            Purpose::SignOut { to } => self.sign_out_stored(to, outcome),
            Purpose::SignOutEverywhere { to } => self.signed_out_everywhere(to, &outcome),
            Purpose::Revoke { revocation } => self.revoked(revocation, &outcome),
            Purpose::Ask { to } => self.asked(to, &outcome),
            Purpose::Register { token, facts } => self.registered(Registered { token, facts }, outcome),
            Purpose::Fetch => self.fetched(outcome),
            Purpose::Poll => self.polled(outcome),
            Purpose::Tap { tap } => self.tap_answered(tap, outcome),
            Purpose::Answer { to, call_id } => self.answered(to, &call_id, outcome),
            Purpose::Decline { to } | Purpose::HangUp { to, .. } => self.told_the_server(to, outcome),
            Purpose::RenewCallLease { call_id } => self.call_lease_renewed(&call_id, outcome),
            // What the vault could not remember is remembered with the next change.
            Purpose::Remember
            | Purpose::SavePushToken
            | Purpose::DropPending
            | Purpose::AbandonRefresh
            | Purpose::Revoked => {}
        }
    }

    fn timer(&mut self, timer: Timer) {
        // One that was moved or cancelled may still go off.
        if self.state.timers.get(&timer).is_none_or(|at| self.now.mono < *at) {
            return;
        }
        self.state.timers.remove(&timer);
        match timer {
            // `settle` sees what is due.
            Timer::Reconnect | Timer::Register | Timer::Revoke => {}
            Timer::Refresh => self.lease_may_be_free(),
            Timer::SaveTokens => self.store_again(),
            Timer::Heartbeat => self.stream_is_silent(),
            Timer::Stable => self.stream_is_stable(),
            Timer::TapExpiry { tap } => self.tap_expired(tap),
            Timer::BackgroundGrace => self.background_grace_over(),
            Timer::RingUntil { call_id } => self.ring_is_over(&call_id),
            Timer::RenewCallLease { call_id } => self.renew_call_lease(call_id),
        }
    }

    /// Starts what the state lacks. Idempotent: settling a settled state does nothing.
    fn settle(&mut self) {
        self.send_taps();
        self.refresh_ahead();
        self.open_stream_if_wanted();
        self.register_if_needed();
        self.revoke_if_needed();
        self.remember();
    }

    /// In the foreground the next token is fetched before the last one expires; and whoever waits for one is not left
    /// waiting when a refresh has come to nothing.
    fn refresh_ahead(&mut self) {
        let (now, active, network_up) = (self.now, self.is_active(), self.state.network_up);
        let Session::SignedIn(session) = &self.state.session else { return };
        if session.refresh != Refresh::Idle {
            return;
        }
        // A rotation whose answer was lost is tried again in the background as well, when its time has come.
        let wanted = active || (session.unsettled.is_some() && !self.state.timers.contains_key(&Timer::Refresh));
        let due = now.mono >= session.refresh_at;
        if session.somebody_waits() || (wanted && network_up && due && session.backoff.is_over(now.mono)) {
            self.refresh_if_possible();
        }
        // It may have come to nothing on the spot.
        let Session::SignedIn(session) = &self.state.session else { return };
        let (idle, at) = (session.refresh == Refresh::Idle, session.refresh_at);
        if idle && active && at > now.mono && !self.state.timers.contains_key(&Timer::Refresh) {
            self.set_timer(Timer::Refresh, at);
        }
    }

    fn revoke_if_needed(&mut self) {
        let busy = self.is_in_flight(|purpose| matches!(purpose, Purpose::Revoke { .. }));
        // In the background one attempt is made, right after the sign-out; the others wait for the foreground.
        let allowed = self.is_active() || !self.state.revoke_backoff.has_failed();
        if busy || !allowed || !self.state.network_up || !self.state.revoke_backoff.is_over(self.now.mono) {
            return;
        }
        let Some(revocation) = self.state.revocations.first().copied() else { return };
        let endpoint = self.state.metadata.as_ref().map(|metadata| metadata.revocation_endpoint.clone());
        match endpoint {
            Some(Some(revocation_endpoint)) => {
                self.send(Request::Revoke { revocation_endpoint, revocation }, Purpose::Revoke { revocation });
            }
            // The issuer has no such endpoint: there is nothing to tell it.
            Some(None) => self.revoked(revocation, &Outcome::Done),
            None if self.is_in_flight(|purpose| matches!(purpose, Purpose::Discover | Purpose::DiscoverAgain)) => {}
            None => self.send(Request::Discover, Purpose::DiscoverAgain),
        }
    }

    fn revoke_later(&mut self) {
        let at = self.state.revoke_backoff.fail(NETWORK, self.now.mono, &mut self.state.random, None);
        if self.is_active() {
            self.set_timer(Timer::Revoke, at);
        }
    }

    fn revoked(&mut self, revocation: RevocationId, outcome: &Outcome) {
        match outcome {
            // RFC 7009, section 2.2: a token that is unknown is answered with 200 too. Other refusals would come again.
            Outcome::Done | Outcome::OAuthError { .. } | Outcome::Refused { .. } => {
                self.state.revocations.retain(|id| *id != revocation);
                self.state.revoke_backoff.reset();
                self.store(Transaction::Revoked { revocation }, Purpose::Revoked);
            }
            Outcome::Unavailable { .. }
            | Outcome::Unreachable { .. }
            | Outcome::Unintelligible { .. }
            | Outcome::Unauthenticated
            | Outcome::State { .. }
            | Outcome::Metadata { .. }
            | Outcome::Granted { .. }
            | Outcome::Loaded { .. }
            | Outcome::NewerTokens { .. }
            | Outcome::RefreshLeaseHeld { .. }
            | Outcome::Reread { .. }
            | Outcome::StorageFailed { .. } => self.revoke_later(),
        }
    }

    /// Keeps what must outlive the process; one save at a time, the newest wins.
    fn remember(&mut self) {
        let settled = match &self.state.session {
            Session::SignedIn(_) | Session::ReauthRequired { .. } | Session::SignedOut { .. } => true,
            Session::Loading | Session::Locked | Session::SigningIn { .. } | Session::SigningOut { .. } => false,
        };
        if self.state.unremembered && settled && !self.is_in_flight(|purpose| *purpose == Purpose::Remember) {
            self.state.unremembered = false;
            let transaction = Transaction::Remember {
                knowledge: self.state.knowledge(self.now),
                snapshot: self.state.presence.confirmed.clone(),
                server_offset: self.state.clock.offset(),
            };
            self.store(transaction, Purpose::Remember);
        }
    }
}

#[cfg(test)]
mod phone;
#[cfg(test)]
mod tests;
