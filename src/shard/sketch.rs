//! A sketch of many values from which quantiles are read with a relative error of at most 1 %.
//!
//! DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
//! VLDB 2019): bucket `i` counts the values in (g^(i-1), g^i], g = (1 + a) / (1 - a), and stands for 2 g^i / (g + 1).
//! Written here because sampled values weigh 1/rate, which the crates at hand cannot take in one step.
//!
//! Not here: count, sum and extremes (see `window`).
//!
//! Invariant: at most `BUCKETS_MAX` buckets a sign; beyond them the smallest sizes share one, so that the upper quantiles
//! keep their promise. Cost sketch: one logarithm and one addition a value; 8 bytes a bucket between the smallest
//! and the largest, 230 buckets for each factor of 100.

/// Relative error of a quantile.
const ACCURACY: f64 = 0.01;
const GAMMA: f64 = (1.0 + ACCURACY) / (1.0 - ACCURACY);
/// 16 KiB a sign; spans a factor of 10^17.
const BUCKETS_MAX: usize = 2048;
/// Sizes below this count as 0.
const SMALLEST: f64 = 1e-12;

/// Weights by size for one sign.
#[derive(Debug, Default)]
struct Sizes {
    /// Index of the first bucket.
    first: i32,
    weights: Vec<f64>,
}

impl Sizes {
    fn add(&mut self, index: i32, weight: f64) {
        if self.weights.is_empty() {
            self.first = index;
        }
        if index < self.first {
            // Room below, as far as the largest size allows.
            let last = self.first + self.weights.len() as i32 - 1;
            let first = index.max(last - BUCKETS_MAX as i32 + 1);
            let room = (self.first - first) as usize;
            self.weights.splice(0..0, std::iter::repeat_n(0.0, room));
            self.first = first;
        }
        let mut at = (index.max(self.first) - self.first) as usize;
        if at >= BUCKETS_MAX {
            let folded = (at + 1 - BUCKETS_MAX).min(self.weights.len());
            let low: f64 = self.weights.drain(..folded).sum();
            self.first = index - BUCKETS_MAX as i32 + 1;
            at = BUCKETS_MAX - 1;
            let kept = self.weights.len();
            // What lay between the folded buckets and the new first one had no weight.
            if kept == 0 {
                self.weights.push(low);
            } else {
                self.weights[0] += low;
            }
        }
        if at >= self.weights.len() {
            self.weights.resize(at + 1, 0.0);
        }
        self.weights[at] += weight;
    }

    fn merge(&mut self, other: &Self) {
        // The largest sizes first, so that the smallest are folded at most once.
        let rows = other.weights.iter().enumerate().rev().filter(|(_, weight)| **weight > 0.0);
        rows.for_each(|(at, weight)| self.add(other.first + at as i32, *weight));
    }

    fn value(&self, at: usize) -> f64 {
        2.0 * GAMMA.powi(self.first + at as i32) / (GAMMA + 1.0)
    }
}

/// Values by sign and size.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    below: Sizes,
    zero: f64,
    above: Sizes,
    total: f64,
}

impl Sketch {
    /// Adds a finite value that stands for `weight` events.
    pub(super) fn add(&mut self, value: f64, weight: f64) {
        self.total += weight;
        let size = value.abs();
        if size < SMALLEST {
            self.zero += weight;
            return;
        }
        let index = (size.ln() / GAMMA.ln()).ceil() as i32;
        if value > 0.0 { self.above.add(index, weight) } else { self.below.add(index, weight) }
    }

    /// Adds the values of another.
    pub(super) fn merge(&mut self, other: &Self) {
        self.below.merge(&other.below);
        self.above.merge(&other.above);
        self.zero += other.zero;
        self.total += other.total;
    }

