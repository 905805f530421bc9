//! `GET /api/v1/metrics/{name}/correlated`: which series of the same host or service move together with a name's series.
//!
//! Candidates are the series that have the same value of a label. Both are compared in means of a minute of the last six
//! hours, a counter by what it gains, and shifted by up to ten minutes. Alerts of series that always move together become
//! one incident (`alert::incident`), by the same measure.
//!
//! Not here: the measure (see `alert`), anomalies of groups (see `groups`).
//!
//! Invariant: what is held is one column a candidate, and there are at most so many of these.

use super::Shared;
use super::answer::{ApiError, Text};
use super::parameters::Parameters;
use super::replay::SAMPLES_MAX;
use super::run::{check, run};
use super::selection::{name_of, newest_ms, select};
use super::shapes::Labels;
use crate::alert::{Correlation, correlate};
use crate::analysis::Kind;
use crate::query::Cancel;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use storage::SelectedSeries;
use storage::label_index::Matcher;
use storage::sample::Samples;
use storage::series::{NAME_LABEL, SeriesRef, label};

/// What is compared unless another range is asked for, by which step, and shifted by so many of these.
const RANGE_MS: i64 = 6 * 3_600_000;
const STEP_MS: i64 = 60_000;
const SHIFT_MAX: usize = 10;
/// Steps of a range.
const STEPS_MAX: i64 = 2880;
/// Candidates that a series is compared with, and series of one call.
const CANDIDATES_MAX: usize = 200;
const SERIES_MAX: usize = 20;
/// From which correlation on two series move together.
const TOGETHER: f64 = 0.8;
/// Labels that say where a series is from, unless one is named.
const PLACES: [&str; 4] = ["host", "instance", "device", "service"];

#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    series: Vec<ShownSeries<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownSeries<'a> {
    labels: Labels<'a>,
    /// The label that candidates have in common with it.
    by: Option<&'a str>,
    compared: usize,
    left_out: usize,
    pairs: Vec<Pair>,
}

#[derive(Debug, Serialize)]
struct Pair {
    name: String,
    labels: serde_json::Value,
    r: f64,
    lag_s: f64,
    points: usize,
}

/// What a request asks.
#[derive(Debug)]
struct Asked {
    by: Option<String>,
    least: f64,
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    step_ms: i64,
}

impl Asked {
    fn read(parameters: &Parameters) -> Result<Self, ApiError> {
        let least = parameters.number("min")?.unwrap_or(TOGETHER);
        if !(0.0..=1.0).contains(&least) {
            return Err(ApiError::field("min", "expected a number between 0 and 1"));
        }
        let (start_ms, end_ms) = (parameters.time_ms("start")?, parameters.time_ms("end")?);
        let step_ms = parameters.duration_ms("step")?.unwrap_or(STEP_MS);
        Ok(Self { by: parameters.text("by").map(str::to_owned), least, start_ms, end_ms, step_ms })
    }

    fn range_ms(&self, newest_ms: i64) -> Result<(i64, i64), ApiError> {
        let end_ms = self.end_ms.unwrap_or(newest_ms);
        let start_ms = self.start_ms.unwrap_or_else(|| end_ms.saturating_sub(RANGE_MS));
        if end_ms < start_ms {
            return Err(ApiError::field("end", "before start"));
        }
        if end_ms.saturating_sub(start_ms) / self.step_ms > STEPS_MAX {
            let message = format!("more than {STEPS_MAX} steps; ask for less time or a longer step");
            return Err(ApiError::unprocessable(message).with("field", "step"));
        }
        Ok((start_ms, end_ms))
    }

    /// The label and value that candidates of a series have.
    fn place<'a>(&'a self, key: &'a [u8]) -> Option<(&'a str, &'a str)> {
        let of = |name: &'a str| Some((name, label(key, name)?));
        match &self.by {
            Some(name) => of(name),
            None => PLACES.into_iter().find_map(of),
        }
    }
}

/// Shows who moves together.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Text, ApiError> {
    let name = name_of(path)?;
    let parameters = Parameters::read(&uri)?;
    let asked = Asked::read(&parameters)?;
    let sets = parameters.matchers(&shared.api.query)?;
    run(shared, move |shared, cancel| {
        let found = select(shared, &name, &sets)?;
        if found.len() > SERIES_MAX {
            let message = format!("{} series, more than {SERIES_MAX} at a time; choose some with match", found.len());
            return Err(ApiError::unprocessable(message).with("field", "match").with("count", found.len()));
        }
        let newest_ms = newest_ms(shared, &found)?.unwrap_or_else(shared.api.now_ms);
        let mut columns = Columns {
            shared,
            cancel,
            range_ms: asked.range_ms(newest_ms)?,
            step_ms: asked.step_ms,
            known: HashMap::new(),
            samples: Samples::default(),
            left: SAMPLES_MAX,
        };
        let mut series = Vec::with_capacity(found.len());
        for one in &found {
            series.push(of_series(&mut columns, one, &asked)?);
        }
        Text::of(&Shown { name: &name, series })
    })
    .await
}

