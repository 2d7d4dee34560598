use std::collections::{BTreeMap, BTreeSet};

use hookswitch_backend::{Backend, Config};
use serde_json::json;

use super::{nodes::Running, support::*};

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|other| other.is_ascii_alphanumeric() || other == '_')
}

/// Reads the text line by line, and takes nothing that the format does not allow (OpenMetrics 1.0, section 4).
fn parse(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("the text ends where it says");
    let (mut families, mut samples) = (BTreeSet::new(), BTreeMap::new());
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            assert!(is_name(name), "{line}");
            match what {
                "TYPE" => {
                    assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                    assert!(families.insert(name.to_owned()), "twice: {line}");
                }
                "HELP" => assert!(!rest.is_empty(), "{line}"),
                "UNIT" => assert!(name.ends_with(rest), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("{line}"))),
            None => (series, ""),
        };
        assert!(is_name(name) && families.iter().any(|family| name.starts_with(family)), "{line}");
        let mut rest = labels;
        while let Some((label, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label) && !value.contains('\\'), "{line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        assert!(rest.is_empty(), "{line}");
        assert!(samples.insert(series.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
    }
    samples
}

async fn text(backend: &Backend) -> String {
    let answer = soon(reqwest::get(backend.metrics_url().unwrap())).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    soon(answer.text()).await.unwrap()
}

/// Each node counts for itself.
async fn sums(backend: &Running) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for node in backend.nodes() {
        for (series, value) in parse(&text(node).await) {
            *sums.entry(series).or_insert(0.0) += value;
        }
    }
    sums
}

async fn watched() -> Running {
    backend_with(Config { metrics: Some(([127, 0, 0, 1], 0).into()), ..config() }).await
}

#[tokio::test]
async fn metrics_move_with_what_was_done() {
    let backend = watched().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let (mut one, mut other) = (phone.stream().await, phone.stream().await);
    for events in [&mut one, &mut other] {
        events.state(|_| true).await;
    }
    let before = sums(&backend).await;
    let changed = phone.set_availability(json!({ "kind": "unavailable", "reason": "on_a_break" }), "1").await;
    for events in [&mut one, &mut other] {
        events.state(|snapshot| snapshot.version >= changed.version).await;
    }
    assert_eq!(refresh(&backend, "nobody knows it").await.status(), 400);
    assert_eq!(refresh(&backend, phone.tokens.refresh_token.as_deref().unwrap()).await.status(), 200);
    let after = sums(&backend).await;
    let grew = |series: &str| after.get(series).copied().unwrap_or(0.0) - before.get(series).copied().unwrap_or(0.0);
    let put = "hookswitch_requests_total{method=\"PUT\",route=\"/v1/me/availability\",status=\"200\"}";
    assert_eq!(grew(put), 1.0, "{after:#?}");
    let timed = "hookswitch_request_duration_seconds_count{method=\"PUT\",route=\"/v1/me/availability\"}";
    assert_eq!(grew(timed), 1.0, "{after:#?}");
    assert_eq!(after["hookswitch_streams_open"], 2.0);
    assert_eq!(grew("hookswitch_states_sent_total"), 2.0);
    assert_eq!(grew("hookswitch_mirror_latency_seconds_count"), 2.0);
    assert!(grew("hookswitch_store_duration_seconds_count{unit=\"write\"}") >= 1.0);
    assert_eq!(grew("hookswitch_refreshes_total{outcome=\"granted\"}"), 1.0);
    assert_eq!(grew("hookswitch_refreshes_total{outcome=\"refused\"}"), 1.0);
}

#[tokio::test]
async fn metrics_name_nobody_and_invented_requests_make_no_series() {
    let backend = watched().await;
    let phone = PhoneClient::ready(&backend, ALICE, "canary-device").await;
    assert_eq!(phone.forward(Some("+33612345678"), "canary-key").await.status(), 200);
    let made_up = reqwest::Method::from_bytes(b"CANARY").unwrap();
    soon(phone.request(made_up, "/canary-path").send()).await.unwrap();
    let mut texts = String::new();
    for node in backend.nodes() {
        texts += &text(node).await;
    }
    for canary in ["canary", "CANARY", ALICE, "33612345678", &phone.tokens.access_token] {
        assert!(!texts.contains(canary), "{canary} in {texts}");
    }
    assert!(texts.contains("method=\"other\",route=\"none\""), "{texts}");
}

#[tokio::test]
async fn metrics_are_no_part_of_the_public_api() {
    let backend = watched().await;
    let public = format!("{}/metrics", backend.base_url());
    assert_eq!(soon(reqwest::get(public)).await.unwrap().status(), 404);
    assert_eq!(Backend::start(config()).await.unwrap().metrics_url(), None);
}
