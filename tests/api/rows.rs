//! What a service that trained models and exported scores promised, and what came with its settings: kept here too.

use super::support::eventually;
use super::support::http::{get, get_json, post, request};
use super::support::server::Server;
use super::{ask, body_of, now_ms};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tempfile::TempDir;

const MINUTE_MS: i64 = 60_000;

fn push(server: &Server, samples: Vec<Value>) {
    body_of(&ask(server, "/api/v1/metrics", &Value::from(samples)), 200);
}

/// `count` values a minute apart until now.
fn minutes(server: &Server, name: &str, count: i64) {
    let end_ms = now_ms(server) / MINUTE_MS * MINUTE_MS;
    let sample = |back: i64| {
        let value = 50.0 + (back * 7919 % 101) as f64 / 50.0;
        json!({"name": name, "timestamp": end_ms - back * MINUTE_MS, "value": value})
    };
    push(server, (0..count).rev().map(sample).collect());
}

fn value(server: &Server, line: &str) -> Option<f64> {
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    page.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn the_shipped_expressions_are_evaluated_and_scored_while_the_page_is_served() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/watched.toml");
    let metrics = infrawatch::watch::read(&shipped).unwrap();
    let server = Server::start_with_settings(&[
        ("INFRAWATCH_WATCH_FILE", shipped.to_str().unwrap()),
        ("INFRAWATCH_WATCH_INTERVAL", "1s"),
    ]);
    let end_ms = now_ms(&server);
    let mut samples = Vec::new();
    // Half of the requests take at most 0.1 s, all at most 0.5 s; one in ten fails; four come a second.
    for step in 0..120i64 {
        let (time_ms, requests) = (end_ms - (119 - step) * 15_000, 60 * step);
        for (le, share) in [("0.1", 0.5), ("0.5", 1.0), ("+Inf", 1.0)] {
            let value = requests as f64 * share;
            samples.push(json!({"name": "http_request_duration_seconds_bucket", "labels": {"le": le}, "timestamp": time_ms, "value": value}));
        }
        for (status, share) in [("200", 0.9), ("503", 0.1)] {
            let value = requests as f64 * share;
            samples.push(json!({"name": "http_requests_total", "labels": {"status": status}, "timestamp": time_ms, "value": value}));
        }
    }
    push(&server, samples);
    // By hand: 0.1 s and 49/50 of the way to 0.5 s; a tenth; four.
    let time = (end_ms as f64 / 1000.0).to_string();
    for (metric, expected) in metrics.iter().zip([0.1 + 0.4 * 0.98, 0.1, 4.0]) {
        let answer = get_json(&server.url("/api/v1/query"), &[("query", &metric.query), ("time", &time)]);
        let text = answer["data"]["result"][0]["value"][1].as_str().unwrap_or_else(|| panic!("{answer}"));
        let found: f64 = text.parse().unwrap();
        assert!((found - expected).abs() < 1e-9, "{}: {found}, by hand {expected}", metric.name);
    }
    for metric in &metrics {
        let line = format!("anomaly_score{{metric_name=\"{}\",detector_type=\"{}\"}}", metric.name, metric.detector);
        eventually(&line, 60, || value(&server, &line));
        let errors = format!("infrawatch_watch_errors_total{{metric_name=\"{}\"}}", metric.name);
        assert_eq!(value(&server, &errors), Some(0.0));
    }
    server.stop();
}

#[test]
fn samples_of_a_prometheus_and_a_directory_of_models_are_those_of_the_environment() {
    let other = Server::start();
    minutes(&other, "remote_latency", 300);
    let folder = TempDir::new().unwrap();
    let (url, models) = (other.url("/"), folder.path().join("models"));
    let server = Server::start_with_settings(&[
        ("PROMETHEUS_URL", &url),
        ("MODEL_DIR", models.to_str().unwrap()),
        ("INFRAWATCH_PULL_DETECT_INTERVAL", "1s"),
        ("INFRAWATCH_HEALTH_CHECK_INTERVAL", "1s"),
    ]);
    let trained = body_of(&ask(&server, "/train", &json!({"promql": "remote_latency"})), 200);
    assert!(Path::new(trained["model_path"].as_str().unwrap()).starts_with(&models), "{trained}");
    assert_eq!(std::fs::read_dir(&models).unwrap().count(), 1);
    // Nobody asks the model, and still it judges.
    let score = "ml_anomaly_score{metric_name=\"remote_latency\",instance=\"unknown\",job=\"unknown\"}";
    eventually("the model judges by itself", 60, || value(&server, score));
    eventually("its drift is shown", 60, || {
        value(&server, "infrawatch_model_drift{model_name=\"remote_latency\",test=\"psi\"}")
    });
    eventually("the server looked at itself", 60, || {
        value(&server, "infrawatch_health{component=\"journal\"}").filter(|healthy| *healthy == 1.0)
    });
    other.stop();
    // A Prometheus that is gone is an error of its own, and of nothing else.
    let gone = body_of(&ask(&server, "/train", &json!({"promql": "remote_latency"})), 503);
    assert!(gone["error"].as_str().unwrap().contains("no answer from http://"), "{gone}");
    eventually("the error is counted", 60, || {
        value(&server, "infrawatch_model_sweep_errors_total").filter(|errors| *errors >= 1.0)
    });
    server.stop();
}

#[test]
fn a_model_that_cannot_be_written_down_is_an_error_of_the_server() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "no directory").unwrap();
    let inside = file.join("models");
    let server = Server::start_with_settings(&[("MODEL_DIR", inside.to_str().unwrap())]);
    minutes(&server, "latency", 300);
    let failed = body_of(&ask(&server, "/train", &json!({"promql": "latency"})), 500);
    assert!(failed["error"].as_str().is_some_and(|error| !error.is_empty()), "{failed}");
    server.stop();
}

