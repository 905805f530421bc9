//! The one thread that owns all alerts: takes signals, wishes and outcomes, keeps them, and shows them to readers.
//!
//! Readers take the view as it stands and hold up nobody. What people wish is on disk before they are answered; what
//! signals change is there within a second.
//!
//! Not here: what becomes of a signal (see `ledger`), bytes on disk (see `log`), the sending (see `notify`).
//!
//! Invariants: nothing else changes alerts, silences and windows; no receiver can hold up this thread.

use super::incident::{Correlation, Incident, IncidentId, Topology};
use super::ledger::{AlertCounts, Ledger, Settings};
use super::log;
use super::maintenance::{Coverage, Window};
use super::notify::{self, Notifiers, Outcome};
use super::record::{Alert, Fingerprint, Said};
use super::routing::Routing;
use super::signal::{Signal, alert_labels};
use super::silence::Silence;
use crate::anomaly::AnomalyRecord;
use crate::clock;
use crate::frame_log::{FrameLog, FrameLogError};
use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Signals that may wait; who tells them waits for room.
const SIGNALS_QUEUE: usize = 4096;
/// Wishes of the API that may wait; further ones are refused.
const WISHES_QUEUE: usize = 64;
/// Outcomes that receivers' threads may tell before they wait.
const OUTCOMES_QUEUE: usize = 1024;
/// How often it is looked what has come due, and how long a signal may wait to be durable.
const TICK: Duration = Duration::from_secs(1);
/// Signals taken before readers see them and wishes are looked at.
const SIGNALS_AT_ONCE: usize = 256;
/// How long a log that could not be written anew is left alone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most silences, and most windows.
const RULES_MAX: usize = 10_000;

/// Why a wish was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// There is nothing of this id.
    #[error("no such {0}")]
    Unknown(&'static str),
    /// There are too many of them.
    #[error("there are {RULES_MAX} already")]
    TooMany,
    /// The log cannot be written.
    #[error("{0}")]
    NotStored(String),
    /// Too many wishes wait, or the book is closed.
    #[error("too many requests wait for the book of alerts, or it is closing")]
    Busy,
}

/// What somebody wants to be changed.
#[derive(Debug)]
pub enum Wish {
    /// Somebody takes an alert.
    Acknowledge(Fingerprint, Said),
    /// Somebody declares an alert over.
    Resolve(Fingerprint, Said),
    /// A silence begins.
    Silence(Silence),
    /// A silence is taken away.
    Unsilence(Fingerprint),
    /// A window is planned.
    Plan(Box<Window>),
    /// A window is taken away.
    Unplan(Fingerprint),
    /// Alerts are handled by other rules, and where there is a routing, told to others.
    Configure(Settings, Option<Box<Routing>>),
    /// Another topology holds.
    SetTopology(Topology),
    /// What is newly known of how the series of alerts move.
    Correlated(Vec<(Fingerprint, Fingerprint, Correlation)>),
}

/// Hears what became of a wish: the alert it concerned, if it concerned one.
pub type Answer = Box<dyn FnOnce(Result<Option<Arc<Alert>>, BookError>) + Send>;

/// Everything as it stands.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// All alerts.
    pub alerts: BTreeMap<Fingerprint, Arc<Alert>>,
    /// All silences that are not long over.
    pub silences: BTreeMap<Fingerprint, Arc<Silence>>,
    /// All maintenance windows.
    pub windows: BTreeMap<Fingerprint, Arc<Window>>,
    /// All incidents that are not long over.
    pub incidents: BTreeMap<IncidentId, Arc<Incident>>,
    /// Which services need which others.
    pub topology: Topology,
    /// What became of all that was raised.
    pub counts: AlertCounts,
    /// Raised and waiting in groups for their time.
    pub grouped: u64,
    /// Raised and handed to receivers, without an answer yet.
    pub pending: u64,
    /// Notifications of the last seven days that count.
    pub budget_used: u64,
    /// Notifications that wait, by receiver.
    pub waiting: BTreeMap<Arc<str>, u64>,
    /// Notifications that were delivered and that could not be, by receiver.
    pub sent: BTreeMap<Arc<str>, [u64; 2]>,
    /// Tries of notifications beyond the first.
    pub retries: u64,
    /// Notifications that were not sent because this is only tried out.
    pub would_notify: u64,
    /// Since when a notification is being tried, by receiver, in milliseconds since 1970 UTC.
    pub trying: BTreeMap<Arc<str>, i64>,
    /// Why the newest notification could not be delivered, by receiver.
    pub unreachable: BTreeMap<Arc<str>, String>,
}

