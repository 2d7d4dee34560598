//! The same promises of one node and of two.
//!
//! With `HOOKSWITCH_DATABASE=postgres://...` in the environment, each backend that a test starts is two nodes in a schema of
//! its own, behind a proxy that gives every connection to the other one; clients then open one for each request. With
//! `HOOKSWITCH_BUS=nats://...` they wake each other. `tests/run --only scale` does that.

use std::{env, net::SocketAddr, ops::Deref};

use hookswitch_backend::{Backend, Config, Database};
use reqwest::ClientBuilder;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
};

/// A database that several nodes may share, if there is one here.
fn postgres() -> Option<String> {
    env::var("HOOKSWITCH_DATABASE").ok()
}

/// What tests talk to.
pub(crate) struct Running {
    first: Backend,
    second: Option<Backend>,
    /// Ends with this.
    _proxy: JoinSet<()>,
}

impl Deref for Running {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        &self.first
    }
}

impl Running {
    pub(crate) async fn start(config: Config) -> Self {
        let alone = config.public_url.is_some() || !matches!(config.database, Database::Memory);
        let Some(url) = postgres().filter(|_| !alone) else {
            return Self { first: Backend::start(config).await.unwrap(), second: None, _proxy: JoinSet::new() };
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config {
            public_url: Some(format!("http://{}", listener.local_addr().unwrap())),
            database: Database::Postgres(schema(&url).await.into()),
            bus: env::var("HOOKSWITCH_BUS").ok(),
            ..config
        };
        let first = Backend::start(config).await.unwrap();
        let second = first.start_beside().await.unwrap();
        let mut proxy = JoinSet::new();
        proxy.spawn(in_turns(listener, [first.address(), second.address()]));
        Self { first, second: Some(second), _proxy: proxy }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Backend> {
        std::iter::once(&self.first).chain(&self.second)
    }

    pub(crate) async fn stop(self) {
        self.first.stop().await;
        if let Some(second) = self.second {
            second.stop().await;
        }
    }
}

/// A schema of its own.
async fn schema(url: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let row = client.query_one("SELECT 'it_' || replace(gen_random_uuid()::text, '-', '')", &[]).await.unwrap();
    let name: String = row.get(0);
    client.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}options=-c%20search_path%3D{name}")
}

/// Gives each connection to the node that did not get the last one.
async fn in_turns(listener: TcpListener, nodes: [SocketAddr; 2]) {
    let mut open = JoinSet::new();
    for node in nodes.into_iter().cycle() {
        let (client, from) = listener.accept().await.unwrap();
        open.spawn(pass(client, from, node));
    }
}

/// The node sees the address of the client.
async fn pass(mut client: TcpStream, from: SocketAddr, node: SocketAddr) -> Option<()> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind(SocketAddr::new(from.ip(), 0)).ok()?;
    let mut node = socket.connect(node).await.ok()?;
    client.set_nodelay(true).ok()?;
    node.set_nodelay(true).ok()?;
    copy_bidirectional(&mut client, &mut node).await.ok()?;
    Some(())
}

/// A client whose requests come to both nodes.
pub(crate) fn spread(client: ClientBuilder) -> ClientBuilder {
    if postgres().is_some() { client.pool_max_idle_per_host(0) } else { client }
}
