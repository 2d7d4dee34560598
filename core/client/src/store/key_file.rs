//! A key store for desktops and tests: a key in a file that only its owner may read.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::seal::{KEY_LEN, Place, Sealer};
use crate::{
    ports::{KeyFault, KeyProvider},
    secrets::random_secret,
};

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

    /// The key of the file; `None` when there is none, or a file that is no key.
    fn read(&self) -> Result<Option<Sealer>, KeyFault> {
        match fs::read(&self.path).map(Zeroizing::new) {
            Ok(key) => Ok(Sealer::new(&key, "").ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(KeyFault::Failed(error.to_string())),
        }
    }

    /// The folder of the file.
    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The key of the file, which is made when there is none. One at a time, over all processes: between a look and what
    /// follows from it, nobody else makes a key.
    fn read_or_make(&self) -> Result<Sealer, KeyFault> {
        if let Some(sealer) = self.read()? {
            return Ok(sealer);
        }
        let failed = |error: io::Error| KeyFault::Failed(error.to_string());
        // The lock ends with this value.
        let folder = fs::File::open(self.folder()).map_err(failed)?;
        folder.lock().map_err(failed)?;
        if let Some(sealer) = self.read()? {
            return Ok(sealer);
        }
        self.make().map_err(failed)?;
        // The name must reach the disk as well, before anything is sealed with the key.
        folder.sync_all().map_err(failed)?;
        self.read()?.ok_or_else(|| KeyFault::Failed("the key file cannot be read again".into()))
    }

    /// Makes a key. Its file appears whole or not at all, in the place of one that is no key: nothing can have been sealed with
    /// that.
    fn make(&self) -> io::Result<()> {
        let mut key = Zeroizing::new(vec![0_u8; KEY_LEN]);
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{}.new", random_secret().map_err(io::Error::other)?));
        let new = PathBuf::from(name);
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&new)?;
        file.write_all(&key)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }
}

impl KeyProvider for KeyFile {
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, KeyFault> {
        let sealer = self.read_or_make()?;
        sealer.seal(PLACE, key).map_err(|_| KeyFault::Failed("the key cannot be wrapped".into()))
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
        self.read()?.and_then(|sealer| sealer.open(PLACE, wrapped).ok()).ok_or(KeyFault::Invalidated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_unwraps_what_it_wrapped() {
        let folder = tempfile::tempdir().unwrap();
        let wrapped = KeyFile::new(folder.path().join("key")).wrap(b"data key").unwrap();
        let again = KeyFile::new(folder.path().join("key"));
        assert_eq!(again.unwrap(&wrapped).unwrap().as_slice(), b"data key");
        assert_eq!(again.unwrap(&again.wrap(b"another").unwrap()).unwrap().as_slice(), b"another");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn a_file_that_is_no_key_is_a_lost_key_and_the_next_use_makes_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::new(folder.path().join("key"));
        let wrapped = file.wrap(b"data key").unwrap();
        for damage in [&b""[..], b"short", &[7; 33]] {
            fs::write(folder.path().join("key"), damage).unwrap();
            assert_eq!(file.unwrap(&wrapped).unwrap_err(), KeyFault::Invalidated);
            let wrapped = file.wrap(b"data key").unwrap();
            assert_eq!(file.unwrap(&wrapped).unwrap().as_slice(), b"data key");
        }
        fs::remove_file(folder.path().join("key")).unwrap();
        assert_eq!(file.unwrap(&wrapped).unwrap_err(), KeyFault::Invalidated);
    }

    /// They met the key of another between two looks, took it for the damaged file of the first look, and removed it.
    #[test]
    fn of_many_that_make_a_key_at_once_all_get_the_same() {
        for round in 0..100 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("key");
            if round % 2 == 1 {
                fs::write(&path, b"damaged").unwrap();
            }
            let wrapped: Vec<Vec<u8>> = std::thread::scope(|scope| {
                let makers: Vec<_> =
                    (0..8).map(|_| scope.spawn(|| KeyFile::new(&path).wrap(b"data key").unwrap())).collect();
                makers.into_iter().map(|maker| maker.join().unwrap()).collect()
            });
            for wrapped in wrapped {
                assert_eq!(KeyFile::new(&path).unwrap(&wrapped).unwrap().as_slice(), b"data key");
            }
        }
    }
}
