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
