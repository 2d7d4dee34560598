//! Exactly what apps show: plain values made from the state, sentences included. The bindings export these very types, so
//! what is written here is what a Kotlin or Swift developer reads, and the lab's phones speak their serde form.

use hookswitch_wire::{
    Availability, CallId, Device, Effective, ForwardTo, PhoneNumber, Presence, SignIn, Snapshot, UnixMillis, Version,
};
use serde::{Deserialize, Serialize};

use crate::{
    choice::{Choice, SupersededChoice},
    kept::{AgentProfile, ReauthReason, SignedOutWhy},
    ring::{CallAction, Decision, Identity, RingRecord, Silence, StopReason, Verdict},
    sentences,
    state::{
        Lifecycle, State,
        calls::{HeardCall, Phase},
        presence::StreamLink,
        session::{LoginStage, Refresh, Session, SignedIn},
    },
    time::Timestamp,
};

/// Everything that an app shows, complete each time: draw it, and keep no state of your own beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppState {
    /// Who is signed in, and how well.
    pub session: SessionState,
    /// The agent's presence; nothing while it is not known.
    pub presence: Option<PresenceState>,
    /// How fresh all of this is.
    pub link: Link,
    /// The calls on this phone.
    pub calls: CallsState,
}

/// The session. Each state has one obvious reaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SessionState {
    /// The vault is being read: show a splash screen.
    Loading,
    /// The phone was not unlocked since it started: say so.
    Locked,
    /// Show the sign-in page.
    SignedOut {
        /// What ended the last session, if there was one.
        why: SignedOutWhy,
        /// What to tell the agent above the sign-in page, if anything.
        message: Option<String>,
    },
    /// The browser is open or minimised, or the sign-in is being completed.
    SigningIn {
        /// The browser has come back: show a spinner.
        completing: bool,
    },
    /// Show the app. Offline is no sign-out.
    SignedIn {
        /// Whose app it is.
        agent: AgentProfile,
        /// How well the agent is signed in.
        health: SessionHealth,
        /// When the access token expires, by the server's clock. The app need not care: it is renewed by itself.
        token_expires_at: UnixMillis,
    },
    /// Show the sign-in page with the agent's e-mail address filled in.
    ReauthRequired {
        /// Who was signed in.
        agent: AgentProfile,
        /// Why the session cannot go on.
        reason: ReauthReason,
        /// What to tell the agent above the sign-in page.
        message: String,
    },
    /// Show the sign-in page; the vault is being cleared.
    SigningOut,
}

/// How well somebody is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionHealth {
    /// There is a valid access token, or the next one is fetched when it is needed.
    Fresh,
    /// The access token is being renewed: show nothing.
    Refreshing,
    /// The server cannot be reached: say that there is no connection. The session is safe.
    Offline,
    /// The newest tokens are in memory only, because this phone's storage fails: the agent stays signed in while the app runs.
    Degraded,
    /// All is well, and the session ends within three days whatever the phone does: say so, with a button for a new sign-in, which
    /// may begin without a sign-out. While the agent is at it, the phone does not ring.
    Ending,
}

/// The agent's presence, whole each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceState {
    /// Orders states: `epoch-rev`, as text.
    pub version: String,
    /// What the agent chose last, anywhere, as the server has confirmed it.
    pub availability: Availability,
    /// What colleagues and routing see: computed by the server.
    pub effective: Effective,
    /// Where all calls go; nothing: to the apps.
    pub forwarding: Option<ForwardTo>,
    /// Says that calls go elsewhere and this phone is silent: show it, with one button that turns forwarding off.
    pub banner: Option<Banner>,
    /// What was chosen on this phone and the server has not confirmed, at most one of each kind: show it apart from what is
    /// confirmed.
    pub pending: Vec<Choice>,
    /// What was chosen on this phone and will not happen.
    pub superseded: Option<SupersededChoice>,
    /// What the agent should be told, a sentence or two each; first what is going on at the number that calls are forwarded to.
    pub notices: Vec<String>,
    /// The phones and desktops that are registered for the agent, this one among them.
    pub devices: Vec<Device>,
    /// Where the agent is signed in, oldest first.
    pub sign_ins: Vec<SignIn>,
    /// When the server said all of this, by its clock.
    pub as_of: UnixMillis,
}

