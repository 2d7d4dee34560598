//! The transactions of the vault.
//!
//! A rotation of tokens is safe against a kill at any point:
//!
//! | killed | what the next process finds | what it does |
//! |---|---|---|
//! | before `begin_refresh` | the old tokens | refreshes |
//! | after it, before or after the request | the old tokens, intent, the lease of a dead process | refreshes at once with the same token, while the server takes it for a retry |
//! | after `finish_refresh` | the new tokens | goes on |
//!
//! A lease is held by the monotonic clock, which all processes of a device share; a reboot starts that clock again, which
//! ends any lease. So does the death of its holder ([`super::owner`]).

use std::{path::Path, sync::Arc};

use hookswitch_machine::{
    Contents, Generation, Identified, Knowledge, Loaded, Outcome, PendingLogin, RevocationId, SecretRef, StoredSession,
    TokenSet, Transaction,
};
use hookswitch_wire::{ServerMetadata, Snapshot};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    owner::Owner,
    schema::MIGRATIONS,
    seal::{KEY_LEN, Place, Sealer, Unsealable},
};
use crate::{
    ports::{Clock, KeyFault, KeyProvider},
    secrets::{Secrets, random_secret},
};

/// A lease ends by itself after this time, in milliseconds: longer than any token request.
const LEASE: u64 = 45_000;

/// What is kept of a session, with its secrets in the clear: lives in memory only between sealing and naming.
#[derive(Serialize, Deserialize)]
struct SealedSession {
    agent: Identified,
    access: Zeroizing<String>,
    refresh: Zeroizing<String>,
    expires_at: i64,
}

#[derive(Serialize, Deserialize)]
struct SealedPending {
    redirect_uri: String,
    state: Zeroizing<String>,
    nonce: Zeroizing<String>,
    verifier: Zeroizing<String>,
    hint: Option<String>,
    began_at: i64,
}

