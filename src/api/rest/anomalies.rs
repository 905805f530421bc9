//! `GET /api/v1/anomalies`, one of them, their statistics, and what people say of them.
//!
//! Not here: anomalies from outside (see `anomaly_post`), the records themselves (see `anomaly`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::body::Fields;
use super::parameters::Parameters;
use super::run::run;
use super::selection::name_of;
use super::shapes::{Anomaly, List};
use crate::analysis::Severity;
use crate::anomaly::book::{Answer, Book, BookError};
use crate::anomaly::{AnomalyId, AnomalyRecord, Feedback, FeedbackVerdict, Filter};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::label_index::Matcher;
use storage::series;
use tokio::sync::oneshot;

const PAGE: usize = 10;

/// The words for severities that an anomaly can have.
pub(super) const SEVERITIES: [(&str, Severity); 4] =
    [("low", Severity::Low), ("medium", Severity::Medium), ("high", Severity::High), ("critical", Severity::Critical)];

/// Longest note of a person, in bytes.
const NOTE_BYTES_MAX: usize = 1024;

/// Lists anomalies, the newest first.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let name = parameters.text("metric_name").map(str::to_owned);
    let severities = parameters.words("severity", &[&SEVERITIES[..], &[("none", Severity::None)]].concat())?;
    let states = [("open", Some(true)), ("closed", Some(false)), ("all", None)];
    let is_open = parameters.word("state", &states)?.flatten();
    let (start_ms, end_ms) = (parameters.time_ms("start_time")?, parameters.time_ms("end_time")?);
    let began_ms = (start_ms.unwrap_or(i64::MIN), end_ms.unwrap_or(i64::MAX));
    if began_ms.1 < began_ms.0 {
        return Err(ApiError::field("end_time", "before start_time"));
    }
    let sets = parameters.matchers(&shared.api.query)?;
    run(shared, move |shared, _| {
        let (records, alerts) = (shared.api.book.records(), shared.api.alerts.view());
        let severities = Some(&severities[..]).filter(|any| !any.is_empty());
        let filter = Filter { name: name.as_deref(), severities, is_open, began_ms };
        if sets.is_empty() {
            let shown = records.page(&filter, page.skip, page.limit);
            let items = shown.into_iter().map(|record| Anomaly::of(record, &alerts)).collect();
            return Text::of(&List { total: records.count(&filter), items });
        }
        let mut total = 0;
        let mut items = Vec::new();
        for record in records.select(&filter, |record| sets.iter().any(|set| matches(set, record))) {
            if (page.skip..page.skip.saturating_add(page.limit)).contains(&total) {
                items.push(Anomaly::of(record, &alerts));
            }
            total += 1;
        }
        Text::of(&List { total, items })
    })
    .await
}

fn matches(set: &[Matcher], record: &AnomalyRecord) -> bool {
    set.iter().all(|matcher| matcher.matches(series::label(&record.key, &matcher.name).unwrap_or("")))
}

/// One anomaly.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Text, ApiError> {
    let id = id_of(path)?;
    let records = shared.api.book.records();
    let alerts = shared.api.alerts.view();
    Text::of(&Anomaly::of(records.get(id).ok_or(BookError::Unknown)?, &alerts))
}

fn id_of(path: Result<Path<String>, PathRejection>) -> Result<AnomalyId, ApiError> {
    name_of(path)?.parse().map_err(|error| ApiError::field("id", error))
}

#[derive(Debug, Serialize)]
struct StatsShape {
    total: u64,
    by_severity: BTreeMap<&'static str, u64>,
    by_metric: Vec<OfMetric>,
    by_day: Vec<OfDay>,
    last_24h: u64,
    last_7d: u64,
}

#[derive(Debug, Serialize)]
struct OfMetric {
    metric_name: String,
    count: u64,
}

#[derive(Debug, Serialize)]
struct OfDay {
    date: String,
    count: u64,
}

/// How many anomalies there are, by severity, metric and day.
pub(super) async fn stats(State(shared): State<Arc<Shared>>) -> Result<Text, ApiError> {
    run(shared, |shared, _| {
        let stats = shared.api.book.records().stats((shared.api.now_ms)());
        let severity = |(word, severity)| (word, stats.by_severity.get(&severity).copied().unwrap_or(0));
        let of_day = |(day, count): (&i64, &u64)| {
            // Days that no calendar has come from times that none has.
            let time = jiff::Timestamp::from_millisecond(day.saturating_mul(86_400_000)).ok()?;
            Some(OfDay { date: time.strftime("%Y-%m-%d").to_string(), count: *count })
        };
        let of_metric = |(metric_name, count)| OfMetric { metric_name, count };
        Text::of(&StatsShape {
            total: stats.total,
            by_severity: SEVERITIES.into_iter().map(severity).collect(),
            by_day: stats.by_day.iter().filter_map(of_day).collect(),
            by_metric: stats.by_metric.into_iter().map(of_metric).collect(),
            last_24h: stats.last_24h,
            last_7d: stats.last_7d,
        })
    })
    .await
}

/// Takes what a person says of an anomaly.
pub(super) async fn feedback(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Text, ApiError> {
    let id = id_of(path)?;
    let mut fields = Fields::read(body).await?;
    let words = [("false_alarm", FeedbackVerdict::FalseAlarm), ("true_alarm", FeedbackVerdict::TrueAlarm)];
    let verdict = fields.word("verdict", &words)?;
    let verdict = verdict.ok_or_else(|| ApiError::field("verdict", "expected false_alarm or true_alarm"))?;
    let (note, by) = (short(&mut fields, "note")?, short(&mut fields, "by")?);
    fields.finish()?;
    let feedback = Feedback { verdict, note, by, at_ms: (shared.api.now_ms)() };
    let record = told(|answer| Book::feedback(&shared.api.book, id, Some(feedback), answer)).await?;
    Text::of(&Anomaly::of(&record, &shared.api.alerts.view()))
}

/// Forgets what a person said of an anomaly.
pub(super) async fn take_back(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, ApiError> {
    let id = id_of(path)?;
    told(|answer| Book::feedback(&shared.api.book, id, None, answer)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A text that is kept with a record.
pub(super) fn short(fields: &mut Fields, name: &str) -> Result<Option<String>, ApiError> {
    let text = fields.text(name)?;
    match text.as_ref().is_some_and(|text| text.len() > NOTE_BYTES_MAX) {
        true => Err(ApiError::field(name, format!("longer than {NOTE_BYTES_MAX} bytes"))),
        false => Ok(text),
    }
}

/// Tells the book something and waits for its answer.
pub(super) async fn told(tell: impl FnOnce(Answer) -> Result<(), BookError>) -> Result<Arc<AnomalyRecord>, ApiError> {
    let (answer, answered) = oneshot::channel();
    tell(Box::new(move |result| {
        // Whoever asked may have left; what they wished is done all the same.
        let _ = answer.send(result);
    }))?;
    Ok(answered.await.unwrap_or(Err(BookError::Busy))?)
}
