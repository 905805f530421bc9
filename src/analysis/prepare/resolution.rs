//! By how much a series moves when it moves: the usual size of its steps that are not zero.
//!
//! Not here: how often it moves. A count that is mostly zero has hardly any spread, and yet a one among zeros is what it
//! always does; a unit of some share of its steps keeps such a one from being far away.

use serde::{Deserialize, Serialize};

/// Steps remembered.
const MEMORY: f64 = 64.0;

/// A step of more than this many usual ones counts as one of that size.
const CLIP: f64 = 5.0;

/// Share of the usual step below which no spread is believed: one step is then four units, which no detector holds
/// for rare before it has seen better; where samples scatter, spreads are larger anyway.
const SPREAD_SHARE: f64 = 0.25;

/// Follows the size of steps.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Resolution {
    /// NaN before the first value.
    last: f64,
    step: f64,
}

impl Default for Resolution {
    fn default() -> Self {
        Self { last: f64::NAN, step: 0.0 }
    }
}

impl Resolution {
    /// Whether a value is the same as the last one.
    pub(crate) fn stays(&self, value: f64) -> bool {
        self.last == value
    }

    /// Takes the next value, which is finite.
    pub(crate) fn learn(&mut self, value: f64) {
        let step = if self.last.is_nan() { 0.0 } else { (value - self.last).abs() };
        self.last = value;
        if self.step == 0.0 {
            self.step = step;
        } else if step > 0.0 {
            self.step += (step.min(CLIP * self.step) - self.step) / MEMORY;
        }
    }

    /// Smallest spread that steps of this size leave believable.
    pub(crate) fn spread_min(&self) -> f64 {
        SPREAD_SHARE * self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_steps_count_and_giants_hardly() {
        let mut resolution = Resolution::default();
        (0..1000).for_each(|i| resolution.learn(if i % 50 == 0 { 2.0 } else { 0.0 }));
        assert!((resolution.spread_min() - 0.5).abs() < 1e-9);
        resolution.learn(1e9);
        assert!(resolution.spread_min() < 0.6);
    }
}
