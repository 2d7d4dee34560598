//! Two processes of one installation (the app and its extension) on one vault, and an issuer that may be of several kinds.
//!
//! Both are in the background, as an app is that a push woke: nothing happens but what is asked for, refreshed, saved and
//! signed out. They are of one kind, so that a world and its mirror image count as one.

mod issuer;
mod vault;
mod world;

use hookswitch::{
    machine::{Command, Event, Generation, IssuerProfile, Setup},
    wire::Platform,
};
use issuer::{Issuer, Kind};
use world::{Post, Process, World};

use super::{
    Broken, Explored,
    canon::{ERA, canonical, fingerprint},
    explored,
    search::{Bounds, Model},
    tell::Story,
};
use crate::report::ErrorMessage;

const ISSUER: &str = "https://id.example.com";
/// The life of an access token, in milliseconds.
const LIFE: u64 = 3_600_000;
/// Enough for a kind path: each turn answers whatever is open.
const KIND_TURNS: usize = 400;

/// What holds in every state, and where.
const RULES: [&str; 9] = [
    // `World::may_send`, at each refresh that goes out.
    "who sends a refresh token has the lease, and will until the answer is there or given up",
    "a refresh token goes out once a generation, unless nobody knows what became of it",
    "a token that an issuer has called dead is not sent again",
    // `World::is_right`.
    "nobody is signed out but by the agent, and asked to sign in again but by the issuer, or when no copy is left",
    "who is signed out holds no token",
    "no process goes back to an older token",
    "who is idle keeps no lease",
    // `World::commit`, `World::event` and the kind path.
    "the vault never holds an older generation than it did, and no session after a sign-out",
    "each command has one reply, and in the end all is as fresh as the issuer allows",
];

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A process is started.
    Start(usize),
    /// A process is killed, whatever it is at.
    Kill(usize),
    /// The vault carries out what was asked for first.
    Commit(usize),
    /// The vault cannot.
    FailToCommit(usize),
    /// The process hears what the vault or the network said.
    Hear(usize),
    /// The refresh reaches the issuer, which acts on it.
    Reach(usize),
    /// It never leaves the phone.
    NotSent(usize),
    /// It is lost on the way to the issuer.
    LoseBefore(usize),
    /// The issuer cannot now.
    Unavailable(usize),
    /// The issuer refuses, for a reason that is not the token's.
    Refuse(usize, &'static str),
    /// The answer comes.
    Answer(usize),
    /// The answer is lost.
    LoseAfter(usize),
    /// The app asks for an access token.
    Ask(usize),
    /// The agent signs out.
    SignOut(usize),
    /// The agent repairs.
    Repair(usize),
    /// A timer that is due goes off.
    GoOff(usize),
    /// An administrator ends the session at the issuer.
    End,
    /// Time goes on to the next moment at which something is due.
    Wait,
}

impl Act {
    /// Something that does not happen on a good day.
    const fn is_a_fault(self) -> bool {
        match self {
            Self::Kill(_)
            | Self::FailToCommit(_)
            | Self::NotSent(_)
            | Self::LoseBefore(_)
            | Self::Unavailable(_)
            | Self::Refuse(..)
            | Self::LoseAfter(_)
            | Self::End => true,
            Self::Start(_)
            | Self::Commit(_)
            | Self::Hear(_)
            | Self::Reach(_)
            | Self::Answer(_)
            | Self::Ask(_)
            | Self::SignOut(_)
            | Self::Repair(_)
            | Self::GoOff(_)
            | Self::Wait => false,
        }
    }
}

/// One kind of issuer, and how much may go wrong.
pub(super) struct Sessions {
    kind: Kind,
    faults: usize,
}

fn setup(profile: IssuerProfile) -> Setup {
    Setup {
        issuer: ISSUER.into(),
        client_id: "hookswitch-mobile".into(),
        redirect_uris: vec!["https://app.hookswitch.dev/callback".into()],
        device: "phone-1".into(),
        platform: Platform::Ios,
        profile,
        session_life: None,
    }
}

impl Sessions {
    fn begin(&self, records: bool) -> Result<World, Broken> {
        let setup = setup(self.kind.profile());
        let mut world = World::new(ERA, setup.clone(), Issuer::new(self.kind), self.faults, records);
        // Both have read the vault: a kill brings back what is before that.
        for who in [0, 1] {
            for act in [Act::Start(who), Act::Commit(who), Act::Hear(who)] {
                world.apply(act, &setup)?;
            }
        }
        Ok(world)
    }
}

impl Model for Sessions {
    type World = World;
    type Act = Act;

    fn start(&self) -> Result<World, Broken> {
        self.begin(false)
    }

