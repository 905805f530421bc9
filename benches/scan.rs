//! What does reading cost: one series, all series, a choice by labels?
//!
//! The store holds 2000 series of 600 samples, 15 s apart: once in blocks after a compaction, once in heads and chunks
//! as they are after a kill.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_channel::bounded;
use std::hint::black_box;
use std::path::Path;
use storage::label_index::Matcher;
use storage::sample::Samples;
use storage::series::{KeyBuilder, hash};
use storage::{Opened, Row, Settings, Store};

const SERIES: usize = 2000;
const SAMPLES: i64 = 600;
const START_MS: i64 = 1_700_000_000_000;

fn key(number: usize) -> Vec<u8> {
    let mut builder = KeyBuilder::default();
    builder.clear();
    builder.push("__name__", "node_load1");
    builder.push("instance", &format!("host-{number:04}"));
    builder.push("job", "node");
    builder.finish().expect("labels are a series").to_vec()
}

/// Fills a store and ends it: with its samples in blocks, or all of them left in the journal.
fn fill(dir: &Path, compact: bool) {
    let settings = Settings { retention_ms: 0, checkpoint_bytes: u64::MAX, ..Settings::new(dir) };
    let Opened { store, mut shards, threads, .. } = storage::open(settings).expect("an empty store opens");
    let mut shard = shards.pop().expect("one shard was asked for");
    let keys: Vec<_> = (0..SERIES).map(|number| (key(number), number)).collect();
    let (done, committed) = bounded(SAMPLES as usize);
    for step in 0..SAMPLES {
        let times = [START_MS + step * 15_000];
        let values: Vec<f64> = (0..SERIES).map(|number| ((step * 37 + number as i64) % 1000) as f64 / 100.0).collect();
        let rows = keys.iter().map(|(key, number)| Row {
            hash: hash(key),
            key,
            times: &times,
            values: std::slice::from_ref(&values[*number]),
        });
        shard.append(times[0], rows).expect("the journal can be written");
        let done = done.clone();
        shard.commit(Box::new(move |result| done.send(result.is_ok()).expect("the bench waits")));
    }
    assert!(committed.iter().take(SAMPLES as usize).all(|committed| committed));
    if compact {
        let (answer, answered) = bounded(1);
        store.compact(Box::new(move |result| answer.send(result).expect("the bench waits"))).expect("store is open");
        let result = loop {
            match answered.try_recv() {
                Ok(result) => break result,
                Err(_) => serve_tasks(&mut shard),
            }
        };
        result.expect("compaction succeeds");
        let closing = std::thread::Builder::new().spawn(move || threads.close()).expect("a thread");
        while !closing.is_finished() {
            serve_tasks(&mut shard);
        }
        closing.join().expect("no panic").expect("the store closes");
    } else {
        // Like a kill: nothing is closed, and the copy that is opened below finds only the journal.
        std::mem::forget(threads);
    }
}

fn serve_tasks(shard: &mut storage::ShardStore) {
    let tasks = shard.tasks().clone();
    if let Ok(task) = tasks.recv_timeout(std::time::Duration::from_millis(5)) {
        task(shard);
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory").map(|entry| entry.expect("an entry")) {
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a file")),
        }
    }
}

fn read_all(store: &Store, matchers: &[Matcher], samples: &mut Samples) -> usize {
    let selected = store.select(matchers, 0, i64::MAX).expect("matchers are valid");
    let mut total = 0;
    for series in &selected {
        store.read(series.series, 0, i64::MAX, samples).expect("the store can be read");
        total += samples.len();
    }
    total
}

fn scan(criterion: &mut Criterion) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (blocks, killed) = (home.path().join("blocks"), home.path().join("killed"));
    fill(&blocks, true);
    fill(&home.path().join("live"), false);
    copy(&home.path().join("live"), &killed);
    for (place, dir) in [("blocks", &blocks), ("heads", &killed)] {
        let opened = storage::open(Settings { retention_ms: 0, ..Settings::new(dir) }).expect("the store opens");
        let store = opened.store;
        let mut samples = Samples::default();
        let mut group = criterion.benchmark_group(format!("scan_{place}"));
        group.sample_size(10).throughput(Throughput::Elements(SAMPLES as u64));
        let one = [Matcher::equal("instance", "host-0777")];
        assert_eq!(read_all(&store, &one, &mut samples), SAMPLES as usize);
        group.bench_function("one_series", |b| b.iter(|| black_box(read_all(&store, &one, &mut samples))));
        group.throughput(Throughput::Elements(SERIES as u64 * SAMPLES as u64));
        let all = [Matcher::equal("job", "node")];
        group.bench_function("all_series", |b| b.iter(|| black_box(read_all(&store, &all, &mut samples))));
        group.finish();
        std::mem::forget(opened.threads);
    }
}

criterion_group!(benches, scan);
criterion_main!(benches);
