//! A week of one series at 15 s, asked for over HTTP as a picture of it and as a whole.
//!
//! Not here: queries over many series (see `queries`).
//!
//! Invariant: every question ends at another second, so that no answer is one that was kept, and every answer has all the
//! points that it should.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{Bench, Claim, Outcome, fetch_json};
use crate::http::{Address, Client};
use crate::meter::{Latencies, Stopwatch, unix_ms};
use crate::payload::{Payload, WRITE_PATH};
use crate::report::figures;
use crate::scenario::Scenario;
use crate::sender::{Load, OnBreak, Requests, send};

const STEP_MS: i64 = 15_000;
const SAMPLES: usize = 7 * 5760;
/// Instants of a range of a week: below the 11 000 that are the most in Prometheus.
const RANGE_STEP_S: &str = "60";
const RANGE_POINTS: usize = 10_080;
const QUESTIONS: i64 = 200;
const P95_MS_MAX: f64 = 50.0;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Claim>> {
    let scenario = Scenario {
        series: 1,
        series_per_host: 1,
        samples: SAMPLES,
        step_ms: STEP_MS,
        connections: 1,
        ..Scenario::default()
    };
    let payload = Payload::ending_at(&scenario, unix_ms());
    let requests = Requests::build(&payload, WRITE_PATH)?;
    let running = bench.start()?;
    let address = running.server.address();
    let (rate, on_break) = (None, OnBreak::Retry);
    send(&Load { address, payload: &payload, requests: &requests, connections: 1, rate, on_break })?;
    let mut client = Client::new(address);
    let (first_ms, last_ms) = payload.span_ms();
    let (mut ranges, mut wholes) = (Latencies::default(), Latencies::default());
    for turn in 0..QUESTIONS {
        let (start, end) = ((first_ms / 1000 + turn).to_string(), (last_ms / 1000 + turn).to_string());
        let range = [("query", "{job=\"node\"}"), ("start", &start), ("end", &end), ("step", RANGE_STEP_S)];
        let points = timed(&mut client, address, "/api/v1/query_range", &range, &mut ranges)?;
        ensure!(points >= RANGE_POINTS, "a range of a week has {points} points");
        let whole = [("query", "{job=\"node\"}[8d]"), ("time", end.as_str())];
        let samples = timed(&mut client, address, "/api/v1/query", &whole, &mut wholes)?;
        ensure!(samples == SAMPLES, "the week has {samples} samples");
    }
    Ok(vec![
        claim(format!("a week of a series at 15 s as a range of {RANGE_POINTS} points"), ranges),
        claim(format!("all {SAMPLES} samples of it"), wholes),
    ])
}

/// Values of the only series in the answer.
fn timed(
    client: &mut Client,
    address: &Address,
    path: &str,
    parameters: &[(&str, &str)],
    latencies: &mut Latencies,
) -> Result<usize> {
    let watch = Stopwatch::start();
    let answer: Value = fetch_json(client, address, path, parameters)?;
    latencies.record(watch.elapsed());
    Ok(answer["data"]["result"][0]["values"].as_array().map_or(0, Vec::len))
}

fn claim(what: String, latencies: Latencies) -> Claim {
    let found = latencies.percentiles();
    Claim {
        row: "STO-007",
        claim: format!("{what}, {} times, reading the answer included", found.count),
        target: format!("p95 < {P95_MS_MAX} ms"),
        measured: format!(
            "p50 {} ms, p95 {}, max {}",
            figures(found.p50_ms),
            figures(found.p95_ms),
            figures(found.max_ms)
        ),
        outcome: Outcome::of(found.p95_ms < P95_MS_MAX),
    }
}
