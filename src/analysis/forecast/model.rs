//! The candidates: a trend of one of several kinds on top of the profiles of some periods.
//!
//! Not here: which candidate is used (see `back_test`).
//!
//! Cost: n is the cells fitted; a damped Holt tries 36 settings of n steps, all others are linear in n.

use super::robust::{theil_sen, without_spikes};
use super::season::{Profile, profile};

/// Smoothing factors that are tried.
const LEVEL_FACTORS: [f64; 8] = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0];
const HOLT_LEVEL_FACTORS: [f64; 4] = [0.1, 0.3, 0.5, 0.8];
const HOLT_TREND_FACTORS: [f64; 3] = [0.01, 0.05, 0.2];
const DAMPINGS: [f64; 3] = [1.0, 0.97, 0.9];

/// What goes on beside the season. Simplest first: of equals the first is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trend {
    /// The last value, or the last cycle.
    Naive,
    /// The Theil-Sen line.
    Linear,
    /// The Theil-Sen line of the newest third.
    RecentLinear,
    /// Simple exponential smoothing.
    Level,
    /// Smoothing with half the slope: the theta method (Assimakopoulos and Nikolopoulos 2000, in the form of Hyndman
    /// and Billah 2003) with a robust slope.
    Theta,
    /// Holt's method with a damped trend (Gardner and McKenzie 1985).
    Damped,
    /// The last value or cycle, carried on along the Theil-Sen slope.
    Drift,
}

impl Trend {
    pub(super) const ALL: [Self; 7] =
        [Self::Naive, Self::Linear, Self::RecentLinear, Self::Level, Self::Theta, Self::Damped, Self::Drift];

    /// Its name in results.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Linear => "linear",
            Self::RecentLinear => "recent_linear",
            Self::Level => "level",
            Self::Theta => "theta",
            Self::Damped => "damped_holt",
            Self::Drift => "drift",
        }
    }
}

/// A trend and the periods, by their place in the list of found ones, that go with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) trend: Trend,
    pub(super) periods: Vec<usize>,
}

/// A candidate fitted to the first `cells` cells.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    cells: usize,
    level: f64,
    slope: f64,
    damping: f64,
    profiles: Vec<Profile>,
}

impl Fit {
    /// The value expected in the cell `ahead` after the last one seen.
    pub(super) fn at(&self, ahead: usize) -> f64 {
        self.trend_at(ahead) + self.season_at(ahead)
    }

    /// The part of it that does not repeat.
    pub(super) fn trend_at(&self, ahead: usize) -> f64 {
        let steps = ahead as f64;
        // The sum of damping^1 to damping^steps.
        let damped = match self.damping {
            1.0 => steps,
            damping => damping * (1.0 - damping.powf(steps)) / (1.0 - damping),
        };
        self.level + self.slope * damped
    }

    /// The part of it that repeats.
    pub(super) fn season_at(&self, ahead: usize) -> f64 {
        self.profiles.iter().map(|profile| profile.at(self.cells - 1 + ahead)).sum()
    }
}

/// A series without its season, and what every trend needs to know of it.
pub(super) struct Prepared<'a> {
    bridged: &'a [f64],
    periods: &'a [usize],
    profiles: Vec<Profile>,
    /// Values without season and spikes, NaN in gaps.
    rest: Vec<f64>,
    slope: f64,
}

impl<'a> Prepared<'a> {
    /// Takes the season of these periods out of the values, the shortest first; `bridged` are the values without gaps.
    pub(super) fn new(values: &[f64], bridged: &'a [f64], periods: &'a [usize]) -> Self {
        let mut rest = values.to_vec();
        let mut solid = bridged.to_vec();
        let mut profiles = Vec::with_capacity(periods.len());
        for period in periods {
            let profile = profile(&rest, &solid, *period);
            for (i, (value, solid)) in rest.iter_mut().zip(&mut solid).enumerate() {
                *value -= profile.at(i);
                *solid -= profile.at(i);
            }
            profiles.push(profile);
        }
        without_spikes(&mut rest);
        let slope = theil_sen(&rest, 0.8).per_cell;
        Self { bridged, periods, profiles, rest, slope }
    }

    /// Values without season and spikes, NaN in gaps.
    pub(super) fn rest(&self) -> &[f64] {
        &self.rest
    }

    /// The profile of every period.
    pub(super) fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// Fits one kind of trend.
    pub(super) fn fit(&self, trend: Trend) -> Fit {
        let (level, slope, damping) = match trend {
            Trend::Naive => return self.carried_on(0.0),
            Trend::Drift => return self.carried_on(self.slope),
            Trend::Linear => (line_end(&self.rest, self.slope), self.slope, 1.0),
            Trend::RecentLinear => {
                let recent = &self.rest[self.rest.len() - self.rest.len().div_ceil(3)..];
                let slope = theil_sen(recent, 0.8).per_cell;
                (line_end(recent, slope), slope, 1.0)
            }
            Trend::Level => (smoothed(&self.rest, 0.0), 0.0, 1.0),
            Trend::Theta => (smoothed(&self.rest, self.slope / 2.0), self.slope / 2.0, 1.0),
            Trend::Damped => damped_holt(&self.rest, self.slope),
        };
        Fit { cells: self.rest.len(), level, slope, damping, profiles: self.profiles.clone() }
    }

    /// The newest value, or cycle of the longest period, moved along `slope`.
    fn carried_on(&self, slope: f64) -> Fit {
        let cells = self.bridged.len();
        let whole = self.periods.last().copied().filter(|period| *period <= cells);
        let Some(period) = whole else {
            return Fit { cells, level: self.bridged[cells - 1], slope, damping: 1.0, profiles: Vec::new() };
        };
        let mut values = vec![0.0; period];
        for i in cells - period..cells {
            values[i % period] = self.bridged[i] + slope * (cells - 1 - i) as f64;
        }
        Fit { cells, level: 0.0, slope, damping: 1.0, profiles: vec![Profile { values }] }
    }
}

