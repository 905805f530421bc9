//! Due groups become notifications, and their outcome is written to the alerts.
//!
//! Not here: when a group is due (see `groups`), the sending (see `notify`).

use super::super::groups::Due;
use super::super::notification::{Notification, Reason};
use super::super::record::{Alert, AlertSeverity, Fingerprint};
use super::super::routing::{GroupKey, INCIDENT_LABEL, Target};
use super::{Ledger, Underway};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Due groups of one receiver from which they are told as one: a storm.
const STORM_GROUPS: usize = 10;

impl Ledger {
    pub(super) fn tell(&mut self, now_ms: i64) -> Vec<Notification> {
        let alerts = &self.alerts;
        let due = self.groups.take_due(now_ms, |print| alerts.get(&print).is_some_and(|alert| alert.is_firing()));
        let mut of_receiver: BTreeMap<usize, Vec<Due>> = BTreeMap::new();
        for due in due {
            for print in &due.fresh {
                if let Some(underway) = self.underway.get_mut(print) {
                    underway.waiting = underway.waiting.saturating_sub(1);
                }
            }
            of_receiver.entry(self.routing.routes[due.key.route].receiver).or_default().push(due);
        }
        let mut notifications = Vec::new();
        for (receiver, mut all_due) in of_receiver {
            let groups_itself = matches!(self.routing.receivers[receiver].target, Target::Alertmanager { .. });
            if all_due.len() > STORM_GROUPS || groups_itself {
                let fresh = all_due.iter().flat_map(|due| due.fresh.iter().copied()).collect();
                let over = all_due.iter().flat_map(|due| due.over.iter().copied()).collect();
                let members = all_due.iter().flat_map(|due| due.members.iter().copied()).collect();
                let key = GroupKey { route: all_due[0].key.route, labels: Vec::new() };
                all_due = vec![Due { key, fresh, over, members }];
            }
            notifications.extend(all_due.into_iter().filter_map(|due| self.notification(receiver, due, now_ms)));
        }
        notifications
    }

    /// Tells the next of the ladder of what nobody has taken for long enough.
    pub(super) fn escalate(&mut self, now_ms: i64) {
        if self.routing.routes.iter().all(|route| route.ladder.is_empty()) {
            return;
        }
        let is_open = |alert: &&Arc<Alert>| {
            alert.is_firing()
                && alert.acknowledged.is_none()
                && alert.suppressed_by.is_empty()
                && !alert.notified.is_empty()
        };
        let open: Vec<_> = self.alerts.values().filter(is_open).cloned().collect();
        for known in open {
            let told_ms = known.notified.values().copied().filter(|told_ms| *told_ms >= known.starts_at_ms).min();
            let Some(told_ms) = told_ms else { continue };
            let Some(after_ms) = self.routing.next_step_ms(&known) else { continue };
            if now_ms.saturating_sub(told_ms) < after_ms {
                continue;
            }
            let before = self.routing.groups_of(&known);
            let mut alert = Alert { escalated: known.escalated + 1, ..Alert::clone(&known) };
            let (print, mut joined) = (alert.fingerprint, 0);
            for key in self.routing.groups_of(&alert).into_iter().filter(|key| !before.contains(key)) {
                let route = &self.routing.routes[key.route];
                let name = self.routing.receivers[route.receiver].name.clone();
                alert.note(now_ms, format!("nobody took it, so {name} is told"));
                joined += u32::from(self.groups.join(key, route.timing, print, now_ms));
            }
            self.put(alert);
            if joined == 0 {
                continue;
            }
            self.counts.raised += 1;
            let first = || Underway { since_ms: told_ms, ..Underway::default() };
            let underway = self.underway.entry(print).or_insert_with(first);
            underway.raised += 1;
            underway.open += joined;
            underway.waiting += joined;
        }
    }

    /// What a receiver is told of a group; nothing if it is to be told nothing of it.
    fn notification(&mut self, receiver: usize, due: Due, now_ms: i64) -> Option<Notification> {
        let to = self.routing.receivers[receiver].clone();
        let repeats = due.fresh.is_empty() && due.over.is_empty();
        // An Alertmanager has to hear of all that goes on; a person who took an alert has not.
        let is_told_again = |alert: &Alert| {
            matches!(to.target, Target::Alertmanager { .. })
                || alert.acknowledged.is_none() && alert.suppressed_by.is_empty()
        };
        let find = |print: &Fingerprint| self.alerts.get(print).cloned();
        let fresh: Vec<_> = due.fresh.iter().filter_map(find).collect();
        let over: Vec<_> = due.over.iter().filter(|_| to.sends_resolved).filter_map(find).collect();
        let members: Vec<_> = due.members.iter().filter_map(find).filter(|alert| is_told_again(alert)).collect();
        let is_nothing = fresh.is_empty() && over.is_empty() && (!repeats || members.is_empty());
        let reason = match () {
            () if is_nothing => return None,
            () if !fresh.is_empty() => Reason::New,
            () if !over.is_empty() => Reason::Resolved,
            () => Reason::Repeat,
        };
        let worst = fresh.iter().chain(&members).map(|alert| alert.severity).max();
        let is_counted = !matches!(to.target, Target::Log | Target::Alertmanager { .. }) && reason != Reason::Resolved;
        if is_counted && !self.budget.take(now_ms, worst == Some(AlertSeverity::Critical)) {
            if reason == Reason::New {
                // They wait for the day's one notification of all that had to.
                let timing = self.budget.digest_timing(self.routing.routes[due.key.route].timing, now_ms);
                for print in &due.fresh {
                    self.groups.join(due.key.clone(), timing, *print, now_ms);
                    if let Some(underway) = self.underway.get_mut(print) {
                        underway.waiting += 1;
                    }
                }
            }
            return None;
        }
        let of_incident = fresh.iter().chain(&over).chain(&members).find_map(|alert| alert.incident);
        let by_incident = due.key.labels.iter().any(|(name, _)| name == INCIDENT_LABEL);
        let incident = of_incident.filter(|_| by_incident).and_then(|id| self.incidents.all.get(&id));
        let incident = incident.and_then(|incident| Some((incident.id, incident.cause_in_words(&self.alerts)?)));
        let labels = due.key.labels.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let notification = Notification::new(to, labels, reason, [fresh, over, members], now_ms);
        let external_url = self.settings.external_url.clone();
        Some(Notification { incident, external_url, ..notification })
    }

    /// A receiver was told of these alerts, or could not be.
    pub(in crate::alert) fn told(
        &mut self,
        fresh: &[(Fingerprint, AlertSeverity)],
        receiver: &str,
        error: Option<&str>,
        now_ms: i64,
    ) {
        for (print, severity) in fresh {
            if let Some(known) = self.alerts.get(print).cloned() {
                let mut alert = Alert::clone(&known);
                let since_ms = self.underway.get(print).map_or(now_ms, |underway| underway.since_ms);
                match error {
                    None => {
                        alert.notified.insert(*severity, since_ms);
                        alert.note(now_ms, format!("told to {receiver}"));
                    }
                    Some(error) => alert.note(now_ms, format!("could not be told to {receiver}: {error}")),
                }
                self.put(alert);
            }
            let Some(underway) = self.underway.get_mut(print) else { continue };
            underway.any_told |= error.is_none();
            underway.open = underway.open.saturating_sub(1);
            if underway.open == 0 {
                let Underway { raised, any_told, .. } = *underway;
                self.underway.remove(print);
                if any_told { self.counts.notified += raised } else { self.counts.failed += raised }
            }
        }
    }
}
