//! The band that a foundation model gave for the next samples of a series, and how rare a distance from it is.
//!
//! Half the distance between the quantiles that a tenth exceeds is 1.3 standard deviations of a Gaussian and 1.6 mean
//! absolute deviations of a Laplacian: in both 0.62 of it is the mean absolute deviation, in which all detectors speak.
//! The two sides of the median have each their own, since many series are skewed. A model that was trained on other
//! series need not be right about this one, so its scores are calibrated by their own past like those of all detectors;
//! until there are enough of them, by what calibrators hold before they have seen any.
//!
//! Not here: making forecasts (see `foresight`, `pretrained`).
//!
//! Invariants: a band says nothing of a time that is not later than what it was made from, nor of one beyond its last
//! step; it takes 12 bytes a step.

use super::calibrate::{Calibrator, SCORES_MIN};
use super::detect::Reading;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Mean absolute deviation in half of the distance between the outer quantiles.
const UNIT_SHARE: f32 = 0.62;

/// Levels of the quantiles that are kept: the outer ones are the outermost that all published models give.
pub(super) const LEVELS: [f64; 3] = [0.1, 0.5, 0.9];

/// Quantiles of the next samples of a series, in the unit of what is judged (a counter's is its increase a second).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForecastBand {
    /// Time of the newest sample it was made from, milliseconds since 1970 UTC.
    after_ms: i64,
    step_ms: f64,
    /// What the quantiles are relative to, so that 32 bits are enough for them.
    base: f64,
    /// Ascending, of each step.
    quantiles: Box<[[f32; 3]]>,
    /// Held as long as the band is: who gave it counts how many there are. Not encoded: a band that is decoded has none.
    #[serde(skip)]
    _place: Option<Arc<()>>,
}

impl ForecastBand {
    /// From the quantiles of [`LEVELS`] of the steps after a time; `None` where one is no number.
    pub(super) fn new(after_ms: i64, step_ms: f64, steps: impl Iterator<Item = [f64; 3]>) -> Option<Self> {
        let mut base = f64::NAN;
        let relative = |quantiles: [f64; 3]| {
            base = if base.is_nan() { quantiles[1] } else { base };
            quantiles.map(|quantile| (quantile - base) as f32)
        };
        let quantiles: Box<[[f32; 3]]> = steps.map(relative).collect();
        let are_finite = quantiles.iter().flatten().all(|quantile| quantile.is_finite());
        are_finite.then_some(Self { after_ms, step_ms, base, quantiles, _place: None })
    }

    /// Says nothing, of a series of which nothing can be told now.
    pub fn nothing(after_ms: i64, step_ms: f64) -> Self {
        Self { after_ms, step_ms, base: 0.0, quantiles: Box::default(), _place: None }
    }

    /// The same, holding a place among those there may be.
    pub fn holding(self, place: Arc<()>) -> Self {
        Self { _place: Some(place), ..self }
    }

    /// Time of the newest sample it was made from.
    pub fn after_ms(&self) -> i64 {
        self.after_ms
    }

    /// Of how many steps it says something.
    #[cfg(test)]
    pub(crate) fn steps(&self) -> usize {
        self.quantiles.len()
    }

    /// How many steps of its series are over since it was made.
    pub fn age_steps(&self, time_ms: i64) -> f64 {
        time_ms.saturating_sub(self.after_ms) as f64 / self.step_ms
    }

    /// The quantiles at a time, less `expected`; `None` where it says nothing.
    #[inline]
    fn at(&self, time_ms: i64, expected: f64) -> Option<[f32; 3]> {
        let passed_ms = time_ms.saturating_sub(self.after_ms);
        if passed_ms <= 0 {
            return None;
        }
        let step = (passed_ms as f64 / self.step_ms).round().max(1.0) as usize - 1;
        let by = (self.base - expected) as f32;
        self.quantiles.get(step).map(|quantiles| quantiles.map(|quantile| quantile + by))
    }
}

/// A series' newest band with how rare distances from its bands have been.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Foreseen {
    band: ForecastBand,
    calibrator: Calibrator,
    /// Scores it has learned.
    seen: u16,
}

/// -log10 of the share of samples that lie beyond the limits which are shown before anything was learned of the band.
const FIRST_LOG_TAIL: f32 = 3.0;

/// What the band says of one sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Foresight {
    /// On the side of the median on which the sample lies.
    pub(crate) reading: Reading,
    /// -log10 of the probability of a sample at least as far off.
    pub(crate) log_tail: f32,
    /// Residuals that it holds for normal.
    pub(crate) limits: (f32, f32),
}

impl Foreseen {
    /// The first band of a series.
    pub(crate) fn new(band: ForecastBand) -> Self {
        Self { band, calibrator: Calibrator::default(), seen: 0 }
    }

    /// Takes a newer band; an older one than there is changes nothing.
    pub(crate) fn renew(&mut self, band: ForecastBand) {
        if band.after_ms >= self.band.after_ms {
            self.band = band;
        }
    }

