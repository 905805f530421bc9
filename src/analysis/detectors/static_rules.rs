//! Limits that are given: nothing is learned.
//!
//! Not here: limits that follow the hour (see `dynamic_threshold`).
//!
//! Invariant: a limit of zero is a limit like any other.

use super::{Judgement, Online, Options, SHARE_MAX};
use serde::{Deserialize, Serialize};

/// Values above one limit or below another; without limits it abstains.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct StaticRules {
    above: Option<f64>,
    below: Option<f64>,
}

impl StaticRules {
    /// With the limits of the options.
    pub fn new(options: &Options) -> Self {
        Self { above: options.above, below: options.below }
    }
}

impl Online for StaticRules {
    const METHOD: &'static str = "static";

    fn judge(&mut self, _: i64, value: f64) -> Judgement {
        if self.above.is_none() && self.below.is_none() {
            return Judgement::ABSTAINS;
        }
        let is_anomaly = self.above.is_some_and(|above| value > above) || self.below.is_some_and(|below| value < below);
        let (score, share) = if is_anomaly { (1.0, SHARE_MAX) } else { (0.0, 0.0) };
        Judgement { score, share, is_anomaly, is_judged: true, expected: None, lower: self.below, upper: self.above }
    }
}
