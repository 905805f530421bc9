//! What can go wrong in the store, and on what.

use std::path::{Path, PathBuf};

/// A failure of the store; each variant names the path, series or setting concerned.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused an operation on a file.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried, as a verb: "open", "write", "sync".
        action: &'static str,
        /// The file or directory concerned.
        path: PathBuf,
        /// The system's own answer.
        error: std::io::Error,
    },
    /// Bytes on disk are not what was written.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Damaged {
        /// The file or directory concerned.
        path: PathBuf,
        /// Where in the file, 0 when the whole is meant.
        offset: u64,
        /// What does not hold.
        what: String,
    },
    /// Another process has the data directory open.
    #[error("data directory {} is in use by another process", path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The embedded engine (sled) failed or panicked.
    #[error("storage engine failed in {}: {what}", path.display())]
    Engine {
        /// The engine's directory.
        path: PathBuf,
        /// Its own words.
        what: String,
    },
    /// A matcher's regular expression does not compile.
    #[error("bad regular expression in matcher for label {label}: {what}")]
    BadMatcher {
        /// The label matched on.
        label: String,
        /// What the expression compiler says.
        what: String,
    },
    /// The journal cannot be written at present.
    #[error("{what}")]
    NotWriting {
        /// That it cannot and why, in the journal's words.
        what: String,
    },
    /// Whoever asked said that the search shall stop.
    #[error("the search was stopped")]
    Stopped,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Wraps an I/O error with what was tried and on which path.
    pub fn io(action: &'static str, path: &Path, error: std::io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), error }
    }
}
