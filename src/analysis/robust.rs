//! Robust estimates over plain slices: medians, quantiles, the Theil-Sen slope, and the normal distribution.
//!
//! Not here: series; a missing value is NaN and callers leave it out or say how it is treated.

use serde::{Deserialize, Serialize};

/// Blocks a slope is estimated from: 8128 pairs, whose interval is as narrow as anyone needs.
const BLOCKS_MAX: usize = 128;
/// Half the width, in cells, of the window in which a spike is told from its neighbours.
const HAMPEL_REACH: usize = 2;
/// Deviations, in robust standard deviations, from which a value counts as a spike.
const HAMPEL_LIMIT: f64 = 6.0;
/// Makes the median absolute deviation of normal values their standard deviation.
const MAD_TO_SIGMA: f64 = 1.4826;

/// A slope with the interval it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Slope {
    pub(super) per_cell: f64,
    pub(super) lower: f64,
    pub(super) upper: f64,
}

impl Slope {
    pub(super) const FLAT: Self = Self { per_cell: 0.0, lower: 0.0, upper: 0.0 };

    /// Whether the whole interval lies on one side of zero.
    pub(super) fn is_clear(&self) -> bool {
        self.lower > 0.0 || self.upper < 0.0
    }
}

/// The median, which reorders the values; the mean of the middle two of an even number; NaN of none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    let Some(middle) = values.len().checked_sub(1).map(|last| last / 2) else { return f64::NAN };
    let even = values.len().is_multiple_of(2);
    let (_, lower, above) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = *lower;
    if even { (lower + above.iter().copied().fold(f64::INFINITY, f64::min)) / 2.0 } else { lower }
}

/// The quantile of sorted values by linear interpolation (type 7 of Hyndman and Fan 1996); NaN of none.
pub(super) fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = p.clamp(0.0, 1.0) * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

/// The mean of the middle half of the values, which sorts them; NaN of none.
pub(super) fn middle_mean(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let cut = values.len() / 4;
    let kept = &values[cut..values.len() - cut];
    kept.iter().sum::<f64>() / kept.len() as f64
}

/// The Theil-Sen slope (Sen 1968) with its interval at `level` (0 to 1); flat when fewer than two values are there.
///
/// Long series are cut into blocks, each represented by its medians. The interval is widened for neighbours that
/// resemble each other, by the factor a first-order autoregression has.
pub(super) fn theil_sen(values: &[f64], level: f64) -> Slope {
    let points = blocks(values);
    let count = points.len();
    if count < 2 {
        return Slope::FLAT;
    }
    let mut slopes = Vec::with_capacity(count * (count - 1) / 2);
    for (i, (x, y)) in points.iter().enumerate() {
        slopes.extend(points[i + 1..].iter().map(|(later, value)| (value - y) / (later - x)));
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let per_cell = quantile(&slopes, 0.5);
    let n = count as f64;
    let kendall = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0 * widening(&points, per_cell)).sqrt();
    let share = normal_quantile(0.5 + level / 2.0) * kendall / (slopes.len() as f64) / 2.0;
    Slope { per_cell, lower: quantile(&slopes, 0.5 - share), upper: quantile(&slopes, 0.5 + share) }
}

/// Median position and median value of at most [`BLOCKS_MAX`] blocks of present values.
fn blocks(values: &[f64]) -> Vec<(f64, f64)> {
    let length = values.len().div_ceil(BLOCKS_MAX).max(1);
    let mut points = Vec::with_capacity(BLOCKS_MAX);
    let mut at = Vec::with_capacity(length);
    let mut present = Vec::with_capacity(length);
    for (block, chunk) in values.chunks(length).enumerate() {
        at.clear();
        present.clear();
        for (i, value) in chunk.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            at.push((block * length + i) as f64);
            present.push(*value);
        }
        if !present.is_empty() {
            points.push((median(&mut at), median(&mut present)));
        }
    }
    points
}

/// How much more the slope's variance is than it were with independent residuals.
fn widening(points: &[(f64, f64)], slope: f64) -> f64 {
    let mut levels: Vec<f64> = points.iter().map(|(x, y)| y - slope * x).collect();
    let level = median(&mut levels);
    let rest: Vec<f64> = points.iter().map(|(x, y)| y - slope * x - level).collect();
    let power: f64 = rest.iter().map(|r| r * r).sum();
    let lagged: f64 = rest.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let correlation = if power > 0.0 { (lagged / power).clamp(0.0, 0.95) } else { 0.0 };
    (1.0 + correlation) / (1.0 - correlation)
}

