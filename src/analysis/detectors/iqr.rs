//! Interquartile ranges beyond the quartiles (Tukey 1977).
//!
//! Not here: quantiles that move.
//!
//! Invariant: a constant series has a score of 0 everywhere.

use super::super::robust::quantile;
use super::{Detector, Floor, Judgement, Options, Samples, mean_and_deviation};

/// Ranges beyond a quartile; 3 is taken for extreme.
const THRESHOLD: f64 = 1.5;

/// Interquartile ranges of a Gaussian in its standard deviations.
const RANGE_OF_GAUSS: f64 = 1.349;

/// Values further beyond the quartiles than so many interquartile ranges. Where half of the values are equal and the
/// range is none, that of a Gaussian with their deviation stands in, so that a jump out of a constant is seen.
#[derive(Debug, Clone)]
pub struct Iqr {
    threshold: f64,
    floor: Floor,
}

impl Iqr {
    /// With the threshold of the options, or 1.5.
    pub fn new(options: &Options) -> Self {
        Self { threshold: options.threshold.unwrap_or(THRESHOLD), floor: Floor::new(options) }
    }
}

impl Detector for Iqr {
    fn method(&self) -> &'static str {
        "iqr"
    }

    fn detect(&mut self, samples: Samples<'_>) -> Vec<Judgement> {
        if samples.values.is_empty() {
            return Vec::new();
        }
        let mut sorted = samples.values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let [q1, median, q3] = [0.25, 0.5, 0.75].map(|p| quantile(&sorted, p));
        let range = match q3 - q1 {
            range if range > 0.0 => range,
            _ => RANGE_OF_GAUSS * mean_and_deviation(samples.values.iter().copied()).1,
        };
        let deviation_min = self.floor.of_all(samples.values);
        let band = [median, q1 - self.threshold * range, q3 + self.threshold * range];
        let judge = |value: &f64| {
            let score = if range > 0.0 { (value - q1).abs().max((value - q3).abs()) / range } else { 0.0 };
            Judgement::of_band(*value, score, band, deviation_min)
        };
        samples.values.iter().map(judge).collect()
    }
}
