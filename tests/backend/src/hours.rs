//! Working hours in the agent's time zone.

use hookswitch_wire::UnixMillis;
use jiff::{Timestamp, ToSpan, ZonedDateTime, civil::Weekday, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Monday to Friday from one minute of the day to another, in a time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkingHours {
    /// An IANA name: `Europe/Paris`.
    pub time_zone: String,
    /// The first minute of the day that is work.
    pub from_minute: u16,
    /// The first minute that is not any more.
    pub to_minute: u16,
}

impl WorkingHours {
    /// Nine to six in `time_zone`.
    pub fn office(time_zone: &str) -> Self {
        Self { time_zone: time_zone.to_owned(), from_minute: 9 * 60, to_minute: 18 * 60 }
    }

    /// Whether the time zone exists and the day begins before it ends.
    pub fn is_valid(&self) -> bool {
        TimeZone::get(&self.time_zone).is_ok() && self.from_minute < self.to_minute && self.to_minute <= 24 * 60
    }

    fn local(&self, at: UnixMillis) -> Option<ZonedDateTime> {
        Some(Timestamp::from_millisecond(at.0).ok()?.to_zoned_datetime(TimeZone::get(&self.time_zone).ok()?))
    }

    /// Whether `at` is work.
    pub(crate) fn contain(&self, at: UnixMillis) -> bool {
        let Some(local) = self.local(at) else { return false };
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        is_workday(&local) && minute >= i32::from(self.from_minute) && minute < i32::from(self.to_minute)
    }

    /// When [`WorkingHours::contain`] changes next after `at`.
    pub(crate) fn next_edge(&self, at: UnixMillis) -> Option<UnixMillis> {
        let midnight = self.local(at)?.start_of_day().ok()?;
        // Eight days hold an edge whatever the day of the week is and whatever summer time does.
        (0..8).find_map(|days| {
            let day = midnight.checked_add(days.days()).ok()?;
            [self.from_minute, self.to_minute].into_iter().find_map(|minute| {
                // By the wall clock: on the two odd days of the year, nine is not nine hours after midnight.
                let wall = day.date().at(0, 0, 0, 0).checked_add(i64::from(minute).minutes()).ok()?;
                let edge = wall.to_zoned_datetime(day.time_zone().clone()).ok()?;
                let edge_at = UnixMillis(edge.timestamp().as_millisecond());
                (is_workday(&day) && edge_at > at).then_some(edge_at)
            })
        })
    }
}

fn is_workday(day: &ZonedDateTime) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn nine_is_nine_in_paris_in_summer_and_in_winter() {
        let hours = WorkingHours::office("Europe/Paris");
        let table = [
            ("2026-07-01T06:59:59Z", false, "2026-07-01T07:00:00Z"),
            ("2026-07-01T07:00:00Z", true, "2026-07-01T16:00:00Z"),
            ("2026-12-01T07:30:00Z", false, "2026-12-01T08:00:00Z"),
            ("2026-12-01T16:59:59Z", true, "2026-12-01T17:00:00Z"),
            // Friday evening to Monday morning, over the change to winter time.
            ("2026-10-23T16:00:00Z", false, "2026-10-26T08:00:00Z"),
        ];
        for (now, works, edge) in table {
            assert_eq!(hours.contain(at(now)), works, "{now}");
            assert_eq!(hours.next_edge(at(now)), Some(at(edge)), "{now}");
        }
    }

    proptest! {
        #[test]
        fn between_now_and_the_next_edge_nothing_changes(
            now in (0_i64..4_000_000_000_000).prop_map(UnixMillis),
            share in 0.0_f64..1.0,
            zone in prop::sample::select(vec!["Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "UTC"]),
        ) {
            let hours = WorkingHours::office(zone);
            let edge = hours.next_edge(now).unwrap();
            prop_assert!(edge > now);
            let between = now + ((edge.since(now) - 1) as f64 * share) as i64;
            prop_assert_eq!(hours.contain(between), hours.contain(now));
            prop_assert_ne!(hours.contain(edge), hours.contain(now));
        }
    }
}
