//! Forecasts a second, by layout and size of the batch: what the budget of the layer has to reckon with.
//!
//! `cargo bench -p foundation` measures the model of the program; the shapes of public models are those of the
//! specification with weights that predict nothing, which takes the same time.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn series(count: usize, length: usize) -> Vec<Vec<f64>> {
    let one = |seed: usize| {
        let value = |at: usize| (at as f64 / (9.0 + seed as f64)).sin() * 5.0 + (at * (seed + 7) % 11) as f64;
        (0..length).map(value).collect()
    };
    (0..count).map(one).collect()
}

fn forecasts(criterion: &mut Criterion) {
    let Ok(model) = foundation::embedded() else { return };
    for (count, length) in [(1, 64), (1, 512), (64, 64), (64, 512)] {
        let series = series(count, length);
        let histories: Vec<&[f64]> = series.iter().map(Vec::as_slice).collect();
        let mut group = criterion.benchmark_group("infrawatch-tiny");
        group.throughput(Throughput::Elements(count as u64)).sample_size(20);
        group.bench_function(format!("{count} series of {length} points, 64 steps"), |bencher| {
            bencher.iter(|| black_box(model.forecast(black_box(&histories), 64)));
        });
        group.finish();
    }
}

criterion_group!(benches, forecasts);
criterion_main!(benches);
