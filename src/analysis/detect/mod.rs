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

use super::calibrate::{Calibrators, Scores};
use super::ensemble::{DETECTORS, Family};
use serde::{Deserialize, Serialize};

/// How many detectors judge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effort {
    /// All of them.
    #[default]
    All,
    /// One of each family, for when there is no time for more; the others abstain and go on learning.
    OneOfAFamily,
}

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
    /// Samples learned before this one: see [`Detectors::samples`].
    pub(crate) samples: u32,
    /// How many detectors judge.
    pub(crate) effort: Effort,
}

impl Context {
    /// Samples learned, this one included.
    fn count(&self) -> u32 {
        self.samples.saturating_add(1)
    }

    /// Weight of this sample in an average that remembers so many at most, and all of them until then.
    fn weight(&self, memory: f32) -> f32 {
        1.0 / (self.count() as f32).min(memory)
    }
}

/// How far a residual is from where a detector would have it: `|residual - centre| / unit`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) centre: f32,
    pub(crate) unit: f32,
}

impl Reading {
    #[inline]
    fn score(&self, residual: f32) -> f32 {
        (residual - self.centre).abs() / self.unit
    }
}

/// All detectors' readings of one sample; none where one abstains.
pub(crate) type Readings = [Option<Reading>; DETECTORS];

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
    /// Since residuals last changed what they mean.
    samples: u32,
    zscore: zscore::ZScore,
    robust: robust::Robust,
    ema: ema::Ema,
    step_change: step_change::StepChange,
    shift: shift::Shift,
    calibrators: Calibrators,
    profile: profile::Profile,
}

impl Detectors {
    /// Samples learned since the last [`Detectors::restart`].
    pub(crate) fn samples(&self) -> u32 {
        self.samples
    }

    /// Reads what a sample will need: see [`super::SeriesModel::touch`].
    #[inline]
    pub(crate) fn touch(&self) -> u64 {
        u64::from(self.samples) + self.calibrators.touch()
    }

    /// Bytes held outside of itself now.
    pub(crate) fn profile_bytes(&self) -> usize {
        self.profile.bytes()
    }

    /// Every detector's reading of a sample.
    #[inline]
    pub(crate) fn read(&self, context: &Context) -> Readings {
        if context.effort == Effort::OneOfAFamily {
            let (robust, seasonal) = (self.robust.read(context), self.profile.read(context));
            return [None, robust, None, seasonal, self.step_change.read(context), None];
        }
        [
            self.zscore.read(context),
            self.robust.read(context),
            self.ema.read(context),
            self.profile.read(context),
            self.step_change.read(context),
            self.shift.read(context),
        ]
    }

    /// What one detector says of a sample, as -log10 of a tail probability: for measuring what it costs by itself.
    pub(crate) fn probe(&self, context: &Context, at: usize) -> f32 {
        let reading = match at {
            0 => self.zscore.read(context),
            1 => self.robust.read(context),
            2 => self.ema.read(context),
            3 => self.profile.read(context),
            4 => self.step_change.read(context),
            _ => self.shift.read(context),
        };
        reading.map_or(f32::NAN, |reading| self.calibrators.log_tail(at, reading.score(context.residual)))
    }

    /// The readings as -log10 of tail probabilities; NaN where a detector abstains.
    #[inline]
    pub(crate) fn log_tails(&self, context: &Context, readings: &Readings) -> Scores {
        let log_tail = |at: usize, reading: Reading| self.calibrators.log_tail(at, reading.score(context.residual));
        std::array::from_fn(|at| readings[at].map_or(f32::NAN, |reading| log_tail(at, reading)))
    }

    /// Residuals that detector `at` holds for normal down to the tail probability its calibrator was told last.
    #[inline]
    pub(crate) fn limits(&self, readings: &Readings, at: usize) -> Option<(f32, f32)> {
        let Reading { centre, unit } = readings[at]?;
        let reach = unit * self.calibrators.line(at);
        Some((centre - reach, centre + reach))
    }

    /// Learns the scores of a sample; the first of a run counts for no more than one at the line, the others not.
    #[inline]
    pub(crate) fn calibrate(&mut self, context: &Context, readings: &Readings, opens: bool, budget_log_tail: f32) {
        for (at, reading) in readings.iter().enumerate() {
            let Some(reading) = reading else { continue };
            let score = reading.score(context.residual);
            let score = if opens { score.min(self.calibrators.line(at)) } else { score };
            self.calibrators.learn(at, score, budget_log_tail);
        }
    }

    /// Looking back on everything, judges by tails that anomalies have not stretched.
    pub(crate) fn look_back(&mut self, budget_log_tail: f32) {
        self.calibrators.look_back(budget_log_tail);
    }

    /// Learns a sample's residual.
    #[inline]
    pub(crate) fn learn(&mut self, context: &Context) {
        self.zscore.learn(context);
        self.robust.learn(context);
        self.ema.learn(context);
        self.profile.learn(context);
        self.step_change.learn(context);
        self.shift.learn(context);
        self.samples = context.count();
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
        *self = Self { calibrators: self.calibrators, ..Self::default() };
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
