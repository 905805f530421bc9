//! Which periods a series repeats in, and the shape it repeats.
//!
//! Not here: time zones; a day is 24 hours of UTC.
//!
//! Cost: autocorrelation at up to [`LAGS_MAX`] lags, n multiplications a lag: 1000 samples take about 0.3 ms.

use super::robust::{median, middle_mean, theil_sen};
use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;
/// Lags at which a period is looked for beside the day and the week.
const LAGS_MAX: usize = 2048;
/// Shorter periods are no season: they are what neighbours have in common.
const PERIOD_MIN: usize = 3;
/// Correlation at a period, and its rise over the valley before it, that make a season worth trying. Low, because the
/// back-test decides; not zero, because every try costs.
const CORRELATION_MIN: f64 = 0.1;
const RISE_MIN: f64 = 0.15;
/// How much less a week may resemble itself than the best of its days. The back-test decides whether it is of use.
const WEEK_FALL_MAX: f64 = 0.1;
/// Deviations from a line, of values of about one, that are only its rounding.
const ROUNDING: f64 = 1e-12;
const HOURS_A_WEEK: usize = 168;
/// Newest cycles that shape a profile.
const CYCLES_MAX: usize = 14;

/// A shape that repeats: cell `i` of the grid has `values[i % values.len()]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Profile {
    pub(super) values: Vec<f64>,
}

impl Profile {
    /// The part of cell `cell`.
    pub(super) fn at(&self, cell: usize) -> f64 {
        self.values[cell % self.values.len()]
    }
}

/// Periods worth trying, in cells, shortest first; all fit twice into the series.
pub(super) fn periods(bridged: &[f64], step_ms: i64) -> Vec<usize> {
    let n = bridged.len();
    let slope = theil_sen(bridged, 0.8).per_cell;
    let mut rest: Vec<f64> = bridged.iter().enumerate().map(|(i, value)| value - slope * i as f64).collect();
    let level = median(&mut rest.clone());
    rest.iter_mut().for_each(|value| *value -= level);
    let power: f64 = rest.iter().map(|value| value * value).sum();
    if power <= n as f64 * ROUNDING * ROUNDING {
        return Vec::new();
    }
    let correlation = |lag: usize| {
        let products: f64 = rest[lag..].iter().zip(&rest).map(|(later, value)| later * value).sum();
        products / power * n as f64 / (n - lag) as f64
    };
    let mut found = Vec::new();
    let day = cells(DAY_MS, step_ms, n);
    if let Some(day) = day.filter(|day| is_peak(*day, &correlation)) {
        found.push(day);
    }
    if let Some(week) = cells(7 * DAY_MS, step_ms, n).filter(|week| is_peak(*week, &correlation)) {
        let days = day.filter(|day| found.contains(day)).map_or(0..0, |_| 1..7);
        let best = days.filter_map(|k| day.map(|day| correlation(k * day))).fold(f64::NEG_INFINITY, f64::max);
        if correlation(week) > best - WEEK_FALL_MAX {
            found.push(week);
        }
    }
    if found.is_empty() {
        let lags = (n / 2).min(LAGS_MAX);
        // Of so many lags some are high by chance: four standard errors are not.
        let by_chance = 4.0 / (n as f64).sqrt();
        let curve: Vec<f64> = (0..=lags).map(correlation).collect();
        found.extend(strongest(&curve, by_chance.max(2.0 * CORRELATION_MIN)));
    }
    found
}

/// A span in cells, if it is a whole number of them to within half a cell over the whole series, and fits twice.
fn cells(span_ms: i64, step_ms: i64, n: usize) -> Option<usize> {
    let exact = span_ms as f64 / step_ms as f64;
    let whole = exact.round();
    let fits = whole >= PERIOD_MIN as f64 && 2.0 * whole <= n as f64;
    let drift = (exact - whole).abs() * n as f64 / whole;
    (fits && drift < 0.5).then_some(whole as usize)
}

