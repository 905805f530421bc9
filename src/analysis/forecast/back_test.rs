//! Chooses among forecasters by forecasting parts of the past from what came before them, and learns from the same windows
//! how far forecasts are off.
//!
//! Windows start at rolling origins over the newer half; the last of them end with the series before they are whole, so that
//! also the newest values have a say. Forecasters are fitted at a few origins, and from one to the next take in the values
//! between, as they do live; every candidate forecasts every window. The forecast is the combination of the best. Old windows
//! count less than new ones, both for the choice and for the band.
//!
//! Not here: the forecasters, how they are combined (see `combination`), what becomes of the errors (see `spread`).
//!
//! Invariant: a window is never seen by the fit that forecasts it, nor by the band whose coverage it measures.
//!
//! Cost: every candidate is fitted [`FITS`] times; `benches/forecast.rs` confirms less than 150 ms for 1000 samples.

use super::combination::{Combination, combine};
use super::forecasters::linear;
use super::forecasters::{ALL, Family, Fit, Forecaster, Need, Past, Window};
use super::spread::{Spread, Tried};
use super::{HeldOutError, Method};
use std::ops::Range;

/// Windows that every candidate forecasts.
const WINDOWS: usize = 24;
/// Windows beyond these that the series ends in.
const CUT_WINDOWS: usize = 7;
/// Share of the stretch from the first window to the last after which a window counts half as much: errors that are not
/// exchangeable are weighted by their age (Barber, Candes, Ramdas and Tibshirani 2023).
const HALF_LIFE: f64 = 0.5;
/// Origins at which candidates are fitted anew.
const FITS: usize = 4;
/// Shorter series are not split.
const CELLS_MIN: usize = 6;

/// What the back-test found.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) members: Vec<(Candidate, f64)>,
    pub(super) spread: Spread,
    pub(super) held_out_error: Option<HeldOutError>,
}

/// A grid with its gaps, bridged, and the periods found in it.
#[derive(Clone, Copy)]
pub(super) struct History<'a> {
    pub(super) values: &'a [f64],
    pub(super) bridged: &'a [f64],
    pub(super) periods: &'a [usize],
    /// Where zero lies, if every sample is above it.
    pub(super) zero: Option<f64>,
}

/// A forecaster and the periods, by their place among those found, that go with it.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) forecaster: &'static dyn Forecaster,
    pub(super) periods: Range<usize>,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name())
    }
}

impl Candidate {
    /// The forecaster's name, with the number of seasons.
    pub(super) fn name(&self) -> String {
        match self.periods.len() {
            0 => self.forecaster.name().to_owned(),
            seasons => format!("{}+{seasons}", self.forecaster.name()),
        }
    }

    /// Fitted to the first `cells` cells.
    pub(super) fn fit(&self, history: History<'_>, cells: usize) -> Option<Fit> {
        self.forecaster.fit(&history.past(cells, self.periods.clone()))
    }
}

impl<'a> History<'a> {
    /// The first `cells` cells.
    fn past(&self, cells: usize, periods: Range<usize>) -> Past<'a> {
        Past::new(&self.values[..cells], &self.bridged[..cells], &self.periods[periods], self.zero)
    }
}

/// Every forecaster with no season, the shortest and all, as far as it has use for them; or only one of that name.
fn candidates(periods: usize, only: Option<&str>) -> Vec<Candidate> {
    let mut counts = vec![0, 1.min(periods), periods];
    counts.dedup();
    let mut found = Vec::new();
    for periods in counts.into_iter().map(|count| 0..count) {
        for forecaster in ALL.into_iter().filter(|one| only.is_none_or(|name| one.name() == name)) {
            let fits = match forecaster.season() {
                Need::Either => true,
                Need::Season => !periods.is_empty(),
                Need::NoSeason => periods.is_empty(),
            };
            if fits {
                found.push(Candidate { forecaster, periods: periods.clone() });
            }
        }
    }
    found
}

/// Chooses for forecasts of `horizon` cells with a band at `level` (0 to 1); among those of one forecaster, if it is named.
pub(super) fn choose(history: History<'_>, horizon: usize, level: f64, only: Option<&str>) -> Choice {
    if only == Some(Method::LINEAR_TREND.name()) {
        return linear_trend(history);
    }
    let cells = history.values.len();
    let mut candidates = candidates(history.periods.len(), only);
    if cells < CELLS_MIN {
        return untried(history, level, only);
    }
    if candidates.is_empty() {
        return stand_in(history, horizon, level, only);
    }
    let ahead = horizon.min(cells / 4).max(1);
    let origins = origins(history, ahead);
    let mut paths = rolled(history, &candidates, &origins, ahead);
    // What cannot be fitted, or not everywhere, does not compete.
    let mut whole = paths.iter().map(Option::is_some);
    candidates.retain(|_| whole.next().unwrap_or(false));
    let paths: Vec<Vec<Vec<f64>>> = paths.drain(..).flatten().collect();
    if paths.is_empty() {
        return stand_in(history, horizon, level, only);
    }
    let families: Vec<Family> = candidates.iter().map(|candidate| candidate.forecaster.family()).collect();
    let actual: Vec<&[f64]> =
        origins.iter().map(|origin| &history.values[*origin..cells.min(origin + ahead)]).collect();
    let weights = weights(&origins);
    let Combination { members, errors } = combine(&families, &paths, &actual, &weights, only.is_some());
    let members = members.into_iter().map(|(at, weight)| (candidates[at].clone(), weight)).collect();
    let spread = Spread::of_errors(Tried { errors: &errors, weights: &weights }, independent(&origins, ahead), level);
    let coverage = coverage(&errors, &origins, ahead, level);
    let unit = error_unit(history);
    // Of windows that are whole: what lies near is easier.
    let whole = errors.iter().filter(|errors| errors.len() == ahead);
    let absolute: Vec<f64> = whole.flatten().filter(|error| !error.is_nan()).map(|error| error.abs()).collect();
    let mean = absolute.iter().sum::<f64>() / absolute.len().max(1) as f64;
    let mase = if unit > 0.0 { mean / unit } else { 0.0 };
    Choice { members, spread, held_out_error: Some(HeldOutError { mase, coverage }) }
}