    /// The same with a place for its band.
    pub(crate) fn holding(self, place: Arc<()>) -> Self {
        Self { band: self.band.holding(place), ..self }
    }

    /// The band.
    pub(crate) fn band(&self) -> &ForecastBand {
        &self.band
    }

    /// What it says of a residual, the value less `expected`; `None` where the band says nothing of this time.
    #[inline]
    pub(crate) fn read(&self, time_ms: i64, expected: f64, residual: f32, spread_min: f32) -> Option<Foresight> {
        let [low, median, high] = self.band.at(time_ms, expected)?;
        let unit = |half: f32| (UNIT_SHARE * half).max(spread_min);
        let (below, above) = (unit(median - low), unit(high - median));
        let reading = Reading { centre: median, unit: if residual < median { below } else { above } };
        let log_tail = self.calibrator.log_tail(reading.score(residual), self.seen.max(SCORES_MIN));
        let line = self.calibrator.line_or_at(FIRST_LOG_TAIL);
        let limits = (median - below * line, median + above * line);
        Some(Foresight { reading, log_tail, limits })
    }

    /// Learns how far a sample was off; the first of a run counts for no more than one at the line.
    #[inline]
    pub(crate) fn learn(&mut self, foresight: &Foresight, residual: f32, opens: bool, budget_log_tail: f32) {
        let score = foresight.reading.score(residual);
        let score = if opens { score.min(self.calibrator.line()) } else { score };
        self.seen = self.seen.saturating_add(1);
        self.calibrator.learn(score, self.seen, budget_log_tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn band() -> ForecastBand {
        let steps = (0..4).map(|step| [1e9 - 2.0, 1e9 + f64::from(step), 1e9 + 10.0]);
        ForecastBand::new(60_000, 10_000.0, steps).unwrap()
    }

    #[test]
    fn a_band_speaks_of_its_steps_and_of_no_other_time() {
        let band = band();
        let at = |time_ms| band.at(time_ms, 1e9).map(|quantiles| quantiles[1]);
        let times = [50_000, 60_000, 60_001, 70_000, 74_999, 75_000, 100_000, 105_000, i64::MAX, i64::MIN];
        let wanted = [None, None, Some(0.0), Some(0.0), Some(0.0), Some(1.0), Some(3.0), None, None, None];
        assert_eq!(times.map(at), wanted);
        assert_eq!(band.age_steps(80_000), 2.0);
        assert!(ForecastBand::new(0, 1.0, [[0.0, f64::NAN, 1.0]].into_iter()).is_none());
        assert!(ForecastBand::nothing(60_000, 10_000.0).at(70_000, 0.0).is_none());
    }

    #[test]
    fn each_side_has_its_own_unit_and_no_side_less_than_the_least_spread() {
        let foreseen = Foreseen::new(band());
        let read = |residual: f32, spread_min| foreseen.read(70_000, 1e9, residual, spread_min).unwrap();
        let (above, below) = (read(31.0, 0.1), read(-31.0, 0.1));
        assert!((above.reading.unit - 6.2).abs() < 1e-3 && (below.reading.unit - 1.24).abs() < 1e-3);
        assert!(above.log_tail > 1.0 && below.log_tail > 2.0 * above.log_tail, "{above:?} {below:?}");
        assert!((read(-3.0, 5.0).reading.unit - 5.0).abs() < 1e-6);
        assert!(read(0.0, 0.1).log_tail < 1e-6);
        let (lower, upper) = read(0.0, 0.1).limits;
        assert!(lower.is_finite() && upper.is_finite() && lower < -2.0 && upper > 10.0, "{lower} {upper}");
    }

    #[test]
    fn a_band_that_is_often_wrong_is_believed_less() {
        let mut foreseen = Foreseen::new(band());
        let before = foreseen.read(70_000, 1e9, 40.0, 0.1).unwrap().log_tail;
        for at in 0..2000u16 {
            let residual = f32::from(at.wrapping_mul(7919) % 100) - 50.0;
            let told = foreseen.read(70_000, 1e9, residual, 0.1).unwrap();
            foreseen.learn(&told, residual, false, 4.0);
        }
        let after = foreseen.read(70_000, 1e9, 40.0, 0.1).unwrap().log_tail;
        assert!(before > 2.0 && after < 0.7 * before, "{before} {after}");
    }

    #[test]
    fn an_older_band_does_not_replace_a_newer_one_and_a_place_is_given_back_with_it() {
        let place = Arc::new(());
        let mut foreseen = Foreseen::new(band().holding(place.clone()));
        let older = ForecastBand { after_ms: 0, ..band() };
        foreseen.renew(older.holding(place.clone()));
        assert_eq!((foreseen.band().after_ms(), Arc::strong_count(&place)), (60_000, 2));
        drop(foreseen);
        assert_eq!(Arc::strong_count(&place), 1);
    }
}
