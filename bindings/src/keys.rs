//! The platform's key store, as a foreign trait.

use std::sync::Arc;

use hookswitch::ports::{KeyFault, KeyProvider};

/// Why the platform's key store gives no key.
#[derive(Debug, thiserror::Error, uniffi::Error)]
pub enum KeysError {
    /// Not before the first unlock. Nothing is lost.
    #[error("the key cannot be read before the first unlock")]
    Unavailable,
    /// Never again. What was sealed is lost; the agent signs in anew.
    #[error("the key is gone for good")]
    Invalidated,
    /// It fails in another way; it may work next time.
    #[error("the key store fails: {why}")]
    Failed {
        /// For the log.
        why: String,
    },
}

/// An exception or a crash on the other side says nothing about the key.
impl From<uniffi::UnexpectedUniFFICallbackError> for KeysError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed { why: error.reason }
    }
}

/// The platform's key store. (An app implements its language's own `KeyProvider`, which throws that language's errors; so this and its error
/// have other names.) Synchronous, since a key store is, and since foreign asynchronous traits do not compile in
/// Swift 6 mode. Called on the vault's thread; may block.
#[uniffi::export(with_foreign)]
pub trait Keys: Send + Sync {
    /// Wraps a data key so that only this device can unwrap it.
    ///
    /// # Errors
    /// See [`KeysError`].
    fn wrap(&self, key: Vec<u8>) -> Result<Vec<u8>, KeysError>;

    /// The data key that was wrapped.
    ///
    /// # Errors
    /// See [`KeysError`].
    fn unwrap(&self, wrapped: Vec<u8>) -> Result<Vec<u8>, KeysError>;
}

/// The key store of the other side, as the core wants it.
pub(crate) struct ForeignKeys(pub(crate) Arc<dyn Keys>);

impl From<KeysError> for KeyFault {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Unavailable => Self::Unavailable,
            KeysError::Invalidated => Self::Invalidated,
            KeysError::Failed { why } => Self::Failed(why),
        }
    }
}

impl KeyProvider for ForeignKeys {
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, KeyFault> {
        Ok(self.0.wrap(key.to_vec())?)
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<zeroize::Zeroizing<Vec<u8>>, KeyFault> {
        Ok(self.0.unwrap(wrapped.to_vec())?.into())
    }
}
