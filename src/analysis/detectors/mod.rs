//! Detectors that users ask for by name: each judges one series, or a group of series, by one idea and with the defaults
//! that its documents give it.
//!
//! ```
//! use infrawatch::analysis::detectors::{self, Options, Samples};
//!
//! let times_ms: Vec<i64> = (0..200).map(|minute| minute * 60_000).collect();
//! let mut values: Vec<f64> = (0..200).map(|minute| 100.0 + f64::from(minute * 7 % 11)).collect();
//! values[150] = 900.0;
//!
//! let mut detector = detectors::find("mad")?.of_whole_series(&Options::default())?;
//! let results = detectors::judge(detector.as_mut(), Samples::new(&times_ms, &values));
//! let flagged: Vec<usize> = (0..200).filter(|at| results[*at].is_anomaly).collect();
//! assert_eq!(flagged, [150]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Those of a whole series look at all of it before they judge the first sample; causal ones judge each sample by those
//! before it and can be stopped and gone on with ([`Detector::state`]). Group detectors (`peers`) compare series.
//!
//! Not here: the live ensemble, which calibrates itself and needs no thresholds (see `detect`, `ensemble`, `judge`).
//!
//! Invariants: every number is finite; a deviation that does not matter ([`Options::deviation_min`]) is never flagged;
//! a change of unit changes no flag, except of limits that are given in the unit; what is no number, and what is not
//! later than the sample before, is passed over.

#[cfg(feature = "ml")]
mod autoencoder;
mod change_point;
mod cusum;
mod drop_to_zero;
mod dynamic_threshold;
mod ema;
mod flat_line;
mod gesd;
mod iqr;
mod isolation_forest;
mod late;
mod mad;
mod pattern;
mod peers;
mod registry;
mod rolling_zscore;
mod seasonal;
mod silence;
mod slow_drift;
mod static_rules;
mod stl_residual;
mod streaming_zscore;
mod vote;
mod zscore;

#[cfg(feature = "ml")]
pub use autoencoder::{DenseAutoencoder, LstmAutoencoder};
pub use change_point::ChangePoint;
pub use cusum::Cusum;
pub use drop_to_zero::DropToZero;
pub use dynamic_threshold::{Cell, CellSource, DynamicThresholds, Evaluation};
pub use ema::{EmaDetector, EmaResult};
pub use flat_line::FlatLine;
pub use gesd::{Gesd, GesdStep};
pub use iqr::Iqr;
pub use isolation_forest::{IsolationForest, IsolationForestDetector, judge_with_features};
pub use late::Late;
pub use mad::Mad;
pub use pattern::PatternDetector;
pub use peers::{GroupDetector, MEMBERS_MAX as GROUP_MAX, MEMBERS_MIN as GROUP_MIN, PeerDbscan, PeerMad};
pub use registry::{ALL, Entry, NotPossible, Options, UnknownDetector, find};
pub use rolling_zscore::RollingZScore;
pub use seasonal::{PeriodType, SeasonalDetector, SeasonalResult};
pub use silence::Silence;
pub use slow_drift::SlowDrift;
pub use static_rules::StaticRules;
pub use stl_residual::StlResidual;
pub use streaming_zscore::{StreamingZScore, ZScoreResult};
pub use vote::{Combined, combine, documented_score};
pub use zscore::{ZScore, ZScoreModel};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Greater values are judged no more than NaN is: no metric means them, and their squares would be infinite.
const MAGNITUDE_MAX: f64 = 1e30;

/// How much more unusual than its limit a sample can be said to be.
const SHARE_MAX: f64 = 1e6;

/// Samples of one series: a time in milliseconds since 1970 UTC for each value.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// When.
    pub times_ms: &'a [i64],
    /// What.
    pub values: &'a [f64],
}

impl<'a> Samples<'a> {
    /// Of times and values that belong together; what has no partner is left out.
    pub fn new(times_ms: &'a [i64], values: &'a [f64]) -> Self {
        let length = times_ms.len().min(values.len());
        Self { times_ms: &times_ms[..length], values: &values[..length] }
    }

    /// Time and value of each.
    pub fn iter(self) -> impl Iterator<Item = (i64, f64)> + Clone + 'a {
        self.times_ms.iter().copied().zip(self.values.iter().copied())
    }
}

/// What a detector says of one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judgement {
    /// Its own measure, higher is more unusual: standard deviations, interquartile ranges, steps of silence.
    pub score: f64,
    /// The measure over its limit: from 1 on the sample is outside of what the detector holds for normal.
    pub share: f64,
    /// Whether it is outside, and by so much that it matters.
    pub is_anomaly: bool,
    /// Whether anything could be said.
    pub is_judged: bool,
    /// What was expected, if that is a value.
    pub expected: Option<f64>,
    /// Least value that would have been normal.
    pub lower: Option<f64>,
    /// Greatest value that would have been normal.
    pub upper: Option<f64>,
}

impl Judgement {
    /// Nothing can be said.
    pub const ABSTAINS: Self =
        Self { score: 0.0, share: 0.0, is_anomaly: false, is_judged: false, expected: None, lower: None, upper: None };

