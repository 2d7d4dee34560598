//! PostgreSQL, shared by several nodes.
//!
//! `READ COMMITTED`, and one rule that makes it enough: who changes anything of an agent locks the agent's row first
//! ([`super::Tx::lock_agent`]) and reads what the change depends on after that. So the changes of one agent follow one
//! another as they do under SQLite's one lock, and those of different agents do not wait for each other. What belongs to no
//! agent yet (a code, a login) is locked as it is read.
//!
//! A transaction blocks its caller; the sockets are driven by a thread of the store's own, so it does not matter on which
//! runtime, or on none, the caller is.

use std::{
    cell::{Ref, RefCell},
    time::Duration,
};

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime as Timers, Timeouts,
};
use tokio::runtime::Runtime;
use tokio_postgres::{
    Config, NoTls,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};

use super::{
    Result, StoreError,
    sql::{Row, Value},
};

/// Forward only, as those of SQLite beside it.
const MIGRATIONS: &[&str] = &[include_str!("postgres.sql")];
/// How many transactions run at a time.
const MOST: usize = 16;
/// How long a connection may take to be made, or to become free.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Postgres {
    pool: Pool,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not by waiting: a store may be dropped where that is not allowed.
            runtime.shutdown_background();
        }
    }
}

impl Postgres {
    pub(super) fn open(url: &str) -> Result<Self> {
        let mut config: Config = url.parse().map_err(StoreError::Postgres)?;
        config.connect_timeout(PATIENCE).tcp_user_timeout(PATIENCE);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(StoreError::Thread)?;
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let timeouts = Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: Some(PATIENCE) };
        let pool = Pool::builder(manager).max_size(MOST).timeouts(timeouts).runtime(Timers::Tokio1).build();
        let pool = pool.map_err(|error| StoreError::Thread(std::io::Error::other(error)))?;
        let store = Self { pool, runtime: Some(runtime) };
        store.migrate()?;
        Ok(store)
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let _on = self.runtime.as_ref().map(Runtime::enter);
        pollster::block_on(work)
    }

    fn migrate(&self) -> Result<()> {
        let mut connection = self.connect()?;
        let tx = connection.begin()?;
        // Several nodes may start at the same moment.
        tx.batch("SELECT pg_advisory_xact_lock(7236498213)")?;
        tx.batch("CREATE TABLE IF NOT EXISTS migrations (version BIGINT PRIMARY KEY)")?;
        let done = tx.rows("SELECT version FROM migrations", &[])?.len();
        for (version, migration) in MIGRATIONS.iter().enumerate().skip(done) {
            tx.batch(migration)?;
            let version = u64::try_from(version).unwrap_or_default();
            tx.execute("INSERT INTO migrations (version) VALUES (?1)", &[Value::from(version)])?;
        }
        tx.commit()
    }

    pub(super) fn connect(&self) -> Result<Connection<'_>> {
        Ok(Connection { store: self, client: RefCell::new(Some(self.client()?)) })
    }

    fn client(&self) -> Result<Box<Object>> {
        self.wait(self.pool.get()).map(Box::new).map_err(|error| match error {
            PoolError::Backend(error) => StoreError::Postgres(error),
            PoolError::Timeout(_)
            | PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => StoreError::Busy,
        })
    }
}

/// A connection, for one transaction.
pub(crate) struct Connection<'s> {
    store: &'s Postgres,
    /// `None`: it was in no state to be used again.
    client: RefCell<Option<Box<Object>>>,
}

impl Connection<'_> {
    /// A connection that died while nobody used it is replaced: nothing was done on it yet.
    pub(super) fn begin(&mut self) -> Result<Transaction<'_>> {
        for _ in 0..MOST {
            let began = self.store.wait(self.client()?.batch_execute("BEGIN"));
            match began {
                Ok(()) => return Ok(Transaction { connection: self, open: true }),
                Err(error) if error.is_closed() => {
                    self.discard();
                    let fresh = self.store.client()?;
                    self.client.replace(Some(fresh));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Busy)
    }

    /// For one statement that only reads: it is a transaction by itself, and one way to the server instead of three.
    pub(super) fn read(&self) -> Transaction<'_> {
        Transaction { connection: self, open: false }
    }

    fn client(&self) -> Result<Ref<'_, Object>> {
        Ref::filter_map(self.client.borrow(), Option::as_deref).map_err(|_| StoreError::Busy)
    }

    fn discard(&self) {
        drop(self.client.take().map(|client| Object::take(*client)));
    }
}

pub(crate) struct Transaction<'c> {
    connection: &'c Connection<'c>,
    open: bool,
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open && self.batch("ROLLBACK").is_err() {
            // Whatever it holds ends with it.
            self.connection.discard();
        }
    }
}

impl Transaction<'_> {
    fn batch(&self, sql: &str) -> Result<()> {
        Ok(self.connection.store.wait(self.connection.client()?.batch_execute(sql))?)
    }

    pub(super) fn commit(mut self) -> Result<()> {
        self.open = false;
        let committed = self.batch("COMMIT");
        if committed.is_err() {
            self.connection.discard();
        }
        committed
    }

    pub(super) fn execute(&self, sql: &str, values: &[Value]) -> Result<u64> {
        let (client, values) = (self.connection.client()?, parameters(values));
        let sql = sql.replace('?', "$");
        Ok(self.connection.store.wait(async {
            let statement = client.prepare_cached(&sql).await?;
            client.execute(&statement, &values).await
        })?)
    }

    pub(super) fn rows(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
        let (client, values) = (self.connection.client()?, parameters(values));
        let sql = sql.replace('?', "$");
        let rows = self.connection.store.wait(async {
            let statement = client.prepare_cached(&sql).await?;
            client.query(&statement, &values).await
        })?;
        rows.iter()
            .map(|row| (0..row.len()).map(|index| Ok(row.try_get(index)?)).collect::<Result<_>>().map(Row))
            .collect()
    }
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

type Unfit = Box<dyn std::error::Error + Sync + Send>;

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut bytes::BytesMut) -> std::result::Result<IsNull, Unfit> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) if *ty == Type::INT8 => value.to_sql(ty, out),
            Self::Text(value) if *ty == Type::TEXT => value.to_sql(ty, out),
            Self::Bytes(value) if *ty == Type::BYTEA => value.to_sql(ty, out),
            Self::Texts(values) if *ty == Type::TEXT_ARRAY => values.to_sql(ty, out),
            Self::Integer(_) | Self::Text(_) | Self::Bytes(_) | Self::Texts(_) => {
                Err(format!("a parameter is no {ty}").into())
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl FromSql<'_> for Value {
    fn from_sql(ty: &Type, raw: &[u8]) -> std::result::Result<Self, Unfit> {
        if *ty == Type::INT8 {
            i64::from_sql(ty, raw).map(Self::Integer)
        } else if *ty == Type::INT4 {
            i32::from_sql(ty, raw).map(|value| Self::Integer(value.into()))
        } else if *ty == Type::BYTEA {
            Vec::from_sql(ty, raw).map(Self::Bytes)
        } else {
            String::from_sql(ty, raw).map(Self::Text)
        }
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Self, Unfit> {
        Ok(Self::Null)
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::TEXT, Type::BYTEA].contains(ty)
    }
}
