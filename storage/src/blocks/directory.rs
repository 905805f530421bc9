//! One directory of blocks: an engine and the index that knows its blocks without opening it.
//!
//! Not here: which directory a day belongs to (see `store`), when the engine is open (see `engine`, `cache`).
//!
//! Blocks are numbered in writing order (see `key`); an empty value is a number without a block.
//!
//! Damage: a block that is missing or does not hold is reported once and left out from then on. An engine that does
//! not open, panics, or has lost the oldest or newest block takes the whole directory out of service.
//!
//! Invariants: one thread writes and syncs, any number read. What the file `INDEX` names has been synced. On any
//! failure to write or sync, everything written to the directory since its last sync is forgotten.

use super::block::{Block, BlockBuilder};
use super::damage::DamageLog;
use super::day::DirectoryName;
use super::engine::Engine;
use super::index::Index;
use super::index_file;
use super::key::{BlockKey, STRETCH, engine_key, usable_sequence};
use super::manifest::Listed;
use super::salvage::{Identity, identity, places_in};
use crate::StoreError;
use crate::disk::{Disk, folder_bytes, sync_folder};
use crate::series::PARTITIONS;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What every directory of a store shares.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    pub(super) engine_cache_bytes: u64,
    pub(super) damage: Arc<DamageLog>,
}

#[derive(Debug)]
pub(super) struct Directory {
    name: DirectoryName,
    compacted_blocks: u32,
    path: PathBuf,
    shared: Shared,
    engine: Engine,
    index: RwLock<Index>,
    log: Mutex<Log>,
    is_dirty: AtomicBool,
    failed: AtomicBool,
    retired: AtomicBool,
    /// Where blocks lie in the engine's file, while the system does not let the engine be opened.
    places: Mutex<Option<Places>>,
    /// Blocks read in that way.
    read_in_place: AtomicU32,
}

type Places = Arc<HashMap<Identity, (u64, usize)>>;

/// Of so many blocks read without the engine, one is asked of the engine again.
const TRY_ENGINE_EVERY: u32 = 256;

/// What the `INDEX` file lacks; used by the writing thread only.
#[derive(Debug, Default)]
struct Log {
    unsynced: Vec<BlockKey>,
    /// Whether a record can be appended; if not, the file is written anew.
    is_whole: bool,
}

/// How one directory fares.
#[derive(Debug, Clone)]
pub struct DirectoryHealth {
    /// Its name.
    pub name: String,
    /// How many blocks it serves.
    pub blocks: usize,
    /// Operations started and finished by its engine, when that is open; see `Disk::operations`.
    pub operations: Option<(u64, u64)>,
    /// Whether its engine is being opened or closed at this moment.
    pub is_busy: bool,
    /// Whether it is out of service.
    pub has_failed: bool,
}

impl Directory {
    /// A new, empty directory under a name of its own in the store's folder.
    pub(super) fn create(shared: &Shared, file_name: &str, name: DirectoryName) -> Result<Self, StoreError> {
        let path = shared.folder.join(file_name);
        fs::create_dir(&path).map_err(|e| StoreError::io("create", &path, e))?;
        let listed = Listed { name, compacted_blocks: 0 };
        Ok(Self::assemble(shared, path, listed, Index::default(), Log::default()))
    }

    /// The directory as it was last synced, without blocks of generations that were never completed.
    ///
    /// # Errors
    /// `Damaged` or `Engine` when neither index nor engine is of use: the directory is to be set aside.
    pub(super) fn load(shared: &Shared, listed: Listed, generations: &[u32; PARTITIONS]) -> Result<Self, StoreError> {
        let path = shared.folder.join(listed.name.to_string());
        let mut directory = Self::assemble(shared, path, listed, Index::default(), Log::default());
        let stored = index_file::load(&directory.path)?;
        let is_whole = stored.is_some();
        let mut keys = match stored {
            Some(keys) => keys,
            None => directory.ask_engine()?,
        };
        let before = keys.len();
        keys.retain(|key| key.generation <= generations[key.partition as usize]);
        if !is_whole || keys.len() < before {
            index_file::rewrite(&directory.path, &keys)?;
        }
        directory.index = RwLock::new(Index::from_keys(&keys));
        directory.log = Mutex::new(Log { unsynced: Vec::new(), is_whole: true });
        Ok(directory)
    }

