//! A condition on one label, as a query states it.
//!
//! Expressions are anchored at both ends and `.` matches a newline, as in Prometheus. The dialect is that of the
//! `regex` crate: it reads every expression that the two share alike, except that `\d`, `\w` and `\s` know all of
//! Unicode.
//!
//! Not here: which series satisfy it (see `select`), which values it can match without trying them (see `pattern`).
//!
//! Invariant: an expression that would cost more than the limits below to compile, or to try on a value, is refused.

use super::pattern;
use crate::StoreError;
use regex::{Regex, RegexBuilder};

/// The longest expression in bytes: room for an alternation of a few thousand host names.
const EXPRESSION_BYTES_MAX: usize = 128 << 10;

/// The most character classes in an expression. Each can cost 6 KiB or 0.1 ms before any other limit applies.
const CLASSES_MAX: usize = 1024;

/// The most memory of a compiled expression. It also bounds the steps of a match: about 40 bytes are one step, to be
/// taken at worst once a byte of a value.
const COMPILED_BYTES_MAX: usize = 4 << 20;

/// The same for an alternation of literals, which is looked up and not tried on value after value.
const COMPILED_LITERALS_BYTES_MAX: usize = 16 << 20;

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

    /// `name =~ expression`, anchored at both ends as Prometheus anchors it; `BadMatcher` when the expression does
    /// not compile or is too large.
    pub fn regex(name: &str, expression: &str) -> Result<Self, StoreError> {
        let op = MatchOp::Regex(anchored(name, expression)?);
        Ok(Self { name: name.to_owned(), value: expression.to_owned(), op })
    }

    /// `name !~ expression`, likewise.
    pub fn not_regex(name: &str, expression: &str) -> Result<Self, StoreError> {
        let op = MatchOp::NotRegex(anchored(name, expression)?);
        Ok(Self { name: name.to_owned(), value: expression.to_owned(), op })
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
    let bad = |what: String| StoreError::BadMatcher { label: label.to_owned(), what };
    if expression.len() > EXPRESSION_BYTES_MAX {
        return Err(bad(format!("longer than {EXPRESSION_BYTES_MAX} bytes")));
    }
    if classes(expression) > CLASSES_MAX {
        return Err(bad(format!("more than {CLASSES_MAX} character classes")));
    }
    // Read alone first: `a)|(b` is no expression, although `^(?:a)|(b)$` is one.
    let tree = pattern::parse(expression).map_err(|error| bad(error.to_string()))?;
    let compiled_bytes_max = if pattern::is_literals(&tree) { COMPILED_LITERALS_BYTES_MAX } else { COMPILED_BYTES_MAX };
    RegexBuilder::new(&format!("^(?:{expression})$"))
        .dot_matches_new_line(true)
        .size_limit(compiled_bytes_max)
        .build()
        .map_err(|error| bad(error.to_string()))
}

/// At least as many as there are classes: every bracket and every escape that can stand for a class of Unicode.
fn classes(expression: &str) -> usize {
    let escapes = expression.as_bytes().windows(2).filter(|w| w[0] == b'\\' && b"wWdDsSpP".contains(&w[1])).count();
    escapes + expression.bytes().filter(|&byte| byte == b'[').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_anchored_and_dots_match_newlines() {
        let matches = |expression: &str, value: &str| Matcher::regex("a", expression).unwrap().matches(value);
        assert!(matches("foo|bar", "bar"));
        assert!(!matches("foo|bar", "foobar"));
        assert!(!matches("foo|bar", "xbar"));
        assert!(matches("a.b", "a\nb"));
        assert!(matches("(?i)up", "UP"));
        assert!(matches("", "") && !matches("", "x"));
        assert!(!matches("foo", "foo\n"));
        assert!(!Matcher::not_regex("a", "f.*").unwrap().matches("foo"));
    }

    fn refusal(expression: &str) -> String {
        match Matcher::regex("job", expression) {
            Err(StoreError::BadMatcher { label, what }) if label == "job" => what,
            other => panic!("{:.40} gave {:?}", expression, other.map(|matcher| matcher.name)),
        }
    }

    #[test]
    fn bad_expressions_are_refused_by_name() {
        refusal("(");
        refusal("a)|(b");
        refusal("*");
        refusal("(?<x>a");
    }

    #[test]
    fn hostile_expressions_are_refused_before_they_cost_memory() {
        assert!(refusal("(a{1,1000}){1,1000}").contains("size limit"));
        assert!(refusal(r"(\w{100}){100}").contains("size limit"));
        assert!(refusal(&r"\w".repeat(5000)).contains("classes"));
        assert!(refusal(&"(?i)[^a]".repeat(2000)).contains("classes"));
        assert!(refusal(&"a".repeat(200_000)).contains("longer"));
        refusal(&"(".repeat(100_000));
    }

    #[test]
    fn long_lists_of_host_names_are_fine_expressions() {
        let hosts: Vec<_> = (0..3000).map(|i| format!("host-{i:04}.eu-west.example.com:9100")).collect();
        let escaped = hosts.join("|").replace('.', r"\.");
        assert!(Matcher::regex("instance", &escaped).unwrap().matches(&hosts[2999]));
        let with_dots = hosts[..1000].join("|");
        assert!(Matcher::regex("instance", &with_dots).unwrap().matches(&hosts[999]));
    }
}
