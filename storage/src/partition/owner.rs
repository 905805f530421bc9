//! One partition as its shard owns it: the catalog of keys, and of every series the open head.
//!
//! Not here: the journal record of what was appended (see `shard_store`), what readers see (see `view`), what a
//! checkpoint takes (see `snapshot`).
//!
//! Invariants: ids are dense, given in order of arrival and never given twice; a series' head and sealed chunks
//! together hold no time twice; everything changed here is published in the partition's view before it is journaled.
//!
//! Cost of a sample of a known series: one probe of the table, one slot (a cache line), the key's bytes for the
//! comparison (4 lines for 250 bytes, read in order), the head's length and its last line. `benches/append.rs` measures
//! it.

use super::pages::Pages;
use super::view::{PartitionView, SeriesView};
use crate::StoreError;
use crate::blocks::{BlockStore, DAY_MS, day_of};
use crate::chunk;
use crate::head::{Chunk, HEAD_SAMPLES, HeadBlock, Sealer};
use crate::sample::Samples;
use crate::series::{KEY_BYTES_MAX, KeyError, SeriesRef, validate};
use hashbrown::HashTable;
use std::sync::Arc;

/// Capacity of the block that follows a sealed one: the series has shown that it goes on.
const NEXT_BLOCK_SAMPLES: usize = HEAD_SAMPLES / 4;

/// Bytes of a line of the processor's caches.
const LINE_BYTES: usize = 64;

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

/// What the shard itself knows of a series: one cache line.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(super) struct Slot {
    hash: u64,
    pub(super) key: Arc<[u8]>,
    pub(super) head: HeadBlock,
    pub(super) newest_ms: i64,
    pub(super) sealed_end_ms: i64,
    /// The UTC day of the head's first sample.
    day: i32,
    /// How many samples the head has.
    pub(super) len: u8,
    pub(super) rising: bool,
    pub(super) live: bool,
}

const _: () = assert!(size_of::<Slot>() == 64 && HEAD_SAMPLES <= u8::MAX as usize);

