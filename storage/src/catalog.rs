//! The catalog on disk: which id each key of a partition has, in front-coded blocks in an engine of its own, with a
//! copy beside it that needs no engine.
//!
//! Without the catalog no sample could be named any more, so it alone is kept twice: when the engine does not open, or
//! blocks in it are damaged or missing, the copy fills in, and an engine that is of no use is set aside whole and built
//! anew. The copy costs about 20 bytes a series and one more sync a checkpoint.
//!
//! Not here: the catalog in memory (see `partition`), the bytes of a block (see `catalog_blocks`), the copy's file (see
//! `catalog_copy`).
//!
//! Invariants: an entry is durable in engine and copy before a checkpoint relies on it, and entries are never changed:
//! two blocks that name the same id name the same key. After a failure the engine is closed, and opened anew for the
//! next attempt.

use crate::StoreError;
use crate::blocks::set_aside;
use crate::catalog_blocks::{CatalogError, encode_blocks};
use crate::catalog_copy::{self, BlockKey, Copied};
use crate::disk::{Disk, VALUE_BYTES_MAX};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The engine of the catalog while it is open; shared with whoever watches whether it hangs.
pub(crate) type SharedDisk = Arc<Mutex<Option<Disk>>>;

/// What is given each block of a partition, and says whether it holds.
pub(crate) type EachBlock<'a> = &'a mut dyn FnMut(u8, &[u8]) -> Result<(), CatalogError>;

/// The catalog's engine and copy.
#[derive(Debug)]
pub(crate) struct Catalog {
    disk: SharedDisk,
    path: PathBuf,
    cache_bytes: u64,
    /// Blocks that the copy does not have yet.
    uncopied: Vec<Copied>,
    /// Whether the copy is to be written anew from the engine.
    is_copy_stale: bool,
}

/// Where a block of a partition lies: partition, first id, last id.
fn block_key(partition: u8, first_id: u32, last_id: u32) -> BlockKey {
    let mut key = [partition; 9];
    key[1..5].copy_from_slice(&first_id.to_be_bytes());
    key[5..].copy_from_slice(&last_id.to_be_bytes());
    key
}

/// Whether an engine that says this is of no use any more.
fn is_broken(error: &StoreError) -> bool {
    matches!(error, StoreError::Damaged { .. } | StoreError::Engine { .. })
}

impl Catalog {
    /// A catalog in a folder of its own, with its copy beside the folder; nothing is opened yet.
    pub(crate) fn at(path: &Path, cache_bytes: u64) -> Self {
        let path = path.to_path_buf();
        Self { disk: SharedDisk::default(), path, cache_bytes, uncopied: Vec::new(), is_copy_stale: false }
    }

    /// The engine's place, for a watcher.
    pub(crate) fn shared_disk(&self) -> SharedDisk {
        self.disk.clone()
    }

