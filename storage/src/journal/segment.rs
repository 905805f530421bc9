//! A segment: one file of the journal, by its name and its first bytes.
//!
//! ```text
//! byte  0       8         12         28       36               44           52      56
//!       magic   version   store id   number   previous bytes   seq before   crc32   records ...
//! ```
//!
//! `previous bytes` is how much of the segment before this one was synced. It makes the end of every segment but the
//! newest exact: what a failing disk left behind it was written again here and is not replayed twice, and what is
//! missing before it is damage. `seq before` is the highest sequence handed to the journal before this segment, so
//! that sequences go on rising when every record has been cut.
//!
//! Not here: reading records (see `replay`), writing them (see `committer`).

use crate::StoreError;
use std::path::{Path, PathBuf};

/// Bytes of the header, which has this layout in every version of the format.
pub(super) const HEADER_BYTES: usize = 56;

/// Numbers stay below this, so that there always is a next one.
const NUMBER_END: u64 = 1 << 63;

const MAGIC: [u8; 8] = *b"IWJOURN\n";
const VERSION: u32 = 1;

const VERSION_AT: usize = 8;
const STORE_ID_AT: usize = 12;
const NUMBER_AT: usize = 28;
const PREVIOUS_BYTES_AT: usize = 36;
const SEQ_BEFORE_AT: usize = 44;
const CRC_AT: usize = 52;

/// What the journal remembers of each of its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Counts up from 1 for as long as the store lives.
    pub(super) number: u64,
    /// Bytes up to the end of its last synced record.
    pub(super) bytes: u64,
    /// The highest sequence of its records, 0 when it has none.
    pub(super) highest_seq: u64,
}

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// The store this journal belongs to.
    pub(super) store_id: [u8; 16],
    /// The segment's own number.
    pub(super) number: u64,
    /// Synced bytes of the segment numbered one less; 0 when there was none.
    pub(super) previous_bytes: u64,
    /// No record in an earlier segment has a higher sequence.
    pub(super) seq_before: u64,
}

impl Header {
    /// The bytes a segment begins with.
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..VERSION_AT].copy_from_slice(&MAGIC);
        bytes[VERSION_AT..STORE_ID_AT].copy_from_slice(&VERSION.to_le_bytes());
        bytes[STORE_ID_AT..NUMBER_AT].copy_from_slice(&self.store_id);
        bytes[NUMBER_AT..PREVIOUS_BYTES_AT].copy_from_slice(&self.number.to_le_bytes());
        bytes[PREVIOUS_BYTES_AT..SEQ_BEFORE_AT].copy_from_slice(&self.previous_bytes.to_le_bytes());
        bytes[SEQ_BEFORE_AT..CRC_AT].copy_from_slice(&self.seq_before.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of the segment at `path`; `None` when `bytes` hold no whole header.
    ///
    /// # Errors
    /// When the header is whole but of a newer format or of another store: such a journal must not be skipped.
    pub(super) fn decode(bytes: &[u8], path: &Path, store_id: &[u8; 16]) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        if !bytes.starts_with(&MAGIC) || crc32fast::hash(&bytes[..CRC_AT]) != u32::from_le_bytes(field(bytes, CRC_AT)) {
            return Ok(None);
        }
        let refuse = |offset: usize, what: String| {
            Err(StoreError::Damaged { path: path.to_path_buf(), offset: offset as u64, what })
        };
        let version = u32::from_le_bytes(field(bytes, VERSION_AT));
        if version != VERSION {
            return refuse(VERSION_AT, format!("journal format {version} is not known to this program, {VERSION} is"));
        }
        let found: [u8; 16] = field(bytes, STORE_ID_AT);
        if found != *store_id {
            return refuse(STORE_ID_AT, "the segment belongs to another store".to_owned());
        }
        Ok(Some(Self {
            store_id: found,
            number: u64::from_le_bytes(field(bytes, NUMBER_AT)),
            previous_bytes: u64::from_le_bytes(field(bytes, PREVIOUS_BYTES_AT)),
            seq_before: u64::from_le_bytes(field(bytes, SEQ_BEFORE_AT)),
        }))
    }
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("fields lie within the header")
}

/// Where the segment with this number lies.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(file_name(number))
}

fn file_name(number: u64) -> String {
    format!("journal-{number:010}.iwj")
}

/// The number of the segment with this file name; `None` for any file that is no segment.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("journal-")?.strip_suffix(".iwj")?;
    digits.parse().ok().filter(|number| *number < NUMBER_END && file_name(*number) == name)
}

/// The numbers of the segments in `dir`, ascending.
pub(super) fn list(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let entries = std::fs::read_dir(dir).map_err(|error| StoreError::io("list", dir, error))?;
    let mut numbers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| StoreError::io("list", dir, error))?;
        numbers.extend(entry.file_name().to_str().and_then(number));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { store_id: [7; 16], number: 3, previous_bytes: 99, seq_before: 1000 };

    fn decode(bytes: &[u8]) -> Result<Option<Header>, StoreError> {
        Header::decode(bytes, Path::new("segment"), &[7; 16])
    }

    #[test]
    fn a_header_reads_as_written() {
        assert_eq!(decode(&HEADER.encode()).unwrap(), Some(HEADER));
        assert_eq!(decode(&HEADER.encode()[..HEADER_BYTES - 1]).unwrap(), None);
    }

    #[test]
    fn no_bit_of_a_header_can_change_unnoticed() {
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = HEADER.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes).unwrap(), None, "bit {bit}");
        }
    }

    #[test]
    fn a_header_of_another_store_or_version_is_refused_by_name() {
        let other = Header::decode(&HEADER.encode(), Path::new("segment"), &[8; 16]).unwrap_err();
        assert_eq!(other.to_string(), "segment is damaged at byte 12: the segment belongs to another store");
        let mut newer = HEADER.encode();
        newer[VERSION_AT] = 2;
        let crc = crc32fast::hash(&newer[..CRC_AT]);
        newer[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert!(decode(&newer).unwrap_err().to_string().contains("journal format 2"));
    }

    #[test]
    fn only_segments_are_taken_for_segments() {
        assert_eq!(number("journal-0000000042.iwj"), Some(42));
        assert_eq!(number("journal-12345678901.iwj"), Some(12_345_678_901));
        for name in
            ["journal-42.iwj", "journal-00000000042.iwj", "journal-0000000042.iwj.old", "journal-+000000042.iwj"]
        {
            assert_eq!(number(name), None, "{name}");
        }
        for name in ["journal-.iwj", "journal-18446744073709551615.iwj", "x", ""] {
            assert_eq!(number(name), None, "{name}");
        }
    }
}
