//! `label_replace` and `label_join`: labels computed from labels, the name among them.
//!
//! Not here: telling series apart afterwards; the evaluator unites what became equal.

use crate::query::error::QueryError;
use crate::query::labels::{Labels, is_label_name};
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
    pub(crate) fn new(target: &str, template: &str, source: &str, pattern: &str) -> Result<Self, QueryError> {
        let pattern = Regex::new(&format!("^(?:{pattern})$"))
            .map_err(|_| QueryError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))?;
        if !is_label_name(target) {
            return Err(QueryError::Execution(format!("invalid destination label name in label_replace(): {target}")));
        }
        Ok(Self { target: target.to_owned(), template: template.to_owned(), source: source.to_owned(), pattern })
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

/// What `label_join` does to one label set.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    target: String,
    separator: String,
    sources: Vec<String>,
}

impl Join {
    /// The arguments in their PromQL order.
    pub(crate) fn new(target: &str, separator: &str, sources: Vec<String>) -> Result<Self, QueryError> {
        if let Some(bad) = sources.iter().find(|source| !is_label_name(source)) {
            return Err(QueryError::Execution(format!("invalid source label name in label_join(): {bad}")));
        }
        if !is_label_name(target) {
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

    #[test]
    fn a_match_of_the_whole_value_sets_the_target() {
        let labels = Labels::from_pairs([("__name__", "up"), ("address", "host:9100")]);
        let replace = Replace::new("host", "$1-${1}", "address", "(.*):.*").unwrap();
        assert_eq!(replace.apply(&labels).get("host"), "host-host");
        assert_eq!(replace.apply(&labels).get("__name__"), "up");
        let other = Replace::new("host", "x", "address", "host").unwrap();
        assert_eq!(other.apply(&labels), labels);
        let removed = Replace::new("address", "", "missing", "").unwrap();
        assert_eq!(removed.apply(&labels), Labels::from_pairs([("__name__", "up")]));
    }

    #[test]
    fn joined_values_include_missing_ones() {
        let labels = Labels::from_pairs([("a", "1"), ("c", "3")]);
        let join = Join::new("d", "-", vec!["a".into(), "b".into(), "c".into()]).unwrap();
        assert_eq!(join.apply(&labels).get("d"), "1--3");
    }

    #[test]
    fn bad_names_and_patterns_are_refused() {
        assert!(Replace::new("1x", "", "a", "").is_err());
        assert!(Replace::new("x", "", "a", "(").is_err());
        assert!(Join::new("x", "", vec!["a b".into()]).is_err());
        assert!(Join::new("", "", vec![]).is_err());
    }
}
