//! An interleaving: what people, phones, servers and the network do, and when.

use hookswitch::wire::{Availability, PhoneNumber, UnavailableReason};

use super::phone::KeyFault;

/// How many phones there are, until a plan is shortened.
const PHONES: usize = 5;

/// One thing that somebody or something does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// A tap on a phone.
    Choose {
        phone: usize,
        availability: Availability,
    },
    /// The forwarding switch of a phone.
    Forward {
        phone: usize,
        on: bool,
    },
    /// A choice in a browser or on the desktop.
    BrowserChooses {
        availability: Availability,
    },
    BrowserForwards {
        on: bool,
    },
    /// Somebody calls the agent.
    Call,
    /// The customer hangs up on the newest call.
    CustomerHangsUp,
    /// The agent takes whatever rings on a phone, or hangs up what it is in.
    PickUp {
        phone: usize,
    },
    HangUp {
        phone: usize,
    },
    Background {
        phone: usize,
    },
    Foreground {
        phone: usize,
    },
    /// The phone has no network and knows it.
    NetworkDown {
        phone: usize,
    },
    NetworkUp {
        phone: usize,
    },
    /// Nothing comes through, and nobody is told.
    Partition {
        phone: usize,
    },
    Heal {
        phone: usize,
    },
    /// A proxy holds the stream back.
    Buffering {
        phone: usize,
        on: bool,
    },
    /// Everything takes up to so many milliseconds longer.
    Slow {
        phone: usize,
        by: u64,
    },
    /// The phone sleeps: no timer, no answer until it wakes. A push wakes it.
    Sleep {
        phone: usize,
        millis: u64,
    },
    /// The process is killed, and started again.
    Kill {
        phone: usize,
    },
    Repair {
        phone: usize,
    },
    /// Somebody sets the phone's clock.
    SetClock {
        phone: usize,
        skew: i64,
    },
    /// All streams and requests break; nothing is lost.
    ServerRestarts,
    Backup,
    /// What happened since the last backup is gone; a new epoch begins.
    Restore,
    /// No access token is valid any more.
    TokensExpire,
    OldServer {
        on: bool,
    },
    /// What a phone's connections carried is lost, and neither end knows: a NAT has forgotten them. New ones work.
    HalfOpen {
        phone: usize,
    },
    /// The platform says that there is no network. There is one, and it never says so.
    NetworkLies {
        phone: usize,
    },
    /// What the key store says until the phone is healed: to the next process, mostly.
    KeyFails {
        phone: usize,
        how: KeyFault,
    },
    /// The process is killed after so many more steps of its core.
    KillAfter {
        phone: usize,
        steps: u32,
    },
    /// The agent takes the newest call on the desktop.
    DesktopAnswers,
    Decline {
        phone: usize,
    },
}

/// What an interleaving is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All agree in the end.
    Agreement,
    /// Calls and forwarding; it ends when the last push has come, and nobody waits until all agree.
    Race,
    /// Who has a call, from its first ring until nobody has it any more.
    Answers,
}

/// A whole interleaving.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) phones: usize,
    /// Of a thousand packets so many are lost...
    pub(crate) lost: u64,
    /// ...so many requests arrive twice...
    pub(crate) twice: u64,
    /// ...and so many arrive when nobody waits for them any more.
    pub(crate) late: u64,
    /// Packets overtake each other by up to so many milliseconds.
    pub(crate) jitter: u64,
    /// The life of an access token in milliseconds.
    pub(crate) token_life: i64,
    pub(crate) kind: Kind,
    /// Of a thousand requests so many are answered with 503, half of them after they were carried out.
    pub(crate) failing: u64,
    /// How far the clocks of the server's nodes are off, in milliseconds; each answer and each stream is of one of them.
    pub(crate) nodes: Vec<i64>,
    /// The server says words that these phones do not know.
    pub(crate) tomorrow: bool,
    /// What happens, by its time in milliseconds.
    pub(crate) acts: Vec<(u64, Act)>,
}

/// The network is quiet from this moment after the last act.
const AFTERMATH: u64 = 2_000;

