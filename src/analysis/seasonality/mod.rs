//! In which periods a series repeats, told from its values: peaks of the periodogram that the autocorrelation confirms
//! (AUTOPERIOD of Vlachos, Yu and Castelli 2005).
//!
//! Trend and outliers are taken out first, gaps bridged. The strongest period is found, its shape taken out, and what is
//! left is looked at again, so that a week is found beside its days, and a third period beside both.
//!
//! Not here: the live profiles of day and week (see `baseline`), the periods forecasts try (see `forecast::season`).
//!
//! Invariants: two whole cycles of a period were seen, four where it is no day or week; periods are independent of the
//! values' unit and offset; the same samples give the same periods.
//!
//! Cost: three transforms of at most 2^17 values: some milliseconds for ten thousand samples.

mod fourier;

use super::detectors::Samples;
use super::prepare::{Aggregate, Resampled, resample, usual_step_ms};
use super::robust::{median, middle_mean, theil_sen};
use fourier::{autocorrelation, periodogram};

const DAY_MS: f64 = 86_400_000.0;
/// Cells that are looked at; longer series are looked at more coarsely.
const CELLS_MAX: i64 = 1 << 15;
/// Periods that are reported.
const PERIODS_MAX: usize = 3;
/// Shorter ones are what neighbours have in common.
const PERIOD_MIN: f64 = 4.0;
/// Correlation at a period and its rise over the valley before it: what a season must have beyond chance.
const CORRELATION_MIN: f64 = 0.2;
const RISE_MIN: f64 = 0.3;
/// How much higher than usual around it a peak of the periodogram stands.
const PEAK: f64 = 8.0;
/// Peaks that are looked at.
const PEAKS_MAX: usize = 24;
/// Share of what varies that a season explains at least, of what earlier ones left and of the whole.
const STRENGTH_MIN: f64 = 0.1;
const SHARE_MIN: f64 = 0.03;
/// What of the correlation at a period is left at twice the period, at least, where it is no day or week: what is no season
/// hardly comes back at a time told beforehand.
const AGAIN_MIN: f64 = 0.5;
/// Deviations from the median beyond which a value counts as if it were there, in median deviations.
const CLIP: f64 = 6.0;

/// A period in which a series repeats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundPeriod {
    /// Its length in milliseconds; exactly a day or a week where it is within a fiftieth of one.
    pub period_ms: i64,
    /// Share of what varies around the trend that repeats (0 to 1; Wang, Smith and Hyndman 2006).
    pub strength: f64,
    /// Autocorrelation at the period.
    pub correlation: f64,
}

/// The periods of samples in order of time, shortest first.
///
/// ```
/// use infrawatch::analysis::seasonality;
///
/// // Every 90 minutes a job, seen every minute for a day.
/// let times_ms: Vec<i64> = (0..1440).map(|minute| minute * 60_000).collect();
/// let values: Vec<f64> = (0..1440).map(|minute| if minute % 90 < 10 { 80.0 } else { 20.0 }).collect();
/// let found = seasonality::find(&times_ms, &values);
/// assert_eq!(found.len(), 1);
/// assert_eq!(found[0].period_ms, 90 * 60_000);
/// ```
pub fn find(times_ms: &[i64], values: &[f64]) -> Vec<FoundPeriod> {
    let samples = Samples::new(times_ms, values);
    let Some(grid) = coarse_grid(samples) else { return Vec::new() };
    let mut rest = flattened(&grid.values);
    let whole = power(&rest);
    let scale = grid.values.iter().map(|value| value.abs()).fold(0.0, f64::max);
    // What is only the rounding of a constant has no season.
    if whole <= rest.len() as f64 * (1e-9 * scale) * (1e-9 * scale) {
        return Vec::new();
    }
    let mut found: Vec<FoundPeriod> = Vec::new();
    while found.len() < PERIODS_MAX {
        let Some((period, correlation)) = strongest(&rest, grid.step_ms as f64) else { break };
        let before = power(&rest);
        take_out(&mut rest, period);
        let strength = 1.0 - power(&rest) / before;
        let period_ms = meant(period * grid.step_ms as f64);
        let is_share = strength >= STRENGTH_MIN && before - power(&rest) >= SHARE_MIN * whole;
        if !is_share || found.iter().any(|other| is_echo(other.period_ms, period_ms)) {
            break;
        }
        found.push(FoundPeriod { period_ms, strength: strength.clamp(0.0, 1.0), correlation });
    }
    found.sort_by_key(|period| period.period_ms);
    found
}

