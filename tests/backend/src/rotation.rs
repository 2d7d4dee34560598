//! Refresh token rotation: is this token good, a retry after a lost answer, or stolen?
//!
//! The tokens of a session form generations. Each use of a token of the newest generation starts the next one; so a token
//! is at most one of three things, and one comparison tells which. Pure: the issuer carries out.

use std::time::Duration;

use hookswitch_wire::UnixMillis;

use crate::clock::millis;

/// What happens to a refresh token after its first use. Servers differ, so this one can play both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationProfile {
    /// The previous token may be used again within `leeway`, as long as none of its successors was used: a client that
    /// lost the answer just asks again. It gets fresh tokens of the same family.
    Overlap {
        /// How long.
        leeway: Duration,
    },
    /// Any second use ends the session (RFC 9700, section 4.14.2, at its strictest).
    KillFamily,
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
    /// Used twice: thief and owner cannot be told apart, so the session ends.
    Reuse,
}

/// Judges a token of generation `presented` in a family whose newest is `newest`, started at `rotated_at`.
pub(crate) fn judge(
    profile: RotationProfile,
    presented: u64,
    newest: u64,
    rotated_at: UnixMillis,
    now: UnixMillis,
) -> Verdict {
    if presented == newest {
        return Verdict::Rotate;
    }
    match profile {
        RotationProfile::Overlap { leeway }
            if presented.checked_add(1) == Some(newest) && now.saturating_sub(rotated_at) <= millis(leeway) =>
        {
            Verdict::Retry
        }
        RotationProfile::Overlap { .. } | RotationProfile::KillFamily => Verdict::Reuse,
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
        ];
        for (profile, presented, newest, since, verdict) in table {
            assert_eq!(
                judge(profile, presented, newest, 1_000, 1_000 + since),
                verdict,
                "{profile:?} {presented} {since}"
            );
        }
    }
}
