//! The operator: what whoever runs the backend may do to it. The lab and the tests use it in-process; over HTTP it is
//! `/operator/*` when an operator key is set.
//!
//! | module | what it is |
//! |---|---|
//! | here | [`Operator`]: all that may be done and asked |
//! | [`demo`] | agents that are to be, and those of the demo |
//! | [`reports`] | what is told of calls, pushes, requests and sessions |
//! | [`counters`] | how much was asked of the backend |

mod counters;
mod demo;
mod reports;

use std::sync::{Arc, atomic::Ordering};

use hookswitch_wire::{
    AccountId, Agent, CallId, CallState, DeviceId, PhoneNumber, SignedOutReason, Snapshot, UnixMillis, Version,
};
use tokio::sync::broadcast;

pub(crate) use self::counters::Counters;
pub use self::{
    counters::Counts,
    demo::{AgentSeed, DEMO_PASSWORD},
    reports::{CallReport, DeliveryReport, OutboxEntry, RequestLog, SessionReport},
};
use crate::{
    aggregate::{Aggregate, Command, LegNews, Refusal},
    carrier::CarrierMessage,
    clock::{Clock, Millis},
    faults::{FaultPlan, FaultReport},
    hours::WorkingHours,
    identity::{hash_password, totp_code},
    logout::LogoutClient,
    record::Change,
    refreshes::{FamilyReport, RefreshRecord},
    rotation::RotationProfile,
    secret,
    service::{Service, ServiceError},
    store::{AgentRow, SessionRow, UpstreamUser},
    upstream,
};

/// What whoever runs the backend may do: make agents, place calls, order faults, read records. Clones act on the same
/// backend.
#[derive(Clone)]
pub struct Operator {
    service: Arc<Service>,
}

