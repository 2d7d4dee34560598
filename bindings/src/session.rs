//! The session, as an app shows it.

use hookswitch::machine::view::{SessionView, Status};

/// The session. Each state has one obvious reaction.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum SessionState {
    /// Show a splash screen.
    Loading,
    /// The phone was not unlocked since it started: say so.
    Locked,
    /// Show the sign-in page.
    SignedOut {
        /// What to tell the agent, if anything.
        message: Option<String>,
    },
    /// The browser is open or minimised, or the sign-in is being completed.
    SigningIn {
        /// `true` when the browser has come back.
        completing: bool,
    },
    /// Show the app.
    SignedIn {
        /// How well.
        status: SessionStatus,
        /// For display.
        name: Option<String>,
        /// For display.
        email: Option<String>,
    },
    /// Show the sign-in page with the e-mail address filled in.
    ReauthRequired {
        /// To fill in.
        email: Option<String>,
        /// What to tell the agent.
        message: String,
    },
    /// Show the sign-in page.
    SigningOut,
}

/// How well somebody is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum SessionStatus {
    /// All is well.
    Fresh,
    /// The access token is being renewed.
    Refreshing,
    /// The server cannot be reached. The session is safe.
    Offline,
    /// The newest tokens are in memory only, because storage fails.
    Degraded,
}

impl From<Status> for SessionStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Fresh => Self::Fresh,
            Status::Refreshing => Self::Refreshing,
            Status::Offline => Self::Offline,
            Status::Degraded => Self::Degraded,
        }
    }
}

impl From<SessionView> for SessionState {
    fn from(session: SessionView) -> Self {
        match session {
            SessionView::Loading => Self::Loading,
            SessionView::Locked => Self::Locked,
            SessionView::SignedOut { why } => Self::SignedOut { message: why.explain().map(str::to_owned) },
            SessionView::SigningIn { completing } => Self::SigningIn { completing },
            SessionView::SignedIn { agent, status, token_expires_at: _ } => {
                Self::SignedIn { status: status.into(), name: agent.name, email: agent.email }
            }
            SessionView::ReauthRequired { agent, reason } => {
                Self::ReauthRequired { email: agent.email, message: reason.explain().to_owned() }
            }
            SessionView::SigningOut => Self::SigningOut,
        }
    }
}
