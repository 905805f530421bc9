//! The file in which forecasts that are kept outlive the process: `forecasts.state` in the data directory.
//!
//! ```text
//! "IWFC" 1:u8 encoding:u16 count:u32
//! forecast*:  series:u32 key_hash:u64 len:u32 state[len]     state: step, level, horizon, averaging and what was learned
//! end:        crc32:u32 of everything before it
//! ```
//!
//! Numbers are little-endian; `encoding` is `analysis::forecast::ENCODING_VERSION`, states are in postcard's encoding. There
//! is no way to read another version: forecasts are learned anew from the store then.
//!
//! Not here: when it is written (see `server`).
//!
//! Invariants: a file is whole or it is not there: it is written beside the current one, synced, and renamed; a series is
//! known by its place and the hash of its key, so that no state is given to another series; a state that knows more than
//! the store holds is left out.

use super::desk::ForecastDesk;
use super::shelf::{Kept, Wish};
use crate::analysis::forecast::{ENCODING_VERSION, LiveForecast};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use storage::series::{self, SeriesRef};

const MAGIC: &[u8; 4] = b"IWFC";
const FORMAT_VERSION: u8 = 1;
const HEADER_BYTES: usize = 11;
const CRC_BYTES: usize = 4;

/// Why forecasts were not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// The system refused.
    #[error("cannot {what} {}: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's word.
        error: io::Error,
    },
    /// Not what was written.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// Whole, and of another version.
    #[error("{} was written by another version", path.display())]
    OtherVersion {
        /// Which file.
        path: PathBuf,
    },
}

/// What stands in a file of one forecast: step, bits of the level, horizon, averaging, and what was learned.
type State = (Option<i64>, u64, u64, Option<i64>, LiveForecast);

impl ForecastDesk {
    /// Rises with each change of what is kept.
    pub fn changes(&self) -> u64 {
        self.shelf.lock().changes()
    }

    /// Writes down all that is kept.
    ///
    /// # Errors
    /// When the file cannot be written; the one before stays.
    pub fn write(&self, path: &Path) -> Result<(), StateFileError> {
        let all = self.shelf.lock().all();
        let mut out = Vec::new();
        out.extend_from_slice(MAGIC);
        out.push(FORMAT_VERSION);
        out.extend_from_slice(&ENCODING_VERSION.to_le_bytes());
        out.extend_from_slice(&(all.len() as u32).to_le_bytes());
        for (wish, kept) in &all {
            let hash = self.store.key(wish.series).map_or(0, |key| series::hash(&key));
            out.extend_from_slice(&wish.series.0.to_le_bytes());
            out.extend_from_slice(&hash.to_le_bytes());
            let at = out.len();
            out.extend_from_slice(&[0; 4]);
            let state = (wish.step_ms, wish.level, wish.horizon as u64, kept.averaged_ms, &kept.live);
            out = postcard::to_extend(&state, out).expect("a forecast has no part of unknown length");
            let length = (out.len() - at - 4) as u32;
            out[at..at + 4].copy_from_slice(&length.to_le_bytes());
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        replace(path, &out)
    }

    /// Takes over what was kept before the last start; nothing where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, or is not what was written; nothing is taken over then.
    pub fn read(&self, path: &Path) -> Result<(), StateFileError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StateFileError::Io { what: "read", path: path.into(), error }),
        };
        let damaged = || StateFileError::Damaged { path: path.into() };
        let (states, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or_else(damaged)?;
        let is_whole = crc32fast::hash(states) == u32::from_le_bytes(*crc) && states.len() >= HEADER_BYTES;
        if !is_whole || &states[..4] != MAGIC {
            return Err(damaged());
        }
        if states[4] != FORMAT_VERSION || states[5..7] != ENCODING_VERSION.to_le_bytes() {
            return Err(StateFileError::OtherVersion { path: path.into() });
        }
        let mut rest = &states[HEADER_BYTES..];
        while !rest.is_empty() {
            let (head, after) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
            let number = |from: usize| u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]]);
            let hash = u64::from(number(8)) << 32 | u64::from(number(4));
            let (state, after) = after.split_at_checked(number(12) as usize).ok_or_else(damaged)?;
            let state: State = postcard::from_bytes(state).map_err(|_| damaged())?;
            self.restore(SeriesRef(number(0)), hash, state);
            rest = after;
        }
        Ok(())
    }

    /// Keeps a forecast again, if its series is still the same and the store holds what it knows.
    fn restore(&self, series: SeriesRef, hash: u64, (step_ms, level, horizon, averaged_ms, live): State) {
        let is_same = self.store.key(series).is_some_and(|key| series::hash(&key) == hash);
        // One that cannot be read is learned anew when it is asked for, which says why it cannot be.
        let newest = self.store.newest(series).ok().flatten();
        if is_same && newest.is_some_and(|(newest_ms, _)| newest_ms >= live.last_ms()) {
            let wish = Wish { series, step_ms, level, horizon: horizon as usize };
            self.shelf.lock().keep(wish, Kept { live, averaged_ms });
            self.restored.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Puts a synced file with these bytes in the place of another.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), StateFileError> {
    let new = path.with_extension("new");
    let failed = |what| {
        let path = new.clone();
        move |error| StateFileError::Io { what, path, error }
    };
    let mut file = File::create(&new).map_err(failed("create"))?;
    file.write_all(bytes).map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))?;
    fs::rename(&new, path).map_err(failed("rename"))
}
