//! `POST /api/v1/forecast/{name}`: what the series of a name will do next, and when they reach a limit.
//!
//! Not here: how a forecast is made (see `analysis::forecast`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::body::Fields;
use super::kept_forecasts::{Kept, Wish};
use super::metric::POINTS_MAX;
use super::parameters::matchers_of;
use super::run::{check, run};
use super::selection::{name_of, select};
use super::shapes::{Labels, Season, Time};
use crate::analysis::forecast::{self, Direction, Forecast, ForecastEngine, ForecastError, Threshold, most_of};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde::Serialize;
use std::sync::Arc;
use storage::sample::Samples;
use storage::series::{self, NAME_LABEL};
use storage::{Resolution, SelectedSeries};

const HOUR_MS: i64 = 3_600_000;
/// From this span on hours are a sensible step for samples that are closer together.
const HOURS_FROM_MS: i64 = 48 * HOUR_MS;
/// The span that is read, up to the newest sample: a quarter's worth, for steps of an hour.
const HISTORY_MS: i64 = 92 * 86_400_000;
/// Means of which one may be missing.
const MEANS_MIN: usize = 24;
/// Steps of history that a forecast is made from.
const HISTORY_STEPS: i64 = 4096;

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
    seasons: Vec<Season>,
    days_to_exhaustion: Option<f64>,
    exhaustion: Option<Exhaustion>,
    sla_risk_score: f64,
    held_out_error: Option<HeldOutError>,
}

#[derive(Debug, Serialize)]
pub(super) struct Exhaustion {
    earliest: Time,
    likely: Option<Time>,
    latest: Option<Time>,
    probability: f64,
}

impl Exhaustion {
    pub(super) fn of(found: forecast::Exhaustion) -> Self {
        Self {
            earliest: Time(found.earliest_ms),
            likely: found.likely_ms.map(Time),
            latest: found.latest_ms.map(Time),
            probability: found.probability,
        }
    }
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
    sets: Vec<Vec<storage::label_index::Matcher>>,
}

impl Asked {
    async fn read(shared: &Shared, body: Body) -> Result<Self, ApiError> {
        let mut fields = Fields::read(body).await?;
        let usual = ForecastEngine::default();
        let direction = fields.word("direction", &[("above", Direction::Above), ("below", Direction::Below)])?;
        let direction = direction.unwrap_or_default();
        let threshold = fields.number("capacity_threshold")?.map(|value| Threshold { value, direction });
        let engine = ForecastEngine {
            horizon: fields.count("horizon")?.unwrap_or(usual.horizon),
            level: fields.number("level")?.unwrap_or(usual.level),
            threshold,
            method: None,
            most: None,
        };
        let step_ms = fields.duration_ms("step")?;
        let sets =
            fields.texts("match")?.iter().map(|text| matchers_of(text, &shared.api.query)).collect::<Result<_, _>>()?;
        fields.finish()?;
        engine.check_settings().map_err(|error| ApiError::field(field_of(&error), error))?;
        Ok(Self { engine, step_ms, sets })
    }
}

fn field_of(error: &ForecastError) -> &'static str {
    match error {
        ForecastError::Level(_) => "level",
        ForecastError::Threshold(_) => "capacity_threshold",
        _ => "horizon",
    }
}

/// Forecasts what is stored.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Text, ApiError> {
    let name = name_of(path)?;
    let asked = Asked::read(&shared, body).await?;
    run(shared, move |shared, cancel| {
        let found = select(shared, &name, &asked.sets)?;
        if found.len() * asked.engine.horizon > POINTS_MAX {
            let message = format!("more than {POINTS_MAX} points; ask for fewer series or a nearer horizon");
            return Err(ApiError::unprocessable(message).with("field", "horizon"));
        }
        let (mut series, mut skipped) = (Vec::with_capacity(found.len()), Vec::new());
        let mut samples = Samples::default();
        for one in &found {
            check(cancel)?;
            match kept_forecast(shared, one, asked.engine, asked.step_ms, &mut samples)? {
                Ok((forecast, _)) => series.push(shape(Labels(&one.key), forecast)),
                Err(error) => skipped.push(Skipped { labels: Labels(&one.key), error: error.to_string() }),
            }
        }
        match (series.is_empty(), skipped.first()) {
            (true, Some(first)) => Err(ApiError::unprocessable(first.error.clone())),
            _ => Text::of(&Outcome { metric: &name, series, skipped }),
        }
    })
    .await
}