/// What the app shows while calls are forwarded: this phone does not ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banner {
    /// The number that rings in place of the agent's apps.
    pub number: PhoneNumber,
    /// When the server turns it off by itself, by its clock; nothing: when somebody does.
    pub until: Option<UnixMillis>,
    /// Whether a call would go there now. Not while the agent takes no calls: then none goes anywhere.
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
    /// The app is in the background and hears nothing, on purpose.
    Background,
    /// The server cannot be reached, and it is tried again.
    Offline,
    /// A connection is being made.
    Connecting,
    /// What is shown is what is.
    Live,
}

/// The calls on this phone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallsState {
    /// Calls that ring on this phone.
    pub ringing: Vec<PhoneCall>,
    /// The call that this phone is in, or is answering.
    pub in_call: Option<PhoneCall>,
}

/// A call on this phone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneCall {
    /// The same on every device.
    pub call_id: CallId,
    /// Who calls, in the form of E.164; nothing when withheld.
    pub from: Option<PhoneNumber>,
    /// Who calls, for display.
    pub from_name: Option<String>,
    /// Since when this phone has it, by the best guess of the server's clock.
    pub since: UnixMillis,
    /// When it stops ringing by itself, by the server's clock; nothing for a call that no push announced.
    pub expires_at: Option<UnixMillis>,
    /// It was answered here, and the server has not said yet that it is ours: show "connecting", and let the agent hang up.
    pub connecting: bool,
}

/// A call that rang on this phone and must stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedCall {
    /// The call that rang here, by the name that its push gave it.
    pub call_id: CallId,
    /// What ended its ring.
    pub why: StopReason,
    /// The same, in a sentence for a person.
    pub explanation: String,
}

/// A decision on a call push. Carry its action out before you return to the push service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingDecision {
    /// The call that the push is about.
    pub call_id: CallId,
    /// What the call UI must do.
    pub action: CallAction,
    /// Why the phone is silent; nothing: it rings.
    pub silence: Option<Silence>,
    /// Who calls, in the form of E.164; nothing when withheld.
    pub from: Option<PhoneNumber>,
    /// Who calls, for display.
    pub from_name: Option<String>,
    /// When the ring ends by itself, by the server's clock.
    pub expires_at: UnixMillis,
    /// When it was decided, by the best guess of the server's clock.
    pub at: UnixMillis,
    /// The rule and its result, in a sentence for the log.
    pub explanation: String,
}

/// A line of the ring log, for support.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RingLogEntry {
    /// A push was decided on.
    Decided {
        /// What the ring rule said, and why.
        decision: RingDecision,
        /// What the rule looked at, in the order in which it looks.
        inputs: Vec<RingInput>,
    },
    /// A call that rang here rings no more.
    Stopped {
        /// The call that rang.
        call_id: CallId,
        /// What ended its ring.
        why: StopReason,
        /// The same, in a sentence for a person.
        explanation: String,
        /// When, by the best guess of the server's clock.
        at: UnixMillis,
    },
}

/// One thing that the ring rule looked at, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingInput {
    /// What it is: "push says", "phone knows".
    pub what: String,
    /// What it was when the rule decided, in words.
    pub value: String,
}

impl AppState {
    /// What an app shows before its core is open, or knows anything.
    #[must_use]
    pub const fn before_open() -> Self {
        Self {
            session: SessionState::Loading,
            presence: None,
            link: Link::Off,
            calls: CallsState { ringing: Vec::new(), in_call: None },
        }
    }
}

impl State {
    /// What an app shows.
    pub fn view(&self, now: Timestamp) -> AppState {
        AppState {
            session: self.session_state(now),
            presence: self.presence.confirmed.as_deref().map(|confirmed| self.presence_state(confirmed)),
            link: self.link(),
            calls: self.calls_state(),
        }
    }

