//! What a newer server says: words, fields and callers that these phones do not know. Read as the app reads it, from text.

use hookswitch::wire::{CallPush, Effective, PushKind, Snapshot};
use serde_json::{Value, json};

/// What networks give in place of a number.
const CALLERS: [&str; 8] =
    ["anonymous", "", "112", "4711", "sip:desk@acme.example", "Unavailable", "+33(0)6", "\u{202e}123"];

fn of<T: Clone>(all: &[T], luck: u64) -> Option<T> {
    all.get(usize::try_from(luck).unwrap_or(0).checked_rem(all.len()).unwrap_or(0)).cloned()
}

/// A state with words of tomorrow: the same version always says the same.
pub(super) fn state(snapshot: Snapshot) -> Snapshot {
    let luck = snapshot.version.rev.wrapping_mul(7).wrapping_add(snapshot.version.epoch);
    let Ok(mut said) = serde_json::to_value(&snapshot) else { return snapshot };
    let mut put = |at: &str, value: Value| {
        if let Some(known) = said.pointer_mut(at) {
            *known = value;
        }
    };
    put("/notices", json!(["of_tomorrow", { "kind": "of_tomorrow", "until": 7 }]));
    put("/agent/role", json!("overseer"));
    if luck.is_multiple_of(2) {
        put("/presence/chosen", json!({ "by": { "kind": "wrist_watch" }, "at": "noon" }));
    }
    if luck.is_multiple_of(3) && snapshot.presence.effective == Effective::Available {
        put("/presence/effective", json!("available_to_friends"));
    }
    put("/calls/0/from", json!(of(&CALLERS, luck)));
    put("/devices/0/cannot_ring", json!("of_tomorrow"));
    put("/devices/0/platform", json!("wrist_watch"));
    if let Some(said) = said.as_object_mut() {
        said.insert("of_tomorrow".to_owned(), json!({ "silent": true }));
    }
    serde_json::from_value(said).unwrap_or(snapshot)
}

/// A push as a network may bring it: any caller, more than is known, less than is wanted.
pub(super) fn push(push: CallPush, tomorrow: bool, luck: &mut fastrand::Rng) -> CallPush {
    let Ok(mut said) = serde_json::to_value(&push) else { return push };
    if let Some(said) = said.as_object_mut() {
        said.insert("from".to_owned(), json!(of(&CALLERS, luck.u64(..))));
        if tomorrow {
            said.insert("of_tomorrow".to_owned(), json!([{}]));
            match luck.u8(0..8) {
                0 if push.kind == PushKind::Incoming => drop(said.insert("kind".to_owned(), json!("of_tomorrow"))),
                1 => drop(said.remove("routing")),
                2 => drop(said.insert("expires_at".to_owned(), json!("soon"))),
                3 => drop(said.insert("account".to_owned(), Value::Null)),
                _ => {}
            }
        }
    }
    CallPush::read(&said.to_string()).unwrap_or(push)
}
