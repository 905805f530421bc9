//! A storm: thousands of series become anomalous at once, while one receiver answers and then beside one that hangs.
//!
//! ```text
//! history of every series ─▶ server ─ anomalies ─ alerts ─┬─▶ a receiver that answers, counted
//! one spike of each, at once ─▶                            └─▶ (second part) a receiver that never does
//! ```
//!
//! Not here: which samples ought to be flagged (docs/detection.md); the spikes are beyond doubt.
//!
//! Invariants: both parts send the same; notifications are counted where they arrive, not where they are made.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;

use crate::fleet::mix;
use crate::http::Client;
use crate::meter::{Latencies, Percentiles, Stopwatch, unix_ms};
use crate::metrics_page::sum_of;
use crate::payload::WRITE_PATH;
use crate::process_stats::{cpu_s, peak_rss_bytes, rss_bytes};
use crate::remote_write_message::Message;
use crate::report::{Table, figures, grouped, mib};
use crate::server_process::{ScratchDir, Server};
use crate::target::OwnServerArgs;

/// Samples of a series before its spike, and how far apart.
const HISTORY: i64 = 300;
const STEP_MS: i64 = 10_000;
/// Series of one request.
const PER_REQUEST: usize = 500;
/// Most notifications that a storm may be.
const NOTIFICATIONS_MAX: u64 = 10;
/// Most memory that an alert may take beyond what there was before the storm.
const BYTES_AN_ALERT_MAX: u64 = 20 << 10;
/// Beside a receiver that hangs everything may take so many times as long as without it, or so many seconds longer.
const RATIO_MAX: f64 = 2.0;
const SLACK_S: f64 = 1.0;
const SECONDS_MAX: f64 = 180.0;
const PAUSE: Duration = Duration::from_millis(100);

/// What the command `storm` takes.
#[derive(Debug, Args)]
pub(crate) struct StormArgs {
    /// Series that become anomalous at once
    #[arg(long, default_value_t = 10_000)]
    series: usize,
    #[command(flatten)]
    server: OwnServerArgs,
}

/// One part of the load.
#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    /// Requests that carried the spikes.
    writes: Percentiles,
    /// From the first spike sent until every anomaly was in the API.
    detected_s: f64,
    /// Until every alert was told.
    told_s: f64,
    anomalies: i64,
    raised: i64,
    notified: i64,
    notifications: u64,
    hanging_requests: u64,
    cpu_s: f64,
    memory_before_bytes: u64,
    memory_peak_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    series: usize,
    parts: Vec<Part>,
    faults: Vec<String>,
}

/// Runs the command; says whether a storm was a handful of notifications in bounded memory, and a receiver that hangs changed
/// nothing.
///
/// # Errors
/// When the server cannot be started or reached.
pub(crate) fn run(args: &StormArgs) -> Result<bool> {
    let parts = vec![measure(args, "receivers answer", false)?, measure(args, "one receiver hangs", true)?];
    let faults = faults(args.series as i64, &parts);
    let report = Report { series: args.series, parts, faults };
    args.server.print(&report, text)?;
    Ok(report.faults.is_empty())
}

/// What came out otherwise than it shall.
fn faults(series: i64, parts: &[Part]) -> Vec<String> {
    let mut faults = Vec::new();
    for part in parts {
        let name = part.name;
        if part.notifications > NOTIFICATIONS_MAX {
            faults.push(format!("{name}: {} notifications, more than {NOTIFICATIONS_MAX}", part.notifications));
        }
        if part.anomalies < series || part.notified < series {
            faults.push(format!("{name}: {} anomalies and {} alerts told of {series}", part.anomalies, part.notified));
        }
        let grown = part.memory_peak_bytes.saturating_sub(part.memory_before_bytes);
        if grown > BYTES_AN_ALERT_MAX * series.unsigned_abs() {
            faults.push(format!("{name}: {:.0} MiB more memory", mib(grown)));
        }
    }
    if let [alone, beside] = parts {
        for (what, a, b) in [
            ("the slowest write", alone.writes.max_ms / 1e3, beside.writes.max_ms / 1e3),
            ("detection", alone.detected_s, beside.detected_s),
            ("telling", alone.told_s, beside.told_s),
        ] {
            if b > a * RATIO_MAX && b > a + SLACK_S {
                faults.push(format!("{what} took {b:.2} s beside a receiver that hangs, {a:.2} s without"));
            }
        }
    }
    faults
}

