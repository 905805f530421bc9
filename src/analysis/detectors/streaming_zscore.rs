//! The z-score of a stream: standard deviations from the mean of the last hundred values, those that were anomalous
//! clipped.
//!
//! Not here: windows that take every value as it is (see `rolling_zscore`).
//!
//! Invariant: a value is judged before it enters the window.

use super::{Floor, Judgement, Online, Options, mean_and_deviation};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const WINDOW: usize = 100;
const THRESHOLD: f64 = 3.0;
/// Stands in for a deviation of none.
const DEVIATION_MIN: f64 = 1e-10;

/// Standard deviations from the mean of the last 100 values; nothing is said until there are as many.
///
/// What was anomalous enters the window only as far as a normal value could have gone, so that the second anomaly of an
/// outage is seen as well as the first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StreamingZScore {
    window_size: usize,
    threshold: f64,
    floor: Floor,
    window: VecDeque<f64>,
}

/// What is said of one value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ZScoreResult {
    /// Milliseconds since 1970 UTC.
    pub timestamp: i64,
    /// As it was given.
    pub value: f64,
    /// Standard deviations from the mean; 0 until the window is full.
    pub z_score: f64,
    /// Whether that is more than the threshold, by a deviation that matters.
    pub is_anomaly: bool,
    /// The threshold.
    pub threshold: f64,
}

impl StreamingZScore {
    /// With window and threshold of the options, or 100 and 3.
    pub fn new(options: &Options) -> Self {
        Self {
            window_size: options.window.unwrap_or(WINDOW).max(2),
            threshold: options.threshold.unwrap_or(THRESHOLD),
            floor: Floor::new(options),
            window: VecDeque::new(),
        }
    }

    /// Judges a value by those before it, then takes it into the window.
    pub fn observe(&mut self, timestamp: i64, value: f64) -> ZScoreResult {
        let Judgement { score: z_score, is_anomaly, .. } = self.judge(timestamp, value);
        ZScoreResult { timestamp, value, z_score, is_anomaly, threshold: self.threshold }
    }
}

impl Online for StreamingZScore {
    const METHOD: &'static str = "z_score";

    fn judge(&mut self, _: i64, value: f64) -> Judgement {
        let deviation_min = self.floor.next(value);
        if self.window.len() < self.window_size {
            self.window.push_back(value);
            return Judgement::ABSTAINS;
        }
        let (mean, std) = mean_and_deviation(self.window.iter().copied());
        let std = std.max(DEVIATION_MIN);
        let reach = self.threshold * std;
        let score = (value - mean).abs() / std;
        let judgement = Judgement::of_band(value, score, [mean, mean - reach, mean + reach], deviation_min);
        // A constant would keep a new level out for ever: what matters may always enter.
        let reach = reach.max(deviation_min);
        self.window.pop_front();
        self.window.push_back(if judgement.is_anomaly { value.clamp(mean - reach, mean + reach) } else { value });
        judgement
    }
}
