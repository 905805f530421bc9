//! What a trained model says of the newest values of its expression: when somebody asks, and every so often by itself.
//!
//! Not here: HTTP (see `api::rest`), the clock (see `server`), training on a schedule (see `retrain`).
//!
//! Invariant: a model that cannot be asked, or not be trained again, stays as it is and holds up no other.

use super::gauges::{Judged, PullGauges, short_name};
use super::retrain::again;
use super::shelf::ModelShelf;
use super::source::{Source, SourceError};
use super::trained::{POINTS_MIN, Scored, TrainedModel, TrainingSeries};
use crate::analysis::drift::{Drift, DriftLimit};
use crate::query::{Cancel, RangeTimes};

const DAY_MS: i64 = 86_400_000;
/// Steps before the first value that is judged, so that the longest window is filled.
const WARM_UP_STEPS: i64 = 60;
/// Points a series that are asked for at most.
pub const POINTS_MAX: i64 = 50_000;
/// Values below which a distribution is none: with ten classes a handful of values always looks like another population.
const DRIFT_VALUES_MIN: usize = 200;

/// The word on the newest values of an expression.
#[derive(Debug)]
pub struct Predicted {
    /// Every series with enough points, and what is said of each.
    pub judged: Vec<(TrainingSeries, Vec<Scored>)>,
    /// Series with fewer than [`POINTS_MIN`] points.
    pub skipped: usize,
    /// How far the values are from those of the training.
    pub drift: Option<Drift>,
}

/// Judges the values of an expression from one time to another; nothing where it has none. Blocks.
///
/// # Errors
/// When the source gives no answer.
pub fn predict(
    model: &TrainedModel,
    source: &Source,
    promql: &str,
    (from_ms, now_ms): (i64, i64),
    cancel: &Cancel,
) -> Result<Option<Predicted>, SourceError> {
    let step_ms = model.about.step_ms;
    let times = RangeTimes { start_ms: from_ms - WARM_UP_STEPS * step_ms, end_ms: now_ms, step_ms };
    let mut source = source.clone();
    source.limits.max_points = source.limits.max_points.max(POINTS_MAX as usize + 1);
    let found = source.range(promql, times, cancel)?;
    if found.is_empty() {
        return Ok(None);
    }
    let all = found.len();
    let judge = |series: TrainingSeries| {
        let scored = model.judge(&series, from_ms);
        (series, scored)
    };
    let mut judged: Vec<(TrainingSeries, Vec<Scored>)> = found.into_iter().map(judge).collect();
    judged.retain(|(_, scored)| scored.len() >= POINTS_MIN);
    let values: Vec<f64> = judged.iter().flat_map(|(_, scored)| scored.iter().map(|one| one.value)).collect();
    Ok(Some(Predicted { skipped: all - judged.len(), drift: model.drift(&values), judged }))
}

impl Predicted {
    /// Shows the newest word on each series, and the drift, to whoever scrapes.
    pub fn tell(&self, gauges: &PullGauges, promql: &str, model_name: &str) {
        let label = |series: &TrainingSeries, name: &str| {
            series.labels.get(name).cloned().unwrap_or_else(|| "unknown".to_owned())
        };
        for (series, scored) in &self.judged {
            if let Some(newest) = scored.last() {
                gauges.judge(Judged {
                    metric_name: short_name(promql),
                    instance: label(series, "instance"),
                    job: label(series, "job"),
                    score: newest.score,
                    is_anomaly: newest.is_anomaly,
                });
            }
        }
        if let Some(drift) = self.drift {
            gauges.drifted(model_name, drift);
        }
    }
}

/// What came of asking every model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Models that were asked.
    pub asked: usize,
    /// Those trained again because their values had drifted.
    pub retrained: Vec<String>,
    /// Why others could not be asked or trained, each with its name.
    pub failed: Vec<String>,
}

/// Asks every model about the day before now, and trains those again whose values are others by now. Blocks.
pub fn sweep(shelf: &ModelShelf, source: &Source, gauges: &PullGauges, limit: DriftLimit, now_ms: i64) -> Swept {
    let mut swept = Swept::default();
    let models = match shelf.all() {
        Ok((models, unreadable)) => {
            swept.failed = unreadable;
            models
        }
        Err(error) => return Swept { failed: vec![error.to_string()], ..swept },
    };
    for model in models {
        let about = &model.about;
        let from_ms = now_ms - DAY_MS.min(POINTS_MAX * about.step_ms);
        let predicted = match predict(&model, source, &about.promql, (from_ms, now_ms), &Cancel::default()) {
            Ok(Some(predicted)) => predicted,
            // An expression without values is nothing to judge.
            Ok(None) => continue,
            Err(error) => {
                swept.failed.push(format!("{}: {error}", about.name));
                continue;
            }
        };
        swept.asked += 1;
        predicted.tell(gauges, &about.promql, &about.name);
        let values: usize = predicted.judged.iter().map(|(_, scored)| scored.len()).sum();
        let is_due = now_ms - about.trained_at_ms >= DAY_MS && values >= DRIFT_VALUES_MIN;
        if is_due && predicted.drift.is_some_and(|drift| limit.is_passed(drift)) {
            match again(shelf, source, about, now_ms) {
                Ok(()) => {
                    gauges.train(short_name(&about.promql), now_ms as f64 / 1000.0);
                    swept.retrained.push(about.name.clone());
                }
                Err(what) => swept.failed.push(format!("{}: {what}", about.name)),
            }
        }
    }
    gauges.swept(swept.failed.len(), swept.retrained.len());
    swept
}
