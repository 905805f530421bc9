//! The detectors: each reads how far a residual is from where it should be, then learns it.
//!
//! One file a detector; a new one is a file, a field of [`Detectors`] and a line in each of its lists.
//!
//! Not here: how rare a score is (see `calibrate`); detectors speak in multiples of their own spread.
//!
//! Invariants: O(1) a sample; reading never changes a detector; one that cannot judge yet abstains.

mod ema;
mod profile;
mod robust;
mod shift;
mod step_change;
mod zscore;

use super::calibrate::Calibrator;
use super::ensemble::{DETECTORS, Family};
use serde::{Deserialize, Serialize};

/// A sample's residual and what detectors may know about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    /// Value less what the baseline expected.
    pub(crate) residual: f32,
    /// Hour of the day if a season is believed.
    pub(crate) season_hour: Option<usize>,
    /// Smallest spread worth telling from none, in the value's unit.
    pub(crate) spread_min: f32,
    /// Whether the sample before was one step ago.
    pub(crate) has_neighbour: bool,
    /// Whether a whole day was seen.
    pub(crate) knows_a_day: bool,
    /// Samples in a day, within reason: the memory of what is slow.
    pub(crate) window: f32,
}

/// How far a residual is from where a detector would have it: `|residual - centre| / unit`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) centre: f32,
    pub(crate) unit: f32,
}

impl Reading {
    fn score(&self, residual: f32) -> f32 {
        (residual - self.centre).abs() / self.unit
    }
}

/// What every detector can do.
pub(crate) trait Detector {
    /// Its name, as shown to users.
    const NAME: &'static str;
    /// What it looks at.
    const FAMILY: Family;
    /// Its view of a sample it has not learned; `None` while it cannot judge.
    fn read(&self, context: &Context) -> Option<Reading>;
    /// Takes the sample.
    fn learn(&mut self, context: &Context);
    /// The baseline moved by so much: residuals are smaller by it from now on, and none is normal.
    fn recentre(&mut self, by: f32);
}

/// All detectors of the online tier with their calibration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Detectors {
    zscore: zscore::ZScore,
    robust: robust::Robust,
    ema: ema::Ema,
    profile: profile::Profile,
    step_change: step_change::StepChange,
    shift: shift::Shift,
    calibrators: [Calibrator; DETECTORS],
}

/// Readings of one sample, one a detector.
pub(crate) type Readings = [Option<Reading>; DETECTORS];

impl Detectors {
    /// Every detector's reading of a sample.
    pub(crate) fn read(&self, context: &Context) -> Readings {
        [
            self.zscore.read(context),
            self.robust.read(context),
            self.ema.read(context),
            self.profile.read(context),
            self.step_change.read(context),
            self.shift.read(context),
        ]
    }

    /// The readings as -log10 of tail probabilities; NaN where a detector abstains.
    pub(crate) fn log_tails(&self, context: &Context, readings: &Readings) -> [f32; DETECTORS] {
        std::array::from_fn(|at| {
            readings[at].map_or(f32::NAN, |reading| self.calibrators[at].log_tail(reading.score(context.residual)))
        })
    }

    /// Residuals that detector `at` holds for normal down to the tail probability its calibrator was told last.
    pub(crate) fn limits(&self, readings: &Readings, at: usize) -> Option<(f32, f32)> {
        let Reading { centre, unit } = readings[at]?;
        let reach = unit * self.calibrators[at].line();
        Some((centre - reach, centre + reach))
    }

    /// Learns the scores of a sample; the first of a run counts for no more than one at the line, the others not.
    pub(crate) fn calibrate(&mut self, context: &Context, readings: &Readings, opens: bool, budget_log_tail: f32) {
        for (calibrator, reading) in self.calibrators.iter_mut().zip(readings) {
            let Some(reading) = reading else { continue };
            let score = reading.score(context.residual);
            calibrator.learn(if opens { score.min(calibrator.line()) } else { score }, budget_log_tail);
        }
    }

    /// Looking back on everything, judges by tails that anomalies have not stretched.
    pub(crate) fn look_back(&mut self, budget_log_tail: f32) {
        self.calibrators.iter_mut().for_each(|calibrator| calibrator.look_back(budget_log_tail));
    }

    /// Learns a sample's residual.
    pub(crate) fn learn(&mut self, context: &Context) {
        self.zscore.learn(context);
        self.robust.learn(context);
        self.ema.learn(context);
        self.profile.learn(context);
        self.step_change.learn(context);
        self.shift.learn(context);
    }

    /// Where the fast level stands, as a residual.
    pub(crate) fn fast_level(&self) -> f32 {
        self.ema.level()
    }

    /// The baseline moved.
    pub(crate) fn recentre(&mut self, by: f32) {
        self.zscore.recentre(by);
        self.robust.recentre(by);
        self.ema.recentre(by);
        self.profile.recentre(by);
        self.step_change.recentre(by);
        self.shift.recentre(by);
    }

    /// Residuals mean something else from now on, because another season is believed: what was learned of single
    /// residuals is forgotten, how scores are spread is not.
    pub(crate) fn restart(&mut self) {
        *self = Self { calibrators: std::mem::take(&mut self.calibrators), ..Self::default() };
    }
}

/// Name and family of every detector, in the order of their votes.
pub(crate) const NAMES: [(&str, Family); DETECTORS] = [
    of::<zscore::ZScore>(),
    of::<robust::Robust>(),
    of::<ema::Ema>(),
    of::<profile::Profile>(),
    of::<step_change::StepChange>(),
    of::<shift::Shift>(),
];

const fn of<D: Detector>() -> (&'static str, Family) {
    (D::NAME, D::FAMILY)
}

/// A mean absolute deviation that outliers move no further than a deviation of this many times itself.
pub(super) fn learn_spread(spread: &mut f32, deviation: f32, weight: f32) {
    const CLIP: f32 = 5.0;
    let clipped = if weight < 0.1 && *spread > 0.0 { deviation.min(CLIP * *spread) } else { deviation };
    *spread += weight * (clipped - *spread);
}

#[cfg(test)]
mod tests;
