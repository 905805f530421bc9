//! A spike in what is pushed becomes one anomaly on record, soon, in every place where it is to be seen, and stays there.
//!
//! Not here: what is unusual (see `src/analysis`), anomalies from outside (see `tests/rest_anomalies.rs`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use support::eventually;
use support::http::{get, get_json, post};
use support::server::Server;

const START_S: i64 = 1_700_000_000;
const STEP_S: i64 = 10;
/// Samples before the spike.
const HISTORY: i64 = 2000;
/// Far above what it takes, so that a loaded machine does not fail the test.
const SOON_SECONDS: u64 = 20;

/// Noise around 50, the same in every run, with one spike.
fn value(i: i64) -> f64 {
    let mixed = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    if i == HISTORY { 500.0 } else { 50.0 + (mixed >> 11) as f64 / (1u64 << 53) as f64 }
}

/// Sends samples of the series that will have a spike, and of one that never has.
fn push(server: &Server, range: std::ops::Range<i64>) {
    let item = |host: &str, i: i64| {
        let value = if host == "calm" { value(i + HISTORY + 1) } else { value(i) };
        json!({"name": "load", "labels": {"host": host}, "timestamp": START_S + i * STEP_S, "value": value})
    };
    let items: Vec<Value> = range.flat_map(|i| [item("odd", i), item("calm", i)]).collect();
    let answer = post(&server.url("/api/v1/metrics"), &[], json!(items).to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// The one anomaly of the metric, once it is in this state.
fn anomaly(server: &Server, state: &str) -> Value {
    let url = server.url("/api/v1/anomalies");
    eventually(&format!("the anomaly is {state}"), SOON_SECONDS, || {
        let list = get_json(&url, &[("metric_name", "load"), ("state", state)]);
        let total = list["total"].as_u64().unwrap();
        assert!(total <= 1, "one run, one anomaly: {list}");
        (total == 1).then(|| list["items"][0].clone())
    })
}

/// The lines of a metric on `/metrics`.
fn scraped(server: &Server, name: &str) -> Vec<String> {
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    page.lines().filter(|line| line.starts_with(&format!("{name}{{"))).map(str::to_owned).collect()
}

#[test]
fn a_spike_is_one_anomaly_everywhere_and_a_restart_keeps_it() {
    let server = Server::start();
    push(&server, 0..HISTORY);
    push(&server, HISTORY..HISTORY + 1);
    let open = anomaly(&server, "open");
    assert_eq!((&open["labels"], &open["value"], &open["end"]), (&json!({"host": "odd"}), &json!(500.0), &Value::Null));
    assert_eq!((&open["source"], &open["direction"]), (&json!("infrawatch"), &json!("above")));
    assert!(open["anomaly_score"].as_f64().unwrap() >= 0.6 && open["upper"].as_f64().unwrap() < 500.0, "{open}");
    assert!(!open["agreeing_detectors"].as_array().unwrap().is_empty(), "{open}");
    let scores = scraped(&server, "anomaly_score");
    let ensemble = scores.iter().find(|line| line.contains("detector_type=\"ensemble\"")).unwrap();
    assert!(ensemble.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() >= 0.59, "{ensemble}");

    push(&server, HISTORY + 1..HISTORY + 60);
    let closed = anomaly(&server, "closed");
    assert_eq!((&closed["id"], &closed["timestamp"]), (&open["id"], &open["timestamp"]));
    let id = closed["id"].as_str().unwrap();
    let one = server.url(&format!("/api/v1/anomalies/{id}"));
    assert_eq!(get_json(&one, &[]), closed);
    let stats = get_json(&server.url("/api/v1/anomalies/stats"), &[]);
    assert_eq!((&stats["total"], &stats["by_metric"]), (&json!(1), &json!([{"metric_name": "load", "count": 1}])));
    let metric = get_json(&server.url("/api/v1/metrics/load"), &[]);
    let anomalies: Vec<_> = metric["series"].as_array().unwrap().iter().map(|one| &one["anomalies"]).collect();
    assert_eq!(anomalies, [&json!([]), &json!([closed])], "host calm has none");
    let listed = get_json(&server.url("/api/v1/metrics"), &[("match", "{host=\"odd\"}")]);
    assert_eq!((&listed["items"][0]["kind"], &listed["items"][0]["samples"]), (&json!("gauge"), &json!(HISTORY + 60)));
    assert_eq!(get_json(&server.url("/health"), &[])["models_loaded"], 2);
    let counts = scraped(&server, "anomaly_detected_total");
    let severity = closed["severity"].as_str().unwrap();
    let ensemble =
        format!("anomaly_detected_total{{metric_name=\"load\",detector_type=\"ensemble\",severity=\"{severity}\"}} 1");
    assert!(counts.contains(&ensemble), "{counts:?}");

    let server = server.stop().restart();
    assert_eq!(
        (anomaly(&server, "closed"), scraped(&server, "anomaly_detected_total")),
        (closed.clone(), counts.clone())
    );
    let server = server.kill().restart();
    assert_eq!((anomaly(&server, "closed"), scraped(&server, "anomaly_detected_total")), (closed, counts));
    server.stop();
}

#[test]
fn an_anomaly_that_goes_on_at_a_crash_goes_on_after_it_and_ends_once() {
    let server = Server::start();
    push(&server, 0..HISTORY);
    push(&server, HISTORY..HISTORY + 1);
    let before = anomaly(&server, "open");
    let server = server.kill().restart();
    assert_eq!(anomaly(&server, "open")["id"], before["id"]);
    push(&server, HISTORY + 1..HISTORY + 60);
    assert_eq!(anomaly(&server, "closed")["id"], before["id"]);
    assert_eq!(get_json(&server.url("/api/v1/anomalies"), &[])["total"], 1);
    server.stop();
}
