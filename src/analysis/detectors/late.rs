//! Late data: samples that come after later ones.
//!
//! Not here: silence. A gap that late samples fill was none: both detectors together tell which it was.
//!
//! Invariant: the second of two samples with one time is a repetition, not late.

use super::super::prepare::{Arrival, StepClock};
use super::{Judgement, Online, Options};
use serde::{Deserialize, Serialize};

/// Usual steps behind the newest sample.
const THRESHOLD: f64 = 1.0;

/// Steps by which a sample is behind the newest one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Late {
    threshold: f64,
    clock: StepClock,
}

impl Late {
    /// With the threshold of the options, or one step.
    pub fn new(options: &Options) -> Self {
        Self { threshold: options.threshold.unwrap_or(THRESHOLD), clock: StepClock::default() }
    }
}

impl Online for Late {
    const METHOD: &'static str = "late";
    const TAKES_LATE: bool = true;

    fn judge(&mut self, time_ms: i64, _: f64) -> Judgement {
        let newest_ms = self.clock.last_ms().unwrap_or(time_ms);
        match self.clock.observe(time_ms) {
            Arrival::First => Judgement::ABSTAINS,
            Arrival::Next(_) | Arrival::AfterGap(_) => Judgement::of_limit(0.0, self.threshold),
            Arrival::NotLater => {
                let behind_ms = newest_ms.saturating_sub(time_ms) as f64;
                Judgement::of_limit(behind_ms / self.clock.step_ms(), self.threshold)
            }
        }
    }
}
