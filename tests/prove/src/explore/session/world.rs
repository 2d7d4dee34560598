//! Two processes, their vault and their issuer, with what must hold after each thing that happens.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use hookswitch::{
    machine::{
        Command, CommandId, EffectId, Effects, Entry, Event, Generation, Outcome, Output, ReauthReason, Request,
        SecretRef, Setup, State, Timer, Timestamp, Transaction, Work,
        effect::LONGEST_REQUEST,
        step,
        view::{SessionHealth, SessionState},
    },
    wire::{ServerMetadata, UnixMillis},
};

use super::{
    super::Broken,
    Act, ISSUER, LIFE,
    issuer::{self, Issuer},
    vault::Vault,
};

/// A refresh that is out.
#[derive(Clone, Debug)]
pub(super) struct Post {
    effect: EffectId,
    token: SecretRef,
    /// The shell gives up then.
    until: u64,
    /// What the issuer said, on its way back.
    pub(super) answer: Option<Outcome>,
}

#[derive(Clone)]
pub(super) struct Process {
    pub(super) running: bool,
    pub(super) state: State,
    pub(super) timers: BTreeMap<Timer, u64>,
    /// Asked of the vault, in order.
    pub(super) asked: VecDeque<(EffectId, Transaction)>,
    /// Said, and not heard yet.
    pub(super) said: VecDeque<(EffectId, Outcome)>,
    pub(super) post: Option<Post>,
    pub(super) next_command: u64,
    /// Commands without a reply.
    pub(super) waiting: Vec<CommandId>,
    /// The newest refresh token that it has held.
    pub(super) newest: u64,
    /// The generation that its last lease is for.
    pub(super) leased: Option<Generation>,
    /// The vault could not take its lease back.
    pub(super) stuck: bool,
    /// The issuer has called this refresh token dead, and it has heard that.
    pub(super) rejected: Option<SecretRef>,
}

/// All of it.
#[derive(Clone)]
pub(in super::super) struct World {
    pub(super) now: u64,
    pub(super) processes: [Arc<Process>; 2],
    pub(super) vault: Vault,
    pub(super) issuer: Issuer,
    /// Faults that may still come.
    pub(super) faults: usize,
    /// The agent may still do that.
    pub(super) sign_outs: usize,
    pub(super) repairs: usize,
    pub(super) asks: usize,
    /// A sign-out was asked for.
    pub(super) signed_out: bool,
    /// An answer with new tokens was lost, and no phone could have helped it.
    pub(super) lost: bool,
    /// The issuer has refused for a reason that is not the token's: it wants the agent, or another app.
    pub(super) refused: bool,
    /// What a step has done that it must not.
    pub(super) wrong: Option<Broken>,
    /// The steps of the last act, if they are recorded.
    pub(super) entries: Vec<(usize, Entry)>,
    pub(super) records: bool,
}

fn metadata() -> ServerMetadata {
    ServerMetadata {
        issuer: ISSUER.into(),
        authorization_endpoint: format!("{ISSUER}/authorize"),
        token_endpoint: format!("{ISSUER}/token"),
        revocation_endpoint: None,
        jwks_uri: None,
        authorization_response_iss_parameter_supported: true,
        code_challenge_methods_supported: Some(vec!["S256".into()]),
        grant_types_supported: vec![],
        pushed_authorization_request_endpoint: None,
        require_pushed_authorization_requests: false,
        end_session_endpoint: None,
    }
}

impl World {
    pub(super) fn new(now: u64, setup: Setup, issuer: Issuer, faults: usize, records: bool) -> Self {
        let process = Arc::new(Process::new(setup));
        Self {
            now,
            processes: [Arc::clone(&process), process],
            vault: Vault::signed_in(now),
            issuer,
            faults,
            sign_outs: 1,
            repairs: 1,
            asks: 3,
            signed_out: false,
            lost: false,
            refused: false,
            wrong: None,
            entries: Vec::new(),
            records,
        }
    }

    const fn timestamp(&self) -> Timestamp {
        Timestamp { wall: UnixMillis(self.now as i64), mono: self.now }
    }

