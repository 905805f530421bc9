//! Monitors on the running server, one of each type: what they find in stored samples, and what people are told.
//!
//! Not here: what a monitor finds of which values (see `src/monitors/tests.rs`).

use super::support::eventually;
use super::support::http::{get_json, post};
use super::support::server::Server;
use super::support::sink::Sink;
use super::{SECONDS, assert_accounted, infrawatch, now_s, webhooks};
use serde_json::{Value, json};
use tempfile::TempDir;

const MONITORS: &str = r#"
monitors:
  - name: Slow
    type: anomaly
    query: latency_ms
    algorithm: basic
    interval: 300ms
    rollup: 1s
    window: 8s
    history: 2m
    recovery_window: 2s
    bounds: 4
    tags: ["team:web"]
    renotify_interval: 60
    message: |
      {{#is_alert}}{{service.name}} is at {{value}}, expected {{expected_bounds}} @slack-ops{{/is_alert}}
      {{#is_warning}}{{service.name}} becomes slow @slack-ops{{/is_warning}}
      {{#is_recovery}}{{service.name}} is well again{{/is_recovery}}
  - name: Idle
    type: anomaly
    query: request_rate
    algorithm: basic
    direction: below
    interval: 300ms
    rollup: 1s
    window: 8s
    history: 2m
    bounds: 4
  - name: Odd one out
    type: outlier
    query: sum by (host) (load)
    by: host
    interval: 300ms
  - name: Disk fills
    type: forecast
    query: disk_used_percent
    interval: 300ms
    rollup: 10m
    history: 3h
    thresholds: {critical: 90, warning: 80}
    message: "{{host.name}} will be full within a day: {{value}} % now"
"#;

fn push(server: &Server, samples: &[Value]) {
    for part in samples.chunks(2000) {
        let answer = post(&server.url("/api/v1/metrics"), &[], json!(part).to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

fn sample(name: &str, (label, of): (&str, &str), at_s: f64, value: f64) -> Value {
    json!({"name": name, "timestamp": at_s, "value": value, "labels": {label: of}})
}

/// What is usual of the second.
fn usual(second: f64) -> f64 {
    20.0 + (second * 7919.0 % 101.0) / 50.0
}

/// Up to `now`: a disk that fills, a host that stands apart, latencies that jump, and requests that fall away and that rise.
fn troubles(now: f64) -> Vec<Value> {
    let mut samples = Vec::new();
    for minute in (0..=180).rev() {
        let at = now - f64::from(minute) * 60.0;
        samples.push(sample("disk_used_percent", ("host", "db1"), at, 70.0 - f64::from(minute) / 30.0));
        samples.push(sample("disk_used_percent", ("host", "db2"), at, 40.0));
        for number in 0..10 {
            let apart = if number == 3 { 50.0 } else { 0.0 };
            let host = format!("web{number}");
            samples.push(sample("load", ("host", &host), at, usual(at + f64::from(number)) + apart));
        }
    }
    for second in (0..300).rev() {
        let at = now - f64::from(second);
        samples.push(sample("latency_ms", ("service", "api"), at, if second < 12 { 900.0 } else { usual(at) }));
        for (service, moved) in [("shop", 0.0), ("search", 900.0)] {
            let value = if second < 12 { moved } else { usual(at) };
            samples.push(sample("request_rate", ("service", service), at, value));
        }
    }
    samples
}

#[test]
fn each_type_finds_its_trouble_and_tells_it_in_its_own_words() {
    let folder = TempDir::new().unwrap();
    let sink = Sink::start(&[]);
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let (routing, monitors) = (file("routing.toml", &webhooks(&[sink.url()], "")), file("monitors.yml", MONITORS));
    let settings = format!("[alerts]\nrouting_file = {routing:?}\n[monitors]\nfiles = {monitors:?}\n");
    let config = file("infrawatch.toml", &settings);
    let checked = infrawatch(&["config", "check", config.to_str().unwrap()]);
    assert!(checked.is_empty());
    let server = Server::start_with(&["--statsd-listen", "off", "--config", config.to_str().unwrap()]);
    let now = now_s().floor();
    push(&server, &troubles(now));
    let of = |server: &Server, matchers: &str| {
        let query = [("match", matchers), ("state", "active,resolved")];
        get_json(&server.url("/api/v1/alerts"), &query)["items"].as_array().unwrap().clone()
    };
    let one = |matchers: &str| eventually(matchers, SECONDS, || of(&server, matchers).pop());
    let odd = one(r#"{alert_type="outlier"}"#);
    assert_eq!((&odd["labels"]["host"], of(&server, r#"{alert_type="outlier"}"#).len()), (&json!("web3"), 1));
    let disk = one(r#"{alert_type="forecast"}"#);
    assert_eq!((&disk["severity"], of(&server, r#"{alert_type="forecast"}"#).len()), (&json!("critical"), 1));
    let summary = disk["summary"].as_str().unwrap();
    assert!(summary.starts_with("db1 will be full within a day: ") && summary.ends_with(" % now"), "{summary}");
    let slow = one(r#"{alert_type="anomaly",team="web"}"#);
    let print = slow["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!((&slow["name"], &slow["labels"]["service"]), (&json!("Slow"), &json!("api")));
    // ALR-022: fewer requests than usual are told, more are not.
    let idle = one(r#"{alertname="Idle"}"#);
    assert_eq!((&idle["labels"]["service"], of(&server, r#"{alertname="Idle"}"#).len()), (&json!("shop"), 1));
    let told =
        eventually("the sink is told", SECONDS, || sink.sent().into_iter().find(|sent| sent.text.contains(&print)));
    assert!(told.text.contains("@slack-ops"), "{}", told.text);
    let shown = get_json(&server.url("/api/v1/monitors"), &[]);
    assert_eq!((&shown["total"], &shown["error"]), (&json!(4), &Value::Null));
    let idle = &shown["items"][1];
    assert_eq!((&idle["direction"], &idle["failures"]), (&json!("below"), &json!(0)));
    let listed = infrawatch(&["alert", "monitors", "--server", &server.url("")]);
    assert_eq!((listed.len(), &listed[2]["type"]), (4, &json!("outlier")));
    // Through a crash the same alert goes on, until values are usual for long enough.
    let server = server.kill().restart();
    let over = eventually("it is well again", SECONDS, || {
        let at = now_s().floor();
        push(&server, &[sample("latency_ms", ("service", "api"), at, usual(at))]);
        of(&server, r#"{team="web"}"#).into_iter().find(|alert| alert["state"] == "resolved")
    });
    assert_eq!((&over["fingerprint"], &over["summary"]), (&json!(print), &json!("api is well again")));
    // It may be told together with others that go on.
    let is_told = |alert: &Value| alert["fingerprint"] == json!(print) && alert["state"] == "resolved";
    let recovery = eventually("the sink is told of the recovery", SECONDS, || {
        let told: Vec<Value> =
            sink.sent().iter().flat_map(|sent| sent.body["alerts"].as_array().cloned().unwrap_or_default()).collect();
        told.into_iter().find(is_told)
    });
    assert_eq!(recovery["summary"], "api is well again");
    assert_accounted(&server);
}

#[test]
fn a_mistake_in_a_file_of_monitors_stops_the_start_and_later_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("monitors.yml");
    std::fs::write(&file, MONITORS).unwrap();
    let settings = [("INFRAWATCH_MONITORS_FILES", file.to_str().unwrap())];
    let server = Server::start_with_settings(&settings);
    let total = |server: &Server| get_json(&server.url("/api/v1/monitors"), &[])["total"].as_u64();
    eventually("the monitors are in force", SECONDS, || (total(&server) == Some(4)).then_some(()));
    std::fs::write(&file, "monitors:\n- name: x\n  type: other\n  query: x\n").unwrap();
    let reloaded = post(&server.url("/-/reload"), &[], b"").unwrap();
    assert!(reloaded.status >= 400 && reloaded.body.contains("monitors.yml:2"), "{}", reloaded.body);
    eventually("the mistake is shown", SECONDS, || {
        let shown = get_json(&server.url("/api/v1/monitors"), &[]);
        (shown["error"].is_string() && shown["total"] == 4).then_some(())
    });
    std::fs::write(&file, "monitors: []\n").unwrap();
    eventually("the monitors are gone", SECONDS, || (total(&server) == Some(0)).then_some(()));
}