/// Whether a period is another one again, or a whole number of them that no calendar has.
fn is_echo(known_ms: i64, period_ms: i64) -> bool {
    let ratio = period_ms as f64 / known_ms as f64;
    let whole = ratio.round();
    let is_calendar = [DAY_MS, 7.0 * DAY_MS].contains(&(period_ms as f64)) && whole > 1.0;
    whole >= 1.0 && (ratio - whole).abs() < 0.05 && !is_calendar
}

/// The values without the shapes of their periods, about the level they have; as they are where there is none.
pub(super) fn without_season(times_ms: &[i64], values: &[f64]) -> Vec<f64> {
    let mut rest = values.to_vec();
    for FoundPeriod { period_ms, .. } in find(times_ms, values) {
        let step_ms = usual_step_ms(times_ms).unwrap_or(period_ms).max(1);
        let slots = (period_ms / step_ms).clamp(1, 4096);
        let slot = |time_ms: &i64| {
            (time_ms.rem_euclid(period_ms) as i128 * i128::from(slots) / i128::from(period_ms)) as usize
        };
        let mut shape: Vec<Vec<f64>> = vec![Vec::new(); slots as usize];
        times_ms.iter().zip(&rest).for_each(|(time_ms, value)| shape[slot(time_ms)].push(*value));
        let shape: Vec<f64> = shape.iter_mut().map(|values| median(values)).collect();
        let level = median(&mut shape.iter().copied().filter(|value| !value.is_nan()).collect::<Vec<_>>());
        times_ms.iter().zip(&mut rest).for_each(|(time_ms, value)| *value -= shape[slot(time_ms)] - level);
    }
    rest
}

fn coarse_grid(samples: Samples<'_>) -> Option<Resampled> {
    let step_ms = usual_step_ms(samples.times_ms)?;
    let span_ms = samples.times_ms.last()?.checked_sub(*samples.times_ms.first()?)?;
    let coarser = (span_ms / step_ms).checked_div(CELLS_MAX)? + 1;
    let grid = resample(samples, Some(step_ms.checked_mul(coarser)?), Aggregate::Mean, usize::MAX)?;
    (grid.values.len() >= 3 * PERIOD_MIN as usize).then_some(grid)
}

/// Without trend, level and the excess of outliers.
fn flattened(values: &[f64]) -> Vec<f64> {
    let slope = theil_sen(values, 0.8).per_cell;
    let mut rest: Vec<f64> = values.iter().enumerate().map(|(at, value)| value - slope * at as f64).collect();
    let level = median(&mut rest.clone());
    rest.iter_mut().for_each(|value| *value -= level);
    let mut deviations: Vec<f64> = rest.iter().map(|value| value.abs()).collect();
    let mean = deviations.iter().sum::<f64>() / deviations.len() as f64;
    // Where most values are equal, what differs is all there is to see.
    let reach = CLIP * median(&mut deviations).max(mean);
    rest.iter_mut().for_each(|value| *value = value.clamp(-reach, reach));
    let mean = rest.iter().sum::<f64>() / rest.len() as f64;
    rest.iter_mut().for_each(|value| *value -= mean);
    rest
}

fn power(rest: &[f64]) -> f64 {
    rest.iter().map(|value| value * value).sum()
}

/// The period, in cells, whose peak the autocorrelation confirms best, with its correlation.
fn strongest(rest: &[f64], step_ms: f64) -> Option<(f64, f64)> {
    let count = rest.len();
    let correlation = autocorrelation(rest)?;
    let by_chance = CORRELATION_MIN.max(4.0 / (count as f64).sqrt());
    let calendar = [DAY_MS / step_ms, 7.0 * DAY_MS / step_ms];
    let is_calendar = |period: f64| calendar.iter().any(|known| (period / known - 1.0).abs() < 0.02);
    let mut confirmed: Vec<(f64, f64)> = Vec::new();
    for near in candidates(rest).into_iter().chain(calendar) {
        let cycles = if is_calendar(near) { 2.0 } else { 4.0 };
        if !(PERIOD_MIN..=count as f64 / cycles).contains(&near) {
            continue;
        }
        // A day is a day: what is near one by a fiftieth at most.
        let reach = if is_calendar(near) { 0.02 } else { 0.25 };
        let found = hill(&correlation, near, count as f64, reach);
        let Some((period, height)) = found.filter(|(period, _)| *period <= count as f64 / cycles) else { continue };
        let comes_again = is_calendar(near) || again(&correlation, period) >= AGAIN_MIN * height;
        if height >= by_chance && height - valley(&correlation, period) >= RISE_MIN && comes_again {
            confirmed.push((period, height));
        }
    }
    let highest = confirmed.iter().map(|(_, height)| *height).fold(0.0, f64::max);
    // Multiples of a period are as high as it is: the shortest of the highest is meant; and of a week whose days resemble
    // each other the day, as what the week adds is found in what the day leaves.
    let shortest = |least: f64| {
        let high = confirmed.iter().filter(move |(_, height)| *height > least);
        high.min_by(|a, b| a.0.total_cmp(&b.0)).copied()
    };
    let best = shortest(0.9 * highest)?;
    let divides = |period: f64| ((best.0 / period) - (best.0 / period).round()).abs() < 0.05;
    let best = shortest(0.0).filter(|(period, _)| is_calendar(*period) && divides(*period)).unwrap_or(best);
    Some((refined(&correlation, best.0), best.1))
}

