//! Everything that an app shows, in one value.

use hookswitch::machine;

use crate::{
    presence::{Link, Presence},
    ring::Call,
    session::SessionState,
};

/// Everything that an app shows. Complete each time: draw it, and keep no state of your own beside it.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct View {
    /// Who is signed in, and how well.
    pub session: SessionState,
    /// The agent's presence; `None` while it is not known.
    pub presence: Option<Presence>,
    /// How fresh all of this is.
    pub link: Link,
    /// Calls that ring on this phone.
    pub ringing: Vec<Call>,
    /// The call that this phone is in, or answers.
    pub in_call: Option<Call>,
}

impl From<machine::View> for View {
    fn from(view: machine::View) -> Self {
        let machine::View { session, presence, link, ringing, in_call } = view;
        Self {
            session: session.into(),
            presence: presence.map(Presence::from),
            link: link.into(),
            ringing: ringing.into_iter().map(Call::from).collect(),
            in_call: in_call.map(Call::from),
        }
    }
}
