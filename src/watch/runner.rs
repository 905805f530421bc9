//! Evaluates every watched expression once a tick and shows its newest values to its detectors.
//!
//! Each series of an expression has detectors of its own. Before the first tick they see what was before, so that they know
//! what is usual at once.
//!
//! Not here: when a tick is (see `server`).
//!
//! Invariants: an expression that fails is counted and holds up no other; of an expression at most [`SERIES_MAX`] series
//! are judged.

use super::board::WatchBoard;
use super::file::{ENSEMBLE, WatchedMetric};
use crate::analysis::EnsembleConfig;
use crate::analysis::detectors::{AnomalyResult, Detector, Samples, combine, judge};
use crate::clock;
use crate::pull::{Source, SourceError, TrainingSeries};
use crate::query::{Cancel, RangeTimes};
use std::collections::BTreeMap;
use std::sync::Arc;

const SERIES_MAX: usize = 100;
/// Evaluations that detectors see at most before the first tick: a week of them, one every 30 s.
const PAST_MAX: i64 = 20_160;
/// Series that had no value for so long are forgotten.
const FORGET_MS: i64 = 86_400_000;
/// What a detector's own measure is divided by to be a score: that of the documents.
const MEASURE_MAX: f64 = 10.0;
/// Scores above this are high, as the documents have it.
const HIGH: f64 = 0.8;

/// The word on one value.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Word {
    score: f64,
    is_anomaly: bool,
}

/// The detectors of one series.
struct Judges {
    detectors: Vec<(&'static str, Box<dyn Detector>)>,
    is_ensemble: bool,
    /// Of the newest value they saw.
    last_ms: i64,
}

impl Judges {
    fn new(metric: &WatchedMetric) -> Self {
        let made = metric.detectors.iter().filter_map(|one| {
            // The file was refused if one of them could not judge values as they come.
            let entry = crate::analysis::detectors::find(one.name).ok()?;
            Some((one.name, entry.causal(&one.options).ok()?))
        });
        Self { detectors: made.collect(), is_ensemble: metric.detector == ENSEMBLE, last_ms: i64::MIN }
    }

    /// The words on values that are newer than those before.
    fn observe(&mut self, series: &TrainingSeries) -> Vec<Word> {
        let first = series.times_ms.partition_point(|time_ms| *time_ms <= self.last_ms);
        let samples = Samples::new(&series.times_ms[first..], &series.values[first..]);
        self.last_ms = series.times_ms.last().copied().unwrap_or(self.last_ms).max(self.last_ms);
        let said: Vec<(&str, Vec<AnomalyResult>)> =
            self.detectors.iter_mut().map(|(name, detector)| (*name, judge(detector.as_mut(), samples))).collect();
        let of = |at: usize| -> Word {
            let here: Vec<(&str, AnomalyResult)> = said.iter().map(|(name, results)| (*name, results[at])).collect();
            match here.as_slice() {
                [(_, one)] if !self.is_ensemble => {
                    Word { score: (one.score / MEASURE_MAX).clamp(0.0, 1.0), is_anomaly: one.is_anomaly }
                }
                all => {
                    let combined = combine(&EnsembleConfig::default(), all);
                    Word { score: combined.score, is_anomaly: combined.is_anomaly }
                }
            }
        };
        (0..samples.times_ms.len()).map(of).collect()
    }
}

/// Everything that is watched.
pub struct Runner {
    source: Source,
    metrics: Vec<WatchedMetric>,
    /// By expression, then by labels.
    judges: BTreeMap<String, BTreeMap<BTreeMap<String, String>, Judges>>,
    board: Arc<WatchBoard>,
    /// Why an expression failed last, for as long as it does.
    failing: BTreeMap<String, String>,
}

impl Runner {
    /// Watches these.
    pub fn new(source: Source, metrics: Vec<WatchedMetric>, board: Arc<WatchBoard>) -> Self {
        Self { source, metrics, judges: BTreeMap::new(), board, failing: BTreeMap::new() }
    }

    /// Watches others from now on; those that stay as they are go on.
    pub fn replace(&mut self, metrics: Vec<WatchedMetric>) {
        let stays = |name: &str| {
            let of = |list: &[WatchedMetric]| list.iter().find(|one| one.name == name).cloned();
            of(&metrics).is_some_and(|new| of(&self.metrics).is_some_and(|old| old == new))
        };
        self.judges.retain(|name, _| stays(name));
        let is_kept = |name: &str| metrics.iter().any(|metric| metric.name == name);
        self.board.keep(is_kept);
        self.failing.retain(|name, _| is_kept(name));
        self.metrics = metrics;
    }

