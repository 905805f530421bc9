//! Making rollups: which days of which partitions are due, and one of them at a time.
//!
//! A day of a partition is due when it is over for longer than samples may be out of order, and blocks of its samples
//! are newer than its rollups, if it has any. So a day that got samples long after it was over is rolled up anew.
//!
//! Not here: when (see `keeper`).
//!
//! Invariant: rollups are written only after every sample they were made from, and the id of every series among them,
//! is durable; else a crash could leave rollups of what never was stored.

use super::bucket::{DayRoller, Resolution, Rollup};
use super::codec::Encoder;
use crate::StoreError;
use crate::blocks::{CHUNK_BYTES_MAX, DAY_MS, PendingChunk, day_of};
use crate::sample::Samples;
use crate::scan::{ReadBuffers, read_many};
use crate::series::{PARTITIONS, SeriesRef};
use crate::shared::Shared;
use std::collections::{HashMap, VecDeque};

/// Series read together.
const SERIES_SLICE: usize = 256;

/// What is due, and the memory that making it takes.
#[derive(Debug, Default)]
pub(crate) struct Work {
    due: VecDeque<Due>,
    /// The generation of samples for which a day of a partition was last looked at: one without a single number gives
    /// no rollups, and must not be due for ever.
    tried: HashMap<(u8, i64), u32>,
    encoder: Encoder,
    buffers: ReadBuffers,
    samples: Samples,
    buckets: Vec<Rollup>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    partition: u8,
    day: i64,
    generation: u32,
}

/// Rollups of one partition and day that are not written yet.
#[derive(Debug)]
pub(crate) struct Made {
    due: Due,
    chunks: [Vec<PendingChunk>; Resolution::ALL.len()],
    /// Samples read.
    pub(crate) samples: u64,
}

impl Made {
    /// How much memory they take.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.iter().flatten().map(|chunk| chunk.bytes.len()).sum()
    }
}

impl Work {
    /// The beginning of the oldest day that is due.
    pub(crate) fn needed_since_ms(&self) -> Option<i64> {
        self.due.front().map(|due| due.day * DAY_MS)
    }

    /// Whether nothing is known to be due.
    pub(crate) fn is_done(&self) -> bool {
        self.due.is_empty()
    }

    /// Looks what is due, oldest days first.
    pub(crate) fn look(&mut self, shared: &Shared) {
        self.due.clear();
        let newest_ms = shared.newest_ms.load(std::sync::atomic::Ordering::Relaxed);
        if newest_ms == i64::MIN {
            return;
        }
        let over_before = day_of(newest_ms.saturating_sub(shared.settings.out_of_order_ms));
        let kept_since =
            |resolution| shared.settings.rollups_kept_since(resolution, newest_ms).map_or(i64::MIN, day_of);
        let mut due = Vec::new();
        for partition in 0..PARTITIONS as u8 {
            let made = Resolution::ALL.map(|resolution| shared.rollups.made(partition, resolution));
            for (day, generation) in shared.blocks.generations_of(partition) {
                let lacks = |resolution: Resolution| {
                    day >= kept_since(resolution)
                        && made[resolution as usize].get(&day).is_none_or(|made| *made < generation)
                };
                let is_new = self.tried.get(&(partition, day)).is_none_or(|tried| *tried < generation);
                if day < over_before && is_new && Resolution::ALL.into_iter().any(lacks) {
                    due.push(Due { partition, day, generation });
                }
            }
        }
        due.sort_by_key(|due| (due.day, due.partition));
        self.due = due.into();
    }

    /// Makes the rollups of what has been due longest; none when nothing is. They are to be written by [`write`].
    ///
    /// # Errors
    /// When samples cannot be read; it stays due.
    pub(crate) fn make_next(&mut self, shared: &Shared) -> Result<Option<Made>, StoreError> {
        let Some(due) = self.due.front().copied() else { return Ok(None) };
        let mut made = Made { due, chunks: Default::default(), samples: 0 };
        let (from_ms, to_ms) = (due.day * DAY_MS, (due.day + 1) * DAY_MS - 1);
        let series: Vec<SeriesRef> = {
            let views = shared.views[due.partition as usize].read();
            let touching = views.iter().filter(|(_, view)| view.key.is_some() && view.touches(from_ms, to_ms));
            touching.map(|(id, _)| SeriesRef::new(due.partition, id as u32)).collect()
        };
        let Self { encoder, buffers, samples, buckets, bytes, .. } = self;
        for slice in series.chunks(SERIES_SLICE) {
            read_many(shared, slice, from_ms, to_ms, buffers, &mut |index, pieces| {
                pieces.read(from_ms, to_ms, samples);
                made.samples += samples.len() as u64;
                for resolution in Resolution::ALL {
                    buckets.clear();
                    DayRoller::roll(resolution, &samples.times, &samples.values, buckets);
                    let into = &mut made.chunks[resolution as usize];
                    add(encoder, (resolution, from_ms), slice[index].id(), buckets, bytes, into);
                }
            })?;
        }
        self.due.pop_front();
        Ok(Some(made))
    }

    /// Writes rollups whose samples are durable; they count after the next sync.
    ///
    /// # Errors
    /// When blocks cannot be written; what was made since the last sync is to be made again.
    pub(crate) fn write(&mut self, shared: &Shared, mut made: Made) -> Result<(), StoreError> {
        let Due { partition, day, generation } = made.due;
        for resolution in Resolution::ALL {
            let chunks = &mut made.chunks[resolution as usize];
            shared.rollups.of(resolution).write(partition, generation, chunks)?;
        }
        self.tried.insert((partition, day), generation);
        Ok(())
    }

    /// Forgets what was tried, after a failure.
    pub(crate) fn start_over(&mut self) {
        self.due.clear();
        self.tried.clear();
    }
}

/// Adds the buckets of a series as one chunk, or as halves where they do not compress enough for one.
pub(super) fn add(
    encoder: &mut Encoder,
    (resolution, day_ms): (Resolution, i64),
    id: u32,
    buckets: &[Rollup],
    bytes: &mut Vec<u8>,
    into: &mut Vec<PendingChunk>,
) {
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return };
    bytes.clear();
    encoder.encode(resolution, day_ms, buckets, bytes);
    if bytes.len() <= CHUNK_BYTES_MAX {
        let bytes = bytes.as_slice().into();
        return into.push(PendingChunk { id, start_ms: first.start_ms, end_ms: last.start_ms, bytes });
    }
    let (earlier, later) = buckets.split_at(buckets.len() / 2);
    add(encoder, (resolution, day_ms), id, earlier, bytes, into);
    add(encoder, (resolution, day_ms), id, later, bytes, into);
}
