//! The pure machine of Hookswitch: every decision of the phone, as one state machine.
//!
//! [`step()`] takes the state, an event and the time, and gives effects. It does no I/O, reads no clock, draws no random
//! numbers and knows no thread; so whatever a phone did can be done again from its [`transcript`]. README.md draws the states
//! of the session.
//!
//! # Where each behaviour lives
//!
//! | what the phone does | module |
//! |---|---|
//! | reads the vault at the start, remembers for the next start | `session::start` |
//! | login, from the button to the tokens | `session::login`; its checks in `redirect`, `claims`, `metadata` |
//! | keeps access tokens fresh; one refresh an expiry, over all processes | `session::tokens`; what issuers do: [`issuer_profile`] |
//! | signs out: here, everywhere, by the server | `session::sign_out` |
//! | tells the issuer which refresh tokens are revoked, until it is done | `revocation` |
//! | repairs: token and cache anew, the sign-in kept | `session::repair` |
//! | shows the server's newest state, and no older one | [`presence`]`::sync` |
//! | sends what the agent taps, rebases it, withdraws it, gives it up | [`presence`]`::taps` |
//! | keeps the stream open; asks where streams are held back | [`presence`]`::stream` |
//! | foreground and background, network, first unlock | `lifecycle` |
//! | decides whether a call rings, and what the platform must do | [`ring`]; the facts for it in `calls` |
//! | rings, answers, declines, hangs up, keeps the call's lease | `calls` |
//! | registers this phone for pushes | `device` |
//! | ends other sessions, confirms a forwarding number | `account` |
//! | says to people what a state, a decision or an outcome means | `sentences` (what a command refuses, supersedes or repairs, it explains where it does so) |
//! | shows it | [`view`] |
//! | records and replays it | [`transcript`] |
//!
//! # How an event becomes effects
//!
//! 1. the flat match in [`step()`] hands it to one function of one module;
//! 2. a result finds its [`Timer`] or running effect by id; one that was overtaken finds nothing and is dropped;
//! 3. `settle` starts whatever the new state lacks (a stream, a registration, a refresh, a revocation, a save), so that
//!    no handler has to think of it.
//!
//! # Floors
//!
//! A module uses its own floor and those below it.
//!
//! | floor | modules |
//! |---|---|
//! | the rule | [`ring`], [`issuer_profile`]: pure functions over plain values, which use nothing of this crate |
//! | words | `names`, [`time`], [`backoff`], [`error`], `choice`, `timer`, `kept` (what the vault keeps), [`event`], [`effect`], `sentences` |
//! | checks | `redirect`, `claims`, `metadata`: of what an issuer says |
//! | state | [`state`] (what is remembered between events), `running` (effects under way), `step` (the one place that starts effects) |
//! | behaviour | `session`, [`presence`], `calls`, `device`, `account`, `lifecycle`, `revocation` |
//! | face | this page, [`view`], [`transcript`] |
//!
//! One circle is left, on purpose: the behaviours are all `impl Step`, and a behaviour calls another one there, or hands it the
//! end of an effect by way of this page's `finish`.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | machine | this crate: [`State`] and [`step()`] |
//! | shell | what drives the machine: carries out effects and reports their ends (core/client) |
//! | login | the way to a sign-in: the browser's page, its redirect, the code, the tokens ([`Command::BeginLogin`]) |
//! | sign-in | one login and all that descends from it, by its [`SignInId`]; survives restarts, ends with a sign-out |
//! | session | how far a sign-in is on this phone: the states of README.md. (`SessionId` is the server's name for a sign-in of the agent, on whatever device) |
//! | generation | counts the token sets of a sign-in; the highest one is valid |
//! | intent | the vault's note that a refresh of a generation was begun: what a process that dies in the middle leaves behind |
//! | unsettled | a refresh was sent and its end is not known: the issuer may have replaced the refresh token |
//! | refresh lease | the right to refresh, of one process at a time, for seconds; kept in the vault ([`Transaction::BeginRefresh`]) |
//! | call lease | the server's belief that this phone is in a call, for three quarters of a minute; renewed while the call runs ([`ApiCall::RenewCallLease`]) |
//! | snapshot | the server's whole state of the agent at one version; never anything of the phone's own |
//! | app state | all that an app shows, made from the state of the machine ([`AppState`]) |
//! | choice | what an agent may choose: an availability, or where calls go |
//! | tap | a choice on this phone that the server has not confirmed yet |
//! | superseded | of a choice: not applied, because it came too late or something newer was chosen ([`SupersededChoice`]) |
//! | overtaken | of an effect: its result is not waited for any more, and ignored |
//! | withdrawn | of a tap: too old to be applied and perhaps applied all the same, so the server is asked to undo it |
//! | push | a message of the platform's push service about a call |
//! | decision | what the ring rule said of a push, with all that led to it ([`Decision`]); an app gets it in sentences ([`view::RingDecision`]) |
//! | ring log | the last decisions and stops ([`RingRecord`]); support reads it in sentences ([`view::RingLogEntry`]) |
//! | forwarding | where calls go instead of to the agent's apps. *Set* by a choice; a call *is forwarded* by the server alone |
//! | registration | the server's entry for this device, with the address for pushes |
//! | link | how well this phone hears the server |

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
    AgentProfile, Contents, Knowledge, LOGIN_LIFE, Loaded, PendingLogin, ReauthReason, Refusals, SessionEnd,
    SignedOutWhy, StoredSession, TokenSet,
};
pub use lifecycle::BACKGROUND_GRACE;
pub use metadata::is_secure_address;
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
    let mut step = Step { state, now, effects: Effects::default(), tries: false };
    match event {
        Event::Started { seed } => {
            step.state.random = Random::new(seed);
            step.load_if_needed();
        }
        Event::Command { id, command } => {
            step.tries = !step.state.network_up;
            step.command(id, command);
            step.look_for_a_network();
        }
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
            Command::Answer { call_id } => self.answer(id, &call_id),
            Command::Decline { call_id } => self.decline(id, &call_id),
            Command::HangUp { call_id } => self.hang_up(id, &call_id),
        }
    }

    fn completed(&mut self, effect: EffectId, server_time: Option<UnixMillis>, outcome: Outcome) {
        let running = self.state.in_flight.remove(&effect);
        if server_time.is_some() {
            // Somebody has answered, whatever the platform said last.
            self.state.network_up = true;
        }
        // What answers in place of the server (a captive portal) has a clock of its own.
        if let Some(server_time) = server_time.filter(|_| !matches!(outcome, Outcome::Unintelligible { .. })) {
            let within = running.as_ref().map(|running| self.now.mono.saturating_sub(running.began));
            self.state.clock.hear(server_time, within, self.now);
        }
        let Some(InFlight { purpose, api, began: _ }) = running else { return };
        match (api, outcome) {
            (Some(sent), Outcome::Unauthenticated) => self.token_refused(sent, purpose),
            (Some(sent), outcome @ (Outcome::Done | Outcome::State { .. })) => {
                self.token_taken(sent.access);
                self.finish(purpose, outcome);
            }
            (_, outcome) if purpose == Purpose::Refresh => self.refreshed(outcome, server_time),
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
            Purpose::PushLogin => self.login_pushed(outcome),
            Purpose::Exchange => self.exchanged(outcome),
            Purpose::SignIn => self.signed_in(&outcome),
            Purpose::TakeRefreshLease => self.refresh_lease_answered(outcome),
            Purpose::Refresh => self.refreshed(outcome, None),
            Purpose::TakeBack => self.unwanted(&outcome),
            Purpose::TakenBack => self.taken_back(outcome),
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
            Purpose::Decline { to, call_id } => self.told_of_decline(to, &call_id, outcome),
            Purpose::HangUp { to, call_id } => self.told_of_hang_up(to, &call_id, outcome),
            Purpose::RenewCallLease { call_id } => self.call_lease_renewed(&call_id, outcome),
            Purpose::Remember => self.remembered(&outcome),
            // What the vault could not keep is kept with the next change.
            Purpose::SavePushToken
            | Purpose::DropPending
            | Purpose::SaveMetadata
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
            Timer::Reconnect | Timer::Register | Timer::Revoke | Timer::RingUntil { .. } => {}
            Timer::Refresh => self.lease_may_be_free(),
            Timer::SaveTokens => self.store_again(),
            Timer::Heartbeat => self.stream_is_silent(),
            Timer::Stable => self.stream_is_stable(),
            Timer::TapExpiry { tap } => self.tap_expired(tap),
            Timer::BackgroundGrace => self.background_grace_over(),
            Timer::TellAgain { call_id } => self.tell_again(&call_id),
            Timer::RenewCallLease { call_id } => self.renew_call_lease(call_id),
        }
    }

    /// Starts what the state lacks. Idempotent: settling a settled state does nothing.
    fn settle(&mut self) {
        self.end_rings_that_are_over();
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
