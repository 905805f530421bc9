//! The command `flood`: sends datagrams as fast as they can be sent, far more than the server's socket has room for,
//! while another source writes; then a little, at leisure.
//!
//! What has to hold: every datagram sent was received or is one that the kernel counted as dropped; the accounting law;
//! memory stays bounded; the other source is answered all the while; and right after the flood nothing is lost any more.
//!
//! Not here: exact sums, which only a run without losses has (see `statsd`).
//!
//! Invariant: all datagrams exist before the clock starts; the sustainable rate is what was received, so what was
//! offered is a multiple of it that the report gives.

use std::ffi::OsString;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::cli::FloodArgs;
use crate::http::Client;
use crate::meter::{Latencies, Percentiles, Stopwatch, unix_ms};
use crate::payload::{Payload, WRITE_PATH};
use crate::process_stats::{machine, peak_rss_bytes};
use crate::remote_write_message::Message;
use crate::report::{Table, figures, grouped, mib, print_json};
use crate::scenario::Scenario;
use crate::server_process::{Program, ScratchDir, Server};
use crate::statsd::{Counted, settled};
use crate::target::our_server;

/// Distinct datagrams.
const DATAGRAMS: usize = 10_000;
/// How long after the flood all has to be well again.
const RECOVERY: Duration = Duration::from_millis(100);
/// Datagrams sent then, and how many a second: few enough for the smallest receive buffer on a busy machine.
const AFTER: usize = 500;
const AFTER_PER_S: f64 = 500.0;
const AFTER_NAME: &str = "flood.after";
/// Windows end by then.
const STORED_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two requests of the other source.
const WRITE_EVERY: Duration = Duration::from_millis(50);
/// Samples in a request of the other source.
const WRITE_SAMPLES: usize = 100;
/// Between two samples of a series of the other source.
const STEP_MS: i64 = 10;

/// What a flood gave.
#[derive(Debug, Serialize)]
struct FloodReport {
    machine: String,
    senders: usize,
    elapsed_s: f64,
    sent: u64,
    received: i64,
    kernel_drops: i64,
    /// What was offered, in multiples of what was received.
    overload: f64,
    sent_after: u64,
    lost_after: i64,
    writes: usize,
    writes_refused: usize,
    write_latency: Percentiles,
    peak_rss_bytes: u64,
    accounting_law_holds: bool,
}

impl FloodReport {
    fn is_good(&self) -> bool {
        // What was lost after the flood, if anything, is among the kernel's drops too.
        let explained = self.sent as i64 + self.lost_after == self.received + self.kernel_drops;
        explained && self.accounting_law_holds && self.lost_after == 0 && self.writes > 0 && self.writes_refused == 0
    }
}

/// Runs the command; says whether all that has to hold did.
///
/// # Errors
/// When the server cannot be started or reached.
pub(crate) fn run(args: &FloodArgs) -> Result<bool> {
    ensure!(args.senders > 0 && args.seconds.is_finite() && args.seconds > 0.0, "senders and seconds must be above 0");
    let scratch = ScratchDir::new()?;
    let Program::InfraWatch(binary, mut extra) = our_server(&args.target())? else { bail!("only our server") };
    extra.extend(["--statsd-listen", "127.0.0.1:0"].map(OsString::from));
    let server = Server::start(&Program::InfraWatch(binary, extra), &scratch.path().join("data"))?;
    let report = measure(args, &server)?;
    if args.json {
        print_json(&report)?;
    } else {
        print!("{}", text(&report));
    }
    Ok(report.is_good())
}

fn measure(args: &FloodArgs, server: &Server) -> Result<FloodReport> {
    let address = server.statsd().context("the server hears no StatsD")?;
    let datagrams: Vec<_> = (0..DATAGRAMS).map(|at| format!("flood.s{:04}:{}|c", at % 1000, at % 7)).collect();
    let over = AtomicBool::new(false);
    let watch = Stopwatch::start();
    let (sent, writes) = thread::scope(|scope| -> Result<_> {
        let flood = || flood(address, &datagrams, &over);
        let senders: Vec<_> = (0..args.senders).map(|_| scope.spawn(flood)).collect();
        let writes = write_until(server, &watch, Duration::from_secs_f64(args.seconds));
        over.store(true, Ordering::Relaxed);
        let mut sent = 0;
        for sender in senders {
            sent += sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
        }
        Ok((sent, writes?))
    })?;
    let elapsed_s = watch.elapsed_s();
    thread::sleep(RECOVERY);
    send_after(address)?;
    let mut client = Client::new(server.address());
    let counted = settled(&mut client, server.address(), Counted::default(), |_| false)?;
    let stored_after = stored_after(&mut client, server)?;
    let received = counted.datagrams - stored_after;
    Ok(FloodReport {
        machine: machine(),
        senders: args.senders,
        elapsed_s,
        sent,
        received,
        kernel_drops: counted.kernel_drops,
        overload: sent as f64 / received.max(1) as f64,
        sent_after: AFTER as u64,
        lost_after: AFTER as i64 - stored_after,
        writes: writes.answered,
        writes_refused: writes.refused,
        write_latency: writes.latencies.percentiles(),
        peak_rss_bytes: peak_rss_bytes(server.pid())?,
        accounting_law_holds: counted.accounts.law_holds(),
    })
}

