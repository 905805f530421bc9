//! The life of an alert on the running server: raised, told, taken, silenced, resolved, and there again after a crash.
//!
//! Not here: who is told how often (see `alert::ledger`, by a clock of its own), what is anomalous.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod cascade;
mod life;
mod monitors;
mod replay;
mod restarts;

use serde_json::{Value, json};
use std::fmt::Write;
use std::process::Command;
use support::eventually;
use support::http::{get_json, post};
use support::server::Server;
use tempfile::TempDir;

const SECONDS: u64 = 60;

/// A server whose alerts go where a routing file says, at once.
fn server(folder: &TempDir, routing: &str) -> Server {
    let file = folder.path().join("routing.toml");
    std::fs::write(&file, routing).unwrap();
    let config = folder.path().join("infrawatch.toml");
    let text = format!("[alerts]\nrouting_file = {file:?}\nresolve_after = \"0\"\n");
    std::fs::write(&config, text).unwrap();
    Server::start_with(&["--statsd-listen", "off", "--config", config.to_str().unwrap()])
}

/// A file with a webhook for each of these addresses, all told of everything.
fn webhooks(urls: &[String], more: &str) -> String {
    let mut text = String::from("[route]\nreceiver = \"hook0\"\ngroup_wait = \"0\"\ngroup_interval = \"0\"\n");
    for number in 1..urls.len() {
        let _ = write!(text, "[[routes]]\nreceiver = \"hook{number}\"\ncontinue = true\n");
    }
    for (number, url) in urls.iter().enumerate() {
        let _ = write!(text, "[[receivers]]\nname = \"hook{number}\"\nwebhook = {url:?}\n{more}\n");
    }
    text
}

fn now_s() -> f64 {
    infrawatch::clock::now_ms() as f64 / 1000.0
}

/// Posts an anomaly of a host that begins at `start_s`.
fn anomaly(server: &Server, host: &str, start_s: f64, severity: &str, state: &str) -> Value {
    let body = json!({
        "metric_name": "cpu", "labels": {"host": host}, "timestamp": start_s.floor(), "end": now_s().floor(),
        "severity": severity, "value": 97, "expected_value": 30, "state": state, "summary": format!("cpu of {host}"),
    });
    let answer = post(&server.url("/api/v1/anomalies"), &[], body.to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

/// The alerts of some states, as soon as there are so many.
fn alerts(server: &Server, state: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} alerts are {state}"), SECONDS, || {
        let list = get_json(&server.url("/api/v1/alerts"), &[("state", state)]);
        let items = list["items"].as_array().unwrap().clone();
        (items.len() == count).then_some(items)
    })
}

fn said(server: &Server, path: &str, body: &Value) -> Value {
    let answer = post(&server.url(path), &[], body.to_string().as_bytes()).unwrap();
    assert!((200..300).contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn infrawatch(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_infrawatch")).args(arguments).arg("--json").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// What is raised is accounted for, by the server's own counters.
fn assert_accounted(server: &Server) {
    let of = |name: &str| server.figure(&format!("infrawatch_alerts_{name}"));
    let told = of("pending") + of("grouped") + of("notified_total") + of("failed_total");
    let kept = of("deduplicated_total") + of("silenced_total") + of("suppressed_total") + of("inhibited_total");
    assert_eq!(of("raised_total"), told + kept);
}
