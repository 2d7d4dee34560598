//! Moments, as server and apps tell them to each other.

use std::ops::{Add, AddAssign, Sub, SubAssign};

use serde::{Deserialize, Deserializer, Serialize};

use crate::lenient;

/// A moment of the server's clock: milliseconds since 1970-01-01T00:00:00Z.
///
/// Calculations stop at the ends of what can be said (some 292 million years away): a moment that a hostile message names is far
/// away, and never wraps around to near.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The end of something whose end nobody told: later than any.
    pub const UNTOLD: Self = Self(i64::MAX);

    pub(crate) const fn untold() -> Self {
        Self::UNTOLD
    }

    /// The moment; what is none is [`Self::UNTOLD`].
    pub(crate) fn or_untold<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(lenient::read(serde_json::Value::deserialize(from)?).unwrap_or(Self::UNTOLD))
    }

    /// How long after `earlier` it is, in milliseconds; negative when it is before.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// So many milliseconds later.
impl Add<i64> for UnixMillis {
    type Output = Self;

    fn add(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// So many milliseconds earlier.
impl Sub<i64> for UnixMillis {
    type Output = Self;

    fn sub(self, millis: i64) -> Self {
        Self(self.0.saturating_sub(millis))
    }
}

impl AddAssign<i64> for UnixMillis {
    fn add_assign(&mut self, millis: i64) {
        *self = *self + millis;
    }
}

impl SubAssign<i64> for UnixMillis {
    fn sub_assign(&mut self, millis: i64) {
        *self = *self - millis;
    }
}
