use std::time::{Duration, Instant};

use lab::{
    browser::{Browser, Credentials, Method, Page},
    server::Server,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const ADAM: &str = "adam@acme.example";
const ALICE: &str = "alice@acme.example";

/// A lab that serves its page; ends with this value.
struct Lab {
    origin: String,
    client: reqwest::Client,
    _serving: tokio::task::JoinSet<()>,
    _folder: TempDir,
}

impl Lab {
    async fn start(listen: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(listen.parse().unwrap(), folder.path()).await.unwrap();
        let origin = server.origin().to_owned();
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(async { server.serve(std::future::pending()).await.unwrap() });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { origin, client, _serving: serving, _folder: folder }
    }

    async fn view(&self) -> Value {
        self.client.get(format!("{}/lab/view", self.origin)).send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> u16 {
        let sent = self.client.post(format!("{}/lab/{path}", self.origin)).json(&body).send().await.unwrap();
        sent.status().as_u16()
    }

    /// Presses, and it works.
    async fn press(&self, path: &str, body: Value) {
        assert_eq!(self.post(path, body).await, 204, "{path}");
    }

    /// The view, once this is true of it.
    async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let view = self.view().await;
            if is(&view) {
                return view;
            }
            assert!(Instant::now() < deadline, "{what}: {view:#}");
        }
    }

    async fn demo(&self) {
        self.press("demo", json!({"who": ADAM})).await;
        self.until("both phones are available", |view| {
            (0..2).all(|phone| view["phones"][phone]["presence"]["effective"] == "available")
        })
        .await;
    }

    async fn call(&self, to: &str) -> String {
        self.press("calls", json!({"to": to, "from": "+14155550134", "from_name": "Maria Lopez"})).await;
        self.view().await["calls"][0]["call_id"].as_str().unwrap().to_owned()
    }
}

