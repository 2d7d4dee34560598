//! When a push is sent, again or not at all. Pure: the worker in `service::pushes` does what is decided here.
//!
//! Everything is decided at the moment of sending, from what is true then: while a push waited, forwarding may have been
//! turned on, the call answered, the token replaced.
//!
//! - A start is sent only while its call rings and nothing is forwarded, and never after the ringing. An old server's start
//!   says itself that calls are forwarded: it is sent all the same, that is what an old server does.
//! - A stop is sent when its start may have left: it was accepted, or is out now, or was not answered. A start that never
//!   left needs no stop, and will not leave any more, because its call does not ring. A stop does not wait for a start that
//!   is out: services may deliver in any order, and phones keep a tombstone.
//! - What a service did not take is tried again, at growing intervals, as long as somebody needs it.

use crate::clock::Millis;
use hookswitch_wire::PushKind;
use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::clock::millis;

/// The wait after the first try; it doubles with each.
const FIRST_WAIT: i64 = 500;
/// The longest wait between two attempts, in milliseconds.
const LONGEST_WAIT: i64 = 8_000;
/// How long the end of a call is worth telling to the device that is in it: its ringing is over, so that sets no bound.
const STOP_LIFE: i64 = 30_000;

/// A push on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The number of the push in the outbox.
    pub(crate) seq: u64,
    pub(crate) kind: PushKind,
    pub(crate) deliver_by: Millis,
    pub(crate) stage: Stage,
    /// Whether the device may have got it.
    pub(crate) may_have_left: bool,
    pub(crate) tries: u32,
}

/// Where a push is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In the outbox, until its time has come.
    Waiting {
        /// When it is sent.
        due_at: Millis,
    },
    /// Out, and not answered yet.
    Sending,
    /// Nothing more happens to it.
    Done(DeliveryEnd),
}

/// How a push ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryEnd {
    /// The push service took it.
    Sent,
    /// A start: calls were forwarded before it left.
    Withheld,
    /// A start: the call was answered or over before it left.
    Superseded,
    /// A stop: its start never left.
    NeverStarted,
    /// The time in which it mattered is over.
    Expired,
    /// The device has no push token, or none that the service knows.
    TokenGone,
    /// The push service will not have it.
    Rejected,
}

/// What is true when a push is about to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) now: Millis,
    pub(crate) call: CallNow,
    /// Whether calls go to an external number now.
    pub(crate) forwarding_on: bool,
    /// Whether the push itself says that they do: an old server's.
    pub(crate) says_forwarded: bool,
    pub(crate) device: DeviceNow,
    /// For a stop: what became of its start.
    pub(crate) start: StartNow,
}

/// The call of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallNow {
    Rings,
    /// Went to the external number.
    Forwarded,
    /// Answered, over, or forgotten.
    Over,
}

/// The device of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceNow {
    /// Registered; the push goes to the token that it has now.
    Reachable,
    /// Registered without a token.
    NoToken,
    /// Signed out. A stop still goes to the token of its start.
    Unregistered,
}

/// The start that a stop is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartNow {
    MayHaveLeft,
    NeverLeft,
}

impl StartNow {
    /// A start that is not remembered is one that may have left.
    pub(crate) fn of(start: Option<&Delivery>) -> Self {
        match start {
            Some(Delivery { may_have_left: false, stage: Stage::Waiting { .. } | Stage::Done(_), .. }) => {
                Self::NeverLeft
            }
            Some(_) | None => Self::MayHaveLeft,
        }
    }
}

impl Delivery {
    /// A push that was decided on at `at`.
    pub(crate) fn new(seq: u64, kind: PushKind, expires_at: Millis, at: Millis) -> Self {
        let deliver_by = match kind {
            PushKind::Incoming => expires_at,
            // Within the ringing: then the phone stops by itself.
            PushKind::AnsweredElsewhere | PushKind::Ended | PushKind::Unknown if expires_at > at => expires_at,
            PushKind::AnsweredElsewhere | PushKind::Ended | PushKind::Unknown => at.saturating_add(STOP_LIFE),
        };
        Self { seq, kind, deliver_by, stage: Stage::Waiting { due_at: at }, may_have_left: false, tries: 0 }
    }

