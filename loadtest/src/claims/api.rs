//! A hundred requests a second to the API while 6 000 samples a second come in: how long an answer takes on average.
//!
//! Not here: single queries over much data (see `queries`).

use std::thread::Builder;

use anyhow::{Context, Result};

use super::{Bench, Claim, Outcome, fleet};
use crate::http::Address;
use crate::meter::{Stopwatch, unix_ms};
use crate::payload::{Payload, WRITE_PATH};
use crate::plan::{HttpStream, Pace};
use crate::report::figures;
use crate::sender::{Load, OnBreak, Requests, send};

const RATE: f64 = 100.0;
const CONNECTIONS: usize = 8;
const SECONDS: f64 = 60.0;
const MEAN_MS_MAX: f64 = 50.0;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Claim>> {
    let seconds = bench.seconds_or(SECONDS);
    let scenario = fleet::scenario(seconds);
    let start_ms = unix_ms();
    let payload = Payload::starting_at(&scenario, start_ms, 0);
    let requests = Requests::build(&payload, WRITE_PATH)?;
    let running = bench.start()?;
    let address = running.server.address();
    let load = Load {
        address,
        payload: &payload,
        requests: &requests,
        connections: scenario.connections,
        rate: scenario.rate,
        on_break: OnBreak::Retry,
    };
    let request = |turn: usize| question(address, turn, start_ms);
    let stream = HttpStream {
        kind: "api",
        address,
        pace: Pace { rate: RATE, seconds },
        connections: CONNECTIONS,
        observations: 0,
        request: &request,
    };
    let (written, read) = std::thread::scope(|scope| -> Result<_> {
        let writer =
            Builder::new().name("writer".into()).spawn_scoped(scope, || send(&load)).context("start a writer")?;
        let read = stream.run(Stopwatch::start());
        Ok((writer.join().expect("the writer does not panic")?, read?))
    })?;
    let latency = &read.latency;
    let refused = read.first_refusal.map_or_else(String::new, |first| format!(", {} refused: {first}", read.refused));
    Ok(vec![Claim {
        row: "PERF-006",
        claim: format!("the API at {RATE} requests/s while 6 000 samples/s come in, for {seconds} s"),
        target: format!("mean < {MEAN_MS_MAX} ms"),
        measured: format!(
            "mean {} ms, p50 {}, p99 {}, max {}; writes p99 {} ms{refused}",
            figures(latency.mean_ms),
            figures(latency.p50_ms),
            figures(latency.p99_ms),
            figures(latency.max_ms),
            figures(written.latencies.percentiles().p99_ms),
        ),
        outcome: Outcome::of(latency.mean_ms < MEAN_MS_MAX && read.refused == 0),
    }])
}

/// What dashboards and programs ask, in turn.
fn question(address: &Address, turn: usize, start_ms: i64) -> Vec<u8> {
    let host = format!("node-{:05}:9100", turn % 300);
    let start = (start_ms / 1000).to_string();
    let end = (start_ms / 1000 + turn as i64 / RATE as i64).to_string();
    let range = |query: &str| {
        let window = [("start", start.as_str()), ("end", end.as_str()), ("step", "5")];
        address.get("/api/v1/query_range", &[&[("query", query)], &window[..]].concat())
    };
    match turn % 10 {
        0 => address.get("/health", &[]),
        1 => address.get("/api/v1/metrics", &[("limit", "100"), ("skip", &(turn % 50 * 100).to_string())]),
        2 | 3 => address.get("/api/v1/anomalies", &[("limit", "20")]),
        4 => range(&format!("node_load1{{instance=\"{host}\"}}")),
        5 => range(&format!("sum by (mode) (rate(node_cpu_seconds_total{{instance=\"{host}\"}}[1m]))")),
        6 => range("avg(node_load1)"),
        7 => address.get("/api/v1/query", &[("query", "topk(10, node_memory_MemFree_bytes)")]),
        8 => address.get("/api/v1/series", &[("match[]", &format!("{{instance=\"{host}\"}}"))]),
        _ => address.get("/api/v1/label/instance/values", &[]),
    }
}