/// Replaces spikes by the median of their neighbourhood (Hampel 1974); missing values stay missing.
pub(super) fn without_spikes(values: &mut [f64]) {
    let mut near = Vec::with_capacity(2 * HAMPEL_REACH + 1);
    let smooth: Vec<f64> = (0..values.len())
        .map(|i| {
            let end = (i + HAMPEL_REACH + 1).min(values.len());
            near.clear();
            near.extend(values[i.saturating_sub(HAMPEL_REACH)..end].iter().filter(|value| !value.is_nan()));
            median(&mut near)
        })
        .collect();
    let deviation = |(value, smooth): (&f64, &f64)| (value - smooth).abs();
    let mut deviations: Vec<f64> = values.iter().zip(&smooth).map(deviation).filter(|d| !d.is_nan()).collect();
    let sigma = MAD_TO_SIGMA * median(&mut deviations);
    if sigma > 0.0 {
        for (value, smooth) in values.iter_mut().zip(&smooth) {
            if (*value - smooth).abs() > HAMPEL_LIMIT * sigma {
                *value = *smooth;
            }
        }
    }
}

/// The standard normal quantile (Acklam 2003, relative error below 1.2e-9).
pub(super) fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416, 1.0];
    const TAIL: f64 = 0.024_25;
    let horner = |factors: &[f64], x: f64| factors.iter().fold(0.0, |sum, factor| sum * x + factor);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        horner(&C, q) / horner(&D, q)
    };
    if p < TAIL {
        tail(p)
    } else if p > 1.0 - TAIL {
        -tail(1.0 - p)
    } else {
        let q = p - 0.5;
        horner(&A, q * q) * q / horner(&B, q * q)
    }
}

/// The standard normal distribution function (Abramowitz and Stegun 7.1.26, absolute error below 1e-7).
pub(super) fn normal_cdf(x: f64) -> f64 {
    const FACTORS: [f64; 6] = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592, 0.0];
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let tail = 0.5 * FACTORS.iter().fold(0.0, |sum, factor| sum * t + factor) * (-z * z).exp();
    if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles_are_those_worked_by_hand() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&mut []).is_nan());
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.25), 1.75);
        assert_eq!(middle_mean(&mut [100.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_slope_survives_outliers_gaps_and_blocks() {
        let mut values: Vec<f64> = (0..1000).map(|i| 5.0 + 0.25 * f64::from(i)).collect();
        values[10] = 1e6;
        values[400..500].fill(f64::NAN);
        let slope = theil_sen(&values, 0.8);
        assert!((slope.per_cell - 0.25).abs() < 1e-9, "{slope:?}");
        assert!(slope.is_clear());
    }

    #[test]
    fn the_interval_of_a_slope_is_that_of_sen() {
        // Slopes of (0,0) (1,1) (2,4) (3,2): 1, 2, 2/3, 3, 1/2, -2, sorted -2, 1/2, 2/3, 1, 2, 3. Kendall's variance is
        // 4*3*13/18 = 26/3; the residuals -0.75, -7/12... alternate, so nothing is widened at the 80 % level below.
        let slope = theil_sen(&[0.0, 1.0, 4.0, 2.0], 0.8);
        assert!((slope.per_cell - 5.0 / 6.0).abs() < 1e-12);
        let share = 1.281_551_565_545 * (26.0_f64 / 3.0).sqrt() / 12.0;
        let sorted = [-2.0, 0.5, 2.0 / 3.0, 1.0, 2.0, 3.0];
        assert!((slope.lower - quantile(&sorted, 0.5 - share)).abs() < 1e-6, "{slope:?}");
        assert!((slope.upper - quantile(&sorted, 0.5 + share)).abs() < 1e-6, "{slope:?}");
    }

    #[test]
    fn a_spike_is_replaced_and_a_step_is_not() {
        let mut values: Vec<f64> = (0..40).map(|i| f64::from(i % 3) + if i < 20 { 0.0 } else { 50.0 }).collect();
        let before = values.clone();
        values[7] = 90.0;
        without_spikes(&mut values);
        assert!(values[7] < 3.0);
        assert_eq!(values[20..], before[20..]);
    }

    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        for (p, z) in [(0.9, 1.281_551_565_5), (0.975, 1.959_963_984_5), (0.01, -2.326_347_874), (0.5, 0.0)] {
            assert!((normal_quantile(p) - z).abs() < 1e-8, "{p}");
            assert!((normal_cdf(z) - p).abs() < 2e-7, "{z}");
        }
    }
}
