//! A lane: a source's private side of routing, which gathers samples into one run of batches for each shard.
//!
//! Not here: the columns themselves (see `shard::batch`), what a series key is (see `translate`).
//!
//! Invariant: nothing is sent before the source says so, so that a request that turns out malformed leaves no trace;
//! samples of one series keep their order.

use crate::self_metrics::Source;
use crate::shard::{Batch, BatchPool, Observed, Reply, ShardDoor, SharedBytes, Submission, route, route_known};
use crossbeam_channel::TrySendError;
use storage::series::SeriesRef;

/// Samples in a full batch: 1 ms of a shard's time, so that its other work is never far away.
pub(super) const BATCH_SAMPLES: usize = 8192;

/// The ways to the shards, which every source has a clone of.
#[derive(Debug, Clone)]
pub struct Lanes {
    doors: Vec<ShardDoor>,
    pool: BatchPool,
}

impl Lanes {
    /// Lanes to these shards, in shard order.
    pub fn new(doors: Vec<ShardDoor>, pool: BatchPool) -> Self {
        Self { doors, pool }
    }

    /// Batches that wait for each shard, and the most that may.
    pub fn waiting(&self) -> Vec<(usize, usize)> {
        self.doors.iter().map(ShardDoor::waiting).collect()
    }

    /// A new, empty lane.
    pub fn lane(&self) -> Lane {
        Lane { lanes: self.clone(), batches: self.doors.iter().map(|_| Vec::new()).collect(), current: 0, lent: None }
    }
}

/// Why a batch did not get into its shard's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// The queue is full.
    Full,
    /// The shard has ended.
    Closed,
}

/// Batches under construction, for every shard.
#[derive(Debug)]
pub struct Lane {
    lanes: Lanes,
    batches: Vec<Vec<Batch>>,
    current: usize,
    lent: Option<SharedBytes>,
}

impl Lane {
    /// Lends the bytes that the keys to come lie in, so that no batch copies them.
    pub fn lend(&mut self, bytes: SharedBytes) {
        self.lent = Some(bytes);
    }

    fn empty_batch(&self) -> Batch {
        let mut batch = self.lanes.pool.take();
        self.lent.iter().for_each(|bytes| batch.lend(bytes.clone()));
        batch
    }

    /// Starts a run of samples of the series with this canonical key.
    #[inline]
    pub fn series(&mut self, key: &[u8]) {
        let (hash, shard) = route(key, self.lanes.doors.len());
        self.batch_of(shard).start_row(hash, key);
    }

    /// The same for a series that the store found this very key to be before.
    #[inline]
    pub fn known_series(&mut self, series: SeriesRef, key: &[u8]) {
        let shard = route_known(series, self.lanes.doors.len());
        self.batch_of(shard).start_known_row(series, key);
    }

    #[inline]
    fn batch_of(&mut self, shard: usize) -> &mut Batch {
        self.current = shard;
        if self.batches[shard].last().is_none_or(|batch| batch.samples_len() >= BATCH_SAMPLES) {
            let batch = self.empty_batch();
            self.batches[shard].push(batch);
        }
        self.batches[shard].last_mut().expect("a batch was pushed if there was none")
    }

    /// Adds a sample to the series started last; a full batch is followed by one that goes on with the same series.
    #[inline]
    pub fn sample(&mut self, time_ms: i64, value: f64) {
        let batches = &mut self.batches[self.current];
        if batches.last().is_some_and(|batch| batch.samples_len() >= BATCH_SAMPLES) {
            let mut next = self.lanes.pool.take();
            batches.last().into_iter().for_each(|full| next.go_on_from(full));
            batches.push(next);
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(time_ms, value);
        }
    }

    /// Adds what was observed of the series with this canonical key in the window of `received_ms`; for all of one window
    /// that is the same time.
    pub fn observe(&mut self, key: &[u8], observed: Observed, received_ms: i64) {
        let (hash, shard) = route(key, self.lanes.doors.len());
        let batches = &mut self.batches[shard];
        let has_room = |batch: &Batch| {
            let same_window = batch.observations.is_empty() || batch.observations.received_ms() == received_ms;
            batch.len() < BATCH_SAMPLES && same_window
        };
        if !batches.last().is_some_and(has_room) {
            batches.push(self.lanes.pool.take());
        }
        let batch = batches.last_mut().expect("a batch was pushed if there was none");
        batch.observations.push(hash, key, observed, received_ms);
    }

