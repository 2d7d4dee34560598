//! A phone for tests: the machine with a vault that works, a server that the test plays, and a clock that it moves.
//!
//! Whatever a test does, the phone watches what must always hold: effects have fresh ids, a command gets at most one reply,
//! no two refreshes are out at once, and no request carries a token after the session is over.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks for the one thing it waits for")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hookswitch_wire::{
    Agent, Availability, Call, CallPush, CallState, Capabilities, Device, Effective, ForwardTo, Forwarding, Platform,
    Presence, PushKind, Role, ServerMetadata, SignedOutReason, Snapshot, StreamEvent, Surface, UnixMillis, Version,
    stream::{Heartbeat, SignedOut},
};

use crate::{
    effect::*,
    event::*,
    running::Purpose,
    state::session::Session,
    step,
    view::{Link, SessionHealth, SessionState},
    *,
};

pub(crate) const ISSUER: &str = "https://id.example.com";
pub(crate) const REDIRECT: &str = "https://app.hookswitch.dev/callback";
pub(crate) const HOUR: u64 = 3_600_000;
/// The wall clock and the server's clock at the start.
pub(crate) const EPOCH: UnixMillis = UnixMillis(1_700_000_000_000);

pub(crate) const STATE: SecretRef = SecretRef(101);
pub(crate) const NONCE: SecretRef = SecretRef(102);
pub(crate) const VERIFIER: SecretRef = SecretRef(103);
pub(crate) const CODE: SecretRef = SecretRef(104);

pub(crate) fn setup() -> Setup {
    Setup {
        issuer: ISSUER.into(),
        client_id: "hookswitch-mobile".into(),
        redirect_uris: vec![REDIRECT.into(), "http://127.0.0.1/callback".into()],
        device: "phone-1".into(),
        platform: Platform::Ios,
        profile: IssuerProfile::Unknown,
        session_life: None,
    }
}

pub(crate) fn metadata() -> ServerMetadata {
    ServerMetadata {
        issuer: ISSUER.into(),
        authorization_endpoint: format!("{ISSUER}/authorize"),
        token_endpoint: format!("{ISSUER}/token"),
        revocation_endpoint: Some(format!("{ISSUER}/revoke")),
        pushed_authorization_request_endpoint: None,
        require_pushed_authorization_requests: false,
        end_session_endpoint: None,
        jwks_uri: None,
        authorization_response_iss_parameter_supported: true,
        code_challenge_methods_supported: Some(vec!["S256".into()]),
        grant_types_supported: vec![],
    }
}

pub(crate) fn alice() -> AgentProfile {
    AgentProfile { account: "alice".into(), email: Some("alice@example.com".into()), name: Some("Alice Martin".into()) }
}

/// The tokens of a generation: access token 1000 + n, refresh token 2000 + n.
pub(crate) fn tokens(generation: Generation) -> TokenSet {
    let name = |base| SecretRef(base + generation);
    let expires_at = EPOCH + 3_600_000;
    TokenSet {
        sign_in: SignInId(1),
        generation,
        access: name(1_000),
        refresh: name(2_000),
        expires_at,
        session_ends: None,
    }
}

pub(crate) const fn grant(access: SecretRef, refresh: Option<SecretRef>, expires_in: Option<u64>) -> Grant {
    Grant { access, refresh, expires_in, session_life: None, claims: None }
}

/// The token endpoint grants a generation for an hour.
pub(crate) fn granted(generation: Generation) -> Outcome {
    let TokenSet { access, refresh, .. } = tokens(generation);
    Outcome::Granted { grant: grant(access, Some(refresh), Some(3_600)) }
}

pub(crate) fn claims() -> Claims {
    Claims {
        iss: ISSUER.into(),
        aud: vec!["hookswitch-mobile".into()],
        sub: "alice".into(),
        azp: None,
        nonce: Some(NONCE),
        iat: EPOCH.0 / 1_000,
        exp: EPOCH.0 / 1_000 + 24 * 3_600,
        email: Some("alice@example.com".into()),
        name: Some("Alice Martin".into()),
    }
}

