//! Recovery puts a store together again from checkpoints, catalog and journal, on one thread for each shard.
//!
//! ```text
//!  opening:   generations ◀─ headers ─┐
//!             catalog blocks ─────────▶ replay-0..N: read checkpoints ─ keys ─ restore ─ decode and apply records
//!             bundles of records ─────▶   (each its own partitions, in order)
//!             label index, beside
//! ```
//!
//! The opening thread reads and checks the journal and says which partitions each record is about, so that a thread
//! decodes only records that concern it: with as many shards as before, each record is decoded once.
//!
//! Cost: reading, checking and masking take about 2 ns a sample on the opening thread, decoding, appending and sealing
//! the rest, which the threads share. `benches/reopen.rs` measures all of it.
//!
//! Not here: what must be there before (lock, folders) and after (keeper, committer; see `open`).
//!
//! Invariants: a partition is touched by one thread only; it sees keys, then its checkpoint, then its records in the
//! order of the journal; what its checkpoint contains is not applied again.

use crate::StoreError;
use crate::blocks::BlockStore;
use crate::catalog_blocks::{CatalogError, decode_block};
use crate::checkpoint::{self, Checkpoint};
use crate::checkpoint_copy;
use crate::head::Sealer;
use crate::journal::{Kind, decode_samples, decode_series, partitions_of_samples, partitions_of_series};
use crate::label_index::LabelIndex;
use crate::partition::{Partition, PartitionView};
use crate::series::{PARTITIONS, SeriesRef, hash};
use crate::shard_store::shard_of;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, Scope, ScopedJoinHandle};

/// Steps that may wait for a thread; with [`BUNDLE_BYTES`] a bound on memory.
const STEPS_MAX: usize = 16;
/// Records are handed over when so many bytes of them have gathered: about 2 ms of work.
const BUNDLE_BYTES: usize = 256 << 10;

/// What the checkpoint of a partition says of the whole store.
#[derive(Debug, Clone, Copy)]
struct Header {
    partition: u8,
    /// `None` when there is no checkpoint, or none of use.
    generation: Option<u32>,
    position: u64,
}

impl Header {
    fn none(partition: u8) -> Self {
        Self { partition, generation: None, position: 0 }
    }
}

/// Work for a thread, in the order it is sent.
enum Step {
    /// A catalog block of one of its partitions.
    Keys(u8, Box<[u8]>),
    /// All keys are there: what the checkpoints remember comes next. Ids of partitions without a checkpoint that have
    /// blocks, and the span of all blocks.
    Restore(Vec<(u8, Vec<u32>)>, (i64, i64)),
    /// Records of the journal.
    Records(Arc<Bundle>),
}

/// Records in the order of the journal.
#[derive(Debug, Default)]
struct Bundle {
    payloads: Vec<u8>,
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    seq: u64,
    kind: Kind,
    /// A bit for each partition the record is about.
    partitions: u64,
    payload: Range<usize>,
}

/// What recovery gives.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// All partitions, by number.
    pub(crate) partitions: Vec<Partition>,
    /// Their readers' sides, by number.
    pub(crate) views: Vec<Arc<PartitionView>>,
    /// Every series.
    pub(crate) index: LabelIndex,
    /// The highest position of any checkpoint.
    pub(crate) position: u64,
    /// The highest generation of any checkpoint, 0 without any.
    pub(crate) generation: u32,
    /// What was found damaged and passed over.
    pub(crate) damage: Vec<StoreError>,
}

