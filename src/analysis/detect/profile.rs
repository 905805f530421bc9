//! Distance from what the season's slot usually has, in that hour's own average deviation: nights are quieter than days.
//!
//! Not here: the season itself (see `baseline`); abstains while none is believed and in hours it has hardly seen.
//!
//! Cost: one cell a sample; 192 B from the day a season is believed, nothing before.

use super::{Context, Detector, Family, Reading, learn_spread};
use serde::{Deserialize, Serialize};

const HOURS: usize = 24;
/// Samples an hour of the day needs before it is judged, and remembers at most.
const SAMPLES: (u16, u16) = (4, 512);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Profile(Option<Box<[Hour; HOURS]>>);

/// What is known of an hour of the day.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Hour {
    spread: f32,
    samples: u16,
}

impl Profile {
    /// Bytes held outside of itself now.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |_| size_of::<[Hour; HOURS]>())
    }
}

impl Detector for Profile {
    const NAME: &'static str = "seasonal";
    const FAMILY: Family = Family::Seasonal;

    fn read(&self, context: &Context) -> Option<Reading> {
        let hour = &self.0.as_ref()?[context.season_hour?];
        let unit = hour.spread.max(context.spread_min);
        (hour.samples >= SAMPLES.0).then_some(Reading { centre: 0.0, unit })
    }

    fn learn(&mut self, context: &Context) {
        let Some(at) = context.season_hour else { return };
        let hour = &mut self.0.get_or_insert_default()[at];
        hour.samples = (hour.samples + 1).min(SAMPLES.1);
        learn_spread(&mut hour.spread, context.residual.abs(), 1.0 / f32::from(hour.samples));
    }

    fn recentre(&mut self, _by: f32) {}
}
