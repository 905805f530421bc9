//! The partitions one shard owns, and the way a batch takes through them: look up, append, journal.
//!
//! Not here: the thread and its queue (the server's), what a checkpoint does with a snapshot (see `keeper`).
//!
//! Invariants: everything a batch changed stands in the journal before `commit`'s callback is called with success;
//! records of one partition stand in the journal in the order in which they were applied.
//!
//! Cost sketch for a sample of a known series, ns: hash 15, probe, slot and key 40, head 10, journal column 10.
//! `benches/append.rs` gives 170-230 with 10 k series: the slot and the key miss the cache more often than sketched.

use crate::StoreError;
use crate::changes::Span;
use crate::head::Sealer;
use crate::journal::{Committed, JournalState, SAMPLES_PER_RECORD_MAX, SamplesEncoder, SeriesEncoder};
use crate::panics::PanicNote;
use crate::partition::{AppendContext, Outcome, Partition, PartitionSnapshot};
use crate::series::{KeyError, PARTITIONS, SeriesRef, hash, partition_of};
use crate::shared::Shared;
use crossbeam_channel::Receiver;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Something the keeper asks a shard to do between two batches.
pub type ShardTask = Box<dyn FnOnce(&mut ShardStore) + Send>;

/// What became of the samples of a batch; every sample is counted exactly once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// New and journaled.
    pub stored: u64,
    /// Stored already with the same value.
    pub duplicate: u64,
    /// Older than the out-of-order window.
    pub late: u64,
    /// Another value is stored at that time.
    pub conflict: u64,
    /// Further ahead of the clock than the store accepts.
    pub in_future: u64,
    /// Before 1970, or older than the retention.
    pub too_old: u64,
    /// The series' key is not a valid label set, or too long.
    pub bad_series: u64,
    /// Of a new series, while the store holds as many as it may.
    pub series_limit: u64,
    /// Could not be compared with what is stored, because that cannot be read.
    pub unreadable: u64,
}

impl Tally {
    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Self) {
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        self.late += other.late;
        self.conflict += other.conflict;
        self.in_future += other.in_future;
        self.too_old += other.too_old;
        self.bad_series += other.bad_series;
        self.series_limit += other.series_limit;
        self.unreadable += other.unreadable;
    }
}

/// Most samples of one row: half of what a journal record holds.
pub const ROW_SAMPLES_MAX: usize = SAMPLES_PER_RECORD_MAX / 2;

/// Rows looked up together: enough for the processor to wait for many lines of memory at once.
const GROUP_ROWS: usize = 32;

/// Samples of one series within a batch, at most [`ROW_SAMPLES_MAX`].
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// `series::hash` of the key.
    pub hash: u64,
    /// The canonical key.
    pub key: &'a [u8],
    /// Milliseconds since the epoch.
    pub times: &'a [i64],
    /// As many values.
    pub values: &'a [f64],
}

/// A row on its way through a group.
#[derive(Debug, Clone, Copy)]
struct Sought<'a> {
    row: Row<'a>,
    /// What the sender's bytes were found to be before.
    known: Option<SeriesRef>,
    /// What the key's hash leads to, to be confirmed by the key.
    probed: Option<u32>,
}

/// The owner of a shard's partitions.
#[derive(Debug)]
pub struct ShardStore {
    shared: Arc<Shared>,
    partitions: Vec<Partition>,
    local: [u8; PARTITIONS],
    sealer: Sealer,
    samples: SamplesEncoder,
    series: SeriesEncoder,
    created: Vec<(SeriesRef, Arc<[u8]>)>,
    records: Vec<u8>,
    last_seq: u64,
    touched: u64,
    tasks: Receiver<ShardTask>,
    expired: Vec<SeriesRef>,
    _panics: PanicNote,
}

/// Times between which samples are taken, fixed for one batch.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    oldest_ms: i64,
    late_before_ms: i64,
    newest_ms: i64,
}

impl ShardStore {
    pub(crate) fn new(shared: Arc<Shared>, partitions: Vec<Partition>, tasks: Receiver<ShardTask>) -> Self {
        let mut local = [u8::MAX; PARTITIONS];
        for (at, partition) in partitions.iter().enumerate() {
            local[partition.number() as usize] = at as u8;
        }
        // Partitions are dealt out in turn, so the first is the number of the shard.
        let name = format!("shard-{}", partitions.first().map_or(0, Partition::number));
        Self {
            _panics: PanicNote::of(&shared, name),
            last_seq: shared.sequence.load(Ordering::Acquire),
            shared,
            partitions,
            local,
            sealer: Sealer::default(),
            samples: SamplesEncoder::default(),
            series: SeriesEncoder::default(),
            created: Vec::new(),
            records: Vec::new(),
            touched: 0,
            tasks,
            expired: Vec::new(),
        }
    }