    fn acts(&self, world: &World) -> Vec<Act> {
        let mut acts = Vec::new();
        let fault = world.faults > 0;
        for who in 0..2 {
            let process = world.at(who);
            if !process.running {
                acts.push(Act::Start(who));
                continue;
            }
            if fault {
                acts.push(Act::Kill(who));
            }
            if !process.asked.is_empty() {
                acts.push(Act::Commit(who));
                if fault {
                    acts.push(Act::FailToCommit(who));
                }
            }
            if !process.said.is_empty() {
                acts.push(Act::Hear(who));
            }
            match &process.post {
                Some(Post { answer: None, .. }) => {
                    acts.push(Act::Reach(who));
                    if fault {
                        acts.extend([Act::NotSent(who), Act::LoseBefore(who), Act::Unavailable(who)]);
                        acts.extend(
                            ["invalid_client", "invalid_request", "login_required"].map(|e| Act::Refuse(who, e)),
                        );
                    }
                }
                Some(Post { answer: Some(_), .. }) => {
                    acts.push(Act::Answer(who));
                    if fault {
                        acts.push(Act::LoseAfter(who));
                    }
                }
                None => {}
            }
            if world.asks > 0 && process.waiting.is_empty() {
                acts.push(Act::Ask(who));
            }
            if world.sign_outs > 0 {
                acts.push(Act::SignOut(who));
            }
            if world.repairs > 0 {
                acts.push(Act::Repair(who));
            }
            if world.due(who).is_some() {
                acts.push(Act::GoOff(who));
            }
        }
        if fault && world.issuer.lives() {
            acts.push(Act::End);
        }
        acts.push(Act::Wait);
        acts
    }

    fn act(&self, world: &mut World, act: &Act) -> Result<(), Broken> {
        world.entries.clear();
        world.apply(*act, &setup(self.kind.profile()))
    }

    fn rests(&self, world: &World) -> bool {
        world.kind_act().is_none()
    }

    fn kind_path(&self, world: &World) -> Result<(), Broken> {
        let mut world = world.clone();
        let mut asked = [false; 2];
        let setup = setup(self.kind.profile());
        for _ in 0..KIND_TURNS {
            world.entries.clear();
            if let Some(act) = world.kind_act() {
                world.apply(act, &setup).map_err(|broken| format!("on the kind path: {broken}"))?;
            } else if let Some((who, asked)) = asked.iter_mut().enumerate().find(|(_, asked)| !**asked) {
                // Whoever opens the app asks for a token: the sign-in must be seen to work.
                world.event(who, Event::Foreground);
                world.event(who, Event::NetworkUp);
                world.command(who, Command::AccessToken);
                *asked = true;
            } else if (0..2).all(|who| world.is_settled(who)) {
                return world.invariants().map_err(|broken| format!("at the end of the kind path: {broken}"));
            } else {
                // The lease of one who died, or has nothing more to do, runs out.
                world.now = world.next_moment().unwrap_or(world.now + LIFE);
            }
        }
        let views: Vec<_> = (0..2).map(|who| (world.view(who), world.at(who).waiting.clone())).collect();
        Err(format!("no way out within {KIND_TURNS} kind turns: {views:?}"))
    }

    fn fingerprint(&self, world: &World) -> u128 {
        let texts = [0, 1].map(|who| {
            let Process {
                running,
                state,
                timers: _,
                asked,
                said,
                post,
                next_command: _,
                waiting,
                newest,
                leased,
                stuck,
                rejected,
            } = world.at(who);
            let lease = (world.vault.lease_of(who), world.vault.wrote_intent(who));
            let checked = (waiting, newest, leased, stuck, rejected);
            canonical(&(running, state, asked, said, post, checked, lease), world.now)
        });
        let World {
            now,
            processes: _,
            vault,
            issuer,
            faults,
            sign_outs,
            repairs,
            asks,
            signed_out,
            lost,
            refused,
            wrong: _,
            entries: _,
            records: _,
        } = world;
        let budget = (faults, sign_outs, repairs, asks, signed_out, lost, refused);
        let shared = canonical(&(vault.shared(), issuer, budget), *now);
        let [one, other] = &texts;
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        fingerprint(&[&shared, first, second])
    }
}

/// Searches, with each kind of issuer.
pub(crate) fn explore_sessions(depth: usize, faults: usize, states: usize) -> Result<Vec<Explored>, ErrorMessage> {
    let search = |kind: Kind| {
        let model = Sessions { kind, faults };
        explored(kind.name(), &RULES, &model, Bounds { depth, states }, |acts| {
            let setup = setup(kind.profile());
            Story::of(&model, vec![setup.clone(), setup], model.begin(true), acts, |world| world.entries.clone())
        })
    };
    Kind::ALL.into_iter().map(search).collect()
}

/// Generations as the vault counts them.
const FIRST: Generation = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_of_two_processes_replays() {
        let model = Sessions { kind: Kind::Leeway, faults: 2 };
        let setup = setup(Kind::Leeway.profile());
        super::super::tell::tests::replays(&model, vec![setup.clone(), setup], model.begin(true), 6, |world| {
            world.entries.clone()
        });
    }
}
