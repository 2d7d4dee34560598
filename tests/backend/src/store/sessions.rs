//! Sessions and their tokens. Tokens and cookies come here as hashes already.

use crate::clock::Millis;
use hookswitch_wire::UnixMillis;
use hookswitch_wire::{AccountId, SessionId, SignIn, SignInKind, SignedOutReason};

use super::{Result, Row, Tx, UpstreamSession, values};

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SessionKind {
    /// One phone.
    Mobile,
    /// One of the two kinds that a cookie carries.
    Cookie(Group),
}

/// Surfaces that share a sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Group {
    /// Everything in a browser.
    Browser,
    /// The desktop app.
    Desktop,
}

impl SessionKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Cookie(Group::Browser) => "browser",
            Self::Cookie(Group::Desktop) => "desktop",
        }
    }

    fn parse(name: &str) -> Self {
        match name {
            "browser" => Self::Cookie(Group::Browser),
            "desktop" => Self::Cookie(Group::Desktop),
            _ => Self::Mobile,
        }
    }
}

/// A session.
#[derive(Clone, Debug)]
pub(crate) struct SessionRow {
    pub(crate) id: String,
    pub(crate) account: AccountId,
    pub(crate) kind: SessionKind,
    pub(crate) created_at: Millis,
    pub(crate) last_seen: Millis,
    pub(crate) expires_at: Millis,
    pub(crate) address: String,
    pub(crate) second_factor: bool,
    pub(crate) generation: u64,
    pub(crate) rotated_at: Millis,
    pub(crate) ended: Option<SignedOutReason>,
}

impl SessionRow {
    pub(crate) fn lives(&self, now: Millis) -> bool {
        self.ended.is_none() && self.expires_at > now
    }

    /// What the agent is shown of it; the aggregate knows its device.
    pub(crate) fn sign_in(&self) -> SignIn {
        SignIn {
            id: SessionId(self.id.clone()),
            kind: match self.kind {
                SessionKind::Mobile => SignInKind::Mobile,
                SessionKind::Cookie(Group::Browser) => SignInKind::Browser,
                SessionKind::Cookie(Group::Desktop) => SignInKind::Desktop,
            },
            device: None,
            signed_in_at: UnixMillis(self.created_at),
        }
    }
}

/// A refresh token, used or not.
pub(crate) struct RefreshRow {
    pub(crate) session: String,
    pub(crate) generation: u64,
    pub(crate) expires_at: Millis,
}

const COLUMNS: &str = "id, account, kind, created_at, last_seen, expires_at, address, second_factor, generation, \
                       rotated_at, ended_at, reason";

fn reason_name(reason: SignedOutReason) -> &'static str {
    match reason {
        SignedOutReason::SignedOutElsewhere => "signed_out_elsewhere",
        SignedOutReason::Revoked => "revoked",
        SignedOutReason::AccountClosed => "account_closed",
        SignedOutReason::Unknown => "unknown",
    }
}

fn session(row: &Row) -> Result<SessionRow> {
    let (kind, ended_at, reason): (String, Option<i64>, Option<String>) = (row.get(2)?, row.get(10)?, row.get(11)?);
    Ok(SessionRow {
        id: row.get(0)?,
        account: AccountId(row.get(1)?),
        kind: SessionKind::parse(&kind),
        created_at: row.get(3)?,
        last_seen: row.get(4)?,
        expires_at: row.get(5)?,
        address: row.get(6)?,
        second_factor: row.get(7)?,
        generation: row.get(8)?,
        rotated_at: row.get(9)?,
        ended: ended_at.map(|_| match reason.as_deref() {
            Some("signed_out_elsewhere") => SignedOutReason::SignedOutElsewhere,
            Some("account_closed") => SignedOutReason::AccountClosed,
            _ => SignedOutReason::Revoked,
        }),
    })
}

