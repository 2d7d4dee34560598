//! Reading what a newer server may say otherwise. A part that cannot be read means its default, which says that it is not known,
//! and takes nothing with it. The rules are in `CONTRACT.md`, "How the contract grows".

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// The value; what cannot be read, or is `null`, is the type's default.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Ok(read(Value::deserialize(from)?).unwrap_or_default())
}

/// The entries that can be read; what is no list has none.
pub(crate) fn entries<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Array(entries) => entries.into_iter().filter_map(read).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => Vec::new(),
    })
}

/// The same for a list that must be there: an empty one would say something.
pub(crate) fn needed_entries<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Value>::deserialize(from)?.into_iter().filter_map(read).collect())
}

/// Something that is there or not: what is there and cannot be read is still there.
pub(crate) fn present<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Value>::deserialize(from)?.map(|value| read(value).unwrap_or_default()))
}

/// The value, if this version understands it.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Option<T> {
    T::deserialize(value).ok()
}

/// The most characters of a name that anybody shows.
const LONGEST_NAME: usize = 120;

/// Somebody else's text as an app may show it: without control characters, which break lines, and without those that turn the
/// direction of what stands beside it; not longer than `most` characters.
pub fn clean(text: &str, most: usize) -> String {
    let shown = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().filter(shown).take(most).collect::<String>().trim().to_owned()
}

/// A name for display; empty when there is none.
pub(crate) fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    or_default::<D, String>(from).map(|text| clean(&text, LONGEST_NAME))
}

/// A name for display, where there may be none. What nothing is left of is none.
pub(crate) fn name_if_any<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(or_default::<D, Option<String>>(from)?.map(|text| clean(&text, LONGEST_NAME)).filter(|name| !name.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallPush;

    #[test]
    fn a_name_is_clean_before_any_app_sees_it() {
        let name = |name: &str| {
            let push = serde_json::json!({"call_id": "c", "from_name": name}).to_string();
            CallPush::read(&push).unwrap().from_name
        };
        assert_eq!(name("Zoë O'Neill \u{1f44b}").as_deref(), Some("Zoë O'Neill \u{1f44b}"));
        assert_eq!(name("\u{202e}knaB ruoY\u{202c}\r\n\u{0}").as_deref(), Some("knaB ruoY"));
        assert_eq!(name("שלום\u{2067}").as_deref(), Some("שלום"));
        assert_eq!(name(" \n\u{200f}"), None);
        assert_eq!(name(&"x".repeat(10_000)).map(|name| name.len()), Some(LONGEST_NAME));
    }
}
