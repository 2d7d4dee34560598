//! A real core with a driver and a vault of the simulation.

use std::collections::{BTreeMap, BTreeSet};

use hookswitch::{
    machine::{
        AgentProfile, ApiCall, Choice, ChoiceKind, CommandId, Contents, EffectId, Failure, IssuerProfile, Loaded, Mono,
        Outcome, Setup, SignInId, State, StoredSession, Timer, Timestamp, TokenSet, Transaction,
    },
    wire::{CallId, DeviceId, Platform, ServerMetadata, UnixMillis, Version},
};

use super::server::{Server, clock};

const ISSUER: &str = "https://id.example.com";

/// A tap, and what became of it.
pub(crate) struct Tapped {
    pub(crate) choice: Choice,
    pub(crate) id: CommandId,
    /// The names under which the server may have carried it out.
    pub(crate) keys: Vec<String>,
    pub(crate) reply: Option<Result<(), Failure>>,
    /// The phone has shown it as not applied.
    pub(crate) superseded: bool,
    /// A newer one took its place.
    pub(crate) replaced: bool,
    /// The process died before it was settled.
    pub(crate) died: bool,
}

impl Tapped {
    pub(crate) const fn new(choice: Choice, id: CommandId) -> Self {
        Self { choice, id, keys: Vec::new(), reply: None, superseded: false, replaced: false, died: false }
    }

    pub(crate) fn is_about(&self, kind: ChoiceKind) -> bool {
        self.choice.kind() == kind
    }
}

/// One phone of the simulation: its core, its vault, and what surrounds both. Times are in milliseconds of the simulation.
pub(crate) struct SimulatedPhone {
    pub(crate) device: DeviceId,
    pub(crate) state: State,
    /// How often the process was started.
    pub(crate) life: u32,
    pub(crate) running: bool,
    pub(crate) timers: BTreeMap<Timer, Mono>,
    /// Requests without an answer.
    pub(crate) open: BTreeMap<EffectId, ()>,
    vault: Contents,
    /// Transactions happen in order: none before this moment.
    pub(crate) vault_free: u64,
    pub(crate) foreground: bool,
    pub(crate) network: bool,
    pub(crate) partitioned: bool,
    pub(crate) buffering: bool,
    pub(crate) slow: u64,
    pub(crate) asleep_until: u64,
    pub(crate) skew: i64,
    /// Counts what this phone and the server say to each other: each has its own luck.
    pub(crate) packets: u64,
    pub(crate) next_command: u64,
    pub(crate) taps: Vec<Tapped>,
    /// The newest state that this process has shown.
    pub(crate) newest: Version,
    /// What the calls that ring here were pushed from.
    pub(crate) rings: BTreeMap<CallId, Version>,
    /// The calls that rang here and were stopped: over for this phone, for good.
    pub(crate) stopped: BTreeSet<CallId>,
}

impl SimulatedPhone {
    pub(crate) fn new(index: usize, server: &mut Server, token_life: i64) -> Self {
        let device = DeviceId(format!("phone-{}", index + 1));
        let agent = AgentProfile { account: "alice".into(), email: None, name: None };
        let (access, expires_at) = server.token(0, token_life);
        let tokens = TokenSet {
            sign_in: SignInId(index as u64 + 1),
            generation: 1,
            access,
            refresh: server.secret(),
            expires_at,
            session_ends: None,
        };
        let vault = Contents {
            session: Some(StoredSession { agent, tokens, snapshot: None, unsettled: false }),
            metadata: Some(metadata()),
            server_offset: Some(0),
            push_token: Some(server.secret()),
            ..Contents::default()
        };
        Self {
            state: State::new(setup(&device)),
            device,
            life: 0,
            running: false,
            timers: BTreeMap::new(),
            open: BTreeMap::new(),
            vault,
            vault_free: 0,
            foreground: true,
            network: true,
            partitioned: false,
            buffering: false,
            slow: 0,
            asleep_until: 0,
            skew: 0,
            packets: 0,
            next_command: 1,
            taps: Vec::new(),
            newest: Version::default(),
            rings: BTreeMap::new(),
            stopped: BTreeSet::new(),
        }
    }

    pub(crate) fn now(&self, now: u64) -> Timestamp {
        Timestamp { wall: clock(now) + self.skew, mono: now + 1_000 }
    }

    /// The process ends; what is in the vault stays.
    pub(crate) fn dies(&mut self) {
        self.life += 1;
        self.running = false;
        self.state = State::new(setup(&self.device));
        self.timers.clear();
        self.open.clear();
        self.rings.clear();
        self.newest = Version::default();
        for kind in [ChoiceKind::Availability, ChoiceKind::Forwarding] {
            if let Some(tap) = self.newest_tap(kind) {
                tap.died = true;
            }
        }
    }