impl Tx<'_> {
    pub(crate) fn insert_session(
        &self,
        row: &SessionRow,
        cookie: Option<&str>,
        upstream: Option<&UpstreamSession>,
    ) -> Result<()> {
        self.execute(
            "INSERT INTO sessions (id, account, kind, cookie, created_at, last_seen, expires_at, address, second_factor,
             upstream_iss, upstream_sub, upstream_sid) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            values![
                &row.id,
                row.account.as_str(),
                row.kind.name(),
                cookie,
                row.created_at,
                row.last_seen,
                row.expires_at,
                &row.address,
                row.second_factor,
                upstream.map(|upstream| &upstream.iss),
                upstream.map(|upstream| &upstream.sub),
                upstream.and_then(|upstream| upstream.sid.as_ref()),
            ],
        )?;
        Ok(())
    }

    pub(crate) fn session(&self, id: &str) -> Result<Option<SessionRow>> {
        let sql = &format!("SELECT {COLUMNS} FROM sessions WHERE id = ?1");
        self.row(sql, values![id], session)
    }

    pub(crate) fn session_by_cookie(&self, cookie: &str) -> Result<Option<SessionRow>> {
        let sql = &format!("SELECT {COLUMNS} FROM sessions WHERE cookie = ?1");
        self.row(sql, values![cookie], session)
    }

    pub(crate) fn live_sessions(&self, account: &AccountId, now: Millis) -> Result<Vec<SessionRow>> {
        let sql = &format!(
            "SELECT {COLUMNS} FROM sessions WHERE account = ?1 AND ended_at IS NULL AND expires_at > ?2 ORDER BY created_at, rowid"
        );
        self.rows(sql, values![account.as_str(), now], session)
    }

    /// All phones that the agent ever signed in on, oldest first.
    pub(crate) fn mobile_sessions(&self, account: &AccountId) -> Result<Vec<SessionRow>> {
        let sql =
            &format!("SELECT {COLUMNS} FROM sessions WHERE account = ?1 AND kind = ?2 ORDER BY created_at, rowid");
        self.rows(sql, values![account.as_str(), SessionKind::Mobile.name()], session)
    }

    pub(crate) fn touch_session(&self, id: &str, address: &str, now: Millis, expires_at: Millis) -> Result<()> {
        let sql = "UPDATE sessions SET last_seen = ?3, address = ?2, expires_at = ?4 WHERE id = ?1";
        self.execute(sql, values![id, address, now, expires_at])?;
        Ok(())
    }

    pub(crate) fn second_factor_done(&self, id: &str) -> Result<()> {
        self.execute("UPDATE sessions SET second_factor = 1 WHERE id = ?1", values![id])?;
        Ok(())
    }

    /// Ends a session and forgets its tokens; false when it had ended before.
    pub(crate) fn end_session(&self, id: &str, reason: SignedOutReason, now: Millis) -> Result<bool> {
        let changed = self.execute(
            "UPDATE sessions SET ended_at = ?2, reason = ?3 WHERE id = ?1 AND ended_at IS NULL",
            values![id, now, reason_name(reason)],
        )?;
        self.execute("DELETE FROM access_tokens WHERE session = ?1", values![id])?;
        // Refresh tokens stay: a late use should say that the session ended, and look like nothing else.
        Ok(changed > 0)
    }

    pub(crate) fn insert_access_token(&self, hash: &str, session: &str, now: Millis, expires_at: Millis) -> Result<()> {
        self.execute("DELETE FROM access_tokens WHERE session = ?1 AND expires_at <= ?2", values![session, now])?;
        self.execute(
            "INSERT INTO access_tokens (hash, session, expires_at) VALUES (?1, ?2, ?3)",
            values![hash, session, expires_at],
        )?;
        Ok(())
    }

    /// The session of an access token that has not run out.
    pub(crate) fn session_by_access_token(&self, hash: &str, now: Millis) -> Result<Option<SessionRow>> {
        let sql = &format!(
            "SELECT {COLUMNS} FROM sessions WHERE id =
             (SELECT session FROM access_tokens WHERE hash = ?1 AND access_tokens.expires_at > ?2)"
        );
        self.row(sql, values![hash, now], session)
    }

    pub(crate) fn delete_access_token(&self, hash: &str) -> Result<()> {
        self.execute("DELETE FROM access_tokens WHERE hash = ?1", values![hash])?;
        Ok(())
    }

    pub(crate) fn delete_access_tokens_of(&self, session: &str) -> Result<()> {
        self.execute("DELETE FROM access_tokens WHERE session = ?1", values![session])?;
        Ok(())
    }

    pub(crate) fn insert_refresh_token(&self, hash: &str, row: &RefreshRow) -> Result<()> {
        self.execute(
            "INSERT INTO refresh_tokens (hash, session, generation, expires_at) VALUES (?1, ?2, ?3, ?4)",
            values![hash, &row.session, row.generation, row.expires_at],
        )?;
        Ok(())
    }

    pub(crate) fn refresh_token(&self, hash: &str) -> Result<Option<RefreshRow>> {
        let sql = "SELECT session, generation, expires_at FROM refresh_tokens WHERE hash = ?1";
        let token =
            |row: &Row| Ok(RefreshRow { session: row.get(0)?, generation: row.get(1)?, expires_at: row.get(2)? });
        self.row(sql, values![hash], token)
    }

    pub(crate) fn prolong_refresh_token(&self, hash: &str, expires_at: Millis) -> Result<()> {
        self.execute("UPDATE refresh_tokens SET expires_at = ?2 WHERE hash = ?1", values![hash, expires_at])?;
        Ok(())
    }

    /// The hashes of the tokens of a generation, oldest first.
    pub(crate) fn refresh_tokens_of(&self, session: &str, generation: u64) -> Result<Vec<String>> {
        let sql = "SELECT hash FROM refresh_tokens WHERE session = ?1 AND generation = ?2 ORDER BY rowid";
        self.rows(sql, values![session, generation], |row| row.get(0))
    }

    pub(crate) fn set_generation(&self, session: &str, generation: u64, now: Millis) -> Result<()> {
        self.execute(
            "UPDATE sessions SET generation = ?2, rotated_at = ?3 WHERE id = ?1",
            values![session, generation, now],
        )?;
        Ok(())
    }
}
