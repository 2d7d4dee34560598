//! A phone in a process of its own: the real core on a real folder. Reads what to do from its input, a JSON object a line,
//! and says on its output how far it is and what came of it.

use std::{
    io::BufRead,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use hookswitch::{
    Config, DeviceDescription, Hookswitch, SignInOptions,
    http::Network,
    machine::{Failure, IssuerProfile, view::SessionState},
    ports::Ports,
    store::KeyFile,
    wire::Platform,
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::{
    shared_clock::SharedClock,
    stage::{KillPoint, StagedHttp, StagedKeys, Stages},
};

/// The redirect URI of all phones here.
pub(crate) const REDIRECT: &str = "dev.hookswitch.agent:/callback";

/// What phone to be.
#[derive(Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    pub(crate) folder: PathBuf,
    #[arg(long)]
    pub(crate) issuer: String,
    /// The process's role: two processes of one folder have different ones.
    #[arg(long, default_value = "app")]
    pub(crate) role: String,
    /// The file of the shared clock.
    #[arg(long)]
    pub(crate) clock: PathBuf,
    /// Log all that can be logged to standard error.
    #[arg(long)]
    pub(crate) log: bool,
    /// Kill yourself there.
    #[arg(long)]
    pub(crate) kill: Option<KillPoint>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Do {
    /// So many tasks ask for an access token at once; answered with the fingerprints of what they got.
    Tokens {
        count: usize,
    },
    /// Answered with the address of the login page.
    Begin,
    Finish {
        redirect: String,
    },
    SignOut,
    PushToken {
        token: String,
    },
    /// Answered with the session's state.
    Session,
    Foreground,
    /// Answered when all is in the vault.
    Saved,
    /// Answered with the transcript.
    Transcript,
}

/// A line of the input.
#[derive(Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) n: u64,
    #[serde(flatten)]
    pub(crate) what: Do,
}

/// A line of the output.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Said {
    Stage { stage: String },
    Opened { opened: SessionState },
    NotOpened { not_opened: Failure },
    Done { n: u64, done: Value },
    Failed { n: u64, failed: Failure },
}

fn say(said: &Said) {
    if let Ok(line) = serde_json::to_string(said) {
        println!("{line}");
    }
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    if arguments.log {
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(std::io::stderr)
            .init();
    }
    let stages = Stages::new(arguments.kill.clone());
    stages.reached("start");
    let core = match open(&arguments, &stages).await {
        Ok(core) => Arc::new(core),
        Err(failure) => {
            say(&Said::NotOpened { not_opened: failure });
            return ExitCode::FAILURE;
        }
    };
    say(&Said::Opened { opened: core.state().session });
    let (lines, mut asked) = mpsc::unbounded_channel();
    // A thread of its own: reading standard input blocks.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = asked.recv().await {
        let Ok(Asked { n, what }) = serde_json::from_str::<Asked>(&line) else { continue };
        let core = Arc::clone(&core);
        tokio::spawn(async move {
            match carry_out(&core, what).await {
                Ok(done) => say(&Said::Done { n, done }),
                Err(failed) => say(&Said::Failed { n, failed }),
            }
        });
    }
    ExitCode::SUCCESS
}

async fn open(arguments: &Arguments, stages: &Arc<Stages>) -> Result<Hookswitch, Failure> {
    let Arguments { folder, issuer, role, clock, kill: _, log: _ } = arguments;
    let clock = SharedClock::open(clock).map_err(|error| Failure::internal(format!("no clock: {error}")))?;
    let ports = Ports {
        clock: Arc::new(clock),
        keys: Arc::new(StagedKeys { inner: KeyFile::new(folder.join("key")), stages: Arc::clone(stages) }),
        http: Arc::new(StagedHttp { inner: Network::new(), stages: Arc::clone(stages) }),
    };
    Hookswitch::open(config(issuer, folder, role, Platform::Ios), ports).await
}

/// How every phone here is configured.
pub(crate) fn config(issuer: &str, folder: &Path, role: &str, platform: Platform) -> Config {
    Config {
        issuer: issuer.into(),
        server: issuer.into(),
        client_id: "hookswitch-mobile".into(),
        redirect_uris: vec![REDIRECT.into()],
        profile: IssuerProfile::Unknown,
        sign_in: SignInOptions::default(),
        session_life: None,
        device: DeviceDescription { name: role.into(), platform, app_version: "1".into() },
        folder: folder.join("vault"),
        process: role.into(),
    }
}

async fn carry_out(core: &Arc<Hookswitch>, what: Do) -> Result<Value, Failure> {
    Ok(match what {
        Do::Tokens { count } => {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..count {
                let core = Arc::clone(core);
                tasks.spawn(async move { core.access_token().await.map(|token| fingerprint(token.expose_secret())) });
            }
            let mut prints = std::collections::BTreeSet::new();
            while let Some(token) = tasks.join_next().await {
                let token = token.map_err(|error| Failure::internal(error.to_string()))?;
                prints.insert(token?);
            }
            json!(prints)
        }
        Do::Begin => json!(core.begin_login(None, REDIRECT).await?),
        Do::Finish { redirect } => json!(core.finish_login(&redirect).await?),
        Do::SignOut => json!(core.sign_out().await?),
        Do::PushToken { token } => json!(core.set_push_token(Some(&token.into())).await?),
        Do::Session => json!(core.state().session),
        Do::Foreground => json!(core.foreground()),
        Do::Saved => json!(core.saved().await),
        Do::Transcript => json!(core.transcript()),
    })
}

fn fingerprint(token: &str) -> String {
    Sha256::digest(token).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