    /// The newest state that this phone knows, from what it shows and from what it has stored.
    pub(crate) fn knows(&self) -> Option<Version> {
        let stored = self.vault.knowledge.as_ref().and_then(|knowledge| knowledge.routing);
        Some(self.newest).max(stored.map(|routing| routing.version))
    }

    /// The only one of its kind that may be pending.
    pub(crate) fn newest_tap(&mut self, kind: ChoiceKind) -> Option<&mut Tapped> {
        self.taps.iter_mut().rev().find(|tap| tap.is_about(kind))
    }

    pub(crate) fn taps(&mut self, choice: Choice, id: CommandId) {
        if let Some(older) = self.newest_tap(choice.kind()) {
            older.replaced = true;
        }
        self.taps.push(Tapped::new(choice, id));
    }

    /// Notes under which name a tap goes out.
    pub(crate) fn sends(&mut self, call: &ApiCall) {
        let (key, kind) = match call {
            ApiCall::SetAvailability { key, .. } => (key, ChoiceKind::Availability),
            ApiCall::SetForwarding { key, .. } => (key, ChoiceKind::Forwarding),
            ApiCall::FetchState
            | ApiCall::AwaitState { .. }
            | ApiCall::RegisterDevice { .. }
            | ApiCall::SendCode { .. }
            | ApiCall::VerifyNumber { .. }
            | ApiCall::EndSession { .. }
            | ApiCall::Answer { .. }
            | ApiCall::Decline { .. }
            | ApiCall::HangUp { .. }
            | ApiCall::SignOutEverywhere { .. }
            | ApiCall::RenewCallLease { .. } => return,
        };
        if let Some(tap) = self.newest_tap(kind)
            && !tap.keys.contains(key)
        {
            tap.keys.push(key.clone());
        }
    }

    pub(crate) fn vault(&mut self, transaction: Transaction) -> Outcome {
        match transaction {
            Transaction::Load => {
                return Outcome::Loaded { loaded: Box::new(Loaded::Contents(self.vault.clone())) };
            }
            Transaction::BeginRefresh { .. } => {
                if let Some(session) = &mut self.vault.session {
                    session.unsettled = true;
                }
            }
            Transaction::FinishRefresh { tokens } => {
                if let Some(session) = &mut self.vault.session {
                    session.tokens = tokens;
                    session.unsettled = false;
                }
            }
            Transaction::Reread => {
                let tokens = self.vault.session.as_ref().map(|session| session.tokens.clone());
                return Outcome::Reread { tokens };
            }
            Transaction::Remember { knowledge, snapshot, server_offset, anew: _ } => {
                self.vault.knowledge = Some(knowledge);
                self.vault.server_offset = server_offset;
                if let Some(session) = &mut self.vault.session {
                    session.snapshot = snapshot;
                }
            }
            Transaction::SavePushToken { token } => self.vault.push_token = token,
            Transaction::AbandonRefresh { .. }
            | Transaction::SavePending { .. }
            | Transaction::DropPending
            | Transaction::SaveMetadata { .. }
            | Transaction::SignIn { .. }
            | Transaction::SignOut { .. }
            | Transaction::TakeBack { .. }
            | Transaction::Revoked { .. } => {}
        }
        Outcome::Done
    }
}

/// `Date` has whole seconds.
pub(crate) fn date(now: u64) -> Option<UnixMillis> {
    Some(UnixMillis(clock(now).0.div_euclid(1_000) * 1_000))
}

pub(crate) fn metadata() -> ServerMetadata {
    ServerMetadata {
        issuer: ISSUER.into(),
        authorization_endpoint: format!("{ISSUER}/authorize"),
        token_endpoint: format!("{ISSUER}/token"),
        revocation_endpoint: None,
        pushed_authorization_request_endpoint: None,
        require_pushed_authorization_requests: false,
        end_session_endpoint: None,
        jwks_uri: None,
        authorization_response_iss_parameter_supported: true,
        code_challenge_methods_supported: Some(vec!["S256".into()]),
        grant_types_supported: vec![],
    }
}

fn setup(device: &DeviceId) -> Setup {
    Setup {
        issuer: ISSUER.into(),
        client_id: "hookswitch-mobile".into(),
        redirect_uris: vec!["https://app.hookswitch.dev/callback".into()],
        device: device.clone(),
        platform: Platform::Ios,
        profile: IssuerProfile::Unknown,
        session_life: None,
    }
}
