//! Distance from an exponential moving average of the last samples, in average deviations from it.
//!
//! Not here: slow memory (see `zscore`). After a gap it abstains once and starts from the new value.

use super::{Context, Detector, Family, Reading, learn_spread};
use serde::{Deserialize, Serialize};

/// The memory, in samples: that of the documents' detector, whose weight of 0.1 keeps 90 % in the last 22.
const MEMORY: f32 = 10.0;
/// The spread is remembered longer, so that it is that of usual times.
const SPREAD_MEMORY: f32 = 64.0;
const SAMPLES_MIN: u32 = 10;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Ema {
    mean: f32,
    spread: f32,
}

impl Ema {
    pub(crate) fn level(&self) -> f32 {
        self.mean
    }
}

impl Detector for Ema {
    const NAME: &'static str = "ema";
    const FAMILY: Family = Family::LocationScale;

    fn read(&self, context: &Context) -> Option<Reading> {
        let can = context.samples >= SAMPLES_MIN && context.has_neighbour;
        can.then_some(Reading { centre: self.mean, unit: self.spread.max(context.spread_min) })
    }

    fn learn(&mut self, context: &Context) {
        if !context.has_neighbour || context.samples == 0 {
            self.mean = context.residual;
            return;
        }
        let seen = 1.0 / context.samples as f32;
        let away = context.residual - self.mean;
        learn_spread(&mut self.spread, away.abs(), seen.max(1.0 / SPREAD_MEMORY));
        self.mean += away * seen.max(1.0 / MEMORY);
    }

    fn recentre(&mut self, by: f32) {
        self.mean -= by;
    }
}
