//! What is expected at any distance: the combination within the horizon, the clear trend beyond it.
//!
//! Not here: choosing the forecasters (see `back_test`), times and units (see `grid`).
//!
//! A forecast that is best for the next day may know no trend at all; a limit months away is reached by the trend, so from
//! the horizon on the last cycle is repeated along the slope of the series, and the band opens by how uncertain that slope
//! is.

use super::robust::Slope;
use super::spread::Spread;

/// A path and its spread.
#[derive(Debug)]
pub(super) struct Outlook {
    /// What is expected in the next cells: the horizon and at least a cycle.
    pub(super) path: Vec<f64>,
    /// Cells of the longest period, 1 where there is none.
    pub(super) cycle: usize,
    pub(super) spread: Spread,
    pub(super) horizon: usize,
    /// Of the series without its season.
    pub(super) slope: Slope,
    /// -1 where the outlook is seen upside down, so that a limit below is reached from below; else 1.
    pub(super) sign: f64,
}

impl Outlook {
    /// The value expected `ahead` cells after the newest.
    pub(super) fn at(&self, ahead: usize) -> f64 {
        if ahead <= self.path.len() {
            return self.sign * self.path[ahead - 1];
        }
        let known = self.path.len();
        let cycles = (ahead - known).div_ceil(self.cycle);
        let slope = if self.slope.is_clear() { self.slope.per_cell } else { 0.0 };
        self.sign * (self.path[ahead - 1 - cycles * self.cycle] + slope * (cycles * self.cycle) as f64)
    }

    /// The band's lower and upper edge less the expected value.
    pub(super) fn band(&self, ahead: usize) -> (f64, f64) {
        let (low, high) = self.spread.band(ahead);
        let beyond = (ahead - ahead.min(self.horizon)) as f64;
        let (below, above) = if self.slope.is_clear() {
            (self.slope.per_cell - self.slope.lower, self.slope.upper - self.slope.per_cell)
        } else {
            (0.0, 0.0)
        };
        let (below, above) = if self.sign < 0.0 { (above, below) } else { (below, above) };
        (low - below * beyond, high + above * beyond)
    }

    /// The same upside down.
    pub(super) fn mirrored(self) -> Self {
        Self { spread: self.spread.mirrored(), sign: -self.sign, ..self }
    }
}
