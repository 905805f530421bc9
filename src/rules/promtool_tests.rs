//! The shipped rules come to the same here and in Prometheus: `promtool test rules` is given what we found as what it is to
//! find, to the last digit.
//!
//! Not here: what single features do (see `tests`).

use super::GroupRunner;
use super::file::RuleKind;
use super::tests::{Bench, MINUTE, groups};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// When the last samples are: the series run for so many minutes.
const MINUTES: usize = 150;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rules/anomaly_detection.yml")
}

fn promtool(arguments: &[&str]) -> String {
    let output = Command::new("promtool").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("promtool: {error}; apt-get install prometheus"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// Labels, and a value a minute.
type OneSeries = (Vec<(&'static str, &'static str)>, Vec<f64>);

/// Latencies that double at the end, one service whose latency never varies, errors,
/// and what we say of anomalies.
fn series() -> Vec<OneSeries> {
    let mut all = Vec::new();
    for (service, jumps) in [("api", true), ("steady", false)] {
        for (bucket, le) in ["0.5", "1", "2", "4", "8", "16", "32", "64", "128", "+Inf"].into_iter().enumerate() {
            let mut count = 0.0;
            let values = (0..MINUTES).map(|minute| {
                // From minute 141 on everything takes twice as long as a minute before.
                let (usual, rest) = match minute {
                    141.. if jumps => (minute - 139, 0),
                    _ if jumps => (0, 10 + minute * 7919 % 13),
                    _ => (0, 0),
                };
                count += if bucket > usual { 600.0 } else { 0.0 };
                count += if bucket == usual { (600 - rest) as f64 } else { 0.0 };
                count
            });
            let labels = vec![("__name__", "http_request_duration_seconds_bucket"), ("service", service), ("le", le)];
            all.push((labels, values.collect()));
        }
        for (code, rate) in [("200", 20.0), ("503", 0.5)] {
            let values = (0..MINUTES).map(|minute| minute as f64 * 60.0 * rate + (minute % 3) as f64 * 10.0);
            let labels = vec![("__name__", "http_requests_total"), ("service", service), ("status_code", code)];
            all.push((labels, values.collect()));
        }
    }
    let of_us = |name, metric| vec![("__name__", name), ("metric_name", metric), ("detector_type", "ensemble")];
    let score = |minute: usize| if minute >= 130 { 0.853 } else { 0.2 };
    all.push((of_us("anomaly_score", "cpu"), (0..MINUTES).map(score).collect()));
    let middle = |minute: usize| if minute >= 135 { 0.6 } else { 0.1 };
    all.push((of_us("anomaly_score", "disk"), (0..MINUTES).map(middle).collect()));
    let detected = |minute: usize| if minute >= 140 { (minute - 139) as f64 * 2.0 } else { 0.0 };
    all.push((of_us("anomaly_detected_total", "cpu"), (0..MINUTES).map(detected).collect()));
    all
}

fn selector(labels: &BTreeMap<String, String>) -> String {
    let pairs = labels.iter().filter(|(name, _)| *name != "__name__").map(|(name, value)| format!("{name}={value:?}"));
    format!("{}{{{}}}", labels.get("__name__").map_or("", String::as_str), pairs.collect::<Vec<_>>().join(","))
}

fn input(text: &mut String) {
    for (labels, values) in series() {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let values: Vec<_> = values.iter().map(f64::to_string).collect();
        let _ = writeln!(text, "  - series: '{}'\n    values: '{}'", selector(&labels), values.join(" "));
    }
}

/// What every rule of the groups came to at a time, as `promtool` is to find it.
fn expectations(bench: &Bench, groups: &[GroupRunner], minute: i64, text: &mut (String, String)) -> usize {
    let mut found = 0;
    for group in groups {
        for (rule, view) in group.group().rules.iter().zip(&group.view().rules) {
            assert_eq!(view.health, super::board::Health::Good, "{}", rule.name);
            if let RuleKind::Recording(_) = rule.kind {
                let _ = writeln!(text.0, "  - expr: '{}'\n    eval_time: {minute}m\n    exp_samples:", rule.name);
                for (labels, value) in bench.at(&rule.name, minute * MINUTE) {
                    found += 1;
                    let _ = writeln!(text.0, "    - labels: '{}'\n      value: {value:?}", selector(&labels));
                }
                continue;
            }
            let _ = writeln!(text.1, "  - alertname: {}\n    eval_time: {minute}m\n    exp_alerts:", rule.name);
            for alert in view.alerts.iter().filter(|alert| alert.is_firing) {
                found += 1;
                let labels: BTreeMap<_, _> = alert.labels.iter().filter(|(name, _)| *name != "alertname").collect();
                // JSON, which YAML takes.
                let (labels, annotations) = (serde_json::json!(labels), serde_json::json!(alert.annotations));
                let _ = writeln!(text.1, "    - exp_labels: {labels}\n      exp_annotations: {annotations}");
            }
        }
    }
    found
}

#[test]
fn shipped_rules_pass_promtool_and_come_to_the_same_here() {
    let file = shipped();
    assert!(promtool(&["check", "rules", file.to_str().unwrap()]).contains("SUCCESS: 10 rules found"));
    let bench = Bench::default();
    for (labels, values) in series() {
        bench.add(&labels, MINUTE, &values.into_iter().map(Some).collect::<Vec<_>>());
    }
    let mut groups = groups(&std::fs::read_to_string(&file).unwrap());
    let mut text = (String::new(), String::new());
    let mut found = 0;
    for minute in 0..MINUTES as i64 {
        // One group after the other at the same time, as promtool does it.
        groups.iter_mut().for_each(|group| bench.evaluate(group, minute * MINUTE));
        if [100, 132, 141, 146, 149].contains(&minute) {
            found += expectations(&bench, &groups, minute, &mut text);
        }
    }
    assert!(found > 40, "only {found} samples and alerts to compare");
    let fired: Vec<_> = bench.told.borrow().iter().map(|signal| signal.name.clone()).collect();
    for name in ["HighAnomalyScore", "SustainedAnomaly", "AnomalyRateSpike", "LatencyZScoreAnomaly"] {
        assert!(fired.iter().any(|known| known == name), "{name} never fired");
    }
    assert!(bench.at("metric:http_latency_p99:zscore{service=\"steady\"}", 149 * MINUTE).is_empty(), "nothing varied");
    let hour = bench.at("metric:request_volume:by_hour", 149 * MINUTE);
    assert_eq!(hour[0].0["hour"], "2", "the hour of the evaluation, UTC");
    let folder = tempfile::tempdir().unwrap();
    let test = folder.path().join("test.yml");
    // Without an order promtool takes the groups as its map gives them, another way each time.
    let order: Vec<_> = groups.iter().map(|group| group.group().name.as_str()).collect();
    let mut whole = format!(
        "rule_files: [{file:?}]\nevaluation_interval: 1m\ngroup_eval_order: {order:?}\n\
         tests:\n- interval: 1m\n  input_series:\n"
    );
    input(&mut whole);
    let _ = writeln!(whole, "  promql_expr_test:\n{}  alert_rule_test:\n{}", text.0, text.1);
    std::fs::write(&test, &whole).unwrap();
    promtool(&["test", "rules", test.to_str().unwrap()]);
}