impl View {
    /// The maintenance that concerns a series of this canonical key; `None` where none does.
    pub fn coverage(&self, key: &[u8]) -> Option<Coverage> {
        if self.windows.is_empty() { None } else { Coverage::of(self.windows.values(), &alert_labels(key)) }
    }

    /// Whether maintenance was planned for the time at which an anomaly began, was worst, or was last seen.
    pub fn is_expected(&self, record: &AnomalyRecord) -> bool {
        if self.windows.is_empty() {
            return false;
        }
        let labels = alert_labels(&record.key);
        let times = [record.start_ms, record.peak.time_ms, record.last_ms];
        self.windows.values().any(|window| times.into_iter().any(|time_ms| window.covers(&labels, time_ms)))
    }
}

/// What the thread shows.
#[derive(Debug, Default)]
struct Shown {
    view: RwLock<Arc<View>>,
    failing: RwLock<Option<String>>,
    damage: Vec<String>,
}

/// A handle for readers and wishes; cheap to clone.
#[derive(Debug, Clone)]
pub struct AlertBook {
    shown: Arc<Shown>,
    wishes: Sender<(Wish, AnswerOf)>,
}

/// An answer that can be shown in errors.
struct AnswerOf(Answer);

impl std::fmt::Debug for AnswerOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer")
    }
}

/// The thread `alert-book`.
#[derive(Debug)]
pub struct AlertBookHandle(JoinHandle<()>);

impl AlertBookHandle {
    /// Waits for the thread, which ends when nobody can tell it anything any more.
    ///
    /// # Errors
    /// When it panicked.
    pub fn join(self) -> Result<(), BookError> {
        self.0.join().map_err(|_| BookError::Busy)
    }
}

impl AlertBook {
    /// Everything as it stands.
    pub fn view(&self) -> Arc<View> {
        self.shown.view.read().clone()
    }

    /// Wishes of the API that wait, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        (self.wishes.len(), WISHES_QUEUE)
    }

    /// Why the log cannot be written, while that is so.
    pub fn failing(&self) -> Option<String> {
        self.shown.failing.read().clone()
    }

    /// What was found damaged at the start, in words.
    pub fn damage(&self) -> &[String] {
        &self.shown.damage
    }

    /// Wants something to be changed.
    ///
    /// # Errors
    /// When too many wishes wait.
    pub fn wish(&self, wish: Wish, answer: Answer) -> Result<(), BookError> {
        self.wishes.try_send((wish, AnswerOf(answer))).map_err(|_| BookError::Busy)
    }
}

/// Opens the log in `folder` and starts the thread; signals are told by the sender.
///
/// # Errors
/// When the log cannot be opened, or the system gives no thread.
pub fn open(
    folder: &Path,
    settings: Settings,
    routing: Routing,
) -> Result<(AlertBook, Sender<Signal>, AlertBookHandle), FrameLogError> {
    let (log, loaded) = log::open(folder)?;
    let (signals, told) = bounded(SIGNALS_QUEUE);
    let (wishes, wished) = bounded(WISHES_QUEUE);
    let (outcomes, heard) = bounded(OUTCOMES_QUEUE);
    let no_thread = |error| FrameLogError::no_thread("the alerts", error);
    let notifiers = Notifiers::start(&routing.receivers, &outcomes).map_err(no_thread)?;
    let mut ledger = Ledger::new(settings, routing);
    let now_ms = clock::now_ms();
    ledger.silences = loaded.silences.into_iter().map(|(id, silence)| (id, Arc::new(silence))).collect();
    ledger.windows = loaded.windows.into_iter().map(|(id, window)| (id, Arc::new(window))).collect();
    loaded.budget.into_iter().for_each(|budget| ledger.budget.take_back(budget));
    if let Some(topology) = loaded.topology {
        ledger.set_topology(topology.clone());
        ledger.topology_set = Some(topology);
    }
    loaded.incidents.into_values().for_each(|incident| ledger.incidents.take_back(incident));
    loaded.alerts.into_values().for_each(|alert| ledger.take_back(alert, now_ms));
    let shown = Arc::new(Shown { damage: loaded.findings, ..Shown::default() });
    let keeper = Keeper {
        ledger,
        log,
        notifiers,
        shown: shown.clone(),
        sent: BTreeMap::new(),
        retries: 0,
        would_notify: 0,
        heard,
        unreachable: BTreeMap::new(),
        rewrite_after: clock::monotonic(),
        is_unsynced: false,
    };
    keeper.publish();
    let run = move || keeper.run(told, wished);
    let thread = thread::Builder::new().name("alert-book".to_owned()).spawn(run).map_err(no_thread)?;
    Ok((AlertBook { shown, wishes }, signals, AlertBookHandle(thread)))
}

