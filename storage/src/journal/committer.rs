//! The committer: the one thread that writes the journal, syncs it once for all who wait, and wakes them.
//!
//! ```text
//!  wait for a submission (or, while failing, for the next attempt)
//!   -> gather what else is queued, at most `group_wait` or `group_bytes`
//!   -> write, fdatasync, call every `done`
//!   -> start a new segment when this one is long enough
//! ```
//!
//! When the disk fails, every `done` of the group gets the error at once but its bytes stay pending: heads in memory
//! hold those samples already, so nothing that leans on them may be acknowledged before they are durable. The
//! segment is left at its last synced byte and never written again, because what the page cache says after a failed
//! sync is worth nothing; the pending bytes, and behind them whatever is still submitted, go into a new segment,
//! tried every 200 ms. Shards see the state and refuse new samples, which bounds what can become pending.
//!
//! Cost: a group costs one copy of its bytes (0.1 ns each), one write and one sync; nothing here is per sample.
//! Waiting for company buys nothing: while one group is synced the next one gathers. With four submitters
//! `benches/journal.rs` counts 82-88 us of CPU a request at a wait of 0, 102-108 at 1 ms, 99-121 at 2 ms. Reserving
//! room with `set_len` did not make the sync cheaper either (8 KB and a sync: p10 180 us without, 188 us with).
//!
//! Not here: what callers hold (see `handle`), the file operations (see `folder`), the clock: waiting is the
//! channels' business.
//!
//! Invariant: `group` holds exactly the submitted bytes that are not durable, in the order of submission.

use super::folder::{Folder, SegmentFile};
use super::segment::{HEADER_BYTES, Header, Segment};
use crate::StoreError;
use crate::watchdog::Beat;
use crossbeam_channel::{Receiver, Sender, after, select};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the committer waits before it tries a failing disk again.
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// How long it waits before it looks whether a folder that is left out works again.
const MEND_EVERY: Duration = Duration::from_secs(2);

/// Buffers longer than this are freed, not handed back to the shards.
const RECYCLED_BYTES_MAX: usize = 1 << 20;

/// Called exactly once with the fate of a submission, on the committer's thread unless the journal is closed; must
/// neither block nor panic.
pub type Committed = Box<dyn FnOnce(Result<(), CommitError>) + Send>;

/// Why a submission is not durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The disk refused; the records stay pending and will be written when it works again.
    #[error("the journal cannot be written: {what}")]
    Failing {
        /// What was refused, on which file, in the system's words.
        what: Arc<str>,
    },
    /// The journal was closed before the submission was taken.
    #[error("the journal is closed")]
    Closed,
}

/// What the handles send.
pub(super) enum Message {
    /// Records to commit.
    Submit(Submission),
    /// Start a new segment unless the open one is empty.
    Rotate,
    /// Commit what came before and end.
    Close,
}

/// Records of one shard and who waits for them.
pub(super) struct Submission {
    pub(super) records: Vec<u8>,
    pub(super) last_seq: u64,
    pub(super) waiter: Waiter,
}

/// A promise that `done` is called exactly once: whoever drops it unanswered says that the journal is closed.
pub(super) struct Waiter(Option<Committed>);

impl Waiter {
    /// Takes the promise on.
    pub(super) fn new(done: Committed) -> Self {
        Self(Some(done))
    }

    fn answer(mut self, result: Result<(), CommitError>) {
        if let Some(done) = self.0.take() {
            done(result);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(CommitError::Closed));
        }
    }
}

/// What the committer and the handles both see. The locks are taken once a group or less, never per sample.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: Folder,
    /// Ascending; the last is the open one, or was until it failed, and is never cut.
    segments: Mutex<Vec<Segment>>,
    failing: AtomicBool,
    failure: Mutex<Option<CommitError>>,
    /// Groups taken up and done with.
    pub(super) groups: Beat,
}

impl Shared {
    pub(super) fn new(folder: Folder, segments: Vec<Segment>) -> Self {
        let failure = Mutex::new(None);
        Self {
            folder,
            segments: Mutex::new(segments),
            failing: AtomicBool::new(false),
            failure,
            groups: Beat::default(),
        }
    }

