//! Files of samples that people have: CSV with a header, a JSON array or NDJSON, read as rows in file order.
//!
//! ```text
//! timestamp,value,host            [{"timestamp": 1700000000, "value": 3, "labels": {"host": "a"}}, ..]
//! 2026-01-01T00:00:00Z,3,a        {"timestamp": 1700000000, "value": 3, "host": "a"}      one object after the other
//! ```
//!
//! The content says which it is, never the file's name: `[` opens an array, `{` objects, everything else is CSV. What is
//! neither `timestamp` nor `value` is a label; an empty label is none.
//!
//! Not here: what the rows are used for (see `cli`), which label is a metric's name.
//!
//! Invariants: every data row of the file gives exactly one row, in file order; a timestamp or value that cannot be read
//! is `None` and keeps its text, so nothing is lost silently; a file whose shape cannot be read is an error with its line.
//!
//! Cost: the file's bytes once, and about 300 bytes a row with two labels: 200 000 rows take less than 80 MiB.

mod csv;
mod error;
mod fields;
mod json;
mod row;
mod time;

pub use error::{FileError, Problem};
pub use fields::JsonFields;
pub use row::{FileRow, SeriesFile};
pub use time::{TimeNotation, parse_time_ms};

use error::Fault;
use std::collections::HashSet;
use std::path::Path;

/// Reads a file whole.
///
/// # Errors
/// When the file cannot be read, is not UTF-8, is empty, or has no shape that is known.
pub fn read(path: &Path) -> Result<SeriesFile, FileError> {
    let mut rows = Vec::new();
    let label_names = for_each_row(path, |_, row| rows.push(row))?;
    rows.shrink_to_fit();
    Ok(SeriesFile { rows, label_names })
}

/// Hands over every row with the number of the line on which it starts, counted from 1, and gives the names of the
/// labels in the order in which they first stand in the file.
///
/// # Errors
/// As [`read`]; the rows before the fault have been handed over then.
pub fn for_each_row(path: &Path, mut row: impl FnMut(u64, FileRow)) -> Result<Vec<String>, FileError> {
    let failed = |fault: Fault| FileError { path: path.to_owned(), line: fault.line, problem: fault.problem };
    let bytes = std::fs::read(path).map_err(|error| failed(Fault { line: 1, problem: Problem::Unreadable(error) }))?;
    rows_of(&bytes, &mut row).map_err(failed)
}

fn rows_of(bytes: &[u8], row: &mut dyn FnMut(u64, FileRow)) -> Result<Vec<String>, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        Fault { line, problem: Problem::NotUtf8 }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.trim_start().chars().next() {
        None => Err(Fault { line: 1, problem: Problem::Empty }),
        Some('[') => json::array(text, row),
        Some('{') => json::objects(text, row),
        Some(_) => csv::rows(text, row),
    }
}

/// The names of labels, each once, in the order of their first appearance.
#[derive(Debug, Default)]
struct LabelNames {
    known: HashSet<Box<str>>,
    in_order: Vec<String>,
}

impl LabelNames {
    fn add(&mut self, name: &str) {
        if !self.known.contains(name) {
            self.known.insert(name.into());
            self.in_order.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
