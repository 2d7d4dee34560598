//! The server's state: applied when it is newer than what is known.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "whatever an outcome is, other than the wanted one, it is a failure"
)]

use hookswitch_wire::Snapshot;

use crate::{
    event::Outcome,
    state::session::{RepairStage, Session},
    step::Step,
};

impl Step<'_> {
    /// Applies a state if it is newer than the one that is known.
    pub(crate) fn apply_snapshot(&mut self, snapshot: Box<Snapshot>) {
        let known = self.state.presence.version();
        let least = known.max(self.state.presence.floor);
        let Session::SignedIn(session) = &mut self.state.session else { return };
        if snapshot.agent.account != session.agent.account || least.is_some_and(|least| snapshot.version < least) {
            // Not our agent's state, a server's fault that must not show somebody else's calls; or one of long ago.
            return;
        }
        self.state.clock.hear(snapshot.at, None, self.now);
        if known == Some(snapshot.version) {
            // It may have come from the vault; now the server has said it.
            return self.take_back_calls_of_a_dead_process();
        }
        session.agent = (&snapshot.agent).into();
        self.state.presence.confirmed = Some(snapshot);
        self.state.presence.floor = None;
        self.state.unremembered = true;
        self.device_seen();
        self.calls_seen();
    }

    pub(crate) fn fetched(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::State { snapshot } => {
                // The repair has forgotten all questions of before it: what the server says to this one is what is.
                if self.repairs(RepairStage::Fetching) {
                    self.state.presence.floor = None;
                    self.state.calls.remembered = None;
                    self.state.believed_anew = true;
                }
                self.apply_snapshot(snapshot);
                self.repair_progress(RepairStage::Fetching, Ok("The state was read anew."));
            }
            other => {
                let failure = other.failure();
                self.repair_progress(RepairStage::Fetching, Err(failure));
            }
        }
    }
}
