//! The life of tokens: who gets one, and when and how it is renewed.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use hookswitch_wire::UnixMillis;

use crate::{
    backoff::{Bounds, NETWORK},
    claims::check_renewed_claims,
    effect::{ApiCall, LONGEST_REQUEST, REFRESH_LEASE, Reply, Request, Transaction},
    error::Failure,
    event::{Grant, Outcome},
    issuer_profile::Refusal,
    kept::{ReauthReason, Refusals, SessionEnd, SignedOutWhy, TokenSet},
    metadata::check_metadata,
    names::{CommandId, Generation, SecretRef},
    ring::Silence,
    running::{Purpose, SentCall},
    sentences::try_again_in,
    state::Setup,
    state::session::{Parked, Refresh, RepairStage, Session},
    step::Step,
    time::Mono,
    timer::Timer,
};

/// How wrong two processes of a device may be about the server's clock, in milliseconds: its `Date` has whole seconds, and
/// the network is slow. Tokens that were stored are trusted that much less.
const CLOCK_DOUBT: i64 = 5_000;

/// The life of an access token whose answer does not tell it, in seconds.
const LIFE_WHEN_UNTOLD: u64 = 300;

/// How long an issuer may refuse without a reason until the agent is asked to sign in again, in milliseconds, by the `Date` of
/// its refusals: what stands in front of it as a rule has none, or not its own.
const PATIENCE: i64 = 4 * 60 * 60 * 1_000;

/// And how often: a night's sleep between two of them proves nothing.
const ENOUGH_REFUSALS: u32 = 3;

/// For a refresh that the issuer refuses without a reason: it does not change its mind within seconds.
const REFUSED: Bounds = Bounds { first: 10_000, most: 15 * 60 * 1_000 };

/// A life that is shorter than this is a fault of the server's, in seconds.
const SHORTEST_LIFE: u64 = 10;

/// How long a token is used that is said to live for no time at all, in seconds: the API will say how long it is good. A refresh
/// for each request would be a storm.
const LIFE_WHEN_NONE: u64 = 60;

/// The life of an access token in milliseconds.
pub(super) fn life_of(expires_in: Option<u64>) -> u64 {
    let life = expires_in.unwrap_or(LIFE_WHEN_UNTOLD);
    (if life < SHORTEST_LIFE { LIFE_WHEN_NONE } else { life }).saturating_mul(1_000)
}

/// The moment that is so many milliseconds later.
pub(super) fn later(now: UnixMillis, millis: u64) -> UnixMillis {
    now + i64::try_from(millis).unwrap_or(i64::MAX)
}

/// When a session ends by what a grant says of it. None at all, or no time at all, says nothing: Keycloak has that for sessions that
/// do not end.
pub(super) fn told_end(session_life: Option<u64>, now: UnixMillis) -> Option<UnixMillis> {
    session_life.filter(|life| *life > 0).map(|life| later(now, life.saturating_mul(1_000)))
}