    /// Gives `each` every block, those of the engine first, and makes engine and copy agree; returns what was damaged.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn load(&mut self, each: EachBlock<'_>) -> Result<Vec<StoreError>, StoreError> {
        let mut damage = Vec::new();
        let mut seen = HashSet::new();
        if let Err(error) = self.load_engine(each, &mut seen, &mut damage) {
            if !is_broken(&error) {
                return Err(error);
            }
            damage.push(error);
            self.replace_engine()?;
            seen.clear();
        }
        let copied = catalog_copy::load(&self.path)?;
        let mut missing = Vec::new();
        let in_copy: HashSet<BlockKey> = copied.blocks.iter().map(|(key, _)| *key).collect();
        self.is_copy_stale = copied.damaged_bytes > 0 || seen.iter().any(|key| !in_copy.contains(key));
        if copied.damaged_bytes > 0 {
            let what = format!("{} bytes of the copy of the catalog do not hold", copied.damaged_bytes);
            damage.push(StoreError::Damaged { path: catalog_copy::path(&self.path), offset: 0, what });
        }
        for (key, block) in copied.blocks {
            if !seen.contains(&key) && each(key[0], &block).is_ok() {
                missing.push((key, block));
            }
        }
        if !missing.is_empty() {
            let what = format!("{} blocks were missing and are taken from the copy", missing.len());
            damage.push(StoreError::Damaged { path: self.path.clone(), offset: 0, what });
            missing.iter().try_for_each(|(key, block)| self.with_disk(|disk| disk.put(key, block)))?;
            self.with_disk(Disk::sync)?;
        }
        Ok(damage)
    }

    fn load_engine(
        &self,
        each: EachBlock<'_>,
        seen: &mut HashSet<BlockKey>,
        damage: &mut Vec<StoreError>,
    ) -> Result<(), StoreError> {
        self.with_disk(|disk| {
            disk.scan(&[], None, &mut |key, block| {
                let result = match BlockKey::try_from(key) {
                    Ok(key) => each(key[0], block).map(|()| _ = seen.insert(key)).map_err(|e| e.to_string()),
                    Err(_) => Err("its key is none of ours".to_owned()),
                };
                if let Err(error) = result {
                    let what = format!("catalog block {key:02x?}: {error}");
                    damage.push(StoreError::Damaged { path: self.path.clone(), offset: 0, what });
                }
                ControlFlow::Continue(())
            })
        })
    }

    /// Sets an engine of no use aside; the next use makes a new one.
    fn replace_engine(&self) -> Result<(), StoreError> {
        let mut disk = self.disk.lock();
        *disk = None;
        set_aside(&self.path).map(drop)
    }

    /// Runs one piece of work on the engine, opened if it is not; closed again when that fails.
    fn with_disk<T>(&self, work: impl FnOnce(&Disk) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let disk = {
            let mut slot = self.disk.lock();
            if slot.is_none() {
                *slot = Some(Disk::open(&self.path, self.cache_bytes)?);
            }
            slot.clone().expect("opened above")
        };
        work(&disk).inspect_err(|_| *self.disk.lock() = None)
    }

    /// Adds entries of one partition; they are durable after [`Self::sync`].
    ///
    /// # Errors
    /// The checkpoint must be given up: what was added since the last sync may be gone.
    pub(crate) fn append(&mut self, partition: u8, entries: &mut [(u32, Arc<[u8]>)]) -> Result<(), StoreError> {
        let blocks = self.encode(partition, entries)?;
        self.put(blocks)
    }

    /// Replaces everything a partition has by these entries, with the entries still in use durable at any moment. The
    /// copy follows with the next [`Self::sync`].
    ///
    /// # Errors
    /// What the system refuses; the entries still in use are all there.
    pub(crate) fn rewrite(&mut self, partition: u8, entries: &mut [(u32, Arc<[u8]>)]) -> Result<(), StoreError> {
        let mut old = Vec::new();
        self.with_disk(|disk| {
            disk.scan(&[partition], None, &mut |key, _| {
                if key[0] != partition {
                    return ControlFlow::Break(());
                }
                old.push(key.to_vec());
                ControlFlow::Continue(())
            })
        })?;
        let blocks = self.encode(partition, entries)?;
        let new: HashSet<BlockKey> = blocks.iter().map(|(key, _)| *key).collect();
        self.put(blocks)?;
        self.with_disk(Disk::sync)?;
        self.is_copy_stale = true;
        for key in old.iter().filter(|key| !new.contains(key.as_slice())) {
            self.with_disk(|disk| disk.remove(key))?;
        }
        Ok(())
    }

    fn encode(&self, partition: u8, entries: &mut [(u32, Arc<[u8]>)]) -> Result<Vec<Copied>, StoreError> {
        let mut blocks = Vec::new();
        let encoded = encode_blocks(entries, VALUE_BYTES_MAX, &mut |first_id, last_id, block| {
            blocks.push((block_key(partition, first_id, last_id), block.into()));
        });
        let what = |error: &dyn std::fmt::Display| format!("cannot encode keys of partition {partition}: {error}");
        encoded.map_err(|e| StoreError::Damaged { path: self.path.clone(), offset: 0, what: what(&e) })?;
        Ok(blocks)
    }

    fn put(&mut self, blocks: Vec<Copied>) -> Result<(), StoreError> {
        for (key, block) in blocks {
            if let Err(error) = self.with_disk(|disk| disk.put(&key, &block)) {
                self.uncopied.clear();
                return Err(error);
            }
            self.uncopied.push((key, block));
        }
        Ok(())
    }

    /// Makes everything appended durable, in the engine and in the copy.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        let uncopied = std::mem::take(&mut self.uncopied);
        self.with_disk(Disk::sync)?;
        if !self.is_copy_stale {
            return catalog_copy::append(&self.path, &uncopied).inspect_err(|_| self.is_copy_stale = true);
        }
        let mut blocks = Vec::new();
        self.with_disk(|disk| {
            disk.scan(&[], None, &mut |key, block| {
                blocks.extend(BlockKey::try_from(key).ok().map(|key| (key, block.into())));
                ControlFlow::Continue(())
            })
        })?;
        catalog_copy::rewrite(&self.path, &blocks)?;
        self.is_copy_stale = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog_blocks::decode_block;
    use crate::series::KeyBuilder;
    use std::fs;

    fn entry(id: u32) -> (u32, Arc<[u8]>) {
        let mut builder = KeyBuilder::default();
        builder.push("__name__", "up");
        builder.push("instance", &format!("host-{id}"));
        (id, builder.finish().unwrap().into())
    }

    /// The ids of partition 3, and how many findings of damage there were.
    fn ids(catalog: &mut Catalog) -> (Vec<u32>, usize) {
        let mut found = Vec::new();
        let each = &mut |partition, block: &[u8]| {
            assert_eq!(partition, 3);
            decode_block(block, |id, key| {
                assert_eq!(*key, *entry(id).1);
                found.push(id);
            })
        };
        let damage = catalog.load(each).unwrap();
        found.sort_unstable();
        (found, damage.len())
    }

    fn filled(path: &Path) {
        let mut catalog = Catalog::at(path, 0);
        for id in 0..5 {
            catalog.append(3, &mut [entry(id)]).unwrap();
        }
        catalog.sync().unwrap();
        assert_eq!(ids(&mut catalog), (vec![0, 1, 2, 3, 4], 0));
    }

    #[test]
    fn an_engine_that_is_gone_or_rotten_is_built_anew_from_the_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog");
        filled(&path);
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(ids(&mut Catalog::at(&path, 0)), (vec![0, 1, 2, 3, 4], 1));
        assert_eq!(ids(&mut Catalog::at(&path, 0)), (vec![0, 1, 2, 3, 4], 0), "the new engine has them");
        let db_bytes = fs::metadata(path.join("db")).unwrap().len();
        fs::write(path.join("db"), vec![0xA5; db_bytes as usize]).unwrap();
        let (found, damage) = ids(&mut Catalog::at(&path, 0));
        assert_eq!(found, [0, 1, 2, 3, 4]);
        assert!(damage > 0);
        assert!(folder.path().join("damaged-catalog").is_dir(), "it is set aside whole");
        assert_eq!(ids(&mut Catalog::at(&path, 0)), (vec![0, 1, 2, 3, 4], 0));
    }

    #[test]
    fn a_copy_that_is_missing_or_damaged_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog");
        filled(&path);
        let copy = catalog_copy::path(&path);
        let whole = fs::read(&copy).unwrap();
        for broken in [None, Some(b"IWKEYS\0\x01rubbish".to_vec())] {
            match &broken {
                None => fs::remove_file(&copy).unwrap(),
                Some(bytes) => fs::write(&copy, bytes).unwrap(),
            }
            let mut catalog = Catalog::at(&path, 0);
            assert_eq!(ids(&mut catalog), (vec![0, 1, 2, 3, 4], usize::from(broken.is_some())));
            catalog.sync().unwrap();
            assert_eq!(fs::read(&copy).unwrap().len(), whole.len());
        }
    }

    #[test]
    fn series_that_left_are_in_neither_after_a_rewrite() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog");
        filled(&path);
        let mut catalog = Catalog::at(&path, 0);
        catalog.rewrite(3, &mut [entry(1), entry(4)]).unwrap();
        catalog.sync().unwrap();
        drop(catalog);
        assert_eq!(ids(&mut Catalog::at(&path, 0)), (vec![1, 4], 0));
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(ids(&mut Catalog::at(&path, 0)).0, [1, 4]);
    }
}
