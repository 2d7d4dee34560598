use std::time::Duration;

use serde_json::{Value, json};

use super::{
    super::model::{News, Spread},
    *,
};

fn phone(key: &str, name: &str) -> Value {
    json!({
        "key": key, "name": name, "power": "on", "network": "up", "foreground": true,
        "session": { "state": "signed_in", "status": "fresh", "email": "alice@acme.example" },
        "presence": {
            "version": "1-7", "effective": "do_not_disturb",
            "availability": { "kind": "unavailable", "reason": "on_a_break" },
            "forwarding": { "number": null }, "link": "live"
        },
        "ringing": null, "call": null, "decisions": []
    })
}

fn example() -> Value {
    let mut android = phone("android", "Android phone");
    android["network"] = json!("down");
    android["presence"]["link"] = json!("offline");
    android["presence"]["version"] = json!("1-6");
    android["decisions"] = json!([
        { "at": 3_600_500, "verdict": "silent", "rule": "calls are forwarded", "platform": "nothing is added" }
    ]);
    let shows = |at: i64, who: &str, rev: u64| json!({ "at": at, "who": who, "text": format!("shows Available at 1-{rev}"), "version": format!("1-{rev}") });
    json!({
        "now": 3_601_000,
        "phones": [phone("iphone", "iPhone"), android],
        "calls": [{
            "from": "+14155550134", "state": "ringing", "at": 3_600_400,
            "devices": [{ "key": "iphone", "outcome": "rings" }, { "key": "android", "outcome": "silent" }]
        }],
        "timeline": [shows(3_600_000, "iphone", 6), shows(3_600_012, "android", 6), shows(3_600_700, "iphone", 7)]
    })
}

fn drawn(model: &Model, now: Instant, width: u16, height: u16) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(model, now, buffer.area, &mut buffer);
    text(&buffer)
}

fn model(news: impl IntoIterator<Item = News>, now: Instant) -> Model {
    let mut model = Model::new("http://127.0.0.1:4000");
    for heard in news {
        model.take(heard, now);
    }
    model
}

fn view(value: &Value) -> News {
    News::View(serde_json::from_value(value.clone()).unwrap())
}

#[test]
fn a_live_lab_is_drawn_whole() {
    let now = Instant::now();
    let picture = drawn(&model([view(&example())], now), now, 120, 22);
    let expected = include_str!("live.txt");
    assert_eq!(picture, expected, "\n{picture}");
}

#[test]
fn a_lab_that_is_lost_stays_on_the_screen_with_its_age() {
    let now = Instant::now();
    let model = model([view(&example()), News::Lost("Connection refused".into())], now);
    let picture = drawn(&model, now + Duration::from_secs(12), 120, 22);
    assert!(picture.contains("lost: Connection refused; tried again each second (as it was 12 s ago)"), "\n{picture}");
    assert!(picture.contains("iPhone"), "\n{picture}");
}

#[test]
fn nothing_heard_yet_and_no_lab_there_are_told_apart() {
    let now = Instant::now();
    assert!(drawn(&model([], now), now, 80, 24).contains("Connecting…"));
    let lost = drawn(&model([News::Lost("Connection refused".into())], now), now, 80, 24);
    assert!(lost.contains("There is no lab at http://127.0.0.1:4000 yet."), "\n{lost}");
    let mut empty = example();
    empty["phones"] = json!([]);
    assert!(drawn(&model([view(&empty)], now), now, 80, 24).contains("This lab has no phones."));
}

#[test]
fn no_window_is_too_small_or_too_large() {
    let now = Instant::now();
    let model = model([view(&example())], now);
    for (width, height) in [(0, 0), (1, 1), (10, 3), (40, 10), (80, 24), (200, 60)] {
        assert_eq!(drawn(&model, now, width, height).lines().count(), usize::from(height * width.min(1)));
    }
}

#[test]
fn a_state_is_timed_from_the_first_screen_to_the_last() {
    let view: View = serde_json::from_value(example()).unwrap();
    let (first, last) = ("iphone".to_owned(), "android".to_owned());
    let newest = Spread { version: "1-7".into(), first: first.clone(), last: first.clone(), screens: 1, millis: 0 };
    assert_eq!(
        spreads(&view.timeline),
        [newest, Spread { version: "1-6".into(), first, last, screens: 2, millis: 12 }]
    );
}
