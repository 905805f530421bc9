//! Samples of closed windows on their way to the shard that owns their series: `NAME_sum` need not live where `NAME` does.
//!
//! Not here: observations, which go to the shard of the series they name (see `ingest::lane`).
//!
//! Invariant: a shard never waits for another, so that no two can wait for each other: what does not fit is refused.

use super::batch::Batch;
use crossbeam_channel::{Receiver, Sender, bounded};
use storage::route;

/// Batches that may wait for a shard, each at most one slice of closing.
const QUEUE_BATCHES: usize = 1024;

/// One shard's ways to the others, and its own queue.
#[derive(Debug)]
pub struct Peers {
    own: usize,
    to: Vec<Sender<Batch>>,
    from: Receiver<Batch>,
}

impl Peers {
    /// The ways among so many shards, in shard order.
    pub fn among(shards: usize) -> Vec<Self> {
        let (to, from): (Vec<_>, Vec<_>) = (0..shards).map(|_| bounded(QUEUE_BATCHES)).unzip();
        from.into_iter().enumerate().map(|(own, from)| Self { own, to: to.clone(), from }).collect()
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> usize {
        self.to.len()
    }

    /// The batches that others send; it ends when all of them have said [`Self::close`].
    pub(super) fn queue(&self) -> Receiver<Batch> {
        self.from.clone()
    }

    /// Room for closed samples of all shards.
    pub(super) fn closed(&self) -> Closed {
        Closed { own: self.own, batches: self.to.iter().map(|_| Batch::default()).collect() }
    }

    /// Sends what belongs to others; returns how many samples found no room.
    pub(super) fn send(&self, closed: &mut Closed) -> u64 {
        let mut refused = 0;
        for (at, batch) in closed.batches.iter_mut().enumerate() {
            if at == self.own || batch.is_empty() {
                continue;
            }
            let samples = batch.samples_len() as u64;
            if self.to.get(at).is_none_or(|to| to.try_send(std::mem::take(batch)).is_err()) {
                refused += samples;
            }
        }
        refused
    }

    /// Nothing will be sent any more.
    pub(super) fn close(&mut self) {
        self.to.clear();
    }
}

/// Samples of closed windows, by the shard that owns their series.
#[derive(Debug)]
pub(super) struct Closed {
    own: usize,
    batches: Vec<Batch>,
}

impl Closed {
    /// Adds a sample of a series of this shard.
    pub(super) fn push_own(&mut self, hash: u64, key: &[u8], time_ms: i64, value: f64) {
        let batch = &mut self.batches[self.own];
        batch.start_row(hash, key);
        batch.push(time_ms, value);
    }

    /// Adds a sample of any series.
    pub(super) fn push(&mut self, key: &[u8], time_ms: i64, value: f64) {
        let (hash, shard) = route(key, self.batches.len());
        self.batches[shard].start_row(hash, key);
        self.batches[shard].push(time_ms, value);
    }

    /// The samples of this shard's own series.
    pub(super) fn own(&mut self) -> &mut Batch {
        &mut self.batches[self.own]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_goes_to_the_shard_of_its_series_and_queues_end_when_all_have_closed() {
        let mut peers = Peers::among(2);
        let mut closed = peers[0].closed();
        (0..100u32).for_each(|key| closed.push(&key.to_le_bytes(), 1, 2.0));
        let own = closed.own().samples_len();
        assert_eq!(peers[0].send(&mut closed), 0);
        let queue = peers[1].queue();
        assert_eq!(queue.recv().unwrap().samples_len() + own, 100);
        assert!(own > 0 && own < 100);
        peers.iter_mut().for_each(Peers::close);
        assert!(queue.recv().is_err());
    }
}
