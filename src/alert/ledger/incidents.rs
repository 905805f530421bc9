//! Incidents in the ledger: alerts that belong together are told together, and many slight ones as one.
//!
//! Not here: which alerts belong together (see `incident`), silences (see `quiet`).
//!
//! Invariant: an alert that moves to an incident is told neither twice nor not at all: what waits goes on waiting in the
//! incident's group.

use super::super::incident::{Correlation, Incident, Moves, Topology};
use super::super::record::{Alert, AlertSeverity, Fingerprint, METRIC_LABEL, NAME_LABEL, Origin};
use super::super::signal::Signal;
use super::Ledger;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Metrics that the summary of slight alerts names.
const NAMED: usize = 5;

impl Ledger {
    /// An alert begins: it joins an incident, or makes one with another alert.
    pub(super) fn find_incident(&mut self, alert: &mut Alert, now_ms: i64) {
        if !matches!(alert.origin, Origin::Anomaly | Origin::Rule | Origin::Monitor) {
            return;
        }
        let moves = self.incidents.take(alert, &self.alerts, self.settings.window_ms);
        match moves.iter().rev().find(|(print, _)| *print == alert.fingerprint) {
            Some((_, id)) => {
                let id = moves.iter().rev().find(|(print, _)| *print == alert.fingerprint).map_or(*id, |(_, id)| *id);
                alert.incident = Some(id);
                let count = self.incidents.all.get(&id).map_or(0, |incident| incident.alert_count());
                tracing::info!("Correlated {count} alerts into incident {id}");
            }
            None => tracing::info!(alert = %alert.fingerprint, "New uncorrelated alert"),
        }
        self.follow(moves, alert.fingerprint, now_ms);
    }

    /// Gives alerts the incidents they belong to by now.
    fn follow(&mut self, moves: Moves, except: Fingerprint, now_ms: i64) {
        for (print, id) in moves.into_iter().filter(|(print, _)| *print != except) {
            let Some(known) = self.alerts.get(&print).filter(|known| known.incident != Some(id)).cloned() else {
                continue;
            };
            let mut alert = Alert { incident: Some(id), ..Alert::clone(&known) };
            alert.note(now_ms, format!("part of incident {id}"));
            let (before, after) = (self.routing.groups_of(&known), self.routing.groups_of(&alert));
            for (from, to) in before.into_iter().zip(after).filter(|(from, to)| from != to) {
                self.groups.rename(&from, to, print);
            }
            self.put(alert);
        }
    }

    /// What is newly known of how the series of alerts move.
    pub(in crate::alert) fn correlated(&mut self, pairs: Vec<(Fingerprint, Fingerprint, Correlation)>, now_ms: i64) {
        for (a, b, known) in pairs {
            let moves = self.incidents.correlated((a, b), known, &self.alerts, self.settings.window_ms);
            self.follow(moves, Fingerprint::MIN, now_ms);
        }
    }

    /// Another topology holds from now on.
    pub(in crate::alert) fn set_topology(&mut self, topology: Topology) {
        self.incidents.topology = topology;
        let open: Vec<_> = self.incidents.all.values().filter(|one| one.end_ms.is_none()).map(|one| one.id).collect();
        open.into_iter().for_each(|id| self.incidents.stir(id));
    }

    /// Looks at incidents that changed.
    pub(super) fn look_at_incidents(&mut self, now_ms: i64) {
        for incident in self.incidents.tick(&self.alerts, now_ms) {
            let members = incident.members.iter().filter_map(|member| self.alerts.get(&member.alert)).cloned();
            let signal = joint(&incident, &members.collect::<Vec<_>>(), now_ms);
            let print = signal.fingerprint;
            self.take(signal, now_ms);
            if let Some(alert) = self.alerts.get_mut(&print) {
                Arc::make_mut(alert).incident = Some(incident.id);
            }
        }
        if !self.incidents.all.values().any(|incident| incident.is_joint) {
            return;
        }
        // The one alert of many slight ones ends with them.
        let over = self.alerts.values().filter(|alert| alert.origin == Origin::Joint && alert.is_firing());
        let is_over = |alert: &&Arc<Alert>| {
            let incident = alert.incident.and_then(|id| self.incidents.all.get(&id));
            incident.is_none_or(|incident| incident.end_ms.is_some())
        };
        let over: Vec<_> = over.filter(is_over).map(|alert| alert.fingerprint).collect();
        over.into_iter().for_each(|print| self.end(print, None, now_ms));
    }
}

/// What is said of slight alerts that are many.
fn joint(incident: &Incident, members: &[Arc<Alert>], now_ms: i64) -> Signal {
    let mut labels: BTreeMap<String, String> = members.first().map(|first| first.labels.clone()).unwrap_or_default();
    labels.retain(|name, value| members.iter().all(|alert| alert.labels.get(name) == Some(value)));
    let of: Vec<_> = labels.iter().filter(|(name, _)| *name != NAME_LABEL).map(|(_, value)| value.clone()).collect();
    labels.insert(NAME_LABEL.to_owned(), "JointAnomaly".to_owned());
    let mut metrics: Vec<&str> =
        members.iter().filter_map(|alert| alert.labels.get(METRIC_LABEL)).map(String::as_str).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let names = metrics.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let on = if of.is_empty() { String::new() } else { format!(" of {}", of.join(" ")) };
    Signal {
        fingerprint: Fingerprint::of("joint", incident.id.to_string().as_bytes()),
        origin: Origin::Joint,
        occurrence_ms: incident.start_ms,
        name: "JointAnomaly".to_owned(),
        labels,
        annotations: BTreeMap::new(),
        severity: AlertSeverity::Warning,
        start_ms: incident.start_ms,
        last_ms: now_ms,
        is_open: true,
        count: metrics.len() as u64,
        value: metrics.len() as f64,
        score: members.iter().map(|alert| alert.score).fold(0.0, f64::max),
        summary: format!("{} metrics{on} are unusual together, each too slight alone: {names}", metrics.len()),
        anomaly_id: None,
        renotify_ms: None,
    }
}
