//! `infrawatch detect FILE`: judges every sample of a file and says what is unusual.
//!
//! With `--streaming` one causal pass: the output for a row is a function of the rows up to it. Without, one pass to
//! learn and a second one to judge by what was learned. Rows of different labels are different series.
//!
//! Not here: judging (see `analysis`), reading files (see `series_file`).
//!
//! Invariant: CSV and JSON have exactly one row for each data row, in file order, timestamp and value as written.
//!
//! Cost: 300 bytes a row for the file, 4 KiB a series; nothing is kept of the output.

use super::output::{Output, csv_cell};
use super::{CliError, Format, Global};
use crate::analysis::{Kind, SeriesModel, Settings, Verdict};
use crate::series_file::{self, FileRow, SeriesFile};
use clap::{Args, ValueEnum};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;

const COLUMNS: &str = "timestamp,value,score,is_anomaly,severity,expected,lower,upper";

#[derive(Debug, Args)]
pub(super) struct Detect {
    /// CSV with a header, JSON array or NDJSON; columns other than timestamp and value are labels
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// One causal pass, as if the samples arrived now
    #[arg(long)]
    streaming: bool,
    /// Name of the metric, for the explanations
    #[arg(long, value_name = "NAME", default_value = "value")]
    metric: String,
    /// What the values are: auto, gauge or counter
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    kind: KindChoice,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum KindChoice {
    /// Told from the values
    #[default]
    Auto,
    /// Values of their own
    Gauge,
    /// Totals that only grow
    Counter,
}

impl Detect {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let file = series_file::read(&self.file).map_err(|error| CliError::Failed(error.to_string()))?;
        let mut judged = Judged::new(&file, self.kind.given());
        if !self.streaming {
            judged.learn();
        }
        let mut out = Output::open(global)?;
        let written = match global.format() {
            Format::Csv => judged.write_csv(&mut out),
            Format::Json => judged.write_json(&mut out, &self.metric),
            Format::Table => judged.write_table(&mut out, &self.metric),
        };
        out.finish(written)?;
        let unusable = file.rows.iter().filter(|row| usable(row).is_none()).count();
        if unusable > 0 && !global.quiet {
            eprintln!("{unusable} of {} rows have no usable timestamp or value", file.rows.len());
        }
        Ok(())
    }
}

impl KindChoice {
    fn given(self) -> Option<Kind> {
        match self {
            Self::Auto => None,
            Self::Gauge => Some(Kind::Gauge),
            Self::Counter => Some(Kind::Counter),
        }
    }
}

fn usable(row: &FileRow) -> Option<(i64, f64)> {
    row.time_ms.zip(row.value)
}

/// The rows of a file, each with the model of its series.
struct Judged<'a> {
    file: &'a SeriesFile,
    models: Vec<SeriesModel>,
    /// Index into `models`, a row.
    series: Vec<u32>,
}

