//! All blocks of a store: writing them, making them durable, letting them go.
//!
//! Not here: opening (see `open`), reading (see `read`), compaction (see `compact`), which chunks there are and when a
//! checkpoint is complete (the caller's).
//!
//! Invariants: one thread at a time writes, syncs, compacts and removes; any number read, and a reader goes on with
//! the directories it found while they are replaced or removed. The list of directories is ordered by first day.

use super::block::CHUNK_BYTES_MAX;
use super::cache;
use super::damage::{DamageLog, DirectoryHealth};
use super::day::{DAY_MS, DirectoryName, day_of};
use super::directory::{Directory, Shared};
use super::open::{open_directories, save_manifest};
use super::packer::Packer;
use crate::StoreError;
use crate::disk::sync_folder;
use crate::series::PARTITIONS;
use crate::snapshot::SnapshotReport;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

/// A sealed chunk on its way to disk.
#[derive(Debug, Clone)]
pub struct PendingChunk {
    /// The series' id in its partition.
    pub id: u32,
    /// The first sample, in milliseconds.
    pub start_ms: i64,
    /// The last sample, in milliseconds, on the same UTC day.
    pub end_ms: i64,
    /// The chunk, at most `CHUNK_BYTES_MAX` long.
    pub bytes: Arc<[u8]>,
}

/// Limits of a store's blocks.
#[derive(Debug, Clone, Copy)]
pub struct BlockSettings {
    /// How much of the blocks all engines together keep in memory; one read may exceed it until it is done.
    pub cache_bytes: u64,
    /// A directory of this size takes no further day.
    pub directory_bytes_close: u64,
    /// How many days after its first a directory takes chunks of.
    pub directory_days_max: i64,
    /// How many engines are open at a time.
    pub open_max: usize,
}

impl Default for BlockSettings {
    fn default() -> Self {
        Self { cache_bytes: 32 << 20, directory_bytes_close: 256 << 20, directory_days_max: 31, open_max: 8 }
    }
}

/// The live directories by first day; replaced as a whole, so that a reader keeps the list it began with.
pub(super) type DirectoryList = Arc<[Arc<Directory>]>;

/// Every block of every partition, in directories of whole UTC days.
#[derive(Debug)]
pub struct BlockStore {
    pub(super) shared: Shared,
    settings: BlockSettings,
    directories: RwLock<DirectoryList>,
    /// Whether directories exist that the manifest does not name.
    is_manifest_stale: AtomicBool,
    uses: AtomicU64,
}

impl BlockStore {
    /// Opens the blocks in `folder`, or creates it. Blocks of a generation greater than their partition's in
    /// `generations` are left out: their checkpoint never completed. The second value is the damage found.
    pub fn open(
        folder: &Path,
        settings: BlockSettings,
        generations: &[u32; PARTITIONS],
    ) -> Result<(BlockStore, Vec<StoreError>), StoreError> {
        let shared = Shared {
            folder: folder.to_path_buf(),
            engine_cache_bytes: settings.cache_bytes / settings.open_max.max(1) as u64,
            damage: Arc::new(DamageLog::default()),
        };
        let directories = RwLock::new(open_directories(&shared, generations)?.into());
        let damage = shared.damage.take();
        let (is_manifest_stale, uses) = (AtomicBool::new(false), AtomicU64::new(0));
        Ok((Self { shared, settings, directories, is_manifest_stale, uses }, damage))
    }

    /// Writes chunks of one partition, whose checkpoint has this number, and empties `chunks`. They can be read at
    /// once and are durable after [`Self::sync`].
    ///
    /// # Errors
    /// Chunks that are too large or span two days are refused before anything is written. After any other error the
    /// checkpoint must be given up: what was written since the last sync may be gone.
    pub fn write(&self, partition: u8, generation: u32, chunks: &mut Vec<PendingChunk>) -> Result<(), StoreError> {
        chunks.iter().try_for_each(|chunk| self.check(chunk))?;
        chunks.sort_unstable_by_key(|chunk| (day_of(chunk.start_ms), chunk.id, chunk.start_ms));
        for group in chunks.chunk_by(|a, b| day_of(a.start_ms) == day_of(b.start_ms)) {
            let directory = self.directory_of(day_of(group[0].start_ms))?;
            let mut packer = Packer::new(&directory, partition, generation);
            for chunk in group {
                packer.push(chunk.id, chunk.start_ms, chunk.end_ms, &chunk.bytes)?;
            }
            packer.flush()?;
        }
        chunks.clear();
        Ok(())
    }

