//! `infrawatch evaluate FILE --labels LABELS`: what is said of a file's samples beside what is known of them.
//!
//! Samples are counted one by one, as CAL-005 of the requirements has it; anomalies that last are counted beside, since one
//! flag within them is enough to be told.
//!
//! `infrawatch evaluate --replay` asks something else: what would have been told of stored history (see `replay`).
//!
//! Not here: judging (see `named`), labels (see `labels`), the formulas (see `analysis::accuracy`).

use super::labels::{self, Truth};
use super::named::{ByName, JudgedRows, SeriesOfRows};
use super::output::{Rows, write_text};
use super::replay::Replay;
use super::{CliError, Format, Global};
use crate::analysis::accuracy::Counts;
use crate::series_file::{self, SeriesFile};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Rows between two flagged ones of one run, as runs of anomalies have it.
const CALM: usize = 5;
/// Missed anomalies a table shows.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Evaluate {
    /// Samples, as `detect` takes them; a column is_anomaly, label or anomaly marks rows
    #[arg(value_name = "FILE", required_unless_present = "replay", conflicts_with = "replay")]
    file: Option<PathBuf>,
    /// Labels for them: start,end or timestamp,is_anomaly; without a file the column of FILE that marks rows
    #[arg(long, value_name = "LABELS", num_args = 0..=1, required_unless_present = "replay")]
    labels: Option<Option<PathBuf>>,
    /// One causal pass, as if the samples arrived now
    #[arg(long)]
    streaming: bool,
    #[command(flatten)]
    by_name: ByName,
    #[command(flatten)]
    replay: Replay,
}

/// How one detector, or all together, did.
#[derive(Debug)]
struct Outcome {
    name: String,
    counts: Counts,
    events_found: usize,
    false_alerts: usize,
    missed: Vec<usize>,
    /// Minutes from the beginning of an anomaly to its first flag, of those found.
    minutes: Vec<f64>,
}

impl Outcome {
    /// Mean and greatest of the minutes to detection.
    fn delay(&self) -> [Option<f64>; 2] {
        let mean = self.minutes.iter().sum::<f64>() / self.minutes.len() as f64;
        let greatest = self.minutes.iter().copied().reduce(f64::max);
        [greatest.map(|_| mean), greatest]
    }
}

impl Evaluate {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let Some(path) = &self.file else { return self.replay.run(global) };
        let mut file = series_file::read(path).map_err(|error| CliError::Failed(error.to_string()))?;
        let marks = labels::take_marks(&mut file).transpose()?;
        let series = SeriesOfRows::new(&file, "value");
        let truth = match self.labels.as_ref().and_then(Option::as_ref) {
            Some(labels) => Truth::read(labels, path, &file, &series.of_row)?,
            None => {
                let none =
                    || CliError::Failed(format!("{} has no column {}", path.display(), labels::MARKS.join(" or ")));
                Truth::of_marks(marks.ok_or_else(none)?, &series.of_row)
            }
        };
        let judged = self.by_name.judge(&file, &series, self.streaming, None)?;
        let outcomes = outcomes(&judged, &truth, &series, &file);
        match global.format() {
            Format::Json => write_text(global, &format!("{:#}\n", as_json(&outcomes, &truth, &file))),
            Format::Csv => write_text(global, &rows(&outcomes, truth.events.len()).render(Format::Csv)),
            Format::Table => write_text(global, &table(&outcomes, &truth, &file)),
        }
    }
}

/// The outcome of all together, then of each if there are several.
fn outcomes(judged: &JudgedRows, truth: &Truth, series: &SeriesOfRows, file: &SeriesFile) -> Vec<Outcome> {
    let all: Vec<bool> = judged.rows.iter().map(|word| word.combined.is_anomaly).collect();
    let name = if judged.names.len() == 1 { judged.names[0] } else { "all together" };
    let mut outcomes = vec![outcome(name, &all, truth, series, file)];
    if judged.names.len() > 1 {
        for (at, name) in judged.names.iter().enumerate() {
            let flags: Vec<bool> =
                judged.rows.iter().map(|word| word.said.get(at).is_some_and(|r| r.is_anomaly)).collect();
            outcomes.push(outcome(name, &flags, truth, series, file));
        }
    }
    outcomes
}