/// What each device did, as `key outcome reason`.
fn outcomes(call: &Value) -> Vec<String> {
    let devices = call["devices"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    devices.map(|it| [&it["key"], &it["outcome"], &it["reason"]].map(text).join(" ")).collect()
}

fn call<'v>(view: &'v Value, id: &str) -> &'v Value {
    view["calls"].as_array().unwrap().iter().find(|call| call["call_id"] == id).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_for_whom_the_page_says_and_rings_where_somebody_hears_it() {
    let lab = Lab::start("127.0.0.1:0").await;
    lab.demo().await;
    let to_alice = lab.call(ALICE).await;
    let to_adam = lab.call(ADAM).await;
    let view = lab.until("both phones ring", |view| (0..2).all(|it| !view["phones"][it]["ringing"].is_null())).await;
    let (alice, adam) = (call(&view, &to_alice), call(&view, &to_adam));
    assert_eq!((&alice["to"], &alice["to_name"]), (&json!(ALICE), &json!("Alice Martin")));
    assert!(outcomes(alice).is_empty(), "nobody is Alice: {alice:#}");
    // `lab top` times how a state goes over the screens by the versions in the time line.
    let shown = view["timeline"].as_array().unwrap().iter().filter(|line| !line["version"].is_null());
    assert!(shown.filter(|line| line["who"] == "iphone").count() >= 2, "{:#}", view["timeline"]);
    // Adam is signed in on the web and on the desktop, and no page of theirs is open.
    assert_eq!(outcomes(adam), ["iphone rings -", "android rings -"]);
    // Both are under way, and both can be ended.
    for id in [&to_alice, &to_adam] {
        let status = lab.post(&format!("calls/{id}/hang-up"), json!({})).await;
        assert!(status == 204 || id == &to_alice, "{id}: {status}");
    }
    lab.until("the call is over", |view| call(view, &to_adam)["end"] == "the caller hung up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_was_at_first_stays_and_its_story_says_who_did_what() {
    let lab = Lab::start("127.0.0.1:0").await;
    lab.demo().await;
    let declined = lab.call(ADAM).await;
    lab.until("the iPhone rings", |view| !view["phones"][0]["ringing"].is_null()).await;
    lab.press("phones/iphone/decline", json!({"call_id": declined})).await;
    let view = lab.until("it is over", |view| call(view, &declined)["state"] == "ended").await;
    let view = if call(&view, &declined)["end"].is_null() {
        lab.until("who declined is told", |view| !call(view, &declined)["end"].is_null()).await
    } else {
        view
    };
    let seen = call(&view, &declined);
    assert_eq!(seen["end"], "declined at iphone");
    assert_eq!(outcomes(seen), ["iphone rings -", "android rings -"], "the later stop changes nothing");
    let story = seen["story"].to_string();
    for part in ["for adam@acme.example: a call from Maria Lopez rings", "pushes a call to iPhone", "declines the call"]
    {
        assert!(story.contains(part), "{part}: {story}");
    }

    // An old server pushes although calls are forwarded; the phones refuse, and that stays the reason.
    lab.press("phones/iphone/forwarding", json!({"number": "+33612345678"})).await;
    lab.until("the Android phone shows the banner", |view| !view["phones"][1]["banner"].is_null()).await;
    lab.press("switches", json!({"old_server": true})).await;
    let forwarded = lab.call(ADAM).await;
    let refused = |view: &Value| {
        let devices = call(view, &forwarded)["devices"].as_array().unwrap().clone();
        devices.iter().filter(|it| it["decision"]["rule"] == "forwarding_active").count() == 2
    };
    lab.until("both phones refuse", refused).await;
    lab.press(&format!("calls/{forwarded}/leg"), json!({"is": "pressed_1"})).await;
    lab.press(&format!("calls/{forwarded}/hang-up"), json!({})).await;
    let view = lab.until("it is over", |view| call(view, &forwarded)["state"] == "ended").await;
    let seen = call(&view, &forwarded);
    assert!(refused(&view), "{seen:#}");
    assert_eq!(seen["answered_by"], "forwarded");
    assert_eq!(seen["end"], "the caller hung up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_the_browser_alone_and_its_redirect_starts_the_app() {
    let lab = Lab::start("127.0.0.1:0").await;
    lab.press("phones/iphone/sign-in", json!({})).await;
    let view = lab.view().await;
    let url = view["phones"][0]["login_url"].as_str().unwrap().to_owned();
    lab.press("phones/iphone/power", json!({"action": "kill"})).await;
    let view = lab.view().await;
    assert_eq!((&view["phones"][0]["power"], view["phones"][0]["login_url"].as_str()), (&json!("off"), Some(&*url)));
    let browser = Browser::new(view["base"].as_str().unwrap(), view["upstream"].as_str().unwrap()).unwrap();
    let password = view["accounts"][2]["password"].as_str().unwrap().to_owned();
    let who = Credentials { email: ADAM.into(), password, method: Method::Password, code: None };
    let Page::App { redirect } = browser.sign_in(&url, &who).await.unwrap() else { panic!("not back at the app") };
    assert_eq!(lab.client.get(redirect).send().await.unwrap().status(), 200);
    let signed_in = |view: &Value| view["phones"][0]["session"]["state"] == "signed_in";
    lab.until("the iPhone is signed in", signed_in).await;

    // Killed when its refresh was answered and the answer not heard, it finds its way back by itself.
    lab.until("it is live", |view| view["phones"][0]["presence"]["link"] == "live").await;
    lab.press("phones/iphone/kill-in-refresh", json!({"set": true})).await;
    assert_eq!(lab.view().await["phones"][0]["kill_in_refresh"], true);
    lab.press("phones/iphone/expire-token", json!({})).await;
    // It needs a token for this; the kill is the answer.
    lab.post("phones/iphone/availability", json!({"availability": {"kind": "available"}})).await;
    lab.until("it is killed", |view| view["phones"][0]["power"] == "off").await;
    lab.press("phones/iphone/power", json!({"action": "start"})).await;
    lab.until("it is signed in and live", |view| signed_in(view) && view["phones"][0]["presence"]["link"] == "live")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_is_played_step_by_step_and_a_reset_ends_it() {
    let lab = Lab::start("127.0.0.1:0").await;
    assert_eq!(lab.post("story", json!({"name": "../README", "plays": true})).await, 404);
    lab.press("story", json!({"name": "declined", "plays": false})).await;
    let view = lab.view().await;
    let steps = view["story"]["steps"].as_array().unwrap().len();
    assert_eq!(
        (&view["scene"], &view["story"]["played"], &view["story"]["plays"]),
        (&json!(1), &json!(0), &json!(false))
    );
    lab.press("story/step", json!({})).await;
    lab.until("the first step was played", |view| view["story"]["played"] == 1).await;
    lab.press("story/step", json!({})).await;
    lab.until("the second step was played", |view| view["story"]["played"] == 2).await;
    // Whoever steps does not wait between the steps.
    for played in 3..=steps {
        lab.press("story/step", json!({})).await;
        let view = lab.until("the next step was played", |view| view["story"]["played"] == json!(played)).await;
        assert!(view["story"]["trouble"].is_null(), "{:#}", view["story"]);
    }
    lab.press("reset", json!({})).await;
    let view = lab.view().await;
    assert_eq!((&view["scene"], &view["story"], &view["calls"]), (&json!(2), &Value::Null, &json!([])));
    assert_eq!(view["phones"][0]["session"]["state"], "signed_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_loopback_address_leads_to_the_page() {
    // A machine need not have IPv6; all of 127/8 is Linux's alone.
    for listen in ["[::1]:0", "127.0.0.2:0"] {
        let host = listen.trim_end_matches(":0");
        if tokio::net::TcpListener::bind(listen).await.is_err() {
            continue;
        }
        let lab = Lab::start(listen).await;
        let port = lab.origin.rsplit_once(':').unwrap().1;
        let page = lab.client.get(format!("http://{host}:{port}/")).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert_eq!(page.url().as_str(), format!("{}/", lab.origin));
    }
}
