//! Reading blocks: every chunk of some series that touches a range of time.
//!
//! Not here: decoding and merging (the caller's), samples that are still in heads.
//!
//! Cost: a search in memory a directory, then one engine read a block, whose leaf of eight is read from the file when
//! it is not in memory. For ten chunks of 200 bytes of one series, one in each of ten blocks, `benches/blocks.rs` shows
//! 25 us with the leaves in memory and 320 us without. Ask for many series at once: each block is then read once for all
//! of them, at 0.8 to 2.5 GB/s.

use super::block::Entry;
use super::store::BlockStore;
use crate::StoreError;
use crate::series::SeriesRef;
use roaring::RoaringBitmap;

impl BlockStore {
    /// Gives `each` every chunk of a series that touches `from_ms..=to_ms`, in the order they were written:
    /// chunks may overlap, and of samples with the same time the first given counts.
    ///
    /// # Errors
    /// What the system refuses. Damage is left out and reported by `take_damage`.
    pub fn chunks(
        &self,
        series: SeriesRef,
        from_ms: i64,
        to_ms: i64,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), StoreError> {
        self.chunks_of_many(series.partition(), &[series.id()], from_ms, to_ms, &mut |_, chunk| each(chunk))
    }

    /// Gives `each` every chunk, with its series' id, of the series of one partition whose ids are in `ids`, which
    /// ascend; each block is read once, and the chunks of a series come in the order they were written.
    ///
    /// # Errors
    /// As [`Self::chunks`].
    pub fn chunks_of_many(
        &self,
        partition: u8,
        ids: &[u32],
        from_ms: i64,
        to_ms: i64,
        each: &mut dyn FnMut(u32, &[u8]),
    ) -> Result<(), StoreError> {
        self.entries_of_many(partition, ids, from_ms, to_ms, &mut |entry| each(entry.id, entry.chunk))
    }

    /// As [`Self::chunks_of_many`], with the times of each chunk.
    ///
    /// # Errors
    /// As [`Self::chunks`].
    pub fn entries_of_many(
        &self,
        partition: u8,
        ids: &[u32],
        from_ms: i64,
        to_ms: i64,
        each: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), StoreError> {
        let (Some(&first_id), Some(&last_id)) = (ids.first(), ids.last()) else { return Ok(()) };
        let mut keys = Vec::new();
        for directory in self.directories().iter() {
            keys.clear();
            directory.index().select(partition, (first_id, last_id), (from_ms, to_ms), &mut keys);
            if keys.is_empty() || directory.has_failed() {
                continue;
            }
            keys.sort_unstable_by_key(|key| key.sequence);
            self.note_use(directory);
            for key in &keys {
                let wanted = &ids[ids.partition_point(|id| *id < key.first_id)..];
                if wanted.first().is_none_or(|id| *id > key.last_id) {
                    continue;
                }
                directory.with_block(key, &mut |block| {
                    let mut wanted = wanted;
                    for entry in block.entries().filter(|e| e.start_ms <= to_ms && from_ms <= e.end_ms) {
                        wanted = &wanted[wanted.partition_point(|id| *id < entry.id)..];
                        match wanted.first() {
                            None => break,
                            Some(id) if *id == entry.id => each(&entry),
                            Some(_) => {}
                        }
                    }
                })?;
            }
            self.trim()?;
        }
        Ok(())
    }

    /// The ids of a partition's series that have a chunk. Reads every block of the partition.
    ///
    /// # Errors
    /// As [`Self::chunks`].
    pub fn ids_with_data(&self, partition: u8) -> Result<RoaringBitmap, StoreError> {
        let mut ids = RoaringBitmap::new();
        for directory in self.directories().iter() {
            let keys = directory.index().partition(partition).to_vec();
            self.note_use(directory);
            for key in &keys {
                directory.with_block(key, &mut |block| ids.extend(block.entries().map(|entry| entry.id)))?;
            }
            self.trim()?;
        }
        Ok(ids)
    }
}
