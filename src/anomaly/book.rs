//! The one thread that owns all anomalies: takes what shards and the API say, keeps it, and shows it to readers.
//!
//! Runs that shards tell are in the log within a second; what the API tells is there before it is answered. Readers take
//! the records as they stand and hold up nobody: a change copies the indexes only while a reader still holds them.
//!
//! Not here: bytes on disk (see `log`), indexes (see `records`).
//!
//! Invariants: nothing else changes records; the newest word on a run replaces what was said before, and keeps the
//! feedback that people gave; a run that was open when the process ended and is told no more is closed after `GRACE`.

use super::detected::Detected;
use super::log::{self, Frame, Loaded};
use super::record::{AnomalyId, AnomalyRecord, Feedback, Source};
use super::records::Records;
use super::run::AnomalyRun;
use super::tolerance::Tolerance;
use crate::clock;
use crate::frame_log::{FrameLog, FrameLogError};
use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use parking_lot::RwLock;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Runs that may wait to be taken; a shard that finds no room tells the run again later.
const RUNS_QUEUE: usize = 4096;
/// Wishes of the API that may wait; further ones are refused.
const WISHES_QUEUE: usize = 64;
/// How long a run may wait to be durable, and how often old records are looked for.
const TICK: Duration = Duration::from_secs(1);
/// How long after a start runs from before it may go on without being told again.
const GRACE: Duration = Duration::from_secs(600);
/// How long a log that could not be written anew is left alone.
const PATIENCE: Duration = Duration::from_secs(10);
/// Runs taken before readers see them and wishes are looked at.
const RUNS_AT_ONCE: usize = 256;

/// How anomalies are kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the log.
    pub folder: PathBuf,
    /// Most records; the earliest leave.
    pub records_max: usize,
    /// Age, counted from the store's newest sample, at which records that are over leave; 0 keeps all.
    pub retention_ms: i64,
    /// Most names that are counted by themselves.
    pub names_max: usize,
}

/// Time of the store's newest sample, if there is one.
pub type Newest = Box<dyn Fn() -> Option<i64> + Send>;

/// Hears of every record that is new or has changed.
pub type Hearer = Box<dyn FnMut(&AnomalyRecord) + Send>;

/// Why a wish was not fulfilled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// There is no such anomaly.
    #[error("no such anomaly")]
    Unknown,
    /// The log cannot be written.
    #[error("{0}")]
    NotStored(String),
    /// Too many wishes wait, or the book is closed.
    #[error("too many requests wait for the book of anomalies, or it is closing")]
    Busy,
}

/// Hears what became of a wish.
pub type Answer = Box<dyn FnOnce(Result<Arc<AnomalyRecord>, BookError>) + Send>;

/// What the API wants to be changed.
enum Wish {
    Post(Box<AnomalyRecord>),
    Feedback(AnomalyId, Option<Feedback>),
}

impl Wish {
    /// The anomaly it is about.
    fn id(&self) -> AnomalyId {
        match self {
            Self::Post(record) => record.id,
            Self::Feedback(id, _) => *id,
        }
    }
}

/// Figures of the book at one moment.
#[derive(Debug, Clone, Default)]
pub struct BookFigures {
    /// Records in memory.
    pub records: u64,
    /// Records that left because there were too many.
    pub evicted: u64,
    /// Records that left because of their age.
    pub expired: u64,
    /// Runs that were not told because people had said that the like are no anomalies.
    pub tolerated: u64,
    /// Why the log cannot be written, while that is so.
    pub failing: Option<String>,
    /// What was found damaged at the start, in words.
    pub damage: Vec<String>,
}

/// What the thread shows.
#[derive(Debug, Default)]
struct Shown {
    records: RwLock<Arc<Records>>,
    detected: RwLock<Arc<Detected>>,
    failing: RwLock<Option<String>>,
    damage: Vec<String>,
    evicted: AtomicU64,
    expired: AtomicU64,
    /// [`Settings::retention_ms`] as it is by now.
    retention_ms: AtomicI64,
    tolerated: AtomicU64,
}

