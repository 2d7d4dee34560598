//! What the two engines have in common: the values that both hold, and rows of them. SQL is written once, in what both
//! understand, with `?1` for parameters.

use hookswitch_wire::AccountId;

use super::{Result, StoreError};

/// What is in a column: text, a whole number (a flag is 0 or 1), bytes, or nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
    /// A parameter of PostgreSQL only.
    Texts(Vec<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        // Revs and generations count up from zero: nobody gets there.
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u16> for Value {
    fn from(value: u16) -> Self {
        Self::Integer(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<&AccountId> for Value {
    fn from(value: &AccountId) -> Self {
        Self::Text(value.0.clone())
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_owned())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Parameters of a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::Value::from($value)),*] };
}
pub(super) use values;

/// One row of an answer.
#[derive(Debug)]
pub(super) struct Row(pub(super) Vec<Value>);

impl Row {
    /// The column at `index`, from 0.
    pub(super) fn get<T: Column>(&self, index: usize) -> Result<T> {
        self.0.get(index).and_then(T::read).ok_or(StoreError::Column(index))
    }
}

/// What a column can be read as.
pub(super) trait Column: Sized {
    fn read(value: &Value) -> Option<Self>;
}

impl Column for i64 {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Integer(value) = value { Some(*value) } else { None }
    }
}

macro_rules! narrower {
    ($($integer:ty),*) => {$(
        impl Column for $integer {
            fn read(value: &Value) -> Option<Self> {
                i64::read(value).and_then(|value| value.try_into().ok())
            }
        }
    )*};
}
narrower!(u64, u32, u16);

impl Column for bool {
    fn read(value: &Value) -> Option<Self> {
        i64::read(value).map(|value| value != 0)
    }
}

impl Column for String {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Text(value) = value { Some(value.clone()) } else { None }
    }
}

impl Column for Vec<u8> {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Bytes(value) = value { Some(value.clone()) } else { None }
    }
}

impl<T: Column> Column for Option<T> {
    fn read(value: &Value) -> Option<Self> {
        if *value == Value::Null { Some(None) } else { T::read(value).map(Some) }
    }
}