fn outcome(name: &str, flags: &[bool], truth: &Truth, series: &SeriesOfRows, file: &SeriesFile) -> Outcome {
    let counts = Counts::of(flags.iter().copied().zip(truth.is_anomalous.iter().copied()));
    let is_found = |event: &Vec<usize>| event.iter().any(|at| flags[*at]);
    let missed: Vec<usize> = (0..truth.events.len()).filter(|at| !is_found(&truth.events[*at])).collect();
    // A run of flags that touches no anomaly is one false alert, however long.
    let mut runs: Vec<Option<(usize, bool)>> = vec![None; series.names.len()];
    let mut false_alerts = 0;
    let mut seen = vec![0; series.names.len()];
    for (at, flag) in flags.iter().enumerate() {
        let of = series.of_row[at] as usize;
        seen[of] += 1;
        let is_over = runs[of].is_some_and(|(last, _)| seen[of] - last > CALM);
        if is_over {
            false_alerts += usize::from(runs[of].take().is_some_and(|(_, touches)| !touches));
        }
        if *flag {
            let touches = truth.is_anomalous[at] || runs[of].is_some_and(|(_, touches)| touches);
            runs[of] = Some((seen[of], touches));
        }
    }
    false_alerts += runs.iter().flatten().filter(|(_, touches)| !touches).count();
    let delay = |event: &Vec<usize>| {
        let flagged = event.iter().find(|at| flags[**at])?;
        let (began, told) = (file.rows[*event.first()?].time_ms?, file.rows[*flagged].time_ms?);
        Some((told - began) as f64 / 60_000.0)
    };
    let minutes = truth.events.iter().filter_map(delay).collect();
    let events_found = truth.events.len() - missed.len();
    Outcome { name: name.to_owned(), counts, events_found, false_alerts, missed, minutes }
}

fn rows(outcomes: &[Outcome], events: usize) -> Rows {
    let mut rows = Rows::new(&[
        "detector",
        "precision",
        "recall",
        "f1",
        "accuracy",
        "true_positives",
        "false_positives",
        "false_negatives",
        "true_negatives",
        "anomalies_found",
        "anomalies",
        "false_alerts",
        "minutes_to_detection",
        "minutes_at_most",
        "false_positive_rate",
    ]);
    for outcome in outcomes {
        let p = outcome.counts.performance();
        let share = |share: f64| Value::from((share * 1e4).round() / 1e4);
        let mut row: Vec<Value> = vec![outcome.name.as_str().into()];
        row.extend([p.precision, p.recall, p.f1, p.accuracy].map(share));
        row.extend([p.true_positives, p.false_positives, p.false_negatives, p.true_negatives].map(Value::from));
        row.extend([outcome.events_found, events, outcome.false_alerts].map(Value::from));
        row.extend(outcome.delay().map(|minutes| minutes.map_or(Value::Null, |minutes| Value::from(round(minutes)))));
        row.push(share(outcome.counts.false_positive_rate()));
        rows.push(row);
    }
    rows
}

/// To a tenth of a minute.
fn round(minutes: f64) -> f64 {
    (minutes * 10.0).round() / 10.0
}

/// First and last time of an anomaly, as the file has them.
fn span(event: &[usize], file: &SeriesFile) -> (String, String) {
    let text = |at: Option<&usize>| at.map_or_else(String::new, |at| file.rows[*at].timestamp_text.to_string());
    (text(event.first()), text(event.last()))
}

fn as_json(outcomes: &[Outcome], truth: &Truth, file: &SeriesFile) -> Value {
    let one = |outcome: &Outcome| {
        let mut value = json!(outcome.counts.performance());
        let missed = outcome.missed.iter().map(|at| {
            let (start, end) = span(&truth.events[*at], file);
            json!({"start": start, "end": end})
        });
        value["detector"] = outcome.name.as_str().into();
        value["anomalies"] = truth.events.len().into();
        value["anomalies_found"] = outcome.events_found.into();
        value["false_alerts"] = outcome.false_alerts.into();
        value["false_positive_rate"] = outcome.counts.false_positive_rate().into();
        value["missed"] = missed.collect();
        let [mean, greatest] = outcome.delay();
        (value["minutes_to_detection"], value["minutes_at_most"]) = (json!(mean), json!(greatest));
        value
    };
    let mut value = outcomes.first().map(one).unwrap_or_default();
    if outcomes.len() > 1 {
        value["detectors"] = outcomes[1..].iter().map(one).collect();
    }
    value
}

/// For people: the figures, and which anomalies nobody told.
fn table(outcomes: &[Outcome], truth: &Truth, file: &SeriesFile) -> String {
    let mut text = rows(outcomes, truth.events.len()).table();
    let missed = outcomes.first().map_or(&[][..], |outcome| &outcome.missed);
    if !missed.is_empty() {
        text.push_str("\nMissed:\n");
    }
    for at in missed.iter().take(SHOWN) {
        let (start, end) = span(&truth.events[*at], file);
        text.push_str(&format!("{start} to {end}\n"));
    }
    if missed.len() > SHOWN {
        text.push_str(&format!("({SHOWN} of {}; --json has all)\n", missed.len()));
    }
    text
}
