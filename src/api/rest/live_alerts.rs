//! Alerts and incidents in the live stream: those that go on when a reader comes, and from then on what changes.
//!
//! Not here: when a stream looks (see `live`), the shapes (see `alerts`).
//!
//! Invariant: a count alone is no change: what is told again is how an alert or an incident stands.

use super::alerts::IncidentShape;
use super::live::event;
use crate::alert::book::View;
use crate::alert::{Alert, AlertSeverity, AlertShape, AlertState, Conditions, Fingerprint, Incident, IncidentId};
use std::collections::BTreeMap;
use storage::label_index::Matcher;

/// How an alert stood when it was sent.
type StandingOfAlert = (AlertState, AlertSeverity, i64, Option<IncidentId>);
/// How an incident stood: alerts, whether it is over, and the likeliest cause.
type StandingOfIncident = (u64, bool, Option<Fingerprint>);

/// What one reader was told.
#[derive(Debug, Default)]
pub(super) struct ToldAlerts {
    alerts: BTreeMap<Fingerprint, StandingOfAlert>,
    incidents: BTreeMap<IncidentId, StandingOfIncident>,
}

/// Which alerts a reader wants to hear of.
#[derive(Debug)]
pub(super) struct Chosen {
    name: Option<String>,
    sets: Vec<Conditions>,
}

impl Chosen {
    pub(super) fn new(name: Option<&str>, sets: &[Vec<Matcher>]) -> Self {
        Self { name: name.map(str::to_owned), sets: sets.iter().cloned().map(Conditions::of).collect() }
    }

    fn holds(&self, alert: &Alert) -> bool {
        let is_named = self.name.as_ref().is_none_or(|name| alert.labels.get("metric_name") == Some(name));
        is_named && (self.sets.is_empty() || self.sets.iter().any(|set| set.hold(&alert.labels)))
    }
}

impl ToldAlerts {
    /// Writes alerts that changed; at first only those that go on.
    pub(super) fn alerts(&mut self, view: &View, chosen: &Chosen, is_begun: bool, out: &mut String) {
        for (print, alert) in view.alerts.iter().filter(|(_, alert)| chosen.holds(alert)) {
            let now = (alert.state(), alert.severity, alert.starts_at_ms, alert.incident);
            let before = self.alerts.insert(*print, now);
            if before != Some(now) && (is_begun || alert.is_firing()) {
                event(out, "alert", &AlertShape::of(alert));
            }
        }
        self.alerts.retain(|print, _| view.alerts.contains_key(print));
    }

    /// Writes incidents that changed; at first only those that are open.
    pub(super) fn incidents(&mut self, view: &View, chosen: &Chosen, is_begun: bool, out: &mut String) {
        let concerns = |incident: &Incident| {
            let members = incident.members.iter().filter_map(|member| view.alerts.get(&member.alert));
            members.into_iter().any(|alert| chosen.holds(alert))
        };
        for (id, incident) in view.incidents.iter().filter(|(_, incident)| concerns(incident)) {
            let cause = incident.cause.as_ref().and_then(|cause| cause.candidates.first()).map(|first| first.alert);
            let now = (incident.alert_count(), incident.end_ms.is_some(), cause);
            let before = self.incidents.insert(*id, now);
            if before != Some(now) && (is_begun || incident.end_ms.is_none()) {
                event(out, "incident", &IncidentShape::of(incident, view));
            }
        }
        self.incidents.retain(|id, _| view.incidents.contains_key(id));
    }
}
