//! One sled database in one folder, behind the few operations the store needs; the only file that names sled.
//!
//! sled 0.34.7 is used within the limits in which it was measured to hold:
//!
//! - values stay at or below [`VALUE_BYTES_MAX`], so that a full leaf (16 values) stays below the 128 KiB at which
//!   sled moves a page into a blob file, which it never syncs and never reclaims;
//! - writes are single inserts: batches were seen to hang under `flush`;
//! - the flusher thread stays on (500 ms), because nothing else reclaims space;
//! - `flush` is no fsync, so [`Disk::sync`] also syncs the `db` file by a handle of our own;
//! - opening runs on a thread of its own, and every call catches panics: sled panics where others return errors.
//!
//! Not here: what keys and values mean, clocks (an observer compares [`Disk::operations`] over time), retries.
//!
//! sled opens a truncated or overwritten file without a word and answers as if the keys had never been written, so
//! a caller that must notice has to know what it wrote.
//!
//! Invariants: a disk that panicked or failed to sync answers every later call with that reason; the folder's lock is
//! free again when the last handle is gone.

use crate::StoreError;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::ops::{ControlFlow, Deref};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The largest value in bytes; see the module's first rule.
pub const VALUE_BYTES_MAX: usize = 7 * 1024;

/// How often sled writes its buffers and reclaims space.
const FLUSH_EVERY_MS: u64 = 500;

/// sled spreads its cache over 256 slices and asserts that each has at least a byte; below this it only thrashes.
const CACHE_BYTES_MIN: u64 = 1 << 20;

/// sled's background tasks let go of the file some time after the database is dropped: measured below 5 ms.
const LOCK_POLLS_MAX: u32 = 2000;
const LOCK_POLL: Duration = Duration::from_millis(1);

/// A handle on one database; clones share it, and the last one to go closes it.
#[derive(Clone, Debug)]
pub struct Disk {
    engine: Arc<Engine>,
}

/// A value as stored, shared with the engine's cache.
#[derive(Clone, Debug)]
pub struct DiskBytes(sled::IVec);

impl Deref for DiskBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// What a scan gives each key and value to.
pub type EachEntry<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

