//! Silence: the first sample after so long a time without any that the series had stopped.
//!
//! Not here: samples that only came late (see `late`); a series that is silent now, which no sample can tell (see the
//! server's own watch, `analysis::kinds`).
//!
//! Invariant: a change of step is no silence: the usual step follows.

use super::super::prepare::{Arrival, StepClock};
use super::{Judgement, Online, Options};
use serde::{Deserialize, Serialize};

/// Usual steps without a sample.
const THRESHOLD: f64 = 10.0;
/// Samples from which a step is usual.
const SAMPLES_MIN: u32 = 8;

/// Steps since the sample before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Silence {
    threshold: f64,
    clock: StepClock,
    samples: u32,
}

impl Silence {
    /// With the threshold of the options, or 10 steps.
    pub fn new(options: &Options) -> Self {
        Self { threshold: options.threshold.unwrap_or(THRESHOLD), clock: StepClock::default(), samples: 0 }
    }
}

impl Online for Silence {
    const METHOD: &'static str = "silence";

    fn judge(&mut self, time_ms: i64, _: f64) -> Judgement {
        let step_ms = self.clock.step_ms();
        self.samples = self.samples.saturating_add(1);
        match self.clock.observe(time_ms) {
            Arrival::Next(passed_ms) | Arrival::AfterGap(passed_ms) if self.samples > SAMPLES_MIN => {
                Judgement::of_limit(passed_ms as f64 / step_ms, self.threshold)
            }
            _ => Judgement::ABSTAINS,
        }
    }
}
