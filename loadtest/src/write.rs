//! The command `write`: gives a server a payload and finds out what it cost and whether all of it is there.
//!
//! Not here: sending (see `sender`), reading back (see `verify`), the layout of figures (see `report`).
//!
//! Invariant: all figures of a server are taken in the same order: processor time at the last acknowledgement, then
//! after the drain processor time, memory and disk, then compaction, then reading back, which must not count.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::{MeasureArgs, WriteArgs};
use crate::http::{Address, Client};
use crate::meter::{Percentiles, Stopwatch};
use crate::metrics_page::{Accounts, sum_of};
use crate::payload::{Payload, WRITE_PATH};
use crate::process_stats::{DiskUsage, cpu_s, disk_usage, machine, peak_rss_bytes};
use crate::report::{Table, figures, grouped, mib, print_json};
use crate::scenario::Scenario;
use crate::sender::{Load, OnBreak, Outcome, Requests, send};
use crate::server_process::Server;
use crate::target::{Running, Target};
use crate::verify::{Verification, read_back};

/// Counters that do not add up at once are asked for again for as long as this.
const QUIET_TIMEOUT: Duration = Duration::from_secs(5);

/// What writing to one server gave.
#[derive(Debug, Serialize)]
pub(crate) struct WriteReport {
    pub(crate) target: String,
    pub(crate) machine: String,
    pub(crate) scenario: Scenario,
    /// Samples sent.
    pub(crate) sent: usize,
    /// Samples in requests answered 2xx.
    pub(crate) acknowledged: usize,
    /// Samples that the server counts as stored.
    pub(crate) stored: Option<i64>,
    /// Acknowledged, neither stored nor counted as a duplicate.
    pub(crate) lost: Option<i64>,
    pub(crate) accounts: Option<Accounts>,
    /// Whether received = stored + aggregated + rejected + late + duplicate + dropped.
    pub(crate) accounting_law_holds: Option<bool>,
    pub(crate) scoring: Option<ScoringReport>,
    pub(crate) refused_requests: usize,
    pub(crate) first_refusal: Option<String>,
    pub(crate) retries: usize,
    pub(crate) elapsed_s: f64,
    pub(crate) samples_per_s: f64,
    pub(crate) request_latency: Percentiles,
    pub(crate) process: Option<ProcessReport>,
    pub(crate) verification: Option<Verification>,
}

/// What the server's process used, from ready on.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessReport {
    pub(crate) ready_s: f64,
    pub(crate) cpu_s_at_last_ack: f64,
    pub(crate) cpu_s_after_drain: f64,
    pub(crate) cpu_s_per_million_at_last_ack: f64,
    pub(crate) cpu_s_per_million_after_drain: f64,
    pub(crate) drain_s: f64,
    pub(crate) peak_rss_bytes: u64,
    pub(crate) disk: DiskUsage,
    pub(crate) bytes_per_sample: f64,
    pub(crate) apparent_bytes_per_sample: f64,
    pub(crate) compacted: Option<CompactionReport>,
}

/// What became of stored samples in the online tier of anomaly detection, from ready on.
#[derive(Debug, Serialize)]
pub(crate) struct ScoringReport {
    pub(crate) scored: i64,
    /// Stored, and not scored for want of room.
    pub(crate) skipped: i64,
    /// From the last acknowledgement until nothing waited to be scored; none if something still did.
    pub(crate) settled_s: Option<f64>,
}

/// What compaction gave.
#[derive(Debug, Serialize)]
pub(crate) struct CompactionReport {
    pub(crate) elapsed_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) peak_rss_bytes: u64,
    pub(crate) disk: DiskUsage,
    pub(crate) bytes_per_sample: f64,
    pub(crate) apparent_bytes_per_sample: f64,
}

impl WriteReport {
    /// Whether everything sent was taken, is accounted for and, where asked, was found again.
    pub(crate) fn is_good(&self) -> bool {
        self.acknowledged == self.sent
            && self.lost.is_none_or(|lost| lost == 0)
            && self.accounting_law_holds.is_none_or(|holds| holds)
            && self.verification.as_ref().is_none_or(Verification::is_clean)
    }
}