    fn check(&self, chunk: &PendingChunk) -> Result<(), StoreError> {
        let day = day_of(chunk.start_ms);
        let what = if chunk.bytes.len() > CHUNK_BYTES_MAX {
            format!("a chunk of {} bytes is more than {CHUNK_BYTES_MAX}", chunk.bytes.len())
        } else if chunk.end_ms < chunk.start_ms || day_of(chunk.end_ms) != day {
            format!("a chunk from {} to {} does not lie within one day", chunk.start_ms, chunk.end_ms)
        } else if !DirectoryName::can_name(day) {
            format!("a chunk at {} lies in no year of four digits", chunk.start_ms)
        } else {
            return Ok(());
        };
        Err(StoreError::io("write", &self.shared.folder, io::Error::new(io::ErrorKind::InvalidInput, what)))
    }

    /// The directory that takes chunks of a day, created when none does.
    fn directory_of(&self, day: i64) -> Result<Arc<Directory>, StoreError> {
        let candidate = self.directories().iter().rfind(|d| d.name().first_day <= day && d.takes_blocks()).cloned();
        if let Some(directory) = candidate {
            let newest_day = directory.index().span_ms().map_or(day, |(_, end_ms)| day_of(end_ms));
            let in_reach = day < directory.name().first_day + self.settings.directory_days_max;
            let takes_days = || Ok(directory.size_bytes()? < self.settings.directory_bytes_close);
            if in_reach && (day <= newest_day || takes_days()?) {
                self.note_use(&directory);
                return Ok(directory);
            }
        }
        let name = self.unused_name(day, 1);
        let directory = Arc::new(Directory::create(&self.shared, &name.to_string(), name)?);
        self.is_manifest_stale.store(true, Ordering::Release);
        let mut directories = self.directories().to_vec();
        directories.push(Arc::clone(&directory));
        directories.sort_by_key(|directory| directory.name());
        self.set_directories(directories);
        Ok(directory)
    }

