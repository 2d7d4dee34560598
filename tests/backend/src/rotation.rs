//! Refresh token rotation: is this token good, a retry after a lost answer, or stolen?
//!
//! The tokens of a session form generations. Each use of a token of the newest generation starts the next one; so a token
//! is at most one of three things, and one comparison tells which. Pure: the issuer carries out.

use std::time::Duration;

use crate::clock::Millis;
use serde::{Deserialize, Serialize};

use crate::clock::millis;

/// What happens to a refresh token after its first use. Servers differ, so this one can play them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "profile", rename_all = "snake_case")]
pub enum RotationProfile {
    /// The previous token may be used again within `leeway`, as long as none of its successors was used: a client that
    /// lost the answer just asks again. It gets fresh tokens of the same family.
    Overlap {
        /// How long the one before still works, in milliseconds.
        #[serde(rename = "leeway_ms", with = "in_millis")]
        leeway: Duration,
    },
    /// Any second use ends the session (RFC 9700, section 4.14.2, at its strictest).
    KillFamily,
    /// Refresh tokens are not replaced: the answer brings no new one (RFC 6749, section 6), and the old one stays good.
    NoRotation,
}

/// Durations as whole milliseconds.
mod in_millis {
    use super::{Duration, millis};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(millis(*duration))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}

impl Default for RotationProfile {
    fn default() -> Self {
        Self::Overlap { leeway: Duration::from_secs(60) }
    }
}

/// What to do with a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The newest generation: start the next.
    Rotate,
    /// A retry: another token of the newest generation.
    Retry,
    /// The newest generation, which stays the newest: an access token and nothing else.
    Keep,
    /// Used twice: thief and owner cannot be told apart, so the session ends.
    Reuse,
}

/// Judges a token of generation `presented` in a family whose newest is `newest`, started at `rotated_at`.
pub(crate) fn judge(profile: RotationProfile, presented: u64, newest: u64, rotated_at: Millis, now: Millis) -> Verdict {
    let is_newest = presented == newest;
    match profile {
        RotationProfile::NoRotation if is_newest => Verdict::Keep,
        RotationProfile::Overlap { .. } | RotationProfile::KillFamily if is_newest => Verdict::Rotate,
        RotationProfile::Overlap { leeway }
            if presented.checked_add(1) == Some(newest) && now.saturating_sub(rotated_at) <= millis(leeway) =>
        {
            Verdict::Retry
        }
        // Without rotation, a token was replaced only while another profile was in force.
        RotationProfile::Overlap { .. } | RotationProfile::KillFamily | RotationProfile::NoRotation => Verdict::Reuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_previous_token_is_retried_and_only_within_the_leeway() {
        let overlap = RotationProfile::default();
        let table = [
            // profile, presented, newest, ms since the rotation, verdict
            (overlap, 3, 3, 0, Verdict::Rotate),
            (overlap, 3, 3, 999_999, Verdict::Rotate),
            (overlap, 2, 3, 0, Verdict::Retry),
            (overlap, 2, 3, 60_000, Verdict::Retry),
            (overlap, 2, 3, 60_001, Verdict::Reuse),
            (overlap, 1, 3, 0, Verdict::Reuse),
            (RotationProfile::KillFamily, 3, 3, 0, Verdict::Rotate),
            (RotationProfile::KillFamily, 2, 3, 0, Verdict::Reuse),
            (RotationProfile::NoRotation, 3, 3, 0, Verdict::Keep),
            (RotationProfile::NoRotation, 3, 3, 999_999, Verdict::Keep),
            (RotationProfile::NoRotation, 2, 3, 0, Verdict::Reuse),
        ];
        for (profile, presented, newest, since, verdict) in table {
            assert_eq!(
                judge(profile, presented, newest, 1_000, 1_000 + since),
                verdict,
                "{profile:?} {presented} {since}"
            );
        }
    }

    #[test]
    fn a_profile_is_chosen_by_its_name() {
        let names = [
            (RotationProfile::default(), r#"{"profile":"overlap","leeway_ms":60000}"#),
            (RotationProfile::KillFamily, r#"{"profile":"kill_family"}"#),
            (RotationProfile::NoRotation, r#"{"profile":"no_rotation"}"#),
        ];
        for (profile, json) in names {
            assert_eq!(serde_json::to_string(&profile).unwrap(), json);
            assert_eq!(serde_json::from_str::<RotationProfile>(json).unwrap(), profile);
        }
        for bad in [r#"{"profile":"overlap"}"#, r#"{"profile":"overlap","leeway_ms":-1}"#, r#"{"profile":"x"}"#, "{}"] {
            assert!(serde_json::from_str::<RotationProfile>(bad).is_err(), "{bad}");
        }
    }
}
