//! How alike two series move, and which goes ahead: the greatest correlation over some shifts.
//!
//! Not here: where values come from (see `server`), what follows (see `related`, `cause`).
//!
//! Cost: two passes a shift; 360 values over 41 shifts take some 30 us.

use serde::{Deserialize, Serialize};

/// Fewest values that have to overlap.
const POINTS_MIN: usize = 20;

/// How two series move.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// Pearson's coefficient at the shift with the greatest, -1 to 1.
    pub r: f64,
    /// How much later the second moves, in milliseconds; negative if it moves earlier.
    pub lag_ms: i64,
    /// Values that were compared.
    pub points: usize,
}

impl std::fmt::Display for Correlation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "r = {:.2} at a shift of {} s", self.r, self.lag_ms / 1000)
    }
}

impl Correlation {
    /// Of the second with the first.
    pub fn reversed(self) -> Self {
        Self { lag_ms: -self.lag_ms, ..self }
    }
}

/// The greatest correlation of two columns, a value a step, `NaN` where there is none, over shifts of up to `shift_max` steps.
///
/// Of shifts that are equally good the smallest counts, so that what moves at once has none.
pub fn correlate(a: &[f64], b: &[f64], step_ms: i64, shift_max: usize) -> Option<Correlation> {
    let shift_max = shift_max as i64;
    let mut shifts: Vec<i64> = (-shift_max..=shift_max).collect();
    shifts.sort_by_key(|shift| shift.abs());
    let mut best: Option<Correlation> = None;
    for shift in shifts {
        let Some((r, points)) = at_shift(a, b, shift) else { continue };
        if best.is_none_or(|best| r.abs() > best.r.abs() + 1e-9) {
            best = Some(Correlation { r, lag_ms: shift * step_ms, points });
        }
    }
    best
}

/// Pearson's coefficient of `a[i]` with `b[i + shift]`.
fn at_shift(a: &[f64], b: &[f64], shift: i64) -> Option<(f64, usize)> {
    let pair = |at: usize| {
        let other = usize::try_from(at as i64 + shift).ok().and_then(|other| b.get(other))?;
        (a[at].is_finite() && other.is_finite()).then_some((a[at], *other))
    };
    let pairs: Vec<(f64, f64)> = (0..a.len()).filter_map(pair).collect();
    if pairs.len() < POINTS_MIN {
        return None;
    }
    let count = pairs.len() as f64;
    let mean_a = pairs.iter().map(|(a, _)| a / count).sum::<f64>();
    let mean_b = pairs.iter().map(|(_, b)| b / count).sum::<f64>();
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in &pairs {
        let (a, b) = (a - mean_a, b - mean_b);
        (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
    }
    // Of what does not vary, but for the last digits of its mean, nothing can be said.
    let varies = |sum: f64, mean: f64| sum > 1e-20 * count * mean * mean;
    let r = ab / (aa * bb).sqrt();
    (varies(aa, mean_a) && varies(bb, mean_b) && r.is_finite()).then_some((r.clamp(-1.0, 1.0), pairs.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(from: i64) -> Vec<f64> {
        (from..from + 200).map(|i| (i as f64 * 0.11).sin() + ((i * 7919).rem_euclid(13)) as f64 * 0.02).collect()
    }

    #[test]
    fn a_series_that_follows_is_found_with_its_lag_and_sign() {
        let found = correlate(&wave(0), &wave(-7), 60_000, 20).unwrap();
        assert!(found.r > 0.999 && found.lag_ms == 7 * 60_000, "{found:?}");
        let mirrored: Vec<f64> = wave(5).iter().map(|value| -3.0 * value).collect();
        let found = correlate(&wave(0), &mirrored, 1000, 20).unwrap();
        assert!(found.r < -0.999 && found.lag_ms == -5000, "{found:?}");
        assert_eq!(found.reversed().lag_ms, 5000);
    }

    #[test]
    fn what_does_not_vary_or_hardly_overlaps_says_nothing() {
        assert_eq!(correlate(&wave(0), &[1.0; 200], 1, 5), None);
        let mut gaps = vec![f64::NAN; 200];
        gaps[..10].fill(1.0);
        assert_eq!(correlate(&wave(0), &gaps, 1, 5), None);
        let noise: Vec<f64> = (0..200_i64).map(|i| ((i * 104_729 + i * i * 31) % 97) as f64).collect();
        assert!(correlate(&wave(0), &noise, 1, 5).unwrap().r.abs() < 0.5);
    }
}
