//! Do several people use this login? A rule of thumb, pure.

use std::{collections::HashSet, net::IpAddr};

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
    /// When it spoke from there.
    pub(crate) at: UnixMillis,
}

/// Where an address is. All devices of a home or an office share one address of IPv4, or the first half of one of IPv6
/// (RFC 4291, section 2.5.4: the other half is the device's).
#[derive(PartialEq, Eq, Hash)]
enum Place<'a> {
    Host([u8; 4]),
    Network([u16; 4]),
    Unknown(&'a str),
}

impl<'a> Place<'a> {
    fn of(address: &'a str) -> Self {
        match address.parse().map(|address: IpAddr| address.to_canonical()) {
            Ok(IpAddr::V4(address)) => Self::Host(address.octets()),
            Ok(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Self::Network([a, b, c, d])
            }
            Err(_) => Self::Unknown(address),
        }
    }
}

fn recent(seen: &[Seen], now: UnixMillis) -> impl Iterator<Item = &Seen> {
    seen.iter().filter(move |s| now.since(s.at) <= WINDOW)
}

/// More phones of one kind than a person carries, or more places at once than a person can be in.
pub(crate) fn is_shared(seen: &[Seen], now: UnixMillis) -> bool {
    let phones = |kind| recent(seen, now).filter(|s| s.platform == Some(kind)).count();
    let places: HashSet<Place<'_>> = recent(seen, now).map(|s| Place::of(&s.address)).collect();
    phones(Platform::Ios) > MOST_PHONES_OF_ONE_KIND
        || phones(Platform::Android) > MOST_PHONES_OF_ONE_KIND
        || places.len() > MOST_PLACES
}

/// When a login that seems shared may seem so no more, if nothing else happens.
pub(crate) fn next_change(seen: &[Seen], now: UnixMillis) -> Option<UnixMillis> {
    let expiry = |s: &Seen| s.at + WINDOW + 1;
    if is_shared(seen, now) { recent(seen, now).map(expiry).min() } else { None }
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
        let now = UnixMillis(10_000_000);
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

    #[test]
    fn one_home_is_one_place_whatever_the_addresses_in_it() {
        let now = UnixMillis(10_000_000);
        let shared = |addresses: [&str; 3]| is_shared(&addresses.map(|address| seen(None, address, now)), now);
        assert!(!shared(["2001:db8:1:2::a", "2001:db8:1:2:ffff::b", "2001:db8:1:2::c"]));
        assert!(shared(["2001:db8:1:2::a", "2001:db8:1:3::a", "2001:db8:1:4::a"]));
        assert!(!shared(["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"]));
        assert!(shared(["192.0.2.1", "192.0.2.2", "192.0.2.3"]));
        assert!(shared(["192.0.2.1", "2001:db8::1", "no address"]));
    }

    #[test]
    fn what_seems_shared_seems_so_until_the_next_change_at_least_and_not_for_ever() {
        let mut now = UnixMillis(10_000_000);
        let seen = ["a", "b", "c", "d"].map(|address| seen(None, address, now - i64::from(address.as_bytes()[0])));
        while let Some(next) = next_change(&seen, now) {
            assert!(next > now && is_shared(&seen, next - 1));
            now = next;
        }
        assert!(!is_shared(&seen, now));
        assert!(now <= UnixMillis(10_000_000 + WINDOW), "three of four are gone by then");
    }
}
