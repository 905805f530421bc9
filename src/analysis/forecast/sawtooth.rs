//! Series that rise until something sets them back: logs that are rotated, heaps that are collected, data that expire.
//!
//! A straight line through such a series says nothing of when it runs full: the peaks do, and whether the floor to which it
//! is set back rises says whether something leaks or is only a cache that grows and is emptied.
//!
//! Not here: dates (see `capacity`). A series that falls and is refilled is looked at upside down by the caller.
//!
//! Invariant: a spike, which rises as suddenly as it falls, is no reset.

use super::robust::{Slope, median, quantile, theil_sen};
use serde::{Deserialize, Serialize};

/// Resets that make a pattern.
const RESETS_MIN: usize = 3;
/// Teeth that are remembered of a series that is kept up to date.
const TEETH_MAX: usize = 512;
/// Cells that a tooth has at least: shorter ones are a season, or noise.
const CYCLE_MIN: f64 = 6.0;
/// A reset falls by so many robust standard deviations of steps, and by this share of the usual range at least.
const FALL_MIN: f64 = 6.0;
const SHARE_MIN: f64 = 0.25;
/// Levels before resets, or rises up to them, that vary by less than this share of a fall are the rule behind them; times
/// between are when they vary by less than a schedule does.
const REGULAR: f64 = 0.15;
const ON_SCHEDULE: f64 = 0.04;

/// What sets a series back, as far as its times and levels tell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Reset {
    /// It happens at equal distances in time: a job on a schedule, such as rotation, retention or a backup.
    Scheduled,
    /// It happens at one level: a limit of size.
    AtLevel(f64),
    /// It happens whenever it has risen by as much: garbage collection and its like.
    AfterRise(f64),
    /// Neither.
    Irregular,
}

impl Reset {
    /// The word for it in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::AtLevel(_) => "at_level",
            Self::AfterRise(_) => "after_rise",
            Self::Irregular => "irregular",
        }
    }

    /// The level or the rise, where that is what sets it back.
    pub fn value(self) -> Option<f64> {
        match self {
            Self::AtLevel(value) | Self::AfterRise(value) => Some(value),
            Self::Scheduled | Self::Irregular => None,
        }
    }
}

/// A series that rises and is set back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sawtooth {
    /// Times it was set back.
    pub resets: usize,
    /// The usual time between, in milliseconds.
    pub cycle_ms: i64,
    /// What sets it back.
    pub reset: Reset,
    /// The level it was set back to at last.
    pub floor: f64,
    /// The level it reached at last before it was set back.
    pub peak: f64,
    /// How fast the floor rises, a day, with its interval.
    pub floor_per_day: super::TrendPerDay,
    /// How fast the peaks rise, a day, with their interval.
    pub peak_per_day: super::TrendPerDay,
    /// The lines of floors and peaks, at the first reset and at the end of the horizon.
    pub envelope: [Envelope; 2],
}

/// Where floors and peaks lie at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Envelope {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// The level it is set back to.
    pub floor: f64,
    /// The level it reaches before.
    pub peak: f64,
    /// The level that one peak in ten goes beyond.
    pub peak_near: f64,
    /// The level that nine peaks in ten reach.
    pub peak_far: f64,
}

impl Sawtooth {
    /// Whether each reset frees less than the one before: what is left over grows for good.
    pub fn is_leak(&self) -> bool {
        self.floor_per_day.lower > 0.0
    }
}

/// The teeth of a series, in cells and the values of the grid.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Teeth {
    /// Cell and value of the last value before each reset.
    pub(super) peaks: Vec<(f64, f64)>,
    /// Cell and value of the first after each.
    pub(super) floors: Vec<(f64, f64)>,
    pub(super) peak_slope: Slope,
    pub(super) floor_slope: Slope,
    pub(super) cycle: f64,
    pub(super) reset: Reset,
    /// What counts as a reset.
    fall_min: f64,
}

