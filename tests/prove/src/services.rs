//! PostgreSQL, NATS and nodes of the backend as processes of their own, on free ports of loopback. They end with their
//! values.

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use hookswitch_backend::{Backend, Config, Database};
use rustix::process::{Pid, getuid};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::{process::text, report::ErrorMessage};

/// Nothing takes longer to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process.
pub(crate) struct Service {
    child: Child,
    pub(crate) pid: Pid,
    pub(crate) address: SocketAddr,
    _folder: Option<tempfile::TempDir>,
}

impl Service {
    fn of(mut command: Command, address: SocketAddr, folder: Option<tempfile::TempDir>) -> Result<Self, ErrorMessage> {
        let child = command.kill_on_drop(true).spawn().map_err(text)?;
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).ok_or("no process")?;
        Ok(Self { child, pid, address, _folder: folder })
    }

    /// No time to say goodbye.
    pub(crate) async fn kill(&mut self) -> Result<(), ErrorMessage> {
        self.child.kill().await.map_err(text)
    }

    /// Resident memory in KiB, as Linux tells it.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Seconds of CPU until now, as Linux tells it.
    pub(crate) fn cpu(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid.as_raw_nonzero())).ok()?;
        // What comes after the name, which may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }
}

fn free() -> Result<SocketAddr, ErrorMessage> {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(text)
}

/// On PATH, or where Debian keeps it.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|all| all.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    let folders = versions.into_iter().rev().chain(std::env::split_paths(&path));
    folders.chain(["/usr/sbin".into()]).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// PostgreSQL refuses to be run by root.
const NOBODY_ELSE: &str = "PostgreSQL is not run by root, and there is no user postgres";
const NO_POSTGRES: &str = "PostgreSQL is needed";

/// What this machine lacks for [`postgres`].
pub(crate) fn lack() -> Option<&'static str> {
    if program("initdb").is_none() || program("postgres").is_none() {
        return Some(NO_POSTGRES);
    }
    (getuid().is_root() && its_user().is_none()).then_some(NOBODY_ELSE)
}

/// The user and the group that Debian made for PostgreSQL.
fn its_user() -> Option<(u32, u32)> {
    let id = |which| {
        let output = std::process::Command::new("id").args([which, "postgres"]).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    };
    Some((id("-u")?, id("-g")?))
}

fn not_as_root(mut command: Command, folder: &Path) -> Result<Command, ErrorMessage> {
    if getuid().is_root() {
        let (user, group) = its_user().ok_or(NOBODY_ELSE)?;
        chown(folder, Some(user), Some(group)).map_err(text)?;
        command.uid(user).gid(group);
    }
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

/// PostgreSQL, and its address for the backend.
pub(crate) async fn postgres() -> Result<(Service, String), ErrorMessage> {
    let (Some(initdb), Some(postgres)) = (program("initdb"), program("postgres")) else {
        return Err(NO_POSTGRES.into());
    };
    let (folder, address) = (tempfile::Builder::new().prefix("prove-").tempdir().map_err(text)?, free()?);
    let data = folder.path().join("data");
    let mut command = not_as_root(Command::new(initdb), folder.path())?;
    command.args(["--auth=trust", "--username=hookswitch", "--locale=C", "--encoding=UTF8", "-D"]).arg(&data);
    if !command.status().await.map_err(text)?.success() {
        return Err("PostgreSQL makes no database".into());
    }
    let mut command = not_as_root(Command::new(postgres), folder.path())?;
    command.arg("-D").arg(data).args(["-h", "127.0.0.1", "-k", "", "-p", &address.port().to_string()]);
    Ok((Service::of(command, address, Some(folder))?, format!("postgres://hookswitch@{address}/postgres")))
}

/// NATS, if it is installed.
pub(crate) async fn nats() -> Result<Option<(Service, String)>, ErrorMessage> {
    let Some(program) = program("nats-server") else { return Ok(None) };
    let address = free()?;
    let mut command = Command::new(program);
    command.args(["-a", "127.0.0.1", "-p", &address.port().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let service = Service::of(command, address, None)?;
    let listens = async {
        while TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, listens).await.map_err(|_| "NATS does not start")?;
    Ok(Some((service, format!("nats://{address}"))))
}

/// The backend on a database that has just been started.
pub(crate) async fn backend(config: Config) -> Result<Backend, ErrorMessage> {
    let starts = async {
        loop {
            match Backend::start(config.clone()).await {
                Ok(backend) => return backend,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, starts).await.map_err(|_| "the backend does not start".into())
}

/// A node in a process of its own: `prove node`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Node {
    #[arg(long)]
    database: String,
    #[arg(long)]
    bus: Option<String>,
    #[arg(long)]
    public_url: String,
}

impl Node {
    pub(crate) fn new(database: &str, bus: Option<&str>, public_url: &str) -> Self {
        Self { database: database.to_owned(), bus: bus.map(str::to_owned), public_url: public_url.to_owned() }
    }

    pub(crate) async fn start(&self) -> Result<Service, ErrorMessage> {
        let mut command = Command::new(std::env::current_exe().map_err(text)?);
        command.args(["node", "--database", &self.database, "--public-url", &self.public_url]);
        command.args(self.bus.iter().flat_map(|bus| ["--bus", bus]));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut service = Service::of(command, SocketAddr::from(([127, 0, 0, 1], 0)), None)?;
        let output = service.child.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.map_err(|_| "a node does not start")?;
        service.address = line.map_err(text)?.unwrap_or_default().parse().map_err(|_| "a node does not start")?;
        Ok(service)
    }

    /// Runs until its input ends.
    pub(crate) async fn run(self) -> Result<(), ErrorMessage> {
        let config = Config {
            database: Database::Postgres(self.database.into()),
            bus: self.bus,
            public_url: Some(self.public_url),
            ..Config::default()
        };
        let backend = Backend::start(config).await.map_err(text)?;
        println!("{}", backend.address());
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
        backend.stop().await;
        Ok(())
    }
}