    /// Whether to send now; else how it ends.
    pub(crate) fn decide(&self, facts: Facts) -> Result<(), DeliveryEnd> {
        if facts.now >= self.deliver_by {
            return Err(DeliveryEnd::Expired);
        }
        match self.kind {
            PushKind::Incoming => {
                if facts.forwarding_on && !facts.says_forwarded {
                    return Err(DeliveryEnd::Withheld);
                }
                match facts.call {
                    CallNow::Rings => {}
                    CallNow::Forwarded if facts.says_forwarded => {}
                    CallNow::Forwarded => return Err(DeliveryEnd::Withheld),
                    CallNow::Over => return Err(DeliveryEnd::Superseded),
                }
                match facts.device {
                    DeviceNow::Reachable => Ok(()),
                    DeviceNow::NoToken | DeviceNow::Unregistered => Err(DeliveryEnd::TokenGone),
                }
            }
            PushKind::AnsweredElsewhere | PushKind::Ended | PushKind::Unknown => match (facts.start, facts.device) {
                (StartNow::NeverLeft, _) => Err(DeliveryEnd::NeverStarted),
                (StartNow::MayHaveLeft, DeviceNow::NoToken) => Err(DeliveryEnd::TokenGone),
                (StartNow::MayHaveLeft, DeviceNow::Reachable | DeviceNow::Unregistered) => Ok(()),
            },
        }
    }

    /// Notes that it goes out now: what happens to the call from here on cannot hold it back.
    pub(crate) fn leave(&mut self) {
        self.tries = self.tries.saturating_add(1);
        self.stage = Stage::Sending;
    }

    /// It was out when the backend stopped: nobody knows.
    pub(crate) fn interrupted(&mut self, now: Millis) {
        self.may_have_left = true;
        self.stage = Stage::Waiting { due_at: now };
    }

    /// What a try came to.
    pub(crate) fn came_back(&mut self, outcome: &Outcome, now: Millis) {
        let wait = match outcome {
            Outcome::Accepted => {
                self.may_have_left = true;
                self.stage = Stage::Done(DeliveryEnd::Sent);
                return;
            }
            Outcome::TokenGone { .. } => {
                self.stage = Stage::Done(DeliveryEnd::TokenGone);
                return;
            }
            Outcome::Rejected { .. } => {
                self.stage = Stage::Done(DeliveryEnd::Rejected);
                return;
            }
            Outcome::Unanswered { .. } => {
                self.may_have_left = true;
                self.wait()
            }
            Outcome::Retry { after, .. } => self.wait().max(after.map_or(0, millis)),
        };
        let due_at = now.saturating_add(wait);
        self.stage =
            if due_at < self.deliver_by { Stage::Waiting { due_at } } else { Stage::Done(DeliveryEnd::Expired) };
    }

    /// 500 ms, 1 s, 2 s and so on up to 8 s, less up to half of it: pushes that failed together do not come back together.
    fn wait(&self) -> i64 {
        let doublings = self.tries.saturating_sub(1).min(8);
        let longest = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
        // Fibonacci hashing: neighbouring numbers land far apart, and a replay waits as long as the first time.
        let hash = self.seq.wrapping_add(u64::from(self.tries)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let less = (i64::try_from(hash >> 32).unwrap_or_default() * (longest / 2)) >> 32;
        longest - less
    }
}

impl DeliveryEnd {
    const ALL: [Self; 7] = [
        Self::Sent,
        Self::Withheld,
        Self::Superseded,
        Self::NeverStarted,
        Self::Expired,
        Self::TokenGone,
        Self::Rejected,
    ];

    /// As it stands in the database.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Withheld => "withheld",
            Self::Superseded => "superseded",
            Self::NeverStarted => "never_started",
            Self::Expired => "expired",
            Self::TokenGone => "token_gone",
            Self::Rejected => "rejected",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const AT: Millis = 1_000_000;
    const KINDS: [PushKind; 3] = [PushKind::Incoming, PushKind::AnsweredElsewhere, PushKind::Ended];

