//! What time it is, twice over.

use hookswitch_wire::UnixMillis;
use serde::{Deserialize, Serialize};

/// Milliseconds of a clock that never jumps and goes on while the device sleeps (`CLOCK_BOOTTIME`, not
/// `CLOCK_MONOTONIC`). Means nothing outside of its process.
pub type Mono = u64;

/// Now, by both clocks of the device.
///
/// The wall clock is whatever the person set; it may be ten years off and may jump at any moment. So it is used only for
/// what must survive the process (stored expiry, the age of a pending login) and always corrected by the server's `Date`;
/// all waiting and ageing within a process goes by the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamp {
    /// The device's wall clock.
    pub wall: UnixMillis,
    /// The device's monotonic clock.
    pub mono: Mono,
}

/// `Date` has whole seconds.
const RESOLUTION: i64 = 1_000;

/// An answer that contradicts the others is held against them for so long, in milliseconds; by then the device's own clock
/// may have drifted.
const DOUBT_LIFE: Mono = 3_600_000;

/// What is known of the server's clock.
///
/// What a server says of its time is old when it is heard: by an instant, or by the hour for which the process was
/// suspended with the answer in its socket. So a time is a lower bound; only the answer to a question bounds it from
/// above as well, by how long the question was out (F. Cristian, "Probabilistic clock synchronization", 1989).
///
/// And it is one node's word: another may be minutes off. What a stream says moves the clock only within the bounds of the
/// last answer, and vouches for nothing by itself; answers that cannot all be right leave a doubt as wide as their
/// difference for [`DOUBT_LIFE`], however many of them agree (they may be of the same wrong node), and [`Self::earliest`] and
/// [`Self::latest`] give its ends. So a clock in doubt calls no call expired, and no choice newer than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerClock {
    /// `server - wall` when last seen; survives restarts, and is wrong once somebody has set the clock.
    offset: Option<i64>,
    /// `server - mono`, seen in this process: immune to anybody who sets the clock.
    anchor: Option<UnixMillis>,
    /// What the last answer to a question said of `server - mono`; nothing before the first one in this process.
    #[serde(default)]
    bounds: Option<Bounds>,
    /// The lowest of the upper ends that the answers of the last hour left, and when it was heard.
    #[serde(default)]
    lowest: Option<(UnixMillis, Mono)>,
    /// The highest of their lower ends, and when that was heard.
    #[serde(default)]
    highest: Option<(UnixMillis, Mono)>,
}

/// Ends of what `server - mono` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Bounds {
    least: UnixMillis,
    most: UnixMillis,
}

impl ServerClock {
    /// As remembered from an earlier process.
    pub const fn remembered(offset: Option<i64>) -> Self {
        Self { offset, anchor: None, bounds: None, lowest: None, highest: None }
    }

    /// The server said what time it was: at some moment of the last `within` milliseconds, or (`None`) at some moment
    /// before now.
    pub fn hear(&mut self, server: UnixMillis, within: Option<u64>, now: Timestamp) {
        let mono = mono_as_millis(now.mono);
        let least = server - mono;
        let answer = within.map(|within| Bounds { least, most: least + mono_as_millis(within) + RESOLUTION });
        let anchor = match (answer, self.bounds) {
            (Some(Bounds { least, most }), before) => {
                // What is remembered is as good as the device's clock, so only within bounds on both sides.
                let believed =
                    self.anchor.filter(|_| before.is_some()).or_else(|| Some(now.wall + self.offset? - mono));
                let anchor = believed.map_or(least, |believed| believed.max(least)).min(most);
                let counts = |heard: Mono| now.mono.saturating_sub(heard) < DOUBT_LIFE;
                let lower = |(lowest, heard): &(UnixMillis, Mono)| *lowest < most && counts(*heard);
                let higher = |(highest, heard): &(UnixMillis, Mono)| *highest > least && counts(*heard);
                self.lowest = self.lowest.filter(lower).or(Some((most, now.mono)));
                self.highest = self.highest.filter(higher).or(Some((least, now.mono)));
                self.bounds = answer;
                anchor
            }
            // A lower bound, but one node's: no further than the last answer allows.
            (None, Some(Bounds { most, .. })) => self.anchor.map_or(least, |anchor| anchor.max(least.min(most))),
            (None, None) => self.anchor.map_or(least, |anchor| anchor.max(least)),
        };
        self.anchor = Some(anchor);
        self.offset = Some((anchor + mono).since(now.wall));
    }