    /// The keeper's requests; the shard's thread runs each between two batches.
    pub fn tasks(&self) -> &Receiver<ShardTask> {
        &self.tasks
    }

    /// The partitions this shard owns.
    pub fn owned(&self) -> impl Iterator<Item = u8> {
        self.partitions.iter().map(Partition::number)
    }

    /// Time of the newest sample in all of the store; `i64::MIN` while there is none.
    pub fn newest_ms(&self) -> i64 {
        self.shared.newest_ms.load(Ordering::Relaxed)
    }

    /// The series that left the catalog since the last call.
    pub fn take_expired(&mut self) -> Vec<SeriesRef> {
        std::mem::take(&mut self.expired)
    }

    /// Whether this shard owns the partition of a key with this hash.
    pub fn owns(&self, hash: u64) -> bool {
        self.local[partition_of(hash) as usize] != u8::MAX
    }

    /// Appends a batch to heads and to the record that `commit` hands to the journal.
    ///
    /// # Errors
    /// When the journal cannot be written at present: nothing is appended then, and the sender shall try again.
    pub fn append<'a>(&mut self, now_ms: i64, rows: impl Iterator<Item = Row<'a>>) -> Result<Tally, StoreError> {
        self.append_observed(now_ms, rows, |_, _, _| {})
    }

    /// As [`Self::append`], and `observe` hears of every stored sample that is newer than all before it of its series.
    ///
    /// # Errors
    /// As `append`.
    pub fn append_observed<'a>(
        &mut self,
        now_ms: i64,
        rows: impl Iterator<Item = Row<'a>>,
        observe: impl FnMut(SeriesRef, i64, f64),
    ) -> Result<Tally, StoreError> {
        self.append_known(now_ms, rows.map(|row| (row, None)), observe, |_, _| {})
    }

    /// As [`Self::append_observed`], for rows that may come with the series that this store found their very key to be
    /// before: neither key nor hash of such a row is read. `learn` hears of every row that was found by its key, with the
    /// key's hash in it.
    ///
    /// A series that has left the catalog meanwhile is noticed, for an id is never given twice; its row is looked up by
    /// its key.
    ///
    /// # Errors
    /// As `append`.
    pub fn append_known<'a>(
        &mut self,
        now_ms: i64,
        rows: impl Iterator<Item = (Row<'a>, Option<SeriesRef>)>,
        mut observe: impl FnMut(SeriesRef, i64, f64),
        mut learn: impl FnMut(&Row<'a>, SeriesRef),
    ) -> Result<Tally, StoreError> {
        if let JournalState::Failing { what } = self.shared.journal.state() {
            return Err(StoreError::NotWriting { what });
        }
        let bounds = self.bounds(now_ms);
        let mut tally = Tally::default();
        let mut written = Span::NONE;
        let mut rows = rows.fuse();
        let nothing = Row { hash: 0, key: &[], times: &[], values: &[] };
        let mut group = [Sought { row: nothing, known: None, probed: None }; GROUP_ROWS];
        loop {
            let mut len = 0;
            for (place, (row, known)) in group.iter_mut().zip(rows.by_ref().take(GROUP_ROWS)) {
                *place = Sought { row, known, probed: None };
                len += 1;
            }
            self.look_up(&mut group[..len]);
            for sought in &group[..len] {
                let row = &sought.row;
                debug_assert!(row.times.len() <= ROW_SAMPLES_MAX, "a row fits what a record has left");
                let found = sought.known.or_else(|| {
                    let series = self.find_or_create(row, sought.probed, bounds, &mut tally);
                    series.inspect(|series| learn(row, *series))
                });
                if let Some(series) = found {
                    self.append_row(row, series, bounds, (&mut tally, &mut written), &mut observe);
                }
                if self.samples.len() + ROW_SAMPLES_MAX > SAMPLES_PER_RECORD_MAX || self.series.is_full() {
                    self.finish_records();
                }
            }
            if len < GROUP_ROWS {
                break;
            }
        }
        self.shared.newest_ms.fetch_max(written.newest_ms, Ordering::Relaxed);
        self.publish_created();
        self.shared.changes.wrote(written.oldest_ms);
        Ok(tally)
    }

    fn bounds(&self, now_ms: i64) -> Bounds {
        let settings = &self.shared.settings;
        let newest_ms = self.shared.newest_ms.load(Ordering::Relaxed);
        let oldest_ms = match self.shared.retention_ms.load(Ordering::Relaxed) {
            0 => 0,
            retention_ms => newest_ms.saturating_sub(retention_ms).max(0),
        };
        Bounds {
            oldest_ms,
            late_before_ms: newest_ms.saturating_sub(settings.out_of_order_ms),
            newest_ms: now_ms.saturating_add(settings.future_ms),
        }
    }

    /// Finds what the series of a group probably are, and forgets of what is known what holds no more.
    ///
    /// Each step touches one place in memory for every row before the next step needs what lies there: the processor
    /// waits for a whole group at once and not row by row, which is most of what a look-up costs.
    fn look_up(&mut self, group: &mut [Sought<'_>]) {
        for sought in &mut *group {
            match sought.known {
                Some(series) if self.partition(series.partition()).is_live(series.id()) => {
                    debug_assert!(self.partition(series.partition()).is_key_of(series.id(), sought.row.key));
                    continue;
                }
                Some(_) => {
                    sought.known = None;
                    sought.row.hash = hash(sought.row.key);
                }
                None => {}
            }
            sought.probed = self.partition(partition_of(sought.row.hash)).probe(sought.row.hash);
        }
        let mut touched = 0u64;
        for sought in &*group {
            touched ^= match (sought.known, sought.probed) {
                (Some(series), _) => self.partition(series.partition()).touch_head(series.id()),
                (None, Some(id)) => self.partition(partition_of(sought.row.hash)).touch(id),
                (None, None) => 0,
            };
        }
        // Read back by nobody; without it the loads above would be left out.
        self.touched = touched;
    }

    /// The series of a row by its key; none, and all its samples counted, when it is new and refused.
    fn find_or_create(
        &mut self,
        row: &Row<'_>,
        probed: Option<u32>,
        bounds: Bounds,
        tally: &mut Tally,
    ) -> Option<SeriesRef> {
        let number = partition_of(row.hash);
        let at = self.local[number as usize] as usize;
        let partition = &self.partitions[at];
        let id = probed.filter(|id| partition.is_key_of(*id, row.key)).or_else(|| partition.find(row.hash, row.key));
        let id = id.or_else(|| self.create(at, row, bounds, tally))?;
        Some(SeriesRef::new(number, id))
    }

    /// Appends one series' samples.
    #[inline]
    fn append_row(
        &mut self,
        row: &Row<'_>,
        series: SeriesRef,
        bounds: Bounds,
        (tally, written): (&mut Tally, &mut Span),
        observe: &mut impl FnMut(SeriesRef, i64, f64),
    ) {
        let partition = &mut self.partitions[self.local[series.partition() as usize] as usize];
        let mut context = AppendContext {
            late_before_ms: bounds.late_before_ms,
            blocks: &self.shared.blocks,
            sealer: &mut self.sealer,
        };
        for (&time_ms, &value) in row.times.iter().zip(row.values) {
            if time_ms > bounds.newest_ms {
                tally.in_future += 1;
                continue;
            }
            if time_ms < bounds.oldest_ms {
                tally.too_old += 1;
                continue;
            }
            match partition.append(series.id(), time_ms, value, &mut context) {
                Ok(Outcome::Stored) => {
                    tally.stored += 1;
                    written.newest_ms = written.newest_ms.max(time_ms);
                    written.oldest_ms = written.oldest_ms.min(time_ms);
                    self.samples.push(series, time_ms, value);
                    observe(series, time_ms, value);
                }
                Ok(Outcome::StoredBehind) => {
                    tally.stored += 1;
                    written.oldest_ms = written.oldest_ms.min(time_ms);
                    self.samples.push(series, time_ms, value);
                }
                Ok(Outcome::Duplicate) => tally.duplicate += 1,
                Ok(Outcome::Conflict) => tally.conflict += 1,
                Ok(Outcome::Late) => tally.late += 1,
                Err(error) => {
                    tracing::warn!(%error, "cannot compare a late sample with what is stored");
                    tally.unreadable += 1;
                }
            }
        }
    }

    /// Gives a series its id; none, and all its samples counted, when that is refused. A series of which no sample
    /// would be taken is not created.
    #[cold]
    fn create(&mut self, at: usize, row: &Row<'_>, bounds: Bounds, tally: &mut Tally) -> Option<u32> {
        let samples = row.times.len() as u64;
        let in_future = row.times.iter().filter(|time_ms| **time_ms > bounds.newest_ms).count() as u64;
        let too_old = row.times.iter().filter(|time_ms| **time_ms < bounds.oldest_ms).count() as u64;
        if in_future + too_old == samples {
            tally.in_future += in_future;
            tally.too_old += too_old;
            return None;
        }
        let limit = self.shared.settings.max_series;
        if limit > 0 && self.shared.series_count.load(Ordering::Relaxed) >= limit {
            tally.series_limit += samples;
            return None;
        }
        match self.create_at(at, row.hash, row.key) {
            Ok(id) => Some(id),
            Err(error) => {
                tracing::debug!(%error, "series refused");
                tally.bad_series += samples;
                None
            }
        }
    }

    fn create_at(&mut self, at: usize, hash: u64, key: &[u8]) -> Result<u32, KeyError> {
        let partition = &mut self.partitions[at];
        let id = partition.create(hash, key)?;
        let series = SeriesRef::new(partition.number(), id);
        self.series.push(series, key);
        if let Some(key) = partition.key(id) {
            self.created.push((series, key.clone()));
        }
        self.shared.series_count.fetch_add(1, Ordering::Relaxed);
        Ok(id)
    }

    /// Makes the series of this batch visible to readers, before their samples are acknowledged.
    fn publish_created(&mut self) {
        if self.created.is_empty() {
            return;
        }
        let mut index = self.shared.index.write();
        for (series, key) in self.created.drain(..) {
            index.insert(series, &key);
        }
    }

    /// Ends the records under construction; new series stand before the samples that name them.
    fn finish_records(&mut self) {
        if !self.series.is_empty() {
            self.last_seq = self.shared.next_sequence();
            self.series.finish(self.last_seq, &mut self.records);
        }
        if !self.samples.is_empty() {
            self.last_seq = self.shared.next_sequence();
            self.samples.finish(self.last_seq, &mut self.records);
        }
    }

    /// Whether [`Self::commit`] would not have to wait at present, also not when others commit at the same time.
    pub fn can_commit_at_once(&self) -> bool {
        self.shared.journal.has_room()
    }

    /// Hands what was appended since the last call to the journal; `done` hears when all of it, and all before it,
    /// is synced. Waits while the committer is behind by more than its queue.
    pub fn commit(&mut self, done: Committed) {
        self.finish_records();
        let next = self.shared.journal.recycled().unwrap_or_default();
        let records = std::mem::replace(&mut self.records, next);
        self.shared.journal.submit(records, self.last_seq, done);
    }

    /// The state of one owned partition after everything committed so far. Its position may be the newest sequence of
    /// the whole store: whatever this shard has not numbered yet will be numbered above it.
    pub(crate) fn snapshot(&self, partition: u8) -> PartitionSnapshot {
        debug_assert!(self.samples.is_empty() && self.series.is_empty(), "taken between a commit and the next append");
        self.partition(partition).snapshot(self.shared.sequence.load(Ordering::Acquire))
    }

    /// The checkpoint of a snapshot is durable.
    pub(crate) fn committed(&mut self, partition: u8, taken: &[(u32, usize)], ids_len: u32) {
        self.partition_mut(partition).committed(taken, ids_len);
    }

    /// Seals open heads of some ids; returns the first id not looked at, none at the end.
    pub(crate) fn seal(&mut self, partition: u8, ids: Range<u32>) -> Option<u32> {
        let at = self.local[partition as usize] as usize;
        let end = self.partitions[at].seal_range(ids, &mut self.sealer);
        (end < self.partitions[at].ids_len()).then_some(end)
    }

    /// Takes series without a sample since `cutoff_ms` out of the catalog and the index; the entries that stay, when
    /// any left.
    pub(crate) fn expire(&mut self, partition: u8, cutoff_ms: i64) -> Option<Vec<(u32, Arc<[u8]>)>> {
        let expired = self.partition_mut(partition).expire(cutoff_ms);
        if expired.is_empty() {
            return None;
        }
        let mut index = self.shared.index.write();
        for (id, key) in &expired {
            index.remove(SeriesRef::new(partition, *id), key);
            self.expired.push(SeriesRef::new(partition, *id));
        }
        self.shared.series_count.fetch_sub(expired.len() as u64, Ordering::Relaxed);
        Some(self.partition(partition).entries())
    }

    fn partition(&self, number: u8) -> &Partition {
        &self.partitions[self.local[number as usize] as usize]
    }

    fn partition_mut(&mut self, number: u8) -> &mut Partition {
        &mut self.partitions[self.local[number as usize] as usize]
    }
}

/// The shard, of `shards`, that owns a partition.
#[inline]
pub(crate) fn shard_of(partition: u8, shards: usize) -> usize {
    partition as usize % shards
}

/// The shard of a series; the same that [`route`] gives for its key.
#[inline]
pub fn route_known(series: SeriesRef, shards: usize) -> usize {
    shard_of(series.partition(), shards)
}

/// Hash and shard of a key; what a lane routes by.
#[inline]
pub fn route(key: &[u8], shards: usize) -> (u64, usize) {
    let hash = hash(key);
    (hash, shard_of(partition_of(hash), shards))
}
