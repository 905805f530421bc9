//! The reports that are kept, each a file `reports/capacity/ID.json` in the data directory.
//!
//! Not here: what stands in a report (see `making`).
//!
//! Invariants: a file is whole or not there; a report once kept is known by its file's name even when the file is damaged,
//! so that it is not made again; at most so many are kept, the oldest leave.

use super::making::{Summary, due_of};
use super::state_file::replace;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The kept reports, the newest last.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    /// Without its summary where the file is damaged.
    kept: Vec<(i64, Option<Summary>)>,
}

impl Shelf {
    /// Those of a folder; one that cannot be read is named in the log.
    ///
    /// # Errors
    /// When the folder is there and cannot be listed.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries.collect::<io::Result<Vec<_>>>()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let id = |path: PathBuf| path.file_name()?.to_str()?.strip_suffix(".json").map(str::to_owned);
        let ids = entries.into_iter().filter_map(|entry| id(entry.path()));
        let mut kept: Vec<_> = ids.filter_map(|id| Some((due_of(&id)?, summary(&folder, &id)))).collect();
        kept.sort_unstable_by_key(|(due_ms, _)| *due_ms);
        Ok(Self { folder, kept })
    }

    /// When the newest was due, in milliseconds since 1970.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        self.kept.last().map(|(due_ms, _)| *due_ms)
    }

    /// What can be read, the newest first.
    pub(super) fn summaries(&self) -> Vec<Summary> {
        self.kept.iter().rev().filter_map(|(_, summary)| summary.clone()).collect()
    }

    /// Keeps one more, of which there are at most `most` then.
    ///
    /// # Errors
    /// When it cannot be written; nothing is changed then.
    pub(super) fn keep(&mut self, due_ms: i64, summary: &Summary, body: &str, most: usize) -> io::Result<()> {
        replace(&path(&self.folder, &summary.id), body.as_bytes())?;
        self.kept.push((due_ms, Some(summary.clone())));
        let beyond = self.kept.len().saturating_sub(most.max(1));
        for (due_ms, _) in self.kept.drain(..beyond) {
            let file = path(&self.folder, &super::making::id_of(due_ms));
            if let Err(error) = fs::remove_file(&file) {
                tracing::warn!(file = %file.display(), %error, "an old report stays");
            }
        }
        Ok(())
    }
}

fn path(folder: &Path, id: &str) -> PathBuf {
    folder.join(format!("{id}.json"))
}

/// The document of a report, JSON.
///
/// # Errors
/// When there is none of this id, or it cannot be read.
pub(super) fn document(folder: &Path, id: &str) -> io::Result<String> {
    // Nothing but an id becomes part of a path.
    due_of(id).ok_or(io::ErrorKind::NotFound)?;
    fs::read_to_string(path(folder, id))
}

fn summary(folder: &Path, id: &str) -> Option<Summary> {
    let read = document(folder, id).and_then(|body| Ok(serde_json::from_str(&body)?));
    read.inspect_err(|error| tracing::warn!(report = id, %error, "a report on capacity cannot be read")).ok()
}
