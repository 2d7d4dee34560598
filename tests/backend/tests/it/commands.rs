use hookswitch_wire::{Availability, Snapshot, Surface, Version};
use reqwest::Method;
use serde_json::json;

use super::support::*;

/// Every endpoint that takes a body.
const WITH_BODY: [(&str, &str); 4] = [
    ("PUT", "/v1/me/availability"),
    ("PUT", "/v1/me/forwarding"),
    ("PUT", "/v1/me/devices/d"),
    ("POST", "/v1/me/calls/c/answer"),
];

const ALL: [(&str, &str); 11] = [
    ("GET", "/v1/me/state"),
    ("GET", "/v1/me/stream"),
    ("PUT", "/v1/me/availability"),
    ("PUT", "/v1/me/forwarding"),
    ("PUT", "/v1/me/devices/d"),
    ("DELETE", "/v1/me/devices/d"),
    ("POST", "/v1/me/calls/c/answer"),
    ("POST", "/v1/me/calls/c/decline"),
    ("POST", "/v1/me/calls/c/hang-up"),
    ("POST", "/v1/me/calls/c/lease"),
    ("POST", "/v1/me/sign-out-everywhere"),
];

fn method(name: &str) -> Method {
    name.parse().unwrap()
}

#[tokio::test]
async fn malformed_bodies_are_problems_everywhere() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let version = phone.state().await.version;
    let bad: [&[u8]; 9] = [
        b"{",
        b"null",
        b"[]",
        b"\"x\"",
        b"{\"availability\":{\"kind\":\"asleep\"},\"number\":7,\"name\":7,\"device\":7}",
        b"\xff\xfe",
        b"{\"availability\":null,\"number\":[],\"device\":{}}",
        b"{} {}",
        b"\0",
    ];
    for (verb, path) in WITH_BODY {
        for body in bad {
            let request = phone
                .request(method(verb), path)
                .header("content-type", "application/json")
                .header("idempotency-key", "k")
                .header("if-match", version.etag())
                .body(body.to_vec());
            let problem = problem(request.send().await.unwrap()).await;
            let what = String::from_utf8_lossy(body);
            assert_eq!((problem.status, problem.code.as_str()), (400, "malformed"), "{verb} {path} {what}");
        }
        let request =
            phone.request(method(verb), path).header("idempotency-key", "k").header("if-match", version.etag());
        assert_eq!(problem(request.body("a=b").send().await.unwrap()).await.status, 415, "{verb} {path}");
        let request = phone.request(method(verb), path).header("idempotency-key", "k");
        assert_eq!(problem(request.body("a".repeat(70_000)).send().await.unwrap()).await.status, 413, "{verb} {path}");
    }
    assert_eq!(phone.state().await.version, version, "nothing has changed");
}

#[tokio::test]
async fn nobody_gets_anything_without_a_session() {
    let backend = backend().await;
    let browser = Browser::new(&backend);
    for (verb, path) in ALL {
        for authorization in [None, Some("Bearer x"), Some("Basic eDp5"), Some("Bearer"), Some("")] {
            let mut request = browser.request(method(verb), path);
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let response = request.send().await.unwrap();
            assert!(response.headers().contains_key("www-authenticate"));
            assert_eq!(problem(response).await.code, "unauthenticated", "{verb} {path} {authorization:?}");
        }
        let response = browser.request(method(verb), &format!("{path}?surface=web")).send().await.unwrap();
        assert_eq!(problem(response).await.status, 401);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    for path in ["/v1", "/v1/", "/v1/me", "/v1/me/nothing", "/v1/me/devices/", "/v1/me/devices/a/b"] {
        let response = phone.get(path).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
    for (verb, path) in
        [("POST", "/v1/me/state"), ("DELETE", "/v1/me/stream"), ("GET", "/v1/me/availability"), ("GET", "/token")]
    {
        assert_eq!(problem(phone.request(method(verb), path).send().await.unwrap()).await.status, 405, "{verb} {path}");
    }
}

#[tokio::test]
async fn commands_name_themselves_and_the_state_they_know() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let version = phone.state().await.version;
    for path in ["/v1/me/availability", "/v1/me/forwarding"] {
        let body = json!({ "availability": { "kind": "available" }, "number": null });
        let without_key = phone.put(path, &body).header("if-match", version.etag());
        let refused = problem(without_key.send().await.unwrap()).await;
        assert_eq!(
            (refused.code.as_str(), refused.field.as_deref()),
            ("precondition_required", Some("idempotency-key"))
        );
        let without_match = phone.put(path, &body).header("idempotency-key", "k");
        let refused = problem(without_match.send().await.unwrap()).await;
        assert_eq!((refused.status, refused.field.as_deref()), (428, Some("if-match")));
        for bad in ["*", "x", "\"1\"", "W/\"1-2\""] {
            let request = phone.put(path, &body).header("idempotency-key", "k").header("if-match", bad);
            assert_eq!(problem(request.send().await.unwrap()).await.code, "malformed", "{bad}");
        }
        for bad in [&*"k".repeat(129), "", "a b"] {
            let request = phone.put(path, &body).header("idempotency-key", bad).header("if-match", version.etag());
            assert_eq!(problem(request.send().await.unwrap()).await.code, "malformed", "{bad}");
        }
    }
    for (verb, path) in ALL.iter().skip(2) {
        let request = phone.request(method(verb), path).header("content-type", "application/json");
        assert_eq!(problem(request.body("{}").send().await.unwrap()).await.status, 428, "{verb} {path}");
    }
}

#[tokio::test]
async fn a_command_that_does_not_know_the_state_gets_it() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let old = phone.state().await.version;
    let new = phone.set_availability(json!({ "kind": "automatic" }), "1").await;
    assert!(new.version > old);
    let body = json!({ "availability": { "kind": "available" } });
    let late = || phone.put("/v1/me/availability", &body).header("idempotency-key", "2");
    let response = late().header("if-match", old.etag()).send().await.unwrap();
    assert_eq!(response.headers()["etag"].to_str().unwrap(), new.version.etag());
    let refused = problem(response).await;
    assert_eq!((refused.status, refused.code.as_str()), (412, "stale"));
    assert_eq!(refused.current.as_deref(), Some(&new));
    let other_epoch = Version::new(new.version.epoch + 1, new.version.rev);
    assert_eq!(late().header("if-match", other_epoch.etag()).send().await.unwrap().status(), 412);
    // A tap is rebased under its old key.
    let rebased: Snapshot = read(late().header("if-match", new.version.etag()).send().await.unwrap()).await;
    assert_eq!(rebased.presence.availability, Availability::Available);
}

