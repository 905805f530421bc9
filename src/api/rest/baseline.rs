//! `GET /api/v1/metrics/{name}/baseline` and `.../evaluate`: what each hour of the week usually has, and a value against it.
//!
//! Not here: the limits (see `analysis::detectors::DynamicThresholds`), what the live models expect (see `metric`).
//!
//! Cost: one pass over the last four weeks of each series, one series in memory at a time.

use super::Shared;
use super::answer::{ApiError, Text};
use super::parameters::Parameters;
use super::replay::SAMPLES_MAX;
use super::run::{check, run};
use super::selection::{name_of, select};
use super::shapes::Labels;
use crate::analysis::Zone;
use crate::analysis::detectors::{Cell, DynamicThresholds, Evaluation, Options, Samples};
use crate::query::Cancel;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Serialize;
use std::sync::Arc;
use storage::SelectedSeries;

/// How far back a baseline looks from a series' newest sample: each hour of the week is had four times.
const RANGE_MS: i64 = 28 * 86_400_000;

#[derive(Debug, Serialize)]
struct Baselines<'a> {
    name: &'a str,
    series: Vec<Baseline<'a>>,
}

#[derive(Debug, Serialize)]
struct Baseline<'a> {
    labels: Labels<'a>,
    timezone: &'a str,
    cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Evaluations<'a> {
    name: &'a str,
    series: Vec<Evaluated<'a>>,
}

#[derive(Debug, Serialize)]
struct Evaluated<'a> {
    labels: Labels<'a>,
    #[serde(flatten)]
    evaluation: Evaluation,
}

/// How limits are made.
#[derive(Debug)]
struct Asked {
    options: Options,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    samples_left: usize,
}

impl Asked {
    fn read(parameters: &Parameters) -> Result<Self, ApiError> {
        let zone = parameters.text("timezone").map_or(Ok(Zone::UTC), Zone::named);
        let zone = zone.map_err(|error| ApiError::field("timezone", error.to_string()))?;
        let sigma = number(parameters, "sigma")?;
        if sigma.is_some_and(|sigma| sigma <= 0.0) {
            return Err(ApiError::field("sigma", "expected a number above 0"));
        }
        let is_non_negative = parameters.is_set("non_negative")?;
        let options = Options { zone, threshold: sigma, is_non_negative, ..Options::default() };
        let (start_ms, end_ms) = (parameters.time_ms("start")?, parameters.time_ms("end")?);
        if start_ms.zip(end_ms).is_some_and(|(start_ms, end_ms)| end_ms < start_ms) {
            return Err(ApiError::field("end", "before start"));
        }
        Ok(Self { options, start_ms, end_ms, samples_left: SAMPLES_MAX })
    }

    /// The limits of a series.
    fn thresholds(&mut self, shared: &Shared, one: &SelectedSeries, cancel: &Cancel) -> Result<Learned, ApiError> {
        check(cancel)?;
        let newest_ms = shared.api.store.newest(one.series)?.map_or(0, |(time_ms, _)| time_ms);
        let end_ms = self.end_ms.unwrap_or(newest_ms);
        let start_ms = self.start_ms.unwrap_or_else(|| end_ms.saturating_sub(RANGE_MS));
        let mut samples = storage::sample::Samples::default();
        shared.api.store.read(one.series, start_ms, end_ms, &mut samples)?;
        let Some(left) = self.samples_left.checked_sub(samples.times.len()) else {
            let message = format!("more than {SAMPLES_MAX} samples to read; ask for less time or fewer series");
            return Err(ApiError::unprocessable(message).with("field", "start"));
        };
        self.samples_left = left;
        let thresholds = DynamicThresholds::learned(&self.options, Samples::new(&samples.times, &samples.values));
        Ok(Learned { thresholds, newest_ms, samples: samples.times.len() })
    }
}

/// The limits of one series, and what they were made of.
struct Learned {
    thresholds: DynamicThresholds,
    newest_ms: i64,
    samples: usize,
}

fn number(parameters: &Parameters, name: &str) -> Result<Option<f64>, ApiError> {
    let parse = |text: &str| {
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| ApiError::field(name, "expected a number"))
    };
    parameters.text(name).map(parse).transpose()
}

/// The 168 cells of each series.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Text, ApiError> {
    let name = name_of(path)?;
    let parameters = Parameters::read(&uri)?;
    let mut asked = Asked::read(&parameters)?;
    let sets = parameters.matchers(&shared.api.query)?;
    run(shared, move |shared, cancel| {
        let found = select(shared, &name, &sets)?;
        let mut cells = Vec::with_capacity(found.len());
        for one in &found {
            cells.push(asked.thresholds(shared, one, cancel)?.thresholds.cells().to_vec());
        }
        let timezone = asked.options.zone.name();
        let series = found.iter().zip(cells);
        let series = series.map(|(one, cells)| Baseline { labels: Labels(&one.key), timezone, cells }).collect();
        Text::of(&Baselines { name: &name, series })
    })
    .await
}

/// A value against the hour of a time, the present unless given; series without samples are left out.
pub(super) async fn evaluate(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Text, ApiError> {
    let name = name_of(path)?;
    let parameters = Parameters::read(&uri)?;
    let value = number(&parameters, "value")?.ok_or_else(|| ApiError::field("value", "missing"))?;
    let time_ms = parameters.time_ms("time")?;
    let mut asked = Asked::read(&parameters)?;
    let sets = parameters.matchers(&shared.api.query)?;
    run(shared, move |shared, cancel| {
        let found = select(shared, &name, &sets)?;
        let mut series = Vec::with_capacity(found.len());
        for one in &found {
            let learned = asked.thresholds(shared, one, cancel)?;
            if learned.samples > 0 {
                let evaluation = learned.thresholds.evaluate(time_ms.unwrap_or(learned.newest_ms), value);
                series.push(Evaluated { labels: Labels(&one.key), evaluation });
            }
        }
        Text::of(&Evaluations { name: &name, series })
    })
    .await
}