/// What the forecaster that was asked for comes to on a history that it cannot be fitted to.
fn stand_in(history: History<'_>, horizon: usize, level: f64, only: Option<&str>) -> Choice {
    let asked = ALL.into_iter().find(|one| Some(one.name()) == only);
    match asked.and_then(Forecaster::plain) {
        Some(plain) => choose(history, horizon, level, Some(plain.name())),
        None => untried(history, level, only),
    }
}

/// What is left where nothing can be tried out.
fn untried(history: History<'_>, level: f64, only: Option<&str>) -> Choice {
    match only {
        // Who names a forecaster wants a trend where there is one.
        Some(_) => linear_trend(history),
        None => unsplit(history, level),
    }
}

/// The line of least squares through the newest hundred values, with two standard deviations of them to either side.
fn linear_trend(history: History<'_>) -> Choice {
    let newest = &history.bridged[history.bridged.len().saturating_sub(linear::NEWEST)..];
    let line = Candidate { forecaster: &linear::LinearTrend, periods: 0..0 };
    Choice { members: vec![(line, 1.0)], spread: Spread::of_values(newest, 2.0), held_out_error: None }
}

/// The last value.
fn unsplit(history: History<'_>, level: f64) -> Choice {
    let naive = Candidate { forecaster: ALL[0], periods: 0..0 };
    Choice { members: vec![(naive, 1.0)], spread: Spread::of_steps(history.bridged, level), held_out_error: None }
}

/// What every candidate expected in every window: fitted at the first of each few origins, rolled on to the others.
fn rolled(
    history: History<'_>,
    candidates: &[Candidate],
    origins: &[usize],
    ahead: usize,
) -> Vec<Option<Vec<Vec<f64>>>> {
    let cells = history.values.len();
    let mut paths: Vec<Option<Vec<Vec<f64>>>> = vec![Some(Vec::with_capacity(origins.len())); candidates.len()];
    let stretch = origins.len().div_ceil(FITS);
    for origins in origins.chunks(stretch) {
        let (first, last) = (origins[0], origins[origins.len() - 1]);
        let window = |origin: &usize| Window { seen: origin - first, horizon: ahead.min(cells - origin) };
        let windows: Vec<Window> = origins.iter().map(window).collect();
        let later = &history.values[first..last];
        let mut at = 0;
        // Candidates with the same periods share a past, and what is computed from it once.
        for group in candidates.chunk_by(|a, b| a.periods == b.periods) {
            let past = history.past(first, group[0].periods.clone());
            for (candidate, paths) in group.iter().zip(&mut paths[at..at + group.len()]) {
                let more = if paths.is_some() { candidate.forecaster.roll(&past, later, &windows) } else { None };
                match paths.as_mut().zip(more) {
                    Some((paths, more)) => paths.extend(more),
                    None => *paths = None,
                }
            }
            at += group.len();
        }
    }
    paths
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

/// The numbers of cells after which windows start: evenly spread over the newer half, then some that the series ends in;
/// newest last.
fn origins(history: History<'_>, ahead: usize) -> Vec<usize> {
    let last = history.values.len() - ahead;
    let two_cycles = history.periods.last().map_or(0, |period| 2 * period);
    let enough = if two_cycles < last { two_cycles } else { 0 };
    let first = (history.values.len() / 2).max(enough).max(3).min(last);
    let whole = (0..WINDOWS).map(|i| first + (last - first) * (i + 1) / WINDOWS);
    let cut = (1..=CUT_WINDOWS).map(|i| last + ahead * i / (CUT_WINDOWS + 1));
    let mut origins: Vec<usize> = whole.chain([first]).chain(cut).collect();
    origins.sort_unstable();
    origins.dedup();
    origins
}

/// What each window counts for: less, the older it is.
fn weights(origins: &[usize]) -> Vec<f64> {
    let (first, last) = (origins.first().copied().unwrap_or(0), origins.last().copied().unwrap_or(0));
    let age = |origin: &usize| (last - origin) as f64 / (last - first).max(1) as f64;
    origins.iter().map(|origin| 0.5f64.powf(age(origin) / HALF_LIFE)).collect()
}

/// How many windows would fit without overlap.
fn independent(origins: &[usize], ahead: usize) -> f64 {
    let (first, last) = (origins.first().copied().unwrap_or(0), origins.last().copied().unwrap_or(0));
    ((last - first) as f64 / ahead as f64 + 1.0).min(origins.len() as f64)
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
        let weights = weights(&others);
        let spread = Spread::of_errors(Tried { errors: &paths, weights: &weights }, independent(&others, ahead), level);
        for (i, error) in held_out.iter().enumerate().filter(|(_, error)| !error.is_nan()) {
            let (low, high) = spread.band(i + 1);
            all += 1.0;
            inside += f64::from(u8::from((low..=high).contains(error)));
        }
    }
    (all > 0.0).then(|| inside / all)
}
