//! A shard's thread: takes queued batches and the keeper's tasks in turn until both have ended, closes windows in between,
//! and lends models at each tick. Most batches of requests do not come by it (see `door`).
//!
//! Not here: what appending does (see `storage`), scoring (see `scoring`), where batches come from (see `ingest`).
//!
//! Invariant: a batch is appended and handed to the journal under one holding of the lock, so a task never sees half of
//! one and records of a partition reach the journal in the order in which they were applied. A batch holds
//! at most a lane's `BATCH_SAMPLES`, and a slice of closing as little, which keeps a turn below 5 ms.

use super::accounting::count;
use super::batch::{Batch, BatchPool, Learnt, Reply, Stored, Submission};
use super::door::ShardDoor;
use super::peers::Peers;
use super::score::ScoringContext;
use super::scoring::Scoring;
use super::window::{WindowSettings, Windows};
use crate::clock;
use crate::self_metrics::{DropReason, SelfMetrics, SourceCounters};
use crossbeam_channel::{Receiver, bounded, never, select};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use storage::{Row, ShardStore, StoreError, Tally};

/// How often a shard's thread without work looks whether a window has ended, models are to be lent or have come back: often
/// enough for a tick of scoring not to come a whole tick late.
const TICK: Duration = Duration::from_millis(50);

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

/// Starts the thread `shard-N`, for which so many batches may wait; without a context nothing is scored.
///
/// # Errors
/// When the system gives no thread.
#[expect(clippy::too_many_arguments, reason = "each is a part that the assembly point builds, and all are different")]
pub fn spawn(
    number: usize,
    store: ShardStore,
    queue_batches: usize,
    pool: BatchPool,
    metrics: Arc<SelfMetrics>,
    windows: WindowSettings,
    peers: Peers,
    scoring: Option<Arc<ScoringContext>>,
) -> std::io::Result<(ShardHandle, ShardDoor)> {
    let scoring = scoring.map(|context| Scoring::new(context, number, peers.shards(), &store));
    let worker = Arc::new(Mutex::new(Worker::new(store, pool, metrics, windows, peers, scoring)));
    let (sender, queue) = bounded(queue_batches);
    let door = ShardDoor::new(sender, worker.clone());
    let thread = thread::Builder::new().name(format!("shard-{number}")).spawn(move || run(&worker, queue))?;
    Ok((ShardHandle(thread), door))
}

/// The shard, for as long as somebody works on it.
///
/// # Panics
/// When somebody who brought a batch left the shard by a panic: nothing is known of its state then, and its thread ends.
fn hold(worker: &Mutex<Worker>) -> MutexGuard<'_, Worker> {
    worker.lock().expect("whoever works on a shard does not panic")
}

fn run(worker: &Mutex<Worker>, mut queue: Receiver<Submission>) {
    let (mut tasks, mut closed_elsewhere) = {
        let worker = hold(worker);
        (worker.store.tasks().clone(), worker.peers.queue())
    };
    let (mut queue_open, mut tasks_open, mut peers_open) = (true, true, true);
    let mut is_closing = false;
    while queue_open || tasks_open || peers_open {
        let patience = if is_closing { Duration::ZERO } else { TICK };
        select! {
            recv(queue) -> submission => match submission {
                Ok(submission) => hold(worker).take(submission),
                Err(_) => {
                    (queue, queue_open) = (never(), false);
                    hold(worker).stop();
                }
            },
            recv(tasks) -> task => match task {
                Ok(task) => task(&mut hold(worker).store),
                Err(_) => (tasks, tasks_open) = (never(), false),
            },
            recv(closed_elsewhere) -> batch => match batch {
                Ok(batch) => hold(worker).store_samples(&batch),
                Err(_) => (closed_elsewhere, peers_open) = (never(), false),
            },
            default(patience) => {}
        }
        is_closing = hold(worker).look_around(clock::now_ms());
    }
    let scoring = hold(worker).scoring.take();
    if let Some(scoring) = scoring {
        scoring.finish();
    }
}

/// What a shard consists of.
#[derive(Debug)]
pub(super) struct Worker {
    store: ShardStore,
    pool: BatchPool,
    metrics: Arc<SelfMetrics>,
    windows: Windows,
    peers: Peers,
    scoring: Option<Scoring>,
}

