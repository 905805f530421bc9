//! `/api/v1/alerts`, `/api/v1/silence(s)` and `/api/v1/maintenance`: what people are told, and when they are not.
//!
//! Not here: what becomes of alerts (see `alert`).

mod incidents;
mod maintenance;
mod monitors;
mod rules;
mod silences;

pub(super) use self::incidents::Shape as IncidentShape;
use super::Shared;
use super::anomalies::{short, told};
use super::answer::{ApiError, Text};
use super::body::Fields;
use super::parameters::{Parameters, matchers_of};
use super::run::run;
use super::selection::name_of;
use super::shapes::List;
use crate::alert::book::{BookError, Wish};
use crate::alert::{Alert, AlertSeverity, AlertShape, AlertState, Conditions, Fingerprint, Said};
use crate::anomaly::book::Book;
use crate::anomaly::{Feedback, FeedbackVerdict};
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::routing::{delete, get, post};
use std::sync::Arc;
use storage::label_index::Matcher;
use storage::series::NAME_LABEL;
use tokio::sync::oneshot;

const PAGE: usize = 100;

/// The routes of alerts.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/alerts", get(list))
        .route("/alerts/{fingerprint}", get(one))
        .route("/alerts/{fingerprint}/acknowledge", post(acknowledge))
        .route("/alerts/{fingerprint}/resolve", post(resolve))
        .route("/silence", post(silences::post))
        .route("/silences", get(silences::list))
        .route("/silences/{id}", delete(silences::remove))
        .route("/maintenance", get(maintenance::list).post(maintenance::post))
        .route("/maintenance/calendar", get(maintenance::calendar))
        .route("/maintenance/{id}", delete(maintenance::remove))
        .route("/incidents", get(incidents::list))
        .route("/incidents/{id}", get(incidents::one))
        .route("/topology", get(incidents::topology).put(incidents::set_topology))
        .route("/monitors", get(monitors::list))
        .route("/rules", get(rules::list).put(rules::put))
}

/// Lists alerts, the newest first.
async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let mut states = parameters.words("state", &AlertState::ALL.map(|state| (state.as_str(), state)))?;
    if states.is_empty() {
        states = vec![AlertState::Active, AlertState::Acknowledged];
    }
    let severities = parameters.words("severity", &AlertSeverity::ALL.map(|severity| (severity.as_str(), severity)))?;
    let sets: Vec<_> = parameters.matchers(&shared.api.query)?.into_iter().map(Conditions::of).collect();
    run(shared, move |shared, _| {
        let view = shared.api.alerts.view();
        let is_wanted = |alert: &&Arc<Alert>| {
            states.contains(&alert.state())
                && (severities.is_empty() || severities.contains(&alert.severity))
                && (sets.is_empty() || sets.iter().any(|set| set.hold(&alert.labels)))
        };
        let mut found: Vec<_> = view.alerts.values().filter(is_wanted).collect();
        found.sort_by_key(|alert| (std::cmp::Reverse(alert.starts_at_ms), alert.fingerprint));
        let total = found.len();
        let items = found.into_iter().skip(page.skip).take(page.limit).map(|alert| AlertShape::of(alert)).collect();
        Text::of(&List { total, items })
    })
    .await
}

/// One alert.
async fn one(State(shared): State<Arc<Shared>>, path: Result<Path<String>, PathRejection>) -> Result<Text, ApiError> {
    let print = print_of(path)?;
    let view = shared.api.alerts.view();
    Text::of(&AlertShape::of(view.alerts.get(&print).ok_or(BookError::Unknown("alert"))?))
}

fn print_of(path: Result<Path<String>, PathRejection>) -> Result<Fingerprint, ApiError> {
    name_of(path)?.parse().map_err(|error| ApiError::field("id", error))
}

/// Somebody takes an alert.
async fn acknowledge(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Text, ApiError> {
    said(&shared, path, body, Wish::Acknowledge).await
}

/// Somebody declares an alert over.
async fn resolve(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Text, ApiError> {
    said(&shared, path, body, Wish::Resolve).await
}

async fn said(
    shared: &Shared,
    path: Result<Path<String>, PathRejection>,
    body: Body,
    wish: fn(Fingerprint, Said) -> Wish,
) -> Result<Text, ApiError> {
    let print = print_of(path)?;
    let mut fields = Fields::read(body).await?;
    let (by, note) = (short(&mut fields, "by")?, short(&mut fields, "note")?);
    let words = [("false_alarm", FeedbackVerdict::FalseAlarm), ("true_alarm", FeedbackVerdict::TrueAlarm)];
    let verdict = fields.word("verdict", &words)?;
    fields.finish()?;
    let at_ms = (shared.api.now_ms)();
    if let Some(verdict) = verdict {
        // What is said of the alert is said of the anomaly behind it, from which is learned.
        let view = shared.api.alerts.view();
        let alert = view.alerts.get(&print).ok_or(BookError::Unknown("alert"))?;
        let id = alert.anomaly_id.ok_or_else(|| ApiError::field("verdict", "there is no anomaly behind this alert"))?;
        let feedback = Feedback { verdict, note: note.clone(), by: by.clone(), at_ms };
        told(|answer| Book::feedback(&shared.api.book, id, Some(feedback), answer)).await?;
    }
    let said = Said { by, note, at_ms };
    let alert = wished(shared, wish(print, said)).await?.ok_or(BookError::Unknown("alert"))?;
    Text::of(&AlertShape::of(&alert))
}

/// Tells the book a wish and waits for its answer.
async fn wished(shared: &Shared, wish: Wish) -> Result<Option<Arc<Alert>>, ApiError> {
    let (answer, answered) = oneshot::channel();
    let tell = Box::new(move |result| {
        // Whoever asked may have left; what they wished is done all the same.
        let _ = answer.send(result);
    });
    shared.api.alerts.wish(wish, tell)?;
    Ok(answered.await.unwrap_or(Err(BookError::Busy))?)
}

impl From<BookError> for ApiError {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Unknown(_) => Self::unknown(error.to_string()),
            BookError::TooMany => Self::unprocessable(error.to_string()),
            BookError::NotStored(_) | BookError::Busy => Self::unavailable(error.to_string()),
        }
    }
}

/// The conditions of a body: matchers in braces, or the name of a metric.
fn conditions(shared: &Shared, fields: &mut Fields) -> Result<Conditions, ApiError> {
    let (matchers, metric) = (fields.text("matchers")?, fields.text("metric")?);
    let matchers = match (matchers, metric) {
        (Some(text), None) => matchers_of(&text, &shared.api.query).map_err(|error| error.renamed("matchers"))?,
        (None, Some(metric)) => vec![Matcher::equal(NAME_LABEL, &metric)],
        (Some(_), Some(_)) => return Err(ApiError::field("metric", "not beside matchers")),
        (None, None) => return Err(ApiError::field("matchers", "expected matchers such as {host=\"a\"}, or metric")),
    };
    Ok(Conditions::of(matchers))
}
