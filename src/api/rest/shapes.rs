//! The shapes of answers, field by field as `docs/api.md` has them. A number that is not finite becomes null.
//!
//! Not here: what is put into them.

use crate::alert::book::View;
use crate::analysis::{FoundSeason, Kind};
use crate::anomaly::run::VoteRecord;
use crate::anomaly::{AnomalyRecord, Feedback};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use storage::series::{self, NAME_LABEL};

/// A time in milliseconds since 1970 UTC, written as RFC 3339 with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub(super) i64);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => to.collect_str(&format_args!("{time:.3}")),
            // No calendar has it.
            Err(_) => to.serialize_none(),
        }
    }
}

/// The labels of a series without its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels<'a>(pub(super) &'a [u8]);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(series::labels(self.0).filter(|(name, _)| *name != NAME_LABEL))
    }
}

/// A list and how long it would be without paging.
#[derive(Debug, Serialize)]
pub(super) struct List<T> {
    pub(super) total: usize,
    pub(super) items: Vec<T>,
}

/// One sample with what was thought of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Point {
    pub(super) timestamp: Time,
    pub(super) value: f64,
    pub(super) expected: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
    pub(super) score: f64,
    pub(super) is_anomaly: bool,
    pub(super) imputed: bool,
    /// Whether it was judged and not learned, because of maintenance.
    pub(super) maintenance: bool,
}

impl PartialEq<i64> for Time {
    fn eq(&self, other: &i64) -> bool {
        self.0 == *other
    }
}

/// A season of a series.
#[derive(Debug, Serialize)]
pub(super) struct Season {
    period_s: f64,
    strength: f64,
}

impl Season {
    /// That a model believes.
    pub(super) fn of(found: FoundSeason) -> Self {
        Self { period_s: f64::from(found.period_s), strength: found.strength }
    }

    /// Of a forecast.
    pub(super) fn new(period_ms: i64, strength: f64) -> Self {
        Self { period_s: period_ms as f64 / 1000.0, strength }
    }
}

/// The word for a kind.
pub(super) fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
        Kind::Delta => "delta",
    }
}

/// 16 hexadecimal digits that stand for a series.
pub(super) fn series_id(key: &[u8]) -> String {
    format!("{:016x}", series::hash(key))
}

/// One detector's vote.
#[derive(Debug, Serialize)]
struct Vote {
    score: f64,
    anomalous: bool,
    abstained: bool,
    contribution: f64,
}

/// An anomaly.
#[derive(Debug, Serialize)]
pub(super) struct Anomaly<'a> {
    id: String,
    metric_id: String,
    metric_name: &'a str,
    labels: Labels<'a>,
    timestamp: Time,
    end: Option<Time>,
    value: f64,
    expected_value: f64,
    lower: f64,
    upper: f64,
    deviation_pct: f64,
    anomaly_score: f64,
    severity: &'static str,
    confidence: &'static str,
    kind: &'static str,
    direction: &'static str,
    votes: BTreeMap<&'a str, Vote>,
    agreeing_detectors: Vec<&'a str>,
    summary: &'a str,
    context: Map<String, Value>,
    state: &'static str,
    suppressed: bool,
    source: &'static str,
    feedback: Option<Value>,
}

impl<'a> Anomaly<'a> {
    /// Of a record, suppressed where maintenance was planned for its time.
    pub(super) fn of(record: &'a AnomalyRecord, alerts: &View) -> Self {
        let peak = &record.peak;
        let vote = |vote: &'a VoteRecord| {
            let VoteRecord { score, anomalous, abstained, contribution, .. } = *vote;
            (&*vote.detector, Vote { score, anomalous, abstained, contribution })
        };
        let mut context = record.context.clone();
        context.entry("samples").or_insert_with(|| record.samples.into());
        context.entry("peak_at").or_insert_with(|| json!(Time(peak.time_ms)));
        Self {
            id: record.id.to_string(),
            metric_id: series_id(&record.key),
            metric_name: record.name(),
            labels: Labels(&record.key),
            timestamp: Time(record.start_ms),
            end: (!record.is_open).then_some(Time(record.last_ms)),
            value: peak.value,
            expected_value: peak.expected,
            lower: peak.lower,
            upper: peak.upper,
            // Not finite, and so null, where nothing or zero was expected.
            deviation_pct: 100.0 * (peak.value - peak.expected) / peak.expected.abs(),
            anomaly_score: peak.score,
            severity: peak.severity.as_str(),
            confidence: record.confidence().as_str(),
            kind: peak.kind.as_str(),
            direction: peak.direction.as_str(),
            votes: peak.votes.iter().map(vote).collect(),
            agreeing_detectors: record.agreeing().collect(),
            summary: &peak.summary,
            context,
            state: if record.is_open { "open" } else { "closed" },
            suppressed: alerts.is_expected(record),
            source: record.source.as_str(),
            feedback: record.feedback.as_ref().map(feedback),
        }
    }
}

fn feedback(said: &Feedback) -> Value {
    json!({"verdict": said.verdict.as_str(), "note": said.note, "by": said.by, "at": Time(said.at_ms)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_numbers_that_are_not_finite_are_null() {
        let point = Point {
            timestamp: Time(1_700_000_000_000),
            value: 1.5,
            expected: f64::NAN,
            lower: f64::NEG_INFINITY,
            upper: f64::INFINITY,
            score: 0.0,
            is_anomaly: false,
            imputed: false,
            maintenance: false,
        };
        assert_eq!(
            serde_json::to_string(&point).unwrap(),
            "{\"timestamp\":\"2023-11-14T22:13:20.000Z\",\"value\":1.5,\"expected\":null,\"lower\":null,\"upper\":null,\
             \"score\":0.0,\"is_anomaly\":false,\"imputed\":false,\"maintenance\":false}"
        );
        assert_eq!(serde_json::to_string(&[Time(1), Time(i64::MAX)]).unwrap(), "[\"1970-01-01T00:00:00.001Z\",null]");
    }
}
