//! `POST /train` and `GET /predict`: a model of a PromQL expression, and what it says of the expression's newest values.
//!
//! Not here: models and where their samples come from (see `pull`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::body::Fields;
use super::parameters::Parameters;
use super::run::run;
use super::shapes::Time;
use crate::analysis::series_network::{NetworkError, NetworkFacts};
use crate::pull::{
    ModelKind, POINTS_MAX, Scored, SourceError, TrainedModel, Training, TrainingError, TrainingSeries,
    predict as predict_values, short_name,
};
use crate::query::{Cancel, RangeTimes};
use axum::body::Body;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

const DAY_MS: f64 = 86_400_000.0;
const MINUTE_MS: i64 = 60_000;
/// Days and share of anomalies that training takes unless told otherwise.
const DAYS: f64 = 14.0;
const CONTAMINATION: f64 = 0.01;
/// Days, and minutes, that can be asked for.
const DAYS_MAX: f64 = 400.0;
const LOOKBACK_MINUTES: f64 = 60.0;
const LOOKBACK_MINUTES_MAX: f64 = 44_640.0;
const NO_DATA: &str = "No data returned from Prometheus";
/// Values, and anomalies, that an answer shows: the newest.
const PREDICTIONS_SHOWN: usize = 100;
const ANOMALIES_SHOWN: usize = 20;

#[derive(Debug, Serialize)]
struct Trained<'a> {
    status: &'static str,
    model_name: &'a str,
    samples: usize,
    training_period_days: f64,
    model_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    networks: Vec<NetworkShape>,
}

/// What was learned of one series.
#[derive(Debug, Serialize)]
struct NetworkShape {
    metric: BTreeMap<String, String>,
    #[serde(flatten)]
    facts: NetworkFacts,
}

#[derive(Debug, Serialize)]
struct Predicted<'a> {
    model_name: &'a str,
    total_samples: usize,
    anomalies_detected: usize,
    anomaly_rate: f64,
    series_skipped: usize,
    predictions: &'a [Prediction],
    anomalies: &'a [Prediction],
}

#[derive(Debug, Clone, Serialize)]
struct Prediction {
    timestamp: Time,
    value: f64,
    is_anomaly: bool,
    anomaly_score: f64,
    metric: BTreeMap<String, String>,
}

impl From<SourceError> for ApiError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Query(error) => match Self::from(error) {
                wrong if wrong.names_field("match") => wrong.renamed("promql"),
                other => other,
            },
            SourceError::Remote { .. } => Self::unavailable(error.to_string()),
        }
    }
}

/// Trains a model.
pub(super) async fn train(State(shared): State<Arc<Shared>>, body: Body) -> Result<Text, ApiError> {
    let mut fields = Fields::read(body).await?;
    let promql = fields.text("promql")?.filter(|promql| !promql.trim().is_empty());
    let promql = promql.ok_or_else(|| ApiError::bad("promql is required").with("field", "promql"))?;
    let name = fields.text("model_name")?.filter(|name| !name.is_empty()).unwrap_or_else(|| promql.replace(' ', "_"));
    let days = fields.number("training_days")?.unwrap_or(DAYS);
    if !(days > 0.0 && days <= DAYS_MAX) {
        return Err(ApiError::field("training_days", format!("expected a number above 0 and at most {DAYS_MAX}")));
    }
    let contamination = fields.number("contamination")?.unwrap_or(CONTAMINATION);
    if !(0.0..=0.5).contains(&contamination) {
        return Err(ApiError::field("contamination", "expected a number from 0 to 0.5"));
    }
    let kind = model_kind(fields.text("model_type")?.as_deref())?;
    fields.finish()?;
    run(shared, move |shared, cancel| {
        let now_ms = (shared.api.now_ms)();
        let span_ms = (days * DAY_MS) as i64;
        // Beyond so many points the step grows.
        let step_ms = (span_ms / POINTS_MAX).max(MINUTE_MS);
        let series = samples(shared, &promql, (now_ms - span_ms, now_ms), step_ms, cancel)?;
        let version = shared.api.shelf.version(&name) + 1;
        let networks = Vec::new();
        let training = Training {
            name,
            promql,
            trained_at_ms: now_ms,
            days,
            step_ms,
            contamination,
            version,
            kind,
            series,
            networks,
        };
        let model = TrainedModel::train(training.clone(), &|| !cancel.is_cancelled()).map_err(refused)?;
        let samples = model.samples;
        let networks = model.about.networks.iter();
        let networks = networks.map(|one| NetworkShape { metric: one.labels.clone(), facts: one.network.facts() });
        let networks = networks.collect();
        let path = shared.api.shelf.keep(&training, model)?;
        shared.api.gauges.train(short_name(&training.promql), now_ms as f64 / 1000.0);
        Text::of(&Trained {
            status: "trained",
            model_name: &training.name,
            samples,
            training_period_days: days,
            model_path: path.display().to_string(),
            // An answer about a forest has the fields it always had.
            model_type: (kind != ModelKind::default()).then_some(kind.name()),
            networks,
        })
    })
    .await
}

