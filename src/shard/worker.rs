//! A shard's thread: takes batches and the keeper's tasks in turn until both have ended.
//!
//! Not here: what appending does (see `storage`), where batches come from (see `ingest`).
//!
//! Invariant: a batch is appended and handed to the journal in one go, so a task never sees half of one. A batch holds
//! at most a lane's `BATCH_SAMPLES`, which keeps a turn below 5 ms.

use super::accounting::count;
use super::batch::{BatchPool, Submission};
use crate::clock;
use crate::self_metrics::{Drop, SelfMetrics};
use crossbeam_channel::{Receiver, never, select};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use storage::{ShardStore, StoreError};

/// A running shard.
#[derive(Debug)]
pub struct ShardHandle(JoinHandle<()>);

impl ShardHandle {
    /// Waits for the shard to end, which it does when its queue and its tasks have.
    ///
    /// # Errors
    /// When the shard's thread panicked.
    pub fn join(self) -> Result<(), StoreError> {
        self.0.join().map_err(|_| StoreError::Closed)
    }
}

/// Starts the thread `shard-N`.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    number: usize,
    store: ShardStore,
    queue: Receiver<Submission>,
    pool: BatchPool,
    metrics: Arc<SelfMetrics>,
) -> std::io::Result<ShardHandle> {
    let worker = Worker { store, pool, metrics };
    thread::Builder::new().name(format!("shard-{number}")).spawn(move || worker.run(queue)).map(ShardHandle)
}

struct Worker {
    store: ShardStore,
    pool: BatchPool,
    metrics: Arc<SelfMetrics>,
}

impl Worker {
    fn run(mut self, mut queue: Receiver<Submission>) {
        let mut tasks = self.store.tasks().clone();
        let (mut queue_open, mut tasks_open) = (true, true);
        while queue_open || tasks_open {
            select! {
                recv(queue) -> submission => match submission {
                    Ok(submission) => self.append(submission),
                    Err(_) => (queue, queue_open) = (never(), false),
                },
                recv(tasks) -> task => match task {
                    Ok(task) => task(&mut self.store),
                    Err(_) => (tasks, tasks_open) = (never(), false),
                },
            }
        }
    }

    fn append(&mut self, submission: Submission) {
        let Submission { batch, source, reply } = submission;
        let counters = self.metrics.of(source);
        match self.store.append(clock::now_ms(), batch.rows()) {
            Ok(tally) => {
                count(counters, &tally);
                self.store.commit(Box::new(move |result| {
                    reply(result.map(|()| tally).map_err(|error| StoreError::NotWriting { what: error.to_string() }));
                }));
            }
            Err(error) => {
                counters.add_dropped(Drop::NotWriting, batch.samples_len() as u64);
                reply(Err(error));
            }
        }
        self.pool.give(batch);
    }
}