/// Why a transaction could not be done.
#[derive(Debug)]
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Migration(rusqlite_migration::Error),
    Io(std::io::Error),
    Random,
    Key(KeyFault),
    /// A sealed value that does not open, or JSON that does not parse.
    Corrupt,
    /// The secret behind a name is gone.
    Unnamed,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => write!(f, "{error}"),
            Self::Migration(error) => write!(f, "{error}"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Random => f.write_str("the device gives no random numbers"),
            Self::Key(fault) => write!(f, "{fault}"),
            Self::Corrupt => f.write_str("a stored value is damaged"),
            Self::Unnamed => f.write_str("a secret is not known any more"),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Unsealable> for Fault {
    fn from(_: Unsealable) -> Self {
        Self::Corrupt
    }
}

impl From<serde_json::Error> for Fault {
    fn from(_: serde_json::Error) -> Self {
        Self::Corrupt
    }
}

impl From<KeyFault> for Fault {
    fn from(fault: KeyFault) -> Self {
        Self::Key(fault)
    }
}

pub(super) struct Vault {
    db: Connection,
    keys: Arc<dyn KeyProvider>,
    clock: Arc<dyn Clock>,
    secrets: Arc<Secrets>,
    install_id: String,
    /// Names this instance in leases.
    owner: Owner,
    sealer: Option<Sealer>,
}

impl Vault {
    pub(super) fn open(
        folder: &Path,
        keys: Arc<dyn KeyProvider>,
        clock: Arc<dyn Clock>,
        secrets: Arc<Secrets>,
        process: &str,
    ) -> Result<Self, Fault> {
        std::fs::create_dir_all(folder).map_err(Fault::Io)?;
        let mut db = Connection::open(folder.join("vault.sqlite"))?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        // FULL: a commit has reached the disk when it returns. Deleted secrets are overwritten, temporary tables stay in
        // memory.
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;
             PRAGMA foreign_keys = ON;",
        )?;
        MIGRATIONS.to_latest(&mut db).map_err(Fault::Migration)?;
        let candidate = random_secret().map_err(|_| Fault::Random)?;
        // Two processes may make the vault at once: the first one's id counts.
        db.execute("INSERT OR IGNORE INTO fact VALUES ('install_id', ?1)", [candidate.as_bytes()])?;
        let install_id: Vec<u8> =
            db.query_row("SELECT value FROM fact WHERE name = 'install_id'", [], |row| row.get(0))?;
        let install_id = String::from_utf8(install_id).map_err(|_| Fault::Corrupt)?;
        let owner = Owner::new(process).map_err(|_| Fault::Random)?;
        Ok(Self { db, keys, clock, secrets, install_id, owner, sealer: None })
    }

    pub(super) fn install_id(&self) -> String {
        self.install_id.clone()
    }

    pub(super) fn run(&mut self, transaction: Transaction) -> Outcome {
        let result = match transaction {
            Transaction::Load => self.load(),
            Transaction::SavePending { pending, metadata } => self.save_pending(&pending, &metadata),
            Transaction::DropPending => self.delete("sealed", "pending"),
            Transaction::SignIn { agent, tokens } => self.sign_in(&agent, &tokens),
            Transaction::BeginRefresh { generation } => self.begin_refresh(generation),
            Transaction::FinishRefresh { tokens } => self.finish_refresh(&tokens),
            Transaction::AbandonRefresh => self.abandon_refresh(),
            Transaction::Reread => self.stored_tokens().map(|tokens| Outcome::Reread { tokens }),
            Transaction::SignOut { revoke } => self.sign_out(revoke),
            Transaction::Revoked { revocation } => self.revoked(revocation),
            Transaction::Remember { knowledge, snapshot, server_offset } => {
                self.remember(&knowledge, snapshot.as_deref(), server_offset)
            }
            Transaction::SavePushToken { token } => self.save_push_token(token),
        };
        result.unwrap_or_else(|fault| Outcome::StorageFailed { cause: fault.to_string() })
    }

    // ---- keys --------------------------------------------------------------------------------------------------

    /// The sealer under the vault's data key, which is made when there is none.
    fn unlock(&mut self) -> Result<&Sealer, Fault> {
        if self.sealer.is_none() {
            let key = match self.fact("wrapped_key")? {
                Some(wrapped) => self.keys.unwrap(&wrapped)?,
                None => {
                    let mut key = Zeroizing::new(vec![0_u8; KEY_LEN]);
                    getrandom::fill(&mut key).map_err(|_| Fault::Random)?;
                    let wrapped = self.keys.wrap(&key)?;
                    // Another process may have made one meanwhile: the first one counts.
                    self.db.execute("INSERT OR IGNORE INTO fact VALUES ('wrapped_key', ?1)", [&wrapped])?;
                    match self.fact("wrapped_key")? {
                        Some(stored) if stored != wrapped => self.keys.unwrap(&stored)?,
                        Some(_) | None => key,
                    }
                }
            };
            self.sealer = Some(Sealer::new(&key, &self.install_id)?);
        }
        self.sealer.as_ref().ok_or(Fault::Corrupt)
    }

    /// The key is gone for good: what it sealed is of no use, and a new key is made at the next use.
    fn start_over(&mut self) -> Result<(), Fault> {
        self.sealer = None;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(
            "DELETE FROM session; DELETE FROM sealed; DELETE FROM revocation; DELETE FROM refresh; DELETE FROM knowledge;
             DELETE FROM fact WHERE name = 'wrapped_key';",
        )?;
        transaction.commit()?;
        Ok(())
    }

    // ---- reading -----------------------------------------------------------------------------------------------

    fn load(&mut self) -> Result<Outcome, Fault> {
        let knowledge = self.knowledge()?;
        let loaded = match self.unlock() {
            Ok(_) => Loaded::Contents(self.contents(knowledge)?),
            Err(Fault::Key(KeyFault::Unavailable)) => Loaded::KeyUnavailable { knowledge },
            Err(Fault::Key(KeyFault::Invalidated) | Fault::Corrupt) => {
                self.start_over()?;
                Loaded::KeyInvalidated
            }
            Err(fault) => return Err(fault),
        };
        Ok(Outcome::Loaded { loaded: Box::new(loaded) })
    }

    fn contents(&mut self, knowledge: Option<Knowledge>) -> Result<Contents, Fault> {
        let mut contents = Contents { knowledge, ..Contents::default() };
        let quarantined_before = self.count("quarantine")?;
        let session = self.session().or_else(|fault| self.quarantine_session(fault))?;
        if let Some((agent, tokens)) = session {
            let snapshot = self.sealed::<Snapshot>("snapshot")?.map(Box::new);
            let unsettled = self.intent()? == Some(tokens.generation);
            contents.session = Some(StoredSession { agent, tokens, snapshot, unsettled });
        }
        contents.pending = self.sealed::<SealedPending>("pending")?.map(|pending| PendingLogin {
            redirect_uri: pending.redirect_uri,
            state: self.secrets.name(&pending.state),
            nonce: self.secrets.name(&pending.nonce),
            verifier: self.secrets.name(&pending.verifier),
            hint: pending.hint,
            began_at: pending.began_at,
            began_mono: None,
        });
        contents.push_token = self.sealed::<Zeroizing<String>>("push_token")?.map(|token| self.secrets.name(&token));
        contents.metadata =
            self.fact("metadata")?.and_then(|value| serde_json::from_slice::<ServerMetadata>(&value).ok());
        contents.server_offset = self.fact("server_offset")?.and_then(|value| serde_json::from_slice(&value).ok());
        contents.revocations = self.revocations()?;
        contents.quarantined = u32::try_from(self.count("quarantine")? - quarantined_before).unwrap_or(u32::MAX);
        Ok(contents)
    }

    fn fact(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.db.query_row("SELECT value FROM fact WHERE name = ?1", [name], |row| row.get(0)).optional()?)
    }

    fn knowledge(&self) -> Result<Option<Knowledge>, Fault> {
        let text: Option<String> =
            self.db.query_row("SELECT value FROM knowledge WHERE id = 1", [], |row| row.get(0)).optional()?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The generation that was about to be replaced when nobody said how it ended.
    fn intent(&self) -> Result<Option<Generation>, Fault> {
        let intent: Option<Option<i64>> =
            self.db.query_row("SELECT intent FROM refresh WHERE id = 1", [], |row| row.get(0)).optional()?;
        Ok(intent.flatten().and_then(|intent| u64::try_from(intent).ok()))
    }

    fn count(&self, table: &str) -> Result<i64, Fault> {
        Ok(self.db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?)
    }

    fn revocations(&self) -> Result<Vec<RevocationId>, Fault> {
        let mut statement = self.db.prepare("SELECT id FROM revocation ORDER BY id")?;
        let ids = statement.query_map([], |row| row.get(0).map(RevocationId))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// A sealed row; one that does not open is put aside, so that it is no obstacle and support can look at it.
    fn sealed<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Fault> {
        let row: Option<Vec<u8>> =
            self.db.query_row("SELECT value FROM sealed WHERE name = ?1", [name], |row| row.get(0)).optional()?;
        let Some(row) = row else { return Ok(None) };
        let place = Place { table: "sealed", row: name, account: "", generation: 0 };
        let opened = self.unlock()?.open(place, &row).map_err(Fault::from);
        let parsed = opened.and_then(|value| Ok(serde_json::from_slice(&value)?));
        match parsed {
            Ok(value) => Ok(Some(value)),
            Err(_) => {
                self.db.execute(
                    "INSERT INTO quarantine (place, value, why) VALUES (?1, ?2, 'does not open')",
                    params![name, row],
                )?;
                self.db.execute("DELETE FROM sealed WHERE name = ?1", [name])?;
                Ok(None)
            }
        }
    }

    fn session(&mut self) -> Result<Option<(Identified, TokenSet)>, Fault> {
        let row = self
            .db
            .query_row("SELECT account, generation, tokens FROM session WHERE id = 1", [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?))
            })
            .optional()?;
        let Some((account, generation, tokens)) = row else { return Ok(None) };
        let generation = u64::try_from(generation).map_err(|_| Fault::Corrupt)?;
        let place = Place { table: "session", row: "tokens", account: &account, generation };
        let opened = self.unlock()?.open(place, &tokens)?;
        let session: SealedSession = serde_json::from_slice(&opened)?;
        let tokens = TokenSet {
            generation,
            access: self.secrets.name(&session.access),
            refresh: self.secrets.name(&session.refresh),
            expires_at: session.expires_at,
        };
        Ok(Some((session.agent, tokens)))
    }

    fn quarantine_session(&mut self, fault: Fault) -> Result<Option<(Identified, TokenSet)>, Fault> {
        if !matches!(fault, Fault::Corrupt) {
            return Err(fault);
        }
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(
            "INSERT INTO quarantine (place, value, why) SELECT 'session', tokens, 'does not open' FROM session;
             DELETE FROM session; DELETE FROM refresh;",
        )?;
        transaction.commit()?;
        Ok(None)
    }

    fn stored_tokens(&mut self) -> Result<Option<TokenSet>, Fault> {
        Ok(self.session()?.map(|(_, tokens)| tokens))
    }

    pub(super) fn revocation(&mut self, id: RevocationId) -> Option<SecretString> {
        let row: Vec<u8> =
            self.db.query_row("SELECT token FROM revocation WHERE id = ?1", [id.0], |row| row.get(0)).ok()?;
        let opened = self.unlock().ok()?.open(REVOCATION, &row).ok()?;
        std::str::from_utf8(&opened).ok().map(SecretString::from)
    }

    // ---- writing -----------------------------------------------------------------------------------------------

    fn named(&self, name: SecretRef) -> Result<Zeroizing<String>, Fault> {
        let secret = self.secrets.get(name).ok_or(Fault::Unnamed)?;
        Ok(Zeroizing::new(secret.expose_secret().to_owned()))
    }

    fn seal_row(&mut self, name: &str, value: &impl Serialize) -> Result<Vec<u8>, Fault> {
        let value = Zeroizing::new(serde_json::to_vec(value)?);
        let place = Place { table: "sealed", row: name, account: "", generation: 0 };
        Ok(self.unlock()?.seal(place, &value)?)
    }

    fn seal_tokens(&mut self, agent: &Identified, tokens: &TokenSet) -> Result<Vec<u8>, Fault> {
        let session = SealedSession {
            agent: agent.clone(),
            access: self.named(tokens.access)?,
            refresh: self.named(tokens.refresh)?,
            expires_at: tokens.expires_at,
        };
        let value = Zeroizing::new(serde_json::to_vec(&session)?);
        let place =
            Place { table: "session", row: "tokens", account: agent.account.as_str(), generation: tokens.generation };
        Ok(self.unlock()?.seal(place, &value)?)
    }

    fn save_pending(&mut self, pending: &PendingLogin, metadata: &ServerMetadata) -> Result<Outcome, Fault> {
        let sealed = SealedPending {
            redirect_uri: pending.redirect_uri.clone(),
            state: self.named(pending.state)?,
            nonce: self.named(pending.nonce)?,
            verifier: self.named(pending.verifier)?,
            hint: pending.hint.clone(),
            began_at: pending.began_at,
        };
        let row = self.seal_row("pending", &sealed)?;
        let metadata = serde_json::to_vec(metadata)?;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("INSERT OR REPLACE INTO sealed VALUES ('pending', ?1)", [&row])?;
        transaction.execute("INSERT OR REPLACE INTO fact VALUES ('metadata', ?1)", [&metadata])?;
        transaction.commit()?;
        Ok(Outcome::Done)
    }

    fn delete(&mut self, table: &str, name: &str) -> Result<Outcome, Fault> {
        self.db.execute(&format!("DELETE FROM {table} WHERE name = ?1"), [name])?;
        Ok(Outcome::Done)
    }

    fn sign_in(&mut self, agent: &Identified, tokens: &TokenSet) -> Result<Outcome, Fault> {
        let row = self.seal_tokens(agent, tokens)?;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT OR REPLACE INTO session (id, account, generation, tokens) VALUES (1, ?1, ?2, ?3)",
            params![agent.account.as_str(), as_sql(tokens.generation), row],
        )?;
        transaction.execute_batch(
            "DELETE FROM refresh; DELETE FROM knowledge; DELETE FROM sealed WHERE name IN ('pending', 'snapshot');",
        )?;
        transaction.commit()?;
        Ok(Outcome::Done)
    }

    fn begin_refresh(&mut self, generation: Generation) -> Result<Outcome, Fault> {
        let now = self.clock.now().mono;
        self.unlock()?;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let stored: Option<i64> =
            transaction.query_row("SELECT generation FROM session WHERE id = 1", [], |row| row.get(0)).optional()?;
        match stored.map(|stored| stored.cmp(&as_sql(generation))) {
            None => return Ok(Outcome::Reread { tokens: None }),
            Some(std::cmp::Ordering::Greater) => {
                drop(transaction);
                return self.superseded();
            }
            Some(std::cmp::Ordering::Equal | std::cmp::Ordering::Less) => {}
        }
        let lease: Option<(Option<String>, Option<i64>)> = transaction
            .query_row("SELECT owner, lease_until FROM refresh WHERE id = 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((Some(owner), Some(until))) = lease {
            let left = u64::try_from(until).unwrap_or(0).saturating_sub(now);
            // More left than a lease lasts: it was taken before a reboot.
            if !self.owner.may_take_over_from(&owner) && (1..=LEASE).contains(&left) {
                return Ok(Outcome::LeaseHeld { for_millis: left });
            }
        }
        transaction.execute(
            "INSERT OR REPLACE INTO refresh (id, owner, lease_until, intent) VALUES (1, ?1, ?2, ?3)",
            params![self.owner.name(), as_sql(now + LEASE), as_sql(generation)],
        )?;
        transaction.commit()?;
        Ok(Outcome::Done)
    }

    fn superseded(&mut self) -> Result<Outcome, Fault> {
        Ok(match self.stored_tokens()? {
            Some(tokens) => Outcome::Superseded { tokens },
            None => Outcome::Reread { tokens: None },
        })
    }

    fn finish_refresh(&mut self, tokens: &TokenSet) -> Result<Outcome, Fault> {
        let Some((agent, stored)) = self.session()? else { return Ok(Outcome::Reread { tokens: None }) };
        if stored.generation >= tokens.generation {
            return Ok(Outcome::Superseded { tokens: stored });
        }
        let row = self.seal_tokens(&agent, tokens)?;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Only over an older generation: another process may have been quicker since the read above.
        let changed = transaction.execute(
            "UPDATE session SET generation = ?1, tokens = ?2 WHERE id = 1 AND generation < ?1",
            params![as_sql(tokens.generation), row],
        )?;
        if changed == 0 {
            drop(transaction);
            return self.superseded();
        }
        transaction.execute("DELETE FROM refresh", [])?;
        transaction.commit()?;
        Ok(Outcome::Done)
    }

    fn abandon_refresh(&mut self) -> Result<Outcome, Fault> {
        let me = self.owner.name();
        self.db.execute("UPDATE refresh SET owner = NULL, lease_until = NULL WHERE owner = ?1", [me])?;
        Ok(Outcome::Done)
    }

    fn sign_out(&mut self, revoke: bool) -> Result<Outcome, Fault> {
        let token = match (revoke, self.session()) {
            (true, Ok(Some((_, tokens)))) => {
                let refresh = self.named(tokens.refresh)?;
                Some(self.unlock()?.seal(REVOCATION, refresh.as_bytes())?)
            }
            // A session that does not open cannot be revoked, but it can be forgotten.
            (_, Ok(_) | Err(_)) => None,
        };
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let Some(token) = token {
            transaction.execute("INSERT INTO revocation (token) VALUES (?1)", [token])?;
        }
        transaction.execute_batch(
            "DELETE FROM session; DELETE FROM refresh; DELETE FROM knowledge;
             DELETE FROM sealed WHERE name IN ('pending', 'snapshot');",
        )?;
        transaction.commit()?;
        let contents = Contents { revocations: self.revocations()?, ..Contents::default() };
        Ok(Outcome::Loaded { loaded: Box::new(Loaded::Contents(contents)) })
    }

    fn revoked(&mut self, revocation: RevocationId) -> Result<Outcome, Fault> {
        self.db.execute("DELETE FROM revocation WHERE id = ?1", [revocation.0])?;
        Ok(Outcome::Done)
    }

    fn remember(
        &mut self,
        knowledge: &Knowledge,
        snapshot: Option<&Snapshot>,
        server_offset: Option<i64>,
    ) -> Result<Outcome, Fault> {
        let knowledge = serde_json::to_string(knowledge)?;
        let snapshot = snapshot.map(|snapshot| self.seal_row("snapshot", snapshot)).transpose()?;
        let offset = server_offset.map(|offset| serde_json::to_vec(&offset)).transpose()?;
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("INSERT OR REPLACE INTO knowledge (id, value) VALUES (1, ?1)", [knowledge])?;
        match snapshot {
            Some(row) => transaction.execute("INSERT OR REPLACE INTO sealed VALUES ('snapshot', ?1)", [row])?,
            None => transaction.execute("DELETE FROM sealed WHERE name = 'snapshot'", [])?,
        };
        if let Some(offset) = offset {
            transaction.execute("INSERT OR REPLACE INTO fact VALUES ('server_offset', ?1)", [offset])?;
        }
        transaction.commit()?;
        Ok(Outcome::Done)
    }

    fn save_push_token(&mut self, token: Option<SecretRef>) -> Result<Outcome, Fault> {
        let Some(token) = token else { return self.delete("sealed", "push_token") };
        let value = self.named(token)?;
        let row = self.seal_row("push_token", &value)?;
        self.db.execute("INSERT OR REPLACE INTO sealed VALUES ('push_token', ?1)", [row])?;
        Ok(Outcome::Done)
    }
}

const REVOCATION: Place<'static> = Place { table: "revocation", row: "token", account: "", generation: 0 };

/// SQLite's integers are signed; generations and clocks never come near the difference.
fn as_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