/// The forecast of a series and its newest value: from what is kept of it and the samples since, or from its history where
/// nothing is kept or that has become stale.
pub(super) fn kept_forecast(
    shared: &Shared,
    one: &SelectedSeries,
    engine: ForecastEngine,
    step_ms: Option<i64>,
    samples: &mut Samples,
) -> Result<Result<(Forecast, f64), ForecastError>, ApiError> {
    let most = most_of(series::label(&one.key, NAME_LABEL).unwrap_or(""), None);
    let engine = ForecastEngine { most, ..engine };
    let wish = Wish { series: one.series, step_ms, level: engine.level.to_bits(), horizon: engine.horizon };
    let kept = match shared.forecasts.take(&wish) {
        Some(kept) => brought_up_to_date(shared, one, kept, samples)?,
        None => None,
    };
    let kept = match kept {
        Some(kept) => kept,
        None => {
            let averaged_ms = history(shared, one, step_ms, samples)?;
            if let (Some(step_ms), Some((newest_ms, _))) = (averaged_ms, shared.api.store.newest(one.series)?) {
                average(samples, step_ms);
                if samples.len() > MEANS_MIN {
                    drop_begun(samples, step_ms, newest_ms);
                }
            }
            match engine.learn(&samples.times, &samples.values) {
                Ok(live) => Kept { live, averaged_ms },
                Err(error) => return Ok(Err(error)),
            }
        }
    };
    let outcome = kept.live.forecast(engine.horizon, engine.threshold).map(|made| (made, kept.live.newest()));
    shared.forecasts.keep(wish, kept);
    Ok(outcome)
}

/// Lets what is kept take in the samples since; none where its history is to be learned anew.
fn brought_up_to_date(
    shared: &Shared,
    one: &SelectedSeries,
    mut kept: Kept,
    samples: &mut Samples,
) -> Result<Option<Kept>, ApiError> {
    let Some((newest_ms, _)) = shared.api.store.newest(one.series)? else { return Ok(None) };
    let step_ms = kept.averaged_ms.unwrap_or(1);
    let since_ms = kept.live.last_ms().saturating_add(step_ms);
    samples.clear();
    if newest_ms >= since_ms {
        shared.api.store.read(one.series, since_ms, newest_ms, samples)?;
    }
    if kept.averaged_ms.is_some() {
        average(samples, step_ms);
        drop_begun(samples, step_ms, newest_ms);
    }
    samples.times.iter().zip(&samples.values).for_each(|(time_ms, value)| kept.live.observe(*time_ms, *value));
    Ok(Some(kept).filter(|kept| !kept.live.is_stale()))
}

/// Drops the newest mean if its step has only begun: it would be learned for good, and the rest of the step never.
fn drop_begun(means: &mut Samples, step_ms: i64, newest_ms: i64) {
    let is_over = |start_ms: &i64| newest_ms - start_ms >= step_ms / 10 * 9;
    if !means.times.last().is_none_or(is_over) {
        means.times.pop();
        means.values.pop();
    }
}

/// Reads the samples to learn from; the step they are to be averaged over, if they are.
fn history(
    shared: &Shared,
    one: &SelectedSeries,
    step_ms: Option<i64>,
    samples: &mut Samples,
) -> Result<Option<i64>, ApiError> {
    samples.clear();
    let Some((newest_ms, _)) = shared.api.store.newest(one.series)? else { return Ok(None) };
    if read_hours(shared, one, step_ms, newest_ms, samples)? {
        // What is there are means already; what comes later is to be averaged alike.
        return Ok(Some(step_ms.unwrap_or(HOUR_MS)));
    }
    let span_ms = step_ms.map_or(HISTORY_MS, |step_ms| step_ms.saturating_mul(HISTORY_STEPS));
    shared.api.store.read(one.series, newest_ms.saturating_sub(span_ms), newest_ms, samples)?;
    let distance_ms = usual_distance_ms(&samples.times);
    if let Some(step_ms) = step_ms {
        return Ok(Some(step_ms).filter(|step_ms| *step_ms > distance_ms));
    }
    let covered_ms = newest_ms - samples.times.first().copied().unwrap_or(newest_ms);
    if distance_ms < HOUR_MS && covered_ms >= HOURS_FROM_MS {
        return Ok(Some(HOUR_MS));
    }
    let needless = samples.len().saturating_sub(HISTORY_STEPS as usize);
    samples.times.drain(..needless);
    samples.values.drain(..needless);
    Ok(None)
}

