//! Everything that an app of an agent shows, in one value.

use serde::{Deserialize, Serialize};

use crate::{
    AccountId, CallId, Capabilities, DeviceId, PhoneNumber, Presence, SessionId, TraceId, UnixMillis, Version, lenient,
    trace,
};

/// The whole state of an agent, as the server knows it. Always whole, never a delta: whoever misses one and gets the
/// next has missed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Orders snapshots; any change in any part raises it.
    pub version: Version,
    /// The agent whose state this is.
    pub agent: Agent,
    /// Availability, forwarding and what follows from them.
    pub presence: Presence,
    /// Calls that ring or run, and those that ended within the last minute (so that a late push finds its end here).
    #[serde(deserialize_with = "lenient::needed_entries")]
    pub calls: Vec<Call>,
    /// Mobile devices on which the agent is signed in.
    #[serde(deserialize_with = "lenient::needed_entries")]
    pub devices: Vec<Device>,
    /// Where the agent is signed in, oldest first: phones, browsers, desktops. An older server does not say.
    #[serde(default, deserialize_with = "lenient::entries")]
    pub sessions: Vec<SignIn>,
    /// What the agent should be told. One that this version does not know is left out: it has no words for it.
    #[serde(default, deserialize_with = "lenient::entries")]
    pub notices: Vec<Notice>,
    /// When the server made this snapshot, by its clock.
    pub at: UnixMillis,
    /// The request that made the state so; `None` when time did, or the server does not say. For logs only.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "trace::lenient")]
    pub trace: Option<TraceId>,
}

/// A person who takes calls, as the account has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The account's name, the `sub` of the issuer; the same for ever, whatever becomes of e-mail address and name.
    pub account: AccountId,
    /// The address that the agent signs in with, for display; empty when the server does not tell it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub email: String,
    /// The agent's name, for display; empty when the server does not tell it.
    #[serde(default, deserialize_with = "lenient::name")]
    pub name: String,
    /// What the agent may open.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub role: Role,
}

/// What an agent may open: the Dashboard is for all but [`Role::Agent`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The one to whom the company's account belongs.
    Owner,
    /// Somebody who manages the company's agents and numbers.
    Admin,
    /// Somebody who oversees the calls of other agents.
    Supervisor,
    /// Somebody who takes calls, and nothing else: the Dashboard sends them to the phone app.
    Agent,
    /// A role that this version has no word for: nothing is opened for it here.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Role {
    /// Whether the Dashboard opens for this role.
    pub const fn may_open_dashboard(self) -> bool {
        match self {
            Self::Owner | Self::Admin | Self::Supervisor => true,
            Self::Agent | Self::Unknown => false,
        }
    }
}

/// A call to the agent that rings, runs, or ended within the last minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The call's name, the same on every device and in every push.
    pub call_id: CallId,
    /// Who calls; `None` when withheld.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub from: Option<PhoneNumber>,
    /// Who calls, for display.
    #[serde(default, deserialize_with = "lenient::name_if_any")]
    pub from_name: Option<String>,
    /// Where the call is in its life.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub state: CallState,
    /// When it began to ring.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub started_at: UnixMillis,
    /// When it stops ringing if nobody answers; [`UnixMillis::UNTOLD`] when the server does not say.
    #[serde(default = "UnixMillis::untold", deserialize_with = "UnixMillis::or_untold")]
    pub expires_at: UnixMillis,
    /// The external number that it went to in place of the apps; `None`: it did not, or the server does not say.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub forwarded_to: Option<PhoneNumber>,
}

/// Where a call is in its life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CallState {
    /// Waiting for somebody to answer in an app.
    Ringing,
    /// Waiting at the number that calls are forwarded to ([`Call::forwarded_to`]): whoever picks up there has the call by pressing 1,
    /// and else it goes back to the queue at [`Call::expires_at`]. No app rings for it.
    Offered,
    /// It was answered, and runs.
    Answered {
        /// The place where the agent answered.
        #[serde(default, deserialize_with = "lenient::or_default")]
        by: Surface,
    },
    /// Over for this agent: hung up, declined, not answered in time, or back in the queue.
    Ended,
    /// Something that this version has no word for. It is not over: whoever rings for it rings on.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A place where an agent meets the product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Surface {
    /// The workspace in a browser.
    Web,
    /// The desktop app, on macOS or Windows.
    Desktop,
    /// The Dashboard in a browser.
    Dashboard,
    /// A call widget inside of a CRM (computer-telephony integration).
    Cti {
        /// The CRM that the widget is shown in: "zendesk".
        #[serde(default, deserialize_with = "lenient::or_default")]
        host: String,
    },
    /// A phone with the mobile app.
    Mobile {
        /// The phone, one of [`Snapshot::devices`].
        device: DeviceId,
    },
    /// The external number that calls are forwarded to.
    Forwarded,
    /// A place that this version has no word for.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A mobile device of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The installation's name, made by the app at its first start.
    pub id: DeviceId,
    /// For display: "Alice's iPhone".
    #[serde(default, deserialize_with = "lenient::name")]
    pub name: String,
    /// Which push service it hears from; nothing: one that this version has no word for.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub platform: Option<Platform>,
    /// The app's version.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub app_version: String,
    /// What the phone lets the app do when a call comes, as far as the app has said.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub capabilities: Capabilities,
    /// `None`: calls are pushed to it. `Some`: they are not, and why.
    #[serde(default, deserialize_with = "lenient::present")]
    pub cannot_ring: Option<CannotRing>,
    /// When it spoke to the server last.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub last_seen: UnixMillis,
}

