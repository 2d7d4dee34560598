//! The vault: what is kept on the device.
//!
//! | module | what it does |
//! |---|---|
//! | [`schema`] | the tables and their migrations, forward only |
//! | [`file`] | the file: opened, checked, put aside when damaged |
//! | [`data_key`] | the key that seals, wrapped by the platform's |
//! | [`seal`] | XChaCha20-Poly1305 with a data key that the platform's key wraps |
//! | [`vault`] | the transactions: login, lease and rotation, sign-out, what the ring rule remembers |
//! | [`columns`] | columns of SQLite, read without trust |
//! | [`fault`] | why a transaction could not be done |
//! | [`owner`] | who holds a lease, and whether they still live |
//! | [`key_file`] | a [`crate::ports::KeyProvider`] for desktops and tests |
//!
//! The vault lives on a thread of its own: SQLite blocks, and key stores block longer. Transactions happen in the order in
//! which they are asked for.

mod columns;
mod data_key;
mod fault;
mod file;
mod key_file;
mod owner;
mod schema;
mod seal;
mod vault;

use std::{path::PathBuf, sync::Arc};

use hookswitch_machine::{Failure, Outcome, Transaction};
use hookswitch_wire::DeviceId;
pub use key_file::KeyFile;
use secrecy::SecretString;
use tokio::sync::oneshot;

use crate::{
    ports::{Clock, KeyProvider},
    secrets::Secrets,
};
use vault::Vault;

type Job = Box<dyn FnOnce(&mut Vault) + Send>;
type Question<T> = Box<dyn FnOnce(&mut Vault) -> T + Send>;

/// A handle to the vault's thread. The thread ends when the last handle is gone and its work is done.
#[derive(Clone)]
pub(crate) struct Store {
    jobs: std::sync::mpsc::Sender<Job>,
    device: DeviceId,
}

impl Store {
    /// Opens the vault in `folder`, making it when there is none. `process` is [`crate::Config::process`].
    pub(crate) async fn open(
        folder: PathBuf,
        process: String,
        keys: Arc<dyn KeyProvider>,
        clock: Arc<dyn Clock>,
        secrets: Arc<Secrets>,
    ) -> Result<Self, Failure> {
        let (jobs, queue) = std::sync::mpsc::channel::<Job>();
        let (opened, ready) = oneshot::channel();
        let thread = std::thread::Builder::new().name("hookswitch-vault".into()).spawn(move || {
            let mut vault = match Vault::open(&folder, &process, keys, clock, secrets) {
                Ok(vault) => vault,
                Err(error) => {
                    let _ = opened.send(Err(error));
                    return;
                }
            };
            let _ = opened.send(Ok(vault.install_id()));
            while let Ok(job) = queue.recv() {
                job(&mut vault);
            }
        });
        thread.map_err(|error| Failure::storage(format!("The vault cannot be opened: {error}")))?;
        let install_id = ready
            .await
            .map_err(|_| Failure::storage("The vault cannot be opened."))?
            .map_err(|error| Failure::storage(format!("The vault cannot be opened: {error}")))?;
        Ok(Self { jobs, device: DeviceId(install_id) })
    }

    /// This installation.
    pub(crate) fn device(&self) -> DeviceId {
        self.device.clone()
    }

    /// Carries out a transaction. Once asked for, it happens, whether or not anybody waits for its outcome.
    pub(crate) fn run(&self, transaction: Transaction) -> impl Future<Output = Outcome> + use<> {
        let outcome = self.ask(Box::new(move |vault| vault.run(&transaction)));
        async { outcome.await.unwrap_or_else(|| Outcome::StorageFailed { cause: "the vault's thread is gone".into() }) }
    }

    /// A token that waits to be revoked.
    pub(crate) async fn revocation(&self, id: hookswitch_machine::RevocationId) -> Option<SecretString> {
        self.ask(Box::new(move |vault| vault.revocation(id))).await.flatten()
    }

    fn ask<T: Send + 'static>(&self, question: Question<T>) -> impl Future<Output = Option<T>> + use<T> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.send(Box::new(move |vault| {
            let _ = answer.send(question(vault));
        }));
        async move {
            match sent {
                Ok(()) => answered.await.ok(),
                Err(_) => None,
            }
        }
    }
}
