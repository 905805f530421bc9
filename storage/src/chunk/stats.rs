//! What a chunk says about its samples without being decoded.
//!
//! Staleness markers are counted and otherwise ignored: "the others" below are all samples that are not stale. When
//! there are no others, `min`, `max`, `first` and `last` are NaN and `sum` and `drops` are 0.
//!
//! Not here: how they are written (see `head`).

use crate::sample::is_stale;

/// Statistics of one chunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// How many samples there are, stale ones included.
    pub count: u32,
    /// How many of them are staleness markers.
    pub stale: u32,
    /// The time of the first sample, stale or not.
    pub start_ms: i64,
    /// The time of the last sample, stale or not.
    pub end_ms: i64,
    /// The smallest of the others. NaN never counts, unless every one is NaN: then the first of them. Of equal
    /// values (0.0 and -0.0) the earliest.
    pub min: f64,
    /// The largest of the others, by the same rules.
    pub max: f64,
    /// The sum of the others in time order, compensated: nearly as if added exactly and rounded once. Any NaN makes
    /// it NaN, and infinities behave as in a plain sum.
    pub sum: f64,
    /// The first of the others.
    pub first: f64,
    /// The last of the others.
    pub last: f64,
    /// For counters: the sum of all values that were followed by a smaller one, so that the increase over the chunk
    /// is `last - first + drops`. Compensated as `sum` is; NaN is neither smaller nor larger than anything.
    pub drops: f64,
}

impl Stats {
    /// The statistics of one chunk's columns, which have equal lengths of at least 1.
    pub(super) fn of(times: &[i64], values: &[f64]) -> Self {
        let mut stale = 0;
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut sum, mut drops) = (CompensatedSum::default(), CompensatedSum::default());
        let first = values.iter().copied().find(|value| !is_stale(*value)).unwrap_or(f64::NAN);
        let mut last = first;
        for &value in values {
            if is_stale(value) {
                stale += 1;
                continue;
            }
            min = if value < min { value } else { min };
            max = if value > max { value } else { max };
            sum.add(value);
            // Adding 0.0 is cheaper than guessing the branch, which gauges make a coin toss.
            drops.add(if value < last { last } else { 0.0 });
            last = value;
        }
        if min > max {
            // Nothing was comparable, so `first` is a NaN like all the others.
            (min, max) = (first, first);
        }
        Self {
            count: values.len() as u32,
            stale,
            start_ms: times[0],
            end_ms: times[times.len() - 1],
            min,
            max,
            sum: sum.value(),
            first,
            last,
            drops: drops.value(),
        }
    }
}

/// A running sum that keeps what rounding cut off (Neumaier's variant of Kahan's sum, without its branch).
#[derive(Debug, Default)]
pub(crate) struct CompensatedSum {
    sum: f64,
    lost: f64,
}

impl CompensatedSum {
    #[inline]
    pub(crate) fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        let added = sum - self.sum;
        self.lost += (self.sum - (sum - added)) + (value - added);
        self.sum = sum;
    }

    pub(crate) fn value(&self) -> f64 {
        // What is lost next to an infinity is NaN; the plain sum is then the answer.
        if self.sum.is_finite() && self.lost.is_finite() { self.sum + self.lost } else { self.sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::STALE_NAN_BITS;

    fn of(values: &[f64]) -> Stats {
        let times: Vec<i64> = (0..values.len() as i64).map(|i| 1000 + i * 10).collect();
        Stats::of(&times, values)
    }

    #[test]
    fn statistics_of_a_small_gauge_by_hand() {
        let stats = of(&[3.0, 1.0, 4.0, 1.5]);
        let expected = Stats {
            count: 4,
            stale: 0,
            start_ms: 1000,
            end_ms: 1030,
            min: 1.0,
            max: 4.0,
            sum: 9.5,
            first: 3.0,
            last: 1.5,
            drops: 7.0,
        };
        assert_eq!(stats, expected);
    }

    #[test]
    fn staleness_markers_are_counted_and_ignored() {
        let stale = f64::from_bits(STALE_NAN_BITS);
        let stats = of(&[stale, 5.0, stale, 2.0, stale]);
        assert_eq!((stats.count, stats.stale, stats.end_ms), (5, 3, 1040));
        assert_eq!(
            (stats.min, stats.max, stats.sum, stats.first, stats.last, stats.drops),
            (2.0, 5.0, 7.0, 5.0, 2.0, 5.0)
        );
        let none = of(&[stale, stale]);
        assert!(none.min.is_nan() && none.max.is_nan() && none.first.is_nan() && none.last.is_nan());
        assert_eq!((none.stale, none.sum, none.drops), (2, 0.0, 0.0));
    }

    #[test]
    fn nan_spoils_the_sum_but_not_the_extremes() {
        let stats = of(&[f64::NAN, 2.0, f64::NAN, 1.0]);
        assert!(stats.first.is_nan() && stats.sum.is_nan());
        assert_eq!((stats.min, stats.max, stats.last, stats.drops), (1.0, 2.0, 1.0, 0.0));
        assert!(of(&[f64::NAN, f64::NAN]).min.is_nan());
    }

    #[test]
    fn infinities_and_signed_zeros_follow_their_rules() {
        let stats = of(&[f64::INFINITY, 1.0, f64::NEG_INFINITY]);
        assert_eq!((stats.min, stats.max), (f64::NEG_INFINITY, f64::INFINITY));
        assert!(stats.sum.is_nan() && stats.drops == f64::INFINITY);
        assert_eq!(of(&[f64::INFINITY, 1.0]).sum, f64::INFINITY);
        assert_eq!(of(&[f64::MAX, f64::MAX]).sum, f64::INFINITY);
        assert!(of(&[-0.0, 0.0]).min.is_sign_negative() && of(&[0.0, -0.0]).min.is_sign_positive());
    }

    #[test]
    fn sums_keep_what_rounding_cuts_off() {
        assert_eq!(of(&[1e16, 1.0, 1.0, -1e16]).sum, 2.0);
        assert_eq!(of(&[0.1; 10]).sum, 1.0);
    }
}
