//! One partition as its shard owns it: the catalog of keys, and of every series the open head.
//!
//! Not here: the journal record of what was appended (see `shard_store`), what readers see (see `view`), what a
//! checkpoint takes (see `snapshot`).
//!
//! Invariants: ids are dense, given in order of arrival and never given twice; a series' head and sealed chunks
//! together hold no time twice; everything changed here is published in the partition's view before it is journaled.
//!
//! Cost of a sample of a known series: one probe of the table, one slot (a cache line), the key's bytes for the
//! comparison (4 lines for 250 bytes, read in order) and the head's last line. `benches/append.rs` measures it.

use super::view::{PartitionView, SeriesView};
use crate::StoreError;
use crate::blocks::BlockStore;
use crate::chunk;
use crate::head::{Chunk, HEAD_SAMPLES, HeadBlock, Sealer, day_end_ms};
use crate::sample::Samples;
use crate::series::{KEY_BYTES_MAX, KeyError, SeriesRef, validate};
use hashbrown::HashTable;
use std::sync::Arc;

/// Capacity of the block that follows a sealed one: the series has shown that it goes on.
const NEXT_BLOCK_SAMPLES: usize = HEAD_SAMPLES / 4;

/// What became of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// New, and now in the head; the newest of its series.
    Stored,
    /// New, and now in the head, but older than its series' newest.
    StoredBehind,
    /// The series has this very sample already.
    Duplicate,
    /// The series has another value at this time; the first stays.
    Conflict,
    /// Older than the out-of-order window, and not a duplicate.
    Late,
}

/// What an appended sample is judged by.
#[derive(Debug)]
pub(crate) struct AppendContext<'a> {
    /// Samples older than this, and than their series' newest, are late.
    pub(crate) late_before_ms: i64,
    /// Where sealed samples are looked up.
    pub(crate) blocks: &'a BlockStore,
    /// Seals full heads.
    pub(crate) sealer: &'a mut Sealer,
}

#[derive(Debug)]
pub(super) struct Slot {
    hash: u64,
    pub(super) key: Arc<[u8]>,
    pub(super) head: Arc<HeadBlock>,
    pub(super) newest_ms: i64,
    pub(super) sealed_end_ms: i64,
    day_end_ms: i64,
    pub(super) rising: bool,
    pub(super) live: bool,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    fingerprint: u32,
    id: u32,
}

/// The partition's catalog and heads.
#[derive(Debug)]
pub(crate) struct Partition {
    number: u8,
    table: HashTable<Entry>,
    pub(super) slots: Vec<Slot>,
    empty: Arc<HeadBlock>,
    pub(super) view: Arc<PartitionView>,
    /// Ids below this are in the catalog on disk.
    pub(super) catalogd: u32,
    scratch: Samples,
}

/// The top six bits of a hash are the same all over a partition, and the table takes its tags from the top.
#[inline]
fn table_hash(hash: u64) -> u64 {
    hash.rotate_left(6)
}

impl Partition {
    /// An empty partition that publishes into `view`.
    pub(crate) fn new(number: u8, view: Arc<PartitionView>) -> Self {
        Self {
            number,
            table: HashTable::new(),
            slots: Vec::new(),
            empty: Arc::new(HeadBlock::with_capacity(0)),
            view,
            catalogd: 0,
            scratch: Samples::default(),
        }
    }

