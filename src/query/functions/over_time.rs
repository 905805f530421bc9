//! Functions that summarise the values of a range: the `*_over_time` family.
//!
//! Sums and means carry the rounding error along, as Prometheus 2.42 does for ranges (but not for aggregation over
//! series), so that a sum over a long range does not depend on the order of magnitude of its parts.
//!
//! Not here: finding the samples of a range (see `window`), `absent_over_time` (the plan builds it from `absent`).

use crate::query::digest::OfDigest;
use crate::query::number::CarrySum;
use crate::query::window::{RangeFunction, Window};

pub(super) const TABLE: &[RangeFunction] = &[
    digested("avg_over_time", |w| mean(w.values), |d, _| d.sum.total() / d.count as f64),
    digested("count_over_time", |w| w.values.len() as f64, |d, _| d.count as f64),
    function("mad_over_time", |w| median_deviation(w.values)),
    digested("max_over_time", |w| extreme(w.values, |value, best| value > best), |d, _| d.max),
    digested("min_over_time", |w| extreme(w.values, |value, best| value < best), |d, _| d.min),
    digested("present_over_time", |_| 1.0, |_, _| 1.0),
    function("quantile_over_time", |w| quantile(w.parameters[0], &mut w.values.to_vec())),
    function("stddev_over_time", |w| variance(w.values).sqrt()),
    function("stdvar_over_time", |w| variance(w.values)),
    digested("sum_over_time", |w| sum(w.values), |d, _| d.sum.total()),
    RangeFunction { keeps_name: true, ..digested("last_over_time", |w| w.values[w.values.len() - 1], |d, _| d.last) },
    RangeFunction { keeps_name: true, ..digested("first_over_time", |w| w.values[0], |d, _| d.first) },
];

const fn function(name: &'static str, compute: fn(&Window<'_>) -> f64) -> RangeFunction {
    RangeFunction { name, compute, wants_drops: false, keeps_name: false, of_digest: None, check: None }
}

const fn digested(name: &'static str, compute: fn(&Window<'_>) -> f64, of_digest: OfDigest) -> RangeFunction {
    RangeFunction { of_digest: Some(of_digest), ..function(name, compute) }
}

fn sum(values: &[f64]) -> f64 {
    let mut sum = CarrySum::default();
    values.iter().for_each(|&value| sum.add(value));
    sum.total()
}

/// A running mean, so that values near the largest number do not overflow on the way.
fn mean(values: &[f64]) -> f64 {
    let (mut mean, mut count) = (CarrySum::default(), 0.0);
    for &value in values {
        count += 1.0;
        if mean.sum.is_infinite() {
            // Once infinite, only NaN or the opposite infinity changes the mean.
            if value.is_infinite() && (mean.sum > 0.0) == (value > 0.0) {
                continue;
            }
            if value.is_finite() {
                continue;
            }
        }
        mean.add(value / count - mean.sum / count);
    }
    mean.total()
}

fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut squares, mut count) = (CarrySum::default(), CarrySum::default(), 0.0);
    for &value in values {
        count += 1.0;
        let delta = value - (mean.sum + mean.error);
        mean.add(delta / count);
        squares.add(delta * (value - (mean.sum + mean.error)));
    }
    (squares.sum + squares.error) / count
}

fn extreme(values: &[f64], beats: fn(f64, f64) -> bool) -> f64 {
    values.iter().fold(values[0], |best, &value| if beats(value, best) || best.is_nan() { value } else { best })
}

fn median_deviation(values: &[f64]) -> f64 {
    let middle = quantile(0.5, &mut values.to_vec());
    quantile(0.5, &mut values.iter().map(|value| (value - middle).abs()).collect::<Vec<_>>())
}

/// The `q`-quantile with linear interpolation between neighbours; NaN counts as the lowest value. Sorts `values`.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| {
        b.is_nan().cmp(&a.is_nan()).then(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
    });
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_carry_their_rounding_error() {
        assert_eq!(sum(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
        assert_eq!(mean(&[f64::MAX, f64::MAX]), f64::MAX);
        assert_eq!(mean(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert!(mean(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
    }

    #[test]
    fn deviations_are_those_of_the_population() {
        assert_eq!(variance(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), 4.0);
        assert_eq!(variance(&[3.0]), 0.0);
        assert_eq!(median_deviation(&[4.0, 6.0, 2.0, 1.0, 999.0, 1.0, 2.0]), 1.0);
    }

    #[test]
    fn a_nan_loses_against_any_number() {
        assert_eq!(extreme(&[f64::NAN, 1.0, f64::NAN, 3.0], |v, b| v > b), 3.0);
        assert_eq!(extreme(&[2.0, 1.0], |v, b| v < b), 1.0);
        assert!(extreme(&[f64::NAN], |v, b| v < b).is_nan());
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(0.25, &mut [1.0, 2.0, 3.0, 4.0]), 1.75);
        assert_eq!(quantile(0.0, &mut [1.0, 2.0]), 1.0);
        assert!(quantile(0.0, &mut [1.0, f64::NAN]).is_nan());
        assert_eq!(quantile(1.1, &mut [1.0]), f64::INFINITY);
        assert_eq!(quantile(-0.1, &mut [1.0]), f64::NEG_INFINITY);
    }
}
