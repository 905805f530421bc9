//! The command `statsd`: sends prebuilt datagrams of counters and compares the sums that the server stored with those
//! that were sent.
//!
//! Not here: other types of metrics (the server's own tests), the layout of figures (see `report`), what is sent and how
//! (see `datagrams`), the search for the highest rate (see `limit`).
//!
//! Invariant: processor time is taken when the last observation is accounted for and again when the sums are there,
//! before they are read for the comparison.

mod datagrams;
mod limit;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::Value;

use crate::cli::StatsdArgs;
use crate::http::{Address, Client};
use crate::meter::Stopwatch;
use crate::metrics_page::{Accounts, sum_of};
use crate::process_stats::{cpu_s, machine, peak_rss_bytes};
use crate::report::{Table, figures, grouped, mib, print_json};
use crate::server_process::{Program, ScratchDir, Server};
use crate::target::our_server;

use datagrams::{Datagrams, NAME, series_name};

/// A server that has accounted for nothing new for this long has got all that it will get.
const QUIET: Duration = Duration::from_secs(1);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Windows end by then, and what they held can be read.
const STORED_TIMEOUT: Duration = Duration::from_secs(90);

/// What sending datagrams gave.
#[derive(Debug, Serialize)]
struct StatsdReport {
    machine: String,
    series: usize,
    per_packet: usize,
    seed: u64,
    sent_metrics: usize,
    sent_packets: usize,
    received_metrics: i64,
    kernel_drops: i64,
    /// Metrics sent and not received.
    lost_metrics: i64,
    accounts: Accounts,
    accounting_law_holds: bool,
    /// Series whose stored sum is not the sum sent; only looked for when nothing was lost.
    wrong_sums: Option<usize>,
    first_wrong: Option<String>,
    elapsed_s: f64,
    metrics_per_s: f64,
    cpu_s_per_million: f64,
    cpu_s_per_million_after_windows: Option<f64>,
    peak_rss_bytes: u64,
}

impl StatsdReport {
    fn is_good(&self) -> bool {
        let explained = self.lost_metrics == self.kernel_drops * self.per_packet as i64;
        self.accounting_law_holds && explained && self.wrong_sums.is_none_or(|wrong| wrong == 0)
    }
}

/// Runs the command; says whether the law held, every loss was a drop the kernel counted, and all sums were exact.
///
/// # Errors
/// When the server cannot be started or reached.
pub(crate) fn run(args: &StatsdArgs) -> Result<bool> {
    let counts = [args.series, args.metrics, args.per_packet, args.senders];
    ensure!(counts.iter().all(|count| *count > 0), "counts must be at least 1");
    ensure!(args.rate.is_none_or(|rate| rate.is_finite() && rate > 0.0), "rate must be above 0 metrics a second");
    let datagrams = Datagrams::build(args);
    let scratch = ScratchDir::new()?;
    let Program::InfraWatch(binary, mut extra) = our_server(&args.target())? else { bail!("only our server") };
    extra.extend(["--statsd-listen", "127.0.0.1:0"].map(OsString::from));
    let server = Server::start(&Program::InfraWatch(binary, extra), &scratch.path().join("data"))?;
    if args.limit {
        return limit::run(args, &datagrams, &server);
    }
    let report = measure(args, &datagrams, &server)?;
    if args.json {
        print_json(&report)?;
    } else {
        print!("{}", text(&report));
    }
    Ok(report.is_good())
}

fn measure(args: &StatsdArgs, datagrams: &Datagrams, server: &Server) -> Result<StatsdReport> {
    let mut client = Client::new(server.address());
    let packets = args.metrics.div_ceil(args.per_packet);
    let sent = packets * args.per_packet;
    let before_s = cpu_s(server.pid())?;
    let watch = Stopwatch::start();
    let address = server.statsd().context("the server hears no StatsD")?;
    datagrams.send(packets, args.rate, args.senders, address)?;
    let elapsed_s = watch.elapsed_s();
    let counted =
        settled(&mut client, server.address(), Counted::default(), |now| now.accounts.received == sent as i64)?;
    let Counted { accounts, kernel_drops, .. } = counted;
    let received_s = cpu_s(server.pid())?;
    let lost = sent as i64 - accounts.received;
    let wrong = if lost == 0 {
        Some(wrong_sums(&mut client, server, &datagrams.sums(packets, args.series), &watch)?)
    } else {
        None
    };
    let millions = accounts.received.max(1) as f64 / 1e6;
    Ok(StatsdReport {
        machine: machine(),
        series: args.series,
        per_packet: args.per_packet,
        seed: args.seed,
        sent_metrics: sent,
        sent_packets: packets,
        received_metrics: accounts.received,
        kernel_drops,
        lost_metrics: lost,
        accounts,
        accounting_law_holds: accounts.law_holds(),
        wrong_sums: wrong.as_ref().map(|(wrong, _)| wrong.len()),
        first_wrong: wrong.as_ref().and_then(|(wrong, _)| wrong.first().cloned()),
        elapsed_s,
        metrics_per_s: sent as f64 / elapsed_s,
        cpu_s_per_million: (received_s - before_s) / millions,
        cpu_s_per_million_after_windows: wrong.map(|(_, stored_s)| (stored_s - before_s) / millions),
        peak_rss_bytes: peak_rss_bytes(server.pid())?,
    })
}

