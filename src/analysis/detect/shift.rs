//! Whether the average of the last few samples has left the slow level: what is small but stays.
//!
//! Not here: single samples (see `step_change`). An exponentially weighted moving average chart (Roberts 1959,
//! Technometrics 1), in average deviations of the average itself. Abstains until a whole day was seen, as `zscore` does.

use super::{Context, Detector, Family, Reading, learn_spread};
use serde::{Deserialize, Serialize};

/// Weight of the newest sample: Roberts' charts for shifts of one standard deviation use 0.1 to 0.2.
const WEIGHT: f32 = 0.125;
const SAMPLES_MIN: u32 = 32;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Shift {
    fast: f32,
    slow: f32,
    spread: f32,
}

impl Detector for Shift {
    const NAME: &'static str = "shift";
    const FAMILY: Family = Family::Change;

    fn read(&self, context: &Context) -> Option<Reading> {
        // The average with this sample is `fast + WEIGHT * (residual - fast)`; solved for the residual that would
        // leave it at the slow level.
        let centre = self.fast + (self.slow - self.fast) / WEIGHT;
        let unit = self.spread.max(context.spread_min) / WEIGHT;
        (context.knows_a_day && context.samples >= SAMPLES_MIN).then_some(Reading { centre, unit })
    }

    fn learn(&mut self, context: &Context) {
        let weight = context.weight(context.window);
        self.fast += weight.max(WEIGHT) * (context.residual - self.fast);
        let away = self.fast - self.slow;
        learn_spread(&mut self.spread, away.abs(), weight);
        let reach = 5.0 * self.spread;
        self.slow += weight * away.clamp(-reach, reach);
    }

    fn recentre(&mut self, by: f32) {
        self.fast -= by;
        self.slow = 0.0;
    }
}