/// What is to learn; a forest unless told otherwise.
fn model_kind(name: Option<&str>) -> Result<ModelKind, ApiError> {
    let Some(name) = name else { return Ok(ModelKind::default()) };
    let found = ModelKind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| {
        ApiError::field("model_type", format!("expected {}", ModelKind::ALL.map(ModelKind::name).join(", ")))
    })
}

fn refused(error: TrainingError) -> ApiError {
    match error {
        TrainingError::TooFew(_) => ApiError::bad(error.to_string()),
        TrainingError::Network(NetworkError::NotBuiltIn) => ApiError::field("model_type", error),
        TrainingError::Network(NetworkError::Stopped) => ApiError::unavailable(error.to_string()),
        TrainingError::TooMany(_)
        | TrainingError::TooManySeries(_)
        | TrainingError::Network(NetworkError::Unfit(_)) => ApiError::unprocessable(error.to_string()),
    }
}

/// Values of an expression, which must have some.
fn samples(
    shared: &Shared,
    promql: &str,
    (start_ms, end_ms): (i64, i64),
    step_ms: i64,
    cancel: &Cancel,
) -> Result<Vec<TrainingSeries>, ApiError> {
    let mut source = shared.api.source.clone();
    source.limits.max_points = source.limits.max_points.max(POINTS_MAX as usize + 1);
    let found = source.range(promql, RangeTimes { start_ms, end_ms, step_ms }, cancel)?;
    match found.is_empty() {
        true => Err(ApiError::unknown(NO_DATA)),
        false => Ok(found),
    }
}

/// Judges the newest values of an expression.
pub(super) async fn predict(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let (Some(promql), Some(name)) = (parameters.text("promql"), parameters.text("model_name")) else {
        let missing = if parameters.text("promql").is_none() { "promql" } else { "model_name" };
        return Err(ApiError::bad("promql and model_name are required").with("field", missing));
    };
    let minutes = parameters.number("lookback_minutes")?.unwrap_or(LOOKBACK_MINUTES);
    if !(minutes > 0.0 && minutes <= LOOKBACK_MINUTES_MAX) {
        let what = format!("expected a number above 0 and at most {LOOKBACK_MINUTES_MAX}");
        return Err(ApiError::field("lookback_minutes", what));
    }
    let (promql, name) = (promql.to_owned(), name.to_owned());
    run(shared, move |shared, cancel| {
        let model = shared.api.shelf.get(&name)?;
        let now_ms = (shared.api.now_ms)();
        let from_ms = now_ms - (minutes * MINUTE_MS as f64) as i64;
        let predicted = predict_values(&model, &shared.api.source, &promql, (from_ms, now_ms), cancel)?;
        let predicted = predicted.ok_or_else(|| ApiError::unknown(NO_DATA))?;
        predicted.tell(&shared.api.gauges, &promql, &name);
        let (judged, skipped) = (&predicted.judged, predicted.skipped);
        let mut predictions: Vec<Prediction> =
            judged.iter().flat_map(|(series, scored)| shown(series, scored)).collect();
        predictions.sort_by_key(|one| one.timestamp.0);
        let mut anomalies = predictions.clone();
        anomalies.retain(|one| one.is_anomaly);
        let newest = |list: &[Prediction], count: usize| list.len().saturating_sub(count);
        Text::of(&Predicted {
            model_name: &name,
            total_samples: predictions.len(),
            anomalies_detected: anomalies.len(),
            anomaly_rate: anomalies.len() as f64 / predictions.len().max(1) as f64,
            series_skipped: skipped,
            predictions: &predictions[newest(&predictions, PREDICTIONS_SHOWN)..],
            anomalies: &anomalies[newest(&anomalies, ANOMALIES_SHOWN)..],
        })
    })
    .await
}

fn shown(series: &TrainingSeries, scored: &[Scored]) -> Vec<Prediction> {
    let one = |scored: &Scored| Prediction {
        timestamp: Time(scored.time_ms),
        value: scored.value,
        is_anomaly: scored.is_anomaly,
        anomaly_score: scored.score,
        metric: series.labels.clone(),
    };
    scored.iter().map(one).collect()
}
