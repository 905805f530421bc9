//! All alerts and what becomes of each signal: pure, time is an argument.
//!
//! ```text
//! signal ─ known and told lately? ─ deduplicated
//!        └ silence, maintenance, too slight? ─ silenced, suppressed
//!        └ groups ─ due ─ notification ═▶ receiver ─ notified or failed
//! ```
//!
//! Not here: the thread, the disk and the receivers (see `book`).
//!
//! Invariants: raised = pending + grouped + notified + failed + deduplicated + silenced + suppressed + inhibited, at every moment; an alert
//! that was told at a severity is not told again at it within the cooldown; what a person declared over stays over until
//! something new begins.

mod incidents;
mod quiet;
mod tell;

use self::quiet::Inhibitors;
use super::budget::Budget;
use super::groups::Groups;
use super::incident::{Incidents, Topology};
use super::maintenance::Window;
use super::notification::Notification;
use super::record::{Alert, Fingerprint, Origin, Said};
use super::routing::{GroupKey, Routing, Timing};
use super::signal::Signal;
use super::silence::Silence;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How alerts are handled.
#[derive(Debug, Clone)]
pub struct Settings {
    /// After being told, how long the same alert at the same severity is not told anew, in milliseconds.
    pub cooldown_ms: i64,
    /// How long an anomaly has to be over before its alert is, in milliseconds.
    pub resolve_after_ms: i64,
    /// Most alerts; those over the longest leave first.
    pub alerts_max: usize,
    /// Age at which an alert that is over is forgotten, in milliseconds.
    pub retention_ms: i64,
    /// How far apart alerts may begin that have to do with each other, in milliseconds.
    pub window_ms: i64,
    /// Where people find the server, without a slash at its end; empty if that is not known.
    pub external_url: String,
    /// Which services need which others, by the settings.
    pub topology: Topology,
    /// Signals of what ended so long ago, in milliseconds, raise nothing: history that is read in.
    pub age_max_ms: i64,
    /// Notifications that all receivers but the log may get in seven days, critical ones aside.
    pub notifications_per_week: u64,
    /// Whether alerts are handled as always and written down as told, while nobody is told.
    pub dry_run: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cooldown_ms: 300_000,
            resolve_after_ms: 120_000,
            window_ms: 300_000,
            external_url: String::new(),
            topology: Topology::default(),
            alerts_max: 20_000,
            retention_ms: 30 * 86_400_000,
            age_max_ms: 600_000,
            notifications_per_week: 20,
            dry_run: false,
        }
    }
}

/// What became of all that was raised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// Beginnings and rises in severity, and what came free when a silence ended.
    pub raised: u64,
    /// Told to at least one receiver.
    pub notified: u64,
    /// Told to none, although it was tried.
    pub failed: u64,
    /// Not told because it was told lately.
    pub deduplicated: u64,
    /// Not told because of a silence.
    pub silenced: u64,
    /// Not told because of maintenance, or too slight to be told.
    pub suppressed: u64,
    /// Not told because another alert stands for it.
    pub inhibited: u64,
    /// Signals of what ended long ago, and those for which there was no room; they are no part of what was raised.
    pub ignored: u64,
}

/// Tellings of an alert that are under way.
#[derive(Debug, Clone, Copy, Default)]
struct Underway {
    /// When it was first raised.
    since_ms: i64,
    /// How often it was raised since.
    raised: u64,
    /// Receivers that have not answered; groups it waits in count as one.
    open: u32,
    /// Those of them that are groups it waits in.
    waiting: u32,
    any_told: bool,
}

/// All alerts, silences and windows.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) settings: Settings,
    pub(super) routing: Routing,
    pub(super) alerts: BTreeMap<Fingerprint, Arc<Alert>>,
    pub(super) silences: BTreeMap<Fingerprint, Arc<Silence>>,
    pub(super) windows: BTreeMap<Fingerprint, Arc<Window>>,
    pub(super) counts: AlertCounts,
    pub(super) budget: Budget,
    pub(super) incidents: Incidents,
    /// The topology that was set over HTTP, which counts more than that of the settings.
    pub(super) topology_set: Option<Topology>,
    inhibitors: Inhibitors,
    has_windows_alerts: bool,
    groups: Groups,
    underway: BTreeMap<Fingerprint, Underway>,
    /// Alerts whose anomaly is over, and when they are.
    ending: BTreeMap<Fingerprint, i64>,
    /// What changed and is not written down.
    pub(super) changed: BTreeSet<Fingerprint>,
}

