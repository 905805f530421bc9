//! Shows the new samples of every chosen series to its windows, once a tick.
//!
//! Not here: when a tick is (see `server`), the word on a window (see `series`).
//!
//! Invariants: at most [`Settings::series_max`] series are judged, and the others are counted; what was there before a
//! series was chosen is learned and raises nothing; a series that is gone takes its run with it.

use super::board::WindowedBoard;
use super::model::WindowModel;
use super::series::{Normalization, Told, WindowedSeries};
use crate::analysis::drift::DriftLimit;
use crate::analysis::prepare::{FeatureNormalizer, WindowConfig};
use crate::anomaly::run::AnomalyRun;
use crate::clock;
use crossbeam_channel::Sender;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use storage::label_index::Matcher;
use storage::sample::Samples;
use storage::series::{NAME_LABEL, SeriesRef, label};
use storage::{SelectedSeries, Store, StoreError};

/// How often series are looked for, in milliseconds.
const SELECT_MS: i64 = 10_000;
/// The least past that is learned, in windows, however few are calibrated on.
const PAST_WINDOWS_MIN: usize = 120;

/// How windows are judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Their length, and from one to the next.
    pub window: WindowConfig,
    /// By what values are made comparable.
    pub normalization: Normalization,
    /// Points of a family after which its bounds are those of the last ones.
    pub update_points: u32,
    /// Scores, and windows, that the limit is made of.
    pub calibration_window: usize,
    /// Standard deviations from the mean score to the limit.
    pub std_multiplier: f64,
    /// Multiples of the limit from which an anomaly is worth a warning, and is critical.
    pub warning_ratio: f64,
    /// See above.
    pub critical_ratio: f64,
    /// When the past of a series is forgotten.
    pub drift: DriftLimit,
    /// Most series.
    pub series_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: WindowConfig::default(),
            normalization: Normalization::PerMetricFamily,
            update_points: 1000,
            calibration_window: 500,
            std_multiplier: 3.0,
            warning_ratio: 1.5,
            critical_ratio: 2.5,
            drift: DriftLimit::Psi(0.2),
            series_max: 1000,
        }
    }
}

/// Who judges windows.
#[derive(Debug)]
pub struct Judge {
    /// The user's own model; statistics judge where there is none.
    pub model: Option<WindowModel>,
    /// Whether statistics judge windows that the model cannot judge.
    pub falls_back: bool,
}

/// Everything that is judged so.
#[derive(Debug)]
pub struct Runner {
    store: Store,
    matchers: Vec<Matcher>,
    settings: Settings,
    judge: Judge,
    runs: Sender<AnomalyRun>,
    board: Arc<WindowedBoard>,
    chosen: Vec<SelectedSeries>,
    select_at_ms: i64,
    series: BTreeMap<SeriesRef, WindowedSeries>,
    scales: FeatureNormalizer,
    buffer: Samples,
}

impl Runner {
    /// Judges the series that satisfy all matchers; runs are told to `runs`, which somebody has to take.
    pub fn new(
        store: Store,
        matchers: Vec<Matcher>,
        (settings, judge): (Settings, Judge),
        runs: Sender<AnomalyRun>,
        board: Arc<WindowedBoard>,
    ) -> Self {
        Self {
            store,
            matchers,
            settings,
            judge,
            runs,
            board,
            chosen: Vec::new(),
            select_at_ms: i64::MIN,
            series: BTreeMap::new(),
            scales: FeatureNormalizer::new(settings.update_points),
            buffer: Samples::default(),
        }
    }

    /// Judges what is new. Blocks.
    pub fn tick(&mut self, now_ms: i64) {
        let began = clock::monotonic();
        let done = self.look(now_ms);
        let late = self.series.values().map(WindowedSeries::late).sum();
        let limit_max = self.series.values().filter_map(WindowedSeries::limit).fold(0.0, f64::max);
        let judged = self.series.len() as u64;
        self.board.change(|figures| {
            figures.series = judged;
            figures.late = late;
            figures.limit_max = limit_max;
            figures.tick_s = began.elapsed().as_secs_f64();
            match &done {
                Ok(told) => {
                    figures.windows += told.windows;
                    figures.anomalous += told.anomalous;
                    figures.drifts += told.drifts;
                    figures.model_errors += told.model_errors;
                }
                Err(_) => figures.errors += 1,
            }
        });
        match done {
            // A book that is closed hears nothing any more: the server stops.
            Ok(told) => told.runs.into_iter().for_each(|run| drop(self.runs.send(run))),
            Err(error) => tracing::warn!(%error, "windows could not be judged"),
        }
    }

    fn look(&mut self, now_ms: i64) -> Result<Told, StoreError> {
        if now_ms >= self.select_at_ms {
            self.select()?;
            self.select_at_ms = now_ms + SELECT_MS;
        }
        let mut told = Told::default();
        for one in &self.chosen {
            let newest_ms = self.store.newest(one.series)?.map_or(i64::MIN, |(time_ms, _)| time_ms);
            let is_new = !self.series.contains_key(&one.series);
            let name = label(&one.key, NAME_LABEL).unwrap_or("");
            let series = self
                .series
                .entry(one.series)
                .or_insert_with(|| WindowedSeries::new(one.key.clone(), name.to_owned(), &self.settings));
            if newest_ms <= series.last_ms {
                continue;
            }
            let from_ms = match is_new {
                true => newest_ms.saturating_sub(past_ms(&self.settings)),
                false => series.last_ms + 1,
            };
            self.store.read(one.series, from_ms, i64::MAX, &mut self.buffer)?;
            let samples = self.buffer.times.iter().copied().zip(self.buffer.values.iter().copied());
            // What was there before the series was chosen is no news.
            let by = (&self.settings, &self.judge);
            samples.for_each(|sample| series.observe(sample, &mut self.scales, by, !is_new, &mut told));
        }
        Ok(told)
    }

    fn select(&mut self) -> Result<(), StoreError> {
        let mut found = self.store.find(&self.matchers, i64::MIN, i64::MAX, &|| false)?;
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let left_out = found.len().saturating_sub(self.settings.series_max);
        found.truncate(self.settings.series_max);
        let kept: BTreeSet<SeriesRef> = found.iter().map(|one| one.series).collect();
        let gone: Vec<SeriesRef> = self.series.keys().filter(|series| !kept.contains(series)).copied().collect();
        for series in gone {
            let run = self.series.remove(&series).and_then(WindowedSeries::end);
            run.into_iter().for_each(|run| drop(self.runs.send(run)));
        }
        let families: BTreeSet<&str> = found.iter().filter_map(|one| label(&one.key, NAME_LABEL)).collect();
        self.scales.retain(|family| families.contains(family));
        self.board.change(|figures| figures.left_out = left_out as u64);
        self.chosen = found;
        Ok(())
    }
}

/// How far back a series is learned from when it is chosen, in milliseconds.
fn past_ms(settings: &Settings) -> i64 {
    let windows = settings.calibration_window.max(PAST_WINDOWS_MIN) as i64;
    windows.saturating_mul(settings.window.step_ms).saturating_add(settings.window.window_size_ms)
}
