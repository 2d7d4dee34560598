//! The queue of refresh tokens that the issuer must be told to revoke (RFC 7009).

use crate::{
    backoff::NETWORK,
    effect::{Request, Transaction},
    event::Outcome,
    kept::Loaded,
    names::{RevocationId, SecretRef},
    running::Purpose,
    state::session::Session,
    step::Step,
    timer::Timer,
};

impl Step<'_> {
    /// Whatever tokens are still on their way, nobody is left to use them: they are revoked when they come.
    pub(crate) fn take_back_what_comes(&mut self) {
        for running in self.state.in_flight.values_mut() {
            if matches!(running.purpose, Purpose::Refresh | Purpose::Exchange) {
                running.purpose = Purpose::TakeBack;
            }
        }
    }

    /// What came of a request for tokens that nobody wants.
    pub(crate) fn unwanted(&mut self, outcome: &Outcome) {
        if let Outcome::Granted { grant } = outcome {
            self.take_back(grant.refresh);
        }
    }

    /// Revokes a token that nobody uses; not beside a session, since at some issuers that ends all that the agent has with the app.
    pub(crate) fn take_back(&mut self, refresh: Option<SecretRef>) {
        if let Some(refresh) = refresh
            && !matches!(self.state.session, Session::SignedIn(_))
        {
            self.store(Transaction::TakeBack { refresh }, Purpose::TakenBack);
        }
    }

    pub(crate) fn taken_back(&mut self, outcome: Outcome) {
        if let Outcome::Loaded { loaded } = outcome
            && let Loaded::Contents(contents) = *loaded
        {
            self.state.revocations = contents.revocations;
        }
    }

    pub(crate) fn revoke_if_needed(&mut self) {
        let busy = self.is_in_flight(|purpose| matches!(purpose, Purpose::Revoke { .. }));
        // In the background one attempt is made, right after the sign-out; the others wait for the foreground.
        let allowed = self.is_active() || !self.state.revoke_backoff.has_failed();
        if busy || !allowed || !self.state.network_up || !self.state.revoke_backoff.is_over(self.now.mono) {
            return;
        }
        let Some(revocation) = self.state.revocations.first().copied() else { return };
        let endpoint = self.state.endpoints().map(|metadata| metadata.revocation_endpoint.clone());
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

    pub(crate) fn revoke_later(&mut self) {
        let at = self.state.revoke_backoff.fail(NETWORK, self.now.mono, &mut self.state.random, None);
        if self.is_active() {
            self.set_timer(Timer::Revoke, at);
        }
    }

    pub(crate) fn revoked(&mut self, revocation: RevocationId, outcome: &Outcome) {
        match outcome {
            // RFC 7009, section 2.2: a token that is unknown is answered with 200 too. Other refusals would come again.
            Outcome::Done | Outcome::OAuthError { .. } | Outcome::Refused { .. } => {
                self.state.revocations.retain(|id| *id != revocation);
                self.state.revoke_backoff.reset();
                self.store(Transaction::Revoked { revocation }, Purpose::Revoked);
            }
            Outcome::Unavailable { .. }
            | Outcome::NotSent { .. }
            | Outcome::Unreachable { .. }
            | Outcome::Unintelligible { .. }
            | Outcome::Unauthenticated
            | Outcome::State { .. }
            | Outcome::Metadata { .. }
            | Outcome::LoginPushed { .. }
            | Outcome::Granted { .. }
            | Outcome::Loaded { .. }
            | Outcome::NewerTokens { .. }
            | Outcome::RefreshLeaseHeld { .. }
            | Outcome::Reread { .. }
            | Outcome::StorageFailed { .. } => {
                self.state.metadata_in_doubt |= outcome.says_not_here();
                self.revoke_later();
            }
        }
    }
}