    /// The server's time as far as it can be trusted: only when a question was answered in this process.
    pub fn trusted(&self, now: Timestamp) -> Option<UnixMillis> {
        self.anchor.filter(|_| self.bounds.is_some()).map(|anchor| anchor + mono_as_millis(now.mono))
    }

    /// The earliest that the server's time can be, doubts included; what is not sure of it by then silences no call.
    pub fn earliest(&self, now: Timestamp) -> Option<UnixMillis> {
        let trusted = self.trusted(now)?;
        Some(self.lowest.map_or(trusted, |(lowest, _)| trusted.min(lowest + mono_as_millis(now.mono))))
    }

    /// The latest that the server's time can be, doubts included; nothing was certainly chosen after it.
    pub fn latest(&self, now: Timestamp) -> Option<UnixMillis> {
        let trusted = self.trusted(now)?;
        Some(self.highest.map_or(trusted, |(highest, _)| trusted.max(highest + mono_as_millis(now.mono))))
    }

    /// The server's time at best guess.
    pub fn guess(&self, now: Timestamp) -> UnixMillis {
        match self.anchor {
            Some(anchor) => anchor + mono_as_millis(now.mono),
            None => now.wall + self.offset.unwrap_or(0),
        }
    }

    /// What to remember for the next process.
    pub const fn offset(&self) -> Option<i64> {
        self.offset
    }
}