/// A handle for readers and wishes; cheap to clone.
#[derive(Clone)]
pub struct Book {
    shown: Arc<Shown>,
    wishes: Sender<(Wish, Answer)>,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

/// The thread `anomaly-book`.
#[derive(Debug)]
pub struct BookHandle(JoinHandle<()>);

impl BookHandle {
    /// Waits for the thread, which ends when nobody can tell it anything any more.
    ///
    /// # Errors
    /// When it panicked.
    pub fn join(self) -> Result<(), BookError> {
        self.0.join().map_err(|_| BookError::Busy)
    }
}

impl Book {
    /// The records as they stand.
    pub fn records(&self) -> Arc<Records> {
        self.shown.records.read().clone()
    }

    /// Wishes of the API that wait, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        (self.wishes.len(), WISHES_QUEUE)
    }

    /// Keeps anomalies that are over this long from now on, in milliseconds; 0 keeps all.
    pub fn set_retention(&self, retention_ms: i64) {
        self.shown.retention_ms.store(retention_ms, Ordering::Relaxed);
    }

    /// How many anomalies were detected, by name, detector and severity.
    pub fn detected(&self) -> Arc<Detected> {
        self.shown.detected.read().clone()
    }

    /// Figures for `/metrics` and `/health`.
    pub fn figures(&self) -> BookFigures {
        let shown = &self.shown;
        BookFigures {
            records: shown.records.read().len() as u64,
            evicted: shown.evicted.load(Ordering::Relaxed),
            expired: shown.expired.load(Ordering::Relaxed),
            tolerated: shown.tolerated.load(Ordering::Relaxed),
            failing: shown.failing.read().clone(),
            damage: shown.damage.clone(),
        }
    }

    /// Keeps what somebody outside says of an anomaly; in place of what they said of it before.
    ///
    /// # Errors
    /// When too many wishes wait.
    pub fn post(&self, record: AnomalyRecord, answer: Answer) -> Result<(), BookError> {
        self.wish(Wish::Post(Box::new(record)), answer)
    }

    /// Sets what a person says of an anomaly, or takes it back.
    ///
    /// # Errors
    /// When too many wishes wait.
    pub fn feedback(&self, id: AnomalyId, feedback: Option<Feedback>, answer: Answer) -> Result<(), BookError> {
        self.wish(Wish::Feedback(id, feedback), answer)
    }

    fn wish(&self, wish: Wish, answer: Answer) -> Result<(), BookError> {
        self.wishes.try_send((wish, answer)).map_err(|_| BookError::Busy)
    }
}

/// Opens the log and starts the thread; shards tell their runs by the sender.
///
/// # Errors
/// When the log cannot be opened, or the system gives no thread.
pub fn open(
    settings: Settings,
    newest: Newest,
    hearer: Hearer,
) -> Result<(Book, Sender<AnomalyRun>, BookHandle), FrameLogError> {
    let (log, loaded) = log::open(&settings.folder)?;
    let (runs, told) = bounded(RUNS_QUEUE);
    let (wishes, wished) = bounded(WISHES_QUEUE);
    let (keeper, shown) = Keeper::new(settings, newest, hearer, log, loaded);
    let started = thread::Builder::new().name("anomaly-book".to_owned()).spawn(move || keeper.run(told, wished));
    let handle = started.map_err(|error| FrameLogError::no_thread("the anomalies", error))?;
    Ok((Book { shown, wishes }, runs, BookHandle(handle)))
}

struct Keeper {
    settings: Settings,
    newest: Newest,
    hearer: Hearer,
    log: FrameLog,
    shown: Arc<Shown>,
    /// Runs from before the start that were not told since.
    unheard: BTreeSet<AnomalyId>,
    /// What people said is none, by series.
    tolerances: HashMap<Arc<[u8]>, Tolerance>,
    started: Instant,
    /// When writing the log anew may be tried again.
    rewrite_after: Instant,
    is_unsynced: bool,
}

