//! Values on one scale, by families of metrics: never one scale for all, which would flatten every family but the largest.
//!
//! Not here: scales of single features (see `features`).
//!
//! Invariants: a family without a spread is mapped to 0; bounds forget, so that one spike does not flatten all that comes
//! after it for ever.

use super::super::robust::quantile;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How values are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Standard deviations from the mean.
    ZScore,
    /// From 0 at the least to 1 at the greatest.
    MinMax,
    /// Interquartile ranges from the median.
    Robust,
}

/// A scale: what is subtracted, and what it is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Mean, least value or median.
    pub centre: f64,
    /// Standard deviation, range or interquartile range; 1 where that is 0.
    pub unit: f64,
}

impl Scaling {
    /// The scale of these values; those that are not finite are left out.
    ///
    /// ```
    /// use infrawatch::analysis::prepare::Scaling;
    ///
    /// let scale = Scaling::Robust.fit(&[1.0, 2.0, 3.0, 4.0, 500.0]);
    /// assert_eq!((scale.centre, scale.unit), (3.0, 2.0));
    /// assert_eq!(scale.denormalise(scale.normalise(7.5)), 7.5);
    /// ```
    pub fn fit(self, values: &[f64]) -> Scale {
        let mut finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        finite.sort_unstable_by(f64::total_cmp);
        let (Some(least), Some(greatest)) = (finite.first(), finite.last()) else {
            return Scale { centre: 0.0, unit: 1.0 };
        };
        let (centre, unit) = match self {
            Self::ZScore => super::super::detectors::mean_and_deviation(finite.iter().copied()),
            Self::MinMax => (*least, greatest - least),
            Self::Robust => (quantile(&finite, 0.5), quantile(&finite, 0.75) - quantile(&finite, 0.25)),
        };
        Scale { centre, unit: if unit > 0.0 { unit } else { 1.0 } }
    }
}

impl Scale {
    /// The value on the scale.
    pub fn normalise(&self, value: f64) -> f64 {
        (value - self.centre) / self.unit
    }

    /// The value that is so much on the scale.
    pub fn denormalise(&self, scaled: f64) -> f64 {
        scaled * self.unit + self.centre
    }
}

/// Points after which a family's bounds are computed anew.
const UPDATE_POINTS: u32 = 1000;

/// Least and greatest value of a family, from its last one to two thousand points.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Bounds {
    low: f64,
    high: f64,
    next_low: f64,
    next_high: f64,
    points: u32,
}

/// Scales every family of metrics from 0 to 1 by its own bounds.
///
/// ```
/// use infrawatch::analysis::prepare::FeatureNormalizer;
///
/// let mut normalizer = FeatureNormalizer::default();
/// for at in 0..100 {
///     normalizer.observe("cpu_percent", f64::from(at));
///     normalizer.observe("latency_ms", 20_000.0 + 10.0 * f64::from(at));
/// }
/// assert!((normalizer.normalise("cpu_percent", 99.0) - 1.0).abs() < 1e-9);
/// assert!((normalizer.normalise("latency_ms", 20_495.0) - 0.5).abs() < 0.01);
/// assert_eq!(normalizer.normalise("unknown", 5.0), 0.0);
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeatureNormalizer {
    families: HashMap<String, Bounds>,
    update_points: u32,
}

impl Default for FeatureNormalizer {
    fn default() -> Self {
        Self::new(UPDATE_POINTS)
    }
}

impl FeatureNormalizer {
    /// Forgets what bounds were before after every so many points of a family.
    pub fn new(update_points: u32) -> Self {
        Self { families: HashMap::new(), update_points: update_points.max(1) }
    }

    /// From the least to the greatest value of a family of late; none of one that is not known.
    pub fn span(&self, family: &str) -> Option<f64> {
        self.families.get(family).map(|bounds| bounds.high - bounds.low)
    }