/// Whether correlation rises towards this lag out of a valley.
fn is_peak(lag: usize, correlation: &impl Fn(usize) -> f64) -> bool {
    let here = correlation(lag);
    let valley = [lag / 4, lag / 3, lag / 2, 2 * lag / 3, 3 * lag / 4].into_iter().map(correlation);
    here > CORRELATION_MIN && here - valley.fold(f64::INFINITY, f64::min) > RISE_MIN
}

/// The shortest of the highest peaks of an autocorrelation that are higher than `least`.
fn strongest(curve: &[f64], least: f64) -> Option<usize> {
    let mut valley = f64::INFINITY;
    let mut peaks = Vec::new();
    for lag in 1..curve.len().saturating_sub(1) {
        valley = valley.min(curve[lag]);
        let is_top = curve[lag] >= curve[lag - 1] && curve[lag] > curve[lag + 1];
        if lag >= PERIOD_MIN && is_top && curve[lag] > least && curve[lag] - valley > 2.0 * RISE_MIN {
            peaks.push(lag);
        }
    }
    let highest = peaks.iter().map(|lag| curve[*lag]).fold(0.0, f64::max);
    peaks.into_iter().find(|lag| curve[*lag] > 0.9 * highest)
}

/// The profile of one period, with a mean of zero; flat where less than a cycle is known.
///
/// Classical decomposition: deviations from a centred moving average of one period, averaged per slot over the newest
/// cycles, outliers left out.
fn profile(values: &[f64], bridged: &[f64], period: usize) -> Profile {
    let n = values.len();
    if n < period {
        return Profile { values: vec![0.0; period] };
    }
    let mut slots: Vec<Vec<f64>> = vec![Vec::new(); period];
    if n < 2 * period {
        let cycle = &bridged[n - period..];
        let mean = cycle.iter().sum::<f64>() / period as f64;
        (n - period..n).for_each(|i| slots[i % period].push(bridged[i] - mean));
    } else {
        let average = moving_average(bridged, period);
        let first = period / 2;
        for i in (first..first + average.len()).rev().filter(|i| !values[*i].is_nan()) {
            if slots[i % period].len() < CYCLES_MAX {
                slots[i % period].push(values[i] - average[i - first]);
            }
        }
    }
    let mut shape: Vec<f64> = slots.iter_mut().map(|slot| middle_mean(slot)).collect();
    let known: Vec<f64> = shape.iter().copied().filter(|value| !value.is_nan()).collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    shape.iter_mut().for_each(|value| *value = if value.is_nan() { 0.0 } else { *value - mean });
    Profile { values: shape }
}

/// The profiles of several periods, the shortest first, each of what the ones before leave; values and bridged values are
/// what all of them leave afterwards.
///
/// From the second on a profile is smoothed over an hour of a week to either side: what the day has left changes slowly,
/// and there are few weeks to tell it from chance.
pub(super) fn profiles(values: &mut [f64], bridged: &mut [f64], periods: &[usize]) -> Vec<Profile> {
    let mut found = Vec::with_capacity(periods.len());
    for (number, period) in periods.iter().enumerate() {
        let mut profile = profile(values, bridged, *period);
        if number > 0 {
            profile = smoothed(&profile, (*period / HOURS_A_WEEK).max(1));
        }
        for (i, (value, bridged)) in values.iter_mut().zip(bridged.iter_mut()).enumerate() {
            *value -= profile.at(i);
            *bridged -= profile.at(i);
        }
        found.push(profile);
    }
    found
}

/// Each slot with its neighbours up to `reach` away, the nearer counting for more.
fn smoothed(profile: &Profile, reach: usize) -> Profile {
    let period = profile.values.len();
    let mean = |slot: usize| {
        let near = (0..=2 * reach)
            .map(|i| ((reach + 1 - i.abs_diff(reach)) as f64, profile.at(slot + period * reach + i - reach)));
        near.map(|(weight, value)| weight * value).sum::<f64>() / ((reach + 1) * (reach + 1)) as f64
    };
    Profile { values: (0..period).map(mean).collect() }
}

