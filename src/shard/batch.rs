//! Columns in flight: samples of many series, and observations for their windows, on their way from a lane to a shard.
//!
//! Not here: which shard a series belongs to (see `ingest::lane`).
//!
//! Invariant: `rows` are in order and end where their samples end, so a row's samples begin where those before end.
//!
//! Cost: a key that lies in the lent bytes is not copied (about 25 ns for 250 bytes, most of them the misses of reading
//! and writing it); buffers go back to the pool and are not allocated again.

use super::observations::Observations;
use super::shared_bytes::SharedBytes;
use crate::self_metrics::Source;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::ops::Range;
use storage::series::SeriesRef;
use storage::{Row, StoreError, Tally};

/// What a lane knows of the series of a row besides its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// The key's hash.
    Hash(u64),
    /// What the store found the key to be before.
    Known(SeriesRef),
}

#[derive(Debug, Clone, Copy)]
struct RowEnd {
    named: Named,
    key_start: u32,
    key_end: u32,
    samples_end: u32,
    /// Whether the key lies in the lent bytes.
    is_lent: bool,
}

/// Samples of many series as columns.
#[derive(Debug, Default)]
pub struct Batch {
    keys: Vec<u8>,
    lent: Option<SharedBytes>,
    rows: Vec<RowEnd>,
    times: Vec<i64>,
    values: Vec<f64>,
    /// What belongs into windows; remote write has none.
    pub observations: Observations,
}

impl Batch {
    /// Lends bytes, in which keys that lie there are read from now on.
    pub fn lend(&mut self, bytes: SharedBytes) {
        debug_assert!(self.rows.is_empty(), "earlier rows would be read in other bytes");
        self.lent = Some(bytes);
    }

    /// Starts a row for a series; the samples that follow are its own.
    #[inline]
    pub fn start_row(&mut self, hash: u64, key: &[u8]) {
        self.start(Named::Hash(hash), key);
    }

    /// The same for a series that the store found this very key to be before.
    #[inline]
    pub fn start_known_row(&mut self, series: SeriesRef, key: &[u8]) {
        self.start(Named::Known(series), key);
    }

    /// Starts a row that goes on with the last series of another batch.
    pub fn go_on_from(&mut self, other: &Self) {
        if let Some(row) = other.rows.last() {
            self.start(row.named, other.key(row));
        }
    }

    #[inline]
    fn start(&mut self, named: Named, key: &[u8]) {
        let lent = self.lent.as_ref().and_then(|lent| lent.place_of(key));
        let is_lent = lent.is_some();
        let place = lent.unwrap_or_else(|| {
            let start = self.keys.len() as u32;
            self.keys.extend_from_slice(key);
            start..self.keys.len() as u32
        });
        let samples_end = self.times.len() as u32;
        self.rows.push(RowEnd { named, key_start: place.start, key_end: place.end, samples_end, is_lent });
    }

    /// Adds a sample to the row started last.
    #[inline]
    pub fn push(&mut self, time_ms: i64, value: f64) {
        self.times.push(time_ms);
        self.values.push(value);
        if let Some(row) = self.rows.last_mut() {
            row.samples_end += 1;
        }
    }

    #[inline]
    fn key(&self, row: &RowEnd) -> &[u8] {
        let bytes = if row.is_lent { self.lent.as_deref().unwrap_or_default() } else { &self.keys };
        &bytes[row.key_start as usize..row.key_end as usize]
    }

    /// How many samples it holds.
    pub fn samples_len(&self) -> usize {
        self.times.len()
    }

    /// How many samples and observations it holds.
    pub fn len(&self) -> usize {
        self.times.len() + self.observations.len()
    }

    /// Whether it holds neither.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows in the order they were started, each with what the store found its key to be before; the hash is 0 then.
    pub fn rows(&self) -> impl Iterator<Item = (Row<'_>, Option<SeriesRef>)> {
        let mut samples_start = 0;
        self.rows.iter().map(move |row| {
            let samples_end = row.samples_end as usize;
            let (hash, known) = match row.named {
                Named::Hash(hash) => (hash, None),
                Named::Known(series) => (0, Some(series)),
            };
            let view = Row {
                hash,
                key: self.key(row),
                times: &self.times[samples_start..samples_end],
                values: &self.values[samples_start..samples_end],
            };
            samples_start = samples_end;
            (view, known)
        })
    }

    /// What is learnt when the store found a row of this batch by its key; nothing when the key does not lie in the lent
    /// bytes, for then nobody asks.
    pub(super) fn learnt(&self, row: &Row<'_>, series: SeriesRef) -> Option<Learnt> {
        let key = self.lent.as_ref()?.place_of(row.key)?;
        Some(Learnt { key, hash: row.hash, series })
    }