struct Engine {
    path: PathBuf,
    /// `None` only while closing.
    db: Option<sled::Db>,
    /// Our own handle on the engine's file: syncing is per file, not per handle.
    file: File,
    failed: OnceLock<String>,
    folder_synced: AtomicBool,
    started: AtomicU64,
    finished: AtomicU64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("path", &self.path).field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl Disk {
    /// Opens or creates the database in `path`. `cache_bytes` is a hint: sled holds several times as much.
    ///
    /// # Errors
    /// `Locked` when another handle or process has the folder, `Io` when the system refuses, `Damaged` or `Engine` when
    /// what lies there is no whole database.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Disk, StoreError> {
        fs::create_dir_all(path).map_err(|e| StoreError::io("create", path, e))?;
        remove_unfinished_snapshots(path)?;
        let db_path = path.join("db");
        if db_path.exists() {
            let file = File::open(&db_path).map_err(|e| StoreError::io("open", &db_path, e))?;
            wait_until_unlocked(&file, path)?;
        }
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes.max(CACHE_BYTES_MIN))
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        let opened = std::thread::Builder::new()
            .name("disk-open".into())
            .spawn(move || config.open())
            .map_err(|e| StoreError::io("start a thread to open", path, e))?
            .join();
        let db = match opened {
            Ok(Ok(db)) => db,
            Ok(Err(error)) => return Err(refusal("open", path, error)),
            Err(panic) => return Err(StoreError::Engine { path: path.to_path_buf(), what: panic_text(&*panic) }),
        };
        let file = File::open(&db_path).map_err(|e| StoreError::io("open", &db_path, e))?;
        let engine = Engine {
            path: path.to_path_buf(),
            db: Some(db),
            file,
            failed: OnceLock::new(),
            folder_synced: AtomicBool::new(false),
            started: AtomicU64::new(0),
            finished: AtomicU64::new(0),
        };
        Ok(Disk { engine: Arc::new(engine) })
    }

    /// Stores `value` under `key`, replacing what was there; durable after [`Self::sync`].
    ///
    /// # Errors
    /// `Io` when the value is larger than [`VALUE_BYTES_MAX`] (sled never sees it), else what the engine says.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if value.len() > VALUE_BYTES_MAX {
            let what = format!("a value of {} bytes is more than {VALUE_BYTES_MAX}", value.len());
            return Err(StoreError::io("write", &self.engine.path, io::Error::new(io::ErrorKind::InvalidInput, what)));
        }
        self.engine.run("write", |db| db.insert(key, value)).map(drop)
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// `Damaged` when the engine finds its page corrupt; other keys may still be whole.
    pub fn get(&self, key: &[u8]) -> Result<Option<DiskBytes>, StoreError> {
        Ok(self.engine.run("read", |db| db.get(key))?.map(DiskBytes))
    }

    /// Removes `key` if it is there.
    pub fn remove(&self, key: &[u8]) -> Result<(), StoreError> {
        self.engine.run("remove from", |db| db.remove(key)).map(drop)
    }

    /// Gives `each` every key from `from` up to, not including, `to` in ascending order, until it breaks off.
    pub fn scan(&self, from: &[u8], to: Option<&[u8]>, each: EachEntry<'_>) -> Result<(), StoreError> {
        let mut entries = self.engine.run("scan", |db| {
            Ok(match to {
                Some(to) => db.range(from..to),
                None => db.range(from..),
            })
        })?;
        while let Some((key, value)) = self.engine.run("scan", |_| entries.next().transpose())? {
            if each(&key, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Makes everything written so far durable: flush, then fsync of the file, and once of the folder.
    ///
    /// # Errors
    /// A failed fsync is final for this disk: the system may have thrown the unsynced pages away.
    pub fn sync(&self) -> Result<(), StoreError> {
        let engine = &*self.engine;
        engine.run("flush", |db| db.flush())?;
        engine.counted(|| engine.sync_files()).inspect_err(|error| engine.fail(error.to_string()))
    }

    /// Bytes the folder takes on disk, counted in allocated blocks.
    pub fn size_bytes(&self) -> Result<u64, StoreError> {
        folder_bytes(&self.engine.path)
    }

    /// How many operations were started and how many came back: if an observer sees the same two different numbers
    /// over a long time, the engine hangs.
    pub fn operations(&self) -> (u64, u64) {
        let finished = self.engine.finished.load(Ordering::Acquire);
        (self.engine.started.load(Ordering::Acquire), finished)
    }

    /// Whether other handles share the database.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.engine) > 1
    }

    /// Flushes and gives the handle up; when it was the last, waits until the folder can be opened or removed.
    ///
    /// # Errors
    /// What the flush says, or `Locked` when the engine does not let go of the folder.
    pub fn close(self) -> Result<(), StoreError> {
        self.engine.run("flush", |db| db.flush())?;
        Arc::into_inner(self.engine).map_or(Ok(()), |mut engine| engine.shut())
    }
}

impl Engine {
    fn counted<T>(&self, operation: impl FnOnce() -> T) -> T {
        self.started.fetch_add(1, Ordering::AcqRel);
        let outcome = operation();
        self.finished.fetch_add(1, Ordering::AcqRel);
        outcome
    }

    /// One call into sled: counted, refused when the disk has failed, panics turned into errors.
    fn run<T>(&self, action: &'static str, call: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, StoreError> {
        if let Some(what) = self.failed.get() {
            return Err(StoreError::Engine { path: self.path.clone(), what: what.clone() });
        }
        let db = self.db.as_ref().expect("the database is taken out only when the last handle goes");
        // Unwind safety: after a panic the engine is marked as failed and never called again.
        match self.counted(|| catch_unwind(AssertUnwindSafe(|| call(db)))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let refused = refusal(action, &self.path, error);
                if let StoreError::Engine { what, .. } = &refused {
                    self.fail(what.clone());
                }
                Err(refused)
            }
            Err(panic) => {
                let what = panic_text(&*panic);
                self.fail(what.clone());
                Err(StoreError::Engine { path: self.path.clone(), what })
            }
        }
    }

    fn fail(&self, what: String) {
        // The first reason stays: what follows is its consequence.
        let _ = self.failed.set(what);
    }

    fn sync_files(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(|e| StoreError::io("sync", &self.path.join("db"), e))?;
        if !self.folder_synced.load(Ordering::Acquire) {
            sync_folder(&self.path)?;
            if let Some(parent) = self.path.parent().filter(|p| !p.as_os_str().is_empty()) {
                sync_folder(parent)?;
            }
            self.folder_synced.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Drops the database and waits for its lock to go; does nothing the second time.
    fn shut(&mut self) -> Result<(), StoreError> {
        let Some(db) = self.db.take() else { return Ok(()) };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(db))) {
            return Err(StoreError::Engine { path: self.path.clone(), what: panic_text(&*panic) });
        }
        wait_until_unlocked(&self.file, &self.path)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Err(error) = self.shut() {
            tracing::error!(%error, "closing a database");
        }
    }
}

