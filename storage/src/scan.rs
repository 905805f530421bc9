//! Reading the samples of a series: blocks, chunks not yet in a block, and the open head become one ascending run.
//!
//! Many series of one partition are read together, so that each block is fetched and checked once for all of them; what
//! belongs to one series is handed out as [`Pieces`], undecoded, because statistics often tell enough.
//!
//! Cost: copying a chunk out of its block is 10 ns beside 400 ns for decoding its 128 samples; a block is one engine
//! read and one checksum over at most 7 KiB, about 3 us (`benches/scan.rs`).
//!
//! Not here: which series are asked for (see `store`), evaluation of expressions.
//!
//! Invariant: the pieces are disjoint in time but for the moment between the writing of a block and the forgetting
//! of its chunks, and after a replay; then they agree, so any one of equal times may be kept.

use crate::StoreError;
use crate::chunk;
use crate::head::HeadBlock;
use crate::sample::Samples;
use crate::series::SeriesRef;
use crate::shared::Shared;
use crate::store::Store;
use std::sync::Arc;

/// A sealed chunk of a series, as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct ChunkPiece<'a> {
    /// Time of its first sample.
    pub start_ms: i64,
    /// Time of its last sample.
    pub end_ms: i64,
    /// Its encoding; `chunk::stats` and `chunk::decode` read it.
    pub bytes: &'a [u8],
}

/// What is stored of one series between two times: chunks that touch the range, and samples that are in none.
#[derive(Debug, Clone, Copy)]
pub struct Pieces<'a> {
    /// Chunks in the order in which they were written; of equal times in two of them the first counts.
    pub chunks: &'a [ChunkPiece<'a>],
    /// Samples of the open head within the range, in order of arrival.
    pub loose: &'a Samples,
}

impl Pieces<'_> {
    /// Whether the pieces follow one another in time without overlapping, which they nearly always do.
    pub fn ascend(&self) -> bool {
        let last_ms = self.chunks.last().map_or(i64::MIN, |chunk| chunk.end_ms);
        self.chunks.windows(2).all(|pair| pair[0].end_ms < pair[1].start_ms)
            && self.loose.times.first().is_none_or(|&first_ms| self.chunks.is_empty() || last_ms < first_ms)
            && self.loose.times.is_sorted_by(|a, b| a < b)
    }

    /// The samples in `from_ms..=to_ms`, ascending and unique in time; `out` is cleared first. A damaged chunk is
    /// logged and passed over.
    pub fn read(&self, from_ms: i64, to_ms: i64, out: &mut Samples) {
        out.clear();
        for piece in self.chunks {
            add_chunk(piece.bytes, from_ms, to_ms, out);
        }
        for (&time_ms, &value) in self.loose.times.iter().zip(&self.loose.values) {
            if (from_ms..=to_ms).contains(&time_ms) {
                out.push(time_ms, value);
            }
        }
        if !out.times.is_sorted_by(|a, b| a < b) {
            sort_and_unite(out);
        }
    }
}

/// Memory for reading that is used again from call to call.
#[derive(Debug, Default)]
pub struct ReadBuffers {
    ids: Vec<u32>,
    heads: Vec<Option<HeadBlock>>,
    /// Copies of chunks that stand in blocks.
    bytes: Vec<u8>,
    found: Vec<Found>,
    loose: Samples,
}

/// A chunk on its way to its series.
#[derive(Debug)]
struct Found {
    /// Index of the series among those asked for.
    index: u32,
    start_ms: i64,
    end_ms: i64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// In `ReadBuffers::bytes`.
    Copied { at: usize, len: usize },
    /// Not in a block yet.
    Shared(Arc<[u8]>),
}

impl Store {
    /// Samples of one series in `from_ms..=to_ms`, ascending and unique in time; `out` is cleared first.
    ///
    /// # Errors
    /// When blocks cannot be read; a damaged chunk is logged and passed over.
    pub fn read(&self, series: SeriesRef, from_ms: i64, to_ms: i64, out: &mut Samples) -> Result<(), StoreError> {
        out.clear();
        let mut buffers = ReadBuffers::default();
        self.read_many(&[series], from_ms, to_ms, &mut buffers, &mut |_, pieces| pieces.read(from_ms, to_ms, out))
    }

    /// Gives `each` what is stored of every one of these series in `from_ms..=to_ms`, with the series' index in
    /// `series`, in order. The series are of one partition and their ids ascend; memory is taken for the compressed
    /// chunks of all of them together.
    ///
    /// # Errors
    /// When blocks cannot be read.
    pub fn read_many(
        &self,
        series: &[SeriesRef],
        from_ms: i64,
        to_ms: i64,
        buffers: &mut ReadBuffers,
        each: &mut dyn FnMut(usize, &Pieces<'_>),
    ) -> Result<(), StoreError> {
        read_many(self.shared(), series, from_ms, to_ms, buffers, each)
    }

    /// The newest sample of one series, if it has any; costs a look at its head, or at one chunk when that is empty.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn newest(&self, series: SeriesRef) -> Result<Option<(i64, f64)>, StoreError> {
        let (in_head, (_, sealed_end_ms)) = {
            let views = self.shared().views[series.partition() as usize].read();
            let Some(view) = views.get(series.id() as usize) else { return Ok(None) };
            (view.head.iter().max_by_key(|(time_ms, _)| *time_ms), view.sealed_span())
        };
        if sealed_end_ms == i64::MIN || in_head.is_some_and(|(time_ms, _)| time_ms >= sealed_end_ms) {
            return Ok(in_head);
        }
        let mut sealed = Samples::default();
        self.read(series, sealed_end_ms, sealed_end_ms, &mut sealed)?;
        Ok(sealed.times.pop().zip(sealed.values.pop()).or(in_head))
    }
}