/// The token endpoint answers a code.
pub(crate) fn login_granted(claims: Claims) -> Outcome {
    let TokenSet { access, refresh, .. } = tokens(1);
    Outcome::Granted { grant: Grant { claims: Some(claims), ..grant(access, Some(refresh), Some(3_600)) } }
}

pub(crate) fn redirect() -> Redirect {
    Redirect {
        target: REDIRECT.into(),
        state: Some(STATE),
        code: Some(CODE),
        iss: Some(ISSUER.into()),
        error: None,
        error_description: None,
        repeated: false,
    }
}

/// The agent's state at a revision: available, nothing forwarded, no call, this phone registered.
pub(crate) fn state(rev: u64) -> Box<Snapshot> {
    Box::new(Snapshot {
        version: Version::new(1, rev),
        agent: Agent {
            account: "alice".into(),
            email: "alice@example.com".into(),
            name: "Alice Martin".into(),
            role: Role::Agent,
        },
        presence: Presence {
            availability: Availability::Available,
            forwarding: Forwarding::default(),
            call_leases: vec![],
            chosen: None,
            effective: Effective::Available,
        },
        calls: vec![],
        devices: vec![Device {
            id: "phone-1".into(),
            name: "Alice's iPhone".into(),
            platform: Some(Platform::Ios),
            app_version: "1".into(),
            capabilities: Capabilities::default(),
            cannot_ring: None,
            last_seen: EPOCH,
        }],
        sessions: vec![],
        notices: vec![],
        at: EPOCH,
        trace: None,
    })
}

pub(crate) fn state_with(rev: u64, change: impl FnOnce(&mut Snapshot)) -> Box<Snapshot> {
    let mut state = state(rev);
    change(&mut state);
    state
}

pub(crate) fn forward_to() -> ForwardTo {
    ForwardTo { number: "+33612345678".parse().unwrap(), until: None }
}

pub(crate) fn forwarding(rev: u64) -> Box<Snapshot> {
    state_with(rev, |state| {
        state.presence.forwarding =
            Forwarding { number: Some("+33612345678".parse().unwrap()), rev, ..Forwarding::default() };
    })
}

/// A state with a call.
pub(crate) fn with_call(rev: u64, call_id: &str, call: CallState) -> Box<Snapshot> {
    state_with(rev, |state| {
        state.calls.push(Call {
            call_id: call_id.into(),
            from: None,
            from_name: None,
            state: call,
            started_at: EPOCH,
            expires_at: EPOCH + 30_000,
            forwarded_to: None,
        });
    })
}

pub(crate) fn here() -> CallState {
    CallState::Answered { by: Surface::Mobile { device: "phone-1".into() } }
}

pub(crate) fn elsewhere() -> CallState {
    CallState::Answered { by: Surface::Desktop }
}

/// A push for a call that rings for 30 s, made from the state of a revision.
pub(crate) fn push(call_id: &str, rev: u64) -> CallPush {
    CallPush {
        kind: PushKind::Incoming,
        call_id: call_id.into(),
        account: "alice".into(),
        expires_at: EPOCH + 30_000,
        routing: Version::new(1, rev),
        forwarding_on: false,
        from: Some("+14155550123".parse().unwrap()),
        from_name: Some("A Customer".into()),
    }
}

pub(crate) fn stop(call_id: &str, kind: PushKind) -> CallPush {
    CallPush { kind, ..push(call_id, 1) }
}

pub(crate) fn not_sent() -> Outcome {
    Outcome::NotSent { cause: "connection refused".into() }
}

pub(crate) fn unreachable() -> Outcome {
    Outcome::Unreachable { cause: "no route".into() }
}

pub(crate) fn unavailable(status: u16) -> Outcome {
    Outcome::Unavailable { status, retry_after: None }
}

pub(crate) fn captive_portal() -> Outcome {
    Outcome::Unintelligible { status: 200, cause: "HTML".into(), page: true }
}

