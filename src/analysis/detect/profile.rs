//! Distance from what the season's slot usually has, in that hour's own average deviation: nights are quieter than days.
//!
//! Not here: the season itself (see `baseline`); abstains while none is believed and in hours it has hardly seen.

use super::{Context, Detector, Family, Reading, learn_spread};
use serde::{Deserialize, Serialize};

const HOURS: usize = 24;
/// Samples an hour of the day needs before it is judged, and remembers at most.
const SAMPLES: (u16, u16) = (4, 512);

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Profile {
    spreads: [f32; HOURS],
    samples: [u16; HOURS],
}

impl Detector for Profile {
    const NAME: &'static str = "seasonal";
    const FAMILY: Family = Family::Seasonal;

    fn read(&self, context: &Context) -> Option<Reading> {
        let hour = context.season_hour?;
        let unit = self.spreads[hour].max(context.spread_min);
        (self.samples[hour] >= SAMPLES.0).then_some(Reading { centre: 0.0, unit })
    }

    fn learn(&mut self, context: &Context) {
        let Some(hour) = context.season_hour else { return };
        self.samples[hour] = (self.samples[hour] + 1).min(SAMPLES.1);
        let mut spread = self.spreads[hour];
        learn_spread(&mut spread, context.residual.abs(), 1.0 / f32::from(self.samples[hour]));
        self.spreads[hour] = spread;
    }

    fn recentre(&mut self, _by: f32) {}
}
