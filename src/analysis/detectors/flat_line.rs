//! Flat line: a value that stays exactly the same for longer than chance and custom explain.
//!
//! Not here: series that never move, which are constants.
//!
//! Invariants: a run of equal values is judged by earlier runs only; one that was flagged counts as a usual one of the
//! length at which it was.

use super::{Judgement, Online, Options};
use serde::{Deserialize, Serialize};

/// -log10 of the chance that the value stays by itself.
const THRESHOLD: f64 = 6.0;
/// Equal values that are a line at all.
const RUN_MIN: u32 = 10;
/// Steps from which it is known how often the value stays.
const STEPS_MIN: f64 = 50.0;
/// How much longer than the longest run of late a run must be.
const CUSTOM: f64 = 2.0;
/// What is left of a memory with each run: some hundred of them are remembered.
const FADE: f64 = 0.99;
/// Steps remembered.
const MEMORY: f64 = 4096.0;

/// How unlikely it is that a value has stayed the same for so long.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlatLine {
    threshold: f64,
    last: Option<f64>,
    run: u32,
    counted: u32,
    stayed: f64,
    steps: f64,
    longest: f64,
}

impl FlatLine {
    /// With the threshold of the options, or 6: a chance of one in a million.
    pub fn new(options: &Options) -> Self {
        let threshold = options.threshold.unwrap_or(THRESHOLD);
        Self { threshold, last: None, run: 0, counted: 0, stayed: 0.0, steps: 0.0, longest: 0.0 }
    }

    fn end_run(&mut self) {
        self.stayed += f64::from(self.counted);
        self.steps += f64::from(self.counted) + 1.0;
        let forgotten = (MEMORY / self.steps).min(1.0);
        (self.stayed, self.steps) = (self.stayed * forgotten, self.steps * forgotten);
        self.longest = (self.longest * FADE).max(f64::from(self.counted));
        (self.run, self.counted) = (0, 0);
    }
}

impl Online for FlatLine {
    const METHOD: &'static str = "flat_line";

    fn judge(&mut self, _: i64, value: f64) -> Judgement {
        let stays = self.last.replace(value) == Some(value);
        if !stays {
            self.end_run();
            return Judgement { is_judged: self.steps >= STEPS_MIN, expected: Some(value), ..Judgement::ABSTAINS };
        }
        self.run = self.run.saturating_add(1);
        // Before anything moved nothing is known of how long it stays.
        if self.steps < STEPS_MIN {
            self.counted = self.run;
            return Judgement::ABSTAINS;
        }
        let chance = (self.stayed + 1.0) / (self.steps + 2.0);
        let score = -f64::from(self.run) * chance.log10();
        let is_long = self.run >= RUN_MIN && f64::from(self.run) > CUSTOM * self.longest;
        let judgement =
            Judgement::of_limit(if is_long { score } else { score.min(0.99 * self.threshold) }, self.threshold);
        if !judgement.is_anomaly {
            self.counted = self.run;
        }
        judgement
    }
}
