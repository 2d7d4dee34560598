//! The state machine behind one lock, which is held for the microseconds of a step and never across anything else.
//!
//! A step may be made from any thread, which is what makes the ring decision synchronous. Its effects leave through a
//! queue to the driver in the order of the steps. Replies and views leave at once, but after the lock: whom they wake may
//! be foreign code, which runs here and now, and asks us something. (Kotlin's unconfined coroutines do.)

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hookswitch_machine::{
    AppState, Command, CommandId, Decision, EffectId, Entry, Event, Failure, Output, Reply, RingRecord, SecretRef,
    Setup, State, Timestamp, Work, step, view::StoppedCall,
};
use hookswitch_wire::Snapshot;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{ports::Clock, secrets::Secrets, transcript::Transcript};

pub(crate) struct SharedMachine {
    guarded: Mutex<Guarded>,
    clock: Arc<dyn Clock>,
    secrets: Arc<Secrets>,
    work: mpsc::UnboundedSender<Work>,
    view: watch::Sender<AppState>,
    stops: broadcast::Sender<StoppedCall>,
    /// Marked after each step.
    stepped: watch::Sender<()>,
    next_command: AtomicU64,
}

/// A reply, and the secrets that it names: whoever asked may look at it long after these were replaced.
type Replied = Result<(Reply, Secrets), Failure>;

struct Guarded {
    state: State,
    waiting: HashMap<CommandId, oneshot::Sender<Replied>>,
    /// The secrets that effects under way need.
    needed: HashMap<EffectId, Vec<SecretRef>>,
    transcript: Transcript,
}

impl SharedMachine {
    pub(crate) fn new(
        setup: Setup,
        clock: Arc<dyn Clock>,
        secrets: Arc<Secrets>,
    ) -> (Self, mpsc::UnboundedReceiver<Work>) {
        let state = State::new(setup);
        let (work, queue) = mpsc::unbounded_channel();
        let view = watch::Sender::new(state.view(clock.now()));
        let stops = broadcast::Sender::new(64);
        let stepped = watch::Sender::new(());
        let transcript = Transcript::new(&state);
        let guarded = Mutex::new(Guarded { state, waiting: HashMap::new(), needed: HashMap::new(), transcript });
        (Self { guarded, clock, secrets, work, view, stops, stepped, next_command: AtomicU64::new(1) }, queue)
    }

    /// Makes a step. Gives the decisions that it made on pushes: at most one.
    pub(crate) fn apply(&self, event: Event) -> Option<Decision> {
        let mut decision = None;
        let mut replies = Vec::new();
        let mut stopped = Vec::new();
        // Guards the order of steps and nothing else; no wait and no foreign code (but for a test's clock) happens under it.
        let mut guarded = self.guarded.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let Guarded { state, waiting, needed, transcript } = &mut *guarded;
        let recorded = event.clone();
        let arrived = event.secrets();
        if let Some(ended) = event.ends() {
            needed.remove(&ended);
        }
        let effects = step(state, event, now);
        for work in &effects.work {
            if let Some(id) = work.id() {
                let secrets = work.secrets();
                if !secrets.is_empty() {
                    needed.insert(id, secrets);
                }
            }
            if let Work::CloseStream { id } = work {
                needed.remove(id);
            }
        }
        let mut used = state.secrets();
        used.extend(needed.values().flatten());
        self.secrets.settle(&arrived, &used);
        for output in &effects.output {
            match output {
                Output::Reply { to, reply } => {
                    if let Some(waiter) = waiting.remove(to) {
                        let reply = reply.clone().map(|reply| {
                            let handed = self.secrets.handed_out(&reply.secrets());
                            (reply, handed)
                        });
                        replies.push((waiter, reply));
                    }
                }
                Output::Decided { decision: made } => decision = Some((**made).clone()),
                Output::StopRinging { call_id, why } => {
                    let explanation = why.explain().to_owned();
                    stopped.push(StoppedCall { call_id: call_id.clone(), why: *why, explanation });
                }
            }
        }
        for work in &effects.work {
            // The driver is gone when the core is being closed: then nothing is to be done any more.
            let _ = self.work.send(work.clone());
        }
        transcript.record(Entry { now, event: recorded, effects }, state);
        drop(guarded);

        self.publish(now);
        for stop in stopped {
            let _ = self.stops.send(stop);
        }
        // Last: whoever asked finds what came of it. They may have gone.
        for (waiter, reply) in replies {
            let _ = waiter.send(reply);
        }
        decision
    }

    /// Tells the watchers. What they are told is read only now: another thread may have made a step since, and the newest
    /// state must be told last.
    fn publish(&self, now: Timestamp) {
        self.view.send_if_modified(|shown| {
            let view = self.lock().state.view(now);
            let changed = *shown != view;
            if changed {
                *shown = view;
            }
            changed
        });
        self.stepped.send_replace(());
    }

    /// Asks for something and waits for the reply. Dropping the future abandons the wait and nothing else.
    pub(crate) async fn ask(&self, command: Command) -> Replied {
        let id = CommandId(self.next_command.fetch_add(1, Ordering::Relaxed));
        let (waiter, reply) = oneshot::channel();
        self.lock().waiting.insert(id, waiter);
        self.apply(Event::Command { id, command });
        reply.await.unwrap_or_else(|_| Err(Failure::cancelled("The core was closed.")))
    }

    /// What to show now.
    pub(crate) fn state(&self) -> AppState {
        // Not the watched one: "fresh" depends on the time, too.
        let now = self.clock.now();
        self.lock().state.view(now)
    }

    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        self.lock().state.snapshot().cloned()
    }

    /// The issuer's page that ends its session in the browser.
    pub(crate) fn sign_out_page(&self) -> Option<String> {
        self.lock().state.sign_out_page().map(str::to_owned)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<AppState> {
        self.view.subscribe()
    }

    pub(crate) fn stops(&self) -> broadcast::Receiver<StoppedCall> {
        self.stops.subscribe()
    }

    /// Returns once all that must outlive the process is in the vault.
    pub(crate) async fn saved(&self) {
        // Watched before the look: a step in between is not missed. The look is at the state, since what watchers were told
        // may be a step behind it.
        let mut stepped = self.stepped.subscribe();
        while !self.is_saved() && stepped.changed().await.is_ok() {}
    }

    fn is_saved(&self) -> bool {
        self.lock().state.is_saved()
    }

    pub(crate) fn ring_log(&self) -> Vec<RingRecord> {
        self.lock().state.ring_log().entries().cloned().collect()
    }

    pub(crate) fn transcript(&self) -> String {
        // Written out of the lock: it is long, and a push may come.
        let transcript = self.lock().transcript.clone();
        transcript.text()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Guarded> {
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
