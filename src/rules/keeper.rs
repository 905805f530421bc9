//! The rules in force, where they are read from, and the file of rules that is kept over HTTP.
//!
//! Not here: the thread that evaluates them (see `server`).
//!
//! Invariant: all or nothing: files with a mistake anywhere leave the rules in force as they are.

use super::board::RuleBoard;
use super::file::Group;
use super::files::{RuleError, RuleFiles, load};
use super::watched_files::WatchedFiles;
use std::io::Write;
use std::path::PathBuf;

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
    /// Where they are read from.
    pub files: WatchedFiles<Group>,
    /// How they stand.
    pub board: RuleBoard,
}

impl RuleKeeper {
    /// Of files that were not read yet.
    pub fn new(files: RuleFiles) -> Self {
        Self { files: WatchedFiles::new(files, load), board: RuleBoard::default() }
    }

    /// Keeps a text as a rule file of its own, in place of the one before; an empty one takes it away.
    ///
    /// # Errors
    /// When the text has mistakes, or cannot be written.
    pub fn keep(&self, text: &str) -> Result<(), NotKept> {
        let Some(path) = &self.files.files().kept else { return Ok(()) };
        self.files.files().read_text(text, "rules").map_err(NotKept::Wrong)?;
        let folder = path.parent().unwrap_or(path);
        let written = || {
            std::fs::create_dir_all(folder)?;
            let mut file = tempfile_in(folder)?;
            file.1.write_all(text.as_bytes())?;
            file.1.sync_all()?;
            std::fs::rename(&file.0, path)
        };
        written().map_err(NotKept::NotStored)?;
        self.files.read().map_err(NotKept::Wrong)
    }

    /// Reads a text as a rule file, and keeps nothing.
    ///
    /// # Errors
    /// Every mistake with its line.
    pub fn check(&self, text: &str) -> Result<Vec<Group>, Vec<RuleError>> {
        self.files.files().read_text(text, "rules")
    }

    /// The text that is kept, empty if there is none.
    pub fn kept(&self) -> String {
        self.files.files().kept.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
    }
}

fn tempfile_in(folder: &std::path::Path) -> std::io::Result<(PathBuf, std::fs::File)> {
    let path = folder.join("rules.new");
    Ok((path.clone(), std::fs::File::create(path)?))
}
