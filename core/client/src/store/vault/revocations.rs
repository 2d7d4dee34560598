//! The queue of refresh tokens that wait to be revoked.

use hookswitch_machine::{Outcome, RevocationId, SecretRef};
use secrecy::SecretString;

use super::{SealedSession, Vault};
use crate::store::{columns::bytes, fault::Fault, seal::Place};

const REVOCATION: Place<'static> = Place { table: "revocation", row: "token", account: "", generation: 0 };

impl Vault {
    /// The queue, oldest first.
    pub(super) fn revocations(&self) -> Result<Vec<RevocationId>, Fault> {
        let mut statement = self.db.prepare("SELECT id FROM revocation ORDER BY id")?;
        let ids = statement.query_map([], |row| row.get(0).map(RevocationId))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// A token that waits to be revoked; `None` when there is no such, or it does not open.
    pub(in crate::store) fn revocation(&mut self, id: RevocationId) -> Option<SecretString> {
        self.key.unlock(&self.db).ok()?;
        let row: Vec<u8> =
            self.db.query_row("SELECT token FROM revocation WHERE id = ?1", [id.0], |row| bytes(row, 0)).ok()?;
        let opened = self.key.sealer(&self.db).ok()?.open(REVOCATION, &row).ok()?;
        std::str::from_utf8(&opened).ok().map(SecretString::from)
    }

    /// Nobody wants this token.
    pub(super) fn take_back(&self, refresh: SecretRef) -> Result<Outcome, Fault> {
        self.queue(None, &[refresh])?;
        self.whats_left()
    }

    /// Queues the refresh tokens of a session for their revocation: the one that was stored, and those in memory that are others.
    pub(super) fn queue(&self, session: Option<&SealedSession>, held: &[SecretRef]) -> Result<(), Fault> {
        let held = held.iter().map(|name| self.named(*name)).collect::<Result<Vec<_>, _>>()?;
        let stored = session.map(|session| &session.refresh);
        let others = held.iter().filter(|token| Some(*token) != stored);
        for token in stored.into_iter().chain(others) {
            let token = self.key.sealer(&self.db)?.seal(REVOCATION, token.as_bytes())?;
            self.db.execute("INSERT INTO revocation (token) VALUES (?1)", [token])?;
        }
        Ok(())
    }

    /// It is done.
    pub(super) fn revoked(&mut self, revocation: RevocationId) -> Result<Outcome, Fault> {
        self.db.execute("DELETE FROM revocation WHERE id = ?1", [revocation.0])?;
        Ok(Outcome::Done)
    }
}
