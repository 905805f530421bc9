//! `/rules` and `/alerts` in Prometheus' own shape, so that Grafana and other clients show our rules as they show theirs.
//!
//! Mounted under `/prometheus/api/v1` only: our own API has pages of these names. Beside the alerts of rules, `/alerts` lists
//! those of anomalies, which fire by themselves.
//!
//! Not here: evaluating rules (see `rules`), our own lists (see `rest`).

use super::envelope::{ApiError, Json, success};
use super::parameters::Parameters;
use crate::alert::book::AlertBook;
use crate::alert::{Origin, Time};
use crate::rules::RuleKeeper;
use crate::rules::board::{ActiveAlert, GroupView, Health, RuleView};
use crate::rules::{Rule, RuleKind};
use axum::Router;
use axum::extract::{Request, State};
use axum::routing::get;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the pages show.
#[derive(Debug, Clone)]
pub struct RulesApi {
    /// Rules as they stand.
    pub rules: Arc<RuleKeeper>,
    /// Alerts of anomalies.
    pub alerts: AlertBook,
}

/// The routes, to be mounted beside those of [`super::router`].
pub fn router(api: RulesApi) -> Router {
    Router::new().route("/rules", get(rules)).route("/alerts", get(alerts)).with_state(api)
}

async fn rules(State(api): State<RulesApi>, request: Request) -> Result<Json, ApiError> {
    let parameters = Parameters::read(request).await?;
    let wanted = match parameters.get("type") {
        None => None,
        Some("alert") => Some(true),
        Some("record") => Some(false),
        Some(other) => return Err(ApiError::bad_parameter("type", format!("not supported value {other:?}"))),
    };
    let without_alerts = matches!(parameters.get("exclude_alerts"), Some("true" | "1"));
    let names = [parameters.all("rule_name[]"), parameters.all("rule_group[]"), parameters.all("file[]")];
    let [of_rule, of_group, of_file] = names.map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
    let is_named = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
    let mut groups = Vec::new();
    for view in api.rules.board.groups().iter() {
        let group = &view.group;
        if !is_named(&of_group, &group.name) || !is_named(&of_file, &group.file) {
            continue;
        }
        let is_wanted = |rule: &Rule| {
            let is_alert = matches!(rule.kind, RuleKind::Alerting(_));
            wanted.is_none_or(|wanted| wanted == is_alert) && is_named(&of_rule, &rule.name)
        };
        let unknown = unknown();
        let views = view.rules.iter().chain(std::iter::repeat(&unknown));
        let shown = group.rules.iter().zip(views).filter(|(rule, _)| is_wanted(rule));
        let shown: Vec<Value> = shown.map(|(rule, view)| rule_shape(rule, view, without_alerts)).collect();
        // A group of which nothing was asked for is left out, as Prometheus does.
        if !shown.is_empty() || wanted.is_none() && of_rule.is_empty() {
            groups.push(group_shape(view, shown));
        }
    }
    Ok(written(&json!({ "groups": groups })))
}

async fn alerts(State(api): State<RulesApi>) -> Json {
    let groups = api.rules.board.groups();
    let of_rules = groups.iter().flat_map(|view| &view.rules).flat_map(|rule| &rule.alerts);
    let mut all: Vec<Value> = of_rules.map(alert_shape).collect();
    let view = api.alerts.view();
    for alert in view.alerts.values().filter(|alert| alert.is_firing() && alert.origin == Origin::Anomaly) {
        let mut labels = alert.labels.clone();
        labels.insert("severity".to_owned(), alert.severity.as_str().to_owned());
        let mut annotations = alert.annotations.clone();
        annotations.insert("summary".to_owned(), alert.summary.clone());
        all.push(json!({
            "labels": labels, "annotations": annotations, "state": "firing",
            "activeAt": Time(alert.starts_at_ms), "value": exponential(alert.value),
        }));
    }
    written(&json!({ "alerts": all }))
}

fn written(data: &Value) -> Json {
    let text = data.to_string();
    success(move |out| out.push_str(&text))
}

fn unknown() -> RuleView {
    RuleView { health: Health::Unknown, took_s: 0.0, last_ms: None, alerts: Vec::new() }
}

/// A time; the first of all where there is none, as Go writes it.
fn time(time_ms: Option<i64>) -> Value {
    match time_ms.map(|time_ms| json!(Time(time_ms))) {
        Some(Value::String(text)) => Value::String(text),
        _ => json!("0001-01-01T00:00:00Z"),
    }
}

fn group_shape(view: &GroupView, rules: Vec<Value>) -> Value {
    let group = &view.group;
    json!({
        "name": group.name, "file": group.file, "rules": rules, "interval": seconds(group.interval_ms),
        "limit": group.limit, "evaluationTime": view.took_s, "lastEvaluation": time(view.last_ms),
    })
}

fn seconds(ms: i64) -> Value {
    if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) }
}

fn rule_shape(rule: &Rule, view: &RuleView, without_alerts: bool) -> Value {
    let (health, error) = match &view.health {
        Health::Unknown => ("unknown", None),
        Health::Good => ("ok", None),
        Health::Failing(error) => ("err", Some(error)),
    };
    let mut shape = json!({
        "name": rule.name, "query": rule.expression, "health": health, "evaluationTime": view.took_s,
        "lastEvaluation": time(view.last_ms),
    });
    if let Some(error) = error {
        shape["lastError"] = json!(error);
    }
    match &rule.kind {
        RuleKind::Recording(labels) => {
            shape["type"] = json!("recording");
            if !labels.is_empty() {
                shape["labels"] = json!(labels);
            }
        }
        RuleKind::Alerting(alerting) => {
            shape["type"] = json!("alerting");
            shape["state"] = json!(state(&view.alerts));
            shape["duration"] = seconds(alerting.for_ms);
            shape["keepFiringFor"] = seconds(alerting.keep_firing_for_ms);
            shape["labels"] = json!(alerting.labels);
            shape["annotations"] = json!(alerting.annotations);
            let shown = view.alerts.iter().filter(|_| !without_alerts);
            shape["alerts"] = shown.map(alert_shape).collect::<Vec<_>>().into();
        }
    }
    shape
}

/// The most advanced state of a rule's alerts.
fn state(alerts: &[ActiveAlert]) -> &'static str {
    match () {
        () if alerts.iter().any(|alert| alert.is_firing) => "firing",
        () if !alerts.is_empty() => "pending",
        () => "inactive",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertShape<'a> {
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    state: &'static str,
    active_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<Time>,
    value: String,
}

fn alert_shape(alert: &ActiveAlert) -> Value {
    json!(AlertShape {
        labels: &alert.labels,
        annotations: &alert.annotations,
        state: if alert.is_firing { "firing" } else { "pending" },
        active_at: Time(alert.active_at_ms),
        keep_firing_since: alert.keep_firing_since_ms.map(Time),
        value: exponential(alert.value),
    })
}

/// A number with an exponent of two digits: `1.5e+00`.
fn exponential(value: f64) -> String {
    if !value.is_finite() {
        let word = if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        return word.to_owned();
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_prometheus_writes_them() {
        for (value, text) in
            [(1.5, "1.5e+00"), (0.0, "0e+00"), (-250.0, "-2.5e+02"), (1e-7, "1e-07"), (f64::NAN, "NaN")]
        {
            assert_eq!(exponential(value), text);
        }
        assert_eq!(time(None), "0001-01-01T00:00:00Z");
    }
}
