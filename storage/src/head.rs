//! A head collects the newest samples of one series until they are worth compressing.
//!
//! Its columns lie in a block that its shard writes and any reader may read at the same time without a lock:
//! a cell's value is written first, then its time, which publishes it; what is published never changes.
//!
//! Not here: durability (see `journal`), which series it belongs to (see `partition`), ordering across series.
//!
//! Invariants: one thread pushes; samples stand in arrival order and carry whether time only rose; no two have the
//! same time; sealing sorts and splits at UTC midnights.
//!
//! Cost: a push is two plain stores to one cache line (cells interleave time and value, four samples a line). The time is
//! written last and says that the cell is filled: a length of its own would be a second line to fetch for every push.

use crate::blocks::{DAY_MS, day_of};
use crate::chunk;
use crate::sample::Samples;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Samples in a full head. A chunk of 128 costs 0.1 bytes a sample more than one of 256 and half the memory while open.
pub(crate) const HEAD_SAMPLES: usize = 128;

/// The UTC midnight that ends the day of `time_ms`.
#[inline]
pub(crate) fn day_end_ms(time_ms: i64) -> i64 {
    (day_of(time_ms) + 1) * DAY_MS
}

/// The one time that no sample has; times are kept so that it stands as 0, which says that a cell is empty.
const EMPTY_MS: i64 = i64::MIN;

#[inline]
fn time_word(time_ms: i64) -> u64 {
    (time_ms ^ EMPTY_MS) as u64
}

#[inline]
fn time_of(word: u64) -> i64 {
    word as i64 ^ EMPTY_MS
}

/// The shared columns of one head; clones are the same head.
///
/// Time and value of each sample: one allocation, whose length the reference carries, so that a push follows one pointer.
#[derive(Debug, Clone)]
pub(crate) struct HeadBlock(Arc<[AtomicU64]>);

impl HeadBlock {
    /// An empty block that has room for `capacity` samples.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self((0..2 * capacity).map(|_| AtomicU64::new(0)).collect())
    }

    /// A block that holds just these samples.
    pub(crate) fn of(samples: impl ExactSizeIterator<Item = (i64, f64)>) -> Self {
        let block = Self::with_capacity(samples.len());
        samples.enumerate().for_each(|(at, (time_ms, value))| {
            block.push_at(at, time_ms, value);
        });
        block
    }

    /// How many samples are published; found by halving, for filled cells stand before empty ones.
    pub(crate) fn len(&self) -> usize {
        let (mut filled, mut end) = (0, self.capacity());
        while filled < end {
            let middle = (filled + end) / 2;
            match self.0[2 * middle].load(Ordering::Acquire) {
                0 => end = middle,
                _ => filled = middle + 1,
            }
        }
        filled
    }

    /// How many samples fit.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.0.len() / 2
    }

    /// Reads what publishing one more than `len` samples writes.
    #[inline]
    pub(crate) fn touch(&self, len: usize) -> u64 {
        self.0.get(2 * len).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    /// Publishes one more sample behind `len`; false when the block is full. Only the owning shard calls this.
    #[inline]
    pub(crate) fn push_at(&self, len: usize, time_ms: i64, value: f64) -> bool {
        let Some([time, bits]) = self.0.get(2 * len..2 * len + 2) else { return false };
        bits.store(value.to_bits(), Ordering::Relaxed);
        time.store(time_word(time_ms), Ordering::Release);
        true
    }

    /// The published samples in arrival order.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (i64, f64)> + '_ {
        self.first(self.len())
    }

    /// The first `len` published samples in arrival order.
    pub(crate) fn first(&self, len: usize) -> impl DoubleEndedIterator<Item = (i64, f64)> + '_ {
        self.0[..2 * len]
            .chunks_exact(2)
            .map(|cell| (time_of(cell[0].load(Ordering::Relaxed)), f64::from_bits(cell[1].load(Ordering::Relaxed))))
    }

    /// The value at `time_ms`, searched from the newest backwards.
    pub(crate) fn value_at(&self, time_ms: i64) -> Option<f64> {
        self.iter().rev().find(|(time, _)| *time == time_ms).map(|(_, value)| value)
    }

    /// A block with the same samples and four times the room: four samples at first, since churned series get few.
    pub(crate) fn grown(&self) -> Self {
        let capacity = (self.capacity() * 4).clamp(4, HEAD_SAMPLES);
        let block = Self::with_capacity(capacity);
        for (at, (time_ms, value)) in self.iter().enumerate() {
            block.push_at(at, time_ms, value);
        }
        block
    }
}

