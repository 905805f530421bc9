//! Who is told of which alerts, and in which rhythm: receivers, and routes that lead to them.
//!
//! Not here: the file they are read from (see `routing_file`), the telling itself (see `notify`).
//!
//! Invariant: the last route takes every alert, so that none leads nowhere.

use super::conditions::Conditions;
use super::record::Alert;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use storage::label_index::Matcher;

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
    /// Who is told besides when nobody takes an alert: after how many milliseconds, and by which route.
    pub ladder: Vec<(i64, usize)>,
    /// Whether it is a step of a ladder, which no alert takes by itself.
    pub is_step: bool,
    /// Whether only alerts take it that took none before.
    pub is_fallback: bool,
}

/// Alerts that keep others quiet while they go on.
#[derive(Debug, Clone)]
pub struct Inhibition {
    /// Which alerts do so.
    pub source: Conditions,
    /// Which they keep quiet.
    pub target: Conditions,
    /// Labels that both have, with the same value; one that is absent equals nothing.
    pub equal: Vec<String>,
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
    /// A program of the allow-list, which gets the notification on its standard input.
    Exec {
        /// Its path.
        program: PathBuf,
        /// What it is called with.
        arguments: Vec<String>,
        /// Whether it is only written down what would be run.
        is_dry: bool,
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
    /// A file of the authorities by which `https` addresses are known; that of the system if there is none.
    pub ca_file: Option<PathBuf>,
}

/// All receivers and routes.
#[derive(Debug, Clone)]
pub struct Routing {
    /// Those who are told.
    pub receivers: Vec<Receiver>,
    /// The ways to them, the first that fits first.
    pub routes: Vec<Route>,
    /// Which alerts keep which others quiet.
    pub inhibitions: Vec<Inhibition>,
}

/// What holds unless a file says otherwise: the critical alert of a service stands for its warnings of the same name, and
/// its maintenance for its anomalies.
pub(super) fn default_inhibitions() -> Vec<Inhibition> {
    let equal = |name: &str, value: &str| Matcher::equal(name, value);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let anomalies = Matcher::regex("alertname", "Anomaly.*").into_iter().collect();
    vec![
        Inhibition {
            source: Conditions::of(vec![equal("severity", "critical")]),
            target: Conditions::of(vec![equal("severity", "warning")]),
            equal: names(&["alertname", "service"]),
        },
        Inhibition {
            source: Conditions::of(vec![equal("alertname", "MaintenanceWindow")]),
            target: Conditions::of(anomalies),
            equal: names(&["service"]),
        },
    ]
}

/// Everything goes to the log.
impl Default for Routing {
    fn default() -> Self {
        let log = log_receiver();
        let conditions = Conditions::default();
        let group_by = default_group_by();
        let (timing, by_incident) = (Timing::default(), true);
        let (ladder, is_step) = (Vec::new(), false);
        let route = Route {
            conditions,
            receiver: 0,
            group_by,
            by_incident,
            timing,
            continues: false,
            ladder,
            is_step,
            is_fallback: false,
        };
        Self { receivers: vec![log], routes: vec![route], inhibitions: default_inhibitions() }
    }
}

/// The log, which is always there.
pub(super) fn log_receiver() -> Receiver {
    Receiver { name: Arc::from("log"), target: Target::Log, sends_resolved: true, ca_file: None }
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
            if route.is_step || route.is_fallback && !keys.is_empty() || !route.conditions.hold(&labels) {
                continue;
            }
            let value = |name: &String| (name.clone(), labels.get(name).cloned().unwrap_or_default());
            // Those who were told because nobody took it hear of it as long as it goes on.
            let steps = route.ladder.iter().take(alert.escalated).map(|(_, step)| *step);
            for number in [number].into_iter().chain(steps) {
                let route = &self.routes[number];
                if keys.iter().any(|key| self.routes[key.route].receiver == route.receiver) {
                    continue;
                }
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

impl Routing {
    /// When the next of those is told who are told when nobody takes an alert: milliseconds after it was told first.
    pub(super) fn next_step_ms(&self, alert: &Alert) -> Option<i64> {
        let labels = routed_labels(alert);
        let taken = self.routes.iter().filter(|route| !route.is_step && route.conditions.hold(&labels));
        let mut taken = taken.scan(true, |goes_on, route| {
            let is_seen = *goes_on;
            *goes_on = route.continues;
            is_seen.then_some(route)
        });
        taken.find_map(|route| route.ladder.get(alert.escalated)).map(|(after_ms, _)| *after_ms)
    }
}

/// The labels by which alerts are routed and grouped: their own, their severity and how sure we are.
pub(super) fn routed_labels(alert: &Alert) -> BTreeMap<String, String> {
    let mut labels = alert.labels.clone();
    // A rule's own word stays, which may be one that we have not.
    labels.entry("severity".to_owned()).or_insert_with(|| alert.severity.as_str().to_owned());
    for name in ["anomaly_confidence", "kind", "direction", "handles"] {
        if let Some(text) = alert.annotations.get(name) {
            labels.entry(name.to_owned()).or_insert_with(|| text.clone());
        }
    }
    labels
}
