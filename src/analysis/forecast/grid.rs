//! Samples at any times become values on a grid of equal steps, with gaps marked.
//!
//! Not here: how a model treats a gap.
//!
//! Invariant: the newest sample stands in the last cell; every value is within -2..=2 around a centre of zero, so that
//! no sum of them can overflow; a cell without a sample is NaN.

use super::robust::{Slope, median};
use super::sawtooth::{Envelope, Reset, Sawtooth, Teeth};
use super::{DAY_MS, ForecastError, TrendPerDay};
use serde::{Deserialize, Serialize};

/// Cells that are looked at, newest first: three weeks of minutes.
const CELLS_MAX: i128 = 32_768;
/// History before a gap is given up when the gap has more cells than this and than everything after it.
const GAP_MAX: i128 = 64;
/// Steps that clocks are set to, in milliseconds; one within a hundredth of these is meant to be it.
const USUAL_STEPS_MS: [i64; 22] = [
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    20_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_200_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    14_400_000,
    21_600_000,
    43_200_000,
    86_400_000,
    604_800_000,
];

/// Values of equal distance in time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Grid {
    pub(super) step_ms: i64,
    /// Time of the last cell, in milliseconds since 1970.
    pub(super) last_ms: i64,
    /// `(value / scale) - centre`, NaN where nothing was sampled.
    pub(super) values: Vec<f64>,
    scale: f64,
    centre: f64,
    /// What no value can be less, and more, than, in the unit of the samples.
    least: f64,
    most: f64,
}

impl Grid {
    /// The grid of samples in any order; samples that are not finite are left out. Where no sample is negative or more than
    /// `most`, nothing else will be.
    pub(super) fn new(times_ms: &[i64], values: &[f64], most: Option<f64>) -> Result<Self, ForecastError> {
        let mut all: Vec<(i64, f64)> = times_ms.iter().copied().zip(values.iter().copied()).collect();
        all.sort_by_key(|(time_ms, _)| *time_ms);
        let mut samples = all.clone();
        samples.retain(|(_, value)| value.is_finite());
        let step_ms = step_ms(&samples).ok_or(ForecastError::TooShort { usable: samples.len() })?;
        // A value that is not known is none, but where one came the series was not silent.
        all.truncate(all.iter().rposition(|(_, value)| value.is_finite()).map_or(0, |last| last + 1));
        let from_ms = newest_stretch(&all, step_ms).first().map_or(i64::MIN, |(time_ms, _)| *time_ms);
        samples.retain(|(time_ms, _)| *time_ms >= from_ms);
        if samples.len() < 2 {
            return Err(ForecastError::TooShort { usable: samples.len() });
        }
        let (last_ms, _) = samples[samples.len() - 1];
        let scale = samples.iter().map(|(_, value)| value.abs()).fold(0.0, f64::max);
        let scale = if scale > 0.0 { scale } else { 1.0 };
        let mut grid = Self {
            step_ms,
            last_ms,
            values: Vec::new(),
            scale,
            centre: 0.0,
            least: if samples.iter().all(|(_, value)| *value >= 0.0) { 0.0 } else { f64::MIN },
            most: most.filter(|most| samples.iter().all(|(_, value)| value <= most)).unwrap_or(f64::MAX),
        };
        let cell = |time_ms| cells_between(time_ms, last_ms, step_ms) as usize;
        let length = cell(samples[0].0) + 1;
        let mut sums = vec![(0.0, 0.0); length];
        for (time_ms, value) in &samples {
            let (sum, count) = &mut sums[length - 1 - cell(*time_ms)];
            *sum += value / scale;
            *count += 1.0;
        }
        grid.values = sums.iter().map(|(sum, count)| sum / count).collect();
        let mut present: Vec<f64> = grid.values.iter().copied().filter(|value| !value.is_nan()).collect();
        grid.centre = median(&mut present);
        grid.values.iter_mut().for_each(|value| *value -= grid.centre);
        Ok(grid)
    }

    /// Where zero lies on the grid, if every value is above it.
    pub(super) fn zero(&self) -> Option<f64> {
        let above = |value: &f64| value.is_nan() || value + self.centre > 0.0;
        self.values.iter().all(above).then_some(-self.centre)
    }

