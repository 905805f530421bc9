//! Brings values to one scale, and remembers how.

use serde::{Deserialize, Serialize};

/// Which centre and spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Mean and standard deviation.
    #[default]
    Standard,
    /// Median and distance of the quartiles, which outliers in the training data do not move.
    Robust,
}

/// A centre and a spread that were found in training values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale {
    centre: f64,
    spread: f64,
}

impl Scale {
    /// From at least one finite value; the spread of a constant is one.
    pub(crate) fn of(values: &[f64], scaling: Scaling) -> Self {
        let (centre, spread) = match scaling {
            Scaling::Standard => {
                let count = values.len() as f64;
                let mean = values.iter().sum::<f64>() / count;
                let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
                (mean, variance.sqrt())
            }
            Scaling::Robust => {
                let mut sorted = values.to_vec();
                sorted.sort_by(f64::total_cmp);
                (percentile(&sorted, 50.0), percentile(&sorted, 75.0) - percentile(&sorted, 25.0))
            }
        };
        let is_usable = spread.is_finite() && spread > centre.abs() * 1e-12;
        Self { centre, spread: if is_usable { spread } else { 1.0 } }
    }

    pub(crate) fn apply(&self, value: f64) -> f32 {
        ((value - self.centre) / self.spread) as f32
    }
}

/// Linear between the sorted values next to it, as NumPy does by default.
pub(crate) fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let position = percent / 100.0 * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    low + (position - position.floor()) * (high - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_scalings_centre_values_and_only_one_heeds_outliers() {
        let values = [1.0, 2.0, 3.0, 4.0, 1000.0];
        let robust = Scale::of(&values, Scaling::Robust);
        assert_eq!((robust.apply(3.0), robust.apply(5.0)), (0.0, 1.0));
        let standard = Scale::of(&values, Scaling::Standard);
        assert!((standard.apply(202.0)).abs() < 1e-6 && standard.apply(3.0).abs() < 0.6);
    }

    #[test]
    fn a_constant_is_its_own_centre() {
        assert_eq!(Scale::of(&[7.0; 9], Scaling::Standard).apply(7.5), 0.5);
        assert_eq!(Scale::of(&[7.0; 9], Scaling::Robust).apply(7.0), 0.0);
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        assert_eq!(
            [0.0, 25.0, 99.0].map(|percent| percentile(&[1.0, 2.0, 4.0, 8.0, 16.0], percent)),
            [1.0, 2.0, 15.68]
        );
    }
}