    /// Of a value against what was expected and the edges of what is normal.
    pub(super) fn of_band(value: f64, score: f64, [expected, lower, upper]: [f64; 3], deviation_min: f64) -> Self {
        let reach = if value < expected { expected - lower } else { upper - expected };
        let deviation = (value - expected).abs();
        let share = match deviation {
            0.0 => 0.0,
            deviation if reach > 0.0 => (deviation / reach).min(SHARE_MAX),
            _ => SHARE_MAX,
        };
        let is_anomaly = (value < lower || value > upper) && deviation >= deviation_min;
        let share = if is_anomaly { share.max(1.0) } else { share.min(1.0 - f64::EPSILON) };
        let is_judged = true;
        Self { score, share, is_anomaly, is_judged, expected: Some(expected), lower: Some(lower), upper: Some(upper) }
    }

    /// Of a measure against its limit, where no value was expected.
    pub(super) fn of_limit(score: f64, limit: f64) -> Self {
        let share = (score / limit).min(SHARE_MAX);
        Self { score, share, is_anomaly: share >= 1.0, is_judged: true, ..Self::ABSTAINS }
    }

    /// The measure on the scale of all scores, 0 to 1: 0.6 where the limit is, towards 1 beyond.
    pub fn normalised(&self) -> f64 {
        super::ensemble::score(self.share, 1.0)
    }
}

/// What a detector says of a sample, with the sample: the form in which results are handed on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AnomalyResult {
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// As it was given.
    pub value: f64,
    /// Whether it is anomalous.
    pub is_anomaly: bool,
    /// The detector's own measure, higher is more unusual.
    pub score: f64,
    /// Which detector.
    pub method: &'static str,
    /// Least value that would have been normal, where that is a value.
    pub lower_bound: Option<f64>,
    /// Greatest value that would have been normal.
    pub upper_bound: Option<f64>,
    /// All that was said.
    #[serde(skip)]
    pub judgement: Judgement,
}

impl AnomalyResult {
    /// Of a judgement on a sample.
    pub fn of(timestamp: i64, value: f64, method: &'static str, judgement: Judgement) -> Self {
        let Judgement { score, is_anomaly, lower: lower_bound, upper: upper_bound, .. } = judgement;
        Self { timestamp, value, is_anomaly, score, method, lower_bound, upper_bound, judgement }
    }
}

/// Judges the samples of one series.
pub trait Detector: Send {
    /// The name in results.
    fn method(&self) -> &'static str;

    /// One judgement a sample, in their order. Values are finite; times rise, unless [`takes_late`](Self::takes_late)
    /// says that they need not. A causal detector goes on from where it stood.
    fn detect(&mut self, samples: Samples<'_>) -> Vec<Judgement>;

    /// Whether samples that are not later than the one before are its business.
    fn takes_late(&self) -> bool {
        false
    }

    /// What a causal detector remembers; `None` of one that looks at whole series.
    fn state(&self) -> Option<Vec<u8>> {
        None
    }

    /// Goes on from a state that a detector of the same name and settings gave; false if it is none.
    fn restore(&mut self, _state: &[u8]) -> bool {
        false
    }
}

/// A detector that judges each sample by those before it.
pub(crate) trait Online: Send + Serialize + DeserializeOwned {
    /// The name in results.
    const METHOD: &'static str;
    /// Whether samples that are not later than the one before are its business.
    const TAKES_LATE: bool = false;
    /// Judges a sample, then learns it.
    fn judge(&mut self, time_ms: i64, value: f64) -> Judgement;
    /// Goes on from what was written down; what is not written down stays as it is.
    fn adopt(&mut self, restored: Self) {
        *self = restored;
    }
}

/// An [`Online`] detector as a [`Detector`].
#[derive(Debug)]
struct Causal<D>(D);

impl<D: Online> Detector for Causal<D> {
    fn method(&self) -> &'static str {
        D::METHOD
    }

    fn detect(&mut self, samples: Samples<'_>) -> Vec<Judgement> {
        samples.iter().map(|(time_ms, value)| self.0.judge(time_ms, value)).collect()
    }

    fn takes_late(&self) -> bool {
        D::TAKES_LATE
    }

    fn state(&self) -> Option<Vec<u8>> {
        postcard::to_allocvec(&self.0).ok()
    }

    fn restore(&mut self, state: &[u8]) -> bool {
        let restored = postcard::from_bytes(state).map(|restored| self.0.adopt(restored));
        restored.is_ok()
    }
}

/// Which samples a detector is shown.
fn usable(samples: Samples<'_>, takes_late: bool) -> Vec<bool> {
    let mut newest_ms = None;
    let is_usable = |(time_ms, value): (i64, f64)| {
        let is_late = newest_ms.is_some_and(|newest_ms| time_ms <= newest_ms);
        let is_usable = value.abs() <= MAGNITUDE_MAX && (takes_late || !is_late);
        if is_usable && !is_late {
            newest_ms = Some(time_ms);
        }
        is_usable
    };
    samples.iter().map(is_usable).collect()
}

fn kept(samples: Samples<'_>, usable: &[bool]) -> (Vec<i64>, Vec<f64>) {
    samples.iter().zip(usable).filter(|(_, usable)| **usable).map(|(sample, _)| sample).unzip()
}