    fn session_state(&self, now: Timestamp) -> SessionState {
        match &self.session {
            Session::Loading => SessionState::Loading,
            Session::Locked => SessionState::Locked,
            Session::SignedOut { why } => SessionState::signed_out(*why),
            Session::SigningIn { stage, .. } => SessionState::SigningIn {
                completing: match stage {
                    LoginStage::Preparing { .. } | LoginStage::Browser => false,
                    LoginStage::Exchanging { .. } | LoginStage::Storing { .. } => true,
                },
            },
            Session::SignedIn(session) if session.refusals.asks => {
                let said = session.said.as_deref();
                let rings = self.can_answer(now);
                SessionState::reauth_required(session.agent.clone(), ReauthReason::Refused, said, rings)
            }
            Session::SignedIn(session) => SessionState::SignedIn {
                agent: session.agent.clone(),
                health: self.health(session, now),
                token_expires_at: session.tokens.expires_at,
            },
            Session::ReauthRequired { agent, reason, said } => {
                SessionState::reauth_required(agent.clone(), *reason, said.as_deref(), self.can_answer(now))
            }
            Session::SigningOut { .. } => SessionState::SigningOut,
        }
    }

    fn health(&self, session: &SignedIn, now: Timestamp) -> SessionHealth {
        if session.unsaved {
            SessionHealth::Degraded
        } else if !self.network_up || self.is_cut_off(session, now) {
            SessionHealth::Offline
        } else if session.refresh != Refresh::Idle && !session.has_fresh_token(now) {
            SessionHealth::Refreshing
        } else if session.ends_soon(self.clock.guess(now)) {
            SessionHealth::Ending
        } else {
            SessionHealth::Fresh
        }
    }