impl Operator {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service }
    }

    /// The clock of the backend.
    pub fn clock(&self) -> Clock {
        self.service.clock.clone()
    }

    /// Makes an agent. An e-mail that is taken is [`ServiceError::Invalid`].
    pub async fn add_agent(&self, seed: AgentSeed) -> Result<AccountId, ServiceError> {
        let hours = WorkingHours::office(&seed.time_zone);
        if !hours.is_valid() {
            return Err(ServiceError::Invalid("time_zone"));
        }
        if seed.totp_secret.as_ref().is_some_and(|secret| secret.len() < 16) {
            return Err(ServiceError::Invalid("totp_secret"));
        }
        let (password, cost) = (seed.password.clone(), self.service.config.password_cost);
        let hash = tokio::task::spawn_blocking(move || hash_password(&password, cost))
            .await
            .map_err(|error| ServiceError::Crypto(error.to_string()))??;
        let account = AccountId(secret::name("agent-")?);
        let agent = Agent {
            account: account.clone(),
            email: seed.email.to_lowercase(),
            name: seed.name.clone(),
            role: seed.role,
        };
        let aggregate = Aggregate::new(agent, hours);
        self.service.write(|unit| {
            if unit.tx.agent_by_email(&seed.email)?.is_some() {
                return Err(ServiceError::Invalid("email"));
            }
            for (tenant, wanted) in [(&upstream::GOOGLE, seed.google), (&upstream::ACME, seed.sso)] {
                if wanted {
                    unit.tx.put_upstream_user(&UpstreamUser {
                        tenant: tenant.name.to_owned(),
                        email: seed.email.clone(),
                        name: seed.name.clone(),
                        password: hash.clone(),
                        email_verified: seed.email_verified,
                    })?;
                }
            }
            let snapshot = aggregate.snapshot(Version::new(unit.tx.epoch()?, 1), UnixMillis(unit.now));
            unit.tx.insert_agent(&AgentRow {
                account: account.clone(),
                email: seed.email,
                // No hash is no password.
                password: if seed.password_login { hash } else { String::new() },
                totp_secret: seed.totp_secret,
                totp_step: 0,
                google: seed.google,
                sso: seed.sso,
                rev: 1,
                aggregate,
                snapshot,
            })?;
            Ok(account)
        })
    }

    /// Makes a person at an upstream issuer ("google" or "acme") whom Hookswitch does not know.
    pub async fn add_upstream_user(&self, tenant: &str, email: &str, password: &str) -> Result<(), ServiceError> {
        let (given, cost) = (password.to_owned(), self.service.config.password_cost);
        let password = tokio::task::spawn_blocking(move || hash_password(&given, cost))
            .await
            .map_err(|error| ServiceError::Crypto(error.to_string()))??;
        let (tenant, email) = (tenant.to_owned(), email.to_owned());
        let user = UpstreamUser { tenant, name: email.clone(), email, password, email_verified: true };
        self.service.write(|unit| Ok(unit.tx.put_upstream_user(&user)?))
    }

    fn agent(&self, email: &str) -> Result<AgentRow, ServiceError> {
        self.service.write(|unit| unit.tx.agent_by_email(email)?.ok_or(ServiceError::NoSuchAgent))
    }

    /// The account of an e-mail address.
    pub fn account(&self, email: &str) -> Result<AccountId, ServiceError> {
        Ok(self.agent(email)?.account)
    }

    /// The code that the agent's authenticator app shows now; `None` when the agent has none.
    pub fn totp_code(&self, email: &str) -> Option<String> {
        let secret = self.agent(email).ok()?.totp_secret?;
        Some(totp_code(&secret, self.service.now()))
    }

    /// Somebody calls the agent.
    pub fn incoming_call(
        &self,
        email: &str,
        from: Option<PhoneNumber>,
        from_name: Option<String>,
    ) -> Result<CallReport, ServiceError> {
        let account = self.account(email)?;
        let call_id = CallId(secret::name("call-")?);
        self.change_call(&account, &call_id, Command::Incoming { call_id: call_id.clone(), from, from_name })
    }

    /// Carries out a command that is about a call, and tells what has become of the call.
    fn change_call(&self, account: &AccountId, call_id: &CallId, command: Command) -> Result<CallReport, ServiceError> {
        self.service.write(|unit| {
            unit.apply(account, command, Change::Seen)?;
            let agent = unit.tx.agent(account)?.ok_or(ServiceError::NoSuchAgent)?;
            Ok(CallReport::from(agent.aggregate.tracked(call_id)?))
        })
    }

    /// The caller hangs up.
    pub fn hang_up(&self, call_id: &CallId) -> Result<(), ServiceError> {
        let account = self.find(call_id)?.0;
        let command = Command::HangUp { call_id: call_id.clone(), by: None };
        self.service.write(|unit| unit.apply(&account, command, Change::Seen)).map(drop)
    }

    /// The carrier says something of the call to the number that this one was forwarded to. Said again it changes nothing; a 1
    /// that is pressed when the call is elsewhere is [`Refusal::CallTaken`].
    pub fn leg(&self, call_id: &CallId, news: LegNews) -> Result<CallReport, ServiceError> {
        let account = self.find(call_id)?.0;
        self.change_call(&account, call_id, Command::Leg { call_id: call_id.clone(), news })
    }

    fn find(&self, call_id: &CallId) -> Result<(AccountId, CallReport), ServiceError> {
        self.service.write(|unit| {
            for account in unit.tx.accounts()? {
                unit.agent(&account, |_, _| Ok(Vec::new()))?;
                let agent = unit.tx.agent(&account)?.ok_or(ServiceError::NoSuchAgent)?;
                if let Ok(tracked) = agent.aggregate.tracked(call_id) {
                    return Ok((account, CallReport::from(tracked)));
                }
            }
            Err(Refusal::NoSuchCall.into())
        })
    }

    /// A call as it is now; `None` when there never was one, or long ago.
    pub fn call_report(&self, call_id: &CallId) -> Option<CallReport> {
        self.find(call_id).ok().map(|(_, report)| report)
    }

    /// The agent's calls, oldest first, the last fifty.
    pub fn calls(&self, email: &str) -> Result<Vec<CallReport>, ServiceError> {
        let account = self.account(email)?;
        self.service.current(&account)?;
        Ok(self.agent(email)?.aggregate.calls.iter().map(CallReport::from).collect())
    }

    /// Calls of the agent that ring or run.
    pub fn running_calls(&self, email: &str) -> Result<Vec<CallReport>, ServiceError> {
        let mut calls = self.calls(email)?;
        calls.retain(|report| report.call.state != CallState::Ended);
        Ok(calls)
    }

    /// Pushes that leave from now on, for which no push service is configured: who listens delivers them.
    pub fn pushes(&self) -> broadcast::Receiver<OutboxEntry> {
        self.service.recorded.listen()
    }

    /// What became of the pushes after number `seq`; 0 for all that are remembered.
    pub fn deliveries_since(&self, seq: u64) -> Result<Vec<DeliveryReport>, ServiceError> {
        self.service.write(|unit| Ok(unit.tx.deliveries_since(seq)?))
    }

    /// Pushes that were decided on after number `seq`, whatever became of them; 0 for all that are remembered.
    pub fn outbox_since(&self, seq: u64) -> Result<Vec<OutboxEntry>, ServiceError> {
        self.service.write(|unit| Ok(unit.tx.pushes_since(seq)?))
    }

    /// What people with phones have read and heard from us in this run of the backend, oldest first, the last thousand.
    pub fn carrier_messages(&self) -> Vec<CarrierMessage> {
        self.service.carrier.messages()
    }

    /// Plays a server that does not know the ring rule: it pushes although calls are forwarded.
    pub fn set_old_server(&self, old: bool) {
        self.service.old_server.store(old, Ordering::Relaxed);
    }

    /// An administrator takes a device off an agent's list; an app that is still signed in there registers again.
    pub fn remove_device(&self, email: &str, device: DeviceId) -> Result<(), ServiceError> {
        let agent = self.agent(email)?;
        self.service.write(|unit| unit.apply(&agent.account, Command::Unregister(device), Change::Seen).map(|_| ()))
    }

    /// From now on a number takes calls only once somebody has read a code there (`true`), or any number does.
    pub fn set_verify_forwarding(&self, verify: bool) {
        self.service.verify_forwarding.store(verify, Ordering::Relaxed);
    }

    /// Access tokens of the agent (of one device, if given) run out now; the sessions live on.
    pub fn expire_access_tokens(&self, email: &str, device: Option<&DeviceId>) -> Result<(), ServiceError> {
        let agent = self.agent(email)?;
        self.service.write(|unit| {
            for session in unit.tx.live_sessions(&agent.account, unit.now)? {
                let of_device = agent.aggregate.device_of(&session.id).map(|device| &device.id);
                if device.is_none() || of_device == device {
                    unit.tx.delete_access_tokens_of(&session.id)?;
                }
            }
            Ok(())
        })
    }

    /// Ends all sessions of the agent.
    pub fn revoke_sessions(&self, email: &str, reason: SignedOutReason) -> Result<(), ServiceError> {
        let account = self.account(email)?;
        self.service.write(|unit| unit.end_all_sessions(&account, reason))
    }

    /// Ends one session, as an administrator does; its streams are told the reason.
    pub fn revoke_session(&self, id: &str, reason: SignedOutReason) -> Result<(), ServiceError> {
        self.service.write(|unit| unit.end_session(id, reason))
    }

    /// Who is told when a session ends.
    pub fn logout_clients(&self) -> Vec<LogoutClient> {
        self.service.logout_clients()
    }

    /// From now on, this client is told when a session ends. An address that is not safe is [`ServiceError::Invalid`].
    pub fn register_logout_client(&self, client: LogoutClient) -> Result<(), ServiceError> {
        self.service.register_logout_client(client)
    }

    /// A person signs out at an upstream issuer ("google" or "acme"), which tells us over the back channel; how many
    /// sessions they had there.
    pub fn sign_out_upstream(&self, tenant: &str, email: &str) -> Result<usize, ServiceError> {
        let tenant = upstream::tenant(tenant).ok_or(ServiceError::Invalid("tenant"))?;
        self.service.sign_out_upstream(tenant, &email.trim().to_lowercase())
    }

    /// Plays an upstream issuer that says anything: a token of this type with these claims and its signature.
    pub fn sign_as_upstream(&self, typ: &str, claims: &serde_json::Value) -> Result<String, ServiceError> {
        self.service.upstream_keys.sign_as(typ, claims)
    }

    /// What the agent's apps see.
    pub fn snapshot(&self, email: &str) -> Result<Snapshot, ServiceError> {
        Ok(self.service.current(&self.account(email)?)?.snapshot.clone())
    }

    /// The agent's live sessions.
    pub fn sessions(&self, email: &str) -> Result<Vec<SessionReport>, ServiceError> {
        let agent = self.agent(email)?;
        self.service.write(|unit| {
            let sessions = unit.tx.live_sessions(&agent.account, unit.now)?;
            let report = |session: SessionRow| SessionReport {
                device: agent.aggregate.device_of(&session.id).map(|device| device.id.clone()),
                kind: session.kind.name().to_owned(),
                id: session.id,
                created_at: session.created_at,
                last_seen: session.last_seen,
                address: session.address,
                second_factor: session.second_factor,
            };
            Ok(sessions.into_iter().map(report).collect())
        })
    }

    /// The pages on which the agent hears of calls at this moment, as `surface` names them: those with an open stream.
    pub fn listening(&self, email: &str) -> Result<Vec<&'static str>, ServiceError> {
        Ok(self.service.listeners.of(&self.account(email)?))
    }

    /// What happened around the agent's sign-ins: when, and what.
    pub fn audit_log(&self, email: &str) -> Result<Vec<(Millis, String)>, ServiceError> {
        let account = self.account(email)?;
        self.service.write(|unit| Ok(unit.tx.audit_log(&account)?))
    }

    /// The server comes back from a backup: a new epoch in which the revs begin anew.
    pub fn restore_from_backup(&self) -> Result<(), ServiceError> {
        self.service.write(|unit| {
            let epoch = unit.tx.epoch()?.saturating_add(1);
            unit.tx.set_epoch(epoch)?;
            unit.tx.reset_revs()?;
            for account in unit.tx.accounts()? {
                unit.agent(&account, |aggregate, context| {
                    aggregate.forwarding.rev = aggregate.forwarding.rev.min(context.next_rev);
                    Ok(Vec::new())
                })?;
            }
            Ok(())
        })
    }

    /// Requests from now on.
    pub fn requests(&self) -> broadcast::Receiver<RequestLog> {
        self.service.bus.requests()
    }

    /// What was asked so far.
    pub fn counts(&self) -> Counts {
        self.service.counters.read()
    }

    /// Orders a fault; its number.
    pub fn inject(&self, plan: FaultPlan) -> u64 {
        self.service.faults.order(plan)
    }

    /// All faults that were ordered and not cleared, in their order, with how often each was applied.
    pub fn faults(&self) -> Vec<FaultReport> {
        self.service.faults.reports()
    }

    /// Takes a fault back; what it did until now.
    pub fn clear_fault(&self, id: u64) -> Option<FaultReport> {
        self.service.faults.clear(id)
    }

    /// Takes all faults back; what they did until now.
    pub fn clear_faults(&self) -> Vec<FaultReport> {
        self.service.faults.clear_all()
    }

    /// What happens to refresh tokens.
    pub fn rotation(&self) -> RotationProfile {
        self.service.rotation()
    }

    /// Changes what happens to refresh tokens, from now on and for all sessions.
    pub fn set_rotation(&self, profile: RotationProfile) {
        self.service.set_rotation(profile);
    }

    /// What became of each refresh of the agent's phones.
    pub fn refresh_record(&self, email: &str) -> Result<RefreshRecord, ServiceError> {
        let agent = self.agent(email)?;
        self.service.write(|unit| {
            let mut families = Vec::new();
            for session in unit.tx.mobile_sessions(&agent.account)? {
                let tally = self.service.refreshes.tally(Some(&session.id));
                families.push(FamilyReport {
                    device: agent.aggregate.device_of(&session.id).map(|device| device.id.clone()),
                    live: session.lives(unit.now),
                    ended: session.ended,
                    generation: session.generation,
                    current: unit.tx.refresh_tokens_of(&session.id, session.generation)?,
                    session: session.id,
                    received: tally.received,
                    received_by_generation: tally.by_generation,
                    granted: tally.granted,
                    retried: tally.retried,
                    refused: tally.refused,
                    refusals: tally.refusals.into(),
                });
            }
            let unknown = self.service.refreshes.tally(None).refusals.into();
            Ok(RefreshRecord { families, unknown })
        })
    }

    /// How many refreshes the agent's phones have asked for.
    pub fn refresh_count(&self, email: &str) -> Result<u64, ServiceError> {
        Ok(self.service.counters.refreshes(&self.account(email)?))
    }
}
