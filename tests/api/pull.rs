//! The pull service: training on the answer of an expression, predicting, and the gauges and list of models.

use super::support::eventually;
use super::support::http::{delete, get, get_json, post};
use super::support::server::Server;
use super::{ask, body_of, now_ms, refused};
use serde_json::{Value, json};

const MINUTE_MS: i64 = 60_000;

/// `count` samples a minute apart, the last one a minute ago; the one five minutes ago is a spike where asked for.
fn push(server: &Server, name: &str, count: i64, has_spike: bool) {
    let end_ms = now_ms(server) / MINUTE_MS * MINUTE_MS;
    let sample = |back: i64| {
        let noise = (back * 7919 % 101) as f64 / 50.0;
        let value = if has_spike && back == 5 { 900.0 } else { 50.0 + noise };
        let labels = json!({"instance": "a:1", "job": "api"});
        json!({"name": name, "timestamp": end_ms - back * MINUTE_MS, "value": value, "labels": labels})
    };
    let body = Value::from((1..=count).rev().map(sample).collect::<Vec<_>>());
    let answer = post(&server.url("/api/v1/metrics"), &[], body.to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn predict(server: &Server, parameters: &[(&str, &str)]) -> super::Answer {
    get(&server.url("/predict"), parameters).unwrap()
}

#[test]
fn training_has_its_five_outcomes() {
    let server = Server::start();
    // A minute may pass while this runs, and with it one more instant has a value.
    push(&server, "few", 95, false);
    push(&server, "many", 1000, false);
    for path in ["/train", "/api/v1/train"] {
        let missing = ask(&server, path, &json!({}));
        refused(&missing, 400, Some("promql"));
        assert_eq!(body_of(&missing, 400)["error"], "promql is required");
        let nothing = ask(&server, path, &json!({"promql": "nowhere"}));
        assert_eq!(body_of(&nothing, 404)["error"], "No data returned from Prometheus");
        let few = body_of(&ask(&server, path, &json!({"promql": "few"})), 400);
        let said = few["error"].as_str().unwrap();
        assert!(said.starts_with("Insufficient data: 9") && said.ends_with(" samples (need 100+)"), "{said}");
        refused(&ask(&server, path, &json!({"promql": "sum(("})), 400, Some("promql"));
    }
    let trained = body_of(&ask(&server, "/train", &json!({"promql": "many + 0"})), 200);
    assert_eq!((trained["status"].as_str(), trained["model_name"].as_str()), (Some("trained"), Some("many_+_0")));
    assert_eq!(trained["training_period_days"], 14.0);
    assert!(trained["samples"].as_u64().unwrap() >= 1000);
    assert!(std::path::Path::new(trained["model_path"].as_str().unwrap()).exists());
    server.stop();
}

#[test]
fn predicting_finds_the_spike_and_a_restart_forgets_nothing() {
    let server = Server::start();
    push(&server, "latency", 1000, true);
    body_of(&ask(&server, "/train", &json!({"promql": "latency", "model_name": "m 1"})), 200);
    let server = server.kill().restart();
    let both = [("promql", "latency"), ("model_name", "m 1")];
    let predicted = body_of(&predict(&server, &both), 200);
    let count = |field: &str| predicted[field].as_array().unwrap().len();
    assert!((55..=61).contains(&predicted["total_samples"].as_u64().unwrap()), "{predicted}");
    assert!(count("predictions") <= 100 && (1..=20).contains(&count("anomalies")), "{predicted}");
    let spike = predicted["anomalies"].as_array().unwrap().iter().find(|one| one["value"] == 900.0);
    let spike = spike.unwrap_or_else(|| panic!("{predicted}"));
    assert_eq!((&spike["is_anomaly"], &spike["metric"]["job"]), (&json!(true), &json!("api")));
    let long = [both[0], both[1], ("lookback_minutes", "900")];
    assert_eq!(body_of(&predict(&server, &long), 200)["predictions"].as_array().unwrap().len(), 100);

    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    for line in [
        "ml_anomaly_score{metric_name=\"latency\",instance=\"a:1\",job=\"api\"}",
        "ml_anomaly_flag{metric_name=\"latency\",instance=\"a:1\",job=\"api\"}",
        "# HELP ml_anomaly_score ML anomaly score for metric\n",
    ] {
        assert!(page.contains(line), "{line}");
    }
    let models = eventually("the live model has caught up", 30, || {
        Some(get_json(&server.url("/api/v1/models"), &[])).filter(|models| models["total"] == 3)
    });
    let [shared, forest, live] = [0, 1, 2].map(|at| &models["items"][at]);
    assert_eq!((&shared["type"], &shared["foundation"]["source"]), (&json!("foundation"), &json!("embedded")));
    assert_eq!(
        (&forest["type"], &forest["name"], &forest["version"]),
        (&json!("isolation_forest"), &json!("m 1"), &json!("1"))
    );
    assert_eq!((&live["type"], &live["metric"]), (&json!("ensemble"), &json!("latency")));
    let one = get_json(&server.url("/api/v1/models/m%201"), &[]);
    assert!(one["drift"]["psi"].as_f64().is_some(), "{one}");
    assert_eq!(delete(&server.url("/api/v1/models/m%201")).unwrap().status, 204);
    let gone = body_of(&predict(&server, &both), 404);
    assert_eq!(gone["error"], "Model not found: m 1. Train first.");
    server.stop();
}

#[test]
fn predicting_needs_both_names_and_passes_over_short_series() {
    let server = Server::start();
    push(&server, "long", 200, false);
    let missing = predict(&server, &[("promql", "long")]);
    assert_eq!(body_of(&missing, 400)["error"], "promql and model_name are required");
    body_of(&ask(&server, "/train", &json!({"promql": "long"})), 200);
    let of = |minutes| {
        let answer = predict(&server, &[("promql", "long"), ("model_name", "long"), ("lookback_minutes", minutes)]);
        let body = body_of(&answer, 200);
        (body["series_skipped"].as_u64().unwrap(), body["total_samples"].as_u64().unwrap() > 0)
    };
    assert_eq!((of("8"), of("30")), ((1, false), (0, true)));
    server.stop();
}

#[cfg(feature = "ml")]
#[test]
fn an_autoencoder_is_trained_by_name_and_flags_a_shape_after_a_restart() {
    let server = Server::start();
    // A wave of twenty minutes, which stands still at an ordinary value from 30 minutes ago on, for twelve minutes.
    let end_ms = now_ms(&server) / MINUTE_MS * MINUTE_MS;
    let sample = |back: i64| {
        let wave = (back as f64 * std::f64::consts::TAU / 20.0).sin() + (back * 7919 % 13) as f64 * 0.01;
        let value = if (18..30).contains(&back) { 0.9 } else { wave };
        let labels = json!({"instance": "a:1", "job": "api"});
        json!({"name": "wave", "timestamp": end_ms - back * MINUTE_MS, "value": value, "labels": labels})
    };
    let body = Value::from((1..=700).rev().map(sample).collect::<Vec<_>>());
    assert_eq!(post(&server.url("/api/v1/metrics"), &[], body.to_string().as_bytes()).unwrap().status, 200);
    let asked = |kind: &str| ask(&server, "/train", &json!({"promql": "wave", "model_name": "w", "model_type": kind}));
    refused(&asked("transformer"), 400, Some("model_type"));
    let trained = body_of(&asked("autoencoder"), 200);
    let network = &trained["networks"][0];
    assert_eq!((&trained["model_type"], &network["window"]), (&json!("autoencoder"), &json!(60)));
    assert_eq!(network["metric"]["job"], "api");
    let number = |field: &str| network[field].as_f64().unwrap_or_else(|| panic!("{field}: {trained}"));
    assert!(number("validation_loss") < 1.0 && number("epochs") <= 50.0 && number("threshold") > 0.0, "{trained}");
    let server = server.kill().restart();
    let parameters = [("promql", "wave"), ("model_name", "w"), ("lookback_minutes", "120")];
    let predicted = body_of(&predict(&server, &parameters), 200);
    let flagged: Vec<i64> = predicted["anomalies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let time = one["timestamp"].as_str().unwrap();
            (end_ms - time.parse::<jiff::Timestamp>().unwrap().as_millisecond()) / MINUTE_MS
        })
        .collect();
    assert!(flagged.iter().any(|back| (1..30).contains(back)), "{flagged:?} of {predicted}");
    let listed = get_json(&server.url("/api/v1/models"), &[("type", "autoencoder,lstm_autoencoder")]);
    assert_eq!((&listed["total"], &listed["items"][0]["type"]), (&json!(1), &json!("autoencoder")));
    server.stop();
}
