//! A breadth-first search, level by level, on all cores.
//!
//! A level is finished before the next begins, and what two cores find is put together in the order of the level before:
//! so each state is reached by one of its shortest ways, and the figures of a run are those of every run.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::Broken;
use crate::report::ErrorMessage;

/// Something that can be searched: worlds, and what may happen in them.
pub(super) trait Model: Sync {
    type World: Clone + Send + Sync;
    type Act: Clone + std::fmt::Debug + Send + Sync;

    /// Where everything begins.
    fn start(&self) -> Result<Self::World, Broken>;
    /// All that may happen now.
    fn acts(&self, world: &Self::World) -> Vec<Self::Act>;
    /// Lets it happen, and says what does not hold afterwards.
    fn act(&self, world: &mut Self::World, act: &Self::Act) -> Result<(), Broken>;
    /// Nothing happens any more by itself.
    fn rests(&self, world: &Self::World) -> bool;
    /// Follows the kind path from here to its end, and says what is missing there.
    fn kind_path(&self, world: &Self::World) -> Result<(), Broken>;
    /// Equal for worlds that differ in nothing that matters.
    fn fingerprint(&self, world: &Self::World) -> u128;
}

/// How far to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Acts in a row.
    pub(super) depth: usize,
    /// No level is begun when there are more states than this.
    pub(super) states: usize,
}

/// What was found.
pub(super) struct Searched<A> {
    /// Distinct states.
    pub(super) states: usize,
    pub(super) steps: usize,
    /// Acts in a row, of which all were tried.
    pub(super) depth: usize,
    /// Nothing was left to look at.
    pub(super) complete: bool,
    /// The shortest way to something that does not hold.
    pub(super) broken: Option<(Vec<A>, Broken)>,
}

/// A state that was reached: from which, and by what.
struct Reached<A> {
    from: usize,
    act: A,
}

/// What became of one act: nothing new, a world, or something that does not hold.
enum Next<W> {
    Known,
    World(Box<W>, u128),
    Broken(Broken),
}

/// A world, and its number: its place in the list of all that was reached, plus one; the start is 0.
type Numbered<W> = (W, usize);

/// Worlds that a core takes at a time.
const BATCH: usize = 64;

pub(super) fn search<M: Model>(model: &M, bounds: Bounds) -> Result<Searched<M::Act>, ErrorMessage> {
    let start = model.start()?;
    let mut seen = HashSet::from([model.fingerprint(&start)]);
    let mut ways: Vec<Reached<M::Act>> = Vec::new();
    let mut level = vec![(start, 0_usize)];
    let (mut depth, mut steps) = (0, 0);
    while depth < bounds.depth && !level.is_empty() && seen.len() < bounds.states {
        let mut next_level = Vec::new();
        for (parent, act, next) in in_batches(&level, |batch| expand(model, batch, &seen))? {
            steps += 1;
            match next {
                Next::Known => {}
                Next::World(world, print) => {
                    if seen.insert(print) {
                        ways.push(Reached { from: parent, act });
                        next_level.push((*world, ways.len()));
                    }
                }
                Next::Broken(broken) => {
                    let mut acts = way_to(&ways, parent);
                    acts.push(act);
                    let broken = Some(at_the_earliest(model, acts, broken));
                    return Ok(Searched { states: seen.len(), steps, depth, complete: false, broken });
                }
            }
        }
        depth += 1;
        level = next_level;
    }
    // Whoever is stuck on the way is stuck at its end: the kind path's acts are among those that were tried.
    let stuck = in_batches(&level, |batch| stuck_in(model, batch))?.into_iter().next();
    let broken = stuck.map(|(number, broken)| at_the_earliest(model, way_to(&ways, number), broken));
    let complete = level.is_empty();
    Ok(Searched { states: seen.len(), steps, depth, complete, broken })
}

fn way_to<A: Clone>(ways: &[Reached<A>], mut place: usize) -> Vec<A> {
    let mut acts = Vec::new();
    while let Some(reached) = place.checked_sub(1).and_then(|index| ways.get(index)) {
        acts.push(reached.act.clone());
        place = reached.from;
    }
    acts.reverse();
    acts
}

