//! Conditions on an alert's labels, as silences, maintenance and routes state them.
//!
//! Not here: their notation in requests (see `api`), series that satisfy them (see `storage::label_index`).

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use storage::label_index::{MatchOp, Matcher};

/// All of these have to hold; an absent label has the empty value.
#[derive(Debug, Clone, Default)]
pub struct Conditions(Vec<Matcher>);

/// One condition as it is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    name: String,
    op: String,
    value: String,
}

impl Conditions {
    /// Of these matchers.
    pub fn of(matchers: Vec<Matcher>) -> Self {
        Self(matchers)
    }

    /// Whether labels satisfy all of them; the name of a series is `metric_name` among an alert's labels.
    pub fn hold(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = |name: &str| {
            let name = if name == storage::series::NAME_LABEL { super::record::METRIC_LABEL } else { name };
            labels.get(name).map_or("", String::as_str)
        };
        self.0.iter().all(|matcher| matcher.matches(value(&matcher.name)))
    }

    /// The labels that are asked to be equal to something.
    pub fn equal(&self) -> impl Iterator<Item = (&str, &str)> {
        let equal = self.0.iter().filter(|matcher| matches!(matcher.op, MatchOp::Equal));
        equal.map(|matcher| (matcher.name.as_str(), matcher.value.as_str()))
    }
}

/// As in PromQL: `{name="value",other=~"v.*"}`.
impl std::fmt::Display for Conditions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = self.0.iter().map(|matcher| format!("{}{}{:?}", matcher.name, word(&matcher.op), matcher.value));
        write!(f, "{{{}}}", parts.collect::<Vec<_>>().join(","))
    }
}

fn word(op: &MatchOp) -> &'static str {
    match op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex(_) => "=~",
        MatchOp::NotRegex(_) => "!~",
    }
}

impl Serialize for Conditions {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let written =
            |m: &Matcher| Written { name: m.name.clone(), op: word(&m.op).to_owned(), value: m.value.clone() };
        to.collect_seq(self.0.iter().map(written))
    }
}

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = |Written { name, op, value }: Written| match op.as_str() {
            "=" => Ok(Matcher::equal(&name, &value)),
            "!=" => Ok(Matcher::not_equal(&name, &value)),
            "=~" => Matcher::regex(&name, &value).map_err(de::Error::custom),
            "!~" => Matcher::not_regex(&name, &value).map_err(de::Error::custom),
            other => Err(de::Error::custom(format!("{other:?} compares nothing"))),
        };
        Vec::<Written>::deserialize(from)?.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Labels of pairs.
    pub(in crate::alert) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn all_conditions_have_to_hold_and_read_back_as_they_were() {
        let host = Matcher::regex("host", "web.*").unwrap();
        let conditions =
            Conditions::of(vec![host, Matcher::equal("__name__", "cpu"), Matcher::not_equal("env", "test")]);
        let text = serde_json::to_string(&conditions).unwrap();
        let read: Conditions = serde_json::from_str(&text).unwrap();
        for conditions in [conditions, read] {
            assert!(conditions.hold(&labels(&[("host", "web1"), ("metric_name", "cpu")])));
            assert!(!conditions.hold(&labels(&[("host", "web1"), ("metric_name", "cpu"), ("env", "test")])));
            assert!(!conditions.hold(&labels(&[("host", "db1"), ("metric_name", "cpu")])));
            assert_eq!(conditions.to_string(), r#"{host=~"web.*",__name__="cpu",env!="test"}"#);
        }
        assert!(serde_json::from_str::<Conditions>(r#"[{"name":"a","op":"~","value":"b"}]"#).is_err());
    }
}
