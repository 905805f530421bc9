//! `infrawatch calibrate --labels LABELS`: the score from which to flag, so that a wanted share of the flags is right.
//!
//! Scores stand in the file of labels (`score,label`), or are those of a file of samples.
//!
//! Not here: the ensemble's own calibration, which needs no labels (see `analysis::calibrate`).

use super::labels::{MARKS, Table, Truth, mark, take_marks};
use super::named::{ByName, SeriesOfRows};
use super::output::Rows;
use super::{CliError, Format, Global};
use crate::analysis::accuracy::calibrate_threshold;
use crate::series_file;
use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Calibrate {
    /// Samples to be scored; without them the file of labels has the scores
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// CSV: score,label; or labels for the samples of FILE, as `evaluate` takes them
    #[arg(long, value_name = "LABELS")]
    labels: PathBuf,
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
        if !(0.0..=1.0).contains(&self.target_precision) {
            return Err(CliError::Usage("--target-precision is a share between 0 and 1".to_owned()));
        }
        let pairs = match &self.file {
            Some(file) => self.scored(file)?,
            None => scores(&self.labels)?,
        };
        if !pairs.iter().any(|(_, label)| *label) {
            return Err(CliError::Failed(format!("{}: nothing is labelled as anomalous", self.labels.display())));
        }
        let (scores, labels): (Vec<f64>, Vec<bool>) = pairs.into_iter().unzip();
        let Some(chosen) = calibrate_threshold(&scores, &labels, self.target_precision) else {
            return Err(CliError::Failed(format!("{}: no scores", self.labels.display())));
        };
        if !chosen.is_reached {
            let wanted = self.target_precision;
            eprintln!("no score reaches a precision of {wanted}; this is the one with the best F1");
        }
        let mut rows = Rows::new(&["optimal_threshold", "precision", "recall", "f1", "false_positive_rate"]);
        let values = [chosen.optimal_threshold, chosen.precision, chosen.recall, chosen.f1, chosen.false_positive_rate];
        match global.format() {
            Format::Json => super::output::write_text(global, &format!("{:#}\n", serde_json::json!(chosen))),
            Format::Table | Format::Csv => {
                rows.push(values.map(|value| ((value * 1e9).round() / 1e9).into()).to_vec());
                rows.write(global)
            }
        }
    }

    /// Scores of the samples of a file, with their labels.
    fn scored(&self, path: &Path) -> Result<Vec<(f64, bool)>, CliError> {
        let mut file = series_file::read(path).map_err(|error| CliError::Failed(error.to_string()))?;
        take_marks(&mut file).transpose()?;
        let series = SeriesOfRows::new(&file, "value");
        let truth = Truth::read(&self.labels, path, &file, &series.of_row)?;
        let judged = self.by_name.judge(&file, &series, self.streaming, None)?;
        let score = judged.rows.iter().map(|word| word.combined.score);
        Ok(score.zip(truth.is_anomalous).collect())
    }
}

/// Scores and labels of one file.
fn scores(path: &Path) -> Result<Vec<(f64, bool)>, CliError> {
    let table = Table::read(path)?;
    let (Some(score), Some(label)) = (table.column("score"), table.any_of(&MARKS)) else {
        return Err(CliError::Failed(format!("{}: columns score and label expected", path.display())));
    };
    table.parse(|cells| Some((cells[score].parse::<f64>().ok()?, mark(&cells[label])?)))
}
