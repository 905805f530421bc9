//! The command `readers`: whether reading disturbs writing, and how soon small reads are answered meanwhile.
//!
//! Three equal parts of one load, one after the other at the same rate: written alone; with readers of metrics, anomalies
//! and forecasts beside; and with stuck readers, who ask for long answers and take nothing of them, and heavy ones, who
//! ask again and again for sums over all series.
//!
//! Not here: what single queries cost (see `queries`).
//!
//! Invariant: all figures of one run come from one server and one minute, so that the parts can be compared whatever else
//! the machine does.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::cli::TargetArgs;
use crate::http::{Address, Client};
use crate::meter::{Latencies, Percentiles, Stopwatch, unix_ms};
use crate::payload::{Payload, WRITE_PATH};
use crate::process_stats::{cpu_s, machine, peak_rss_bytes};
use crate::report::{Table, figures, mib, print_json};
use crate::scenario::Scenario;
use crate::sender::Requests;
use crate::target::{Running, Target};
use crate::write::send_all;

/// Small reads: the 99th percentile shall stay below this.
const READ_P99_MS: f64 = 20.0;
/// Writing beside stuck and heavy readers may take so many times as long as alone, at the 99th percentile.
const WRITE_RATIO_MAX: f64 = 3.0;
/// Or so long: what is this fast is not disturbed.
const WRITE_P99_MS: f64 = 50.0;
/// Threads that read.
const READERS: usize = 4;
/// Files this process may need to have open.
const OPEN_FILES: usize = 16_384;

/// What the command `readers` takes.
#[derive(Debug, Args)]
pub(crate) struct ReadersArgs {
    /// Series
    #[arg(long, default_value_t = 100_000)]
    series: usize,
    /// Samples of each series in each of the three parts
    #[arg(long, default_value_t = 15)]
    samples: usize,
    /// Samples per second
    #[arg(long, default_value_t = 100_000.0)]
    rate: f64,
    /// Readers that ask for a long answer and take nothing of it
    #[arg(long, default_value_t = 1000)]
    stuck: usize,
    /// Readers that ask for sums over all series, again and again
    #[arg(long, default_value_t = 200)]
    heavy: usize,
    /// Small reads a second, of all kinds together
    #[arg(long, default_value_t = 100.0)]
    reads_per_s: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
}

/// One part of the load.
#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    acknowledged: usize,
    sent: usize,
    retries: usize,
    elapsed_s: f64,
    writes: Percentiles,
    reads: Vec<(&'static str, Percentiles)>,
    refused_reads: usize,
    heavy_answers: usize,
    stuck_connected: usize,
    server_cpu_s: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Report {
    target: String,
    machine: String,
    series: usize,
    rate: f64,
    parts: Vec<Part>,
    peak_rss_bytes: Option<u64>,
    is_good: bool,
}

/// Runs the command; says whether writing was not disturbed and small reads were soon answered.
///
/// # Errors
/// When a server cannot be started or reached.
pub(crate) fn run(args: &ReadersArgs) -> Result<bool> {
    raise_open_files()?;
    let scenario =
        Scenario { series: args.series, samples: args.samples, rate: Some(args.rate), ..Scenario::default() };
    let scenario = scenario.checked()?;
    let mut reports = Vec::new();
    for target in Target::all(&args.target)? {
        reports.push(measure(&target, &scenario, args)?);
    }
    match args.json {
        true => print_json(&reports)?,
        false => print!("{}", text(&reports)),
    }
    Ok(reports.iter().all(|report| report.is_good))
}

/// A shell's usual 1024 are too few for the readers alone.
fn raise_open_files() -> Result<()> {
    let limit = format!("--nofile={OPEN_FILES}:");
    let raised = Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &limit]).status();
    let raised = raised.context("prlimit comes with util-linux")?;
    ensure!(raised.success(), "no {OPEN_FILES} open files are allowed here");
    Ok(())
}

