//! How good flags and scores are beside labels: precision, recall, and the threshold that serves a wanted precision; and
//! a threshold that follows scores by itself.
//!
//! Not here: the calibration of the live ensemble (see `calibrate`), events that last (see the notes on measuring in
//! `docs/detection.md`).
//!
//! Invariant: a ratio without a denominator is 0.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Flags beside labels, sample by sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Flagged and anomalous.
    pub true_positives: u64,
    /// Flagged and normal.
    pub false_positives: u64,
    /// Not flagged and anomalous.
    pub false_negatives: u64,
    /// Not flagged and normal.
    pub true_negatives: u64,
}

/// What follows from the counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Performance {
    /// Share of the flagged that are anomalous.
    pub precision: f64,
    /// Share of the anomalous that are flagged.
    pub recall: f64,
    /// Harmonic mean of both.
    pub f1: f64,
    /// Share of samples whose flag is right.
    pub accuracy: f64,
    /// Flagged and anomalous.
    pub true_positives: u64,
    /// Flagged and normal.
    pub false_positives: u64,
    /// Not flagged and anomalous.
    pub false_negatives: u64,
    /// Not flagged and normal.
    pub true_negatives: u64,
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl Counts {
    /// Of pairs of flag and label.
    pub fn of(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let mut counts = Self::default();
        pairs.into_iter().for_each(|(flag, label)| counts.add(flag, label));
        counts
    }

    /// Takes a sample.
    pub fn add(&mut self, flag: bool, label: bool) {
        let count = match (flag, label) {
            (true, true) => &mut self.true_positives,
            (true, false) => &mut self.false_positives,
            (false, true) => &mut self.false_negatives,
            (false, false) => &mut self.true_negatives,
        };
        *count += 1;
    }

    /// tp / (tp + fp).
    pub fn precision(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_positives)
    }

    /// tp / (tp + fn).
    pub fn recall(&self) -> f64 {
        ratio(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(&self) -> f64 {
        ratio(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)
    }

    /// fp / (fp + tn).
    pub fn false_positive_rate(&self) -> f64 {
        ratio(self.false_positives, self.false_positives + self.true_negatives)
    }

    /// All that follows.
    pub fn performance(&self) -> Performance {
        let Self { true_positives, false_positives, false_negatives, true_negatives } = *self;
        let all = true_positives + false_positives + false_negatives + true_negatives;
        let (precision, recall, f1) = (self.precision(), self.recall(), self.f1());
        let accuracy = ratio(true_positives + true_negatives, all);
        Performance {
            precision,
            recall,
            f1,
            accuracy,
            true_positives,
            false_positives,
            false_negatives,
            true_negatives,
        }
    }
}

/// A threshold chosen by labels, and what it gives on them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChosenThreshold {
    /// A score from which on a sample is flagged.
    pub optimal_threshold: f64,
    /// What it gives.
    pub precision: f64,
    /// What it gives.
    pub recall: f64,
    /// What it gives.
    pub f1: f64,
    /// What it gives.
    pub false_positive_rate: f64,
    /// Whether the wanted precision is reached; if not, this is the threshold of the best F1.
    #[serde(skip)]
    pub is_reached: bool,
}

/// The threshold with the greatest recall among those of at least the wanted precision; if there is none, that of the best
/// F1. Of equals the higher threshold. `None` without scores.
///
/// ```
/// use infrawatch::analysis::accuracy::calibrate_threshold;
///
/// let scores = [0.1, 0.4, 0.35, 0.8, 0.9, 0.7];
/// let labels = [false, false, true, true, true, false];
/// let chosen = calibrate_threshold(&scores, &labels, 0.9).unwrap();
/// assert_eq!((chosen.optimal_threshold, chosen.precision), (0.8, 1.0));
/// assert!((chosen.recall - 2.0 / 3.0).abs() < 1e-12 && chosen.is_reached);
/// ```
pub fn calibrate_threshold(scores: &[f64], labels: &[bool], target_precision: f64) -> Option<ChosenThreshold> {
    let mut pairs: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    pairs.retain(|(score, _)| !score.is_nan());
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let anomalous = pairs.iter().filter(|(_, label)| *label).count() as u64;
    let normal = pairs.len() as u64 - anomalous;
    let mut counts = Counts { false_negatives: anomalous, true_negatives: normal, ..Counts::default() };
    let mut best: Option<(f64, Counts)> = None;
    let mut by_f1: Option<(f64, Counts)> = None;
    for group in pairs.chunk_by(|a, b| a.0 == b.0) {
        for (_, label) in group {
            if *label {
                counts.true_positives += 1;
                counts.false_negatives -= 1;
            } else {
                counts.false_positives += 1;
                counts.true_negatives -= 1;
            }
        }
        let here = (group[0].0, counts);
        if counts.precision() >= target_precision && best.is_none_or(|(_, best)| counts.recall() > best.recall()) {
            best = Some(here);
        }
        if by_f1.is_none_or(|(_, best)| counts.f1() > best.f1()) {
            by_f1 = Some(here);
        }
    }
    let (optimal_threshold, counts) = best.or(by_f1)?;
    Some(ChosenThreshold {
        optimal_threshold,
        precision: counts.precision(),
        recall: counts.recall(),
        f1: counts.f1(),
        false_positive_rate: counts.false_positive_rate(),
        is_reached: best.is_some(),
    })
}

