//! The whole life of alerts by a clock that is given: what would have been told, and what would not.
//!
//! The same ledger as of the running book: cooldown, groups, silences, maintenance, inhibition, escalation, incidents, budget.
//! Every notification counts as delivered at once.
//!
//! Not here: what is said of series at which time (see whoever replays), acknowledgements, which people would have given.
//!
//! Invariant: the same signals at the same times give the same list.

use super::incident::Topology;
use super::ledger::{AlertCounts, Ledger, Settings};
use super::log;
use super::maintenance::{Coverage, Window};
use super::record::{Alert, Fingerprint, Origin};
use super::routing::Routing;
use super::signal::{Signal, alert_labels};
use super::silence::Silence;
use crate::frame_log::FrameLogError;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How often the book looks what has come due.
const TICK_MS: i64 = 1000;

/// One alert of a notification.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ToldAlert {
    /// The alert's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// How severe it was.
    pub severity: &'static str,
    /// Whether it went on.
    pub is_firing: bool,
}

/// One notification that would have been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Who would have been told.
    pub receiver: String,
    /// Why: new, repeat, resolved.
    pub reason: &'static str,
    /// Whether anything of it went on.
    pub is_firing: bool,
    /// One line.
    pub title: String,
    /// Alerts there were; `alerts` has the worst.
    pub total: usize,
    /// The alerts that it names, sorted.
    pub alerts: Vec<ToldAlert>,
}

/// What people planned and said before: it holds for a replay as it held then.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    silences: BTreeMap<Fingerprint, Arc<Silence>>,
    windows: BTreeMap<Fingerprint, Arc<Window>>,
    topology: Option<Topology>,
}

impl Planned {
    /// Silences, maintenance and topology of the folder that a book of alerts was kept in.
    ///
    /// # Errors
    /// When the log cannot be opened.
    pub fn read(folder: &Path) -> Result<Self, FrameLogError> {
        if !folder.exists() {
            return Ok(Self::default());
        }
        let (_, loaded) = log::open(folder)?;
        Ok(Self {
            silences: loaded.silences.into_iter().map(|(id, silence)| (id, Arc::new(silence))).collect(),
            windows: loaded.windows.into_iter().map(|(id, window)| (id, Arc::new(window))).collect(),
            topology: loaded.topology,
        })
    }

    /// The maintenance that concerns a series of this canonical key; `None` where none does.
    pub fn coverage(&self, key: &[u8]) -> Option<Coverage> {
        if self.windows.is_empty() { None } else { Coverage::of(self.windows.values(), &alert_labels(key)) }
    }
}

/// A ledger at some time of the past.
#[derive(Debug)]
pub struct AlertReplay {
    ledger: Ledger,
    now_ms: i64,
    tellings: Vec<Telling>,
}

impl AlertReplay {
    /// A ledger without alerts at `now_ms`.
    pub fn new(settings: Settings, routing: Routing, planned: &Planned, now_ms: i64) -> Self {
        // Nothing is sent, so that there is nothing to be tried out.
        let mut ledger = Ledger::new(Settings { dry_run: false, ..settings }, routing);
        ledger.silences.clone_from(&planned.silences);
        ledger.windows.clone_from(&planned.windows);
        if let Some(topology) = &planned.topology {
            ledger.set_topology(topology.clone());
            ledger.topology_set = Some(topology.clone());
        }
        Self { ledger, now_ms, tellings: Vec::new() }
    }

    /// Takes what is said of a series at a time, which is not before that of the last.
    pub fn take(&mut self, signal: Signal, now_ms: i64) {
        self.until(now_ms);
        self.ledger.take(signal, now_ms);
    }

    /// Lets time pass, second by second; over times in which nothing can happen at once.
    pub fn until(&mut self, now_ms: i64) {
        while self.now_ms + TICK_MS <= now_ms {
            self.now_ms += TICK_MS;
            if !self.ledger.has_work() {
                // The last tick before the time sees windows that began and ended in between.
                self.now_ms = self.now_ms.max(now_ms - (now_ms - self.now_ms) % TICK_MS);
            }
            self.tick();
        }
    }

