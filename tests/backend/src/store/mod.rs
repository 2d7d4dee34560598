//! All that is kept, and the only place that speaks SQL.
//!
//! Two engines hold it: SQLite in this process (`sqlite`), or a PostgreSQL that several nodes share (`postgres`). [`Tx`] is
//! one transaction of either; its methods are in the files beside this one, by subject, and their SQL is what both
//! understand (`sql`). What only several nodes need (locks, leases) is nothing under SQLite's one lock.

mod agents;
mod journal;
mod logins;
mod logouts;
mod numbers;
mod postgres;
mod pushes;
mod sessions;
mod sql;
mod sqlite;

use std::sync::MutexGuard;

use secrecy::ExposeSecret;

use crate::config::Database;
use postgres::Postgres;
use sql::{Row, Value, values};
use sqlite::Sqlite;

pub(crate) use agents::{AgentRow, UpstreamUser};
pub(crate) use journal::Answer;
pub(crate) use logins::{CodeRequest, CodeRow, LoginRow, LoginStep, Purpose};
pub(crate) use logouts::{Leaver, LogoutDue, UpstreamSession};
pub(crate) use numbers::CodeOut;
pub(crate) use pushes::PushDue;
pub(crate) use sessions::{Group, RefreshRow, SessionKind, SessionRow};

/// What can go wrong with the store: always the server's fault, never that of a request.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("the database refused: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL refused, or is not there.
    #[error("the database refused or is not there: {0}")]
    Postgres(#[from] tokio_postgres::Error),
    /// No connection to PostgreSQL became free in time.
    #[error("no connection to the database became free")]
    Busy,
    /// The thread that speaks to PostgreSQL could not be started.
    #[error("cannot speak to the database: {0}")]
    Thread(std::io::Error),
    /// A column holds something else than its name says.
    #[error("the database holds something unreadable in column {0}")]
    Column(usize),
    /// A row holds what this version cannot read.
    #[error("the database holds something unreadable: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The schema could not be brought up to date.
    #[error("the database could not be brought up to date: {0}")]
    Migration(#[from] rusqlite_migration::Error),
}

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// The database.
pub(crate) struct Store(Engine);

enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Store {
    pub(crate) fn open(database: &Database) -> Result<Self> {
        Ok(Self(match database {
            Database::Memory => Engine::Sqlite(Sqlite::open(None)?),
            Database::File(path) => Engine::Sqlite(Sqlite::open(Some(path))?),
            Database::Postgres(url) => Engine::Postgres(Postgres::open(url.expose_secret())?),
        }))
    }

    /// Whether other nodes change it as well, and a transaction takes long enough to wait for.
    pub(crate) fn is_shared(&self) -> bool {
        match self.0 {
            Engine::Sqlite(_) => false,
            Engine::Postgres(_) => true,
        }
    }

    /// For one transaction: [`Connection::begin`]. SQLite is locked until it is dropped.
    pub(crate) fn connect(&self) -> Result<Connection<'_>> {
        Ok(match &self.0 {
            Engine::Sqlite(sqlite) => Connection::Sqlite(sqlite.lock()),
            Engine::Postgres(postgres) => Connection::Postgres(postgres.connect()?),
        })
    }
}

/// What a transaction runs on.
pub(crate) enum Connection<'s> {
    Sqlite(MutexGuard<'s, rusqlite::Connection>),
    Postgres(postgres::Connection<'s>),
}

impl Connection<'_> {
    pub(crate) fn begin(&mut self) -> Result<Tx<'_>> {
        Ok(match self {
            Connection::Sqlite(connection) => Tx::Sqlite(connection.transaction()?),
            Connection::Postgres(connection) => Tx::Postgres(connection.begin()?),
        })
    }

    /// For one statement that only reads.
    pub(crate) fn read(&mut self) -> Result<Tx<'_>> {
        Ok(match self {
            Connection::Sqlite(connection) => Tx::Sqlite(connection.transaction()?),
            Connection::Postgres(connection) => Tx::Postgres(connection.read()),
        })
    }
}

