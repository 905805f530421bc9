//! What the tests of blocks share: a store in a folder, chunks to write, and the plain map they are held against.

#![expect(clippy::unwrap_used, unreachable_pub, reason = "a test that meets an error has failed; a module of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use storage::blocks::{BlockSettings, BlockStore, CompactReport, DAY_MS, PendingChunk};
use storage::chunk;
use storage::series::{PARTITIONS, SeriesRef};

/// 2026-11-20, 00:00 UTC.
pub const NOV_20: i64 = 20_777 * DAY_MS;
pub const ALL: [u32; PARTITIONS] = [u32::MAX; PARTITIONS];

/// Samples of one partition's series as a naive map: of equal times the first written counts.
pub type Model = BTreeMap<(u32, i64), u64>;

pub fn open(folder: &Path) -> BlockStore {
    open_with(folder, BlockSettings::default())
}

pub fn open_with(folder: &Path, settings: BlockSettings) -> BlockStore {
    let (store, damage) = BlockStore::open(folder, settings, &ALL).unwrap();
    assert!(damage.is_empty(), "{damage:?}");
    store
}

pub fn compact(store: &BlockStore) -> CompactReport {
    store.compact(&AtomicBool::new(false)).unwrap()
}

pub fn pending(id: u32, times: &[i64], values: &[f64]) -> PendingChunk {
    let mut bytes = Vec::new();
    chunk::encode(times, values, &mut bytes);
    PendingChunk { id, start_ms: times[0], end_ms: times[times.len() - 1], bytes: bytes.into() }
}

/// A chunk of `count` samples, 15 s apart.
pub fn chunk_of(id: u32, start_ms: i64, count: i64, value: f64) -> PendingChunk {
    let times: Vec<i64> = (0..count).map(|i| start_ms + i * 15_000).collect();
    let values: Vec<f64> = (0..count).map(|i| value + i as f64).collect();
    pending(id, &times, &values)
}

/// Opaque bytes as a chunk, for promises that do not look inside.
pub fn opaque(id: u32, start_ms: i64, length: usize) -> PendingChunk {
    PendingChunk { id, start_ms, end_ms: start_ms + 999, bytes: vec![0xEE; length].into() }
}

pub fn remember(id: u32, chunk: &[u8], model: &mut Model) {
    let (mut times, mut values) = (Vec::new(), Vec::new());
    chunk::decode(chunk, &mut times, &mut values).unwrap();
    for (time, value) in times.iter().zip(&values) {
        model.entry((id, *time)).or_insert(value.to_bits());
    }
}

/// Writes chunks to the store and to the map.
pub fn write(store: &BlockStore, model: &mut Model, partition: u8, generation: u32, mut chunks: Vec<PendingChunk>) {
    chunks.iter().for_each(|chunk| remember(chunk.id, &chunk.bytes, model));
    store.write(partition, generation, &mut chunks).unwrap();
    assert!(chunks.is_empty());
}

/// Everything the store gives for ids 0..`ids` of a partition.
pub fn samples(store: &BlockStore, partition: u8, ids: u32) -> Model {
    let mut found = Model::new();
    let ids: Vec<u32> = (0..ids).collect();
    let each = &mut |id, bytes: &[u8]| remember(id, bytes, &mut found);
    store.chunks_of_many(partition, &ids, i64::MIN, i64::MAX, each).unwrap();
    found
}

/// How many chunks a series has between two times.
pub fn count(store: &BlockStore, partition: u8, id: u32, from_ms: i64, to_ms: i64) -> usize {
    let mut chunks = 0;
    store.chunks(SeriesRef::new(partition, id), from_ms, to_ms, &mut |_| chunks += 1).unwrap();
    chunks
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

/// A store of two days in two directories, each with ids 0..400 of partition 0; the first directory's path.
pub fn two_directories(folder: &Path) -> (Model, PathBuf) {
    let store = open_with(folder, BlockSettings { directory_bytes_close: 1, ..BlockSettings::default() });
    let mut model = Model::new();
    for day in 0..2 {
        let chunks = (0..400).map(|id| chunk_of(id, NOV_20 + day * DAY_MS, 120, f64::from(id) / 3.0)).collect();
        write(&store, &mut model, 0, 1, chunks);
    }
    store.sync().unwrap();
    assert_eq!(names(folder), ["20261120-g1", "20261121-g1", "MANIFEST"]);
    (model, folder.join("20261120-g1"))
}

pub fn without_first_day(model: &Model) -> Model {
    model.iter().filter(|((_, time), _)| *time >= NOV_20 + DAY_MS).map(|(key, value)| (*key, *value)).collect()
}
