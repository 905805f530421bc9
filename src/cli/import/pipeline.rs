//! The documents' `pipeline.yaml`: stages that are settings here, or that need none.
//!
//! Not here: what the settings do (see `windowed`, `alert`).

use super::{Imported, quoted};
use crate::yaml::{Node, Value};
use std::collections::BTreeMap;

/// A value of theirs as TOML of ours; nothing if it is none.
type Convert = fn(&str) -> Option<String>;

/// A field of a stage, our key for it, and how its value becomes ours.
const KEYS: &[(&str, &str, Convert)] = &[
    ("ingestion.concurrency", "shards.count", number),
    ("windowing.size_ms", "pipeline.window_size", milliseconds),
    ("windowing.step_ms", "pipeline.window_step", milliseconds),
    ("windowing.min_samples", "pipeline.min_samples", number),
    ("normalization.strategy", "pipeline.normalization", strategy),
    ("normalization.update_frequency", "pipeline.update_points", points),
    ("model.path", "pipeline.model_path", text),
    ("model.calibration_window", "pipeline.calibration_window", number),
    ("model.std_multiplier", "pipeline.std_multiplier", number),
    ("model.fallback_strategy", "pipeline.fallback_strategy", text),
    ("alerting.cooldown_ms", "alerts.cooldown", milliseconds),
    ("alerting.severity_thresholds.warning", "pipeline.warning_ratio", number),
    ("alerting.severity_thresholds.critical", "pipeline.critical_ratio", number),
    ("alerting.dry_run", "alerts.dry_run", switch),
    ("monitoring.drift_test", "drift.test", text),
    ("monitoring.drift_threshold", "drift.threshold", number),
    ("monitoring.health_check_interval", "health.check_interval", text),
];

/// What stands in for a field, or why nothing does.
const OTHERS: &[(&str, &str)] = &[
    (
        "ingestion.source",
        "samples come by remote write, StatsD, SNMP or JSON; from Kafka they need a sender of one of these",
    ),
    ("ingestion.topic", "there is no Kafka here"),
    ("ingestion.group_id", "there is no Kafka here"),
    ("model.batch_size", "windows are run one by one"),
];

/// Converts every stage.
pub(super) fn import(fields: &[(String, Node)], out: &mut Imported) {
    let mut found = Found::default();
    for (name, node) in fields {
        match (name.as_str(), &node.value) {
            ("pipeline", Value::Map(stages)) => {
                stages.iter().for_each(|(stage, node)| found.walk(stage, node, out));
            }
            _ => out.note(node.line, format!("{name} is not carried over")),
        }
    }
    found.write(out);
}

/// What was carried over.
#[derive(Debug, Default)]
struct Found {
    /// Settings by section.
    settings: BTreeMap<&'static str, Vec<String>>,
    webhooks: Vec<String>,
    has_windows: bool,
}

impl Found {
    fn walk(&mut self, name: &str, node: &Node, out: &mut Imported) {
        if is_webhook(name) {
            self.webhooks(name, node, out);
            return;
        }
        match &node.value {
            Value::Map(fields) => {
                fields.iter().for_each(|(field, node)| self.walk(&format!("{name}.{field}"), node, out))
            }
            Value::List(_) if name == "alerting.deduplication" => deduplication(&words(node), node, out),
            Value::List(_) => out.note(node.line, format!("{name} is not carried over: nothing here is like it")),
            Value::Scalar(text) => self.field(name, text, node, out),
        }
    }

    fn field(&mut self, name: &str, text: &str, node: &Node, out: &mut Imported) {
        if let Some((_, key, convert)) = KEYS.iter().find(|(known, ..)| *known == name) {
            let Some((section, field)) = key.split_once('.') else { return };
            match convert(text).filter(|value| is_accepted(section, field, value)) {
                Some(value) => {
                    self.has_windows |= section == "pipeline";
                    self.settings.entry(section).or_default().push(format!("{field} = {value}"));
                }
                None => out.note(node.line, format!("{name}: {text:?} is no value of {key}")),
            }
            return;
        }
        match (name, text) {
            ("monitoring.metrics_export", "prometheus") => out.say("# Metrics are always at /metrics."),
            ("alerting.deduplication", words) => deduplication(words, node, out),
            _ => {
                let why = OTHERS.iter().find(|(known, _)| *known == name).map(|(_, why)| *why);
                out.note(
                    node.line,
                    format!("{name} is not carried over: {}", why.unwrap_or("nothing here is like it")),
                );
            }
        }
    }

    /// A URL, or a list of channels with one each.
    fn webhooks(&mut self, name: &str, node: &Node, out: &mut Imported) {
        let before = self.webhooks.len();
        for item in node.items() {
            let url = item
                .text()
                .or_else(|| ["url", "webhook", "webhook_url"].iter().find_map(|field| item.get(field)?.text()));
            self.webhooks.extend(url.filter(|url| url.contains("://")).map(str::to_owned));
        }
        match self.webhooks.len() > before {
            true => {
                out.note(node.line, format!("{name} goes into a routing file of its own: see the end of the result"))
            }
            false => out.note(node.line, format!("{name} names no URL")),
        }
    }

