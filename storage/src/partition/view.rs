//! What readers see of a partition: keys, heads, and the chunks that are not in a block yet.
//!
//! The shard takes the lock to write only when a series appears, grows, seals or leaves, never per sample; a reader
//! takes it just long enough to clone references.
//!
//! Invariant: at any moment a series' head, its chunks here and its blocks together hold every stored sample; for
//! the moment between the writing of a block and `forget_chunks`, some twice.

use super::pages::Pages;
use crate::head::{Chunk, HeadBlock};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::sync::Arc;

/// The readers' side of one series.
#[derive(Debug, Clone)]
pub(crate) struct SeriesView {
    /// Canonical key; none while the id is not in use.
    pub(crate) key: Option<Arc<[u8]>>,
    /// The open head.
    pub(crate) head: HeadBlock,
    chunks: Vec<Chunk>,
    sealed_start_ms: i64,
    sealed_end_ms: i64,
}

impl SeriesView {
    /// The span of a series without sealed samples.
    pub(super) const NO_SPAN: (i64, i64) = (i64::MAX, i64::MIN);

    /// An id that is not in use.
    pub(crate) fn vacant(empty: HeadBlock) -> Self {
        Self { key: None, head: empty, chunks: Vec::new(), sealed_start_ms: i64::MAX, sealed_end_ms: i64::MIN }
    }

    /// Publishes a sealed chunk.
    pub(crate) fn add_chunk(&mut self, chunk: Chunk) {
        self.widen(chunk.start_ms, chunk.end_ms);
        self.chunks.push(chunk);
    }

    /// Extends the span in which the series has sealed samples.
    pub(crate) fn widen(&mut self, start_ms: i64, end_ms: i64) {
        self.sealed_start_ms = self.sealed_start_ms.min(start_ms);
        self.sealed_end_ms = self.sealed_end_ms.max(end_ms);
    }

    /// First and last time of all sealed samples; an empty span (start above end) when there are none.
    pub(crate) fn sealed_span(&self) -> (i64, i64) {
        (self.sealed_start_ms, self.sealed_end_ms)
    }

    /// Chunks not yet in a block that overlap the closed range.
    pub(crate) fn chunks_in(&self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter().filter(move |chunk| chunk.start_ms <= to_ms && chunk.end_ms >= from_ms)
    }

    /// All chunks not yet in a block, oldest first.
    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Forgets the oldest `count` chunks, which are in blocks now.
    pub(crate) fn forget_chunks(&mut self, count: usize) {
        self.chunks.drain(..count.min(self.chunks.len()));
        if self.chunks.is_empty() {
            self.chunks = Vec::new();
        }
    }

    /// Whether samples in the closed range may be in no block yet.
    pub(crate) fn has_unwritten(&self, from_ms: i64, to_ms: i64) -> bool {
        let in_head = || self.head.iter().rev().any(|(time_ms, _)| (from_ms..=to_ms).contains(&time_ms));
        self.chunks_in(from_ms, to_ms).next().is_some() || in_head()
    }

    /// Whether the series may have a sample in the closed range; exact for the head, by span for what is sealed.
    pub(crate) fn touches(&self, from_ms: i64, to_ms: i64) -> bool {
        let sealed = self.sealed_start_ms <= to_ms && self.sealed_end_ms >= from_ms;
        sealed || self.head.iter().rev().any(|(time_ms, _)| (from_ms..=to_ms).contains(&time_ms))
    }
}

/// The readers' side of one partition.
#[derive(Debug)]
pub(crate) struct PartitionView {
    series: RwLock<Pages<SeriesView>>,
}

impl Default for PartitionView {
    fn default() -> Self {
        Self { series: RwLock::new(Pages::new(SeriesView::vacant(HeadBlock::with_capacity(0)))) }
    }
}

impl PartitionView {
    /// For cloning references out; indexed by series id.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Pages<SeriesView>> {
        self.series.read()
    }

    /// For the partition's shard alone.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Pages<SeriesView>> {
        self.series.write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(start_ms: i64, end_ms: i64) -> Chunk {
        Chunk { start_ms, end_ms, bytes: Arc::from([].as_slice()) }
    }

    #[test]
    fn forgetting_chunks_keeps_the_newer_ones_and_the_span() {
        let mut view = SeriesView::vacant(HeadBlock::with_capacity(0));
        view.add_chunk(chunk(10, 20));
        view.add_chunk(chunk(21, 30));
        view.forget_chunks(1);
        assert_eq!(view.chunks().len(), 1);
        assert_eq!(view.sealed_span(), (10, 30));
        assert!(view.touches(0, 12));
        assert!(!view.touches(31, 99));
        assert_eq!(view.chunks_in(0, 20).count(), 0);
        assert_eq!(view.chunks_in(30, 40).count(), 1);
    }

    #[test]
    fn a_head_touches_only_where_it_has_samples() {
        let mut view = SeriesView::vacant(HeadBlock::with_capacity(4));
        view.head.push_at(0, 100, 1.0);
        view.head.push_at(1, 300, 1.0);
        assert!(view.touches(300, 400));
        assert!(!view.touches(150, 250));
        view.key = None;
    }
}
