//! `/metrics` as a scraper sees it: what promtool says of it, and watched expressions scored like the documents' exporter.

use super::now_ms;
use super::support::eventually;
use super::support::http::{get, get_with, post};
use super::support::server::Server;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use tempfile::TempDir;

fn promtool(page: &str) -> String {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool comes with Debian's prometheus; ./test installs it");
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    format!("{}\n{}{}", output.status, String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn push(server: &Server, name: &str, values: impl Iterator<Item = (i64, f64)>) {
    let sample = |(time_ms, value): (i64, f64)| json!({"name": name, "timestamp": time_ms, "value": value});
    let body = Value::from(values.map(sample).collect::<Vec<_>>());
    assert_eq!(post(&server.url("/api/v1/metrics"), &[], body.to_string().as_bytes()).unwrap().status, 200);
}

#[test]
fn watched_expressions_are_scored_each_by_itself_and_promtool_finds_nothing_wrong() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("watched.toml");
    let watched = |query: &str| {
        format!(
            "[[metric]]\nname = \"spiky\"\nquery = \"{query}\"\ndetector = \"zscore\"\n\
             [[metric]]\nname = \"calm\"\nquery = \"calm + 0\"\n[[metric]]\nname = \"broken\"\nquery = \"sum(\"\n"
        )
    };
    std::fs::write(&file, watched("latency * 1")).unwrap();
    let path = file.to_str().unwrap();
    // A customary variable sets the rhythm, in seconds.
    let server = Server::start_with_settings(&[("INFRAWATCH_WATCH_FILE", path), ("CHECK_INTERVAL", "1")]);
    let now_ms = now_ms(&server);
    let usual = |i: i64| 50.0 + (i * 7919 % 101) as f64 / 50.0;
    let times = |count: i64| (0..count).map(move |i| (i, now_ms - (count - i) * 1000));
    push(&server, "calm", times(900).map(|(i, time_ms)| (time_ms, usual(i))));
    push(&server, "latency", times(900).map(|(i, time_ms)| (time_ms, usual(i))));
    let page = || get(&server.url("/metrics"), &[]).unwrap().body;
    let value =
        |page: &str, line: &str| page.lines().find_map(|one| one.strip_prefix(line)?.trim().parse::<f64>().ok());
    let known = "anomaly_score{metric_name=\"spiky\",detector_type=\"zscore\"}";
    eventually("the expression is known", 60, || value(&page(), known));
    push(&server, "latency", [(super::now_ms(&server), 900.0)].into_iter());
    let spike = "anomaly_detected_total{metric_name=\"spiky\",detector_type=\"zscore\",severity=\"high\"}";
    eventually("the spike is found", 60, || value(&page(), spike).filter(|count| *count >= 1.0));
    let seen = page();
    assert!(
        value(&seen, "anomaly_score{metric_name=\"calm\",detector_type=\"ensemble\"}").is_some_and(|score| score < 0.6),
        "{seen}"
    );
    assert!(value(&seen, "infrawatch_watch_errors_total{metric_name=\"broken\"}").unwrap() >= 1.0);
    assert_eq!(value(&seen, "infrawatch_watch_errors_total{metric_name=\"calm\"}"), Some(0.0));
    for line in [
        "infrawatch_watch_evaluation_seconds{metric_name=\"spiky\"}",
        "infrawatch_shard_queue_batches{shard=\"0\"}",
        "infrawatch_queue_length_max{queue=\"anomaly_runs\"}",
        "infrawatch_queue_length{queue=\"alert_signals\"}",
        "infrawatch_queue_length{queue=\"journal\"}",
        "infrawatch_queue_length{queue=\"computations\"}",
        "infrawatch_health{component=\"storage\"}",
        "infrawatch_pipeline_series",
        "infrawatch_model_sweeps_total",
        "infrawatch_budget_anomalies_per_series_month",
        "infrawatch_http_request_seconds_bucket{le=\"+Inf\"}",
    ] {
        assert!(value(&seen, line).is_some(), "{line}\n{seen}");
    }
    let said = promtool(&seen);
    assert!(said.starts_with("exit status: 0"), "{said}");
    let open = get_with(&server.url("/metrics"), &[("accept", "application/openmetrics-text; version=1.0.0")]).unwrap();
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(open.body.ends_with("# EOF\n") && open.body.contains("# TYPE anomaly_detected counter\n"));
    // To promtool a counter is called as its sample is; in OpenMetrics its help stands under the name without the ending.
    let helped = |line: &str| {
        let family = line.strip_suffix("_total no help text");
        family.is_some_and(|family| open.body.contains(&format!("# HELP {family} ")))
    };
    let said = promtool(&open.body);
    let complaints = said.lines().skip(1).filter(|line| !line.is_empty() && !helped(line));
    let complaints: Vec<&str> = complaints.collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    // The file is read again by itself, and what is gone from it is gone from the page.
    std::fs::write(&file, "[[metric]]\nname = \"other\"\nquery = \"calm\"\n").unwrap();
    eventually("the other expression", 60, || {
        let page = page();
        (page.contains("metric_name=\"other\"") && !page.contains("metric_name=\"spiky\"")).then_some(())
    });
    server.stop();
}