fn of_series<'a>(
    columns: &mut Columns<'_>,
    one: &'a SelectedSeries,
    asked: &'a Asked,
) -> Result<ShownSeries<'a>, ApiError> {
    let Some((by, value)) = asked.place(&one.key) else {
        return Ok(ShownSeries { labels: Labels(&one.key), by: None, compared: 0, left_out: 0, pairs: Vec::new() });
    };
    let (from_ms, to_ms) = columns.range_ms;
    let mut others = columns.shared.api.store.select(&[Matcher::equal(by, value)], from_ms, to_ms)?;
    others.retain(|other| other.series != one.series);
    others.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let left_out = others.len().saturating_sub(CANDIDATES_MAX);
    others.truncate(CANDIDATES_MAX);
    let own = columns.of(one)?;
    let mut pairs = Vec::new();
    for other in &others {
        let column = columns.of(other)?;
        let found = correlate(&own, &column, asked.step_ms, SHIFT_MAX).filter(|found| found.r.abs() >= asked.least);
        if let Some(Correlation { r, lag_ms, points }) = found {
            let name = label(&other.key, NAME_LABEL).unwrap_or("").to_owned();
            let labels = serde_json::json!(Labels(&other.key));
            pairs.push(Pair { name, labels, r, lag_s: lag_ms as f64 / 1000.0, points });
        }
    }
    pairs.sort_by(|a, b| b.r.abs().total_cmp(&a.r.abs()));
    Ok(ShownSeries { labels: Labels(&one.key), by: Some(by), compared: others.len(), left_out, pairs })
}

/// Means a step of the series that were asked for.
struct Columns<'a> {
    shared: &'a Shared,
    cancel: &'a Cancel,
    range_ms: (i64, i64),
    step_ms: i64,
    known: HashMap<SeriesRef, Arc<[f64]>>,
    samples: Samples,
    left: usize,
}

impl Columns<'_> {
    fn of(&mut self, one: &SelectedSeries) -> Result<Arc<[f64]>, ApiError> {
        if let Some(known) = self.known.get(&one.series) {
            return Ok(known.clone());
        }
        check(self.cancel)?;
        let (from_ms, to_ms) = self.range_ms;
        self.shared.api.store.read(one.series, from_ms, to_ms, &mut self.samples)?;
        let Some(left) = self.left.checked_sub(self.samples.times.len()) else {
            let message = format!("more than {SAMPLES_MAX} samples to compare; ask for less time or fewer series");
            return Err(ApiError::unprocessable(message).with("field", "start"));
        };
        self.left = left;
        let is_counter = self.shared.api.board.of(one.series).is_some_and(|known| known.kind == Kind::Counter);
        let column: Arc<[f64]> = column(&self.samples, (from_ms, to_ms), self.step_ms, is_counter).into();
        if self.known.len() < CANDIDATES_MAX {
            self.known.insert(one.series, column.clone());
        }
        Ok(column)
    }
}

/// The mean of each step, `NaN` where there is no sample; of a counter what it gained since the step before.
fn column(samples: &Samples, (from_ms, to_ms): (i64, i64), step_ms: i64, is_counter: bool) -> Vec<f64> {
    let steps = ((to_ms - from_ms) / step_ms + 1).max(0) as usize;
    let mut sums = vec![(0.0, 0u32); steps];
    for (time_ms, value) in samples.times.iter().zip(&samples.values) {
        if let Some(sum) = sums.get_mut(((time_ms - from_ms) / step_ms) as usize) {
            *sum = (sum.0 + value, sum.1 + 1);
        }
    }
    let means: Vec<f64> = sums.into_iter().map(|(sum, count)| sum / f64::from(count)).collect();
    if !is_counter {
        return means;
    }
    let gains = means.windows(2).map(|pair| if pair[1] < pair[0] { f64::NAN } else { pair[1] - pair[0] });
    [f64::NAN].into_iter().chain(gains).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_means_and_gains_and_holes() {
        let samples = Samples { times: vec![0, 30, 100, 250], values: vec![1.0, 3.0, 7.0, 2.0] };
        let bits = |column: Vec<f64>| column.iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(bits(column(&samples, (0, 299), 100, false)), "2 7 2");
        assert_eq!(bits(column(&samples, (0, 399), 100, false)), "2 7 2 NaN");
        assert_eq!(bits(column(&samples, (0, 299), 100, true)), "NaN 5 NaN");
    }
}
