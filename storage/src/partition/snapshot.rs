//! What a checkpoint takes from a partition, and what recovery gives back to it.
//!
//! Taking costs no copy of samples: a head's published prefix never changes, so a reference and a length do.
//!
//! Invariant: a snapshot is the state after exactly the records up to its position, no more and no less.

use super::owner::Partition;
use crate::blocks::PendingChunk;
use crate::head::{HeadBlock, Sealer};
use std::sync::Arc;

/// What a checkpoint remembers of one series beside its key.
#[derive(Debug, Clone)]
pub(crate) struct SeriesState {
    /// Id within the partition.
    pub(crate) id: u32,
    /// Newest time ever stored; `i64::MIN` when nothing is.
    pub(crate) newest_ms: i64,
    /// First and last time of its sealed samples; start above end when none are.
    pub(crate) sealed_span: (i64, i64),
    /// Whether time only rises in the head.
    pub(crate) rising: bool,
    /// The open head.
    pub(crate) head: HeadBlock,
    /// How many of its samples belong to the snapshot.
    pub(crate) len: usize,
}

/// A partition at one position of the journal.
#[derive(Debug)]
pub(crate) struct PartitionSnapshot {
    /// Which partition.
    pub(crate) partition: u8,
    /// Sequence of the last journal record it contains.
    pub(crate) position: u64,
    /// Every live series, by id.
    pub(crate) series: Vec<SeriesState>,
    /// Chunks to be written as blocks.
    pub(crate) chunks: Vec<PendingChunk>,
    /// How many of each series' chunks are among them, for [`Partition::committed`].
    pub(crate) taken: Vec<(u32, usize)>,
    /// Keys not yet in the catalog on disk.
    pub(crate) keys: Vec<(u32, Arc<[u8]>)>,
    /// How many ids have been given.
    pub(crate) ids_len: u32,
}

impl Partition {
    /// The state of this moment, which holds every record up to `position`.
    pub(crate) fn snapshot(&self, position: u64) -> PartitionSnapshot {
        let mut snapshot = PartitionSnapshot {
            partition: self.number(),
            position,
            series: Vec::new(),
            chunks: Vec::new(),
            taken: Vec::new(),
            keys: Vec::new(),
            ids_len: self.ids_len(),
        };
        let views = self.view.read();
        for (id, slot) in self.slots.iter().filter(|(_, slot)| slot.live) {
            let (view, id) = (&views[id], id as u32);
            if id >= self.catalogd {
                snapshot.keys.push((id, slot.key.clone()));
            }
            if !view.chunks().is_empty() {
                snapshot.taken.push((id, view.chunks().len()));
                snapshot.chunks.extend(view.chunks().iter().map(|chunk| PendingChunk {
                    id,
                    start_ms: chunk.start_ms,
                    end_ms: chunk.end_ms,
                    bytes: chunk.bytes.clone(),
                }));
            }
            snapshot.series.push(SeriesState {
                id,
                newest_ms: slot.newest_ms,
                sealed_span: view.sealed_span(),
                rising: slot.rising,
                head: slot.head.clone(),
                len: usize::from(slot.len),
            });
        }
        snapshot
    }

    /// The checkpoint of a snapshot is durable: its keys are in the catalog and its chunks in blocks.
    pub(crate) fn committed(&mut self, taken: &[(u32, usize)], ids_len: u32) {
        self.catalogd = self.catalogd.max(ids_len);
        let mut series = self.view.write();
        for &(id, count) in taken {
            series[id as usize].forget_chunks(count);
        }
    }

    /// Gives a series the state a checkpoint remembered; its key must be inserted already.
    pub(crate) fn restore(&mut self, state: &SeriesState, sealer: &mut Sealer) {
        self.adopt(state.id, &state.head, sealer);
        let slot = &mut self.slots[state.id as usize];
        slot.newest_ms = slot.newest_ms.max(state.newest_ms);
        slot.sealed_end_ms = slot.sealed_end_ms.max(state.sealed_span.1);
        slot.rising = state.rising;
        if state.sealed_span.0 <= state.sealed_span.1 {
            self.view.write()[state.id as usize].widen(state.sealed_span.0, state.sealed_span.1);
        }
    }

    /// Takes it that a series may have sealed samples anywhere in a span, for want of a checkpoint that knows. Its id
    /// is not given again even when its key is lost.
    pub(crate) fn assume_sealed(&mut self, id: u32, span_ms: (i64, i64)) {
        self.reserve_ids(id + 1);
        let slot = &mut self.slots[id as usize];
        slot.newest_ms = slot.newest_ms.max(span_ms.1);
        slot.sealed_end_ms = slot.sealed_end_ms.max(span_ms.1);
        self.view.write()[id as usize].widen(span_ms.0, span_ms.1);
    }

    /// Ids below this are known to be in the catalog on disk.
    pub(crate) fn set_catalogd(&mut self, ids_len: u32) {
        self.catalogd = ids_len;
    }
}