    fn tick(&mut self) {
        let now_ms = self.now_ms;
        for notification in self.ledger.tick(now_ms) {
            let told = |alert: &Arc<Alert>| ToldAlert {
                name: alert.name.clone(),
                labels: alert.labels.clone(),
                severity: alert.severity.as_str(),
                is_firing: alert.is_firing(),
            };
            let mut alerts: Vec<_> = notification.alerts.iter().map(told).collect();
            alerts.sort();
            self.tellings.push(Telling {
                at_ms: now_ms,
                receiver: notification.to.name.to_string(),
                reason: notification.reason.as_str(),
                is_firing: notification.firing > 0,
                title: notification.title(),
                total: notification.total,
                alerts,
            });
            self.ledger.told(&notification.fresh, &notification.to.name, None, now_ms);
        }
        // Nobody writes down what changed.
        self.ledger.changed.clear();
        self.ledger.incidents.changed.clear();
    }

    /// An alert that goes on.
    pub fn firing(&self, print: Fingerprint) -> Option<&Alert> {
        self.ledger.alerts.get(&print).map(|alert| &**alert).filter(|alert| alert.is_firing())
    }

    /// What would have been told so far, and what became of all that was raised.
    pub fn finish(self) -> (Vec<Telling>, AlertCounts) {
        (self.tellings, self.ledger.counts)
    }
}

impl Ledger {
    /// Whether anything may happen before the next signal.
    fn has_work(&self) -> bool {
        let goes_on = |alert: &Arc<Alert>| alert.is_firing() && alert.origin != Origin::Maintenance;
        self.alerts.values().any(goes_on) || self.grouped() + self.pending() > 0 || !self.groups_are_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::conditions::Conditions;
    use super::super::signal::tests::signal_of;
    use super::*;
    use storage::label_index::Matcher;

    const MINUTE: i64 = 60_000;

    fn replayed(settings: Settings, planned: &Planned) -> (Vec<Telling>, AlertCounts) {
        let mut replay = AlertReplay::new(settings, Routing::default(), planned, 0);
        for (at_ms, host, is_open) in
            [(MINUTE, "a", true), (2 * MINUTE, "b", true), (3 * MINUTE, "a", false), (600 * MINUTE, "a", true)]
        {
            let signal = signal_of(&[("host", host), ("severity", "critical")]);
            replay.take(
                Signal { start_ms: at_ms, occurrence_ms: at_ms / MINUTE / 10, last_ms: at_ms, is_open, ..signal },
                at_ms,
            );
        }
        replay.until(700 * MINUTE);
        replay.finish()
    }

    #[test]
    fn the_same_signals_give_the_same_list_and_all_is_accounted_for() {
        let (first, counts) = replayed(Settings::default(), &Planned::default());
        let (second, _) = replayed(Settings::default(), &Planned::default());
        assert_eq!(first, second);
        let told: Vec<_> = first.iter().map(|told| (told.at_ms, told.reason, told.total)).collect();
        // After group_wait, after group_interval with both, and as it goes on every four hours.
        assert_eq!(told[0], (MINUTE + 30_000, "new", 1));
        assert_eq!(told[1], (6 * MINUTE + 30_000, "new", 2));
        assert!(told.iter().any(|(_, reason, _)| *reason == "repeat"), "{told:?}");
        let AlertCounts { raised, notified, failed, deduplicated, silenced, suppressed, inhibited, .. } = counts;
        assert_eq!(raised, notified + failed + deduplicated + silenced + suppressed + inhibited);
        assert!(notified >= 2);
    }

    #[test]
    fn what_was_planned_then_keeps_quiet_now() {
        let everything = Conditions::of(vec![Matcher::not_equal("host", "")]);
        let window =
            Window::new((0, 1000 * MINUTE), everything, (String::new(), "UTC".to_owned()), String::new()).unwrap();
        let planned = Planned { windows: [(window.id, Arc::new(window))].into(), ..Planned::default() };
        let (told, counts) = replayed(Settings::default(), &planned);
        assert_eq!((told.len(), counts.suppressed), (0, counts.raised));
    }
}