    fn facts() -> Facts {
        Facts {
            now: AT,
            call: CallNow::Rings,
            forwarding_on: false,
            says_forwarded: false,
            device: DeviceNow::Reachable,
            start: StartNow::MayHaveLeft,
        }
    }

    fn delivery(kind: PushKind) -> Delivery {
        Delivery::new(7, kind, AT + 30_000, AT)
    }

    #[test]
    fn a_start_leaves_only_while_its_call_rings_and_nothing_is_forwarded() {
        use DeliveryEnd::{Superseded, TokenGone, Withheld};
        let start = delivery(PushKind::Incoming);
        for (call, on, says, device, decided) in [
            (CallNow::Rings, false, false, DeviceNow::Reachable, Ok(())),
            (CallNow::Rings, false, false, DeviceNow::NoToken, Err(TokenGone)),
            (CallNow::Rings, false, false, DeviceNow::Unregistered, Err(TokenGone)),
            (CallNow::Rings, true, false, DeviceNow::Reachable, Err(Withheld)),
            (CallNow::Forwarded, true, false, DeviceNow::Reachable, Err(Withheld)),
            // Forwarding was turned off again: the call went to the number all the same.
            (CallNow::Forwarded, false, false, DeviceNow::Reachable, Err(Withheld)),
            (CallNow::Over, false, false, DeviceNow::Reachable, Err(Superseded)),
            (CallNow::Over, true, false, DeviceNow::Reachable, Err(Withheld)),
            // An old server.
            (CallNow::Forwarded, true, true, DeviceNow::Reachable, Ok(())),
            (CallNow::Over, true, true, DeviceNow::Reachable, Err(Superseded)),
        ] {
            let given = Facts { call, forwarding_on: on, says_forwarded: says, device, ..facts() };
            assert_eq!(start.decide(given), decided, "{given:?}");
        }
    }

    #[test]
    fn a_stop_leaves_whenever_its_start_may_have_whatever_else_is_true() {
        for kind in [PushKind::AnsweredElsewhere, PushKind::Ended] {
            for call in [CallNow::Rings, CallNow::Forwarded, CallNow::Over] {
                for forwarding_on in [true, false] {
                    for device in [DeviceNow::Reachable, DeviceNow::Unregistered] {
                        let given = Facts { call, forwarding_on, device, ..facts() };
                        assert_eq!(delivery(kind).decide(given), Ok(()), "{given:?}");
                        let given = Facts { start: StartNow::NeverLeft, ..given };
                        assert_eq!(delivery(kind).decide(given), Err(DeliveryEnd::NeverStarted), "{given:?}");
                    }
                }
            }
            let given = Facts { device: DeviceNow::NoToken, ..facts() };
            assert_eq!(delivery(kind).decide(given), Err(DeliveryEnd::TokenGone));
        }
    }

    #[test]
    fn nothing_leaves_after_it_has_stopped_to_matter() {
        for kind in KINDS {
            let push = delivery(kind);
            assert_eq!(push.deliver_by, AT + 30_000);
            assert_eq!(push.decide(Facts { now: AT + 29_999, ..facts() }), Ok(()));
            assert_eq!(push.decide(Facts { now: AT + 30_000, ..facts() }), Err(DeliveryEnd::Expired));
        }
        let late_end = Delivery::new(7, PushKind::Ended, AT - 60_000, AT);
        assert_eq!(late_end.deliver_by, AT + 30_000, "the device that is in the call has to hear of its end");
        assert_eq!(Delivery::new(7, PushKind::Incoming, AT, AT).decide(facts()), Err(DeliveryEnd::Expired));
    }

