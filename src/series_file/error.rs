//! Why a file could not be read as rows: which file, on which line, and what is wrong there.
//!
//! Not here: single timestamps and values that cannot be read, which are part of the rows.

use std::path::PathBuf;

/// A file that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {problem}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// Counted from 1.
    pub line: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The system did not give it.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// Bytes that are no text.
    #[error("is not UTF-8 text")]
    NotUtf8,
    /// No row in it.
    #[error("the file is empty")]
    Empty,
    /// CSV that starts with data.
    #[error("no header: the first line of a CSV file names its columns, timestamp and value among them")]
    NoHeader,
    /// A header, or objects, without one of the two that must be there.
    #[error("no {0} column or field")]
    Missing(&'static str),
    /// A header that names a column twice.
    #[error("the column {0:?} stands twice in the header")]
    ColumnTwice(String),
    /// A quoted CSV field that never ends.
    #[error("a quoted field opens here and never closes")]
    OpenQuote,
    /// Text between a closing quote and the next comma.
    #[error("text after the closing quote of a field")]
    AfterQuote,
    /// Text that is not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON that is no object.
    #[error("expected an object with timestamp and value")]
    NotAnObject,
}

/// A problem and its line, before the file's name is known.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) line: u64,
    pub(super) problem: Problem,
}
