//! An app in a process of its own. Whatever it does, the lab goes on and says what was wrong.

use std::{
    collections::HashMap,
    fmt,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use hookswitch::{
    machine::{AppState, Failure},
    wire::DeviceId,
};
use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    process::{ChildStdin, ChildStdout, Command},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::{
    News,
    protocol::{Ask, Open, Opened, Question, Said},
};

/// A transcript is one line, of megabytes.
const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// A scenario needs a hundred.
const MOST_UNASKED: usize = 10_000;
/// A runtime of another language starts.
const OPEN_WITHIN: Duration = Duration::from_secs(60);
/// The core itself gives up sooner.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How a phone's app is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    command: String,
    arguments: Vec<String>,
}

impl std::str::FromStr for Program {
    type Err = &'static str;

    /// A command and its arguments, with spaces between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_whitespace().map(str::to_owned);
        let command = words.next().ok_or("a program is needed")?;
        Ok(Self { command, arguments: words.collect() })
    }
}

/// Why a process is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The lab killed it.
    Killed,
    /// It ended by itself, or somebody else ended it.
    Exited(Option<ExitStatus>),
    /// It said something that is no line of the protocol.
    Garbled { line: String, why: String },
    /// It says more than anybody wants to hear.
    Flooded(&'static str),
    /// It did not answer in time.
    Silent(&'static str),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed => f.write_str("it was killed"),
            Self::Exited(Some(status)) => write!(f, "it exited ({status})"),
            Self::Exited(None) => f.write_str("it exited"),
            Self::Garbled { line, why } => write!(f, "garbled: {why}: {line}"),
            Self::Flooded(what) => write!(f, "flooded: {what}"),
            Self::Silent(ask) => write!(f, "silent: no answer to {ask}"),
        }
    }
}

type Answer = Result<Value, Failure>;

/// An app in a process of its own. Dropping it kills the process.
pub(crate) struct Child {
    device: DeviceId,
    process: Process,
}

struct Process {
    conversation: Arc<Conversation>,
    lines: mpsc::UnboundedSender<String>,
    /// Write and listen; end with this value.
    _tasks: JoinSet<()>,
}

struct Conversation {
    state: Mutex<State>,
    shown: Mutex<Option<AppState>>,
    /// Whoever wants the process to end says why; the first one is heard.
    wanted: watch::Sender<Option<End>>,
    over: watch::Sender<bool>,
}

enum State {
    Running { asked: u64, waiting: HashMap<u64, oneshot::Sender<Answer>> },
    Ended(End),
}

fn gone(end: &End) -> Failure {
    Failure::internal(format!("The app's process is gone: {end}."))
}

impl Child {
    /// Starts the program and opens the core in it.
    pub(crate) async fn open(
        program: &Program,
        open: Open,
        news: mpsc::UnboundedSender<News>,
    ) -> Result<Self, Failure> {
        let process = Process::start(program, news)?;
        let opened = process.ask(Ask::Open(open), OPEN_WITHIN).await?;
        let Opened { device } = serde_json::from_value(opened)
            .map_err(|error| Failure::internal(format!("The answer to open cannot be read: {error}")))?;
        if process.conversation.shown().is_none() {
            return Err(Failure::internal("The app was opened, and did not say what it shows."));
        }
        Ok(Self { device, process })
    }

    pub(crate) const fn device(&self) -> &DeviceId {
        &self.device
    }

    pub(crate) fn shown(&self) -> Option<AppState> {
        self.process.conversation.shown().clone()
    }

    pub(crate) async fn perform(&self, ask: Ask) -> Answer {
        self.process.ask(ask, ANSWER_WITHIN).await
    }

    pub(crate) async fn kill(&self) {
        self.process.conversation.end(End::Killed);
        // The sender lives as long as `self`: this never errs.
        let _ = self.process.conversation.over.subscribe().wait_for(|over| *over).await;
    }
}

impl Process {
    fn start(program: &Program, news: mpsc::UnboundedSender<News>) -> Result<Self, Failure> {
        let mut process = Command::new(&program.command)
            .args(&program.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::internal(format!("{} cannot be started: {error}", program.command)))?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(Failure::internal("The program has no pipes."));
        };
        let conversation = Arc::new(Conversation {
            state: Mutex::new(State::Running { asked: 0, waiting: HashMap::new() }),
            shown: Mutex::default(),
            wanted: watch::Sender::new(None),
            over: watch::Sender::new(false),
        });
        let (lines, to_write) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(write(input, to_write));
        tasks.spawn(Arc::clone(&conversation).keep(process, output, news));
        Ok(Self { conversation, lines, _tasks: tasks })
    }

    async fn ask(&self, ask: Ask, limit: Duration) -> Answer {
        let name = ask.name();
        let (waiter, answer) = oneshot::channel();
        let id = self.conversation.expect_answer(waiter).map_err(|end| gone(&end))?;
        let line = serde_json::to_string(&Question { id, ask })
            .map_err(|error| Failure::internal(format!("{name} cannot be written: {error}")))?;
        // The writer ends with the process, which the waiter will be told.
        let _ = self.lines.send(line);
        match timeout(limit, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(gone(&End::Exited(None))),
            Err(_) => {
                let end = End::Silent(name);
                self.conversation.end(end.clone());
                Err(gone(&end))
            }
        }
    }
}

