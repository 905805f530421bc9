//! `infrawatch profile FILE`, or `profile METRIC` of a running server: what a series is like, and which detectors suit it.
//!
//! Not here: what is told from the values (see `analysis::series_profile`).

use super::ask::ServerFlag;
use super::named::SeriesOfRows;
use super::output::write_text;
use super::{CliError, Format, Global};
use crate::analysis::detectors::Samples;
use crate::analysis::series_profile::SeriesProfile;
use crate::series_file::{self, parse_time_ms};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);
const DAY_MS: f64 = 86_400_000.0;

#[derive(Debug, Args)]
pub(super) struct Profile {
    /// A file of samples, as `detect` takes them, or the name of a metric that a server has
    #[arg(value_name = "FILE|METRIC")]
    what: String,
    #[command(flatten)]
    server: ServerFlag,
    /// Name of the metric, for a file
    #[arg(long, value_name = "NAME", default_value = "value")]
    metric: String,
}

/// A series with its name.
struct Named {
    name: String,
    times_ms: Vec<i64>,
    values: Vec<f64>,
}

impl Profile {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let path = Path::new(&self.what);
        let all = if path.exists() { self.of_file(path)? } else { self.of_server(global)? };
        let mut text = String::new();
        let mut list = Vec::new();
        for Named { name, times_ms, values } in &all {
            let Some(profile) = SeriesProfile::of(Samples::new(times_ms, values)) else {
                if !global.quiet {
                    eprintln!("{name}: fewer than two samples say nothing");
                }
                continue;
            };
            match global.format() {
                Format::Table => text.push_str(&sheet(name, &profile)),
                Format::Json | Format::Csv => list.push((name, profile)),
            }
        }
        match global.format() {
            Format::Table => write_text(global, &text),
            Format::Json => {
                let objects: Vec<Value> = list.iter().map(|(name, profile)| object(name, profile)).collect();
                write_text(global, &format!("{:#}\n", Value::Array(objects)))
            }
            Format::Csv => {
                let mut rows = super::output::Rows::new(&["series", "samples", "step_s", "seasons", "detectors"]);
                for (name, profile) in &list {
                    let seasons: Vec<String> =
                        profile.seasons.iter().map(|s| (s.period_ms / 1000).to_string()).collect();
                    let step = profile.step_ms as f64 / 1000.0;
                    let detectors: Vec<&str> = profile.advice.iter().map(|advice| advice.detector).collect();
                    let row = vec![
                        name.as_str().into(),
                        profile.samples.into(),
                        step.into(),
                        seasons.join(" ").into(),
                        detectors.join(" ").into(),
                    ];
                    rows.push(row);
                }
                write_text(global, &rows.render(Format::Csv))
            }
        }
    }

    fn of_file(&self, path: &Path) -> Result<Vec<Named>, CliError> {
        let file = series_file::read(path).map_err(|error| CliError::Failed(error.to_string()))?;
        let series = SeriesOfRows::new(&file, &self.metric);
        let empty = |name: &String| Named { name: name.clone(), times_ms: Vec::new(), values: Vec::new() };
        let mut all: Vec<Named> = series.names.iter().map(empty).collect();
        for (row, of) in file.rows.iter().zip(&series.of_row) {
            if let Some((time_ms, value)) = row.time_ms.zip(row.value) {
                all[*of as usize].times_ms.push(time_ms);
                all[*of as usize].values.push(value);
            }
        }
        Ok(all)
    }

    /// The stored samples of a metric of a server.
    fn of_server(&self, global: &Global) -> Result<Vec<Named>, CliError> {
        let place = self.server.place(global)?;
        let server = &place.url;
        let url = format!("{server}/api/v1/metrics/{}", self.what);
        let failed = |why: String| CliError::Failed(format!("{} is no file, and {server}: {why}", self.what));
        let answer = place.client(TIMEOUT)?.get_with(&url, &[]).map_err(failed)?;
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        if answer.status != 200 {
            let said = body["error"].as_str().unwrap_or("no answer that can be read").to_owned();
            return Err(failed(said));
        }
        let series = body["series"].as_array().cloned().unwrap_or_default();
        let named = |series: &Value| {
            let points = series["points"].as_array().into_iter().flatten();
            let sample = |point: &Value| Some((parse_time_ms(point["timestamp"].as_str()?)?, point["value"].as_f64()?));
            let (times_ms, values) = points.filter_map(sample).unzip();
            Named { name: format!("{}{}", self.what, series["labels"]), times_ms, values }
        };
        Ok(series.iter().map(named).collect())
    }
}

fn sheet(name: &str, profile: &SeriesProfile) -> String {
    let mut text = format!("{name}\n");
    // Writing to a string cannot fail.
    let mut line = |what: &str, how: String| {
        let _ = writeln!(text, "  {what:<12} {how}");
    };
    let step_s = profile.step_ms as f64 / 1000.0;
    line("samples", format!("{} in {:.1} days, every {step_s} s", profile.samples, profile.span_ms as f64 / DAY_MS));
    line("missing", format!("{:.1} % of the steps have no sample", 100.0 * profile.missing_share));
    line(
        "zeros",
        format!("{:.1} %; {:.1} % repeat the value before", 100.0 * profile.zero_share, 100.0 * profile.repeat_share),
    );
    line("kind", profile.kind.to_owned());
    let season = |found: &crate::analysis::seasonality::FoundPeriod| {
        format!("{:.2} h (strength {:.2})", found.period_ms as f64 / 3_600_000.0, found.strength)
    };
    let seasons: Vec<String> = profile.seasons.iter().map(season).collect();
    line("seasons", if seasons.is_empty() { "none".to_owned() } else { seasons.join(", ") });
    line(
        "trend",
        format!("{:+.4} a day{}", profile.trend_per_day, if profile.has_trend { "" } else { ", no clear one" }),
    );
    line("noise", format!("{}, memory {:.2}", profile.tails, profile.memory));
    for advice in &profile.advice {
        line("use", format!("{}: {}", advice.detector, advice.why));
    }
    for warning in &profile.warnings {
        line("note", warning.clone());
    }
    text
}

fn object(name: &str, profile: &SeriesProfile) -> Value {
    let season = |found: &crate::analysis::seasonality::FoundPeriod| json!({"period_s": found.period_ms / 1000, "strength": found.strength});
    let advice =
        |advice: &crate::analysis::series_profile::Advice| json!({"detector": advice.detector, "why": advice.why});
    json!({
        "series": name, "samples": profile.samples, "step_s": profile.step_ms as f64 / 1000.0,
        "span_s": profile.span_ms / 1000, "missing_share": profile.missing_share, "zero_share": profile.zero_share,
        "repeat_share": profile.repeat_share, "kind": profile.kind,
        "seasons": profile.seasons.iter().map(season).collect::<Vec<_>>(), "trend_per_day": profile.trend_per_day,
        "has_trend": profile.has_trend, "tails": profile.tails, "memory": profile.memory,
        "detectors": profile.advice.iter().map(advice).collect::<Vec<_>>(), "notes": profile.warnings,
    })
}
