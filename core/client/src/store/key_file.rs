//! A key store for desktops and tests: a key in a file that only its owner may read.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use zeroize::Zeroizing;

use super::seal::{KEY_LEN, Place, Sealer};
use crate::ports::{KeyFault, KeyProvider};

/// Keeps a wrapping key in a file. Phones have something better; use that there.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

const PLACE: Place<'static> = Place { table: "key_file", row: "data_key", account: "", generation: 0 };

impl KeyFile {
    /// The key at `path`, which is made at first use.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn sealer(&self, make: bool) -> Result<Sealer, KeyFault> {
        let failed = |error: &dyn std::fmt::Display| KeyFault::Failed(error.to_string());
        let key = match fs::read(&self.path) {
            Ok(key) => Zeroizing::new(key),
            Err(error) if error.kind() == io::ErrorKind::NotFound && make => {
                let mut key = Zeroizing::new(vec![0_u8; KEY_LEN]);
                getrandom::fill(&mut key).map_err(|error| failed(&error))?;
                self.write(&key).map_err(|error| failed(&error))?;
                key
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(KeyFault::Invalidated),
            Err(error) => return Err(failed(&error)),
        };
        Sealer::new(&key, "").map_err(|_| KeyFault::Invalidated)
    }

    fn write(&self, key: &[u8]) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.path)?;
        file.write_all(key)?;
        file.sync_all()
    }
}

impl KeyProvider for KeyFile {
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, KeyFault> {
        self.sealer(true)?.seal(PLACE, key).map_err(|_| KeyFault::Failed("the key cannot be wrapped".into()))
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        self.sealer(false)?.open(PLACE, wrapped).map_err(|_| KeyFault::Invalidated)
    }
}
