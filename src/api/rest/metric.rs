//! `GET /api/v1/metrics/{name}`: the samples of a name's series with what was expected of them, and their anomalies.
//!
//! Points are judged anew by a model that sees the samples before the range first; anomalies are those on record.
//!
//! Not here: judging (see `replay`), steps (see `points`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::parameters::Parameters;
use super::points::Points;
use super::replay::Replay;
use super::run::run;
use super::selection::{name_of, newest_ms, select};
use super::shapes::{Anomaly, Labels, Point, Season, kind_word};
use crate::anomaly::{AnomalyRecord, Filter};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Serialize;
use std::sync::Arc;

/// The range that is shown unless another one is asked for, up to the newest sample.
const RANGE_MS: i64 = 86_400_000;
/// Points of one answer, all series together.
pub(super) const POINTS_MAX: usize = 300_000;

#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    series: Vec<ShownSeries<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownSeries<'a> {
    labels: Labels<'a>,
    kind: &'static str,
    state: &'static str,
    seasons: Vec<Season>,
    tolerated: Tolerated,
    points: Vec<Point>,
    anomalies: Vec<Anomaly<'a>>,
}

/// How far values may be off before an anomaly is told, as people's feedback has it; `null` where they said nothing.
#[derive(Debug, Serialize)]
struct Tolerated {
    above: Option<f64>,
    below: Option<f64>,
}

/// The range and step of a request.
#[derive(Debug, Clone, Copy)]
struct Asked {
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    step_ms: Option<i64>,
}

impl Asked {
    fn read(parameters: &Parameters) -> Result<Self, ApiError> {
        Ok(Self {
            start_ms: parameters.time_ms("start")?,
            end_ms: parameters.time_ms("end")?,
            step_ms: parameters.duration_ms("step")?,
        })
    }

    /// The range, which ends with the newest sample unless said otherwise.
    fn range_ms(self, newest_ms: i64, points_max: usize) -> Result<(i64, i64), ApiError> {
        let end_ms = self.end_ms.unwrap_or(newest_ms);
        let start_ms = self.start_ms.unwrap_or_else(|| end_ms.saturating_sub(RANGE_MS));
        if end_ms < start_ms {
            return Err(ApiError::field("end", "before start"));
        }
        let steps = self.step_ms.map_or(0, |step_ms| end_ms.saturating_sub(start_ms) / step_ms + 1);
        if steps > points_max as i64 {
            let message = format!("{steps} steps, more than {points_max}; ask for a longer step or less time");
            return Err(ApiError::unprocessable(message).with("field", "step").with("count", steps));
        }
        Ok((start_ms, end_ms))
    }
}

/// Shows the series of a name.
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
        let points_max = shared.api.query.max_points;
        let newest_ms = newest_ms(shared, &found)?.unwrap_or_else(shared.api.now_ms);
        let (start_ms, end_ms) = asked.range_ms(newest_ms, points_max)?;
        let records = shared.api.book.records();
        let filter = Filter { name: Some(&name), began_ms: (i64::MIN, end_ms), ..Filter::default() };
        let alerts = shared.api.alerts.view();
        let known: Vec<&Arc<AnomalyRecord>> = records.select(&filter, |record| record.last_ms >= start_ms).collect();
        let mut replay = Replay::new(shared, cancel, found.len());
        let mut series = Vec::with_capacity(found.len());
        let mut count = 0;
        for one in &found {
            let mut points = Points::new(start_ms, asked.step_ms);
            let most = if asked.step_ms.is_some() { usize::MAX } else { points_max };
            let take = |time_ms, value, verdict: &_| points.take(time_ms, value, verdict);
            let model = replay.series(one, (start_ms, end_ms), most, take)?.model;
            count += points.len();
            if count > POINTS_MAX {
                let message = format!("more than {POINTS_MAX} points in all; ask for fewer series or a longer step");
                return Err(ApiError::unprocessable(message).with("field", "step"));
            }
            let live = shared.api.board.of(one.series);
            let of_series = known.iter().copied().filter(|record| record.key == one.key);
            let anomalies = of_series.map(|record| Anomaly::of(record, &alerts)).collect();
            let tolerance = records.tolerance(&one.key);
            series.push(ShownSeries {
                tolerated: Tolerated { above: tolerance.above, below: tolerance.below },
                labels: Labels(&one.key),
                kind: kind_word(live.map_or_else(|| model.kind(), |live| live.kind)),
                state: live.map_or_else(|| model.stage(), |live| live.stage).as_str(),
                seasons: model.seasons().map(Season::of).collect(),
                points: points.finish(),
                anomalies,
            });
        }
        Text::of(&Shown { name: &name, series })
    })
    .await
}
