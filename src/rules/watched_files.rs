//! Files that list what is evaluated, read again when they change: what was read waits until whoever evaluates takes it.
//!
//! Not here: what stands in the files (see `file`, `monitors::file`), who has them looked at (see `server`).
//!
//! Invariant: all or nothing: files with a mistake anywhere put nothing in place of what is in force.

use super::files::{RuleError, RuleFiles};
use parking_lot::{Mutex, RwLock};
use std::path::PathBuf;
use std::time::SystemTime;

/// What tells one state of the files from another.
type Seen = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// Reads all files; every mistake of every file is an error.
type Load<T> = fn(&RuleFiles) -> Result<Vec<T>, Vec<RuleError>>;

/// Files and what was read of them last.
#[derive(Debug)]
pub struct WatchedFiles<T> {
    files: RuleFiles,
    load: Load<T>,
    /// What was read and is not in force yet.
    next: Mutex<Option<Vec<T>>>,
    seen: Mutex<Seen>,
    failing: RwLock<Option<String>>,
}

impl<T> WatchedFiles<T> {
    /// Of files that were not read yet.
    pub fn new(files: RuleFiles, load: Load<T>) -> Self {
        Self { files, load, next: Mutex::new(None), seen: Mutex::default(), failing: RwLock::default() }
    }

    /// Which files.
    pub fn files(&self) -> &RuleFiles {
        &self.files
    }

    /// Reads all files anew; they are put in force by whoever evaluates them.
    ///
    /// # Errors
    /// Every mistake; nothing is changed then.
    pub fn read(&self) -> Result<(), Vec<RuleError>> {
        *self.seen.lock() = self.look();
        let found = (self.load)(&self.files);
        *self.failing.write() = found.as_ref().err().and_then(|errors| errors.first()).map(ToString::to_string);
        *self.next.lock() = Some(found?);
        Ok(())
    }

    /// Reads all files, and changes nothing.
    ///
    /// # Errors
    /// Every mistake.
    pub fn check(&self) -> Result<(), Vec<RuleError>> {
        (self.load)(&self.files).map(drop)
    }

    /// The same as [`Self::read`] if the files are not those that were seen last.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_again(&self) -> Result<(), Vec<RuleError>> {
        if *self.seen.lock() == self.look() { Ok(()) } else { self.read() }
    }

    fn look(&self) -> Seen {
        let about = |path: PathBuf| {
            let about = std::fs::metadata(&path).ok();
            let about = about.and_then(|about| Some((about.modified().ok()?, about.len())));
            (path, about)
        };
        self.files.paths().unwrap_or_default().into_iter().map(about).collect()
    }

    /// What is to be put in force, once.
    pub fn take_next(&self) -> Option<Vec<T>> {
        self.next.lock().take()
    }

    /// Why the files could not be read, while that is so.
    pub fn failing(&self) -> Option<String> {
        self.failing.read().clone()
    }
}
