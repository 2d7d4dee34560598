use super::*;
use crate::{Command, test_phone::*, *};

/// A phone that signs in, taps, rings, and is refused with a text that quotes a person.
fn story() -> TestPhone {
    let mut phone = TestPhone::signed_out();
    phone.begins_login();
    phone.answer(discover, Outcome::Metadata { metadata: metadata() });
    phone.comes_back_with(redirect());
    phone.answer(exchange, login_granted(claims()));
    phone.answer(register, is_state(state(1)));
    phone.hears(forwarding(2));
    phone.command(Command::SetForwarding { to: Some(forward_to()) });
    let detail = Some("Alice Martin <alice@example.com>: +33 6 12 34 56 78 is not (+33612345678) callable.".to_owned());
    phone.answer(tap, Outcome::Refused { status: 422, code: "invalid_number".into(), detail, current: None });
    phone.gets(push("c1", 3));
    phone.taps(hookswitch_wire::Availability::Automatic);
    phone.answer(tap, Outcome::Unreachable { cause: "proxy.example of bob@example.org does not answer".into() });
    phone.advance(20_000);
    phone
}

fn record(phone: &TestPhone) -> String {
    let mut recorder = Recorder::default();
    let mut lines = vec![recorder.start(&setup(), None).unwrap()];
    lines.extend(phone.entries.iter().map(|entry| recorder.entry(entry).unwrap()));
    lines.join("\n")
}

#[test]
fn a_transcript_replays_to_the_same_session() {
    let phone = story();
    let replayed = replay(&record(&phone)).unwrap();
    assert_eq!(replayed.timers, phone.state.timers);
    assert_eq!(replayed.in_flight.len(), phone.state.in_flight.len());
    assert_eq!(replayed.presence.version(), phone.state.presence.version());
}

#[test]
fn a_transcript_from_the_middle_replays_from_the_state_that_it_begins_with() {
    let mut phone = story();
    let mut recorder = Recorder::default();
    let mut lines = vec![recorder.start(&setup(), Some(&phone.state)).unwrap()];
    phone.entries.clear();
    phone.command(Command::SetPushToken { token: None });
    phone.event(Event::NetworkDown);
    phone.event(Event::NetworkUp);
    phone.command(Command::SignOut);
    lines.extend(phone.entries.iter().map(|entry| recorder.entry(entry).unwrap()));
    assert!(replay(&lines.join("\n")).is_ok());
}

#[test]
fn a_transcript_names_nobody() {
    let transcript = record(&story());
    for personal in
        ["Alice", "Martin", "alice@example.com", "bob@example.org", "612345678", "6 12 34", "14155550123", "A Customer"]
    {
        assert!(!transcript.contains(personal), "{personal}");
    }
    assert!(transcript.contains("proxy.example"), "what helps support stays");
    assert!(transcript.contains("callable"));
}

#[test]
fn the_same_person_has_the_same_stand_in_and_two_have_two() {
    let mut recorder = Recorder::default();
    let line = |recorder: &mut Recorder, email: &str| {
        recorder.line(&serde_json::json!({ "email": email, "hint": "x@y.z" })).unwrap()
    };
    let first = line(&mut recorder, "a@b.c");
    assert_eq!(first, line(&mut recorder, "a@b.c"));
    assert_ne!(first, line(&mut recorder, "b@b.c"));
    assert_eq!(line(&mut recorder, "x@y.z").matches("person1@example.invalid").count(), 2);
}

#[test]
fn every_field_of_a_call_that_is_a_number_has_a_stand_in() {
    let line = Recorder::default()
        .line(&serde_json::json!({ "calls": [{ "from": "+14155550134", "forwarded_to": "+33612345678" }] }))
        .unwrap();
    assert!(!line.contains("+1415") && !line.contains("+336"), "{line}");
}

#[test]
fn a_number_in_a_text_is_found_however_it_is_written() {
    let mut recorder = Recorder::default();
    for text in ["+33612345678", "tel:+33 6 12 34 56 78!", "(+33) 6-12-34-56-78", "+33.6.12.34.56.78, +336123456789"] {
        let line = recorder.line(&serde_json::json!({ "detail": text })).unwrap();
        assert!(!line.contains("12") && line.contains("+999"), "{text}: {line}");
    }
    let harmless = "1 + 1 is 2, +5 % at 12:34, code 503";
    let line = recorder.line(&serde_json::json!({ "detail": harmless })).unwrap();
    assert!(line.contains(harmless), "{line}");
}

#[test]
fn a_divergence_is_reported_with_its_line() {
    let transcript = record(&story());
    let mut lines: Vec<String> = transcript.lines().map(String::from).collect();
    let line = lines.iter().position(|line| line.contains("open_stream")).unwrap();
    lines[line] = lines[line].replace("open_stream", "close_stream");
    let divergence = replay(&lines.join("\n")).unwrap_err();
    assert_eq!(divergence.line, line + 1, "{divergence}");
    assert!(divergence.to_string().starts_with(&format!("line {}: other effects", line + 1)));
}

#[test]
fn what_is_not_a_transcript_is_said_to_be_none() {
    let transcript = record(&story());
    let start = transcript.lines().next().unwrap();
    for (text, line, what) in [
        (String::new(), 1, "empty"),
        ("\n\n".to_owned(), 1, "empty"),
        ("{}".to_owned(), 1, "not the start"),
        (start.replace("\"transcript\":2", "\"transcript\":9"), 1, "format 9"),
        (format!("{start}\n\nnonsense"), 3, "not a step"),
    ] {
        let divergence = replay(&text).unwrap_err();
        assert_eq!(divergence.line, line, "{text}");
        assert!(divergence.what.contains(what), "{divergence}");
    }
}
