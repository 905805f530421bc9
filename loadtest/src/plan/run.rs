//! The command `scenario`: runs the streams of a plan against a server of its own, then checks its accounts.
//!
//! Not here: what a stream sends (see `streams`).
//!
//! Invariant: accounts are compared at a quiet moment, source by source, with what this program knows to have sent.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::thread::{self, Builder};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::settings::{JsonPush, Plan, Reads, RemoteWrite, Statsd};
use super::streams::{HttpStream, Pace, STATSD_NAME, StreamReport, push_body, question, send_statsd, statsd_total};
use crate::http::Client;
use crate::meter::{Stopwatch, unix_ms};
use crate::metrics_page::{Accounts, sum_of};
use crate::payload::{Payload, WRITE_PATH};
use crate::process_stats::{cpu_s, machine, peak_rss_bytes};
use crate::report::{Table, figures, grouped, mib};
use crate::sender::{Load, OnBreak, Requests, send};
use crate::server_process::{ScratchDir, Server};
use crate::target::OwnServerArgs;

/// By then everything received has met its fate and every window has ended.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What the command `scenario` takes.
#[derive(Debug, Args)]
pub(crate) struct ScenarioArgs {
    /// Built-in plan (mixed) or TOML file
    #[arg(value_name = "NAME|FILE")]
    plan: String,
    /// Run for this long instead of as the plan says
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<f64>,
    #[command(flatten)]
    own: OwnServerArgs,
}

/// What running a plan gave.
#[derive(Debug, Serialize)]
struct PlanReport {
    machine: String,
    plan: Plan,
    elapsed_s: f64,
    streams: Vec<StreamReport>,
    accounts: BTreeMap<String, Accounts>,
    kernel_drops: i64,
    /// Counters sent by StatsD, added up, and what the server's series of them add up to.
    statsd_sums: Option<(u64, f64)>,
    cpu_s: f64,
    peak_rss_bytes: u64,
    /// What is not as it has to be, each in a sentence.
    findings: Vec<String>,
}

/// Runs the command; says whether every account was right and no request was refused.
///
/// # Errors
/// When the plan cannot be run, or the server cannot be started or reached.
pub(crate) fn run(args: &ScenarioArgs) -> Result<bool> {
    let plan = Plan::load(&args.plan)?;
    let plan = Plan { seconds: args.seconds.unwrap_or(plan.seconds), ..plan }.checked()?;
    let scratch = ScratchDir::new()?;
    let listen = ["--statsd-listen", "127.0.0.1:0"].map(OsString::from);
    let server = args.own.start(listen, &scratch.path().join("data"))?;
    let report = measure(plan, &server)?;
    args.own.print(&report, text)?;
    Ok(report.findings.is_empty())
}

fn measure(plan: Plan, server: &Server) -> Result<PlanReport> {
    let cpu_before_s = cpu_s(server.pid())?;
    let (streams, elapsed_s) = run_streams(&plan, server, unix_ms())?;
    let mut client = Client::new(server.address());
    let statsd_sent = streams.iter().find(|stream| stream.kind == "statsd").map(|stream| stream.observations as i64);
    let (page, accounts) = settled(&mut client, server, statsd_sent)?;
    let cpu_s = cpu_s(server.pid())? - cpu_before_s;
    let kernel_drops = sum_of(&page, "infrawatch_statsd_kernel_drops_total").unwrap_or(0);
    let mut findings = findings(&plan, &streams, &accounts, kernel_drops);
    let statsd_sums = match &plan.statsd {
        Some(statsd) if kernel_drops == 0 => {
            let sent = statsd_total(statsd, packets(&plan, statsd).turns(), plan.seed);
            let stored = stored_sum(&mut client, server, sent, elapsed_s)?;
            if stored != sent as f64 {
                findings.push(format!("statsd: the counters sent add up to {sent}, those stored to {stored}"));
            }
            Some((sent, stored))
        }
        _ => None,
    };
    Ok(PlanReport {
        machine: machine(),
        plan,
        elapsed_s,
        streams,
        accounts,
        kernel_drops,
        statsd_sums,
        cpu_s,
        peak_rss_bytes: peak_rss_bytes(server.pid())?,
        findings,
    })
}

/// Refusals, and sources whose accounts are not those of what was sent.
fn findings(
    plan: &Plan,
    streams: &[StreamReport],
    accounts: &BTreeMap<String, Accounts>,
    kernel_drops: i64,
) -> Vec<String> {
    let mut findings = Vec::new();
    let lost_metrics = plan.statsd.as_ref().map_or(0, |statsd| kernel_drops * statsd.per_packet as i64);
    for stream in streams {
        if stream.refused > 0 {
            let first = stream.first_refusal.as_deref().unwrap_or_default();
            findings.push(format!("{}: {} requests were refused, the first: {first}", stream.kind, stream.refused));
        }
        let (source, lost) = match stream.kind.as_str() {
            "remote_write" => ("remote_write", 0),
            "statsd" => ("statsd", lost_metrics),
            "json_push" => ("json", 0),
            _ => continue,
        };
        let found = accounts.get(source).copied().unwrap_or_default();
        findings.extend(amiss(source, found, stream.observations as i64, lost));
    }
    findings
}

