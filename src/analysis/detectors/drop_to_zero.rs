//! Drop to zero: zeros in a series that hardly ever has them and lies clearly away from zero.
//!
//! Not here: silence (no sample at all) and low values that are not zero.
//!
//! Invariant: a series of which more than a hundredth is zero is never flagged, so zeros that stay become usual.

use super::{Judgement, Online, Options};
use serde::{Deserialize, Serialize};

/// -log10 of the share of zeros below which one is news.
const THRESHOLD: f64 = 2.0;
/// Samples remembered.
const MEMORY: f64 = 4096.0;
/// How far from zero the series must lie, in its own mean deviations.
const DISTANCE: f64 = 3.0;
/// Share by which mean and deviation follow.
const PACE: f64 = 1.0 / 64.0;

/// How rare zeros are where one stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DropToZero {
    threshold: f64,
    zeros: f64,
    samples: f64,
    mean: f64,
    deviation: f64,
}

impl DropToZero {
    /// With the threshold of the options, or 2: a hundredth.
    pub fn new(options: &Options) -> Self {
        let threshold = options.threshold.unwrap_or(THRESHOLD);
        Self { threshold, zeros: 0.0, samples: 0.0, mean: 0.0, deviation: 0.0 }
    }
}

impl Online for DropToZero {
    const METHOD: &'static str = "drop_to_zero";

    fn judge(&mut self, _: i64, value: f64) -> Judgement {
        let rarity = -((self.zeros + 1.0) / (self.samples + 2.0)).log10();
        let is_away = self.mean.abs() > DISTANCE * self.deviation && self.mean != 0.0;
        let is_known = rarity >= self.threshold;
        let score = if value == 0.0 && is_away { rarity } else { 0.0 };
        let forgotten = (MEMORY / (self.samples + 1.0)).min(1.0);
        (self.zeros, self.samples) = (self.zeros * forgotten, self.samples * forgotten + 1.0);
        if value == 0.0 {
            self.zeros += 1.0;
        } else {
            let pace = PACE.max(1.0 / (self.samples - self.zeros).max(1.0));
            self.deviation += pace * ((value - self.mean).abs() - self.deviation);
            self.mean += pace * (value - self.mean);
            if self.samples - self.zeros <= 1.0 {
                self.deviation = 0.0;
            }
        }
        if is_known || value == 0.0 { Judgement::of_limit(score, self.threshold) } else { Judgement::ABSTAINS }
    }
}
