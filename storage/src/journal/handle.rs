//! What the rest of the store holds of the journal: opening it, submitting to it, cutting it.
//!
//! Not here: the thread behind it (see `committer`), what records contain (see `samples`, `new_series`).

use super::committer::{CommitError, Committed, Committer, Limits, Message, Shared, Submission, Waiter};
use super::folder::{Folder, SideReport};
use super::mend::mend;
use super::record::Kind;
use super::replay::{self, ReplayReport};
use crate::StoreError;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The longest a group may wait: longer would be felt by whoever waits for an acknowledgement.
const GROUP_WAIT_MAX: Duration = Duration::from_millis(5);

/// Where the journal lies and how it groups.
#[derive(Debug, Clone)]
pub struct JournalSettings {
    /// The folder of the segments; created when missing.
    pub dir: PathBuf,
    /// A second folder, on another disk, that gets every record too before it is acknowledged; writing goes on while one
    /// of the two fails, and recovery takes what either holds.
    pub mirror_dir: Option<PathBuf>,
    /// The store's own id: a segment with another one is refused.
    pub store_id: [u8; 16],
    /// A segment is closed when it has this many bytes; default 64 MiB.
    pub segment_bytes: u64,
    /// How long a group waits for more after its first submission, at most 5 ms; default 0, because the sync of one
    /// group is wait enough for the next.
    pub group_wait: Duration,
    /// A group of this many bytes waits no longer; default 1 MiB.
    pub group_bytes: usize,
    /// Submissions that can be queued before `submit` blocks, and the most that one group answers; default 1024.
    pub queue_groups: usize,
}

impl JournalSettings {
    /// The defaults for a journal in `dir` of the store with this id.
    pub fn new(dir: PathBuf, store_id: [u8; 16]) -> Self {
        Self {
            dir,
            mirror_dir: None,
            store_id,
            segment_bytes: 64 << 20,
            group_wait: Duration::ZERO,
            group_bytes: 1 << 20,
            queue_groups: 1024,
        }
    }
}

/// Whether the journal takes records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalState {
    /// It does.
    Working,
    /// It does not: new samples must be refused before they are appended to a head.
    Failing {
        /// What was refused, on which file, in the system's words.
        what: String,
    },
}

/// A handle on the journal: cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<Shared>,
    queue: Sender<Message>,
    recycled: Receiver<Vec<u8>>,
}

/// The committer's thread, to be joined once the journal is closed or every handle is dropped.
#[derive(Debug)]
#[must_use = "joining tells whether the last records became durable"]
pub struct JournalThread(JoinHandle<Result<(), CommitError>>);

impl JournalThread {
    /// Waits for the last group.
    ///
    /// # Errors
    /// When records were still pending on a failing disk; none of them was acknowledged.
    pub fn join(self) -> Result<(), CommitError> {
        // What made it panic was said when it did.
        self.0.join().unwrap_or_else(|_| Err(CommitError::Failing { what: "its thread panicked".into() }))
    }
}

impl Journal {
    /// Replays what is in the folder into `each` (sequence, kind, payload), starts a new segment and the committer.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a file cannot be read or written, [`StoreError::Damaged`] when a segment belongs to
    /// another store or was written by a newer program. Damage and torn tails are no errors: the report names them.
    pub fn open(
        settings: JournalSettings,
        each: &mut dyn FnMut(u64, Kind, &[u8]),
    ) -> Result<(Self, JournalThread, ReplayReport), StoreError> {
        let folder = Folder::open(&settings.dir, settings.mirror_dir.as_deref())?;
        Self::open_folder(folder, settings, each)
    }

