//! A model that was trained on other series: what it expects behind the newest values.
//!
//! It needs no season found and no fit. A pass costs what thousands of the other forecasters' steps cost: windows of a
//! back-test go through it together, and of a live series it looks ahead only every few cells.
//!
//! Not here: the model (see `analysis::pretrained`).

use super::super::super::pretrained::{medians, model_in_use};
use super::{Family, Fit, Forecaster, Need, Past, Window};
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

    fn fit(&self, past: &Past<'_>) -> Option<Fit> {
        let newest = past.values.len().saturating_sub(REMEMBERED);
        let values = past.values[newest..].to_vec();
        (values.len() >= CELLS_MIN && model_in_use().is_some())
            .then(|| Fit::Pretrained(Box::new(Recent { values, expected: Vec::new(), age: 0 })))
    }

    fn roll(&self, past: &Past<'_>, later: &[f64], windows: &[Window]) -> Option<Vec<Vec<f64>>> {
        self.fit(past)?;
        let known = |window: &Window| {
            let from_past = REMEMBERED.saturating_sub(window.seen).min(past.values.len());
            let mut known = past.values[past.values.len() - from_past..].to_vec();
            known.extend_from_slice(&later[window.seen.saturating_sub(REMEMBERED)..window.seen]);
            known
        };
        let horizons: Vec<usize> = windows.iter().map(|window| window.horizon).collect();
        Some(continued(windows.iter().map(known).collect(), &horizons))
    }
}

/// What is expected behind each of these, block by block, each going on from the medians of the one before; the newest
/// value where nothing can be said.
fn continued(mut known: Vec<Vec<f64>>, horizons: &[usize]) -> Vec<Vec<f64>> {
    let mut paths: Vec<Vec<f64>> =
        known.iter().zip(horizons).map(|(known, horizon)| constant(known, *horizon)).collect();
    loop {
        let short: Vec<usize> = (0..known.len()).filter(|at| paths[*at].len() < horizons[*at]).collect();
        let Some(steps) = short.iter().map(|at| (horizons[*at] - paths[*at].len()).min(STEPS)).max() else {
            return paths;
        };
        let histories: Vec<&[f64]> = short.iter().map(|at| known[*at].as_slice()).collect();
        let blocks = medians(&histories, steps).unwrap_or_else(|| {
            let last = |history: &&[f64]| history.iter().rev().find(|value| value.is_finite()).copied().unwrap_or(0.0);
            histories.iter().map(|history| vec![last(history); steps]).collect()
        });
        for (at, block) in short.into_iter().zip(blocks) {
            paths[at].extend_from_slice(&block);
            paths[at].truncate(horizons[at]);
            known[at].extend(block);
            let overflow = known[at].len().saturating_sub(REMEMBERED);
            known[at].drain(..overflow);
        }
    }
}

/// The whole path of a constant, of which the model says that it stays, but to seven digits only; of others nothing.
fn constant(known: &[f64], horizon: usize) -> Vec<f64> {
    let mut finite = known.iter().copied().filter(|value| value.is_finite());
    match finite.next() {
        Some(first) if finite.all(|value| value == first) => vec![first; horizon],
        _ => Vec::with_capacity(horizon),
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

    fn ahead(&self, horizon: usize) -> Vec<f64> {
        continued(vec![self.values.clone()], &[horizon]).swap_remove(0)
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
    fn windows_together_are_forecast_as_each_by_itself() {
        let wave = |at: usize| 0.5 + 0.2 * (at as f64 / 24.0 * std::f64::consts::TAU).sin();
        let values: Vec<f64> = (0..700).map(wave).collect();
        let past = Past::new(&values[..540], &values[..540], &[], None);
        let windows = [(0, 100), (60, 100), (150, 10)].map(|(seen, horizon)| Window { seen, horizon });
        let together = Pretrained.roll(&past, &values[540..], &windows).unwrap();
        for (Window { seen, horizon }, path) in windows.into_iter().zip(together) {
            let known = &values[..540 + seen];
            let alone = Pretrained.fit(&Past::new(known, known, &[], None)).unwrap().path(horizon);
            assert_eq!(path.len(), horizon);
            let apart = path.iter().zip(&alone).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-4, "{apart} after {seen}");
        }
    }

    #[test]
    fn a_handful_of_cells_says_nothing() {
        assert!(fitted(CELLS_MIN - 1).is_none());
    }
}