impl Ledger {
    pub(super) fn new(settings: Settings, routing: Routing) -> Self {
        let budget = Budget::new(settings.notifications_per_week);
        let (alerts, silences, windows) = Default::default();
        let (counts, groups, underway, ending, changed) = Default::default();
        let mut incidents = Incidents::default();
        incidents.topology = settings.topology.clone();
        Self {
            settings,
            routing,
            alerts,
            silences,
            windows,
            counts,
            budget,
            incidents,
            topology_set: None,
            inhibitors: Inhibitors::new(),
            // Those from before a start may have ended since.
            has_windows_alerts: true,
            groups,
            underway,
            ending,
            changed,
        }
    }

    /// Handles alerts by other rules from now on.
    pub(super) fn configure(&mut self, settings: Settings) {
        self.budget.allow(settings.notifications_per_week);
        if self.topology_set.is_none() && settings.topology != self.settings.topology {
            self.set_topology(settings.topology.clone());
        }
        self.settings = settings;
    }

    /// Tells others from now on: what waits to be told, or is being told, waits anew along the new routes.
    pub(super) fn reroute(&mut self, routing: Routing, now_ms: i64) {
        self.routing = routing;
        self.groups = Groups::default();
        self.inhibitors = Inhibitors::new();
        self.alerts.values().cloned().collect::<Vec<_>>().iter().for_each(|alert| self.inhibit(alert));
        for known in self.alerts.values().cloned().collect::<Vec<_>>() {
            if let Some(told_ms) = known.told_ms().filter(|_| known.is_firing()) {
                self.each_group(&known, |groups, key, timing| {
                    groups.take_back(key, timing, known.fingerprint, told_ms)
                });
            }
        }
        let waiting: Vec<_> = self.underway.keys().copied().collect();
        for print in waiting {
            let Some(known) = self.alerts.get(&print).cloned() else { continue };
            let mut joined = 0;
            self.each_group(&known, |groups, key, timing| joined += u32::from(groups.join(key, timing, print, now_ms)));
            if let Some(underway) = self.underway.get_mut(&print) {
                (underway.open, underway.waiting) = (joined, joined);
            }
        }
    }

    /// Takes an alert that was kept from before a start.
    pub(super) fn take_back(&mut self, alert: Alert, now_ms: i64) {
        if alert.is_firing() {
            match alert.told_ms() {
                Some(told_ms) => self.each_group(&alert, |groups, key, timing| {
                    groups.take_back(key, timing, alert.fingerprint, told_ms);
                }),
                None if alert.suppressed_by.is_empty() => self.raise(&alert, now_ms),
                None => {}
            }
        }
        self.incidents.take_back_alert(&alert);
        self.inhibit(&alert);
        self.alerts.insert(alert.fingerprint, Arc::new(alert));
    }

    fn each_group(&mut self, alert: &Alert, mut change: impl FnMut(&mut Groups, GroupKey, Timing)) {
        for key in self.routing.groups_of(alert) {
            let mut timing = self.routing.routes[key.route].timing;
            if let Some(again_ms) = alert.renotify_ms {
                timing.repeat_interval_ms = timing.repeat_interval_ms.min(again_ms);
            }
            change(&mut self.groups, key, timing);
        }
    }

    /// Takes what is said of a series.
    pub(super) fn take(&mut self, signal: Signal, now_ms: i64) {
        let known = self.alerts.get(&signal.fingerprint).cloned();
        let is_same = known
            .as_ref()
            .is_some_and(|known| (known.anomaly_id, known.occurrence_ms) == (signal.anomaly_id, signal.occurrence_ms));
        match known {
            Some(known) if is_same && known.is_firing() => self.update(&known, signal, now_ms),
            // What was declared over, or ended, and is told again.
            Some(_) if is_same => {}
            _ if now_ms.saturating_sub(signal.last_ms) > self.settings.age_max_ms => self.counts.ignored += 1,
            Some(known) if known.is_firing() => self.begin_again(&known, signal, now_ms),
            Some(known) => self.begin(Some(&known), signal, now_ms),
            None if self.alerts.len() >= self.settings.alerts_max && !self.make_room() => self.counts.ignored += 1,
            None => self.begin(None, signal, now_ms),
        }
    }

    /// The alert that ended first leaves; whether there was one.
    fn make_room(&mut self) -> bool {
        let quiet = self.alerts.values().filter(|alert| !self.underway.contains_key(&alert.fingerprint));
        let first = quiet.filter_map(|alert| alert.ends_at_ms.map(|end| (end, alert.fingerprint))).min();
        first.is_some_and(|(_, print)| self.alerts.remove(&print).is_some())
    }