/// Runs `feed`, which hands everything over in order, beside one thread a shard that applies it.
///
/// # Errors
/// What `feed` says, or that a thread cannot be started.
pub(crate) fn recover<T>(
    checkpoints: &Path,
    store_id: &[u8; 16],
    shards: usize,
    feed: impl FnOnce(&mut Feed) -> Result<T, StoreError>,
) -> Result<(Recovered, T), StoreError> {
    let views: Vec<Arc<PartitionView>> = (0..PARTITIONS).map(|_| Arc::default()).collect();
    let shards = shards.clamp(1, PARTITIONS);
    thread::scope(|scope| {
        let (mut feeding, workers) = start(scope, checkpoints, store_id, shards, &views)?;
        let fed = feed(&mut feeding);
        feeding.hand_over();
        let Feed { index, headers, damage, queues, .. } = feeding;
        // The threads end when nobody can send to them.
        drop(queues);
        let done = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        let mut recovered = Recovered {
            partitions: Vec::with_capacity(PARTITIONS),
            views: views.clone(),
            index,
            position: headers.iter().map(|header| header.position).max().unwrap_or(0),
            generation: headers.iter().filter_map(|header| header.generation).max().unwrap_or(0),
            damage,
        };
        for worker in done {
            recovered.partitions.extend(worker.partitions);
            recovered.damage.extend(worker.damage);
        }
        recovered.partitions.sort_by_key(Partition::number);
        Ok((recovered, fed?))
    })
}

type Running<'scope> = ScopedJoinHandle<'scope, Worker>;

fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    checkpoints: &'scope Path,
    store_id: &'scope [u8; 16],
    shards: usize,
    views: &[Arc<PartitionView>],
) -> Result<(Feed, Vec<Running<'scope>>), StoreError> {
    let (send_header, headers) = bounded(PARTITIONS);
    let (mut queues, mut running) = (Vec::new(), Vec::new());
    for shard in 0..shards {
        let numbers = (0..PARTITIONS as u8).filter(|number| shard_of(*number, shards) == shard);
        let worker = Worker::new(numbers.map(|number| Partition::new(number, views[number as usize].clone())));
        let (queue, steps) = bounded(STEPS_MAX);
        let send_header = send_header.clone();
        let started = thread::Builder::new()
            .name(format!("replay-{shard}"))
            .spawn_scoped(scope, move || worker.run(checkpoints, store_id, send_header, &steps))
            .map_err(|e| StoreError::io("start a thread to recover", checkpoints, e))?;
        queues.push(queue);
        running.push(started);
    }
    drop(send_header);
    let mut known: Vec<Header> = (0..PARTITIONS as u8).map(Header::none).collect();
    // Ends when every thread has said what it found and let go of its end.
    headers.iter().for_each(|header| known[header.partition as usize] = header);
    let feed =
        Feed { queues, headers: known, index: LabelIndex::default(), bundle: Bundle::default(), damage: Vec::new() };
    Ok((feed, running))
}

/// The opening thread's side: it gives every thread what concerns it, and builds the index of labels meanwhile.
#[derive(Debug)]
pub(crate) struct Feed {
    queues: Vec<Sender<Step>>,
    headers: Vec<Header>,
    index: LabelIndex,
    bundle: Bundle,
    /// What the caller found damaged and passed over.
    pub(crate) damage: Vec<StoreError>,
}

impl Feed {
    /// The generation of each partition's checkpoint; the highest there is for one without.
    pub(crate) fn generations(&self) -> [u32; PARTITIONS] {
        std::array::from_fn(|p| self.headers.get(p).and_then(|header| header.generation).unwrap_or(u32::MAX))
    }

    /// Takes a catalog block of a partition.
    ///
    /// # Errors
    /// When it does not hold; nothing of it is taken then, unless it is wrong and yet has the right checksum.
    pub(crate) fn keys(&mut self, partition: u8, block: &[u8]) -> Result<(), CatalogError> {
        if usize::from(partition) >= PARTITIONS {
            return Err(CatalogError::Damaged { offset: 0, what: "no such partition" });
        }
        let index = &mut self.index;
        decode_block(block, |id, key| index.insert(SeriesRef::new(partition, id), key))?;
        self.send(shard_of(partition, self.queues.len()), Step::Keys(partition, block.into()));
        Ok(())
    }

