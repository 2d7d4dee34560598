//! The one ordering of states.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Which of two states is newer. `epoch` grows when the server is restored from a backup, `rev` with every change in an
/// epoch; so `(epoch, rev)` compares as a pair and a restored server still wins over what clients remember.
///
/// As text, in `ETag`, `If-Match` and `Last-Event-ID`: `epoch-rev`, for example `1-42`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Incremented on each restore of the server from a backup.
    pub epoch: u64,
    /// Incremented with each change.
    pub rev: u64,
}

impl Version {
    /// No state has it. In `If-Match` it withdraws a command: see `CONTRACT.md`.
    pub const NEVER: Self = Self { epoch: 0, rev: 0 };

    /// The version with these parts.
    pub const fn new(epoch: u64, rev: u64) -> Self {
        Self { epoch, rev }
    }

    /// As an entity tag (RFC 9110, section 8.8.3): quoted.
    pub fn etag(self) -> String {
        format!("\"{self}\"")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.rev)
    }
}

/// The text is not `epoch-rev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidVersion;

impl fmt::Display for InvalidVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version is written epoch-rev, for example 1-42")
    }
}

impl std::error::Error for InvalidVersion {}

impl FromStr for Version {
    type Err = InvalidVersion;

    /// Takes the bare form and the quoted one of an entity tag.
    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let bare = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
        let (epoch, rev) = bare.split_once('-').ok_or(InvalidVersion)?;
        let number = |digits: &str| {
            // `u64::from_str` takes a plus sign, an entity tag does not.
            if digits.bytes().all(|b| b.is_ascii_digit()) {
                digits.parse().map_err(|_| InvalidVersion)
            } else {
                Err(InvalidVersion)
            }
        };
        Ok(Self { epoch: number(epoch)?, rev: number(rev)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_version_survives_its_text(epoch: u64, rev: u64) {
            let version = Version::new(epoch, rev);
            prop_assert_eq!(version.to_string().parse(), Ok(version));
            prop_assert_eq!(version.etag().parse(), Ok(version));
        }

        #[test]
        fn any_text_is_a_version_or_an_error(text: String) {
            let _ = text.parse::<Version>();
        }
    }

    #[test]
    fn a_restored_server_is_newer_than_any_rev_of_before() {
        assert!(Version::new(2, 0) > Version::new(1, u64::MAX));
        for bad in ["", "1", "1-", "-1", "+1-2", "1-2-3", "\"1-2"] {
            assert_eq!(bad.parse::<Version>(), Err(InvalidVersion), "{bad}");
        }
    }
}
