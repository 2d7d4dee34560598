//! Which request led to what: the trace id of W3C Trace Context, from one app's request to the state that other apps show.
//!
//! <https://www.w3.org/TR/trace-context/>. A trace id is random, new with each attempt, and says nothing of anybody.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The header, on requests.
pub const HEADER_TRACEPARENT: &str = "traceparent";

/// A trace id: sixteen bytes, not all of them zero; 32 small hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// From random bytes; `None` for zeros, which mean "no trace".
    pub fn new(random: [u8; 16]) -> Option<Self> {
        Some(u128::from_be_bytes(random)).filter(|id| *id != 0).map(Self)
    }

    /// The header's value, sampled; `span` names the request within the trace. `None` for a span of zeros.
    pub fn traceparent(self, span: [u8; 8]) -> Option<String> {
        let span = Some(u64::from_be_bytes(span)).filter(|id| *id != 0)?;
        Some(format!("00-{self}-{span:016x}-01"))
    }

    /// From the header's value (section 3.2.2); `None` when it is no such thing, which is no error. Of versions to come only
    /// the beginning counts.
    pub fn of_traceparent(value: &str) -> Option<Self> {
        let mut parts = value.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let whole = version != "00" || parts.next().is_none();
        let sound = is_hex(version, 2) && version != "ff" && is_hex(span, 16) && is_hex(flags, 2) && whole;
        (sound && span.bytes().any(|digit| digit != b'0')).then(|| Self::parse(trace)).flatten()
    }

    fn parse(text: &str) -> Option<Self> {
        let id = is_hex(text, 32).then(|| u128::from_str_radix(text, 16).ok()).flatten()?;
        Some(Self(id)).filter(|id| id.0 != 0)
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a trace id; what is none is left out, since nothing depends on it.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TraceId>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_str().and_then(TraceId::parse))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification_goes_there_and_back() {
        let id = TraceId::of_traceparent(EXAMPLE).unwrap();
        assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(id.traceparent(0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()).as_deref(), Some(EXAMPLE));
    }

    #[test]
    fn what_comes_after_the_parts_of_today_is_left_to_versions_to_come() {
        assert!(TraceId::of_traceparent(&format!("{EXAMPLE}-more")).is_none());
        assert!(TraceId::of_traceparent(&format!("01{}-more", EXAMPLE.strip_prefix("00").unwrap())).is_some());
    }

    #[test]
    fn what_is_no_trace_is_none() {
        for value in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceId::of_traceparent(value), None, "{value:?}");
        }
        assert_eq!(TraceId::new([0; 16]), None);
    }
}
