//! A history as the network sees it: standardised, cut into patches that end where the history ends.

use super::config::Config;
use ndarray::Array2;

/// A history, prepared.
pub(super) struct Patches {
    pub(super) count: usize,
    /// A row for each patch: its standardised values, missing ones as 0, then for each whether it is there.
    pub(super) features: Array2<f32>,
    /// Which patches hold a value.
    pub(super) attended: Vec<bool>,
    pub(super) location: f64,
    pub(super) scale: f64,
}

/// Mean and population deviation, in f64 where the published code has f32: a large offset then costs no digits.
fn location_and_scale(history: &[f64]) -> (f64, f64) {
    let there = || history.iter().copied().filter(|value| value.is_finite());
    let count = there().count();
    if count == 0 {
        return (0.0, 1.0);
    }
    // Values near the largest f64 must not overflow in a sum, nor tiny ones vanish in a square.
    let largest = there().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    let unit = if largest > 0.0 { largest } else { 1.0 };
    let mean = there().map(|value| value / unit).sum::<f64>() / count as f64;
    let variance = there().map(|value| (value / unit - mean).powi(2)).sum::<f64>() / count as f64;
    let scale = variance.sqrt() * unit;
    // What rounding alone leaves of a constant is no scale. The published code then takes 1e-5, whatever the constant:
    // here never more than a hundred-thousandth of it, or small constants would get wide forecasts.
    let of_constant = if largest > 0.0 { 1e-5 * largest.min(1.0) } else { 1e-5 };
    (mean * unit, if scale > largest * f64::EPSILON * 4.0 { scale } else { of_constant })
}

/// The last points of a history that the model uses, in patches.
pub(super) fn patches(history: &[f64], config: &Config) -> Patches {
    let kept = &history[history.len().saturating_sub(config.context)..];
    let (location, scale) = location_and_scale(kept);
    let patch = config.patch;
    let count = kept.len().div_ceil(patch);
    let mut features = Array2::zeros((count, 2 * patch));
    let mut attended = vec![false; count];
    let padding = count * patch - kept.len();
    for (index, value) in kept.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let (row, column) = ((index + padding) / patch, (index + padding) % patch);
        features[[row, column]] = ((value - location) / scale) as f32;
        features[[row, patch + column]] = 1.0;
        attended[row] = true;
    }
    Patches { count, features, attended, location, scale }
}