    /// A new alert, or one that was over begins anew.
    fn begin(&mut self, before: Option<&Alert>, signal: Signal, now_ms: i64) {
        let is_open = signal.is_open;
        let fingerprint = signal.fingerprint;
        let lately = before.is_some_and(|before| {
            before.ends_at_ms.is_some_and(|end| now_ms.saturating_sub(end) < self.settings.cooldown_ms)
        });
        let mut alert = Alert::new(signal);
        alert.notified = before.map_or_else(BTreeMap::new, |before| before.notified.clone());
        alert.history = before.map_or_else(Vec::new, |before| before.history.clone());
        if let Some(before) = before.filter(|_| lately) {
            (alert.count_before, alert.count) = (before.count, before.count + alert.count);
            alert.starts_at_ms = before.starts_at_ms;
            alert.note(now_ms, "began again");
        } else {
            alert.note(now_ms, format!("began, {}", alert.severity.as_str()));
        }
        alert.suppressed_by = self.reasons(&alert, now_ms);
        self.find_incident(&mut alert, now_ms);
        self.raise(&alert, now_ms);
        self.put(alert);
        self.end_later(fingerprint, is_open, now_ms);
    }

    /// Another anomaly of a series whose alert goes on.
    fn begin_again(&mut self, known: &Alert, signal: Signal, now_ms: i64) {
        let count_before = known.count;
        let (anomaly_id, occurrence_ms) = (signal.anomaly_id, signal.occurrence_ms);
        let alert = Alert { anomaly_id, occurrence_ms, count_before, ..known.clone() };
        let (fingerprint, is_open) = (signal.fingerprint, signal.is_open);
        let is_worse = signal.severity > known.severity;
        let alert = merge(alert, signal, now_ms);
        if !is_worse {
            self.raise(&alert, now_ms);
        }
        self.put_worse(alert, is_worse, now_ms);
        self.end_later(fingerprint, is_open, now_ms);
    }

    /// The same anomaly goes on, or is over.
    fn update(&mut self, known: &Alert, signal: Signal, now_ms: i64) {
        let (fingerprint, is_open) = (signal.fingerprint, signal.is_open);
        let is_worse = signal.severity > known.severity;
        let alert = merge(known.clone(), signal, now_ms);
        self.put_worse(alert, is_worse, now_ms);
        self.end_later(fingerprint, is_open, now_ms);
    }

    fn put_worse(&mut self, mut alert: Alert, is_worse: bool, now_ms: i64) {
        if is_worse {
            let was_quiet = !alert.suppressed_by.is_empty();
            alert.suppressed_by = self.reasons(&alert, now_ms);
            if !was_quiet && !alert.suppressed_by.is_empty() {
                self.quieten(&alert, now_ms);
            }
            self.raise(&alert, now_ms);
        }
        self.put(alert);
    }

    fn end_later(&mut self, fingerprint: Fingerprint, is_open: bool, now_ms: i64) {
        if is_open {
            self.ending.remove(&fingerprint);
        } else {
            let origin = self.alerts.get(&fingerprint).map(|alert| alert.origin);
            let says_itself = matches!(origin, Some(Origin::Rule | Origin::Monitor));
            let after_ms = if says_itself { 0 } else { self.settings.resolve_after_ms };
            self.ending.entry(fingerprint).or_insert(now_ms.saturating_add(after_ms));
        }
    }

    /// Decides whether somebody is told of an alert that began or became worse.
    fn raise(&mut self, alert: &Alert, now_ms: i64) {
        self.counts.raised += 1;
        let told_ms = alert.notified.get(&alert.severity).copied();
        match () {
            () if !alert.suppressed_by.is_empty() => *self.counts.of_quiet(&alert.suppressed_by) += 1,
            () if told_ms.is_some_and(|told_ms| now_ms.saturating_sub(told_ms) < self.settings.cooldown_ms) => {
                self.counts.deduplicated += 1;
                // It goes on as a member of its groups, which tell when it is over.
                let told_ms = told_ms.unwrap_or(now_ms);
                self.each_group(alert, |groups, key, timing| {
                    groups.take_back(key, timing, alert.fingerprint, told_ms);
                });
            }
            () if alert.is_firing() && self.waits(alert) => self.counts.deduplicated += 1,
            () => {
                let (print, mut joined) = (alert.fingerprint, 0);
                self.each_group(alert, |groups, key, timing| {
                    joined += u32::from(groups.join(key, timing, print, now_ms));
                });
                let first = || Underway { since_ms: now_ms, ..Underway::default() };
                let underway = self.underway.entry(print).or_insert_with(first);
                underway.raised += 1;
                underway.open += joined;
                underway.waiting += joined;
            }
        }
    }