impl Teeth {
    /// Finds them; none where the series is no sawtooth. `level` (0 to 1) is that of the slopes' intervals.
    pub(super) fn find(bridged: &[f64], level: f64) -> Option<Self> {
        let steps: Vec<f64> = bridged.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let usual = median(&mut steps.clone());
        let sigma = 1.4826 * median(&mut steps.iter().map(|step| (step - usual).abs()).collect::<Vec<_>>());
        let mut sorted = bridged.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let range = quantile(&sorted, 0.95) - quantile(&sorted, 0.05);
        let fall_min = (FALL_MIN * sigma).max(SHARE_MIN * range);
        if !(usual >= 0.0 && fall_min > 0.0) {
            return None;
        }
        let resets = resets(bridged, fall_min);
        if resets.len() < RESETS_MIN {
            return None;
        }
        let peaks: Vec<(f64, f64)> = resets.iter().map(|(peak, _)| (*peak as f64, bridged[*peak])).collect();
        let floors: Vec<(f64, f64)> = resets.iter().map(|(_, floor)| (*floor as f64, bridged[*floor])).collect();
        let mut cycles: Vec<f64> = peaks.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        let mut rises: Vec<f64> = peaks[1..].iter().zip(&floors).map(|(peak, floor)| peak.1 - floor.1).collect();
        let falls = peaks.iter().zip(&floors).map(|(peak, floor)| peak.1 - floor.1);
        let mut falls: Vec<f64> = falls.collect();
        let fall = median(&mut falls);
        let levels: Vec<f64> = peaks.iter().map(|(_, peak)| *peak).collect();
        let reset = if variation(&cycles, median(&mut cycles.clone())) < ON_SCHEDULE {
            Reset::Scheduled
        } else if variation(&levels, fall) < REGULAR {
            Reset::AtLevel(median(&mut levels.clone()))
        } else if variation(&rises, fall) < 2.0 * REGULAR {
            Reset::AfterRise(median(&mut rises))
        } else {
            Reset::Irregular
        };
        let cycle = median(&mut cycles);
        if cycle < CYCLE_MIN {
            return None;
        }
        let (peak_slope, floor_slope) = (slope(&peaks, level), slope(&floors, level));
        Some(Self { peaks, floors, peak_slope, floor_slope, cycle, reset, fall_min })
    }

    /// The peak expected `ahead` cells after the last of `cells`, and by how much more or less peaks usually are.
    pub(super) fn peak_at(&self, cells: usize, ahead: f64) -> f64 {
        let (middle, level) = self.middle();
        level + self.slope() * ((cells - 1) as f64 + ahead - middle)
    }

    /// How far peaks lie from their line.
    pub(super) fn scatter(&self) -> Vec<f64> {
        let (middle, level) = self.middle();
        self.peaks.iter().map(|(cell, peak)| peak - level - self.slope() * (cell - middle)).collect()
    }

    /// The slope of the peaks a cell; none where it has no clear direction.
    pub(super) fn slope(&self) -> f64 {
        if self.peak_slope.is_clear() { self.peak_slope.per_cell } else { 0.0 }
    }

    /// Takes in the value of the newest of `cells`, which comes so many after the one before: a reset is a tooth more. Its
    /// lines stay as they were learned.
    pub(super) fn observe(&mut self, before: f64, value: f64, cells: usize, ahead: usize) {
        if before - value < self.fall_min {
            return;
        }
        let cell = (cells - 1) as f64;
        if self.peaks.len() >= TEETH_MAX {
            self.peaks.remove(0);
            self.floors.remove(0);
        }
        self.peaks.push((cell - ahead as f64, before));
        self.floors.push((cell, value));
    }

    /// The level to which it is set back in a cell.
    pub(super) fn floor_at(&self, cell: f64) -> f64 {
        let slope = if self.floor_slope.is_clear() { self.floor_slope.per_cell } else { 0.0 };
        let carried = self.floors.iter().map(|(at, floor)| floor + slope * (cell - at));
        median(&mut carried.collect::<Vec<_>>())
    }

    /// How far below and above their line peaks usually lie: nine in ten are above the one, one in ten above the other.
    pub(super) fn usual_scatter(&self) -> (f64, f64) {
        let mut scatter = self.scatter();
        scatter.sort_unstable_by(f64::total_cmp);
        (quantile(&scatter, 0.1).min(0.0), quantile(&scatter, 0.9).max(0.0))
    }

    /// The cell in the middle of the peaks' line.
    pub(super) fn middle_cell(&self) -> f64 {
        self.middle().0
    }

