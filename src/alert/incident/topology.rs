//! Which service needs which others: declared in a file or over HTTP, or told by labels of alerts.
//!
//! Not here: what follows from it (see `related`, `cause`).
//!
//! Invariant: walks end, whatever circles somebody declared.

use crate::yaml::{self, Node, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Services, and dependencies of one.
const SERVICES_MAX: usize = 10_000;
const DEPENDENCIES_MAX: usize = 1000;
/// How far dependencies are followed.
const STEPS_MAX: usize = 8;
/// The label by which an alert says what its service needs; several with commas.
const DEPENDS_LABEL: &str = "depends_on";

/// Services and what each needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology(pub BTreeMap<String, Vec<String>>);

impl Topology {
    /// Reads a file of YAML or JSON: a service a line, with the list of those it needs.
    ///
    /// # Errors
    /// Names the file and the line of what is wrong.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|what| format!("{}: {what}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let root = yaml::parse(text)?;
        let Value::Map(fields) = &root.value else { return Err("line 1: expected services with lists".to_owned()) };
        let list = |(name, node): &(String, Node)| {
            let items = if matches!(&node.value, Value::Scalar(text) if text.is_empty()) { &[] } else { node.items() };
            let names = items.iter().map(|item| {
                item.text().map(str::to_owned).ok_or_else(|| format!("line {}: expected names of services", item.line))
            });
            Ok((name.clone(), names.collect::<Result<Vec<_>, String>>()?))
        };
        Self(fields.iter().map(list).collect::<Result<_, String>>()?).checked()
    }

    /// The same, if it is not too large.
    ///
    /// # Errors
    /// Says what there is too much of.
    pub fn checked(self) -> Result<Self, String> {
        match self.0.values().map(Vec::len).max().unwrap_or(0) {
            _ if self.0.len() > SERVICES_MAX => Err(format!("more than {SERVICES_MAX} services")),
            most if most > DEPENDENCIES_MAX => Err(format!("more than {DEPENDENCIES_MAX} dependencies of one service")),
            _ => Ok(self),
        }
    }

    /// Takes what an alert's labels say of its service; whether that was news.
    pub(super) fn learn(&mut self, service: &str, labels: &BTreeMap<String, String>) -> bool {
        let Some(told) = labels.get(DEPENDS_LABEL) else { return false };
        let told: Vec<String> =
            told.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        if told.is_empty() || told.len() > DEPENDENCIES_MAX || self.0.len() >= SERVICES_MAX {
            return false;
        }
        let known = self.0.entry(service.to_owned()).or_default();
        let news: Vec<String> = told.into_iter().filter(|name| !known.contains(name)).collect();
        known.extend(news.iter().cloned());
        !news.is_empty()
    }

    /// How many steps lead from a service to one that it needs, itself or by others.
    pub(super) fn steps(&self, from: &str, to: &str) -> Option<usize> {
        let (mut seen, mut at) = (BTreeSet::from([from]), vec![from]);
        for steps in 1..=STEPS_MAX {
            let next: Vec<&str> =
                at.iter().filter_map(|name| self.0.get(*name)).flatten().map(String::as_str).collect();
            if next.contains(&to) {
                return Some(steps);
            }
            at = next.into_iter().filter(|name| seen.insert(name)).collect();
            if at.is_empty() {
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The documents' example.
    pub(in crate::alert) const EXAMPLE: &str = "web-api: [database, cache, auth-service]\npayment-service:\n  - database\n  - fraud-detection\nauth-service: [database]\n";

    pub(in crate::alert) fn example() -> Topology {
        Topology::parse(EXAMPLE).unwrap()
    }

    #[test]
    fn steps_follow_dependencies_and_circles_end() {
        let mut topology = example();
        assert_eq!((topology.steps("web-api", "database"), topology.steps("database", "web-api")), (Some(1), None));
        assert_eq!(topology.steps("payment-service", "auth-service"), None);
        topology.0.insert("database".to_owned(), vec!["disk".to_owned(), "web-api".to_owned()]);
        assert_eq!(topology.steps("auth-service", "disk"), Some(2));
        assert_eq!(topology.steps("web-api", "nowhere"), None);
    }

    #[test]
    fn labels_tell_dependencies_and_mistakes_have_lines() {
        let mut topology = Topology::default();
        let labels = [("depends_on".to_owned(), "db, cache".to_owned())].into();
        assert!(topology.learn("web", &labels) && !topology.learn("web", &labels));
        assert_eq!(topology.steps("web", "cache"), Some(1));
        assert_eq!(Topology::parse("a: [b]\nc: [{d: 1}]\n").unwrap_err(), "line 2: expected names of services");
        assert!(Topology::parse("- a\n").is_err());
    }
}
