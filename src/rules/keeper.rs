//! The rules in force, those that are to be, and the file of rules that is kept over HTTP.
//!
//! Not here: the thread that evaluates them (see `server`).
//!
//! Invariant: all or nothing: files with a mistake anywhere leave the rules in force as they are.

use super::board::RuleBoard;
use super::file::Group;
use super::files::{RuleError, RuleFiles, load};
use parking_lot::{Mutex, RwLock};
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

/// What tells one state of the files from another.
type Seen = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// Why a text was not kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// It has mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Wrong(Vec<RuleError>),
    /// It could not be written.
    #[error("{0}")]
    NotStored(std::io::Error),
}

/// All rules of the server.
#[derive(Debug)]
pub struct RuleKeeper {
    files: RuleFiles,
    /// How they stand.
    pub board: RuleBoard,
    /// What was read and is not in force yet.
    next: Mutex<Option<Vec<Group>>>,
    seen: Mutex<Seen>,
    failing: RwLock<Option<String>>,
}

impl RuleKeeper {
    /// Of files that were not read yet.
    pub fn new(files: RuleFiles) -> Self {
        let (board, next, seen, failing) = Default::default();
        Self { files, board, next, seen, failing }
    }

    /// Reads all files anew; they are put in force by whoever evaluates them.
    ///
    /// # Errors
    /// Every mistake; nothing is changed then.
    pub fn read(&self) -> Result<(), Vec<RuleError>> {
        *self.seen.lock() = self.look();
        let groups = load(&self.files);
        *self.failing.write() = groups.as_ref().err().and_then(|errors| errors.first()).map(ToString::to_string);
        *self.next.lock() = Some(groups?);
        Ok(())
    }

    /// Reads all files, and changes nothing.
    ///
    /// # Errors
    /// Every mistake.
    pub fn check_files(&self) -> Result<(), Vec<RuleError>> {
        load(&self.files).map(drop)
    }

    /// The same if the files are not those that were seen last.
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
    pub fn take_next(&self) -> Option<Vec<Group>> {
        self.next.lock().take()
    }

    /// Why the files could not be read, while that is so.
    pub fn failing(&self) -> Option<String> {
        self.failing.read().clone()
    }

    /// Keeps a text as a rule file of its own, in place of the one before; an empty one takes it away.
    ///
    /// # Errors
    /// When the text has mistakes, or cannot be written.
    pub fn keep(&self, text: &str) -> Result<(), NotKept> {
        let Some(path) = &self.files.kept else { return Ok(()) };
        self.files.read_text(text, "rules").map_err(NotKept::Wrong)?;
        let folder = path.parent().unwrap_or(path);
        let written = || {
            std::fs::create_dir_all(folder)?;
            let mut file = tempfile_in(folder)?;
            file.1.write_all(text.as_bytes())?;
            file.1.sync_all()?;
            std::fs::rename(&file.0, path)
        };
        written().map_err(NotKept::NotStored)?;
        self.read().map_err(NotKept::Wrong)
    }

    /// Reads a text as a rule file, and keeps nothing.
    ///
    /// # Errors
    /// Every mistake with its line.
    pub fn check(&self, text: &str) -> Result<Vec<Group>, Vec<RuleError>> {
        self.files.read_text(text, "rules")
    }

    /// The text that is kept, empty if there is none.
    pub fn kept(&self) -> String {
        self.files.kept.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
    }
}

fn tempfile_in(folder: &std::path::Path) -> std::io::Result<(PathBuf, std::fs::File)> {
    let path = folder.join("rules.new");
    Ok((path.clone(), std::fs::File::create(path)?))
}
