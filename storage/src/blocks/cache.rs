//! Which engines stay open: at most so many, holding at most so many bytes of pages.
//!
//! The engine's own cache limit cannot do this. It evicts a page only after 64 accesses to the same 256th of its
//! pages, so reading a directory once keeps the whole directory in memory. Closing an engine frees everything, and
//! opening it again costs 5 to 20 ms for 138 MB, so that is how memory is bounded: when the pages touched exceed the
//! budget, the engine that was used longest ago is closed.
//!
//! Not here: closing itself, which waits for readers (see `directory`).
//!
//! Directories with unsynced blocks stay open beyond both limits until they are synced.

use super::directory::Directory;
use crate::StoreError;
use std::sync::Arc;

/// Closes the least recently used engines until at most `open_max` hold at most `bytes_max`.
pub(super) fn trim(directories: &[Arc<Directory>], open_max: usize, bytes_max: u64) -> Result<(), StoreError> {
    let open = || directories.iter().filter(|directory| directory.engine().is_open());
    let exceeds = || open().count() > open_max || open().map(|d| d.engine().resident_bytes()).sum::<u64>() > bytes_max;
    if !exceeds() {
        return Ok(());
    }
    let mut candidates: Vec<_> = open().filter(|directory| !directory.is_dirty()).collect();
    candidates.sort_by_key(|directory| directory.engine().last_used());
    for directory in candidates {
        if !exceeds() {
            break;
        }
        directory.engine().release()?;
    }
    Ok(())
}
