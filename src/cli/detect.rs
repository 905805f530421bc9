//! `infrawatch detect FILE`: judges every sample of a file and says what is unusual.
//!
//! With `--streaming` one causal pass: the output for a row is a function of the rows up to it. Without, everything is
//! learned first and then judged by that. Rows of different labels are different series.
//!
//! Not here: judging (see `analysis`), reading files (see `series_file`).
//!
//! Invariant: CSV and JSON have exactly one row for each data row, in file order, timestamp and value as written.
//!
//! Cost: 300 bytes a row for the file, 4 KiB a series; nothing is kept of the output.

use super::detect_named;
use super::named::{ByName, SeriesOfRows};
use super::output::{Output, csv_cell};
use super::picture::Picture;
use super::{CliError, Format, Global};
use crate::analysis::foresight::{Ahead, REFRESH};
use crate::analysis::{self, Anomaly, FoundationVote, Kind, Runs, SeriesModel, Settings, Severity, Verdict};
use crate::series_file::{self, FileRow, SeriesFile, TimeNotation};
use clap::{Args, ValueEnum};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

pub(super) const COLUMNS: &str = "timestamp,value,score,is_anomaly,severity,expected,lower,upper";
/// Anomalies a table shows; CSV and JSON have every sample.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Detect {
    /// CSV with a header, JSON array or NDJSON; columns other than timestamp and value are labels
    #[arg(value_name = "FILE", required_unless_present = "detectors")]
    file: Option<PathBuf>,
    /// One causal pass, as if the samples arrived now
    #[arg(long)]
    streaming: bool,
    /// Name of the metric, for the explanations
    #[arg(long, value_name = "NAME", default_value = "value")]
    metric: String,
    /// What the values are: auto, gauge or counter
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    kind: KindChoice,
    /// Draw values, expected range and anomalies as a picture; only for a file with one series
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Whether the foundation model's forecasts judge: on (while a series is young), always, or off
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    foundation: Foundation,
    #[command(flatten)]
    by_name: ByName,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Foundation {
    /// Until a day of a series was seen
    #[default]
    On,
    /// Beside its own detectors from then on
    Always,
    /// Never
    Off,
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
        if self.by_name.asks_for_list() {
            return super::output::write_text(global, &ByName::list());
        }
        let Some(path) = &self.file else {
            return Err(CliError::Usage("FILE is missing; --detectors list needs none".to_owned()));
        };
        let file = series_file::read(path).map_err(|error| CliError::Failed(error.to_string()))?;
        if self.by_name.is_asked() {
            if self.plot.is_some() {
                return Err(CliError::Usage("--plot draws what the ensemble says, not named detectors".to_owned()));
            }
            let how = (self.streaming, self.kind.given());
            detect_named::run(&file, &self.by_name, &self.metric, how, global)?;
            tell_unusable(&file, global);
            return Ok(());
        }
        let settings = self.foundation.settings(self.by_name.settings()?);
        let mut judged = Judged::new(&file, self.kind.given(), &self.metric, settings);
        if self.plot.is_some() && judged.models.len() != 1 {
            let count = judged.models.len();
            return Err(CliError::Usage(format!("--plot draws one series, {} has {count}", path.display())));
        }
        judged.picture = self.plot.as_ref().map(|_| Picture::default());
        if !self.streaming {
            judged.learn();
        }
        // What was learned as a whole is not young, so that a forecast would count for nothing.
        if self.foundation == Foundation::Always || self.foundation == Foundation::On && self.streaming {
            judged.look_ahead();
        }
        let mut out = Output::open(global)?;
        let written = match global.format() {
            Format::Csv => judged.write_csv(&mut out),
            Format::Json => judged.write_json(&mut out),
            Format::Table => judged.write_table(&mut out),
        };
        out.finish(written)?;
        if let (Some(path), Some(picture)) = (&self.plot, judged.picture.take()) {
            picture.write(path, &judged.names[0], judged.runs[0].anomalies())?;
        }
        tell_unusable(&file, global);
        Ok(())
    }
}

impl Foundation {
    fn settings(self, settings: Arc<Settings>) -> Arc<Settings> {
        match self {
            Self::Always => Arc::new(Settings { foundation: FoundationVote::Always, ..Settings::clone(&settings) }),
            Self::On | Self::Off => settings,
        }
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

fn tell_unusable(file: &SeriesFile, global: &Global) {
    let unusable = file.rows.iter().filter(|row| usable(row).is_none()).count();
    if unusable > 0 && !global.quiet {
        eprintln!("{unusable} of {} rows have no usable timestamp or value", file.rows.len());
    }
}

fn usable(row: &FileRow) -> Option<(i64, f64)> {
    row.time_ms.zip(row.value)
}

/// The rows of a file, each with the model of its series.
struct Judged<'a> {
    file: &'a SeriesFile,
    /// Index into what follows, a row.
    series: Vec<u32>,
    models: Vec<SeriesModel>,
    settings: Arc<Settings>,
    kind: Option<Kind>,
    metric: String,
    /// Names with labels.
    names: Vec<String>,
    runs: Vec<Runs>,
    /// The forecasts of each series, if they have a vote.
    ahead: Vec<Ahead>,
    /// What is drawn of the first series, if anything is.
    picture: Option<Picture>,
}

impl<'a> Judged<'a> {
    fn new(file: &'a SeriesFile, kind: Option<Kind>, metric: &str, settings: Arc<Settings>) -> Self {
        let SeriesOfRows { of_row: series, names } = SeriesOfRows::new(file, metric);
        let models = vec![SeriesModel::new(kind, settings.clone()); names.len()];
        let runs = vec![Runs::default(); names.len()];
        let ahead = vec![Ahead::default(); names.len()];
        Self { file, series, models, settings, kind, metric: metric.to_owned(), names, runs, ahead, picture: None }
    }