impl Step<'_> {
    /// In the foreground the next token is fetched before the last one expires; and whoever waits for one is not left
    /// waiting when a refresh has come to nothing.
    pub(crate) fn refresh_ahead(&mut self) {
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

    /// An earlier process was killed in the middle of a refresh: it is done again at once with the same refresh token,
    /// while the server still takes it for a retry, however long the access token would be good for.
    pub(super) fn settle_refresh(&mut self) {
        let now = self.now.mono;
        if let Session::SignedIn(session) = &mut self.state.session {
            session.refresh_at = now;
            session.unsettled = Some(now);
        }
        self.refresh_if_possible();
    }

    /// How much longer tokens from the vault are good, in milliseconds; `None`: no longer.
    pub(super) fn stored_life(&self, tokens: &TokenSet) -> Option<u64> {
        let left = tokens.expires_at.since(self.state.clock.guess(self.now));
        u64::try_from(left.saturating_sub(CLOCK_DOUBT)).ok().filter(|left| *left > 0)
    }

    /// Until when a token of this life is used, and when it is replaced: ahead of its end, at a random moment, so that
    /// the phones of a whole office do not come at once.
    pub(super) fn token_times(&mut self, life_millis: u64) -> (Mono, Mono) {
        // A clock that is years off must not make a token that lives for years.
        let life = life_millis.min(24 * 60 * 60 * 1_000);
        let margin = (life / 10).min(30_000);
        let fresh = life.saturating_sub(margin);
        let ahead = fresh.saturating_sub(self.state.random.below(fresh / 8 + 1));
        (self.now.mono.saturating_add(fresh), self.now.mono.saturating_add(ahead))
    }

    pub(crate) fn discovered_again(&mut self, outcome: Outcome) {
        let waits =
            matches!(&self.state.session, Session::SignedIn(session) if session.refresh == Refresh::Discovering);
        match outcome {
            Outcome::Metadata { metadata } if check_metadata(&metadata, &self.state.setup.issuer).is_ok() => {
                self.state.metadata_in_doubt = false;
                if self.state.metadata.as_ref() != Some(&metadata) {
                    self.state.metadata = Some(metadata.clone());
                    self.store(Transaction::SaveMetadata { metadata }, Purpose::SaveMetadata);
                }
                if waits {
                    self.post_refresh();
                }
            }
            // What was true at the last login is better than nothing.
            _ if waits && self.state.metadata.is_some() => {
                self.state.metadata_in_doubt = false;
                self.post_refresh();
            }
            outcome => {
                if waits {
                    self.abandon_refresh(&outcome);
                }
                if !self.state.revocations.is_empty() {
                    self.revoke_later();
                }
            }
        }
    }

    pub(crate) fn access_token(&mut self, to: CommandId) {
        let now = self.now;
        match &mut self.state.session {
            Session::SignedIn(session) if session.has_fresh_token(now) => {
                let access = session.tokens.access;
                self.reply(to, Ok(Reply::Token { access }));
            }
            Session::SignedIn(session) => {
                session.waiters.push(to);
                self.refresh_if_possible();
            }
            session => {
                if let Some(failure) = session.not_signed_in() {
                    self.fail(to, failure);
                }
            }
        }
    }

    /// Sends a request of the API, now or as soon as there is a fresh token.
    pub(crate) fn call_api(&mut self, call: ApiCall, purpose: Purpose) {
        self.call_api_again(call, purpose, false);
    }

    fn call_api_again(&mut self, call: ApiCall, purpose: Purpose, retried: bool) {
        let now = self.now;
        let Session::SignedIn(session) = &mut self.state.session else {
            return self.finish(purpose, self.state.session.refuses_requests());
        };
        if session.has_fresh_token(now) {
            let access = session.tokens.access;
            self.send_api(call, access, retried, purpose);
        } else {
            session.parked.push(Parked { call, purpose, retried });
            self.refresh_if_possible();
        }
    }

    /// 401: the token is not valid, whatever its clock says. Once, with the next one, the request is repeated.
    pub(crate) fn token_refused(&mut self, sent: SentCall, purpose: Purpose) {
        self.token_is_stale(sent.access);
        self.tap_was_not_looked_at(&purpose);
        if sent.retried || self.is_current_and_fresh(sent.access) {
            let detail = Some("The server refuses this phone's access.".to_owned());
            let outcome = Outcome::Refused { status: 401, code: "unauthenticated".into(), detail, current: None };
            return self.finish(purpose, outcome);
        }
        if self.is_too_late(&purpose) {
            return self.finish(purpose, Outcome::NotSent { cause: "too late".into() });
        }
        self.call_api_again(sent.call, purpose, true);
    }

    /// A server said 401 to a token that is good by its clock: the next one is asked for, though not too often.
    pub(crate) fn token_is_stale(&mut self, access: SecretRef) {
        let now = self.now;
        if let Session::SignedIn(session) = &mut self.state.session
            && session.tokens.access == access
            && session.has_fresh_token(now)
            && session.distrust.allows(now.mono)
        {
            session.distrust.renews(now.mono);
            session.fresh_until = now.mono;
            session.refresh_at = now.mono;
        }
    }

    /// Whether the token is still the one to use: another was asked for a moment ago, and this is all that came of it.
    fn is_current_and_fresh(&self, access: SecretRef) -> bool {
        matches!(&self.state.session, Session::SignedIn(session)
            if session.tokens.access == access && session.has_fresh_token(self.now))
    }

    /// The API has taken the token.
    pub(crate) const fn token_taken(&mut self, access: SecretRef) {
        if let Session::SignedIn(session) = &mut self.state.session
            && session.tokens.access.0 == access.0
        {
            session.distrust.forgives();
        }
    }

    /// Starts a refresh unless one runs, or a failed one asks for patience: then whoever waits is told so.
    pub(crate) fn refresh_if_possible(&mut self) {
        let (now, may_try) = (self.now, self.state.network_up || self.tries);
        let Session::SignedIn(session) = &mut self.state.session else { return };
        if session.refresh != Refresh::Idle {
            return;
        }
        if !may_try {
            return self.refresh_came_to_nothing(&Outcome::NotSent { cause: "no network".into() });
        }
        if !session.backoff.is_over(now.mono) {
            let left = session.backoff.left(now.mono);
            let outcome = Outcome::NotSent { cause: "waiting to try again".into() };
            return self.fail_waiting(&outcome, Failure::offline(try_again_in(left)));
        }
        session.refresh = Refresh::Leasing;
        // It runs from when the vault grants it, which is not before now; and the request must be over by its end.
        session.send_until = now.mono.saturating_add(REFRESH_LEASE - LONGEST_REQUEST);
        let (sign_in, generation) = (session.tokens.sign_in, session.tokens.generation);
        // The vault must know this generation before it can lease the next one.
        self.store_again();
        self.store(Transaction::BeginRefresh { sign_in, generation }, Purpose::TakeRefreshLease);
    }

    pub(crate) fn refresh_lease_answered(&mut self, outcome: Outcome) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        match outcome {
            Outcome::Done => self.post_refresh(),
            // This sign-in was never stored: that the vault knows nobody, or somebody from before, is no news.
            Outcome::NewerTokens { .. } | Outcome::Reread { .. } if session.is_unknown_to_vault() => {
                let cause = "the sign-in could not be saved".into();
                self.refresh_came_to_nothing(&Outcome::StorageFailed { cause });
            }
            Outcome::NewerTokens { tokens } | Outcome::Reread { tokens: Some(tokens) } => {
                session.refresh = Refresh::Idle;
                self.adopt_stored(tokens);
            }
            // Another process of this installation has signed out.
            Outcome::Reread { tokens: None } => self.signed_out_remotely(SignedOutWhy::Asked),
            Outcome::RefreshLeaseHeld { for_millis } => self.wait_for_lease(for_millis),
            other => self.refresh_came_to_nothing(&other),
        }
    }

    /// The lease is taken: the refresh token goes to the issuer.
    fn post_refresh(&mut self) {
        let now = self.now.mono;
        let token_endpoint = self.state.endpoints().map(|metadata| metadata.token_endpoint.clone());
        let Session::SignedIn(session) = &mut self.state.session else { return };
        // The phone slept over it, and another process may have begun meanwhile, or would before the answer is here.
        if now >= session.send_until {
            session.refresh = Refresh::Idle;
            return self.refresh_if_possible();
        }
        match token_endpoint {
            Some(token_endpoint) => {
                session.refresh = Refresh::Posting;
                let (refresh, until) = (session.tokens.refresh, session.send_until);
                self.send(Request::Refresh { token_endpoint, refresh, until }, Purpose::Refresh);
            }
            // They are in doubt; or a vault of an older version has none, or one that was damaged.
            None => {
                session.refresh = Refresh::Discovering;
                if !self.is_in_flight(|purpose| *purpose == Purpose::DiscoverAgain) {
                    self.send(Request::Discover, Purpose::DiscoverAgain);
                }
            }
        }
    }

    /// Its holder will be done in a moment, or never: look again soon, and take over at the end of its lease.
    fn wait_for_lease(&mut self, for_millis: u64) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        session.refresh = Refresh::LeaseHeldElsewhere;
        let at = self.after(for_millis.clamp(50, 250));
        self.set_timer(Timer::Refresh, at);
    }

    /// It is time to ask for the lease again.
    pub(crate) fn lease_may_be_free(&mut self) {
        if let Session::SignedIn(session) = &mut self.state.session
            && session.refresh == Refresh::LeaseHeldElsewhere
        {
            session.refresh = Refresh::Idle;
        }
    }

    pub(crate) fn refreshed(&mut self, outcome: Outcome, server_time: Option<UnixMillis>) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        let Setup { issuer, client_id, .. } = &self.state.setup;
        if let Outcome::Granted { grant: Grant { claims: Some(claims), .. } } = &outcome
            && let Err(fault) = check_renewed_claims(claims, &session.agent, issuer, client_id)
        {
            return self.tokens_of_somebody_else(fault, server_time);
        }
        let generation = session.tokens.generation;
        match outcome {
            Outcome::Granted { grant: Grant { access, refresh, expires_in, session_life, claims: _ } } => {
                let life = life_of(expires_in);
                let server_now = self.state.clock.guess(self.now);
                let before = session.tokens.session_ends;
                let tokens = TokenSet {
                    sign_in: session.tokens.sign_in,
                    generation: generation.saturating_add(1),
                    access,
                    refresh: refresh.unwrap_or(session.tokens.refresh),
                    expires_at: later(server_now, life),
                    session_ends: match self.state.setup.session_life {
                        Some(_) => before,
                        None => SessionEnd::after_refresh(before, told_end(session_life, server_now)),
                    },
                };
                let generation = tokens.generation;
                // First of all: what is not stored is lost when the process dies. It gives the lease back, too.
                session.refresh = Refresh::Idle;
                self.store(Transaction::FinishRefresh { tokens: tokens.clone() }, Purpose::SaveTokens { generation });
                self.adopt(tokens, life);
            }
            Outcome::OAuthError { error, description } => {
                let lost = session.unsettled.is_some();
                session.said = Some(description.as_deref().unwrap_or(&error).to_owned());
                let reason = match self.state.setup.profile.judge(&error, description.as_deref()) {
                    Refusal::Expired => ReauthReason::Expired,
                    Refusal::Invalid if lost => ReauthReason::RotationLost,
                    Refusal::Invalid => ReauthReason::Revoked,
                    Refusal::SignInAgain => ReauthReason::Refused,
                    refusal @ (Refusal::NotThisApp | Refusal::SaysNothing) => {
                        self.refused_without_reason(refusal, server_time);
                        return self.abandon_refresh(&Outcome::OAuthError { error, description });
                    }
                };
                session.refresh = Refresh::Rereading { reason };
                self.store(Transaction::Reread, Purpose::Reread);
            }
            // The issuer has not seen the token.
            outcome @ Outcome::NotSent { .. } => self.abandon_refresh(&outcome),
            other => {
                session.unsettled.get_or_insert(self.now.mono);
                self.state.metadata_in_doubt |= other.says_not_here();
                self.abandon_refresh(&other);
            }
        }
    }

    /// They are not used. That the issuer has mixed two agents up is no sign-out, unless it lasts.
    fn tokens_of_somebody_else(&mut self, fault: &str, server_time: Option<UnixMillis>) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        session.unsettled.get_or_insert(self.now.mono);
        session.said = Some(fault.to_owned());
        self.refused_without_reason(Refusal::SaysNothing, server_time);
        let description = Some(fault.to_owned());
        self.abandon_refresh(&Outcome::OAuthError { error: "invalid_id_token".into(), description });
    }

    /// Not now, and nobody knows why. When that lasts, the agent may sign in again; the tokens are tried until then.
    fn refused_without_reason(&mut self, refusal: Refusal, now: Option<UnixMillis>) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        let refusals = &mut session.refusals;
        refusals.since = refusals.since.or(now);
        refusals.times = refusals.times.saturating_add(1);
        let lasts = refusals.since.zip(now).is_some_and(|(since, now)| now.since(since) >= PATIENCE);
        refusals.asks |= refusal == Refusal::NotThisApp || (lasts && refusals.times >= ENOUGH_REFUSALS);
        self.state.unremembered = true;
    }

    /// The lease goes back, so that another process need not wait for its end.
    fn abandon_refresh(&mut self, outcome: &Outcome) {
        let Session::SignedIn(session) = &self.state.session else { return };
        let unsent = session.refresh == Refresh::Discovering || matches!(outcome, Outcome::NotSent { .. });
        self.store(Transaction::AbandonRefresh { unsent }, Purpose::AbandonRefresh);
        self.refresh_came_to_nothing(outcome);
    }

    /// The refresh token was rejected. If another process has rotated it meanwhile, that is why, and all is well.
    pub(crate) fn reread(&mut self, outcome: Outcome) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        match outcome {
            // The lease was given back by whoever stored them.
            Outcome::Reread { tokens: Some(tokens) } if tokens.replaces(&session.tokens) => {
                session.refresh = Refresh::Idle;
                self.adopt_stored(tokens);
            }
            Outcome::Reread { tokens: Some(_) } => {
                let (agent, said) = (session.agent.clone(), session.said.clone());
                let Refresh::Rereading { reason } = session.refresh else { return };
                // Another process that waits for the lease would wait for its end, to hear the same.
                self.store(Transaction::AbandonRefresh { unsent: false }, Purpose::AbandonRefresh);
                self.leave_session(&Failure::reauthenticate(reason.explain()), Silence::SignInNeeded);
                self.state.session = Session::ReauthRequired { agent, reason, said };
            }
            Outcome::Reread { tokens: None } => self.signed_out_remotely(SignedOutWhy::Asked),
            // Another process has taken the lease over, and is asking now: perhaps it was its token that is the newest.
            Outcome::RefreshLeaseHeld { for_millis } => self.wait_for_lease(for_millis),
            other => self.abandon_refresh(&other),
        }
    }

    pub(crate) fn tokens_saved(&mut self, generation: Generation, outcome: Outcome) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        match outcome {
            // An older generation that was saved late says nothing about the newest.
            Outcome::Done if generation < session.tokens.generation => {}
            Outcome::Done => {
                session.unsaved = false;
                self.cancel_timer(Timer::SaveTokens);
            }
            Outcome::NewerTokens { tokens }
                if tokens.generation >= session.tokens.generation || tokens.sign_in != session.tokens.sign_in =>
            {
                session.unsaved = false;
                self.cancel_timer(Timer::SaveTokens);
                self.adopt_stored(tokens);
            }
            Outcome::Reread { tokens: None } => self.signed_out_remotely(SignedOutWhy::Asked),
            _ => self.tokens_unsaved(),
        }
    }

    pub(super) fn tokens_unsaved(&mut self) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        session.unsaved = true;
        self.store_later();
    }

    pub(super) fn store_later(&mut self) {
        if self.is_active() {
            let at = self.after(5_000);
            self.set_timer(Timer::SaveTokens, at);
        }
    }

    /// Stores what storage refused before, if anything.
    pub(crate) fn store_again(&mut self) {
        if self.is_in_flight(|purpose| matches!(purpose, Purpose::SaveTokens { .. } | Purpose::SignOut { .. })) {
            return;
        }
        match &self.state.session {
            Session::SignedIn(session) if session.unsaved => self.save_tokens_again(),
            Session::SigningOut { of, held } => {
                let transaction = Transaction::SignOut { of: *of, held: held.clone() };
                self.store(transaction, Purpose::SignOut { to: None });
            }
            Session::SignedIn(_)
            | Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SigningIn { .. }
            | Session::ReauthRequired { .. } => {}
        }
    }

    fn save_tokens_again(&mut self) {
        let Session::SignedIn(session) = &self.state.session else { return };
        let generation = session.tokens.generation;
        let (tokens, agent) = (session.tokens.clone(), session.agent.clone());
        let transaction = if session.is_unknown_to_vault() {
            Transaction::SignIn { agent, tokens }
        } else {
            Transaction::FinishRefresh { tokens }
        };
        self.store(transaction, Purpose::SaveTokens { generation });
    }

    /// Tokens that another process of this installation has stored.
    fn adopt_stored(&mut self, tokens: TokenSet) {
        let Session::SignedIn(session) = &self.state.session else { return };
        if tokens.sign_in != session.tokens.sign_in {
            return self.replaced();
        }
        match self.stored_life(&tokens) {
            Some(left) => self.adopt(tokens, left),
            // They were stored long ago and are used up: whoever waits gets the next ones.
            None => {
                self.drop_refresh();
                let now = self.now.mono;
                let Session::SignedIn(session) = &mut self.state.session else { return };
                session.tokens = tokens;
                session.fresh_until = now;
                session.refresh_at = now;
                if session.somebody_waits() {
                    self.refresh_if_possible();
                }
            }
        }
    }

    /// Newer tokens are there, and not by the refresh that is under way, if any: what comes of that one is of no use, and
    /// its lease goes back.
    fn drop_refresh(&mut self) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        if std::mem::replace(&mut session.refresh, Refresh::Idle) != Refresh::Idle {
            self.forget(|purpose| matches!(purpose, Purpose::TakeRefreshLease | Purpose::Refresh | Purpose::Reread));
            self.store(Transaction::AbandonRefresh { unsent: false }, Purpose::AbandonRefresh);
        }
    }

    fn adopt(&mut self, tokens: TokenSet, life_millis: u64) {
        self.drop_refresh();
        let (fresh_until, refresh_at) = self.token_times(life_millis);
        let Session::SignedIn(session) = &mut self.state.session else { return };
        let access = tokens.access;
        session.tokens = tokens;
        session.fresh_until = fresh_until;
        session.refresh_at = refresh_at;
        session.unsettled = None;
        self.state.unremembered |= session.refusals != Refusals::default();
        session.refusals = Refusals::default();
        session.said = None;
        session.backoff.reset();
        let waiters = std::mem::take(&mut session.waiters);
        let parked = std::mem::take(&mut session.parked);
        self.cancel_timer(Timer::Refresh);
        for to in waiters {
            self.reply(to, Ok(Reply::Token { access }));
        }
        for Parked { call, purpose, retried } in parked {
            if self.is_too_late(&purpose) {
                self.finish(purpose, Outcome::NotSent { cause: "too late".into() });
            } else {
                self.send_api(call, access, retried, purpose);
            }
        }
        self.repair_progress(RepairStage::Refreshing, Ok("A fresh access token was fetched."));
    }

    /// No answer, or none that decides anything: the session stays, and the refresh is tried again.
    fn refresh_came_to_nothing(&mut self, outcome: &Outcome) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        session.refresh = Refresh::Idle;
        let retry_after = outcome.retry_after();
        let now = self.now.mono;
        let bounds = if matches!(outcome, Outcome::OAuthError { .. }) { REFUSED } else { NETWORK };
        let at = session.backoff.fail(bounds, now, &mut self.state.random, retry_after);
        // While the issuer would still take it for a retry, the next attempt comes soon, in the background too: what is
        // lost otherwise is the session.
        let window = session.retry_window(self.state.setup.profile, now).filter(|_| retry_after.is_none());
        let soon = window.map(|window| now.saturating_add(window / 4));
        let at = soon.map_or(at, |soon| at.min(soon));
        if soon.is_some() {
            session.backoff.retry_at(at);
            session.refresh_at = now;
        }
        if (self.is_active() || soon.is_some()) && self.state.network_up {
            self.set_timer(Timer::Refresh, at);
        }
        let failure = outcome.failure();
        self.fail_waiting(outcome, failure.clone());
        self.repair_progress(RepairStage::Refreshing, Err(failure));
    }

    fn fail_waiting(&mut self, outcome: &Outcome, failure: Failure) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        let failure = if session.refusals.asks {
            Failure::reauthenticate(ReauthReason::Refused.explain_with(session.said.as_deref()))
        } else {
            failure
        };
        let waiters = std::mem::take(&mut session.waiters);
        let parked = std::mem::take(&mut session.parked);
        for to in waiters {
            self.fail(to, failure.clone());
        }
        for Parked { purpose, .. } in parked {
            self.finish(purpose, outcome.clone());
        }
    }
}
