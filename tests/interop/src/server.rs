//! A server of somebody else as a process of ours: it goes when we go, however that comes about.

use std::{
    ffi::OsStr,
    fs::File,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::process::{Child, ChildStdin, Command};

use crate::report::{ErrorMessage, text};

/// Runs a command in a process group of its own and kills the group when it ends or when its input does: the pipe closes
/// even if we are killed, and a server that is a script with a child is gone as a whole.
const WARDEN: &str = r#"{ "$@" </dev/null; kill -KILL -- -$$; } & cat >/dev/null; kill -KILL -- -$$"#;

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(240);

/// A server that runs.
pub(crate) struct Server {
    name: &'static str,
    log: PathBuf,
    warden: Child,
    /// Held: its end is the server's end.
    _leash: Option<ChildStdin>,
}

impl Server {
    /// Starts `program` in `folder`; what it prints goes to `log`.
    pub(crate) fn start<A: AsRef<OsStr>>(
        name: &'static str,
        folder: &Path,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
        environment: &[(&str, &str)],
        log: PathBuf,
    ) -> Result<Self, ErrorMessage> {
        let output = File::create(&log).map_err(text)?;
        let mut warden = Command::new("bash")
            .args(["-c", WARDEN, "warden", program])
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().map_err(text)?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{name} cannot be started: {error}"))?;
        let leash = warden.stdin.take();
        Ok(Self { name, log, warden, _leash: leash })
    }

    /// Returns once `is_ready`, and says now and then that it waits.
    pub(crate) async fn until_ready(&mut self, mut is_ready: impl AsyncFnMut() -> bool) -> Result<(), ErrorMessage> {
        let began = Instant::now();
        let mut told = 0;
        while !is_ready().await {
            let (waited, log) = (began.elapsed(), self.log.display());
            if self.warden.try_wait().map_err(text)?.is_some() {
                return Err(format!("{} has ended; its words are in {log}", self.name));
            }
            if waited > PATIENCE {
                return Err(format!("{} is not ready after {} s; see {log}", self.name, waited.as_secs()));
            }
            if waited.as_secs() >= told + 10 {
                told = waited.as_secs();
                println!("# {} is starting ({told} s)", self.name);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!("# {} is ready after {:.1} s", self.name, began.elapsed().as_secs_f64());
        Ok(())
    }
}

/// A port that is free now, for servers that must be told theirs.
pub(crate) fn free_port() -> Result<u16, ErrorMessage> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(text)?;
    listener.local_addr().map(|address| address.port()).map_err(text)
}
