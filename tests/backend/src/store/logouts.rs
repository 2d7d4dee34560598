//! Sign-outs on their way from issuer to issuer (OpenID Connect Back-Channel Logout 1.0).

use hookswitch_wire::UnixMillis;
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::{Result, Tx};

/// A session at the upstream issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UpstreamSession {
    pub(crate) iss: String,
    pub(crate) sub: String,
    /// Not every issuer names its sessions.
    pub(crate) sid: Option<String>,
}

impl UpstreamSession {
    /// From three columns that are there or not.
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Self>> {
        let (iss, sub): (Option<String>, Option<String>) = (row.get(first)?, row.get(first + 1)?);
        let sid = row.get(first + 2)?;
        Ok(iss.zip(sub).map(|(iss, sub)| Self { iss, sub, sid }))
    }
}

/// Whom a logout token is about: all sessions of a person, one session, or one if it is that person's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaver {
    pub(crate) iss: String,
    pub(crate) sub: Option<String>,
    pub(crate) sid: Option<String>,
}

/// A logout token that is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct LogoutDue {
    pub(crate) seq: i64,
    /// Whose: `None` is our issuer.
    pub(crate) tenant: Option<String>,
    pub(crate) aud: String,
    pub(crate) uri: String,
    pub(crate) sub: String,
    pub(crate) sid: String,
}

/// Matches a [`Leaver`]; parameters 1 to 3. A token that names neither person nor session matches nothing.
const LEFT: &str = "upstream_iss = ?1 AND (?2 IS NULL OR upstream_sub = ?2) AND (?3 IS NULL OR upstream_sid = ?3) \
                    AND (?2 IS NOT NULL OR ?3 IS NOT NULL)";

impl Tx<'_> {
    /// The live sessions that were made through what ended upstream.
    pub(crate) fn sessions_through(&self, leaver: &Leaver) -> Result<Vec<String>> {
        let mut statement =
            self.0.prepare_cached(&format!("SELECT id FROM sessions WHERE ended_at IS NULL AND {LEFT}"))?;
        let ids = statement.query_map(params![leaver.iss, leaver.sub, leaver.sid], |row| row.get(0))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    /// Codes that were not exchanged yet open nothing any more.
    pub(crate) fn delete_codes_through(&self, leaver: &Leaver) -> Result<()> {
        self.0.execute(
            &format!("DELETE FROM codes WHERE session IS NULL AND {LEFT}"),
            params![leaver.iss, leaver.sub, leaver.sid],
        )?;
        Ok(())
    }

    /// Notes that a logout token came; false when it had come before.
    pub(crate) fn note_logout(&self, iss: &str, jti: &str, expires_at: UnixMillis, now: UnixMillis) -> Result<bool> {
        self.0.execute("DELETE FROM logouts_seen WHERE expires_at <= ?1", [now])?;
        let added = self.0.execute(
            "INSERT OR IGNORE INTO logouts_seen (iss, jti, expires_at) VALUES (?1, ?2, ?3)",
            params![iss, jti, expires_at],
        )?;
        Ok(added > 0)
    }

    pub(crate) fn insert_logout(&self, due: &LogoutDue) -> Result<()> {
        self.0.execute(
            "INSERT INTO logouts_due (tenant, aud, uri, sub, sid) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![due.tenant, due.aud, due.uri, due.sub, due.sid],
        )?;
        Ok(())
    }

    /// What is to be sent, from the one that came after `seq`.
    pub(crate) fn logouts_after(&self, seq: i64) -> Result<Vec<LogoutDue>> {
        let mut statement = self
            .0
            .prepare_cached("SELECT seq, tenant, aud, uri, sub, sid FROM logouts_due WHERE seq > ?1 ORDER BY seq")?;
        let due = statement.query_map([seq], |row| {
            Ok(LogoutDue {
                seq: row.get(0)?,
                tenant: row.get(1)?,
                aud: row.get(2)?,
                uri: row.get(3)?,
                sub: row.get(4)?,
                sid: row.get(5)?,
            })
        })?;
        Ok(due.collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn delete_logout(&self, seq: i64) -> Result<()> {
        self.0.execute("DELETE FROM logouts_due WHERE seq = ?1", [seq])?;
        Ok(())
    }

    pub(crate) fn insert_upstream_sign_in(&self, tenant: &str, email: &str, sid: &str) -> Result<()> {
        self.0.execute(
            "INSERT INTO upstream_sign_ins (sid, tenant, email) VALUES (?1, ?2, ?3)",
            params![sid, tenant, email],
        )?;
        Ok(())
    }

    /// Ends what the upstream issuer knows of a person's sessions; their names.
    pub(crate) fn take_upstream_sign_ins(&self, tenant: &str, email: &str) -> Result<Vec<String>> {
        let mut statement =
            self.0.prepare_cached("DELETE FROM upstream_sign_ins WHERE tenant = ?1 AND email = ?2 RETURNING sid")?;
        let sids = statement.query_map(params![tenant, email], |row| row.get(0))?;
        Ok(sids.collect::<rusqlite::Result<_>>()?)
    }
}