    /// Learns every series as a whole, so that judging starts from there.
    fn learn(&mut self) {
        let samples = self.samples();
        for (model, samples) in self.models.iter_mut().zip(samples) {
            *model = analysis::learn(self.kind, Settings::clone(&self.settings), samples.into_iter());
        }
    }

    /// Has the foundation model forecast every series, each time from what was before.
    fn look_ahead(&mut self) {
        let samples = self.samples();
        for (ahead, samples) in self.ahead.iter_mut().zip(samples) {
            *ahead = Ahead::of(self.kind, REFRESH, samples.into_iter());
        }
    }

    /// The samples of every series.
    fn samples(&self) -> Vec<Vec<(i64, f64)>> {
        let mut samples: Vec<Vec<(i64, f64)>> = vec![Vec::new(); self.models.len()];
        for (row, series) in self.file.rows.iter().zip(&self.series) {
            samples[*series as usize].extend(usable(row));
        }
        samples
    }

    /// Hands over every row with the name of its series and its verdict; `None` for rows without a usable value.
    fn for_each(&mut self, mut f: impl FnMut(&FileRow, &str, Option<Verdict>) -> io::Result<()>) -> io::Result<()> {
        for (row, series) in self.file.rows.iter().zip(&self.series) {
            let at = *series as usize;
            let name = &self.names[at];
            let Some((time_ms, value)) = usable(row) else {
                f(row, name, None)?;
                continue;
            };
            let verdict = self.models[at].observe(time_ms, value);
            self.ahead[at].show(&mut self.models[at]);
            self.runs[at].observe(&verdict, value, name);
            if let Some(picture) = &mut self.picture {
                picture.add(time_ms, value, verdict.band_of(value));
            }
            f(row, name, Some(verdict))?;
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
        self.for_each(|row, _, verdict| {
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

    fn write_json(&mut self, out: &mut impl Write) -> io::Result<()> {
        let mut separator = "[\n";
        let metric = self.metric.clone();
        self.for_each(|row, _, verdict| {
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
            if verdict.is_some_and(|verdict| verdict.is_prior()) {
                object["prior"] = true.into();
            }
            if let Some(verdict) = verdict.filter(|_| is_anomaly) {
                object["explanation"] = verdict.sentence(&metric).into();
                object["counterfactual"] = verdict.counterfactual(&metric).into();
                let shares = verdict.contributions().into_iter().map(|(name, share)| (name.to_owned(), share.into()));
                object["contributions"] = serde_json::Value::Object(shares.collect());
            }
            write!(out, "{separator}{object}")?;
            separator = ",\n";
            Ok(())
        })?;
        out.write_all(if self.file.rows.is_empty() { b"[]\n" } else { b"\n]\n" })
    }

    /// For people: totals, and the most unusual anomalies with their reasons, in order of time.
    fn write_table(&mut self, out: &mut impl Write) -> io::Result<()> {
        let (mut samples, mut severity) = (0, Severity::None);
        self.for_each(|_, _, verdict| {
            samples += usize::from(verdict.is_some_and(|verdict| verdict.is_anomaly));
            Ok(())
        })?;
        let all = self.runs.iter().flat_map(Runs::anomalies);
        let mut top: Vec<&Anomaly> = all.inspect(|anomaly| severity = severity.max(anomaly.severity)).collect();
        let count = top.len();
        writeln!(out, "Total points analyzed: {}", self.file.rows.len())?;
        writeln!(out, "Anomalies detected: {count}")?;
        writeln!(out, "Anomalous points: {samples}")?;
        writeln!(out, "Max severity: {}", severity.label())?;
        top.sort_by(|left, right| right.score.total_cmp(&left.score));
        top.truncate(SHOWN);
        top.sort_by_key(|anomaly| anomaly.timestamp_ms);
        if count > 0 {
            writeln!(out, "\nTop anomalies:")?;
        }
        let notation = self.file.rows.iter().find_map(|row| TimeNotation::of(&row.timestamp_text));
        let notation = notation.unwrap_or(TimeNotation::Milliseconds);
        for Anomaly { timestamp_ms, severity, score, summary, .. } in &top {
            writeln!(out, "{}  {:<8}  {score:.3}  {summary}", notation.format(*timestamp_ms), severity.label())?;
        }
        if count > top.len() {
            writeln!(out, "({} of {count}; --format csv has every sample)", top.len())?;
        }
        Ok(())
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