    fn process(&mut self, who: usize) -> &mut Process {
        let [app, extension] = &mut self.processes;
        Arc::make_mut(if who == 0 { app } else { extension })
    }

    pub(super) fn at(&self, who: usize) -> &Process {
        let [app, extension] = &self.processes;
        if who == 0 { app } else { extension }
    }

    pub(super) fn view(&self, who: usize) -> SessionState {
        self.at(who).state.view(self.timestamp()).session
    }

    pub(super) fn event(&mut self, who: usize, event: Event) {
        let now = self.timestamp();
        let recorded = self.records.then(|| event.clone());
        let effects = step(&mut self.process(who).state, event, now);
        if let Some(event) = recorded {
            self.entries.push((who, Entry { now, event, effects: effects.clone() }));
        }
        let Effects { work, output } = effects;
        for output in output {
            let Output::Reply { to, .. } = output else { continue };
            let waiting = &mut self.process(who).waiting;
            let before = waiting.len();
            waiting.retain(|waits| *waits != to);
            if waiting.len() == before {
                self.wrong = Some(format!("process {who} replies twice to {to:?}"));
            }
        }
        for work in work {
            self.carry_out(who, work);
        }
    }

    fn carry_out(&mut self, who: usize, work: Work) {
        let until = self.now + LONGEST_REQUEST;
        match work {
            Work::Send { id, request: Request::Refresh { refresh, .. } } => {
                if let Err(broken) = self.may_send(who, refresh) {
                    self.wrong = Some(broken);
                }
                self.process(who).post = Some(Post { effect: id, token: refresh, until, answer: None });
            }
            Work::Store { id, transaction } => self.process(who).asked.push_back((id, transaction)),
            Work::Send { id, request: Request::Discover } => {
                self.process(who).said.push_back((id, Outcome::Metadata { metadata: metadata() }));
            }
            Work::Send { id, request: Request::Revoke { .. } } => {
                self.process(who).said.push_back((id, Outcome::Done));
            }
            // This world has no server but the issuer.
            Work::Send {
                id,
                request: Request::Api { .. } | Request::ExchangeCode { .. } | Request::PushLogin { .. },
            } => {
                self.process(who).said.push_back((id, Outcome::NotSent { cause: "no server".into() }));
            }
            Work::SetTimer { timer, at } => {
                self.process(who).timers.insert(timer, at);
            }
            Work::CancelTimer { timer } => {
                self.process(who).timers.remove(&timer);
            }
            Work::OpenStream { .. } | Work::CloseStream { .. } => {}
        }
    }

    pub(super) fn command(&mut self, who: usize, command: Command) {
        let process = self.process(who);
        let id = CommandId(process.next_command);
        process.next_command += 1;
        process.waiting.push(id);
        self.event(who, Event::Command { id, command });
    }

    pub(super) fn due(&self, who: usize) -> Option<Timer> {
        let mut timers: Vec<_> = self.at(who).timers.iter().filter(|(_, at)| **at <= self.now).collect();
        timers.sort_by_key(|(_, at)| **at);
        timers.first().map(|(timer, _)| (*timer).clone())
    }

    /// The next moment at which something can be due, or at which it is nearly too late for something.
    pub(super) fn next_moment(&self) -> Option<u64> {
        let running = || self.processes.iter().filter(|it| it.running);
        let timers = running().flat_map(|it| it.timers.values().copied());
        let posts = running().filter_map(|it| it.post.as_ref()).map(|post| post.until);
        let lease = self.vault.lease_until();
        let nearly = lease.map(|until| until - 1);
        timers.chain(posts).chain(lease).chain(nearly).filter(|at| *at > self.now).min()
    }

    /// Somebody has the newest refresh token, or will.
    fn newest_is_known(&self) -> bool {
        let newest = self.issuer.newest();
        let holds = |process: &Arc<Process>| {
            let post = process.post.as_ref().and_then(|post| post.answer.as_ref());
            let said = process.said.iter().map(|(_, outcome)| outcome).chain(post);
            process.running
                && (process.state.secrets().contains(&newest)
                    || said.into_iter().any(|outcome| grants(outcome) == Some(newest))
                    || process.asked.iter().any(|(_, asked)| stores(asked) == Some(newest)))
        };
        self.vault.refresh() == Some(newest) || self.processes.iter().any(holds)
    }