    /// Gives the values below which these shares of all events lie, for shares that rise, to `each` with the share's
    /// place; nothing for an empty sketch.
    pub(super) fn quantiles(&self, shares: &[f64], mut each: impl FnMut(usize, f64)) {
        let mut next = 0;
        let mut seen = 0.0;
        let below = self.below.weights.iter().enumerate().rev().map(|(at, weight)| (-self.below.value(at), *weight));
        let above = self.above.weights.iter().enumerate().map(|(at, weight)| (self.above.value(at), *weight));
        for (value, weight) in below.chain([(0.0, self.zero)]).chain(above).filter(|(_, weight)| *weight > 0.0) {
            seen += weight;
            // The value of rank share * total, counted from 1, in the order of values (nearest rank).
            while next < shares.len() && seen >= shares[next] * self.total * (1.0 - 1e-12) {
                each(next, value);
                next += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sketch(values: impl IntoIterator<Item = f64>) -> Sketch {
        let mut sketch = Sketch::default();
        values.into_iter().for_each(|value| sketch.add(value, 1.0));
        sketch
    }

    fn quantiles<const N: usize>(sketch: &Sketch, shares: [f64; N]) -> [f64; N] {
        let mut values = [0.0; N];
        sketch.quantiles(&shares, |at, value| values[at] = value);
        values
    }

    fn near(found: f64, expected: f64) -> bool {
        (found - expected).abs() <= expected.abs() * ACCURACY * 1.000_001
    }

    #[test]
    fn quantiles_of_one_to_a_thousand_are_within_a_hundredth() {
        let found = quantiles(&sketch((1..=1000).map(f64::from)), [0.5, 0.9, 0.95, 0.99]);
        for (found, expected) in found.into_iter().zip([500.0, 900.0, 950.0, 990.0]) {
            assert!(near(found, expected), "{found} is not {expected}");
        }
    }

    #[test]
    fn a_value_with_a_weight_counts_as_that_many() {
        let mut sketch = sketch([1.0]);
        sketch.add(100.0, 9.0);
        let [low, high] = quantiles(&sketch, [0.1, 0.2]);
        assert!(near(low, 1.0) && near(high, 100.0), "{low} {high}");
    }

    #[test]
    fn upper_quantiles_survive_sizes_that_do_not_fit_together() {
        for order in [[1e-11, 1e30, 2e30], [1e30, 1e-11, 2e30], [2e30, 1e30, 1e-11]] {
            let [_, middle, top] = quantiles(&sketch(order), [0.3, 0.6, 1.0]);
            assert!(near(middle, 1e30) && near(top, 2e30), "{middle} {top} after {order:?}");
        }
    }

    #[test]
    fn upper_quantiles_survive_merging_what_does_not_fit_together() {
        for (one, other) in [(1e-11, 1e30), (1e30, 1e-11)] {
            let mut merged = sketch([one, one, 2e30]);
            merged.merge(&sketch([other, -5.0, 0.0]));
            let [top] = quantiles(&merged, [1.0]);
            assert!(near(top, 2e30) && merged.total == 6.0, "{top}");
        }
    }

    proptest! {
        #[test]
        fn every_quantile_is_within_a_hundredth_of_a_value_of_that_rank(
            mut values in prop::collection::vec(prop_oneof![-1e6..1e6f64, 0.001..10.0f64, Just(0.0)], 1..200),
            share in 0.001..1.0f64,
        ) {
            let [found] = quantiles(&sketch(values.iter().copied()), [share]);
            values.sort_by(f64::total_cmp);
            let rank = ((share * values.len() as f64).ceil() as usize).clamp(1, values.len());
            prop_assert!(near(found, values[rank - 1]), "{} for {}", found, values[rank - 1]);
        }

        #[test]
        fn merged_sketches_say_what_one_sketch_of_all_values_says(
            one in prop::collection::vec(prop_oneof![-1e6..1e6f64, 0.001..10.0f64, Just(0.0)], 0..100),
            other in prop::collection::vec(prop_oneof![-1e6..1e6f64, 0.001..10.0f64, Just(0.0)], 1..100),
        ) {
            let shares = [0.1, 0.5, 0.9, 0.99];
            let mut merged = sketch(one.iter().copied());
            merged.merge(&sketch(other.iter().copied()));
            let whole = sketch(one.iter().chain(&other).copied());
            prop_assert_eq!(quantiles(&merged, shares), quantiles(&whole, shares));
        }
    }
}