impl Keeper {
    fn new(settings: Settings, newest: Newest, hearer: Hearer, log: FrameLog, loaded: Loaded) -> (Self, Arc<Shown>) {
        let (mut records, mut detected) = (Records::default(), Detected::default());
        for frame in loaded.frames {
            match frame {
                Frame::Counts(counts) => detected = counts,
                Frame::Base(record) => records.put(Arc::from(record)),
                Frame::Changed(mut record) => {
                    // What it is counted under by now is written in it; what it was, in the one before.
                    let now = std::mem::take(&mut record.counted);
                    if let Some(before) = records.get(record.id) {
                        record.counted.clone_from(&before.counted);
                    }
                    detected.add(&mut record, settings.names_max);
                    record.counted = now;
                    records.put(Arc::from(record));
                }
            }
        }
        let open = records.all().filter(|record| record.is_open && record.source == Source::Infrawatch);
        let unheard = open.map(|record| record.id).collect();
        let retention_ms = AtomicI64::new(settings.retention_ms);
        let shown = Shown { damage: loaded.findings, retention_ms, ..Shown::default() };
        let shown = Arc::new(shown);
        *shown.records.write() = Arc::new(records);
        *shown.detected.write() = Arc::new(detected);
        let started = clock::monotonic();
        let mut keeper = Self {
            settings,
            newest,
            hearer,
            log,
            shown: shown.clone(),
            unheard,
            tolerances: HashMap::new(),
            started,
            rewrite_after: started,
            is_unsynced: false,
        };
        let records = shown.records.read().clone();
        let marked: BTreeSet<_> =
            records.all().filter(|record| record.feedback.is_some()).map(|r| r.key.clone()).collect();
        marked.iter().for_each(|key| keeper.learn_tolerance(key));
        (keeper, shown)
    }

    fn run(mut self, mut told: Receiver<AnomalyRun>, mut wished: Receiver<(Wish, Answer)>) {
        let (mut told_open, mut wished_open) = (true, true);
        let mut next_tick = clock::monotonic() + TICK;
        self.tidy();
        while told_open || wished_open {
            select! {
                recv(told) -> run => match run {
                    Ok(run) => {
                        self.take(run);
                        (1..RUNS_AT_ONCE).map_while(|_| told.try_recv().ok()).for_each(|run| self.take(run));
                    }
                    Err(_) => (told, told_open) = (never(), false),
                },
                recv(wished) -> wish => match wish {
                    Ok(wish) => {
                        let others = (1..WISHES_QUEUE).map_while(|_| wished.try_recv().ok());
                        self.fulfil(std::iter::once(wish).chain(others));
                    }
                    Err(_) => (wished, wished_open) = (never(), false),
                },
                default(next_tick.saturating_duration_since(clock::monotonic())) => {}
            }
            if clock::monotonic() >= next_tick {
                self.tidy();
                next_tick = clock::monotonic() + TICK;
            }
        }
        self.tidy();
    }

