//! Opening a store: lock, checkpoints, catalog, blocks, journal replay, and the threads that keep it.
//!
//! Not here: the shards' threads (the server's), putting together what was there (see `recovery`).
//!
//! Invariant: what opening finds damaged is reported and passed over; it fails only when nothing could be kept safe:
//! the directory is locked or not writable, or belongs to a newer version.

use crate::StoreError;
use crate::blocks::{BlockSettings, BlockStore};
use crate::catalog::Catalog;
use crate::changes::Changes;
use crate::journal::{Journal, JournalSettings, JournalThread, ReplayReport};
use crate::keeper::{Command, Keeper, sync_directory};
use crate::panics::PanicNote;
use crate::partition::Partition;
use crate::recovery::{Recovered, recover};
use crate::rollup::{Rollups, Work};
use crate::series::PARTITIONS;
use crate::shard_store::{ShardStore, ShardTask, shard_of};
use crate::shared::{KeeperReport, Settings, Shared};
use crate::store::Store;
use crate::watchdog::{Beat, WatchdogThread, watch};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Mutex, RwLock};
use std::collections::hash_map::RandomState;
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

const STORE_MAGIC: &[u8; 8] = b"IWSTORE1";
const SHARD_TASKS: usize = 16;
const COMMANDS: usize = 16;
/// Directories that a limit on bytes has room for, at least, where a day is no larger than one of them.
const DIRECTORIES_MIN: u64 = 8;

/// A store that is ready.
#[derive(Debug)]
pub struct Opened {
    /// For readers.
    pub store: Store,
    /// For the shards' threads, one each.
    pub shards: Vec<ShardStore>,
    /// To end it.
    pub threads: StoreThreads,
    /// What replaying the journal found.
    pub replayed: ReplayReport,
}

/// The keeper, the committer, the watchdog and the lock on the directory.
#[derive(Debug)]
pub struct StoreThreads {
    keeper: JoinHandle<()>,
    journal: JournalThread,
    watchdog: WatchdogThread,
    store: Store,
    _lock: File,
}

impl StoreThreads {
    /// Writes a last checkpoint and ends the store's threads. The shards' threads must still run while this is
    /// called: the keeper asks them for their state; they see their tasks end with it.
    ///
    /// # Errors
    /// When the checkpoint could not be written; everything acknowledged is in the journal all the same.
    pub fn close(self) -> Result<(), StoreError> {
        self.store.shared().closing.store(true, Ordering::Relaxed);
        let (answer, answered) = bounded(1);
        self.store.command(Command::Stop(Box::new(move |result| {
            // Nobody waits any more only if this very function was abandoned.
            let _ = answer.send(result);
        })))?;
        let result = answered.recv().unwrap_or(Err(StoreError::Closed));
        let joined = self.keeper.join().map_err(|_| StoreError::Closed);
        self.store.shared().journal.close();
        self.watchdog.end();
        let journaled = self.journal.join().map_err(|error| StoreError::NotWriting { what: error.to_string() });
        result.and(joined).and(journaled)
    }
}

/// Opens the store in `settings.dir`, creating it where there is none.
///
/// # Errors
/// When the directory cannot be created, written or locked, or holds what this version cannot read.
pub fn open(settings: Settings) -> Result<Opened, StoreError> {
    let dir = settings.dir.clone();
    let checkpoints = dir.join("checkpoints");
    for path in [&dir, &checkpoints] {
        fs::create_dir_all(path).map_err(|e| StoreError::io("create", path, e))?;
    }
    let lock = lock(&dir)?;
    let store_id = store_id(&dir)?;
    let journal_settings = JournalSettings {
        group_wait: settings.journal_group,
        mirror_dir: settings.journal_mirror_dir.clone(),
        ..JournalSettings::new(settings.journal_dir.clone().unwrap_or_else(|| dir.join("journal")), store_id)
    };
    let caches = settings.cache_bytes / 2;
    let mut catalog = Catalog::at(&dir.join("catalog"), caches);
    let mut block_settings = BlockSettings { cache_bytes: caches, ..BlockSettings::default() };
    if settings.max_bytes > 0 {
        // Directories are removed whole, so they must be small beside the limit.
        let close_at = block_settings.directory_bytes_close.min(settings.max_bytes / DIRECTORIES_MIN);
        block_settings.directory_bytes_close = close_at;
    }
    let (rollups, rollup_damage) = Rollups::open(&dir)?;
    let (mut recovered, (blocks, journal)) = recover(&checkpoints, &store_id, settings.shards, |feed| {
        let damage = catalog.load(&mut |partition, block| feed.keys(partition, block))?;
        feed.damage.extend(damage);
        let (blocks, damage) = BlockStore::open(&dir.join("blocks"), block_settings, &feed.generations())?;
        feed.damage.extend(damage);
        feed.restore(&blocks)?;
        Ok((blocks, Journal::open(journal_settings, &mut |seq, kind, payload| feed.record(seq, kind, payload))?))
    })?;
    let (journal, journal_thread, replayed) = journal;
    recovered.damage.extend(rollup_damage);
    let generation = recovered.generation.max(blocks.generation_max()).max(rollups.generation_max());
    let sequence = recovered.position.max(replayed.highest_seq);
    let (shared, partitions) = share(settings, recovered, (blocks, rollups), journal, sequence);
    let (tasks, shards) = deal_out(&shared, partitions);
    let (command, commands) = bounded(COMMANDS);
    let watchdog = watch(&shared, catalog.shared_disk(), &dir)?;
    let keeper = Keeper {
        shared: shared.clone(),
        catalog,
        checkpoints,
        store_id,
        generation,
        shards: tasks,
        commands,
        rollups: Work::default(),
    };
    let keeper = thread::Builder::new()
        .name("keeper".to_owned())
        .spawn(move || {
            let _note = PanicNote::of(&keeper.shared, "keeper");
            keeper.run();
        })
        .map_err(|e| StoreError::io("start the keeper for", &dir, e))?;
    let store = Store::new(shared, command);
    let threads = StoreThreads { keeper, journal: journal_thread, watchdog, store: store.clone(), _lock: lock };
    Ok(Opened { store, shards, threads, replayed })
}

