//! Opening a store: lock, checkpoints, catalog, blocks, journal replay, and the threads that keep it.
//!
//! Not here: the shards' threads (the server's).
//!
//! Invariant: what opening finds damaged is reported and passed over; it fails only when nothing could be kept safe:
//! the directory is locked or not writable, or belongs to a newer version.

use crate::StoreError;
use crate::blocks::{BlockSettings, BlockStore};
use crate::catalog::Catalog;
use crate::checkpoint::{self, Checkpoint};
use crate::head::Sealer;
use crate::journal::{Journal, JournalSettings, JournalThread, Kind, ReplayReport, decode_samples, decode_series};
use crate::keeper::{Command, Keeper, sync_directory};
use crate::label_index::LabelIndex;
use crate::partition::{Partition, PartitionView};
use crate::series::{PARTITIONS, SeriesRef, hash};
use crate::shard_store::{ShardStore, ShardTask, shard_of};
use crate::shared::{KeeperReport, Settings, Shared};
use crate::store::Store;
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

/// The keeper, the committer and the lock on the directory.
#[derive(Debug)]
pub struct StoreThreads {
    keeper: JoinHandle<()>,
    journal: JournalThread,
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
    let mut recovery = Recovery::new();
    let read = recovery.read_checkpoints(&checkpoints, &store_id);
    let caches = settings.cache_bytes / 2;
    let catalog = Catalog::open(&dir.join("catalog"), caches)?;
    recovery.load_catalog(&catalog)?;
    recovery.restore(&read);
    let generations: [u32; PARTITIONS] = std::array::from_fn(|p| read[p].as_ref().map_or(u32::MAX, |c| c.generation));
    let block_settings = BlockSettings { cache_bytes: caches, ..BlockSettings::default() };
    let (blocks, damage) = BlockStore::open(&dir.join("blocks"), block_settings, &generations)?;
    recovery.damage.extend(damage);
    recovery.assume_sealed(&read, &blocks)?;
    let journal_settings = JournalSettings {
        group_wait: settings.journal_group,
        ..JournalSettings::new(settings.journal_dir.clone().unwrap_or_else(|| dir.join("journal")), store_id)
    };
    let (journal, journal_thread, replayed) =
        Journal::open(journal_settings, &mut |seq, kind, payload| recovery.apply(seq, kind, payload))?;
    recovery.sequence = recovery.sequence.max(replayed.highest_seq);
    let generation = read.iter().flatten().map(|c| c.generation).max().unwrap_or(0).max(blocks.generation_max());
    let (shared, partitions) = recovery.finish(settings, blocks, journal);
    let (tasks, shards) = deal_out(&shared, partitions);
    let (command, commands) = bounded(COMMANDS);
    let keeper = Keeper { shared: shared.clone(), catalog, checkpoints, store_id, generation, shards: tasks, commands };
    let keeper = thread::Builder::new()
        .name("keeper".to_owned())
        .spawn(move || keeper.run())
        .map_err(|e| StoreError::io("start the keeper for", &dir, e))?;
    let store = Store::new(shared, command);
    let threads = StoreThreads { keeper, journal: journal_thread, store: store.clone(), _lock: lock };
    Ok(Opened { store, shards, threads, replayed })
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

fn lock(dir: &Path) -> Result<File, StoreError> {
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
    match fs::read(&path) {
        Ok(bytes) => match bytes.strip_prefix(STORE_MAGIC).and_then(|id| id.try_into().ok()) {
            Some(id) => Ok(id),
            None => Err(StoreError::Damaged { path, offset: 0, what: "not a store of this version".to_owned() }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
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
        Err(error) => Err(StoreError::io("read", &path, error)),
    }
}

/// The state that checkpoints, catalog and journal are put together into.
struct Recovery {
    partitions: Vec<Partition>,
    views: Vec<Arc<PartitionView>>,
    positions: [u64; PARTITIONS],
    sealer: Sealer,
    sequence: u64,
    damage: Vec<StoreError>,
}

impl Recovery {
    fn new() -> Self {
        let views: Vec<Arc<PartitionView>> = (0..PARTITIONS).map(|_| Arc::default()).collect();
        let partitions = views.iter().enumerate().map(|(p, view)| Partition::new(p as u8, view.clone())).collect();
        let sealer = Sealer::default();
        Self { partitions, views, positions: [0; PARTITIONS], sealer, sequence: 0, damage: Vec::new() }
    }

    fn read_checkpoints(&mut self, dir: &Path, store_id: &[u8; 16]) -> Vec<Option<Checkpoint>> {
        let mut read = Vec::with_capacity(PARTITIONS);
        for partition in 0..PARTITIONS as u8 {
            read.push(checkpoint::read(dir, partition, store_id).unwrap_or_else(|error| {
                self.damage.push(error);
                None
            }));
        }
        read
    }

    fn load_catalog(&mut self, catalog: &Catalog) -> Result<(), StoreError> {
        let partitions = &mut self.partitions;
        let damage = catalog.load(|partition, id, key| {
            if let Some(partition) = partitions.get_mut(partition as usize) {
                partition.insert(id, hash(key), Arc::from(key));
            }
        })?;
        self.damage.extend(damage);
        for partition in partitions {
            partition.set_catalogd(partition.ids_len());
        }
        Ok(())
    }

    fn restore(&mut self, checkpoints: &[Option<Checkpoint>]) {
        for (at, checkpoint) in checkpoints.iter().enumerate() {
            let Some(checkpoint) = checkpoint else { continue };
            let partition = &mut self.partitions[at];
            partition.reserve_ids(checkpoint.ids_len);
            partition.set_catalogd(checkpoint.ids_len);
            for series in &checkpoint.series {
                if partition.is_live(series.id) {
                    partition.restore(series, &mut self.sealer);
                }
            }
            self.positions[at] = checkpoint.position;
            self.sequence = self.sequence.max(checkpoint.position);
        }
    }

    /// Without a checkpoint nothing says when a series has sealed samples: any time a block has then counts.
    fn assume_sealed(&mut self, checkpoints: &[Option<Checkpoint>], blocks: &BlockStore) -> Result<(), StoreError> {
        let Some(span_ms) = blocks.span_ms() else { return Ok(()) };
        for partition in self.partitions.iter_mut().zip(checkpoints).filter(|(_, read)| read.is_none()).map(|(p, _)| p)
        {
            let ids = blocks.ids_with_data(partition.number())?;
            for id in ids {
                partition.assume_sealed(id, span_ms);
            }
        }
        Ok(())
    }

    /// Applies one journal record; what the partition's checkpoint contains already is passed over.
    fn apply(&mut self, seq: u64, kind: Kind, payload: &[u8]) {
        let (partitions, positions, sealer) = (&mut self.partitions, &self.positions, &mut self.sealer);
        let applied = match kind {
            Kind::NewSeries => decode_series(payload, |series, key| {
                if seq > positions[series.partition() as usize] {
                    partitions[series.partition() as usize].insert(series.id(), hash(key), Arc::from(key));
                }
            }),
            Kind::Samples => decode_samples(payload, |series, time_ms, value| {
                let partition = &mut partitions[series.partition() as usize];
                if seq > positions[series.partition() as usize] && partition.is_live(series.id()) {
                    partition.push(series.id(), time_ms, value, sealer);
                }
            }),
        };
        if let Err(error) = applied {
            tracing::error!(%error, seq, "journal record passed over");
        }
    }

    fn finish(self, settings: Settings, blocks: BlockStore, journal: Journal) -> (Arc<Shared>, Vec<Partition>) {
        let mut index = LabelIndex::default();
        let mut series_count = 0;
        for partition in &self.partitions {
            for (id, key) in partition.entries() {
                index.insert(SeriesRef::new(partition.number(), id), &key);
                series_count += 1;
            }
        }
        for error in &self.damage {
            tracing::error!(%error, "damage found at opening and passed over");
        }
        let newest_ms = self.partitions.iter().map(Partition::newest_ms).max().unwrap_or(i64::MIN);
        let shared = Shared {
            settings,
            views: self.views,
            index: RwLock::new(index),
            blocks,
            journal,
            sequence: AtomicU64::new(self.sequence),
            newest_ms: AtomicI64::new(newest_ms),
            series_count: AtomicU64::new(series_count),
            keeper: Mutex::new(KeeperReport::default()),
            closing: AtomicBool::new(false),
            damage: self.damage,
        };
        (Arc::new(shared), self.partitions)
    }
}