    /// Forgets families.
    pub fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.families.retain(|family, _| is_kept(family));
    }

    /// Takes a value of a family into its bounds. What is not finite is passed over.
    pub fn observe(&mut self, family: &str, value: f64) {
        if !value.is_finite() {
            return;
        }
        let new = Bounds { low: value, high: value, next_low: value, next_high: value, points: 0 };
        let bounds = match self.families.get_mut(family) {
            Some(bounds) => bounds,
            None => self.families.entry(family.to_owned()).or_insert(new),
        };
        (bounds.low, bounds.high) = (bounds.low.min(value), bounds.high.max(value));
        (bounds.next_low, bounds.next_high) = (bounds.next_low.min(value), bounds.next_high.max(value));
        bounds.points += 1;
        if bounds.points >= self.update_points {
            *bounds = Bounds {
                low: bounds.next_low,
                high: bounds.next_high,
                next_low: f64::INFINITY,
                next_high: f64::NEG_INFINITY,
                points: 0,
            };
        }
    }

    /// The value between the bounds of its family; 0 where these are one, or none is known.
    pub fn normalise(&self, family: &str, value: f64) -> f64 {
        let Some(bounds) = self.families.get(family) else { return 0.0 };
        let range = bounds.high - bounds.low;
        (value - bounds.low) / if range > 0.0 { range } else { 1.0 }
    }

    /// The last values as one sequence for a model: one batch of so many steps with one feature each.
    pub fn tensor(&self, family: &str, values: &[f64]) -> ([usize; 3], Vec<f32>) {
        let scaled = values.iter().map(|value| self.normalise(family, *value) as f32);
        ([1, values.len(), 1], scaled.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PRE-006: what was scaled comes back.
    #[test]
    fn what_is_scaled_comes_back() {
        let values: Vec<f64> = (0..500).map(|i| 1e6 + f64::from(i * 37 % 101)).collect();
        for scaling in [Scaling::ZScore, Scaling::MinMax, Scaling::Robust] {
            let scale = scaling.fit(&values);
            assert!(values.iter().all(|v| (scale.denormalise(scale.normalise(*v)) - v).abs() < 1e-9), "{scaling:?}");
            assert_eq!(scaling.fit(&[7.0; 10]).normalise(7.0), 0.0);
            assert_eq!(scaling.fit(&[]).normalise(7.0), 7.0);
        }
    }

    /// PRE-014, PRE-015, PRE-017: families keep apart, constants are 0, bounds are those of the last points.
    #[test]
    fn families_keep_apart_and_constants_are_zero() {
        let mut normalizer = FeatureNormalizer::default();
        for at in 0..900 {
            normalizer.observe("cpu", f64::from(at % 101));
            normalizer.observe("latency", 1e5 * f64::from(at % 11));
            normalizer.observe("constant", 42.0);
        }
        assert_eq!([0.0, 100.0].map(|value| normalizer.normalise("cpu", value)), [0.0, 1.0]);
        assert_eq!([0.0, 1e6].map(|value| normalizer.normalise("latency", value)), [0.0, 1.0]);
        assert_eq!(normalizer.normalise("constant", 42.0), 0.0);
    }

    /// DEF-027: after one spike the scale comes back.
    #[test]
    fn a_spike_is_forgotten() {
        let mut normalizer = FeatureNormalizer::default();
        (0..1000).for_each(|at| normalizer.observe("cpu", if at == 500 { 1e9 } else { f64::from(at % 101) }));
        assert!(normalizer.normalise("cpu", 100.0) < 1e-6);
        (0..2000).for_each(|at| normalizer.observe("cpu", f64::from(at % 101)));
        assert_eq!(normalizer.normalise("cpu", 100.0), 1.0);
    }

    /// PRE-016.
    #[test]
    fn a_tensor_is_one_batch_of_steps_of_one_feature() {
        let mut normalizer = FeatureNormalizer::default();
        [0.0, 10.0].iter().for_each(|value| normalizer.observe("cpu", *value));
        assert_eq!(normalizer.tensor("cpu", &[0.0, 5.0, 10.0]), ([1, 3, 1], vec![0.0, 0.5, 1.0]));
    }
}
