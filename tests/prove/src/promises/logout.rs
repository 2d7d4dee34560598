//! `logout`: signed out means signed out: at once when the agent asks, without network too; soon when it is asked for from
//! afar, even if the phone is asleep in a pocket with its stream open.

use hookswitch::wire::UnixMillis;
use std::time::{Duration, Instant};

use hookswitch::{
    machine::{
        Silence, Verdict,
        view::{Link, SessionState},
    },
    wire::{AccountId, CallId, CallPush, PushKind, SignedOutReason, Version},
};

use super::Promise;
use crate::{
    local::Local,
    process::text,
    report::{ErrorMessage, Progress, Report, Size, percentiles},
    test_backend::TestBackend,
};

const LOCKED_WITHIN: f64 = 100.0;
const SILENT_WITHIN: f64 = 2_000.0;

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let rounds = size.pick(20, 200);
    let backend = TestBackend::open().await?;
    let mut progress = Progress::new(Promise::Logout, rounds);
    let (mut here, mut stored, mut afar, mut short) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        match offline(&backend, round).await {
            Ok([locked, in_vault]) => {
                here.push(locked);
                stored.push(in_vault);
            }
            Err(trouble) => short.push(format!("round {round}, offline: {trouble}")),
        }
        match from_afar(&backend, round).await {
            Ok(millis) => afar.push(millis),
            Err(trouble) => short.push(format!("round {round}, from afar: {trouble}")),
        }
        progress.at(round);
    }
    let [here, stored, afar] = [here, stored, afar].map(percentiles);
    if here.2 > LOCKED_WITHIN {
        short.push(format!("locked only after {:.1} ms", here.2));
    }
    if afar.2 > SILENT_WITHIN {
        short.push(format!("silent only after {:.1} ms", afar.2));
    }
    let figure = format!(
        "{rounds} each: locked offline within {:.1} ms, in the vault within {:.1} ms (median {:.1}); from afar silent within \
         {:.1} ms (median {:.1})",
        here.2, stored.2, stored.0, afar.2, afar.0
    );
    Ok(Report::new(Promise::Logout, size, figure, short))
}

fn call(account: &AccountId, id: String) -> CallPush {
    CallPush {
        kind: PushKind::Incoming,
        call_id: CallId(id),
        account: account.clone(),
        expires_at: UnixMillis(i64::MAX),
        routing: Version::new(u64::from(u32::MAX), 1),
        forwarding_on: false,
        from: None,
        from_name: None,
    }
}

/// Whether a call is silenced because nobody is signed in.
fn is_silent(phone: &Local, account: &AccountId, id: String) -> bool {
    let verdict = phone.core.decide(call(account, id), true).verdict;
    verdict == Verdict::Silence { reason: Silence::SignedOut }
}

/// How long it takes, in milliseconds, until nobody is signed in; and until that is in the vault, where it waits for the disk.
async fn offline(backend: &TestBackend, round: usize) -> Result<[f64; 2], ErrorMessage> {
    let account = backend.operator.account(backend.email()).map_err(text)?;
    let phone = Local::open(backend, &backend.folder(&format!("offline-{round}"))).await?;
    phone.sign_in(backend).await?;
    phone.core.foreground();
    phone.cable.pull(true);
    let mut views = phone.core.watch();
    let began = Instant::now();
    let mut signing_out = Box::pin(phone.core.sign_out());
    let locked = views.wait_for(|view| !matches!(view.session, SessionState::SignedIn { .. }));
    let done = tokio::select! {
        locked = locked => { locked.map_err(text)?; None }
        done = &mut signing_out => Some(done),
    };
    let locked = began.elapsed();
    if !is_silent(&phone, &account, format!("offline-{round}-at-once")) {
        return Err("a call rings during the sign-out".into());
    }
    match done {
        Some(done) => done.map_err(text)?,
        None => signing_out.as_mut().await.map_err(text)?,
    }
    drop(signing_out);
    let stored = began.elapsed();
    if !is_silent(&phone, &account, format!("offline-{round}")) {
        return Err("a call rings after the sign-out".into());
    }
    // A new process knows it, too.
    drop(phone);
    let phone = Local::open(backend, &backend.folder(&format!("offline-{round}"))).await?;
    let session = phone.core.state().session;
    if !matches!(session, SessionState::SignedOut { .. }) {
        return Err(format!("after a restart it is {session:?}"));
    }
    phone.core.foreground();
    let told = async {
        while backend.live_phones().is_ok_and(|live| live > 0) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.map_err(|_| "the server never hears of it")?;
    Ok([locked, stored].map(|took| took.as_secs_f64() * 1_000.0))
}

async fn from_afar(backend: &TestBackend, round: usize) -> Result<f64, ErrorMessage> {
    let account = backend.operator.account(backend.email()).map_err(text)?;
    let phone = Local::open(backend, &backend.folder(&format!("afar-{round}"))).await?;
    phone.sign_in(backend).await?;
    phone.core.foreground();
    let mut views = phone.core.watch();
    views.wait_for(|view| view.link == Link::Live).await.map_err(text)?;
    let began = Instant::now();
    backend.operator.revoke_sessions(backend.email(), SignedOutReason::Revoked).map_err(text)?;
    let gone = views.wait_for(|view| !matches!(view.session, SessionState::SignedIn { .. }));
    tokio::time::timeout(Duration::from_secs(20), gone).await.map_err(|_| "it never hears of it")?.map_err(text)?;
    if !is_silent(&phone, &account, format!("afar-{round}")) {
        return Err("a call rings after the sign-out".into());
    }
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}