    fn assemble(shared: &Shared, path: PathBuf, listed: Listed, index: Index, log: Log) -> Self {
        Self {
            name: listed.name,
            compacted_blocks: listed.compacted_blocks,
            path,
            shared: shared.clone(),
            engine: Engine::default(),
            index: RwLock::new(index),
            log: Mutex::new(log),
            is_dirty: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            places: Mutex::new(None),
            read_in_place: AtomicU32::new(0),
        }
    }

    /// Every block the engine still has, when the index file does not hold.
    fn ask_engine(&self) -> Result<Vec<BlockKey>, StoreError> {
        tracing::warn!(directory = %self.path.display(), "the index is not whole, reading every block");
        let disk = Disk::open(&self.path, self.shared.engine_cache_bytes)?;
        let mut keys = Vec::new();
        let (mut sequence, mut absent) = (0, 0);
        // Numbers are laid out in stretches, so a longer gap is the end.
        while absent <= 2 * STRETCH {
            absent += 1;
            match disk.get(&engine_key(sequence)) {
                Ok(None) => {}
                Ok(Some(bytes)) if bytes.is_empty() => absent = 0,
                Ok(Some(bytes)) => {
                    absent = 0;
                    match Block::parse(&bytes) {
                        Ok(block) => keys.push(block.key(sequence)),
                        Err(error) => self.report_block(sequence, &error.to_string()),
                    }
                }
                Err(StoreError::Damaged { what, .. }) => {
                    absent = 0;
                    self.report_block(sequence, &what);
                }
                Err(error) => return Err(error),
            }
            sequence += 1;
        }
        disk.close()?;
        if keys.is_empty() {
            return Err(self.damaged("it holds no block"));
        }
        Ok(keys)
    }

    /// What the manifest says of the directory.
    pub(super) fn listed(&self) -> Listed {
        Listed { name: self.name, compacted_blocks: self.compacted_blocks }
    }

