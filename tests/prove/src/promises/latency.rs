//! `latency`: a push starts the app, and the app must know within a moment whether to ring.
//!
//! A phone is signed in, learns that calls are forwarded, and is closed. Then processes are started, one after the other,
//! each with a push that was made before the forwarding: only what the vault remembers can keep it silent. Measured from
//! before the process is started; the caches of the disk are warm, as they are on a phone that had a call today.
//!
//! An app asks for the access token before each request of its own, so that one which is there must cost next to nothing,
//! also from another language. `prove latency --through "Kotlin=COMMAND ARGUMENTS..."`, which may be repeated, runs such a
//! program (`LatencyMain` of `bindings/kotlin` and `bindings/swift`) with the address of a backend and a number of rounds as
//! last arguments. It signs in, makes calls until its code is warm, and then, in each round, times one call each of: nothing
//! (no argument, no result: the way there and back), the token that is there, what to show, and the decision on a push. It has
//! to open a library that is optimised: `tests/run` builds one, with `inject-panic`, which the generated sources look for.
//! Phone, backend and `prove` share the machine. The JVM compiles and collects beside the calls: where it finds no core free,
//! the calls wait for one as well, and the 99th percentile is longer by that.
//!
//! The full size is judged by its 99th percentile. The quick one runs beside other work, on machines that nobody chose: it
//! is judged by its median.

use hookswitch::wire::UnixMillis;
use hookswitch::{
    machine::{
        Silence, Verdict,
        view::{Link, SessionState},
    },
    wire::{CallId, CallPush, PushKind},
};
use hookswitch_backend::AgentSeed;
use tokio::process::Command;

use super::Promise;
use crate::{
    local::Local,
    process::text,
    report::{ErrorMessage, Progress, Report, Size, percentiles},
    test_backend::TestBackend,
    through::Through,
    wake::{Woken, now},
};

/// In milliseconds, from the start of the process to the decision.
const DECIDED_WITHIN: f64 = 20.0;
/// In microseconds, from the call to the token that is there, in the other language.
const TOKEN_WITHIN: f64 = 50.0;

pub(super) async fn measure(size: Size, through: &[Through]) -> Result<Report, ErrorMessage> {
    let rounds = size.pick(50, 1_000);
    let backend = TestBackend::open().await?;
    let folder = backend.folder("phone");
    let push = forwarding_phone(&backend).await?;
    let mut progress = Progress::new(Promise::Latency, rounds);
    let mut steps: [Vec<f64>; 5] = Default::default();
    for round in 0..rounds {
        let began = now();
        let mut process = Command::new(std::env::current_exe().map_err(text)?);
        process.arg("wake").arg("--folder").arg(&folder).arg("--issuer").arg(backend.base());
        process.arg("--push").arg(serde_json::to_string(&push).map_err(text)?).kill_on_drop(true);
        let output = process.output().await.map_err(text)?;
        if !output.status.success() {
            return Err(format!("round {round}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let Woken { main, ports, open, decided, session, verdict } =
            serde_json::from_slice(&output.stdout).map_err(text)?;
        if verdict != (Verdict::Silence { reason: Silence::ForwardingActive }) {
            return Err(format!("round {round}: it decides {verdict:?}, being {session:?}"));
        }
        let parts = [(began, main), (main, ports), (ports, open), (open, decided), (began, decided)];
        for (step, (from, to)) in steps.iter_mut().zip(parts) {
            step.push((to - from) as f64 / 1e6);
        }
        progress.at(round);
    }
    let [process, ports, vault, decision, all] = steps.map(percentiles);
    let (judged, by) = if size.full { (all.1, "p99") } else { (all.0, "median") };
    let mut short = Vec::new();
    if judged > DECIDED_WITHIN {
        short.push(format!("the {by} is {judged:.1} ms"));
    }
    let mut figure = format!(
        "{rounds} processes: decided after {:.1} ms (p99 {:.1}): process {:.1}, network client {:.1}, vault {:.1}, \
         decision {:.3}",
        all.0, all.1, process.0, ports.0, vault.0, decision.0
    );
    if !through.is_empty() {
        for seed in AgentSeed::demo() {
            backend.operator.add_agent(seed).await.map_err(text)?;
        }
    }
    for program in through {
        let times = program.time(backend.base(), size.pick(2_000, 10_000)).await?;
        figure = format!("{figure}; {}", times.sentence());
        let judged = if size.full { times.token.1 } else { times.token.0 };
        if judged > TOKEN_WITHIN {
            short.push(format!("the {by} of the token through {} is {judged:.1} µs", program.language()));
        }
    }
    Ok(Report::new(Promise::Latency, size, figure, short))
}

/// Leaves a phone behind that knows that calls are forwarded; gives a push that does not.
async fn forwarding_phone(backend: &TestBackend) -> Result<CallPush, ErrorMessage> {
    let phone = Local::open(backend, &backend.folder("phone")).await?;
    phone.sign_in(backend).await?;
    phone.core.foreground();
    let mut views = phone.core.watch();
    let before = views.wait_for(|view| view.link == Link::Live && view.presence.is_some()).await.map_err(text)?;
    let routing = phone.core.snapshot().ok_or("no state is known")?.version;
    let SessionState::SignedIn { agent, .. } = &before.session else { return Err("nobody is signed in".into()) };
    let account = agent.account.clone();
    drop(before);
    let number = "+33612345678".parse().map_err(text)?;
    phone.core.set_forwarding(Some(number)).await.map_err(text)?;
    phone.core.saved().await;
    Ok(CallPush {
        kind: PushKind::Incoming,
        call_id: CallId("cold".into()),
        account,
        expires_at: UnixMillis(i64::MAX),
        routing,
        forwarding_on: false,
        from: None,
        from_name: None,
    })
}
