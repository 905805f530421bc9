//! Text to syntax tree, with the guards that a parser fed by strangers needs.
//!
//! `promql-parser` panics on some inputs (durations that do not fit, for one) and recurses over the tree it built, so
//! an expression is measured before it is parsed, and a panic inside the parser is an ordinary syntax error.
//!
//! Not here: meaning (see `plan`).

use super::dialect;
use super::error::QueryError;
use super::go_regex;
use super::limits::QueryLimits;
use promql_parser::label::MatchOp as ParsedOp;
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self, Expr, Function};
use std::panic;
use std::sync::Once;
use storage::StoreError;
use storage::label_index::Matcher;
use storage::series::NAME_LABEL;

/// Most operators, brackets and commas of one expression. The tree is at most that deep, and what the parser and we do
/// at each level takes some KiB of stack: 900 levels were seen to overflow the 2 MiB of a test's thread, 300 fit it. The server's threads have four times that (see `server`).
const TOKENS_DEPTH_MAX: usize = 300;

/// Parses one expression.
pub(crate) fn expression(text: &str, limits: &QueryLimits) -> Result<Expr, QueryError> {
    if text.len() > limits.max_expression_bytes {
        let max = limits.max_expression_bytes;
        return Err(QueryError::BadData(format!("expression longer than {max} bytes")));
    }
    if depth_bound(text) > TOKENS_DEPTH_MAX {
        return Err(QueryError::BadData(format!(
            "expression with more than {TOKENS_DEPTH_MAX} nested operators and brackets"
        )));
    }
    register_functions();
    let plain = dialect::without_raw_strings(text);
    match panic::catch_unwind(|| parser::parse(&plain)) {
        Ok(Ok(expression)) => match dialect::refusal(&plain, limits.semantics) {
            None => Ok(expression),
            Some(what) => Err(QueryError::BadData(format!("parse error: {what}"))),
        },
        Ok(Err(what)) => Err(QueryError::BadData(format!("parse error: {what}"))),
        Err(_) => Err(QueryError::bad_data("parse error: a number or duration is out of range")),
    }
}

/// The expression in the parser's own spelling, broken into lines where it is long.
pub fn prettify(text: &str, limits: &QueryLimits) -> Result<String, QueryError> {
    expression(text, limits).map(|expression| expression.prettify())
}

/// The matchers of a series selector as `match[]` gives them.
pub fn matchers(text: &str, limits: &QueryLimits) -> Result<Vec<Matcher>, QueryError> {
    match expression(text, limits)? {
        Expr::VectorSelector(selector) if selector.offset.is_none() && selector.at.is_none() => {
            selector_matchers(&selector)
        }
        _ => Err(QueryError::BadData(format!("{text:?} is not a series selector"))),
    }
}

/// Translates the matchers of a selector, its metric name included.
pub(crate) fn selector_matchers(selector: &parser::VectorSelector) -> Result<Vec<Matcher>, QueryError> {
    if !selector.matchers.or_matchers.is_empty() {
        return Err(QueryError::bad_data("\"or\" between label matchers is not part of PromQL"));
    }
    let mut matchers = Vec::with_capacity(selector.matchers.matchers.len() + 1);
    matchers.extend(selector.name.as_deref().map(|name| Matcher::equal(NAME_LABEL, name)));
    for parsed in &selector.matchers.matchers {
        let (name, value) = (parsed.name.as_str(), parsed.value.as_str());
        matchers.push(match &parsed.op {
            ParsedOp::Equal => Matcher::equal(name, value),
            ParsedOp::NotEqual => Matcher::not_equal(name, value),
            ParsedOp::Re(regex) => rust_regex(Matcher::regex, name, value, regex.as_str())?,
            ParsedOp::NotRe(regex) => rust_regex(Matcher::not_regex, name, value, regex.as_str())?,
        });
    }
    Ok(matchers)
}

/// The matcher of an expression in Go's dialect; `rewritten` is what the parser made of one that Rust does not read,
/// such as `a{b}`, which Go takes literally.
fn rust_regex(
    matcher: fn(&str, &str) -> Result<Matcher, StoreError>,
    name: &str,
    value: &str,
    rewritten: &str,
) -> Result<Matcher, QueryError> {
    let translated = go_regex::translated(value)
        .map_err(|what| QueryError::BadData(format!("parse error: error parsing regexp: {what}")))?;
    Ok(matcher(name, &translated).or_else(|_| matcher(name, rewritten))?)
}

/// At least as large as the depth of the syntax tree: every level needs a bracket, an operator or a keyword of its own.
fn depth_bound(text: &str) -> usize {
    let symbols = text.bytes().filter(|b| b"([+-*/%^=<>!@".contains(b)).count();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let keyword = |word: &&str| {
        ["and", "or", "unless", "atan2", "offset"].iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
    };
    symbols + words.filter(keyword).count()
}

/// Prometheus 2.x knows `holt_winters`; the parser knows only its later name.
fn register_functions() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let arguments = vec![ValueType::Matrix, ValueType::Scalar, ValueType::Scalar];
        let function = Function::new("holt_winters", arguments, 0, ValueType::Vector, false);
        parser::register_extra_functions(vec![function]).expect("the parser has no function of this name");
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Expr, QueryError> {
        expression(text, &QueryLimits::default())
    }

    #[test]
    fn accepts() {
        for text in ["up", "holt_winters(x[5m], 0.5, 0.5)", "sum by (a) (rate(x[5m] offset -1m))", "-1 ^ 2"] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn rejects() {
        for text in ["", "1 +", "sum(", "x[1e300]", "x[NaN]", "rate(x)", "{}", "x offset 0s", "foo{a=~\"(\"}"] {
            assert!(matches!(parse(text), Err(QueryError::BadData(_))), "{text}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded_before_parsing() {
        for text in ["(".repeat(60_000), "1+".repeat(30_000) + "1", "a or ".repeat(10_000) + "a", "x".repeat(70_000)] {
            assert!(matches!(parse(&text), Err(QueryError::BadData(_))));
        }
        assert!(parse(&("1+".repeat(290) + "1")).is_ok());
        assert!(parse(&("(".repeat(145) + "1" + &")".repeat(145))).is_ok());
    }

    #[test]
    fn selectors_translate_with_their_name() {
        let found = matchers("up{job=\"node\",a!=\"b\",c=~\"x{y}\"}", &QueryLimits::default()).unwrap();
        let shown: Vec<_> = found.iter().map(|m| (m.name.as_str(), m.value.as_str())).collect();
        assert_eq!(shown[..3], [("__name__", "up"), ("job", "node"), ("a", "b")]);
        assert!(found[3].matches("x{y}"), "braces without a count are literal in Go");
        assert!(matchers("sum(up)", &QueryLimits::default()).is_err());
        assert!(matchers("{a=\"1\" or b=\"2\"}", &QueryLimits::default()).is_err());
    }
}
