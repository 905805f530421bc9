//! The store as its readers see it: series by labels, samples by series, and figures about itself.
//!
//! Not here: the merging of heads, chunks and blocks into samples (see `scan`), appending (see `shard_store`).
//!
//! Invariant: nothing here waits for a shard; what was acknowledged before a call began is found by it.

use crate::StoreError;
use crate::journal::{JournalState, SideReport};
use crate::keeper::{Answer, Command, SnapshotAnswer};
use crate::label_index::{Matcher, Search};
use crate::partition::SeriesView;
use crate::series::{PARTITIONS, SeriesRef};
use crate::shared::{KeeperReport, Shared};
use crossbeam_channel::Sender;
use roaring::RoaringBitmap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A series found by matchers: its reference and its canonical key.
#[derive(Debug, Clone)]
pub struct SelectedSeries {
    /// Where its samples are.
    pub series: SeriesRef,
    /// Canonical key bytes; `series::labels` reads them.
    pub key: Arc<[u8]>,
}

/// A handle for reading; cheap to clone, usable from any thread, never waits for a shard.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
    commands: Sender<Command>,
}

/// Figures of the store at one moment.
#[derive(Debug, Clone)]
pub struct StoreFigures {
    /// Series in the catalog.
    pub series: u64,
    /// Time of the newest sample, none while the store is empty.
    pub newest_ms: Option<i64>,
    /// Bytes in journal segments.
    pub journal_bytes: u64,
    /// Why the journal cannot be written, while that is so.
    pub journal_failure: Option<String>,
    /// Bytes of blocks on disk; 0 while that cannot be told.
    pub block_bytes: u64,
    /// Bytes of rollups on disk; 0 while that cannot be told.
    pub rollup_bytes: u64,
    /// What the keeper has done.
    pub keeper: KeeperReport,
    /// What was found damaged, at opening and since, in words.
    pub damage: Vec<String>,
    /// Threads that have panicked, by name: what they owned does not go on.
    pub panicked: Vec<String>,
    /// The journal's folders: its own, then the mirror, if there is one.
    pub journal_sides: Vec<SideReport>,
    /// Engines and threads that have not come back from an operation for long, in words.
    pub stuck: Vec<String>,
}