    /// Whether the alert waits to be told at this severity already, or is being told.
    fn waits(&self, alert: &Alert) -> bool {
        let before = self.alerts.get(&alert.fingerprint);
        self.underway.contains_key(&alert.fingerprint) && before.is_some_and(|before| before.severity >= alert.severity)
    }

    fn put(&mut self, alert: Alert) {
        let before = self.alerts.get(&alert.fingerprint);
        let is_other = before.is_none_or(|before| {
            (before.is_firing(), before.severity) != (alert.is_firing(), alert.severity)
                || before.incident != alert.incident
        });
        if is_other {
            alert.incident.into_iter().for_each(|id| self.incidents.stir(id));
            self.inhibit(&alert);
        }
        self.changed.insert(alert.fingerprint);
        self.alerts.insert(alert.fingerprint, Arc::new(alert));
    }

    /// Does what its time has come for; the notifications to be sent.
    pub(super) fn tick(&mut self, now_ms: i64) -> Vec<Notification> {
        let ended: Vec<_> = self.ending.iter().filter(|(_, end)| **end <= now_ms).map(|(print, _)| *print).collect();
        for print in ended {
            self.ending.remove(&print);
            self.end(print, None, now_ms);
        }
        self.look_at_incidents(now_ms);
        self.look_at_windows(now_ms);
        self.look_at_quiet(now_ms);
        self.escalate(now_ms);
        self.forget(now_ms);
        self.tell(now_ms)
    }

    /// An alert is over; of itself, or because somebody says so.
    pub(super) fn end(&mut self, print: Fingerprint, said: Option<Said>, now_ms: i64) {
        let Some(known) = self.alerts.get(&print).filter(|known| known.is_firing()).cloned() else { return };
        let mut alert = Alert { ends_at_ms: Some(now_ms), resolved: said, ..Alert::clone(&known) };
        match alert.resolved.as_ref().and_then(|said| said.by.clone()) {
            Some(by) => alert.note(now_ms, format!("resolved by {by}")),
            None => alert.note(now_ms, "resolved"),
        }
        self.each_group(&known, |groups, key, _| {
            groups.leave(&key, print, true, now_ms);
        });
        self.ending.remove(&print);
        self.put(alert);
    }

    /// Somebody takes an alert; nobody is told of it again until it becomes worse.
    pub(super) fn acknowledge(&mut self, print: Fingerprint, said: Said, now_ms: i64) {
        let Some(known) = self.alerts.get(&print).filter(|known| known.acknowledged.is_none()).cloned() else { return };
        let by = said.by.clone().unwrap_or_else(|| "somebody".to_owned());
        let mut alert = Alert { acknowledged: Some(said), ..Alert::clone(&known) };
        alert.note(now_ms, format!("acknowledged by {by}"));
        self.put(alert);
    }

    /// Forgets what was over long ago.
    fn forget(&mut self, now_ms: i64) {
        let retention_ms = self.settings.retention_ms;
        let is_old = |end_ms: i64| now_ms.saturating_sub(end_ms) > retention_ms;
        let (changed, underway) = (&mut self.changed, &self.underway);
        self.alerts.retain(|print, alert| {
            let keep = !alert.ends_at_ms.is_some_and(is_old) || underway.contains_key(print);
            if !keep {
                changed.insert(*print);
            }
            keep
        });
        self.silences.retain(|_, silence| !is_old(silence.until_ms));
        self.incidents.forget(is_old);
    }

    /// Whether no group waits for anything.
    pub(super) fn groups_are_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Raised and waiting in groups for their time.
    pub(super) fn grouped(&self) -> u64 {
        self.underway.values().filter(|one| one.waiting > 0).map(|underway| underway.raised).sum()
    }

    /// Raised and handed to receivers, of whom none has answered for all of it yet.
    pub(super) fn pending(&self) -> u64 {
        self.underway.values().filter(|one| one.waiting == 0).map(|underway| underway.raised).sum()
    }
}

/// What is known of an alert with what is newly said of it.
fn merge(mut alert: Alert, signal: Signal, now_ms: i64) -> Alert {
    if signal.severity > alert.severity {
        alert.note(now_ms, format!("became {}", signal.severity.as_str()));
        alert.severity = signal.severity;
        // Whoever took it took something less severe.
        alert.acknowledged = None;
    }
    if signal.score >= alert.score || alert.anomaly_id != signal.anomaly_id {
        (alert.value, alert.score) = (signal.value, signal.score);
        (alert.summary, alert.annotations) = (signal.summary, signal.annotations);
    }
    alert.renotify_ms = signal.renotify_ms;
    alert.updated_at_ms = alert.updated_at_ms.max(signal.last_ms);
    alert.count = alert.count_before + signal.count;
    alert
}

#[cfg(test)]
mod tests;