/// Runs the command `write`; says whether nothing was wrong.
///
/// # Errors
/// When a server cannot be started or reached.
pub(crate) fn run(args: &WriteArgs) -> Result<bool> {
    let scenario = args.payload.scenario()?;
    let mut reports = Vec::new();
    for target in Target::all(&args.target)? {
        let payload = args.payload.payload(&scenario);
        reports.push(measure(&target, &scenario, &payload, &args.measure)?);
    }
    if args.json {
        print_json(&reports)?;
    } else {
        print!("{}", text(&reports));
    }
    Ok(reports.iter().all(WriteReport::is_good))
}

/// Writes a payload to a target and takes all figures.
///
/// # Errors
/// When the server cannot be started or reached.
pub(crate) fn measure(
    target: &Target,
    scenario: &Scenario,
    payload: &Payload,
    args: &MeasureArgs,
) -> Result<WriteReport> {
    let requests = Requests::build(payload, &format!("{}{WRITE_PATH}", target.prefix()))?;
    let running = target.start()?;
    let mut client = Client::new(&running.address);
    let before = Accounts::read(&mut client, &running.address).unwrap_or_default();
    let cpu_before_s = running.server().map(|server| cpu_s(server.pid())).transpose()?;
    let outcome = send_all(&running, scenario, payload, &requests)?;
    let cpu_at_last_ack_s = running.server().map(|server| cpu_s(server.pid())).transpose()?;
    let drain = Stopwatch::start();
    let scoring = scoring(&running.address, &mut client, &drain, args.drain_s)?;
    std::thread::sleep(Duration::from_secs_f64((args.drain_s - drain.elapsed_s()).max(0.0)));
    let acknowledged = outcome.acknowledged_samples(payload);
    let process = match (running.server(), cpu_before_s.zip(cpu_at_last_ack_s)) {
        (Some(server), Some((before_s, at_last_ack_s))) => {
            Some(process_report(server, before_s, at_last_ack_s, acknowledged, args)?)
        }
        _ => None,
    };
    let accounts = quiet_accounts(&running, &mut client, before)?;
    let verified = args.verify.then(|| read_back(&running.address, payload, &outcome.acknowledged_by_sample(payload)));
    Ok(WriteReport {
        target: target.name(),
        machine: machine(),
        scenario: scenario.clone(),
        sent: payload.total_samples(),
        acknowledged,
        stored: accounts.map(|accounts| accounts.stored),
        lost: accounts.map(|accounts| acknowledged as i64 - accounts.stored - accounts.duplicate),
        accounts,
        accounting_law_holds: accounts.map(|accounts| accounts.law_holds()),
        scoring,
        refused_requests: outcome.refused_requests,
        first_refusal: outcome.first_refusal,
        retries: outcome.retries,
        elapsed_s: outcome.elapsed_s,
        samples_per_s: acknowledged as f64 / outcome.elapsed_s,
        request_latency: outcome.latencies.percentiles(),
        process,
        verification: verified.transpose()?,
    })
}

/// Sends a payload as its scenario says.
///
/// # Errors
/// When the server cannot be reached.
pub(crate) fn send_all(
    running: &Running,
    scenario: &Scenario,
    payload: &Payload,
    requests: &Requests,
) -> Result<Outcome> {
    send(&Load {
        address: &running.address,
        payload,
        requests,
        connections: scenario.connections,
        rate: scenario.rate,
        on_break: OnBreak::Retry,
    })
}

fn process_report(
    server: &Server,
    cpu_before_s: f64,
    cpu_at_last_ack_s: f64,
    acknowledged: usize,
    args: &MeasureArgs,
) -> Result<ProcessReport> {
    let samples = acknowledged.max(1) as f64;
    let cpu_drained_s = cpu_s(server.pid())?;
    let disk = disk_usage(server.data_dir())?;
    let peak_rss_bytes = peak_rss_bytes(server.pid())?;
    Ok(ProcessReport {
        ready_s: server.ready_s,
        cpu_s_at_last_ack: cpu_at_last_ack_s - cpu_before_s,
        cpu_s_after_drain: cpu_drained_s - cpu_before_s,
        cpu_s_per_million_at_last_ack: (cpu_at_last_ack_s - cpu_before_s) / samples * 1e6,
        cpu_s_per_million_after_drain: (cpu_drained_s - cpu_before_s) / samples * 1e6,
        drain_s: args.drain_s,
        peak_rss_bytes,
        disk,
        bytes_per_sample: disk.allocated_bytes as f64 / samples,
        apparent_bytes_per_sample: disk.apparent_bytes as f64 / samples,
        compacted: (args.compact && server.is_ours()).then(|| compact(server, samples)).transpose()?,
    })
}

