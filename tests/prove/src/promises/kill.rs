//! `kill`: a phone's process is killed (SIGKILL) at any moment of its work, and the next one goes on.
//!
//! Real processes, real files, the backend's own record. Each round draws what the phone does and where it dies: at a
//! stage (a key is wrapped, a request leaves, its answer begins, its body was read), and some microseconds after it, which
//! is how the transactions of the vault between the stages are hit. Then a new process must find its way:
//!
//! | killed in | what must hold |
//! |---|---|
//! | a sign-in | before the code was sent, the redirect that the browser brings is still good; after it, the same redirect or a new sign-in works |
//! | a start | signed in, the token works |
//! | a refresh | signed in; the same family of tokens lives; no `invalid_grant`, even when nobody asks for a token until long after the server forgot the old one |
//! | a sign-out | what was acknowledged is signed out; what is signed out, the server hears of; else still signed in |

use std::{collections::BTreeMap, time::Duration};

use hookswitch::machine::view::SessionState;

use super::Promise;
use crate::{
    child::Do,
    process::{Process, Unanswered, text},
    report::{ErrorMessage, Progress, Report, Size},
    stage::KillPoint,
    test_backend::{LEEWAY, TOKEN_LIFE, TestBackend, is_signed_in},
};

/// Nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a phone is killed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    SignIn,
    Start,
    Refresh,
    SignOut,
}

pub(super) async fn measure(size: Size) -> Result<Report, ErrorMessage> {
    let rounds = size.pick(80, 1_200);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut tasks = tokio::task::JoinSet::new();
    for worker in 0..workers {
        tasks.spawn(work(size, worker, workers, rounds));
    }
    let (mut short, mut died) = (Vec::new(), BTreeMap::<Work, usize>::new());
    let mut kills = 0;
    while let Some(result) = tasks.join_next().await {
        let (fell_short, where_) = result.map_err(text)??;
        short.extend(fell_short);
        for (work, count) in where_ {
            kills += count;
            *died.entry(work).or_default() += count;
        }
    }
    let where_: Vec<String> = died.iter().map(|(work, count)| format!("{count} {}", name(*work))).collect();
    let figure = format!(
        "{kills} kills ({}), {} recovered",
        where_.join(", "),
        if short.is_empty() { "all".to_owned() } else { format!("all but {}", short.len()) }
    );
    Ok(Report::new(Promise::Kill, size, figure, short))
}

const fn name(work: Work) -> &'static str {
    match work {
        Work::SignIn => "in a sign-in",
        Work::Start => "in a start",
        Work::Refresh => "in a refresh",
        Work::SignOut => "in a sign-out",
    }
}

type Died = BTreeMap<Work, usize>;

async fn work(size: Size, worker: usize, workers: usize, rounds: usize) -> Result<(Vec<String>, Died), ErrorMessage> {
    let backend = TestBackend::open().await?;
    let (mut short, mut died) = (Vec::new(), Died::new());
    let mut progress = Progress::new(Promise::Kill, rounds);
    // One phone lives through all the rounds that leave it signed in.
    let mut lasting = 0;
    end(backend.phone(&format!("lasting-{lasting}")).await?).await?;
    for round in (worker..rounds).step_by(workers) {
        let mut luck = size.luck(round);
        let work = match luck.u32(..10) {
            0..3 => Work::SignIn,
            3 => Work::Start,
            4..8 => Work::Refresh,
            _ => Work::SignOut,
        };
        let kill = point(work, &mut luck);
        let on = format!("lasting-{lasting}");
        let result = match work {
            Work::SignIn => sign_in(&backend, &format!("fresh-{round}"), &kill).await,
            Work::Start => start(&backend, &on, &kill).await,
            Work::Refresh => refresh(&backend, &on, &kill, &mut luck).await,
            Work::SignOut => sign_out(&backend, &format!("leaving-{round}"), &kill, &mut luck).await,
        };
        match result {
            Ok(true) => *died.entry(work).or_default() += 1,
            Ok(false) => {}
            Err(trouble) => {
                short.push(format!("round {round}, {} at {kill}: {trouble}", name(work)));
                if short.len() > 20 {
                    break;
                }
                // It may be in any state now.
                lasting += 1;
                end(backend.phone(&format!("lasting-{lasting}")).await?).await?;
            }
        }
        if worker == 0 {
            progress.at(round);
        }
    }
    Ok((short, died))
}