/// Makes the names in a folder durable: files created, renamed or removed in it.
pub fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| StoreError::io("sync", path, e))
}

/// Puts a file in place so that after a crash either the old or the new one is there, whole.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|e| StoreError::io("write", path, e))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Allocated bytes of all files below `path`.
pub fn folder_bytes(path: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for entry in fs::read_dir(path).map_err(|e| StoreError::io("list", path, e))? {
        let entry = entry.map_err(|e| StoreError::io("list", path, e))?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += folder_bytes(&entry.path())?,
            Ok(metadata) => bytes += metadata.blocks() * 512,
            // The engine replaces its snapshot files while we look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("inspect", &entry.path(), error)),
        }
    }
    Ok(bytes)
}

/// Removes `snap.*.generating`: a snapshot sled was writing when the process ended, over which it fails to open.
fn remove_unfinished_snapshots(path: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(path).map_err(|e| StoreError::io("list", path, e))? {
        let entry = entry.map_err(|e| StoreError::io("list", path, e))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(|e| StoreError::io("remove", &entry.path(), e))?;
        }
    }
    Ok(())
}

fn wait_until_unlocked(file: &File, path: &Path) -> Result<(), StoreError> {
    for _ in 0..LOCK_POLLS_MAX {
        match file.try_lock() {
            Ok(()) => return file.unlock().map_err(|e| StoreError::io("unlock", path, e)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_POLL),
            Err(TryLockError::Error(error)) => return Err(StoreError::io("lock", path, error)),
        }
    }
    Err(StoreError::Locked { path: path.to_path_buf() })
}

