//! A day of six metrics at 15 s, as it would arrive: how much disk and memory it takes, and whether every point is there.
//!
//! Not here: ten thousand series (see `memory`).
//!
//! Invariant: samples are sent in the order of time, a request for each step, so that the journal, the heads and the
//! blocks hold what a real day leaves.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Bench, Claim, Outcome, fetch_json};
use crate::http::Client;
use crate::meter::unix_ms;
use crate::payload::{Payload, WRITE_PATH};
use crate::process_stats::{disk_usage, peak_rss_bytes};
use crate::report::{figures, grouped};
use crate::scenario::Scenario;
use crate::sender::{Load, OnBreak, Requests, send};

const METRICS: usize = 6;
const STEP_MS: i64 = 15_000;
const POINTS: usize = 5760;
const DISK_BYTES_MAX: u64 = 1_000_000;
const RSS_BYTES_MAX: u64 = 200_000_000;
/// Background work after the last sample counts too.
const DRAIN: Duration = Duration::from_secs(2);

pub(super) fn measure(bench: &Bench) -> Result<Vec<Claim>> {
    let scenario = Scenario {
        series: METRICS,
        // One host, whose series are chosen evenly among a node exporter's hundred.
        series_per_host: METRICS,
        samples: POINTS,
        step_ms: STEP_MS,
        connections: 1,
        ..Scenario::default()
    };
    let payload = Payload::ending_at(&scenario, unix_ms());
    let requests = Requests::build(&payload, WRITE_PATH)?;
    let running = bench.start()?;
    let (server, address) = (&running.server, running.server.address());
    let empty = disk_usage(server.data_dir())?;
    send(&Load {
        address,
        payload: &payload,
        requests: &requests,
        connections: 1,
        rate: None,
        on_break: OnBreak::Retry,
    })?;
    std::thread::sleep(DRAIN);
    let full = disk_usage(server.data_dir())?;
    let rss_bytes = peak_rss_bytes(server.pid())?;
    let mut client = Client::new(address);
    let counts = counts(&mut client, running.server.address(), payload.span_ms().1)?;
    client.fetch(&address.post_empty("/-/compact"))?;
    let compacted = disk_usage(server.data_dir())?;
    let grown = |now: u64, before: u64| now.saturating_sub(before);
    let (written, kept) =
        (grown(full.apparent_bytes, empty.apparent_bytes), grown(compacted.apparent_bytes, empty.apparent_bytes));
    let samples = payload.total_samples() as f64;
    let points: Vec<String> = counts.iter().map(u64::to_string).collect();
    Ok(vec![
        disk("growth of the data directory, journal included", written, full.allocated_bytes, samples),
        disk("the same after POST /-/compact", kept, compacted.allocated_bytes, samples),
        Claim {
            row: "PERF-008",
            claim: format!("peak memory over that day of {METRICS} metrics"),
            target: "200 MB".to_owned(),
            measured: format!("{} MB", figures(rss_bytes as f64 / 1e6)),
            outcome: Outcome::of(rss_bytes <= RSS_BYTES_MAX),
        },
        Claim {
            row: "PERF-009",
            claim: "points of each metric in that day".to_owned(),
            target: format!("{METRICS} x {}", grouped(POINTS as i64)),
            measured: points.join(", "),
            outcome: Outcome::of(counts == [POINTS as u64; METRICS]),
        },
    ])
}

fn disk(what: &str, bytes: u64, allocated: u64, samples: f64) -> Claim {
    Claim {
        row: "PERF-007",
        claim: format!("a day of {METRICS} metrics at 15 s: {what}"),
        target: "1 MB".to_owned(),
        measured: format!(
            "{} kB, {} bytes a sample ({} kB of disk blocks in all)",
            figures(bytes as f64 / 1e3),
            figures(bytes as f64 / samples),
            figures(allocated as f64 / 1e3),
        ),
        outcome: Outcome::of(bytes <= DISK_BYTES_MAX),
    }
}

/// Points of every series in the day that ends with `end_ms`.
fn counts(client: &mut Client, address: &crate::http::Address, end_ms: i64) -> Result<Vec<u64>> {
    let time = (end_ms / 1000).to_string();
    let parameters = [("query", "count_over_time({job=\"node\"}[1d])"), ("time", time.as_str())];
    let answer = fetch_json(client, address, "/api/v1/query", &parameters)?;
    let results = answer["data"]["result"].as_array().context("the answer has no result")?;
    let count = |series: &Value| series["value"][1].as_str()?.parse().ok();
    results.iter().map(|series| count(series).context("a count that is no number")).collect()
}