/// Where to die.
fn point(work: Work, luck: &mut fastrand::Rng) -> KillPoint {
    const METADATA: &str = "/.well-known/openid-configuration";
    let stages: Vec<(String, u64)> = match work {
        Work::SignIn => vec![
            ("start".into(), 12_000),
            ("wrap".into(), 4_000),
            (format!("send {METADATA}"), 0),
            (format!("answer {METADATA}"), 0),
            (format!("read {METADATA}"), 4_000),
            ("send /token".into(), 0),
            ("answer /token".into(), 1_500),
            ("read /token".into(), 5_000),
        ],
        Work::Start => vec![("start".into(), 12_000), ("unwrap".into(), 3_000)],
        Work::Refresh => vec![
            ("unwrap".into(), 6_000),
            ("send /token".into(), 2_000),
            ("answer /token".into(), 1_000),
            ("read /token".into(), 4_000),
            ("read /token".into(), 400),
        ],
        Work::SignOut => vec![("send /revoke".into(), 2_000), ("read /revoke".into(), 2_000)],
    };
    let choice = luck.usize(..stages.len());
    let (stage, most) = stages.into_iter().nth(choice).unwrap_or_default();
    // A third at the stage itself, the others somewhere after it.
    let micros = if most == 0 || luck.u32(..3) == 0 { 0 } else { luck.u64(..most) };
    KillPoint { stage, nth: 1, micros }
}

/// A new process on the folder; nothing kills it.
async fn restart(backend: &TestBackend, folder: &str) -> Result<(Process, SessionState), ErrorMessage> {
    let phone = Process::start(backend, &backend.folder(folder), "app", None)?;
    let session = timely(phone.opened()).await?.map_err(|error| format!("it does not start: {}", error.text()))?;
    Ok((phone, session))
}

async fn timely<T>(work: impl Future<Output = T>) -> Result<T, ErrorMessage> {
    tokio::time::timeout(PATIENCE, work).await.map_err(|_| "it hangs".to_owned())
}

/// Ends a process that is not to die in the middle of anything: nobody would start the next one in time.
async fn end(phone: Process) -> Result<(), ErrorMessage> {
    timely(phone.ask(Do::Saved)).await?.map_err(Unanswered::text)?;
    phone.kill().await
}

async fn works(backend: &TestBackend, phone: &Process) -> Result<(), ErrorMessage> {
    match timely(phone.token()).await? {
        Ok(_) => Ok(()),
        Err(error) => {
            let families = backend.families()?;
            let refusals: Vec<String> = families
                .iter()
                .filter_map(|family| Some((family, family.refusals.last()?)))
                .map(|(family, refusal)| {
                    format!("generation {:?} of {}: {}", refusal.generation, family.generation, refusal.why)
                })
                .collect();
            let kept = phone.keep_transcript(0).await;
            Err(format!("no token: {}; refused: {}; {kept}", error.text(), refusals.join(", ")))
        }
    }
}

async fn sign_in(backend: &TestBackend, folder: &str, kill: &KillPoint) -> Result<bool, ErrorMessage> {
    let mut phone = Process::start(backend, &backend.folder(folder), "app", Some(kill))?;
    // Until it dies: nothing that is said of it counts, but the redirect that the browser may have brought.
    let mut redirect = None;
    let attempt = async {
        phone.opened().await?;
        let login = phone.ask(Do::Begin).await?;
        match backend.walk(login.as_str().unwrap_or_default()).await {
            Ok(address) => redirect = Some(address),
            Err(trouble) => return Ok(Some(trouble)),
        }
        phone.ask(Do::Finish { redirect: redirect.clone().unwrap_or_default() }).await?;
        Ok::<_, Unanswered>(None)
    };
    let attempt = timely(attempt).await?;
    if let Ok(Some(trouble)) = attempt {
        return Err(trouble);
    }
    timely(phone.gone()).await??;
    let sent = phone.stages().iter().any(|stage| stage == "send /token");

    let (phone, session) = restart(backend, folder).await?;
    let mut signed_in = match session {
        SessionState::SignedIn { .. } => true,
        SessionState::SignedOut { .. } | SessionState::SigningIn { .. } => false,
        SessionState::Loading
        | SessionState::Locked
        | SessionState::ReauthRequired { .. }
        | SessionState::SigningOut => {
            return Err(format!("it starts with {session:?}"));
        }
    };
    if !signed_in && let Some(redirect) = redirect {
        let finished = timely(phone.ask(Do::Finish { redirect })).await?;
        match finished {
            Ok(_) => signed_in = true,
            // The code was spent by the process that died.
            Err(Unanswered::Failed(_)) if sent => {}
            Err(error) => return Err(format!("the browser's redirect is refused: {}", error.text())),
        }
    }
    if !signed_in {
        timely(backend.sign_in(&phone)).await?.map_err(|trouble| format!("a new sign-in fails: {trouble}"))?;
    }
    works(backend, &phone).await?;
    end(phone).await?;
    Ok(true)
}

