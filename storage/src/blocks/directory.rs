//! One directory of blocks: an engine and the index that knows its blocks without opening it.
//!
//! Not here: which directory a day belongs to (see `store`), when the engine is open (see `engine`, `cache`).
//!
//! Blocks are numbered in writing order (see `key`); an empty value is a number without a block.
//!
//! Damage: a block that is missing or does not hold is reported once and left out from then on. A file with a damaged
//! block is left as it is: its engine is never opened, what is whole is served in place. An engine that does not open,
//! panics, or has lost the oldest or newest block takes the whole directory out of service.
//!
//! Invariants: one thread writes and syncs, any number read. What the file `INDEX` names has been synced. On any
//! failure to write or sync, everything written to the directory since its last sync is forgotten.

use super::block::{Block, BlockBuilder};
use super::damage::{DamageLog, DirectoryHealth};
use super::day::DirectoryName;
use super::engine::Engine;
use super::in_place::{InPlace, copy_file, remove_copy, restore_copy};
use super::index::Index;
use super::index_file;
use super::key::{BlockKey, STRETCH, engine_key, usable_sequence};
use super::manifest::Listed;
use crate::StoreError;
use crate::disk::{Disk, folder_bytes, sync_folder};
use crate::series::PARTITIONS;
use crate::snapshot::SnapshotReport;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
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
    /// Reading without the engine.
    in_place: InPlace,
}

/// What the `INDEX` file lacks; used by the writing thread only.
#[derive(Debug, Default)]
struct Log {
    unsynced: Vec<BlockKey>,
    /// Whether a record can be appended; if not, the file is written anew.
    is_whole: bool,
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
        let in_place = InPlace::of(&path);
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
            in_place,
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

    /// Whether blocks can be written to it.
    pub(super) fn takes_blocks(&self) -> bool {
        !self.has_failed() && !self.in_place.is_frozen()
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

    /// Whether compaction has something to do here.
    pub(super) fn is_to_compact(&self) -> bool {
        self.has_loose_blocks() && !self.has_failed() && !self.in_place.is_frozen()
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
            is_frozen: self.in_place.is_frozen(),
        }
    }

    /// Gives `each` the block of a key; nothing when it is damaged, which is reported, or the directory has failed.
    ///
    /// # Errors
    /// `Io` when the system refuses: the block may be whole.
    pub(super) fn with_block(&self, key: &BlockKey, each: &mut dyn FnMut(Block<'_>)) -> Result<(), StoreError> {
        if !self.in_place.was_opened() || self.in_place.is_turn(self.engine.is_open()) {
            return self.with_block_in_place(key, each);
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
            Err(_) => return self.with_block_in_place(key, each),
        };
        self.report_block(key.sequence, &lost);
        self.index_mut().remove(key);
        Ok(())
    }

    /// The same without the engine.
    fn with_block_in_place(&self, key: &BlockKey, each: &mut dyn FnMut(Block<'_>)) -> Result<(), StoreError> {
        let places = self.look()?;
        if !self.has_failed() && !InPlace::with_block(&places, &self.path, key, each)? {
            // In a file that was found damaged, how many are lost was said then.
            if !self.in_place.is_frozen() {
                self.report_block(key.sequence, "it is not whole");
            }
            self.index_mut().remove(key);
        }
        Ok(())
    }

    /// Where the blocks lie in the engine's file. When some are found damaged, no engine opens the file any more, and what
    /// is whole is served; when all are, the directory is out of service.
    fn look(&self) -> Result<Arc<Vec<u64>>, StoreError> {
        let keys = self.index().keys();
        let (places, lost) = self.in_place.look(&self.path, &keys)?;
        match lost {
            Some(lost) if lost > 0 && lost == keys.len() => self.fail(self.damaged("none of its blocks is whole")),
            Some(lost) if lost > 0 => self.freeze(&format!("{lost} of {} blocks are not whole", keys.len())),
            _ => {}
        }
        Ok(places)
    }

    fn freeze(&self, why: &str) {
        self.in_place.freeze();
        self.report(&format!("{why}; nothing is written there any more, what is whole is served"));
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
        if self.has_failed() || self.in_place.is_frozen() {
            return Err(out_of_service());
        }
        let is_first = !self.in_place.was_opened() && self.index().len() > 0;
        if is_first {
            self.look()?;
            if !self.takes_blocks() {
                return Err(out_of_service());
            }
            copy_file(&self.path)?;
        }
        let opened = Disk::open(&self.path, self.shared.engine_cache_bytes);
        let opened = if is_first { self.check_all(opened)? } else { opened.and_then(|disk| self.check_edges(disk)) };
        match opened {
            Err(error @ (StoreError::Damaged { .. } | StoreError::Engine { .. })) => {
                self.fail(error);
                Err(out_of_service())
            }
            outcome => {
                if outcome.is_ok() {
                    // The engine moves its pages, so that what was found without it holds no longer.
                    self.in_place.forget();
                }
                outcome
            }
        }
    }

    /// Looks whether an engine that was opened for the first time has every block, all of which are whole in its file; if
    /// not, the file is put back as it was and no engine opens it again.
    fn check_all(&self, opened: Result<Disk, StoreError>) -> Result<Result<Disk, StoreError>, StoreError> {
        let keys = self.index().keys();
        let has =
            |disk: &Disk, key: &BlockKey| matches!(disk.get(&key.engine_key()), Ok(Some(bytes)) if !bytes.is_empty());
        let why = match opened {
            Ok(disk) => match keys.iter().filter(|key| !has(&disk, key)).count() {
                0 => {
                    remove_copy(&self.path)?;
                    // What was read for this is not kept.
                    disk.close()?;
                    return Ok(Disk::open(&self.path, self.shared.engine_cache_bytes));
                }
                lost => format!("the engine has lost {lost} of {} blocks", keys.len()),
            },
            Err(error @ (StoreError::Damaged { .. } | StoreError::Engine { .. })) => error.to_string(),
            Err(error) => return remove_copy(&self.path).and(Err(error)),
        };
        restore_copy(&self.path)?;
        self.freeze(&why);
        Err(StoreError::Engine { path: self.path.clone(), what: why })
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

    /// Copies what is synced, as it is, to a directory of the same name in another folder.
    pub(super) fn copy_to(&self, folder: &Path, report: &mut SnapshotReport) -> Result<(), StoreError> {
        let to = folder.join(self.name.to_string());
        self.engine.while_closed(|| report.copy_folder(&self.path, &to))
    }

    /// Marks the directory for removal, which happens when its last reader is done with it.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// Renames the directory out of the way.
    pub(super) fn set_aside(&self) -> Result<(), StoreError> {
        self.engine.abandon();
        super::salvage::set_aside(&self.path).map(drop)
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
