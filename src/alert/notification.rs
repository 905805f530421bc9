//! What a receiver is told at once: the alerts of a group, the worst first.
//!
//! Not here: how it gets there (see `notify`).
//!
//! Invariant: a notification names at most so many alerts and says how many there are; its id is the same whenever it is
//! sent again.

use super::incident::IncidentId;
use super::record::{Alert, AlertSeverity, Fingerprint};
use super::routing::Receiver;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most alerts that one notification names.
pub(super) const ALERTS_MAX: usize = 100;

/// Why somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Something began or became worse.
    New,
    /// Something goes on.
    Repeat,
    /// Something is over.
    Resolved,
}

impl Reason {
    /// The word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Repeat => "repeat",
            Self::Resolved => "resolved",
        }
    }
}

/// One notification.
#[derive(Debug, Clone)]
pub(super) struct Notification {
    /// The same whenever it is sent again.
    pub(super) id: Fingerprint,
    /// Who is told.
    pub(super) to: Receiver,
    /// What the alerts have in common.
    pub(super) group_labels: BTreeMap<String, String>,
    /// Why.
    pub(super) reason: Reason,
    /// Alerts there are.
    pub(super) total: usize,
    /// Those of them that go on.
    pub(super) firing: usize,
    /// The worst, the worst first; all of them for an Alertmanager.
    pub(super) alerts: Vec<Arc<Alert>>,
    /// Those told for the first time, with the severity they are told at.
    pub(super) fresh: Vec<(Fingerprint, AlertSeverity)>,
    /// Where people find the server; empty if that is not known.
    pub(super) external_url: String,
    /// Of alerts of one incident, its id and the likeliest cause in words.
    pub(super) incident: Option<(IncidentId, String)>,
    /// When it was made, milliseconds since 1970 UTC.
    pub(super) at_ms: i64,
}

impl Notification {
    /// Of alerts that are told for the first time, are over, and were told before and go on.
    pub(super) fn new(
        to: Receiver,
        group_labels: BTreeMap<String, String>,
        reason: Reason,
        [fresh, over, members]: [Vec<Arc<Alert>>; 3],
        at_ms: i64,
    ) -> Self {
        let text = format!("{} {group_labels:?} {at_ms}", to.name);
        let id = Fingerprint::of("notification", text.as_bytes());
        let told_first = fresh.iter().map(|alert| (alert.fingerprint, alert.severity)).collect();
        let mut alerts: Vec<_> = [fresh, over, members].concat();
        alerts.sort_by(|a, b| rank(b).partial_cmp(&rank(a)).unwrap_or(std::cmp::Ordering::Equal));
        let (total, firing) = (alerts.len(), alerts.iter().filter(|alert| alert.is_firing()).count());
        if !matches!(to.target, super::routing::Target::Alertmanager { .. }) {
            alerts.truncate(ALERTS_MAX);
        }
        Self {
            id,
            to,
            group_labels,
            reason,
            total,
            firing,
            alerts,
            fresh: told_first,
            external_url: String::new(),
            incident: None,
            at_ms,
        }
    }

    /// One line.
    pub(super) fn title(&self) -> String {
        let worst = self.alerts.first();
        let severity = worst.map_or("info", |alert| alert.severity.as_str());
        let status = if self.firing == 0 { "resolved" } else { severity };
        let of = self.group_labels.values().cloned().collect::<Vec<_>>().join(" ");
        let what = worst.map_or("", |alert| alert.summary.as_str());
        match self.total {
            total if total > 1 && self.incident.is_some() => {
                let cause = self.incident.as_ref().map_or("", |(_, cause)| cause.as_str());
                format!("[{status}] incident of {total} alerts, {cause}")
            }
            1 => format!("[{status}] {of}: {what}"),
            total => {
                format!("[{status}] {total} alerts{}{of}, the worst: {what}", if of.is_empty() { "" } else { " of " })
            }
        }
    }
}

/// What goes on before what is over, then by severity and score.
fn rank(alert: &Alert) -> (bool, AlertSeverity, f64) {
    (alert.is_firing(), alert.severity, alert.score)
}
