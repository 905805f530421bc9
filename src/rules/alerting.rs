//! The alerts of one alerting rule: pending until the expression held for long enough, firing until it no longer does.
//!
//! Not here: evaluating the expression (see `group`), what becomes of an alert that fires (see `alert`).
//!
//! Invariants: an alert is known by its labels; one whose labels or annotations cannot be rendered says so in their place
//! and fires all the same.

use super::file::{AlertingRule, Rule};
use super::group::{Answer, Labels, Means};
use crate::alert::{AlertSeverity, Fingerprint, Origin, Signal};
use crate::go_template::{Ground, Template, Value, render};
use std::collections::BTreeMap;

/// The alert's name among its labels.
const NAME: &str = "alertname";
/// How long after a stop an alert goes on as it was, in milliseconds; as in Prometheus.
pub(super) const OUTAGE_MS: i64 = 3_600_000;

/// One alert that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveAlert {
    /// Its labels, `alertname` among them.
    pub labels: Labels,
    /// Its annotations as they were rendered last.
    pub annotations: Labels,
    /// Since when the expression holds, in milliseconds since 1970 UTC.
    pub active_at_ms: i64,
    /// Whether it held for long enough.
    pub is_firing: bool,
    /// When the expression no longer held, while it fires on.
    pub keep_firing_since_ms: Option<i64>,
    /// What the expression gave last.
    pub value: f64,
    /// Evaluations at which it fired.
    held: u64,
}

impl ActiveAlert {
    /// Its identity in the book of alerts.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.labels)
    }

    /// Nothing was told of it yet.
    pub(super) fn start_over(&mut self) {
        (self.is_firing, self.held) = (false, 0);
    }
}

/// The alerts of a rule.
#[derive(Debug, Clone, Default)]
pub(super) struct Alerts(pub(super) BTreeMap<Labels, ActiveAlert>);

/// Series that tell of alerts, each with its value.
pub(super) type Told = Vec<(Labels, f64)>;

impl Alerts {
    /// Takes an answer of the expression; tells what changed, and gives the series of what is active.
    pub(super) fn take(
        &mut self,
        (rule, alerting): (&Rule, &AlertingRule),
        answer: Answer,
        time_ms: i64,
        means: &Means<'_>,
    ) -> Result<Told, String> {
        let mut seen = BTreeMap::new();
        for (labels, value) in answer {
            let (labels, annotations) = rendered(rule, alerting, &labels, value, time_ms, means);
            if seen.insert(labels, (annotations, value)).is_some() {
                return Err("vector contains metrics with the same labelset after applying alert labels".to_owned());
            }
        }
        let over: Vec<Labels> = self
            .0
            .iter_mut()
            .filter_map(|(labels, active)| {
                let goes_on = seen.contains_key(labels) || keeps_firing(active, alerting, time_ms);
                (!goes_on).then(|| labels.clone())
            })
            .collect();
        for labels in over {
            let Some(active) = self.0.remove(&labels).filter(|active| active.is_firing) else { continue };
            (means.tell)(signal(&active, time_ms, false, means));
        }
        for (labels, (annotations, value)) in seen {
            let new = || ActiveAlert {
                labels: labels.clone(),
                annotations: Labels::new(),
                active_at_ms: time_ms,
                is_firing: false,
                keep_firing_since_ms: None,
                value,
                held: 0,
            };
            let active = self.0.entry(labels.clone()).or_insert_with(new);
            (active.annotations, active.value, active.keep_firing_since_ms) = (annotations, value, None);
        }
        Ok(self.fire(alerting, time_ms, means))
    }

    /// Those that were active before a stop go on where they were: time in which nobody looked counts for nothing.
    pub(super) fn restore(&mut self, before: &BTreeMap<Labels, (i64, i64)>, for_ms: i64, time_ms: i64) {
        for (labels, active) in self.0.iter_mut().filter(|(_, active)| active.active_at_ms == time_ms) {
            let Some((seen_ms, since_ms)) = before.get(labels) else { continue };
            let spent_ms = seen_ms - since_ms;
            active.active_at_ms = if spent_ms >= for_ms { *since_ms } else { time_ms - spent_ms };
        }
    }

