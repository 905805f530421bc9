//! Which series carry which labels.

use crate::StoreError;
use regex::Regex;

/// What a matcher asks of a label's value; an absent label has the empty value.
#[derive(Debug, Clone)]
pub enum MatchOp {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Matches the whole of the regular expression.
    Regex(Regex),
    /// Does not match it.
    NotRegex(Regex),
}

/// A condition on one label.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// The value or the expression as written.
    pub value: String,
    /// The kind of comparison.
    pub op: MatchOp,
}

impl Matcher {
    /// `name = value`.
    pub fn equal(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned(), op: MatchOp::Equal }
    }

    /// `name != value`.
    pub fn not_equal(name: &str, value: &str) -> Self {
        Self { name: name.to_owned(), value: value.to_owned(), op: MatchOp::NotEqual }
    }

    /// `name =~ expression`, anchored at both ends as Prometheus anchors it.
    pub fn regex(name: &str, expression: &str) -> Result<Self, StoreError> {
        Ok(Self {
            name: name.to_owned(),
            value: expression.to_owned(),
            op: MatchOp::Regex(anchored(name, expression)?),
        })
    }

    /// `name !~ expression`.
    pub fn not_regex(name: &str, expression: &str) -> Result<Self, StoreError> {
        Ok(Self {
            name: name.to_owned(),
            value: expression.to_owned(),
            op: MatchOp::NotRegex(anchored(name, expression)?),
        })
    }

    /// Whether a label with this value satisfies the matcher.
    pub fn matches(&self, value: &str) -> bool {
        match &self.op {
            MatchOp::Equal => value == self.value,
            MatchOp::NotEqual => value != self.value,
            MatchOp::Regex(regex) => regex.is_match(value),
            MatchOp::NotRegex(regex) => !regex.is_match(value),
        }
    }
}

fn anchored(label: &str, expression: &str) -> Result<Regex, StoreError> {
    Regex::new(&format!("^(?s:{expression})$"))
        .map_err(|error| StoreError::BadMatcher { label: label.to_owned(), what: error.to_string() })
}
