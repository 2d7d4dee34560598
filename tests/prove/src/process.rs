//! A phone in a process of its own, from outside.

use std::{
    collections::HashMap,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hookswitch::machine::{Failure, view::SessionState};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::{Mutex as AsyncMutex, oneshot, watch},
};

use crate::{
    child::{Asked, Do, Said},
    report::ErrorMessage,
    stage::KillPoint,
    test_backend::TestBackend,
};

/// Why a question was not answered well.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// The process is gone.
    Gone,
    /// It answered, with a failure.
    Failed(Failure),
}

impl Unanswered {
    pub(crate) fn text(self) -> ErrorMessage {
        match self {
            Self::Gone => "the process is gone".into(),
            Self::Failed(failure) => format!("{failure:?}"),
        }
    }
}

/// A phone that runs, or ran.
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    input: AsyncMutex<(ChildStdin, u64)>,
    shared: Arc<Shared>,
    opened: watch::Receiver<Opened>,
    stages: watch::Receiver<Vec<String>>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    gone: bool,
    answers: HashMap<u64, oneshot::Sender<Result<Value, Failure>>>,
}

#[derive(Clone, Debug)]
enum Opened {
    NotYet,
    Yes(Box<SessionState>),
    No(Failure),
    Gone,
}

impl Process {
    /// Starts a phone on `folder`.
    pub(crate) fn start(
        backend: &TestBackend,
        folder: &Path,
        role: &str,
        kill: Option<&KillPoint>,
    ) -> Result<Self, ErrorMessage> {
        std::fs::create_dir_all(folder).map_err(text)?;
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).map_err(text)?;
        let mut command = Command::new(std::env::current_exe().map_err(text)?);
        command.arg("phone").arg("--folder").arg(folder).arg("--issuer").arg(backend.base());
        command.arg("--role").arg(role).arg("--clock").arg(backend.clock_file());
        if let Some(proxy) = backend.wiretap {
            let temporary = folder.join("temporary");
            std::fs::create_dir_all(&temporary).map_err(text)?;
            command
                .arg("--log")
                .env("TMPDIR", temporary)
                .env("HTTP_PROXY", format!("http://{proxy}"))
                .env_remove("NO_PROXY");
        }
        if let Some(kill) = kill {
            command.arg("--kill").arg(kill.to_string());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let mut child = command.spawn().map_err(text)?;
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).ok_or("no process")?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = child.stdout.take().ok_or("no output")?;
        let shared = Arc::new(Shared::default());
        let (opened, when_opened) = watch::channel(Opened::NotYet);
        let (stages, when_staged) = watch::channel(Vec::new());
        let listener = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // Half a line: it was killed while it spoke.
                let Ok(said) = serde_json::from_str::<Said>(&line) else { continue };
                match said {
                    Said::Stage { stage } => stages.send_modify(|stages| stages.push(stage)),
                    Said::Opened { opened: session } => {
                        opened.send_replace(Opened::Yes(Box::new(session)));
                    }
                    Said::NotOpened { not_opened } => {
                        opened.send_replace(Opened::No(not_opened));
                    }
                    Said::Done { n, done } => listener.answer(n, Ok(done)),
                    Said::Failed { n, failed } => listener.answer(n, Err(failed)),
                }
            }
            opened.send_if_modified(|opened| {
                let modified = matches!(opened, Opened::NotYet);
                if modified {
                    *opened = Opened::Gone;
                }
                modified
            });
            let mut waiting = listener.waiting();
            waiting.gone = true;
            waiting.answers.clear();
        });
        Ok(Self { child, pid, input: AsyncMutex::new((input, 0)), shared, opened: when_opened, stages: when_staged })
    }

    /// The session with which it opened.
    pub(crate) async fn opened(&self) -> Result<SessionState, Unanswered> {
        let mut opened = self.opened.clone();
        let opened = opened.wait_for(|opened| !matches!(opened, Opened::NotYet)).await;
        match opened.as_deref() {
            Ok(Opened::Yes(session)) => Ok((**session).clone()),
            Ok(Opened::No(failure)) => Err(Unanswered::Failed(failure.clone())),
            Ok(Opened::NotYet | Opened::Gone) | Err(_) => Err(Unanswered::Gone),
        }
    }

    /// Sends a question; the answer is waited for by the future that this gives.
    pub(crate) async fn send(
        &self,
        what: Do,
    ) -> Result<impl Future<Output = Result<Value, Unanswered>> + use<>, Unanswered> {
        let (answer, answered) = oneshot::channel();
        {
            let mut input = self.input.lock().await;
            input.1 += 1;
            let n = input.1;
            {
                let mut waiting = self.shared.waiting();
                if waiting.gone {
                    return Err(Unanswered::Gone);
                }
                waiting.answers.insert(n, answer);
            }
            let mut line = serde_json::to_vec(&Asked { n, what }).unwrap_or_default();
            line.push(b'\n');
            input.0.write_all(&line).await.map_err(|_| Unanswered::Gone)?;
        }
        Ok(async move {
            match answered.await {
                Ok(Ok(done)) => Ok(done),
                Ok(Err(failure)) => Err(Unanswered::Failed(failure)),
                Err(_) => Err(Unanswered::Gone),
            }
        })
    }

    pub(crate) async fn ask(&self, what: Do) -> Result<Value, Unanswered> {
        self.send(what).await?.await
    }

    pub(crate) async fn session(&self) -> Result<SessionState, Unanswered> {
        let session = self.ask(Do::Session).await?;
        serde_json::from_value(session).map_err(|error| Unanswered::Failed(Failure::internal(error.to_string())))
    }

    /// One access token's fingerprint.
    pub(crate) async fn token(&self) -> Result<String, Unanswered> {
        let tokens = self.ask(Do::Tokens { count: 1 }).await?;
        Ok(tokens.get(0).and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// How far it has come.
    pub(crate) fn stages(&self) -> Vec<String> {
        self.stages.borrow().clone()
    }

    /// Returns once it has reached a stage after the first so many, or is gone.
    pub(crate) async fn reaches(&self, stage: &str, after: usize) {
        let mut stages = self.stages.clone();
        let there = |stages: &Vec<String>| stages.iter().skip(after).any(|reached| reached == stage);
        // An error means that it is gone.
        let _ = stages.wait_for(there).await;
    }

    /// Keeps its transcript in a file for whoever looks into a failure; gives the file's name.
    pub(crate) async fn keep_transcript(&self, round: usize) -> String {
        let kept = async {
            let transcript = tokio::time::timeout(Duration::from_secs(5), self.ask(Do::Transcript)).await;
            let transcript = transcript.map_err(|_| "it hangs".to_owned())?.map_err(Unanswered::text)?;
            let path = std::env::temp_dir().join(format!("prove-round-{round}-{}.jsonl", self.id()));
            std::fs::write(&path, transcript.as_str().unwrap_or_default()).map_err(text)?;
            Ok::<_, ErrorMessage>(path.display().to_string())
        };
        kept.await.unwrap_or_else(|trouble| format!("no transcript: {trouble}"))
    }

    pub(crate) fn id(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), ErrorMessage> {
        kill_process(self.pid, signal).map_err(text)
    }

    /// Kills it and waits until it is gone; what it said before is heard.
    pub(crate) async fn kill(mut self) -> Result<(), ErrorMessage> {
        self.child.start_kill().map_err(text)?;
        self.gone().await
    }

    /// Waits until it is gone.
    pub(crate) async fn gone(&mut self) -> Result<(), ErrorMessage> {
        self.child.wait().await.map_err(text)?;
        let mut stages = self.stages.clone();
        // The channel closes when the output has been read to its end.
        while stages.changed().await.is_ok() {}
        Ok(())
    }
}

impl Shared {
    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, n: u64, answer: Result<Value, Failure>) {
        let waiter = self.waiting().answers.remove(&n);
        if let Some(waiter) = waiter {
            // Whoever asked may have given up.
            let _ = waiter.send(answer);
        }
    }
}

pub(crate) fn text(error: impl std::fmt::Display) -> ErrorMessage {
    error.to_string()
}
