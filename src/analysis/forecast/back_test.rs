//! Chooses among candidates by forecasting parts of the past from what came before them, and learns from the same
//! windows how far forecasts are off.
//!
//! Not here: the candidates (see `model`), what becomes of the errors (see `spread`).
//!
//! Invariant: a window is never seen by the fit that forecasts it, nor by the band whose coverage it measures.
//!
//! Cost: every candidate is fitted to at most [`CHOICE_WINDOWS`] windows and the chosen ones to [`BAND_WINDOWS`] more;
//! `benches/forecast.rs` confirms a few tens of milliseconds for 1000 samples.

use super::HeldOutError;
use super::model::{Candidate, Prepared, Trend};
use super::spread::Spread;

/// Windows on which candidates compete.
const CHOICE_WINDOWS: usize = 5;
/// Windows from which the band is learnt.
const BAND_WINDOWS: usize = 24;
/// Candidates whose mean is the forecast, and how much worse than the best they may be.
const CHOSEN_MAX: usize = 3;
const CHOSEN_WITHIN: f64 = 1.05;
/// Shorter series are not split.
const CELLS_MIN: usize = 6;

/// What the back-test found.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) candidates: Vec<Candidate>,
    pub(super) spread: Spread,
    pub(super) held_out_error: Option<HeldOutError>,
}

/// A grid with its gaps, bridged, and the periods found in it.
#[derive(Clone, Copy)]
pub(super) struct History<'a> {
    pub(super) values: &'a [f64],
    pub(super) bridged: &'a [f64],
    pub(super) periods: &'a [usize],
}

/// Chooses for forecasts of `horizon` cells with a band at `level` (0 to 1).
pub(super) fn choose(history: History<'_>, horizon: usize, level: f64) -> Choice {
    let cells = history.values.len();
    if cells < CELLS_MIN {
        let candidates = vec![Candidate { trend: Trend::Naive, periods: Vec::new() }];
        return Choice { candidates, spread: Spread::of_steps(history.bridged, level), held_out_error: None };
    }
    let ahead = horizon.min(cells / 4).max(1);
    let unit = error_unit(history);
    let origins = |count| origins(history, ahead, count);
    let mut ranked = ranked(history, &origins(CHOICE_WINDOWS), ahead);
    // Beyond rounding, so that of two that are exact the simpler is taken.
    let worst = ranked[0].1 * CHOSEN_WITHIN + 1e-12;
    ranked.retain(|(_, error)| *error <= worst);
    ranked.truncate(CHOSEN_MAX);
    let candidates: Vec<Candidate> = ranked.into_iter().map(|(candidate, _)| candidate).collect();
    let origins = origins(BAND_WINDOWS);
    let errors: Vec<Vec<f64>> = origins.iter().map(|origin| errors(history, &candidates, *origin, ahead)).collect();
    let spread = Spread::of_errors(&errors, independent(&origins, ahead), level);
    let absolute: Vec<f64> = errors.iter().flatten().filter(|error| !error.is_nan()).map(|error| error.abs()).collect();
    let mean = absolute.iter().sum::<f64>() / absolute.len().max(1) as f64;
    let coverage = coverage(&errors, &origins, ahead, level);
    let mase = if unit > 0.0 { mean / unit } else { 0.0 };
    Choice { candidates, spread, held_out_error: Some(HeldOutError { mase, coverage }) }
}

/// The mean absolute error in the past of repeating the last cycle, or the last value where cycles are alike.
fn error_unit(history: History<'_>) -> f64 {
    let unit = |lag: usize| {
        let pairs = history.values.iter().zip(&history.values[lag..]);
        let steps = pairs.map(|(before, value)| (value - before).abs()).filter(|step| !step.is_nan());
        let (sum, count) = steps.fold((0.0, 0.0), |(sum, count), step| (sum + step, count + 1.0));
        if count > 0.0 { sum / count } else { 0.0 }
    };
    let seasonal = history.periods.first().map_or(0.0, |period| unit(*period));
    if seasonal > 0.0 { seasonal } else { unit(1) }
}