pub(crate) fn refused(status: u16, code: &str) -> Outcome {
    Outcome::Refused { status, code: code.into(), detail: None, current: None }
}

pub(crate) fn stale(current: Box<Snapshot>) -> Outcome {
    Outcome::Refused { status: 412, code: "stale".into(), detail: None, current: Some(current) }
}

pub(crate) fn oauth_error(error: &str) -> Outcome {
    Outcome::OAuthError { error: error.into(), description: None }
}

pub(crate) fn is_state(snapshot: Box<Snapshot>) -> Outcome {
    Outcome::State { snapshot }
}

// What a request is.

pub(crate) fn whatever(_: &Request) -> bool {
    true
}
pub(crate) fn discover(request: &Request) -> bool {
    matches!(request, Request::Discover)
}
pub(crate) fn exchange(request: &Request) -> bool {
    matches!(request, Request::ExchangeCode { .. })
}
pub(crate) fn push_login(request: &Request) -> bool {
    matches!(request, Request::PushLogin { .. })
}
pub(crate) fn refresh(request: &Request) -> bool {
    matches!(request, Request::Refresh { .. })
}
pub(crate) fn revoke(request: &Request) -> bool {
    matches!(request, Request::Revoke { .. })
}
pub(crate) fn api(request: &Request) -> bool {
    matches!(request, Request::Api { .. })
}
pub(crate) fn register(request: &Request) -> bool {
    matches!(request, Request::Api { call: ApiCall::RegisterDevice { .. }, .. })
}
pub(crate) fn fetch(request: &Request) -> bool {
    matches!(request, Request::Api { call: ApiCall::FetchState, .. })
}
pub(crate) fn tap(request: &Request) -> bool {
    matches!(request, Request::Api { call: ApiCall::SetAvailability { .. } | ApiCall::SetForwarding { .. }, .. })
}
pub(crate) fn everywhere(request: &Request) -> bool {
    matches!(request, Request::Api { call: ApiCall::SignOutEverywhere { .. }, .. })
}
pub(crate) fn answer_call(request: &Request) -> bool {
    matches!(request, Request::Api { call: ApiCall::Answer { .. }, .. })
}
pub(crate) fn decline_call(request: &Request) -> bool {
    matches!(request, Request::Api { call: ApiCall::Decline { .. }, .. })
}
pub(crate) fn hang_up_call(request: &Request) -> bool {
    matches!(request, Request::Api { call: ApiCall::HangUp { .. }, .. })
}
pub(crate) fn lease(request: &Request) -> bool {
    matches!(request, Request::Api { call: ApiCall::RenewCallLease { .. }, .. })
}

impl Session {
    /// As the drawing in README.md names it.
    const fn name(&self) -> &'static str {
        match self {
            Self::Loading => "Loading",
            Self::Locked => "Locked",
            Self::SignedOut { .. } => "SignedOut",
            Self::SigningIn { .. } => "SigningIn",
            Self::SignedIn(_) => "SignedIn",
            Self::ReauthRequired { .. } => "ReauthRequired",
            Self::SigningOut { .. } => "SigningOut",
        }
    }
}

#[derive(Clone)]
pub(crate) struct TestPhone {
    pub(crate) state: State,
    pub(crate) now: Timestamp,
    /// Requests that the test has not answered.
    pub(crate) open: BTreeMap<EffectId, Request>,
    /// Transactions that the vault has not answered, when the test holds it back.
    pub(crate) held: BTreeMap<EffectId, Transaction>,
    pub(crate) timers: BTreeMap<Timer, u64>,
    pub(crate) stream: Option<(EffectId, SecretRef)>,
    pub(crate) replies: BTreeMap<CommandId, Result<Reply, Failure>>,
    pub(crate) commands: BTreeSet<CommandId>,
    /// All effects since the last [`TestPhone::forget_history`].
    pub(crate) history: Effects,
    /// From which state of the session to which other one.
    pub(crate) transitions: BTreeSet<(&'static str, &'static str)>,
    /// All steps, for transcripts.
    pub(crate) entries: Vec<Entry>,
    last_effect: EffectId,
    /// The secrets that a shell would have now: all others it has wiped.
    known_secrets: BTreeSet<SecretRef>,
    needed_secrets: BTreeMap<EffectId, Vec<SecretRef>>,

