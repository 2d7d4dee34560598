//! What an app shows: plain values made from the state.

use hookswitch_wire::{Agent, CallId, PhoneNumber, Presence, Snapshot, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::{
    choice::{Choice, SupersededChoice},
    kept::{AgentProfile, ReauthReason, SignedOutWhy},
    state::{
        Lifecycle, State,
        calls::Phase,
        presence::StreamLink,
        session::{LoginStage, Refresh, Session, SignedIn},
    },
    time::Timestamp,
};

/// Everything that an app shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppState {
    /// Who is signed in, and how well.
    pub session: SessionState,
    /// The agent's presence, when it is known.
    pub presence: Option<PresenceState>,
    /// How well this phone hears the server.
    pub link: Link,
    /// Calls that ring on this phone.
    pub ringing: Vec<PhoneCall>,
    /// The call that this phone is in.
    pub in_call: Option<PhoneCall>,
}

/// The session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SessionState {
    /// The vault is being read: show a splash screen.
    Loading,
    /// The phone was not unlocked since it started: say so.
    Locked,
    /// Show the sign-in page.
    SignedOut {
        /// What to tell the agent, if anything.
        why: SignedOutWhy,
    },
    /// The browser is open or minimised, or the sign-in is being completed.
    SigningIn {
        /// `true` when the browser has come back.
        completing: bool,
    },
    /// Show the app.
    SignedIn {
        /// Who.
        agent: AgentProfile,
        /// How well.
        status: SessionHealth,
        /// When the access token expires, by the server's clock. The app need not care: it is renewed by itself.
        token_expires_at: UnixMillis,
    },
    /// Show the sign-in page, with the agent's e-mail address filled in.
    ReauthRequired {
        /// Who.
        agent: AgentProfile,
        /// What to tell the agent.
        reason: ReauthReason,
    },
    /// Show the sign-in page; the vault is being cleared.
    SigningOut,
}

/// How well somebody is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionHealth {
    /// All is well.
    Fresh,
    /// The access token is being renewed.
    Refreshing,
    /// The server cannot be reached. The session is safe.
    Offline,
    /// The newest tokens are in memory only, because storage fails.
    Degraded,
}

/// The agent's presence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceState {
    /// What the server says.
    pub confirmed: Box<Snapshot>,
    /// What the agent asked for and the server has not confirmed.
    pub pending: Vec<Choice>,
    /// What the agent asked for and will not happen.
    pub superseded: Option<SupersededChoice>,
    /// Says that this phone is silent, while calls go elsewhere.
    pub banner: Option<Banner>,
}

/// Calls go elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banner {
    /// Where.
    pub number: PhoneNumber,
    /// When the server turns it off by itself, by its clock; `None`: when somebody does.
    pub until: Option<UnixMillis>,
    /// Whether a call would go there now. `false` while the agent takes no calls: then none goes anywhere.
    pub takes_calls: bool,
    /// Whether this phone has that number, as far as the server knows: a forwarded call then rings here as an ordinary one.
    /// Worth a warning, because the app and forwarding to its phone exclude each other.
    pub own_number: bool,
}

/// How well this phone hears the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// Nobody is signed in.
    Off,
    /// In the background, on purpose.
    Background,
    /// Not, and it is tried again.
    Offline,
    /// Soon.
    Connecting,
    /// What is shown is what is.
    Live,
}

/// A call on this phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneCall {
    /// Which.
    pub call_id: CallId,
    /// Who calls.
    pub from: Option<PhoneNumber>,
    /// Who calls, for display.
    pub from_name: Option<String>,
    /// Since when this phone has it, by the best guess of the server's clock.
    pub since: UnixMillis,
    /// When it stops ringing by itself, by the server's clock; `None` for a call that no push announced.
    pub expires_at: Option<UnixMillis>,
}

