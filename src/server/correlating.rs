//! Looks at how the series of alerts move, so that incidents have more to go by than labels and times.
//!
//! Of an open incident the alerts' series are compared around their beginning: who goes ahead speaks for a cause. Of alerts that
//! began at about the same time and have no incident, the hours before: series that always move together belong together.
//!
//! Not here: what follows from it (see `alert::incident`).
//!
//! Invariant: of an incident, and of alerts without one, only so many pairs are looked at.

use super::Running;
use super::settings::query_limits;
use crate::alert::book::{AlertBook, View, Wish};
use crate::alert::{Alert, Correlation, Fingerprint, IncidentId, Origin, correlate};
use crate::clock;
use crate::config::Config;
use crate::query::{self, Answer, Cancel, QueryLimits, RangeTimes, Room};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use storage::Store;
use tokio::sync::watch as signal;

/// How often incidents are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long an incident is looked at again although no alert joined it.
const AGAIN_MS: i64 = 60_000;
const YOUNG_MS: i64 = 900_000;
/// Alerts of which all pairs are compared.
const ALERTS_MAX: usize = 12;
/// What is compared around the beginning of an incident: from so long before it, by this step, shifted by so many at most.
const BEFORE_MS: i64 = 1_800_000;
const SPAN_MS_MAX: i64 = 3 * 3_600_000;
const STEP_MS: i64 = 15_000;
const SHIFT_MAX: usize = 40;
/// And of alerts without one: the hours before they began.
const USUALLY_MS: i64 = 6 * 3_600_000;
const USUALLY_STEP_MS: i64 = 60_000;
const USUALLY_SHIFT_MAX: usize = 10;
/// From which correlation on two series always move together.
const TOGETHER: f64 = 0.8;

/// What is looked at, and what was.
pub(super) struct Correlating {
    store: Store,
    room: Arc<Room>,
    limits: QueryLimits,
    book: AlertBook,
    window_ms: i64,
    /// How many alerts an incident had when it was looked at, and when that was.
    seen: BTreeMap<IncidentId, (u64, i64)>,
    compared: BTreeSet<(Fingerprint, Fingerprint)>,
}

pub(super) fn begin(config: &Config, running: &Running) -> Correlating {
    Correlating {
        store: running.store.clone(),
        room: running.room.clone(),
        limits: query_limits(&config.query),
        book: running.alerts.book.clone(),
        window_ms: config.correlation.window.as_millis() as i64,
        seen: BTreeMap::new(),
        compared: BTreeSet::new(),
    }
}

