//! What servers have sent and vaults have kept until now, written out: every later version reads it, and it means what it meant.

#![allow(clippy::unwrap_used, reason = "tests")]

use hookswitch_wire::{CallPush, Effective, PushKind, Snapshot, UnixMillis, Version};

const STARTS: &str = r#"{"kind":"incoming","call_id":"c1","account":"alice","expires_at":1700000030000,
    "routing":{"epoch":1,"rev":7},"forwarding_on":false,"from":"+33187654321","from_name":"A Customer"}"#;
const STOPS: &str = r#"{"kind":"answered_elsewhere","call_id":"c1","account":"alice","expires_at":1700000030000,
    "routing":{"epoch":1,"rev":8},"forwarding_on":false}"#;
const KEPT: &str = r#"{"version":{"epoch":1,"rev":2},"agent":{"account":"a","email":"e","name":"n","role":"agent"},
    "presence":{"availability":{"kind":"unavailable","reason":"out_for_lunch"},
    "forwarding":{"on":true,"number":"+33612345678","rev":2},"call_leases":[],"effective":"do_not_disturb"},"calls":[],
    "devices":[{"id":"d","name":"n","platform":"ios","app_version":"1","cannot_ring":null,"last_seen":3}],"at":4}"#;

#[test]
fn a_push_of_yesterday_means_what_it_meant() {
    let start = CallPush::read(STARTS).unwrap();
    assert_eq!((start.kind, start.routing), (PushKind::Incoming, Version::new(1, 7)));
    assert_eq!((start.account.as_str(), start.expires_at), ("alice", UnixMillis(1_700_000_030_000)));
    assert!(start.from.is_some_and(|from| from.as_str() == "+33187654321"));
    let stop = CallPush::read(STOPS).unwrap();
    assert_eq!((stop.kind, stop.from), (PushKind::AnsweredElsewhere, None));
}

#[test]
fn a_state_that_was_kept_by_an_older_app_opens() {
    let kept: Snapshot = serde_json::from_str(KEPT).unwrap();
    assert_eq!(kept.presence.effective, Effective::DoNotDisturb);
    assert!(kept.presence.forwarding.is_on() && kept.presence.availability.can_be_set());
    assert!(kept.devices.iter().all(hookswitch_wire::Device::can_ring));
}