#[tokio::test]
async fn a_repeated_command_changes_nothing_and_gets_its_answer_again() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let version = phone.state().await.version;
    let send = |body: serde_json::Value| {
        phone
            .put("/v1/me/availability", &body)
            .header("idempotency-key", "tap")
            .header("if-match", version.etag())
            .send()
    };
    let lunch = || json!({ "availability": { "kind": "unavailable", "reason": "out_for_lunch" } });
    let first: Snapshot = read(send(lunch()).await.unwrap()).await;
    phone.set_availability(json!({ "kind": "available" }), "another-tap").await;
    let response = send(lunch()).await.unwrap();
    assert_eq!(response.headers()["etag"].to_str().unwrap(), first.version.etag());
    assert_eq!(read::<Snapshot>(response).await, first);
    assert_eq!(phone.state().await.presence.availability, Availability::Available, "nothing has changed");

    let refused = problem(send(json!({ "availability": { "kind": "automatic" } })).await.unwrap()).await;
    assert_eq!((refused.status, refused.code.as_str()), (422, "key_reused"));
    let other_path = phone.put("/v1/me/forwarding", &json!({ "number": null }));
    let other_path = other_path.header("idempotency-key", "tap").header("if-match", version.etag());
    assert_eq!(problem(other_path.send().await.unwrap()).await.code, "key_reused");

    backend.operator().clock().jump(24 * 3_600_000);
    let mut phone = phone;
    phone.tokens = read(refresh(&backend, phone.tokens.refresh_token.as_deref().unwrap()).await).await;
    let body = lunch();
    let late =
        phone.put("/v1/me/availability", &body).header("idempotency-key", "tap").header("if-match", version.etag());
    assert_eq!(late.send().await.unwrap().status(), 412, "a day later it is forgotten");
}

#[tokio::test]
async fn forwarding_takes_only_numbers_that_exist() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    for bad in ["", "+", "0612345678", "+0612345678", "+33612", "+999123456789", "tel:+33612345678", "+1 000 000 0000"]
    {
        let refused = problem(phone.forward(Some(bad), "k").await).await;
        assert_eq!((refused.status, refused.code.as_str()), (422, "invalid_number"), "{bad}");
        assert_eq!(refused.field.as_deref(), Some("number"));
    }
    let on: Snapshot = read(phone.forward(Some("+33 6 12 34 56 78"), "k").await).await;
    assert_eq!(on.presence.forwarding.number.as_ref().unwrap().as_str(), "+33612345678");
    assert_eq!(on.presence.forwarding.rev, on.version.rev);
    let off: Snapshot = read(phone.forward(None, "l").await).await;
    assert!(!off.presence.forwarding.is_on());
    assert_eq!(off.presence.forwarding.rev, off.version.rev);
}