    pub(super) fn clear(&mut self) {
        self.observations.clear();
        self.lent = None;
        self.keys.clear();
        self.rows.clear();
        self.times.clear();
        self.values.clear();
    }
}

/// A series that the store found by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learnt {
    /// Where in the lent bytes its key lies.
    pub key: Range<u32>,
    /// `storage::series::hash` of the key.
    pub hash: u64,
    /// What it is; never another series' as long as the process lives.
    pub series: SeriesRef,
}

/// What a shard made of a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// What became of its samples.
    pub tally: Tally,
    /// Series whose keys lie in the lent bytes and had to be looked up.
    pub learnt: Vec<Learnt>,
}

/// Hears what became of a batch, when all of it is durable or refused; called on a thread that must not be held up.
pub type Reply = Box<dyn FnOnce(Result<Stored, StoreError>) + Send>;

/// A batch with where it came from and who waits for it.
pub struct Submission {
    /// The samples.
    pub batch: Batch,
    /// The source they are counted under.
    pub source: Source,
    /// Who waits.
    pub reply: Reply,
}

/// Used batches that wait to be used again.
#[derive(Debug, Clone)]
pub struct BatchPool {
    free: Receiver<Batch>,
    used: Sender<Batch>,
}

impl BatchPool {
    /// A pool that keeps at most `batches_max`; more are freed.
    pub fn new(batches_max: usize) -> Self {
        let (used, free) = bounded(batches_max);
        Self { free, used }
    }

    /// An empty batch.
    pub fn take(&self) -> Batch {
        self.free.try_recv().unwrap_or_default()
    }

    /// Gives a batch back.
    pub fn give(&self, mut batch: Batch) {
        batch.clear();
        // A full pool means that this one is not needed again.
        let _ = self.used.try_send(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::{BytesPool, Observed};

    #[test]
    fn rows_carry_their_own_key_and_samples() {
        let mut batch = Batch::default();
        batch.start_row(1, b"one");
        batch.push(10, 1.0);
        batch.push(20, 2.0);
        batch.start_row(2, b"second");
        batch.push(30, 3.0);
        let rows: Vec<_> =
            batch.rows().map(|(r, _)| (r.hash, r.key.to_vec(), r.times.to_vec(), r.values.to_vec())).collect();
        assert_eq!(rows[0], (1, b"one".to_vec(), vec![10, 20], vec![1.0, 2.0]));
        assert_eq!(rows[1], (2, b"second".to_vec(), vec![30], vec![3.0]));
        assert_eq!((rows.len(), batch.samples_len()), (2, 3));
        let mut next = Batch::default();
        next.go_on_from(&batch);
        assert_eq!(
            next.rows().map(|(row, _)| (row.hash, row.key.to_vec())).collect::<Vec<_>>(),
            [(2, b"second".to_vec())]
        );
    }

    #[test]
    fn keys_are_read_where_they_lie_or_from_their_copy() {
        let body = BytesPool::new(1).share(b"..first..third".to_vec());
        let mut batch = Batch::default();
        batch.lend(body.clone());
        for key in [&body[2..7], b"second", &body[9..]] {
            batch.start_row(7, key);
            batch.push(1, 1.0);
        }
        assert_eq!(batch.keys, b"second", "only what is not lent is copied");
        let keys: Vec<_> = batch.rows().map(|(row, _)| row.key).collect();
        assert_eq!(keys, [&b"first"[..], b"second", b"third"]);
        let learnt: Vec<_> = batch.rows().filter_map(|(row, _)| batch.learnt(&row, SeriesRef(9))).collect();
        let expected = [2..7, 9..14].map(|key| Learnt { key, hash: 7, series: SeriesRef(9) });
        assert_eq!(learnt, expected, "of what is lent it can be said where it lies");
    }

    #[test]
    fn a_known_series_goes_by_its_reference() {
        let mut batch = Batch::default();
        batch.start_known_row(SeriesRef(5), b"one");
        batch.push(10, 1.0);
        let mut next = Batch::default();
        next.go_on_from(&batch);
        for batch in [batch, next] {
            let rows: Vec<_> = batch.rows().map(|(row, known)| (row.key.to_vec(), known)).collect();
            assert_eq!(rows, [(b"one".to_vec(), Some(SeriesRef(5)))]);
        }
    }

    #[test]
    fn a_batch_from_the_pool_is_empty() {
        let pool = BatchPool::new(1);
        let mut batch = pool.take();
        batch.start_row(1, b"one");
        batch.push(10, 1.0);
        batch.observations.push(1, b"one", Observed::Count(1.0), 10);
        pool.give(batch);
        let again = pool.take();
        assert_eq!((again.rows().count(), again.len()), (0, 0));
    }
}
