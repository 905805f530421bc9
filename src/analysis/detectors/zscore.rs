//! The z-score of whole series: standard deviations from the mean of all values.
//!
//! Not here: means that move (see `rolling_zscore`, `streaming_zscore`).
//!
//! Invariant: a constant series has a score of 0 everywhere.

use super::{Detector, Floor, Judgement, Options, Samples, mean_and_deviation};
use serde::{Deserialize, Serialize};

/// Of normal values 99.7 % lie nearer.
const THRESHOLD: f64 = 3.0;

/// Standard deviations from the mean of all values; more than the threshold is anomalous.
#[derive(Debug, Clone)]
pub struct ZScore {
    threshold: f64,
    floor: Floor,
}

impl ZScore {
    /// With the threshold of the options, or 3.
    pub fn new(options: &Options) -> Self {
        Self { threshold: options.threshold.unwrap_or(THRESHOLD), floor: Floor::new(options) }
    }
}

impl Detector for ZScore {
    fn method(&self) -> &'static str {
        "z_score"
    }

    fn detect(&mut self, samples: Samples<'_>) -> Vec<Judgement> {
        let model = ZScoreModel { threshold: self.threshold, ..ZScoreModel::train(samples.values) };
        let deviation_min = self.floor.of_all(samples.values);
        samples.values.iter().map(|value| model.judge(*value, deviation_min)).collect()
    }
}

/// What a z-score needs to judge values of another day: trained once, written down as JSON, used for as long as the level
/// stays.
///
/// ```
/// use infrawatch::analysis::detectors::ZScoreModel;
///
/// let model = ZScoreModel::train(&[35.0, 45.0, 40.0, 38.0, 42.0]);
/// assert!(model.is_anomaly(95.0) && !model.is_anomaly(50.0));
/// let written = serde_json::to_value(model).unwrap();
/// assert!(["mean", "std", "threshold"].iter().all(|key| written[*key].is_number()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ZScoreModel {
    /// Of the values it was trained on.
    pub mean: f64,
    /// Their population standard deviation.
    pub std: f64,
    /// Standard deviations from which a value is anomalous.
    pub threshold: f64,
}

impl ZScoreModel {
    /// Of these values, with a threshold of 3; values that are not finite are left out.
    pub fn train(values: &[f64]) -> Self {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let (mean, std) = mean_and_deviation(finite.iter().copied());
        Self { mean, std, threshold: THRESHOLD }
    }

    /// Standard deviations from the mean; 0 where there is no deviation.
    pub fn score(&self, value: f64) -> f64 {
        if self.std > 0.0 { (value - self.mean).abs() / self.std } else { 0.0 }
    }

    /// Whether that is more than the threshold.
    pub fn is_anomaly(&self, value: f64) -> bool {
        self.score(value) > self.threshold
    }

    fn judge(&self, value: f64, deviation_min: f64) -> Judgement {
        let reach = self.threshold * self.std;
        let band = [self.mean, self.mean - reach, self.mean + reach];
        Judgement::of_band(value, self.score(value), band, deviation_min)
    }
}
