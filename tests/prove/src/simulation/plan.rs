//! An interleaving: what people, phones, servers and the network do, and when.

use hookswitch::wire::{Availability, PhoneNumber, UnavailableReason};

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
    /// It is about calls and forwarding, and ends when the last push has come; nobody waits until all agree.
    pub(crate) is_race: bool,
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
            is_race: false,
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
        Self {
            seed,
            phones,
            lost: often(&mut luck, 150),
            twice: often(&mut luck, 500),
            late: often(&mut luck, 100),
            jitter: luck.u64(10..400),
            token_life: 3_600_000,
            is_race: true,
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
    match luck.u8(0..32) {
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
        _ => Act::OldServer { on: luck.bool() },
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
