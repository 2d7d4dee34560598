//! Sign-outs on their way from issuer to issuer (OpenID Connect Back-Channel Logout 1.0).

use crate::clock::Millis;
use serde::{Deserialize, Serialize};

use super::{Result, Row, Tx, values};

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
    pub(super) fn read(row: &Row, first: usize) -> Result<Option<Self>> {
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

/// How long a node may take for a try in milliseconds, by the clock of PostgreSQL.
const LEASE: i64 = 15_000;

/// Matches a [`Leaver`]; parameters 1 to 3. A token that names neither person nor session matches nothing.
const LEFT: &str = "upstream_iss = ?1 AND (CAST(?2 AS TEXT) IS NULL OR upstream_sub = ?2) \
                    AND (CAST(?3 AS TEXT) IS NULL OR upstream_sid = ?3) \
                    AND (CAST(?2 AS TEXT) IS NOT NULL OR CAST(?3 AS TEXT) IS NOT NULL)";

impl Tx<'_> {
    /// The live sessions that were made through what ended upstream.
    pub(crate) fn sessions_through(&self, leaver: &Leaver) -> Result<Vec<String>> {
        let sql = &format!("SELECT id FROM sessions WHERE ended_at IS NULL AND {LEFT}");
        self.rows(sql, values![&leaver.iss, leaver.sub.as_ref(), leaver.sid.as_ref()], |row| row.get(0))
    }

    /// Codes that were not exchanged yet open nothing any more.
    pub(crate) fn delete_codes_through(&self, leaver: &Leaver) -> Result<()> {
        self.execute(
            &format!("DELETE FROM codes WHERE session IS NULL AND {LEFT}"),
            values![&leaver.iss, leaver.sub.as_ref(), leaver.sid.as_ref()],
        )?;
        Ok(())
    }

    /// Notes that a logout token came; false when it had come before.
    pub(crate) fn note_logout(&self, iss: &str, jti: &str, expires_at: Millis, now: Millis) -> Result<bool> {
        self.execute("DELETE FROM logouts_seen WHERE expires_at <= ?1", values![now])?;
        let added = self.execute(
            "INSERT INTO logouts_seen (iss, jti, expires_at) VALUES (?1, ?2, ?3) ON CONFLICT (iss, jti) DO NOTHING",
            values![iss, jti, expires_at],
        )?;
        Ok(added > 0)
    }

    pub(crate) fn insert_logout(&self, due: &LogoutDue) -> Result<()> {
        self.execute(
            "INSERT INTO logouts_due (tenant, aud, uri, sub, sid) VALUES (?1, ?2, ?3, ?4, ?5)",
            values![due.tenant.as_ref(), &due.aud, &due.uri, &due.sub, &due.sid],
        )?;
        Ok(())
    }

    /// What is to be sent, from the one that came after `seq`. With several nodes: what nobody is sending.
    pub(crate) fn take_logouts(&self, seq: i64) -> Result<Vec<LogoutDue>> {
        let due = |row: &Row| {
            Ok(LogoutDue {
                seq: row.get(0)?,
                tenant: row.get(1)?,
                aud: row.get(2)?,
                uri: row.get(3)?,
                sub: row.get(4)?,
                sid: row.get(5)?,
            })
        };
        if self.is_shared() {
            let free = "SELECT seq FROM logouts_due WHERE leased_until IS NULL OR leased_until < clock_timestamp() \
                        ORDER BY seq LIMIT 100 FOR UPDATE SKIP LOCKED";
            let sql = &format!(
                "UPDATE logouts_due SET leased_until = clock_timestamp() + CAST(?1 AS BIGINT) * INTERVAL '1 millisecond'
                 WHERE seq IN ({free}) RETURNING seq, tenant, aud, uri, sub, sid"
            );
            return self.rows(sql, values![LEASE], due);
        }
        let sql = "SELECT seq, tenant, aud, uri, sub, sid FROM logouts_due WHERE seq > ?1 ORDER BY seq";
        self.rows(sql, values![seq], due)
    }

    /// No other node sends it for so many milliseconds, and a while more.
    pub(crate) fn hold_logout(&self, seq: i64, ms: i64) -> Result<()> {
        if self.is_shared() {
            let sql = "UPDATE logouts_due SET leased_until = clock_timestamp() + CAST(?2 AS BIGINT) * INTERVAL '1 millisecond' WHERE seq = ?1";
            self.execute(sql, values![seq, ms.saturating_add(LEASE)])?;
        }
        Ok(())
    }

    pub(crate) fn delete_logout(&self, seq: i64) -> Result<()> {
        self.execute("DELETE FROM logouts_due WHERE seq = ?1", values![seq])?;
        Ok(())
    }

    pub(crate) fn insert_upstream_sign_in(&self, tenant: &str, email: &str, sid: &str) -> Result<()> {
        self.execute(
            "INSERT INTO upstream_sign_ins (sid, tenant, email) VALUES (?1, ?2, ?3)",
            values![sid, tenant, email],
        )?;
        Ok(())
    }

    /// Ends what the upstream issuer knows of a person's sessions; their names.
    pub(crate) fn take_upstream_sign_ins(&self, tenant: &str, email: &str) -> Result<Vec<String>> {
        let sql = "DELETE FROM upstream_sign_ins WHERE tenant = ?1 AND email = ?2 RETURNING sid";
        self.rows(sql, values![tenant, email], |row| row.get(0))
    }
}
