//! Exponential means: how many mean deviations a value is from the mean of late.
//!
//! Not here: seasons.
//!
//! Invariant: no value is flagged before the tenth.

use super::{Floor, Judgement, Online, Options};
use serde::{Deserialize, Serialize};

/// Nine tenths of the weight lie on the last 22 values.
const ALPHA: f64 = 0.1;
const THRESHOLD: f64 = 3.0;
const SAMPLES_MIN: u64 = 10;
/// Stands in for a deviation of none.
const DEVIATION_MIN: f64 = 1e-10;

/// Mean deviations from an exponential mean; the deviation of the value itself counts among them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EmaDetector {
    bound_multiplier: f64,
    floor: Floor,
    count: u64,
    ema: f64,
    deviation: f64,
}

/// What is said of one value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EmaResult {
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// As it was given.
    pub value: f64,
    /// The mean before it.
    pub expected: f64,
    /// Distance from the mean, in the value's unit.
    pub deviation: f64,
    /// Greatest value that would have been normal.
    pub upper_bound: f64,
    /// Least value that would have been normal.
    pub lower_bound: f64,
    /// Whether it is beyond them, by a deviation that matters.
    pub is_anomaly: bool,
}

impl EmaDetector {
    /// With the options' threshold as the multiple of the mean deviation, or 3.
    pub fn new(options: &Options) -> Self {
        Self {
            bound_multiplier: options.threshold.unwrap_or(THRESHOLD),
            floor: Floor::new(options),
            count: 0,
            ema: 0.0,
            deviation: 0.0,
        }
    }

    /// Judges a value by those before it, then learns it.
    pub fn observe(&mut self, timestamp: i64, value: f64) -> EmaResult {
        let deviation_min = self.floor.next(value);
        self.count += 1;
        if self.count == 1 {
            self.ema = value;
            let (expected, upper_bound, lower_bound) = (value, value, value);
            return EmaResult {
                timestamp,
                value,
                expected,
                deviation: 0.0,
                upper_bound,
                lower_bound,
                is_anomaly: false,
            };
        }
        let expected = self.ema;
        let deviation = (value - expected).abs();
        self.deviation = ALPHA * deviation + (1.0 - ALPHA) * self.deviation;
        let width = self.bound_multiplier * self.deviation.max(DEVIATION_MIN);
        let (lower_bound, upper_bound) = (expected - width, expected + width);
        let is_beyond = value < lower_bound || value > upper_bound;
        let is_anomaly = self.count >= SAMPLES_MIN && is_beyond && deviation >= deviation_min;
        self.ema = ALPHA * value + (1.0 - ALPHA) * self.ema;
        EmaResult { timestamp, value, expected, deviation, upper_bound, lower_bound, is_anomaly }
    }
}

impl Online for EmaDetector {
    const METHOD: &'static str = "ema";

    fn judge(&mut self, time_ms: i64, value: f64) -> Judgement {
        let result = self.observe(time_ms, value);
        if self.count < SAMPLES_MIN {
            return Judgement::ABSTAINS;
        }
        let band = [result.expected, result.lower_bound, result.upper_bound];
        let score = result.deviation / self.deviation.max(DEVIATION_MIN);
        let deviation_min = if result.is_anomaly { 0.0 } else { f64::INFINITY };
        Judgement::of_band(value, score, band, deviation_min)
    }
}
