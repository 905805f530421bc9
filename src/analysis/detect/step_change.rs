//! Size of the step from the sample before, in average steps.
//!
//! Not here: changes that take several samples (see `shift`). Abstains after a gap.

use super::{Context, Detector, Family, Reading, learn_spread};
use serde::{Deserialize, Serialize};

const MEMORY: f32 = 256.0;
const SAMPLES_MIN: u32 = 16;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct StepChange {
    samples: u32,
    last: f32,
    spread: f32,
}

impl Detector for StepChange {
    const NAME: &'static str = "step_change";
    const FAMILY: Family = Family::Change;

    fn read(&self, context: &Context) -> Option<Reading> {
        let can = self.samples >= SAMPLES_MIN && context.has_neighbour;
        can.then_some(Reading { centre: self.last, unit: self.spread.max(context.spread_min) })
    }

    fn learn(&mut self, context: &Context) {
        if context.has_neighbour {
            self.samples = self.samples.saturating_add(1);
            let weight = (1.0 / self.samples as f32).max(1.0 / MEMORY);
            learn_spread(&mut self.spread, (context.residual - self.last).abs(), weight);
        }
        self.last = context.residual;
    }

    fn recentre(&mut self, by: f32) {
        self.last -= by;
    }
}
