//! `network`: every fault of a network in every state of a session, and nobody is signed out.
//!
//! Each combination has a backend and a phone of its own. The fault holds for every request until the phone has tried and
//! failed in its state, and for some backoff after that; then it goes away, and the phone must work at its next attempt, with
//! the session that it had.

use std::{sync::Arc, time::Duration};

use hookswitch::{
    machine::{Failure, view::SessionState},
    wire::Availability,
};
use hookswitch_backend::{Fault, FaultPlan, Point};
use secrecy::SecretString;
use tokio::sync::Semaphore;

use super::Promise;
use crate::{
    child::REDIRECT,
    local::Local,
    process::text,
    report::{ErrorMessage, Report, Size},
    test_backend::{TOKEN_LIFE, TestBackend},
};

/// So long the phone may wait before it tries again, in milliseconds: the longest backoff that it comes to here.
const LONGEST_WAIT: u64 = 16_000;
/// So often it is asked whether it has.
const STEP: u64 = 1_000;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    /// There is no network at all.
    NoRoute,
    /// The server, or what stands before it.
    Server(Fault),
}

const FAULTS: [Wrong; 12] = [
    Wrong::NoRoute,
    Wrong::Server(Fault::BeforeCommit),
    Wrong::Server(Fault::AfterCommit),
    Wrong::Server(Fault::TruncatedBody),
    Wrong::Server(Fault::SlowDrip { every_ms: 1_000 }),
    Wrong::Server(Fault::SlowDrip { every_ms: 1 }),
    Wrong::Server(Fault::Delay { ms: 500 }),
    Wrong::Server(Fault::CaptivePortal),
    Wrong::Server(Fault::WrongContentType),
    Wrong::Server(Fault::ServerError),
    Wrong::Server(Fault::TooManyRequests { retry_after_s: 2 }),
    Wrong::Server(Fault::MalformedJson),
];

/// What the phone is doing.
#[derive(Clone, Copy, Debug)]
enum State {
    /// In the foreground with a stream; the agent taps.
    Live,
    /// The token has expired; somebody asks for one.
    Expired,
    /// The token expires while the app is in front.
    Renewing,
    /// The app was just started.
    Starting,
    Repairing,
    /// The push service has a new address.
    Registering,
    SigningIn,
    /// The browser has come back.
    Exchanging,
    SigningOut,
}

const STATES: [State; 9] = [
    State::Live,
    State::Expired,
    State::Renewing,
    State::Starting,
    State::Repairing,
    State::Registering,
    State::SigningIn,
    State::Exchanging,
    State::SigningOut,
];

/// Nothing takes longer: a server that drips is given up before that.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let room = Arc::new(Semaphore::new(16));
    let mut tasks = tokio::task::JoinSet::new();
    for state in STATES {
        for wrong in FAULTS {
            // The drip that is given up takes as long as that: once is enough for a quick look.
            if is_slow(wrong) && !size.full && !matches!(state, State::Expired) {
                continue;
            }
            let room = Arc::clone(&room);
            tasks.spawn(async move {
                let _place = room.acquire_owned().await.map_err(text)?;
                let result = tokio::time::timeout(PATIENCE, try_out(state, wrong)).await;
                let result = result.unwrap_or_else(|_| Err("it hangs".into()));
                result.map_err(|trouble| format!("{state:?}, {wrong:?}: {trouble}"))
            });
        }
    }
    let combinations = tasks.len();
    let mut short = Vec::new();
    while let Some(result) = tasks.join_next().await {
        if let Err(trouble) = result.map_err(text)? {
            short.push(trouble);
        }
    }
    short.sort();
    let held = combinations - short.len();
    let figure = format!("{combinations} combinations of state and fault: {held} still signed in");
    Ok(Report::new(Promise::Network, size, figure, short))
}

/// Whether the client gives up only after some time.
const fn is_slow(wrong: Wrong) -> bool {
    matches!(wrong, Wrong::Server(Fault::SlowDrip { every_ms: 1_000 }))
}

