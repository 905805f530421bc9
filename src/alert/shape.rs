//! An alert as answers and webhooks show it, field by field as `docs/api.md` has it.
//!
//! Not here: what is put into it.

use super::record::{Alert, Change};
use crate::anomaly::AnomalyId;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// A time in milliseconds since 1970 UTC, written as RFC 3339 with milliseconds; null if no calendar has it.
#[derive(Debug, Clone, Copy)]
pub struct Time(pub i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => to.collect_str(&format_args!("{time:.3}")),
            Err(_) => to.serialize_none(),
        }
    }
}

/// The shape of an alert.
#[derive(Debug, Serialize)]
pub struct AlertShape<'a> {
    fingerprint: String,
    name: &'a str,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    severity: &'static str,
    state: &'static str,
    starts_at: Time,
    ends_at: Option<Time>,
    updated_at: Time,
    count: u64,
    value: f64,
    score: f64,
    summary: &'a str,
    anomaly_id: Option<AnomalyId>,
    incident_id: Option<AnomalyId>,
    acknowledged_by: Option<&'a str>,
    suppressed_by: &'a [String],
    history: Vec<ChangeShape<'a>>,
}

#[derive(Debug, Serialize)]
struct ChangeShape<'a> {
    time: Time,
    what: &'a str,
}

impl<'a> AlertShape<'a> {
    /// Of an alert.
    pub fn of(alert: &'a Alert) -> Self {
        let change = |change: &'a Change| ChangeShape { time: Time(change.at_ms), what: &change.what };
        let taken = alert.acknowledged.as_ref();
        Self {
            fingerprint: alert.fingerprint.to_string(),
            name: &alert.name,
            labels: &alert.labels,
            annotations: &alert.annotations,
            severity: alert.severity.as_str(),
            state: alert.state().as_str(),
            starts_at: Time(alert.starts_at_ms),
            ends_at: alert.ends_at_ms.map(Time),
            updated_at: Time(alert.updated_at_ms),
            count: alert.count,
            value: alert.value,
            score: alert.score,
            summary: &alert.summary,
            anomaly_id: alert.anomaly_id,
            incident_id: alert.incident,
            acknowledged_by: taken.map(|said| said.by.as_deref().unwrap_or("somebody")),
            suppressed_by: &alert.suppressed_by,
            history: alert.history.iter().map(change).collect(),
        }
    }
}
