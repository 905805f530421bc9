//! Metrics over REST: what there is, what it was and what was expected, what is unusual in it, and what comes next.
//!
//! Not here: anomalies on record (see `tests/rest_anomalies.rs`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::fmt::Write;
use support::http::{Answer, get, get_json, post};
use support::server::Server;

/// Monday, 2023-11-13 00:00 UTC.
const START_S: i64 = 1_699_833_600;
const STEP_S: i64 = 300;
/// Eight days.
const SAMPLES: i64 = 8 * 288;
/// Where the one spike is, on the last day.
const SPIKE: i64 = SAMPLES - 100;

/// A day's wave with some noise, the same in every run.
fn value(i: i64) -> f64 {
    let noise = ((i as u64).wrapping_mul(6_364_136_223_846_793_005) >> 40) as f64 / 1e7;
    let wave = 20.0 * (i as f64 * std::f64::consts::TAU / 288.0).sin();
    50.0 + wave + noise + if i == SPIKE { 500.0 } else { 0.0 }
}

fn time_s(i: i64) -> i64 {
    START_S + i * STEP_S
}

/// RFC 3339 of the sample's time, as answers have it.
fn time(i: i64) -> String {
    let time = jiff::Timestamp::from_second(time_s(i)).unwrap();
    format!("{time:.3}")
}

