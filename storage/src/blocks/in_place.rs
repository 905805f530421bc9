//! Reading blocks where they lie in the engine's file, without the engine: as long as nothing has been written to their
//! directory since the start, while the disk is too full for the engine to be opened, and for good where the file is
//! damaged.
//!
//! An engine that opens a file with a damaged page cuts off what it wrote behind it, and answers as if that had never
//! been there. So it opens a file only to write, and the first time only after every synced block was found whole, and
//! with a copy of the file beside it until every block was found through the engine too.
//!
//! Not here: finding the blocks (see `salvage`), when the engine is opened (see `directory`).
//!
//! Invariant: a block is handed out only when its checksum holds and it is the one that was asked for.
//!
//! Cost: looking for the blocks of a file takes 0.1 to 0.3 s a 256 MiB, once; 8 bytes of memory a block.

use super::block::Block;
use super::key::BlockKey;
use super::salvage::{identity, places_in};
use crate::StoreError;
use crate::disk::sync_folder;
use parking_lot::Mutex;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Of so many blocks read without the engine because it could not be opened, one is asked of the engine again.
const TRY_ENGINE_EVERY: u32 = 256;

/// A larger file is left to the engine from the start: looking at it and copying it would take too long. A directory grows
/// beyond 256 MiB only within a single day.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The engine's file as it was before the engine opened it.
const COPY: &str = "db.before";
/// The copy while it is being made.
const UNFINISHED_COPY: &str = "db.copying";

/// Where each block begins in the file, times 2^16, and how long it is; by sequence, 0 for one that is not whole.
type Places = Arc<Vec<u64>>;

/// What a directory knows of its file beside the engine.
#[derive(Debug, Default)]
pub(super) struct InPlace {
    /// As long as they hold: an engine moves its blocks.
    places: Mutex<Option<Places>>,
    /// Whether an engine has opened the file since the start.
    was_opened: AtomicBool,
    /// Blocks read here although the engine should be asked.
    reads: AtomicU32,
    is_frozen: AtomicBool,
}

impl InPlace {
    /// For the directory at a path.
    pub(super) fn of(directory: &Path) -> Self {
        let bytes = fs::metadata(directory.join("db")).map_or(0, |metadata| metadata.len());
        Self { was_opened: AtomicBool::new(bytes > FILE_BYTES_MAX), ..Self::default() }
    }

    /// Whether the file is damaged and no engine shall open it.
    pub(super) fn is_frozen(&self) -> bool {
        self.is_frozen.load(Ordering::Acquire)
    }

    /// Lets no engine open the file any more.
    pub(super) fn freeze(&self) {
        self.is_frozen.store(true, Ordering::Release);
    }

    /// Whether an engine has opened the file since the start, so that its blocks are found through the engine.
    pub(super) fn was_opened(&self) -> bool {
        self.was_opened.load(Ordering::Acquire)
    }

    /// Whether the engine could not be opened lately and it is not yet time to try again.
    pub(super) fn is_turn(&self, engine_is_open: bool) -> bool {
        let is_known = !engine_is_open && self.places.lock().is_some();
        is_known && !self.reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(TRY_ENGINE_EVERY)
    }

    /// Forgets where blocks lie, because an engine has opened the file.
    pub(super) fn forget(&self) {
        *self.places.lock() = None;
        self.was_opened.store(true, Ordering::Release);
    }

    /// Where the blocks of `keys` lie; looks for them when that is not known. The second value is how many of them are
    /// not whole, when it was not known before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn look(&self, directory: &Path, keys: &[BlockKey]) -> Result<(Places, Option<usize>), StoreError> {
        // Others wait meanwhile instead of looking for the same.
        let mut known = self.places.lock();
        if let Some(places) = &*known {
            return Ok((Arc::clone(places), None));
        }
        let (mut places, mut lost) = find(directory, keys)?;
        if lost > 0 && !self.was_opened() && restore_copy(directory)? {
            (places, lost) = find(directory, keys)?;
        }
        if lost == 0 && !self.was_opened() {
            // What a crash left behind while an engine was opened for the first time.
            let _ = (remove_copy(directory), fs::remove_file(directory.join(UNFINISHED_COPY)));
        }
        let places = Arc::new(places);
        *known = Some(Arc::clone(&places));
        Ok((places, Some(lost)))
    }

    /// Gives `each` a block from where it lies; false when it is not found whole.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn with_block(
        places: &[u64],
        directory: &Path,
        key: &BlockKey,
        each: &mut dyn FnMut(Block<'_>),
    ) -> Result<bool, StoreError> {
        let place = places.get(key.sequence as usize).copied().unwrap_or(0);
        if place == 0 {
            return Ok(false);
        }
        let path = directory.join("db");
        let mut bytes = vec![0; (place & 0xffff) as usize];
        let read = File::open(&path).and_then(|file| file.read_exact_at(&mut bytes, place >> 16));
        read.map_err(|e| StoreError::io("read", &path, e))?;
        match Block::parse(&bytes) {
            Ok(block) if identity(&block.key(0)) == identity(key) => {
                each(block);
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

fn find(directory: &Path, keys: &[BlockKey]) -> Result<(Vec<u64>, usize), StoreError> {
    let found = places_in(directory)?;
    let mut places = vec![0; keys.iter().map(|key| key.sequence as usize + 1).max().unwrap_or(0)];
    let mut lost = 0;
    for key in keys {
        match found.get(&identity(key)) {
            Some((at, len)) => places[key.sequence as usize] = at << 16 | *len as u64,
            None => lost += 1,
        }
    }
    Ok((places, lost))
}

/// Copies the engine's file, so that it can be put back if the engine loses blocks in opening it.
///
/// # Errors
/// When there is no room for it, among others: the engine is not to be opened then.
pub(super) fn copy_file(directory: &Path) -> Result<(), StoreError> {
    let unfinished = directory.join(UNFINISHED_COPY);
    let copied = fs::copy(directory.join("db"), &unfinished).and_then(|_| File::open(&unfinished)?.sync_all());
    if let Err(error) = copied {
        // What is left of it would take room from the journal.
        let _ = fs::remove_file(&unfinished);
        return Err(StoreError::io("write", &unfinished, error));
    }
    fs::rename(&unfinished, directory.join(COPY)).map_err(|e| StoreError::io("rename", &unfinished, e))
}

/// Forgets the copy, because every block was found through the engine.
pub(super) fn remove_copy(directory: &Path) -> Result<(), StoreError> {
    match fs::remove_file(directory.join(COPY)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", &directory.join(COPY), error))
        }
        _ => Ok(()),
    }
}

/// Puts the copy in the place of the file that an engine has opened and, maybe, bent; false when there is none.
pub(super) fn restore_copy(directory: &Path) -> Result<bool, StoreError> {
    let (copy, path) = (directory.join(COPY), directory.join("db"));
    match fs::rename(&copy, &path) {
        Ok(()) => sync_folder(directory).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("rename", &copy, error)),
    }
}
