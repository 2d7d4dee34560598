//! Sessions: made, seen, ended. The agent's status follows in the same transaction.

use crate::clock::Millis;
use hookswitch_wire::{AccountId, SignedOutReason};

use super::{Service, ServiceError, Unit};
use crate::{
    aggregate::Command,
    clock::millis,
    secret,
    store::{Group, SessionKind, SessionRow, UpstreamSession},
};

/// How stale `last_seen` may get before a request writes it.
const SEEN_EVERY: i64 = 60_000;

/// A session that was just made.
pub(crate) struct NewSession {
    pub(crate) id: String,
    /// For the browser; empty for a phone. Kept by us as a hash only.
    pub(crate) cookie: String,
}

impl Service {
    /// When a session that was seen at `now` ends if it is not seen again.
    pub(crate) fn session_end(&self, kind: SessionKind, now: Millis) -> Millis {
        let life = match kind {
            SessionKind::Mobile => self.config.refresh_token_life,
            SessionKind::Cookie(_) => self.config.browser_session_life,
        };
        now.saturating_add(millis(life))
    }

    /// The session of a cookie, if it lives.
    pub(crate) fn cookie_session(
        &self,
        group: Group,
        cookie: &str,
        address: &str,
    ) -> Result<Option<SessionRow>, ServiceError> {
        self.write(|unit| {
            let session = unit.tx.session_by_cookie(&secret::stored(cookie))?;
            let session = session.filter(|s| s.kind == SessionKind::Cookie(group) && s.lives(unit.now));
            session.map(|session| unit.seen(session, address)).transpose()
        })
    }

    /// The session of an access token, if both live.
    pub(crate) fn token_session(&self, token: &str, address: &str) -> Result<Option<SessionRow>, ServiceError> {
        self.write(|unit| {
            let session = unit.tx.session_by_access_token(&secret::stored(token), unit.now)?;
            let session = session.filter(|s| s.lives(unit.now));
            session.map(|session| unit.seen(session, address)).transpose()
        })
    }

    /// The agent ends one of their sessions from another. Once more is no error: over is over.
    pub(crate) fn sign_out_session(&self, account: &AccountId, id: &str) -> Result<(), ServiceError> {
        self.write(|unit| {
            let of_agent = unit.tx.session(id)?.is_some_and(|session| session.account == *account);
            if !of_agent {
                return Err(ServiceError::NoSuchSession);
            }
            unit.end_session(id, SignedOutReason::SignedOutElsewhere)
        })
    }

    /// Why a session is over; `None` while it lives.
    pub(crate) fn session_ended(&self, id: &str) -> Result<Option<SignedOutReason>, ServiceError> {
        Ok(match self.read(|tx| tx.session(id))? {
            Some(session) => session.ended,
            None => Some(SignedOutReason::Revoked),
        })
    }
}

impl Unit<'_> {
    pub(crate) fn start_session(
        &mut self,
        account: &AccountId,
        kind: SessionKind,
        address: &str,
        upstream: Option<&UpstreamSession>,
    ) -> Result<NewSession, ServiceError> {
        let id = secret::name("session-")?;
        let cookie = match kind {
            SessionKind::Mobile => String::new(),
            SessionKind::Cookie(_) => secret::random()?,
        };
        let row = SessionRow {
            id: id.clone(),
            account: account.clone(),
            kind,
            created_at: self.now,
            last_seen: self.now,
            expires_at: self.service().session_end(kind, self.now),
            address: address.to_owned(),
            second_factor: false,
            generation: 0,
            rotated_at: self.now,
            ended: None,
        };
        let stored = (!cookie.is_empty()).then(|| secret::stored(&cookie));
        self.tx.insert_session(&row, stored.as_deref(), upstream)?;
        self.tx.audit("session started", Some(account), address, self.now)?;
        self.agent(account, |_, _| Ok(Vec::new()))?;
        Ok(NewSession { id, cookie })
    }

    fn seen(&mut self, mut session: SessionRow, address: &str) -> Result<SessionRow, ServiceError> {
        let stale = self.now.saturating_sub(session.last_seen).abs() >= SEEN_EVERY;
        if stale || session.address != address {
            self.tx.lock_agent(&session.account)?;
            session.expires_at = self.service().session_end(session.kind, self.now);
            self.tx.touch_session(&session.id, address, self.now, session.expires_at)?;
            self.agent(&session.account, |_, _| Ok(Vec::new()))?;
        }
        Ok(session)
    }

    /// Ends a session: its tokens die, its device gets no more calls, its stream says why, and who relies on us is told.
    pub(crate) fn end_session(&mut self, id: &str, reason: SignedOutReason) -> Result<(), ServiceError> {
        let Some(session) = self.tx.session(id)? else { return Ok(()) };
        self.tx.lock_agent(&session.account)?;
        if self.tx.end_session(id, reason, self.now)? {
            self.tx.audit("session ended", Some(&session.account), &session.address, self.now)?;
            let command = Command::SessionEnded(id.to_owned());
            self.agent(&session.account, |aggregate, context| aggregate.apply(command, context))?;
            self.announce_end(&session.account, id)?;
            self.ended.push(session.account);
        }
        Ok(())
    }

    /// Ends all sessions of an agent.
    pub(crate) fn end_all_sessions(
        &mut self,
        account: &AccountId,
        reason: SignedOutReason,
    ) -> Result<(), ServiceError> {
        self.tx.lock_agent(account)?;
        for session in self.tx.live_sessions(account, self.now)? {
            self.end_session(&session.id, reason)?;
        }
        Ok(())
    }
}
