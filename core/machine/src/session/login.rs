//! Login: authorization code with PKCE in the system's browser (RFC 8252, RFC 7636).

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use super::tokens::{later, life_of, told_end};
use crate::{
    claims::check_claims,
    effect::{Reply, Request, Transaction},
    error::Failure,
    event::{Grant, Outcome, Redirect},
    kept::{PendingLogin, SessionEnd, TokenSet},
    metadata::check_metadata,
    names::{CommandId, SignInId},
    redirect::{RedirectFault, check_redirect, loopback_or_equal},
    ring::Silence,
    running::Purpose,
    sentences::{NOT_LOADED, refusal},
    state::presence::PresenceSync,
    state::session::{BeforeLogin, LoginStage, Refresh, Session, SignedIn},
    step::Step,
};

impl Step<'_> {
    pub(crate) fn begin_login(&mut self, to: CommandId, pending: PendingLogin) {
        if !self.state.setup.redirect_uris.iter().any(|uri| loopback_or_equal(uri, &pending.redirect_uri)) {
            return self.fail(to, Failure::internal("The redirect address is not one that this app has registered."));
        }
        let before = match std::mem::replace(&mut self.state.session, Session::Loading) {
            Session::SignedOut { why } => BeforeLogin::SignedOut { why },
            Session::ReauthRequired { agent, reason, said } => BeforeLogin::ReauthRequired { agent, reason, said },
            Session::SignedIn(session)
                if session.refusals.asks || session.ends_soon(self.state.clock.guess(self.now)) =>
            {
                self.state.session = Session::SignedIn(session);
                match self.set_aside() {
                    Some(session) => BeforeLogin::SignedIn { session },
                    None => return self.fail(to, Failure::storage(NOT_LOADED)),
                }
            }
            // The newer login wins; the older one's redirect will be refused by its state.
            Session::SigningIn { stage, before, pending: older } => match stage {
                LoginStage::Storing { .. } => {
                    self.state.session = Session::SigningIn { stage, before, pending: older };
                    return self.fail(to, Failure::cancelled("Another sign-in is just being completed."));
                }
                LoginStage::Preparing { to: older } | LoginStage::Exchanging { to: older } => {
                    self.fail(older, Failure::cancelled("A newer sign-in has begun."));
                    self.take_back_what_comes();
                    self.forget(Purpose::prepares_login);
                    before
                }
                LoginStage::Browser => before,
            },
            session @ (Session::Loading | Session::Locked) => {
                self.state.session = session;
                return self.fail(to, Failure::storage(NOT_LOADED));
            }
            session @ Session::SignedIn(_) => {
                self.state.session = session;
                return self.fail(to, Failure::forbidden("Somebody is signed in on this phone. Sign out first."));
            }
            session @ Session::SigningOut { .. } => {
                self.state.session = session;
                return self.fail(to, Failure::cancelled("The phone is just signing out."));
            }
        };
        self.state.session = Session::SigningIn { pending, stage: LoginStage::Preparing { to }, before };
        // Asked each time: a login needs the network anyway, and endpoints move.
        self.send(Request::Discover, Purpose::Discover);
    }

    /// A session that the issuer does not renew, or not for long, makes place for a login, and waits with its tokens for what comes of it.
    fn set_aside(&mut self) -> Option<Box<SignedIn>> {
        self.store_again();
        let Session::SignedIn(session) = &self.state.session else { return None };
        let leased = session.refresh != Refresh::Idle;
        // Its answer is the session's, which may go on.
        self.forget(|purpose| *purpose == Purpose::Refresh);
        self.leave_session(&Failure::cancelled("A new sign-in has begun."), Silence::SignInNeeded);
        if leased {
            self.store(Transaction::AbandonRefresh { unsent: false }, Purpose::AbandonRefresh);
        }
        match std::mem::replace(&mut self.state.session, Session::Loading) {
            Session::SignedIn(session) => Some(Box::new(SignedIn { refresh: Refresh::Idle, ..*session })),
            _ => None,
        }
    }

    pub(crate) fn discovered(&mut self, outcome: Outcome) {
        let Session::SigningIn { pending, stage: LoginStage::Preparing { .. }, .. } = &self.state.session else {
            return;
        };
        let pending = pending.clone();
        match outcome {
            Outcome::Metadata { metadata } => match check_metadata(&metadata, &self.state.setup.issuer) {
                Ok(()) => {
                    self.state.metadata = Some(metadata.clone());
                    self.state.metadata_in_doubt = false;
                    self.store(Transaction::SavePending { pending, metadata }, Purpose::SavePending);
                }
                Err(fault) => self.end_login(Failure::internal(format!("Signing in is not possible: {fault}."))),
            },
            other => {
                let failure = other.failure();
                self.end_login(failure);
            }
        }
    }

    pub(crate) fn pending_saved(&mut self, outcome: &Outcome) {
        let Session::SigningIn { pending, stage: LoginStage::Preparing { .. }, .. } = &self.state.session else {
            return;
        };
        match (outcome, &self.state.metadata) {
            (Outcome::Done, Some(metadata)) => match metadata.pushed_authorization_request_endpoint.clone() {
                Some(endpoint) => {
                    let authorization_endpoint = metadata.authorization_endpoint.clone();
                    let pending = pending.clone();
                    self.send(Request::PushLogin { endpoint, authorization_endpoint, pending }, Purpose::PushLogin);
                }
                None => self.open_browser(None),
            },
            (outcome, _) => {
                let failure = outcome.failure();
                self.end_login(failure);
            }
        }
    }

    /// An issuer that only offers to take the parameters ahead is asked without, should that not work.
    pub(crate) fn login_pushed(&mut self, outcome: Outcome) {
        let must = self.state.metadata.as_ref().is_some_and(|metadata| metadata.require_pushed_authorization_requests);
        match outcome {
            Outcome::LoginPushed { request_uri } => self.open_browser(Some(request_uri)),
            failed if must => self.end_login(failed.failure()),
            _ => self.open_browser(None),
        }
    }

    fn open_browser(&mut self, request_uri: Option<String>) {
        let Session::SigningIn { pending, stage, .. } = &mut self.state.session else { return };
        let (LoginStage::Preparing { to }, Some(metadata)) = (&*stage, &self.state.metadata) else { return };
        let (to, pending) = (*to, pending.clone());
        let authorization_endpoint = metadata.authorization_endpoint.clone();
        *stage = LoginStage::Browser;
        self.reply(to, Ok(Reply::Login { authorization_endpoint, pending, request_uri }));
    }

    pub(crate) fn finish_login(&mut self, to: CommandId, redirect: &Redirect) {
        let stale = "This sign-in page is not valid any more. Start the sign-in again.";
        let Session::SigningIn { pending, stage: stage @ LoginStage::Browser, .. } = &mut self.state.session else {
            return self.fail(to, Failure::forbidden(stale));
        };
        let Some(metadata) = &self.state.metadata else {
            return self.fail(to, Failure::forbidden(stale));
        };
        let iss_required = metadata.authorization_response_iss_parameter_supported;
        match check_redirect(pending, redirect, &self.state.setup.issuer, iss_required, self.now) {
            Ok(code) => {
                *stage = LoginStage::Exchanging { to };
                let (verifier, redirect_uri) = (pending.verifier, pending.redirect_uri.clone());
                let token_endpoint = metadata.token_endpoint.clone();
                self.send(Request::ExchangeCode { token_endpoint, code, verifier, redirect_uri }, Purpose::Exchange);
            }
            Err(RedirectFault::Foreign(fault)) => {
                self.fail(to, Failure::forbidden(format!("This redirect was refused: {fault}. The sign-in goes on.")));
            }
            Err(RedirectFault::Expired) => {
                self.fail(to, Failure::forbidden(stale));
                self.back_to_before();
            }
            Err(RedirectFault::Denied { error, said }) => {
                let failure = if error == "access_denied" {
                    Failure::cancelled("The sign-in was cancelled.")
                } else {
                    let said = refusal(&error, said.as_deref());
                    Failure::forbidden(format!("The sign-in server refused ({said})."))
                };
                self.fail(to, failure);
                self.back_to_before();
            }
        }
    }

    pub(crate) fn exchanged(&mut self, outcome: Outcome) {
        let Session::SigningIn { pending, stage, .. } = &mut self.state.session else { return };
        let LoginStage::Exchanging { to } = *stage else { return };
        match outcome {
            Outcome::Granted { grant: Grant { access, refresh, expires_in, claims, session_life } } => {
                let server_now = self.state.clock.guess(self.now);
                let trusted = self.state.clock.trusted(self.now);
                let setup = &self.state.setup;
                let setup_life = setup.session_life;
                let checked = claims
                    .as_ref()
                    .ok_or("the answer has no ID token")
                    .and_then(|claims| check_claims(claims, pending.nonce, &setup.issuer, &setup.client_id, trusted));
                match (checked, refresh) {
                    (Ok(agent), Some(refresh)) => {
                        let life = life_of(expires_in);
                        // As large as a number in JSON may be.
                        let sign_in = SignInId(self.state.random.next() >> 11);
                        let tokens = TokenSet {
                            sign_in,
                            generation: 1,
                            access,
                            refresh,
                            expires_at: later(server_now, life),
                            session_ends: match setup_life {
                                Some(life) => Some(SessionEnd { at: later(server_now, life), is_fixed: true }),
                                None => SessionEnd::after_refresh(None, told_end(session_life, server_now)),
                            },
                        };
                        *stage = LoginStage::Storing { to, agent: agent.clone(), tokens: tokens.clone() };
                        self.store(Transaction::SignIn { agent, tokens }, Purpose::SignIn);
                    }
                    (Ok(_), None) => {
                        self.end_login(Failure::internal("The sign-in server gave no refresh token."));
                    }
                    (Err(fault), refresh) => {
                        self.end_login(Failure::forbidden(format!("The sign-in was refused: {fault}.")));
                        self.take_back(refresh);
                    }
                }
            }
            Outcome::OAuthError { error, description } => {
                let said = refusal(&error, description.as_deref());
                let why = format!("The sign-in could not be completed ({said}). Start it again.");
                self.end_login(Failure::forbidden(why));
            }
            // No answer: the code may still be good, so the same redirect may be tried again.
            other => {
                *stage = LoginStage::Browser;
                let failure = other.failure();
                self.fail(to, failure);
            }
        }
    }

    pub(crate) fn signed_in(&mut self, outcome: &Outcome) {
        let Session::SigningIn { stage: LoginStage::Storing { to, agent, tokens }, .. } = &self.state.session else {
            return;
        };
        let (to, agent, tokens) = (*to, agent.clone(), tokens.clone());
        let saved = matches!(outcome, Outcome::Done);
        self.state.presence = PresenceSync::default();
        self.state.calls.remembered = None;
        self.state.device.forget_registration();
        self.enter(agent, tokens);
        if !saved {
            // Signed in for as long as the process lives; the save is tried again.
            self.tokens_unsaved();
        }
        self.state.unremembered = true;
        self.judge_again();
        self.reply(to, Ok(Reply::Done));
    }

    pub(crate) fn cancel_login(&mut self, to: CommandId) {
        match &self.state.session {
            Session::SigningIn { stage: LoginStage::Storing { .. }, .. } => {
                self.fail(to, Failure::forbidden("The sign-in is complete; sign out instead."));
            }
            Session::SigningIn { .. } => {
                self.end_login(Failure::cancelled("The sign-in was cancelled."));
                self.reply(to, Ok(Reply::Done));
            }
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SignedIn(_)
            | Session::ReauthRequired { .. }
            | Session::SigningOut { .. } => self.reply(to, Ok(Reply::Done)),
        }
    }

    /// The login is over; whoever waits for it hears why.
    pub(super) fn end_login(&mut self, failure: Failure) {
        if let Session::SigningIn { stage, .. } = &self.state.session {
            match stage {
                LoginStage::Preparing { to } | LoginStage::Exchanging { to } | LoginStage::Storing { to, .. } => {
                    let to = *to;
                    self.fail(to, failure);
                }
                LoginStage::Browser => {}
            }
        }
        self.back_to_before();
    }

    fn back_to_before(&mut self) {
        self.take_back_what_comes();
        self.forget(Purpose::prepares_login);
        self.state.session = match std::mem::replace(&mut self.state.session, Session::Loading) {
            Session::SigningIn { before, .. } => {
                self.store(Transaction::DropPending, Purpose::DropPending);
                before.into()
            }
            other => other,
        };
    }
}
