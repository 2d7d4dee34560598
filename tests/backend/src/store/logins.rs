//! Logins under way and the codes they end in.

use crate::clock::Millis;
use hookswitch_wire::AccountId;
use serde::{Deserialize, Serialize};

use super::{Group, Result, Row, Tx, UpstreamSession, values};

/// What a login is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Purpose {
    /// An app asked for a code.
    App(CodeRequest),
    /// Somebody opened a page of ours.
    Page {
        /// Whose session it will be.
        group: Group,
        /// Where to go then: a path of this server.
        path: String,
        /// What the login page says that one signs in to.
        label: String,
        /// Whether that page asks for a second factor.
        second_factor: bool,
    },
}

/// An authorization request, as far as it matters later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CodeRequest {
    pub(crate) client: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) scope: String,
    pub(crate) hint: String,
}

/// Where a login stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginStep {
    /// Waits for a password, or for the upstream issuer.
    Password,
    /// Waits for a TOTP code.
    Totp,
    /// The person is signed in; it goes no further.
    Done,
}

impl LoginStep {
    const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Totp => "totp",
            Self::Done => "done",
        }
    }
}

/// A login under way.
#[derive(Clone, Debug)]
pub(crate) struct LoginRow {
    pub(crate) binding: String,
    pub(crate) step: LoginStep,
    pub(crate) purpose: Purpose,
    pub(crate) account: Option<AccountId>,
    pub(crate) session: Option<String>,
    pub(crate) expires_at: Millis,
}

/// A code, used or not.
#[derive(Clone, Debug)]
pub(crate) struct CodeRow {
    pub(crate) account: AccountId,
    pub(crate) request: CodeRequest,
    pub(crate) expires_at: Millis,
    pub(crate) session: Option<String>,
    /// Who vouched for the agent.
    pub(crate) upstream: Option<UpstreamSession>,
}

impl Tx<'_> {
    pub(crate) fn insert_login(&self, hash: &str, row: &LoginRow, now: Millis) -> Result<()> {
        // Nobody comes back to a login of yesterday.
        self.execute("DELETE FROM logins WHERE expires_at < ?1", values![now.saturating_sub(86_400_000)])?;
        self.execute(
            "INSERT INTO logins (hash, binding, step, purpose, account, session, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            values![
                hash,
                &row.binding,
                row.step.name(),
                serde_json::to_string(&row.purpose)?,
                row.account.as_ref().map(AccountId::as_str),
                row.session.as_ref(),
                row.expires_at
            ],
        )?;
        Ok(())
    }

    pub(crate) fn login(&self, hash: &str) -> Result<Option<LoginRow>> {
        self.login_where("hash", hash).map(|found| found.map(|(_, row)| row))
    }

    /// By the state that went to the upstream issuer; with the hash of the login.
    pub(crate) fn login_by_upstream(&self, state_hash: &str) -> Result<Option<(String, LoginRow)>> {
        self.login_where("upstream", state_hash)
    }

    fn login_where(&self, column: &str, value: &str) -> Result<Option<(String, LoginRow)>> {
        let sql = &format!(
            "SELECT hash, binding, step, purpose, account, session, expires_at FROM logins WHERE {column} = ?1{}",
            self.for_update()
        );
        let login = |row: &Row| {
            let (step, purpose): (String, String) = (row.get(2)?, row.get(3)?);
            let step = match step.as_str() {
                "password" => LoginStep::Password,
                "totp" => LoginStep::Totp,
                _ => LoginStep::Done,
            };
            let account: Option<String> = row.get(4)?;
            let login = LoginRow {
                binding: row.get(1)?,
                step,
                purpose: serde_json::from_str(&purpose)?,
                account: account.map(AccountId),
                session: row.get(5)?,
                expires_at: row.get(6)?,
            };
            Ok((row.get(0)?, login))
        };
        self.row(sql, values![value], login)
    }

    pub(crate) fn move_login(
        &self,
        hash: &str,
        step: LoginStep,
        account: Option<&AccountId>,
        session: Option<&str>,
    ) -> Result<()> {
        self.execute(
            "UPDATE logins SET step = ?2, account = ?3, session = ?4, upstream = NULL WHERE hash = ?1",
            values![hash, step.name(), account.map(AccountId::as_str), session],
        )?;
        Ok(())
    }

    /// Remembers, or forgets, which state the upstream issuer will send back.
    pub(crate) fn set_login_upstream(&self, hash: &str, state_hash: Option<&str>) -> Result<()> {
        self.execute("UPDATE logins SET upstream = ?2 WHERE hash = ?1", values![hash, state_hash])?;
        Ok(())
    }

    pub(crate) fn insert_code(&self, hash: &str, row: &CodeRow, now: Millis) -> Result<()> {
        self.execute("DELETE FROM codes WHERE expires_at < ?1", values![now.saturating_sub(86_400_000)])?;
        self.execute(
            "INSERT INTO codes (hash, account, request, expires_at, upstream_iss, upstream_sub, upstream_sid)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            values![
                hash,
                row.account.as_str(),
                serde_json::to_string(&row.request)?,
                row.expires_at,
                row.upstream.as_ref().map(|upstream| &upstream.iss),
                row.upstream.as_ref().map(|upstream| &upstream.sub),
                row.upstream.as_ref().and_then(|upstream| upstream.sid.as_ref()),
            ],
        )?;
        Ok(())
    }

    pub(crate) fn code(&self, hash: &str) -> Result<Option<CodeRow>> {
        let sql = &format!(
            "SELECT account, request, expires_at, session, upstream_iss, upstream_sub, upstream_sid FROM codes
             WHERE hash = ?1{}",
            self.for_update()
        );
        let code = |row: &Row| {
            let request: String = row.get(1)?;
            Ok(CodeRow {
                account: AccountId(row.get(0)?),
                request: serde_json::from_str(&request)?,
                expires_at: row.get(2)?,
                session: row.get(3)?,
                upstream: UpstreamSession::read(row, 4)?,
            })
        };
        self.row(sql, values![hash], code)
    }

    /// A code works once; the session that came of it is ended if it is used again.
    pub(crate) fn use_code(&self, hash: &str, session: &str) -> Result<()> {
        self.execute("UPDATE codes SET session = ?2 WHERE hash = ?1", values![hash, session])?;
        Ok(())
    }
}