impl Plan {
    /// An interleaving by luck.
    pub(crate) fn new(seed: u64) -> Self {
        let mut luck = fastrand::Rng::with_seed(seed);
        let phones = PHONES;
        let span = luck.u64(20_000..120_000);
        let mut acts: Vec<(u64, Act)> =
            (0..luck.usize(5..40)).map(|_| (luck.u64(0..span), act(&mut luck, phones))).collect();
        acts.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            phones,
            lost: often(&mut luck, 150),
            twice: often(&mut luck, 200),
            late: often(&mut luck, 100),
            jitter: luck.u64(10..400),
            token_life: if luck.bool() { 3_600_000 } else { luck.i64(40_000..120_000) },
            kind: Kind::Agreement,
            failing: 0,
            nodes: vec![0],
            tomorrow: false,
            acts,
        }
    }

    /// A short and crowded one about calls and forwarding.
    pub(crate) fn race(seed: u64) -> Self {
        let mut luck = fastrand::Rng::with_seed(seed);
        let phones = luck.usize(1..=3);
        let span = luck.u64(2_000..15_000);
        // Long enough for the phones to register before the first call, mostly.
        let begin = luck.u64(0..3_000);
        let mut acts: Vec<(u64, Act)> =
            (0..luck.usize(3..14)).map(|_| (begin + luck.u64(0..span), race_act(&mut luck, phones))).collect();
        // Two at the same moment: that is a race.
        let call = begin + luck.u64(0..span);
        acts.push((call, Act::Call));
        acts.push((call + luck.u64(0..200), Act::BrowserForwards { on: luck.bool() }));
        acts.sort_by_key(|(at, _)| *at);
        if luck.u8(0..8) == 0 {
            sleeps_for_long(&mut luck, phones, &mut acts);
        }
        Self {
            seed,
            phones,
            lost: often(&mut luck, 150),
            twice: often(&mut luck, 500),
            late: often(&mut luck, 100),
            jitter: luck.u64(10..400),
            token_life: 3_600_000,
            kind: Kind::Race,
            failing: often(&mut luck, 200),
            nodes: nodes(&mut luck),
            tomorrow: luck.u8(0..4) == 0,
            acts,
        }
    }

    /// One about who answers a call, with whatever can come in between.
    pub(crate) fn answers(seed: u64) -> Self {
        let mut luck = fastrand::Rng::with_seed(seed);
        let phones = luck.usize(1..=3);
        let call = luck.u64(2_000..4_000);
        let mut acts = vec![(call, Act::Call)];
        // Some while the pushes are on their way still; the rest while it rings everywhere.
        for _ in 0..luck.usize(1..=3) {
            acts.push((call + luck.u64(500..9_000), Act::PickUp { phone: luck.usize(0..phones) }));
        }
        for _ in 0..luck.usize(0..8) {
            acts.push((call + luck.u64(0..12_000), answer_act(&mut luck, phones)));
        }
        for _ in 0..luck.usize(0..4) {
            acts.push((call + luck.u64(12_000..70_000), answer_act(&mut luck, phones)));
        }
        if luck.bool() {
            let next = call + luck.u64(5_000..60_000);
            acts.push((next, Act::Call));
            acts.push((next + luck.u64(500..9_000), Act::PickUp { phone: luck.usize(0..phones) }));
        }
        acts.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            phones,
            lost: often(&mut luck, 300),
            twice: often(&mut luck, 300),
            late: often(&mut luck, 100),
            jitter: luck.u64(10..400),
            token_life: if luck.bool() { 3_600_000 } else { luck.i64(40_000..120_000) },
            kind: Kind::Answers,
            failing: often(&mut luck, 300),
            nodes: nodes(&mut luck),
            tomorrow: false,
            acts,
        }
    }

    /// When the network heals.
    pub(crate) fn end(&self) -> u64 {
        self.acts.last().map_or(0, |(at, _)| *at) + AFTERMATH
    }
}

pub(crate) fn number() -> Option<PhoneNumber> {
    "+33612345678".parse().ok()
}

/// The clocks of one to three nodes: right in every other plan, else off by up to ten minutes.
fn nodes(luck: &mut fastrand::Rng) -> Vec<i64> {
    if luck.bool() { vec![0] } else { (0..luck.usize(1..=3)).map(|_| luck.i64(-600_000..600_000)).collect() }
}

/// Somewhere in the middle a phone goes to sleep, and whatever comes after it comes up to a quarter of an hour later.
fn sleeps_for_long(luck: &mut fastrand::Rng, phones: usize, acts: &mut Vec<(u64, Act)>) {
    let (from, millis) = (luck.usize(0..acts.len()), luck.u64(60_000..900_000));
    let at = acts.get(from).map_or(0, |(at, _)| *at);
    for (later, _) in acts.iter_mut().skip(from) {
        *later += millis;
    }
    // It wakes up by a push, or in time for nothing.
    acts.insert(from, (at, Act::Sleep { phone: luck.usize(0..phones), millis: millis + luck.u64(0..60_000) }));
}