    fn write(self, out: &mut Imported) {
        for (section, lines) in &self.settings {
            out.say(format!("\n[{section}]"));
            if *section == "pipeline" {
                // The documents' pipeline judges whatever comes.
                out.say(format!("series = {}", quoted("{__name__=~\".+\"}")));
            }
            lines.iter().for_each(|line| out.say(line));
        }
        if self.webhooks.is_empty() {
            return;
        }
        out.say("\n# A file of its own, to be named by alerts.routing_file:");
        out.say("# [route]\n# receiver = \"webhook-1\"\n# group_wait = \"0s\"");
        for (number, url) in (1..).zip(&self.webhooks) {
            out.say(format!(
                "# [[receivers]]\n# name = \"webhook-{number}\"\n# webhook = {}\n# format = \"seed004\"",
                quoted(url)
            ));
        }
    }
}

fn is_webhook(name: &str) -> bool {
    let Some(field) = name.strip_prefix("alerting.") else { return false };
    ["channels", "webhook", "webhook_url", "webhooks", "slack_webhook"].contains(&field)
}

/// Alerts are told once a series and severity, which is what the documents ask for.
fn deduplication(words: &str, node: &Node, out: &mut Imported) {
    let is_ours = words.contains("metric_id") && words.contains("severity");
    match is_ours {
        true => out.say("# Alerts are told once for each series and severity within alerts.cooldown."),
        false => out.note(node.line, "alerting.deduplication is not carried over: it is by series and severity"),
    }
}

fn words(node: &Node) -> String {
    node.items().iter().filter_map(Node::text).collect::<Vec<_>>().join(" ")
}

fn is_accepted(section: &str, field: &str, value: &str) -> bool {
    let key = crate::config::KEYS.iter().find(|key| key.section == section && key.field == field);
    key.is_some_and(|key| (key.set)(&mut crate::config::Config::default(), value.trim_matches('"')).is_ok())
}

fn number(text: &str) -> Option<String> {
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|_| text.to_owned())
}

fn text(text: &str) -> Option<String> {
    Some(quoted(text))
}

fn switch(text: &str) -> Option<String> {
    matches!(text, "true" | "false").then(|| text.to_owned())
}

fn milliseconds(text: &str) -> Option<String> {
    text.parse::<u64>().ok().map(|ms| quoted(&format!("{ms}ms")))
}

fn strategy(text: &str) -> Option<String> {
    Some(quoted(if text == "none" { "off" } else { text }))
}

/// `1000_points`, or the number alone.
fn points(text: &str) -> Option<String> {
    number(text.trim_end_matches("_points"))
}

#[cfg(test)]
mod tests {
    use super::super::import;
    use crate::config::{Sources, load};
    use std::time::Duration;

    const DOCUMENT: &str = "pipeline:\n  ingestion:\n    source: kafka\n    topic: telemetry.metrics\n    group_id: anomaly-detector-v1\n    \
        concurrency: 4\n  windowing: {size_ms: 60000, step_ms: 10000, min_samples: 15}\n  normalization:\n    strategy: per_metric_family\n    \
        update_frequency: 1000_points\n  model:\n    path: /models/temporal_autoencoder.onnx\n    batch_size: 1\n    calibration_window: 500\n    \
        std_multiplier: 3.0\n    fallback_strategy: statistical_baseline\n  alerting:\n    cooldown_ms: 300000\n    severity_thresholds: {warning: 1.5, critical: 2.5}\n    \
        channels:\n      - type: webhook\n        url: http://hooks.example/a\n    deduplication: metric_id + severity\n    dry_run: true\n  monitoring:\n    drift_test: psi\n    \
        drift_threshold: 0.2\n    metrics_export: prometheus\n    health_check_interval: 10s\n";

    #[test]
    fn every_stage_of_the_documents_becomes_settings() {
        let imported = import(DOCUMENT).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, &imported.toml).unwrap();
        let config = load(&Sources { file: Some(path), ..Sources::default() });
        let config = config.unwrap_or_else(|error| panic!("{error}\n{}", imported.toml)).config;
        let pipeline = &config.pipeline;
        assert_eq!((config.shards.count, pipeline.min_samples, pipeline.update_points), (4, 15, 1000));
        assert_eq!((pipeline.window_size, pipeline.window_step), (Duration::from_secs(60), Duration::from_secs(10)));
        assert_eq!((pipeline.calibration_window, pipeline.std_multiplier), (500, 3.0));
        assert_eq!((pipeline.warning_ratio, pipeline.critical_ratio), (1.5, 2.5));
        assert_eq!((config.alerts.cooldown, config.alerts.dry_run), (Duration::from_secs(300), true));
        assert_eq!((config.drift.threshold, config.health.check_interval), (0.2, Duration::from_secs(10)));
        assert!(!pipeline.series.is_empty() && pipeline.model_path.is_some());
        assert!(imported.toml.contains("# webhook = \"http://hooks.example/a\""), "{}", imported.toml);
        let noted: Vec<&str> =
            imported.notes.iter().map(|note| note.split([':', '.']).nth(1).unwrap().trim()).collect();
        assert_eq!(noted, ["ingestion", "ingestion", "ingestion", "model", "alerting"], "{:?}", imported.notes);
    }

    #[test]
    fn what_is_no_value_is_noted_with_its_line() {
        let text = "pipeline:\n  windowing:\n    size_ms: soon\n  monitoring: {drift_test: chi2}\n  alerting: {deduplication: host, webhook: none}\n";
        let notes = import(text).unwrap().notes;
        for (line, what) in [(3, "windowing.size_ms"), (4, "drift_test"), (5, "deduplication"), (5, "names no URL")] {
            assert!(
                notes.iter().any(|note| note.starts_with(&format!("line {line}: ")) && note.contains(what)),
                "{what}: {notes:?}"
            );
        }
    }
}