    #[test]
    fn a_start_may_have_left_unless_every_try_was_refused() {
        let refused = || Outcome::Retry { after: None, why: String::new() };
        let unanswered = || Outcome::Unanswered { why: String::new() };
        let rejected = || Outcome::Rejected { why: String::new() };
        let gone = || Outcome::TokenGone { since: None };
        let table: [(&[Outcome], StartNow); 8] = [
            (&[], StartNow::NeverLeft),
            (&[refused()], StartNow::NeverLeft),
            (&[refused(), rejected()], StartNow::NeverLeft),
            (&[gone()], StartNow::NeverLeft),
            (&[Outcome::Accepted], StartNow::MayHaveLeft),
            (&[unanswered()], StartNow::MayHaveLeft),
            (&[unanswered(), refused()], StartNow::MayHaveLeft),
            (&[unanswered(), gone()], StartNow::MayHaveLeft),
        ];
        for (outcomes, expected) in table {
            let mut start = delivery(PushKind::Incoming);
            for outcome in outcomes {
                start.leave();
                assert_eq!(StartNow::of(Some(&start)), StartNow::MayHaveLeft, "while it is out");
                start.came_back(outcome, AT);
            }
            assert_eq!(StartNow::of(Some(&start)), expected, "{outcomes:?}");
        }
        assert_eq!(StartNow::of(None), StartNow::MayHaveLeft);
        let mut start = delivery(PushKind::Incoming);
        start.leave();
        start.interrupted(AT + 5);
        assert_eq!(start.stage, Stage::Waiting { due_at: AT + 5 });
        assert_eq!(StartNow::of(Some(&start)), StartNow::MayHaveLeft);
    }

    #[test]
    fn waits_grow_from_half_a_second_to_eight_and_end_with_the_ringing() {
        let outcome = Outcome::Retry { after: None, why: String::new() };
        for seq in 0..500 {
            let (mut start, mut now, mut waits) = (Delivery::new(seq, PushKind::Incoming, AT + 30_000, AT), AT, vec![]);
            loop {
                start.leave();
                start.came_back(&outcome, now);
                match start.stage {
                    Stage::Waiting { due_at } => waits.push(due_at - now),
                    Stage::Done(end) => {
                        assert_eq!(end, DeliveryEnd::Expired);
                        break;
                    }
                    Stage::Sending => unreachable!(),
                }
                now += waits.last().unwrap();
                assert!(now < AT + 30_000);
            }
            for (wait, longest) in waits.iter().zip([500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000, 8_000, 8_000]) {
                assert!((longest / 2..=longest).contains(wait), "{waits:?}");
            }
        }
        let spread: std::collections::BTreeSet<i64> =
            (0..100).map(|seq| Delivery { tries: 5, ..Delivery::new(seq, PushKind::Ended, AT, AT) }.wait()).collect();
        assert!(spread.len() > 90, "they do not come back together: {}", spread.len());
    }

    #[test]
    fn a_service_that_wants_to_be_left_alone_is() {
        let mut start = delivery(PushKind::Incoming);
        start.leave();
        start.came_back(&Outcome::Retry { after: Some(Duration::from_secs(20)), why: String::new() }, AT);
        assert_eq!(start.stage, Stage::Waiting { due_at: AT + 20_000 });
        start.came_back(&Outcome::Retry { after: Some(Duration::from_secs(30)), why: String::new() }, AT);
        assert_eq!(start.stage, Stage::Done(DeliveryEnd::Expired));
    }

    /// A call, its start, its stop, and a push service of any mood.
    #[derive(Debug)]
    struct World {
        now: Millis,
        call: CallNow,
        forwarding_on: bool,
        start: Delivery,
        stop: Option<Delivery>,
        /// Whether the phone may have heard of the start.
        heard: bool,
    }