    pub(super) fn name(&self) -> DirectoryName {
        self.name
    }

    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().expect("nothing panics while it holds the index")
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().expect("nothing panics while it holds the index")
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("the writing thread does not panic while it holds the log")
    }

    /// Whether blocks were written that compaction has not seen.
    pub(super) fn has_loose_blocks(&self) -> bool {
        self.index().len() != self.compacted_blocks as usize
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Whether blocks were written since the last sync.
    pub(super) fn is_dirty(&self) -> bool {
        self.is_dirty.load(Ordering::Acquire)
    }

    /// Bytes on disk.
    pub(super) fn size_bytes(&self) -> Result<u64, StoreError> {
        folder_bytes(&self.path)
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How the directory fares, without waiting for anything.
    pub(super) fn health(&self) -> DirectoryHealth {
        let operations = self.engine.operations();
        DirectoryHealth {
            name: self.name.to_string(),
            blocks: self.index().len(),
            operations: operations.flatten(),
            is_busy: operations.is_none(),
            has_failed: self.has_failed(),
        }
    }

    /// Gives `each` the block of a key; nothing when it is damaged, which is reported, or the directory has failed.
    ///
    /// # Errors
    /// `Io` when the system refuses: the block may be whole.
    pub(super) fn with_block(&self, key: &BlockKey, each: &mut dyn FnMut(Block<'_>)) -> Result<(), StoreError> {
        if self.goes_without_engine() && self.with_block_in_place(key, each)? {
            return Ok(());
        }
        let outcome = self.disk(key.sequence).and_then(|disk| disk.get(&key.engine_key()));
        let lost = match outcome {
            Ok(Some(bytes)) if !bytes.is_empty() => match Block::parse(&bytes) {
                Ok(block) => {
                    each(block);
                    return Ok(());
                }
                Err(error) => error.to_string(),
            },
            Ok(_) => "it is missing".to_owned(),
            Err(StoreError::Damaged { what, .. }) => what,
            Err(error @ StoreError::Engine { .. }) => {
                self.fail(error);
                return Ok(());
            }
            // A full disk: the engine writes when it is opened, and so cannot be.
            Err(error) => return if self.with_block_in_place(key, each)? { Ok(()) } else { Err(error) },
        };
        self.report_block(key.sequence, &lost);
        self.index_mut().remove(key);
        Ok(())
    }

    /// Whether blocks were found without the engine and it is not yet time to try the engine again.
    fn goes_without_engine(&self) -> bool {
        let is_known = !self.engine.is_open() && self.places.lock().is_ok_and(|places| places.is_some());
        is_known && !self.read_in_place.fetch_add(1, Ordering::Relaxed).is_multiple_of(TRY_ENGINE_EVERY)
    }

    /// Gives `each` a block from where it lies in the engine's file; false when it is not found whole.
    fn with_block_in_place(&self, key: &BlockKey, each: &mut dyn FnMut(Block<'_>)) -> Result<bool, StoreError> {
        let known = self.places.lock().map_or(None, |places| places.clone());
        let places = match known {
            Some(places) => places,
            None => {
                let found = Arc::new(places_in(&self.path)?);
                if let Ok(mut places) = self.places.lock() {
                    *places = Some(Arc::clone(&found));
                }
                found
            }
        };
        let Some(&(at, len)) = places.get(&identity(key)) else { return Ok(false) };
        let path = self.path.join("db");
        let mut bytes = vec![0; len];
        let read = fs::File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, at));
        read.map_err(|e| StoreError::io("read", &path, e))?;
        match Block::parse(&bytes) {
            Ok(block) if identity(&block.key(0)) == identity(key) => {
                each(block);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Writes what the builder holds as one block.
    pub(super) fn write_block(
        &self,
        (partition, generation): (u8, u32),
        builder: &mut BlockBuilder,
        value: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let sequence = usable_sequence(self.index().next_sequence());
        let Some(key) = builder.finish(partition, generation, sequence, value) else { return Ok(()) };
        self.is_dirty.store(true, Ordering::Release);
        self.put(&key, value).inspect_err(|_| self.forget_unsynced())?;
        self.log().unsynced.push(key);
        self.index_mut().insert(key);
        Ok(())
    }

    fn put(&self, key: &BlockKey, value: &[u8]) -> Result<(), StoreError> {
        let disk = self.disk(key.sequence)?;
        if key.sequence.is_multiple_of(STRETCH) {
            for sequence in key.sequence..key.sequence + STRETCH {
                disk.put(&engine_key(sequence), b"")?;
            }
        }
        disk.put(&key.engine_key(), value)
    }

    /// Makes every block durable, then names them in the index file.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let mut log = self.log();
        if log.unsynced.is_empty() && log.is_whole {
            return Ok(());
        }
        let can_append = std::mem::take(&mut log.is_whole);
        let synced = self.disk(0).and_then(|disk| disk.sync()).and_then(|()| match can_append {
            true => index_file::append(&self.path, &log.unsynced),
            false => index_file::rewrite(&self.path, &self.index().keys()),
        });
        match synced {
            Ok(()) => {
                log.unsynced.clear();
                log.is_whole = true;
                self.is_dirty.store(false, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                drop(log);
                self.forget_unsynced();
                Err(error)
            }
        }
    }

    /// After a failure nobody knows which unsynced blocks the engine has: it is opened anew, without them.
    fn forget_unsynced(&self) {
        let unsynced = std::mem::take(&mut self.log().unsynced);
        let mut index = self.index_mut();
        unsynced.iter().for_each(|key| index.remove(key));
        drop(index);
        self.is_dirty.store(false, Ordering::Release);
        self.engine.abandon();
    }

    fn disk(&self, sequence: u32) -> Result<Disk, StoreError> {
        self.engine.disk(sequence, || self.open_engine())
    }

    fn open_engine(&self) -> Result<Disk, StoreError> {
        let out_of_service = || {
            let what = "the directory is out of service".into();
            StoreError::Engine { path: self.path.clone(), what }
        };
        if self.has_failed() {
            return Err(out_of_service());
        }
        match Disk::open(&self.path, self.shared.engine_cache_bytes).and_then(|disk| self.check_edges(disk)) {
            Err(error @ (StoreError::Damaged { .. } | StoreError::Engine { .. })) => {
                self.fail(error);
                Err(out_of_service())
            }
            outcome => {
                // The engine moves its pages, so that what was found without it holds no longer.
                if let (Ok(_), Ok(mut places)) = (&outcome, self.places.lock()) {
                    *places = None;
                }
                outcome
            }
        }
    }

    /// Refuses an engine that has lost its oldest or newest block: it opens a truncated file without complaint.
    fn check_edges(&self, disk: Disk) -> Result<Disk, StoreError> {
        for sequence in self.index().edges().into_iter().flat_map(|(oldest, newest)| [oldest, newest]) {
            // A corrupt page is one page; blocks on it are reported when they are read.
            let Ok(found) = disk.get(&engine_key(sequence)) else { continue };
            if found.is_none_or(|bytes| bytes.is_empty()) {
                return Err(self.damaged(&format!("the engine has lost block {sequence}")));
            }
        }
        Ok(disk)
    }

    /// Takes the directory out of service and says why.
    fn fail(&self, why: StoreError) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            self.shared.damage.report(why);
        }
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), offset: 0, what: what.into() }
    }

    /// Adds to the store's damage.
    pub(super) fn report(&self, what: &str) {
        self.shared.damage.report(self.damaged(what));
    }

    fn report_block(&self, sequence: u32, what: &str) {
        self.report(&format!("block {sequence}: {what}"));
    }

    /// Finishes a directory that was written under a temporary name: synced, closed, renamed, all its blocks compacted.
    pub(super) fn publish(mut self) -> Result<Self, StoreError> {
        self.sync()?;
        self.engine.release()?;
        let path = self.shared.folder.join(self.name.to_string());
        fs::rename(&self.path, &path).map_err(|e| StoreError::io("rename", &self.path, e))?;
        self.path = path;
        let blocks = self.index().len() as u32;
        self.compacted_blocks = blocks;
        sync_folder(&self.shared.folder)?;
        Ok(self)
    }

    /// Marks the directory for removal, which happens when its last reader is done with it.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Renames the directory out of the way.
    pub(super) fn set_aside(&self) -> Result<(), StoreError> {
        self.engine.abandon();
        set_aside(&self.path).map(drop)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !*self.retired.get_mut() {
            return;
        }
        self.engine.abandon();
        if let Err(error) = fs::remove_dir_all(&self.path) {
            // What stays is removed at the next opening, because no manifest names it.
            tracing::warn!(directory = %self.path.display(), %error, "cannot remove");
        }
    }
}