    /// Every segment there is; at least one once the committer has started.
    pub(super) fn segments(&self) -> MutexGuard<'_, Vec<Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing can be committed at the moment; one atomic load while all is well.
    pub(super) fn failure(&self) -> Option<CommitError> {
        if !self.failing.load(Ordering::Acquire) {
            return None;
        }
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_failure(&self, failure: Option<CommitError>) {
        let failing = failure.is_some();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        self.failing.store(failing, Ordering::Release);
    }

    fn newest(&self) -> Segment {
        *self.segments().last().expect("the newest segment is never cut")
    }
}

/// When a group is complete and when a segment is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) segment_bytes: u64,
    pub(super) group_wait: Duration,
    pub(super) group_bytes: usize,
    pub(super) group_len: usize,
}

/// The state of the thread.
pub(super) struct Committer {
    store_id: [u8; 16],
    limits: Limits,
    shared: Arc<Shared>,
    queue: Receiver<Message>,
    recycled: Sender<Vec<u8>>,
    /// The newest segment's file; `None` once it failed.
    file: Option<SegmentFile>,
    group: Vec<u8>,
    /// Of everything ever submitted, so no record in any segment has a higher one.
    highest_seq: u64,
    waiters: Vec<Waiter>,
    /// Fires when a failing disk is to be tried again; `None` while it works.
    retry: Option<Receiver<Instant>>,
    /// Fires when a folder that is left out is to be looked at; `None` while all are written.
    mend: Option<Receiver<Instant>>,
    mended: bool,
    rotate: bool,
    closing: bool,
}

impl Committer {
    /// A committer that continues behind the newest of the shared segments.
    ///
    /// # Errors
    /// When no new segment can be started.
    pub(super) fn start(
        store_id: [u8; 16],
        limits: Limits,
        shared: Arc<Shared>,
        queue: Receiver<Message>,
        recycled: Sender<Vec<u8>>,
        highest_seq: u64,
    ) -> Result<Self, StoreError> {
        let mut committer = Self {
            store_id,
            limits,
            shared,
            queue,
            recycled,
            file: None,
            group: Vec::with_capacity(2 * limits.group_bytes),
            highest_seq,
            waiters: Vec::new(),
            retry: None,
            mend: None,
            mended: false,
            rotate: false,
            closing: false,
        };
        committer.start_segment()?;
        Ok(committer)
    }

    /// Serves until the journal is closed or its last handle is dropped.
    ///
    /// # Errors
    /// When the disk fails to the end: the records still pending are lost; none of them was acknowledged.
    pub(super) fn run(mut self) -> Result<(), CommitError> {
        while !self.closing {
            let retry = self.wait();
            let shared = Arc::clone(&self.shared);
            shared.groups.during(|| {
                self.gather();
                if self.retry.is_none() || retry || self.closing {
                    self.commit();
                }
                self.answer();
                if self.rotation_is_due() {
                    self.file = None;
                    self.commit();
                }
            });
        }
        self.shared.failure().map_or(Ok(()), Err)
    }

    /// Waits for a first message; true when it is time to try a failing disk again instead.
    fn wait(&mut self) -> bool {
        let message = match self.retry.as_ref().or(self.mend.as_ref()) {
            None => self.queue.recv(),
            Some(timer) => select! {
                recv(timer) -> _ => {
                    let is_retry = self.retry.is_some();
                    if !is_retry {
                        self.try_to_mend();
                    }
                    return is_retry;
                }
                recv(self.queue) -> message => message,
            },
        };
        self.take(message.unwrap_or(Message::Close));
        false
    }

    /// Looks whether a folder that is left out works again; the next segment is then begun at once.
    fn try_to_mend(&mut self) {
        self.mend = None;
        let Some(file) = &self.file else { return };
        self.mended = self.shared.folder.could_mend(file);
        if !self.mended {
            self.mend = Some(after(MEND_EVERY));
        }
    }

    /// Takes more of the queue, waiting for at most `group_wait`, until the group is large enough.
    fn gather(&mut self) {
        let mut deadline = None;
        while self.wants_more() {
            let message = match self.queue.try_recv() {
                Ok(message) => message,
                Err(error) if error.is_disconnected() => Message::Close,
                Err(_) if self.retry.is_some() || self.limits.group_wait.is_zero() => return,
                Err(_) => {
                    let deadline = deadline.get_or_insert_with(|| after(self.limits.group_wait));
                    select! {
                        recv(deadline) -> _ => return,
                        recv(self.queue) -> message => message.unwrap_or(Message::Close),
                    }
                }
            };
            self.take(message);
        }
    }

