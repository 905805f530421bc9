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
/// The corpus that they are.
const MADE_UP_CORPUS: &str = "made-up";

/// A past and what came after it.
struct Split {
    past: Vec<f64>,
    actual: Vec<f64>,
}

/// The tables of every forecaster on these files but for so many hours at their ends, and on the made-up series; and of the
/// combination by corpus, which is the folder that a file lies in.
pub(super) fn rows(files: &[PathBuf], before: usize) -> Result<[Rows; 3], CliError> {
    let (mut splits, mut corpora) = (Vec::new(), Vec::new());
    for file in files {
        let hours = hours(file)?;
        let found = windows(&hours[..hours.len().saturating_sub(before)]);
        let folder =
            file.parent().and_then(Path::file_name).map_or_else(String::new, |name| name.display().to_string());
        corpora.extend(found.iter().map(|_| folder.clone()));
        splits.extend(found);
    }
    let made_up: Vec<Split> = (0..MADE_UP).map(made_up).collect();
    let (of_files, of_made_up) = (all_measured(&splits), all_measured(&made_up));
    corpora.extend(made_up.iter().map(|_| MADE_UP_CORPUS.to_owned()));
    let both = of_files.iter().zip(&of_made_up).map(|(files, made_up)| files.0.iter().chain(&made_up.0));
    let by_corpus = by_corpus(&both.map(|all| all.copied().collect()).collect::<Vec<_>>(), &corpora);
    Ok([table(&of_files), table(&of_made_up), by_corpus])
}

/// Every forecaster, and the combination last.
fn methods() -> impl Iterator<Item = Option<Method>> {
    Method::all().map(Some).chain([None])
}

fn name(method: Option<Method>) -> &'static str {
    method.map_or("combination", Method::name)
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

/// What a method came to on every split, and the milliseconds it took on each.
type OfMethod = (Vec<Option<Measures>>, f64);

/// What every method came to.
fn all_measured(splits: &[Split]) -> Vec<OfMethod> {
    let of_method = |method| {
        let engine = ForecastEngine { horizon: HORIZON, method, ..ForecastEngine::default() };
        let started = crate::clock::monotonic();
        let measures = splits.iter().map(|split| measured(&engine, split)).collect();
        (measures, 1e3 * started.elapsed().as_secs_f64() / splits.len().max(1) as f64)
    };
    methods().map(of_method).collect()
}

fn number(value: f64, digits: usize) -> Value {
    Value::from(format!("{value:.digits$}"))
}

fn table(of_methods: &[OfMethod]) -> Rows {
    let mut rows = Rows::new(&["method", "series", "sMAPE", "MASE", "OWA", "coverage %", "WQL", "ms"]);
    for (method, (measures, spent_ms)) in methods().zip(of_methods) {
        let measures: Vec<Measures> = measures.iter().flatten().copied().collect();
        let mean = Measures::mean(&measures);
        rows.push(vec![
            name(method).into(),
            measures.len().into(),
            number(mean.smape, 2),
            number(mean.mase, 3),
            number(mean.owa(), 3),
            number(100.0 * mean.coverage, 1),
            number(mean.wql, 4),
            number(*spent_ms, 1),
        ]);
    }
    rows
}

/// Of a method on each corpus: how many windows were measured, and their means.
type OnCorpora = [(usize, Measures)];

/// Of each corpus the combination beside the one method that would have been best on it, which nobody knows before, and
/// beside the one that is best on all others, which is what somebody would choose who had seen only those. A corpus counts
/// among the others as much as any, however many windows it has.
fn by_corpus(of_methods: &[Vec<Option<Measures>>], corpora: &[String]) -> Rows {
    let mut rows = Rows::new(&[
        "corpus",
        "series",
        "OWA combination",
        "best there",
        "OWA best there",
        "best elsewhere",
        "OWA best elsewhere",
        "WQL combination",
        "WQL best there",
        "WQL best elsewhere",
    ]);
    let mut names: Vec<&String> = Vec::new();
    corpora.iter().for_each(|corpus| {
        if !names.contains(&corpus) {
            names.push(corpus)
        }
    });
    // Of each method its mean on each corpus.
    let mean_on = |measures: &Vec<Option<Measures>>, corpus: &String| {
        let of_corpus = measures.iter().zip(corpora).filter(|(_, other)| *other == corpus);
        let found: Vec<Measures> = of_corpus.filter_map(|(measures, _)| *measures).collect();
        (found.len(), Measures::mean(&found))
    };
    let all: Vec<Vec<(usize, Measures)>> =
        of_methods.iter().map(|measures| names.iter().map(|corpus| mean_on(measures, corpus)).collect()).collect();
    let Some((combination, members)) = all.split_last() else { return rows };
    let member_names: Vec<&str> = methods().map(name).collect();
    for (at, corpus) in names.iter().enumerate() {
        let least = |of: &dyn Fn(&OnCorpora) -> f64| {
            (0..members.len()).min_by(|a, b| of(&members[*a]).total_cmp(&of(&members[*b]))).unwrap_or(0)
        };
        let there = least(&|means| means[at].1.owa());
        let elsewhere =
            least(&|means| means.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, (_, mean))| mean.owa()).sum());
        let owa = |means: &OnCorpora| number(means[at].1.owa(), 3);
        let wql = |means: &OnCorpora| number(means[at].1.wql, 4);
        rows.push(vec![
            corpus.as_str().into(),
            combination[at].0.into(),
            owa(combination),
            member_names[there].into(),
            owa(&members[there]),
            member_names[elsewhere].into(),
            owa(&members[elsewhere]),
            wql(combination),
            wql(&members[there]),
            wql(&members[elsewhere]),
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
    fn a_corpus_is_compared_with_what_is_best_there_and_with_what_is_best_elsewhere() {
        let corpora = ["a", "a", "b", "c"].map(str::to_owned);
        let count = methods().count();
        // The first method is best on a alone, the second everywhere else, the combination is in between.
        let of = |at: usize, corpus: &str| match (at, corpus) {
            (0, "a") => 1.0,
            (0, _) => 9.0,
            (1, "a") => 4.0,
            (1, _) => 2.0,
            (last, _) if last + 1 == count => 3.0,
            _ => 8.0,
        };
        let held = |scale: f64| {
            let past: Vec<f64> = (0..96).map(|i| 10.0 + f64::from(i % 24) + f64::from(i * 7 % 5)).collect();
            let actual: Vec<f64> = (0..24).map(|i| 10.0 + f64::from(i)).collect();
            let expected: Vec<f64> = actual.iter().map(|value| value + scale).collect();
            Measures::of(
                Held { past: &past, actual: &actual, expected: &expected, lower: &expected, upper: &expected },
                DAY,
            )
        };
        let all: Vec<Vec<Option<Measures>>> =
            (0..count).map(|at| corpora.iter().map(|corpus| held(of(at, corpus))).collect()).collect();
        let csv = by_corpus(&all, &corpora).render(crate::cli::Format::Csv);
        let lines: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let names: Vec<&str> = methods().map(name).collect();
        let chosen: Vec<[&str; 4]> = lines.iter().map(|cells| [cells[0], cells[1], cells[3], cells[5]]).collect();
        assert_eq!(
            chosen,
            [["a", "2", names[0], names[1]], ["b", "1", names[1], names[1]], ["c", "1", names[1], names[1]]]
        );
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