fn push(server: &Server, name: &str, host: &str, value: impl Fn(i64) -> f64, count: i64) {
    let mut body = "[".to_owned();
    for i in 0..count {
        let separator = if i == 0 { "" } else { "," };
        let (at, value) = (time_s(i), value(i));
        let _ = write!(
            body,
            "{separator}{{\"name\":\"{name}\",\"timestamp\":{at},\"value\":{value},\"labels\":{{\"host\":\"{host}\"}}}}"
        );
    }
    body.push(']');
    let answer = post(&server.url("/api/v1/metrics"), &[], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// A server with one series of eight days and two short ones.
fn filled() -> Server {
    let server = Server::start();
    push(&server, "cpu_percent", "a", value, SAMPLES);
    push(&server, "disk/used_bytes", "a", |i| 1e6 + 1e3 * i as f64, SAMPLES);
    push(&server, "short", "b", |i| i as f64, 1);
    server
}

fn ask(server: &Server, path: &str, body: &Value) -> Answer {
    post(&server.url(path), &[], body.to_string().as_bytes()).unwrap()
}

fn asked(server: &Server, path: &str, body: &Value) -> Value {
    let answer = ask(server, path, body);
    assert_eq!(answer.status, 200, "{path} {body}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn refused(answer: Answer, status: u16, field: Option<&str>) -> Value {
    assert_eq!(answer.status, status, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(body["error"].as_str().is_some_and(|error| !error.is_empty()), "{body}");
    assert_eq!(body.get("field").and_then(Value::as_str), field, "{body}");
    body
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn metrics_are_listed_with_their_newest_sample_and_pages() {
    let server = filled();
    let url = server.url("/api/v1/metrics");
    let all = get_json(&url, &[]);
    assert_eq!(all["total"], 3, "{all}");
    let names: Vec<_> = all["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cpu_percent", "disk/used_bytes", "short"]);
    let cpu = &all["items"][0];
    assert_eq!((&cpu["labels"], &cpu["unit"]), (&json!({"host": "a"}), &json!("percent")));
    assert_eq!(cpu["last_time"], time(SAMPLES - 1));
    assert_eq!(cpu["last_value"].as_f64(), Some(value(SAMPLES - 1)));
    assert_eq!(cpu["id"].as_str().map(str::len), Some(16));
    assert!(["warming", "daily", "weekly", "ready"].contains(&cpu["state"].as_str().unwrap()), "{cpu}");
    assert!(cpu["samples"].is_u64() && cpu.get("kind").is_some());
    let page = get_json(&url, &[("skip", "1"), ("limit", "1")]);
    assert_eq!((&page["total"], &page["items"][0]["name"]), (&json!(3), &json!("disk/used_bytes")));
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(get_json(&url, &[("search", "CPU")])["total"], 1);
    assert_eq!(get_json(&url, &[("match", "{host=\"b\"}"), ("match", "{__name__=~\"cpu.*\"}")])["total"], 2);
    for (name, value) in [("limit", "0"), ("limit", "1001"), ("skip", "-1"), ("match", "sum(x)")] {
        refused(get(&url, &[(name, value)]).unwrap(), 400, Some(name));
    }
    server.stop();
}

#[test]
fn a_metric_shows_its_samples_with_what_was_expected() {
    let server = filled();
    let url = server.url("/api/v1/metrics/cpu_percent");
    let shown = get_json(&url, &[]);
    let series = &shown["series"][0];
    assert_eq!((&shown["name"], &series["labels"]), (&json!("cpu_percent"), &json!({"host": "a"})));
    assert_eq!(series["kind"], "gauge");
    assert_eq!(series["seasons"][0]["period_s"], 86_400.0, "{}", series["seasons"]);
    let points = series["points"].as_array().unwrap();
    assert_eq!(points.len(), 289, "a day up to the newest sample, both ends included");
    assert_eq!(
        (&points[288]["timestamp"], points[288]["value"].as_f64()),
        (&json!(time(SAMPLES - 1)), Some(value(SAMPLES - 1)))
    );
    let odd: Vec<_> = points.iter().filter(|point| point["is_anomaly"] == true).collect();
    assert_eq!((odd.len(), &odd[0]["timestamp"]), (1, &json!(time(SPIKE))));
    assert!(odd[0]["score"].as_f64().unwrap() >= 0.6 && odd[0]["upper"].as_f64().unwrap() < 500.0, "{}", odd[0]);
    assert!(points.iter().all(|point| point["imputed"] == false && point["expected"].is_f64()));
    assert!(series["anomalies"].is_array());

    let (start, end) = (time_s(SPIKE - 10).to_string(), time_s(SPIKE + 9).to_string());
    let hours = get_json(&url, &[("start", &start), ("end", &end), ("step", "50m")]);
    let points = hours["series"][0]["points"].as_array().unwrap();
    assert_eq!(points.len(), 2);
    assert!(points[1]["is_anomaly"] == true && points[1]["value"].as_f64().unwrap() > 500.0, "no step hides the spike");
    let rfc = get_json(&url, &[("start", time(SPIKE).as_str()), ("end", time(SPIKE).as_str())]);
    assert_eq!(rfc["series"][0]["points"].as_array().unwrap().len(), 1);
    assert_eq!(get_json(&url, &[("match", "{host=\"none\"}")])["series"], json!([]));
    let slashed = get_json(&server.url("/api/v1/metrics/disk%2Fused_bytes"), &[]);
    assert_eq!((&slashed["name"], &slashed["series"][0]["kind"]), (&json!("disk/used_bytes"), &json!("counter")));

    refused(get(&server.url("/api/v1/metrics/disk%252Fused_bytes"), &[]).unwrap(), 404, None);
    refused(get(&server.url("/api/v1/metrics/none"), &[]).unwrap(), 404, None);
    refused(get(&server.url("/api/v1/metrics/%ff"), &[]).unwrap(), 400, None);
    refused(get(&url, &[("start", "yesterday")]).unwrap(), 400, Some("start"));
    refused(get(&url, &[("start", "200"), ("end", "100")]).unwrap(), 400, Some("end"));
    refused(get(&url, &[("step", "-5")]).unwrap(), 400, Some("step"));
    let many = refused(get(&url, &[("step", "1s")]).unwrap(), 422, Some("step"));
    assert_eq!(many["count"], 86_401);
    server.stop();
}

#[test]
fn too_many_series_or_samples_at_a_time_are_refused_with_their_count() {
    let server = Server::start_with_settings(&[("INFRAWATCH_QUERY_MAX_POINTS", "50")]);
    push(&server, "cpu", "a", value, 60);
    let hosts: Vec<_> =
        (0..101).map(|host| json!({"name": "many", "value": 1, "labels": {"host": host.to_string()}})).collect();
    assert_eq!(ask(&server, "/api/v1/metrics", &json!(hosts)).status, 200);
    for answer in [
        get(&server.url("/api/v1/metrics/many"), &[]).unwrap(),
        ask(&server, "/api/v1/detect/many", &json!({})),
        ask(&server, "/api/v1/forecast/many", &json!({})),
    ] {
        assert_eq!(refused(answer, 422, Some("match"))["count"], 101);
    }
    assert_eq!(
        get_json(&server.url("/api/v1/metrics/many"), &[("match", "{host=~\"1.\"}")])["series"]
            .as_array()
            .unwrap()
            .len(),
        10
    );
    assert_eq!(refused(get(&server.url("/api/v1/metrics/cpu"), &[]).unwrap(), 422, Some("step"))["count"], 60);
    server.stop();
}

#[test]
fn detection_over_what_is_stored_finds_the_spike_and_says_who_saw_it() {
    let server = filled();
    let path = "/api/v1/detect/cpu_percent";
    let found = asked(&server, path, &json!({"start": time_s(SPIKE - 50), "end": time(SPIKE + 50)}));
    assert_eq!(
        (&found["metric"], &found["total_points"], &found["anomalies_detected"]),
        (&json!("cpu_percent"), &json!(101), &json!(1)),
        "{found}"
    );
    assert!(["low", "medium", "high", "critical"].contains(&found["max_severity"].as_str().unwrap()));
    assert!(found["duration_ms"].is_u64());
    let series = &found["series"][0];
    let anomaly = &series["anomalies"][0];
    assert_eq!((&anomaly["timestamp"], &anomaly["metric_name"]), (&json!(time(SPIKE)), &json!("cpu_percent")));
    assert!(anomaly["summary"].as_str().unwrap().contains("expected"), "{anomaly}");
    let results = series["results"].as_array().unwrap();
    assert_eq!(results.len(), 1, "only what is anomalous");
    assert_eq!(
        keys(&results[0]),
        [
            "agreeing_detectors",
            "combined_score",
            "confidence",
            "contributions",
            "counterfactual",
            "individual_scores",
            "is_anomaly",
            "timestamp",
            "value"
        ]
    );
    assert!(results[0]["individual_scores"].as_object().unwrap().len() >= 6);
    assert!(!results[0]["agreeing_detectors"].as_array().unwrap().is_empty());

    let all = asked(&server, &format!("{path}?all=true"), &json!({"match": "{host=\"a\"}"}));
    assert_eq!(
        (all["series"][0]["results"].as_array().unwrap().len() as i64, &all["total_points"]),
        (SAMPLES, &json!(SAMPLES))
    );
    let scores =
        all["series"][0]["results"].as_array().unwrap().iter().map(|result| result["combined_score"].as_f64().unwrap());
    assert!(scores.into_iter().all(|score| (0.0..=1.0).contains(&score)));
    let count = |body: Value| asked(&server, path, &body)["series"][0]["results"].as_array().unwrap().len();
    assert_eq!(count(json!({"threshold": 1})), 0);
    let by_rule = ["unanimous", "majority", "any"].map(|rule| count(json!({"ensemble": rule})));
    assert!(by_rule.is_sorted() && by_rule[2] >= 1, "{by_rule:?}");
    assert!(count(json!({"ensemble": "any", "threshold": 0.99})) <= by_rule[2]);

    refused(ask(&server, "/api/v1/detect/none", &json!({})), 404, None);
    for (field, value) in [
        ("surprise", json!(1)),
        ("detectors", json!(["madness"])),
        ("detectors", json!("peer_mad")),
        ("threshold", json!(2)),
        ("ensemble", json!("vote")),
        ("start", json!("soon")),
        ("end", json!(true)),
        ("match", json!("{")),
    ] {
        refused(ask(&server, path, &json!({field: value})), 400, Some(field));
    }
    refused(ask(&server, path, &json!({"start": 20, "end": 10})), 400, Some("end"));
    refused(post(&server.url(path), &[], b"{").unwrap(), 400, None);
    refused(post(&server.url(path), &[], &[b' '; 70_000]).unwrap(), 413, None);
    server.stop();
}

#[test]
fn detectors_asked_for_by_name_judge_what_is_stored_and_their_shares_add_up() {
    let server = filled();
    let path = "/api/v1/detect/cpu_percent";
    let named =
        asked(&server, path, &json!({"match": "{host=\"a\"}", "detectors": ["mad", "zscore"], "ensemble": "any"}));
    let (anomalies, results) = (&named["series"][0]["anomalies"], named["series"][0]["results"].as_array().unwrap());
    assert_eq!(keys(&results[0]["individual_scores"]), ["mad", "zscore"]);
    assert!(results.iter().any(|result| result["timestamp"] == time(SPIKE)), "{results:?}");
    assert!(
        anomalies.as_array().unwrap().iter().any(|anomaly| keys(&anomaly["votes"]) == ["mad", "zscore"]),
        "{anomalies}"
    );
    for result in results {
        let shares = result["contributions"].as_object().unwrap().values().map(|share| share.as_f64().unwrap());
        assert!((shares.sum::<f64>() - result["combined_score"].as_f64().unwrap()).abs() < 1e-9, "{result}");
    }
    server.stop();
}

/// ENS-012, ENS-019.
#[test]
fn other_metrics_of_a_host_are_features_of_a_forest_that_abstains_without_them() {
    let server = Server::start();
    let load = |i: i64| (i * 7919 % 101) as f64;
    push(&server, "load", "a", |i| if i == 300 { 1.0 } else { load(i) }, 600);
    push(&server, "latency", "a", |i| if i == 300 { 395.0 } else { 200.0 + 2.0 * load(i) }, 600);
    let path = "/api/v1/detect/latency?all=true";
    let told = asked(&server, path, &json!({"features": ["load"], "by": ["host"]}));
    let results = told["series"][0]["results"].as_array().unwrap();
    let names = ["ema", "isolation_forest", "seasonal", "zscore"];
    assert_eq!(keys(&results[0]["individual_scores"]), names);
    let score = |at: usize| results[at]["individual_scores"]["isolation_forest"].as_f64().unwrap();
    assert!(score(300) >= 0.6 && (0..600).filter(|at| score(*at) >= 0.6).count() <= 6, "{}", score(300));
    let alone = asked(&server, path, &json!({"features": ["no_such_metric"]}));
    assert!(alone["series"][0]["results"][300]["individual_scores"]["isolation_forest"].is_null());
    refused(ask(&server, path, &json!({"by": ["host"]})), 400, Some("by"));
    server.stop();
}

#[test]
fn a_forecast_has_a_band_and_says_when_the_limit_is_reached() {
    let server = filled();
    let path = "/api/v1/forecast/disk%2Fused_bytes";
    let newest = 1e6 + 1e3 * (SAMPLES - 1) as f64;
    // 288 000 a day: the limit is ten days away.
    let body = json!({"horizon": 48, "capacity_threshold": newest + 2_880_000.0, "level": 90});
    let found = asked(&server, path, &body);
    assert_eq!(found["metric"], "disk/used_bytes");
    let series = &found["series"][0];
    assert_eq!(
        keys(series),
        [
            "days_to_exhaustion",
            "exhaustion",
            "held_out_error",
            "labels",
            "lower_bound",
            "method",
            "predicted_values",
            "sawtooth",
            "seasons",
            "sla_risk_score",
            "sla_time_share",
            "timestamps",
            "trend",
            "trend_per_day",
            "upper_bound"
        ]
    );
    for column in ["timestamps", "predicted_values", "lower_bound", "upper_bound"] {
        assert_eq!(series[column].as_array().unwrap().len(), 48, "{column}");
    }
    assert_eq!(series["timestamps"][0], time(SAMPLES), "steps of an hour, from the hour after the newest sample");
    let days = series["days_to_exhaustion"].as_f64().unwrap();
    assert!((9.5..10.6).contains(&days), "{days}");
    let trend = series["trend_per_day"].as_f64().unwrap();
    assert!((trend - 288_000.0).abs() < 6_000.0, "{trend}");
    assert_eq!(keys(&series["exhaustion"]), ["earliest", "latest", "likely", "probability"]);
    let raw = asked(&server, path, &json!({"horizon": 3, "step": "5m"}));
    assert_eq!(raw["series"][0]["timestamps"], json!([time(SAMPLES), time(SAMPLES + 1), time(SAMPLES + 2)]));
    assert_eq!(raw["series"][0]["days_to_exhaustion"], Value::Null);
    assert_eq!(asked(&server, path, &json!({}))["series"][0]["timestamps"].as_array().unwrap().len(), 168);

    // An hour later the same forecast goes on from what was kept, an hour on.
    push(&server, "disk/used_bytes", "a", |i| 1e6 + 1e3 * i as f64, SAMPLES + 12);
    let later = asked(&server, path, &body);
    assert_eq!(later["series"][0]["timestamps"][0], time(SAMPLES + 12));
    let left = later["series"][0]["days_to_exhaustion"].as_f64().unwrap();
    assert!((days - left - 1.0 / 24.0).abs() < 0.05, "{days} {left}");
    assert_eq!(later["series"][0]["method"], series["method"]);

    refused(ask(&server, "/api/v1/forecast/none", &json!({})), 404, None);
    refused(ask(&server, "/api/v1/forecast/short", &json!({})), 422, None);
    for (field, value) in [
        ("horizon", json!(0)),
        ("horizon", json!(-1)),
        ("horizon", json!(100_001)),
        ("level", json!(100)),
        ("capacity_threshold", json!("x")),
        ("direction", json!("up")),
        ("step", json!("0")),
        ("surprise", json!(1)),
        ("method", json!("oracle")),
        ("upper_threshold", json!("high")),
    ] {
        refused(ask(&server, path, &json!({field: value})), 400, Some(field));
    }
    server.stop();
}

#[test]
fn limits_that_will_be_broken_are_reported_with_the_first_crossing_of_the_band() {
    let server = filled();
    let path = "/api/v1/forecast/disk%2Fused_bytes";
    let newest = 1e6 + 1e3 * (SAMPLES - 1) as f64;
    let body = json!({"horizon": 48, "upper_threshold": newest + 144_000.0, "lower_threshold": 0});
    let breach = asked(&server, path, &body)["series"][0]["breach"].clone();
    assert_eq!(keys(&breach), ["alerts", "breach_time", "forecast", "will_breach"]);
    assert_eq!(breach["will_breach"], true);
    let [alert] = &breach["alerts"].as_array().unwrap()[..] else { panic!("{breach}") };
    assert_eq!(keys(alert), ["confidence", "predicted_at", "predicted_value", "threshold", "type"]);
    assert_eq!((&alert["type"], &alert["confidence"]), (&json!("upper_threshold_predicted"), &json!("high")));
    assert_eq!(alert["predicted_at"], breach["breach_time"]);
    let path_keys = ["lower_bound", "method", "predicted_values", "timestamps", "upper_bound"];
    assert_eq!(keys(&breach["forecast"]), path_keys);
    // Half a day is left.
    let at = breach["breach_time"].as_str().unwrap();
    let place = breach["forecast"]["timestamps"].as_array().unwrap().iter().position(|time| time == at).unwrap();
    assert!((10..=13).contains(&place), "{at}");
    // 0 is a limit like any other.
    let none = asked(&server, path, &json!({"horizon": 48, "lower_threshold": 0}))["series"][0]["breach"].clone();
    assert_eq!((&none["will_breach"], &none["breach_time"]), (&json!(false), &Value::Null));
    let all = asked(&server, path, &json!({"horizon": 48, "upper_threshold": 0}))["series"][0]["breach"].clone();
    assert_eq!((&all["will_breach"], &all["alerts"][0]["threshold"]), (&json!(true), &json!(0.0)));
    server.stop();
}

#[test]
fn values_of_the_request_are_forecast_whatever_the_notation_of_their_times() {
    let server = Server::start();
    let path = "/api/v1/forecast/mine";
    // 5 minutes apart, one a step: a step of the samples, not an hour, goes on.
    let seconds: Vec<i64> = (0..120).map(|i| START_S + 300 * i).collect();
    let texts: Vec<String> = (0..120).map(time).collect();
    let values: Vec<f64> = (0..120).map(|i| 10.0 + f64::from(i)).collect();
    let body = |times: Value| json!({"timestamps": times, "values": values, "horizon": 4, "method": "linear_trend"});
    let (numbers, texts) = (asked(&server, path, &body(json!(seconds))), asked(&server, path, &body(json!(texts))));
    assert_eq!(numbers, texts);
    let series = &numbers["series"][0];
    assert_eq!((&series["method"], &series["labels"]), (&json!("linear_trend"), &json!({})));
    assert_eq!(series["timestamps"], json!([time(120), time(121), time(122), time(123)]));
    // The line through the newest hundred, and two of their standard deviations: of 0..100 that is sqrt(9999 / 12).
    let two_deviations = 2.0 * (9999.0f64 / 12.0).sqrt();
    for (i, (key, off)) in
        [("lower_bound", -two_deviations), ("predicted_values", 0.0), ("upper_bound", two_deviations)]
            .iter()
            .enumerate()
    {
        let found = series[key][3].as_f64().unwrap();
        assert!((found - (133.0 + off)).abs() < 1e-6, "{i}: {found}");
    }
    // Too few values for a trend that bends: the line stands in, and says so.
    let few = json!({"timestamps": [0, 60, 120], "values": [1, 2, 3], "horizon": 2, "method": "prophet"});
    let few = asked(&server, path, &few)["series"][0].clone();
    assert_eq!(few["method"], "linear_trend");
    assert!((few["predicted_values"][1].as_f64().unwrap() - 5.0).abs() < 1e-9, "{few}");
    let seasonal: Vec<f64> = (0..24 * 14).map(|hour| 50.0 + 9.0 * (f64::from(hour) / 3.82).sin()).collect();
    let hours: Vec<i64> = (0..24 * 14).map(|hour| START_S + 3600 * hour).collect();
    let prophet = json!({"timestamps": hours, "values": seasonal, "method": "prophet"});
    let prophet = asked(&server, path, &prophet)["series"][0]["method"].clone();
    assert!(prophet.as_str().unwrap().starts_with("piecewise"), "{prophet}");
    for (field, body) in [
        ("values", json!({"timestamps": [1, 2]})),
        ("timestamps", json!({"values": [1, 2]})),
        ("values", json!({"timestamps": [1, 2], "values": [1]})),
        ("values", json!({"timestamps": [1, 2], "values": [1, "x"]})),
        ("timestamps", json!({"timestamps": [1, "soon"], "values": [1, 2]})),
        ("step", json!({"timestamps": [1, 2], "values": [1, 2], "step": "1h"})),
    ] {
        refused(ask(&server, path, &body), 400, Some(field));
    }
    refused(ask(&server, path, &json!({"timestamps": [1], "values": [1]})), 422, None);
    server.stop();
}

#[test]
fn capacity_lists_what_has_a_limit_with_the_fewest_days_left_first() {
    let server = filled();
    push(&server, "disk_used_percent", "slow", |i| 10.0 + i as f64 / 288.0, SAMPLES);
    push(&server, "disk_used_percent", "fast", |i| 10.0 + 5.0 * i as f64 / 288.0, SAMPLES);
    let found = get_json(&server.url("/api/v1/capacity"), &[("match", "{__name__=\"disk_used_percent\"}")]);
    assert_eq!(found["total"], 2, "{found}");
    let [fast, slow] = &found["items"].as_array().unwrap()[..] else { panic!("{found}") };
    let known = ["current", "days_to_exhaustion", "exhaustion", "labels", "limit", "metric_name"];
    assert_eq!(keys(fast), [&known[..], &["sawtooth", "sla_risk_score", "trend"]].concat());
    assert_eq!((&fast["labels"]["host"], &fast["limit"]), (&json!("fast"), &json!(95.0)));
    let (soon, late) = (fast["days_to_exhaustion"].as_f64().unwrap(), slow["days_to_exhaustion"].as_f64().unwrap());
    assert!((soon - 9.0).abs() < 1.0 && (late - 77.0).abs() < 6.0, "{soon} {late}");
    let usual = get_json(&server.url("/api/v1/capacity"), &[]);
    assert_eq!(usual["total"], 3, "the percentage of cpu_percent too: {usual}");
    let bytes = [("match", "{__name__=\"disk/used_bytes\"}"), ("threshold", "1e9")];
    assert_eq!(get_json(&server.url("/api/v1/capacity"), &bytes)["items"][0]["limit"], 1e9);
    refused(get(&server.url("/api/v1/capacity"), &[("threshold", "5")]).unwrap(), 400, Some("match"));
    refused(get(&server.url("/api/v1/capacity"), &[("direction", "up")]).unwrap(), 400, Some("direction"));
    server.stop();
}

#[test]
fn paths_and_methods_that_are_none_are_told_as_json() {
    let server = Server::start();
    refused(get(&server.url("/api/v1/nothing"), &[]).unwrap(), 404, None);
    refused(get(&server.url("/nothing"), &[]).unwrap(), 404, None);
    refused(get(&server.url("/api/v1/detect/cpu"), &[]).unwrap(), 405, None);
    server.stop();
}