/// What is wrong with the accounts of one source, of which `sent` observations were sent and `lost` never arrived.
fn amiss(source: &str, found: Accounts, sent: i64, lost: i64) -> Option<String> {
    let kept = found.stored + found.aggregated;
    let good = found.law_holds() && found.received == sent - lost && kept == found.received;
    (!good).then(|| format!("{source}: {sent} sent, {lost} lost on the way, and the server accounts for {found:?}"))
}

/// Runs all streams at the same time; their reports, and how long it took.
fn run_streams(plan: &Plan, server: &Server, start_ms: i64) -> Result<(Vec<StreamReport>, f64)> {
    let load = plan.remote_write.as_ref().map(|write| prepare_write(plan, write, start_ms)).transpose()?;
    let watch = Stopwatch::start();
    let streams = Streams { plan, server, start_ms, watch };
    let outcomes = thread::scope(|scope| -> Result<Vec<Option<Result<StreamReport>>>> {
        let named = |name: &str| Builder::new().name(name.to_owned());
        let threads: io::Result<Vec<_>> = [
            named("remote_write").spawn_scoped(scope, || load.as_ref().map(|load| streams.write(load))),
            named("statsd").spawn_scoped(scope, || plan.statsd.as_ref().map(|statsd| streams.statsd(statsd))),
            named("json_push").spawn_scoped(scope, || plan.json_push.as_ref().map(|push| streams.push(push))),
            named("queries").spawn_scoped(scope, || plan.queries.as_ref().map(|reads| streams.queries(reads))),
            named("anomalies").spawn_scoped(scope, || plan.anomalies.as_ref().map(|reads| streams.anomalies(reads))),
        ]
        .into_iter()
        .collect();
        let threads = threads.context("start a stream")?;
        Ok(threads.into_iter().map(|thread| thread.join().expect("a stream does not panic")).collect())
    })?;
    Ok((outcomes.into_iter().flatten().collect::<Result<_>>()?, watch.elapsed_s()))
}

/// A remote write load, its requests built.
struct PreparedWrite {
    payload: Payload,
    requests: Requests,
    connections: usize,
    rate: Option<f64>,
}

fn prepare_write(plan: &Plan, write: &RemoteWrite, start_ms: i64) -> Result<PreparedWrite> {
    let scenario = plan.scenario(write);
    let payload = Payload::starting_at(&scenario, start_ms, 0);
    let requests = Requests::build(&payload, WRITE_PATH)?;
    Ok(PreparedWrite { payload, requests, connections: scenario.connections, rate: scenario.rate })
}

/// What every stream of a run is given.
#[derive(Clone, Copy)]
struct Streams<'a> {
    plan: &'a Plan,
    server: &'a Server,
    start_ms: i64,
    watch: Stopwatch,
}

impl Streams<'_> {
    fn write(self, load: &PreparedWrite) -> Result<StreamReport> {
        let PreparedWrite { payload, requests, connections, rate } = load;
        let address = self.server.address();
        let (connections, rate) = (*connections, *rate);
        let outcome = send(&Load { address, payload, requests, connections, rate, on_break: OnBreak::Retry })?;
        Ok(StreamReport {
            kind: "remote_write".into(),
            requests: payload.requests.len(),
            observations: payload.total_samples(),
            refused: outcome.refused_requests,
            first_refusal: outcome.first_refusal,
            latency: outcome.latencies.percentiles(),
        })
    }

    fn statsd(self, statsd: &Statsd) -> Result<StreamReport> {
        let address = self.server.statsd().context("the server hears no StatsD")?;
        send_statsd(statsd, packets(self.plan, statsd), address, self.plan.seed, self.watch)
    }

    fn push(self, push: &JsonPush) -> Result<StreamReport> {
        let (address, start_ms, seed) = (self.server.address(), self.start_ms, self.plan.seed);
        let pace = Pace { rate: push.rate, seconds: self.plan.seconds };
        let request = |turn: usize| {
            let body = push_body(push, pace, turn, start_ms, seed);
            address.post("/api/v1/metrics", "application/json", body.as_bytes())
        };
        let stream = HttpStream {
            kind: "json_push",
            address,
            pace,
            connections: 1,
            observations: push.series,
            request: &request,
        };
        stream.run(self.watch)
    }

    fn queries(self, reads: &Reads) -> Result<StreamReport> {
        let (address, start_ms) = (self.server.address(), self.start_ms);
        self.read("queries", reads, &|turn| question(address, turn, start_ms, turn as f64 / reads.rate))
    }

    fn anomalies(self, reads: &Reads) -> Result<StreamReport> {
        let address = self.server.address();
        self.read("anomalies", reads, &|_| address.get("/api/v1/anomalies", &[("limit", "100")]))
    }

    fn read(self, kind: &str, reads: &Reads, request: &(dyn Fn(usize) -> Vec<u8> + Sync)) -> Result<StreamReport> {
        let pace = Pace { rate: reads.rate, seconds: self.plan.seconds };
        let address = self.server.address();
        HttpStream { kind, address, pace, connections: reads.connections, observations: 0, request }.run(self.watch)
    }
}

