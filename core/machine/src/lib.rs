//! The pure heart of Hookswitch: every decision of the phone, as one state machine.
//!
//! [`step`] takes the state, an event and the time, and gives effects. It does no I/O, reads no clock, draws no random
//! numbers and knows no thread; so whatever a phone did can be done again from its [`transcript`].
//!
//! | floor | module | what is there |
//! |---|---|---|
//! | words | `names` | names of secrets, commands, effects, sign-ins |
//! | | [`time`], [`backoff`], `timer` | two clocks; waiting between attempts; what is waited for |
//! | | [`error`], `sentences` | failures, named by what the app should do next; all words for people |
//! | | `choice`, `kept` | what an agent chooses; what the vault keeps |
//! | | [`event`], [`effect`] | what goes in, what comes out |
//! | rules | [`ring`] | **the ring rule**, what a platform must do about it, the ring log |
//! | | [`issuer_profile`] | what issuers do with a token that is used twice, and what their refusals mean |
//! | | `redirect`, `claims`, `metadata` | the checks of a login |
//! | state | [`state`] | what is remembered between events |
//! | | `running` | what effects under way are for |
//! | | `step` | the one place that starts effects |
//! | behaviour | `session` | login, the life of tokens, sign-out, repair |
//! | | [`presence`] | the server's state, the agent's taps, the stream |
//! | | `calls` | the life of calls on this phone: the facts for the rule |
//! | | `device` | this phone's registration |
//! | | `account` | where else the agent is signed in, and whose a number is |
//! | | `lifecycle` | foreground and background, the network, the first unlock |
//! | | `revocation` | the queue of tokens to be revoked |
//! | face | this page | [`step`], and what follows from each |
//! | | [`view`] | what an app shows of the state |
//! | | [`transcript`] | recording and replaying |
//!
//! A module uses its own floor and those below it, and `event` and `effect` look up to nothing. (The values that the ring
//! rule is about are words, too: `ring` stands on the ground.) One circle is left, on purpose: the behaviours are all
//! `impl Step`, and call each other there.
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
mod choice;
mod claims;
mod device;
pub mod effect;
pub mod error;
pub mod event;
pub mod issuer_profile;
mod kept;
mod lifecycle;
mod metadata;
mod names;
pub mod presence;
mod redirect;
mod revocation;
pub mod ring;
mod running;
mod sentences;
mod session;
pub mod state;
mod step;
pub mod time;
mod timer;
pub mod transcript;
pub mod view;

pub use choice::{Choice, ChoiceKind, SupersededChoice};
pub use effect::{ApiCall, Effects, Output, Reply, Request, SignOutScope, Transaction, Work};
pub use error::Failure;
pub use event::{Claims, Command, DeviceFacts, Event, Grant, Outcome, Redirect, StreamNews};
pub use issuer_profile::IssuerProfile;
pub use kept::{
    AgentProfile, Contents, Knowledge, LOGIN_LIFE, Loaded, PendingLogin, ReauthReason, SignedOutWhy, StoredSession,
    TokenSet,
};
pub use lifecycle::BACKGROUND_GRACE;
pub use names::{CommandId, EffectId, Generation, RevocationId, SecretRef, SignInId};
pub use ring::{CallAction, CallKnowledge, Decision, Facts, RingLog, RingRecord, Silence, StopReason, Verdict, decide};
pub use state::{Lifecycle, Setup, State};
pub use time::{Mono, ServerClock, Timestamp};
pub use timer::Timer;
pub use transcript::{Entry, Recorder};
pub use view::AppState;

use backoff::Random;
use hookswitch_wire::UnixMillis;
use running::{InFlight, Purpose};
use state::device::Registered;
use step::Step;

/// Takes an event into the state and says what must be done.
///
/// Total: any event is welcome in any state. Deterministic: same state, event and time, same result.
pub fn step(state: &mut State, event: Event, now: Timestamp) -> Effects {
    let mut step = Step { state, now, effects: Effects::default() };
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
    pub(crate) fn finish(&mut self, purpose: Purpose, outcome: Outcome) {
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
}

#[cfg(test)]
mod test_phone;
#[cfg(test)]
mod tests;