/// What the server counts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Counted {
    pub(crate) accounts: Accounts,
    pub(crate) datagrams: i64,
    pub(crate) kernel_drops: i64,
}

/// What the server counted since `before`, when that was all that is expected, or nothing more for a while.
pub(crate) fn settled(
    client: &mut Client,
    address: &Address,
    before: Counted,
    all: impl Fn(&Counted) -> bool,
) -> Result<Counted> {
    let watch = Stopwatch::start();
    let (mut last, mut changed) = (Counted::default(), Duration::ZERO);
    loop {
        let page = String::from_utf8_lossy(client.fetch(&address.get("/metrics", &[]))?).into_owned();
        let sum = |name| sum_of(&page, name).unwrap_or(0);
        let accounts = Accounts::parse(&page).context("the server keeps no accounts")?;
        let now = Counted {
            accounts: accounts.since(before.accounts),
            datagrams: sum("infrawatch_statsd_datagrams_total") - before.datagrams,
            kernel_drops: sum("infrawatch_statsd_kernel_drops_total") - before.kernel_drops,
        };
        if now != last {
            (last, changed) = (now, watch.elapsed());
        }
        let law_holds = now.accounts.law_holds();
        if law_holds && (all(&now) || watch.elapsed() - changed > QUIET) || watch.elapsed() > SETTLE_TIMEOUT {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the sums of all series are there or should be, and names those that are not as expected; also the
/// processor time used until then, without that for answering these questions.
fn wrong_sums(client: &mut Client, server: &Server, expected: &[f64], began: &Stopwatch) -> Result<(Vec<String>, f64)> {
    let watch = Stopwatch::start();
    let (mut seen, mut asking_s) = (None, 0.0);
    loop {
        let page = String::from_utf8_lossy(client.fetch(&server.address().get("/metrics", &[]))?).into_owned();
        let stored = sum_of(&page, "infrawatch_window_samples_total");
        let late = watch.elapsed() > STORED_TIMEOUT;
        if stored != seen || late {
            seen = stored;
            let cpu_before_s = cpu_s(server.pid())?;
            let wrong = compare(&stored_sums(client, server.address(), began)?, expected);
            if wrong.is_empty() || late {
                return Ok((wrong, cpu_before_s - asking_s));
            }
            asking_s += cpu_s(server.pid())? - cpu_before_s;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Sum of all stored samples of every series, by name.
fn stored_sums(client: &mut Client, address: &Address, began: &Stopwatch) -> Result<BTreeMap<String, f64>> {
    let query = format!("{{__name__=~\"{NAME}.*\"}}[{}s]", began.elapsed_s() as u64 + 60);
    let body = client.fetch(&address.get("/api/v1/query", &[("query", &query)]))?;
    let answer: Value = serde_json::from_slice(body).context("the answer is no JSON")?;
    let results = answer["data"]["result"].as_array().context("the answer has no result")?;
    let mut sums = BTreeMap::new();
    for series in results {
        let name = series["metric"]["__name__"].as_str().context("a series without a name")?;
        let values = series["values"].as_array().context("a series without values")?;
        let value = |pair: &Value| pair[1].as_str().and_then(|text| text.parse::<f64>().ok());
        let sum: Option<f64> = values.iter().map(value).sum();
        sums.insert(name.to_owned(), sum.context("a value that is no number")?);
    }
    Ok(sums)
}

fn compare(stored: &BTreeMap<String, f64>, expected: &[f64]) -> Vec<String> {
    let names = expected.iter().enumerate().filter(|(_, sum)| **sum > 0.0);
    let wrong = names.filter_map(|(at, sum)| {
        let name = series_name(at as u32);
        let found = stored.get(&name).copied();
        (found != Some(*sum)).then(|| format!("{name}: sent {sum}, stored {found:?}"))
    });
    wrong.collect()
}

/// The figures below one another.
fn text(report: &StatsdReport) -> String {
    let mut table = Table::new([String::new(), "infrawatch".to_owned()]);
    let mut row = |name: &str, cell: String| table.row(name, [cell]);
    row("metrics sent", grouped(report.sent_metrics as i64));
    row("  received", grouped(report.received_metrics));
    row("  lost", grouped(report.lost_metrics));
    row("datagrams sent", grouped(report.sent_packets as i64));
    row("  dropped by the kernel", grouped(report.kernel_drops));
    row("received = stored + ... + dropped", report.accounting_law_holds.to_string());
    let wrong = report.wrong_sums.map_or("-".to_owned(), |wrong| grouped(wrong as i64));
    row("series with a wrong sum", wrong);
    row("metrics/s", grouped(report.metrics_per_s as i64));
    row("CPU-s per million metrics, when all were in windows", figures(report.cpu_s_per_million));
    row("  when all windows were stored", report.cpu_s_per_million_after_windows.map_or("-".to_owned(), figures));
    row("peak RSS, MiB", figures(mib(report.peak_rss_bytes)));
    let note = report.first_wrong.as_ref().map_or_else(String::new, |wrong| format!("  {wrong}\n"));
    format!("{}\n{}{note}", report.machine, table.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_is_missing_or_different_is_named() {
        let stored = BTreeMap::from([(series_name(0), 5.0), (series_name(1), 6.0)]);
        assert_eq!(compare(&stored, &[5.0, 6.0]), [""; 0]);
        assert_eq!(compare(&stored, &[5.0, 7.0, 1.0]).len(), 2);
    }
}
