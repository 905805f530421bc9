//! Who is told of which alerts, and in which rhythm: receivers, and routes that lead to them.
//!
//! Not here: the file they are read from (see `routing_file`), the telling itself (see `notify`).
//!
//! Invariant: the last route takes every alert, so that none leads nowhere.

use super::conditions::Conditions;
use super::record::Alert;
use std::collections::BTreeMap;
use std::sync::Arc;

/// When alerts of one group are told, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a new group waits for further alerts.
    pub group_wait_ms: i64,
    /// How long a group that was told waits until changes of it are told.
    pub group_interval_ms: i64,
    /// How long until a group that goes on is told again.
    pub repeat_interval_ms: i64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { group_wait_ms: 30_000, group_interval_ms: 300_000, repeat_interval_ms: 4 * 3_600_000 }
    }
}

/// A way from alerts to a receiver.
#[derive(Debug, Clone)]
pub struct Route {
    /// Which alerts take it.
    pub conditions: Conditions,
    /// Which receiver it leads to, by its place in the list.
    pub receiver: usize,
    /// The labels that the alerts of a group have in common.
    pub group_by: Vec<String>,
    /// Whether alerts of one incident are told together, whatever their labels.
    pub by_incident: bool,
    /// In which rhythm groups are told.
    pub timing: Timing,
    /// Whether further routes are looked at.
    pub continues: bool,
}

/// The body of a webhook's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFormat {
    /// Ours: the group with its alerts.
    InfraWatch,
    /// One request an alert: metric, score, threshold, severity and timestamp alone.
    Plain,
}

/// Where notifications go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A line in the log.
    Log,
    /// POST of JSON to a URL, signed when there is a secret.
    Webhook {
        /// Where to.
        url: String,
        /// Key of the signature.
        secret: Option<String>,
        /// The body.
        format: WebhookFormat,
    },
    /// The API of an Alertmanager, version 2.
    Alertmanager {
        /// Its address, without `/api/v2/alerts`.
        url: String,
    },
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Its name.
    pub name: Arc<str>,
    /// How.
    pub target: Target,
    /// Whether it is told that alerts are over.
    pub sends_resolved: bool,
}

/// All receivers and routes.
#[derive(Debug, Clone)]
pub struct Routing {
    /// Those who are told.
    pub receivers: Vec<Receiver>,
    /// The ways to them, the first that fits first.
    pub routes: Vec<Route>,
}

/// Everything goes to the log.
impl Default for Routing {
    fn default() -> Self {
        let log = Receiver { name: Arc::from("log"), target: Target::Log, sends_resolved: true };
        let conditions = Conditions::default();
        let group_by = default_group_by();
        let (timing, by_incident) = (Timing::default(), true);
        let route = Route { conditions, receiver: 0, group_by, by_incident, timing, continues: false };
        Self { receivers: vec![log], routes: vec![route] }
    }
}

/// The label by which alerts of an incident are grouped.
pub(super) const INCIDENT_LABEL: &str = "incident_id";

/// By what alerts are grouped unless a file says otherwise.
pub(super) fn default_group_by() -> Vec<String> {
    vec![super::record::NAME_LABEL.to_owned(), super::record::METRIC_LABEL.to_owned()]
}

/// Alerts that are told together: the route they take and the labels they have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    pub(super) route: usize,
    pub(super) labels: Vec<(String, String)>,
}

impl Routing {
    /// The groups that an alert belongs to: one for each receiver that the routes it takes lead to.
    pub(super) fn groups_of(&self, alert: &Alert) -> Vec<GroupKey> {
        let labels = routed_labels(alert);
        let mut keys: Vec<GroupKey> = Vec::new();
        for (number, route) in self.routes.iter().enumerate() {
            if !route.conditions.hold(&labels) {
                continue;
            }
            let value = |name: &String| (name.clone(), labels.get(name).cloned().unwrap_or_default());
            if !keys.iter().any(|key| self.routes[key.route].receiver == route.receiver) {
                let of_incident = alert.incident.filter(|_| route.by_incident);
                let labels = match of_incident {
                    Some(id) => vec![(INCIDENT_LABEL.to_owned(), id.to_string())],
                    None => route.group_by.iter().map(value).collect(),
                };
                keys.push(GroupKey { route: number, labels });
            }
            if !route.continues {
                break;
            }
        }
        keys
    }
}

/// The labels by which alerts are routed and grouped: their own, their severity and how sure we are.
fn routed_labels(alert: &Alert) -> BTreeMap<String, String> {
    let mut labels = alert.labels.clone();
    // A rule's own word stays, which may be one that we have not.
    labels.entry("severity".to_owned()).or_insert_with(|| alert.severity.as_str().to_owned());
    for name in ["anomaly_confidence", "kind", "direction"] {
        if let Some(text) = alert.annotations.get(name) {
            labels.entry(name.to_owned()).or_insert_with(|| text.clone());
        }
    }
    labels
}
