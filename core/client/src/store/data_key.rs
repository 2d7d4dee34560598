//! The data key: in the vault wrapped by the platform's key, in memory open.
//!
//! The key store is asked outside of any transaction: it may be slow, and another process waits for the vault. So what
//! seals and opens inside a transaction first makes sure that the key in memory is still the vault's: another process may
//! have begun anew with another one.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use zeroize::Zeroizing;

use super::{
    columns::bytes,
    fault::Fault,
    seal::{KEY_LEN, Sealer},
};
use crate::ports::{KeyFault, KeyProvider};

pub(super) struct DataKey {
    keys: Arc<dyn KeyProvider>,
    install_id: String,
    state: State,
}

enum State {
    /// The key store was not asked, or must be asked again.
    Unknown,
    Open {
        wrapped: Vec<u8>,
        sealer: Sealer,
    },
    /// The key store said no.
    Shut(KeyFault),
}

impl DataKey {
    pub(super) fn new(keys: Arc<dyn KeyProvider>, install_id: String) -> Self {
        Self { keys, install_id, state: State::Unknown }
    }

    /// Asks the key store if need be, making a data key when the vault has none. What it says is what [`Self::sealer`]
    /// goes by.
    pub(super) fn unlock(&mut self, db: &Connection) -> Result<(), Fault> {
        if matches!(self.state, State::Open { .. }) {
            return Ok(());
        }
        self.state = match self.fetch(db) {
            Ok((wrapped, key)) => match Sealer::new(&key, &self.install_id) {
                Ok(sealer) => State::Open { wrapped, sealer },
                // It unwraps to something that is no key.
                Err(_) => State::Shut(KeyFault::Invalidated),
            },
            Err(Fault::Key(fault)) => State::Shut(fault),
            Err(fault) => return Err(fault),
        };
        Ok(())
    }

    fn fetch(&self, db: &Connection) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), Fault> {
        if let Some(wrapped) = stored(db)? {
            let key = self.keys.unwrap(&wrapped)?;
            return Ok((wrapped, key));
        }
        let mut key = Zeroizing::new(vec![0_u8; KEY_LEN]);
        getrandom::fill(&mut key).map_err(|_| Fault::Random)?;
        let wrapped = self.keys.wrap(&key)?;
        // Another process may have made one meanwhile: the first one counts.
        db.execute("INSERT OR IGNORE INTO fact VALUES ('wrapped_key', ?1)", [&wrapped])?;
        match stored(db)? {
            Some(first) if first != wrapped => {
                let key = self.keys.unwrap(&first)?;
                Ok((first, key))
            }
            Some(_) | None => Ok((wrapped, key)),
        }
    }

    /// The sealer, for use inside a transaction.
    ///
    /// # Errors
    /// What the key store said; [`Fault::OtherKey`] when the vault has another key by now: [`Self::forget`] this one and
    /// begin again.
    pub(super) fn sealer(&self, db: &Connection) -> Result<&Sealer, Fault> {
        match &self.state {
            State::Open { wrapped, sealer } if stored(db)?.as_ref() == Some(wrapped) => Ok(sealer),
            State::Open { .. } | State::Unknown => Err(Fault::OtherKey),
            State::Shut(fault) => Err(Fault::Key(fault.clone())),
        }
    }

    /// The key store is asked again at the next occasion.
    pub(super) fn forget(&mut self) {
        self.state = State::Unknown;
    }
}

fn stored(db: &Connection) -> Result<Option<Vec<u8>>, Fault> {
    Ok(db.query_row("SELECT value FROM fact WHERE name = 'wrapped_key'", [], |row| bytes(row, 0)).optional()?)
}
