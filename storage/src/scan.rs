//! Reading the samples of a series: blocks, chunks not yet in a block, and the open head become one ascending run.
//!
//! Not here: which series are asked for (see `store`), evaluation of expressions.
//!
//! Invariant: the pieces are disjoint in time but for the moment between the writing of a block and the forgetting
//! of its chunks, and after a replay; then they agree, so any one of equal times may be kept.

use crate::StoreError;
use crate::chunk;
use crate::sample::Samples;
use crate::series::SeriesRef;
use crate::store::Store;
use std::sync::Arc;

impl Store {
    /// Samples of one series in `from_ms..=to_ms`, ascending and unique in time; `out` is cleared first.
    ///
    /// # Errors
    /// When blocks cannot be read; a damaged chunk is logged and passed over.
    pub fn read(&self, series: SeriesRef, from_ms: i64, to_ms: i64, out: &mut Samples) -> Result<(), StoreError> {
        out.clear();
        let shared = self.shared();
        // The view before the blocks: a chunk that moves in between is then seen twice and never missed.
        let (head, chunks) = {
            let views = shared.views[series.partition() as usize].read();
            let Some(view) = views.get(series.id() as usize) else { return Ok(()) };
            let chunks: Vec<Arc<[u8]>> = view.chunks_in(from_ms, to_ms).map(|chunk| chunk.bytes.clone()).collect();
            (view.head.clone(), chunks)
        };
        shared.blocks.chunks(series, from_ms, to_ms, &mut |bytes| add_chunk(bytes, from_ms, to_ms, out))?;
        for bytes in chunks {
            add_chunk(&bytes, from_ms, to_ms, out);
        }
        for (time_ms, value) in head.iter().filter(|(time_ms, _)| (from_ms..=to_ms).contains(time_ms)) {
            out.push(time_ms, value);
        }
        if !out.times.is_sorted_by(|a, b| a < b) {
            sort_and_unite(out);
        }
        Ok(())
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
