//! What does a sample cost a shard: looking its series up, appending to the head, the journal record, and sealing?
//!
//! `append` gives batches of one sample a series, as remote write brings them, to one shard that knows all series;
//! `seal` gives so many to each series that every head is sealed eight times. The committer writes and syncs beside.
//! The sketch in `storage/src/shard_store.rs` says 75 ns a sample; measured figures are in `docs/benchmarks.md`.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use storage::series::{KeyBuilder, hash};
use storage::{Row, Settings, ShardStore, Tally};

const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 15_000;

/// Keys with nine labels, as node_exporter's series have after a scrape.
fn keys(count: usize) -> Vec<(u64, Vec<u8>)> {
    let mut builder = KeyBuilder::default();
    (0..count)
        .map(|number| {
            builder.clear();
            builder.push("__name__", "node_network_receive_bytes_total");
            builder.push("cluster", "production-eu-west-1");
            builder.push("device", &format!("eth{}", number % 8));
            builder.push("instance", &format!("host-{:04}.example.internal:9100", number / 8));
            builder.push("job", "node_exporter");
            builder.push("monitor", "infrastructure");
            builder.push("rack", &format!("r{:02}", number / 80 % 40));
            builder.push("region", "eu-west-1");
            builder.push("team", "platform");
            let key = builder.finish().expect("labels are a series").to_vec();
            (hash(&key), key)
        })
        .collect()
}

/// A store with one shard; the keeper is left without an answer, which it waits for in vain until the end.
struct Bench {
    shard: ShardStore,
    keys: Vec<(u64, Vec<u8>)>,
    time_ms: i64,
    _home: tempfile::TempDir,
}

impl Bench {
    fn new(series: usize) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let settings = Settings { checkpoint_bytes: u64::MAX, ..Settings::new(home.path()) };
        let mut opened = storage::open(settings).expect("an empty store opens");
        let shard = opened.shards.pop().expect("one shard was asked for");
        // The store's threads live as long as the process: a bench has nothing to close.
        std::mem::forget((opened.threads, opened.store));
        let mut bench = Self { shard, keys: keys(series), time_ms: START_MS, _home: home };
        bench.round(0..series);
        bench
    }

    /// One sample for each series in the range, as one batch.
    fn round(&mut self, series: std::ops::Range<usize>) -> Tally {
        self.time_ms += STEP_MS;
        let times = [self.time_ms];
        let values = [(self.time_ms / STEP_MS) as f64];
        let rows = self.keys[series].iter().map(|(hash, key)| Row { hash: *hash, key, times: &times, values: &values });
        let tally = self.shard.append(self.time_ms, rows).expect("the journal can be written");
        self.shard.commit(Box::new(|committed| committed.expect("the journal can be written")));
        tally
    }
}

impl Drop for Bench {
    /// The folder goes only when the journal has written what it was given: records go out in their order.
    fn drop(&mut self) {
        let (done, written) = std::sync::mpsc::channel::<()>();
        self.shard.commit(Box::new(move |_| drop(done)));
        // Ends with an error, as nothing is ever sent: the sender is gone.
        let _ = written.recv();
    }
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    group.sample_size(10);
    for series in [10_000, 100_000] {
        group.throughput(Throughput::Elements(series as u64));
        let mut bench = Bench::new(series);
        group.bench_function(format!("{series}_known_series"), |bencher| {
            bencher.iter(|| {
                for start in (0..series).step_by(2000) {
                    black_box(bench.round(start..start + 2000));
                }
            });
        });
    }
    group.finish();
}

fn seal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal");
    group.sample_size(10);
    let samples = 1024;
    group.throughput(Throughput::Elements(100 * samples as u64));
    let times: Vec<i64> = (1..=samples).map(|step| START_MS + step * STEP_MS / 8).collect();
    let values: Vec<f64> = times.iter().map(|time_ms| (time_ms % 9973) as f64 / 100.0).collect();
    group.bench_function("heads_of_128_gauges", |bencher| {
        bencher.iter_batched(
            || Bench::new(100),
            |mut bench| {
                let times: Vec<i64> = times.iter().map(|time_ms| time_ms + STEP_MS).collect();
                let row = |(hash, key): &(u64, Vec<u8>)| (*hash, key.clone());
                let keys: Vec<_> = bench.keys.iter().map(row).collect();
                let rows = keys.iter().map(|(hash, key)| Row { hash: *hash, key, times: &times, values: &values });
                let tally = bench.shard.append(i64::MAX / 2, rows).expect("the journal can be written");
                bench.shard.commit(Box::new(|_| {}));
                black_box(tally)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, append, seal);
criterion_main!(benches);
