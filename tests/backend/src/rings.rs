//! Which device is told of a call: the server's half of the ring rule, in one place.

use hookswitch_wire::{CannotRing, Effective};

/// Why a mobile device gets no push for a call now; `None`: it gets one.
///
/// The first reason counts that the agent can do something about: while calls go to an external number, nothing else
/// matters.
pub(crate) fn cannot_ring(forwarding_on: bool, effective: Effective, has_push_token: bool) -> Option<CannotRing> {
    if forwarding_on {
        return Some(CannotRing::ForwardingActive);
    }
    match effective {
        Effective::InCall => Some(CannotRing::InAnotherCall),
        Effective::Offline | Effective::DoNotDisturb | Effective::AfterCallWork | Effective::Unknown => {
            Some(CannotRing::NotAvailable)
        }
        Effective::Available if !has_push_token => Some(CannotRing::NoPushToken),
        Effective::Available => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_rings_only_when_the_agent_is_available_and_nothing_is_forwarded() {
        use CannotRing::{ForwardingActive, InAnotherCall, NoPushToken, NotAvailable};
        use Effective::{AfterCallWork, Available, DoNotDisturb, InCall, Offline};
        let table = [
            (Available, None, Some(NoPushToken)),
            (InCall, Some(InAnotherCall), Some(InAnotherCall)),
            (Offline, Some(NotAvailable), Some(NotAvailable)),
            (DoNotDisturb, Some(NotAvailable), Some(NotAvailable)),
            (AfterCallWork, Some(NotAvailable), Some(NotAvailable)),
        ];
        for (effective, with_token, without) in table {
            assert_eq!(cannot_ring(false, effective, true), with_token, "{effective:?}");
            assert_eq!(cannot_ring(false, effective, false), without, "{effective:?} without a token");
            for has_token in [true, false] {
                assert_eq!(cannot_ring(true, effective, has_token), Some(ForwardingActive), "{effective:?} forwarded");
            }
        }
    }
}
