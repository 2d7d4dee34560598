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

mod revocations;

use std::{path::Path, sync::Arc};

use hookswitch_machine::{
    AgentProfile, Contents, Generation, Knowledge, Loaded, Outcome, PendingLogin, SecretRef, SessionEnd, SignInId,
    SignOutScope, SignedOutWhy, StoredSession, TokenSet, Transaction, effect::REFRESH_LEASE,
};
use hookswitch_wire::{ServerMetadata, Snapshot, UnixMillis};
use rusqlite::{Connection, OptionalExtension, params};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{
    columns::{as_sql, bytes, from_sql, integer, text},
    data_key::DataKey,
    fault::Fault,
    file::{self, Opened},
    owner::Owner,
    seal::{Place, Unsealable},
};
use crate::{
    ports::{Clock, KeyFault, KeyProvider},
    secrets::{Secrets, random_secret},
};

/// The fact that says why the server ended the last session; none while somebody is signed in.
const SIGNED_OUT: &str = "signed_out";

/// The fact that says whose session was left here last; none while somebody is signed in.
const LEFT: &str = "left";

/// What is kept of a session, with its secrets in the clear: lives in memory only between sealing and naming.
#[derive(Serialize, Deserialize)]
struct SealedSession {
    #[serde(default)]
    sign_in: SignInId,
    agent: AgentProfile,
    access: Zeroizing<String>,
    refresh: Zeroizing<String>,
    expires_at: UnixMillis,
    #[serde(default)]
    session_ends: Option<SessionEnd>,
    /// It was stored by a version that notes which session is the newest.
    #[serde(default)]
    is_noted: bool,
}

/// Which session was stored last; none after a sign-out.
#[derive(PartialEq, Serialize, Deserialize)]
struct Newest {
    session: Option<(SignInId, Generation)>,
}

#[derive(Serialize, Deserialize)]
struct SealedPending {
    redirect_uri: String,
    state: Zeroizing<String>,
    nonce: Zeroizing<String>,
    verifier: Zeroizing<String>,
    hint: Option<String>,
    began_at: UnixMillis,
}

pub(super) struct Vault {
    db: Connection,
    key: DataKey,
    clock: Arc<dyn Clock>,
    secrets: Arc<Secrets>,
    install_id: String,
    /// Names this instance in leases.
    owner: Owner,
    /// Whether the intent that stands is of the refresh that this process began last.
    wrote_intent: bool,
    /// The vault was damaged and is a new one; told once.
    was_damaged: bool,
}

impl Vault {
    /// Opens the vault in `folder`, making it when there is none. `process` is [`crate::Config::process`].
    pub(super) fn open(
        folder: &Path,
        process: &str,
        keys: Arc<dyn KeyProvider>,
        clock: Arc<dyn Clock>,
        secrets: Arc<Secrets>,
    ) -> Result<Self, Fault> {
        let Opened { db, was_damaged } = file::open(folder)?;
        let candidate = random_secret().map_err(|_| Fault::Random)?;
        // Two processes may make the vault at once: the first one's id counts.
        db.execute("INSERT OR IGNORE INTO fact VALUES ('install_id', ?1)", [candidate.as_bytes()])?;
        let stored = db.query_row("SELECT value FROM fact WHERE name = 'install_id'", [], |row| text(row, 0))?;
        let install_id = match stored.filter(|id| !id.is_empty()) {
            Some(install_id) => install_id,
            // Damaged. What was sealed under the old one is put aside as it is met.
            None => {
                db.execute("UPDATE fact SET value = ?1 WHERE name = 'install_id'", [candidate.as_bytes()])?;
                candidate
            }
        };
        let owner = Owner::new(process).map_err(|_| Fault::Random)?;
        let key = DataKey::new(keys, install_id.clone());
        Ok(Self { db, key, clock, secrets, install_id, owner, wrote_intent: false, was_damaged })
    }

    pub(super) fn install_id(&self) -> String {
        self.install_id.clone()
    }

