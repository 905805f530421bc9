//! The door of a shard: a batch that finds the shard idle is appended by whoever brings it, any other waits in its queue.
//!
//! Waking a shard, its waking the committer from another core, and fetching the batch into that core's caches cost more
//! than appending it: with 10 k series and two cores a sixth of all processor time, 0.32 against 0.27 CPU-s per million
//! samples in turns on a busy machine (`loadtest write`, models off), and a quarter of the system calls on locks.
//!
//! Not here: what a shard does with a batch (see `worker`), which batches may go in (see `ingest::lane`).
//!
//! Invariants: one at a time works on a shard, and that is whoever holds its lock; nobody who brings a batch waits, neither
//! for that lock nor for the journal; a shard that somebody left by a panic takes nothing any more.

use super::batch::Submission;
use super::worker::Worker;
use crossbeam_channel::{Sender, TrySendError};
use std::sync::{Arc, Mutex, TryLockError};

/// A way into a shard.
#[derive(Debug, Clone)]
pub struct ShardDoor {
    queue: Sender<Submission>,
    /// None behind a door that leads to a queue only.
    worker: Option<Arc<Mutex<Worker>>>,
}

#[expect(clippy::result_large_err, reason = "a batch that found no room is its sender's again, as channels have it")]
impl ShardDoor {
    pub(super) fn new(queue: Sender<Submission>, worker: Arc<Mutex<Worker>>) -> Self {
        Self { queue, worker: Some(worker) }
    }

    /// A door behind which nobody works: what lanes are tested with.
    #[cfg(test)]
    pub(crate) fn to_queue(queue: Sender<Submission>) -> Self {
        Self { queue, worker: None }
    }

    /// Brings a batch in: appends it at once when the shard is idle and has nothing waiting, else queues it. Takes the
    /// caller as long as appending takes, below 5 ms; must not be called for the second batch of a series' samples, which
    /// could overtake the first.
    ///
    /// # Errors
    /// As [`Self::queue`].
    pub fn bring(&self, submission: Submission) -> Result<(), TrySendError<Submission>> {
        let Some(worker) = self.worker.as_ref().filter(|_| self.queue.is_empty()) else {
            return self.queue(submission);
        };
        match worker.try_lock() {
            Ok(mut worker) if worker.can_commit_at_once() => {
                worker.take(submission);
                Ok(())
            }
            Ok(_) | Err(TryLockError::WouldBlock) => self.queue(submission),
            Err(TryLockError::Poisoned(_)) => Err(TrySendError::Disconnected(submission)),
        }
    }

    /// Batches that wait, and the most that may.
    pub fn waiting(&self) -> (usize, usize) {
        (self.queue.len(), self.queue.capacity().unwrap_or(0))
    }

    /// Puts a batch into the shard's queue.
    ///
    /// # Errors
    /// With the batch, when the queue is full or the shard has ended.
    pub fn queue(&self, submission: Submission) -> Result<(), TrySendError<Submission>> {
        self.queue.try_send(submission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::self_metrics::{SelfMetrics, Source};
    use crate::shard::{Batch, BatchPool, Peers, Quantiles, Stored, WindowSettings};
    use crossbeam_channel::{Receiver, bounded};
    use storage::series::KeyBuilder;
    use storage::{Settings, StoreError, StoreThreads, route};

    /// A shard without its thread, so that what is queued stays there.
    struct Bench {
        door: ShardDoor,
        worker: Arc<Mutex<Worker>>,
        queue: Receiver<Submission>,
        metrics: Arc<SelfMetrics>,
        _store: (StoreThreads, tempfile::TempDir),
    }

    impl Bench {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let mut opened = storage::open(Settings::new(home.path())).unwrap();
            let metrics = Arc::new(SelfMetrics::default());
            let windows = WindowSettings { window_ms: 10_000, idle_ms: 30_000, quantiles: Quantiles::of(&[]) };
            let peers = Peers::among(1).pop().unwrap();
            let store = opened.shards.pop().unwrap();
            let worker = Worker::new(store, BatchPool::new(4), metrics.clone(), windows, peers, None);
            let (sender, queue) = bounded(2);
            let worker = Arc::new(Mutex::new(worker));
            let door = ShardDoor::new(sender, worker.clone());
            Self { door, worker, queue, metrics, _store: (opened.threads, home) }
        }

        /// Brings one sample; the answer's hearer or, refused, whether for want of room.
        fn bring(&self, time_ms: i64) -> Result<Receiver<Result<Stored, StoreError>>, bool> {
            let mut keys = KeyBuilder::default();
            keys.push("__name__", "up");
            let key = keys.finish().unwrap();
            let mut batch = Batch::default();
            batch.start_row(route(key, 1).0, key);
            batch.push(time_ms, 1.0);
            let (answer, heard) = bounded(1);
            let reply = Box::new(move |outcome| answer.send(outcome).unwrap());
            let brought = self.door.bring(Submission { batch, source: Source::Json, reply });
            brought.map(|()| heard).map_err(|refused| refused.is_full())
        }

        fn stored(&self) -> u64 {
            self.metrics.of(Source::Json).stored()
        }
    }

    #[test]
    fn a_batch_goes_in_at_once_unless_somebody_works_or_others_wait() {
        let bench = Bench::new();
        let heard = bench.bring(1).unwrap();
        assert_eq!((bench.stored(), bench.queue.len()), (1, 0));
        assert_eq!(heard.recv().unwrap().unwrap().tally.stored, 1);
        let held = bench.worker.lock().unwrap();
        bench.bring(2).unwrap();
        assert_eq!((bench.stored(), bench.queue.len()), (1, 1), "somebody works");
        drop(held);
        bench.bring(3).unwrap();
        assert_eq!((bench.stored(), bench.queue.len()), (1, 2), "others wait");
        assert_eq!(bench.bring(4).err(), Some(true));
    }

    #[test]
    fn a_shard_that_was_left_by_a_panic_takes_nothing_any_more() {
        let bench = Bench::new();
        let broken = || {
            let _held = bench.worker.lock().unwrap();
            panic!("as if appending were broken");
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(broken)).is_err());
        assert_eq!(bench.bring(1).err(), Some(false));
        assert_eq!(bench.stored(), 0);
    }
}
