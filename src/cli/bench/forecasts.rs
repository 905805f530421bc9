//! How good every forecaster and their combination are: on the last days of files, held out, and on made-up hourly series.
//!
//! Files become hourly means; up to four windows of 48 hours, 130 hours apart, are forecast from at most 960 hours before
//! them. A window is left out where measures mean nothing: where a value to come is zero, where more than half of the past
//! stands still, or where it repeats itself exactly.
//!
//! Not here: the measures (see `analysis::forecast`).
//!
//! Invariant: the made-up series are the same everywhere; nothing in the forecasters was chosen by looking at one series.

use crate::analysis::detectors::Samples;
use crate::analysis::forecast::measures::{Held, Measures};
use crate::analysis::forecast::{ForecastEngine, Method};
use crate::analysis::prepare::{Aggregate, resample};
use crate::cli::CliError;
use crate::cli::output::Rows;
use crate::series_file;
use serde_json::Value;
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};

const HOUR_MS: i64 = 3_600_000;
const DAY: usize = 24;
const HORIZON: usize = 48;
const PAST_MAX: usize = 960;
/// Five days: less says nothing of a day.
const PAST_MIN: usize = 120;
const WINDOWS: usize = 4;
/// No whole number of days, so that windows start at different hours.
const APART: usize = 130;
const MADE_UP: u64 = 60;

/// A past and what came after it.
struct Split {
    past: Vec<f64>,
    actual: Vec<f64>,
}

/// The table of every forecaster on these files but for so many hours at their ends, and on the made-up series.
pub(super) fn rows(files: &[PathBuf], before: usize) -> Result<[Rows; 2], CliError> {
    let mut measured = Vec::new();
    for file in files {
        let hours = hours(file)?;
        measured.extend(windows(&hours[..hours.len().saturating_sub(before)]));
    }
    let made_up: Vec<Split> = (0..MADE_UP).map(made_up).collect();
    Ok([table(&measured), table(&made_up)])
}

/// Hourly means of a file's first series, gaps bridged.
fn hours(path: &Path) -> Result<Vec<f64>, CliError> {
    let file = series_file::read(path).map_err(|error| CliError::Failed(error.to_string()))?;
    let usable = file.rows.iter().filter_map(|row| Some((row.time_ms?, row.value?)));
    let mut samples: Vec<(i64, f64)> = usable.collect();
    samples.sort_by_key(|(time_ms, _)| *time_ms);
    samples.dedup_by_key(|(time_ms, _)| *time_ms);
    let (times_ms, values): (Vec<i64>, Vec<f64>) = samples.into_iter().unzip();
    let grid = resample(Samples::new(&times_ms, &values), Some(HOUR_MS), Aggregate::Mean, usize::MAX);
    Ok(grid.map_or_else(Vec::new, |grid| grid.values))
}

fn windows(hours: &[f64]) -> Vec<Split> {
    let split = |number: usize| {
        let end = hours.len().checked_sub(number * APART)?;
        let from = end.checked_sub(HORIZON).filter(|from| *from >= PAST_MIN)?;
        let (past, actual) = (&hours[from.saturating_sub(PAST_MAX)..from], &hours[from..end]);
        let moving = past.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let is_fit = 2 * moving > past.len() && actual.iter().all(|value| *value != 0.0);
        is_fit.then(|| Split { past: past.to_vec(), actual: actual.to_vec() })
    };
    (0..WINDOWS).filter_map(split).collect()
}

