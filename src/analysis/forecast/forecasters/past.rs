//! A series up to some cell, as forecasters see it: with its gaps, without them, and without its season.
//!
//! Not here: which periods a series has (see `season`).
//!
//! Invariant: what is computed from a past is computed once, whoever asks first.

use super::super::robust::{Slope, theil_sen, without_spikes};
use super::super::season::{Profile, profiles};
use std::cell::OnceCell;

/// Cells of history beyond the longest period that forecasters look at: newer ones say more, and every one costs.
const CELLS_MAX: usize = 2048;
/// Cycles of the longest period that are looked at however long it is.
const CYCLES_MAX: usize = 6;

/// A series up to some cell.
pub(in super::super) struct Past<'a> {
    /// NaN in gaps.
    pub(in super::super) values: &'a [f64],
    /// Gaps bridged.
    pub(in super::super) bridged: &'a [f64],
    /// Cells of each period, shortest first.
    pub(in super::super) periods: &'a [usize],
    /// Where zero lies, if every sample is above it.
    pub(in super::super) zero: Option<f64>,
    parts: OnceCell<Parts>,
    logs: OnceCell<Option<(Vec<f64>, Vec<f64>)>>,
}

/// A series without its season.
pub(in super::super) struct Parts {
    /// One a period.
    pub(in super::super) profiles: Vec<Profile>,
    /// Values without season and spikes, NaN in gaps.
    pub(in super::super) rest: Vec<f64>,
    /// The slope of the rest.
    pub(in super::super) slope: Slope,
}

impl<'a> Past<'a> {
    /// The newest cells of a series; `values` and `bridged` are equally long.
    pub(in super::super) fn new(
        values: &'a [f64],
        bridged: &'a [f64],
        periods: &'a [usize],
        zero: Option<f64>,
    ) -> Self {
        let kept = CELLS_MAX.max(periods.last().map_or(0, |period| CYCLES_MAX * period));
        let from = values.len().saturating_sub(kept);
        Self {
            values: &values[from..],
            bridged: &bridged[from..],
            periods,
            zero,
            parts: OnceCell::new(),
            logs: OnceCell::new(),
        }
    }

    /// The logarithms of values and bridged values, counted from zero; none where one is not well above zero.
    pub(in super::super) fn logs(&self) -> Option<&(Vec<f64>, Vec<f64>)> {
        let logs = self.logs.get_or_init(|| {
            let zero = self.zero?;
            let log = |values: &[f64]| values.iter().map(|value| (value - zero).ln()).collect::<Vec<_>>();
            let bridged = log(self.bridged);
            bridged.iter().all(|value| value.is_finite()).then(|| (log(self.values), bridged))
        });
        logs.as_ref()
    }

    /// Without its season.
    pub(in super::super) fn parts(&self) -> &Parts {
        self.parts.get_or_init(|| {
            let mut rest = self.values.to_vec();
            let mut solid = self.bridged.to_vec();
            let profiles = profiles(&mut rest, &mut solid, self.periods);
            without_spikes(&mut rest);
            let slope = theil_sen(&rest, 0.8);
            Parts { profiles, rest, slope }
        })
    }
}
