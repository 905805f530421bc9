//! Lasting shifts of the level, by sums of what goes beyond a slack (Page 1954): small ones are seen if they last.
//!
//! Not here: where in a finished series its level changed (see `change_point`).
//!
//! Invariants: level and spread are those of the first samples after the start or the last shift; one sample never is a
//! shift, however large.

use super::mad::Centre;
use super::{Floor, Judgement, Online, Options};
use serde::{Deserialize, Serialize};

/// What a sum must exceed, in spreads: so that independent Gaussian samples give one false shift in some ten million.
const THRESHOLD: f64 = 12.0;
/// What each sample may be off without adding to the sum, in spreads: half of the smallest shift that is looked for.
const SLACK: f64 = 0.75;
/// One sample counts for no more than this.
const CLIP: f64 = 4.0;
/// Samples that say where the level is.
const LEARNED: usize = 100;

/// The greater of two cumulated sums, one for each direction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cusum {
    threshold: f64,
    floor: Floor,
    learned: Vec<f64>,
    level: f64,
    spread: f64,
    up: f64,
    down: f64,
}

impl Cusum {
    /// With the threshold of the options, or 12.
    pub fn new(options: &Options) -> Self {
        let threshold = options.threshold.unwrap_or(THRESHOLD);
        let floor = Floor::new(options);
        Self { threshold, floor, learned: Vec::new(), level: 0.0, spread: 0.0, up: 0.0, down: 0.0 }
    }
}

impl Online for Cusum {
    const METHOD: &'static str = "cusum";

    fn judge(&mut self, _: i64, value: f64) -> Judgement {
        let deviation_min = self.floor.next(value);
        if self.learned.len() < LEARNED {
            self.learned.push(value);
            if self.learned.len() == LEARNED {
                let Centre { median, spread } = Centre::of(&self.learned);
                (self.level, self.spread) = (median, spread.max(deviation_min));
            }
            return Judgement::ABSTAINS;
        }
        let off = ((value - self.level) / self.spread).clamp(-CLIP, CLIP);
        self.up = (self.up + off - SLACK).max(0.0);
        self.down = (self.down - off - SLACK).max(0.0);
        let judgement = Judgement::of_limit(self.up.max(self.down), self.threshold);
        let (level, reach) = (self.level, CLIP * self.spread);
        if judgement.is_anomaly {
            // The level from now on is another one.
            self.learned.clear();
            (self.up, self.down) = (0.0, 0.0);
        }
        Judgement { expected: Some(level), lower: Some(level - reach), upper: Some(level + reach), ..judgement }
    }
}
