//! Sealing of rows.
//!
//! Each value is sealed by XChaCha20-Poly1305 under the vault's data key, with a random 192-bit nonce in front of it. The
//! associated data names the place (table, row, account, generation, installation), so that a sealed value is good in its
//! own place only: not in another row, not in another generation, not after a reinstall. That an older session is not put back
//! together with its generation, the note of the newest one sees to (`newest` in [`super::schema`]). What nothing here sees is a whole
//! vault that is put back, file and all: it is no part of backups, and its key does not leave the device.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

pub(super) const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 24;

/// Where in the vault a value lives; sealed for there, it opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) table: &'a str,
    pub(super) row: &'a str,
    pub(super) account: &'a str,
    pub(super) generation: u64,
}

/// A value that cannot be opened here: changed, moved, or sealed under another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsealable;

/// The data key, ready to seal and to open.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    install_id: String,
}

impl Sealer {
    pub(super) fn new(key: &Zeroizing<Vec<u8>>, install_id: &str) -> Result<Self, Unsealable> {
        let cipher = XChaCha20Poly1305::new_from_slice(key).map_err(|_| Unsealable)?;
        Ok(Self { cipher, install_id: install_id.to_owned() })
    }

    pub(super) fn seal(&self, place: Place<'_>, value: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| Unsealable)?;
        let aad = self.associated_data(place);
        let sealed =
            self.cipher.encrypt(&XNonce::from(nonce), Payload { msg: value, aad: &aad }).map_err(|_| Unsealable)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    pub(super) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(Unsealable)?;
        let aad = self.associated_data(place);
        self.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| Unsealable)
    }

    /// Each part with its length in front, so that no two places give the same bytes.
    fn associated_data(&self, place: Place<'_>) -> Vec<u8> {
        let generation = place.generation.to_be_bytes();
        let parts: [&[u8]; 6] = [
            b"hookswitch-vault-1",
            self.install_id.as_bytes(),
            place.table.as_bytes(),
            place.row.as_bytes(),
            place.account.as_bytes(),
            &generation,
        ];
        parts
            .iter()
            .flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.iter().copied()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACE: Place<'static> = Place { table: "session", row: "tokens", account: "alice", generation: 7 };

    fn sealer(key: u8, install_id: &str) -> Sealer {
        Sealer::new(&Zeroizing::new(vec![key; KEY_LEN]), install_id).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_in_its_own_place_only() {
        let here = sealer(1, "install");
        let sealed = here.seal(PLACE, b"secret").unwrap();
        assert_eq!(here.open(PLACE, &sealed).unwrap().as_slice(), b"secret");
        for place in [
            Place { table: "sealed", ..PLACE },
            Place { row: "pending", ..PLACE },
            Place { account: "bob", ..PLACE },
            Place { generation: 8, ..PLACE },
        ] {
            assert_eq!(here.open(place, &sealed), Err(Unsealable), "{place:?}");
        }
        assert!(sealer(1, "reinstalled").open(PLACE, &sealed).is_err());
        assert!(sealer(2, "install").open(PLACE, &sealed).is_err());
    }

    #[test]
    fn equal_values_are_sealed_differently() {
        let here = sealer(1, "install");
        assert_ne!(here.seal(PLACE, b"secret").unwrap(), here.seal(PLACE, b"secret").unwrap());
    }

    proptest! {
        #[test]
        fn any_change_of_a_sealed_value_is_seen(value: Vec<u8>, at: prop::sample::Index, flip in 1_u8..) {
            let here = sealer(1, "install");
            let mut sealed = here.seal(PLACE, &value).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= flip;
            prop_assert_eq!(here.open(PLACE, &sealed), Err(Unsealable));
        }

        #[test]
        fn any_bytes_open_or_do_not(bytes: Vec<u8>) {
            prop_assert!(sealer(1, "install").open(PLACE, &bytes).is_err());
        }
    }
}
