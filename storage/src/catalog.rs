//! The catalog on disk: which id each key of a partition has, in front-coded blocks in an engine of its own.
//!
//! Not here: the catalog in memory (see `partition`), the bytes of a block (see `catalog_blocks`).
//!
//! Invariant: an entry is written before a checkpoint relies on it, and entries are never changed: two blocks that
//! name the same id name the same key.

use crate::StoreError;
use crate::catalog_blocks::{decode_block, encode_blocks};
use crate::disk::{Disk, VALUE_BYTES_MAX};
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The catalog's engine.
#[derive(Debug)]
pub(crate) struct Catalog {
    disk: Disk,
    path: PathBuf,
}

/// Where a block of a partition lies: partition, first id, last id.
fn block_key(partition: u8, first_id: u32, last_id: u32) -> [u8; 9] {
    let mut key = [partition; 9];
    key[1..5].copy_from_slice(&first_id.to_be_bytes());
    key[5..].copy_from_slice(&last_id.to_be_bytes());
    key
}

impl Catalog {
    /// Opens or creates the catalog in a folder of its own.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        Ok(Self { disk: Disk::open(path, cache_bytes)?, path: path.to_path_buf() })
    }

    /// Calls `each` with every entry, partition by partition; returns what is damaged and was passed over.
    pub(crate) fn load(&self, mut each: impl FnMut(u8, u32, &[u8])) -> Result<Vec<StoreError>, StoreError> {
        let mut damage = Vec::new();
        self.disk.scan(&[], None, &mut |key, block| {
            let read = decode_block(block, |id, series_key| each(key[0], id, series_key));
            if let Err(error) = read {
                let what = format!("catalog block {key:02x?}: {error}");
                damage.push(StoreError::Damaged { path: self.path.clone(), offset: 0, what });
            }
            ControlFlow::Continue(())
        })?;
        Ok(damage)
    }

    /// Adds entries of one partition; they are durable after [`Self::sync`].
    pub(crate) fn append(&self, partition: u8, entries: &mut [(u32, Arc<[u8]>)]) -> Result<(), StoreError> {
        self.put(partition, entries).map(|_| ())
    }

    /// Replaces everything a partition has by these entries, with the entries still in use durable at any moment.
    pub(crate) fn rewrite(&self, partition: u8, entries: &mut [(u32, Arc<[u8]>)]) -> Result<(), StoreError> {
        let mut old = Vec::new();
        self.disk.scan(&[partition], None, &mut |key, _| {
            if key[0] != partition {
                return ControlFlow::Break(());
            }
            old.push(key.to_vec());
            ControlFlow::Continue(())
        })?;
        let new = self.put(partition, entries)?;
        self.sync()?;
        for key in old.iter().filter(|key| !new.contains(key.as_slice())) {
            self.disk.remove(key)?;
        }
        Ok(())
    }

    fn put(&self, partition: u8, entries: &mut [(u32, Arc<[u8]>)]) -> Result<HashSet<[u8; 9]>, StoreError> {
        let mut written = HashSet::new();
        let mut result = Ok(());
        let encoded = encode_blocks(entries, VALUE_BYTES_MAX, &mut |first_id, last_id, block| {
            let key = block_key(partition, first_id, last_id);
            if result.is_ok() {
                result = self.disk.put(&key, block);
            }
            written.insert(key);
        });
        let what = |error: &dyn std::fmt::Display| format!("cannot encode keys of partition {partition}: {error}");
        encoded.map_err(|e| StoreError::Damaged { path: self.path.clone(), offset: 0, what: what(&e) })?;
        result.map(|()| written)
    }

    /// Makes everything appended durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        self.disk.sync()
    }
}
