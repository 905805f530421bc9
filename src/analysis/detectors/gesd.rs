//! The generalised extreme Studentised deviate test (Rosner 1983): how many of the most extreme values are outliers, without
//! knowing their number, and without one hiding another.
//!
//! Not here: series with a season or a trend, of which the test knows nothing (see `stl_residual`).
//!
//! Invariant: never are more than a tenth of the values outliers, nor more than [`OUTLIERS_MAX`].
//!
//! Cost: one pass over the values for each outlier that is tried.

use super::super::tails::student_t_quantile;
use super::{Detector, Floor, Judgement, Options, Samples, mean_and_deviation};

const ALPHA: f64 = 0.05;
/// Outliers that are tried, as a share of the values and in all.
const OUTLIERS_SHARE: usize = 10;
const OUTLIERS_MAX: usize = 500;
/// The critical values rest on so many values at least (Rosner's simulations).
const VALUES_MIN: usize = 15;

/// Values that are too extreme for a Gaussian sample.
#[derive(Debug, Clone)]
pub struct Gesd {
    alpha: f64,
    floor: Floor,
}

/// One step of the test: the most extreme of the values that are left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GesdStep {
    /// Which value, by its place in the series.
    pub index: usize,
    /// Its distance from the mean of those left, in their sample standard deviations.
    pub deviate: f64,
    /// What it must exceed.
    pub critical: f64,
}

impl Gesd {
    /// At the options' threshold as the level of the test, or 0.05.
    pub fn new(options: &Options) -> Self {
        Self { alpha: options.threshold.unwrap_or(ALPHA).clamp(1e-9, 0.5), floor: Floor::new(options) }
    }

    /// The steps of the test, `outliers_max` at most, and how many of the first of them are outliers.
    pub fn test(&self, values: &[f64], outliers_max: usize) -> (Vec<GesdStep>, usize) {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_unstable_by(|left, right| values[*left].total_cmp(&values[*right]));
        let mut left = order.as_slice();
        let mut steps = Vec::new();
        let mut outliers = 0;
        while steps.len() < outliers_max {
            let [first, .., last] = left else { break };
            let (mean, deviation) = sample_moments(values, left);
            let (below, above) = (mean - values[*first], values[*last] - mean);
            let (extreme, distance) = if below > above { (*first, below) } else { (*last, above) };
            if deviation <= 0.0 {
                break;
            }
            let critical = self.critical(left.len());
            let step = GesdStep { index: extreme, deviate: distance / deviation, critical };
            left = if below > above { &left[1..] } else { &left[..left.len() - 1] };
            steps.push(step);
            if step.deviate > critical {
                outliers = steps.len();
            }
        }
        (steps, outliers)
    }

    /// What the deviate of the most extreme of `left` values must exceed.
    fn critical(&self, left: usize) -> f64 {
        let left = left as f64;
        if left < 3.0 {
            return f64::INFINITY;
        }
        let p = 1.0 - self.alpha / (2.0 * left);
        let t = student_t_quantile(p, left - 2.0);
        (left - 1.0) * t / ((left - 2.0 + t * t) * left).sqrt()
    }
}

/// Mean and sample standard deviation of the values at these places.
fn sample_moments(values: &[f64], places: &[usize]) -> (f64, f64) {
    let (mean, deviation) = mean_and_deviation(places.iter().map(|at| values[*at]));
    let count = places.len() as f64;
    (mean, deviation * (count / (count - 1.0).max(1.0)).sqrt())
}

impl Detector for Gesd {
    fn method(&self) -> &'static str {
        "gesd"
    }

    fn detect(&mut self, samples: Samples<'_>) -> Vec<Judgement> {
        let values = samples.values;
        if values.len() < VALUES_MIN {
            return vec![Judgement::ABSTAINS; values.len()];
        }
        let tried = (values.len() / OUTLIERS_SHARE).clamp(1, OUTLIERS_MAX);
        let (steps, outliers) = self.test(values, tried);
        let mut is_outlier = vec![false; values.len()];
        steps[..outliers].iter().for_each(|step| is_outlier[step.index] = true);
        let usual: Vec<usize> = (0..values.len()).filter(|at| !is_outlier[*at]).collect();
        let (mean, deviation) = sample_moments(values, &usual);
        let reach = self.critical(usual.len()) * deviation;
        let deviation_min = self.floor.of_all(values);
        let judge = |(value, is_outlier): (&f64, &bool)| {
            let score = if deviation > 0.0 { (value - mean).abs() / deviation } else { 0.0 };
            // The test's word counts, not the band that is shown: it is that of the values that are left.
            let needed = if *is_outlier { deviation_min } else { f64::INFINITY };
            let reach = if *is_outlier { reach.min((value - mean).abs()) } else { reach };
            let judgement = Judgement::of_band(*value, score, [mean, mean - reach, mean + reach], needed);
            let is_anomaly = *is_outlier && (value - mean).abs() >= deviation_min;
            Judgement {
                is_anomaly,
                share: if is_anomaly { judgement.share.max(1.0) } else { judgement.share },
                ..judgement
            }
        };
        values.iter().zip(&is_outlier).map(judge).collect()
    }
}