    /// A value on the grid in the unit of the samples; finite for every finite value.
    pub(super) fn unscaled(&self, value: f64) -> f64 {
        ((value + self.centre) * self.scale).clamp(self.least, self.most)
    }

    /// A value in the unit of the samples as it is on the grid.
    pub(super) fn scaled(&self, value: f64) -> f64 {
        value / self.scale - self.centre
    }

    /// A difference on the grid in the unit of the samples.
    pub(super) fn unscaled_difference(&self, difference: f64) -> f64 {
        (difference * self.scale).clamp(f64::MIN, f64::MAX)
    }

    /// Teeth in the unit of the samples; `sign` is -1 where they were found upside down.
    /// The envelope reaches from the first of them to the end of a horizon, both counted in cells.
    pub(super) fn sawtooth(&self, teeth: &Teeth, sign: f64, (cells, horizon): (usize, usize)) -> Sawtooth {
        let per_day = |slope: Slope| {
            let per_day = |slope: f64| self.unscaled_difference(slope * DAY_MS / self.step_ms as f64);
            TrendPerDay { slope: per_day(slope.per_cell), lower: per_day(slope.lower), upper: per_day(slope.upper) }
        };
        let now = (cells - 1) as f64;
        let first = teeth.peaks.first().map_or(now, |(cell, _)| *cell);
        let (below, above) = teeth.usual_scatter();
        let edge = |ahead: f64| {
            let peak = teeth.peak_at(cells, ahead);
            let value = |value: f64| self.unscaled(sign * value);
            Envelope {
                time_ms: self.last_ms.saturating_add((ahead * self.step_ms as f64).round() as i64),
                floor: value(teeth.floor_at(now + ahead)),
                peak: value(peak),
                peak_near: value(peak + above),
                peak_far: value(peak + below),
            }
        };
        let value = |points: &[(f64, f64)]| points.last().map_or(0.0, |(_, value)| self.unscaled(sign * value));
        Sawtooth {
            resets: teeth.peaks.len(),
            cycle_ms: (teeth.cycle * self.step_ms as f64).round() as i64,
            reset: match teeth.reset {
                Reset::AtLevel(level) => Reset::AtLevel(self.unscaled(sign * level)),
                Reset::AfterRise(rise) => Reset::AfterRise(self.unscaled_difference(rise)),
                other => other,
            },
            floor: value(&teeth.floors),
            peak: value(&teeth.peaks),
            floor_per_day: per_day(teeth.floor_slope),
            peak_per_day: per_day(teeth.peak_slope),
            envelope: [first - now, horizon as f64].map(edge),
        }
    }

    /// Time of a cell that lies `ahead` cells after the last one.
    pub(super) fn time_ms(&self, ahead: usize) -> Result<i64, ForecastError> {
        let offset_ms = i64::try_from(ahead).ok().and_then(|ahead| self.step_ms.checked_mul(ahead));
        offset_ms.and_then(|offset_ms| self.last_ms.checked_add(offset_ms)).ok_or(ForecastError::EndOfTime)
    }

    /// Cells from the last one to that of a later time; none if it is not later.
    pub(super) fn cells_to(&self, time_ms: i64) -> Option<usize> {
        usize::try_from(cells_between(self.last_ms, time_ms, self.step_ms)).ok().filter(|ahead| *ahead > 0)
    }

    /// The values with gaps bridged by straight lines.
    pub(super) fn bridged(&self) -> Vec<f64> {
        let mut out = self.values.clone();
        let mut before = 0;
        for i in 1..out.len() {
            if !out[i].is_nan() {
                let (from, to, length) = (out[before], out[i], (i - before) as f64);
                for (k, value) in out[before + 1..i].iter_mut().enumerate() {
                    *value = from + (to - from) * (k + 1) as f64 / length;
                }
                before = i;
            }
        }
        out
    }
}

