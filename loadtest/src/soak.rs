//! The command `soak`: days of samples one after the other, as fast as the server takes them, and whether its memory,
//! its disk and its answers stay as they are.
//!
//! Time stamps run through the days; the clock does not have to. Not here: single loads (see `write`), kills (`crash`).
//!
//! Invariant: memory is read at the same point of every day, after its last acknowledgement and a pause.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::http::Client;
use crate::meter::{Percentiles, unix_ms};
use crate::metrics_page::Accounts;
use crate::payload::{Payload, WRITE_PATH};
use crate::process_stats::{cpu_s, disk_usage, machine, peak_rss_bytes, rss_bytes};
use crate::report::{Table, figures, grouped, mib};
use crate::scenario::Scenario;
use crate::sender::{Load, OnBreak, Requests, send};
use crate::server_process::{ScratchDir, Server};
use crate::target::OwnServerArgs;

const DAY_MS: i64 = 86_400_000;
/// Memory may grow by no more than this share from the middle of the run to its end.
const GROWTH_MAX: f64 = 0.05;
/// Background work after a day's last sample.
const DRAIN: Duration = Duration::from_secs(2);
/// What is kept, so that days are removed as new ones come.
const RETENTION: &str = "3d";

/// What the command `soak` takes.
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// Days of samples; the last ends now
    #[arg(long, default_value_t = 20)]
    days: usize,
    /// Series, all live all the time
    #[arg(long, default_value_t = 2000)]
    series: usize,
    /// Seconds between the samples of a series
    #[arg(long, default_value_t = 15)]
    step_s: u32,
    /// Samples per second over all connections [default: flat out]
    #[arg(long, value_name = "SAMPLES_PER_S")]
    rate: Option<f64>,
    /// Same seed, same values
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The server keeps three days unless it is given --retention
    #[command(flatten)]
    own: OwnServerArgs,
}

/// How the server stood at the end of one day.
#[derive(Debug, Serialize)]
struct Day {
    day: usize,
    samples_per_s: f64,
    cpu_s_per_million: f64,
    request_latency: Percentiles,
    rss_bytes: u64,
    disk_bytes: u64,
    health: String,
}

/// What all days gave.
#[derive(Debug, Serialize)]
struct SoakReport {
    machine: String,
    series: usize,
    samples: usize,
    days: Vec<Day>,
    accounts: Accounts,
    refused_requests: usize,
    peak_rss_bytes: u64,
    /// Largest over smallest memory in the second half of the days, less one.
    rss_growth: f64,
    findings: Vec<String>,
}

/// Runs the command; says whether everything was stored, memory was flat, and the server well at the end of every day.
///
/// # Errors
/// When the server cannot be started or reached, or ends.
pub(crate) fn run(args: &SoakArgs) -> Result<bool> {
    ensure!(args.days >= 2, "days must be at least 2");
    ensure!((1..=3600).contains(&args.step_s), "step-s must be between 1 and 3600");
    let retention: &[&str] = if args.own.has_flag("--retention") { &[] } else { &["--retention", RETENTION] };
    let scratch = ScratchDir::new()?;
    let server = args.own.start(retention.iter().map(OsString::from), &scratch.path().join("data"))?;
    let report = soak(args, &server)?;
    args.own.print(&report, text)?;
    Ok(report.findings.is_empty())
}

fn soak(args: &SoakArgs, server: &Server) -> Result<SoakReport> {
    let step_ms = i64::from(args.step_s) * 1000;
    let scenario = Scenario {
        series: args.series,
        samples: usize::try_from(DAY_MS / step_ms).expect("a day has few steps"),
        step_ms,
        rate: args.rate,
        seed: args.seed,
        ..Scenario::default()
    };
    let scenario = scenario.checked()?;
    let days = i64::try_from(args.days).context("days are out of range")?;
    let origin_ms = unix_ms().div_euclid(step_ms) * step_ms - days * DAY_MS;
    let mut report = SoakReport {
        machine: machine(),
        series: args.series,
        samples: 0,
        days: Vec::new(),
        accounts: Accounts::default(),
        refused_requests: 0,
        peak_rss_bytes: 0,
        rss_growth: 0.0,
        findings: Vec::new(),
    };
    for day in 0..args.days {
        let payload = Payload::starting_at(&scenario, origin_ms, day * scenario.samples);
        let before_s = cpu_s(server.pid())?;
        let outcome = send(&Load {
            address: server.address(),
            payload: &payload,
            requests: &Requests::Ahead(WRITE_PATH.to_owned()),
            connections: scenario.connections,
            rate: scenario.rate,
            on_break: OnBreak::Stop,
        })?;
        report.samples += payload.total_samples();
        report.refused_requests += outcome.refused_requests;
        std::thread::sleep(DRAIN);
        report.days.push(Day {
            day: day + 1,
            samples_per_s: payload.total_samples() as f64 / outcome.elapsed_s,
            cpu_s_per_million: (cpu_s(server.pid())? - before_s) / payload.total_samples() as f64 * 1e6,
            request_latency: outcome.latencies.percentiles(),
            rss_bytes: rss_bytes(server.pid())?,
            disk_bytes: disk_usage(server.data_dir())?.allocated_bytes,
            health: health(&mut Client::new(server.address()), server)?,
        });
        eprint!("day {} of {}\r", day + 1, args.days);
    }
    report.accounts = Accounts::read(&mut Client::new(server.address()), server.address())?
        .context("the server keeps no accounts")?;
    report.peak_rss_bytes = peak_rss_bytes(server.pid())?;
    report.rss_growth = growth(&report.days);
    report.findings = findings(&report);
    Ok(report)
}