    /// Evaluates and judges everything once, as is done every `step_ms`; whoever is new sees `past_ms` before. Blocks.
    pub fn tick(&mut self, now_ms: i64, step_ms: i64, past_ms: i64) {
        let step_ms = step_ms.max(1);
        let past_ms = past_ms.min(PAST_MAX * step_ms);
        for metric in &self.metrics {
            let began = clock::monotonic();
            let judges = self.judges.entry(metric.name.clone()).or_default();
            let mut found = evaluate(&self.source, &metric.query, now_ms, now_ms, step_ms);
            let is_new = |series: &TrainingSeries| !judges.contains_key(&series.labels);
            if found.iter().flatten().any(is_new) {
                // Whoever is new shall know what was before.
                found = evaluate(&self.source, &metric.query, now_ms - past_ms, now_ms, step_ms);
            }
            let mut newest: Option<f64> = None;
            let (mut high, mut medium) = (0, 0);
            for series in found.iter().flatten().take(SERIES_MAX) {
                let judge = judges.entry(series.labels.clone()).or_insert_with(|| Judges::new(metric));
                let words = judge.observe(series);
                // What was before is learned, and no news.
                let Some(word) =
                    words.last().filter(|_| series.times_ms.last().is_some_and(|last| now_ms - last < step_ms))
                else {
                    continue;
                };
                newest = Some(newest.map_or(word.score, |greatest| greatest.max(word.score)));
                if word.is_anomaly {
                    if word.score > HIGH { high += 1 } else { medium += 1 }
                }
            }
            judges.retain(|_, judge| now_ms - judge.last_ms < FORGET_MS);
            let latency_s = began.elapsed().as_secs_f64();
            self.board.change(&metric.name, |watched| {
                watched.detector.clone_from(&metric.detector);
                watched.evaluations += 1;
                watched.latency_s = latency_s;
                watched.errors += u64::from(found.is_err());
                watched.score = newest.or(watched.score);
                watched.high += high;
                watched.medium += medium;
            });
            note(&mut self.failing, &metric.name, found.as_ref().err());
        }
    }
}

/// Says that an expression fails, once for each reason, and that it no longer does.
fn note(failing: &mut BTreeMap<String, String>, name: &str, error: Option<&SourceError>) {
    let Some(error) = error.map(ToString::to_string) else {
        if failing.remove(name).is_some() {
            tracing::info!(name, "a watched expression can be evaluated again");
        }
        return;
    };
    if failing.get(name) != Some(&error) {
        tracing::error!(name, error, "a watched expression failed; the others go on");
        failing.insert(name.to_owned(), error);
    }
}

/// The values of an expression, one a step.
fn evaluate(
    source: &Source,
    query: &str,
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
) -> Result<Vec<TrainingSeries>, SourceError> {
    let mut source = source.clone();
    let points = ((end_ms - start_ms) / step_ms) as usize + 2;
    source.limits.max_points = source.limits.max_points.max(points);
    source.range(query, RangeTimes { start_ms, end_ms, step_ms }, &Cancel::default())
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("metrics", &self.metrics.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::parse;
    use super::*;

    fn judges(detector: &str) -> Judges {
        let text = format!("[[metric]]\nname = \"a\"\nquery = \"up\"\ndetector = \"{detector}\"\n");
        Judges::new(&parse(&text).unwrap()[0])
    }

    fn series(from: i64, values: &[f64]) -> TrainingSeries {
        let times_ms = (from..).map(|minute| minute * 60_000).take(values.len()).collect();
        TrainingSeries { labels: BTreeMap::new(), times_ms, values: values.to_vec() }
    }

    #[test]
    fn a_measure_of_nine_is_a_score_of_nine_tenths() {
        let mut judges = judges("zscore");
        let usual: Vec<f64> = (0..100).map(|i| if i % 2 == 0 { 9.0 } else { 11.0 }).collect();
        judges.observe(&series(0, &usual));
        let word = judges.observe(&series(100, &[19.0]))[0];
        assert!(word.is_anomaly && (word.score - 0.9).abs() < 0.02 && word.score > HIGH, "{word:?}");
    }

    #[test]
    fn values_are_seen_once_and_every_kind_of_detector_finds_a_spike() {
        for detector in ["zscore", "ema", "ensemble"] {
            let mut judges = judges(detector);
            let mut values: Vec<f64> = (0..300).map(|i| 50.0 + f64::from(i * 7919 % 101) / 50.0).collect();
            let all = series(0, &values);
            assert_eq!((judges.observe(&all).len(), judges.observe(&all).len()), (300, 0));
            values.push(500.0);
            let words = judges.observe(&series(0, &values));
            assert!(words.len() == 1 && words[0].is_anomaly && words[0].score > 0.6, "{detector}: {words:?}");
        }
    }
}