fn compact(server: &Server, samples: f64) -> Result<CompactionReport> {
    let cpu_before_s = cpu_s(server.pid())?;
    let watch = Stopwatch::start();
    Client::new(server.address()).fetch(&server.address().post_empty("/-/compact"))?;
    let elapsed_s = watch.elapsed_s();
    let disk = disk_usage(server.data_dir())?;
    Ok(CompactionReport {
        elapsed_s,
        cpu_s: cpu_s(server.pid())? - cpu_before_s,
        peak_rss_bytes: peak_rss_bytes(server.pid())?,
        disk,
        bytes_per_sample: disk.allocated_bytes as f64 / samples,
        apparent_bytes_per_sample: disk.apparent_bytes as f64 / samples,
    })
}

/// Waits until nothing waits to be scored, at most as long as the drain; `None` from a server that does not score.
///
/// # Errors
/// When the server cannot be reached.
pub(crate) fn scoring(
    address: &Address,
    client: &mut Client,
    drain: &Stopwatch,
    drain_s: f64,
) -> Result<Option<ScoringReport>> {
    let mut before = None;
    loop {
        let page = client.fetch(&address.get("/metrics", &[]))?;
        let page = String::from_utf8_lossy(page);
        let figures = sum_of(&page, "infrawatch_scored_total").zip(sum_of(&page, "infrawatch_scoring_skipped_total"));
        let Some((scored, skipped)) = figures else { return Ok(None) };
        // The gauge is a whole number only when nothing waits or by accident, so that the counter must rest as well.
        let is_settled = page.contains("\ninfrawatch_scoring_lag_seconds 0\n") && before == Some(scored);
        let elapsed_s = drain.elapsed_s();
        if is_settled || elapsed_s >= drain_s {
            return Ok(Some(ScoringReport { scored, skipped, settled_s: is_settled.then_some(elapsed_s) }));
        }
        before = Some(scored);
        std::thread::sleep(Duration::from_millis(150));
    }
}