    /// [`Self::open`] for a folder that unit tests may have told to fail.
    pub(super) fn open_folder(
        folder: Folder,
        settings: JournalSettings,
        each: &mut dyn FnMut(u64, Kind, &[u8]),
    ) -> Result<(Self, JournalThread, ReplayReport), StoreError> {
        let mended = mend(&folder.dirs(), &settings.store_id)?;
        let (segments, report) = replay::replay(folder.dirs()[mended.replay_from], &settings.store_id, each)?;
        mended.lost.iter().for_each(|(side, error)| folder.note_failure(*side, error));
        let shared = Arc::new(Shared::new(folder, segments));
        let queue_len = settings.queue_groups.max(1);
        let (queue, submissions) = bounded(queue_len);
        let (used, recycled) = bounded(queue_len);
        let limits = Limits {
            segment_bytes: settings.segment_bytes,
            group_wait: settings.group_wait.min(GROUP_WAIT_MAX),
            group_bytes: settings.group_bytes,
            group_len: queue_len,
        };
        let highest_seq = report.highest_seq;
        let committer =
            Committer::start(settings.store_id, limits, Arc::clone(&shared), submissions, used, highest_seq)?;
        let thread = thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committer.run())
            .map_err(|error| StoreError::io("start the committer of", &settings.dir, error))?;
        Ok((Self { shared, queue, recycled }, JournalThread(thread), report))
    }

    /// Hands framed records to the committer; `done` learns whether they, and all submitted before, are durable.
    ///
    /// `last_seq` is the highest sequence in `records`. Empty records are fine: `done` is then a question whether
    /// everything before is durable. Records of one caller reach the disk in the order of its calls.
    ///
    /// Blocks while the queue is full, because the heads hold these samples already: there is nothing left to
    /// refuse, and the wait is what slows a shard down to the disk's pace. It ends with the committer's next group;
    /// on a failing disk too, for then submissions are taken at once and answered with the error.
    pub fn submit(&self, records: Vec<u8>, last_seq: u64, done: Committed) {
        let submission = Submission { records, last_seq, waiter: Waiter::new(done) };
        // A closed journal drops the submission, and its waiter says so.
        let _ = self.queue.send(Message::Submit(submission));
    }

    /// Whether [`Self::submit`] is far from having to wait: the queue is less than half full.
    pub fn has_room(&self) -> bool {
        self.queue.capacity().is_none_or(|capacity| self.queue.len() * 2 < capacity)
    }

    /// An emptied buffer of an earlier submission, if one is at hand.
    pub fn recycled(&self) -> Option<Vec<u8>> {
        self.recycled.try_recv().ok()
    }

    /// Asks for a new segment behind everything submitted so far, so that [`Self::cut`] can reach all of it.
    pub fn rotate(&self) {
        let _ = self.queue.send(Message::Rotate);
    }

    /// Removes segments, oldest first, as long as all their records have sequences up to `through_seq`; never the
    /// newest. Runs on the caller's thread, because removing a large file can take longer than a group may wait.
    ///
    /// # Errors
    /// When a file cannot be removed; it and the later ones stay and may be cut again.
    pub fn cut(&self, through_seq: u64) -> Result<(), StoreError> {
        loop {
            let oldest = match self.shared.segments().as_slice() {
                [oldest, _, ..] if oldest.highest_seq <= through_seq => oldest.number,
                _ => return Ok(()),
            };
            self.shared.folder.remove(oldest)?;
            self.shared.segments().retain(|segment| segment.number != oldest);
        }
    }

    /// How each of the journal's folders fares: its own, then the mirror.
    pub fn sides(&self) -> Vec<SideReport> {
        self.shared.folder.report()
    }

    /// Submissions that wait for the committer, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        (self.queue.len(), self.queue.capacity().unwrap_or(0))
    }

    /// Bytes in all segments, counted once.
    pub fn bytes(&self) -> u64 {
        self.shared.segments().iter().map(|segment| segment.bytes).sum()
    }

    /// How many groups the committer has taken up and is done with; two that stay different show that it hangs.
    pub(crate) fn groups(&self) -> (u64, u64) {
        self.shared.groups.counts()
    }

    /// Whether the journal takes records; one atomic load while it does.
    pub fn state(&self) -> JournalState {
        match self.shared.failure() {
            None => JournalState::Working,
            Some(failure) => JournalState::Failing { what: failure.to_string() },
        }
    }

    /// Commits what was submitted before and ends the committer; whatever comes later is answered with
    /// [`CommitError::Closed`].
    pub fn close(&self) {
        let _ = self.queue.send(Message::Close);
    }
}