/// What all parts have in common, and the partitions for the shards.
fn share(
    settings: Settings,
    recovered: Recovered,
    (blocks, rollups): (BlockStore, Rollups),
    journal: Journal,
    sequence: u64,
) -> (Arc<Shared>, Vec<Partition>) {
    let Recovered { partitions, views, index, damage, .. } = recovered;
    for error in &damage {
        tracing::error!(%error, "damage found at opening and passed over");
    }
    let newest_ms = partitions.iter().map(Partition::newest_ms).max().unwrap_or(i64::MIN);
    let shared = Shared {
        retention_ms: AtomicI64::new(settings.retention_ms),
        settings,
        views,
        index: RwLock::new(index),
        blocks,
        rollups,
        journal,
        sequence: AtomicU64::new(sequence),
        newest_ms: AtomicI64::new(newest_ms),
        changes: Changes::default(),
        series_count: AtomicU64::new(partitions.iter().map(|partition| partition.live_len() as u64).sum()),
        keeper: Mutex::new(KeeperReport::default()),
        shard_answers: Beat::default(),
        panicked: Mutex::new(Vec::new()),
        stuck: Mutex::new(Vec::new()),
        closing: AtomicBool::new(false),
        damage,
    };
    (Arc::new(shared), partitions)
}

fn deal_out(shared: &Arc<Shared>, partitions: Vec<Partition>) -> (Vec<Sender<ShardTask>>, Vec<ShardStore>) {
    let count = shared.settings.shards.clamp(1, PARTITIONS);
    let mut hands: Vec<Vec<Partition>> = (0..count).map(|_| Vec::new()).collect();
    for partition in partitions {
        hands[shard_of(partition.number(), count)].push(partition);
    }
    let (senders, receivers): (Vec<_>, Vec<Receiver<ShardTask>>) = (0..count).map(|_| bounded(SHARD_TASKS)).unzip();
    let stores = hands.into_iter().zip(receivers).map(|(hand, tasks)| ShardStore::new(shared.clone(), hand, tasks));
    (senders, stores.collect())
}

pub(crate) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("LOCK");
    let file = File::create(&path).map_err(|e| StoreError::io("create", &path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: dir.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path, error)),
    }
}

/// The store's identity, made when the store is; journal and checkpoints carry it.
fn store_id(dir: &Path) -> Result<[u8; 16], StoreError> {
    let path = dir.join("STORE");
    match existing_store_id(dir) {
        Err(StoreError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&RandomState::new().build_hasher().finish().to_le_bytes());
            id[8..].copy_from_slice(&RandomState::new().build_hasher().finish().to_le_bytes());
            let new = dir.join("STORE.new");
            fs::write(&new, [STORE_MAGIC.as_slice(), &id].concat()).map_err(|e| StoreError::io("write", &new, e))?;
            File::open(&new).and_then(|f| f.sync_all()).map_err(|e| StoreError::io("sync", &new, e))?;
            fs::rename(&new, &path).map_err(|e| StoreError::io("rename", &new, e))?;
            sync_directory(dir)?;
            Ok(id)
        }
        known => known,
    }
}

/// The identity of the store in a directory.
///
/// # Errors
/// When there is none, or the file is not one of this version.
pub(crate) fn existing_store_id(dir: &Path) -> Result<[u8; 16], StoreError> {
    let path = dir.join("STORE");
    let bytes = fs::read(&path).map_err(|e| StoreError::io("read", &path, e))?;
    match bytes.strip_prefix(STORE_MAGIC).and_then(|id| id.try_into().ok()) {
        Some(id) => Ok(id),
        None => Err(StoreError::Damaged { path, offset: 0, what: "not a store of this version".to_owned() }),
    }
}
