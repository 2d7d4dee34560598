//! Repair: token and cache are made anew without losing the sign-in.

use crate::{
    effect::{ApiCall, Reply},
    error::Failure,
    names::CommandId,
    running::Purpose,
    state::session::{Repair, RepairStage, Session},
    step::Step,
};

impl Step<'_> {
    pub(crate) fn repair(&mut self, to: CommandId) {
        if matches!(self.state.session, Session::Loading | Session::Locked) {
            // Keys are read again: perhaps the phone is unlocked by now.
            self.load_if_needed();
        }
        if let Some(failure) = self.state.session.not_signed_in() {
            return self.fail(to, failure);
        }
        let Session::SignedIn(session) = &mut self.state.session else { return };
        if let Some(older) = session.repair.take() {
            self.fail(older.to, Failure::cancelled("A newer repair has begun."));
        }
        let Session::SignedIn(session) = &mut self.state.session else { return };
        session.fresh_until = self.now.mono;
        session.backoff.reset();
        session.repair = Some(Repair {
            to,
            steps: vec!["The cached state was dropped.".to_owned()],
            stage: RepairStage::Refreshing,
        });
        self.close_stream();
        self.forget(|purpose| *purpose == Purpose::Fetch);
        // The ring rule goes by what was known until the server is heard again: a late push must not ring meanwhile.
        self.state.calls.remembered = Some(self.state.knowledge(self.now));
        self.state.presence.drop_cache();
        self.state.device.forget_registration();
        self.state.metadata_in_doubt = true;
        self.state.unremembered = true;
        self.refresh_if_possible();
    }

    pub(crate) fn repairs(&self, stage: RepairStage) -> bool {
        match &self.state.session {
            Session::SignedIn(session) => session.repair.as_ref().is_some_and(|repair| repair.stage == stage),
            Session::Loading
            | Session::Locked
            | Session::SignedOut { .. }
            | Session::SigningIn { .. }
            | Session::ReauthRequired { .. }
            | Session::SigningOut { .. } => false,
        }
    }

    /// A step of a repair has ended.
    pub(crate) fn repair_progress(&mut self, stage: RepairStage, result: Result<&str, Failure>) {
        let Session::SignedIn(session) = &mut self.state.session else { return };
        let Some(repair) = session.repair.as_mut().filter(|repair| repair.stage == stage) else { return };
        match result {
            Ok(step) => repair.steps.push(step.to_owned()),
            Err(failure) => {
                let to = repair.to;
                session.repair = None;
                return self.fail(to, failure);
            }
        }
        match stage {
            RepairStage::Refreshing => {
                repair.stage = RepairStage::Registering;
                self.register();
            }
            RepairStage::Registering => {
                repair.stage = RepairStage::Fetching;
                self.call_api(ApiCall::FetchState, Purpose::Fetch);
            }
            RepairStage::Fetching => {
                if let Some(repair) = session.repair.take() {
                    self.reply(repair.to, Ok(Reply::Repaired { steps: repair.steps }));
                }
            }
        }
    }
}