impl Store {
    pub(crate) fn new(shared: Arc<Shared>, commands: Sender<Command>) -> Self {
        Self { shared, commands }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Series that satisfy every matcher and may have a sample in `from_ms..=to_ms`, sorted by key.
    pub fn select(&self, matchers: &[Matcher], from_ms: i64, to_ms: i64) -> Result<Vec<SelectedSeries>, StoreError> {
        let mut selected = self.find(matchers, from_ms, to_ms, &|| false)?;
        selected.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(selected)
    }

    /// As [`Self::select`], but in the order of partitions and of ids within them, which is how [`Self::read_many`]
    /// wants them and costs no sorting. Expressions that take long to try can be given up by `stop`.
    ///
    /// # Errors
    /// `Stopped` once `stop` has said so.
    pub fn find(
        &self,
        matchers: &[Matcher],
        from_ms: i64,
        to_ms: i64,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<SelectedSeries>, StoreError> {
        let found = Search::run(&self.shared.index, matchers, stop).ok_or(StoreError::Stopped)?;
        let mut selected = Vec::new();
        let mut rest = found.iter().map(SeriesRef).peekable();
        for partition in 0..PARTITIONS as u8 {
            let views = self.shared.views[partition as usize].read();
            while let Some(series) = rest.next_if(|series| series.partition() == partition) {
                let Some(view) = views.get(series.id() as usize) else { continue };
                if let Some(key) = view.key.as_ref().filter(|_| view.touches(from_ms, to_ms)) {
                    selected.push(SelectedSeries { series, key: key.clone() });
                }
            }
        }
        Ok(selected)
    }

    /// A number that the series satisfying every matcher do not exceed, known within microseconds.
    pub fn at_most(&self, matchers: &[Matcher]) -> u64 {
        self.shared.index.read().at_most(matchers)
    }

    /// Series with one value of a label, in order of their references; their keys are not read.
    pub fn series_with(&self, label: &str, value: &str) -> Vec<SeriesRef> {
        let found = self.shared.index.read().select(&[Matcher::equal(label, value)]);
        found.iter().map(SeriesRef).collect()
    }

    /// The canonical key of a series that is in the catalog.
    pub fn key(&self, series: SeriesRef) -> Option<Arc<[u8]>> {
        self.shared.views[series.partition() as usize].read().get(series.id() as usize)?.key.clone()
    }

    /// Every series of a partition, by id.
    pub fn series_of(&self, partition: u8) -> Vec<SelectedSeries> {
        let views = self.shared.views[partition as usize].read();
        let key_of = |(id, view): (usize, &SeriesView)| {
            Some(SelectedSeries { series: SeriesRef::new(partition, id as u32), key: view.key.clone()? })
        };
        views.iter().filter_map(key_of).collect()
    }

    /// Whether a series may have samples later than a time; never false when it has.
    pub fn goes_beyond(&self, series: SeriesRef, time_ms: i64) -> bool {
        let views = self.shared.views[series.partition() as usize].read();
        let view = views.get(series.id() as usize);
        time_ms < i64::MAX && view.is_some_and(|view| view.touches(time_ms + 1, i64::MAX))
    }

    /// Names of labels, sorted; of all series when `matchers` is empty, else of series that satisfy any one set.
    ///
    /// # Errors
    /// None at present.
    pub fn label_names(&self, matchers: &[Vec<Matcher>]) -> Result<Vec<String>, StoreError> {
        self.label_names_until(matchers, &|| false)
    }

    /// As [`Self::label_names`], for matchers of strangers.
    ///
    /// # Errors
    /// `Stopped` once `stop` has said so.
    pub fn label_names_until(
        &self,
        matchers: &[Vec<Matcher>],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<String>, StoreError> {
        let chosen = self.any_of(matchers, stop)?;
        let index = self.shared.index.read();
        Ok(match chosen {
            None => index.names().map(str::to_owned).collect(),
            Some(series) => index.names_of(&series),
        })
    }

    /// Values of one label, sorted, over the same choice of series.
    ///
    /// # Errors
    /// None at present.
    pub fn label_values(&self, name: &str, matchers: &[Vec<Matcher>]) -> Result<Vec<String>, StoreError> {
        self.label_values_until(name, matchers, &|| false)
    }

    /// As [`Self::label_values`], for matchers of strangers.
    ///
    /// # Errors
    /// `Stopped` once `stop` has said so.
    pub fn label_values_until(
        &self,
        name: &str,
        matchers: &[Vec<Matcher>],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<String>, StoreError> {
        let chosen = self.any_of(matchers, stop)?;
        let index = self.shared.index.read();
        Ok(match chosen {
            None => index.values(name).map(str::to_owned).collect(),
            Some(series) => index.values_of(name, &series),
        })
    }

    /// The series that satisfy any one set of matchers; none when there are no sets, which means all series.
    fn any_of(&self, matchers: &[Vec<Matcher>], stop: &dyn Fn() -> bool) -> Result<Option<RoaringBitmap>, StoreError> {
        let mut chosen = None;
        for set in matchers {
            let found = Search::run(&self.shared.index, set, stop).ok_or(StoreError::Stopped)?;
            chosen = Some(chosen.map_or(found.clone(), |all: RoaringBitmap| all | found));
        }
        Ok(chosen)
    }

    /// Seals every head, writes and compacts all blocks, cuts the journal; `answer` hears when that is done.
    ///
    /// # Errors
    /// When the store is closing or too many requests wait.
    pub fn compact(&self, answer: Answer) -> Result<(), StoreError> {
        self.commands.try_send(Command::Compact(answer)).map_err(|_| StoreError::Closed)
    }

    /// Copies the store, while it runs, to a directory that is then a store by itself; `answer` hears when that is done.
    /// Every sample that was acknowledged before this call is in the copy.
    ///
    /// # Errors
    /// When the store is closing or too many requests wait.
    pub fn snapshot(&self, dir: &Path, answer: SnapshotAnswer) -> Result<(), StoreError> {
        self.commands.try_send(Command::Snapshot(dir.to_path_buf(), answer)).map_err(|_| StoreError::Closed)
    }

    pub(crate) fn command(&self, command: Command) -> Result<(), StoreError> {
        self.commands.send(command).map_err(|_| StoreError::Closed)
    }

    /// Time of the newest sample of all, none while the store is empty.
    pub fn newest_ms(&self) -> Option<i64> {
        Some(self.shared.newest_ms.load(Ordering::Relaxed)).filter(|newest_ms| *newest_ms != i64::MIN)
    }

    /// The version of what is stored; asked before anything is read, it says of what was found whether it still holds.
    pub fn version(&self) -> u64 {
        self.shared.changes.version()
    }

    /// Whether what was read at a version, of samples up to and including a time, still reads the same. May say no of
    /// what does: of times in the minute that is written, and of versions of long ago.
    pub fn is_unchanged(&self, version: u64, until_ms: i64) -> bool {
        self.shared.changes.is_unchanged(version, until_ms)
    }

    /// Keeps samples this long from now on, in milliseconds counted from the newest; 0 keeps all. What is older is removed
    /// within the keeper's rhythm.
    pub fn set_retention(&self, retention_ms: i64) {
        self.shared.retention_ms.store(retention_ms, Ordering::Relaxed);
    }

    /// Submissions that wait for the journal's committer, and how many may.
    pub fn journal_waiting(&self) -> (usize, usize) {
        self.shared.journal.waiting()
    }

    /// Figures for `/metrics` and `/health`.
    pub fn figures(&self) -> StoreFigures {
        let keeper = self.shared.keeper.lock().clone();
        StoreFigures {
            series: self.shared.series_count.load(Ordering::Relaxed),
            newest_ms: self.newest_ms(),
            journal_bytes: self.shared.journal.bytes(),
            journal_failure: match self.shared.journal.state() {
                JournalState::Working => None,
                JournalState::Failing { what } => Some(what),
            },
            block_bytes: self.shared.blocks.bytes_on_disk().unwrap_or(0),
            rollup_bytes: self.shared.rollups.bytes_on_disk().unwrap_or(0),
            damage: self.shared.damage.iter().map(ToString::to_string).chain(keeper.damage.iter().cloned()).collect(),
            keeper,
            panicked: self.shared.panicked.lock().clone(),
            journal_sides: self.shared.journal.sides(),
            stuck: self.shared.stuck.lock().clone(),
        }
    }
}