    // How the vault behaves.
    pub(crate) holds_storage: bool,
    pub(crate) storage_fails: bool,
    pub(crate) contents: Loaded,
    /// Answers to the next leases; then each is granted.
    pub(crate) leases: VecDeque<Outcome>,
    /// What a re-read finds; `None`: nothing newer than what the phone has.
    pub(crate) elsewhere: Option<TokenSet>,
}

impl TestPhone {
    // ---- where a story begins ----------------------------------------------------------------------------------

    pub(crate) fn new(contents: Contents) -> Self {
        Self {
            state: State::new(setup()),
            now: Timestamp { wall: EPOCH, mono: 1_000 },
            open: BTreeMap::new(),
            held: BTreeMap::new(),
            timers: BTreeMap::new(),
            stream: None,
            replies: BTreeMap::new(),
            commands: BTreeSet::new(),
            history: Effects::default(),
            transitions: BTreeSet::new(),
            entries: vec![],
            last_effect: EffectId(0),
            known_secrets: BTreeSet::new(),
            needed_secrets: BTreeMap::new(),
            holds_storage: false,
            storage_fails: false,
            contents: Loaded::Contents(contents),
            leases: VecDeque::new(),
            elsewhere: None,
        }
    }

    pub(crate) fn started(mut self) -> Self {
        self.event(Event::Started { seed: 7 });
        self
    }

    /// In the foreground, and nobody is signed in.
    pub(crate) fn signed_out() -> Self {
        let mut phone = Self::new(Contents::default()).started();
        phone.event(Event::Foreground);
        phone
    }

    /// Woken in the background, with the session of an earlier process.
    pub(crate) fn woken() -> Self {
        Self::new(Self::contents_of_alice()).started()
    }

    /// The process has started and has not read its vault.
    pub(crate) fn loading(contents: Loaded) -> Self {
        let mut phone = Self::new(Contents::default());
        phone.contents = contents;
        phone.holds_storage = true;
        phone.started()
    }

    pub(crate) fn contents_of_alice() -> Contents {
        Contents {
            session: Some(StoredSession { agent: alice(), tokens: tokens(1), snapshot: None, unsettled: false }),
            metadata: Some(metadata()),
            server_offset: Some(0),
            ..Contents::default()
        }
    }

    /// In the foreground, signed in, registered, hearing the server, at revision 1.
    pub(crate) fn signed_in() -> Self {
        let mut phone = Self::woken();
        phone.event(Event::Foreground);
        phone.answer_with_time(register, is_state(state(1)));
        phone.hears(state(1));
        phone.forget_history();
        assert_eq!(phone.health(), SessionHealth::Fresh);
        assert_eq!(phone.view().link, Link::Live);
        phone
    }

    /// As [`TestPhone::signed_in`], then left alone in the background.
    pub(crate) fn in_background() -> Self {
        let mut phone = Self::signed_in();
        phone.event(Event::Background);
        phone.advance(BACKGROUND_GRACE);
        phone.forget_history();
        phone
    }

    // ---- what happens ------------------------------------------------------------------------------------------

    pub(crate) fn event(&mut self, event: Event) {
        if let Event::Command { id, .. } = &event {
            self.commands.insert(*id);
        }
        if let Event::Timer { timer } = &event
            && self.timers.get(timer).is_some_and(|at| *at <= self.now.mono)
        {
            self.timers.remove(timer);
        }
        let before = self.state.session.name();
        let effects = step(&mut self.state, event.clone(), self.now);
        let after = self.state.session.name();
        if before != after {
            self.transitions.insert((before, after));
        }
        self.keep_secrets(&event, &effects);
        self.entries.push(Entry { now: self.now, event, effects: effects.clone() });
        for output in effects.output {
            self.hears_output(output);
        }
        for work in effects.work {
            self.carry_out(work);
        }
        self.watch();
        self.vault_answers();
    }