impl Worker {
    /// The parts, put together.
    pub(super) fn new(
        store: ShardStore,
        pool: BatchPool,
        metrics: Arc<SelfMetrics>,
        windows: WindowSettings,
        peers: Peers,
        scoring: Option<Scoring>,
    ) -> Self {
        let windows = Windows::new(windows, peers.closed());
        Self { store, pool, metrics, windows, peers, scoring }
    }

    /// Closes windows that are due and lends models at a tick; whether there are more windows to close at once.
    fn look_around(&mut self, now_ms: i64) -> bool {
        self.windows.close_due(now_ms);
        self.store_closed();
        self.score(now_ms);
        self.windows.is_closing()
    }

    /// Nobody brings batches any more.
    fn stop(&mut self) {
        self.close_all_windows();
        self.peers.close();
    }

    /// Whether [`Self::take`] would not have to wait for the journal.
    pub(super) fn can_commit_at_once(&self) -> bool {
        self.store.can_commit_at_once()
    }

    fn score(&mut self, now_ms: i64) {
        let expired = self.store.take_expired();
        if let Some(scoring) = &mut self.scoring {
            scoring.expire(&expired);
            scoring.tick(now_ms, self.store.newest_ms());
        }
    }

    /// Appends a batch and hands it to the journal.
    pub(super) fn take(&mut self, submission: Submission) {
        let Submission { mut batch, source, reply } = submission;
        let metrics = self.metrics.clone();
        let counters = metrics.of(source);
        self.windows.observe(&mut batch.observations);
        if batch.samples_len() > 0 {
            self.append(&batch, counters, reply);
        } else {
            reply(Ok(Stored::default()));
        }
        self.pool.give(batch);
    }

    fn append(&mut self, batch: &Batch, counters: &SourceCounters, reply: Reply) {
        let mut learnt = Vec::new();
        match append(&mut self.store, self.scoring.as_mut(), batch, &mut learnt) {
            Ok(tally) => {
                count(counters, &tally);
                let stored = Stored { tally, learnt };
                self.store.commit(Box::new(move |result| {
                    reply(result.map(|()| stored).map_err(|error| StoreError::NotWriting { what: error.to_string() }));
                }));
            }
            Err(error) => {
                counters.add_dropped(DropReason::NotWriting, batch.samples_len() as u64);
                reply(Err(error));
            }
        }
    }

    /// Stores what closing windows gave; they are samples of ours, outside the accounting of observations.
    fn store_closed(&mut self) {
        let refused = self.peers.send(&mut self.windows.closed);
        self.metrics.statsd.window_samples_refused.fetch_add(refused, Ordering::Relaxed);
        let own = std::mem::take(self.windows.closed.own());
        if own.samples_len() > 0 {
            self.store_samples(&own);
        }
        let kept = self.windows.closed.own();
        *kept = own;
        kept.clear();
    }

    fn store_samples(&mut self, batch: &Batch) {
        let samples = batch.samples_len() as u64;
        let counters = &self.metrics.statsd;
        match append(&mut self.store, self.scoring.as_mut(), batch, &mut Vec::new()) {
            Ok(tally) => {
                counters.window_samples.fetch_add(tally.stored, Ordering::Relaxed);
                counters.window_samples_refused.fetch_add(samples - tally.stored, Ordering::Relaxed);
                self.store.commit(Box::new(|result| {
                    if let Err(error) = result {
                        tracing::error!(%error, "samples of closed windows are not durable");
                    }
                }));
            }
            Err(error) => {
                counters.window_samples_refused.fetch_add(samples, Ordering::Relaxed);
                tracing::error!(%error, samples, "samples of closed windows are lost");
            }
        }
    }

    /// Nobody sends any more: what the open windows hold is stored at once.
    fn close_all_windows(&mut self) {
        let now_ms = clock::now_ms();
        loop {
            self.windows.close_all(now_ms);
            self.store_closed();
            if !self.windows.is_closing() {
                return;
            }
        }
    }
}

/// Appends a batch's samples, and gathers what is to be scored and what was learnt of its keys.
fn append(
    store: &mut ShardStore,
    scoring: Option<&mut Scoring>,
    batch: &Batch,
    learnt: &mut Vec<Learnt>,
) -> Result<Tally, StoreError> {
    let now_ms = clock::now_ms();
    let learn = |row: &Row<'_>, series| learnt.extend(batch.learnt(row, series));
    let Some(scoring) = scoring else { return store.append_known(now_ms, batch.rows(), |_, _, _| {}, learn) };
    scoring.begin(now_ms);
    store.append_known(now_ms, batch.rows(), |series, time_ms, value| scoring.add(series, time_ms, value), learn)
}
