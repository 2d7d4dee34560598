//! Agents that are to be, and those of the demo.

use hookswitch_wire::Role;
use serde::{Deserialize, Serialize};

/// The password of all demo accounts.
pub const DEMO_PASSWORD: &str = "correct horse battery staple";

/// An agent that is to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentSeed {
    /// Signs in with it.
    pub email: String,
    /// For Hookswitch if `password_login`, and for the upstream issuer if `google` or `sso`.
    pub password: String,
    /// Whether e-mail and password open Hookswitch itself.
    pub password_login: bool,
    /// For display.
    pub name: String,
    /// What the agent may open.
    pub role: Role,
    /// The secret of the authenticator app, at least 16 bytes; `None`: no second factor.
    pub totp_secret: Option<Vec<u8>>,
    /// An IANA name: where nine to six are the working hours.
    pub time_zone: String,
    /// "Continue with Google" works.
    pub google: bool,
    /// Acme SSO works.
    pub sso: bool,
    /// Whether the upstream issuer says that it verified the e-mail address.
    pub email_verified: bool,
}

impl AgentSeed {
    /// An agent with a password, in UTC, and nothing special.
    pub fn new(email: &str, name: &str, role: Role) -> Self {
        Self {
            email: email.to_owned(),
            password: DEMO_PASSWORD.to_owned(),
            password_login: true,
            name: name.to_owned(),
            role,
            totp_secret: None,
            time_zone: "UTC".to_owned(),
            google: false,
            sso: false,
            email_verified: true,
        }
    }

    /// The demo accounts; all with [`DEMO_PASSWORD`].
    ///
    /// | e-mail | role | signs in with |
    /// |---|---|---|
    /// | `alice@acme.example` | agent | password, Google, SSO |
    /// | `olivia@acme.example` | owner | password; the Dashboard asks for a code |
    /// | `adam@acme.example` | admin | password |
    /// | `sam@acme.example` | supervisor | Google, SSO; no password |
    pub fn demo() -> Vec<Self> {
        let paris = || "Europe/Paris".to_owned();
        vec![
            Self {
                google: true,
                sso: true,
                time_zone: paris(),
                ..Self::new("alice@acme.example", "Alice Martin", Role::Agent)
            },
            Self {
                totp_secret: Some(b"a demo secret of 20+".to_vec()),
                time_zone: paris(),
                ..Self::new("olivia@acme.example", "Olivia Bernard", Role::Owner)
            },
            Self {
                time_zone: "America/New_York".to_owned(),
                ..Self::new("adam@acme.example", "Adam Novak", Role::Admin)
            },
            Self {
                google: true,
                sso: true,
                password_login: false,
                ..Self::new("sam@acme.example", "Sam Okafor", Role::Supervisor)
            },
        ]
    }
}