/// Judgements of the samples that were shown, and silence on the others.
fn results(samples: Samples<'_>, usable: &[bool], method: &'static str, judged: Vec<Judgement>) -> Vec<AnomalyResult> {
    let mut judged = judged.into_iter();
    let result = |((time_ms, value), usable): ((i64, f64), &bool)| {
        let judgement = usable.then(|| judged.next()).flatten().unwrap_or(Judgement::ABSTAINS);
        AnomalyResult::of(time_ms, value, method, judgement)
    };
    samples.iter().zip(usable).map(result).collect()
}

/// Times a detector failed since the process began.
static FAILURES: AtomicU64 = AtomicU64::new(0);

/// How often a detector failed while it judged, since the process began; each time it abstained instead.
pub fn failures() -> u64 {
    FAILURES.load(Ordering::Relaxed)
}

/// A detector has failed.
pub(crate) fn count_failure() {
    FAILURES.fetch_add(1, Ordering::Relaxed);
}

/// What a detector says, or nothing if it panics, which is counted: the others' word counts then.
fn guarded<T>(detect: impl FnOnce() -> Vec<T>) -> Vec<T> {
    catch_unwind(AssertUnwindSafe(detect)).unwrap_or_else(|_| {
        count_failure();
        Vec::new()
    })
}

/// One result a sample, in the order of the samples. A detector that panics abstains on all of them, and is not to be
/// asked again; that is counted ([`failures`]).
pub fn judge(detector: &mut dyn Detector, samples: Samples<'_>) -> Vec<AnomalyResult> {
    let usable = usable(samples, detector.takes_late());
    let (times_ms, values) = kept(samples, &usable);
    let judged = guarded(|| detector.detect(Samples::new(&times_ms, &values)));
    results(samples, &usable, detector.method(), judged)
}

/// One result a sample of each series of a group, in their order.
pub fn judge_group(detector: &mut dyn GroupDetector, group: &[Samples<'_>]) -> Vec<Vec<AnomalyResult>> {
    let usable: Vec<Vec<bool>> = group.iter().map(|samples| usable(*samples, false)).collect();
    let kept: Vec<(Vec<i64>, Vec<f64>)> =
        group.iter().zip(&usable).map(|(samples, usable)| kept(*samples, usable)).collect();
    let shown: Vec<Samples<'_>> = kept.iter().map(|(times_ms, values)| Samples::new(times_ms, values)).collect();
    let mut judged = guarded(|| detector.detect(&shown));
    judged.resize_with(group.len(), Vec::new);
    let method = detector.method();
    let of_series = |((samples, usable), judged): ((&Samples<'_>, &Vec<bool>), Vec<Judgement>)| {
        results(*samples, usable, method, judged)
    };
    group.iter().zip(&usable).zip(judged).map(of_series).collect()
}

/// How far a value must be off to matter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Floor {
    absolute: f64,
    share: f64,
    magnitude: f64,
}

impl Floor {
    pub(super) fn new(options: &Options) -> Self {
        Self { absolute: options.deviation_min, share: options.deviation_share_min, magnitude: 0.0 }
    }

    /// Of a whole series.
    pub(super) fn of_all(self, values: &[f64]) -> f64 {
        let magnitude = values.iter().fold(0.0f64, |greatest, value| greatest.max(value.abs()));
        self.absolute.max(self.share * magnitude)
    }

    /// Of the next sample of a series, by the greatest magnitude so far.
    pub(super) fn next(&mut self, value: f64) -> f64 {
        self.magnitude = self.magnitude.max(value.abs());
        self.absolute.max(self.share * self.magnitude)
    }
}

/// Mean and population standard deviation; zero and zero of nothing.
pub(super) fn mean_and_deviation(values: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::EnsembleConfig;
    use super::*;

    struct Broken;

    impl Detector for Broken {
        fn method(&self) -> &'static str {
            "broken"
        }

        fn detect(&mut self, _: Samples<'_>) -> Vec<Judgement> {
            panic!("it is broken")
        }
    }

    /// ENS-017.
    #[test]
    fn a_detector_that_panics_abstains_is_counted_and_the_others_judge() {
        let times_ms: Vec<i64> = (0..100).collect();
        let values: Vec<f64> = (0..100).map(|i| if i == 60 { 900.0 } else { 100.0 + f64::from(i * 7 % 11) }).collect();
        let samples = Samples::new(&times_ms, &values);
        let before = failures();
        let broken = judge(&mut Broken, samples);
        assert!(failures() > before && broken.len() == 100 && broken.iter().all(|one| !one.judgement.is_judged));
        let mad = find("mad").unwrap().of_whole_series(&Options::default());
        let results = judge(mad.unwrap().as_mut(), samples);
        let word = |at: usize| combine(&EnsembleConfig::default(), &[("broken", broken[at]), ("mad", results[at])]);
        assert_eq!(((0..100).filter(|at| word(*at).is_anomaly).collect::<Vec<_>>(), word(60).judged), (vec![60], 1));
    }
}
#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod golden_tests;