fn health(client: &mut Client, server: &Server) -> Result<String> {
    let answer: Value = serde_json::from_slice(client.fetch(&server.address().get("/health", &[]))?)?;
    Ok(answer["status"].as_str().unwrap_or("unknown").to_owned())
}

/// Largest over smallest memory in the second half of the days, less one.
fn growth(days: &[Day]) -> f64 {
    let settled = || days[days.len() / 2..].iter().map(|day| day.rss_bytes as f64);
    settled().fold(0.0, f64::max) / settled().fold(f64::INFINITY, f64::min) - 1.0
}

fn findings(report: &SoakReport) -> Vec<String> {
    let mut findings = Vec::new();
    let (accounts, samples) = (report.accounts, report.samples as i64);
    if !accounts.law_holds() || accounts.stored != samples || report.refused_requests > 0 {
        let refused = report.refused_requests;
        findings.push(format!("{samples} samples sent, {refused} requests refused, accounts {accounts:?}"));
    }
    if report.rss_growth > GROWTH_MAX {
        let percent = report.rss_growth * 100.0;
        findings.push(format!("memory in the second half of the days differs by {percent:.1} %, not by 5 % at most"));
    }
    let ill = report.days.iter().filter(|day| day.health != "healthy");
    findings.extend(ill.map(|day| format!("day {}: the server says it is {}", day.day, day.health)));
    findings
}

fn text(report: &SoakReport) -> String {
    let heads = ["day", "samples/s", "CPU-s per million", "request p99, ms", "RSS, MiB", "disk, MiB", "health"];
    let mut table = Table::new(heads.map(str::to_owned));
    for day in &report.days {
        let cells = [
            grouped(day.samples_per_s as i64),
            figures(day.cpu_s_per_million),
            figures(day.request_latency.p99_ms),
            figures(mib(day.rss_bytes)),
            figures(mib(day.disk_bytes)),
            day.health.clone(),
        ];
        table.row(&day.day.to_string(), cells);
    }
    let summary = format!(
        "{} samples of {} series, {} stored, {} dropped; peak RSS {} MiB; memory in the second half of the days within \
         {:.1} %",
        grouped(report.samples as i64),
        grouped(report.series as i64),
        grouped(report.accounts.stored),
        grouped(report.accounts.dropped),
        figures(mib(report.peak_rss_bytes)),
        report.rss_growth * 100.0,
    );
    let findings: String = report.findings.iter().map(|finding| format!("  {finding}\n")).collect();
    format!("{}\n{}{summary}\n{findings}", report.machine, table.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Latencies;

    fn day(rss_bytes: u64) -> Day {
        Day {
            day: 1,
            samples_per_s: 1.0,
            cpu_s_per_million: 1.0,
            request_latency: Latencies::default().percentiles(),
            rss_bytes,
            disk_bytes: 0,
            health: "healthy".into(),
        }
    }

    fn report(days: Vec<Day>) -> SoakReport {
        SoakReport {
            machine: String::new(),
            series: 1,
            samples: 10,
            rss_growth: growth(&days),
            days,
            accounts: Accounts { received: 10, stored: 10, ..Accounts::default() },
            refused_requests: 0,
            peak_rss_bytes: 0,
            findings: vec![],
        }
    }

    #[test]
    fn only_the_second_half_of_the_days_has_to_be_flat() {
        assert_eq!(findings(&report(vec![day(10), day(50), day(100), day(104)])), [""; 0]);
        assert_eq!(findings(&report(vec![day(10), day(50), day(100), day(106)])).len(), 1);
        assert_eq!(findings(&report(vec![day(100), day(90), day(80), day(100)])).len(), 1, "memory that falls counts");
    }

    #[test]
    fn a_lost_sample_a_refusal_and_an_ill_server_are_found() {
        let good = || report(vec![day(100), day(100)]);
        assert_eq!(findings(&SoakReport { samples: 11, ..good() }).len(), 1);
        assert_eq!(findings(&SoakReport { refused_requests: 1, ..good() }).len(), 1);
        let ill = report(vec![day(100), Day { health: "degraded".into(), ..day(100) }]);
        assert_eq!(findings(&ill), ["day 1: the server says it is degraded"]);
    }
}
