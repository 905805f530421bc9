//! Maintenance, as models see it: while a window goes on the series it concerns are judged and not learned, and an event
//! says when that is over.
//!
//! Not here: windows (see `alert::maintenance`), what resting models do (see `shard::rests`).
//!
//! Invariants: a window is known to models before whoever planned it is answered; an event's id follows from the window and
//! the end of its span, so that a restart tells none twice.

use super::Running;
use crate::alert::book::{AlertBook, View};
use crate::alert::{Coverage, Fingerprint, Window};
use crate::change_events::{ChangeEvent, ChangeEvents, ChangeKind};
use crate::clock;
use crate::shard::rests::{Rest, RestPlans};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as signal;

/// How often it is looked whether a window is over.
const LOOK: Duration = Duration::from_secs(1);
/// Windows that ended since the newest sample, and at most so long before a start, are told of after it.
const MISSED_MS: i64 = 86_400_000;

/// The windows of the book of alerts.
#[derive(Debug)]
pub(super) struct AlertWindows {
    book: AlertBook,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    view: Arc<View>,
    changes: u64,
}

impl AlertWindows {
    pub(super) fn of(book: &AlertBook) -> Arc<dyn RestPlans> {
        Arc::new(Self { book: book.clone(), seen: Mutex::default() })
    }
}

impl RestPlans for AlertWindows {
    fn version(&self) -> u64 {
        let view = self.book.view();
        let mut seen = self.seen.lock();
        if !Arc::ptr_eq(&view, &seen.view) {
            // A window's id follows from all that it says.
            seen.changes += u64::from(!view.windows.keys().eq(seen.view.windows.keys()));
            seen.view = view;
        }
        if seen.view.windows.is_empty() { 0 } else { seen.changes }
    }

    fn of(&self, key: &[u8]) -> Option<Box<dyn Rest>> {
        let coverage = self.book.view().coverage(key)?;
        Some(Box::new(Covered(coverage)))
    }
}

/// The windows of one series.
#[derive(Debug)]
struct Covered(Coverage);

impl Rest for Covered {
    fn rests(&mut self, time_ms: i64) -> bool {
        self.0.covers(time_ms)
    }

    fn rests_between(&mut self, from_ms: i64, to_ms: i64) -> bool {
        self.0.covers_any(from_ms, to_ms)
    }
}

/// Tells when windows are over.
pub(super) struct Resting {
    book: AlertBook,
    ends: Ends,
}

/// What goes on, so that its end is noticed.
struct Ends {
    events: ChangeEvents,
    /// What goes on, and when it ends.
    active: BTreeMap<Fingerprint, (Arc<Window>, i64)>,
    looked_ms: i64,
}

/// Of a server that runs.
pub(super) fn begin(running: &Running) -> Resting {
    let (book, events) = (running.alerts.book.clone(), running.events.clone());
    // What ended while samples came was told by who took them.
    let looked_ms = running.store.newest_ms().unwrap_or(i64::MIN).max(clock::now_ms() - MISSED_MS);
    Resting { book, ends: Ends { events, active: BTreeMap::new(), looked_ms } }
}

impl Resting {
    /// Looks until the server stops.
    pub(super) async fn run(mut self, mut stop: signal::Receiver<bool>) {
        loop {
            let looked = tokio::task::spawn_blocking(move || {
                self.ends.look(&self.book.view(), clock::now_ms());
                self
            });
            let Ok(back) = looked.await else { return };
            self = back;
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
        }
    }
}

impl Ends {
    fn look(&mut self, view: &View, now_ms: i64) {
        let mut over: BTreeMap<Fingerprint, (Arc<Window>, i64)> = BTreeMap::new();
        for (id, window) in &view.windows {
            // One that was planned when it was over kept nothing from being learned, unless nobody looked meanwhile.
            let ended = window.last_ended(self.looked_ms, now_ms).map(|(_, end_ms)| (window.clone(), end_ms));
            over.extend(ended.map(|ended| (*id, ended)));
        }
        let goes_on = |window: &Arc<Window>| Some((window.clone(), window.span_at(now_ms)?.1));
        let active = view.windows.iter().filter_map(|(id, window)| Some((*id, goes_on(window)?))).collect();
        for (id, (window, end_ms)) in std::mem::replace(&mut self.active, active) {
            if !view.windows.contains_key(&id) {
                // It was taken away while it went on.
                over.insert(id, (window, end_ms.min(now_ms)));
            }
        }
        self.looked_ms = now_ms;
        for (window, end_ms) in over.into_values() {
            if let Err(error) = self.events.add(recalibration(&window, end_ms)) {
                tracing::error!(%error, "the end of a maintenance window cannot be kept as an event");
            }
        }
    }
}

/// That the models of a window's series go on learning.
fn recalibration(window: &Window, end_ms: i64) -> ChangeEvent {
    let about = if window.reason.is_empty() { String::new() } else { format!(" ({})", window.reason) };
    let title = format!("recalibration: maintenance of {}{about} is over", window.conditions);
    let labels = window.conditions.equal().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let labels = labels.chain([("maintenance".to_owned(), window.id.to_string())]).collect();
    ChangeEvent::new(end_ms, ChangeKind::Model, title, labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Conditions;
    use storage::label_index::Matcher;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn the_end_of_each_span_is_told_once_and_that_of_a_window_taken_away_too() {
        let folder = tempfile::tempdir().unwrap();
        let events = ChangeEvents::open(folder.path(), 10).unwrap();
        let mut ends = Ends { events: events.clone(), active: BTreeMap::new(), looked_ms: 0 };
        let window = |recurrence: &str| {
            let conditions = Conditions::of(vec![Matcher::equal("host", "a")]);
            let again = (recurrence.to_owned(), "UTC".to_owned());
            Arc::new(Window::new((10 * HOUR_MS, 11 * HOUR_MS), conditions, again, String::new()).unwrap())
        };
        let (once, daily) = (window(""), window("0 10 * * *"));
        let mut view = View::default();
        view.windows.insert(once.id, once);
        view.windows.insert(daily.id, daily.clone());
        let mut told = |view: &View, hours: &[f64]| {
            hours.iter().for_each(|hour| ends.look(view, (hour * HOUR_MS as f64) as i64));
            events.all().iter().map(|event| event.time_ms as f64 / HOUR_MS as f64).collect::<Vec<_>>()
        };
        assert_eq!(told(&view, &[9.0, 10.5, 10.9]), [0.0; 0]);
        assert_eq!(told(&view, &[11.0, 11.1, 40.0]), [11.0, 11.0, 35.0]);
        assert_eq!(told(&view, &[58.5]).len(), 3);
        view.windows.remove(&daily.id);
        assert_eq!(told(&view, &[58.6, 60.0]), [11.0, 11.0, 35.0, 58.6]);
        let last = events.all().pop().unwrap();
        assert_eq!((last.kind, &*last.labels["host"]), (ChangeKind::Model, "a"));
        assert_eq!(last.title, "recalibration: maintenance of {host=\"a\"} is over");
    }
}
