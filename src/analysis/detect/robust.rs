//! Distance from a running median in running median absolute deviations.
//!
//! Not here: distances from a mean (see `zscore`, `ema`). Median and deviation are followed as Robbins and Monro (1951)
//! follow quantiles: a step towards the value whatever its distance, so half of the samples may be wild.

use super::{Context, Detector, Family, Reading};
use serde::{Deserialize, Serialize};

/// Step in median absolute deviations; the memory is about its inverse in samples, some thirty.
const PACE: f32 = 1.0 / 16.0;
/// Samples averaged before steps begin, so that the steps have a size.
const START: u32 = 16;
const SAMPLES_MIN: u32 = 32;

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Robust {
    median: f32,
    deviation: f32,
}

impl Detector for Robust {
    const NAME: &'static str = "robust";
    const FAMILY: Family = Family::LocationScale;

    fn read(&self, context: &Context) -> Option<Reading> {
        let unit = self.deviation.max(context.spread_min);
        (context.samples >= SAMPLES_MIN).then_some(Reading { centre: self.median, unit })
    }

    fn learn(&mut self, context: &Context) {
        let away = context.residual - self.median;
        if context.count() <= START {
            let weight = context.weight(START as f32);
            self.median += weight * away;
            self.deviation += weight * (away.abs() - self.deviation);
            return;
        }
        let step = PACE * self.deviation.max(context.spread_min);
        self.median += away.clamp(-step, step);
        // The deviation moves by shares of itself, half as fast, and never below what can be told from none.
        let beyond = away.abs() > self.deviation;
        self.deviation *= if beyond { 1.0 + 0.5 * PACE } else { 1.0 - 0.5 * PACE };
        self.deviation = self.deviation.max(context.spread_min);
    }

    fn recentre(&mut self, _by: f32) {
        self.median = 0.0;
    }
}