struct Keeper {
    ledger: Ledger,
    log: FrameLog,
    notifiers: Notifiers,
    shown: Arc<Shown>,
    sent: BTreeMap<Arc<str>, [u64; 2]>,
    retries: u64,
    would_notify: u64,
    /// Where the receivers' threads tell what became of notifications.
    heard: Receiver<Outcome>,
    unreachable: BTreeMap<Arc<str>, String>,
    /// When writing the log anew may be tried again.
    rewrite_after: Instant,
    is_unsynced: bool,
}

impl Keeper {
    fn run(mut self, mut told: Receiver<Signal>, mut wished: Receiver<(Wish, AnswerOf)>) {
        let (mut told_open, mut wished_open) = (true, true);
        let mut next_tick = clock::monotonic();
        while told_open || wished_open {
            // Another one takes its place when others are told.
            let heard = self.heard.clone();
            select! {
                recv(told) -> signal => match signal {
                    Ok(signal) => {
                        let now_ms = clock::now_ms();
                        self.ledger.take(signal, now_ms);
                        let more = (1..SIGNALS_AT_ONCE).map_while(|_| told.try_recv().ok());
                        more.for_each(|signal| self.ledger.take(signal, now_ms));
                        self.publish();
                    }
                    Err(_) => (told, told_open) = (never(), false),
                },
                recv(wished) -> wish => match wish {
                    Ok((wish, AnswerOf(answer))) => {
                        let result = self.fulfil(wish, clock::now_ms());
                        self.publish();
                        answer(result);
                    }
                    Err(_) => (wished, wished_open) = (never(), false),
                },
                recv(heard) -> outcome => match outcome {
                    Ok(outcome) => self.hear(outcome),
                    // Without a receiver that has a thread nobody tells any.
                    Err(_) => self.heard = never(),
                },
                default(next_tick.saturating_duration_since(clock::monotonic())) => {}
            }
            if clock::monotonic() >= next_tick {
                self.tick();
                next_tick = clock::monotonic() + TICK;
            }
        }
        self.write();
        self.sync();
        self.notifiers.stop();
    }

    fn tick(&mut self) {
        let notifications = self.ledger.tick(clock::now_ms());
        let counted = !notifications.is_empty();
        for notification in notifications {
            let outcome = if self.ledger.settings.dry_run {
                self.would_notify += 1;
                Some(notify::would_tell(notification))
            } else {
                self.notifiers.send(notification)
            };
            if let Some(outcome) = outcome {
                self.hear(outcome);
            }
        }
        if counted {
            let written = self.log.append(&log::budget(&self.ledger.budget));
            self.note(written);
            self.is_unsynced = true;
        }
        self.write();
        self.sync();
        self.publish();
    }

    fn hear(&mut self, outcome: Outcome) {
        let Outcome { receiver, fresh, error, retries } = outcome;
        if !self.ledger.settings.dry_run {
            self.sent.entry(receiver.clone()).or_default()[usize::from(error.is_some())] += 1;
        }
        self.retries += retries;
        self.ledger.told(&fresh, &receiver, error.as_deref(), clock::now_ms());
        match error {
            Some(error) => drop(self.unreachable.insert(receiver, error)),
            None => drop(self.unreachable.remove(&receiver)),
        }
        self.publish();
    }