impl Surface {
    /// What the agent calls it.
    pub fn title(&self) -> &str {
        match self {
            Self::Web => "Workspace",
            Self::Desktop => "Desktop",
            Self::Dashboard => "Dashboard",
            Self::Cti { host } => match host.as_str() {
                "zendesk" => "Zendesk",
                "salesforce" => "Salesforce",
                "hubspot" => "HubSpot",
                _ => "a widget",
            },
            Self::Mobile { .. } => "another phone",
            Self::Forwarded => "the external number",
            Self::Unknown => "another place",
        }
    }
}

impl Device {
    /// Whether the server pushes calls to this device.
    pub const fn can_ring(&self) -> bool {
        self.cannot_ring.is_none()
    }
}

/// A session of the agent that lives. `DELETE /v1/me/sessions/{id}` ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// Its name; no secret. On a phone, it is the `sid` of the ID token.
    pub id: SessionId,
    /// What kind of place it is.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub kind: SignInKind,
    /// The device that it registered; `None` for browsers and desktops, and for a phone that has not registered yet.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub device: Option<DeviceId>,
    /// When the agent signed in there, by the server's clock.
    pub signed_in_at: UnixMillis,
}

/// What a session is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInKind {
    /// The app on one phone.
    Mobile,
    /// Workspace, Dashboard and widgets of one browser, which share their session.
    Browser,
    /// The desktop app, which shares its session with nothing.
    Desktop,
    /// A place that this version has no word for; it can be signed out all the same.
    #[default]
    #[serde(other)]
    Unknown,
}

/// Which push service a device hears from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Platform {
    /// Apple: pushed by APNs through PushKit, and bound to report each call push to CallKit.
    Ios,
    /// Android: pushed by FCM, and shown by the app through Telecom.
    Android,
}

/// Why the server pushes no call to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CannotRing {
    /// Calls go to an external number, and the mobile app does not ring meanwhile.
    ForwardingActive,
    /// The agent takes no calls now.
    NotAvailable,
    /// The agent is on another call.
    InAnotherCall,
    /// The app has given no push token, or the push service says that it is not good any more.
    NoPushToken,
    /// A reason that this version has no word for.
    #[default]
    #[serde(other)]
    Unknown,
}

/// What the agent should be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// Several people seem to use this login: calls will go wrong; each agent needs a login of their own.
    SharedLogin,
}

impl Notice {
    /// One or two sentences for the agent.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::SharedLogin => {
                "Several people seem to use this login. Calls will go wrong: each agent needs a login of their own."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ForwardTo, RegisterDevice, SetForwarding};

    #[test]
    fn the_words_of_an_older_server_and_an_older_app_are_still_understood() {
        let snapshot = r#"{"version":{"epoch":1,"rev":2},"agent":{"account":"a","email":"e","name":"n","role":"agent"},
            "presence":{"availability":{"kind":"available"},"forwarding":{"on":true,"number":"+33612345678","rev":2},
            "call_leases":[],"effective":"available"},"calls":[],"devices":[{"id":"d","name":"n","platform":"ios",
            "app_version":"1","cannot_ring":"forwarding_active","last_seen":3}],"notices":[],"at":4}"#;
        let snapshot: Snapshot = serde_json::from_str(snapshot).unwrap();
        assert!(snapshot.sessions.is_empty());
        assert_eq!(snapshot.devices[0].capabilities, Capabilities::default());
        assert_eq!((snapshot.presence.forwarding.until, &snapshot.presence.forwarding.own_device), (None, &None));
        let device = r#"{"name":"n","platform":"android","app_version":"1","push_token":null}"#;
        let device: RegisterDevice = serde_json::from_str(device).unwrap();
        assert_eq!((device.capabilities, device.line_number), (Capabilities::default(), None));
        let forwarding: SetForwarding = serde_json::from_str(r#"{"number":"+33612345678"}"#).unwrap();
        assert_eq!(forwarding.until, None);
    }

    #[test]
    fn a_command_without_news_reads_as_it_always_did() {
        let to = ForwardTo { number: "+33612345678".parse().unwrap(), until: None };
        let text = serde_json::to_string(&SetForwarding::from(Some(&to))).unwrap();
        assert_eq!(text, r#"{"number":"+33612345678"}"#);
        assert_eq!(serde_json::to_string(&SetForwarding::from(None)).unwrap(), r#"{"number":null}"#);
    }
}
