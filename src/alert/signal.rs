//! What the book of alerts is told: that something is wrong with a series, as it stands.
//!
//! Not here: what becomes of it (see `ledger`).

use super::record::{Alert, AlertSeverity, Fingerprint, METRIC_LABEL, NAME_LABEL, Origin};
use crate::analysis::Severity;
use crate::anomaly::{AnomalyId, AnomalyRecord};
use std::collections::BTreeMap;
use storage::series;

/// The rule that anomalies stand under.
pub(super) const ANOMALY_RULE: &str = "anomaly";
/// The alert's name of an anomaly.
const ANOMALY_NAME: &str = "Anomaly";

/// What is wrong with a series, as it stands; the newest replaces what was said before of the same `occurrence`.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// Which alert it concerns.
    pub fingerprint: Fingerprint,
    /// Who says so.
    pub origin: Origin,
    /// When it began, where no anomaly is behind it: what tells one time from the next. 0 of an anomaly.
    pub occurrence_ms: i64,
    /// The alert's name.
    pub name: String,
    /// What identifies the series, with `alertname` and `metric_name`.
    pub labels: BTreeMap<String, String>,
    /// Texts that do not identify anything.
    pub annotations: BTreeMap<String, String>,
    /// How much attention it deserves.
    pub severity: AlertSeverity,
    /// When it began, milliseconds since 1970 UTC.
    pub start_ms: i64,
    /// When it was last so.
    pub last_ms: i64,
    /// Whether it goes on.
    pub is_open: bool,
    /// Samples, or times a rule held, so far.
    pub count: u64,
    /// The value that was most unusual.
    pub value: f64,
    /// How unusual, 0 to 1.
    pub score: f64,
    /// One plain sentence.
    pub summary: String,
    /// The anomaly behind it.
    pub anomaly_id: Option<AnomalyId>,
    /// How often it is told again while it goes on, in milliseconds, if more often than its route says.
    pub renotify_ms: Option<i64>,
}

/// The labels that alerts of a series with this canonical key have: its name is `metric_name`.
pub(super) fn alert_labels(key: &[u8]) -> BTreeMap<String, String> {
    let name_of = |name| if name == series::NAME_LABEL { METRIC_LABEL } else { name };
    series::labels(key).map(|(name, value)| (name_of(name).to_owned(), value.to_owned())).collect()
}

impl Signal {
    /// That an alert which goes on is over.
    pub fn over(alert: &Alert, now_ms: i64) -> Self {
        Self {
            fingerprint: alert.fingerprint,
            origin: alert.origin,
            occurrence_ms: alert.occurrence_ms,
            name: alert.name.clone(),
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            severity: alert.severity,
            start_ms: alert.starts_at_ms,
            last_ms: now_ms,
            is_open: false,
            count: alert.count - alert.count_before.min(alert.count),
            value: alert.value,
            score: alert.score,
            summary: alert.summary.clone(),
            anomaly_id: alert.anomaly_id,
            renotify_ms: alert.renotify_ms,
        }
    }

    /// Of an anomaly as it stands; nothing of one that is none by its severity.
    pub fn of(record: &AnomalyRecord) -> Option<Self> {
        let severity = match record.peak.severity {
            Severity::None => return None,
            Severity::Low => AlertSeverity::Info,
            Severity::Medium | Severity::High => AlertSeverity::Warning,
            Severity::Critical => AlertSeverity::Critical,
        };
        let mut labels = alert_labels(&record.key);
        labels.insert(NAME_LABEL.to_owned(), ANOMALY_NAME.to_owned());
        let annotations = [
            ("anomaly_confidence", record.confidence().as_str().to_owned()),
            ("kind", record.peak.kind.as_str().to_owned()),
            ("direction", record.peak.direction.as_str().to_owned()),
            ("source", record.source.as_str().to_owned()),
        ];
        Some(Self {
            fingerprint: Fingerprint::of(ANOMALY_RULE, &record.key),
            origin: Origin::Anomaly,
            occurrence_ms: 0,
            name: ANOMALY_NAME.to_owned(),
            labels,
            annotations: annotations.map(|(name, text)| (name.to_owned(), text)).into(),
            severity,
            start_ms: record.start_ms,
            last_ms: record.last_ms,
            is_open: record.is_open,
            count: u64::from(record.samples),
            value: record.peak.value,
            score: record.peak.score,
            summary: record.peak.summary.clone(),
            anomaly_id: Some(record.id),
            renotify_ms: None,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What is said of a series with these labels; `severity` is the signal's own too.
    pub(in crate::alert) fn signal_of(labels: &[(&str, &str)]) -> Signal {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Signal {
            fingerprint: Fingerprint::of("test", format!("{labels:?}").as_bytes()),
            origin: Origin::Rule,
            occurrence_ms: 0,
            name: "Test".to_owned(),
            severity: AlertSeverity::of_label(labels.get("severity").map_or("", String::as_str)),
            labels,
            annotations: BTreeMap::new(),
            start_ms: 0,
            last_ms: 0,
            is_open: true,
            count: 1,
            value: 1.0,
            score: 0.0,
            summary: String::new(),
            anomaly_id: None,
            renotify_ms: None,
        }
    }
}