fn mono_as_millis(mono: Mono) -> i64 {
    i64::try_from(mono).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_time_ignores_a_clock_that_somebody_set() {
        let mut clock = ServerClock::default();
        clock.hear(UnixMillis(1_000_000), Some(0), Timestamp { wall: UnixMillis(5_000), mono: 10 });
        let ten_years = 315_360_000_000;
        assert_eq!(
            clock.trusted(Timestamp { wall: UnixMillis(5_000 + ten_years), mono: 2_010 }),
            Some(UnixMillis(1_002_000))
        );
        assert_eq!(clock.guess(Timestamp { wall: UnixMillis(-ten_years), mono: 2_010 }), UnixMillis(1_002_000));
    }

    #[test]
    fn a_time_that_was_on_its_way_for_long_sets_no_clock_back() {
        let mut clock = ServerClock::default();
        let at = |mono| Timestamp { wall: UnixMillis(0), mono };
        clock.hear(UnixMillis(1_000_000), Some(20), at(0));
        for within in [Some(50_000), None] {
            clock.hear(UnixMillis(1_000_100), within, at(50_100));
            assert_eq!(clock.trusted(at(50_100)), Some(UnixMillis(1_050_100)), "{within:?}");
        }
    }

    #[test]
    fn a_stream_moves_the_clock_no_further_than_the_last_answer_allows() {
        let mut clock = ServerClock::default();
        let at = |mono| Timestamp { wall: UnixMillis(0), mono };
        // Nobody vouches for what only a stream said.
        clock.hear(UnixMillis(1_031_000), None, at(0));
        assert_eq!(clock.trusted(at(0)), None);
        clock.hear(UnixMillis(1_000_000), Some(20), at(0));
        // A node whose clock is 31 s ahead.
        clock.hear(UnixMillis(1_046_000), None, at(15_000));
        assert_eq!(clock.trusted(at(15_000)), Some(UnixMillis(1_015_000 + 1_020)));
    }

    #[test]
    fn two_answers_that_cannot_both_be_right_leave_a_doubt() {
        let mut clock = ServerClock::default();
        let at = |mono| Timestamp { wall: UnixMillis(0), mono };
        clock.hear(UnixMillis(1_000_000), Some(20), at(0));
        clock.hear(UnixMillis(1_120_000), Some(20), at(0));
        let earliest = clock.earliest(at(0)).unwrap();
        assert!(earliest <= UnixMillis(1_001_020), "{earliest:?}");
        assert_eq!(clock.guess(at(0)), UnixMillis(1_120_000));
        // The next one agrees with the last: it may be of the same node, whose clock is wrong.
        clock.hear(UnixMillis(1_120_000), Some(20), at(0));
        assert_eq!(clock.earliest(at(0)), Some(earliest));
        // In an hour nobody remembers the first one.
        clock.hear(UnixMillis(4_720_000), Some(20), at(DOUBT_LIFE));
        assert_eq!(clock.earliest(at(DOUBT_LIFE)), Some(UnixMillis(4_720_000)));
    }

    #[test]
    fn a_doubt_has_two_ends() {
        let mut clock = ServerClock::default();
        let at = |mono| Timestamp { wall: UnixMillis(0), mono };
        assert_eq!(clock.latest(at(0)), None);
        clock.hear(UnixMillis(1_120_000), Some(20), at(0));
        assert_eq!(clock.latest(at(0)), Some(UnixMillis(1_120_000)));
        clock.hear(UnixMillis(1_000_000), Some(20), at(0));
        assert!(clock.guess(at(0)) <= UnixMillis(1_001_020));
        assert_eq!(clock.latest(at(5_000)), Some(UnixMillis(1_125_000)));
        clock.hear(UnixMillis(4_600_000), Some(20), at(DOUBT_LIFE));
        assert_eq!(clock.latest(at(DOUBT_LIFE)), clock.trusted(at(DOUBT_LIFE)));
    }

    #[test]
    fn a_prompt_answer_sets_the_clock_right_either_way() {
        let mut clock = ServerClock::default();
        let at = |mono| Timestamp { wall: UnixMillis(0), mono };
        clock.hear(UnixMillis(1_000_000), Some(20), at(0));
        clock.hear(UnixMillis(1_010_000), Some(20), at(0));
        assert_eq!(clock.trusted(at(0)), Some(UnixMillis(1_010_000)));
        // The server's clock was an hour ahead and was set right.
        clock.hear(UnixMillis(1_010_000 - 3_600_000), Some(20), at(0));
        assert_eq!(clock.trusted(at(0)), Some(UnixMillis(1_010_000 - 3_600_000 + 1_020)));
    }

    #[test]
    fn the_first_answer_of_a_process_is_held_against_what_is_remembered() {
        let late = |wall| {
            let mut clock = ServerClock::remembered(Some(-500));
            // Asked at 10 s, heard at 60 s: the server said the time when it answered.
            clock.hear(UnixMillis(9_500), Some(50_000), Timestamp { wall, mono: 60_000 });
            clock.trusted(Timestamp { wall, mono: 60_000 })
        };
        assert_eq!(
            late(UnixMillis(60_000)),
            Some(UnixMillis(59_500)),
            "what is remembered is possible, and better than the bounds"
        );
        assert_eq!(
            late(UnixMillis(60_000_000)),
            Some(UnixMillis(60_500)),
            "somebody has set the clock: the bounds hold"
        );
        assert_eq!(late(UnixMillis(0)), Some(UnixMillis(9_500)));
    }

    #[test]
    fn a_new_process_guesses_and_trusts_nothing() {
        let clock = ServerClock::remembered(Some(-500));
        let now = Timestamp { wall: UnixMillis(10_000), mono: 3 };
        assert_eq!(clock.trusted(now), None);
        assert_eq!(clock.guess(now), UnixMillis(9_500));
    }
}
