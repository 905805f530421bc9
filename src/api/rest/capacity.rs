//! `GET /api/v1/capacity`: which series reach their limit, the one with the fewest days left first.
//!
//! A series has a limit by its name (a percentage and a ratio, of which 95 % count as full), or all that are chosen have
//! the one of the request.
//!
//! Not here: how a forecast is made (see `forecast`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::forecast_shapes::{Exhaustion, Sawtooth, Trend};
use super::parameters::{Page, Parameters};
use super::run::{check, run};
use super::shapes::{Labels, List};
use crate::analysis::forecast::{Direction, ForecastEngine, Threshold, most_of};
use crate::forecasts::NoForecast;
use crate::query::Cancel;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use std::sync::Arc;
use storage::SelectedSeries;
use storage::label_index::Matcher;
use storage::sample::Samples;
use storage::series::{self, NAME_LABEL};

const PAGE: usize = 100;
/// Series that one call may forecast.
const SERIES_MAX: usize = 1000;
/// The share of the most a value can be at which a series counts as full.
const FULL: f64 = 0.95;

#[derive(Debug, Serialize)]
struct Item<'a> {
    metric_name: &'a str,
    labels: Labels<'a>,
    limit: f64,
    days_to_exhaustion: Option<f64>,
    exhaustion: Option<Exhaustion>,
    current: f64,
    /// Probability, 0 to 1, that the limit is reached within the coming week.
    sla_risk_score: f64,
    trend: Trend,
    sawtooth: Option<Sawtooth>,
}

/// Lists series by the days they have left; those that never reach their limit come last.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let sets = parameters.matchers(&shared.api.query)?;
    let direction = parameters.word("direction", &[("above", Direction::Above), ("below", Direction::Below)])?;
    let direction = direction.unwrap_or_default();
    let asked = parameters.number("threshold")?.map(|value| Threshold { value, direction });
    run(shared, move |shared, cancel| {
        let found = series(shared, &sets, asked)?;
        let mut items = items(shared, &found, cancel)?;
        let total = items.len();
        let days = |item: &Item<'_>| item.days_to_exhaustion.unwrap_or(f64::INFINITY);
        items.sort_by(|a, b| days(a).total_cmp(&days(b)).then_with(|| a.metric_name.cmp(b.metric_name)));
        let Page { skip, limit } = page;
        Text::of(&List { total, items: items.into_iter().skip(skip).take(limit).collect() })
    })
    .await
}

/// The series asked for that have a limit, and the limit.
fn series(
    shared: &Shared,
    sets: &[Vec<Matcher>],
    asked: Option<Threshold>,
) -> Result<Vec<(SelectedSeries, Threshold)>, ApiError> {
    let limited = [vec![Matcher::regex(NAME_LABEL, ".*_(percent|pct|percentage|ratio)")?]];
    if sets.is_empty() && asked.is_some() {
        return Err(ApiError::field("match", "say which series have this threshold"));
    }
    let mut found = Vec::new();
    for set in if sets.is_empty() { &limited[..] } else { sets } {
        found.extend(shared.api.store.select(set, i64::MIN, i64::MAX)?);
    }
    found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    found.dedup_by(|a, b| a.key == b.key);
    let usual =
        |name: &str| most_of(name, None).map(|most| Threshold { value: FULL * most, direction: Direction::Above });
    let with_limit = |one: SelectedSeries| {
        let threshold = asked.or_else(|| usual(series::label(&one.key, NAME_LABEL).unwrap_or("")))?;
        Some((one, threshold))
    };
    let found: Vec<_> = found.into_iter().filter_map(with_limit).collect();
    if found.len() > SERIES_MAX {
        let count = found.len();
        let message = format!("{count} series, more than {SERIES_MAX} at a time; choose some with match");
        return Err(ApiError::unprocessable(message).with("field", "match").with("count", count));
    }
    Ok(found)
}

/// The item of every series of which something can be said.
fn items<'a>(
    shared: &Shared,
    found: &'a [(SelectedSeries, Threshold)],
    cancel: &Cancel,
) -> Result<Vec<Item<'a>>, ApiError> {
    let mut items = Vec::with_capacity(found.len());
    let mut samples = Samples::default();
    for (one, threshold) in found {
        check(cancel)?;
        let engine = ForecastEngine { threshold: Some(*threshold), ..ForecastEngine::default() };
        let made = match shared.api.desk.of(one, engine, None, &mut samples) {
            Ok(made) => made,
            Err(NoForecast::Series(_)) => continue,
            Err(NoForecast::Store(error)) => return Err(error.into()),
        };
        let forecast = made.forecast;
        items.push(Item {
            metric_name: series::label(&one.key, NAME_LABEL).unwrap_or(""),
            labels: Labels(&one.key),
            limit: threshold.value,
            days_to_exhaustion: forecast.days_to_exhaustion,
            exhaustion: forecast.exhaustion.map(Exhaustion::of),
            current: made.current,
            sla_risk_score: forecast.sla_risk,
            trend: Trend::of(forecast.trend),
            sawtooth: forecast.sawtooth.as_ref().map(Sawtooth::of),
        });
    }
    Ok(items)
}