/// A sealed run of samples: immutable, compressed, within one UTC day.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// Time of the first sample.
    pub(crate) start_ms: i64,
    /// Time of the last sample.
    pub(crate) end_ms: i64,
    /// The encoding of `chunk`.
    pub(crate) bytes: Arc<[u8]>,
}

/// Turns samples into chunks; owns the memory that takes.
#[derive(Debug, Default)]
pub(crate) struct Sealer {
    sorted: Vec<(i64, f64)>,
    columns: Samples,
    encoder: chunk::Encoder,
    bytes: Vec<u8>,
}

impl Sealer {
    /// Seals the samples of a head: one chunk for each UTC day they touch, in time order.
    pub(crate) fn seal(&mut self, block: &HeadBlock, rising: bool, mut each: impl FnMut(Chunk)) {
        self.columns.clear();
        if rising {
            block.iter().for_each(|(time_ms, value)| self.columns.push(time_ms, value));
        } else {
            self.sorted.clear();
            self.sorted.extend(block.iter());
            self.sorted.sort_unstable_by_key(|(time_ms, _)| *time_ms);
            self.sorted.iter().for_each(|&(time_ms, value)| self.columns.push(time_ms, value));
        }
        let (mut times, mut values) = (self.columns.times.as_slice(), self.columns.values.as_slice());
        while let Some(&start_ms) = times.first() {
            let midnight_ms = day_end_ms(start_ms);
            let len = times.partition_point(|time_ms| *time_ms < midnight_ms);
            self.bytes.clear();
            self.encoder.encode(&times[..len], &values[..len], &mut self.bytes);
            each(Chunk { start_ms, end_ms: times[len - 1], bytes: Arc::from(self.bytes.as_slice()) });
            (times, values) = (&times[len..], &values[len..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_block_refuses_and_a_grown_one_keeps_what_it_had() {
        let block = HeadBlock::with_capacity(0);
        assert!(!block.push_at(0, 1, 1.0));
        let block = block.grown();
        assert_eq!(block.capacity(), 4);
        assert!((0..4).all(|i| block.push_at(i, i as i64, i as f64)));
        assert!(!block.push_at(4, 4, 4.0));
        let block = block.grown();
        assert_eq!((block.capacity(), block.len()), (16, 4));
        assert_eq!(block.value_at(2), Some(2.0));
        assert_eq!(block.value_at(9), None);
    }

    #[test]
    fn a_block_has_as_many_samples_as_were_published() {
        for capacity in 0..9 {
            let block = HeadBlock::with_capacity(capacity);
            for len in 0..capacity {
                assert_eq!(block.len(), len);
                assert!(block.push_at(len, -(len as i64), 0.0), "times of any sign count");
            }
            assert_eq!(block.len(), capacity);
            assert!(block.iter().map(|(time_ms, _)| time_ms).eq((0..capacity as i64).map(|time_ms| -time_ms)));
        }
    }

    #[test]
    fn sealing_sorts_and_splits_at_midnight() {
        let block = HeadBlock::with_capacity(4);
        for (at, time_ms) in [DAY_MS + 5, DAY_MS - 5, DAY_MS, 10].into_iter().enumerate() {
            block.push_at(at, time_ms, time_ms as f64);
        }
        let mut chunks = Vec::new();
        Sealer::default().seal(&block, false, |chunk| chunks.push(chunk));
        let spans: Vec<_> = chunks.iter().map(|c| (c.start_ms, c.end_ms)).collect();
        assert_eq!(spans, [(10, DAY_MS - 5), (DAY_MS, DAY_MS + 5)]);
        let mut read = Samples::default();
        chunk::decode(&chunks[0].bytes, &mut read.times, &mut read.values).unwrap();
        assert_eq!(read.times, [10, DAY_MS - 5]);
        assert_eq!(day_end_ms(-1), 0);
    }
}
