//! Agents and their counterparts at the upstream issuer.

use crate::clock::Millis;
use hookswitch_wire::{AccountId, Snapshot};

use super::{Result, Row, Tx, Value, values};
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

/// What apps were told last.
pub(crate) struct Shown {
    pub(crate) json: String,
    /// When time changes it.
    pub(crate) due_at: Option<Millis>,
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

fn agent(row: &Row) -> Result<AgentRow> {
    let (aggregate, snapshot): (String, String) = (row.get(8)?, row.get(9)?);
    Ok(AgentRow {
        account: AccountId(row.get(0)?),
        email: row.get(1)?,
        password: row.get(2)?,
        totp_secret: row.get(3)?,
        totp_step: row.get(4)?,
        google: row.get(5)?,
        sso: row.get(6)?,
        rev: row.get(7)?,
        aggregate: serde_json::from_str(&aggregate)?,
        snapshot: serde_json::from_str(&snapshot)?,
    })
}

impl Tx<'_> {
    pub(crate) fn agent(&self, account: &AccountId) -> Result<Option<AgentRow>> {
        let sql = &format!("SELECT {COLUMNS} FROM agents WHERE account = ?1");
        self.row(sql, values![account.as_str()], agent)
    }

    /// Locks an agent's row: who changes anything of an agent does it first. Then nobody else does until the commit.
    pub(crate) fn lock_agent(&self, account: &AccountId) -> Result<()> {
        if self.is_shared() {
            self.rows("SELECT 1 FROM agents WHERE account = ?1 FOR UPDATE", values![account], |_| Ok(()))?;
        }
        Ok(())
    }

    /// An agent that is going to be changed, locked.
    pub(crate) fn agent_to_change(&self, account: &AccountId) -> Result<Option<AgentRow>> {
        let sql = &format!("SELECT {COLUMNS} FROM agents WHERE account = ?1{}", self.for_update());
        self.row(sql, values![account], agent)
    }

    /// What apps were told last, without a lock.
    pub(crate) fn shown(&self, account: &AccountId) -> Result<Option<Shown>> {
        self.row("SELECT snapshot, due_at FROM agents WHERE account = ?1", values![account], |row| {
            Ok(Shown { json: row.get(0)?, due_at: row.get(1)? })
        })
    }

    /// The revs of these agents, as far as there are such agents.
    pub(crate) fn revs_of(&self, accounts: Vec<String>) -> Result<Vec<(AccountId, u64)>> {
        let sql = "SELECT account, rev FROM agents WHERE account = ANY(?1)";
        self.rows(sql, &[Value::Texts(accounts)], |row| Ok((AccountId(row.get(0)?), row.get(1)?)))
    }

    /// When time changes an agent, for whichever node lives then.
    pub(crate) fn set_due(&self, account: &AccountId, at: Option<Millis>) -> Result<()> {
        if self.is_shared() {
            let sql = "UPDATE agents SET due_at = ?2 WHERE account = ?1 AND due_at IS DISTINCT FROM ?2";
            self.execute(sql, values![account, at])?;
        }
        Ok(())
    }

    /// An agent whom time has changed and whom no other node sees to; locked.
    pub(crate) fn overdue(&self, now: Millis) -> Result<Option<AccountId>> {
        let sql = "SELECT account FROM agents WHERE due_at <= ?1 ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED";
        self.row(sql, values![now], |row| Ok(AccountId(row.get(0)?)))
    }

    /// E-mail addresses are compared without regard to case.
    pub(crate) fn agent_by_email(&self, email: &str) -> Result<Option<AgentRow>> {
        let sql = &format!("SELECT {COLUMNS} FROM agents WHERE email = ?1");
        self.row(sql, values![email.trim().to_lowercase()], agent)
    }

    pub(crate) fn accounts(&self) -> Result<Vec<AccountId>> {
        let sql = "SELECT account FROM agents ORDER BY account";
        self.rows(sql, values![], |row| Ok(AccountId(row.get(0)?)))
    }

    pub(crate) fn insert_agent(&self, row: &AgentRow) -> Result<()> {
        self.execute(
            &format!("INSERT INTO agents ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
            values![
                row.account.as_str(),
                row.email.to_lowercase(),
                &row.password,
                row.totp_secret.as_deref(),
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
        let sql = "UPDATE agents SET aggregate = ?2, rev = ?3, snapshot = ?4 WHERE account = ?1";
        self.execute(sql, values![aggregate.agent.account.as_str(), serde_json::to_string(aggregate)?, rev, snapshot])?;
        Ok(())
    }

    /// What a restore from an old backup does to the numbers.
    pub(crate) fn reset_revs(&self) -> Result<()> {
        self.execute("UPDATE agents SET rev = 0", values![])?;
        Ok(())
    }

    pub(crate) fn set_totp_step(&self, account: &AccountId, step: u64) -> Result<()> {
        self.execute("UPDATE agents SET totp_step = ?2 WHERE account = ?1", values![account.as_str(), step])?;
        Ok(())
    }

    pub(crate) fn upstream_user(&self, tenant: &str, email: &str) -> Result<Option<UpstreamUser>> {
        let sql =
            "SELECT tenant, email, name, password, email_verified FROM upstream_users WHERE tenant = ?1 AND email = ?2";
        let user = |row: &Row| {
            Ok(UpstreamUser {
                tenant: row.get(0)?,
                email: row.get(1)?,
                name: row.get(2)?,
                password: row.get(3)?,
                email_verified: row.get(4)?,
            })
        };
        self.row(sql, values![tenant, email.trim().to_lowercase()], user)
    }

    pub(crate) fn put_upstream_user(&self, user: &UpstreamUser) -> Result<()> {
        self.execute(
            "INSERT INTO upstream_users (tenant, email, name, password, email_verified) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (tenant, email) DO UPDATE
             SET name = excluded.name, password = excluded.password, email_verified = excluded.email_verified",
            values![&user.tenant, user.email.to_lowercase(), &user.name, &user.password, user.email_verified],
        )?;
        Ok(())
    }
}