fn measure(args: &StormArgs, name: &'static str, hangs: bool) -> Result<Part> {
    let scratch = ScratchDir::new()?;
    let (answering, hanging) = (Sink::start(false)?, Sink::start(true)?);
    let config = settings(scratch.path(), &answering, hangs.then_some(&hanging))?;
    let data_dir = scratch.path().join("data");
    std::fs::create_dir_all(&data_dir)?;
    let more = ["--statsd-listen", "off", "--config"].map(Into::into).into_iter().chain([config.into()]);
    let server = args.server.start(more, &data_dir)?;
    let mut client = Client::new(server.address());
    let end_ms = unix_ms();
    let mut message = Message::default();
    // Longer than a batch at once would let the models fall behind, and the storm would wait for them.
    for from in (0..HISTORY).step_by(30) {
        for first in (0..args.series).step_by(PER_REQUEST) {
            message.clear();
            (first..(first + PER_REQUEST).min(args.series))
                .for_each(|one| add(&mut message, one, end_ms, from..from + 30));
            client.fetch(&message.http_request(WRITE_PATH)?)?;
        }
        settle(&mut client, &server)?;
    }
    let (memory_before_bytes, cpu_before_s) = (rss_bytes(server.pid())?, cpu_s(server.pid())?);
    let watch = Stopwatch::start();
    let mut writes = Latencies::default();
    for first in (0..args.series).step_by(PER_REQUEST) {
        message.clear();
        let series = first..(first + PER_REQUEST).min(args.series);
        series.for_each(|one| add(&mut message, one, end_ms, HISTORY..HISTORY + 1));
        let request = message.http_request(WRITE_PATH)?;
        let began = watch.elapsed();
        client.fetch(&request)?;
        writes.record(watch.elapsed() - began);
    }
    let figure = |page: &str, name: &str| sum_of(page, name).unwrap_or(0);
    let detected_s = until(&mut client, &server, &watch, |page| {
        figure(page, "infrawatch_alerts_raised_total") >= args.series as i64
    })?;
    let told_s = until(&mut client, &server, &watch, |page| {
        let waiting = figure(page, "infrawatch_alerts_pending") + figure(page, "infrawatch_alerts_grouped");
        waiting == 0 || hangs && answering.count() > 0 && figure(page, "infrawatch_alerts_grouped") == 0
    })?;
    let page = page(&mut client, &server)?;
    let raised = figure(&page, "infrawatch_alerts_raised_total");
    let pending = figure(&page, "infrawatch_alerts_pending");
    Ok(Part {
        name,
        writes: writes.percentiles(),
        detected_s,
        told_s,
        anomalies: figure(&page, "infrawatch_anomaly_records"),
        raised,
        // Told to one receiver, while the other has not answered.
        notified: figure(&page, "infrawatch_alerts_notified_total") + if hangs { pending } else { 0 },
        notifications: answering.count(),
        hanging_requests: hanging.count(),
        cpu_s: cpu_s(server.pid())? - cpu_before_s,
        memory_before_bytes,
        memory_peak_bytes: peak_rss_bytes(server.pid())?,
    })
}

fn settings(folder: &Path, answering: &Sink, hanging: Option<&Sink>) -> Result<std::path::PathBuf> {
    let mut routing = String::from("[route]\nreceiver = \"answers\"\n");
    if hanging.is_some() {
        routing += "[[routes]]\nreceiver = \"hangs\"\ncontinue = true\n";
    }
    routing += &format!("[[receivers]]\nname = \"answers\"\nwebhook = \"{}\"\n", answering.url());
    if let Some(hanging) = hanging {
        routing += &format!("[[receivers]]\nname = \"hangs\"\nwebhook = \"{}\"\n", hanging.url());
    }
    let file = folder.join("routing.toml");
    std::fs::write(&file, routing)?;
    let config = folder.join("infrawatch.toml");
    std::fs::write(&config, format!("[alerts]\nrouting_file = {file:?}\n"))?;
    Ok(config)
}

