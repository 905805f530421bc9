//! The detectors: each reads how far a residual is from where it should be, then learns it.
//!
//! One file a detector; a new one is a file, a field of [`Detectors`] and a line in each of its lists.
//!
//! Not here: how rare a score is (see `calibrate`); detectors speak in multiples of their own spread.
//!
//! Invariants: O(1) a sample; reading never changes a detector; one that cannot judge yet abstains, and so does one that has
//! panicked.

mod ema;
mod profile;
mod robust;
mod shift;
mod step_change;
mod zscore;

use super::calibrate::{Calibrators, Scores};
use super::detectors;
use super::ensemble::{DETECTORS, Family, OWN};
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};

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
    pub(crate) fn score(&self, residual: f32) -> f32 {
        (residual - self.centre).abs() / self.unit
    }
}

/// All detectors' readings of one sample; none where one abstains.
pub(crate) type Readings = [Option<Reading>; OWN];

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

    /// Every detector's reading of a sample. One that panics is marked as broken and counted, and abstains from then on; the
    /// others go on.
    #[inline]
    pub(crate) fn read(&self, context: &Context, broken: &mut u8) -> Readings {
        if *broken == 0
            && let Ok(readings) = catch_unwind(AssertUnwindSafe(|| self.read_all(context)))
        {
            return readings;
        }
        self.read_each(context, broken)
    }

    #[inline]
    fn read_all(&self, context: &Context) -> Readings {
        if context.effort == Effort::OneOfAFamily {
            let (robust, seasonal) = (read(&self.robust, context), read(&self.profile, context));
            return [None, robust, None, seasonal, read(&self.step_change, context), None];
        }
        [
            read(&self.zscore, context),
            read(&self.robust, context),
            read(&self.ema, context),
            read(&self.profile, context),
            read(&self.step_change, context),
            read(&self.shift, context),
        ]
    }

    /// One after the other, each with its own net.
    #[cold]
    fn read_each(&self, context: &Context, broken: &mut u8) -> Readings {
        let mut readings = [None; OWN];
        for (at, reading) in readings.iter_mut().enumerate() {
            let is_asked = context.effort == Effort::All || ONE_OF_A_FAMILY.contains(&at);
            if is_asked && *broken & 1 << at == 0 {
                match catch_unwind(AssertUnwindSafe(|| self.read_one(context, at))) {
                    Ok(said) => *reading = said,
                    Err(_) => give_up(at, broken),
                }
            }
        }
        readings
    }

    fn read_one(&self, context: &Context, at: usize) -> Option<Reading> {
        match at {
            0 => read(&self.zscore, context),
            1 => read(&self.robust, context),
            2 => read(&self.ema, context),
            3 => read(&self.profile, context),
            4 => read(&self.step_change, context),
            5 => read(&self.shift, context),
            _ => None,
        }
    }

    /// What one detector says of a sample, as -log10 of a tail probability: for measuring what it costs by itself.
    pub(crate) fn probe(&self, context: &Context, at: usize) -> f32 {
        let reading = self.read_one(context, at);
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

    /// Learns a sample's residual. Where a detector panics those before it learn the sample twice, which moves them a
    /// little; it abstains from then on, and is counted.
    #[inline]
    pub(crate) fn learn(&mut self, context: &Context, broken: &mut u8) {
        let is_whole = *broken == 0 && catch_unwind(AssertUnwindSafe(|| self.learn_all(context))).is_ok();
        if !is_whole {
            self.learn_each(context, broken);
        }
        self.samples = context.count();
    }

    #[inline]
    fn learn_all(&mut self, context: &Context) {
        (0..OWN).for_each(|at| self.learn_one(context, at));
    }

    #[cold]
    fn learn_each(&mut self, context: &Context, broken: &mut u8) {
        for at in 0..OWN {
            if *broken & 1 << at != 0 {
                continue;
            }
            let mut copy = self.clone();
            match catch_unwind(AssertUnwindSafe(|| copy.learn_one(context, at))) {
                Ok(()) => *self = copy,
                Err(_) => give_up(at, broken),
            }
        }
    }

    #[inline(always)]
    fn learn_one(&mut self, context: &Context, at: usize) {
        match at {
            0 => self.zscore.learn(context),
            1 => self.robust.learn(context),
            2 => self.ema.learn(context),
            3 => self.profile.learn(context),
            4 => self.step_change.learn(context),
            _ => self.shift.learn(context),
        }
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

/// A detector has panicked: it is marked as broken, and counted.
fn give_up(at: usize, broken: &mut u8) {
    *broken |= 1 << at;
    detectors::count_failure();
}

/// Who judges where there is no time for all.
const ONE_OF_A_FAMILY: [usize; 3] = [1, 3, 4];

/// A detector's reading.
#[inline(always)]
fn read<D: Detector>(detector: &D, context: &Context) -> Option<Reading> {
    #[cfg(test)]
    tests::break_down(D::NAME);
    detector.read(context)
}

/// Name and family of every detector, in the order of their votes.
pub(crate) const NAMES: [(&str, Family); DETECTORS] = [
    of::<zscore::ZScore>(),
    of::<robust::Robust>(),
    of::<ema::Ema>(),
    of::<profile::Profile>(),
    of::<step_change::StepChange>(),
    of::<shift::Shift>(),
    ("foundation", Family::Foundation),
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