fn measure(target: &Target, scenario: &Scenario, args: &ReadersArgs) -> Result<Report> {
    let running = target.start()?;
    let steps = i64::try_from(3 * args.samples).context("steps fit 63 bits")?;
    let end_ms = unix_ms();
    let origin_ms = end_ms - end_ms.rem_euclid(scenario.step_ms) - (steps - 1) * scenario.step_ms;
    let part = |number: usize| Payload::starting_at(scenario, origin_ms, number * args.samples);
    let parts = vec![
        written(&running, scenario, &part(0), "alone", None, args)?,
        written(&running, scenario, &part(1), "with small reads", Some((0, 0)), args)?,
        written(&running, scenario, &part(2), "with stuck and heavy readers", Some((args.stuck, args.heavy)), args)?,
    ];
    let is_whole = parts.iter().all(|part| part.acknowledged == part.sent);
    let soon = parts[1].reads.iter().all(|(_, reads)| reads.p99_ms <= READ_P99_MS);
    let limit_ms = (WRITE_RATIO_MAX * parts[0].writes.p99_ms).max(WRITE_P99_MS);
    let is_undisturbed = parts[2].writes.p99_ms <= limit_ms;
    Ok(Report {
        target: target.name(),
        machine: machine(),
        series: args.series,
        rate: args.rate,
        peak_rss_bytes: running.server().map(|server| peak_rss_bytes(server.pid())).transpose()?,
        is_good: is_whole && soon && is_undisturbed,
        parts,
    })
}

/// Writes a part of the load, with readers beside it where there shall be any: so many stuck and so many heavy ones.
fn written(
    running: &Running,
    scenario: &Scenario,
    payload: &Payload,
    name: &'static str,
    readers: Option<(usize, usize)>,
    args: &ReadersArgs,
) -> Result<Part> {
    let requests = Requests::build(payload, &format!("{}{WRITE_PATH}", running.address.prefix))?;
    let (stuck, heavy) = readers.unwrap_or((0, 0));
    let held: Vec<TcpStream> = (0..stuck).filter_map(|_| stick(&running.address).ok()).collect();
    let cpu_before_s = running.server().map(|server| cpu_s(server.pid())).transpose()?;
    let (stop, heavy_answers, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let reads = Mutex::new(questions(payload, &running.address).map(|(name, _)| (name, Latencies::default())));
    let outcome = std::thread::scope(|scope| {
        for _ in 0..heavy {
            scope.spawn(|| weigh(&running.address, payload, &stop, &heavy_answers));
        }
        for number in (0..READERS).filter(|_| readers.is_some()) {
            let (stop, refused, reads) = (&stop, &refused, &reads);
            scope.spawn(move || read(&running.address, payload, args.reads_per_s, number, (stop, refused, reads)));
        }
        let outcome = send_all(running, scenario, payload, &requests);
        stop.store(true, Ordering::Relaxed);
        outcome
    })?;
    let stuck_connected = held.len();
    drop(held);
    let cpu_after_s = running.server().map(|server| cpu_s(server.pid())).transpose()?;
    let reads = reads.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Part {
        name,
        acknowledged: outcome.acknowledged_samples(payload),
        sent: payload.total_samples(),
        retries: outcome.retries,
        elapsed_s: outcome.elapsed_s,
        writes: outcome.latencies.percentiles(),
        reads: match readers {
            Some(_) => reads.into_iter().map(|(name, latencies)| (name, latencies.percentiles())).collect(),
            None => Vec::new(),
        },
        refused_reads: refused.into_inner(),
        heavy_answers: heavy_answers.into_inner(),
        stuck_connected,
        server_cpu_s: cpu_after_s.zip(cpu_before_s).map(|(after_s, before_s)| after_s - before_s),
    })
}

/// A connection that asks for a long answer; nobody will read it.
fn stick(address: &Address) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(&address.authority)?;
    stream.write_all(&address.get("/api/v1/series", &[("match[]", "{job=\"node\"}")]))?;
    Ok(stream)
}

