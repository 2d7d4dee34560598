//! Which secrets an event brings and an effect needs: with these and [`State::secrets`](crate::State::secrets) the shell
//! knows which secrets it must keep, and wipes all others at once.

use crate::{
    effect::{ApiCall, Effect, Reply, Request, Transaction},
    event::{Command, Contents, Event, Grant, Loaded, Outcome, SecretRef, StreamNews},
    session::{PendingLogin, TokenSet},
};

impl PendingLogin {
    const fn carried(&self) -> [SecretRef; 3] {
        [self.state, self.nonce, self.verifier]
    }
}

impl TokenSet {
    const fn carried(&self) -> [SecretRef; 2] {
        [self.access, self.refresh]
    }
}

impl ApiCall {
    /// The secret that its body says.
    pub const fn secret(&self) -> Option<SecretRef> {
        match self {
            Self::RegisterDevice { push_token, .. } => *push_token,
            Self::VerifyNumber { code, .. } => Some(*code),
            Self::FetchState
            | Self::AwaitState { .. }
            | Self::SetAvailability { .. }
            | Self::SetForwarding { .. }
            | Self::SendCode { .. }
            | Self::EndSession { .. }
            | Self::Answer { .. }
            | Self::Decline { .. }
            | Self::HangUp { .. }
            | Self::SignOutEverywhere { .. }
            | Self::RenewCallLease { .. } => None,
        }
    }
}

impl Event {
    /// The secrets that it brings into the state.
    pub fn secrets(&self) -> Vec<SecretRef> {
        match self {
            Self::Command { command, .. } => match command {
                Command::BeginLogin { state, nonce, verifier, .. } => vec![*state, *nonce, *verifier],
                Command::FinishLogin { redirect } => redirect.state.into_iter().chain(redirect.code).collect(),
                Command::SetPushToken { token } => token.iter().copied().collect(),
                Command::VerifyNumber { code, .. } => vec![*code],
                Command::CancelLogin
                | Command::AccessToken
                | Command::SignOut
                | Command::SignOutEverywhere
                | Command::Repair
                | Command::SetAvailability { .. }
                | Command::SetForwarding { .. }
                | Command::SendCode { .. }
                | Command::EndSession { .. }
                | Command::SetDeviceFacts { .. }
                | Command::Answer { .. }
                | Command::Decline { .. }
                | Command::HangUp { .. } => vec![],
            },
            Self::Completed { outcome, .. } | Self::Stream { news: StreamNews::Closed { outcome }, .. } => {
                outcome.secrets()
            }
            Self::Started { .. }
            | Self::Foreground
            | Self::Background
            | Self::NetworkUp
            | Self::NetworkDown
            | Self::Unlocked
            | Self::Push { .. }
            | Self::Stream {
                news: StreamNews::Event { .. } | StreamNews::Retry { .. } | StreamNews::Malformed { .. },
                ..
            }
            | Self::Timer { .. } => vec![],
        }
    }
}

impl Outcome {
    fn secrets(&self) -> Vec<SecretRef> {
        match self {
            Self::Granted { grant: Grant { access, refresh, claims, expires_in: _ } } => {
                let nonce = claims.as_ref().and_then(|claims| claims.nonce);
                [Some(*access), *refresh, nonce].into_iter().flatten().collect()
            }
            Self::Loaded { loaded } => match &**loaded {
                Loaded::Contents(Contents { session, pending, push_token, .. }) => {
                    let tokens = session.iter().flat_map(|session| session.tokens.carried());
                    let pending = pending.iter().flat_map(PendingLogin::carried);
                    tokens.chain(pending).chain(*push_token).collect()
                }
                Loaded::KeyUnavailable { .. } | Loaded::KeyInvalidated => vec![],
            },
            Self::NewerTokens { tokens } | Self::Reread { tokens: Some(tokens) } => tokens.carried().to_vec(),
            Self::Done
            | Self::Unreachable { .. }
            | Self::Unintelligible { .. }
            | Self::Unavailable { .. }
            | Self::Unauthenticated
            | Self::Refused { .. }
            | Self::State { .. }
            | Self::Metadata { .. }
            | Self::OAuthError { .. }
            | Self::RefreshLeaseHeld { .. }
            | Self::Reread { tokens: None }
            | Self::StorageFailed { .. } => vec![],
        }
    }
}

impl Effect {
    /// The secrets that whoever carries it out needs, until it has come to its end.
    pub fn secrets(&self) -> Vec<SecretRef> {
        match self {
            Self::Send { request, .. } => match request {
                Request::ExchangeCode { code, verifier, .. } => vec![*code, *verifier],
                Request::Refresh { refresh, .. } => vec![*refresh],
                Request::Api { access, call } => std::iter::once(*access).chain(call.secret()).collect(),
                Request::Discover | Request::Revoke { .. } => vec![],
            },
            Self::Store { transaction, .. } => match transaction {
                Transaction::SavePending { pending, .. } => pending.carried().to_vec(),
                Transaction::SignIn { tokens, .. } | Transaction::FinishRefresh { tokens } => tokens.carried().to_vec(),
                Transaction::SavePushToken { token } => token.iter().copied().collect(),
                Transaction::Load
                | Transaction::DropPending
                | Transaction::BeginRefresh { .. }
                | Transaction::AbandonRefresh
                | Transaction::Reread
                | Transaction::SignOut { .. }
                | Transaction::Revoked { .. }
                | Transaction::Remember { .. } => vec![],
            },
            Self::OpenStream { access, .. } => vec![*access],
            Self::Reply { reply: Ok(Reply::Token { access }), .. } => vec![*access],
            Self::Reply { reply: Ok(Reply::Login { pending, .. }), .. } => pending.carried().to_vec(),
            Self::Reply { reply: Ok(Reply::Done | Reply::Repaired { .. }) | Err(_), .. }
            | Self::CloseStream { .. }
            | Self::SetTimer { .. }
            | Self::CancelTimer { .. }
            | Self::Decided { .. }
            | Self::StopRinging { .. } => vec![],
        }
    }
}
