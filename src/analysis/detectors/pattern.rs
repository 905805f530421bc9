//! Unfamiliar patterns: values that follow each other as they never did.
//!
//! Not here: how words are made of values and remembered (see [`Pattern`]).
//!
//! Invariant: what was seen once is familiar, until memory has to give it up.

use super::{Floor, Judgement, Online, Options};
use crate::analysis::pattern::{Beat, Pattern};
use crate::analysis::prepare::{Arrival, StepClock};
use serde::{Deserialize, Serialize};

/// Share of new words: more than half, even if one is found familiar by chance.
const THRESHOLD: f64 = 0.6;
const DAY_MS: f64 = 86_400_000.0;

/// The share of what a sample and the three before it spell that was never seen, though it began as something known; nothing
/// is said before a day of samples was seen, 32 at least and 256 at most.
///
/// Contexts that are known and what should follow them are the idea of Smirnov's contextual anomaly detector (2016).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PatternDetector {
    threshold: f64,
    floor: Floor,
    steps: StepClock,
    pattern: Pattern,
}

impl PatternDetector {
    /// With the threshold of the options, or 0.6.
    pub fn new(options: &Options) -> Self {
        let threshold = options.threshold.unwrap_or(THRESHOLD);
        let (floor, steps) = (Floor::new(options), StepClock::default());
        Self { threshold, floor, steps, pattern: Pattern::default() }
    }
}

impl Online for PatternDetector {
    const METHOD: &'static str = "pattern";

    fn judge(&mut self, time_ms: i64, value: f64) -> Judgement {
        let has_neighbour = matches!(self.steps.observe(time_ms), Arrival::Next(_));
        let deviation_min = self.floor.next(value);
        let beat = Beat { per_day: DAY_MS / self.steps.step_ms(), has_neighbour, deviation_min };
        let unfamiliar = self.pattern.observe(value, &beat);
        unfamiliar.map_or(Judgement::ABSTAINS, |share| Judgement::of_limit(f64::from(share), self.threshold))
    }
}
