//! What the operator is told: calls, pushes, requests and sessions. None of it holds a secret.

use hookswitch_wire::{Call, CallId, CallPush, DeviceId, Effective, PhoneNumber, Platform, PushKind};
use serde::{Deserialize, Serialize};

use crate::{
    aggregate::{DeviceRing, GivenBack, TrackedCall},
    clock::Millis,
    push::DeliveryEnd,
};

/// A call, and who was told of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallReport {
    /// The call as it is now.
    pub call: Call,
    /// What was decided for each mobile device when it came.
    pub devices: Vec<DeviceRing>,
    /// The external number that it went to.
    pub forwarded_to: Option<PhoneNumber>,
    /// `Some`: the agent was this, and was not offered the call; the apps never heard of it.
    pub agent_was: Option<Effective>,
    /// `Some`: the queue has the call again, for another agent, and why.
    pub given_back: Option<GivenBack>,
}

impl From<&TrackedCall> for CallReport {
    fn from(tracked: &TrackedCall) -> Self {
        Self {
            call: tracked.call.clone(),
            devices: tracked.rings.clone(),
            forwarded_to: tracked.call.forwarded_to.clone(),
            agent_was: tracked.agent_was,
            given_back: tracked.given_back,
        }
    }
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// Its number in the outbox.
    pub seq: u64,
    /// The device that it goes to.
    pub device: DeviceId,
    /// The call that it is about.
    pub call_id: CallId,
    /// Whether it starts a ring or ends one.
    pub kind: PushKind,
    /// How often it went to the push service.
    pub tries: u32,
    /// Whether the device may have got it.
    pub may_have_left: bool,
    /// Whether it is with the push service now.
    pub is_out: bool,
    /// How it ended; `None` while it waits or is out.
    pub end: Option<DeliveryEnd>,
}

/// A push as it goes to APNs or FCM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Grows by one a push.
    pub seq: u64,
    /// When it was decided on; from [`Operator::pushes`](super::Operator::pushes), when it was sent.
    pub at: Millis,
    /// The device that it goes to.
    pub device: DeviceId,
    /// The service that carries it: APNs for iOS, FCM for Android.
    pub platform: Platform,
    /// The device's address at that service.
    pub push_token: String,
    /// What the phone is told, as it travels.
    pub payload: CallPush,
}

/// A request that was answered. Never holds a secret: no query, no header, no body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestLog {
    /// When it was answered.
    pub at: Millis,
    /// `GET` and its like.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The status of the answer; 0: none, because a fault cut the connection.
    pub status: u16,
    /// `web`, `dashboard`, `cti-…`, `desktop`, `phone DEVICE`, or nothing.
    pub who: String,
}

/// A live session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionReport {
    /// Its name; no secret.
    pub id: String,
    /// `mobile`, `browser` or `desktop`.
    pub kind: String,
    /// The device that it registered.
    pub device: Option<DeviceId>,
    /// When it began.
    pub created_at: Millis,
    /// When it was seen last, give or take a minute.
    pub last_seen: Millis,
    /// The client's IP address at its last request.
    pub address: String,
    /// Whether the second factor was given.
    pub second_factor: bool,
}
