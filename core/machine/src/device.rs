//! This phone among the agent's devices: registered with the server so that calls are pushed to it.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use hookswitch_wire::{CannotRing, Device};

use crate::{
    backoff::NETWORK,
    effect::{ApiCall, Transaction},
    event::Outcome,
    names::SecretRef,
    ring::Registration,
    running::Purpose,
    state::device::{DeviceState, Registered},
    state::session::{RepairStage, Session},
    step::Step,
    timer::Timer,
};

impl Step<'_> {
    pub(crate) fn set_push_token(&mut self, token: Option<SecretRef>) {
        self.state.device.told = true;
        if self.state.device.push_token != token {
            self.state.device.push_token = token;
            // A registration that still waits for an access token is made with this one. (One that is out comes to its end
            // first, so that the older cannot arrive after the newer.)
            if let Session::SignedIn(session) = &mut self.state.session {
                session.parked.retain(|parked| !matches!(parked.purpose, Purpose::Register { .. }));
            }
            self.store(Transaction::SavePushToken { token }, Purpose::SavePushToken);
            // Of a repair it is a step, which nobody else makes.
            if self.repairs(RepairStage::Registering) && !self.is_registering() {
                self.register();
            }
        }
    }

    /// What the vault holds; an app that was told by the push service before the vault was read knows better.
    pub(crate) fn recall_push_token(&mut self, token: Option<SecretRef>) {
        if !self.state.device.told {
            self.state.device.push_token = token;
        } else if self.state.device.push_token != token {
            let token = self.state.device.push_token;
            self.store(Transaction::SavePushToken { token }, Purpose::SavePushToken);
        }
    }

    pub(crate) fn register_if_needed(&mut self) {
        // A repair registers when its turn comes.
        let wanted = matches!(&self.state.session, Session::SignedIn(session) if session.repair.is_none())
            && self.is_active()
            && self.state.network_up
            && !self.state.device.is_registered()
            && self.state.device.backoff.is_over(self.now.mono)
            && !self.is_registering();
        if wanted {
            self.register();
        }
    }

    fn is_registering(&self) -> bool {
        let parked = match &self.state.session {
            Session::SignedIn(session) => {
                session.parked.iter().any(|parked| matches!(parked.purpose, Purpose::Register { .. }))
            }
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SigningIn { .. }
            | Session::ReauthRequired { .. }
            | Session::SigningOut { .. } => false,
        };
        parked || self.is_in_flight(|purpose| matches!(purpose, Purpose::Register { .. }))
    }

    pub(crate) fn register(&mut self) {
        self.forget(|purpose| matches!(purpose, Purpose::Register { .. }));
        let key = self.idempotency_key();
        let DeviceState { push_token: token, facts, .. } = &self.state.device;
        let (push_token, facts) = (*token, facts.clone());
        let purpose = Purpose::Register { token: push_token, facts: facts.clone() };
        self.call_api(ApiCall::RegisterDevice { key, push_token, facts }, purpose);
    }

    pub(crate) fn registered(&mut self, registered: Registered, outcome: Outcome) {
        match outcome {
            Outcome::State { snapshot } => {
                let listed = snapshot.devices.iter().any(|device| device.id == self.state.setup.device);
                let given_again = self.state.device.given_again;
                self.apply_snapshot(snapshot);
                self.state.device.registered = Some(registered);
                if listed {
                    // Two phones with one push token take it from each other: each waits longer every time.
                    if !given_again {
                        self.state.device.backoff.reset();
                    }
                } else {
                    // Granted and not done: ask again, but not in a circle.
                    self.state.device.registered = None;
                    self.register_later(None);
                }
                self.repair_progress(RepairStage::Registering, Ok("This phone was registered anew."));
            }
            other => {
                let retry_after = other.retry_after();
                self.register_later(retry_after);
                let failure = other.failure();
                self.repair_progress(RepairStage::Registering, Err(failure));
            }
        }
    }

    fn register_later(&mut self, retry_after: Option<u64>) {
        let at = self.state.device.backoff.fail(NETWORK, self.now.mono, &mut self.state.random, retry_after);
        if self.is_active() {
            self.set_timer(Timer::Register, at);
        }
    }

    /// A newer state is known: does it list this phone?
    pub(crate) fn device_seen(&mut self) {
        let Some(snapshot) = &self.state.presence.confirmed else { return };
        let mine = snapshot.devices.iter().find(|device| device.id == self.state.setup.device);
        let (listed, dropped) = (mine.is_some(), mine.is_some_and(has_lost_the_push_token));
        let device = &mut self.state.device;
        device.seen = match (listed, device.seen) {
            (true, _) => Registration::Registered,
            // Never listed so far: the registration is still on its way.
            (false, Registration::Unknown) => Registration::Unknown,
            (false, Registration::Registered | Registration::NotRegistered) => Registration::NotRegistered,
        };
        if device.seen == Registration::NotRegistered {
            // The session is alive, so somebody pruned the list: register anew.
            device.registered = None;
        }
        if !dropped {
            device.given_again = false;
        } else if !device.given_again && device.push_token.is_some() && device.is_registered() {
            // It was given, and the server has it no more: given once again. A server that will not have it says so next.
            device.given_again = true;
            device.registered = None;
            self.register_later(None);
        }
    }
}

fn has_lost_the_push_token(device: &Device) -> bool {
    device.cannot_ring == Some(CannotRing::NoPushToken)
}

#[cfg(test)]
mod tests;
