//! `infrawatch bench`: the program measures itself on this machine, in some seconds: how fast its parts are, and how well
//! its detectors find known anomalies.
//!
//! Not here: measuring a server under load (see `loadtest`), finer measurements (see `benches`).

mod budget;
mod cold_start;
mod forecasts;
mod quality;
mod speed;

use super::output::{Rows, write_text};
use super::{CliError, Format, Global};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct Bench {
    /// Write the report as a document: md
    #[arg(long, value_enum, hide_possible_values = true)]
    report: Option<Report>,
    /// Instead: how many anomalies are raised on normal data of many kinds, beside the budget
    #[arg(long, conflicts_with = "report")]
    budget: bool,
    /// Instead: how well anomalies are found at a series' minute 10, hour 1 and day 1, with the foundation model and without,
    /// on made-up series and on these files
    #[arg(long, value_name = "FILE", num_args = 0.., conflicts_with_all = ["budget", "report", "forecasts"])]
    cold_start: Option<Vec<PathBuf>>,
    /// Instead, measure every forecaster on the last days of these files and on made-up series
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "budget")]
    forecasts: Vec<PathBuf>,
    /// Hours of each of these files that are left out at its end, so that other days are forecast
    #[arg(long, value_name = "HOURS", default_value_t = 0, requires = "forecasts")]
    before: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Report {
    /// Markdown
    Md,
}

impl Bench {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        if self.budget {
            return budget::rows().write(global);
        }
        if let Some(files) = &self.cold_start {
            return cold_start::rows(files)?.write(global);
        }
        if !self.forecasts.is_empty() {
            return self.forecasts(global);
        }
        let speed = speed::rows();
        let quality = quality::measure().ok_or_else(|| CliError::Failed("the anomalies found no room".to_owned()))?;
        let text = match (self.report, global.format()) {
            (Some(Report::Md), _) => {
                let (speed, methods) = (markdown(&speed), markdown(&quality.rows));
                format!("## Speed\n\n{speed}\n## Detection\n\n{}\n{methods}\n{}", quality.about, quality.conclusion)
            }
            (None, Format::Json) => {
                let object = json!({"speed": objects(&speed), "detection": objects(&quality.rows)});
                format!("{object:#}\n")
            }
            (None, Format::Csv) => speed.render(Format::Csv) + "\n" + &quality.rows.render(Format::Csv),
            (None, Format::Table) => {
                format!("{}\n{}\n{}\n{}", speed.table(), quality.about, quality.rows.table(), quality.conclusion)
            }
        };
        write_text(global, &text)
    }

    /// The forecasters, on the files and on made-up series.
    fn forecasts(&self, global: &Global) -> Result<(), CliError> {
        let [files, made_up, by_corpus] = forecasts::rows(&self.forecasts, self.before)?;
        let text = match (self.report, global.format()) {
            (Some(Report::Md), _) => {
                let (files, made_up) = (markdown(&files), markdown(&made_up));
                let by_corpus = markdown(&by_corpus);
                format!("## Files\n\n{files}\n## Made-up series\n\n{made_up}\n## By corpus\n\n{by_corpus}")
            }
            (None, Format::Json) => {
                let all = json!({
                    "files": objects(&files), "made_up": objects(&made_up), "by_corpus": objects(&by_corpus),
                });
                format!("{all:#}\n")
            }
            (None, format) => [&files, &made_up, &by_corpus].map(|rows| rows.render(format)).join("\n"),
        };
        write_text(global, &text)
    }
}

fn objects(rows: &Rows) -> Value {
    serde_json::from_str(&rows.render(Format::Json)).unwrap_or_default()
}

/// Rows as a table of Markdown.
fn markdown(rows: &Rows) -> String {
    let csv = rows.render(Format::Csv);
    let mut out = String::new();
    for (at, line) in csv.lines().enumerate() {
        out += &format!("| {} |\n", line.replace(',', " | "));
        if at == 0 {
            out += &format!("|{}\n", "---|".repeat(line.split(',').count()));
        }
    }
    out
}
