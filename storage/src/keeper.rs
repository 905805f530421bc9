//! The keeper: one thread that writes checkpoints, rolls up and compacts what is over, and removes what retention has
//! passed.
//!
//! ```text
//! checkpoint:  rotate journal ─ for each partition: snapshot (asked of its shard) ─ blocks, catalog, new file
//!              ─ sync blocks and catalog ─ rename files ─ tell shards ─ cut journal
//! each tick:   checkpoint when due ─ one day of one partition rolled up
//! each 5 s:    retention ─ one closed directory compacted ─ rollups compacted ─ what is due to be rolled up
//! ```
//!
//! Not here: the files themselves (see `checkpoint`), sled (see `blocks`, `catalog`), rolling up (see `rollup`).
//!
//! Invariants: a checkpoint file counts only when the blocks and keys it relies on are synced; the journal is cut
//! only up to the lowest position of all current checkpoint files; nothing else writes to blocks or catalog.

use crate::StoreError;
use crate::catalog::Catalog;
use crate::checkpoint;
use crate::checkpoint_copy::CopyWriter;
use crate::rollup::{Resolution, Work};
use crate::series::PARTITIONS;
use crate::shard_store::{ShardStore, ShardTask, shard_of};
use crate::shared::Shared;
use crate::snapshot::{SnapshotReport, Target};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the keeper looks whether something is due.
const TICK: Duration = Duration::from_millis(250);
/// Ticks without a new record after which the journal is folded into a checkpoint.
const QUIET_TICKS: u32 = 12;
/// A journal smaller than this is not worth a checkpoint of its own when it falls quiet.
const QUIET_BYTES: u64 = 1 << 20;
/// Ticks between two looks at retention, and before failed work is tried again.
const SLOW_TICKS: u32 = 20;
/// Findings listed one by one in the report.
const DAMAGE_LISTED_MAX: usize = 100;
/// Heads sealed in one request to a shard: at about 2 us each it stays below 5 ms.
const SEAL_SLICE: u32 = 2_000;

/// Rollups that are made before the keeper waits for the journal and writes them, in bytes.
const ROLLED_BYTES: usize = 4 << 20;

/// Hears how a request to the keeper ended.
pub type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Hears how a snapshot ended.
pub type SnapshotAnswer = Box<dyn FnOnce(Result<SnapshotReport, StoreError>) + Send>;

/// A request to the keeper.
pub(crate) enum Command {
    /// Seal, write everything as blocks, compact all days, cut the journal.
    Compact(Answer),
    /// Copy the store to a directory.
    Snapshot(PathBuf, SnapshotAnswer),
    /// Write a last checkpoint and end.
    Stop(Answer),
}

/// The thread's state.
pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    pub(crate) catalog: Catalog,
    pub(crate) checkpoints: PathBuf,
    pub(crate) store_id: [u8; 16],
    pub(crate) generation: u32,
    pub(crate) shards: Vec<Sender<ShardTask>>,
    pub(crate) commands: Receiver<Command>,
    pub(crate) rollups: Work,
}

/// What a run of the loop remembers from tick to tick.
#[derive(Default)]
struct Rhythm {
    ticks: u32,
    quiet_ticks: u32,
    retry_at: u32,
    last_sequence: u64,
    checkpointed_sequence: u64,
}