/// Centred moving average of one period; an even one gives the two outermost values half a weight each. The first
/// average belongs to cell `period / 2`.
fn moving_average(bridged: &[f64], period: usize) -> Vec<f64> {
    let even = period.is_multiple_of(2);
    let width = if even { period + 1 } else { period };
    let mut sums = Vec::with_capacity(bridged.len() + 1);
    sums.push(0.0);
    let mut total = 0.0;
    for value in bridged {
        total += value;
        sums.push(total);
    }
    let window = |from: usize| {
        let whole = sums[from + width] - sums[from];
        let edges = if even { (bridged[from] + bridged[from + width - 1]) / 2.0 } else { 0.0 };
        (whole - edges) / period as f64
    };
    (0..(bridged.len() + 1).saturating_sub(width)).map(window).collect()
}

/// How much of what varies around the trend a profile explains (0 to 1; Wang, Smith and Hyndman 2006).
pub(super) fn strength(rest: &[f64], profiles: &[Profile]) -> f64 {
    let slope = theil_sen(rest, 0.8).per_cell;
    let residual = |i: usize| rest[i] - slope * i as f64;
    let season = |i: usize| profiles.iter().map(|profile| profile.at(i)).sum::<f64>();
    let present: Vec<usize> = (0..rest.len()).filter(|i| !rest[*i].is_nan()).collect();
    let variance = |value: &dyn Fn(usize) -> f64| {
        let mean = present.iter().map(|i| value(*i)).sum::<f64>() / present.len().max(1) as f64;
        present.iter().map(|i| (value(*i) - mean).powi(2)).sum::<f64>()
    };
    let whole = variance(&|i| residual(i) + season(i));
    if whole > 0.0 { (1.0 - variance(&residual) / whole).clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Noise that is the same everywhere, between -0.5 and 0.5.
    fn noise(i: usize) -> f64 {
        let mixed = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f64 / (1 << 24) as f64 - 0.5
    }

    fn series(cells: usize, value: impl Fn(f64) -> f64) -> Vec<f64> {
        (0..cells).map(|i| value(i as f64) + noise(i)).collect()
    }

    #[test]
    fn days_weeks_and_other_periods_are_found_and_noise_has_none() {
        let wave = |i: f64, period: f64| (i / period * std::f64::consts::TAU).sin();
        assert_eq!(periods(&series(240, |i| 3.0 * wave(i, 24.0) + 0.1 * i), HOUR_MS), [24]);
        let weekend = |i: f64| if (i / 24.0) as usize % 7 > 4 { 0.3 } else { 1.0 };
        assert_eq!(periods(&series(24 * 28, |i| 5.0 * wave(i, 24.0) * weekend(i)), HOUR_MS), [24, 168]);
        assert_eq!(periods(&series(300, |i| 3.0 * wave(i, 17.0)), HOUR_MS), [17]);
        assert!(periods(&series(300, |_| 0.0), HOUR_MS).is_empty());
        assert!(periods(&[0.0; 100], HOUR_MS).is_empty());
    }

    #[test]
    fn a_random_walk_has_no_day() {
        let mut level = 0.0;
        let walk: Vec<f64> = (0..500)
            .map(|i| {
                level += noise(i);
                level
            })
            .collect();
        assert!(!periods(&walk, HOUR_MS).contains(&24), "{:?}", periods(&walk, HOUR_MS));
    }

    #[test]
    fn a_profile_is_the_shape_without_the_trend() {
        let shape = [3.0, -1.0, -2.0, 0.0];
        let values: Vec<f64> = (0..40).map(|i| shape[i % 4] + 0.5 * i as f64).collect();
        for (slot, value) in profile(&values, &values, 4).values.iter().zip(shape) {
            assert!((slot - value).abs() < 1e-12, "{slot} {value}");
        }
        assert_eq!(profile(&values[..3], &values[..3], 4).values, [0.0; 4]);
    }

    #[test]
    fn strength_is_one_for_a_pure_season_and_nothing_without_one() {
        let profile = Profile { values: vec![1.0, -1.0] };
        assert_eq!(strength(&[0.0; 20], std::slice::from_ref(&profile)), 1.0);
        assert_eq!(strength(&[0.0, 1.0, 0.5, 0.2], &[]), 0.0);
    }
}
