//! Our own engine of version 3: who answers informs. Its identity stays, its boots rise with every start.
//!
//! Not here: messages (see `secured_events`), engines of others (see `protocols::snmp::usm`).
//!
//! Invariants: the number of a start is on disk before anything is answered under it, so that no message of an earlier
//! start is taken for one of this; boots that would pass their end begin a new identity, as RFC 3414 has it.

use super::kept::replace_file;
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;

/// Nobody's enterprise (0, with the bit of RFC 3411's format in front), and the mark that octets of our choice follow.
const PREFIX: [u8; 5] = [0x80, 0, 0, 0, 5];
/// Octets of our choice: too many to be drawn twice.
const DRAWN_BYTES: usize = 12;
/// Boots and time end here (RFC 3414, section 2.2.2).
const LATCHED: u32 = i32::MAX as u32;
/// Seconds that a sender's idea of our time may be off (RFC 3414, section 2.2.3).
const WINDOW_S: u32 = 150;

/// The engine, since one start.
#[derive(Debug, Clone)]
pub(super) struct OwnEngine {
    id: Vec<u8>,
    boots: u32,
    began_ms: i64,
}

/// What stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// In hexadecimal.
    id: String,
    boots: u32,
}

impl OwnEngine {
    /// Begins a start at an instant of a clock that is never set back.
    ///
    /// # Errors
    /// When the file cannot be read or written, or holds no engine.
    pub(super) fn open(path: &Path, began_ms: i64) -> io::Result<Self> {
        let named = |what: String| io::Error::other(format!("{}: {what}", path.display()));
        let (id, boots) = match std::fs::read_to_string(path) {
            Ok(text) => {
                let written: Written = toml::from_str(&text).map_err(|error| named(error.message().to_owned()))?;
                let id = bytes_of(&written.id);
                let id = id.ok_or_else(|| named("id is 5 to 32 bytes in hexadecimal".to_owned()))?;
                if written.boots < LATCHED - 1 { (id, written.boots + 1) } else { (drawn(), 1) }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (drawn(), 1),
            Err(error) => return Err(named(error.to_string())),
        };
        let written = Written { id: id.iter().map(|byte| format!("{byte:02x}")).collect(), boots };
        let text = toml::to_string(&written).map_err(io::Error::other)?;
        replace_file(path, &text).map_err(|error| named(error.to_string()))?;
        Ok(Self { id, boots, began_ms })
    }

    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }

    /// Boots, and seconds since the start.
    pub(super) fn clock(&self, now_ms: i64) -> (u32, u32) {
        let seconds = (now_ms - self.began_ms).max(0) / 1000;
        (self.boots, u32::try_from(seconds).unwrap_or(LATCHED).min(LATCHED))
    }

    /// Whether a message with this time, whose digest was right, is of now.
    pub(super) fn is_in_time(&self, boots: u32, time: u32, now_ms: i64) -> bool {
        let (own_boots, own_time) = self.clock(now_ms);
        boots == own_boots && time.abs_diff(own_time) <= WINDOW_S
    }
}

fn drawn() -> Vec<u8> {
    let random = RandomState::new();
    let drawn = [0u8, 1].into_iter().flat_map(|number| random.hash_one(number).to_be_bytes());
    PREFIX.into_iter().chain(drawn.take(DRAWN_BYTES)).collect()
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0 && (10..=64).contains(&digits.len()))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_stays_and_every_start_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snmp/engine.toml");
        let first = OwnEngine::open(&path, 0).unwrap();
        assert_eq!((first.id().len(), first.clock(5999)), (17, (1, 5)));
        let second = OwnEngine::open(&path, 0).unwrap();
        assert_eq!((second.id(), second.clock(0)), (first.id(), (2, 0)));
        assert!(second.is_in_time(2, 150, 0) && !second.is_in_time(2, 151, 0) && !second.is_in_time(1, 0, 0));
        let other = OwnEngine::open(&folder.path().join("other"), 0).unwrap();
        assert_ne!(other.id(), first.id());
    }

    #[test]
    fn boots_that_would_pass_their_end_begin_a_new_identity_and_a_wrong_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.toml");
        let old = "80000000050102030405060708090a0b0c";
        std::fs::write(&path, format!("id = \"{old}\"\nboots = {}\n", LATCHED - 1)).unwrap();
        let engine = OwnEngine::open(&path, 0).unwrap();
        assert!(engine.clock(0).0 == 1 && engine.id() != bytes_of(old).unwrap());
        for text in ["id = \"8\"\nboots = 1", "id = \"zz\"\nboots = 1", "boots = 1", "no"] {
            std::fs::write(&path, text).unwrap();
            assert!(OwnEngine::open(&path, 0).unwrap_err().to_string().contains("engine.toml"), "{text}");
        }
    }
}