#[test]
fn long_work_of_readers_holds_up_neither_writers_nor_probes() {
    const LONG: usize = 24;
    let server = Server::start();
    let end_ms = now_ms(&server);
    for part in 0..4i64 {
        let sample = |i: i64| {
            let back = 40_000 - part * 10_000 - i;
            json!({"name": "long", "timestamp": end_ms - back * 1000, "value": 50.0 + (i * 7919 % 101) as f64 / 50.0})
        };
        push(&server, (0..10_000).map(sample).collect());
    }
    let unanswered = AtomicUsize::new(LONG);
    let body = json!({"detectors": ["isolation_forest", "stl_residual", "gesd"]}).to_string();
    thread::scope(|scope| {
        for _ in 0..LONG {
            scope.spawn(|| {
                let answer = request("POST", &server.url("/api/v1/detect/long"), &[], body.as_bytes()).unwrap();
                assert_eq!(answer.status, 200, "{}", answer.body);
                unanswered.fetch_sub(1, Ordering::SeqCst);
            });
        }
        eventually("the first long request is answered, so that others are in work", 120, || {
            (unanswered.load(Ordering::SeqCst) < LONG).then_some(())
        });
        push(&server, vec![json!({"name": "short", "value": 1})]);
        assert_eq!(get(&server.url("/health"), &[]).unwrap().status, 200);
        assert_eq!(get(&server.url("/metrics"), &[]).unwrap().status, 200);
        let left = unanswered.load(Ordering::SeqCst);
        assert!(left > 0, "a write and two pages were answered before all the long requests were");
    });
    server.stop();
}

#[test]
fn anomalies_alerts_models_metrics_and_health_have_documented_paths() {
    let server = Server::start();
    let document = get_json(&server.url("/openapi.json"), &[]);
    let paths = document["paths"].as_object().unwrap();
    for path in ["/api/v1/anomalies", "/api/v1/models", "/api/v1/metrics/{name}", "/api/v1/alerts", "/health"] {
        assert!(paths.contains_key(path), "{path}");
    }
    // The page that shows them loads nothing from elsewhere.
    let page = get(&server.url("/docs"), &[]).unwrap().body;
    assert!(page.contains("openapi.json") && !page.contains("https://"), "{page}");
    server.stop();
}

#[test]
fn an_anomaly_that_was_saved_is_listed_with_the_total() {
    let server = Server::start();
    let saved = post(&server.url("/api/v1/anomalies"), &[], b"{\"metric_name\": \"cpu\"}").unwrap();
    assert_eq!(saved.status, 201);
    assert!(get_json(&server.url("/api/v1/anomalies"), &[("limit", "1")])["total"].as_u64().unwrap() > 0);
    server.stop();
}

#[test]
fn chosen_series_are_judged_by_windows_and_an_unusual_minute_warns() {
    let folder = TempDir::new().unwrap();
    let document = "pipeline:\n  windowing: {size_ms: 60000, step_ms: 10000, min_samples: 15}\n  normalization: {strategy: per_metric_family, \
                    update_frequency: 1000_points}\n  model: {path: /models/m.onnx, calibration_window: 60, std_multiplier: 3.0, \
                    fallback_strategy: statistical_baseline}\n  alerting: {cooldown_ms: 300000, severity_thresholds: {warning: 1.5, critical: 2.5}, \
                    deduplication: metric_id + severity}\n  monitoring: {drift_test: psi, drift_threshold: 0.2, metrics_export: prometheus, \
                    health_check_interval: 10s}\n";
    let (yaml, toml) = (folder.path().join("pipeline.yaml"), folder.path().join("a.toml"));
    std::fs::write(&yaml, document).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    let imported =
        command.args(["config", "import"]).arg(&yaml).arg("--output").arg(&toml).env_clear().output().unwrap();
    assert!(imported.status.success(), "{imported:?}");
    // Without the live models, so that what is found was found by windows.
    let settings = [("INFRAWATCH_CONFIG", toml.to_str().unwrap()), ("INFRAWATCH_MODELS_ENABLED", "false")];
    let server = Server::start_with_settings(&settings);
    let end_ms = now_ms(&server);
    let sample =
        |back: i64, value: f64| json!({"name": "queue_len", "timestamp": end_ms - back * 1000, "value": value});
    let usual = |at: i64| 50.0 + (at * 7919 % 101) as f64 / 50.0;
    push(&server, (301..=1800).rev().map(|back| sample(back, usual(back))).collect());
    eventually("the past is learned", 60, || {
        value(&server, "infrawatch_pipeline_windows_total").filter(|windows| *windows > 100.0)
    });
    assert_eq!(get_json(&server.url("/api/v1/anomalies"), &[])["total"], 0);
    let unusual = |back: i64| if (100..160).contains(&back) { 95.0 } else { usual(back) };
    push(&server, (0..=300).rev().map(|back| sample(back, unusual(back))).collect());
    let found = eventually("the unusual minute", 60, || {
        let list =
            get_json(&server.url("/api/v1/anomalies"), &[("metric_name", "queue_len"), ("severity", "critical")]);
        list["items"].get(0).cloned()
    });
    assert_eq!((&found["kind"], &found["direction"]), (&json!("collective"), &json!("above")), "{found}");
    assert!(found["votes"].get("window_baseline").is_some(), "{found}");
    let alert = eventually("its alert", 60, || {
        let list = get_json(&server.url("/api/v1/alerts"), &[("state", "active,acknowledged,resolved")]);
        list["items"].get(0).cloned()
    });
    assert_eq!(alert["severity"], "critical", "{alert}");
    server.stop();
}
