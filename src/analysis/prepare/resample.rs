//! Samples at any times become values at equal distances; gaps are bridged, and what was made up is marked.
//!
//! Not here: the live path, which judges samples as they come and makes none up.
//!
//! Invariants: a made-up value is marked as imputed and lies between its neighbours; a gap longer than is allowed stays a
//! gap of the last value known, marked too; counters become rates before (see `counter_unwrap`), never here.

use super::super::detectors::Samples;
use super::super::robust::quantile;

/// Cells a grid has at most: thirty years of minutes would be fewer.
const CELLS_MAX: i64 = 1 << 24;

/// Steps that are meant when distances are within a hundredth of them.
const USUAL_STEPS_MS: [i64; 14] = [
    1000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 21_600_000,
    86_400_000,
];

/// What several samples of one cell become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aggregate {
    /// Their mean.
    #[default]
    Mean,
    /// The greatest.
    Max,
    /// The last.
    Last,
    /// Their sum.
    Sum,
    /// Of a counter's totals: the increase a second between the last totals of neighbouring cells. What a cell cannot
    /// have counted, because the counter began anew, is what it shows.
    Rate,
}

/// Values at equal distances.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampled {
    /// Time of the first cell, a multiple of the step, milliseconds since 1970 UTC.
    pub start_ms: i64,
    /// Distance of two cells.
    pub step_ms: i64,
    /// One a cell.
    pub values: Vec<f64>,
    /// Whether a cell had no sample: its value is made up, is never an anomaly and trains nothing.
    pub imputed: Vec<bool>,
}

/// The step that samples are meant to have: the median of their distances, rounded to a usual one where that is near.
pub fn usual_step_ms(times_ms: &[i64]) -> Option<i64> {
    let mut steps: Vec<i64> =
        times_ms.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).filter(|s| *s > 0).collect();
    let middle = steps.len().checked_sub(1)? / 2;
    let step = *steps.select_nth_unstable(middle).1;
    let meant = USUAL_STEPS_MS.iter().find(|usual| step.abs_diff(**usual) <= usual.unsigned_abs() / 100);
    Some(meant.copied().unwrap_or(step))
}

/// Puts samples, in order of time, on a grid of `step_ms`, or of their usual step. Gaps of up to `gap_max` cells are filled
/// by straight lines, longer ones with the value before them. `None` without two samples, or where the grid would have
/// more than sixteen million cells.
pub fn resample(samples: Samples<'_>, step_ms: Option<i64>, how: Aggregate, gap_max: usize) -> Option<Resampled> {
    let step_ms = step_ms.filter(|step| *step > 0).or_else(|| usual_step_ms(samples.times_ms))?;
    let (first_ms, last_ms) = (*samples.times_ms.first()?, *samples.times_ms.last()?);
    let start = first_ms.div_euclid(step_ms);
    let count = last_ms.div_euclid(step_ms).checked_sub(start)?.checked_add(1)?;
    if !(2..=CELLS_MAX).contains(&count) {
        return None;
    }
    let mut values = vec![f64::NAN; count as usize];
    let mut counts = vec![0u32; count as usize];
    for (time_ms, value) in samples.iter().filter(|(_, value)| value.is_finite()) {
        let Ok(at) = usize::try_from(time_ms.div_euclid(step_ms) - start) else { continue };
        let Some(cell) = values.get_mut(at) else { continue };
        *cell = match how {
            _ if counts[at] == 0 => value,
            Aggregate::Mean | Aggregate::Sum => *cell + value,
            Aggregate::Max => cell.max(value),
            Aggregate::Last | Aggregate::Rate => value,
        };
        counts[at] += 1;
    }
    if how == Aggregate::Mean {
        values.iter_mut().zip(&counts).filter(|(_, count)| **count > 1).for_each(|(v, n)| *v /= f64::from(*n));
    }
    if how == Aggregate::Rate {
        rates(&mut values, step_ms);
    }
    let imputed = fill(&mut values, gap_max);
    Some(Resampled { start_ms: start * step_ms, step_ms, values, imputed })
}

/// Totals become increases a second; over a gap the increase is spread evenly. The first cell has none.
fn rates(totals: &mut [f64], step_ms: i64) {
    let mut before: Option<(usize, f64)> = None;
    for (at, cell) in totals.iter_mut().enumerate() {
        let total = *cell;
        if total.is_nan() {
            continue;
        }
        *cell = match before.replace((at, total)) {
            None => f64::NAN,
            Some((last, known)) => {
                let counted = if total >= known { total - known } else { total.max(0.0) };
                counted * 1000.0 / ((at - last) as i64 * step_ms) as f64
            }
        };
    }
}

