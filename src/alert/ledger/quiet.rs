//! What keeps alerts quiet: silences, maintenance, other alerts, and that they are too slight.
//!
//! Not here: what is told of those that are not (see `tell`).
//!
//! Invariant: which alerts keep others quiet is known without looking at all of them.

use super::super::record::{Alert, AlertSeverity, Fingerprint, NAME_LABEL, Origin};
use super::super::routing::routed_labels;
use super::super::signal::Signal;
use super::{AlertCounts, Ledger};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The alert of maintenance that goes on.
const WINDOW_NAME: &str = "MaintenanceWindow";

/// Alerts that keep others quiet, by the number of the rule and the values that both have.
pub(super) type Inhibitors = BTreeMap<(usize, Vec<String>), BTreeSet<Fingerprint>>;

impl AlertCounts {
    /// Where what is kept quiet for these reasons counts.
    pub(super) fn of_quiet(&mut self, reasons: &[String]) -> &mut u64 {
        let has = |kind: &str| reasons.iter().any(|why| why.starts_with(kind));
        match () {
            () if has("silence:") => &mut self.silenced,
            () if has("maintenance:") => &mut self.suppressed,
            () if has("inhibited:") => &mut self.inhibited,
            () => &mut self.suppressed,
        }
    }
}

impl Ledger {
    /// What keeps an alert quiet at this time.
    pub(super) fn reasons(&self, alert: &Alert, now_ms: i64) -> Vec<String> {
        if alert.origin == Origin::Maintenance {
            return Vec::new();
        }
        let silences = self.silences.values().filter(|silence| silence.covers(&alert.labels, now_ms));
        let windows = self.windows.values().filter(|window| window.covers(&alert.labels, now_ms));
        // Whoever writes a rule wants to hear of what it finds.
        let is_slight = alert.severity == AlertSeverity::Info && alert.origin == Origin::Anomaly;
        let slight = is_slight.then(|| "severity:info".to_owned());
        let silences = silences.map(|silence| format!("silence:{}", silence.id));
        let inhibited = self.inhibitor(alert).map(|print| format!("inhibited:{print}"));
        silences
            .chain(windows.map(|window| format!("maintenance:{}", window.id)))
            .chain(inhibited)
            .chain(slight)
            .collect()
    }

    /// An alert that keeps this one quiet.
    fn inhibitor(&self, alert: &Alert) -> Option<Fingerprint> {
        if self.inhibitors.is_empty() {
            return None;
        }
        let labels = routed_labels(alert);
        self.routing.inhibitions.iter().enumerate().find_map(|(number, rule)| {
            let values = values(&labels, &rule.equal).filter(|_| rule.target.hold(&labels))?;
            let sources = self.inhibitors.get(&(number, values))?;
            sources.iter().copied().find(|source| *source != alert.fingerprint)
        })
    }

    /// Remembers whether an alert keeps others quiet from now on.
    pub(super) fn inhibit(&mut self, alert: &Alert) {
        let labels = routed_labels(alert);
        for (number, rule) in self.routing.inhibitions.iter().enumerate() {
            let Some(values) = values(&labels, &rule.equal) else { continue };
            let key = (number, values);
            if alert.is_firing() && rule.source.hold(&labels) {
                self.inhibitors.entry(key).or_default().insert(alert.fingerprint);
            } else if let Some(sources) = self.inhibitors.get_mut(&key) {
                sources.remove(&alert.fingerprint);
                if sources.is_empty() {
                    self.inhibitors.remove(&key);
                }
            }
        }
    }

    /// Windows that go on have an alert of their own, of which nobody is told, for others to be kept quiet by.
    pub(super) fn look_at_windows(&mut self, now_ms: i64) {
        let mut active = BTreeSet::new();
        for window in self.windows.values().cloned().collect::<Vec<_>>() {
            let Some((start_ms, _)) = window.span_at(now_ms) else { continue };
            let print = Fingerprint::of("maintenance", window.id.to_string().as_bytes());
            active.insert(print);
            let known = self.alerts.get(&print).filter(|known| known.is_firing() && known.occurrence_ms == start_ms);
            if known.is_some() {
                continue;
            }
            let mut labels: BTreeMap<_, _> =
                window.conditions.equal().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            labels.remove("__name__");
            labels.insert(NAME_LABEL.to_owned(), WINDOW_NAME.to_owned());
            let reason = if window.reason.is_empty() { "no reason given" } else { &window.reason };
            let signal = Signal {
                fingerprint: print,
                origin: Origin::Maintenance,
                occurrence_ms: start_ms,
                name: WINDOW_NAME.to_owned(),
                labels,
                annotations: BTreeMap::new(),
                severity: AlertSeverity::Info,
                start_ms,
                last_ms: now_ms,
                is_open: true,
                count: 1,
                value: 1.0,
                score: 0.0,
                summary: format!("maintenance of {}: {reason}", window.conditions),
                anomaly_id: None,
                renotify_ms: None,
            };
            let mut alert = Alert::new(signal);
            alert.note(now_ms, "began");
            self.inhibit(&alert);
            self.changed.insert(print);
            self.alerts.insert(print, Arc::new(alert));
        }
        let is_over = |alert: &&Arc<Alert>| {
            alert.origin == Origin::Maintenance && alert.is_firing() && !active.contains(&alert.fingerprint)
        };
        if active.is_empty() && !self.has_windows_alerts {
            return;
        }
        self.has_windows_alerts = !active.is_empty();
        let over: Vec<_> = self.alerts.values().filter(is_over).map(|alert| alert.fingerprint).collect();
        over.into_iter().for_each(|print| self.end(print, None, now_ms));
    }

    /// Sees which alerts are kept quiet by now and which no longer are.
    pub(super) fn look_at_quiet(&mut self, now_ms: i64) {
        let firing: Vec<_> = self.alerts.values().filter(|alert| alert.is_firing()).cloned().collect();
        for known in firing {
            let reasons = self.reasons(&known, now_ms);
            if reasons == known.suppressed_by {
                continue;
            }
            let (was_quiet, is_quiet) = (!known.suppressed_by.is_empty(), !reasons.is_empty());
            let mut alert = Alert { suppressed_by: reasons, ..Alert::clone(&known) };
            match (was_quiet, is_quiet) {
                (false, true) => {
                    alert.note(now_ms, format!("kept quiet by {}", alert.suppressed_by.join(", ")));
                    self.quieten(&alert, now_ms);
                }
                (true, false) => {
                    alert.note(now_ms, "no longer kept quiet");
                    self.raise(&alert, now_ms);
                }
                _ => {}
            }
            self.put(alert);
        }
    }

    /// Takes an alert out of the groups it waits in.
    pub(super) fn quieten(&mut self, alert: &Alert, now_ms: i64) {
        let mut left = 0;
        self.each_group(alert, |groups, key, _| {
            left += u32::from(groups.leave(&key, alert.fingerprint, false, now_ms))
        });
        let Some(underway) = self.underway.get_mut(&alert.fingerprint) else { return };
        underway.open -= left.min(underway.open);
        underway.waiting -= left.min(underway.waiting);
        if underway.open > 0 || left == 0 {
            return;
        }
        let raised = underway.raised;
        self.underway.remove(&alert.fingerprint);
        *self.counts.of_quiet(&alert.suppressed_by) += raised;
    }
}

/// The values of labels that all are there.
fn values(labels: &BTreeMap<String, String>, names: &[String]) -> Option<Vec<String>> {
    names.iter().map(|name| labels.get(name).filter(|value| !value.is_empty()).cloned()).collect()
}