/// The numbers of cells after which windows start: evenly spread over the newer half, newest last.
fn origins(history: History<'_>, ahead: usize, count: usize) -> Vec<usize> {
    let last = history.values.len() - ahead;
    let two_cycles = history.periods.last().map_or(0, |period| 2 * period);
    let enough = if two_cycles < last { two_cycles } else { 0 };
    let first = (history.values.len() / 2).max(enough).max(3).min(last);
    let mut origins: Vec<usize> = (0..count).map(|i| first + (last - first) * (i + 1) / count).chain([first]).collect();
    origins.sort_unstable();
    origins.dedup();
    origins
}

/// How many windows would fit without overlap.
fn independent(origins: &[usize], ahead: usize) -> f64 {
    let (first, last) = (origins.first().copied().unwrap_or(0), origins.last().copied().unwrap_or(0));
    ((last - first) as f64 / ahead as f64 + 1.0).min(origins.len() as f64)
}

/// Every candidate with its mean absolute error, best first; of equals the simpler first.
fn ranked(history: History<'_>, origins: &[usize], ahead: usize) -> Vec<(Candidate, f64)> {
    let mut sets: Vec<&[usize]> = vec![&[]];
    sets.extend(history.periods.chunks(1));
    if history.periods.len() > 1 {
        sets.push(history.periods);
    }
    let mut ranked = Vec::new();
    for periods in sets {
        let mut sums = [(0.0, 0.0); Trend::ALL.len()];
        for origin in origins {
            let prepared = Prepared::new(&history.values[..*origin], &history.bridged[..*origin], periods);
            for (trend, (sum, count)) in Trend::ALL.iter().zip(&mut sums) {
                let fit = prepared.fit(*trend);
                for i in (0..ahead).filter(|i| !history.values[origin + i].is_nan()) {
                    *sum += (history.values[origin + i] - fit.at(i + 1)).abs();
                    *count += 1.0;
                }
            }
        }
        for (trend, (sum, count)) in Trend::ALL.into_iter().zip(sums) {
            let error: f64 = if count > 0.0 { sum / count } else { f64::INFINITY };
            ranked.push((Candidate { trend, periods: periods.to_vec() }, error));
        }
    }
    ranked.sort_by(|(_, left), (_, right)| left.total_cmp(right));
    ranked
}

/// Actual less forecast in the window that starts after `origin` cells.
fn errors(history: History<'_>, candidates: &[Candidate], origin: usize, ahead: usize) -> Vec<f64> {
    let fits = fits(history, candidates, origin);
    let count = fits.len() as f64;
    let forecast = |ahead: usize| fits.iter().map(|fit| fit.at(ahead)).sum::<f64>() / count;
    (0..ahead).map(|i| history.values[origin + i] - forecast(i + 1)).collect()
}

/// The candidates fitted to the first `cells` cells.
pub(super) fn fits(history: History<'_>, candidates: &[Candidate], cells: usize) -> Vec<super::model::Fit> {
    let fit = |candidate: &Candidate| {
        let (values, bridged) = (&history.values[..cells], &history.bridged[..cells]);
        Prepared::new(values, bridged, &candidate.periods).fit(candidate.trend)
    };
    candidates.iter().map(fit).collect()
}

/// The share of actual values within bands that were made without their window and those that overlap it.
fn coverage(errors: &[Vec<f64>], origins: &[usize], ahead: usize, level: f64) -> Option<f64> {
    let (mut inside, mut all) = (0.0, 0.0);
    for (origin, held_out) in origins.iter().zip(errors) {
        let apart =
            |(other, path): (&usize, &Vec<f64>)| (other.abs_diff(*origin) >= ahead).then(|| (*other, path.clone()));
        let (others, paths): (Vec<usize>, Vec<Vec<f64>>) = origins.iter().zip(errors).filter_map(apart).unzip();
        if paths.len() < 2 {
            continue;
        }
        let spread = Spread::of_errors(&paths, independent(&others, ahead), level);
        for (i, error) in held_out.iter().enumerate().filter(|(_, error)| !error.is_nan()) {
            let (low, high) = spread.band(i + 1);
            all += 1.0;
            inside += f64::from(u8::from((low..=high).contains(error)));
        }
    }
    (all > 0.0).then(|| inside / all)
}
