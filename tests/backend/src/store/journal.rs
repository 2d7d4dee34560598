//! What was answered and done: idempotency, the audit log.

use crate::clock::Millis;
use hookswitch_wire::AccountId;

use super::{Result, Row, Tx, values};

/// An answer that a repeated command gets again.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// A hash of method, path and body of the command that it answers.
    pub(crate) fingerprint: String,
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    pub(crate) body: String,
}

/// How long an answer is kept.
const KEEP_ANSWERS: i64 = 24 * 3_600_000;

impl Tx<'_> {
    pub(crate) fn answer(&self, account: &AccountId, key: &str, now: Millis) -> Result<Option<Answer>> {
        let sql = "SELECT fingerprint, status, etag, body FROM answers WHERE account = ?1 AND key = ?2 AND at > ?3";
        let answer = |row: &Row| {
            Ok(Answer { fingerprint: row.get(0)?, status: row.get(1)?, etag: row.get(2)?, body: row.get(3)? })
        };
        let since = now.saturating_sub(KEEP_ANSWERS);
        self.row(sql, values![account.as_str(), key, since], answer)
    }

    pub(crate) fn insert_answer(&self, account: &AccountId, key: &str, answer: &Answer, now: Millis) -> Result<()> {
        let sql = "DELETE FROM answers WHERE account = ?1 AND at <= ?2";
        self.execute(sql, values![account.as_str(), now.saturating_sub(KEEP_ANSWERS)])?;
        let sql = "INSERT INTO answers (account, key, fingerprint, status, etag, body, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (account, key) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status,
             etag = excluded.etag, body = excluded.body, at = excluded.at";
        self.execute(
            sql,
            values![account.as_str(), key, &answer.fingerprint, answer.status, answer.etag.as_ref(), &answer.body, now],
        )?;
        Ok(())
    }

    /// Who did what from where; never a secret.
    pub(crate) fn audit(&self, event: &str, account: Option<&AccountId>, address: &str, now: Millis) -> Result<()> {
        let sql = "INSERT INTO audit (at, account, event, address) VALUES (?1, ?2, ?3, ?4)";
        self.execute(sql, values![now, account.map(AccountId::as_str), event, address])?;
        Ok(())
    }

    pub(crate) fn audit_log(&self, account: &AccountId) -> Result<Vec<(Millis, String)>> {
        let sql = "SELECT at, event FROM audit WHERE account = ?1 ORDER BY rowid";
        self.rows(sql, values![account.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}
