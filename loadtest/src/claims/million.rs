//! A million anomalies, and pages of them asked for by each thing they can be chosen by.
//!
//! Not here: the same without HTTP and while anomalies come in (`cargo bench --bench anomalies`).
//!
//! Invariant: pages are asked for after all were kept, and every page is full.

use anyhow::{Context, Result, ensure};

use super::{Bench, Claim, Outcome, fetch_json};
use crate::fleet::mix;
use crate::http::{Address, Client};
use crate::meter::{Latencies, Stopwatch, unix_ms};
use crate::plan::{HttpStream, Pace};
use crate::process_stats::rss_bytes;
use crate::report::{figures, grouped, mib};
use crate::server_process::{ScratchDir, Server};

const ANOMALIES: usize = 1_000_000;
const NAMES: usize = 200;
const HOSTS: usize = 500;
const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];
/// From one anomaly to the next.
const STEP_MS: i64 = 86_400;
const CONNECTIONS: usize = 32;
const QUESTIONS: usize = 300;
const PAGE: usize = 50;
const P95_MS_MAX: f64 = 50.0;

pub(super) fn measure(bench: &Bench) -> Result<Vec<Claim>> {
    let settings = ScratchDir::new()?;
    let file = settings.path().join("infrawatch.toml");
    std::fs::write(&file, format!("[anomalies]\nmax_records = {ANOMALIES}\n"))?;
    let file = file.to_str().context("a path of this machine is no text")?;
    let arguments = ["--config", file, "--retention", "0"];
    let mut running = bench.start_with(&arguments)?;
    let address = running.server.address();
    let end_ms = unix_ms();
    let filling = Stopwatch::start();
    fill(address, end_ms)?;
    let filled_s = filling.elapsed_s();
    let mut client = Client::new(address);
    let total = fetch_json(&mut client, address, "/api/v1/anomalies/stats", &[])?["total"].as_u64();
    ensure!(total == Some(ANOMALIES as u64), "{total:?} anomalies are kept");
    let mut claims = vec![Claim {
        row: "STO-002",
        claim: format!("{} anomalies posted one by one over {CONNECTIONS} connections", grouped(ANOMALIES as i64)),
        target: "-".to_owned(),
        measured: format!("{} s", figures(filled_s)),
        outcome: Outcome::Stated,
    }];
    for (name, choice) in KINDS {
        claims.push(asked(&mut client, address, name, |turn| choice(turn, end_ms))?);
    }
    running.server.kill();
    let again = Server::start(&bench.program.with(&arguments), running.server.data_dir()).context("after the kill")?;
    let stats = fetch_json(&mut Client::new(again.address()), again.address(), "/api/v1/anomalies/stats", &[])?;
    ensure!(stats["total"].as_u64() == Some(ANOMALIES as u64), "after the kill {} are kept", stats["total"]);
    claims.push(Claim {
        row: "STO-002",
        claim: "ready again after kill -9 with a million anomalies, all of them there".to_owned(),
        target: "-".to_owned(),
        measured: format!("{} s, {} MiB of memory", figures(again.ready_s), figures(mib(rss_bytes(again.pid())?))),
        outcome: Outcome::Stated,
    });
    Ok(claims)
}

type Choice = fn(usize, i64) -> Vec<(&'static str, String)>;

/// What a page is chosen by.
const KINDS: [(&str, Choice); 5] = [
    ("newest first, anywhere in the first hundred thousand", |turn, _| {
        vec![("skip", (mix(turn as u64) % 100_000).to_string())]
    }),
    ("by metric", |turn, _| vec![("metric_name", metric(turn))]),
    ("by severity", |turn, _| vec![("severity", SEVERITIES[turn % 4].to_owned())]),
    ("by time", |turn, end_ms| {
        let start_ms = end_ms - (1 + mix(turn as u64) as i64 % (ANOMALIES as i64 - 10_000)).abs() * STEP_MS;
        let span_ms = 1000 * STEP_MS;
        vec![("start_time", (start_ms - span_ms).to_string()), ("end_time", start_ms.to_string())]
    }),
    ("by metric, severity and host", |turn, _| {
        let host = format!("{{host=\"host-{}\"}}", host(turn));
        vec![("metric_name", metric(turn)), ("match", host), ("severity", SEVERITIES.join(","))]
    }),
];

fn metric(number: usize) -> String {
    format!("service_{}_seconds", number % NAMES)
}

fn host(number: usize) -> usize {
    number / NAMES % HOSTS
}

/// Posts them, the oldest first.
fn fill(address: &Address, end_ms: i64) -> Result<()> {
    let request = |turn: usize| {
        let body = serde_json::json!({
            "metric_name": metric(turn),
            "labels": {"host": format!("host-{}", host(turn))},
            "timestamp": end_ms - (ANOMALIES - turn) as i64 * STEP_MS,
            "severity": SEVERITIES[mix(turn as u64) as usize % 4],
            "value": 95.0,
            "expected_value": 41.0,
        });
        address.post("/api/v1/anomalies", "application/json", body.to_string().as_bytes())
    };
    // Due at once, so that each connection posts the next as soon as it may.
    let pace = Pace { rate: ANOMALIES as f64, seconds: 1.0 };
    let stream =
        HttpStream { kind: "anomaly", address, pace, connections: CONNECTIONS, observations: 1, request: &request };
    let report = stream.run(Stopwatch::start())?;
    let refusal = report.first_refusal.unwrap_or_default();
    ensure!(report.refused == 0, "{} were refused: {refusal}", report.refused);
    Ok(())
}

fn asked(
    client: &mut Client,
    address: &Address,
    name: &str,
    choice: impl Fn(usize) -> Vec<(&'static str, String)>,
) -> Result<Claim> {
    let mut latencies = Latencies::default();
    let page = PAGE.to_string();
    for turn in 0..QUESTIONS {
        let chosen = choice(turn);
        let mut parameters: Vec<(&str, &str)> = chosen.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // A host has five of each metric, too few for a page.
        let full = if parameters.len() == 3 { 1 } else { PAGE };
        parameters.push(("limit", &page));
        let request = address.get("/api/v1/anomalies", &parameters);
        let watch = Stopwatch::start();
        let body = client.fetch(&request)?;
        latencies.record(watch.elapsed());
        let answer: serde_json::Value = serde_json::from_slice(body).context("a page is no JSON")?;
        let found = answer["items"].as_array().map_or(0, Vec::len);
        ensure!(found >= full, "a page {name} has {found} anomalies: {chosen:?}");
    }
    let found = latencies.percentiles();
    Ok(Claim {
        row: "STO-002",
        claim: format!("pages of {PAGE} of a million anomalies, {name}, {QUESTIONS} times"),
        target: format!("p95 < {P95_MS_MAX} ms"),
        measured: format!(
            "p50 {} ms, p95 {}, max {}",
            figures(found.p50_ms),
            figures(found.p95_ms),
            figures(found.max_ms)
        ),
        outcome: Outcome::of(found.p95_ms < P95_MS_MAX),
    })
}