    /// Does with secrets what the shell does, and watches that it never wipes one that an effect needs.
    fn keep_secrets(&mut self, event: &Event, effects: &Effects) {
        self.known_secrets.extend(event.secrets());
        if let Some(ended) = event.ends() {
            self.needed_secrets.remove(&ended);
        }
        let replies = effects.output.iter().filter_map(|output| match output {
            Output::Reply { reply: Ok(reply), .. } => Some(reply.secrets()),
            _ => None,
        });
        for secret in replies.chain(effects.work.iter().map(Work::secrets)).flatten() {
            assert!(self.known_secrets.contains(&secret), "{secret:?} was wiped, and is needed for {effects:?}");
        }
        for work in &effects.work {
            if let Some(id) = work.id() {
                self.needed_secrets.insert(id, work.secrets());
            }
            if let Work::CloseStream { id } = work {
                self.needed_secrets.remove(id);
            }
        }
        self.known_secrets = self.state.secrets();
        self.known_secrets.extend(self.needed_secrets.values().flatten());
    }

    fn carry_out(&mut self, work: Work) {
        self.history.work.push(work.clone());
        match work {
            Work::Send { id, request } => {
                self.is_fresh(id);
                if let Request::Api { access, .. } = &request {
                    self.may_use(*access);
                }
                self.open.insert(id, request);
            }
            Work::Store { id, transaction } => {
                self.is_fresh(id);
                self.held.insert(id, transaction);
            }
            Work::OpenStream { id, access, .. } => {
                self.is_fresh(id);
                self.may_use(access);
                assert_eq!(self.stream, None, "two streams");
                self.stream = Some((id, access));
            }
            Work::CloseStream { id } => {
                let closed = self.stream.take();
                assert_eq!(closed.map(|(open, _)| open), Some(id), "closes what is not open");
            }
            Work::SetTimer { timer, at } => {
                self.timers.insert(timer, at);
            }
            Work::CancelTimer { timer } => {
                assert!(self.timers.remove(&timer).is_some(), "cancels {timer:?}, which is not set");
            }
        }
    }

    fn hears_output(&mut self, output: Output) {
        self.history.output.push(output.clone());
        match output {
            Output::Reply { to, reply } => {
                assert!(self.commands.contains(&to), "a reply to nobody: {to:?}");
                assert!(self.replies.insert(to, reply).is_none(), "two replies to {to:?}");
            }
            Output::Decided { .. } | Output::StopRinging { .. } => {}
        }
    }

    fn is_fresh(&mut self, id: EffectId) {
        assert!(id > self.last_effect, "{id:?} was used before");
        self.last_effect = id;
    }

    /// A request may carry the token of the session that is, and of no other.
    fn may_use(&self, access: SecretRef) {
        let Session::SignedIn(session) = &self.state.session else {
            panic!("a request carries {access:?} while nobody is signed in");
        };
        assert_eq!(access, session.tokens.access);
    }

    fn watch(&self) {
        // (One that nobody wants any more, after a sign-out, only waits to be taken back.)
        let is_wanted = |id| self.state.in_flight.get(id).is_some_and(|running| running.purpose == Purpose::Refresh);
        let refreshes = self.open.iter().filter(|(id, request)| refresh(request) && is_wanted(id)).count();
        assert!(refreshes <= 1, "{refreshes} refreshes at once");
        assert_eq!(self.timers, self.state.timers, "the shell and the machine disagree about timers");
    }

    fn vault_answers(&mut self) {
        while !self.holds_storage
            && let Some((id, transaction)) = self.held.pop_first()
        {
            let outcome = self.vault(&transaction);
            self.event(Event::Completed { effect: id, server_time: None, outcome });
        }
    }