async fn write(mut input: ChildStdin, mut lines: mpsc::UnboundedReceiver<String>) {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        if input.write_all(line.as_bytes()).await.is_err() {
            // It reads no more; its output says more about it.
            return;
        }
    }
}

impl Conversation {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> MutexGuard<'_, Option<AppState>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number for a question.
    fn expect_answer(&self, waiter: oneshot::Sender<Answer>) -> Result<u64, End> {
        match &mut *self.state() {
            State::Running { asked, waiting } => {
                *asked += 1;
                waiting.insert(*asked, waiter);
                Ok(*asked)
            }
            State::Ended(end) => Err(end.clone()),
        }
    }

    fn end(&self, why: End) {
        self.wanted.send_if_modified(|wanted| {
            let first = wanted.is_none();
            wanted.get_or_insert(why);
            first
        });
    }

    /// Listens until the process is gone, and buries it.
    async fn keep(
        self: Arc<Self>,
        mut process: tokio::process::Child,
        output: ChildStdout,
        news: mpsc::UnboundedSender<News>,
    ) {
        let mut wanted = self.wanted.subscribe();
        let mut end = tokio::select! {
            biased;
            wanted = wanted.wait_for(Option::is_some) => {
                wanted.ok().and_then(|wanted| wanted.clone()).unwrap_or(End::Killed)
            }
            end = self.listen(output, &news) => end,
        };
        if let End::Exited(status) = &mut end {
            // It has closed its output, and is about to exit if it has not.
            *status = timeout(Duration::from_secs(1), process.wait()).await.ok().and_then(Result::ok);
        }
        // Fails when it is gone.
        let _ = process.kill().await;
        let waiting = match std::mem::replace(&mut *self.state(), State::Ended(end.clone())) {
            State::Running { waiting, .. } => waiting,
            State::Ended(_) => HashMap::new(),
        };
        for waiter in waiting.into_values() {
            // Whoever asked may have gone.
            let _ = waiter.send(Err(gone(&end)));
        }
        if end != End::Killed {
            let _ = news.send(News::Ended(end.to_string()));
        }
        self.over.send_replace(true);
    }