/// One transaction: commits, or leaves no trace.
pub(crate) enum Tx<'c> {
    Sqlite(rusqlite::Transaction<'c>),
    Postgres(postgres::Transaction<'c>),
}

impl Tx<'_> {
    pub(crate) fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => Ok(tx.commit()?),
            Self::Postgres(tx) => tx.commit(),
        }
    }

    fn is_shared(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(_) => true,
        }
    }

    /// How a row is read that is going to be changed.
    fn for_update(&self) -> &'static str {
        if self.is_shared() { " FOR UPDATE" } else { "" }
    }

    /// Runs a statement; how many rows it changed.
    fn execute(&self, sql: &str, values: &[Value]) -> Result<u64> {
        match self {
            Self::Sqlite(tx) => sqlite::execute(tx, sql, values),
            Self::Postgres(tx) => tx.execute(sql, values),
        }
    }

    fn rows<T>(&self, sql: &str, values: &[Value], read: impl FnMut(&Row) -> Result<T>) -> Result<Vec<T>> {
        let rows = match self {
            Self::Sqlite(tx) => sqlite::rows(tx, sql, values)?,
            Self::Postgres(tx) => tx.rows(sql, values)?,
        };
        rows.iter().map(read).collect()
    }

    /// The first row of an answer; nothing when there is none.
    fn row<T>(&self, sql: &str, values: &[Value], read: impl FnMut(&Row) -> Result<T>) -> Result<Option<T>> {
        Ok(self.rows(sql, values, read)?.into_iter().next())
    }

    pub(crate) fn meta(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.row("SELECT value FROM meta WHERE key = ?1", values![key], |row| row.get(0))
    }

    pub(crate) fn set_meta(&self, key: &str, value: &[u8]) -> Result<()> {
        self.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            values![key, value],
        )?;
        Ok(())
    }

    /// The value that is there, or else this one: all nodes get the same.
    pub(crate) fn lasting_meta(&self, key: &str, fresh: &[u8]) -> Result<Vec<u8>> {
        self.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING",
            values![key, fresh],
        )?;
        Ok(self.meta(key)?.unwrap_or_else(|| fresh.to_owned()))
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
    use rusqlite::Connection as Sqlite3;
    use rusqlite_migration::Migrations;

    use super::*;

    #[test]
    fn a_database_of_an_earlier_version_is_brought_up_to_date_with_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.db");
        let mut old = Sqlite3::open(&path).unwrap();
        Migrations::from_slice(&sqlite::MIGRATIONS[..1]).to_latest(&mut old).unwrap();
        old.execute_batch(
            "INSERT INTO sessions (id, account, kind, created_at, last_seen, expires_at, address)
             VALUES ('s', 'a', 'mobile', 1, 1, 100, '127.0.0.1');
             INSERT INTO codes (hash, account, request, expires_at) VALUES ('h', 'a', '{}', 100);",
        )
        .unwrap();
        drop(old);
        let store = Store::open(&Database::File(path)).unwrap();
        let mut connection = store.connect().unwrap();
        let tx = connection.begin().unwrap();
        assert_eq!(tx.live_sessions(&AccountId::from("a"), 2).unwrap().len(), 1);
        let leaver = Leaver { iss: "i".to_owned(), sub: Some("p".to_owned()), sid: None };
        assert_eq!(tx.sessions_through(&leaver).unwrap(), Vec::<String>::new());
        tx.delete_codes_through(&leaver).unwrap();
    }

    #[test]
    fn a_command_drops_old_answers_without_a_look_at_the_others() {
        let store = Store::open(&Database::Memory).unwrap();
        let sql = "EXPLAIN QUERY PLAN DELETE FROM answers WHERE account = 'a' AND at <= 1";
        let mut connection = store.connect().unwrap();
        let plan: Option<String> = connection.begin().unwrap().row(sql, &[], |row| row.get(3)).unwrap();
        let plan = plan.unwrap();
        assert!(plan.contains("answers_by_age"), "{plan}");
    }
}