/// [`Store::read_many`] for those who hold the common state only.
pub(crate) fn read_many(
    shared: &Shared,
    series: &[SeriesRef],
    from_ms: i64,
    to_ms: i64,
    buffers: &mut ReadBuffers,
    each: &mut dyn FnMut(usize, &Pieces<'_>),
) -> Result<(), StoreError> {
    let Some(first) = series.first() else { return Ok(()) };
    debug_assert!(series.is_sorted_by(|a, b| a.0 < b.0 && a.partition() == b.partition()));
    buffers.gather(shared, first.partition(), series, (from_ms, to_ms))?;
    let ReadBuffers { heads, bytes, found, loose, .. } = buffers;
    let mut pieces: Vec<ChunkPiece<'_>> = Vec::new();
    let mut rest = found.as_slice();
    for (index, head) in heads.iter().enumerate() {
        let (mine, others) = rest.split_at(rest.partition_point(|found| found.index as usize <= index));
        rest = others;
        pieces.clear();
        pieces.extend(mine.iter().map(|found| ChunkPiece {
            start_ms: found.start_ms,
            end_ms: found.end_ms,
            bytes: match &found.place {
                Place::Copied { at, len } => &bytes[*at..at + len],
                Place::Shared(bytes) => bytes,
            },
        }));
        loose.clear();
        let in_head = head.iter().flat_map(|head| head.iter());
        in_head.filter(|(time_ms, _)| (from_ms..=to_ms).contains(time_ms)).for_each(|(t, v)| loose.push(t, v));
        each(index, &Pieces { chunks: &pieces, loose });
    }
    Ok(())
}

impl ReadBuffers {
    /// Collects the heads and chunks of all series, chunks ordered by series and then as they were written.
    fn gather(
        &mut self,
        shared: &Shared,
        partition: u8,
        series: &[SeriesRef],
        (from_ms, to_ms): (i64, i64),
    ) -> Result<(), StoreError> {
        self.ids.clear();
        self.ids.extend(series.iter().map(|one| one.id()));
        self.heads.clear();
        self.bytes.clear();
        self.found.clear();
        let mut unwritten = Vec::new();
        {
            // The views before the blocks: a chunk that moves in between is then seen twice and never missed.
            let views = shared.views[partition as usize].read();
            for (index, id) in self.ids.iter().enumerate() {
                let view = views.get(*id as usize);
                self.heads.push(view.map(|view| view.head.clone()));
                for chunk in view.into_iter().flat_map(|view| view.chunks_in(from_ms, to_ms)) {
                    let (start_ms, end_ms) = (chunk.start_ms, chunk.end_ms);
                    let place = Place::Shared(chunk.bytes.clone());
                    unwritten.push(Found { index: index as u32, start_ms, end_ms, place });
                }
            }
        }
        let Self { ids, bytes, found, .. } = self;
        shared.blocks.entries_of_many(partition, ids, from_ms, to_ms, &mut |entry| {
            let place = Place::Copied { at: bytes.len(), len: entry.chunk.len() };
            bytes.extend_from_slice(entry.chunk);
            // The ids given are those asked for, so the one searched for is there.
            let index = ids.partition_point(|id| *id < entry.id) as u32;
            found.push(Found { index, start_ms: entry.start_ms, end_ms: entry.end_ms, place });
        })?;
        found.append(&mut unwritten);
        found.sort_by_key(|found| found.index);
        Ok(())
    }
}

fn add_chunk(bytes: &[u8], from_ms: i64, to_ms: i64, out: &mut Samples) {
    let start = out.len();
    if let Err(error) = chunk::decode(bytes, &mut out.times, &mut out.values) {
        tracing::error!(?error, "damaged chunk passed over");
        out.times.truncate(start);
        out.values.truncate(start);
        return;
    }
    let end = start + out.times[start..].partition_point(|time_ms| *time_ms <= to_ms);
    out.times.truncate(end);
    out.values.truncate(end);
    let skipped = out.times[start..].partition_point(|time_ms| *time_ms < from_ms);
    out.times.drain(start..start + skipped);
    out.values.drain(start..start + skipped);
}

fn sort_and_unite(out: &mut Samples) {
    let mut samples: Vec<(i64, f64)> = out.times.iter().copied().zip(out.values.iter().copied()).collect();
    samples.sort_by_key(|(time_ms, _)| *time_ms);
    samples.dedup_by_key(|(time_ms, _)| *time_ms);
    out.clear();
    samples.into_iter().for_each(|(time_ms, value)| out.push(time_ms, value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_cut_to_the_closed_range() {
        let mut bytes = Vec::new();
        chunk::encode(&[10, 20, 30, 40], &[1.0, 2.0, 3.0, 4.0], &mut bytes);
        let mut out = Samples::default();
        out.push(5, 0.5);
        add_chunk(&bytes, 20, 30, &mut out);
        assert_eq!(out.times, [5, 20, 30]);
        assert_eq!(out.values, [0.5, 2.0, 3.0]);
        add_chunk(&bytes[..3], 0, 100, &mut out);
        assert_eq!(out.times, [5, 20, 30]);
    }

    #[test]
    fn overlapping_pieces_become_one_ascending_run() {
        let mut out = Samples { times: vec![30, 10, 30, 20], values: vec![3.0, 1.0, 3.0, 2.0] };
        sort_and_unite(&mut out);
        assert_eq!(out, Samples { times: vec![10, 20, 30], values: vec![1.0, 2.0, 3.0] });
    }
}
