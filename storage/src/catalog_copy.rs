//! The copy of the catalog: the blocks of the engine once more, one behind the other in a plain file, `catalog.keys`.
//!
//! ```text
//! "IWKEYS" 0 version u8 | record*      record = key 9 B | length u32 LE | block | CRC-32 u32 LE of all before
//! ```
//!
//! Not here: when the two differ and what is done then (see `catalog`), the bytes of a block (see `catalog_blocks`).
//!
//! Invariant: what reads back is what was written; bytes that are no record are stepped over and counted.

use crate::StoreError;
use crate::disk::{VALUE_BYTES_MAX, replace_file};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"IWKEYS\0\x01";
const CRC_BYTES: usize = 4;

/// The engine's key of a block: partition, first id and last id, big endian.
pub(crate) type BlockKey = [u8; 9];

/// A block with its key.
pub(crate) type Copied = (BlockKey, Box<[u8]>);

/// What the file holds.
#[derive(Debug, Default)]
pub(crate) struct Copy {
    /// Blocks in the order they were written.
    pub(crate) blocks: Vec<Copied>,
    /// Bytes that are no record.
    pub(crate) damaged_bytes: usize,
}

/// Where the copy of the catalog in `catalog` lies.
pub(crate) fn path(catalog: &Path) -> PathBuf {
    catalog.with_extension("keys")
}

/// Reads the copy; empty when there is none.
pub(crate) fn load(catalog: &Path) -> Result<Copy, StoreError> {
    let path = path(catalog);
    match fs::read(&path) {
        Ok(bytes) => Ok(decode(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Copy::default()),
        Err(error) => Err(StoreError::io("read", &path, error)),
    }
}

/// Adds blocks and makes them durable; starts the file when there is none.
pub(crate) fn append(catalog: &Path, blocks: &[Copied]) -> Result<(), StoreError> {
    let path = path(catalog);
    if blocks.is_empty() {
        return Ok(());
    }
    if !path.exists() {
        return rewrite(catalog, blocks);
    }
    let mut bytes = Vec::new();
    blocks.iter().for_each(|block| encode(block, &mut bytes));
    let write = || {
        let mut file = OpenOptions::new().append(true).open(&path)?;
        file.write_all(&bytes)?;
        file.sync_data()
    };
    write().map_err(|e| StoreError::io("append to", &path, e))
}

/// Replaces the copy by exactly these blocks.
pub(crate) fn rewrite(catalog: &Path, blocks: &[Copied]) -> Result<(), StoreError> {
    let mut bytes = MAGIC.to_vec();
    blocks.iter().for_each(|block| encode(block, &mut bytes));
    replace_file(&path(catalog), &bytes)
}

fn encode((key, block): &Copied, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(key);
    out.extend_from_slice(&(block.len() as u32).to_le_bytes());
    out.extend_from_slice(block);
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

fn decode(bytes: &[u8]) -> Copy {
    let mut copy = Copy::default();
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        // Without its first bytes the file may be of another version; the engine is asked instead.
        copy.damaged_bytes = bytes.len().max(1);
        return copy;
    };
    while !rest.is_empty() {
        match take_record(rest) {
            Some((block, behind)) => {
                copy.blocks.push(block);
                rest = behind;
            }
            None => {
                copy.damaged_bytes += 1;
                rest = &rest[1..];
            }
        }
    }
    copy
}

fn take_record(bytes: &[u8]) -> Option<(Copied, &[u8])> {
    let (key, rest) = bytes.split_first_chunk::<9>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > VALUE_BYTES_MAX {
        return None;
    }
    let (block, rest) = rest.split_at_checked(length)?;
    let (crc, rest) = rest.split_first_chunk::<CRC_BYTES>()?;
    let checked = &bytes[..key.len() + 4 + length];
    (crc32fast::hash(checked).to_le_bytes() == *crc).then(|| ((*key, block.into()), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(numbers: std::ops::Range<u8>) -> Vec<Copied> {
        numbers.map(|n| ([n; 9], vec![n; 20 + usize::from(n)].into())).collect()
    }

    #[test]
    fn what_was_added_reads_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = folder.path().join("catalog");
        assert!(load(&catalog).unwrap().blocks.is_empty());
        append(&catalog, &blocks(0..2)).unwrap();
        append(&catalog, &blocks(2..5)).unwrap();
        append(&catalog, &[]).unwrap();
        assert_eq!(load(&catalog).unwrap().blocks, blocks(0..5));
        rewrite(&catalog, &blocks(4..5)).unwrap();
        assert_eq!(load(&catalog).unwrap().blocks, blocks(4..5));
    }

    #[test]
    fn damage_costs_the_record_it_is_in_and_no_other() {
        let mut whole = MAGIC.to_vec();
        blocks(0..4).iter().for_each(|block| encode(block, &mut whole));
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0x10;
            let copy = decode(&bent);
            assert!(copy.damaged_bytes > 0, "byte {at}");
            assert_eq!(copy.blocks.len(), if at < MAGIC.len() { 0 } else { 3 }, "byte {at}");
            assert!(copy.blocks.iter().all(|block| blocks(0..4).contains(block)), "byte {at}");
            let cut = decode(&whole[..at]);
            assert!(cut.blocks.iter().all(|block| blocks(0..4).contains(block)), "cut at {at}");
        }
    }
}