/// Fills NaN: up to `gap_max` in a row by a straight line, more with the value before, at the ends with the nearest value.
/// Which were filled. Without any value all become zero.
pub fn fill(values: &mut [f64], gap_max: usize) -> Vec<bool> {
    let imputed: Vec<bool> = values.iter().map(|value| value.is_nan()).collect();
    let mut before: Option<usize> = None;
    for at in 0..values.len() {
        if imputed[at] {
            continue;
        }
        let from = before.map_or(0, |before| before + 1);
        let left = before.map_or(values[at], |before| values[before]);
        let (step, is_line) = ((at - from + 1) as f64, before.is_some() && at - from <= gap_max);
        let right = values[at];
        for (k, value) in values[from..at].iter_mut().enumerate() {
            *value = if is_line { left + (right - left) * (k + 1) as f64 / step } else { left };
        }
        before = Some(at);
    }
    let rest = before.map_or(0, |before| before + 1);
    let last = before.map_or(0.0, |before| values[before]);
    values[rest..].fill(last);
    imputed
}

/// Values cut at two of their quantiles, for training only: what is judged stays as it is.
///
/// ```
/// use infrawatch::analysis::prepare::clip_for_training;
///
/// let mut values: Vec<f64> = (0..100).map(f64::from).collect();
/// values[50] = 1e6;
/// assert!(clip_for_training(&values, 0.01, 0.98).iter().all(|value| (0.99..=99.0).contains(value)));
/// assert_eq!(values[50], 1e6, "detection still sees it");
/// ```
pub fn clip_for_training(values: &[f64], lower: f64, upper: f64) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    if sorted.is_empty() {
        return values.to_vec();
    }
    let (low, high) = (quantile(&sorted, lower), quantile(&sorted, upper));
    values.iter().map(|value| if value.is_nan() { *value } else { value.max(low).min(high) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PRE-004: samples 7 to 13 seconds apart on a grid of ten seconds, however several become one.
    #[test]
    fn irregular_samples_become_a_grid_by_mean_max_last_or_sum() {
        let times = [0, 7_000, 20_000, 29_000, 36_000, 49_000];
        let values = [1.0, 3.0, 5.0, 2.0, 8.0, 4.0];
        let on = |how| resample(Samples::new(&times, &values), Some(10_000), how, 5).unwrap().values;
        assert_eq!(on(Aggregate::Mean), [2.0, 2.75, 3.5, 8.0, 4.0]);
        assert_eq!(on(Aggregate::Max), [3.0, 4.0, 5.0, 8.0, 4.0]);
        assert_eq!(on(Aggregate::Last), [3.0, 2.5, 2.0, 8.0, 4.0]);
        assert_eq!(on(Aggregate::Sum), [4.0, 5.5, 7.0, 8.0, 4.0]);
        let totals = [0.0, 70.0, 200.0, 290.0, 10.0, 140.0];
        let rates = resample(Samples::new(&times, &totals), Some(10_000), Aggregate::Rate, 5).unwrap();
        assert_eq!(rates.values[2..], [11.0, 1.0, 13.0]);
        assert!(rates.values.iter().all(|rate| *rate >= 0.0));
    }

    /// PRE-002: a hole of ten minutes in a series of minutes is filled by a line and marked; a longer one is no line.
    #[test]
    fn a_hole_is_filled_by_a_line_and_marked() {
        let times: Vec<i64> = (0..60).filter(|i| !(20..30).contains(i)).map(|i| i * 60_000).collect();
        let values: Vec<f64> = times.iter().map(|time_ms| *time_ms as f64 / 60_000.0).collect();
        let filled = resample(Samples::new(&times, &values), None, Aggregate::Mean, 10).unwrap();
        assert_eq!((filled.step_ms, filled.values.len()), (60_000, 60));
        assert!(filled.values.iter().zip(0..).all(|(value, i)| (value - f64::from(i)).abs() < 1e-9));
        let marked: Vec<usize> = (0..60).filter(|at| filled.imputed[*at]).collect();
        assert_eq!(marked, (20..30).collect::<Vec<_>>());
        let held = resample(Samples::new(&times, &values), None, Aggregate::Mean, 9).unwrap();
        assert_eq!(held.values[20..30], [19.0; 10]);
    }

    #[test]
    fn steps_are_those_that_are_meant_and_endless_grids_are_refused() {
        let times: Vec<i64> = (0..50).map(|i| i * 60_000 + i % 3 * 200).collect();
        assert_eq!(usual_step_ms(&times), Some(60_000));
        assert_eq!(usual_step_ms(&[0, 7, 14]), Some(7));
        let far = [0, 1, i64::MAX - 1];
        assert_eq!(resample(Samples::new(&far, &[1.0; 3]), Some(1), Aggregate::Mean, 1), None);
        let mut none = [f64::NAN; 3];
        fill(&mut none, 2);
        assert_eq!(none, [0.0; 3]);
    }
}