    /// Says that all keys have been given, and which series have blocks where no checkpoint says so.
    ///
    /// # Errors
    /// When blocks cannot be read.
    pub(crate) fn restore(&mut self, blocks: &BlockStore) -> Result<(), StoreError> {
        let span_ms = blocks.span_ms();
        let mut assumed: Vec<Vec<(u8, Vec<u32>)>> = self.queues.iter().map(|_| Vec::new()).collect();
        for header in self.headers.iter().filter(|header| header.generation.is_none() && span_ms.is_some()) {
            let ids = blocks.ids_with_data(header.partition)?.iter().collect();
            assumed[shard_of(header.partition, self.queues.len())].push((header.partition, ids));
        }
        for (shard, assumed) in assumed.into_iter().enumerate() {
            self.send(shard, Step::Restore(assumed, span_ms.unwrap_or_default()));
        }
        Ok(())
    }

    /// Takes a record of the journal.
    pub(crate) fn record(&mut self, seq: u64, kind: Kind, payload: &[u8]) {
        let partitions = match kind {
            Kind::Samples => partitions_of_samples(payload),
            Kind::NewSeries => self.index_new(seq, payload),
        };
        let start = self.bundle.payloads.len();
        self.bundle.payloads.extend_from_slice(payload);
        self.bundle.records.push(Record { seq, kind, partitions, payload: start..self.bundle.payloads.len() });
        if self.bundle.payloads.len() >= BUNDLE_BYTES {
            self.hand_over();
        }
    }

    /// Puts new series into the index; the partitions they are of.
    fn index_new(&mut self, seq: u64, payload: &[u8]) -> u64 {
        let (headers, index) = (&self.headers, &mut self.index);
        // The threads decode the record again and report what does not hold.
        let _ = decode_series(payload, |series, key| {
            if seq > headers[series.partition() as usize].position {
                index.insert(series, key);
            }
        });
        partitions_of_series(payload)
    }

    fn hand_over(&mut self) {
        let bundle = Arc::new(std::mem::take(&mut self.bundle));
        if bundle.records.is_empty() {
            return;
        }
        for shard in 0..self.queues.len() {
            self.send(shard, Step::Records(bundle.clone()));
        }
    }

    fn send(&self, shard: usize, step: Step) {
        // A thread that is gone has panicked, which joining it will tell.
        let _ = self.queues[shard].send(step);
    }
}

/// One thread's partitions.
#[derive(Debug)]
struct Worker {
    partitions: Vec<Partition>,
    /// Where each partition stands in `partitions`; nothing looks for one that is another thread's.
    local: [u8; PARTITIONS],
    /// A bit for each of its partitions.
    mine: u64,
    checkpoints: Vec<Option<Checkpoint>>,
    positions: [u64; PARTITIONS],
    sealer: Sealer,
    damage: Vec<StoreError>,
}

impl Worker {
    fn new(partitions: impl Iterator<Item = Partition>) -> Self {
        let partitions: Vec<_> = partitions.collect();
        let (mut local, mut mine) = ([0; PARTITIONS], 0);
        for (at, partition) in partitions.iter().enumerate() {
            local[partition.number() as usize] = at as u8;
            mine |= 1 << partition.number();
        }
        let (checkpoints, damage) = (Vec::new(), Vec::new());
        Self { partitions, local, mine, checkpoints, positions: [0; PARTITIONS], sealer: Sealer::default(), damage }
    }

    fn run(mut self, dir: &Path, store_id: &[u8; 16], headers: Sender<Header>, steps: &Receiver<Step>) -> Self {
        self.read_checkpoints(dir, store_id, &headers);
        drop(headers);
        for step in steps {
            match step {
                Step::Keys(partition, block) => self.insert_keys(partition, &block),
                Step::Restore(assumed, span_ms) => self.restore(&assumed, span_ms),
                Step::Records(bundle) => {
                    let mine = self.mine;
                    for record in bundle.records.iter().filter(|record| record.partitions & mine != 0) {
                        self.apply(record, &bundle.payloads[record.payload.clone()]);
                    }
                }
            }
        }
        self
    }

