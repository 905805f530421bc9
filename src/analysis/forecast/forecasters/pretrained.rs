//! A model that was trained on other series: what it expects behind the newest values.
//!
//! It needs no season found and no fit, so it is at its best where the history is short. A pass costs what thousands of
//! the other forecasters' steps cost, so in combinations it takes part only where the history is no longer than what it
//! looks at.
//!
//! Not here: the model (see `analysis::pretrained`).

use super::super::super::pretrained::{medians, model_in_use};
use super::{Family, Fit, Forecaster, Need, Past};
use serde::{Deserialize, Serialize};

/// Values that are remembered: what the model in the program looks at.
pub(in super::super) const REMEMBERED: usize = 512;
/// Steps of one pass of that model.
const STEPS: usize = 64;
/// Fewer cells say nothing to it.
const CELLS_MIN: usize = 16;
/// A forecast of the next cell is one of so many steps ago at most.
const AGE_MAX: usize = 8;

/// The foundation model.
pub(super) struct Pretrained;

/// The newest values, and what was last expected behind them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Recent {
    /// NaN in gaps.
    values: Vec<f64>,
    expected: Vec<f64>,
    /// Cells since then.
    age: usize,
}

impl Forecaster for Pretrained {
    fn name(&self) -> &'static str {
        "foundation"
    }

    fn family(&self) -> Family {
        Family::Pretrained
    }

    fn season(&self) -> Need {
        Need::NoSeason
    }

    fn cells_max(&self) -> usize {
        REMEMBERED
    }

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        let newest = past.values.len().saturating_sub(REMEMBERED);
        let values = past.values[newest..].to_vec();
        (values.len() >= CELLS_MIN && model_in_use().is_some())
            .then(|| Fit::Pretrained(Box::new(Recent { values, expected: Vec::new(), age: 0 })))
    }
}

impl Recent {
    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + 8 * (self.values.len() + self.expected.len())
    }

    /// What is expected in the next cells; the newest value where nothing can be said.
    pub(super) fn path(&self, horizon: usize) -> Vec<f64> {
        match self.expected.get(self.age..self.age + horizon) {
            Some(expected) if horizon == 1 => expected.to_vec(),
            _ => self.ahead(horizon),
        }
    }

    /// Block by block, each going on from the medians of the one before.
    fn ahead(&self, horizon: usize) -> Vec<f64> {
        let mut known = self.values.clone();
        let mut finite = known.iter().copied().filter(|value| value.is_finite());
        // The model says of a constant that it stays, to seven digits.
        if let Some(first) = finite.next().filter(|first| finite.all(|value| value == *first)) {
            return vec![first; horizon];
        }
        let mut path = Vec::with_capacity(horizon);
        while path.len() < horizon {
            let steps = (horizon - path.len()).min(STEPS);
            let last = known.iter().rev().find(|value| value.is_finite()).copied().unwrap_or(0.0);
            let block = medians(&known, steps).unwrap_or_else(|| vec![last; steps]);
            known.extend_from_slice(&block);
            known.drain(..known.len().saturating_sub(REMEMBERED));
            path.extend(block);
        }
        path
    }

    /// Takes in the value of the next cell; every few cells it looks ahead anew.
    pub(super) fn observe(&mut self, value: f64) {
        self.values.push(value);
        let overflow = self.values.len().saturating_sub(REMEMBERED);
        self.values.drain(..overflow);
        self.age += 1;
        if self.age >= AGE_MAX || self.expected.is_empty() {
            self.expected = self.ahead(AGE_MAX + 1);
            self.age = 0;
        }
    }
}

#[cfg(all(test, feature = "foundation"))]
mod tests {
    use super::*;

    fn fitted(cells: usize) -> Option<Fit> {
        let values: Vec<f64> =
            (0..cells).map(|at| 0.5 + 0.2 * (at as f64 / 24.0 * std::f64::consts::TAU).sin()).collect();
        Pretrained.fit(&Past::new(&values, &values, &[], None))
    }

    #[test]
    fn a_wave_is_continued_without_knowing_its_period() {
        let path = fitted(240).unwrap().path(100);
        for (ahead, found) in path.iter().enumerate() {
            let wanted = 0.5 + 0.2 * ((240 + ahead) as f64 / 24.0 * std::f64::consts::TAU).sin();
            assert!((found - wanted).abs() < 0.08, "{ahead}: {found} instead of {wanted}");
        }
    }

    #[test]
    fn what_is_remembered_does_not_grow_and_the_next_cell_is_cheap() {
        let mut fit = fitted(500).unwrap();
        for at in 500..1200 {
            let wanted = 0.5 + 0.2 * (f64::from(at) / 24.0 * std::f64::consts::TAU).sin();
            assert!((fit.path(1)[0] - wanted).abs() < 0.08);
            fit.observe(wanted);
        }
        let Fit::Pretrained(recent) = fit else { panic!("another fit") };
        assert_eq!(recent.values.len(), REMEMBERED);
        assert!(recent.expected.len() <= AGE_MAX + 1 && recent.age < AGE_MAX);
    }

    #[test]
    fn a_handful_of_cells_says_nothing() {
        assert!(fitted(CELLS_MIN - 1).is_none());
    }
}
