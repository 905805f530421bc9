//! What does it cost, in time and in memory, to find series by their labels and to keep their keys?
//!
//! Series have 8 labels: one of 1000 metric names, six labels with few to many values, and one value that no other
//! series has. They arrive as churn does: from every partition in turn. `cargo bench --bench index` measures 100 k of
//! them and prints the memory of 500 k; without `--bench` everything runs once with 2 k.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use storage::catalog_blocks::{decode_block, encode_blocks};
use storage::label_index::{LabelIndex, Matcher};
use storage::series::{self, KeyBuilder, SeriesRef};

/// The server's allocator, so that bytes are the server's bytes.
#[global_allocator]
static ALLOCATOR: jemallocator::Jemalloc = jemallocator::Jemalloc;

const BLOCK_BYTES: usize = 7168;

fn measures() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

fn series_count() -> u32 {
    if measures() { 100_000 } else { 2_000 }
}

/// Keys in the order of arrival with the references that a catalog would give them.
fn arrivals(count: u32) -> Vec<(SeriesRef, Vec<u8>)> {
    let (mut builder, mut next_id) = (KeyBuilder::default(), [0u32; series::PARTITIONS]);
    let mut arrival = |n: u32| {
        builder.clear();
        builder.push("__name__", &format!("service_requests_{}_total", n % 1000));
        builder.push("cluster", ["eu-1", "eu-2", "us-1", "us-2"][(n / 250_000 % 4) as usize]);
        builder.push("instance", &format!("10.{}.{}.7:9100", n / 256_000, n / 1000 % 256));
        builder.push("job", &format!("job-{}", n % 20));
        builder.push("method", ["get", "put", "post", "delete"][(n % 4) as usize]);
        builder.push("namespace", &format!("team-{}", n / 100 % 50));
        builder.push("pod", &format!("api-{:08x}-{:05x}", n.wrapping_mul(2_654_435_761), n % 9973));
        builder.push("version", &format!("v1.{}", n / 5000));
        let key = builder.finish().expect("labels differ and one is the metric's name").to_vec();
        let partition = series::partition_of(series::hash(&key));
        let id = &mut next_id[usize::from(partition)];
        *id += 1;
        (SeriesRef::new(partition, *id - 1), key)
    };
    (0..count).map(&mut arrival).collect()
}

fn index_of(arrivals: &[(SeriesRef, Vec<u8>)]) -> LabelIndex {
    let mut index = LabelIndex::default();
    arrivals.iter().for_each(|(series, key)| index.insert(*series, key));
    index
}

fn churn(c: &mut Criterion) {
    let arrivals = arrivals(series_count());
    let mut group = c.benchmark_group("index");
    group.sample_size(10).throughput(Throughput::Elements(arrivals.len() as u64));
    group.bench_function("insert", |b| b.iter_with_large_drop(|| index_of(&arrivals)));
    let remove_all = |mut index: LabelIndex| {
        arrivals.iter().for_each(|(series, key)| index.remove(*series, key));
        index
    };
    group.bench_function("remove", |b| b.iter_batched(|| index_of(&arrivals), remove_all, BatchSize::PerIteration));
    group.finish();
}

fn select(c: &mut Criterion) {
    let arrivals = arrivals(series_count());
    let index = index_of(&arrivals);
    let regex = |name, expression: &str| Matcher::regex(name, expression).expect("a fine expression");
    let metric = Matcher::equal("__name__", "service_requests_123_total");
    let pods: Vec<_> = index.values("pod").step_by(50).take(30).collect();
    let questions = [
        ("equal, one name", vec![metric.clone()]),
        ("equal, one instance", vec![Matcher::equal("instance", "10.0.1.7:9100")]),
        ("equal, two labels", vec![metric.clone(), Matcher::equal("instance", "10.0.1.7:9100")]),
        ("equal, half of all", vec![Matcher::equal("method", "put"), Matcher::not_equal("job", "job-1")]),
        ("prefix", vec![regex("pod", "api-00.*")]),
        ("prefix and a test", vec![regex("pod", "api-00[a-f]+.*7")]),
        ("alternation of 30", vec![regex("pod", &pods.join("|"))]),
        ("not equal", vec![metric.clone(), Matcher::not_equal("version", "v1.0")]),
        ("not regex", vec![metric.clone(), Matcher::not_regex("instance", "10.0.[1-5].*").expect("fine")]),
        ("tried on every value", vec![regex("pod", ".*abc.*")]),
        ("tried after a name", vec![metric, regex("pod", ".*abc.*")]),
        ("everything", vec![regex("job", ".*")]),
    ];
    let mut group = c.benchmark_group("select");
    for (what, matchers) in &questions {
        println!("{what}: {} series", index.select(matchers).len());
        group.bench_function(*what, |b| b.iter(|| black_box(index.select(black_box(matchers)))));
    }
    group.finish();

    let mut group = c.benchmark_group("labels");
    let host = index.select(&questions[1].1);
    group.bench_function("names", |b| b.iter(|| black_box(index.names().count())));
    group.bench_function("1000 names' values", |b| b.iter(|| index.values("__name__").map(str::len).sum::<usize>()));
    group.bench_function("pods' values", |b| b.iter(|| index.values("pod").map(str::len).sum::<usize>()));
    group.bench_function("values of one host", |b| b.iter(|| black_box(index.values_of("__name__", &host))));
    group.bench_function("names of one host", |b| b.iter(|| black_box(index.names_of(&host))));
    group.finish();
}

fn catalog(c: &mut Criterion) {
    let mut partition: Vec<(u32, Vec<u8>)> = Vec::new();
    for (series, key) in arrivals(series_count()) {
        if series.partition() < 4 {
            partition.push((partition.len() as u32, key));
        }
    }
    let mut blocks = Vec::new();
    encode_blocks(&mut partition, BLOCK_BYTES, &mut |_, _, block| blocks.push(block.to_vec())).expect("canonical keys");
    let bytes: usize = blocks.iter().map(Vec::len).sum();
    let raw: usize = partition.iter().map(|(_, key)| key.len()).sum();
    let keys = partition.len();
    println!("catalog: {:.1} bytes a key of {:.1}", bytes as f64 / keys as f64, raw as f64 / keys as f64);
    let mut group = c.benchmark_group("catalog");
    group.sample_size(20).throughput(Throughput::Elements(keys as u64));
    group.bench_function("encode", |b| {
        b.iter(|| {
            let mut bytes = 0;
            encode_blocks(&mut partition, BLOCK_BYTES, &mut |_, _, block| bytes += block.len())
                .expect("canonical keys");
            bytes
        })
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            let mut bytes = 0;
            for block in &blocks {
                decode_block(block, |_, key| bytes += key.len()).expect("whole blocks");
            }
            bytes
        })
    });
    group.finish();
}

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux says how much memory a process has");
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
    pages * 4096.0
}

fn memory(_: &mut Criterion) {
    let count = if measures() { 500_000 } else { 2_000 };
    let arrivals = arrivals(count);
    let before = resident_bytes();
    let index = index_of(&arrivals);
    let resident = (resident_bytes() - before) / f64::from(count);
    let estimated = index.bytes() as f64 / f64::from(count);
    println!("memory of {count} series: {resident:.0} bytes a series resident, {estimated:.0} by its own estimate");
    for name in index.largest_names(8) {
        println!("  {:10} {:7} values {:9} bytes", name.name, name.values, name.bytes);
    }
}

criterion_group!(benches, memory, churn, select, catalog);
criterion_main!(benches);
