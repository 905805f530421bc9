//! What has to outlive the process beside the reports themselves: since when the schedule holds, and who has not been told of
//! the newest report yet. `reports/capacity_state.json` in the data directory, JSON of one object.
//!
//! Not here: the reports (see `shelf`).
//!
//! Invariant: a file is whole or as it was before: it is written beside the current one, synced, and renamed.

use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The schedule that holds, as it is written; empty for none.
    pub(super) schedule: String,
    /// The zone it is in.
    pub(super) timezone: String,
    /// Since when, in milliseconds since 1970: what was due before is not made.
    pub(super) since_ms: i64,
    /// The report that receivers are told of.
    pub(super) report: String,
    /// Those of them that were not told of it yet.
    pub(super) untold: Vec<String>,
}

/// Reads what was written; nothing where there is no file.
///
/// # Errors
/// When it cannot be read, or is not what was written.
pub(super) fn read(path: &Path) -> io::Result<Option<State>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from)
}

/// Puts this in the place of what was written before.
///
/// # Errors
/// When it cannot be written; what was before stays.
pub(super) fn write(path: &Path, state: &State) -> io::Result<()> {
    replace(path, &serde_json::to_vec(state)?)
}

/// Puts a synced file with these bytes in the place of another, in a folder that is made if it is missing.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
    fs::create_dir_all(folder)?;
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}
