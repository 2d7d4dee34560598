//! Do several people use this login? A rule of thumb, pure.

use std::collections::HashSet;

use hookswitch_wire::{Platform, UnixMillis};

/// Only what happened this recently counts.
const WINDOW: i64 = 10 * 60_000;
/// One person may well have two iPhones, for work and private.
const MOST_PHONES_OF_ONE_KIND: usize = 2;
/// One person may be on the desktop here and on a phone there.
const MOST_PLACES: usize = 2;

/// A session that does not share its sign-in with others: a phone or a desktop app.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `None`: not a phone, or one that has not registered.
    pub(crate) platform: Option<Platform>,
    /// The network address that it spoke from last.
    pub(crate) address: String,
    /// When.
    pub(crate) at: UnixMillis,
}

/// More phones of one kind than a person carries, or more places at once than a person can be in.
pub(crate) fn is_shared(seen: &[Seen], now: UnixMillis) -> bool {
    let recent = || seen.iter().filter(|s| now.saturating_sub(s.at) <= WINDOW);
    let phones = |kind| recent().filter(|s| s.platform == Some(kind)).count();
    let places: HashSet<&str> = recent().map(|s| s.address.as_str()).collect();
    phones(Platform::Ios) > MOST_PHONES_OF_ONE_KIND
        || phones(Platform::Android) > MOST_PHONES_OF_ONE_KIND
        || places.len() > MOST_PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(platform: Option<Platform>, address: &str, at: UnixMillis) -> Seen {
        Seen { platform, address: address.to_owned(), at }
    }

    #[test]
    fn three_phones_of_a_kind_or_three_places_at_once_are_several_people() {
        let (ios, android) = (Some(Platform::Ios), Some(Platform::Android));
        let now = 10_000_000;
        assert!(!is_shared(&[], now));
        assert!(!is_shared(
            &[seen(ios, "a", now), seen(ios, "a", now), seen(android, "b", now), seen(None, "b", now)],
            now
        ));
        assert!(is_shared(&[seen(ios, "a", now), seen(ios, "a", now), seen(ios, "a", now)], now));
        assert!(is_shared(&[seen(None, "a", now), seen(ios, "b", now), seen(android, "c", now)], now));
        // Yesterday's places are no evidence.
        assert!(!is_shared(&[seen(None, "a", now), seen(ios, "b", now), seen(android, "c", now - WINDOW - 1)], now));
    }
}