/// Sends flat out until told to stop; how many datagrams.
fn flood(address: &str, datagrams: &[String], over: &AtomicBool) -> Result<u64> {
    let socket = UdpSocket::bind("127.0.0.1:0").context("open a socket")?;
    socket.connect(address).with_context(|| format!("connect to {address}"))?;
    let mut sent = 0;
    for datagram in datagrams.iter().cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        socket.send(datagram.as_bytes()).with_context(|| format!("send to {address}"))?;
        sent += 1;
    }
    Ok(sent)
}

fn send_after(address: &str) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").context("open a socket")?;
    socket.connect(address).with_context(|| format!("connect to {address}"))?;
    let (watch, datagram) = (Stopwatch::start(), format!("{AFTER_NAME}:1|c"));
    for number in 0..AFTER {
        watch.sleep_until(Duration::from_secs_f64(number as f64 / AFTER_PER_S));
        socket.send(datagram.as_bytes()).with_context(|| format!("send to {address}"))?;
    }
    Ok(())
}

/// How many of the datagrams sent after the flood are stored, once all are or their window is long over.
fn stored_after(client: &mut Client, server: &Server) -> Result<i64> {
    let watch = Stopwatch::start();
    let query = format!("sum_over_time({{__name__=\"{AFTER_NAME}\"}}[10m])");
    loop {
        let body = client.fetch(&server.address().get("/api/v1/query", &[("query", &query)]))?;
        let answer: Value = serde_json::from_slice(body).context("the answer is no JSON")?;
        let sum = answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
        let stored = sum.unwrap_or(0.0) as i64;
        if stored == AFTER as i64 || watch.elapsed() > STORED_TIMEOUT {
            return Ok(stored);
        }
        thread::sleep(Duration::from_millis(250));
    }
}

/// What the other source was answered.
#[derive(Debug, Default)]
struct Writes {
    answered: usize,
    refused: usize,
    latencies: Latencies,
}

fn write_until(server: &Server, watch: &Stopwatch, end: Duration) -> Result<Writes> {
    let samples = (end.as_secs_f64() / WRITE_EVERY.as_secs_f64()) as usize + 1;
    // Close to the present: what StatsD stores is newer, and old samples would be late.
    let scenario = Scenario {
        series: WRITE_SAMPLES,
        samples,
        per_request: WRITE_SAMPLES,
        step_ms: STEP_MS,
        ..Scenario::default()
    };
    let payload = Payload::ending_at(&scenario.checked()?, unix_ms());
    let (mut client, mut message, mut writes) = (Client::new(server.address()), Message::default(), Writes::default());
    for number in 0..samples {
        if watch.elapsed() >= end {
            break;
        }
        let request = payload.http_request(number, WRITE_PATH, &mut message)?;
        let began = Stopwatch::start();
        let answer = client.exchange(&request).context("write by remote write")?;
        writes.refused += usize::from(!answer.is_success());
        writes.latencies.record(began.elapsed());
        writes.answered += 1;
        began.sleep_until(WRITE_EVERY);
    }
    Ok(writes)
}

/// The figures below one another.
fn text(report: &FloodReport) -> String {
    let mut table = Table::new([String::new(), "infrawatch".to_owned()]);
    let mut row = |name: &str, cell: String| table.row(name, [cell]);
    row("datagrams sent", grouped(report.sent as i64));
    row("  received", grouped(report.received));
    row("  dropped by the kernel", grouped(report.kernel_drops));
    row("  neither", grouped(report.sent as i64 + report.lost_after - report.received - report.kernel_drops));
    row("sent / received", figures(report.overload));
    row("seconds", figures(report.elapsed_s));
    row("datagrams lost right after the flood", grouped(report.lost_after));
    row("writes of another source", grouped(report.writes as i64));
    row("  refused", grouped(report.writes_refused as i64));
    row(
        "  p50 / max, ms",
        format!("{} / {}", figures(report.write_latency.p50_ms), figures(report.write_latency.max_ms)),
    );
    row("received = stored + ... + dropped", report.accounting_law_holds.to_string());
    row("peak RSS, MiB", figures(mib(report.peak_rss_bytes)));
    format!("{}\n{}", report.machine, table.text())
}