    /// How many batches there are to send.
    pub fn batches_len(&self) -> usize {
        self.batches.iter().map(Vec::len).sum()
    }

    /// Sends the batches that their shards have room for and keeps the others: for a source whose observations are
    /// counted already. Says whether all shards still live.
    pub fn offer(&mut self, source: Source) -> bool {
        let mut alive = true;
        for (door, batches) in self.lanes.doors.iter().zip(&mut self.batches) {
            let mut waiting = std::mem::take(batches).into_iter();
            for batch in waiting.by_ref() {
                match door.queue(Submission { batch, source, reply: Box::new(|_| {}) }) {
                    Ok(()) => continue,
                    Err(TrySendError::Full(refused)) => {
                        batches.push(refused.batch);
                        break;
                    }
                    Err(TrySendError::Disconnected(_)) => {
                        alive = false;
                        break;
                    }
                }
            }
            batches.extend(waiting);
        }
        alive
    }

    /// Sends every batch to its shard, which an only batch enters at once where it can. `reply` makes the answer's hearer for each; `refused` hears of a batch that did
    /// not get into its queue, with the number of its samples and observations.
    pub fn send(self, source: Source, mut reply: impl FnMut() -> Reply, mut refused: impl FnMut(SendError, u64)) {
        for (door, batches) in self.lanes.doors.iter().zip(self.batches) {
            // The second of several could overtake the first, and many would hold up the thread that brings them.
            let is_only = batches.len() == 1;
            for batch in batches {
                let samples = batch.len() as u64;
                let submission = Submission { batch, source, reply: reply() };
                match if is_only { door.bring(submission) } else { door.queue(submission) } {
                    Ok(()) => {}
                    Err(TrySendError::Full(_)) => refused(SendError::Full, samples),
                    Err(TrySendError::Disconnected(_)) => refused(SendError::Closed, samples),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    fn no_reply() -> Reply {
        Box::new(|_| {})
    }

    #[test]
    fn a_series_always_goes_to_the_same_shard() {
        let (queues, received): (Vec<_>, Vec<_>) = (0..3).map(|_| bounded(8)).unzip();
        let lanes = Lanes::new(queues.into_iter().map(ShardDoor::to_queue).collect(), BatchPool::new(4));
        for _ in 0..2 {
            let mut lane = lanes.lane();
            lane.series(b"some key");
            lane.sample(1, 1.0);
            lane.send(Source::RemoteWrite, no_reply, |_, _| panic!("queues have room"));
        }
        let counts: Vec<_> = received.iter().map(|queue| queue.len()).collect();
        assert_eq!(counts.iter().sum::<usize>(), 2);
        assert!(counts.contains(&2));
    }

    #[test]
    fn what_a_full_queue_does_not_take_is_offered_again() {
        let (queue, received) = bounded(1);
        let lanes = Lanes::new(vec![ShardDoor::to_queue(queue)], BatchPool::new(4));
        let mut lane = lanes.lane();
        for time_ms in 0..=2 * BATCH_SAMPLES as i64 {
            lane.observe(b"some key", Observed::Count(time_ms as f64), 1);
        }
        for (left, rows) in [(2, BATCH_SAMPLES), (1, BATCH_SAMPLES), (0, 1)] {
            assert!(lane.offer(Source::StatsD));
            assert_eq!((lane.batches_len(), received.recv().unwrap().batch.len()), (left, rows));
        }
        lane.observe(b"some key", Observed::Count(1.0), 0);
        drop(received);
        assert!(!lane.offer(Source::StatsD));
    }

    #[test]
    fn a_full_queue_is_reported_with_its_samples() {
        let (queue, received) = bounded(1);
        let lanes = Lanes::new(vec![ShardDoor::to_queue(queue)], BatchPool::new(4));
        let mut lane = lanes.lane();
        lane.series(b"some key");
        (0..=BATCH_SAMPLES as i64).for_each(|time_ms| lane.sample(time_ms, 0.0));
        let mut refused = Vec::new();
        lane.send(Source::RemoteWrite, no_reply, |error, samples| refused.push((error, samples)));
        assert_eq!(refused, [(SendError::Full, 1)], "the sample that did not fit the first batch");
        let first = received.recv().unwrap().batch;
        assert_eq!(first.rows().map(|(row, _)| row.times.len()).sum::<usize>(), BATCH_SAMPLES);
    }
}
