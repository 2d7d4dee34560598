//! All that is kept, and the only place that speaks SQL: another database needs another version of this folder.
//!
//! One connection behind one lock, taken for the microseconds of a transaction (write-ahead log, no sync on each commit),
//! so handlers call it without a detour over a thread pool. [`Tx`] is one transaction; its methods are in the files
//! beside this one, by subject.

mod agents;
mod journal;
mod logins;
mod logouts;
mod numbers;
mod pushes;
mod sessions;

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use rusqlite_migration::{M, Migrations};

use crate::config::Database;

pub(crate) use agents::{AgentRow, UpstreamUser};
pub(crate) use journal::Answer;
pub(crate) use logins::{CodeRequest, CodeRow, LoginRow, LoginStep, Purpose};
pub(crate) use logouts::{Leaver, LogoutDue, UpstreamSession};
pub(crate) use numbers::CodeOut;
pub(crate) use pushes::PushDue;
pub(crate) use sessions::{Group, RefreshRow, SessionKind, SessionRow};

/// Forward only: a migration that was published is never changed.
const MIGRATIONS: &[M<'static>] = &[
    M::up(include_str!("schema.sql")),
    M::up(include_str!("logout.sql")),
    M::up(include_str!("answers.sql")),
    M::up(include_str!("push.sql")),
    M::up(include_str!("number.sql")),
];

/// What can go wrong with the store: always the server's fault, never that of a request.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("the database refused: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A row holds what this version cannot read.
    #[error("the database holds something unreadable: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The schema could not be brought up to date.
    #[error("the database could not be brought up to date: {0}")]
    Migration(#[from] rusqlite_migration::Error),
}

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// The database.
pub(crate) struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    pub(crate) fn open(database: &Database) -> Result<Self> {
        let mut connection = match database {
            Database::Memory => Connection::open_in_memory()?,
            Database::File(path) => Connection::open(path)?,
        };
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.set_prepared_statement_cache_capacity(64);
        Migrations::from_slice(MIGRATIONS).to_latest(&mut connection)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Locks the database for one transaction: [`Tx::begin`].
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic in a transaction has rolled it back: the connection is fine.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One transaction: commits, or leaves no trace.
pub(crate) struct Tx<'c>(Transaction<'c>);

impl<'c> Tx<'c> {
    pub(crate) fn begin(connection: &'c mut Connection) -> Result<Self> {
        Ok(Self(connection.transaction()?))
    }

    pub(crate) fn commit(self) -> Result<()> {
        Ok(self.0.commit()?)
    }

    pub(crate) fn meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let mut statement = self.0.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    pub(crate) fn set_meta(&self, key: &str, value: &[u8]) -> Result<()> {
        self.0.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", params![key, value])?;
        Ok(())
    }

    /// Which restore of the server this is: see `Version`.
    pub(crate) fn epoch(&self) -> Result<u64> {
        let bytes = self.meta("epoch")?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).parse().unwrap_or(1))
    }

    pub(crate) fn set_epoch(&self, epoch: u64) -> Result<()> {
        self.set_meta("epoch", epoch.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use hookswitch_wire::AccountId;

    use super::*;

    #[test]
    fn a_database_of_an_earlier_version_is_brought_up_to_date_with_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.db");
        let mut old = Connection::open(&path).unwrap();
        Migrations::from_slice(&MIGRATIONS[..1]).to_latest(&mut old).unwrap();
        old.execute_batch(
            "INSERT INTO sessions (id, account, kind, created_at, last_seen, expires_at, address)
             VALUES ('s', 'a', 'mobile', 1, 1, 100, '127.0.0.1');
             INSERT INTO codes (hash, account, request, expires_at) VALUES ('h', 'a', '{}', 100);",
        )
        .unwrap();
        drop(old);
        let store = Store::open(&Database::File(path)).unwrap();
        let mut connection = store.lock();
        let tx = Tx::begin(&mut connection).unwrap();
        assert_eq!(tx.live_sessions(&AccountId::from("a"), 2).unwrap().len(), 1);
        let leaver = Leaver { iss: "i".to_owned(), sub: Some("p".to_owned()), sid: None };
        assert_eq!(tx.sessions_through(&leaver).unwrap(), Vec::<String>::new());
        tx.delete_codes_through(&leaver).unwrap();
    }

    #[test]
    fn a_command_drops_old_answers_without_a_look_at_the_others() {
        let store = Store::open(&Database::Memory).unwrap();
        let sql = "EXPLAIN QUERY PLAN DELETE FROM answers WHERE account = 'a' AND at <= 1";
        let plan: String = store.lock().query_row(sql, [], |row| row.get(3)).unwrap();
        assert!(plan.contains("answers_by_age"), "{plan}");
    }
}