/// Periods at which the periodogram stands out from what is usual around it, most outstanding first.
fn candidates(rest: &[f64]) -> Vec<f64> {
    let (spectrum, length) = periodogram(rest);
    let mut peaks: Vec<(f64, f64)> = Vec::new();
    let mut near = Vec::new();
    for at in 2..spectrum.len().saturating_sub(1) {
        if spectrum[at] < spectrum[at - 1] || spectrum[at] <= spectrum[at + 1] {
            continue;
        }
        let reach = (at / 2).clamp(4, 64);
        near.clear();
        near.extend(&spectrum[at.saturating_sub(reach).max(1)..(at + reach).min(spectrum.len())]);
        let usual = median(&mut near);
        if spectrum[at] > PEAK * usual {
            peaks.push((spectrum[at], length as f64 / at as f64));
        }
    }
    peaks.sort_by(|a, b| b.0.total_cmp(&a.0));
    peaks.truncate(PEAKS_MAX);
    peaks.into_iter().map(|(_, period)| period).collect()
}

/// The highest lag around a candidate, where the periodogram's own coarseness has it, if it is a hill.
fn hill(correlation: &[f64], near: f64, count: f64, reach: f64) -> Option<(f64, f64)> {
    let cycles = count / near;
    let (low, high) = (count / (cycles + 1.0), if cycles > 1.5 { count / (cycles - 1.0) } else { near * 1.5 });
    let low = (low.max(near * (1.0 - reach)).floor() as usize).max(2);
    let high = (high.min(near * (1.0 + reach)).ceil() as usize).min(correlation.len().saturating_sub(2));
    let lag = (low..=high).max_by(|a, b| correlation[*a].total_cmp(&correlation[*b]))?;
    let is_top = correlation[lag] >= correlation[lag - 1] && correlation[lag] >= correlation[lag + 1];
    is_top.then_some((lag as f64, correlation[lag]))
}

/// The highest correlation around twice a period.
fn again(correlation: &[f64], period: f64) -> f64 {
    let (low, high) = ((1.95 * period).floor() as usize, (2.05 * period).ceil() as usize);
    let near = correlation.get(low..=high.min(correlation.len().saturating_sub(1))).unwrap_or_default();
    near.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The least correlation before a lag.
fn valley(correlation: &[f64], period: f64) -> f64 {
    correlation[1..period as usize].iter().copied().fold(f64::INFINITY, f64::min)
}

/// The period by its furthest multiple that still stands out: so many times as exact.
fn refined(correlation: &[f64], period: f64) -> f64 {
    let mut exact = period;
    for cycles in 2..=16 {
        let expected = exact * f64::from(cycles);
        let reach = (0.2 * period).max(2.0).min(exact / 2.0);
        let (low, high) = ((expected - reach).floor() as usize, (expected + reach).ceil() as usize);
        if high + 1 >= correlation.len() {
            break;
        }
        let lag = (low..=high).max_by(|a, b| correlation[*a].total_cmp(&correlation[*b])).unwrap_or(low);
        if lag == low || lag == high || correlation[lag] < 0.5 * correlation[period as usize] {
            break;
        }
        exact = lag as f64 / f64::from(cycles);
    }
    exact
}

/// Takes the mean shape of a period, in cells, out of the values.
fn take_out(rest: &mut [f64], period: f64) {
    let slots = (period.round() as usize).max(1);
    let slot = |at: usize| ((at as f64 / period).fract() * slots as f64) as usize % slots;
    let mut shape: Vec<Vec<f64>> = vec![Vec::new(); slots];
    rest.iter().enumerate().for_each(|(at, value)| shape[slot(at)].push(*value));
    let shape: Vec<f64> = shape.iter_mut().map(|values| middle_mean(values)).collect();
    rest.iter_mut().enumerate().for_each(|(at, value)| *value -= shape[slot(at)]);
}

/// A period as it is meant: a day or a week where it is near one.
fn meant(period_ms: f64) -> i64 {
    let calendar = [DAY_MS, 7.0 * DAY_MS].into_iter().find(|known| (period_ms / known - 1.0).abs() < 0.02);
    calendar.unwrap_or(period_ms).round() as i64
}

#[cfg(test)]
mod tests;
