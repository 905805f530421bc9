//! `POST /api/v1/forecast/{name}`: what the series of a name will do next, and when they reach a limit.
//!
//! Not here: how a forecast is made (see `analysis::forecast`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::body::Fields;
use super::forecast_shapes::Breaches;
use super::metric::POINTS_MAX;
use super::parameters::{matchers_of, time_ms_of};
use super::run::{check, run};
use super::selection::{name_of, select};
use super::shapes::{Labels, Season, Time};
use crate::analysis::forecast::{
    Direction, Forecast, ForecastEngine, ForecastError, Limits, Method, Threshold, most_of,
};
use crate::forecasts::NoForecast;
use crate::reports::{Exhaustion, Sawtooth, Trend};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use storage::label_index::Matcher;
use storage::sample::Samples;

/// The longest body: samples may stand in it.
const BODY_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Serialize)]
struct Outcome<'a> {
    metric: &'a str,
    series: Vec<OutcomeSeries<'a>>,
    /// Series of which nothing can be said, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<Skipped<'a>>,
}

#[derive(Debug, Serialize)]
struct Skipped<'a> {
    labels: Labels<'a>,
    error: String,
}

#[derive(Debug, Serialize)]
struct OutcomeSeries<'a> {
    labels: Labels<'a>,
    method: String,
    timestamps: Vec<Time>,
    predicted_values: Vec<f64>,
    lower_bound: Vec<f64>,
    upper_bound: Vec<f64>,
    trend_per_day: f64,
    trend: Trend,
    seasons: Vec<Season>,
    sawtooth: Option<Sawtooth>,
    days_to_exhaustion: Option<f64>,
    exhaustion: Option<Exhaustion>,
    sla_risk_score: f64,
    /// The share of the horizon that is expected to be spent beyond the limit.
    sla_time_share: f64,
    held_out_error: Option<HeldOutError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breach: Option<Breaches>,
}

#[derive(Debug, Serialize)]
struct HeldOutError {
    mase: f64,
    coverage: Option<f64>,
}

/// What a request asks.
#[derive(Debug)]
struct Asked {
    engine: ForecastEngine,
    step_ms: Option<i64>,
    limits: Limits,
    sets: Vec<Vec<Matcher>>,
    /// Samples of the request's own, which are forecast instead of those stored.
    given: Option<Samples>,
}

impl Asked {
    async fn read(shared: &Shared, body: Body) -> Result<Self, ApiError> {
        let mut fields = Fields::read_within(body, BODY_BYTES_MAX).await?;
        let usual = ForecastEngine::default();
        let direction = fields.word("direction", &[("above", Direction::Above), ("below", Direction::Below)])?;
        let direction = direction.unwrap_or_default();
        let threshold = fields.number("capacity_threshold")?.map(|value| Threshold { value, direction });
        let engine = ForecastEngine {
            horizon: fields.count("horizon")?.unwrap_or(usual.horizon),
            level: fields.number("level")?.unwrap_or(usual.level),
            threshold,
            method: fields.text("method")?.map(|name| method(&name)).transpose()?,
            most: None,
        };
        let limits = Limits { upper: fields.number("upper_threshold")?, lower: fields.number("lower_threshold")? };
        let step_ms = fields.duration_ms("step")?;
        let sets: Vec<Vec<Matcher>> =
            fields.texts("match")?.iter().map(|text| matchers_of(text, &shared.api.query)).collect::<Result<_, _>>()?;
        let given = given(&mut fields)?;
        fields.finish()?;
        engine.check_settings().map_err(|error| ApiError::field(field_of(&error), error))?;
        if given.is_some() && (step_ms.is_some() || !sets.is_empty()) {
            let field = if step_ms.is_some() { "step" } else { "match" };
            return Err(ApiError::field(field, "values of the request are forecast as they are"));
        }
        Ok(Self { engine, step_ms, limits, sets, given })
    }
}

/// The forecaster of that name.
fn method(name: &str) -> Result<Method, ApiError> {
    let known = || Method::all().chain([Method::LINEAR_TREND]).map(Method::name).collect::<Vec<_>>().join(", ");
    Method::named(name).ok_or_else(|| ApiError::field("method", format!("{name} is not one of {}", known())))
}