impl Keeper {
    /// The loop; ends on [`Command::Stop`] or when nobody can send one any more.
    pub(crate) fn run(mut self) {
        let mut rhythm = Rhythm { checkpointed_sequence: u64::MAX, ..Rhythm::default() };
        loop {
            match self.commands.recv_timeout(TICK) {
                Ok(Command::Compact(answer)) => answer(self.compact()),
                Ok(Command::Snapshot(dir, answer)) => answer(self.snapshot(&dir)),
                Ok(Command::Stop(answer)) => return answer(self.checkpoint()),
                Err(RecvTimeoutError::Timeout) => self.tick(&mut rhythm),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tick(&mut self, rhythm: &mut Rhythm) {
        rhythm.ticks += 1;
        self.note_damage();
        let sequence = self.shared.sequence.load(Ordering::Acquire);
        rhythm.quiet_ticks = if sequence == rhythm.last_sequence { rhythm.quiet_ticks + 1 } else { 0 };
        rhythm.last_sequence = sequence;
        if rhythm.ticks < rhythm.retry_at {
            return;
        }
        let mut work = Ok(());
        if self.is_due(rhythm) {
            work = self.checkpoint();
            rhythm.checkpointed_sequence = sequence;
        }
        if work.is_ok() && rhythm.ticks.is_multiple_of(SLOW_TICKS) {
            work = self.retain().and_then(|()| self.compact_closed()).and_then(|()| self.compact_rollups(false));
            if self.rollups.is_done() && self.shared.settings.rollups {
                self.rollups.look(&self.shared);
            }
        }
        if work.is_ok() {
            work = self.roll_up(1);
        }
        if let Err(error) = &work {
            tracing::error!(%error, "the keeper's work failed and will be tried again");
            rhythm.retry_at = rhythm.ticks + SLOW_TICKS;
        }
        self.shared.keeper.lock().failing = work.err().map(|error| error.to_string());
    }

    /// Logs and remembers what readers and compactions have found damaged since the last look.
    fn note_damage(&self) {
        for error in self.shared.blocks.take_damage().into_iter().chain(self.shared.rollups.take_damage()) {
            tracing::error!(%error, "damage found");
            let mut report = self.shared.keeper.lock();
            if report.damage.len() < DAMAGE_LISTED_MAX {
                report.damage.push(error.to_string());
            }
        }
    }

    fn is_due(&self, rhythm: &Rhythm) -> bool {
        let journal_bytes = self.shared.journal.bytes();
        let last_bytes = self.shared.keeper.lock().checkpoint_bytes;
        let quiet = rhythm.quiet_ticks >= QUIET_TICKS
            && journal_bytes > QUIET_BYTES
            && rhythm.last_sequence != rhythm.checkpointed_sequence;
        quiet || journal_bytes > self.shared.settings.checkpoint_bytes.max(2 * last_bytes)
    }

    /// Has a shard run `task` on its store and returns what it gives.
    fn ask<T: Send + 'static>(
        &self,
        partition: u8,
        task: impl FnOnce(&mut ShardStore) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = bounded(1);
        let shard = &self.shards[shard_of(partition, self.shards.len())];
        let request: ShardTask = Box::new(move |store| {
            // The keeper waits for this answer; it is gone only when the process is ending.
            let _ = answer.send(task(store));
        });
        self.shared.shard_answers.during(|| {
            shard.send(request).map_err(|_| StoreError::Closed)?;
            answered.recv().map_err(|_| StoreError::Closed)
        })
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.shared.journal.rotate();
        self.generation += 1;
        let mut written = Vec::new();
        let mut bytes = 0;
        let mut copy = CopyWriter::begin(&self.checkpoints)?;
        for partition in 0..PARTITIONS as u8 {
            let mut snapshot = self.ask(partition, move |store| store.snapshot(partition))?;
            if snapshot.ids_len == 0 {
                continue;
            }
            self.shared.blocks.write(partition, self.generation, &mut snapshot.chunks)?;
            self.catalog.append(partition, &mut snapshot.keys)?;
            let file = checkpoint::encode(&snapshot, &self.store_id, self.generation);
            checkpoint::write_new(&self.checkpoints, partition, &file)?;
            copy.add(partition, &file)?;
            bytes += file.len() as u64;
            written.push((partition, snapshot.position, snapshot.taken, snapshot.ids_len));
        }
        self.shared.blocks.sync()?;
        self.catalog.sync()?;
        copy.sync()?;
        for (partition, ..) in &written {
            checkpoint::replace(&self.checkpoints, *partition)?;
        }
        // Last: of a copy that is older than the files the journal is still there.
        copy.replace()?;
        sync_directory(&self.checkpoints)?;
        let cut_through = written.iter().map(|(_, position, ..)| *position).min();
        for (partition, _, taken, ids_len) in written {
            self.ask(partition, move |store| store.committed(partition, &taken, ids_len))?;
        }
        if let Some(position) = cut_through {
            self.shared.journal.cut(position)?;
        }
        let mut report = self.shared.keeper.lock();
        report.checkpoints += 1;
        report.checkpoint_bytes = bytes;
        Ok(())
    }

    /// Copies the store as it is now, with every sample that was acknowledged before.
    fn snapshot(&mut self, dir: &Path) -> Result<SnapshotReport, StoreError> {
        let shared = self.shared.clone();
        let target = Target::at(dir, &shared.settings.dir)?;
        let copied =
            self.checkpoint().and_then(|()| target.fill(&shared.settings.dir, &shared.blocks, &shared.rollups));
        match copied {
            Ok(report) => target.finish().map(|()| report),
            Err(error) => {
                target.abandon();
                Err(error)
            }
        }
    }

    fn compact(&mut self) -> Result<(), StoreError> {
        for partition in 0..PARTITIONS as u8 {
            let mut next = Some(0);
            while let Some(start) = next {
                next = self.ask(partition, move |store| store.seal(partition, start..start + SEAL_SLICE))?;
            }
        }
        self.checkpoint()?;
        let report = self.shared.blocks.compact(&self.shared.closing)?;
        tracing::info!(?report, "compacted");
        if report.stopped {
            return Err(StoreError::Closed);
        }
        if self.shared.settings.rollups {
            self.rollups.look(&self.shared);
        }
        self.roll_up(usize::MAX)?;
        self.compact_rollups(true)
    }

    /// Leaves out rollups that others have overtaken: where they are many, or wherever there are any.
    fn compact_rollups(&self, all: bool) -> Result<(), StoreError> {
        let report = self.shared.rollups.compact(all, &self.shared.closing)?;
        if report.directories > 0 {
            tracing::info!(?report, "rollups that were made anew were compacted");
        }
        Ok(())
    }

    /// Compacts one directory that takes no further day and got no block with the last checkpoint.
    fn compact_closed(&self) -> Result<(), StoreError> {
        let report = self.shared.blocks.compact_closed(self.generation, &self.shared.closing)?;
        if report.directories > 0 {
            tracing::info!(?report, "a directory that is closed was compacted");
        }
        Ok(())
    }

    /// Makes the rollups of up to `most` days of partitions that are due.
    fn roll_up(&mut self, most: usize) -> Result<(), StoreError> {
        let mut done = (0, 0);
        let outcome = self.roll_up_and_sync(most, &mut done);
        let mut report = self.shared.keeper.lock();
        match &outcome {
            Ok(()) => {
                report.rolled_days += done.0;
                report.rolled_samples += done.1;
            }
            Err(_) => self.rollups.start_over(),
        }
        outcome
    }

    fn roll_up_and_sync(&mut self, most: usize, (days, samples): &mut (u64, u64)) -> Result<(), StoreError> {
        while *days < most as u64 && !self.shared.closing.load(Ordering::Relaxed) {
            let mut made = Vec::new();
            let mut bytes = 0;
            while *days < most as u64 && bytes < ROLLED_BYTES {
                let Some(day) = self.rollups.make_next(&self.shared)? else { break };
                bytes += day.bytes();
                *days += 1;
                *samples += day.samples;
                made.push(day);
            }
            if made.is_empty() {
                break;
            }
            self.make_durable()?;
            made.into_iter().try_for_each(|day| self.rollups.write(&self.shared, day))?;
        }
        if *days > 0 {
            Resolution::ALL.into_iter().try_for_each(|resolution| self.shared.rollups.of(resolution).sync())?;
        }
        Ok(())
    }

    /// Waits until everything that readers see is in the journal, on disk.
    fn make_durable(&self) -> Result<(), StoreError> {
        // Between two batches nothing is appended that is not on its way to the journal. A shard's number is that of one of
        // its partitions.
        (0..self.shards.len() as u8).try_for_each(|shard| self.ask(shard, |_| ()))?;
        let (answer, answered) = bounded(1);
        // The keeper waits for this answer; it is gone only when the process is ending.
        self.shared.journal.submit(Vec::new(), 0, Box::new(move |result| _ = answer.send(result)));
        let synced = answered.recv().map_err(|_| StoreError::Closed)?;
        synced.map_err(|error| StoreError::NotWriting { what: error.to_string() })
    }

    /// Removes rollups that their retention has passed, or that take more than a quarter each of the limit on bytes.
    fn retain_rollups(&self, newest_ms: i64) -> Result<(), StoreError> {
        let settings = &self.shared.settings;
        for resolution in Resolution::ALL {
            let blocks = self.shared.rollups.of(resolution);
            let by_size = match settings.max_bytes {
                0 => None,
                max_bytes => blocks.cutoff_for_bytes(max_bytes / 4)?,
            };
            let Some(cutoff_ms) = settings.rollups_kept_since(resolution, newest_ms).max(by_size) else { continue };
            let removed = blocks.remove_before(cutoff_ms)?;
            if !removed.is_empty() {
                tracing::info!(?removed, resolution = resolution.name(), "directories of old rollups are removed");
                self.shared.keeper.lock().rollup_directories_removed += removed.len() as u64;
            }
        }
        Ok(())
    }

    /// Removes directories that retention has passed or that are too many, and the series that have nothing left.
    fn retain(&mut self) -> Result<(), StoreError> {
        let newest_ms = self.shared.newest_ms.load(Ordering::Relaxed);
        self.retain_rollups(newest_ms)?;
        let settings = &self.shared.settings;
        let retention_ms = self.shared.retention_ms.load(Ordering::Relaxed);
        let by_age = (retention_ms > 0 && newest_ms > retention_ms).then(|| newest_ms - retention_ms);
        // What is to be rolled up has to be there.
        let by_age = by_age.map(|cutoff_ms| cutoff_ms.min(self.rollups.needed_since_ms().unwrap_or(i64::MAX)));
        let by_size = match settings.max_bytes {
            0 => None,
            max_bytes => {
                let others = self.shared.journal.bytes() + self.shared.rollups.bytes_on_disk()?;
                self.shared.blocks.cutoff_for_bytes(max_bytes.saturating_sub(others))?
            }
        };
        let Some(cutoff_ms) = by_age.max(by_size) else { return Ok(()) };
        let removed = self.shared.blocks.remove_before(cutoff_ms)?;
        if removed.is_empty() {
            return Ok(());
        }
        tracing::info!(?removed, by_size = by_size == Some(cutoff_ms), "directories of old samples are removed");
        self.shared.changes.removed();
        self.shared.keeper.lock().directories_removed += removed.len() as u64;
        for partition in 0..PARTITIONS as u8 {
            let live = self.ask(partition, move |store| store.expire(partition, cutoff_ms))?;
            if let Some(mut live) = live {
                self.catalog.rewrite(partition, &mut live)?;
            }
        }
        self.catalog.sync()
    }
}

/// Makes renames and new files in a directory durable.
pub(crate) fn sync_directory(path: &std::path::Path) -> Result<(), StoreError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| StoreError::io("sync", path, e))
}