    /// A refresh token goes out: once a generation, unless nobody knows what became of it, and by who holds the lease.
    fn may_send(&self, who: usize, token: SecretRef) -> Result<(), Broken> {
        let (process, other) = (self.at(who), self.at(1 - who));
        let sends = format!("process {who} sends {token:?}");
        match self.vault.lease_of(who) {
            Some((false, until)) if self.now + LONGEST_REQUEST <= until => {}
            Some((false, _)) => return Err(format!("{sends}, and may wait for the answer when its lease is over")),
            // The other one has signed out since it was granted: nobody needs that token any more.
            None if self.vault.generation().is_none() => return Ok(()),
            Some((true, _)) | None => return Err(format!("{sends} without a lease")),
        }
        if self.vault.generation() != process.leased {
            return Err(format!("{sends} for generation {:?}: {:?}", process.leased, self.vault.generation()));
        }
        if other.running && other.post.is_some() {
            return Err(format!("{sends} while the other one's request is out"));
        }
        if self.issuer.has_replaced(token) && self.issuer.was_heard(token) {
            return Err(format!("{sends}, which was replaced, and the answer was heard"));
        }
        if process.rejected == Some(token) {
            return Err(format!("{sends}, which it knows to be dead"));
        }
        Ok(())
    }

    /// What must hold in every state.
    pub(super) fn invariants(&self) -> Result<(), Broken> {
        if let Some(broken) = &self.wrong {
            return Err(broken.clone());
        }
        for who in (0..2).filter(|who| self.at(*who).running) {
            self.is_right(who)?;
        }
        Ok(())
    }