/// Reads means of hours, or of steps of whole hours, from rollups, which reach back further than samples; false where steps
/// or samples are not of that kind.
fn read_hours(
    shared: &Shared,
    one: &SelectedSeries,
    step_ms: Option<i64>,
    newest_ms: i64,
    samples: &mut Samples,
) -> Result<bool, ApiError> {
    let hours_ms = step_ms.unwrap_or(HOUR_MS);
    if hours_ms % HOUR_MS != 0 {
        return Ok(false);
    }
    shared.api.store.read(one.series, newest_ms.saturating_sub(HOURS_FROM_MS), newest_ms, samples)?;
    let is_dense = samples.len() > 2 && usual_distance_ms(&samples.times) < HOUR_MS;
    if !is_dense {
        return Ok(false);
    }
    let since_ms = newest_ms.saturating_sub(hours_ms.saturating_mul(HISTORY_STEPS));
    let mut buckets = Vec::new();
    shared.api.store.rollups(one.series, Resolution::Hour, since_ms, newest_ms, &mut buckets)?;
    let covered_ms = newest_ms - buckets.first().map_or(newest_ms, |bucket| bucket.start_ms);
    if step_ms.is_none() && covered_ms < HOURS_FROM_MS {
        return Ok(false);
    }
    samples.clear();
    for step in buckets.chunk_by(|a, b| a.start_ms.div_euclid(hours_ms) == b.start_ms.div_euclid(hours_ms)) {
        let finite = || step.iter().filter(|bucket| bucket.sum.is_finite());
        let count: u64 = finite().map(|bucket| bucket.count).sum();
        if count > 0 {
            let sum: f64 = finite().map(|bucket| bucket.sum).sum();
            samples.push(step[0].start_ms.div_euclid(hours_ms) * hours_ms, sum / count as f64);
        }
    }
    Ok(true)
}

/// The median distance of the newest samples, 0 if there are none.
fn usual_distance_ms(times: &[i64]) -> i64 {
    let newest = &times[times.len().saturating_sub(1000)..];
    let mut distances: Vec<i64> = newest.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let middle = distances.len() / 2;
    if distances.is_empty() { 0 } else { *distances.select_nth_unstable(middle).1 }
}

/// Puts in the place of samples their mean in each step, at the time at which the step begins.
fn average(samples: &mut Samples, step_ms: i64) {
    let (mut sum, mut count, mut kept) = (0.0, 0.0, 0);
    for at in 0..samples.len() {
        let (time_ms, value) = (samples.times[at], samples.values[at]);
        let step = time_ms.div_euclid(step_ms);
        if value.is_finite() {
            (sum, count) = (sum + value, count + 1.0);
        }
        let is_last = samples.times.get(at + 1).is_none_or(|next| next.div_euclid(step_ms) != step);
        if is_last && count > 0.0 {
            (samples.times[kept], samples.values[kept]) = (step * step_ms, sum / count);
            kept += 1;
        }
        if is_last {
            (sum, count) = (0.0, 0.0);
        }
    }
    samples.times.truncate(kept);
    samples.values.truncate(kept);
}

fn shape(labels: Labels<'_>, forecast: Forecast) -> OutcomeSeries<'_> {
    let points = &forecast.points;
    let exhaustion = forecast.exhaustion.map(Exhaustion::of);
    OutcomeSeries {
        labels,
        timestamps: points.iter().map(|point| Time(point.time_ms)).collect(),
        predicted_values: points.iter().map(|point| point.forecast).collect(),
        lower_bound: points.iter().map(|point| point.lower).collect(),
        upper_bound: points.iter().map(|point| point.upper).collect(),
        trend_per_day: forecast.trend.slope,
        seasons: forecast.seasons.iter().map(|season| Season::new(season.period_ms, season.strength)).collect(),
        days_to_exhaustion: forecast.days_to_exhaustion,
        exhaustion,
        sla_risk_score: forecast.sla_risk,
        held_out_error: forecast.held_out_error.map(|e| HeldOutError { mase: e.mase, coverage: e.coverage }),
        method: forecast.method,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_the_mean_of_its_samples() {
        let mut samples = Samples { times: vec![5, 9, 10, 31, 32], values: vec![1.0, 3.0, 7.0, f64::NAN, 4.0] };
        average(&mut samples, 10);
        assert_eq!((samples.times, samples.values), (vec![0, 10, 30], vec![2.0, 7.0, 4.0]));
    }

    #[test]
    fn the_mean_of_a_step_that_has_only_begun_is_dropped() {
        let means = |newest_ms| {
            let mut means = Samples { times: vec![0, 100], values: vec![1.0, 2.0] };
            drop_begun(&mut means, 100, newest_ms);
            means.times
        };
        assert_eq!((means(150), means(190)), (vec![0], vec![0, 100]));
    }

    #[test]
    fn the_usual_distance_is_the_median() {
        assert_eq!(usual_distance_ms(&[0, 10, 20, 1000, 1010]), 10);
        assert_eq!((usual_distance_ms(&[]), usual_distance_ms(&[1])), (0, 0));
    }
}