/// An hourly series with a day, a week in three of four, noise that may last, and a level that may wander; in every second
/// one all of it grows with the level.
fn made_up(seed: u64) -> Split {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66_D1CE_4E5B;
    let mut uniform = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let cells = 700 + (260.0 * uniform()) as usize + HORIZON;
    let phases: Vec<(f64, f64)> = (1..=4).map(|wave| (uniform() / f64::from(wave), TAU * uniform())).collect();
    let (weekend, first_day) = (if uniform() < 0.75 { 0.2 + 0.8 * uniform() } else { 0.0 }, (7.0 * uniform()) as usize);
    let lasting: f64 = [0.0, 0.5, 0.8, 0.95][(4.0 * uniform()) as usize];
    let (noise, wander) = (0.03 + 0.3 * uniform() * uniform(), [0.0, 0.0, 0.01, 0.03][(4.0 * uniform()) as usize]);
    let (trend, amplitude) = (if uniform() < 0.3 { 2.0 * uniform() - 1.0 } else { 0.0 }, 0.1 + 0.5 * uniform());
    let (base, is_factor) = (10f64.powf(4.0 * uniform()), uniform() < 0.5);
    let (mut error, mut level) = (0.0, 0.0);
    let mut value = |i: usize| {
        // Twelve uniform numbers less six are near enough to normal.
        let mut normal = || (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
        error = lasting * error + (1.0 - lasting * lasting).sqrt() * normal();
        level += wander * normal();
        let turn = i as f64 / DAY as f64;
        let day: f64 =
            (1..).zip(&phases).map(|(wave, (size, phase))| size * (TAU * turn * f64::from(wave) + phase).sin()).sum();
        let is_weekend = (i / DAY + first_day) % 7 >= 5;
        let season = if is_weekend { day * (1.0 - weekend) - weekend / 2.0 } else { day };
        let whole = amplitude * (season + noise * error + level + trend * i as f64 / cells as f64);
        base * if is_factor { whole.exp() } else { (1.0 + 0.7 * whole).max(0.01) }
    };
    let mut past: Vec<f64> = (0..cells).map(&mut value).collect();
    let actual = past.split_off(cells - HORIZON);
    Split { past, actual }
}

fn table(splits: &[Split]) -> Rows {
    let mut rows = Rows::new(&["method", "series", "sMAPE", "MASE", "OWA", "coverage %", "WQL", "ms"]);
    for method in Method::all().map(Some).chain([None]) {
        let engine = ForecastEngine { horizon: HORIZON, method, ..ForecastEngine::default() };
        let started = crate::clock::monotonic();
        let measures: Vec<Measures> = splits.iter().filter_map(|split| measured(&engine, split)).collect();
        let spent_ms = 1e3 * started.elapsed().as_secs_f64() / splits.len().max(1) as f64;
        let mean = Measures::mean(&measures);
        let number = |value: f64, digits: usize| Value::from(format!("{value:.digits$}"));
        rows.push(vec![
            method.map_or("combination", Method::name).into(),
            measures.len().into(),
            number(mean.smape, 2),
            number(mean.mase, 3),
            number(mean.owa(), 3),
            number(100.0 * mean.coverage, 1),
            number(mean.wql, 4),
            number(spent_ms, 1),
        ]);
    }
    rows
}

/// None where measures are not defined.
fn measured(engine: &ForecastEngine, Split { past, actual }: &Split) -> Option<Measures> {
    let times_ms: Vec<i64> = (0..past.len() as i64).map(|hour| hour * HOUR_MS).collect();
    let points = engine.forecast(&times_ms, past).ok()?.points;
    let expected: Vec<f64> = points.iter().map(|point| point.forecast).collect();
    let lower: Vec<f64> = points.iter().map(|point| point.lower).collect();
    let upper: Vec<f64> = points.iter().map(|point| point.upper).collect();
    Measures::of(Held { past, actual, expected: &expected, lower: &lower, upper: &upper }, DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_apart_and_those_that_mean_nothing_are_left_out() {
        let hours: Vec<f64> = (0..600).map(|i| 5.0 + f64::from(i % 24) + f64::from(i) / 100.0).collect();
        let found = windows(&hours);
        assert_eq!(found.iter().map(|split| split.past.len()).collect::<Vec<_>>(), [552, 422, 292, 162]);
        assert_eq!(found[1].actual, hours[422..470]);
        assert!(windows(&[5.0; 600]).is_empty() && windows(&hours[..160]).is_empty());
    }

    #[test]
    fn made_up_series_are_positive_and_always_the_same() {
        for seed in 0..20 {
            let (one, other) = (made_up(seed), made_up(seed));
            assert_eq!((&one.past, one.actual.len()), (&other.past, HORIZON));
            assert!((700..=960).contains(&one.past.len()) && one.past.iter().all(|value| *value > 0.0), "{seed}");
        }
    }
}