/// The median distance of neighbours in time, or the usual step it is meant to be.
fn step_ms(samples: &[(i64, f64)]) -> Option<i64> {
    let apart = |pair: &[(i64, f64)]| i128::from(pair[1].0) - i128::from(pair[0].0);
    let mut steps: Vec<i128> = samples.windows(2).map(apart).filter(|step| *step > 0).collect();
    let middle = steps.len().checked_sub(1)? / 2;
    let step = i64::try_from(*steps.select_nth_unstable(middle).1).ok()?;
    let meant = USUAL_STEPS_MS.iter().find(|usual| step.abs_diff(**usual) <= usual.unsigned_abs() / 100);
    Some(meant.copied().unwrap_or(step))
}

/// Whole cells from a time to the last one, rounded to the nearest.
fn cells_between(time_ms: i64, last_ms: i64, step_ms: i64) -> i128 {
    let (apart, step) = (i128::from(last_ms) - i128::from(time_ms), i128::from(step_ms));
    (apart + step / 2) / step
}

/// The newest samples, back to where the grid would be too long or a gap too wide.
fn newest_stretch(samples: &[(i64, f64)], step_ms: i64) -> &[(i64, f64)] {
    let Some((last_ms, _)) = samples.last() else { return samples };
    let cell = |i: usize| cells_between(samples[i].0, *last_ms, step_ms);
    let goes_on = |i: &usize| {
        let so_far = cell(*i + 1);
        cell(*i) < CELLS_MAX && cell(*i) - so_far <= so_far.max(GAP_MAX)
    };
    let from = (0..samples.len() - 1).rev().take_while(goes_on).last().unwrap_or(samples.len() - 1);
    &samples[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(samples: &[(i64, f64)]) -> Grid {
        let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
        Grid::new(&times, &values, None).unwrap()
    }

    #[test]
    fn jitter_gaps_disorder_and_what_is_not_finite_are_taken_in_stride() {
        let grid = grid(&[(120_010, 4.0), (0, 2.0), (59_990, 3.0), (60_000, f64::NAN), (299_900, 8.0), (240_000, 8.0)]);
        assert_eq!(grid.step_ms, 60_000);
        let values: Vec<f64> = grid.values.iter().map(|value| grid.unscaled(*value)).collect();
        assert_eq!(values[..3], [2.0, 3.0, 4.0]);
        assert!(grid.values[3].is_nan());
        assert_eq!(values[4..], [8.0, 8.0]);
        let bridged = grid.bridged()[3];
        assert_eq!(grid.unscaled(bridged), 6.0);
    }

    #[test]
    fn a_stray_sample_long_ago_is_not_history() {
        let recent = (0..100).map(|i| (1_700_000_000_000 + 60_000 * i, 1.0));
        let grid = grid(&[(0, 5.0)].into_iter().chain(recent).collect::<Vec<_>>());
        assert_eq!(grid.values.len(), 100);
    }

    #[test]
    fn a_stretch_whose_values_are_not_known_is_no_silence() {
        // Longer than all that follows: history before such a silence would be given up.
        let value = |i: i64| (60_000 * i, if (300..900).contains(&i) { f64::NAN } else { i as f64 });
        let all: Vec<(i64, f64)> = (0..1000).map(value).collect();
        let silent: Vec<(i64, f64)> = all.iter().copied().filter(|(_, value)| value.is_finite()).collect();
        assert_eq!((grid(&all).values.len(), grid(&silent).values.len()), (1000, 100));
        assert!(grid(&all).values[300..900].iter().all(|value| value.is_nan()));
        assert_eq!(grid(&all[..310]).values.len(), 300, "what is not known at the end is no step");
    }

    #[test]
    fn two_samples_are_a_grid_and_fewer_are_none() {
        assert_eq!(grid(&[(0, 1.0), (5, 2.0)]).values.len(), 2);
        for times in [&[][..], &[1], &[1, 1]] {
            let values = vec![1.0; times.len()];
            assert!(matches!(Grid::new(times, &values, None), Err(ForecastError::TooShort { .. })));
        }
    }

    #[test]
    fn only_samples_without_a_negative_one_stay_above_zero() {
        assert_eq!(grid(&[(0, 0.5), (1, 1.0)]).unscaled(-9.0), 0.0);
        assert!(grid(&[(0, -0.5), (1, 1.0)]).unscaled(-9.0) < 0.0);
    }
}
