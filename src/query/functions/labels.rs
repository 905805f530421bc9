//! `label_replace` and `label_join`: labels computed from labels, the name among them.
//!
//! Not here: telling series apart afterwards; the evaluator unites what became equal.

use crate::query::error::QueryError;
use crate::query::go_regex;
use crate::query::labels::{Labels, may_name_label};
use crate::query::limits::Semantics;
use regex::Regex;

/// What `label_replace` does to one label set.
#[derive(Debug, Clone)]
pub(crate) struct Replace {
    target: String,
    template: String,
    source: String,
    pattern: Regex,
}

impl Replace {
    /// The arguments in their PromQL order.
    pub(crate) fn new(
        [target, template, source, pattern]: [&str; 4],
        semantics: Semantics,
    ) -> Result<Self, QueryError> {
        let flags = if semantics == Semantics::LeftOpen { "s" } else { "" };
        let compiled =
            go_regex::translated(pattern).ok().and_then(|text| Regex::new(&format!("^(?{flags}:{text})$")).ok());
        let pattern = compiled.ok_or_else(|| {
            QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}"))
        })?;
        if !may_name_label(target, semantics) {
            return Err(QueryError::Execution(format!("invalid destination label name in label_replace(): {target}")));
        }
        let template = rust_template(template);
        Ok(Self { target: target.to_owned(), template, source: source.to_owned(), pattern })
    }

    /// The labels with the target set where the source matches, unchanged where it does not.
    pub(crate) fn apply(&self, labels: &Labels) -> Labels {
        match self.pattern.captures(labels.get(&self.source)) {
            Some(captures) => {
                let mut value = String::new();
                captures.expand(&self.template, &mut value);
                labels.with(&self.target, &value)
            }
            None => labels.clone(),
        }
    }
}

/// A template with every `$` that names no group doubled: Go keeps it as it is, Rust takes more for a name.
fn rust_template(template: &str) -> String {
    let is_name = |c: char| c == '_' || c.is_alphanumeric();
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push_str("$$");
            rest = after;
            continue;
        }
        let bare = rest.split(|c| !is_name(c)).next().unwrap_or("");
        let braced = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).map(|(name, _)| name);
        let name = braced.filter(|name| !name.is_empty() && name.chars().all(is_name)).unwrap_or(bare);
        match name {
            "" => out.push_str("$$"),
            name => {
                out.push_str("${");
                out.push_str(name);
                out.push('}');
                rest = &rest[name.len() + if bare.is_empty() { 2 } else { 0 }..];
            }
        }
    }
    out + rest
}

/// What `label_join` does to one label set.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    target: String,
    separator: String,
    sources: Vec<String>,
}

impl Join {
    /// The arguments in their PromQL order.
    pub(crate) fn new(
        target: &str,
        separator: &str,
        sources: Vec<String>,
        semantics: Semantics,
    ) -> Result<Self, QueryError> {
        if let Some(bad) = sources.iter().find(|source| !may_name_label(source, semantics)) {
            return Err(QueryError::Execution(format!("invalid source label name in label_join(): {bad}")));
        }
        if !may_name_label(target, semantics) {
            return Err(QueryError::Execution(format!("invalid destination label name in label_join(): {target}")));
        }
        Ok(Self { target: target.to_owned(), separator: separator.to_owned(), sources })
    }

    /// The labels with the target set to the joined values.
    pub(crate) fn apply(&self, labels: &Labels) -> Labels {
        let values: Vec<&str> = self.sources.iter().map(|source| labels.get(source)).collect();
        labels.with(&self.target, &values.join(&self.separator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(target: &str, template: &str, source: &str, pattern: &str) -> Result<Replace, QueryError> {
        Replace::new([target, template, source, pattern], Semantics::Closed)
    }

    #[test]
    fn templates_are_read_as_go_reads_them() {
        let labels = Labels::from_pairs([("a", "xy")]);
        for (template, expected) in [
            ("$1", "x"),
            ("${1}2", "x2"),
            ("$12", ""),
            ("$$1", "$1"),
            ("${1", "${1"),
            ("${a-b}", "${a-b}"),
            ("$-$", "$-$"),
            ("$name:$2", "x:y"),
            ("${name}$0", "xxy"),
        ] {
            let applied = replace("b", template, "a", "(?P<name>.)(.)").unwrap().apply(&labels);
            assert_eq!(applied.get("b"), expected, "{template}");
        }
    }

    #[test]
    fn a_point_matches_a_line_break_in_prometheus_3() {
        let labels = Labels::from_pairs([("a", "x\ny")]);
        let of =
            |semantics| Replace::new(["b", "z", "a", "x.y"], semantics).unwrap().apply(&labels).get("b").to_owned();
        assert_eq!((of(Semantics::Closed).as_str(), of(Semantics::LeftOpen).as_str()), ("", "z"));
    }

    #[test]
    fn a_match_of_the_whole_value_sets_the_target() {
        let labels = Labels::from_pairs([("__name__", "up"), ("address", "host:9100")]);
        let applied = replace("host", "$1-${1}", "address", "(.*):.*").unwrap();
        assert_eq!(applied.apply(&labels).get("host"), "host-host");
        assert_eq!(applied.apply(&labels).get("__name__"), "up");
        let other = replace("host", "x", "address", "host").unwrap();
        assert_eq!(other.apply(&labels), labels);
        let removed = replace("address", "", "missing", "").unwrap();
        assert_eq!(removed.apply(&labels), Labels::from_pairs([("__name__", "up")]));
    }

    #[test]
    fn joined_values_include_missing_ones() {
        let labels = Labels::from_pairs([("a", "1"), ("c", "3")]);
        let join = Join::new("d", "-", vec!["a".into(), "b".into(), "c".into()], Semantics::Closed).unwrap();
        assert_eq!(join.apply(&labels).get("d"), "1--3");
    }

    #[test]
    fn bad_names_and_patterns_are_refused() {
        assert!(replace("1x", "", "a", "").is_err());
        assert!(replace("x", "", "a", "(").is_err());
        assert!(Join::new("x", "", vec!["a b".into()], Semantics::Closed).is_err());
        assert!(Join::new("", "", vec![], Semantics::LeftOpen).is_err());
    }
}
