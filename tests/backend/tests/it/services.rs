//! PostgreSQL, NATS and nodes as processes of their own, which can be killed and started again where they were.
//!
//! Where their programs are is in the environment: `HOOKSWITCH_POSTGRES_BIN` (the folder of `initdb` and `postgres`) and
//! `HOOKSWITCH_NATS_SERVER`. Each listens on a free port of loopback and ends with its value.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::support::soon;

/// A process and how it is started again.
pub(crate) struct Service {
    command: Command,
    address: SocketAddr,
    child: Option<Child>,
    /// The signal that ends it at once. PostgreSQL has to clear up after itself.
    end: &'static str,
    _folder: TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill(self.end);
    }
}

impl Service {
    async fn of(mut command: Command, address: SocketAddr, folder: TempDir, end: &'static str) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).current_dir(folder.path());
        let mut service = Self { command, address, child: None, end, _folder: folder };
        service.start().await;
        service
    }

    /// Returns once it listens.
    pub(crate) async fn start(&mut self) {
        self.child = Some(self.command.spawn().unwrap());
        soon(async {
            while TcpStream::connect(self.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn kill(&mut self, signal: &str) {
        let Some(mut child) = self.child.take() else { return };
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "no signal to {}", child.id());
        child.wait().unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn named(variable: &str) -> PathBuf {
    env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| panic!("{variable} says where it is"))
}

fn id(arguments: &[&str]) -> u32 {
    let output = Command::new("id").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// A program of PostgreSQL, which refuses to be run by root.
fn postgres(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(named("HOOKSWITCH_POSTGRES_BIN").join(program));
    if id(&["-u"]) == 0 {
        let (user, group) = (id(&["-u", "postgres"]), id(&["-g", "postgres"]));
        chown(folder, Some(user), Some(group)).unwrap();
        command.uid(user).gid(group);
    }
    command.current_dir(folder);
    command
}

pub(crate) async fn start_postgres() -> (Service, String) {
    let (folder, address) = (tempfile::tempdir().unwrap(), free());
    let data = folder.path().join("data");
    let made = postgres("initdb", folder.path())
        .args(["--auth=trust", "--username=hookswitch", "--locale=C", "--encoding=UTF8"])
        .args(["-D".as_ref(), data.as_os_str()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut command = postgres("postgres", folder.path());
    command.arg("-D").arg(data).args(["-h", "127.0.0.1", "-k", "", "-p", &address.port().to_string()]);
    let (service, url) =
        (Service::of(command, address, folder, "QUIT").await, format!("postgres://hookswitch@{address}/postgres"));
    // It listens before it answers.
    soon(async {
        while tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    (service, url)
}

pub(crate) async fn start_nats() -> (Service, String) {
    let (folder, address) = (tempfile::tempdir().unwrap(), free());
    let mut command = Command::new(named("HOOKSWITCH_NATS_SERVER"));
    command.args(["-a", "127.0.0.1", "-p", &address.port().to_string()]);
    (Service::of(command, address, folder, "KILL").await, format!("nats://{address}"))
}

/// A node that others are told to find at `public_url`.
pub(crate) async fn start_node(database: &str, bus: Option<&str>, public_url: &str) -> Service {
    let (folder, address) = (tempfile::tempdir().unwrap(), free());
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookswitch-backend"));
    command.args(["--listen", &address.to_string(), "--database", database, "--public-url", public_url]);
    command.args(bus.iter().flat_map(|bus| ["--bus", bus]));
    Service::of(command, address, folder, "KILL").await
}
