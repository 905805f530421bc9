//! How well anomalies are found in a series' first minutes, hours and day, with forecasts of the foundation model and
//! without.
//!
//! Made-up normal data of all kinds, and the samples of files from several places on, come as new series with a sample
//! every ten seconds, whatever the files' own step: what counts is how little is known. Into each window one event is
//! put, a spike or a shift by turns, sized by the noise of the last ten minutes before it. Found is an event in which,
//! or right after which, a sample is flagged; every other run of flagged samples is a false alert, also where a file
//! really has something there.
//!
//! Not here: normal data (see `synthetic::normal`), judging (see `analysis`).
//!
//! Invariant: with and without forecasts the very same samples are judged.

use super::super::CliError;
use super::super::named::SeriesOfRows;
use super::super::output::Rows;
use crate::analysis::foresight::{Ahead, REFRESH};
use crate::analysis::{Kind, SeriesModel, Settings};
use crate::series_file;
use crate::synthetic::{Normal, NormalKind};
use std::path::PathBuf;

const STEP_S: i64 = 10;
/// A Wednesday, 00:00 UTC.
const START_S: i64 = 1_704_240_000;
/// Series of each kind of made-up data, and of each file.
const SEEDS: u64 = 3;

/// Name, and first and last sample, of the spans that are looked at.
const WINDOWS: [(&str, usize, usize); 3] = [("minute 10", 60, 120), ("hour 1", 360, 720), ("day 1", 8640, 9000)];
/// Samples of a series.
const SAMPLES: usize = 9000;
/// Samples before an event that tell the noise, and size of a spike and of a shift in its standard deviations.
const NOISE_SAMPLES: usize = 60;
const SIZES: [f64; 2] = [10.0, 6.0];
/// Samples of an event by sort.
const EVENT_SAMPLES: [usize; 2] = [2, 30];
/// An event is found when a sample is flagged at most this long after its beginning.
const FOUND_WITHIN: usize = 6;
/// Normal samples after which the next flagged one is another run.
const CALM: usize = 5;
const HOUR_SAMPLES: f64 = 360.0;

/// What was found in one span of age.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Found {
    events: u32,
    found: u32,
    false_alerts: u32,
    /// Samples in which there could be false alerts.
    samples: usize,
}

impl Found {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.found += other.found;
        self.false_alerts += other.false_alerts;
        self.samples += other.samples;
    }

    fn f1(&self) -> f64 {
        let wrong = self.false_alerts + (self.events - self.found);
        2.0 * f64::from(self.found) / f64::from(2 * self.found + wrong).max(1.0)
    }
}

/// A row for each span of age, without and with forecasts.
pub(super) fn rows(files: &[PathBuf]) -> Result<Rows, CliError> {
    let mut rows = Rows::new(&["data", "age", "foundation", "events", "found", "false_alerts", "an_hour", "event_f1"]);
    let made_up = NormalKind::ALL.into_iter().flat_map(|kind| (0..SEEDS).map(move |seed| normal(kind, seed)));
    add(&mut rows, "made up", &made_up.collect::<Vec<_>>());
    if !files.is_empty() {
        add(&mut rows, "files", &of_files(files)?);
    }
    Ok(rows)
}

fn add(rows: &mut Rows, data: &str, series: &[Vec<f64>]) {
    for has_forecasts in [false, true] {
        let mut all = [Found::default(); WINDOWS.len()];
        for (number, values) in series.iter().enumerate() {
            let told = judged(values, number, has_forecasts);
            all.iter_mut().zip(told).for_each(|(all, told)| all.add(told));
        }
        for ((age, ..), found) in WINDOWS.iter().zip(all) {
            let an_hour = f64::from(found.false_alerts) * HOUR_SAMPLES / (found.samples as f64).max(1.0);
            rows.push(vec![
                data.into(),
                (*age).into(),
                if has_forecasts { "on" } else { "off" }.into(),
                found.events.into(),
                found.found.into(),
                found.false_alerts.into(),
                ((an_hour * 1000.0).round() / 1000.0).into(),
                ((found.f1() * 1000.0).round() / 1000.0).into(),
            ]);
        }
    }
}

fn normal(kind: NormalKind, seed: u64) -> Vec<f64> {
    let mut data = Normal::new(kind, STEP_S, seed + 100);
    (0..SAMPLES as i64).map(|at| data.next(START_S + at * STEP_S)).collect()
}

/// The samples of files' series from several places on, as long as they last.
fn of_files(files: &[PathBuf]) -> Result<Vec<Vec<f64>>, CliError> {
    let mut all = Vec::new();
    for path in files {
        let file = series_file::read(path).map_err(|error| CliError::Failed(error.to_string()))?;
        let SeriesOfRows { of_row, names } = SeriesOfRows::new(&file, "value");
        let mut series: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
        for (row, at) in file.rows.iter().zip(&of_row) {
            series[*at as usize].extend(row.value.filter(|value| value.is_finite()));
        }
        for values in series {
            let last = values.len().saturating_sub(WINDOWS[0].2);
            let starts = (0..SEEDS as usize).map(|seed| last * seed / SEEDS as usize);
            all.extend(starts.map(|start| values[start..].iter().copied().take(SAMPLES).collect::<Vec<_>>()));
        }
    }
    Ok(all)
}