    fn take(&mut self, run: AnomalyRun) {
        let mut record = AnomalyRecord::of_run(run);
        self.unheard.remove(&record.id);
        // What people said is no anomaly; one that is told already, and has grown beyond it, goes on.
        let is_known = self.shown.records.read().get(record.id).is_some();
        if !is_known && self.tolerances.get(&record.key).is_some_and(|tolerance| tolerance.covers(&record.peak)) {
            self.shown.tolerated.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Some(before) = self.shown.records.read().get(record.id) {
            record.inherit(before);
        }
        Arc::make_mut(&mut *self.shown.detected.write()).add(&mut record, self.settings.names_max);
        let written = self.log.append(&log::changed(&record));
        self.note(written);
        self.is_unsynced = true;
        self.put(record.into());
    }

    /// What is tolerated of a series by what people have said of its anomalies.
    fn learn_tolerance(&mut self, key: &Arc<[u8]>) {
        let tolerance = self.shown.records.read().tolerance(key);
        if tolerance.is_nothing() {
            self.tolerances.remove(key);
        } else {
            self.tolerances.insert(key.clone(), tolerance);
        }
    }

    fn put(&mut self, record: Arc<AnomalyRecord>) {
        (self.hearer)(&record);
        let mut shown = self.shown.records.write();
        let records = Arc::make_mut(&mut *shown);
        records.put(record);
        self.shown.evicted.fetch_add(records.evict(self.settings.records_max), Ordering::Relaxed);
    }

    /// Fulfils wishes one after the other, and makes those of different anomalies durable together: people who post many at
    /// a time would else wait for the disk once for each.
    fn fulfil(&mut self, wishes: impl Iterator<Item = (Wish, Answer)>) {
        let mut written: Vec<(Arc<AnomalyRecord>, Answer)> = Vec::new();
        for (wish, answer) in wishes {
            // What it asks of may be what one before it changes.
            if written.iter().any(|(record, _)| record.id == wish.id()) {
                self.conclude(&mut written);
            }
            match self.write(wish) {
                Ok(record) => written.push((record, answer)),
                Err(error) => answer(Err(error)),
            }
        }
        self.conclude(&mut written);
    }

    /// Writes what a wish makes of its anomaly, not yet durable.
    fn write(&mut self, wish: Wish) -> Result<Arc<AnomalyRecord>, BookError> {
        let record = match wish {
            Wish::Post(mut record) => {
                if let Some(before) = self.shown.records.read().get(record.id) {
                    record.inherit(before);
                }
                *record
            }
            Wish::Feedback(id, feedback) => {
                let known = self.shown.records.read().get(id).cloned().ok_or(BookError::Unknown)?;
                AnomalyRecord { feedback, ..AnomalyRecord::clone(&known) }
            }
        };
        let written = self.log.append(&log::changed(&record));
        let failure = written.as_ref().err().map(ToString::to_string);
        self.note(written);
        failure.map_or_else(|| Ok(Arc::new(record)), |what| Err(BookError::NotStored(what)))
    }

    /// Makes durable what was written, shows it and answers.
    fn conclude(&mut self, written: &mut Vec<(Arc<AnomalyRecord>, Answer)>) {
        if written.is_empty() {
            return;
        }
        let synced = self.log.sync();
        let failure = synced.as_ref().err().map(ToString::to_string);
        self.note(synced);
        for (record, answer) in written.drain(..) {
            if let Some(what) = &failure {
                answer(Err(BookError::NotStored(what.clone())));
                continue;
            }
            let before = self.shown.records.read().get(record.id).and_then(|known| known.feedback.clone());
            self.put(record.clone());
            // Looks at all anomalies of the metric, of which there may be many: only where people said something.
            if before.is_some() || record.feedback.is_some() {
                self.learn_tolerance(&record.key);
            }
            answer(Ok(record));
        }
    }

    /// Makes durable what was taken, lets the old go, and writes the log anew when that is worth it.
    fn tidy(&mut self) {
        if !self.unheard.is_empty() && clock::monotonic().saturating_duration_since(self.started) >= GRACE {
            self.close_unheard();
        }
        self.expire();
        if self.log.wants_rewrite() && clock::monotonic() >= self.rewrite_after {
            let (records, detected) = (self.shown.records.read().clone(), self.shown.detected.read().clone());
            let frames = records.all().map(|record| log::base(record));
            let written = self.log.rewrite(std::iter::once(log::counts(&detected)).chain(frames));
            if written.is_err() {
                self.rewrite_after = clock::monotonic() + PATIENCE;
            }
            self.note(written);
        } else if self.is_unsynced {
            let written = self.log.sync();
            self.note(written);
        }
        self.is_unsynced = false;
    }

    /// Lets go what is older than anything the store keeps. The log forgets it when it is written anew.
    fn expire(&self) {
        let retention_ms = self.shown.retention_ms.load(Ordering::Relaxed);
        let Some(newest_ms) = (self.newest)().filter(|_| retention_ms > 0) else { return };
        let over = self.shown.records.read().over_before(newest_ms.saturating_sub(retention_ms));
        if over.is_empty() {
            return;
        }
        let mut shown = self.shown.records.write();
        let records = Arc::make_mut(&mut *shown);
        over.iter().for_each(|id| drop(records.remove(*id)));
        self.shown.expired.fetch_add(over.len() as u64, Ordering::Relaxed);
    }

    /// Nobody told of these again, so they ended when they were last heard of.
    fn close_unheard(&mut self) {
        for id in std::mem::take(&mut self.unheard) {
            let Some(known) = self.shown.records.read().get(id).cloned() else { continue };
            let closed = AnomalyRecord { is_open: false, ..AnomalyRecord::clone(&known) };
            let written = self.log.append(&log::changed(&closed));
            self.note(written);
            self.is_unsynced = true;
            self.put(closed.into());
        }
    }

    /// Remembers whether the log can be written; says so once.
    fn note(&self, written: Result<(), FrameLogError>) {
        let failing = written.err().map(|error| error.to_string());
        let mut shown = self.shown.failing.write();
        if let (Some(what), None) = (&failing, &*shown) {
            tracing::error!(what, "anomalies are kept in memory only until this is over");
        }
        // Only a rewrite heals a broken log, so a success of something smaller cannot come in between.
        *shown = failing;
    }
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