    pub(crate) fn vault(&mut self, transaction: &Transaction) -> Outcome {
        if self.storage_fails {
            return Outcome::StorageFailed { cause: "disk full".into() };
        }
        match transaction {
            Transaction::Load => Outcome::Loaded { loaded: Box::new(self.contents.clone()) },
            Transaction::BeginRefresh { .. } => self.leases.pop_front().unwrap_or(Outcome::Done),
            Transaction::Reread => {
                let mine = match &self.state.session {
                    Session::SignedIn(session) => Some(session.tokens.clone()),
                    _ => None,
                };
                Outcome::Reread { tokens: self.elsewhere.clone().or(mine) }
            }
            Transaction::SignOut { .. } | Transaction::TakeBack { .. } => {
                let revocations = vec![RevocationId(1)];
                let contents = Contents { revocations, metadata: Some(metadata()), ..Contents::default() };
                Outcome::Loaded { loaded: Box::new(Loaded::Contents(contents)) }
            }
            _ => Outcome::Done,
        }
    }

    /// The vault, held back so far, answers now.
    pub(crate) fn release_storage(&mut self) {
        self.holds_storage = false;
        self.vault_answers();
    }

    pub(crate) fn command(&mut self, command: Command) -> CommandId {
        let id = CommandId(self.commands.len() as u64 + 1);
        self.event(Event::Command { id, command });
        id
    }

    pub(crate) fn begins_login(&mut self) -> CommandId {
        self.begins_login_with(STATE)
    }

    pub(crate) fn begins_login_with(&mut self, state: SecretRef) -> CommandId {
        let redirect_uri = REDIRECT.into();
        self.command(Command::BeginLogin { hint: None, redirect_uri, state, nonce: NONCE, verifier: VERIFIER })
    }

    pub(crate) fn comes_back_with(&mut self, redirect: Redirect) -> CommandId {
        self.command(Command::FinishLogin { redirect })
    }

    pub(crate) fn taps(&mut self, availability: Availability) -> CommandId {
        self.command(Command::SetAvailability { availability })
    }

    /// Answers the oldest open request of a kind.
    #[track_caller]
    pub(crate) fn answer(&mut self, what: fn(&Request) -> bool, outcome: Outcome) {
        self.answer_at(what, outcome, None);
    }

    /// As [`Self::answer`], by a server that says what time it is: the same as the phone's.
    #[track_caller]
    pub(crate) fn answer_with_time(&mut self, what: fn(&Request) -> bool, outcome: Outcome) {
        self.answer_at(what, outcome, Some(self.now.wall));
    }

    #[track_caller]
    fn answer_at(&mut self, what: fn(&Request) -> bool, outcome: Outcome, server_time: Option<UnixMillis>) {
        let found = self.open.iter().find(|(_, request)| what(request)).map(|(id, _)| *id);
        let Some(effect) = found else { panic!("no such request is open: {:?}", self.open) };
        self.open.remove(&effect);
        self.event(Event::Completed { effect, server_time, outcome });
    }

    /// The stream says something.
    #[track_caller]
    pub(crate) fn news(&mut self, news: StreamNews) {
        let (effect, _) = self.stream.expect("no stream is open");
        // One that ended by itself need not be closed; one that the machine closes is.
        self.event(Event::Stream { effect, news });
    }

    #[track_caller]
    pub(crate) fn hears(&mut self, snapshot: Box<Snapshot>) {
        self.news(StreamNews::Event { event: StreamEvent::State(snapshot) });
    }

    #[track_caller]
    pub(crate) fn hears_heartbeat(&mut self) {
        let at = self.now.wall;
        self.news(StreamNews::Event { event: StreamEvent::Heartbeat(Heartbeat { at }) });
    }

    #[track_caller]
    pub(crate) fn is_signed_out_remotely(&mut self, reason: SignedOutReason) {
        self.news(StreamNews::Event { event: StreamEvent::SignedOut(SignedOut { reason }) });
    }

    #[track_caller]
    pub(crate) fn stream_closes(&mut self, outcome: Outcome) {
        self.news(StreamNews::Closed { outcome });
    }