/// An event: where it begins and how many samples it has.
type Event = (usize, usize);

/// The values with an event in each window that they reach, and where; `number` is that of the series.
fn with_events(values: &[f64], number: usize) -> (Vec<f64>, [Option<Event>; WINDOWS.len()]) {
    let mut values = values.to_vec();
    let mut events = [None; WINDOWS.len()];
    for (at, (_, from, to)) in WINDOWS.into_iter().enumerate() {
        let sort = (number + at) % 2;
        let samples = EVENT_SAMPLES[sort];
        let room = to - from - samples - FOUND_WITHIN;
        // Anywhere, and each time at the same place: a golden share of the numbers so far.
        let share = ((number * WINDOWS.len() + at + 1) as f64 * 0.618_034).fract();
        let begin = from + (share * room as f64) as usize;
        if values.len() < to {
            break;
        }
        let size = SIZES[sort] * noise(&values[begin - NOISE_SAMPLES..begin]);
        let size = if number % 4 < 2 { size } else { -size };
        values[begin..begin + samples].iter_mut().for_each(|value| *value += size);
        events[at] = (size != 0.0).then_some((begin, samples));
    }
    (values, events)
}

/// Standard deviation of the noise, by the differences of neighbours, which a trend hardly moves.
fn noise(values: &[f64]) -> f64 {
    let squares: f64 = values.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum();
    (0.5 * squares / (values.len().max(2) - 1) as f64).sqrt()
}

fn judged(values: &[f64], number: usize, has_forecasts: bool) -> [Found; WINDOWS.len()] {
    let (values, events) = with_events(values, number);
    let samples = || values.iter().enumerate().map(|(at, value)| ((START_S + at as i64 * STEP_S) * 1000, *value));
    let mut ahead = if has_forecasts { Ahead::of(Some(Kind::Gauge), REFRESH, samples()) } else { Ahead::default() };
    let mut model = SeriesModel::new(Some(Kind::Gauge), Settings::default());
    let judge = |(time_ms, value)| {
        let is_flagged = model.observe(time_ms, value).is_anomaly;
        ahead.show(&mut model);
        is_flagged
    };
    let flags: Vec<bool> = samples().map(judge).collect();
    let of = |at: usize| {
        let (_, from, to) = WINDOWS[at];
        if flags.len() < to { Found::default() } else { count(&flags[from..to], from, events[at]) }
    };
    std::array::from_fn(of)
}

/// What the flags of a span say of its event.
fn count(flags: &[bool], from: usize, event: Option<Event>) -> Found {
    let mut found = Found { events: u32::from(event.is_some()), samples: flags.len(), ..Found::default() };
    let (mut is_found, mut last) = (false, None);
    for at in (0..flags.len()).filter(|at| flags[*at]) {
        let begins = last.replace(at).is_none_or(|last| at - last > CALM);
        let during = |(begin, samples): Event| {
            let after = (from + at).checked_sub(begin);
            (after.is_some_and(|after| after <= FOUND_WITHIN), after.is_some_and(|after| after <= samples + CALM))
        };
        let (is_hit, is_its) = event.map_or((false, false), during);
        is_found |= is_hit;
        found.false_alerts += u32::from(begins && !is_its && !is_hit);
    }
    found.found = u32::from(is_found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_found_by_a_flag_at_its_beginning_and_other_runs_are_false() {
        let flags = |flagged: &[usize]| {
            let mut flags = [false; 60];
            flagged.iter().for_each(|at| flags[*at] = true);
            count(&flags, 100, Some((120, 2)))
        };
        let of = |found: Found| (found.events, found.found, found.false_alerts);
        assert_eq!(of(flags(&[])), (1, 0, 0));
        assert_eq!(of(flags(&[20, 21])), (1, 1, 0));
        assert_eq!(of(flags(&[2, 3, 40])), (1, 0, 2));
        assert_eq!(of(flags(&[27])), (1, 0, 0), "the way back is neither");
        assert_eq!(of(count(&[true; 60], 100, None)), (0, 0, 1));
    }

    #[test]
    fn every_window_a_series_reaches_has_one_event_of_the_size_of_its_noise() {
        let flat: Vec<f64> = (0..800).map(|at| f64::from(at % 2)).collect();
        let (values, events) = with_events(&flat, 0);
        assert_eq!(events.map(|event| event.is_some()), [true, true, false]);
        let (begin, samples) = events[0].unwrap();
        assert!((WINDOWS[0].1..WINDOWS[0].2).contains(&begin) && samples == 2);
        let moved = (0..800).filter(|at| values[*at] != flat[*at]).count();
        assert_eq!(moved, EVENT_SAMPLES[0] + EVENT_SAMPLES[1]);
        assert!((values[begin] - flat[begin] - 10.0 * 0.5f64.sqrt()).abs() < 0.2);
    }
}