/// When each datagram of a plan is due.
fn packets(plan: &Plan, statsd: &Statsd) -> Pace {
    Pace { rate: statsd.rate / statsd.per_packet as f64, seconds: plan.seconds }
}

/// The metrics page and the accounts by source, once every one of them is balanced and all StatsD sent has arrived or
/// was dropped; as they stand when that does not happen.
fn settled(
    client: &mut Client,
    server: &Server,
    statsd_sent: Option<i64>,
) -> Result<(String, BTreeMap<String, Accounts>)> {
    let watch = Stopwatch::start();
    loop {
        let page = String::from_utf8_lossy(client.fetch(&server.address().get("/metrics", &[]))?).into_owned();
        let accounts = Accounts::by_source(&page);
        let drops = sum_of(&page, "infrawatch_statsd_kernel_drops_total").unwrap_or(0);
        let arrived = accounts.get("statsd").map_or(0, |statsd| statsd.received);
        let statsd_is_in = statsd_sent.is_none_or(|sent| arrived == sent || drops > 0);
        if statsd_is_in && accounts.values().all(|source| source.law_holds()) || watch.elapsed() > SETTLE_TIMEOUT {
            return Ok((page, accounts));
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// What the stored StatsD counters add up to, once that is what was sent; as it stands when that does not happen.
fn stored_sum(client: &mut Client, server: &Server, sent: u64, elapsed_s: f64) -> Result<f64> {
    let watch = Stopwatch::start();
    loop {
        let range_s = (elapsed_s + watch.elapsed_s()) as u64 + 60;
        let query = format!("{{__name__=~\"{STATSD_NAME}.*\"}}[{range_s}s]");
        let body = client.fetch(&server.address().get("/api/v1/query", &[("query", &query)]))?;
        let answer: Value = serde_json::from_slice(body).context("the answer is no JSON")?;
        let stored = sum_of_samples(&answer).context("the answer is no matrix")?;
        if stored == sent as f64 || watch.elapsed() > SETTLE_TIMEOUT {
            return Ok(stored);
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// The sum of all samples in a matrix.
fn sum_of_samples(answer: &Value) -> Option<f64> {
    let series = answer["data"]["result"].as_array()?;
    let samples = series.iter().map(|series| series["values"].as_array()).collect::<Option<Vec<_>>>()?;
    samples.into_iter().flatten().map(|sample| sample[1].as_str()?.parse::<f64>().ok()).sum()
}

fn text(report: &PlanReport) -> String {
    let heads = ["", "requests", "observations", "refused", "mean, ms", "p50", "p90", "p99", "max"];
    let mut table = Table::new(heads.map(str::to_owned));
    for stream in &report.streams {
        let latency = &stream.latency;
        let times = [latency.mean_ms, latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms];
        let counts = [stream.requests, stream.observations, stream.refused].map(|count| grouped(count as i64));
        table.row(&stream.kind, counts.into_iter().chain(times.map(figures)));
    }
    let mut out = format!("{}\n{:.0} s\n{}", report.machine, report.elapsed_s, table.text());
    let heads = ["", "received", "stored", "aggregated", "rejected", "late", "duplicate", "dropped"];
    let mut table = Table::new(heads.map(str::to_owned));
    for (source, found) in &report.accounts {
        let fates = [found.stored, found.aggregated, found.rejected, found.late, found.duplicate, found.dropped];
        table.row(source, std::iter::once(found.received).chain(fates).map(grouped));
    }
    out.push_str(&table.text());
    if let Some((sent, stored)) = report.statsd_sums {
        out.push_str(&format!("sum of the StatsD counters: {sent} sent, {stored} stored\n"));
    }
    let (cpu_s, rss) = (figures(report.cpu_s), figures(mib(report.peak_rss_bytes)));
    out.push_str(&format!("dropped by the kernel: {}; CPU-s: {cpu_s}; peak RSS, MiB: {rss}\n", report.kernel_drops));
    match report.findings.is_empty() {
        true => out.push_str("every observation is accounted for\n"),
        false => report.findings.iter().for_each(|finding| out.push_str(&format!("  {finding}\n"))),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_amiss_unless_everything_that_arrived_was_kept() {
        let good = Accounts { received: 10, stored: 10, ..Accounts::default() };
        assert_eq!(amiss("json", good, 10, 0), None);
        assert_eq!(amiss("statsd", Accounts { stored: 0, aggregated: 10, ..good }, 13, 3), None);
        assert!(amiss("json", good, 11, 0).is_some());
        assert!(amiss("json", Accounts { stored: 9, ..good }, 10, 0).is_some());
        assert!(amiss("json", Accounts { stored: 9, rejected: 1, ..good }, 10, 0).is_some());
    }
}
