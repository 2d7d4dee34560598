//! SQLite, in this process: one connection behind one lock, taken for the microseconds of a transaction (write-ahead log,
//! no sync on each commit).

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rusqlite::{
    Connection, Statement, Transaction, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use rusqlite_migration::{M, Migrations};

use super::{
    Result, StoreError,
    sql::{Row, Value},
};

/// Forward only: a migration that was published is never changed.
pub(super) const MIGRATIONS: &[M<'static>] = &[
    M::up(include_str!("schema.sql")),
    M::up(include_str!("logout.sql")),
    M::up(include_str!("answers.sql")),
    M::up(include_str!("push.sql")),
    M::up(include_str!("number.sql")),
];

pub(super) struct Sqlite {
    connection: Mutex<Connection>,
}

impl Sqlite {
    /// `None`: in memory.
    pub(super) fn open(path: Option<&Path>) -> Result<Self> {
        let mut connection = match path {
            None => Connection::open_in_memory()?,
            Some(path) => Connection::open(path)?,
        };
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.set_prepared_statement_cache_capacity(64);
        Migrations::from_slice(MIGRATIONS).to_latest(&mut connection)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic in a transaction has rolled it back: the connection is fine.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
            Self::Texts(_) => {
                return Err(rusqlite::Error::ToSqlConversionFailure("SQLite has no lists".into()));
            }
        }))
    }
}

pub(super) fn execute(tx: &Transaction<'_>, sql: &str, values: &[Value]) -> Result<u64> {
    let changed = tx.prepare_cached(sql)?.execute(params_from_iter(values))?;
    Ok(u64::try_from(changed).unwrap_or_default())
}

pub(super) fn rows(tx: &Transaction<'_>, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
    let mut statement = tx.prepare_cached(sql)?;
    read(&mut statement, values)
}

fn read(statement: &mut Statement<'_>, values: &[Value]) -> Result<Vec<Row>> {
    let columns = statement.column_count();
    let mut rows = statement.query(params_from_iter(values))?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let column = |index| {
            Ok(match row.get_ref(index)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(value) => Value::Integer(value),
                ValueRef::Text(value) => Value::Text(String::from_utf8_lossy(value).into_owned()),
                ValueRef::Blob(value) => Value::Bytes(value.to_owned()),
                ValueRef::Real(_) => return Err(StoreError::Column(index)),
            })
        };
        all.push(Row((0..columns).map(column).collect::<Result<_>>()?));
    }
    Ok(all)
}
