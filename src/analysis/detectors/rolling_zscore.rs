//! The rolling z-score: standard deviations from the mean of the last values.
//!
//! Not here: one that keeps anomalous values out of its window (see `streaming_zscore`).
//!
//! Invariants: from the window's length on a value is judged by those before it only; before, it is scored among those
//! so far, itself included, and never flagged.

use super::{Floor, Judgement, Online, Options, mean_and_deviation};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const WINDOW: usize = 60;
const THRESHOLD: f64 = 3.0;

/// Standard deviations from the mean of the last 60 values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RollingZScore {
    window: usize,
    threshold: f64,
    floor: Floor,
    last: VecDeque<f64>,
}

impl RollingZScore {
    /// With window and threshold of the options, or 60 and 3.
    pub fn new(options: &Options) -> Self {
        Self {
            window: options.window.unwrap_or(WINDOW).max(2),
            threshold: options.threshold.unwrap_or(THRESHOLD),
            floor: Floor::new(options),
            last: VecDeque::new(),
        }
    }
}

impl Online for RollingZScore {
    const METHOD: &'static str = "rolling_z_score";

    fn judge(&mut self, _: i64, value: f64) -> Judgement {
        let is_full = self.last.len() == self.window;
        if !is_full {
            self.last.push_back(value);
        }
        let (mean, std) = mean_and_deviation(self.last.iter().copied());
        if is_full {
            self.last.pop_front();
            self.last.push_back(value);
        }
        let deviation_min = self.floor.next(value);
        let score = if std > 0.0 { (value - mean).abs() / std } else { 0.0 };
        let reach = self.threshold * std;
        let judgement = Judgement::of_band(value, score, [mean, mean - reach, mean + reach], deviation_min);
        if is_full { judgement } else { Judgement { is_anomaly: false, share: 0.0, is_judged: false, ..judgement } }
    }
}
