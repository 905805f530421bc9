//! `POST /api/v1/anomalies`: an anomaly or a label that somebody outside has found.
//!
//! Not here: keeping it (see `anomaly::book`).
//!
//! Invariant: posting the same series and beginning again replaces what was posted before, so that trying again after a
//! lost answer does no harm.

use super::Shared;
use super::anomalies::{SEVERITIES, short, told};
use super::answer::{ApiError, Text};
use super::body::Fields;
use super::shapes::Anomaly;
use crate::analysis::Severity;
use crate::anomaly::book::Book;
use crate::anomaly::run::{AnomalyKind, AnomalyRun, Peak, Side};
use crate::anomaly::{AnomalyRecord, Confidence};
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;
use storage::series::{KEY_BYTES_MAX, KeyBuilder, NAME_LABEL};

/// Longest context, as JSON in bytes: records stay in memory.
const CONTEXT_BYTES_MAX: usize = 4096;

const KINDS: [AnomalyKind; 8] = [
    AnomalyKind::Point,
    AnomalyKind::Contextual,
    AnomalyKind::Collective,
    AnomalyKind::LevelShift,
    AnomalyKind::Drift,
    AnomalyKind::Silence,
    AnomalyKind::Flat,
    AnomalyKind::Static,
];

/// Keeps an anomaly from outside.
pub(super) async fn post(State(shared): State<Arc<Shared>>, body: Body) -> Result<(StatusCode, Text), ApiError> {
    let mut fields = Fields::read(body).await?;
    let record = record(&mut fields, (shared.api.now_ms)())?;
    fields.finish()?;
    let record = told(|answer| Book::post(&shared.api.book, record, answer)).await?;
    Ok((StatusCode::CREATED, Text::of(&Anomaly::of(&record, &shared.api.alerts.view()))?))
}

fn record(fields: &mut Fields, now_ms: i64) -> Result<AnomalyRecord, ApiError> {
    let key = key(fields)?;
    let start_ms = fields.past_or_future_ms("timestamp")?.unwrap_or(now_ms);
    let last_ms = fields.past_or_future_ms("end")?.unwrap_or(start_ms);
    if last_ms < start_ms {
        return Err(ApiError::field("end", "before timestamp"));
    }
    let is_open = fields.word("state", &[("open", true), ("closed", false)])?.unwrap_or(false);
    let mut peak = peak(fields, start_ms)?;
    let words = [Confidence::Low, Confidence::Medium, Confidence::High].map(|sure| (sure.as_str(), sure));
    let confidence = fields.word("confidence", &words)?;
    let context = fields.object("context")?;
    if serde_json::to_string(&context).map_or(usize::MAX, |text| text.len()) > CONTEXT_BYTES_MAX {
        return Err(ApiError::field("context", format!("longer than {CONTEXT_BYTES_MAX} bytes")));
    }
    if peak.summary.is_empty() {
        peak.summary = "reported from outside".to_owned();
    }
    let run = AnomalyRun { key, start_ms, last_ms, is_open, samples: 1, peak };
    Ok(AnomalyRecord::from_outside(run, confidence, context))
}

fn key(fields: &mut Fields) -> Result<Arc<[u8]>, ApiError> {
    let name = fields.text("metric_name")?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ApiError::field("metric_name", "expected a string that is not empty"))?;
    let mut keys = KeyBuilder::default();
    keys.push(NAME_LABEL, &name);
    fields.labels("labels")?.iter().for_each(|(name, value)| keys.push(name, value));
    let key = keys.finish().map_err(|error| ApiError::field("labels", error))?;
    match key.len() > KEY_BYTES_MAX {
        true => Err(ApiError::field("labels", format!("longer than {KEY_BYTES_MAX} bytes together"))),
        false => Ok(key.into()),
    }
}

/// What is said of the anomaly's most unusual value; what is not said is not known.
fn peak(fields: &mut Fields, time_ms: i64) -> Result<Peak, ApiError> {
    let mut number = |name| Ok::<_, ApiError>(fields.number(name)?.unwrap_or(f64::NAN));
    let [value, expected] = [number("value")?, number("expected_value")?];
    let [lower, upper] = [number("lower")?, number("upper")?];
    let (score, severity) = grade(fields)?;
    let side = if value < expected { Side::Below } else { Side::Above };
    let sides = [Side::Above, Side::Below].map(|side| (side.as_str(), side));
    let direction = fields.word("direction", &sides)?.unwrap_or(side);
    let kind = fields.word("kind", &KINDS.map(|kind| (kind.as_str(), kind)))?.unwrap_or(AnomalyKind::Point);
    let summary = short(fields, "summary")?.unwrap_or_default();
    let votes = Vec::new();
    Ok(Peak { time_ms, value, expected, lower, upper, score, severity, direction, kind, votes, summary })
}

/// Score and severity, of which either follows from the other: the least score of the severity.
fn grade(fields: &mut Fields) -> Result<(f64, Severity), ApiError> {
    let score = fields.number("anomaly_score")?;
    if score.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
        return Err(ApiError::field("anomaly_score", "expected a number between 0 and 1"));
    }
    let severity = fields.word("severity", &SEVERITIES)?;
    let least = |severity| match severity {
        Severity::None => 0.0,
        Severity::Low => 0.6,
        Severity::Medium => 0.7,
        Severity::High => 0.8,
        Severity::Critical => 0.9,
    };
    Ok(match (score, severity) {
        (Some(score), Some(severity)) => (score, severity),
        (Some(score), None) => (score, Severity::of(score)),
        (None, severity) => {
            let severity = severity.unwrap_or(Severity::Low);
            (least(severity), severity)
        }
    })
}