    /// A directory name that stands for nothing yet, from this rewrite on.
    pub(super) fn unused_name(&self, first_day: i64, rewrite: u32) -> DirectoryName {
        let names = (rewrite..).map(|rewrite| DirectoryName { first_day, rewrite });
        let unused = |name: &DirectoryName| !self.shared.folder.join(name.to_string()).exists();
        names.into_iter().find(unused).expect("a folder holds fewer than 2^32 names")
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// As [`Self::write`]: the checkpoint must be given up.
    pub fn sync(&self) -> Result<(), StoreError> {
        // One that failed is synced only if it owes blocks, which is then an error; the next sync sets it aside.
        for directory in self.directories().iter().filter(|d| d.is_dirty() || d.takes_blocks()) {
            directory.sync()?;
        }
        let (failed, whole): (Vec<_>, Vec<_>) = self.directories().iter().cloned().partition(|d| d.has_failed());
        if self.is_manifest_stale.load(Ordering::Acquire) || !failed.is_empty() {
            // Renamed before the manifest forgets them: a directory that no manifest names is removed at opening.
            failed.iter().try_for_each(|directory| directory.set_aside())?;
            sync_folder(&self.shared.folder)?;
            save_manifest(&self.shared.folder, &whole)?;
            self.set_directories(whole);
            self.is_manifest_stale.store(false, Ordering::Release);
        }
        self.trim()
    }

    /// Removes whole directories whose every sample is older than the day of `cutoff_ms`, and returns their names.
    pub fn remove_before(&self, cutoff_ms: i64) -> Result<Vec<String>, StoreError> {
        // The manifest may name only what is durable.
        self.sync()?;
        let is_old = |directory: &Arc<Directory>| {
            let last_day = directory.index().span_ms().map_or(directory.name().first_day, |(_, end)| day_of(end));
            (last_day + 1) * DAY_MS <= cutoff_ms
        };
        let (old, kept): (Vec<_>, Vec<_>) = self.directories().iter().cloned().partition(is_old);
        if !old.is_empty() {
            self.replace_directories(kept, &old)?;
        }
        Ok(old.iter().map(|directory| directory.name().to_string()).collect())
    }

    /// Before when samples have to go so that the rest takes at most `bytes_max`; `None` when nothing has to, or
    /// nothing can: the newest directory always stays.
    ///
    /// # Errors
    /// When the directories cannot be measured.
    pub fn cutoff_for_bytes(&self, bytes_max: u64) -> Result<Option<i64>, StoreError> {
        let directories = self.directories();
        let mut bytes = 0;
        for (at, directory) in directories.iter().enumerate().rev() {
            bytes += directory.size_bytes()?;
            if bytes > bytes_max && at + 1 < directories.len() {
                let last_day = directory.index().span_ms().map_or(directory.name().first_day, |(_, end)| day_of(end));
                return Ok(Some((last_day + 1) * DAY_MS));
            }
        }
        Ok(None)
    }

    /// Makes `live` the directories of the store, on disk first; those retired go when their last reader is done.
    pub(super) fn replace_directories(
        &self,
        live: Vec<Arc<Directory>>,
        retired: &[Arc<Directory>],
    ) -> Result<(), StoreError> {
        save_manifest(&self.shared.folder, &live)?;
        self.set_directories(live);
        retired.iter().for_each(|directory| directory.retire());
        Ok(())
    }

    /// Copies everything to another folder, that can be opened as this one; for the thread that writes, after a sync.
    pub(crate) fn copy_to(&self, folder: &Path, report: &mut SnapshotReport) -> Result<(), StoreError> {
        std::fs::create_dir_all(folder).map_err(|e| StoreError::io("create", folder, e))?;
        let whole: Vec<_> = self.directories().iter().filter(|directory| !directory.has_failed()).cloned().collect();
        whole.iter().try_for_each(|directory| directory.copy_to(folder, report))?;
        save_manifest(folder, &whole)?;
        sync_folder(folder)
    }

    /// Damage found since the last call, in reading, compacting and writing.
    pub fn take_damage(&self) -> Vec<StoreError> {
        self.shared.damage.take()
    }

    /// How each directory fares; never waits for an engine.
    pub fn health(&self) -> Vec<DirectoryHealth> {
        self.directories().iter().map(|directory| directory.health()).collect()
    }

    /// The earliest and the latest sample in milliseconds.
    pub fn span_ms(&self) -> Option<(i64, i64)> {
        let directories = self.directories();
        let spans = directories.iter().filter_map(|directory| directory.index().span_ms());
        spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// For each UTC day of which a partition has blocks, the highest generation of one.
    pub(crate) fn generations_of(&self, partition: u8) -> BTreeMap<i64, u32> {
        let mut generations = BTreeMap::new();
        for directory in self.directories().iter().filter(|directory| !directory.has_failed()) {
            for key in directory.index().partition(partition) {
                let highest: &mut u32 = generations.entry(day_of(key.start_ms)).or_default();
                *highest = key.generation.max(*highest);
            }
        }
        generations
    }

    /// The highest generation of any block, 0 without blocks; checkpoints to come must have higher ones.
    pub fn generation_max(&self) -> u32 {
        self.directories().iter().map(|directory| directory.index().generation_max()).max().unwrap_or(0)
    }

    /// The earliest sample in milliseconds.
    pub fn oldest_ms(&self) -> Option<i64> {
        self.span_ms().map(|(start_ms, _)| start_ms)
    }

    /// Bytes on disk, counted in allocated blocks.
    pub fn bytes_on_disk(&self) -> Result<u64, StoreError> {
        self.directories().iter().map(|directory| directory.size_bytes()).sum()
    }

    /// The directories as they are now.
    pub(super) fn directories(&self) -> DirectoryList {
        Arc::clone(&self.directories.read().expect("nothing panics while it holds the list"))
    }

    fn set_directories(&self, directories: Vec<Arc<Directory>>) {
        *self.directories.write().expect("nothing panics while it holds the list") = directories.into();
    }

    pub(super) fn note_use(&self, directory: &Directory) {
        directory.engine().note_use(self.uses.fetch_add(1, Ordering::Relaxed));
    }

    pub(super) fn trim(&self) -> Result<(), StoreError> {
        cache::trim(&self.directories(), self.settings.open_max, self.settings.cache_bytes)
    }

    /// How much memory all engines may keep.
    pub(super) fn cache_bytes(&self) -> u64 {
        self.settings.cache_bytes
    }
}
