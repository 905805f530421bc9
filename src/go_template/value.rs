//! What a pipeline may hold.
//!
//! Not here: how it is printed (see `format`).

use std::collections::BTreeMap;

/// A value of a template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing at all.
    Nil,
    /// True or false.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
    /// Values by name.
    Map(BTreeMap<String, Value>),
    /// Values in order.
    List(Vec<Value>),
}

impl Value {
    /// Texts by name, as labels are.
    pub(crate) fn texts(pairs: &BTreeMap<String, String>) -> Self {
        Self::Map(pairs.iter().map(|(name, text)| (name.clone(), Self::Text(text.clone()))).collect())
    }

    /// A sample of a query's answer.
    pub(crate) fn sample(labels: &BTreeMap<String, String>, value: f64) -> Self {
        let fields = [("Labels", Self::texts(labels)), ("Value", Self::Number(value))];
        Self::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Whether a condition of it holds: all but what is empty, zero or false.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Flag(flag) => *flag,
            Self::Whole(number) => *number != 0,
            Self::Number(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Map(fields) => !fields.is_empty(),
            Self::List(items) => !items.is_empty(),
        }
    }

    /// The kind's name as Go has it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Flag(_) => "bool",
            Self::Whole(_) => "int",
            Self::Number(_) => "float64",
            Self::Text(_) => "string",
            Self::Map(_) => "map",
            Self::List(_) => "slice",
        }
    }

    /// The number it is, or that it spells.
    pub(super) fn number(&self) -> Result<f64, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Whole(number) => Ok(*number as f64),
            Self::Text(text) => text.trim().parse().map_err(|_| format!("{text:?} is no number")),
            other => Err(format!("a {} is no number", other.kind())),
        }
    }

    /// The text it is.
    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(format!("expected a text, not a {}", other.kind())),
        }
    }

    /// A field; of a label that is absent the empty text.
    pub(super) fn field(&self, name: &str) -> Result<Self, String> {
        match self {
            Self::Map(fields) => Ok(fields.get(name).cloned().unwrap_or_else(|| Self::Text(String::new()))),
            other => Err(format!("a {} has no field {name}", other.kind())),
        }
    }
}
