//! Distance from the slow mean in standard deviations, both remembered for about a day of samples.
//!
//! Not here: what changed just now (see `ema`, `step_change`). Abstains until a whole day was seen: before, a value
//! outside the range seen may be another time of day.
//!
//! Mean and variance are updated as West (1979, CACM 22) does, with an exponential memory and residuals winsorised at
//! four standard deviations, so that an outlier does not hide the next.

use super::{Context, Detector, Family, Reading};
use serde::{Deserialize, Serialize};

const WINSOR: f32 = 4.0;
const SAMPLES_MIN: u32 = 32;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct ZScore {
    mean: f32,
    variance: f32,
}

impl Detector for ZScore {
    const NAME: &'static str = "zscore";
    const FAMILY: Family = Family::LocationScale;

    fn read(&self, context: &Context) -> Option<Reading> {
        let unit = self.variance.sqrt().max(context.spread_min);
        (context.knows_a_day && context.samples >= SAMPLES_MIN).then_some(Reading { centre: self.mean, unit })
    }

    fn learn(&mut self, context: &Context) {
        let weight = context.weight(context.window);
        let reach = if context.count() > SAMPLES_MIN {
            WINSOR * self.variance.sqrt().max(context.spread_min)
        } else {
            f32::INFINITY
        };
        let away = (context.residual - self.mean).clamp(-reach, reach);
        self.mean += weight * away;
        self.variance = (1.0 - weight) * (self.variance + weight * away * away);
    }

    fn recentre(&mut self, _by: f32) {
        self.mean = 0.0;
    }
}
