//! The app of today against a server of tomorrow: every place of a whole example is changed in every way in which a server may
//! grow, one place at a time. It must still be read, and nothing but the changed place may mean anything else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use hookswitch_wire::{CallPush, Snapshot};
use serde_json::{Value, json};

/// Where a value is: keys and indices from the root.
type Path = Vec<String>;

/// What no server may take away, `*` being any entry of a list. The rest is welcome and not needed.
const NEEDED: [&str; 10] =
    ["", "version", "version/epoch", "version/rev", "agent", "agent/account", "presence", "calls", "devices", "at"];

/// Places that mean one thing together: where one part cannot be read, the whole is what is not known. (Without its name, an
/// entry of a list is none.)
const TOGETHER: [&str; 14] = [
    "calls/*/call_id",
    "calls/*/state",
    "devices/*/id",
    "devices/*/capabilities",
    "sessions/*/id",
    "sessions/*/signed_in_at",
    "notices/*",
    "presence/availability",
    "presence/forwarding",
    "presence/chosen",
    "presence/call_leases/*",
    "routing",
    "trace",
    "version",
];

fn snapshot() -> Value {
    json!({
        "version": {"epoch": 1, "rev": 7},
        "agent": {"account": "alice", "email": "alice@example.com", "name": "Alice", "role": "agent"},
        "presence": {
            "availability": {"kind": "unavailable", "reason": "on_a_break"},
            "forwarding": {"on": true, "number": "+33612345678", "rev": 6, "until": 9_000, "own_device": "phone-1",
                "chosen": {"by": {"kind": "desktop"}, "at": 90}},
            "call_leases": [{"call_id": "call-1", "kind": "in_call", "expires_at": 8_000}],
            "chosen": {"by": {"kind": "cti", "host": "zendesk"}, "at": 100},
            "effective": "in_call"
        },
        "calls": [
            {"call_id": "call-1", "from": "+33187654321", "from_name": "A Customer",
             "state": {"kind": "answered", "by": {"kind": "mobile", "device": "phone-1"}},
             "started_at": 1_000, "expires_at": 31_000},
            {"call_id": "call-2", "from": "+33187654322", "from_name": "Another",
             "state": {"kind": "ringing"}, "started_at": 2_000, "expires_at": 32_000}
        ],
        "devices": [{"id": "phone-1", "name": "Alice's iPhone", "platform": "ios", "app_version": "1.0",
            "capabilities": {"call_notifications": true, "full_screen_intent": false},
            "cannot_ring": "forwarding_active", "last_seen": 3_000}],
        "sessions": [{"id": "session-1", "kind": "mobile", "device": "phone-1", "signed_in_at": 4_000}],
        "notices": ["shared_login"],
        "at": 5_000,
        "trace": "4bf92f3577b34da6a3ce929d0e0e4736"
    })
}

fn push() -> Value {
    json!({"kind": "incoming", "call_id": "call-1", "account": "alice", "expires_at": 31_000,
        "routing": {"epoch": 1, "rev": 7}, "forwarding_on": false, "from": "+33187654321", "from_name": "A Customer"})
}

