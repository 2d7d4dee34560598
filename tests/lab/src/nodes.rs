//! What stands behind the world: one backend, or two nodes of it that share a database.

use std::net::SocketAddr;

use futures_util::future::{OptionFuture, join};
use hookswitch_backend::{Backend, Config, Database};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
};

/// A database that several nodes may share; nobody else is on it.
#[derive(Clone, Debug)]
pub struct Shared {
    /// `postgres://...`
    pub database: String,
    /// `nats://...`; without it, nodes look once a second.
    pub bus: Option<String>,
}

/// The backend, wherever a connection to it ends.
pub(crate) struct Nodes {
    pub(crate) first: Backend,
    second: Option<Backend>,
    /// Held because the proxy ends when it is dropped.
    _proxy: JoinSet<()>,
}

impl Nodes {
    /// One node, or two on what they share.
    pub(crate) async fn start(config: Config, shared: Option<Shared>) -> Result<Self, String> {
        let start = async |config| Backend::start(config).await.map_err(|error| error.to_string());
        let Some(Shared { database, bus }) = shared else {
            return Ok(Self { first: start(config).await?, second: None, _proxy: JoinSet::new() });
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let public_url = Some(format!("http://{address}"));
        let first = start(Config { database: Database::Postgres(database.into()), bus, public_url, ..config }).await?;
        let second = first.start_beside().await.map_err(|error| error.to_string())?;
        let mut proxy = JoinSet::new();
        proxy.spawn(in_turns(listener, [first.address(), second.address()]));
        Ok(Self { first, second: Some(second), _proxy: proxy })
    }

    /// Returns when nothing asks the database any more.
    pub(crate) async fn stop(self) {
        join(self.first.stop(), OptionFuture::from(self.second.map(Backend::stop))).await;
    }
}

/// Gives each connection to the node that did not get the last one.
async fn in_turns(listener: TcpListener, nodes: [SocketAddr; 2]) {
    let mut open = JoinSet::new();
    for node in nodes.into_iter().cycle() {
        let Ok((client, from)) = listener.accept().await else { return };
        open.spawn(async move { drop(pass(client, from, node).await) });
    }
}

/// The node sees the address of the client.
async fn pass(mut client: TcpStream, from: SocketAddr, node: SocketAddr) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from.ip(), 0))?;
    let mut node = socket.connect(node).await?;
    client.set_nodelay(true)?;
    node.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut node).await.map(drop)
}