    #[derive(Clone, Debug)]
    enum Happens {
        Time(i64),
        ForwardingOn,
        ForwardingOff,
        HangUp,
        /// What a push that is out comes to: the stop, or the start.
        Answer {
            stop: bool,
            outcome: Outcome,
        },
        Crash,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        let why = String::new;
        let outcome = prop_oneof![
            Just(Outcome::Accepted),
            Just(Outcome::Unanswered { why: why() }),
            prop::option::of(0..20_u64)
                .prop_map(move |after| Outcome::Retry { after: after.map(Duration::from_secs), why: why() }),
            Just(Outcome::Rejected { why: why() }),
            Just(Outcome::TokenGone { since: None }),
        ];
        prop_oneof![
            4 => (0..5_000_i64).prop_map(Happens::Time),
            1 => Just(Happens::ForwardingOn),
            1 => Just(Happens::ForwardingOff),
            1 => Just(Happens::HangUp),
            6 => (any::<bool>(), outcome).prop_map(|(stop, outcome)| Happens::Answer { stop, outcome }),
            1 => Just(Happens::Crash),
        ]
    }

    impl World {
        fn new() -> Self {
            Self {
                now: AT,
                call: CallNow::Rings,
                forwarding_on: false,
                start: delivery(PushKind::Incoming),
                stop: None,
                heard: false,
            }
        }

        fn over(&mut self, call: CallNow) {
            if self.call == CallNow::Rings {
                self.call = call;
                self.stop = Some(Delivery::new(8, PushKind::Ended, AT + 30_000, self.now));
            }
        }

        /// What the worker does.
        fn send_what_is_due(&mut self) -> Result<(), TestCaseError> {
            for which in [false, true] {
                let facts = Facts {
                    now: self.now,
                    call: self.call,
                    forwarding_on: self.forwarding_on,
                    start: StartNow::of(Some(&self.start)),
                    ..facts()
                };
                let push = if which { self.stop.as_mut() } else { Some(&mut self.start) };
                let Some(push) = push else { continue };
                if !matches!(push.stage, Stage::Waiting { due_at } if due_at <= self.now) {
                    continue;
                }
                match push.decide(facts) {
                    Err(end) => push.stage = Stage::Done(end),
                    Ok(()) if which => push.leave(),
                    Ok(()) => {
                        push.leave();
                        prop_assert!(self.call == CallNow::Rings && !self.forwarding_on && self.now < AT + 30_000);
                    }
                }
            }
            Ok(())
        }

        fn happens(&mut self, event: Happens) -> Result<(), TestCaseError> {
            match event {
                Happens::Time(ms) => self.now += ms,
                Happens::ForwardingOn => {
                    self.forwarding_on = true;
                    self.over(CallNow::Forwarded);
                }
                Happens::ForwardingOff => self.forwarding_on = false,
                Happens::HangUp => self.over(CallNow::Over),
                Happens::Answer { stop, outcome } => {
                    let push = if stop { self.stop.as_mut() } else { Some(&mut self.start) };
                    if let Some(push) = push.filter(|push| push.stage == Stage::Sending) {
                        push.came_back(&outcome, self.now);
                        let took = matches!(outcome, Outcome::Accepted | Outcome::Unanswered { .. });
                        self.heard |= took && !stop;
                    }
                }
                Happens::Crash => {
                    self.heard |= self.start.stage == Stage::Sending;
                    let pushes = self.stop.as_mut().into_iter().chain([&mut self.start]);
                    pushes.filter(|push| push.stage == Stage::Sending).for_each(|push| push.interrupted(self.now));
                }
            }
            self.send_what_is_due()
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_a_phone_that_may_ring_is_told_to_stop(history in prop::collection::vec(happens(), 0..40)) {
            let mut world = World::new();
            world.send_what_is_due()?;
            for event in history {
                world.happens(event)?;
                let Some(stop) = &world.stop else { continue };
                if world.heard && world.now < stop.deliver_by {
                    let given_up = matches!(stop.stage, Stage::Done(DeliveryEnd::NeverStarted | DeliveryEnd::Withheld));
                    prop_assert!(!given_up, "{world:?}");
                    prop_assert!(stop.tries > 0, "no stop was tried: {world:?}");
                }
            }
        }
    }

    #[test]
    fn an_end_survives_the_database() {
        for end in DeliveryEnd::ALL {
            assert_eq!(DeliveryEnd::parse(end.name()), Some(end));
        }
    }
}