async fn start(backend: &TestBackend, folder: &str, kill: &KillPoint) -> Result<bool, ErrorMessage> {
    let mut phone = Process::start(backend, &backend.folder(folder), "app", Some(kill))?;
    timely(phone.gone()).await??;
    let (phone, session) = restart(backend, folder).await?;
    if !is_signed_in(&session) {
        return Err(format!("it starts with {session:?}"));
    }
    works(backend, &phone).await?;
    end(phone).await?;
    Ok(true)
}

async fn refresh(
    backend: &TestBackend,
    folder: &str,
    kill: &KillPoint,
    luck: &mut fastrand::Rng,
) -> Result<bool, ErrorMessage> {
    let refusals = backend.refusals()?;
    let live = backend.live_phones()?;
    // Either the token has expired, or it is renewed ahead of its expiry and would be good for a little longer.
    let expired = luck.bool();
    backend.jump(if expired { TOKEN_LIFE } else { TOKEN_LIFE - 45_000 })?;
    let mut phone = Process::start(backend, &backend.folder(folder), "app", Some(kill))?;
    let attempt = async {
        phone.opened().await?;
        phone.ask(Do::Foreground).await?;
        phone.token().await
    };
    // It may die at any point of this, or a little later.
    let _ = timely(attempt).await?;
    let died = tokio::time::timeout(Duration::from_millis(300), phone.gone()).await.is_ok();
    if !died {
        // Ahead of its expiry, the token was not due after all.
        phone.kill().await?;
    }

    let (phone, session) = restart(backend, folder).await?;
    if !is_signed_in(&session) {
        return Err(format!("it starts with {session:?}"));
    }
    if luck.bool() {
        // A push has started the app: nobody asks for a token until the server has forgotten the old one. What the dead
        // process left open must have been settled before.
        timely(phone.ask(Do::Saved)).await?.map_err(Unanswered::text)?;
        backend.jump(LEEWAY + 1_000)?;
    }
    works(backend, &phone).await?;
    let session = phone.session().await.map_err(Unanswered::text)?;
    if !is_signed_in(&session) {
        return Err(format!("in the end it is {session:?}"));
    }
    end(phone).await?;
    let refused = backend.refusals()? - refusals;
    if refused > 0 {
        return Err(format!("{refused} invalid_grant"));
    }
    if backend.live_phones()? != live {
        return Err(format!("the backend has {} sessions instead of {live}", backend.live_phones()?));
    }
    Ok(died)
}

async fn sign_out(
    backend: &TestBackend,
    folder: &str,
    kill: &KillPoint,
    luck: &mut fastrand::Rng,
) -> Result<bool, ErrorMessage> {
    let before = backend.live_phones()?;
    end(backend.phone(folder).await?).await?;
    let in_time = luck.bool();
    let phone = Process::start(backend, &backend.folder(folder), "app", in_time.then_some(kill))?;
    timely(phone.opened()).await?.map_err(Unanswered::text)?;
    let asked = phone.send(Do::SignOut).await.map_err(Unanswered::text)?;
    let mut phone = phone;
    let acknowledged = if in_time {
        let acknowledged = timely(asked).await?.is_ok();
        if tokio::time::timeout(Duration::from_millis(300), phone.gone()).await.is_err() {
            phone.kill().await?;
        }
        acknowledged
    } else {
        // Somewhere in the transaction.
        tokio::time::sleep(Duration::from_micros(luck.u64(..4_000))).await;
        phone.kill().await?;
        asked.await.is_ok()
    };

    let (phone, session) = restart(backend, folder).await?;
    match session {
        SessionState::SignedOut { .. } => {}
        SessionState::SignedIn { .. } if !acknowledged => {
            works(backend, &phone).await?;
            timely(phone.ask(Do::SignOut)).await?.map_err(Unanswered::text)?;
        }
        SessionState::SignedIn { .. } => return Err("it was signed out, and is signed in again".into()),
        SessionState::Loading
        | SessionState::Locked
        | SessionState::SigningIn { .. }
        | SessionState::ReauthRequired { .. }
        | SessionState::SigningOut => return Err(format!("it starts with {session:?}")),
    }
    phone.ask(Do::Foreground).await.map_err(Unanswered::text)?;
    let told = async {
        while backend.live_phones()? > before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, ErrorMessage>(())
    };
    timely(told).await.map_err(|_| "the server never hears of the sign-out")??;
    phone.kill().await?;
    Ok(true)
}
