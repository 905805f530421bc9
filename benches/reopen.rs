//! How long does a store take to open after kill -9, with five million samples in its journal?
//!
//! Ten thousand series of 500 samples, 15 s apart and in batches of 2000 as remote write brings them; opened with as
//! many shards as there are processors. As a test it opens a hundredth of that.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_channel::bounded;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;
use storage::series::{KeyBuilder, hash};
use storage::{Opened, Row, Settings, route};

const SERIES: usize = 10_000;
const START_MS: i64 = 1_700_000_000_000;
const BATCH_ROWS: usize = 2000;

fn key(number: usize) -> Vec<u8> {
    let mut builder = KeyBuilder::default();
    builder.clear();
    builder.push("__name__", "node_cpu_seconds_total");
    builder.push("cpu", &format!("{}", number % 16));
    builder.push("instance", &format!("host-{:04}:9100", number / 16));
    builder.push("job", "node");
    builder.push("region", "eu-west-1");
    builder.push("team", "platform");
    builder.finish().expect("labels are a series").to_vec()
}

fn settings(dir: &Path) -> Settings {
    let shards = std::thread::available_parallelism().map_or(1, usize::from);
    Settings { retention_ms: 0, checkpoint_bytes: u64::MAX, shards, ..Settings::new(dir) }
}

/// A store that is still open, with all its samples in the journal.
fn fill(dir: &Path, steps: usize) {
    let Opened { mut shards, threads, .. } = storage::open(settings(dir)).expect("an empty store opens");
    let keys: Vec<_> = (0..SERIES).map(key).collect();
    let (done, committed) = bounded(64);
    for step in 0..steps as i64 {
        let time_ms = START_MS + step * 15_000;
        for first in (0..SERIES).step_by(BATCH_ROWS) {
            let values: Vec<f64> =
                (first..first + BATCH_ROWS).map(|n| ((step * 37 + n as i64) % 1000) as f64).collect();
            let count = shards.len();
            for (number, shard) in shards.iter_mut().enumerate() {
                let mine = (first..first + BATCH_ROWS).filter(|n| route(&keys[*n], count).1 == number);
                let rows = mine.map(|n| Row {
                    hash: hash(&keys[n]),
                    key: &keys[n],
                    times: std::slice::from_ref(&time_ms),
                    values: std::slice::from_ref(&values[n - first]),
                });
                shard.append(time_ms, rows).expect("the journal can be written");
                let done = done.clone();
                shard.commit(Box::new(move |result| done.send(result.is_ok()).expect("the bench waits")));
            }
            assert!(committed.iter().take(count).all(|committed| committed));
        }
    }
    // Like a kill: nothing is closed.
    std::mem::forget((threads, shards));
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

fn reopen(criterion: &mut Criterion) {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let steps = if is_test { 5 } else { 500 };
    let home = tempfile::tempdir().expect("a temporary directory");
    let killed = home.path().join("killed");
    fill(&home.path().join("live"), steps);
    copy(&home.path().join("live"), &killed);
    let mut group = criterion.benchmark_group("reopen");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(5))
        .throughput(Throughput::Elements((SERIES * steps) as u64));
    let mut number = 0;
    group.bench_function("after_kill", |bencher| {
        bencher.iter_batched(
            || {
                number += 1;
                let dir = home.path().join(format!("reopen-{number}"));
                copy(&killed, &dir);
                dir
            },
            |dir| {
                let opened = storage::open(settings(&dir)).expect("it opens");
                assert_eq!(opened.store.figures().series, SERIES as u64);
                std::mem::forget(black_box(opened));
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, reopen);
criterion_main!(benches);
