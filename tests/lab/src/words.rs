//! Values in words for people.

use serde::Serialize;

/// What something is called in JSON, with spaces: `do_not_disturb` becomes "do not disturb". Of a value with fields, what
/// it is: the text of its `kind`, and its `reason`.
pub(crate) fn words(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().map(|text| text.replace('_', " "));
    text(&value)
        .or_else(|| value.get("reason").and_then(text))
        .or_else(|| value.get("kind").and_then(text))
        .unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use hookswitch::{
        machine::{Silence, StopReason},
        wire::{Availability, Effective, UnavailableReason},
    };

    use super::*;

    #[test]
    fn no_word_is_rusts() {
        assert_eq!(words(&Effective::DoNotDisturb), "do not disturb");
        assert_eq!(words(&Availability::Available), "available");
        assert_eq!(words(&Availability::Unavailable { reason: UnavailableReason::OnABreak }), "on a break");
        assert_eq!(words(&Silence::ForwardingActive), "forwarding active");
        assert_eq!(words(&StopReason::Silenced { reason: Silence::CallEnded }), "call ended");
        assert_eq!(words(&StopReason::AnsweredHere), "answered here");
    }
}
