//! The modified z-score: median absolute deviations from the median (Iglewicz and Hoaglin 1993).
//!
//! Not here: seasons (see `stl_residual`, which judges by this what a season leaves).
//!
//! Invariant: up to half of the values may be anything without moving the limits far.

use super::super::robust::median;
use super::{Detector, Floor, Judgement, Options, Samples};

/// What Iglewicz and Hoaglin recommend.
pub(super) const THRESHOLD: f64 = 3.5;

/// Median absolute deviation of a standard Gaussian.
const MAD_OF_GAUSS: f64 = 0.6745;

/// Mean absolute deviation of a standard Gaussian.
const MEAN_OF_GAUSS: f64 = 0.797_884_560_802_865_4;

/// Median absolute deviations from the median. Where more than half of the values are equal the mean absolute deviation
/// stands in for the median one, as Iglewicz and Hoaglin have it.
#[derive(Debug, Clone)]
pub struct Mad {
    threshold: f64,
    floor: Floor,
}

impl Mad {
    /// With the threshold of the options, or 3.5.
    pub fn new(options: &Options) -> Self {
        Self { threshold: options.threshold.unwrap_or(THRESHOLD), floor: Floor::new(options) }
    }
}

impl Detector for Mad {
    fn method(&self) -> &'static str {
        "mad"
    }

    fn detect(&mut self, samples: Samples<'_>) -> Vec<Judgement> {
        let deviation_min = self.floor.of_all(samples.values);
        let Centre { median, spread } = Centre::of(samples.values);
        let reach = self.threshold * spread;
        let judge = |value: &f64| {
            let score = if spread > 0.0 { (value - median).abs() / spread } else { 0.0 };
            Judgement::of_band(*value, score, [median, median - reach, median + reach], deviation_min)
        };
        samples.values.iter().map(judge).collect()
    }
}

/// Where values lie and how far they scatter, both robustly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Centre {
    pub(super) median: f64,
    /// What the standard deviation is for Gaussian values.
    pub(super) spread: f64,
}

impl Centre {
    /// Of these values; zeros of none.
    pub(super) fn of(values: &[f64]) -> Self {
        if values.is_empty() {
            return Self { median: 0.0, spread: 0.0 };
        }
        let median_value = median(&mut values.to_vec());
        let mut deviations: Vec<f64> = values.iter().map(|value| (value - median_value).abs()).collect();
        let mean = deviations.iter().sum::<f64>() / values.len() as f64;
        let mad = median(&mut deviations);
        let spread = if mad > 0.0 { mad / MAD_OF_GAUSS } else { mean / MEAN_OF_GAUSS };
        Self { median: median_value, spread }
    }
}
