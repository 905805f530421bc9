//! How fast do sealed chunks reach the disk and come back, and how many bytes do they take there?
//!
//! Two parts: opaque chunks of 200 bytes for what blocks and engine cost, and 10 k series of 600 samples, written by
//! ten checkpoints and compacted, for bytes a sample. `cargo bench --bench blocks` measures and prints a line a
//! figure; without `--bench` everything runs once, small. Seeded: the same chunks every time.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use storage::blocks::{BlockSettings, BlockStore, DAY_MS, PendingChunk};
use storage::chunk;
use storage::series::{PARTITIONS, SeriesRef};

const NOV_20_MS: i64 = 20_777 * DAY_MS;
const ALL: [u32; PARTITIONS] = [u32::MAX; PARTITIONS];
const CHECKPOINTS: u32 = 10;
const CHUNK_BYTES: usize = 200;

/// SplitMix64: small, seeded, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let outcome = work();
    (outcome, start.elapsed())
}

fn open(folder: &Path) -> BlockStore {
    let (store, damage) = BlockStore::open(folder, BlockSettings::default(), &ALL).expect("a whole store opens");
    assert!(damage.is_empty(), "{damage:?}");
    store
}

fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    (pages * 4096) >> 20
}

/// Writes `per_partition` chunks a partition and checkpoint, and returns the bytes of the chunks and the time taken.
fn write_checkpoints(
    store: &BlockStore,
    per_partition: u32,
    mut chunk: impl FnMut(u8, u32, i64) -> PendingChunk,
) -> (usize, Duration) {
    let (mut bytes, mut took) = (0, Duration::ZERO);
    for generation in 1..=CHECKPOINTS {
        let start_ms = NOV_20_MS + i64::from(generation) * 3_600_000;
        for partition in 0..PARTITIONS as u8 {
            let mut chunks: Vec<_> = (0..per_partition).map(|id| chunk(partition, id, start_ms)).collect();
            bytes += chunks.iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
            took += timed(|| store.write(partition, generation, &mut chunks).expect("the disk takes blocks")).1;
        }
        took += timed(|| store.sync().expect("the disk syncs")).1;
    }
    (bytes, took)
}

fn opaque_chunks(per_partition: u32) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path());
    let mut random = Random(1);
    let (bytes, took) = write_checkpoints(&store, per_partition, |_, id, start_ms| {
        let noise: Vec<u8> = (0..CHUNK_BYTES / 8).flat_map(|_| random.next().to_le_bytes()).collect();
        PendingChunk { id, start_ms, end_ms: start_ms + 3_599_999, bytes: noise.into() }
    });
    let chunks = bytes / CHUNK_BYTES;
    let on_disk = store.bytes_on_disk().expect("the folder can be listed");
    println!("write and sync    {chunks} chunks of {CHUNK_BYTES} B in {took:.2?}: {:.0} MB/s", per_second(bytes, took));
    println!("on disk           {:.3} bytes a byte of chunk", on_disk as f64 / bytes as f64);
    println!("resident          {} MiB after writing", resident_mib());
    drop(store);

    let (store, took) = timed(|| open(folder.path()));
    println!("reopen            {took:.2?}, {} blocks", store.health().iter().map(|d| d.blocks).sum::<usize>());
    let read = |series: SeriesRef| {
        let mut found = 0;
        store.chunks(series, i64::MIN, i64::MAX, &mut |chunk| found += chunk.len()).expect("blocks can be read");
        assert_eq!(found, CHECKPOINTS as usize * CHUNK_BYTES);
    };
    println!("first read        {:.2?}, opening the engine", timed(|| read(SeriesRef::new(0, 0))).1);
    let mut reads: Vec<_> = (0..200)
        .map(|_| {
            let at = random.next();
            timed(|| read(SeriesRef::new((at % 64) as u8, (at >> 32) as u32 % per_partition))).1
        })
        .collect();
    reads.sort_unstable();
    println!("one series        {CHECKPOINTS} chunks, p50 {:.1?}, p99 {:.1?}", reads[100], reads[197]);
    let (found, took) = timed(|| read_all(&store, per_partition));
    assert_eq!(found, bytes);
    println!("every series      {chunks} chunks in {took:.2?}: {:.0} MB/s", per_second(bytes, took));
    println!("resident          {} MiB after reading", resident_mib());
}

fn read_all(store: &BlockStore, per_partition: u32) -> usize {
    let ids: Vec<u32> = (0..per_partition).collect();
    let mut found = 0;
    for partition in 0..PARTITIONS as u8 {
        let each = &mut |_, chunk: &[u8]| found += chunk.len();
        store.chunks_of_many(partition, &ids, i64::MIN, i64::MAX, each).expect("blocks can be read");
    }
    found
}

/// Half counters, half percentages with two decimals, every 15 s.
fn metric_samples(random: &mut Random, id: u32, start_ms: i64, count: i64) -> (Vec<i64>, Vec<f64>) {
    let mut level = (random.next() % 10_000) as i64;
    let mut value = || {
        let step = (random.next() % 200) as i64;
        if id.is_multiple_of(2) {
            level += step;
            level as f64
        } else {
            level = (level + step - 100).clamp(0, 10_000);
            level as f64 / 100.0
        }
    };
    (0..count).map(|i| (start_ms + i * 15_000, value())).unzip()
}

fn compaction(per_partition: u32) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = open(folder.path());
    let mut random = Random(2);
    let samples_per_chunk = 60;
    let (bytes, _) = write_checkpoints(&store, per_partition, |_, id, start_ms| {
        let (times, values) = metric_samples(&mut random, id, start_ms, samples_per_chunk);
        let mut bytes = Vec::new();
        chunk::encode(&times, &values, &mut bytes);
        PendingChunk { id, start_ms: times[0], end_ms: times[times.len() - 1], bytes: bytes.into() }
    });
    let (report, took) = timed(|| store.compact(&AtomicBool::new(false)).expect("whole blocks compact"));
    assert!(!report.stopped && store.take_damage().is_empty());
    let samples = report.samples as f64;
    let seconds_per_million = took.as_secs_f64() / samples * 1e6;
    println!("compact           {samples} samples in {took:.2?}: {seconds_per_million:.3} s a million");
    println!("bytes a sample    {:.2} in chunks of {samples_per_chunk}", bytes as f64 / samples);
    println!(
        "on disk           {:.2} before, {:.2} after",
        report.bytes_before as f64 / samples,
        report.bytes_after as f64 / samples
    );
    println!("resident          {} MiB after compacting", resident_mib());
}

fn per_second(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / 1e6 / took.as_secs_f64()
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let per_partition = if is_bench { 157 } else { 5 };
    opaque_chunks(per_partition);
    compaction(per_partition);
}
