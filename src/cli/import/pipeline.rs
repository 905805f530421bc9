//! The documents' `pipeline.yaml`: stages that are settings here, that need none, or that are not here.

use super::Imported;
use super::yaml::{Node, Value};

/// What stands in for a stage, or why nothing does.
const STAGES: &[(&str, &str)] = &[
    (
        "ingestion.source",
        "samples come by remote write, StatsD, SNMP or JSON; from Kafka they need a sender of one of these",
    ),
    ("ingestion.topic", "there is no Kafka here"),
    ("ingestion.group_id", "there is no Kafka here"),
    ("windowing.size_ms", "every sample is judged as it comes, without windows; those of StatsD are statsd.window"),
    ("windowing.step_ms", "every sample is judged as it comes, without windows"),
    ("windowing.min_samples", "a model abstains until it has seen enough, by itself"),
    ("normalization.strategy", "scores are tail probabilities of each series' own past, which needs no normalisation"),
    ("normalization.update_frequency", "each sample is learned when it was judged"),
    ("model.path", "the live models need no file; no ONNX is run"),
    ("model.batch_size", "samples are judged in the batches they come in"),
    ("model.calibration_window", "scores are calibrated on each series' own past, without a setting"),
    ("model.std_multiplier", "the budget takes its place: budget.anomalies_per_series_month"),
    ("model.fallback_strategy", "statistics always judge; nothing has to take their place"),
    ("alerting.cooldown_ms", "alerts are not sent yet; an anomaly is one record for as long as it goes on"),
    ("alerting.severity_thresholds", "severity follows from the score: 0.6, 0.7, 0.8, 0.9"),
    ("alerting.channels", "alerts are not sent yet"),
    ("alerting.webhook", "alerts are not sent yet"),
    ("alerting.deduplication", "an anomaly is one record for as long as it goes on"),
    ("alerting.dry_run", "alerts are not sent yet"),
    ("monitoring.drift_test", "drift is told for models trained on request, as psi and ks_p"),
    ("monitoring.drift_threshold", "drift is told and changes nothing"),
    ("monitoring.health_check_interval", "parts watch each other all the time; /health says how they are"),
];

/// Converts every stage.
pub(super) fn import(fields: &[(String, Node)], out: &mut Imported) {
    for (name, node) in fields {
        match (name.as_str(), &node.value) {
            ("pipeline", Value::Map(stages)) => {
                for (stage, node) in stages {
                    keys(stage, node, out);
                }
            }
            _ => out.note(node.line, format!("{name} is not carried over")),
        }
    }
}

fn keys(stage: &str, node: &Node, out: &mut Imported) {
    let Value::Map(fields) = &node.value else {
        out.note(node.line, format!("{stage} is not carried over"));
        return;
    };
    for (field, node) in fields {
        let name = format!("{stage}.{field}");
        let count = node.text().and_then(|text| text.parse::<u8>().ok()).filter(|count| (1..=64).contains(count));
        match (name.as_str(), count, node.text()) {
            ("ingestion.concurrency", Some(count), _) => out.say(format!("[shards]\ncount = {count}")),
            ("monitoring.metrics_export", _, Some("prometheus")) => out.say("# Metrics are always at /metrics."),
            _ => {
                let why = STAGES.iter().find(|(known, _)| *known == name).map(|(_, why)| *why);
                out.note(
                    node.line,
                    format!("{name} is not carried over: {}", why.unwrap_or("nothing here is like it")),
                );
            }
        }
    }
}