    fn fulfil(&mut self, wish: Wish, now_ms: i64) -> Result<Option<Arc<Alert>>, BookError> {
        let concerned = match wish {
            Wish::Acknowledge(print, said) => {
                self.ledger.alerts.get(&print).ok_or(BookError::Unknown("alert"))?;
                self.ledger.acknowledge(print, said, now_ms);
                Some(print)
            }
            Wish::Resolve(print, said) => {
                self.ledger.alerts.get(&print).ok_or(BookError::Unknown("alert"))?;
                self.ledger.end(print, Some(said), now_ms);
                Some(print)
            }
            Wish::Silence(silence) => {
                has_room(self.ledger.silences.len())?;
                self.append(&log::silence(silence.id, Some(&silence)));
                self.ledger.silences.insert(silence.id, Arc::new(silence));
                None
            }
            Wish::Unsilence(id) => {
                self.ledger.silences.remove(&id).ok_or(BookError::Unknown("silence"))?;
                self.append(&log::silence(id, None));
                None
            }
            Wish::Plan(window) => {
                has_room(self.ledger.windows.len())?;
                self.append(&log::window(window.id, Some(&window)));
                self.ledger.windows.insert(window.id, Arc::from(window));
                None
            }
            Wish::Unplan(id) => {
                self.ledger.windows.remove(&id).ok_or(BookError::Unknown("maintenance window"))?;
                self.append(&log::window(id, None));
                None
            }
            Wish::SetTopology(topology) => {
                self.append(&log::topology(&topology));
                self.ledger.topology_set = Some(topology.clone());
                self.ledger.set_topology(topology);
                None
            }
            Wish::Correlated(pairs) => {
                self.ledger.correlated(pairs, now_ms);
                None
            }
            Wish::Configure(settings, routing) => {
                self.configure(settings, routing.map(|routing| *routing), now_ms)?;
                None
            }
        };
        self.write();
        self.sync();
        match self.shown.failing.read().clone() {
            Some(what) => Err(BookError::NotStored(what)),
            None => Ok(concerned.and_then(|print| self.ledger.alerts.get(&print).cloned())),
        }
    }

    /// Other rules and receivers; threads of receivers that are gone end by themselves, and nobody hears of them.
    fn configure(&mut self, settings: Settings, routing: Option<Routing>, now_ms: i64) -> Result<(), BookError> {
        if let Some(routing) = routing {
            let (outcomes, heard) = bounded(OUTCOMES_QUEUE);
            let notifiers = Notifiers::start(&routing.receivers, &outcomes);
            let notifiers = notifiers.map_err(|error| BookError::NotStored(format!("no thread: {error}")))?;
            std::mem::replace(&mut self.notifiers, notifiers).stop();
            // What became of the last notifications before is known still.
            while let Ok(outcome) = self.heard.try_recv() {
                self.hear(outcome);
            }
            self.heard = heard;
            self.unreachable.clear();
            self.ledger.reroute(routing, now_ms);
        }
        self.ledger.configure(settings);
        Ok(())
    }

    fn append(&mut self, frame: &[u8]) {
        let written = self.log.append(frame);
        self.note(written);
        self.is_unsynced = true;
    }

    /// Writes down what changed; all of it anew when that is worth it.
    fn write(&mut self) {
        let changed = std::mem::take(&mut self.ledger.changed);
        if self.log.wants_rewrite() && clock::monotonic() >= self.rewrite_after {
            let written = self.log.rewrite(log::whole(&self.ledger));
            if written.is_err() {
                self.rewrite_after = clock::monotonic() + PATIENCE;
            }
            self.note(written);
            return;
        }
        for id in std::mem::take(&mut self.ledger.incidents.changed) {
            let frame = log::incident(id, self.ledger.incidents.all.get(&id).map(|incident| &**incident));
            self.append(&frame);
        }
        for print in changed {
            let frame = log::alert(print, self.ledger.alerts.get(&print).map(|alert| &**alert));
            self.append(&frame);
        }
    }

    fn sync(&mut self) {
        if std::mem::take(&mut self.is_unsynced) {
            let written = self.log.sync();
            self.note(written);
        }
    }

    fn publish(&self) {
        let ledger = &self.ledger;
        let view = View {
            alerts: ledger.alerts.clone(),
            silences: ledger.silences.clone(),
            windows: ledger.windows.clone(),
            incidents: ledger.incidents.all.clone(),
            topology: ledger.incidents.topology.clone(),
            counts: ledger.counts,
            grouped: ledger.grouped(),
            pending: ledger.pending(),
            budget_used: ledger.budget.used(),
            waiting: self.notifiers.waiting(),
            sent: self.sent.clone(),
            retries: self.retries,
            would_notify: self.would_notify,
            trying: self.notifiers.trying(),
            unreachable: self.unreachable.clone(),
        };
        *self.shown.view.write() = Arc::new(view);
    }

    /// Remembers whether the log can be written; says so once.
    fn note(&self, written: Result<(), FrameLogError>) {
        let failing = written.err().map(|error| error.to_string());
        let mut shown = self.shown.failing.write();
        if let (Some(what), None) = (&failing, &*shown) {
            tracing::error!(what, "alerts are kept in memory only until this is over");
        }
        *shown = failing;
    }
}

fn has_room(known: usize) -> Result<(), BookError> {
    if known < RULES_MAX { Ok(()) } else { Err(BookError::TooMany) }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