/// Samples of a series: around 50, in hundredths; the one behind its history is 1000.
fn add(message: &mut Message, series: usize, end_ms: i64, samples: std::ops::Range<i64>) {
    let labels = [("__name__", "loadtest_storm".to_owned()), ("host", format!("host-{series:05}"))];
    let value = |at: i64| match at {
        HISTORY => 1000.0,
        at => {
            let bits = mix(mix(series as u64) ^ at.cast_unsigned());
            (4700 + bits % 200 + (bits >> 20) % 200 + (bits >> 40) % 200) as f64 / 100.0
        }
    };
    message.add_series(&labels, samples.map(|at| (end_ms - (HISTORY - at) * STEP_MS, value(at))));
}

fn page(client: &mut Client, server: &Server) -> Result<String> {
    let request = server.address().get("/metrics", &[]);
    Ok(String::from_utf8_lossy(client.fetch(&request)?).into_owned())
}

/// Waits until everything that was written has been scored.
fn settle(client: &mut Client, server: &Server) -> Result<()> {
    let watch = Stopwatch::start();
    let count = |page: &str, name: &str| sum_of(page, name).unwrap_or(0);
    let is_scored = |page: &str| {
        let judged = count(page, "infrawatch_scored_total") + count(page, "infrawatch_scoring_skipped_total");
        judged >= count(page, "infrawatch_stored_total")
    };
    until(client, server, &watch, is_scored).map(drop)
}

/// Waits for a state of the page of metrics; how long since the watch was started.
fn until(client: &mut Client, server: &Server, watch: &Stopwatch, is_so: impl Fn(&str) -> bool) -> Result<f64> {
    let begin_s = watch.elapsed_s();
    loop {
        if is_so(&page(client, server)?) {
            return Ok(watch.elapsed_s());
        }
        ensure!(watch.elapsed_s() - begin_s < SECONDS_MAX, "waited {SECONDS_MAX} s in vain: {}", server.log_text());
        std::thread::sleep(PAUSE);
    }
}

/// A receiver of webhooks that counts requests, and answers or hangs.
struct Sink {
    port: u16,
    requests: Arc<AtomicU64>,
}

impl Sink {
    fn start(hangs: bool) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("bind a receiver")?;
        let port = listener.local_addr()?.port();
        let requests = Arc::new(AtomicU64::new(0));
        let counted = requests.clone();
        // It ends with the process: nobody asks it any more.
        Builder::new().name("receiver".to_owned()).spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if read_request(&stream).is_ok() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                if hangs {
                    hanging.push(stream);
                } else {
                    // Whoever has left needs no answer.
                    let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                }
            }
        })?;
        Ok(Self { port, requests })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    fn count(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn read_request(stream: &TcpStream) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        ensure!(reader.read_line(&mut line)? > 0, "a request without an end");
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    Ok(())
}

fn text(report: &Report) -> String {
    let mut table =
        Table::new(std::iter::once(String::new()).chain(report.parts.iter().map(|part| part.name.to_owned())));
    let mut row = |name: &str, cell: &dyn Fn(&Part) -> String| table.row(name, report.parts.iter().map(cell));
    row("anomalies", &|part| grouped(part.anomalies));
    row("alerts raised", &|part| grouped(part.raised));
    row("alerts told", &|part| grouped(part.notified));
    row("notifications received", &|part| part.notifications.to_string());
    row("requests that hung", &|part| part.hanging_requests.to_string());
    row("write p50, ms", &|part| figures(part.writes.p50_ms));
    row("write slowest, ms", &|part| figures(part.writes.max_ms));
    row("all detected after, s", &|part| figures(part.detected_s));
    row("all told after, s", &|part| figures(part.told_s));
    row("server CPU, s", &|part| figures(part.cpu_s));
    row("memory before, MiB", &|part| figures(mib(part.memory_before_bytes)));
    row("memory at most, MiB", &|part| figures(mib(part.memory_peak_bytes)));
    let mut text = format!("{} series become anomalous at once\n\n{}", grouped(report.series as i64), table.text());
    report.faults.iter().for_each(|fault| text += &format!("\nFAULT: {fault}"));
    text + "\n"
}
