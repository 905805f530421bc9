//! What a fresh model says of stored samples, one after the other: the past judged as if it came in now.
//!
//! Before the range that is asked for the model sees up to three weeks of samples, so that it knows days and weeks.
//!
//! Cost: that of the model, 0.9 us a sample in the build that tests use (259 200 samples took 0.24 s of a core), and one
//! series' samples in memory at a time.
//!
//! Not here: what is shown of the verdicts.

use super::Shared;
use super::answer::ApiError;
use super::run::check;
use crate::analysis::{Effort, EnsembleConfig, SeriesModel, Settings, Verdict};
use crate::anomaly::run::{AnomalyRun, RunTracker};
use crate::anomaly::{AnomalyRecord, notice};
use crate::query::Cancel;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::SelectedSeries;
use storage::sample::Samples;
use storage::series::{self, NAME_LABEL};

/// How much before the range a model sees: two whole weeks after the first days of finding its feet.
const WARM_UP_MS: i64 = 21 * 86_400_000;
/// Samples of one call that are judged: at most some 10 s of a core.
pub(super) const SAMPLES_MAX: usize = 10_000_000;
/// Samples between two looks at whether anybody waits still.
const SLICE: usize = 65_536;

/// What is left of what one call may judge, and the memory it reuses.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    shared: &'a Shared,
    cancel: &'a Cancel,
    /// Instead of the server's rule for votes.
    ensemble: Option<EnsembleConfig>,
    /// Instead of the server's budget: anomalies a series and month.
    budget: Option<f64>,
    series_left: usize,
    samples_left: usize,
    samples: Samples,
}

/// A series after its replay.
#[derive(Debug)]
pub(super) struct Replayed {
    /// What was learned.
    pub(super) model: SeriesModel,
    /// Runs of anomalous samples that reach into the range, oldest first.
    pub(super) anomalies: Vec<AnomalyRecord>,
    /// Samples in the range.
    pub(super) samples: usize,
}

impl<'a> Replay<'a> {
    /// For a call about so many series, judged as the server judges.
    pub(super) fn new(shared: &'a Shared, cancel: &'a Cancel, series: usize) -> Self {
        let (ensemble, budget, samples) = (None, None, Samples::default());
        Self { shared, cancel, ensemble, budget, series_left: series, samples_left: SAMPLES_MAX, samples }
    }

    /// The same with a rule of its own for votes.
    pub(super) fn voting(self, ensemble: EnsembleConfig) -> Self {
        Self { ensemble: Some(ensemble), ..self }
    }

    /// The same with a budget of its own, in anomalies a series and month.
    pub(super) fn budgeting(self, anomalies_per_month: f64) -> Self {
        Self { budget: Some(anomalies_per_month), ..self }
    }

    /// Judges the samples of a series; `take` gets those within `from_ms..=to_ms`, of which there may be `points_max`.
    pub(super) fn series(
        &mut self,
        series: &SelectedSeries,
        (from_ms, to_ms): (i64, i64),
        points_max: usize,
        mut take: impl FnMut(i64, f64, &Verdict),
    ) -> Result<Replayed, ApiError> {
        self.shared.api.store.read(series.series, from_ms.saturating_sub(WARM_UP_MS), to_ms, &mut self.samples)?;
        let times = &self.samples.times;
        let first = times.partition_point(|time_ms| *time_ms < from_ms);
        let asked = times.len() - first;
        self.admit(asked, points_max)?;
        // Of what may be judged beside the ranges themselves every series gets the same share.
        let share = (self.samples_left - asked) / self.series_left.max(1);
        let begin = first.saturating_sub(share);
        self.series_left = self.series_left.saturating_sub(1);
        self.samples_left -= times.len() - begin;
        let usual = self.shared.api.settings.of(|name| series::label(&series.key, name));
        let settings = match (self.ensemble, self.budget) {
            (None, None) => usual,
            (ensemble, budget) => Arc::new(Settings {
                ensemble: ensemble.unwrap_or(usual.ensemble),
                anomalies_per_month: budget.unwrap_or(usual.anomalies_per_month),
                ..Settings::clone(&usual)
            }),
        };
        let mut model = SeriesModel::new(None, settings);
        let mut runs = RunTracker::default();
        let mut found = BTreeMap::new();
        let name = series::label(&series.key, NAME_LABEL).unwrap_or("");
        let mut coverage = self.shared.api.alerts.view().coverage(&series.key);
        let mut rested = false;
        for (at, (&time_ms, &value)) in times.iter().zip(&self.samples.values).enumerate().skip(begin) {
            if at % SLICE == 0 {
                check(self.cancel)?;
            }
            let rests = coverage.as_mut().is_some_and(|coverage| coverage.covers(time_ms));
            if std::mem::replace(&mut rested, rests) && !rests {
                found.extend(runs.close(&series.key).map(|run| (run.start_ms, run)));
                model.go_on();
            }
            let verdict = match rests {
                true => model.observe_held(time_ms, value, Effort::All),
                false => model.observe(time_ms, value),
            };
            let told = model.take_notice().and_then(|told| notice::run_of(&told, &series.key, name));
            found.extend(told.map(|run| (run.start_ms, AnomalyRun { is_open: false, ..run })));
            if let Some(run) = runs.observe(&series.key, name, value, &verdict, model.is_run_open()) {
                found.insert(run.start_ms, run);
            }
            if at >= first {
                take(time_ms, value, &verdict);
            }
        }
        found.extend(runs.current(&series.key).map(|run| (run.start_ms, run)));
        let reaching = found.into_values().filter(|run| run.last_ms >= from_ms);
        Ok(Replayed { model, anomalies: reaching.map(AnomalyRecord::of_run).collect(), samples: asked })
    }

    fn admit(&self, asked: usize, points_max: usize) -> Result<(), ApiError> {
        if asked > points_max {
            let message =
                format!("{asked} samples of one series, more than {points_max}; ask for less time or give a step");
            return Err(ApiError::unprocessable(message).with("field", "step").with("count", asked));
        }
        if asked > self.samples_left {
            let message = format!("more than {SAMPLES_MAX} samples to judge; ask for less time or fewer series");
            return Err(ApiError::unprocessable(message).with("field", "start"));
        }
        Ok(())
    }
}