impl State {
    /// What an app shows.
    pub fn view(&self, now: Timestamp) -> AppState {
        let session = match &self.session {
            Session::Loading => SessionState::Loading,
            Session::Locked => SessionState::Locked,
            Session::SignedOut { why } => SessionState::SignedOut { why: *why },
            Session::SigningIn { stage, .. } => SessionState::SigningIn {
                completing: match stage {
                    LoginStage::Preparing { .. } | LoginStage::Browser => false,
                    LoginStage::Exchanging { .. } | LoginStage::Storing { .. } => true,
                },
            },
            Session::SignedIn(session) => {
                let status = if session.unsaved {
                    SessionHealth::Degraded
                } else if !self.network_up || self.is_cut_off(session, now) {
                    SessionHealth::Offline
                } else if session.refresh != Refresh::Idle && !session.has_fresh_token(now) {
                    SessionHealth::Refreshing
                } else {
                    SessionHealth::Fresh
                };
                SessionState::SignedIn {
                    agent: session.agent.clone(),
                    status,
                    token_expires_at: session.tokens.expires_at,
                }
            }
            Session::ReauthRequired { agent, reason } => {
                SessionState::ReauthRequired { agent: agent.clone(), reason: *reason }
            }
            Session::SigningOut { .. } => SessionState::SigningOut,
        };
        let presence = self.presence.confirmed.clone().map(|confirmed| PresenceState {
            pending: self.presence.taps.iter().map(|tap| tap.choice.clone()).collect(),
            superseded: self.presence.superseded.clone(),
            banner: self.banner(&confirmed.presence),
            confirmed,
        });
        let in_phase = |wanted: fn(Phase) -> bool| {
            self.calls.heard.iter().filter(move |(_, call)| wanted(call.phase)).map(|(id, call)| PhoneCall {
                call_id: id.clone(),
                from: call.push.as_ref().and_then(|push| push.from.clone()),
                from_name: call.push.as_ref().and_then(|push| push.from_name.clone()),
                since: call.since,
                expires_at: call.push.as_ref().map(|push| push.expires_at),
            })
        };
        AppState {
            session,
            presence,
            link: self.link_view(),
            ringing: in_phase(|phase| phase == Phase::Ringing).collect(),
            in_call: in_phase(|phase| matches!(phase, Phase::Answering | Phase::InCall)).next(),
        }
    }

    fn banner(&self, presence: &Presence) -> Option<Banner> {
        let forwarding = &presence.forwarding;
        Some(Banner {
            number: forwarding.number.clone()?,
            until: forwarding.until,
            takes_calls: presence.forwards_to().is_some(),
            own_number: forwarding.own_device.as_ref() == Some(&self.setup.device),
        })
    }

    /// Whether attempts fail, and nothing else shows that the server is there.
    fn is_cut_off(&self, session: &SignedIn, now: Timestamp) -> bool {
        let no_token = session.backoff.has_failed() && !session.has_fresh_token(now);
        let live = matches!(self.presence.link, StreamLink::Live { .. } | StreamLink::Polling { heard: true, .. });
        no_token || (!live && (session.backoff.has_failed() || self.presence.fails()))
    }

    fn link_view(&self) -> Link {
        if !matches!(self.session, Session::SignedIn(_)) {
            return Link::Off;
        }
        match (self.presence.link, self.lifecycle) {
            (StreamLink::Live { .. } | StreamLink::Polling { heard: true, .. }, _) => Link::Live,
            (_, Lifecycle::Background) => Link::Background,
            _ if !self.network_up => Link::Offline,
            (
                StreamLink::Opening { .. } | StreamLink::Polling { .. } | StreamLink::WantsToken | StreamLink::Down,
                _,
            ) => {
                if self.presence.fails() {
                    Link::Offline
                } else {
                    Link::Connecting
                }
            }
        }
    }

    /// The log of ring decisions.
    pub const fn ring_log(&self) -> &crate::ring::RingLog {
        &self.calls.log
    }
}

/// How an agent is called on screen.
impl From<&AgentProfile> for String {
    fn from(agent: &AgentProfile) -> Self {
        agent.name.clone().or_else(|| agent.email.clone()).unwrap_or_else(|| agent.account.to_string())
    }
}

impl PresenceState {
    /// The agent, as the server describes it.
    pub const fn agent(&self) -> &Agent {
        &self.confirmed.agent
    }
}

#[cfg(test)]
mod tests {
    use hookswitch_wire::Effective;

    use super::*;
    use crate::test_phone::{TestPhone, forwarding, state};

    #[test]
    fn the_banner_says_where_calls_go_until_when_and_whether_that_is_here() {
        let mut phone = TestPhone::signed_in();
        phone.hears(state(2));
        let banner = |phone: &TestPhone| phone.view().presence.unwrap().banner;
        assert_eq!(banner(&phone), None);
        phone.hears(forwarding(3));
        let number: PhoneNumber = "+33612345678".parse().unwrap();
        let plain = Banner { number, until: None, takes_calls: true, own_number: false };
        assert_eq!(banner(&phone), Some(plain.clone()));
        for (rev, device, own_number) in [(4, "phone-1", true), (5, "another", false)] {
            let mut on = forwarding(rev);
            on.presence.forwarding.until = Some(UnixMillis(7));
            on.presence.forwarding.own_device = Some(device.into());
            phone.hears(on);
            assert_eq!(banner(&phone), Some(Banner { until: Some(UnixMillis(7)), own_number, ..plain.clone() }));
        }
        let mut away = forwarding(6);
        away.presence.effective = Effective::DoNotDisturb;
        phone.hears(away);
        assert_eq!(banner(&phone), Some(Banner { takes_calls: false, ..plain }));
    }
}
