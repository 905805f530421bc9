//! Which gains a state should have: those whose forecasts of the next value were best, on a coarse grid and then around
//! its best point.
//!
//! Not here: what the gains do (see `smooth`).
//!
//! Cost: a run over the past for every setting tried.

use super::Smooth;
use super::smooth::Gains;

/// Rounds of looking around the best point, each with half the step of the one before.
const ROUNDS: usize = 3;

/// A gain that is looked for, and its values on the grid.
pub(super) struct Axis {
    pub(super) of: fn(&mut Gains) -> &mut f64,
    pub(super) values: &'static [f64],
    /// How far around the best value is looked at first.
    pub(super) step: f64,
}

/// The state at the end of the values, with the gains of the smallest mean absolute error.
///
/// `start` is the state before the first of the values.
pub(super) fn best(start: &Smooth, values: &[f64], axes: &[Axis]) -> Smooth {
    let mut best = (f64::INFINITY, start.clone());
    let mut tried = start.clone();
    for number in 0..axes.iter().map(|axis| axis.values.len()).product() {
        let (mut rest, mut gains) = (number, start.gains);
        for axis in axes {
            *(axis.of)(&mut gains) = axis.values[rest % axis.values.len()];
            rest /= axis.values.len();
        }
        consider(start, values, gains, &mut tried, &mut best);
    }
    let mut reach = 1.0;
    for _ in 0..ROUNDS {
        for axis in axes {
            for way in [-1.0, 1.0] {
                let mut gains = best.1.gains;
                let gain = (axis.of)(&mut gains);
                *gain = (*gain + way * reach * axis.step).clamp(0.0, 1.0);
                if gains != best.1.gains {
                    consider(start, values, gains, &mut tried, &mut best);
                }
            }
        }
        reach /= 2.0;
    }
    best.1
}

/// Runs over the values with these gains and keeps the end if it was better.
fn consider(start: &Smooth, values: &[f64], gains: Gains, tried: &mut Smooth, best: &mut (f64, Smooth)) {
    tried.clone_from(start);
    tried.gains = gains;
    let mut error = 0.0;
    for value in values {
        let expected = tried.step(*value);
        if !value.is_nan() {
            error += (value - expected).abs();
        }
    }
    if error < best.0 {
        *best = (error, tried.clone());
    }
}
