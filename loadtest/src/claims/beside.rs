//! Dashboards are asked for while 100 000 samples a second come in: how much longer a write takes to be acknowledged than
//! in the seconds before and after, when nobody asks.
//!
//! Not here: how long the answers take on a quiet server (see `queries`), the rest of the API (see `api`).
//!
//! Invariant: quiet and busy spans take turns on one server with the same series, so that what else happens to the
//! machine, and what the server has to do besides, happens to both.

use std::thread::Builder;

use anyhow::{Context, Result};

use super::{Bench, Claim, Outcome};
use crate::http::Address;
use crate::meter::{Latencies, Stopwatch, unix_ms};
use crate::payload::{Payload, WRITE_PATH};
use crate::plan::{HttpStream, Pace};
use crate::report::figures;
use crate::scenario::Scenario;
use crate::sender::{Load, OnBreak, Requests, send};

/// Each series has a sample a second.
const SERIES: usize = 100_000;
/// Seconds before anything is measured: every series is new then.
const WARM_UP: usize = 5;
/// Spans of each kind.
const TURNS: usize = 3;
/// Seconds of all spans together.
const SECONDS: f64 = 90.0;
/// Queries a second; what some twenty open dashboards of eight panels ask when they refresh every quarter of a minute.
const QUERIES: f64 = 10.0;
const CONNECTIONS: usize = 8;
const RATIO_MAX: f64 = 2.0;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Claim>> {
    let seconds = (bench.seconds_or(SECONDS) / (2 * TURNS) as f64).ceil().max(1.0) as usize;
    let running = bench.start()?;
    let address = running.server.address();
    let start_ms = unix_ms();
    write(address, start_ms, 0, WARM_UP)?;
    let (mut quiet, mut busy) = (Latencies::default(), Latencies::default());
    let (mut asked, mut refusals) = (Latencies::default(), 0);
    for span in 0..2 * TURNS {
        let first = WARM_UP + span * seconds;
        if span % 2 == 0 {
            quiet.absorb(write(address, start_ms, first, seconds)?);
            continue;
        }
        let request = |turn: usize| question(address, turn, start_ms + first as i64 * 1000);
        let pace = Pace { rate: QUERIES, seconds: seconds as f64 };
        let stream =
            HttpStream { kind: "query", address, pace, connections: CONNECTIONS, observations: 0, request: &request };
        let (written, read) = std::thread::scope(|scope| -> Result<_> {
            let writer = Builder::new()
                .name("writer".into())
                .spawn_scoped(scope, || write(address, start_ms, first, seconds))
                .context("start a writer")?;
            let read = stream.run(Stopwatch::start());
            Ok((writer.join().expect("the writer does not panic")?, read?))
        })?;
        busy.absorb(written);
        refusals += read.refused;
        asked.record(std::time::Duration::from_secs_f64(read.latency.p50_ms / 1e3));
    }
    let (quiet, busy) = (quiet.percentiles(), busy.percentiles());
    let ratio = busy.p99_ms / quiet.p99_ms.max(f64::MIN_POSITIVE);
    Ok(vec![Claim {
        row: "PERF-006",
        claim: format!(
            "writes of 100 000 samples/s while {QUERIES} queries/s are answered, {TURNS} turns of {seconds} s"
        ),
        target: format!("p99 at most {RATIO_MAX} times that without queries"),
        measured: format!(
            "p99 {} ms, {} ms without: {} times; p50 {} and {} ms; queries p50 {} ms, {refusals} refused",
            figures(busy.p99_ms),
            figures(quiet.p99_ms),
            figures(ratio),
            figures(busy.p50_ms),
            figures(quiet.p50_ms),
            figures(asked.percentiles().p50_ms),
        ),
        outcome: Outcome::of(ratio <= RATIO_MAX && refusals == 0),
    }])
}

/// Writes so many seconds of every series at their own pace; how long each request took to be acknowledged.
fn write(address: &Address, start_ms: i64, first: usize, seconds: usize) -> Result<Latencies> {
    let scenario = Scenario { series: SERIES, samples: seconds, step_ms: 1000, ..Scenario::default() };
    let payload = Payload::starting_at(&scenario, start_ms, first);
    let requests = Requests::build(&payload, WRITE_PATH)?;
    let rate = Some(SERIES as f64);
    let connections = scenario.connections;
    let load = Load { address, payload: &payload, requests: &requests, connections, rate, on_break: OnBreak::Retry };
    let sent = send(&load)?;
    anyhow::ensure!(sent.refused_requests == 0, "a write was refused: {:?}", sent.first_refusal);
    Ok(sent.latencies)
}

/// Panels over the last seconds: of one host, of a metric of all hosts, of everything.
fn question(address: &Address, turn: usize, now_ms: i64) -> Vec<u8> {
    let end = now_ms / 1000 + turn as i64 / QUERIES as i64;
    let (start, end) = ((end - 60).to_string(), end.to_string());
    let host = format!("node-{:05}:9100", turn % 300);
    let of_host = format!("node_load1{{instance=\"{host}\"}}");
    let rates_of_host = format!("sum by (mode) (rate(node_cpu_seconds_total{{instance=\"{host}\"}}[30s]))");
    let range = |query: &str| {
        address.get("/api/v1/query_range", &[("query", query), ("start", &start), ("end", &end), ("step", "5")])
    };
    match turn % 8 {
        0 => address.get("/api/v1/label/instance/values", &[]),
        1 | 2 => range(&of_host),
        3 => range(&rates_of_host),
        4 => range("sum by (mode) (rate(node_cpu_seconds_total[30s]))"),
        5 => range("topk(5, node_load1)"),
        6 => address.get("/api/v1/query", &[("query", "count by (__name__) ({job=\"node\"})"), ("time", &end)]),
        _ => range("avg(node_memory_MemFree_bytes)"),
    }
}