    async fn listen(&self, output: ChildStdout, news: &mpsc::UnboundedSender<News>) -> End {
        let mut lines = FramedRead::new(output, LinesCodec::new_with_max_length(LONGEST_LINE));
        let mut unasked = 0;
        loop {
            let line = match lines.next().await {
                Some(Ok(line)) => line,
                Some(Err(LinesCodecError::MaxLineLengthExceeded)) => return End::Flooded("a line without an end"),
                Some(Err(LinesCodecError::Io(error))) => {
                    return End::Garbled { line: "(no text)".into(), why: error.to_string() };
                }
                None => return End::Exited(None),
            };
            let garbled = |why: String| {
                const SHOWN: usize = 300;
                let line = line.chars().take(SHOWN).collect();
                End::Garbled { line, why }
            };
            match Said::parse(&line) {
                Ok(Said::Answer { id, answer }) => {
                    let waiter = match &mut *self.state() {
                        State::Running { waiting, .. } => waiting.remove(&id),
                        State::Ended(_) => None,
                    };
                    match waiter {
                        // Whoever asked may have gone.
                        Some(waiter) => drop(waiter.send(answer)),
                        None => return garbled(format!("nothing with the number {id} waits for an answer")),
                    }
                    continue;
                }
                Ok(Said::Shown(shown)) => {
                    *self.shown() = Some((*shown).clone());
                    let _ = news.send(News::Shown(shown));
                }
                Ok(Said::Stopped(stopped)) => {
                    let _ = news.send(News::Stopped(stopped));
                }
                Err(why) => return garbled(why),
            }
            unasked += 1;
            if unasked > MOST_UNASKED {
                return End::Flooded("too many unasked lines");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::protocol::{AppConfig, Clocks};
    use hookswitch::wire::UnixMillis;

    const SHOWN: &str = r#"{"shown":{"session":{"kind":"loading"},"presence":null,"link":"off","calls":{"ringing":[],"in_call":null}}}"#;
    const STOPPED: &str = r#"{"stopped":{"call_id":"1","why":{"kind":"silenced","reason":"expired"},"explanation":"Silent: the call is over."}}"#;

    fn shell(script: &str) -> Program {
        Program { command: "sh".into(), arguments: vec!["-c".into(), script.to_owned()] }
    }

    async fn open(program: &Program) -> (Result<Child, Failure>, mpsc::UnboundedReceiver<News>) {
        let (news, told) = mpsc::unbounded_channel();
        let config = AppConfig {
            issuer: "http://127.0.0.1:1".into(),
            server: "http://127.0.0.1:1".into(),
            client_id: "lab".into(),
            redirect_uris: Vec::new(),
            device_name: "phone".into(),
            platform: hookswitch::wire::Platform::Ios,
            app_version: "0".into(),
            folder: "nowhere".into(),
            process: "app".into(),
        };
        let open = Open { config, proxy: "http://127.0.0.1:1".into(), clock: Clocks { wall: UnixMillis(0), mono: 0 } };
        (Child::open(program, open, news).await, told)
    }

    /// A program that opens, and then does this.
    async fn opened(then: &str) -> (Child, mpsc::UnboundedReceiver<News>) {
        let program = shell(&format!(
            "read -r _; echo '{SHOWN}'; echo '{{\"id\":1,\"ok\":{{\"device\":\"d\"}}}}'; read -r question; {then}"
        ));
        let (child, mut told) = open(&program).await;
        assert!(matches!(told.recv().await, Some(News::Shown(_))));
        (child.unwrap(), told)
    }

    async fn complaint(program: &Program) -> String {
        open(program).await.0.err().unwrap().to_string()
    }

    #[tokio::test]
    async fn a_program_that_does_not_start_or_ends_is_named() {
        let missing: Program = "/nowhere/at-all --with arguments".parse().unwrap();
        assert!(complaint(&missing).await.contains("/nowhere/at-all cannot be started"));
        assert!(complaint(&shell("exit 3")).await.contains("exited (exit status: 3)"));
        assert!(complaint(&shell("kill -9 $$")).await.contains("exited (signal: 9"));
        assert!("  ".parse::<Program>().is_err());
    }

    #[tokio::test]
    async fn garbage_is_shown_as_it_came() {
        for (garbage, why) in [
            ("echo hello", "no JSON: expected value at line 1 column 1: hello"),
            (r#"echo '{"id":1}'"#, "missing field `ok`"),
            (r#"echo '{"id":99,"ok":null}'"#, "nothing with the number 99"),
            (r"printf '\377\n'", "garbled"),
        ] {
            let complaint = complaint(&shell(garbage)).await;
            assert!(complaint.contains("garbled") && complaint.contains(why), "{complaint}");
        }
        let nothing_shown = r#"echo '{"id":1,"ok":{"device":"d"}}'; read -r _; read -r _"#;
        assert!(complaint(&shell(nothing_shown)).await.contains("did not say what it shows"));
    }

    #[tokio::test]
    async fn a_flood_ends() {
        assert!(complaint(&shell("head -c 17000000 /dev/zero | tr '\\0' x")).await.contains("flooded: a line"));
        let endless = format!("yes '{STOPPED}'");
        assert!(complaint(&shell(&endless)).await.contains("flooded: too many unasked lines"));
    }

    // The runtime's clock passes by itself while nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn a_program_that_does_not_answer_is_not_waited_for() {
        assert!(complaint(&shell("exec sleep 1000")).await.contains("silent: no answer to open"));
    }

    #[tokio::test]
    async fn whoever_waits_is_told_when_the_process_goes_and_so_is_everybody_later() {
        let (child, mut told) = opened("exit 0").await;
        let end = child.perform(Ask::Repair).await.unwrap_err();
        assert!(end.to_string().contains("exited (exit status: 0)"), "{end}");
        assert!(matches!(told.recv().await, Some(News::Ended(why)) if why.contains("exited")));
        assert_eq!(child.perform(Ask::Saved).await, Err(end));
        child.kill().await;
        assert!(told.recv().await.is_none(), "it is told once");
    }

    #[tokio::test]
    async fn answers_find_their_questions_in_any_order() {
        let (child, mut told) = opened(&format!(
            "read -r _; echo '{STOPPED}'; echo '{{\"id\":3,\"failure\":\"offline\",\"why\":\"no bars\"}}'; \
             echo '{{\"id\":2,\"ok\":[\"done\"]}}'; read -r _"
        ))
        .await;
        let (second, third) = tokio::join!(child.perform(Ask::Repair), child.perform(Ask::SignOut));
        assert_eq!(second, Ok(serde_json::json!(["done"])));
        assert_eq!(third, Err(Failure::offline("no bars")));
        assert!(matches!(told.recv().await, Some(News::Stopped(_))));
        assert!(child.shown().is_some());
    }

    #[tokio::test]
    async fn after_a_kill_the_process_is_gone_and_nobody_is_told_of_an_accident() {
        let (child, mut told) = opened(r#"echo "{\"id\":2,\"ok\":\"$$\"}"; exec sleep 1000"#).await;
        let pid = child.perform(Ask::Transcript).await.unwrap();
        let alive = async || {
            let probe = Command::new("sh").args(["-c", &format!("kill -0 {}", pid.as_str().unwrap())]).output();
            probe.await.unwrap().status.success()
        };
        assert!(alive().await);
        child.kill().await;
        assert!(!alive().await);
        assert!(told.recv().await.is_none());
        assert!(child.perform(Ask::Saved).await.unwrap_err().to_string().contains("killed"));
    }
}