async fn try_out(state: State, wrong: Wrong) -> Result<(), ErrorMessage> {
    let backend = TestBackend::open().await?;
    match state {
        State::SigningIn | State::Exchanging => return sign_in(&backend, state, wrong).await,
        State::SigningOut => return sign_out(&backend, wrong).await,
        State::Live | State::Expired | State::Renewing | State::Starting | State::Repairing | State::Registering => {}
    }
    let folder = backend.folder("phone");
    let mut phone = Local::open(&backend, &folder).await?;
    phone.sign_in(&backend).await?;
    phone.core.set_push_token(Some(&SecretString::from("push-1"))).await.map_err(text)?;
    phone.must_stay_signed_in();
    let refusals = backend.refusals()?;
    match state {
        State::Live => {
            live(&phone).await;
            break_it(&backend, &phone, wrong);
            not_a_logout(phone.core.set_availability(Availability::Automatic).await)?;
        }
        State::Expired => {
            backend.jump(TOKEN_LIFE)?;
            break_it(&backend, &phone, wrong);
            not_a_logout(phone.token().await)?;
        }
        State::Renewing => {
            live(&phone).await;
            break_it(&backend, &phone, wrong);
            backend.jump(TOKEN_LIFE)?;
            not_a_logout(phone.token().await)?;
        }
        State::Starting => {
            phone.core.saved().await;
            drop(phone);
            phone = Local::open(&backend, &folder).await?;
            phone.must_stay_signed_in();
            backend.jump(TOKEN_LIFE)?;
            break_it(&backend, &phone, wrong);
            phone.core.foreground();
            not_a_logout(phone.token().await)?;
        }
        State::Repairing => {
            break_it(&backend, &phone, wrong);
            not_a_logout(phone.core.repair().await.map(|_| ()))?;
        }
        State::Registering => {
            phone.core.foreground();
            break_it(&backend, &phone, wrong);
            not_a_logout(phone.core.set_push_token(Some(&SecretString::from("push-2"))).await)?;
        }
        State::SigningIn | State::Exchanging | State::SigningOut => {}
    }
    // A while of trying in vain: shorter than the server remembers the token whose answer was lost. (An answer that drips
    // has taken a third of that already.)
    for _ in 0..if is_slow(wrong) { 0 } else { 4 } {
        backend.jump(5_000)?;
        not_a_logout(phone.token().await)?;
    }
    mend_it(&backend, &phone);
    // Who is told to wait is told for how long, and it is never longer than this.
    let mut waited = 0;
    while let Err(failure) = phone.token().await {
        if waited >= LONGEST_WAIT || !matches!(failure, Failure::Offline { .. }) {
            return Err(format!("it does not recover in {} s: {failure:?}", waited / 1_000));
        }
        backend.jump(STEP)?;
        waited += STEP;
    }
    phone.stayed_signed_in()?;
    let refused = backend.refusals()? - refusals;
    if refused > 0 {
        return Err(format!("{refused} invalid_grant"));
    }
    match backend.live_phones()? {
        1 => Ok(()),
        other => Err(format!("the backend has {other} sessions")),
    }
}

/// Nothing is lost: the same page, or one more tap, leads on.
async fn sign_in(backend: &TestBackend, state: State, wrong: Wrong) -> Result<(), ErrorMessage> {
    let phone = Local::open(backend, &backend.folder("phone")).await?;
    let signed_in = match state {
        State::Exchanging => {
            let login = phone.core.begin_login(None, REDIRECT).await.map_err(text)?;
            let redirect = backend.walk(login.as_str()).await?;
            break_it(backend, &phone, wrong);
            let tried = phone.core.finish_login(&redirect).await;
            mend_it(backend, &phone);
            // The code may have been spent before the answer was lost (RFC 6749, section 4.1.2: it is good once).
            tried.is_ok() || phone.core.finish_login(&redirect).await.is_ok()
        }
        State::SigningIn
        | State::Live
        | State::Expired
        | State::Renewing
        | State::Starting
        | State::Repairing
        | State::Registering
        | State::SigningOut => {
            break_it(backend, &phone, wrong);
            let tried = phone.core.begin_login(None, REDIRECT).await;
            mend_it(backend, &phone);
            if let Err(failure) = tried {
                not_a_logout(Err(failure))?;
            }
            false
        }
    };
    if !signed_in {
        phone.sign_in(backend).await.map_err(|trouble| format!("a new sign-in fails: {trouble}"))?;
    }
    phone.token().await.map_err(|failure| format!("no token: {failure:?}"))
}

/// Signed out at once; the server hears of it when it can.
async fn sign_out(backend: &TestBackend, wrong: Wrong) -> Result<(), ErrorMessage> {
    let phone = Local::open(backend, &backend.folder("phone")).await?;
    phone.sign_in(backend).await?;
    phone.core.foreground();
    break_it(backend, &phone, wrong);
    phone.core.sign_out().await.map_err(|failure| format!("it does not sign out: {failure:?}"))?;
    let session = phone.core.state().session;
    if !matches!(session, SessionState::SignedOut { .. }) {
        return Err(format!("after the sign-out it is {session:?}"));
    }
    mend_it(backend, &phone);
    while backend.live_phones()? > 0 {
        // Backoff passes.
        backend.jump(1_000)?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// In the foreground, and what is shown is what is.
async fn live(phone: &Local) {
    phone.core.foreground();
    let mut views = phone.core.watch();
    let _ = views.wait_for(|view| view.link == hookswitch::machine::view::Link::Live).await;
}

fn break_it(backend: &TestBackend, phone: &Local, wrong: Wrong) {
    match wrong {
        Wrong::NoRoute => phone.cable.pull(true),
        Wrong::Server(fault) => {
            backend.operator.inject(FaultPlan::new(Point::Any, fault));
        }
    }
}

fn mend_it(backend: &TestBackend, phone: &Local) {
    phone.cable.pull(false);
    backend.operator.clear_faults();
}

/// Whatever went wrong, nobody is asked to sign in again.
fn not_a_logout(result: Result<(), Failure>) -> Result<(), ErrorMessage> {
    match result {
        Ok(())
        | Err(
            Failure::Offline { .. }
            | Failure::Cancelled { .. }
            | Failure::Forbidden { .. }
            | Failure::Internal { .. }
            | Failure::Storage { .. },
        ) => Ok(()),
        Err(failure @ Failure::Reauthenticate { .. }) => Err(format!("{failure:?}")),
    }
}