/// Asks for sums over all series until it is over.
fn weigh(address: &Address, payload: &Payload, stop: &AtomicBool, answers: &AtomicUsize) {
    let (first_ms, last_ms) = payload.span_ms();
    let seconds = |ms: i64| format!("{}", ms as f64 / 1e3);
    let (start, end) = (seconds(first_ms), seconds(last_ms));
    let step = seconds(payload.step_ms());
    let query = "sum by (instance) ({job=\"node\"})";
    let request =
        address.get("/api/v1/query_range", &[("query", query), ("start", &start), ("end", &end), ("step", &step)]);
    let mut client = Client::new(address);
    while !stop.load(Ordering::Relaxed) {
        // A refusal is an answer too: the server may say that it has too much to do.
        if client.exchange(&request).is_ok() {
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The small reads by name.
fn questions(payload: &Payload, address: &Address) -> [(&'static str, Vec<u8>); 4] {
    let host = format!("{{instance=\"{}\"}}", payload.fleet.instance(0));
    let forecast = serde_json::json!({"horizon": 24, "match": host}).to_string();
    [
        ("metric", address.get("/api/v1/metrics/node_load1", &[("match", &host)])),
        ("list of metrics", address.get("/api/v1/metrics", &[("match", &host), ("limit", "20")])),
        ("anomalies", address.get("/api/v1/anomalies", &[("limit", "10")])),
        ("forecast", address.post("/api/v1/forecast/node_load1", "application/json", forecast.as_bytes())),
    ]
}

type Shared<'a> = (&'a AtomicBool, &'a AtomicUsize, &'a Mutex<[(&'static str, Latencies); 4]>);

/// Asks small questions in turn, at its share of the rate, until it is over.
fn read(address: &Address, payload: &Payload, per_s: f64, number: usize, (stop, refused, reads): Shared<'_>) {
    let questions = questions(payload, address);
    let pause = Duration::from_secs_f64(READERS as f64 / per_s.max(0.1));
    let begun = Stopwatch::start();
    let mut client = Client::new(address);
    let mut noted: [Latencies; 4] = std::array::from_fn(|_| Latencies::default());
    for round in 0u32.. {
        // Latency counts from when the question was due, so that a slow answer does not hide the next.
        let due = pause * round + pause * number as u32 / READERS as u32;
        begun.sleep_until(due);
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let at = (round as usize + number) % questions.len();
        // Too few samples for a forecast is an answer like any other.
        let is_answered = client.exchange(&questions[at].1).is_ok_and(|answer| matches!(answer.status, 200 | 422));
        if !is_answered {
            refused.fetch_add(1, Ordering::Relaxed);
        }
        noted[at].record(begun.elapsed().saturating_sub(due));
    }
    let mut all = reads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for ((_, all), noted) in all.iter_mut().zip(noted) {
        all.absorb(noted);
    }
}

fn text(reports: &[Report]) -> String {
    let mut out = String::new();
    for report in reports {
        let mut table = Table::new(["count", "p50 ms", "p99 ms", "max ms"].map(str::to_owned));
        for part in &report.parts {
            let mut line = |name: String, of: &Percentiles| {
                let cells = [of.count.to_string(), figures(of.p50_ms), figures(of.p99_ms), figures(of.max_ms)];
                table.row(&name, cells);
            };
            line(format!("{}: write request", part.name), &part.writes);
            for (name, reads) in &part.reads {
                line(format!("{}: {name}", part.name), reads);
            }
        }
        out.push_str(&format!(
            "{} on {}, {} series, {} samples/s\n{}",
            report.target,
            report.machine,
            report.series,
            report.rate,
            table.text()
        ));
        for part in &report.parts {
            out.push_str(&format!(
                "{}: {} of {} samples acknowledged in {} s, {} retries, {} small reads refused, {} heavy answers, {} stuck\n",
                part.name, part.acknowledged, part.sent, figures(part.elapsed_s), part.retries, part.refused_reads,
                part.heavy_answers, part.stuck_connected
            ));
            if let Some(cpu_s) = part.server_cpu_s {
                out.push_str(&format!("{}: {} CPU-seconds of the server\n", part.name, figures(cpu_s)));
            }
        }
        if let Some(bytes) = report.peak_rss_bytes {
            out.push_str(&format!(
                "peak memory {} MiB; {}\n",
                figures(mib(bytes)),
                if report.is_good { "good" } else { "MISSED" }
            ));
        }
    }
    out
}