impl Correlating {
    /// Looks until the server stops.
    pub(super) async fn run(mut self, mut stop: signal::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
            let looked = tokio::task::spawn_blocking(move || {
                let found = self.look(clock::now_ms());
                if !found.is_empty() {
                    // A book that is busy hears of it at the next look.
                    let _ = self.book.wish(Wish::Correlated(found), Box::new(|_| {}));
                }
                self
            });
            let Ok(back) = looked.await else { return };
            self = back;
        }
    }

    fn look(&mut self, now_ms: i64) -> Vec<(Fingerprint, Fingerprint, Correlation)> {
        let view = self.book.view();
        self.seen.retain(|id, _| view.incidents.contains_key(id));
        let mut found = Vec::new();
        for incident in view.incidents.values().filter(|one| one.end_ms.is_none()) {
            let count = incident.alert_count();
            let is_known = self.seen.get(&incident.id).is_some_and(|(seen, at_ms)| {
                *seen == count && (now_ms - at_ms < AGAIN_MS || now_ms - incident.start_ms > YOUNG_MS)
            });
            if is_known {
                continue;
            }
            self.seen.insert(incident.id, (count, now_ms));
            let alerts = incident.members.iter().filter_map(|member| view.alerts.get(&member.alert));
            let alerts: Vec<_> = alerts.filter(|alert| alert.origin == Origin::Anomaly).take(ALERTS_MAX).collect();
            let start_ms = incident.start_ms - BEFORE_MS;
            let end_ms = now_ms.min(start_ms + SPAN_MS_MAX);
            let times = RangeTimes { start_ms, end_ms, step_ms: STEP_MS };
            found.extend(self.pairs(&alerts, times, SHIFT_MAX));
        }
        found.extend(self.alone(&view, now_ms));
        found
    }

    /// Alerts without an incident whose series always move together.
    fn alone(&mut self, view: &View, now_ms: i64) -> Vec<(Fingerprint, Fingerprint, Correlation)> {
        let is_alone = |alert: &&Arc<Alert>| {
            let is_new = now_ms - alert.starts_at_ms < 2 * self.window_ms;
            alert.origin == Origin::Anomaly && alert.is_firing() && alert.incident.is_none() && is_new
        };
        let mut alone: Vec<_> = view.alerts.values().filter(is_alone).collect();
        alone.sort_by_key(|alert| alert.starts_at_ms);
        alone.truncate(ALERTS_MAX);
        let is_news = |a: &Arc<Alert>, b: &Arc<Alert>| !self.compared.contains(&(a.fingerprint, b.fingerprint));
        let is_known = alone.iter().enumerate().all(|(at, a)| alone[at + 1..].iter().all(|b| !is_news(a, b)));
        let Some(first) = alone.first().filter(|_| alone.len() > 1 && !is_known) else {
            if alone.is_empty() {
                self.compared.clear();
            }
            return Vec::new();
        };
        let end_ms = first.starts_at_ms;
        let times = RangeTimes { start_ms: end_ms - USUALLY_MS, end_ms, step_ms: USUALLY_STEP_MS };
        let pairs =
            alone.iter().enumerate().flat_map(|(at, a)| alone[at + 1..].iter().map(|b| (a.fingerprint, b.fingerprint)));
        self.compared.extend(pairs);
        let found = self.pairs(&alone, times, USUALLY_SHIFT_MAX);
        found.into_iter().filter(|(.., known)| known.r.abs() >= TOGETHER).collect()
    }

    fn pairs(
        &self,
        alerts: &[&Arc<Alert>],
        times: RangeTimes,
        shift_max: usize,
    ) -> Vec<(Fingerprint, Fingerprint, Correlation)> {
        let columns: Vec<_> = alerts.iter().map(|alert| (alert.fingerprint, self.column(alert, times))).collect();
        let mut found = Vec::new();
        for (at, (a, one)) in columns.iter().enumerate() {
            for (b, other) in &columns[at + 1..] {
                let (Some(one), Some(other)) = (one, other) else { continue };
                found.extend(correlate(one, other, times.step_ms, shift_max).map(|known| (*a, *b, known)));
            }
        }
        found
    }

    /// The values of an alert's series, one a step; what a counter gained where it is one by its name.
    fn column(&self, alert: &Alert, times: RangeTimes) -> Option<Vec<f64>> {
        let labels: BTreeMap<&str, &str> = alert
            .labels
            .iter()
            .filter(|(name, _)| *name != "alertname")
            .map(|(name, value)| (if name == "metric_name" { "__name__" } else { name.as_str() }, value.as_str()))
            .collect();
        let matchers: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let (cancel, share) = (Cancel::default(), self.room.share());
        let bounds = (&cancel, &share);
        let selector = format!("{{{}}}", matchers.join(","));
        let prepared = query::range(&self.store, &selector, times, &self.limits, bounds).ok()?;
        let Answer::Columns(columns) = prepared.evaluate(&self.store, &self.limits, bounds).ok()?.answer else {
            return None;
        };
        let mut series = columns.into_series();
        let (_, mut values) = series.find(|(found, _)| found.iter().eq(labels.iter().map(|(a, b)| (*a, *b))))?;
        values.iter_mut().filter(|value| query::is_absent(**value)).for_each(|value| *value = f64::NAN);
        if labels.get("__name__").is_some_and(|name| name.ends_with("_total")) {
            let gains: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).map(|gain| gain.max(0.0)).collect();
            return Some([vec![f64::NAN], gains].concat());
        }
        Some(values)
    }
}
