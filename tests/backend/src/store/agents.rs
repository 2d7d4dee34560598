//! Agents and their counterparts at the upstream issuer.

use hookswitch_wire::{AccountId, Snapshot};
use rusqlite::{OptionalExtension, Row, params};

use super::{Result, StoreError, Tx};
use crate::aggregate::Aggregate;

/// An agent, with what signing in needs.
pub(crate) struct AgentRow {
    pub(crate) account: AccountId,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) totp_secret: Option<Vec<u8>>,
    pub(crate) totp_step: u64,
    pub(crate) google: bool,
    pub(crate) sso: bool,
    pub(crate) rev: u64,
    pub(crate) aggregate: Aggregate,
    pub(crate) snapshot: Snapshot,
}

/// A person as the upstream issuer knows them.
pub(crate) struct UpstreamUser {
    pub(crate) tenant: String,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) email_verified: bool,
}

const COLUMNS: &str = "account, email, password, totp_secret, totp_step, google, sso, rev, aggregate, snapshot";

fn agent(row: &Row<'_>) -> rusqlite::Result<Result<AgentRow>> {
    let (aggregate, snapshot): (String, String) = (row.get(8)?, row.get(9)?);
    let parsed = serde_json::from_str(&aggregate)
        .and_then(|aggregate| Ok((aggregate, serde_json::from_str(&snapshot)?)))
        .map_err(StoreError::from);
    let (aggregate, snapshot) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok(AgentRow {
        account: AccountId(row.get(0)?),
        email: row.get(1)?,
        password: row.get(2)?,
        totp_secret: row.get(3)?,
        totp_step: row.get(4)?,
        google: row.get(5)?,
        sso: row.get(6)?,
        rev: row.get(7)?,
        aggregate,
        snapshot,
    }))
}

impl Tx<'_> {
    pub(crate) fn agent(&self, account: &AccountId) -> Result<Option<AgentRow>> {
        let mut statement = self.0.prepare_cached(&format!("SELECT {COLUMNS} FROM agents WHERE account = ?1"))?;
        statement.query_row([account.as_str()], agent).optional()?.transpose()
    }

    /// E-mail addresses are compared without regard to case.
    pub(crate) fn agent_by_email(&self, email: &str) -> Result<Option<AgentRow>> {
        let mut statement = self.0.prepare_cached(&format!("SELECT {COLUMNS} FROM agents WHERE email = ?1"))?;
        statement.query_row([email.trim().to_lowercase()], agent).optional()?.transpose()
    }

    pub(crate) fn accounts(&self) -> Result<Vec<AccountId>> {
        let mut statement = self.0.prepare_cached("SELECT account FROM agents ORDER BY account")?;
        let accounts = statement.query_map([], |row| Ok(AccountId(row.get(0)?)))?;
        Ok(accounts.collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn insert_agent(&self, row: &AgentRow) -> Result<()> {
        self.0.execute(
            &format!("INSERT INTO agents ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
            params![
                row.account.as_str(),
                row.email.to_lowercase(),
                row.password,
                row.totp_secret,
                row.totp_step,
                row.google,
                row.sso,
                row.rev,
                serde_json::to_string(&row.aggregate)?,
                serde_json::to_string(&row.snapshot)?,
            ],
        )?;
        Ok(())
    }

    pub(crate) fn save_agent(&self, aggregate: &Aggregate, rev: u64, snapshot: &str) -> Result<()> {
        let mut statement =
            self.0.prepare_cached("UPDATE agents SET aggregate = ?2, rev = ?3, snapshot = ?4 WHERE account = ?1")?;
        statement.execute(params![
            aggregate.agent.account.as_str(),
            serde_json::to_string(aggregate)?,
            rev,
            snapshot
        ])?;
        Ok(())
    }

    /// What a restore from an old backup does to the numbers.
    pub(crate) fn reset_revs(&self) -> Result<()> {
        self.0.execute("UPDATE agents SET rev = 0", [])?;
        Ok(())
    }

    pub(crate) fn set_totp_step(&self, account: &AccountId, step: u64) -> Result<()> {
        self.0.execute("UPDATE agents SET totp_step = ?2 WHERE account = ?1", params![account.as_str(), step])?;
        Ok(())
    }

    pub(crate) fn upstream_user(&self, tenant: &str, email: &str) -> Result<Option<UpstreamUser>> {
        let mut statement = self.0.prepare_cached(
            "SELECT tenant, email, name, password, email_verified FROM upstream_users WHERE tenant = ?1 AND email = ?2",
        )?;
        let user = |row: &Row<'_>| {
            Ok(UpstreamUser {
                tenant: row.get(0)?,
                email: row.get(1)?,
                name: row.get(2)?,
                password: row.get(3)?,
                email_verified: row.get(4)?,
            })
        };
        Ok(statement.query_row(params![tenant, email.trim().to_lowercase()], user).optional()?)
    }

    pub(crate) fn put_upstream_user(&self, user: &UpstreamUser) -> Result<()> {
        self.0.execute(
            "INSERT OR REPLACE INTO upstream_users (tenant, email, name, password, email_verified)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![user.tenant, user.email.to_lowercase(), user.name, user.password, user.email_verified],
        )?;
        Ok(())
    }
}