    fn read_checkpoints(&mut self, dir: &Path, store_id: &[u8; 16], headers: &Sender<Header>) {
        let numbers: Vec<u8> = self.partitions.iter().map(Partition::number).collect();
        for partition in numbers {
            let read = self.read_checkpoint(dir, partition, store_id);
            let generation = read.as_ref().map(|checkpoint| checkpoint.generation);
            let position = read.as_ref().map_or(0, |checkpoint| checkpoint.position);
            self.positions[partition as usize] = position;
            self.checkpoints.push(read);
            // The opening thread waits for all of them.
            let _ = headers.send(Header { partition, generation, position });
        }
    }

    /// The checkpoint of a partition, from the copy when its file is of no use.
    fn read_checkpoint(&mut self, dir: &Path, partition: u8, store_id: &[u8; 16]) -> Option<Checkpoint> {
        let why = match checkpoint::read(dir, partition, store_id) {
            Ok(Some(checkpoint)) => return Some(checkpoint),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        let copied = checkpoint_copy::read(dir, partition, store_id).unwrap_or_else(|error| {
            self.damage.push(error);
            None
        });
        // A partition without series has neither.
        if why.is_some() || copied.is_some() {
            let what = match &copied {
                Some(_) => "its checkpoint is taken from the copy",
                None => "its open heads are lost",
            };
            let path = checkpoint::path(dir, partition);
            let why = why.map_or_else(|| "the file is gone".to_owned(), |error| error.to_string());
            self.damage.push(StoreError::Damaged { path, offset: 0, what: format!("{why}; {what}") });
        }
        copied
    }

    fn insert_keys(&mut self, number: u8, block: &[u8]) {
        let partition = &mut self.partitions[self.local[number as usize] as usize];
        // The opening thread has decoded these very bytes without an error.
        let _ = decode_block(block, |id, key| partition.insert(id, hash(key), Arc::from(key)));
    }

    fn restore(&mut self, assumed: &[(u8, Vec<u32>)], span_ms: (i64, i64)) {
        for (partition, checkpoint) in self.partitions.iter_mut().zip(self.checkpoints.drain(..)) {
            let ids_len = checkpoint.as_ref().map_or(partition.ids_len(), |checkpoint| checkpoint.ids_len);
            partition.reserve_ids(ids_len);
            partition.set_catalogd(ids_len);
            for series in checkpoint.iter().flat_map(|checkpoint| &checkpoint.series) {
                if partition.is_live(series.id) {
                    partition.restore(series, &mut self.sealer);
                }
            }
        }
        for (number, ids) in assumed {
            let partition = &mut self.partitions[self.local[*number as usize] as usize];
            ids.iter().for_each(|id| partition.assume_sealed(*id, span_ms));
        }
    }

    /// Applies one journal record; what is not of these partitions, or is in their checkpoint, is passed over.
    fn apply(&mut self, record: &Record, payload: &[u8]) {
        let (partitions, local, sealer) = (&mut self.partitions, &self.local, &mut self.sealer);
        let is_new = |partition: &Partition| record.seq > self.positions[partition.number() as usize];
        let wanted = partitions.iter().filter(|p| is_new(p)).fold(0u64, |wanted, p| wanted | 1 << p.number());
        let is_wanted = |series: SeriesRef| wanted >> series.partition() & 1 != 0;
        let applied = match record.kind {
            Kind::NewSeries => decode_series(payload, |series, key| {
                if is_wanted(series) {
                    let partition = &mut partitions[local[series.partition() as usize] as usize];
                    partition.insert(series.id(), hash(key), Arc::from(key));
                }
            }),
            Kind::Samples => decode_samples(payload, |series, time_ms, value| {
                if is_wanted(series) {
                    let partition = &mut partitions[local[series.partition() as usize] as usize];
                    if partition.is_live(series.id()) {
                        partition.push(series.id(), time_ms, value, sealer);
                    }
                }
            }),
        };
        if let Err(error) = applied {
            tracing::error!(%error, seq = record.seq, "journal record passed over");
        }
    }
}