    /// Carries out a transaction of the machine as one transaction of the database: whole or not at all, and alone.
    pub(super) fn run(&mut self, transaction: &Transaction) -> Outcome {
        let loads = matches!(transaction, Transaction::Load);
        if loads {
            // Perhaps the device is unlocked by now.
            self.key.forget();
        }
        let mut result = Err(Fault::OtherKey);
        for _ in 0..3 {
            result = self.key.unlock(&self.db).and_then(|()| self.alone(|vault| vault.carry_out(transaction)));
            match result {
                Err(Fault::OtherKey) => self.key.forget(),
                Err(Fault::Key(KeyFault::Invalidated)) if loads => {
                    result = self.alone(Self::start_over);
                    break;
                }
                Ok(_) | Err(_) => break,
            }
        }
        result.unwrap_or_else(|fault| Outcome::StorageFailed { cause: fault.to_string() })
    }

    fn alone(&mut self, work: impl FnOnce(&mut Self) -> Result<Outcome, Fault>) -> Result<Outcome, Fault> {
        // At once, not at the first write: what is read must still hold when it is written.
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let result = work(self).and_then(|outcome| {
            self.db.execute_batch("COMMIT")?;
            Ok(outcome)
        });
        if result.is_err() && !self.db.is_autocommit() {
            self.db.execute_batch("ROLLBACK")?;
        }
        result
    }

    fn carry_out(&mut self, transaction: &Transaction) -> Result<Outcome, Fault> {
        match transaction {
            Transaction::Load => self.load(),
            Transaction::SavePending { pending, metadata } => self.save_pending(pending, metadata),
            Transaction::DropPending => self.delete("pending"),
            Transaction::SaveMetadata { metadata } => {
                self.save_sealed("metadata", metadata)?;
                Ok(Outcome::Done)
            }
            Transaction::SignIn { agent, tokens } => self.sign_in(agent, tokens),
            Transaction::BeginRefresh { sign_in, generation } => self.begin_refresh(*sign_in, *generation),
            Transaction::FinishRefresh { tokens } => self.finish_refresh(tokens),
            Transaction::AbandonRefresh { unsent } => self.abandon_refresh(*unsent),
            Transaction::Reread => self.reread(),
            Transaction::SignOut { of, held } => self.sign_out(*of, held),
            Transaction::TakeBack { refresh } => self.take_back(*refresh),
            Transaction::Revoked { revocation } => self.revoked(*revocation),
            Transaction::Remember { knowledge, snapshot, server_offset, anew } => {
                self.remember(knowledge, snapshot.as_deref(), *server_offset, *anew)
            }
            Transaction::SavePushToken { token } => self.save_push_token(*token),
        }
    }

    /// The key is gone for good: what it sealed is of no use, and a new key is made at the next use.
    fn start_over(&mut self) -> Result<Outcome, Fault> {
        self.key.forget();
        self.db.execute_batch(
            "DELETE FROM session; DELETE FROM sealed; DELETE FROM revocation; DELETE FROM refresh; DELETE FROM knowledge;
             DELETE FROM newest; DELETE FROM fact WHERE name = 'wrapped_key';",
        )?;
        Ok(Outcome::Loaded { loaded: Box::new(Loaded::KeyInvalidated) })
    }

    // ---- reading -----------------------------------------------------------------------------------------------

    fn load(&mut self) -> Result<Outcome, Fault> {
        let knowledge = self.knowledge()?;
        let loaded = match self.key.sealer(&self.db) {
            Ok(_) => Loaded::Contents(self.contents(knowledge)?),
            Err(Fault::Key(KeyFault::Unavailable)) => Loaded::KeyUnavailable { knowledge },
            // What needs no key is known whatever the key store says.
            Err(Fault::Key(KeyFault::Failed(cause))) => Loaded::KeyFailed { knowledge, cause },
            Err(fault) => return Err(fault),
        };
        Ok(Outcome::Loaded { loaded: Box::new(loaded) })
    }