/// A score beside the threshold of its own past.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CalibratedResult {
    /// As it was given.
    pub score: f64,
    /// Whether it is above the threshold.
    pub is_anomaly: bool,
    /// Mean and so many deviations of the scores before it.
    pub threshold: f64,
}

/// A threshold that follows the last scores: their mean and three population standard deviations. A score is compared
/// before it counts, so that a burst does not hide itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScoreCalibrator {
    window: usize,
    std_multiplier: f64,
    history: VecDeque<f64>,
}

impl Default for ScoreCalibrator {
    /// Of five hundred scores, three deviations.
    fn default() -> Self {
        Self::new(500, 3.0)
    }
}

impl ScoreCalibrator {
    /// Of so many scores and deviations.
    pub fn new(window: usize, std_multiplier: f64) -> Self {
        Self { window: window.max(2), std_multiplier, history: VecDeque::new() }
    }

    /// The threshold now; infinite before the second score.
    pub fn threshold(&self) -> f64 {
        if self.history.len() < 2 {
            return f64::INFINITY;
        }
        let (mean, std) = super::detectors::mean_and_deviation(self.history.iter().copied());
        mean + self.std_multiplier * std
    }

    /// Compares a finite score with those before it, then remembers it.
    pub fn observe(&mut self, score: f64) -> CalibratedResult {
        let threshold = self.threshold();
        if self.history.len() == self.window {
            self.history.pop_front();
        }
        self.history.push_back(score);
        CalibratedResult { score, is_anomaly: score > threshold, threshold }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CAL-004, CAL-005: the formulas, also where nothing is flagged, nothing is anomalous, or nothing is there.
    #[test]
    fn ratios_are_those_of_the_formulas_and_zero_without_a_denominator() {
        let flags = [true, true, true, false, false, false, false, false];
        let labels = [true, true, false, true, false, false, false, false];
        let counts = Counts::of(flags.into_iter().zip(labels));
        assert_eq!((counts.precision(), counts.recall(), counts.f1()), (2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0));
        assert_eq!((counts.false_positive_rate(), counts.performance().accuracy), (0.2, 0.75));
        let json = serde_json::to_value(counts.performance()).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 8);
        let none = Counts::default();
        assert_eq!([none.precision(), none.recall(), none.f1(), none.false_positive_rate()], [0.0; 4]);
    }

    /// CAL-003: an unattainable precision gives the best F1 and says so.
    #[test]
    fn a_precision_out_of_reach_gives_the_best_f1() {
        let chosen = calibrate_threshold(&[0.9, 0.8, 0.7, 0.6], &[false, true, true, false], 0.95).unwrap();
        assert_eq!((chosen.optimal_threshold, chosen.recall, chosen.is_reached), (0.7, 1.0, false));
        assert!((chosen.f1 - 0.8).abs() < 1e-12 && chosen.false_positive_rate == 0.5);
        assert_eq!(calibrate_threshold(&[], &[], 0.9), None);
        let equal = calibrate_threshold(&[0.5; 4], &[true, true, true, false], 0.7).unwrap();
        assert_eq!((equal.recall, equal.precision), (1.0, 0.75), "equal scores are flagged together");
    }

    /// CAL-008, CAL-009, DEF-028: by hand; a slow shift is followed, a burst does not raise its own threshold.
    #[test]
    fn a_threshold_follows_scores_and_not_the_one_it_judges() {
        let mut calibrator = ScoreCalibrator::default();
        let told: Vec<CalibratedResult> = [1.0, 3.0, 1.0, 3.0, 100.0].map(|score| calibrator.observe(score)).to_vec();
        assert_eq!((told[4].threshold, told[4].is_anomaly), (5.0, true));
        assert!(serde_json::to_string(&told[4]).unwrap().contains("\"isAnomaly\":true"));
        let mut calibrator = ScoreCalibrator::default();
        let slow = |at: i32| f64::from(at) * 0.01 + f64::from(at * 7919 % 100) / 50.0;
        assert!((0..5000).map(|at| calibrator.observe(slow(at))).filter(|told| told.is_anomaly).count() < 10);
        assert_eq!(calibrator.history.len(), 500);
    }
}
