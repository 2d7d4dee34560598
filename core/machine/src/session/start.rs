//! From one process to the next: the vault is read at the start, and what must outlive the process is kept.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use crate::{
    backoff::Backoff,
    effect::Transaction,
    event::Outcome,
    kept::{AgentProfile, Contents, Loaded, PendingLogin, Refusals, SignedOutWhy, TokenSet},
    running::Purpose,
    state::session::{BeforeLogin, Distrust, LoginStage, Refresh, Session, SignedIn},
    step::Step,
    time::ServerClock,
};

impl Step<'_> {
    pub(crate) fn load_if_needed(&mut self) {
        let wanted = matches!(self.state.session, Session::Loading | Session::Locked);
        if wanted && !self.is_in_flight(|purpose| *purpose == Purpose::Load) {
            self.store(Transaction::Load, Purpose::Load);
        }
    }

    pub(crate) fn loaded(&mut self, outcome: Outcome) {
        if !matches!(self.state.session, Session::Loading | Session::Locked) {
            return;
        }
        match outcome {
            Outcome::Loaded { loaded } => match *loaded {
                Loaded::KeyUnavailable { knowledge } | Loaded::KeyFailed { knowledge, cause: _ } => {
                    self.state.session = Session::Locked;
                    self.recall(knowledge);
                }
                Loaded::KeyInvalidated => {
                    self.state.session = Session::SignedOut { why: SignedOutWhy::KeyLost };
                }
                Loaded::Contents(contents) => self.open_with(contents),
            },
            // Storage that fails now may work after an unlock or a restart; nothing is decided, nothing is lost.
            _ => self.state.session = Session::Locked,
        }
        self.judge_again();
        self.tell_all_again();
    }

    fn open_with(&mut self, contents: Contents) {
        let Contents {
            session,
            pending,
            metadata,
            revocations,
            server_offset,
            knowledge,
            signed_out,
            push_token,
            quarantined,
        } = contents;
        self.state.metadata = metadata;
        if self.state.clock.trusted(self.now).is_none() {
            self.state.clock = ServerClock::remembered(server_offset);
        }
        self.state.revocations = revocations;
        self.recall_push_token(push_token);
        let why =
            if quarantined > 0 { SignedOutWhy::StorageCorrupt } else { signed_out.unwrap_or(SignedOutWhy::Never) };
        let pending = pending.map(|pending| PendingLogin { began_mono: None, ..pending });
        let pending = match pending {
            Some(pending) if pending.is_expired(self.now) => {
                self.store(Transaction::DropPending, Purpose::DropPending);
                None
            }
            pending => pending,
        };
        let stage = LoginStage::Browser;
        match (session, pending) {
            // A login can only have begun because this session had come to its end, or was refused: its tokens tell, should
            // the login come to nothing.
            (Some(stored), Some(pending)) => {
                self.recall(knowledge);
                let session = Box::new(self.session_of(stored.agent, stored.tokens));
                self.state.session = Session::SigningIn { pending, stage, before: BeforeLogin::SignedIn { session } };
            }
            (Some(stored), None) => {
                let refusals = knowledge.as_ref().map(|knowledge| knowledge.refusals).unwrap_or_default();
                self.recall(knowledge);
                self.state.presence.confirmed = stored.snapshot;
                let session = SignedIn { refusals, ..self.session_of(stored.agent, stored.tokens) };
                self.state.session = Session::SignedIn(Box::new(session));
                if stored.unsettled {
                    self.settle_refresh();
                }
            }
            (None, Some(pending)) => {
                let before = BeforeLogin::SignedOut { why };
                self.state.session = Session::SigningIn { pending, stage, before };
            }
            (None, None) => self.state.session = Session::SignedOut { why },
        }
    }

    pub(super) fn enter(&mut self, agent: AgentProfile, tokens: TokenSet) {
        let session = self.session_of(agent, tokens);
        self.state.session = Session::SignedIn(Box::new(session));
    }

    fn session_of(&mut self, agent: AgentProfile, tokens: TokenSet) -> SignedIn {
        let (fresh_until, refresh_at) = self.token_times(self.stored_life(&tokens).unwrap_or(0));
        SignedIn {
            agent,
            tokens,
            fresh_until,
            refresh_at,
            refresh: Refresh::Idle,
            send_until: 0,
            backoff: Backoff::default(),
            unsettled: None,
            distrust: Distrust::default(),
            refusals: Refusals::default(),
            said: None,
            unsaved: false,
            waiters: Vec::new(),
            parked: Vec::new(),
            repair: None,
        }
    }

    /// Keeps what must outlive the process; one save at a time, the newest wins.
    pub(crate) fn remember(&mut self) {
        let settled = match &self.state.session {
            Session::SignedIn(_) | Session::ReauthRequired { .. } | Session::SignedOut { .. } => true,
            Session::Loading | Session::Locked | Session::SigningIn { .. } | Session::SigningOut { .. } => false,
        };
        if self.state.unremembered && settled && !self.is_in_flight(|purpose| *purpose == Purpose::Remember) {
            self.state.unremembered = false;
            let transaction = Transaction::Remember {
                knowledge: self.state.knowledge(self.now),
                snapshot: self.state.presence.confirmed.clone(),
                server_offset: self.state.clock.offset(),
                anew: self.state.believed_anew,
            };
            self.store(transaction, Purpose::Remember);
        }
    }

    /// What the vault could not remember is remembered with the next change.
    pub(crate) fn remembered(&mut self, outcome: &Outcome) {
        // Once more where the repair's answer came while an older save was on its way.
        if matches!(outcome, Outcome::Done) && !self.state.unremembered {
            self.state.believed_anew = false;
        }
    }
}