/// The UTC day of a time; days that no chunk can have anyway are one day.
#[inline]
fn slot_day(time_ms: i64) -> i32 {
    day_of(time_ms).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

impl Slot {
    /// What an id has that is not in use.
    fn vacant(empty: HeadBlock) -> Self {
        Self {
            hash: 0,
            key: Arc::from([].as_slice()),
            head: empty,
            newest_ms: i64::MIN,
            sealed_end_ms: i64::MIN,
            day: 0,
            len: 0,
            rising: true,
            live: false,
        }
    }

    /// Whether a time lies on a later UTC day than the head's first sample.
    #[inline]
    fn is_past_day(&self, time_ms: i64) -> bool {
        time_ms >= (i64::from(self.day) + 1) * DAY_MS
    }
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
    pub(super) slots: Pages<Slot>,
    empty: HeadBlock,
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
        let empty = HeadBlock::with_capacity(0);
        Self {
            number,
            table: HashTable::new(),
            slots: Pages::new(Slot::vacant(empty.clone())),
            empty,
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

    /// The id of the key that probably has this hash: [`Self::is_key_of`] tells.
    #[inline]
    pub(crate) fn probe(&self, hash: u64) -> Option<u32> {
        let fingerprint = hash as u32;
        self.table.find(table_hash(hash), |entry| entry.fingerprint == fingerprint).map(|entry| entry.id)
    }

    /// Reads a word of every line of memory that comparing the key and appending will need.
    #[inline]
    pub(crate) fn touch(&self, id: u32) -> u64 {
        let slot = &self.slots[id as usize];
        let lines = slot.key.iter().step_by(LINE_BYTES).fold(0, |all, byte| all ^ u64::from(*byte));
        lines ^ slot.head.touch(usize::from(slot.len))
    }

    /// The same when the key will not be compared.
    #[inline]
    pub(crate) fn touch_head(&self, id: u32) -> u64 {
        let slot = &self.slots[id as usize];
        slot.head.touch(usize::from(slot.len))
    }

    /// Whether an id has this key.
    #[inline]
    pub(crate) fn is_key_of(&self, id: u32, key: &[u8]) -> bool {
        self.slots.get(id as usize).is_some_and(|slot| *slot.key == *key)
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

    /// The key of an id that is in use.
    pub(crate) fn key(&self, id: u32) -> Option<&Arc<[u8]>> {
        self.slots.get(id as usize).filter(|slot| slot.live).map(|slot| &slot.key)
    }

    /// Whether an id is in use.
    #[inline]
    pub(crate) fn is_live(&self, id: u32) -> bool {
        self.slots.get(id as usize).is_some_and(|slot| slot.live)
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
        // A head without samples has no day yet, and is no fuller than its capacity says.
        if usize::from(slot.len) == slot.head.capacity() || slot.len == 0 || slot.is_past_day(time_ms) {
            self.prepare(id, time_ms, sealer);
        }
        let slot = &mut self.slots[id as usize];
        slot.rising &= time_ms > slot.newest_ms || slot.len == 0;
        slot.newest_ms = slot.newest_ms.max(time_ms);
        let pushed = slot.head.push_at(usize::from(slot.len), time_ms, value);
        debug_assert!(pushed, "a block that was grown or replaced has room");
        slot.len += 1;
    }

    /// Makes the head of a series ready for one more sample.
    #[cold]
    fn prepare(&mut self, id: u32, time_ms: i64, sealer: &mut Sealer) {
        let slot = &self.slots[id as usize];
        if slot.len > 0 && slot.is_past_day(time_ms) {
            self.seal(id, sealer);
        }
        if usize::from(self.slots[id as usize].len) == self.slots[id as usize].head.capacity() {
            self.make_room(id, sealer);
        }
        // A full head was sealed, and what came in its place may have no room at all.
        if self.slots[id as usize].head.capacity() == 0 {
            self.make_room(id, sealer);
        }
        let slot = &mut self.slots[id as usize];
        if slot.len == 0 {
            slot.day = slot_day(time_ms);
            slot.rising = true;
        }
    }

    fn make_room(&mut self, id: u32, sealer: &mut Sealer) {
        let slot = &mut self.slots[id as usize];
        if slot.head.capacity() >= HEAD_SAMPLES {
            return self.seal(id, sealer);
        }
        slot.head = slot.head.grown();
        self.view.write()[id as usize].head = slot.head.clone();
    }

    /// Takes a head that was read from a checkpoint, as it is if it is one that could have been written by this code.
    pub(super) fn adopt(&mut self, id: u32, head: &HeadBlock, sealer: &mut Sealer) {
        let Some((first_ms, _)) = head.iter().next() else { return };
        if head.len() > HEAD_SAMPLES {
            return head.iter().for_each(|(time_ms, value)| self.push(id, time_ms, value, sealer));
        }
        let slot = &mut self.slots[id as usize];
        slot.head = head.clone();
        slot.len = head.len() as u8;
        slot.day = slot_day(first_ms);
        slot.newest_ms = head.iter().fold(slot.newest_ms, |newest_ms, (time_ms, _)| newest_ms.max(time_ms));
        self.view.write()[id as usize].head = slot.head.clone();
    }

    /// Turns the head of a series into chunks; nothing happens to an empty one.
    fn seal(&mut self, id: u32, sealer: &mut Sealer) {
        // Looked at before it is written to, which would give an id that is not in use memory of its own.
        if self.slots[id as usize].len == 0 {
            return;
        }
        let slot = &mut self.slots[id as usize];
        slot.len = 0;
        let mut chunks: Vec<Chunk> = Vec::with_capacity(1);
        sealer.seal(&slot.head, slot.rising, |chunk| chunks.push(chunk));
        let goes_on = slot.head.capacity() >= HEAD_SAMPLES;
        slot.head = if goes_on { HeadBlock::with_capacity(NEXT_BLOCK_SAMPLES) } else { self.empty.clone() };
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
        let is_over = |slot: &Slot| slot.live && slot.newest_ms < cutoff_ms;
        let over: Vec<_> = self.slots.iter().filter(|(_, slot)| is_over(slot)).map(|(id, _)| id).collect();
        for id in over {
            let slot = std::mem::replace(&mut self.slots[id], Slot::vacant(self.empty.clone()));
            if let Ok(entry) = self.table.find_entry(table_hash(slot.hash), |entry| entry.id == id as u32) {
                entry.remove();
            }
            series[id] = SeriesView::vacant(self.empty.clone());
            expired.push((id as u32, slot.key));
        }
        // What a damaged catalog has left without a key may still have chunks that must be remembered.
        self.slots.give_back(|slot| !slot.live && slot.newest_ms == i64::MIN);
        series.give_back(|view| view.key.is_none() && view.sealed_span() == SeriesView::NO_SPAN);
        expired
    }

    /// Every series in use, by id.
    pub(crate) fn entries(&self) -> Vec<(u32, Arc<[u8]>)> {
        let live = self.slots.iter().filter(|(_, slot)| slot.live);
        live.map(|(id, slot)| (id as u32, slot.key.clone())).collect()
    }

    /// Makes sure that no id below `ids_len` is given again.
    pub(crate) fn reserve_ids(&mut self, ids_len: u32) {
        if self.slots.len() < ids_len as usize {
            self.slots.grow_to(ids_len as usize);
            self.view.write().grow_to(ids_len as usize);
        }
    }

    /// The newest time any series has a sample at.
    pub(crate) fn newest_ms(&self) -> i64 {
        self.slots.iter().map(|(_, slot)| slot.newest_ms).max().unwrap_or(i64::MIN)
    }

    /// How many series are in use.
    pub(crate) fn live_len(&self) -> usize {
        self.table.len()
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
