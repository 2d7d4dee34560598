//! Sign-out: here, everywhere, or by the server.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use crate::{
    effect::{ApiCall, Reply, SignOutScope, Transaction},
    error::Failure,
    event::Outcome,
    kept::{Loaded, SignedOutWhy},
    names::{CommandId, SecretRef},
    ring::{Silence, StopReason},
    running::Purpose,
    sentences::{NOT_LOADED, SIGN_IN_FIRST},
    state::presence::PresenceSync,
    state::session::{LoginStage, Session},
    step::Step,
    timer::Timer,
};

impl Step<'_> {
    pub(crate) fn sign_out(&mut self, to: CommandId) {
        match &self.state.session {
            Session::SignedIn(session) => {
                let held = vec![session.tokens.refresh];
                self.sign_out_here(to, held);
            }
            // What it had is dead; what the vault has is revoked all the same.
            Session::ReauthRequired { .. } => self.sign_out_here(to, vec![]),
            // The tokens are on their way into the vault: the sign-out follows them there.
            Session::SigningIn { stage: LoginStage::Storing { to: login, tokens, .. }, .. } => {
                let (login, held) = (*login, vec![tokens.refresh]);
                self.fail(login, Failure::cancelled("The agent signed out."));
                self.forget(|purpose| *purpose == Purpose::SignIn);
                self.sign_out_here(to, held);
            }
            Session::SigningIn { .. } => {
                self.end_login(Failure::cancelled("The sign-in was cancelled."));
                // What the login was to replace is signed out.
                self.sign_out(to);
            }
            Session::SignedOut { .. } => self.reply(to, Ok(Reply::Done)),
            Session::SigningOut { .. } => {
                self.fail(to, Failure::cancelled("The phone is just signing out."));
            }
            Session::Loading | Session::Locked => self.fail(to, Failure::storage(NOT_LOADED)),
        }
    }

    fn sign_out_here(&mut self, to: CommandId, held: Vec<SecretRef>) {
        self.leave_session(&Failure::cancelled("The agent signed out."), Silence::SignedOut);
        self.forget_on_disk(SignOutScope::CurrentSession, held, Some(to));
    }

    /// The phone is locked; now the vault hears of it.
    fn forget_on_disk(&mut self, of: SignOutScope, held: Vec<SecretRef>, to: Option<CommandId>) {
        self.store(Transaction::SignOut { of, held: held.clone() }, Purpose::SignOut { to });
        self.state.session = Session::SigningOut { of, held };
    }

    pub(crate) fn sign_out_everywhere(&mut self, to: CommandId) {
        let is_one = |purpose: &Purpose| matches!(purpose, Purpose::SignOutEverywhere { .. });
        match &self.state.session {
            Session::SignedIn(session)
                if self.is_in_flight(is_one) || session.parked.iter().any(|parked| is_one(&parked.purpose)) =>
            {
                self.fail(to, Failure::cancelled("You are just being signed out everywhere."));
            }
            session => match session.not_signed_in() {
                Some(failure) => self.fail(to, failure),
                None => {
                    let key = self.idempotency_key();
                    self.call_api(ApiCall::SignOutEverywhere { key }, Purpose::SignOutEverywhere { to });
                }
            },
        }
    }

    pub(crate) fn signed_out_everywhere(&mut self, to: CommandId, outcome: &Outcome) {
        match outcome {
            Outcome::Done => self.session_ended(SignedOutWhy::Asked, Some(to)),
            other => {
                let failure = other.failure();
                self.fail(to, failure);
            }
        }
    }

    /// The server ended the session. If this phone has just asked for that, the stream was quicker than the answer.
    pub(crate) fn signed_out_remotely(&mut self, why: SignedOutWhy) {
        let asked = self.state.in_flight.iter().find_map(|(id, running)| match running.purpose {
            Purpose::SignOutEverywhere { to } => Some((*id, to)),
            _ => None,
        });
        match asked.filter(|_| why == SignedOutWhy::SignedOutElsewhere) {
            Some((id, to)) => {
                self.state.in_flight.remove(&id);
                self.session_ended(SignedOutWhy::Asked, Some(to));
            }
            None => self.session_ended(why, None),
        }
    }

    /// The session is no more, at the server.
    fn session_ended(&mut self, why: SignedOutWhy, to: Option<CommandId>) {
        let (of, held) = match &self.state.session {
            Session::SignedIn(session) => {
                (SignOutScope::Ended { sign_in: session.tokens.sign_in, why }, vec![session.tokens.refresh])
            }
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SigningIn { .. }
            | Session::ReauthRequired { .. }
            | Session::SigningOut { .. } => return,
        };
        self.leave_session(&Failure::reauthenticate(why.explain().unwrap_or(SIGN_IN_FIRST)), Silence::SignedOut);
        self.forget_on_disk(of, held, to);
    }

    pub(crate) fn sign_out_stored(&mut self, to: Option<CommandId>, outcome: Outcome) {
        match outcome {
            Outcome::Loaded { loaded } => {
                let mut stored = None;
                if let Loaded::Contents(contents) = *loaded {
                    self.state.revocations = contents.revocations;
                    stored = contents.signed_out;
                }
                if let Session::SigningOut { of, .. } = self.state.session {
                    // Whoever was quicker, in another process, may know more of it.
                    let why = stored.unwrap_or_else(|| of.why());
                    self.state.session = Session::SignedOut { why };
                }
                self.cancel_timer(Timer::SaveTokens);
                if let Some(to) = to {
                    self.reply(to, Ok(Reply::Done));
                }
            }
            other => {
                // The phone is locked all the same; the vault must hear of it before the next start.
                self.store_later();
                let failure = other.failure();
                if let Some(to) = to {
                    self.fail(to, failure);
                }
            }
        }
    }

    /// Another process of this installation has signed out and in again: this one leaves its session and reads the other.
    pub(super) fn replaced(&mut self) {
        let why = "Another sign-in has taken the place of this one.";
        self.forget(|purpose| *purpose == Purpose::Refresh);
        self.leave_session(&Failure::cancelled(why), Silence::OtherAccount);
        self.state.session = Session::Loading;
        self.load_if_needed();
    }

    /// Everything that belongs to the session stops, now.
    pub(super) fn leave_session(&mut self, failure: &Failure, silence: Silence) {
        self.stop_all_calls(StopReason::Silenced { reason: silence });
        self.close_stream();
        let taps = self.state.presence.taps.take_all();
        for to in taps.into_iter().filter_map(|tap| tap.to) {
            self.fail(to, failure.clone());
        }
        let waiting: Vec<CommandId> =
            self.state.in_flight.values().filter_map(|running| running.purpose.replies_to()).collect();
        for to in waiting {
            self.fail(to, failure.clone());
        }
        if let Session::SignedIn(session) = &mut self.state.session {
            let waiters = std::mem::take(&mut session.waiters);
            let parked = std::mem::take(&mut session.parked);
            let repair = session.repair.take();
            for to in waiters.into_iter().chain(repair.map(|repair| repair.to)) {
                self.fail(to, failure.clone());
            }
            for to in parked.into_iter().filter_map(|parked| parked.purpose.replies_to()) {
                self.fail(to, failure.clone());
            }
        }
        self.take_back_what_comes();
        self.forget(Purpose::belongs_to_session);
        self.state.presence = PresenceSync::default();
        self.state.calls.remembered = None;
        // Whoever signs in next has no business with the customers of this agent. Why the phone rang or not stays, for support.
        self.state.calls.log.forget_callers();
        for call in self.state.calls.heard.values_mut() {
            call.push = None;
        }
        self.state.device.forget_registration();
        for timer in self.state.timers.keys().cloned().collect::<Vec<_>>() {
            if !matches!(timer, Timer::Revoke | Timer::BackgroundGrace) {
                self.cancel_timer(timer);
            }
        }
        self.state.unremembered = true;
    }
}
