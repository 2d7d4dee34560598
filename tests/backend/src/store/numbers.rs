//! Forwarding numbers and the codes that verify them.

use hookswitch_wire::{AccountId, PhoneNumber, UnixMillis};
use rusqlite::{OptionalExtension, Row, params};

use super::{Result, Tx};

/// A code that is out.
pub(crate) struct CodeOut {
    /// Hashed.
    pub(crate) code: String,
    pub(crate) expires_at: UnixMillis,
    pub(crate) tries: u32,
}

impl Tx<'_> {
    pub(crate) fn is_verified(&self, account: &AccountId, number: &PhoneNumber) -> Result<bool> {
        let mut statement =
            self.0.prepare_cached("SELECT 1 FROM verified_numbers WHERE account = ?1 AND number = ?2")?;
        Ok(statement.exists(params![account.as_str(), number.as_str()])?)
    }

    /// From now on the number is verified, and its code is used up.
    pub(crate) fn set_verified(&self, account: &AccountId, number: &PhoneNumber, now: UnixMillis) -> Result<()> {
        self.0.execute(
            "INSERT OR IGNORE INTO verified_numbers (account, number, at) VALUES (?1, ?2, ?3)",
            params![account.as_str(), number.as_str(), now],
        )?;
        self.0.execute(
            "DELETE FROM number_codes WHERE account = ?1 AND number = ?2",
            params![account.as_str(), number.as_str()],
        )?;
        Ok(())
    }

    /// The code for a number; an older one is good no more.
    pub(crate) fn put_code(&self, account: &AccountId, number: &PhoneNumber, out: &CodeOut) -> Result<()> {
        self.0.execute(
            "INSERT OR REPLACE INTO number_codes (account, number, code, expires_at, tries) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![account.as_str(), number.as_str(), out.code, out.expires_at, out.tries],
        )?;
        Ok(())
    }

    pub(crate) fn code_out(&self, account: &AccountId, number: &PhoneNumber) -> Result<Option<CodeOut>> {
        let mut statement = self
            .0
            .prepare_cached("SELECT code, expires_at, tries FROM number_codes WHERE account = ?1 AND number = ?2")?;
        let out = |row: &Row<'_>| Ok(CodeOut { code: row.get(0)?, expires_at: row.get(1)?, tries: row.get(2)? });
        Ok(statement.query_row(params![account.as_str(), number.as_str()], out).optional()?)
    }
}