#[tokio::test]
async fn a_long_poll_answers_on_news_and_only_then() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let version = phone.state().await.version;
    let poll = |wait: &str| phone.get(&format!("/v1/me/state?after={version}&wait={wait}")).send();
    assert_eq!(soon(poll("0")).await.unwrap().status(), 204);
    for bad in
        ["/v1/me/state?after=x", &format!("/v1/me/state?after={version}&wait=-1"), "/v1/me/state?after=1-1&after=1-2"]
    {
        assert_eq!(problem(phone.get(bad).send().await.unwrap()).await.code, "malformed", "{bad}");
    }
    let (news, changed) = tokio::join!(poll("30"), phone.set_availability(json!({ "kind": "automatic" }), "1"));
    assert_eq!(read::<Snapshot>(news.unwrap()).await.version, changed.version);
    let at_once: Snapshot = read(soon(poll("30")).await.unwrap()).await;
    assert_eq!(at_once.version, changed.version);
}

#[tokio::test]
async fn only_a_phone_registers_and_only_with_a_sensible_name() {
    let backend = backend().await;
    let mut phone = PhoneClient::sign_in(&backend, ALICE).await;
    let snapshot = phone.register("iphone", None).await;
    assert_eq!(snapshot.devices[0].cannot_ring, Some(hookswitch_wire::CannotRing::NoPushToken));
    let long = format!("/v1/me/devices/{}", "d".repeat(129));
    let body = json!({ "name": "n", "platform": "ios", "app_version": "1", "push_token": null });
    for path in [&*long, "/v1/me/devices/a%20b", "/v1/me/devices/%C3%A9"] {
        let request = phone.put(path, &body).header("idempotency-key", "k");
        assert_eq!(problem(request.send().await.unwrap()).await.field.as_deref(), Some("device_id"), "{path}");
    }
    let mut browser = Browser::new(&backend);
    browser.enter("/app/web", ALICE).await;
    let csrf = browser.session("web").await["csrf"].as_str().unwrap().to_owned();
    let request = browser
        .request(Method::PUT, "/v1/me/devices/d?surface=web")
        .header("x-csrf-token", csrf)
        .header("idempotency-key", "k")
        .header("content-type", "application/json")
        .body(body.to_string());
    assert_eq!(problem(request.send().await.unwrap()).await.code, "forbidden");
}

#[tokio::test]
async fn a_device_that_is_unregistered_gets_no_push() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    let path = "/v1/me/devices/iphone";
    assert_eq!(phone.command(Method::DELETE, path, &json!(null), "1").await.status(), 204);
    assert_eq!(phone.command(Method::DELETE, path, &json!(null), "1").await.status(), 204, "repeated");
    assert_eq!(phone.command(Method::DELETE, path, &json!(null), "2").await.status(), 404, "another one");
    let report = backend.operator().incoming_call(ALICE, None, None).unwrap();
    assert!(report.devices.is_empty());
}

#[tokio::test]
async fn a_state_says_where_its_availability_was_chosen() {
    let backend = backend().await;
    let phone = PhoneClient::ready(&backend, ALICE, "iphone").await;
    assert_eq!(phone.state().await.presence.chosen, None, "nobody has chosen yet");
    let chosen = phone.set_availability(json!({"kind": "automatic"}), "k").await.presence.chosen.unwrap();
    assert_eq!(chosen.by, Surface::Mobile { device: "iphone".into() });

    let mut desktop = Browser::new(&backend);
    desktop.enter("/app/desktop", ALICE).await;
    let csrf = desktop.session("desktop").await["csrf"].as_str().unwrap().to_owned();
    let request = desktop
        .request(Method::PUT, "/v1/me/availability?surface=desktop")
        .header("x-csrf-token", csrf)
        .header("idempotency-key", "d")
        .header("if-match", phone.state().await.version.etag())
        .header("content-type", "application/json")
        .body(json!({"availability": {"kind": "available"}}).to_string());
    let snapshot: Snapshot = read(request.send().await.unwrap()).await;
    assert_eq!(snapshot.presence.chosen.unwrap().by, Surface::Desktop);
}

#[tokio::test]
async fn a_withdrawn_command_is_answered_as_it_was_or_never_carried_out() {
    let backend = backend().await;
    let phone = PhoneClient::sign_in(&backend, ALICE).await;
    let put = |base: Version, key: &'static str| {
        let body = json!({"availability": {"kind": "automatic"}});
        phone.put("/v1/me/availability", &body).header("idempotency-key", key).header("if-match", base.etag()).send()
    };
    let done: Snapshot = read(put(phone.state().await.version, "k").await.unwrap()).await;
    assert_eq!(read::<Snapshot>(put(Version::NEVER, "k").await.unwrap()).await, done);

    let base = phone.state().await.version;
    for withdrawn in [Version::NEVER, base] {
        let problem = problem(put(withdrawn, "l").await.unwrap()).await;
        assert_eq!((problem.status, problem.code.as_str()), (412, "stale"));
        assert_eq!(problem.current.unwrap().version, base);
    }
    assert_eq!(phone.state().await.version, base, "nothing was carried out");
}