/// How many of a thousand packets have a certain luck in a plan: none in every other plan, else fewer than `most`.
fn often(luck: &mut fastrand::Rng, most: u64) -> u64 {
    if luck.bool() { 0 } else { luck.u64(0..most) }
}

fn availability(luck: &mut fastrand::Rng) -> Availability {
    match luck.u8(0..7) {
        0 | 1 => Availability::Available,
        2 => Availability::Automatic,
        n => Availability::Unavailable {
            reason: UnavailableReason::ALL.get(usize::from(n - 3)).copied().unwrap_or(UnavailableReason::Other),
        },
    }
}

fn race_act(luck: &mut fastrand::Rng, phones: usize) -> Act {
    let phone = luck.usize(0..phones);
    match luck.u8(0..38) {
        0..=4 => Act::Forward { phone, on: luck.bool() },
        5..=9 => Act::BrowserForwards { on: luck.bool() },
        10..=13 => Act::Call,
        14 => Act::CustomerHangsUp,
        15 => Act::PickUp { phone },
        16 => Act::HangUp { phone },
        17 => Act::Background { phone },
        18 => Act::Foreground { phone },
        19 => Act::NetworkDown { phone },
        20 => Act::NetworkUp { phone },
        21 => Act::Partition { phone },
        22 => Act::Heal { phone },
        23 => Act::Sleep { phone, millis: luck.u64(1_000..10_000) },
        24..=26 => Act::Kill { phone },
        27 => Act::SetClock { phone, skew: luck.i64(-315_360_000_000..315_360_000_000) },
        28 => Act::ServerRestarts,
        29 => Act::Backup,
        30 => Act::Restore,
        31 | 32 => Act::HalfOpen { phone },
        33 | 34 => Act::NetworkLies { phone },
        35 | 36 => Act::KeyFails { phone, how: KeyFault::any(luck) },
        _ => Act::OldServer { on: luck.bool() },
    }
}

fn answer_act(luck: &mut fastrand::Rng, phones: usize) -> Act {
    let phone = luck.usize(0..phones);
    match luck.u8(0..40) {
        0..=5 => Act::PickUp { phone },
        6..=9 => Act::HangUp { phone },
        10 | 11 => Act::Decline { phone },
        12 | 13 => Act::CustomerHangsUp,
        14 => Act::DesktopAnswers,
        15 | 16 => Act::NetworkDown { phone },
        17 | 18 => Act::NetworkUp { phone },
        19..=21 => Act::Partition { phone },
        22..=24 => Act::Heal { phone },
        25 | 26 => Act::HalfOpen { phone },
        27 => Act::NetworkLies { phone },
        28 => Act::Sleep { phone, millis: luck.u64(1_000..60_000) },
        29 => Act::Kill { phone },
        30..=33 => Act::KillAfter { phone, steps: luck.u32(1..12) },
        34 => Act::ServerRestarts,
        35 => Act::TokensExpire,
        36 => Act::Background { phone },
        37 => Act::Foreground { phone },
        38 => Act::Forward { phone, on: luck.bool() },
        _ => Act::Slow { phone, by: luck.u64(0..1_000) },
    }
}

fn act(luck: &mut fastrand::Rng, phones: usize) -> Act {
    let phone = luck.usize(0..phones);
    match luck.u8(0..60) {
        0..=13 => Act::Choose { phone, availability: availability(luck) },
        14..=18 => Act::Forward { phone, on: luck.bool() },
        19..=22 => Act::BrowserChooses { availability: availability(luck) },
        23 | 24 => Act::BrowserForwards { on: luck.bool() },
        25..=27 => Act::Call,
        28 => Act::CustomerHangsUp,
        29 | 30 => Act::PickUp { phone },
        31 => Act::HangUp { phone },
        32 | 33 => Act::Background { phone },
        34 | 35 => Act::Foreground { phone },
        36 | 37 => Act::NetworkDown { phone },
        38 | 39 => Act::NetworkUp { phone },
        40..=42 => Act::Partition { phone },
        43 | 44 => Act::Heal { phone },
        45 | 46 => Act::Buffering { phone, on: luck.bool() },
        47 => Act::Slow { phone, by: luck.u64(0..8_000) },
        48 => Act::Sleep { phone, millis: luck.u64(1_000..40_000) },
        49 | 50 => Act::Kill { phone },
        51 => Act::Repair { phone },
        52 => Act::SetClock { phone, skew: luck.i64(-315_360_000_000..315_360_000_000) },
        53 | 54 => Act::ServerRestarts,
        55 => Act::Backup,
        56 => Act::Restore,
        57 | 58 => Act::TokensExpire,
        _ => Act::OldServer { on: luck.bool() },
    }
}
