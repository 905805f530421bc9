//! What the shards, the keeper and the readers of one store have in common.

use crate::StoreError;
use crate::blocks::BlockStore;
use crate::changes::Changes;
use crate::journal::Journal;
use crate::label_index::LabelIndex;
use crate::partition::PartitionView;
use crate::rollup::{Resolution, Rollups};
use crate::watchdog::Beat;
use parking_lot::{Mutex, RwLock};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// How a store is kept; every span in milliseconds, every size in bytes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data directory.
    pub dir: PathBuf,
    /// Where the journal lies, when not in the data directory.
    pub journal_dir: Option<PathBuf>,
    /// A second directory for the journal, on another disk: every record is synced in both before it is acknowledged.
    pub journal_mirror_dir: Option<PathBuf>,
    /// Age, counted from the newest sample, at which samples are removed; 0 keeps all.
    pub retention_ms: i64,
    /// Whether rollups are made of days that are over.
    pub rollups: bool,
    /// Age, counted from the newest sample, at which rollups of 5 minutes are removed; 0 keeps all.
    pub rollup_5m_retention_ms: i64,
    /// The same for rollups of an hour.
    pub rollup_1h_retention_ms: i64,
    /// Bytes of blocks, rollups and journal at which the oldest directories are removed although retention would keep them; 0
    /// for no limit. Directories are removed whole, and never the newest.
    pub max_bytes: u64,
    /// How much older than the newest sample of the store one may be that comes after a newer one of its series.
    pub out_of_order_ms: i64,
    /// How far ahead of the clock a sample may be.
    pub future_ms: i64,
    /// Most series at a time; 0 for no limit.
    pub max_series: u64,
    /// Caches of the embedded engine, together.
    pub cache_bytes: u64,
    /// Longest a commit waits for others to join it.
    pub journal_group: Duration,
    /// Journal written since the last checkpoint that makes the next one due, at least.
    pub checkpoint_bytes: u64,
    /// How many shards the partitions are dealt out to, and threads a journal is replayed on.
    pub shards: usize,
    /// How long an operation may take before the watchdog calls it stuck; whole tenths of it are counted.
    pub stuck_after: Duration,
}

impl Settings {
    /// The defaults for a data directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            journal_dir: None,
            journal_mirror_dir: None,
            retention_ms: 30 * 86_400_000,
            rollups: true,
            rollup_5m_retention_ms: 400 * 86_400_000,
            rollup_1h_retention_ms: 400 * 86_400_000,
            max_bytes: 0,
            out_of_order_ms: 3_600_000,
            future_ms: 600_000,
            max_series: 5_000_000,
            cache_bytes: 32 << 20,
            journal_group: Duration::ZERO,
            checkpoint_bytes: 64 << 20,
            shards: 1,
            stuck_after: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// Since when rollups are kept while the newest sample is `newest_ms`; none when all are.
    pub(crate) fn rollups_kept_since(&self, resolution: Resolution, newest_ms: i64) -> Option<i64> {
        let retention_ms = match resolution {
            Resolution::Minutes5 => self.rollup_5m_retention_ms,
            Resolution::Hour => self.rollup_1h_retention_ms,
        };
        (retention_ms > 0 && newest_ms > retention_ms).then(|| newest_ms - retention_ms)
    }
}

/// Figures of the keeper's work, for `/metrics` and `/health`.
#[derive(Debug, Default, Clone)]
pub struct KeeperReport {
    /// Checkpoints completed since the start.
    pub checkpoints: u64,
    /// Bytes of the last checkpoint's files.
    pub checkpoint_bytes: u64,
    /// Why the last piece of work failed, while it does.
    pub failing: Option<String>,
    /// What was found damaged since the start, in words; at most 100 findings.
    pub damage: Vec<String>,
    /// Directories of samples removed by retention or the limit on bytes since the start.
    pub directories_removed: u64,
    /// Directories of rollups removed likewise.
    pub rollup_directories_removed: u64,
    /// Days of partitions rolled up since the start.
    pub rolled_days: u64,
    /// Samples in them.
    pub rolled_samples: u64,
}

/// The common state.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// [`Settings::retention_ms`] as it is by now.
    pub(crate) retention_ms: AtomicI64,
    pub(crate) views: Vec<Arc<PartitionView>>,
    pub(crate) index: RwLock<LabelIndex>,
    pub(crate) blocks: BlockStore,
    pub(crate) rollups: Rollups,
    pub(crate) journal: Journal,
    pub(crate) sequence: AtomicU64,
    pub(crate) newest_ms: AtomicI64,
    pub(crate) changes: Changes,
    pub(crate) series_count: AtomicU64,
    pub(crate) keeper: Mutex<KeeperReport>,
    /// What the keeper asks of shards: begun, and answered.
    pub(crate) shard_answers: Beat,
    /// Threads that have panicked, by name.
    pub(crate) panicked: Mutex<Vec<String>>,
    /// What the watchdog finds stuck at present, in words.
    pub(crate) stuck: Mutex<Vec<String>>,
    /// Set when the store closes: a compaction under way then ends early, with what it has finished.
    pub(crate) closing: AtomicBool,
    pub(crate) damage: Vec<StoreError>,
}

impl Shared {
    /// The next journal sequence, unique in the store.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::AcqRel) + 1
    }
}
