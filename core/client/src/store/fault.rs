//! Why a transaction of the vault could not be done.

use super::seal::Unsealable;
use crate::ports::KeyFault;

/// Why a transaction could not be done.
#[derive(Debug)]
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Migration(rusqlite_migration::Error),
    Io(std::io::Error),
    Random,
    Key(KeyFault),
    /// The data key in memory is not the vault's any more.
    OtherKey,
    /// A sealed value that does not open, or JSON that does not parse.
    Corrupt,
    /// The secret behind a name is gone.
    Unnamed,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => write!(f, "{error}"),
            Self::Migration(rusqlite_migration::Error::MigrationDefinition(
                rusqlite_migration::MigrationDefinitionError::DatabaseTooFarAhead,
            )) => f.write_str("it was written by a newer version of the app; update the app"),
            Self::Migration(error) => write!(f, "{error}"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Random => f.write_str("the device gives no random numbers"),
            Self::Key(fault) => write!(f, "{fault}"),
            Self::OtherKey => f.write_str("the key changes again and again"),
            Self::Corrupt => f.write_str("a stored value is damaged"),
            Self::Unnamed => f.write_str("a secret is not known any more"),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Unsealable> for Fault {
    fn from(_: Unsealable) -> Self {
        Self::Corrupt
    }
}

impl From<serde_json::Error> for Fault {
    fn from(_: serde_json::Error) -> Self {
        Self::Corrupt
    }
}

impl From<KeyFault> for Fault {
    fn from(fault: KeyFault) -> Self {
        Self::Key(fault)
    }
}