/// What the server counted since `before`, at a quiet moment if there is one; `None` when it keeps no such counters.
///
/// # Errors
/// When the server cannot be reached.
pub(crate) fn quiet_accounts(
    running: &Running,
    client: &mut Client,
    before: Option<Accounts>,
) -> Result<Option<Accounts>> {
    let Some(before) = before else { return Ok(None) };
    let watch = Stopwatch::start();
    loop {
        let now = Accounts::read(client, &running.address)?.context("the server stopped keeping accounts")?;
        let counted = now.since(before);
        if counted.law_holds() || watch.elapsed() > QUIET_TIMEOUT {
            return Ok(Some(counted));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The reports side by side.
fn text(reports: &[WriteReport]) -> String {
    let mut table =
        Table::new(std::iter::once(String::new()).chain(reports.iter().map(|report| report.target.clone())));
    let mut each = |name: &str, cell: &dyn Fn(&WriteReport) -> Option<String>| {
        table.row_if_known(name, reports.iter().map(cell));
    };
    let count = |count: usize| Some(grouped(count as i64));
    each("samples sent", &|report| count(report.sent));
    each("  acknowledged", &|report| count(report.acknowledged));
    each("  stored", &|report| report.stored.map(grouped));
    each("  lost", &|report| report.lost.map(grouped));
    each("received = stored + ... + dropped", &|report| report.accounting_law_holds.map(|holds| holds.to_string()));
    each("scored", &|report| report.scoring.as_ref().map(|scoring| grouped(scoring.scored)));
    each("  skipped", &|report| report.scoring.as_ref().map(|scoring| grouped(scoring.skipped)));
    each("  nothing waits, s after the last ack", &|report| {
        report.scoring.as_ref().map(|scoring| scoring.settled_s.map_or("never".to_owned(), figures))
    });
    each("requests refused", &|report| count(report.refused_requests));
    each("requests sent again", &|report| count(report.retries));
    each("samples/s", &|report| Some(grouped(report.samples_per_s as i64)));
    each("request latency p50, ms", &|report| Some(figures(report.request_latency.p50_ms)));
    each("  p90", &|report| Some(figures(report.request_latency.p90_ms)));
    each("  p99", &|report| Some(figures(report.request_latency.p99_ms)));
    each("  max", &|report| Some(figures(report.request_latency.max_ms)));
    let mut process = |name: &str, cell: &dyn Fn(&ProcessReport) -> f64| {
        table.row_if_known(name, reports.iter().map(|report| report.process.as_ref().map(|used| figures(cell(used)))));
    };
    process("CPU-s per million samples, at the last ack", &|used| used.cpu_s_per_million_at_last_ack);
    process("  after the drain", &|used| used.cpu_s_per_million_after_drain);
    process("peak RSS, MiB", &|used| mib(used.peak_rss_bytes));
    process("disk, MiB", &|used| mib(used.disk.allocated_bytes));
    process("  bytes a sample", &|used| used.bytes_per_sample);
    process("  apparent bytes a sample", &|used| used.apparent_bytes_per_sample);
    let compacted =
        |report: &WriteReport| report.process.as_ref().and_then(|used| used.compacted.as_ref().map(compacted_cell));
    table.row_if_known("compacted: bytes a sample", reports.iter().map(compacted));
    let verified = |report: &WriteReport| report.verification.as_ref().map(verification_cell);
    table.row_if_known("read back", reports.iter().map(verified));
    let refusals = reports.iter().filter_map(|report| report.first_refusal.as_ref());
    let examples = reports.iter().filter_map(|report| report.verification.as_ref()).flat_map(|found| &found.examples);
    let notes: String = refusals.chain(examples).map(|note| format!("  {note}\n")).collect();
    format!("{}\n{}{notes}", machine(), table.text())
}

fn compacted_cell(report: &CompactionReport) -> String {
    format!("{} ({} apparent)", figures(report.bytes_per_sample), figures(report.apparent_bytes_per_sample))
}

/// What reading back found, in a few words.
pub(crate) fn verification_cell(found: &Verification) -> String {
    let Verification { equal, missing, wrong, unexpected, .. } = found;
    match found.is_clean() {
        true => format!("{} equal", grouped(*equal as i64)),
        false => format!("{missing} missing, {wrong} wrong, {unexpected} unexpected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Latencies;

    fn report() -> WriteReport {
        WriteReport {
            target: "ours".into(),
            machine: String::new(),
            scenario: Scenario::default(),
            sent: 10,
            acknowledged: 10,
            stored: Some(10),
            lost: Some(0),
            accounts: None,
            accounting_law_holds: Some(true),
            scoring: None,
            refused_requests: 0,
            first_refusal: None,
            retries: 0,
            elapsed_s: 1.0,
            samples_per_s: 10.0,
            request_latency: Latencies::default().percentiles(),
            process: None,
            verification: Some(Verification::default()),
        }
    }

    #[test]
    fn a_run_is_good_only_when_nothing_is_missing_anywhere() {
        let found = Verification { wrong: 1, ..Verification::default() };
        assert!(report().is_good());
        assert!(WriteReport { stored: None, lost: None, accounting_law_holds: None, ..report() }.is_good());
        assert!(!WriteReport { acknowledged: 9, ..report() }.is_good());
        assert!(!WriteReport { lost: Some(1), ..report() }.is_good());
        assert!(!WriteReport { accounting_law_holds: Some(false), ..report() }.is_good());
        assert!(!WriteReport { verification: Some(found), ..report() }.is_good());
    }

    #[test]
    fn the_text_leaves_out_what_no_server_told() {
        let known = text(&[report()]);
        assert!(known.contains("  lost") && !known.contains("peak RSS"), "{known}");
        let peer = text(&[WriteReport { stored: None, lost: None, first_refusal: Some("400 why".into()), ..report() }]);
        assert!(!peer.contains("  lost") && peer.ends_with("  400 why\n"), "{peer}");
    }
}
