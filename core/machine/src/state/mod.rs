//! What the machine remembers between events.
//!
//! | module | what it remembers |
//! |---|---|
//! | `session` | who is signed in, how far a login or a refresh has come |
//! | `presence` | the server's state, the agent's taps, the stream |
//! | `calls` | the calls that this phone has heard of |
//! | `device` | this phone's registration |

pub(crate) mod calls;
pub(crate) mod device;
pub(crate) mod presence;
pub(crate) mod session;

use std::collections::{BTreeMap, BTreeSet};

use hookswitch_wire::{DeviceId, Platform, ServerMetadata};
use serde::{Deserialize, Serialize};

use crate::{
    backoff::{Backoff, Random},
    issuer_profile::IssuerProfile,
    metadata::is_secure_address,
    names::{EffectId, RevocationId, SecretRef},
    running::{InFlight, SentCall},
    state::calls::Calls,
    state::device::DeviceState,
    state::presence::PresenceSync,
    state::session::{BeforeLogin, LoginStage, Session},
    time::{Mono, ServerClock},
    timer::Timer,
};

/// What is fixed for the life of an installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// The authorization server, exactly as its metadata names it.
    pub issuer: String,
    /// RFC 6749, section 2.2.
    pub client_id: String,
    /// The registered redirect URIs, best first.
    pub redirect_uris: Vec<String>,
    /// This installation, by the name that it gave itself when the vault was made.
    pub device: DeviceId,
    /// Decides what a ring decision means for the call UI.
    pub platform: Platform,
    /// What kind of issuer it is.
    #[serde(default)]
    pub profile: IssuerProfile,
    /// How long after a sign-in the issuer ends the session whatever happens, in milliseconds; `None`: not known, or never.
    #[serde(default)]
    pub session_life: Option<u64>,
}

/// Where the app is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// In front of the person.
    Foreground,
    /// Just left: traffic goes on for 20 s, in case the person comes back.
    Leaving,
    /// In the background: no stream, no timer, no request but for a call.
    Background,
}

/// The whole state. Plain, comparable, printable; holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub(crate) setup: Setup,
    pub(crate) random: Random,
    pub(crate) next_effect: u64,
    pub(crate) next_key: u64,
    /// As a list, since the keys of a JSON object are text.
    #[serde(with = "pairs")]
    pub(crate) in_flight: BTreeMap<EffectId, InFlight>,
    #[serde(with = "pairs")]
    pub(crate) timers: BTreeMap<Timer, Mono>,
    pub(crate) clock: ServerClock,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) network_up: bool,
    pub(crate) metadata: Option<ServerMetadata>,
    /// An endpoint is not where the metadata say, or a repair wants to know: they are asked for before the next use.
    pub(crate) metadata_in_doubt: bool,
    pub(crate) session: Session,
    pub(crate) presence: PresenceSync,
    pub(crate) calls: Calls,
    pub(crate) device: DeviceState,
    pub(crate) revocations: Vec<RevocationId>,
    pub(crate) revoke_backoff: Backoff,
    /// Something that must outlive the process has changed.
    pub(crate) unremembered: bool,
    /// A repair has asked the server, and the vault still has what was believed before.
    pub(crate) believed_anew: bool,
}

impl State {
    /// An app that has just been started and has read nothing yet.
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            random: Random::new(0),
            next_effect: 1,
            next_key: 1,
            in_flight: BTreeMap::new(),
            timers: BTreeMap::new(),
            clock: ServerClock::default(),
            lifecycle: Lifecycle::Background,
            network_up: true,
            metadata: None,
            metadata_in_doubt: false,
            session: Session::Loading,
            presence: PresenceSync::default(),
            calls: Calls::default(),
            device: DeviceState::default(),
            revocations: Vec::new(),
            revoke_backoff: Backoff::default(),
            unremembered: false,
            believed_anew: false,
        }
    }
}

impl State {
    /// Where the issuer is asked; `None`: it must tell that first.
    pub(crate) fn endpoints(&self) -> Option<&ServerMetadata> {
        self.metadata.as_ref().filter(|_| !self.metadata_in_doubt)
    }

    /// The page of the issuer that ends its own session in the browser (OpenID Connect RP-Initiated Logout), where it has one that is
    /// safe to open.
    pub fn sign_out_page(&self) -> Option<&str> {
        self.metadata.as_ref()?.end_session_endpoint.as_deref().filter(|page| is_secure_address(page))
    }

    /// What is fixed for the life of this installation.
    pub const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Whether all that must outlive the process is in the vault.
    pub fn is_saved(&self) -> bool {
        let open = match &self.session {
            Session::SignedIn(session) => session.unsaved || session.waits_to_settle(),
            Session::SigningOut { .. } => true,
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SigningIn { .. }
            | Session::ReauthRequired { .. } => false,
        };
        !open && !self.unremembered && !self.in_flight.values().any(|running| running.purpose.saves())
    }

    /// The names of the secrets that the state refers to. The shell keeps these, those that effects under way need
    /// ([`Work::secrets`](crate::Work::secrets)) and those that are on their way into the state ([`crate::Event::secrets`]); it wipes all
    /// others.
    pub fn secrets(&self) -> BTreeSet<SecretRef> {
        let mut names: BTreeSet<SecretRef> = self.device.push_token.into_iter().collect();
        match &self.session {
            Session::SigningIn { pending, stage, before } => {
                names.extend([pending.state, pending.nonce, pending.verifier]);
                if let BeforeLogin::SignedIn { session } = before {
                    names.extend([session.tokens.access, session.tokens.refresh]);
                }
                if let LoginStage::Storing { tokens, .. } = stage {
                    names.extend([tokens.access, tokens.refresh]);
                }
            }
            Session::SignedIn(session) => {
                names.extend([session.tokens.access, session.tokens.refresh]);
                names.extend(session.parked.iter().filter_map(|parked| parked.call.secret()));
            }
            Session::SigningOut { held, of: _ } => names.extend(held),
            Session::Loading | Session::Locked | Session::SignedOut { .. } | Session::ReauthRequired { .. } => {}
        }
        let sent = self.in_flight.values().filter_map(|running| running.api.as_ref());
        for SentCall { call, access, retried: _ } in sent {
            names.insert(*access);
            names.extend(call.secret());
        }
        names
    }
}

/// Maps whose keys are not text, as lists of pairs.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Vec::<(K, V)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}