    /// Its number, 0 to 63.
    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    /// The id of a known key.
    #[inline]
    pub(crate) fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let fingerprint = hash as u32;
        self.table
            .find(table_hash(hash), |entry| {
                entry.fingerprint == fingerprint && *self.slots[entry.id as usize].key == *key
            })
            .map(|entry| entry.id)
    }

    /// Gives a new key the next id.
    ///
    /// # Errors
    /// When the key breaks an invariant of `series`, is longer than [`KEY_BYTES_MAX`], or the partition is full.
    pub(crate) fn create(&mut self, hash: u64, key: &[u8]) -> Result<u32, KeyError> {
        validate(key)?;
        if key.len() > KEY_BYTES_MAX || self.slots.len() >= SeriesRef::IDS_PER_PARTITION as usize {
            return Err(KeyError::Malformed);
        }
        let id = self.slots.len() as u32;
        self.insert(id, hash, Arc::from(key));
        Ok(id)
    }

    /// Puts a key at a given id; what recovery does with catalog blocks and journal records. Ids that are skipped
    /// belonged to series that have left.
    pub(crate) fn insert(&mut self, id: u32, hash: u64, key: Arc<[u8]>) {
        self.reserve_ids(id + 1);
        let slot = &mut self.slots[id as usize];
        if slot.live {
            return;
        }
        slot.hash = hash;
        slot.key = key.clone();
        slot.live = true;
        self.view.write()[id as usize].key = Some(key);
        let slots = &self.slots;
        self.table.insert_unique(table_hash(hash), Entry { fingerprint: hash as u32, id }, |entry| {
            table_hash(slots[entry.id as usize].hash)
        });
    }

    fn vacant(&self) -> Slot {
        Slot {
            hash: 0,
            key: Arc::from([].as_slice()),
            head: self.empty.clone(),
            newest_ms: i64::MIN,
            sealed_end_ms: i64::MIN,
            day_end_ms: 0,
            rising: true,
            live: false,
        }
    }

    /// The key of an id that is in use.
    pub(crate) fn key(&self, id: u32) -> Option<&Arc<[u8]>> {
        self.slots.get(id as usize).filter(|slot| slot.live).map(|slot| &slot.key)
    }

    /// Whether an id is in use.
    pub(crate) fn is_live(&self, id: u32) -> bool {
        self.key(id).is_some()
    }

    /// Appends one sample of a series.
    ///
    /// # Errors
    /// Only for a sample older than its series' newest, when the chunk it would lie in cannot be read.
    #[inline]
    pub(crate) fn append(
        &mut self,
        id: u32,
        time_ms: i64,
        value: f64,
        context: &mut AppendContext<'_>,
    ) -> Result<Outcome, StoreError> {
        let newest_ms = self.slots[id as usize].newest_ms;
        if time_ms <= newest_ms {
            if let Some(known) = self.value_at(id, time_ms, context.blocks)? {
                let same = known.to_bits() == value.to_bits();
                return Ok(if same { Outcome::Duplicate } else { Outcome::Conflict });
            }
            if time_ms < context.late_before_ms {
                return Ok(Outcome::Late);
            }
            self.push(id, time_ms, value, context.sealer);
            return Ok(Outcome::StoredBehind);
        }
        self.push(id, time_ms, value, context.sealer);
        Ok(Outcome::Stored)
    }

    /// Adds a sample known to be new to the series; seals or grows the head when it has no room.
    #[inline]
    pub(crate) fn push(&mut self, id: u32, time_ms: i64, value: f64, sealer: &mut Sealer) {
        let slot = &self.slots[id as usize];
        let len = slot.head.len();
        if len > 0 && time_ms >= slot.day_end_ms {
            self.seal(id, sealer);
        } else if len == slot.head.capacity() {
            self.make_room(id, sealer);
        }
        let mut slot = &mut self.slots[id as usize];
        if slot.head.capacity() == 0 {
            self.make_room(id, sealer);
            slot = &mut self.slots[id as usize];
        }
        if slot.head.is_empty() {
            slot.day_end_ms = day_end_ms(time_ms);
            slot.rising = true;
        } else {
            slot.rising &= time_ms > slot.newest_ms;
        }
        slot.newest_ms = slot.newest_ms.max(time_ms);
        let pushed = slot.head.push(time_ms, value);
        debug_assert!(pushed, "a block that was grown or replaced has room");
    }

    fn make_room(&mut self, id: u32, sealer: &mut Sealer) {
        let slot = &mut self.slots[id as usize];
        if slot.head.capacity() >= HEAD_SAMPLES {
            return self.seal(id, sealer);
        }
        slot.head = Arc::new(slot.head.grown());
        self.view.write()[id as usize].head = slot.head.clone();
    }

    /// Turns the head of a series into chunks; nothing happens to an empty one.
    fn seal(&mut self, id: u32, sealer: &mut Sealer) {
        let slot = &mut self.slots[id as usize];
        if slot.head.is_empty() {
            return;
        }
        let mut chunks: Vec<Chunk> = Vec::with_capacity(1);
        sealer.seal(&slot.head, slot.rising, |chunk| chunks.push(chunk));
        let goes_on = slot.head.capacity() >= HEAD_SAMPLES;
        slot.head = if goes_on { Arc::new(HeadBlock::with_capacity(NEXT_BLOCK_SAMPLES)) } else { self.empty.clone() };
        let mut series = self.view.write();
        let view = &mut series[id as usize];
        for chunk in chunks {
            slot.sealed_end_ms = slot.sealed_end_ms.max(chunk.end_ms);
            view.add_chunk(chunk);
        }
        view.head = slot.head.clone();
    }

    /// Seals every open head of the ids in `ids`; returns the id after the last one looked at.
    pub(crate) fn seal_range(&mut self, ids: std::ops::Range<u32>, sealer: &mut Sealer) -> u32 {
        let end = ids.end.min(self.slots.len() as u32);
        (ids.start..end).for_each(|id| self.seal(id, sealer));
        end
    }

    /// Takes series whose newest sample is older than `cutoff_ms` out of the catalog; returns them.
    pub(crate) fn expire(&mut self, cutoff_ms: i64) -> Vec<(u32, Arc<[u8]>)> {
        let mut expired = Vec::new();
        let mut series = self.view.write();
        for id in 0..self.slots.len() {
            let slot = &self.slots[id];
            if !slot.live || slot.newest_ms >= cutoff_ms {
                continue;
            }
            if let Ok(entry) = self.table.find_entry(table_hash(slot.hash), |entry| entry.id == id as u32) {
                entry.remove();
            }
            let vacant = self.vacant();
            let slot = std::mem::replace(&mut self.slots[id], vacant);
            series[id] = SeriesView::vacant(self.empty.clone());
            expired.push((id as u32, slot.key));
        }
        expired
    }

    /// Every series in use, by id.
    pub(crate) fn entries(&self) -> Vec<(u32, Arc<[u8]>)> {
        let live = self.slots.iter().enumerate().filter(|(_, slot)| slot.live);
        live.map(|(id, slot)| (id as u32, slot.key.clone())).collect()
    }

    /// Makes sure that no id below `ids_len` is given again.
    pub(crate) fn reserve_ids(&mut self, ids_len: u32) {
        let mut series = self.view.write();
        while self.slots.len() < ids_len as usize {
            self.slots.push(self.vacant());
            series.push(SeriesView::vacant(self.empty.clone()));
        }
    }

    /// The newest time any series has a sample at.
    pub(crate) fn newest_ms(&self) -> i64 {
        self.slots.iter().map(|slot| slot.newest_ms).max().unwrap_or(i64::MIN)
    }

    /// How many ids have been given.
    pub(crate) fn ids_len(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The value a series has at a time, wherever it lies.
    fn value_at(&mut self, id: u32, time_ms: i64, blocks: &BlockStore) -> Result<Option<f64>, StoreError> {
        let slot = &self.slots[id as usize];
        if let Some(value) = slot.head.value_at(time_ms) {
            return Ok(Some(value));
        }
        if time_ms > slot.sealed_end_ms {
            return Ok(None);
        }
        let mut found = None;
        let scratch = &mut self.scratch;
        let mut look = |bytes: &[u8]| {
            scratch.clear();
            if chunk::decode(bytes, &mut scratch.times, &mut scratch.values).is_ok()
                && let Ok(at) = scratch.times.binary_search(&time_ms)
            {
                found.get_or_insert(scratch.values[at]);
            }
        };
        for chunk in self.view.read()[id as usize].chunks_in(time_ms, time_ms) {
            look(&chunk.bytes);
        }
        blocks.chunks(SeriesRef::new(self.number, id), time_ms, time_ms, &mut look)?;
        Ok(found)
    }
}
