//! Sign-outs that travel: to those who rely on us, and from the issuers that we rely on.
//!
//! Who has to be told is written in the transaction that ends the session, so no crash forgets anybody; the tokens are
//! signed when they go out.

use std::{sync::Arc, time::Duration};

use hookswitch_wire::{AccountId, SignedOutReason};

use super::{Service, ServiceError, Unit, others::LOOK_EVERY};
use crate::{
    http::{UPSTREAM_CLIENT, logout_uri},
    logout::{self, Believed, LogoutClient},
    store::LogoutDue,
    upstream::{self, Tenant},
};

/// How often a logout token is sent at most.
const TRIES: u32 = 8;
/// The wait after the first try in milliseconds; it doubles with each.
const FIRST_WAIT: i64 = 1_000;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What became of a logout token.
enum Delivery {
    Done,
    /// They will not have it: no use in sending it again.
    Refused,
    /// They could not be reached, or failed.
    Failed,
}

impl Service {
    /// Who is told when a session ends.
    pub(crate) fn logout_clients(&self) -> Vec<LogoutClient> {
        self.logout_clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Adds a client, or changes its address.
    pub(crate) fn register_logout_client(&self, client: LogoutClient) -> Result<(), ServiceError> {
        if !client.is_valid() {
            return Err(ServiceError::Invalid("backchannel_logout_uri"));
        }
        let mut clients = self.logout_clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        clients.retain(|known| known.client_id != client.client_id);
        clients.push(client);
        Ok(())
    }

    /// Ends all that came of what ended upstream; false when the token came before.
    pub(crate) fn signed_out_upstream(&self, believed: &Believed) -> Result<bool, ServiceError> {
        let Believed { leaver, jti, exp } = believed;
        self.write(|unit| {
            if !unit.tx.note_logout(&leaver.iss, jti, exp.saturating_mul(1_000), unit.now)? {
                return Ok(false);
            }
            unit.tx.delete_codes_through(leaver)?;
            for id in unit.tx.sessions_through(leaver)? {
                unit.end_session(&id, SignedOutReason::SignedOutElsewhere)?;
            }
            Ok(true)
        })
    }

    /// The upstream issuer signs a person out and tells its client: us.
    pub(crate) fn sign_out_upstream(&self, tenant: &Tenant, email: &str) -> Result<usize, ServiceError> {
        let issuer = upstream::issuer(self, tenant);
        let sub = upstream::subject(&issuer, email);
        self.write(|unit| {
            let sids = unit.tx.take_upstream_sign_ins(tenant.name, email)?;
            for sid in &sids {
                unit.send_logout(&LogoutDue {
                    seq: 0,
                    tenant: Some(tenant.name.to_owned()),
                    aud: UPSTREAM_CLIENT.to_owned(),
                    uri: logout_uri(unit.service(), tenant),
                    sub: sub.clone(),
                    sid: sid.clone(),
                })?;
            }
            Ok(sids.len())
        })
    }

    fn sign_logout(&self, due: &LogoutDue) -> Result<String, ServiceError> {
        let tenant = due.tenant.as_deref().map(|name| upstream::tenant(name).ok_or(ServiceError::Invalid("tenant")));
        let (issuer, keys) = match tenant.transpose()? {
            None => (self.base_url.clone(), &self.keys),
            Some(tenant) => (upstream::issuer(self, tenant), &self.upstream_keys),
        };
        keys.sign_as(logout::TYPE, &logout::claims(&issuer, &due.aud, &due.sub, &due.sid, self.now())?)
    }

    async fn post_logout(&self, due: &LogoutDue) -> Result<Delivery, ServiceError> {
        let token = self.sign_logout(due)?;
        let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", &token).finish();
        let request = self
            .client
            .post(&due.uri)
            .timeout(PATIENCE)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        Ok(match request.send().await {
            Ok(answer) if answer.status().is_success() => Delivery::Done,
            Ok(answer) if answer.status() == reqwest::StatusCode::BAD_REQUEST => Delivery::Refused,
            Ok(_) | Err(_) => Delivery::Failed,
        })
    }

    /// Sends one token until it is taken, refused, or was tried often enough.
    async fn deliver(&self, due: &LogoutDue) -> Result<(), ServiceError> {
        let mut wait = FIRST_WAIT;
        let mut told = false;
        for _ in 0..TRIES {
            self.write(|unit| Ok::<_, ServiceError>(unit.tx.hold_logout(due.seq, wait)?))?;
            match self.post_logout(due).await? {
                Delivery::Done => {
                    told = true;
                    break;
                }
                Delivery::Refused => break,
                Delivery::Failed => self.clock.sleep_until(self.now().saturating_add(wait)).await,
            }
            wait = wait.saturating_mul(2);
        }
        self.write(|unit| {
            if !told {
                tracing::warn!(client = due.aud, session = due.sid, "a client could not be told of a sign-out");
                let account = due.tenant.is_none().then(|| AccountId(due.sub.clone()));
                unit.tx.audit("a client could not be told of a sign-out", account.as_ref(), "", unit.now)?;
            }
            Ok(unit.tx.delete_logout(due.seq)?)
        })
    }
}

impl Unit<'_> {
    /// Everybody who relies on us is told that this session is over.
    pub(super) fn announce_end(&mut self, account: &AccountId, session: &str) -> Result<(), ServiceError> {
        for LogoutClient { client_id, backchannel_logout_uri } in self.service().logout_clients() {
            self.send_logout(&LogoutDue {
                seq: 0,
                tenant: None,
                aud: client_id,
                uri: backchannel_logout_uri,
                sub: account.0.clone(),
                sid: session.to_owned(),
            })?;
        }
        Ok(())
    }

    fn send_logout(&mut self, due: &LogoutDue) -> Result<(), ServiceError> {
        self.tx.insert_logout(due)?;
        self.logouts = true;
        Ok(())
    }
}

/// Sends logout tokens until the backend stops: those that an earlier run left behind, then each as it comes.
pub(crate) async fn run(service: &Arc<Service>) {
    let mut stopping = service.bus.stopping();
    let mut newest = 0;
    loop {
        let due = service.write(|unit| Ok::<_, ServiceError>(unit.tx.take_logouts(newest)?)).unwrap_or_else(|error| {
            tracing::error!(%error, "sign-outs could not be read");
            Vec::new()
        });
        for logout in due {
            newest = newest.max(logout.seq);
            // Each on its own: who hangs holds nobody else up.
            tokio::spawn(deliver_while_running(Arc::clone(service), logout));
        }
        tokio::select! {
            () = service.logouts_due.notified() => {}
            // Those of a node that died.
            () = tokio::time::sleep(LOOK_EVERY), if service.store.is_shared() => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

async fn deliver_while_running(service: Arc<Service>, due: LogoutDue) {
    let mut stopping = service.bus.stopping();
    tokio::select! {
        delivered = service.deliver(&due) => {
            if let Err(error) = delivered {
                tracing::error!(%error, "a sign-out could not be sent");
            }
        }
        // The next run sends it.
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}