    /// What held for long enough fires; the series of all.
    pub(super) fn fire(&mut self, alerting: &AlertingRule, time_ms: i64, means: &Means<'_>) -> Told {
        let mut told = Told::new();
        for active in self.0.values_mut() {
            active.is_firing |= time_ms - active.active_at_ms >= alerting.for_ms;
            if active.is_firing {
                active.held += u64::from(active.keep_firing_since_ms.is_none());
                (means.tell)(signal(active, time_ms, true, means));
            }
            let mut labels = active.labels.clone();
            labels.insert("__name__".to_owned(), "ALERTS_FOR_STATE".to_owned());
            told.push((labels.clone(), active.active_at_ms as f64 / 1000.0));
            labels.insert("__name__".to_owned(), "ALERTS".to_owned());
            labels.insert("alertstate".to_owned(), if active.is_firing { "firing" } else { "pending" }.to_owned());
            told.push((labels, 1.0));
        }
        told
    }

    /// The rule is gone: what fires is over.
    pub(super) fn end(&self, time_ms: i64, means: &Means<'_>) {
        let firing = self.0.values().filter(|active| active.is_firing);
        firing.for_each(|active| (means.tell)(signal(active, time_ms, false, means)));
    }
}

/// Whether an alert of which the expression no longer holds fires on.
fn keeps_firing(active: &mut ActiveAlert, alerting: &AlertingRule, time_ms: i64) -> bool {
    if !active.is_firing || alerting.keep_firing_for_ms == 0 {
        return false;
    }
    let since_ms = *active.keep_firing_since_ms.get_or_insert(time_ms);
    time_ms - since_ms < alerting.keep_firing_for_ms
}

/// Labels and annotations of a result.
fn rendered(
    rule: &Rule,
    alerting: &AlertingRule,
    of_result: &Labels,
    value: f64,
    time_ms: i64,
    means: &Means<'_>,
) -> (Labels, Labels) {
    let variables = [
        ("labels", Value::texts(of_result)),
        ("externalLabels", Value::texts(&means.settings.external_labels)),
        ("externalURL", Value::Text(means.settings.external_url.clone())),
        ("value", Value::Number(value)),
    ];
    let named = ["Labels", "ExternalLabels", "ExternalURL", "Value"].into_iter().zip(&variables);
    let dot = Value::Map(named.map(|(name, (_, value))| (name.to_owned(), value.clone())).collect());
    let query = |text: &str| (means.query)(text, time_ms, None);
    let ground = Ground { query: &query, external_url: &means.settings.external_url };
    let text = |template: &Template| {
        render(template, &variables, &dot, &ground).unwrap_or_else(|what| format!("<error expanding template: {what}>"))
    };
    let mut labels = of_result.clone();
    labels.remove("__name__");
    for (name, template) in &alerting.label_templates {
        labels.insert(name.clone(), text(template));
    }
    labels.insert(NAME.to_owned(), rule.name.clone());
    labels.retain(|_, value| !value.is_empty());
    let annotations = alerting.annotation_templates.iter().map(|(name, template)| (name.clone(), text(template)));
    (labels, annotations.collect())
}

/// The alert's identity: its labels alone.
fn fingerprint(labels: &Labels) -> Fingerprint {
    let text: Vec<String> = labels.iter().map(|(name, value)| format!("{name}\u{ff}{value}\u{ff}")).collect();
    Fingerprint::of("rule", text.concat().as_bytes())
}

fn signal(active: &ActiveAlert, time_ms: i64, is_open: bool, means: &Means<'_>) -> Signal {
    let mut labels = active.labels.clone();
    for (name, value) in &means.settings.external_labels {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    let severity = AlertSeverity::of_label(labels.get("severity").map_or("", String::as_str));
    let text = ["summary", "description", "message"].into_iter().find_map(|name| active.annotations.get(name));
    let name = active.labels.get(NAME).cloned().unwrap_or_default();
    Signal {
        fingerprint: fingerprint(&active.labels),
        origin: Origin::Rule,
        occurrence_ms: active.active_at_ms,
        summary: text.cloned().unwrap_or_else(|| name.clone()),
        name,
        labels,
        annotations: active.annotations.clone(),
        severity,
        start_ms: active.active_at_ms,
        last_ms: time_ms,
        is_open,
        count: active.held.max(1),
        value: active.value,
        score: 0.0,
        anomaly_id: None,
        renotify_ms: None,
    }
}
