//! Forwarding numbers and the codes that verify them.

use crate::clock::Millis;
use hookswitch_wire::{AccountId, PhoneNumber};

use super::{Result, Row, Tx, values};

/// A code that is out.
pub(crate) struct CodeOut {
    /// The code's hash; nobody reads the code itself here.
    pub(crate) code: String,
    pub(crate) expires_at: Millis,
    pub(crate) tries: u32,
}

impl Tx<'_> {
    pub(crate) fn is_verified(&self, account: &AccountId, number: &PhoneNumber) -> Result<bool> {
        let sql = "SELECT 1 FROM verified_numbers WHERE account = ?1 AND number = ?2";
        Ok(self.row(sql, values![account.as_str(), number.as_str()], |_| Ok(()))?.is_some())
    }

    /// From now on the number is verified, and its code is used up.
    pub(crate) fn set_verified(&self, account: &AccountId, number: &PhoneNumber, now: Millis) -> Result<()> {
        self.execute(
            "INSERT INTO verified_numbers (account, number, at) VALUES (?1, ?2, ?3) ON CONFLICT (account, number) DO NOTHING",
            values![account.as_str(), number.as_str(), now],
        )?;
        self.execute(
            "DELETE FROM number_codes WHERE account = ?1 AND number = ?2",
            values![account.as_str(), number.as_str()],
        )?;
        Ok(())
    }

    /// The code for a number; an older one is good no more.
    pub(crate) fn put_code(&self, account: &AccountId, number: &PhoneNumber, out: &CodeOut) -> Result<()> {
        self.execute(
            "INSERT INTO number_codes (account, number, code, expires_at, tries) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (account, number) DO UPDATE
             SET code = excluded.code, expires_at = excluded.expires_at, tries = excluded.tries",
            values![account.as_str(), number.as_str(), &out.code, out.expires_at, out.tries],
        )?;
        Ok(())
    }

    pub(crate) fn code_out(&self, account: &AccountId, number: &PhoneNumber) -> Result<Option<CodeOut>> {
        let sql = "SELECT code, expires_at, tries FROM number_codes WHERE account = ?1 AND number = ?2";
        let out = |row: &Row| Ok(CodeOut { code: row.get(0)?, expires_at: row.get(1)?, tries: row.get(2)? });
        self.row(sql, values![account.as_str(), number.as_str()], out)
    }
}