    fn contents(&mut self, knowledge: Option<Knowledge>) -> Result<Contents, Fault> {
        let mut contents = Contents { knowledge, ..Contents::default() };
        let quarantined_before = self.count("quarantine")?;
        if let Some((session, generation)) = self.session()? {
            let tokens = self.tokens(&session, generation);
            let snapshot = self.sealed::<Snapshot>("snapshot")?.map(Box::new);
            let unsettled = self.intent()? == Some(generation);
            contents.session = Some(StoredSession { agent: session.agent, tokens, snapshot, unsettled });
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
        contents.metadata = self.sealed::<ServerMetadata>("metadata")?;
        contents.server_offset = self.fact("server_offset")?.and_then(|value| serde_json::from_slice(&value).ok());
        contents.signed_out = self.signed_out()?;
        contents.revocations = self.revocations()?;
        let quarantined = self.count("quarantine")? - quarantined_before;
        let damaged = u32::from(std::mem::take(&mut self.was_damaged));
        contents.quarantined = u32::try_from(quarantined).unwrap_or(u32::MAX).saturating_add(damaged);
        Ok(contents)
    }

    fn fact(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.db.query_row("SELECT value FROM fact WHERE name = ?1", [name], |row| bytes(row, 0)).optional()?)
    }

    fn signed_out(&self) -> Result<Option<SignedOutWhy>, Fault> {
        Ok(self.fact(SIGNED_OUT)?.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    fn knowledge(&self) -> Result<Option<Knowledge>, Fault> {
        let value: Option<Vec<u8>> =
            self.db.query_row("SELECT value FROM knowledge WHERE id = 1", [], |row| bytes(row, 0)).optional()?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// The generation that was about to be replaced when nobody said how it ended.
    fn intent(&self) -> Result<Option<Generation>, Fault> {
        let intent: Option<Option<i64>> =
            self.db.query_row("SELECT intent FROM refresh WHERE id = 1", [], |row| integer(row, 0)).optional()?;
        Ok(intent.flatten().and_then(|intent| u64::try_from(intent).ok()))
    }

    fn count(&self, table: &str) -> Result<i64, Fault> {
        Ok(self.db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?)
    }

    /// Puts a value aside that does not open, so that it is no obstacle and support can look at it.
    fn quarantine(&self, place: &str, value: &[u8]) -> Result<(), Fault> {
        self.db.execute(
            "INSERT INTO quarantine (place, value, why) VALUES (?1, ?2, 'does not open')",
            params![place, value],
        )?;
        Ok(())
    }

    /// A sealed value; `None` when there is none or it does not open.
    fn open_value<T: DeserializeOwned>(&self, place: Place<'_>, value: &[u8]) -> Result<Option<T>, Fault> {
        match self.key.sealer(&self.db)?.open(place, value) {
            Ok(opened) => Ok(serde_json::from_slice(&opened).ok()),
            Err(Unsealable) => Ok(None),
        }
    }

    fn sealed<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Fault> {
        let row: Option<Vec<u8>> =
            self.db.query_row("SELECT value FROM sealed WHERE name = ?1", [name], |row| bytes(row, 0)).optional()?;
        let Some(row) = row else { return Ok(None) };
        let place = Place { table: "sealed", row: name, account: "", generation: 0 };
        let value = self.open_value(place, &row)?;
        if value.is_none() {
            self.quarantine(name, &row)?;
            self.db.execute("DELETE FROM sealed WHERE name = ?1", [name])?;
        }
        Ok(value)
    }

    /// The session, with its secrets in the clear: named by [`Self::tokens`] only where they are handed out.
    fn session(&mut self) -> Result<Option<(SealedSession, Generation)>, Fault> {
        let row = self
            .db
            .query_row("SELECT account, sign_in, generation, tokens FROM session WHERE id = 1", [], |row| {
                Ok((text(row, 0)?, integer(row, 1)?, integer(row, 2)?, bytes(row, 3)?))
            })
            .optional()?;
        let Some((account, sign_in, generation, tokens)) = row else { return Ok(None) };
        // What is not of its type was not there when the tokens were sealed: then they do not open.
        let account = account.unwrap_or_default();
        let generation = from_sql(generation.unwrap_or(0));
        let place = Place { table: "session", row: "tokens", account: &account, generation };
        let opened = self.open_value::<SealedSession>(place, &tokens)?;
        let opened = match opened.filter(|session| Some(as_sql(session.sign_in.0)) == sign_in) {
            Some(session) => self.is_newest(&session, generation)?.then_some(session),
            None => None,
        };
        match opened {
            Some(session) => Ok(Some((session, generation))),
            None => {
                self.quarantine("session", &tokens)?;
                self.db.execute_batch("DELETE FROM session; DELETE FROM refresh;")?;
                Ok(None)
            }
        }
    }

    /// Whether this is the session that was stored last. One that was sealed before there was a note of that may have none.
    fn is_newest(&self, session: &SealedSession, generation: Generation) -> Result<bool, Fault> {
        let note: Option<Vec<u8>> =
            self.db.query_row("SELECT value FROM newest WHERE id = 1", [], |row| bytes(row, 0)).optional()?;
        let newest = match note {
            Some(note) => self.open_value::<Newest>(NEWEST, &note)?,
            None if session.is_noted => None,
            None => return Ok(true),
        };
        Ok(newest == Some(Newest { session: Some((session.sign_in, generation)) }))
    }

    fn tokens(&self, session: &SealedSession, generation: Generation) -> TokenSet {
        TokenSet {
            sign_in: session.sign_in,
            generation,
            access: self.secrets.name(&session.access),
            refresh: self.secrets.name(&session.refresh),
            expires_at: session.expires_at,
            session_ends: session.session_ends,
        }
    }

    fn reread(&mut self) -> Result<Outcome, Fault> {
        let session = self.session()?;
        if let Some(for_millis) = self.lease_of_another()?.filter(|_| session.is_some()) {
            return Ok(Outcome::RefreshLeaseHeld { for_millis });
        }
        Ok(Outcome::Reread { tokens: session.map(|(session, generation)| self.tokens(&session, generation)) })
    }

    // ---- writing -----------------------------------------------------------------------------------------------

    fn named(&self, name: SecretRef) -> Result<Zeroizing<String>, Fault> {
        let secret = self.secrets.get(name).ok_or(Fault::Unnamed)?;
        Ok(Zeroizing::new(secret.expose_secret().to_owned()))
    }

    fn seal(&self, place: Place<'_>, value: &impl Serialize) -> Result<Vec<u8>, Fault> {
        let value = Zeroizing::new(serde_json::to_vec(value)?);
        Ok(self.key.sealer(&self.db)?.seal(place, &value)?)
    }

    fn save_sealed(&self, name: &str, value: &impl Serialize) -> Result<(), Fault> {
        let row = self.seal(Place { table: "sealed", row: name, account: "", generation: 0 }, value)?;
        self.db.execute("INSERT OR REPLACE INTO sealed VALUES (?1, ?2)", params![name, row])?;
        Ok(())
    }

    fn save_fact(&self, name: &str, value: &impl Serialize) -> Result<(), Fault> {
        let value = serde_json::to_vec(value)?;
        self.db.execute("INSERT OR REPLACE INTO fact VALUES (?1, ?2)", params![name, value])?;
        Ok(())
    }

    fn save_session(&self, agent: &AgentProfile, tokens: &TokenSet) -> Result<(), Fault> {
        let &TokenSet { sign_in, generation, access, refresh, expires_at, session_ends } = tokens;
        let account = agent.account.as_str();
        let session = SealedSession {
            sign_in,
            agent: agent.clone(),
            access: self.named(access)?,
            refresh: self.named(refresh)?,
            expires_at,
            session_ends,
            is_noted: true,
        };
        let row = self.seal(Place { table: "session", row: "tokens", account, generation }, &session)?;
        self.db.execute(
            "INSERT OR REPLACE INTO session (id, account, sign_in, generation, tokens) VALUES (1, ?1, ?2, ?3, ?4)",
            params![account, as_sql(sign_in.0), as_sql(generation), row],
        )?;
        self.save_newest(Some((sign_in, generation)))
    }

    /// Notes which session is the newest, so that an older row does not open again.
    fn save_newest(&self, session: Option<(SignInId, Generation)>) -> Result<(), Fault> {
        let note = self.seal(NEWEST, &Newest { session })?;
        self.db.execute("INSERT OR REPLACE INTO newest (id, value) VALUES (1, ?1)", [note])?;
        Ok(())
    }

    fn save_pending(&mut self, pending: &PendingLogin, metadata: &ServerMetadata) -> Result<Outcome, Fault> {
        let sealed = SealedPending {
            redirect_uri: pending.redirect_uri.clone(),
            state: self.named(pending.state)?,
            nonce: self.named(pending.nonce)?,
            verifier: self.named(pending.verifier)?,
            hint: pending.hint.clone(),
            began_at: UnixMillis(pending.began_at.0),
        };
        self.save_sealed("pending", &sealed)?;
        self.save_sealed("metadata", metadata)?;
        Ok(Outcome::Done)
    }

    fn delete(&mut self, name: &str) -> Result<Outcome, Fault> {
        self.db.execute("DELETE FROM sealed WHERE name = ?1", [name])?;
        Ok(Outcome::Done)
    }

    /// Forgets all that belongs to a session.
    fn forget_session(&self) -> Result<(), Fault> {
        self.db.execute_batch(
            "DELETE FROM session; DELETE FROM refresh; DELETE FROM knowledge;
             DELETE FROM sealed WHERE name IN ('pending', 'snapshot');",
        )?;
        Ok(())
    }

    fn sign_in(&mut self, agent: &AgentProfile, tokens: &TokenSet) -> Result<Outcome, Fault> {
        self.forget_session()?;
        self.db.execute("DELETE FROM fact WHERE name IN (?1, ?2)", [SIGNED_OUT, LEFT])?;
        self.save_session(agent, tokens)?;
        Ok(Outcome::Done)
    }

    fn begin_refresh(&mut self, sign_in: SignInId, generation: Generation) -> Result<Outcome, Fault> {
        // A refresh whose end cannot be stored must not begin: the session has to open.
        let Some((stored, newest)) = self.session()? else { return Ok(Outcome::Reread { tokens: None }) };
        if stored.sign_in != sign_in || newest > generation {
            return Ok(Outcome::NewerTokens { tokens: self.tokens(&stored, newest) });
        }
        if let Some(for_millis) = self.lease_of_another()? {
            return Ok(Outcome::RefreshLeaseHeld { for_millis });
        }
        // One that stands already is of a refresh whose end nobody knows.
        self.wrote_intent = self.intent()? != Some(generation);
        let now = self.clock.now().mono;
        self.db.execute(
            "INSERT OR REPLACE INTO refresh (id, owner, lease_until, intent) VALUES (1, ?1, ?2, ?3)",
            params![self.owner.name(), as_sql(now.saturating_add(REFRESH_LEASE)), as_sql(generation)],
        )?;
        Ok(Outcome::Done)
    }

    /// How long another process that lives still holds the lease, in milliseconds.
    fn lease_of_another(&self) -> Result<Option<u64>, Fault> {
        let lease: Option<(Option<String>, Option<i64>)> = self
            .db
            .query_row("SELECT owner, lease_until FROM refresh WHERE id = 1", [], |row| {
                Ok((text(row, 0)?, integer(row, 1)?))
            })
            .optional()?;
        let Some((Some(owner), Some(until))) = lease else { return Ok(None) };
        let left = from_sql(until).saturating_sub(self.clock.now().mono);
        // More left than a lease lasts: it was taken before a reboot.
        Ok((!self.owner.may_take_over_from(&owner) && (1..=REFRESH_LEASE).contains(&left)).then_some(left))
    }

    fn finish_refresh(&mut self, tokens: &TokenSet) -> Result<Outcome, Fault> {
        let Some((stored, newest)) = self.session()? else { return Ok(Outcome::Reread { tokens: None }) };
        if stored.sign_in != tokens.sign_in || newest >= tokens.generation {
            return Ok(Outcome::NewerTokens { tokens: self.tokens(&stored, newest) });
        }
        self.save_session(&stored.agent, tokens)?;
        self.db.execute("DELETE FROM refresh", [])?;
        Ok(Outcome::Done)
    }

    fn abandon_refresh(&mut self, unsent: bool) -> Result<Outcome, Fault> {
        let me = self.owner.name();
        if unsent && self.wrote_intent {
            self.db.execute("UPDATE refresh SET intent = NULL WHERE owner = ?1", [me])?;
        }
        self.db.execute("UPDATE refresh SET owner = NULL, lease_until = NULL WHERE owner = ?1", [me])?;
        Ok(Outcome::Done)
    }

    fn sign_out(&mut self, of: SignOutScope, held: &[SecretRef]) -> Result<Outcome, Fault> {
        // Without the key a session cannot be revoked, but it can be forgotten: it must not come back.
        let session = match self.session() {
            Ok(session) => session.map(|(session, _)| session),
            Err(Fault::Key(_)) => None,
            Err(fault) => return Err(fault),
        };
        let leave = match of {
            SignOutScope::CurrentSession => {
                self.db.execute("DELETE FROM fact WHERE name = ?1", [SIGNED_OUT])?;
                true
            }
            SignOutScope::Ended { sign_in, why } => {
                let stored: Option<Option<i64>> = self
                    .db
                    .query_row("SELECT sign_in FROM session WHERE id = 1", [], |row| integer(row, 0))
                    .optional()?;
                let stored = stored.flatten();
                if stored == Some(as_sql(sign_in.0)) {
                    self.save_fact(SIGNED_OUT, &why)?;
                }
                stored.is_none_or(|stored| stored == as_sql(sign_in.0))
            }
        };
        if leave {
            match self.queue(session.as_ref(), held) {
                Ok(()) | Err(Fault::Key(_)) => {}
                Err(fault) => return Err(fault),
            }
            let account: Option<Option<String>> =
                self.db.query_row("SELECT account FROM session WHERE id = 1", [], |row| text(row, 0)).optional()?;
            if let Some(Some(account)) = account {
                self.save_fact(LEFT, &account)?;
            }
            self.forget_session()?;
            match self.save_newest(None) {
                Ok(()) | Err(Fault::Key(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        self.whats_left()
    }

    /// What a vault without a session holds.
    fn whats_left(&self) -> Result<Outcome, Fault> {
        let (revocations, signed_out) = (self.revocations()?, self.signed_out()?);
        let contents = Contents { revocations, signed_out, ..Contents::default() };
        Ok(Outcome::Loaded { loaded: Box::new(Loaded::Contents(contents)) })
    }

    /// Whether another process has signed out or in since this was known: it must not come back.
    fn is_of_the_past(&self, knowledge: &Knowledge) -> Result<bool, Fault> {
        let signed_in: Option<Option<String>> =
            self.db.query_row("SELECT account FROM session WHERE id = 1", [], |row| text(row, 0)).optional()?;
        if let Some(Some(account)) = signed_in {
            return Ok(knowledge.account.as_ref().is_none_or(|known| known.as_str() != account));
        }
        let left = self.fact(LEFT)?.and_then(|value| serde_json::from_slice::<String>(&value).ok());
        Ok(left.is_some_and(|left| knowledge.account.as_ref().is_some_and(|known| known.as_str() == left)))
    }

    /// The newest routing counts, whichever process heard it.
    fn remember(
        &mut self,
        knowledge: &Knowledge,
        snapshot: Option<&Snapshot>,
        server_offset: Option<i64>,
        anew: bool,
    ) -> Result<Outcome, Fault> {
        if self.is_of_the_past(knowledge)? {
            return Ok(Outcome::Done);
        }
        let stored = self.knowledge()?.filter(|stored| stored.account == knowledge.account);
        let knowledge = match stored {
            Some(stored) if stored.version() > knowledge.version() && !anew => {
                &Knowledge { routing: stored.routing, registration: stored.registration, ..knowledge.clone() }
            }
            Some(_) | None => knowledge,
        };
        let text = serde_json::to_string(knowledge)?;
        self.db.execute("INSERT OR REPLACE INTO knowledge (id, value) VALUES (1, ?1)", [text])?;
        match snapshot {
            Some(snapshot) => self.save_sealed("snapshot", snapshot)?,
            None => {
                self.delete("snapshot")?;
            }
        }
        if let Some(offset) = server_offset {
            self.save_fact("server_offset", &offset)?;
        }
        Ok(Outcome::Done)
    }

    fn save_push_token(&mut self, token: Option<SecretRef>) -> Result<Outcome, Fault> {
        let Some(token) = token else { return self.delete("push_token") };
        self.save_sealed("push_token", &self.named(token)?)?;
        Ok(Outcome::Done)
    }
}

const NEWEST: Place<'static> = Place { table: "newest", row: "session", account: "", generation: 0 };

#[cfg(test)]
mod tests;
