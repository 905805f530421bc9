//! `infrawatch calibrate --labels LABELS`: the score from which to flag, so that a wanted share of the flags is right.
//!
//! Scores stand in the file of labels (`score,label`), or are those of a file of samples.
//!
//! `infrawatch calibrate --preview METRIC` asks a running server instead how many alerts other settings would have raised on what it
//! has stored.
//!
//! Not here: the ensemble's own calibration, which needs no labels (see `analysis::calibrate`).

use super::ask::ServerFlag;
use super::labels::{MARKS, Table, Truth, mark, take_marks};
use super::named::{ByName, SeriesOfRows};
use super::output::{Rows, write_text};
use super::{CliError, Format, Global};
use crate::analysis::accuracy::calibrate_threshold;
use crate::series_file;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Calibrate {
    /// Samples to be scored; without them the file of labels has the scores
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// CSV: score,label; or labels for the samples of FILE, as `evaluate` takes them
    #[arg(long, value_name = "LABELS", required_unless_present = "preview")]
    labels: Option<PathBuf>,
    /// Ask a running server how many alerts other settings would have raised on this metric's stored samples
    #[arg(long, value_name = "METRIC", conflicts_with_all = ["labels", "file"])]
    preview: Option<String>,
    /// Values of pipeline.std_multiplier to try
    #[arg(long, value_name = "N,N", value_delimiter = ',', requires = "preview")]
    std_multiplier: Vec<f64>,
    /// Value of pipeline.calibration_window to try with them
    #[arg(long, value_name = "N", requires = "preview")]
    calibration_window: Option<usize>,
    /// Values of budget.anomalies_per_series_month to try
    #[arg(long, value_name = "N,N", value_delimiter = ',', requires = "preview")]
    anomalies_per_series_month: Vec<f64>,
    #[command(flatten)]
    server: ServerFlag,
    /// Share of flags that shall be right
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    target_precision: f64,
    /// One causal pass over the samples, as if they arrived now
    #[arg(long)]
    streaming: bool,
    #[command(flatten)]
    by_name: ByName,
}

impl Calibrate {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let labels = match (&self.preview, &self.labels) {
            (Some(metric), _) => return self.preview(metric, global),
            (None, Some(labels)) => labels,
            (None, None) => return Err(CliError::Usage("--labels or --preview is needed".to_owned())),
        };
        if !(0.0..=1.0).contains(&self.target_precision) {
            return Err(CliError::Usage("--target-precision is a share between 0 and 1".to_owned()));
        }
        let pairs = match &self.file {
            Some(file) => self.scored(file, labels)?,
            None => scores(labels)?,
        };
        if !pairs.iter().any(|(_, label)| *label) {
            return Err(CliError::Failed(format!("{}: nothing is labelled as anomalous", labels.display())));
        }
        let (scores, marks): (Vec<f64>, Vec<bool>) = pairs.into_iter().unzip();
        let Some(chosen) = calibrate_threshold(&scores, &marks, self.target_precision) else {
            return Err(CliError::Failed(format!("{}: no scores", labels.display())));
        };
        if !chosen.is_reached {
            let wanted = self.target_precision;
            eprintln!("no score reaches a precision of {wanted}; this is the one with the best F1");
        }
        let mut rows = Rows::new(&["optimal_threshold", "precision", "recall", "f1", "false_positive_rate"]);
        let values = [chosen.optimal_threshold, chosen.precision, chosen.recall, chosen.f1, chosen.false_positive_rate];
        match global.format() {
            Format::Json => write_text(global, &format!("{:#}\n", json!(chosen))),
            Format::Table | Format::Csv => {
                rows.push(values.map(|value| ((value * 1e9).round() / 1e9).into()).to_vec());
                rows.write(global)
            }
        }
    }

    /// What a running server says of other settings.
    fn preview(&self, metric: &str, global: &Global) -> Result<(), CliError> {
        let mut body = json!({
            "std_multiplier": self.std_multiplier,
            "anomalies_per_series_month": self.anomalies_per_series_month,
        });
        if let Some(windows) = self.calibration_window {
            body["calibration_window"] = windows.into();
        }
        let path = format!("/api/v1/metrics/{}/preview", encoded(metric));
        let said = self.server.open(global)?.post(&path, &body)?;
        if global.format() == Format::Json {
            return write_text(global, &format!("{said:#}\n"));
        }
        let mut rows = Rows::new(&["setting", "value", "current", "alerts", "alerts_per_day"]);
        let lists = [("windows", "std_multiplier"), ("budgets", "anomalies_per_series_month")];
        for (list, setting) in lists {
            for one in said[list].as_array().into_iter().flatten() {
                let current = if one["is_current"] == true { "yes" } else { "" };
                let per_day = one["alerts_per_day"].as_f64().map_or(Value::Null, |n| ((n * 1e4).round() / 1e4).into());
                rows.push(vec![setting.into(), one[setting].clone(), current.into(), one["alerts"].clone(), per_day]);
            }
        }
        rows.write(global)
    }

    /// Scores of the samples of a file, with their labels.
    fn scored(&self, path: &Path, labels: &Path) -> Result<Vec<(f64, bool)>, CliError> {
        let mut file = series_file::read(path).map_err(|error| CliError::Failed(error.to_string()))?;
        take_marks(&mut file).transpose()?;
        let series = SeriesOfRows::new(&file, "value");
        let truth = Truth::read(labels, path, &file, &series.of_row)?;
        let judged = self.by_name.judge(&file, &series, self.streaming, None)?;
        let score = judged.rows.iter().map(|word| word.combined.score);
        Ok(score.zip(truth.is_anomalous).collect())
    }
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Scores and labels of one file.
fn scores(path: &Path) -> Result<Vec<(f64, bool)>, CliError> {
    let table = Table::read(path)?;
    let (Some(score), Some(label)) = (table.column("score"), table.any_of(&MARKS)) else {
        return Err(CliError::Failed(format!("{}: columns score and label expected", path.display())));
    };
    table.parse(|cells| Some((cells[score].parse::<f64>().ok()?, mark(&cells[label])?)))
}
