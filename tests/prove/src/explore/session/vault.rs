//! The vault of two processes: what core/client/src/store/vault.rs does in SQL, on plain values.

use hookswitch::{
    machine::{
        AgentProfile, Contents, Generation, Loaded, Outcome, RevocationId, SecretRef, SignInId, SignOutScope,
        SignedOutWhy, StoredSession, TokenSet, Transaction, effect::REFRESH_LEASE,
    },
    wire::{ServerMetadata, UnixMillis},
};

use super::{FIRST, issuer};

/// Who may refresh, and until when.
#[derive(Clone, Copy, Debug)]
struct Lease {
    who: usize,
    /// Its holder was killed: one of its kind, started anew, knows that.
    is_orphan: bool,
    until: u64,
}

#[derive(Clone)]
pub(super) struct Vault {
    session: Option<TokenSet>,
    lease: Option<Lease>,
    intent: Option<Generation>,
    /// Whether the intent that stands is of the refresh that a process began last.
    wrote_intent: [bool; 2],
    revocations: Vec<RevocationId>,
    signed_out: Option<SignedOutWhy>,
}

impl Vault {
    /// The access token has run out.
    pub(super) fn signed_in(now: u64) -> Self {
        let session = TokenSet {
            sign_in: SignInId(1),
            generation: FIRST,
            access: issuer::access_token(1),
            refresh: issuer::refresh_token(1),
            expires_at: UnixMillis(now as i64),
            session_ends: None,
        };
        Self {
            session: Some(session),
            lease: None,
            intent: None,
            wrote_intent: [false; 2],
            revocations: Vec::new(),
            signed_out: None,
        }
    }

    pub(super) fn refresh(&self) -> Option<SecretRef> {
        self.session.as_ref().map(|tokens| tokens.refresh)
    }

    /// The generation that it holds; `None` when nobody is signed in.
    pub(super) fn generation(&self) -> Option<Generation> {
        self.session.as_ref().map(|tokens| tokens.generation)
    }

    pub(super) fn lease_until(&self) -> Option<u64> {
        self.lease.map(|lease| lease.until)
    }

    /// The lease, as far as it is that process's.
    pub(super) fn lease_of(&self, who: usize) -> Option<(bool, u64)> {
        self.lease.filter(|lease| lease.who == who).map(|lease| (lease.is_orphan, lease.until))
    }

    pub(super) fn wrote_intent(&self, who: usize) -> bool {
        self.wrote_intent.get(who).is_some_and(|wrote| *wrote)
    }

    fn writes_intent(&mut self, who: usize, wrote: bool) {
        if let Some(of_process) = self.wrote_intent.get_mut(who) {
            *of_process = wrote;
        }
    }

    /// All that is nobody's.
    pub(super) fn shared(&self) -> impl std::fmt::Debug {
        let Self { session, lease: _, intent, wrote_intent: _, revocations, signed_out } = self;
        (session, intent, revocations, signed_out)
    }

    /// A new process of that kind: a lease of the one before it is nobody's.
    pub(super) fn started(&mut self, who: usize) {
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.who == who) {
            lease.is_orphan = true;
        }
        self.writes_intent(who, false);
    }

    /// How long the other process still holds the lease, in milliseconds.
    fn lease_of_another(&self, who: usize, now: u64) -> Option<u64> {
        self.lease.filter(|lease| lease.who != who && lease.until > now).map(|lease| lease.until - now)
    }

    fn loaded(contents: Contents) -> Outcome {
        Outcome::Loaded { loaded: Box::new(Loaded::Contents(contents)) }
    }

    pub(super) fn carry_out(
        &mut self,
        who: usize,
        transaction: &Transaction,
        now: u64,
        metadata: &ServerMetadata,
    ) -> Outcome {
        match transaction {
            Transaction::Load => {
                let agent = AgentProfile { account: "alice".into(), email: None, name: None };
                let session = self.session.clone().map(|tokens| {
                    let unsettled = self.intent == Some(tokens.generation);
                    StoredSession { agent, tokens, snapshot: None, unsettled }
                });
                Self::loaded(Contents {
                    session,
                    metadata: Some(metadata.clone()),
                    server_offset: Some(0),
                    revocations: self.revocations.clone(),
                    signed_out: self.signed_out,
                    ..Contents::default()
                })
            }
            Transaction::BeginRefresh { sign_in, generation } => {
                let Some(stored) = &self.session else { return Outcome::Reread { tokens: None } };
                if stored.sign_in != *sign_in || stored.generation > *generation {
                    return Outcome::NewerTokens { tokens: stored.clone() };
                }
                if let Some(for_millis) = self.lease_of_another(who, now) {
                    return Outcome::RefreshLeaseHeld { for_millis };
                }
                self.writes_intent(who, self.intent != Some(*generation));
                self.lease = Some(Lease { who, is_orphan: false, until: now + REFRESH_LEASE });
                self.intent = Some(*generation);
                Outcome::Done
            }
            Transaction::FinishRefresh { tokens } => {
                let Some(stored) = &self.session else { return Outcome::Reread { tokens: None } };
                if stored.sign_in != tokens.sign_in || stored.generation >= tokens.generation {
                    return Outcome::NewerTokens { tokens: stored.clone() };
                }
                self.session = Some(tokens.clone());
                self.lease = None;
                self.intent = None;
                Outcome::Done
            }
            Transaction::AbandonRefresh { unsent } => {
                let is_mine = |lease: &Lease| lease.who == who && !lease.is_orphan;
                if self.lease.as_ref().is_some_and(is_mine) && *unsent && self.wrote_intent(who) {
                    self.intent = None;
                }
                self.lease = self.lease.filter(|lease| !is_mine(lease));
                Outcome::Done
            }
            Transaction::Reread => match self.lease_of_another(who, now).filter(|_| self.session.is_some()) {
                Some(for_millis) => Outcome::RefreshLeaseHeld { for_millis },
                None => Outcome::Reread { tokens: self.session.clone() },
            },
            Transaction::SignOut { of, held: _ } => {
                match of {
                    SignOutScope::CurrentSession => {
                        if self.session.is_some() {
                            self.revocations.push(RevocationId(1));
                        }
                        self.signed_out = None;
                    }
                    SignOutScope::Ended { why, .. } => {
                        if self.session.is_some() {
                            self.signed_out = Some(*why);
                        }
                    }
                }
                self.session = None;
                self.lease = None;
                self.intent = None;
                Self::loaded(Contents {
                    revocations: self.revocations.clone(),
                    signed_out: self.signed_out,
                    ..Contents::default()
                })
            }
            Transaction::TakeBack { refresh: _ } => {
                self.revocations.push(RevocationId(self.revocations.len() as i64 + 1));
                Self::loaded(Contents {
                    revocations: self.revocations.clone(),
                    signed_out: self.signed_out,
                    ..Contents::default()
                })
            }
            Transaction::Revoked { revocation } => {
                self.revocations.retain(|id| id != revocation);
                Outcome::Done
            }
            // Of no weight here: who is signed in is all that this model asks.
            Transaction::SavePending { .. }
            | Transaction::DropPending
            | Transaction::SaveMetadata { .. }
            | Transaction::SignIn { .. }
            | Transaction::Remember { .. }
            | Transaction::SavePushToken { .. } => Outcome::Done,
        }
    }
}