/// `timestamps` and `values` of the body: times are numbers since 1970 or RFC 3339, as everywhere.
fn given(fields: &mut Fields) -> Result<Option<Samples>, ApiError> {
    let (times, values) = (fields.array("timestamps")?, fields.array("values")?);
    let (times, values) = match (times, values) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(ApiError::field("values", "timestamps need values")),
        (None, Some(_)) => return Err(ApiError::field("timestamps", "values need timestamps")),
        (Some(times), Some(values)) => (times, values),
    };
    if times.len() != values.len() {
        let error = ForecastError::Unpaired { times: times.len(), values: values.len() };
        return Err(ApiError::field("values", error));
    }
    let mut samples = Samples::default();
    for (index, (time, value)) in times.iter().zip(&values).enumerate() {
        let wrong = |error: ApiError| error.with("index", index);
        let text = match time {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let time_ms = time_ms_of("timestamps", &text).map_err(wrong)?;
        let value = match value {
            // A gap.
            Value::Null => f64::NAN,
            value => {
                value.as_f64().ok_or_else(|| wrong(ApiError::field("values", "expected finite numbers or null")))?
            }
        };
        samples.push(time_ms, value);
    }
    Ok(Some(samples))
}

fn field_of(error: &ForecastError) -> &'static str {
    match error {
        ForecastError::Level(_) => "level",
        ForecastError::Threshold(_) => "capacity_threshold",
        _ => "horizon",
    }
}

/// Forecasts what is stored, or what the request brings.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Text, ApiError> {
    let name = name_of(path)?;
    let asked = Asked::read(&shared, body).await?;
    run(shared, move |shared, cancel| {
        let too_many = |count: usize| count.saturating_mul(asked.engine.horizon) > POINTS_MAX;
        let message = format!("more than {POINTS_MAX} points; ask for fewer series or a nearer horizon");
        let refused = || ApiError::unprocessable(message).with("field", "horizon");
        if let Some(samples) = &asked.given {
            if too_many(1) {
                return Err(refused());
            }
            let engine = ForecastEngine { most: most_of(&name, None), ..asked.engine };
            let made = engine.forecast(&samples.times, &samples.values);
            let made = made.map_err(|error| ApiError::unprocessable(error.to_string()))?;
            let series = vec![shape(Labels(&[]), made, asked.limits)];
            return Text::of(&Outcome { metric: &name, series, skipped: Vec::new() });
        }
        let found = select(shared, &name, &asked.sets)?;
        if too_many(found.len()) {
            return Err(refused());
        }
        let (mut series, mut skipped) = (Vec::with_capacity(found.len()), Vec::new());
        let mut samples = Samples::default();
        for one in &found {
            check(cancel)?;
            match shared.api.desk.of(one, asked.engine, asked.step_ms, &mut samples) {
                Ok(made) => series.push(shape(Labels(&one.key), made.forecast, asked.limits)),
                Err(NoForecast::Series(error)) => {
                    skipped.push(Skipped { labels: Labels(&one.key), error: error.to_string() });
                }
                Err(NoForecast::Store(error)) => return Err(error.into()),
            }
        }
        match (series.is_empty(), skipped.first()) {
            (true, Some(first)) => Err(ApiError::unprocessable(first.error.clone())),
            _ => Text::of(&Outcome { metric: &name, series, skipped }),
        }
    })
    .await
}

fn shape(labels: Labels<'_>, forecast: Forecast, limits: Limits) -> OutcomeSeries<'_> {
    let points = &forecast.points;
    let is_limited = limits != Limits::default();
    OutcomeSeries {
        labels,
        timestamps: points.iter().map(|point| Time(point.time_ms)).collect(),
        predicted_values: points.iter().map(|point| point.forecast).collect(),
        lower_bound: points.iter().map(|point| point.lower).collect(),
        upper_bound: points.iter().map(|point| point.upper).collect(),
        trend_per_day: forecast.trend.slope,
        trend: Trend::of(forecast.trend),
        seasons: forecast.seasons.iter().map(|season| Season::new(season.period_ms, season.strength)).collect(),
        sawtooth: forecast.sawtooth.as_ref().map(Sawtooth::of),
        days_to_exhaustion: forecast.days_to_exhaustion,
        exhaustion: forecast.exhaustion.map(Exhaustion::of),
        sla_risk_score: forecast.sla_risk,
        sla_time_share: forecast.time_beyond,
        held_out_error: forecast.held_out_error.map(|e| HeldOutError { mase: e.mase, coverage: e.coverage }),
        breach: is_limited.then(|| Breaches::of(&forecast, limits)),
        method: forecast.method,
    }
}