    fn is_right(&self, who: usize) -> Result<(), Broken> {
        let process = self.at(who);
        let secrets = process.state.secrets();
        match self.view(who) {
            // Who refuses without ending the session may change their mind: those tokens are kept, on purpose.
            SessionState::ReauthRequired { reason: ReauthReason::Refused, .. } if self.refused => {}
            // (A sign-out that is not in the vault yet holds what is to be revoked.)
            SessionState::SignedOut { .. } | SessionState::ReauthRequired { .. } if !secrets.is_empty() => {
                return Err(format!("process {who} is signed out, and holds {secrets:?}"));
            }
            SessionState::SignedOut { .. } | SessionState::SigningOut if !self.signed_out => {
                return Err(format!("process {who} is signed out, and nobody asked for that"));
            }
            SessionState::ReauthRequired { reason, .. } => self.is_right_to_ask(who, reason)?,
            SessionState::Loading
            | SessionState::Locked
            | SessionState::SignedOut { .. }
            | SessionState::SigningIn { .. }
            | SessionState::SignedIn { .. }
            | SessionState::SigningOut => {}
        }
        let held = secrets.iter().filter_map(|secret| issuer::number_of_refresh(*secret)).max();
        if held.is_some_and(|held| held < process.newest) {
            return Err(format!("process {who} had refresh token {}, and has {held:?} now", process.newest));
        }
        let is_idle = process.asked.is_empty() && process.said.is_empty() && process.post.is_none();
        match self.vault.lease_of(who) {
            Some((false, until)) if is_idle && !process.stuck && until > self.now => {
                Err(format!("process {who} is idle, and keeps the lease"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Nobody is asked to sign in again but when the issuer said so, or when the only copy of the newest token is lost.
    fn is_right_to_ask(&self, who: usize, why: ReauthReason) -> Result<(), Broken> {
        let is_right = match why {
            ReauthReason::Refused => self.refused,
            ReauthReason::RotationLost | ReauthReason::Revoked | ReauthReason::Expired => {
                self.issuer.was_ended() || (self.lost && !(self.issuer.lives() && self.newest_is_known()))
            }
        };
        if is_right {
            return Ok(());
        }
        Err(format!("process {who} asks for a new sign-in ({why:?}), and the issuer has the session still"))
    }

    fn commit(&mut self, who: usize) -> Result<(), Broken> {
        let now = self.now;
        let Some((id, transaction)) = self.process(who).asked.pop_front() else { return Ok(()) };
        let (before, refresh) = (self.vault.generation(), self.vault.refresh());
        let outcome = self.vault.carry_out(who, &transaction, now, &metadata());
        let process = self.process(who);
        if let (Transaction::BeginRefresh { generation, .. }, Outcome::Done) = (&transaction, &outcome) {
            process.leased = Some(*generation);
            process.stuck = false;
        }
        process.said.push_back((id, outcome));
        match (before, self.vault.generation()) {
            (Some(before), Some(after)) if after < before || (after == before && self.vault.refresh() != refresh) => {
                return Err(format!("generation {before} in the vault was overwritten by {after}"));
            }
            (None, Some(_)) => return Err("a session came back into the vault after a sign-out".into()),
            (Some(_) | None, _) => {}
        }
        // What was lost for all others is there again.
        if let Some(token) = stores(&transaction).filter(|token| self.vault.refresh() == Some(*token)) {
            self.issuer.heard(token);
        }
        Ok(())
    }

    fn fail_to_commit(&mut self, who: usize) {
        let Some((id, transaction)) = self.process(who).asked.pop_front() else { return };
        self.process(who).said.push_back((id, Outcome::StorageFailed { cause: "disk full".into() }));
        if stores(&transaction).is_some() {
            // In one memory only: the other process cannot know.
            (self.lost, self.process(who).stuck) = (true, true);
            self.issuer.was_not_kept();
        }
        // Who has a lease and cannot take a new one in its place has it still.
        let about_lease = matches!(
            transaction,
            Transaction::BeginRefresh { .. } | Transaction::AbandonRefresh { .. } | Transaction::SignOut { .. }
        );
        self.process(who).stuck |= about_lease;
    }

    fn kill(&mut self, who: usize, setup: Setup) {
        let process = self.process(who);
        let answers = process.said.iter().map(|(_, said)| said);
        let answers = answers.chain(process.post.as_ref().and_then(|post| post.answer.as_ref()));
        let lost =
            answers.filter_map(grants).count() > 0 || process.asked.iter().any(|(_, asked)| stores(asked).is_some());
        *process = Process::new(setup);
        if lost {
            self.lost = true;
            self.issuer.was_not_kept();
        }
    }

    /// Lets it happen, and says what does not hold afterwards.
    pub(super) fn apply(&mut self, act: Act, setup: &Setup) -> Result<(), Broken> {
        self.happen(act, setup)?;
        self.invariants()
    }

    fn happen(&mut self, act: Act, setup: &Setup) -> Result<(), Broken> {
        let now = self.now;
        let unreachable = || Outcome::Unreachable { cause: "timed out".into() };
        match act {
            Act::Start(who) => {
                self.process(who).running = true;
                self.vault.started(who);
                self.event(who, Event::Started { seed: 7 });
            }
            Act::Kill(who) => self.kill(who, setup.clone()),
            Act::Commit(who) => self.commit(who)?,
            Act::FailToCommit(who) => self.fail_to_commit(who),
            Act::Hear(who) => self.hear(who),
            Act::Reach(who) => {
                let token = self.at(who).post.as_ref().map(|post| post.token);
                let answer = token.map(|token| self.issuer.refresh(token, now));
                if let Some(post) = &mut self.process(who).post {
                    post.answer = answer;
                }
            }
            Act::NotSent(who) => self.end_post(who, Outcome::NotSent { cause: "no network".into() }),
            Act::LoseBefore(who) | Act::LoseAfter(who) => self.end_post(who, unreachable()),
            Act::Unavailable(who) => self.end_post(who, Outcome::Unavailable { status: 503, retry_after: None }),
            Act::Refuse(who, error) => {
                self.refused |= error != "invalid_request";
                self.end_post(who, Outcome::OAuthError { error: error.into(), description: None });
            }
            Act::Answer(who) => {
                if let Some(answer) = self.process(who).post.as_mut().and_then(|post| post.answer.take()) {
                    self.end_post(who, answer);
                }
            }
            Act::Ask(who) => {
                self.asks -= 1;
                self.command(who, Command::AccessToken);
            }
            Act::SignOut(who) => {
                self.sign_outs -= 1;
                self.signed_out = true;
                self.command(who, Command::SignOut);
            }
            Act::Repair(who) => {
                self.repairs -= 1;
                self.command(who, Command::Repair);
            }
            Act::GoOff(who) => {
                if let Some(timer) = self.due(who) {
                    self.process(who).timers.remove(&timer);
                    self.event(who, Event::Timer { timer });
                }
            }
            Act::End => self.issuer.end(),
            Act::Wait => {
                self.now = self.next_moment().unwrap_or(now + LIFE);
                for who in 0..2 {
                    if self.at(who).post.as_ref().is_some_and(|post| post.until <= self.now) {
                        self.end_post(who, unreachable());
                    }
                }
            }
        }
        self.faults -= usize::from(act.is_a_fault());
        for who in 0..2 {
            let secrets = self.at(who).state.secrets();
            if let Some(held) = secrets.iter().filter_map(|secret| issuer::number_of_refresh(*secret)).max()
                && held > self.at(who).newest
            {
                self.process(who).newest = held;
            }
        }
        Ok(())
    }

    fn hear(&mut self, who: usize) {
        let Some((effect, outcome)) = self.process(who).said.pop_front() else { return };
        let granted = grants(&outcome);
        self.event(who, Event::Completed { effect, server_time: None, outcome });
        // Whoever has signed out meanwhile has no use for it, and nobody else hears of it.
        match granted {
            Some(token) if self.at(who).state.secrets().contains(&token) => self.issuer.heard(token),
            Some(_) => self.lost = true,
            None => {}
        }
    }

    /// The request is over, and this is what the process will hear of it.
    fn end_post(&mut self, who: usize, outcome: Outcome) {
        let Some(post) = self.process(who).post.take() else { return };
        self.lost |= post.answer.as_ref().and_then(grants).is_some();
        if matches!(&outcome, Outcome::OAuthError { error, .. } if error == "invalid_grant") {
            self.process(who).rejected = Some(post.token);
        }
        self.process(who).said.push_back((post.effect, outcome));
    }

    /// What happens when everything goes well, or nothing is left to happen.
    pub(super) fn kind_act(&self) -> Option<Act> {
        for who in 0..2 {
            let process = self.at(who);
            if !process.running {
                return Some(Act::Start(who));
            }
            if !process.said.is_empty() {
                return Some(Act::Hear(who));
            }
            if !process.asked.is_empty() {
                return Some(Act::Commit(who));
            }
            match &process.post {
                Some(Post { answer: Some(_), .. }) => return Some(Act::Answer(who)),
                Some(Post { answer: None, .. }) => return Some(Act::Reach(who)),
                None => {}
            }
            if self.due(who).is_some() {
                return Some(Act::GoOff(who));
            }
        }
        None
    }

    pub(super) fn is_settled(&self, who: usize) -> bool {
        match self.view(who) {
            SessionState::SignedIn { health: SessionHealth::Fresh, .. } => self.at(who).waiting.is_empty(),
            SessionState::SignedOut { .. } | SessionState::ReauthRequired { .. } => true,
            SessionState::SignedIn { .. }
            | SessionState::Loading
            | SessionState::Locked
            | SessionState::SigningIn { .. }
            | SessionState::SigningOut => false,
        }
    }
}

impl Process {
    fn new(setup: Setup) -> Self {
        Self {
            running: false,
            state: State::new(setup),
            timers: BTreeMap::new(),
            asked: VecDeque::new(),
            said: VecDeque::new(),
            post: None,
            next_command: 1,
            waiting: Vec::new(),
            newest: 0,
            leased: None,
            stuck: false,
            rejected: None,
        }
    }
}

/// The refresh token that an answer brings.
const fn grants(outcome: &Outcome) -> Option<SecretRef> {
    if let Outcome::Granted { grant } = outcome { grant.refresh } else { None }
}

/// The refresh token that a transaction stores.
const fn stores(transaction: &Transaction) -> Option<SecretRef> {
    if let Transaction::FinishRefresh { tokens } = transaction { Some(tokens.refresh) } else { None }
}