/// Every place of a value, the root first.
fn places(value: &Value) -> Vec<Path> {
    fn walk(value: &Value, at: &Path, into: &mut Vec<Path>) {
        into.push(at.clone());
        let below = |key: String| at.iter().cloned().chain([key]).collect();
        match value {
            Value::Object(object) => object.iter().for_each(|(key, value)| walk(value, &below(key.clone()), into)),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(i, value)| walk(value, &below(i.to_string()), into))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut all = Vec::new();
    walk(value, &Path::new(), &mut all);
    all
}

fn pointer(path: &[String]) -> String {
    path.iter().map(|key| format!("/{key}")).collect()
}

/// The place as the lists above name it.
fn pattern(path: &[String]) -> String {
    path.iter().map(|key| if key.parse::<usize>().is_ok() { "*" } else { key }).collect::<Vec<_>>().join("/")
}

fn set(value: &Value, path: &[String], new: Value) -> Value {
    let mut value = value.clone();
    *value.pointer_mut(&pointer(path)).unwrap() = new;
    value
}

fn removed(value: &Value, path: &[String]) -> Value {
    let mut value = value.clone();
    let Some((last, parent)) = path.split_last() else { return value };
    match value.pointer_mut(&pointer(parent)) {
        Some(Value::Object(object)) => drop(object.remove(last)),
        Some(Value::Array(list)) => drop(list.remove(last.parse().unwrap())),
        _ => {}
    }
    value
}

/// All but the place that was changed, and what means one thing together with it.
fn rest(value: &Value, path: &[String]) -> Value {
    let mut path = path.to_vec();
    if let Some(together) = (1..=path.len()).find(|n| TOGETHER.contains(&&*pattern(&path[..*n]))) {
        // A name stands for its entry.
        let entry = pattern(&path[..together]);
        let names_entry = ["/id", "/call_id", "/signed_in_at"].iter().any(|name| entry.ends_with(name));
        path.truncate(if names_entry { together - 1 } else { together });
    }
    // An entry that went moves those after it: only what is before it is compared.
    if let Some(index) = path.last().and_then(|last| last.parse::<usize>().ok()) {
        let mut value = value.clone();
        if let Some(Value::Array(list)) = value.pointer_mut(&pointer(&path[..path.len() - 1])) {
            list.truncate(index);
        }
        return value;
    }
    removed(value, &path)
}

/// Reads what a server of tomorrow makes of `today` in every way, and gives what is read to `check`.
fn grow<T: serde::de::DeserializeOwned + serde::Serialize>(today: &Value, needed: &[&str]) -> usize {
    let mut tried = 0;
    let mut faults = Vec::new();
    let words = [json!("a word of tomorrow"), json!({"kind": "a word of tomorrow", "more": [1]})];
    let other_types = [Value::Null, json!(7.5), json!(-1), json!(true), json!([]), json!({}), json!("")];
    for path in places(today) {
        let now = today.pointer(&pointer(&path)).unwrap();
        let mut futures = Vec::new();
        if let Value::Object(object) = now {
            for unknown in words.iter().chain(&other_types) {
                let mut more = object.clone();
                more.insert("a field of tomorrow".to_owned(), unknown.clone());
                futures.push(("an unknown field", set(today, &path, Value::Object(more))));
            }
        }
        if let Value::Array(list) = now {
            let more = list.iter().cloned().chain(words.iter().cloned()).collect();
            futures.push(("more entries", set(today, &path, Value::Array(more))));
        }
        if now.is_string() {
            futures.push(("an unknown word", set(today, &path, words[0].clone())));
        }
        if !needed.contains(&&*pattern(&path)) {
            futures.extend(
                words.iter().chain(&other_types).map(|other| ("another type", set(today, &path, other.clone()))),
            );
            futures.push(("nothing", removed(today, &path)));
        }
        for (what, tomorrow) in futures {
            tried += 1;
            // As text, for that is what comes.
            match serde_json::from_str::<T>(&tomorrow.to_string()) {
                Err(error) => faults.push(format!("{what} at {}: {error}", pattern(&path))),
                Ok(read) => {
                    let read = serde_json::to_value(read).unwrap();
                    if rest(&read, &path) != rest(today, &path) {
                        faults.push(format!("{what} at {} means something elsewhere: {read}", pattern(&path)));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} of {tried}:\n{}", faults.len(), faults.join("\n"));
    tried
}

#[test]
fn a_state_of_a_server_of_tomorrow_is_read_and_only_the_new_word_is_not_understood() {
    assert!(grow::<Snapshot>(&snapshot(), &NEEDED) > 500);
}

#[test]
fn a_push_of_a_server_of_tomorrow_is_read_as_long_as_it_names_a_call() {
    assert!(grow::<CallPush>(&push(), &["", "call_id"]) > 80);
}

#[test]
fn the_examples_are_what_the_server_of_today_says() {
    assert_eq!(serde_json::to_value(serde_json::from_value::<Snapshot>(snapshot()).unwrap()).unwrap(), snapshot());
    assert_eq!(serde_json::to_value(serde_json::from_value::<CallPush>(push()).unwrap()).unwrap(), push());
}