    fn presence_state(&self, confirmed: &Snapshot) -> PresenceState {
        let Snapshot { version, presence, devices, sessions, notices, at, calls, agent: _, trace: _ } = confirmed;
        let number = presence.forwarding.number.clone();
        let at_the_number = calls.iter().filter_map(sentences::at_the_number);
        PresenceState {
            version: version.to_string(),
            availability: presence.availability,
            effective: presence.effective,
            forwarding: number.map(|number| ForwardTo { number, until: presence.forwarding.until }),
            banner: self.banner(presence),
            pending: self.presence.taps.iter().map(|tap| tap.choice.clone()).collect(),
            superseded: self.presence.superseded.clone(),
            notices: at_the_number.chain(notices.iter().map(|notice| notice.explain().to_owned())).collect(),
            devices: devices.clone(),
            sign_ins: sessions.clone(),
            as_of: *at,
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

    fn calls_state(&self) -> CallsState {
        let in_phase = |wanted: fn(Phase) -> bool| {
            self.calls.heard.iter().filter(move |(_, call)| wanted(call.phase)).map(|(id, call)| call.shown(id))
        };
        CallsState {
            ringing: in_phase(|phase| phase == Phase::Ringing).collect(),
            in_call: in_phase(|phase| matches!(phase, Phase::Answering | Phase::InCall)).next(),
        }
    }

    /// Whether attempts fail, and nothing else shows that the server is there.
    fn is_cut_off(&self, session: &SignedIn, now: Timestamp) -> bool {
        let no_token = session.backoff.has_failed() && !session.has_fresh_token(now);
        let live = matches!(self.presence.link, StreamLink::Live { .. } | StreamLink::Polling { heard: true, .. });
        no_token || (!live && (session.backoff.has_failed() || self.presence.fails()))
    }

    fn link(&self) -> Link {
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

    /// The newest state of the server, whole: what [`AppState::presence`] is made from.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.presence.confirmed.as_deref()
    }

    /// The log of ring decisions.
    pub const fn ring_log(&self) -> &crate::ring::RingLog {
        &self.calls.log
    }
}

impl SessionState {
    /// Nobody is signed in, in the words for it.
    pub fn signed_out(why: SignedOutWhy) -> Self {
        Self::SignedOut { why, message: why.explain().map(str::to_owned) }
    }

    /// The agent must sign in again, in the words for it and, if it said any, the issuer's; and what calls do until then.
    pub fn reauth_required(agent: AgentProfile, reason: ReauthReason, said: Option<&str>, rings: bool) -> Self {
        let mut message = reason.explain_with(said);
        if !rings {
            message.push(' ');
            message.push_str(sentences::NO_CALLS);
        }
        Self::ReauthRequired { agent, reason, message }
    }
}

impl HeardCall {
    fn shown(&self, call_id: &CallId) -> PhoneCall {
        let push = self.push.as_ref();
        PhoneCall {
            call_id: call_id.clone(),
            from: push.and_then(|push| push.from.clone()),
            from_name: push.and_then(|push| push.from_name.clone()),
            since: self.since,
            expires_at: push.map(|push| push.expires_at),
            connecting: self.phase == Phase::Answering,
        }
    }
}

impl From<&Decision> for RingDecision {
    fn from(decision: &Decision) -> Self {
        let Decision { push, verdict, action, at, facts: _ } = decision;
        Self {
            call_id: push.call_id.clone(),
            action: *action,
            silence: match verdict {
                Verdict::Ring { .. } => None,
                Verdict::Silence { reason } => Some(*reason),
            },
            from: push.from.clone(),
            from_name: push.from_name.clone(),
            expires_at: push.expires_at,
            at: *at,
            explanation: decision.explain(),
        }
    }
}

impl From<&RingRecord> for RingLogEntry {
    fn from(record: &RingRecord) -> Self {
        match record {
            RingRecord::Decided(decision) => {
                Self::Decided { decision: RingDecision::from(&**decision), inputs: inputs(decision) }
            }
            RingRecord::Stopped { call_id, why, at } => {
                Self::Stopped { call_id: call_id.clone(), why: *why, explanation: why.explain().to_owned(), at: *at }
            }
        }
    }
}

fn inputs(Decision { push, facts, .. }: &Decision) -> Vec<RingInput> {
    let on = |on: bool| if on { "on" } else { "off" };
    let identity = match &facts.identity {
        Identity::SignedIn { account } if *account == push.account => "signed in, it is this agent's call".to_owned(),
        Identity::SignedIn { .. } => "signed in as somebody else".to_owned(),
        Identity::SignedOut => "nobody is signed in".to_owned(),
        Identity::Unknown => "not known yet".to_owned(),
    };
    let knows = facts.routing.map_or("nothing".to_owned(), |routing| {
        format!("forwarding {} at {}", on(routing.forwarding_on), routing.version)
    });
    let newer = match facts.routing {
        Some(_) if push.routing == Version::NEVER => "nobody: the push does not say what it was made from",
        Some(routing) if routing.version == push.routing => "both: they know the same state",
        Some(routing) if routing.version > push.routing => "the phone: it knows a newer state",
        Some(_) | None => "the push: the call itself makes it newer",
    };
    let server_time = facts.server_now.map_or("not heard yet".to_owned(), |now| {
        let left = push.expires_at.since(now) / 1_000;
        if left > 0 { format!("{left} s left to ring") } else { format!("{} s too late", -left) }
    });
    [
        ("agent", identity),
        ("call", format!("{:?}", facts.call).to_lowercase()),
        ("push says", format!("forwarding {} at {}", on(push.forwarding_on), push.routing)),
        ("phone knows", knows),
        ("believed", newer.to_owned()),
        ("could answer", if facts.can_answer { "yes" } else { "no: the agent must sign in again" }.to_owned()),
        ("other call", if facts.busy { "yes" } else { "no" }.to_owned()),
        ("server time", server_time),
    ]
    .map(|(what, value)| RingInput { what: what.to_owned(), value })
    .into()
}

/// How an agent is called on screen.
impl From<&AgentProfile> for String {
    fn from(agent: &AgentProfile) -> Self {
        agent.name.clone().or_else(|| agent.email.clone()).unwrap_or_else(|| agent.account.to_string())
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