/// What sled refused, told apart: the system's refusals may pass, corruption concerns one page, the rest everything.
fn refusal(action: &'static str, path: &Path, error: sled::Error) -> StoreError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error {
        sled::Error::Io(source) if !matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof) => {
            StoreError::io(action, path, source)
        }
        sled::Error::Corruption { at, .. } => StoreError::Damaged {
            path: path.join("db"),
            offset: at.map_or(0, |at| at.lid()),
            what: "the engine cannot read a page".into(),
        },
        other => StoreError::Engine { path: path.to_path_buf(), what: other.to_string() },
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(disk: &Disk, from: &[u8], to: Option<&[u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        disk.scan(from, to, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
        found
    }

    #[test]
    fn what_was_put_is_there_after_closing_and_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blocks");
        let disk = Disk::open(&path, 0).unwrap();
        disk.put(b"a", b"1").unwrap();
        disk.put(b"b", b"2").unwrap();
        disk.put(b"c", &vec![7; VALUE_BYTES_MAX]).unwrap();
        disk.remove(b"b").unwrap();
        disk.sync().unwrap();
        disk.close().unwrap();

        let disk = Disk::open(&path, 0).unwrap();
        assert_eq!(disk.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
        assert!(disk.get(b"b").unwrap().is_none());
        assert_eq!(entries(&disk, b"", None).len(), 2);
        assert_eq!(entries(&disk, b"a", Some(b"c")), [(b"a".to_vec(), b"1".to_vec())], "the end is not included");
        assert!(disk.size_bytes().unwrap() >= VALUE_BYTES_MAX as u64);
        disk.close().unwrap();
        fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_scan_stops_where_its_reader_stops() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), 0).unwrap();
        for i in 0..100u8 {
            disk.put(&[i], &[i]).unwrap();
        }
        let mut seen = 0;
        disk.scan(&[10], None, &mut |_, _| {
            seen += 1;
            if seen == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        assert_eq!(seen, 5);
    }

    #[test]
    fn a_value_that_would_become_a_blob_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), 0).unwrap();
        let refused = disk.put(b"k", &vec![0; VALUE_BYTES_MAX + 1]).unwrap_err();
        assert!(refused.to_string().contains("more than 7168"), "{refused}");
        for i in 0..200u32 {
            disk.put(&i.to_be_bytes(), &vec![i as u8; VALUE_BYTES_MAX]).unwrap();
        }
        disk.sync().unwrap();
        assert_eq!(fs::read_dir(folder.path().join("blobs")).unwrap().count(), 0);
    }

    #[test]
    fn an_unfinished_snapshot_does_not_stop_the_opening() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), 0).unwrap();
        disk.put(b"a", b"1").unwrap();
        disk.close().unwrap();
        let leftover = folder.path().join("snap.FFFFFFFFFFFFFFFF.generating");
        fs::write(&leftover, b"half").unwrap();
        let disk = Disk::open(folder.path(), 0).unwrap();
        assert!(disk.get(b"a").unwrap().is_some());
        assert!(!leftover.exists());
    }

    #[test]
    fn a_damaged_file_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), 0).unwrap();
        for i in 0..500u32 {
            disk.put(&i.to_be_bytes(), &[i as u8; 4000]).unwrap();
        }
        disk.close().unwrap();
        // Reopening once writes the snapshot that points into the file.
        Disk::open(folder.path(), 0).unwrap().close().unwrap();
        fs::write(folder.path().join("db"), vec![0xA5; 3_000_000]).unwrap();
        let outcome = Disk::open(folder.path(), 0).and_then(|disk| disk.get(&7u32.to_be_bytes()));
        assert!(matches!(outcome, Err(StoreError::Damaged { .. } | StoreError::Engine { .. })), "{outcome:?}");
    }

    #[test]
    fn a_second_handle_on_an_open_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), 0).unwrap();
        assert!(matches!(Disk::open(folder.path(), 0), Err(StoreError::Locked { .. })));
        let second = disk.clone();
        assert!(disk.is_shared());
        disk.close().unwrap();
        second.put(b"still", b"open").unwrap();
    }

    #[test]
    fn operations_are_counted_when_they_start_and_when_they_end() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), 0).unwrap();
        disk.put(b"a", b"1").unwrap();
        assert_eq!(disk.operations(), (1, 1));
        let during = Arc::new(AtomicBool::new(false));
        let engine = disk.engine.clone();
        engine.counted(|| during.store(disk.operations() == (2, 1), Ordering::Release));
        assert!(during.load(Ordering::Acquire));
    }

    #[test]
    fn a_panicking_engine_is_marked_and_keeps_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), 0).unwrap();
        let first = disk.engine.run("read", |_| -> sled::Result<()> { panic!("page 7 is gone") }).unwrap_err();
        assert!(first.to_string().contains("page 7 is gone"), "{first}");
        let later = disk.get(b"a").unwrap_err();
        assert!(later.to_string().contains("page 7 is gone"), "{later}");
    }
}