/// Renames a directory or file to `damaged-NAME`, or `damaged-NAME.2` and so on when that is taken; its new path.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let numbered = (2u32..).map(|n| path.with_file_name(format!("damaged-{name}.{n}")));
    let free = std::iter::once(path.with_file_name(format!("damaged-{name}"))).chain(numbered).find(|p| !p.exists());
    let free = free.expect("a folder holds fewer than 2^32 names");
    fs::rename(path, &free).map_err(|e| StoreError::io("set aside", path, e))?;
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the layout of numbers is for: without it this takes 1.2 to 1.9 bytes a byte.
    #[test]
    fn blocks_take_little_more_on_disk_than_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let damage = Arc::new(DamageLog::default());
        let shared = Shared { folder: folder.path().to_path_buf(), engine_cache_bytes: 1 << 20, damage };
        let name = DirectoryName { first_day: 0, rewrite: 1 };
        let directory = Directory::create(&shared, "blocks", name).unwrap();
        let (mut builder, mut value, mut bytes) = (BlockBuilder::default(), Vec::new(), 0);
        for id in 0..3000u32 {
            assert!(builder.push(id, 0, 1, &[id as u8; 6000]));
            directory.write_block((0, 1), &mut builder, &mut value).unwrap();
            bytes += value.len();
            if id % 300 == 299 {
                directory.sync().unwrap();
            }
        }
        assert_eq!(directory.index().len(), 3000);
        let ratio = directory.size_bytes().unwrap() as f64 / bytes as f64;
        assert!(ratio < 1.12, "{ratio:.3} bytes on disk a byte of blocks");
    }
}
