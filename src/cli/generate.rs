//! `infrawatch generate`: writes CSV files of seeded metrics, and the anomalies in them to `truth.csv`.
//!
//! Not here: what the metrics look like (see `synthetic`).
//!
//! Invariant: the same arguments give the same bytes.

use super::output::Rows;
use super::{CliError, Global};
use crate::series_file::{TimeNotation, parse_time_ms};
use crate::synthetic::{Metric, Plan, Series};
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

/// A Monday, so that weeks of data start as weeks do.
const START: &str = "2026-01-05T00:00:00Z";
const DAY_MS: i64 = 86_400_000;
const TRUTH_HEADER: &str = "file,name,host,kind,start,end\n";
const NOTATION: TimeNotation = TimeNotation::Rfc3339 { offset_s: 0, blank: false };

#[derive(Debug, Args)]
pub(super) struct Generate {
    /// Folder for the files; made when missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Hosts that report
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    hosts: u32,
    /// Days from the first sample to the last
    #[arg(long, value_name = "D", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3660))]
    days: u32,
    /// Anomalies, all hosts and metrics together
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    anomalies: u32,
    /// Seed of all chance
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Time of the first sample
    #[arg(long, value_name = "T", default_value = START)]
    start: String,
    /// Time from one sample to the next, in whole seconds, minutes or hours
    #[arg(long, value_name = "STEP", default_value = "15s")]
    step: String,
    /// A set of arguments by name: sample_data makes the files of that folder
    #[arg(long, value_name = "NAME", conflicts_with_all = ["hosts", "days", "anomalies", "seed", "start", "step"])]
    preset: Option<Preset>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Preset {
    #[value(name = "sample_data")]
    SampleData,
}

impl Generate {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let plan = self.plan()?;
        // Every series first, so that a plan that does not hold leaves no file behind.
        let planned: Option<Vec<_>> =
            Metric::ALL.into_iter().map(|metric| Some((metric, plan.series(metric)?))).collect();
        let planned = planned.ok_or_else(|| {
            CliError::Usage("so many --anomalies do not fit: ask for fewer, or more --hosts or --days".to_owned())
        })?;
        let output = |path: &Path, source| CliError::Output { path: path.to_owned(), source };
        std::fs::create_dir_all(&self.out).map_err(|error| output(&self.out, error))?;
        let mut rows = Rows::new(&["file", "rows", "anomalies"]);
        let mut truth = TRUTH_HEADER.to_owned();
        for (metric, mut all) in planned {
            let path = self.out.join(format!("{}.csv", metric.file_name()));
            let file = File::create(&path).map(BufWriter::new);
            let count =
                file.and_then(|file| render(&plan, metric, &mut all, file)).map_err(|error| output(&path, error))?;
            let anomalies = add_truth(metric, &all, &mut truth);
            rows.push(vec![path.display().to_string().into(), count.into(), anomalies.into()]);
        }
        let path = self.out.join("truth.csv");
        std::fs::write(&path, truth).map_err(|error| output(&path, error))?;
        rows.write(global)
    }

    fn plan(&self) -> Result<Plan, CliError> {
        if let Some(Preset::SampleData) = self.preset {
            return Ok(sample_data());
        }
        let usage = |flag: &str, text: &str, wanted: &str| {
            CliError::Usage(format!("invalid value '{text}' for '{flag}': expected {wanted}"))
        };
        let start_ms = parse_time_ms(&self.start).filter(|time_ms| (0..=MAX_START_MS).contains(time_ms));
        let step_ms = step_ms(&self.step).filter(|step_ms| (1000..=DAY_MS).contains(step_ms));
        Ok(Plan {
            hosts: self.hosts as usize,
            start_ms: start_ms.ok_or_else(|| usage("--start", &self.start, "a time between 1970 and 9000"))?,
            step_ms: step_ms.ok_or_else(|| usage("--step", &self.step, "1s to 24h, such as 15s, 5m or 1h"))?,
            length_ms: i64::from(self.days) * DAY_MS,
            seed: self.seed,
            anomalies: Plan::deal(self.seed, self.anomalies as usize),
        })
    }
}

/// 9000-01-01: ten years later is still within the calendar.
const MAX_START_MS: i64 = 221_845_392_000_000;

/// One host for a week, sampled every five minutes.
fn sample_data() -> Plan {
    let start_ms = parse_time_ms(START).expect("the constant is a time");
    Plan { hosts: 1, start_ms, step_ms: 300_000, length_ms: 7 * DAY_MS, seed: 1, anomalies: [2, 1, 2, 2, 3] }
}

/// Milliseconds of `15s`, `5m` or `1h`.
fn step_ms(text: &str) -> Option<i64> {
    let (number, unit_ms) = [("s", 1000), ("m", 60_000), ("h", 3_600_000)]
        .iter()
        .find_map(|(unit, unit_ms)| Some((text.strip_suffix(unit)?, *unit_ms)))?;
    number.parse::<u32>().ok().map(|number| i64::from(number) * unit_ms)
}

/// Writes the file of a metric; gives the number of its rows.
fn render(plan: &Plan, metric: Metric, all: &mut [Series], mut out: impl io::Write) -> io::Result<u64> {
    writeln!(out, "timestamp,value,name,host")?;
    let mut rows = 0;
    for time_ms in plan.times() {
        let time = NOTATION.format(time_ms);
        for series in &mut *all {
            if let Some(value) = series.next(plan, time_ms) {
                writeln!(out, "{time},{value},{},{}", metric.name(), series.host)?;
                rows += 1;
            }
        }
    }
    out.flush().map(|()| rows)
}

/// Adds the anomalies of a metric to the truth; gives their number.
fn add_truth(metric: Metric, all: &[Series], truth: &mut String) -> usize {
    let of_series = |series: &Series| {
        for anomaly in &series.anomalies {
            let (start, end) = (NOTATION.format(anomaly.start_ms), NOTATION.format(anomaly.end_ms));
            let (file, name, kind) = (metric.file_name(), metric.name(), anomaly.kind.name());
            truth.push_str(&format!("{file}.csv,{name},{},{kind},{start},{end}\n", series.host));
        }
        series.anomalies.len()
    };
    all.iter().map(of_series).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_number_with_a_unit() {
        assert_eq!(["15s", "5m", "1h"].map(step_ms), [Some(15_000), Some(300_000), Some(3_600_000)]);
        assert_eq!(["15", "s", "1d", "-1s", "1.5s", ""].map(step_ms), [None; 6]);
    }

    #[test]
    fn the_sample_data_are_what_the_preset_writes() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_data");
        let (plan, mut truth) = (sample_data(), TRUTH_HEADER.to_owned());
        let same = |name: &str, bytes: &[u8]| {
            let committed = std::fs::read(folder.join(name)).unwrap();
            assert!(committed == bytes, "{name}: write it again: generate --preset sample_data --out sample_data");
        };
        for metric in Metric::ALL {
            let (mut all, mut file) = (plan.series(metric).unwrap(), Vec::new());
            render(&plan, metric, &mut all, &mut file).unwrap();
            add_truth(metric, &all, &mut truth);
            same(&format!("{}.csv", metric.file_name()), &file);
        }
        same("truth.csv", truth.as_bytes());
    }
}
