//! What is sent, answered and shown in words, for the story of a plan that fails.

use hookswitch::{
    machine::{ApiCall, Outcome, Request},
    wire::{Snapshot, Version},
};

pub(super) fn name(request: &Request) -> String {
    match request {
        Request::Discover => "the question for the issuer's metadata".into(),
        Request::PushLogin { .. } => "a pushed sign-in".into(),
        Request::ExchangeCode { .. } => "a code".into(),
        Request::Refresh { .. } => "a refresh".into(),
        Request::Revoke { .. } => "a revocation".into(),
        Request::Api { call, .. } => name_of_call(call),
    }
}

pub(super) fn name_of_call(call: &ApiCall) -> String {
    match call {
        ApiCall::FetchState => "the question for the state".into(),
        ApiCall::AwaitState { after, .. } => format!("the question for what is newer than {after}"),
        ApiCall::SetAvailability { base, availability, .. } => format!("{availability:?} on top of {base}"),
        ApiCall::SetForwarding { base, to, .. } => {
            format!("forwarding {} on top of {base}", if to.is_some() { "on" } else { "off" })
        }
        ApiCall::RegisterDevice { .. } => "its registration".into(),
        ApiCall::SendCode { .. } => "the question for a code".into(),
        ApiCall::VerifyNumber { .. } => "a code".into(),
        ApiCall::EndSession { session, .. } => format!("the end of session {session}"),
        ApiCall::Answer { call_id, .. } => format!("an answer to {call_id}"),
        ApiCall::Decline { call_id, .. } => format!("no to {call_id}"),
        ApiCall::HangUp { call_id, .. } => format!("the end of {call_id}"),
        ApiCall::RenewCallLease { call_id, .. } => format!("a renewal for {call_id}"),
        ApiCall::SignOutEverywhere { .. } => "the end of all sessions".into(),
    }
}

pub(super) fn describe(snapshot: &Snapshot) -> String {
    let presence = &snapshot.presence;
    let forwarding = if presence.forwarding.is_on() { ", forwarding on" } else { "" };
    format!("{:?}{forwarding}", presence.availability)
}

pub(super) fn describe_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::State { snapshot } => format!("{}, {}", snapshot.version, describe(snapshot)),
        Outcome::Refused { status, code, current, .. } => {
            let current = current.as_ref().map_or(Version::default(), |current| current.version);
            format!("{status} {code}, is at {current}")
        }
        Outcome::Done
        | Outcome::NotSent { .. }
        | Outcome::Unreachable { .. }
        | Outcome::Unintelligible { .. }
        | Outcome::Unavailable { .. }
        | Outcome::Unauthenticated
        | Outcome::Metadata { .. }
        | Outcome::LoginPushed { .. }
        | Outcome::Granted { .. }
        | Outcome::OAuthError { .. }
        | Outcome::Loaded { .. }
        | Outcome::NewerTokens { .. }
        | Outcome::RefreshLeaseHeld { .. }
        | Outcome::Reread { .. }
        | Outcome::StorageFailed { .. } => format!("{outcome:?}"),
    }
}