/// Where a line of this slope through the middle of the values ends, in the last cell.
fn line_end(values: &[f64], slope: f64) -> f64 {
    let last = values.len().saturating_sub(1);
    let present = values.iter().enumerate().filter(|(_, value)| !value.is_nan());
    let mut ends: Vec<f64> = present.map(|(i, value)| value + slope * (last - i) as f64).collect();
    if ends.is_empty() { 0.0 } else { super::robust::median(&mut ends) }
}

/// The last level of exponential smoothing along a slope, with the factor of the smallest mean absolute error.
fn smoothed(values: &[f64], slope: f64) -> f64 {
    let settings = LEVEL_FACTORS.iter().map(|factor| (*factor, 0.0, 1.0));
    best_of(values, slope, settings).0
}

/// Level, slope and damping of Holt's method with the settings of the smallest mean absolute error.
fn damped_holt(values: &[f64], slope: f64) -> (f64, f64, f64) {
    let settings = DAMPINGS.iter().flat_map(|damping| {
        HOLT_TREND_FACTORS.iter().flat_map(move |trend| HOLT_LEVEL_FACTORS.map(|level| (level, *trend, *damping)))
    });
    best_of(values, slope, settings)
}

/// Runs Holt's recursion for every setting (level factor, trend factor, damping) and keeps the one whose forecasts of
/// the next value were best. A gap is walked over along the trend.
fn best_of(values: &[f64], slope: f64, settings: impl Iterator<Item = (f64, f64, f64)>) -> (f64, f64, f64) {
    let start = values.iter().position(|value| !value.is_nan()).unwrap_or(0);
    let mut best = (f64::INFINITY, (values.get(start).copied().unwrap_or(0.0), slope, 1.0));
    for (level_factor, trend_factor, damping) in settings {
        let (mut level, mut trend, mut error) = (values[start], slope, 0.0);
        for value in &values[start + 1..] {
            let expected = level + damping * trend;
            let off = value - expected;
            level = expected;
            trend *= damping;
            if !off.is_nan() {
                error += off.abs();
                level += level_factor * off;
                trend += level_factor * trend_factor * off;
            }
        }
        if error < best.0 {
            best = (error, (level, trend, damping));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(values: &[f64], periods: &[usize], trend: Trend) -> Fit {
        Prepared::new(values, values, periods).fit(trend)
    }

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} is not {right}");
    }

    #[test]
    fn a_line_is_continued_by_every_trend_that_knows_lines() {
        let values: Vec<f64> = (0..30).map(|i| 2.0 + 0.5 * f64::from(i)).collect();
        for trend in [Trend::Linear, Trend::RecentLinear, Trend::Damped, Trend::Drift] {
            close(fit(&values, &[], trend).at(10), 2.0 + 0.5 * 39.0);
        }
        assert_eq!(fit(&values, &[], Trend::Naive).at(10), 16.5);
    }

    #[test]
    fn theta_adds_half_the_slope() {
        // The level factor 1 forecasts a line best: the level is the last value, 16.5, and half of 0.5 a step is added.
        let values: Vec<f64> = (0..30).map(|i| 2.0 + 0.5 * f64::from(i)).collect();
        close(fit(&values, &[], Trend::Theta).at(10), 16.5 + 0.25 * 10.0);
    }

    #[test]
    fn holts_recursion_is_the_one_worked_by_hand() {
        // Values 1, 3, 4 from trend 1: expected 2, off 1 -> level 2.5, trend 1.25; expected 3.75, off 0.25 -> level
        // 3.875, trend 1.3125 with factors 0.5 and 0.5 and no damping.
        let (level, trend, damping) = best_of(&[1.0, 3.0, 4.0], 1.0, [(0.5, 0.5, 1.0)].into_iter());
        assert_eq!((level, trend, damping), (3.875, 1.3125, 1.0));
        // Damped by 0.5 from trend 1: expected 1.5, off 1.5 -> level 2.25, trend 0.875; then 2.6875, off 1.3125.
        let (level, trend, _) = best_of(&[1.0, 3.0, 4.0], 1.0, [(0.5, 0.5, 0.5)].into_iter());
        assert_eq!((level, trend), (3.34375, 0.765_625));
        // A damped trend adds 0.5 + 0.25 of itself in two steps.
        let fit = Fit { cells: 1, level: 0.0, slope: 8.0, damping: 0.5, profiles: Vec::new() };
        assert_eq!((fit.at(1), fit.at(2)), (4.0, 6.0));
    }

    #[test]
    fn a_season_is_continued_in_phase_with_and_without_drift() {
        let shape = [3.0, -1.0, -2.0, 0.0];
        let values: Vec<f64> = (0..41).map(|i| shape[i % 4] + 0.5 * i as f64).collect();
        for trend in [Trend::Linear, Trend::Drift, Trend::Damped] {
            for ahead in 1..9 {
                close(fit(&values, &[4], trend).at(ahead), shape[(40 + ahead) % 4] + 0.5 * (40 + ahead) as f64);
            }
        }
        assert_eq!(fit(&values, &[4], Trend::Naive).at(4), values[40]);
    }

    #[test]
    fn a_gap_neither_stops_nor_bends_a_trend() {
        let mut values: Vec<f64> = (0..30).map(f64::from).collect();
        let bridged = values.clone();
        values[10..20].fill(f64::NAN);
        let fit = Prepared::new(&values, &bridged, &[]).fit(Trend::Damped);
        close(fit.at(5), 34.0);
    }
}
