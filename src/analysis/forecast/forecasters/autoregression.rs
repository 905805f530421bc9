//! A regression of what the profiles leave on what they left just before and in earlier cycles, drawn towards the profiles
//! where the past says little.
//!
//! A penalty on every coefficient makes "as the profiles say" the answer that needs evidence to be left (ridge regression;
//! Hoerl and Kennard 1970).
//!
//! Not here: smoothing (see `holt_winters`).
//!
//! Invariant: what is added to the profiles stays within the range it had in the past, widened by half of it.

use super::super::season::Profile;
use super::solve::Normal;
use super::{Family, Fit, Forecaster, Need, Past};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The forecaster.
pub(super) struct SeasonalAutoregression;

/// Neighbours before the value that are looked at.
const NEIGHBOURS: [usize; 3] = [1, 2, 3];
/// Cycles of the shortest period that are looked at.
const CYCLES: usize = 2;
/// Penalty of a coefficient, as a share of the rows: what a few dozen rows say prevails over it.
const PENALTY: f64 = 0.02;
/// Rows, for each column, below which nothing is learned.
const ROWS_MIN: usize = 5;

/// A fitted regression.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Autoregression {
    /// Constant, then one coefficient a lag.
    weights: Vec<f64>,
    lags: Vec<usize>,
    /// What the profiles left, newest last, as many as the regression looks back.
    newest: VecDeque<f64>,
    least: f64,
    most: f64,
    profiles: Vec<Profile>,
    /// The slot of each profile that comes next.
    slots: Vec<usize>,
    /// What the profiles learn from an error.
    gain: f64,
}

impl Forecaster for SeasonalAutoregression {
    fn name(&self) -> &'static str {
        "autoregression"
    }

    fn family(&self) -> Family {
        Family::Regression
    }

    fn season(&self) -> Need {
        Need::Either
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        let lags = lags(past.periods);
        let parts = past.parts();
        let cells = past.bridged.len();
        let season = |i: usize| parts.profiles.iter().map(|profile| profile.at(i)).sum::<f64>();
        // A gap is bridged, so that what comes after it can look back over it.
        let rest = |i: usize| if parts.rest[i].is_nan() { past.bridged[i] - season(i) } else { parts.rest[i] };
        let values: Vec<f64> = (0..cells).map(rest).collect();
        let back = *lags.last()?;
        let rows = cells.checked_sub(back).filter(|rows| *rows >= ROWS_MIN * (lags.len() + 1))?;
        let mut normal = Normal::new(lags.len() + 1);
        let mut row = vec![1.0; lags.len() + 1];
        // What was made up teaches nothing.
        for at in (back..cells).filter(|at| !past.values[*at].is_nan()) {
            row[1..].iter_mut().zip(&lags).for_each(|(cell, lag)| *cell = values[at - lag]);
            normal.add(&row, values[at], 1.0);
        }
        let mean = normal.targets[0] / normal.rows.max(1) as f64;
        let power = normal.square / normal.rows.max(1) as f64 - mean * mean;
        if power <= 1e-20 {
            return None;
        }
        let mut penalties = vec![PENALTY * rows as f64 * power; lags.len() + 1];
        penalties[0] = 1e-6 * rows as f64;
        let weights = normal.ridge(&penalties)?;
        let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(least, most), v| (least.min(*v), most.max(*v)));
        let reach = (most - least) / 2.0;
        let cycles = parts.profiles.first().map_or(1, |profile| cells / profile.values.len());
        Some(Fit::Auto(Autoregression {
            weights,
            newest: values[cells - back..].iter().copied().collect(),
            lags,
            least: least - reach,
            most: most + reach,
            slots: parts.profiles.iter().map(|profile| cells % profile.values.len()).collect(),
            profiles: parts.profiles.clone(),
            gain: 0.5 / cycles.max(2) as f64,
        }))
    }
}

/// The lags that are looked at, rising.
fn lags(periods: &[usize]) -> Vec<usize> {
    let mut lags = NEIGHBOURS.to_vec();
    for (number, period) in periods.iter().enumerate() {
        let cycles = if number == 0 { CYCLES } else { 1 };
        lags.extend((1..=cycles).flat_map(|cycle| [cycle * period, cycle * period + 1]));
    }
    lags.sort_unstable();
    lags.dedup();
    lags
}

impl Autoregression {
    /// About how many bytes of memory it takes beside itself.
    pub(in super::super) fn bytes(&self) -> usize {
        let profiles: usize = self.profiles.iter().map(|profile| 32 + 8 * profile.values.len()).sum();
        profiles + 8 * (self.newest.len() + self.weights.len() + self.lags.len())
    }

    /// The values expected in the next `horizon` cells.
    pub(in super::super) fn path(&self, horizon: usize) -> Vec<f64> {
        let known = self.newest.len();
        let mut values: Vec<f64> = Vec::with_capacity(known + horizon);
        values.extend(&self.newest);
        (0..horizon).for_each(|_| values.push(self.next(&values)));
        let mut path = values.split_off(known);
        for (ahead, value) in path.iter_mut().enumerate() {
            *value += self.season_at(ahead);
        }
        path
    }

    fn season_at(&self, cells_on: usize) -> f64 {
        self.profiles.iter().zip(&self.slots).map(|(profile, slot)| profile.at(slot + cells_on)).sum()
    }

    fn next(&self, values: &[f64]) -> f64 {
        let terms = self.lags.iter().zip(&self.weights[1..]).map(|(lag, weight)| weight * values[values.len() - lag]);
        (self.weights[0] + terms.sum::<f64>()).clamp(self.least, self.most)
    }

    /// Takes in the value of the next cell; where there is none, what was expected.
    pub(in super::super) fn observe(&mut self, value: f64) {
        self.newest.make_contiguous();
        let expected = self.next(self.newest.as_slices().0);
        let rest = if value.is_nan() { expected } else { value - self.season_at(0) };
        self.newest.pop_front();
        self.newest.push_back(rest);
        let share = self.gain * (rest - expected) / self.profiles.len().max(1) as f64;
        for (profile, slot) in self.profiles.iter_mut().zip(&mut self.slots) {
            profile.values[*slot] += share;
            *slot = if *slot + 1 == profile.values.len() { 0 } else { *slot + 1 };
        }
    }
}