impl<'a> Judged<'a> {
    fn new(file: &'a SeriesFile, kind: Option<Kind>) -> Self {
        let mut known = HashMap::new();
        let mut of_row = |row: &'a FileRow| {
            let mut labels: Vec<_> = row.labels.iter().map(|(name, value)| (&**name, &**value)).collect();
            labels.sort_unstable();
            let next = known.len() as u32;
            *known.entry(labels).or_insert(next)
        };
        let series = file.rows.iter().map(&mut of_row).collect();
        let models = vec![SeriesModel::new(kind, Settings::default()); known.len()];
        Self { file, models, series }
    }

    /// Goes through all rows once without judging.
    fn learn(&mut self) {
        self.for_each(|_, _| Ok(())).expect("learning writes nothing that could fail");
        self.models.iter_mut().for_each(SeriesModel::rewind);
    }

    /// Hands over every row with its verdict; `None` for rows without a usable value.
    fn for_each(&mut self, mut f: impl FnMut(&FileRow, Option<Verdict>) -> io::Result<()>) -> io::Result<()> {
        for (row, series) in self.file.rows.iter().zip(&self.series) {
            let model = &mut self.models[*series as usize];
            f(row, usable(row).map(|(time_ms, value)| model.observe(time_ms, value)))?;
        }
        Ok(())
    }

    fn write_csv(&mut self, out: &mut impl Write) -> io::Result<()> {
        let labels = &self.file.label_names;
        out.write_all(COLUMNS.as_bytes())?;
        for name in labels {
            write!(out, ",{}", csv_cell(name))?;
        }
        out.write_all(b"\n")?;
        self.for_each(|row, verdict| {
            write!(out, "{},{},", csv_cell(&row.timestamp_text), csv_cell(&row.value_text))?;
            let (score, is_anomaly) = verdict.map_or((0.0, false), |verdict| (verdict.score, verdict.is_anomaly));
            let severity = verdict.map_or("none", |verdict| verdict.severity.as_str());
            write!(out, "{score:.9},{},{severity}", u8::from(is_anomaly))?;
            match band(row, verdict) {
                Some([expected, lower, upper]) => write!(out, ",{expected},{lower},{upper}")?,
                None => out.write_all(b",,,")?,
            }
            for name in labels {
                write!(out, ",{}", csv_cell(label(row, name)))?;
            }
            out.write_all(b"\n")
        })
    }

    fn write_json(&mut self, out: &mut impl Write, metric: &str) -> io::Result<()> {
        let mut separator = "[\n";
        self.for_each(|row, verdict| {
            let verdict_or_silence = verdict
                .map_or((0.0, false, "none"), |verdict| (verdict.score, verdict.is_anomaly, verdict.severity.as_str()));
            let (score, is_anomaly, severity) = verdict_or_silence;
            let band = band(row, verdict);
            let edge = |at: usize| band.map(|band| band[at]);
            let labels: serde_json::Map<_, _> =
                row.labels.iter().map(|(name, value)| (name.to_string(), value.to_string().into())).collect();
            let mut object = serde_json::json!({
                "timestamp": &*row.timestamp_text, "value": row.value, "score": score, "is_anomaly": is_anomaly,
                "severity": severity, "expected": edge(0), "lower": edge(1), "upper": edge(2), "labels": labels,
            });
            if let Some(verdict) = verdict.filter(|_| is_anomaly) {
                object["explanation"] = verdict.sentence(metric).into();
            }
            write!(out, "{separator}{object}")?;
            separator = ",\n";
            Ok(())
        })?;
        out.write_all(if self.file.rows.is_empty() { b"[]\n" } else { b"\n]\n" })
    }

    /// For people: one line an anomalous sample, and a last line with the count.
    fn write_table(&mut self, out: &mut impl Write, metric: &str) -> io::Result<()> {
        let mut anomalous = 0;
        self.for_each(|row, verdict| {
            let Some(verdict) = verdict.filter(|verdict| verdict.is_anomaly) else { return Ok(()) };
            anomalous += 1;
            let labels: Vec<_> = row.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            let name = if labels.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", labels.join(",")) };
            let severity = verdict.severity.as_str();
            writeln!(out, "{}  {severity:<8}  {:.3}  {}", row.timestamp_text, verdict.score, verdict.sentence(&name))
        })?;
        writeln!(out, "{anomalous} of {} samples are anomalous", self.file.rows.len())
    }
}

/// Expected value, lower and upper edge in the unit of the row's value.
fn band(row: &FileRow, verdict: Option<Verdict>) -> Option<[f64; 3]> {
    let band = verdict?.band_of(row.value?)?;
    Some([band.expected, band.lower, band.upper]).filter(|edges| edges.iter().all(|edge| edge.is_finite()))
}

fn label<'a>(row: &'a FileRow, name: &str) -> &'a str {
    row.labels.iter().find(|(known, _)| **known == *name).map_or("", |(_, value)| value)
}