    /// A point in the middle of the peaks' line: the median cell, and the median of the peaks carried there.
    fn middle(&self) -> (f64, f64) {
        let middle = median(&mut self.peaks.iter().map(|(cell, _)| *cell).collect::<Vec<_>>());
        let carried = self.peaks.iter().map(|(cell, peak)| peak - self.slope() * (cell - middle));
        (middle, median(&mut carried.collect::<Vec<_>>()))
    }
}

/// The last cell before each reset, and the first after it.
fn resets(bridged: &[f64], fall_min: f64) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    let mut at = 1;
    while at < bridged.len() {
        // A fall may take two cells, as samples do not wait for it.
        let ends = at..(at + 1 + usize::from(bridged[at] < bridged[at - 1])).min(bridged.len());
        let Some(floor) = ends.into_iter().find(|floor| bridged[at - 1] - bridged[*floor] >= fall_min) else {
            at += 1;
            continue;
        };
        let fall = bridged[at - 1] - bridged[floor];
        let rise = bridged[start..at].windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
        if rise < fall / 2.0 {
            found.push((at - 1, floor));
        }
        start = floor;
        at = floor + 1;
    }
    found
}

/// The usual deviation from the median, in units of `unit`.
fn variation(values: &[f64], unit: f64) -> f64 {
    let centre = median(&mut values.to_vec());
    let mut off: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    1.4826 * median(&mut off) / unit.abs().max(1e-12)
}

/// The Theil-Sen slope of points, a cell.
fn slope(points: &[(f64, f64)], level: f64) -> Slope {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Slope::FLAT };
    let spacing = (last.0 - first.0) / (points.len() - 1).max(1) as f64;
    let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
    let a_point = theil_sen(&values, level);
    let a_cell = |slope: f64| if spacing > 0.0 { slope / spacing } else { 0.0 };
    Slope { per_cell: a_cell(a_point.per_cell), lower: a_cell(a_point.lower), upper: a_cell(a_point.upper) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A saw of `teeth` teeth of `length` cells that rises by `rise` in each, on a floor that rises by `leak` a tooth.
    fn saw(teeth: usize, length: usize, rise: f64, leak: f64) -> Vec<f64> {
        let value = |i: usize| leak * (i / length) as f64 + rise * (i % length) as f64 / length as f64;
        (0..teeth * length).map(value).collect()
    }

    #[test]
    fn a_leak_is_told_from_a_cache_that_is_emptied() {
        let leak = Teeth::find(&saw(10, 20, 8.0, 1.0), 0.8).unwrap();
        assert_eq!(leak.peaks.len(), 9);
        assert!(leak.floor_slope.lower > 0.0 && (leak.floor_slope.per_cell - 0.05).abs() < 1e-9, "{leak:?}");
        assert!((leak.peak_at(200, 20.0) - leak.peak_at(200, 0.0) - 1.0).abs() < 1e-9);
        let cache = Teeth::find(&saw(10, 20, 8.0, 0.0), 0.8).unwrap();
        assert_eq!((cache.slope(), cache.floor_slope.lower), (0.0, 0.0));
        assert!(cache.scatter().iter().all(|off| off.abs() < 1e-9));
    }

    #[test]
    fn what_sets_it_back_is_told_by_what_is_regular() {
        assert_eq!(Teeth::find(&saw(8, 24, 5.0, 0.0), 0.8).unwrap().reset, Reset::Scheduled);
        // Teeth of changing length up to one level.
        let mut at_level = Vec::new();
        for length in [10, 30, 15, 40, 12, 25, 33] {
            at_level.extend((0..length).map(|i| 10.0 * f64::from(i) / f64::from(length - 1)));
        }
        assert_eq!(Teeth::find(&at_level, 0.8).unwrap().reset, Reset::AtLevel(10.0));
    }

    #[test]
    fn spikes_steps_and_waves_are_no_sawtooth() {
        let spikes: Vec<f64> = (0..300).map(|i| if i % 50 == 7 { 20.0 } else { f64::from(i % 3) }).collect();
        let wave: Vec<f64> = (0..300).map(|i| (f64::from(i) / 24.0 * std::f64::consts::TAU).sin()).collect();
        let step: Vec<f64> = (0..300).map(|i| if i < 150 { 9.0 } else { 1.0 }).collect();
        for series in [spikes, wave, step, vec![1.0; 50], vec![1.0, 2.0], Vec::new()] {
            assert!(Teeth::find(&series, 0.8).is_none(), "{series:?}");
        }
    }
}
