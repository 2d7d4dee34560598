//! Makes a plan that fails as short as it can: whatever is not needed to fail is left out.

use super::{
    plan::{Act, Plan},
    world::play,
};

/// Plays at most so many shorter plans.
const TRIES: usize = 3_000;

/// The shortest plan that was found to fail as well. (Perhaps for another reason: then that one is as good.)
pub(crate) fn shrink(plan: Plan) -> Plan {
    let mut search = Search { best: plan, tries: TRIES };
    loop {
        let before = search.size();
        search.drop_acts();
        search.calm_the_network();
        search.drop_phones();
        if search.size() == before || search.tries == 0 {
            return search.best;
        }
    }
}

struct Search {
    best: Plan,
    tries: usize,
}

impl Search {
    fn size(&self) -> (usize, usize, u64) {
        let Plan { acts, phones, lost, twice, late, jitter, failing, .. } = &self.best;
        (acts.len(), *phones, lost + twice + late + jitter + failing)
    }

    fn try_out(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut shorter = self.best.clone();
        change(&mut shorter);
        if self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        let fails = play(&shorter).is_err();
        if fails {
            self.best = shorter;
        }
        fails
    }

    /// Halves, quarters, ... single acts.
    fn drop_acts(&mut self) {
        let mut size = self.best.acts.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < self.best.acts.len() {
                let to = (from + size).min(self.best.acts.len());
                if !self.try_out(|plan| drop(plan.acts.drain(from..to))) {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    fn calm_the_network(&mut self) {
        self.try_out(|plan| plan.lost = 0);
        self.try_out(|plan| plan.twice = 0);
        self.try_out(|plan| plan.late = 0);
        self.try_out(|plan| plan.jitter = 10);
        self.try_out(|plan| plan.token_life = 3_600_000);
        self.try_out(|plan| plan.failing = 0);
        self.try_out(|plan| plan.nodes = vec![0]);
        self.try_out(|plan| plan.tomorrow = false);
    }

    fn drop_phones(&mut self) {
        while self.best.phones > 1 {
            let last = self.best.phones - 1;
            let fewer = self.try_out(|plan| {
                plan.phones = last;
                plan.acts.retain(|(_, act)| phone_of(act) != Some(last));
            });
            if !fewer {
                return;
            }
        }
    }
}

fn phone_of(act: &Act) -> Option<usize> {
    match act {
        Act::Choose { phone, .. }
        | Act::Forward { phone, .. }
        | Act::PickUp { phone }
        | Act::HangUp { phone }
        | Act::Background { phone }
        | Act::Foreground { phone }
        | Act::NetworkDown { phone }
        | Act::NetworkUp { phone }
        | Act::Partition { phone }
        | Act::Heal { phone }
        | Act::Buffering { phone, .. }
        | Act::Slow { phone, .. }
        | Act::Sleep { phone, .. }
        | Act::Kill { phone }
        | Act::Repair { phone }
        | Act::SetClock { phone, .. }
        | Act::HalfOpen { phone }
        | Act::NetworkLies { phone }
        | Act::KeyFails { phone, .. }
        | Act::KillAfter { phone, .. }
        | Act::Decline { phone } => Some(*phone),
        Act::BrowserChooses { .. }
        | Act::BrowserForwards { .. }
        | Act::Call
        | Act::CustomerHangsUp
        | Act::ServerRestarts
        | Act::Backup
        | Act::Restore
        | Act::TokensExpire
        | Act::DesktopAnswers
        | Act::OldServer { .. } => None,
    }
}
