//! Codes and tokens: what the token and revocation endpoints do.

use hookswitch_wire::{AccountId, SignedOutReason};

use super::{Service, ServiceError, Unit};
use crate::{
    clock::millis,
    refreshes::{Outcome, Presented},
    rotation::{Verdict, judge},
    secret,
    store::{CodeRequest, CodeRow, RefreshRow, SessionKind, StoreError, UpstreamSession},
};

/// Life of a code.
const CODE_LIFE: i64 = 60_000;

/// A request of the token endpoint that brings a code.
pub(crate) struct CodeExchange<'a> {
    pub(crate) code: &'a str,
    pub(crate) client: &'a str,
    pub(crate) redirect_uri: &'a str,
    pub(crate) verifier: &'a str,
    pub(crate) address: &'a str,
}

/// Tokens that were granted. Secrets: no `Debug`.
pub(crate) struct Grant {
    pub(crate) account: AccountId,
    pub(crate) session: String,
    pub(crate) access: String,
    /// `None`: the old one stays good.
    pub(crate) refresh: Option<String>,
    /// What an ID token repeats; only when a code was exchanged.
    pub(crate) request: Option<CodeRequest>,
}

/// Why no tokens were granted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    /// `invalid_grant`, and what a developer should know.
    #[error("{0}")]
    InvalidGrant(&'static str),
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl From<StoreError> for GrantError {
    fn from(error: StoreError) -> Self {
        Self::Service(error.into())
    }
}

/// A refusal that has consequences: they must be committed, so it is no error of the unit of work.
type Judged = Result<Grant, &'static str>;

impl Service {
    /// Exchanges a code (RFC 6749, section 4.1.3).
    pub(crate) fn exchange(&self, exchange: &CodeExchange<'_>) -> Result<Grant, GrantError> {
        let judged = self.write(|unit| unit.exchange(exchange))?;
        judged.map_err(GrantError::InvalidGrant)
    }

    /// A refresh token reached the server, whatever becomes of the request.
    pub(crate) fn refresh_came(&self, token: &str) -> Result<(), ServiceError> {
        self.counters.refresh();
        let hash = secret::stored(token);
        let known = self.write(|unit| {
            let Some(row) = unit.tx.refresh_token(&hash)? else { return Ok::<_, ServiceError>(None) };
            let account = unit.tx.session(&row.session)?.map(|session| session.account);
            Ok(Some((Presented { session: row.session, generation: row.generation }, account)))
        })?;
        if let Some((presented, account)) = known {
            self.refreshes.received(&presented);
            if let Some(account) = account {
                self.counters.refreshed(&account);
            }
        }
        Ok(())
    }

    /// Uses a refresh token (RFC 6749, section 6).
    pub(crate) fn refresh(&self, token: &str, address: &str) -> Result<Grant, GrantError> {
        let hash = secret::stored(token);
        let mut presented = None;
        let judged = self.write(|unit| unit.refresh(&hash, address, &mut presented))?;
        let outcome = match &judged {
            Ok((Verdict::Retry, _)) => Outcome::Retried,
            Ok((Verdict::Rotate | Verdict::Keep | Verdict::Reuse, _)) => Outcome::Granted,
            Err(why) => Outcome::Refused(why),
        };
        self.metrics.refresh(outcome);
        self.refreshes.decided(presented.as_ref(), &hash, outcome, self.now());
        judged.map(|(_, grant)| grant).map_err(GrantError::InvalidGrant)
    }

    /// Revokes a token (RFC 7009). What is no token is revoked already.
    pub(crate) fn revoke(&self, token: &str) -> Result<(), ServiceError> {
        let hash = secret::stored(token);
        self.write(|unit| {
            if let Some(row) = unit.tx.refresh_token(&hash)? {
                return unit.end_session(&row.session, SignedOutReason::SignedOutElsewhere);
            }
            Ok(unit.tx.delete_access_token(&hash)?)
        })
    }
}

impl Unit<'_> {
    /// A code for an app. It works once, within a minute.
    pub(crate) fn issue_code(
        &mut self,
        account: &AccountId,
        request: CodeRequest,
        upstream: Option<&UpstreamSession>,
    ) -> Result<String, ServiceError> {
        let code = secret::random()?;
        let row = CodeRow {
            account: account.clone(),
            request,
            expires_at: self.now + CODE_LIFE,
            session: None,
            upstream: upstream.cloned(),
        };
        self.tx.insert_code(&secret::stored(&code), &row, self.now)?;
        Ok(code)
    }

    fn exchange(&mut self, exchange: &CodeExchange<'_>) -> Result<Judged, ServiceError> {
        let hash = secret::stored(exchange.code);
        let Some(code) = self.tx.code(&hash)? else { return Ok(Err("unknown code")) };
        if let Some(session) = code.session {
            // Used twice: one of the two users stole it (RFC 6749, section 4.1.2).
            self.tx.audit("code replayed", Some(&code.account), exchange.address, self.now)?;
            self.end_session(&session, SignedOutReason::Revoked)?;
            return Ok(Err("the code was used before"));
        }
        if code.expires_at <= self.now {
            return Ok(Err("the code has expired"));
        }
        if code.request.client != exchange.client || code.request.redirect_uri != exchange.redirect_uri {
            return Ok(Err("the code belongs to another client or redirect_uri"));
        }
        if !secret::pkce_holds(exchange.verifier, &code.request.challenge) {
            return Ok(Err("the code_verifier does not match"));
        }
        let upstream = code.upstream.as_ref();
        let session = self.start_session(&code.account, SessionKind::Mobile, exchange.address, upstream)?.id;
        self.tx.use_code(&hash, &session)?;
        self.grant(code.account, &session, 0, Some(code.request)).map(Ok)
    }

    fn refresh(
        &mut self,
        hash: &str,
        address: &str,
        presented: &mut Option<Presented>,
    ) -> Result<Result<(Verdict, Grant), &'static str>, ServiceError> {
        let Some(row) = self.tx.refresh_token(hash)? else { return Ok(Err("unknown refresh token")) };
        *presented = Some(Presented { session: row.session.clone(), generation: row.generation });
        let over = Ok(Err("the session is over"));
        let Some(session) = self.tx.session(&row.session)? else { return over };
        // The same token may be on another node at this moment: what became of it there is read after the lock.
        self.tx.lock_agent(&session.account)?;
        let Some(session) = self.tx.session(&row.session)? else { return over };
        if !session.lives(self.now) || row.expires_at <= self.now {
            return Ok(Err("the session is over"));
        }
        let profile = self.service().rotation();
        let verdict = judge(profile, row.generation, session.generation, session.rotated_at, self.now);
        let expires_at = self.service().session_end(session.kind, self.now);
        let grant = match verdict {
            Verdict::Rotate => {
                let next = session.generation.saturating_add(1);
                self.tx.set_generation(&session.id, next, self.now)?;
                self.tx.touch_session(&session.id, address, self.now, expires_at)?;
                self.grant(session.account, &session.id, next, None)?
            }
            Verdict::Retry => self.grant(session.account, &session.id, session.generation, None)?,
            Verdict::Keep => {
                self.tx.touch_session(&session.id, address, self.now, expires_at)?;
                self.tx.prolong_refresh_token(hash, expires_at)?;
                let access = self.access_token(&session.id)?;
                Grant { account: session.account, session: session.id, access, refresh: None, request: None }
            }
            Verdict::Reuse => {
                self.tx.audit("refresh token reused", Some(&session.account), address, self.now)?;
                self.end_session(&session.id, SignedOutReason::Revoked)?;
                return Ok(Err("the refresh token was used before: the session is over"));
            }
        };
        Ok(Ok((verdict, grant)))
    }

    fn access_token(&self, session: &str) -> Result<String, ServiceError> {
        let access = secret::random()?;
        let access_end = self.now.saturating_add(millis(self.service().config.access_token_life));
        self.tx.insert_access_token(&secret::stored(&access), session, self.now, access_end)?;
        Ok(access)
    }

    fn grant(
        &mut self,
        account: AccountId,
        session: &str,
        generation: u64,
        request: Option<CodeRequest>,
    ) -> Result<Grant, ServiceError> {
        let (access, refresh) = (self.access_token(session)?, secret::random()?);
        let expires_at = self.service().session_end(SessionKind::Mobile, self.now);
        let row = RefreshRow { session: session.to_owned(), generation, expires_at };
        self.tx.insert_refresh_token(&secret::stored(&refresh), &row)?;
        Ok(Grant { account, session: session.to_owned(), access, refresh: Some(refresh), request })
    }
}