    fn wants_more(&self) -> bool {
        let room = self.group.len() < self.limits.group_bytes && self.waiters.len() < self.limits.group_len;
        room && !self.waiters.is_empty() && !self.rotate && !self.closing
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Submit(Submission { mut records, last_seq, waiter }) => {
                self.waiters.push(waiter);
                if records.is_empty() {
                    return;
                }
                self.group.extend_from_slice(&records);
                self.highest_seq = self.highest_seq.max(last_seq);
                if records.capacity() <= RECYCLED_BYTES_MAX {
                    records.clear();
                    // A full pool frees the buffer, which is right: there are enough.
                    let _ = self.recycled.try_send(records);
                }
            }
            Message::Rotate => self.rotate = true,
            Message::Close => self.closing = true,
        }
    }

    /// Makes the group durable, or says since when and why that fails.
    fn commit(&mut self) {
        match self.write_group() {
            Ok(()) => {
                self.group.clear();
                self.group.shrink_to(2 * self.limits.group_bytes);
                if self.retry.take().is_some() {
                    self.shared.set_failure(None);
                    tracing::info!("the journal is written again");
                }
                if self.mend.is_none() && self.file.as_ref().is_some_and(SegmentFile::lacks_a_side) {
                    let sides = self.shared.folder.report();
                    let failing = sides.iter().find_map(|side| side.failing.as_deref()).unwrap_or_default();
                    tracing::error!(failing, "one of the journal's folders is left out until it works again");
                    self.mend = Some(after(MEND_EVERY));
                }
            }
            Err(error) => {
                if self.retry.replace(after(RETRY_EVERY)).is_none() {
                    tracing::error!(%error, "the journal cannot be written, new samples are refused until it can");
                }
                self.shared.set_failure(Some(CommitError::Failing { what: error.to_string().into() }));
            }
        }
    }

    fn write_group(&mut self) -> Result<(), StoreError> {
        let Some(file) = &mut self.file else { return self.start_segment() };
        if self.group.is_empty() {
            return Ok(());
        }
        let Segment { number, bytes, .. } = self.shared.newest();
        if let Err(error) = self.shared.folder.append(number, file, &[&self.group], bytes) {
            self.file = None;
            return Err(error);
        }
        let mut segments = self.shared.segments();
        let newest = segments.last_mut().expect("the newest segment is never cut");
        newest.bytes += self.group.len() as u64;
        newest.highest_seq = self.highest_seq;
        Ok(())
    }

    /// Starts the next segment with what is pending; it counts only once all of it is durable.
    fn start_segment(&mut self) -> Result<(), StoreError> {
        let last = self.shared.segments().last().copied();
        let number = last.map_or(1, |last| last.number + 1);
        let previous_bytes = last.map_or(0, |last| last.bytes);
        let header = Header { store_id: self.store_id, number, previous_bytes, seq_before: self.highest_seq };
        let folder = &self.shared.folder;
        let mut file = folder.create(number)?;
        let written = folder
            .append(number, &mut file, &[&header.encode(), &self.group], 0)
            .and_then(|()| folder.sync_entries(&mut file));
        if let Err(error) = written {
            // The next attempt takes the same number and begins from nothing, whether or not this succeeds.
            let _ = folder.remove(number);
            return Err(error);
        }
        self.file = Some(file);
        let highest_seq = if self.group.is_empty() { 0 } else { self.highest_seq };
        let bytes = (HEADER_BYTES + self.group.len()) as u64;
        self.shared.segments().push(Segment { number, bytes, highest_seq });
        Ok(())
    }

    /// Tells everyone in the group what became of it.
    fn answer(&mut self) {
        let failure = self.shared.failure();
        for waiter in self.waiters.drain(..) {
            waiter.answer(failure.clone().map_or(Ok(()), Err));
        }
    }

    fn rotation_is_due(&mut self) -> bool {
        let (wanted, mended) = (std::mem::take(&mut self.rotate), std::mem::take(&mut self.mended));
        let bytes = self.shared.newest().bytes;
        let due = bytes >= self.limits.segment_bytes || wanted && bytes > HEADER_BYTES as u64 || mended;
        due && self.file.is_some() && !self.closing
    }
}

impl Drop for Committer {
    /// Whatever ends the thread, shards must not append as if samples could still become durable.
    fn drop(&mut self) {
        let failure = match std::thread::panicking() {
            true => CommitError::Failing { what: "its thread panicked; restart the server".into() },
            false => CommitError::Closed,
        };
        self.shared.set_failure(Some(failure));
    }
}