/// The first world of a way from which there is no way out, if that is what is wrong; else the whole way.
fn at_the_earliest<M: Model>(model: &M, acts: Vec<M::Act>, broken: Broken) -> (Vec<M::Act>, Broken) {
    let Ok(mut world) = model.start() else { return (acts, broken) };
    for (number, act) in acts.iter().enumerate() {
        if let Err(broken) = model.kind_path(&world) {
            return (acts.into_iter().take(number).collect(), broken);
        }
        if model.act(&mut world, act).is_err() {
            break;
        }
    }
    (acts, broken)
}

/// All that may happen in some worlds, in their order.
fn expand<M: Model>(
    model: &M,
    batch: &[Numbered<M::World>],
    seen: &HashSet<u128>,
) -> Vec<(usize, M::Act, Next<M::World>)> {
    let mut found = Vec::new();
    // What was found twice need not be kept twice.
    let mut mine = HashSet::new();
    for (world, number) in batch {
        for act in model.acts(world) {
            let mut after = world.clone();
            let next = match model.act(&mut after, &act).map(|()| model.fingerprint(&after)) {
                Ok(print) if seen.contains(&print) || !mine.insert(print) => Next::Known,
                Ok(print) => match if model.rests(&after) { model.kind_path(&after) } else { Ok(()) } {
                    Ok(()) => Next::World(Box::new(after), print),
                    Err(broken) => Next::Broken(broken),
                },
                Err(broken) => Next::Broken(broken),
            };
            found.push((*number, act, next));
        }
    }
    found
}

/// Those from which there is no way out.
fn stuck_in<M: Model>(model: &M, batch: &[Numbered<M::World>]) -> Vec<(usize, Broken)> {
    let open = batch.iter().filter(|(world, _)| !model.rests(world));
    open.filter_map(|(world, number)| Some((*number, model.kind_path(world).err()?))).collect()
}

/// Does something with all batches of a list, on all cores; the results are in the order of the list.
fn in_batches<T: Sync, R: Send>(list: &[T], work: impl Fn(&[T]) -> Vec<R> + Sync) -> Result<Vec<R>, ErrorMessage> {
    let batches: Vec<&[T]> = list.chunks(BATCH).collect();
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = batches.get(index) else { return done };
            done.push((index, work(batch)));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(take)).collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let mut all = Vec::new();
    for result in results {
        all.extend(result.map_err(|_| "the search panicked".to_owned())?);
    }
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().flat_map(|(_, done)| done).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from 0; each may become its double or one more. Some must not be reached, and from some there is no way out.
    struct Numbers {
        forbidden: u32,
        stuck: u32,
    }

    impl Model for Numbers {
        type World = u32;
        type Act = char;

        fn start(&self) -> Result<u32, Broken> {
            Ok(1)
        }

        fn acts(&self, world: &u32) -> Vec<char> {
            if *world < 1_000 { vec!['+', '*'] } else { vec![] }
        }

        fn act(&self, world: &mut u32, act: &char) -> Result<(), Broken> {
            *world = if *act == '+' { *world + 1 } else { *world * 2 };
            if *world == self.forbidden { Err(format!("{world}")) } else { Ok(()) }
        }

        fn rests(&self, world: &u32) -> bool {
            *world >= 1_000
        }

        fn kind_path(&self, world: &u32) -> Result<(), Broken> {
            if *world == self.stuck { Err(format!("stuck at {world}")) } else { Ok(()) }
        }

        fn fingerprint(&self, world: &u32) -> u128 {
            u128::from(*world)
        }
    }

    #[test]
    fn what_is_broken_is_found_by_the_shortest_way() {
        let bounds = Bounds { depth: 10, states: 10_000 };
        let found = search(&Numbers { forbidden: 11, stuck: 0 }, bounds).unwrap();
        assert_eq!(found.broken, Some((vec!['+', '*', '+', '*', '+'], "11".to_owned())));
        let found = search(&Numbers { forbidden: 0, stuck: 13 }, Bounds { depth: 5, states: 10_000 }).unwrap();
        assert_eq!(found.broken.unwrap().1, "stuck at 13", "at the end of the search");
    }

    #[test]
    fn a_search_without_a_bound_sees_each_state_once_and_says_so() {
        let found = search(&Numbers { forbidden: 0, stuck: 0 }, Bounds { depth: 2_000, states: 10_000 }).unwrap();
        assert!(found.complete && found.broken.is_none());
        // All from 1 to 1000, and the doubles of those from 501 to 999.
        assert_eq!(found.states, 1_000 + 499);
    }
}
