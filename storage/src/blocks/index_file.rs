//! The file `INDEX` of a directory: the keys of its durable blocks, so that opening the store opens no engine.
//!
//! ```text
//! "IWINDEX" version u8 | record*        record = count u32 LE | CRC-32 u32 LE of count and keys | count keys
//! ```
//!
//! A record is appended at each sync, after the engine's file was synced: what the file names is durable.
//!
//! Not here: what to do when the file does not hold (see `directory`: it asks the engine).
//!
//! Invariant: a file is used whole or not at all. A torn tail is as little proof of anything as damage in the middle,
//! and asking the engine costs 0.3 s for 256 MiB, once.

use super::key::{BlockKey, KEY_BYTES};
use crate::StoreError;
use crate::disk::replace_file;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"IWINDEX\x01";

/// Where a directory has its index.
fn index_path(directory: &Path) -> PathBuf {
    directory.join("INDEX")
}

/// The keys in the file; `None` when there is no file or it does not hold.
pub(super) fn load(directory: &Path) -> Result<Option<Vec<BlockKey>>, StoreError> {
    let path = index_path(directory);
    match fs::read(&path) {
        Ok(bytes) => Ok(decode(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", &path, error)),
    }
}

/// Adds a record and makes it durable.
pub(super) fn append(directory: &Path, keys: &[BlockKey]) -> Result<(), StoreError> {
    let path = index_path(directory);
    let mut record = Vec::with_capacity(8 + keys.len() * KEY_BYTES);
    encode_record(keys, &mut record);
    let write = || {
        let mut file = OpenOptions::new().append(true).open(&path)?;
        file.write_all(&record)?;
        file.sync_data()
    };
    write().map_err(|e| StoreError::io("append to", &path, e))
}

/// Writes the file anew with exactly these keys.
pub(super) fn rewrite(directory: &Path, keys: &[BlockKey]) -> Result<(), StoreError> {
    let mut bytes = MAGIC.to_vec();
    encode_record(keys, &mut bytes);
    replace_file(&index_path(directory), &bytes)
}

fn encode_record(keys: &[BlockKey], out: &mut Vec<u8>) {
    let count = (keys.len() as u32).to_le_bytes();
    out.extend_from_slice(&count);
    let checksum_at = out.len();
    out.extend_from_slice(&[0; 4]);
    keys.iter().for_each(|key| key.encode(out));
    let checksum = record_checksum(count, &out[checksum_at + 4..]).to_le_bytes();
    out[checksum_at..checksum_at + 4].copy_from_slice(&checksum);
}

fn record_checksum(count: [u8; 4], keys: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&count);
    hasher.update(keys);
    hasher.finalize()
}

fn decode(bytes: &[u8]) -> Option<Vec<BlockKey>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut keys = Vec::with_capacity(rest.len() / KEY_BYTES);
    while !rest.is_empty() {
        let (count, after) = rest.split_first_chunk::<4>()?;
        let (checksum, after) = after.split_first_chunk::<4>()?;
        let (record, after) = after.split_at_checked(u32::from_le_bytes(*count) as usize * KEY_BYTES)?;
        if record_checksum(*count, record).to_le_bytes() != *checksum {
            return None;
        }
        for key in record.as_chunks::<KEY_BYTES>().0 {
            keys.push(BlockKey::decode(key)?);
        }
        rest = after;
    }
    Some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sequence: u32) -> BlockKey {
        BlockKey { sequence, partition: 3, generation: 1, start_ms: 5, end_ms: 6, first_id: 1, last_id: 2 }
    }

    #[test]
    fn records_read_back_in_the_order_they_were_added() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap(), None);
        rewrite(folder.path(), &[]).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Some(vec![]));
        append(folder.path(), &[key(0), key(1)]).unwrap();
        append(folder.path(), &[key(2)]).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Some(vec![key(0), key(1), key(2)]));
        rewrite(folder.path(), &[key(2)]).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Some(vec![key(2)]));
    }

    #[test]
    fn a_file_that_was_cut_or_changed_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        rewrite(folder.path(), &[key(0)]).unwrap();
        append(folder.path(), &[key(1), key(2)]).unwrap();
        let path = index_path(folder.path());
        let whole = fs::read(&path).unwrap();
        let record_ends = [MAGIC.len(), MAGIC.len() + 8 + KEY_BYTES, whole.len()];
        for length in 0..whole.len() {
            let usable = decode(&whole[..length]).is_some();
            assert_eq!(usable, record_ends.contains(&length), "{length} bytes");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decode(&damaged), None, "byte {at}");
        }
    }

    #[test]
    fn adding_to_a_file_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(append(folder.path(), &[key(0)]).is_err(), "a file without its first line would never be used");
    }
}
