//! `openapi.json` against the running server: whatever this suite sees of `/v1` must be described there as it is, and
//! whatever is described must exist.

use std::{io::Write, sync::LazyLock};

use hookswitch_backend::Backend;
use reqwest::Method;
use serde_json::{Map, Value};
use tokio::sync::broadcast::error::RecvError;

use super::support::*;

static CONTRACT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../openapi.json")).expect("openapi.json is JSON"));

fn paths() -> &'static Map<String, Value> {
    CONTRACT["paths"].as_object().expect("paths")
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len() && template.iter().zip(path).all(|(want, has)| want.starts_with('{') || *want == has)
}

/// The operations of a path, by their methods; `None`: it is not described.
fn operations(path: &str) -> Option<&'static Map<String, Value>> {
    paths().iter().find(|(template, _)| fits(template, path)).and_then(|(_, operations)| operations.as_object())
}

fn response(operation: &'static Value, status: u16) -> Option<&'static Value> {
    let responses = &operation["responses"];
    responses.get(status.to_string()).or_else(|| responses.get(format!("{}XX", status / 100)))
}

fn resolve(schema: &'static Value) -> &'static Value {
    match schema["$ref"].as_str() {
        Some(pointer) => CONTRACT.pointer(pointer.trim_start_matches('#')).unwrap_or_else(|| panic!("no {pointer}")),
        None => schema,
    }
}

/// As much of JSON Schema as the file uses. A property that is not described is a fault.
fn check(schema: &'static Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = resolve(schema);
    let wrong = |what: &str| Err(format!("{at}: {what}: {value}"));
    for keyword in schema.as_object().expect("a schema").keys() {
        let known = [
            "type",
            "properties",
            "required",
            "additionalProperties",
            "items",
            "enum",
            "const",
            "oneOf",
            "description",
            "pattern",
            "maximum",
        ];
        assert!(known.contains(&keyword.as_str()), "this test does not know {keyword}");
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices.iter().filter(|choice| check(choice, value, at).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { wrong(&format!("fits {fitting} of {} choices", choices.len())) };
    }
    if schema.get("const").is_some_and(|constant| constant != value) {
        return wrong("another constant");
    }
    if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
        return wrong("not one of the values");
    }
    match schema["type"].as_str() {
        Some("string") if !value.is_string() => return wrong("no string"),
        Some("integer") if !value.is_i64() && !value.is_u64() => return wrong("no integer"),
        Some("boolean") if !value.is_boolean() => return wrong("no boolean"),
        Some("null") if !value.is_null() => return wrong("not null"),
        Some("array") => {
            let Some(values) = value.as_array() else { return wrong("no array") };
            for (index, value) in values.iter().enumerate() {
                check(&schema["items"], value, &format!("{at}[{index}]"))?;
            }
        }
        Some("object") => {
            let Some(values) = value.as_object() else { return wrong("no object") };
            for (name, value) in values {
                let Some(property) = schema["properties"].get(name) else {
                    return Err(format!("{at}.{name} is not described"));
                };
                check(property, value, &format!("{at}.{name}"))?;
            }
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !values.contains_key(name) {
                    return Err(format!("{at}.{name} is missing"));
                }
            }
        }
        Some(_) | None => {}
    }
    Ok(())
}

/// What an answer of the API says must be what some operation of its path is described to say.
pub(crate) fn described(path: &str, status: u16, media_type: &str, body: &[u8]) {
    // No operation answers 405: there is none.
    let Some(operations) = operations(path).filter(|_| status != 405) else { return };
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
    let tried: Vec<Result<(), String>> = operations
        .iter()
        .filter_map(|(method, operation)| {
            let response = response(operation, status)?;
            let media_type = media_type.split(';').next().unwrap_or_default().trim();
            let Some(content) = response["content"].get(media_type) else {
                return Some(Err(format!("{method}: {media_type:?} is not described")));
            };
            Some(check(&content["schema"], &body, method))
        })
        .collect();
    assert!(tried.iter().any(Result::is_ok), "{path} {status} is not as openapi.json describes it: {tried:?}");
}

/// The data of an event of the stream.
pub(crate) fn described_event(name: &str, data: &str) {
    let schema = match name {
        "state" => "Snapshot",
        "heartbeat" => "Heartbeat",
        "signed_out" => "SignedOut",
        other => panic!("openapi.json knows no event {other}"),
    };
    let schema = &CONTRACT["components"]["schemas"][schema];
    check(schema, &serde_json::from_str(data).expect("JSON"), name).unwrap_or_else(|fault| panic!("{fault}"));
}

/// From now on the whole test run fails when the server answers `/v1` in a way that is not described.
pub(crate) fn watch(backend: &Backend) {
    let mut requests = backend.operator().requests();
    tokio::spawn(async move {
        loop {
            let request = match requests.recv().await {
                Ok(request) => request,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            let operation =
                operations(&request.path).and_then(|operations| operations.get(&request.method.to_lowercase()));
            let fine = match (operation, request.status) {
                // A fault on order cut the connection.
                (_, 0) => true,
                (Some(operation), status) => response(operation, status).is_some(),
                (None, 401 | 404 | 405 | 429 | 500..) => true,
                // HEAD is GET without the body (RFC 9110, section 9.3.2).
                (None, _) => !request.path.starts_with("/v1/") || request.method == "HEAD",
            };
            if !fine {
                // An assertion in a task fails no test, and the harness keeps what is printed.
                let line =
                    format!("openapi.json does not describe {} {} {}\n", request.method, request.path, request.status);
                let _ = std::io::stderr().write_all(line.as_bytes());
                std::process::exit(101);
            }
        }
    });
}

#[tokio::test]
async fn whatever_is_described_exists() {
    let backend = backend().await;
    let browser = Browser::new(&backend);
    let mut operations = 0;
    for (template, methods) in paths() {
        let path: String = template
            .split('/')
            .map(|part| if part.starts_with('{') { "/x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let path = path.replace("//", "/");
        for method in methods.as_object().unwrap().keys() {
            let verb: Method = method.to_uppercase().parse().unwrap();
            let request = browser.request(verb, &path).header("idempotency-key", "k");
            assert_eq!(soon(request.send()).await.unwrap().status(), 401, "{method} {path}: without a session");
            operations += 1;
        }
    }
    assert_eq!(operations, 14);
}

#[test]
fn whatever_is_referred_to_is_there_and_all_of_it_is_used() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    references(&CONTRACT, &mut found);
    for reference in &found {
        assert!(CONTRACT.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    // The events of the stream and what a state is ordered by stand by themselves.
    let alone = ["Heartbeat", "SignedOut"];
    for part in ["schemas", "parameters"] {
        for name in CONTRACT["components"][part].as_object().unwrap().keys() {
            let reference = format!("#/components/{part}/{name}");
            assert!(alone.contains(&name.as_str()) || found.contains(&reference), "{name} is not used");
        }
    }
}

#[test]
fn a_shape_that_is_not_described_is_noticed() {
    let schema = &CONTRACT["components"]["schemas"]["Availability"];
    let says = |text: &str| check(schema, &serde_json::from_str(text).unwrap(), "it");
    assert_eq!(says(r#"{"kind":"automatic"}"#), Ok(()));
    for wrong in [
        r#"{"kind":"asleep"}"#,
        r#"{"kind":"unavailable"}"#,
        r#"{"kind":"automatic","until":1}"#,
        r#""automatic""#,
        "null",
    ] {
        assert!(says(wrong).is_err(), "{wrong}");
    }
}
