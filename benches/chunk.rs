//! How fast are samples sealed into chunks and read back, and how many bytes does a sample take?
//!
//! One row for each kind of series and chunk length, evenly spaced every 15 s unless the name says jitter; times and
//! values together. Bytes include the head and its statistics. `cargo bench --bench chunk` measures; without
//! `--bench` everything runs once, small.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use storage::chunk::{Encoder, decode, stats};

/// Chunk lengths: a head sealed on line, and a compacted one.
const SAMPLES: [usize; 2] = [128, 1000];
/// Many different chunks, so that branch prediction cannot learn one by heart.
const CHUNKS: usize = 64;

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

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normal with mean 0 and deviation 1, by the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// A kind of series: its name, whether times jitter, and the values of one chunk.
type Kind = (&'static str, bool, fn(&mut Random, usize) -> Vec<f64>);

const KINDS: [Kind; 9] = [
    ("counter", false, counter),
    ("counter, jitter", true, counter),
    ("byte counter", false, byte_counter),
    ("cpu percent", false, cpu_percent),
    ("cpu percent, jitter", true, cpu_percent),
    ("small integers", false, |random, count| (0..count).map(|_| random.below(20) as f64).collect()),
    ("nearly constant", false, nearly_constant),
    ("float32", false, |random, count| (0..count).map(|_| f64::from((20.0 + random.normal()) as f32)).collect()),
    ("full doubles", false, |random, count| (0..count).map(|_| random.normal().exp()).collect()),
];

fn counter(random: &mut Random, count: usize) -> Vec<f64> {
    let mut total = random.below(1_000_000);
    let step = |_| {
        total += 100 + random.below(200);
        total as f64
    };
    (0..count).map(step).collect()
}

fn byte_counter(random: &mut Random, count: usize) -> Vec<f64> {
    let mut total = random.below(1_000_000_000_000_000);
    let step = |_| {
        total += (5e8 + random.normal() * 5e7) as u64;
        total as f64
    };
    (0..count).map(step).collect()
}

fn cpu_percent(random: &mut Random, count: usize) -> Vec<f64> {
    let mut level = 30.0;
    let step = |_| {
        level += (30.0 - level) * 0.1 + random.normal() * 2.0;
        (level.clamp(0.0, 100.0) * 100.0).round() / 100.0
    };
    (0..count).map(step).collect()
}

fn nearly_constant(random: &mut Random, count: usize) -> Vec<f64> {
    let mut value = 16.0;
    let step = |_| {
        value = if random.below(200) == 0 { random.below(32) as f64 } else { value };
        value
    };
    (0..count).map(step).collect()
}

fn times(random: &mut Random, count: usize, jitter: bool) -> Vec<i64> {
    let late = |random: &mut Random| if jitter && random.below(10) < 3 { random.below(5) as i64 - 2 } else { 0 };
    (0..count as i64).map(|i| 1_700_000_000_000 + i * 15_000 + late(random)).collect()
}

fn chunks(criterion: &mut Criterion) {
    for (name, jitter, values) in KINDS {
        for count in SAMPLES {
            let mut random = Random(7);
            let columns: Vec<_> =
                (0..CHUNKS).map(|_| (times(&mut random, count, jitter), values(&mut random, count))).collect();
            measure(criterion, name, count, &columns);
        }
    }
}

fn measure(criterion: &mut Criterion, name: &str, count: usize, columns: &[(Vec<i64>, Vec<f64>)]) {
    let (mut encoder, mut out) = (Encoder::default(), Vec::new());
    let encode = |encoder: &mut Encoder, (times, values): &(Vec<i64>, Vec<f64>)| {
        let mut chunk = Vec::new();
        encoder.encode(times, values, &mut chunk);
        chunk
    };
    let encoded: Vec<_> = columns.iter().map(|columns| encode(&mut encoder, columns)).collect();
    let samples = count * columns.len();
    let bytes: usize = encoded.iter().map(Vec::len).sum();
    println!("{name}, {count} a chunk: {:.3} bytes a sample", bytes as f64 / samples as f64);

    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(samples as u64));
    group.bench_function(BenchmarkId::new("encode", count), |bencher| {
        bencher.iter(|| {
            out.clear();
            columns.iter().for_each(|(times, values)| encoder.encode(times, values, &mut out));
            black_box(&out);
        });
    });
    let (mut read_times, mut read_values) = (Vec::new(), Vec::new());
    group.bench_function(BenchmarkId::new("decode", count), |bencher| {
        bencher.iter(|| {
            for chunk in &encoded {
                read_times.clear();
                read_values.clear();
                decode(chunk, &mut read_times, &mut read_values).expect("it was encoded above");
                black_box((&read_times, &read_values));
            }
        });
    });
    group.throughput(Throughput::Elements(columns.len() as u64));
    group.bench_function(BenchmarkId::new("stats of a chunk", count), |bencher| {
        bencher.iter(|| {
            for chunk in &encoded {
                let _ = black_box(stats(chunk));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, chunks);
criterion_main!(benches);