    pub(crate) fn gets(&mut self, push: CallPush) -> Verdict {
        self.event(Event::Push { push, must_report: true });
        match self.history.output.iter().rev().find_map(|effect| match effect {
            Output::Decided { decision } => Some(decision.verdict),
            _ => None,
        }) {
            Some(verdict) => verdict,
            None => panic!("a push without a decision"),
        }
    }

    /// Time passes; timers go off as they are due.
    pub(crate) fn advance(&mut self, millis: u64) {
        let end = self.now.mono + millis;
        while let Some((at, timer)) =
            self.timers.iter().map(|(timer, at)| (*at, timer.clone())).min().filter(|(at, _)| *at <= end)
        {
            self.pass(at.saturating_sub(self.now.mono));
            self.event(Event::Timer { timer });
        }
        self.pass(end - self.now.mono);
    }

    /// Time passes while the phone sleeps: no timer goes off.
    pub(crate) fn pass(&mut self, millis: u64) {
        self.now.mono += millis;
        self.now.wall += i64::try_from(millis).unwrap();
    }

    // ---- what can be seen --------------------------------------------------------------------------------------

    pub(crate) fn forget_history(&mut self) {
        self.history = Effects::default();
    }

    pub(crate) fn view(&self) -> AppState {
        self.state.view(self.now)
    }

    #[track_caller]
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.state.snapshot().cloned().unwrap()
    }

    pub(crate) fn health(&self) -> SessionHealth {
        match self.view().session {
            SessionState::SignedIn { health, .. } => health,
            other => panic!("not signed in: {other:?}"),
        }
    }

    pub(crate) fn is_signed_in(&self) -> bool {
        matches!(self.view().session, SessionState::SignedIn { .. })
    }

    pub(crate) fn requests(&self) -> Vec<&Request> {
        self.history
            .work
            .iter()
            .filter_map(|effect| match effect {
                Work::Send { request, .. } => Some(request),
                _ => None,
            })
            .collect()
    }

    /// How many requests of a kind were sent.
    pub(crate) fn sent(&self, what: fn(&Request) -> bool) -> usize {
        self.requests().into_iter().filter(|request| what(request)).count()
    }

    /// How many transactions of a kind were begun.
    pub(crate) fn stored(&self, what: impl Fn(&Transaction) -> bool) -> usize {
        self.history
            .work
            .iter()
            .filter(|effect| matches!(effect, Work::Store { transaction, .. } if what(transaction)))
            .count()
    }

    pub(crate) fn stops(&self) -> Vec<(String, StopReason)> {
        self.history
            .output
            .iter()
            .filter_map(|effect| match effect {
                Output::StopRinging { call_id, why } => Some((call_id.to_string(), *why)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn ringing(&self) -> Vec<String> {
        self.view().calls.ringing.into_iter().map(|call| call.call_id.to_string()).collect()
    }

    #[track_caller]
    pub(crate) fn reply_to(&self, id: CommandId) -> &Result<Reply, Failure> {
        self.replies.get(&id).expect("no reply yet")
    }

    pub(crate) fn has_reply(&self, id: CommandId) -> bool {
        self.replies.contains_key(&id)
    }

    #[track_caller]
    pub(crate) fn failure_of(&self, id: CommandId) -> &Failure {
        self.reply_to(id).as_ref().expect_err("it succeeded")
    }

    /// The pending login, as the vault was asked to keep it.
    pub(crate) fn kept_login(&self) -> Option<PendingLogin> {
        self.history.work.iter().rev().find_map(|effect| match effect {
            Work::Store { transaction: Transaction::SavePending { pending, .. }, .. } => Some(pending.clone()),
            _ => None,
        })
    }

    pub(crate) fn knowledge(&self) -> Option<Knowledge> {
        self.history.work.iter().rev().find_map(|effect| match effect {
            Work::Store { transaction: Transaction::Remember { knowledge, .. }, .. } => Some(knowledge.clone()),
            _ => None,
        })
    }
}
